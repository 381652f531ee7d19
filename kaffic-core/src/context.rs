//! What everything that comes from one client shares.

use crate::env::Env;
use crate::keys::LogId;
use crate::log::{Log, LogSettings};
use crate::store::Store;
use std::sync::Arc;

/// A client's store and environment.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) store: Store,
    pub(crate) env: Arc<dyn Env>,
}

impl Context {
    /// One partition's log in the store.
    pub(crate) fn log(&self, id: LogId, settings: LogSettings) -> Arc<Log> {
        Arc::new(Log { id, store: self.store.clone(), env: Arc::clone(&self.env), settings })
    }
}
