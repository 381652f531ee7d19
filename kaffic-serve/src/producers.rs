//! Producers, shared by all requests: one a topic, and one for each name and topic. They are built
//! when they are needed, and closed when nobody has needed them for a while.

use crate::config::Limits;
use crate::problem::{Problem, Result};
use crate::runtime::{now, timeout};
use kaffic_core::{Kaffic, Producer};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::OnceCell;

/// A producer that nobody has used for so long is closed.
const IDLE: Duration = Duration::from_secs(60);
/// A producer is built anew after so long, and sees what became of the topic's settings; also if it
/// is always in use.
const AGE: Duration = Duration::from_secs(300);

/// A topic, and the name under which is written to it.
pub(crate) type Key = (String, Option<String>);

#[derive(Debug)]
struct Entry {
    cell: Arc<OnceCell<Producer>>,
    built: Instant,
    used: Instant,
}

impl Entry {
    fn new() -> Self {
        Self { cell: Arc::default(), built: now(), used: now() }
    }
}

/// All producers of a server.
#[derive(Debug)]
pub(crate) struct Producers {
    client: Kaffic,
    most: usize,
    delivery_timeout: Duration,
    /// How long closing one may take.
    patience: Duration,
    age: Duration,
    entries: Mutex<HashMap<Key, Entry>>,
    /// Those in whose place there are others, until nobody uses them.
    retired: Mutex<Vec<Arc<OnceCell<Producer>>>>,
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
        let Limits { producers: most, delivery_timeout, drain_timeout: patience, .. } = *limits;
        let (entries, retired) = (Mutex::default(), Mutex::default());
        Self { client, most, delivery_timeout, patience, age: AGE, entries, retired }
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
            if entry.built.elapsed() > self.age {
                self.replace(key, entry);
            }
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
        let entry = Entry::new();
        let cell = Arc::clone(&entry.cell);
        entries.insert(key.clone(), entry);
        Ok(cell)
    }

    /// Has an entry built anew, while what uses the old producer ends as it began.
    fn replace(&self, (_, name): &Key, entry: &mut Entry) {
        match name {
            None => self.retired().push(std::mem::replace(entry, Entry::new()).cell),
            // A new instance of a name stops the old one, so that has to have ended.
            Some(_) if Arc::strong_count(&entry.cell) == 1 => *entry = Entry::new(),
            Some(_) => {}
        }
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
        let in_use = |cell: &mut Arc<OnceCell<Producer>>| Arc::strong_count(cell) > 1;
        let mut idle: Vec<_> = self.retired().extract_if(.., |cell| !in_use(cell)).collect();
        self.lock().retain(|_, entry| {
            let unused = Arc::strong_count(&entry.cell) == 1;
            let old = entry.built.elapsed() > self.age;
            let out = unused && (old || entry.used.elapsed() > IDLE);
            if out {
                idle.push(Arc::clone(&entry.cell));
            }
            !out
        });
        close(idle, self.patience).await;
    }

    /// Closes all: what is under way is written first.
    pub(crate) async fn close(&self) {
        let mut all = std::mem::take(&mut *self.retired());
        all.extend(self.lock().drain().map(|(_, entry)| entry.cell));
        close(all, self.patience).await;
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn retired(&self) -> MutexGuard<'_, Vec<Arc<OnceCell<Producer>>>> {
        self.retired.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn close(cells: Vec<Arc<OnceCell<Producer>>>, patience: Duration) {
    let producers = cells.into_iter().filter_map(|cell| cell.get().cloned());
    let closing = producers.map(|producer| async move {
        match timeout(patience, producer.close()).await {
            Some(Ok(())) => {}
            Some(Err(error)) => tracing::warn!(%error, "a producer was closed"),
            None => tracing::warn!("a producer could not be closed in time"),
        }
    });
    futures_util::future::join_all(closing).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use kaffic_core::{ErrorKind, Record, TopicChange};

    #[tokio::test]
    async fn a_producer_in_use_sees_what_became_of_its_topic() {
        let client = Kaffic::connect("memory://").await.unwrap();
        client.topics().create("t", Default::default()).await.unwrap();
        let mut producers = Producers::new(client.clone(), &Limits::default());
        producers.age = Duration::ZERO;
        let (plain, named) = (("t".to_owned(), None), ("t".to_owned(), Some("n".to_owned())));
        let old = producers.get(&plain).await.unwrap();
        let busy = producers.get(&named).await.unwrap();
        client.topics().alter("t", TopicChange::new().max_record_bytes(Some(10))).await.unwrap();
        let large = || Record::value("x".repeat(100)).sequence(1);
        let new = producers.get(&plain).await.unwrap();
        let refused = new.send(Record::value("x".repeat(100))).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::RecordTooLarge);
        old.send(Record::value("x")).await.unwrap();
        // A name that is in use stays as it is, until it is not.
        let same = producers.get(&named).await.unwrap();
        same.send(large()).await.unwrap();
        drop((busy, same));
        let new = producers.get(&named).await.unwrap();
        assert_eq!(new.send(large()).await.unwrap_err().kind(), ErrorKind::RecordTooLarge);
        // What was replaced is closed when nobody uses it.
        producers.sweep().await;
        old.send(Record::value("x")).await.unwrap();
        let closed = (*old).clone();
        drop(old);
        producers.sweep().await;
        assert_eq!(closed.send(Record::value("x")).await.unwrap_err().kind(), ErrorKind::Closed);
    }
}
