//! What a producer says of records that it gives up, while requests fail: what was acknowledged is
//! there once, what was *not written* is not there, and what is *unknown* is there once at most.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use kaffic_core::{Kaffic, Outcome, Record, TopicConfig, Until};
use kaffic_testkit::{Config, Fault, FaultProxy, Rates, Server};
use std::collections::HashMap;
use std::time::Duration;

/// Records of each writer.
const RECORDS: u64 = 40;
const WRITERS: u64 = 4;
/// Shorter than a request may take, so that records are given up while theirs are under way.
const DELIVERY_TIMEOUT: Duration = Duration::from_millis(700);

/// Faults that leave a client in doubt, and some that don't. None that asks for fewer requests: after
/// those a client waits longer than a record has here.
fn doubtful() -> Rates {
    Rates::none()
        .with(Fault::HalfOpenAfter, 0.15)
        .with(Fault::HalfOpenBefore, 0.1)
        .with(Fault::ResetAfter, 0.15)
        .with(Fault::ResetBefore, 0.05)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_said_of_a_record_is_so() {
    let Some(server) = Server::of("outcomes") else { return };
    let url = server.fresh_url("outcomes");
    let connect = async |options: String| {
        let builder = Kaffic::builder().url(&url).options(options.parse().unwrap());
        builder.connect().await.unwrap()
    };
    let direct = connect(server.options(&[])).await;
    direct.topics().create("t", TopicConfig::new()).await.unwrap();
    let seed = std::env::var("KAFFIC_SEED").map_or(1, |seed| seed.parse().unwrap());
    println!("KAFFIC_SEED={seed}");
    let proxy = FaultProxy::start(Config::new(server.endpoint()).seed(seed)).unwrap();
    let endpoint = proxy.endpoint();
    let options = server.options(&[("endpoint", &endpoint), ("request_timeout", "500ms")]);

    let mut producers = Vec::new();
    for _ in 0..WRITERS {
        let client = connect(options.clone()).await;
        let builder = client.producer("t").delivery_timeout(DELIVERY_TIMEOUT);
        producers.push(builder.build().await.unwrap());
    }
    proxy.set_rates(doubtful());
    let sending = producers.iter().enumerate().map(async |(writer, producer)| {
        let mut said = Vec::new();
        for n in 0..RECORDS {
            let value = format!("{writer}-{n}");
            let outcome = match producer.send(Record::value(value.clone())).await {
                Ok(ack) => Ok(ack.offset),
                Err(error) => Err(error.outcome()),
            };
            said.push((value, outcome));
        }
        said
    });
    let said = futures_util::future::join_all(sending).await.concat();
    proxy.set_rates(Rates::none());
    for producer in &producers {
        producer.close().await.unwrap();
    }
    let of = |wanted| said.iter().filter(|(_, outcome)| *outcome == Err(wanted)).count();
    let (unknown, not_written) = (of(Outcome::Unknown), of(Outcome::NotWritten));
    println!("{} sent, {unknown} unknown, {not_written} not written", said.len());
    println!("{}", proxy.counts());

    let mut places: HashMap<String, Vec<i64>> = HashMap::new();
    let mut consumer = direct.consumer().topic("t").until(Until::Latest).build().await.unwrap();
    while let Some(record) = consumer.next().await.unwrap() {
        let value = String::from_utf8(record.value.unwrap().to_vec()).unwrap();
        places.entry(value).or_default().push(record.offset);
    }
    let mut appeared = 0;
    for (value, outcome) in &said {
        let at = places.get(value).map_or(&[][..], Vec::as_slice);
        match outcome {
            Ok(offset) => assert_eq!(at, [*offset], "{value} was acknowledged"),
            Err(Outcome::NotWritten) => {
                assert!(at.is_empty(), "{value} was not written, and is at {at:?}")
            }
            Err(Outcome::Unknown) => {
                assert!(at.len() <= 1, "{value} is at {at:?}");
                appeared += at.len();
            }
        }
    }
    println!("{appeared} of the unknown are there");
    assert!(unknown > 0 && not_written > 0, "the faults are too few (KAFFIC_SEED={seed})");
    assert!((1..unknown).contains(&appeared), "unknown is not known (KAFFIC_SEED={seed})");
    assert_eq!(direct.verify("t", |_| {}).await.unwrap().issues, vec![]);
}
