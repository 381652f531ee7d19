//! What a producer has still to call or to settle of what was sent, so that a flush can wait for it. It is
//! counted by rounds, and a flush begins a new one: so it does not wait for what is sent after it.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

#[derive(Default)]
struct State {
    round: u64,
    /// How many are open of each round that has any.
    open: BTreeMap<u64, usize>,
}

/// A producer's promises.
#[derive(Default)]
pub(crate) struct Promises {
    state: Mutex<State>,
    kept: Notify,
}

/// One of them, open until it is dropped.
pub(crate) struct Promise {
    of: Arc<Promises>,
    round: u64,
}

impl Promises {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn make(self: &Arc<Self>) -> Promise {
        let mut state = self.state();
        let round = state.round;
        *state.open.entry(round).or_default() += 1;
        Promise { of: Arc::clone(self), round }
    }

    /// Waits until those are kept that are open at the call.
    pub(crate) fn so_far(self: &Arc<Self>) -> impl Future<Output = ()> + Send + 'static {
        let this = Arc::clone(self);
        let mut state = self.state();
        let last = state.round;
        state.round += 1;
        drop(state);
        async move {
            loop {
                let mut kept = pin!(this.kept.notified());
                // From here on it is told.
                kept.as_mut().enable();
                if this.state().open.keys().next().is_none_or(|first| *first > last) {
                    return;
                }
                kept.await;
            }
        }
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        let mut state = self.of.state();
        let Some(open) = state.open.get_mut(&self.round) else { return };
        *open -= 1;
        if *open == 0 {
            state.open.remove(&self.round);
            drop(state);
            self.of.kept.notify_waiters();
        }
    }
}
