//! Waiting for the core. Ruby's lock is given back meanwhile, so that other threads run, and the wait
//! ends for whatever Ruby interrupts threads with: a signal, `Thread#raise`, `Thread#kill`, a timeout.
//! Where a fiber scheduler is at work, a thread waits in the fiber's place.

use crate::error::{Raises, raise};
use futures_util::FutureExt;
use futures_util::future::{Either, select};
use kaffic_bindings::{Failure, Status, process};
use magnus::rb_sys::{AsRawValue, protect};
use magnus::value::{Opaque, ReprValue};
use magnus::{Error, Ruby, Value};
use std::any::Any;
use std::cell::Cell;
use std::ffi::c_void;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::ptr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio::task::{JoinError, JoinHandle};

/// The core is at work on this thread. It lies on the stack, where the garbage collector finds the
/// caller.
pub(crate) struct Frame {
    /// On whose behalf.
    pub(crate) caller: Value,
    /// Whether the thread has Ruby's lock.
    pub(crate) locked: bool,
}

thread_local! {
    static FRAME: Cell<*const Frame> = const { Cell::new(ptr::null()) };
    /// A call that has a consumer's turn is below on the stack, while Ruby handles an interrupt.
    static IN_TURN: Cell<bool> = const { Cell::new(false) };
}

impl Frame {
    /// Runs `work` within the frame; a panic becomes a failure.
    fn around<T>(caller: Value, locked: bool, work: impl FnOnce() -> T) -> Result<T, Failure> {
        let frame = Self { caller, locked };
        let before = FRAME.replace(&raw const frame);
        let came = catch_unwind(AssertUnwindSafe(work));
        FRAME.set(before);
        came.map_err(|panic| Failure::of_panic(&*panic))
    }

    /// The innermost frame of this thread.
    pub(crate) fn current<T>(look: impl FnOnce(Option<&Self>) -> T) -> T {
        // SAFETY: a frame is in `FRAME` only while `around` has it on this thread's stack.
        look(unsafe { FRAME.get().as_ref() })
    }
}

fn check_may_wait() -> Result<(), Failure> {
    if Frame::current(|frame| frame.is_some()) {
        let message = "a callback must not wait for kaffic: do this after the callback";
        return Err(Failure::new(Status::InCallback, message));
    }
    Ok(())
}

/// What `work` comes to if it need not wait.
pub(crate) fn at_once<F: Future>(
    caller: impl ReprValue,
    work: Pin<&mut F>,
) -> Result<Option<F::Output>, Failure> {
    let _inside = process::runtime()?.enter();
    Frame::around(caller.as_value(), true, || work.now_or_never())
}

/// Waits for `work`, however long it takes. The runtime's threads do it: they have room on their stacks.
pub(crate) fn wait<T: Send + 'static>(
    ruby: &Ruby,
    caller: impl ReprValue,
    work: impl Future<Output = Result<T, Failure>> + Send + 'static,
) -> Result<T, Error> {
    check_may_wait().raises(ruby)?;
    let mut task = Task(process::runtime().raises(ruby)?.spawn(work));
    in_place_of_the_fiber(ruby, caller.as_value(), move |ruby, caller| {
        loop {
            let came = unlocked(ruby, caller, Pin::new(&mut task.0)).raises(ruby)?;
            match came {
                Some(Ok(came)) => return came.raises(ruby),
                Some(Err(error)) => return Err(raise(ruby, ended(error))),
                None => interrupts(ruby)?,
            }
        }
    })
}

/// A task that is given up when nobody waits for it any more.
struct Task<T>(JoinHandle<T>);

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn ended(error: JoinError) -> Failure {
    match error.try_into_panic() {
        Ok(panic) => Failure::of_panic(&*panic),
        Err(_) => Failure::new(Status::Closed, "kaffic's runtime was ended"),
    }
}

/// The same, of a call that takes a consumer's turn: what Ruby does on an interrupt meanwhile, a
/// signal's handler say, can't have it.
pub(crate) fn wait_in_turn<T: Send + 'static>(
    ruby: &Ruby,
    caller: impl ReprValue,
    work: impl Future<Output = Result<T, Failure>> + Send + 'static,
) -> Result<T, Error> {
    if IN_TURN.get() {
        let message = "the signal came amid another call to a consumer: do this after the handler";
        return Err(raise(ruby, Failure::new(Status::InCallback, message)));
    }
    check_may_wait().raises(ruby)?;
    let mut work = Box::pin(work);
    in_place_of_the_fiber(ruby, caller.as_value(), move |ruby, caller| {
        // What need not wait need not give the lock back either.
        if let Some(came) = at_once(caller, work.as_mut()).raises(ruby)? {
            return came.raises(ruby);
        }
        loop {
            if let Some(came) = unlocked(ruby, caller, work.as_mut()).raises(ruby)? {
                return came.raises(ruby);
            }
            IN_TURN.set(true);
            let checked = interrupts(ruby);
            IN_TURN.set(false);
            checked?;
        }
    })
}

/// Waits for work that may be given up and begun again: it is, for each interrupt, so that whatever
/// Ruby does then can have the consumer. `make` gets the time that is left.
pub(crate) fn wait_anew<T: Send + 'static, F>(
    ruby: &Ruby,
    caller: impl ReprValue,
    limit: Option<Duration>,
    make: impl Fn(Option<Duration>) -> F + Send + 'static,
) -> Result<T, Error>
where
    F: Future<Output = Result<T, Failure>> + Send + 'static,
{
    check_may_wait().raises(ruby)?;
    #[expect(clippy::disallowed_methods, reason = "a caller's own limit, in real time")]
    let now = Instant::now;
    let deadline = limit.and_then(|limit| now().checked_add(limit));
    in_place_of_the_fiber(ruby, caller.as_value(), move |ruby, caller| {
        loop {
            let left = deadline.map(|at| at.saturating_duration_since(now()));
            let came = {
                let work = pin!(make(left));
                unlocked(ruby, caller, work).raises(ruby)?
            };
            if let Some(came) = came {
                return came.raises(ruby);
            }
            interrupts(ruby)?;
        }
    })
}

/// One call without Ruby's lock.
struct Call<'a, F: Future> {
    work: Option<Pin<&'a mut F>>,
    stop: &'a Notify,
    caller: Value,
    came: Option<Result<Option<F::Output>, Failure>>,
}

/// Waits for `work` without Ruby's lock; `None` if the thread was interrupted. Interrupts are left to
/// be looked at, so that what came of the work is never lost to one.
fn unlocked<F: Future>(
    ruby: &Ruby,
    caller: Value,
    work: Pin<&mut F>,
) -> Result<Option<F::Output>, Failure> {
    // One that a program has put off until it waits (`Thread.handle_interrupt`) would not be noticed.
    if let Ok(true) = ruby.thread_current().funcall("pending_interrupt?", ()) {
        return Ok(None);
    }
    let stop = Notify::new();
    let mut call = Call { work: Some(work), stop: &stop, caller, came: None };
    // SAFETY: `call` and `stop` outlive the call, which runs `run` on this thread, and `interrupt` on
    // others only while it does. `run` neither unwinds nor raises.
    unsafe {
        rb_sys::rb_thread_call_without_gvl2(
            Some(run::<F>),
            (&raw mut call).cast(),
            Some(interrupt),
            (&raw const stop).cast_mut().cast(),
        );
    }
    // An interrupt that was there before leaves it as it was.
    call.came.take().unwrap_or(Ok(None))
}

unsafe extern "C" fn run<F: Future>(call: *mut c_void) -> *mut c_void {
    // SAFETY: `unlocked` gives its own call, which nobody else uses meanwhile.
    let call = unsafe { &mut *call.cast::<Call<'_, F>>() };
    let Some(work) = call.work.take() else { return ptr::null_mut() };
    let stop = call.stop;
    let waits = async move {
        match select(work, pin!(stop.notified())).await {
            Either::Left((came, _)) => Some(came),
            Either::Right(_) => None,
        }
    };
    call.came = Some(
        process::runtime()
            .and_then(|runtime| Frame::around(call.caller, false, || runtime.block_on(waits))),
    );
    ptr::null_mut()
}

/// Does what the thread was interrupted for, as within a wait, so that it also does what was put off
/// until then.
fn interrupts(_: &Ruby) -> Result<(), Error> {
    unsafe extern "C" fn nothing(_: *mut c_void) -> *mut c_void {
        ptr::null_mut()
    }
    let check = || {
        // SAFETY: this has Ruby's lock, as the argument shows. Ruby looks for interrupts after the call;
        // what it raises is caught here.
        unsafe {
            rb_sys::rb_thread_call_without_gvl(
                Some(nothing),
                ptr::null_mut(),
                None,
                ptr::null_mut(),
            );
        }
        rb_sys::Qnil as rb_sys::VALUE
    };
    protect(check).map(drop)
}

unsafe extern "C" fn interrupt(stop: *mut c_void) {
    // SAFETY: `unlocked` gives its `Notify`, which lives until the call is over.
    unsafe { &*stop.cast::<Notify>() }.notify_one();
}

/// Calls `work` here, or for a fiber in a thread: a scheduler's other fibers go on meanwhile, and the
/// stacks of fibers are too small for all that the core may do.
fn in_place_of_the_fiber<T: Send + 'static>(
    ruby: &Ruby,
    caller: Value,
    mut work: impl FnMut(&Ruby, Value) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    // SAFETY: it only looks, with Ruby's lock.
    let scheduler = unsafe { rb_sys::rb_fiber_scheduler_current() };
    if on_own_stack() && scheduler == ruby.qnil().as_raw() {
        return work(ruby, caller);
    }
    let came = Arc::new(Mutex::new(None));
    let (into, caller) = (Arc::clone(&came), Opaque::from(caller));
    let thread = ruby.thread_create_from_fn(move |ruby| -> Result<(), Error> {
        let _: Value = ruby.thread_current().funcall("report_on_exception=", (false,))?;
        let done = work(ruby, ruby.get_inner(caller))?;
        *into.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(done);
        Ok(())
    });
    if let Err(error) = thread.funcall::<_, _, Value>("value", ()) {
        thread.kill().ok();
        return Err(error);
    }
    let came = came.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
    came.ok_or_else(|| raise(ruby, Failure::new(Status::Interrupted, "the wait was killed")))
}

/// Whether this runs on the stack of its thread, and not on that of a fiber.
fn on_own_stack() -> bool {
    thread_local! {
        static STACK: std::ops::Range<usize> = stack().unwrap_or(0..usize::MAX);
    }
    let here = 0_u8;
    STACK.with(|stack| stack.contains(&(&raw const here).addr()))
}

/// Where the thread's stack is; `None` where the system does not say.
#[cfg(target_os = "linux")]
fn stack() -> Option<std::ops::Range<usize>> {
    // SAFETY: the attributes are filled in before they are read, and destroyed.
    unsafe {
        let mut attributes: libc::pthread_attr_t = std::mem::zeroed();
        if libc::pthread_getattr_np(libc::pthread_self(), &raw mut attributes) != 0 {
            return None;
        }
        let (mut low, mut size) = (ptr::null_mut(), 0);
        let told = libc::pthread_attr_getstack(&raw const attributes, &raw mut low, &raw mut size);
        libc::pthread_attr_destroy(&raw mut attributes);
        (told == 0).then(|| low.addr()..low.addr() + size)
    }
}

/// Where the thread's stack is; `None` where the system does not say.
#[cfg(target_os = "macos")]
fn stack() -> Option<std::ops::Range<usize>> {
    // SAFETY: these ask about the thread that calls.
    let (high, size) = unsafe {
        let this = libc::pthread_self();
        (libc::pthread_get_stackaddr_np(this).addr(), libc::pthread_get_stacksize_np(this))
    };
    Some(high - size..high)
}

/// Where the thread's stack is; `None` where the system does not say.
#[cfg(not(any(target_os = "linux", target_os = "macos")))]
fn stack() -> Option<std::ops::Range<usize>> {
    None
}

/// Calls `work` with Ruby's lock, from within the core. A panic is lost, with what it would have given.
pub(crate) fn locked<T>(frame: &Frame, work: impl FnOnce(&Ruby, Value) -> T) -> Option<T> {
    struct Job<W, T> {
        work: Option<W>,
        caller: Value,
        came: Option<T>,
    }
    unsafe extern "C" fn go<W: FnOnce(&Ruby, Value) -> T, T>(job: *mut c_void) -> *mut c_void {
        // SAFETY: the job of the call below, which waits for this.
        let job = unsafe { &mut *job.cast::<Job<W, T>>() };
        // SAFETY: called with Ruby's lock, on one of its threads.
        let ruby = unsafe { Ruby::get_unchecked() };
        if let Some(work) = job.work.take() {
            let came: Result<T, Box<dyn Any + Send>> =
                catch_unwind(AssertUnwindSafe(|| work(&ruby, job.caller)));
            job.came = came.ok();
        }
        ptr::null_mut()
    }
    fn go_of<W: FnOnce(&Ruby, Value) -> T, T>(
        _: &Job<W, T>,
    ) -> unsafe extern "C" fn(*mut c_void) -> *mut c_void {
        go::<W, T>
    }
    let mut job = Job { work: Some(work), caller: frame.caller, came: None };
    let go = go_of(&job);
    let data = (&raw mut job).cast();
    // SAFETY: this is a thread of Ruby's, with the lock or without as the frame says, and the job
    // outlives the call.
    unsafe {
        match frame.locked {
            true => go(data),
            false => rb_sys::rb_thread_call_with_gvl(Some(go), data),
        };
    }
    job.came
}
