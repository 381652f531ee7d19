//! What a child of a fork may rest on, whatever other threads did when it was forked.

use kaffic_bindings::logs::{Level, set_sink};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

#[test]
fn a_child_can_set_where_log_lines_go_though_others_logged_at_the_fork() {
    set_sink(Level::Info, Some(Arc::new(|_, _, _| {})));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    tracing::info!(target: "kaffic_core::x", "a line");
                }
            });
        }
        for _ in 0..300 {
            // SAFETY: the child sets a sink, and ends.
            let child = unsafe { libc::fork() };
            if child == 0 {
                // SAFETY: it has the child ended, should it hang.
                unsafe { libc::alarm(20) };
                set_sink(Level::Info, None);
                // SAFETY: it ends the child.
                unsafe { libc::_exit(0) };
            }
            let mut status = 1;
            // SAFETY: the status is a variable here.
            assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
            if status != 0 {
                done.store(true, Ordering::Relaxed);
            }
            assert_eq!(status, 0);
        }
        done.store(true, Ordering::Relaxed);
    });
    set_sink(Level::Info, None);
}
