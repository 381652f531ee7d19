//! Consumer groups from outside.

use crate::boundary::{Out, border, give_json, kaffic_status_t, reference, text, wait};
use crate::client::{client, kaffic_client_t};
use crate::error::kaffic_error_t;
use crate::partitions::kaffic_partitions_t;
use kaffic_bindings::{Failure, describe, settings};
use kaffic_core::OffsetReset;
use std::ffi::c_char;

/// Gives all groups by name as JSON: [{"name":…,"members":…,"generation":…}]. Free it with
/// kaffic_string_free. Waits. Thread-safe.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kaffic_group_list(
    client: *const kaffic_client_t,
    timeout_ms: i64,
    json: *mut *mut c_char,
    error: *mut *mut kaffic_error_t,
) -> kaffic_status_t {
    // SAFETY: all pointers are as the header's rules say.
    unsafe {
        border(error, || {
            let out = Out::new(json, "json")?;
            let groups = self::client(client)?.groups();
            let listed = wait(timeout_ms, "listing groups", async { Ok(groups.list().await?) })?;
            give_json(out, &describe::groups(&listed));
            Ok(())
        })
    }
}

/// Gives a group as JSON: {"name":…,"generation":…,"assignor":…,"members":[{"name":…,"static":…,
/// "topics":[…],"partitions":…,"session_timeout_ms":…,"joined_ms":…}],"partitions":[{"topic":…,
/// "partition":…,"owner":…,"committed":…,"metadata":…,"end":…,"lag":…}]}. Free it with
/// kaffic_string_free. Borrows. Waits. Thread-safe.
///
/// KAFFIC_GROUP_NOT_FOUND, and what the storage says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kaffic_group_describe(
    client: *const kaffic_client_t,
    group: *const c_char,
    timeout_ms: i64,
    json: *mut *mut c_char,
    error: *mut *mut kaffic_error_t,
) -> kaffic_status_t {
    // SAFETY: all pointers are as the header's rules say.
    unsafe {
        border(error, || {
            let out = Out::new(json, "json")?;
            let groups = self::client(client)?.groups();
            let group = text(group, "group")?;
            let describe = async { Ok(groups.describe(group).await?) };
            let described = wait(timeout_ms, "describing a group", describe)?;
            give_json(out, &describe::group(&described));
            Ok(())
        })
    }
}

/// Gives what a group has committed, to be freed with kaffic_partitions_free. Borrows. Waits.
/// Thread-safe.
///
/// KAFFIC_GROUP_NOT_FOUND, and what the storage says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kaffic_group_committed(
    client: *const kaffic_client_t,
    group: *const c_char,
    timeout_ms: i64,
    offsets: *mut *mut kaffic_partitions_t,
    error: *mut *mut kaffic_error_t,
) -> kaffic_status_t {
    // SAFETY: all pointers are as the header's rules say.
    unsafe {
        border(error, || {
            let out = Out::new(offsets, "offsets")?;
            let groups = self::client(client)?.groups();
            let group = text(group, "group")?;
            let ask = async { Ok(groups.committed(group).await?) };
            let committed = wait(timeout_ms, "asking what is committed", ask)?;
            out.give(kaffic_partitions_t::of_committed(&committed));
            Ok(())
        })
    }
}

/// Commits these offsets for a group that has no members; it is created if it does not exist. Borrows.
/// Waits. Thread-safe.
///
/// KAFFIC_GROUP_NOT_EMPTY, KAFFIC_TOPIC_NOT_FOUND, KAFFIC_INVALID_ARGUMENT, and what the storage says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kaffic_group_commit(
    client: *const kaffic_client_t,
    group: *const c_char,
    offsets: *const kaffic_partitions_t,
    timeout_ms: i64,
    error: *mut *mut kaffic_error_t,
) -> kaffic_status_t {
    // SAFETY: all pointers are as the header's rules say.
    unsafe {
        border(error, || {
            let groups = self::client(client)?.groups();
            let group = text(group, "group")?;
            let commits = reference(offsets, "offsets")?.commits()?;
            wait(timeout_ms, "committing", async { Ok(groups.commit(group, commits).await?) })
        })
    }
}

/// Sets the committed offsets of a group without members in these partitions of a topic, whose offsets
/// don't matter, or with null in all of them: `place` is
/// "earliest", "latest", "offset:N", "timestamp:MS", "time:RFC3339" or "shift:N" (so many offsets on, or
/// back if it is negative). With `dry_run` it only says what it would do. Gives JSON: [{"topic":…,
/// "partition":…,"offset":…}]; free it with kaffic_string_free. Borrows. Waits. Thread-safe.
///
/// KAFFIC_GROUP_NOT_FOUND, KAFFIC_GROUP_NOT_EMPTY, KAFFIC_TOPIC_NOT_FOUND, KAFFIC_INVALID_ARGUMENT, and
/// what the storage says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kaffic_group_reset(
    client: *const kaffic_client_t,
    group: *const c_char,
    topic: *const c_char,
    partitions: *const kaffic_partitions_t,
    place: *const c_char,
    dry_run: bool,
    timeout_ms: i64,
    json: *mut *mut c_char,
    error: *mut *mut kaffic_error_t,
) -> kaffic_status_t {
    // SAFETY: all pointers are as the header's rules say.
    unsafe {
        border(error, || {
            let out = Out::new(json, "json")?;
            let groups = self::client(client)?.groups();
            let (group, topic) = (text(group, "group")?, text(topic, "topic")?);
            let to = settings::reset(text(place, "place")?).map_err(Failure::invalid)?;
            let mut reset = OffsetReset::new(topic, to).dry_run(dry_run);
            if !partitions.is_null() {
                reset = reset.partitions(reference(partitions, "partitions")?.of_topic(topic)?);
            }
            let work = async { Ok(groups.reset(group, reset).await?) };
            let set = wait(timeout_ms, "resetting a group", work)?;
            give_json(out, &describe::committed(&set));
            Ok(())
        })
    }
}

/// Deletes a group without members: its offsets count no more. Borrows. Waits. Thread-safe.
///
/// KAFFIC_GROUP_NOT_FOUND, KAFFIC_GROUP_NOT_EMPTY, and what the storage says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kaffic_group_delete(
    client: *const kaffic_client_t,
    group: *const c_char,
    timeout_ms: i64,
    error: *mut *mut kaffic_error_t,
) -> kaffic_status_t {
    // SAFETY: all pointers are as the header's rules say.
    unsafe {
        border(error, || {
            let groups = self::client(client)?.groups();
            let group = text(group, "group")?;
            let work = async { Ok(groups.delete(group).await?) };
            wait(timeout_ms, "deleting a group", work)
        })
    }
}
