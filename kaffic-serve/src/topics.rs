//! Topics: create, list, describe, alter, delete.

use crate::app::{App, Shared};
use crate::body;
use crate::extract::{InPath, Params};
use crate::name::Name;
use crate::problem::{Problem, Result};
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use futures_util::{StreamExt, TryStreamExt};
use kaffic_core::{Compression, MinExpiry, TopicChange, TopicConfig, TopicDescription};
use serde::{Deserialize, Deserializer, Serialize};
use std::time::Duration;
use utoipa::{IntoParams, ToSchema};

/// How many partitions are looked at at once.
const AT_ONCE: usize = 16;

/// A topic to be created.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewTopic {
    /// Letters, digits, `.`, `_` and `-`.
    #[schema(value_type = Name)]
    name: String,
    /// Fixed for the topic's life.
    #[serde(default = "one")]
    #[schema(minimum = 1, maximum = 10000, default = 1)]
    partitions: u32,
    /// The least age at which the storage may delete messages, in milliseconds; null: never. A day
    /// for a new topic.
    #[serde(default, deserialize_with = "named")]
    #[schema(value_type = Option<u64>, minimum = 60000, maximum = 31622400000000_u64)]
    min_expiry_ms: Option<Option<u64>>,
    /// How old records may get before `kaffic trim` removes them, in milliseconds.
    #[serde(default, deserialize_with = "named")]
    #[schema(value_type = Option<u64>, minimum = 1, maximum = 31622400000000_u64)]
    retention_ms: Option<Option<u64>>,
    /// How many bytes of a partition `kaffic trim` leaves.
    #[serde(default, deserialize_with = "named")]
    #[schema(value_type = Option<u64>, minimum = 0)]
    retention_bytes: Option<Option<u64>>,
    /// The codec of producers that choose none: `none`, `gzip`, `snappy`, `lz4` or `zstd`.
    #[serde(default, deserialize_with = "named")]
    #[schema(value_type = Option<Codec>)]
    compression: Option<Option<Compression>>,
    /// The largest record that producers take, in bytes.
    #[serde(default, deserialize_with = "named")]
    #[schema(value_type = Option<u64>, minimum = 1, maximum = 33554432)]
    max_record_bytes: Option<Option<u64>>,
}

fn one() -> u32 {
    1
}

/// Settings of a topic: what is left out stays as it is, and null takes a setting away.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// The least age at which the storage may delete messages, in milliseconds; null: never. A day
    /// for a new topic.
    #[serde(default, deserialize_with = "named")]
    #[schema(value_type = Option<u64>, minimum = 60000, maximum = 31622400000000_u64)]
    min_expiry_ms: Option<Option<u64>>,
    /// How old records may get before `kaffic trim` removes them, in milliseconds.
    #[serde(default, deserialize_with = "named")]
    #[schema(value_type = Option<u64>, minimum = 1, maximum = 31622400000000_u64)]
    retention_ms: Option<Option<u64>>,
    /// How many bytes of a partition `kaffic trim` leaves.
    #[serde(default, deserialize_with = "named")]
    #[schema(value_type = Option<u64>, minimum = 0)]
    retention_bytes: Option<Option<u64>>,
    /// The codec of producers that choose none: `none`, `gzip`, `snappy`, `lz4` or `zstd`.
    #[serde(default, deserialize_with = "named")]
    #[schema(value_type = Option<Codec>)]
    compression: Option<Option<Compression>>,
    /// The largest record that producers take, in bytes.
    #[serde(default, deserialize_with = "named")]
    #[schema(value_type = Option<u64>, minimum = 1, maximum = 33554432)]
    max_record_bytes: Option<Option<u64>>,
}

/// The codec of a batch.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "it only describes kaffic_core::Compression")]
pub(crate) enum Codec {
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

/// Tells null from nothing.
fn named<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    from: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(from).map(Some)
}

impl NewTopic {
    fn config(&self) -> Result<TopicConfig> {
        let settings = Settings {
            min_expiry_ms: self.min_expiry_ms,
            retention_ms: self.retention_ms,
            retention_bytes: self.retention_bytes,
            compression: self.compression,
            max_record_bytes: self.max_record_bytes,
        };
        Ok(TopicConfig::new().partitions(self.partitions).settings(settings.change()?))
    }
}

impl Settings {
    fn change(&self) -> Result<TopicChange> {
        let mut change = TopicChange::new();
        if let Some(ms) = self.min_expiry_ms {
            let after = |ms| MinExpiry::After(Duration::from_millis(ms));
            change = change.min_expiry(ms.map_or(MinExpiry::Never, after));
        }
        if let Some(ms) = self.retention_ms {
            change = change.retention(ms.map(Duration::from_millis));
        }
        if let Some(bytes) = self.retention_bytes {
            if bytes.is_some_and(|bytes| i64::try_from(bytes).is_err()) {
                return Err(Problem::invalid("retention_bytes is beyond 64 bits"));
            }
            change = change.retention_bytes(bytes);
        }
        if let Some(codec) = self.compression {
            change = change.compression(codec);
        }
        if let Some(bytes) = self.max_record_bytes {
            change = change.max_record_bytes(bytes);
        }
        Ok(change)
    }
}

/// A topic.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Topic {
    name: String,
    partitions: u32,
    /// How many topics of that name were deleted before this one.
    incarnation: u32,
    /// Milliseconds since the Unix epoch.
    created_ms: i64,
    /// The least age at which the storage may delete messages; null: never.
    #[schema(required)]
    min_expiry_ms: Option<u64>,
    #[schema(required)]
    retention_ms: Option<u64>,
    #[schema(required)]
    retention_bytes: Option<u64>,
    #[schema(required, value_type = Option<Codec>)]
    compression: Option<String>,
    #[schema(required)]
    max_record_bytes: Option<u64>,
}

impl From<TopicDescription> for Topic {
    fn from(topic: TopicDescription) -> Self {
        let ms = |duration: Duration| duration.as_millis() as u64;
        Self {
            name: topic.name,
            partitions: topic.partitions,
            incarnation: topic.incarnation,
            created_ms: topic.created_ms,
            min_expiry_ms: match topic.min_expiry {
                MinExpiry::After(age) => Some(ms(age)),
                MinExpiry::Never => None,
            },
            retention_ms: topic.retention.map(ms),
            retention_bytes: topic.retention_bytes,
            compression: topic.compression.map(|codec| codec.to_string()),
            max_record_bytes: topic.max_record_bytes,
        }
    }
}

/// All topics.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TopicList {
    /// By name.
    topics: Vec<Topic>,
}

/// What deleting a topic came to.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Deleted {
    /// Objects that were removed.
    removed: u64,
    /// Objects that have to stay for now; deleting the topic again later removes them.
    remaining: u64,
    /// When the last of these may be removed.
    #[schema(required)]
    removable_at_ms: Option<i64>,
}

/// The offsets of a topic's partitions.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OffsetList {
    offsets: Vec<PartitionOffsets>,
}

/// The offsets of a partition.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PartitionOffsets {
    partition: u32,
    /// The first record that is still there.
    earliest: i64,
    /// The offset that the next record will get.
    end: i64,
    /// The first record at or after the time asked for; the end if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<i64>,
}

/// Which offsets.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct OffsetQuery {
    /// Only this partition.
    #[param(minimum = 0, maximum = 9999)]
    partition: Option<u32>,
    /// Also the offset at this time, in Unix milliseconds.
    time: Option<i64>,
}

/// Create a topic.
#[utoipa::path(post, path = "/v1/topics", tag = "topics", request_body = NewTopic, responses(
    (status = 201, description = "It is there.", body = Topic,
        headers(("Location" = String, description = "Its path."))),
    Problem,
))]
pub(crate) async fn create(
    State(app): Shared,
    headers: HeaderMap,
    body: Body,
) -> Result<impl IntoResponse> {
    let new: NewTopic = body::json(&app, &headers, body).await?;
    let topic = app.client.topics().create(&new.name, new.config()?).await?;
    let location = [(header::LOCATION, format!("/v1/topics/{}", topic.name))];
    Ok((StatusCode::CREATED, location, Json(Topic::from(topic))))
}

/// List the topics.
#[utoipa::path(get, path = "/v1/topics", tag = "topics", responses(
    (status = 200, description = "All topics.", body = TopicList),
    Problem,
))]
pub(crate) async fn list(State(app): Shared) -> Result<Json<TopicList>> {
    let topics = app.client.topics().list().await?;
    Ok(Json(TopicList { topics: topics.into_iter().map(Topic::from).collect() }))
}

/// Describe a topic.
#[utoipa::path(get, path = "/v1/topics/{topic}", tag = "topics",
    params(("topic" = Name, Path, description = "The topic's name.")), responses(
    (status = 200, description = "The topic.", body = Topic),
    Problem,
))]
pub(crate) async fn describe(
    State(app): Shared,
    InPath(topic): InPath<String>,
) -> Result<Json<Topic>> {
    Ok(Json(app.client.topics().describe(&topic).await?.into()))
}

/// Change settings of a topic.
#[utoipa::path(patch, path = "/v1/topics/{topic}", tag = "topics",
    params(("topic" = Name, Path, description = "The topic's name.")),
    request_body = Settings, responses(
    (status = 200, description = "The topic as it is now.", body = Topic),
    Problem,
))]
pub(crate) async fn alter(
    State(app): Shared,
    InPath(topic): InPath<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Topic>> {
    let settings: Settings = body::json(&app, &headers, body).await?;
    let altered = app.client.topics().alter(&topic, settings.change()?).await?;
    app.producers.renew_topic(&topic);
    Ok(Json(altered.into()))
}

/// Delete a topic and its records.
#[utoipa::path(delete, path = "/v1/topics/{topic}", tag = "topics",
    params(("topic" = Name, Path, description = "The topic's name.")), responses(
    (status = 200, description = "It is gone.", body = Deleted),
    Problem,
))]
pub(crate) async fn delete(
    State(app): Shared,
    InPath(topic): InPath<String>,
) -> Result<Json<Deleted>> {
    let deletion = app.client.topics().delete(&topic).await?;
    app.producers.renew_topic(&topic);
    Ok(Json(Deleted {
        removed: deletion.removed,
        remaining: deletion.remaining,
        removable_at_ms: deletion.removable_at_ms,
    }))
}

/// The earliest and the end offset of every partition.
#[utoipa::path(get, path = "/v1/topics/{topic}/offsets", tag = "topics",
    params(("topic" = Name, Path, description = "The topic's name."), OffsetQuery), responses(
    (status = 200, description = "The offsets.", body = OffsetList),
    Problem,
))]
pub(crate) async fn offsets(
    State(app): Shared,
    InPath(topic): InPath<String>,
    Params(query): Params<OffsetQuery>,
) -> Result<Json<OffsetList>> {
    let described = app.client.topics().describe(&topic).await?;
    let partitions = match query.partition {
        Some(partition) => partition..partition.saturating_add(1),
        None => 0..described.partitions,
    };
    let (app, topic): (&App, &str) = (&app, &topic);
    let offsets = futures_util::stream::iter(partitions)
        .map(|partition| async move {
            let ask = app.client.offsets(topic);
            let at = match query.time {
                Some(time) => Some(ask.at(partition, time).await?),
                None => None,
            };
            let (earliest, end) = ask.range(partition).await?;
            Ok::<_, Problem>(PartitionOffsets { partition, earliest, end, at })
        })
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    Ok(Json(OffsetList { offsets }))
}
