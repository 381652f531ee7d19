//! The index of a compacted block: what stands for its `open`, its `end` and the headers of all
//! its slots, and says which segments their batches are in. Pure: bytes in, bytes out.
//!
//! One line of JSON, then the header of every slot, 96 bytes each and byte for byte as it was put,
//! then the CRC32C of everything before. Where a batch is in its segment is not stored: it is the
//! sum of the lengths before it.

use super::block::check_format;
use super::{End, Open, Verdict};
use crate::batch::MAX_BATCH_BYTES;
use crate::chain::{from_json, to_json};
use crate::error::{Error, Result};
use crate::keys::{BLOCKS_PER_GROUP, parse_segment};
use crate::slot::{SLOT_HEADER_LEN, Slot, SlotHeader};
use crate::store::Object;
use bytes::{Buf, BufMut, Bytes};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::ops::Range;

const FORMAT: u32 = 1;
const CHECKSUM_LEN: usize = 4;
/// The largest segment: as large as the largest batch.
pub(crate) const MAX_SEGMENT_BYTES: u64 = MAX_BATCH_BYTES as u64;

/// Batches of a block, one after another in one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Segment {
    pub(crate) name: String,
    pub(crate) bytes: u64,
    /// The first slot that it stands for; it does up to that of the next segment.
    pub(crate) first_slot: u32,
}

/// What an index says.
#[derive(Debug, Clone)]
pub(crate) struct Index {
    pub(crate) open: Open,
    pub(crate) end: End,
    /// Empty where the block's slots stay where they are.
    pub(crate) segments: Vec<Segment>,
    headers: Vec<SlotHeader>,
    /// As they were put.
    raw: Vec<[u8; SLOT_HEADER_LEN]>,
    /// Where each slot's batch begins in its segment.
    positions: Vec<u64>,
}

/// A part of a segment, and the slots whose batches are in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) segment: usize,
    pub(crate) bytes: Range<u64>,
    pub(crate) slots: Range<u32>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    format: u32,
    /// T, as whoever compacted the block read it.
    opened: i64,
    open: Value,
    end: Value,
    segments: Vec<Segment>,
}

impl Index {
    /// The bytes of an index.
    pub(crate) fn encode(
        open: &Open,
        end: &End,
        segments: &[Segment],
        headers: &[[u8; SLOT_HEADER_LEN]],
    ) -> Result<Bytes> {
        let stored = Stored {
            format: FORMAT,
            opened: open.lease.opened,
            open: open.to_value()?,
            end: end.to_value()?,
            segments: segments.to_vec(),
        };
        let mut out = Vec::from(to_json(&stored)?);
        out.push(b'\n');
        out.extend_from_slice(headers.as_flattened());
        let checksum = crc32c::crc32c(&out);
        out.put_u32(checksum);
        Ok(Bytes::from(out))
    }

    /// Reads an index; `key` is for messages.
    pub(crate) fn decode(key: &str, block: u64, object: &Object) -> Result<Self> {
        let bad = |what: &str| Error::corrupt(key, what);
        let bytes = &object.bytes[..];
        let (content, mut checksum) = bytes
            .len()
            .checked_sub(CHECKSUM_LEN)
            .map(|at| bytes.split_at(at))
            .ok_or_else(|| bad("the index is cut short"))?;
        if crc32c::crc32c(content) != checksum.get_u32() {
            return Err(bad("the index is damaged: it has another checksum"));
        }
        let line = content.iter().position(|byte| *byte == b'\n');
        let (json, rest) = content.split_at(line.ok_or_else(|| bad("the index has no headers"))?);
        let stored: Stored = from_json(key, json)?;
        check_format(key, stored.format)?;
        let (raw, odd) = rest[1..].as_chunks::<SLOT_HEADER_LEN>();
        if !odd.is_empty() {
            return Err(bad("the index has a part of a header"));
        }
        let headers = raw
            .iter()
            .map(|raw| SlotHeader::decode_apart(raw).map_err(|error| error.at(key)))
            .collect::<Result<Vec<_>>>()?;
        let checksums = headers.iter().map(|header| header.crc).collect();
        let open = Open::from_value(key, block, stored.opened, stored.open)?;
        let end = End::from_value(key, stored.end, checksums)?;
        let mut index = Self {
            open,
            end,
            segments: stored.segments,
            headers,
            raw: raw.to_vec(),
            positions: Vec::new(),
        };
        index.check_slots().and_then(|()| index.place_batches()).map_err(bad)?;
        Ok(index)
    }

    /// Whether the headers are those of a whole block.
    fn check_slots(&self) -> Result<(), &'static str> {
        if !matches!(self.end.verdict, Verdict::Slots(_)) {
            return Err("the index is of a block whose slots are not known");
        }
        if self.headers.len() > self.open.slots as usize {
            return Err("the index has more slots than its block");
        }
        let (mut offset, mut newest) = (self.open.base_offset, self.open.max_timestamp);
        for header in &self.headers {
            if header.base_offset != offset || header.max_timestamp < newest {
                return Err("a slot in the index does not follow the one before it");
            }
            (offset, newest) = (header.next_offset(), header.max_timestamp);
        }
        if self.end.next_offset != offset || self.end.max_timestamp != newest {
            return Err("the end in the index does not follow its slots");
        }
        Ok(())
    }

    /// Computes where batches are, and whether that is what the segments say.
    fn place_batches(&mut self) -> Result<(), &'static str> {
        let named = |segment: &Segment| {
            parse_segment(&segment.name) == Some(self.open.block % BLOCKS_PER_GROUP)
        };
        if !self.segments.iter().all(named) {
            return Err("the index names a segment that is not of its block");
        }
        if self.segments.first().is_some_and(|first| first.first_slot != 0) {
            return Err("the first segment of the index does not begin with the first slot");
        }
        if self.segments.is_empty() {
            return Ok(());
        }
        for number in 0..self.segments.len() {
            let slots = self.slots_of(number);
            if slots.is_empty() {
                return Err("a segment of the index has no slots");
            }
            let mut position = 0;
            for header in &self.headers[slots.start as usize..slots.end as usize] {
                self.positions.push(position);
                position += u64::from(header.batch_len);
            }
            let bytes = self.segments[number].bytes;
            if position != bytes || bytes == 0 || bytes > MAX_SEGMENT_BYTES {
                return Err("a segment of the index has another length than its batches");
            }
        }
        Ok(())
    }

    /// How many slots the block has.
    pub(crate) fn slots(&self) -> u32 {
        self.headers.len() as u32
    }

    /// The slot that has the record of an offset.
    pub(crate) fn slot_at(&self, offset: i64) -> Option<u32> {
        let after = self.headers.partition_point(|header| header.next_offset() <= offset);
        let header = self.headers.get(after)?;
        (header.base_offset <= offset).then_some(after as u32)
    }

    /// The first slot with records for which this is true.
    pub(crate) fn first_data(
        &self,
        wanted: impl Fn(&SlotHeader) -> bool,
    ) -> Option<(u32, &SlotHeader)> {
        let mut slots = (0..).zip(&self.headers);
        slots.find(|(_, header)| header.record_count > 0 && wanted(header))
    }

    /// The headers of all slots.
    pub(crate) fn headers(&self) -> &[SlotHeader] {
        &self.headers
    }

    /// The slots that a segment stands for; empty where the index is not in order.
    fn slots_of(&self, segment: usize) -> Range<u32> {
        let next = self.segments.get(segment + 1).map(|next| next.first_slot);
        let end = next.unwrap_or(self.slots()).min(self.slots());
        self.segments[segment].first_slot..end
    }

    /// The segment that a slot's batch is in; `None` where slots stay where they are.
    pub(crate) fn segment_of(&self, slot: u32) -> Option<usize> {
        if slot >= self.slots() {
            return None;
        }
        self.segments.partition_point(|segment| segment.first_slot <= slot).checked_sub(1)
    }

    /// The batches from a slot on that are in the same segment, up to about `limit` bytes.
    pub(crate) fn part(&self, slot: u32, limit: u64) -> Option<Part> {
        let segment = self.segment_of(slot)?;
        let (begin, last) = (self.positions[slot as usize], self.slots_of(segment).end);
        let (mut end, mut next) = (begin, slot);
        while next < last {
            let len = u64::from(self.headers[next as usize].batch_len);
            if end > begin && end + len - begin > limit {
                break;
            }
            (end, next) = (end + len, next + 1);
        }
        Some(Part { segment, bytes: begin..end, slots: slot..next })
    }

    /// A slot whose batch is in `part`, of which `bytes` were read.
    pub(crate) fn slot(&self, key: &str, part: &Part, bytes: &Bytes, slot: u32) -> Result<Slot> {
        let at = slot as usize;
        let (Some(header), Some(raw)) = (self.headers.get(at), self.raw.get(at)) else {
            return Err(Error::internal(format!("slot {slot} is not in the index of {key}")));
        };
        let begin = self.positions[at].saturating_sub(part.bytes.start) as usize;
        let range = begin..begin + header.batch_len as usize;
        if range.end > bytes.len() {
            let has = part.bytes.start + bytes.len() as u64;
            return Err(Error::corrupt(
                key,
                format_args!(
                    "the segment is cut short: it has {has} bytes of {}",
                    self.segments[part.segment].bytes
                ),
            ));
        }
        Slot::join(raw, bytes.slice(range)).map_err(|error| {
            error.at(&format!("{key} (slot {slot}, at byte {})", self.positions[at]))
        })
    }
}

#[cfg(test)]
mod tests;
