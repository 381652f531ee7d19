//! The end of the runtime, in a process of its own.

use kaffic_bindings::Status;
use kaffic_bindings::process::{Belonging, Work, inside, runtime, shutdown};
use std::time::Duration;

#[test]
fn the_runtime_ends_when_what_is_under_way_has_ended() {
    let minute = Duration::from_secs(60);
    let (ends, ended) = tokio::sync::oneshot::channel::<()>();
    let user = Belonging::here();
    let work = Work::under_way().unwrap();
    let task = runtime().unwrap().spawn(async move {
        ended.await.ok();
        tokio::task::yield_now().await;
        drop(work);
    });
    assert_eq!(shutdown(minute).unwrap_err().status, Status::InvalidArgument);
    drop(user);
    // It goes on.
    let failure = shutdown(Duration::ZERO).unwrap_err();
    assert_eq!(failure.status, Status::TimedOut);
    assert!(failure.message.contains("under way"), "{failure}");
    assert!(!task.is_finished());
    ends.send(()).unwrap();
    shutdown(minute).unwrap();
    assert!(task.is_finished());
    // The next use makes a new one.
    inside(|| ()).unwrap();
    shutdown(minute).unwrap();
}
