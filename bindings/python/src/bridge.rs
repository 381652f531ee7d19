//! The way back to an event loop: results of work that the runtime has done, many of them handed over in
//! one call of the loop.

use crate::end::inside;
use crate::failure::{parts, raised};
use crate::mailbox::{Mailbox, Parcel, Shared};
use crate::wait::caught;
use kaffic_bindings::failure::{Failure, Result};
use kaffic_bindings::process;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::ThreadId;
use tokio::task::AbortHandle;

/// Says what the loop is to call: a function and its arguments. It is Python that calls it: see
/// [`Mailbox`].
type Errand = Box<dyn for<'a> FnOnce(Python<'a>) -> PyResult<Bound<'a, PyTuple>> + Send>;

/// The errands of one loop.
pub(crate) struct Lines {
    event_loop: Py<PyAny>,
    errands: Mutex<Vec<Errand>>,
    /// The loop was told, and has not come yet.
    told: AtomicBool,
}

impl Lines {
    /// The loop, and what it is to come for.
    pub(crate) fn parts(self: Arc<Self>, py: Python<'_>) -> (Bound<'_, PyAny>, Errands) {
        (self.event_loop.bind(py).clone(), Errands { lines: self })
    }
}

/// What a loop comes for.
#[pyclass(frozen, module = "kaffic._kaffic")]
pub(crate) struct Errands {
    lines: Arc<Lines>,
}

#[pymethods]
impl Errands {
    fn take<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        self.lines.told.store(false, Ordering::SeqCst);
        let errands = &self.lines.errands;
        let taken = std::mem::take(&mut *errands.lock().unwrap_or_else(PoisonError::into_inner));
        let calls: Vec<_> = taken.into_iter().map(|errand| errand(py)).collect::<PyResult<_>>()?;
        PyList::new(py, calls)
    }
}

/// Called when a future is done: ends the work if nobody waits for it any more.
#[pyclass(frozen)]
struct Abort {
    handle: AbortHandle,
}

#[pymethods]
impl Abort {
    fn __call__(&self, future: &Bound<'_, PyAny>) -> PyResult<()> {
        if future.call_method0("cancelled")?.is_truthy()? {
            self.handle.abort();
        }
        Ok(())
    }
}

/// Of one event loop, made on its thread. `settle` is called with a future, and with a value or the
/// parts of a failure.
#[pyclass(frozen, module = "kaffic._kaffic")]
pub(crate) struct Bridge {
    lines: Arc<Lines>,
    mailbox: Arc<Shared>,
    thread: ThreadId,
    settle: Arc<Py<PyAny>>,
}

#[pymethods]
impl Bridge {
    #[new]
    fn new(event_loop: Py<PyAny>, mailbox: &Bound<'_, Mailbox>, settle: Py<PyAny>) -> Self {
        let (errands, told) = (Mutex::default(), AtomicBool::new(false));
        Self {
            lines: Arc::new(Lines { event_loop, errands, told }),
            mailbox: Arc::clone(&mailbox.get().shared),
            thread: std::thread::current().id(),
            settle: Arc::new(settle),
        }
    }
}

impl Bridge {
    pub(crate) fn post(&self) -> Post {
        let (lines, mailbox) = (Arc::clone(&self.lines), Arc::clone(&self.mailbox));
        Post { lines, mailbox, thread: self.thread }
    }

    /// Begins the work and returns a future of the loop. Cancelling the future ends the work if it
    /// `ends` with it.
    pub(crate) fn spawn<'py, T, F, C>(
        &self,
        py: Python<'py>,
        work: F,
        convert: C,
        ends: bool,
    ) -> PyResult<Bound<'py, PyAny>>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
        C: for<'a> FnOnce(Python<'a>, T) -> PyResult<Py<PyAny>> + Send + 'static,
    {
        let runtime = process::runtime().map_err(|failure| raised(py, &failure))?;
        let event_loop = self.lines.event_loop.bind(py);
        let future = inside(py, || event_loop.call_method0("create_future"))?;
        let (post, waiting) = (self.post(), future.clone().unbind());
        let settle = Arc::clone(&self.settle);
        let task = runtime.spawn(async move {
            let outcome = caught(work).await;
            post.send(Box::new(move |py| settled(py, &settle, waiting, outcome, convert)));
        });
        if ends {
            let abort = Abort { handle: task.abort_handle() };
            future.call_method1("add_done_callback", (abort,))?;
        }
        Ok(future)
    }
}

fn settled<'py, T>(
    py: Python<'py>,
    settle: &Py<PyAny>,
    future: Py<PyAny>,
    outcome: Result<T, Failure>,
    convert: impl FnOnce(Python<'_>, T) -> PyResult<Py<PyAny>>,
) -> PyResult<Bound<'py, PyTuple>> {
    match outcome.map(|value| convert(py, value)) {
        Ok(Ok(value)) => (settle, future, value, py.None()).into_pyobject(py),
        Ok(Err(error)) => (settle, future, py.None(), error.into_value(py)).into_pyobject(py),
        Err(failure) => (settle, future, py.None(), parts(&failure)).into_pyobject(py),
    }
}

/// What a thread of the runtime needs to send errands.
#[derive(Clone)]
pub(crate) struct Post {
    lines: Arc<Lines>,
    mailbox: Arc<Shared>,
    thread: ThreadId,
}

impl Post {
    /// Whether this is the loop's own thread.
    pub(crate) fn is_here(&self) -> bool {
        std::thread::current().id() == self.thread
    }

    pub(crate) fn send(&self, errand: Errand) {
        self.lines.errands.lock().unwrap_or_else(PoisonError::into_inner).push(errand);
        if !self.lines.told.swap(true, Ordering::SeqCst) {
            self.mailbox.push(Parcel::Loop(Arc::clone(&self.lines)));
        }
    }
}
