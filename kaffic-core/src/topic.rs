//! Topics: create, list, describe, delete. A topic is a chain of descriptions; deleting appends
//! one that says so, and creating again takes the next incarnation.

use crate::catalog::{self, MAX_PARTITIONS, MAX_SLOTS, Stored};
use crate::context::Context;
use crate::error::{Error, ErrorKind, Result};
use crate::keys::{self, LogId};
use crate::log::{Deletion, Log, LogSettings, MinExpiry};
use futures_util::{StreamExt, TryStreamExt};
use std::sync::Arc;
use std::time::Duration;

/// Stamps are whole seconds, so margins of a twenty-fourth of less than this would be noise.
const LEAST_MIN_EXPIRY: Duration = Duration::from_secs(60);
const DEFAULT_MIN_EXPIRY: Duration = Duration::from_secs(24 * 3600);
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
}

impl Default for TopicConfig {
    fn default() -> Self {
        Self::new()
    }
}

impl TopicConfig {
    /// One partition, `min_expiry` 24 hours.
    pub fn new() -> Self {
        Self { partitions: 1, min_expiry: MinExpiry::After(DEFAULT_MIN_EXPIRY), slots: MAX_SLOTS }
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
        if let MinExpiry::After(age) = self.min_expiry
            && !(LEAST_MIN_EXPIRY..=LONGEST_MIN_EXPIRY).contains(&age)
        {
            return Err(Error::invalid(format!(
                "topic {topic}: min-expiry {age:?}; it is one minute to a thousand years, or never"
            )));
        }
        if !(1..=MAX_SLOTS).contains(&self.slots) {
            return Err(Error::invalid(format!("topic {topic}: {} slots a block", self.slots)));
        }
        Ok(())
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
    slots: u32,
}

impl TopicDescription {
    fn new(name: &str, stored: &Stored) -> Self {
        Self {
            name: name.to_owned(),
            incarnation: stored.incarnation,
            partitions: stored.partitions,
            min_expiry: MinExpiry::from_ms(stored.min_expiry_ms),
            created_ms: stored.created_ms,
            slots: stored.slots,
        }
    }

    /// The log of a partition.
    pub(crate) fn log(&self, context: &Context, partition: u32) -> Arc<Log> {
        context.log(self.log_id(partition), self.log_settings())
    }

    pub(crate) fn log_id(&self, partition: u32) -> LogId {
        LogId { topic: self.name.as_str().into(), incarnation: self.incarnation, partition }
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
            let stored = Stored {
                format: catalog::FORMAT,
                incarnation,
                deleted: false,
                partitions: config.partitions,
                min_expiry_ms: config.min_expiry.as_ms(),
                slots: config.slots,
                created_ms: self.context.env.now_ms(),
                nonce: self.nonce(),
            };
            if catalog::append(store, name, last.map(|link| link.version), &stored).await? {
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

    async fn find(&self, name: &str) -> Result<Option<TopicDescription>> {
        let newest = catalog::newest(&self.context.store, name).await?;
        let there = newest.filter(|link| !link.value.deleted);
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
