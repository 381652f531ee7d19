//! `kaffic verify`: reads everything and says what is wrong and where.

use crate::output::{Output, json};
use crate::progress::Progress;
use crate::stop::Stop;
use crate::store::Place;
use kaffic_core::VerifyReport;
use serde_json::json;

const AFTER_HELP: &str = "\
Reads every object of the topic and checks checksums, offsets and order. Exit code 0 says that
nothing is wrong, 1 that something is; every problem is a line with its partition and object.

Example:
  kaffic verify orders --json";

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
    let progress = Progress::count("records checked", false);
    let report = client.verify(&args.topic, |records| progress.set(records)).await?;
    drop(progress);
    let mut out = Output::stdout();
    match args.json {
        true => out.line(&json(&shape(&args.topic, &report))?),
        false => print(&args.topic, &report, &mut out),
    }
    out.flush()?;
    match report.issues.len() {
        0 => Ok(()),
        1 => Err(Stop::failed(format!("topic {} has 1 problem", args.topic))),
        count => Err(Stop::failed(format!("topic {} has {count} problems", args.topic))),
    }
}

fn shape(topic: &str, report: &VerifyReport) -> serde_json::Value {
    let issues: Vec<_> = report
        .issues
        .iter()
        .map(|issue| {
            json!({
                "partition": issue.partition, "object": issue.object, "problem": issue.problem,
            })
        })
        .collect();
    json!({
        "topic": topic, "records": report.records, "batches": report.batches,
        "bytes": report.bytes, "gaps": report.gaps, "issues": issues,
    })
}

fn print(topic: &str, report: &VerifyReport, out: &mut Output) {
    for issue in &report.issues {
        out.line(&format!("partition {} {}: {}", issue.partition, issue.object, issue.problem));
    }
    let VerifyReport { records, batches, bytes, gaps, .. } = report;
    out.line(&format!(
        "topic {topic}: {records} records in {batches} batches ({bytes} bytes) read, \
         {gaps} offsets without records, {} problems",
        report.issues.len()
    ));
}
