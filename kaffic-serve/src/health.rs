//! Whether the server lives, and whether it can work.

use crate::app::{App, Shared};
use crate::problem::{Problem, Result};
use crate::runtime::{now, timeout};
use axum::extract::State;
use kaffic_core::ErrorKind;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// How long the store may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long an answer of the store holds: probes come often, and requests cost.
const HOLDS: Duration = Duration::from_secs(2);
/// A topic of this name would do no harm; that there is none is an answer.
const NO_TOPIC: &str = "kaffic-readiness-probe";

/// When the store was last asked, and what that came to. One asks at a time, and all who came
/// meanwhile have its answer.
#[derive(Debug, Default)]
pub(crate) struct Ready(Mutex<Option<(Instant, Result<()>)>>);

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
    let mut last = app.ready.0.lock().await;
    let answer = match &*last {
        Some((at, answer)) if at.elapsed() < HOLDS => answer.clone(),
        _ => {
            let answer = ask(&app).await;
            *last = Some((now(), answer.clone()));
            answer
        }
    };
    answer.map(|()| "ready\n")
}

async fn ask(app: &App) -> Result<()> {
    match timeout(PATIENCE, app.client.topics().describe(NO_TOPIC)).await {
        Some(Ok(_)) => Ok(()),
        Some(Err(error)) if error.kind() == ErrorKind::TopicNotFound => Ok(()),
        Some(Err(error)) => Err(error.into()),
        None => Err(Problem::busy(format!("the store did not answer within {PATIENCE:?}"))),
    }
}
