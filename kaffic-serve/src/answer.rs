//! Answers in JSON whose memory is counted: whoever asks for much and takes it slowly has it kept for
//! so long.

use crate::app::App;
use crate::problem::{Problem, Result};
use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Serialize;
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;

/// Shorter answers are not counted.
const SHORT: usize = 64 << 10;

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
            Bytes::from_owner(Counted { bytes, _room: room })
        }
    };
    Ok(([(header::CONTENT_TYPE, "application/json")], Body::from(bytes)).into_response())
}
