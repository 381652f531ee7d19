//! The producer: takes records, finds each its partition, bounds what is under way, and hands the
//! records to one lane a partition.

mod batch_size;
mod config;
mod lane;
mod linger;
mod partitioner;
mod room;
mod ticket;

pub use config::{ProducerBuilder, WhenFull};
pub use partitioner::partition_for_key;
pub use ticket::{Ack, Ticket};

use crate::context::Context;
use crate::env::timeout;
use crate::error::{Error, ErrorKind, Result};
use crate::log::append::Appender;
use crate::log::{MAX_BATCH_RECORDS, MinExpiry};
use crate::names::Claim;
use crate::record::Record;
use crate::topic::TopicDescription;
use config::Config;
use futures_util::future::join_all;
use futures_util::{StreamExt, TryStreamExt};
use lane::Lane;
use linger::Busy;
use room::Room;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

/// How many partitions are fenced at once.
const FENCED_AT_ONCE: usize = 16;

/// What a record weighs beyond its content.
const RECORD_OVERHEAD: usize = 32;

/// Writes records to one topic. Cheap to clone; clones share buffers and order, and may be used
/// from many tasks and threads at once.
///
/// Records of one partition are appended in the order in which they entered the buffer, one batch
/// at a time. When the last clone is dropped, what is left in the buffer is still sent as long as
/// the runtime lives; [`close`](Self::close) waits for it.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// use kaffic_core::{Kaffic, Record, TopicConfig};
/// let client = Kaffic::connect("memory://").await.unwrap();
/// client.topics().create("orders", TopicConfig::new()).await.unwrap();
/// let producer = client.producer("orders").build().await.unwrap();
/// for number in 0..1000 {
///     // Waits only when the buffer is full.
///     let _ticket = producer.enqueue(Record::value(format!("order {number}"))).await.unwrap();
/// }
/// producer.close().await.unwrap(); // all 1000 are in the log
/// # });
/// ```
#[derive(Debug, Clone)]
pub struct Producer {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    context: Arc<Context>,
    topic: TopicDescription,
    config: Config,
    min_expiry: Option<MinExpiry>,
    claim: Option<Claim>,
    lanes: Box<[OnceLock<Arc<Lane>>]>,
    room: Arc<Room>,
    busy: Busy,
    /// Where records without a key go.
    sticky: AtomicU32,
    closed: AtomicBool,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.lanes.iter().filter_map(OnceLock::get).for_each(|lane| lane.let_go());
    }
}

impl Producer {
    fn new(
        context: Arc<Context>,
        topic: TopicDescription,
        config: Config,
        min_expiry: Option<MinExpiry>,
        claim: Option<Claim>,
    ) -> Self {
        let sticky = AtomicU32::new((context.env.random() % u64::from(topic.partitions)) as u32);
        let room = Arc::new(Room::new(config.max_in_flight_bytes));
        let lanes = (0..topic.partitions).map(|_| OnceLock::new()).collect();
        let closed = AtomicBool::new(false);
        Self {
            inner: Arc::new(Inner {
                context,
                topic,
                config,
                min_expiry,
                claim,
                lanes,
                room,
                busy: Busy::default(),
                sticky,
                closed,
            }),
        }
    }

    /// Sends a record and waits for its acknowledgement: it is durable then. Cancelling the wait
    /// does not take the record back.
    ///
    /// # Errors
    /// `Timeout` after `delivery_timeout`, `RecordTooLarge`, `QueueFull`, `Closed`, and whatever
    /// the storage says; [`Error::outcome`] tells whether the record may be in the log.
    pub async fn send(&self, record: Record) -> Result<Ack> {
        self.enqueue(record).await?.await
    }

    /// Puts a record into the buffer, waiting for room there, and returns a future of its
    /// acknowledgement. Cancelling the wait leaves the record out. Its bytes are copied: when this
    /// returns, nothing of the record is kept.
    ///
    /// # Errors
    /// As for [`send`](Self::send), as far as they show before anything is written.
    pub async fn enqueue(&self, record: Record) -> Result<Ticket> {
        let inner = &*self.inner;
        let room = inner.check(&record)?;
        inner.take_room(room).await?;
        let timestamp = record.timestamp.unwrap_or_else(|| inner.context.env.now_ms());
        let partition = inner.partition_of(&record);
        inner.lane(partition).push(&record, timestamp, room).inspect_err(|_| {
            inner.room.give_back(room);
        })
    }

    /// Appends the records as one batch to one partition, all or none; with `expected_offset` only
    /// if the first of them gets just that offset. The acknowledgement is of the first record.
    ///
    /// # Errors
    /// `ConditionFailed` with the actual tail; otherwise as for [`send`](Self::send).
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # use kaffic_core::{ErrorKind, Kaffic, Record};
    /// # let client = Kaffic::connect("memory://").await.unwrap();
    /// # client.topics().create("t", Default::default()).await.unwrap();
    /// # let producer = client.producer("t").build().await.unwrap();
    /// let pair = vec![Record::value("a"), Record::value("b")];
    /// assert_eq!(producer.append(0, pair.clone(), Some(0)).await.unwrap().offset, 0);
    /// let error = producer.append(0, pair, Some(0)).await.unwrap_err();
    /// assert_eq!((error.kind(), error.tail()), (ErrorKind::ConditionFailed, Some(2)));
    /// # });
    /// ```
    pub async fn append(
        &self,
        partition: u32,
        records: Vec<Record>,
        expected_offset: Option<i64>,
    ) -> Result<Ack> {
        let inner = &*self.inner;
        inner.topic.check_partition(partition)?;
        if records.is_empty() || records.len() > MAX_BATCH_RECORDS as usize {
            return Err(Error::invalid(format!(
                "{} records in one append; it takes 1 to {MAX_BATCH_RECORDS}",
                records.len()
            )));
        }
        let mut room = 0;
        check_sequences(&records)?;
        for record in &records {
            room += inner.check(record)?;
            if record.partition.is_some_and(|named| named != partition) {
                return Err(Error::invalid(format!(
                    "a record names partition {:?} in an append to partition {partition}",
                    record.partition
                )));
            }
        }
        inner.check_size(room)?;
        inner.take_room(room).await?;
        let now = inner.context.env.now_ms();
        let stamped: Vec<(Record, i64)> = records
            .into_iter()
            .map(|record| {
                let timestamp = record.timestamp.unwrap_or(now);
                (record, timestamp)
            })
            .collect();
        match inner.lane(partition).push_batch(&stamped, room, expected_offset) {
            Ok(ticket) => ticket.await,
            Err(error) => {
                inner.room.give_back(room);
                Err(error)
            }
        }
    }

    /// The topic's number of partitions.
    pub fn partitions(&self) -> u32 {
        self.inner.topic.partitions
    }

    /// The epoch of the producer's name: 0 for its first instance, and one more for each after it.
    /// `None` without a name.
    pub fn epoch(&self) -> Option<u32> {
        self.inner.claim.as_ref().map(|claim| claim.epoch)
    }

    /// The last sequence that the producer's name has written to a partition: where a program that
    /// was restarted goes on. Fences older instances off the partition first, so that it is the last.
    /// `None` if no record there had a sequence.
    ///
    /// What is known of sequences outlasts the records, except in a partition that nobody has written
    /// to for the topic's `min_expiry` after its producers crashed.
    ///
    /// # Errors
    /// `InvalidArgument` without a name or for a partition that does not exist, `Fenced`, and
    /// whatever the storage says.
    pub async fn last_sequence(&self, partition: u32) -> Result<Option<i64>> {
        let inner = &*self.inner;
        inner.check_open()?;
        inner.topic.check_partition(partition)?;
        inner.check_named("last_sequence")?;
        inner.lane(partition).prepare(true).await
    }

    /// Fences older instances of the producer's name off all partitions, now. Without this that is
    /// done in each partition when it is first written to.
    ///
    /// # Errors
    /// As for [`last_sequence`](Self::last_sequence).
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # use kaffic_core::{ErrorKind, Kaffic, Record};
    /// # let client = Kaffic::connect("memory://").await.unwrap();
    /// # client.topics().create("t", Default::default()).await.unwrap();
    /// let first = client.producer("t").name("n").build().await.unwrap();
    /// first.send(Record::value("goes")).await.unwrap();
    /// let second = client.producer("t").name("n").build().await.unwrap();
    /// first.send(Record::value("still goes")).await.unwrap();
    /// second.fence_all().await.unwrap();
    /// let error = first.send(Record::value("no more")).await.unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Fenced);
    /// # });
    /// ```
    pub async fn fence_all(&self) -> Result<()> {
        let inner = &*self.inner;
        inner.check_open()?;
        inner.check_named("fence_all")?;
        futures_util::stream::iter(0..inner.topic.partitions)
            .map(|partition| inner.lane(partition).prepare(false))
            .buffer_unordered(FENCED_AT_ONCE)
            .try_for_each(|_| std::future::ready(Ok(())))
            .await
    }

    /// Waits until everything enqueued so far is acknowledged or has failed; the first failure is
    /// returned (each record's own ticket has its own).
    pub async fn flush(&self) -> Result<()> {
        let lanes = self.inner.lanes.iter().filter_map(OnceLock::get);
        join_all(lanes.map(|lane| lane.flush())).await.into_iter().collect()
    }

    /// Flushes, ends the blocks that were written to, and refuses records from now on. Closing
    /// again does nothing.
    pub async fn close(&self) -> Result<()> {
        self.inner.closed.store(true, Ordering::Release);
        let flushed = self.flush().await;
        let lanes = self.inner.lanes.iter().filter_map(OnceLock::get);
        let closed: Result<()> =
            join_all(lanes.map(|lane| lane.close())).await.into_iter().collect();
        flushed.and(closed)
    }
}

impl Inner {
    /// Checks a record and says how much room it takes.
    fn check(&self, record: &Record) -> Result<usize> {
        self.check_open()?;
        match record.sequence {
            Some(sequence) if sequence < 0 => {
                return Err(Error::invalid(format!("a sequence is {sequence}; it is 0 or more")));
            }
            Some(_) => self.check_named("a record's sequence")?,
            None => {}
        }
        if let Some(partition) = record.partition {
            self.topic.check_partition(partition)?;
        }
        let content = record.content_len();
        if content > self.config.max_record_bytes {
            return Err(Error::new(
                ErrorKind::RecordTooLarge,
                format!(
                    "a record of {content} bytes for topic {}; max_record_bytes is {}",
                    self.topic.name, self.config.max_record_bytes
                ),
            ));
        }
        let room = content + RECORD_OVERHEAD + record.headers.len() * RECORD_OVERHEAD;
        self.check_size(room)?;
        Ok(room)
    }

    fn check_open(&self) -> Result<()> {
        if self.closed.load(Ordering::Acquire) {
            return Err(Error::new(ErrorKind::Closed, "the producer was closed"));
        }
        Ok(())
    }

    fn check_named(&self, what: &str) -> Result<()> {
        if self.claim.is_some() {
            return Ok(());
        }
        Err(Error::invalid(format!("{what} needs a producer with a name (ProducerBuilder::name)")))
    }

    fn check_size(&self, room: usize) -> Result<()> {
        let most = self.config.max_in_flight_bytes.min(48 << 20);
        if room <= most {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::RecordTooLarge,
            format!(
                "{room} bytes at once for topic {}; at most {most} may be under way",
                self.topic.name
            ),
        ))
    }

    /// Takes room in the buffer, waiting for it or not as configured.
    async fn take_room(&self, bytes: usize) -> Result<()> {
        let bytes = bytes as u32;
        if self.room.try_take(bytes) {
            return Ok(());
        }
        let full = |kind, what: &str| {
            let most = self.config.max_in_flight_bytes;
            Err(Error::new(
                kind,
                format!(
                    "topic {}: {most} bytes are under way (max_in_flight_bytes){what}",
                    self.topic.name
                ),
            ))
        };
        if self.config.when_full == WhenFull::Fail {
            return full(ErrorKind::QueueFull, "; try again later");
        }
        let hurry = || self.lanes.iter().filter_map(OnceLock::get).for_each(|lane| lane.hurry());
        let taken = self.room.take(bytes, hurry);
        match timeout(&*self.context.env, self.config.delivery_timeout, taken).await {
            Some(()) => Ok(()),
            None => full(ErrorKind::Timeout, " and there was no room within delivery_timeout"),
        }
    }

    fn partition_of(&self, record: &Record) -> u32 {
        match (record.partition, &record.key) {
            (Some(partition), _) => partition,
            (None, Some(key)) => partition_for_key(key, self.topic.partitions),
            (None, None) => self.sticky_partition(),
        }
    }

    /// Where a record without a key goes: to the batch that gathers such records, and when that
    /// has gone, to the next partition.
    fn sticky_partition(&self) -> u32 {
        let current = self.sticky.load(Ordering::Relaxed);
        let gone = self.lanes[current as usize].get().is_some_and(|lane| !lane.is_gathering());
        if self.topic.partitions == 1 || !gone {
            return current;
        }
        let next = (current + 1) % self.topic.partitions;
        match self.sticky.compare_exchange(current, next, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => next,
            Err(other) => other,
        }
    }

    fn lane(&self, partition: u32) -> &Arc<Lane> {
        self.lanes[partition as usize].get_or_init(|| {
            let mut settings = self.topic.log_settings();
            if let Some(min_expiry) = self.min_expiry {
                settings.min_expiry = min_expiry;
            }
            let id = self.topic.log_id(partition);
            let env = Arc::clone(&self.context.env);
            let log = match self.config.compaction {
                true => self.context.compacted_log(id, settings),
                false => self.context.log(id, settings),
            };
            let appender =
                Appender::new(log, self.claim.clone()).aside_bytes(self.config.aside_bytes);
            let room = Arc::clone(&self.room);
            Lane::start(partition, env, appender, self.config.clone(), room, &self.busy)
        })
    }
}

/// Within one append sequences have to grow, or there are none.
fn check_sequences(records: &[Record]) -> Result<()> {
    let all = records.iter().all(|record| record.sequence.is_some());
    let none = records.iter().all(|record| record.sequence.is_none());
    if none || (all && records.is_sorted_by(|a, b| a.sequence < b.sequence)) {
        return Ok(());
    }
    Err(Error::invalid("the sequences in one append have to grow, or there have to be none"))
}
