//! A producer under measurement: records at a rate, or as fast as they are taken.

use super::Shape;
use super::clients::Clients;
use super::payload::Payload;
use super::report::Produce;
use super::stats::{Latencies, Requests};
use crate::progress::Progress;
use crate::signals::spawn;
use crate::stop::Stop;
use kaffic_core::env::{Env, SystemEnv};
use kaffic_core::{Producer, Record, Ticket};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Tickets between sending and awaiting, over all partitions.
const TICKETS: usize = 128 << 10;
/// A record sent later than this after it was due counts from when it was due: the load did not
/// wait for it, it was made to wait. Below it is the timer's own coarseness.
const LATE: Duration = Duration::from_millis(10);

/// When a load ends: whichever comes first.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limit {
    pub(super) records: u64,
    pub(super) duration: Duration,
}

/// What to send.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan<'a> {
    pub(super) shape: &'a Shape,
    /// Records a second.
    pub(super) rate: Option<f64>,
    pub(super) limit: Limit,
}

/// Sends what `plan` says and waits until all of it is acknowledged.
pub(super) async fn run(
    clients: &Clients,
    topic: &str,
    plan: &Plan<'_>,
    env: &Arc<SystemEnv>,
    progress: &Progress,
) -> Result<Produce, Stop> {
    let client = clients.connect().await?;
    let before = client.request_counts();
    let shape = plan.shape;
    let producer = client
        .producer(topic)
        .linger(shape.linger)
        .compression(shape.compression.into())
        .build()
        .await?;
    let start = env.monotonic();
    let mut lanes = Lanes::new(producer.partitions(), env);
    let sent = send(&producer, plan, env, &mut lanes, progress).await;
    let (records, latencies) = lanes.finish().await?;
    sent?;
    let seconds = (env.monotonic() - start).as_secs_f64();
    producer.close().await?;
    let requests = Requests::between(before, client.request_counts());
    let ack_ms = latencies.percentiles();
    Ok(Produce::new(records, records * shape.record_size, seconds, ack_ms, requests))
}

async fn send(
    producer: &Producer,
    plan: &Plan<'_>,
    env: &Arc<SystemEnv>,
    lanes: &mut Lanes,
    progress: &Progress,
) -> Result<(), Stop> {
    let mut payload = Payload::new(plan.shape.record_size, env.random());
    let start = env.monotonic();
    let mut sent = 0;
    while sent < plan.limit.records {
        let now = env.monotonic() - start;
        if now >= plan.limit.duration {
            break;
        }
        let mut stamp = now;
        if let Some(rate) = plan.rate {
            let due = Duration::from_secs_f64(sent as f64 / rate);
            if due > now {
                env.sleep(due - now).await;
                continue;
            }
            if now - due > LATE {
                stamp = due;
            }
        }
        let stamp = start + stamp;
        let partition = (sent % u64::from(producer.partitions())) as u32;
        let record = Record::value(payload.value(stamp)).partition(partition);
        let ticket = producer.enqueue(record).await?;
        if !lanes.put(partition, stamp, ticket).await {
            break;
        }
        sent += 1;
        if sent % 1024 == 0 {
            progress.set(sent);
        }
    }
    Ok(())
}

/// A ticket and when its record was sent.
type Sent = (Duration, Ticket);

/// One task a partition that awaits its tickets in order, so that no partition's
/// acknowledgements are held up by another's.
struct Lanes {
    senders: Vec<mpsc::Sender<Sent>>,
    tasks: Vec<JoinHandle<kaffic_core::Result<(u64, Latencies)>>>,
}

impl Lanes {
    fn new(partitions: u32, env: &Arc<SystemEnv>) -> Self {
        let capacity = (TICKETS / partitions as usize).max(256);
        let mut lanes = Self { senders: Vec::new(), tasks: Vec::new() };
        for _ in 0..partitions {
            let (sender, receiver) = mpsc::channel(capacity);
            lanes.senders.push(sender);
            lanes.tasks.push(spawn(acknowledged(receiver, env.clone())));
        }
        lanes
    }

    /// False when the partition's task has met an error.
    async fn put(&self, partition: u32, stamp: Duration, ticket: Ticket) -> bool {
        self.senders[partition as usize].send((stamp, ticket)).await.is_ok()
    }

    async fn finish(self) -> Result<(u64, Latencies), Stop> {
        drop(self.senders);
        let mut all = (0, Latencies::new());
        for task in self.tasks {
            let (count, latencies) =
                task.await.map_err(|error| Stop::failed(format!("internal: {error}")))??;
            all.0 += count;
            all.1.add(&latencies);
        }
        Ok(all)
    }
}

async fn acknowledged(
    mut tickets: mpsc::Receiver<Sent>,
    env: Arc<SystemEnv>,
) -> kaffic_core::Result<(u64, Latencies)> {
    let mut latencies = Latencies::new();
    let mut count = 0;
    while let Some((stamp, ticket)) = tickets.recv().await {
        ticket.await?;
        latencies.record(env.monotonic().saturating_sub(stamp));
        count += 1;
    }
    Ok((count, latencies))
}
