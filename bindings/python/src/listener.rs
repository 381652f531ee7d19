//! What programs are told of rebalances: on the thread that polls, or on that of the event loop.

use crate::bridge::Post;
use crate::end::inside;
use kaffic_core::{OffsetCommit, PartitionPosition, RebalanceListener};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Who is told, as long as anybody is: the consumer that has this lets go of it, also as garbage. The
/// locks are held for moments, and never while Python's code runs.
#[derive(Default)]
pub(crate) struct Told {
    call: Mutex<Option<Py<PyAny>>>,
    ended: Mutex<Option<PyErr>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Told {
    pub(crate) fn new(call: Py<PyAny>) -> Self {
        Self { call: Mutex::new(Some(call)), ended: Mutex::default() }
    }

    /// A reference of one's own, which garbage collection sees.
    fn call(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        locked(&self.call).as_ref().map(|call| call.clone_ref(py))
    }

    /// What a callback has raised that is to end the program, such as KeyboardInterrupt.
    pub(crate) fn ended(&self) -> Option<PyErr> {
        locked(&self.ended).take()
    }

    /// Nobody is told any more.
    pub(crate) fn forget(&self) {
        let call = locked(&self.call).take();
        drop(call);
    }

    pub(crate) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self.call.try_lock() {
            Ok(call) => visit.call(&*call),
            Err(_) => Ok(()),
        }
    }
}

/// Calls one Python function, with `"assigned"`, `"revoked"` or `"lost"` and the partitions.
pub(crate) struct Listener {
    told: Arc<Told>,
    /// To the event loop, in programs that have one.
    post: Option<Post>,
}

/// Topic, partition, offset.
type Place = (String, u32, i64);
/// The same, with what is to be kept with it.
type Commit = (String, u32, i64, Option<String>);

impl Listener {
    pub(crate) fn new(told: Arc<Told>, post: Option<Post>) -> Self {
        Self { told, post }
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
                    (answer, told.call(py), what, places).into_pyobject(py)
                }));
                // The loop has to come by: this thread of the runtime steps aside for others. A loop
                // that was closed drops the errand, and with it the answer.
                tokio::task::block_in_place(|| answered.recv()).unwrap_or_default()
            }
            _ => Python::try_attach(|py| {
                let Some(call) = told.call(py) else { return Vec::new() };
                match call.call1(py, (what, places)) {
                    Ok(commits) => commits.extract(py).map(made).unwrap_or_else(|error| {
                        error.write_unraisable(py, Some(call.bind(py)));
                        Vec::new()
                    }),
                    // Other exceptions have been logged.
                    Err(ended) => {
                        *locked(&told.ended) = Some(ended);
                        Vec::new()
                    }
                }
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
        let call = || -> PyResult<Vec<Commit>> {
            if told.is_none() {
                return Ok(Vec::new());
            }
            inside(told.py(), || told.call1((what, places)))?.extract()
        };
        let commits = call();
        // Also what raised is answered: this may live on in its traceback. Nobody may wait for it any more.
        self.to.send(commits.as_ref().map_or_else(|_| Vec::new(), |all| made(all.clone()))).ok();
        commits.map(|_| ())
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
