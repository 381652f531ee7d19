//! `kaffic compact`: joins the small objects of old blocks, where producers have not.

use crate::output::{Output, json};
use crate::progress::Progress;
use crate::stop::Stop;
use crate::store::Place;
use crate::units::show_time;
use kaffic_core::CompactionReport;
use serde_json::json;

const AFTER_HELP: &str = "\
Joins the batches of each block that has ended into objects of up to 64 MiB, so that reading it takes
few requests, and removes batches that were joined long enough ago (13 hours with the default
min-expiry). No record is dropped or changed, and offsets stay as they are. Producers do this in the
background for the blocks that they end; this does what was left. It may be stopped at any time and
run again, and may run in many places at once. Takes up to about 80 MiB of memory.

Example:
  kaffic compact orders --json";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// The topic
    topic: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(store: &Place, args: Args) -> Result<(), Stop> {
    let client = store.connect().await?;
    let progress = Progress::count("blocks done", false);
    let report = client.compact(&args.topic, |blocks| progress.set(blocks)).await?;
    drop(progress);
    let mut out = Output::stdout();
    match args.json {
        true => out.line(&json(&shape(&args.topic, &report))?),
        false => print(&args.topic, &report, &mut out),
    }
    out.flush()
}

fn shape(topic: &str, report: &CompactionReport) -> serde_json::Value {
    json!({
        "topic": topic, "compacted": report.compacted, "already": report.already,
        "left": report.left, "segments": report.segments, "segment_bytes": report.segment_bytes,
        "removed": report.removed, "remaining": report.remaining,
        "removable_at": report.removable_at_ms.map(show_time),
    })
}

fn print(topic: &str, report: &CompactionReport, out: &mut Output) {
    let CompactionReport { compacted, already, left, segments, segment_bytes, .. } = report;
    out.line(&format!(
        "topic {topic}: {compacted} blocks compacted into {segments} segments ({segment_bytes} \
         bytes), {already} had been before, {left} stay as they are"
    ));
    let CompactionReport { removed, remaining, removable_at_ms, .. } = report;
    out.line(&match removable_at_ms {
        Some(at) => format!(
            "{removed} objects removed; {remaining} have to stay until {}, compact again then",
            show_time(*at)
        ),
        None => format!("{removed} objects removed, {remaining} stay"),
    });
}
