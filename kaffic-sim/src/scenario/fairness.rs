//! Writers that always have data share one partition, with nothing going wrong: how evenly, and how
//! much less than one writer alone.

use super::{TOPIC, make_topic};
use crate::config::{Config, Setting, after};
use crate::executor::Executor;
use crate::faults::Latency;
use crate::process::{Process, Program};
use crate::world::{EPOCH_MS, Role, World};
use kaffic_core::{Record, TopicConfig};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// How long the writers write, in the world's time.
const RUN_MS: i64 = 20_000;
/// A batch is one record of this size: as much as fills it.
const BATCH_BYTES: usize = 1 << 10;
/// Batches that each writer has ready at any time.
const READY: usize = 4;

/// What writers that share a partition got.
///
/// ```
/// let alone = kaffic_sim::fairness(1, 1);
/// assert!(alone.total() > 100 && alone.jain() == 1.0);
/// ```
#[derive(Debug, Clone)]
pub struct Fairness {
    /// Acknowledged batches of each writer.
    pub batches: Vec<u64>,
}

impl Fairness {
    /// Acknowledged batches of all writers.
    pub fn total(&self) -> u64 {
        self.batches.iter().sum()
    }

    /// Jain's index: 1 where all got the same, 1/n where one got all.
    pub fn jain(&self) -> f64 {
        let sum = self.total() as f64;
        let squares: f64 = self.batches.iter().map(|n| (*n as f64).powi(2)).sum();
        sum * sum / (self.batches.len() as f64 * squares.max(f64::MIN_POSITIVE))
    }
}

type Counts = Arc<Mutex<Vec<u64>>>;

/// Lets `writers` write for 20 s to one partition of a store whose puts take 40 ms.
pub fn fairness(seed: u64, writers: usize) -> Fairness {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let config = Config::default();
    let setting = Setting {
        put_fault: 0.0,
        read_fault: 0.0,
        pause: 0.0,
        leap: 0.0,
        expiry: 0.0,
        skew_ms: 0,
        jitter_ms: 0,
        wild_clock: 0.0,
        latency: Latency { put: (18, 22), other: (6, 9), tail: 0.0 },
        min_expiry: after(24 * 3_600_000),
        other_min_expiry: 0.0,
        slots: 1000,
        deletion: false,
        ..Setting::draw(&config, &mut rng)
    };
    let topic = TopicConfig::new().min_expiry(setting.min_expiry).slots_per_block(setting.slots);
    let mut executor = Executor::new(World::with_setting(rng, setting, &config));
    let counts: Counts = Arc::new(Mutex::new(vec![0; writers]));
    let creator = Program::new("topic", move |process: Process| {
        let topic = topic.clone();
        async move {
            make_topic(&process, topic).await.ok();
        }
    });
    executor.world.lock().launch_in(0, Role::Writer, creator);
    executor.run_until(EPOCH_MS + 10_000, |state| !state.any(Role::Writer));
    let begin = executor.world.lock().now;
    for number in 0..writers {
        executor.world.lock().launch_in(0, Role::Writer, greedy(number, begin + RUN_MS, &counts));
    }
    executor.run_until(begin + RUN_MS, |_| false);
    let batches = counts.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Fairness { batches }
}

/// A writer that always has the next batches ready.
fn greedy(number: usize, until: i64, counts: &Counts) -> Program {
    let counts = Arc::clone(counts);
    Program::new("greedy writer", move |process: Process| {
        let counts = Arc::clone(&counts);
        async move {
            let Ok(client) = process.connect().await else { return };
            let producer = client.producer(TOPIC).batch_bytes(BATCH_BYTES).build().await;
            let Ok(producer) = producer else { return };
            let mut ready = VecDeque::new();
            while process.world().now < until {
                while ready.len() < READY {
                    match producer.enqueue(Record::value(vec![0; BATCH_BYTES])).await {
                        Ok(ticket) => ready.push_back(ticket),
                        Err(_) => return,
                    }
                }
                let Some(next) = ready.pop_front() else { return };
                if next.await.is_ok() {
                    counts.lock().unwrap_or_else(PoisonError::into_inner)[number] += 1;
                }
            }
        }
    })
}
