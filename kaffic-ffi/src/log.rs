//! Log lines.

use crate::boundary::{border, c_text, calling_back, in_callback, kaffic_status_t};
use crate::consumer::{Userdata, kaffic_userdata_free_fn};
use crate::error::kaffic_error_t;
use kaffic_bindings::Failure;
use kaffic_bindings::logs::{Level, Sink, set_sink};
use std::ffi::{c_char, c_void};
use std::sync::Arc;

/// How much a line matters: syslog's numbers, as far as there are such. A `KAFFIC_LOG_…` number.
pub type kaffic_log_level_t = i32;

/// Something failed for good.
pub const KAFFIC_LOG_ERROR: kaffic_log_level_t = 3;
/// Something is not as it should be; kaffic goes on.
pub const KAFFIC_LOG_WARNING: kaffic_log_level_t = 4;
/// What one might like to know.
pub const KAFFIC_LOG_INFO: kaffic_log_level_t = 6;
/// What a developer might.
pub const KAFFIC_LOG_DEBUG: kaffic_log_level_t = 7;
/// Everything.
pub const KAFFIC_LOG_TRACE: kaffic_log_level_t = 8;

/// Takes a log line: `target` is the module that it comes from, and both texts live for the call.
pub type kaffic_log_fn = Option<
    unsafe extern "C" fn(
        userdata: *mut c_void,
        level: kaffic_log_level_t,
        target: *const c_char,
        message: *const c_char,
    ),
>;

/// Has `callback` told of log lines up to `level`, on any thread, many at once; null tells nobody, as at
/// the beginning. When it is called no more, `userdata_free` (unless that is null) is called once with
/// `userdata`, on any thread. It is the process's. Thread-safe.
///
/// KAFFIC_INVALID_ARGUMENT for a level that is none; then `userdata_free` was called.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kaffic_set_log(
    callback: kaffic_log_fn,
    level: kaffic_log_level_t,
    userdata: *mut c_void,
    userdata_free: kaffic_userdata_free_fn,
    error: *mut *mut kaffic_error_t,
) -> kaffic_status_t {
    let userdata = Userdata::new(userdata, userdata_free);
    // SAFETY: all pointers are as the header's rules say.
    unsafe {
        border(error, move || {
            let level = Level::from_number(level).ok_or_else(|| {
                let known = "it is one of KAFFIC_LOG_ERROR, _WARNING, _INFO, _DEBUG, _TRACE";
                Failure::invalid(format!("a log level is {level}; {known}"))
            })?;
            let sink = callback.map(|call| -> Sink {
                Arc::new(move |level, target, line| {
                    let userdata = &userdata;
                    // What the callback itself makes the library say would come back to it.
                    if in_callback() {
                        return;
                    }
                    let (target, line) = (c_text(target), c_text(line));
                    // The program gave both together; the texts live for the call.
                    calling_back(|| {
                        call(userdata.pointer, level as i32, target.as_ptr(), line.as_ptr());
                    });
                })
            });
            set_sink(level, sink);
            Ok(())
        })
    }
}
