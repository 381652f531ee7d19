//! The end of the interpreter, as threads meet it that wait outside it: those that it does not wait for
//! (daemons) would be unwound when they come back, through frames that can't be. So from then on they
//! stay outside; and what calls Python's own code from here is waited for.

use pyo3::prelude::*;
use std::ptr::from_ref;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// How many threads are outside or inside but in frames of this library, and not to stay there. Only atomics: a child of a fork has none of the
/// threads that might hold a lock.
static UNDER_WAY: AtomicUsize = AtomicUsize::new(0);
/// The thread that ends the interpreter; no other comes back in. 0 is none.
static LAST: AtomicUsize = AtomicUsize::new(0);

/// How long the end waits for a callback of the program's, which might never end.
const MOST_MS: usize = 5000;

/// A number of the thread's own.
fn this_thread() -> usize {
    thread_local!(static HERE: u8 = const { 0 });
    HERE.with(|here| from_ref(here).addr())
}

/// Whether this thread is to stay outside.
fn is_over() -> bool {
    let last = LAST.load(Ordering::SeqCst);
    last != 0 && last != this_thread()
}

fn stay() -> ! {
    loop {
        std::thread::park();
    }
}

/// Does something that waits, outside the interpreter, and comes back; or never.
pub(crate) fn outside<T: Send>(py: Python<'_>, wait: impl FnOnce() -> T + Send) -> T {
    UNDER_WAY.fetch_add(1, Ordering::SeqCst);
    let out = py.detach(|| {
        let out = wait();
        if is_over() {
            UNDER_WAY.fetch_sub(1, Ordering::SeqCst);
            stay();
        }
        out
    });
    UNDER_WAY.fetch_sub(1, Ordering::SeqCst);
    out
}

/// Does something that calls Python's own code, which may let other threads come in between.
pub(crate) fn inside<T>(py: Python<'_>, work: impl FnOnce() -> T) -> T {
    if is_over() {
        py.detach(|| stay());
    }
    UNDER_WAY.fetch_add(1, Ordering::SeqCst);
    let out = work();
    UNDER_WAY.fetch_sub(1, Ordering::SeqCst);
    out
}

/// For a child of a fork, where no other thread is.
#[pyfunction]
pub(crate) fn open_gate() {
    UNDER_WAY.store(0, Ordering::SeqCst);
}

/// Keeps threads outside from now on, and waits until those that are there have seen it or are back
/// (they look many times a second), and until what is under way inside is done.
#[pyfunction]
#[expect(clippy::disallowed_methods, reason = "threads of the interpreter, in real time")]
pub(crate) fn close_gate(py: Python<'_>) {
    LAST.store(this_thread(), Ordering::SeqCst);
    py.detach(|| {
        for _ in 0..MOST_MS {
            if UNDER_WAY.load(Ordering::SeqCst) == 0 {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    });
}
