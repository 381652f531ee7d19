//! The baseline: objects of the same sizes, with nothing of kaffic in between. On a filesystem they
//! are plain files; elsewhere the store's own client puts and gets them.

use super::clients::Clients;
use super::payload::Payload;
use super::stats::{self, Latencies, Percentiles};
use crate::signals::spawn;
use crate::stop::Stop;
use futures_util::{StreamExt, TryStreamExt};
use kaffic_core::Bytes;
use kaffic_core::env::{Env, SystemEnv};
use kaffic_core::object_store::path::Path as Key;
use kaffic_core::object_store::{self, ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use serde::Serialize;
use std::collections::HashSet;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

const STAGING: &str = "staging";
/// The gets under way at once; a consumer that is behind has at most as many.
const GETS: usize = 64;
/// The bytes that those gets may take.
const GET_BYTES: u64 = 64 << 20;

/// What the baseline measured.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Raw {
    /// The log's objects after the produce phase, whose sizes were put and which were read.
    pub(super) objects: u64,
    pub(super) bytes: u64,
    pub(super) put_seconds: f64,
    pub(super) put_ms: Percentiles,
    pub(super) read_seconds: f64,
}

/// A baseline under measurement.
#[derive(Debug)]
pub(super) struct Baseline {
    place: Place,
    known: HashSet<String>,
    latencies: Latencies,
    reads: Vec<f64>,
    raw: Raw,
}

/// Where the log's objects are and the baseline's own go.
#[derive(Debug, Clone)]
enum Place {
    Files { data: PathBuf, scratch: Arc<Scratch> },
    Objects { store: Arc<dyn ObjectStore>, data: Key, scratch: Key },
}

/// A directory of the store's that is removed in the end.
#[derive(Debug)]
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The name of the baseline's own directory.
pub(super) fn scratch_name(topic: &str) -> String {
    format!("raw-{topic}")
}

impl Baseline {
    /// A baseline for the objects of `topic`; nothing unless `wanted`.
    pub(super) async fn new(
        clients: &Clients,
        topic: &str,
        wanted: bool,
    ) -> Result<Option<Self>, Stop> {
        if !wanted {
            return Ok(None);
        }
        let place = match (clients.directory(), clients.data_directory(topic)) {
            (Some(root), Some(data)) => {
                let scratch = Arc::new(Scratch(root.join(scratch_name(topic))));
                let staging = scratch.0.join(STAGING);
                std::fs::create_dir_all(&staging).map_err(|error| failed(&staging, error))?;
                Place::Files { data, scratch }
            }
            _ => {
                let (store, root) = clients.connect().await?.object_store();
                let data = root.clone().join("data").join(topic);
                Place::Objects { store, data, scratch: root.join(scratch_name(topic)) }
            }
        };
        let (known, latencies) = (HashSet::new(), Latencies::new());
        Ok(Some(Self { place, known, latencies, reads: Vec::new(), raw: Raw::default() }))
    }

    /// Puts objects of the sizes of those that have come since the last time, one after the other:
    /// as fast as they go, or spread over `seconds`.
    pub(super) async fn puts(
        &mut self,
        seconds: Option<f64>,
        env: &Arc<SystemEnv>,
    ) -> Result<(), Stop> {
        let mut found = self.place.slots().await?;
        found.retain(|(name, _)| !self.known.contains(name));
        let sizes: Vec<u64> = found.iter().map(|(_, size)| *size).collect();
        self.known.extend(found.into_iter().map(|(name, _)| name));
        let interval = seconds.map_or(Duration::ZERO, |seconds| {
            Duration::from_secs_f64(seconds / sizes.len().max(1) as f64)
        });
        let largest = sizes.iter().copied().max().unwrap_or(0);
        let body = Payload::new(largest.max(8), env.random()).value(Duration::ZERO);
        let start = env.monotonic();
        for (i, &size) in sizes.iter().enumerate() {
            let due = start + interval * i as u32;
            let wait = due.saturating_sub(env.monotonic());
            if !wait.is_zero() {
                env.sleep(wait).await;
            }
            let began = env.monotonic();
            self.place.put(self.raw.objects, body.slice(..size as usize)).await?;
            self.latencies.record(env.monotonic() - began);
            self.raw.objects += 1;
            self.raw.bytes += size;
        }
        self.raw.put_seconds += (env.monotonic() - start).as_secs_f64();
        Ok(())
    }

    /// Reads the objects that were there at the last puts.
    pub(super) async fn reads(&mut self, env: &Arc<SystemEnv>) -> Result<(), Stop> {
        let mut names: Vec<String> = self.known.iter().cloned().collect();
        names.sort();
        let average = self.raw.bytes / self.raw.objects.max(1);
        let start = env.monotonic();
        self.place.read(names, average).await?;
        self.reads.push((env.monotonic() - start).as_secs_f64());
        Ok(())
    }

    pub(super) fn finish(self) -> Raw {
        let read_seconds = stats::median(self.reads, |seconds| *seconds).unwrap_or_default();
        Raw { put_ms: self.latencies.percentiles(), read_seconds, ..self.raw }
    }
}

impl Place {
    /// The log's slots in order, with their sizes.
    async fn slots(&self) -> Result<Vec<(String, u64)>, Stop> {
        match self {
            Self::Files { data, .. } => slot_files(data),
            Self::Objects { store, data, .. } => {
                let listed: Vec<_> = store.list(Some(data)).try_collect().await.map_err(refused)?;
                let mut found: Vec<(String, u64)> = listed
                    .into_iter()
                    .filter(|meta| is_slot(meta.location.filename().unwrap_or_default().as_bytes()))
                    .map(|meta| (meta.location.to_string(), meta.size))
                    .collect();
                found.sort();
                Ok(found)
            }
        }
    }

    /// Puts an object that was not there, as surely as the store can.
    async fn put(&self, number: u64, body: Bytes) -> Result<(), Stop> {
        let name = format!("{number:09}");
        match self {
            Self::Files { scratch, .. } => {
                let scratch = scratch.clone();
                blocking(move || scratch.put(&name, &body)).await
            }
            Self::Objects { store, scratch, .. } => {
                let key = scratch.clone().join(name);
                let create = PutOptions::from(PutMode::Create);
                store.put_opts(&key, body.into(), create).await.map(drop).map_err(refused)
            }
        }
    }

    /// Reads objects of about `size` bytes each, many at once where that is what a network needs.
    async fn read(&self, names: Vec<String>, size: u64) -> Result<(), Stop> {
        match self {
            Self::Files { .. } => {
                blocking(move || names.iter().try_for_each(|name| std::fs::read(name).map(drop)))
                    .await
            }
            Self::Objects { store, .. } => {
                let at_once = (GET_BYTES / size.max(1)).clamp(1, GETS as u64) as usize;
                let gets = names.into_iter().map(|name| {
                    let store = store.clone();
                    spawn(async move { store.get(&Key::from(name)).await?.bytes().await.map(drop) })
                });
                let mut gets = futures_util::stream::iter(gets).buffered(at_once);
                while let Some(done) = gets.next().await {
                    done.map_err(|error| Stop::failed(format!("internal: {error}")))?
                        .map_err(refused)?;
                }
                Ok(())
            }
        }
    }
}

impl Scratch {
    /// A file that appears whole and durable: what a put on a filesystem can't do without.
    fn put(&self, name: &str, body: &[u8]) -> std::io::Result<()> {
        let staged = self.0.join(STAGING).join(name);
        let mut file = File::create_new(&staged)?;
        file.write_all(body)?;
        file.sync_all()?;
        std::fs::hard_link(&staged, self.0.join(name))?;
        File::open(&self.0)?.sync_all()?;
        std::fs::remove_file(&staged)
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, Stop> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(|error| Stop::failed(format!("raw baseline: {error}"))),
        Err(error) => Err(Stop::failed(format!("internal: {error}"))),
    }
}

/// Whether a name is a slot's. Other objects of the log (joined segments, say) are not what a
/// producer put.
fn is_slot(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(u8::is_ascii_digit)
}

/// The slots below `directory` in order, with their sizes.
fn slot_files(directory: &Path) -> Result<Vec<(String, u64)>, Stop> {
    let mut found = Vec::new();
    let mut left = vec![directory.to_owned()];
    while let Some(directory) = left.pop() {
        let entries = std::fs::read_dir(&directory).map_err(|error| failed(&directory, error))?;
        for entry in entries {
            let entry = entry.map_err(|error| failed(&directory, error))?;
            let metadata = entry.metadata().map_err(|error| failed(&entry.path(), error))?;
            if metadata.is_dir() {
                left.push(entry.path());
            } else if is_slot(entry.file_name().as_encoded_bytes()) {
                found.push((entry.path().to_string_lossy().into_owned(), metadata.len()));
            }
        }
    }
    found.sort();
    Ok(found)
}

fn failed(path: &Path, error: std::io::Error) -> Stop {
    Stop::failed(format!("{}: {error}", path.display()))
}

pub(super) fn refused(error: object_store::Error) -> Stop {
    Stop::failed(format!("raw baseline: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_found_in_order_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let block = directory.path().join("0/0/000/000");
        std::fs::create_dir_all(&block).unwrap();
        for (name, size) in [("001", 2), ("000", 1), ("002#1", 9)] {
            std::fs::write(block.join(name), vec![0; size]).unwrap();
        }
        std::fs::write(directory.path().join("0/0/000/000.ab-0"), b"segment").unwrap();
        let found = slot_files(directory.path()).unwrap();
        let name = |slot| block.join(slot).to_string_lossy().into_owned();
        assert_eq!(found, [(name("000"), 1), (name("001"), 2)]);
    }
}
