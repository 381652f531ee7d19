//! The chain of a topic's descriptions, as it is stored.

use crate::chain::{self, Link};
use crate::error::{Error, ErrorKind, Result};
use crate::keys::{LogId, topic_dir};
use crate::store::Store;
use serde::{Deserialize, Serialize};

/// The version of the stored form.
pub(crate) const FORMAT: u32 = 1;

/// A link of a topic's chain.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Stored {
    pub(crate) format: u32,
    pub(crate) incarnation: u32,
    pub(crate) deleted: bool,
    pub(crate) partitions: u32,
    /// R; null is never.
    pub(crate) min_expiry_ms: Option<i64>,
    pub(crate) slots: u32,
    pub(crate) created_ms: i64,
    /// Makes links of different writers differ.
    pub(crate) nonce: String,
}

/// The newest description of a topic.
pub(crate) async fn newest(store: &Store, topic: &str) -> Result<Option<Link<Stored>>> {
    let newest = chain::newest::<Stored>(store, &topic_dir(topic)).await?;
    match newest {
        Some(link) if link.value.format != FORMAT => Err(Error::new(
            ErrorKind::Unsupported,
            format!(
                "topic {topic} is described in format {}; this version reads {FORMAT}",
                link.value.format
            ),
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

/// Whether this incarnation of the topic is still the one that is there.
pub(crate) async fn is_alive(store: &Store, id: &LogId) -> Result<bool> {
    let newest = newest(store, &id.topic).await?;
    Ok(newest.is_some_and(|link| !link.value.deleted && link.value.incarnation == id.incarnation))
}
