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
use kaffic_core::{Kaffic, Producer, Record, RequestCounts, Ticket};
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

impl Limit {
    /// The same in parts of about a second; of an eighth of the records where no time is set.
    pub(super) fn rounds(self) -> Vec<Self> {
        if self.duration == Duration::MAX {
            let part = self.records.div_ceil(8).max(1);
            let starts = (0..self.records).step_by(part as usize);
            return starts
                .map(|start| Self { records: part.min(self.records - start), ..self })
                .collect();
        }
        let count = self.duration.as_secs().max(1) as u32;
        vec![Self { duration: self.duration / count, ..self }; count as usize]
    }
}

/// A producer that sends as much as it is told, as often as it is told.
#[derive(Debug)]
pub(super) struct Load<'a> {
    shape: &'a Shape,
    client: Kaffic,
    before: RequestCounts,
    producer: Producer,
    env: Arc<SystemEnv>,
    records: u64,
    seconds: f64,
    latencies: Latencies,
}

impl<'a> Load<'a> {
    pub(super) async fn start(
        clients: &Clients,
        topic: &str,
        shape: &'a Shape,
        env: &Arc<SystemEnv>,
    ) -> Result<Self, Stop> {
        let client = clients.connect().await?;
        let before = client.request_counts();
        let producer = shape.producer(&client, topic).build().await?;
        Ok(Self {
            shape,
            client,
            before,
            producer,
            env: env.clone(),
            records: 0,
            seconds: 0.0,
            latencies: Latencies::new(),
        })
    }

    /// Sends at `rate` records a second, or as fast as they are taken, and waits until all is
    /// acknowledged; the seconds it took.
    pub(super) async fn run(
        &mut self,
        rate: Option<f64>,
        limit: Limit,
        progress: &Progress,
    ) -> Result<f64, Stop> {
        let start = self.env.monotonic();
        let mut lanes = Lanes::new(self.producer.partitions(), &self.env);
        let sent = self.send(rate, limit, &mut lanes, progress).await;
        let (records, latencies) = lanes.finish().await?;
        sent?;
        let seconds = (self.env.monotonic() - start).as_secs_f64();
        self.records += records;
        self.seconds += seconds;
        self.latencies.add(&latencies);
        Ok(seconds)
    }

    /// Closes the producer, and says what it did in all.
    pub(super) async fn finish(self) -> Result<Produce, Stop> {
        self.producer.close().await?;
        let requests = Requests::between(self.before, self.client.request_counts());
        let (records, bytes) = (self.records, self.records * self.shape.record_size);
        let ack_ms = self.latencies.percentiles();
        Ok(Produce::new(records, bytes, self.seconds, ack_ms, requests))
    }

    async fn send(
        &self,
        rate: Option<f64>,
        limit: Limit,
        lanes: &mut Lanes,
        progress: &Progress,
    ) -> Result<(), Stop> {
        let mut payload = Payload::new(self.shape.record_size, self.env.random());
        let start = self.env.monotonic();
        let mut sent = 0;
        while sent < limit.records {
            let now = self.env.monotonic() - start;
            if now >= limit.duration {
                break;
            }
            let mut stamp = now;
            if let Some(rate) = rate {
                let due = Duration::from_secs_f64(sent as f64 / rate);
                if due > now {
                    self.env.sleep(due - now).await;
                    continue;
                }
                if now - due > LATE {
                    stamp = due;
                }
            }
            let stamp = start + stamp;
            let partition = (sent % u64::from(self.producer.partitions())) as u32;
            let record = Record::value(payload.value(stamp)).partition(partition);
            let ticket = self.producer.enqueue(record).await?;
            if !lanes.put(partition, stamp, ticket).await {
                break;
            }
            sent += 1;
            if sent % 1024 == 0 {
                progress.set(self.records + sent);
            }
        }
        Ok(())
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_make_up_the_whole() {
        let by_time = Limit { records: u64::MAX, duration: Duration::from_millis(3500) };
        let rounds = by_time.rounds();
        assert_eq!(rounds.len(), 3);
        assert!(rounds.iter().all(|round| round.duration == by_time.duration / 3));
        for records in [0, 1, 7, 8, 1001] {
            let rounds = Limit { records, duration: Duration::MAX }.rounds();
            assert!(rounds.len() <= 8);
            assert_eq!(rounds.iter().map(|round| round.records).sum::<u64>(), records);
        }
    }
}
