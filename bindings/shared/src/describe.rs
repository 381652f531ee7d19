//! Answers that have many parts, as JSON: the same in every language. Times are in milliseconds, those
//! of day since the Unix epoch; what is absent is null.

use kaffic_core::{
    AdoptReport, CheckResult, CommittedOffset, CompactionReport, Deletion, DoctorReport,
    GroupDescription, GroupListing, Metrics, MinExpiry, OperationMetrics, PartitionLag,
    PartitionPosition, TopicDescription, TrimReport, VerifyReport,
};
use serde_json::{Value, json};
use std::time::Duration;

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

/// What a client has done so far.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let client = kaffic_core::Kaffic::connect("memory://").await.unwrap();
/// client.topics().list().await.unwrap();
/// let metrics = kaffic_bindings::describe::metrics(&client.metrics());
/// assert_eq!(metrics["storage"]["list"]["count"], 1);
/// # });
/// ```
pub fn metrics(metrics: &Metrics) -> Value {
    let Metrics { storage, producer, consumer, .. } = metrics;
    let lag = |lag: &PartitionLag| {
        json!({
            "group": lag.group.as_deref(),
            "topic": &*lag.topic,
            "partition": lag.partition,
            "lag": lag.records,
            "age_ms": lag.age.as_millis() as u64,
        })
    };
    json!({
        "storage": {
            "put": operation(&storage.put),
            "get": operation(&storage.get),
            "list": operation(&storage.list),
            "delete": operation(&storage.delete),
            "throttled": storage.throttled,
        },
        "producer": {
            "append": operation(&producer.append),
            "records": producer.records,
            "conflicts": producer.conflicts,
        },
        "consumer": {
            "records": consumer.records,
            "bytes": consumer.bytes,
            "commit": operation(&consumer.commit),
            "lag": consumer.lag.iter().map(lag).collect::<Value>(),
        },
    })
}

fn operation(operation: &OperationMetrics) -> Value {
    let ms = |time: Duration| time.as_secs_f64() * 1000.0;
    let took = &operation.duration;
    let buckets = took.buckets().map(|(le, count)| json!({ "le": ms(le), "count": count }));
    json!({
        "count": operation.count,
        "failed": operation.failed,
        "bytes": operation.bytes,
        "duration_ms": {
            "sum": ms(took.sum()),
            "mean": ms(took.mean()),
            "p50": ms(took.quantile(0.5)),
            "p90": ms(took.quantile(0.9)),
            "p99": ms(took.quantile(0.99)),
            "max": ms(took.max()),
            "buckets": buckets.collect::<Value>(),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use kaffic_core::{Kaffic, Record};

    #[tokio::test]
    async fn metrics_have_every_part_in_milliseconds() {
        let client = Kaffic::connect("memory://").await.unwrap();
        client.topics().create("t", Default::default()).await.unwrap();
        let producer = client.producer("t").build().await.unwrap();
        producer.send(Record::value("v")).await.unwrap();
        let mut consumer = client.consumer().group("g").subscribe(["t"]).build().await.unwrap();
        consumer.next().await.unwrap();
        consumer.commit().await.unwrap();
        consumer.lag().await.unwrap();
        let given = client.metrics();
        let said = metrics(&given);
        assert_eq!(said["producer"]["records"], 1);
        assert_eq!(said["consumer"]["commit"]["count"], 1);
        let age = given.consumer.lag[0].age.as_millis() as u64;
        let lag = json!([{ "group": "g", "topic": "t", "partition": 0, "lag": 0, "age_ms": age }]);
        assert_eq!(said["consumer"]["lag"], lag);
        let took = &said["storage"]["put"]["duration_ms"];
        assert_eq!(took["max"], given.storage.put.duration.max().as_secs_f64() * 1000.0);
        let buckets = took["buckets"].as_array().unwrap();
        assert_eq!((&buckets[0]["le"], &buckets[16]["le"]), (&json!(0.1), &json!(30_000.0)));
        assert_eq!(buckets[16]["count"], said["storage"]["put"]["count"]);
    }
}
