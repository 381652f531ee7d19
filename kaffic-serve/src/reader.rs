//! Reads one partition from an offset on: what is there by a consumer that ends at the tail, and
//! what comes then from the partition's [`Tail`], which all readers share.

use crate::app::App;
use crate::problem::Result;
use crate::runtime::{now, sleep, timeout};
use crate::tail::{Found, State, Tail};
use kaffic_core::{Consumer, ConsumerRecord, Error, ResetPolicy, Start, Until};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::OwnedSemaphorePermit;

/// What a reader fetches ahead, in bytes.
const AHEAD: usize = 1 << 20;
/// Records that are taken from a consumer at once.
const SOME: usize = 256;
/// The longest wait for the store within one read of what is there.
const PATIENCE: Duration = Duration::from_secs(60);

/// Until a store shows a reader what it has shown a tail.
const UNSEEN: Duration = Duration::from_millis(100);

/// Which partition is read, and what becomes of offsets that have expired.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Source {
    pub(crate) topic: String,
    pub(crate) partition: u32,
    pub(crate) reset: ResetPolicy,
}

/// How much one read gives.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Most {
    pub(crate) records: usize,
    pub(crate) bytes: usize,
}

/// Reads one partition from an offset on.
#[derive(Debug)]
pub(crate) struct Reader {
    source: Source,
    /// The offset of the next record that is given.
    next: i64,
    /// What was there when it was asked for, if not all of that was read.
    there: Option<Consumer>,
    /// Records that were taken and not given yet.
    taken: VecDeque<ConsumerRecord>,
    /// The place of a reader that keeps what it fetched ahead.
    ahead: Option<OwnedSemaphorePermit>,
    /// What brings news, for those who wait.
    tail: Option<Arc<Tail>>,
    /// Whether there was nothing more when the store was asked, so that the tail has what comes.
    asked: bool,
    /// The store did not show what the tail had seen already.
    unseen: bool,
}

impl Reader {
    /// A reader that begins at `start`.
    pub(crate) async fn open(app: &App, source: Source, start: Start) -> Result<Self> {
        let there = consumer(app, &source, start).await?;
        let next = there.positions().first().map_or(0, |position| position.offset);
        Ok(Self {
            source,
            next,
            there: Some(there),
            taken: VecDeque::new(),
            ahead: None,
            tail: None,
            asked: false,
            unseen: false,
        })
    }

    /// A reader that begins at `offset`, if that is among the newest records of a partition that is
    /// followed already: without a question to the store.
    pub(crate) fn at_tail(app: &App, source: &Source, offset: i64) -> Option<Self> {
        let tail = app.tails.having(&source.topic, source.partition, offset)?;
        let (source, tail) = (source.clone(), Some(tail));
        let taken = VecDeque::new();
        let (asked, unseen) = (true, false);
        Some(Self { source, next: offset, there: None, taken, ahead: None, tail, asked, unseen })
    }

    /// Whether this reader goes on at `offset` of what is there, without looking for it again.
    pub(crate) fn goes_on(&self, source: &Source, offset: i64) -> bool {
        self.source == *source && self.next == offset && self.is_reading()
    }

    /// Whether there was more when it was last looked.
    pub(crate) fn is_reading(&self) -> bool {
        !self.taken.is_empty() || self.there.is_some()
    }

    /// The offset of the next record that is given.
    pub(crate) fn next_offset(&self) -> i64 {
        self.next
    }

    /// What is there: up to `most`, nothing if nothing is.
    pub(crate) async fn read(&mut self, app: &App, most: Most) -> Result<Vec<ConsumerRecord>> {
        let _turn = app.reading.acquire().await;
        let read = self.read_in_turn(app, most).await;
        self.asked = read.as_ref().is_ok_and(Vec::is_empty);
        self.keep(app);
        read
    }

    /// Keeps what was fetched ahead if there is a place for that, or lets it go.
    fn keep(&mut self, app: &App) {
        if !self.is_reading() {
            self.ahead = None;
        } else if self.ahead.is_none() {
            self.ahead = Arc::clone(&app.ahead).try_acquire_owned().ok();
            if self.ahead.is_none() {
                self.there = None;
                self.taken.clear();
            }
        }
    }

    async fn read_in_turn(&mut self, app: &App, most: Most) -> Result<Vec<ConsumerRecord>> {
        if self.taken.is_empty() && self.there.is_none() {
            let start = Start::Offset(self.next);
            self.there = Some(consumer(app, &self.source, start).await?);
        }
        let mut given = Vec::new();
        let mut bytes = 0;
        let until = now() + PATIENCE;
        loop {
            self.give(most, &mut bytes, &mut given);
            if !self.taken.is_empty() || given.len() >= most.records {
                return Ok(given);
            }
            if !self.take(&given, until).await? {
                return Ok(given);
            }
        }
    }

    /// What is there, if that is known without looking for it anew.
    pub(crate) async fn read_kept(&mut self, app: &App, most: Most) -> Result<Vec<ConsumerRecord>> {
        if self.is_reading() {
            return self.read(app, most).await;
        }
        let Some(tail) = &self.tail else { return Ok(Vec::new()) };
        let Found::Records(records, next) = tail.read(self.next, most) else {
            return Ok(Vec::new());
        };
        self.next = next;
        Ok(records)
    }

    /// What is there, or what comes within `wait`: nothing if nothing does, or if the server stops.
    pub(crate) async fn wait(
        &mut self,
        app: &App,
        most: Most,
        wait: Duration,
    ) -> Result<Vec<ConsumerRecord>> {
        let deadline = now() + wait;
        while self.news(app, deadline).await? {
            let records = Box::pin(self.look(app, most)).await?;
            if !records.is_empty() || now() >= deadline {
                return Ok(records);
            }
        }
        Ok(Vec::new())
    }

    /// Waits until there may be something to read. It holds nothing that others wait for, so that it
    /// may be left alone for any time. False if nothing came, or if the server stops.
    pub(crate) async fn news(&mut self, app: &App, deadline: Instant) -> Result<bool> {
        if std::mem::take(&mut self.unseen) {
            let left = deadline.saturating_duration_since(now());
            sleep(UNSEEN.min(left)).await;
            if left <= UNSEEN {
                return Ok(false);
            }
        }
        loop {
            if self.is_reading() || !self.asked {
                return Ok(true);
            }
            let tail = match self.tail.take() {
                Some(tail) => tail,
                None => app.tails.get(app, &self.source.topic, self.source.partition)?,
            };
            let mut state = tail.watch();
            let seen = state.borrow_and_update().clone();
            match seen {
                State::Failed(problem) => return Err(problem),
                State::Ended => continue,
                State::Opening | State::At(_) => self.tail = Some(tail),
            }
            if matches!(seen, State::At(end) if end > self.next) {
                return Ok(true);
            }
            let left = deadline.saturating_duration_since(now());
            tokio::select! {
                biased;
                () = app.stopped() => return Ok(false),
                changed = timeout(left, state.changed()) => match changed {
                    // Its task was ended without a word: another is begun.
                    Some(Err(_)) => self.tail = None,
                    Some(Ok(())) => {}
                    None => return Ok(false),
                },
            }
        }
    }

    /// What is there, from the tail if that has it.
    pub(crate) async fn look(&mut self, app: &App, most: Most) -> Result<Vec<ConsumerRecord>> {
        let tail = self.tail.as_ref().filter(|_| !self.is_reading());
        let behind = match tail.map(|tail| tail.read(self.next, most)) {
            Some(Found::Records(records, next)) => {
                self.next = next;
                return Ok(records);
            }
            Some(Found::End) => return Ok(Vec::new()),
            Some(Found::Older) => true,
            None => false,
        };
        let records = self.read(app, most).await?;
        self.unseen = behind && records.is_empty();
        Ok(records)
    }

    /// Gives what was taken, as much as may be.
    fn give(&mut self, most: Most, bytes: &mut usize, given: &mut Vec<ConsumerRecord>) {
        while let Some(record) = self.taken.front() {
            let size = size(record);
            let too_much = *bytes + size > most.bytes && !given.is_empty();
            if given.len() >= most.records || too_much {
                return;
            }
            *bytes += size;
            self.next = record.offset + 1;
            given.extend(self.taken.pop_front());
        }
    }

    /// Takes more of what is there; false at the end of that.
    async fn take(&mut self, given: &[ConsumerRecord], until: Instant) -> Result<bool> {
        let Some(there) = &mut self.there else { return Ok(false) };
        // Whoever has something is not kept waiting for more from a slow store.
        let patience = match given.is_empty() {
            true => until.saturating_duration_since(now()),
            false => PATIENCE.min(Duration::from_millis(500)),
        };
        let polled = there.poll(SOME, patience).await;
        let finished = there.is_finished();
        if let Some(position) = there.positions().first() {
            // Past what was taken, and past gaps at the end.
            self.next = self.next.max(position.offset).min(match &polled {
                Ok(records) => records.first().map_or(i64::MAX, |record| record.offset),
                Err(_) => i64::MAX,
            });
        }
        if finished || polled.is_err() {
            self.there = None;
        }
        match polled {
            Ok(records) => {
                let more = !records.is_empty();
                self.taken.extend(records);
                Ok(more)
            }
            // What was read before the fault is good; the next read meets the fault again.
            Err(_) if !given.is_empty() => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// A consumer of what is there now.
async fn consumer(app: &App, source: &Source, start: Start) -> Result<Consumer, Error> {
    app.client
        .consumer()
        .assign(&source.topic, [source.partition])
        .start(start)
        .until(Until::Latest)
        .reset(source.reset)
        .fetch_ahead_bytes(AHEAD)
        .build()
        .await
}

/// What a record weighs.
pub(crate) fn size(record: &ConsumerRecord) -> usize {
    let headers: usize = record
        .headers
        .iter()
        .map(|header| header.name.len() + header.value.as_ref().map_or(0, bytes::Bytes::len))
        .sum();
    record.key.as_ref().map_or(0, bytes::Bytes::len)
        + record.value.as_ref().map_or(0, bytes::Bytes::len)
        + headers
}
