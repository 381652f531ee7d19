//! Fibers: a thread waits in a fiber's place.

use crate::error::raise;
use crate::lock::thread;
use kaffic_bindings::{Failure, Status};
use magnus::rb_sys::AsRawValue;
use magnus::value::ReprValue;
use magnus::{Error, Exception, Ruby, Value};
use std::ptr;
use std::sync::{Arc, Mutex};

/// Calls `work` here, or for a fiber in a thread: a scheduler's other fibers go on meanwhile, and the
/// stacks of fibers are too small for all that the core may do.
pub(crate) fn in_place_of_the_fiber<T: Send + 'static>(
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
    let into = Arc::clone(&came);
    let thread = thread(ruby, [caller], move |ruby, [caller]| {
        let _: Value = ruby.thread_current().funcall("report_on_exception=", (false,))?;
        match work(ruby, caller) {
            Ok(done) => *into.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(done),
            // As the thread's value, since what a thread raises may end the program
            // (`Thread.abort_on_exception`).
            Err(error) => {
                let raised = error.value().and_then(Exception::from_value);
                return raised.map(|raised| raised.as_value()).ok_or(error);
            }
        }
        Ok(ruby.qnil().as_value())
    })?;
    let raised: Value = thread.funcall("value", ()).inspect_err(|_| drop(thread.kill()))?;
    if let Some(raised) = Exception::from_value(raised) {
        return Err(raised.into());
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
