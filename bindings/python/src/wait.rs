//! Waiting on the calling thread: the interpreter is free meanwhile, and signals are looked at, so that
//! Ctrl-C ends every wait.

use crate::bridge::Bridge;
use crate::end;
use crate::failure::{in_callback, in_handler, raised};
use futures_util::FutureExt;
use kaffic_bindings::failure::{Failure, Result};
use kaffic_bindings::process;
use pyo3::prelude::*;
use std::cell::Cell;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::time::Duration;

/// How often a wait looks whether a signal has come.
const SLICE: Duration = Duration::from_millis(50);

thread_local! {
    /// Whether handlers of signals run on this thread, in the middle of something that waits.
    static HANDLES: Cell<bool> = const { Cell::new(false) };
}

/// Has the handlers of signals run that have come.
fn handle_signals(py: Python<'_>) -> PyResult<()> {
    struct Handled;
    impl Drop for Handled {
        fn drop(&mut self) {
            HANDLES.set(false);
        }
    }
    HANDLES.set(true);
    let _handled = Handled;
    py.check_signals()
}

/// Does `work` to its end, or until a signal's handler raises.
#[expect(clippy::disallowed_methods, reason = "signals come in real time")]
pub(crate) fn block<T: Send>(
    py: Python<'_>,
    work: impl Future<Output = Result<T>> + Send,
) -> PyResult<T> {
    if tokio::runtime::Handle::try_current().is_ok() {
        return Err(raised(py, &in_callback()));
    }
    // What is interrupted keeps its locks meanwhile.
    if HANDLES.get() {
        return Err(raised(py, &in_handler()));
    }
    let runtime = process::runtime().map_err(|failure| raised(py, &failure))?;
    let mut work = pin!(caught(work));
    loop {
        let slice = async { tokio::time::timeout(SLICE, work.as_mut()).await };
        match end::outside(py, || runtime.block_on(slice)) {
            Ok(outcome) => return outcome.map_err(|failure| raised(py, &failure)),
            Err(_) => handle_signals(py)?,
        }
    }
}

/// The same work, with a panic as a failure.
pub(crate) async fn caught<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let done = AssertUnwindSafe(work).catch_unwind().await;
    done.unwrap_or_else(|panic| Err(Failure::of_panic(&*panic)))
}

/// What a call is, besides its work: where its result goes, and how long it may take.
pub(crate) struct Call<'a, 'py> {
    pub(crate) py: Python<'py>,
    pub(crate) bridge: Option<&'a Bound<'py, Bridge>>,
    pub(crate) limit: Option<Duration>,
    pub(crate) what: &'static str,
}

impl<'py> Call<'_, 'py> {
    /// Does the work: here, or for the event loop.
    pub(crate) fn run<T, F, C>(self, work: F, convert: C) -> PyResult<Bound<'py, PyAny>>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
        C: for<'a> FnOnce(Python<'a>, T) -> PyResult<Py<PyAny>> + Send + 'static,
    {
        let Self { py, bridge, limit, what } = self;
        let work = process::limited(limit, what, work);
        match bridge {
            Some(bridge) => bridge.get().spawn(py, work, convert, true),
            None => Ok(convert(py, block(py, work)?)?.into_bound(py)),
        }
    }
}

/// For work that comes to nothing.
pub(crate) fn none(py: Python<'_>, (): ()) -> PyResult<Py<PyAny>> {
    Ok(py.None())
}
