//! Topics: create, list, describe, alter, delete. A topic is a chain of descriptions; deleting appends
//! one that says so, and creating again takes the next incarnation.

use crate::batch::Compression;
use crate::catalog::{self, MAX_PARTITIONS, MAX_SLOTS, Settings, Stored};
use crate::context::Context;
use crate::error::{Error, ErrorKind, Result};
use crate::keys::{self, LogId, LogPart};
use crate::log::{Deletion, Log, LogSettings, MinExpiry};
use futures_util::{StreamExt, TryStreamExt};
use std::sync::Arc;
use std::time::Duration;

/// Stamps are whole seconds, so margins of a twenty-fourth of less than this would be noise.
const LEAST_MIN_EXPIRY: Duration = Duration::from_secs(60);
const DEFAULT_MIN_EXPIRY: Duration = Duration::from_secs(24 * 3600);
/// The largest record there can be.
const MAX_RECORD_BYTES: u64 = 32 << 20;
const LONGEST_MIN_EXPIRY: Duration = Duration::from_secs(1000 * 366 * 24 * 3600);

/// The settings of a topic to be created.
///
/// ```
/// use kaffic_core::{MinExpiry, TopicConfig};
/// use std::time::Duration;
/// let week = Duration::from_secs(7 * 24 * 3600);
/// let config = TopicConfig::new().partitions(12).min_expiry(MinExpiry::After(week));
/// # let _ = config;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicConfig {
    partitions: u32,
    min_expiry: MinExpiry,
    slots: u32,
    change: TopicChange,
}

impl Default for TopicConfig {
    fn default() -> Self {
        Self::new()
    }
}

impl TopicConfig {
    /// One partition, `min_expiry` 24 hours, everything else not set.
    pub fn new() -> Self {
        Self {
            partitions: 1,
            min_expiry: MinExpiry::After(DEFAULT_MIN_EXPIRY),
            slots: MAX_SLOTS,
            change: TopicChange::new(),
        }
    }

    /// The number of partitions, 1 to 10,000; fixed for the topic's life.
    pub fn partitions(mut self, partitions: u32) -> Self {
        self.partitions = partitions;
        self
    }

    /// The least age at which the storage may delete messages.
    pub fn min_expiry(mut self, min_expiry: MinExpiry) -> Self {
        self.min_expiry = min_expiry;
        self
    }

    /// How old records may get before `kaffic trim` removes them, where the storage has no
    /// lifecycle rules; Kafka's `retention.ms`. Not set by default: they stay.
    pub fn retention(mut self, retention: Duration) -> Self {
        self.change = self.change.retention(Some(retention));
        self
    }

    /// How many bytes of a partition `kaffic trim` leaves, oldest records going first; Kafka's
    /// `retention.bytes`. Not set by default: all of them.
    pub fn retention_bytes(mut self, bytes: u64) -> Self {
        self.change = self.change.retention_bytes(Some(bytes));
        self
    }

    /// The codec of producers that choose none themselves. Not set by default: none.
    pub fn compression(mut self, compression: Compression) -> Self {
        self.change = self.change.compression(Some(compression));
        self
    }

    /// The largest record that producers take, key and headers included, whatever they are set to.
    pub fn max_record_bytes(mut self, bytes: u64) -> Self {
        self.change = self.change.max_record_bytes(Some(bytes));
        self
    }

    /// All that a change names, over what was set before.
    pub fn settings(mut self, change: TopicChange) -> Self {
        if let Some(min_expiry) = change.min_expiry {
            self.min_expiry = min_expiry;
        }
        self.change = TopicChange {
            min_expiry: None,
            retention: change.retention.or(self.change.retention),
            retention_bytes: change.retention_bytes.or(self.change.retention_bytes),
            compression: change.compression.or(self.change.compression),
            max_record_bytes: change.max_record_bytes.or(self.change.max_record_bytes),
        };
        self
    }

    /// Slots in a block, 1 to 1000. Smaller blocks only serve tests.
    #[doc(hidden)]
    pub fn slots_per_block(mut self, slots: u32) -> Self {
        self.slots = slots;
        self
    }

    fn check(&self, topic: &str) -> Result<()> {
        if !(1..=MAX_PARTITIONS).contains(&self.partitions) {
            return Err(Error::invalid(format!(
                "topic {topic}: {} partitions; a topic has 1 to {MAX_PARTITIONS}",
                self.partitions
            )));
        }
        if !(1..=MAX_SLOTS).contains(&self.slots) {
            return Err(Error::invalid(format!("topic {topic}: {} slots a block", self.slots)));
        }
        check_min_expiry(topic, self.min_expiry)?;
        self.change.check(topic)
    }
}

fn check_min_expiry(topic: &str, min_expiry: MinExpiry) -> Result<()> {
    match min_expiry {
        MinExpiry::After(age) if !(LEAST_MIN_EXPIRY..=LONGEST_MIN_EXPIRY).contains(&age) => {
            Err(Error::invalid(format!(
                "topic {topic}: min-expiry {age:?}; it is one minute to a thousand years, or never"
            )))
        }
        _ => Ok(()),
    }
}

/// What is to be changed of a topic's settings; what is not named stays. For [`Topics::alter`].
///
/// ```
/// use kaffic_core::{Compression, TopicChange};
/// use std::time::Duration;
/// let week = Duration::from_secs(7 * 24 * 3600);
/// let change = TopicChange::new().retention(Some(week)).compression(None);
/// # let _ = change;
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use = "it is used by alter()"]
pub struct TopicChange {
    min_expiry: Option<MinExpiry>,
    retention: Option<Option<Duration>>,
    retention_bytes: Option<Option<u64>>,
    compression: Option<Option<Compression>>,
    max_record_bytes: Option<Option<u64>>,
}

impl TopicChange {
    /// No change.
    pub fn new() -> Self {
        Self::default()
    }

    /// The least age at which the storage may delete messages. It takes effect with each
    /// partition's next block, so a lifecycle rule must not delete earlier for a day after that.
    pub fn min_expiry(mut self, min_expiry: MinExpiry) -> Self {
        self.min_expiry = Some(min_expiry);
        self
    }

    /// See [`TopicConfig::retention`]; `None` takes the setting away.
    pub fn retention(mut self, retention: Option<Duration>) -> Self {
        self.retention = Some(retention);
        self
    }

    /// See [`TopicConfig::retention_bytes`]; `None` takes the setting away.
    pub fn retention_bytes(mut self, bytes: Option<u64>) -> Self {
        self.retention_bytes = Some(bytes);
        self
    }

    /// See [`TopicConfig::compression`]; `None` takes the setting away. Producers see it when they
    /// are built.
    pub fn compression(mut self, compression: Option<Compression>) -> Self {
        self.compression = Some(compression);
        self
    }

    /// See [`TopicConfig::max_record_bytes`]; `None` takes the setting away. Producers see it when
    /// they are built.
    pub fn max_record_bytes(mut self, bytes: Option<u64>) -> Self {
        self.max_record_bytes = Some(bytes);
        self
    }

    fn check(&self, topic: &str) -> Result<()> {
        if let Some(min_expiry) = self.min_expiry {
            check_min_expiry(topic, min_expiry)?;
        }
        if let Some(Some(retention)) = self.retention
            && !(Duration::from_millis(1)..=LONGEST_MIN_EXPIRY).contains(&retention)
        {
            return Err(Error::invalid(format!(
                "topic {topic}: retention {retention:?}; it is a millisecond to a thousand years"
            )));
        }
        if let Some(Some(bytes)) = self.max_record_bytes
            && !(1..=MAX_RECORD_BYTES).contains(&bytes)
        {
            return Err(Error::invalid(format!(
                "topic {topic}: max-record-bytes {bytes}; it is 1 to {MAX_RECORD_BYTES}"
            )));
        }
        Ok(())
    }

    fn apply(&self, to: &mut Settings) {
        if let Some(retention) = self.retention {
            to.retention_ms = retention.map(|retention| retention.as_millis() as i64);
        }
        if let Some(bytes) = self.retention_bytes {
            to.retention_bytes = bytes;
        }
        if let Some(compression) = self.compression {
            to.compression = compression;
        }
        if let Some(bytes) = self.max_record_bytes {
            to.max_record_bytes = bytes;
        }
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
    /// How old records may get before `kaffic trim` or `kaffic compact` removes them.
    pub retention: Option<Duration>,
    /// How many bytes of a partition `kaffic trim` and `kaffic compact` leave.
    pub retention_bytes: Option<u64>,
    /// The codec of producers that choose none themselves.
    pub compression: Option<Compression>,
    /// The largest record that producers take.
    pub max_record_bytes: Option<u64>,
    /// When it was created, in milliseconds since the Unix epoch.
    pub created_ms: i64,
    slots: u32,
}

impl TopicDescription {
    fn new(name: &str, stored: &Stored) -> Self {
        let settings = &stored.settings;
        Self {
            name: name.to_owned(),
            incarnation: stored.incarnation,
            partitions: stored.partitions,
            min_expiry: MinExpiry::from_ms(stored.min_expiry_ms),
            retention: settings.retention_ms.map(|ms| Duration::from_millis(ms.max(0) as u64)),
            retention_bytes: settings.retention_bytes,
            compression: settings.compression,
            max_record_bytes: settings.max_record_bytes,
            created_ms: stored.created_ms,
            slots: stored.slots,
        }
    }

    /// The log of a partition.
    pub(crate) fn log(&self, context: &Context, partition: u32) -> Arc<Log> {
        context.log(self.log_id(partition), self.log_settings())
    }

    pub(crate) fn log_id(&self, partition: u32) -> LogId {
        LogId {
            topic: self.name.as_str().into(),
            incarnation: self.incarnation,
            partition,
            part: LogPart::Records,
        }
    }

    pub(crate) fn log_settings(&self) -> LogSettings {
        LogSettings { min_expiry: self.min_expiry, slots: self.slots }
    }

    pub(crate) fn check_partition(&self, partition: u32) -> Result<()> {
        if partition < self.partitions {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "topic {} has {} partitions, 0 to {}; there is no partition {partition}",
            self.name,
            self.partitions,
            self.partitions - 1
        )))
    }
}

/// The topics of a store. From [`crate::Kaffic::topics`].
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// use kaffic_core::{Kaffic, TopicConfig};
/// let topics = Kaffic::connect("memory://").await.unwrap().topics();
/// topics.create("orders", TopicConfig::new().partitions(3)).await.unwrap();
/// assert_eq!(topics.describe("orders").await.unwrap().partitions, 3);
/// assert_eq!(topics.list().await.unwrap().len(), 1);
/// topics.delete("orders").await.unwrap();
/// assert!(topics.describe("orders").await.is_err());
/// # });
/// ```
#[derive(Debug, Clone)]
pub struct Topics {
    context: Arc<Context>,
}

impl Topics {
    pub(crate) fn new(context: Arc<Context>) -> Self {
        Self { context }
    }

    /// Creates a topic. Costs a list, a get (where one of that name was deleted) and a put.
    ///
    /// # Errors
    /// `TopicExists`, `InvalidArgument` for a bad name or setting.
    pub async fn create(&self, name: &str, config: TopicConfig) -> Result<TopicDescription> {
        keys::check_topic_name(name)?;
        config.check(name)?;
        let store = &self.context.store;
        store.check_contract().await?;
        loop {
            let last = catalog::newest(store, name).await?;
            let incarnation = match &last {
                Some(link) if !link.value.deleted => {
                    return Err(Error::new(ErrorKind::TopicExists, format!("topic {name} exists")));
                }
                Some(link) => link.value.incarnation + 1,
                None => 0,
            };
            let mut settings = Settings::default();
            config.change.apply(&mut settings);
            let stored = Stored {
                format: catalog::FORMAT,
                incarnation,
                deleted: false,
                partitions: config.partitions,
                min_expiry_ms: config.min_expiry.as_ms(),
                slots: config.slots,
                settings,
                created_ms: self.context.env.now_ms(),
                nonce: self.nonce(),
            };
            if catalog::append(store, name, last.map(|link| link.version), &stored).await? {
                self.context.known.forget(name);
                return Ok(TopicDescription::new(name, &stored));
            }
        }
    }

    /// Changes settings of a topic. Costs a list, a get and a put; no put if nothing changes.
    ///
    /// # Errors
    /// `TopicNotFound`, `InvalidArgument` for a setting.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let topics = kaffic_core::Kaffic::connect("memory://").await.unwrap().topics();
    /// # topics.create("orders", Default::default()).await.unwrap();
    /// use kaffic_core::TopicChange;
    /// use std::time::Duration;
    /// let week = Duration::from_secs(7 * 24 * 3600);
    /// let topic = topics.alter("orders", TopicChange::new().retention(Some(week))).await.unwrap();
    /// assert_eq!(topic.retention, Some(week));
    /// # });
    /// ```
    pub async fn alter(&self, name: &str, change: TopicChange) -> Result<TopicDescription> {
        keys::check_topic_name(name)?;
        change.check(name)?;
        let store = &self.context.store;
        store.check_contract().await?;
        loop {
            let last = catalog::newest(store, name).await?;
            let last = last.filter(|link| !link.value.deleted).ok_or_else(|| not_found(name))?;
            let mut stored = last.value.clone();
            change.apply(&mut stored.settings);
            if let Some(min_expiry) = change.min_expiry {
                stored.min_expiry_ms = min_expiry.as_ms();
            }
            let changes = stored.settings != last.value.settings
                || stored.min_expiry_ms != last.value.min_expiry_ms;
            stored.nonce = self.nonce();
            if !changes || catalog::append(store, name, Some(last.version), &stored).await? {
                self.context.known.forget(name);
                return Ok(TopicDescription::new(name, &stored));
            }
        }
    }

    /// The topic, created with `config` if there is none.
    pub async fn ensure(&self, name: &str, config: TopicConfig) -> Result<TopicDescription> {
        loop {
            match self.describe(name).await {
                Err(error) if error.kind() == ErrorKind::TopicNotFound => {}
                other => return other,
            }
            match self.create(name, config.clone()).await {
                Err(error) if error.kind() == ErrorKind::TopicExists => {}
                other => return other,
            }
        }
    }

    /// All topics, by name. Costs a list, and a list and a get each.
    pub async fn list(&self) -> Result<Vec<TopicDescription>> {
        let mut names = self.context.store.list(keys::TOPICS_DIR).await?.dirs;
        names.retain(|name| keys::check_topic_name(name).is_ok());
        names.sort_unstable();
        let found: Vec<Option<TopicDescription>> = futures_util::stream::iter(names)
            .map(|name| async move { self.find(&name).await })
            .buffered(16)
            .try_collect()
            .await?;
        Ok(found.into_iter().flatten().collect())
    }

    /// One topic. Costs a list and a get.
    ///
    /// # Errors
    /// `TopicNotFound` where there is none or it was deleted.
    pub async fn describe(&self, name: &str) -> Result<TopicDescription> {
        keys::check_topic_name(name)?;
        self.find(name).await?.ok_or_else(|| not_found(name))
    }

    /// The topic, perhaps as it was a moment ago: for those who only read.
    pub(crate) async fn describe_to_read(&self, name: &str) -> Result<TopicDescription> {
        match self.context.known.get(name, self.context.env.monotonic()) {
            Some(stored) => Ok(TopicDescription::new(name, &stored)),
            None => self.describe(name).await,
        }
    }

    async fn find(&self, name: &str) -> Result<Option<TopicDescription>> {
        let asked = self.context.env.monotonic();
        let newest = catalog::newest(&self.context.store, name).await?;
        let there = newest.filter(|link| !link.value.deleted);
        self.context.known.learn(name, asked, there.as_ref().map(|link| &link.value));
        Ok(there.map(|link| TopicDescription::new(name, &link.value)))
    }

    /// Deletes a topic: nothing can be appended to it from now on, and what may be removed is.
    /// Younger objects have to stay until no late put can bring a slot back; deleting the topic
    /// again later removes them.
    ///
    /// # Errors
    /// `TopicNotFound` where there never was one.
    pub async fn delete(&self, name: &str) -> Result<Deletion> {
        keys::check_topic_name(name)?;
        let store = &self.context.store;
        store.check_contract().await?;
        let deleted = loop {
            let last = catalog::newest(store, name).await?.ok_or_else(|| not_found(name))?;
            if last.value.deleted {
                break last.value;
            }
            let stored = Stored { deleted: true, nonce: self.nonce(), ..last.value };
            if catalog::append(store, name, Some(last.version), &stored).await? {
                break stored;
            }
        };
        self.context.known.forget(name);
        store.meter().forget_lags(|_, topic| topic == name);
        let mut deletion = Deletion::default();
        let now = store.now().await?;
        for incarnation in 0..=deleted.incarnation {
            let topic = TopicDescription::new(name, &Stored { incarnation, ..deleted.clone() });
            if incarnation == deleted.incarnation {
                self.close_logs(&topic).await?;
            }
            self.remove_data(&topic, now, &mut deletion).await?;
        }
        Ok(deletion)
    }

    fn nonce(&self) -> String {
        format!("{:016x}", self.context.env.random())
    }

    async fn close_logs(&self, topic: &TopicDescription) -> Result<()> {
        futures_util::stream::iter(0..topic.partitions)
            .map(|partition| async move { self.log(topic, partition).close_for_ever().await })
            .buffer_unordered(16)
            .try_collect()
            .await
    }

    async fn remove_data(
        &self,
        topic: &TopicDescription,
        now: i64,
        deletion: &mut Deletion,
    ) -> Result<()> {
        let dir = keys::incarnation_data_dir(&topic.name, topic.incarnation);
        for partition in self.context.store.list(&dir).await?.numbered_dirs() {
            self.log(topic, partition as u32).remove_data(now, deletion).await?;
        }
        Ok(())
    }

    fn log(&self, topic: &TopicDescription, partition: u32) -> Arc<Log> {
        topic.log(&self.context, partition)
    }
}

fn not_found(name: &str) -> Error {
    Error::new(ErrorKind::TopicNotFound, format!("topic {name} does not exist"))
}
