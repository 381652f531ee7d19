//! The chain of a topic's descriptions, as it is stored.

use crate::batch::Compression;
use crate::chain::{self, Link};
use crate::error::{Error, ErrorKind, Result};
use crate::keys::{LogId, LogPart, chain_link, topic_dir};
use crate::store::Store;
use serde::{Deserialize, Serialize};

/// The most partitions that a topic has.
pub(crate) const MAX_PARTITIONS: u32 = 10_000;
/// The most slots that a block has.
pub(crate) const MAX_SLOTS: u32 = 1000;

/// The version of the stored form.
pub(crate) const FORMAT: u32 = 1;

/// What can be changed of a topic besides R. Absent is not set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Settings {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) retention_ms: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) retention_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) compression: Option<Compression>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_record_bytes: Option<u64>,
}

/// A link of a topic's chain.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Stored {
    pub(crate) format: u32,
    pub(crate) incarnation: u32,
    pub(crate) deleted: bool,
    pub(crate) partitions: u32,
    /// R; null is never, and has to be there.
    #[serde(deserialize_with = "Option::deserialize")]
    pub(crate) min_expiry_ms: Option<i64>,
    pub(crate) slots: u32,
    #[serde(flatten)]
    pub(crate) settings: Settings,
    pub(crate) created_ms: i64,
    /// Makes links of different writers differ.
    pub(crate) nonce: String,
}

impl Stored {
    fn is_sane(&self) -> bool {
        (1..=MAX_PARTITIONS).contains(&self.partitions)
            && (1..=MAX_SLOTS).contains(&self.slots)
            && self.min_expiry_ms.is_none_or(|ms| ms >= 1)
            && self.settings.retention_ms.is_none_or(|ms| ms >= 1)
    }
}

/// The newest description of a topic.
pub(crate) async fn newest(store: &Store, topic: &str) -> Result<Option<Link<Stored>>> {
    let newest = chain::newest::<Stored>(store, &topic_dir(topic)).await?;
    match newest {
        Some(link) if link.value.format != FORMAT => Err(Error::new(
            ErrorKind::Unsupported,
            format!(
                "{} is in format {}; this version reads {FORMAT}",
                chain_link(&topic_dir(topic), link.version),
                link.value.format
            ),
        )),
        Some(link) if !link.value.is_sane() => Err(Error::corrupt(
            &chain_link(&topic_dir(topic), link.version),
            "its numbers can't be",
        )),
        other => Ok(other),
    }
}

/// Appends a description after version `after`. False when another was first.
pub(crate) async fn append(
    store: &Store,
    topic: &str,
    after: Option<u64>,
    value: &Stored,
) -> Result<bool> {
    Ok(chain::append(store, &topic_dir(topic), after, value).await?.is_some())
}

/// Whether this incarnation of the topic is still the one that is there. The logs of groups outlive
/// topics, and never end.
pub(crate) async fn is_alive(store: &Store, id: &LogId) -> Result<bool> {
    if id.part != LogPart::Records {
        return Ok(true);
    }
    let newest = newest(store, &id.topic).await?;
    Ok(newest.is_some_and(|link| !link.value.deleted && link.value.incarnation == id.incarnation))
}
