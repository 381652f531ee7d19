//! What a scenario has made, and what its steps do.

use super::script::{Step, header, text};
use kaffic_bindings::reader::{Polled, Reader, Wanted};
use kaffic_bindings::settings;
use kaffic_bindings::writer::Writer;
use kaffic_bindings::{Failure, Settings, Status, describe};
use kaffic_core::env::{Env, SystemEnv};
use kaffic_core::{
    Bytes, CommittedOffset, ConsumerRecord, Header, Kaffic, OffsetCommit, OffsetReset,
    PartitionPosition, RebalanceListener, Record, Start,
};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(60);

type Fields = BTreeMap<String, String>;

#[derive(Default)]
struct Owns(Mutex<BTreeSet<(String, u32)>>);

impl RebalanceListener for Owns {
    fn assigned(&self, partitions: &[PartitionPosition]) {
        let mut there = self.0.lock().unwrap();
        there.extend(partitions.iter().map(|at| (at.topic.to_string(), at.partition)));
    }

    fn revoked(&self, partitions: &[PartitionPosition]) -> Vec<OffsetCommit> {
        self.lost(partitions);
        Vec::new()
    }

    fn lost(&self, partitions: &[PartitionPosition]) {
        let mut there = self.0.lock().unwrap();
        for at in partitions {
            there.remove(&(at.topic.to_string(), at.partition));
        }
    }
}

struct Reads {
    reader: Reader,
    owns: Arc<Owns>,
    /// Records that were polled and not yet asked for.
    ahead: VecDeque<ConsumerRecord>,
}

pub(crate) struct World {
    client: Kaffic,
    producers: HashMap<String, Writer>,
    consumers: HashMap<String, Reads>,
    _dir: Option<tempfile::TempDir>,
}

/// What is wrong with a step: it failed, or came to something else.
enum Wrong {
    Failed(Failure),
    Other(String),
}

impl<E: Into<Failure>> From<E> for Wrong {
    fn from(failure: E) -> Self {
        Self::Failed(failure.into())
    }
}

fn check(good: bool, wrong: impl FnOnce() -> String) -> Result<(), Wrong> {
    if good { Ok(()) } else { Err(Wrong::Other(wrong())) }
}

impl World {
    pub(crate) async fn new(scenario: &str) -> Self {
        let (url, dir) = match std::env::var("KAFFIC_TEST_URL") {
            Ok(url) => {
                let run = SystemEnv::new().process_id();
                (format!("{}/rust-{run}-{scenario}", url.trim_end_matches('/')), None)
            }
            Err(_) => {
                let dir = tempfile::tempdir().unwrap();
                (format!("file://{}", dir.path().display()), Some(dir))
            }
        };
        let options = std::env::var("KAFFIC_TEST_OPTIONS").unwrap_or_default();
        let options: Settings =
            options.split(',').filter_map(|option| option.split_once('=')).collect();
        let client = options.connect(&url).connect().await.unwrap();
        Self { client, producers: HashMap::new(), consumers: HashMap::new(), _dir: dir }
    }

    pub(crate) async fn take(&mut self, step: &Step) -> Result<(), String> {
        let came = self.run(step).await;
        let Some(status) = step.expects("error") else {
            return came.and_then(|fields| compare(step, &fields)).map_err(|wrong| match wrong {
                Wrong::Failed(failure) => format!("{}: {failure}", failure.status.name()),
                Wrong::Other(wrong) => wrong,
            });
        };
        let Err(Wrong::Failed(failure)) = came else { return Err("it did not fail".into()) };
        let number = |number: Option<i64>| number.map(|number| number.to_string());
        let same = failure.status.name() == status
            && step.expects("says").is_none_or(|says| failure.message.contains(&says))
            && step.expects("tail").is_none_or(|tail| number(failure.tail) == Some(tail))
            && step.expects("earliest").is_none_or(|at| number(failure.earliest) == Some(at));
        if same { Ok(()) } else { Err(format!("it failed otherwise: {failure:?}")) }
    }

    async fn run(&mut self, step: &Step) -> Result<Fields, Wrong> {
        let name = step.arg(0);
        if step.verb == "close" {
            match self.consumers.get(&name) {
                Some(consumer) => consumer.reader.close().await?,
                None => self.producers[&name].producer().close().await?,
            }
            return Ok(Fields::new());
        }
        if matches!(step.verb.as_str(), "producer" | "consumer") {
            return self.make(step).await;
        }
        if self.producers.contains_key(&name) {
            return self.produce(step).await;
        }
        if step.verb == "share" {
            return self.share(step).await;
        }
        match self.consumers.get_mut(&name) {
            Some(consumer) => consumer.step(step).await,
            None => self.admin(step).await,
        }
    }

    async fn make(&mut self, step: &Step) -> Result<Fields, Wrong> {
        let settings = settings_of(step);
        if step.verb == "producer" {
            let producer = settings.producer(self.client.producer(&step.arg(1)))?.build().await?;
            self.producers.insert(step.arg(0), Writer::new(producer));
        } else {
            let owns = Arc::new(Owns::default());
            let listener: Arc<dyn RebalanceListener> = Arc::clone(&owns) as _;
            let reader = Reader::new(&self.client, settings, Some(listener))?;
            let ahead = VecDeque::new();
            self.consumers.insert(step.arg(0), Reads { reader, owns, ahead });
        }
        Ok(Fields::new())
    }

    async fn produce(&self, step: &Step) -> Result<Fields, Wrong> {
        let writer = &self.producers[&step.arg(0)];
        let producer = writer.producer();
        let mut fields = Fields::new();
        let mut set = |name: &str, value: String| fields.insert(name.to_owned(), value);
        let partition = || step.arg(1).parse::<u32>().unwrap();
        match step.verb.as_str() {
            "send" => {
                let ack = writer.send(record(step)).await?;
                set("partition", ack.partition.to_string());
                set("offset", ack.offset.to_string());
                set("timestamp", ack.timestamp.to_string());
                set("duplicate", ack.duplicate.to_string());
            }
            "burst" => {
                let count: usize = step.arg(1).parse().unwrap();
                let keys = step.number("keys");
                let sends: Vec<_> = (0..count)
                    .map(|n| {
                        let record = Record::value(n.to_string());
                        writer.send(match keys {
                            Some(keys) => record.key(format!("k{}", n as i64 % keys)),
                            None => record,
                        })
                    })
                    .collect();
                for send in sends {
                    send.await?;
                }
            }
            "append" => {
                let values = step.given.iter().filter(|(name, _)| name == "value");
                let records = values.map(|(_, value)| Record::value(value.clone())).collect();
                let ack = producer.append(partition(), records, step.number("expected")).await?;
                set("offset", ack.offset.to_string());
            }
            "flush" => producer.flush().await?,
            "fence" => producer.fence_all().await?,
            "epoch" => {
                set("is", producer.epoch().map_or("none".into(), |epoch| epoch.to_string()));
            }
            "last" => {
                let last = producer.last_sequence(partition()).await?;
                set("is", last.map_or("none".into(), |last| last.to_string()));
            }
            other => panic!("no step of a producer: {other}"),
        }
        Ok(fields)
    }

    /// Polls consumers in turn until they have so many partitions together.
    async fn share(&mut self, step: &Step) -> Result<Fields, Wrong> {
        let wanted: usize = step.arg(0).parse().unwrap();
        for _ in 0..600 {
            let mut all = Vec::new();
            let mut each = true;
            for name in &step.args[1..] {
                let consumer = self.consumers.get_mut(&text(name)).unwrap();
                consumer.fetch(Some(Duration::from_millis(100))).await?;
                let owns = consumer.owns.0.lock().unwrap();
                each &= !owns.is_empty();
                all.extend(owns.iter().cloned());
            }
            let distinct: BTreeSet<_> = all.iter().collect();
            if each && all.len() == wanted && distinct.len() == wanted {
                return Ok(Fields::new());
            }
        }
        Err(Wrong::Other("they did not come to share the partitions".into()))
    }

    async fn admin(&self, step: &Step) -> Result<Fields, Wrong> {
        let (topics, groups) = (self.client.topics(), self.client.groups());
        let (name, settings) = (step.arg(0), settings_of(step));
        let words = |names: Vec<String>| names.into_iter().map(|name| (name, String::new()));
        Ok(match step.verb.as_str() {
            "create" => none(topics.create(&name, settings.topic_config()?).await?),
            "alter" => none(topics.alter(&name, settings.topic_change()?).await?),
            "delete" => none(topics.delete(&name).await?),
            "topics" => words(topics.list().await?.into_iter().map(|t| t.name).collect()).collect(),
            "topic" => json(describe::topic(&topics.describe(&name).await?)),
            "groups" => words(groups.list().await?.into_iter().map(|g| g.name).collect()).collect(),
            "group" => {
                let group = groups.describe(&name).await?;
                let members = ("members".to_owned(), group.members.len().to_string());
                let committed = group.partitions.into_iter().filter_map(|at| {
                    Some((format!("{}:{}", at.topic, at.partition), at.committed?.to_string()))
                });
                committed.chain([members]).collect()
            }
            "commit-group" => none(groups.commit(&name, commits(step)).await?),
            "reset" => {
                let to = settings::reset(&step.arg(2)).map_err(Failure::invalid)?;
                offsets(groups.reset(&name, OffsetReset::new(step.arg(1), to)).await?)
            }
            "delete-group" => none(groups.delete(&name).await?),
            "offset" => {
                let of = self.client.offsets(&name);
                let partition: u32 = step.arg(1).parse().unwrap();
                let at = match settings::start(&step.arg(2)).unwrap() {
                    Start::Earliest => of.earliest(partition).await?,
                    Start::Latest => of.latest(partition).await?,
                    Start::Timestamp(ms) => of.at(partition, ms).await?,
                    other => panic!("no place to ask for: {other:?}"),
                };
                [("is".to_owned(), at.to_string())].into()
            }
            "verify" => json(describe::verification(&self.client.verify(&name, |_| {}).await?)),
            "compact" => json(describe::compaction(&self.client.compact(&name, |_| {}).await?)),
            "trim" => json(describe::trim(&self.client.trim(&name, settings.trim()?).await?)),
            other => panic!("no step: {other}"),
        })
    }
}

impl Reads {
    /// Polls once, for what will be asked for later too.
    async fn fetch(&mut self, wait: Option<Duration>) -> Result<bool, Wrong> {
        match self.reader.poll(1, wait).await? {
            Polled::Records(records) => {
                let some = !records.is_empty();
                self.ahead.extend(records);
                Ok(some)
            }
            Polled::Woken => Err(Failure::new(Status::Interrupted, "woken").into()),
        }
    }

    async fn next(&mut self) -> Result<ConsumerRecord, Wrong> {
        if self.ahead.is_empty() {
            self.fetch(Some(LONG)).await?;
        }
        self.ahead.pop_front().ok_or_else(|| Wrong::Other("no record came".into()))
    }

    async fn step(&mut self, step: &Step) -> Result<Fields, Wrong> {
        let reader = &self.reader;
        Ok(match step.verb.as_str() {
            "subscribe" => {
                let topics = step.args[1..].iter().map(|topic| text(topic)).collect();
                none(reader.read(Wanted::Topics(topics)).await?)
            }
            "pattern" => none(reader.read(Wanted::Pattern(step.arg(1))).await?),
            "assign" => {
                let partitions = step.args[1..].iter().map(|arg| {
                    let arg = text(arg);
                    let (at, offset) = arg
                        .split_once('@')
                        .map_or((&*arg, None), |(at, offset)| (at, Some(offset.parse().unwrap())));
                    let (topic, partition) = place(at);
                    (topic, partition, offset)
                });
                none(reader.read(Wanted::Partitions(partitions.collect())).await?)
            }
            "seek" => {
                let (topic, partition) = place(&step.arg(1));
                let to = settings::start(&step.arg(2)).map_err(Failure::invalid)?;
                none(reader.seek(&topic, partition, to).await?)
            }
            "pause" | "resume" => {
                let (topic, partition) = place(&step.arg(1));
                none(reader.pause(&topic, partition, step.verb == "pause").await?)
            }
            "positions" => positions(reader.positions().await?),
            "ends" => positions(reader.end_offsets().await?),
            "lag" => positions(reader.lag().await?),
            "committed" => offsets(reader.committed().await?),
            "commit" => {
                let given = (!step.given.is_empty()).then(|| commits(step));
                none(reader.commit(given).await?)
            }
            _ => return self.records(step).await,
        })
    }

    async fn records(&mut self, step: &Step) -> Result<Fields, Wrong> {
        let count = || step.arg(1).parse::<usize>().unwrap();
        match step.verb.as_str() {
            "next" => {
                let record = self.next().await?;
                same(step, &record)?;
            }
            "values" => {
                for value in &step.args[1..] {
                    let record = self.next().await?;
                    check(record.value.as_deref() == Some(value), || format!("came {record:?}"))?;
                }
            }
            "count" => {
                let mut last = HashMap::new();
                for _ in 0..count() {
                    let record = self.next().await?;
                    let before = last.insert((record.topic, record.partition), record.offset);
                    check(before < Some(record.offset), || "offsets do not grow".into())?;
                }
            }
            "ordered" => {
                let keys: usize = step.arg(2).parse().unwrap();
                let mut of_key: HashMap<String, Vec<usize>> = HashMap::new();
                for _ in 0..count() {
                    let record = self.next().await?;
                    let number = text(&record.value.unwrap()).parse().unwrap();
                    of_key.entry(text(&record.key.unwrap())).or_default().push(number);
                }
                for key in 0..keys {
                    let expected: Vec<usize> = (key..count()).step_by(keys).collect();
                    let came = of_key.get(&format!("k{key}"));
                    check(came == Some(&expected), || format!("key k{key}: {came:?}"))?;
                }
            }
            "finished" => {
                for _ in 0..100 {
                    let some = self.fetch(Some(LONG)).await? || !self.ahead.is_empty();
                    check(!some, || format!("there was more: {:?}", self.ahead))?;
                    if self.reader.is_finished().await {
                        return Ok(Fields::new());
                    }
                }
                return Err(Wrong::Other("it is not finished".into()));
            }
            "quiet" => {
                let some = self.fetch(Some(Duration::from_millis(200))).await?;
                check(!some, || format!("there was more: {:?}", self.ahead))?;
            }
            other => panic!("no step of a consumer: {other}"),
        }
        Ok(Fields::new())
    }
}

fn none<T>(_: T) -> Fields {
    Fields::new()
}

fn settings_of(step: &Step) -> Settings {
    step.given.iter().map(|(name, value)| (name.clone(), text(value))).collect()
}

fn record(step: &Step) -> Record {
    let bytes = |name: &str| step.value(name).map(|value| Bytes::from(value.to_vec()));
    let headers = step.given.iter().filter(|(name, _)| name == "header").map(|(_, value)| {
        let (name, value) = header(value);
        Header::new(name, value.map(Bytes::from))
    });
    Record {
        key: bytes("key"),
        value: bytes("value"),
        headers: headers.collect(),
        timestamp: step.number("timestamp"),
        partition: step.number("partition").map(|partition| partition as u32),
        sequence: step.number("sequence"),
    }
}

/// `TOPIC:PARTITION`.
fn place(text: &str) -> (String, u32) {
    let (topic, partition) = text.rsplit_once(':').unwrap();
    (topic.to_owned(), partition.parse().unwrap())
}

fn commits(step: &Step) -> Vec<OffsetCommit> {
    let commit = |(at, offset): &(String, Vec<u8>)| {
        let (topic, partition) = place(at);
        OffsetCommit::new(topic, partition, text(offset).parse().unwrap())
    };
    step.given.iter().map(commit).collect()
}

fn positions(positions: Vec<PartitionPosition>) -> Fields {
    let field =
        |at: PartitionPosition| (format!("{}:{}", at.topic, at.partition), at.offset.to_string());
    positions.into_iter().map(field).collect()
}

fn offsets(offsets: Vec<CommittedOffset>) -> Fields {
    let field =
        |at: CommittedOffset| (format!("{}:{}", at.topic, at.partition), at.offset.to_string());
    offsets.into_iter().map(field).collect()
}

fn json(value: Value) -> Fields {
    let Value::Object(map) = value else { panic!("{value}") };
    let plain = |value: Value| match value {
        Value::String(text) => text,
        Value::Array(items) => items.len().to_string(),
        other => other.to_string(),
    };
    map.into_iter().map(|(name, value)| (name, plain(value))).collect()
}

/// Steps whose answer has to be compared whole.
const WHOLE: &[&str] = &["topics", "groups", "positions", "ends", "lag", "committed", "reset"];

fn compare(step: &Step, fields: &Fields) -> Result<(), Wrong> {
    if step.verb == "next" {
        return Ok(());
    }
    for (name, value) in &step.expected {
        let value = text(value.as_deref().unwrap_or_default());
        check(fields.get(name) == Some(&value), || format!("{name} is {:?}", fields.get(name)))?;
    }
    let whole = WHOLE.contains(&step.verb.as_str());
    check(!whole || step.expected.len() == fields.len(), || format!("there was more: {fields:?}"))
}

fn same(step: &Step, record: &ConsumerRecord) -> Result<(), Wrong> {
    let wrong = |what: &str| format!("{what} is another: {record:?}");
    for (name, value) in &step.expected {
        let value = value.as_deref().unwrap_or_default();
        let number = |number: i64| number.to_string().as_bytes() == value;
        let good = match name.as_str() {
            "topic" => record.topic.as_bytes() == value,
            "key" => record.key.as_deref() == Some(value),
            "value" => record.value.as_deref() == Some(value),
            "null" if value == b"key" => record.key.is_none(),
            "null" => record.value.is_none(),
            "partition" => number(i64::from(record.partition)),
            "offset" => number(record.offset),
            "timestamp" => number(record.timestamp),
            "headers" => number(record.headers.len() as i64),
            "header" => true,
            other => panic!("no field of a record: {other}"),
        };
        check(good, || wrong(name))?;
    }
    let expected: Vec<(String, Option<Vec<u8>>)> = step
        .expected
        .iter()
        .filter(|(name, _)| name == "header")
        .map(|(_, value)| header(value.as_deref().unwrap_or_default()))
        .collect();
    let came =
        record.headers.iter().map(|h| (h.name.to_string(), h.value.as_ref().map(|v| v.to_vec())));
    check(expected.is_empty() || came.eq(expected), || wrong("headers"))
}
