//! Ruby's lock: given back while a thread of Ruby's waits for the core, and what interrupts such a wait.

use crate::error::Raises;
use crate::rebalance::Request;
use futures_util::FutureExt;
use futures_util::future::{Either, Fuse, select};
use kaffic_bindings::{Failure, process};
use magnus::rb_sys::protect;
use magnus::value::ReprValue;
use magnus::{Error, Ruby, Thread, Value};
use std::cell::Cell;
use std::ffi::c_void;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::ptr;
use tokio::sync::{Notify, mpsc};
use tokio::task::{JoinError, JoinHandle};

/// The core is at work on this thread. It lies on the stack, where the garbage collector finds the
/// caller.
pub(crate) struct Frame {
    /// On whose behalf.
    pub(crate) caller: Value,
}

thread_local! {
    static FRAME: Cell<*const Frame> = const { Cell::new(ptr::null()) };
}

impl Frame {
    /// Runs `work` within the frame; a panic becomes a failure.
    pub(crate) fn around<T>(caller: Value, work: impl FnOnce() -> T) -> Result<T, Failure> {
        let frame = Self { caller };
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

/// What `work` comes to if it need not wait.
pub(crate) fn at_once<F: Future>(
    caller: impl ReprValue,
    work: Pin<&mut F>,
) -> Result<Option<F::Output>, Failure> {
    let _inside = process::runtime()?.enter();
    Frame::around(caller.as_value(), || work.now_or_never())
}

/// What ended a wait.
pub(crate) enum Came<T> {
    /// The task has ended.
    Done(Result<T, JoinError>),
    /// It asks for something that takes Ruby's lock, and waits for the answer.
    Asks(Request),
    /// The thread was interrupted. What for is left to be looked at.
    Interrupted,
}

/// One call without Ruby's lock.
struct Call<'a, T> {
    task: &'a mut Fuse<JoinHandle<T>>,
    requests: &'a mut mpsc::Receiver<Request>,
    stop: &'a Notify,
    came: Option<Result<Came<T>, Failure>>,
}

/// Waits for a task without Ruby's lock. `look` says that interrupts may be there which were put off until
/// now; those that are put off for longer would end every wait.
pub(crate) fn unlocked<T>(
    ruby: &Ruby,
    task: &mut Fuse<JoinHandle<T>>,
    requests: &mut mpsc::Receiver<Request>,
    look: bool,
) -> Result<Came<T>, Error> {
    // One that a program has put off until it waits (`Thread.handle_interrupt`) would not be noticed.
    if look && ruby.thread_current().funcall("pending_interrupt?", ())? {
        return Ok(Came::Interrupted);
    }
    let stop = Notify::new();
    let mut call = Call { task, requests, stop: &stop, came: None };
    let waits = || {
        // SAFETY: `call` and `stop` outlive the call, which runs `run` on this thread, and `interrupt`
        // on others only while it does. `run` neither unwinds nor raises. Ruby 3.1 may raise after it,
        // from the end of a helper thread of its own; that is caught, and nothing here has to be dropped.
        unsafe {
            rb_sys::rb_thread_call_without_gvl2(
                Some(run::<T>),
                (&raw mut call).cast(),
                Some(interrupt),
                (&raw const stop).cast_mut().cast(),
            );
        }
        rb_sys::Qnil as rb_sys::VALUE
    };
    let raised = protect(waits).err();
    // An interrupt that was there before leaves it as it was.
    let came = call.came.take().unwrap_or(Ok(Came::Interrupted)).raises(ruby);
    match (came, raised) {
        (came, None) => came,
        (Ok(Came::Interrupted), Some(error)) => Err(error),
        (came, Some(error)) => {
            put_back(ruby, error)?;
            came
        }
    }
}

/// Has what was raised be raised in this thread again, once what came of the work is the program's.
pub(crate) fn put_back(ruby: &Ruby, error: Error) -> Result<(), Error> {
    let Some(raised) = error.value() else { return Err(error) };
    thread(ruby, [ruby.thread_current().as_value(), raised], |_, [this, raised]| {
        this.funcall("raise", (raised,))
    })
    .map(drop)
}

/// Starts a thread of Ruby's. What it needs of Ruby's are its arguments, since the garbage collector does
/// not look into a closure.
pub(crate) fn thread<const N: usize>(
    ruby: &Ruby,
    given: [Value; N],
    work: impl FnOnce(&Ruby, [Value; N]) -> Result<Value, Error> + Send + 'static,
) -> Result<Thread, Error> {
    let mut work = Some(work);
    let run = ruby.proc_from_fn(move |ruby, given, _| match (work.take(), given.try_into()) {
        (Some(work), Ok(given)) => work(ruby, given),
        // A thread calls it once, with what it was given.
        _ => Ok(ruby.qnil().as_value()),
    });
    ruby.class_thread().funcall_with_block("new", given, run)
}

unsafe extern "C" fn run<T>(call: *mut c_void) -> *mut c_void {
    // SAFETY: `unlocked` gives its own call, which nobody else uses meanwhile.
    let call = unsafe { &mut *call.cast::<Call<'_, T>>() };
    let (task, requests, stop) = (&mut *call.task, &mut *call.requests, call.stop);
    let waits = async move {
        let asks = pin!(requests.recv().then(|request| async {
            match request {
                Some(request) => request,
                // The task's end is all that there is to wait for.
                None => std::future::pending().await,
            }
        }));
        match select(task, select(asks, pin!(stop.notified()))).await {
            Either::Left((done, _)) => Came::Done(done),
            Either::Right((Either::Left((request, _)), _)) => Came::Asks(request),
            Either::Right((Either::Right(_), _)) => Came::Interrupted,
        }
    };
    let wait = || process::runtime().map(|runtime| runtime.block_on(waits));
    let came = catch_unwind(AssertUnwindSafe(wait));
    call.came = Some(came.unwrap_or_else(|panic| Err(Failure::of_panic(&*panic))));
    ptr::null_mut()
}

/// Does what the thread was interrupted for, as within a wait, so that it also does what was put off
/// until then.
pub(crate) fn interrupts(_: &Ruby) -> Result<(), Error> {
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
