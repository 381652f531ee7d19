//! The version, what is in this library, and its end.

use crate::boundary::{border, check_may_wait, infallible, kaffic_status_t, limit, text};
use crate::error::kaffic_error_t;
use kaffic_bindings::process;
use std::ffi::{CStr, c_char};
use std::time::Duration;

/// The version of this header: major, minor and patch, as in 0x000100.
pub const KAFFIC_VERSION: u32 = 0x0000_0100;

/// The version of the library that is linked, as `KAFFIC_VERSION` is written. While the major is 0,
/// programs have to be built anew for another minor. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn kaffic_version() -> u32 {
    KAFFIC_VERSION
}

/// The version of the library as text, such as "0.1.0". It lives for ever. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn kaffic_version_string() -> *const c_char {
    const VERSION: &CStr =
        match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
            Ok(version) => version,
            Err(_) => panic!("a version has no zero in it"),
        };
    VERSION.as_ptr()
}

/// Whether the library was built with a feature: "s3", "gs" and "az" are the stores by those URLs,
/// "file" and "memory" are always there. False for null and whatever is not known. Thread-safe.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kaffic_has_feature(name: *const c_char) -> bool {
    infallible(false, || {
        // SAFETY: a text that ends with a zero, by the rules of the header.
        let name = unsafe { text(name, "name") }.unwrap_or_default();
        let built = [("s3", cfg!(feature = "aws")), ("gs", cfg!(feature = "gcp"))];
        let built = built.into_iter().chain([("az", cfg!(feature = "azure"))]);
        built.chain([("file", true), ("memory", true)]).any(|(known, is)| is && known == name)
    })
}

/// Ends the library's threads, waiting up to `timeout_ms` until everything that kaffic_producer_send took
/// is written or has failed, and then for the threads. Not needed: a program may just end once it has
/// closed its producers. It is for checkers of leaks; the library can be used again after it. Thread-safe.
///
/// KAFFIC_INVALID_ARGUMENT while there are clients, queues, producers or consumers, or another call of
/// this; KAFFIC_TIMED_OUT while there are records under way, which go on: call it again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kaffic_shutdown(
    timeout_ms: i64,
    error: *mut *mut kaffic_error_t,
) -> kaffic_status_t {
    // SAFETY: `error` is as the header's rules say.
    unsafe {
        border(error, || {
            check_may_wait()?;
            process::shutdown(limit(timeout_ms).unwrap_or(Duration::from_secs(3600)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_versions_agree() {
        let parts = env!("CARGO_PKG_VERSION").split('.').map(|part| part.parse::<u32>().unwrap());
        let number = parts.fold(0, |number, part| number << 8 | part);
        assert_eq!(kaffic_version(), number);
    }
}
