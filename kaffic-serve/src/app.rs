//! What all handlers share.

use crate::config::Config;
use crate::problem::{Problem, Result};
use crate::producers::Producers;
use kaffic_core::Kaffic;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// What all handlers share.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) client: Kaffic,
    pub(crate) config: Config,
    pub(crate) producers: Producers,
    /// Room for the bytes of bodies.
    pub(crate) bodies: Arc<Semaphore>,
    /// Room for requests that are worked on.
    pub(crate) requests: Arc<Semaphore>,
    /// Room for streams and waiting fetches.
    pub(crate) streams: Arc<Semaphore>,
    /// Whether the server is being stopped.
    stopping: watch::Sender<bool>,
}

/// [`App`] as handlers get it.
pub(crate) type Shared = axum::extract::State<Arc<App>>;

impl App {
    pub(crate) fn new(client: Kaffic, config: Config) -> Arc<Self> {
        let limits = &config.limits;
        Arc::new(Self {
            producers: Producers::new(client.clone(), limits),
            bodies: Arc::new(Semaphore::new(limits.bodies_bytes)),
            requests: Arc::new(Semaphore::new(limits.requests)),
            streams: Arc::new(Semaphore::new(limits.streams)),
            stopping: watch::Sender::new(false),
            client,
            config,
        })
    }

    pub(crate) fn stop(&self) {
        self.stopping.send_replace(true);
    }

    pub(crate) fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }

    /// Returns when the server is told to stop.
    pub(crate) async fn stopped(&self) {
        // The sender is in `self`, so the wait can't fail.
        let _ = self.stopping.subscribe().wait_for(|stopping| *stopping).await;
    }

    /// A place for a stream, or for a fetch that waits.
    pub(crate) fn stream_place(&self) -> Result<OwnedSemaphorePermit> {
        Arc::clone(&self.streams).try_acquire_owned().map_err(|_| {
            let most = self.config.limits.streams;
            Problem::busy(format!("{most} streams are open already; try again later"))
        })
    }
}
