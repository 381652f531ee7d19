//! Every rule of the protocol matters: without it the oracle finds what it is there to prevent,
//! in a run that is in order when the rule is kept.

use crate::oracle::Invariant;
use crate::{Config, RULES, Violation, run};
use kaffic_core::env::Rule;

/// Seeds within which a missing rule has to be noticed.
const WITHIN: u64 = 2_000;

/// What breaks without a rule. Other things may too, and sooner.
fn guarded_by(rule: Rule) -> Invariant {
    match rule {
        // The next block begins before a slot that came late.
        Rule::LateSlotsAreVoid | Rule::VerdictsComeFromStamps => Invariant::OneRecordAnOffset,
        // What was taken as failed is there.
        Rule::AmbiguousPutsAreRead => Invariant::NotWrittenIsNotRead,
        Rule::SlowPutsAreChecked | Rule::LeaseComesFromOpen => Invariant::AcksAreDurable,
        Rule::ReaderLooksTwice => Invariant::NothingSkipped,
        Rule::ReaderMovesOn => Invariant::NobodyStuck,
        Rule::ReaderAsksForTheIndex => Invariant::NothingSkipped,
        Rule::WritersAskForTheIndex => Invariant::OneOffsetARecord,
        // A put that was late is acknowledged at an offset that has another record.
        Rule::SweepsWaitForTheLease => Invariant::OneRecordAnOffset,
        Rule::NamesAskForTheEpoch => Invariant::FencesHold,
        // Not of logs: the tests of groups leave them out.
        Rule::CommitsMeetClaims | Rule::ClaimsMindGenerations => unreachable!("{rule:?}"),
        Rule::LosersReadTheIndex => Invariant::NothingDropped,
    }
}

/// The first run in which this invariant does not hold without the rule.
fn noticed(rule: Rule, invariant: Invariant) -> Option<Violation> {
    let (config, invariant) = (Config::without(rule), invariant.to_string());
    let mut violations = (0..WITHIN).filter_map(|seed| run(seed, &config).violation);
    violations.find(|violation| violation.invariant == invariant)
}

#[test]
fn every_rule_that_is_left_out_is_noticed_and_only_then() {
    for rule in RULES {
        let invariant = guarded_by(*rule);
        let Some(found) = noticed(*rule, invariant) else {
            panic!("{invariant} held for {WITHIN} seeds without {rule:?}");
        };
        println!("without {rule:?}: {found}");
        let kept = Config { bias: Some(*rule), ..Config::default() };
        let violation = run(found.seed, &kept).violation;
        assert_eq!(violation, None, "with {rule:?} kept");
    }
}
