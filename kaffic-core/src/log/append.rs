//! Appends batches to a log: one conditional put of the next slot, and what follows when it was
//! lost, late, or nobody knows.
//!
//! A writer puts slot n only when it knows slot n − 1, so whoever loses reads the winner and knows
//! everything before what it writes. Every way out of an unclear put goes through reading the
//! slot: ours, another's, void, or still absent, and then the same bytes again at the same slot.

use super::aside::{Aside, WORTH_ASIDE};
use super::identity::Identity;
use super::tail::Tail;
use super::{Log, Look, MAX_BATCH_RECORDS};
use crate::batch::{BATCH_HEADER_LEN, EncodedBatch};
use crate::env::{Rule, timeout};
use crate::error::{Error, ErrorKind, Result};
use crate::names::Claim;
use crate::slot::{SlotHeader, SlotKind, base_sequence, reference};
use crate::store::Put;
use bytes::Bytes;
use clock_watch::ClockCheck;
use fairness::Fairness;
use named::Named;
use object_store::PutPayload;
use position::Position;
use std::sync::Arc;
use std::time::Duration;

/// How much longer than its turn a writer looks at what others wrote before it tries its own put.
const TURN_LIMIT: Duration = Duration::from_millis(100);

mod clock_watch;
mod fairness;
mod finish;
mod named;
mod position;

/// Writes to one log. One put at a time, so that order is kept.
#[derive(Debug)]
pub(crate) struct Appender {
    log: Arc<Log>,
    identity: Identity,
    named: Option<Named>,
    position: Option<Position>,
    fairness: Fairness,
    /// When the clock was last compared with the storage's.
    clock_checked: Option<ClockCheck>,
    /// The block in which this writer's newest batch is.
    wrote_in: Option<u64>,
    /// The bytes of the batch under way may have been written, or may be yet.
    in_doubt: bool,
    /// What last kept the batch under way from being written.
    trouble: Option<Error>,
    /// Why nothing is appended any more.
    stopped: Option<Error>,
    /// The topic was deleted, and this is who ends its logs.
    closing: bool,
    /// Batches above this are put aside when they have lost.
    aside_bytes: usize,
}

/// A batch with its place in the log written into it.
#[derive(Debug, Clone)]
struct Stamped {
    header: SlotHeader,
    payload: PutPayload,
}

/// A batch on its way into the log.
struct Attempt<'a> {
    batch: &'a EncodedBatch,
    sequence: i64,
    /// The application's sequences of the first and the last record.
    given: Option<(i64, i64)>,
    expected: Option<i64>,
    /// The tail was looked at since the expected offset did not fit.
    refreshed: bool,
    /// Another was faster at a slot.
    lost: bool,
    /// A put turned out not to count.
    voided: bool,
    /// Where the batch was put aside.
    aside: Option<Aside>,
    /// What was put at the present slot, while it is not known whether it is there.
    sent: Option<Stamped>,
}

impl Attempt<'_> {
    /// The number by which the batch was put aside for a block.
    fn aside_in(&self, block: u64) -> Option<u64> {
        self.aside.filter(|aside| aside.block == block).map(|aside| aside.nonce)
    }
}

/// What a step came to.
enum Step {
    Done(i64),
    /// The first of its sequences was written before.
    Repeated,
    /// The position is another: go on at once.
    Moved,
    /// It is not known yet whether the batch is there: the same again, after a while.
    Undecided,
}

/// What became of a batch that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Appended {
    /// It is in the log, from this offset on.
    At(i64),
    /// The first of its sequences at least was written before, so it was not written now.
    Repeated,
}

/// What reading a slot said about a put there.
enum Resolved {
    Absent,
    Ours {
        stamp: i64,
    },
    Others(SlotHeader),
    /// Ours was there, until the block was compacted and its slots were removed.
    Compacted,
    /// The slot does not count. Whether it is certain that no slot expired unseen.
    Void {
        certain: bool,
    },
}

impl Appender {
    pub(crate) fn new(log: Arc<Log>, claim: Option<Claim>) -> Self {
        let identity = match &claim {
            Some(claim) => Identity::named(&*log.env, claim),
            None => Identity::new(&*log.env),
        };
        Self {
            identity,
            named: claim.map(Named::new),
            fairness: Fairness::default(),
            log,
            position: None,
            clock_checked: None,
            wrote_in: None,
            in_doubt: false,
            trouble: None,
            stopped: None,
            closing: false,
            aside_bytes: WORTH_ASIDE,
        }
    }

    /// The log that this writes to.
    pub(crate) fn log(&self) -> &Arc<Log> {
        &self.log
    }

    /// Begins where a search just found the end, which saves a search.
    pub(crate) fn begin_at(&mut self, tail: &Tail) {
        if tail.end.is_none() {
            self.position = Some(Position::from_tail(tail.clone()));
        }
    }

    /// The block that is written to, and when it was opened, in storage time.
    pub(crate) fn block(&self) -> Option<(u64, i64)> {
        let open = &self.position.as_ref()?.open;
        Some((open.block, open.lease.opened))
    }

    /// Waits for this writer's turn, where others write to the same log, and then steps over what
    /// they wrote meanwhile, but not for long: records may be waiting, and the next append looks
    /// again.
    pub(crate) async fn turn(&mut self) {
        let Some(wait) = self.fairness.wait(self.log.env.monotonic()) else { return };
        self.log.env.sleep(wait).await;
        if self.position.is_none() {
            return;
        }
        let env = Arc::clone(&self.log.env);
        let walk = self.walk_from(self.fairness.others());
        if let Some(Err(error)) = timeout(&*env, wait + TURN_LIMIT, walk).await {
            tracing::debug!(%error, "the next append looks again");
        }
    }

    /// Appends a batch. Until `deadline` (on the monotonic clock). `given` are the application's
    /// sequences of its first and last record.
    ///
    /// An error's outcome says whether the batch may be in the log. Dropping the future leaves the
    /// appender usable; the batch may then be in the log or appear later, once.
    pub(crate) async fn append(
        &mut self,
        batch: &EncodedBatch,
        given: Option<(i64, i64)>,
        expected: Option<i64>,
        deadline: Duration,
    ) -> Result<Appended> {
        self.begin()?;
        let env = Arc::clone(&self.log.env);
        let left = deadline.saturating_sub(env.monotonic());
        if left.is_zero() {
            return Err(self.timed_out());
        }
        let sequence = self.identity.take_sequence(batch.count());
        let mut attempt = Attempt {
            batch,
            sequence,
            given,
            expected,
            refreshed: false,
            lost: false,
            voided: false,
            aside: None,
            sent: None,
        };
        let appended = timeout(&*env, left, self.try_append(&mut attempt)).await;
        let error = match appended {
            Some(Ok(appended)) => return Ok(appended),
            Some(Err(error)) => error,
            None => self.timed_out(),
        };
        // It may have been there, and been read, until it was deleted with its topic.
        let deleted = attempt.voided && error.kind() == ErrorKind::TopicNotFound;
        Err(if self.in_doubt || deleted { error.with_unknown_outcome() } else { error })
    }

    /// Takes steps until the batch is in, or it is certain that it will not be.
    async fn try_append(&mut self, attempt: &mut Attempt<'_>) -> Result<Appended> {
        let mut tries = 0;
        loop {
            match self.step(attempt).await {
                Ok(Step::Done(offset)) => return Ok(Appended::At(offset)),
                Ok(Step::Repeated) => return Ok(Appended::Repeated),
                Ok(Step::Moved) => continue,
                Ok(Step::Undecided) => {}
                Err(error) if error.kind() == ErrorKind::Unavailable => self.trouble = Some(error),
                Err(error) => return Err(error),
            }
            tries += 1;
            self.log.store.back_off(tries).await;
        }
    }

    /// One step: to a slot where the batch can go, or a put there and what it came to.
    async fn step(&mut self, attempt: &mut Attempt<'_>) -> Result<Step> {
        self.check_stopped()?;
        self.find_position().await?;
        if self.known_position()?.ended {
            self.turn_over(true).await?;
            return Ok(Step::Moved);
        }
        if attempt.sent.is_none() {
            if !self.is_prepared(attempt.given.is_some()).await? || !self.is_ready(attempt).await? {
                return Ok(Step::Moved);
            }
            if self.is_repeated(attempt.given.map(|(first, _)| first)) {
                return Ok(Step::Repeated);
            }
            self.put_aside(attempt).await?;
        }
        let again = attempt.sent.take();
        let sent_before = again.is_some();
        let stamped = match again {
            Some(stamped) => stamped,
            None => self.stamp(attempt)?,
        };
        self.in_doubt = true;
        match self.put(&stamped).await {
            Ok(Some(offset)) => return Ok(Step::Done(offset)),
            Ok(None) => attempt.sent = Some(stamped.clone()),
            Err(error) => {
                // The store refused, so nothing of this put is there.
                self.in_doubt = sent_before;
                return Err(error);
            }
        }
        match self.resolve(&stamped.header).await? {
            Resolved::Absent => return Ok(Step::Undecided),
            Resolved::Ours { stamp } => {
                return self.confirm(&stamped.header, stamp).await.map(Step::Done);
            }
            Resolved::Compacted => {
                self.meet(&stamped.header);
                self.position = None;
                return Ok(Step::Done(stamped.header.base_offset));
            }
            Resolved::Others(header) => {
                self.log.store.meter().conflict(&self.log.id.topic);
                self.pass(&header);
                (attempt.sent, self.in_doubt, attempt.lost) = (None, false, true);
                self.walk().await?;
            }
            Resolved::Void { certain: true } => {
                (attempt.sent, self.in_doubt) = (None, false);
                attempt.voided = true;
                self.turn_over(true).await?;
            }
            Resolved::Void { certain: false } => {
                self.turn_over(false).await?;
                return Err(self.late("a put was so late that its fate can't be known"));
            }
        }
        Ok(Step::Moved)
    }

    /// Whether the batch can be put at the present slot. If not, the position has moved.
    async fn is_ready(&mut self, attempt: &mut Attempt<'_>) -> Result<bool> {
        let position = self.known_position()?;
        let (next, lease) = (position.next_offset, self.log.lease(&position.open));
        if !lease.is_writable(self.log.env.now_ms()) {
            self.seal().await?;
            return Ok(false);
        }
        match attempt.expected {
            Some(expected) if expected != next && attempt.refreshed => {
                Err(self.condition_failed(expected, next))
            }
            Some(expected) if expected != next => {
                self.walk().await?;
                attempt.refreshed = true;
                Ok(false)
            }
            _ => Ok(true),
        }
    }

    /// Puts a batch at the present slot. `Some` offset when that alone makes it certain.
    async fn put(&mut self, stamped: &Stamped) -> Result<Option<i64>> {
        let position = self.known_position()?;
        let (slot, lease) = (position.slot, self.log.lease(&position.open));
        let key = self.log.id.slot(position.open.block, slot);
        let env = Arc::clone(&self.log.env);
        let started = env.monotonic();
        let put =
            self.log.store.create(&key, stamped.payload.clone(), lease.staging_limit()).await?;
        if !self.identity.is_mine(&*env) {
            // Parent and child would both take what is there for their own.
            return Err(Error::new(
                ErrorKind::Closed,
                format!("{}: the process forked while a put was under way", self.log.id),
            )
            .with_unknown_outcome());
        }
        match put {
            Put::Created => {
                let now = env.monotonic();
                self.fairness.put_took(now - started);
                let in_time =
                    lease.is_writable(env.now_ms()) || !env.keeps(Rule::SlowPutsAreChecked);
                if in_time && !self.clock_is_due(&lease, now) {
                    return Ok(Some(self.accept(&stamped.header)));
                }
            }
            Put::Exists => {}
            Put::Unclear(error) => {
                if !env.keeps(Rule::AmbiguousPutsAreRead) {
                    return Err(error);
                }
                tracing::debug!(%error, "an unclear put is decided by reading");
            }
        }
        Ok(None)
    }

    /// Reads whose the present slot is.
    async fn resolve(&self, ours: &SlotHeader) -> Result<Resolved> {
        let position = self.known_position()?;
        Ok(match self.log.look(&position.open, position.slot).await? {
            Look::Absent => Resolved::Absent,
            Look::Void { stamp } => self.resolve_void(position, stamp, ours).await?,
            Look::Valid { slot, stamp } if same_batch(&slot, ours) => Resolved::Ours { stamp },
            Look::Valid { slot, .. } => Resolved::Others(slot),
        })
    }

    /// What is at the present slot does not count. Ours may have been there before all the same:
    /// the slots of a compacted block are removed, and then its index says what they were.
    async fn resolve_void(
        &self,
        position: &Position,
        stamp: i64,
        ours: &SlotHeader,
    ) -> Result<Resolved> {
        let certain = position.open.lease.nothing_expired_at(stamp);
        if !self.log.env.keeps(Rule::WritersAskForTheIndex) {
            return Ok(Resolved::Void { certain });
        }
        Ok(match self.log.index(position.open.block).await? {
            None => Resolved::Void { certain },
            Some(index) => match index.headers().get(position.slot as usize) {
                Some(header) if same_batch(header, ours) => Resolved::Compacted,
                _ => Resolved::Void { certain: true },
            },
        })
    }

    /// Our batch was read back and counts. Late in the block's life its end has a say too.
    async fn confirm(&mut self, header: &SlotHeader, stamp: i64) -> Result<i64> {
        let position = self.known_position()?;
        let (block, slot) = (position.open.block, position.slot);
        if !self.log.lease(&position.open).is_writable(self.log.env.now_ms()) {
            let end = self.log.end(block).await?;
            if end.is_some_and(|end| !end.covers(slot)) {
                self.position = None;
                return Err(self.late("the block was ended while a put was under way"));
            }
        }
        let lease = self.known_position()?.open.lease;
        // This batch is in, whatever the clock is; the next is refused if the clock is wrong.
        self.compare_clock(&lease, header.append_time, stamp).ok();
        Ok(self.accept(header))
    }

    /// Counts our own batch as written.
    fn accept(&mut self, header: &SlotHeader) -> i64 {
        self.meet(header);
        if let Some(position) = &mut self.position {
            position.step(header);
            self.wrote_in = Some(position.open.block);
        }
        self.fairness.won(header.producer_id, self.log.env.monotonic());
        header.base_offset
    }

    /// Writes a batch's place into it.
    fn stamp(&self, attempt: &Attempt<'_>) -> Result<Stamped> {
        let (batch, sequence) = (attempt.batch, attempt.sequence);
        let position = self.known_position()?;
        if batch.count() > position.open.max_records.min(MAX_BATCH_RECORDS) {
            return Err(Error::internal(format!("a batch of {} records", batch.count())));
        }
        let last = position.open.lease.is_past_half(self.log.env.now_ms());
        let aside = attempt.aside_in(position.open.block);
        let kind = if aside.is_some() { SlotKind::Reference } else { SlotKind::Data };
        let mut header = self.header(kind, last)?;
        header.record_count = batch.count();
        header.batch_len = batch.len() as u32;
        header.max_timestamp = position.max_timestamp.max(batch.max_timestamp());
        header.sequence = sequence;
        header.app_sequence = attempt.given.map_or(-1, |(_, last)| last);
        let front = self.batch_header(attempt, position.next_offset);
        let mut start = Vec::with_capacity(256);
        start.extend_from_slice(&header.encode(&front));
        let payload = match aside {
            Some(aside) => {
                start.extend_from_slice(&reference(&front, aside));
                PutPayload::from(start)
            }
            None => {
                start.extend_from_slice(&front);
                [Bytes::from(start), batch.body().clone()].into_iter().collect()
            }
        };
        Ok(Stamped { header, payload })
    }

    /// The header of the batch itself, at an offset.
    fn batch_header(&self, attempt: &Attempt<'_>, base_offset: i64) -> [u8; BATCH_HEADER_LEN] {
        let epoch = (self.identity.epoch & 0x7fff) as i16;
        let sequence = base_sequence(attempt.sequence);
        attempt.batch.header(base_offset, self.identity.producer_id, epoch, sequence)
    }

    /// Puts a big batch that has lost aside, once a block.
    async fn put_aside(&self, attempt: &mut Attempt<'_>) -> Result<()> {
        let block = self.known_position()?.open.block;
        let worth = attempt.lost && attempt.batch.len() > self.aside_bytes;
        if worth && attempt.aside_in(block).is_none() {
            let head = self.batch_header(attempt, 0);
            attempt.aside = Some(self.log.put_aside(block, &head, attempt.batch).await?);
        }
        Ok(())
    }

    /// Puts batches above this size aside when they have lost.
    pub(crate) fn aside_bytes(self, bytes: usize) -> Self {
        Self { aside_bytes: bytes, ..self }
    }

    /// The header of a slot of ours at the present position, without a batch.
    fn header(&self, kind: SlotKind, last: bool) -> Result<SlotHeader> {
        let position = self.known_position()?;
        Ok(SlotHeader {
            kind,
            last,
            base_offset: position.next_offset,
            record_count: 0,
            batch_len: 0,
            max_timestamp: position.max_timestamp,
            append_time: self.log.env.now_ms(),
            nonce: self.log.env.random(),
            producer_id: self.identity.producer_id,
            producer_epoch: self.identity.epoch,
            lease_ms: position.open.lease.length_ms as u32,
            sequence: 0,
            app_sequence: -1,
            opened: position.open.lease.opened,
            crc: 0,
        })
    }

    fn late(&self, what: &str) -> Error {
        Error::new(ErrorKind::Timeout, format!("{}: {what}", self.log.id))
    }

    fn timed_out(&mut self) -> Error {
        let id = &self.log.id;
        match self.trouble.take() {
            None => self.late("the batch was not acknowledged within delivery_timeout"),
            Some(cause) => Error::new(
                ErrorKind::Timeout,
                format!("{id}: the batch was not acknowledged within delivery_timeout: {cause}"),
            )
            .with_source(cause),
        }
    }

    fn condition_failed(&self, expected: i64, tail: i64) -> Error {
        Error::new(
            ErrorKind::ConditionFailed,
            format!("{}: offset {expected} was expected to be next, and {tail} is", self.log.id),
        )
        .with_range(0, tail)
    }
}

/// Whether a slot that was read holds just the batch that was put.
fn same_batch(read: &SlotHeader, put: &SlotHeader) -> bool {
    (read.nonce, read.producer_id, read.producer_epoch, read.sequence)
        == (put.nonce, put.producer_id, put.producer_epoch, put.sequence)
}
