//! Consumer (signatures).

use crate::error::Result;
use crate::record::ConsumerRecord;
use futures_util::stream::BoxStream;
use std::sync::Arc;
use std::time::Duration;

/// Where a consumer starts, and where `seek` goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Start {
    /// The first record that is still there.
    #[default]
    Earliest,
    /// The tail: only records appended from now on.
    Latest,
    /// This offset.
    Offset(i64),
    /// The first record with a timestamp at or after this, in Unix milliseconds.
    Timestamp(i64),
    /// This many offsets before the tail.
    Last(u64),
}

/// Where a consumer ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Until {
    /// Never: it waits for more.
    #[default]
    Forever,
    /// The end offsets seen at its start.
    Latest,
    /// This offset; it is not delivered.
    Offset(i64),
    /// Before the first record with a timestamp at or after this (Unix milliseconds), or the end
    /// seen at the start where there is none yet.
    Timestamp(i64),
}

/// What happens when the records at the position have expired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ResetPolicy {
    /// Go on at the earliest record that remains.
    #[default]
    Earliest,
    /// Go on at the tail.
    Latest,
    /// Fail with [`crate::ErrorKind::OffsetOutOfRange`].
    Error,
}

/// A partition and an offset in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionPosition {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: u32,
    /// The offset.
    pub offset: i64,
}

/// Configures a [`Consumer`].
#[derive(Debug)]
pub struct ConsumerBuilder {}

impl ConsumerBuilder {
    /// Reads all partitions of `topic`. May be called for several topics.
    pub fn topic(self, topic: &str) -> Self {
        let _ = topic;
        self
    }
    /// Reads these partitions of `topic`.
    pub fn assign(self, topic: &str, partitions: impl IntoIterator<Item = u32>) -> Self {
        let _ = (topic, partitions);
        self
    }
    /// Where to start (earliest by default).
    pub fn start(self, start: Start) -> Self {
        let _ = start;
        self
    }
    /// Where to end (never by default).
    pub fn until(self, until: Until) -> Self {
        let _ = until;
        self
    }
    /// Ends after this many records.
    pub fn max_records(self, records: u64) -> Self {
        let _ = records;
        self
    }
    /// Ends before the record that would bring keys and values above this many bytes; the first
    /// record is always delivered.
    pub fn max_bytes(self, bytes: u64) -> Self {
        let _ = bytes;
        self
    }
    /// What happens when records at the position have expired (earliest by default).
    pub fn reset(self, policy: ResetPolicy) -> Self {
        let _ = policy;
        self
    }
    /// The bytes that may be fetched ahead of what was polled, over all partitions (64 MiB).
    pub fn fetch_ahead_bytes(self, bytes: usize) -> Self {
        let _ = bytes;
        self
    }
    /// The longest wait between two looks at the tail (1 s by default); the shortest is 10 ms.
    pub fn fetch_max_wait(self, wait: Duration) -> Self {
        let _ = wait;
        self
    }
    /// Builds the consumer and finds its starting offsets.
    pub async fn build(self) -> Result<Consumer> {
        todo!()
    }
}

/// Reads records from partitions.
#[derive(Debug)]
pub struct Consumer {}

impl Consumer {
    /// At most `max` records; waits up to `timeout` for the first. Empty when there was none in
    /// time, or when the consumer [is finished](Self::is_finished).
    pub async fn poll(&mut self, max: usize, timeout: Duration) -> Result<Vec<ConsumerRecord>> {
        let _ = (max, timeout);
        todo!()
    }
    /// The next record, waiting as long as it takes; `None` when the consumer is finished.
    pub async fn next(&mut self) -> Result<Option<ConsumerRecord>> {
        todo!()
    }
    /// The records as a stream, which ends when the consumer is finished.
    pub fn stream(&mut self) -> BoxStream<'_, Result<ConsumerRecord>> {
        todo!()
    }
    /// Whether everything that was asked for has been delivered. Never with [`Until::Forever`].
    pub fn is_finished(&self) -> bool {
        todo!()
    }
    /// Goes on elsewhere in a partition.
    pub async fn seek(&mut self, topic: &str, partition: u32, to: Start) -> Result<()> {
        let _ = (topic, partition, to);
        todo!()
    }
    /// Stops delivering a partition until [`resume`](Self::resume).
    pub fn pause(&mut self, topic: &str, partition: u32) -> Result<()> {
        let _ = (topic, partition);
        todo!()
    }
    /// Delivers a paused partition again.
    pub fn resume(&mut self, topic: &str, partition: u32) -> Result<()> {
        let _ = (topic, partition);
        todo!()
    }
    /// The offset of the next record to be delivered, of every partition.
    pub fn positions(&self) -> Vec<PartitionPosition> {
        todo!()
    }
    /// The tails of the partitions, asked of the store now.
    pub async fn end_offsets(&self) -> Result<Vec<PartitionPosition>> {
        todo!()
    }
    /// How many offsets lie between position and tail, for every partition (in `offset`).
    pub async fn lag(&self) -> Result<Vec<PartitionPosition>> {
        todo!()
    }
}
