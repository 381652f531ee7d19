//! What all handlers share.

use crate::config::Config;
use crate::health::Ready;
use crate::lag::Rounds;
use crate::members::Members;
use crate::metrics::Metrics;
use crate::parked::Parked;
use crate::problem::{Problem, Result};
use crate::producers::Producers;
use crate::runtime::sleep;
use crate::tail::Tails;
use kaffic_core::Kaffic;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

const SWEEP: Duration = Duration::from_secs(5);

/// Reads of the store at once; further ones wait.
const READING: usize = 64;
/// Readers that go on where they were without looking for the place again.
const AHEAD: usize = 128;

/// For how long those who read may take a topic as it was described.
const KNOWN: Duration = Duration::from_secs(1);

/// What all handlers share.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) client: Kaffic,
    pub(crate) config: Config,
    pub(crate) producers: Producers,
    pub(crate) tails: Tails,
    pub(crate) parked: Parked,
    pub(crate) members: Members,
    pub(crate) metrics: Metrics,
    pub(crate) ready: Ready,
    pub(crate) lag: Rounds,
    /// Room for the bytes of bodies.
    pub(crate) bodies: Arc<Semaphore>,
    /// Room for the bytes of answers.
    pub(crate) answers: Arc<Semaphore>,
    /// Turns to read from the store: whoever reads has batches in memory.
    pub(crate) reading: Semaphore,
    /// Places of readers that keep what they fetched ahead until they go on.
    pub(crate) ahead: Arc<Semaphore>,
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
        let client = client.knowing_topics(KNOWN);
        Arc::new(Self {
            producers: Producers::new(client.clone(), limits),
            tails: Tails::default(),
            parked: Parked::default(),
            members: Members::new(limits),
            metrics: Metrics::default(),
            ready: Ready::default(),
            lag: Rounds::default(),
            bodies: Arc::new(Semaphore::new(limits.bodies_bytes)),
            answers: Arc::new(Semaphore::new(limits.answers_bytes)),
            reading: Semaphore::new(READING),
            ahead: Arc::new(Semaphore::new(AHEAD)),
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

    /// A place for a request.
    pub(crate) fn request_place(&self) -> Result<OwnedSemaphorePermit> {
        Arc::clone(&self.requests).try_acquire_owned().map_err(|_| {
            let most = self.config.limits.requests;
            Problem::busy(format!("{most} requests are under way already; try again later"))
        })
    }

    /// Looks after what lasts longer than a request, for ever. What hangs keeps nothing else up.
    pub(crate) async fn sweep(&self) {
        let parked = async {
            loop {
                sleep(SWEEP).await;
                self.parked.sweep();
            }
        };
        let members = async {
            loop {
                sleep(SWEEP).await;
                self.members.sweep().await;
            }
        };
        let producers = async {
            loop {
                sleep(SWEEP).await;
                self.producers.sweep().await;
            }
        };
        tokio::join!(parked, members, producers);
    }

    /// A place for a stream, or for a fetch that waits.
    pub(crate) fn stream_place(&self) -> Result<OwnedSemaphorePermit> {
        Arc::clone(&self.streams).try_acquire_owned().map_err(|_| {
            let most = self.config.limits.streams;
            Problem::busy(format!("{most} streams are open already; try again later"))
        })
    }
}
