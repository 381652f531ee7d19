//! Producer (signatures).

use crate::batch::Compression;
use crate::error::Result;
use crate::record::Record;
use crate::topic::TopicConfig;
use std::time::Duration;

/// Where a record went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ack {
    /// The partition.
    pub partition: u32,
    /// The offset; of the first record, where several were appended.
    pub offset: i64,
    /// The record's timestamp, Unix milliseconds.
    pub timestamp: i64,
}

/// A record under way: a future of its [`Ack`].
#[derive(Debug)]
#[must_use = "a ticket tells whether the record was written; flush() waits for all"]
pub struct Ticket {}

impl std::future::Future for Ticket {
    type Output = Result<Ack>;
    fn poll(
        self: std::pin::Pin<&mut Self>,
        _cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Self::Output> {
        todo!()
    }
}

/// What `send` and `enqueue` do when the buffer is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WhenFull {
    /// Wait until there is room.
    #[default]
    Wait,
    /// Fail with [`crate::ErrorKind::QueueFull`].
    Fail,
}

/// Configures a [`Producer`].
#[derive(Debug)]
pub struct ProducerBuilder {}

impl ProducerBuilder {
    /// How long a batch waits for more records (0 by default: it goes as soon as the one before
    /// it is acknowledged).
    pub fn linger(self, linger: Duration) -> Self {
        let _ = linger;
        self
    }
    /// The size at which a batch is full, in bytes before compression (1 MiB by default).
    pub fn batch_bytes(self, bytes: usize) -> Self {
        let _ = bytes;
        self
    }
    /// The bytes of records that may be under way at once (64 MiB by default).
    pub fn max_in_flight_bytes(self, bytes: usize) -> Self {
        let _ = bytes;
        self
    }
    /// What happens when `max_in_flight_bytes` is reached.
    pub fn when_full(self, when_full: WhenFull) -> Self {
        let _ = when_full;
        self
    }
    /// The codec (none by default).
    pub fn compression(self, compression: Compression) -> Self {
        let _ = compression;
        self
    }
    /// How long a record may take from `send` to its acknowledgement (2 minutes by default).
    pub fn delivery_timeout(self, timeout: Duration) -> Self {
        let _ = timeout;
        self
    }
    /// Creates the topic with these settings if it does not exist.
    pub fn create_topic(self, config: TopicConfig) -> Self {
        let _ = config;
        self
    }
    /// Builds the producer.
    pub async fn build(self) -> Result<Producer> {
        todo!()
    }
}

/// Writes records to one topic. Cheap to clone; clones share buffers and order.
#[derive(Debug, Clone)]
pub struct Producer {}

impl Producer {
    /// Sends a record and waits for its acknowledgement.
    pub async fn send(&self, record: Record) -> Result<Ack> {
        let _ = record;
        todo!()
    }
    /// Puts a record into the buffer (waiting for room there) and returns a future of its
    /// acknowledgement.
    pub async fn enqueue(&self, record: Record) -> Result<Ticket> {
        let _ = record;
        todo!()
    }
    /// Appends the records as one batch, all or none; with `expected_offset` only if the first
    /// of them gets just that offset.
    pub async fn append(
        &self,
        partition: u32,
        records: Vec<Record>,
        expected_offset: Option<i64>,
    ) -> Result<Ack> {
        let _ = (partition, records, expected_offset);
        todo!()
    }
    /// The number of partitions of the topic.
    pub fn partitions(&self) -> u32 {
        todo!()
    }
    /// Waits until everything enqueued so far is acknowledged; the first failure is returned.
    pub async fn flush(&self) -> Result<()> {
        todo!()
    }
    /// Flushes, ends the blocks written to, and refuses records from now on.
    pub async fn close(&self) -> Result<()> {
        todo!()
    }
}

/// The partition that Kafka's own clients choose for `key`.
pub fn partition_for_key(key: &[u8], partitions: u32) -> u32 {
    let _ = (key, partitions);
    todo!()
}
