//! Records: as they go in and as they come out. Content becomes `bytes` when it is asked for; a view
//! shows it without a copy.

use crate::convert::{headers, nullable, pairs, timestamp};
use crate::end::inside;
use kaffic_core::{Bytes, Header};
use pyo3::exceptions::PyBufferError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict, PyMemoryView, PyString, PyTuple};
use std::ffi::c_int;

type Pairs<'py> = Vec<(Bound<'py, PyString>, Option<Bound<'py, PyBytes>>)>;

static DATETIME: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

fn content<'py>(py: Python<'py>, bytes: Option<&Bytes>) -> Option<Bound<'py, PyBytes>> {
    bytes.map(|bytes| PyBytes::new(py, bytes))
}

/// A record to be produced. Everything is optional; a record may even be empty. It may be compared and
/// pickled.
///
/// `value` and `key` are bytes, or whatever has a buffer; None is null, which is not the same as empty.
/// `headers` are a mapping, or pairs where a name may come more than once. `timestamp` is in Unix
/// milliseconds, or a `datetime` with a time zone; without it, it is the time of sending. `partition`
/// names one; without it the key decides, or the producer where there is no key. `sequence` is for
/// producers with a name: a record whose number is not above the last one that the name has written to
/// the partition is acknowledged as a duplicate.
///
/// >>> import kaffic
/// >>> record = kaffic.Record(b"v", key=b"k", headers=[("trace", b"17")], partition=2)
/// >>> record.value, record.key, record.headers, record.timestamp
/// (b'v', b'k', [('trace', b'17')], None)
#[pyclass(frozen, module = "kaffic", eq)]
#[derive(PartialEq)]
pub(crate) struct Record {
    pub(crate) inner: kaffic_core::Record,
}

#[pymethods]
impl Record {
    #[new]
    #[pyo3(signature = (value=None, key=None, *, headers=None, timestamp=None, partition=None, sequence=None))]
    fn new(
        value: Option<&Bound<'_, PyAny>>,
        key: Option<&Bound<'_, PyAny>>,
        headers: Option<&Bound<'_, PyAny>>,
        timestamp: Option<&Bound<'_, PyAny>>,
        partition: Option<u32>,
        sequence: Option<i64>,
    ) -> PyResult<Self> {
        let inner = record(value, key, headers, timestamp, partition, sequence)?;
        Ok(Self { inner })
    }

    #[getter]
    fn value<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        content(py, self.inner.value.as_ref())
    }

    #[getter]
    fn key<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        content(py, self.inner.key.as_ref())
    }

    #[getter]
    fn headers<'py>(&self, py: Python<'py>) -> Pairs<'py> {
        pairs(py, &self.inner.headers)
    }

    #[getter]
    fn timestamp(&self) -> Option<i64> {
        self.inner.timestamp
    }

    #[getter]
    fn partition(&self) -> Option<u32> {
        self.inner.partition
    }

    #[getter]
    fn sequence(&self) -> Option<i64> {
        self.inner.sequence
    }

    fn __getnewargs_ex__<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<(Bound<'py, PyTuple>, Bound<'py, PyDict>)> {
        let named = PyDict::new(py);
        named.set_item("headers", self.headers(py))?;
        named.set_item("timestamp", self.timestamp())?;
        named.set_item("partition", self.partition())?;
        named.set_item("sequence", self.sequence())?;
        Ok(((self.value(py), self.key(py)).into_pyobject(py)?, named))
    }

    fn __repr__(&self) -> String {
        let kaffic_core::Record { key, value, headers, timestamp, partition, sequence } =
            &self.inner;
        format!(
            "Record(value={}, key={}, headers={}, timestamp={}, partition={}, sequence={})",
            shown(value.as_ref()),
            shown(key.as_ref()),
            headers.len(),
            number(*timestamp),
            number(*partition),
            number(*sequence),
        )
    }
}

/// A record of a call's arguments.
pub(crate) fn record(
    value: Option<&Bound<'_, PyAny>>,
    key: Option<&Bound<'_, PyAny>>,
    header: Option<&Bound<'_, PyAny>>,
    time: Option<&Bound<'_, PyAny>>,
    partition: Option<u32>,
    sequence: Option<i64>,
) -> PyResult<kaffic_core::Record> {
    Ok(kaffic_core::Record {
        key: nullable("key", key)?,
        value: nullable("value", value)?,
        headers: headers(header)?,
        timestamp: timestamp(time)?,
        partition,
        sequence,
    })
}

/// Records of an iterable: each a [`Record`], or only a value.
pub(crate) fn records(given: &Bound<'_, PyAny>) -> PyResult<Vec<kaffic_core::Record>> {
    let mut records = Vec::with_capacity(given.len().unwrap_or(0));
    for item in given.try_iter()? {
        let item = item?;
        records.push(match item.cast::<Record>() {
            Ok(record) => record.get().inner.clone(),
            Err(_) => {
                let value = (!item.is_none()).then_some(&item);
                kaffic_core::Record { value: nullable("value", value)?, ..Default::default() }
            }
        });
    }
    Ok(records)
}

/// A record that was read. It may be compared and pickled.
///
/// It keeps the batch that it came in in memory, so keep `value` rather than the record where only that
/// matters. Each access makes new `bytes`; `value_view` and `key_view` show them without a copy.
///
/// >>> import kaffic
/// >>> record = kaffic.ConsumerRecord("orders", 0, 7, 1_700_000_000_000, key=b"k", value=b"v")
/// >>> record.offset, record.value, record.key_view.nbytes
/// (7, b'v', 1)
/// >>> print(record.datetime)
/// 2023-11-14 22:13:20+00:00
#[pyclass(frozen, module = "kaffic", eq)]
#[derive(PartialEq)]
pub(crate) struct ConsumerRecord {
    pub(crate) inner: kaffic_core::ConsumerRecord,
}

impl From<kaffic_core::ConsumerRecord> for ConsumerRecord {
    fn from(inner: kaffic_core::ConsumerRecord) -> Self {
        Self { inner }
    }
}

#[pymethods]
impl ConsumerRecord {
    #[new]
    #[pyo3(signature = (topic, partition, offset, timestamp, key=None, value=None, headers=None))]
    fn new(
        topic: &str,
        partition: u32,
        offset: i64,
        timestamp: i64,
        key: Option<&Bound<'_, PyAny>>,
        value: Option<&Bound<'_, PyAny>>,
        headers: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let given = record(value, key, headers, None, None, None)?;
        let kaffic_core::Record { key, value, headers, .. } = given;
        let topic = topic.into();
        let inner = kaffic_core::ConsumerRecord {
            topic,
            partition,
            offset,
            timestamp,
            key,
            value,
            headers,
        };
        Ok(Self { inner })
    }

    /// The topic it was read from.
    #[getter]
    fn topic(&self) -> &str {
        &self.inner.topic
    }

    /// The partition it was read from.
    #[getter]
    fn partition(&self) -> u32 {
        self.inner.partition
    }

    /// Its position in the partition: offsets grow, may have gaps, and never repeat.
    #[getter]
    fn offset(&self) -> i64 {
        self.inner.offset
    }

    /// Unix milliseconds, as its producer gave it.
    #[getter]
    fn timestamp(&self) -> i64 {
        self.inner.timestamp
    }

    /// The timestamp as a time of day in UTC; OverflowError beyond the years 1 to 9999.
    #[getter]
    fn datetime<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let of = DATETIME.get_or_try_init(py, || {
            py.import("kaffic._values")?.getattr("to_datetime").map(Bound::unbind)
        })?;
        inside(py, || of.bind(py).call1((self.inner.timestamp,)))
    }

    /// The key, or None where it is null.
    #[getter]
    fn key<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        content(py, self.inner.key.as_ref())
    }

    /// The value, or None where it is null.
    #[getter]
    fn value<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        content(py, self.inner.value.as_ref())
    }

    /// The key without a copy.
    #[getter]
    fn key_view<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyMemoryView>>> {
        view(py, self.inner.key.as_ref())
    }

    /// The value without a copy.
    #[getter]
    fn value_view<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyMemoryView>>> {
        view(py, self.inner.value.as_ref())
    }

    /// The headers in order.
    #[getter]
    fn headers<'py>(&self, py: Python<'py>) -> Pairs<'py> {
        pairs(py, &self.inner.headers)
    }

    /// The value of the last header of this name; None where it is null, or there is none.
    fn header<'py>(&self, py: Python<'py>, name: &str) -> Option<Bound<'py, PyBytes>> {
        let last = self.inner.headers.iter().rev().find(|header| &*header.name == name);
        content(py, last.and_then(|header: &Header| header.value.as_ref()))
    }

    fn __reduce__<'py>(
        slf: &Bound<'py, Self>,
    ) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
        let (py, this) = (slf.py(), slf.get());
        let at = &this.inner;
        let parts = (
            &*at.topic,
            at.partition,
            at.offset,
            at.timestamp,
            this.key(py),
            this.value(py),
            this.headers(py),
        );
        Ok((slf.get_type().into_any(), parts.into_pyobject(py)?))
    }

    fn __repr__(&self) -> String {
        let at = &self.inner;
        format!(
            "ConsumerRecord(topic={:?}, partition={}, offset={}, timestamp={}, key={}, value={}, headers={})",
            at.topic,
            at.partition,
            at.offset,
            at.timestamp,
            shown(at.key.as_ref()),
            shown(at.value.as_ref()),
            at.headers.len(),
        )
    }
}

fn number(number: Option<impl ToString>) -> String {
    number.map_or_else(|| "None".to_owned(), |number| number.to_string())
}

/// Content as Python writes it, as far as it is short.
fn shown(bytes: Option<&Bytes>) -> String {
    match bytes {
        None => "None".to_owned(),
        Some(bytes) if bytes.len() > 64 => format!("<{} bytes>", bytes.len()),
        Some(bytes) => format!("b\"{}\"", bytes.escape_ascii()),
    }
}

fn view<'py>(py: Python<'py>, bytes: Option<&Bytes>) -> PyResult<Option<Bound<'py, PyMemoryView>>> {
    let Some(bytes) = bytes else { return Ok(None) };
    let shown = Bound::new(py, View { bytes: bytes.clone() })?;
    PyMemoryView::from(shown.as_any()).map(Some)
}

/// Bytes that are lent to Python as they are, read-only.
#[pyclass(frozen, module = "kaffic._kaffic")]
pub(crate) struct View {
    bytes: Bytes,
}

#[pymethods]
impl View {
    /// # Safety
    /// Called by the interpreter, with a place for a view.
    unsafe fn __getbuffer__(
        slf: Bound<'_, Self>,
        place: *mut ffi::Py_buffer,
        flags: c_int,
    ) -> PyResult<()> {
        if place.is_null() {
            return Err(PyBufferError::new_err("no place for a view"));
        }
        let bytes = &slf.get().bytes;
        let (start, len) = (bytes.as_ptr().cast_mut().cast(), bytes.len() as ffi::Py_ssize_t);
        // SAFETY: `place` is the interpreter's; the bytes never change or move, and live as long as
        // the object, which the view keeps alive. The view is read-only.
        let filled = unsafe { ffi::PyBuffer_FillInfo(place, slf.as_ptr(), start, len, 1, flags) };
        if filled == 0 { Ok(()) } else { Err(PyErr::fetch(slf.py())) }
    }
}
