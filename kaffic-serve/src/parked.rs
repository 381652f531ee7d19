//! Readers between two fetches of one client: whoever pages through a partition goes on where the
//! page before ended, without looking for the place again.

use crate::reader::{Reader, Source};
use crate::runtime::now;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Each may hold a mebibyte that it fetched ahead, and the batch at hand.
const MOST: usize = 64;
const IDLE: Duration = Duration::from_secs(20);

/// Readers that wait for their client, the one that waits longest first.
#[derive(Debug, Default)]
pub(crate) struct Parked {
    readers: Mutex<VecDeque<(Instant, Reader)>>,
}

impl Parked {
    /// The reader that goes on at `offset`, if there is one.
    pub(crate) fn take(&self, source: &Source, offset: i64) -> Option<Reader> {
        let mut readers = self.lock();
        let at = readers.iter().position(|(_, reader)| reader.goes_on(source, offset))?;
        readers.remove(at).map(|(_, reader)| reader)
    }

    /// Keeps a reader, if there is more for it to read.
    pub(crate) fn put(&self, reader: Reader) {
        if reader.is_reading() {
            let mut readers = self.lock();
            if readers.len() == MOST {
                readers.pop_front();
            }
            readers.push_back((now(), reader));
        }
    }

    /// Lets those go that have waited for too long.
    pub(crate) fn sweep(&self) {
        self.lock().retain(|(since, _)| since.elapsed() < IDLE);
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(Instant, Reader)>> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
