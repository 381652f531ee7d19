//! Fetching: records of a partition from an offset on, with a wait for what is to come.

use crate::answer;
use crate::app::{App, Shared};
use crate::data::{RecordOut, RecordShape, Show};
use crate::extract::{InPath, Params};
use crate::name::Name;
use crate::problem::{Problem, Result};
use crate::reader::{Most, Reader, Source};
use crate::start::start;
use axum::extract::State;
use axum::response::Response;
use kaffic_core::{ConsumerRecord, ResetPolicy, Start};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use utoipa::{IntoParams, ToSchema};

/// The most that one answer carries, keys, values and headers together.
const MOST_BYTES: u32 = 16 << 20;
const DEFAULT_BYTES: u32 = 1 << 20;
const MOST_RECORDS: u32 = 10_000;
const DEFAULT_RECORDS: u32 = 500;

/// What happens when the records at an offset have expired.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Expired {
    /// The request fails, and says what remains.
    #[default]
    Error,
    /// Go on at the first record that remains.
    Earliest,
    /// Go on at the end.
    Latest,
}

impl From<Expired> for ResetPolicy {
    fn from(expired: Expired) -> Self {
        match expired {
            Expired::Error => Self::Error,
            Expired::Earliest => Self::Earliest,
            Expired::Latest => Self::Latest,
        }
    }
}

/// What to fetch.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct FetchQuery {
    /// The offset to begin at: the same as `from=offset:N`.
    #[param(minimum = 0)]
    offset: Option<i64>,
    /// `earliest` (the default), `latest`, `offset:N`, `last:N` or `time:RFC3339` (in UTC; or Unix
    /// milliseconds).
    #[param(
        pattern = "^(earliest|latest|(offset|last):[0-9]{1,15}|time:([0-9]{1,14}|[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])))$"
    )]
    from: Option<String>,
    /// At most so many records: 500 by default.
    #[param(minimum = 1, maximum = 10000)]
    max_records: Option<u32>,
    /// At most so many bytes of keys, values and headers, but one record always: 1 MiB by default.
    #[param(minimum = 1, maximum = 16777216)]
    max_bytes: Option<u32>,
    /// How long to wait for a record where there is none, in milliseconds: not at all by default.
    #[param(minimum = 0, maximum = 60000)]
    wait_ms: Option<u64>,
    /// How bytes are shown.
    #[serde(default)]
    #[param(inline)]
    show: Show,
    /// What happens when the records at the offset have expired.
    #[serde(default)]
    #[param(inline)]
    expired: Expired,
}

/// Records, and where to go on.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Fetched {
    /// In the order of their offsets; none if none is there.
    #[schema(value_type = Vec<RecordShape>)]
    pub(crate) records: Vec<RecordOut>,
    /// The offset to fetch next.
    next_offset: i64,
}

/// Says a number that is beyond its bounds.
pub(crate) fn bounded(name: &str, given: Option<u32>, default: u32, most: u32) -> Result<usize> {
    match given.unwrap_or(default) {
        number if (1..=most).contains(&number) => Ok(number as usize),
        number => Err(Problem::invalid(format!("{name} is {number}; it is 1 to {most}"))),
    }
}

/// The bounds of one answer.
pub(crate) fn most(records: Option<u32>, bytes: Option<u32>) -> Result<Most> {
    Ok(Most {
        records: bounded("max_records", records, DEFAULT_RECORDS, MOST_RECORDS)?,
        bytes: bounded("max_bytes", bytes, DEFAULT_BYTES, MOST_BYTES)?,
    })
}

/// Records as they are shown.
pub(crate) fn shown(records: Vec<ConsumerRecord>, show: Show) -> Vec<RecordOut> {
    records.into_iter().map(|record| RecordOut { record, show }).collect()
}

/// Fetch records of a partition.
#[utoipa::path(get, path = "/v1/topics/{topic}/partitions/{partition}/records", tag = "records",
    params(("topic" = Name, Path, description = "The topic's name."),
        ("partition" = u32, Path, description = "The partition.", minimum = 0, maximum = 9999),
        FetchQuery), responses(
    (status = 200, description = "What is there.", body = Fetched),
    Problem,
))]
pub(crate) async fn fetch(
    State(app): Shared,
    InPath((topic, partition)): InPath<(String, u32)>,
    Params(query): Params<FetchQuery>,
) -> Result<Response> {
    let start = match (query.offset, query.from.as_deref()) {
        (Some(_), Some(_)) => return Err(Problem::invalid("offset and from: give one of them")),
        (Some(offset), None) if offset < 0 => {
            return Err(Problem::invalid(format!("offset {offset} is negative")));
        }
        (Some(offset), None) => Start::Offset(offset),
        (None, from) => start(from.unwrap_or("earliest"))?,
    };
    let most = most(query.max_records, query.max_bytes)?;
    let wait = wait(query.wait_ms)?;
    let source = Source { topic, partition, reset: query.expired.into() };
    let (mut reader, fresh) = match open(&app, &source, start, !wait.is_zero()) {
        Some(reader) => (reader, false),
        None => (Reader::open(&app, source.clone(), start).await?, true),
    };
    let mut records = reader.read_kept(&app, most).await?;
    if records.is_empty() && !wait.is_zero() {
        records = reader.wait(&app, most, wait).await?;
    } else if records.is_empty() && !fresh {
        // What was there when the reader was opened is not all that is there now.
        reader = Reader::open(&app, source, Start::Offset(reader.next_offset())).await?;
        records = reader.read(&app, most).await?;
    }
    let next_offset = reader.next_offset();
    app.metrics.fetched(&records);
    app.parked.put(reader);
    answer::json(&app, &Fetched { next_offset, records: shown(records, query.show) })
}

/// A reader that is there already.
fn open(app: &App, source: &Source, start: Start, waits: bool) -> Option<Reader> {
    let Start::Offset(offset) = start else { return None };
    let parked = || app.parked.take(source, offset);
    let at_tail = || Reader::at_tail(app, source, offset);
    match waits {
        true => at_tail().or_else(parked),
        false => parked().or_else(at_tail),
    }
}

/// A wait, in bounds.
pub(crate) fn wait(given: Option<u64>) -> Result<Duration> {
    match given.unwrap_or(0) {
        ms @ 0..=60_000 => Ok(Duration::from_millis(ms)),
        ms => Err(Problem::invalid(format!("wait_ms is {ms}; it is 0 to 60000"))),
    }
}
