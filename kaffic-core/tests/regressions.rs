//! Defects that were found once, each with the least that showed it.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use kaffic_core::{ErrorKind, Kaffic, Record, ResetPolicy, TopicConfig};
use std::time::Duration;
use support::lab::{Fault, HOUR, Lab, Op, SECOND, within};
use support::{format::slot_key, numbered, offsets};

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
