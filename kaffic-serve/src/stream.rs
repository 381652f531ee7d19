//! Streams of server-sent events: each record is an event, whose id says where another stream goes
//! on (`Last-Event-ID`).

use crate::answer;
use crate::app::{App, Shared};
use crate::data::{RecordOut, Show};
use crate::extract::{InPath, Params};
use crate::feed::{Feed, StreamQuery};
use crate::name::Name;
use crate::problem::{Problem, Result};
use crate::runtime::timeout;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::IntoResponse;
use bytes::Bytes;
use kaffic_core::ConsumerRecord;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;

/// After a silence of so long a comment is sent, so that proxies keep the connection.
const SILENCE: Duration = Duration::from_secs(15);

/// Follow a topic by server-sent events.
///
/// Each record is an event with the record in JSON as its data, and as its id the offset that comes
/// next in every partition. A stream that is cut off goes on where it was by `Last-Event-ID`, which
/// browsers send by themselves. When something fails an event `error` says what, and the stream ends.
#[utoipa::path(get, path = "/v1/topics/{topic}/stream", tag = "records",
    params(("topic" = Name, Path, description = "The topic's name."), StreamQuery,
        ("Last-Event-ID" = Option<String>, Header, description = "The id of the last event.",
            pattern = "^[0-9]{1,4}:[0-9]{1,15}(,[0-9]{1,4}:[0-9]{1,15}){0,99}$")), responses(
    (status = 200, description = "The records, for ever.", body = String,
        content_type = "text/event-stream"),
    Problem,
))]
pub(crate) async fn stream(
    State(app): Shared,
    InPath(topic): InPath<String>,
    Params(query): Params<StreamQuery>,
    headers: HeaderMap,
) -> Result<impl IntoResponse> {
    let place = app.stream_place()?;
    let feed = Feed::open(&app, &topic, &query, &headers).await?;
    let (feed, given) = (Some(feed), VecDeque::new());
    let events = Events { app, feed, given, show: query.show, begun: false, _place: place };
    let body = futures_util::stream::unfold(events, async |mut events| {
        let bytes = events.next().await?;
        Some((Ok::<_, Infallible>(bytes), events))
    });
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
        // nginx would keep events back to fill its buffer.
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    Ok((headers, Body::from_stream(body)))
}

/// A stream under way. It has its place as long as it lives.
struct Events {
    app: Arc<App>,
    /// None after the last event.
    feed: Option<Feed>,
    /// Records that are still to be sent.
    given: VecDeque<ConsumerRecord>,
    show: Show,
    begun: bool,
    _place: OwnedSemaphorePermit,
}

impl Events {
    async fn next(&mut self) -> Option<Bytes> {
        let feed = self.feed.as_mut()?;
        if !self.begun {
            self.begun = true;
            // So that whoever asks for the latest knows that it is being listened to, and can go on
            // from there.
            return Some(format!("retry: 1000\nid: {}\n: open\n\n", feed.position).into());
        }
        if self.app.is_stopping() {
            return None;
        }
        if !self.given.is_empty() {
            return self.records().await;
        }
        let next = tokio::select! {
            next = timeout(SILENCE, feed.next()) => next,
            () = self.app.stopped() => return None,
        };
        match next {
            None => Some(Bytes::from_static(b":\n\n")),
            Some(Ok(Some(records))) => {
                self.given = records.into();
                self.records().await
            }
            Some(Ok(None)) => None,
            Some(Err(problem)) => {
                self.feed = None;
                let data = serde_json::to_string(problem.body()).unwrap_or_default();
                Some(format!("event: error\ndata: {data}\n\n").into())
            }
        }
    }

    /// Records as events: several short ones, or one that is long.
    async fn records(&mut self) -> Option<Bytes> {
        let position = &mut self.feed.as_mut()?.position;
        let (mut text, mut room) = (Vec::new(), None);
        while let Some(record) = self.given.pop_front() {
            let fits = text.is_empty() || text.len() + answer::longest(&record) <= answer::SHORT;
            if !fits {
                self.given.push_front(record);
                break;
            }
            if text.is_empty() {
                room = tokio::select! {
                    room = answer::room(&self.app, &record) => room,
                    () = self.app.stopped() => return None,
                };
            }
            position.pass(&record);
            text.extend_from_slice(format!("id: {position}\ndata: ").as_bytes());
            // Writing to a vector can't fail.
            let _ = serde_json::to_writer(&mut text, &RecordOut { record, show: self.show });
            text.extend_from_slice(b"\n\n");
        }
        Some(answer::counted(text, room))
    }
}
