//! Where everything that comes from one client counts what it does.

use super::durations::DurationCounters;
use super::{
    ConsumerMetrics, Metrics, OperationMetrics, PartitionLag, ProducerMetrics, RequestCounts,
    StorageMetrics, publish,
};
use crate::env::Env;
use crate::error::{Error, Result};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tracing::{Instrument, Span};

/// The most partitions of which the lag is kept.
const MOST_LAGS: usize = 10_000;

/// A group (or none), a topic and a partition.
type Reader = (Option<Arc<str>>, Arc<str>, u32);

/// A kind of request to the storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Request {
    Put,
    Get,
    List,
    Delete,
}

impl Request {
    const ALL: [Self; 4] = [Self::Put, Self::Get, Self::List, Self::Delete];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Put => "put",
            Self::Get => "get",
            Self::List => "list",
            Self::Delete => "delete",
        }
    }
}

/// Does something that is measured, in a span of its own, and says how long it took.
pub(crate) async fn observed<T>(
    env: &dyn Env,
    span: &Span,
    work: impl Future<Output = Result<T>>,
) -> (Result<T>, Duration) {
    let begun = env.monotonic();
    // In a box: what is observed is large, and stacks are small where nothing is optimised.
    let done = Box::pin(work).instrument(span.clone()).await;
    if let Err(error) = &done {
        span.record("error.type", tracing::field::debug(error.kind()));
    }
    (done, env.monotonic().saturating_sub(begun))
}

#[derive(Debug, Default)]
struct Operation {
    /// Counted at its end.
    failed: AtomicU64,
    bytes: AtomicU64,
    durations: DurationCounters,
}

impl Operation {
    fn ended(&self, took: Duration, failed: bool) {
        self.failed.fetch_add(u64::from(failed), Ordering::Relaxed);
        self.durations.add(took);
    }

    fn read(&self) -> OperationMetrics {
        let duration = self.durations.read();
        OperationMetrics {
            count: duration.count(),
            failed: self.failed.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            duration,
        }
    }
}

/// A client's counters. What is counted is told to the program's recorder as well.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    requests: [Operation; Request::ALL.len()],
    /// Requests that were begun, whether they have ended or not.
    begun: [AtomicU64; Request::ALL.len()],
    throttled: AtomicU64,
    append: Operation,
    sent: AtomicU64,
    conflicts: AtomicU64,
    consumed: AtomicU64,
    consumed_bytes: AtomicU64,
    commit: Operation,
    /// The lag, and when it was asked.
    lags: Mutex<BTreeMap<Reader, (i64, Duration)>>,
}

impl Meter {
    pub(crate) fn new() -> Self {
        publish::describe();
        Self::default()
    }

    /// A request begins, with so many bytes.
    pub(crate) fn request_begun(&self, request: Request, bytes: usize) {
        self.begun[request as usize].fetch_add(1, Ordering::Relaxed);
        self.request_moved(request, bytes);
    }

    /// A request has moved bytes.
    pub(crate) fn request_moved(&self, request: Request, bytes: usize) {
        self.requests[request as usize].bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        publish::storage_bytes(request.name(), bytes);
    }

    pub(crate) fn request_ended(&self, request: Request, took: Duration, failed: Option<&Error>) {
        self.requests[request as usize].ended(took, failed.is_some());
        publish::storage_request(request.name(), took, failed);
    }

    /// The storage said that there are too many requests.
    pub(crate) fn throttled(&self) {
        self.throttled.fetch_add(1, Ordering::Relaxed);
        publish::throttled();
    }

    /// A batch was appended, with so many records in so many bytes, or was not.
    pub(crate) fn append_ended(
        &self,
        topic: &str,
        took: Duration,
        outcome: Result<(u32, usize), &Error>,
    ) {
        self.append.ended(took, outcome.is_err());
        publish::operation("send", topic, took, outcome.err());
        if let Ok((records, bytes)) = outcome {
            self.append.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
            self.sent.fetch_add(u64::from(records), Ordering::Relaxed);
            publish::sent(topic, records, bytes);
        }
    }

    /// A slot went to another writer.
    pub(crate) fn conflict(&self, topic: &str) {
        self.conflicts.fetch_add(1, Ordering::Relaxed);
        publish::conflict(topic);
    }

    /// Records were handed to the program.
    pub(crate) fn consumed(&self, topic: &str, records: usize, bytes: u64) {
        self.consumed.fetch_add(records as u64, Ordering::Relaxed);
        self.consumed_bytes.fetch_add(bytes, Ordering::Relaxed);
        publish::consumed(topic, records, bytes);
    }

    pub(crate) fn commit_ended(&self, topic: &str, took: Duration, failed: Option<&Error>) {
        self.commit.ended(took, failed.is_some());
        publish::operation("commit", topic, took, failed);
    }

    /// How far a group, or a consumer without one, is behind; asked now, on the monotonic clock.
    pub(crate) fn lag(
        &self,
        now: Duration,
        group: Option<&Arc<str>>,
        topic: &Arc<str>,
        partition: u32,
        records: i64,
    ) {
        let mut lags = self.lags();
        let reader = (group.cloned(), Arc::clone(topic), partition);
        if lags.len() >= MOST_LAGS && !lags.contains_key(&reader) {
            let longest = lags.iter().min_by_key(|(_, (_, asked))| *asked);
            if let Some(longest) = longest.map(|(reader, _)| reader.clone()) {
                lags.remove(&longest);
            }
        }
        lags.insert(reader, (records, now));
        drop(lags);
        publish::lag(group.map(|group| &**group), topic, partition, records);
    }

    /// Drops the lag of groups or topics (as it is asked of each) that were deleted.
    pub(crate) fn forget_lags(&self, gone: impl Fn(Option<&str>, &str) -> bool) {
        self.lags().retain(|(group, topic, _), _| !gone(group.as_deref(), topic));
    }

    fn lags(&self) -> MutexGuard<'_, BTreeMap<Reader, (i64, Duration)>> {
        self.lags.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All of it. `now` is of the monotonic clock.
    pub(crate) fn read(&self, now: Duration) -> Metrics {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let [put, get, list, delete] = Request::ALL.map(|kind| self.requests[kind as usize].read());
        let lag = |(reader, (records, asked)): (&Reader, &(i64, Duration))| {
            let (group, topic, partition) = reader.clone();
            let age = now.saturating_sub(*asked);
            PartitionLag { group, topic, partition, records: *records, age }
        };
        Metrics {
            storage: StorageMetrics { put, get, list, delete, throttled: read(&self.throttled) },
            producer: ProducerMetrics {
                append: self.append.read(),
                records: read(&self.sent),
                conflicts: read(&self.conflicts),
            },
            consumer: ConsumerMetrics {
                records: read(&self.consumed),
                bytes: read(&self.consumed_bytes),
                commit: self.commit.read(),
                lag: self.lags().iter().map(lag).collect(),
            },
        }
    }

    /// The requests that were begun.
    pub(crate) fn request_counts(&self) -> RequestCounts {
        let [puts, gets, lists, deletes] =
            Request::ALL.map(|kind| self.begun[kind as usize].load(Ordering::Relaxed));
        let bytes = |kind: Request| self.requests[kind as usize].bytes.load(Ordering::Relaxed);
        let (put_bytes, get_bytes) = (bytes(Request::Put), bytes(Request::Get));
        RequestCounts { puts, gets, lists, deletes, put_bytes, get_bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_of_lag_is_bounded_and_the_newest() {
        let meter = Meter::default();
        let (group, topic) = (Arc::from("g"), Arc::from("t"));
        let at = |seconds, partition, records| {
            meter.lag(Duration::from_secs(seconds), Some(&group), &topic, partition, records);
        };
        (0..MOST_LAGS as u32).for_each(|partition| at(u64::from(partition > 3), partition, 1));
        at(2, 2, 7);
        // For each that is new the one goes of which was asked longest ago.
        (0..3).for_each(|n| at(2, MOST_LAGS as u32 + n, 1));
        let lags = meter.read(Duration::from_secs(5)).consumer.lag;
        assert_eq!(lags.len(), MOST_LAGS);
        let lag = |lag: &PartitionLag| (lag.partition, lag.records, lag.age.as_secs());
        assert_eq!((lag(&lags[0]), lag(&lags[1])), ((2, 7, 3), (4, 1, 4)));
    }
}
