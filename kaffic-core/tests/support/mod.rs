//! What the integration tests share: the stores they run on, and reading a topic to its end.
#![allow(dead_code, reason = "not every test uses every part")]

pub(crate) mod endless;
pub(crate) mod format;
pub(crate) mod lab;

use kaffic_core::{Consumer, ConsumerRecord, Error, Kaffic, Record, Until};

/// A store to test on; it goes with this value.
pub(crate) enum TestStore {
    /// In memory.
    Memory,
    /// A directory.
    File(tempfile::TempDir),
}

impl TestStore {
    /// A directory store.
    pub(crate) fn file() -> Self {
        Self::File(tempfile::tempdir().expect("a temporary directory"))
    }

    /// A client of it.
    pub(crate) async fn connect(&self) -> Kaffic {
        Kaffic::connect(&self.url()).await.expect("connects")
    }

    /// Its URL.
    pub(crate) fn url(&self) -> String {
        match self {
            Self::Memory => "memory://".to_owned(),
            Self::File(dir) => format!("file://{}", dir.path().display()),
        }
    }
}

/// One store of every kind.
pub(crate) fn stores() -> Vec<TestStore> {
    vec![TestStore::Memory, TestStore::file()]
}

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
