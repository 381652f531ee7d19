//! Many runs, in several threads: every run has a world of its own, so they share nothing but the
//! next seed's number.

use crate::config::Config;
use crate::faults::{Fault, FaultCounts};
use crate::run::{Outcome, Violation, run};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The sum of many runs.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Runs.
    pub runs: u64,
    /// Runs in which something did not hold.
    pub failed: u64,
    /// Steps of the scheduler.
    pub steps: u64,
    /// Storage requests.
    pub requests: u64,
    /// Records acknowledged.
    pub acks: u64,
    /// Records delivered.
    pub deliveries: u64,
    /// Records reported as not written.
    pub not_written: u64,
    /// Records whose outcome was reported as unknown.
    pub unknown: u64,
    /// Time that passed in the worlds, in milliseconds.
    pub world_ms: i64,
    /// Blocks compacted, by calls that said so.
    pub compacted: u64,
    /// Objects that these calls removed.
    pub swept: u64,
    /// Faults by kind.
    pub faults: FaultCounts,
    /// How many runs broke each invariant.
    pub broken: BTreeMap<String, u64>,
    /// What did not hold, by seed.
    pub violations: Vec<Violation>,
}

const MOST_VIOLATIONS: usize = 20;

impl Report {
    fn add(&mut self, outcome: Outcome) {
        self.runs += 1;
        self.steps += outcome.steps;
        self.requests += outcome.requests;
        self.acks += outcome.acks;
        self.deliveries += outcome.deliveries;
        self.not_written += outcome.not_written;
        self.unknown += outcome.unknown;
        self.world_ms += outcome.world_ms;
        self.compacted += outcome.compacted;
        self.swept += outcome.swept;
        self.faults.merge(&outcome.faults);
        self.failed += u64::from(outcome.violation.is_some());
        if let Some(violation) = outcome.violation {
            *self.broken.entry(violation.invariant.clone()).or_default() += 1;
            self.violations.push(violation);
        }
    }

    fn merge(&mut self, other: Self) {
        self.runs += other.runs;
        self.failed += other.failed;
        self.steps += other.steps;
        self.requests += other.requests;
        self.acks += other.acks;
        self.deliveries += other.deliveries;
        self.not_written += other.not_written;
        self.unknown += other.unknown;
        self.world_ms += other.world_ms;
        self.compacted += other.compacted;
        self.swept += other.swept;
        self.faults.merge(&other.faults);
        for (invariant, runs) in other.broken {
            *self.broken.entry(invariant).or_default() += runs;
        }
        self.violations.extend(other.violations);
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} schedules, {} steps, {} h",
            self.runs,
            self.steps,
            self.world_ms / 3_600_000
        )?;
        writeln!(
            f,
            "{} storage requests, {} acknowledged, {} not written, {} unknown, {} delivered",
            self.requests, self.acks, self.not_written, self.unknown, self.deliveries
        )?;
        writeln!(f, "{} blocks compacted, {} objects swept", self.compacted, self.swept)?;
        for fault in Fault::ALL {
            writeln!(f, "{:>10}  {}", self.faults.of(*fault), fault.text())?;
        }
        for (invariant, runs) in &self.broken {
            writeln!(f, "{runs:>10}  runs in which {invariant} did not hold")?;
        }
        for violation in self.violations.iter().take(MOST_VIOLATIONS) {
            writeln!(f, "{violation}")?;
        }
        Ok(())
    }
}

/// Runs seeds in `threads` threads. Stops early after the first violation if `stop` says so.
pub fn run_many(seeds: &[u64], config: &Config, threads: usize, stop: bool) -> Report {
    let mut sum = Report::default();
    let one = |seed| {
        let mut report = Report::default();
        report.add(run(seed, config));
        report
    };
    for report in in_threads(seeds, threads, stop, one, |report| report.failed > 0) {
        sum.merge(report);
    }
    sum.violations.sort_by_key(|violation| violation.seed);
    sum
}

/// Does something for each seed in `threads` threads, until one has failed if `stop` says so.
pub(crate) fn in_threads<T: Send>(
    seeds: &[u64],
    threads: usize,
    stop: bool,
    run: impl Fn(u64) -> T + Sync,
    has_failed: impl Fn(&T) -> bool + Sync,
) -> Vec<T> {
    let next = AtomicU64::new(0);
    let failed = AtomicBool::new(false);
    let work = || {
        let mut done = Vec::new();
        while !(stop && failed.load(Ordering::Relaxed)) {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(seed) = seeds.get(number as usize) else { break };
            let ran = run(*seed);
            failed.fetch_or(has_failed(&ran), Ordering::Relaxed);
            done.push(ran);
        }
        done
    };
    let mut all = Vec::new();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(work)).collect();
        for thread in threads {
            match thread.join() {
                Ok(done) => all.extend(done),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
    });
    all
}
