//! Compacting and trimming processes that are killed at any moment: who reads meanwhile and
//! afterwards gets each record once, in order.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use kaffic_core::{Kaffic, Record, TopicConfig};
use std::fs::File;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use support::load::{read_all, seed};
use support::{Store, json_lines};

const KILLS: usize = 200;
const BLOCKS: i64 = 12;
const SLOTS: u32 = 25;
const PER_BATCH: i64 = 3;
const RECORDS: i64 = BLOCKS * SLOTS as i64 * PER_BATCH;
/// Longer than anything waits before it removes.
const LONG_AGO: Duration = Duration::from_secs(3 * 24 * 3600);

/// A log of small blocks that all have ended, three days ago.
async fn written(store: &Store) {
    let client = Kaffic::connect(&store.url()).await.unwrap();
    client.topics().create("t", TopicConfig::new().slots_per_block(SLOTS)).await.unwrap();
    let producer = client.producer("t").compaction(false).build().await.unwrap();
    for batch in 0..BLOCKS * i64::from(SLOTS) {
        let records =
            (0..PER_BATCH).map(|n| Record::value((batch * PER_BATCH + n).to_string()).key("k"));
        producer.append(0, records.collect(), None).await.unwrap();
    }
    producer.close().await.unwrap();
    for file in store.files("data").into_iter().chain(store.files("meta/logs")) {
        let file = File::open(file).unwrap();
        let written = file.metadata().unwrap().modified().unwrap();
        file.set_modified(written - LONG_AGO).unwrap();
    }
}

/// All that there is: each record once and in order, from some offset on to the last.
fn first_of_all(store: &Store) -> i64 {
    let read = read_all(store);
    let first = read.first().map_or(RECORDS, |record| record.offset);
    let offsets: Vec<i64> = read.iter().map(|record| record.offset).collect();
    assert_eq!(offsets, (first..RECORDS).collect::<Vec<_>>());
    assert!(read.iter().all(|record| record.value == record.offset.to_string()));
    first
}

/// Looks at the store until a number of files came or went, or the process ended. True if it was
/// killed amid its work.
fn killed_amid(store: &Store, args: &[&str], changes: usize) -> bool {
    let files = || store.files("data").len() + 2 * store.files("meta/logs").len();
    let before = files();
    let mut command = store.command(args);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while child.try_wait().unwrap().is_none() && files().abs_diff(before) < changes {
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap().code().is_none()
}

/// As a reader finds it while the oldest records go: each record once and in order, to the last,
/// and what went under it is passed. Gives the first offset.
fn first_of_some(store: &Store) -> i64 {
    let read = read_all(store);
    assert!(read.is_sorted_by(|one, next| one.offset < next.offset));
    assert!(read.iter().all(|record| record.value == record.offset.to_string()));
    assert!(read.last().is_none_or(|last| last.offset == RECORDS - 1));
    read.first().map_or(RECORDS, |record| record.offset)
}

/// Readers that go on all the while.
fn with_readers(store: &Store, read: impl Fn(&Store) -> i64 + Sync, work: impl FnOnce()) {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut first = 0;
            while !done.load(Ordering::Relaxed) {
                let now = read(store);
                assert!(now >= first, "{now} after {first}");
                first = now;
            }
        });
        work();
        done.store(true, Ordering::Relaxed);
        reader.join().unwrap();
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_kills_of_compactors_and_trimmers_lose_nothing_else() {
    let mut kills = 0;
    let mut chance = seed();
    while kills < KILLS {
        let store = Store::new();
        written(&store).await;
        let before = store.files("data").len();
        with_readers(&store, first_of_all, || {
            // Until one comes to its end because all is done.
            loop {
                chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let changes = 1 + (chance >> 33) as usize % 40;
                if !killed_amid(&store, &["compact", "t"], changes) {
                    break;
                }
                kills += 1;
                assert_eq!(first_of_all(&store), 0);
            }
            store.ok(&["compact", "t"], b"");
        });
        assert_eq!(first_of_all(&store), 0);
        let report = &json_lines(&store.ok(&["compact", "t", "--json"], b""))[0];
        assert_eq!(report["already"], BLOCKS, "{report}");
        assert_eq!(report["remaining"], 0, "{report}");
        assert!(store.files("data").len() < before / 10);
        with_readers(&store, first_of_some, || {
            for keep in (0..BLOCKS).rev() {
                let keep = (keep * 200).to_string();
                if killed_amid(&store, &["trim", "t", "--keep-bytes", &keep], 1) {
                    kills += 1;
                }
                first_of_all(&store);
            }
        });
        store.ok(&["verify", "t"], b"");
    }
    println!("{kills} kills");
}
