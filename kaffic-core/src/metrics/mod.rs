//! What a client measures of its work: counted always, since it costs a few additions for a batch,
//! read as a whole by [`Kaffic::metrics`](crate::Kaffic::metrics), and told to the program's recorder
//! where the feature `metrics` is on.

mod durations;
mod meter;
mod publish;

pub use durations::Durations;
pub(crate) use meter::{Meter, Request, observed};

use std::sync::Arc;
use std::time::Duration;

/// Storage requests by kind, and the bytes that went each way.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let client = kaffic_core::Kaffic::connect("memory://").await.unwrap();
/// let before = client.request_counts();
/// client.topics().list().await.unwrap();
/// let after = client.request_counts();
/// assert_eq!(after.since(before).lists, 1);
/// # });
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequestCounts {
    /// Puts, conditional ones included.
    pub puts: u64,
    /// Gets of whole objects and of ranges.
    pub gets: u64,
    /// Lists of one directory.
    pub lists: u64,
    /// Deletes.
    pub deletes: u64,
    /// Bytes in puts.
    pub put_bytes: u64,
    /// Bytes from gets.
    pub get_bytes: u64,
}

impl RequestCounts {
    /// What was added since an earlier count.
    pub fn since(self, earlier: Self) -> Self {
        Self {
            puts: self.puts - earlier.puts,
            gets: self.gets - earlier.gets,
            lists: self.lists - earlier.lists,
            deletes: self.deletes - earlier.deletes,
            put_bytes: self.put_bytes - earlier.put_bytes,
            get_bytes: self.get_bytes - earlier.get_bytes,
        }
    }
}

/// What a client, and everything that came from it, has done so far. Counts only grow.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # use kaffic_core::{Kaffic, Record, Until};
/// let client = Kaffic::connect("memory://").await.unwrap();
/// client.topics().create("orders", Default::default()).await.unwrap();
/// let producer = client.producer("orders").build().await.unwrap();
/// producer.send(Record::value("v")).await.unwrap();
/// let mut consumer = client.consumer().topic("orders").until(Until::Latest).build().await.unwrap();
/// while consumer.next().await.unwrap().is_some() {}
///
/// let metrics = client.metrics();
/// assert_eq!((metrics.producer.records, metrics.consumer.records), (1, 1));
/// assert_eq!(metrics.producer.append.count, 1);
/// assert!(metrics.storage.put.duration.quantile(0.99) <= metrics.storage.put.duration.max());
/// # });
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Metrics {
    /// Requests to the storage.
    pub storage: StorageMetrics,
    /// What producers did.
    pub producer: ProducerMetrics,
    /// What consumers and groups did.
    pub consumer: ConsumerMetrics,
}

/// Something that is done again and again, takes time, and may fail.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let client = kaffic_core::Kaffic::connect("memory://").await.unwrap();
/// client.topics().list().await.unwrap();
/// let list = client.metrics().storage.list;
/// assert_eq!((list.count, list.failed, list.duration.count()), (1, 0, 1));
/// # });
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct OperationMetrics {
    /// How often it ended, well or not.
    pub count: u64,
    /// How often of these it failed.
    pub failed: u64,
    /// The bytes it moved. 0 for what moves none.
    pub bytes: u64,
    /// How long it took, failures included.
    pub duration: Durations,
}

/// Requests to the storage, each try on its own.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let client = kaffic_core::Kaffic::connect("memory://").await.unwrap();
/// client.topics().create("orders", Default::default()).await.unwrap();
/// let storage = client.metrics().storage;
/// assert!(storage.put.bytes > 0 && storage.throttled == 0);
/// # });
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct StorageMetrics {
    /// Puts, conditional ones included. That an object is there already is no failure.
    pub put: OperationMetrics,
    /// Gets of whole objects and of ranges. That there is no such object is no failure.
    pub get: OperationMetrics,
    /// Lists of one directory.
    pub list: OperationMetrics,
    /// Deletes.
    pub delete: OperationMetrics,
    /// Requests that the storage refused because there were too many.
    pub throttled: u64,
}

/// What producers did.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let client = kaffic_core::Kaffic::connect("memory://").await.unwrap();
/// let producer = client.metrics().producer;
/// assert_eq!((producer.records, producer.conflicts), (0, 0));
/// # });
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct ProducerMetrics {
    /// Batches: from when one was closed and compressed until it was acknowledged or failed. The
    /// bytes are those stored.
    pub append: OperationMetrics,
    /// Records that were acknowledged, without those that had been written before.
    pub records: u64,
    /// Slots that another writer won, in logs of records and in those of groups: each costs a round
    /// trip. Many of them mean that too many write to one partition.
    pub conflicts: u64,
}

/// What consumers and groups did.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let client = kaffic_core::Kaffic::connect("memory://").await.unwrap();
/// let consumer = client.metrics().consumer;
/// assert_eq!((consumer.records, consumer.bytes, consumer.commit.count), (0, 0, 0));
/// # });
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct ConsumerMetrics {
    /// Records that were handed to the program.
    pub records: u64,
    /// The bytes of their keys, values and headers.
    pub bytes: u64,
    /// Commits, one for each partition.
    pub commit: OperationMetrics,
    /// How far consumers and groups were behind when that was last asked: by
    /// [`Consumer::lag`](crate::Consumer::lag) or [`Groups::describe`](crate::Groups::describe).
    /// Nothing asks the storage for it by itself. Of at most 10,000 partitions.
    pub lag: Vec<PartitionLag>,
}

/// How far a reader of a partition was behind.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let client = kaffic_core::Kaffic::connect("memory://").await.unwrap();
/// # client.topics().create("orders", Default::default()).await.unwrap();
/// # let producer = client.producer("orders").build().await.unwrap();
/// # producer.send(kaffic_core::Record::value("v")).await.unwrap();
/// let consumer = client.consumer().topic("orders").build().await.unwrap();
/// consumer.lag().await.unwrap();
/// let lag = &client.metrics().consumer.lag[0];
/// assert_eq!((lag.group.as_deref(), &*lag.topic, lag.partition, lag.records), (None, "orders", 0, 1));
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PartitionLag {
    /// The group; `None` for consumers without one.
    pub group: Option<Arc<str>>,
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: u32,
    /// Offsets between its position, or the group's committed offset, and the tail.
    pub records: i64,
    /// How long ago it was asked.
    pub age: Duration,
}
