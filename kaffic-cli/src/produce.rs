//! `kaffic produce`: lines into records.
//!
//! Two tasks share the work. One takes lines and enqueues them, never waiting for a single
//! acknowledgement; the other awaits the tickets in the order of the lines, reports them, and
//! stops the first when something fails. What is under way is bounded by the producer's buffer and
//! by the channel of tickets between the two.

mod acks;

use crate::input::{self, Input};
use crate::output::Output;
use crate::progress::Progress;
use crate::signals::{Flag, Interrupt, spawn};
use crate::stop::Stop;
use crate::store::Place;
use crate::units;
use acks::{Acks, Pending, Tally};
use bytes::Bytes;
use kaffic_core::{Ack, Compression, Header, Producer, Record, TopicConfig};
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::mpsc;

/// Tickets between the two tasks: enough for large batches of the shortest lines.
const TICKETS: usize = 128 << 10;

/// The most bytes of lines for one batch at an expected offset; the library has its own limits.
const MOST_AT_ONCE: usize = 64 << 20;

const AFTER_HELP: &str = "\
Every line is a record: any bytes up to a newline, which is not part of it (a carriage return is).
A last line without a newline counts. Exit code 0 says that every line is stored. At the first line
that fails reading stops, and so it does on SIGINT and SIGTERM, and when nobody reads the report any
more; what was read is written still, and standard error says how many lines are stored.

Examples:
  echo hello | kaffic produce greetings --create-partitions 1
  kaffic produce orders --file orders.csv --key-separator , --compression zstd
  journalctl -f | kaffic produce logs --linger 50ms --header host=$HOSTNAME
  kaffic produce orders --report < lines > acknowledged.jsonl
  kaffic produce orders --name loader --sequence --file orders.csv --partition 0   # again at will
  echo '{\"leader\":7}' | kaffic produce election --expected-offset 41";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// The topic
    topic: String,
    /// Read this file, not standard input
    #[arg(long, short, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Split every line at the first S into key and value; a line without S has no key
    #[arg(long, short = 'K', value_name = "S", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    key_separator: Option<String>,
    /// Send everything to this partition, whatever the key
    #[arg(long, short, value_name = "N", allow_negative_numbers = true, value_parser = units::number::<u32>)]
    partition: Option<u32>,
    /// Compress batches; by default as the topic says, or not at all
    #[arg(long, short = 'z', value_name = "CODEC", value_enum)]
    compression: Option<Codec>,
    /// Add a header to every record; may be repeated
    #[arg(long, short = 'H', value_name = "NAME=VALUE", value_parser = header)]
    header: Vec<Header>,
    /// Wait this long for more lines before a batch is sent; by default not at all, or a little
    /// while several partitions are written to
    #[arg(long, value_name = "DURATION", value_parser = units::linger)]
    linger: Option<Duration>,
    /// The size at which a batch is full, before compression
    #[arg(long, value_name = "SIZE", value_parser = units::batch_bytes)]
    batch_bytes: Option<usize>,
    /// Create the topic with N partitions if it does not exist
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    create_partitions: Option<u32>,
    /// How long a line may take to be stored; 2 minutes by default
    #[arg(long, value_name = "DURATION", value_parser = units::duration)]
    delivery_timeout: Option<Duration>,
    /// Produce under this name: any other that runs under it is fenced off and fails
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Store each line once however often this is run with the same name and the same lines: the
    /// number of the line is its sequence. In a topic with several partitions lines need keys or
    /// --partition
    #[arg(long, requires = "name")]
    sequence: bool,
    /// Store all lines as one batch, and only if the first of them gets just this offset (in the
    /// partition that --partition names, if the topic has several)
    #[arg(long, value_name = "OFFSET", value_parser = units::number::<i64>, conflicts_with_all = ["linger", "batch_bytes"])]
    expected_offset: Option<i64>,
    /// Print {"line":L,"partition":P,"offset":O} for every record once it is stored, in the order
    /// of the lines, which count from 1. A line that was read and failed has "outcome" and "error"
    /// instead: "not_written", or "unknown" where it may be stored; one that was stored before (see
    /// --sequence) has "duplicate"
    #[arg(long)]
    report: bool,
}

/// The codec of batches, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Codec {
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

impl From<Codec> for Compression {
    fn from(codec: Codec) -> Self {
        match codec {
            Codec::None => Self::None,
            Codec::Gzip => Self::Gzip,
            Codec::Snappy => Self::Snappy,
            Codec::Lz4 => Self::Lz4,
            Codec::Zstd => Self::Zstd,
        }
    }
}

fn header(text: &str) -> Result<Header, String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => {
            Ok(Header::new(name, Some(Bytes::copy_from_slice(value.as_bytes()))))
        }
        _ => Err("write NAME=VALUE".to_owned()),
    }
}

pub(crate) async fn run(store: &Place, args: Args, interrupt: Interrupt) -> Result<(), Stop> {
    let input = Input::open(args.file.as_deref())?;
    let producer = interrupt.cut(producer(store, &args)).await?;
    if let Some(partition) = args.partition.filter(|&named| named >= producer.partitions()) {
        let (topic, count) = (&args.topic, producer.partitions());
        return Err(Stop::usage(format!(
            "partition {partition} of topic {topic} does not exist: it has {count}"
        )));
    }
    if let Some(expected) = args.expected_offset {
        return append(&producer, &args, input, expected, &interrupt).await;
    }
    let (tickets, pending) = mpsc::channel(TICKETS);
    let stop = Flag::new();
    let acks = Acks::new(args.report, progress(&args), stop.clone());
    let acks = spawn(acks.follow(pending));
    let shape = Shape::of(&args);
    let ended =
        Feed { producer: &producer, shape, tickets, line: 0 }.run(input, &interrupt, &stop).await;
    // Closing sends what lingers; the acknowledgements come meanwhile.
    let (tally, closed) = tokio::join!(acks, producer.close());
    let tally = tally.map_err(|error| Stop::failed(format!("internal: {error}")))?;
    conclude(ended, tally, closed)
}

async fn producer(store: &Place, args: &Args) -> Result<Producer, Stop> {
    let client = store.connect().await?;
    let mut builder = client.producer(&args.topic);
    if let Some(linger) = args.linger {
        builder = builder.linger(linger);
    }
    if let Some(codec) = args.compression {
        builder = builder.compression(codec.into());
    }
    if let Some(bytes) = args.batch_bytes {
        builder = builder.batch_bytes(bytes);
    }
    if let Some(timeout) = args.delivery_timeout {
        builder = builder.delivery_timeout(timeout);
    }
    if let Some(name) = &args.name {
        builder = builder.name(name);
    }
    if let Some(partitions) = args.create_partitions {
        builder = builder.create_topic(TopicConfig::new().partitions(partitions));
    }
    Ok(builder.build().await?)
}

/// Stores all lines as one batch at an offset, or none.
async fn append(
    producer: &Producer,
    args: &Args,
    mut input: Input,
    expected: i64,
    interrupt: &Interrupt,
) -> Result<(), Stop> {
    let partition = match (args.partition, producer.partitions()) {
        (Some(partition), _) => partition,
        (None, 1) => 0,
        (None, count) => {
            return Err(Stop::usage(format!(
                "topic {} has {count} partitions; --expected-offset needs --partition",
                args.topic
            )));
        }
    };
    let shape = Shape { partition: Some(partition), ..Shape::of(args) };
    let read = async {
        let mut records = Vec::new();
        let mut bytes = 0;
        while let Some(chunk) = input.next().await {
            for line in input::lines(&chunk?) {
                bytes += line.len();
                if bytes > MOST_AT_ONCE {
                    let what = format!("more than {MOST_AT_ONCE} bytes for one batch");
                    return Err(Stop::failed(what));
                }
                let number = records.len() as u64 + 1;
                records.push(shape.record(number, line));
            }
        }
        Ok(records)
    };
    let records = interrupt.cut(read).await?;
    let count = records.len() as u64;
    if count == 0 {
        return Ok(producer.close().await?);
    }
    let ack = producer.append(partition, records, Some(expected)).await?;
    producer.close().await?;
    let mut out = Output::stdout();
    if args.report {
        for index in 0..count {
            let each = Ack { offset: ack.offset + index as i64, ..ack };
            out.line(&acks::acknowledged(index + 1, &each));
        }
    }
    out.flush()
}

fn progress(args: &Args) -> Progress {
    use std::io::IsTerminal;
    let typed = args.file.is_none() && std::io::stdin().is_terminal();
    let printed = args.report && std::io::stdout().is_terminal();
    Progress::count("records stored", typed || printed)
}

/// How a line becomes a record.
#[derive(Debug)]
struct Shape {
    separator: Option<memchr::memmem::Finder<'static>>,
    partition: Option<u32>,
    headers: Vec<Header>,
    sequence: bool,
}

impl Shape {
    fn of(args: &Args) -> Self {
        let separator = args.key_separator.as_deref();
        Self {
            separator: separator.map(|text| memchr::memmem::Finder::new(text).into_owned()),
            partition: args.partition,
            headers: args.header.clone(),
            sequence: args.sequence,
        }
    }

    fn record(&self, number: u64, line: Bytes) -> Record {
        let found = self.separator.as_ref().and_then(|finder| {
            let at = finder.find(&line)?;
            Some((at, at + finder.needle().len()))
        });
        let (key, value) = match found {
            Some((end, start)) => (Some(line.slice(..end)), line.slice(start..)),
            None => (None, line),
        };
        Record {
            key,
            value: Some(value),
            headers: self.headers.clone(),
            timestamp: None,
            partition: self.partition,
            sequence: self.sequence.then_some(number as i64),
        }
    }
}

/// Why no more lines were taken.
enum Ended {
    /// There are no more.
    Input,
    /// A signal came.
    Interrupt,
    /// The other task found a reason.
    Stopped,
    /// The input, or this line, failed.
    Failed(Stop),
}

/// The task that takes lines.
struct Feed<'a> {
    producer: &'a Producer,
    shape: Shape,
    tickets: mpsc::Sender<Pending>,
    line: u64,
}

impl Feed<'_> {
    async fn run(mut self, mut input: Input, interrupt: &Interrupt, stop: &Flag) -> Ended {
        let mut interrupted = false;
        loop {
            let chunk = tokio::select! {
                biased;
                () = stop.wait() => return Ended::Stopped,
                () = interrupt.wait(), if !interrupted => {
                    // What was read already is still to be written.
                    interrupted = true;
                    input.close();
                    continue;
                }
                chunk = input.next() => chunk,
            };
            let enqueued = match chunk {
                None if interrupted => return Ended::Interrupt,
                None => return Ended::Input,
                Some(Ok(chunk)) => self.enqueue(&chunk).await,
                Some(Err(failed)) => Err(failed),
            };
            if let Err(failed) = enqueued {
                return Ended::Failed(failed);
            }
        }
    }

    /// Whether the record goes to the same partition each time.
    fn is_placed(&self, record: &Record) -> bool {
        self.producer.partitions() == 1 || record.partition.is_some() || record.key.is_some()
    }

    async fn enqueue(&mut self, chunk: &Bytes) -> Result<(), Stop> {
        for line in input::lines(chunk) {
            self.line += 1;
            let record = self.shape.record(self.line, line);
            if record.sequence.is_some() && !self.is_placed(&record) {
                return Err(Stop::failed(format!(
                    "line {} has no key: with several partitions --sequence needs keys or --partition",
                    self.line
                )));
            }
            let ticket = self
                .producer
                .enqueue(record)
                .await
                .map_err(|error| acks::failed_line(self.line, error))?;
            // The other task reads to the end of the channel whatever happens.
            let _ = self.tickets.send(Pending { line: self.line, ticket }).await;
        }
        Ok(())
    }
}

fn conclude(ended: Ended, tally: Tally, closed: kaffic_core::Result<()>) -> Result<(), Stop> {
    let (interrupted, complete) =
        (matches!(ended, Ended::Interrupt), matches!(ended, Ended::Input));
    let failed = match ended {
        Ended::Failed(failed) => tally.failed.or(Some(failed)),
        _ => tally.failed,
    };
    let stored = format!("{} stored", records(tally.acknowledged));
    match failed {
        Some(Stop::Core { context, error }) => {
            let context = Some(context.map_or(stored.clone(), |line| format!("{stored}; {line}")));
            return Err(Stop::Core { context, error });
        }
        Some(Stop::Failed(message)) => return Err(Stop::failed(format!("{stored}; {message}"))),
        Some(Stop::OutputClosed) if !complete => {
            let why = "reading stopped when nobody read the report any more";
            return Err(Stop::failed(format!("{stored}; {why}")));
        }
        Some(other) => return Err(other),
        None => (),
    }
    if interrupted {
        let stored = records(tally.acknowledged);
        return Err(Stop::Interrupted(Some(format!("interrupted; {stored} acknowledged"))));
    }
    Ok(closed?)
}

fn records(count: u64) -> String {
    format!("{count} record{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(separator: Option<&str>) -> Shape {
        let separator = separator.map(|text| memchr::memmem::Finder::new(text).into_owned());
        Shape {
            separator,
            partition: Some(2),
            headers: vec![Header::new("h", None)],
            sequence: false,
        }
    }

    #[test]
    fn a_line_is_split_at_the_first_separator() {
        let record = shape(Some("::")).record(1, "k:::v::w".into());
        assert_eq!(record.key.as_deref(), Some(&b"k"[..]));
        assert_eq!(record.value.as_deref(), Some(&b":v::w"[..]));
        assert_eq!((record.partition, record.headers.len()), (Some(2), 1));
        let record = shape(Some("::")).record(1, "::v".into());
        assert_eq!(record.key.as_deref(), Some(&b""[..]));
    }

    #[test]
    fn a_line_without_a_separator_has_no_key() {
        for separator in [None, Some("::")] {
            let record = shape(separator).record(1, "k:v".into());
            assert_eq!((record.key, record.value.as_deref()), (None, Some(&b"k:v"[..])));
        }
    }

    #[test]
    fn headers_need_a_name() {
        assert_eq!(header("a=b=c"), Ok(Header::new("a", Some("b=c".into()))));
        assert_eq!(header("a="), Ok(Header::new("a", Some("".into()))));
        assert!(header("=b").is_err());
        assert!(header("ab").is_err());
    }
}
