//! The proxy's life: it listens, serves every connection, and ends with its handle.

use crate::access::{Counts, Log};
use crate::exchange::{Body, Broken, Exchange};
use crate::fault::{Dice, Fault, Rates};
use futures_util::FutureExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use std::error::Error;
use std::future::{Future, poll_fn};
use std::io::{self, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

/// How a proxy is started.
///
/// ```no_run
/// use kaffic_testkit::{Config, Fault, FaultProxy, Rates};
/// let rates = Rates::none().with(Fault::ResetAfter, 0.05);
/// let proxy = FaultProxy::start(Config::new("http://127.0.0.1:9000").seed(7).rates(rates))?;
/// println!("use {} for the endpoint", proxy.endpoint());
/// proxy.set_rates(Rates::none());
/// assert!(proxy.counts().faults(Fault::ResetAfter) > 0);
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Config {
    upstream: String,
    listen: SocketAddr,
    seed: u64,
    rates: Rates,
    latency: Duration,
    delay: Duration,
    lines: Option<Box<dyn Write + Send>>,
}

impl Config {
    /// In front of the server at `upstream`, which is `http://HOST:PORT`. Nothing fails yet.
    pub fn new(upstream: impl Into<String>) -> Self {
        Self {
            upstream: upstream.into(),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            seed: 0,
            rates: Rates::none(),
            latency: Duration::ZERO,
            delay: Duration::from_millis(50),
            lines: None,
        }
    }

    /// Where to listen: a free port of the loopback by default.
    #[must_use]
    pub fn listen(self, listen: SocketAddr) -> Self {
        Self { listen, ..self }
    }

    /// What the faults are drawn from.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// How often each fault comes.
    #[must_use]
    pub fn rates(self, rates: Rates) -> Self {
        Self { rates, ..self }
    }

    /// What is added to every request: nothing by default.
    #[must_use]
    pub fn latency(self, latency: Duration) -> Self {
        Self { latency, ..self }
    }

    /// The time of [`Fault::Delay`], and between the pieces of a [`Fault::SlowBody`]: 50 ms by
    /// default.
    #[must_use]
    pub fn delay(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }

    /// Where a line of JSON for every request goes: nowhere by default.
    #[must_use]
    pub fn log(self, lines: impl Write + Send + 'static) -> Self {
        Self { lines: Some(Box::new(lines)), ..self }
    }
}

/// What all connections share.
pub(crate) struct Shared {
    pub(crate) upstream: SocketAddr,
    pub(crate) log: Arc<Log>,
    pub(crate) delay: Duration,
    dice: Mutex<Dice>,
    latency: Mutex<Duration>,
}

impl Shared {
    pub(crate) fn roll(&self, method: &Method) -> Option<Fault> {
        lock(&self.dice).roll(method == Method::GET)
    }

    pub(crate) fn latency(&self) -> Duration {
        *lock(&self.latency)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A running proxy. It ends when this is dropped, and all its connections with it.
pub struct FaultProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl FaultProxy {
    /// Starts a proxy in a thread of this process. It listens when this returns.
    ///
    /// # Errors
    /// If `upstream` is no address, or the port is taken.
    pub fn start(config: Config) -> io::Result<Self> {
        let upstream = resolve(&config.upstream)?;
        let listener = std::net::TcpListener::bind(config.listen)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            upstream,
            log: Arc::new(Log::new(config.lines)),
            delay: config.delay,
            dice: Mutex::new(Dice::new(config.seed, config.rates)),
            latency: Mutex::new(config.latency),
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = {
            let _in_it = runtime.enter();
            TcpListener::from_std(listener)?
        };
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new().name("fault-proxy".into()).spawn({
            let shared = shared.clone();
            move || {
                runtime.spawn(serve(listener, shared));
                // The connections end with the runtime.
                let _ = runtime.block_on(stopped);
            }
        })?;
        Ok(Self { address, shared, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it listens, as a URL.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Changes what befalls the requests from now on.
    pub fn set_rates(&self, rates: Rates) {
        lock(&self.shared.dice).rates = rates;
    }

    /// Changes what is added to every request from now on.
    pub fn set_latency(&self, latency: Duration) {
        *lock(&self.shared.latency) = latency;
    }

    /// The requests until now, as far as they are over.
    pub fn counts(&self) -> Counts {
        self.shared.log.counts()
    }

    /// Waits until the proxy ends, which it does not by itself.
    pub fn wait(mut self) {
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn resolve(upstream: &str) -> io::Result<SocketAddr> {
    let bad = || io::Error::other(format!("{upstream} is not http://HOST:PORT"));
    let authority = upstream.strip_prefix("http://").ok_or_else(bad)?.trim_end_matches('/');
    authority.to_socket_addrs()?.next().ok_or_else(bad)
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        // Too many open files, say: the connections that are there go on.
        let Ok((stream, _)) = listener.accept().await else {
            tokio::task::yield_now().await;
            continue;
        };
        tokio::spawn(connection(stream, shared.clone()));
    }
}

type Answer = Pin<Box<dyn Future<Output = Result<Response<Body>, Broken>> + Send>>;

/// Serves a connection until the client closes it, or until it is to be reset.
async fn connection(stream: TcpStream, shared: Arc<Shared>) {
    let _ = stream.set_nodelay(true);
    let exchange = Arc::new(Exchange::new(shared));
    let service = service_fn(move |request: Request<Incoming>| -> Answer {
        let exchange = exchange.clone();
        async move { exchange.answer(request).await }.boxed()
    });
    let mut connection = http1::Builder::new()
        .preserve_header_case(true)
        .auto_date_header(false)
        .serve_connection(TokioIo::new(stream), service);
    let ended = poll_fn(|context| connection.poll_without_shutdown(context)).await;
    let stream = connection.into_parts().io.into_inner();
    let broken = ended.as_ref().err().and_then(|error| error.source());
    if let Some(Broken::Reset(_)) = broken.and_then(|source| source.downcast_ref()) {
        let _ = stream.set_zero_linger();
    }
}
