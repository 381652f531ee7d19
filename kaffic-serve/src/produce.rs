//! Producing: records in JSON, one raw record, or a stream of lines. An answer means that what it
//! acknowledges is durable.

use crate::app::{App, Shared};
use crate::body;
use crate::data::{Data, HeaderIn, RecordIn};
use crate::extract::{InPath, Params};
use crate::name::Name;
use crate::object::maybe_objects;
use crate::problem::{Problem, Result};
use crate::producers::{InUse, Key};
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use bytes::Bytes;
use futures_util::future::join_all;
use kaffic_core::{Ack, Error, ErrorKind, Header, Outcome, Record};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::{IntoParams, ToSchema};

/// How often a request takes a name back that another server had taken over meanwhile.
const TAKEOVERS: usize = 3;
/// The header of a raw record that carries one of its headers: `Kaffic-Header-NAME: value`.
const HEADER_PREFIX: &str = "kaffic-header-";

const LINES: &str = "application/x-ndjson";
const LINES_TOO: &str = "application/jsonl";

/// Records to be produced, or one record in the same object.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProduceBody {
    #[serde(default, deserialize_with = "maybe_objects")]
    records: Option<Vec<RecordIn>>,
    #[serde(default)]
    atomic: bool,
    expected_offset: Option<i64>,
    producer: Option<String>,
    sequence: Option<i64>,
    key: Option<Data>,
    value: Option<Data>,
    #[serde(default, deserialize_with = "maybe_objects")]
    headers: Option<Vec<HeaderIn>>,
    timestamp: Option<i64>,
    partition: Option<u32>,
}

/// Several records. Each is stored or not for itself, unless `atomic` is set.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "it only describes ProduceBody")]
pub(crate) struct RecordBatch {
    /// In the order in which they are to be stored.
    #[schema(min_items = 1, max_items = 10000)]
    records: Vec<RecordIn>,
    /// The partition of all records that name none.
    #[schema(minimum = 0, maximum = 9999)]
    partition: Option<u32>,
    /// All records or none, next to each other in one partition, which has to be named.
    atomic: Option<bool>,
    /// Only if the first record gets this offset. Only with `atomic`.
    #[schema(minimum = 0)]
    expected_offset: Option<i64>,
    /// A name, by which records with a sequence are written once, however often they are sent.
    #[schema(value_type = Option<Name>)]
    producer: Option<String>,
    /// The first record's sequence; each further record has the next one. Only with `producer`.
    #[schema(minimum = 0)]
    sequence: Option<i64>,
}

/// One record.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "it only describes ProduceBody")]
pub(crate) struct SingleRecord {
    /// Decides the partition, unless one is named, and so the order.
    key: Option<Data>,
    /// The payload; null is a tombstone.
    #[schema(required)]
    value: Option<Data>,
    /// Names and values that travel with the record.
    headers: Option<Vec<HeaderIn>>,
    /// Milliseconds since the Unix epoch; the time of arrival by default.
    #[schema(minimum = 0)]
    timestamp: Option<i64>,
    /// The partition.
    #[schema(minimum = 0, maximum = 9999)]
    partition: Option<u32>,
    /// A name, by which a record with a sequence is written once, however often it is sent.
    #[schema(value_type = Option<Name>)]
    producer: Option<String>,
    /// The record's sequence. Only with `producer`.
    #[schema(minimum = 0)]
    sequence: Option<i64>,
}

/// One record, or several.
#[derive(Debug, ToSchema)]
#[schema(as = Produce)]
#[serde(untagged)]
#[expect(dead_code, reason = "it only describes ProduceBody")]
pub(crate) enum ProduceShape {
    Batch(RecordBatch),
    Single(SingleRecord),
}

/// For records that are not JSON: what JSON would say beside them.
#[derive(Debug, Default, PartialEq, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ProduceQuery {
    /// The key of a raw record, as text.
    pub(crate) key: Option<String>,
    /// The partition of a raw record, or of all lines that name none.
    #[param(minimum = 0, maximum = 9999)]
    pub(crate) partition: Option<u32>,
    /// The timestamp of a raw record, in Unix milliseconds.
    #[param(minimum = 0)]
    pub(crate) timestamp: Option<i64>,
    /// A name, by which records with a sequence are written once, however often they are sent.
    #[param(min_length = 1, max_length = 249, pattern = "^[a-zA-Z0-9_-][a-zA-Z0-9._-]*$")]
    pub(crate) producer: Option<String>,
    /// The sequence of the raw record or of the first line. Only with `producer`.
    #[param(minimum = 0)]
    pub(crate) sequence: Option<i64>,
}

/// Where a record went.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Stored {
    partition: u32,
    /// Null for a duplicate.
    #[schema(required)]
    offset: Option<i64>,
    /// Milliseconds since the Unix epoch.
    timestamp: i64,
    /// The producer's name had written this sequence, or one above it, before: nothing was written.
    duplicate: bool,
}

impl From<Ack> for Stored {
    fn from(ack: Ack) -> Self {
        let Ack { partition, offset, timestamp, duplicate } = ack;
        Self { partition, offset: (!duplicate).then_some(offset), timestamp, duplicate }
    }
}

/// Where the records went.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Produced {
    /// One for each record, in their order. Of a stream of lines, the last of each partition.
    pub(crate) records: Vec<Stored>,
    /// How many records are stored now, duplicates included.
    pub(crate) count: u64,
}

/// What is to be written.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) key: Key,
    pub(crate) records: Vec<Record>,
    /// The partition of an atomic append, and the offset that is expected.
    pub(crate) atomic: Option<(u32, Option<i64>)>,
}

/// Produce records.
///
/// `application/json` takes one record or several, `application/x-ndjson` a stream of records, one a
/// line, of any length, and `application/octet-stream` the bytes of one record's value, whose headers
/// come as `Kaffic-Header-NAME: value`. Answers when all is durable.
#[utoipa::path(post, path = "/v1/topics/{topic}/records", tag = "records",
    params(("topic" = Name, Path, description = "The topic's name."), ProduceQuery),
    request_body(content(
        (ProduceShape = "application/json"),
        (String = "application/x-ndjson"),
        (String = "application/octet-stream"),
    )), responses(
    (status = 200, description = "All records are durable.", body = Produced),
    Problem,
))]
pub(crate) async fn produce(
    State(app): Shared,
    InPath(topic): InPath<String>,
    Params(query): Params<ProduceQuery>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Produced>> {
    match body::media_type(&headers).as_deref() {
        Some("application/json") => {
            if query != ProduceQuery::default() {
                return Err(Problem::invalid("with JSON, say everything in the body"));
            }
            let held = body::read(&app, body).await?;
            let plan = plan(&app, topic, body::parse(&held.bytes)?)?;
            write(&app, plan).await.map(Json)
        }
        Some("application/octet-stream") => {
            let held = body::read(&app, body).await?;
            // The value is stored from its own memory: the body's is let go when that is done.
            let record = raw(&query, &headers, held.bytes.clone())?;
            let key = (topic, query.producer.clone());
            let records = numbered(vec![record], &key, query.sequence)?;
            write(&app, Plan { key, records, atomic: None }).await.map(Json)
        }
        Some(LINES | LINES_TOO) => crate::lines::produce(&app, topic, query, body).await.map(Json),
        other => Err(body::unsupported(
            other,
            "application/json, application/x-ndjson or application/octet-stream",
        )),
    }
}

/// Whether the body is a stream of lines.
pub(crate) fn is_lines(headers: &HeaderMap) -> bool {
    matches!(body::media_type(headers).as_deref(), Some(LINES | LINES_TOO))
}

/// Makes records of a body in JSON.
fn plan(app: &App, topic: String, body: ProduceBody) -> Result<Plan> {
    let key = (topic, body.producer);
    let Some(records) = body.records else {
        if body.atomic || body.expected_offset.is_some() {
            return Err(Problem::invalid("atomic and expected_offset belong to \"records\""));
        }
        let record = RecordIn {
            key: body.key,
            value: body.value,
            headers: body.headers.unwrap_or_default(),
            timestamp: body.timestamp,
            partition: body.partition,
        };
        let records = numbered(vec![record.into_record()], &key, body.sequence)?;
        return Ok(Plan { key, records, atomic: None });
    };
    if body.key.is_some() || body.value.is_some() || body.headers.is_some() {
        return Err(Problem::invalid("key, value and headers belong into \"records\""));
    }
    let most = app.config.limits.records;
    if records.is_empty() || records.len() > most {
        let count = records.len();
        return Err(Problem::invalid(format!("{count} records; a request has 1 to {most}")));
    }
    let placed = records.into_iter().map(|record| {
        let partition = record.partition.or(body.partition);
        RecordIn { partition, ..record }.into_record()
    });
    let records = numbered(placed.collect(), &key, body.sequence)?;
    let atomic = match (body.atomic, body.partition, body.expected_offset) {
        (true, Some(partition), expected) => Some((partition, expected)),
        (true, None, _) => {
            return Err(Problem::invalid("atomic needs the \"partition\" of all records"));
        }
        (false, _, Some(_)) => return Err(Problem::invalid("expected_offset needs atomic")),
        (false, _, None) => None,
    };
    Ok(Plan { key, records, atomic })
}

/// Gives the records of a named producer their sequences.
pub(crate) fn numbered(
    mut records: Vec<Record>,
    (_, producer): &Key,
    first: Option<i64>,
) -> Result<Vec<Record>> {
    let Some(first) = first else {
        return match producer {
            Some(_) => Err(Problem::invalid("a producer's name needs a sequence")),
            None => Ok(records),
        };
    };
    if producer.is_none() {
        return Err(Problem::invalid("a sequence needs a producer's name"));
    }
    let beyond = || Problem::invalid("the sequence is too large");
    for (number, record) in (0..).zip(&mut records) {
        record.sequence = Some(first.checked_add(number).ok_or_else(beyond)?);
    }
    Ok(records)
}

/// The record of a raw body.
fn raw(query: &ProduceQuery, headers: &HeaderMap, value: Bytes) -> Result<Record> {
    let mut record = Record::value(value);
    record.key = query.key.clone().map(Into::into);
    record.partition = query.partition;
    record.timestamp = query.timestamp;
    for (name, value) in headers {
        if let Some(name) = name.as_str().strip_prefix(HEADER_PREFIX) {
            let value = Bytes::copy_from_slice(value.as_bytes());
            record.headers.push(Header::new(name, Some(value)));
        }
    }
    Ok(record)
}

/// Writes what is planned, and waits until it is durable.
async fn write(app: &App, plan: Plan) -> Result<Produced> {
    let mut left = TAKEOVERS;
    loop {
        let producer = app.producers.get(&plan.key).await?;
        check_places(&producer, &plan.key, &plan.records)?;
        let results = match plan.atomic {
            Some((partition, expected)) => {
                append(&producer, partition, &plan.records, expected).await
            }
            None => send(&producer, plan.records.clone()).await,
        };
        let written = results.iter().flatten().filter(|ack| !ack.duplicate);
        let last = written.clone().map(|ack| (ack.partition, *ack)).collect();
        told(app, &plan.key, written.count() as u64, &last);
        let failed = results.iter().find_map(|result| result.as_ref().err());
        let Some(error) = failed else {
            let records: Vec<Stored> = results.into_iter().flatten().map(Stored::from).collect();
            return Ok(Produced { count: records.len() as u64, records });
        };
        if !may_renew(app, &plan.key, &producer, error) || left == 0 || any_written(&plan, &results)
        {
            return Err(failure(&results, error));
        }
        left -= 1;
    }
}

/// Counts what was written, and wakes those who wait for it here.
pub(crate) fn told(app: &App, (topic, _): &Key, written: u64, last: &BTreeMap<u32, Ack>) {
    app.metrics.produced(written);
    for (partition, ack) in last.iter().filter(|(_, ack)| !ack.duplicate) {
        app.tails.nudge(topic, *partition, ack.offset);
    }
}

/// The problem of a write.
pub(crate) fn problem(error: &Error) -> Problem {
    let problem = Problem::from(error.clone());
    match error.kind() {
        // The instance of the name was this server's own, and the next request makes a new one.
        ErrorKind::Fenced => problem.retriable(),
        _ => problem,
    }
}

/// Whether another producer may do better, which the next attempt builds then: this one was fenced,
/// or closed, or its topic was deleted and perhaps made anew.
pub(crate) fn may_renew(app: &App, key: &Key, producer: &InUse, error: &Error) -> bool {
    let stale =
        matches!(error.kind(), ErrorKind::Fenced | ErrorKind::Closed | ErrorKind::TopicNotFound);
    if stale {
        app.producers.renew(key, producer);
    }
    stale && error.outcome() == Outcome::NotWritten
}

/// Whether writing the records again could write one twice. Those with a sequence never are.
fn any_written(plan: &Plan, results: &[Result<Ack, Error>]) -> bool {
    let sequenced = plan.records.iter().all(|record| record.sequence.is_some());
    !sequenced
        && results.iter().any(|result| match result {
            Ok(_) => true,
            Err(error) => error.outcome() == Outcome::Unknown,
        })
}

/// A record with a sequence goes to the same partition each time it is sent, or it could not be
/// known again.
pub(crate) fn check_places(producer: &InUse, (_, name): &Key, records: &[Record]) -> Result<()> {
    let anywhere = |record: &Record| record.key.is_none() && record.partition.is_none();
    if name.is_some() && producer.partitions() > 1 && records.iter().any(anywhere) {
        return Err(Problem::invalid(
            "a record with a sequence needs a key or a partition: sent again, it has to go to the \
             same partition",
        ));
    }
    Ok(())
}

async fn append(
    producer: &InUse,
    partition: u32,
    records: &[Record],
    expected: Option<i64>,
) -> Vec<Result<Ack, Error>> {
    let count = records.len();
    let ack = producer.append(partition, records.to_vec(), expected).await;
    (0..count as i64)
        .map(|number| {
            let timestamp = records[number as usize].timestamp;
            ack.clone().map(|ack| Ack {
                offset: ack.offset + number,
                timestamp: timestamp.unwrap_or(ack.timestamp),
                ..ack
            })
        })
        .collect()
}

async fn send(producer: &InUse, records: Vec<Record>) -> Vec<Result<Ack, Error>> {
    let mut tickets = Vec::with_capacity(records.len());
    let mut refused: Option<Error> = None;
    for record in records {
        let sequenced = record.sequence.is_some();
        let ticket = match &refused {
            Some(error) => Err(error.clone()),
            None => producer.enqueue(record).await,
        };
        // With those behind it written, it would be a duplicate when it is sent again.
        if let (true, None, Err(error)) = (sequenced, &refused, &ticket) {
            let behind = format!("not tried, since a record before it was refused: {error}");
            refused = Some(Error::new(error.kind(), behind));
        }
        tickets.push(ticket);
    }
    let wait = |ticket: Result<kaffic_core::Ticket, Error>| async move { ticket?.await };
    join_all(tickets.into_iter().map(wait)).await
}

/// The problem of a request of which something failed.
fn failure(results: &[Result<Ack, Error>], error: &Error) -> Problem {
    if let [_] = results {
        return problem(error);
    }
    let failed = results.iter().filter(|result| result.is_err()).count();
    let shown: Vec<serde_json::Value> = results
        .iter()
        .map(|result| match result {
            Ok(ack) => serde_json::json!(Stored::from(*ack)),
            Err(error) => serde_json::json!({ "problem": problem(error).body() }),
        })
        .collect();
    let unknown = results
        .iter()
        .any(|result| result.as_ref().is_err_and(|error| error.outcome() == Outcome::Unknown));
    let problem = problem(error)
        .context(&format!("{failed} of {} records were not stored", results.len()))
        .with_results(&shown);
    match unknown {
        true => problem.with_unknown_outcome(),
        false => problem,
    }
}
