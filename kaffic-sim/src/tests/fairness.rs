//! Writers that always have something to write get about the same, and together not much less
//! than one alone.

use crate::share;

const WRITERS: u32 = 10;
const SECONDS: u32 = 20;

#[test]
fn ten_busy_writers_share_a_partition_evenly() {
    for seed in 0..5 {
        let all = share(seed, WRITERS, SECONDS);
        assert_eq!(all.violation, None);
        assert!(all.jain() >= 0.9, "seed {seed}: {all}");
    }
}

#[test]
fn ten_busy_writers_together_lose_little() {
    for seed in 0..5 {
        let (alone, all) = (share(seed, 1, SECONDS), share(seed, WRITERS, SECONDS));
        assert!(all.total() * 10 >= alone.total() * 7, "seed {seed}: {alone}; {all}");
    }
}
