//! A consumer. Records are handed out as they are polled, so that what was polled is what the program
//! has: commits and closes count nothing else.

use crate::bridge::{Bridge, Cancelled};
use crate::convert::{limit, place, settings};
use crate::failure::{guarded, raised};
use crate::handed::{Handed, rewind};
use crate::listener::{Listener, commit};
use crate::record::ConsumerRecord;
use crate::wait::{Call, block, none};
use futures_util::FutureExt;
use kaffic_bindings::failure::{Failure, Result};
use kaffic_bindings::process::{Belonging, Owned, runtime};
use kaffic_bindings::reader::{Polled, Reader, Wanted};
use kaffic_bindings::{Status, settings as read_as};
use kaffic_core::{CommittedOffset, Kaffic, PartitionPosition, RebalanceListener};
use pyo3::prelude::*;
use pyo3::types::PyList;
use std::future::Future;
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
}

impl Consumer {
    pub(crate) fn new(
        client: &Kaffic,
        pairs: Vec<(String, String)>,
        told: Option<Py<PyAny>>,
        bridge: On<'_, '_>,
    ) -> Result<Self> {
        let listener = told.map(|told| {
            let post = bridge.map(|bridge| bridge.get().post());
            Arc::new(Listener::new(told, post)) as Arc<dyn RebalanceListener>
        });
        let reader = Arc::new(Reader::new(client, settings(pairs), listener)?);
        Ok(Self { reader: Belonging::here().own(reader), handed: Arc::default() })
    }

    fn reader(&self, py: Python<'_>) -> PyResult<Arc<Reader>> {
        self.reader.get().cloned().map_err(|failure| raised(py, &failure))
    }

    /// A record that is there already.
    fn at_once(&self) -> Result<Option<kaffic_core::ConsumerRecord>> {
        let reader = self.reader.get()?;
        let found = guarded(|| {
            if let Some(record) = self.handed.again(1).pop() {
                return Ok(Some(record));
            }
            let _inside = runtime()?.enter();
            match reader.poll(1, Some(Duration::ZERO)).now_or_never() {
                Some(polled) => Ok(records(polled?)?.pop()),
                None => Ok(None),
            }
        })?;
        if let Some(record) = &found {
            self.handed.out(std::slice::from_ref(record));
        }
        Ok(found)
    }

    /// Polls, and keeps what nobody takes for the next poll.
    fn poll_for<'py>(
        &self,
        py: Python<'py>,
        bridge: On<'_, 'py>,
        (max, wait): (usize, Option<Duration>),
        convert: fn(Python<'_>, Records) -> PyResult<Py<PyAny>>,
    ) -> PyResult<Object<'py>> {
        let (reader, handed) = (self.reader(py)?, Arc::clone(&self.handed));
        let (unwanted, out) = (Arc::clone(&handed), Arc::clone(&handed));
        let work = async move {
            let again = handed.again(max);
            if again.is_empty() { records(reader.poll(max, wait).await?) } else { Ok(again) }
        };
        let convert = move |py: Python<'_>, records: Records| {
            out.out(&records);
            convert(py, records)
        };
        let Some(bridge) = bridge else {
            return Ok(convert(py, block(py, work)?)?.into_bound(py));
        };
        let unwanted = Cancelled::EndsOr(Box::new(move |records| unwanted.give_back(records)));
        bridge.get().spawn(py, work, convert, unwanted)
    }

    /// Does something that goes by what the program has been given, and by nothing else.
    fn settled<'py, T, F>(
        &self,
        call: Call<'_, 'py>,
        work: impl FnOnce(Arc<Reader>) -> F + Send + 'static,
        convert: fn(Python<'_>, T) -> PyResult<Py<PyAny>>,
    ) -> PyResult<Object<'py>>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let (reader, handed) = (self.reader(call.py)?, Arc::clone(&self.handed));
        let work = async move {
            rewind(&reader, handed.places(false)).await?;
            work(reader).await
        };
        call.run(work, convert)
    }
}

fn records(polled: Polled) -> Result<Records> {
    match polled {
        Polled::Records(records) => Ok(records),
        Polled::Woken => Err(Failure::new(Status::Interrupted, "the poll was ended by wakeup()")),
    }
}

fn one(py: Python<'_>, mut records: Records) -> PyResult<Py<PyAny>> {
    match records.pop() {
        Some(record) => Ok(Py::new(py, ConsumerRecord::from(record))?.into_any()),
        None => Ok(py.None()),
    }
}

fn many(py: Python<'_>, records: Records) -> PyResult<Py<PyAny>> {
    let records: Vec<_> = records
        .into_iter()
        .map(|record| Bound::new(py, ConsumerRecord::from(record)))
        .collect::<PyResult<_>>()?;
    Ok(PyList::new(py, records)?.into_any().unbind())
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
        let (reader, _dropped) = (self.reader(py)?, self.handed.places(true));
        let work = async move { reader.read(wanted).await };
        Call { py, bridge, limit: None, what: "subscribing" }.run(work, none)
    }

    /// The next record, or none if the consumer is finished.
    fn next(&self, py: Python<'_>) -> PyResult<Option<ConsumerRecord>> {
        if let Some(record) = self.at_once().map_err(|failure| raised(py, &failure))? {
            return Ok(Some(record.into()));
        }
        let reader = self.reader(py)?;
        let polled = block(py, async { records(reader.poll(1, None).await?) })?;
        self.handed.out(&polled);
        Ok(polled.into_iter().next().map(ConsumerRecord::from))
    }

    /// The next record if it is there already.
    fn next_now(&self, py: Python<'_>) -> PyResult<Option<ConsumerRecord>> {
        let record = self.at_once().map_err(|failure| raised(py, &failure))?;
        Ok(record.map(ConsumerRecord::from))
    }

    fn poll<'py>(
        &self,
        py: Python<'py>,
        bridge: On<'_, 'py>,
        timeout: Option<&Object<'py>>,
    ) -> PyResult<Object<'py>> {
        self.poll_for(py, bridge, (1, limit(timeout)?), one)
    }

    fn poll_batch<'py>(
        &self,
        py: Python<'py>,
        bridge: On<'_, 'py>,
        max_records: usize,
        timeout: Option<&Object<'py>>,
    ) -> PyResult<Object<'py>> {
        self.poll_for(py, bridge, (max_records, limit(timeout)?), many)
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
        let to = place("where to seek", read_as::start(to));
        self.handed.done();
        let call = Call { py, bridge, limit: None, what: "a seek" };
        self.settled(
            call,
            move |reader| async move { reader.seek(&topic, partition, to?).await },
            none,
        )
    }

    fn pause<'py>(
        &self,
        py: Python<'py>,
        bridge: On<'_, 'py>,
        partitions: Vec<(String, u32)>,
        paused: bool,
    ) -> PyResult<Object<'py>> {
        let work = move |reader: Arc<Reader>| async move {
            for (topic, partition) in partitions {
                reader.pause(&topic, partition, paused).await?;
            }
            Ok(())
        };
        self.settled(Call { py, bridge, limit: None, what: "pausing" }, work, none)
    }

    fn positions<'py>(&self, py: Python<'py>, bridge: On<'_, 'py>) -> PyResult<Object<'py>> {
        let call = Call { py, bridge, limit: None, what: "asking for positions" };
        self.settled(call, |reader| async move { reader.positions().await }, positions)
    }

    fn end_offsets<'py>(&self, py: Python<'py>, bridge: On<'_, 'py>) -> PyResult<Object<'py>> {
        let call = Call { py, bridge, limit: None, what: "asking for end offsets" };
        self.settled(call, |reader| async move { reader.end_offsets().await }, positions)
    }

    fn lag<'py>(&self, py: Python<'py>, bridge: On<'_, 'py>) -> PyResult<Object<'py>> {
        let call = Call { py, bridge, limit: None, what: "asking for the lag" };
        self.settled(call, |reader| async move { reader.lag().await }, positions)
    }

    fn committed<'py>(&self, py: Python<'py>, bridge: On<'_, 'py>) -> PyResult<Object<'py>> {
        let call = Call { py, bridge, limit: None, what: "asking what is committed" };
        self.settled(call, |reader| async move { reader.committed().await }, offsets)
    }

    fn commit<'py>(
        &self,
        py: Python<'py>,
        bridge: On<'_, 'py>,
        offsets: Option<Commits>,
        timeout: Option<&Object<'py>>,
    ) -> PyResult<Object<'py>> {
        let offsets = offsets.map(|offsets| offsets.into_iter().map(commit).collect());
        self.handed.done();
        let call = Call { py, bridge, limit: limit(timeout)?, what: "a commit" };
        self.settled(call, |reader| async move { reader.commit(offsets).await }, none)
    }

    fn commit_async<'py>(&self, py: Python<'py>, bridge: On<'_, 'py>) -> PyResult<Object<'py>> {
        self.handed.done();
        let call = Call { py, bridge, limit: None, what: "a commit" };
        self.settled(call, |reader| async move { reader.commit_async().await }, none)
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
        let convert =
            |py: Python<'_>, yes: bool| Ok(yes.into_pyobject(py)?.to_owned().into_any().unbind());
        Call { py, bridge, limit: None, what: "asking whether it is finished" }.run(work, convert)
    }

    /// With `unfinished`, what was handed out last does not count as processed.
    fn close<'py>(
        &self,
        py: Python<'py>,
        bridge: On<'_, 'py>,
        timeout: Option<&Object<'py>>,
        unfinished: bool,
    ) -> PyResult<Object<'py>> {
        let (reader, limit) = (self.reader(py)?, limit(timeout)?);
        let places = self.handed.places(unfinished);
        let work = async move {
            // Closing matters more than where the next one goes on.
            let rewound = if reader.is_closed() { Ok(()) } else { rewind(&reader, places).await };
            reader.close().await.and(rewound)
        };
        Call { py, bridge, limit, what: "closing a consumer" }.run(work, none)
    }
}
