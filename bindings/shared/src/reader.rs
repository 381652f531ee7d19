//! A consumer as languages have it: made first and told later what it reads, called from many threads,
//! woken from anywhere, and closed while another thread polls.

use crate::failure::{Failure, Result, Status};
use crate::settings::Settings;
use futures_util::FutureExt;
use futures_util::future::{Either, select};
use kaffic_core::{
    CommittedOffset, Consumer, ConsumerBuilder, ConsumerRecord, ErrorKind, Kaffic, OffsetCommit,
    PartitionPosition, RebalanceListener, RecordSink, Start,
};
use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, MutexGuard, Notify};

/// What a consumer reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// Topics; in a group its share of their partitions.
    Topics(Vec<String>),
    /// All topics whose whole name fits a regular expression. Only in a group.
    Pattern(String),
    /// These partitions, each from an offset if one is given.
    Partitions(Vec<(String, u32, Option<i64>)>),
}

/// What a poll came to.
#[derive(Debug)]
pub enum Polled {
    /// Records; none if the time ran out, or if the consumer is finished.
    Records(Vec<ConsumerRecord>),
    /// [`Reader::wake`] ended it.
    Woken,
}

/// A consumer that many threads may call. Calls take their turns: one that comes while a poll waits
/// does not wait for it.
///
/// ```
/// # kaffic_bindings::process::runtime().unwrap().block_on(async {
/// use kaffic_bindings::reader::{Polled, Reader, Wanted};
/// use kaffic_bindings::Settings;
/// use kaffic_core::{Kaffic, Record};
/// let client = Kaffic::connect("memory://").await.unwrap();
/// client.topics().create("t", Default::default()).await.unwrap();
/// client.producer("t").build().await.unwrap().send(Record::value("v")).await.unwrap();
/// let reader = Reader::new(&client, Settings::default(), None).unwrap();
/// reader.read(Wanted::Topics(vec!["t".into()])).await.unwrap();
/// let polled = reader.poll(10, None).await.unwrap();
/// assert!(matches!(polled, Polled::Records(records) if records.len() == 1));
/// reader.close().await.unwrap();
/// # });
/// ```
pub struct Reader {
    client: Kaffic,
    settings: Settings,
    listener: Option<Arc<dyn RebalanceListener>>,
    state: Mutex<State>,
    /// How many calls want the turn of a poll that waits, and that one more does.
    askers: AtomicUsize,
    asked: Notify,
    /// Whether a wake has not ended a poll yet, and what tells one that waits.
    wakes: AtomicBool,
    woken: Notify,
    closed: AtomicBool,
}

enum State {
    Idle,
    Reads(Box<Reading>),
    Closed,
}

impl State {
    fn is_finished(&self) -> bool {
        match self {
            Self::Idle => false,
            Self::Reads(reading) => reading.ahead.is_empty() && reading.consumer.is_finished(),
            Self::Closed => true,
        }
    }
}

struct Reading {
    consumer: Consumer,
    /// Records that [`Reader::ready`] has polled and nobody has taken.
    ahead: VecDeque<ConsumerRecord>,
}

/// A listener that several consumers, one after the other, can have.
struct Shared(Arc<dyn RebalanceListener>);

impl RebalanceListener for Shared {
    fn assigned(&self, partitions: &[PartitionPosition]) {
        self.0.assigned(partitions);
    }

    fn revoked(&self, partitions: &[PartitionPosition]) -> Vec<OffsetCommit> {
        self.0.revoked(partitions)
    }

    fn lost(&self, partitions: &[PartitionPosition]) {
        self.0.lost(partitions);
    }
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Reader {
    /// A consumer that reads nothing yet. Its settings are checked.
    ///
    /// # Errors
    /// `UnknownSetting`, `InvalidArgument`.
    pub fn new(
        client: &Kaffic,
        settings: Settings,
        listener: Option<Arc<dyn RebalanceListener>>,
    ) -> Result<Self> {
        let _checked = settings.consumer(client.consumer())?;
        Ok(Self {
            client: client.clone(),
            settings,
            listener,
            state: Mutex::new(State::Idle),
            askers: AtomicUsize::new(0),
            asked: Notify::new(),
            wakes: AtomicBool::new(false),
            woken: Notify::new(),
            closed: AtomicBool::new(false),
        })
    }

    /// Says what is read, in place of what was read before, which is left as by [`close`](Self::close).
    ///
    /// # Errors
    /// As [`ConsumerBuilder::build`] and [`Consumer::close`].
    pub async fn read(&self, wanted: Wanted) -> Result<()> {
        let mut builder = self.settings.consumer(self.client.consumer())?;
        if let Some(listener) = &self.listener {
            builder = builder.rebalance_listener(Shared(Arc::clone(listener)));
        }
        let seeks = match &wanted {
            Wanted::Partitions(partitions) => with_offsets(partitions),
            _ => Vec::new(),
        };
        let builder = said(builder, wanted);
        let mut state = self.turn().await;
        match std::mem::replace(&mut *state, State::Idle) {
            State::Idle => {}
            State::Reads(before) => before.close().await?,
            State::Closed => {
                *state = State::Closed;
                return Err(closed());
            }
        }
        let mut consumer = builder.build().await?;
        for (topic, partition, offset) in seeks {
            consumer.seek(&topic, partition, Start::Offset(offset)).await?;
        }
        *state = State::Reads(Box::new(Reading { consumer, ahead: VecDeque::new() }));
        Ok(())
    }

    /// Waits for the turn. Polls that wait for records step back for it.
    async fn turn(&self) -> MutexGuard<'_, State> {
        let _asking = Asking::new(&self.askers);
        let mut turn = pin!(self.state.lock());
        // Polled once, this one is in the queue, before the poll that is asked to step back.
        if let Some(state) = turn.as_mut().now_or_never() {
            return state;
        }
        self.asked.notify_one();
        turn.await
    }

    /// Up to `max` records; waits for the first until `wait` is over, or for as long as it takes.
    ///
    /// # Errors
    /// As [`Consumer::poll`]; `InvalidArgument` before anything was said to be read.
    pub async fn poll(&self, max: usize, wait: Option<Duration>) -> Result<Polled> {
        let take = |reading: &mut Reading, records: Vec<ConsumerRecord>| {
            if reading.ahead.is_empty() && records.len() <= max {
                return records;
            }
            reading.ahead.extend(records);
            reading.take(max)
        };
        Ok(self.polled(max, wait, take).await?.map_or(Polled::Woken, Polled::Records))
    }

    /// Waits as [`poll`](Self::poll) does, and leaves the records to be [taken](Self::take). For
    /// programs that may stop waiting at any time: until it is taken, no record counts as theirs.
    /// `Some(false)` if the time ran out, or if the consumer is finished; `None` if woken.
    ///
    /// # Errors
    /// As [`poll`](Self::poll).
    ///
    /// ```
    /// # kaffic_bindings::process::runtime().unwrap().block_on(async {
    /// # use kaffic_bindings::reader::{Reader, Wanted};
    /// # use kaffic_core::{Kaffic, Record};
    /// # let client = Kaffic::connect("memory://").await.unwrap();
    /// # client.topics().create("t", Default::default()).await.unwrap();
    /// # client.producer("t").build().await.unwrap().send(Record::value("v")).await.unwrap();
    /// # let reader = Reader::new(&client, Default::default(), None).unwrap();
    /// # reader.read(Wanted::Topics(vec!["t".into()])).await.unwrap();
    /// assert_eq!(reader.ready(10, None).await.unwrap(), Some(true));
    /// assert_eq!(reader.positions().await.unwrap()[0].offset, 0);
    /// assert_eq!(reader.take(10).unwrap().len(), 1);
    /// assert_eq!(reader.positions().await.unwrap()[0].offset, 1);
    /// # });
    /// ```
    pub async fn ready(&self, max: usize, wait: Option<Duration>) -> Result<Option<bool>> {
        let keep = |reading: &mut Reading, records| {
            reading.ahead.extend(records);
            !reading.ahead.is_empty()
        };
        self.polled(max, wait, keep).await
    }

    /// Up to `max` records that are there at once; none also while another call has its turn, and where
    /// the next poll is to be woken. Called within the runtime.
    ///
    /// # Errors
    /// As [`poll`](Self::poll).
    pub fn take(&self, max: usize) -> Result<Vec<ConsumerRecord>> {
        let Ok(mut state) = self.state.try_lock() else { return Ok(Vec::new()) };
        let reading = reading(&mut state)?;
        if self.wakes.load(Ordering::Acquire) {
            return Ok(Vec::new());
        }
        if reading.ahead.is_empty() {
            // Without a wait it is ready at once.
            let polled = reading.consumer.poll(max, Duration::ZERO).now_or_never();
            return Ok(polled.transpose()?.unwrap_or_default());
        }
        Ok(reading.take(max))
    }

    /// Gives a sink what a [`poll`](Self::poll) for `max` records would give at once: none where it has to
    /// wait, for records or for other calls, and where it would be woken. Costs a fraction of it. Called within the runtime.
    ///
    /// # Errors
    /// As [`poll`](Self::poll).
    ///
    /// ```
    /// # use kaffic_bindings::process::{inside, runtime};
    /// # use kaffic_bindings::reader::{Reader, Wanted};
    /// # use kaffic_core::{Kaffic, Record};
    /// # let reader = runtime().unwrap().block_on(async {
    /// # let client = Kaffic::connect("memory://").await.unwrap();
    /// # client.topics().create("t", Default::default()).await.unwrap();
    /// # client.producer("t").build().await.unwrap().send(Record::value("v")).await.unwrap();
    /// # let reader = Reader::new(&client, Default::default(), None).unwrap();
    /// # reader.read(Wanted::Topics(vec!["t".into()])).await.unwrap();
    /// # reader });
    /// let mut records: Vec<kaffic_core::ConsumerRecord> = Vec::new();
    /// // It begins to fetch.
    /// while records.is_empty() {
    ///     inside(|| reader.poll_now(10, &mut records)).unwrap().unwrap();
    ///     std::thread::yield_now();
    /// }
    /// ```
    pub fn poll_now(&self, max: usize, sink: &mut impl RecordSink) -> Result<()> {
        // Whoever wants the turn comes first, and a wake before records.
        if self.askers.load(Ordering::Acquire) > 0 || self.wakes.load(Ordering::Acquire) {
            return Ok(());
        }
        let Ok(mut state) = self.state.try_lock() else { return Ok(()) };
        let reading = reading(&mut state)?;
        if reading.ahead.is_empty() {
            // Without a wait it is ready at once.
            let polled = reading.consumer.poll_into(max, Duration::ZERO, sink).now_or_never();
            polled.transpose()?;
        }
        Ok(())
    }

    /// What [`is_finished`](Self::is_finished) would say at once; `None` while another call has its turn.
    pub fn is_finished_now(&self) -> Option<bool> {
        self.state.try_lock().ok().map(|state| state.is_finished())
    }

    /// Polls, unless there are records that nobody took, and does something with what came before
    /// anybody else has a turn.
    #[expect(clippy::disallowed_methods, reason = "a caller's own limit, in real time")]
    async fn polled<T: Default>(
        &self,
        max: usize,
        wait: Option<Duration>,
        mut come: impl FnMut(&mut Reading, Vec<ConsumerRecord>) -> T,
    ) -> Result<Option<T>> {
        let deadline = wait.and_then(|wait| Instant::now().checked_add(wait));
        loop {
            let turn = self.state.lock();
            let mut state = match deadline {
                None => turn.await,
                // Another poll may have the turn for longer.
                Some(at) => match tokio::time::timeout_at(at.into(), turn).await {
                    Ok(state) => state,
                    Err(_) => return Ok(Some(T::default())),
                },
            };
            let reading = reading(&mut state)?;
            // Before records that are there, or it would never end what reads a busy topic.
            if self.wakes.swap(false, Ordering::AcqRel) {
                return Ok(None);
            }
            if !reading.ahead.is_empty() {
                return Ok(Some(come(reading, Vec::new())));
            }
            let hour = Duration::from_secs(3600);
            let left =
                deadline.map_or(hour, |at| at.saturating_duration_since(Instant::now()).min(hour));
            let last = deadline.is_some() && left < hour;
            // With others about it takes what is there, and lets them go first before it waits.
            let others = self.askers.load(Ordering::Acquire) > 0;
            let ended = {
                let wait = if others { Duration::ZERO } else { left };
                let work = pin!(reading.consumer.poll(max, wait));
                let asked = pin!(self.asked.notified());
                let woken = pin!(self.woken.notified());
                match select(work, select(woken, asked)).await {
                    Either::Left((records, _)) => Some(records?),
                    Either::Right(_) => None,
                }
            };
            if let Some(records) = ended {
                let over = last && (!others || left.is_zero());
                if !records.is_empty() || over || max == 0 || reading.consumer.is_finished() {
                    return Ok(Some(come(reading, records)));
                }
            }
            // The lock is fair: whoever asked comes before the next round of this.
            drop(state);
            tokio::task::yield_now().await;
        }
    }

    /// Ends the poll that waits, or the next one if none does, whether there are records or not.
    pub fn wake(&self) {
        self.wakes.store(true, Ordering::Release);
        self.woken.notify_one();
    }

    /// Goes on elsewhere in a partition.
    ///
    /// # Errors
    /// As [`Consumer::seek`].
    pub async fn seek(&self, topic: &str, partition: u32, to: Start) -> Result<()> {
        let mut state = self.turn().await;
        let reading = reading(&mut state)?;
        reading.consumer.seek(topic, partition, to).await?;
        reading.ahead.retain(|record| record.partition != partition || &*record.topic != topic);
        Ok(())
    }

    /// Stops delivering a partition, or goes on with it.
    ///
    /// # Errors
    /// `InvalidArgument` for a partition that is not assigned.
    pub async fn pause(&self, topic: &str, partition: u32, paused: bool) -> Result<()> {
        let mut state = self.turn().await;
        let reading = reading(&mut state)?;
        reading.put_back().await?;
        match paused {
            true => reading.consumer.pause(topic, partition)?,
            false => reading.consumer.resume(topic, partition)?,
        }
        Ok(())
    }

    /// The offset of the next record of every partition.
    ///
    /// # Errors
    /// `Closed`, and `InvalidArgument` before anything was said to be read.
    pub async fn positions(&self) -> Result<Vec<PartitionPosition>> {
        Ok(reading(&mut *self.turn().await)?.positions())
    }

    /// The tails of the partitions.
    ///
    /// # Errors
    /// As [`Consumer::end_offsets`].
    pub async fn end_offsets(&self) -> Result<Vec<PartitionPosition>> {
        Ok(reading(&mut *self.turn().await)?.consumer.end_offsets().await?)
    }

    /// How far behind the tails it is.
    ///
    /// # Errors
    /// As [`Consumer::end_offsets`].
    pub async fn lag(&self) -> Result<Vec<PartitionPosition>> {
        let mut state = self.turn().await;
        let reading = reading(&mut state)?;
        let polled = reading.consumer.positions();
        let mut lags = reading.consumer.lag().await?;
        // What was polled ahead and nobody took is not consumed.
        for ((lag, polled), at) in lags.iter_mut().zip(polled).zip(reading.positions()) {
            lag.offset += polled.offset - at.offset;
        }
        Ok(lags)
    }

    /// Commits these offsets, or all positions.
    ///
    /// # Errors
    /// As [`Consumer::commit`] and [`Consumer::commit_offsets`].
    pub async fn commit(&self, offsets: Option<Vec<OffsetCommit>>) -> Result<()> {
        let mut state = self.turn().await;
        let reading = reading(&mut state)?;
        match offsets {
            None if reading.ahead.is_empty() => reading.consumer.commit().await?,
            None => {
                let up_to =
                    |at: PartitionPosition| OffsetCommit::new(&*at.topic, at.partition, at.offset);
                let offsets: Vec<_> = reading.positions().into_iter().map(up_to).collect();
                reading.consumer.commit_offsets(offsets).await?;
            }
            Some(offsets) => reading.consumer.commit_offsets(offsets).await?,
        }
        Ok(())
    }

    /// Begins to commit all positions, and does not wait.
    ///
    /// # Errors
    /// As [`Consumer::commit_async`].
    pub async fn commit_async(&self) -> Result<()> {
        let mut state = self.turn().await;
        let reading = reading(&mut state)?;
        reading.put_back().await?;
        Ok(reading.consumer.commit_async()?)
    }

    /// What is committed in the partitions that it has.
    ///
    /// # Errors
    /// As [`Consumer::committed`].
    pub async fn committed(&self) -> Result<Vec<CommittedOffset>> {
        Ok(reading(&mut *self.turn().await)?.consumer.committed().await?)
    }

    /// Its name in its group, if it is in one.
    ///
    /// # Errors
    /// `Closed`, and `InvalidArgument` before anything was said to be read.
    pub async fn member_name(&self) -> Result<Option<String>> {
        Ok(reading(&mut *self.turn().await)?.consumer.member_name().map(str::to_owned))
    }

    /// Whether everything that was asked for has been delivered; so too once it is closed.
    pub async fn is_finished(&self) -> bool {
        self.turn().await.is_finished()
    }

    /// Whether [`close`](Self::close) was called.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Ends it: commits what was returned if it does that by itself, and leaves its group. A poll that
    /// waits fails with `Closed`. Closing again does nothing.
    ///
    /// # Errors
    /// As [`Consumer::close`].
    pub async fn close(&self) -> Result<()> {
        self.closed.store(true, Ordering::Release);
        let mut state = self.turn().await;
        match std::mem::replace(&mut *state, State::Closed) {
            State::Reads(reading) => reading.close().await,
            State::Idle | State::Closed => Ok(()),
        }
    }
}

/// A call that wants the turn, for as long as it waits for it.
struct Asking<'a>(&'a AtomicUsize);

impl<'a> Asking<'a> {
    fn new(askers: &'a AtomicUsize) -> Self {
        askers.fetch_add(1, Ordering::AcqRel);
        Self(askers)
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

fn with_offsets(partitions: &[(String, u32, Option<i64>)]) -> Vec<(String, u32, i64)> {
    let with = |(topic, partition, offset): &(String, u32, Option<i64>)| {
        Some((topic.clone(), *partition, (*offset)?))
    };
    partitions.iter().filter_map(with).collect()
}

fn said(builder: ConsumerBuilder, wanted: Wanted) -> ConsumerBuilder {
    match wanted {
        Wanted::Topics(topics) => builder.subscribe(topics),
        Wanted::Pattern(pattern) => builder.subscribe_pattern(&pattern),
        Wanted::Partitions(partitions) => partitions
            .into_iter()
            .fold(builder, |builder, (topic, partition, _)| builder.assign(&topic, [partition])),
    }
}

impl Reading {
    fn take(&mut self, max: usize) -> Vec<ConsumerRecord> {
        let count = max.min(self.ahead.len());
        self.ahead.drain(..count).collect()
    }

    /// The offset of the next record that will be taken, of every partition.
    fn positions(&self) -> Vec<PartitionPosition> {
        let mut positions = self.consumer.positions();
        for position in &mut positions {
            let of = |record: &&ConsumerRecord| {
                record.partition == position.partition && record.topic == position.topic
            };
            position.offset =
                self.ahead.iter().find(of).map_or(position.offset, |next| next.offset);
        }
        positions
    }

    /// Closes the consumer, also where it can't be told what nobody took.
    async fn close(mut self) -> Result<()> {
        let put_back = self.put_back().await;
        self.consumer.close().await?;
        put_back
    }

    /// Goes back to before the records that nobody took.
    async fn put_back(&mut self) -> Result<()> {
        while let Some(next) = self.ahead.front() {
            let (topic, partition) = (Arc::clone(&next.topic), next.partition);
            match self.consumer.seek(&topic, partition, Start::Offset(next.offset)).await {
                // It went to another member meanwhile.
                Err(error) if error.kind() == ErrorKind::InvalidArgument => {}
                sought => sought?,
            }
            self.ahead.retain(|record| record.partition != partition || record.topic != topic);
        }
        Ok(())
    }
}

fn reading(state: &mut State) -> Result<&mut Reading> {
    match state {
        State::Reads(reading) => Ok(reading),
        State::Idle => {
            Err(Failure::invalid("the consumer reads nothing yet: subscribe or assign first"))
        }
        State::Closed => Err(closed()),
    }
}

fn closed() -> Failure {
    Failure::new(Status::Closed, "the consumer was closed")
}

#[cfg(test)]
mod tests;
