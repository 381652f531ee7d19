//! A producer: records into the buffer at once where there is room, and a future-like each of what
//! becomes of them.

use crate::bridge::Bridge;
use crate::convert::limit;
use crate::delivery::{Callback, Deliveries, Delivery, Under, acked};
use crate::failure::{guarded, raised};
use crate::mailbox;
use crate::promises::Promises;
use crate::record::{record, records};
use crate::wait::{Call, block, none};
use futures_util::FutureExt;
use futures_util::future::join_all;
use kaffic_bindings::failure::{Failure, Result};
use kaffic_bindings::process::{Belonging, Owned, runtime};
use kaffic_bindings::writer::Writer;
use kaffic_core::Ticket;
use pyo3::prelude::*;
use std::future::Future;
use std::sync::Arc;

type Object<'py> = Bound<'py, PyAny>;
type Given<'a, 'py> = Option<&'a Object<'py>>;
type On<'a, 'py> = Option<&'a Bound<'py, Bridge>>;

/// Writes to one topic.
#[pyclass(frozen, module = "kaffic._kaffic")]
pub(crate) struct Producer {
    writer: Owned<Writer>,
    /// Callbacks and futures of an event loop that are to be told of what was sent.
    promises: Arc<Promises>,
}

impl Producer {
    pub(crate) fn new(producer: kaffic_core::Producer) -> Self {
        let writer = Belonging::here().own(Writer::new(producer));
        Self { writer, promises: Arc::default() }
    }

    /// Waits until all are told of what was sent so far; not on the thread that tells them.
    fn all_told(&self) -> impl Future<Output = ()> + Send + 'static {
        let told = (!mailbox::is_here()).then(|| self.promises.so_far());
        async move {
            if let Some(told) = told {
                told.await;
            }
        }
    }

    fn writer(&self, py: Python<'_>) -> PyResult<&Writer> {
        self.writer.get().map_err(|failure| raised(py, &failure))
    }

    /// Puts a record into the buffer, or gives it back where that has to wait.
    fn at_once(&self, record: kaffic_core::Record) -> Result<Entered> {
        let producer = self.writer.get()?.producer();
        guarded(|| {
            let _inside = runtime()?.enter();
            match producer.enqueue(record.clone()).now_or_never() {
                Some(entered) => Ok(Entered::In(entered?)),
                None => Ok(Entered::Waits(record)),
            }
        })
    }
}

enum Entered {
    In(Ticket),
    Waits(kaffic_core::Record),
}

#[pymethods]
impl Producer {
    #[expect(clippy::too_many_arguments, reason = "they are the call's own")]
    fn send(
        &self,
        py: Python<'_>,
        value: Given<'_, '_>,
        key: Given<'_, '_>,
        headers: Given<'_, '_>,
        timestamp: Given<'_, '_>,
        partition: Option<u32>,
        sequence: Option<i64>,
        on_delivery: Option<Py<PyAny>>,
    ) -> PyResult<Py<Delivery>> {
        let record = record(value, key, headers, timestamp, partition, sequence)?;
        let callback =
            on_delivery.map(|call| Callback::new(py, call, &self.promises)).transpose()?;
        let ticket = match self.at_once(record).map_err(|failure| raised(py, &failure))? {
            Entered::In(ticket) => ticket,
            Entered::Waits(record) => {
                let producer = self.writer(py)?.producer();
                block(py, async { Ok(producer.enqueue(record).await?) })?
            }
        };
        let delivery = Bound::new(py, Delivery::new(ticket, Arc::clone(&self.promises)))?;
        if let Some(callback) = callback {
            Delivery::tells(&delivery, callback)?;
        }
        Ok(delivery.unbind())
    }

    #[expect(clippy::too_many_arguments, reason = "they are the call's own")]
    fn send_soon<'py>(
        &self,
        py: Python<'py>,
        bridge: &Bound<'py, Bridge>,
        value: Given<'_, 'py>,
        key: Given<'_, 'py>,
        headers: Given<'_, 'py>,
        timestamp: Given<'_, 'py>,
        partition: Option<u32>,
        sequence: Option<i64>,
    ) -> PyResult<Object<'py>> {
        let record = record(value, key, headers, timestamp, partition, sequence)?;
        let writer = self.writer(py)?;
        let entered = guarded(|| {
            let _inside = runtime()?.enter();
            Ok(writer.send(record))
        });
        let sending = entered.map_err(|failure| raised(py, &failure))?;
        let promise = self.promises.make();
        let convert = move |py: Python<'_>, ack| {
            drop(promise);
            acked(py, ack)
        };
        // A record that was sent is not taken back.
        bridge.get().spawn(py, sending, convert, false)
    }

    fn send_batch(&self, py: Python<'_>, given: &Object<'_>) -> PyResult<Deliveries> {
        let records = records(given)?;
        let producer = self.writer(py)?.producer();
        let entries = block(py, async {
            let mut entries = Vec::with_capacity(records.len());
            for record in records {
                entries.push(producer.enqueue(record).await.map_err(Failure::from));
            }
            Ok(entries)
        })?;
        Ok(Deliveries::new(entries, Arc::clone(&self.promises)))
    }

    fn send_batch_soon<'py>(
        &self,
        py: Python<'py>,
        bridge: &Bound<'py, Bridge>,
        given: &Object<'py>,
    ) -> PyResult<Object<'py>> {
        let records = records(given)?;
        let writer = self.writer(py)?;
        let entered = guarded(|| {
            let _inside = runtime()?.enter();
            Ok(records.into_iter().map(|record| writer.send(record)).collect::<Vec<_>>())
        });
        let sends = entered.map_err(|failure| raised(py, &failure))?;
        let work = async move { Ok(Under::of(join_all(sends).await)) };
        let promise = self.promises.make();
        let convert = move |py: Python<'_>, under: Under| {
            drop(promise);
            under.acks(py)
        };
        bridge.get().spawn(py, work, convert, false)
    }

    fn append<'py>(
        &self,
        py: Python<'py>,
        bridge: On<'_, 'py>,
        partition: u32,
        given: &Object<'py>,
        expected_offset: Option<i64>,
        timeout: Given<'_, 'py>,
    ) -> PyResult<Object<'py>> {
        let (records, limit) = (records(given)?, limit(timeout)?);
        let writer = self.writer(py)?.clone();
        let work = async move { writer.append(partition, records, expected_offset).await };
        Call { py, bridge, limit, what: "an append" }.run(work, acked)
    }

    fn flush<'py>(
        &self,
        py: Python<'py>,
        bridge: On<'_, 'py>,
        timeout: Given<'_, 'py>,
    ) -> PyResult<Object<'py>> {
        let (writer, limit, told) = (self.writer(py)?.clone(), limit(timeout)?, self.all_told());
        let work = async move {
            let flushed = writer.flush().await;
            told.await;
            flushed
        };
        Call { py, bridge, limit, what: "a flush" }.run(work, none)
    }

    fn close<'py>(
        &self,
        py: Python<'py>,
        bridge: On<'_, 'py>,
        timeout: Given<'_, 'py>,
    ) -> PyResult<Object<'py>> {
        let (writer, limit, told) = (self.writer(py)?.clone(), limit(timeout)?, self.all_told());
        let work = async move {
            let closed = writer.close().await;
            told.await;
            closed
        };
        Call { py, bridge, limit, what: "closing a producer" }.run(work, none)
    }

    fn fence_all<'py>(&self, py: Python<'py>, bridge: On<'_, 'py>) -> PyResult<Object<'py>> {
        let producer = self.writer(py)?.producer().clone();
        let work = async move { Ok(producer.fence_all().await?) };
        Call { py, bridge, limit: None, what: "fencing" }.run(work, none)
    }

    fn last_sequence<'py>(
        &self,
        py: Python<'py>,
        bridge: On<'_, 'py>,
        partition: u32,
    ) -> PyResult<Object<'py>> {
        let producer = self.writer(py)?.producer().clone();
        let work = async move { Ok(producer.last_sequence(partition).await?) };
        let convert = |py: Python<'_>, last: Option<i64>| Ok(last.into_pyobject(py)?.unbind());
        Call { py, bridge, limit: None, what: "asking for the last sequence" }.run(work, convert)
    }

    #[getter]
    fn partitions(&self, py: Python<'_>) -> PyResult<u32> {
        Ok(self.writer(py)?.producer().partitions())
    }

    #[getter]
    fn epoch(&self, py: Python<'_>) -> PyResult<Option<u32>> {
        Ok(self.writer(py)?.producer().epoch())
    }
}
