//! Builds batches: records are encoded as they come, straight into one buffer, and compressed
//! once. The header is made apart from the body, so that a batch that lost its place in the log
//! gets another base offset without its body being touched.

use super::decode::CheckedBatch;
use super::{
    BATCH_HEADER_LEN, BATCH_PREFIX_LEN, Compression, LENGTH_END, MAGIC, MAX_BATCH_BYTES,
    MAX_RECORDS_BYTES, compress, crc, varint,
};
use crate::error::{Error, ErrorKind, Result};
use crate::record::Record;
use bytes::{BufMut, Bytes};
use std::io;

/// Kafka's word for "no timestamp".
const NO_TIMESTAMP: i64 = -1;

const NULL: i64 = -1;

/// Gathers records into a batch.
#[derive(Debug)]
pub(crate) struct BatchBuilder {
    records: Vec<u8>,
    count: u32,
    first_timestamp: i64,
    max_timestamp: i64,
}

impl BatchBuilder {
    /// A builder with room for `capacity` bytes of encoded records before it has to grow.
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            records: Vec::with_capacity(capacity),
            count: 0,
            first_timestamp: NO_TIMESTAMP,
            max_timestamp: NO_TIMESTAMP,
        }
    }

    /// Adds a record. `timestamp` is what it is stored with: its own, or the time of sending.
    pub(crate) fn push(&mut self, record: &Record, timestamp: i64) {
        if self.count == 0 {
            self.first_timestamp = timestamp;
            self.max_timestamp = timestamp;
        }
        self.max_timestamp = self.max_timestamp.max(timestamp);
        // Wraps as Kafka's arithmetic does, and comes back right when it is added again.
        let timestamp_delta = timestamp.wrapping_sub(self.first_timestamp);
        let offset_delta = i64::from(self.count);
        let len = content_len(record, timestamp_delta, offset_delta);

        let out = &mut self.records;
        out.reserve(varint::len(len as i64) + len);
        varint::put(out, len as i64);
        out.push(0); // A record's attributes; none are defined.
        varint::put(out, timestamp_delta);
        varint::put(out, offset_delta);
        put_nullable(out, record.key.as_ref());
        put_nullable(out, record.value.as_ref());
        varint::put(out, record.headers.len() as i64);
        for header in &record.headers {
            varint::put(out, header.name.len() as i64);
            out.extend_from_slice(header.name.as_bytes());
            put_nullable(out, header.value.as_ref());
        }
        self.count = self.count.saturating_add(1);
    }

    /// The bytes of the encoded records so far.
    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    /// Compresses what was gathered.
    ///
    /// Fails where there are no records, or more than a reader would take.
    pub(crate) fn finish(self, compression: Compression) -> Result<EncodedBatch> {
        if self.count == 0 || self.count > i32::MAX as u32 {
            return Err(Error::internal(format!("a batch of {} records", self.count)));
        }
        check_size("records before compression", self.records.len(), MAX_RECORDS_BYTES)?;
        let body = compress::compress(compression, self.records).map_err(|e: io::Error| {
            Error::internal(format!("compressing a batch with {compression}")).with_source(e)
        })?;
        check_size("a batch", BATCH_HEADER_LEN + body.len(), MAX_BATCH_BYTES)?;
        Ok(EncodedBatch {
            body_crc: crc32c::crc32c(&body),
            body: Bytes::from(body),
            count: self.count,
            first_timestamp: self.first_timestamp,
            max_timestamp: self.max_timestamp,
            compression,
        })
    }
}

fn check_size(what: &str, len: usize, limit: usize) -> Result<()> {
    if len <= limit {
        return Ok(());
    }
    let message = format!("{len} bytes of {what}, more than the limit of {limit}");
    Err(Error::new(ErrorKind::RecordTooLarge, message))
}

/// The bytes of an encoded record after its own length.
fn content_len(record: &Record, timestamp_delta: i64, offset_delta: i64) -> usize {
    let headers: usize = record
        .headers
        .iter()
        .map(|h| varint::len(h.name.len() as i64) + h.name.len() + nullable_len(h.value.as_ref()))
        .sum();
    1 + varint::len(timestamp_delta)
        + varint::len(offset_delta)
        + nullable_len(record.key.as_ref())
        + nullable_len(record.value.as_ref())
        + varint::len(record.headers.len() as i64)
        + headers
}

fn nullable_len(bytes: Option<&Bytes>) -> usize {
    bytes.map_or(varint::len(NULL), |b| varint::len(b.len() as i64) + b.len())
}

fn put_nullable(out: &mut Vec<u8>, bytes: Option<&Bytes>) {
    match bytes {
        None => varint::put(out, NULL),
        Some(bytes) => {
            varint::put(out, bytes.len() as i64);
            out.extend_from_slice(bytes);
        }
    }
}

/// A batch whose body is final and whose place in the log is not yet. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct EncodedBatch {
    body: Bytes,
    body_crc: u32,
    count: u32,
    first_timestamp: i64,
    max_timestamp: i64,
    compression: Compression,
}

impl EncodedBatch {
    /// The header that goes before [`body`](Self::body) at this place in the log.
    ///
    /// Does not read the body: its checksum is combined with that of the header.
    pub(crate) fn header(
        &self,
        base_offset: i64,
        producer_id: i64,
        producer_epoch: i16,
        base_sequence: i32,
    ) -> [u8; BATCH_HEADER_LEN] {
        let mut checked = Vec::with_capacity(BATCH_HEADER_LEN - BATCH_PREFIX_LEN);
        checked.put_i16(self.compression.id());
        checked.put_i32(self.count as i32 - 1);
        checked.put_i64(self.first_timestamp);
        checked.put_i64(self.max_timestamp);
        checked.put_i64(producer_id);
        checked.put_i16(producer_epoch);
        checked.put_i32(base_sequence);
        checked.put_i32(self.count as i32);
        let crc = crc::combine(crc32c::crc32c(&checked), self.body_crc, self.body.len());

        let mut header = [0; BATCH_HEADER_LEN];
        let mut out = &mut header[..];
        out.put_i64(base_offset);
        out.put_i32((self.len() - LENGTH_END) as i32);
        out.put_i32(0); // The partition leader's epoch: there are no leaders.
        out.put_i8(MAGIC);
        out.put_u32(crc);
        out.put_slice(&checked);
        header
    }

    /// The same without the first so many records, of which at least one is left.
    pub(crate) fn without_first(&self, records: u32) -> Result<Self> {
        let broken = |error| Error::internal("a batch of our own can't be read").with_source(error);
        let mut bytes = self.header(0, 0, 0, 0).to_vec();
        bytes.extend_from_slice(&self.body);
        let mut builder = BatchBuilder::new(bytes.len());
        let batch = CheckedBatch::new(Bytes::from(bytes)).map_err(broken)?;
        let (mut all, mut passed) = (batch.records().map_err(broken)?, 0);
        while let Some(record) = all.next() {
            let (memory, record) = record.map_err(broken)?;
            if passed == records {
                let timestamp = record.timestamp;
                let (key, value, headers) = record.shared(memory);
                builder.push(&Record { key, value, headers, ..Record::default() }, timestamp);
            } else {
                passed += 1;
            }
        }
        builder.finish(self.compression)
    }

    /// Everything after the header.
    pub(crate) fn body(&self) -> &Bytes {
        &self.body
    }

    /// The bytes of header and body.
    pub(crate) fn len(&self) -> usize {
        BATCH_HEADER_LEN + self.body.len()
    }

    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    pub(crate) fn max_timestamp(&self) -> i64 {
        self.max_timestamp
    }
}
