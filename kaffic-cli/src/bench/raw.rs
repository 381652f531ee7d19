//! The baseline: the same bytes in files, with nothing of kaffic in between.

use super::clients::Clients;
use super::stats::{Latencies, Percentiles};
use crate::stop::Stop;
use kaffic_core::env::{Env, SystemEnv};
use serde::Serialize;
use std::collections::HashSet;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

const STAGING: &str = "staging";

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
    data: PathBuf,
    scratch: Arc<Scratch>,
    known: HashSet<PathBuf>,
    latencies: Latencies,
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
    /// A baseline for the objects of `topic`; nothing unless `wanted`.
    pub(super) fn new(clients: &Clients, topic: &str, wanted: bool) -> Result<Option<Self>, Stop> {
        let places = (clients.directory(), clients.data_directory(topic));
        let (true, (Some(root), Some(data))) = (wanted, places) else { return Ok(None) };
        let scratch = Arc::new(Scratch(root.join(format!("raw-{topic}"))));
        let staging = scratch.0.join(STAGING);
        std::fs::create_dir_all(&staging).map_err(|error| failed(&staging, error))?;
        let (known, latencies) = (HashSet::new(), Latencies::new());
        Ok(Some(Self { data, scratch, known, latencies, raw: Raw::default() }))
    }

    /// Puts files of the sizes of the objects that have come since the last time, one after the
    /// other: as fast as they go, or spread over `seconds`.
    pub(super) async fn puts(
        &mut self,
        seconds: Option<f64>,
        env: &Arc<SystemEnv>,
    ) -> Result<(), Stop> {
        let mut found = slots(&self.data)?;
        found.retain(|(path, _)| !self.known.contains(path));
        let sizes: Vec<u64> = found.iter().map(|(_, size)| *size).collect();
        self.known.extend(found.into_iter().map(|(path, _)| path));
        let interval = seconds.map_or(Duration::ZERO, |seconds| {
            Duration::from_secs_f64(seconds / sizes.len().max(1) as f64)
        });
        let body: Arc<[u8]> = vec![b'x'; sizes.iter().copied().max().unwrap_or(0) as usize].into();
        let start = env.monotonic();
        for (i, &size) in sizes.iter().enumerate() {
            let due = start + interval * i as u32;
            let wait = due.saturating_sub(env.monotonic());
            if !wait.is_zero() {
                env.sleep(wait).await;
            }
            let began = env.monotonic();
            let (scratch, body) = (self.scratch.clone(), body.clone());
            let number = self.raw.objects;
            blocking(move || scratch.put(number, &body[..size as usize])).await?;
            self.latencies.record(env.monotonic() - began);
            self.raw.objects += 1;
            self.raw.bytes += size;
        }
        self.raw.put_seconds += (env.monotonic() - start).as_secs_f64();
        Ok(())
    }

    /// Reads the objects that were there at the last puts.
    pub(super) async fn reads(&mut self, env: &Arc<SystemEnv>) -> Result<(), Stop> {
        let mut paths: Vec<PathBuf> = self.known.iter().cloned().collect();
        paths.sort();
        let start = env.monotonic();
        blocking(move || paths.iter().try_for_each(|path| std::fs::read(path).map(drop))).await?;
        self.raw.read_seconds = (env.monotonic() - start).as_secs_f64();
        Ok(())
    }

    pub(super) fn finish(self) -> Raw {
        Raw { put_ms: self.latencies.percentiles(), ..self.raw }
    }
}

impl Scratch {
    /// A file that appears whole and durable: what a put on a filesystem can't do without.
    fn put(&self, number: u64, body: &[u8]) -> std::io::Result<()> {
        let name = format!("{number:09}");
        let staged = self.0.join(STAGING).join(&name);
        let mut file = File::create_new(&staged)?;
        file.write_all(body)?;
        file.sync_all()?;
        std::fs::hard_link(&staged, self.0.join(&name))?;
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
