//! Producers, shared by all requests: one a topic, and one for each name and topic. They are built
//! when they are needed, and closed when nobody has needed them for a while.

use crate::config::Limits;
use crate::problem::{Problem, Result};
use crate::runtime::now;
use kaffic_core::{Kaffic, Producer};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::OnceCell;

/// A producer that nobody has used for so long is closed.
const IDLE: Duration = Duration::from_secs(60);
/// A producer is built anew after so long, and sees what became of the topic's settings.
const AGE: Duration = Duration::from_secs(300);

/// A topic, and the name under which is written to it.
pub(crate) type Key = (String, Option<String>);

#[derive(Debug)]
struct Entry {
    cell: Arc<OnceCell<Producer>>,
    built: Instant,
    used: Instant,
}

/// All producers of a server.
#[derive(Debug)]
pub(crate) struct Producers {
    client: Kaffic,
    most: usize,
    delivery_timeout: Duration,
    entries: Mutex<HashMap<Key, Entry>>,
}

/// A producer in use. It is not closed before the last of these is dropped.
#[derive(Debug, Clone)]
pub(crate) struct InUse {
    cell: Arc<OnceCell<Producer>>,
    producer: Producer,
}

impl std::ops::Deref for InUse {
    type Target = Producer;

    fn deref(&self) -> &Producer {
        &self.producer
    }
}

impl Producers {
    pub(crate) fn new(client: Kaffic, limits: &Limits) -> Self {
        let Limits { producers: most, delivery_timeout, .. } = *limits;
        Self { client, most, delivery_timeout, entries: Mutex::default() }
    }

    /// The producer of a topic.
    pub(crate) async fn get(&self, key: &Key) -> Result<InUse> {
        let cell = self.cell(key)?;
        let build = || async {
            let (topic, name) = key;
            let mut builder = self.client.producer(topic).delivery_timeout(self.delivery_timeout);
            if let Some(name) = name {
                builder = builder.name(name);
            }
            builder.build().await
        };
        match cell.get_or_try_init(build).await {
            Ok(producer) => Ok(InUse { producer: producer.clone(), cell }),
            Err(error) => {
                self.forget(key, &cell);
                Err(error.into())
            }
        }
    }

    fn cell(&self, key: &Key) -> Result<Arc<OnceCell<Producer>>> {
        let mut entries = self.lock();
        if let Some(entry) = entries.get_mut(key) {
            entry.used = now();
            return Ok(Arc::clone(&entry.cell));
        }
        if entries.len() >= self.most {
            let unused = entries.iter().filter(|(_, entry)| Arc::strong_count(&entry.cell) == 1);
            let oldest = unused.min_by_key(|(_, entry)| entry.used).map(|(key, _)| key.clone());
            let Some(oldest) = oldest else {
                let most = self.most;
                return Err(Problem::busy(format!("{most} topics are being written to already")));
            };
            // Dropped, it closes nothing, but sends what it has; and nobody waits for it.
            entries.remove(&oldest);
        }
        let cell = Arc::new(OnceCell::new());
        let entry = Entry { cell: Arc::clone(&cell), built: now(), used: now() };
        entries.insert(key.clone(), entry);
        Ok(cell)
    }

    /// Lets the next request build a new one.
    pub(crate) fn renew(&self, key: &Key, used: &InUse) {
        self.forget(key, &used.cell);
    }

    /// Lets all producers of a topic be built anew, because it was changed.
    pub(crate) fn renew_topic(&self, topic: &str) {
        self.lock().retain(|(of, _), _| of != topic);
    }

    fn forget(&self, key: &Key, cell: &Arc<OnceCell<Producer>>) {
        let mut entries = self.lock();
        if entries.get(key).is_some_and(|entry| Arc::ptr_eq(&entry.cell, cell)) {
            entries.remove(key);
        }
    }

    /// Closes those that have been idle.
    pub(crate) async fn sweep(&self) {
        let mut idle = Vec::new();
        self.lock().retain(|_, entry| {
            let unused = Arc::strong_count(&entry.cell) == 1;
            let old = entry.built.elapsed() > AGE;
            let out = unused && (old || entry.used.elapsed() > IDLE);
            if out {
                idle.push(Arc::clone(&entry.cell));
            }
            !out
        });
        close(idle).await;
    }

    /// Closes all: what is under way is written first.
    pub(crate) async fn close(&self) {
        let all: Vec<Entry> = self.lock().drain().map(|(_, entry)| entry).collect();
        close(all.into_iter().map(|entry| entry.cell)).await;
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn close(cells: impl IntoIterator<Item = Arc<OnceCell<Producer>>>) {
    let closing =
        cells.into_iter().filter_map(|cell| cell.get().cloned()).map(|producer| async move {
            if let Err(error) = producer.close().await {
                tracing::warn!(%error, "a producer was closed");
            }
        });
    futures_util::future::join_all(closing).await;
}
