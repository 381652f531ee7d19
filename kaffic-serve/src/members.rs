//! Members of groups that this server hosts for its clients. A member is a consumer of the library,
//! which beats by itself; its client only has to come back within the idle timeout.

use crate::config::Limits;
use crate::problem::{Problem, Result};
use crate::runtime::{now, timeout};
use axum::http::StatusCode;
use kaffic_core::env::{Env, SystemEnv};
use kaffic_core::{Consumer, ConsumerRecord};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};

/// All members that are hosted.
#[derive(Debug)]
pub(crate) struct Members {
    members: Mutex<HashMap<String, Arc<Member>>>,
    room: Arc<Semaphore>,
    most: usize,
    /// How long leaving may take.
    patience: Duration,
}

/// A member that is hosted.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) group: String,
    pub(crate) idle_timeout: Duration,
    used: Mutex<Instant>,
    work: Arc<tokio::sync::Mutex<Work>>,
    _place: OwnedSemaphorePermit,
}

/// What one request at a time does.
#[derive(Debug)]
pub(crate) struct Work {
    /// None when it was closed.
    pub(crate) consumer: Option<Consumer>,
    /// Records that were polled and not given yet.
    pub(crate) waiting: VecDeque<ConsumerRecord>,
    /// The records of the last answer, until its client shows that it arrived.
    pub(crate) given: Vec<ConsumerRecord>,
    /// How many answers had records: the last one's number.
    pub(crate) answers: u64,
    /// How often what was given is committed, if nobody says so.
    auto_commit: Option<Duration>,
    committed: Instant,
}

impl Work {
    pub(crate) fn new(consumer: Consumer, auto_commit: Option<Duration>) -> Self {
        let consumer = Some(consumer);
        let (waiting, given) = (VecDeque::new(), Vec::new());
        Self { consumer, waiting, given, answers: 0, auto_commit, committed: now() }
    }

    /// Takes note of what its client says of the last answer: that it arrived, by that one's number,
    /// or that it did not, by the number before it or none.
    pub(crate) fn arrived(&mut self, after: Option<u64>) -> Result<()> {
        match after {
            Some(number) if number == self.answers => self.given.clear(),
            Some(number) if number.checked_add(1) != Some(self.answers) => {
                return Err(Problem::invalid(format!(
                    "after={number}: give the `next` of the last answer that arrived"
                )));
            }
            _ => {}
        }
        Ok(())
    }

    /// Whether it is time to commit by itself; if so, the time begins anew.
    pub(crate) fn is_commit_due(&mut self) -> bool {
        let due = self.auto_commit.is_some_and(|every| self.committed.elapsed() >= every);
        if due {
            self.committed = now();
        }
        due
    }

    pub(crate) fn consumer(&mut self) -> Result<&mut Consumer> {
        self.consumer.as_mut().ok_or_else(gone)
    }
}

impl Members {
    pub(crate) fn new(limits: &Limits) -> Self {
        let Limits { members: most, drain_timeout: patience, .. } = *limits;
        Self { members: Mutex::default(), room: Arc::new(Semaphore::new(most)), most, patience }
    }

    /// A place for one more.
    pub(crate) fn place(&self) -> Result<OwnedSemaphorePermit> {
        Arc::clone(&self.room).try_acquire_owned().map_err(|_| {
            Problem::busy(format!("{} members are hosted already; try another server", self.most))
        })
    }

    /// Keeps a member, and gives its id. Whoever knows that may use it.
    pub(crate) fn add(
        &self,
        group: String,
        work: Work,
        idle_timeout: Duration,
        place: OwnedSemaphorePermit,
    ) -> String {
        let env = SystemEnv::new();
        let id = format!("{:016x}{:016x}", env.random(), env.random());
        let member = Member {
            group,
            idle_timeout,
            used: Mutex::new(now()),
            work: Arc::new(tokio::sync::Mutex::new(work)),
            _place: place,
        };
        self.lock().insert(id.clone(), Arc::new(member));
        id
    }

    /// The member of that id.
    pub(crate) fn get(&self, group: &str, id: &str) -> Result<Arc<Member>> {
        let member = self.lock().get(id).filter(|member| member.group == group).cloned();
        member.ok_or_else(gone)
    }

    /// Takes a member away.
    pub(crate) fn remove(&self, group: &str, id: &str) -> Result<Arc<Member>> {
        let mut members = self.lock();
        if members.get(id).is_none_or(|member| member.group != group) {
            return Err(gone());
        }
        members.remove(id).ok_or_else(gone)
    }

    /// Closes those whose client has not come back.
    pub(crate) async fn sweep(&self) {
        let mut idle = Vec::new();
        self.lock().retain(|_, member| {
            // One whose request is under way is not idle.
            let out = member.work.try_lock().is_ok() && member.idle() > member.idle_timeout;
            if out {
                idle.push(Arc::clone(member));
            }
            !out
        });
        close(idle, self.patience).await;
    }

    /// Closes all.
    pub(crate) async fn close(&self) {
        let all: Vec<Arc<Member>> = self.lock().drain().map(|(_, member)| member).collect();
        close(all, self.patience).await;
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Member>>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Member {
    /// The member for one request; only one at a time has it.
    pub(crate) fn take(&self) -> Result<OwnedMutexGuard<Work>> {
        self.touch();
        Arc::clone(&self.work).try_lock_owned().map_err(|_| {
            let detail = "another request of this member is under way; one at a time";
            Problem::new(StatusCode::CONFLICT, "member_in_use", detail)
        })
    }

    /// Its client was here.
    pub(crate) fn touch(&self) {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner) = now();
    }

    fn idle(&self) -> Duration {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    /// Leaves the group, after what is under way.
    pub(crate) async fn close(&self) -> Result<()> {
        match self.work.lock().await.consumer.take() {
            Some(consumer) => Ok(consumer.close().await?),
            None => Ok(()),
        }
    }
}

async fn close(members: Vec<Arc<Member>>, patience: Duration) {
    let closing = members.iter().map(|member| async move {
        match timeout(patience, member.close()).await {
            Some(Ok(())) => {}
            Some(Err(problem)) => {
                tracing::warn!(group = member.group, ?problem, "a member was closed");
            }
            None => tracing::warn!(group = member.group, "a member could not leave in time"),
        }
    });
    futures_util::future::join_all(closing).await;
}

fn gone() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "member_not_found",
        "this server has no such member: it was idle for too long or left, or lives on another \
         server; make a new one, which goes on where the group has committed",
    )
}
