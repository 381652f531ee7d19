//! A journal: a log each of whose records is a whole state, so that only the newest matters. A
//! group's membership is one, and its offsets in each partition are another. It is written to on
//! condition: whoever was not first reads what the others wrote and decides anew.

use crate::batch::{BatchBuilder, Compression};
use crate::chain::{from_json, to_json};
use crate::error::{Error, ErrorKind, Result};
use crate::log::append::{self, Appender};
use crate::log::budget::Budget;
use crate::log::read::{Event, LogReader, Place};
use crate::log::seek::tail_place;
use crate::log::tail::Tail;
use crate::log::{Deletion, Log};
use crate::record::Record;
use crate::slot::Slot;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::time::Duration;

/// How long one append may take before its outcome is given up as unknown.
const PATIENCE: Duration = Duration::from_secs(60);
/// Larger states are compressed.
const WORTH_COMPRESSING: usize = 1024;
/// The bytes that reading takes at most ahead.
const READ_AHEAD: usize = 4 << 20;

/// A state and its position in the journal.
#[derive(Debug, Clone)]
pub(super) struct Entry<T> {
    pub(super) position: i64,
    pub(super) state: T,
}

/// One journal.
#[derive(Debug)]
pub(super) struct Journal<T> {
    log: Arc<Log>,
    appender: Appender,
    reader: Option<LogReader>,
    /// Where the newest state was found, for a reader to begin there.
    found: Option<(Tail, Place)>,
    /// What was read by a refresh that was dropped before its end.
    read: Option<Entry<T>>,
    /// The block that was last written to: those before it are of no use to anybody.
    wrote_in: Option<u64>,
}

/// What an append came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Appended {
    /// The state is at this position.
    At(i64),
    /// Another's was put there first: read it.
    Lost,
}

impl<T: Serialize + DeserializeOwned> Journal<T> {
    pub(super) fn new(log: Arc<Log>) -> Self {
        let appender = Appender::new(Arc::clone(&log), None);
        Self { log, appender, reader: None, found: None, read: None, wrote_in: None }
    }

    /// The newest state, searched for; `None` where nothing was ever written.
    pub(super) async fn newest(&mut self) -> Result<Option<Entry<T>>> {
        let tail = self.log.find_tail().await?;
        if let Some(tail) = &tail {
            self.appender.begin_at(tail);
        }
        (self.reader, self.read) = (None, None);
        self.found = newest_place(&self.log, tail).await?;
        let Some((_, place)) = self.found.as_ref() else { return Ok(None) };
        let key = self.log.id.slot(place.block, place.slot);
        if let Some(object) = self.log.get_slot(place.block, &key).await? {
            let slot = Slot::decode(&object.bytes).map_err(|error| error.at(&key))?;
            if let Some(batch) = slot.batch {
                let records = batch.records().map_err(|error| Error::corrupt(&key, error))?;
                return last_state(&key, records).map(Some);
            }
        }
        Err(Error::corrupt(&key, "the newest state should be there, and is not"))
    }

    /// Goes to the newest state and reads everything from there on as it comes; gives what is new.
    /// Dropping the future loses nothing.
    pub(super) async fn refresh(&mut self) -> Result<Option<Entry<T>>> {
        if self.reader.is_none() {
            let found = match self.found.take() {
                Some(found) => Some(found),
                None => {
                    let tail = self.log.find_tail().await?;
                    if let Some(tail) = &tail {
                        self.appender.begin_at(tail);
                    }
                    newest_place(&self.log, tail).await?
                }
            };
            let (tail, place) = match found {
                Some((tail, place)) => (Some(tail), place),
                None => (None, tail_place(None)),
            };
            let budget = Budget::new(READ_AHEAD);
            self.reader = Some(LogReader::new(Arc::clone(&self.log), budget, place, tail.as_ref()));
        }
        while let Some(reader) = &mut self.reader {
            match reader.next().await? {
                Event::Batch(batch) => self.read = Some(last_state(&batch.key, batch.records()?)?),
                // States that nobody needs any more.
                Event::Lost => {}
                Event::CaughtUp => break,
            }
        }
        Ok(self.read.take())
    }

    /// Appends a state right after position `after` (`None`: as the first).
    ///
    /// Dropping the future leaves the journal usable; the state may then be there or appear later.
    pub(super) async fn append(&mut self, after: Option<i64>, state: &T) -> Result<Appended> {
        let bytes = to_json(state)?;
        let compression = match bytes.len() {
            0..WORTH_COMPRESSING => Compression::None,
            _ => Compression::Zstd,
        };
        let mut builder = BatchBuilder::new(bytes.len() + 64);
        builder.push(&Record::value(bytes), self.log.env.now_ms());
        let batch = builder.finish(compression)?;
        let expected = after.map_or(0, |after| after + 1);
        let deadline = self.log.env.monotonic() + PATIENCE;
        match self.appender.append(&batch, None, Some(expected), deadline).await {
            Ok(append::Appended::At(position)) => {
                self.remove_old();
                Ok(Appended::At(position))
            }
            Ok(append::Appended::Repeated) => {
                Err(Error::internal("a state without a sequence was taken for a repeated one"))
            }
            Err(error) if error.kind() == ErrorKind::ConditionFailed => Ok(Appended::Lost),
            Err(error) => Err(error),
        }
    }

    /// Has the blocks before the present one removed, when that is a new one. They stay as long as
    /// any log's do: until no late put can bring a slot back.
    fn remove_old(&mut self) {
        let Some((block, opened)) = self.appender.block() else { return };
        if self.wrote_in.replace(block).is_none_or(|before| before == block) || block == 0 {
            return;
        }
        let log = Arc::clone(&self.log);
        self.log.env.spawn(Box::pin(async move {
            let mut deletion = Deletion::default();
            if let Err(error) = log.remove_blocks(block, opened, &mut deletion).await {
                tracing::debug!(log = %log.id, %error, "old states stay for now");
            }
        }));
    }
}

/// Where the newest state is, and the tail that says so.
async fn newest_place(log: &Log, tail: Option<Tail>) -> Result<Option<(Tail, Place)>> {
    let Some(tail) = tail else { return Ok(None) };
    let Some(last) = tail.next_offset.checked_sub(1).filter(|last| *last >= 0) else {
        return Ok(None);
    };
    let place = match &tail.newest {
        Some(header) if header.record_count > 0 => {
            Place { block: tail.open.block, slot: tail.next_slot - 1, offset: last }
        }
        _ => log.find_offset(last, Some(&tail)).await?.place,
    };
    Ok(Some((tail, place)))
}

fn last_state<T: DeserializeOwned>(
    key: &str,
    mut records: crate::batch::Records,
) -> Result<Entry<T>> {
    let mut last = None;
    while let Some(record) = records.next() {
        let (memory, record) = record.map_err(|error| Error::corrupt(key, error))?;
        last = Some((record.offset, record.value.map(|value| memory.slice_ref(value))));
    }
    let (position, value) = last.ok_or_else(|| Error::corrupt(key, "it has no record"))?;
    Ok(Entry { position, state: from_json(key, &value.unwrap_or_default())? })
}
