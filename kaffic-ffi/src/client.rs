//! The client.

use crate::boundary::{Out, border, give_json, kaffic_status_t, reference, take_back, text, wait};
use crate::config::{kaffic_config_t, settings};
use crate::error::kaffic_error_t;
use kaffic_bindings::describe;
use kaffic_bindings::failure::Result;
use kaffic_bindings::process::{Belonging, Held, Owned};
use kaffic_core::Kaffic;
use std::ffi::c_char;

/// A client of one store. What is made from it keeps working when it is freed.
#[derive(Debug)]
pub struct kaffic_client_t(Owned<Kaffic>);

/// The client behind a pointer, for as long as a call needs it: a callback may free it meanwhile.
///
/// # Safety
/// `client` is null, or a client that lives.
pub(crate) unsafe fn client(client: *const kaffic_client_t) -> Result<Held<Kaffic>> {
    // SAFETY: the caller's contract.
    unsafe { reference(client, "client") }?.0.hold()
}

/// Gives a client of the store at `url`: s3://bucket/prefix, gs://bucket/prefix, az://container/prefix,
/// file:///path (made if it is not there) or memory:// (which lives as long as the client and what is
/// made from it). `config` has options of the store (docs/stores.md), or is null. Borrows both. Asks
/// nothing of the store yet. Free the client with kaffic_client_free. Thread-safe.
///
/// KAFFIC_INVALID_ARGUMENT for a URL or an option; KAFFIC_DENIED or KAFFIC_UNAVAILABLE for a directory
/// that can't be made or opened.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kaffic_client_new(
    url: *const c_char,
    config: *const kaffic_config_t,
    client: *mut *mut kaffic_client_t,
    error: *mut *mut kaffic_error_t,
) -> kaffic_status_t {
    // SAFETY: all pointers are as the header's rules say.
    unsafe {
        border(error, || {
            let out = Out::new(client, "client")?;
            let builder = settings(config).connect(text(url, "url")?);
            let belonging = Belonging::here();
            let made = wait(-1, "connecting", async { Ok(builder.connect().await?) })?;
            out.give(kaffic_client_t(belonging.own(made)));
            Ok(())
        })
    }
}

/// Gives what the client and everything made from it has done so far, as JSON:
/// {"storage":{"put":O,"get":O,"list":O,"delete":O,"throttled":N},
///  "producer":{"append":O,"records":N,"conflicts":N},
///  "consumer":{"records":N,"bytes":N,"commit":O,"lag":[{"group":…,"topic":…,"partition":N,"lag":N,
/// "age_ms":N}, …]}}
/// where O is {"count":N,"failed":N,"bytes":N,"duration_ms":{"sum":…,"mean":…,"p50":…,"p90":…,"p99":…,
/// "max":…,"buckets":[{"le":…,"count":N}, …]}}. Counts only grow; a bucket has all that took no longer
/// than its "le"; lag is that which was last asked for. docs/operations.md says what each means. Free
/// it with kaffic_string_free. Does not wait. Thread-safe.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kaffic_client_metrics(
    client: *const kaffic_client_t,
    json: *mut *mut c_char,
    error: *mut *mut kaffic_error_t,
) -> kaffic_status_t {
    // SAFETY: all pointers are as the header's rules say.
    unsafe {
        border(error, || {
            let out = Out::new(json, "json")?;
            let metrics = self::client(client)?.metrics();
            give_json(out, &describe::metrics(&metrics));
            Ok(())
        })
    }
}

/// Tries on the store what kaffic rests on, in some 600 requests, and gives what it found as JSON:
/// {"usable":…,"checks":[{"name":…,"result":"passed" or "failed","detail":…}],…}. Free it with
/// kaffic_string_free. Waits. Thread-safe.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kaffic_client_examine(
    client: *const kaffic_client_t,
    timeout_ms: i64,
    json: *mut *mut c_char,
    error: *mut *mut kaffic_error_t,
) -> kaffic_status_t {
    // SAFETY: all pointers are as the header's rules say.
    unsafe {
        border(error, || {
            let out = Out::new(json, "json")?;
            let client = self::client(client)?;
            let examine = async { Ok(client.examine().await?) };
            let report = wait(timeout_ms, "examining the store", examine)?;
            give_json(out, &describe::examination(&report));
            Ok(())
        })
    }
}

/// Frees a client. Null is nothing. Does not wait.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kaffic_client_free(client: *mut kaffic_client_t) {
    // SAFETY: null, or a client that was given and not freed, by the rules of the header.
    unsafe { take_back(client) };
}
