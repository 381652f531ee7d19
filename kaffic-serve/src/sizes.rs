//! How much a topic takes in the store: what its objects weigh, by a list of them all.

use crate::app::Shared;
use crate::extract::InPath;
use crate::name::Name;
use crate::problem::{Problem, Result};
use crate::runtime::{now, timeout};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use futures_util::{Stream, StreamExt};
use kaffic_core::object_store::{self, ObjectMeta, ObjectStore};
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
    measure(store.list(Some(&place)), PATIENCE).await.map(Json).map_err(|error| {
        let detail = format!("the objects of topic {topic} could not be listed: {error}");
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail)
    })
}

/// Adds up what is listed, for as long as there is patience.
async fn measure(
    mut objects: impl Stream<Item = object_store::Result<ObjectMeta>> + Unpin,
    patience: Duration,
) -> object_store::Result<Size> {
    let mut size = Size { complete: true, ..Size::default() };
    let until = now() + patience;
    loop {
        let left = until.saturating_duration_since(now());
        match timeout(left, objects.next()).await {
            Some(None) => return Ok(size),
            Some(Some(object)) if size.objects < MOST_OBJECTS => {
                size.objects += 1;
                size.bytes += object?.size;
            }
            _ => return Ok(Size { complete: false, ..size }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;

    #[tokio::test]
    async fn a_list_that_stands_still_is_not_waited_for() {
        let object = ObjectMeta {
            location: "o".into(),
            last_modified: Default::default(),
            size: 5,
            e_tag: None,
            version: None,
        };
        let objects = || stream::iter([Ok(object.clone())]);
        let whole = measure(objects(), PATIENCE).await.unwrap();
        assert_eq!((whole.bytes, whole.objects, whole.complete), (5, 1, true));
        let stuck = objects().chain(stream::pending());
        let part = measure(stuck, Duration::from_millis(50)).await.unwrap();
        assert_eq!((part.bytes, part.objects, part.complete), (5, 1, false));
    }
}
