//! Compacts the topic again and again, and sweeps it, while it is written to and read.

use super::{TOPIC, passing};
use crate::config::{A_MS, R_MS};
use crate::process::{Process, Program};
use crate::trace::Event;

/// Compacts the topic some times, with waits in between.
pub(crate) fn compactor() -> Program {
    Program::new("compactor", |process| async move {
        for _ in 0..2 + process.below(5) {
            if !compact(&process).await {
                return;
            }
            let waits = &[100, 2_000, 15_000, A_MS, A_MS + 10_000, R_MS, 2 * R_MS];
            let few = if process.world().setting.hurry { 3 } else { waits.len() };
            process.pause(process.one_of(&waits[..few])).await;
        }
    })
}

/// Says whether it is worth another try.
async fn compact(process: &Process) -> bool {
    let Ok(client) = process.connect().await else { return false };
    match client.compact(TOPIC, |_| {}).await {
        Ok(report) => {
            let mut world = process.world();
            world.counts_of_compaction(&report);
            world.log(&Event::Note { what: "compacted" });
            true
        }
        Err(error) => passing(process, "compacting", &error),
    }
}
