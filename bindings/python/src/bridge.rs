//! The way back to an event loop: results of work that the runtime has done, many of them handed over in
//! one call of the loop.

use crate::failure::{exception, raised};
use crate::mailbox::{Mailbox, Parcel, Shared};
use crate::wait::caught;
use kaffic_bindings::failure::{Failure, Result};
use kaffic_bindings::process;
use pyo3::prelude::*;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::ThreadId;
use tokio::task::AbortHandle;

/// What is to be done on the loop's thread.
type Errand = Box<dyn for<'a> FnOnce(Python<'a>) -> PyResult<()> + Send>;

/// The errands of one loop.
pub(crate) struct Lines {
    event_loop: Py<PyAny>,
    errands: Mutex<Vec<Errand>>,
    /// The loop was told, and has not come yet.
    told: AtomicBool,
}

impl Lines {
    fn take(&self) -> Vec<Errand> {
        std::mem::take(&mut *self.errands.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Has the loop come for its errands. A loop that is closed gets none any more.
    pub(crate) fn wake(self: &Arc<Self>, py: Python<'_>) -> PyResult<()> {
        let run = Run { lines: Arc::clone(self) };
        let told = self.event_loop.call_method1(py, "call_soon_threadsafe", (run,));
        if let Err(error) = told {
            drop(self.take());
            self.told.store(false, Ordering::SeqCst);
            if !error.is_instance_of::<pyo3::exceptions::PyRuntimeError>(py) {
                return Err(error);
            }
        }
        Ok(())
    }
}

/// Called by the loop.
#[pyclass(frozen)]
struct Run {
    lines: Arc<Lines>,
}

#[pymethods]
impl Run {
    fn __call__(&self, py: Python<'_>) {
        self.lines.told.store(false, Ordering::SeqCst);
        for errand in self.lines.take() {
            errand(py).unwrap_or_else(|error| error.write_unraisable(py, None));
        }
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

/// Of one event loop, made on its thread.
#[pyclass(frozen, module = "kaffic._kaffic")]
pub(crate) struct Bridge {
    lines: Arc<Lines>,
    mailbox: Arc<Shared>,
    thread: ThreadId,
}

#[pymethods]
impl Bridge {
    #[new]
    fn new(event_loop: Py<PyAny>, mailbox: &Bound<'_, Mailbox>) -> Self {
        let (errands, told) = (Mutex::default(), AtomicBool::new(false));
        Self {
            lines: Arc::new(Lines { event_loop, errands, told }),
            mailbox: Arc::clone(&mailbox.get().shared),
            thread: std::thread::current().id(),
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
        let future = self.lines.event_loop.bind(py).call_method0("create_future")?;
        let (post, waiting) = (self.post(), future.clone().unbind());
        let task = runtime.spawn(async move {
            let outcome = caught(work).await;
            post.send(Box::new(move |py| settle(py, &waiting, outcome, convert)));
        });
        if ends {
            let abort = Abort { handle: task.abort_handle() };
            future.call_method1("add_done_callback", (abort,))?;
        }
        Ok(future)
    }
}

fn settle<T>(
    py: Python<'_>,
    future: &Py<PyAny>,
    outcome: Result<T, Failure>,
    convert: impl FnOnce(Python<'_>, T) -> PyResult<Py<PyAny>>,
) -> PyResult<()> {
    let future = future.bind(py);
    if future.call_method0("done")?.is_truthy()? {
        return Ok(());
    }
    let converted = match outcome {
        Ok(value) => convert(py, value),
        Err(failure) => Err(PyErr::from_value(exception(py, &failure)?)),
    };
    match converted {
        Ok(value) => future.call_method1("set_result", (value,))?,
        Err(error) => future.call_method1("set_exception", (error.into_value(py),))?,
    };
    Ok(())
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
