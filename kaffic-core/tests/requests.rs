//! What things cost: the number of storage requests, exactly. Users pay by the request, so a change
//! here is a change of prices.

mod support;

use kaffic_core::{Kaffic, Record, RequestCounts, Start, TopicConfig, Until};
use std::sync::Arc;
use std::time::Duration;
use support::endless::{Endless, TWO};
use support::format::{block_key, slot_key};
use support::lab::{Counts, Lab, Op, SECOND, within};
use support::{numbered, offsets, read_on, stores};

/// The same on every store, and each request is paid for: puts, gets, lists and deletes.
#[tokio::test(flavor = "multi_thread")]
async fn every_store_is_asked_as_often_for_the_same() {
    for store in stores() {
        let client = store.connect().await;
        let mut counted = client.request_counts();
        let mut assert_cost = |what: &str, expected: [u64; 4]| {
            let now = client.request_counts();
            let c = now.since(std::mem::replace(&mut counted, now));
            assert_eq!([c.puts, c.gets, c.lists, c.deletes], expected, "{what}");
        };
        let config = TopicConfig::new().slots_per_block(10);
        client.topics().create("t", config.clone()).await.unwrap();
        assert_cost("create, and the look at what the store is", [3, 1, 1, 1]);
        client.topics().create("u", config.clone()).await.unwrap();
        assert_cost("create", [1, 0, 1, 0]);
        client.topics().ensure("t", config).await.unwrap();
        assert_cost("ensure", [0, 1, 1, 0]);
        client.topics().list().await.unwrap();
        assert_cost("list", [0, 2, 3, 0]);
        let producer = client.producer("t").compaction(false).build().await.unwrap();
        assert_cost("a producer", [0, 1, 1, 0]);
        producer.send(Record::value("0")).await.unwrap();
        assert_cost("the first append", [2, 2, 2, 0]);
        for n in 1..25 {
            producer.send(Record::value(n.to_string())).await.unwrap();
            match n % 10 {
                // The end of a block, the beginning of the next, and when that was.
                0 => assert_cost("an append to a new block", [3, 1, 0, 0]),
                _ => assert_cost("an append", [1, 0, 0, 0]),
            }
        }
        producer.append(0, numbered(25..1025), None).await.unwrap();
        assert_cost("a thousand records at once", [1, 0, 0, 0]);
        producer.close().await.unwrap();
        assert_cost("close: a seal, a look whether that was in time, and an end", [2, 1, 0, 0]);
        let offsets = client.offsets("t");
        assert_eq!(offsets.latest(0).await.unwrap(), 1025);
        assert_cost("the tail", [0, 3, 4, 0]);
        offsets.earliest(0).await.unwrap();
        assert_cost("the beginning", [0, 7, 7, 0]);
        client.verify("t", |_| {}).await.unwrap();
        assert_cost("verify", [0, 40, 7, 0]);
        client.topics().delete("t").await.unwrap();
        assert_cost("delete", [5, 10, 11, 1]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_costs_as_much_on_every_store() {
    for store in stores() {
        for (slots, appends) in [(1000, 3), (7, 1), (7, 28), (7, 33)] {
            for closed in [false, true] {
                let store = store.fresh();
                let client = store.connect().await;
                let config = TopicConfig::new().slots_per_block(slots);
                client.topics().create("t", config).await.unwrap();
                let builder = client.producer("t").compaction(false);
                let producer = builder.build().await.unwrap();
                for record in numbered(0..appends) {
                    producer.send(record).await.unwrap();
                }
                if closed {
                    producer.close().await.unwrap();
                }
                let consumer = client.consumer().topic("t").until(Until::Latest);
                let mut consumer = consumer.build().await.unwrap();
                let before = client.request_counts();
                let (records, error) = read_on(&mut consumer).await;
                assert!(error.is_none(), "{error:?}");
                assert_eq!(records.len(), appends as usize);
                let (gets, lists) = requests(&client.request_counts().since(before));
                let slots_written = store.keys("data").await.len() as u64;
                let opened = store.keys("meta/logs").await;
                let blocks = opened.iter().filter(|key| key.ends_with("/open")).count() as u64;
                let case = format!("{appends} appends, {slots} slots, closed {closed}: {gets}");
                assert_eq!(lists, 0, "{case}");
                assert!((appends as u64..=slots_written + 3 * blocks).contains(&gets), "{case}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_append_is_one_put_and_a_finished_block_three_small_requests_more() {
    let lab = Lab::new();
    let client = lab.client().await;
    client.topics().create("t", TopicConfig::new()).await.unwrap();
    let producer = client.producer("t").compaction(false).build().await.unwrap();
    producer.send(Record::value("first")).await.unwrap();
    lab.store.take_requests();
    for n in 1..2500u64 {
        producer.send(Record::value(n.to_string())).await.unwrap();
        let requests = lab.store.take_requests();
        let mut expected = Vec::new();
        if n % 1000 == 0 {
            expected.push((Op::Put, block_key("t", n / 1000 - 1, "end")));
            expected.push((Op::Put, block_key("t", n / 1000, "open")));
            expected.push((Op::Get, block_key("t", n / 1000, "open")));
        }
        expected.push((Op::Put, slot_key("t", n / 1000, (n % 1000) as u32)));
        let requests: Vec<_> = requests.into_iter().map(|r| (r.op, r.key)).collect();
        assert_eq!(requests, expected, "append {n}");
    }
}

#[tokio::test(start_paused = true)]
async fn many_records_at_once_are_few_puts() {
    let lab = Lab::new();
    let client = lab.client().await;
    client.topics().create("t", TopicConfig::new()).await.unwrap();
    let producer = client.producer("t").linger(SECOND).build().await.unwrap();
    producer.send(Record::value("first")).await.unwrap();
    lab.store.take_requests();
    let mut tickets = Vec::new();
    for n in 0..10_000 {
        tickets.push(producer.enqueue(Record::value(n.to_string())).await.unwrap());
    }
    for ticket in tickets {
        ticket.await.unwrap();
    }
    assert_eq!(lab.store.take_counts(), Counts { puts: 1, ..Counts::default() });
}

#[tokio::test(start_paused = true)]
async fn reading_is_a_get_a_slot_and_three_a_block_at_most() {
    for (slots, appends) in [(1000, 3), (1000, 1000), (1000, 2345), (7, 1), (7, 70), (7, 75)] {
        for closed in [false, true] {
            let lab = Lab::new();
            let client = lab.client().await;
            let config = TopicConfig::new().slots_per_block(slots);
            client.topics().create("t", config).await.unwrap();
            let producer = client.producer("t").compaction(false).build().await.unwrap();
            for n in 0..appends {
                producer.send(Record::value(n.to_string())).await.unwrap();
            }
            if closed {
                producer.close().await.unwrap();
            }
            let mut consumer =
                client.consumer().topic("t").until(Until::Latest).build().await.unwrap();
            lab.store.take_requests();
            let (records, error) = read_on(&mut consumer).await;
            assert!(error.is_none(), "{error:?}");
            assert_eq!(records.len(), appends as usize);
            let counts = lab.store.take_counts();
            let case = format!("{appends} appends, {slots} slots, closed {closed}: {counts:?}");
            assert_eq!((counts.puts, counts.lists, counts.deletes), (0, 0, 0), "{case}");
            let slots_written = lab.store.keys("data/").len();
            let blocks =
                lab.store.keys("meta/logs/").iter().filter(|k| k.ends_with("open")).count();
            assert!(counts.gets >= appends as usize, "{case}");
            assert!(counts.gets <= slots_written + 3 * blocks, "{case}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_only_open_asks_for_nothing() {
    let lab = Lab::new();
    let client = lab.client().await;
    client.topics().create("t", TopicConfig::new().partitions(3)).await.unwrap();
    lab.store.take_requests();
    let builder = client.producer("t");
    let consumer = client.consumer().topic("t");
    drop((builder, consumer, client.clone()));
    assert_eq!(lab.store.take_counts(), Counts::default());

    let producer = client.producer("t").build().await.unwrap();
    assert_eq!(lab.store.take_counts(), Counts { gets: 1, lists: 1, ..Counts::default() });
    producer.send(Record::value("v")).await.unwrap();
    lab.store.take_requests();
    idle(Duration::from_secs(3 * 24 * 3600)).await;
    assert_eq!(lab.store.take_counts(), Counts::default());

    // Nothing was written to two of the partitions, so nothing is ended there.
    producer.close().await.unwrap();
    assert!(lab.store.take_counts().puts <= 3);
    let consumer = client.consumer().topic("t").build().await.unwrap();
    lab.store.take_requests();
    idle(SECOND).await;
    drop(consumer);
    assert_eq!(lab.store.take_counts(), Counts::default());
}

#[tokio::test(start_paused = true)]
async fn a_waiting_consumer_asks_for_the_one_next_slot() {
    let lab = Lab::new();
    let client = lab.client().await;
    client.topics().create("t", TopicConfig::new()).await.unwrap();
    let producer = client.producer("t").build().await.unwrap();
    producer.send(Record::value("v")).await.unwrap();
    let mut consumer =
        client.consumer().topic("t").fetch_max_wait(10 * SECOND).build().await.unwrap();
    assert_eq!(consumer.poll(10, SECOND).await.unwrap().len(), 1);
    consumer.poll(10, 100 * SECOND).await.unwrap();
    lab.store.take_requests();
    consumer.poll(10, 600 * SECOND).await.unwrap();
    let requests = lab.store.take_requests();
    // One get of the slot every ten seconds, and one of the block's end every thirty.
    let slot = slot_key("t", 0, 1);
    let end = block_key("t", 0, "end");
    let of = |key: &str| requests.iter().filter(|request| request.key == key).count();
    assert!(requests.iter().all(|request| request.op == Op::Get), "{requests:?}");
    assert!((59..=61).contains(&of(&slot)), "{requests:?}");
    assert!((19..=21).contains(&of(&end)), "{requests:?}");
    assert_eq!(of(&slot) + of(&end), requests.len());
}

#[expect(clippy::disallowed_methods, reason = "time that passes while the library does nothing")]
async fn idle(time: Duration) {
    tokio::time::sleep(time).await;
}

/// The lengths of logs, in slots: from one block to a million of them.
const LENGTHS: [u64; 5] = [10, 1000, 123_456, 10_000_000, 999_999_999];

#[tokio::test(start_paused = true)]
async fn the_tail_is_found_as_cheaply_in_a_long_log_as_in_a_short_one() {
    for slots in LENGTHS {
        let client = endless(slots).await;
        let before = client.request_counts();
        assert_eq!(client.offsets("t").latest(0).await.unwrap(), (slots * TWO) as i64);
        let counts = client.request_counts().since(before);
        // The topic: a list and a get. The tail: three lists, open, end and a header.
        assert_eq!(requests(&counts), (4, 4), "{slots} slots: {counts:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn any_place_of_a_long_log_is_found_in_few_requests() {
    for slots in LENGTHS {
        let tail = (slots * TWO) as i64;
        let client = endless(slots).await;
        for offset in [0, 1, tail / 3, tail / 2 + 1, tail - 1] {
            let last = (offset + 3).min(tail);
            for start in [Start::Offset(offset), Start::Timestamp(offset * 1000 - 999)] {
                let before = client.request_counts();
                let mut consumer = client
                    .consumer()
                    .topic("t")
                    .start(start)
                    .until(Until::Offset(last))
                    .build()
                    .await
                    .unwrap();
                let counts = client.request_counts().since(before);
                let (gets, lists) = requests(&counts);
                // 31 probes a round, and 32 to the power of 4 is a million blocks.
                assert!(gets <= 31 * 6 + 10 && lists <= 5, "{slots} slots, {start:?}: {counts:?}");
                let (records, error) = read_on(&mut consumer).await;
                assert!(error.is_none(), "{error:?}");
                assert_eq!(offsets(&records), (offset..last).collect::<Vec<_>>(), "{start:?}");
                for record in records {
                    assert_eq!(record.value.unwrap(), record.offset.to_string());
                    assert_eq!(record.timestamp, record.offset * 1000);
                }
            }
        }
        let before = client.request_counts();
        assert_eq!(client.offsets("t").earliest(0).await.unwrap(), 0);
        let counts = client.request_counts().since(before);
        assert!(counts.gets + counts.lists <= 20, "{slots} slots: {counts:?}");
    }
}

fn requests(counts: &RequestCounts) -> (u64, u64) {
    assert_eq!((counts.puts, counts.deletes), (0, 0));
    (counts.gets, counts.lists)
}

async fn endless(slots: u64) -> Kaffic {
    let lab = Lab::new();
    let builder = Kaffic::builder().store(Arc::new(Endless::new(slots)), "").env(lab.env());
    within(builder.connect()).await.expect("connects")
}

/// Who reads again and again may ask for a topic's description now and then only.
#[tokio::test]
async fn a_topic_that_is_known_is_not_asked_for_again() {
    let plain = Kaffic::connect("memory://").await.unwrap();
    let knowing = plain.knowing_topics(Duration::from_secs(3600));
    let topics = knowing.topics();
    topics.create("t", TopicConfig::new()).await.unwrap();
    let cost = async |client: &Kaffic| {
        let before = client.request_counts();
        assert_eq!(client.offsets("t").range(0).await.unwrap(), (0, 0));
        let spent = client.request_counts().since(before);
        (spent.gets, spent.lists)
    };
    let (gets, lists) = cost(&plain).await;
    assert_eq!(cost(&plain).await, (gets, lists));
    assert_eq!(cost(&knowing).await, (gets, lists));
    assert_eq!(cost(&knowing).await, (gets - 1, lists - 1));
    // What it changes itself it sees at once.
    let change = kaffic_core::TopicChange::new().max_record_bytes(Some(10));
    topics.alter("t", change).await.unwrap();
    assert_eq!(cost(&knowing).await, (gets, lists));
    topics.delete("t").await.unwrap();
    let error = knowing.offsets("t").range(0).await.unwrap_err();
    assert_eq!(error.kind(), kaffic_core::ErrorKind::TopicNotFound);
    // A topic that is not there is never taken as known.
    plain.topics().create("t", TopicConfig::new()).await.unwrap();
    cost(&knowing).await;
}
