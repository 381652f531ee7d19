//! The same work as tests/c/bench.c in Rust: rate URL RECORDS RECORDS-A-POLL. See scripts/bench-c.

use kaffic_core::{Kaffic, Record, TopicConfig, Until};
use std::time::{Duration, Instant};

const SIZE: usize = 1024;
/// How often all is consumed.
const PASSES: usize = 5;

#[tokio::main]
#[expect(clippy::disallowed_methods, reason = "a benchmark takes real time")]
async fn main() -> kaffic_core::Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, url, count, a_poll] = &arguments[..] else { panic!("rate URL RECORDS RECORDS-A-POLL") };
    let number =
        |text: &str| text.parse::<usize>().unwrap_or_else(|error| panic!("{text}: {error}"));
    let (count, a_poll) = (number(count), number(a_poll).max(100));
    let value: Vec<u8> = (0..SIZE).map(|at| (at * 31) as u8).collect();

    let client = Kaffic::connect(url).await?;
    let producer = client.producer("bench").create_topic(TopicConfig::new()).build().await?;
    let begun = Instant::now();
    let mut tickets = std::collections::VecDeque::with_capacity(count);
    for _ in 0..count {
        // A program has its record in memory of its own, as the one in C has.
        tickets.push_back(producer.enqueue(Record::value(value.clone())).await?);
        while tickets.len() > 8192 {
            if let Some(ticket) = tickets.pop_front() {
                ticket.await?;
            }
        }
    }
    for ticket in tickets {
        ticket.await?;
    }
    let produced = begun.elapsed();
    producer.close().await?;

    let rate = |time: Duration| count as f64 / time.as_secs_f64();
    print!("{:.0}", rate(produced));
    for _ in 0..PASSES {
        let begun = Instant::now();
        let mut consumer = client.consumer().topic("bench").until(Until::Latest).build().await?;
        let (mut seen, mut bytes) = (0, 0);
        while !consumer.is_finished() {
            let records = consumer.poll(a_poll, Duration::from_secs(600)).await?;
            seen += records.len();
            bytes += records
                .iter()
                .filter_map(|record| record.value.as_ref())
                .map(|value| value.len())
                .sum::<usize>();
        }
        assert_eq!((seen, bytes), (count, count * SIZE));
        print!(" {:.0}", rate(begun.elapsed()));
    }
    println!();
    Ok(())
}
