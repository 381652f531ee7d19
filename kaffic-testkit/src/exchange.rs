//! One request and its answer, with what is done to them between.

use crate::access::{Access, Entry};
use crate::fault::Fault;
use crate::proxy::Shared;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::Mutex;

/// Pieces of a slow body.
const PIECES: usize = 8;

/// Why there is no answer, or not the whole of it: the client's connection ends.
#[derive(Debug)]
pub(crate) enum Broken {
    /// With a reset, for this reason.
    Reset(String),
    /// Amid the body.
    Cut,
}

impl Broken {
    fn by(reason: impl fmt::Display) -> Self {
        Self::Reset(reason.to_string())
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reset(reason) => f.write_str(reason),
            Self::Cut => f.write_str("cut"),
        }
    }
}

impl std::error::Error for Broken {}

pub(crate) type Body = UnsyncBoxBody<Bytes, Broken>;

/// One client's connection, and the one to the server that stands for it.
pub(crate) struct Exchange {
    shared: Arc<Shared>,
    server: Mutex<Option<SendRequest<Full<Bytes>>>>,
}

impl Exchange {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, server: Mutex::default() }
    }

    /// The answer, or an error if the connection has to be reset.
    pub(crate) async fn answer(
        &self,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Broken> {
        let access = Access::of(request.method(), request.uri());
        let mut entry = Entry::new(access, self.shared.log.clone());
        let (parts, body) = request.into_parts();
        let request = Request::from_parts(
            parts,
            Full::new(body.collect().await.map_err(Broken::by)?.to_bytes()),
        );
        let fault = self.shared.roll(&entry.access.method);
        entry.access.fault = fault;
        pause(self.shared.latency()).await;
        if fault == Some(Fault::Delay) {
            pause(self.shared.delay).await;
        }
        let answer = match fault.filter(|fault| fault.is_before()) {
            Some(fault) => instead(fault).await,
            None => {
                let answer = self.forward(request).await?;
                entry.access.server = Some(answer.status().as_u16());
                self.spoil(fault, answer).await
            }
        }?;
        entry.access.client = Some(answer.status().as_u16());
        Ok(answer)
    }

    /// Asks the server, on the connection that is open or on a new one.
    async fn forward(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Broken> {
        let mut kept = self.server.lock().await;
        let mut server = match kept.take() {
            Some(mut server) => match server.ready().await {
                Ok(()) => server,
                // The server has closed it, and has not heard of this request.
                Err(_) => connect(self.shared.upstream).await?,
            },
            None => connect(self.shared.upstream).await?,
        };
        let answer = server.send_request(request).await.map_err(Broken::by)?;
        *kept = Some(server);
        Ok(answer)
    }

    /// What the client gets of an answer.
    async fn spoil(
        &self,
        fault: Option<Fault>,
        answer: Response<Incoming>,
    ) -> Result<Response<Body>, Broken> {
        let Some(fault) = fault.filter(|&fault| fault != Fault::Delay) else {
            return Ok(answer.map(|body| body.map_err(Broken::by).boxed_unsync()));
        };
        let (parts, body) = answer.into_parts();
        let bytes = body.collect().await.map_err(Broken::by)?.to_bytes();
        let body = match fault {
            Fault::Truncated => cut(bytes.slice(..bytes.len() / 2)),
            Fault::SlowBody => in_pieces(bytes, self.shared.delay),
            _ => return instead(fault).await,
        };
        Ok(Response::from_parts(parts, body))
    }
}

async fn connect(address: std::net::SocketAddr) -> Result<SendRequest<Full<Bytes>>, Broken> {
    let stream = TcpStream::connect(address).await.map_err(Broken::by)?;
    stream.set_nodelay(true).map_err(Broken::by)?;
    let mut builder = http1::Builder::new();
    let handshake = builder.preserve_header_case(true).handshake(TokioIo::new(stream));
    let (server, connection) = handshake.await.map_err(Broken::by)?;
    tokio::spawn(connection);
    Ok(server)
}

/// What the client gets in place of an answer.
async fn instead(fault: Fault) -> Result<Response<Body>, Broken> {
    let (status, code) = match fault {
        Fault::Status500Before | Fault::Status500After => {
            (StatusCode::INTERNAL_SERVER_ERROR, "InternalError")
        }
        Fault::Status503Before | Fault::Status503After => {
            (StatusCode::SERVICE_UNAVAILABLE, "SlowDown")
        }
        Fault::Status429 => (StatusCode::TOO_MANY_REQUESTS, "TooManyRequests"),
        // The connection ends when the client closes it, and this with it.
        Fault::HalfOpenBefore | Fault::HalfOpenAfter => std::future::pending().await,
        _ => return Err(Broken::by(fault)),
    };
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <Error><Code>{code}</Code><Message>made by the fault proxy</Message></Error>"
    );
    let body = Full::new(Bytes::from(text)).map_err(|never| match never {}).boxed_unsync();
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    let xml = HeaderValue::from_static("application/xml");
    answer.headers_mut().insert(CONTENT_TYPE, xml);
    Ok(answer)
}

/// A body that ends before its time.
fn cut(bytes: Bytes) -> Body {
    let end = async {
        // What came before is sent first.
        tokio::task::yield_now().await;
        Err(Broken::Cut)
    };
    let frames = stream::once(async { Ok(Frame::data(bytes)) }).chain(stream::once(end));
    BodyExt::boxed_unsync(StreamBody::new(frames))
}

/// A body that comes with pauses.
fn in_pieces(bytes: Bytes, wait: Duration) -> Body {
    let size = bytes.len().div_ceil(PIECES).max(1);
    let frames = stream::unfold(bytes, move |mut left| async move {
        if left.is_empty() {
            return None;
        }
        pause(wait).await;
        let piece = left.split_to(size.min(left.len()));
        Some((Ok(Frame::data(piece)), left))
    });
    BodyExt::boxed_unsync(StreamBody::new(frames))
}

async fn pause(time: Duration) {
    if !time.is_zero() {
        tokio::time::sleep(time).await;
    }
}
