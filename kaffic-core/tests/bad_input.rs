//! Wrong calls, and stores that can't be used: each gives an error that says what is wrong with what,
//! never a panic, before anything is written.

mod support;

use kaffic_core::{
    Error, ErrorKind, Kaffic, MinExpiry, Outcome, Record, Start, TopicConfig, Until,
};
use std::time::Duration;
use support::lab::{Fault, HOUR, Lab, Op, SECOND, within};
use support::{numbered, offsets, read_all, read_on, stores};

/// Whether the error is the caller's, and names what it is about.
fn assert_invalid(error: &Error, names: &str) {
    assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
    assert!(error.to_string().contains(names), "{error} does not name {names}");
    assert_eq!(error.outcome(), Outcome::NotWritten);
    assert!(!error.is_retriable());
}

#[tokio::test(flavor = "multi_thread")]
async fn names_of_topics_are_checked_everywhere_before_anything_is_asked() {
    for store in stores() {
        let client = store.connect().await;
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
        assert_eq!(client.request_counts(), Default::default());
        for name in ["a", "...", "A-1_b.c", &"x".repeat(249)] {
            client.topics().create(name, TopicConfig::new()).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_of_topics_have_bounds() {
    for store in stores() {
        let client = store.connect().await;
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
        assert!(store.keys("").await.is_empty());
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
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_of_producers_and_consumers_have_bounds() {
    for store in stores() {
        let client = store.connect().await;
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
}

#[tokio::test(flavor = "multi_thread")]
async fn extreme_settings_work() {
    for store in stores() {
        let client = store.connect().await;
        client.topics().create("t", TopicConfig::new().slots_per_block(3)).await.unwrap();
        let producer = client
            .producer("t")
            .delivery_timeout(1_000_000 * HOUR)
            .max_in_flight_bytes(u32::MAX as usize)
            .batch_bytes(1 << 10)
            .build()
            .await
            .unwrap();
        for n in 0..10 {
            within(producer.send(Record::value(n.to_string()))).await.unwrap();
        }
        for wait in [Duration::ZERO, 1_000_000 * HOUR] {
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
}

#[tokio::test(flavor = "multi_thread")]
async fn offsets_that_are_not_there() {
    for store in stores() {
        let client = store.connect().await;
        client.topics().create("t", TopicConfig::new().slots_per_block(2)).await.unwrap();
        let producer = client.producer("t").build().await.unwrap();
        for record in numbered(0..5) {
            producer.send(record).await.unwrap();
        }
        use kaffic_core::ResetPolicy::{Earliest, Error, Latest};
        for beyond in [6, 1000, i64::MAX] {
            for (policy, start) in [(Earliest, Some(0)), (Latest, Some(5)), (Error, None)] {
                let builder =
                    client.consumer().topic("t").start(Start::Offset(beyond)).reset(policy);
                match (builder.build().await, start) {
                    (Ok(consumer), Some(start)) => {
                        assert_eq!(consumer.positions()[0].offset, start)
                    }
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
        assert_eq!(offsets(&consumer.poll(10, 120 * SECOND).await.unwrap()), [5]);

        assert_invalid(&consumer.seek("t", 0, Start::Offset(-1)).await.unwrap_err(), "negative");
        assert_invalid(&consumer.seek("t", 1, Start::Earliest).await.unwrap_err(), "partition 1");
        assert_invalid(&consumer.seek("u", 0, Start::Earliest).await.unwrap_err(), "topic u");
        assert_invalid(&consumer.pause("t", 1).unwrap_err(), "partition 1");
        assert_invalid(&consumer.resume("u", 0).unwrap_err(), "topic u");
        let error = consumer.seek("t", 0, Start::Offset(7)).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.offset_range()),
            (ErrorKind::OffsetOutOfRange, Some((0, 6)))
        );
        // A seek that failed leaves the position as it was.
        assert_eq!(consumer.positions()[0].offset, 6);
        for ms in [i64::MIN, i64::MAX] {
            consumer.seek("t", 0, Start::Timestamp(ms)).await.unwrap();
            client.offsets("t").at(0, ms).await.unwrap();
        }
        consumer.seek("t", 0, Start::Last(u64::MAX)).await.unwrap();
        assert_eq!(consumer.positions()[0].offset, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn records_have_a_largest_size_and_a_partition_that_exists() {
    for store in stores() {
        let client = store.connect().await;
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
            assert_invalid(
                &producer.append(partition, vec![record], None).await.unwrap_err(),
                &names,
            );
        }
        let elsewhere = vec![Record::value("v").partition(1)];
        assert_invalid(&producer.append(0, elsewhere, None).await.unwrap_err(), "partition 0");
        assert_invalid(&producer.append(0, vec![], None).await.unwrap_err(), "0 records");
        let many = vec![Record::default(); 100_001];
        assert_invalid(&producer.append(0, many, None).await.unwrap_err(), "100001 records");
        assert!(store.keys("data").await.is_empty());
        producer.send(Record::value(vec![0; 1000]).partition(0)).await.unwrap();
        let many = vec![Record::default(); 100_000];
        assert_eq!(producer.append(0, many, None).await.unwrap().offset, 1);
        let small = client.producer("t").max_in_flight_bytes(2000).build().await.unwrap();
        let error = within(small.send(Record::value(vec![0; 3000]))).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::RecordTooLarge);
        assert_eq!(read_all(&client, "t").await.len(), 100_001);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_timestamp_comes_back() {
    for store in stores() {
        let client = store.connect().await;
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
