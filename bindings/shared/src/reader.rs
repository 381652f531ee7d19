//! A consumer as languages have it: made first and told later what it reads, called from many threads,
//! woken from anywhere, and closed while another thread polls.

use crate::failure::{Failure, Result, Status};
use crate::settings::Settings;
use futures_util::FutureExt;
use futures_util::future::{self, BoxFuture, Either, select};
use kaffic_core::{
    CommittedOffset, Consumer, ConsumerBuilder, ConsumerRecord, Kaffic, OffsetCommit,
    PartitionPosition, RebalanceListener, RecordSink, Start,
};
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
    Reads(Box<Consumer>),
    /// What was read before is being left, for something else to be read.
    Leaves(Ending),
    Closed(Ending),
}

/// A consumer that ends, as long as somebody waits for that: whoever stops waiting may do so again later.
/// What it came to is told as often as it is asked.
type Ending = future::Shared<BoxFuture<'static, Result<()>>>;

impl State {
    fn is_finished(&self) -> bool {
        match self {
            Self::Idle | Self::Leaves(_) => false,
            Self::Reads(consumer) => consumer.is_finished(),
            Self::Closed(_) => true,
        }
    }

    /// Begins to end what is read, if that has not begun. What lies behind `processed` does not count
    /// as processed.
    fn end(&mut self, processed: Vec<PartitionPosition>) -> Ending {
        match std::mem::replace(self, Self::Idle) {
            Self::Idle => future::ready(Ok(())).boxed().shared(),
            Self::Leaves(ending) | Self::Closed(ending) => ending,
            Self::Reads(consumer) => {
                async move { Ok(consumer.close_at(processed).await?) }.boxed().shared()
            }
        }
    }
}

/// What a call wants of a consumer.
#[derive(Debug, Clone, Copy)]
enum Want {
    /// At most so many records.
    Records(usize),
    /// To know that there are some.
    News,
}

impl Want {
    /// Asks the consumer, and says whether there was anything.
    async fn ask(
        self,
        consumer: &mut Consumer,
        wait: Duration,
    ) -> kaffic_core::Result<(bool, Vec<ConsumerRecord>)> {
        match self {
            Self::Records(max) => {
                let records = consumer.poll(max, wait).await?;
                Ok((!records.is_empty() || max == 0, records))
            }
            Self::News => Ok((consumer.ready(wait).await?, Vec::new())),
        }
    }
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
        if let State::Closed(_) = &*state {
            return Err(closed());
        }
        let left = state.end(Vec::new());
        *state = State::Leaves(left.clone());
        let left = left.await;
        *state = State::Idle;
        left?;
        let mut consumer = builder.build().await?;
        for (topic, partition, offset) in seeks {
            consumer.seek(&topic, partition, Start::Offset(offset)).await?;
        }
        *state = State::Reads(Box::new(consumer));
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
        Ok(match self.polled(Want::Records(max), wait).await? {
            Some((_, records)) => Polled::Records(records),
            None => Polled::Woken,
        })
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
    /// assert_eq!(reader.ready(None).await.unwrap(), Some(true));
    /// assert_eq!(reader.positions().await.unwrap()[0].offset, 0);
    /// assert_eq!(reader.take(10).unwrap().len(), 1);
    /// assert_eq!(reader.positions().await.unwrap()[0].offset, 1);
    /// # });
    /// ```
    pub async fn ready(&self, wait: Option<Duration>) -> Result<Option<bool>> {
        Ok(self.polled(Want::News, wait).await?.map(|(any, _)| any))
    }

    /// Up to `max` records that are there at once; none also while another call has its turn, and where
    /// the next poll is to be woken. Called within the runtime.
    ///
    /// # Errors
    /// As [`poll`](Self::poll).
    pub fn take(&self, max: usize) -> Result<Vec<ConsumerRecord>> {
        let Ok(mut state) = self.state.try_lock() else { return Ok(Vec::new()) };
        let consumer = reading(&mut state)?;
        if self.wakes.load(Ordering::Acquire) {
            return Ok(Vec::new());
        }
        // Without a wait it is ready at once.
        let polled = consumer.poll(max, Duration::ZERO).now_or_never();
        Ok(polled.transpose()?.unwrap_or_default())
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
        let consumer = reading(&mut state)?;
        // Without a wait it is ready at once.
        consumer.poll_into(max, Duration::ZERO, sink).now_or_never().transpose()?;
        Ok(())
    }

    /// What [`is_finished`](Self::is_finished) would say at once; `None` while another call has its turn.
    pub fn is_finished_now(&self) -> Option<bool> {
        self.state.try_lock().ok().map(|state| state.is_finished())
    }

    /// Asks the consumer until there is something, with its turn for as long as nobody else wants it.
    /// None if woken.
    #[expect(clippy::disallowed_methods, reason = "a caller's own limit, in real time")]
    async fn polled(
        &self,
        want: Want,
        wait: Option<Duration>,
    ) -> Result<Option<(bool, Vec<ConsumerRecord>)>> {
        let deadline = wait.and_then(|wait| Instant::now().checked_add(wait));
        loop {
            let turn = self.state.lock();
            let mut state = match deadline {
                None => turn.await,
                // Another poll may have the turn for longer.
                Some(at) => match tokio::time::timeout_at(at.into(), turn).await {
                    Ok(state) => state,
                    Err(_) => return Ok(Some((false, Vec::new()))),
                },
            };
            let consumer = reading(&mut state)?;
            // Before records that are there, or it would never end what reads a busy topic.
            if self.wakes.swap(false, Ordering::AcqRel) {
                return Ok(None);
            }
            let hour = Duration::from_secs(3600);
            let left =
                deadline.map_or(hour, |at| at.saturating_duration_since(Instant::now()).min(hour));
            let last = deadline.is_some() && left < hour;
            // With others about it takes what is there, and lets them go first before it waits.
            let others = self.askers.load(Ordering::Acquire) > 0;
            let ended = {
                let wait = if others { Duration::ZERO } else { left };
                let work = pin!(want.ask(consumer, wait));
                let asked = pin!(self.asked.notified());
                let woken = pin!(self.woken.notified());
                match select(work, select(woken, asked)).await {
                    Either::Left((answer, _)) => Some(answer?),
                    Either::Right(_) => None,
                }
            };
            if let Some(answer) = ended {
                let over = last && (!others || left.is_zero());
                if answer.0 || over || consumer.is_finished() {
                    return Ok(Some(answer));
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
        Ok(reading(&mut state)?.seek(topic, partition, to).await?)
    }

    /// Stops delivering a partition, or goes on with it.
    ///
    /// # Errors
    /// `InvalidArgument` for a partition that is not assigned.
    pub async fn pause(&self, topic: &str, partition: u32, paused: bool) -> Result<()> {
        let mut state = self.turn().await;
        let consumer = reading(&mut state)?;
        match paused {
            true => Ok(consumer.pause(topic, partition)?),
            false => Ok(consumer.resume(topic, partition)?),
        }
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
        Ok(reading(&mut *self.turn().await)?.end_offsets().await?)
    }

    /// How far behind the tails it is.
    ///
    /// # Errors
    /// As [`Consumer::end_offsets`].
    pub async fn lag(&self) -> Result<Vec<PartitionPosition>> {
        Ok(reading(&mut *self.turn().await)?.lag().await?)
    }

    /// Commits these offsets, or all positions.
    ///
    /// # Errors
    /// As [`Consumer::commit`] and [`Consumer::commit_offsets`].
    pub async fn commit(&self, offsets: Option<Vec<OffsetCommit>>) -> Result<()> {
        let mut state = self.turn().await;
        let consumer = reading(&mut state)?;
        match offsets {
            None => Ok(consumer.commit().await?),
            Some(offsets) => Ok(consumer.commit_offsets(offsets).await?),
        }
    }

    /// Begins to commit all positions, and does not wait.
    ///
    /// # Errors
    /// As [`Consumer::commit_async`].
    pub async fn commit_async(&self) -> Result<()> {
        Ok(reading(&mut *self.turn().await)?.commit_async()?)
    }

    /// What is committed in the partitions that it has.
    ///
    /// # Errors
    /// As [`Consumer::committed`].
    pub async fn committed(&self) -> Result<Vec<CommittedOffset>> {
        Ok(reading(&mut *self.turn().await)?.committed().await?)
    }

    /// Its name in its group, if it is in one.
    ///
    /// # Errors
    /// `Closed`, and `InvalidArgument` before anything was said to be read.
    pub async fn member_name(&self) -> Result<Option<String>> {
        Ok(reading(&mut *self.turn().await)?.member_name().map(str::to_owned))
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
    /// waits fails with `Closed`. Where it was not waited for to its end, closing again goes on with it;
    /// after that it says what it came to.
    ///
    /// # Errors
    /// As [`Consumer::close`].
    pub async fn close(&self) -> Result<()> {
        self.close_at(Vec::new()).await
    }

    /// As [`close`](Self::close), with only what lies before these positions taken as processed.
    ///
    /// # Errors
    /// As [`Consumer::close_at`].
    pub async fn close_at(&self, processed: Vec<PartitionPosition>) -> Result<()> {
        self.closed.store(true, Ordering::Release);
        let mut state = self.turn().await;
        let ending = state.end(processed);
        *state = State::Closed(ending.clone());
        drop(state);
        ending.await
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

fn reading(state: &mut State) -> Result<&mut Consumer> {
    match state {
        State::Reads(consumer) => Ok(consumer),
        State::Idle | State::Leaves(_) => {
            Err(Failure::invalid("the consumer reads nothing yet: subscribe or assign first"))
        }
        State::Closed(_) => Err(closed()),
    }
}

fn closed() -> Failure {
    Failure::new(Status::Closed, "the consumer was closed")
}

#[cfg(test)]
mod tests;
