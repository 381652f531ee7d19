//! Producers.

use crate::boundary::{
    Out, border, check_may_wait, infallible, kaffic_status_t, limit, reference, slice, take_back,
    text, wait,
};
use crate::client::{client, kaffic_client_t};
use crate::config::{kaffic_config_t, settings};
use crate::deliveries::{Deliveries, Sent};
use crate::error::{KAFFIC_NO_OFFSET, kaffic_error_t};
use crate::queue::{Told, kaffic_delivery_t, kaffic_queue_t, queue};
use crate::records::{kaffic_record_t, lent_records, record, records};
use crate::topics::partition_number;
use futures_util::FutureExt;
use kaffic_bindings::failure::Result;
use kaffic_bindings::process::{self, Belonging, Held, Owned};
use kaffic_bindings::{Failure, Status};
use kaffic_core::{Producer, Record, Ticket, partition_for_key};
use std::ffi::c_char;
use std::sync::Arc;
use std::time::Instant;
use tokio::runtime::Runtime;

/// A producer for one topic. Any number of threads may use it.
#[derive(Debug)]
pub struct kaffic_producer_t(Owned<Inner>);

#[derive(Debug)]
struct Inner {
    producer: Producer,
    deliveries: Arc<Deliveries>,
}

/// What is behind a producer, for as long as a call needs it: a callback may free it meanwhile.
///
/// # Safety
/// `producer` is null, or a producer that lives.
unsafe fn inner(producer: *const kaffic_producer_t) -> Result<Held<Inner>> {
    // SAFETY: the caller's contract.
    unsafe { reference(producer, "producer") }?.0.hold()
}

/// Gives a producer for a topic, with the settings of `config`, which may be null. What becomes of its
/// records is told to `deliveries`, a queue; where that is null, kaffic_producer_flush tells the first
/// failure. Borrows, and keeps the queue alive. Free the producer with kaffic_producer_free. Waits.
/// Thread-safe.
///
/// KAFFIC_TOPIC_NOT_FOUND, KAFFIC_UNKNOWN_SETTING, KAFFIC_INVALID_ARGUMENT, KAFFIC_UNSAFE_STORE, and what
/// the storage says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kaffic_producer_new(
    client: *const kaffic_client_t,
    topic: *const c_char,
    config: *const kaffic_config_t,
    deliveries: *const kaffic_queue_t,
    timeout_ms: i64,
    producer: *mut *mut kaffic_producer_t,
    error: *mut *mut kaffic_error_t,
) -> kaffic_status_t {
    // SAFETY: all pointers are as the header's rules say.
    unsafe {
        border(error, || {
            let out = Out::new(producer, "producer")?;
            let client = self::client(client)?;
            let topic = text(topic, "topic")?;
            let deliveries = queue(deliveries)?;
            let builder = settings(config).producer(client.producer(topic))?;
            let belonging = Belonging::here();
            let build = async { Ok(builder.build().await?) };
            let producer = wait(timeout_ms, "making a producer", build)?;
            let deliveries = Deliveries::new(producer.partitions(), deliveries);
            out.give(kaffic_producer_t(belonging.own(Inner { producer, deliveries })));
            Ok(())
        })
    }
}

/// Sends records: puts them into the producer's buffer in their order, waiting for room up to
/// `timeout_ms`, and returns; they are written in the background. Copies the records. `record_size` is
/// sizeof(kaffic_record_t). The delivery of record i has the tag `tag` + i. Thread-safe; records of one
/// call stay in order.
///
/// `accepted`, which may be null, gets how many records are in the buffer, also when the call fails: the
/// one at that index is what failed, and it and those after it were not sent.
///
/// KAFFIC_QUEUE_FULL when there was no room in time. A queue holds 1,048,576 deliveries, those of records
/// under way included; where all have come and none is polled, a call that would wait as long as it takes
/// ends with KAFFIC_QUEUE_FULL too, since only kaffic_queue_poll makes room then.
/// KAFFIC_RECORD_TOO_LARGE, KAFFIC_INVALID_ARGUMENT, KAFFIC_INVALID_UTF8 for a header's name,
/// KAFFIC_CLOSED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kaffic_producer_send(
    producer: *const kaffic_producer_t,
    records: *const kaffic_record_t,
    record_size: usize,
    count: usize,
    tag: u64,
    timeout_ms: i64,
    accepted: *mut usize,
    error: *mut *mut kaffic_error_t,
) -> kaffic_status_t {
    let mut sent = 0;
    // SAFETY: all pointers are as the header's rules say.
    let status = unsafe {
        border(error, || {
            let inner = inner(producer)?;
            check_may_wait()?;
            let runtime = process::runtime()?;
            let _inside = runtime.enter();
            let sending = Sending { inner: &inner, runtime, deadline: deadline(timeout_ms) };
            // A producer copies what it takes into its batch and keeps nothing of the record.
            for record in lent_records(records, record_size, count)? {
                let tag = tag.wrapping_add(sent as u64);
                sending.send(record?, tag)?;
                sent += 1;
            }
            Ok(())
        })
    };
    if !accepted.is_null() {
        // SAFETY: valid for a write, by the rules of the header.
        unsafe { accepted.write(sent) };
    }
    status
}

#[expect(clippy::disallowed_methods, reason = "a caller's own limit, in real time")]
fn deadline(timeout_ms: i64) -> Option<Instant> {
    limit(timeout_ms).and_then(|wait| Instant::now().checked_add(wait))
}

const DELIVERIES_FULL: &str =
    "a million deliveries wait to be polled or are to come; poll the producer's queue";

struct Sending<'a> {
    inner: &'a Inner,
    runtime: &'a Runtime,
    deadline: Option<Instant>,
}

impl Sending<'_> {
    fn send(&self, record: Record, tag: u64) -> Result<()> {
        let deliveries = &self.inner.deliveries;
        if let Some(queue) = deliveries.queue()
            && !queue.expect(1)
        {
            let for_ever = self.deadline.is_none();
            self.wait_for(DELIVERIES_FULL, async {
                match queue.wait_for_room(for_ever).await {
                    true => Ok(()),
                    false => Err(Failure::new(Status::QueueFull, DELIVERIES_FULL)),
                }
            })?;
        }
        let ticket = self.enqueue(record).inspect_err(|_| {
            if let Some(queue) = deliveries.queue() {
                queue.expect_no_more(1);
            }
        })?;
        let partition = ticket.partition();
        let timestamp_ms = ticket.timestamp();
        let sent = Sent { tag, partition: partition as i32, timestamp_ms, ticket };
        deliveries.add(self.runtime, partition, sent);
        Ok(())
    }

    fn enqueue(&self, record: Record) -> Result<Ticket> {
        let mut entering = std::pin::pin!(self.inner.producer.enqueue(record));
        // Most records find room at once.
        if let Some(entered) = entering.as_mut().now_or_never() {
            return Ok(entered?);
        }
        let full = "there was no room in the producer's buffer (max_in_flight_bytes)";
        self.wait_for(full, async { Ok(entering.await?) })
    }

    /// Waits until the deadline; `full` says why it was in vain.
    #[expect(clippy::disallowed_methods, reason = "a caller's own limit, in real time")]
    fn wait_for<T>(&self, full: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
        let left = self.deadline.map(|at| at.saturating_duration_since(Instant::now()));
        process::within(left, "a send", work).map_err(|failure| match failure.status {
            Status::TimedOut => Failure::new(Status::QueueFull, full),
            _ => failure,
        })
    }
}

/// Sends one record and waits until it is written. Borrows it. `delivery`, which may be null, gets where
/// it is; `delivery_size` is sizeof(kaffic_delivery_t). Nothing is told to the producer's queue.
/// Thread-safe.
///
/// As kaffic_producer_send, and whatever became of the record. KAFFIC_TIMED_OUT is of unknown outcome.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kaffic_producer_send_and_wait(
    producer: *const kaffic_producer_t,
    record: *const kaffic_record_t,
    record_size: usize,
    timeout_ms: i64,
    delivery: *mut kaffic_delivery_t,
    delivery_size: usize,
    error: *mut *mut kaffic_error_t,
) -> kaffic_status_t {
    // SAFETY: all pointers are as the header's rules say.
    unsafe {
        border(error, || {
            let inner = inner(producer)?;
            let told = Told::to(delivery, delivery_size)?;
            let record = self::record(record, record_size)?;
            let send = async { Ok(inner.producer.send(record).await?) };
            let ack = wait(timeout_ms, "a send", send).map_err(unknown_if_late)?;
            told.write(ack);
            Ok(())
        })
    }
}

fn unknown_if_late(failure: Failure) -> Failure {
    match failure.status {
        Status::TimedOut => failure.with_unknown_outcome(),
        _ => failure,
    }
}

/// Appends records to a partition as one batch, all or none, and waits until they are written; with
/// `expected_offset` (otherwise KAFFIC_NO_OFFSET) only if the first of them gets just that offset. Borrows
/// them. `delivery`, which may be null, gets where the first is; `delivery_size` is
/// sizeof(kaffic_delivery_t). Thread-safe.
///
/// KAFFIC_CONDITION_FAILED, of which kaffic_error_tail has the actual tail; otherwise as
/// kaffic_producer_send_and_wait.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kaffic_producer_append(
    producer: *const kaffic_producer_t,
    partition: i32,
    records: *const kaffic_record_t,
    record_size: usize,
    count: usize,
    expected_offset: i64,
    timeout_ms: i64,
    delivery: *mut kaffic_delivery_t,
    delivery_size: usize,
    error: *mut *mut kaffic_error_t,
) -> kaffic_status_t {
    // SAFETY: all pointers are as the header's rules say.
    unsafe {
        border(error, || {
            let inner = inner(producer)?;
            let told = Told::to(delivery, delivery_size)?;
            let partition = partition_number(partition)?;
            let expected = match expected_offset {
                KAFFIC_NO_OFFSET => None,
                0.. => Some(expected_offset),
                _ => {
                    let wrong = format!("an expected offset is {expected_offset}");
                    return Err(Failure::invalid(wrong));
                }
            };
            let records: Result<Vec<Record>> =
                self::records(records, record_size, count)?.collect();
            let records = records?;
            let append = async { Ok(inner.producer.append(partition, records, expected).await?) };
            let ack = wait(timeout_ms, "an append", append).map_err(unknown_if_late)?;
            told.write(ack);
            Ok(())
        })
    }
}

/// Waits until everything sent before is written or has failed, and has been told to the producer's
/// queue. Thread-safe.
///
/// The first failure since the last flush; KAFFIC_TIMED_OUT, of unknown outcome: what was sent goes on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kaffic_producer_flush(
    producer: *const kaffic_producer_t,
    timeout_ms: i64,
    error: *mut *mut kaffic_error_t,
) -> kaffic_status_t {
    // SAFETY: all pointers are as the header's rules say.
    unsafe {
        border(error, || {
            let inner = inner(producer)?;
            let flush = async {
                let flushed = inner.producer.flush().await;
                inner.deliveries.all_told().await?;
                Ok(flushed?)
            };
            wait(timeout_ms, "a flush", flush).map_err(unknown_if_late)
        })
    }
}

/// Flushes, ends the blocks that were written to, and refuses records from now on. Closing again does
/// nothing. Thread-safe.
///
/// As kaffic_producer_flush.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kaffic_producer_close(
    producer: *const kaffic_producer_t,
    timeout_ms: i64,
    error: *mut *mut kaffic_error_t,
) -> kaffic_status_t {
    // SAFETY: all pointers are as the header's rules say.
    unsafe {
        border(error, || {
            let inner = inner(producer)?;
            let close = async {
                let closed = inner.producer.close().await;
                inner.deliveries.all_told().await?;
                Ok(closed?)
            };
            wait(timeout_ms, "closing a producer", close).map_err(unknown_if_late)
        })
    }
}

/// How many partitions the topic has; -1 for null and in a child. Thread-safe.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kaffic_producer_partitions(producer: *const kaffic_producer_t) -> i32 {
    // SAFETY: null, or a producer that lives, by the rules of the header.
    unsafe { inner(producer) }.map_or(-1, |inner| inner.producer.partitions() as i32)
}

/// The partition, of so many, to which a record goes that has this key and names none: as Kafka's clients
/// choose it. -1 for a null key, and where there are no partitions. Thread-safe, callback-safe.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kaffic_partition_for_key(
    key: *const u8,
    key_len: usize,
    partitions: i32,
) -> i32 {
    infallible(-1, || {
        // SAFETY: null, or as many bytes, by the rules of the header.
        let key = unsafe { slice(key, key_len, "key") };
        match (key, u32::try_from(partitions)) {
            (Ok(Some(key)), Ok(partitions @ 1..)) => partition_for_key(key, partitions) as i32,
            _ => -1,
        }
    })
}

/// The epoch of the producer's name: 0 for its first instance, and one more for each after it; -1
/// without a name, for null and in a child. Thread-safe.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kaffic_producer_epoch(producer: *const kaffic_producer_t) -> i64 {
    // SAFETY: null, or a producer that lives, by the rules of the header.
    let epoch = unsafe { inner(producer) }.ok().and_then(|inner| inner.producer.epoch());
    epoch.map_or(-1, i64::from)
}

/// Writes the last sequence that the producer's name has written to a partition, or -1; fences older
/// instances off the partition first. Waits. Thread-safe.
///
/// KAFFIC_INVALID_ARGUMENT without a name; KAFFIC_FENCED, and what the storage says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kaffic_producer_last_sequence(
    producer: *const kaffic_producer_t,
    partition: i32,
    timeout_ms: i64,
    sequence: *mut i64,
    error: *mut *mut kaffic_error_t,
) -> kaffic_status_t {
    // SAFETY: all pointers are as the header's rules say.
    unsafe {
        border(error, || {
            let out = Out::new(sequence, "sequence")?;
            let inner = inner(producer)?;
            let partition = partition_number(partition)?;
            let ask = async { Ok(inner.producer.last_sequence(partition).await?) };
            out.write(wait(timeout_ms, "asking for the last sequence", ask)?.unwrap_or(-1));
            Ok(())
        })
    }
}

/// Fences older instances of the producer's name off all partitions, now. Waits. Thread-safe.
///
/// As kaffic_producer_last_sequence.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kaffic_producer_fence_all(
    producer: *const kaffic_producer_t,
    timeout_ms: i64,
    error: *mut *mut kaffic_error_t,
) -> kaffic_status_t {
    // SAFETY: all pointers are as the header's rules say.
    unsafe {
        border(error, || {
            let inner = inner(producer)?;
            wait(timeout_ms, "fencing", async { Ok(inner.producer.fence_all().await?) })
        })
    }
}

/// Frees a producer, and does not wait: what is in its buffer is still written as long as the process
/// lives, and kaffic_shutdown waits for it. Close it before to know. Null is nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kaffic_producer_free(producer: *mut kaffic_producer_t) {
    // SAFETY: null, or a producer that was given and not freed, by the rules of the header.
    unsafe { take_back(producer) };
}
