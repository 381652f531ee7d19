//! Queues of events: what became of records, and of a consumer's partitions. A file descriptor tells
//! when there is something, for programs with an event loop of their own.

use crate::boundary::{
    Out, border, check_may_wait, infallible, kaffic_status_t, limit, reference, take_back,
};
use crate::error::{KAFFIC_OK, kaffic_error_t};
use crate::partitions::kaffic_partitions_t;
use kaffic_bindings::failure::Result;
use kaffic_bindings::process::{Belonging, Owned};
use kaffic_bindings::{Failure, Status};
use std::collections::VecDeque;
use std::io::{PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsRawFd;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::Notify;

/// What kind of event it is. A `KAFFIC_EVENT_…` number.
pub type kaffic_event_kind_t = i32;

/// No event.
pub const KAFFIC_EVENT_NONE: kaffic_event_kind_t = 0;
/// Records were acknowledged, or failed.
pub const KAFFIC_EVENT_DELIVERIES: kaffic_event_kind_t = 1;
/// A consumer in a group got partitions.
pub const KAFFIC_EVENT_ASSIGNED: kaffic_event_kind_t = 2;
/// A consumer in a group gave partitions up.
pub const KAFFIC_EVENT_REVOKED: kaffic_event_kind_t = 3;
/// A consumer in a group lost partitions: it was silent for too long.
pub const KAFFIC_EVENT_LOST: kaffic_event_kind_t = 4;

/// In the flags of a delivery: the record's sequence was written before; it was not written again.
pub const KAFFIC_DELIVERY_DUPLICATE: u32 = 1;
/// In the flags of a delivery that failed: it can't be known whether the record was written.
pub const KAFFIC_DELIVERY_OUTCOME_UNKNOWN: u32 = 2;
/// In the flags of a delivery that failed: sending it again can help.
pub const KAFFIC_DELIVERY_RETRIABLE: u32 = 4;

/// What became of a record.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct kaffic_delivery_t {
    /// The tag that was given with the record.
    pub tag: u64,
    /// The offset, or KAFFIC_NO_OFFSET for a record that failed or was there before.
    pub offset: i64,
    /// The timestamp in Unix milliseconds.
    pub timestamp_ms: i64,
    /// The partition.
    pub partition: i32,
    /// KAFFIC_OK, or why it failed.
    pub status: kaffic_status_t,
    /// KAFFIC_DELIVERY_… flags.
    pub flags: u32,
    /// Nothing.
    pub reserved: u32,
}

/// Deliveries in one event, at most. An allocator gives as much without asking the system.
const TOGETHER: usize = 1024;
/// Deliveries that may wait in a queue; beyond that sending waits.
const MOST_DELIVERIES: usize = 1 << 20;
/// Rebalances that may wait in a queue; beyond that the oldest are dropped, as the header says.
const MOST_REBALANCES: usize = 1000;

/// An event.
#[derive(Debug)]
pub struct kaffic_event_t {
    kind: kaffic_event_kind_t,
    tag: u64,
    deliveries: Vec<kaffic_delivery_t>,
    /// Errors of deliveries, by their places.
    errors: Vec<(usize, kaffic_error_t)>,
    partitions: Option<kaffic_partitions_t>,
}

impl kaffic_event_t {
    fn of(kind: kaffic_event_kind_t) -> Self {
        Self { kind, tag: 0, deliveries: Vec::new(), errors: Vec::new(), partitions: None }
    }

    pub(crate) fn deliveries() -> Self {
        Self::of(KAFFIC_EVENT_DELIVERIES)
    }

    pub(crate) fn rebalance(
        kind: kaffic_event_kind_t,
        tag: u64,
        partitions: kaffic_partitions_t,
    ) -> Self {
        Self { tag, partitions: Some(partitions), ..Self::of(kind) }
    }

    pub(crate) fn add(&mut self, delivery: kaffic_delivery_t, failure: Option<Failure>) {
        if let Some(failure) = failure {
            self.errors.push((self.deliveries.len(), kaffic_error_t::new(failure)));
        }
        self.deliveries.push(delivery);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.deliveries.is_empty()
    }

    fn take_in(&mut self, other: Self) {
        let before = self.deliveries.len();
        self.deliveries.extend(other.deliveries);
        self.errors.extend(other.errors.into_iter().map(|(at, error)| (before + at, error)));
    }
}

// SAFETY: the pointers in it are to what it owns itself.
unsafe impl Send for kaffic_event_t {}

/// The queue itself, which producers and consumers keep.
#[derive(Debug)]
pub(crate) struct Queue {
    state: Mutex<State>,
    some: Condvar,
    /// Has a byte in it while there are events.
    reader: PipeReader,
    writer: PipeWriter,
    /// Deliveries that wait here, or will come.
    deliveries: AtomicUsize,
    /// Deliveries were polled.
    room: Notify,
}

#[derive(Debug, Default)]
struct State {
    events: VecDeque<kaffic_event_t>,
    deliveries: usize,
    rebalances: usize,
    freed: bool,
}

impl Queue {
    fn new() -> Result<Self> {
        let pipe = std::io::pipe();
        let (reader, writer) = pipe.map_err(|error| {
            Failure::new(Status::Internal, format!("the system gives no pipe: {error}"))
        })?;
        let state = Mutex::default();
        let (some, deliveries, room) = (Condvar::new(), AtomicUsize::new(0), Notify::new());
        Ok(Self { state, some, reader, writer, deliveries, room })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts deliveries that will come; false when there are too many already.
    pub(crate) fn expect(&self, deliveries: usize) -> bool {
        let room = self.deliveries.load(Ordering::Acquire) < MOST_DELIVERIES;
        if room {
            // Threads that come together may go over it by one each.
            self.deliveries.fetch_add(deliveries, Ordering::AcqRel);
        }
        room
    }

    /// Waits until one more delivery may come, and counts it. Where there is no end to the wait, it ends
    /// with false when all that is expected has come: nothing but a poll makes room then.
    pub(crate) async fn wait_for_room(&self, for_ever: bool) -> bool {
        loop {
            let mut room = std::pin::pin!(self.room.notified());
            room.as_mut().enable();
            if self.expect(1) {
                return true;
            }
            if for_ever && self.all_came(&self.state()) {
                return false;
            }
            room.await;
        }
    }

    /// Whether as many deliveries as there may be are here.
    fn all_came(&self, state: &State) -> bool {
        let expected = self.deliveries.load(Ordering::Acquire);
        expected >= MOST_DELIVERIES && state.deliveries >= expected
    }

    /// Takes back what was expected and does not come.
    pub(crate) fn expect_no_more(&self, deliveries: usize) {
        let less = |there: usize| Some(there.saturating_sub(deliveries));
        // Always some.
        let _ = self.deliveries.fetch_update(Ordering::AcqRel, Ordering::Acquire, less);
        self.room.notify_waiters();
    }

    pub(crate) fn push(&self, event: kaffic_event_t) {
        let mut state = self.state();
        if state.freed {
            self.expect_no_more(event.deliveries.len());
            return;
        }
        if event.kind == KAFFIC_EVENT_DELIVERIES {
            let together = event.deliveries.len();
            state.deliveries += together;
            if self.all_came(&state) {
                self.room.notify_waiters();
            }
            if let Some(last) = state.events.back_mut()
                && last.kind == KAFFIC_EVENT_DELIVERIES
                && last.deliveries.len() + together <= TOGETHER
            {
                last.take_in(event);
                return;
            }
        } else {
            state.rebalances += 1;
            if state.rebalances > MOST_REBALANCES {
                state.rebalances -= 1;
                let oldest = state.events.iter().position(|e| e.kind != KAFFIC_EVENT_DELIVERIES);
                oldest.and_then(|at| state.events.remove(at));
            }
        }
        state.events.push_back(event);
        if state.events.len() == 1 {
            // The pipe is empty, so this does not wait.
            (&self.writer).write_all(&[1]).ok();
        }
        drop(state);
        self.some.notify_one();
    }

    #[expect(clippy::disallowed_methods, reason = "a caller's own limit, in real time")]
    fn poll(&self, timeout_ms: i64) -> Option<kaffic_event_t> {
        let deadline = limit(timeout_ms).and_then(|wait| Instant::now().checked_add(wait));
        let mut state = self.state();
        while state.events.is_empty() {
            state = match deadline {
                None => self.some.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return None;
                    }
                    let waited = self.some.wait_timeout(state, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        let event = state.events.pop_front()?;
        state.deliveries -= event.deliveries.len();
        if event.kind != KAFFIC_EVENT_DELIVERIES {
            state.rebalances -= 1;
        }
        if state.events.is_empty() {
            // There is a byte, so this does not wait.
            (&self.reader).read_exact(&mut [0]).ok();
        } else {
            self.some.notify_one();
        }
        drop(state);
        self.expect_no_more(event.deliveries.len());
        Some(event)
    }

    /// Nobody polls it any more.
    fn free(&self) {
        let mut state = self.state();
        state.freed = true;
        self.deliveries.store(0, Ordering::Release);
        state.deliveries = 0;
        if !state.events.is_empty() {
            // Whoever watches the file descriptor still is told of nothing. This does not wait.
            (&self.reader).read_exact(&mut [0]).ok();
            state.events.clear();
        }
        drop(state);
        self.room.notify_waiters();
    }
}

/// A queue of events, which any number of producers and consumers may share.
#[derive(Debug)]
pub struct kaffic_queue_t(Owned<Freed>);

/// The program's hold of a queue.
#[derive(Debug)]
struct Freed(Arc<Queue>);

impl Drop for Freed {
    fn drop(&mut self) {
        self.0.free();
    }
}

/// The queue behind a pointer; none for null.
///
/// # Safety
/// `queue` is null, or a queue that lives.
pub(crate) unsafe fn queue(queue: *const kaffic_queue_t) -> Result<Option<Arc<Queue>>> {
    if queue.is_null() {
        return Ok(None);
    }
    // SAFETY: the caller's contract.
    let queue = unsafe { reference(queue, "queue") }?;
    Ok(Some(Arc::clone(&queue.0.get()?.0)))
}

/// Gives a queue; free it with kaffic_queue_free. Thread-safe.
///
/// KAFFIC_INTERNAL when the system has no file descriptors left.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kaffic_queue_new(
    queue: *mut *mut kaffic_queue_t,
    error: *mut *mut kaffic_error_t,
) -> kaffic_status_t {
    // SAFETY: all pointers are as the header's rules say.
    unsafe {
        border(error, || {
            let out = Out::new(queue, "queue")?;
            let made = Arc::new(Queue::new()?);
            out.give(kaffic_queue_t(Belonging::here().own(Freed(made))));
            Ok(())
        })
    }
}

/// A file descriptor that can be read from while there are events, for select, poll, epoll and the like.
/// It must not be read from nor closed. -1 for null and in a child. Callback-safe.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kaffic_queue_fd(queue: *const kaffic_queue_t) -> i32 {
    infallible(-1, || {
        // SAFETY: null, or a queue that lives, by the rules of the header.
        match unsafe { self::queue(queue) } {
            Ok(Some(queue)) => queue.reader.as_raw_fd(),
            _ => -1,
        }
    })
}

/// Gives the next event, waiting for it up to `timeout_ms`; null if none came. Free it with
/// kaffic_event_free. Thread-safe.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kaffic_queue_poll(
    queue: *const kaffic_queue_t,
    timeout_ms: i64,
    event: *mut *mut kaffic_event_t,
    error: *mut *mut kaffic_error_t,
) -> kaffic_status_t {
    // SAFETY: all pointers are as the header's rules say.
    unsafe {
        border(error, || {
            let out = Out::new(event, "event")?;
            let queue = &reference(queue, "queue")?.0.get()?.0;
            check_may_wait()?;
            match queue.poll(timeout_ms) {
                Some(event) => out.give(event),
                None => out.write(ptr::null_mut()),
            }
            Ok(())
        })
    }
}

/// Frees a queue and what is in it. Producers and consumers that have it go on without. Null is nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kaffic_queue_free(queue: *mut kaffic_queue_t) {
    // SAFETY: null, or a queue that was given and not freed, by the rules of the header.
    unsafe { take_back(queue) };
}

/// What kind of event it is; KAFFIC_EVENT_NONE for null. Callback-safe, as all functions of events.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kaffic_event_kind(event: *const kaffic_event_t) -> kaffic_event_kind_t {
    // SAFETY: null, or an event that lives, by the rules of the header.
    unsafe { reference(event, "") }.map_or(KAFFIC_EVENT_NONE, |event| event.kind)
}

/// The tag of the consumer that a rebalance is of; 0 otherwise.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kaffic_event_tag(event: *const kaffic_event_t) -> u64 {
    // SAFETY: null, or an event that lives, by the rules of the header.
    unsafe { reference(event, "") }.map_or(0, |event| event.tag)
}

/// The deliveries of an event, as an array that lives as long as the event. Writes how many there are to
/// `len`, and to `stride` the bytes from one to the next, which may grow with versions of the library.
/// Null, and 0 of them, for other events.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kaffic_event_deliveries(
    event: *const kaffic_event_t,
    len: *mut usize,
    stride: *mut usize,
) -> *const kaffic_delivery_t {
    // SAFETY: null, or an event that lives, by the rules of the header.
    let deliveries = unsafe { reference(event, "") }.map_or(&[][..], |event| &event.deliveries[..]);
    // SAFETY: null, or valid for a write, by the rules of the header.
    unsafe {
        if !len.is_null() {
            len.write(deliveries.len());
        }
        if !stride.is_null() {
            stride.write(size_of::<kaffic_delivery_t>());
        }
    }
    if deliveries.is_empty() { ptr::null() } else { deliveries.as_ptr() }
}

/// The error of the delivery at an index, which lives as long as the event; null if it did not fail.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kaffic_event_error(
    event: *const kaffic_event_t,
    index: usize,
) -> *const kaffic_error_t {
    // SAFETY: null, or an event that lives, by the rules of the header.
    let event = unsafe { reference(event, "") };
    let found = event.ok().and_then(|event| {
        let at = event.errors.binary_search_by_key(&index, |(at, _)| *at).ok()?;
        event.errors.get(at)
    });
    found.map_or(ptr::null(), |(_, error)| ptr::from_ref(error))
}

/// The partitions of a rebalance, with the offset up to which each was read or from which it will be;
/// they live as long as the event. Null for other events.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kaffic_event_partitions(
    event: *const kaffic_event_t,
) -> *const kaffic_partitions_t {
    // SAFETY: null, or an event that lives, by the rules of the header.
    let event = unsafe { reference(event, "") };
    event.ok().and_then(|event| event.partitions.as_ref()).map_or(ptr::null(), ptr::from_ref)
}

/// Frees an event. Null is nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kaffic_event_free(event: *mut kaffic_event_t) {
    // SAFETY: null, or an event that was given and not freed, by the rules of the header.
    unsafe { take_back(event) };
}

/// Where a call tells what became of its record: nowhere, or into the program's delivery, of which it is
/// written what this library knows.
pub(crate) struct Told(Option<Out<kaffic_delivery_t>>);

impl Told {
    /// # Errors
    /// `InvalidArgument` for a size that is none of a delivery's.
    ///
    /// # Safety
    /// `delivery` is null, or valid for a write of `delivery_size` bytes for as long as this lives.
    pub(crate) unsafe fn to(
        delivery: *mut kaffic_delivery_t,
        delivery_size: usize,
    ) -> Result<Self> {
        if delivery.is_null() {
            return Ok(Self(None));
        }
        let least = size_of::<kaffic_delivery_t>();
        if delivery_size < least || !delivery_size.is_multiple_of(align_of::<kaffic_delivery_t>()) {
            let message = format!(
                "delivery_size is {delivery_size}; it is sizeof(kaffic_delivery_t), {least}"
            );
            return Err(Failure::invalid(message));
        }
        // SAFETY: the caller's contract; it has room for one.
        Ok(Self(Some(unsafe { Out::new(delivery, "delivery") }?)))
    }

    pub(crate) fn write(self, ack: kaffic_core::Ack) {
        if let Some(out) = self.0 {
            out.write(kaffic_delivery_t::of(0, &Ok(ack), (0, 0)));
        }
    }
}

impl kaffic_delivery_t {
    /// What became of a record that was sent.
    pub(crate) fn of(
        tag: u64,
        came: &Result<kaffic_core::Ack>,
        (partition, timestamp_ms): (i32, i64),
    ) -> Self {
        let mut delivery = Self {
            tag,
            offset: crate::error::KAFFIC_NO_OFFSET,
            timestamp_ms,
            partition,
            status: KAFFIC_OK,
            flags: 0,
            reserved: 0,
        };
        match came {
            Ok(ack) => {
                delivery.offset = ack.offset;
                delivery.timestamp_ms = ack.timestamp;
                delivery.partition = ack.partition as i32;
                delivery.flags = if ack.duplicate { KAFFIC_DELIVERY_DUPLICATE } else { 0 };
            }
            Err(failure) => {
                delivery.status = failure.status.code();
                if failure.outcome_unknown {
                    delivery.flags |= KAFFIC_DELIVERY_OUTCOME_UNKNOWN;
                }
                if failure.retriable {
                    delivery.flags |= KAFFIC_DELIVERY_RETRIABLE;
                }
            }
        }
        delivery
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivered(count: u64) -> kaffic_event_t {
        let mut event = kaffic_event_t::deliveries();
        for tag in 0..count {
            let failed = Failure::new(Status::TimedOut, format!("{tag}"));
            event.add(kaffic_delivery_t::of(tag, &Err(failed.clone()), (-1, 0)), Some(failed));
        }
        event
    }

    #[test]
    fn deliveries_are_joined_with_their_errors_at_their_places() {
        let queue = Queue::new().unwrap();
        queue.push(delivered(2));
        queue.push(delivered(3));
        queue.push(delivered(TOGETHER as u64));
        let first = queue.poll(0).unwrap();
        assert_eq!(first.deliveries.len(), 5);
        let tags: Vec<u64> = first.deliveries.iter().map(|delivery| delivery.tag).collect();
        assert_eq!(tags, [0, 1, 0, 1, 2]);
        for (at, error) in &first.errors {
            assert_eq!(error.message(), tags[*at].to_string());
        }
        assert_eq!(queue.poll(0).unwrap().deliveries.len(), TOGETHER);
        assert!(queue.poll(0).is_none());
    }

    #[test]
    fn rebalances_that_nobody_polls_are_bounded() {
        let queue = Queue::new().unwrap();
        for tag in 0..1500 {
            let list = kaffic_partitions_t::default();
            queue.push(kaffic_event_t::rebalance(KAFFIC_EVENT_ASSIGNED, tag, list));
        }
        let tags: Vec<u64> = std::iter::from_fn(|| queue.poll(0)).map(|event| event.tag).collect();
        assert_eq!(tags, (500..1500).collect::<Vec<_>>());
    }

    #[test]
    fn deliveries_that_nobody_polls_stop_the_sending() {
        let queue = Queue::new().unwrap();
        assert!(queue.expect(MOST_DELIVERIES));
        assert!(!queue.expect(1));
        queue.push(delivered(1));
        queue.poll(0).unwrap();
        assert!(queue.expect(1) && !queue.expect(1));
        queue.expect_no_more(1);
        assert!(queue.expect(1));
        queue.free();
        assert!(queue.expect(1));
        queue.push(delivered(1));
        assert!(queue.poll(0).is_none());
    }

    #[test]
    fn a_wait_without_an_end_ends_when_only_a_poll_makes_room() {
        use futures_util::FutureExt;
        let queue = Queue::new().unwrap();
        assert!(queue.expect(MOST_DELIVERIES));
        queue.push(delivered(MOST_DELIVERIES as u64 - 1));
        // One is to come still.
        let mut waits = Box::pin(queue.wait_for_room(true));
        let mut limited = Box::pin(queue.wait_for_room(false));
        assert_eq!((&mut waits).now_or_never(), None);
        assert_eq!((&mut limited).now_or_never(), None);
        queue.push(delivered(1));
        assert_eq!(waits.now_or_never(), Some(false));
        assert_eq!((&mut limited).now_or_never(), None);
        queue.poll(0).unwrap();
        assert_eq!(limited.now_or_never(), Some(true));
    }

    #[test]
    fn what_is_expected_no_more_makes_room() {
        use futures_util::FutureExt;
        let queue = Queue::new().unwrap();
        assert!(queue.expect(MOST_DELIVERIES));
        let mut waits = Box::pin(queue.wait_for_room(true));
        assert_eq!((&mut waits).now_or_never(), None);
        queue.expect_no_more(1);
        assert_eq!(waits.now_or_never(), Some(true));
    }
}
