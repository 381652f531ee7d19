//! A consumer as languages have it: made first and told later what it reads, called from many threads,
//! woken from anywhere, and closed while another thread polls.

use crate::failure::{Failure, Result, Status};
use crate::settings::Settings;
use futures_util::FutureExt;
use futures_util::future::{Either, select};
use kaffic_core::{
    CommittedOffset, Consumer, ConsumerBuilder, ConsumerRecord, Kaffic, OffsetCommit,
    PartitionPosition, RebalanceListener, Start,
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
    /// Somebody else wants the turn of a poll that waits.
    asked: Notify,
    /// How many do. Polls that come to have the turn meanwhile let them go first.
    asking: AtomicUsize,
    woken: Notify,
    closed: AtomicBool,
}

enum State {
    Idle,
    Reads(Box<Consumer>),
    Closed,
}

/// Counts one that asks for the turn, for as long as it does.
struct Asking<'a>(&'a AtomicUsize);

impl<'a> Asking<'a> {
    fn new(asking: &'a AtomicUsize) -> Self {
        asking.fetch_add(1, Ordering::AcqRel);
        Self(asking)
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
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
            asked: Notify::new(),
            asking: AtomicUsize::new(0),
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
        let mut consumer = Box::new(builder.build().await?);
        for (topic, partition, offset) in seeks {
            consumer.seek(&topic, partition, Start::Offset(offset)).await?;
        }
        *state = State::Reads(consumer);
        Ok(())
    }

    /// Waits for the turn. A poll that waits for records steps back for it.
    async fn turn(&self) -> MutexGuard<'_, State> {
        let mut turn = pin!(self.state.lock());
        // Polled once, this one is in the queue, before the poll that is asked to step back.
        if let Some(state) = turn.as_mut().now_or_never() {
            return state;
        }
        let _asking = Asking::new(&self.asking);
        self.asked.notify_one();
        turn.await
    }

    /// Up to `max` records; waits for the first until `wait` is over, or for as long as it takes.
    ///
    /// # Errors
    /// As [`Consumer::poll`]; `InvalidArgument` before anything was said to be read.
    #[expect(clippy::disallowed_methods, reason = "a caller's own limit, in real time")]
    pub async fn poll(&self, max: usize, wait: Option<Duration>) -> Result<Polled> {
        let deadline = wait.and_then(|wait| Instant::now().checked_add(wait));
        loop {
            let mut state = self.state.lock().await;
            if self.asking.load(Ordering::Acquire) > 0 {
                // The lock is fair: whoever asked is before the next round of this.
                continue;
            }
            let consumer = reading(&mut state)?;
            let hour = Duration::from_secs(3600);
            let left =
                deadline.map_or(hour, |at| at.saturating_duration_since(Instant::now()).min(hour));
            let last = deadline.is_some() && left < hour;
            let ended = {
                let work = pin!(consumer.poll(max, left));
                let asked = pin!(self.asked.notified());
                let woken = pin!(self.woken.notified());
                match select(work, select(woken, asked)).await {
                    Either::Left((records, _)) => Some(records?),
                    Either::Right((Either::Left(_), _)) => return Ok(Polled::Woken),
                    Either::Right((Either::Right(_), _)) => None,
                }
            };
            let Some(records) = ended else { continue };
            if !records.is_empty() || last || max == 0 || consumer.is_finished() {
                return Ok(Polled::Records(records));
            }
        }
    }

    /// Ends the poll that waits, or the next one if none does.
    pub fn wake(&self) {
        self.woken.notify_one();
    }

    /// Goes on elsewhere in a partition.
    ///
    /// # Errors
    /// As [`Consumer::seek`].
    pub async fn seek(&self, topic: &str, partition: u32, to: Start) -> Result<()> {
        Ok(reading(&mut *self.turn().await)?.seek(topic, partition, to).await?)
    }

    /// Stops delivering a partition, or goes on with it.
    ///
    /// # Errors
    /// `InvalidArgument` for a partition that is not assigned.
    pub async fn pause(&self, topic: &str, partition: u32, paused: bool) -> Result<()> {
        let mut state = self.turn().await;
        let consumer = reading(&mut state)?;
        match paused {
            true => consumer.pause(topic, partition)?,
            false => consumer.resume(topic, partition)?,
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
        Ok(reading(&mut *self.turn().await)?.end_offsets().await?)
    }

    /// How far behind the tails it is.
    ///
    /// # Errors
    /// As [`Consumer::lag`].
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
            None => consumer.commit().await?,
            Some(offsets) => consumer.commit_offsets(offsets).await?,
        }
        Ok(())
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
        match &*self.turn().await {
            State::Idle => false,
            State::Reads(consumer) => consumer.is_finished(),
            State::Closed => true,
        }
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
            State::Reads(consumer) => Ok(consumer.close().await?),
            State::Idle | State::Closed => Ok(()),
        }
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
mod tests {
    use super::*;
    use kaffic_core::{Record, TopicConfig};

    async fn client() -> Kaffic {
        let client = Kaffic::connect("memory://").await.unwrap();
        client.topics().create("t", TopicConfig::new().partitions(2)).await.unwrap();
        client
    }

    async fn reader(client: &Kaffic, settings: &[(&str, &str)]) -> Arc<Reader> {
        let settings = settings.iter().copied().collect();
        let reader = Reader::new(client, settings, None).unwrap();
        reader.read(Wanted::Topics(vec!["t".into()])).await.unwrap();
        Arc::new(reader)
    }

    async fn produce(client: &Kaffic, partition: u32, values: &[&str]) {
        let producer = client.producer("t").build().await.unwrap();
        for value in values {
            let record = Record::value((*value).to_owned()).partition(partition);
            producer.send(record).await.unwrap();
        }
        producer.close().await.unwrap();
    }

    fn values(polled: Polled) -> Vec<String> {
        let Polled::Records(records) = polled else { panic!("woken") };
        let text = |record: ConsumerRecord| String::from_utf8_lossy(&record.value.unwrap()).into();
        records.into_iter().map(text).collect()
    }

    #[tokio::test]
    async fn other_calls_get_their_turn_while_a_poll_waits() {
        let client = client().await;
        let reader = reader(&client, &[]).await;
        let mut poll = pin!(reader.poll(10, None));
        assert!(poll.as_mut().now_or_never().is_none());
        for _ in 0..3 {
            let mut positions = pin!(reader.positions());
            assert!(positions.as_mut().now_or_never().is_none());
            // The poll steps back, and goes on after.
            assert!(poll.as_mut().now_or_never().is_none());
            assert_eq!(positions.await.unwrap().len(), 2);
        }
        produce(&client, 1, &["v"]).await;
        assert_eq!(values(poll.await.unwrap()), ["v"]);
    }

    #[tokio::test]
    async fn many_polls_that_wait_let_another_call_go_first() {
        let client = client().await;
        let reader = reader(&client, &[]).await;
        let mut polls: Vec<_> = (0..3).map(|_| Box::pin(reader.poll(10, None))).collect();
        for poll in &mut polls {
            assert!(poll.now_or_never().is_none());
        }
        let all = futures_util::future::join(futures_util::future::join_all(polls), reader.close());
        let ended = crate::process::limited(Some(Duration::from_secs(20)), "it", all.map(Ok)).await;
        let (polled, closed) = ended.expect("it hangs");
        assert_eq!(closed, Ok(()));
        for polled in polled {
            assert_eq!(polled.unwrap_err().status, Status::Closed);
        }
    }

    #[tokio::test]
    async fn a_wake_ends_one_poll_also_the_next() {
        let client = client().await;
        let reader = reader(&client, &[]).await;
        reader.wake();
        assert!(matches!(reader.poll(1, None).await.unwrap(), Polled::Woken));
        let mut poll = pin!(reader.poll(1, None));
        assert!(poll.as_mut().now_or_never().is_none());
        reader.wake();
        assert!(matches!(poll.await.unwrap(), Polled::Woken));
        let nothing = reader.poll(1, Some(Duration::ZERO)).await.unwrap();
        assert_eq!(values(nothing).len(), 0);
    }

    #[tokio::test]
    async fn closing_ends_a_poll_and_everything_after_says_so() {
        let client = client().await;
        let reader = reader(&client, &[("group", "g")]).await;
        let other = Arc::clone(&reader);
        let poll = pin!(reader.poll(1, None));
        let (polled, ended) =
            futures_util::future::join(poll, async move { other.close().await }).await;
        assert_eq!(ended, Ok(()));
        assert_eq!(polled.unwrap_err().status, Status::Closed);
        assert_eq!(reader.commit(None).await.unwrap_err().status, Status::Closed);
        let again = reader.read(Wanted::Topics(vec!["t".into()])).await;
        assert_eq!(again.unwrap_err().status, Status::Closed);
        assert!(reader.is_finished().await && reader.is_closed());
        assert_eq!(reader.close().await, Ok(()));
        assert!(client.groups().describe("g").await.unwrap().members.is_empty());
    }

    #[tokio::test]
    async fn what_is_read_may_change() {
        let client = client().await;
        produce(&client, 0, &["a", "b", "c"]).await;
        produce(&client, 1, &["x", "y"]).await;
        let reader = Reader::new(&client, Settings::default(), None).unwrap();
        let early = reader.poll(1, None).await.unwrap_err();
        assert_eq!(early.status, Status::InvalidArgument);
        for (wanted, expected) in
            [((0, Some(2)), vec!["c"]), ((1, None), vec!["x", "y"]), ((0, Some(1)), vec!["b", "c"])]
        {
            let (partition, offset) = wanted;
            let wanted = Wanted::Partitions(vec![("t".into(), partition, offset)]);
            reader.read(wanted).await.unwrap();
            assert_eq!(values(reader.poll(10, None).await.unwrap()), expected);
        }
    }

    #[tokio::test]
    async fn a_finished_consumer_does_not_wait() {
        let client = client().await;
        produce(&client, 0, &["a"]).await;
        let reader = reader(&client, &[("until", "latest")]).await;
        assert_eq!(values(reader.poll(10, None).await.unwrap()), ["a"]);
        assert_eq!(values(reader.poll(10, None).await.unwrap()).len(), 0);
        assert!(reader.is_finished().await);
    }
}
