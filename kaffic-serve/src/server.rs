//! Accepting connections, and ending them in order.

use crate::app::App;
use crate::config::{Config, Limits};
use crate::router::router;
use crate::runtime::{sleep, spawn, timeout};
use crate::timed::Timed;
use crate::tls;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use kaffic_core::Kaffic;
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

/// After an accept that failed, for want of file descriptors say.
const PAUSE: Duration = Duration::from_millis(100);

/// A server that has its address, and does not answer yet.
pub struct Server {
    app: Arc<App>,
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
}

/// Why a server could not start.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// use kaffic_serve::{Config, Server};
/// let client = kaffic_core::Kaffic::connect("memory://").await.unwrap();
/// let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
/// let config = Config { listen: taken.local_addr().unwrap(), ..Config::default() };
/// let error = Server::bind(client, config).await.unwrap_err();
/// assert!(error.to_string().contains("cannot listen on 127.0.0.1"));
/// # });
/// ```
#[derive(Debug)]
pub struct ServerError(pub(crate) String);

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ServerError {}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Server {
    /// Takes the address.
    ///
    /// # Errors
    /// If the limits don't fit each other, the address can't be had, or a certificate or key can't be
    /// read.
    pub async fn bind(client: Kaffic, config: Config) -> Result<Self, ServerError> {
        config.limits.check()?;
        let failed = |error| ServerError(format!("cannot listen on {}: {error}", config.listen));
        let listener = TcpListener::bind(config.listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let tls = config.tls.as_ref().map(|(cert, key)| tls::acceptor(cert, key)).transpose()?;
        Ok(Self { app: App::new(client, config), listener, address, tls })
    }

    /// The address, with the port that was taken.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Answers requests until `stop` is done; then takes no more, ends streams, lets requests finish,
    /// and writes what producers hold.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let Self { app, listener, tls, .. } = self;
        let sweeping = spawn({
            let app = Arc::clone(&app);
            async move { app.sweep().await }
        });
        let room = Arc::new(Semaphore::new(app.config.limits.connections));
        tokio::select! {
            biased;
            () = stop => (),
            () = accept(&app, &listener, tls, &room) => (),
        }
        drop(listener);
        app.stop();
        let Limits { connections, streams, drain_timeout, .. } = app.config.limits;
        let drained = async {
            // All of them: WebSockets have left their connections' places behind.
            let _ = room.acquire_many(connections as u32).await;
            let _ = app.streams.acquire_many(streams as u32).await;
        };
        if timeout(drain_timeout, drained).await.is_none() {
            tracing::warn!(?drain_timeout, "requests were cut off that had not finished");
        }
        sweeping.abort();
        tokio::join!(app.members.close(), app.producers.close());
    }
}

/// Accepts connections for ever, as long as there is room.
async fn accept(
    app: &Arc<App>,
    listener: &TcpListener,
    tls: Option<TlsAcceptor>,
    room: &Arc<Semaphore>,
) {
    let service = TowerToHyperService::new(router(app));
    let limits = &app.config.limits;
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(limits.read_timeout)
        .max_buf_size(limits.head_bytes);
    loop {
        let Ok(place) = Arc::clone(room).acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(PAUSE).await;
                continue;
            }
        };
        let _ = stream.set_nodelay(true);
        let (http, service, app) = (http.clone(), service.clone(), Arc::clone(app));
        let tls = tls.clone();
        spawn(async move {
            let limits = &app.config.limits;
            let stream = Timed::new(stream, limits.write_timeout);
            match tls {
                None => serve(&http, stream, service, &app).await,
                Some(tls) => match timeout(limits.read_timeout, tls.accept(stream)).await {
                    Some(Ok(stream)) => serve(&http, stream, service, &app).await,
                    Some(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
                    None => tracing::debug!("a TLS handshake took too long"),
                },
            }
            drop(place);
        });
    }
}

/// Answers one connection's requests, and lets the last of them finish when the server stops.
async fn serve(
    http: &http1::Builder,
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    service: TowerToHyperService<axum::Router>,
    app: &App,
) {
    let connection = http.serve_connection(TokioIo::new(stream), service).with_upgrades();
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = app.stopped() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended");
    }
}
