//! A program's callbacks. The core calls them amid its work, and waits for what they say. Where that work
//! is a task of the runtime's, the thread of Ruby's that waits for the task does it.

use crate::convert;
use crate::lock::Frame;
use kaffic_core::{OffsetCommit, PartitionPosition, RebalanceListener};
use magnus::prelude::*;
use magnus::{RHash, Ruby, Value};
use tokio::sync::mpsc;

tokio::task_local! {
    /// Where the task's callbacks are asked for.
    pub(crate) static ASK: mpsc::Sender<Request>;
}

/// A callback to be called.
pub(crate) struct Request {
    what: &'static str,
    partitions: Vec<PartitionPosition>,
    answer: std::sync::mpsc::Sender<Vec<OffsetCommit>>,
}

impl Request {
    /// Calls it. Who asked waits no longer then, also if it comes to nothing.
    pub(crate) fn answer(self, ruby: &Ruby, consumer: Value) {
        let said = Frame::around(consumer, || call(ruby, consumer, self.what, &self.partitions));
        self.answer.send(said.unwrap_or_default()).ok();
    }
}

/// Calls the consumer's method `rebalanced` (lib/kaffic/consumer.rb), which keeps what a callback raises.
fn call(
    ruby: &Ruby,
    consumer: Value,
    what: &'static str,
    partitions: &[PartitionPosition],
) -> Vec<OffsetCommit> {
    let said = convert::positions(ruby, partitions)
        .and_then(|partitions| consumer.funcall("rebalanced", (ruby.to_symbol(what), partitions)));
    let Ok(said): Result<Value, _> = said else { return Vec::new() };
    let commits = RHash::from_value(said).map(convert::commits).transpose();
    commits.map(Option::unwrap_or_default).unwrap_or_else(|error| {
        let error = error.value().unwrap_or_else(|| ruby.qnil().as_value());
        consumer.funcall::<_, _, Value>("rebalance_failed", (error,)).ok();
        Vec::new()
    })
}

fn tell(what: &'static str, partitions: &[PartitionPosition]) -> Vec<OffsetCommit> {
    // The core may work on a thread of Ruby's, with Ruby's lock.
    if let Some(consumer) = Frame::current(|frame| frame.map(|frame| frame.caller)) {
        return Ruby::get()
            .map_or_else(|_| Vec::new(), |ruby| call(&ruby, consumer, what, partitions));
    }
    let Ok(ask) = ASK.try_with(Clone::clone) else { return Vec::new() };
    let (answer, answered) = std::sync::mpsc::channel();
    // If nobody waits for the task any more, nobody answers.
    match ask.try_send(Request { what, partitions: partitions.to_vec(), answer }) {
        Ok(()) => tokio::task::block_in_place(|| answered.recv()).unwrap_or_default(),
        Err(_) => Vec::new(),
    }
}

/// Hears what becomes of a consumer's partitions.
pub(crate) struct Callbacks;

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
