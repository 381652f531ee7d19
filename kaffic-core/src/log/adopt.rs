//! Makes a copy of a log usable: the stamps on which its newest block rests are those of the copy.
//!
//! Where a block has an `end`, its word decides and stamps are not consulted, so ended blocks can be
//! copied freely. A block that was copied before it ended gets its `end` here, from the slots that
//! are listed. That would be wrong in a log that is written to; so only blocks are ended of which it
//! is certain that they are copies: the time at which they were opened is not the one their slots,
//! or the ends before them, tell.

use super::{End, Log, Open, Verdict};
use crate::error::{Error, Result};
use crate::slot::{PROBE_LEN, SlotHeader};
use futures_util::{StreamExt, TryStreamExt};
use std::sync::Arc;

/// How many headers are read at once.
const AT_ONCE: usize = 32;
/// Blocks in a row that have an end, after which no earlier one is looked at.
const ENDED_IN_A_ROW: u32 = 3;

/// A block that [`crate::Kaffic::adopt`] ended, or would.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AdoptedBlock {
    /// The partition.
    pub partition: u32,
    /// The block's number in the partition's log.
    pub block: u64,
    /// The slots that are there and count from now on.
    pub slots: u32,
    /// Slots that are not there, though later ones are: they expired, or were not copied.
    pub missing: u32,
    /// The offset at which the log goes on.
    pub next_offset: i64,
}

/// What [`crate::Kaffic::adopt`] found and did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AdoptReport {
    /// Blocks that were ended now.
    pub ended: Vec<AdoptedBlock>,
    /// Partitions that were left alone, since nothing in them needed an end or they are no copies.
    pub left_alone: u32,
}

impl Log {
    /// Ends the blocks of a copied log that have no end. `now` is a stamp of the storage's.
    pub(crate) async fn adopt(
        self: &Arc<Self>,
        now: i64,
        dry_run: bool,
    ) -> Result<Vec<AdoptedBlock>> {
        let Some(newest) = self.newest_block().await? else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        let mut next: Option<Open> = None;
        let mut ended = 0;
        for block in (0..=newest).rev() {
            let Some(open) = self.open(block).await? else {
                // A writer was stopped, or the copy was made, between a directory and its `open`.
                continue;
            };
            if self.end(block).await?.is_some() {
                ended += 1;
            } else if let Some((report, end)) = self.end_of_copy(&open, next.as_ref(), now).await? {
                if !dry_run {
                    self.conclude(block, &end).await?;
                }
                found.push(report);
                ended = 0;
            }
            if ended == ENDED_IN_A_ROW {
                break;
            }
            next = Some(open);
        }
        found.reverse();
        Ok(found)
    }

    /// The end of a block without one, from its slots; `None` if it is not certain to be a copy.
    async fn end_of_copy(
        &self,
        open: &Open,
        next: Option<&Open>,
        now: i64,
    ) -> Result<Option<(AdoptedBlock, End)>> {
        let headers = self.headers(open).await?;
        let opened = match headers.first() {
            Some((_, header)) => header.opened,
            None => match self.opened_before(open.block).await? {
                Some(true) => open.lease.opened,
                Some(false) | None => return Ok(None),
            },
        };
        if !headers.is_empty() && opened == open.lease.opened {
            return Ok(None);
        }
        self.check_contiguous(open, &headers)?;
        let slots = headers.last().map_or(0, |(slot, _)| slot + 1);
        let mut checksums = vec![None; slots as usize];
        for (slot, header) in &headers {
            checksums[*slot as usize] = Some(header.crc);
        }
        let mut lease = open.lease;
        lease.opened = opened;
        let written_to = headers.last().map_or(open.base_offset, |(_, last)| last.next_offset());
        let newest = headers.last().map_or(open.max_timestamp, |(_, last)| last.max_timestamp);
        let (next_offset, max_timestamp) = match next {
            Some(next) => (next.base_offset, next.max_timestamp),
            // The highest slots may have expired before the copy was made.
            None if headers.is_empty() || !lease.nothing_expired_at(now) => {
                (open.offset_beyond(), newest)
            }
            None => (written_to, newest),
        };
        let present = headers.len() as u32;
        let report = AdoptedBlock {
            partition: self.id.partition,
            block: open.block,
            slots: present,
            missing: slots - present,
            next_offset,
        };
        let verdict = Verdict::Slots(slots);
        let mut producers = self.sequences_before(open.block).await?;
        headers.iter().for_each(|(_, header)| producers.note(header));
        let end =
            End::new(verdict, next_offset, max_timestamp, open.lease.opened, checksums, false)
                .with_producers(producers);
        Ok(Some((report, end)))
    }

    /// The headers of a block's slots in order, whatever their stamps are.
    async fn headers(&self, open: &Open) -> Result<Vec<(u32, SlotHeader)>> {
        let mut numbers: Vec<u32> =
            self.slots(open.block).await?.iter().map(|entry| entry.number as u32).collect();
        numbers.retain(|number| *number < open.slots);
        numbers.sort_unstable();
        let found: Vec<Option<(u32, SlotHeader)>> = futures_util::stream::iter(numbers)
            .map(|slot| async move {
                let key = self.id.slot(open.block, slot);
                let Some(object) = self.store.get_start(&key, PROBE_LEN).await? else {
                    return Ok(None);
                };
                super::decode_header(&key, &object).map(|header| Some((slot, header)))
            })
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        Ok(found.into_iter().flatten().collect())
    }

    /// Whether the block before was opened at another time than its end says, and so is a copy.
    async fn opened_before(&self, block: u64) -> Result<Option<bool>> {
        let Some(before) = block.checked_sub(1) else { return Ok(None) };
        let (open, end) = (self.open(before).await?, self.end(before).await?);
        Ok(open.zip(end).map(|(open, end)| open.lease.opened != end.opened))
    }

    /// Slots of one block that was written by kaffic fit together.
    fn check_contiguous(&self, open: &Open, headers: &[(u32, SlotHeader)]) -> Result<()> {
        let mut offset = open.base_offset;
        let mut expected = 0;
        for (slot, header) in headers {
            let fits = if *slot == expected {
                header.base_offset == offset
            } else {
                header.base_offset >= offset
            };
            let first = &headers[0].1;
            let same = header.opened == first.opened
                && header.lease_ms == first.lease_ms
                && i64::from(header.lease_ms) == open.lease.length_ms;
            if !fits || !same {
                let key = self.id.slot(open.block, *slot);
                let what = "it does not fit to the slots before it: not all of the store was \
                            copied at one time; copy again, or delete what comes after";
                return Err(Error::corrupt(&key, what));
            }
            (expected, offset) = (slot + 1, header.next_offset());
        }
        Ok(())
    }
}
