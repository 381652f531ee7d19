//! The border: what every function begins and ends with. Panics end here, pointers are looked behind
//! here, and failures become statuses here.

use crate::error::kaffic_error_t;
use kaffic_bindings::failure::Result;
use kaffic_bindings::{Failure, Status};
use std::cell::Cell;
use std::ffi::{CStr, CString, c_char};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

/// What came of a call: `KAFFIC_OK`, or one of the other `KAFFIC_…` statuses. Numbers are only ever
/// added.
pub type kaffic_status_t = i32;

thread_local! {
    static IN_CALLBACK: Cell<bool> = const { Cell::new(false) };
}

/// Runs a callback of the program's; what waits fails meanwhile on this thread.
pub(crate) fn calling_back<T>(call: impl FnOnce() -> T) -> T {
    let before = IN_CALLBACK.replace(true);
    let came = call();
    IN_CALLBACK.set(before);
    came
}

/// Whether this thread is in a callback.
pub(crate) fn in_callback() -> bool {
    IN_CALLBACK.get()
}

/// Runs what a function does.
///
/// # Safety
/// `error` is null or valid for a write.
pub(crate) unsafe fn border(
    error: *mut *mut kaffic_error_t,
    work: impl FnOnce() -> Result<()>,
) -> kaffic_status_t {
    let came = catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|panic| Err(Failure::of_panic(&*panic)));
    match came {
        Ok(()) => Status::Ok.code(),
        Err(failure) => {
            let status = failure.status.code();
            if !error.is_null() {
                let made = kaffic_error_t::new(failure);
                // SAFETY: the caller's contract.
                unsafe { error.write(Box::into_raw(Box::new(made))) };
            }
            status
        }
    }
}

/// Runs what a function does that can't fail but by a defect.
pub(crate) fn infallible<T>(otherwise: T, work: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(otherwise)
}

/// Waits for `work`, up to `timeout_ms`; for ever if that is negative.
pub(crate) fn wait<T>(
    timeout_ms: i64,
    what: &str,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    check_may_wait()?;
    kaffic_bindings::process::within(limit(timeout_ms), what, work)
}

/// # Errors
/// `InCallback` in a callback.
pub(crate) fn check_may_wait() -> Result<()> {
    if in_callback() {
        let message = "this call may wait, and was made from within a callback: call it after";
        return Err(Failure::new(Status::InCallback, message));
    }
    Ok(())
}

pub(crate) fn limit(timeout_ms: i64) -> Option<Duration> {
    u64::try_from(timeout_ms).ok().map(Duration::from_millis)
}

fn null(name: &str) -> Failure {
    Failure::new(Status::NullArgument, format!("{name} is null"))
}

/// What is behind a pointer.
///
/// # Safety
/// `pointer` is null, or points to a `T` that lives, and is not changed but through cells, for `'a`.
pub(crate) unsafe fn reference<'a, T>(pointer: *const T, name: &str) -> Result<&'a T> {
    // SAFETY: the caller's contract.
    unsafe { pointer.as_ref() }.ok_or_else(|| null(name))
}

/// The same, to be changed.
///
/// # Safety
/// `pointer` is null, or points to a `T` that lives and is used by nobody else for `'a`.
pub(crate) unsafe fn exclusive<'a, T>(pointer: *mut T, name: &str) -> Result<&'a mut T> {
    // SAFETY: the caller's contract.
    unsafe { pointer.as_mut() }.ok_or_else(|| null(name))
}

/// A text that ends with a zero.
///
/// # Safety
/// `pointer` is null, or points to a text that ends with a zero and lives for `'a`.
pub(crate) unsafe fn text<'a>(pointer: *const c_char, name: &str) -> Result<&'a str> {
    if pointer.is_null() {
        return Err(null(name));
    }
    // SAFETY: the caller's contract; it is not null.
    let text = unsafe { CStr::from_ptr(pointer) };
    text.to_str().map_err(|_| {
        let shown = text.to_string_lossy();
        Failure::new(Status::InvalidUtf8, format!("{name} is not UTF-8: {shown}"))
    })
}

/// Bytes by pointer and length.
///
/// # Safety
/// `pointer` is null, or points to `len` bytes that live and don't change for `'a`.
pub(crate) unsafe fn slice<'a>(
    pointer: *const u8,
    len: usize,
    name: &str,
) -> Result<Option<&'a [u8]>> {
    if pointer.is_null() {
        return match len {
            0 => Ok(None),
            _ => Err(Failure::new(
                Status::NullArgument,
                format!("{name} is null, with a length of {len}"),
            )),
        };
    }
    if len > isize::MAX as usize {
        return Err(Failure::invalid(format!("{name} has a length of {len}")));
    }
    // SAFETY: the caller's contract; it is not null, and the length is one that can be.
    Ok(Some(unsafe { std::slice::from_raw_parts(pointer, len) }))
}

/// Where a result goes; checked before anything is done.
pub(crate) struct Out<T>(*mut T);

impl<T> Out<T> {
    /// # Safety
    /// `pointer` is null or valid for a write for as long as this lives.
    pub(crate) unsafe fn new(pointer: *mut T, name: &str) -> Result<Self> {
        if pointer.is_null() { Err(null(name)) } else { Ok(Self(pointer)) }
    }

    pub(crate) fn write(self, value: T) {
        // SAFETY: it is valid, as `new` was promised.
        unsafe { self.0.write(value) };
    }
}

impl<T> Out<*mut T> {
    /// Gives a handle.
    pub(crate) fn give(self, value: T) {
        self.write(Box::into_raw(Box::new(value)));
    }
}

/// Takes a handle back.
///
/// # Safety
/// `pointer` is null, or was given by this library and not taken back.
pub(crate) unsafe fn take_back<T>(pointer: *mut T) {
    if pointer.is_null() {
        return;
    }
    infallible((), || {
        // SAFETY: the caller's contract: it came from a box.
        drop(unsafe { Box::from_raw(pointer) });
    });
}

/// A text for C, which has no zeros in it.
pub(crate) fn c_text(text: &str) -> CString {
    CString::new(text.replace('\0', "\u{fffd}")).unwrap_or_default()
}

/// Gives a JSON document, to be freed with `kaffic_string_free`.
pub(crate) fn give_json(out: Out<*mut c_char>, value: &serde_json::Value) {
    out.write(c_text(&value.to_string()).into_raw());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_status() {
        let mut error = std::ptr::null_mut();
        // SAFETY: the pointer is to a variable here.
        let status = unsafe { border(&raw mut error, || panic!("oh")) };
        assert_eq!(status, Status::Panic.code());
        // SAFETY: it was given just now.
        let message = unsafe { Box::from_raw(error) }.message().to_owned();
        assert!(message.contains("oh"), "{message}");
    }

    #[test]
    fn nothing_waits_in_a_callback() {
        let waited = calling_back(|| wait(0, "this", async { Ok(1) }));
        assert_eq!(waited.unwrap_err().status, Status::InCallback);
        assert_eq!(wait(-1, "this", async { Ok(1) }), Ok(1));
    }

    #[test]
    fn zeros_do_not_cut_a_text() {
        assert_eq!(c_text("a\0b").to_str(), Ok("a\u{fffd}b"));
    }
}
