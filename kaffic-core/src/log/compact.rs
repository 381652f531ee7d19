//! Compaction of a block's storage: its batches are joined into few large objects, so that reading
//! an old block is two requests and not a thousand. No record is dropped or changed.
//!
//! Segments are put first, under names that nobody else has; the block's index, put-if-absent, is
//! what makes them count. Until then readers see slots, and from then on segments, so a compactor
//! may stop at any step. Slots go when no late put can bring one back.

use super::budget::Budget;
use super::index::{Index, MAX_SEGMENT_BYTES, Segment};
use super::{End, Log, Look, Open, Verdict, blocks_of};
use crate::env::Rule;
use crate::error::{Error, ErrorKind, Result};
use crate::keys::{BLOCKS_PER_GROUP, BlockObject, parse_segment, segment_name};
use crate::slot::{PROBE_LEN, SLOT_HEADER_LEN, Slot};
use crate::store::{Entry, Listing, Object, Put};
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::try_join;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Blocks whose batches are this large on average stay as they are: joining would save little.
const LARGE_BATCHES: u64 = 256 << 10;
/// How many slots are read at once, and the bytes that these may have.
const AT_ONCE: usize = 16;
const READ_AHEAD_BYTES: usize = 16 << 20;
/// How often the put of a segment is tried.
const TRIES: u32 = 8;
/// A process that ends a block is often about to end itself, and should not begin then.
const DELAY: Duration = Duration::from_secs(5);
/// The most blocks that wait for a client's compactor; any more are left to `kaffic compact`.
const MOST_WAITING: usize = 256;
/// The most blocks that are swept when one was compacted.
const MOST_SWEPT: usize = 8;

/// Compacts in the background what a client's writers have ended: one block at a time.
#[derive(Debug)]
pub(crate) struct Compactor {
    turn: Semaphore,
    waiting: Arc<Semaphore>,
    segment_bytes: u64,
}

/// What became of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compacted {
    /// It has an index of ours now, with so many segments of so many bytes.
    Done { segments: usize, bytes: u64 },
    /// It had an index, or another was faster.
    Already,
    /// It has no end, its slots are not all there, or they are not what its end says.
    Left,
}

/// What a sweep did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Swept {
    /// Slots that were removed.
    pub(crate) removed: u64,
    /// Slots that have to stay yet.
    pub(crate) remaining: u64,
    /// When they can go, in storage time, if it is only that.
    pub(crate) removable_at: Option<i64>,
}

/// What is put into segments, and what of it was put.
struct Joiner<'a> {
    log: &'a Log,
    block: u64,
    nonce: u64,
    limit: u64,
    headers: Vec<[u8; SLOT_HEADER_LEN]>,
    /// The batches of the segment that gathers, and its first slot.
    batches: Vec<Bytes>,
    bytes: u64,
    first_slot: u32,
    segments: Vec<Segment>,
}

impl Compactor {
    pub(crate) fn new(segment_bytes: Option<u64>) -> Self {
        Self {
            turn: Semaphore::new(1),
            waiting: Arc::new(Semaphore::new(MOST_WAITING)),
            segment_bytes: segment_bytes.unwrap_or(MAX_SEGMENT_BYTES).min(MAX_SEGMENT_BYTES),
        }
    }

    /// The size up to which batches are joined.
    pub(crate) fn segment_bytes(&self) -> u64 {
        self.segment_bytes
    }

    /// Compacts a block in the background, and sweeps some whose time has come. Whatever goes
    /// wrong, the block is as good as before.
    pub(crate) fn begin(self: &Arc<Self>, log: &Arc<Log>, block: u64) {
        let Ok(place) = Arc::clone(&self.waiting).try_acquire_owned() else { return };
        let (compactor, log) = (Arc::clone(self), Arc::clone(log));
        let env = Arc::clone(&log.env);
        env.spawn(Box::pin(async move {
            log.env.sleep(DELAY).await;
            let Ok(_turn) = compactor.turn.acquire().await else { return };
            let done = async {
                let compacted = log.compact_block(block, compactor.segment_bytes).await?;
                tracing::debug!(log = %log.id, block, ?compacted, "a block was compacted");
                log.sweep_some(block).await
            };
            if let Err(error) = done.await {
                tracing::debug!(log = %log.id, block, %error, "a block is left to kaffic compact");
            }
            drop(place);
        }));
    }
}

impl Log {
    /// A block's index, if it has one.
    pub(crate) async fn index(&self, block: u64) -> Result<Option<Index>> {
        let key = self.id.block_object(block, BlockObject::Index);
        match self.store.get(&key).await? {
            Some(object) => Index::decode(&key, block, &object).map(Some),
            None => Ok(None),
        }
    }

    /// Joins a block's batches into segments of up to `segment_bytes` and commits its index.
    pub(crate) async fn compact_block(&self, block: u64, segment_bytes: u64) -> Result<Compacted> {
        if self.index(block).await?.is_some() {
            return Ok(Compacted::Already);
        }
        let ended = try_join(self.open(block), self.end(block)).await?;
        let (Some(open), Some(end)) = ended else { return Ok(Compacted::Left) };
        let mut joiner = Joiner::new(self, block, segment_bytes);
        match joiner.join(&open, &end).await {
            Ok(true) => joiner.commit(&open, &end).await,
            Ok(false) => joiner.give_up().await,
            // Verifying names what is damaged. It stays as it is.
            Err(error) if is_of_stored_bytes(&error) => {
                tracing::warn!(log = %self.id, block, %error, "a block can't be compacted");
                joiner.give_up().await
            }
            Err(error) => {
                // No index names them: the put of one has not begun.
                joiner.delete_segments_but(&[]).await.ok();
                Err(error)
            }
        }
    }

    /// Removes the slots of a compacted block, if no late put can bring one back by `now`, a stamp
    /// of the storage's, and all that they held is in its segments.
    pub(crate) async fn sweep_block(&self, block: u64, now: i64) -> Result<Swept> {
        let Some(index) = self.index(block).await? else { return Ok(Swept::default()) };
        if index.segments.is_empty() {
            return Ok(Swept::default());
        }
        let (slots, asides) = self.slots_and_asides(block).await?;
        let count = (slots.len() + asides.len()) as u64;
        if count == 0 {
            return Ok(Swept::default());
        }
        let at = index.open.lease.removable_at();
        if now < at && self.env.keeps(Rule::SweepsWaitForTheLease) {
            return Ok(Swept { removed: 0, remaining: count, removable_at: Some(at) });
        }
        let group = self.group(block / BLOCKS_PER_GROUP).await?;
        let is_whole = |segment: &Segment| {
            let entry = group.named.iter().find(|entry| entry.name == segment.name);
            entry.is_some_and(|entry| entry.size == segment.bytes)
        };
        if !index.segments.iter().all(is_whole) {
            return Ok(Swept { removed: 0, remaining: count, removable_at: None });
        }
        let keys = slots.iter().map(|slot| self.id.slot(block, slot.number as u32));
        // What is referred to goes last, so that no slot is without it.
        self.store.delete_all(keys.collect()).await?;
        self.store.delete_all(asides.into_iter().map(|(key, _)| key).collect()).await?;
        Ok(Swept { removed: count, ..Swept::default() })
    }

    /// Removes segments of a block that its index does not name, left by compactors that stopped.
    /// Gives how many.
    pub(crate) async fn sweep_orphans(&self, block: u64, group: &Listing, now: i64) -> Result<u64> {
        let of_block = |name: &str| parse_segment(name) == Some(block % BLOCKS_PER_GROUP);
        let found: Vec<_> = group.named.iter().filter(|entry| of_block(&entry.name)).collect();
        if found.is_empty() {
            return Ok(0);
        }
        let Some(index) = self.index(block).await? else { return Ok(0) };
        let named = |name: &str| index.segments.iter().any(|segment| segment.name == name);
        let keys: Vec<String> = found
            .iter()
            .filter(|entry| !named(&entry.name) && index.open.lease.is_over(entry.stamp, now))
            .map(|entry| self.id.segment(block, &entry.name))
            .collect();
        let count = keys.len() as u64;
        self.store.delete_all(keys).await?;
        Ok(count)
    }

    /// What is under `data/` of a group of blocks.
    pub(crate) async fn group(&self, group: u64) -> Result<Listing> {
        self.store.list(&self.id.group_data_dir(group)).await
    }

    /// Sweeps some blocks up to `block` whose time has come, the newest of them first, until one
    /// has nothing to remove.
    async fn sweep_some(&self, block: u64) -> Result<()> {
        // This clock only decides whether to look.
        let Some(newest) = self.newest_removable(block, self.env.now_ms()).await? else {
            return Ok(());
        };
        let group = newest / BLOCKS_PER_GROUP;
        let listing = self.group(group).await?;
        let dirs: BTreeSet<u64> = listing.numbered_dirs().collect();
        let unswept: Vec<u64> = blocks_of(&listing)
            .into_iter()
            .filter(|(number, segments)| !segments.is_empty() && dirs.contains(number))
            .map(|(number, _)| group * BLOCKS_PER_GROUP + number)
            .filter(|block| *block <= newest)
            .rev()
            .take(MOST_SWEPT)
            .collect();
        if unswept.is_empty() {
            return Ok(());
        }
        let now = self.store.now().await?;
        for block in unswept {
            if self.sweep_block(block, now).await?.removed == 0 {
                return Ok(());
            }
        }
        Ok(())
    }

    /// The newest block up to `block` whose slots may be removed at a time.
    async fn newest_removable(&self, block: u64, now_ms: i64) -> Result<Option<u64>> {
        if !self.env.keeps(Rule::SweepsWaitForTheLease) {
            return Ok(Some(block));
        }
        let (mut low, mut high) = (0, block + 1);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.open_there(middle).await?.lease.removable_at() * 1000 <= now_ms {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low.checked_sub(1))
    }
}

impl<'a> Joiner<'a> {
    fn new(log: &'a Log, block: u64, limit: u64) -> Self {
        Self {
            log,
            block,
            nonce: log.env.random(),
            limit,
            headers: Vec::new(),
            batches: Vec::new(),
            bytes: 0,
            first_slot: 0,
            segments: Vec::new(),
        }
    }

    /// Reads all slots and puts segments. False where the block has to stay as it is.
    async fn join(&mut self, open: &Open, end: &End) -> Result<bool> {
        let (log, block) = (self.log, self.block);
        let Verdict::Slots(count) = end.verdict else { return Ok(false) };
        let (slots, asides) = log.slots_and_asides(block).await?;
        let Some(sizes) = slot_sizes(&slots, count) else { return Ok(false) };
        let batches = sizes.iter().filter(|size| **size > SLOT_HEADER_LEN as u64).count() as u64;
        let asides: u64 = asides.iter().map(|(_, size)| size).sum();
        let large = sizes.iter().sum::<u64>() + asides >= batches.max(1) * LARGE_BATCHES;
        let budget = Budget::new(READ_AHEAD_BYTES);
        let mut slots = futures_util::stream::iter((0..count).zip(sizes))
            .map(|(slot, size)| {
                let key = log.id.slot(block, slot);
                let budget = &budget;
                async move {
                    let bytes = if large { PROBE_LEN } else { size as usize };
                    let mut held = budget.take(bytes).await;
                    let object = match large {
                        true => log.store.get_start(&key, PROBE_LEN).await,
                        false => log.get_slot(block, &key).await,
                    };
                    if let Ok(Some(object)) = &object {
                        held.correct(object.bytes.len());
                    }
                    (slot, key, object, held)
                }
            })
            .buffered(AT_ONCE);
        while let Some((slot, key, object, held)) = slots.next().await {
            let Some(object) = object? else { return Ok(false) };
            let look = log.judge_ended(&key, open, end, slot, &object)?;
            let (Look::Valid { .. }, Some(header)) = (look, object.bytes.first_chunk()) else {
                return Ok(false);
            };
            self.headers.push(*header);
            if !large {
                // Whole and undamaged, or it is not copied.
                Slot::decode(&object.bytes).map_err(|error| error.at(&key))?;
                self.take(slot, object.bytes.slice(SLOT_HEADER_LEN..)).await?;
            }
            drop(held);
        }
        drop(slots);
        self.put_segment().await?;
        Ok(true)
    }

    async fn take(&mut self, slot: u32, batch: Bytes) -> Result<()> {
        let len = batch.len() as u64;
        if len > 0 && self.bytes > 0 && self.bytes + len > self.limit {
            self.put_segment().await?;
            self.first_slot = slot;
        }
        if len > 0 {
            self.bytes += len;
            self.batches.push(batch);
        }
        Ok(())
    }

    /// Puts the segment that has gathered.
    async fn put_segment(&mut self) -> Result<()> {
        if self.batches.is_empty() {
            return Ok(());
        }
        let name = segment_name(self.block, self.nonce, self.segments.len());
        let key = self.log.id.segment(self.block, &name);
        let batches = std::mem::take(&mut self.batches);
        let bytes = std::mem::take(&mut self.bytes);
        // Before the put: even one that fails may be there.
        self.segments.push(Segment { name, bytes, first_slot: self.first_slot });
        let payload: object_store::PutPayload = batches.into_iter().collect();
        let mut tries = 0;
        loop {
            let limit = self.log.staging_limit();
            match self.log.store.create(&key, payload.clone(), limit).await? {
                // Nobody else has this name.
                Put::Created | Put::Exists => return Ok(()),
                Put::Unclear(error) if tries >= TRIES => return Err(error),
                Put::Unclear(_) => tries += 1,
            }
            self.log.store.back_off(tries).await;
        }
    }

    /// Puts the index. Who loses reads the winner's before deleting anything: it may be the own
    /// one, put by a request whose answer was lost.
    async fn commit(self, open: &Open, end: &End) -> Result<Compacted> {
        let log = self.log;
        let key = log.id.block_object(self.block, BlockObject::Index);
        let bytes = Index::encode(open, end, &self.segments, &self.headers)?;
        let ours = Object { bytes: bytes.clone(), stamp: 0 };
        if let Err(error) = Index::decode(&key, self.block, &ours) {
            tracing::warn!(log = %log.id, block = self.block, %error, "a block can't be compacted");
            return self.give_up().await;
        }
        let done = Compacted::Done {
            segments: self.segments.len(),
            bytes: self.segments.iter().map(|segment| segment.bytes).sum(),
        };
        if !log.env.keeps(Rule::LosersReadTheIndex) {
            return match log.store.create(&key, bytes.into(), log.staging_limit()).await? {
                Put::Created => Ok(done),
                Put::Exists | Put::Unclear(_) => self.give_up().await,
            };
        }
        // If this fails the index may be there all the same, so the segments stay.
        let Some(winner) = log.store.create_or_read(&key, bytes, log.staging_limit()).await? else {
            return Ok(done);
        };
        let winner = Index::decode(&key, self.block, &winner)?;
        let ours = self.segments == winner.segments && !self.segments.is_empty();
        self.delete_segments_but(&winner.segments).await?;
        Ok(if ours { done } else { Compacted::Already })
    }

    /// Deletes what was put, when no index of ours was. Another may have been faster.
    async fn give_up(self) -> Result<Compacted> {
        self.delete_segments_but(&[]).await?;
        let there = self.log.index(self.block).await?.is_some();
        Ok(if there { Compacted::Already } else { Compacted::Left })
    }

    async fn delete_segments_but(&self, named: &[Segment]) -> Result<()> {
        let of_nobody = |segment: &&Segment| !named.iter().any(|other| other.name == segment.name);
        let keys = self.segments.iter().filter(of_nobody);
        let keys = keys.map(|segment| self.log.id.segment(self.block, &segment.name)).collect();
        self.log.store.delete_all(keys).await
    }
}

/// The sizes of a block's first slots; `None` where not all are there.
fn slot_sizes(slots: &[Entry], count: u32) -> Option<Vec<u64>> {
    let mut sizes = vec![None; count as usize];
    for entry in slots {
        if let Some(size) = sizes.get_mut(entry.number as usize) {
            *size = Some(entry.size);
        }
    }
    sizes.into_iter().collect()
}

fn is_of_stored_bytes(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Unsupported)
}
