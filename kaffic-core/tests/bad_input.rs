//! Wrong calls and damaged objects: each gives an error that says what is wrong with what, never a
//! panic, and never costs a record that is whole.
#![expect(clippy::unwrap_used, reason = "helpers fail a test as its own lines do")]

mod support;

use kaffic_core::{
    Error, ErrorKind, Kaffic, MinExpiry, Outcome, Record, Start, TopicConfig, Until,
};
use std::time::Duration;
use support::format::{block_key, slot_key, topic_key};
use support::lab::{Fault, Lab, Op, SECOND, within};
use support::{TestStore, numbered, offsets, read_all, read_on};

/// Whether the error is the caller's, and names what it is about.
fn assert_invalid(error: &Error, names: &str) {
    assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
    assert!(error.to_string().contains(names), "{error} does not name {names}");
    assert_eq!(error.outcome(), Outcome::NotWritten);
    assert!(!error.is_retriable());
}

#[tokio::test(start_paused = true)]
async fn names_of_topics_are_checked_everywhere_before_anything_is_asked() {
    let lab = Lab::new();
    let client = lab.client().await;
    let long = "x".repeat(250);
    for name in ["", ".", "..", "a/b", "/a", "ü", "a b", "a\0", "a\n", "../meta", &long] {
        let topics = client.topics();
        let errors = [
            topics.create(name, TopicConfig::new()).await.unwrap_err(),
            topics.ensure(name, TopicConfig::new()).await.unwrap_err(),
            topics.describe(name).await.unwrap_err(),
            topics.delete(name).await.unwrap_err(),
            client.producer(name).build().await.unwrap_err(),
            client.producer(name).create_topic(TopicConfig::new()).build().await.unwrap_err(),
            client.consumer().topic(name).build().await.unwrap_err(),
            client.offsets(name).latest(0).await.unwrap_err(),
            client.verify(name, |_| {}).await.unwrap_err(),
        ];
        errors.iter().for_each(|error| assert_invalid(error, &format!("{name:?}")));
    }
    assert!(lab.store.take_requests().is_empty());
    for name in ["a", "...", "A-1_b.c", &"x".repeat(249)] {
        client.topics().create(name, TopicConfig::new()).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn settings_of_topics_have_bounds() {
    let lab = Lab::new();
    let client = lab.client().await;
    let after = |time| TopicConfig::new().min_expiry(MinExpiry::After(time));
    let bad = [
        (TopicConfig::new().partitions(0), "0 partitions"),
        (TopicConfig::new().partitions(10_001), "10001 partitions"),
        (TopicConfig::new().partitions(u32::MAX), "4294967295 partitions"),
        (after(Duration::ZERO), "min-expiry"),
        (after(59 * SECOND), "min-expiry"),
        (after(Duration::MAX), "min-expiry"),
        (TopicConfig::new().slots_per_block(0), "0 slots"),
        (TopicConfig::new().slots_per_block(1001), "1001 slots"),
    ];
    for (config, names) in bad {
        let error = client.topics().create("t", config).await.unwrap_err();
        assert_invalid(&error, names);
        assert!(error.to_string().contains("topic t"), "{error}");
    }
    assert!(lab.store.keys("").is_empty());
    for (n, good) in [
        TopicConfig::new().partitions(10_000),
        after(60 * SECOND),
        TopicConfig::new().min_expiry(MinExpiry::Never),
        TopicConfig::new().slots_per_block(1),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("t{n}");
        let created = client.topics().create(&name, good).await.unwrap();
        assert_eq!(client.topics().describe(&name).await.unwrap(), created);
    }
}

#[tokio::test(start_paused = true)]
async fn settings_of_producers_and_consumers_have_bounds() {
    let lab = Lab::new();
    let client = lab.client().await;
    client.topics().create("t", TopicConfig::new()).await.unwrap();
    let producer = || client.producer("t");
    for (builder, names) in [
        (producer().batch_bytes(0), "batch_bytes is 0"),
        (producer().batch_bytes(1023), "batch_bytes"),
        (producer().batch_bytes((32 << 20) + 1), "batch_bytes"),
        (producer().max_in_flight_bytes(0), "max_in_flight_bytes"),
        (producer().max_in_flight_bytes(usize::MAX), "max_in_flight_bytes"),
        (producer().max_record_bytes(0), "max_record_bytes"),
        (producer().max_record_bytes((32 << 20) + 1), "max_record_bytes"),
        (producer().delivery_timeout(Duration::ZERO), "delivery_timeout"),
        (producer().delivery_timeout(SECOND).linger(2 * SECOND), "linger"),
    ] {
        assert_invalid(&builder.build().await.unwrap_err(), names);
    }
    let consumer = || client.consumer().topic("t");
    for (builder, names) in [
        (client.consumer(), "topic"),
        (consumer().fetch_ahead_bytes(0), "fetch_ahead_bytes"),
        (consumer().fetch_max_wait(Duration::ZERO), "fetch_max_wait"),
        (consumer().start(Start::Offset(-1)), "-1"),
        (consumer().start(Start::Offset(i64::MIN)), "negative"),
        (consumer().until(Until::Offset(-1)), "-1"),
        (consumer().topic("t"), "twice"),
        (client.consumer().assign("t", [0, 0]), "twice"),
        (client.consumer().assign("t", [1]), "no partition 1"),
        (client.consumer().assign("t", [u32::MAX]), "no partition 4294967295"),
    ] {
        assert_invalid(&builder.build().await.unwrap_err(), names);
    }
    for partition in [1, u32::MAX] {
        let names = format!("partition {partition}");
        let offsets = client.offsets("t");
        assert_invalid(&offsets.latest(partition).await.unwrap_err(), &names);
        assert_invalid(&offsets.earliest(partition).await.unwrap_err(), &names);
        assert_invalid(&offsets.at(partition, 0).await.unwrap_err(), &names);
    }
}

#[tokio::test(start_paused = true)]
async fn extreme_settings_work() {
    let lab = Lab::new();
    let client = lab.client().await;
    client.topics().create("t", TopicConfig::new().slots_per_block(3)).await.unwrap();
    let producer = client
        .producer("t")
        .delivery_timeout(Duration::MAX)
        .max_in_flight_bytes(u32::MAX as usize)
        .batch_bytes(1 << 10)
        .build()
        .await
        .unwrap();
    for n in 0..10 {
        within(producer.send(Record::value(n.to_string()))).await.unwrap();
    }
    for wait in [Duration::ZERO, Duration::MAX] {
        let mut consumer = client
            .consumer()
            .topic("t")
            .fetch_ahead_bytes(usize::MAX)
            .fetch_max_wait(Duration::MAX)
            .build()
            .await
            .unwrap();
        let mut seen = 0;
        while seen < 10 {
            seen += within(consumer.poll(usize::MAX, wait)).await.unwrap().len();
            tokio::task::yield_now().await;
        }
    }
    let mut consumer = client
        .consumer()
        .topic("t")
        .fetch_ahead_bytes(1)
        .until(Until::Latest)
        .build()
        .await
        .unwrap();
    assert_eq!(read_on(&mut consumer).await.0.len(), 10);
}

#[tokio::test(start_paused = true)]
async fn offsets_that_are_not_there() {
    let lab = Lab::new();
    let client = lab.client().await;
    client.topics().create("t", TopicConfig::new().slots_per_block(2)).await.unwrap();
    let producer = client.producer("t").build().await.unwrap();
    for record in numbered(0..5) {
        producer.send(record).await.unwrap();
    }
    use kaffic_core::ResetPolicy::{Earliest, Error, Latest};
    for beyond in [6, 1000, i64::MAX] {
        for (policy, start) in [(Earliest, Some(0)), (Latest, Some(5)), (Error, None)] {
            let builder = client.consumer().topic("t").start(Start::Offset(beyond)).reset(policy);
            match (builder.build().await, start) {
                (Ok(consumer), Some(start)) => assert_eq!(consumer.positions()[0].offset, start),
                (Err(error), None) => {
                    assert_eq!(error.kind(), ErrorKind::OffsetOutOfRange);
                    assert_eq!(error.offset_range(), Some((0, 5)));
                    assert!(error.to_string().contains(&beyond.to_string()), "{error}");
                }
                (built, _) => panic!("{policy:?}: {built:?}"),
            }
        }
    }
    // The tail itself is no error: it is where the next record comes.
    let start = Start::Offset(5);
    let mut consumer =
        client.consumer().topic("t").start(start).reset(Error).build().await.unwrap();
    producer.send(Record::value("5")).await.unwrap();
    assert_eq!(offsets(&consumer.poll(10, SECOND).await.unwrap()), [5]);

    assert_invalid(&consumer.seek("t", 0, Start::Offset(-1)).await.unwrap_err(), "negative");
    assert_invalid(&consumer.seek("t", 1, Start::Earliest).await.unwrap_err(), "partition 1");
    assert_invalid(&consumer.seek("u", 0, Start::Earliest).await.unwrap_err(), "topic u");
    assert_invalid(&consumer.pause("t", 1).unwrap_err(), "partition 1");
    assert_invalid(&consumer.resume("u", 0).unwrap_err(), "topic u");
    let error = consumer.seek("t", 0, Start::Offset(7)).await.unwrap_err();
    assert_eq!((error.kind(), error.offset_range()), (ErrorKind::OffsetOutOfRange, Some((0, 6))));
    // A seek that failed leaves the position as it was.
    assert_eq!(consumer.positions()[0].offset, 6);
    for ms in [i64::MIN, i64::MAX] {
        consumer.seek("t", 0, Start::Timestamp(ms)).await.unwrap();
        client.offsets("t").at(0, ms).await.unwrap();
    }
    consumer.seek("t", 0, Start::Last(u64::MAX)).await.unwrap();
    assert_eq!(consumer.positions()[0].offset, 0);
}

#[tokio::test(start_paused = true)]
async fn records_have_a_largest_size_and_a_partition_that_exists() {
    let lab = Lab::new();
    let client = lab.client().await;
    client.topics().create("t", TopicConfig::new().partitions(2)).await.unwrap();
    let producer = client.producer("t").max_record_bytes(1000).build().await.unwrap();
    let too_large = [
        Record::value(vec![0; 1001]),
        Record::value("").key(vec![0; 1001]),
        Record::value(vec![0; 500]).key(vec![0; 501]),
        Record::value("").header("h".repeat(500), vec![0; 501]),
    ];
    for record in too_large {
        let errors = [
            producer.send(record.clone()).await.unwrap_err(),
            producer.enqueue(record.clone()).await.unwrap_err(),
            producer.append(0, vec![Record::value("v"), record], None).await.unwrap_err(),
        ];
        for error in errors {
            assert_eq!(error.kind(), ErrorKind::RecordTooLarge);
            assert_eq!(error.outcome(), Outcome::NotWritten);
            assert!(error.to_string().contains("max_record_bytes"), "{error}");
        }
    }
    for partition in [2, u32::MAX] {
        let record = Record::value("v").partition(partition);
        let names = format!("no partition {partition}");
        assert_invalid(&producer.send(record.clone()).await.unwrap_err(), &names);
        assert_invalid(&producer.append(partition, vec![record], None).await.unwrap_err(), &names);
    }
    let elsewhere = vec![Record::value("v").partition(1)];
    assert_invalid(&producer.append(0, elsewhere, None).await.unwrap_err(), "partition 0");
    assert_invalid(&producer.append(0, vec![], None).await.unwrap_err(), "0 records");
    let many = vec![Record::default(); 100_001];
    assert_invalid(&producer.append(0, many, None).await.unwrap_err(), "100001 records");
    assert!(lab.store.keys("data/").is_empty());
    producer.send(Record::value(vec![0; 1000]).partition(0)).await.unwrap();
    let many = vec![Record::default(); 100_000];
    assert_eq!(producer.append(0, many, None).await.unwrap().offset, 1);
    let small = client.producer("t").max_in_flight_bytes(2000).build().await.unwrap();
    let error = within(small.send(Record::value(vec![0; 3000]))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RecordTooLarge);
    assert_eq!(read_all(&client, "t").await.len(), 100_001);
}

#[tokio::test(start_paused = true)]
async fn every_timestamp_comes_back() {
    let lab = Lab::new();
    let client = lab.client().await;
    client.topics().create("t", TopicConfig::new().slots_per_block(2)).await.unwrap();
    let producer = client.producer("t").build().await.unwrap();
    let times = [5, -1, 0, i64::MIN, i64::MIN + 1, -7, i64::MAX, 3, i64::MIN];
    for ms in times {
        producer.send(Record::value("v").timestamp(ms)).await.unwrap();
    }
    let together = times.map(|ms| Record::value("v").timestamp(ms)).to_vec();
    producer.append(0, together, None).await.unwrap();
    producer.close().await.unwrap();
    let read: Vec<i64> = read_all(&client, "t").await.iter().map(|r| r.timestamp).collect();
    assert_eq!(read, [times, times].concat());
    assert_eq!(client.verify("t", |_| {}).await.unwrap().issues, []);
    assert_eq!(client.offsets("t").at(0, i64::MIN).await.unwrap(), 0);
    assert_eq!(client.offsets("t").at(0, 6).await.unwrap(), 6);
}

#[tokio::test]
async fn urls_of_stores_are_checked() {
    for bad in
        ["", "orders", "/tmp", "file://", "file:///", "memory://x", "ftp://a/b", "file://h/x"]
    {
        let error = Kaffic::connect(bad).await.unwrap_err();
        assert_invalid(&error, bad);
    }
    let error = Kaffic::builder().connect().await.unwrap_err();
    assert_invalid(&error, "URL");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = Kaffic::connect(&format!("file://{}", file.display())).await.unwrap_err();
    assert_invalid(&error, "file");
    let below = format!("file://{}/below", file.display());
    assert_invalid(&Kaffic::connect(&below).await.unwrap_err(), "below");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_ignores_conditions_is_refused() {
    for exists in [false, true] {
        let lab = Lab::new();
        if exists {
            lab.client().await.topics().create("t", TopicConfig::new()).await.unwrap();
        }
        let before = lab.store.keys("");
        lab.store.take_requests();
        lab.store.always(Fault::IgnoreCondition, |request| request.op == Op::Put);
        let client = lab.client().await;
        let mut errors = vec![
            client.topics().create("u", TopicConfig::new()).await.unwrap_err(),
            client.producer("t").create_topic(TopicConfig::new()).build().await.unwrap_err(),
        ];
        if exists {
            errors.push(lab.client().await.producer("t").build().await.unwrap_err());
        }
        for error in errors {
            assert_eq!(error.kind(), ErrorKind::UnsafeStore, "{error}");
            assert!(error.to_string().contains("lab://"), "{error}");
        }
        let puts = lab.store.take_requests().into_iter().filter(|request| request.op == Op::Put);
        for put in puts {
            assert!(put.key.starts_with("meta/probe/"), "{}", put.key);
        }
        assert_eq!(lab.store.keys(""), before, "something was left behind");
    }
}

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

/// Twelve records, one a slot, four slots a block; the last block is not full.
async fn damaged_lab(closed: bool) -> Lab {
    let lab = Lab::new();
    let client = lab.client().await;
    client.topics().create("t", TopicConfig::new().slots_per_block(5)).await.unwrap();
    let producer = client.producer("t").build().await.unwrap();
    for record in numbered(0..13) {
        producer.send(record).await.unwrap();
    }
    if closed {
        producer.close().await.unwrap();
    } else {
        std::mem::forget(producer);
    }
    lab
}

fn assert_damaged(error: &Error, key: &str, what: &str) {
    let kind = error.kind();
    assert!(matches!(kind, ErrorKind::Corrupt | ErrorKind::Unsupported), "{what}: {error:?}");
    assert!(error.to_string().contains(key), "{what}: {error} does not name {key}");
    assert!(!error.is_retriable(), "{what}");
}

/// What is read of a log that is damaged at an offset: all before it, and then the error.
async fn read_up_to(lab: &Lab, key: &str, damaged: i64, what: &str) {
    let client = lab.client().await;
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
    let again = within(consumer.poll(10, SECOND)).await.unwrap_err();
    assert_damaged(&again, key, what);
}

async fn assert_verify_names(lab: &Lab, key: &str, what: &str) {
    let report = within(lab.client().await.verify("t", |_| {})).await.unwrap();
    let named = report.issues.iter().any(|issue| issue.object == key);
    assert!(named, "{what} of {key}: {:?}", report.issues);
}

#[tokio::test(start_paused = true)]
async fn a_damaged_slot_is_named_behind_all_that_is_whole() {
    for closed in [false, true] {
        let lab = damaged_lab(closed).await;
        // In a block that ended, and in the newest.
        for (block, slot) in [(0, 0), (1, 2), (2, 1)] {
            let key = slot_key("t", block, slot);
            let offset = (block * 5 + u64::from(slot)) as i64;
            let whole = lab.store.object(&key);
            for (what, bytes) in damages(&whole) {
                lab.store.replace(&key, bytes);
                read_up_to(&lab, &key, offset, what).await;
                assert_verify_names(&lab, &key, what).await;
            }
            lab.store.replace(&key, whole);
        }
        assert_eq!(lab.client().await.verify("t", |_| {}).await.unwrap().issues, []);
    }
}

#[tokio::test(start_paused = true)]
async fn a_seek_goes_past_a_damaged_slot() {
    for closed in [false, true] {
        let lab = damaged_lab(closed).await;
        for (block, slot) in [(0, 0), (1, 2), (2, 1)] {
            let key = slot_key("t", block, slot);
            let behind = (block * 5 + u64::from(slot) + 1) as i64;
            let whole = lab.store.object(&key);
            for (what, bytes) in damages(&whole) {
                lab.store.replace(&key, bytes);
                let client = lab.client().await;
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
            lab.store.replace(&key, whole);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_bit_of_a_slot_can_change_unseen() {
    for closed in [false, true] {
        let lab = damaged_lab(closed).await;
        for block in [1, 2] {
            let key = slot_key("t", block, 1);
            let offset = (block * 5 + 1) as i64;
            let whole = lab.store.object(&key);
            for at in 0..whole.len() {
                let mut bytes = whole.to_vec();
                bytes[at] ^= 1 << (at % 8);
                lab.store.replace(&key, bytes);
                let what = format!("byte {at}");
                let client = lab.client().await;
                let mut consumer =
                    client.consumer().topic("t").until(Until::Latest).build().await.unwrap();
                let (records, error) = read_on(&mut consumer).await;
                assert_eq!(offsets(&records), (0..offset).collect::<Vec<_>>(), "{what}");
                let error = error.unwrap_or_else(|| panic!("{what} was passed over"));
                assert_damaged(&error, &key, &what);
                assert_verify_names(&lab, &key, &what).await;
            }
            lab.store.replace(&key, whole);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn producers_and_offsets_refuse_a_damaged_tail() {
    let lab = damaged_lab(false).await;
    let key = slot_key("t", 2, 2);
    let whole = lab.store.object(&key);
    for (what, bytes) in damages(&whole) {
        // Its header is all that the tail rests on.
        if bytes.starts_with(&whole[..120]) {
            continue;
        }
        lab.store.replace(&key, bytes);
        let before = lab.store.keys("data/");
        let client = lab.client().await;
        let producer = client.producer("t").build().await.unwrap();
        let error = within(producer.send(Record::value("v"))).await.unwrap_err();
        assert_damaged(&error, &key, what);
        assert_eq!(error.outcome(), Outcome::NotWritten, "{what}");
        assert_damaged(&client.offsets("t").latest(0).await.unwrap_err(), &key, what);
        assert_damaged(&client.consumer().topic("t").build().await.unwrap_err(), &key, what);
        assert_eq!(lab.store.keys("data/"), before, "{what}");
    }
    lab.store.replace(&key, whole);
    let producer = lab.client().await.producer("t").build().await.unwrap();
    assert_eq!(producer.send(Record::value("v")).await.unwrap().offset, 13);
}

#[tokio::test(start_paused = true)]
async fn something_foreign_where_a_producer_writes_is_named() {
    for (what, bytes) in damages(&[7; 300]) {
        let lab = Lab::new();
        let client = lab.client().await;
        client.topics().create("t", TopicConfig::new()).await.unwrap();
        let producer = client.producer("t").build().await.unwrap();
        producer.send(Record::value("0")).await.unwrap();
        let key = slot_key("t", 0, 1);
        lab.store.replace(&key, bytes.clone());
        let error = within(producer.send(Record::value("1"))).await.unwrap_err();
        assert_damaged(&error, &key, what);
        assert_eq!(lab.store.object(&key), bytes, "it was overwritten");
        // When it was moved away the producer works on.
        lab.store.expire(&key);
        assert_eq!(producer.send(Record::value("2")).await.unwrap().offset, 1, "{what}");
        let records = read_all(&client, "t").await;
        assert_eq!(support::values(&records), ["0", "2"], "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_damaged_beginning_or_end_of_a_block_is_named() {
    for (block, name) in [(0, "open"), (1, "open"), (1, "end"), (2, "open"), (2, "end")] {
        let lab = damaged_lab(true).await;
        let key = block_key("t", block, name);
        let whole = lab.store.object(&key);
        for (what, bytes) in damages(&whole) {
            // These objects have no checksum: what still is JSON of the right form is believed.
            if what == "a bit" {
                continue;
            }
            let read = serde_json::from_slice::<serde_json::Value>(&bytes).ok();
            if read.is_some() && read == serde_json::from_slice(&whole).ok() {
                continue;
            }
            lab.store.replace(&key, bytes.clone());
            let report = within(lab.client().await.verify("t", |_| {})).await.unwrap();
            assert!(report.issues.iter().any(|i| i.problem.contains(&key)), "{what}: {report:?}");
            let client = lab.client().await;
            if block == 2 {
                let producer = client.producer("t").build().await.unwrap();
                let error = within(producer.send(Record::value("v"))).await.unwrap_err();
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

#[tokio::test(start_paused = true)]
async fn behind_a_damaged_block_every_other_is_reached() {
    let lab = damaged_lab(true).await;
    let key = block_key("t", 0, "open");
    lab.store.replace(&key, "{}");
    let client = lab.client().await;
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

#[tokio::test(start_paused = true)]
async fn a_damaged_description_of_a_topic_is_named() {
    let lab = damaged_lab(true).await;
    let client = lab.client().await;
    client.topics().create("u", TopicConfig::new()).await.unwrap();
    let key = topic_key("t", 0);
    let whole = lab.store.object(&key);
    for (what, bytes) in damages(&whole) {
        if serde_json::from_slice::<serde_json::Value>(&bytes).ok()
            == serde_json::from_slice(&whole).ok()
        {
            continue;
        }
        lab.store.replace(&key, bytes);
        assert_refused(&lab, &key, what).await;
        // Other topics are as they were.
        assert!(client.topics().describe("u").await.is_ok());
    }
    assert_eq!(lab.store.keys("data/").len(), 14, "something was written or removed");
}

/// Whether every call that needs the topic says what is wrong with it.
async fn assert_refused(lab: &Lab, key: &str, what: &str) {
    let client = lab.client().await;
    let topics = client.topics();
    let results = [
        ("describe", topics.describe("t").await.map(drop)),
        ("create", topics.create("t", TopicConfig::new()).await.map(drop)),
        ("ensure", topics.ensure("t", TopicConfig::new()).await.map(drop)),
        ("delete", topics.delete("t").await.map(drop)),
        ("producer", client.producer("t").build().await.map(drop)),
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

#[tokio::test(start_paused = true)]
async fn a_description_of_a_topic_with_numbers_that_cannot_be_is_named() {
    let lab = damaged_lab(true).await;
    let key = topic_key("t", 0);
    let whole = lab.store.object(&key);
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
        lab.store.replace(&key, text.replace(from, to));
        assert_refused(&lab, &key, to).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_newer_or_altered_says_so() {
    let lab = damaged_lab(false).await;
    let change = |key: &str, from: &str, to: &str| {
        let text = String::from_utf8(lab.store.object(key).to_vec()).unwrap();
        assert!(text.contains(from), "{text}");
        lab.store.replace(key, text.replace(from, to));
    };
    let open = block_key("t", 2, "open");
    change(&open, "\"format\":1", "\"format\":2");
    let error = lab.client().await.offsets("t").latest(0).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains(&open), "{error}");
    change(&open, "\"format\":2", "\"format\":1");

    // The block was opened at another time than its slots say.
    let stamp = lab.clock.now_ms();
    lab.store.set_stamp_ms(&open, stamp - 60_000);
    let error = lab.client().await.offsets("t").latest(0).await.unwrap_err();
    assert_damaged(&error, &slot_key("t", 2, 2), "altered");
    assert!(error.to_string().contains("altered"), "{error}");
    lab.store.set_stamp_ms(&open, stamp);
}

#[tokio::test(start_paused = true)]
async fn verify_names_a_block_s_objects_by_their_keys() {
    for (block, name) in [(0, "open"), (1, "end"), (1, "open")] {
        let lab = damaged_lab(true).await;
        let key = block_key("t", block, name);
        lab.store.replace(&key, "");
        assert_verify_names(&lab, &key, "empty").await;
    }
    // Two blocks that don't fit together.
    let lab = damaged_lab(true).await;
    let key = block_key("t", 1, "open");
    let text = String::from_utf8(lab.store.object(&key).to_vec()).unwrap();
    lab.store.replace(&key, text.replace("\"base_offset\":5", "\"base_offset\":4"));
    assert_verify_names(&lab, &key, "another base").await;
}

#[tokio::test]
async fn a_file_cut_short_by_a_full_disk_is_named() {
    let store = TestStore::file();
    let TestStore::File(dir) = &store else { unreachable!() };
    let client = store.connect().await;
    client.topics().create("t", TopicConfig::new()).await.unwrap();
    let producer = client.producer("t").build().await.unwrap();
    for record in numbered(0..3) {
        producer.send(record).await.unwrap();
    }
    let key = slot_key("t", 0, 1);
    let whole = std::fs::read(dir.path().join(&key)).unwrap();
    for len in [0, 1, 95, 96, 100, whole.len() - 1] {
        std::fs::write(dir.path().join(&key), &whole[..len]).unwrap();
        let mut consumer = client.consumer().topic("t").until(Until::Latest).build().await.unwrap();
        assert_eq!(consumer.next().await.unwrap().unwrap().offset, 0);
        assert_damaged(&consumer.next().await.unwrap_err(), &key, &format!("{len} bytes"));
    }
    let key = slot_key("t", 0, 2);
    std::fs::write(dir.path().join(&key), "").unwrap();
    assert_damaged(&client.offsets("t").latest(0).await.unwrap_err(), &key, "empty");
}
