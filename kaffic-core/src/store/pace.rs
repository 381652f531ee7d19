//! How long to wait before a request is tried again: longer after every try, and much longer
//! while the storage says that it is asked too often. What one task is told counts for all of a
//! client's, since it is the sum of their requests that is too much.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

const FIRST: Duration = Duration::from_millis(20);
const LONGEST: Duration = Duration::from_secs(2);
const FIRST_THROTTLED: Duration = Duration::from_millis(250);
const LONGEST_THROTTLED: Duration = Duration::from_secs(10);
/// More complaints than this change nothing.
const MOST_PRESSURE: u32 = 6;

/// What the storage said lately of the rate of requests.
#[derive(Debug, Default)]
pub(super) struct Pace(AtomicU32);

impl Pace {
    /// A request was refused because there are too many.
    pub(super) fn throttled(&self) {
        self.change(|pressure| (pressure < MOST_PRESSURE).then_some(pressure + 1));
    }

    /// A request was answered.
    pub(super) fn answered(&self) {
        if self.0.load(Ordering::Relaxed) > 0 {
            self.change(|pressure| pressure.checked_sub(1));
        }
    }

    fn change(&self, change: impl FnMut(u32) -> Option<u32>) {
        // Nothing to change is as good.
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, change);
    }

    /// The wait after `tries` tries, with jitter so that many don't come back together.
    pub(super) fn wait(&self, tries: u32, random: u64) -> Duration {
        let usual = FIRST.saturating_mul(1 << tries.min(10)).min(LONGEST);
        let wait = match self.0.load(Ordering::Relaxed) {
            0 => usual,
            pressure => {
                let steps = tries.saturating_sub(1).max(pressure - 1).min(10);
                FIRST_THROTTLED.saturating_mul(1 << steps).min(LONGEST_THROTTLED).max(usual)
            }
        };
        wait * (50 + (random % 50) as u32) / 100
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn throttling_makes_waits_longer_until_answers_come() {
        let pace = Pace::default();
        assert_eq!(pace.wait(1, 0), Duration::from_millis(20));
        assert_eq!(pace.wait(30, 49), LONGEST * 99 / 100);
        pace.throttled();
        assert_eq!(pace.wait(1, 0), FIRST_THROTTLED / 2);
        for _ in 0..20 {
            pace.throttled();
        }
        assert_eq!(pace.wait(1, 0), FIRST_THROTTLED * 32 / 2);
        assert_eq!(pace.wait(30, 0), LONGEST_THROTTLED / 2);
        for _ in 0..MOST_PRESSURE {
            pace.answered();
        }
        pace.answered();
        assert_eq!(pace.wait(1, 0), Duration::from_millis(20));
    }
}
