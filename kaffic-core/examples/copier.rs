//! Copies a topic into another with as many partitions, exactly once: killed at any moment and
//! started again it goes on where it was, and two that run at once don't double anything.
//!
//! `cargo run -p kaffic-core --example copier -- URL FROM TO NAME`
//!
//! A record's sequence is its offset in the source, so the destination itself knows how far the copy
//! has come.

use kaffic_core::{Kaffic, Record, Start, Ticket, Until};
use std::time::Duration;

#[allow(dead_code, reason = "a test runs `copy` instead")]
#[tokio::main]
async fn main() -> kaffic_core::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [url, from, to, name] = &args[..] else {
        return Err(kaffic_core::Error::invalid("usage: copier URL FROM TO NAME"));
    };
    copy(url, from, to, name).await
}

/// Copies what there is at present.
pub(crate) async fn copy(url: &str, from: &str, to: &str, name: &str) -> kaffic_core::Result<()> {
    let client = Kaffic::connect(url).await?;
    let producer = client.producer(to).name(name).build().await?;
    let builder = client.consumer().topic(from).until(Until::Latest);
    let mut consumer = builder.build().await?;
    for partition in 0..producer.partitions() {
        if let Some(last) = producer.last_sequence(partition).await? {
            consumer.seek(from, partition, Start::Offset(last + 1)).await?;
        }
    }
    loop {
        let records = consumer.poll(20, Duration::from_secs(30)).await?;
        if records.is_empty() {
            return producer.close().await;
        }
        let mut tickets: Vec<Ticket> = Vec::new();
        for record in records {
            let copy = Record {
                key: record.key,
                value: record.value,
                headers: record.headers,
                timestamp: Some(record.timestamp),
                partition: Some(record.partition),
                sequence: Some(record.offset),
            };
            tickets.push(producer.enqueue(copy).await?);
        }
        for ticket in tickets {
            ticket.await?;
        }
    }
}
