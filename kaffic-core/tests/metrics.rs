//! What a client measures: exactly what it did, and how long that took.
#![expect(clippy::unwrap_used, reason = "helpers fail a test as its own lines do")]

mod support;

use kaffic_core::{ErrorKind, Kaffic, Metrics, Record, Start, TopicConfig, Until};
use support::lab::{Fault, Lab, Request, SECOND};
use support::numbered;

async fn with_topic(lab: &Lab) -> Kaffic {
    let client = lab.client().await;
    client.topics().create("t", TopicConfig::default()).await.unwrap();
    client
}

#[tokio::test(start_paused = true)]
async fn records_batches_and_requests_are_counted_as_they_were_made() {
    let lab = Lab::new();
    let client = with_topic(&lab).await;
    let producer = client.producer("t").build().await.unwrap();
    producer.append(0, numbered(0..5), None).await.unwrap();
    producer.append(0, numbered(5..7), None).await.unwrap();
    let mut consumer = client
        .consumer()
        .topic("t")
        .start(Start::Offset(3))
        .until(Until::Latest)
        .build()
        .await
        .unwrap();
    while consumer.next().await.unwrap().is_some() {}
    drop(consumer);
    let (metrics, counts) = (client.metrics(), lab.store.take_counts());
    assert_eq!((metrics.producer.append.count, metrics.producer.append.failed), (2, 0));
    assert_eq!((metrics.producer.records, metrics.producer.conflicts), (7, 0));
    assert_eq!(metrics.consumer.records, 4);
    let bytes: usize =
        numbered(3..7).iter().filter_map(|r| r.value.as_ref()).map(|v| v.len()).sum();
    assert_eq!(metrics.consumer.bytes, bytes as u64);
    let storage = &metrics.storage;
    let seen =
        [&storage.put, &storage.get, &storage.list, &storage.delete].map(|op| op.count as usize);
    assert_eq!(seen, [counts.puts, counts.gets, counts.lists, counts.deletes]);
    let requests = client.request_counts();
    assert_eq!((requests.puts, requests.put_bytes), (storage.put.count, storage.put.bytes));
    assert_eq!((requests.gets, requests.get_bytes), (storage.get.count, storage.get.bytes));
    // What the storage keeps of the batches is what was counted: all but their slots' headers.
    let stored: usize =
        lab.store.keys("data/t/").iter().map(|key| lab.store.object(key).len()).sum();
    assert!(metrics.producer.append.bytes > 0 && metrics.producer.append.bytes < stored as u64);
}

#[tokio::test(start_paused = true)]
async fn a_slot_that_another_won_is_a_conflict() {
    let lab = Lab::new();
    let client = with_topic(&lab).await;
    let other = lab.client().await;
    let (ours, theirs) =
        (client.producer("t").build().await.unwrap(), other.producer("t").build().await.unwrap());
    ours.send(Record::value("1")).await.unwrap();
    theirs.send(Record::value("2")).await.unwrap();
    assert_eq!(client.metrics().producer.conflicts, 0);
    // It does not know of theirs yet.
    ours.send(Record::value("3")).await.unwrap();
    assert_eq!(client.metrics().producer.conflicts, 1);
    assert_eq!(other.metrics().producer.conflicts, 0);
}

#[tokio::test(start_paused = true)]
async fn what_fails_and_what_takes_long_shows() {
    let lab = Lab::new();
    let client = with_topic(&lab).await;
    let producer = client.producer("t").delivery_timeout(100 * SECOND).build().await.unwrap();
    producer.send(Record::value("1")).await.unwrap();
    let before = client.metrics();
    assert!(before.producer.append.duration.max() < SECOND);
    lab.store.once(Fault::Delay(20 * SECOND), Request::puts_slot);
    producer.send(Record::value("2")).await.unwrap();
    let after = client.metrics();
    assert_eq!(after.storage.put.failed, 0);
    let slow = after.producer.append.duration.max();
    assert!(slow >= 20 * SECOND && slow < 21 * SECOND, "{slow:?}");
    assert_eq!(after.producer.append.duration.buckets().last().unwrap().1, 2);
    // One put has no answer, is found by reading not to be there, and is made again.
    lab.store.once(Fault::Fail, Request::puts_slot);
    producer.send(Record::value("3")).await.unwrap();
    let metrics = client.metrics();
    assert_eq!((metrics.storage.put.failed, metrics.producer.append.failed), (1, 0));
    // None has one, until the time is over.
    lab.store.always(Fault::Fail, Request::puts_slot);
    let error = producer.send(Record::value("4")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    let append = client.metrics().producer.append;
    assert_eq!((append.count, append.failed), (4, 1));
    assert_eq!(client.metrics().producer.records, 3);
}

#[tokio::test(start_paused = true)]
async fn records_that_were_written_before_are_not_counted_again() {
    let lab = Lab::new();
    let client = with_topic(&lab).await;
    let record = |n: i64| Record::value("v").sequence(n);
    let producer = client.producer("t").name("p").build().await.unwrap();
    producer.append(0, vec![record(1), record(2)], None).await.unwrap();
    drop(producer);
    let producer = client.producer("t").name("p").build().await.unwrap();
    producer.append(0, vec![record(1), record(2), record(3)], None).await.unwrap();
    assert_eq!(client.metrics().producer.records, 3);
    let bytes = client.metrics().producer.append.bytes;
    producer.append(0, vec![record(2), record(3)], None).await.unwrap();
    assert_eq!(client.metrics().producer.append.bytes, bytes);
}

#[tokio::test(start_paused = true)]
async fn commits_and_lag_show_until_the_group_or_the_topic_is_gone() {
    let lab = Lab::new();
    let client = with_topic(&lab).await;
    let producer = client.producer("t").build().await.unwrap();
    producer.append(0, numbered(0..5), None).await.unwrap();
    let mut consumer = client.consumer().group("g").subscribe(["t"]).build().await.unwrap();
    for _ in 0..2 {
        consumer.next().await.unwrap();
    }
    consumer.commit().await.unwrap();
    let lags = |metrics: Metrics| -> Vec<(Option<String>, i64)> {
        let lag = metrics.consumer.lag.into_iter();
        lag.map(|lag| (lag.group.map(|group| group.to_string()), lag.records)).collect()
    };
    assert_eq!(client.metrics().consumer.commit.count, 1);
    assert_eq!(lags(client.metrics()), []);
    consumer.lag().await.unwrap();
    assert_eq!(lags(client.metrics()), [(Some("g".to_owned()), 3)]);
    consumer.next().await.unwrap();
    consumer.close().await.unwrap();
    client.groups().describe("g").await.unwrap();
    assert_eq!(lags(client.metrics()), [(Some("g".to_owned()), 2)]);
    client.consumer().topic("t").build().await.unwrap().lag().await.unwrap();
    assert_eq!(lags(client.metrics()).len(), 2);
    client.groups().delete("g").await.unwrap();
    assert_eq!(lags(client.metrics()), [(None, 5)]);
    client.topics().delete("t").await.unwrap();
    assert_eq!(lags(client.metrics()), []);
}

#[tokio::test(start_paused = true)]
async fn requests_that_are_too_many_are_counted() {
    let lab = Lab::new();
    let client = with_topic(&lab).await;
    lab.store.once(Fault::Throttle, |_| true);
    client.topics().list().await.unwrap();
    let storage = client.metrics().storage;
    assert_eq!((storage.throttled, storage.list.failed), (1, 1));
}
