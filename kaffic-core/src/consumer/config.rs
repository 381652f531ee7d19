//! What a consumer reads, from where to where, and how far ahead.

use super::{Assigned, Consumer};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::topic::{TopicDescription, Topics};
use futures_util::{StreamExt, TryStreamExt};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// Where a consumer starts, and where `seek` goes.
///
/// ```
/// assert_eq!(kaffic_core::Start::default(), kaffic_core::Start::Earliest);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Start {
    /// The first record that is still there.
    #[default]
    Earliest,
    /// The tail: only records appended from now on.
    Latest,
    /// This offset. If it has expired or is beyond the tail the [`ResetPolicy`] decides.
    Offset(i64),
    /// The first record with a timestamp at or after this, in Unix milliseconds; the tail if none.
    Timestamp(i64),
    /// This many offsets before the tail, or the earliest record where there are fewer.
    Last(u64),
}

/// Where a consumer ends.
///
/// ```
/// assert_eq!(kaffic_core::Until::default(), kaffic_core::Until::Forever);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Until {
    /// Never: it waits for more.
    #[default]
    Forever,
    /// The end offsets seen at its start.
    Latest,
    /// This offset; it is not delivered.
    Offset(i64),
    /// Before the first record with a timestamp at or after this (Unix milliseconds), or at the
    /// end seen at the start where there is none yet.
    Timestamp(i64),
}

/// What happens when the records at the position have expired, or the offset never was.
///
/// ```
/// assert_eq!(kaffic_core::ResetPolicy::default(), kaffic_core::ResetPolicy::Earliest);
/// ```
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

#[derive(Debug, Clone)]
pub(super) struct Config {
    pub(super) start: Start,
    pub(super) until: Until,
    pub(super) max_records: Option<u64>,
    pub(super) max_bytes: Option<u64>,
    pub(super) reset: ResetPolicy,
    pub(super) fetch_ahead_bytes: usize,
    pub(super) fetch_max_wait: Duration,
}

/// Configures a [`Consumer`]. From [`crate::Kaffic::consumer`].
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let client = kaffic_core::Kaffic::connect("memory://").await.unwrap();
/// # client.topics().create("t", kaffic_core::TopicConfig::new().partitions(3)).await.unwrap();
/// use kaffic_core::{Start, Until};
/// let consumer = client
///     .consumer()
///     .assign("t", [0, 2])
///     .start(Start::Last(100))
///     .until(Until::Latest)
///     .build()
///     .await
///     .unwrap();
/// assert!(consumer.is_finished()); // nothing is there
/// # });
/// ```
#[derive(Debug)]
#[must_use = "a consumer is made by build()"]
pub struct ConsumerBuilder {
    context: Arc<Context>,
    topics: Vec<(String, Option<Vec<u32>>)>,
    config: Config,
}

impl ConsumerBuilder {
    pub(crate) fn new(context: Arc<Context>) -> Self {
        let config = Config {
            start: Start::Earliest,
            until: Until::Forever,
            max_records: None,
            max_bytes: None,
            reset: ResetPolicy::Earliest,
            fetch_ahead_bytes: 64 << 20,
            fetch_max_wait: Duration::from_secs(1),
        };
        Self { context, topics: Vec::new(), config }
    }

    /// Reads all partitions of `topic`. May be called for several topics.
    pub fn topic(mut self, topic: &str) -> Self {
        self.topics.push((topic.to_owned(), None));
        self
    }

    /// Reads these partitions of `topic`. May be called for several topics.
    pub fn assign(mut self, topic: &str, partitions: impl IntoIterator<Item = u32>) -> Self {
        self.topics.push((topic.to_owned(), Some(partitions.into_iter().collect())));
        self
    }

    /// Where to start: at the earliest record by default.
    pub fn start(mut self, start: Start) -> Self {
        self.config.start = start;
        self
    }

    /// Where to end: never by default.
    pub fn until(mut self, until: Until) -> Self {
        self.config.until = until;
        self
    }

    /// Ends after this many records.
    pub fn max_records(mut self, records: u64) -> Self {
        self.config.max_records = Some(records);
        self
    }

    /// Ends before the record that would bring keys, values and headers above this many bytes;
    /// the first record is always delivered.
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.config.max_bytes = Some(bytes);
        self
    }

    /// What happens when the records at the position have expired: go on at the earliest that
    /// remains, by default.
    pub fn reset(mut self, policy: ResetPolicy) -> Self {
        self.config.reset = policy;
        self
    }

    /// The bytes that may be fetched ahead of what was polled, over all partitions: 64 MiB by
    /// default. At least one batch is always fetched.
    pub fn fetch_ahead_bytes(mut self, bytes: usize) -> Self {
        self.config.fetch_ahead_bytes = bytes;
        self
    }

    /// The longest wait between two looks at the tail: 1 s by default. The first is 10 ms and each
    /// doubles the one before, until something comes.
    pub fn fetch_max_wait(mut self, wait: Duration) -> Self {
        self.config.fetch_max_wait = wait;
        self
    }

    /// Builds the consumer: reads the topics' descriptions and finds the tail and the start of
    /// every partition (3 lists and a few gets each).
    ///
    /// # Errors
    /// `TopicNotFound`; `InvalidArgument` for a partition that does not exist, one named twice, or
    /// a setting; `OffsetOutOfRange` with [`ResetPolicy::Error`].
    pub async fn build(self) -> Result<Consumer> {
        self.check()?;
        let topics = Topics::new(Arc::clone(&self.context));
        let mut wanted: Vec<(TopicDescription, u32)> = Vec::new();
        let mut seen = BTreeSet::new();
        for (name, partitions) in &self.topics {
            let topic = topics.describe(name).await?;
            let all = (0..topic.partitions).collect();
            for partition in partitions.clone().unwrap_or(all) {
                topic.check_partition(partition)?;
                if !seen.insert((name.clone(), partition)) {
                    return Err(Error::invalid(format!(
                        "topic {name} partition {partition} is assigned twice"
                    )));
                }
                wanted.push((topic.clone(), partition));
            }
        }
        let (context, config) = (&self.context, &self.config);
        let assigned: Vec<Assigned> = futures_util::stream::iter(wanted)
            .map(|(topic, partition)| Assigned::find(topic.log(context, partition), config))
            .buffered(16)
            .try_collect()
            .await?;
        Ok(Consumer::new(&self.context, assigned, self.config))
    }

    fn check(&self) -> Result<()> {
        if self.topics.is_empty() {
            return Err(Error::invalid("a consumer needs a topic: call topic() or assign()"));
        }
        let Config { start, until, .. } = self.config;
        if let Start::Offset(offset) = start
            && offset < 0
        {
            return Err(Error::invalid(format!("start offset {offset} is negative")));
        }
        if let Until::Offset(offset) = until
            && offset < 0
        {
            return Err(Error::invalid(format!("end offset {offset} is negative")));
        }
        if self.config.fetch_ahead_bytes == 0 || self.config.fetch_max_wait.is_zero() {
            return Err(Error::invalid("fetch_ahead_bytes and fetch_max_wait are more than 0"));
        }
        Ok(())
    }
}
