//! Compacts a whole topic: what producers' background work has left undone, because their process
//! ended first, or because it was switched off. Blocks are taken one after another, so it may be
//! stopped and begun again at any time, and may run in many places at once.

use crate::context::Context;
use crate::error::Result;
use crate::keys::BLOCKS_PER_GROUP;
use crate::log::compact::Compacted;
use crate::log::{Log, blocks_of};
use crate::topic::TopicDescription;

/// What a compaction did. See [`crate::Kaffic::compact`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CompactionReport {
    /// Blocks that were compacted now.
    pub compacted: u64,
    /// Blocks that had been compacted before.
    pub already: u64,
    /// Blocks that stay as they are: they have not ended, or some of their batches have expired or
    /// are damaged.
    pub left: u64,
    /// Segments that were written.
    pub segments: u64,
    /// Bytes in these.
    pub segment_bytes: u64,
    /// Objects removed: batches that are in segments too, and what compactions that were cut off
    /// have left.
    pub removed: u64,
    /// Batches that are in segments too, and have to stay until no late put can bring one back.
    pub remaining: u64,
    /// When (Unix milliseconds) compacting again removes all of these.
    pub removable_at_ms: Option<i64>,
}

pub(crate) async fn compact(
    context: &Context,
    topic: &TopicDescription,
    mut progress: impl FnMut(u64) + Send,
) -> Result<CompactionReport> {
    context.store.check_contract().await?;
    let mut report = CompactionReport::default();
    for partition in 0..topic.partitions {
        let log = topic.log(context, partition);
        let segment_bytes = context.compactor.segment_bytes();
        compact_log(&log, segment_bytes, &mut report, &mut progress).await?;
    }
    Ok(report)
}

async fn compact_log(
    log: &Log,
    segment_bytes: u64,
    report: &mut CompactionReport,
    progress: &mut (impl FnMut(u64) + Send),
) -> Result<()> {
    let groups = log.store.list(&log.id.data_dir()).await?;
    let mut groups: Vec<u64> = groups.numbered_dirs().collect();
    groups.sort_unstable();
    for group in groups {
        let listing = log.group(group).await?;
        let now = log.store.now().await?;
        for number in blocks_of(&listing).into_keys() {
            let block = group * BLOCKS_PER_GROUP + number;
            match log.compact_block(block, segment_bytes).await? {
                Compacted::Done { segments, bytes } => {
                    report.compacted += 1;
                    report.segments += segments as u64;
                    report.segment_bytes += bytes;
                }
                Compacted::Already => report.already += 1,
                Compacted::Left => report.left += 1,
            }
            let swept = log.sweep_block(block, now).await?;
            report.removed += swept.removed + log.sweep_orphans(block, &listing, now).await?;
            report.remaining += swept.remaining;
            let at_ms = swept.removable_at.map(|at| at * 1000);
            report.removable_at_ms = report.removable_at_ms.max(at_ms);
            progress(report.compacted + report.already + report.left);
        }
    }
    Ok(())
}
