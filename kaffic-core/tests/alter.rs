//! Changing a topic's settings.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use kaffic_core::{Compression, ErrorKind, MinExpiry, Record, TopicChange, TopicConfig};
use serde_json::Value;
use std::time::Duration;
use support::format::{HEADER_LEN, block_key, slot_key, topic_key};
use support::lab::Lab;
use support::{read_all, stores, values};

const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

#[tokio::test]
async fn what_is_named_changes_and_the_rest_stays() {
    for store in stores() {
        let topics = store.connect().await.topics();
        let config = TopicConfig::new().partitions(2).retention(WEEK).max_record_bytes(1000);
        let created = topics.create("t", config).await.unwrap();
        assert_eq!((created.retention, created.max_record_bytes), (Some(WEEK), Some(1000)));
        let change = TopicChange::new().compression(Some(Compression::Zstd)).retention(None);
        let altered = topics.alter("t", change.clone()).await.unwrap();
        assert_eq!((altered.retention, altered.compression), (None, Some(Compression::Zstd)));
        assert_eq!((altered.partitions, altered.max_record_bytes), (2, Some(1000)));
        assert_eq!(topics.describe("t").await.unwrap(), altered);
        assert_eq!(topics.alter("t", change).await.unwrap(), altered);
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_is_a_link_of_the_chain_and_no_change_is_none() {
    let lab = Lab::new();
    let topics = lab.client().await.topics();
    topics.create("t", TopicConfig::new()).await.unwrap();
    let change = TopicChange::new().retention(Some(WEEK)).retention_bytes(Some(5));
    for _ in 0..2 {
        topics.alter("t", change.clone()).await.unwrap();
    }
    assert_eq!(lab.store.keys("meta/topics/t"), [topic_key("t", 0), topic_key("t", 1)]);
    let stored: Value = serde_json::from_slice(&lab.store.object(&topic_key("t", 1))).unwrap();
    assert_eq!(
        (&stored["retention_ms"], &stored["retention_bytes"]),
        (&604_800_000.into(), &5.into())
    );
    assert!(stored.get("compression").is_none(), "{stored}");
}

#[tokio::test(start_paused = true)]
async fn two_who_alter_at_once_both_have_their_way() {
    let lab = Lab::new();
    lab.client().await.topics().create("t", TopicConfig::new()).await.unwrap();
    let (one, two) = (lab.client().await.topics(), lab.client().await.topics());
    let (one, two) = tokio::join!(
        one.alter("t", TopicChange::new().retention(Some(WEEK))),
        two.alter("t", TopicChange::new().max_record_bytes(Some(9))),
    );
    one.unwrap();
    two.unwrap();
    let topic = lab.client().await.topics().describe("t").await.unwrap();
    assert_eq!((topic.retention, topic.max_record_bytes), (Some(WEEK), Some(9)));
}

#[tokio::test(start_paused = true)]
async fn producers_and_blocks_take_the_settings() {
    let lab = Lab::new();
    let client = lab.client().await;
    client.topics().create("t", TopicConfig::new().slots_per_block(1)).await.unwrap();
    let change = TopicChange::new()
        .compression(Some(Compression::Gzip))
        .max_record_bytes(Some(100))
        .min_expiry(MinExpiry::Never);
    let before = client.producer("t").build().await.unwrap();
    client.topics().alter("t", change).await.unwrap();
    let after = client.producer("t").build().await.unwrap();
    before.send(Record::value(vec![b'x'; 200])).await.unwrap();
    let error = after.send(Record::value(vec![b'x'; 200])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RecordTooLarge);
    after.send(Record::value("short")).await.unwrap();
    // The low bits of the attributes say the codec.
    let codec = |block| lab.store.object(&slot_key("t", block, 0))[HEADER_LEN + 22] & 7;
    assert_eq!((codec(0), codec(1)), (0, 1));
    let min_expiry = |block| {
        let open: Value =
            serde_json::from_slice(&lab.store.object(&block_key("t", block, "open"))).unwrap();
        open["min_expiry_ms"].clone()
    };
    assert_eq!((min_expiry(0), min_expiry(1)), (86_400_000.into(), Value::Null));
    assert_eq!(values(&read_all(&client, "t").await)[1], "short");
}

#[tokio::test]
async fn bad_changes_are_refused_and_change_nothing() {
    let topics = stores()[0].connect().await.topics();
    let nothing = topics.alter("t", TopicChange::new()).await.unwrap_err();
    assert_eq!(nothing.kind(), ErrorKind::TopicNotFound);
    topics.create("t", TopicConfig::new()).await.unwrap();
    let before = topics.describe("t").await.unwrap();
    for change in [
        TopicChange::new().retention(Some(Duration::ZERO)),
        TopicChange::new().retention(Some(Duration::MAX)),
        TopicChange::new().max_record_bytes(Some(0)),
        TopicChange::new().max_record_bytes(Some(33 << 20)),
        TopicChange::new().min_expiry(MinExpiry::After(Duration::from_secs(1))),
    ] {
        let error = topics.alter("t", change.clone()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{change:?}");
    }
    assert_eq!(topics.describe("t").await.unwrap(), before);
    topics.delete("t").await.unwrap();
    let deleted = topics.alter("t", TopicChange::new().retention(Some(WEEK))).await.unwrap_err();
    assert_eq!(deleted.kind(), ErrorKind::TopicNotFound);
}
