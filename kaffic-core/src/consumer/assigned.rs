//! One partition of a consumer: where it is, where it ends, and the task that fetches for it.

use super::config::{Config, ResetPolicy, Start, Until};
use super::fetch::{Message, fetch};
use crate::error::{Error, ErrorKind, Result};
use crate::log::Log;
use crate::log::budget::Budget;
use crate::log::read::{LogReader, Moment, Place};
use crate::log::seek::tail_place;
use crate::log::tail::Tail;
use futures_util::future::{AbortHandle, Abortable};
use std::sync::Arc;
use tokio::sync::mpsc;

/// A partition that is read.
#[derive(Debug)]
pub(super) struct Assigned {
    pub(super) log: Arc<Log>,
    /// Where the next record to be delivered is.
    pub(super) place: Place,
    /// The end, not delivered; `None` where there is none.
    pub(super) until: Option<i64>,
    /// Where the log ended when the start was found.
    tail: Option<Tail>,
    /// When that was asked, if the start is that end.
    at_tail: Option<Moment>,
    pub(super) paused: bool,
    pub(super) done: bool,
    /// Messages of an earlier fetch are not for this one.
    pub(super) generation: u64,
    task: Option<AbortHandle>,
}

impl Drop for Assigned {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Assigned {
    /// Finds a partition's start and end.
    pub(super) async fn find(log: Arc<Log>, config: &Config) -> Result<Self> {
        let asked_at = Moment::now(&*log.env);
        let tail = log.find_tail().await?;
        let place = start_place(&log, tail.as_ref(), config.start, config.reset).await?;
        let at_tail = (config.start == Start::Latest).then_some(asked_at);
        let end = tail_place(tail.as_ref()).offset;
        let until = match config.until {
            Until::Forever => None,
            Until::Latest => Some(end),
            Until::Offset(offset) => Some(offset),
            Until::Timestamp(ms) => Some(log.find_time(ms, tail.as_ref()).await?.offset),
        };
        let done = until.is_some_and(|until| place.offset >= until);
        let mut assigned = Self::at(log, place);
        (assigned.until, assigned.done) = (until, done);
        (assigned.tail, assigned.at_tail) = (tail, at_tail);
        Ok(assigned)
    }

    /// Begins at a place that is known, with no end.
    pub(super) fn at(log: Arc<Log>, place: Place) -> Self {
        Self {
            log,
            place,
            until: None,
            tail: None,
            at_tail: None,
            paused: false,
            done: false,
            generation: 0,
            task: None,
        }
    }

    /// Goes elsewhere.
    pub(super) async fn seek(&mut self, to: Start, reset: ResetPolicy) -> Result<()> {
        let asked_at = Moment::now(&*self.log.env);
        let tail = self.log.find_tail().await?;
        let place = start_place(&self.log, tail.as_ref(), to, reset).await?;
        self.stop();
        self.at_tail = (to == Start::Latest).then_some(asked_at);
        self.place = place;
        self.tail = tail;
        self.done = self.until.is_some_and(|until| place.offset >= until);
        Ok(())
    }

    /// Starts fetching, unless that is under way or not wanted.
    pub(super) fn ensure_fetching(
        &mut self,
        index: usize,
        config: &Config,
        budget: &Budget,
        messages: &mpsc::Sender<Message>,
    ) {
        if self.task.is_some() || self.paused || self.done {
            return;
        }
        let (log, tail) = (Arc::clone(&self.log), self.tail.take());
        let end = self.until.map(|until| super::fetch::End {
            offset: until,
            // Where the log ended at the start: an end up to there needs no more records.
            place: Some(tail_place(tail.as_ref())).filter(|place| until <= place.offset),
        });
        let mut reader =
            LogReader::new(Arc::clone(&log), budget.clone(), self.place, tail.as_ref());
        self.tail = tail;
        if let Some(asked_at) = self.at_tail.take() {
            reader.begin_at_tail(asked_at);
        }
        let (handle, registration) = AbortHandle::new_pair();
        let work = fetch(
            log.clone(),
            reader,
            config.clone(),
            end,
            index,
            self.generation,
            messages.clone(),
        );
        log.env.spawn(Box::pin(async move {
            Abortable::new(work, registration).await.ok();
        }));
        self.task = Some(handle);
    }

    /// Ends the fetch and disowns what it sent.
    pub(super) fn stop(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
        self.generation += 1;
    }
}

/// Where a start is, or the reset policy's answer where it is not there.
pub(super) async fn start_place(
    log: &Log,
    tail: Option<&Tail>,
    start: Start,
    reset: ResetPolicy,
) -> Result<Place> {
    let end = tail_place(tail);
    let (sought, wanted) = match start {
        Start::Earliest => return log.earliest(tail).await,
        Start::Latest => return Ok(end),
        Start::Timestamp(ms) => return log.find_time(ms, tail).await,
        Start::Last(count) => {
            let back = i64::try_from(count).unwrap_or(i64::MAX);
            let wanted = end.offset.saturating_sub(back).max(0);
            return Ok(log.find_offset(wanted, tail).await?.place);
        }
        Start::Offset(offset) if offset > end.offset && !log.may_have_reached(tail, offset) => {
            (None, offset)
        }
        Start::Offset(offset) if offset > end.offset => return Ok(Place { offset, ..end }),
        Start::Offset(offset) => (Some(log.find_offset(offset, tail).await?), offset),
    };
    match (sought, reset) {
        (Some(sought), _) if !sought.lost => Ok(sought.place),
        (Some(sought), ResetPolicy::Earliest) => Ok(sought.place),
        (None, ResetPolicy::Earliest) => log.earliest(tail).await,
        (_, ResetPolicy::Latest) => Ok(end),
        (Some(sought), ResetPolicy::Error) => Err(out_of_range(log, wanted, sought.place, end)),
        (None, ResetPolicy::Error) => {
            Err(out_of_range(log, wanted, log.earliest(tail).await?, end))
        }
    }
}

/// The error that says what remains, from `next` on.
pub(super) fn out_of_range(log: &Log, wanted: i64, next: Place, end: Place) -> Error {
    let (next, end) = (next.offset, end.offset);
    Error::new(
        ErrorKind::OffsetOutOfRange,
        format!("{}: offset {wanted} is not there; from {next} to {end} there are some", log.id),
    )
    .with_range(next, end)
}
