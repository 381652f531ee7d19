//! Retention by hand.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use kaffic_core::{
    ErrorKind, Kaffic, MinExpiry, Record, ResetPolicy, Start, TopicChange, TopicConfig, Trim, Until,
};
use std::time::Duration;
use support::lab::{BEGIN_MS, HOUR, Lab, SECOND, within};
use support::{offsets, read_all};

/// Blocks of ten slots, one an hour of a record a slot, none of them open.
async fn log_of(blocks: i64) -> (Lab, Kaffic) {
    let lab = Lab::new();
    let client = lab.client().await;
    client.topics().create("t", TopicConfig::new().slots_per_block(10)).await.unwrap();
    for block in 0..blocks {
        let producer = client.producer("t").compaction(false).build().await.unwrap();
        for _ in 0..10 {
            producer.send(Record::value(vec![b'x'; 100])).await.unwrap();
        }
        producer.close().await.unwrap();
        if block + 1 < blocks {
            lab.clock.jump(HOUR);
        }
    }
    (lab, client)
}

async fn earliest(client: &Kaffic) -> i64 {
    client.offsets("t").earliest(0).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn whole_blocks_go_that_are_covered_and_old_enough() {
    let (lab, client) = log_of(5).await;
    // Too young, all of them.
    let report = client.trim("t", Trim::before_offset(25)).await.unwrap();
    assert_eq!((report.removed, report.remaining), (0, 20));
    let at = report.removable_at_ms.unwrap();
    assert!((BEGIN_MS + 25 * 3_600_000..BEGIN_MS + 26 * 3_600_000).contains(&at), "{at}");
    assert_eq!(earliest(&client).await, 0);

    lab.clock.jump(30 * HOUR);
    let report = client.trim("t", Trim::before_offset(25)).await.unwrap();
    assert_eq!((report.removed, report.remaining, report.removable_at_ms), (20, 0, None));
    assert!(report.removed_bytes > 20 * 196);
    assert_eq!(earliest(&client).await, 20);
    let report =
        client.trim("t", Trim::before_timestamp(BEGIN_MS + 3_600_000 * 7 / 2)).await.unwrap();
    assert_eq!((report.removed, earliest(&client).await), (20, 40));
    let producer = client.producer("t").compaction(false).build().await.unwrap();
    assert_eq!(producer.send(Record::value("v")).await.unwrap().offset, 50);
    assert_eq!(offsets(&read_all(&client, "t").await), (40..51).collect::<Vec<_>>());
    assert!(client.verify("t", |_| {}).await.unwrap().issues.is_empty());
}

#[tokio::test(start_paused = true)]
async fn bytes_are_kept_from_the_end() {
    let (lab, client) = log_of(5).await;
    lab.clock.jump(30 * HOUR);
    let all: usize = lab.store.keys("data/t").iter().map(|key| lab.store.object(key).len()).sum();
    let report = client.trim("t", Trim::keep_bytes(all as u64)).await.unwrap();
    assert_eq!(report.removed, 0);
    // Half of it are two and a half blocks.
    client.trim("t", Trim::keep_bytes(all as u64 / 2)).await.unwrap();
    assert_eq!(earliest(&client).await, 20);
    // The one that has no end stays, whatever is said.
    let producer = client.producer("t").compaction(false).build().await.unwrap();
    producer.send(Record::value("v")).await.unwrap();
    client.trim("t", Trim::keep_bytes(0)).await.unwrap();
    assert_eq!(offsets(&read_all(&client, "t").await), [50]);
}

#[tokio::test(start_paused = true)]
async fn without_a_word_the_topics_retention_says_what_goes() {
    let (lab, client) = log_of(5).await;
    let error = client.trim("t", Trim::retention()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    let error = client.trim("t", Trim::keep_bytes(1).partition(1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    client.topics().alter("t", TopicChange::new().min_expiry(MinExpiry::Never)).await.unwrap();
    let error = client.trim("t", Trim::keep_bytes(1)).await.unwrap_err();
    assert!(error.to_string().contains("never"), "{error}");
    let day = MinExpiry::After(24 * HOUR);
    client.topics().alter("t", TopicChange::new().min_expiry(day)).await.unwrap();
    lab.clock.jump(30 * HOUR);
    let retention = Duration::from_secs(32 * 3600 + 1800);
    client.topics().alter("t", TopicChange::new().retention(Some(retention))).await.unwrap();
    client.trim("t", Trim::retention()).await.unwrap();
    assert_eq!(earliest(&client).await, 20);
}

#[tokio::test(start_paused = true)]
async fn consumers_find_what_was_trimmed_expired() {
    let (lab, client) = log_of(5).await;
    lab.clock.jump(30 * HOUR);
    let reader = |reset| {
        let builder = client.consumer().topic("t").start(Start::Offset(5)).until(Until::Latest);
        builder.reset(reset).build()
    };
    let mut on = reader(ResetPolicy::Earliest).await.unwrap();
    let mut told = reader(ResetPolicy::Error).await.unwrap();
    assert_eq!(offsets(&within(on.poll(1, SECOND)).await.unwrap()), [5]);
    client.trim("t", Trim::before_offset(30)).await.unwrap();
    let mut found = Vec::new();
    while let Some(record) = within(on.next()).await.unwrap() {
        found.push(record.offset);
    }
    // What was fetched ahead is delivered still.
    assert!(found.ends_with(&(30..50).collect::<Vec<_>>()), "{found:?}");
    let error = within(told.next()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OffsetOutOfRange);
    assert!(error.to_string().contains("30"), "{error}");
}
