//! The process: its one tokio runtime, made at first use, and what becomes of it after a fork. The
//! runtime's threads are the parent's alone, so a child gets a runtime of its own when it first needs
//! one, and whatever was made before the fork says that it can't be used there.
//!
//! The program's signals are the program's: the runtime's threads take none, and a peer that closes a
//! connection in the midst of a request is an error of the request, and no SIGPIPE.

use crate::failure::{Failure, Result, Status};
use crate::signals;
use std::fmt;
use std::future::Future;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

/// The runtime, and who has work under way in it: a receiver for each [`Work`].
struct Running {
    runtime: Runtime,
    work: watch::Sender<()>,
}

/// Only atomics here: a lock that another thread held at a fork would be held in the child for ever.
static RUNNING: AtomicPtr<Running> = AtomicPtr::new(ptr::null_mut());
static GENERATION: AtomicU64 = AtomicU64::new(0);
static HOOKED: AtomicBool = AtomicBool::new(false);
/// How many [`Belonging`]s of this process there are.
static USERS: AtomicUsize = AtomicUsize::new(0);

/// A request to a cloud is some 130 calls deep. Optimised code needs a small part of it, and what is not
/// needed is not taken from the system.
const STACK: usize = 8 << 20;

extern "C" fn in_the_child() {
    // What these told of belongs to the parent. The runtime is left as it is: its threads are not
    // here, and ending it would wait for them.
    RUNNING.store(ptr::null_mut(), Ordering::Relaxed);
    USERS.store(0, Ordering::Relaxed);
    GENERATION.fetch_add(1, Ordering::Relaxed);
    crate::logs::in_the_child();
}

/// Has what belongs to the parent given up in a child.
pub(crate) fn hook() {
    if HOOKED.load(Ordering::Acquire) || HOOKED.swap(true, Ordering::AcqRel) {
        return;
    }
    // SAFETY: the handler only stores to atomics, which is allowed between fork and exec.
    unsafe { libc::pthread_atfork(None, None, Some(in_the_child)) };
}

/// The process's runtime.
///
/// # Errors
/// `Internal` when the operating system gives no threads.
///
/// ```
/// let seven = kaffic_bindings::process::runtime().unwrap().block_on(async { 7 });
/// assert_eq!(seven, 7);
/// ```
pub fn runtime() -> Result<&'static Runtime> {
    Ok(&running()?.runtime)
}

fn running() -> Result<&'static Running> {
    hook();
    let mut there = RUNNING.load(Ordering::Acquire);
    if there.is_null() {
        let made = Box::into_raw(Box::new(start()?));
        let null = ptr::null_mut();
        match RUNNING.compare_exchange(null, made, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => there = made,
            Err(other) => {
                // SAFETY: `made` came from a box above, and nobody else has seen it.
                unsafe { Box::from_raw(made) }.runtime.shutdown_background();
                there = other;
            }
        }
    }
    // SAFETY: only `shutdown` frees what was stored, and only when nothing belongs to it.
    Ok(unsafe { &*there })
}

fn start() -> Result<Running> {
    let mut builder = Builder::new_multi_thread();
    builder.enable_all().thread_name("kaffic").thread_stack_size(STACK);
    builder.on_thread_start(signals::leave_to_the_program);
    // Threads begin with the signals of the one that starts them.
    let runtime = signals::left_to_others(|| builder.build());
    let runtime = runtime.map_err(|error| {
        Failure::new(Status::Internal, format!("no threads can be started: {error}"))
    })?;
    Ok(Running { runtime, work: watch::Sender::new(()) })
}

/// Ends the runtime, for checkers of leaks; the next use makes a new one. Waits up to `wait` for what
/// is under way, and for its threads.
///
/// # Errors
/// `InvalidArgument` while there are clients, producers or consumers; `TimedOut` while there is work
/// under way.
#[expect(clippy::disallowed_methods, reason = "a caller's own limit, in real time")]
pub fn shutdown(wait: Duration) -> Result<()> {
    let began = Instant::now();
    let left = || wait.saturating_sub(began.elapsed());
    // Of those that end it at once only one can, and none while another waits with it in hand.
    let ours = Belonging::here();
    let in_use = || {
        let users = USERS.load(Ordering::SeqCst).saturating_sub(1);
        if users == 0 {
            return Ok(());
        }
        Err(Failure::invalid(format!(
            "{users} clients, producers and consumers are there still, or calls that end the library; \
             free them first"
        )))
    };
    loop {
        in_use()?;
        let there = RUNNING.load(Ordering::Acquire);
        if there.is_null() {
            return Ok(());
        }
        // SAFETY: it is freed below only, where nobody but this call belongs to it.
        let running = unsafe { &*there };
        let idle = async {
            running.work.closed().await;
            Ok(())
        };
        if running.work.receiver_count() > 0 {
            let what = "writing what was sent and is under way still";
            signals::without_pipe(|| running.runtime.block_on(limited(Some(left()), what, idle)))?;
        }
        in_use()?;
        let null = ptr::null_mut();
        if RUNNING.compare_exchange(there, null, Ordering::SeqCst, Ordering::SeqCst).is_err() {
            continue;
        }
        // Somebody may have come in between, and have the runtime in hand.
        let used = in_use();
        if used.is_err() || running.work.receiver_count() > 0 {
            // Where there is a new one already, the old stays for whoever has it.
            RUNNING.compare_exchange(null, there, Ordering::SeqCst, Ordering::SeqCst).ok();
            used?;
            continue;
        }
        // SAFETY: it came from a box, was taken out of the slot here alone, and nothing belongs to it.
        unsafe { Box::from_raw(there) }.runtime.shutdown_timeout(left());
        drop(ours);
        return Ok(());
    }
}

/// Work that goes on in the runtime when what began it is gone: [`shutdown`] waits until it is
/// dropped.
///
/// ```
/// use kaffic_bindings::process::{Work, runtime};
/// let work = Work::under_way().unwrap();
/// runtime().unwrap().spawn(async move {
///     // …
///     drop(work);
/// });
/// ```
#[derive(Debug)]
pub struct Work {
    _counted: watch::Receiver<()>,
}

impl Work {
    /// Begun by something that has a [`Belonging`].
    ///
    /// # Errors
    /// As [`runtime`].
    pub fn under_way() -> Result<Self> {
        Ok(Self { _counted: running()?.work.subscribe() })
    }
}

/// That something was made in this process, and not before a fork. Everything that uses the runtime
/// has one.
///
/// ```
/// let belonging = kaffic_bindings::process::Belonging::here();
/// assert!(belonging.check().is_ok());
/// ```
#[derive(Debug)]
pub struct Belonging {
    generation: u64,
}

impl Belonging {
    /// To the process that calls.
    pub fn here() -> Self {
        hook();
        USERS.fetch_add(1, Ordering::SeqCst);
        Self { generation: GENERATION.load(Ordering::Relaxed) }
    }

    /// Whether this is the process that it was made in.
    pub fn is_here(&self) -> bool {
        self.generation == GENERATION.load(Ordering::Relaxed)
    }

    /// # Errors
    /// `Forked` in a child of the process that it was made in.
    pub fn check(&self) -> Result<()> {
        if self.is_here() {
            return Ok(());
        }
        let message = "this was made before the process was forked, and is the parent's: make a \
                       new client in the child";
        Err(Failure::new(Status::Forked, message))
    }

    /// Something that has to be the process's own: it is dropped there, and left alone in a child.
    pub fn own<T>(self, value: T) -> Owned<T> {
        Owned(Arc::new(Kept { value: ManuallyDrop::new(value), belonging: self }))
    }
}

impl Drop for Belonging {
    fn drop(&mut self) {
        if self.is_here() {
            USERS.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

/// A value that can only be used, and is only dropped, in the process that it was made in.
///
/// ```
/// use kaffic_bindings::process::Belonging;
/// let owned = Belonging::here().own(String::from("mine"));
/// assert_eq!(owned.get().unwrap(), "mine");
/// ```
#[derive(Debug)]
pub struct Owned<T>(Arc<Kept<T>>);

#[derive(Debug)]
struct Kept<T> {
    value: ManuallyDrop<T>,
    belonging: Belonging,
}

impl<T> Owned<T> {
    /// # Errors
    /// `Forked` in a child of the process that it was made in.
    pub fn get(&self) -> Result<&T> {
        self.0.belonging.check()?;
        Ok(&self.0.value)
    }

    /// The value for as long as a call needs it, also if its owner is dropped meanwhile.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    ///
    /// ```
    /// use kaffic_bindings::process::Belonging;
    /// let owned = Belonging::here().own(String::from("mine"));
    /// let held = owned.hold().unwrap();
    /// drop(owned);
    /// assert_eq!(*held, "mine");
    /// ```
    pub fn hold(&self) -> Result<Held<T>> {
        self.0.belonging.check()?;
        Ok(Held(Arc::clone(&self.0)))
    }
}

/// What [`Owned::hold`] returns.
pub struct Held<T>(Arc<Kept<T>>);

impl<T> Deref for Held<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.value
    }
}

impl<T: fmt::Debug> fmt::Debug for Held<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T> Drop for Kept<T> {
    fn drop(&mut self) {
        if !self.belonging.is_here() {
            // Its locks may be held by threads that are not here.
            return;
        }
        // Dropping may spawn: what is left of a producer's buffer is still sent.
        let _inside = runtime().map(Runtime::enter).ok();
        // SAFETY: it is dropped nowhere else, and not used after.
        unsafe { ManuallyDrop::drop(&mut self.value) };
    }
}

/// Does what has to be done within the runtime and does not wait.
///
/// # Errors
/// As [`runtime`].
///
/// ```
/// let handle = kaffic_bindings::process::inside(tokio::runtime::Handle::try_current).unwrap();
/// assert!(handle.is_ok());
/// ```
pub fn inside<T>(work: impl FnOnce() -> T) -> Result<T> {
    let _inside = runtime()?.enter();
    Ok(signals::without_pipe(work))
}

/// Waits for `work` on this thread, for at most `limit`; `None` waits as long as it takes.
///
/// # Errors
/// `TimedOut`, naming `what` took too long; and whatever `work` says.
pub fn within<T>(
    limit: Option<Duration>,
    what: &str,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    let runtime = runtime()?;
    signals::without_pipe(|| runtime.block_on(limited(limit, what, work)))
}

/// The same as a future.
///
/// # Errors
/// As [`within`].
#[expect(clippy::disallowed_methods, reason = "a caller's own limit, in real time")]
pub async fn limited<T>(
    limit: Option<Duration>,
    what: &str,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    let Some(limit) = limit else { return work.await };
    tokio::time::timeout(limit, work).await.unwrap_or_else(|_| {
        let message = format!("{what} took longer than the {limit:?} allowed for the call");
        Err(Failure::new(Status::TimedOut, message))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runtime_in_use_is_not_ended() {
        let belonging = Belonging::here();
        let failure = shutdown(Duration::ZERO).unwrap_err();
        assert_eq!(failure.status, Status::InvalidArgument);
        assert_eq!(runtime().unwrap().block_on(async { 3 }), 3);
        drop(belonging);
    }

    #[test]
    fn a_limit_is_told_with_what_took_too_long() {
        let never = std::future::pending::<Result<()>>();
        let failure = within(Some(Duration::from_millis(1)), "a flush", never).unwrap_err();
        assert_eq!(failure.status, Status::TimedOut);
        assert!(failure.message.starts_with("a flush took longer"), "{failure}");
        assert!(failure.retriable);
    }

    #[test]
    fn what_belongs_to_another_generation_is_refused_and_not_dropped() {
        let mut dropped = 0;
        struct Counts<'a>(&'a mut i32);
        impl Drop for Counts<'_> {
            fn drop(&mut self) {
                *self.0 += 1;
            }
        }
        let foreign = Belonging { generation: GENERATION.load(Ordering::Relaxed) + 1 };
        let owned = foreign.own(Counts(&mut dropped));
        assert_eq!(owned.get().map(|_| ()).unwrap_err().status, Status::Forked);
        drop(owned);
        assert_eq!(dropped, 0);
        drop(Belonging::here().own(Counts(&mut dropped)));
        assert_eq!(dropped, 1);
    }
}
