//! How long a batch waits for more records, where the program has not said it.
//!
//! A partition that is alone does not wait: while one put is under way the next batch gathers, so
//! there is one put after the other, however many records there are. Many partitions side by side
//! would make as many times the puts. So each waits as long as the others' puts would take if they
//! went one after the other: together they make about as many puts as one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Records do not wait longer than this for company.
const LONGEST: Duration = Duration::from_millis(250);

/// What the partitions of a producer know of each other: how many of them have something to do.
#[derive(Debug, Clone, Default)]
pub(super) struct Busy(Arc<AtomicU32>);

/// One partition's share in it.
#[derive(Debug)]
pub(super) struct Linger {
    fixed: Option<Duration>,
    all: Busy,
    busy: bool,
    /// How long the last put took.
    put: Duration,
}

impl Linger {
    /// As the program said, or by what the partitions have to do.
    pub(super) fn new(fixed: Option<Duration>, all: Busy) -> Self {
        Self { fixed, all, busy: false, put: Duration::ZERO }
    }

    /// There is something to write, or nothing any more.
    pub(super) fn set_busy(&mut self, busy: bool) {
        if busy != self.busy {
            self.busy = busy;
            match busy {
                true => self.all.0.fetch_add(1, Ordering::Relaxed),
                false => self.all.0.fetch_sub(1, Ordering::Relaxed),
            };
        }
    }

    /// A batch was written.
    pub(super) fn written(&mut self, took: Duration) {
        self.put = took;
    }

    /// How long a batch waits now.
    pub(super) fn time(&self) -> Duration {
        self.fixed.unwrap_or_else(|| {
            let others = self.all.0.load(Ordering::Relaxed).saturating_sub(self.busy.into());
            (self.put * others).min(LONGEST)
        })
    }
}

impl Drop for Linger {
    fn drop(&mut self) {
        self.set_busy(false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn it_grows_with_the_partitions_that_have_something_to_do() {
        let all = Busy::default();
        let mut lingers: Vec<Linger> = (0..100).map(|_| Linger::new(None, all.clone())).collect();
        for linger in &mut lingers {
            linger.written(10 * MS);
            assert_eq!(linger.time(), Duration::ZERO);
        }
        lingers[0].set_busy(true);
        assert_eq!(lingers[0].time(), Duration::ZERO);
        lingers[1..4].iter_mut().for_each(|linger| linger.set_busy(true));
        lingers[3].set_busy(true);
        assert_eq!(lingers[0].time(), 30 * MS);
        lingers[4..].iter_mut().for_each(|linger| linger.set_busy(true));
        assert_eq!(lingers[0].time(), LONGEST);
        lingers.truncate(1);
        assert_eq!(lingers[0].time(), Duration::ZERO);
    }

    #[test]
    fn what_the_program_says_holds() {
        let all = Busy::default();
        let mut linger = Linger::new(Some(5 * MS), all.clone());
        let mut other = Linger::new(None, all);
        other.set_busy(true);
        linger.written(100 * MS);
        assert_eq!(linger.time(), 5 * MS);
    }
}
