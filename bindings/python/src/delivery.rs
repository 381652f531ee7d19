//! Records under way: what becomes of one that was sent, or of many that were sent together.

use crate::convert::limit;
use crate::end::inside;
use crate::failure::{exception, raised};
use crate::mailbox::{Mailbox, Outstanding, Parcel, Shared as Post};
use crate::promises::Promises;
use crate::wait::block;
use futures_util::FutureExt;
use futures_util::future::Shared;
use kaffic_bindings::failure::{Failure, Result};
use kaffic_bindings::process::{Belonging, Owned, limited, runtime};
use kaffic_core::Ticket;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyList, PyTuple};
use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;
use tokio::sync::{Mutex, OwnedMutexGuard};

/// Where a record went. It may be compared, hashed and pickled.
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
    #[new]
    #[pyo3(signature = (partition, offset, timestamp, duplicate=false))]
    fn new(partition: u32, offset: i64, timestamp: i64, duplicate: bool) -> Self {
        Self { partition, offset, timestamp, duplicate }
    }

    fn __reduce__<'py>(
        slf: &Bound<'py, Self>,
    ) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
        let Self { partition, offset, timestamp, duplicate } = *slf.get();
        let parts = (partition, offset, timestamp, duplicate).into_pyobject(slf.py())?;
        Ok((slf.get_type().into_any(), parts))
    }

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
    promises: Arc<Promises>,
}

impl Delivery {
    pub(crate) fn new(ticket: Ticket, promises: Arc<Promises>) -> Self {
        Self { ticket: Belonging::here().own(ticket.shared()), promises }
    }

    /// Has somebody called when it is done.
    pub(crate) fn tells(slf: &Bound<'_, Self>, callback: Callback) -> PyResult<()> {
        let ticket = slf.get().ticket(slf.py())?;
        callback.when(slf.py(), ticket.map(|_outcome| ()), slf.clone().into_any().unbind())
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

/// Somebody who is to be called, and has a place among those who are.
pub(crate) struct Callback {
    callback: Py<PyAny>,
    mailbox: Arc<Post>,
    outstanding: Outstanding,
}

impl Callback {
    /// Waits while too many are outstanding.
    pub(crate) fn new(
        py: Python<'_>,
        callback: Py<PyAny>,
        promises: &Arc<Promises>,
    ) -> PyResult<Self> {
        static MAILBOX: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let find = MAILBOX.get_or_try_init(py, || {
            py.import("kaffic._threads")?.getattr("deliveries").map(Bound::unbind)
        })?;
        let mailbox = inside(py, || find.bind(py).call0())?;
        let mailbox = Arc::clone(&mailbox.cast::<Mailbox>()?.get().shared);
        let outstanding = mailbox.outstanding(py, promises.make())?;
        Ok(Self { callback, mailbox, outstanding })
    }

    /// To be called with `delivery` when the work is done.
    fn when<F>(self, py: Python<'_>, work: F, delivery: Py<PyAny>) -> PyResult<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let runtime = runtime().map_err(|failure| raised(py, &failure))?;
        runtime.spawn(async move {
            let Self { callback, mailbox, outstanding } = self;
            work.await;
            mailbox.push(Parcel::Delivered { delivery, callback, outstanding });
        });
        Ok(())
    }
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
    /// come one at a time. What it raises is logged. Waits while 100,000 calls are outstanding in the
    /// process, but on that thread.
    #[pyo3(signature = (callback, /))]
    fn add_done_callback(slf: &Bound<'_, Self>, callback: Py<PyAny>) -> PyResult<()> {
        // Not that it waits and then says what it could have said before.
        slf.get().ticket.get().map_err(|failure| raised(slf.py(), &failure))?;
        Self::tells(slf, Callback::new(slf.py(), callback, &slf.get().promises)?)
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

    /// Acknowledgements in order. The first failure is raised, and has all outcomes.
    pub(crate) fn acks(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let outcomes = self.outcomes(py)?;
        let Some(at) = self.known.iter().position(Result::is_err) else {
            return Ok(outcomes.into_any().unbind());
        };
        let first = outcomes.get_item(at)?;
        first.setattr("outcomes", outcomes)?;
        Err(PyErr::from_value(first))
    }

    /// The same, with a failure where its record was.
    fn outcomes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let list = PyList::empty(py);
        for outcome in &self.known {
            match outcome {
                Ok(ack) => list.append(Bound::new(py, Ack::from(*ack))?)?,
                Err(failure) => list.append(exception(py, failure)?)?,
            }
        }
        Ok(list)
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
    promises: Arc<Promises>,
}

impl Deliveries {
    pub(crate) fn new(entries: Vec<Result<Ticket>>, promises: Arc<Promises>) -> Self {
        let count = entries.len();
        let under = Arc::new(Mutex::new(Under::new(entries)));
        Self { under: Belonging::here().own(under), count, promises }
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

    /// Waits for all, in the order of the records. Raises the first failure, which has all `outcomes`,
    /// or `KafficTimeout` after `timeout` seconds.
    #[pyo3(signature = (timeout=None))]
    fn result(&self, py: Python<'_>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<Py<PyAny>> {
        self.settled(py, timeout)?.acks(py)
    }

    /// The same, with a failure where its record was.
    #[pyo3(signature = (timeout=None))]
    fn outcomes<'py>(
        &self,
        py: Python<'py>,
        timeout: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyList>> {
        self.settled(py, timeout)?.outcomes(py)
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
        let callback = Callback::new(slf.py(), callback, &slf.get().promises)?;
        let work = async move { under.lock().await.settle().await };
        callback.when(slf.py(), work, slf.clone().into_any().unbind())
    }
}
