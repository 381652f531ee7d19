//! Compares this machine's clock with the storage's: acknowledging a put without a second look
//! rests on the two not being far apart.

use super::Appender;
use crate::error::{Error, ErrorKind, Result};
use crate::log::Lease;
use std::time::Duration;

/// When the clock was compared last, and with which margin.
#[derive(Debug, Clone, Copy)]
pub(super) struct ClockCheck {
    at: Duration,
    margin_ms: i64,
}

impl Appender {
    /// Whether the next put should be read back to look at its stamp: at first, every K/2 from
    /// then on, and in a block with a smaller K.
    pub(super) fn clock_is_due(&self, lease: &Lease, now: Duration) -> bool {
        let margin_ms = lease.clock_margin_ms();
        let interval = Duration::from_millis(margin_ms as u64 / 2);
        self.clock_checked.is_none_or(|check| {
            check.margin_ms > margin_ms || now.saturating_sub(check.at) > interval
        })
    }

    /// Compares the stamp of an object that this writer put with its clock before and after. A
    /// writer whose clock is off by more than K/2 stops.
    pub(super) fn compare_clock(
        &mut self,
        lease: &Lease,
        put_at_ms: i64,
        stamp: i64,
    ) -> Result<()> {
        let env = &self.log.env;
        let margin_ms = lease.clock_margin_ms();
        let allowed = margin_ms / 2;
        // The stamp lost its fraction of a second.
        let (earliest, latest) = (put_at_ms - allowed - 1000, env.now_ms() + allowed);
        let stamp_ms = stamp.saturating_mul(1000);
        if (earliest..=latest).contains(&stamp_ms) {
            self.clock_checked = Some(ClockCheck { at: env.monotonic(), margin_ms });
            return Ok(());
        }
        let off =
            if stamp_ms < earliest { earliest - stamp_ms } else { stamp_ms - latest } + allowed;
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
        self.stopped = Some(error.clone());
        Err(error)
    }
}
