//! Records: as they are sent, and as they are polled.

use crate::boundary::{infallible, reference, slice, take_back};
use kaffic_bindings::failure::Result;
use kaffic_bindings::{Failure, Status};
use kaffic_core::{Bytes, ConsumerRecord, Header, Record, RecordSink, RecordView};
use std::ffi::{CString, c_char};
use std::ptr;
use std::sync::Arc;

/// Bytes. No data is null, which is not the same as empty.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct kaffic_bytes_t {
    /// The first byte, or null.
    pub data: *const u8,
    /// How many there are.
    pub len: usize,
}

/// A header: a name in UTF-8, and a value, which may be null.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct kaffic_header_t {
    /// The name.
    pub name: kaffic_bytes_t,
    /// The value.
    pub value: kaffic_bytes_t,
}

/// In the flags of a record: `timestamp_ms` is set. Without it the record gets the time of sending.
pub const KAFFIC_RECORD_TIMESTAMP: u32 = 1;
/// In the flags of a record: `partition` is set. Without it the key decides, or the producer.
pub const KAFFIC_RECORD_PARTITION: u32 = 2;
/// In the flags of a record: `sequence` is set. Only for producers with a name.
pub const KAFFIC_RECORD_SEQUENCE: u32 = 4;

/// A record to be sent. One in which everything is zero is a record without key, value and headers.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct kaffic_record_t {
    /// Decides the partition, unless one is set, and so the order.
    pub key: kaffic_bytes_t,
    /// The payload.
    pub value: kaffic_bytes_t,
    /// The headers, in order.
    pub headers: *const kaffic_header_t,
    /// How many headers there are.
    pub headers_len: usize,
    /// Unix milliseconds.
    pub timestamp_ms: i64,
    /// A number that grows with each record: one that is not above the last that the producer's name has
    /// written to the partition is not written again.
    pub sequence: i64,
    /// The partition.
    pub partition: i32,
    /// KAFFIC_RECORD_… flags: what of the above is set.
    pub flags: u32,
}

/// A record that was polled.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct kaffic_consumer_record_t {
    /// The key.
    pub key: kaffic_bytes_t,
    /// The value.
    pub value: kaffic_bytes_t,
    /// The headers, in order.
    pub headers: *const kaffic_header_t,
    /// How many headers there are.
    pub headers_len: usize,
    /// The topic, which ends with a zero.
    pub topic: *const c_char,
    /// Its position in the partition.
    pub offset: i64,
    /// Unix milliseconds, as its producer gave it.
    pub timestamp_ms: i64,
    /// The partition.
    pub partition: i32,
    /// Nothing.
    pub reserved: u32,
}

/// A record as the core has it; its bytes are copied.
///
/// # Safety
/// `record` is null, or a record whose pointers are as the header's rules say.
pub(crate) unsafe fn record(record: *const kaffic_record_t, record_size: usize) -> Result<Record> {
    check_size(record_size)?;
    // SAFETY: the caller's contract.
    unsafe { taken(reference(record, "record")?, copied) }
}

/// Records as the core has them; their bytes are copied.
///
/// # Safety
/// `first` is null, or the first of `count` records, `record_size` bytes from one to the next, whose
/// pointers are as the header's rules say for as long as what is returned is used.
pub(crate) unsafe fn records(
    first: *const kaffic_record_t,
    record_size: usize,
    count: usize,
) -> Result<impl Iterator<Item = Result<Record>>> {
    // SAFETY: the caller's contract.
    unsafe { all(first, record_size, count, copied) }
}

/// The same where the bytes lie, without a copy.
///
/// # Safety
/// As for [`records`]; and what the records point to has to live until each of them is dropped.
pub(crate) unsafe fn lent_records(
    first: *const kaffic_record_t,
    record_size: usize,
    count: usize,
) -> Result<impl Iterator<Item = Result<Record>>> {
    // SAFETY: the caller's contract.
    unsafe { all(first, record_size, count, lent) }
}

/// How bytes of the program's become the core's.
type Taking = unsafe fn(kaffic_bytes_t, &str) -> Result<Option<Bytes>>;

/// # Safety
/// As for [`records`], or [`lent_records`] where they are lent.
unsafe fn all(
    first: *const kaffic_record_t,
    record_size: usize,
    count: usize,
    taking: Taking,
) -> Result<impl Iterator<Item = Result<Record>>> {
    check_size(record_size)?;
    if count > 0 {
        // SAFETY: the caller's contract.
        unsafe { reference(first, "records") }?;
    }
    let all = count.checked_mul(record_size).filter(|bytes| *bytes <= isize::MAX as usize);
    all.ok_or_else(|| Failure::invalid(format!("{count} records of {record_size} bytes each")))?;
    Ok((0..count).map(move |at| {
        // SAFETY: the caller's contract.
        unsafe { taken(&*first.byte_add(at * record_size), taking) }
    }))
}

fn check_size(record_size: usize) -> Result<()> {
    let least = size_of::<kaffic_record_t>();
    if record_size < least || !record_size.is_multiple_of(align_of::<kaffic_record_t>()) {
        let message =
            format!("record_size is {record_size}; it is sizeof(kaffic_record_t), {least}");
        return Err(Failure::invalid(message));
    }
    Ok(())
}

/// # Safety
/// The record's pointers are as the header's rules say, and `taking` demands.
unsafe fn taken(record: &kaffic_record_t, taking: Taking) -> Result<Record> {
    const KNOWN: u32 = KAFFIC_RECORD_TIMESTAMP | KAFFIC_RECORD_PARTITION | KAFFIC_RECORD_SEQUENCE;
    if record.flags & !KNOWN != 0 {
        return Err(Failure::invalid(format!("a record's flags are {:#x}", record.flags)));
    }
    let set = |flag: u32| record.flags & flag != 0;
    let partition = match set(KAFFIC_RECORD_PARTITION) {
        true => Some(crate::topics::partition_number(record.partition)?),
        false => None,
    };
    // SAFETY: the caller's contract.
    let (key, value, headers) = unsafe {
        (taking(record.key, "a key")?, taking(record.value, "a value")?, headers(record)?)
    };
    Ok(Record {
        key,
        value,
        headers,
        timestamp: set(KAFFIC_RECORD_TIMESTAMP).then_some(record.timestamp_ms),
        partition,
        sequence: set(KAFFIC_RECORD_SEQUENCE).then_some(record.sequence),
    })
}

/// # Safety
/// The bytes are as the header's rules say.
unsafe fn copied(bytes: kaffic_bytes_t, what: &str) -> Result<Option<Bytes>> {
    // SAFETY: the caller's contract.
    Ok(unsafe { slice(bytes.data, bytes.len, what) }?.map(Bytes::copy_from_slice))
}

/// # Safety
/// The bytes are as the header's rules say, and live until what is returned, and every clone of it, is
/// dropped.
unsafe fn lent(bytes: kaffic_bytes_t, what: &str) -> Result<Option<Bytes>> {
    // SAFETY: the caller's contract.
    let bytes: Option<&'static [u8]> = unsafe { slice(bytes.data, bytes.len, what) }?;
    Ok(bytes.map(Bytes::from_static))
}

/// # Safety
/// The record's headers are as the header's rules say.
unsafe fn headers(record: &kaffic_record_t) -> Result<Vec<Header>> {
    if record.headers_len == 0 {
        return Ok(Vec::new());
    }
    let most = isize::MAX as usize / size_of::<kaffic_header_t>();
    if record.headers_len > most {
        return Err(Failure::invalid(format!("a record has {} headers", record.headers_len)));
    }
    // SAFETY: the caller's contract.
    unsafe {
        reference(record.headers, "headers")?;
        std::slice::from_raw_parts(record.headers, record.headers_len)
            .iter()
            .map(|header| {
                let name = slice(header.name.data, header.name.len, "a header's name")?;
                let name = name
                    .ok_or_else(|| Failure::new(Status::NullArgument, "a header's name is null"))?;
                let name = std::str::from_utf8(name).map_err(|_| {
                    let shown = String::from_utf8_lossy(name);
                    Failure::new(
                        Status::InvalidUtf8,
                        format!("a header's name is not UTF-8: {shown}"),
                    )
                })?;
                Ok(Header::new(name, copied(header.value, "a header's value")?))
            })
            .collect()
    }
}

/// Records that were polled, with every byte that they point to.
#[derive(Debug, Default)]
pub struct kaffic_records_t {
    views: Vec<kaffic_consumer_record_t>,
    headers: Vec<kaffic_header_t>,
    topics: Vec<(Arc<str>, CString)>,
    /// The batches in which the bytes lie.
    memory: Vec<Bytes>,
    /// Records in which they lie, where it was not known in time that there would be any.
    _records: Vec<ConsumerRecord>,
}

/// Records for which room is made at once.
const USUAL: usize = 100;

const NULL: kaffic_bytes_t = kaffic_bytes_t { data: ptr::null(), len: 0 };

fn view(bytes: Option<&[u8]>) -> kaffic_bytes_t {
    bytes.map_or(NULL, |bytes| kaffic_bytes_t { data: bytes.as_ptr(), len: bytes.len() })
}

impl kaffic_records_t {
    pub(crate) fn is_empty(&self) -> bool {
        self.views.is_empty()
    }

    pub(crate) fn of_records(records: Vec<ConsumerRecord>) -> Self {
        let mut all = Self { views: Vec::with_capacity(records.len()), ..Self::default() };
        for record in &records {
            let topic = all.topic(&record.topic);
            all.views.push(kaffic_consumer_record_t {
                key: view(record.key.as_deref()),
                value: view(record.value.as_deref()),
                headers: ptr::null(),
                headers_len: record.headers.len(),
                topic,
                offset: record.offset,
                timestamp_ms: record.timestamp,
                partition: record.partition as i32,
                reserved: 0,
            });
            all.headers.extend(record.headers.iter().map(|header| kaffic_header_t {
                name: view(Some(header.name.as_bytes())),
                value: view(header.value.as_deref()),
            }));
        }
        all._records = records;
        all.finished()
    }

    /// The topic's name, as C has it.
    fn topic(&mut self, topic: &Arc<str>) -> *const c_char {
        match self.topics.last() {
            Some((last, named)) if Arc::ptr_eq(last, topic) => named.as_ptr(),
            _ => {
                let named = crate::boundary::c_text(topic);
                let pointer = named.as_ptr();
                self.topics.push((Arc::clone(topic), named));
                pointer
            }
        }
    }

    /// Has the records point to their headers, now that there are no more to come.
    pub(crate) fn finished(mut self) -> Self {
        let mut rest = &self.headers[..];
        if !rest.is_empty() {
            for view in self.views.iter_mut().filter(|view| view.headers_len > 0) {
                view.headers = rest.as_ptr();
                rest = rest.get(view.headers_len..).unwrap_or_default();
            }
        }
        self
    }
}

impl RecordSink for kaffic_records_t {
    fn take(&mut self, topic: &Arc<str>, partition: u32, memory: &Bytes, record: RecordView<'_>) {
        if self.views.is_empty() {
            self.views.reserve(USUAL);
        }
        // While it is kept, no other memory can be there.
        if self.memory.last().is_none_or(|last| last.as_ptr() != memory.as_ptr()) {
            self.memory.push(memory.clone());
        }
        let topic = self.topic(topic);
        self.views.push(kaffic_consumer_record_t {
            key: view(record.key),
            value: view(record.value),
            headers: ptr::null(),
            headers_len: record.headers.len(),
            topic,
            offset: record.offset,
            timestamp_ms: record.timestamp,
            partition: partition as i32,
            reserved: 0,
        });
        self.headers.extend(record.headers.iter().map(|(name, value)| kaffic_header_t {
            name: view(Some(name.as_bytes())),
            value: view(*value),
        }));
    }
}

/// How many records there are; 0 for null. Callback-safe, as all functions of records.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kaffic_records_len(records: *const kaffic_records_t) -> usize {
    // SAFETY: null, or records that live, by the rules of the header.
    unsafe { reference(records, "") }.map_or(0, |records| records.views.len())
}

/// The record at an index, which lives as long as the records; null beyond the end.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kaffic_records_get(
    records: *const kaffic_records_t,
    index: usize,
) -> *const kaffic_consumer_record_t {
    // SAFETY: null, or records that live, by the rules of the header.
    let records = unsafe { reference(records, "") };
    let found = records.ok().and_then(|records| records.views.get(index));
    found.map_or(ptr::null(), ptr::from_ref)
}

/// All records as one array, which lives as long as they do, for languages to which each call is dear.
/// Writes the bytes from one to the next to `stride`, which may grow with versions of the library. Null if
/// there are none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kaffic_records_data(
    records: *const kaffic_records_t,
    stride: *mut usize,
) -> *const kaffic_consumer_record_t {
    if !stride.is_null() {
        // SAFETY: valid for a write, by the rules of the header.
        unsafe { stride.write(size_of::<kaffic_consumer_record_t>()) };
    }
    // SAFETY: null, or records that live, by the rules of the header.
    let records = unsafe { reference(records, "") };
    records.map_or(ptr::null(), |records| match records.views.is_empty() {
        true => ptr::null(),
        false => records.views.as_ptr(),
    })
}

/// Frees records, and every byte that they point to. Null is nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kaffic_records_free(records: *mut kaffic_records_t) {
    infallible((), || {
        // SAFETY: null, or records that were given and not freed, by the rules of the header.
        unsafe { take_back(records) }
    });
}
