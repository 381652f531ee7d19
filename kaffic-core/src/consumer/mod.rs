//! The consumer: reads partitions from chosen starts, each by a task of its own that fetches
//! ahead, and hands the records out in order.

mod assigned;
mod commits;
mod config;
mod fetch;
mod group;

pub use config::{ConsumerBuilder, ResetPolicy, Start, Until};
pub use group::RebalanceListener;

use crate::batch::Records;
use crate::context::Context;
use crate::env::{Env, timeout};
use crate::error::{Error, ErrorKind, Result};
use crate::group::{CommittedOffset, OffsetCommit};
use crate::log::budget::{Budget, Held};
use crate::log::read::Place;
use crate::metrics::Meter;
use crate::record::{ConsumerRecord, RecordSink};
use assigned::Assigned;
use config::Config;
use fetch::{Message, News};
use futures_util::future::{Either, select, try_join_all};
use futures_util::stream::{self, BoxStream};
use group::{GroupSide, Partitions};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tracing::Instrument;

/// Batches that may wait to be polled, over all partitions; their bytes are bounded apart.
const MESSAGES: usize = 256;

/// A partition and an offset in it.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let client = kaffic_core::Kaffic::connect("memory://").await.unwrap();
/// # client.topics().create("t", Default::default()).await.unwrap();
/// # let consumer = client.consumer().topic("t").build().await.unwrap();
/// let position = &consumer.positions()[0];
/// assert_eq!((&*position.topic, position.partition, position.offset), ("t", 0, 0));
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionPosition {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: u32,
    /// The offset, or a number of offsets where the call says so.
    pub offset: i64,
}

/// Reads records from partitions: in order within each, as they come between them.
///
/// It fetches ahead while nothing is polled, within `fetch_ahead_bytes`. Every method may be
/// cancelled by dropping its future; no record is lost by that.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # use kaffic_core::{Kaffic, Record, Start, Until};
/// # let client = Kaffic::connect("memory://").await.unwrap();
/// # client.topics().create("orders", Default::default()).await.unwrap();
/// # let producer = client.producer("orders").build().await.unwrap();
/// # for n in 0..10 { producer.send(Record::value(n.to_string())).await.unwrap(); }
/// let mut consumer =
///     client.consumer().topic("orders").start(Start::Offset(7)).until(Until::Latest).build().await.unwrap();
/// let mut values = Vec::new();
/// while let Some(record) = consumer.next().await.unwrap() {
///     values.push(record.value.unwrap());
/// }
/// assert_eq!(values, ["7", "8", "9"]);
/// # });
/// ```
#[derive(Debug)]
pub struct Consumer {
    env: Arc<dyn Env>,
    meter: Arc<Meter>,
    config: Config,
    budget: Budget,
    /// The partitions, by the numbers that their messages bear.
    assigned: Partitions,
    group: Option<GroupSide>,
    sender: mpsc::Sender<Message>,
    receiver: mpsc::Receiver<Message>,
    current: Option<Current>,
    /// An error that came behind records that were delivered first.
    failed: Option<Error>,
    limit: Limit,
}

/// The batch that is being handed out.
#[derive(Debug)]
struct Current {
    index: usize,
    records: Records,
    key: String,
    next: Place,
    _held: Arc<Held>,
}

impl Consumer {
    fn new(
        context: &Context,
        assigned: Partitions,
        group: Option<GroupSide>,
        config: Config,
    ) -> Self {
        let (sender, receiver) = mpsc::channel(MESSAGES);
        Self {
            env: Arc::clone(&context.env),
            meter: Arc::clone(context.store.meter()),
            budget: Budget::new(config.fetch_ahead_bytes),
            limit: Limit::new(&config),
            config,
            assigned,
            group,
            sender,
            receiver,
            current: None,
            failed: None,
        }
    }

    /// At most `max` records, and at most
    /// [`max_poll_bytes`](ConsumerBuilder::max_poll_bytes) of them; waits up to `timeout` for the
    /// first. Empty when none came in time or when the consumer [is finished](Self::is_finished).
    ///
    /// # Errors
    /// Whatever stopped a partition: `Corrupt` (naming the object), `OffsetOutOfRange`,
    /// `Unavailable`, `TopicNotFound` when it was deleted. The position stays where it was, so
    /// polling again tries again, and `seek` goes past.
    /// In a group also `Fenced`, at every poll from then on, when another consumer has joined with
    /// this one's [`member_name`](ConsumerBuilder::member_name).
    pub async fn poll(&mut self, max: usize, wait: Duration) -> Result<Vec<ConsumerRecord>> {
        let mut records = Vec::new();
        self.poll_into(max, wait, &mut records).await?;
        Ok(records)
    }

    /// As [`poll`](Self::poll), into a sink, for libraries that make something of their own of each
    /// record. Says how many there were.
    ///
    /// # Errors
    /// As [`poll`](Self::poll).
    pub async fn poll_into(
        &mut self,
        max: usize,
        wait: Duration,
        sink: &mut impl RecordSink,
    ) -> Result<usize> {
        let span = tracing::debug_span!(
            "poll",
            otel.kind = "client",
            messaging.system = "kaffic",
            messaging.operation.name = "poll",
            messaging.operation.type = "receive",
            messaging.consumer.group.name = self.group.as_ref().map(|group| &**group.name()),
            messaging.batch.message_count = tracing::field::Empty,
            error.type = tracing::field::Empty,
        );
        let polled = self.hand_over(max, wait, sink).instrument(span.clone()).await;
        match &polled {
            Ok(count) => span.record("messaging.batch.message_count", count),
            Err(error) => span.record("error.type", tracing::field::debug(error.kind())),
        };
        polled
    }

    async fn hand_over(
        &mut self,
        max: usize,
        wait: Duration,
        sink: &mut impl RecordSink,
    ) -> Result<usize> {
        let deadline = self.env.monotonic().saturating_add(wait);
        let _polling = self.group.as_ref().and_then(GroupSide::polling);
        self.tend();
        let mut poll = Poll { max, bytes: self.config.max_poll_bytes, handed: 0, full: max == 0 };
        while !poll.full && !self.limit.exhausted {
            let wait = (poll.handed == 0 && !wait.is_zero()).then_some(deadline);
            if !self.next_batch(wait).await {
                break;
            }
            self.hand_out(&mut poll, sink);
        }
        match self.failed.take_if(|_| poll.handed == 0) {
            Some(error) => Err(error),
            None => Ok(poll.handed),
        }
    }

    /// Waits until there are records, and leaves them for the next [`poll`](Self::poll): true if there
    /// are, false when none came within `wait` or when the consumer [is finished](Self::is_finished).
    /// For programs that may stop waiting at any time and could not take records then. (Where an end is
    /// set, or partitions go to others in between, the poll may give none all the same.)
    ///
    /// # Errors
    /// As [`poll`](Self::poll).
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # use kaffic_core::{Kaffic, Record};
    /// # use std::time::Duration;
    /// # let client = Kaffic::connect("memory://").await.unwrap();
    /// # client.topics().create("t", Default::default()).await.unwrap();
    /// # client.producer("t").build().await.unwrap().send(Record::value("v")).await.unwrap();
    /// let mut consumer = client.consumer().topic("t").build().await.unwrap();
    /// assert!(consumer.ready(Duration::from_secs(30)).await.unwrap());
    /// assert_eq!(consumer.positions()[0].offset, 0);
    /// assert_eq!(consumer.poll(10, Duration::ZERO).await.unwrap().len(), 1);
    /// # });
    /// ```
    pub async fn ready(&mut self, wait: Duration) -> Result<bool> {
        let deadline = self.env.monotonic().saturating_add(wait);
        let _polling = self.group.as_ref().and_then(GroupSide::polling);
        self.tend();
        if !self.limit.exhausted && self.next_batch((!wait.is_zero()).then_some(deadline)).await {
            return Ok(true);
        }
        self.failed.take().map_or(Ok(false), Err)
    }

    /// Has a batch at hand, and waits for one until the deadline, if there is one.
    async fn next_batch(&mut self, deadline: Option<Duration>) -> bool {
        loop {
            if self.current.is_some() {
                return true;
            }
            if self.failed.is_some() || self.is_finished() {
                return false;
            }
            self.ensure_fetching();
            let message = match deadline {
                None => self.receiver.try_recv().ok(),
                Some(deadline) => match self.wait(deadline).await {
                    Waited::Message(message) => Some(message),
                    Waited::News => {
                        self.tend();
                        continue;
                    }
                    Waited::Timeout => None,
                },
            };
            let Some(message) = message else { return false };
            self.take(message);
        }
    }

    /// Waits for a message, or for something to do for the group.
    async fn wait(&mut self, deadline: Duration) -> Waited {
        let left = deadline.saturating_sub(self.env.monotonic());
        let Some(group) = &mut self.group else {
            let message = timeout(&*self.env, left, self.receiver.recv()).await.flatten();
            return message.map_or(Waited::Timeout, Waited::Message);
        };
        let idle = group.idle_for(&self.assigned).filter(|idle| *idle < left);
        let (message, news) = (pin!(self.receiver.recv()), pin!(group.news()));
        match timeout(&*self.env, idle.unwrap_or(left), select(message, news)).await {
            Some(Either::Left((Some(message), _))) => Waited::Message(message),
            Some(Either::Right(_)) => Waited::News,
            None if idle.is_some() => Waited::News,
            None | Some(Either::Left((None, _))) => Waited::Timeout,
        }
    }

    /// Does what is to be done for the group. Only while no records wait to be returned: what was
    /// returned before is taken as processed.
    fn tend(&mut self) {
        let Some(group) = &mut self.group else { return };
        if let Err(error) = group.tend(&mut self.assigned) {
            self.failed.get_or_insert(error);
        }
        let gone = |current: &mut Current| !self.assigned.contains_key(&current.index);
        self.current.take_if(gone);
    }

    /// The next record, waiting as long as it takes; `None` when the consumer is finished.
    pub async fn next(&mut self) -> Result<Option<ConsumerRecord>> {
        while !self.is_finished() {
            let mut records = self.poll(1, Duration::from_secs(3600)).await?;
            if let Some(record) = records.pop() {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }

    /// The records as a stream, which ends when the consumer is finished.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let client = kaffic_core::Kaffic::connect("memory://").await.unwrap();
    /// # client.topics().create("t", Default::default()).await.unwrap();
    /// use futures_util::StreamExt;
    /// let mut consumer = client.consumer().topic("t").until(kaffic_core::Until::Latest).build().await.unwrap();
    /// assert_eq!(consumer.stream().count().await, 0);
    /// # });
    /// ```
    pub fn stream(&mut self) -> BoxStream<'_, Result<ConsumerRecord>> {
        Box::pin(stream::unfold(self, |consumer| async move {
            let next = consumer.next().await.transpose()?;
            Some((next, consumer))
        }))
    }

    /// Whether everything that was asked for has been delivered: never with [`Until::Forever`]
    /// and neither `max_records` nor `max_bytes`.
    pub fn is_finished(&self) -> bool {
        let all_done = || match &self.group {
            Some(group)
                if self.config.until == Until::Forever || !group.is_settled(&self.assigned) =>
            {
                false
            }
            _ => self.assigned.values().all(|assigned| assigned.done),
        };
        self.failed.is_none() && (self.limit.exhausted || all_done())
    }

    /// Goes on elsewhere in a partition.
    ///
    /// # Errors
    /// `InvalidArgument` for a partition that is not assigned; `OffsetOutOfRange` with
    /// [`ResetPolicy::Error`].
    pub async fn seek(&mut self, topic: &str, partition: u32, to: Start) -> Result<()> {
        let index = self.index_of(topic, partition)?;
        if matches!(to, Start::Offset(offset) if offset < 0) {
            return Err(Error::invalid("a negative offset to seek to"));
        }
        let reset = self.config.reset;
        if let Some(assigned) = self.assigned.get_mut(&index) {
            assigned.seek(to, reset).await?;
        }
        self.forget(index);
        Ok(())
    }

    /// Stops delivering a partition until [`resume`](Self::resume). What was fetched ahead of it
    /// is dropped, so that it takes no room from others.
    pub fn pause(&mut self, topic: &str, partition: u32) -> Result<()> {
        let index = self.index_of(topic, partition)?;
        if let Some(assigned) = self.assigned.get_mut(&index) {
            assigned.paused = true;
            assigned.stop();
        }
        self.forget(index);
        Ok(())
    }

    /// Delivers a paused partition again, from where it was.
    pub fn resume(&mut self, topic: &str, partition: u32) -> Result<()> {
        let index = self.index_of(topic, partition)?;
        if let Some(assigned) = self.assigned.get_mut(&index) {
            assigned.paused = false;
        }
        Ok(())
    }

    /// The offset of the next record to be delivered, of every partition.
    pub fn positions(&self) -> Vec<PartitionPosition> {
        self.assigned.values().map(|assigned| position(assigned, assigned.place.offset)).collect()
    }

    /// The tails of the partitions, asked of the store now.
    pub async fn end_offsets(&self) -> Result<Vec<PartitionPosition>> {
        try_join_all(self.assigned.values().map(|assigned| async move {
            Ok(position(assigned, assigned.log.tail_offset().await?))
        }))
        .await
    }

    /// How many offsets lie between position and tail, of every partition (as its `offset`).
    pub async fn lag(&self) -> Result<Vec<PartitionPosition>> {
        let ends = self.end_offsets().await?;
        let (now, group) = (self.env.monotonic(), self.group.as_ref().map(GroupSide::name));
        let lags = ends.into_iter().zip(self.positions()).map(|(end, at)| {
            let lag = PartitionPosition { offset: (end.offset - at.offset).max(0), ..at };
            self.meter.lag(now, group, &lag.topic, lag.partition, lag.offset);
            lag
        });
        Ok(lags.collect())
    }

    /// The name under which this consumer is a member of its group; `None` where it is none.
    pub fn member_name(&self) -> Option<&str> {
        self.group.as_ref()?.member()
    }

    /// Commits the positions of all partitions: everything returned so far counts as processed.
    /// Partitions that were not read on since cost nothing, any other a put.
    ///
    /// # Errors
    /// `Fenced` when a partition went to another meanwhile: what was not committed is delivered
    /// there again, and this consumer goes on with the rest. `InvalidArgument` without a group.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let client = kaffic_core::Kaffic::connect("memory://").await.unwrap();
    /// # client.topics().create("t", Default::default()).await.unwrap();
    /// # let producer = client.producer("t").build().await.unwrap();
    /// # producer.send(kaffic_core::Record::value("v")).await.unwrap();
    /// let mut consumer = client.consumer().group("g").subscribe(["t"]).build().await.unwrap();
    /// let record = consumer.next().await.unwrap().unwrap();
    /// // … process it …
    /// consumer.commit().await.unwrap();
    /// assert_eq!(consumer.committed().await.unwrap()[0].offset, record.offset + 1);
    /// # });
    /// ```
    pub async fn commit(&mut self) -> Result<()> {
        let Self { group, assigned, .. } = self;
        group.as_mut().ok_or_else(no_group)?.commit(assigned).await
    }

    /// Begins to commit as [`commit`](Self::commit) does, and does not wait. What goes wrong is
    /// logged; a later commit overtakes this one.
    pub fn commit_async(&mut self) -> Result<()> {
        let Self { group, assigned, .. } = self;
        group.as_mut().ok_or_else(no_group)?.commit_in_background(assigned);
        Ok(())
    }

    /// Commits these offsets.
    ///
    /// # Errors
    /// As [`commit`](Self::commit); `Fenced` also for a partition that is not this consumer's.
    pub async fn commit_offsets(
        &mut self,
        offsets: impl IntoIterator<Item = OffsetCommit>,
    ) -> Result<()> {
        let offsets = offsets.into_iter().collect();
        let Self { group, assigned, .. } = self;
        group.as_mut().ok_or_else(no_group)?.commit_offsets(offsets, assigned).await
    }

    /// What is committed in the partitions that this consumer has. Costs nothing.
    pub async fn committed(&self) -> Result<Vec<CommittedOffset>> {
        Ok(self.group.as_ref().ok_or_else(no_group)?.committed(&self.assigned).await)
    }

    /// Ends the consumer. In a group: commits what was returned, if it does that by itself, gives its
    /// partitions up and leaves, so that others go on at once. A consumer that is only dropped is
    /// missed by its group after its session timeout.
    pub async fn close(self) -> Result<()> {
        self.close_at(Vec::new()).await
    }

    /// Ends the consumer as [`close`](Self::close) does, and of these partitions takes as processed only
    /// what lies before these offsets: for a program that stops amid what it was given. Partitions that
    /// are not this consumer's (any more) are passed over.
    ///
    /// # Errors
    /// As [`close`](Self::close).
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # use kaffic_core::{Kaffic, PartitionPosition, Record};
    /// # let client = Kaffic::connect("memory://").await.unwrap();
    /// # client.topics().create("t", Default::default()).await.unwrap();
    /// # let producer = client.producer("t").build().await.unwrap();
    /// # for _ in 0..2 { producer.send(Record::value("v")).await.unwrap(); }
    /// let mut consumer = client.consumer().group("g").subscribe(["t"]).build().await.unwrap();
    /// let first = consumer.next().await.unwrap().unwrap();
    /// let second = consumer.next().await.unwrap().unwrap();
    /// // The second could not be processed.
    /// let (topic, partition, offset) = (second.topic, second.partition, second.offset);
    /// consumer.close_at(vec![PartitionPosition { topic, partition, offset }]).await.unwrap();
    /// assert_eq!(client.groups().committed("g").await.unwrap()[0].offset, first.offset + 1);
    /// # });
    /// ```
    pub async fn close_at(mut self, processed: Vec<PartitionPosition>) -> Result<()> {
        match self.group.take() {
            Some(group) => group.close(&mut self.assigned, &processed).await,
            None => Ok(()),
        }
    }

    fn index_of(&self, topic: &str, partition: u32) -> Result<usize> {
        self.assigned
            .iter()
            .find(|(_, assigned)| {
                &*assigned.log.id.topic == topic && assigned.log.id.partition == partition
            })
            .map(|(index, _)| *index)
            .ok_or_else(|| {
                Error::invalid(format!(
                    "topic {topic} partition {partition} is not assigned to this consumer"
                ))
            })
    }

    fn ensure_fetching(&mut self) {
        for (index, assigned) in &mut self.assigned {
            assigned.ensure_fetching(*index, &self.config, &self.budget, &self.sender);
        }
    }

    /// Drops the batch at hand if it is of this partition.
    fn forget(&mut self, index: usize) {
        if self.current.as_ref().is_some_and(|current| current.index == index) {
            self.current = None;
        }
    }

    /// Takes in what a fetch says.
    fn take(&mut self, message: Message) {
        let Message { index, generation, news } = message;
        let Some(assigned) = self.assigned.get_mut(&index) else { return };
        if assigned.generation != generation {
            return;
        }
        match news {
            Ok(News::Done) => assigned.done = true,
            Ok(News::Batch { batch, at, next }) => {
                assigned.place = at;
                match batch.records() {
                    Ok(records) => {
                        let batch = *batch;
                        let (key, held) = (batch.key, batch.held);
                        self.current = Some(Current { index, records, key, next, _held: held });
                    }
                    Err(error) => self.fail(index, error),
                }
            }
            Err(error) => self.fail(index, error),
        }
    }

    /// The partition's fetch ends with an error; the next poll begins it anew.
    fn fail(&mut self, index: usize, error: Error) {
        if let Some(assigned) = self.assigned.get_mut(&index) {
            assigned.stop();
            // The group's log will say so too, as soon as a member has looked.
            if self.group.is_some() && error.kind() == ErrorKind::TopicNotFound {
                tracing::warn!(log = %assigned.log.id, "its topic was deleted");
                assigned.done = true;
                return;
            }
        }
        self.failed = Some(error);
    }

    /// Hands out what a poll takes of the batch at hand.
    fn hand_out(&mut self, poll: &mut Poll, sink: &mut impl RecordSink) {
        let Some(mut current) = self.current.take() else { return };
        let index = current.index;
        let Some(assigned) = self.assigned.get_mut(&index) else { return };
        let log = Arc::clone(&assigned.log);
        let before = (self.limit.bytes, poll.handed);
        let (mut failed, mut over) = (None, false);
        while !poll.full && !over {
            let place = current.records.place();
            let (memory, record) = match current.records.next() {
                Some(Ok(record)) => record,
                Some(Err(error)) => {
                    failed = Some(Error::corrupt(&current.key, error));
                    break;
                }
                None => break,
            };
            if record.offset < assigned.place.offset {
                continue;
            }
            if assigned.until.is_some_and(|until| record.offset >= until) {
                assigned.done = true;
                assigned.stop();
                over = true;
            } else {
                let bytes = record.content_len();
                if !poll.takes(bytes) {
                    current.records.go_back(place);
                } else if self.limit.takes(bytes) {
                    assigned.place.offset = record.offset + 1;
                    sink.take(&log.id.topic, log.id.partition, memory, record);
                    poll.handed(bytes);
                }
            }
            over |= self.limit.exhausted;
        }
        let (bytes, records) = (self.limit.bytes - before.0, poll.handed - before.1);
        self.meter.consumed(&log.id.topic, records, bytes);
        match failed {
            Some(error) => self.fail(index, error),
            None if self.limit.exhausted => self.assigned.values_mut().for_each(Assigned::stop),
            None if over => {}
            // What was read whole may expire: nothing is looked for there any more.
            None if current.records.is_over() => assigned.place = current.next,
            None => self.current = Some(current),
        }
    }
}

/// What one poll may still hand out.
#[derive(Debug)]
struct Poll {
    max: usize,
    bytes: u64,
    handed: usize,
    /// It takes no more.
    full: bool,
}

impl Poll {
    /// Whether a record of so many bytes has room; the first always has.
    fn takes(&mut self, bytes: u64) -> bool {
        self.full = self.handed > 0 && bytes > self.bytes;
        !self.full
    }

    fn handed(&mut self, bytes: u64) {
        self.handed += 1;
        self.bytes = self.bytes.saturating_sub(bytes);
        self.full = self.handed == self.max;
    }
}

/// What a consumer hands out at most, and has handed out.
#[derive(Debug)]
struct Limit {
    max_records: Option<u64>,
    max_bytes: Option<u64>,
    records: u64,
    bytes: u64,
    /// One of both was reached.
    exhausted: bool,
}

impl Limit {
    fn new(config: &Config) -> Self {
        let (max_records, max_bytes) = (config.max_records, config.max_bytes);
        Self { max_records, max_bytes, records: 0, bytes: 0, exhausted: max_records == Some(0) }
    }

    /// Counts a record of so many bytes, or says that it is beyond.
    fn takes(&mut self, bytes: u64) -> bool {
        let bytes = self.bytes + bytes;
        let too_many = self.max_records.is_some_and(|most| self.records >= most);
        let too_much = self.max_bytes.is_some_and(|most| bytes > most) && self.records > 0;
        if too_many || too_much {
            self.exhausted = true;
            return false;
        }
        (self.records, self.bytes) = (self.records + 1, bytes);
        self.exhausted = self.max_records == Some(self.records);
        true
    }
}

/// What a wait came to.
enum Waited {
    Message(Message),
    News,
    Timeout,
}

fn no_group() -> Error {
    Error::invalid("the consumer has no group: give it one with group()")
}

fn position(assigned: &Assigned, offset: i64) -> PartitionPosition {
    let id = &assigned.log.id;
    PartitionPosition { topic: Arc::clone(&id.topic), partition: id.partition, offset }
}
