//! The ends of partitions, each followed by one task for all streams and waiting fetches, however
//! many there are. It keeps the newest records, so that those who wait get them without asking the
//! store.

use crate::app::App;
use crate::problem::{Problem, Result};
use crate::reader::{Most, size};
use crate::runtime::spawn;
use kaffic_core::{ConsumerRecord, Kaffic, ResetPolicy, Start};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// What a tail keeps of the newest records.
const KEPT_BYTES: usize = 1 << 20;
/// What a record weighs beyond its content.
const OVERHEAD: usize = 128;
/// Records that are taken at once.
const SOME: usize = 1000;

/// A tail that nobody has is followed for so many looks more: whoever fetches again and again has
/// none in between.
const SPARE_LOOKS: u32 = 10;
const LOOK: Duration = Duration::from_secs(1);

/// A topic and a partition of it.
type Key = (String, u32);

/// All partitions that are followed.
#[derive(Debug, Default)]
pub(crate) struct Tails {
    tails: Mutex<HashMap<Key, Weak<Tail>>>,
}

/// The end of one partition. It is followed as long as somebody has it, and a little longer.
#[derive(Debug)]
pub(crate) struct Tail {
    newest: Mutex<Newest>,
    /// The offset behind the newest record; or why it is followed no more.
    state: watch::Sender<State>,
    /// Something was just written here.
    nudge: Notify,
}

/// How far a tail is.
#[derive(Debug, Clone)]
pub(crate) enum State {
    /// Its end is being looked for.
    Opening,
    /// The offset that the next record gets, as far as is known.
    At(i64),
    /// It is followed no more, because of this.
    Failed(Problem),
    /// It is followed no more, because nobody wanted it; whoever does now takes a new one.
    Ended,
}

/// The newest records, without a gap from `first` to the tail's end.
#[derive(Debug, Default)]
struct Newest {
    records: VecDeque<ConsumerRecord>,
    first: i64,
    end: i64,
    bytes: usize,
}

/// What a tail has at an offset.
#[derive(Debug)]
pub(crate) enum Found {
    /// These records, and the offset behind them.
    Records(Vec<ConsumerRecord>, i64),
    /// Nothing yet: it is the end, or beyond.
    End,
    /// Something that is not kept any more; ask the store.
    Older,
}

impl Tails {
    /// The tail of a partition, which is followed from now on if it was not.
    pub(crate) fn get(&self, app: &App, topic: &str, partition: u32) -> Result<Arc<Tail>> {
        let key = (topic.to_owned(), partition);
        let mut tails = self.lock();
        if let Some(tail) = tails.get(&key).and_then(Weak::upgrade)
            && !matches!(*tail.state.borrow(), State::Failed(_) | State::Ended)
        {
            return Ok(tail);
        }
        let most = app.config.limits.tails;
        if tails.len() >= most {
            tails.retain(|_, tail| tail.strong_count() > 0);
        }
        if tails.len() >= most {
            return Err(Problem::busy(format!("{most} partitions are followed already")));
        }
        let tail = Arc::new(Tail {
            newest: Mutex::default(),
            state: watch::Sender::new(State::Opening),
            nudge: Notify::new(),
        });
        tails.insert(key, Arc::downgrade(&tail));
        spawn(follow(app.client.clone(), topic.to_owned(), partition, Arc::downgrade(&tail)));
        Ok(tail)
    }

    /// The tail of a partition if it is followed already, and has what is at `offset`.
    pub(crate) fn having(&self, topic: &str, partition: u32, offset: i64) -> Option<Arc<Tail>> {
        let tails = self.lock();
        if tails.is_empty() {
            return None;
        }
        let tail = tails.get(&(topic.to_owned(), partition)).and_then(Weak::upgrade)?;
        let at = matches!(*tail.state.borrow(), State::At(end) if offset <= end);
        let kept = offset >= tail.lock().first;
        (at && kept).then_some(tail)
    }

    /// Lets the tail of a partition look at once, because something was written there.
    pub(crate) fn nudge(&self, topic: &str, partition: u32, offset: i64) {
        let tails = self.lock();
        if tails.is_empty() {
            return;
        }
        let tail = tails.get(&(topic.to_owned(), partition)).and_then(Weak::upgrade);
        if let Some(tail) = tail
            && matches!(*tail.state.borrow(), State::At(end) if end <= offset)
        {
            tail.nudge.notify_one();
        }
    }

    /// How many partitions are followed.
    pub(crate) fn len(&self) -> usize {
        self.lock().values().filter(|tail| tail.strong_count() > 0).count()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Weak<Tail>>> {
        self.tails.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tail {
    /// Tells how far the tail is, and when that changes.
    pub(crate) fn watch(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    /// What is kept from `offset` on.
    pub(crate) fn read(&self, offset: i64, most: Most) -> Found {
        let newest = self.lock();
        if offset >= newest.end {
            return Found::End;
        }
        if offset < newest.first {
            return Found::Older;
        }
        let at = newest.records.partition_point(|record| record.offset < offset);
        let mut given = Vec::new();
        let mut bytes = 0;
        for record in newest.records.range(at..).take(most.records) {
            bytes += size(record);
            if bytes > most.bytes && !given.is_empty() {
                break;
            }
            given.push(record.clone());
        }
        let next = match given.last() {
            Some(last) if at + given.len() < newest.records.len() => last.offset + 1,
            _ => newest.end,
        };
        Found::Records(given, next)
    }

    /// Takes new records in, and lets the oldest go.
    fn push(&self, records: Vec<ConsumerRecord>, end: i64) {
        let mut newest = self.lock();
        for record in records {
            newest.bytes += size(&record) + OVERHEAD;
            newest.records.push_back(record);
        }
        while newest.bytes > KEPT_BYTES {
            let Some(oldest) = newest.records.pop_front() else { break };
            newest.bytes -= size(&oldest) + OVERHEAD;
            newest.first = oldest.offset + 1;
        }
        newest.end = end;
        drop(newest);
        self.state.send_replace(State::At(end));
    }

    fn lock(&self) -> MutexGuard<'_, Newest> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Follows a partition until nobody has its tail, or something goes wrong.
async fn follow(client: Kaffic, topic: String, partition: u32, tail: Weak<Tail>) {
    let last = match followed(&client, &topic, partition, &tail).await {
        Ok(()) => State::Ended,
        Err(error) => State::Failed(error.into()),
    };
    if let Some(tail) = tail.upgrade() {
        tail.state.send_replace(last);
    }
}

async fn followed(
    client: &Kaffic,
    topic: &str,
    partition: u32,
    tail: &Weak<Tail>,
) -> kaffic_core::Result<()> {
    let mut consumer = client
        .consumer()
        .assign(topic, [partition])
        .start(Start::Latest)
        .reset(ResetPolicy::Error)
        .fetch_ahead_bytes(KEPT_BYTES)
        .build()
        .await?;
    let end = |consumer: &kaffic_core::Consumer| {
        consumer.positions().first().map_or(0, |position| position.offset)
    };
    let Some(opened) = tail.upgrade() else { return Ok(()) };
    opened.lock().first = end(&consumer);
    opened.push(Vec::new(), end(&consumer));
    drop(opened);
    let mut spare = SPARE_LOOKS;
    while spare > 0 {
        let Some(held) = tail.upgrade() else { return Ok(()) };
        let polled = tokio::select! {
            biased;
            polled = consumer.poll(SOME, LOOK) => Some(polled?),
            () = held.nudge.notified() => None,
        };
        match polled {
            Some(records) if records.is_empty() => {}
            Some(records) => {
                let end = end(&consumer);
                held.push(records, end);
            }
            // It begins to look anew, and soon.
            None => {
                consumer.pause(topic, partition)?;
                consumer.resume(topic, partition)?;
            }
        }
        let wanted = Arc::strong_count(&held) > 1;
        spare = if wanted { SPARE_LOOKS } else { spare - 1 };
    }
    Ok(())
}
