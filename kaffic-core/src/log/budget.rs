//! Bounds the bytes that are fetched ahead of what was polled, over all partitions of a consumer.
//!
//! A fetch takes what it expects to need before it begins and corrects that when it knows, so
//! memory stays near the bound whatever the batches' sizes are.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Semaphore;

/// Bytes to be shared out.
#[derive(Debug, Clone)]
pub(crate) struct Budget {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    bytes: Semaphore,
    total: u32,
    /// Bytes that were needed when none were left: what comes back pays for them first.
    debt: AtomicUsize,
}

/// Bytes held; given back when dropped.
#[derive(Debug)]
pub(crate) struct Held {
    from: Arc<Shared>,
    bytes: usize,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.from.give_back(self.bytes);
    }
}

impl Shared {
    fn give_back(&self, bytes: usize) {
        let pay = |debt: usize| Some(debt - debt.min(bytes));
        let debt = self.debt.fetch_update(Ordering::AcqRel, Ordering::Acquire, pay).unwrap_or(0);
        self.bytes.add_permits(bytes - debt.min(bytes));
    }
}

impl Budget {
    pub(crate) fn new(bytes: usize) -> Self {
        let total = u32::try_from(bytes).unwrap_or(u32::MAX).max(1);
        let bytes = Semaphore::new(total as usize);
        Self { shared: Arc::new(Shared { bytes, total, debt: AtomicUsize::new(0) }) }
    }

    /// All the bytes that there are to share out.
    pub(crate) fn total(&self) -> u64 {
        u64::from(self.shared.total)
    }

    /// Waits for `expected` bytes, in the order of asking.
    pub(crate) async fn take(&self, expected: usize) -> Held {
        let wanted = u32::try_from(expected).unwrap_or(u32::MAX).clamp(1, self.shared.total);
        let bytes = match self.shared.bytes.acquire_many(wanted).await {
            Ok(permit) => {
                permit.forget();
                wanted as usize
            }
            // Nobody closes the semaphore.
            Err(_) => 0,
        };
        Held { from: Arc::clone(&self.shared), bytes }
    }
}

impl Held {
    /// Makes it what was really needed. More than expected is taken where there is any left, and
    /// owed where not: the bytes are in memory already.
    pub(crate) fn correct(&mut self, needed: usize) {
        if needed <= self.bytes {
            self.from.give_back(self.bytes - needed);
        } else {
            let more = needed - self.bytes;
            let taken =
                u32::try_from(more).ok().and_then(|n| self.from.bytes.try_acquire_many(n).ok());
            match taken {
                Some(permit) => permit.forget(),
                None => {
                    self.from.debt.fetch_add(more, Ordering::AcqRel);
                }
            }
        }
        self.bytes = needed;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(budget: &Budget) -> usize {
        budget.shared.bytes.available_permits()
    }

    #[tokio::test]
    async fn bytes_come_back_corrected() {
        let budget = Budget::new(100);
        let mut held = budget.take(60).await;
        held.correct(90);
        assert_eq!(left(&budget), 10);
        held.correct(30);
        assert_eq!(left(&budget), 70);
        let whole = budget.take(1000);
        drop(held);
        let whole = whole.await;
        assert_eq!(left(&budget), 0);
        drop(whole);
        assert_eq!(left(&budget), 100);
    }

    #[tokio::test]
    async fn what_was_overdrawn_is_paid_before_more_is_lent() {
        let budget = Budget::new(100);
        let (mut large, small) = (budget.take(50).await, budget.take(50).await);
        large.correct(250);
        drop(small);
        assert_eq!(left(&budget), 0);
        drop(large);
        assert_eq!(left(&budget), 100);
    }
}
