//! `kaffic compact`: joins the small objects of old blocks, where producers have not.

use crate::output::{Output, json};
use crate::progress::Progress;
use crate::stop::Stop;
use crate::store::Place;
use crate::trim;
use crate::units::show_time;
use kaffic_core::{CompactionReport, MinExpiry, Trim};
use serde_json::json;

const AFTER_HELP: &str = "\
Joins the batches of each block that has ended into objects of up to 64 MiB, so that reading it takes
few requests, and removes batches that were joined long enough ago (13 hours with the default
min-expiry). No record is changed, and offsets stay as they are; where the topic has a retention
(kaffic topic alter), what is beyond it is removed first, as by kaffic trim. Producers join what they
write in the background; this does what was left. It may be stopped at any time and run again, and
may run in many places at once. Takes up to about 80 MiB of memory.

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
    let topic = client.topics().describe(&args.topic).await?;
    let retains = topic.retention.is_some() || topic.retention_bytes.is_some();
    // Where nothing may ever be deleted, nothing is.
    let trimmed = match retains && topic.min_expiry != MinExpiry::Never {
        true => Some(client.trim(&args.topic, Trim::retention()).await?),
        false => None,
    };
    let progress = Progress::count("blocks done", false);
    let report = client.compact(&args.topic, |blocks| progress.set(blocks)).await?;
    drop(progress);
    let mut out = Output::stdout();
    if args.json {
        let mut shape = shape(&args.topic, &report);
        shape["retention"] = trimmed.map(|trimmed| trim::shape(&args.topic, &trimmed)).into();
        out.line(&json(&shape)?);
    } else {
        if let Some(trimmed) = trimmed {
            out.line(&format!("retention: {}", trim::text(&args.topic, &trimmed)));
        }
        print(&args.topic, &report, &mut out);
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
