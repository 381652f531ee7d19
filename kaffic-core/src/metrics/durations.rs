//! How long things took: counted in fixed ranges, so that it costs little and can be added up over
//! processes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Where the ranges end, in microseconds: from a local disk's tenths of a millisecond to the longest
/// that a request may take. The last range has no end.
const BOUNDS: [u64; 17] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 2_500_000, 5_000_000, 10_000_000, 30_000_000,
];
const RANGES: usize = BOUNDS.len() + 1;

/// How long something took, over all times that it was done.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let client = kaffic_core::Kaffic::connect("memory://").await.unwrap();
/// # client.topics().list().await.unwrap();
/// let durations = client.metrics().storage.list.duration;
/// assert_eq!(durations.count(), 1);
/// assert_eq!(durations.sum(), durations.max());
/// assert!(durations.quantile(0.5) <= durations.quantile(1.0));
/// // As histograms of Prometheus have it: how many took no longer than that.
/// let (bound, count) = durations.buckets().last().unwrap();
/// assert_eq!((bound.as_secs(), count), (30, 1));
/// # });
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Durations {
    ranges: [u64; RANGES],
    sum_micros: u64,
    max_micros: u64,
}

impl Durations {
    /// How often it was done.
    pub fn count(&self) -> u64 {
        self.ranges.iter().sum()
    }

    /// All times together.
    pub fn sum(&self) -> Duration {
        Duration::from_micros(self.sum_micros)
    }

    /// The longest time.
    pub fn max(&self) -> Duration {
        Duration::from_micros(self.max_micros)
    }

    /// The mean; 0 where it was never done.
    pub fn mean(&self) -> Duration {
        Duration::from_micros(self.sum_micros.checked_div(self.count()).unwrap_or(0))
    }

    /// The time within which that part of all was done: 0.99 for 99 of 100. As exact as the ranges
    /// are: within one, times are taken to lie evenly. 0 where it was never done.
    pub fn quantile(&self, part: f64) -> Duration {
        let wanted = part.clamp(0.0, 1.0) * self.count() as f64;
        let (mut before, mut from) = (0, 0);
        for (range, here) in self.ranges.iter().enumerate() {
            let to = BOUNDS.get(range).map_or(self.max_micros, |bound| self.max_micros.min(*bound));
            if *here > 0 && (before + here) as f64 >= wanted {
                let within = (wanted - before as f64) / *here as f64;
                let micros = from as f64 + to.saturating_sub(from) as f64 * within.max(0.0);
                return Duration::from_micros(micros as u64);
            }
            (before, from) = (before + here, to);
        }
        self.max()
    }

    /// Where the ranges end, and how many times were no longer than that. What took longer than the
    /// last is in [`count`](Self::count) alone.
    pub fn buckets(&self) -> impl Iterator<Item = (Duration, u64)> + '_ {
        let mut below = 0;
        BOUNDS.iter().zip(&self.ranges).map(move |(bound, here)| {
            below += here;
            (Duration::from_micros(*bound), below)
        })
    }
}

/// Where times are counted, by many at once.
#[derive(Debug, Default)]
pub(super) struct DurationCounters {
    ranges: [AtomicU64; RANGES],
    sum_micros: AtomicU64,
    max_micros: AtomicU64,
}

impl DurationCounters {
    pub(super) fn add(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let range = BOUNDS.partition_point(|bound| *bound < micros);
        if let Some(counter) = self.ranges.get(range) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        self.sum_micros.fetch_add(micros, Ordering::Relaxed);
        self.max_micros.fetch_max(micros, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> Durations {
        Durations {
            ranges: self.ranges.each_ref().map(|counter| counter.load(Ordering::Relaxed)),
            sum_micros: self.sum_micros.load(Ordering::Relaxed),
            max_micros: self.max_micros.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(micros: &[u64]) -> Durations {
        let counters = DurationCounters::default();
        micros.iter().for_each(|micros| counters.add(Duration::from_micros(*micros)));
        counters.read()
    }

    #[test]
    fn a_bound_is_in_the_range_that_it_ends() {
        let durations = of(&[0, 100, 101, 30_000_000, 30_000_001]);
        let buckets: Vec<u64> = durations.buckets().map(|(_, below)| below).collect();
        assert_eq!((buckets[0], buckets[1], buckets[16]), (2, 3, 4));
        assert_eq!(durations.count(), 5);
        assert_eq!(durations.max(), Duration::from_micros(30_000_001));
    }

    #[test]
    fn quantiles_lie_in_their_ranges() {
        // 90 within 5 to 10 ms, 10 within 50 to 100 ms.
        let times: Vec<u64> = (0..100).map(|n| if n < 90 { 7_000 } else { 80_000 }).collect();
        let durations = of(&times);
        assert_eq!(durations.quantile(0.45), Duration::from_micros(7_500));
        assert_eq!(durations.quantile(0.9), Duration::from_micros(10_000));
        assert_eq!(durations.quantile(1.0), Duration::from_micros(80_000));
        assert!(durations.quantile(0.95) > Duration::from_micros(50_000));
        assert_eq!(durations.mean(), Duration::from_micros(14_300));
    }

    #[test]
    fn where_nothing_was_done_everything_is_zero() {
        let none = of(&[]);
        assert_eq!((none.count(), none.mean(), none.max()), (0, Duration::ZERO, Duration::ZERO));
        assert_eq!(none.quantile(0.99), Duration::ZERO);
        // What took longer than any bound is not lost.
        assert_eq!(of(&[90_000_000]).quantile(0.5), Duration::from_micros(60_000_000));
    }
}
