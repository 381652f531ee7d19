//! What compaction does for a long log of small batches: a million records of 100 bytes in batches
//! of ten are read from the beginning before and after it, and as one large object.
//!
//! `cargo run --release -p kaffic-core --example long_log -- URL [BATCHES]`

#![expect(clippy::disallowed_methods, reason = "it measures real time")]

use futures_util::StreamExt;
use kaffic_core::object_store::ObjectStoreExt;
use kaffic_core::{Kaffic, Record, Start, TopicConfig, Until};
use std::time::Instant;

const PER_BATCH: usize = 10;
const READS: usize = 5;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let url = args.next().ok_or("a URL is missing")?;
    let batches: usize = args.next().map_or(Ok(100_000), |text| text.parse())?;
    let client = connect(&url).await?;
    let topic = "long-log";
    client.topics().create(topic, TopicConfig::new()).await?;
    let producer = client.producer(topic).compaction(false).build().await?;
    let begun = Instant::now();
    for _ in 0..batches {
        let records = (0..PER_BATCH).map(|_| Record::value([b'x'; 100].as_slice()));
        producer.append(0, records.collect(), None).await?;
    }
    producer.close().await?;
    let records = batches * PER_BATCH;
    println!(
        "written: {records} records in {batches} slots, {:.1} s",
        begun.elapsed().as_secs_f64()
    );
    let before = catch_up(&url, topic, records, batches).await?;
    let begun = Instant::now();
    let counts = client.request_counts();
    let report = client.compact(topic, |_| {}).await?;
    let counts = client.request_counts().since(counts);
    println!(
        "compacted: {} blocks into {} segments of {} bytes in {:.1} s: {} puts, {} gets, {} lists",
        report.compacted,
        report.segments,
        report.segment_bytes,
        begun.elapsed().as_secs_f64(),
        counts.puts,
        counts.gets,
        counts.lists
    );
    let after = catch_up(&url, topic, records, batches).await?;
    println!("after / before: {:.2}", before / after);
    let object = one_object(&client, report.segment_bytes as usize).await?;
    println!("one object of as many bytes: {object:.2} s, object / after: {:.2}", object / after);
    client.topics().delete(topic).await?;
    Ok(())
}

/// With the options of the environment, as the command has them.
async fn connect(url: &str) -> kaffic_core::Result<Kaffic> {
    let options = std::env::var("KAFFIC_STORE_OPTIONS").unwrap_or_default();
    let options = options.split(',').filter_map(|option| option.split_once('='));
    options
        .fold(Kaffic::builder().url(url), |builder, (key, value)| builder.option(key, value))
        .connect()
        .await
}

/// Reads all as a new consumer would; the median of some times, in seconds.
async fn catch_up(
    url: &str,
    topic: &str,
    records: usize,
    slots: usize,
) -> Result<f64, Box<dyn std::error::Error>> {
    let mut times = Vec::new();
    let mut requests = 0;
    for _ in 0..READS {
        let client = connect(url).await?;
        let begun = Instant::now();
        let builder = client.consumer().topic(topic).start(Start::Earliest).until(Until::Latest);
        let mut consumer = builder.build().await?;
        let mut got = 0;
        loop {
            let polled = consumer.poll(10_000, std::time::Duration::from_secs(60)).await?;
            if polled.is_empty() {
                break;
            }
            got += polled.len();
        }
        times.push(begun.elapsed().as_secs_f64());
        if got != records {
            return Err(format!("{got} of {records} records").into());
        }
        let counts = client.request_counts();
        requests = counts.gets + counts.lists;
    }
    let median = median(times);
    println!(
        "catch-up: {median:.2} s, {:.0} records/s, {requests} requests, {:.2} for 1,000 slots",
        records as f64 / median,
        requests as f64 * 1000.0 / slots as f64
    );
    Ok(median)
}

/// Reading one object of so many bytes with one request; the median of some times, in seconds.
async fn one_object(client: &Kaffic, bytes: usize) -> Result<f64, Box<dyn std::error::Error>> {
    let (store, prefix) = client.object_store();
    let key = prefix.clone().join("raw-object");
    store.put(&key, vec![b'x'; bytes].into()).await?;
    let mut times = Vec::new();
    for _ in 0..READS {
        let begun = Instant::now();
        let mut pieces = store.get(&key).await?.into_stream();
        let mut got = 0;
        while let Some(piece) = pieces.next().await {
            got += piece?.len();
        }
        assert_eq!(got, bytes, "an object is read as it was put");
        times.push(begun.elapsed().as_secs_f64());
    }
    store.delete(&key).await?;
    Ok(median(times))
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
