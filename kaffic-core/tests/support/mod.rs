//! What the integration tests share: the stores they run on, and reading a topic to its end.
#![allow(dead_code, reason = "not every test uses every part")]

use kaffic_core::{ConsumerRecord, Kaffic, Until};

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
