//! A producer's settings, with defaults that make a program correct first and then fast.

use super::Producer;
use super::batch_size::BatchSize;
use crate::batch::Compression;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::log::MinExpiry;
use crate::log::aside::WORTH_ASIDE;
use crate::names::Claim;
use crate::topic::{TopicConfig, Topics};
use std::sync::Arc;
use std::time::Duration;

/// The size of batches by default, and how far they may grow.
const BATCH_BYTES: usize = 1 << 20;
const MOST_BATCH_BYTES: usize = 8 << 20;

/// What `send` and `enqueue` do when the buffer is full.
///
/// ```
/// assert_eq!(kaffic_core::WhenFull::default(), kaffic_core::WhenFull::Wait);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WhenFull {
    /// Wait until there is room, up to `delivery_timeout`.
    #[default]
    Wait,
    /// Fail with [`crate::ErrorKind::QueueFull`].
    Fail,
}

#[derive(Debug, Clone)]
pub(super) struct Config {
    pub(super) linger: Option<Duration>,
    pub(super) batch_bytes: Option<usize>,
    pub(super) max_in_flight_bytes: usize,
    pub(super) max_record_bytes: usize,
    pub(super) when_full: WhenFull,
    pub(super) compression: Option<Compression>,
    pub(super) delivery_timeout: Duration,
    pub(super) compaction: bool,
    pub(super) aside_bytes: usize,
}

/// Configures a [`Producer`]. From [`crate::Kaffic::producer`].
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// use kaffic_core::{Compression, Kaffic, TopicConfig};
/// use std::time::Duration;
/// let client = Kaffic::connect("memory://").await.unwrap();
/// let producer = client
///     .producer("orders")
///     .create_topic(TopicConfig::new().partitions(3))
///     .linger(Duration::from_millis(5))
///     .compression(Compression::Zstd)
///     .build()
///     .await
///     .unwrap();
/// assert_eq!(producer.partitions(), 3);
/// # });
/// ```
#[derive(Debug)]
#[must_use = "a producer is made by build()"]
pub struct ProducerBuilder {
    context: Arc<Context>,
    topic: String,
    config: Config,
    create: Option<TopicConfig>,
    min_expiry: Option<MinExpiry>,
    name: Option<String>,
}

impl ProducerBuilder {
    pub(crate) fn new(context: Arc<Context>, topic: &str) -> Self {
        let config = Config {
            linger: None,
            batch_bytes: None,
            max_in_flight_bytes: 64 << 20,
            max_record_bytes: 16 << 20,
            when_full: WhenFull::Wait,
            compression: None,
            delivery_timeout: Duration::from_secs(120),
            compaction: true,
            aside_bytes: WORTH_ASIDE,
        };
        Self {
            context,
            topic: topic.to_owned(),
            config,
            create: None,
            min_expiry: None,
            name: None,
        }
    }

    /// How long a batch waits for more records. By default it goes as soon as the one before it is
    /// acknowledged, and grows until then; and while other partitions are written to as well, it
    /// waits one put time for each of them, up to 250 ms, so that many partitions don't make many
    /// times the puts. 0 is never to wait. Nothing lingers while somebody waits for room.
    pub fn linger(mut self, linger: Duration) -> Self {
        self.config.linger = Some(linger);
        self
    }

    /// The size at which a batch is full, in bytes before compression: 1 KiB to 32 MiB. By default
    /// 1 MiB, and up to 8 MiB (an eighth of `max_in_flight_bytes`, if that is less) where the store
    /// is so far away that larger batches carry more.
    pub fn batch_bytes(mut self, bytes: usize) -> Self {
        self.config.batch_bytes = Some(bytes);
        self
    }

    /// The bytes of records that may be under way at once: 64 MiB by default.
    pub fn max_in_flight_bytes(mut self, bytes: usize) -> Self {
        self.config.max_in_flight_bytes = bytes;
        self
    }

    /// The largest record, key and headers included: 16 MiB by default, 32 MiB at most. Where the
    /// topic's setting is less, that holds.
    pub fn max_record_bytes(mut self, bytes: usize) -> Self {
        self.config.max_record_bytes = bytes;
        self
    }

    /// What happens when `max_in_flight_bytes` is reached: wait, by default.
    pub fn when_full(mut self, when_full: WhenFull) -> Self {
        self.config.when_full = when_full;
        self
    }

    /// The codec of batches: by default the topic's, or none.
    pub fn compression(mut self, compression: Compression) -> Self {
        self.config.compression = Some(compression);
        self
    }

    /// How long a record may take from entering the buffer to its acknowledgement: 2 minutes by
    /// default.
    pub fn delivery_timeout(mut self, timeout: Duration) -> Self {
        self.config.delivery_timeout = timeout;
        self
    }

    /// Whether blocks of many small batches that this producer ends (at 1,000 batches, when they
    /// have grown old, or by closing) are compacted in the background: yes, by default. That is a
    /// get a batch and a few puts a block, one block at a time for all producers of a client, and
    /// makes reading old records cheap and fast. It never delays an append, and closing does not
    /// wait for it; [`crate::Kaffic::compact`] does what was left.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let client = kaffic_core::Kaffic::connect("memory://").await.unwrap();
    /// # client.topics().create("orders", Default::default()).await.unwrap();
    /// let producer = client.producer("orders").compaction(false).build().await.unwrap();
    /// # let _ = producer;
    /// # });
    /// ```
    pub fn compaction(mut self, compaction: bool) -> Self {
        self.config.compaction = compaction;
        self
    }

    /// Gives the producer a name, of which only the newest instance may write: building it takes
    /// the name's next epoch, and when it first writes to a partition (or at once, by
    /// [`Producer::fence_all`]) it fences older instances off there, which then fail with
    /// [`crate::ErrorKind::Fenced`]. Records may carry a [`sequence`](crate::Record::sequence) then,
    /// by which a restarted program goes on without a duplicate. Names are 1 to 249 of `a-z A-Z 0-9
    /// . _ -`, and hold for all topics.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// use kaffic_core::{ErrorKind, Kaffic, Record};
    /// let client = Kaffic::connect("memory://").await.unwrap();
    /// client.topics().create("orders", Default::default()).await.unwrap();
    /// let first = client.producer("orders").name("billing").build().await.unwrap();
    /// first.send(Record::value("a").sequence(1)).await.unwrap();
    /// let second = client.producer("orders").name("billing").build().await.unwrap();
    /// assert_eq!(second.last_sequence(0).await.unwrap(), Some(1));
    /// let error = first.send(Record::value("b").sequence(2)).await.unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Fenced);
    /// # });
    /// ```
    pub fn name(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }

    /// Batches above this size are put aside when another writer was faster. For simulations.
    #[doc(hidden)]
    pub fn aside_bytes(mut self, bytes: usize) -> Self {
        self.config.aside_bytes = bytes;
        self
    }

    /// Creates the topic with these settings if it does not exist.
    pub fn create_topic(mut self, config: TopicConfig) -> Self {
        self.create = Some(config);
        self
    }

    /// Takes the topic's `min_expiry` for this, as a writer does that read an older setting. For
    /// simulations.
    #[doc(hidden)]
    pub fn min_expiry_override(mut self, min_expiry: MinExpiry) -> Self {
        self.min_expiry = Some(min_expiry);
        self
    }

    /// Builds the producer. Costs a list and a get; the first writer of a client also tries once
    /// whether the store keeps its contract, in two puts, a get and a delete. A name costs a list, a
    /// get and a put.
    ///
    /// # Errors
    /// `TopicNotFound`, `InvalidArgument` for a setting, `UnsafeStore`.
    pub async fn build(mut self) -> Result<Producer> {
        self.config.check()?;
        let topics = Topics::new(Arc::clone(&self.context));
        let topic = match self.create {
            Some(config) => topics.ensure(&self.topic, config).await?,
            None => topics.describe(&self.topic).await?,
        };
        self.config.compression = self.config.compression.or(topic.compression);
        if let Some(most) = topic.max_record_bytes {
            let most = usize::try_from(most).unwrap_or(usize::MAX);
            self.config.max_record_bytes = self.config.max_record_bytes.min(most);
        }
        self.context.store.check_contract().await?;
        let claim = match &self.name {
            Some(name) => {
                let Context { store, env, .. } = &*self.context;
                Some(Claim::take(store, &**env, name).await?)
            }
            None => None,
        };
        Ok(Producer::new(self.context, topic, self.config, self.min_expiry, claim))
    }
}

impl Config {
    /// The size of batches to begin with, and whether it may grow.
    pub(super) fn batch_size(&self) -> BatchSize {
        match self.batch_bytes {
            Some(bytes) => BatchSize::new(bytes, bytes),
            None => {
                let most = (self.max_in_flight_bytes / 8).min(MOST_BATCH_BYTES);
                BatchSize::new(BATCH_BYTES, most)
            }
        }
    }

    fn check(&self) -> Result<()> {
        let check = |name: &str, value: usize, least: usize, most: usize| {
            if (least..=most).contains(&value) {
                return Ok(());
            }
            Err(Error::invalid(format!("{name} is {value}; it is {least} to {most}")))
        };
        if let Some(bytes) = self.batch_bytes {
            check("batch_bytes", bytes, 1 << 10, 32 << 20)?;
        }
        check("max_in_flight_bytes", self.max_in_flight_bytes, 1 << 10, u32::MAX as usize)?;
        check("max_record_bytes", self.max_record_bytes, 1, 32 << 20)?;
        let linger = self.linger.unwrap_or_default();
        if self.delivery_timeout.is_zero() || linger > self.delivery_timeout {
            return Err(Error::invalid(format!(
                "delivery_timeout is {:?} and linger {linger:?}; the first must be the longer",
                self.delivery_timeout
            )));
        }
        Ok(())
    }
}
