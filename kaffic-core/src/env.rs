//! Time, chance and the process: the only module that may ask the operating system for any of
//! them, so that a simulation can stand in for all three.

use futures_util::future::{BoxFuture, Either, select};
use std::fmt::Debug;
use std::future::Future;
use std::pin::pin;
use std::time::Duration;
use tokio::sync::oneshot;

/// Where the library gets time, random numbers, its process id and background tasks from.
///
/// [`SystemEnv`] is the real one and the default. A simulation brings its own, together with its
/// own store, and the whole library then runs in its time.
pub trait Env: Debug + Send + Sync + 'static {
    /// The wall clock in milliseconds since the Unix epoch.
    fn now_ms(&self) -> i64;
    /// Time since some fixed moment, never going backward.
    fn monotonic(&self) -> Duration;
    /// Waits.
    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()>;
    /// A number that nobody can foresee and no other process draws.
    fn random(&self) -> u64;
    /// The process id, which tells a forked child from its parent.
    fn process_id(&self) -> u32;
    /// Runs a task in the background.
    fn spawn(&self, task: BoxFuture<'static, ()>);
    /// Does work that keeps a processor busy, out of the way of other tasks; at once, by default.
    fn compute(&self, work: Box<dyn FnOnce() + Send>) {
        work();
    }
    /// Whether a rule of the protocol is kept. Always true; a simulation leaves rules out to show
    /// that it notices.
    #[doc(hidden)]
    fn keeps(&self, _rule: Rule) -> bool {
        true
    }
}

/// The rules of the log's protocol that a simulation can leave out, one at a time.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rule {
    /// A slot stamped at or after T + A is void.
    LateSlotsAreVoid,
    /// An ambiguous put is decided by reading the slot, not taken as failed.
    AmbiguousPutsAreRead,
    /// After a slow put, the stamp and the end are looked at before it is acknowledged.
    SlowPutsAreChecked,
    /// A comes from the block's `open`, not from the setting.
    LeaseComesFromOpen,
    /// A verdict rests on a stamp, not on the local clock.
    VerdictsComeFromStamps,
    /// A reader gets an absent slot a second time before it moves past it.
    ReaderLooksTwice,
    /// A reader moves on when an absent slot can't come any more.
    ReaderMovesOn,
    /// A reader asks for the block's index before it takes a slot for expired.
    ReaderAsksForTheIndex,
    /// A writer whose put came late asks for the block's index: its batch may have been there before.
    WritersAskForTheIndex,
    /// The slots of a compacted block stay until T + A + K.
    SweepsWaitForTheLease,
    /// A named producer whose position was not reached by walking looks whether there is a newer
    /// epoch.
    NamesAskForTheEpoch,
    /// A compactor whose index was not the first reads that before it deletes its segments.
    LosersReadTheIndex,
    /// A group member's commit that meets another's claim fails.
    CommitsMeetClaims,
    /// A group's partition is not claimed by a member that knows less of the group than whoever had it
    /// did.
    ClaimsMindGenerations,
}

/// The real clock, the operating system's random numbers and the tokio runtime it is used in.
///
/// ```
/// use kaffic_core::env::{Env, SystemEnv};
/// let env = SystemEnv::new();
/// assert!(env.now_ms() > 1_700_000_000_000);
/// assert_eq!(env.process_id(), std::process::id());
/// ```
#[derive(Debug)]
pub struct SystemEnv {
    start: std::time::Instant,
}

impl SystemEnv {
    /// The environment of this process.
    #[expect(clippy::disallowed_methods, reason = "this module is where time comes from")]
    pub fn new() -> Self {
        Self { start: std::time::Instant::now() }
    }
}

impl Default for SystemEnv {
    fn default() -> Self {
        Self::new()
    }
}

#[expect(clippy::disallowed_methods, reason = "this module is where time and chance come from")]
impl Env for SystemEnv {
    fn now_ms(&self) -> i64 {
        match std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH) {
            Ok(since) => since.as_millis() as i64,
            Err(before) => -(before.duration().as_millis() as i64),
        }
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }

    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(time))
    }

    fn random(&self) -> u64 {
        // The operating system's generator, asked each time: a generator of our own would give
        // parent and forked child the same numbers.
        match getrandom::u64() {
            Ok(number) => number,
            Err(error) => panic!("the operating system gives no random numbers: {error}"),
        }
    }

    fn process_id(&self) -> u32 {
        std::process::id()
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        tokio::spawn(task);
    }

    fn compute(&self, work: Box<dyn FnOnce() + Send>) {
        tokio::task::spawn_blocking(work);
    }
}

/// Runs `work` in a task of its own, so that it goes on while its caller does other things. It ends
/// when the future that is returned is dropped.
pub(crate) fn spawn<T: Send + 'static>(
    env: &dyn Env,
    work: impl Future<Output = T> + Send + 'static,
) -> BoxFuture<'static, T> {
    let (mut answer, answered) = oneshot::channel();
    env.spawn(Box::pin(async move {
        let done = match select(pin!(work), pin!(answer.closed())).await {
            Either::Left((done, _)) => done,
            Either::Right(_) => return,
        };
        answer.send(done).ok();
    }));
    Box::pin(async move {
        match answered.await {
            Ok(done) => done,
            // The runtime is shutting down, and drops this task as well.
            Err(_) => std::future::pending().await,
        }
    })
}

/// Begins work that keeps a processor busy, and says where its result comes.
pub(crate) fn compute<T: Send + 'static>(
    env: &dyn Env,
    work: impl FnOnce() -> T + Send + 'static,
) -> oneshot::Receiver<T> {
    let (answer, answered) = oneshot::channel();
    env.compute(Box::new(move || {
        answer.send(work()).ok();
    }));
    answered
}

/// Runs `work` for at most `time`; `None` when the time ran out first.
pub(crate) async fn timeout<T>(
    env: &dyn Env,
    time: Duration,
    work: impl Future<Output = T>,
) -> Option<T> {
    match select(pin!(work), env.sleep(time)).await {
        Either::Left((output, _)) => Some(output),
        Either::Right(((), _)) => None,
    }
}
