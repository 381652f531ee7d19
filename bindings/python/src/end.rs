//! The end of the interpreter, as threads meet it that wait outside it: those that it does not wait for
//! (daemons) would be unwound when they come back, through frames that can't be. So from then on they
//! stay outside.

use pyo3::prelude::*;
use std::ptr::from_ref;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// How many threads are outside, and not to stay there. Only atomics: a child of a fork has none of the
/// threads that might hold a lock.
static OUTSIDE: AtomicUsize = AtomicUsize::new(0);
/// The thread that ends the interpreter; no other comes back in. 0 is none.
static LAST: AtomicUsize = AtomicUsize::new(0);

/// A number of the thread's own.
fn this_thread() -> usize {
    thread_local!(static HERE: u8 = const { 0 });
    HERE.with(|here| from_ref(here).addr())
}

/// Does something that waits, outside the interpreter, and comes back; or never.
pub(crate) fn outside<T: Send>(py: Python<'_>, wait: impl FnOnce() -> T + Send) -> T {
    OUTSIDE.fetch_add(1, Ordering::SeqCst);
    let out = py.detach(|| {
        let out = wait();
        let last = LAST.load(Ordering::SeqCst);
        if last != 0 && last != this_thread() {
            OUTSIDE.fetch_sub(1, Ordering::SeqCst);
            loop {
                std::thread::park();
            }
        }
        out
    });
    OUTSIDE.fetch_sub(1, Ordering::SeqCst);
    out
}

/// For a child of a fork, where nobody is outside.
#[pyfunction]
pub(crate) fn open_gate() {
    OUTSIDE.store(0, Ordering::SeqCst);
}

/// Keeps threads outside from now on, and waits until those that are there have seen it or are back:
/// they look many times a second.
#[pyfunction]
#[expect(clippy::disallowed_methods, reason = "threads of the interpreter, in real time")]
pub(crate) fn close_gate(py: Python<'_>) {
    LAST.store(this_thread(), Ordering::SeqCst);
    py.detach(|| {
        while OUTSIDE.load(Ordering::SeqCst) > 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
    });
}
