//! One partition of a producer: the batches that gather, and the task that appends them one after
//! the other. While a put is under way records gather in the next batch (group commit), so batches
//! grow with the latency of the store and throughput does not fall.

use super::batch_size::BatchSize;
use super::config::Config;
use super::linger::{Busy, Linger};
use super::room::Room;
use super::ticket::{Completion, Outcome, Ticket, Written, completion, outcome};
use crate::batch::{BatchBuilder, Compression, EncodedBatch};
use crate::env::{Env, compute};
use crate::error::{Error, ErrorKind, Result};
use crate::log::MAX_BATCH_RECORDS;
use crate::log::append::{Appended, Appender};
use crate::metrics::observed;
use crate::record::Record;
use futures_util::future::{Either, select};
use std::collections::VecDeque;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, oneshot};

/// A batch of this size is compressed where it keeps no other task from running.
const WORTH_A_THREAD: usize = 64 << 10;

/// The buffer of one partition.
#[derive(Debug)]
pub(super) struct Lane {
    partition: u32,
    env: Arc<dyn Env>,
    config: Config,
    room: Arc<Room>,
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
    /// Who waits for the log to be fenced.
    preparing: VecDeque<Preparation>,
    /// The lowest sequence that failed, and that has to be sent again before any after it.
    owed: Option<i64>,
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
            preparing: VecDeque::new(),
            owed: None,
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

/// What the task does next.
enum Work {
    Batch(Gathering),
    Prepare(Preparation),
}

/// Somebody wants the log fenced, and perhaps to know the last sequence.
#[derive(Debug)]
struct Preparation {
    with_sequence: bool,
    done: oneshot::Sender<Result<Option<i64>>>,
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
    /// The application's sequences of its records, which grow; empty where they have none.
    sequences: Vec<i64>,
    done: oneshot::Sender<Outcome>,
    completion: Completion,
}

impl Gathering {
    fn new(born: Duration, capacity: usize) -> Self {
        let (done, completion) = completion();
        let builder = BatchBuilder::new(capacity);
        Self {
            builder,
            encoded: None,
            born,
            full: None,
            room: 0,
            expected: None,
            sequences: Vec::new(),
            done,
            completion,
        }
    }

    /// Whether a record may be in the same batch as those that it has.
    fn takes(&self, record: &Record) -> bool {
        match (self.sequences.last(), record.sequence) {
            (Some(last), Some(sequence)) => sequence > *last,
            (None, Some(_)) => self.builder.count() == 0,
            (last, None) => last.is_none(),
        }
    }
}

impl Lane {
    /// A lane and its task.
    pub(super) fn start(
        partition: u32,
        env: Arc<dyn Env>,
        appender: Appender,
        config: Config,
        room: Arc<Room>,
        busy: &Busy,
    ) -> Arc<Self> {
        let linger = Linger::new(config.linger, busy.clone());
        let lane = Arc::new(Self {
            partition,
            env,
            state: Mutex::new(State::new(config.batch_size(), linger)),
            config,
            room,
            work: Notify::new(),
        });
        lane.env.spawn(Box::pin(Arc::clone(&lane).run(appender)));
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
        self.check_owed(&mut state, record.sequence)?;
        if let Some(other) = state.open.take_if(|open| !open.takes(record)) {
            state.full.push_back(other);
        }
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
        batch.sequences.extend(record.sequence);
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
        self.check_owed(&mut state, records.first().and_then(|(record, _)| record.sequence))?;
        let before = state.open.take();
        state.full.extend(before);
        let mut batch = Gathering::new(self.env.monotonic(), 0);
        for (record, timestamp) in records {
            batch.builder.push(record, *timestamp);
            batch.sequences.extend(record.sequence);
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

    /// A record whose sequence is behind one that failed would make that one a duplicate for ever.
    fn check_owed(&self, state: &mut State, sequence: Option<i64>) -> Result<()> {
        match (state.owed, sequence) {
            (Some(owed), Some(sequence)) if sequence > owed => Err(Error::new(
                ErrorKind::InvalidArgument,
                format!(
                    "partition {}: sequence {owed} was not acknowledged; send that again before \
                     {sequence}, or make a new producer",
                    self.partition
                ),
            )),
            // Lower ones were acknowledged, and don't stand for it.
            (Some(owed), Some(sequence)) if sequence == owed => {
                state.owed = None;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Fences older instances of the producer's name off the log, and gives the last sequence if
    /// that is wanted.
    pub(super) async fn prepare(&self, with_sequence: bool) -> Result<Option<i64>> {
        let (done, finished) = oneshot::channel();
        {
            let mut state = self.state();
            self.check_open(&state)?;
            state.preparing.push_back(Preparation { with_sequence, done });
        }
        self.work.notify_one();
        finished.await.unwrap_or_else(|_| Err(task_ended()))
    }

    /// Somebody waits for room: what gathers goes now.
    pub(super) fn hurry(&self) {
        self.work.notify_one();
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
        finished.await.unwrap_or_else(|_| Err(task_ended()))
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
        let _ended = Ended(&self);
        loop {
            appender.turn().await;
            match self.next_work().await {
                Some(Work::Batch(batch)) => {
                    self.deliver(&mut appender, batch).await;
                    // Where a store answers at once, whoever waited for this batch would starve.
                    tokio::task::yield_now().await;
                }
                Some(Work::Prepare(wanted)) => self.fence(&mut appender, wanted).await,
                None => break,
            }
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

    async fn fence(&self, appender: &mut Appender, wanted: Preparation) {
        let deadline = self.env.monotonic().saturating_add(self.config.delivery_timeout);
        let done = appender.prepare(wanted.with_sequence, deadline).await;
        wanted.done.send(done).ok();
    }

    /// The next batch to append, once it is full or has lingered, or what somebody waits for; `None`
    /// when closing and empty.
    async fn next_work(&self) -> Option<Work> {
        loop {
            let linger = {
                let mut state = self.state();
                if let Some(wanted) = state.preparing.pop_front() {
                    return Some(Work::Prepare(wanted));
                }
                let wanted = state.flushing || self.room.is_wanted();
                let urgent = wanted || state.closing.is_some();
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
                    return Some(Work::Batch(batch));
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
        let Gathering { builder, encoded, born, full, room, expected, sequences, done, .. } = batch;
        let deadline = born.saturating_add(self.config.delivery_timeout);
        let encoded = match encoded {
            Some(ahead) => ahead.await.unwrap_or_else(|_| Err(Error::internal("compression"))),
            None => builder.finish(self.config.compression.unwrap_or_default()),
        };
        let begun = self.env.monotonic();
        let outcome = match encoded {
            Ok(encoded) => self.append(appender, encoded, &sequences, expected, deadline).await,
            Err(error) => Err(error),
        };
        if let Err(error) = &outcome {
            tracing::debug!(%error, partition = self.partition, "a batch failed");
        }
        self.room.give_back(room);
        let took = self.env.monotonic().saturating_sub(begun);
        let mut state = self.state();
        state.under_way = None;
        if let (Err(error), Some(first)) = (&outcome, sequences.first()) {
            self.fail_sequences(&mut state, error, *first);
        }
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

    /// Appends a batch, measured, and with a span of its own for whoever traces.
    async fn append(
        &self,
        appender: &mut Appender,
        batch: EncodedBatch,
        sequences: &[i64],
        expected: Option<i64>,
        deadline: Duration,
    ) -> Outcome {
        let log = Arc::clone(appender.log());
        let (count, bytes) = (batch.count(), batch.len());
        let span = tracing::debug_span!(
            "send",
            otel.kind = "producer",
            messaging.system = "kaffic",
            messaging.operation.name = "send",
            messaging.operation.type = "send",
            messaging.destination.name = &*log.id.topic,
            messaging.destination.partition.id = self.partition,
            messaging.batch.message_count = count,
            messaging.message.envelope.size = bytes,
            kaffic.offset = tracing::field::Empty,
            error.type = tracing::field::Empty,
        );
        let work = append_rest(appender, batch, sequences, expected, deadline);
        let (outcome, took) = observed(&*self.env, &span, work).await;
        let written = outcome.as_ref().map(|w| (count.saturating_sub(w.duplicates), w.bytes));
        if let (Ok(Written { base, .. }), Ok((1.., _))) = (&outcome, &written) {
            span.record("kaffic.offset", base);
        }
        log.store.meter().append_ended(&log.id.topic, took, written);
        outcome
    }

    /// Where sequences failed, those behind them must not be written before them.
    fn fail_sequences(&self, state: &mut State, error: &Error, first: i64) {
        let open = state.open.take();
        let batches = std::mem::take(&mut state.full).into_iter().chain(open);
        let (failed, left): (Vec<_>, Vec<_>) =
            batches.partition(|batch| !batch.sequences.is_empty());
        state.full.extend(left);
        let lowest = failed.iter().filter_map(|batch| batch.sequences.first()).min();
        state.owed = Some(lowest.map_or(first, |lowest| first.min(*lowest)));
        for batch in failed {
            self.room.give_back(batch.room);
            let what = format!("a record with an earlier sequence failed: {error}");
            batch.done.send(Err(Error::new(error.kind(), what))).ok();
        }
    }
}

/// When the task ends, with its runtime say, nothing waits for it any more.
struct Ended<'a>(&'a Lane);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.closed = true;
        let open = state.open.take();
        // Whoever waits hears of it as what completes this goes.
        for batch in std::mem::take(&mut state.full).into_iter().chain(open) {
            self.0.room.give_back(batch.room);
        }
        state.preparing.clear();
        state.closing = None;
    }
}

fn task_ended() -> Error {
    Error::new(ErrorKind::Closed, "the producer's task was ended with its runtime")
}

/// Appends what of a batch was not written before.
async fn append_rest(
    appender: &mut Appender,
    batch: EncodedBatch,
    sequences: &[i64],
    expected: Option<i64>,
    deadline: Duration,
) -> Outcome {
    loop {
        let last = match sequences {
            [] => None,
            _ => appender.prepare(true, deadline).await?,
        };
        let repeated = last.map_or(0, |last| sequences.partition_point(|given| *given <= last));
        let duplicates = repeated as u32;
        let given = match &sequences[repeated..] {
            [first, .., last] => Some((*first, *last)),
            [only] => Some((*only, *only)),
            [] if repeated > 0 => return Ok(Written { duplicates, base: 0, bytes: 0 }),
            [] => None,
        };
        let rest = match duplicates {
            0 => batch.clone(),
            _ => batch.without_first(duplicates)?,
        };
        // Meanwhile a batch may turn up of which it was not known whether it was written.
        if let Appended::At(base) = appender.append(&rest, given, expected, deadline).await? {
            return Ok(Written { duplicates, base, bytes: rest.len() });
        }
    }
}
