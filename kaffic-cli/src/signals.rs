//! SIGINT and SIGTERM as something that can be awaited, so that a command can finish in order.
//! A second signal ends the process at once.

use crate::stop::Stop;
use std::future::Future;
use std::sync::Arc;
use tokio::sync::watch;

/// A flag that is set once and can be awaited. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Flag(Arc<watch::Sender<bool>>);

impl Flag {
    pub(crate) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }

    pub(crate) fn set(&self) {
        self.0.send_replace(true);
    }

    pub(crate) fn is_set(&self) -> bool {
        *self.0.borrow()
    }

    /// Returns when the flag is set; at once if it is already.
    pub(crate) async fn wait(&self) {
        // The sender is in `self`, so the wait can't fail.
        let _ = self.0.subscribe().wait_for(|set| *set).await;
    }
}

/// Whether the user asked the command to stop.
#[derive(Debug, Clone)]
pub(crate) struct Interrupt(Flag);

impl Interrupt {
    /// Takes over SIGINT and SIGTERM for this process.
    pub(crate) fn install() -> Result<Self, Stop> {
        let flag = Flag::new();
        let mut signals = Signals::new()
            .map_err(|error| Stop::failed(format!("cannot listen for signals: {error}")))?;
        let set = flag.clone();
        spawn(async move {
            signals.next().await;
            set.set();
            signals.next().await;
            std::process::exit(130);
        });
        Ok(Self(flag))
    }

    pub(crate) async fn wait(&self) {
        self.0.wait().await;
    }

    /// Does `work`, which may be dropped at any await, until a signal comes.
    pub(crate) async fn cut<T>(
        &self,
        work: impl Future<Output = Result<T, Stop>>,
    ) -> Result<T, Stop> {
        tokio::select! {
            biased;
            () = self.wait() => Err(Stop::Interrupted(None)),
            result = work => result,
        }
    }
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => (),
            _ = self.terminate.recv() => (),
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Runs a task in the background.
#[expect(clippy::disallowed_methods, reason = "the command itself is never simulated")]
pub(crate) fn spawn<T: Send + 'static>(
    task: impl Future<Output = T> + Send + 'static,
) -> tokio::task::JoinHandle<T> {
    tokio::spawn(task)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_flag_wakes_those_who_wait_and_those_who_come_late() {
        let flag = Flag::new();
        let waiting = spawn({
            let flag = flag.clone();
            async move { flag.wait().await }
        });
        assert!(!flag.is_set());
        flag.set();
        waiting.await.unwrap();
        flag.wait().await;
        assert!(flag.is_set());
    }
}
