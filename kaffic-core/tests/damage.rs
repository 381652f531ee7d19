//! Damaged and foreign objects, put into every kind of store by another client: each gives an error
//! that names it, never a panic, and never costs a record that is whole.
#![expect(clippy::unwrap_used, reason = "helpers fail a test as its own lines do")]

mod support;

use kaffic_core::{Error, ErrorKind, Outcome, Record, Start, TopicConfig, Until};
use std::time::Duration;
use support::format::{block_key, slot_key, topic_key};
use support::{TestStore, numbered, offsets, read_all, read_on, stores, stores_for};

/// How long anything is waited for that must come.
const WAIT: Duration = Duration::from_secs(120);

/// What a damaged object may hold.
fn damages(whole: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let flipped = |at: usize| {
        let mut bytes = whole.to_vec();
        bytes[at] ^= 0x10;
        bytes
    };
    let mut damages = vec![
        ("empty", vec![]),
        ("one byte", whole[..1].to_vec()),
        ("half", whole[..whole.len() / 2].to_vec()),
        ("all but the last byte", whole[..whole.len() - 1].to_vec()),
        ("one byte more", [whole, b"x"].concat()),
        ("twice", [whole, whole].concat()),
        ("zeros", vec![0; whole.len()]),
        ("foreign", b"<html>This is not the object you are looking for.</html>".repeat(5)),
        ("JSON", br#"{"format":1}"#.to_vec()),
        ("oversized", vec![b' '; 70 << 20]),
    ];
    damages.extend([0, whole.len() / 3, whole.len() - 1].map(|at| ("a bit", flipped(at))));
    damages
}

/// The same; a server, to which requests take time, gets a third of them, another at each place.
fn damages_at(store: &TestStore, place: usize, whole: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let (from, step) = if store.is_server() { (place % 3, 3) } else { (0, 1) };
    damages(whole).into_iter().skip(from).step_by(step).collect()
}

/// Thirteen records, one a slot, five slots a block; the last block is not full.
async fn put_log(store: &TestStore, closed: bool) {
    let client = store.connect().await;
    client.topics().create("t", TopicConfig::new().slots_per_block(5)).await.unwrap();
    let producer = client.producer("t").compaction(false).build().await.unwrap();
    for record in numbered(0..13) {
        producer.send(record).await.unwrap();
    }
    if closed {
        producer.close().await.unwrap();
    } else {
        std::mem::forget(producer);
    }
}

fn assert_damaged(error: &Error, key: &str, what: &str) {
    let kind = error.kind();
    assert!(matches!(kind, ErrorKind::Corrupt | ErrorKind::Unsupported), "{what}: {error:?}");
    assert!(error.to_string().contains(key), "{what}: {error} does not name {key}");
    assert!(!error.is_retriable(), "{what}");
}

/// What is read of a log that is damaged at an offset: all before it, and then the error.
async fn read_up_to(store: &TestStore, key: &str, damaged: i64, what: &str) {
    let client = store.connect().await;
    let mut consumer = match client.consumer().topic("t").until(Until::Latest).build().await {
        // The first record has to be looked at to know where the log begins.
        Err(error) if damaged == 0 => return assert_damaged(&error, key, what),
        built => built.unwrap(),
    };
    let (records, error) = read_on(&mut consumer).await;
    assert_eq!(offsets(&records), (0..damaged).collect::<Vec<_>>(), "{what}");
    let error = error.unwrap_or_else(|| panic!("{what} of {key} was passed over"));
    assert_damaged(&error, key, what);
    assert_eq!(consumer.positions()[0].offset, damaged, "{what}");
    // It does not go away by itself.
    let again = consumer.poll(10, WAIT).await.unwrap_err();
    assert_damaged(&again, key, what);
}

async fn assert_verify_names(store: &TestStore, key: &str, what: &str) {
    let report = store.connect().await.verify("t", |_| {}).await.unwrap();
    let named = report.issues.iter().any(|issue| issue.object == key);
    assert!(named, "{what} of {key}: {:?}", report.issues);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_slot_is_named_behind_all_that_is_whole() {
    for (store, closed) in stores_for([false, true]) {
        put_log(&store, closed).await;
        // In a block that ended, and in the newest.
        for (place, (block, slot)) in [(0, 0), (1, 2), (2, 1)].into_iter().enumerate() {
            let key = slot_key("t", block, slot);
            let offset = (block * 5 + u64::from(slot)) as i64;
            let whole = store.object(&key).await;
            for (what, bytes) in damages_at(&store, place, &whole) {
                store.replace(&key, bytes).await;
                read_up_to(&store, &key, offset, what).await;
                assert_verify_names(&store, &key, what).await;
            }
            store.replace(&key, whole).await;
        }
        assert_eq!(store.connect().await.verify("t", |_| {}).await.unwrap().issues, []);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seek_goes_past_a_damaged_slot() {
    for (store, closed) in stores_for([false, true]) {
        put_log(&store, closed).await;
        for (place, (block, slot)) in [(0, 0), (1, 2), (2, 1)].into_iter().enumerate() {
            let key = slot_key("t", block, slot);
            let behind = (block * 5 + u64::from(slot) + 1) as i64;
            let whole = store.object(&key).await;
            for (what, bytes) in damages_at(&store, place, &whole) {
                store.replace(&key, bytes).await;
                let client = store.connect().await;
                let start = Start::Latest;
                let mut consumer = client
                    .consumer()
                    .topic("t")
                    .start(start)
                    .until(Until::Latest)
                    .build()
                    .await
                    .unwrap();
                let sought = consumer.seek("t", 0, Start::Offset(behind)).await;
                sought.unwrap_or_else(|error| panic!("{what} of {key}: seek to {behind}: {error}"));
                let (records, error) = read_on(&mut consumer).await;
                assert!(error.is_none(), "{what}: {error:?}");
                assert_eq!(offsets(&records), (behind..13).collect::<Vec<_>>(), "{what}");
            }
            store.replace(&key, whole).await;
        }
    }
}

/// What a store does plays no part in this, and it is many thousand requests: memory will do.
#[tokio::test(flavor = "multi_thread")]
async fn no_bit_of_a_slot_can_change_unseen() {
    for closed in [false, true] {
        let store = TestStore::memory();
        put_log(&store, closed).await;
        for block in [1, 2] {
            let key = slot_key("t", block, 1);
            let offset = (block * 5 + 1) as i64;
            let whole = store.object(&key).await;
            for at in 0..whole.len() {
                let mut bytes = whole.to_vec();
                bytes[at] ^= 1 << (at % 8);
                store.replace(&key, bytes).await;
                let what = format!("byte {at}");
                let client = store.connect().await;
                let mut consumer =
                    client.consumer().topic("t").until(Until::Latest).build().await.unwrap();
                let (records, error) = read_on(&mut consumer).await;
                assert_eq!(offsets(&records), (0..offset).collect::<Vec<_>>(), "{what}");
                let error = error.unwrap_or_else(|| panic!("{what} was passed over"));
                assert_damaged(&error, &key, &what);
                assert_verify_names(&store, &key, &what).await;
            }
            store.replace(&key, whole).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn producers_and_offsets_refuse_a_damaged_tail() {
    for store in stores() {
        put_log(&store, false).await;
        let key = slot_key("t", 2, 2);
        let whole = store.object(&key).await;
        for (what, bytes) in damages(&whole) {
            // Its header is all that the tail rests on.
            if bytes.starts_with(&whole[..120]) {
                continue;
            }
            store.replace(&key, bytes).await;
            let before = store.keys("data").await;
            let client = store.connect().await;
            let producer = client.producer("t").compaction(false).build().await.unwrap();
            let error = producer.send(Record::value("v")).await.unwrap_err();
            assert_damaged(&error, &key, what);
            assert_eq!(error.outcome(), Outcome::NotWritten, "{what}");
            assert_damaged(&client.offsets("t").latest(0).await.unwrap_err(), &key, what);
            assert_damaged(&client.consumer().topic("t").build().await.unwrap_err(), &key, what);
            assert_eq!(store.keys("data").await, before, "{what}");
        }
        store.replace(&key, whole).await;
        let producer = store.connect().await.producer("t").compaction(false).build().await.unwrap();
        assert_eq!(producer.send(Record::value("v")).await.unwrap().offset, 13);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn something_foreign_where_a_producer_writes_is_named() {
    for (store, (what, bytes)) in stores_for(damages(&[7; 300])) {
        let client = store.connect().await;
        client.topics().create("t", TopicConfig::new()).await.unwrap();
        let producer = client.producer("t").compaction(false).build().await.unwrap();
        producer.send(Record::value("0")).await.unwrap();
        let key = slot_key("t", 0, 1);
        store.replace(&key, bytes.clone()).await;
        let error = producer.send(Record::value("1")).await.unwrap_err();
        assert_damaged(&error, &key, what);
        assert_eq!(store.object(&key).await, bytes, "it was overwritten");
        // When it was moved away the producer works on.
        store.remove(&key).await;
        assert_eq!(producer.send(Record::value("2")).await.unwrap().offset, 1, "{what}");
        let records = read_all(&client, "t").await;
        assert_eq!(support::values(&records), ["0", "2"], "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_beginning_or_end_of_a_block_is_named() {
    let places = [(0, "open"), (1, "open"), (1, "end"), (2, "open"), (2, "end")];
    for (store, (place, (block, name))) in stores_for(places.into_iter().enumerate()) {
        put_log(&store, true).await;
        let key = block_key("t", block, name);
        let whole = store.object(&key).await;
        for (what, bytes) in damages_at(&store, place, &whole) {
            // These objects have no checksum: what still is JSON of the right form is believed.
            if what == "a bit" {
                continue;
            }
            let read = serde_json::from_slice::<serde_json::Value>(&bytes).ok();
            if read.is_some() && read == serde_json::from_slice(&whole).ok() {
                continue;
            }
            store.replace(&key, bytes.clone()).await;
            let report = store.connect().await.verify("t", |_| {}).await.unwrap();
            assert!(report.issues.iter().any(|i| i.problem.contains(&key)), "{what}: {report:?}");
            let client = store.connect().await;
            if block == 2 {
                let producer = client.producer("t").compaction(false).build().await.unwrap();
                let error = producer.send(Record::value("v")).await.unwrap_err();
                assert_damaged(&error, &key, what);
                assert_eq!(error.outcome(), Outcome::NotWritten, "{what}");
                assert_damaged(&client.offsets("t").latest(0).await.unwrap_err(), &key, what);
                let built = client.consumer().topic("t").build().await;
                assert_damaged(&built.unwrap_err(), &key, what);
                continue;
            }
            // Writers and the tail don't need it.
            assert_eq!(client.offsets("t").latest(0).await.unwrap(), 13, "{what}");
            match client.consumer().topic("t").until(Until::Latest).build().await {
                Ok(mut consumer) => {
                    let (records, error) = read_on(&mut consumer).await;
                    let error = error.unwrap_or_else(|| panic!("{what} of {key} was passed over"));
                    assert_damaged(&error, &key, what);
                    let block = 5 * block as i64;
                    assert_eq!(offsets(&records), (0..block).collect::<Vec<_>>(), "{what}");
                }
                // The first block has to be read to know where it starts.
                Err(error) => {
                    assert_damaged(&error, &key, what);
                    assert_eq!(block, 0, "{what}: {error}");
                }
            }
            let start = Start::Offset(10);
            let mut consumer = client
                .consumer()
                .topic("t")
                .start(start)
                .until(Until::Latest)
                .build()
                .await
                .unwrap();
            let (records, error) = read_on(&mut consumer).await;
            assert!(error.is_none(), "{what}: {error:?}");
            assert_eq!(offsets(&records), [10, 11, 12], "{what}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_damaged_block_every_other_is_reached() {
    for store in stores() {
        put_log(&store, true).await;
        let key = block_key("t", 0, "open");
        store.replace(&key, "{}").await;
        let client = store.connect().await;
        for offset in 5..13 {
            let mut consumer = client
                .consumer()
                .topic("t")
                .start(Start::Offset(offset))
                .until(Until::Latest)
                .build()
                .await
                .unwrap_or_else(|error| panic!("start at {offset}: {error}"));
            let (records, error) = read_on(&mut consumer).await;
            assert!(error.is_none(), "{error:?}");
            assert_eq!(offsets(&records), (offset..13).collect::<Vec<_>>());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_description_of_a_topic_is_named() {
    for store in stores() {
        put_log(&store, true).await;
        let client = store.connect().await;
        client.topics().create("u", TopicConfig::new()).await.unwrap();
        let key = topic_key("t", 0);
        let whole = store.object(&key).await;
        for (what, bytes) in damages(&whole) {
            if serde_json::from_slice::<serde_json::Value>(&bytes).ok()
                == serde_json::from_slice(&whole).ok()
            {
                continue;
            }
            store.replace(&key, bytes).await;
            assert_refused(&store, &key, what).await;
            // Other topics are as they were.
            assert!(client.topics().describe("u").await.is_ok());
        }
        assert_eq!(store.keys("data").await.len(), 14, "something was written or removed");
    }
}

/// Whether every call that needs the topic says what is wrong with it.
async fn assert_refused(store: &TestStore, key: &str, what: &str) {
    let client = store.connect().await;
    let topics = client.topics();
    let results = [
        ("describe", topics.describe("t").await.map(drop)),
        ("create", topics.create("t", TopicConfig::new()).await.map(drop)),
        ("ensure", topics.ensure("t", TopicConfig::new()).await.map(drop)),
        ("delete", topics.delete("t").await.map(drop)),
        ("producer", client.producer("t").compaction(false).build().await.map(drop)),
        ("consumer", client.consumer().topic("t").build().await.map(drop)),
        ("offsets", client.offsets("t").latest(0).await.map(drop)),
        ("verify", client.verify("t", |_| {}).await.map(drop)),
    ];
    for (call, result) in results {
        let error = result.err().unwrap_or_else(|| panic!("{call} took {what}"));
        let kind = error.kind();
        let damaged = matches!(kind, ErrorKind::Corrupt | ErrorKind::Unsupported);
        assert!(damaged, "{call}, {what}: {error:?}");
        let text = error.to_string();
        assert!(text.contains(key) || text.contains("topic t"), "{call}, {what}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_description_of_a_topic_with_numbers_that_cannot_be_is_named() {
    for store in stores() {
        put_log(&store, true).await;
        let key = topic_key("t", 0);
        let whole = store.object(&key).await;
        for (from, to) in [
            ("\"format\":1", "\"format\":2"),
            ("\"partitions\":1", "\"partitions\":0"),
            ("\"partitions\":1", "\"partitions\":10001"),
            ("\"slots\":5", "\"slots\":0"),
            ("\"slots\":5", "\"slots\":1001"),
            ("\"min_expiry_ms\":86400000", "\"min_expiry_ms\":0"),
            ("\"min_expiry_ms\":86400000", "\"min_expiry_ms\":-1"),
        ] {
            let text = String::from_utf8(whole.to_vec()).unwrap();
            assert!(text.contains(from), "{text}");
            store.replace(&key, text.replace(from, to)).await;
            assert_refused(&store, &key, to).await;
        }
    }
}

/// Changes a word of an object.
async fn change(store: &TestStore, key: &str, from: &str, to: &str) {
    let text = String::from_utf8(store.object(key).await.to_vec()).unwrap();
    assert!(text.contains(from), "{text}");
    store.replace(key, text.replace(from, to)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_newer_or_altered_says_so() {
    let open = block_key("t", 2, "open");
    for store in stores() {
        put_log(&store, false).await;
        change(&store, &open, "\"format\":1", "\"format\":2").await;
        let error = store.connect().await.offsets("t").latest(0).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains(&open), "{error}");
    }
    // The block was opened at another time than its slots say.
    for store in stores() {
        put_log(&store, false).await;
        let (whole, opened) = (store.object(&open).await, store.stamp(&open).await);
        while store.stamp(&open).await == opened {
            store.replace(&open, whole.clone()).await;
        }
        let error = store.connect().await.offsets("t").latest(0).await.unwrap_err();
        assert_damaged(&error, &slot_key("t", 2, 2), "altered");
        assert!(error.to_string().contains("altered"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_names_a_block_s_objects_by_their_keys() {
    for (store, (block, name)) in stores_for([(0, "open"), (1, "end"), (1, "open")]) {
        put_log(&store, true).await;
        let key = block_key("t", block, name);
        store.replace(&key, "").await;
        assert_verify_names(&store, &key, "empty").await;
    }
    // Two blocks that don't fit together.
    for store in stores() {
        put_log(&store, true).await;
        let key = block_key("t", 1, "open");
        change(&store, &key, "\"base_offset\":5", "\"base_offset\":4").await;
        assert_verify_names(&store, &key, "another base").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_cut_short_is_named() {
    for store in stores() {
        put_log(&store, false).await;
        let client = store.connect().await;
        let key = slot_key("t", 0, 1);
        let whole = store.object(&key).await;
        for len in [0, 1, 95, 96, 100, whole.len() - 1] {
            store.replace(&key, whole.slice(..len)).await;
            let consumer = client.consumer().topic("t").until(Until::Latest);
            let mut consumer = consumer.build().await.unwrap();
            assert_eq!(consumer.next().await.unwrap().unwrap().offset, 0);
            assert_damaged(&consumer.next().await.unwrap_err(), &key, &format!("{len} bytes"));
        }
    }
}
