//! A program's callbacks, called from within the core while a consumer polls or closes: on the thread
//! that called, which takes Ruby's lock for it.

use crate::convert;
use crate::wait::{Frame, locked};
use kaffic_core::{OffsetCommit, PartitionPosition, RebalanceListener};
use magnus::prelude::*;
use magnus::{RHash, Ruby, Value};

/// Tells the consumer that waits, by its method `rebalanced` (lib/kaffic/consumer.rb), which keeps
/// what a callback raises.
pub(crate) struct Callbacks;

fn tell(what: &'static str, partitions: &[PartitionPosition]) -> Vec<OffsetCommit> {
    let call = |ruby: &Ruby, consumer: Value| {
        let said = convert::positions(ruby, partitions).and_then(|partitions| {
            consumer.funcall("rebalanced", (ruby.to_symbol(what), partitions))
        });
        let Ok(said): Result<Value, _> = said else { return Vec::new() };
        RHash::from_value(said)
            .and_then(|offsets| match convert::commits(offsets) {
                Ok(commits) => Some(commits),
                Err(error) => {
                    let error = error.value().unwrap_or_else(|| ruby.qnil().as_value());
                    consumer.funcall::<_, _, Value>("rebalance_failed", (error,)).ok();
                    None
                }
            })
            .unwrap_or_default()
    };
    Frame::current(|frame| frame.and_then(|frame| locked(frame, call))).unwrap_or_default()
}

impl RebalanceListener for Callbacks {
    fn assigned(&self, partitions: &[PartitionPosition]) {
        tell("assigned", partitions);
    }

    fn revoked(&self, partitions: &[PartitionPosition]) -> Vec<OffsetCommit> {
        tell("revoked", partitions)
    }

    fn lost(&self, partitions: &[PartitionPosition]) {
        tell("lost", partitions);
    }
}
