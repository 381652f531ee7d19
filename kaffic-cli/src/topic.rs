//! `kaffic topic`: create, list, describe, alter, delete.

use crate::output::{Output, json};
use crate::stop::Stop;
use crate::store::Place;
use crate::units::{self, OrDefault};
use futures_util::{StreamExt, TryStreamExt};
use kaffic_core::{
    Compression, Deletion, Kaffic, MinExpiry, TopicChange, TopicConfig, TopicDescription,
};
use serde::Serialize;
use std::time::Duration;

/// Partitions whose offsets are asked for at once.
const AT_ONCE: usize = 16;

const DELETE_HELP: &str = "\
The topic is gone at once. Its youngest objects stay in the store for some hours, so that a put that
was under way can bring nothing back; the answer says how many and until when. Deleting the topic
again after that removes them, and so does the storage's own expiry.

Example:
  kaffic topic delete orders";

const ALTER_HELP: &str = "\
A partition sees a new min-expiry with its next block, and a producer the other settings when it
starts. Retention is applied by `kaffic trim`; where the storage has lifecycle rules use those.

Examples:
  kaffic topic alter orders --retention 7d --compression zstd
  kaffic topic alter orders --retention-bytes default";

/// What a topic may be set to besides min-expiry.
#[derive(Debug, clap::Args)]
pub(crate) struct Settings {
    /// Records older than this are removed by `kaffic trim`: 7d, say; or default, to keep them
    #[arg(long, value_name = "DURATION", value_parser = units::or_default(units::duration))]
    retention: Option<OrDefault<Duration>>,
    /// This much of a partition is left by `kaffic trim`: 10GiB, say; or default, to keep all
    #[arg(long, value_name = "SIZE", value_parser = units::or_default(units::size))]
    retention_bytes: Option<OrDefault<u64>>,
    /// The codec of producers that choose none; or default
    #[arg(long, value_name = "CODEC", value_parser = units::or_default(units::codec))]
    compression: Option<OrDefault<Compression>>,
    /// The largest record that producers take; or default
    #[arg(long, value_name = "SIZE", value_parser = units::or_default(units::size))]
    max_record_bytes: Option<OrDefault<u64>>,
}

impl Settings {
    fn change(self) -> TopicChange {
        let mut change = TopicChange::new();
        if let Some(OrDefault(retention)) = self.retention {
            change = change.retention(retention);
        }
        if let Some(OrDefault(bytes)) = self.retention_bytes {
            change = change.retention_bytes(bytes);
        }
        if let Some(OrDefault(codec)) = self.compression {
            change = change.compression(codec);
        }
        if let Some(OrDefault(bytes)) = self.max_record_bytes {
            change = change.max_record_bytes(bytes);
        }
        change
    }
}

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Create a topic
    #[command(after_help = "Examples:\n  kaffic topic create orders --partitions 3\n  \
                            kaffic topic create audit --min-expiry never")]
    Create {
        /// The topic's name: letters, digits, '.', '_' and '-'
        name: String,
        /// The number of partitions; fixed for the topic's life
        #[arg(long, value_name = "N", default_value_t = 1)]
        partitions: u32,
        /// The least age at which the storage may delete messages: a duration like 24h, or never
        #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = units::min_expiry)]
        min_expiry: MinExpiry,
        #[command(flatten)]
        settings: Settings,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Change settings of a topic; what is not named stays
    #[command(after_help = ALTER_HELP)]
    Alter {
        /// The topic's name
        name: String,
        /// The least age at which the storage may delete messages: a duration like 24h, or never
        #[arg(long, value_name = "DURATION", value_parser = units::min_expiry)]
        min_expiry: Option<MinExpiry>,
        #[command(flatten)]
        settings: Settings,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// List the topics of the store
    #[command(after_help = "Example:\n  kaffic topic list --json")]
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show a topic's settings and the earliest and end offset of every partition
    ///
    /// The end offset is the one that the next record will get.
    #[command(after_help = "Example:\n  kaffic topic describe orders")]
    Describe {
        /// The topic's name
        name: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Delete a topic and its records
    #[command(after_help = DELETE_HELP)]
    Delete {
        /// The topic's name
        name: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// A topic as JSON.
#[derive(Debug, Serialize)]
struct TopicJson<'a> {
    name: &'a str,
    partitions: u32,
    min_expiry: String,
    retention_ms: Option<u64>,
    retention_bytes: Option<u64>,
    compression: Option<String>,
    max_record_bytes: Option<u64>,
    incarnation: u32,
    created: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    offsets: Option<&'a [Offsets]>,
}

/// The offsets of a partition that can be read.
#[derive(Debug, Serialize)]
struct Offsets {
    partition: u32,
    earliest: i64,
    end: i64,
}

pub(crate) async fn run(store: &Place, command: Command) -> Result<(), Stop> {
    let client = store.connect().await?;
    let topics = client.topics();
    let mut out = Output::stdout();
    match command {
        Command::Create { name, partitions, min_expiry, settings, json } => {
            let config = TopicConfig::new().partitions(partitions).min_expiry(min_expiry);
            let config = config.settings(settings.change());
            let topic = topics.create(&name, config).await?;
            match json {
                true => out.line(&self::json(&shape(&topic, None))?),
                false => out.line(&format!("created topic {}", summary(&topic))),
            }
        }
        Command::Alter { name, min_expiry, settings, json } => {
            let mut change = settings.change();
            if let Some(min_expiry) = min_expiry {
                change = change.min_expiry(min_expiry);
            }
            let topic = topics.alter(&name, change).await?;
            match json {
                true => out.line(&self::json(&shape(&topic, None))?),
                false => out.line(&format!("topic {}", summary(&topic))),
            }
        }
        Command::List { json } => {
            let found = topics.list().await?;
            match json {
                true => {
                    let shapes: Vec<_> = found.iter().map(|topic| shape(topic, None)).collect();
                    out.line(&self::json(&shapes)?);
                }
                false => found.iter().for_each(|topic| out.line(&summary(topic))),
            }
        }
        Command::Describe { name, json } => {
            let topic = topics.describe(&name).await?;
            let offsets = offsets(&client, &topic).await?;
            match json {
                true => out.line(&self::json(&shape(&topic, Some(&offsets)))?),
                false => describe(&topic, &offsets, &mut out),
            }
        }
        Command::Delete { name, json } => {
            let deletion = topics.delete(&name).await?;
            match json {
                true => out.line(&self::json(&deletion_json(&name, &deletion))?),
                false => out.line(&deletion_text(&name, &deletion)),
            }
        }
    }
    out.flush()
}

async fn offsets(client: &Kaffic, topic: &TopicDescription) -> Result<Vec<Offsets>, Stop> {
    let ask = &client.offsets(&topic.name);
    let answers = futures_util::stream::iter(0..topic.partitions)
        .map(|partition| async move {
            let earliest = ask.earliest(partition).await?;
            let end = ask.latest(partition).await?;
            Ok::<_, Stop>(Offsets { partition, earliest, end })
        })
        .buffered(AT_ONCE);
    answers.try_collect().await
}

fn shape<'a>(topic: &'a TopicDescription, offsets: Option<&'a [Offsets]>) -> TopicJson<'a> {
    TopicJson {
        name: &topic.name,
        partitions: topic.partitions,
        min_expiry: units::show_min_expiry(topic.min_expiry),
        retention_ms: topic.retention.map(|retention| retention.as_millis() as u64),
        retention_bytes: topic.retention_bytes,
        compression: topic.compression.map(|codec| codec.to_string()),
        max_record_bytes: topic.max_record_bytes,
        incarnation: topic.incarnation,
        created: units::show_time(topic.created_ms),
        offsets,
    }
}

fn summary(topic: &TopicDescription) -> String {
    let plural = if topic.partitions == 1 { "" } else { "s" };
    let min_expiry = units::show_min_expiry(topic.min_expiry);
    let mut text =
        format!("{}: {} partition{plural}, min-expiry {min_expiry}", topic.name, topic.partitions);
    if let Some(retention) = topic.retention {
        text += &format!(", retention {}", humantime::format_duration(retention));
    }
    if let Some(bytes) = topic.retention_bytes {
        text += &format!(", retention {bytes} bytes");
    }
    if let Some(codec) = topic.compression {
        text += &format!(", compression {codec}");
    }
    if let Some(bytes) = topic.max_record_bytes {
        text += &format!(", records up to {bytes} bytes");
    }
    text
}

fn describe(topic: &TopicDescription, offsets: &[Offsets], out: &mut Output) {
    out.line(&summary(topic));
    out.line(&format!("created {}", units::show_time(topic.created_ms)));
    out.line(&format!("{:>9} {:>14} {:>14}", "partition", "earliest", "end"));
    for Offsets { partition, earliest, end } in offsets {
        out.line(&format!("{partition:>9} {earliest:>14} {end:>14}"));
    }
}

fn deletion_json(name: &str, deletion: &Deletion) -> serde_json::Value {
    serde_json::json!({
        "name": name,
        "removed": deletion.removed,
        "remaining": deletion.remaining,
        "removable_at": deletion.removable_at_ms.map(units::show_time),
    })
}

fn deletion_text(name: &str, deletion: &Deletion) -> String {
    let objects = |count| format!("{count} object{}", if count == 1 { "" } else { "s" });
    let done = format!("deleted topic {name}: {} removed", objects(deletion.removed));
    match (deletion.remaining, deletion.removable_at_ms) {
        (0, _) => done,
        (remaining, None) => format!("{done}, {} left", objects(remaining)),
        (remaining, Some(at)) => format!(
            "{done}, {} left that must stay until {}; delete again after that to remove what is \
             left (`kaffic help topic delete` says why)",
            objects(remaining),
            units::show_time(at)
        ),
    }
}
