//! `kaffic consume`: records to standard output.

use crate::format::Format;
use crate::output::Output;
use crate::position;
use crate::progress::Progress;
use crate::signals::Interrupt;
use crate::stop::{Stop, say};
use crate::store::Place;
use crate::units;
use bytes::Bytes;
use kaffic_core::{
    Consumer, ConsumerRecord, PartitionPosition, RebalanceListener, ResetPolicy, Start, Until,
};
use std::collections::HashSet;
use std::time::Duration;

/// Records taken from the consumer at a time, and about how many bytes: what was taken comes on top
/// of what the consumer fetches ahead.
const AT_A_TIME: usize = 4096;
const BYTES_AT_A_TIME: usize = 1 << 20;
/// How long to wait for records when there is nothing to print meanwhile.
const IDLE_WAIT: Duration = Duration::from_secs(1);
/// How often a member of a group shows that it lives.
const LONGEST_HEARTBEAT: Duration = Duration::from_secs(3);

const AFTER_HELP: &str = "\
Records of a partition come in the order of their offsets. Without --follow it ends at the end
offsets seen at its start, at the latest. With several partitions --from and --until apply to each of
them. An offset that is beyond the end is waited for with --follow, and nothing is printed without.

Formats:
  value  the value's bytes and a newline; a null value is an empty line
  text   partition, offset, time, key, value and headers, separated by tabs; control characters and
         bytes that are not UTF-8 are escaped (\\n, \\t, \\x00, \\xff), null is \\N
  json   an object a line with topic, partition, offset, timestamp (Unix milliseconds), key, value
         and headers ([{\"name\": ..., \"value\": ...}, ...]); key and values are strings where they
         are UTF-8, {\"base64\": \"...\"} where they are not, or null

Examples:
  kaffic consume orders --from last:10 --format json
  kaffic consume orders --follow --from latest
  kaffic consume orders --group billing --follow
  kaffic consume orders --from time:2026-01-31T00:00:00Z --until time:2026-02-01T00:00:00Z
  kaffic consume orders --partition 0 --from offset:5000 --max 100 --format text";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// The topic
    topic: String,
    /// Where to start: earliest, latest, offset:N, time:RFC3339 (the first record at or after
    /// it) or last:N (N offsets before the end)
    #[arg(long, value_name = "WHERE", default_value = "earliest", value_parser = position::start)]
    from: Start,
    /// Where to end: latest (the end seen at the start), offset:N or time:RFC3339, which are not
    /// printed themselves
    #[arg(long, value_name = "WHERE", value_parser = position::until, conflicts_with = "follow")]
    until: Option<Until>,
    /// Read this partition only; may be repeated
    #[arg(long, short, value_name = "N", allow_negative_numbers = true, value_parser = units::number::<u32>)]
    partition: Vec<u32>,
    /// End after N records
    #[arg(long, short = 'n', value_name = "N", allow_negative_numbers = true, value_parser = units::number::<u64>)]
    max: Option<u64>,
    /// Be one of this group: go on where it has committed, and share the partitions with its other
    /// members. What was printed is committed every 5 seconds and at the end
    #[arg(long, short = 'g', value_name = "GROUP")]
    group: Option<String>,
    /// The member's own name in the group, under which it keeps its partitions if it returns
    #[arg(long, value_name = "NAME", requires = "group", conflicts_with = "partition")]
    member: Option<String>,
    /// After how long a silence the group takes this member for dead
    #[arg(long, value_name = "DURATION", default_value = "45s", requires = "group", value_parser = units::duration)]
    session_timeout: Duration,
    /// Go on waiting for new records
    #[arg(long, short = 'f')]
    follow: bool,
    /// How records are printed
    #[arg(long, value_enum, default_value_t = Format::Value, hide_possible_values = true)]
    format: Format,
    /// Where to go on when the records to be read have expired: earliest, latest or error
    #[arg(long, value_name = "POLICY", value_enum, default_value_t = OnExpired::Earliest, hide_possible_values = true)]
    on_expired: OnExpired,
}

/// What to do where records have expired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum OnExpired {
    Earliest,
    Latest,
    Error,
}

impl From<OnExpired> for ResetPolicy {
    fn from(policy: OnExpired) -> Self {
        match policy {
            OnExpired::Earliest => Self::Earliest,
            OnExpired::Latest => Self::Latest,
            OnExpired::Error => Self::Error,
        }
    }
}

pub(crate) async fn run(store: &Place, args: Args, interrupt: Interrupt) -> Result<(), Stop> {
    let mut consumer = interrupt.cut(consumer(store, &args)).await?;
    let mut out = Output::stdout();
    let printed = print(&mut consumer, &args, &interrupt, &mut out).await;
    match printed {
        // Whoever is next in the group gets again what nobody read here.
        Err(Stop::OutputClosed) => Err(Stop::OutputClosed),
        other => {
            out.flush()?;
            let closed = consumer.close().await;
            other.and(closed.map_err(Stop::from))
        }
    }
}

async fn consumer(store: &Place, args: &Args) -> Result<Consumer, Stop> {
    let client = store.connect().await?;
    let builder = match args.partition.is_empty() {
        true => client.consumer().topic(&args.topic),
        false => client.consumer().assign(&args.topic, args.partition.iter().copied()),
    };
    let until = match (args.follow, args.until) {
        (true, _) => Until::Forever,
        // Some partitions may end before the offset, and do so now.
        (false, None | Some(Until::Offset(_))) => Until::Latest,
        (false, Some(until)) => until,
    };
    let mut builder = builder.start(args.from).until(until).reset(args.on_expired.into());
    if let Some(group) = &args.group {
        let heartbeat = LONGEST_HEARTBEAT.min(args.session_timeout / 3);
        builder = builder.group(group).session_timeout(args.session_timeout);
        builder = builder.heartbeat_interval(heartbeat);
        builder = builder.rebalance_listener(Losses);
        if let Some(name) = &args.member {
            builder = builder.member_name(name);
        }
        return Ok(builder.build().await?);
    }
    let mut consumer = builder.build().await?;
    if let Start::Offset(offset) = args.from {
        start_beyond(&mut consumer, offset).await?;
    }
    Ok(consumer)
}

/// Where `offset` was never reached the reset policy starts at the earliest record, which is not
/// what was asked for: the end is.
async fn start_beyond(consumer: &mut Consumer, offset: i64) -> Result<(), Stop> {
    let places = consumer.positions();
    let (beyond, reached): (Vec<_>, Vec<_>) =
        places.into_iter().partition(|place| place.offset < offset);
    if beyond.is_empty() {
        return Ok(());
    }
    for place in &beyond {
        consumer.seek(&place.topic, place.partition, Start::Latest).await?;
    }
    let ends = consumer.positions();
    // The offset may have come meanwhile.
    for end in ends.iter().filter(|end| end.offset > offset) {
        consumer.seek(&end.topic, end.partition, Start::Offset(offset)).await?;
    }
    let furthest = ends.iter().map(|end| end.offset).max().unwrap_or(0);
    if reached.is_empty() && furthest < offset {
        say(&format!("nothing has reached offset {offset}: the end is at {furthest}"));
    }
    Ok(())
}

/// Says what was lost to others of the group.
struct Losses;

impl RebalanceListener for Losses {
    fn lost(&self, partitions: &[PartitionPosition]) {
        say(&format!(
            "{} partitions went to others, since the group has not heard of this member for its \
             session timeout; what was not committed there is delivered again",
            partitions.len()
        ));
    }
}

async fn print(
    consumer: &mut Consumer,
    args: &Args,
    interrupt: &Interrupt,
    out: &mut Output,
) -> Result<(), Stop> {
    let progress = progress();
    let mut count = 0;
    let max = args.max.unwrap_or(u64::MAX);
    let mut range = Range::of(args);
    let mut portion = 1;
    while count < max {
        let at_most = portion.min(usize::try_from(max - count).unwrap_or(usize::MAX));
        // A poll commits what was returned before, so that has to be printed.
        if args.group.is_some() {
            out.flush()?;
        }
        // What is not printed yet must not wait for what may never come.
        let wait = if out.is_empty() { IDLE_WAIT } else { Duration::ZERO };
        let polled = tokio::select! {
            biased;
            () = interrupt.wait() => return Err(Stop::Interrupted(None)),
            polled = consumer.poll(at_most, wait) => polled,
        };
        let records = match polled {
            Ok(records) => records,
            // Who follows waits for the store to come back.
            Err(error) if args.follow && error.is_retriable() => {
                say(&format!("{error}; trying again"));
                out.flush()?;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        if records.is_empty() {
            out.flush()?;
            if consumer.is_finished() {
                break;
            }
        }
        for record in &records {
            if !range.holds(record, consumer).await? {
                continue;
            }
            args.format.write(record, out.buffer());
            out.spill()?;
            count += 1;
        }
        portion = next_portion(portion, &records);
        progress.set(count);
    }
    Ok(())
}

/// The offsets that were asked for, in every partition.
#[derive(Debug)]
struct Range {
    from: i64,
    until: i64,
    /// Partitions that have got to the end.
    ended: HashSet<u32>,
}

impl Range {
    fn of(args: &Args) -> Self {
        let from = match args.from {
            // With a group that is only where to begin if it has committed nothing.
            Start::Offset(offset) if args.group.is_none() => offset,
            _ => 0,
        };
        let until = if let Some(Until::Offset(offset)) = args.until { offset } else { i64::MAX };
        Self { from, until, ended: HashSet::new() }
    }

    /// Whether the record is one of them. At the first beyond, the consumer is sent to the end of
    /// the partition, where it has nothing more to do.
    async fn holds(
        &mut self,
        record: &ConsumerRecord,
        consumer: &mut Consumer,
    ) -> Result<bool, Stop> {
        if record.offset >= self.until && self.ended.insert(record.partition) {
            consumer.seek(&record.topic, record.partition, Start::Latest).await?;
        }
        Ok((self.from..self.until).contains(&record.offset))
    }
}

/// How many records to take next, by the size of those that came.
fn next_portion(portion: usize, records: &[ConsumerRecord]) -> usize {
    let len = |bytes: &Option<Bytes>| bytes.as_ref().map_or(0, Bytes::len);
    let bytes: usize = records.iter().map(|record| len(&record.key) + len(&record.value)).sum();
    match records.len() {
        0 => portion,
        count => (count * BYTES_AT_A_TIME / bytes.max(1)).clamp(1, AT_A_TIME.min(4 * portion)),
    }
}

/// Shown only where the records themselves go elsewhere.
fn progress() -> Progress {
    use std::io::IsTerminal;
    Progress::count("records", std::io::stdout().is_terminal())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn portions_grow_while_records_are_small() {
        let records = |count, size| {
            let value = Some(vec![0; size].into());
            let record = ConsumerRecord {
                topic: "t".into(),
                partition: 0,
                offset: 0,
                timestamp: 0,
                key: None,
                value,
                headers: vec![],
            };
            vec![record; count]
        };
        assert_eq!(next_portion(1, &records(1, 0)), 4);
        assert_eq!(next_portion(2000, &records(2000, 10)), AT_A_TIME);
        assert_eq!(next_portion(4096, &records(10, 100 << 10)), 10);
        assert_eq!(next_portion(4096, &records(3, 16 << 20)), 1);
        assert_eq!(next_portion(64, &[]), 64);
    }
}
