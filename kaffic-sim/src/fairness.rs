//! How writers that always have something to write share one log, when nothing goes wrong.

use crate::config::{Config, Setting};
use crate::executor::Executor;
use crate::faults::Latency;
use crate::process::{Process, Program};
use crate::scenario::{TOPIC, create_topic};
use crate::trace::Event;
use crate::world::{Role, World};
use futures_util::future::join_all;
use kaffic_core::Producer;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// Puts take 40 ms and gets 15 ms, a little more or less, there and back.
const LATENCY: Latency = Latency { put: (16, 24), other: (6, 9), tail: 0.0 };
/// Batches that a writer has ready at any time, the one under way included.
const READY: usize = 3;

/// What each writer got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shares {
    /// Batches acknowledged, by writer.
    pub batches: Vec<u64>,
    /// The first thing that did not hold.
    pub violation: Option<String>,
}

impl Shares {
    /// All batches.
    pub fn total(&self) -> u64 {
        self.batches.iter().sum()
    }

    /// Jain's index: 1 when all got the same, 1/n when one got all.
    pub fn jain(&self) -> f64 {
        let squares: u64 = self.batches.iter().map(|batches| batches * batches).sum();
        let total = self.total() as f64;
        total * total / (self.batches.len() as f64 * squares.max(1) as f64)
    }
}

impl fmt::Display for Shares {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (writers, total) = (self.batches.len(), self.total());
        write!(f, "{writers} writers: {total} batches, fairness {:.3}, ", self.jain())?;
        write!(f, "each {:?}", self.batches)
    }
}

/// Lets writers write to one partition for a while, in the world's time.
pub fn share(seed: u64, writers: u32, seconds: u32) -> Shares {
    let setting = Setting { writers, ..Setting::calm(LATENCY) };
    let rng = ChaCha8Rng::seed_from_u64(seed);
    let world = World::with_setting(rng, setting, &Config::default());
    let mut executor = Executor::new(world.clone());
    create_topic(&mut executor);
    let counts = Arc::new(Mutex::new(vec![0; writers as usize]));
    let until = {
        let mut state = world.lock();
        for number in 0..writers {
            state.launch_in(0, Role::Steady, busy_writer(number, &counts));
        }
        state.now + i64::from(seconds) * 1000
    };
    executor.run_until(until, |_| false);
    let state = world.lock();
    let violation =
        state.oracle.violation().map(|(invariant, what)| format!("{invariant}: {what}"));
    let batches = counts.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Shares { batches, violation }
}

/// A writer that always has batches ready, and counts those that are acknowledged.
fn busy_writer(number: u32, counts: &Arc<Mutex<Vec<u64>>>) -> Program {
    let counts = Arc::clone(counts);
    Program::new("busy writer", move |process: Process| {
        let counts = Arc::clone(&counts);
        async move {
            let writer = process.world().oracle.new_writer(0);
            let Ok(client) = process.connect().await else { return };
            let Ok(producer) = client.producer(TOPIC).build().await else { return };
            let loops = (0..READY).map(|_| write(&process, &producer, writer, number, &counts));
            join_all(loops).await;
        }
    })
}

async fn write(
    process: &Process,
    producer: &Producer,
    writer: u32,
    number: u32,
    counts: &Mutex<Vec<u64>>,
) {
    loop {
        let rec = {
            let mut world = process.world();
            let now = world.now;
            world.oracle.sending(now, writer, 1, true)[0]
        };
        match producer.append(0, vec![rec.record()], None).await {
            Ok(ack) => {
                let (seq, offset) = (rec.seq, ack.offset);
                let mut world = process.world();
                world.log(&Event::Ack { writer, seq, offset });
                world.oracle.acked(rec, offset);
                counts.lock().unwrap_or_else(PoisonError::into_inner)[number as usize] += 1;
            }
            Err(error) => return crate::scenario::strange(process, "writing", &error),
        }
    }
}
