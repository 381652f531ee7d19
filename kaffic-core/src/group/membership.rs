//! One member of a group: a task that beats, watches others, reads the group's log as it grows, and
//! writes to it when somebody comes, goes or dies. What the log says is shown to the consumer as a
//! [`View`].

use super::assign::Assignor;
use super::journal::{Appended, Entry, Journal};
use super::liveness::{Heartbeat, WATCHED, Watch};
use super::state::{Change, GroupState, Member, Topic, TopicsSeen};
use super::{log_of_members, nonce};
use crate::catalog;
use crate::chain::{from_json, to_json};
use crate::context::Context;
use crate::env::timeout;
use crate::error::{Error, ErrorKind, Result};
use crate::keys;
use futures_util::future::{AbortHandle, Abortable, Either, join_all, join3, select};
use futures_util::{StreamExt, TryStreamExt};
use regex::Regex;
use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};

/// The longest wait after a lost race, so that many who join at once do not all lose again.
const LONGEST_WAIT_MS: u64 = 2_000;

/// The least time between two looks at a group.
const SHORTEST_WAIT: Duration = Duration::from_millis(10);

/// What a member is to be.
#[derive(Debug, Clone)]
pub(crate) struct MemberConfig {
    pub(crate) group: Arc<str>,
    /// The name of a static member.
    pub(crate) name: Option<String>,
    pub(crate) topics: BTreeSet<String>,
    pub(crate) pattern: Option<Regex>,
    pub(crate) session: Duration,
    pub(crate) heartbeat: Duration,
    pub(crate) max_poll: Duration,
    /// How often topics are looked at.
    pub(crate) topics_interval: Duration,
    pub(crate) assignor: Arc<dyn Assignor>,
}

/// What a member knows of its group.
#[derive(Debug, Clone)]
pub(crate) struct View {
    pub(crate) generation: i64,
    pub(crate) incarnation: Arc<str>,
    pub(crate) state: Arc<GroupState>,
    pub(crate) standing: Standing,
}

/// Whether a member is one.
#[derive(Debug, Clone)]
pub(crate) enum Standing {
    In,
    /// It did not poll for too long, and has left until it does.
    Away,
    /// It never will be again.
    Stopped(Error),
}

impl View {
    /// Whether this member has a partition, as the log's newest entry says.
    pub(crate) fn gives(
        &self,
        member: &str,
        topic: &str,
        incarnation: u32,
        partition: u32,
    ) -> bool {
        self.is_in(member)
            && self.state.topics.get(topic).is_some_and(|t| t.incarnation == incarnation)
            && self
                .state
                .assignment
                .get(member)
                .and_then(|topics| topics.get(topic))
                .is_some_and(|partitions| partitions.contains(&partition))
    }

    /// Whether the member is in the group as what it is now.
    pub(crate) fn is_in(&self, member: &str) -> bool {
        matches!(self.standing, Standing::In) && self.state.has(member, &self.incarnation)
    }
}

/// When the application polled last.
#[derive(Debug, Default)]
pub(crate) struct Polls {
    polling: AtomicBool,
    last_ms: AtomicU64,
}

impl Polls {
    pub(crate) fn begin(&self) {
        self.polling.store(true, Ordering::Relaxed);
    }

    pub(crate) fn end(&self, now: Duration) {
        self.last_ms.store(now.as_millis() as u64, Ordering::Relaxed);
        self.polling.store(false, Ordering::Relaxed);
    }

    fn silent_for(&self, now: Duration) -> Duration {
        if self.polling.load(Ordering::Relaxed) {
            return Duration::ZERO;
        }
        now.saturating_sub(Duration::from_millis(self.last_ms.load(Ordering::Relaxed)))
    }
}

/// A member. Dropping it is as a crash: others will notice.
#[derive(Debug)]
pub(crate) struct Membership {
    pub(crate) member: String,
    pub(crate) view: watch::Receiver<View>,
    pub(crate) polls: Arc<Polls>,
    leave: mpsc::Sender<oneshot::Sender<Result<()>>>,
    task: AbortHandle,
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Membership {
    /// Joins the group.
    pub(crate) async fn join(context: &Arc<Context>, config: MemberConfig) -> Result<Self> {
        context.store.check_contract().await?;
        let env = Arc::clone(&context.env);
        let member = config.name.clone().unwrap_or_else(|| format!("member-{}", nonce(&*env)));
        let polls = Arc::new(Polls::default());
        polls.end(env.monotonic());
        let mut worker = Worker {
            journal: Journal::new(log_of_members(context, &config.group)),
            context: Arc::clone(context),
            member: member.clone(),
            incarnation: nonce(&*env).into(),
            was: None,
            newest: None,
            beat: 0,
            watch: Watch::default(),
            topics_at: env.monotonic(),
            away: false,
            polls: Arc::clone(&polls),
            config,
        };
        worker.read().await?;
        worker.join().await?;
        let (sender, view) = watch::channel(worker.view(Standing::In)?);
        let (leave, commands) = mpsc::channel(1);
        let (task, registration) = AbortHandle::new_pair();
        let work = worker.run(sender, commands);
        env.spawn(Box::pin(async move {
            Abortable::new(work, registration).await.ok();
        }));
        Ok(Self { member, view, polls, leave, task })
    }

    /// Leaves the group. A static member only stops: its partitions wait for it for a session.
    pub(crate) async fn leave(&self) -> Result<()> {
        let (answer, answered) = oneshot::channel();
        if self.leave.send(answer).await.is_err() {
            return Ok(());
        }
        answered.await.unwrap_or(Ok(()))
    }
}

struct Worker {
    context: Arc<Context>,
    config: MemberConfig,
    member: String,
    incarnation: Arc<str>,
    /// What it was before it began to join anew, until that is known to have succeeded.
    was: Option<Arc<str>>,
    journal: Journal<GroupState>,
    newest: Option<Entry<GroupState>>,
    beat: u64,
    watch: Watch,
    /// When topics were last looked at.
    topics_at: Duration,
    /// It has left because nobody polled.
    away: bool,
    polls: Arc<Polls>,
}

/// Somebody who was silent for a session.
struct Silent {
    member: String,
    incarnation: String,
    heartbeat: Option<u64>,
}

impl Worker {
    async fn run(
        mut self,
        sender: watch::Sender<View>,
        mut commands: mpsc::Receiver<oneshot::Sender<Result<()>>>,
    ) {
        let env = Arc::clone(&self.context.env);
        loop {
            let began = env.monotonic();
            let standing = match self.tick().await {
                Ok(()) if self.away => Standing::Away,
                Ok(()) => Standing::In,
                Err(error) if error.is_retriable() => {
                    tracing::warn!(group = %self.config.group, %error, "a group member tries again");
                    Standing::In
                }
                Err(error) => Standing::Stopped(error),
            };
            let stopped = matches!(standing, Standing::Stopped(_));
            self.show(&sender, standing);
            if stopped {
                return;
            }
            let now = env.monotonic();
            let mut wait = self.config.heartbeat.saturating_sub(now - began);
            // Whoever is silent is missed as soon as its session is over.
            if let Some(left) = self.watch.next_deadline().and_then(|at| at.checked_sub(now)) {
                wait = wait.min(left.max(SHORTEST_WAIT));
            }
            if let Either::Right((Some(answer), _)) =
                select(env.sleep(wait), pin!(commands.recv())).await
            {
                answer.send(self.leave("closed").await).ok();
                return;
            }
        }
    }

    /// Shows the consumer what is new.
    fn show(&self, sender: &watch::Sender<View>, standing: Standing) {
        let Ok(view) = self.view(standing) else { return };
        sender.send_if_modified(|shown| {
            let same = shown.generation == view.generation
                && shown.incarnation == view.incarnation
                && matches!(
                    (&shown.standing, &view.standing),
                    (Standing::In, Standing::In) | (Standing::Away, Standing::Away)
                );
            *shown = view;
            !same
        });
    }

    fn view(&self, standing: Standing) -> Result<View> {
        let newest =
            self.newest.as_ref().ok_or_else(|| Error::internal("a group without a log"))?;
        Ok(View {
            generation: newest.position,
            incarnation: Arc::clone(&self.incarnation),
            state: Arc::new(newest.state.clone()),
            standing,
        })
    }

    /// Reads the group's log as far as it goes.
    async fn read(&mut self) -> Result<()> {
        if let Some(newest) = self.journal.refresh().await? {
            newest.state.check(&self.config.group)?;
            self.newest = Some(newest);
        }
        Ok(())
    }

    /// One heartbeat: a put, a look at the group's log and at the members that are watched.
    async fn tick(&mut self) -> Result<()> {
        let env = Arc::clone(&self.context.env);
        if self.away {
            if self.polls.silent_for(env.monotonic()) >= self.config.max_poll {
                return Ok(());
            }
            self.away = false;
            return self.join_anew().await;
        }
        let silent = self.beat_and_look().await?;
        let here = self.newest.as_ref().and_then(|e| e.state.members.get(&self.member));
        match here {
            Some(here) if *here.incarnation == *self.incarnation => self.was = None,
            // It could not take its earlier self out, or has not replaced it yet.
            Some(here) if self.was.as_deref() == Some(&*here.incarnation) => {
                return self.join_anew().await;
            }
            Some(_) => return Err(self.replaced()),
            None => {
                tracing::warn!(group = %self.config.group, member = %self.member, "taken for dead");
                return self.join_anew().await;
            }
        }
        for silent in silent {
            self.evict(&silent).await?;
        }
        let now = env.monotonic();
        if self.polls.silent_for(now) > self.config.max_poll {
            tracing::warn!(
                group = %self.config.group, member = %self.member,
                "leaves, since it was not polled for {:?}", self.config.max_poll
            );
            self.away = true;
            return self.remove_self("did not poll").await;
        }
        if now.saturating_sub(self.topics_at) >= self.config.topics_interval {
            self.look_at_topics().await?;
        }
        Ok(())
    }

    fn replaced(&self) -> Error {
        Error::new(
            ErrorKind::Fenced,
            format!(
                "group {}: a newer instance of member {} has taken its place; names of static \
                 members have to be their own",
                self.config.group, self.member
            ),
        )
    }

    async fn beat_and_look(&mut self) -> Result<Vec<Silent>> {
        let env = Arc::clone(&self.context.env);
        let store = self.context.store.clone();
        let limit = self.config.session / 3;
        self.beat += 1;
        let beat = Heartbeat { incarnation: self.incarnation.to_string(), beat: self.beat };
        let key = keys::heartbeat(&self.config.group, &self.member);
        let bytes = to_json(&beat)?;
        let ring: Vec<(String, Member)> = self.newest.as_ref().map_or_else(Vec::new, |newest| {
            let next = newest.state.next_in_ring(&self.member, WATCHED);
            next.into_iter().map(|(name, member)| (name.clone(), member.clone())).collect()
        });
        let looks = ring.iter().map(|(name, _)| {
            let key = keys::heartbeat(&self.config.group, name);
            let store = store.clone();
            async move {
                match store.get(&key).await? {
                    Some(object) => from_json::<Heartbeat>(&key, &object.bytes).map(Some),
                    None => Ok(None),
                }
            }
        });
        let (beaten, looks, read) = join3(
            timeout(&*env, limit, store.overwrite(&key, bytes)),
            timeout(&*env, limit, join_all(looks)),
            timeout(&*env, limit, self.journal.refresh()),
        )
        .await;
        match beaten {
            Some(Err(error)) if !error.is_retriable() => return Err(error),
            Some(Ok(())) => {}
            _ => tracing::debug!(%key, "a heartbeat was not put"),
        }
        if let Some(read) = read
            && let Some(newest) = read?
        {
            newest.state.check(&self.config.group)?;
            self.newest = Some(newest);
        }
        let names: Vec<&str> = ring.iter().map(|(name, _)| name.as_str()).collect();
        self.watch.keep(&names);
        let now = env.monotonic();
        let mut silent = Vec::new();
        for ((name, member), look) in ring.iter().zip(looks.unwrap_or_default()) {
            // A look that failed is none, and many in a row are a gap.
            let Ok(seen) = look else { continue };
            let session = Duration::from_millis(member.session_ms);
            if self.watch.note(name, &member.incarnation, seen.as_ref(), session, now) {
                silent.push(Silent {
                    member: name.clone(),
                    incarnation: member.incarnation.clone(),
                    heartbeat: self.watch.last_beat(name),
                });
            }
        }
        Ok(silent)
    }

    /// Writes what `decide` makes of the group, and decides anew whenever another was first.
    async fn change(
        &mut self,
        decide: impl Fn(&Self, &GroupState) -> Result<Option<GroupState>>,
    ) -> Result<()> {
        let env = Arc::clone(&self.context.env);
        let mut losses = 0u32;
        loop {
            let empty = || GroupState::empty(Change::Created, env.now_ms());
            let (after, next) = match &self.newest {
                Some(newest) => (Some(newest.position), decide(self, &newest.state)?),
                None => (None, decide(self, &empty())?),
            };
            let Some(state) = next else { return Ok(()) };
            match self.journal.append(after, &state).await? {
                Appended::At(position) => {
                    self.newest = Some(Entry { position, state });
                    return Ok(());
                }
                Appended::Lost => {
                    losses += 1;
                    let most = (5u64 << losses.min(10)).min(LONGEST_WAIT_MS);
                    env.sleep(Duration::from_millis(env.random() % most)).await;
                    self.read().await?;
                }
            }
        }
    }

    async fn join_anew(&mut self) -> Result<()> {
        if self.was.is_none() {
            let incarnation = nonce(&*self.context.env).into();
            self.was = Some(std::mem::replace(&mut self.incarnation, incarnation));
        }
        self.read().await?;
        self.join().await?;
        self.was = None;
        Ok(())
    }

    async fn join(&mut self) -> Result<()> {
        let (topics, seen) = self.see_topics().await?;
        self.change(|worker, state| {
            let mut members = state.members.clone();
            members.insert(worker.member.clone(), worker.as_member(&topics));
            let change = Change::Joined {
                member: worker.member.clone(),
                incarnation: worker.incarnation.to_string(),
            };
            worker.next(state, change, members, &seen).map(Some)
        })
        .await
    }

    fn as_member(&self, topics: &[String]) -> Member {
        Member {
            incarnation: self.incarnation.to_string(),
            is_static: self.config.name.is_some(),
            topics: topics.to_vec(),
            pattern: self.config.pattern.as_ref().map(|pattern| pattern.as_str().to_owned()),
            session_ms: self.config.session.as_millis() as u64,
            heartbeat_ms: self.config.heartbeat.as_millis() as u64,
            joined_ms: self.context.env.now_ms(),
        }
    }

    fn next(
        &self,
        state: &GroupState,
        change: Change,
        members: std::collections::BTreeMap<String, Member>,
        seen: &TopicsSeen,
    ) -> Result<GroupState> {
        state.after(change, members, seen, &self.config.assignor, self.context.env.now_ms())
    }

    /// Takes a member that is silent out of the group, unless it has come back meanwhile.
    async fn evict(&mut self, silent: &Silent) -> Result<()> {
        let key = keys::heartbeat(&self.config.group, &silent.member);
        if let Some(object) = self.context.store.get(&key).await? {
            let now: Heartbeat = from_json(&key, &object.bytes)?;
            if now.incarnation == silent.incarnation && Some(now.beat) != silent.heartbeat {
                return Ok(());
            }
        }
        tracing::info!(group = %self.config.group, member = %silent.member, "evicted: silent");
        self.change(|worker, state| {
            if !state.has(&silent.member, &silent.incarnation)
                || !state.has(&worker.member, &worker.incarnation)
            {
                return Ok(None);
            }
            let mut members = state.members.clone();
            members.remove(&silent.member);
            let change = Change::Evicted {
                member: silent.member.clone(),
                incarnation: silent.incarnation.clone(),
                heartbeat: silent.heartbeat,
            };
            worker.next(state, change, members, &TopicsSeen::new()).map(Some)
        })
        .await?;
        // Names that were drawn are never used again.
        self.context.store.delete(&key).await.ok();
        Ok(())
    }

    async fn leave(&mut self, why: &str) -> Result<()> {
        if self.config.name.is_some() || self.away {
            return Ok(());
        }
        self.remove_self(why).await
    }

    async fn remove_self(&mut self, why: &str) -> Result<()> {
        self.change(|worker, state| {
            if !state.has(&worker.member, &worker.incarnation) {
                return Ok(None);
            }
            let mut members = state.members.clone();
            members.remove(&worker.member);
            let change = Change::Left {
                member: worker.member.clone(),
                incarnation: worker.incarnation.to_string(),
                why: why.to_owned(),
            };
            worker.next(state, change, members, &TopicsSeen::new()).map(Some)
        })
        .await?;
        let key = keys::heartbeat(&self.config.group, &self.member);
        self.context.store.delete(&key).await.ok();
        Ok(())
    }

    /// The topics that this member subscribes to, and what they are now.
    async fn see_topics(&mut self) -> Result<(Vec<String>, TopicsSeen)> {
        self.topics_at = self.context.env.monotonic();
        let store = &self.context.store;
        let mut names = self.config.topics.clone();
        if let Some(pattern) = &self.config.pattern {
            let there = store.list(keys::TOPICS_DIR).await?.dirs;
            names.extend(
                there
                    .into_iter()
                    .filter(|name| keys::check_topic_name(name).is_ok() && pattern.is_match(name)),
            );
        }
        let seen: TopicsSeen = futures_util::stream::iter(names)
            .map(|name| async move {
                let newest = catalog::newest(store, &name).await?;
                let topic = newest.filter(|link| !link.value.deleted).map(|link| Topic {
                    incarnation: link.value.incarnation,
                    partitions: link.value.partitions,
                });
                Ok::<_, Error>((name, topic))
            })
            .buffered(16)
            .try_collect()
            .await?;
        // A topic that is only fitted by a pattern is subscribed to while it is there.
        let wanted = |(name, topic): (&String, &Option<Topic>)| {
            (topic.is_some() || self.config.topics.contains(name)).then(|| name.clone())
        };
        Ok((seen.iter().filter_map(wanted).collect(), seen))
    }

    /// Tells the group of topics that came, went, or are others now.
    async fn look_at_topics(&mut self) -> Result<()> {
        let (topics, seen) = self.see_topics().await?;
        self.change(|worker, state| {
            let mut members = state.members.clone();
            match members.get_mut(&worker.member) {
                Some(me) if *me.incarnation == *worker.incarnation => me.topics.clone_from(&topics),
                _ => return Ok(None),
            }
            let change = Change::Topics { member: worker.member.clone() };
            let next = worker.next(state, change, members, &seen)?;
            let same = next.topics == state.topics && next.members == state.members;
            Ok((!same).then_some(next))
        })
        .await
    }
}
