//! Whether the server lives, and whether it can work.

use crate::app::{App, Shared};
use crate::problem::{Problem, Result};
use crate::runtime::{now, timeout};
use axum::extract::State;
use kaffic_core::ErrorKind;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long the store may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long an answer of the store holds: probes come often, and requests cost.
const HOLDS: Duration = Duration::from_secs(2);
/// A topic of this name would do no harm; that there is none is an answer.
const NO_TOPIC: &str = "kaffic-readiness-probe";

/// When the store last answered.
#[derive(Debug, Default)]
pub(crate) struct Ready(Mutex<Option<Instant>>);

/// Say that the server lives, and nothing more.
#[utoipa::path(get, path = "/healthz", tag = "server", security(()), responses(
    (status = 200, description = "It lives.", body = String, content_type = "text/plain"),
    Problem,
))]
pub(crate) async fn healthz() -> &'static str {
    "ok\n"
}

/// Say whether the store answers, and the server is not being stopped.
#[utoipa::path(get, path = "/readyz", tag = "server", security(()), responses(
    (status = 200, description = "It can work.", body = String, content_type = "text/plain"),
    Problem,
))]
pub(crate) async fn readyz(State(app): Shared) -> Result<&'static str> {
    if app.is_stopping() {
        return Err(Problem::stopping());
    }
    if !app.ready.holds() {
        ask(&app).await?;
        app.ready.answered();
    }
    Ok("ready\n")
}

async fn ask(app: &App) -> Result<()> {
    match timeout(PATIENCE, app.client.topics().describe(NO_TOPIC)).await {
        Some(Ok(_)) => Ok(()),
        Some(Err(error)) if error.kind() == ErrorKind::TopicNotFound => Ok(()),
        Some(Err(error)) => Err(error.into()),
        None => Err(Problem::busy(format!("the store did not answer within {PATIENCE:?}"))),
    }
}

impl Ready {
    fn holds(&self) -> bool {
        let answered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        answered.is_some_and(|at| at.elapsed() < HOLDS)
    }

    fn answered(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(now());
    }
}
