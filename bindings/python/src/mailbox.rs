//! What threads of the runtime have to tell Python: they put it into a mailbox, and a Python thread
//! takes it out. So no thread of the runtime ever waits for the interpreter, and none meets it while it
//! ends.

use crate::bridge::Lines;
use kaffic_bindings::logs::{self, Level};
use pyo3::prelude::*;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Log lines that may wait; what comes beyond them is counted and left out.
const MOST_LINES: usize = 1024;

pub(crate) enum Parcel {
    /// An event loop has results to take.
    Loop(Arc<Lines>),
    /// A record is acknowledged or has failed, and somebody wants to be called.
    Delivered { delivery: Py<PyAny>, callback: Py<PyAny> },
    /// A log line: Python's number of its level, where it comes from, and its text.
    Line { level: i32, target: String, text: String },
}

#[derive(Default)]
struct State {
    parcels: VecDeque<Parcel>,
    left_out: u64,
    closed: bool,
}

#[derive(Default)]
pub(crate) struct Shared {
    state: Mutex<State>,
    arrived: Condvar,
}

impl Shared {
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

/// A mailbox; `run` is the work of the thread that empties it.
#[pyclass(frozen, module = "kaffic._kaffic")]
pub(crate) struct Mailbox {
    pub(crate) shared: Arc<Shared>,
    /// Called with level, target and text of log lines.
    emit: Option<Py<PyAny>>,
}

#[pymethods]
impl Mailbox {
    #[new]
    #[pyo3(signature = (emit=None))]
    fn new(emit: Option<Py<PyAny>>) -> Self {
        Self { shared: Arc::default(), emit }
    }

    /// Hands over what comes, until the mailbox is closed and empty.
    fn run(&self, py: Python<'_>) {
        loop {
            let (parcels, left_out) = py.detach(|| self.shared.take());
            if parcels.is_empty() {
                return;
            }
            for parcel in parcels {
                if let Err(error) = self.hand_over(py, parcel) {
                    error.write_unraisable(py, None);
                }
            }
            if left_out > 0 {
                let text = format!("{left_out} log lines were left out: they came too fast");
                let line = Parcel::Line { level: 30, target: "kaffic".to_owned(), text };
                self.hand_over(py, line).unwrap_or_else(|error| error.write_unraisable(py, None));
            }
        }
    }

    /// Ends `run` once it has handed over what is there.
    fn close(&self) {
        self.shared.state().closed = true;
        self.shared.arrived.notify_all();
    }
}

impl Mailbox {
    fn hand_over(&self, py: Python<'_>, parcel: Parcel) -> PyResult<()> {
        match parcel {
            Parcel::Loop(lines) => lines.wake(py),
            Parcel::Delivered { delivery, callback } => {
                callback.call1(py, (delivery,))?;
                Ok(())
            }
            Parcel::Line { level, target, text } => {
                let Some(emit) = &self.emit else { return Ok(()) };
                emit.call1(py, (level, target, text))?;
                Ok(())
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
