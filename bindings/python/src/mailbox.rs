//! What threads of the runtime have to tell Python: they put it into a mailbox, and a Python thread
//! takes it out. So no thread of the runtime ever waits for the interpreter, and none meets it while it
//! ends.

use crate::bridge::Lines;
use crate::promises::Promise;
use crate::wait::block;
use kaffic_bindings::logs::{self, Level};
use kaffic_bindings::process::{Belonging, Owned};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};
use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Log lines that may wait; what comes beyond them is counted and left out.
const MOST_LINES: usize = 1024;

/// Calls for deliveries that may be outstanding; whoever wants one more waits.
const MOST_CALLS: usize = 100_000;

thread_local! {
    /// Whether this is a thread that empties a mailbox. It must not wait for itself.
    static EMPTIES: Cell<bool> = const { Cell::new(false) };
}

/// Whether the thread is one that calls what the program wants called.
pub(crate) fn is_here() -> bool {
    EMPTIES.get()
}

/// A call that the program is promised, and its place among those outstanding.
pub(crate) struct Outstanding {
    _promise: Promise,
    _room: Option<OwnedSemaphorePermit>,
}

/// The same on its way through Python, which says when the call was made.
#[pyclass(frozen, module = "kaffic._kaffic")]
pub(crate) struct Pending {
    outstanding: Owned<Mutex<Option<Outstanding>>>,
}

#[pymethods]
impl Pending {
    fn done(&self) {
        // In the child of a fork nobody waits for it.
        if let Ok(outstanding) = self.outstanding.get() {
            outstanding.lock().unwrap_or_else(PoisonError::into_inner).take();
        }
    }
}

pub(crate) enum Parcel {
    /// An event loop has results to take.
    Loop(Arc<Lines>),
    /// A record is acknowledged or has failed, and somebody wants to be called.
    Delivered { delivery: Py<PyAny>, callback: Py<PyAny>, outstanding: Outstanding },
    /// A log line: Python's number of its level, where it comes from, and its text.
    Line { level: i32, target: String, text: String },
}

#[derive(Default)]
struct State {
    parcels: VecDeque<Parcel>,
    left_out: u64,
    closed: bool,
}

pub(crate) struct Shared {
    state: Mutex<State>,
    arrived: Condvar,
    room: Arc<Semaphore>,
}

impl Default for Shared {
    fn default() -> Self {
        let room = Arc::new(Semaphore::new(MOST_CALLS));
        Self { state: Mutex::default(), arrived: Condvar::new(), room }
    }
}

impl Shared {
    /// A place for one more call; waits for it, but on the thread that makes the calls.
    pub(crate) fn outstanding(&self, py: Python<'_>, promise: Promise) -> PyResult<Outstanding> {
        let room = Arc::clone(&self.room);
        let room = match Arc::clone(&room).try_acquire_owned() {
            Ok(room) => Some(room),
            Err(_) if is_here() => None,
            // It is never closed.
            Err(_) => block(py, async { Ok(room.acquire_owned().await.ok()) })?,
        };
        Ok(Outstanding { _promise: promise, _room: room })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts one in. Once the mailbox is closed it is dropped.
    pub(crate) fn push(&self, parcel: Parcel) {
        let mut state = self.state();
        if state.closed {
            drop(state);
            drop(parcel);
            return;
        }
        state.parcels.push_back(parcel);
        drop(state);
        self.arrived.notify_one();
    }

    fn push_line(&self, level: Level, target: &str, text: &str) {
        let level = match level {
            Level::Error => 40,
            Level::Warning => 30,
            Level::Info => 20,
            Level::Debug => 10,
            Level::Trace => 5,
        };
        let mut state = self.state();
        if state.closed || state.parcels.len() >= MOST_LINES {
            state.left_out += 1;
            return;
        }
        let (target, text) = (target.to_owned(), text.to_owned());
        state.parcels.push_back(Parcel::Line { level, target, text });
        drop(state);
        self.arrived.notify_one();
    }

    /// Waits for parcels; none are left and none will come if there are none.
    fn take(&self) -> (VecDeque<Parcel>, u64) {
        let mut state = self.state();
        while state.parcels.is_empty() && !state.closed {
            state = self.arrived.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        (std::mem::take(&mut state.parcels), std::mem::take(&mut state.left_out))
    }
}

/// A mailbox, which a Python thread empties.
#[pyclass(frozen, module = "kaffic._kaffic")]
pub(crate) struct Mailbox {
    pub(crate) shared: Arc<Shared>,
    /// Called with the loop and its errands, with a callback, its delivery and what is to be told that
    /// it was called, or with level, target and text of log lines.
    call: Py<PyAny>,
}

#[pymethods]
impl Mailbox {
    #[new]
    fn new(call: Py<PyAny>) -> Self {
        Self { shared: Arc::default(), call }
    }

    /// Waits for what is to be called, and with what; nothing is left once the mailbox is closed and
    /// empty. Python calls it, so that no code of the program runs on a stack of this library's: a
    /// thread that the end of the program takes by surprise must not unwind through that.
    fn take<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        EMPTIES.set(true);
        let (parcels, left_out) = py.detach(|| self.shared.take());
        let calls = PyList::empty(py);
        for parcel in parcels {
            calls.append(self.call_for(py, parcel)?)?;
        }
        if left_out > 0 {
            let text = format!("{left_out} log lines were left out: they came too fast");
            calls.append(
                self.call_for(py, Parcel::Line { level: 30, target: "kaffic".to_owned(), text })?,
            )?;
        }
        Ok(calls)
    }

    /// Has `take` end once it has handed over what is there.
    fn close(&self) {
        self.shared.state().closed = true;
        self.shared.arrived.notify_all();
    }
}

impl Mailbox {
    fn call_for<'py>(&self, py: Python<'py>, parcel: Parcel) -> PyResult<Bound<'py, PyTuple>> {
        match parcel {
            Parcel::Loop(lines) => {
                let (event_loop, errands) = lines.parts(py);
                (&self.call, event_loop, errands).into_pyobject(py)
            }
            Parcel::Delivered { delivery, callback, outstanding } => {
                let outstanding = Belonging::here().own(Mutex::new(Some(outstanding)));
                let pending = Py::new(py, Pending { outstanding })?;
                (&self.call, callback, delivery, pending).into_pyobject(py)
            }
            Parcel::Line { level, target, text } => {
                (&self.call, level, target, text).into_pyobject(py)
            }
        }
    }
}

/// The mailbox for log lines. It is never freed: a thread may have it in hand, and there is one a
/// process.
static LOGS: AtomicPtr<Shared> = AtomicPtr::new(std::ptr::null_mut());

/// Sends log lines to this mailbox from now on: those of Python's `level` and above.
#[pyfunction]
pub(crate) fn log_to(mailbox: &Bound<'_, Mailbox>, level: i32) {
    let shared = Arc::into_raw(Arc::clone(&mailbox.get().shared)).cast_mut();
    LOGS.store(shared, Ordering::Release);
    let least = match level {
        40.. => Level::Error,
        30.. => Level::Warning,
        20.. => Level::Info,
        10.. => Level::Debug,
        _ => Level::Trace,
    };
    logs::set_sink(
        least,
        Some(Arc::new(|level, target, text| {
            // SAFETY: whatever was stored came from an `Arc` that is never released.
            if let Some(shared) = unsafe { LOGS.load(Ordering::Acquire).as_ref() } {
                shared.push_line(level, target, text);
            }
        })),
    );
}
