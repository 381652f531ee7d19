//! Clients of the store under test, one for each phase, and what they leave behind.

use super::raw;
use crate::stop::{Stop, say};
use crate::store::Place;
use crate::units;
use futures_util::{StreamExt, TryStreamExt};
use kaffic_core::env::{Env, SystemEnv};
use kaffic_core::object_store::{ObjectStore, memory::InMemory};
use kaffic_core::{ErrorKind, Kaffic};
use std::path::PathBuf;
use std::sync::Arc;

/// Makes clients of one store. They share nothing but the store, so what each of them requests
/// is counted apart.
#[derive(Debug)]
pub(super) struct Clients {
    store: Place,
    memory: Option<Arc<dyn ObjectStore>>,
}

impl Clients {
    pub(super) fn new(store: &Place) -> Self {
        let in_memory = store.url().starts_with("memory:");
        let memory = in_memory.then(|| Arc::new(InMemory::new()) as Arc<dyn ObjectStore>);
        Self { store: store.clone(), memory }
    }

    pub(super) fn url(&self) -> &str {
        self.store.url()
    }

    pub(super) fn store(&self) -> &Place {
        &self.store
    }

    pub(super) fn in_memory(&self) -> bool {
        self.memory.is_some()
    }

    /// The directory of a `file://` store.
    pub(super) fn directory(&self) -> Option<PathBuf> {
        self.store.directory()
    }

    /// Where the batches of `topic` are, on a `file://` store.
    pub(super) fn data_directory(&self, topic: &str) -> Option<PathBuf> {
        Some(self.directory()?.join("data").join(topic))
    }

    pub(super) async fn connect(&self) -> Result<Kaffic, Stop> {
        Ok(match &self.memory {
            Some(store) => Kaffic::builder().store(store.clone(), "").connect().await?,
            None => self.store.connect().await?,
        })
    }

    /// A topic name that nobody uses.
    pub(super) fn new_topic_name(&self) -> String {
        format!("bench-{:016x}", SystemEnv::new().random())
    }

    /// Deletes the topics whose names begin with `topic`.
    pub(super) async fn clean(&self, topic: &str) -> Result<(), Stop> {
        let topics = self.connect().await?.topics();
        for found in topics.list().await? {
            if !found.name.starts_with(topic) {
                continue;
            }
            let deletion = match topics.delete(&found.name).await {
                Err(error) if error.kind() == ErrorKind::TopicNotFound => continue,
                deletion => deletion?,
            };
            // The log keeps objects for a while after a deletion, for writers that know nothing
            // of it. There are none here, and the objects may be large.
            if let Some(directory) = self.data_directory(&found.name) {
                let _ = std::fs::remove_dir_all(directory);
            } else if let Err(error) = self.remove(&["data", &found.name]).await
                && deletion.remaining > 0
            {
                let after = deletion.removable_at_ms.map(units::show_time).unwrap_or_default();
                say(&format!("{error}; delete topic {} again after {after}", found.name));
            }
        }
        match self.directory() {
            Some(_) => Ok(()),
            None => self.remove(&[&raw::scratch_name(topic)]).await.map_err(raw::refused),
        }
    }

    /// Deletes everything below a path of the store's.
    async fn remove(&self, path: &[&str]) -> kaffic_core::object_store::Result<()> {
        let Ok(client) = self.connect().await else { return Ok(()) };
        let (store, root) = client.object_store();
        let below = path.iter().fold(root, |path, part| path.join(*part));
        let found = store.list(Some(&below)).map_ok(|meta| meta.location).boxed();
        store.delete_stream(found).try_for_each(|_| async { Ok(()) }).await
    }
}
