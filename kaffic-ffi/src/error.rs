//! Errors and statuses.

use crate::boundary::{c_text, infallible, kaffic_status_t, take_back};
use kaffic_bindings::{Failure, Status};
use std::ffi::{CString, c_char};
use std::ptr;
use std::sync::LazyLock;

/// Done.
pub const KAFFIC_OK: kaffic_status_t = 0;
/// An argument is null that must not be.
pub const KAFFIC_NULL_ARGUMENT: kaffic_status_t = 1;
/// A text is not UTF-8.
pub const KAFFIC_INVALID_UTF8: kaffic_status_t = 2;
/// A name, number, URL or value is not acceptable. Correct the call.
pub const KAFFIC_INVALID_ARGUMENT: kaffic_status_t = 3;
/// There is no setting of that name. Correct the name.
pub const KAFFIC_UNKNOWN_SETTING: kaffic_status_t = 4;
/// The client, producer or consumer was closed. Make a new one.
pub const KAFFIC_CLOSED: kaffic_status_t = 5;
/// The process was forked since the handle was made. Make a new one in the child.
pub const KAFFIC_FORKED: kaffic_status_t = 6;
/// The call would wait, and was made from within a callback. Make it after the callback.
pub const KAFFIC_IN_CALLBACK: kaffic_status_t = 7;
/// The time allowed for the call has run out. It may be tried again.
pub const KAFFIC_TIMED_OUT: kaffic_status_t = 20;
/// The producer's buffer is full, or too many deliveries wait to be polled. Try again later.
pub const KAFFIC_QUEUE_FULL: kaffic_status_t = 21;
/// The wait was ended by a wake-up from elsewhere.
pub const KAFFIC_INTERRUPTED: kaffic_status_t = 22;
/// The topic does not exist, or was deleted. Create it, or correct its name.
pub const KAFFIC_TOPIC_NOT_FOUND: kaffic_status_t = 40;
/// A topic of that name exists already. Use it, or delete it first.
pub const KAFFIC_TOPIC_EXISTS: kaffic_status_t = 41;
/// The offset has expired or does not exist yet; the failure has what remains. Seek into that.
pub const KAFFIC_OFFSET_OUT_OF_RANGE: kaffic_status_t = 42;
/// An append with an expected offset met another tail; the failure has it. Decide anew.
pub const KAFFIC_CONDITION_FAILED: kaffic_status_t = 43;
/// Another has taken over: a newer producer of the name, or the partition's present owner.
pub const KAFFIC_FENCED: kaffic_status_t = 44;
/// The group does not exist, or was deleted. Correct its name, or join it.
pub const KAFFIC_GROUP_NOT_FOUND: kaffic_status_t = 45;
/// The group has members, and only they may change its offsets. Stop them first.
pub const KAFFIC_GROUP_NOT_EMPTY: kaffic_status_t = 46;
/// The storage did not answer, or not usefully. Trying again can help.
pub const KAFFIC_UNAVAILABLE: kaffic_status_t = 60;
/// The storage refused: credentials or permissions. Mend them.
pub const KAFFIC_DENIED: kaffic_status_t = 61;
/// The storage does not keep the contract that kaffic rests on, so it must not be used.
pub const KAFFIC_UNSAFE_STORE: kaffic_status_t = 62;
/// This machine's clock and the storage's stamps disagree too far. Set the clock.
pub const KAFFIC_CLOCK_SKEW: kaffic_status_t = 63;
/// Stored bytes are damaged, foreign or altered; the message names the object.
pub const KAFFIC_CORRUPT: kaffic_status_t = 80;
/// Stored data was written by a newer version in a way that this one can't read. Upgrade.
pub const KAFFIC_UNSUPPORTED: kaffic_status_t = 81;
/// A record is larger than the limit. Make it smaller or raise the limit.
pub const KAFFIC_RECORD_TOO_LARGE: kaffic_status_t = 82;
/// A defect in kaffic. Please report it with the message.
pub const KAFFIC_INTERNAL: kaffic_status_t = 90;
/// A defect in kaffic, caught at the border. Please report it with the message.
pub const KAFFIC_PANIC: kaffic_status_t = 91;

/// No offset: where one may be absent.
pub const KAFFIC_NO_OFFSET: i64 = -1;

/// An error: what happened, and what is known of it.
#[derive(Debug)]
pub struct kaffic_error_t {
    failure: Failure,
    message: CString,
}

impl kaffic_error_t {
    pub(crate) fn new(failure: Failure) -> Self {
        let message = c_text(&failure.message);
        Self { failure, message }
    }

    #[cfg(test)]
    pub(crate) fn message(&self) -> &str {
        &self.failure.message
    }
}

fn seen<T>(
    error: *const kaffic_error_t,
    otherwise: T,
    see: impl FnOnce(&kaffic_error_t) -> T,
) -> T {
    // SAFETY: null, or an error that lives, by the rules of the header.
    unsafe { error.as_ref() }.map_or(otherwise, see)
}

/// The error's status; KAFFIC_OK for null. Callback-safe, as all functions of errors.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kaffic_error_status(error: *const kaffic_error_t) -> kaffic_status_t {
    seen(error, KAFFIC_OK, |error| error.failure.status.code())
}

/// What happened, to which topic or object, and what to do, in UTF-8. It lives as long as the error;
/// it is empty for null, and never null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kaffic_error_message(error: *const kaffic_error_t) -> *const c_char {
    seen(error, c"".as_ptr(), |error| error.message.as_ptr())
}

/// Whether the same call may succeed later without anything being changed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kaffic_error_retriable(error: *const kaffic_error_t) -> bool {
    seen(error, false, |error| error.failure.retriable)
}

/// Whether it can't be known if the records of the call were written. Where this is false they were
/// not, and won't be.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kaffic_error_outcome_unknown(error: *const kaffic_error_t) -> bool {
    seen(error, false, |error| error.failure.outcome_unknown)
}

/// Of KAFFIC_OFFSET_OUT_OF_RANGE: the first offset that is there behind the wanted one. Otherwise
/// KAFFIC_NO_OFFSET.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kaffic_error_earliest(error: *const kaffic_error_t) -> i64 {
    seen(error, KAFFIC_NO_OFFSET, |error| error.failure.earliest.unwrap_or(KAFFIC_NO_OFFSET))
}

/// Of KAFFIC_OFFSET_OUT_OF_RANGE and KAFFIC_CONDITION_FAILED: the offset that the next record will get.
/// Otherwise KAFFIC_NO_OFFSET.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kaffic_error_tail(error: *const kaffic_error_t) -> i64 {
    seen(error, KAFFIC_NO_OFFSET, |error| error.failure.tail.unwrap_or(KAFFIC_NO_OFFSET))
}

/// Frees an error. Null is nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kaffic_error_free(error: *mut kaffic_error_t) {
    // SAFETY: null, or an error that was given and not freed, by the rules of the header.
    unsafe { take_back(error) };
}

/// Frees a text that was given, such as a JSON document. Null is nothing. Callback-safe.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kaffic_string_free(text: *mut c_char) {
    if !text.is_null() {
        // SAFETY: a text that was given and not freed, by the rules of the header.
        infallible((), || drop(unsafe { CString::from_raw(text) }));
    }
}

struct Told {
    name: CString,
    meaning: CString,
}

static TOLD: LazyLock<Vec<(kaffic_status_t, Told)>> = LazyLock::new(|| {
    let told = |status: &Status| {
        let told = Told { name: c_text(status.name()), meaning: c_text(status.meaning().trim()) };
        (status.code(), told)
    };
    Status::ALL.iter().map(told).collect()
});

static CODES: LazyLock<Vec<kaffic_status_t>> =
    LazyLock::new(|| Status::ALL.iter().map(|status| status.code()).collect());

fn told(status: kaffic_status_t) -> Option<&'static Told> {
    TOLD.iter().find(|(code, _)| *code == status).map(|(_, told)| told)
}

/// The name of a status, such as "FENCED"; null for a number that is none. It lives for ever.
/// Callback-safe.
#[unsafe(no_mangle)]
pub extern "C" fn kaffic_status_name(status: kaffic_status_t) -> *const c_char {
    infallible(ptr::null(), || told(status).map_or(ptr::null(), |told| told.name.as_ptr()))
}

/// What a status means and what to do about it, in a sentence or two; null for a number that is none.
/// It lives for ever. Callback-safe.
#[unsafe(no_mangle)]
pub extern "C" fn kaffic_status_meaning(status: kaffic_status_t) -> *const c_char {
    infallible(ptr::null(), || told(status).map_or(ptr::null(), |told| told.meaning.as_ptr()))
}

/// All statuses in the order of their numbers, for libraries that make exceptions of them. Writes how
/// many there are to `len`, unless that is null. It lives for ever. Callback-safe.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kaffic_status_list(len: *mut usize) -> *const kaffic_status_t {
    infallible(ptr::null(), || {
        if !len.is_null() {
            // SAFETY: valid for a write, by the rules of the header.
            unsafe { len.write(CODES.len()) };
        }
        CODES.as_ptr()
    })
}
