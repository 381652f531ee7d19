//! Consumers under measurement: one that catches up, one that follows.

use super::Shape;
use super::clients::Clients;
use super::load::{Limit, Load};
use super::payload;
use super::report::{EndToEnd, Produce, Read};
use super::stats::{Latencies, Requests};
use crate::progress::Progress;
use crate::signals::spawn;
use crate::stop::Stop;
use kaffic_core::env::{Env, SystemEnv};
use kaffic_core::{Consumer, ConsumerRecord, Start, Until};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const AT_A_TIME: usize = 4096;
const WAIT: Duration = Duration::from_millis(100);

/// Reads the topic from the beginning to its end.
pub(super) async fn catch_up(
    clients: &Clients,
    topic: &str,
    env: &Arc<SystemEnv>,
    progress: &Progress,
) -> Result<Read, Stop> {
    let client = clients.connect().await?;
    let before = client.request_counts();
    let start = env.monotonic();
    let builder = client.consumer().topic(topic).start(Start::Earliest).until(Until::Latest);
    let mut consumer = builder.build().await?;
    let (mut records, mut bytes) = (0, 0);
    while !consumer.is_finished() {
        let some = consumer.poll(AT_A_TIME, WAIT).await?;
        records += some.len() as u64;
        bytes += some.iter().map(value_bytes).sum::<u64>();
        progress.set(records);
    }
    let seconds = (env.monotonic() - start).as_secs_f64();
    Ok(Read::new(records, bytes, seconds, Requests::between(before, client.request_counts())))
}

fn value_bytes(record: &ConsumerRecord) -> u64 {
    record.value.as_ref().map_or(0, |value| value.len() as u64)
}

/// Runs a producer and a consumer that follows it until everything has come through.
pub(super) async fn end_to_end(
    clients: &Clients,
    topic: &str,
    shape: &Shape,
    (rate, limit): (f64, Limit),
    env: &Arc<SystemEnv>,
    progress: &Progress,
) -> Result<EndToEnd, Stop> {
    let client = clients.connect().await?;
    let before = client.request_counts();
    let consumer = client.consumer().topic(topic).start(Start::Latest).build().await?;
    let expected = Arc::new(AtomicU64::new(u64::MAX));
    let following = spawn(follow(consumer, expected.clone(), env.clone()));
    let produce = load(clients, topic, shape, (rate, limit), env, progress).await;
    // After a failure nothing more is waited for.
    let records = produce.as_ref().map_or(0, |produce| produce.records);
    expected.store(records, Ordering::Relaxed);
    let latencies =
        following.await.map_err(|error| Stop::failed(format!("internal: {error}")))??;
    let consumer_requests = Requests::between(before, client.request_counts());
    Ok(EndToEnd { produce: produce?, latency_ms: latencies.percentiles(), consumer_requests })
}

async fn load(
    clients: &Clients,
    topic: &str,
    shape: &Shape,
    (rate, limit): (f64, Limit),
    env: &Arc<SystemEnv>,
    progress: &Progress,
) -> Result<Produce, Stop> {
    let mut load = Load::start(clients, topic, shape, env).await?;
    load.run(Some(rate), limit, progress).await?;
    load.finish().await
}

async fn follow(
    mut consumer: Consumer,
    expected: Arc<AtomicU64>,
    env: Arc<SystemEnv>,
) -> kaffic_core::Result<Latencies> {
    let mut latencies = Latencies::new();
    let mut count = 0;
    while count < expected.load(Ordering::Relaxed) {
        let some = consumer.poll(AT_A_TIME, WAIT).await?;
        let now = env.monotonic();
        for record in &some {
            if let Some(sent) = record.value.as_deref().and_then(payload::sent) {
                latencies.record(now.saturating_sub(sent));
            }
        }
        count += some.len() as u64;
    }
    Ok(latencies)
}
