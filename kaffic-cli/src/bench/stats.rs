//! Latencies, request counts and memory, as they are reported.

use hdrhistogram::Histogram;
use kaffic_core::RequestCounts;
use serde::Serialize;
use std::time::Duration;

/// Latencies beyond this are counted as this.
const LONGEST: Duration = Duration::from_secs(3600);

/// Gathers latencies.
#[derive(Debug, Clone)]
pub(super) struct Latencies(Option<Histogram<u64>>);

impl Latencies {
    pub(super) fn new() -> Self {
        Self(Histogram::new_with_max(LONGEST.as_nanos() as u64, 3).ok())
    }

    pub(super) fn record(&mut self, latency: Duration) {
        if let Some(histogram) = &mut self.0 {
            histogram.saturating_record(latency.as_nanos() as u64);
        }
    }

    pub(super) fn add(&mut self, other: &Self) {
        if let (Some(histogram), Some(other)) = (&mut self.0, &other.0) {
            // Both have the same bounds, so it can't fail.
            let _ = histogram.add(other);
        }
    }

    /// The percentiles; zeros where nothing was recorded.
    pub(super) fn percentiles(&self) -> Percentiles {
        let Some(histogram) = &self.0 else { return Percentiles::default() };
        let at = |quantile| ms(histogram.value_at_quantile(quantile));
        Percentiles {
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p99_9: at(0.999),
            max: ms(histogram.max()),
        }
    }
}

fn ms(nanos: u64) -> f64 {
    (nanos as f64 / 1e3).round() / 1e3
}

/// Milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(super) struct Percentiles {
    pub(super) p50: f64,
    pub(super) p90: f64,
    pub(super) p99: f64,
    pub(super) p99_9: f64,
    pub(super) max: f64,
}

/// Storage requests of a phase.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct Requests {
    pub(super) puts: u64,
    pub(super) gets: u64,
    pub(super) lists: u64,
    pub(super) deletes: u64,
    pub(super) put_bytes: u64,
    pub(super) get_bytes: u64,
}

impl Requests {
    /// What was requested between two counts.
    pub(super) fn between(before: RequestCounts, after: RequestCounts) -> Self {
        Self {
            puts: after.puts - before.puts,
            gets: after.gets - before.gets,
            lists: after.lists - before.lists,
            deletes: after.deletes - before.deletes,
            put_bytes: after.put_bytes - before.put_bytes,
            get_bytes: after.get_bytes - before.get_bytes,
        }
    }
}

/// The one in the middle by some measure.
pub(super) fn median<T>(mut found: Vec<T>, by: impl Fn(&T) -> f64) -> Option<T> {
    found.sort_by(|a, b| by(a).total_cmp(&by(b)));
    let middle = found.len() / 2;
    found.into_iter().nth(middle)
}

/// Jain's index of fairness: 1 where all shares are the same, 1/n where one has everything.
pub(super) fn jain(shares: &[u64]) -> f64 {
    let sum: f64 = shares.iter().map(|&share| share as f64).sum();
    let squares: f64 = shares.iter().map(|&share| (share as f64).powi(2)).sum();
    if squares == 0.0 { 0.0 } else { sum * sum / (shares.len() as f64 * squares) }
}

/// The most memory this process has had, where the system says it.
pub(super) fn peak_memory_bytes() -> Option<u64> {
    parse_peak(&std::fs::read_to_string("/proc/self/status").ok()?)
}

fn parse_peak(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

/// A share of a whole, or of another rate; none where there is nothing to compare with.
pub(super) fn ratio(ours: f64, theirs: f64) -> Option<f64> {
    (theirs > 0.0).then(|| (ours / theirs * 1000.0).round() / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_milliseconds() {
        let mut latencies = Latencies::new();
        assert_eq!(latencies.percentiles(), Percentiles::default());
        for ms in 1..=1000 {
            latencies.record(Duration::from_millis(ms));
        }
        let mut more = Latencies::new();
        more.record(Duration::from_secs(10));
        latencies.add(&more);
        let found = latencies.percentiles();
        let near = |found: f64, expected: f64| (found / expected - 1.0).abs() < 0.002;
        assert!(near(found.p50, 501.0), "{found:?}");
        assert!(near(found.p99, 991.0), "{found:?}");
        assert!(near(found.max, 10_000.0), "{found:?}");
    }

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(vec![5, 1, 9], |x| f64::from(*x)), Some(5));
        assert_eq!(median(Vec::<i32>::new(), |x| f64::from(*x)), None);
    }

    #[test]
    fn jains_index() {
        assert_eq!(jain(&[5, 5, 5, 5]), 1.0);
        assert_eq!(jain(&[8, 0, 0, 0]), 0.25);
        assert_eq!(jain(&[0, 0]), 0.0);
    }

    #[test]
    fn peak_memory_is_found_in_the_status() {
        assert_eq!(parse_peak("Name:\tx\nVmHWM:\t    1234 kB\nVmRSS: 1 kB\n"), Some(1234 << 10));
        assert_eq!(parse_peak("Name:\tx\n"), None);
    }
}
