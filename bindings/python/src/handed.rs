//! What a consumer has handed out last, for a program that leaves it by an exception: that was not
//! processed, but for what it committed by hand.

use kaffic_bindings::Status;
use kaffic_bindings::failure::Result;
use kaffic_bindings::reader::Reader;
use kaffic_core::{ConsumerRecord, OffsetCommit, PartitionPosition, Start};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Records of a partition that the program has: from the first that it is not done with, to the last.
#[derive(Clone)]
struct Place {
    topic: Arc<str>,
    partition: u32,
    first: i64,
    last: i64,
}

#[derive(Default)]
pub(crate) struct Handed {
    places: Mutex<Vec<Place>>,
    /// The program has left, and does not come to be done with them.
    left: AtomicBool,
}

impl Handed {
    fn places(&self) -> MutexGuard<'_, Vec<Place>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// These go to the program too.
    pub(crate) fn out(&self, records: &[ConsumerRecord]) {
        let mut places = self.places();
        for record in records {
            let same = |at: &&mut Place| {
                at.partition == record.partition
                    && (Arc::ptr_eq(&at.topic, &record.topic) || at.topic == record.topic)
            };
            match places.iter_mut().rev().find(same) {
                Some(at) => at.last = record.offset,
                None => places.push(Place {
                    topic: Arc::clone(&record.topic),
                    partition: record.partition,
                    first: record.offset,
                    last: record.offset,
                }),
            }
        }
    }

    /// The program is done with all, unless it has left.
    pub(crate) fn done(&self) {
        if !self.left.load(Ordering::Acquire) {
            self.places().clear();
        }
    }

    /// It is done with what lies before these offsets.
    pub(crate) fn done_before(&self, commits: &[OffsetCommit]) {
        let mut places = self.places();
        for commit in commits {
            let at = places
                .iter_mut()
                .find(|at| at.partition == commit.partition && *at.topic == *commit.topic);
            if let Some(at) = at {
                at.first = at.first.max(commit.offset);
            }
        }
        places.retain(|at| at.first <= at.last);
    }

    /// It is done with a partition.
    pub(crate) fn done_with(&self, topic: &str, partition: u32) {
        self.places().retain(|at| at.partition != partition || &*at.topic != topic);
    }

    /// The program leaves: what it is not done with now, it will never be.
    pub(crate) fn leave(&self) {
        self.left.store(true, Ordering::Release);
    }

    /// What the program is not done with begins here.
    pub(crate) fn first(&self) -> Vec<PartitionPosition> {
        let first = |at: &Place| PartitionPosition {
            topic: Arc::clone(&at.topic),
            partition: at.partition,
            offset: at.first,
        };
        self.places().iter().map(first).collect()
    }

    /// Goes back to what the program is not done with, in the partitions that the consumer still has.
    /// What was not gone back to is still known where this ends early.
    pub(crate) async fn rewind(&self, reader: &Reader) -> Result<()> {
        loop {
            let Some(at) = self.places().first().cloned() else { return Ok(()) };
            match reader.seek(&at.topic, at.partition, Start::Offset(at.first)).await {
                // It went to another, or the consumer was closed.
                Err(failure)
                    if !matches!(failure.status, Status::InvalidArgument | Status::Closed) =>
                {
                    return Err(failure);
                }
                _ => self.done_with(&at.topic, at.partition),
            }
        }
    }
}
