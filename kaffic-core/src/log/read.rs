//! Reads a log slot after slot, with many gets ahead where it is known that slots are there.
//!
//! What follows a slot that is not there is the delicate part. It may not have been written yet,
//! its block may have ended before it, or it has expired. The order of looks decides: the end (and
//! a list, where slots may have expired), then the slot *again*, then the block's index, and only
//! then is it passed. A block that has an index is read from its segments ([`super::segments`]).

use super::budget::{Budget, Held};
use super::index::Index;
use super::seek::tail_place;
use super::segments::{Found, Segments};
use super::tail::Tail;
use super::{End, Log, Look, Open, Verdict};
use crate::batch::{CheckedBatch, Records};
use crate::env::{Env, Rule, spawn};
use crate::error::{Error, Result};
use crate::slot::{Slot, SlotHeader};
use crate::store::Object;
use futures_util::StreamExt;
use futures_util::future::{BoxFuture, try_join};
use futures_util::stream::FuturesOrdered;
use std::sync::Arc;
use std::time::Duration;

/// The most gets ahead, and the most while it is not known how large slots are.
const WINDOW: usize = 64;
const FIRST_WINDOW: usize = 4;
/// The most gets ahead of what is known to be there: each may be in vain.
const GUESSES: u32 = 16;
/// How often the end is looked at while waiting for a slot.
const END_INTERVAL: Duration = Duration::from_secs(30);
/// What a slot is expected to weigh before any was seen.
const FIRST_GUESS_BYTES: usize = 1 << 20;
const LEAST_GUESS_BYTES: usize = 4 << 10;

/// A place in a log, and the first offset wanted from there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) block: u64,
    pub(crate) slot: u32,
    pub(crate) offset: i64,
}

/// A batch that was read, still encoded.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) header: SlotHeader,
    content: CheckedBatch,
    /// The object it came from, for messages.
    pub(crate) key: String,
    pub(crate) held: Arc<Held>,
}

/// What a step of reading came to.
#[derive(Debug)]
pub(crate) enum Event {
    Batch(Box<Batch>),
    /// There is nothing more yet.
    CaughtUp,
    /// Records have expired: the place is now at the next that may be there.
    Lost,
}

/// Reads one log from a place on.
#[derive(Debug)]
pub(crate) struct LogReader {
    log: Arc<Log>,
    budget: Budget,
    place: Place,
    /// Where the batch was that was read last.
    last: Place,
    current: Option<Current>,
    /// Everything before this block and slot is known to have been written.
    known: (u64, u32),
    segments: Segments,
    ahead: FuturesOrdered<BoxFuture<'static, Result<Fetched>>>,
    next_fetch: u32,
    /// How many slots in a row were there beyond what was known.
    streak: u32,
    guess_bytes: usize,
    window: usize,
    /// When the present slot was last asked for and not there, if it can't have come and gone.
    absent_at: Option<Moment>,
    /// When an end was last looked at while waiting.
    end_looked_at: Option<Duration>,
}

#[derive(Debug)]
struct Current {
    open: Open,
    end: Option<End>,
    index: Option<Arc<Index>>,
    /// Segments that have expired: what they held may be in slots yet.
    gone: Vec<usize>,
}

impl Current {
    fn new(open: Open, end: Option<End>) -> Self {
        Self { open, end, index: None, gone: Vec::new() }
    }

    fn indexed(index: Arc<Index>) -> Self {
        let (open, end) = (index.open.clone(), Some(index.end.clone()));
        Self { open, end, index: Some(index), gone: Vec::new() }
    }

    /// The index and the segment that has the slot, if one has.
    fn segment_of(&self, slot: u32) -> Option<(&Arc<Index>, usize)> {
        let index = self.index.as_ref()?;
        let segment = index.segment_of(slot).filter(|segment| !self.gone.contains(segment))?;
        Some((index, segment))
    }

    /// The first slot after this one that another segment has.
    fn next_segment(&self, slot: u32) -> Option<u32> {
        let segments = &self.index.as_ref()?.segments;
        segments.iter().map(|segment| segment.first_slot).find(|first| *first > slot)
    }
}

#[derive(Debug)]
struct Fetched {
    key: String,
    object: Option<Object>,
    held: Held,
    asked_at: Moment,
}

/// A moment by both clocks: either may stand still while a machine sleeps or is set.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    monotonic: Duration,
    wall_ms: i64,
}

impl Moment {
    pub(crate) fn now(env: &dyn Env) -> Self {
        Self { monotonic: env.monotonic(), wall_ms: env.now_ms() }
    }

    /// The time since an earlier moment, by the clock that says more.
    fn since(self, earlier: Self) -> Duration {
        let wall = Duration::from_millis((self.wall_ms - earlier.wall_ms).max(0) as u64);
        self.monotonic.saturating_sub(earlier.monotonic).max(wall)
    }
}

/// What to do about a slot that is not there.
enum Absence {
    Wait,
    Found(Object),
    /// The block was compacted.
    Indexed(Box<Index>),
    Past(Onward),
}

/// Where reading goes on, and whether records were lost on the way.
struct Onward {
    block: u64,
    slot: u32,
    lost: bool,
}

impl LogReader {
    /// Reads from `place`; `tail` is how far the log was when its reader was made.
    pub(crate) fn new(log: Arc<Log>, budget: Budget, place: Place, tail: Option<&Tail>) -> Self {
        let written = tail_place(tail);
        Self {
            segments: Segments::new(Arc::clone(&log), budget.clone()),
            log,
            budget,
            place,
            last: place,
            current: None,
            known: (written.block, written.slot),
            ahead: FuturesOrdered::new(),
            next_fetch: 0,
            streak: 0,
            guess_bytes: FIRST_GUESS_BYTES,
            window: FIRST_WINDOW,
            absent_at: None,
            end_looked_at: None,
        }
    }

    /// Where the next batch is looked for.
    pub(crate) fn place(&self) -> Place {
        self.place
    }

    /// Where the batch was that was read last.
    pub(crate) fn last_place(&self) -> Place {
        self.last
    }

    /// Goes on at the tail, as it was asked for at a moment.
    pub(crate) fn move_to_tail(&mut self, place: Place, asked_at: Moment) {
        self.current = None;
        self.go_to(place.block, place.slot);
        self.place = place;
        self.begin_at_tail(asked_at);
    }

    /// Only what came after a moment is wanted, when the present place was the tail: so nothing of
    /// it has expired yet.
    pub(crate) fn begin_at_tail(&mut self, asked_at: Moment) {
        self.absent_at = Some(asked_at);
    }

    /// The next batch, or why there is none. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> Result<Event> {
        loop {
            let Some(current) = &self.current else {
                if self.enter().await? {
                    continue;
                }
                // While it waits it holds nothing that others' fetches may be waiting for.
                self.segments.clear();
                self.check_not_closed().await?;
                return Ok(Event::CaughtUp);
            };
            let slot = self.place.slot;
            if slot >= current.open.slots
                || current.end.as_ref().is_some_and(|end| end.excludes(slot))
            {
                if current.end.as_ref().is_some_and(|end| end.closed) {
                    return Err(self.log.deleted());
                }
                self.go_to(current.open.block + 1, 0);
                continue;
            }
            if let Some((index, segment)) = current.segment_of(slot) {
                let index = Arc::clone(index);
                if !self.ahead.is_empty() {
                    self.drop_ahead();
                }
                match self.segments.slot(&index, slot).await? {
                    Found::Slot { key, slot, held } => {
                        if let Some(batch) = self.take(key, *slot, held) {
                            return Ok(Event::Batch(Box::new(batch)));
                        }
                    }
                    Found::Gone => {
                        self.current.iter_mut().for_each(|current| current.gone.push(segment));
                        self.drop_ahead();
                    }
                }
                continue;
            }
            // Slots would wait for bytes that pieces hold.
            self.segments.clear();
            self.fetch_ahead();
            let Some(fetched) = self.ahead.next().await else { continue };
            let Fetched { key, object, held, asked_at } = match fetched {
                Ok(fetched) => fetched,
                Err(error) => {
                    self.drop_ahead();
                    return Err(error);
                }
            };
            match self.judge_surely(&key, object).await? {
                Judged::Valid(object) => {
                    let slot = self.decode(&key, &object)?;
                    if let Some(batch) = self.take(key, slot, Arc::new(held)) {
                        return Ok(Event::Batch(Box::new(batch)));
                    }
                }
                Judged::Not { void } => {
                    drop(held);
                    self.drop_ahead();
                    match self.absent(&key, void, asked_at).await? {
                        Absence::Wait => return Ok(Event::CaughtUp),
                        Absence::Found(object) => {
                            let held = Arc::new(self.budget.take(1).await);
                            let slot = self.decode(&key, &object)?;
                            if let Some(batch) = self.take(key, slot, held) {
                                return Ok(Event::Batch(Box::new(batch)));
                            }
                        }
                        Absence::Indexed(index) => {
                            self.current = Some(Current::indexed(Arc::new(*index)));
                        }
                        Absence::Past(to) => {
                            self.go_to(to.block, to.slot);
                            if to.lost {
                                return Ok(Event::Lost);
                            }
                        }
                    }
                }
            }
        }
    }

    /// Reads the present block's index, or its `open`, and its `end` where there must be one. False
    /// where the block has not begun.
    async fn enter(&mut self) -> Result<bool> {
        let block = self.place.block;
        self.current = if block >= self.known.0 {
            self.log.open(block).await?.map(|open| Current::new(open, None))
        } else if let Some(index) = self.segments.index(block, self.known.0).await? {
            Some(Current::indexed(index))
        } else {
            let (open, end) = try_join(self.log.open_there(block), self.log.end(block)).await?;
            Some(Current::new(open, end))
        };
        self.next_fetch = self.place.slot;
        Ok(self.current.is_some())
    }

    /// While the next block has not begun: whether the one before was the last for ever.
    async fn check_not_closed(&mut self) -> Result<()> {
        let Some(before) = self.place.block.checked_sub(1) else { return Ok(()) };
        if self.end_is_due() && self.log.end(before).await?.is_some_and(|end| end.closed) {
            return Err(self.log.deleted());
        }
        Ok(())
    }

    fn go_to(&mut self, block: u64, slot: u32) {
        if block != self.place.block {
            self.current = None;
        }
        (self.place.block, self.place.slot) = (block, slot);
        self.drop_ahead();
        (self.absent_at, self.end_looked_at) = (None, None);
    }

    fn drop_ahead(&mut self) {
        self.ahead = FuturesOrdered::new();
        self.next_fetch = self.place.slot;
        self.streak = 0;
    }

    /// The slot up to which it is worth asking.
    fn fetch_limit(&self, current: &Current) -> u32 {
        match &current.end {
            Some(End { verdict: Verdict::Slots(slots), .. }) => *slots,
            _ => {
                let guessed = self.place.slot + 1 + self.streak.min(GUESSES - 1);
                let known = if current.open.block == self.known.0 { self.known.1 } else { 0 };
                known.max(guessed).min(current.open.slots)
            }
        }
    }

    fn fetch_ahead(&mut self) {
        let Some(current) = &self.current else { return };
        let (block, limit) = (current.open.block, self.fetch_limit(current));
        while self.next_fetch < limit && self.ahead.len() < self.window {
            let key = self.log.id.slot(block, self.next_fetch);
            let (log, budget) = (Arc::clone(&self.log), self.budget.clone());
            let expected = self.guess_bytes;
            self.next_fetch += 1;
            self.ahead.push_back(Box::pin(async move {
                // In order, and so not in the task: a slot that waits for bytes which slots behind
                // it hold would wait for ever.
                let mut held = budget.take(expected).await;
                let env = Arc::clone(&log.env);
                let fetch = async move {
                    let asked_at = Moment::now(&*log.env);
                    let object = log.get_slot(block, &key).await?;
                    held.correct(object.as_ref().map_or(0, |object| object.bytes.len()));
                    Ok(Fetched { key, object, held, asked_at })
                };
                spawn(&*env, fetch).await
            }));
        }
    }

    /// Whether an object is the present slot of the log.
    fn judge(&self, key: &str, object: Option<Object>) -> Result<Judged> {
        let (Some(object), Some(current)) = (object, &self.current) else {
            return Ok(Judged::Not { void: false });
        };
        let look = match &current.end {
            Some(end) => self.log.judge_ended(key, &current.open, end, self.place.slot, &object)?,
            None => self.log.judge(key, &current.open, &object)?,
        };
        Ok(match look {
            Look::Valid { .. } => Judged::Valid(object),
            Look::Absent | Look::Void { .. } => Judged::Not { void: true },
        })
    }

    /// As `judge`; where stamps make no sense, the block's end decides if there is one: a store may
    /// have been copied.
    async fn judge_surely(&mut self, key: &str, object: Option<Object>) -> Result<Judged> {
        let judged = self.judge(key, object.clone());
        match &mut self.current {
            Some(Current { open, end: end @ None, .. }) if judged.is_err() => {
                *end = self.log.end(open.block).await?;
                self.judge(key, object)
            }
            _ => judged,
        }
    }

    fn decode(&mut self, key: &str, object: &Object) -> Result<Slot> {
        let len = object.bytes.len();
        self.guess_bytes = len.max(self.guess_bytes * 7 / 8).max(LEAST_GUESS_BYTES);
        Slot::decode(&object.bytes).map_err(|error| error.at(key))
    }

    /// Moves past a slot and gives its batch, if it has one.
    fn take(&mut self, key: String, slot: Slot, held: Arc<Held>) -> Option<Batch> {
        let Slot { header, batch } = slot;
        self.window = WINDOW;
        let (block, number) = (self.place.block, self.place.slot);
        if (block, number) >= self.known {
            self.streak += 1;
            self.known = (block, number + 1);
        }
        if header.last {
            self.go_to(block + 1, 0);
        } else {
            self.place.slot += 1;
            self.next_fetch = self.next_fetch.max(self.place.slot);
            (self.absent_at, self.end_looked_at) = (None, None);
        }
        self.last = Place { block, slot: number, offset: self.place.offset };
        let wanted = header.next_offset() > self.place.offset;
        self.place.offset = self.place.offset.max(header.next_offset());
        batch.filter(|_| wanted).map(|content| Batch { header, content, key, held })
    }

    /// Decides about a slot that is not there, or does not count.
    async fn absent(&mut self, key: &str, void: bool, asked_at: Moment) -> Result<Absence> {
        let Some(current) = &self.current else { return Ok(Absence::Wait) };
        let (open, mut end) = (current.open.clone(), current.end.clone());
        let (indexed, next_segment) =
            (current.index.is_some(), current.next_segment(self.place.slot));
        let log = Arc::clone(&self.log);
        let (block, slot) = (open.block, self.place.slot);
        self.note_absence(&open, asked_at);
        let due = self.end_is_due() || void;
        if end.is_none() && due {
            end = log.end(block).await?;
            if let Some(current) = &mut self.current {
                current.end.clone_from(&end);
            }
        }
        if end.as_ref().is_some_and(|end| end.excludes(slot)) {
            // The loop in `next` goes on from there.
            return Ok(Absence::Past(Onward { block, slot, lost: false }));
        }
        if end.is_none() && !(due && open.lease.may_have_expired(log.env.now_ms())) {
            return Ok(Absence::Wait);
        }
        let higher = log.next_listed(&open, end.as_ref(), slot).await?;
        if end.is_none() && higher.is_none() {
            return Ok(Absence::Wait);
        }
        if log.env.keeps(Rule::ReaderLooksTwice) {
            let asked_at = Moment::now(&*log.env);
            let again = log.get_slot(block, key).await?;
            if let Judged::Valid(object) = self.judge(key, again)? {
                return Ok(Absence::Found(object));
            }
            self.note_absence(&open, asked_at);
        }
        // An index is there before the first of its slots goes. A block that had no end when it was
        // last looked at may have been compacted since.
        if !indexed
            && log.env.keeps(Rule::ReaderAsksForTheIndex)
            && let Some(index) = log.index(block).await?
        {
            return Ok(Absence::Indexed(Box::new(index)));
        }
        if let Some(slot) = higher.into_iter().chain(next_segment).min() {
            return Ok(Absence::Past(Onward { block, slot, lost: true }));
        }
        if !log.env.keeps(Rule::ReaderMovesOn) {
            return Ok(Absence::Wait);
        }
        let unknown = end.is_some_and(|end| end.verdict == Verdict::Unknown);
        let lost = !(unknown && self.absent_at.is_some());
        Ok(Absence::Past(Onward { block: block + 1, slot: 0, lost }))
    }

    /// Remembers that the present slot is not there. It can't have come and gone if it was asked
    /// for before anything of its block could expire, and ever since within R − M: stamps may lag.
    fn note_absence(&mut self, open: &Open, asked_at: Moment) {
        let now = Moment::now(&*self.log.env);
        let unbroken = match (self.absent_at, open.lease.least_age()) {
            (_, None) => true,
            (None, Some(_)) => !open.lease.may_have_expired(now.wall_ms),
            (Some(before), Some(age)) => now.since(before) < age,
        };
        self.absent_at = unbroken.then_some(asked_at);
    }

    /// Whether an end should be looked at while waiting: at first, and then every 30 s.
    fn end_is_due(&mut self) -> bool {
        let now = self.log.env.monotonic();
        let due = self.end_looked_at.is_none_or(|at| now.saturating_sub(at) >= END_INTERVAL);
        if due {
            self.end_looked_at = Some(now);
        }
        due
    }
}

impl Log {
    /// The next higher slot of the block that is listed and may count.
    async fn next_listed(&self, open: &Open, end: Option<&End>, slot: u32) -> Result<Option<u32>> {
        let counts = |number: u32, stamp: i64| match end {
            Some(End { verdict: Verdict::Slots(slots), .. }) => number < *slots,
            _ => open.lease.holds(stamp),
        };
        let listed = self.slots(open.block).await?;
        let higher = listed
            .iter()
            .map(|entry| (entry.number as u32, entry.stamp))
            .filter(|(number, stamp)| *number > slot && counts(*number, *stamp));
        Ok(higher.map(|(number, _)| number).min())
    }
}

enum Judged {
    Valid(Object),
    Not { void: bool },
}

impl Batch {
    /// The batch's records.
    pub(crate) fn records(&self) -> Result<Records> {
        self.content.records().map_err(|error| Error::corrupt(&self.key, error))
    }
}
