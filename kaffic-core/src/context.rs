//! What everything that comes from one client shares.

use crate::env::Env;
use crate::keys::LogId;
use crate::log::compact::Compactor;
use crate::log::{Log, LogSettings};
use crate::store::Store;
use std::sync::Arc;

/// A client's store and environment.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) store: Store,
    pub(crate) env: Arc<dyn Env>,
    pub(crate) compactor: Arc<Compactor>,
}

impl Context {
    /// One partition's log in the store.
    pub(crate) fn log(&self, id: LogId, settings: LogSettings) -> Arc<Log> {
        Arc::new(self.new_log(id, settings, None))
    }

    /// The same, with the blocks that are ended in it compacted in the background.
    pub(crate) fn compacted_log(&self, id: LogId, settings: LogSettings) -> Arc<Log> {
        Arc::new(self.new_log(id, settings, Some(Arc::clone(&self.compactor))))
    }

    fn new_log(&self, id: LogId, settings: LogSettings, compactor: Option<Arc<Compactor>>) -> Log {
        let (store, env) = (self.store.clone(), Arc::clone(&self.env));
        Log { id, store, env, settings, compactor }
    }
}
