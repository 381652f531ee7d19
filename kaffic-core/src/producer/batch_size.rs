//! The size at which a batch is full: as small as throughput allows, since large batches keep their
//! records waiting.
//!
//! A put costs a round trip and the time that its bytes take. Where the round trip is most of it,
//! twice the bytes take hardly longer, and where it is little of it they take twice as long. So the
//! size is doubled on trial, and stays doubled if that carried clearly more bytes a second.

use std::time::Duration;

/// The full batches after which the rate at a size is known.
const ROUND: u32 = 4;
/// The full batches between a trial that came to nothing and the next.
const REST: u32 = 64;
/// How much more a doubled size must carry to be kept.
const WORTHWHILE: f64 = 1.15;

/// The size of batches, and what is known of its use.
#[derive(Debug)]
pub(super) struct BatchSize {
    bytes: usize,
    most: usize,
    /// On trial: the rate at half the size, in bytes a second.
    before: Option<f64>,
    /// Full batches to pass until the next trial.
    rest: u32,
    round: Round,
}

/// The full batches of the present size so far.
#[derive(Debug, Default)]
struct Round {
    batches: u32,
    bytes: usize,
    time: Duration,
}

impl BatchSize {
    /// Batches of `least` bytes, that may grow to `most`.
    pub(super) fn new(least: usize, most: usize) -> Self {
        Self { bytes: least, most, before: None, rest: 0, round: Round::default() }
    }

    /// The size at which a batch is full.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// A full batch was written, and how long that took.
    pub(super) fn written(&mut self, bytes: usize, took: Duration) {
        if bytes < self.bytes {
            // It was begun when batches were smaller.
            return;
        }
        self.rest = self.rest.saturating_sub(1);
        self.round.batches += 1;
        self.round.bytes += bytes;
        self.round.time += took;
        if self.round.batches < ROUND {
            return;
        }
        let round = std::mem::take(&mut self.round);
        let rate = round.bytes as f64 / round.time.as_secs_f64().max(1e-9);
        match self.before.take() {
            Some(before) if rate < before * WORTHWHILE => {
                (self.bytes, self.rest) = (self.bytes / 2, REST);
            }
            _ if self.rest == 0 && self.bytes * 2 <= self.most => {
                (self.before, self.bytes) = (Some(rate), self.bytes * 2);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    /// The sizes of 1000 batches where a put takes a round trip and the time of its bytes.
    fn sizes(round_trip_ms: f64, mib_per_s: f64) -> Vec<usize> {
        let mut size = BatchSize::new(MIB, 8 * MIB);
        let put = |bytes: usize| round_trip_ms / 1e3 + bytes as f64 / (mib_per_s * MIB as f64);
        (0..1000)
            .map(|_| {
                let bytes = size.bytes();
                size.written(bytes + 100, Duration::from_secs_f64(put(bytes)));
                bytes
            })
            .collect()
    }

    #[test]
    fn far_away_batches_grow_at_once() {
        let sizes = sizes(30.0, 150.0);
        assert_eq!(sizes[0], MIB);
        assert!(sizes[12..].iter().all(|size| *size == 8 * MIB), "{:?}", &sizes[..20]);
    }

    #[test]
    fn near_by_they_stay_small_but_for_a_trial_now_and_then() {
        let sizes = sizes(0.5, 150.0);
        let small = sizes.iter().filter(|size| **size == MIB).count();
        assert!((900..1000).contains(&small), "{small}");
        assert!(sizes.iter().all(|size| *size <= 2 * MIB));
    }

    #[test]
    fn what_was_begun_smaller_does_not_count() {
        let mut size = BatchSize::new(MIB, 2 * MIB);
        (0..4).for_each(|_| size.written(MIB, Duration::from_secs(1)));
        assert_eq!(size.bytes(), 2 * MIB);
        (0..100).for_each(|_| size.written(MIB, Duration::from_secs(9)));
        assert_eq!(size.bytes(), 2 * MIB);
        (0..4).for_each(|_| size.written(2 * MIB, Duration::from_secs(2)));
        assert_eq!(size.bytes(), MIB);
    }
}
