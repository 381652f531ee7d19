//! Groups from outside: list, describe, set offsets, delete. Whoever is no member changes nothing
//! while there are members.

use super::journal::{Appended, Entry, Journal};
use super::liveness::Heartbeat;
use super::membership::{Standing, View};
use super::offsets::{Committed, OffsetState, read_offset, write_offset};
use super::state::{Change, GroupState, TopicsSeen};
use super::{StickyAssignor, log_of_members};
use crate::chain::from_json;
use crate::context::Context;
use crate::error::{Error, ErrorKind, Result};
use crate::keys;
use crate::log::Log;
use crate::topic::{TopicDescription, Topics};
use futures_util::{StreamExt, TryStreamExt};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// How many partitions are looked at at once.
const AT_ONCE: usize = 16;

/// The consumer groups of a store. From [`crate::Kaffic::groups`].
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let client = kaffic_core::Kaffic::connect("memory://").await.unwrap();
/// # client.topics().create("orders", Default::default()).await.unwrap();
/// use kaffic_core::OffsetCommit;
/// let groups = client.groups();
/// groups.commit("billing", [OffsetCommit::new("orders", 0, 42)]).await.unwrap();
/// assert_eq!(groups.committed("billing").await.unwrap()[0].offset, 42);
/// assert_eq!(groups.list().await.unwrap()[0].name, "billing");
/// groups.delete("billing").await.unwrap();
/// assert!(groups.list().await.unwrap().is_empty());
/// # });
/// ```
#[derive(Debug, Clone)]
pub struct Groups {
    context: Arc<Context>,
}

/// A group, in short.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let client = kaffic_core::Kaffic::connect("memory://").await.unwrap();
/// let listed: Vec<kaffic_core::GroupListing> = client.groups().list().await.unwrap();
/// assert!(listed.is_empty());
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupListing {
    /// The group's name.
    pub name: String,
    /// How many members it has.
    pub members: usize,
    /// The number of its newest change.
    pub generation: i64,
}

/// A group. From [`Groups::describe`].
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let client = kaffic_core::Kaffic::connect("memory://").await.unwrap();
/// # client.topics().create("t", Default::default()).await.unwrap();
/// let consumer = client.consumer().group("g").subscribe(["t"]).build().await.unwrap();
/// let group = client.groups().describe("g").await.unwrap();
/// assert_eq!(group.members.len(), 1);
/// assert_eq!(group.partitions[0].owner.as_ref(), Some(&group.members[0].name));
/// # consumer.close().await.unwrap();
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupDescription {
    /// The group's name.
    pub name: String,
    /// The number of its newest change.
    pub generation: i64,
    /// Who decided who has what.
    pub assignor: String,
    /// The members, by name.
    pub members: Vec<GroupMember>,
    /// The partitions of the topics that members subscribe to, and those with committed offsets.
    pub partitions: Vec<GroupPartition>,
}

/// A member of a group. In a [`GroupDescription`].
///
/// ```
/// let static_members = |group: &kaffic_core::GroupDescription| {
///     group.members.iter().filter(|member| member.is_static).count()
/// };
/// # let _ = static_members;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupMember {
    /// Its name: its own, or one that was drawn.
    pub name: String,
    /// Whether the name is its own, under which it keeps its partitions.
    pub is_static: bool,
    /// The topics that it subscribes to.
    pub topics: Vec<String>,
    /// How many partitions it has.
    pub partitions: usize,
    /// After how long a silence it is taken for dead.
    pub session_timeout: Duration,
    /// When it joined, in milliseconds since the Unix epoch, by its own clock.
    pub joined_ms: i64,
}

/// A partition of a group. In a [`GroupDescription`].
///
/// ```
/// let lag = |group: &kaffic_core::GroupDescription| -> i64 {
///     group.partitions.iter().filter_map(|partition| partition.lag).sum()
/// };
/// # let _ = lag;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupPartition {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: u32,
    /// The member that has it.
    pub owner: Option<String>,
    /// What is committed: the offset of the next record to be consumed.
    pub committed: Option<i64>,
    /// What was committed with it.
    pub metadata: Option<String>,
    /// The offset that the next record will get.
    pub end: i64,
    /// How many offsets lie between the two.
    pub lag: Option<i64>,
}

/// An offset to be committed.
///
/// ```
/// let commit = kaffic_core::OffsetCommit::new("orders", 3, 42).metadata("batch 7");
/// assert_eq!((commit.offset, commit.metadata.as_deref()), (42, Some("batch 7")));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OffsetCommit {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: u32,
    /// The offset of the next record to be consumed.
    pub offset: i64,
    /// Whatever is to be kept with it, 4 KiB at most.
    pub metadata: Option<String>,
}

impl OffsetCommit {
    /// The most metadata that is kept with an offset, as in Kafka.
    const MOST_METADATA: usize = 4096;

    /// An offset with no metadata.
    pub fn new(topic: impl Into<String>, partition: u32, offset: i64) -> Self {
        Self { topic: topic.into(), partition, offset, metadata: None }
    }

    /// Sets what is to be kept with it.
    #[must_use]
    pub fn metadata(mut self, metadata: impl Into<String>) -> Self {
        self.metadata = Some(metadata.into());
        self
    }

    pub(crate) fn check(&self) -> Result<()> {
        let Self { topic, partition, offset, metadata } = self;
        if *offset < 0 {
            return Err(Error::invalid(format!(
                "topic {topic} partition {partition}: offset {offset} to commit is negative"
            )));
        }
        if metadata.as_ref().is_some_and(|text| text.len() > Self::MOST_METADATA) {
            return Err(Error::invalid(format!(
                "topic {topic} partition {partition}: more than {} bytes of metadata to commit",
                Self::MOST_METADATA
            )));
        }
        Ok(())
    }
}

impl From<OffsetCommit> for Committed {
    fn from(commit: OffsetCommit) -> Self {
        Self { metadata: commit.metadata, ..Self::offset(commit.offset) }
    }
}

/// An offset that is committed.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let client = kaffic_core::Kaffic::connect("memory://").await.unwrap();
/// # client.topics().create("t", Default::default()).await.unwrap();
/// let mut consumer = client.consumer().group("g").subscribe(["t"]).build().await.unwrap();
/// let committed: Vec<kaffic_core::CommittedOffset> = consumer.committed().await.unwrap();
/// assert!(committed.is_empty());
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CommittedOffset {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: u32,
    /// The offset of the next record to be consumed.
    pub offset: i64,
    /// What was committed with it.
    pub metadata: Option<String>,
}

impl CommittedOffset {
    pub(crate) fn of(topic: &str, partition: u32, committed: Committed) -> Option<Self> {
        let Committed { offset, metadata, .. } = committed;
        Some(Self { topic: topic.to_owned(), partition, offset: offset?, metadata })
    }
}

/// Where a group's offsets are set to.
///
/// ```
/// assert_ne!(kaffic_core::ResetTo::Earliest, kaffic_core::ResetTo::Latest);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResetTo {
    /// The first record that is still there.
    Earliest,
    /// The tail.
    Latest,
    /// This offset.
    Offset(i64),
    /// The first record with a timestamp at or after this, in Unix milliseconds; the tail if none.
    Timestamp(i64),
    /// So many offsets on, or back, from what is committed.
    Shift(i64),
}

/// Which offsets of a group are to be set, and where. For [`Groups::reset`].
///
/// ```
/// use kaffic_core::{OffsetReset, ResetTo};
/// let all_orders = OffsetReset::new("orders", ResetTo::Earliest);
/// let try_one = OffsetReset::new("orders", ResetTo::Shift(-10)).partitions([3]).dry_run(true);
/// # let _ = (all_orders, try_one);
/// ```
#[derive(Debug, Clone)]
#[must_use = "it is used by reset()"]
pub struct OffsetReset {
    topic: String,
    partitions: Option<BTreeSet<u32>>,
    to: ResetTo,
    dry_run: bool,
}

impl OffsetReset {
    /// All partitions of a topic.
    pub fn new(topic: impl Into<String>, to: ResetTo) -> Self {
        Self { topic: topic.into(), partitions: None, to, dry_run: false }
    }

    /// Only these partitions.
    pub fn partitions(mut self, partitions: impl IntoIterator<Item = u32>) -> Self {
        self.partitions = Some(partitions.into_iter().collect());
        self
    }

    /// Only says what it would do.
    pub fn dry_run(mut self, dry_run: bool) -> Self {
        self.dry_run = dry_run;
        self
    }
}

impl Groups {
    pub(crate) fn new(context: Arc<Context>) -> Self {
        Self { context }
    }

    /// All groups, by name. Costs a list, and some six requests a group.
    pub async fn list(&self) -> Result<Vec<GroupListing>> {
        let mut names = self.context.store.list(keys::GROUPS_DIR).await?.dirs;
        names.retain(|name| keys::check_name("group", name).is_ok());
        names.sort_unstable();
        let found: Vec<Option<GroupListing>> = futures_util::stream::iter(names)
            .map(|name| async move {
                let newest = newest(&self.context, &name.as_str().into()).await?;
                Ok::<_, Error>(newest.map(|newest| GroupListing {
                    members: newest.state.members.len(),
                    generation: newest.position,
                    name,
                }))
            })
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        Ok(found.into_iter().flatten().collect())
    }

    /// A group's members, and who has which partition and how far it is.
    ///
    /// # Errors
    /// `GroupNotFound`.
    pub async fn describe(&self, name: &str) -> Result<GroupDescription> {
        let group = checked(name)?;
        let newest = there(&self.context, &group).await?;
        let state = &newest.state;
        let mut wanted = self.with_offsets(&group).await?;
        for (topic, shape) in &state.topics {
            let partitions = wanted.entry(topic.clone()).or_default();
            partitions.extend(0..shape.partitions);
        }
        let partitions = self
            .each(&group, wanted, |topic, partition, log, offset| async move {
                let end = log.tail_offset().await?;
                let Committed { offset: committed, metadata, .. } =
                    offset.map(|state| state.committed).unwrap_or_default();
                Ok(Some(GroupPartition {
                    owner: state.owner_of(&topic.name, partition).map(str::to_owned),
                    topic: topic.name,
                    partition,
                    committed,
                    metadata,
                    end,
                    lag: committed.map(|committed| (end - committed).max(0)),
                }))
            })
            .await?;
        let now = self.context.env.monotonic();
        for partition in &partitions {
            if let Some(lag) = partition.lag {
                let topic = Arc::from(partition.topic.as_str());
                let meter = self.context.store.meter();
                meter.lag(now, Some(&group), &topic, partition.partition, lag);
            }
        }
        let members = state.members.iter().map(|(name, member)| GroupMember {
            name: name.clone(),
            is_static: member.is_static,
            topics: member.topics.clone(),
            partitions: state.partitions_of(name).count(),
            session_timeout: Duration::from_millis(member.session_ms),
            joined_ms: member.joined_ms,
        });
        Ok(GroupDescription {
            name: name.to_owned(),
            generation: newest.position,
            assignor: state.assignor.clone(),
            members: members.collect(),
            partitions,
        })
    }

    /// What the group has committed.
    ///
    /// # Errors
    /// `GroupNotFound`.
    pub async fn committed(&self, name: &str) -> Result<Vec<CommittedOffset>> {
        let group = checked(name)?;
        there(&self.context, &group).await?;
        let wanted = self.with_offsets(&group).await?;
        self.each(&group, wanted, |topic, partition, _, offset| async move {
            Ok(offset
                .and_then(|state| CommittedOffset::of(&topic.name, partition, state.committed)))
        })
        .await
    }

    /// Commits offsets from outside; the group is made if there is none.
    ///
    /// # Errors
    /// `GroupNotEmpty` while it has members; `TopicNotFound`; `InvalidArgument` for a bad name,
    /// partition, offset or metadata.
    pub async fn commit(
        &self,
        name: &str,
        commits: impl IntoIterator<Item = OffsetCommit>,
    ) -> Result<()> {
        let group = checked(name)?;
        let mut checked = Vec::new();
        let topics = Topics::new(Arc::clone(&self.context));
        for commit in commits {
            commit.check()?;
            let topic = topics.describe(&commit.topic).await?;
            topic.check_partition(commit.partition)?;
            checked.push((topic.log_id(commit.partition), commit));
        }
        self.context.store.check_contract().await?;
        let view = stand_alone(&self.context, &group).await?;
        let view = self.without_members(&group, view).await?;
        futures_util::stream::iter(checked)
            .map(|(id, commit)| {
                let (group, view) = (&group, &view);
                async move { write_offset(&self.context, group, &id, view, commit.into()).await }
            })
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await
    }

    /// Sets what is committed in a topic, and says what it is then.
    ///
    /// # Errors
    /// `GroupNotFound`; `GroupNotEmpty` while it has members; `TopicNotFound`; `InvalidArgument`
    /// for a partition that is not there.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let client = kaffic_core::Kaffic::connect("memory://").await.unwrap();
    /// # client.topics().create("orders", Default::default()).await.unwrap();
    /// use kaffic_core::{OffsetCommit, OffsetReset, ResetTo};
    /// let groups = client.groups();
    /// groups.commit("billing", [OffsetCommit::new("orders", 0, 42)]).await.unwrap();
    /// let reset = OffsetReset::new("orders", ResetTo::Earliest);
    /// assert_eq!(groups.reset("billing", reset).await.unwrap()[0].offset, 0);
    /// # });
    /// ```
    pub async fn reset(&self, name: &str, reset: OffsetReset) -> Result<Vec<CommittedOffset>> {
        let group = checked(name)?;
        let newest = there(&self.context, &group).await?;
        let topic = Topics::new(Arc::clone(&self.context)).describe(&reset.topic).await?;
        let partitions = match &reset.partitions {
            None => (0..topic.partitions).collect(),
            Some(some) => some.clone(),
        };
        for partition in &partitions {
            topic.check_partition(*partition)?;
        }
        let mut view = outside(newest);
        if !reset.dry_run {
            self.context.store.check_contract().await?;
            view = self.without_members(&group, view).await?;
        }
        let wanted = [(reset.topic.clone(), partitions)].into();
        let (reset, view, group) = (&reset, &view, &group);
        self.each(group, wanted, |topic, partition, log, offset| async move {
            let committed = offset.and_then(|state| state.committed.offset);
            let Some(to) = target(&log, reset.to, committed).await? else { return Ok(None) };
            if !reset.dry_run {
                let id = topic.log_id(partition);
                write_offset(&self.context, group, &id, view, Committed::offset(to)).await?;
            }
            let topic = topic.name;
            Ok(Some(CommittedOffset { topic, partition, offset: to, metadata: None }))
        })
        .await
    }

    /// Deletes a group: its offsets count no more. A group of that name begins anew.
    ///
    /// # Errors
    /// `GroupNotFound`; `GroupNotEmpty` while it has members.
    pub async fn delete(&self, name: &str) -> Result<()> {
        let group = checked(name)?;
        let newest = there(&self.context, &group).await?;
        self.context.store.check_contract().await?;
        let view = self.without_members(&group, outside(newest)).await?;
        self.context.store.meter().forget_lags(|of, _| of == Some(&*group));
        // Offsets first: if this is stopped in between, the group is there to be deleted again.
        let wanted = self.with_offsets(&group).await?;
        let (group, view_of) = (&group, &view);
        self.each::<(), _, _>(group, wanted, |topic, partition, _, offset| async move {
            if offset.is_some_and(|state| state.committed.offset.is_some() || state.owner.is_some())
            {
                let id = topic.log_id(partition);
                write_offset(&self.context, group, &id, view_of, Committed::default()).await?;
            }
            Ok(None)
        })
        .await?;
        let mut journal = Journal::<GroupState>::new(log_of_members(&self.context, group));
        loop {
            let newest = journal.newest().await?.filter(|newest| !newest.state.deleted);
            let Some(newest) = newest else { return Ok(()) };
            if !newest.state.members.is_empty() {
                return Err(not_empty(group, &newest.state));
            }
            let mut state = GroupState::empty(Change::Deleted, self.context.env.now_ms());
            state.deleted = true;
            if journal.append(Some(newest.position), &state).await? != Appended::Lost {
                return Ok(());
            }
        }
    }

    /// Takes members out whose heartbeats are older than their session by the storage's own time,
    /// and refuses if any are left.
    async fn without_members(&self, group: &Arc<str>, view: View) -> Result<View> {
        if view.state.members.is_empty() {
            return Ok(view);
        }
        let store = &self.context.store;
        let now = store.now().await?;
        let mut silent: BTreeMap<String, (String, Option<u64>)> = BTreeMap::new();
        for (name, member) in &view.state.members {
            let key = keys::heartbeat(group, name);
            let object = store.get(&key).await?;
            let age = object.as_ref().map(|object| (now - object.stamp).saturating_mul(1000));
            if age.is_none_or(|age| age > member.session_ms as i64) {
                let beat = object.and_then(|o| from_json::<Heartbeat>(&key, &o.bytes).ok());
                silent.insert(name.clone(), (member.incarnation.clone(), beat.map(|b| b.beat)));
            }
        }
        let mut journal = Journal::<GroupState>::new(log_of_members(&self.context, group));
        loop {
            let Some(newest) = journal.newest().await? else {
                return Err(Error::internal("a group without a log"));
            };
            let mut members = newest.state.members.clone();
            let dead = members.iter().find_map(|(name, member)| {
                let (incarnation, beat) = silent.get(name)?;
                (*incarnation == member.incarnation).then(|| Change::Evicted {
                    member: name.clone(),
                    incarnation: incarnation.clone(),
                    heartbeat: *beat,
                })
            });
            let Some(change) = dead else {
                if members.is_empty() {
                    return Ok(outside(newest));
                }
                return Err(not_empty(group, &newest.state));
            };
            if let Change::Evicted { member, .. } = &change {
                members.remove(member);
            }
            let assignor: Arc<dyn super::Assignor> = Arc::new(StickyAssignor);
            let now_ms = self.context.env.now_ms();
            let state =
                newest.state.after(change, members, &TopicsSeen::new(), &assignor, now_ms)?;
            journal.append(Some(newest.position), &state).await?;
        }
    }

    /// The partitions in which a group has offsets, by topic.
    async fn with_offsets(&self, group: &str) -> Result<BTreeMap<String, BTreeSet<u32>>> {
        let dir = keys::group_offsets_dir(group);
        let store = &self.context.store;
        let mut found = BTreeMap::new();
        for topic in store.list(&dir).await?.dirs {
            let mut partitions = BTreeSet::new();
            for incarnation in store.list(&format!("{dir}/{topic}")).await?.dirs {
                let there = store.list(&format!("{dir}/{topic}/{incarnation}")).await?;
                partitions.extend(there.numbered_dirs().map(|number| number as u32));
            }
            found.insert(topic, partitions);
        }
        Ok(found)
    }

    /// Does something for each partition that is there, with what is committed in it.
    async fn each<T, F, W>(
        &self,
        group: &Arc<str>,
        wanted: BTreeMap<String, BTreeSet<u32>>,
        work: F,
    ) -> Result<Vec<T>>
    where
        F: Fn(TopicDescription, u32, Arc<Log>, Option<OffsetState>) -> W,
        W: Future<Output = Result<Option<T>>>,
    {
        let topics = Topics::new(Arc::clone(&self.context));
        let mut all = Vec::new();
        for (name, partitions) in wanted {
            match topics.describe(&name).await {
                Ok(topic) => all.extend(
                    partitions
                        .into_iter()
                        .filter(|partition| *partition < topic.partitions)
                        .map(|partition| (topic.clone(), partition)),
                ),
                Err(error) if error.kind() == ErrorKind::TopicNotFound => {}
                Err(error) => return Err(error),
            }
        }
        let (context, work) = (&self.context, &work);
        let done: Vec<Option<T>> = futures_util::stream::iter(all)
            .map(|(topic, partition)| async move {
                let offset = read_offset(context, group, &topic.log_id(partition)).await?;
                let log = topic.log(context, partition);
                work(topic, partition, log, offset).await
            })
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        Ok(done.into_iter().flatten().collect())
    }
}

async fn target(log: &Log, to: ResetTo, committed: Option<i64>) -> Result<Option<i64>> {
    let tail = log.find_tail().await?;
    let end = tail.as_ref().map_or(0, |tail| tail.next_offset);
    Ok(Some(match to {
        ResetTo::Latest => end,
        ResetTo::Earliest => log.earliest(tail.as_ref()).await?.offset,
        ResetTo::Timestamp(ms) => log.find_time(ms, tail.as_ref()).await?.offset,
        ResetTo::Offset(offset) if offset < 0 => {
            return Err(Error::invalid(format!("offset {offset} to reset to is negative")));
        }
        ResetTo::Offset(offset) => offset.min(end),
        ResetTo::Shift(by) => {
            let Some(committed) = committed else { return Ok(None) };
            let first = log.earliest(tail.as_ref()).await?.offset;
            committed.saturating_add(by).clamp(first, end.max(first))
        }
    }))
}

fn checked(name: &str) -> Result<Arc<str>> {
    keys::check_name("group", name)?;
    Ok(name.into())
}

fn not_empty(group: &str, state: &GroupState) -> Error {
    let names: Vec<&str> = state.members.keys().map(String::as_str).take(3).collect();
    Error::new(
        ErrorKind::GroupNotEmpty,
        format!(
            "group {group} has {} members ({}{}); stop them first, and wait for their session \
             timeout if they were killed",
            state.members.len(),
            names.join(", "),
            if state.members.len() > names.len() { ", …" } else { "" }
        ),
    )
}

async fn newest(context: &Context, group: &Arc<str>) -> Result<Option<Entry<GroupState>>> {
    let newest = Journal::<GroupState>::new(log_of_members(context, group)).newest().await?;
    if let Some(newest) = &newest {
        newest.state.check(group)?;
    }
    Ok(newest.filter(|newest| !newest.state.deleted))
}

async fn there(context: &Context, group: &Arc<str>) -> Result<Entry<GroupState>> {
    newest(context, group).await?.ok_or_else(|| {
        Error::new(ErrorKind::GroupNotFound, format!("group {group} does not exist"))
    })
}

/// A group as somebody sees it who is no member.
fn outside(newest: Entry<GroupState>) -> View {
    View {
        generation: newest.position,
        incarnation: "".into(),
        state: Arc::new(newest.state),
        standing: Standing::In,
    }
}

/// A group for somebody who is no member; it is made if there is none.
pub(crate) async fn stand_alone(context: &Arc<Context>, group: &Arc<str>) -> Result<View> {
    let mut journal = Journal::<GroupState>::new(log_of_members(context, group));
    loop {
        let newest = journal.newest().await?;
        let after = match newest {
            Some(newest) if !newest.state.deleted => {
                newest.state.check(group)?;
                return Ok(outside(newest));
            }
            Some(newest) => Some(newest.position),
            None => None,
        };
        let state = GroupState::empty(Change::Created, context.env.now_ms());
        if let Appended::At(position) = journal.append(after, &state).await? {
            return Ok(outside(Entry { position, state }));
        }
    }
}
