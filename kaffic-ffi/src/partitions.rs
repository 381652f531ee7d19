//! Lists of partitions with an offset each: what is assigned, committed, or asked for.

use crate::boundary::{
    border, c_text, exclusive, infallible, kaffic_status_t, reference, take_back, text,
};
use crate::error::{KAFFIC_NO_OFFSET, kaffic_error_t};
use crate::topics::partition_number;
use kaffic_bindings::Failure;
use kaffic_bindings::failure::Result;
use kaffic_core::{CommittedOffset, OffsetCommit, PartitionPosition};
use std::ffi::{CString, c_char};
use std::ptr;

/// A partition of a list.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct kaffic_partition_t {
    /// The topic; it lives as long as the list is not changed.
    pub topic: *const c_char,
    /// What is kept with a committed offset, or null.
    pub metadata: *const c_char,
    /// The offset, or KAFFIC_NO_OFFSET.
    pub offset: i64,
    /// The partition.
    pub partition: i32,
}

/// A list of partitions.
#[derive(Debug, Default)]
pub struct kaffic_partitions_t {
    texts: Vec<CString>,
    views: Vec<kaffic_partition_t>,
}

impl kaffic_partitions_t {
    fn push(&mut self, topic: &str, partition: u32, offset: i64, metadata: Option<&str>) {
        let mut keep = |text: &str| {
            let text = c_text(text);
            let pointer = text.as_ptr();
            self.texts.push(text);
            pointer
        };
        let topic = keep(topic);
        let metadata = metadata.map_or(ptr::null(), keep);
        self.views.push(kaffic_partition_t {
            topic,
            metadata,
            offset,
            partition: partition as i32,
        });
    }

    pub(crate) fn of_positions(positions: &[PartitionPosition]) -> Self {
        let mut list = Self::default();
        positions.iter().for_each(|at| list.push(&at.topic, at.partition, at.offset, None));
        list
    }

    pub(crate) fn of_committed(offsets: &[CommittedOffset]) -> Self {
        let mut list = Self::default();
        for at in offsets {
            list.push(&at.topic, at.partition, at.offset, at.metadata.as_deref());
        }
        list
    }

    fn entries(&self) -> impl Iterator<Item = (String, u32, i64, Option<String>)> {
        self.views.iter().map(|view| {
            // SAFETY: both are texts of this list, which are UTF-8, or null.
            let (topic, metadata) =
                unsafe { (text(view.topic, "topic"), text(view.metadata, "metadata")) };
            let topic = topic.unwrap_or_default().to_owned();
            (topic, view.partition as u32, view.offset, metadata.ok().map(str::to_owned))
        })
    }

    /// As what is to be read, each from its offset if it has one.
    pub(crate) fn wanted(&self) -> Vec<(String, u32, Option<i64>)> {
        let wanted = |(topic, partition, offset, _): (String, u32, i64, _)| {
            (topic, partition, (offset != KAFFIC_NO_OFFSET).then_some(offset))
        };
        self.entries().map(wanted).collect()
    }

    /// The numbers of what is of one topic only.
    pub(crate) fn of_topic(&self, topic: &str) -> Result<Vec<u32>> {
        let number = |(of, partition, ..): (String, u32, i64, _)| {
            if of == topic {
                return Ok(partition);
            }
            let wrong = format!("the list has partition {partition} of topic {of}, not of {topic}");
            Err(Failure::invalid(wrong))
        };
        self.entries().map(number).collect()
    }

    /// As what is to be committed.
    pub(crate) fn commits(&self) -> Result<Vec<OffsetCommit>> {
        if let Some((topic, partition, ..)) = self.entries().find(|(_, _, offset, _)| *offset < 0) {
            let wrong = "the list has no offset to commit";
            return Err(Failure::invalid(format!("topic {topic} partition {partition}: {wrong}")));
        }
        Ok(self.with_offsets())
    }

    /// What is to be committed, without what has no offset.
    pub(crate) fn with_offsets(&self) -> Vec<OffsetCommit> {
        self.entries()
            .filter(|(_, _, offset, _)| *offset >= 0)
            .map(|(topic, partition, offset, metadata)| {
                let commit = OffsetCommit::new(topic, partition, offset);
                match metadata {
                    Some(metadata) => commit.metadata(metadata),
                    None => commit,
                }
            })
            .collect()
    }
}

/// Gives an empty list; free it with kaffic_partitions_free. A list is used by one thread at a time.
#[unsafe(no_mangle)]
pub extern "C" fn kaffic_partitions_new() -> *mut kaffic_partitions_t {
    Box::into_raw(Box::default())
}

/// Adds a partition, with an offset or KAFFIC_NO_OFFSET, and with `metadata` to be kept with a committed
/// offset or null. Borrows. Callback-safe.
///
/// KAFFIC_NULL_ARGUMENT, KAFFIC_INVALID_UTF8, KAFFIC_INVALID_ARGUMENT for a negative number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kaffic_partitions_add(
    partitions: *mut kaffic_partitions_t,
    topic: *const c_char,
    partition: i32,
    offset: i64,
    metadata: *const c_char,
    error: *mut *mut kaffic_error_t,
) -> kaffic_status_t {
    // SAFETY: all pointers are as the header's rules say.
    unsafe {
        border(error, || {
            let partitions = exclusive(partitions, "partitions")?;
            let topic = text(topic, "topic")?;
            let partition = partition_number(partition)?;
            let metadata = match metadata.is_null() {
                true => None,
                false => Some(text(metadata, "metadata")?),
            };
            if offset < KAFFIC_NO_OFFSET {
                return Err(Failure::invalid(format!("an offset is {offset}")));
            }
            partitions.push(topic, partition, offset, metadata);
            Ok(())
        })
    }
}

/// How many there are; 0 for null. Callback-safe.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kaffic_partitions_len(partitions: *const kaffic_partitions_t) -> usize {
    // SAFETY: null, or a list that lives, by the rules of the header.
    infallible(0, || unsafe { reference(partitions, "").map_or(0, |list| list.views.len()) })
}

/// The one at an index, which lives as long as the list is not changed; null beyond the end.
/// Callback-safe.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kaffic_partitions_get(
    partitions: *const kaffic_partitions_t,
    index: usize,
) -> *const kaffic_partition_t {
    infallible(ptr::null(), || {
        // SAFETY: null, or a list that lives, by the rules of the header.
        let list = unsafe { reference(partitions, "") };
        list.ok().and_then(|list| list.views.get(index)).map_or(ptr::null(), ptr::from_ref)
    })
}

/// Frees a list. Null is nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kaffic_partitions_free(partitions: *mut kaffic_partitions_t) {
    // SAFETY: null, or a list that was given and not freed, by the rules of the header.
    unsafe { take_back(partitions) };
}
