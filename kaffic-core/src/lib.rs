//! A message log with no broker.
//!
//! A program links this library, points it at a place where objects are stored, and has Kafka's
//! model: topics, partitions that are FIFO by key, offsets, consumers that choose where to start.
//! Nothing else runs.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> kaffic_core::Result<()> {
//! use kaffic_core::{Kaffic, Record, Start, TopicConfig, Until};
//!
//! let client = Kaffic::connect("memory://").await?;
//! client.topics().create("orders", TopicConfig::new().partitions(3)).await?;
//!
//! let producer = client.producer("orders").build().await?;
//! let ack = producer.send(Record::value("paid").key("customer-7")).await?;
//! println!("partition {} offset {}", ack.partition, ack.offset);
//! producer.close().await?;
//!
//! let mut consumer =
//!     client.consumer().topic("orders").start(Start::Earliest).until(Until::Latest).build().await?;
//! while let Some(record) = consumer.next().await? {
//!     assert_eq!(record.value.as_deref(), Some(&b"paid"[..]));
//! }
//! # Ok(()) }
//! ```

mod batch;
mod catalog;
mod chain;
mod client;
mod compact;
mod consumer;
mod context;
mod doctor;
pub mod env;
mod error;
mod group;
mod keys;
mod log;
mod metrics;
mod names;
mod producer;
mod record;
mod slot;
mod store;
mod topic;
mod trim;
mod verify;

pub use batch::Compression;
pub use client::{Kaffic, KafficBuilder, Offsets};
pub use compact::CompactionReport;
pub use consumer::{
    Consumer, ConsumerBuilder, PartitionPosition, RebalanceListener, ResetPolicy, Start, Until,
};
pub use doctor::{Check, CheckResult, DoctorReport, Load};
pub use error::{Error, ErrorKind, Outcome, Result};
pub use group::{
    Assignment, Assignor, AssignorInput, CommittedOffset, GroupDescription, GroupListing,
    GroupMember, GroupPartition, Groups, MemberPartitions, OffsetCommit, OffsetReset,
    RangeAssignor, ResetTo, RoundRobinAssignor, StickyAssignor,
};
pub use log::{AdoptReport, AdoptedBlock, Deletion, MinExpiry, TrimReport};
pub use metrics::{
    ConsumerMetrics, Durations, Metrics, OperationMetrics, PartitionLag, ProducerMetrics,
    RequestCounts, StorageMetrics,
};
pub use producer::{Ack, Producer, ProducerBuilder, Ticket, WhenFull, partition_for_key};
pub use record::{ConsumerRecord, Header, Record, RecordSink, RecordView};
pub use store::StoreOptions;
pub use topic::{TopicChange, TopicConfig, TopicDescription, Topics};
pub use trim::Trim;
pub use verify::{VerifyIssue, VerifyReport};

pub use bytes::Bytes;
pub use object_store;

#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
