//! Reads one partition from an offset on: what is there by a consumer that ends at the tail, and
//! what comes then from the partition's [`Tail`](crate::tail::Tail), which all readers share.

use crate::app::App;
use crate::problem::Result;
use crate::runtime::now;
use kaffic_core::{Consumer, ConsumerRecord, Error, ResetPolicy, Start, Until};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// What a reader fetches ahead, in bytes.
const AHEAD: usize = 1 << 20;
/// Records that are taken from a consumer at once.
const SOME: usize = 256;
/// The longest wait for the store within one read of what is there.
const PATIENCE: Duration = Duration::from_secs(60);

/// Which partition is read, and what becomes of offsets that have expired.
#[derive(Debug, Clone)]
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
}

impl Reader {
    /// A reader that begins at `start`.
    pub(crate) async fn open(app: &App, source: Source, start: Start) -> Result<Self> {
        let there = consumer(app, &source, start).await?;
        let next = there.positions().first().map_or(0, |position| position.offset);
        Ok(Self { source, next, there: Some(there), taken: VecDeque::new() })
    }

    /// The offset of the next record that is given.
    pub(crate) fn next_offset(&self) -> i64 {
        self.next
    }

    /// What is there: up to `most`, nothing if nothing is.
    pub(crate) async fn read(&mut self, app: &App, most: Most) -> Result<Vec<ConsumerRecord>> {
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
