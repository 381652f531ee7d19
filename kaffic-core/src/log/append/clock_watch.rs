//! Compares this machine's clock with the storage's: acknowledging a put without a second look
//! rests on the two not being far apart.

use super::Appender;
use crate::error::{Error, ErrorKind};
use crate::slot::SlotHeader;
use std::time::Duration;

impl Appender {
    /// Whether the next put should be read back to look at its stamp: at first, and from then on
    /// every K/2.
    pub(super) fn clock_is_due(&self, now: Duration) -> bool {
        self.clock_checked
            .is_none_or(|checked| now.saturating_sub(checked) > self.log.staging_limit() / 2)
    }

    /// Compares the stamp of a put of ours with our clock before and after it. A writer whose
    /// clock is off by more than K/2 stops: its batch is in, and the next is refused.
    pub(super) fn compare_clock(&mut self, header: &SlotHeader, stamp: i64) {
        let env = &self.log.env;
        let allowed = self.log.staging_limit().as_millis() as i64 / 2;
        // The stamp lost its fraction of a second.
        let stamp_ms = stamp * 1000;
        let (before, after) = (header.append_time - allowed - 1000, env.now_ms() + allowed);
        if (before..=after).contains(&stamp_ms) {
            self.clock_checked = Some(env.monotonic());
            return;
        }
        let off = if stamp_ms < before { before - stamp_ms } else { stamp_ms - after } + allowed;
        let error = Error::new(
            ErrorKind::ClockSkew,
            format!(
                "{}: this machine's clock and the storage's differ by about {:?}, more than {:?}; \
                 set the clock (NTP) and start again",
                self.log.id,
                Duration::from_millis(off as u64),
                Duration::from_millis(allowed as u64),
            ),
        );
        tracing::error!(%error, "the producer stops");
        self.stopped = Some(error);
    }
}
