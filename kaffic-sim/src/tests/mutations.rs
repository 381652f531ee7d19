//! Every rule of the protocol matters: without it the oracle finds something, in a run in which it
//! finds nothing when the rule is kept.

use crate::{Config, run};
use kaffic_core::env::Rule;

/// Seeds within which a missing rule has to be noticed.
const WITHIN: u64 = 5_000;

/// Each rule, and what can't hold without it.
const RULES: &[(Rule, &[&str])] = &[
    (Rule::LateSlotsAreVoid, &["INV-1", "INV-2", "INV-3", "INV-5"]),
    (Rule::AmbiguousPutsAreRead, &["INV-2", "INV-3", "INV-7"]),
    (Rule::SlowPutsAreChecked, &["INV-1", "INV-8"]),
    (Rule::LeaseComesFromOpen, &["INV-1", "INV-2", "INV-3", "INV-5", "INV-8"]),
    (Rule::VerdictsComeFromStamps, &["INV-1", "INV-2", "INV-3", "INV-5", "INV-8"]),
    (Rule::ReaderLooksTwice, &["INV-5"]),
    (Rule::ReaderMovesOn, &["INV-6"]),
];

#[test]
fn every_rule_that_is_left_out_is_noticed() {
    assert_eq!(RULES.len(), crate::RULES.len());
    for (rule, invariants) in RULES {
        let without = Config::without(*rule);
        let kept = Config { without: None, ..without.clone() };
        let noticed = (0..WITHIN).find_map(|seed| {
            let violation = run(seed, &without).violation?;
            let expected =
                invariants.iter().any(|name| violation.invariant.starts_with(&format!("{name} ")));
            (expected && run(seed, &kept).violation.is_none()).then_some(violation)
        });
        let violation = noticed.unwrap_or_else(|| panic!("nothing was noticed without {rule:?}"));
        println!("without {rule:?}: seed {}: {}", violation.seed, violation.invariant);
    }
}
