//! The bytes that records of one producer may take between their entering the buffer and their
//! acknowledgement, over all partitions.

use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Semaphore;

/// What is left of them, and whether anybody waits for more.
#[derive(Debug)]
pub(super) struct Room {
    bytes: Semaphore,
    waiting: AtomicUsize,
}

/// Counts one who waits, also where that is given up.
struct Waits<'a>(&'a AtomicUsize);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Room {
    pub(super) fn new(bytes: usize) -> Self {
        Self { bytes: Semaphore::new(bytes), waiting: AtomicUsize::new(0) }
    }

    /// Takes room if there is enough, and nobody came before.
    pub(super) fn try_take(&self, bytes: u32) -> bool {
        self.bytes.try_acquire_many(bytes).map(|permit| permit.forget()).is_ok()
    }

    /// Waits for room, in the order of the calls. `begin` is called once it waits.
    pub(super) async fn take(&self, bytes: u32, begin: impl FnOnce()) {
        self.waiting.fetch_add(1, Ordering::AcqRel);
        let _waits = Waits(&self.waiting);
        begin();
        // Nobody closes the semaphore.
        if let Ok(permit) = self.bytes.acquire_many(bytes).await {
            permit.forget();
        }
    }

    pub(super) fn give_back(&self, bytes: usize) {
        self.bytes.add_permits(bytes);
    }

    /// Whether somebody waits for room: nothing that takes some should linger.
    pub(super) fn is_wanted(&self) -> bool {
        self.waiting.load(Ordering::Acquire) > 0
    }
}
