//! Topics, and what is done with a whole topic.

use crate::boundary::{Out, border, give_json, kaffic_status_t, text, wait};
use crate::client::{client, kaffic_client_t};
use crate::config::{kaffic_config_t, settings};
use crate::error::kaffic_error_t;
use kaffic_bindings::failure::Result;
use kaffic_bindings::{Failure, describe, settings as values};
use kaffic_core::{Kaffic, Start};
use serde_json::Value;
use std::ffi::c_char;
use std::future::Future;

/// What the functions here have in common: a client, perhaps a topic, some work, and perhaps an answer
/// in JSON.
///
/// # Safety
/// The pointers are as the header's rules say.
unsafe fn ask<'a, W: Future<Output = Result<Value>>>(
    client: *const kaffic_client_t,
    topic: *const c_char,
    timeout_ms: i64,
    json: Option<*mut *mut c_char>,
    error: *mut *mut kaffic_error_t,
    work: impl FnOnce(Kaffic, &'a str) -> Result<W>,
) -> kaffic_status_t {
    // SAFETY: the caller's contract.
    unsafe {
        border(error, || {
            let out = json.map(|json| Out::new(json, "json")).transpose()?;
            let client = self::client(client)?;
            let topic = text(topic, "topic")?;
            let answer = wait(
                timeout_ms,
                &format!("a call for topic {topic}"),
                work(client.clone(), topic)?,
            )?;
            if let Some(out) = out {
                give_json(out, &answer);
            }
            Ok(())
        })
    }
}

/// Creates a topic with the settings of `config`, which may be null. Borrows. Waits. Thread-safe.
///
/// KAFFIC_TOPIC_EXISTS, KAFFIC_UNKNOWN_SETTING, KAFFIC_INVALID_ARGUMENT, and what the storage says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kaffic_topic_create(
    client: *const kaffic_client_t,
    topic: *const c_char,
    config: *const kaffic_config_t,
    timeout_ms: i64,
    error: *mut *mut kaffic_error_t,
) -> kaffic_status_t {
    // SAFETY: all pointers are as the header's rules say.
    unsafe {
        ask(client, topic, timeout_ms, None, error, |client, topic| {
            let config = settings(config).topic_config()?;
            Ok(async move { Ok(describe::topic(&client.topics().create(topic, config).await?)) })
        })
    }
}

/// Creates a topic with the settings of `config`, which may be null, if it does not exist. Borrows.
/// Waits. Thread-safe.
///
/// KAFFIC_UNKNOWN_SETTING, KAFFIC_INVALID_ARGUMENT, and what the storage says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kaffic_topic_ensure(
    client: *const kaffic_client_t,
    topic: *const c_char,
    config: *const kaffic_config_t,
    timeout_ms: i64,
    error: *mut *mut kaffic_error_t,
) -> kaffic_status_t {
    // SAFETY: all pointers are as the header's rules say.
    unsafe {
        ask(client, topic, timeout_ms, None, error, |client, topic| {
            let config = settings(config).topic_config()?;
            Ok(async move { Ok(describe::topic(&client.topics().ensure(topic, config).await?)) })
        })
    }
}

/// Changes the settings of a topic that `config` names; the others stay. Borrows. Waits. Thread-safe.
///
/// KAFFIC_TOPIC_NOT_FOUND, KAFFIC_UNKNOWN_SETTING, KAFFIC_INVALID_ARGUMENT, and what the storage says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kaffic_topic_alter(
    client: *const kaffic_client_t,
    topic: *const c_char,
    config: *const kaffic_config_t,
    timeout_ms: i64,
    error: *mut *mut kaffic_error_t,
) -> kaffic_status_t {
    // SAFETY: all pointers are as the header's rules say.
    unsafe {
        ask(client, topic, timeout_ms, None, error, |client, topic| {
            let change = settings(config).topic_change()?;
            Ok(async move { Ok(describe::topic(&client.topics().alter(topic, change).await?)) })
        })
    }
}

/// Deletes a topic and its records. It is gone at once; its youngest objects stay for some hours. Gives
/// JSON, {"removed":…,"remaining":…,"removable_at_ms":…}; free it with kaffic_string_free. Borrows.
/// Waits. Thread-safe.
///
/// KAFFIC_TOPIC_NOT_FOUND, and what the storage says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kaffic_topic_delete(
    client: *const kaffic_client_t,
    topic: *const c_char,
    timeout_ms: i64,
    json: *mut *mut c_char,
    error: *mut *mut kaffic_error_t,
) -> kaffic_status_t {
    // SAFETY: all pointers are as the header's rules say.
    unsafe {
        ask(client, topic, timeout_ms, Some(json), error, |client, topic| {
            Ok(async move { Ok(describe::deletion(&client.topics().delete(topic).await?)) })
        })
    }
}

/// Gives the description of a topic as JSON: {"name":…,"partitions":…,"incarnation":…,
/// "min_expiry_ms":…,"retention_ms":…,"retention_bytes":…,"compression":…,"max_record_bytes":…,
/// "created_ms":…}, null for what is not set. Free it with kaffic_string_free. Borrows. Waits.
/// Thread-safe.
///
/// KAFFIC_TOPIC_NOT_FOUND, and what the storage says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kaffic_topic_describe(
    client: *const kaffic_client_t,
    topic: *const c_char,
    timeout_ms: i64,
    json: *mut *mut c_char,
    error: *mut *mut kaffic_error_t,
) -> kaffic_status_t {
    // SAFETY: all pointers are as the header's rules say.
    unsafe {
        ask(client, topic, timeout_ms, Some(json), error, |client, topic| {
            Ok(async move { Ok(describe::topic(&client.topics().describe(topic).await?)) })
        })
    }
}

/// Gives the descriptions of all topics by name, as a JSON array of what kaffic_topic_describe gives.
/// Free it with kaffic_string_free. Waits. Thread-safe.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kaffic_topic_list(
    client: *const kaffic_client_t,
    timeout_ms: i64,
    json: *mut *mut c_char,
    error: *mut *mut kaffic_error_t,
) -> kaffic_status_t {
    // SAFETY: all pointers are as the header's rules say.
    unsafe {
        ask(client, c"(all)".as_ptr(), timeout_ms, Some(json), error, |client, _| {
            Ok(async move { Ok(describe::topics(&client.topics().list().await?)) })
        })
    }
}

/// Writes an offset of a partition: `place` is "earliest" (the first record that is still there),
/// "latest" (the tail, which the next record will get), "timestamp:MS" or "time:RFC3339" (the first
/// record with a timestamp at or after that; the tail if none). Borrows. Waits. Thread-safe.
///
/// KAFFIC_TOPIC_NOT_FOUND, KAFFIC_INVALID_ARGUMENT, and what the storage says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kaffic_topic_offset(
    client: *const kaffic_client_t,
    topic: *const c_char,
    partition: i32,
    place: *const c_char,
    timeout_ms: i64,
    offset: *mut i64,
    error: *mut *mut kaffic_error_t,
) -> kaffic_status_t {
    // SAFETY: all pointers are as the header's rules say.
    unsafe {
        border(error, || {
            let out = Out::new(offset, "offset")?;
            let (client, topic) = (self::client(client)?, text(topic, "topic")?);
            let place = values::start(text(place, "place")?).map_err(Failure::invalid)?;
            let partition = partition_number(partition)?;
            let offsets = client.offsets(topic);
            let work = async {
                Ok(match place {
                    Start::Earliest => offsets.earliest(partition).await?,
                    Start::Latest => offsets.latest(partition).await?,
                    Start::Timestamp(ms) => offsets.at(partition, ms).await?,
                    _ => {
                        let meant = "write earliest, latest, timestamp:MS or time:RFC3339";
                        return Err(Failure::invalid(meant));
                    }
                })
            };
            out.write(wait(timeout_ms, "asking for an offset", work)?);
            Ok(())
        })
    }
}

/// A partition's number as the core has it.
pub(crate) fn partition_number(partition: i32) -> Result<u32> {
    u32::try_from(partition)
        .map_err(|_| Failure::invalid(format!("a partition is {partition}; they begin with 0")))
}

/// Reads everything in a topic and gives what is wrong as JSON: {"records":…,"batches":…,"bytes":…,
/// "gaps":…,"issues":[{"partition":…,"object":…,"problem":…}]}. Free it with kaffic_string_free.
/// Borrows. Waits. Thread-safe.
///
/// KAFFIC_TOPIC_NOT_FOUND, and what the storage says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kaffic_topic_verify(
    client: *const kaffic_client_t,
    topic: *const c_char,
    timeout_ms: i64,
    json: *mut *mut c_char,
    error: *mut *mut kaffic_error_t,
) -> kaffic_status_t {
    // SAFETY: all pointers are as the header's rules say.
    unsafe {
        ask(client, topic, timeout_ms, Some(json), error, |client, topic| {
            Ok(async move { Ok(describe::verification(&client.verify(topic, |_| {}).await?)) })
        })
    }
}

/// Joins the batches of a topic's ended blocks into few large objects, and gives what it did as JSON:
/// {"compacted":…,"already":…,"left":…,"segments":…,"segment_bytes":…,"removed":…,"remaining":…,
/// "removable_at_ms":…}. It may be stopped and begun again at any time. Free the JSON with
/// kaffic_string_free. Borrows. Waits. Thread-safe.
///
/// KAFFIC_TOPIC_NOT_FOUND, and what the storage says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kaffic_topic_compact(
    client: *const kaffic_client_t,
    topic: *const c_char,
    timeout_ms: i64,
    json: *mut *mut c_char,
    error: *mut *mut kaffic_error_t,
) -> kaffic_status_t {
    // SAFETY: all pointers are as the header's rules say.
    unsafe {
        ask(client, topic, timeout_ms, Some(json), error, |client, topic| {
            Ok(async move { Ok(describe::compaction(&client.compact(topic, |_| {}).await?)) })
        })
    }
}

/// Removes a topic's oldest records, as the settings of `config` say or, where it is null, by the
/// topic's retention; gives what it did as JSON: {"removed":…,"removed_bytes":…,"remaining":…,
/// "removable_at_ms":…}. Free it with kaffic_string_free. Borrows. Waits. Thread-safe.
///
/// KAFFIC_TOPIC_NOT_FOUND, KAFFIC_INVALID_ARGUMENT, KAFFIC_UNKNOWN_SETTING, and what the storage says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kaffic_topic_trim(
    client: *const kaffic_client_t,
    topic: *const c_char,
    config: *const kaffic_config_t,
    timeout_ms: i64,
    json: *mut *mut c_char,
    error: *mut *mut kaffic_error_t,
) -> kaffic_status_t {
    // SAFETY: all pointers are as the header's rules say.
    unsafe {
        ask(client, topic, timeout_ms, Some(json), error, |client, topic| {
            let trim = settings(config).trim()?;
            Ok(async move { Ok(describe::trim(&client.trim(topic, trim).await?)) })
        })
    }
}

/// Makes a copied or restored topic usable, or with `dry_run` only says what it would do; gives JSON:
/// {"ended":[{"partition":…,"block":…,"slots":…,"missing":…,"next_offset":…}],"left_alone":…}. Nothing
/// may write to the copy meanwhile. Free the JSON with kaffic_string_free. Borrows. Waits. Thread-safe.
///
/// KAFFIC_TOPIC_NOT_FOUND, KAFFIC_CORRUPT, and what the storage says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kaffic_topic_adopt(
    client: *const kaffic_client_t,
    topic: *const c_char,
    dry_run: bool,
    timeout_ms: i64,
    json: *mut *mut c_char,
    error: *mut *mut kaffic_error_t,
) -> kaffic_status_t {
    // SAFETY: all pointers are as the header's rules say.
    unsafe {
        ask(client, topic, timeout_ms, Some(json), error, |client, topic| {
            Ok(async move { Ok(describe::adoption(&client.adopt(topic, dry_run).await?)) })
        })
    }
}
