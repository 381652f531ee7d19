//! Defects that were found once, each with the least that showed it.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use futures_util::future::join;
use kaffic_core::{ErrorKind, Kaffic, Outcome, Record, ResetPolicy, TopicConfig};
use std::time::Duration;
use support::format::{block_dir, block_key, slot_key};
use support::lab::{Fault, HOUR, Lab, Op, Request, SECOND, within};
use support::{numbered, offsets, read_all, values};

#[tokio::test(start_paused = true)]
async fn what_was_read_whole_may_expire_while_a_partition_is_paused() {
    for policy in [ResetPolicy::Earliest, ResetPolicy::Latest, ResetPolicy::Error] {
        let lab = Lab::new();
        let client = lab.client().await;
        client.topics().create("t", TopicConfig::new().slots_per_block(5)).await.unwrap();
        let producer = client.producer("t").build().await.unwrap();
        for record in numbered(0..8) {
            producer.send(record).await.unwrap();
        }
        producer.close().await.unwrap();
        let mut consumer = client.consumer().topic("t").reset(policy).build().await.unwrap();
        assert_eq!(offsets(&within(consumer.poll(1, SECOND)).await.unwrap()), [0]);
        consumer.pause("t", 0).unwrap();
        lab.clock.jump(25 * HOUR);
        assert_eq!(lab.store.expire(&slot_key("t", 0, 0)), 1);
        consumer.resume("t", 0).unwrap();
        let mut got = Vec::new();
        while got.len() < 7 {
            let records = within(consumer.poll(10, 100 * SECOND)).await.unwrap();
            assert!(!records.is_empty(), "{policy:?}: {got:?}");
            got.extend(offsets(&records));
        }
        assert_eq!(got, (1..8).collect::<Vec<i64>>(), "{policy:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_topic_is_not_deleted_on_a_store_that_ignores_conditions() {
    let lab = Lab::new();
    lab.client().await.topics().create("t", TopicConfig::new()).await.unwrap();
    lab.store.always(Fault::IgnoreCondition, |request| request.op == Op::Put);
    let error = lab.client().await.topics().delete("t").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnsafeStore);
}

/// A clock that has run for a while can't be added to the longest duration.
#[tokio::test(flavor = "multi_thread")]
async fn the_longest_durations_are_for_ever() {
    let client = Kaffic::connect("memory://").await.unwrap();
    client.topics().create("t", TopicConfig::new()).await.unwrap();
    let builder = client.producer("t").delivery_timeout(Duration::MAX);
    builder.build().await.unwrap().send(Record::value("v")).await.unwrap();
    let builder = client.producer("t").delivery_timeout(Duration::MAX).linger(Duration::MAX);
    let producer = builder.build().await.unwrap();
    let ticket = producer.enqueue(Record::value("v")).await.unwrap();
    producer.flush().await.unwrap();
    assert_eq!(ticket.await.unwrap().offset, 1);
    let mut consumer = client.consumer().topic("t").build().await.unwrap();
    assert!(!consumer.poll(2, Duration::MAX).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn flush_does_not_say_again_what_a_send_has_said() {
    for _ in 0..100 {
        let client = Kaffic::connect("memory://").await.unwrap();
        client.topics().create("t", TopicConfig::new()).await.unwrap();
        let producer = client.producer("t").build().await.unwrap();
        client.topics().delete("t").await.unwrap();
        producer.send(Record::value("v")).await.unwrap_err();
        producer.flush().await.unwrap();
    }
}

/// Lets what is under way come as far as it can without time passing.
async fn settle() {
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
}

/// The end is from before the block ended, and the list from after its slots were swept.
#[tokio::test(start_paused = true)]
async fn a_tail_that_is_looked_for_while_its_block_is_swept() {
    let lab = Lab::new();
    let client = lab.client().await;
    client.topics().create("t", TopicConfig::new()).await.unwrap();
    let producer = client.producer("t").compaction(false).build().await.unwrap();
    for n in 0..3 {
        producer.send(Record::value(n.to_string())).await.unwrap();
    }
    let looking = lab.client().await;
    let slots = block_dir("t", 0);
    lab.store.once(Fault::Delay(SECOND), move |request| {
        request.op == Op::List && request.key.trim_end_matches('/') == slots
    });
    let sweeping = async {
        settle().await;
        producer.close().await.unwrap();
        lab.clock.jump(15 * HOUR);
        let report = client.compact("t", |_| {}).await.unwrap();
        assert_eq!((report.compacted, report.removed), (1, 4));
    };
    let offsets = looking.offsets("t");
    let (tail, ()) = join(within(offsets.latest(0)), sweeping).await;
    assert_eq!(tail.unwrap(), 3);
}

/// It was in the log, and was read, until it was deleted with its topic.
#[tokio::test(start_paused = true)]
async fn a_batch_that_was_deleted_before_its_writer_looked_is_not_said_to_be_unwritten() {
    let lab = Lab::new();
    let client = lab.client().await;
    client.topics().create("t", TopicConfig::new()).await.unwrap();
    let builder = lab.client().await.producer("t").compaction(false).delivery_timeout(48 * HOUR);
    let producer = builder.build().await.unwrap();
    producer.send(Record::value("0")).await.unwrap();
    lab.store.once(Fault::StallApplied, Request::puts_slot);
    let deleting = async {
        settle().await;
        assert_eq!(values(&read_all(&client, "t").await), ["0", "1"]);
        lab.clock.jump(14 * HOUR);
        client.topics().delete("t").await.unwrap();
    };
    let (sent, ()) = join(within(producer.send(Record::value("1"))), deleting).await;
    let error = sent.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::TopicNotFound, Outcome::Unknown));
}

/// A slot whose stamp lags goes a little sooner than R after it came, so two looks that are less
/// than R apart don't prove that there was nothing between them.
#[tokio::test(start_paused = true)]
async fn a_slot_that_came_and_went_between_two_looks_is_told() {
    let lab = Lab::new();
    let client = lab.client().await;
    client.topics().create("t", TopicConfig::new()).await.unwrap();
    let producer = client.producer("t").compaction(false).build().await.unwrap();
    producer.send(Record::value("0")).await.unwrap();
    let builder = lab.client().await.consumer().topic("t").reset(ResetPolicy::Error);
    let mut consumer = builder.build().await.unwrap();
    assert_eq!(offsets(&consumer.poll(1, SECOND).await.unwrap()), [0]);
    // It looks at slot 1, which is not there yet.
    assert_eq!(consumer.poll(1, SECOND).await.unwrap(), []);
    producer.send(Record::value("1")).await.unwrap();
    lab.clock.jump(24 * HOUR - SECOND);
    lab.store.expire("data/");
    let next = lab.client().await.producer("t").compaction(false).build().await.unwrap();
    next.send(Record::value("2")).await.unwrap();
    let error = within(consumer.poll(10, 1000 * SECOND)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OffsetOutOfRange, "{error}");
}

/// The answer that its block has no end is from before the block was ended and compacted, and slots
/// have expired since.
#[tokio::test(start_paused = true)]
async fn a_reader_that_was_stopped_finds_in_segments_what_is_gone_as_a_slot() {
    let lab = Lab::new();
    let client = lab.client().await;
    client.topics().create("t", TopicConfig::new()).await.unwrap();
    let producer = client.producer("t").compaction(false).build().await.unwrap();
    producer.send(Record::value("0")).await.unwrap();
    let end = block_key("t", 0, "end");
    let mut looks = 0;
    lab.store.rule(move |request| {
        let asked = request.op == Op::Get && request.key == end;
        looks += u32::from(asked);
        // The first two are of who looks for the tail and the beginning, the third of who waits.
        if asked && looks == 3 { Fault::AnswerLate(SECOND) } else { Fault::None }
    });
    let builder = lab.client().await.consumer().topic("t").reset(ResetPolicy::Error);
    let mut consumer = builder.build().await.unwrap();
    assert_eq!(offsets(&consumer.poll(1, SECOND).await.unwrap()), [0]);
    let writing = async {
        settle().await;
        producer.send(Record::value("1")).await.unwrap();
        producer.send(Record::value("2")).await.unwrap();
        producer.close().await.unwrap();
        client.compact("t", |_| {}).await.unwrap();
        lab.clock.jump(25 * HOUR);
        assert_eq!(lab.store.expire(&slot_key("t", 0, 1)), 1);
    };
    let (records, ()) = join(within(consumer.poll(1, 1000 * SECOND)), writing).await;
    assert_eq!(offsets(&records.unwrap()), [1]);
}
