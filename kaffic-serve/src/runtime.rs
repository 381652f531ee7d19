//! Time and tasks. A server is never simulated, so it asks the machine itself; here and nowhere else.

use std::future::Future;
use std::time::{Duration, Instant};

#[expect(clippy::disallowed_methods, reason = "a server is never simulated")]
pub(crate) fn spawn<T: Send + 'static>(
    task: impl Future<Output = T> + Send + 'static,
) -> tokio::task::JoinHandle<T> {
    tokio::spawn(task)
}

#[expect(clippy::disallowed_methods, reason = "a server is never simulated")]
pub(crate) async fn sleep(duration: Duration) {
    tokio::time::sleep(duration).await;
}

/// What `work` gives, or `None` if that takes longer.
#[expect(clippy::disallowed_methods, reason = "a server is never simulated")]
pub(crate) async fn timeout<T>(duration: Duration, work: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(duration, work).await.ok()
}

#[expect(clippy::disallowed_methods, reason = "a server is never simulated")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
