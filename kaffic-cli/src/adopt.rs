//! `kaffic adopt`: makes a copied or restored store usable.

use crate::output::{Output, json};
use crate::stop::Stop;
use crate::store::Place;
use kaffic_core::{AdoptReport, AdoptedBlock};
use serde_json::{Value, json};

const AFTER_HELP: &str = "\
A block that was copied while it was written to rests on times that the copy does not have. This
ends such blocks with the slots that are there. Nothing may write to the copy meanwhile; a store
that is not a copy is left alone.

Examples:
  aws s3 sync s3://live/logs s3://copy/logs
  kaffic --store s3://copy/logs adopt
  kaffic --store s3://copy/logs verify orders";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// The topics; all of them if none is named
    topics: Vec<String>,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Print JSON, an object for each topic
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(store: &Place, args: Args) -> Result<(), Stop> {
    let client = store.connect().await?;
    let mut topics = args.topics;
    if topics.is_empty() {
        topics = client.topics().list().await?.into_iter().map(|topic| topic.name).collect();
    }
    let mut out = Output::stdout();
    for topic in &topics {
        let report = client.adopt(topic, args.dry_run).await?;
        match args.json {
            true => out.line(&json(&shape(topic, &report))?),
            false => print(topic, &report, args.dry_run, &mut out),
        }
        out.flush()?;
    }
    Ok(())
}

fn shape(topic: &str, report: &AdoptReport) -> Value {
    let block = |block: &AdoptedBlock| {
        json!({
            "partition": block.partition, "block": block.block, "slots": block.slots,
            "missing": block.missing, "next_offset": block.next_offset,
        })
    };
    let ended: Vec<Value> = report.ended.iter().map(block).collect();
    json!({ "topic": topic, "ended": ended, "left_alone": report.left_alone })
}

fn print(topic: &str, report: &AdoptReport, dry_run: bool, out: &mut Output) {
    let verb = if dry_run { "would be ended" } else { "ended" };
    for block in &report.ended {
        let AdoptedBlock { partition, block, slots, missing, next_offset, .. } = block;
        let missing = match missing {
            0 => String::new(),
            count => format!(", {count} missing"),
        };
        out.line(&format!(
            "topic {topic} partition {partition}: block {block} {verb} with {slots} slots{missing}; \
             the log goes on at offset {next_offset}"
        ));
    }
    out.line(&format!("topic {topic}: {} partitions left alone", report.left_alone));
}
