//! The offsets that a group has committed in one partition: a journal in which the owner's claim
//! comes before its commits, so an earlier owner's commit meets the claim and fails.

use super::journal::{Appended, Entry, Journal};
use super::membership::View;
use super::{log_of_offsets, nonce};
use crate::context::Context;
use crate::env::{Env, Rule};
use crate::error::{Error, ErrorKind, Result};
use crate::keys::{LogId, LogPart};
use crate::log::read::Place;
use crate::metrics::observed;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Mutex, Semaphore, watch};

/// The version of the stored form.
const FORMAT: u32 = 1;
/// How often the journal is looked at while another owner is waited for.
const SHORTEST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// How often a release is tried while the storage does not answer.
const RELEASE_TRIES: u32 = 20;

/// An entry: who owns the partition, and what is committed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OffsetState {
    pub(crate) format: u32,
    /// The group's generation when the owner claimed it.
    pub(crate) generation: i64,
    pub(crate) owner: Option<Owner>,
    #[serde(flatten)]
    pub(crate) committed: Committed,
    /// The writer's clock, Unix milliseconds; for people.
    pub(crate) at_ms: i64,
}

/// What is committed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Committed {
    /// The offset of the next record to be consumed.
    pub(crate) offset: Option<i64>,
    /// What the application keeps with it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) metadata: Option<String>,
    /// Where that record is or will be, so that whoever reads on need not search.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) slot: Option<SlotHint>,
}

/// A slot of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SlotHint {
    block: u64,
    slot: u32,
}

impl Committed {
    /// An offset, and nothing more.
    pub(crate) fn offset(offset: i64) -> Self {
        Self { offset: Some(offset), ..Self::default() }
    }

    /// A reader's place.
    pub(crate) fn place(place: Place) -> Self {
        let slot = Some(SlotHint { block: place.block, slot: place.slot });
        Self { slot, ..Self::offset(place.offset) }
    }

    /// Where to read on, if it is known.
    pub(crate) fn to_place(&self) -> Option<Place> {
        let SlotHint { block, slot } = self.slot?;
        Some(Place { block, slot, offset: self.offset? })
    }
}

/// Who owns a partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Owner {
    pub(crate) member: String,
    pub(crate) incarnation: String,
    /// Drawn anew for every claim.
    pub(crate) claim: String,
}

impl OffsetState {
    fn check(&self, id: &LogId) -> Result<()> {
        if self.format == FORMAT {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Unsupported,
            format!("{id} are in format {}; this version reads {FORMAT}", self.format),
        ))
    }
}

/// A partition's offsets, owned.
#[derive(Debug)]
pub(crate) struct OwnedOffsets {
    id: LogId,
    context: Arc<Context>,
    owner: Owner,
    generation: i64,
    /// Commits take tickets: one that was overtaken is not written.
    tickets: AtomicU64,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    journal: Journal<OffsetState>,
    newest: Entry<OffsetState>,
    /// The newest ticket that was taken to the storage.
    begun: u64,
    lost: bool,
}

/// On what a claim rests.
#[derive(Debug, Clone)]
pub(crate) enum Ground {
    /// The group's log gives the partition to this member, as long as it does.
    Member { member: String, incarnation: Arc<str>, view: watch::Receiver<View> },
    /// Nobody is a member who has it: a consumer that was told its partitions.
    Alone { view: View },
}

impl Ground {
    fn view(&self) -> View {
        match self {
            Self::Member { view, .. } => view.borrow().clone(),
            Self::Alone { view } => view.clone(),
        }
    }

    fn owner(&self, claim: String) -> Owner {
        let (member, incarnation) = match self {
            Self::Member { member, incarnation, .. } => (member.clone(), incarnation.to_string()),
            Self::Alone { .. } => (String::new(), claim.clone()),
        };
        Owner { member, incarnation, claim }
    }

    fn holds(&self, view: &View, id: &LogId) -> bool {
        match self {
            Self::Member { member, incarnation, .. } => {
                view.incarnation == *incarnation
                    && view.gives(member, &id.topic, id.incarnation, id.partition)
            }
            Self::Alone { .. } => true,
        }
    }
}

impl OwnedOffsets {
    /// Claims a partition, once its owner before has released it or is a member no more. `None` if
    /// the ground was lost meanwhile. `permits` bounds how many claims use the storage at once.
    ///
    /// Must run to its end: a claim that was put and forgotten would keep others out.
    pub(crate) async fn claim(
        context: &Arc<Context>,
        group: &Arc<str>,
        id: LogId,
        ground: &Ground,
        permits: &Semaphore,
    ) -> Result<Option<Self>> {
        let env = Arc::clone(&context.env);
        let owner = ground.owner(nonce(&*env));
        let log = log_of_offsets(context, group, &id);
        let mut journal = Journal::new(Arc::clone(&log));
        let (mut wait, mut tries, mut waited) = (SHORTEST_WAIT, 0u32, false);
        let mut newest: Option<Entry<OffsetState>> = None;
        loop {
            let permit = permits.acquire().await;
            let read = if waited { journal.refresh().await } else { journal.newest().await };
            let step = match read {
                Ok(read) => {
                    newest = read.or(newest);
                    let entry = newest.as_ref();
                    entry.map_or(Ok(()), |entry| entry.state.check(&log.id))?;
                    // Looked at after the journal: whoever wrote there was a member then.
                    let view = ground.view();
                    let claimed = entry.is_some_and(|e| e.state.owner.as_ref() == Some(&owner));
                    if !ground.holds(&view, &id) && !claimed {
                        return Ok(None);
                    }
                    match Self::step(&mut journal, entry, &owner, &view, &*env).await {
                        Ok(Step::Claimed(entry)) => {
                            let generation = entry.state.generation;
                            let owned = Self {
                                id: log.id.clone(),
                                context: Arc::clone(context),
                                owner,
                                generation,
                                tickets: AtomicU64::new(0),
                                inner: Mutex::new(Inner {
                                    journal,
                                    newest: entry,
                                    begun: 0,
                                    lost: false,
                                }),
                            };
                            // What the group says by now is the consumer's to look at.
                            return Ok(Some(owned));
                        }
                        other => other,
                    }
                }
                Err(error) => Err(error),
            };
            drop(permit);
            match step {
                Ok(Step::Lost) => waited = false,
                Ok(Step::Wait) => {
                    if let Ground::Alone { .. } = ground {
                        return Err(Error::new(
                            ErrorKind::GroupNotEmpty,
                            format!(
                                "{} are a member's; stop the group's members, or use another group",
                                log.id
                            ),
                        ));
                    }
                    waited = true;
                    env.sleep(wait).await;
                    wait = (wait * 2).min(LONGEST_WAIT);
                }
                Ok(Step::Claimed(_)) => return Err(Error::internal("a claim that was dropped")),
                Err(error) if error.is_retriable() => {
                    tries += 1;
                    waited = false;
                    tracing::debug!(log = %log.id, %error, "a claim is tried again");
                    context.store.back_off(tries).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn step(
        journal: &mut Journal<OffsetState>,
        newest: Option<&Entry<OffsetState>>,
        owner: &Owner,
        view: &View,
        env: &dyn Env,
    ) -> Result<Step> {
        if let Some(entry) = newest {
            let state = &entry.state;
            match &state.owner {
                Some(there) if there == owner => return Ok(Step::Claimed(entry.clone())),
                Some(there) if view.state.has(&there.member, &there.incarnation) => {
                    return Ok(Step::Wait);
                }
                // Whoever claimed it knew more of the group than we do.
                _ if state.generation > view.generation
                    && env.keeps(Rule::ClaimsMindGenerations) =>
                {
                    return Ok(Step::Wait);
                }
                _ => {}
            }
        }
        let state = OffsetState {
            format: FORMAT,
            generation: view.generation,
            owner: Some(owner.clone()),
            committed: newest.map(|entry| entry.state.committed.clone()).unwrap_or_default(),
            at_ms: env.now_ms(),
        };
        match journal.append(newest.map(|entry| entry.position), &state).await? {
            Appended::At(position) => Ok(Step::Claimed(Entry { position, state })),
            Appended::Lost => Ok(Step::Lost),
        }
    }

    /// A place in the order of commits. To be taken when the commit is asked for.
    pub(crate) fn ticket(&self) -> u64 {
        self.tickets.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// The ticket of the commit that was asked for last.
    pub(crate) fn newest_ticket(&self) -> u64 {
        self.tickets.load(Ordering::Relaxed)
    }

    /// Whether no commit was asked for since.
    pub(crate) fn is_newest(&self, ticket: u64) -> bool {
        self.newest_ticket() == ticket
    }

    /// What is committed, as far as this owner knows.
    pub(crate) async fn committed(&self) -> Committed {
        self.inner.lock().await.newest.state.committed.clone()
    }

    /// Commits; false if a later commit came first, or may have. `Fenced` when the partition is
    /// another's now.
    pub(crate) async fn commit(&self, ticket: u64, committed: Committed) -> Result<bool> {
        let group = match &self.id.part {
            LogPart::Offsets { group } => Some(&**group),
            _ => None,
        };
        let span = tracing::debug_span!(
            "commit",
            otel.kind = "client",
            messaging.system = "kaffic",
            messaging.operation.name = "commit",
            messaging.operation.type = "settle",
            messaging.destination.name = &*self.id.topic,
            messaging.destination.partition.id = self.id.partition,
            messaging.consumer.group.name = group,
            kaffic.offset = committed.offset,
            error.type = tracing::field::Empty,
        );
        let work = self.commit_once(ticket, committed);
        let (done, took) = observed(&*self.context.env, &span, work).await;
        // One that was overtaken is none.
        if !matches!(done, Ok(false)) {
            self.context.store.meter().commit_ended(&self.id.topic, took, done.as_ref().err());
        }
        done
    }

    async fn commit_once(&self, ticket: u64, committed: Committed) -> Result<bool> {
        let mut inner = self.inner.lock().await;
        if inner.begun > ticket && !inner.lost {
            return Ok(false);
        }
        // Also if it fails: nobody may know whether it was written.
        inner.begun = ticket;
        self.write(&mut inner, |_| (Some(self.owner.clone()), committed.clone())).await?;
        Ok(true)
    }

    /// Gives the partition up, with a last commit. That it is another's already is as good.
    pub(crate) async fn release(&self, last: Option<Committed>) -> Result<()> {
        let mut inner = self.inner.lock().await;
        let mut tries = 0;
        loop {
            let written = self
                .write(&mut inner, |state| {
                    (None, last.clone().unwrap_or_else(|| state.committed.clone()))
                })
                .await;
            match written {
                Err(error) if error.is_retriable() && tries < RELEASE_TRIES => {
                    tries += 1;
                    self.context.store.back_off(tries).await;
                }
                Err(error) if error.kind() == ErrorKind::Fenced => return Ok(()),
                Err(error) => return Err(error),
                Ok(()) => {
                    inner.lost = true;
                    return Ok(());
                }
            }
        }
    }

    async fn write(
        &self,
        inner: &mut Inner,
        what: impl Fn(&OffsetState) -> (Option<Owner>, Committed),
    ) -> Result<()> {
        loop {
            if inner.lost {
                return Err(self.fenced(&inner.newest.state));
            }
            let (owner, committed) = what(&inner.newest.state);
            let state = OffsetState {
                format: FORMAT,
                generation: self.generation,
                owner,
                committed,
                at_ms: self.context.env.now_ms(),
            };
            match inner.journal.append(Some(inner.newest.position), &state).await? {
                Appended::At(position) => {
                    inner.newest = Entry { position, state };
                    return Ok(());
                }
                Appended::Lost => {
                    let newest = inner.journal.newest().await?;
                    inner.newest = newest.ok_or_else(|| {
                        Error::corrupt(&self.id.meta_dir(), "commits were there, and are not")
                    })?;
                    // Else it is our own, whose answer was lost.
                    inner.lost = inner.newest.state.owner.as_ref() != Some(&self.owner)
                        && self.context.env.keeps(Rule::CommitsMeetClaims);
                }
            }
        }
    }

    fn fenced(&self, state: &OffsetState) -> Error {
        let by = match &state.owner {
            Some(owner) if owner.member.is_empty() => "another consumer has taken it".to_owned(),
            Some(owner) => format!("member {} has taken it", owner.member),
            None => "it was given up".to_owned(),
        };
        Error::new(
            ErrorKind::Fenced,
            format!(
                "{}: not committed, since the partition is not this consumer's any more: {by}; \
                 its records will be delivered again from what is committed",
                self.id
            ),
        )
    }
}

enum Step {
    Claimed(Entry<OffsetState>),
    Lost,
    Wait,
}

/// Who owns a partition, and what is committed.
pub(crate) async fn read_offset(
    context: &Arc<Context>,
    group: &Arc<str>,
    id: &LogId,
) -> Result<Option<OffsetState>> {
    let log = log_of_offsets(context, group, id);
    let newest = Journal::<OffsetState>::new(Arc::clone(&log)).newest().await?;
    let Some(newest) = newest else { return Ok(None) };
    newest.state.check(&log.id)?;
    Ok(Some(newest.state))
}

/// Sets what is committed in a partition that no member owns. Whoever owned it without being a
/// member does so no more.
pub(crate) async fn write_offset(
    context: &Arc<Context>,
    group: &Arc<str>,
    id: &LogId,
    view: &View,
    committed: Committed,
) -> Result<()> {
    let log = log_of_offsets(context, group, id);
    let mut journal = Journal::<OffsetState>::new(Arc::clone(&log));
    loop {
        let newest = journal.newest().await?;
        if let Some(newest) = &newest {
            newest.state.check(&log.id)?;
            let owner = newest.state.owner.as_ref();
            let theirs = owner.is_some_and(|o| view.state.has(&o.member, &o.incarnation));
            if theirs || newest.state.generation > view.generation {
                return Err(Error::new(
                    ErrorKind::GroupNotEmpty,
                    format!("{} are a member's; stop the group's members first", log.id),
                ));
            }
        }
        let state = OffsetState {
            format: FORMAT,
            generation: view.generation,
            owner: None,
            committed: committed.clone(),
            at_ms: context.env.now_ms(),
        };
        let after = newest.map(|newest| newest.position);
        if journal.append(after, &state).await? != Appended::Lost {
            return Ok(());
        }
    }
}
