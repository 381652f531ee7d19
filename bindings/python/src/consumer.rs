//! A consumer. Records are handed out as they are polled, so that what was polled is what the program
//! has: commits and closes count nothing else.

use crate::bridge::Bridge;
use crate::convert::{limit, place, settings};
use crate::failure::{guarded, raised};
use crate::handed::Handed;
use crate::listener::{Listener, Told, commit};
use crate::record::ConsumerRecord;
use crate::wait::{Call, block, none};
use kaffic_bindings::failure::{Failure, Result};
use kaffic_bindings::process::{Belonging, Owned, runtime};
use kaffic_bindings::reader::{Polled, Reader, Wanted};
use kaffic_bindings::{Status, settings as read_as};
use kaffic_core::{CommittedOffset, Kaffic, OffsetCommit, PartitionPosition, RebalanceListener};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::PyList;
use std::sync::Arc;
use std::time::Duration;

type Object<'py> = Bound<'py, PyAny>;
type On<'a, 'py> = Option<&'a Bound<'py, Bridge>>;
type Records = Vec<kaffic_core::ConsumerRecord>;
type Commits = Vec<(String, u32, i64, Option<String>)>;

/// Reads topics.
#[pyclass(frozen, module = "kaffic._kaffic")]
pub(crate) struct Consumer {
    reader: Owned<Arc<Reader>>,
    handed: Arc<Handed>,
    told: Option<Arc<Told>>,
    /// Of an event loop, whose thread never waits.
    on_loop: bool,
}

impl Consumer {
    pub(crate) fn new(
        client: &Kaffic,
        pairs: Vec<(String, String)>,
        told: Option<Py<PyAny>>,
        bridge: On<'_, '_>,
    ) -> Result<Self> {
        let told = told.map(|told| Arc::new(Told::new(told)));
        let listener = told.clone().map(|told| {
            let post = bridge.map(|bridge| bridge.get().post());
            Arc::new(Listener::new(told, post)) as Arc<dyn RebalanceListener>
        });
        let reader = Arc::new(Reader::new(client, settings(pairs), listener)?);
        let (reader, on_loop) = (Belonging::here().own(reader), bridge.is_some());
        Ok(Self { reader, handed: Arc::default(), told, on_loop })
    }

    fn reader(&self, py: Python<'_>) -> PyResult<Arc<Reader>> {
        self.reader.get().cloned().map_err(|failure| raised(py, &failure))
    }

    /// Records that are there already.
    fn at_once(&self, py: Python<'_>, max: usize) -> PyResult<Records> {
        self.handed.done();
        let taken = self.reader.get().and_then(|reader| {
            guarded(|| {
                let _inside = runtime()?.enter();
                reader.take(max)
            })
        });
        self.given(py, taken.map_err(|failure| raised(py, &failure)))
    }

    /// Waits on this thread.
    fn waited(&self, py: Python<'_>, max: usize, wait: Option<Duration>) -> PyResult<Records> {
        let reader = self.reader(py)?;
        self.handed.done();
        let polled = block(py, async {
            match reader.poll(max, wait).await? {
                Polled::Records(records) => Ok(records),
                Polled::Woken => Err(woken()),
            }
        });
        self.given(py, polled)
    }

    /// Hands out what was polled. What a callback has raised to end the program comes first, and the
    /// records come again.
    fn given(&self, py: Python<'_>, polled: PyResult<Records>) -> PyResult<Records> {
        if let Ok(records) = &polled {
            self.handed.out(records);
        }
        let Some(ended) = self.ended() else { return polled };
        if !self.on_loop && polled.is_ok() {
            let reader = self.reader(py)?;
            // What can't be gone back to now is when the consumer is left.
            block(py, self.handed.rewind(&reader)).ok();
        }
        Err(ended)
    }

    fn ended(&self) -> Option<PyErr> {
        self.told.as_ref().and_then(|told| told.ended())
    }

    /// What a call came to that may have called callbacks on this thread.
    fn called<'py>(&self, came: PyResult<Object<'py>>) -> PyResult<Object<'py>> {
        match self.ended() {
            Some(ended) if !self.on_loop => Err(ended),
            _ => came,
        }
    }
}

fn woken() -> Failure {
    Failure::new(Status::Interrupted, "the poll was ended by wakeup()")
}

fn listed(py: Python<'_>, records: Records) -> PyResult<Bound<'_, PyList>> {
    let records: Vec<_> = records
        .into_iter()
        .map(|record| Bound::new(py, ConsumerRecord::from(record)))
        .collect::<PyResult<_>>()?;
    PyList::new(py, records)
}

fn positions(py: Python<'_>, positions: Vec<PartitionPosition>) -> PyResult<Py<PyAny>> {
    let places = positions.iter().map(|at| (&*at.topic, at.partition, at.offset));
    Ok(PyList::new(py, places.collect::<Vec<_>>())?.into_any().unbind())
}

fn offsets(py: Python<'_>, offsets: Vec<CommittedOffset>) -> PyResult<Py<PyAny>> {
    let places =
        offsets.iter().map(|at| (&*at.topic, at.partition, at.offset, at.metadata.as_deref()));
    Ok(PyList::new(py, places.collect::<Vec<_>>())?.into_any().unbind())
}

fn yes(py: Python<'_>, yes: bool) -> PyResult<Py<PyAny>> {
    Ok(yes.into_pyobject(py)?.to_owned().into_any().unbind())
}

#[pymethods]
impl Consumer {
    /// Topics, a pattern, or partitions: one of them is given.
    #[pyo3(signature = (bridge, topics, pattern, partitions))]
    fn read<'py>(
        &self,
        py: Python<'py>,
        bridge: On<'_, 'py>,
        topics: Option<Vec<String>>,
        pattern: Option<String>,
        partitions: Option<Vec<(String, u32, Option<i64>)>>,
    ) -> PyResult<Object<'py>> {
        let wanted = match (topics, pattern, partitions) {
            (Some(topics), _, _) => Wanted::Topics(topics),
            (_, Some(pattern), _) => Wanted::Pattern(pattern),
            (_, _, partitions) => Wanted::Partitions(partitions.unwrap_or_default()),
        };
        let (reader, handed) = (self.reader(py)?, Arc::clone(&self.handed));
        let work = async move {
            reader.read(wanted).await?;
            handed.done();
            Ok(())
        };
        self.called(Call { py, bridge, limit: None, what: "subscribing" }.run(work, none))
    }

    /// The next record, or none if the consumer is finished.
    fn next(&self, py: Python<'_>) -> PyResult<Option<ConsumerRecord>> {
        let mut records = self.at_once(py, 1)?;
        if records.is_empty() {
            records = self.waited(py, 1, None)?;
        }
        Ok(records.pop().map(ConsumerRecord::from))
    }

    fn poll(
        &self,
        py: Python<'_>,
        timeout: Option<&Object<'_>>,
    ) -> PyResult<Option<ConsumerRecord>> {
        Ok(self.waited(py, 1, limit(timeout)?)?.pop().map(ConsumerRecord::from))
    }

    fn poll_batch<'py>(
        &self,
        py: Python<'py>,
        max_records: usize,
        timeout: Option<&Object<'py>>,
    ) -> PyResult<Bound<'py, PyList>> {
        listed(py, self.waited(py, max_records, limit(timeout)?)?)
    }

    /// The next record if it is there already.
    fn take(&self, py: Python<'_>) -> PyResult<Option<ConsumerRecord>> {
        Ok(self.at_once(py, 1)?.pop().map(ConsumerRecord::from))
    }

    /// Up to so many records that are there already.
    fn take_batch<'py>(&self, py: Python<'py>, max_records: usize) -> PyResult<Bound<'py, PyList>> {
        listed(py, self.at_once(py, max_records)?)
    }

    /// A future of whether there are records to take.
    fn ready<'py>(
        &self,
        py: Python<'py>,
        bridge: &Bound<'py, Bridge>,
        timeout: Option<&Object<'py>>,
    ) -> PyResult<Object<'py>> {
        let (reader, wait) = (self.reader(py)?, limit(timeout)?);
        let work = async move { reader.ready(wait).await?.ok_or_else(woken) };
        Call { py, bridge: Some(bridge), limit: None, what: "a poll" }.run(work, yes)
    }

    fn wake(&self, py: Python<'_>) -> PyResult<()> {
        self.reader(py)?.wake();
        Ok(())
    }

    fn seek<'py>(
        &self,
        py: Python<'py>,
        bridge: On<'_, 'py>,
        topic: String,
        partition: u32,
        to: &str,
    ) -> PyResult<Object<'py>> {
        let (reader, to) = (self.reader(py)?, place("where to seek", read_as::start(to)));
        let handed = Arc::clone(&self.handed);
        let work = async move {
            reader.seek(&topic, partition, to?).await?;
            handed.done_with(&topic, partition);
            Ok(())
        };
        Call { py, bridge, limit: None, what: "a seek" }.run(work, none)
    }

    fn pause<'py>(
        &self,
        py: Python<'py>,
        bridge: On<'_, 'py>,
        partitions: Vec<(String, u32)>,
        paused: bool,
    ) -> PyResult<Object<'py>> {
        let reader = self.reader(py)?;
        let work = async move {
            for (topic, partition) in partitions {
                reader.pause(&topic, partition, paused).await?;
            }
            Ok(())
        };
        Call { py, bridge, limit: None, what: "pausing" }.run(work, none)
    }

    fn positions<'py>(&self, py: Python<'py>, bridge: On<'_, 'py>) -> PyResult<Object<'py>> {
        let reader = self.reader(py)?;
        let work = async move { reader.positions().await };
        Call { py, bridge, limit: None, what: "asking for positions" }.run(work, positions)
    }

    fn end_offsets<'py>(&self, py: Python<'py>, bridge: On<'_, 'py>) -> PyResult<Object<'py>> {
        let reader = self.reader(py)?;
        let work = async move { reader.end_offsets().await };
        Call { py, bridge, limit: None, what: "asking for end offsets" }.run(work, positions)
    }

    fn lag<'py>(&self, py: Python<'py>, bridge: On<'_, 'py>) -> PyResult<Object<'py>> {
        let reader = self.reader(py)?;
        let work = async move { reader.lag().await };
        Call { py, bridge, limit: None, what: "asking for the lag" }.run(work, positions)
    }

    fn committed<'py>(&self, py: Python<'py>, bridge: On<'_, 'py>) -> PyResult<Object<'py>> {
        let reader = self.reader(py)?;
        let work = async move { reader.committed().await };
        Call { py, bridge, limit: None, what: "asking what is committed" }.run(work, offsets)
    }

    fn commit<'py>(
        &self,
        py: Python<'py>,
        bridge: On<'_, 'py>,
        offsets: Option<Commits>,
        timeout: Option<&Object<'py>>,
    ) -> PyResult<Object<'py>> {
        let (reader, limit) = (self.reader(py)?, limit(timeout)?);
        let offsets = offsets.map(|all| all.into_iter().map(commit).collect::<Vec<OffsetCommit>>());
        let handed = Arc::clone(&self.handed);
        let work = async move {
            reader.commit(offsets.clone()).await?;
            match offsets {
                None => handed.done(),
                Some(offsets) => handed.done_before(&offsets),
            }
            Ok(())
        };
        Call { py, bridge, limit, what: "a commit" }.run(work, none)
    }

    fn commit_async<'py>(&self, py: Python<'py>, bridge: On<'_, 'py>) -> PyResult<Object<'py>> {
        let (reader, handed) = (self.reader(py)?, Arc::clone(&self.handed));
        let work = async move {
            reader.commit_async().await?;
            handed.done();
            Ok(())
        };
        Call { py, bridge, limit: None, what: "a commit" }.run(work, none)
    }

    fn member_name<'py>(&self, py: Python<'py>, bridge: On<'_, 'py>) -> PyResult<Object<'py>> {
        let reader = self.reader(py)?;
        let work = async move { reader.member_name().await };
        let convert = |py: Python<'_>, name: Option<String>| Ok(name.into_pyobject(py)?.unbind());
        Call { py, bridge, limit: None, what: "asking for the name" }.run(work, convert)
    }

    fn is_finished<'py>(&self, py: Python<'py>, bridge: On<'_, 'py>) -> PyResult<Object<'py>> {
        let reader = self.reader(py)?;
        let work = async move { Ok(reader.is_finished().await) };
        Call { py, bridge, limit: None, what: "asking whether it is finished" }.run(work, yes)
    }

    /// With `unfinished`, what was handed out last does not count as processed, neither now nor where
    /// closing has to be tried again.
    fn close<'py>(
        &self,
        py: Python<'py>,
        bridge: On<'_, 'py>,
        timeout: Option<&Object<'py>>,
        unfinished: bool,
    ) -> PyResult<Object<'py>> {
        let (reader, limit) = (self.reader(py)?, limit(timeout)?);
        if unfinished {
            self.handed.leave();
        }
        self.handed.done();
        let processed = self.handed.first();
        let work = async move { reader.close_at(processed).await };
        let told = self.told.clone();
        let convert = |py: Python<'_>, ()| {
            told.inspect(|told| told.forget());
            Ok(py.None())
        };
        self.called(Call { py, bridge, limit, what: "closing a consumer" }.run(work, convert))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.told.as_ref().map_or(Ok(()), |told| told.traverse(&visit))
    }

    fn __clear__(&self) {
        self.told.as_ref().inspect(|told| told.forget());
    }
}
