//! The copier of the examples, as processes that are killed a hundred times: the copy is what was
//! copied, exactly.

#[path = "../examples/copier.rs"]
mod copier;
mod support;

use kaffic_core::{ConsumerRecord, Kaffic, Record, TopicConfig};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use support::lab::Chance;
use support::read_all;

const KILLS: usize = 100;
const PARTITIONS: u32 = 3;
const RECORDS: i64 = 9_000;
/// Where a copying process finds the store.
const STORE: &str = "KAFFIC_COPIER_STORE";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "what the test below runs as a process of its own"]
async fn a_process_that_copies() {
    if let Ok(url) = std::env::var(STORE) {
        copier::copy(&url, "a", "b", "copier").await.unwrap();
    }
}

fn start(url: &str) -> Child {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["--ignored", "--exact", "a_process_that_copies"]).env(STORE, url);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("a process")
}

/// The number of batches of a topic.
fn files(path: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(path) else { return 1 };
    entries.map(|entry| files(&entry.expect("an entry").path())).sum()
}

/// What a copy has of a record.
fn content(record: &ConsumerRecord) -> impl PartialEq + std::fmt::Debug + use<> {
    let ConsumerRecord { partition, timestamp, key, value, headers, .. } = record.clone();
    (partition, timestamp, key, value, headers)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_kills_leave_an_exact_copy() {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("file://{}", directory.path().display());
    let client = Kaffic::connect(&url).await.unwrap();
    let config = || TopicConfig::new().partitions(PARTITIONS).slots_per_block(50);
    client.topics().create("a", config()).await.unwrap();
    client.topics().create("b", config()).await.unwrap();
    let producer = client.producer("a").build().await.unwrap();
    for number in 0..RECORDS {
        let record = Record::value(format!("value {number}")).key(format!("key {}", number % 100));
        let record = record.header("number", number.to_string()).timestamp(number);
        let ticket = producer.enqueue(record).await.unwrap();
        if number % 50 == 49 {
            ticket.await.unwrap();
        }
    }
    producer.close().await.unwrap();

    let chance = Chance::new(7);
    let copied = directory.path().join("data/b");
    let (mut kills, mut overlaps) = (0, 0);
    let mut before: Option<Child> = None;
    while kills < KILLS {
        let mut child = start(&url);
        // Now and then the one before goes on for a while, and is fenced off.
        if let Some(mut old) = before.take() {
            overlaps += usize::from(old.try_wait().unwrap().is_none());
            old.kill().unwrap();
            old.wait().unwrap();
        }
        let (begun, changes) = (files(&copied), 1 + chance.below(9) as usize);
        while child.try_wait().unwrap().is_none() && files(&copied) < begun + changes {
            std::thread::yield_now();
        }
        kills += 1;
        if chance.below(5) == 0 {
            before = Some(child);
        } else {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
    if let Some(mut old) = before {
        old.kill().unwrap();
        old.wait().unwrap();
    }
    let done = read_all(&client, "b").await.len();
    copier::copy(&url, "a", "b", "copier").await.unwrap();
    println!("{done} of {RECORDS} records copied after {kills} kills, {overlaps} overlapped");
    let (a, b) = (read_all(&client, "a").await, read_all(&client, "b").await);
    assert_eq!(a.len() as i64, RECORDS);
    for partition in 0..PARTITIONS {
        let of = |records: &[ConsumerRecord]| -> Vec<_> {
            records.iter().filter(|r| r.partition == partition).map(content).collect()
        };
        assert_eq!(of(&a), of(&b), "partition {partition}");
    }
    assert_eq!(client.verify("b", |_| {}).await.unwrap().issues, []);
}
