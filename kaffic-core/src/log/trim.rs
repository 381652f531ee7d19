//! Removes the oldest records, where the storage has no lifecycle rules that do it: block by block
//! from the first, as Kafka does it segment by segment.
//!
//! A block goes if it has ended and is older than its `min_expiry`: that promise is what readers and
//! writers go by, and by then no put that was under way can bring a slot back. Where its slots were
//! the log goes on as after any expiry.

use super::{End, Log, Open};
use crate::error::Result;
use crate::keys::{BLOCKS_PER_GROUP, group_name};
use crate::store::Entry;

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
        let mut behind = match point.keep_bytes {
            Some(_) => self.bytes_of(&blocks).await?,
            None => 0,
        };
        for block in blocks {
            let (Some(open), Some(end)) = (self.open(block).await?, self.end(block).await?) else {
                return Ok(());
            };
            let slots = self.slots(block).await?;
            let bytes = slots.iter().map(|slot| slot.size).sum();
            behind = behind.saturating_sub(bytes);
            if !point.covers(&end, behind) {
                return Ok(());
            }
            self.trim_block(&open, &slots, now, report).await?;
        }
        Ok(())
    }

    async fn trim_block(
        &self,
        open: &Open,
        slots: &[Entry],
        now: i64,
        report: &mut TrimReport,
    ) -> Result<()> {
        let at = open.lease.expired_at();
        if at.is_none_or(|at| at > now) {
            report.remaining += slots.len() as u64;
            report.removable_at_ms = report.removable_at_ms.max(at.map(|at| at * 1000));
            return Ok(());
        }
        let mut numbers: Vec<u64> = slots.iter().map(|slot| slot.number).collect();
        numbers.sort_unstable();
        let keys = numbers.iter().map(|number| self.id.slot(open.block, *number as u32));
        self.store.delete_all(keys.collect()).await?;
        report.removed += slots.len() as u64;
        report.removed_bytes += slots.iter().map(|slot| slot.size).sum::<u64>();
        Ok(())
    }

    /// The blocks that have anything under `data/`, in order.
    pub(crate) async fn data_blocks(&self) -> Result<Vec<u64>> {
        let dir = self.id.data_dir();
        let mut blocks = Vec::new();
        for group in self.store.list(&dir).await?.numbered_dirs() {
            let listed = self.store.list(&format!("{dir}/{}", group_name(group))).await?;
            blocks.extend(listed.numbered_dirs().map(|number| group * BLOCKS_PER_GROUP + number));
        }
        blocks.sort_unstable();
        Ok(blocks)
    }

    async fn bytes_of(&self, blocks: &[u64]) -> Result<u64> {
        let mut bytes = 0;
        for block in blocks {
            bytes += self.slots(*block).await?.iter().map(|slot| slot.size).sum::<u64>();
        }
        Ok(bytes)
    }
}
