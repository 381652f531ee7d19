//! One object of a log's data: a header of fixed size and the batch it speaks of. Pure: bytes in,
//! bytes out.
//!
//! | at | field | |
//! |---|---|---|
//! | 0 | magic | `KAFC` |
//! | 4 | version | 1 |
//! | 5 | kind | 0 data, 1 seal, 2 fence, 3 reference; 4 (lane) is reserved |
//! | 6 | flags | bit 0: the last slot of its block |
//! | 7 | | 0 |
//! | 8 | base offset | i64 |
//! | 16 | record count | u32 |
//! | 20 | batch length | u32, the bytes after this header |
//! | 24 | maximum timestamp | i64, of every record of the log up to here |
//! | 32 | append time | i64, the writer's clock, Unix ms |
//! | 40 | nonce | u64, fresh for every batch |
//! | 48 | producer id | i64 |
//! | 56 | producer epoch | u32 |
//! | 60 | lease | u32, ms: A of its block |
//! | 64 | sequence | i64, of the first record |
//! | 72 | application sequence | i64, -1 for none |
//! | 80 | opened | i64, Unix seconds: T of its block |
//! | 88 | | 0 |
//! | 92 | checksum | CRC32C of bytes 0 to 91 and then the first 21 bytes of the batch |
//!
//! Those 21 bytes are what the batch's own checksum leaves out, and that checksum. So a look at
//! the first [`PROBE_LEN`] bytes proves the header, and what it proves covers the whole object.
//!
//! A reference has the first 21 bytes of its batch, and then the number (u64) by which the whole
//! batch was put aside, with another base offset. Header and checksum are those of the batch.

#[cfg(test)]
mod tests;

use crate::batch::{
    BATCH_HEADER_LEN, BATCH_PREFIX_LEN, BatchError, BatchHeader, CheckedBatch, MAX_BATCH_BYTES,
};
use bytes::{Buf, BufMut, Bytes};

pub(crate) const SLOT_HEADER_LEN: usize = 96;

/// What has to be fetched of an object to read its header.
pub(crate) const PROBE_LEN: usize = SLOT_HEADER_LEN + BATCH_PREFIX_LEN;

/// What a reference says where its batch is.
const ASIDE_LEN: usize = 8;

const MAGIC: &[u8; 4] = b"KAFC";
const VERSION: u8 = 1;
const CRC_AT: usize = 92;
const FLAG_LAST: u8 = 1;

/// What a slot is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SlotKind {
    /// It carries records.
    Data = 0,
    /// Its block ends before it.
    Seal = 1,
    /// Older epochs of its producer may not write after it.
    Fence = 2,
    /// It says where a batch is that was put aside.
    Reference = 3,
}

impl SlotKind {
    fn from_byte(byte: u8) -> Result<Self, SlotError> {
        match byte {
            0 => Ok(Self::Data),
            1 => Ok(Self::Seal),
            2 => Ok(Self::Fence),
            3 => Ok(Self::Reference),
            _ => Err(SlotError::Unsupported("kind of slot")),
        }
    }
}

/// What is wrong with the bytes of a slot.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SlotError {
    #[error("the object is empty, or larger than any of kaffic's")]
    Empty,
    #[error("the object was not written by kaffic")]
    NotKaffic,
    #[error("the slot is cut short: {has} bytes of {needs}")]
    Truncated { has: usize, needs: usize },
    #[error("the slot's header has the checksum {computed:08x} but {stored:08x} is stored")]
    BadCrc { stored: u32, computed: u32 },
    #[error("the slot is of version {0}, which this version of kaffic can't read")]
    Version(u8),
    #[error("the slot has a {0} that this version of kaffic can't read")]
    Unsupported(&'static str),
    #[error("the slot contradicts itself: {0}")]
    Inconsistent(&'static str),
    #[error(transparent)]
    Batch(#[from] BatchError),
}

impl SlotError {
    /// As an error that names the object.
    pub(crate) fn at(&self, key: &str) -> crate::Error {
        let kind = match self {
            Self::Version(_) | Self::Unsupported(_) => crate::ErrorKind::Unsupported,
            _ => crate::ErrorKind::Corrupt,
        };
        crate::Error::new(kind, format!("{key}: {self}")).with_source(self.clone())
    }
}

/// The header of a slot; the module's table says what each field holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SlotHeader {
    pub(crate) kind: SlotKind,
    /// The last slot of its block.
    pub(crate) last: bool,
    pub(crate) base_offset: i64,
    pub(crate) record_count: u32,
    pub(crate) batch_len: u32,
    /// Never less than in the slots before it.
    pub(crate) max_timestamp: i64,
    pub(crate) append_time: i64,
    pub(crate) nonce: u64,
    pub(crate) producer_id: i64,
    pub(crate) producer_epoch: u32,
    pub(crate) lease_ms: u32,
    pub(crate) sequence: i64,
    pub(crate) app_sequence: i64,
    pub(crate) opened: i64,
    /// As stored; [`encode`](Self::encode) fills it in.
    pub(crate) crc: u32,
}

impl SlotHeader {
    /// The offset of the first record after this slot.
    pub(crate) fn next_offset(&self) -> i64 {
        self.base_offset.saturating_add(i64::from(self.record_count))
    }

    /// The sequence number as the batch carries it.
    pub(crate) fn base_sequence(&self) -> i32 {
        base_sequence(self.sequence)
    }

    /// The header's bytes. `batch_prefix` is the beginning of the batch, at least its first
    /// [`BATCH_PREFIX_LEN`] bytes, or empty where there is no batch.
    pub(crate) fn encode(&mut self, batch_prefix: &[u8]) -> [u8; SLOT_HEADER_LEN] {
        debug_assert_eq!(self.check(), Ok(()));
        let mut header = [0; SLOT_HEADER_LEN];
        let (fields, mut crc_field) = header.split_at_mut(CRC_AT);
        let mut out = &mut fields[..];
        out.put_slice(MAGIC);
        out.put_u8(VERSION);
        out.put_u8(self.kind as u8);
        out.put_u8(if self.last { FLAG_LAST } else { 0 });
        out.put_u8(0);
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
        self.crc = checksum(fields, batch_prefix);
        crc_field.put_u32(self.crc);
        header
    }

    /// Reads a header from the beginning of an object, of which the first [`PROBE_LEN`] bytes
    /// are enough.
    pub(crate) fn decode(object_start: &[u8]) -> Result<Self, SlotError> {
        if object_start.is_empty() {
            return Err(SlotError::Empty);
        }
        let magic = object_start.get(..MAGIC.len()).unwrap_or(object_start);
        if !MAGIC.starts_with(magic) {
            return Err(SlotError::NotKaffic);
        }
        let cut_short = |needs| SlotError::Truncated { has: object_start.len(), needs };
        let header: &[u8; SLOT_HEADER_LEN] =
            object_start.first_chunk().ok_or(cut_short(SLOT_HEADER_LEN))?;
        check_version(header)?;
        let (decoded, rest) = Self::fields(header);
        let batch_prefix = match decoded.batch_len {
            0 => &[],
            _ => object_start.get(SLOT_HEADER_LEN..PROBE_LEN).ok_or(cut_short(PROBE_LEN))?,
        };
        let computed = checksum(&header[..CRC_AT], batch_prefix);
        if computed != decoded.crc {
            return Err(SlotError::BadCrc { stored: decoded.crc, computed });
        }
        // Only now: what is damaged must not be taken for what a newer version wrote.
        decoded.finish(&rest)
    }

    /// Reads a header that stands apart from its batch, in an index, whose own checksum has
    /// proved it.
    pub(crate) fn decode_apart(header: &[u8; SLOT_HEADER_LEN]) -> Result<Self, SlotError> {
        if !header.starts_with(MAGIC) {
            return Err(SlotError::NotKaffic);
        }
        check_version(header)?;
        let (decoded, rest) = Self::fields(header);
        decoded.finish(&rest)
    }

    /// The fields as they stand there, and those that have to be judged when they are proved.
    fn fields(header: &[u8; SLOT_HEADER_LEN]) -> (Self, Unproved) {
        let mut fields = &header[MAGIC.len() + 1..];
        let (kind, flags, zero) = (fields.get_u8(), fields.get_u8(), fields.get_u8());
        let mut decoded = Self {
            kind: SlotKind::Data,
            last: flags & FLAG_LAST != 0,
            base_offset: fields.get_i64(),
            record_count: fields.get_u32(),
            batch_len: fields.get_u32(),
            max_timestamp: fields.get_i64(),
            append_time: fields.get_i64(),
            nonce: fields.get_u64(),
            producer_id: fields.get_i64(),
            producer_epoch: fields.get_u32(),
            lease_ms: fields.get_u32(),
            sequence: fields.get_i64(),
            app_sequence: fields.get_i64(),
            opened: fields.get_i64(),
            crc: 0,
        };
        let reserved = fields.get_u32();
        decoded.crc = fields.get_u32();
        (decoded, Unproved { kind, flags, zero, reserved })
    }

    fn finish(mut self, rest: &Unproved) -> Result<Self, SlotError> {
        self.kind = SlotKind::from_byte(rest.kind)?;
        if rest.flags & !FLAG_LAST != 0 || rest.zero != 0 || rest.reserved != 0 {
            return Err(SlotError::Unsupported("flag"));
        }
        self.check()?;
        Ok(self)
    }

    /// Whether the fields go together and count within their ranges.
    fn check(&self) -> Result<(), SlotError> {
        let wrong = |what| Err(SlotError::Inconsistent(what));
        let (records, bytes) = (self.record_count, self.batch_len as usize);
        match self.kind {
            SlotKind::Data | SlotKind::Reference if records == 0 => {
                return wrong("data without records");
            }
            SlotKind::Data | SlotKind::Reference if bytes <= BATCH_HEADER_LEN => {
                return wrong("data without a batch");
            }
            SlotKind::Seal | SlotKind::Fence if records != 0 || bytes != 0 => {
                return wrong("a seal or fence with records");
            }
            _ => {}
        }
        if bytes > MAX_BATCH_BYTES {
            return wrong("a batch above the limit");
        }
        let count = i64::from(records);
        if records > i32::MAX as u32
            || self.base_offset < 0
            || self.base_offset.checked_add(count).is_none()
        {
            return wrong("offsets out of range");
        }
        if self.sequence < 0 || self.sequence.checked_add(count).is_none() || self.app_sequence < -1
        {
            return wrong("sequence numbers out of range");
        }
        Ok(())
    }
}

/// What a header says beside its fields.
struct Unproved {
    kind: u8,
    flags: u8,
    zero: u8,
    reserved: u32,
}

fn check_version(header: &[u8; SLOT_HEADER_LEN]) -> Result<(), SlotError> {
    match header[MAGIC.len()] {
        VERSION => Ok(()),
        other => Err(SlotError::Version(other)),
    }
}

fn checksum(header: &[u8], batch_prefix: &[u8]) -> u32 {
    let prefix = batch_prefix.get(..BATCH_PREFIX_LEN).unwrap_or(batch_prefix);
    crc32c::crc32c_append(crc32c::crc32c(header), prefix)
}

/// A sequence number as a batch carries it: Kafka's has 31 bits and goes round.
pub(crate) fn base_sequence(sequence: i64) -> i32 {
    (sequence & i64::from(i32::MAX)) as i32
}

/// What follows the header of a reference: the beginning of the batch, and where the batch is.
pub(crate) fn reference(batch_prefix: &[u8], aside: u64) -> Vec<u8> {
    let prefix = batch_prefix.get(..BATCH_PREFIX_LEN).unwrap_or(batch_prefix);
    let mut out = Vec::with_capacity(BATCH_PREFIX_LEN + ASIDE_LEN);
    out.extend_from_slice(prefix);
    out.put_u64(aside);
    out
}

/// The number by which the batch was put aside, if this is the object of a reference.
pub(crate) fn aside_of(object: &[u8]) -> Option<u64> {
    let is_reference = object.starts_with(MAGIC) && object.get(5) == Some(&3);
    let mut number = object.get(PROBE_LEN..).filter(|number| number.len() == ASIDE_LEN)?;
    is_reference.then(|| number.get_u64())
}

/// The object of a slot, from that of a reference and the batch that was put aside.
pub(crate) fn with_aside(reference: &[u8], aside: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(SLOT_HEADER_LEN + aside.len());
    out.extend_from_slice(reference.get(..PROBE_LEN).unwrap_or(reference));
    out.extend_from_slice(aside.get(BATCH_PREFIX_LEN..).unwrap_or_default());
    Bytes::from(out)
}

/// A whole object.
#[derive(Debug, Clone)]
pub(crate) struct Slot {
    pub(crate) header: SlotHeader,
    /// The Kafka batch of a data slot, checked.
    pub(crate) batch: Option<CheckedBatch>,
}

impl Slot {
    /// Reads a whole object and checks everything of it but the records themselves.
    pub(crate) fn decode(object: &Bytes) -> Result<Self, SlotError> {
        let header = SlotHeader::decode(object)?;
        let (has, needs) = (object.len(), SLOT_HEADER_LEN + header.batch_len as usize);
        if has < needs {
            return Err(SlotError::Truncated { has, needs });
        }
        if has > needs {
            return Err(SlotError::Inconsistent("bytes follow its batch"));
        }
        Self::with_batch(header, object.slice(SLOT_HEADER_LEN..))
    }

    /// Puts a header and its batch together, which a segment keeps apart, and checks the same.
    pub(crate) fn join(header: &[u8; SLOT_HEADER_LEN], batch: Bytes) -> Result<Self, SlotError> {
        let prefix = batch.get(..BATCH_PREFIX_LEN).unwrap_or(&batch);
        let mut start = [0; PROBE_LEN];
        start[..SLOT_HEADER_LEN].copy_from_slice(header);
        let end = SLOT_HEADER_LEN + prefix.len();
        start[SLOT_HEADER_LEN..end].copy_from_slice(prefix);
        let header = SlotHeader::decode(&start[..end])?;
        if batch.len() != header.batch_len as usize {
            return Err(SlotError::Inconsistent("its batch has another length"));
        }
        Self::with_batch(header, batch)
    }

    fn with_batch(header: SlotHeader, batch: Bytes) -> Result<Self, SlotError> {
        if header.batch_len == 0 {
            return Ok(Self { header, batch: None });
        }
        let batch = CheckedBatch::new(batch)?;
        agrees(&header, &batch.header)?;
        Ok(Self { header, batch: Some(batch) })
    }
}

/// Whether the header speaks of this batch.
fn agrees(slot: &SlotHeader, batch: &BatchHeader) -> Result<(), SlotError> {
    let wrong = |what| Err(SlotError::Inconsistent(what));
    if batch.base_offset != slot.base_offset {
        return wrong("its batch has another base offset");
    }
    if batch.count != slot.record_count
        || i64::from(batch.last_offset_delta) + 1 != i64::from(slot.record_count)
    {
        return wrong("its batch has another count of records");
    }
    if batch.producer_id != slot.producer_id || batch.base_sequence != slot.base_sequence() {
        return wrong("its batch has another producer or sequence");
    }
    if batch.max_timestamp > slot.max_timestamp {
        return wrong("its batch has a later timestamp");
    }
    if batch.is_control {
        return wrong("its batch is one of Kafka's control batches");
    }
    Ok(())
}
