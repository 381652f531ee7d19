//! How far groups are behind, for the metrics: asked for in the background, when somebody looks.

use crate::app::App;
use crate::runtime::{now, spawn};
use futures_util::StreamExt;
use kaffic_core::{ErrorKind, Kaffic, Result};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// How many groups are asked for at once.
const AT_ONCE: usize = 4;

/// The rounds through all groups.
#[derive(Debug, Default)]
pub(crate) struct Rounds(Arc<Mutex<Round>>);

#[derive(Debug, Default)]
struct Round {
    runs: bool,
    begun: Option<Instant>,
}

impl Rounds {
    /// Begins a round, if that is wanted, it is time, and none is under way.
    pub(crate) fn begin(&self, app: &App) {
        let Some(every) = app.config.lag_every else { return };
        let mut round = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if round.runs || round.begun.is_some_and(|begun| begun.elapsed() < every) {
            return;
        }
        *round = Round { runs: true, begun: Some(now()) };
        let (client, rounds) = (app.client.clone(), Arc::clone(&self.0));
        spawn(async move {
            if let Err(error) = ask(&client).await {
                tracing::warn!(%error, "the lag of groups could not be asked for");
            }
            rounds.lock().unwrap_or_else(PoisonError::into_inner).runs = false;
        });
    }
}

/// Asks for all groups. The client keeps what that says.
async fn ask(client: &Kaffic) -> Result<()> {
    let groups = client.groups();
    let groups = &groups;
    let asked = futures_util::stream::iter(groups.list().await?)
        .map(|group| async move { groups.describe(&group.name).await.map(drop) })
        .buffer_unordered(AT_ONCE);
    let failed = asked.filter_map(async |asked| asked.err());
    // One that was deleted meanwhile is no failure, and one that fails is not in the way of others.
    let failed: Vec<_> = failed.collect().await;
    match failed.into_iter().find(|error| error.kind() != ErrorKind::GroupNotFound) {
        Some(error) => Err(error),
        None => Ok(()),
    }
}
