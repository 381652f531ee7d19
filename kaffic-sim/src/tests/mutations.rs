//! Every rule of the protocol matters: without it the oracle finds something.

use crate::{Config, RULES, run};

/// Seeds within which a missing rule has to be noticed.
const WITHIN: u64 = 2_000;

#[test]
fn every_rule_that_is_left_out_is_noticed() {
    for rule in RULES {
        let config = Config::without(*rule);
        let noticed = (0..WITHIN).find_map(|seed| run(seed, &config).violation);
        assert!(noticed.is_some(), "nothing was noticed without {rule:?}");
    }
}
