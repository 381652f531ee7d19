//! Commits that nobody waits for: one task writes them, and of those that come meanwhile only the newest
//! of each partition. What became of them is kept until the consumer looks.

use crate::error::{ErrorKind, Result};
use crate::group::offsets::{Committed, OwnedOffsets};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// How many claims and commits of a consumer use the storage at once.
pub(super) const AT_ONCE: usize = 16;

/// Something to be committed.
#[derive(Debug, Clone)]
pub(super) struct Commit {
    /// The consumer's number of the partition.
    pub(super) index: usize,
    pub(super) offsets: Arc<OwnedOffsets>,
    pub(super) ticket: u64,
    pub(super) committed: Committed,
}

impl Commit {
    pub(super) async fn write(self) -> Outcome {
        let Self { index, offsets, ticket, committed } = self;
        let offset = committed.offset.unwrap_or_default();
        Outcome { index, ticket, offset, result: offsets.commit(ticket, committed).await }
    }
}

/// What became of a commit: whether it was written, or one after it.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) index: usize,
    pub(super) ticket: u64,
    pub(super) offset: i64,
    pub(super) result: Result<bool>,
}

/// Commits that nobody waits for.
#[derive(Debug, Default)]
pub(super) struct Background {
    commits: Mutex<Commits>,
    /// There are outcomes.
    news: Notify,
}

#[derive(Debug, Default)]
struct Commits {
    running: bool,
    next: BTreeMap<usize, Commit>,
    under_way: BTreeMap<usize, Commit>,
    /// The newest of each partition.
    done: BTreeMap<usize, Outcome>,
}

impl Background {
    fn commits(&self) -> MutexGuard<'_, Commits> {
        self.commits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes commits, in place of those of the same partitions that were not begun. Says whether
    /// [`commit_newest`] is to be started.
    pub(super) fn add(&self, new: Vec<Commit>) -> bool {
        let mut commits = self.commits();
        commits.next.extend(new.into_iter().map(|commit| (commit.index, commit)));
        !std::mem::replace(&mut commits.running, true)
    }

    pub(super) fn is_running(&self) -> bool {
        self.commits().running
    }

    /// Waits until something became of commits, or may have.
    pub(super) async fn news(&self) {
        self.news.notified().await;
    }

    /// What became of commits since this was asked last.
    pub(super) fn done(&self) -> Vec<Outcome> {
        std::mem::take(&mut self.commits().done).into_values().collect()
    }

    /// What is not written yet of partitions that are given up. A commit that is under way is among it.
    pub(super) fn take(&self, indexes: &[usize]) -> Vec<Commit> {
        let mut commits = self.commits();
        let Commits { next, under_way, .. } = &mut *commits;
        let take = |index| next.remove(index).or_else(|| under_way.get(index).cloned());
        indexes.iter().filter_map(take).collect()
    }
}

impl Commits {
    /// The next of a partition of which none is under way; none also says that the task ends.
    fn begin(&mut self) -> Option<Commit> {
        let free = |index: &&usize| !self.under_way.contains_key(index);
        let Some(index) = self.next.keys().find(free).copied() else {
            self.running = !self.under_way.is_empty();
            return None;
        };
        let commit = self.next.remove(&index)?;
        self.under_way.insert(index, commit.clone());
        Some(commit)
    }

    fn end(&mut self, outcome: Outcome) {
        self.under_way.remove(&outcome.index);
        // That a partition is lost is not forgotten for what came after.
        let fenced = |o: &Outcome| matches!(&o.result, Err(e) if e.kind() == ErrorKind::Fenced);
        if !self.done.get(&outcome.index).is_some_and(fenced) {
            self.done.insert(outcome.index, outcome);
        }
    }
}

/// Commits until nothing is waiting.
pub(super) async fn commit_newest(background: Arc<Background>, group: Arc<str>) {
    let mut under_way = FuturesUnordered::new();
    loop {
        while under_way.len() < AT_ONCE
            && let Some(commit) = background.commits().begin()
        {
            under_way.push(commit.write());
        }
        // Now it shows whether there is more to come.
        background.news.notify_one();
        let Some(outcome) = under_way.next().await else { return };
        if let Err(error) = &outcome.result {
            tracing::warn!(%group, %error, "a commit in the background failed");
        }
        background.commits().end(outcome);
    }
}
