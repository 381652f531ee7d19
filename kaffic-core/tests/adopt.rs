//! Copies of a log that was written to while it was copied.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use kaffic_core::{ErrorKind, Kaffic, Producer, Record, TopicConfig};
use std::time::Duration;
use support::format::{block_key, slot_key};
use support::lab::{HOUR, Lab};
use support::{offsets, read_all};

const MINUTE: Duration = Duration::from_secs(60);

/// A log of blocks of ten slots, with a producer that has not been closed.
async fn log_of(records: i64) -> (Lab, Producer) {
    let lab = Lab::new();
    let client = lab.client().await;
    client.topics().create("t", TopicConfig::new().slots_per_block(10)).await.unwrap();
    let producer = client.producer("t").compaction(false).build().await.unwrap();
    for n in 0..records {
        producer.send(Record::value(n.to_string())).await.unwrap();
    }
    (lab, producer)
}

/// Makes a copy of what was a log, some time later: all stamps are those of the copy.
async fn copied(lab: &Lab, after: Duration) -> Kaffic {
    lab.clock.jump(after);
    for key in lab.store.keys("") {
        lab.store.set_stamp_ms(&key, lab.clock.now_ms());
    }
    lab.client().await
}

#[tokio::test(start_paused = true)]
async fn a_copy_of_a_log_under_way_is_read_and_written_to() {
    let (lab, _producer) = log_of(13).await;
    let client = copied(&lab, 10 * MINUTE).await;
    let mut consumer = client.consumer().topic("t").build().await;
    let error = match &mut consumer {
        Ok(consumer) => {
            let mut found = Ok(None);
            for _ in 0..14 {
                found = consumer.next().await;
                if found.is_err() {
                    break;
                }
            }
            found.map(|_| ()).unwrap_err()
        }
        Err(error) => error.clone(),
    };
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains("operations.md"), "{error}");

    let before = lab.store.keys("");
    let report = client.adopt("t", true).await.unwrap();
    assert_eq!(lab.store.keys(""), before, "a dry run leaves everything as it is");
    let ended = &report.ended[0];
    assert_eq!((ended.block, ended.slots, ended.missing, ended.next_offset), (1, 3, 0, 13));
    assert_eq!(client.adopt("t", false).await.unwrap(), report);
    let again = client.adopt("t", false).await.unwrap();
    assert_eq!((again.ended.len(), again.left_alone), (0, 1));

    let producer = client.producer("t").compaction(false).build().await.unwrap();
    for n in 13..15 {
        assert_eq!(producer.send(Record::value(n.to_string())).await.unwrap().offset, n);
    }
    assert_eq!(offsets(&read_all(&client, "t").await), (0..15).collect::<Vec<_>>());
    assert!(client.verify("t", |_| {}).await.unwrap().issues.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_log_that_is_no_copy_is_left_alone() {
    for records in [0, 3, 10, 13] {
        let (lab, producer) = log_of(records).await;
        let before = lab.store.keys("");
        let report = lab.client().await.adopt("t", false).await.unwrap();
        assert_eq!((report.ended.len(), report.left_alone), (0, 1));
        assert_eq!(lab.store.keys(""), before);
        assert_eq!(producer.send(Record::value("v")).await.unwrap().offset, records);
    }
}

#[tokio::test(start_paused = true)]
async fn where_slots_may_have_expired_before_the_copy_offsets_jump() {
    let (lab, _producer) = log_of(13).await;
    lab.clock.jump(23 * HOUR);
    // The two highest have gone.
    lab.store.expire(&slot_key("t", 1, 1));
    lab.store.expire(&slot_key("t", 1, 2));
    let client = copied(&lab, MINUTE).await;
    let report = client.adopt("t", false).await.unwrap();
    assert_eq!(report.ended[0].slots, 1);
    assert!(report.ended[0].next_offset > 13, "{report:?}");
    let producer = client.producer("t").compaction(false).build().await.unwrap();
    assert!(producer.send(Record::value("v")).await.unwrap().offset > 13);
    assert_eq!(read_all(&client, "t").await.len(), 12);
    assert!(client.verify("t", |_| {}).await.unwrap().issues.is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_end_that_was_not_copied_is_put_as_the_next_block_says() {
    let (lab, producer) = log_of(23).await;
    producer.close().await.unwrap();
    let end = lab.store.object(&block_key("t", 1, "end"));
    lab.store.expire(&block_key("t", 1, "end"));
    lab.store.expire(&slot_key("t", 1, 0));
    let client = copied(&lab, MINUTE).await;
    let report = client.adopt("t", false).await.unwrap();
    let ended = &report.ended[0];
    assert_eq!((ended.block, ended.slots, ended.missing, ended.next_offset), (1, 9, 1, 20));
    assert_ne!(lab.store.object(&block_key("t", 1, "end")), end);
    let expected: Vec<i64> = (0..10).chain(11..23).collect();
    assert_eq!(offsets(&read_all(&client, "t").await), expected);
}

#[tokio::test(start_paused = true)]
async fn slots_of_different_times_are_not_taken_for_one_block() {
    let (lab, _producer) = log_of(13).await;
    let other = lab.store.object(&slot_key("t", 1, 0));
    lab.store.replace(&slot_key("t", 1, 2), other);
    let client = copied(&lab, MINUTE).await;
    let error = client.adopt("t", false).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains(&slot_key("t", 1, 2)), "{error}");
}
