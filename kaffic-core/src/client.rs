//! The client: one connection to one store, from which topics, producers and consumers come.

use crate::consumer::ConsumerBuilder;
use crate::env::Env;
use crate::error::Result;
use crate::producer::ProducerBuilder;
use crate::store::RequestCounts;
use crate::topic::Topics;
use crate::verify::VerifyReport;
use object_store::ObjectStore;
use std::sync::Arc;

/// A client of one store. Cheap to clone; every clone shares the same connection.
#[derive(Debug, Clone)]
pub struct Kaffic {}

impl Kaffic {
    /// Connects to the store at `url`: `file:///path` or `memory://`.
    pub async fn connect(url: &str) -> Result<Self> {
        let _ = url;
        todo!()
    }

    /// A client to be configured first.
    pub fn builder() -> KafficBuilder {
        todo!()
    }

    /// The topics of the store: create, list, describe, delete.
    pub fn topics(&self) -> Topics {
        todo!()
    }

    /// A producer for `topic`, to be configured and built.
    pub fn producer(&self, topic: &str) -> ProducerBuilder {
        let _ = topic;
        todo!()
    }

    /// A consumer, to be configured and built.
    pub fn consumer(&self) -> ConsumerBuilder {
        todo!()
    }

    /// The offsets of a topic's partitions.
    pub fn offsets(&self, topic: &str) -> Offsets {
        let _ = topic;
        todo!()
    }

    /// Reads everything in `topic` and says what is wrong and where. `progress` is called with
    /// the records checked so far.
    pub async fn verify(
        &self,
        topic: &str,
        progress: impl FnMut(u64) + Send,
    ) -> Result<VerifyReport> {
        let _ = (topic, progress);
        todo!()
    }

    /// The storage requests made so far by this client and everything that came from it.
    pub fn request_counts(&self) -> RequestCounts {
        todo!()
    }
}

/// Configures a [`Kaffic`].
#[derive(Debug)]
pub struct KafficBuilder {}

impl KafficBuilder {
    /// The store's URL.
    pub fn url(self, url: &str) -> Self {
        let _ = url;
        todo!()
    }

    /// A store of the caller's own, and the prefix (may be empty) under which kaffic's keys go.
    pub fn store(self, store: Arc<dyn ObjectStore>, prefix: &str) -> Self {
        let _ = (store, prefix);
        todo!()
    }

    /// The environment; for simulations.
    pub fn env(self, env: Arc<dyn Env>) -> Self {
        let _ = env;
        todo!()
    }

    /// Connects.
    pub async fn connect(self) -> Result<Kaffic> {
        todo!()
    }
}

/// Offsets of one topic.
#[derive(Debug)]
pub struct Offsets {}

impl Offsets {
    /// The offset of the first record that is still there.
    pub async fn earliest(&self, partition: u32) -> Result<i64> {
        let _ = partition;
        todo!()
    }

    /// The tail: the offset that the next record will get.
    pub async fn latest(&self, partition: u32) -> Result<i64> {
        let _ = partition;
        todo!()
    }

    /// The offset of the first record with a timestamp at or after `unix_ms`; the tail if none.
    pub async fn at(&self, partition: u32, unix_ms: i64) -> Result<i64> {
        let _ = (partition, unix_ms);
        todo!()
    }
}
