//! The records of a simulation: each says who wrote it and as which, in bytes that can be found in
//! a stored object without decoding it. So the oracle knows what the store holds without asking
//! the library.

use bytes::Bytes;
use kaffic_core::{ConsumerRecord, Record};

const MAGIC: &[u8; 4] = b"\xe5SIM";
const LEN: usize = 12;

/// A record: the writer and its number there, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Rec {
    pub(crate) writer: u32,
    pub(crate) seq: u32,
}

impl std::fmt::Display for Rec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "w{}#{}", self.writer, self.seq)
    }
}

impl Rec {
    /// The record to be sent.
    pub(crate) fn record(self) -> Record {
        let mut value = Vec::with_capacity(LEN + 8);
        value.extend_from_slice(MAGIC);
        value.extend_from_slice(&self.writer.to_be_bytes());
        value.extend_from_slice(&self.seq.to_be_bytes());
        value.resize(LEN + (self.seq % 5) as usize, b'.');
        let record = Record::value(value).partition(0);
        if self.seq.is_multiple_of(2) { record.key(self.key()) } else { record }
    }

    fn key(self) -> Bytes {
        Bytes::copy_from_slice(&self.writer.to_be_bytes())
    }

    /// Reads a record that was delivered; an error says how it differs from what was sent.
    pub(crate) fn read(record: &ConsumerRecord) -> Result<Self, String> {
        let value = record.value.as_deref().unwrap_or_default();
        let Some(found) = find(value).first().copied() else {
            return Err(format!("offset {} holds {value:?}, which nobody sent", record.offset));
        };
        let sent = found.record();
        if (&sent.key, &sent.value) != (&record.key, &record.value) || !record.headers.is_empty() {
            return Err(format!("{found} came back as {record:?}"));
        }
        Ok(found)
    }
}

/// The records in an object, in order.
pub(crate) fn find(bytes: &[u8]) -> Vec<Rec> {
    let mut found = Vec::new();
    let mut at = 0;
    while at + LEN <= bytes.len() {
        if bytes[at] == MAGIC[0] && bytes[at..].starts_with(MAGIC) {
            let number = |from: usize| {
                bytes[from..from + 4].iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte))
            };
            found.push(Rec { writer: number(at + 4), seq: number(at + 8) });
            at += LEN;
        } else {
            at += 1;
        }
    }
    found
}

/// The name of the object in a slot's directory that has its batch, if that was put aside.
pub(crate) fn aside_name(object: &[u8]) -> Option<String> {
    let nonce = object.get(117..125).filter(|_| object.len() == 125 && object[5] == 3)?;
    Some(format!("{:016x}.batch", nonce.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))))
}

/// The offset of the first record in a slot's object: bytes 8 to 15 of its header.
pub(crate) fn base_offset(object: &[u8]) -> Option<i64> {
    object.get(8..16).map(|bytes| bytes.iter().fold(0, |sum, byte| sum << 8 | i64::from(*byte)))
}

/// The records of a segment, each with its offset: batches one after another, each of which begins
/// with its base offset and then its length, which does not count these 12 bytes.
pub(crate) fn places(mut segment: &[u8]) -> Vec<(i64, Rec)> {
    let mut places = Vec::new();
    while let Some(start) = segment.first_chunk::<12>() {
        let number = |bytes: &[u8]| bytes.iter().fold(0, |sum, byte| sum << 8 | i64::from(*byte));
        let (base, len) = (number(&start[..8]), 12 + number(&start[8..]) as usize);
        let (batch, rest) = segment.split_at(len.min(segment.len()));
        places.extend((base..).zip(find(batch)));
        segment = rest;
    }
    places
}

/// The names of the segments in a block's index.
pub(crate) fn segment_names(index: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(index);
    let names = text.split("\"name\":\"").skip(1);
    names.filter_map(|after| Some(after.split_once('"')?.0.to_owned())).collect()
}

/// Who wrote a slot's object: bytes 48 to 55 of its header.
#[cfg(test)]
pub(crate) fn producer_id(object: &[u8]) -> Option<i64> {
    object.get(48..56).map(|bytes| bytes.iter().fold(0, |sum, byte| sum << 8 | i64::from(*byte)))
}

/// `lease_ms` in the JSON of a block's `open`.
pub(crate) fn lease_ms(open: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(open).ok()?;
    let (_, after) = text.split_once("\"lease_ms\":")?;
    let digits = after.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}
