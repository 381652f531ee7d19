//! Who writes: the id by which a writer knows its own batches again.
//!
//! A process that forks has two writers with one memory. So the id is drawn anew whenever the
//! process id is not the one that it was drawn in.

use crate::env::Env;
use crate::names::Claim;

/// A writer's id, epoch and next sequence number in one partition.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    process: u32,
    pub(crate) producer_id: i64,
    pub(crate) epoch: u32,
    sequence: i64,
}

impl Identity {
    pub(crate) fn new(env: &dyn Env) -> Self {
        Self {
            process: env.process_id(),
            // Kafka's ids are not negative.
            producer_id: (env.random() >> 1) as i64,
            epoch: 0,
            sequence: 0,
        }
    }

    /// The id and epoch of a name.
    pub(crate) fn named(env: &dyn Env, claim: &Claim) -> Self {
        let (producer_id, epoch) = (claim.producer_id, claim.epoch);
        Self { process: env.process_id(), producer_id, epoch, sequence: 0 }
    }

    /// Whether this process is the one that the id was drawn in.
    pub(crate) fn is_mine(&self, env: &dyn Env) -> bool {
        self.process == env.process_id()
    }

    /// Takes sequence numbers for the records of a batch. They belong to it for ever, also when
    /// it is given up.
    pub(crate) fn take_sequence(&mut self, records: u32) -> i64 {
        let first = self.sequence;
        self.sequence += i64::from(records);
        first
    }
}
