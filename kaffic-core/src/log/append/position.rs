//! Where the next slot goes: found at the tail, moved past the slots of others, and from a block to
//! the next when the block has ended.

use super::Appender;
use crate::catalog;
use crate::error::{Error, Result};
use crate::log::tail::Tail;
use crate::log::{End, Look, Open, Sequences, Verdict};
use crate::slot::SlotHeader;
use futures_util::future::try_join_all;
use futures_util::{StreamExt, TryStreamExt};

/// A writer this many slots behind searches the tail instead of walking to it.
const FAR_BEHIND: u32 = 20;
/// The most headers that are looked at at once on the way.
const MOST_LOOKS: u32 = 8;

/// Where the next slot goes.
#[derive(Debug, Clone)]
pub(super) struct Position {
    pub(super) open: Open,
    pub(super) slot: u32,
    pub(super) next_offset: i64,
    pub(super) max_timestamp: i64,
    /// The block's last slot has been put.
    pub(super) ended: bool,
    /// Header checksums of the slots before; `None` for those not seen.
    checksums: Vec<Option<u32>>,
    /// The last application sequences in the slots of the block that were seen.
    pub(super) sequences: Sequences,
    /// Those of the blocks before, if they were read.
    pub(super) inherited: Option<Sequences>,
    /// Since this position was found, the newest epoch of the producer's name was looked at.
    pub(super) epoch_checked: bool,
}

impl Position {
    fn start_of(open: Open, inherited: Option<Sequences>) -> Self {
        Self {
            slot: 0,
            next_offset: open.base_offset,
            max_timestamp: open.max_timestamp,
            ended: false,
            checksums: Vec::new(),
            sequences: Sequences::default(),
            inherited,
            epoch_checked: false,
            open,
        }
    }

    pub(super) fn from_tail(tail: Tail) -> Self {
        let mut position = Self::start_of(tail.open, None);
        if let Some(newest) = tail.newest {
            position.slot = tail.next_slot - 1;
            position.checksums = vec![None; position.slot as usize];
            position.step(&newest);
        }
        position
    }

    /// Moves past a slot.
    pub(super) fn step(&mut self, header: &SlotHeader) {
        self.slot += 1;
        self.next_offset = header.next_offset();
        self.max_timestamp = header.max_timestamp;
        self.ended = header.last || self.slot >= self.open.slots;
        self.checksums.push(Some(header.crc));
        self.sequences.note(header);
    }
}

impl Appender {
    /// Moves past a slot that is not of the batch under way.
    pub(super) fn pass(&mut self, header: &SlotHeader) {
        self.meet(header);
        if let Some(position) = &mut self.position {
            position.step(header);
        }
        self.fairness.saw(header.producer_id);
    }

    /// Steps over the slots of others until one is absent.
    pub(super) async fn walk(&mut self) -> Result<()> {
        self.walk_from(1).await
    }

    /// As `walk`, with that many looks at once to begin with, and then twice as many each time.
    pub(super) async fn walk_from(&mut self, at_once: u32) -> Result<()> {
        let (mut at_once, mut stepped) = (at_once.max(1), 0);
        while stepped < FAR_BEHIND {
            let position = self.known_position()?;
            if position.ended {
                return Ok(());
            }
            let (open, from) = (&position.open, position.slot);
            let to = open.slots.min(from + at_once);
            let looks = (from..to).map(|slot| self.log.look(open, slot));
            for look in try_join_all(looks).await? {
                match look {
                    Look::Valid { slot, .. } => self.pass(&slot),
                    // A void slot is met, and judged, by the next put.
                    Look::Absent | Look::Void { .. } => return Ok(()),
                }
                if self.known_position()?.ended {
                    return Ok(());
                }
            }
            stepped += to - from;
            at_once = (at_once * 2).min(MOST_LOOKS);
        }
        self.position = None;
        Ok(())
    }

    /// Finds where the next slot goes, if it is not known.
    pub(super) async fn find_position(&mut self) -> Result<()> {
        if self.position.is_none() {
            match self.log.find_tail().await? {
                None => self.enter_first().await?,
                Some(Tail { end: Some(end), open, .. }) => {
                    self.enter_after(open.block, &end).await?
                }
                Some(tail) => {
                    if let Some(newest) = &tail.newest {
                        self.fairness.saw(newest.producer_id);
                    }
                    self.forget_sequence();
                    self.position = Some(Position::from_tail(tail));
                }
            }
        }
        Ok(())
    }

    pub(super) fn known_position(&self) -> Result<&Position> {
        self.position.as_ref().ok_or_else(|| Error::internal("an append without a position"))
    }

    async fn enter_first(&mut self) -> Result<()> {
        let ours = self.open_block(0, 0, i64::MIN, Sequences::default()).await?;
        // The topic may have been deleted before there was a block to end.
        if !self.closing && !catalog::is_alive(&self.log.store, &self.log.id).await? {
            self.position = None;
            return Err(self.log.deleted());
        }
        if ours { Ok(()) } else { self.walk().await }
    }

    pub(super) async fn enter_after(&mut self, block: u64, end: &End) -> Result<()> {
        if end.closed {
            return Err(self.log.deleted());
        }
        self.meet_end(end);
        let (base, max_timestamp, inherited) =
            (end.next_offset, end.max_timestamp, end.producers.clone());
        let ours = self.open_block(block + 1, base, max_timestamp, inherited).await?;
        if ours { Ok(()) } else { self.walk().await }
    }

    /// Goes to the start of a block, opening it if nobody has. Says whether it was opened now.
    async fn open_block(
        &mut self,
        block: u64,
        base: i64,
        max_timestamp: i64,
        inherited: Sequences,
    ) -> Result<bool> {
        let put_at_ms = self.log.env.now_ms();
        let (open, ours) = self.log.create_open(block, base, max_timestamp).await?;
        if ours && !self.closing {
            // A clock far ahead would take every new block for an old one.
            self.compare_clock(&open.lease, put_at_ms, open.lease.opened)?;
        }
        self.position = Some(Position::start_of(open, Some(inherited)));
        Ok(ours)
    }

    /// Ends the block (`certain`: with the slots before the present one) and enters the next.
    pub(super) async fn turn_over(&mut self, certain: bool) -> Result<()> {
        let end = self.conclude(certain, false).await?;
        let block = self.known_position()?.open.block;
        self.enter_after(block, &end).await
    }

    pub(super) async fn conclude(&mut self, certain: bool, closed: bool) -> Result<End> {
        self.fill_checksums(0).await?;
        self.inherit().await?;
        let position = self.known_position()?;
        let Position { open, max_timestamp, .. } = position;
        let end = if certain {
            let checksums = position.checksums.clone();
            let verdict = Verdict::Slots(position.slot);
            let next = position.next_offset;
            End::new(verdict, next, *max_timestamp, open.lease.opened, checksums, closed)
        } else {
            let next = open.offset_beyond();
            End::new(Verdict::Unknown, next, *max_timestamp, open.lease.opened, Vec::new(), closed)
        };
        let mut producers = position.inherited.clone().unwrap_or_default();
        producers.merge(&position.sequences);
        let end = end.with_producers(producers);
        self.log.conclude(open.block, &end).await
    }

    /// Reads what the blocks before say of producers, if that is not known.
    pub(super) async fn inherit(&mut self) -> Result<()> {
        let position = self.known_position()?;
        if position.inherited.is_none() {
            let sequences = self.log.sequences_before(position.open.block).await?;
            if let Some(position) = &mut self.position {
                position.inherited = Some(sequences);
            }
        }
        Ok(())
    }

    /// Reads the headers from a slot on that this writer has not seen, for the block's end to name
    /// all.
    pub(super) async fn fill_checksums(&mut self, from: u32) -> Result<()> {
        let position = self.known_position()?;
        let missing: Vec<u32> =
            (from..position.slot).filter(|n| position.checksums[*n as usize].is_none()).collect();
        let (log, open) = (&self.log, &position.open);
        let found: Vec<(u32, Option<SlotHeader>)> = futures_util::stream::iter(missing)
            .map(|slot| async move {
                let look = log.look(open, slot).await?;
                let header = match look {
                    Look::Valid { slot, .. } => Some(slot),
                    Look::Absent | Look::Void { .. } => None,
                };
                Ok::<_, Error>((slot, header))
            })
            .buffered(32)
            .try_collect()
            .await?;
        if let Some(position) = &mut self.position {
            for (slot, header) in found {
                header.iter().for_each(|header| position.sequences.note(header));
                position.checksums[slot as usize] = header.map(|header| header.crc);
            }
        }
        Ok(())
    }
}
