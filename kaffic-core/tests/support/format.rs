//! The storage format written down once more, by hand and apart from the library: keys, the slot
//! header, and the Kafka batch behind it. What the library writes is compared with this, and what
//! this writes the library has to read.

use bytes::{Buf, BufMut, Bytes};

pub(crate) const HEADER_LEN: usize = 96;
/// What stands before a batch's own checksum, and that checksum.
pub(crate) const BATCH_PREFIX_LEN: usize = 21;

/// The directory of a block's slots.
pub(crate) fn block_dir(topic: &str, block: u64) -> String {
    format!("data/{topic}/0/00000/{:09}/{:03}", block / 1000, block % 1000)
}

/// A slot of partition 0 of a topic that was not deleted before.
pub(crate) fn slot_key(topic: &str, block: u64, slot: u32) -> String {
    format!("{}/{slot:03}", block_dir(topic, block))
}

/// A block's `open` or `end`.
pub(crate) fn block_key(topic: &str, block: u64, name: &str) -> String {
    format!("meta/logs/{topic}/0/00000/{:09}/{:03}/{name}", block / 1000, block % 1000)
}

/// A link of a topic's chain.
pub(crate) fn topic_key(topic: &str, version: u32) -> String {
    format!("meta/topics/{topic}/{version:09}")
}

/// The header of a slot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) base_offset: i64,
    pub(crate) record_count: u32,
    pub(crate) batch_len: u32,
    pub(crate) max_timestamp: i64,
    pub(crate) append_time: i64,
    pub(crate) nonce: u64,
    pub(crate) producer_id: i64,
    pub(crate) producer_epoch: u32,
    pub(crate) lease_ms: u32,
    pub(crate) sequence: i64,
    pub(crate) app_sequence: i64,
    pub(crate) opened: i64,
}

impl Header {
    /// Takes a header off the front of an object, checking all that has to be the same in each.
    pub(crate) fn parse(object: &[u8]) -> Self {
        let mut at = object;
        assert_eq!(&at[..4], b"KAFC");
        at.advance(4);
        assert_eq!(at.get_u8(), 1, "version");
        let (kind, flags) = (at.get_u8(), at.get_u8());
        assert_eq!(at.get_u8(), 0);
        let header = Self {
            kind,
            flags,
            base_offset: at.get_i64(),
            record_count: at.get_u32(),
            batch_len: at.get_u32(),
            max_timestamp: at.get_i64(),
            append_time: at.get_i64(),
            nonce: at.get_u64(),
            producer_id: at.get_i64(),
            producer_epoch: at.get_u32(),
            lease_ms: at.get_u32(),
            sequence: at.get_i64(),
            app_sequence: at.get_i64(),
            opened: at.get_i64(),
        };
        assert_eq!(at.get_u32(), 0);
        let prefix = &object[HEADER_LEN..object.len().min(HEADER_LEN + BATCH_PREFIX_LEN)];
        let covered = [&object[..92], prefix].concat();
        assert_eq!(at.get_u32(), crc32c::crc32c(&covered), "checksum");
        assert_eq!(object.len(), HEADER_LEN + header.batch_len as usize);
        header
    }

    /// The header's bytes and then the batch.
    pub(crate) fn object(&self, batch: &[u8]) -> Bytes {
        let mut out = Vec::with_capacity(HEADER_LEN + batch.len());
        out.put_slice(b"KAFC");
        out.put_slice(&[1, self.kind, self.flags, 0]);
        out.put_i64(self.base_offset);
        out.put_u32(self.record_count);
        out.put_u32(self.batch_len);
        out.put_i64(self.max_timestamp);
        out.put_i64(self.append_time);
        out.put_u64(self.nonce);
        out.put_i64(self.producer_id);
        out.put_u32(self.producer_epoch);
        out.put_u32(self.lease_ms);
        out.put_i64(self.sequence);
        out.put_i64(self.app_sequence);
        out.put_i64(self.opened);
        out.put_u32(0);
        let prefix = &batch[..batch.len().min(BATCH_PREFIX_LEN)];
        let crc = crc32c::crc32c(&[&out[..], prefix].concat());
        out.put_u32(crc);
        out.put_slice(batch);
        Bytes::from(out)
    }

    /// The header's stored checksum.
    pub(crate) fn checksum(object: &[u8]) -> u32 {
        (&object[92..]).get_u32()
    }
}

/// A record as it stands in a batch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct BatchRecord {
    pub(crate) timestamp: i64,
    pub(crate) offset: i64,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: Vec<(String, Option<Vec<u8>>)>,
}

/// The fields of a Kafka batch's header that kaffic gives.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct BatchHead {
    pub(crate) base_offset: i64,
    pub(crate) attributes: i16,
    pub(crate) base_timestamp: i64,
    pub(crate) max_timestamp: i64,
    pub(crate) producer_id: i64,
    pub(crate) producer_epoch: i16,
    pub(crate) base_sequence: i32,
}

/// A batch that is not compressed.
pub(crate) fn batch(head: &BatchHead, records: &[BatchRecord]) -> Vec<u8> {
    let mut checked = Vec::new();
    checked.put_i16(head.attributes);
    checked.put_i32(records.len() as i32 - 1);
    checked.put_i64(head.base_timestamp);
    checked.put_i64(head.max_timestamp);
    checked.put_i64(head.producer_id);
    checked.put_i16(head.producer_epoch);
    checked.put_i32(head.base_sequence);
    checked.put_i32(records.len() as i32);
    for record in records {
        let mut body = vec![0];
        put_varint(&mut body, record.timestamp - head.base_timestamp);
        put_varint(&mut body, record.offset - head.base_offset);
        put_bytes(&mut body, record.key.as_deref());
        put_bytes(&mut body, record.value.as_deref());
        put_varint(&mut body, record.headers.len() as i64);
        for (name, value) in &record.headers {
            put_bytes(&mut body, Some(name.as_bytes()));
            put_bytes(&mut body, value.as_deref());
        }
        put_varint(&mut checked, body.len() as i64);
        checked.put_slice(&body);
    }
    let mut out = Vec::new();
    out.put_i64(head.base_offset);
    out.put_i32((checked.len() + 9) as i32);
    out.put_i32(0);
    out.put_i8(2);
    out.put_u32(crc32c::crc32c(&checked));
    out.put_slice(&checked);
    out
}

/// Takes an uncompressed batch apart.
pub(crate) fn parse_batch(mut at: &[u8]) -> (BatchHead, Vec<BatchRecord>) {
    let base_offset = at.get_i64();
    assert_eq!(at.get_i32() as usize, at.len(), "batch length");
    assert_eq!(at.get_i32(), 0, "leader epoch");
    assert_eq!(at.get_i8(), 2, "magic");
    let crc = at.get_u32();
    assert_eq!(crc, crc32c::crc32c(at), "batch checksum");
    let attributes = at.get_i16();
    let last_delta = at.get_i32();
    let head = BatchHead {
        base_offset,
        attributes,
        base_timestamp: at.get_i64(),
        max_timestamp: at.get_i64(),
        producer_id: at.get_i64(),
        producer_epoch: at.get_i16(),
        base_sequence: at.get_i32(),
    };
    let count = at.get_i32();
    assert_eq!(last_delta, count - 1);
    let records = (0..count).map(|_| record(&mut at, &head)).collect();
    assert!(at.is_empty(), "bytes follow the records");
    (head, records)
}

fn record(at: &mut &[u8], head: &BatchHead) -> BatchRecord {
    let len = varint(at) as usize;
    let mut body = &at[..len];
    at.advance(len);
    assert_eq!(body.get_u8(), 0, "record attributes");
    let timestamp = head.base_timestamp + varint(&mut body);
    let offset = head.base_offset + varint(&mut body);
    let (key, value) = (bytes(&mut body), bytes(&mut body));
    let headers = (0..varint(&mut body))
        .map(|_| {
            let name = bytes(&mut body).expect("a header has a name");
            (String::from_utf8(name).expect("UTF-8"), bytes(&mut body))
        })
        .collect();
    assert!(body.is_empty());
    BatchRecord { timestamp, offset, key, value, headers }
}

fn varint(at: &mut &[u8]) -> i64 {
    let (mut raw, mut shift) = (0u64, 0);
    loop {
        let byte = at.get_u8();
        raw |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte < 0x80 {
            return (raw >> 1) as i64 ^ -((raw & 1) as i64);
        }
    }
}

fn put_varint(out: &mut Vec<u8>, value: i64) {
    let mut raw = (value << 1 ^ value >> 63) as u64;
    while raw >= 0x80 {
        out.push(raw as u8 | 0x80);
        raw >>= 7;
    }
    out.push(raw as u8);
}

fn bytes(at: &mut &[u8]) -> Option<Vec<u8>> {
    let len = usize::try_from(varint(at)).ok()?;
    let value = at[..len].to_vec();
    at.advance(len);
    Some(value)
}

fn put_bytes(out: &mut Vec<u8>, value: Option<&[u8]>) {
    match value {
        None => put_varint(out, -1),
        Some(value) => {
            put_varint(out, value.len() as i64);
            out.put_slice(value);
        }
    }
}
