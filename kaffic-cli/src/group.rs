//! `kaffic group`: list, describe, reset, delete.

use crate::output::{Output, json};
use crate::position;
use crate::stop::Stop;
use crate::store::Place;
use crate::units;
use kaffic_core::{CommittedOffset, GroupDescription, GroupPartition, OffsetReset, ResetTo};
use serde_json::json;

const DESCRIBE_HELP: &str = "\
For every partition: who has it, the committed offset (that of the next record to be consumed), the
end, and the lag between the two. A - stands for nobody and for nothing committed.

Example:
  kaffic group describe billing";

const RESET_HELP: &str = "\
Only a group without members can be reset: stop them first. A member that was killed is in the way
until its session timeout has passed.

Examples:
  kaffic group reset billing --topic orders --to earliest
  kaffic group reset billing --topic orders --partition 3 --to offset:5000 --dry-run
  kaffic group reset billing --topic orders --to time:2026-01-31T00:00:00Z
  kaffic group reset billing --topic orders --to shift:-100";

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// List the groups of the store
    #[command(after_help = "Example:\n  kaffic group list --json")]
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show a group's members, and owner, committed offset and lag of every partition
    #[command(after_help = DESCRIBE_HELP)]
    Describe {
        /// The group's name
        name: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Set the committed offsets of a group in a topic
    #[command(after_help = RESET_HELP)]
    Reset {
        /// The group's name
        name: String,
        /// The topic
        #[arg(long, value_name = "TOPIC")]
        topic: String,
        /// Only this partition; may be repeated
        #[arg(long, short, value_name = "N", value_parser = units::number::<u32>)]
        partition: Vec<u32>,
        /// Where to: earliest, latest, offset:N, time:RFC3339 or shift:N (N offsets on, or back)
        #[arg(long, value_name = "WHERE", value_parser = position::reset)]
        to: ResetTo,
        /// Only say what would be done
        #[arg(long)]
        dry_run: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Delete a group: its offsets count no more
    #[command(after_help = "Example:\n  kaffic group delete billing")]
    Delete {
        /// The group's name
        name: String,
    },
}

pub(crate) async fn run(store: &Place, command: Command) -> Result<(), Stop> {
    let groups = store.connect().await?.groups();
    let mut out = Output::stdout();
    match command {
        Command::List { json: as_json } => {
            let listed = groups.list().await?;
            if as_json {
                let shape = |group: &kaffic_core::GroupListing| {
                    json!({
                        "name": group.name, "members": group.members,
                        "generation": group.generation,
                    })
                };
                out.line(&json(&listed.iter().map(shape).collect::<Vec<_>>())?);
            } else {
                for group in listed {
                    out.line(&format!("{}: {} members", group.name, group.members));
                }
            }
        }
        Command::Describe { name, json: as_json } => {
            let group = groups.describe(&name).await?;
            match as_json {
                true => out.line(&json(&shape(&group))?),
                false => describe(&group, &mut out),
            }
        }
        Command::Reset { name, topic, partition, to, dry_run, json: as_json } => {
            let mut reset = OffsetReset::new(&topic, to).dry_run(dry_run);
            if !partition.is_empty() {
                reset = reset.partitions(partition);
            }
            let done = groups.reset(&name, reset).await?;
            if as_json {
                let shape = |c: &CommittedOffset| json!({ "topic": c.topic, "partition": c.partition, "offset": c.offset });
                out.line(&json(&done.iter().map(shape).collect::<Vec<_>>())?);
            } else {
                let verb = if dry_run { "would be set to" } else { "set to" };
                for c in done {
                    let CommittedOffset { topic, partition, offset, .. } = c;
                    out.line(&format!("topic {topic} partition {partition}: {verb} {offset}"));
                }
            }
        }
        Command::Delete { name } => {
            groups.delete(&name).await?;
            out.line(&format!("group {name}: deleted"));
        }
    }
    out.flush()
}

fn shape(group: &GroupDescription) -> serde_json::Value {
    let members = group.members.iter().map(|member| {
        json!({
            "name": member.name, "static": member.is_static, "topics": member.topics,
            "partitions": member.partitions,
            "session_timeout_ms": member.session_timeout.as_millis() as u64,
            "joined": units::show_time(member.joined_ms),
        })
    });
    let partitions = group.partitions.iter().map(|partition| {
        json!({
            "topic": partition.topic, "partition": partition.partition, "owner": partition.owner,
            "committed": partition.committed, "metadata": partition.metadata,
            "end": partition.end, "lag": partition.lag,
        })
    });
    json!({
        "name": group.name, "generation": group.generation, "assignor": group.assignor,
        "members": members.collect::<Vec<_>>(), "partitions": partitions.collect::<Vec<_>>(),
    })
}

fn describe(group: &GroupDescription, out: &mut Output) {
    out.line(&format!(
        "group {}: generation {}, {} members",
        group.name,
        group.generation,
        group.members.len()
    ));
    for member in &group.members {
        let kind = if member.is_static { " (static)" } else { "" };
        out.line(&format!(
            "  {}{kind}: {} partitions of {}",
            member.name,
            member.partitions,
            member.topics.join(", ")
        ));
    }
    let number = |number: Option<i64>| number.map_or("-".to_owned(), |number| number.to_string());
    let mut rows =
        vec![["topic", "partition", "committed", "end", "lag", "owner"].map(str::to_owned)];
    rows.extend(group.partitions.iter().map(|partition| {
        let GroupPartition { topic, partition, owner, committed, end, lag, .. } = partition;
        [
            topic.clone(),
            partition.to_string(),
            number(*committed),
            end.to_string(),
            number(*lag),
            owner.clone().unwrap_or("-".to_owned()),
        ]
    }));
    let widths: Vec<usize> =
        (0..6).map(|n| rows.iter().map(|row| row[n].len()).max().unwrap_or(0)).collect();
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        out.line(cells.collect::<Vec<_>>().join("  ").trim_end());
    }
}
