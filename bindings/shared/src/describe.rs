//! Answers that have many parts, as JSON: the same in every language. Times are in milliseconds, those
//! of day since the Unix epoch; what is absent is null.

use kaffic_core::{
    AdoptReport, CheckResult, CommittedOffset, CompactionReport, Deletion, DoctorReport,
    GroupDescription, GroupListing, MinExpiry, PartitionPosition, RequestCounts, TopicDescription,
    TrimReport, VerifyReport,
};
use serde_json::{Value, json};

/// A topic.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let client = kaffic_core::Kaffic::connect("memory://").await.unwrap();
/// let topic = client.topics().create("t", Default::default()).await.unwrap();
/// assert_eq!(kaffic_bindings::describe::topic(&topic)["partitions"], 1);
/// # });
/// ```
pub fn topic(topic: &TopicDescription) -> Value {
    let min_expiry_ms = match topic.min_expiry {
        MinExpiry::Never => None,
        MinExpiry::After(age) => Some(age.as_millis() as u64),
    };
    json!({
        "name": topic.name,
        "partitions": topic.partitions,
        "incarnation": topic.incarnation,
        "min_expiry_ms": min_expiry_ms,
        "retention_ms": topic.retention.map(|retention| retention.as_millis() as u64),
        "retention_bytes": topic.retention_bytes,
        "compression": topic.compression.map(|codec| codec.to_string()),
        "max_record_bytes": topic.max_record_bytes,
        "created_ms": topic.created_ms,
    })
}

/// All topics.
pub fn topics(topics: &[TopicDescription]) -> Value {
    topics.iter().map(topic).collect()
}

/// What deleting a topic removed, and what is left for later.
pub fn deletion(deletion: &Deletion) -> Value {
    json!({
        "removed": deletion.removed,
        "remaining": deletion.remaining,
        "removable_at_ms": deletion.removable_at_ms,
    })
}

/// What a trim removed.
pub fn trim(report: &TrimReport) -> Value {
    json!({
        "removed": report.removed,
        "removed_bytes": report.removed_bytes,
        "remaining": report.remaining,
        "removable_at_ms": report.removable_at_ms,
    })
}

/// What compacting did.
pub fn compaction(report: &CompactionReport) -> Value {
    json!({
        "compacted": report.compacted,
        "already": report.already,
        "left": report.left,
        "segments": report.segments,
        "segment_bytes": report.segment_bytes,
        "removed": report.removed,
        "remaining": report.remaining,
        "removable_at_ms": report.removable_at_ms,
    })
}

/// What a verification found.
pub fn verification(report: &VerifyReport) -> Value {
    let issue = |issue: &kaffic_core::VerifyIssue| json!({ "partition": issue.partition, "object": issue.object, "problem": issue.problem });
    json!({
        "records": report.records,
        "batches": report.batches,
        "bytes": report.bytes,
        "gaps": report.gaps,
        "issues": report.issues.iter().map(issue).collect::<Value>(),
    })
}

/// What adopting a copy did, or would do.
pub fn adoption(report: &AdoptReport) -> Value {
    let ended = report.ended.iter().map(|block| {
        json!({
            "partition": block.partition,
            "block": block.block,
            "slots": block.slots,
            "missing": block.missing,
            "next_offset": block.next_offset,
        })
    });
    json!({ "ended": ended.collect::<Value>(), "left_alone": report.left_alone })
}

/// What examining a store found.
pub fn examination(report: &DoctorReport) -> Value {
    let check = |check: &kaffic_core::Check| {
        let result = match check.result {
            CheckResult::Passed => "passed",
            CheckResult::Failed => "failed",
        };
        json!({ "name": check.name, "result": result, "detail": check.detail })
    };
    json!({
        "usable": report.is_usable(),
        "checks": report.checks.iter().map(check).collect::<Value>(),
        "clock_off_seconds": report.clock_off_seconds,
        "put_small_ms": report.put_small.as_secs_f64() * 1000.0,
        "put_large_ms": report.put_large.as_secs_f64() * 1000.0,
        "get_small_ms": report.get_small.as_secs_f64() * 1000.0,
        "get_large_ms": report.get_large.as_secs_f64() * 1000.0,
    })
}

/// All groups.
pub fn groups(groups: &[GroupListing]) -> Value {
    let group = |group: &GroupListing| json!({ "name": group.name, "members": group.members, "generation": group.generation });
    groups.iter().map(group).collect()
}

/// A group: its members, and owner, committed offset and lag of every partition.
pub fn group(group: &GroupDescription) -> Value {
    let members = group.members.iter().map(|member| {
        json!({
            "name": member.name,
            "static": member.is_static,
            "topics": member.topics,
            "partitions": member.partitions,
            "session_timeout_ms": member.session_timeout.as_millis() as u64,
            "joined_ms": member.joined_ms,
        })
    });
    let partitions = group.partitions.iter().map(|partition| {
        json!({
            "topic": partition.topic,
            "partition": partition.partition,
            "owner": partition.owner,
            "committed": partition.committed,
            "metadata": partition.metadata,
            "end": partition.end,
            "lag": partition.lag,
        })
    });
    json!({
        "name": group.name,
        "generation": group.generation,
        "assignor": group.assignor,
        "members": members.collect::<Value>(),
        "partitions": partitions.collect::<Value>(),
    })
}

/// Offsets that are committed.
pub fn committed(offsets: &[CommittedOffset]) -> Value {
    let offset = |at: &CommittedOffset| {
        json!({
            "topic": at.topic,
            "partition": at.partition,
            "offset": at.offset,
            "metadata": at.metadata,
        })
    };
    offsets.iter().map(offset).collect()
}

/// Partitions with an offset each.
pub fn positions(positions: &[PartitionPosition]) -> Value {
    let position = |at: &PartitionPosition| json!({ "topic": &*at.topic, "partition": at.partition, "offset": at.offset });
    positions.iter().map(position).collect()
}

/// What a client asked of its store so far.
pub fn metrics(counts: RequestCounts) -> Value {
    json!({
        "requests": {
            "put": counts.puts,
            "get": counts.gets,
            "list": counts.lists,
            "delete": counts.deletes,
        },
        "put_bytes": counts.put_bytes,
        "get_bytes": counts.get_bytes,
    })
}
