//! Groups hold together whatever happens, and what is to be seen of that was seen.

use crate::{Config, Fault, group};
use kaffic_core::env::Rule;

/// Those that failed once, with the story as it was then. In 1015 a heartbeat that took too long lost what had been read
/// of the group's log; in 299 a member that could not join anew at once took itself for another; in 472 a commit came
/// after a later one, of which nobody knew whether it was written.
const FAILED: [u64; 3] = [1015, 299, 472];

#[test]
fn groups_hold_together() {
    let (mut fenced, mut claims, mut pauses) = (0, 0, 0);
    for seed in (0..40).chain(FAILED) {
        let run = group(seed, &Config::default());
        assert_eq!(run.violation, None, "{run}");
        fenced += run.fenced;
        claims += run.claims;
        pauses += run.faults.of(Fault::Pause) + run.faults.of(Fault::Crash);
    }
    assert!(fenced > 0 && claims > 400 && pauses > 40, "{fenced} {claims} {pauses}");
}

#[test]
fn every_rule_of_groups_is_needed() {
    for rule in [Rule::CommitsMeetClaims, Rule::ClaimsMindGenerations] {
        let config = Config { without: Some(rule), ..Config::default() };
        let found = (0..400).find_map(|seed| group(seed, &config).violation);
        assert!(
            found.as_ref().is_some_and(|found| found.contains("after another")),
            "{rule:?}: {found:?}"
        );
    }
}
