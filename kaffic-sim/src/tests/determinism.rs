//! A seed is a run: the same events in the same order, whenever and wherever it is run.

use crate::faults::Fault;
use crate::{Config, run, run_many};

#[test]
fn a_seed_run_again_is_the_same_step_by_step() {
    let config = Config { trace: true, ..Config::default() };
    for seed in 0..30 {
        let (one, two) = (run(seed, &config), run(seed, &config));
        let differs = one.trace.iter().zip(&two.trace).position(|(one, two)| one != two);
        if let Some(at) = differs {
            panic!("seed {seed} differs at {at}:\n{}\n{}", one.trace[at], two.trace[at]);
        }
        assert_eq!(one.trace.len(), two.trace.len(), "seed {seed}");
        assert_eq!((one.trace_hash, one.steps), (two.trace_hash, two.steps), "seed {seed}");
    }
}

#[test]
fn the_trace_is_the_same_in_another_thread_and_without_lines() {
    let lines = Config { trace: true, ..Config::default() };
    let here: Vec<u64> = (0..20).map(|seed| run(seed, &lines).trace_hash).collect();
    let there = std::thread::scope(|scope| {
        let config = Config::default();
        let thread = scope
            .spawn(move || (0..20).map(|seed| run(seed, &config).trace_hash).collect::<Vec<_>>());
        thread.join().unwrap()
    });
    assert_eq!(here, there);
    assert_ne!(here[0], here[1]);
}

#[test]
fn every_kind_of_fault_happens() {
    let seeds: Vec<u64> = (0..300).collect();
    let report = run_many(&seeds, &Config::default(), 2, false);
    for fault in Fault::ALL {
        assert!(report.faults.of(*fault) > 0, "never: {}", fault.text());
    }
    assert!(report.acks > 1000 && report.not_written > 100 && report.unknown > 10, "{report}");
}
