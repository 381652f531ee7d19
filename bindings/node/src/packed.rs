//! Records and acknowledgements as bytes, many at a time, so that crossing to JavaScript and back
//! costs little for each. `lib/packed.js` is the other side. Numbers are little-endian; a length
//! of −1 is a null.

use kaffic_bindings::Failure;
use kaffic_core::{Ack, Bytes, ConsumerRecord, Header, Record};

const TIMESTAMP: u8 = 1;
const PARTITION: u8 = 2;
const SEQUENCE: u8 = 4;

/// The records of a buffer that `Packer` in `lib/packed.js` has filled, without copying them again.
#[derive(Debug)]
pub(crate) struct Unpacked {
    bytes: Bytes,
    at: usize,
}

impl Unpacked {
    pub(crate) fn new(bytes: Bytes) -> Self {
        Self { bytes, at: 0 }
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(N)?)?.try_into().ok()?;
        self.at += N;
        Some(taken)
    }

    fn blob(&mut self) -> Option<Option<Bytes>> {
        let len = i32::from_le_bytes(self.take()?);
        let Ok(len) = usize::try_from(len) else { return Some(None) };
        let end = self.at.checked_add(len).filter(|end| *end <= self.bytes.len())?;
        let blob = self.bytes.slice(self.at..end);
        self.at = end;
        Some(Some(blob))
    }

    fn record(&mut self) -> Option<Record> {
        let [flags] = self.take()?;
        let headers = u32::from_le_bytes(self.take()?);
        let timestamp = f64::from_le_bytes(self.take()?) as i64;
        let partition = u32::from_le_bytes(self.take()?);
        let sequence = i64::from_le_bytes(self.take()?);
        let mut record = Record {
            key: self.blob()?,
            value: self.blob()?,
            headers: Vec::new(),
            timestamp: (flags & TIMESTAMP != 0).then_some(timestamp),
            partition: (flags & PARTITION != 0).then_some(partition),
            sequence: (flags & SEQUENCE != 0).then_some(sequence),
        };
        for _ in 0..headers {
            let name = self.blob()??;
            let value = self.blob()?;
            record.headers.push(Header::new(std::str::from_utf8(&name).ok()?, value));
        }
        Some(record)
    }
}

impl Iterator for Unpacked {
    type Item = Result<Record, Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.bytes.len() {
            return None;
        }
        Some(self.record().ok_or_else(|| {
            // What follows can't be made out either.
            self.at = self.bytes.len();
            Failure::new(kaffic_bindings::Status::Internal, "a packed record that can't be read")
        }))
    }
}

fn put_blob(out: &mut Vec<u8>, blob: Option<&[u8]>) {
    out.extend_from_slice(&blob.map_or(-1, |blob| blob.len() as i32).to_le_bytes());
    out.extend_from_slice(blob.unwrap_or_default());
}

/// What a poll came to: for `Batch` in `lib/packed.js`.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) records: Vec<ConsumerRecord>,
    pub(crate) woken: bool,
    pub(crate) finished: bool,
}

impl Batch {
    /// The bytes of keys, values and headers.
    pub(crate) fn content_len(&self) -> usize {
        let len = |blob: &Option<Bytes>| blob.as_ref().map_or(0, Bytes::len);
        let of = |record: &ConsumerRecord| {
            let headers = record.headers.iter().map(|h| h.name.len() + len(&h.value));
            len(&record.key) + len(&record.value) + headers.sum::<usize>()
        };
        self.records.iter().map(of).sum()
    }

    pub(crate) fn pack(&self) -> Vec<u8> {
        let mut topics: Vec<&str> = Vec::new();
        let mut out = Vec::with_capacity(self.content_len() + self.records.len() * 64 + 64);
        let flags = u32::from(self.woken) | u32::from(self.finished) << 1;
        for number in [self.records.len() as u32, flags, 0] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        for record in &self.records {
            let known = topics.iter().rposition(|topic| *topic == &*record.topic);
            let topic = known.unwrap_or_else(|| {
                topics.push(&record.topic);
                topics.len() - 1
            });
            let start = out.len();
            for number in [0, topic as u32, record.partition, record.headers.len() as u32] {
                out.extend_from_slice(&number.to_le_bytes());
            }
            out.extend_from_slice(&record.offset.to_le_bytes());
            out.extend_from_slice(&(record.timestamp as f64).to_le_bytes());
            put_blob(&mut out, record.key.as_deref());
            put_blob(&mut out, record.value.as_deref());
            for header in &record.headers {
                put_blob(&mut out, Some(header.name.as_bytes()));
                put_blob(&mut out, header.value.as_deref());
            }
            let size = (out.len() - start) as u32;
            out[start..start + 4].copy_from_slice(&size.to_le_bytes());
        }
        // The topics' names come last: only now they are all known.
        let names = out.len() as u32;
        out[8..12].copy_from_slice(&names.to_le_bytes());
        topics.iter().for_each(|topic| put_blob(&mut out, Some(topic.as_bytes())));
        out
    }
}

/// What became of sends, by their numbers: for `readAcks` in `lib/packed.js`. Failures are JSON, each
/// once for all the sends in a row that it is of.
pub(crate) fn pack_acks(acks: &[(u32, Result<Ack, Failure>)]) -> Vec<u8> {
    let mut out = Vec::with_capacity(4 + acks.len() * 28);
    out.extend_from_slice(&(acks.len() as u32).to_le_bytes());
    let mut failures: Vec<&Failure> = Vec::new();
    for (id, ack) in acks {
        let (kind, partition, offset, timestamp) = match ack {
            Ok(ack) => (u32::from(ack.duplicate), ack.partition, ack.offset, ack.timestamp as f64),
            Err(failure) => {
                if failures.last() != Some(&failure) {
                    failures.push(failure);
                }
                (2, failures.len() as u32 - 1, 0, 0.0)
            }
        };
        for number in [*id, kind, partition] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&offset.to_le_bytes());
        out.extend_from_slice(&timestamp.to_le_bytes());
    }
    for failure in failures {
        let text = crate::promise::thrown(failure.clone()).reason.clone();
        put_blob(&mut out, Some(text.as_bytes()));
    }
    out
}
