//! One of the writers of `bench --writers`: a process that always has data, and says what it got
//! stored when it is asked.
//!
//! It prints a line when its first record is acknowledged; then it answers every line on standard
//! input with its counts, and ends at the end of standard input.

use super::Shape;
use super::payload::Payload;
use crate::signals::{Flag, spawn};
use crate::stop::Stop;
use crate::store::Place;
use kaffic_core::env::{Env, SystemEnv};
use kaffic_core::{Kaffic, Producer, Record, Ticket};
use serde::{Deserialize, Serialize};
use std::io::{BufRead, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::mpsc;

/// Enough that there is always a batch ready, little enough to end soon.
const IN_FLIGHT_BYTES: usize = 8 << 20;
const TICKETS: usize = 64 << 10;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    topic: String,
    #[command(flatten)]
    shape: Shape,
}

/// What a writer has done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counts {
    pub(super) records: u64,
    pub(super) puts: u64,
    pub(super) gets: u64,
}

pub(crate) async fn run(store: &Place, args: Args) -> Result<(), Stop> {
    let client = store.connect().await?;
    let producer = args.shape.producer(&client, &args.topic);
    let producer = producer.max_in_flight_bytes(IN_FLIGHT_BYTES).build().await?;
    let acknowledged = Arc::new(AtomicU64::new(0));
    let (tickets, receiver) = mpsc::channel(TICKETS);
    let stop = Flag::new();
    let acks = spawn(count(receiver, acknowledged.clone(), client.clone(), stop.clone()));
    let fed = feed(&producer, &args.shape, tickets, &stop).await;
    let acks = acks.await.map_err(|error| Stop::failed(format!("internal: {error}")))?;
    producer.close().await?;
    fed.and(acks)
}

async fn feed(
    producer: &Producer,
    shape: &Shape,
    tickets: mpsc::Sender<Ticket>,
    stop: &Flag,
) -> Result<(), Stop> {
    let env = SystemEnv::new();
    let mut payload = Payload::new(shape.record_size, env.random());
    while !stop.is_set() {
        let record = Record::value(payload.value(env.monotonic()));
        if tickets.send(producer.enqueue(record).await?).await.is_err() {
            break;
        }
    }
    Ok(())
}

async fn count(
    mut tickets: mpsc::Receiver<Ticket>,
    acknowledged: Arc<AtomicU64>,
    client: Kaffic,
    stop: Flag,
) -> Result<(), Stop> {
    while let Some(ticket) = tickets.recv().await {
        if let Err(error) = ticket.await {
            stop.set();
            return Err(error.into());
        }
        if acknowledged.fetch_add(1, Ordering::Relaxed) == 0 {
            let (acknowledged, client, stop) = (acknowledged.clone(), client.clone(), stop.clone());
            tokio::task::spawn_blocking(move || {
                // An error here is a parent that has gone; so is the end of the input.
                let _ = answer(&acknowledged, &client);
                stop.set();
            });
        }
    }
    Ok(())
}

/// Says that there is something to count, then counts whenever asked.
fn answer(acknowledged: &AtomicU64, client: &Kaffic) -> std::io::Result<()> {
    let mut stdout = std::io::stdout();
    let mut questions = std::io::stdin().lock().lines();
    loop {
        let requests = client.request_counts();
        let records = acknowledged.load(Ordering::Relaxed);
        let counts = Counts { records, puts: requests.puts, gets: requests.gets };
        serde_json::to_writer(&mut stdout, &counts)?;
        stdout.write_all(b"\n")?;
        stdout.flush()?;
        match questions.next() {
            Some(question) => question?,
            None => return Ok(()),
        };
    }
}
