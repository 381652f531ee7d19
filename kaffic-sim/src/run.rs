//! One run: a seed's world from its beginning to its end.

use crate::config::Config;
use crate::executor::Executor;
use crate::faults::FaultCounts;
use crate::scenario;
use crate::world::World;
use kaffic_core::env::Rule;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What did not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The seed of the run.
    pub seed: u64,
    /// The invariant: its number and name.
    pub invariant: String,
    /// What happened.
    pub what: String,
    /// The rule that was left out.
    pub without: Option<Rule>,
    /// The rule that was made to matter more.
    pub bias: Option<Rule>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed {}: {}: {}", self.seed, self.invariant, self.what)?;
        write!(f, "\n  again: cargo run --profile sim -p kaffic-sim -- --seed {}", self.seed)?;
        match (self.without, self.bias) {
            (Some(rule), _) => write!(f, " --without {rule:?}")?,
            (None, Some(rule)) => write!(f, " --bias {rule:?}")?,
            (None, None) => {}
        }
        write!(f, " --trace")
    }
}

/// What a run came to.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// The same for two runs exactly when all that happened is the same.
    pub trace_hash: u64,
    /// Events in the trace.
    pub events: u64,
    /// The trace's lines, if they were asked for.
    pub trace: Vec<String>,
    /// Steps of the scheduler.
    pub steps: u64,
    /// The world's time at the end, in milliseconds since its beginning.
    pub world_ms: i64,
    /// Storage requests.
    pub requests: u64,
    /// Records acknowledged.
    pub acks: u64,
    /// Records delivered, to all readers.
    pub deliveries: u64,
    /// Records reported as not written.
    pub not_written: u64,
    /// Records whose outcome was reported as unknown.
    pub unknown: u64,
    /// Blocks compacted, by calls that said so.
    pub compacted: u64,
    /// Objects that these calls removed.
    pub swept: u64,
    /// Faults by kind.
    pub faults: FaultCounts,
    /// The first thing that did not hold.
    pub violation: Option<Violation>,
}

/// Runs a seed.
pub fn run(seed: u64, config: &Config) -> Outcome {
    let world = World::new(seed, config);
    let mut executor = Executor::new(world.clone());
    let ran = catch_unwind(AssertUnwindSafe(|| scenario::run(&mut executor)));
    let panicked = ran.err().map(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        ("INV-10 NoStrangeError".to_owned(), format!("panic: {}", text.unwrap_or_default()))
    });
    let mut state = world.lock();
    let judged = state.oracle.violation();
    let judged = judged.map(|(invariant, what)| (invariant.to_string(), what.clone()));
    let violation = panicked.or(judged);
    let Config { without, bias, .. } = *config;
    Outcome {
        trace_hash: state.trace.hash(),
        events: state.trace.events,
        trace: state.trace.lines.take().unwrap_or_default(),
        steps: executor.steps,
        world_ms: state.elapsed(),
        requests: state.ops.len() as u64,
        acks: state.oracle.acks,
        deliveries: state.oracle.deliveries,
        not_written: state.oracle.not_written,
        unknown: state.oracle.unknown,
        compacted: state.compacted,
        swept: state.swept,
        faults: state.counts,
        violation: violation.map(|(invariant, what)| Violation {
            seed,
            invariant,
            what,
            without,
            bias,
        }),
    }
}
