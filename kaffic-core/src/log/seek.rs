//! Finds where in a log an offset or a time is: a search over the blocks' beginnings, then over
//! the headers of the block's slots, with many probes at once, so that the number of round trips
//! hardly grows with the log.

use super::read::Place;
use super::tail::Tail;
use super::{End, Log, Look, Open, Verdict};
use crate::error::{Error, ErrorKind, Result};
use crate::keys::{BLOCKS_PER_GROUP, BlockObject, group_name};
use crate::slot::{PROBE_LEN, Slot, SlotHeader};
use futures_util::future::try_join_all;
use std::future::Future;

/// How many probes are under way at once: a million blocks are searched in four round trips, a
/// thousand slots in two.
const PROBES: u64 = 31;

/// Where an offset is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sought {
    pub(crate) place: Place,
    /// The offset itself has expired: the place is the next one that is there.
    pub(crate) lost: bool,
}

/// Where a search came out.
#[derive(Debug)]
struct Boundary<T> {
    /// The first number that is not before what is sought.
    at: u64,
    /// What a probe found at the number before it, or what stood for that.
    before: Option<T>,
}

/// The first number below `len` for which a probe says that it is not before what is sought; up to
/// there they are, and then no more.
async fn search<T, F>(len: u64, probe: impl Fn(u64) -> F) -> Result<Boundary<T>>
where
    F: Future<Output = Result<(bool, T)>>,
{
    let (mut low, mut high, mut before) = (0, len, None);
    while low < high {
        let step = (high - low).div_ceil(PROBES + 1).max(1);
        let probes: Vec<u64> =
            (1..=PROBES).map(|i| low + i * step - 1).take_while(|probe| *probe < high).collect();
        let answers = try_join_all(probes.iter().map(|number| probe(*number))).await?;
        let count = answers.iter().take_while(|(before, _)| *before).count();
        if let Some(number) = probes.get(count) {
            high = *number;
        }
        if let Some(last) = count.checked_sub(1) {
            low = probes[last] + 1;
            before = answers.into_iter().nth(last).map(|(_, found)| found);
        }
    }
    Ok(Boundary { at: low, before })
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
}

impl Slots<'_> {
    async fn header(&self, index: u64) -> Result<Option<SlotHeader>> {
        let slot = self.numbers[index as usize];
        let key = self.log.id.slot(self.open.block, slot);
        let Some(object) = self.log.store.get_start(&key, PROBE_LEN).await? else {
            return Ok(None);
        };
        let look = match &self.end {
            Some(end) => self.log.judge_ended(&key, &self.open, end, slot, &object)?,
            None => self.log.judge(&key, &self.open, &object)?,
        };
        Ok(match look {
            Look::Valid { slot, .. } => Some(slot),
            Look::Absent | Look::Void { .. } => None,
        })
    }

    /// The first slot for which `before` is false, and the header before it. A slot that is damaged
    /// or has expired meanwhile counts as the next one that can be read.
    async fn first(
        &self,
        before: impl Fn(&SlotHeader) -> bool + Copy,
    ) -> Result<(u64, Option<SlotHeader>)> {
        let len = self.numbers.len() as u64;
        let found = search(len, |index| async move {
            for index in index..len {
                if let Some(header) = unless_damaged(self.header(index).await)? {
                    return Ok((before(&header), Some((index, header))));
                }
            }
            Ok((false, None))
        })
        .await?;
        let header = match (found.at.checked_sub(1), found.before.flatten()) {
            (Some(index), Some((of, header))) if of == index => Some(header),
            (Some(index), _) => self.header(index).await?,
            (None, _) => None,
        };
        Ok((found.at, header))
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
        let slots = self.slots_there(open).await?;
        let (after, header) = slots.first(|header| header.base_offset <= offset).await?;
        let mut from = (block, 0);
        if let Some(index) = after.checked_sub(1) {
            let slot = slots.numbers[index as usize];
            if header.is_some_and(|header| offset < header.next_offset()) {
                return Ok(found(Place { block, slot, offset }));
            }
            from = (block, slot + 1);
        }
        if let Some(slot) = slots.numbers.get(after as usize).copied()
            && unless_damaged(slots.header(after).await.map(Some))?.is_none()
        {
            // Reading from there says what is wrong with it.
            return Ok(found(Place { block, slot, offset }));
        }
        let next = self.first_from(from.0, from.1, tail).await?;
        let place = next.unwrap_or_else(|| tail_place(tail));
        // Where offsets jumped nobody knows whether there was a record, so that counts as lost too.
        Ok(Sought { place, lost: true })
    }

    /// The place of the first record with a timestamp at or after `unix_ms`; the tail if none.
    pub(crate) async fn find_time(&self, unix_ms: i64, tail: Option<&Tail>) -> Result<Place> {
        let Some(end_of_log) = tail else { return Ok(tail_place(None)) };
        let open = self.last_block(end_of_log, |open| open.max_timestamp < unix_ms).await?;
        let block = open.block;
        let slots = self.slots_there(open).await?;
        let (index, before) = slots.first(|header| header.max_timestamp < unix_ms).await?;
        let slot = slots.numbers.get(index as usize).copied();
        let follows = |slot: u32| match index.checked_sub(1) {
            Some(before) => slots.numbers[before as usize] + 1 == slot,
            None => slot == 0,
        };
        if let Some(slot) = slot.filter(|slot| follows(*slot)) {
            let offset = before.map_or(slots.open.base_offset, |before| before.next_offset());
            let place = Place { block, slot, offset };
            if let Some(place) = self.first_record_at(place, unix_ms).await? {
                return Ok(place);
            }
        }
        let from = slot.map_or((block + 1, 0), |slot| (block, slot));
        match self.first_from(from.0, from.1, tail).await? {
            Some(place) => Ok(self.first_record_at(place, unix_ms).await?.unwrap_or(place)),
            None => Ok(tail_place(tail)),
        }
    }

    /// The last block, up to the newest, for which `before` is true.
    async fn last_block(&self, tail: &Tail, before: impl Fn(&Open) -> bool) -> Result<Open> {
        if before(&tail.open) {
            return Ok(tail.open.clone());
        }
        let (before, newest) = (&before, tail.open.block);
        let found = search(newest, |block| async move {
            for block in block..newest {
                if let Some(open) = unless_damaged(self.open(block).await)? {
                    return Ok((before(&open), Some(open)));
                }
            }
            Ok((false, None))
        })
        .await?;
        let block = found.at.saturating_sub(1);
        match found.before.flatten() {
            Some(open) if open.block == block => Ok(open),
            _ => self.open_there(block).await,
        }
    }

    /// The beginning of a block that has one.
    pub(crate) async fn open_there(&self, block: u64) -> Result<Open> {
        self.open(block).await?.ok_or_else(|| {
            let key = self.id.block_object(block, BlockObject::Open);
            Error::corrupt(&key, "it is missing; only data/ may expire, never meta/")
        })
    }

    async fn slots_there(&self, open: Open) -> Result<Slots<'_>> {
        let (listed, end) =
            futures_util::future::try_join(self.slots(open.block), self.end(open.block)).await?;
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
        Ok(Slots { log: self, open, end, numbers })
    }

    /// The first slot with records from a block and slot on.
    pub(crate) async fn first_from(
        &self,
        block: u64,
        slot: u32,
        tail: Option<&Tail>,
    ) -> Result<Option<Place>> {
        let Some(tail) = tail else { return Ok(None) };
        let (mut block, mut slot) = (block, slot);
        while block <= tail.open.block {
            let Some(next) = self.first_data_block(block).await? else { return Ok(None) };
            if next > block {
                (block, slot) = (next, 0);
            }
            if let Some(open) = self.open(block).await? {
                let slots = self.slots_there(open).await?;
                for index in 0..slots.numbers.len() {
                    let number = slots.numbers[index];
                    if number < slot {
                        continue;
                    }
                    let header = slots.header(index as u64).await?;
                    if let Some(header) = header.filter(|header| header.record_count > 0) {
                        return Ok(Some(Place { block, slot: number, offset: header.base_offset }));
                    }
                }
            }
            (block, slot) = (block + 1, 0);
        }
        Ok(None)
    }

    /// The first block from `block` on that has anything under data/.
    async fn first_data_block(&self, block: u64) -> Result<Option<u64>> {
        let dir = self.id.data_dir();
        let mut groups: Vec<u64> = self.store.list(&dir).await?.numbered_dirs().collect();
        groups.sort_unstable();
        for group in groups.into_iter().filter(|group| *group >= block / BLOCKS_PER_GROUP) {
            let blocks = self.store.list(&format!("{dir}/{}", group_name(group))).await?;
            let numbers = blocks.numbered_dirs().map(|number| group * BLOCKS_PER_GROUP + number);
            if let Some(first) = numbers.filter(|number| *number >= block).min() {
                return Ok(Some(first));
            }
        }
        Ok(None)
    }

    /// Within the batch at `place`, the first record at or after a time; `None` if there is none.
    async fn first_record_at(&self, place: Place, unix_ms: i64) -> Result<Option<Place>> {
        let key = self.id.slot(place.block, place.slot);
        let Some(object) = self.store.get(&key).await? else { return Ok(None) };
        let slot = Slot::decode(&object.bytes).map_err(|error| error.at(&key))?;
        let Some(batch) = slot.batch else { return Ok(None) };
        let records = batch.records().map_err(|error| Error::corrupt(&key, error))?;
        for record in records {
            let record = record.map_err(|error| Error::corrupt(&key, error))?;
            if record.timestamp >= unix_ms {
                return Ok(Some(Place { offset: record.offset, ..place }));
            }
        }
        Ok(None)
    }
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
                    async move { Ok((probe < boundary, probe)) }
                })
                .await
                .expect("no errors");
                assert_eq!(found.at, boundary, "len {len}");
                assert_eq!(found.before, boundary.checked_sub(1), "len {len}");
                assert!(asked.get() <= 3 * PROBES);
            }
        }
    }
}
