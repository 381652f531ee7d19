//! Reads batches. Keys, values and header values are slices of the batch's memory, or of what it
//! was decompressed into: nothing is copied a record.

use super::{
    BATCH_HEADER_LEN, BATCH_PREFIX_LEN, BatchError, CONTROL, Compression, LENGTH_END,
    LOG_APPEND_TIME, MAGIC, MAX_BATCH_BYTES, MAX_RECORDS_BYTES, TRANSACTIONAL, compress, varint,
};
use crate::record::RecordView;
use bytes::{Buf, Bytes, TryGetError};

/// Headers for which room is made before they are read: a count may lie.
const HEADERS_AT_ONCE: i64 = 16;

/// The header of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BatchHeader {
    pub(crate) base_offset: i64,
    /// The bytes of the whole batch, this header included.
    pub(crate) batch_len: usize,
    pub(crate) leader_epoch: i32,
    pub(crate) crc: u32,
    pub(crate) compression: Compression,
    /// Every record has `max_timestamp`, the time at which a Kafka broker appended it.
    pub(crate) log_append_time: bool,
    pub(crate) is_transactional: bool,
    /// The records are Kafka's transaction markers, no one's data.
    pub(crate) is_control: bool,
    pub(crate) last_offset_delta: i32,
    pub(crate) base_timestamp: i64,
    pub(crate) max_timestamp: i64,
    pub(crate) producer_id: i64,
    pub(crate) producer_epoch: i16,
    pub(crate) base_sequence: i32,
    pub(crate) count: u32,
}

impl BatchHeader {
    /// Reads a header from the front of `bytes`, which may hold less or more than the batch.
    ///
    /// Only its own consistency is looked at: the checksum needs the whole batch ([`check`]).
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, BatchError> {
        Self::fields(bytes)
            .map_err(|_| BatchError::Truncated { has: bytes.len(), needs: BATCH_HEADER_LEN })?
    }

    fn fields(mut bytes: &[u8]) -> Result<Result<Self, BatchError>, TryGetError> {
        let base_offset = bytes.try_get_i64()?;
        let length = bytes.try_get_i32()?;
        let leader_epoch = bytes.try_get_i32()?;
        let magic = bytes.try_get_i8()?;
        if magic != MAGIC {
            return Ok(Err(BatchError::BadMagic(magic)));
        }
        let crc = bytes.try_get_u32()?;
        let attributes = bytes.try_get_i16()?;
        let last_offset_delta = bytes.try_get_i32()?;
        let base_timestamp = bytes.try_get_i64()?;
        let max_timestamp = bytes.try_get_i64()?;
        let producer_id = bytes.try_get_i64()?;
        let producer_epoch = bytes.try_get_i16()?;
        let base_sequence = bytes.try_get_i32()?;
        let count = bytes.try_get_i32()?;
        let checked = checked_sizes(base_offset, length, last_offset_delta, count);
        Ok(checked.and_then(|(batch_len, count)| {
            Ok(Self {
                base_offset,
                batch_len,
                leader_epoch,
                crc,
                compression: Compression::from_attributes(attributes)?,
                log_append_time: attributes & LOG_APPEND_TIME != 0,
                is_transactional: attributes & TRANSACTIONAL != 0,
                is_control: attributes & CONTROL != 0,
                last_offset_delta,
                base_timestamp,
                max_timestamp,
                producer_id,
                producer_epoch,
                base_sequence,
                count,
            })
        }))
    }
}

/// The whole length and the count of records, if the numbers of a header go together.
fn checked_sizes(
    base_offset: i64,
    length: i32,
    last_offset_delta: i32,
    count: i32,
) -> Result<(usize, u32), BatchError> {
    let bad = |what| Err(BatchError::BadHeader(what));
    let Some(batch_len) = usize::try_from(length).ok().and_then(|l| l.checked_add(LENGTH_END))
    else {
        return bad("its length is negative");
    };
    if batch_len > MAX_BATCH_BYTES {
        return Err(BatchError::TooLarge { what: "the batch", limit: MAX_BATCH_BYTES });
    }
    if batch_len <= BATCH_HEADER_LEN {
        return bad("its length leaves no room for records");
    }
    let count = match u32::try_from(count) {
        Ok(0) => return bad("it has no records"),
        Ok(count) => count,
        Err(_) => return bad("its count of records is negative"),
    };
    // Kafka's compaction takes records out of batches, so there may be fewer, never more.
    if i64::from(last_offset_delta) < i64::from(count) - 1 {
        return bad("it has more records than offsets");
    }
    if base_offset < 0 || base_offset.checked_add(i64::from(last_offset_delta) + 1).is_none() {
        return bad("its offsets are out of range");
    }
    Ok((batch_len, count))
}

/// Checks that `batch` is one whole batch with the checksum it should have.
pub(crate) fn check(batch: &Bytes) -> Result<BatchHeader, BatchError> {
    let header = BatchHeader::parse(batch)?;
    check_len(&header, batch)?;
    let computed = crc32c::crc32c(batch.get(BATCH_PREFIX_LEN..).unwrap_or_default());
    if computed != header.crc {
        return Err(BatchError::BadCrc { stored: header.crc, computed });
    }
    Ok(header)
}

fn check_len(header: &BatchHeader, batch: &Bytes) -> Result<(), BatchError> {
    let (has, needs) = (batch.len(), header.batch_len);
    match has.checked_sub(needs) {
        None => Err(BatchError::Truncated { has, needs }),
        Some(0) => Ok(()),
        Some(extra) => Err(BatchError::Trailing(extra)),
    }
}

/// Checks `batch` and reads its records.
#[cfg(test)]
pub(crate) fn decode(batch: &Bytes) -> Result<Decoded, BatchError> {
    CheckedBatch::new(batch.clone())?.records().map(Decoded)
}

/// The records of a batch as a consumer hands them out.
#[cfg(test)]
pub(crate) struct Decoded(Records);

#[cfg(test)]
impl Iterator for Decoded {
    type Item = Result<crate::record::ConsumerRecord, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        use crate::record::RecordSink;
        Some(self.0.next()?.map(|(memory, view)| {
            let mut taken = Vec::new();
            RecordSink::take(&mut taken, &"t".into(), 0, memory, view);
            taken.remove(0)
        }))
    }
}

/// A batch that [`check`] has passed.
#[derive(Debug, Clone)]
pub(crate) struct CheckedBatch {
    pub(crate) header: BatchHeader,
    bytes: Bytes,
}

impl CheckedBatch {
    /// Checks a batch.
    pub(crate) fn new(bytes: Bytes) -> Result<Self, BatchError> {
        Ok(Self { header: check(&bytes)?, bytes })
    }

    /// Its records, without computing its checksum again.
    pub(crate) fn records(&self) -> Result<Records, BatchError> {
        let body = self.bytes.slice(BATCH_HEADER_LEN.min(self.bytes.len())..);
        let bytes = match self.header.compression {
            Compression::None => body,
            codec => Bytes::from(compress::decompress(codec, &body, MAX_RECORDS_BYTES)?),
        };
        let header = self.header;
        Ok(Records { header, bytes, position: 0, read: 0, last_delta: -1, ended: false })
    }
}

/// A place between two records of a batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RecordPlace {
    position: usize,
    read: u32,
    last_delta: i64,
}

/// The records of a batch, one after the other. Ends after the first error.
#[derive(Debug)]
pub(crate) struct Records {
    header: BatchHeader,
    bytes: Bytes,
    position: usize,
    read: u32,
    last_delta: i64,
    ended: bool,
}

impl Records {
    /// Whether nothing more comes, not even an error.
    pub(crate) fn is_over(&self) -> bool {
        self.ended || (self.read >= self.header.count && self.position >= self.bytes.len())
    }

    /// A place to [go back](Self::go_back) to.
    pub(crate) fn place(&self) -> RecordPlace {
        RecordPlace { position: self.position, read: self.read, last_delta: self.last_delta }
    }

    /// Goes back to before the record that came next at a place, if one did.
    pub(crate) fn go_back(&mut self, place: RecordPlace) {
        (self.position, self.read) = (place.position, place.read);
        self.last_delta = place.last_delta;
    }

    /// The next record, and the memory in which it lies.
    pub(crate) fn next(&mut self) -> Option<Result<(&Bytes, RecordView<'_>), BatchError>> {
        if self.ended {
            return None;
        }
        if self.read >= self.header.count {
            self.ended = true;
            return match self.bytes.len().saturating_sub(self.position) {
                0 => None,
                extra => Some(Err(BatchError::TrailingRecords(extra))),
            };
        }
        let read = record(&self.header, &self.bytes, self.position, self.read, self.last_delta);
        self.read += 1;
        Some(match read {
            Ok((view, end, delta)) => {
                (self.position, self.last_delta) = (end, delta);
                Ok((&self.bytes, view))
            }
            Err(error) => {
                self.ended = true;
                Err(error)
            }
        })
    }
}

/// The record at a position, where it ends, and its offset's distance from the batch's.
fn record<'a>(
    header: &BatchHeader,
    bytes: &'a [u8],
    position: usize,
    index: u32,
    last_delta: i64,
) -> Result<(RecordView<'a>, usize, i64), BatchError> {
    let bad = |what| BatchError::BadRecord { index, what };
    let mut rest = bytes.get(position..).unwrap_or_default();
    let len = varint::take(&mut rest).ok_or(bad("its length is missing"))?;
    let content = usize::try_from(len).ok().and_then(|len| rest.get(..len));
    let content = content.ok_or(bad("it is longer than the batch"))?;
    let mut fields = Fields { rest: content, index };

    fields.attributes()?;
    let timestamp_delta = fields.number("its timestamp is cut short")?;
    let delta = fields.number("its offset is cut short")?;
    if delta <= last_delta || delta > i64::from(header.last_offset_delta) {
        return Err(bad("its offset is out of order"));
    }
    let key = fields.nullable("its key is longer than the record")?;
    let value = fields.nullable("its value is longer than the record")?;
    let headers = fields.headers()?;
    if !fields.rest.is_empty() {
        return Err(bad("bytes follow its last field"));
    }

    let end = bytes.len() - (rest.len() - content.len());
    let timestamp = if header.log_append_time {
        header.max_timestamp
    } else {
        header.base_timestamp.wrapping_add(timestamp_delta)
    };
    // No overflow: the header's last offset is in range and this one is not beyond it.
    let offset = header.base_offset.saturating_add(delta);
    Ok((RecordView { offset, timestamp, key, value, headers }, end, delta))
}

/// A header's name and value.
type HeaderView<'a> = (&'a str, Option<&'a [u8]>);

/// What is left of one record.
struct Fields<'a> {
    rest: &'a [u8],
    index: u32,
}

impl<'a> Fields<'a> {
    fn bad(&self, what: &'static str) -> BatchError {
        BatchError::BadRecord { index: self.index, what }
    }

    /// A record's attributes mean nothing yet, so they are passed over as Kafka's clients do.
    fn attributes(&mut self) -> Result<(), BatchError> {
        let (_, rest) = self.rest.split_first().ok_or(self.bad("it is empty"))?;
        self.rest = rest;
        Ok(())
    }

    fn number(&mut self, missing: &'static str) -> Result<i64, BatchError> {
        varint::take(&mut self.rest)
            .ok_or(BatchError::BadRecord { index: self.index, what: missing })
    }

    /// A length and as many bytes; a negative length is null.
    fn nullable(&mut self, too_long: &'static str) -> Result<Option<&'a [u8]>, BatchError> {
        let len = self.number(too_long)?;
        let Ok(len) = usize::try_from(len) else {
            return if len == -1 { Ok(None) } else { Err(self.bad("a length is negative")) };
        };
        let (bytes, rest) = self.rest.split_at_checked(len).ok_or(self.bad(too_long))?;
        self.rest = rest;
        Ok(Some(bytes))
    }

    fn headers(&mut self) -> Result<Vec<HeaderView<'a>>, BatchError> {
        let count = self.number("its count of headers is missing")?;
        if count < 0 {
            return Err(self.bad("its count of headers is negative"));
        }
        let mut headers = Vec::with_capacity(count.min(HEADERS_AT_ONCE) as usize);
        for _ in 0..count {
            let len = self.number("a header is missing")?;
            let name = usize::try_from(len).ok().and_then(|len| self.rest.split_at_checked(len));
            let (name, rest) = name.ok_or(self.bad("a header's name is longer than the record"))?;
            let name = std::str::from_utf8(name)
                .map_err(|_| BatchError::InvalidUtf8 { index: self.index })?;
            self.rest = rest;
            let value = self.nullable("a header's value is longer than the record")?;
            headers.push((name, value));
        }
        Ok(headers)
    }
}
