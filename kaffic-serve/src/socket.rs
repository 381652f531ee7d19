//! Streams by WebSocket: a message a record.

use crate::answer;
use crate::app::{App, Shared};
use crate::data::{RecordOut, Show};
use crate::extract::{InPath, Params};
use crate::feed::{Feed, StreamQuery};
use crate::name::Name;
use crate::problem::{Problem, Result};
use crate::runtime::timeout;
use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;

/// After a silence of so long a ping is sent.
const SILENCE: Duration = Duration::from_secs(15);
/// What a client may send: nothing is asked of it.
const MOST_FROM_CLIENT: usize = 4 << 10;

/// Follow a topic by WebSocket.
///
/// Each message is a JSON object with the `record` and the `position` behind it, from which another
/// stream goes on. When something fails, a message with the `problem` comes, and the end.
#[utoipa::path(get, path = "/v1/topics/{topic}/ws", tag = "records",
    params(("topic" = Name, Path, description = "The topic's name."), StreamQuery), responses(
    (status = 101, description = "The records, for ever, each as a message."),
    Problem,
))]
pub(crate) async fn socket(
    State(app): Shared,
    InPath(topic): InPath<String>,
    Params(query): Params<StreamQuery>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response> {
    let upgrade = upgrade.map_err(|error| {
        Problem::new(StatusCode::UPGRADE_REQUIRED, "upgrade_required", error.body_text())
    })?;
    check_origin(&headers)?;
    let place = app.stream_place()?;
    let feed = Feed::open(&app, &topic, &query, &headers).await?;
    Ok(upgrade
        .max_message_size(MOST_FROM_CLIENT)
        .max_frame_size(MOST_FROM_CLIENT)
        .write_buffer_size(16 << 10)
        .on_upgrade(move |socket| run(socket, app, feed, query.show, place)))
}

/// Browsers let any page open a WebSocket to anywhere, and say which page it was.
fn check_origin(headers: &HeaderMap) -> Result<()> {
    let text = |name| headers.get(name).and_then(|value: &header::HeaderValue| value.to_str().ok());
    let Some(origin) = text(header::ORIGIN) else { return Ok(()) };
    let of_page = origin.split_once("://").map(|(_, host)| host);
    if of_page.is_some() && of_page == text(header::HOST) {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::FORBIDDEN,
        "foreign_origin",
        format!("a page of {origin} asks, and this server is another"),
    ))
}

async fn run(
    mut socket: WebSocket,
    app: Arc<App>,
    mut feed: Feed,
    show: Show,
    _place: OwnedSemaphorePermit,
) {
    let end = follow(&mut socket, &app, &mut feed, show).await;
    let (code, reason) = match &end {
        End::Gone => return,
        End::Stopping => (close_code::AWAY, "the server is being stopped"),
        End::Failed(problem) => {
            let message = message(&serde_json::json!({ "problem": problem.body() }));
            let _ = timeout(SILENCE, socket.send(message)).await;
            (close_code::ERROR, problem.code())
        }
    };
    let close = CloseFrame { code, reason: reason.into() };
    let _ = timeout(SILENCE, socket.send(Message::Close(Some(close)))).await;
}

/// Why a stream ends.
enum End {
    /// The client has gone, or does not take what it asked for.
    Gone,
    Stopping,
    Failed(Problem),
}

async fn follow(socket: &mut WebSocket, app: &App, feed: &mut Feed, show: Show) -> End {
    let patience = app.config.limits.write_timeout;
    loop {
        let records = tokio::select! {
            biased;
            () = app.stopped() => return End::Stopping,
            said = socket.recv() => match said {
                None | Some(Err(_) | Ok(Message::Close(_))) => return End::Gone,
                Some(Ok(_)) => continue,
            },
            next = timeout(SILENCE, feed.next()) => match next {
                None => Vec::new(),
                Some(Ok(Some(records))) => records,
                Some(Ok(None)) => return End::Stopping,
                Some(Err(problem)) => return End::Failed(problem),
            },
        };
        if records.is_empty() {
            match timeout(patience, socket.send(Message::Ping(Default::default()))).await {
                Some(Ok(())) => continue,
                _ => return End::Gone,
            }
        }
        for record in records {
            let _room = tokio::select! {
                room = answer::room(app, &record) => room,
                () = app.stopped() => return End::Stopping,
            };
            feed.position.pass(&record);
            let position = feed.position.to_string();
            let message = message(&Event { record: RecordOut { record, show }, position });
            match timeout(patience, socket.send(message)).await {
                Some(Ok(())) => {}
                _ => return End::Gone,
            }
        }
    }
}

#[derive(Serialize)]
struct Event {
    record: RecordOut,
    position: String,
}

fn message(shape: &impl Serialize) -> Message {
    Message::Text(serde_json::to_string(shape).unwrap_or_default().into())
}
