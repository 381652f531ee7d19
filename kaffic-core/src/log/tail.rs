//! Finds the end of a log: three lists, one a level, and three small gets, however long it is.

use super::{End, Log, Look, Open};
use crate::error::{Error, ErrorKind, Result};
use crate::slot::SlotHeader;
use futures_util::future::try_join3;

/// How often a search is begun anew when the log moves under it.
const TRIES: u32 = 50;

/// The newest block and how far it is written.
#[derive(Debug, Clone)]
pub(crate) struct Tail {
    pub(crate) open: Open,
    /// The block's end, if it has one.
    pub(crate) end: Option<End>,
    /// The slot after the highest one that counts.
    pub(crate) next_slot: u32,
    /// The offset that the next record will get.
    pub(crate) next_offset: i64,
    /// The header of the highest slot, unless the block has ended or is empty.
    pub(crate) newest: Option<SlotHeader>,
}

impl Log {
    /// The newest block and how far it is written; `None` for a log that nobody has written to.
    pub(crate) async fn find_tail(&self) -> Result<Option<Tail>> {
        for tries in 0..TRIES {
            if tries > 0 {
                self.store.back_off(tries).await;
            }
            let Some(newest) = self.newest_block().await? else { return Ok(None) };
            let (open, end, slots) =
                try_join3(self.open(newest), self.end(newest), self.slots(newest)).await?;
            let Some(open) = open else {
                // A directory without an `open`: a writer was stopped in between.
                match self.last_open_before(newest).await? {
                    Some(tail) => return Ok(Some(tail)),
                    None if newest == 0 => return Ok(None),
                    None => continue,
                }
            };
            // The list may be from after a sweep: then there is an end by now.
            let end = match end {
                None if !open.lease.is_writable(self.env.now_ms()) => self.end(newest).await?,
                end => end,
            };
            if let Some(end) = end {
                return Ok(Some(ended(open, end)));
            }
            let in_time = slots.iter().filter(|entry| self.counts(&open, entry.stamp));
            let Some(highest) = in_time.map(|entry| entry.number).max() else {
                let next_offset = open.base_offset;
                return Ok(Some(Tail { open, end: None, next_slot: 0, next_offset, newest: None }));
            };
            if let Look::Valid { slot, .. } = self.look(&open, highest as u32).await? {
                return Ok(Some(Tail {
                    next_slot: highest as u32 + 1,
                    next_offset: slot.next_offset(),
                    newest: Some(slot),
                    open,
                    end: None,
                }));
            }
        }
        Err(Error::new(
            ErrorKind::Unavailable,
            format!("{}: the tail was not found: listed slots are not there to be read", self.id),
        ))
    }

    /// The tail of the newest block that has an `open`, if every one after it has none.
    async fn last_open_before(&self, block: u64) -> Result<Option<Tail>> {
        for block in (block.saturating_sub(2)..block).rev() {
            if let Some(open) = self.open(block).await? {
                return Ok(self.end(block).await?.map(|end| ended(open, end)));
            }
        }
        Ok(None)
    }

    /// Whether the log may have been written up to an offset beyond its tail: the highest slots of
    /// a block that has no end yet may have expired. No offset before that is given again.
    pub(crate) fn may_have_reached(&self, tail: Option<&Tail>, offset: i64) -> bool {
        tail.is_some_and(|tail| {
            tail.end.is_none()
                && tail.open.lease.may_have_expired(self.env.now_ms())
                && offset <= tail.open.offset_beyond()
        })
    }

    /// The offset that the next record will get.
    pub(crate) async fn tail_offset(&self) -> Result<i64> {
        Ok(self.find_tail().await?.map_or(0, |tail| tail.next_offset))
    }
}

fn ended(open: Open, end: End) -> Tail {
    Tail { next_slot: open.slots, next_offset: end.next_offset, newest: None, end: Some(end), open }
}
