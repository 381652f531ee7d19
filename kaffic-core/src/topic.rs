//! Topics: create, list, describe, delete.

use crate::error::Result;
use std::time::Duration;

/// The least age at which the storage may delete a topic's messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MinExpiry {
    /// Nothing is deleted before this age (24 h by default, 1 minute at least).
    After(Duration),
    /// Nothing is ever deleted by age.
    Never,
}

/// The settings of a topic to be created.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TopicConfig {}

impl TopicConfig {
    /// One partition, `min_expiry` 24 hours.
    pub fn new() -> Self {
        Self::default()
    }

    /// The number of partitions, 1 to 10,000; fixed for the topic's life.
    pub fn partitions(self, partitions: u32) -> Self {
        let _ = partitions;
        self
    }

    /// The least age at which the storage may delete messages.
    pub fn min_expiry(self, min_expiry: MinExpiry) -> Self {
        let _ = min_expiry;
        self
    }

    /// Slots in a block, 1 to 1000. Smaller blocks only serve tests.
    #[doc(hidden)]
    pub fn slots_per_block(self, slots: u32) -> Self {
        let _ = slots;
        self
    }
}

/// What a topic is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TopicDescription {
    /// The topic's name.
    pub name: String,
    /// How many topics of that name were deleted before this one.
    pub incarnation: u32,
    /// The number of partitions.
    pub partitions: u32,
    /// The least age at which the storage may delete messages.
    pub min_expiry: MinExpiry,
    /// When it was created, in milliseconds since the Unix epoch.
    pub created_ms: i64,
}

/// What a deletion did.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Deletion {
    /// Objects removed now.
    pub removed: u64,
    /// Objects that must stay a while, and when (Unix milliseconds) deleting again removes them.
    pub remaining: u64,
    /// When all of the remaining objects may be removed.
    pub removable_at_ms: Option<i64>,
}

/// The topics of a store.
#[derive(Debug, Clone)]
pub struct Topics {}

impl Topics {
    /// Creates a topic.
    pub async fn create(&self, name: &str, config: TopicConfig) -> Result<TopicDescription> {
        let _ = (name, config);
        todo!()
    }

    /// All topics, by name.
    pub async fn list(&self) -> Result<Vec<TopicDescription>> {
        todo!()
    }

    /// One topic.
    pub async fn describe(&self, name: &str) -> Result<TopicDescription> {
        let _ = name;
        todo!()
    }

    /// Deletes a topic.
    pub async fn delete(&self, name: &str) -> Result<Deletion> {
        let _ = name;
        todo!()
    }
}
