//! What things cost, by the server's own access log: one put an append, one get a slot, and no list
//! on the way of the data. `kaffic-core/tests/requests.rs` has the same by a store that counts.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use kaffic_core::{Kaffic, Record, RequestCounts, TopicConfig, Until};
use kaffic_testkit::{Logged, Operation, Server};
use std::collections::BTreeMap;

const APPENDS: u64 = 500;
const SLOTS: u32 = 200;
const BLOCKS: u64 = APPENDS.div_ceil(SLOTS as u64);

/// How often each object was asked for in an operation, by its key below the prefix.
fn keys(logged: &[Logged], operation: Operation) -> BTreeMap<&str, u64> {
    let mut keys = BTreeMap::new();
    for request in logged.iter().filter(|request| request.operation == operation) {
        let key = request.key.split_once('/').map_or("", |(_, key)| key);
        *keys.entry(key).or_default() += 1;
    }
    keys
}

/// Requests by put, get and list; others there are none of.
fn by_kind(logged: &[Logged]) -> [u64; 3] {
    let of = |operation| logged.iter().filter(|request| request.operation == operation).count();
    assert_eq!(of(Operation::Delete) + of(Operation::Other), 0, "{logged:?}");
    [Operation::Put, Operation::Get, Operation::List].map(|operation| of(operation) as u64)
}

fn counted(counts: RequestCounts) -> [u64; 3] {
    assert_eq!(counts.deletes, 0);
    [counts.puts, counts.gets, counts.lists]
}

fn total(counts: RequestCounts) -> u64 {
    counts.puts + counts.gets + counts.lists + counts.deletes
}

fn key(block: u64, name: &str) -> String {
    format!("meta/logs/t/0/00000/000000000/{block:03}/{name}")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_is_a_put_and_a_slot_is_a_get_says_the_servers_log() {
    const TEST: &str = "requests";
    let Some(server) = Server::of(TEST) else { return };
    let Some(mut log) = server.log(TEST) else { return };
    let url = server.fresh_url(TEST);
    let connect = async || {
        let options = server.options(&[]).parse().unwrap();
        Kaffic::builder().url(&url).options(options).connect().await.unwrap()
    };

    let client = connect().await;
    let config = TopicConfig::new().slots_per_block(SLOTS);
    client.topics().create("t", config).await.unwrap();
    let producer = client.producer("t").compaction(false).build().await.unwrap();
    // The first finds the tail, and looks at the clock.
    producer.send(Record::value("0")).await.unwrap();
    let before = client.request_counts();
    log.take(total(before));
    for n in 1..APPENDS {
        producer.send(Record::value(n.to_string())).await.unwrap();
    }
    let made = client.request_counts().since(before);
    let logged = log.take(total(made));
    println!("{} appends: {:?} puts, gets and lists", APPENDS - 1, by_kind(&logged));
    assert_eq!(by_kind(&logged), counted(made));
    let puts = keys(&logged, Operation::Put);
    let slots = puts.keys().filter(|key| key.starts_with("data/t/")).count();
    assert_eq!(slots as u64, APPENDS - 1);
    assert!(puts.values().all(|&count| count == 1), "{puts:?}");
    let new_blocks = 1..BLOCKS;
    let opens: Vec<_> = new_blocks.clone().map(|block| key(block, "open")).collect();
    let mut meta: Vec<_> = new_blocks.map(|block| key(block - 1, "end")).collect();
    meta.extend(opens.iter().cloned());
    meta.sort();
    assert_eq!(puts.into_keys().filter(|key| key.starts_with("meta/")).collect::<Vec<_>>(), meta);
    let gets = keys(&logged, Operation::Get);
    assert_eq!(gets, opens.iter().map(|key| (key.as_str(), 1)).collect());
    assert!(logged.iter().all(|request| request.status == 200));

    let client = connect().await;
    let mut consumer = client.consumer().topic("t").until(Until::Latest).build().await.unwrap();
    let before = client.request_counts();
    log.take(total(before));
    let mut read = 0;
    while let Some(record) = consumer.next().await.unwrap() {
        assert_eq!(record.value.unwrap(), read.to_string());
        read += 1;
    }
    assert_eq!(read, APPENDS);
    let made = client.request_counts().since(before);
    let logged = log.take(total(made));
    println!("{APPENDS} slots read: {:?} puts, gets and lists", by_kind(&logged));
    let [puts, gets, lists] = by_kind(&logged);
    assert_eq!([puts, gets, lists], counted(made));
    // The `open` of every block, and of every one but the last the `index` (in vain) and the `end`.
    assert_eq!([puts, gets, lists], [0, APPENDS + BLOCKS + 2 * (BLOCKS - 1), 0]);
    let gets = keys(&logged, Operation::Get);
    let slots: Vec<_> = gets.iter().filter(|(key, _)| key.starts_with("data/t/")).collect();
    let found = slots.iter().filter(|(_, count)| **count == 1).count();
    assert_eq!((slots.len() as u64, found as u64), (APPENDS, APPENDS), "{slots:?}");
}
