//! How much a topic takes in the store: what its objects weigh, by a list of them all.

use crate::app::Shared;
use crate::extract::InPath;
use crate::name::Name;
use crate::problem::{Problem, Result};
use crate::runtime::now;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use futures_util::StreamExt;
use kaffic_core::object_store::ObjectStore;
use serde::Serialize;
use std::time::Duration;
use utoipa::ToSchema;

/// A list gives a thousand objects a request: this is a hundred of them.
const MOST_OBJECTS: u64 = 100_000;
const PATIENCE: Duration = Duration::from_secs(20);

/// What a topic's objects weigh.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct Size {
    /// Bytes as stored: compressed, and with what the format needs.
    bytes: u64,
    objects: u64,
    /// False if there are more than were looked at: 100,000, or as many as 20 s gave.
    complete: bool,
}

/// Measure a topic in the store.
///
/// Costs a list for each thousand of its objects.
#[utoipa::path(get, path = "/v1/topics/{topic}/size", tag = "topics",
    params(("topic" = Name, Path, description = "The topic's name.")), responses(
    (status = 200, description = "What its objects weigh.", body = Size),
    Problem,
))]
pub(crate) async fn size(State(app): Shared, InPath(topic): InPath<String>) -> Result<Json<Size>> {
    let described = app.client.topics().describe(&topic).await?;
    let (store, root) = app.client.object_store();
    let incarnation = described.incarnation.to_string();
    let place = root.join("data").join(topic.as_str()).join(incarnation.as_str());
    let mut objects = store.list(Some(&place));
    let mut size = Size { complete: true, ..Size::default() };
    let begun = now();
    while let Some(object) = objects.next().await {
        let object = object.map_err(|error| {
            let detail = format!("the objects of topic {topic} could not be listed: {error}");
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail)
        })?;
        if size.objects == MOST_OBJECTS || begun.elapsed() > PATIENCE {
            size.complete = false;
            break;
        }
        size.objects += 1;
        size.bytes += object.size;
    }
    Ok(Json(size))
}
