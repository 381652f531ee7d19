//! What goes in comes out: in order, from wherever a consumer starts, on every backend.

mod support;

use kaffic_core::{Bytes, Compression, ErrorKind, Record, Start, TopicConfig, Until};
use std::sync::Arc;
use std::time::Duration;
use support::{read_all, stores};

const WAIT: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread")]
async fn records_come_back_whole_and_in_order() {
    for store in stores() {
        let client = store.connect().await;
        client.topics().create("t", TopicConfig::new().partitions(3)).await.unwrap();
        for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
            let codec: Compression = codec.parse().unwrap();
            let producer = client.producer("t").compression(codec).build().await.unwrap();
            let record = Record::value("v").key("k").header("a", "1").timestamp(5).partition(1);
            producer.send(record).await.unwrap();
            producer.send(Record::tombstone("k").partition(1)).await.unwrap();
            producer.send(Record { value: None, ..Record::default() }.partition(1)).await.unwrap();
            producer.send(Record::value(vec![7u8; 5 << 20]).partition(1)).await.unwrap();
            producer.close().await.unwrap();
        }
        // Another client knows nothing of the first.
        let client = store.connect().await;
        let records = read_all(&client, "t").await;
        assert_eq!(records.len(), 20);
        for (offset, record) in records.iter().enumerate() {
            assert_eq!((record.partition, record.offset), (1, offset as i64));
        }
        assert_eq!(records[0].headers[0].name.as_ref(), "a");
        assert_eq!(records[0].timestamp, 5);
        assert_eq!((records[1].value.as_ref(), records[2].key.as_ref()), (None, None));
        assert_eq!(records[3].value.as_ref().map(|v| v.len()), Some(5 << 20));
        let report = client.verify("t", |_| {}).await.unwrap();
        assert_eq!((report.records, report.issues), (20, vec![]));
    }
}

/// Bindings lend a producer bytes that are the program's own.
#[tokio::test(flavor = "multi_thread")]
async fn a_producer_keeps_nothing_of_a_record() {
    let client = kaffic_core::Kaffic::connect("memory://").await.unwrap();
    client.topics().create("t", TopicConfig::new()).await.unwrap();
    let memory = Arc::new(());
    let bytes = |len| Bytes::from_owner(Lent(vec![7; len], Arc::clone(&memory)));
    let record = |len| Record::value(bytes(len)).key(bytes(3)).header("h", bytes(5));
    let mut tickets = Vec::new();
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let producer = client.producer("t").compression(codec.parse().unwrap());
        let producer = producer.max_in_flight_bytes(4 << 20).build().await.unwrap();
        for len in [0, 10, 1 << 20, 10] {
            tickets.push(producer.enqueue(record(len)).await.unwrap());
            assert_eq!(Arc::strong_count(&memory), 1, "{codec} {len}");
        }
        assert!(producer.enqueue(record(5 << 20)).await.is_err());
        assert_eq!(Arc::strong_count(&memory), 1);
        // One that waits for room, and is given up.
        let waits = async {
            loop {
                tickets.push(producer.enqueue(record(1 << 20)).await.unwrap());
            }
        };
        futures_util::future::select(
            std::pin::pin!(waits),
            std::pin::pin!(tokio::task::yield_now()),
        )
        .await;
        assert_eq!(Arc::strong_count(&memory), 1);
        producer.close().await.unwrap();
        assert!(producer.enqueue(record(1)).await.is_err());
        assert_eq!(Arc::strong_count(&memory), 1);
    }
    for ticket in tickets {
        ticket.await.unwrap();
    }
}

/// A store that answers at once gives a producer no reason to wait: it lets others go on all the same.
#[tokio::test]
async fn whoever_waits_for_a_batch_hears_of_it_before_all_others_are_written() {
    let client = kaffic_core::Kaffic::connect("memory://").await.unwrap();
    client.topics().create("t", TopicConfig::new()).await.unwrap();
    // Each record is a batch of its own.
    let producer = client.producer("t").batch_bytes(1024).build().await.unwrap();
    producer.send(Record::value("first")).await.unwrap();
    let ticket = producer.enqueue(Record::value(vec![0; 2048])).await.unwrap();
    let waits = async {
        ticket.await.unwrap();
        client.metrics().producer.append.count
    };
    let others = async {
        for n in 1..200 {
            drop(producer.enqueue(Record::value(vec![n as u8; 2048])).await.unwrap());
        }
        producer.flush().await.unwrap();
        client.metrics().producer.append.count
    };
    let (heard, all) = futures_util::join!(waits, others);
    assert_eq!(all, 201);
    assert!(heard < 20, "{heard} batches were written by then");
}

/// Bytes, and something that tells whether anybody has them.
struct Lent(Vec<u8>, #[expect(dead_code, reason = "it is counted")] Arc<()>);

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_start_and_end_finds_its_record() {
    for store in stores() {
        let client = store.connect().await;
        // Small blocks, so that searches cross many.
        client.topics().create("t", TopicConfig::new().slots_per_block(4)).await.unwrap();
        let producer = client.producer("t").build().await.unwrap();
        for n in 0..20i64 {
            let pair = vec![
                Record::value(format!("{}", 2 * n)).timestamp(1000 * n),
                Record::value(format!("{}", 2 * n + 1)).timestamp(1000 * n + 10),
            ];
            producer.append(0, pair, None).await.unwrap();
        }
        let read = async |start, until| {
            let mut consumer =
                client.consumer().topic("t").start(start).until(until).build().await.unwrap();
            let mut offsets = Vec::new();
            while let Some(record) = consumer.next().await.unwrap() {
                assert_eq!(record.value.unwrap(), record.offset.to_string());
                offsets.push(record.offset);
            }
            offsets
        };
        for offset in 0..=40 {
            let found = read(Start::Offset(offset), Until::Latest).await;
            assert_eq!(found, (offset..40).collect::<Vec<_>>());
        }
        assert_eq!(read(Start::Last(3), Until::Latest).await, [37, 38, 39]);
        assert_eq!(read(Start::Last(1000), Until::Offset(2)).await, [0, 1]);
        assert_eq!(read(Start::Timestamp(7000), Until::Timestamp(8000)).await, [14, 15]);
        assert_eq!(read(Start::Timestamp(7001), Until::Timestamp(8001)).await, [15, 16]);
        assert_eq!(read(Start::Timestamp(-5), Until::Offset(1)).await, [0]);
        assert!(read(Start::Timestamp(i64::MAX), Until::Latest).await.is_empty());
        assert!(read(Start::Latest, Until::Latest).await.is_empty());
        assert_eq!(client.offsets("t").at(0, 7001).await.unwrap(), 15);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_following_consumer_sees_what_is_appended_later() {
    for store in stores() {
        let client = store.connect().await;
        client.topics().create("t", TopicConfig::new().slots_per_block(3)).await.unwrap();
        let mut consumer = client.consumer().topic("t").build().await.unwrap();
        let producer = store.connect().await.producer("t").build().await.unwrap();
        for n in 0..20 {
            producer.send(Record::value(n.to_string())).await.unwrap();
            let got = consumer.poll(10, WAIT).await.unwrap();
            assert_eq!(got.len(), 1, "at {n}");
            assert_eq!(got[0].offset, n);
        }
        assert!(!consumer.is_finished());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_producers_share_a_partition() {
    for store in stores() {
        let client = store.connect().await;
        client.topics().create("t", TopicConfig::new().slots_per_block(10)).await.unwrap();
        let writers = (0..4).map(async |writer| {
            let producer = store.connect().await.producer("t").build().await.unwrap();
            for n in 0..25 {
                producer.send(Record::value(format!("{writer}-{n}"))).await.unwrap();
            }
            producer.close().await.unwrap();
        });
        futures_util::future::join_all(writers).await;
        let records = read_all(&client, "t").await;
        assert_eq!(records.len(), 100);
        let mut next = [0; 4];
        for (offset, record) in records.iter().enumerate() {
            assert_eq!(record.offset, offset as i64);
            let value = String::from_utf8(record.value.clone().unwrap().to_vec()).unwrap();
            let (writer, n) = value.split_once('-').unwrap();
            let expected = &mut next[writer.parse::<usize>().unwrap()];
            assert_eq!(n.parse::<i32>().unwrap(), *expected);
            *expected += 1;
        }
        assert!(client.verify("t", |_| {}).await.unwrap().issues.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expected_offset_admits_one_of_many() {
    for store in stores() {
        let client = store.connect().await;
        client.topics().create("t", TopicConfig::new()).await.unwrap();
        let one = client.producer("t").build().await.unwrap();
        let two = store.connect().await.producer("t").build().await.unwrap();
        for n in 0..10 {
            let (a, b) = tokio::join!(
                one.append(0, vec![Record::value("one")], Some(n)),
                two.append(0, vec![Record::value("two")], Some(n)),
            );
            let failed = a.err().or(b.err()).expect("only one can be at that offset");
            assert_eq!((failed.kind(), failed.tail()), (ErrorKind::ConditionFailed, Some(n + 1)));
        }
        assert_eq!(read_all(&client, "t").await.len(), 10);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_is_steered() {
    for store in stores() {
        let client = store.connect().await;
        client.topics().create("t", TopicConfig::new().partitions(2)).await.unwrap();
        let producer = client.producer("t").build().await.unwrap();
        for n in 0..10 {
            for partition in 0..2 {
                producer.send(Record::value(n.to_string()).partition(partition)).await.unwrap();
            }
        }
        let mut consumer = client.consumer().topic("t").build().await.unwrap();
        consumer.pause("t", 1).unwrap();
        let mut seen = Vec::new();
        while seen.len() < 10 {
            seen.extend(consumer.poll(3, WAIT).await.unwrap());
        }
        assert!(seen.iter().all(|record| record.partition == 0));
        let lag: Vec<i64> = consumer.lag().await.unwrap().iter().map(|p| p.offset).collect();
        assert_eq!(lag, [0, 10]);
        consumer.resume("t", 1).unwrap();
        consumer.seek("t", 0, Start::Last(1)).await.unwrap();
        let mut seen = Vec::new();
        while seen.len() < 11 {
            seen.extend(consumer.poll(100, WAIT).await.unwrap());
        }
        assert_eq!(seen.iter().filter(|record| record.partition == 0).count(), 1);
        let ends: Vec<i64> = consumer.positions().iter().map(|p| p.offset).collect();
        assert_eq!(ends, [10, 10]);
        assert_eq!(
            consumer.seek("t", 7, Start::Latest).await.unwrap_err().kind(),
            ErrorKind::InvalidArgument
        );
    }
}

#[tokio::test]
async fn a_poll_gives_so_many_bytes_and_the_next_goes_on_there() {
    const SECOND: Duration = Duration::from_secs(1);
    let client = kaffic_core::Kaffic::connect("memory://").await.unwrap();
    client.topics().create("t", TopicConfig::new()).await.unwrap();
    let producer = client.producer("t").build().await.unwrap();
    let sizes = [100, 200, 50, 400, 0, 0, 90];
    let records = sizes.map(|size| Record::value(vec![0u8; size])).to_vec();
    producer.append(0, records, None).await.unwrap();
    for (bytes, expected) in [
        (0, &[1, 1, 1, 3, 1][..]),
        (300, &[2, 1, 3, 1]),
        (350, &[3, 3, 1]),
        (400, &[3, 3, 1]),
        (840, &[7]),
    ] {
        let builder = client.consumer().topic("t").until(Until::Latest);
        let mut consumer = builder.max_poll_bytes(bytes).build().await.unwrap();
        let mut polled = Vec::new();
        while !consumer.is_finished() {
            let before = consumer.positions()[0].offset;
            assert!(consumer.ready(10 * SECOND).await.unwrap());
            assert_eq!(consumer.positions()[0].offset, before);
            let records = consumer.poll(100, Duration::ZERO).await.unwrap();
            let last = records.last().unwrap().offset;
            assert_eq!(last + 1, before + records.len() as i64);
            polled.push(records.len());
        }
        assert!(!consumer.ready(10 * SECOND).await.unwrap());
        assert_eq!(polled, expected, "{bytes}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_end_at_their_bounds() {
    for store in stores() {
        let client = store.connect().await;
        client.topics().create("t", TopicConfig::new()).await.unwrap();
        let producer = client.producer("t").build().await.unwrap();
        let records = (0..10).map(|_| Record::value(vec![0u8; 100])).collect();
        producer.append(0, records, None).await.unwrap();
        for (records, bytes, expected) in [
            (Some(0), None, 0),
            (Some(3), None, 3),
            (None, Some(350), 3),
            (None, Some(1), 1),
            (Some(99), Some(9999), 10),
        ] {
            let mut builder = client.consumer().topic("t").until(Until::Latest);
            if let Some(records) = records {
                builder = builder.max_records(records);
            }
            if let Some(bytes) = bytes {
                builder = builder.max_bytes(bytes);
            }
            let mut consumer = builder.build().await.unwrap();
            let mut count = 0;
            while let Some(_record) = consumer.next().await.unwrap() {
                count += 1;
            }
            assert_eq!(count, expected, "{records:?} {bytes:?}");
            assert!(consumer.is_finished());
            assert_eq!(consumer.positions()[0].offset, expected);
        }
    }
}
