//! Settings by name.

use crate::boundary::{border, kaffic_status_t, reference, take_back, text};
use crate::error::kaffic_error_t;
use kaffic_bindings::Settings;
use kaffic_bindings::failure::Result;
use std::ffi::c_char;
use std::sync::{Mutex, PoisonError};

/// Settings by name, which may be used any number of times. docs/configuration.md lists them.
#[derive(Debug, Default)]
pub struct kaffic_config_t(Mutex<Settings>);

/// Gives settings in which nothing is set; free them with kaffic_config_free. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn kaffic_config_new() -> *mut kaffic_config_t {
    Box::into_raw(Box::default())
}

/// Sets one, in place of an earlier value of the same name. Borrows `name` and `value`. What they mean
/// is checked where the settings are used. Thread-safe.
///
/// KAFFIC_NULL_ARGUMENT, KAFFIC_INVALID_UTF8.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kaffic_config_set(
    config: *mut kaffic_config_t,
    name: *const c_char,
    value: *const c_char,
    error: *mut *mut kaffic_error_t,
) -> kaffic_status_t {
    // SAFETY: all pointers are as the header's rules say.
    unsafe {
        border(error, || {
            let config = reference(config, "config")?;
            let (name, value) = (text(name, "name")?, text(value, "value")?);
            config.0.lock().unwrap_or_else(PoisonError::into_inner).set(name, value);
            Ok(())
        })
    }
}

/// Frees settings. Null is nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kaffic_config_free(config: *mut kaffic_config_t) {
    // SAFETY: null, or settings that were given and not freed, by the rules of the header.
    unsafe { take_back(config) };
}

/// The settings; none for null.
///
/// # Safety
/// `config` is null, or settings that live.
pub(crate) unsafe fn settings(config: *const kaffic_config_t) -> Settings {
    // SAFETY: the caller's contract.
    match unsafe { reference(config, "config") } {
        Ok(config) => config.0.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        Err(_) => Settings::default(),
    }
}

/// Several texts.
///
/// # Safety
/// `pointer` points to `len` texts that end with a zero and live for `'a`, or is null and `len` is 0.
pub(crate) unsafe fn texts<'a>(
    pointer: *const *const c_char,
    len: usize,
    name: &str,
) -> Result<Vec<&'a str>> {
    if len == 0 {
        return Ok(Vec::new());
    }
    // SAFETY: the caller's contract.
    unsafe {
        reference(pointer, name)?;
        (0..len).map(|at| text(*pointer.add(at), name)).collect()
    }
}
