//! Answers in JSON whose memory is counted: whoever asks for much and takes it slowly has it kept for
//! so long.

use crate::app::App;
use crate::problem::{Problem, Result};
use crate::reader::size;
use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use kaffic_core::ConsumerRecord;
use serde::Serialize;
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;

/// Shorter answers are not counted.
pub(crate) const SHORT: usize = 64 << 10;

/// The bytes of an answer, and the room that they take until the last of them is sent.
struct Counted {
    bytes: Vec<u8>,
    _room: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// A shape as JSON.
pub(crate) fn json(app: &App, shape: &impl Serialize) -> Result<Response> {
    let bytes = serde_json::to_vec(shape).map_err(|error| {
        let internal = axum::http::StatusCode::INTERNAL_SERVER_ERROR;
        Problem::new(internal, "internal", format!("the answer can't be written: {error}"))
    })?;
    let bytes = match bytes.len() {
        0..=SHORT => Bytes::from(bytes),
        length => {
            let room = Arc::clone(&app.answers).try_acquire_many_owned(length as u32);
            let room = room.map_err(|_| {
                Problem::busy("too many answers wait to be taken; try again later, or ask for less")
            })?;
            counted(bytes, Some(room))
        }
    };
    Ok(([(header::CONTENT_TYPE, "application/json")], Body::from(bytes)).into_response())
}

/// Bytes that keep as much of the room as they take, until they are sent.
pub(crate) fn counted(bytes: Vec<u8>, room: Option<OwnedSemaphorePermit>) -> Bytes {
    let Some(mut room) = room else { return bytes.into() };
    let spare = room.num_permits().saturating_sub(bytes.len());
    drop(room.split(spare));
    Bytes::from_owner(Counted { bytes, _room: room })
}

/// How long a record may become as JSON.
pub(crate) fn longest(record: &ConsumerRecord) -> usize {
    // One byte may be six: \u0000.
    6 * size(record) + 64 * (record.headers.len() + 4)
}

/// Room for a record as JSON in a stream, if it may need any. A stream waits for that.
pub(crate) async fn room(app: &App, record: &ConsumerRecord) -> Option<OwnedSemaphorePermit> {
    let bytes = longest(record).min(app.config.limits.answers_bytes);
    match bytes > SHORT {
        true => Arc::clone(&app.answers).acquire_many_owned(bytes as u32).await.ok(),
        false => None,
    }
}
