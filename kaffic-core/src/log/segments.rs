//! Fetches the batches of compacted blocks for a reader: whole segments, or large pieces of them,
//! and the indexes of the blocks after, ahead of what was delivered. So small blocks don't cost
//! two round trips each, one after the other.

use super::Log;
use super::budget::{Budget, Held};
use super::index::{Index, Part};
use crate::env::spawn;
use crate::error::Result;
use crate::slot::Slot;
use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::{FuturesOrdered, StreamExt};
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

/// The most pieces ahead.
const WINDOW: usize = 64;
/// The size of a piece: a segment of up to this is fetched as a whole.
const PIECE_BYTES: u64 = 8 << 20;
/// The most indexes ahead, and about the most memory that they take. They are not of the budget:
/// an index ahead would hold what the pieces before it wait for.
const INDEXES: usize = 16;
const INDEX_BYTES: usize = 2 << 20;
/// What an index takes a slot.
const INDEX_SLOT_BYTES: usize = 256;

/// What is fetched, ahead of a reader.
pub(super) struct Segments {
    log: Arc<Log>,
    budget: Budget,
    /// The indexes of this block and those after it, without a gap.
    indexes: VecDeque<(u64, Coming)>,
    /// How many indexes are asked for at once.
    at_once: usize,
    ahead: FuturesOrdered<BoxFuture<'static, Result<Piece>>>,
    /// The blocks and slots that are ahead, in order.
    asked: VecDeque<(u64, Range<u32>)>,
    /// The block and slot from which on nothing was asked for.
    next: (u64, u32),
    present: Option<Piece>,
}

impl std::fmt::Debug for Segments {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Segments").field("asked", &self.asked).finish_non_exhaustive()
    }
}

/// An index that was asked for.
enum Coming {
    Asked(BoxFuture<'static, Result<Option<Index>>>),
    Here(Option<Arc<Index>>),
}

/// A part of a segment, with its bytes.
struct Piece {
    index: Arc<Index>,
    part: Part,
    key: String,
    /// `None`: the segment is not there.
    bytes: Option<Bytes>,
    held: Arc<Held>,
}

/// What was found for a slot.
pub(super) enum Found {
    Slot {
        key: String,
        slot: Box<Slot>,
        held: Arc<Held>,
    },
    /// The segment is gone: it has expired.
    Gone,
}

impl Segments {
    pub(super) fn new(log: Arc<Log>, budget: Budget) -> Self {
        Self {
            log,
            budget,
            indexes: VecDeque::new(),
            at_once: 1,
            ahead: FuturesOrdered::new(),
            asked: VecDeque::new(),
            next: (0, 0),
            present: None,
        }
    }

    /// The index of a block, if it has one. Asks for those of some blocks after it too, up to
    /// `end`, as long as there are such.
    pub(super) async fn index(&mut self, block: u64, end: u64) -> Result<Option<Arc<Index>>> {
        self.ask(block, end);
        let Some((_, front)) = self.indexes.front_mut() else { return Ok(None) };
        let index = match front {
            Coming::Here(index) => index.clone(),
            Coming::Asked(answer) => match answer.await {
                Ok(index) => index.map(Arc::new),
                Err(error) => {
                    self.indexes.clear();
                    return Err(error);
                }
            },
        };
        *front = Coming::Here(index.clone());
        self.at_once = index.as_ref().map_or(1, |index| {
            let bytes = (index.slots() as usize * INDEX_SLOT_BYTES).max(1);
            (INDEX_BYTES / bytes).clamp(1, INDEXES)
        });
        self.ask(block, end);
        Ok(index)
    }

    fn ask(&mut self, block: u64, end: u64) {
        while self.indexes.front().is_some_and(|(number, _)| *number < block) {
            self.indexes.pop_front();
        }
        if self.indexes.front().is_none_or(|(number, _)| *number != block) {
            self.indexes.clear();
        }
        let first = self.indexes.back().map_or(block, |(number, _)| number + 1);
        for block in first..end.min(block + self.at_once as u64) {
            let log = Arc::clone(&self.log);
            let answer = spawn(&*self.log.env, async move { log.index(block).await });
            self.indexes.push_back((block, Coming::Asked(answer)));
        }
    }

    /// The index of a block ahead, if it has come and there is one.
    fn index_ahead(&mut self, block: u64) -> Option<Arc<Index>> {
        let at = self.indexes.iter().position(|(number, _)| *number == block)?;
        if let Coming::Asked(answer) = &mut self.indexes[at].1 {
            match answer.now_or_never()? {
                Ok(index) => self.indexes[at].1 = Coming::Here(index.map(Arc::new)),
                Err(_) => {
                    // It shows when the reader gets there, and asks again.
                    self.indexes.truncate(at);
                    return None;
                }
            }
        }
        match &self.indexes[at].1 {
            Coming::Here(index) => index.clone(),
            Coming::Asked(_) => None,
        }
    }

    /// Reads a slot of a compacted block. Dropping the future loses nothing.
    pub(super) async fn slot(&mut self, index: &Arc<Index>, slot: u32) -> Result<Found> {
        let block = index.open.block;
        loop {
            self.ask_ahead(index, slot);
            if let Some(piece) = self.present.as_ref().filter(|piece| piece.has(block, slot)) {
                return piece.slot(slot);
            }
            self.present = None;
            match self.ahead.next().await {
                Some(Ok(piece)) => {
                    self.asked.pop_front();
                    self.present = Some(piece);
                }
                Some(Err(error)) => {
                    self.clear();
                    return Err(error);
                }
                None => self.clear(),
            }
        }
    }

    /// Drops what is ahead, so that it holds nothing of the budget.
    pub(super) fn clear(&mut self) {
        self.ahead = FuturesOrdered::new();
        self.asked.clear();
        self.present = None;
    }

    /// Asks for pieces, in the order in which they are wanted.
    fn ask_ahead(&mut self, index: &Arc<Index>, slot: u32) {
        let block = index.open.block;
        let has = |asked: &(u64, Range<u32>)| asked.0 == block && asked.1.contains(&slot);
        if !self.present.as_ref().is_some_and(|piece| piece.has(block, slot))
            && !self.asked.front().is_some_and(has)
        {
            self.clear();
            self.next = (block, slot);
        }
        // Two pieces have to fit into the budget, so that one comes while one is delivered.
        let limit = PIECE_BYTES.min(self.budget.total() / 2);
        while self.ahead.len() < WINDOW {
            let (at, from) = self.next;
            let index = if at == block { Some(Arc::clone(index)) } else { self.index_ahead(at) };
            let Some(index) = index.filter(|index| !index.segments.is_empty()) else { return };
            match index.part(from, limit) {
                Some(part) => {
                    self.next = (at, part.slots.end);
                    self.ask_for(index, part);
                }
                None => self.next = (at + 1, 0),
            }
        }
    }

    fn ask_for(&mut self, index: Arc<Index>, part: Part) {
        let (log, budget) = (Arc::clone(&self.log), self.budget.clone());
        let block = index.open.block;
        self.asked.push_back((block, part.slots.clone()));
        self.ahead.push_back(Box::pin(async move {
            // In order, and so not in the task, as for slots.
            let len = (part.bytes.end - part.bytes.start) as usize;
            let held = Arc::new(budget.take(len).await);
            let env = Arc::clone(&log.env);
            let fetch = async move {
                let key = log.id.segment(block, &index.segments[part.segment].name);
                let bytes = if part.bytes.is_empty() {
                    // Seals and fences at the end have no bytes.
                    Some(Bytes::new())
                } else {
                    log.store.get_range(&key, part.bytes.clone()).await?.map(|got| got.bytes)
                };
                Ok(Piece { index, part, key, bytes, held })
            };
            spawn(&*env, fetch).await
        }));
    }
}

impl Piece {
    fn has(&self, block: u64, slot: u32) -> bool {
        self.index.open.block == block && self.part.slots.contains(&slot)
    }

    fn slot(&self, slot: u32) -> Result<Found> {
        let Some(bytes) = &self.bytes else { return Ok(Found::Gone) };
        let found = self.index.slot(&self.key, &self.part, bytes, slot)?;
        let (key, held) = (self.key.clone(), Arc::clone(&self.held));
        Ok(Found::Slot { key, slot: Box::new(found), held })
    }
}
