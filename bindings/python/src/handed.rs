//! What a consumer has handed out last, for a program that leaves it by an exception: that was not
//! processed.

use kaffic_bindings::Status;
use kaffic_bindings::failure::Result;
use kaffic_bindings::reader::Reader;
use kaffic_core::{ConsumerRecord, Start};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The first record of each partition: its topic, partition and offset.
pub(crate) type Places = Vec<(Arc<str>, u32, i64)>;

#[derive(Default)]
pub(crate) struct Handed(Mutex<Places>);

impl Handed {
    fn places(&self) -> MutexGuard<'_, Places> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// These go to the program, which is done with those before.
    pub(crate) fn out(&self, records: &[ConsumerRecord]) {
        let mut places = self.places();
        places.clear();
        for record in records {
            let same = |at: &(Arc<str>, u32, i64)| {
                at.1 == record.partition
                    && (Arc::ptr_eq(&at.0, &record.topic) || at.0 == record.topic)
            };
            if !places.iter().rev().any(same) {
                places.push((Arc::clone(&record.topic), record.partition, record.offset));
            }
        }
    }

    /// The program is done with all.
    pub(crate) fn done(&self) {
        self.places().clear();
    }

    /// Takes what it is not done with.
    pub(crate) fn take(&self) -> Places {
        std::mem::take(&mut *self.places())
    }
}

/// Goes back to these places, in the partitions that the consumer still has.
pub(crate) async fn rewind(reader: &Reader, places: Places) -> Result<()> {
    for (topic, partition, offset) in places {
        match reader.seek(&topic, partition, Start::Offset(offset)).await {
            Err(failure) if failure.status != Status::InvalidArgument => return Err(failure),
            _ => {}
        }
    }
    Ok(())
}
