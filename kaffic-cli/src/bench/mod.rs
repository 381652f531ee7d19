//! `kaffic bench`: what this store gives, and what kaffic takes of it.
//!
//! Three phases on a topic of its own: produce; catch-up, a fresh consumer from the beginning;
//! end-to-end, a consumer that follows while a producer runs. Each phase has its own client, so
//! its request counts are its own. Latency is taken between two readings of one monotonic clock,
//! the first of which travels in the record.

mod clients;
mod contend;
mod follow;
mod load;
mod payload;
mod raw;
mod report;
mod stats;
mod text;
pub(crate) mod writer;

use crate::output::{Output, json};
use crate::produce::Codec;
use crate::progress::Progress;
use crate::signals::Interrupt;
use crate::stop::{Stop, say};
use crate::store::Place;
use crate::units::{self, Rate};
use clients::Clients;
use kaffic_core::env::SystemEnv;
use kaffic_core::{Kaffic, ProducerBuilder, TopicConfig};
use load::{Limit, Load};
use report::Report;
use std::sync::Arc;
use std::time::Duration;

/// How often log and baseline are read in turns, of which the medians count.
const RAW_TURNS: usize = 5;

const AFTER_HELP: &str = "\
The phases are produce, catch-up (a fresh consumer from the beginning) and end-to-end (a consumer
follows a producer). Without --rate the first runs as fast as it can, the last at a tenth of what
the first reached, since at full speed latency only tells how long the queue is. Values are hex
digits in random order, so codecs have something to do.

--raw puts objects of the very sizes of the log's objects, one after the other, and reads the log's
objects back, with nothing of kaffic in between; ratios are kaffic / raw. On file:// stores they are
plain files (written aside, fsynced, linked to their name, the directory fsynced) read one by one;
elsewhere conditional puts, and up to 64 gets at once. Both take turns second by second, since disks
and networks have moods, and read five times each, of which the median counts. With --rate the objects come at the pace of the log's, and the median put
is compared with the median acknowledgement; without it, throughput is compared.

--writers N starts N processes that always have data for one topic, counts what each of them gets
stored in the same span of time, and compares with a single one. Jain's index is 1 where all get
the same.

JSON: kaffic (the version), store, record_size, rate (records_per_s that were asked for, or null),
partitions, linger_ms (null: the library's), compression, peak_memory_bytes, and an object for each phase: produce,
catch_up, end_to_end. A phase has records, bytes (of values), seconds, records_per_s, mib_per_s and
requests (puts, gets, lists, deletes, put_bytes, get_bytes); a producing one has ack_ms, from
enqueueing to acknowledgement; end_to_end has latency_ms, from enqueueing until the consumer has
the record, and consumer_requests. Times are p50, p90, p99, p99_9 and max in milliseconds.
raw has objects, bytes, put_seconds, put_ms and read_seconds, ratios has produce_throughput,
ack_median and catch_up_throughput; they are null where they were not measured.
--writers gives kaffic, store, partitions, record_size, seconds, writers (records, puts and gets of
each), jain, records_per_s of all together, single_records_per_s and the ratio of these two.

Examples:
  kaffic bench --duration 10s --raw
  kaffic bench --rate 1MiB/s --raw
  kaffic bench --record-size 100B --rate 1MiB/s --partitions 3 --json
  kaffic bench --writers 10 --duration 20s";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    #[command(flatten)]
    shape: Shape,
    /// Records or bytes a second, like 5000/s or 10MiB/s; as fast as possible without it
    #[arg(long, value_name = "RATE", value_parser = Rate::parse)]
    rate: Option<Rate>,
    /// The number of partitions
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    partitions: u32,
    /// How long the producing phases take
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    duration: Duration,
    /// Send this many records in each producing phase, however long it takes; without --rate the
    /// end-to-end phase still ends after 10s
    #[arg(long, value_name = "N", conflicts_with = "duration", value_parser = clap::value_parser!(u64).range(1..))]
    records: Option<u64>,
    /// Measure plain files or objects beside it
    #[arg(long)]
    raw: bool,
    /// Measure how N processes share one topic, and nothing else
    #[arg(long, value_name = "N", conflicts_with_all = ["raw", "rate", "records"], value_parser = clap::value_parser!(u32).range(1..=1000))]
    writers: Option<u32>,
    /// Do not delete the topic
    #[arg(long)]
    keep: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What is sent and how.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Shape {
    /// The size of values, 8 bytes at least
    #[arg(long, value_name = "SIZE", default_value = "1KiB", value_parser = record_size)]
    record_size: u64,
    /// How long a batch waits for more records; by default as the library finds best
    #[arg(long, value_name = "DURATION", value_parser = units::linger)]
    linger: Option<Duration>,
    /// The size at which a batch is full
    #[arg(long, value_name = "SIZE", value_parser = units::batch_bytes)]
    batch_bytes: Option<usize>,
    /// Compress batches
    #[arg(long, value_name = "CODEC", value_enum, default_value_t = Codec::None)]
    compression: Codec,
}

impl Shape {
    /// A producer of such records.
    fn producer(&self, client: &Kaffic, topic: &str) -> ProducerBuilder {
        let mut builder = client.producer(topic).compression(self.compression.into());
        if let Some(linger) = self.linger {
            builder = builder.linger(linger);
        }
        match self.batch_bytes {
            Some(bytes) => builder.batch_bytes(bytes),
            None => builder,
        }
    }
}

fn record_size(text: &str) -> Result<u64, String> {
    match units::size(text)? {
        size @ 8..=0x100_0000 => Ok(size),
        _ => Err("a value has 8 bytes to 16 MiB here".to_owned()),
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    match units::duration(text)? {
        Duration::ZERO => Err("in no time nothing can be measured".to_owned()),
        duration => Ok(duration),
    }
}

pub(crate) async fn run(store: &Place, args: Args, interrupt: Interrupt) -> Result<(), Stop> {
    let clients = Clients::new(store);
    if args.raw && clients.in_memory() {
        return Err(Stop::usage("--raw needs a store outside of this process"));
    }
    if args.writers.is_some() && clients.in_memory() {
        return Err(Stop::usage("--writers needs a store that processes can share"));
    }
    let topic = clients.new_topic_name();
    let config = TopicConfig::new().partitions(args.partitions);
    let result = interrupt.cut(measure(&clients, &args, &topic, config)).await;
    if args.keep {
        say(&format!("topics {topic}* are kept"));
        return result;
    }
    let cleaned = clients.clean(&topic).await;
    result.and(cleaned)
}

async fn measure(
    clients: &Clients,
    args: &Args,
    topic: &str,
    config: TopicConfig,
) -> Result<(), Stop> {
    let mut out = Output::stdout();
    if let Some(writers) = args.writers {
        let report = contend::run(clients, args, topic, config, writers).await?;
        match args.json {
            true => out.line(&json(&report)?),
            false => text::contention(&report, out.buffer()),
        }
    } else {
        clients.connect().await?.topics().create(topic, config).await?;
        let report = phases(clients, args, topic).await?;
        match args.json {
            true => out.line(&json(&report)?),
            false => text::report(&report, out.buffer()),
        }
    }
    out.flush()
}

async fn phases(clients: &Clients, args: &Args, topic: &str) -> Result<Report, Stop> {
    let env = Arc::new(SystemEnv::new());
    let progress = Progress::count("records", false);
    let rate = args.rate.map(|rate| rate.records_per_second(args.shape.record_size));
    let limit = match args.records {
        Some(records) => Limit { records, duration: Duration::MAX },
        None => Limit { records: u64::MAX, duration: args.duration },
    };

    progress.stage("produce");
    let mut load = Load::start(clients, topic, &args.shape, &env).await?;
    let mut raw = raw::Baseline::new(clients, topic, args.raw).await?;
    match &mut raw {
        None => drop(load.run(rate, limit, &progress).await?),
        Some(raw) => {
            for round in limit.rounds() {
                let seconds = load.run(rate, round, &progress).await?;
                raw.puts(rate.map(|_| seconds), &env).await?;
            }
        }
    }
    let produce = load.finish().await?;
    progress.stage("catch-up");
    let mut turns = Vec::new();
    for _ in 0..if args.raw { RAW_TURNS } else { 1 } {
        turns.push(follow::catch_up(clients, topic, &env, &progress).await?);
        if let Some(raw) = &mut raw {
            raw.reads(&env).await?;
        }
    }
    let catch_up = stats::median(turns, |read| read.seconds)
        .ok_or_else(|| Stop::failed("internal: nothing was read"))?;

    progress.stage("end-to-end");
    let paced = rate.unwrap_or(produce.records_per_s / 10.0).max(1.0);
    let limit = match args.records {
        Some(_) if rate.is_none() => Limit { duration: args.duration, ..limit },
        _ => limit,
    };
    let end_to_end =
        follow::end_to_end(clients, topic, &args.shape, (paced, limit), &env, &progress).await?;
    let raw = raw.map(raw::Baseline::finish);
    Ok(Report::new(args, clients.url(), produce, catch_up, end_to_end, raw))
}
