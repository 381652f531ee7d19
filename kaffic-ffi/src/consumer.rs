//! Consumers.

use crate::boundary::{
    Out, border, calling_back, check_may_wait, in_callback, infallible, kaffic_status_t, reference,
    take_back, text, wait,
};
use crate::client::{client, kaffic_client_t};
use crate::config::{kaffic_config_t, settings, texts};
use crate::error::kaffic_error_t;
use crate::partitions::kaffic_partitions_t;
use crate::queue::{
    KAFFIC_EVENT_ASSIGNED, KAFFIC_EVENT_LOST, KAFFIC_EVENT_REVOKED, Queue, kaffic_event_kind_t,
    kaffic_event_t, kaffic_queue_t, queue,
};
use crate::records::kaffic_records_t;
use crate::topics::partition_number;
use kaffic_bindings::failure::Result;
use kaffic_bindings::process::{Belonging, Held, Owned, inside};
use kaffic_bindings::reader::{Polled, Reader, Wanted};
use kaffic_bindings::{Failure, Status, settings as values};
use kaffic_core::{OffsetCommit, PartitionPosition, RebalanceListener};
use std::ffi::{c_char, c_void};
use std::ptr;
use std::sync::{Arc, PoisonError, RwLock};

/// Frees what a callback was given as its `userdata`, when it is called no more.
pub type kaffic_userdata_free_fn = Option<unsafe extern "C" fn(userdata: *mut c_void)>;

/// Hears what becomes of a consumer's partitions: `kind` is KAFFIC_EVENT_ASSIGNED, _REVOKED or _LOST, and
/// `partitions` lives for the call. What is added to `commits` when partitions are revoked is committed
/// before they go, in place of what automatic commits would say (without an offset it is left out); it is
/// null otherwise.
pub type kaffic_rebalance_fn = Option<
    unsafe extern "C" fn(
        userdata: *mut c_void,
        kind: kaffic_event_kind_t,
        partitions: *const kaffic_partitions_t,
        commits: *mut kaffic_partitions_t,
    ),
>;

/// A consumer. Any number of threads may use it; they take turns.
#[derive(Debug)]
pub struct kaffic_consumer_t(Owned<Inner>);

#[derive(Debug)]
struct Inner {
    reader: Reader,
    listener: Arc<Listener>,
}

/// Something of the program's that is called.
struct Callback {
    call: unsafe extern "C" fn(
        *mut c_void,
        kaffic_event_kind_t,
        *const kaffic_partitions_t,
        *mut kaffic_partitions_t,
    ),
    userdata: Userdata,
}

/// What belongs to a callback.
pub(crate) struct Userdata {
    pub(crate) pointer: *mut c_void,
    free: kaffic_userdata_free_fn,
}

impl Userdata {
    pub(crate) fn new(pointer: *mut c_void, free: kaffic_userdata_free_fn) -> Self {
        Self { pointer, free }
    }
}

// SAFETY: the header says that callbacks come on any thread, so what they are given may go there.
unsafe impl Send for Userdata {}
// SAFETY: as above; the library itself does not look behind it.
unsafe impl Sync for Userdata {}

impl Drop for Userdata {
    fn drop(&mut self) {
        if let Some(free) = self.free {
            // SAFETY: the program gave both together, and it is called once.
            calling_back(|| unsafe { free(self.pointer) });
        }
    }
}

/// Tells the program of rebalances.
struct Listener {
    callback: RwLock<Option<Arc<Callback>>>,
    queue: Option<Arc<Queue>>,
    tag: u64,
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Listener")
    }
}

impl Listener {
    fn tell(&self, kind: kaffic_event_kind_t, at: &[PartitionPosition]) -> Vec<OffsetCommit> {
        let partitions = kaffic_partitions_t::of_positions(at);
        let callback = self.callback.read().unwrap_or_else(PoisonError::into_inner).clone();
        let mut commits = kaffic_partitions_t::default();
        if let Some(callback) = callback {
            let Callback { call, userdata } = &*callback;
            let to = match kind {
                KAFFIC_EVENT_REVOKED => ptr::from_mut(&mut commits),
                _ => ptr::null_mut(),
            };
            // SAFETY: the program gave both together; the lists live for the call.
            calling_back(|| unsafe { call(userdata.pointer, kind, &raw const partitions, to) });
        }
        if let Some(queue) = &self.queue {
            queue.push(kaffic_event_t::rebalance(kind, self.tag, partitions));
        }
        commits.with_offsets()
    }
}

impl RebalanceListener for Listener {
    fn assigned(&self, partitions: &[PartitionPosition]) {
        self.tell(KAFFIC_EVENT_ASSIGNED, partitions);
    }

    fn revoked(&self, partitions: &[PartitionPosition]) -> Vec<OffsetCommit> {
        self.tell(KAFFIC_EVENT_REVOKED, partitions)
    }

    fn lost(&self, partitions: &[PartitionPosition]) {
        self.tell(KAFFIC_EVENT_LOST, partitions);
    }
}

/// What is behind a consumer, for as long as a call needs it: a callback may free it meanwhile.
///
/// # Safety
/// `consumer` is null, or a consumer that lives.
unsafe fn inner(consumer: *const kaffic_consumer_t) -> Result<Held<Inner>> {
    // SAFETY: the caller's contract.
    unsafe { reference(consumer, "consumer") }?.0.hold()
}

/// Gives a consumer with the settings of `config`, which may be null. It reads nothing until
/// kaffic_consumer_subscribe, _subscribe_pattern or _assign says what. Rebalances are told to `events`, a
/// queue, with `tag`; it may be null. Of rebalances that nobody polls a queue keeps the newest 1,000.
/// Borrows, and keeps the queue alive. Free the consumer with kaffic_consumer_free. Does not wait.
/// Thread-safe.
///
/// KAFFIC_UNKNOWN_SETTING, KAFFIC_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kaffic_consumer_new(
    client: *const kaffic_client_t,
    config: *const kaffic_config_t,
    events: *const kaffic_queue_t,
    tag: u64,
    consumer: *mut *mut kaffic_consumer_t,
    error: *mut *mut kaffic_error_t,
) -> kaffic_status_t {
    // SAFETY: all pointers are as the header's rules say.
    unsafe {
        border(error, || {
            let out = Out::new(consumer, "consumer")?;
            let client = self::client(client)?;
            let listener = Listener { callback: RwLock::new(None), queue: queue(events)?, tag };
            let listener = Arc::new(listener);
            let heard: Arc<dyn RebalanceListener> = Arc::clone(&listener) as _;
            let reader = Reader::new(&client, settings(config), Some(heard))?;
            out.give(kaffic_consumer_t(Belonging::here().own(Inner { reader, listener })));
            Ok(())
        })
    }
}

/// Has `callback` told of rebalances, from within kaffic_consumer_poll and kaffic_consumer_close (and
/// whatever else ends what is read before), on the thread that called that. Null tells nobody. When it is
/// called no more, `userdata_free` (unless that is null) is called once with `userdata`, on any thread.
/// Does not wait. Thread-safe.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kaffic_consumer_on_rebalance(
    consumer: *const kaffic_consumer_t,
    callback: kaffic_rebalance_fn,
    userdata: *mut c_void,
    userdata_free: kaffic_userdata_free_fn,
    error: *mut *mut kaffic_error_t,
) -> kaffic_status_t {
    let userdata = Userdata::new(userdata, userdata_free);
    // SAFETY: all pointers are as the header's rules say.
    unsafe {
        border(error, move || {
            let callback = callback.map(|call| Arc::new(Callback { call, userdata }));
            let inner = inner(consumer)?;
            let listener = &inner.listener;
            let mut there = listener.callback.write().unwrap_or_else(PoisonError::into_inner);
            let before = std::mem::replace(&mut *there, callback);
            // Outside the lock: it may call the program.
            drop(there);
            drop(before);
            Ok(())
        })
    }
}

/// What the functions that say what is read have in common.
///
/// # Safety
/// The pointers are as the header's rules say.
unsafe fn read(
    consumer: *const kaffic_consumer_t,
    timeout_ms: i64,
    error: *mut *mut kaffic_error_t,
    wanted: impl FnOnce() -> Result<Wanted>,
) -> kaffic_status_t {
    // SAFETY: the caller's contract.
    unsafe {
        border(error, || {
            let inner = inner(consumer)?;
            wait(timeout_ms, "beginning to read", inner.reader.read(wanted()?))
        })
    }
}

/// Reads topics: in a group this consumer's share of their partitions, otherwise all of them. What was
/// read before is given up. Borrows. Waits. Thread-safe.
///
/// KAFFIC_TOPIC_NOT_FOUND, KAFFIC_INVALID_ARGUMENT, KAFFIC_OFFSET_OUT_OF_RANGE with the setting
/// reset=error, and what the storage says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kaffic_consumer_subscribe(
    consumer: *const kaffic_consumer_t,
    topics: *const *const c_char,
    topics_len: usize,
    timeout_ms: i64,
    error: *mut *mut kaffic_error_t,
) -> kaffic_status_t {
    // SAFETY: all pointers are as the header's rules say.
    unsafe {
        read(consumer, timeout_ms, error, || {
            let topics = texts(topics, topics_len, "topics")?;
            Ok(Wanted::Topics(topics.into_iter().map(str::to_owned).collect()))
        })
    }
}

/// Reads this consumer's share of all topics, also those to come, whose whole name fits a regular
/// expression. Only in a group. What was read before is given up. Borrows. Waits. Thread-safe.
///
/// As kaffic_consumer_subscribe.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kaffic_consumer_subscribe_pattern(
    consumer: *const kaffic_consumer_t,
    pattern: *const c_char,
    timeout_ms: i64,
    error: *mut *mut kaffic_error_t,
) -> kaffic_status_t {
    // SAFETY: all pointers are as the header's rules say.
    unsafe {
        read(consumer, timeout_ms, error, || {
            Ok(Wanted::Pattern(text(pattern, "pattern")?.to_owned()))
        })
    }
}

/// Reads these partitions, each from its offset, or without one from where the group has committed or the
/// setting `start` says. What was read before is given up. Borrows. Waits. Thread-safe.
///
/// As kaffic_consumer_subscribe.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kaffic_consumer_assign(
    consumer: *const kaffic_consumer_t,
    partitions: *const kaffic_partitions_t,
    timeout_ms: i64,
    error: *mut *mut kaffic_error_t,
) -> kaffic_status_t {
    // SAFETY: all pointers are as the header's rules say.
    unsafe {
        read(consumer, timeout_ms, error, || {
            Ok(Wanted::Partitions(reference(partitions, "partitions")?.wanted()))
        })
    }
}

/// Gives up to `max` records, waiting up to `timeout_ms` for the first. Null if none came in time, or if
/// the consumer is finished. What was given before counts as processed from now on. Free them with
/// kaffic_records_free. Thread-safe.
///
/// KAFFIC_INTERRUPTED after kaffic_consumer_wakeup; KAFFIC_CORRUPT, KAFFIC_OFFSET_OUT_OF_RANGE,
/// KAFFIC_TOPIC_NOT_FOUND when it was deleted, KAFFIC_FENCED when another has joined with this one's
/// member_name, and what the storage says. Polling again tries again; seek goes past.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kaffic_consumer_poll(
    consumer: *const kaffic_consumer_t,
    max: usize,
    timeout_ms: i64,
    records: *mut *mut kaffic_records_t,
    error: *mut *mut kaffic_error_t,
) -> kaffic_status_t {
    // SAFETY: all pointers are as the header's rules say.
    unsafe {
        border(error, || {
            let out = Out::new(records, "records")?;
            let inner = inner(consumer)?;
            check_may_wait()?;
            let mut records = kaffic_records_t::default();
            inside(|| inner.reader.poll_now(max, &mut records))??;
            let mut records = records.finished();
            if records.is_empty() {
                let limit = crate::boundary::limit(timeout_ms);
                let Polled::Records(came) = wait(-1, "a poll", inner.reader.poll(max, limit))?
                else {
                    let message = "the poll was ended by a wake-up";
                    return Err(Failure::new(Status::Interrupted, message));
                };
                records = kaffic_records_t::of_records(came);
            }
            match records.is_empty() {
                true => out.write(ptr::null_mut()),
                false => out.give(records),
            }
            Ok(())
        })
    }
}

/// Ends the poll that waits, or the next one if none does, with KAFFIC_INTERRUPTED, also where records are
/// there, which come with the poll after it. Does nothing for null and in a child. Thread-safe,
/// callback-safe; not for signal handlers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kaffic_consumer_wakeup(consumer: *const kaffic_consumer_t) {
    infallible((), || {
        // SAFETY: null, or a consumer that lives, by the rules of the header.
        if let Ok(inner) = unsafe { inner(consumer) } {
            inner.reader.wake();
        }
    });
}

/// Goes on elsewhere in a partition: `place` is as the setting `start`. Borrows. Waits. Thread-safe.
///
/// KAFFIC_INVALID_ARGUMENT for a partition that is not assigned; KAFFIC_OFFSET_OUT_OF_RANGE with the
/// setting reset=error; and what the storage says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kaffic_consumer_seek(
    consumer: *const kaffic_consumer_t,
    topic: *const c_char,
    partition: i32,
    place: *const c_char,
    timeout_ms: i64,
    error: *mut *mut kaffic_error_t,
) -> kaffic_status_t {
    // SAFETY: all pointers are as the header's rules say.
    unsafe {
        border(error, || {
            let inner = inner(consumer)?;
            let (topic, partition) = (text(topic, "topic")?, partition_number(partition)?);
            let place = values::start(text(place, "place")?).map_err(Failure::invalid)?;
            wait(timeout_ms, "a seek", inner.reader.seek(topic, partition, place))
        })
    }
}

/// Stops delivering a partition, or with `paused` false goes on with it. Borrows. Waits only for other
/// calls on the consumer. Thread-safe.
///
/// KAFFIC_INVALID_ARGUMENT for a partition that is not assigned.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kaffic_consumer_pause(
    consumer: *const kaffic_consumer_t,
    topic: *const c_char,
    partition: i32,
    paused: bool,
    error: *mut *mut kaffic_error_t,
) -> kaffic_status_t {
    // SAFETY: all pointers are as the header's rules say.
    unsafe {
        border(error, || {
            let inner = inner(consumer)?;
            let (topic, partition) = (text(topic, "topic")?, partition_number(partition)?);
            wait(-1, "a pause", inner.reader.pause(topic, partition, paused))
        })
    }
}

/// What the functions that give a list of positions have in common.
///
/// # Safety
/// The pointers are as the header's rules say.
unsafe fn ask(
    consumer: *const kaffic_consumer_t,
    timeout_ms: i64,
    partitions: *mut *mut kaffic_partitions_t,
    error: *mut *mut kaffic_error_t,
    work: impl AsyncFnOnce(&Reader) -> Result<Vec<PartitionPosition>>,
) -> kaffic_status_t {
    // SAFETY: the caller's contract.
    unsafe {
        border(error, || {
            let out = Out::new(partitions, "partitions")?;
            let positions = wait(timeout_ms, "asking a consumer", work(&inner(consumer)?.reader))?;
            out.give(kaffic_partitions_t::of_positions(&positions));
            Ok(())
        })
    }
}

/// Gives the partitions that the consumer has, each with the offset of the next record to be polled. Free
/// them with kaffic_partitions_free. Waits only for other calls on the consumer. Thread-safe.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kaffic_consumer_positions(
    consumer: *const kaffic_consumer_t,
    partitions: *mut *mut kaffic_partitions_t,
    error: *mut *mut kaffic_error_t,
) -> kaffic_status_t {
    // SAFETY: all pointers are as the header's rules say.
    unsafe { ask(consumer, -1, partitions, error, async |reader| reader.positions().await) }
}

/// Gives the partitions that the consumer has, each with its tail: the offset that the next record to be
/// written will get. Free them with kaffic_partitions_free. Waits. Thread-safe.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kaffic_consumer_end_offsets(
    consumer: *const kaffic_consumer_t,
    timeout_ms: i64,
    partitions: *mut *mut kaffic_partitions_t,
    error: *mut *mut kaffic_error_t,
) -> kaffic_status_t {
    // SAFETY: all pointers are as the header's rules say.
    unsafe {
        ask(consumer, timeout_ms, partitions, error, async |reader| reader.end_offsets().await)
    }
}

/// Gives the partitions that the consumer has, each with how far it is behind its tail. Free them with
/// kaffic_partitions_free. Waits. Thread-safe.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kaffic_consumer_lag(
    consumer: *const kaffic_consumer_t,
    timeout_ms: i64,
    partitions: *mut *mut kaffic_partitions_t,
    error: *mut *mut kaffic_error_t,
) -> kaffic_status_t {
    // SAFETY: all pointers are as the header's rules say.
    unsafe { ask(consumer, timeout_ms, partitions, error, async |reader| reader.lag().await) }
}

/// Gives what is committed in the partitions that the consumer has. Free it with kaffic_partitions_free.
/// Waits only for other calls on the consumer. Thread-safe.
///
/// KAFFIC_INVALID_ARGUMENT without a group.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kaffic_consumer_committed(
    consumer: *const kaffic_consumer_t,
    offsets: *mut *mut kaffic_partitions_t,
    error: *mut *mut kaffic_error_t,
) -> kaffic_status_t {
    // SAFETY: all pointers are as the header's rules say.
    unsafe {
        border(error, || {
            let out = Out::new(offsets, "offsets")?;
            let inner = inner(consumer)?;
            let committed = wait(-1, "asking a consumer", inner.reader.committed())?;
            out.give(kaffic_partitions_t::of_committed(&committed));
            Ok(())
        })
    }
}

/// Commits these offsets, or with null everything that was polled so far. Borrows. Waits. Thread-safe.
///
/// KAFFIC_FENCED when a partition went to another meanwhile; KAFFIC_INVALID_ARGUMENT without a group; and
/// what the storage says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kaffic_consumer_commit(
    consumer: *const kaffic_consumer_t,
    offsets: *const kaffic_partitions_t,
    timeout_ms: i64,
    error: *mut *mut kaffic_error_t,
) -> kaffic_status_t {
    // SAFETY: all pointers are as the header's rules say.
    unsafe {
        border(error, || {
            let inner = inner(consumer)?;
            let offsets = match offsets.is_null() {
                true => None,
                false => Some(reference(offsets, "offsets")?.commits()?),
            };
            wait(timeout_ms, "a commit", inner.reader.commit(offsets))
        })
    }
}

/// Begins to commit everything that was polled so far, and does not wait for it. What goes wrong is
/// logged. Thread-safe.
///
/// KAFFIC_INVALID_ARGUMENT without a group.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kaffic_consumer_commit_async(
    consumer: *const kaffic_consumer_t,
    error: *mut *mut kaffic_error_t,
) -> kaffic_status_t {
    // SAFETY: all pointers are as the header's rules say.
    unsafe { border(error, || wait(-1, "a commit", inner(consumer)?.reader.commit_async())) }
}

/// Gives the name under which the consumer is a member of its group; null where it is none. Free it with
/// kaffic_string_free. Waits only for other calls on the consumer. Thread-safe.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kaffic_consumer_member_name(
    consumer: *const kaffic_consumer_t,
    name: *mut *mut c_char,
    error: *mut *mut kaffic_error_t,
) -> kaffic_status_t {
    // SAFETY: all pointers are as the header's rules say.
    unsafe {
        border(error, || {
            let out = Out::new(name, "name")?;
            let name = wait(-1, "asking a consumer", inner(consumer)?.reader.member_name())?;
            let name = name.map(|name| crate::boundary::c_text(&name).into_raw());
            out.write(name.unwrap_or(ptr::null_mut()));
            Ok(())
        })
    }
}

/// Whether everything that was asked for has been given: never without one of the settings `until`,
/// `max_records` and `max_bytes`. True too once it is closed, for null and in a child. False in a callback.
/// Waits only for other calls on the consumer. Thread-safe.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kaffic_consumer_finished(consumer: *const kaffic_consumer_t) -> bool {
    infallible(true, || {
        if in_callback() {
            return false;
        }
        // SAFETY: null, or a consumer that lives, by the rules of the header.
        let Ok(inner) = (unsafe { inner(consumer) }) else { return true };
        inner.reader.is_finished_now().unwrap_or_else(|| {
            let finished = async { Ok(inner.reader.is_finished().await) };
            wait(-1, "asking a consumer", finished).unwrap_or(true)
        })
    })
}

/// Ends what the consumer reads: commits what was polled if it does that by itself, gives its partitions
/// up and leaves its group. A poll that waits on another thread fails with KAFFIC_CLOSED. Closing again
/// does nothing. Thread-safe.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kaffic_consumer_close(
    consumer: *const kaffic_consumer_t,
    timeout_ms: i64,
    error: *mut *mut kaffic_error_t,
) -> kaffic_status_t {
    // SAFETY: all pointers are as the header's rules say.
    unsafe {
        border(error, || wait(timeout_ms, "closing a consumer", inner(consumer)?.reader.close()))
    }
}

/// Frees a consumer, and does not wait. One that was not closed is missed by its group after its session
/// timeout, and what it polled last is not committed. Null is nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kaffic_consumer_free(consumer: *mut kaffic_consumer_t) {
    // SAFETY: null, or a consumer that was given and not freed, by the rules of the header.
    unsafe { take_back(consumer) };
}
