//! What an examination of a store found, and what follows from it for a stated load.

use std::time::Duration;

/// How one check came out.
///
/// ```
/// assert_ne!(kaffic_core::CheckResult::Passed, kaffic_core::CheckResult::Failed);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckResult {
    /// The store does what kaffic rests on.
    Passed,
    /// It does not, or would not let us see.
    Failed,
}

/// One check of a store. See [`crate::Kaffic::examine`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Check {
    /// What was tried.
    pub name: &'static str,
    /// How it came out.
    pub result: CheckResult,
    /// What was seen, or what is wrong and what to do.
    pub detail: String,
}

/// What an examination found. See [`crate::Kaffic::examine`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DoctorReport {
    /// The checks in the order in which they were made.
    pub checks: Vec<Check>,
    /// How far the storage's clock is ahead of this machine's, in seconds; negative is behind.
    pub clock_off_seconds: i64,
    /// Median time of a put of 4 KiB.
    pub put_small: Duration,
    /// Median time of a put of 1 MiB.
    pub put_large: Duration,
    /// Median time of a get of 4 KiB.
    pub get_small: Duration,
    /// Median time of a get of 1 MiB.
    pub get_large: Duration,
}

/// A load to reckon with.
///
/// ```
/// use kaffic_core::Load;
/// let linger = std::time::Duration::from_millis(100);
/// let load = Load { bytes_per_second: 1 << 20, partitions: 1, consumers: 1, linger };
/// # let _ = load;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Bytes of records a second, over all partitions.
    pub bytes_per_second: u64,
    /// Partitions that are written to all the time.
    pub partitions: u32,
    /// Consumers that follow each partition.
    pub consumers: u32,
    /// How long producers let a batch wait for more.
    pub linger: Duration,
}

const SECONDS_A_MONTH: f64 = 30.0 * 24.0 * 3600.0;
const BATCH_BYTES: f64 = (1 << 20) as f64;

impl DoctorReport {
    /// Whether kaffic can be used on the store.
    pub fn is_usable(&self) -> bool {
        !self.checks.is_empty()
            && self.checks.iter().all(|check| check.result == CheckResult::Passed)
    }

    /// Bytes a second that one partition can take: batches of 1 MiB, one put after the other.
    pub fn partition_bytes_per_second(&self) -> f64 {
        BATCH_BYTES / self.put_large.as_secs_f64().max(1e-6)
    }

    /// Puts and gets a month for a load. A partition puts as often as a put takes or the linger
    /// says, or as often as batches are full, whichever is more; every put is got once by every consumer, and a waiting
    /// consumer asks a few times more (counted double).
    pub fn requests_a_month(&self, load: Load) -> (f64, f64) {
        let per_partition = load.bytes_per_second as f64 / f64::from(load.partitions.max(1));
        let most = 1.0 / self.put_small.max(load.linger).as_secs_f64().max(1e-6);
        let full = per_partition / BATCH_BYTES;
        // Records of a KiB: no more puts than records.
        let rate = (per_partition / 1024.0).min(most).max(full);
        let puts = rate * f64::from(load.partitions.max(1)) * SECONDS_A_MONTH;
        (puts, puts * 2.0 * f64::from(load.consumers))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_is_reckoned_in_requests() {
        let report = DoctorReport {
            put_small: Duration::from_millis(20),
            put_large: Duration::from_millis(50),
            ..DoctorReport::default()
        };
        assert_eq!(report.partition_bytes_per_second(), 20.0 * BATCH_BYTES);
        let linger = Duration::ZERO;
        let load = Load { bytes_per_second: 1 << 20, partitions: 1, consumers: 2, linger };
        let (puts, gets) = report.requests_a_month(load);
        assert_eq!((puts, gets), (50.0 * SECONDS_A_MONTH, 200.0 * SECONDS_A_MONTH));
        // A record a second is a put a second.
        let (puts, _) = report.requests_a_month(Load { bytes_per_second: 1024, ..load });
        assert_eq!(puts, SECONDS_A_MONTH);
        let (puts, _) = report.requests_a_month(Load { linger: Duration::from_secs(1), ..load });
        assert_eq!(puts, SECONDS_A_MONTH);
        assert!(!report.is_usable(), "nothing was checked");
    }
}
