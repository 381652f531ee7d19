//! What the client of the store measures, as Prometheus reads it.

use kaffic_core::{Durations, Metrics, OperationMetrics};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use std::fmt::Error;
use std::time::Duration;

/// Lag that was asked for longer ago says nothing any more, unless it is asked for less often.
pub(crate) const FRESH: Duration = Duration::from_secs(120);

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reader {
    group: String,
    topic: String,
    partition: u32,
}

/// What a client had done at one moment.
#[derive(Debug)]
pub(crate) struct ClientMetrics {
    pub(crate) of: Metrics,
    /// How old a lag may be.
    pub(crate) fresh: Duration,
}

impl Collector for ClientMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), Error> {
        let Metrics { storage, producer, consumer, .. } = &self.of;
        let requests = [
            ("put", &storage.put),
            ("get", &storage.get),
            ("list", &storage.list),
            ("delete", &storage.delete),
        ];
        let mut of_requests = |name: &str, help: &str, value: fn(&OperationMetrics) -> u64| {
            let mut all = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            requests.iter().try_for_each(|(kind, operation)| {
                count(all.encode_family(&Kind { kind })?, value(operation))
            })
        };
        of_requests("storage_requests", "Requests to the storage", |of| of.count)?;
        of_requests("storage_request_failures", "Requests that failed", |of| of.failed)?;
        of_requests("storage_bytes", "Bytes of puts and gets", |of| of.bytes)?;
        let (name, help) = ("storage_request_duration_seconds", "Requests to the storage");
        let mut all = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
        for (kind, operation) in requests {
            took(all.encode_family(&Kind { kind })?, &operation.duration)?;
        }
        for (name, help, operation) in [
            ("append_duration_seconds", "Appends of batches", &producer.append),
            ("commit_duration_seconds", "Commits of offsets", &consumer.commit),
        ] {
            took(
                encoder.encode_descriptor(name, help, None, MetricType::Histogram)?,
                &operation.duration,
            )?;
        }
        for (name, help, value) in [
            ("storage_throttled", "Requests that were too many for the storage", storage.throttled),
            ("append_failures", "Batches that failed", producer.append.failed),
            ("append_bytes", "Bytes of batches, as stored", producer.append.bytes),
            ("append_records", "Records that were acknowledged", producer.records),
            ("append_conflicts", "Slots that another writer won", producer.conflicts),
            ("commit_failures", "Commits that failed", consumer.commit.failed),
        ] {
            count(encoder.encode_descriptor(name, help, None, MetricType::Counter)?, value)?;
        }
        let help = "How far groups were behind when that was last asked for";
        let mut lags = encoder.encode_descriptor("consumer_lag", help, None, MetricType::Gauge)?;
        for lag in consumer.lag.iter().filter(|lag| lag.age <= self.fresh) {
            let Some(group) = &lag.group else { continue };
            let (group, topic) = (group.to_string(), lag.topic.to_string());
            let reader = Reader { group, topic, partition: lag.partition };
            lags.encode_family(&reader)?.encode_gauge(&lag.records)?;
        }
        Ok(())
    }
}

fn count(mut metric: MetricEncoder, value: u64) -> Result<(), Error> {
    metric.encode_counter::<NoLabelSet, _, u64>(&value, None)
}

fn took(mut metric: MetricEncoder, durations: &Durations) -> Result<(), Error> {
    let (mut below, mut buckets) = (0, Vec::new());
    for (bound, count) in durations.buckets() {
        buckets.push((bound.as_secs_f64(), count - below));
        below = count;
    }
    buckets.push((f64::INFINITY, durations.count() - below));
    let sum = durations.sum().as_secs_f64();
    metric.encode_histogram::<NoLabelSet>(sum, durations.count(), &buckets, None)
}
