//! Records under way: what becomes of one that was sent, or of many that were sent together.

use crate::convert::limit;
use crate::end::inside;
use crate::failure::{exception, raised};
use crate::mailbox::{Mailbox, Parcel};
use crate::wait::block;
use futures_util::FutureExt;
use futures_util::future::Shared;
use kaffic_bindings::failure::{Failure, Result};
use kaffic_bindings::process::{Belonging, Owned, limited, runtime};
use kaffic_core::Ticket;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyList;
use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;
use tokio::sync::{Mutex, OwnedMutexGuard};

/// Where a record went.
///
/// >>> import kaffic
/// >>> client = kaffic.connect("memory://")
/// >>> topic = client.create_topic("orders")
/// >>> with client.producer("orders") as producer:
/// ...     ack = producer.send(b"v", timestamp=5).result()
/// >>> ack.partition, ack.offset, ack.timestamp, ack.duplicate
/// (0, 0, 5, False)
#[pyclass(frozen, module = "kaffic", eq, hash)]
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Ack {
    /// The partition.
    #[pyo3(get)]
    partition: u32,
    /// The offset; of the first record, where several were appended at once. -1 for a duplicate.
    #[pyo3(get)]
    offset: i64,
    /// The record's timestamp in Unix milliseconds.
    #[pyo3(get)]
    timestamp: i64,
    /// The producer's name had written this sequence before: it was not written again.
    #[pyo3(get)]
    duplicate: bool,
}

impl From<kaffic_core::Ack> for Ack {
    fn from(ack: kaffic_core::Ack) -> Self {
        let kaffic_core::Ack { partition, offset, timestamp, duplicate } = ack;
        Self { partition, offset, timestamp, duplicate }
    }
}

#[pymethods]
impl Ack {
    fn __repr__(&self) -> String {
        let Self { partition, offset, timestamp, duplicate } = self;
        let duplicate = if *duplicate { "True" } else { "False" };
        format!(
            "Ack(partition={partition}, offset={offset}, timestamp={timestamp}, duplicate={duplicate})"
        )
    }
}

/// An acknowledgement as Python has it.
pub(crate) fn acked(py: Python<'_>, ack: kaffic_core::Ack) -> PyResult<Py<PyAny>> {
    Ok(Py::new(py, Ack::from(ack))?.into_any())
}

/// The acknowledgement of a record that is under way. Dropping it does not take the record back.
///
/// >>> import kaffic
/// >>> client = kaffic.connect("memory://")
/// >>> topic = client.create_topic("orders")
/// >>> with client.producer("orders") as producer:
/// ...     delivery = producer.send(b"v")
/// ...     print(delivery.result(timeout=10).offset, delivery.done(), delivery.exception())
/// 0 True None
#[pyclass(frozen, module = "kaffic")]
pub(crate) struct Delivery {
    ticket: Owned<Shared<Ticket>>,
}

impl Delivery {
    pub(crate) fn new(ticket: Ticket) -> Self {
        Self { ticket: Belonging::here().own(ticket.shared()) }
    }

    fn ticket(&self, py: Python<'_>) -> PyResult<Shared<Ticket>> {
        self.ticket.get().cloned().map_err(|failure| raised(py, &failure))
    }

    fn outcome(
        &self,
        py: Python<'_>,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Result<kaffic_core::Ack>> {
        let (limit, ticket) = (limit(timeout)?, self.ticket(py)?);
        if let Some(done) = ticket.clone().now_or_never() {
            return Ok(done.map_err(Failure::from));
        }
        // A failure of the record is an outcome; that the time ran out is not.
        let outcome = async { Ok(ticket.await.map_err(Failure::from)) };
        block(py, limited(limit, "the delivery of a record", outcome))
    }
}

/// Has somebody called when the work is done.
fn when<F>(py: Python<'_>, work: F, delivery: Py<PyAny>, callback: Py<PyAny>) -> PyResult<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    static MAILBOX: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let find = MAILBOX.get_or_try_init(py, || {
        py.import("kaffic._threads")?.getattr("deliveries").map(Bound::unbind)
    })?;
    let mailbox = inside(py, || find.bind(py).call0())?;
    let mailbox = Arc::clone(&mailbox.cast::<Mailbox>()?.get().shared);
    let runtime = runtime().map_err(|failure| raised(py, &failure))?;
    runtime.spawn(async move {
        work.await;
        mailbox.push(Parcel::Delivered { delivery, callback });
    });
    Ok(())
}

#[pymethods]
impl Delivery {
    /// Waits for the acknowledgement: the record is durable then. Raises what became of it otherwise, or `KafficTimeout` after `timeout` seconds.
    #[pyo3(signature = (timeout=None))]
    fn result(&self, py: Python<'_>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<Ack> {
        self.outcome(py, timeout)?.map(Ack::from).map_err(|failure| raised(py, &failure))
    }

    /// Waits as `result` does, and returns the failure; None if there is none.
    #[pyo3(signature = (timeout=None))]
    fn exception<'py>(
        &self,
        py: Python<'py>,
        timeout: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.outcome(py, timeout)?.err().map(|failure| exception(py, &failure)).transpose()
    }

    /// Whether it is acknowledged or has failed.
    fn done(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(self.ticket(py)?.now_or_never().is_some())
    }

    /// Has `callback` called with this when it is done, on a thread of the library's, where calls
    /// come one at a time. What it raises is logged.
    #[pyo3(signature = (callback, /))]
    fn add_done_callback(slf: &Bound<'_, Self>, callback: Py<PyAny>) -> PyResult<()> {
        let ticket = slf.get().ticket(slf.py())?;
        let work = ticket.map(|_outcome| ());
        when(slf.py(), work, slf.clone().into_any().unbind(), callback)
    }
}

/// What became of each record of many.
pub(crate) type Outcomes = Vec<Result<kaffic_core::Ack>>;

/// Records that were sent together, in their order: some known, the others under way.
#[derive(Default)]
pub(crate) struct Under {
    known: Outcomes,
    waiting: VecDeque<Result<Ticket>>,
}

impl Under {
    fn new(entries: Vec<Result<Ticket>>) -> Self {
        Self { known: Vec::with_capacity(entries.len()), waiting: entries.into() }
    }

    /// Of records that are all known.
    pub(crate) fn of(known: Outcomes) -> Self {
        Self { known, waiting: VecDeque::new() }
    }

    /// Waits for all. Whoever stops waiting loses nothing.
    pub(crate) async fn settle(&mut self) {
        while let Some(entry) = self.waiting.front_mut() {
            let outcome = match entry {
                Ok(ticket) => ticket.await.map_err(Failure::from),
                Err(failure) => Err(failure.clone()),
            };
            self.known.push(outcome);
            self.waiting.pop_front();
        }
    }

    /// Acknowledgements in order. A failure is raised, or stands where its record was.
    pub(crate) fn listed(&self, py: Python<'_>, raises: bool) -> PyResult<Py<PyAny>> {
        let list = PyList::empty(py);
        for outcome in &self.known {
            match outcome {
                Ok(ack) => list.append(Bound::new(py, Ack::from(*ack))?)?,
                Err(failure) if raises => return Err(raised(py, failure)),
                Err(failure) => list.append(exception(py, failure)?)?,
            }
        }
        Ok(list.into_any().unbind())
    }
}

/// The acknowledgements of records that were sent together.
///
/// >>> import kaffic
/// >>> client = kaffic.connect("memory://")
/// >>> topic = client.create_topic("orders")
/// >>> with client.producer("orders") as producer:
/// ...     sent = producer.send_batch([b"one", b"two"])
/// ...     print(len(sent), [ack.offset for ack in sent.result(timeout=10)], sent.done())
/// 2 [0, 1] True
#[pyclass(frozen, module = "kaffic")]
pub(crate) struct Deliveries {
    under: Owned<Arc<Mutex<Under>>>,
    count: usize,
}

impl Deliveries {
    pub(crate) fn new(entries: Vec<Result<Ticket>>) -> Self {
        let count = entries.len();
        let under = Arc::new(Mutex::new(Under::new(entries)));
        Self { under: Belonging::here().own(under), count }
    }

    fn under(&self, py: Python<'_>) -> PyResult<Arc<Mutex<Under>>> {
        self.under.get().cloned().map_err(|failure| raised(py, &failure))
    }

    fn settled(
        &self,
        py: Python<'_>,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<OwnedMutexGuard<Under>> {
        let (limit, under) = (limit(timeout)?, self.under(py)?);
        let work = async {
            let mut under = under.lock_owned().await;
            under.settle().await;
            Ok(under)
        };
        block(py, limited(limit, "the delivery of records", work))
    }
}

#[pymethods]
impl Deliveries {
    fn __len__(&self) -> usize {
        self.count
    }

    /// Waits for all, in the order of the records. Raises the first failure, or `KafficTimeout` after `timeout` seconds.
    #[pyo3(signature = (timeout=None))]
    fn result(&self, py: Python<'_>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<Py<PyAny>> {
        self.settled(py, timeout)?.listed(py, true)
    }

    /// The same, with a failure where its record was.
    #[pyo3(signature = (timeout=None))]
    fn outcomes(&self, py: Python<'_>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<Py<PyAny>> {
        self.settled(py, timeout)?.listed(py, false)
    }

    /// Whether all are acknowledged or have failed.
    fn done(&self, py: Python<'_>) -> PyResult<bool> {
        let under = self.under(py)?;
        Ok(under.try_lock().is_ok_and(|mut under| under.settle().now_or_never().is_some()))
    }

    /// Has `callback` called with this when all are done, as `Delivery.add_done_callback`.
    #[pyo3(signature = (callback, /))]
    fn add_done_callback(slf: &Bound<'_, Self>, callback: Py<PyAny>) -> PyResult<()> {
        let under = slf.get().under(slf.py())?;
        let work = async move { under.lock().await.settle().await };
        when(slf.py(), work, slf.clone().into_any().unbind(), callback)
    }
}
