//! Finds where in a log an offset or a time is: a search over the blocks' beginnings, then over
//! the headers of the block's slots, in its index if it was compacted, and with many probes at once
//! if not, so that the number of round trips hardly grows with the log.

use super::index::Index;
use super::read::Place;
use super::tail::Tail;
use super::{End, Log, Look, Open, Verdict, blocks_of};
use crate::batch::CheckedBatch;
use crate::error::{Error, ErrorKind, Result};
use crate::keys::{BLOCKS_PER_GROUP, BlockObject};
use crate::slot::{PROBE_LEN, Slot, SlotHeader};
use futures_util::future::{join, try_join, try_join_all};
use std::collections::HashMap;
use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How many probes are under way at once: 32 to the power of 4 is a million blocks, of which each
/// has no more than 32 times 32 slots.
const PROBES: u64 = 31;

/// Where an offset is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sought {
    pub(crate) place: Place,
    /// The offset itself has expired: the place is the next one that is there.
    pub(crate) lost: bool,
}

/// The first number below `len` for which `before` is false; it is true, then false.
async fn search<F>(len: u64, before: impl Fn(u64) -> F) -> Result<u64>
where
    F: Future<Output = Result<bool>>,
{
    let (mut low, mut high) = (0, len);
    while low < high {
        let step = (high - low).div_ceil(PROBES + 1).max(1);
        let probes: Vec<u64> =
            (1..=PROBES).map(|i| low + i * step - 1).take_while(|probe| *probe < high).collect();
        let answers = try_join_all(probes.iter().map(|probe| before(*probe))).await?;
        match answers.iter().position(|before| !before) {
            Some(0) => high = probes[0],
            Some(first) => (low, high) = (probes[first - 1] + 1, probes[first]),
            None => low = probes.last().map_or(high, |last| last + 1),
        }
    }
    Ok(low)
}

/// The place right after everything that is written.
pub(crate) fn tail_place(tail: Option<&Tail>) -> Place {
    match tail {
        None => Place { block: 0, slot: 0, offset: 0 },
        Some(tail) if tail.end.is_some() => {
            Place { block: tail.open.block + 1, slot: 0, offset: tail.next_offset }
        }
        Some(tail) => {
            Place { block: tail.open.block, slot: tail.next_slot, offset: tail.next_offset }
        }
    }
}

/// The slots of a block that are there.
struct Slots<'a> {
    log: &'a Log,
    open: Open,
    end: Option<End>,
    numbers: Vec<u32>,
    /// They were not listed: all that the end names are taken to be there.
    assumed: bool,
    /// The headers that were read.
    read: Mutex<HashMap<u32, Option<SlotHeader>>>,
}

impl Slots<'_> {
    async fn header(&self, index: u64) -> Result<Option<SlotHeader>> {
        let slot = self.numbers[index as usize];
        if let Some(header) = self.known().get(&slot) {
            return Ok(header.clone());
        }
        let key = self.log.id.slot(self.open.block, slot);
        let header = match self.log.store.get_start(&key, PROBE_LEN).await? {
            None => None,
            Some(object) => {
                let look = match &self.end {
                    Some(end) => self.log.judge_ended(&key, &self.open, end, slot, &object)?,
                    None => self.log.judge(&key, &self.open, &object)?,
                };
                match look {
                    Look::Valid { slot, .. } => Some(slot),
                    Look::Absent | Look::Void { .. } => None,
                }
            }
        };
        self.known().insert(slot, header.clone());
        Ok(header)
    }

    /// The slot of an offset; an error is the slot from which on there may be a later one.
    /// `after` is the first slot that begins after it.
    async fn find_offset(&self, offset: i64, after: u64) -> Result<std::result::Result<u32, u32>> {
        let mut from = 0;
        if let Some(index) = after.checked_sub(1) {
            let slot = self.numbers[index as usize];
            if let Some(header) = self.header(index).await?
                && offset < header.next_offset()
            {
                return Ok(Ok(slot));
            }
            from = slot + 1;
        }
        if let Some(slot) = self.numbers.get(after as usize).copied()
            && unless_damaged(self.header(after).await.map(Some))?.is_none()
        {
            // Reading from there says what is wrong with it.
            return Ok(Ok(slot));
        }
        Ok(Err(from))
    }

    /// Whether no slot was missing that is before one that is there, or that an end names.
    fn are_whole(&self) -> bool {
        let count = match &self.end {
            Some(End { verdict: Verdict::Slots(slots), .. }) => *slots,
            _ => self.numbers.len() as u32,
        };
        (0..count).eq(self.numbers.iter().copied()) && self.known().values().all(Option::is_some)
    }

    fn known(&self) -> MutexGuard<'_, HashMap<u32, Option<SlotHeader>>> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first slot for which `before` is false. One that is damaged or has expired meanwhile
    /// counts as the next one that can be read. Where slots are only taken to be there, one that is
    /// not makes the answer worthless, and [`Self::are_whole`] says so.
    async fn first(&self, before: impl Fn(&SlotHeader) -> bool + Copy) -> Result<u64> {
        let len = self.numbers.len() as u64;
        search(len, |index| async move {
            for index in index..len {
                match unless_damaged(self.header(index).await)? {
                    Some(header) => return Ok(before(&header)),
                    None if self.assumed => {
                        self.known().insert(self.numbers[index as usize], None);
                        return Ok(false);
                    }
                    None => {}
                }
            }
            Ok(false)
        })
        .await
    }
}

/// What can't be read is not there, for a search that only passes by it.
fn unless_damaged<T>(found: Result<Option<T>>) -> Result<Option<T>> {
    match found {
        Err(error) if matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Unsupported) => {
            Ok(None)
        }
        other => other,
    }
}

impl Log {
    /// The first record that is still there; the tail where there is none.
    pub(crate) async fn earliest(&self, tail: Option<&Tail>) -> Result<Place> {
        Ok(self.first_from(0, 0, tail).await?.unwrap_or_else(|| tail_place(tail)))
    }

    /// The place of `offset`, which is not beyond the tail.
    pub(crate) async fn find_offset(&self, offset: i64, tail: Option<&Tail>) -> Result<Sought> {
        let found = |place| Sought { place, lost: false };
        let Some(end_of_log) = tail else { return Ok(found(tail_place(None))) };
        if offset >= end_of_log.next_offset {
            return Ok(found(tail_place(tail)));
        }
        let open = self.last_block(end_of_log, |open| open.base_offset <= offset).await?;
        let block = open.block;
        let (mut index, end) = self.index_and_end(block, end_of_log).await?;
        let from = loop {
            if let Some(index) = &index
                && let Some(slot) = index.slot_at(offset)
                && self.segment_is_there(index, slot).await?
            {
                return Ok(found(Place { block, slot, offset }));
            }
            let (slots, after) = self
                .search_slots(&open, end.as_ref(), index.as_ref(), |header| {
                    header.base_offset <= offset
                })
                .await?;
            let from = match slots.find_offset(offset, after).await? {
                Ok(slot) => return Ok(found(Place { block, slot, offset })),
                Err(from) => from,
            };
            match self.late_index(&slots, index.as_ref(), false).await? {
                None => {
                    // What is listed may lack all up to the offset, and the index knows.
                    let known = index.as_ref().and_then(|index| index.slot_at(offset));
                    break from.max(known.map_or(0, |slot| slot + 1));
                }
                late => index = late,
            }
        };
        let next = self.first_from(block, from, tail).await?;
        let place = next.unwrap_or_else(|| tail_place(tail));
        // Where offsets jumped nobody knows whether there was a record, so that counts as lost too.
        Ok(Sought { place, lost: true })
    }

    /// The place of the first record with a timestamp at or after `unix_ms`; the tail if none.
    pub(crate) async fn find_time(&self, unix_ms: i64, tail: Option<&Tail>) -> Result<Place> {
        let Some(end_of_log) = tail else { return Ok(tail_place(None)) };
        let open = self.last_block(end_of_log, |open| open.max_timestamp < unix_ms).await?;
        let block = open.block;
        let (mut index, end) = self.index_and_end(block, end_of_log).await?;
        let from = loop {
            if let Some(index) = &index
                && let Some((slot, header)) =
                    index.first_data(|header| header.max_timestamp >= unix_ms)
                && let Some(batch) = self.batch_in_segment(index, slot).await?
            {
                let place = Place { block, slot, offset: header.base_offset };
                return first_record_at(place, batch, unix_ms);
            }
            let (slots, at) = self
                .search_slots(&open, end.as_ref(), index.as_ref(), |header| {
                    header.max_timestamp < unix_ms
                })
                .await?;
            let slot = slots.numbers.get(at as usize).copied();
            let late = self.late_index(&slots, index.as_ref(), slot.is_some()).await?;
            if late.is_some() {
                index = late;
                continue;
            }
            if let Some(slot) = slot
                && let Some(header) = unless_damaged(slots.header(at).await)?
                && header.record_count > 0
                && let Some(batch) = self.batch_in_slot(block, slot).await?
            {
                let place = Place { block, slot, offset: header.base_offset };
                return first_record_at(place, batch, unix_ms);
            }
            // Of what has expired nothing is listed, and the index knows where it was.
            let known = index.as_ref().and_then(|index| {
                index.first_data(|header| header.max_timestamp >= unix_ms).map(|found| found.0)
            });
            break known.or(slot).map_or((block + 1, 0), |slot| (block, slot));
        };
        let Some(place) = self.first_from(from.0, from.1, tail).await? else {
            return Ok(tail_place(tail));
        };
        let batch = match self.index_of_block(place.block, end_of_log).await? {
            Some(index) => self.batch_in_segment(&index, place.slot).await?,
            None => None,
        };
        let batch = match batch {
            Some(batch) => Some(batch),
            None => self.batch_in_slot(place.block, place.slot).await?,
        };
        batch.map_or(Ok(place), |batch| first_record_at(place, batch, unix_ms))
    }

    /// The last block, up to the newest, for which `before` is true.
    async fn last_block(&self, tail: &Tail, before: impl Fn(&Open) -> bool) -> Result<Open> {
        if before(&tail.open) {
            return Ok(tail.open.clone());
        }
        let (before, newest) = (&before, tail.open.block);
        // Those that were read: the answer is among them but for damage.
        let read: &Mutex<HashMap<u64, Open>> = &Mutex::default();
        let after = search(newest, |block| async move {
            for block in block..newest {
                if let Some(open) = unless_damaged(self.open(block).await)? {
                    let is_before = before(&open);
                    read.lock().unwrap_or_else(PoisonError::into_inner).insert(open.block, open);
                    return Ok(is_before);
                }
            }
            Ok(false)
        })
        .await?;
        let wanted = after.saturating_sub(1);
        let found = read.lock().unwrap_or_else(PoisonError::into_inner).remove(&wanted);
        match found {
            Some(open) => Ok(open),
            None => self.open_there(wanted).await,
        }
    }

    /// The beginning of a block that has one.
    pub(crate) async fn open_there(&self, block: u64) -> Result<Open> {
        self.open(block).await?.ok_or_else(|| {
            let key = self.id.block_object(block, BlockObject::Open);
            Error::corrupt(&key, "it is missing; only data/ may expire, never meta/")
        })
    }

    /// The index of a block, which only one that has ended has.
    async fn index_of_block(&self, block: u64, tail: &Tail) -> Result<Option<Index>> {
        if block == tail.open.block && tail.end.is_none() {
            return Ok(None);
        }
        unless_damaged(self.index(block).await)
    }

    /// A block's index and end, in one round trip.
    async fn index_and_end(&self, block: u64, tail: &Tail) -> Result<(Option<Index>, Option<End>)> {
        let (index, end) = join(self.index_of_block(block, tail), self.end(block)).await;
        match index? {
            // It has the end too.
            Some(index) => Ok((Some(index), None)),
            None => Ok((None, end?)),
        }
    }

    /// The slots of a block, and the first of them for which `before` is false. They are listed
    /// only where some that the end names are missing.
    async fn search_slots(
        &self,
        open: &Open,
        end: Option<&End>,
        index: Option<&Index>,
        before: impl Fn(&SlotHeader) -> bool + Copy,
    ) -> Result<(Slots<'_>, u64)> {
        if let (None, Some(Verdict::Slots(count))) = (index, end.map(|end| end.verdict)) {
            let (open, end, numbers) = (open.clone(), end.cloned(), (0..count).collect());
            let read = Mutex::default();
            let slots = Slots { log: self, open, end, numbers, assumed: true, read };
            let at = slots.first(before).await?;
            if slots.are_whole() {
                return Ok((slots, at));
            }
        }
        let slots = self.slots_there(open.clone(), index).await?;
        let at = slots.first(before).await?;
        Ok((slots, at))
    }

    /// The index of a block that had none when it was asked for, where slots are missing since, or
    /// may be: it may have been ended, compacted and swept meanwhile. `found`: what is wanted is in
    /// a slot, if none before that is missing.
    async fn late_index(
        &self,
        slots: &Slots<'_>,
        index: Option<&Index>,
        found: bool,
    ) -> Result<Option<Index>> {
        let certain = found || slots.end.is_some();
        if index.is_some() || (certain && slots.are_whole()) {
            return Ok(None);
        }
        unless_damaged(self.index(slots.open.block).await)
    }

    /// Whether a slot is in a segment, and that has not expired.
    async fn segment_is_there(&self, index: &Index, slot: u32) -> Result<bool> {
        let Some(segment) = index.segment_of(slot) else { return Ok(false) };
        let key = self.id.segment(index.open.block, &index.segments[segment].name);
        Ok(self.store.get_start(&key, 1).await?.is_some())
    }

    /// The batch of a slot that is in a segment; `None` where it is not, or has expired.
    async fn batch_in_segment(&self, index: &Index, slot: u32) -> Result<Option<Read>> {
        let Some(part) = index.part(slot, 0) else { return Ok(None) };
        let key = self.id.segment(index.open.block, &index.segments[part.segment].name);
        let Some(object) = self.store.get_range(&key, part.bytes.clone()).await? else {
            return Ok(None);
        };
        let slot = index.slot(&key, &part, &object.bytes, slot)?;
        Ok(Some(Read { key, batch: slot.batch }))
    }

    async fn batch_in_slot(&self, block: u64, slot: u32) -> Result<Option<Read>> {
        let key = self.id.slot(block, slot);
        let Some(object) = self.get_slot(block, &key).await? else { return Ok(None) };
        let slot = Slot::decode(&object.bytes).map_err(|error| error.at(&key))?;
        Ok(Some(Read { key, batch: slot.batch }))
    }

    async fn slots_there(&self, open: Open, index: Option<&Index>) -> Result<Slots<'_>> {
        let end = async {
            match index {
                Some(index) => Ok(Some(index.end.clone())),
                None => self.end(open.block).await,
            }
        };
        let (listed, end) = try_join(self.slots(open.block), end).await?;
        let counts = |number: u32, stamp: i64| match &end {
            Some(End { verdict: Verdict::Slots(slots), .. }) => number < *slots,
            _ => open.lease.holds(stamp),
        };
        let mut numbers: Vec<u32> = listed
            .iter()
            .map(|entry| (entry.number as u32, entry.stamp))
            .filter(|(number, stamp)| counts(*number, *stamp))
            .map(|(number, _)| number)
            .collect();
        numbers.sort_unstable();
        let read = Mutex::default();
        Ok(Slots { log: self, open, end, numbers, assumed: false, read })
    }

    /// The first slot with records from a block and slot on.
    pub(crate) async fn first_from(
        &self,
        block: u64,
        slot: u32,
        tail: Option<&Tail>,
    ) -> Result<Option<Place>> {
        let Some(tail) = tail else { return Ok(None) };
        let groups = self.store.list(&self.id.data_dir()).await?;
        let mut groups: Vec<u64> = groups.numbered_dirs().collect();
        groups.sort_unstable();
        for group in groups.into_iter().filter(|group| *group >= block / BLOCKS_PER_GROUP) {
            let listing = self.group(group).await?;
            for number in blocks_of(&listing).into_keys() {
                let number = group * BLOCKS_PER_GROUP + number;
                if (block..=tail.open.block).contains(&number) {
                    let from = if number == block { slot } else { 0 };
                    let found = self.first_in_block(number, from, tail).await?;
                    if found.is_some() {
                        return Ok(found);
                    }
                }
            }
        }
        Ok(None)
    }

    /// The first slot with records of a block, from one on.
    async fn first_in_block(&self, block: u64, from: u32, tail: &Tail) -> Result<Option<Place>> {
        let place = |slot, header: &SlotHeader| Place { block, slot, offset: header.base_offset };
        let mut index = self.index_of_block(block, tail).await?;
        loop {
            let in_segment = match &index {
                Some(index) => self.first_in_segments(index, from).await?,
                None => None,
            };
            if in_segment.is_some_and(|place| place.slot == from) {
                return Ok(in_segment);
            }
            let open = match &index {
                Some(index) => Some(index.open.clone()),
                None => self.open(block).await?,
            };
            let Some(open) = open else { return Ok(None) };
            let slots = self.slots_there(open, index.as_ref()).await?;
            let most = in_segment.map_or(u32::MAX, |place| place.slot);
            let mut in_slot = None;
            for (at, number) in (0..).zip(slots.numbers.iter().copied()) {
                if in_slot.is_none() && (from..most).contains(&number) {
                    let header = slots.header(at).await?;
                    let header = header.filter(|header| header.record_count > 0);
                    in_slot = header.map(|header| place(number, &header));
                }
            }
            match self.late_index(&slots, index.as_ref(), in_slot.is_some()).await? {
                None => return Ok(in_slot.or(in_segment)),
                late => index = late,
            }
        }
    }

    /// The first slot with records, from one on, whose segment has not expired.
    async fn first_in_segments(&self, index: &Index, from: u32) -> Result<Option<Place>> {
        let mut gone = None;
        for (slot, header) in (0..).zip(index.headers()).skip(from as usize) {
            let segment = index.segment_of(slot);
            if header.record_count == 0 || segment == gone || segment.is_none() {
                continue;
            }
            // Asked only now: a list from before the index may lack it.
            if self.segment_is_there(index, slot).await? {
                let block = index.open.block;
                return Ok(Some(Place { block, slot, offset: header.base_offset }));
            }
            gone = segment;
        }
        Ok(None)
    }
}

/// A batch that was read, and the object it came from.
struct Read {
    key: String,
    batch: Option<CheckedBatch>,
}

/// Within the batch at `place`, the first record at or after a time.
fn first_record_at(place: Place, read: Read, unix_ms: i64) -> Result<Place> {
    let Read { key, batch: Some(batch) } = read else { return Ok(place) };
    let mut records = batch.records().map_err(|error| Error::corrupt(&key, error))?;
    while let Some(record) = records.next() {
        let (_, record) = record.map_err(|error| Error::corrupt(&key, error))?;
        if record.timestamp >= unix_ms {
            return Ok(Place { offset: record.offset, ..place });
        }
    }
    Ok(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn search_finds_every_boundary_in_few_rounds() {
        for len in [0, 1, 2, 15, 16, 17, 300, 1000] {
            for boundary in 0..=len {
                let asked = std::cell::Cell::new(0);
                let found = search(len, |probe| {
                    assert!(probe < len);
                    asked.set(asked.get() + 1);
                    async move { Ok(probe < boundary) }
                })
                .await
                .expect("no errors");
                assert_eq!(found, boundary, "len {len}");
                assert!(asked.get() <= 3 * PROBES);
            }
        }
    }
}
