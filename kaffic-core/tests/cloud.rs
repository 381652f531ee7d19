//! The store that KAFFIC_TEST_URL names (with KAFFIC_TEST_OPTIONS: `key=value,key=value`), used as
//! any other: what the other tests hold on a filesystem has to hold there. Without it, nothing is
//! tested, which is said. Every run has a prefix of its own, and leaves its objects there.

mod support;

use kaffic_core::{Bytes, ErrorKind, Kaffic, Record, Start, StoreOptions, TopicConfig, Until};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use support::{read_all, values};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A place in the store that nothing was ever put to; any number of clients of it.
struct Place {
    url: String,
    options: StoreOptions,
}

impl Place {
    #[expect(clippy::disallowed_methods, reason = "names a scratch prefix")]
    fn new(test: &str) -> Option<Self> {
        let Ok(url) = std::env::var("KAFFIC_TEST_URL") else {
            println!("skipped: {test} runs on the store that KAFFIC_TEST_URL names");
            return None;
        };
        let options = std::env::var("KAFFIC_TEST_OPTIONS").unwrap_or_default();
        let options = options.parse().expect("KAFFIC_TEST_OPTIONS is key=value,key=value");
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let url = format!("{}/{test}-{now}-{number}", url.trim_end_matches('/'));
        Some(Self { url, options })
    }

    async fn connect(&self) -> Kaffic {
        let builder = Kaffic::builder().url(&self.url).options(self.options.clone());
        builder.connect().await.expect("connects")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn records_come_back_in_order_from_wherever_a_consumer_starts() {
    let Some(place) = Place::new("records") else { return };
    let client = place.connect().await;
    let config = TopicConfig::new().partitions(2).slots_per_block(10);
    client.topics().create("t", config).await.unwrap();
    let producer = client.producer("t").build().await.unwrap();
    for n in 0..30 {
        let record = Record::value(n.to_string()).key("k").header("h", "1").partition(1);
        producer.send(record.timestamp(1000 * n)).await.unwrap();
    }
    let large = Bytes::from(vec![7u8; 5 << 20]);
    producer.send(Record::value(large.clone()).partition(1).timestamp(99_000)).await.unwrap();
    producer.close().await.unwrap();

    // Another client knows nothing of the first.
    let client = place.connect().await;
    let records = read_all(&client, "t").await;
    assert_eq!(records.len(), 31);
    assert_eq!(values(&records[..30]), (0..30).map(|n| n.to_string()).collect::<Vec<_>>());
    assert_eq!(records[30].value, Some(large));
    for (start, first) in
        [(Start::Offset(12), 12), (Start::Last(2), 29), (Start::Timestamp(4500), 5)]
    {
        let consumer = client.consumer().topic("t").start(start).until(Until::Latest);
        let mut consumer = consumer.build().await.unwrap();
        assert_eq!(consumer.next().await.unwrap().unwrap().offset, first);
    }
    let report = client.verify("t", |_| {}).await.unwrap();
    assert_eq!((report.records, report.issues), (31, vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_following_consumer_sees_what_is_appended_later() {
    let Some(place) = Place::new("follow") else { return };
    let client = place.connect().await;
    client.topics().create("t", TopicConfig::new().slots_per_block(3)).await.unwrap();
    let mut consumer = client.consumer().topic("t").build().await.unwrap();
    let producer = place.connect().await.producer("t").build().await.unwrap();
    for n in 0..10 {
        producer.send(Record::value(n.to_string())).await.unwrap();
        let got = consumer.poll(10, Duration::from_secs(30)).await.unwrap();
        assert_eq!((got.len(), got[0].offset), (1, n));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_writers_share_a_partition() {
    let Some(place) = Place::new("writers") else { return };
    let client = place.connect().await;
    client.topics().create("t", TopicConfig::new().slots_per_block(10)).await.unwrap();
    let (place, writers, each) = (&place, 4, 25);
    let running = (0..writers).map(async |writer| {
        let producer = place.connect().await.producer("t").build().await.unwrap();
        for n in 0..each {
            producer.send(Record::value(format!("{writer}-{n}"))).await.unwrap();
        }
        producer.close().await.unwrap();
    });
    futures_util::future::join_all(running).await;
    let records = read_all(&client, "t").await;
    assert_eq!(records.len(), writers * each);
    for (offset, record) in records.iter().enumerate() {
        assert_eq!(record.offset, offset as i64);
    }
    let values = values(&records);
    for writer in 0..writers {
        let mut own = values.iter().filter_map(|v| v.strip_prefix(&format!("{writer}-")));
        assert!((0..each).all(|n| own.next() == Some(n.to_string().as_str())), "{writer}");
    }
    assert!(client.verify("t", |_| {}).await.unwrap().issues.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expected_offset_admits_one_of_two() {
    let Some(place) = Place::new("expected") else { return };
    let (one, two) = (place.connect().await, place.connect().await);
    one.topics().create("t", TopicConfig::new()).await.unwrap();
    let a = one.producer("t").build().await.unwrap();
    let b = two.producer("t").build().await.unwrap();
    for n in 0..10 {
        let (a, b) = tokio::join!(
            a.append(0, vec![Record::value("a")], Some(n)),
            b.append(0, vec![Record::value("b")], Some(n)),
        );
        let failed = a.err().or(b.err()).expect("only one can be at that offset");
        assert_eq!((failed.kind(), failed.tail()), (ErrorKind::ConditionFailed, Some(n + 1)));
    }
    assert_eq!(read_all(&one, "t").await.len(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_are_created_once_and_deleted() {
    let Some(place) = Place::new("topics") else { return };
    let clients = [place.connect().await, place.connect().await, place.connect().await];
    let creations =
        clients.iter().map(async |client| client.topics().create("t", TopicConfig::new()).await);
    let created = futures_util::future::join_all(creations).await;
    assert_eq!(created.iter().filter(|result| result.is_ok()).count(), 1);
    let producer = clients[0].producer("t").build().await.unwrap();
    producer.send(Record::value("v")).await.unwrap();
    producer.close().await.unwrap();
    clients[1].topics().delete("t").await.unwrap();
    assert!(clients[2].topics().list().await.unwrap().is_empty());
    let error = place.connect().await.topics().describe("t").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TopicNotFound);
    // A topic of the same name is a new one.
    clients[2].topics().create("t", TopicConfig::new()).await.unwrap();
    assert!(read_all(&place.connect().await, "t").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_is_one_that_can_be_used() {
    let Some(place) = Place::new("examine") else { return };
    let report = place.connect().await.examine().await.unwrap();
    assert!(report.is_usable(), "{:?}", report.checks);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_bucket_is_named_at_once() {
    let Some(mut place) = Place::new("missing") else { return };
    let bucket = url_host(&place.url).to_owned();
    place.url = place.url.replacen(&bucket, "kaffic-no-such-bucket", 1);
    let client = place.connect().await;
    let Err(error) = client.topics().create("t", TopicConfig::new()).await else {
        println!("this server makes a bucket at the first put to it");
        return;
    };
    assert!(!error.is_retriable(), "{error:?}");
    assert!(error.to_string().contains("kaffic-no-such-bucket"), "{error}");
}

/// The bucket, of a URL like `s3://bucket/prefix`.
fn url_host(url: &str) -> &str {
    url.split('/').nth(2).unwrap_or_default()
}
