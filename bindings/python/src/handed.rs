//! What a consumer has handed to the program, as far as that is not certain to be done with: the records
//! of the last poll, and those of a poll whose caller had stopped waiting when it ended.

use kaffic_bindings::Status;
use kaffic_bindings::failure::Result;
use kaffic_bindings::reader::Reader;
use kaffic_core::{ConsumerRecord, Start};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[derive(Default)]
struct State {
    /// The first record of each partition that the last poll handed out.
    last: Vec<(Arc<str>, u32, i64)>,
    /// Records that nobody took.
    back: VecDeque<ConsumerRecord>,
}

/// Shared by a consumer and its polls.
#[derive(Default)]
pub(crate) struct Handed(Mutex<State>);

/// Partitions, and where to go back to in them.
pub(crate) type Places = BTreeMap<(Arc<str>, u32), i64>;

impl Handed {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// These go to the program.
    pub(crate) fn out(&self, records: &[ConsumerRecord]) {
        let last = &mut self.state().last;
        last.clear();
        for record in records {
            let same =
                |at: &&(Arc<str>, u32, i64)| at.1 == record.partition && at.0 == record.topic;
            if last.iter().rev().find(same).is_none() {
                last.push((Arc::clone(&record.topic), record.partition, record.offset));
            }
        }
    }

    /// The program will not take these after all; the next poll has them.
    pub(crate) fn give_back(&self, records: Vec<ConsumerRecord>) {
        self.state().back.extend(records);
    }

    /// Up to `max` of those that were given back.
    pub(crate) fn again(&self, max: usize) -> Vec<ConsumerRecord> {
        let back = &mut self.state().back;
        let count = max.min(back.len());
        back.drain(..count).collect()
    }

    /// What was handed out last is done with.
    pub(crate) fn done(&self) {
        self.state().last.clear();
    }

    /// Where to go back to for what was given back, and, with `last`, for what was handed out last.
    pub(crate) fn places(&self, last: bool) -> Places {
        let mut state = self.state();
        let mut places = Places::new();
        let back = std::mem::take(&mut state.back);
        let back = back.into_iter().map(|record| (record.topic, record.partition, record.offset));
        let out = if last { std::mem::take(&mut state.last) } else { Vec::new() };
        for (topic, partition, offset) in out.into_iter().chain(back) {
            let place = places.entry((topic, partition)).or_insert(offset);
            *place = offset.min(*place);
        }
        places
    }
}

/// Goes back to these places, in the partitions that the consumer still has.
pub(crate) async fn rewind(reader: &Reader, places: Places) -> Result<()> {
    for ((topic, partition), offset) in places {
        match reader.seek(&topic, partition, Start::Offset(offset)).await {
            Err(failure) if failure.status != Status::InvalidArgument => return Err(failure),
            _ => {}
        }
    }
    Ok(())
}
