//! Records: as they are sent, and as they are polled.

use crate::boundary::{infallible, reference, slice, take_back};
use kaffic_bindings::failure::Result;
use kaffic_bindings::{Failure, Status};
use kaffic_core::{Bytes, ConsumerRecord, Header, Record};
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
    unsafe { taken(reference(record, "record")?) }
}

/// Records as the core has them.
///
/// # Safety
/// `first` is null, or the first of `count` records, `record_size` bytes from one to the next, whose
/// pointers are as the header's rules say for as long as what is returned is used.
pub(crate) unsafe fn records(
    first: *const kaffic_record_t,
    record_size: usize,
    count: usize,
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
        unsafe { taken(&*first.byte_add(at * record_size)) }
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
/// The record's pointers are as the header's rules say.
unsafe fn taken(record: &kaffic_record_t) -> Result<Record> {
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
        (copied(record.key, "a key")?, copied(record.value, "a value")?, headers(record)?)
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
#[derive(Debug)]
pub struct kaffic_records_t {
    views: Vec<kaffic_consumer_record_t>,
    _headers: Vec<kaffic_header_t>,
    _topics: Vec<CString>,
    _records: Vec<ConsumerRecord>,
}

const NULL: kaffic_bytes_t = kaffic_bytes_t { data: ptr::null(), len: 0 };

fn view(bytes: Option<&Bytes>) -> kaffic_bytes_t {
    bytes.map_or(NULL, |bytes| kaffic_bytes_t { data: bytes.as_ptr(), len: bytes.len() })
}

impl kaffic_records_t {
    pub(crate) fn new(records: Vec<ConsumerRecord>) -> Self {
        // Filled before anything points into it.
        let headers: Vec<kaffic_header_t> = records
            .iter()
            .flat_map(|record| &record.headers)
            .map(|header| kaffic_header_t {
                name: kaffic_bytes_t { data: header.name.as_ptr(), len: header.name.len() },
                value: view(header.value.as_ref()),
            })
            .collect();
        let mut topics: Vec<CString> = Vec::new();
        let mut topic: Option<(&Arc<str>, *const c_char)> = None;
        let mut views = Vec::with_capacity(records.len());
        let mut at = 0;
        for record in &records {
            let name = match topic {
                Some((last, name)) if *last == record.topic => name,
                _ => {
                    let named = crate::boundary::c_text(&record.topic);
                    let name = named.as_ptr();
                    topics.push(named);
                    topic = Some((&record.topic, name));
                    name
                }
            };
            let own = headers.get(at..at + record.headers.len()).unwrap_or_default();
            at += record.headers.len();
            views.push(kaffic_consumer_record_t {
                key: view(record.key.as_ref()),
                value: view(record.value.as_ref()),
                headers: if own.is_empty() { ptr::null() } else { own.as_ptr() },
                headers_len: own.len(),
                topic: name,
                offset: record.offset,
                timestamp_ms: record.timestamp,
                partition: record.partition as i32,
                reserved: 0,
            });
        }
        Self { views, _headers: headers, _topics: topics, _records: records }
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
