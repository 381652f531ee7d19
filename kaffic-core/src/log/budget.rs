//! Bounds the bytes that are fetched ahead of what was polled, over all partitions of a consumer.
//!
//! A fetch takes what it expects to need before it begins and corrects that when it knows, so
//! memory stays near the bound whatever the batches' sizes are.

use std::sync::Arc;
use tokio::sync::Semaphore;

/// Bytes to be shared out.
#[derive(Debug)]
pub(crate) struct Budget {
    bytes: Arc<Semaphore>,
    total: u32,
}

/// Bytes held; given back when dropped.
#[derive(Debug)]
pub(crate) struct Held {
    from: Arc<Semaphore>,
    bytes: u32,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.from.add_permits(self.bytes as usize);
    }
}

impl Budget {
    pub(crate) fn new(bytes: usize) -> Self {
        let total = u32::try_from(bytes).unwrap_or(u32::MAX).max(1);
        Self { bytes: Arc::new(Semaphore::new(total as usize)), total }
    }

    /// Waits for `expected` bytes, in the order of asking.
    pub(crate) async fn take(&self, expected: usize) -> Held {
        let bytes = u32::try_from(expected).unwrap_or(u32::MAX).clamp(1, self.total);
        if let Ok(permit) = self.bytes.acquire_many(bytes).await {
            permit.forget();
            return Held { from: Arc::clone(&self.bytes), bytes };
        }
        // Nobody closes the semaphore.
        Held { from: Arc::clone(&self.bytes), bytes: 0 }
    }
}

impl Held {
    /// Makes it what was really needed. More than expected is taken where there is any left, and
    /// overdrawn where not: the bytes are in memory already.
    pub(crate) fn correct(&mut self, needed: usize) {
        let needed = u32::try_from(needed).unwrap_or(u32::MAX);
        if needed < self.bytes {
            self.from.add_permits((self.bytes - needed) as usize);
            self.bytes = needed;
        } else if let Ok(permit) = self.from.try_acquire_many(needed - self.bytes) {
            permit.forget();
            self.bytes = needed;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn bytes_come_back_corrected() {
        let budget = Budget::new(100);
        let mut held = budget.take(60).await;
        held.correct(90);
        assert_eq!(budget.bytes.available_permits(), 10);
        held.correct(30);
        assert_eq!(budget.bytes.available_permits(), 70);
        let whole = budget.take(1000);
        drop(held);
        let whole = whole.await;
        assert_eq!(budget.bytes.available_permits(), 0);
        drop(whole);
        assert_eq!(budget.bytes.available_permits(), 100);
    }
}
