//! What programs are told of rebalances: on the thread that polls, or on that of the event loop.

use crate::bridge::Post;
use crate::end::inside;
use kaffic_core::{OffsetCommit, PartitionPosition, RebalanceListener};
use pyo3::prelude::*;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};

/// Calls one Python function, with `"assigned"`, `"revoked"` or `"lost"` and the partitions.
pub(crate) struct Listener {
    told: Arc<Py<PyAny>>,
    /// To the event loop, in programs that have one.
    post: Option<Post>,
}

/// Topic, partition, offset.
type Place = (String, u32, i64);
/// The same, with what is to be kept with it.
type Commit = (String, u32, i64, Option<String>);

impl Listener {
    pub(crate) fn new(told: Py<PyAny>, post: Option<Post>) -> Self {
        Self { told: Arc::new(told), post }
    }

    fn tell(&self, what: &'static str, partitions: &[PartitionPosition]) -> Vec<OffsetCommit> {
        let place = |at: &PartitionPosition| (at.topic.to_string(), at.partition, at.offset);
        let places: Vec<Place> = partitions.iter().map(place).collect();
        let told = Arc::clone(&self.told);
        match &self.post {
            Some(post) if !post.is_here() => {
                let (answer, answered) = sync_channel(1);
                post.send(Box::new(move |py| {
                    let answer = Answer { to: answer };
                    (answer, &*told, what, places).into_pyobject(py)
                }));
                // The loop has to come by: this thread of the runtime steps aside for others. A loop
                // that was closed drops the errand, and with it the answer.
                tokio::task::block_in_place(|| answered.recv()).unwrap_or_default()
            }
            _ => Python::try_attach(|py| {
                let commits =
                    told.call1(py, (what, places)).and_then(|commits| commits.extract(py));
                commits.map(made).unwrap_or_else(|error| {
                    error.write_unraisable(py, Some(told.bind(py)));
                    Vec::new()
                })
            })
            .unwrap_or_default(),
        }
    }
}

/// Calls for a consumer whose poll waits for it on another thread.
#[pyclass(frozen)]
struct Answer {
    to: SyncSender<Vec<OffsetCommit>>,
}

#[pymethods]
impl Answer {
    fn __call__(&self, told: &Bound<'_, PyAny>, what: &str, places: Vec<Place>) -> PyResult<()> {
        let commits = inside(told.py(), || told.call1((what, places)))?.extract()?;
        // Nobody may wait for it any more.
        self.to.send(made(commits)).ok();
        Ok(())
    }
}

fn made(commits: Vec<Commit>) -> Vec<OffsetCommit> {
    commits.into_iter().map(commit).collect()
}

/// An offset to commit, of its parts.
pub(crate) fn commit((topic, partition, offset, metadata): Commit) -> OffsetCommit {
    let commit = OffsetCommit::new(topic, partition, offset);
    match metadata {
        Some(metadata) => commit.metadata(metadata),
        None => commit,
    }
}

impl RebalanceListener for Listener {
    fn assigned(&self, partitions: &[PartitionPosition]) {
        self.tell("assigned", partitions);
    }

    fn revoked(&self, partitions: &[PartitionPosition]) -> Vec<OffsetCommit> {
        self.tell("revoked", partitions)
    }

    fn lost(&self, partitions: &[PartitionPosition]) {
        self.tell("lost", partitions);
    }
}
