//! The same, told to the recorder that the program has installed for the `metrics` crate. Names,
//! units and attributes are OpenTelemetry's for messaging where it has any, and `kaffic.…` where it
//! has none. Without the feature `metrics` nothing is told.
//!
//! <https://opentelemetry.io/docs/specs/semconv/messaging/messaging-metrics/>

#[cfg(feature = "metrics")]
mod told {
    use crate::error::Error;
    use metrics::{Label, Unit, counter, gauge, histogram};
    use std::time::Duration;

    /// Says units and meanings to the recorder that is installed by now.
    pub(crate) fn describe() {
        use metrics::{describe_counter, describe_gauge, describe_histogram};
        describe_histogram!(OPERATION, Unit::Seconds, "Sends of batches, and commits");
        describe_counter!(SENT, Unit::Count, "Records that were acknowledged");
        describe_counter!(SENT_BYTES, Unit::Bytes, "Their bytes as stored");
        describe_counter!(CONFLICTS, Unit::Count, "Slots that another writer won");
        describe_counter!(CONSUMED, Unit::Count, "Records that were handed to the program");
        describe_counter!(CONSUMED_BYTES, Unit::Bytes, "Their keys, values and headers");
        describe_gauge!(LAG, Unit::Count, "Offsets between a reader and the tail, when last asked");
        describe_histogram!(STORAGE, Unit::Seconds, "Requests to the storage");
        describe_counter!(STORAGE_BYTES, Unit::Bytes, "Bytes of puts and gets");
        describe_counter!(THROTTLED, Unit::Count, "Requests that were too many for the storage");
    }

    const OPERATION: &str = "messaging.client.operation.duration";
    const SENT: &str = "messaging.client.sent.messages";
    const SENT_BYTES: &str = "kaffic.sent.bytes";
    const CONFLICTS: &str = "kaffic.append.conflicts";
    const CONSUMED: &str = "messaging.client.consumed.messages";
    const CONSUMED_BYTES: &str = "kaffic.consumed.bytes";
    const LAG: &str = "kaffic.consumer.lag";
    const STORAGE: &str = "kaffic.storage.request.duration";
    const STORAGE_BYTES: &str = "kaffic.storage.bytes";
    const THROTTLED: &str = "kaffic.storage.throttled";

    fn of_topic(operation: &'static str, topic: &str) -> Vec<Label> {
        vec![
            Label::from_static_parts("messaging.system", "kaffic"),
            Label::from_static_parts("messaging.operation.name", operation),
            Label::new("messaging.destination.name", topic.to_owned()),
        ]
    }

    fn failed(labels: &mut Vec<Label>, error: Option<&Error>) {
        labels.extend(error.map(|error| Label::new("error.type", format!("{:?}", error.kind()))));
    }

    pub(crate) fn operation(
        name: &'static str,
        topic: &str,
        took: Duration,
        error: Option<&Error>,
    ) {
        let mut labels = of_topic(name, topic);
        failed(&mut labels, error);
        histogram!(OPERATION, labels).record(took);
    }

    pub(crate) fn sent(topic: &str, records: u32, bytes: usize) {
        counter!(SENT, of_topic("send", topic)).increment(u64::from(records));
        counter!(SENT_BYTES, of_topic("send", topic)).increment(bytes as u64);
    }

    pub(crate) fn conflict(topic: &str) {
        counter!(CONFLICTS, of_topic("send", topic)).increment(1);
    }

    pub(crate) fn consumed(topic: &str, records: usize, bytes: u64) {
        counter!(CONSUMED, of_topic("poll", topic)).increment(records as u64);
        counter!(CONSUMED_BYTES, of_topic("poll", topic)).increment(bytes);
    }

    pub(crate) fn lag(group: Option<&str>, topic: &str, partition: u32, records: i64) {
        let mut labels = vec![
            Label::from_static_parts("messaging.system", "kaffic"),
            Label::new("messaging.destination.name", topic.to_owned()),
            Label::new("messaging.destination.partition.id", partition.to_string()),
        ];
        labels.extend(
            group.map(|group| Label::new("messaging.consumer.group.name", group.to_owned())),
        );
        gauge!(LAG, labels).set(records as f64);
    }

    pub(crate) fn storage_request(kind: &'static str, took: Duration, error: Option<&Error>) {
        let mut labels = vec![Label::from_static_parts("kaffic.storage.operation", kind)];
        failed(&mut labels, error);
        histogram!(STORAGE, labels).record(took);
    }

    pub(crate) fn storage_bytes(kind: &'static str, bytes: usize) {
        if bytes > 0 {
            counter!(STORAGE_BYTES, "kaffic.storage.operation" => kind).increment(bytes as u64);
        }
    }

    pub(crate) fn throttled() {
        counter!(THROTTLED).increment(1);
    }
}

#[cfg(not(feature = "metrics"))]
mod told {
    use crate::error::Error;
    use std::time::Duration;

    pub(crate) fn describe() {}
    pub(crate) fn operation(_: &'static str, _: &str, _: Duration, _: Option<&Error>) {}
    pub(crate) fn sent(_: &str, _: u32, _: usize) {}
    pub(crate) fn conflict(_: &str) {}
    pub(crate) fn consumed(_: &str, _: usize, _: u64) {}
    pub(crate) fn lag(_: Option<&str>, _: &str, _: u32, _: i64) {}
    pub(crate) fn storage_request(_: &'static str, _: Duration, _: Option<&Error>) {}
    pub(crate) fn storage_bytes(_: &'static str, _: usize) {}
    pub(crate) fn throttled() {}
}

pub(super) use told::*;
