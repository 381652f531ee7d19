//! Waiting for the core. Ruby's lock is given back meanwhile, so that other threads run, and the wait
//! ends for whatever Ruby interrupts threads with: a signal, `Thread#raise`, `Thread#kill`, a timeout.

use crate::error::{Raises, raise};
use crate::fiber::in_place_of_the_fiber;
use crate::lock::{Came, Frame, interrupts, put_back, unlocked};
use crate::rebalance::{ASK, Request};
use futures_util::FutureExt;
use futures_util::future::{Fuse, FusedFuture};
use kaffic_bindings::{Failure, Status, process};
use magnus::value::ReprValue;
use magnus::{Error, Ruby, Value};
use std::cell::Cell;
use std::future::Future;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinError, JoinHandle};

thread_local! {
    /// A call that has a consumer's turn is below on the stack, while Ruby handles an interrupt.
    static IN_TURN: Cell<bool> = const { Cell::new(false) };
}

fn check_may_wait() -> Result<(), Failure> {
    if Frame::current(|frame| frame.is_some()) {
        let message = "a callback must not wait for kaffic: do this after the callback";
        return Err(Failure::new(Status::InCallback, message));
    }
    Ok(())
}

/// Work of the runtime's threads, which have room on their stacks. It is given up when nobody waits for
/// it any more.
struct Task<T> {
    /// Knows whether its end was seen already.
    handle: Fuse<JoinHandle<Result<T, Failure>>>,
    abort: AbortHandle,
    requests: mpsc::Receiver<Request>,
}

impl<T: Send + 'static> Task<T> {
    fn start(
        work: impl Future<Output = Result<T, Failure>> + Send + 'static,
    ) -> Result<Self, Failure> {
        let (ask, requests) = mpsc::channel(1);
        let handle = process::runtime()?.spawn(ASK.scope(ask, work));
        Ok(Self { abort: handle.abort_handle(), handle: handle.fuse(), requests })
    }

    /// Waits, and does what the task asks for; `None` if the thread was interrupted. `look` is as for
    /// `unlocked`.
    fn wait(
        &mut self,
        ruby: &Ruby,
        caller: Value,
        mut look: bool,
    ) -> Result<Option<Result<T, Failure>>, Error> {
        loop {
            match unlocked(ruby, &mut self.handle, &mut self.requests, look)? {
                Came::Done(done) => return Ok(Some(outcome(done))),
                Came::Asks(request) => {
                    request.answer(ruby, caller);
                    look = true;
                }
                Came::Interrupted => return Ok(None),
            }
        }
    }

    /// Ends the task now. What it comes to all the same is not lost.
    fn end(mut self) -> Option<Result<T, Failure>> {
        if self.handle.is_terminated() {
            return None;
        }
        self.requests.close();
        while self.requests.try_recv().is_ok() {}
        self.abort.abort();
        match process::runtime().map(|runtime| runtime.block_on(&mut self.handle)) {
            Ok(Err(error)) if error.is_cancelled() => None,
            Ok(done) => Some(outcome(done)),
            Err(failure) => Some(Err(failure)),
        }
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.abort.abort();
    }
}

fn outcome<T>(done: Result<Result<T, Failure>, JoinError>) -> Result<T, Failure> {
    done.unwrap_or_else(|error| match error.try_into_panic() {
        Ok(panic) => Err(Failure::of_panic(&*panic)),
        Err(_) => Err(Failure::new(Status::Closed, "kaffic's runtime was ended")),
    })
}

/// Waits for `work`, however long it takes.
pub(crate) fn wait<T: Send + 'static>(
    ruby: &Ruby,
    caller: impl ReprValue,
    work: impl Future<Output = Result<T, Failure>> + Send + 'static,
) -> Result<T, Error> {
    check_may_wait().raises(ruby)?;
    let mut task = Task::start(work).raises(ruby)?;
    in_place_of_the_fiber(ruby, caller.as_value(), move |ruby, caller| {
        let mut look = true;
        loop {
            if let Some(came) = task.wait(ruby, caller, look)? {
                return came.raises(ruby);
            }
            interrupts(ruby)?;
            look = false;
        }
    })
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
    let mut task = Task::start(work).raises(ruby)?;
    in_place_of_the_fiber(ruby, caller.as_value(), move |ruby, caller| {
        let mut look = true;
        loop {
            if let Some(came) = task.wait(ruby, caller, look)? {
                return came.raises(ruby);
            }
            IN_TURN.set(true);
            let checked = interrupts(ruby);
            IN_TURN.set(false);
            checked?;
            look = false;
        }
    })
}

/// When a wait that begins now is over.
#[expect(clippy::disallowed_methods, reason = "a caller's own limit, in real time")]
pub(crate) fn deadline(limit: Option<Duration>) -> Option<Instant> {
    limit.and_then(|limit| Instant::now().checked_add(limit))
}

/// Waits for work that may be given up and begun again: it is, for each interrupt, so that whatever
/// Ruby does then can have the consumer. `make` gets the time that is left.
pub(crate) fn wait_anew<T: Send + 'static, F>(
    ruby: &Ruby,
    caller: impl ReprValue,
    deadline: Option<Instant>,
    make: impl Fn(Option<Duration>) -> F + Send + 'static,
) -> Result<T, Error>
where
    F: Future<Output = Result<T, Failure>> + Send + 'static,
{
    check_may_wait().raises(ruby)?;
    #[expect(clippy::disallowed_methods, reason = "a caller's own limit, in real time")]
    let now = Instant::now;
    in_place_of_the_fiber(ruby, caller.as_value(), move |ruby, caller| {
        let mut look = true;
        loop {
            let left = deadline.map(|at| at.saturating_duration_since(now()));
            let mut task = Task::start(make(left)).raises(ruby)?;
            match task.wait(ruby, caller, look) {
                Ok(Some(came)) => return came.raises(ruby),
                Ok(None) => {
                    if let Some(came) = task.end() {
                        return came.raises(ruby);
                    }
                    interrupts(ruby)?;
                    look = false;
                }
                Err(error) => {
                    let Some(came) = task.end() else { return Err(error) };
                    put_back(ruby, error)?;
                    return came.raises(ruby);
                }
            }
        }
    })
}
