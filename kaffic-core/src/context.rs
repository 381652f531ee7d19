//! What everything that comes from one client shares.

use crate::catalog::Stored;
use crate::env::Env;
use crate::keys::LogId;
use crate::log::compact::Compactor;
use crate::log::{Log, LogSettings};
use crate::store::Store;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A client's store and environment.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) store: Store,
    pub(crate) env: Arc<dyn Env>,
    pub(crate) compactor: Arc<Compactor>,
    pub(crate) known: KnownTopics,
}

/// Topics as they were a moment ago, for those who only read, and often. Nothing is known for any
/// time unless that is asked for.
#[derive(Debug, Default)]
pub(crate) struct KnownTopics {
    /// For how long what was read may be taken for what is.
    pub(crate) keep: Duration,
    topics: Mutex<HashMap<String, (Duration, Stored)>>,
}

/// As many topics are known; beyond that, old ones are looked for to be forgotten.
const MOST_KNOWN: usize = 1000;

impl KnownTopics {
    pub(crate) fn keeping(keep: Duration) -> Self {
        Self { keep, topics: Mutex::default() }
    }

    /// What is known of a topic.
    pub(crate) fn get(&self, name: &str, now: Duration) -> Option<Stored> {
        let topics = self.lock();
        let (asked, stored) = topics.get(name)?;
        (now.saturating_sub(*asked) < self.keep).then(|| stored.clone())
    }

    /// Takes note of what was asked for at `asked`; a topic that is not there is not known.
    pub(crate) fn learn(&self, name: &str, asked: Duration, stored: Option<&Stored>) {
        if self.keep.is_zero() {
            return;
        }
        let mut topics = self.lock();
        let Some(stored) = stored else {
            topics.remove(name);
            return;
        };
        if topics.len() >= MOST_KNOWN {
            topics.retain(|_, (at, _)| asked.saturating_sub(*at) < self.keep);
        }
        if topics.len() < MOST_KNOWN {
            topics.insert(name.to_owned(), (asked, stored.clone()));
        }
    }

    pub(crate) fn forget(&self, name: &str) {
        self.lock().remove(name);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, (Duration, Stored)>> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Context {
    /// One partition's log in the store.
    pub(crate) fn log(&self, id: LogId, settings: LogSettings) -> Arc<Log> {
        Arc::new(self.new_log(id, settings, None))
    }

    /// The same, with the blocks that are ended in it compacted in the background.
    pub(crate) fn compacted_log(&self, id: LogId, settings: LogSettings) -> Arc<Log> {
        Arc::new(self.new_log(id, settings, Some(Arc::clone(&self.compactor))))
    }

    fn new_log(&self, id: LogId, settings: LogSettings, compactor: Option<Arc<Compactor>>) -> Log {
        let (store, env) = (self.store.clone(), Arc::clone(&self.env));
        Log { id, store, env, settings, compactor }
    }
}
