//! What the integration tests share: the stores they run on, and reading a topic to its end.
#![allow(dead_code, unused_imports, reason = "not every test uses every part")]

pub(crate) mod endless;
pub(crate) mod format;
pub(crate) mod lab;
mod store;

use kaffic_core::{Consumer, ConsumerRecord, Error, Kaffic, Record, Until};

pub(crate) use store::{TestStore, stores, stores_for};

/// Everything in a topic up to now.
pub(crate) async fn read_all(client: &Kaffic, topic: &str) -> Vec<ConsumerRecord> {
    let mut consumer =
        client.consumer().topic(topic).until(Until::Latest).build().await.expect("a consumer");
    let mut records = Vec::new();
    while let Some(record) = consumer.next().await.expect("reads") {
        records.push(record);
    }
    records
}

/// Whether topic `t` holds these values, and nothing is wrong with it.
pub(crate) async fn assert_log<T: AsRef<str>>(lab: &lab::Lab, expected: &[T]) {
    lab.store.no_rule();
    let client = lab.client().await;
    let records = lab::within(read_all(&client, "t")).await;
    let expected: Vec<&str> = expected.iter().map(AsRef::as_ref).collect();
    assert_eq!(values(&records), expected);
    assert_eq!(offsets(&records), (0..expected.len() as i64).collect::<Vec<_>>());
    assert_eq!(client.verify("t", |_| {}).await.expect("verifies").issues, []);
}

/// Reads until the consumer is finished or fails.
pub(crate) async fn read_on(consumer: &mut Consumer) -> (Vec<ConsumerRecord>, Option<Error>) {
    let mut records = Vec::new();
    loop {
        match lab::within(consumer.next()).await {
            Ok(Some(record)) => records.push(record),
            Ok(None) => return (records, None),
            Err(error) => return (records, Some(error)),
        }
    }
}

/// Records with their own numbers for values.
pub(crate) fn numbered(numbers: std::ops::Range<i64>) -> Vec<Record> {
    numbers.map(|n| Record::value(n.to_string())).collect()
}

/// The offsets of records.
pub(crate) fn offsets(records: &[ConsumerRecord]) -> Vec<i64> {
    records.iter().map(|record| record.offset).collect()
}

/// The values of records, which have to be text.
pub(crate) fn values(records: &[ConsumerRecord]) -> Vec<String> {
    let text = |record: &ConsumerRecord| {
        String::from_utf8(record.value.clone().unwrap_or_default().to_vec()).expect("text")
    };
    records.iter().map(text).collect()
}
