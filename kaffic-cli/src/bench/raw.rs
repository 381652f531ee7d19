//! The baseline: the same bytes in files, with nothing of kaffic in between.

use super::clients::Clients;
use super::stats::{Latencies, Percentiles};
use crate::stop::Stop;
use kaffic_core::env::{Env, SystemEnv};
use kaffic_core::object_store::local::LocalFileSystem;
use kaffic_core::object_store::path::Path as Key;
use kaffic_core::object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use serde::Serialize;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// What the baseline measured.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Raw {
    /// The log's objects after the produce phase, whose sizes were put and which were read.
    pub(super) objects: u64,
    pub(super) bytes: u64,
    pub(super) put_seconds: f64,
    pub(super) put_ms: Percentiles,
    pub(super) read_seconds: f64,
    /// Puts of as many objects, of the same sizes, in the same time as the paced phase.
    pub(super) paced_objects: u64,
    pub(super) paced_put_ms: Percentiles,
}

/// A baseline under measurement.
#[derive(Debug)]
pub(super) struct Baseline {
    data: PathBuf,
    scratch: Scratch,
    produced: Vec<(PathBuf, u64)>,
    raw: Raw,
}

/// A directory of the store's that is removed in the end.
#[derive(Debug)]
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Baseline {
    /// Looks at the objects that the produce phase has left; nothing unless `wanted`.
    pub(super) fn new(clients: &Clients, topic: &str, wanted: bool) -> Result<Option<Self>, Stop> {
        let places = (clients.directory(), clients.data_directory(topic));
        let (true, (Some(root), Some(data))) = (wanted, places) else { return Ok(None) };
        let scratch = Scratch(root.join(format!("raw-{topic}")));
        std::fs::create_dir_all(&scratch.0).map_err(|error| failed(&scratch.0, error))?;
        let produced = slots(&data)?;
        let raw = Raw {
            objects: produced.len() as u64,
            bytes: produced.iter().map(|(_, size)| size).sum(),
            ..Raw::default()
        };
        Ok(Some(Self { data, scratch, produced, raw }))
    }

    /// Puts one after the other and gets one after the other, as fast as they go.
    pub(super) async fn throughput(&mut self, env: &Arc<SystemEnv>) -> Result<(), Stop> {
        let sizes: Vec<u64> = self.produced.iter().map(|(_, size)| *size).collect();
        let (seconds, latencies) = self.puts("full", &sizes, Duration::ZERO, env).await?;
        self.raw.put_seconds = seconds;
        self.raw.put_ms = latencies.percentiles();
        let store = LocalFileSystem::new_with_prefix(&self.data)?;
        let start = env.monotonic();
        for (path, _) in &self.produced {
            let key = path.strip_prefix(&self.data).unwrap_or(path);
            let key: Key = key.iter().map(|part| part.to_string_lossy().into_owned()).collect();
            store.get(&key).await?.bytes().await?;
        }
        self.raw.read_seconds = (env.monotonic() - start).as_secs_f64();
        Ok(())
    }

    /// Puts the objects of the produce phase again, over as long a time as it took.
    pub(super) async fn paced_like_produce(
        &mut self,
        seconds: f64,
        env: &Arc<SystemEnv>,
    ) -> Result<(), Stop> {
        let sizes: Vec<u64> = self.produced.iter().map(|(_, size)| *size).collect();
        self.paced(&sizes, seconds, env).await
    }

    /// Puts the objects that came since the produce phase, over `seconds`.
    pub(super) async fn paced_like_end_to_end(
        &mut self,
        seconds: f64,
        env: &Arc<SystemEnv>,
    ) -> Result<(), Stop> {
        let known: HashSet<&Path> = self.produced.iter().map(|(path, _)| path.as_path()).collect();
        let sizes: Vec<u64> = slots(&self.data)?
            .iter()
            .filter(|(path, _)| !known.contains(path.as_path()))
            .map(|(_, size)| *size)
            .collect();
        self.paced(&sizes, seconds, env).await
    }

    pub(super) fn finish(self) -> Raw {
        self.raw
    }

    async fn paced(
        &mut self,
        sizes: &[u64],
        seconds: f64,
        env: &Arc<SystemEnv>,
    ) -> Result<(), Stop> {
        let interval = Duration::from_secs_f64(seconds / sizes.len().max(1) as f64);
        let (_, latencies) = self.puts("paced", sizes, interval, env).await?;
        self.raw.paced_objects = sizes.len() as u64;
        self.raw.paced_put_ms = latencies.percentiles();
        Ok(())
    }

    /// Fsynced puts of new files; the seconds they took together, and each of them.
    async fn puts(
        &self,
        name: &str,
        sizes: &[u64],
        interval: Duration,
        env: &Arc<SystemEnv>,
    ) -> Result<(f64, Latencies), Stop> {
        let directory = self.scratch.0.join(name);
        std::fs::create_dir_all(&directory).map_err(|error| failed(&directory, error))?;
        let store = LocalFileSystem::new_with_prefix(&directory)?.with_fsync(true);
        let mut latencies = Latencies::new();
        let start = env.monotonic();
        for (i, &size) in sizes.iter().enumerate() {
            let due = start + interval * i as u32;
            let wait = due.saturating_sub(env.monotonic());
            if !wait.is_zero() {
                env.sleep(wait).await;
            }
            let body = PutPayload::from(vec![b'x'; size as usize]);
            let options = PutOptions::from(PutMode::Create);
            let began = env.monotonic();
            store.put_opts(&Key::from(format!("{i:09}")), body, options).await?;
            latencies.record(env.monotonic() - began);
        }
        Ok(((env.monotonic() - start).as_secs_f64(), latencies))
    }
}

/// The slots below `directory` in order, with their sizes. Other files of the log (joined
/// segments, say) are not what a producer put.
fn slots(directory: &Path) -> Result<Vec<(PathBuf, u64)>, Stop> {
    let mut found = Vec::new();
    let mut left = vec![directory.to_owned()];
    while let Some(directory) = left.pop() {
        let entries = std::fs::read_dir(&directory).map_err(|error| failed(&directory, error))?;
        for entry in entries {
            let entry = entry.map_err(|error| failed(&directory, error))?;
            let metadata = entry.metadata().map_err(|error| failed(&entry.path(), error))?;
            let name = entry.file_name();
            if metadata.is_dir() {
                left.push(entry.path());
            } else if name.as_encoded_bytes().iter().all(u8::is_ascii_digit) {
                found.push((entry.path(), metadata.len()));
            }
        }
    }
    found.sort();
    Ok(found)
}

fn failed(path: &Path, error: std::io::Error) -> Stop {
    Stop::failed(format!("{}: {error}", path.display()))
}

impl From<kaffic_core::object_store::Error> for Stop {
    fn from(error: kaffic_core::object_store::Error) -> Self {
        Self::failed(format!("raw baseline: {error}"))
    }
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
        let found = slots(directory.path()).unwrap();
        assert_eq!(found, [(block.join("000"), 1), (block.join("001"), 2)]);
    }
}
