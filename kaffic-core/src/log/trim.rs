//! Removes the oldest records, where the storage has no lifecycle rules that do it: block by block
//! from the first, as Kafka does it segment by segment.
//!
//! A block goes if it has ended and is older than its `min_expiry`: that promise is what readers and
//! writers go by, and by then no put that was under way can bring a slot back. Where its slots were
//! the log goes on as after any expiry.

use super::{End, Log, Open};
use crate::error::Result;

/// What may go. A block goes whole, if every record of it is covered by one of the conditions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct TrimPoint {
    /// Records before this offset.
    pub(crate) offset: Option<i64>,
    /// Records with timestamps before this, as all before them.
    pub(crate) before_ms: Option<i64>,
    /// Records before the last so many bytes of the log.
    pub(crate) keep_bytes: Option<u64>,
}

/// What [`crate::Kaffic::trim`] did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TrimReport {
    /// Objects removed now.
    pub removed: u64,
    /// Their bytes.
    pub removed_bytes: u64,
    /// Objects that could go, and are younger than the topic's `min_expiry`.
    pub remaining: u64,
    /// When (Unix milliseconds) trimming again removes all that remains; `None` also for blocks
    /// that were written while `min_expiry` was never.
    pub removable_at_ms: Option<i64>,
}

impl TrimPoint {
    fn covers(&self, end: &End, bytes_behind: u64) -> bool {
        self.offset.is_some_and(|offset| end.next_offset <= offset)
            || self.before_ms.is_some_and(|before| end.max_timestamp < before)
            || self.keep_bytes.is_some_and(|keep| bytes_behind >= keep)
    }
}

impl Log {
    /// Removes blocks from the first on. `now` is a stamp of the storage's.
    pub(crate) async fn trim(
        &self,
        point: &TrimPoint,
        now: i64,
        report: &mut TrimReport,
    ) -> Result<()> {
        let blocks = self.data_blocks().await?;
        let mut behind = 0;
        if point.keep_bytes.is_some() {
            for block in &blocks {
                behind += bytes_of(&self.data_objects(block).await?);
            }
        }
        for block in blocks {
            let number = block.block;
            let (Some(open), Some(end)) = (self.open(number).await?, self.end(number).await?)
            else {
                return Ok(());
            };
            let objects = self.data_objects(&block).await?;
            behind = behind.saturating_sub(bytes_of(&objects));
            if !point.covers(&end, behind) {
                return Ok(());
            }
            self.trim_block(&open, objects, now, report).await?;
        }
        Ok(())
    }

    async fn trim_block(
        &self,
        open: &Open,
        objects: Vec<(String, u64)>,
        now: i64,
        report: &mut TrimReport,
    ) -> Result<()> {
        let count = objects.len() as u64;
        let at = open.lease.expired_at();
        if at.is_none_or(|at| at > now) {
            report.remaining += count;
            report.removable_at_ms = report.removable_at_ms.max(at.map(|at| at * 1000));
            return Ok(());
        }
        let bytes = bytes_of(&objects);
        self.store.delete_all(objects.into_iter().map(|(key, _)| key).collect()).await?;
        report.removed += count;
        report.removed_bytes += bytes;
        Ok(())
    }
}

fn bytes_of(objects: &[(String, u64)]) -> u64 {
    objects.iter().map(|(_, size)| size).sum()
}
