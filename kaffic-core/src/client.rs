//! The client: one connection to one store, from which topics, producers and consumers come.

use crate::compact::{self, CompactionReport};
use crate::consumer::ConsumerBuilder;
use crate::context::{Context, KnownTopics};
use crate::doctor::{self, DoctorReport};
use crate::env::{Env, SystemEnv};
use crate::error::{Error, Result};
use crate::group::Groups;
use crate::log::compact::Compactor;
use crate::log::{AdoptReport, Log, TrimReport};
use crate::metrics::{Metrics, RequestCounts};
use crate::producer::ProducerBuilder;
use crate::store::{Store, StoreOptions, check_local, open_url};
use crate::topic::Topics;
use crate::trim::{self, Trim};
use crate::verify::{self, VerifyReport};
use object_store::ObjectStore;
use std::sync::Arc;
use std::time::Duration;

/// A client of one store. Cheap to clone, and safe to use from many tasks and threads at once;
/// everything that comes from it keeps it alive.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let directory = tempfile::tempdir().unwrap();
/// let url = format!("file://{}", directory.path().display());
/// let client = kaffic_core::Kaffic::connect(&url).await.unwrap();
/// assert!(client.topics().list().await.unwrap().is_empty());
/// # });
/// ```
#[derive(Debug, Clone)]
pub struct Kaffic {
    context: Arc<Context>,
}

impl Kaffic {
    /// Connects to the store at `url`: `s3://bucket/prefix`, `gs://bucket/prefix`,
    /// `az://container/prefix`, `file:///path` (made if it is not there) or `memory://` (a new one,
    /// which lives as long as the client and its clones). Clouds take credentials and the like from
    /// their usual environment variables and from the machine; [`KafficBuilder::option`] says them
    /// outright.
    ///
    /// # Errors
    /// `InvalidArgument` for a URL that names no store, or a cloud that was left out of this
    /// program; `Denied` or `Unavailable` for a directory that can't be made or opened.
    pub async fn connect(url: &str) -> Result<Self> {
        Self::builder().url(url).connect().await
    }

    /// A client to be configured first.
    pub fn builder() -> KafficBuilder {
        KafficBuilder::default()
    }

    /// This client, but for those who read again and again: consumers without a group, and
    /// [`offsets`](Self::offsets), may take a topic as it was described up to `keep` ago, which saves
    /// a question to the store. What this client itself changes it sees at once.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # use std::time::Duration;
    /// # let client = kaffic_core::Kaffic::connect("memory://").await.unwrap();
    /// let client = client.knowing_topics(Duration::from_secs(1));
    /// # client.topics().create("t", Default::default()).await.unwrap();
    /// assert_eq!(client.offsets("t").latest(0).await.unwrap(), 0);
    /// # });
    /// ```
    #[must_use]
    pub fn knowing_topics(&self, keep: Duration) -> Self {
        let Context { store, env, compactor, .. } = &*self.context;
        let (store, env, compactor) = (store.clone(), Arc::clone(env), Arc::clone(compactor));
        let known = KnownTopics::keeping(keep);
        Self { context: Arc::new(Context { store, env, compactor, known }) }
    }

    /// The topics of the store: create, list, describe, delete.
    pub fn topics(&self) -> Topics {
        Topics::new(Arc::clone(&self.context))
    }

    /// A producer for `topic`, to be configured and built.
    pub fn producer(&self, topic: &str) -> ProducerBuilder {
        ProducerBuilder::new(Arc::clone(&self.context), topic)
    }

    /// A consumer, to be configured and built.
    pub fn consumer(&self) -> ConsumerBuilder {
        ConsumerBuilder::new(Arc::clone(&self.context))
    }

    /// The consumer groups of the store: list, describe, reset, delete.
    pub fn groups(&self) -> Groups {
        Groups::new(Arc::clone(&self.context))
    }

    /// The offsets of a topic's partitions.
    pub fn offsets(&self, topic: &str) -> Offsets {
        Offsets { context: Arc::clone(&self.context), topic: topic.to_owned() }
    }

    /// Reads everything in `topic` and says what is wrong and where: checksums, the density of
    /// offsets and slots, their order, and what blocks say of themselves. `progress` is called
    /// with the number of records checked so far.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let client = kaffic_core::Kaffic::connect("memory://").await.unwrap();
    /// # client.topics().create("t", Default::default()).await.unwrap();
    /// # let producer = client.producer("t").build().await.unwrap();
    /// # producer.send(kaffic_core::Record::value("v")).await.unwrap();
    /// let report = client.verify("t", |_records| {}).await.unwrap();
    /// assert_eq!((report.records, report.issues.len()), (1, 0));
    /// # });
    /// ```
    pub async fn verify(
        &self,
        topic: &str,
        progress: impl FnMut(u64) + Send,
    ) -> Result<VerifyReport> {
        let topic = self.topics().describe(topic).await?;
        verify::verify(&self.context, &topic, progress).await
    }

    /// Joins the batches of `topic`'s ended blocks into few large objects, where that was not done
    /// in the background, and removes batches that have been joined for long enough. No record is
    /// dropped or changed. It may be stopped and begun again at any time, and may run in many places
    /// at once. `progress` is called with the number of blocks done so far. Takes up to about
    /// 80 MiB of memory.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let client = kaffic_core::Kaffic::connect("memory://").await.unwrap();
    /// # client.topics().create("t", Default::default()).await.unwrap();
    /// # let producer = client.producer("t").build().await.unwrap();
    /// # for n in 0..10 { producer.send(kaffic_core::Record::value(n.to_string())).await.unwrap(); }
    /// # producer.close().await.unwrap();
    /// let report = client.compact("t", |_blocks| {}).await.unwrap();
    /// assert_eq!((report.compacted, report.segments), (1, 1));
    /// // The batches themselves have to stay for the block's lease.
    /// assert!(report.removed == 0 && report.removable_at_ms.is_some());
    /// # });
    /// ```
    pub async fn compact(
        &self,
        topic: &str,
        progress: impl FnMut(u64) + Send,
    ) -> Result<CompactionReport> {
        let topic = self.topics().describe(topic).await?;
        compact::compact(&self.context, &topic, progress).await
    }

    /// Removes a topic's oldest records, where the storage has no lifecycle rules that do it: as
    /// `trim` says, or by the topic's retention. It goes by whole blocks (1,000 batches, or some
    /// hours), and leaves those that are younger than the topic's `min_expiry`. Readers find what is
    /// gone expired.
    ///
    /// # Errors
    /// `TopicNotFound`; `InvalidArgument` for a partition that is not there, if neither `trim` nor
    /// the topic says what may go, or if its `min_expiry` is never.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let client = kaffic_core::Kaffic::connect("memory://").await.unwrap();
    /// # client.topics().create("orders", Default::default()).await.unwrap();
    /// use kaffic_core::Trim;
    /// let report = client.trim("orders", Trim::before_offset(1_000_000)).await.unwrap();
    /// assert_eq!((report.removed, report.remaining), (0, 0));
    /// # });
    /// ```
    pub async fn trim(&self, topic: &str, trim: Trim) -> Result<TrimReport> {
        let topic = self.topics().describe(topic).await?;
        trim::trim(&self.context, &topic, &trim).await
    }

    /// Makes a copied or restored topic usable, whose newest blocks had no end when they were
    /// copied: ends them with the slots that are there. Nothing may write to the copy meanwhile.
    /// Blocks that are not certain to be copies are left alone, so a live topic takes no harm, and
    /// adopting twice is adopting once. With `dry_run` it only says what it would do.
    ///
    /// # Errors
    /// `TopicNotFound`; `Corrupt` where slots don't fit together.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let client = kaffic_core::Kaffic::connect("memory://").await.unwrap();
    /// # client.topics().create("orders", Default::default()).await.unwrap();
    /// let report = client.adopt("orders", false).await.unwrap();
    /// assert_eq!((report.ended.len(), report.left_alone), (0, 1));
    /// # });
    /// ```
    pub async fn adopt(&self, topic: &str, dry_run: bool) -> Result<AdoptReport> {
        let topic = self.topics().describe(topic).await?;
        let now = self.context.store.now().await?;
        let mut report = AdoptReport::default();
        for partition in 0..topic.partitions {
            let ended = topic.log(&self.context, partition).adopt(now, dry_run).await?;
            report.left_alone += u32::from(ended.is_empty());
            report.ended.extend(ended);
        }
        Ok(report)
    }

    /// Tries on the store what kaffic rests on (conditional puts, races, reads after writes, ranges,
    /// lists, deletes, the clock), in a scratch directory under `meta/probe/`, and measures it.
    /// Costs some 600 requests.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let client = kaffic_core::Kaffic::connect("memory://").await.unwrap();
    /// let report = client.examine().await.unwrap();
    /// assert!(report.is_usable(), "{:?}", report.checks);
    /// # });
    /// ```
    pub async fn examine(&self) -> Result<DoctorReport> {
        doctor::examine(&self.context.store, &*self.context.env).await
    }

    /// The store beneath, and the path in it under which all of kaffic's keys are.
    ///
    /// For what kaffic leaves to the storage: backups, lifecycle, a look at the objects. Requests
    /// made with it are not counted.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// use kaffic_core::object_store::ObjectStore;
    /// let client = kaffic_core::Kaffic::connect("memory://").await.unwrap();
    /// client.topics().create("orders", Default::default()).await.unwrap();
    /// let (store, root) = client.object_store();
    /// let topics = store.list_with_delimiter(Some(&root.join("meta").join("topics"))).await.unwrap();
    /// assert_eq!(topics.common_prefixes.len(), 1);
    /// # });
    /// ```
    pub fn object_store(&self) -> (Arc<dyn ObjectStore>, object_store::path::Path) {
        self.context.store.beneath()
    }

    /// The storage requests made so far by this client and everything that came from it.
    pub fn request_counts(&self) -> RequestCounts {
        self.context.store.meter().request_counts()
    }

    /// What this client and everything that came from it has done so far: requests, appends, records,
    /// conflicts, commits, how long they took, and lag. Costs nothing but a copy.
    pub fn metrics(&self) -> Metrics {
        self.context.store.meter().read(self.context.env.monotonic())
    }
}

/// Configures a [`Kaffic`].
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// use kaffic_core::object_store::memory::InMemory;
/// use std::sync::Arc;
/// // Any object store will do that keeps the contract.
/// let store = Arc::new(InMemory::new());
/// let client = kaffic_core::Kaffic::builder().store(store, "logs").connect().await.unwrap();
/// # let _ = client;
/// # });
/// ```
#[derive(Debug, Default)]
#[must_use = "a client is made by connect()"]
pub struct KafficBuilder {
    url: Option<String>,
    options: StoreOptions,
    store: Option<(Arc<dyn ObjectStore>, String)>,
    env: Option<Arc<dyn Env>>,
    segment_bytes: Option<u64>,
}

impl KafficBuilder {
    /// The store's URL.
    pub fn url(mut self, url: &str) -> Self {
        self.url = Some(url.to_owned());
        self
    }

    /// An option of the store, such as `endpoint`, `region` or `request_timeout`: see
    /// [`StoreOptions`]. It is checked by [`KafficBuilder::connect`].
    ///
    /// ```
    /// # #[cfg(feature = "aws")]
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let client = kaffic_core::Kaffic::builder()
    ///     .url("s3://logs/prefix")
    ///     .option("endpoint", "http://127.0.0.1:9000")
    ///     .option("access_key_id", "key")
    ///     .option("secret_access_key", "secret")
    ///     .connect()
    ///     .await
    ///     .unwrap();
    /// # let _ = client;
    /// # });
    /// ```
    pub fn option(mut self, key: &str, value: &str) -> Self {
        self.options = self.options.set(key, value);
        self
    }

    /// All options of the store at once, in place of those given before.
    pub fn options(mut self, options: StoreOptions) -> Self {
        self.options = options;
        self
    }

    /// A store of the caller's own, and the prefix (may be empty) under which kaffic's keys go.
    pub fn store(mut self, store: Arc<dyn ObjectStore>, prefix: &str) -> Self {
        self.store = Some((store, prefix.to_owned()));
        self
    }

    /// Where time, chance and tasks come from, for simulations: [`SystemEnv`] by default.
    pub fn env(mut self, env: Arc<dyn Env>) -> Self {
        self.env = Some(env);
        self
    }

    /// The size up to which compaction joins batches. Smaller segments only serve tests.
    #[doc(hidden)]
    pub fn segment_bytes(mut self, bytes: u64) -> Self {
        self.segment_bytes = Some(bytes);
        self
    }

    /// Connects. Nothing is asked of the store yet.
    ///
    /// # Errors
    /// As for [`Kaffic::connect`].
    pub async fn connect(self) -> Result<Kaffic> {
        let env = self.env.unwrap_or_else(|| Arc::new(SystemEnv::new()));
        let (store, prefix) = match (self.store, self.url) {
            (Some(_), Some(_)) => {
                return Err(Error::invalid("both a URL and a store were given; give one"));
            }
            (Some((store, prefix)), None) => {
                check_local(&self.options)?;
                (store, prefix)
            }
            (None, Some(url)) => open_url(&url, &self.options)?,
            (None, None) => return Err(Error::invalid("neither a URL nor a store was given")),
        };
        let store = Store::new(store, &prefix, Arc::clone(&env))?.with_options(&self.options)?;
        let compactor = Arc::new(Compactor::new(self.segment_bytes));
        let known = KnownTopics::default();
        Ok(Kaffic { context: Arc::new(Context { store, env, compactor, known }) })
    }
}

/// The offsets of one topic. From [`Kaffic::offsets`].
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let client = kaffic_core::Kaffic::connect("memory://").await.unwrap();
/// # client.topics().create("t", Default::default()).await.unwrap();
/// # let producer = client.producer("t").build().await.unwrap();
/// # producer.send(kaffic_core::Record::value("v").timestamp(100)).await.unwrap();
/// # producer.send(kaffic_core::Record::value("v").timestamp(200)).await.unwrap();
/// let offsets = client.offsets("t");
/// assert_eq!(offsets.earliest(0).await.unwrap(), 0);
/// assert_eq!(offsets.latest(0).await.unwrap(), 2);
/// assert_eq!(offsets.range(0).await.unwrap(), (0, 2));
/// assert_eq!(offsets.at(0, 101).await.unwrap(), 1);
/// # });
/// ```
#[derive(Debug, Clone)]
pub struct Offsets {
    context: Arc<Context>,
    topic: String,
}

impl Offsets {
    async fn log(&self, partition: u32) -> Result<Arc<Log>> {
        let topics = Topics::new(Arc::clone(&self.context));
        let topic = topics.describe_to_read(&self.topic).await?;
        topic.check_partition(partition)?;
        Ok(topic.log(&self.context, partition))
    }

    /// The offset of the first record that is still there; the tail where there is none.
    pub async fn earliest(&self, partition: u32) -> Result<i64> {
        let log = self.log(partition).await?;
        let tail = log.find_tail().await?;
        Ok(log.earliest(tail.as_ref()).await?.offset)
    }

    /// The tail: the offset that the next record will get.
    pub async fn latest(&self, partition: u32) -> Result<i64> {
        self.log(partition).await?.tail_offset().await
    }

    /// The earliest and the latest offset, by one look.
    pub async fn range(&self, partition: u32) -> Result<(i64, i64)> {
        let log = self.log(partition).await?;
        let tail = log.find_tail().await?;
        let earliest = log.earliest(tail.as_ref()).await?.offset;
        Ok((earliest, tail.map_or(0, |tail| tail.next_offset)))
    }

    /// The offset of the first record with a timestamp at or after `unix_ms`; the tail if none.
    pub async fn at(&self, partition: u32, unix_ms: i64) -> Result<i64> {
        let log = self.log(partition).await?;
        let tail = log.find_tail().await?;
        Ok(log.find_time(unix_ms, tail.as_ref()).await?.offset)
    }
}
