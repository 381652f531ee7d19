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
        // How far the clock is ahead lies between these; the stamp lost its fraction of a second.
        let stamp_ms = stamp.saturating_mul(1000);
        let (least, most) = (put_at_ms - stamp_ms - 1000, env.now_ms() - stamp_ms);
        if least > allowed || most < -allowed {
            return Err(self.stop_for_clock(if least > 0 { least } else { -most }, allowed));
        }
        // A put that took long says little: the next is looked at too.
        if least >= -allowed - 1000 && most <= allowed + 1000 {
            self.clock_checked = Some(ClockCheck { at: env.monotonic(), margin_ms });
        }
        Ok(())
    }

    fn stop_for_clock(&mut self, off_ms: i64, allowed_ms: i64) -> Error {
        let error = Error::new(
            ErrorKind::ClockSkew,
            format!(
                "{}: this machine's clock and the storage's differ by about {:?}, more than {:?}; \
                 set the clock (NTP) and start again",
                self.log.id,
                Duration::from_millis(off_ms as u64),
                Duration::from_millis(allowed_ms as u64),
            ),
        );
        tracing::error!(%error, "the producer stops");
        self.stopped = Some(error.clone());
        error
    }
}
