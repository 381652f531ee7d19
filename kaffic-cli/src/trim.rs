//! `kaffic trim`: removes the oldest records, where the storage has no lifecycle rules.

use crate::output::{Output, json};
use crate::stop::Stop;
use crate::store::Place;
use crate::units;
use kaffic_core::{Trim, TrimReport};
use serde_json::json;

const AFTER_HELP: &str = "\
Without --before, --offset or --keep-bytes the topic's retention says what goes (kaffic topic alter).
Blocks of 1,000 batches, or of some hours, go whole, oldest first, and none that is younger than the
topic's min-expiry. On object storage lifecycle rules do this better and for nothing.

Examples:
  kaffic trim orders --before 30d
  kaffic trim orders --before 2026-01-31T00:00:00Z --partition 3
  kaffic trim orders --keep-bytes 10GiB
  kaffic topic alter orders --retention 7d; kaffic trim orders";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// The topic
    topic: String,
    /// Remove records older than this: a time like 2026-01-31T12:00:00Z, or an age like 30d
    #[arg(long, value_name = "TIME", value_parser = units::time_or_age)]
    before: Option<i64>,
    /// Remove records before this offset
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(0..))]
    offset: Option<i64>,
    /// Remove all but the last so many bytes of each partition
    #[arg(long, value_name = "SIZE", value_parser = units::size)]
    keep_bytes: Option<u64>,
    /// Only in this partition
    #[arg(long, short, value_name = "N", value_parser = units::number::<u32>)]
    partition: Option<u32>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(store: &Place, args: Args) -> Result<(), Stop> {
    let client = store.connect().await?;
    let mut trim = Trim::retention();
    if let Some(unix_ms) = args.before {
        trim = trim.and_before_timestamp(unix_ms);
    }
    if let Some(offset) = args.offset {
        trim = trim.and_before_offset(offset);
    }
    if let Some(bytes) = args.keep_bytes {
        trim = trim.and_keep_bytes(bytes);
    }
    if let Some(partition) = args.partition {
        trim = trim.partition(partition);
    }
    let report = client.trim(&args.topic, trim).await?;
    let mut out = Output::stdout();
    match args.json {
        true => out.line(&json(&shape(&args.topic, &report))?),
        false => out.line(&text(&args.topic, &report)),
    }
    out.flush()
}

pub(crate) fn shape(topic: &str, report: &TrimReport) -> serde_json::Value {
    json!({
        "topic": topic, "removed": report.removed, "removed_bytes": report.removed_bytes,
        "remaining": report.remaining,
        "removable_at": report.removable_at_ms.map(units::show_time),
    })
}

pub(crate) fn text(topic: &str, report: &TrimReport) -> String {
    let TrimReport { removed, removed_bytes, remaining, .. } = report;
    let done = format!("topic {topic}: {removed} objects removed ({removed_bytes} bytes)");
    match report.removable_at_ms {
        None => done,
        Some(at) => {
            format!("{done}; {remaining} could go and are too young until {}", units::show_time(at))
        }
    }
}
