//! Sharing one log with other writers. A writer that wins all the time would starve those that
//! lose: so after a win it waits one put time for each other writer that it saw of late.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

/// How many of the last slots are remembered.
const WINDOW: usize = 16;
/// For how many others a writer waits at most.
const MOST_OTHERS: usize = 8;

/// Who wrote the last slots, and how long this writer waits for them.
#[derive(Debug, Default)]
pub(super) struct Fairness {
    writers: VecDeque<i64>,
    others: u32,
    put_time: Duration,
    not_before: Duration,
}

impl Fairness {
    /// A slot of a writer was met.
    pub(super) fn saw(&mut self, writer: i64) {
        if self.writers.len() == WINDOW {
            self.writers.pop_front();
        }
        self.writers.push_back(writer);
    }

    /// A put of ours took this long.
    pub(super) fn put_took(&mut self, time: Duration) {
        self.put_time = if self.put_time.is_zero() { time } else { (self.put_time * 7 + time) / 8 };
    }

    /// A slot was won: others come first now.
    pub(super) fn won(&mut self, own: i64, now: Duration) {
        self.saw(own);
        let others: BTreeSet<i64> = self.writers.iter().copied().filter(|id| *id != own).collect();
        self.others = others.len().min(MOST_OTHERS) as u32;
        self.not_before = now + self.put_time * self.others;
    }

    /// The others that come first: about as many slots have they put when their time is over.
    pub(super) fn others(&self) -> u32 {
        self.others
    }

    /// How long to wait before the next put.
    pub(super) fn wait(&self, now: Duration) -> Option<Duration> {
        self.not_before.checked_sub(now).filter(|wait| !wait.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_lone_writer_never_waits() {
        let mut fairness = Fairness::default();
        for _ in 0..100 {
            fairness.put_took(40 * MS);
            fairness.won(7, Duration::ZERO);
            assert_eq!(fairness.wait(Duration::ZERO), None);
        }
    }

    #[test]
    fn a_winner_waits_for_each_other_once_and_for_eight_at_most() {
        let mut fairness = Fairness::default();
        fairness.put_took(40 * MS);
        for writer in [1, 2, 2, 3, 1] {
            fairness.saw(writer);
        }
        fairness.won(7, Duration::ZERO);
        assert_eq!(fairness.wait(Duration::ZERO), Some(120 * MS));
        assert_eq!(fairness.wait(100 * MS), Some(20 * MS));
        assert_eq!(fairness.wait(120 * MS), None);
        (10..22).for_each(|writer| fairness.saw(writer));
        fairness.won(7, Duration::ZERO);
        assert_eq!(fairness.wait(Duration::ZERO), Some(320 * MS));
    }

    #[test]
    fn writers_that_have_gone_are_forgotten() {
        let mut fairness = Fairness::default();
        fairness.put_took(40 * MS);
        fairness.saw(1);
        (0..WINDOW).for_each(|_| fairness.won(7, Duration::ZERO));
        assert_eq!(fairness.wait(Duration::ZERO), None);
    }
}
