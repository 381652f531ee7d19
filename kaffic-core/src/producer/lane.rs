//! One partition of a producer: the batches that gather, and the task that appends them one after
//! the other. While a put is under way records gather in the next batch (group commit), so batches
//! grow with the latency of the store and throughput does not fall.

use super::batch_size::BatchSize;
use super::config::Config;
use super::linger::{Busy, Linger};
use super::ticket::{Completion, Outcome, Ticket, completion, outcome};
use crate::batch::{BatchBuilder, Compression, EncodedBatch};
use crate::env::{Env, compute};
use crate::error::{Error, ErrorKind, Result};
use crate::log::append::Appender;
use crate::log::{Log, MAX_BATCH_RECORDS};
use crate::record::Record;
use futures_util::future::{Either, select};
use std::collections::VecDeque;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, Semaphore, oneshot};

/// A batch of this size is compressed where it keeps no other task from running.
const WORTH_A_THREAD: usize = 64 << 10;

/// The buffer of one partition.
#[derive(Debug)]
pub(super) struct Lane {
    partition: u32,
    env: Arc<dyn Env>,
    config: Config,
    room: Arc<Semaphore>,
    state: Mutex<State>,
    /// Something for the task to do.
    work: Notify,
}

#[derive(Debug)]
struct State {
    batch_size: BatchSize,
    linger: Linger,
    open: Option<Gathering>,
    full: VecDeque<Gathering>,
    /// What the task is appending now.
    under_way: Option<Completion>,
    /// Somebody waits for everything so far: no lingering.
    flushing: bool,
    closing: Option<Closing>,
    closed: bool,
}

impl State {
    fn new(batch_size: BatchSize, linger: Linger) -> Self {
        Self {
            batch_size,
            linger,
            open: None,
            full: VecDeque::new(),
            under_way: None,
            flushing: false,
            closing: None,
            closed: false,
        }
    }
}

/// How the task ends once nothing is left to append.
#[derive(Debug)]
struct Closing {
    done: Option<oneshot::Sender<Result<()>>>,
}

/// A batch that gathers records.
#[derive(Debug)]
struct Gathering {
    builder: BatchBuilder,
    /// Where it comes from once it is compressed, if that has begun.
    encoded: Option<oneshot::Receiver<Result<EncodedBatch>>>,
    born: Duration,
    /// Its bytes, if it was full and did not just linger long enough.
    full: Option<usize>,
    /// Bytes of the producer's room that its records take.
    room: usize,
    expected: Option<i64>,
    done: oneshot::Sender<Outcome>,
    completion: Completion,
}

impl Gathering {
    fn new(born: Duration, capacity: usize) -> Self {
        let (done, completion) = completion();
        let builder = BatchBuilder::new(capacity);
        Self { builder, encoded: None, born, full: None, room: 0, expected: None, done, completion }
    }
}

impl Lane {
    /// A lane and its task.
    pub(super) fn start(
        partition: u32,
        log: Arc<Log>,
        config: Config,
        room: Arc<Semaphore>,
        busy: &Busy,
    ) -> Arc<Self> {
        let linger = Linger::new(config.linger, busy.clone());
        let lane = Arc::new(Self {
            partition,
            env: Arc::clone(&log.env),
            state: Mutex::new(State::new(config.batch_size(), linger)),
            config,
            room,
            work: Notify::new(),
        });
        let appender = Appender::new(Arc::clone(&log));
        log.env.spawn(Box::pin(Arc::clone(&lane).run(appender)));
        lane
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a batch is gathering.
    pub(super) fn is_gathering(&self) -> bool {
        self.state().open.is_some()
    }

    /// Puts a record into the batch that gathers.
    pub(super) fn push(&self, record: &Record, timestamp: i64, room: usize) -> Result<Ticket> {
        let mut state = self.state();
        self.check_open(&state)?;
        let batch_bytes = state.batch_size.bytes();
        let mut begun = false;
        let batch = state.open.get_or_insert_with(|| {
            begun = true;
            Gathering::new(self.env.monotonic(), batch_bytes.min(64 << 10))
        });
        let ticket = Ticket {
            completion: batch.completion.clone(),
            index: batch.builder.count(),
            partition: self.partition,
            timestamp,
        };
        batch.builder.push(record, timestamp);
        batch.room += room;
        let bytes = batch.builder.len();
        batch.full = (bytes >= batch_bytes).then_some(bytes);
        let full = batch.full.is_some() || batch.builder.count() >= MAX_BATCH_RECORDS;
        if full {
            let full = state.open.take().map(|batch| self.encode_ahead(batch));
            state.full.extend(full);
        }
        state.linger.set_busy(true);
        drop(state);
        if begun || full {
            self.work.notify_one();
        }
        Ok(ticket)
    }

    /// Begins to compress a full batch, while the one before it is written.
    fn encode_ahead(&self, mut batch: Gathering) -> Gathering {
        let codec = self.config.compression.unwrap_or_default();
        if codec != Compression::None {
            let builder = std::mem::replace(&mut batch.builder, BatchBuilder::new(0));
            batch.encoded = Some(compute(&*self.env, move || builder.finish(codec)));
        }
        batch
    }

    /// Makes a batch of just these records.
    pub(super) fn push_batch(
        &self,
        records: &[(Record, i64)],
        room: usize,
        expected: Option<i64>,
    ) -> Result<Ticket> {
        let mut state = self.state();
        self.check_open(&state)?;
        let before = state.open.take();
        state.full.extend(before);
        let mut batch = Gathering::new(self.env.monotonic(), 0);
        for (record, timestamp) in records {
            batch.builder.push(record, *timestamp);
        }
        (batch.room, batch.expected) = (room, expected);
        let ticket = Ticket {
            completion: batch.completion.clone(),
            index: 0,
            partition: self.partition,
            timestamp: records.first().map_or(0, |(_, timestamp)| *timestamp),
        };
        state.full.push_back(batch);
        state.linger.set_busy(true);
        drop(state);
        self.work.notify_one();
        Ok(ticket)
    }

    fn check_open(&self, state: &State) -> Result<()> {
        if state.closing.is_some() || state.closed {
            return Err(Error::new(ErrorKind::Closed, "the producer was closed"));
        }
        Ok(())
    }

    /// Waits for everything pushed so far; the first failure is returned.
    pub(super) async fn flush(&self) -> Result<()> {
        let waiting: Vec<Completion> = {
            let mut state = self.state();
            state.flushing = true;
            let batches = state.full.iter().chain(&state.open).map(|batch| &batch.completion);
            state.under_way.iter().chain(batches).cloned().collect()
        };
        self.work.notify_one();
        let mut result = Ok(());
        for completion in waiting {
            let outcome = outcome(completion.await);
            result = result.and(outcome.map(|_| ()));
        }
        result
    }

    /// Appends what is left, ends the block and stops the task.
    pub(super) async fn close(&self) -> Result<()> {
        let (done, finished) = oneshot::channel();
        {
            let mut state = self.state();
            if state.closed || state.closing.is_some() {
                return Ok(());
            }
            state.closing = Some(Closing { done: Some(done) });
        }
        self.work.notify_one();
        finished.await.unwrap_or(Ok(()))
    }

    /// As `close`, with nobody to wait for it.
    pub(super) fn let_go(&self) {
        let mut state = self.state();
        if state.closing.is_none() {
            state.closing = Some(Closing { done: None });
        }
        drop(state);
        self.work.notify_one();
    }

    async fn run(self: Arc<Self>, mut appender: Appender) {
        loop {
            appender.turn().await;
            let Some(batch) = self.next_batch().await else { break };
            self.deliver(&mut appender, batch).await;
        }
        let ended = crate::env::timeout(&*self.env, self.config.delivery_timeout, appender.close());
        let ended = ended.await.unwrap_or_else(|| {
            Err(Error::new(ErrorKind::Timeout, "the block could not be ended in time"))
        });
        let closing = {
            let mut state = self.state();
            state.closed = true;
            state.closing.take()
        };
        match closing.and_then(|closing| closing.done) {
            Some(done) => drop(done.send(ended)),
            None => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a block was left for others to end");
                }
            }
        }
    }

    /// The next batch to append, once it is full or has lingered; `None` when closing and empty.
    async fn next_batch(&self) -> Option<Gathering> {
        loop {
            let linger = {
                let mut state = self.state();
                let urgent = state.flushing || state.closing.is_some();
                let lingered = state.open.as_ref().map(|batch| {
                    batch
                        .born
                        .saturating_add(state.linger.time())
                        .saturating_sub(self.env.monotonic())
                });
                let next = match (state.full.pop_front(), lingered) {
                    (Some(full), _) => Some(full),
                    (None, Some(left)) if urgent || left.is_zero() => state.open.take(),
                    (None, _) => None,
                };
                if let Some(batch) = next {
                    state.under_way = Some(batch.completion.clone());
                    state.flushing &= !(state.full.is_empty() && state.open.is_none());
                    return Some(batch);
                }
                state.flushing = false;
                if lingered.is_none() && state.closing.is_some() {
                    return None;
                }
                lingered
            };
            let work = pin!(self.work.notified());
            match linger {
                Some(left) => match select(work, self.env.sleep(left)).await {
                    Either::Left(_) | Either::Right(_) => {}
                },
                None => work.await,
            }
        }
    }

    async fn deliver(&self, appender: &mut Appender, batch: Gathering) {
        let batch = match batch.builder.len() {
            WORTH_A_THREAD.. => self.encode_ahead(batch),
            _ => batch,
        };
        let Gathering { builder, encoded, born, full, room, expected, done, .. } = batch;
        let deadline = born.saturating_add(self.config.delivery_timeout);
        let encoded = match encoded {
            Some(ahead) => ahead.await.unwrap_or_else(|_| Err(Error::internal("compression"))),
            None => builder.finish(self.config.compression.unwrap_or_default()),
        };
        let begun = self.env.monotonic();
        let outcome = match encoded {
            Ok(encoded) => appender.append(&encoded, expected, deadline).await,
            Err(error) => Err(error),
        };
        if let Err(error) = &outcome {
            tracing::debug!(%error, partition = self.partition, "a batch failed");
        }
        self.room.add_permits(room);
        let took = self.env.monotonic().saturating_sub(begun);
        let mut state = self.state();
        state.under_way = None;
        if outcome.is_ok() {
            state.linger.written(took);
            if let Some(bytes) = full {
                state.batch_size.written(bytes, took);
            }
        }
        let left = state.open.is_some() || !state.full.is_empty();
        state.linger.set_busy(left);
        drop(state);
        // Last, so that whoever has heard of it finds nothing of it under way.
        done.send(outcome).ok();
    }
}
