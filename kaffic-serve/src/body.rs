//! Reading bodies: bounded in size and time, each and all together.

use crate::app::App;
use crate::object::Object;
use crate::problem::{Problem, Result};
use crate::runtime::timeout;
use axum::body::Body;
use axum::body::HttpBody;
use axum::http::{HeaderMap, StatusCode, header};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A body, and the room that it takes.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) bytes: Bytes,
    _room: Option<OwnedSemaphorePermit>,
}

/// Reads a whole body.
pub(crate) async fn read(app: &App, body: Body) -> Result<Held> {
    let limits = &app.config.limits;
    match timeout(limits.read_timeout, collect(body, limits.body_bytes, &app.bodies)).await {
        Some(held) => held,
        None => Err(too_slow(app)),
    }
}

/// Room for so many bytes of a body.
pub(crate) fn room(app: &App, bytes: usize) -> Result<OwnedSemaphorePermit> {
    take(&app.bodies, bytes)
}

fn take(room: &Arc<Semaphore>, bytes: usize) -> Result<OwnedSemaphorePermit> {
    Arc::clone(room)
        .try_acquire_many_owned(u32::try_from(bytes).unwrap_or(u32::MAX))
        .map_err(|_| Problem::busy("too many bodies are being read; try again later"))
}

async fn collect(mut body: Body, most: usize, room: &Arc<Semaphore>) -> Result<Held> {
    let said = body.size_hint().lower();
    if said > most as u64 {
        return Err(too_large(most));
    }
    // Memory that nothing is written to is not taken.
    let mut bytes = BytesMut::with_capacity(said as usize);
    let mut held: Option<OwnedSemaphorePermit> = None;
    while let Some(data) = next(&mut body).await? {
        if bytes.len() + data.len() > most {
            return Err(too_large(most));
        }
        let more = take(room, data.len())?;
        match &mut held {
            Some(held) => held.merge(more),
            None => held = Some(more),
        }
        bytes.extend_from_slice(&data);
    }
    Ok(Held { bytes: bytes.freeze(), _room: held })
}

/// The next piece of a body; `None` at its end.
pub(crate) async fn next(body: &mut Body) -> Result<Option<Bytes>> {
    loop {
        match body.frame().await {
            None => return Ok(None),
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
            Some(Err(error)) => {
                return Err(Problem::new(
                    StatusCode::BAD_REQUEST,
                    "body_broken",
                    format!("the body ended before its end: {error}"),
                ));
            }
        }
    }
}

pub(crate) fn too_large(most: usize) -> Problem {
    Problem::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "body_too_large",
        format!("the body has more than {most} bytes; send less at once, or a stream of records"),
    )
}

pub(crate) fn too_slow(app: &App) -> Problem {
    let detail = format!("the body did not arrive within {:?}", app.config.limits.read_timeout);
    Problem::new(StatusCode::REQUEST_TIMEOUT, "body_too_slow", detail)
}

/// The media type of the body, in lower case, without parameters.
pub(crate) fn media_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    Some(value.split(';').next()?.trim().to_ascii_lowercase())
}

pub(crate) fn unsupported(given: Option<&str>, taken: &str) -> Problem {
    let given = given.map_or("no Content-Type".to_owned(), |given| format!("Content-Type {given}"));
    Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "unsupported_media_type",
        format!("{given}; this takes {taken}"),
    )
}

/// Reads a body in JSON.
pub(crate) async fn json<T: DeserializeOwned>(
    app: &App,
    headers: &HeaderMap,
    body: Body,
) -> Result<T> {
    match media_type(headers).as_deref() {
        Some("application/json" | "application/merge-patch+json") => {}
        other => return Err(unsupported(other, "application/json")),
    }
    let held = read(app, body).await?;
    parse(&held.bytes)
}

/// JSON with a sentence on what is wrong with it.
pub(crate) fn parse<T: DeserializeOwned>(text: &[u8]) -> Result<T> {
    serde_json::from_slice(text).map(|Object(parsed)| parsed).map_err(|error| {
        Problem::new(StatusCode::BAD_REQUEST, "invalid_json", format!("the body: {error}"))
    })
}
