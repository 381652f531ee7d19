//! A consumer's part in its group: brings what it reads in line with what the group's log says.
//! Partitions that are to be given up are released first, with a last commit; those that are to come
//! are claimed, each by a task of its own, and read once they are claimed.

use super::assigned::Assigned;
use super::commits::{AT_ONCE, Background, Commit, Outcome, commit_newest};
use super::config::Config;
use super::{PartitionPosition, Start, Until, position};
use crate::catalog::MAX_SLOTS;
use crate::context::Context;
use crate::env::Env;
use crate::error::{Error, ErrorKind, Result};
use crate::group::membership::{Membership, Polls, Standing, View};
use crate::group::offsets::{Committed, Ground, OwnedOffsets};
use crate::group::{CommittedOffset, OffsetCommit};
use crate::keys::{LogId, LogPart};
use crate::log::read::Place;
use crate::log::{LogSettings, MinExpiry};
use crate::topic::TopicDescription;
use futures_util::StreamExt;
use futures_util::future::{AbortHandle, Abortable, BoxFuture, Either, select};
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};

/// Results of tasks that may wait to be looked at.
const EVENTS: usize = 64;

/// A reader goes by what blocks say of themselves.
const READING: LogSettings = LogSettings { min_expiry: MinExpiry::Never, slots: MAX_SLOTS };

/// Hears what becomes of a group member's partitions. It is called from within `poll` and `close`,
/// so it should not take long.
///
/// ```
/// use kaffic_core::{OffsetCommit, PartitionPosition, RebalanceListener};
/// #[derive(Debug)]
/// struct Log;
/// impl RebalanceListener for Log {
///     fn assigned(&self, partitions: &[PartitionPosition]) {
///         println!("got {} partitions", partitions.len());
///     }
///     fn revoked(&self, partitions: &[PartitionPosition]) -> Vec<OffsetCommit> {
///         // All that was delivered has been processed.
///         let done = |p: &PartitionPosition| OffsetCommit::new(&*p.topic, p.partition, p.offset);
///         partitions.iter().map(done).collect()
///     }
/// }
/// ```
pub trait RebalanceListener: Send + Sync + 'static {
    /// These are this consumer's now, and will be read from there on.
    fn assigned(&self, _partitions: &[PartitionPosition]) {}
    /// These are about to go to others, and were read up to there. What is returned is committed
    /// before that, instead of what automatic commits would say.
    fn revoked(&self, _partitions: &[PartitionPosition]) -> Vec<OffsetCommit> {
        Vec::new()
    }
    /// These are others' already: this consumer was silent for too long. Nothing can be committed.
    fn lost(&self, _partitions: &[PartitionPosition]) {}
}

/// A listener that may not be there.
#[derive(Clone, Default)]
pub(super) struct Listener(pub(super) Option<Arc<dyn RebalanceListener>>);

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Listener" } else { "None" })
    }
}

/// A partition of which the offsets are owned.
#[derive(Debug)]
struct Owned {
    offsets: Arc<OwnedOffsets>,
    incarnation: Arc<str>,
    committed: Option<i64>,
    /// The commit of which `committed` tells.
    ticket: u64,
    /// Where reading began.
    began: i64,
    /// A commit met another's claim.
    fenced: bool,
}

impl Owned {
    /// Whether it is known that nothing but this offset is committed.
    fn is_committed(&self, offset: i64) -> bool {
        self.committed.unwrap_or(self.began) == offset && self.offsets.is_newest(self.ticket)
    }
}

/// A claim that succeeded: the offsets, what is committed, and the partition at its start.
#[derive(Debug)]
struct Claimed {
    offsets: OwnedOffsets,
    committed: Option<i64>,
    assigned: Assigned,
    incarnation: Arc<str>,
}

/// What a task says.
#[derive(Debug)]
enum Event {
    Claimed { task: u64, id: LogId, result: Box<Result<Option<Claimed>>> },
    Released { task: u64, result: Result<()> },
}

/// A consumer's group.
#[derive(Debug)]
pub(super) struct GroupSide {
    context: Arc<Context>,
    group: Arc<str>,
    config: Config,
    auto_commit: Option<Duration>,
    listener: Listener,
    /// `None`: it was told its partitions.
    membership: Option<Membership>,
    owned: BTreeMap<usize, Owned>,
    claiming: HashSet<LogId>,
    background: Arc<Background>,
    committer: Option<AbortHandle>,
    committed_at: Duration,
    permits: Arc<Semaphore>,
    tasks: BTreeMap<u64, AbortHandle>,
    next_task: u64,
    sender: mpsc::Sender<Event>,
    receiver: mpsc::Receiver<Event>,
    inbox: VecDeque<Event>,
}

impl Drop for GroupSide {
    fn drop(&mut self) {
        self.tasks.values().chain(&self.committer).for_each(AbortHandle::abort);
    }
}

/// Tells the group that the application polls, as long as it does.
pub(super) struct Polling {
    polls: Arc<Polls>,
    env: Arc<dyn Env>,
}

impl Drop for Polling {
    fn drop(&mut self) {
        self.polls.end(self.env.monotonic());
    }
}

/// The partitions of a consumer, by the numbers that their messages bear.
pub(super) type Partitions = BTreeMap<usize, Assigned>;

impl GroupSide {
    pub(super) fn new(
        context: &Arc<Context>,
        group: Arc<str>,
        config: Config,
        auto_commit: Option<Duration>,
        listener: Listener,
        membership: Option<Membership>,
    ) -> Self {
        let (sender, receiver) = mpsc::channel(EVENTS);
        Self {
            context: Arc::clone(context),
            group,
            config,
            auto_commit,
            listener,
            membership,
            owned: BTreeMap::new(),
            claiming: HashSet::new(),
            background: Arc::default(),
            committer: None,
            committed_at: context.env.monotonic(),
            permits: Arc::new(Semaphore::new(AT_ONCE)),
            tasks: BTreeMap::new(),
            next_task: 0,
            sender,
            receiver,
            inbox: VecDeque::new(),
        }
    }

    /// Claims partitions that the application assigned itself.
    pub(super) async fn claim_alone(
        &mut self,
        view: View,
        wanted: Vec<(TopicDescription, u32)>,
        partitions: &mut Partitions,
    ) -> Result<()> {
        let side = &*self;
        let ground = &Ground::Alone { view };
        let claimed: Vec<Result<Option<Claimed>>> = futures_util::stream::iter(wanted)
            .map(|(topic, partition)| {
                let log = topic.log_id(partition);
                claim(
                    Arc::clone(&side.context),
                    Arc::clone(&side.group),
                    log,
                    side.config.clone(),
                    ground.clone(),
                    Arc::clone(&side.permits),
                )
            })
            .buffered(AT_ONCE)
            .collect()
            .await;
        for claimed in claimed {
            let claimed = claimed?.ok_or_else(|| Error::internal("a claim that was given up"))?;
            self.take(claimed, partitions);
        }
        Ok(())
    }

    /// The group's name.
    pub(super) fn name(&self) -> &Arc<str> {
        &self.group
    }

    pub(super) fn member(&self) -> Option<&str> {
        self.membership.as_ref().map(|membership| membership.member.as_str())
    }

    /// To be kept while the application polls.
    pub(super) fn polling(&self) -> Option<Polling> {
        let polls = Arc::clone(&self.membership.as_ref()?.polls);
        polls.begin();
        Some(Polling { polls, env: Arc::clone(&self.context.env) })
    }

    /// Whether all partitions that the group gives to this member are being read.
    pub(super) fn is_settled(&self, partitions: &Partitions) -> bool {
        let Some(membership) = &self.membership else { return true };
        let view = membership.view.borrow();
        let given = view.state.partitions_of(&membership.member).count();
        view.is_in(&membership.member) && self.claiming.is_empty() && given == partitions.len()
    }

    /// Waits for something that [`tend`](Self::tend) has to look at.
    pub(super) async fn news(&mut self) {
        if !self.inbox.is_empty() {
            return;
        }
        let event = async { self.receiver.recv().await };
        let changed = async {
            if let Some(membership) = &mut self.membership
                && membership.view.changed().await.is_ok()
            {
                return;
            }
            std::future::pending().await
        };
        let (changed, committed) = (pin!(changed), pin!(self.background.news()));
        if let Either::Left((Some(event), _)) =
            select(pin!(event), select(changed, committed)).await
        {
            self.inbox.push_back(event);
        }
    }

    /// How long until something is to be done that nothing wakes for.
    pub(super) fn idle_for(&self, partitions: &Partitions) -> Option<Duration> {
        let interval = self.auto_commit?;
        if self.background.is_running() || self.dirty(partitions).next().is_none() {
            return None;
        }
        let due = self.committed_at.saturating_add(interval);
        Some(due.saturating_sub(self.context.env.monotonic()))
    }

    /// Does what is to be done. Nothing here waits, so nothing is left half done.
    pub(super) fn tend(&mut self, partitions: &mut Partitions) -> Result<()> {
        let mut failure = self.take_events(partitions);
        if let Some(error) = self.follow_group(partitions) {
            failure = Some(error);
        }
        self.commit_by_itself(partitions);
        failure.map_or(Ok(()), Err)
    }

    fn take_events(&mut self, partitions: &mut Partitions) -> Option<Error> {
        let mut failure = None;
        let mut fresh = Vec::new();
        while let Some(event) = self.inbox.pop_front().or_else(|| self.receiver.try_recv().ok()) {
            match event {
                Event::Claimed { task, id, result } => {
                    self.tasks.remove(&task);
                    self.claiming.remove(&id);
                    match *result {
                        Ok(Some(claimed)) => fresh.push(self.take(claimed, partitions)),
                        Ok(None) => {}
                        Err(error) => failure = Some(error),
                    }
                }
                Event::Released { task, result } => {
                    self.tasks.remove(&task);
                    if let Err(error) = result {
                        tracing::warn!(group = %self.group, %error, "a partition was not released");
                    }
                }
            }
        }
        self.background.done().iter().for_each(|outcome| self.note_commit(outcome));
        if let (Some(listener), false) = (&self.listener.0, fresh.is_empty()) {
            listener.assigned(&fresh);
        }
        failure
    }

    /// Begins to read a partition that was claimed.
    fn take(&mut self, claimed: Claimed, partitions: &mut Partitions) -> PartitionPosition {
        let Claimed { offsets, committed, assigned, incarnation } = claimed;
        let index = self.next_task as usize;
        self.next_task += 1;
        let began = assigned.place.offset;
        let (ticket, offsets) = (offsets.newest_ticket(), Arc::new(offsets));
        let owned = Owned { offsets, incarnation, committed, ticket, began, fenced: false };
        self.owned.insert(index, owned);
        let at = position(&assigned, began);
        partitions.insert(index, assigned);
        at
    }

    /// Brings partitions in line with the group's log.
    fn follow_group(&mut self, partitions: &mut Partitions) -> Option<Error> {
        let (mut lost, mut revoked) = (Vec::new(), Vec::new());
        let mut wanted = Vec::new();
        let mut failure = None;
        match &mut self.membership {
            None => {
                lost.extend(self.owned.iter().filter(|(_, owned)| owned.fenced).map(|(i, _)| *i));
                if !lost.is_empty() {
                    failure = Some(Error::new(
                        ErrorKind::Fenced,
                        format!("group {}: another consumer has taken a partition", self.group),
                    ));
                }
            }
            Some(membership) => {
                let view = membership.view.borrow_and_update();
                let member = &membership.member;
                if let Standing::Stopped(error) = &view.standing {
                    failure = Some(error.clone());
                }
                for (index, owned) in &self.owned {
                    let Some(assigned) = partitions.get(index) else { continue };
                    let id = &assigned.log.id;
                    if owned.fenced || owned.incarnation != view.incarnation || !view.is_in(member)
                    {
                        lost.push(*index);
                    } else if !view.gives(member, &id.topic, id.incarnation, id.partition) {
                        revoked.push(*index);
                    }
                }
                if view.is_in(member) {
                    let taken: HashSet<&LogId> = self
                        .owned
                        .keys()
                        .filter(|index| !lost.contains(index) && !revoked.contains(index))
                        .filter_map(|index| Some(&partitions.get(index)?.log.id))
                        .collect();
                    for (topic, shape, partition) in view.state.partitions_of(member) {
                        let id = LogId {
                            topic: topic.into(),
                            incarnation: shape.incarnation,
                            partition,
                            part: LogPart::Records,
                        };
                        if !taken.contains(&id) && !self.claiming.contains(&id) {
                            wanted.push((id, Arc::clone(&view.incarnation)));
                        }
                    }
                }
            }
        }
        self.drop_lost(&lost, partitions);
        self.release(&revoked, partitions);
        for (id, incarnation) in wanted {
            self.begin_claim(id, incarnation);
        }
        failure
    }

    fn begin_claim(&mut self, id: LogId, incarnation: Arc<str>) {
        let Some(membership) = &self.membership else { return };
        let ground = Ground::Member {
            member: membership.member.clone(),
            incarnation,
            view: membership.view.clone(),
        };
        self.claiming.insert(id.clone());
        let work = claim(
            Arc::clone(&self.context),
            Arc::clone(&self.group),
            id.clone(),
            self.config.clone(),
            ground,
            Arc::clone(&self.permits),
        );
        self.spawn(Box::pin(work), |task, result| Event::Claimed {
            task,
            id,
            result: Box::new(result),
        });
    }

    fn drop_lost(&mut self, lost: &[usize], partitions: &mut Partitions) {
        let lost = self.forget(lost, partitions);
        let positions: Vec<_> = lost.iter().map(|(_, assigned)| position_of(assigned)).collect();
        if let (Some(listener), false) = (&self.listener.0, positions.is_empty()) {
            listener.lost(&positions);
        }
    }

    /// Gives partitions up, each with a last commit.
    fn release(&mut self, revoked: &[usize], partitions: &mut Partitions) {
        for (offsets, commit) in self.give_up(revoked, partitions, &[]) {
            let work = async move { offsets.release(commit).await };
            self.spawn(Box::pin(work), |task, result| Event::Released { task, result });
        }
    }

    /// Stops reading partitions, and says with what commit each is to be released. Of those that are
    /// in `processed` only what lies before that offset counts.
    fn give_up(
        &mut self,
        revoked: &[usize],
        partitions: &mut Partitions,
        processed: &[PartitionPosition],
    ) -> Vec<(Arc<OwnedOffsets>, Option<Committed>)> {
        let waiting = self.background.take(revoked);
        let gone = self.forget(revoked, partitions);
        if gone.is_empty() {
            return Vec::new();
        }
        let read_to = |assigned: &Assigned| {
            let (id, place) = (&assigned.log.id, assigned.place);
            let is_this =
                |p: &&PartitionPosition| p.topic == id.topic && p.partition == id.partition;
            match processed.iter().find(is_this) {
                Some(to) if to.offset < place.offset => Committed::offset(to.offset),
                _ => Committed::place(place),
            }
        };
        let positions: Vec<PartitionPosition> = gone
            .iter()
            .map(|(_, at)| position(at, read_to(at).offset.unwrap_or(at.place.offset)))
            .collect();
        let mut said = self.listener.0.as_ref().map_or_else(Vec::new, |l| l.revoked(&positions));
        said.retain(|commit| match commit.check() {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(group = %self.group, %error, "the listener's commit is left out");
                false
            }
        });
        let auto = self.auto_commit.is_some();
        let commit_of = |owned: &Owned, assigned: &Assigned| {
            let (id, to) = (&assigned.log.id, read_to(assigned));
            let is_this = |s: &&OffsetCommit| s.topic == *id.topic && s.partition == id.partition;
            match said.iter().find(is_this) {
                Some(commit) => Some(committed(commit.clone(), assigned)),
                // What was not read on is committed already.
                None if auto && !to.offset.is_some_and(|to| owned.is_committed(to)) => Some(to),
                None => None,
            }
        };
        gone.into_iter()
            .map(|(owned, assigned)| {
                // What was to be committed in the background, and has not been begun.
                let is_its = |c: &&Commit| {
                    Arc::ptr_eq(&c.offsets, &owned.offsets) && c.offsets.is_newest(c.ticket)
                };
                let waits = waiting.iter().find(is_its);
                let commit = commit_of(&owned, &assigned);
                let commit = commit.or_else(|| waits.map(|commit| commit.committed.clone()));
                (owned.offsets, commit)
            })
            .collect()
    }

    fn forget(&mut self, indexes: &[usize], partitions: &mut Partitions) -> Vec<(Owned, Assigned)> {
        let both = |index: &usize| Some((self.owned.remove(index)?, partitions.remove(index)?));
        indexes.iter().filter_map(both).collect()
    }

    /// The partitions that were read on since the last commit.
    fn dirty<'a>(
        &'a self,
        partitions: &'a Partitions,
    ) -> impl Iterator<Item = (usize, &'a Owned, Place)> {
        self.owned.iter().filter_map(|(index, owned)| {
            let at = partitions.get(index)?.place;
            let is_dirty = !owned.fenced && !owned.is_committed(at.offset);
            is_dirty.then_some((*index, owned, at))
        })
    }

    fn to_commit(&self, partitions: &Partitions) -> Vec<Commit> {
        let commit = |(index, owned, at): (usize, &Owned, Place)| Commit {
            index,
            offsets: Arc::clone(&owned.offsets),
            ticket: owned.offsets.ticket(),
            committed: Committed::place(at),
        };
        self.dirty(partitions).map(commit).collect()
    }

    fn commit_by_itself(&mut self, partitions: &Partitions) {
        if self.idle_for(partitions).is_some_and(|wait| wait.is_zero()) {
            self.commit_in_background(partitions);
        }
    }

    /// Begins to commit where every partition is now.
    pub(super) fn commit_in_background(&mut self, partitions: &Partitions) {
        let to_commit = self.to_commit(partitions);
        self.committed_at = self.context.env.monotonic();
        if to_commit.is_empty() {
            return;
        }
        if !self.background.add(to_commit) {
            return;
        }
        let work = commit_newest(Arc::clone(&self.background), Arc::clone(&self.group));
        let (handle, registration) = AbortHandle::new_pair();
        self.context.env.spawn(Box::pin(async move {
            Abortable::new(work, registration).await.ok();
        }));
        self.committer = Some(handle);
    }

    /// Commits where every partition is now.
    pub(super) async fn commit(&mut self, partitions: &Partitions) -> Result<()> {
        self.committed_at = self.context.env.monotonic();
        let commits = self.to_commit(partitions);
        self.commit_these(commits).await
    }

    /// Commits what the application says.
    pub(super) async fn commit_offsets(
        &mut self,
        offsets: Vec<OffsetCommit>,
        partitions: &Partitions,
    ) -> Result<()> {
        let mut found = Vec::new();
        for wanted in offsets {
            wanted.check()?;
            let its = self.owned.iter().find_map(|(index, owned)| {
                let assigned = partitions.get(index)?;
                let id = &assigned.log.id;
                (*id.topic == *wanted.topic && id.partition == wanted.partition)
                    .then_some((*index, owned, assigned))
            });
            let Some((index, owned, assigned)) = its else {
                return Err(Error::new(
                    ErrorKind::Fenced,
                    format!(
                        "group {}: topic {} partition {} is not this consumer's (any more); its \
                         records will be delivered to whoever has it",
                        self.group, wanted.topic, wanted.partition
                    ),
                ));
            };
            found.push((index, Arc::clone(&owned.offsets), committed(wanted, assigned)));
        }
        let commit = |(index, offsets, committed): (usize, Arc<OwnedOffsets>, Committed)| {
            let ticket = offsets.ticket();
            Commit { index, offsets, ticket, committed }
        };
        self.commit_these(found.into_iter().map(commit).collect()).await
    }

    async fn commit_these(&mut self, commits: Vec<Commit>) -> Result<()> {
        let mut failure: Option<Error> = None;
        let outcomes: Vec<Outcome> = futures_util::stream::iter(commits)
            .map(Commit::write)
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        for outcome in outcomes {
            self.note_commit(&outcome);
            if let Err(error) = outcome.result {
                failure = failure.filter(|f| f.kind() == ErrorKind::Fenced).or(Some(error));
            }
        }
        failure.map_or(Ok(()), Err)
    }

    /// Of a commit that failed nobody knows whether it was written; that shows by its ticket.
    fn note_commit(&mut self, outcome: &Outcome) {
        let Some(owned) = self.owned.get_mut(&outcome.index) else { return };
        match &outcome.result {
            Ok(true) if outcome.ticket > owned.ticket => {
                (owned.committed, owned.ticket) = (Some(outcome.offset), outcome.ticket);
            }
            Ok(_) => {}
            Err(error) => owned.fenced |= error.kind() == ErrorKind::Fenced,
        }
    }

    /// What is committed in the partitions that this consumer has.
    pub(super) async fn committed(&self, partitions: &Partitions) -> Vec<CommittedOffset> {
        let mut all = Vec::new();
        for (index, owned) in &self.owned {
            let Some(assigned) = partitions.get(index) else { continue };
            let id = &assigned.log.id;
            let committed = owned.offsets.committed().await;
            all.extend(CommittedOffset::of(&id.topic, id.partition, committed));
        }
        all
    }

    /// Commits if that is done by itself, gives everything up, and leaves.
    pub(super) async fn close(
        mut self,
        partitions: &mut Partitions,
        processed: &[PartitionPosition],
    ) -> Result<()> {
        let all: Vec<usize> = self.owned.keys().copied().collect();
        let releases = self.give_up(&all, partitions, processed);
        let released: Vec<Result<()>> = futures_util::stream::iter(releases)
            .map(|(offsets, commit)| async move { offsets.release(commit).await })
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        if let Some(membership) = &self.membership {
            membership.leave().await?;
        }
        released.into_iter().collect()
    }

    /// Runs a task, and has it say what it came to.
    fn spawn<T: Send + 'static>(
        &mut self,
        work: BoxFuture<'static, T>,
        event: impl FnOnce(u64, T) -> Event + Send + 'static,
    ) {
        let task = self.next_task;
        self.next_task += 1;
        let (handle, registration) = AbortHandle::new_pair();
        let sender = self.sender.clone();
        let work = async move {
            let done = work.await;
            sender.send(event(task, done)).await.ok();
        };
        self.context.env.spawn(Box::pin(async move {
            Abortable::new(work, registration).await.ok();
        }));
        self.tasks.insert(task, handle);
    }
}

/// Claims a partition and finds where to begin.
async fn claim(
    context: Arc<Context>,
    group: Arc<str>,
    id: LogId,
    mut config: Config,
    ground: Ground,
    permits: Arc<Semaphore>,
) -> Result<Option<Claimed>> {
    let claimed = OwnedOffsets::claim(&context, &group, id.clone(), &ground, &permits).await?;
    let Some(offsets) = claimed else { return Ok(None) };
    let committed = offsets.committed().await;
    if let Some(offset) = committed.offset {
        config.start = Start::Offset(offset);
    }
    let began = begin(&context, &offsets, id, &config, committed, &permits).await;
    match began {
        Ok((committed, assigned)) => {
            let incarnation = match &ground {
                Ground::Member { incarnation, .. } => Arc::clone(incarnation),
                Ground::Alone { .. } => "".into(),
            };
            Ok(Some(Claimed { offsets, committed, assigned, incarnation }))
        }
        Err(error) => {
            offsets.release(None).await?;
            Err(error)
        }
    }
}

async fn begin(
    context: &Context,
    offsets: &OwnedOffsets,
    id: LogId,
    config: &Config,
    committed: Committed,
    permits: &Semaphore,
) -> Result<(Option<i64>, Assigned)> {
    let log = context.log(id, READING);
    let mut tries = 0;
    loop {
        let permit = permits.acquire().await;
        let begun = async {
            // Where reading has no end, nothing has to be asked about the log.
            if let (Some(place), Until::Forever) = (committed.to_place(), config.until) {
                return Ok((committed.offset, Assigned::at(Arc::clone(&log), place)));
            }
            let assigned = Assigned::find(Arc::clone(&log), config).await?;
            // Else what comes between this and the first commit would be skipped by whoever is next.
            if committed.offset.is_none() && config.start != Start::Earliest {
                let began = assigned.place;
                offsets.commit(offsets.ticket(), Committed::place(began)).await?;
                return Ok((Some(began.offset), assigned));
            }
            Ok((committed.offset, assigned))
        };
        let begun = begun.await;
        drop(permit);
        match begun {
            Err(error) if Error::is_retriable(&error) => {
                tries += 1;
                context.store.back_off(tries).await;
            }
            other => return other,
        }
    }
}

/// What the application commits, with the place where that is where it is read just now.
fn committed(commit: OffsetCommit, assigned: &Assigned) -> Committed {
    let place = Committed::place(assigned.place);
    let slot = place.slot.filter(|_| place.offset == Some(commit.offset));
    Committed { slot, ..commit.into() }
}

fn position_of(assigned: &Assigned) -> PartitionPosition {
    position(assigned, assigned.place.offset)
}
