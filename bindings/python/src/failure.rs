//! Failures as Python's exceptions. The classes are Python's own; here they are only looked up.

use crate::end::inside;
use kaffic_bindings::{Failure, Status};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

/// `kaffic.errors.make`, which finds the class for a status.
static MAKE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// What the exception is made of.
pub(crate) fn parts(failure: &Failure) -> (&str, &str, bool, bool, Option<i64>, Option<i64>) {
    let Failure { status, message, retriable, outcome_unknown, earliest, tail } = failure;
    (status.name(), message, *retriable, *outcome_unknown, *earliest, *tail)
}

/// The exception that tells of a failure.
pub(crate) fn exception<'py>(py: Python<'py>, failure: &Failure) -> PyResult<Bound<'py, PyAny>> {
    let import = || py.import("kaffic.errors")?.getattr("make").map(Bound::unbind);
    inside(py, || MAKE.get_or_try_init(py, import)?.bind(py).call1(parts(failure)))
}

/// The same, to be raised.
pub(crate) fn raised(py: Python<'_>, failure: &Failure) -> PyErr {
    exception(py, failure).map_or_else(|error| error, PyErr::from_value)
}

/// Calls what must not panic, and tells of it if it does.
pub(crate) fn guarded<T>(
    work: impl FnOnce() -> kaffic_bindings::failure::Result<T>,
) -> kaffic_bindings::failure::Result<T> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work))
        .unwrap_or_else(|panic| Err(Failure::of_panic(&*panic)))
}

/// That a call which waits was made by a signal's handler, which has interrupted another that waits.
pub(crate) fn in_handler() -> Failure {
    let message = "a call that waits was made by a signal's handler while its thread waits in another \
                   call, which may be what it would wait for: have the handler call wakeup() or set a \
                   flag, and make the call afterwards";
    Failure::new(Status::InCallback, message)
}

/// That a call which waits was made where it must not.
pub(crate) fn in_callback() -> Failure {
    let message = "a call that waits was made from within a callback: make it after the callback";
    Failure::new(Status::InCallback, message)
}
