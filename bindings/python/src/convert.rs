//! Python's values as kaffic's: bytes, headers, times, settings.

use crate::end::inside;
use kaffic_bindings::{Failure, Settings};
use kaffic_core::{Bytes, Header};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyMapping, PyMemoryView, PyString};
use std::time::Duration;

/// From so many bytes on, `bytes` are lent rather than copied.
const LENT: usize = 16 << 10;

/// The bytes of whatever has a buffer.
pub(crate) fn bytes(what: &str, value: &Bound<'_, PyAny>) -> PyResult<Bytes> {
    if let Ok(bytes) = value.cast::<PyBytes>() {
        let content = bytes.as_bytes();
        return Ok(if content.len() < LENT {
            Bytes::copy_from_slice(content)
        } else {
            Bytes::from_owner(PyBackedBytes::from(bytes.clone()))
        });
    }
    if value.is_instance_of::<PyString>() {
        return Err(PyTypeError::new_err(format!("a {what} is bytes, not str: encode it first")));
    }
    let view = PyMemoryView::from(value).map_err(|_| {
        let given = value.get_type().name().map_or_else(|_| "?".into(), |name| name.to_string());
        PyTypeError::new_err(format!(
            "a {what} is bytes, something with a buffer, or None, not {given}"
        ))
    })?;
    let copied = view.call_method0("tobytes")?;
    Ok(Bytes::copy_from_slice(copied.cast::<PyBytes>()?.as_bytes()))
}

/// The same, where it may be null.
pub(crate) fn nullable(what: &str, value: Option<&Bound<'_, PyAny>>) -> PyResult<Option<Bytes>> {
    value.map(|value| bytes(what, value)).transpose()
}

/// A mapping of names and values, or pairs of them, as many of a name as there are.
pub(crate) fn headers(value: Option<&Bound<'_, PyAny>>) -> PyResult<Vec<Header>> {
    let Some(value) = value else { return Ok(Vec::new()) };
    let pairs = match value.cast::<PyMapping>() {
        Ok(mapping) => inside(value.py(), || mapping.items())?.into_any(),
        Err(_) => value.clone(),
    };
    let wrong =
        |_| PyTypeError::new_err("headers are a mapping, or pairs of a name and bytes or None");
    let mut headers = Vec::new();
    for pair in pairs.try_iter()? {
        let (name, value): (String, Option<Bound<'_, PyAny>>) = pair?.extract().map_err(wrong)?;
        headers.push(Header::new(name, nullable("header", value.as_ref())?));
    }
    Ok(headers)
}

/// Headers as pairs.
pub(crate) fn pairs<'py>(
    py: Python<'py>,
    headers: &[Header],
) -> Vec<(Bound<'py, PyString>, Option<Bound<'py, PyBytes>>)> {
    let value = |value: &Bytes| PyBytes::new(py, value);
    headers.iter().map(|h| (PyString::new(py, &h.name), h.value.as_ref().map(value))).collect()
}

static TIMESTAMP: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// Unix milliseconds, of an int or a `datetime`.
pub(crate) fn timestamp(value: Option<&Bound<'_, PyAny>>) -> PyResult<Option<i64>> {
    let Some(value) = value else { return Ok(None) };
    if let Ok(ms) = value.extract() {
        return Ok(Some(ms));
    }
    let py = value.py();
    let of = TIMESTAMP.get_or_try_init(py, || {
        py.import("kaffic._values")?.getattr("timestamp_ms").map(Bound::unbind)
    })?;
    inside(py, || of.bind(py).call1((value,)))?.extract().map(Some)
}

/// A time that a call may take: seconds, or a `timedelta`.
pub(crate) fn limit(given: Option<&Bound<'_, PyAny>>) -> PyResult<Option<Duration>> {
    let Some(given) = given else { return Ok(None) };
    let seconds: f64 = match given.extract() {
        Ok(seconds) => seconds,
        Err(wrong) => match given.call_method0("total_seconds") {
            Ok(seconds) => seconds.extract()?,
            Err(_) => return Err(wrong),
        },
    };
    if seconds.is_nan() {
        return Err(PyValueError::new_err("a timeout is not a number"));
    }
    // What is longer than a duration can be is no limit.
    Ok(Duration::try_from_secs_f64(seconds.max(0.0)).ok())
}

/// Settings, of which Python has made text.
pub(crate) fn settings(pairs: Vec<(String, String)>) -> Settings {
    pairs.into_iter().collect()
}

/// What the settings' readers say, as a failure.
pub(crate) fn place<T>(what: &str, read: Result<T, String>) -> Result<T, Failure> {
    read.map_err(|wrong| Failure::invalid(format!("{what}: {wrong}")))
}
