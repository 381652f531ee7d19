//! Signals are the program's. Writing to a connection that the peer has closed raises SIGPIPE, which ends
//! a program that did not think of it; and a handler of the program's, run on a thread of the library's,
//! would find a thread that the program does not know.

use std::mem::MaybeUninit;
use std::ptr;

/// What a fault of the thread itself raises, and what profilers measure each thread with.
const OF_THE_THREAD: [libc::c_int; 8] = [
    libc::SIGSEGV,
    libc::SIGBUS,
    libc::SIGFPE,
    libc::SIGILL,
    libc::SIGABRT,
    libc::SIGTRAP,
    libc::SIGSYS,
    libc::SIGPROF,
];

fn none() -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: it makes the set, and can't fail.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        set.assume_init()
    }
}

fn those_of_the_program() -> libc::sigset_t {
    let mut set = none();
    // SAFETY: the set is one, and the numbers are signals.
    unsafe {
        libc::sigfillset(&raw mut set);
        for signal in OF_THE_THREAD {
            libc::sigdelset(&raw mut set, signal);
        }
    }
    set
}

fn pipe() -> libc::sigset_t {
    let mut set = none();
    // SAFETY: the set is one, and the number is a signal.
    unsafe { libc::sigaddset(&raw mut set, libc::SIGPIPE) };
    set
}

/// Blocks signals on this thread, and says which were before.
fn block(signals: &libc::sigset_t) -> libc::sigset_t {
    let mut before = none();
    // SAFETY: both are sets. It fails only for a wrong first argument.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, signals, &raw mut before) };
    before
}

/// On a thread of the library's own: the program's signals come to others.
pub(crate) fn leave_to_the_program() {
    block(&those_of_the_program());
}

/// Starts threads that never take the program's signals.
pub(crate) fn left_to_others<T>(start: impl FnOnce() -> T) -> T {
    let before = block(&those_of_the_program());
    let started = start();
    // SAFETY: it is a set, as `block` has given it.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, ptr::null_mut()) };
    started
}

/// Does what may write to connections on a thread of the program's, with no SIGPIPE.
pub(crate) fn without_pipe<T>(work: impl FnOnce() -> T) -> T {
    let blocked = has_pipe(&block(&pipe()));
    // One that waits already is the program's.
    let _blocked = WithoutPipe { blocked, takes: !blocked || !pipe_is_pending() };
    work()
}

struct WithoutPipe {
    /// Whether the program has blocked it itself.
    blocked: bool,
    /// Whether one that comes meanwhile is taken away.
    takes: bool,
}

impl Drop for WithoutPipe {
    fn drop(&mut self) {
        if self.takes && pipe_is_pending() {
            take_pipe();
        }
        if !self.blocked {
            // SAFETY: it is a set.
            unsafe { libc::pthread_sigmask(libc::SIG_UNBLOCK, &pipe(), ptr::null_mut()) };
        }
    }
}

fn has_pipe(set: &libc::sigset_t) -> bool {
    // SAFETY: it is a set, and the number is a signal.
    unsafe { libc::sigismember(set, libc::SIGPIPE) == 1 }
}

fn pipe_is_pending() -> bool {
    let mut pending = none();
    // SAFETY: it is a set to be written to.
    unsafe { libc::sigpending(&raw mut pending) };
    has_pipe(&pending)
}

#[cfg(target_os = "linux")]
fn take_pipe() {
    let at_once = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the set and the time are such, and nobody wants to know more of the signal.
    unsafe { libc::sigtimedwait(&pipe(), ptr::null_mut(), &raw const at_once) };
}

#[cfg(not(target_os = "linux"))]
fn take_pipe() {
    let mut which = 0;
    // SAFETY: the set and the number are such. It is pending, so this does not wait.
    unsafe { libc::sigwait(&pipe(), &raw mut which) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process;

    fn blocked_here() -> libc::sigset_t {
        block(&none())
    }

    fn has(set: &libc::sigset_t, signal: libc::c_int) -> bool {
        // SAFETY: it is a set, and the number is a signal.
        unsafe { libc::sigismember(set, signal) == 1 }
    }

    /// As a write to a connection that the peer has closed does.
    fn raise_pipe() {
        // SAFETY: it sends a signal to this thread.
        unsafe { libc::pthread_kill(libc::pthread_self(), libc::SIGPIPE) };
    }

    #[test]
    fn threads_of_the_library_take_no_signals_of_the_program() {
        let runtime = process::runtime().unwrap();
        let (worker, blocking) = runtime.block_on(async {
            let worker = runtime.spawn(async { blocked_here() });
            let blocking = runtime.spawn_blocking(blocked_here);
            (worker.await.unwrap(), blocking.await.unwrap())
        });
        for set in [worker, blocking] {
            let taken = [libc::SIGTERM, libc::SIGINT, libc::SIGCHLD, libc::SIGALRM, libc::SIGPIPE];
            assert!(taken.into_iter().all(|signal| has(&set, signal)));
            assert!(!OF_THE_THREAD.into_iter().any(|signal| has(&set, signal)));
        }
        assert!(!has(&blocked_here(), libc::SIGTERM));
    }

    #[test]
    fn a_wait_takes_the_sigpipe_that_it_raised_and_leaves_the_program_its_own() {
        let raises = || async {
            raise_pipe();
            Ok(())
        };
        let waits = || process::within(None, "a wait", raises()).unwrap();
        waits();
        process::inside(raise_pipe).unwrap();
        assert!(!has(&blocked_here(), libc::SIGPIPE) && !pipe_is_pending());
        // The program's own, which it has blocked.
        block(&pipe());
        waits();
        assert!(!pipe_is_pending());
        raise_pipe();
        waits();
        assert!(has(&blocked_here(), libc::SIGPIPE) && pipe_is_pending());
        take_pipe();
    }
}
