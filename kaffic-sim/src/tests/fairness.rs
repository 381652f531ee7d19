//! Nobody starves, and sharing costs little.

use crate::fairness;

#[test]
fn ten_writers_share_a_partition_evenly() {
    for seed in 0..5 {
        let (alone, ten) = (fairness(seed, 1), fairness(seed, 10));
        let share = ten.total() as f64 / alone.total() as f64;
        println!(
            "seed {seed}: alone {}, ten {:?}, {share:.2}, {:.3}",
            alone.total(),
            ten.batches,
            ten.jain()
        );
        assert!(ten.jain() >= 0.9, "seed {seed}: {:?} of Jain's index {}", ten.batches, ten.jain());
        assert!(share >= 0.7, "seed {seed}: {} of {} that one gets", ten.total(), alone.total());
    }
}
