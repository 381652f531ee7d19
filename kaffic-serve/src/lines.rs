//! Producing a stream of lines: however long it is, only some of it is held at once.

use crate::app::App;
use crate::body;
use crate::data::RecordIn;
use crate::problem::{Problem, Result};
use crate::produce::{ProduceQuery, Produced, Stored, check_places, may_renew, numbered, told};
use crate::producers::{InUse, Key};
use crate::runtime::timeout;
use axum::body::Body;
use axum::http::StatusCode;
use bytes::BytesMut;
use kaffic_core::{Ack, Ticket};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;

/// Records whose acknowledgement is not there yet.
const UNDER_WAY: usize = 10_000;

/// As much of a line that has begun takes no room that is counted.
const UNCOUNTED: usize = 64 << 10;

/// What became of a stream so far.
#[derive(Debug, Default)]
struct Progress {
    /// Records under way, and the room that each takes.
    tickets: VecDeque<(Ticket, OwnedSemaphorePermit)>,
    /// Lines that were read.
    lines: u64,
    /// Records that are durable.
    stored: u64,
    last: BTreeMap<u32, Ack>,
}

/// Reads records, one a line, and stores them as they come.
pub(crate) async fn produce(
    app: &App,
    topic: String,
    query: ProduceQuery,
    mut body: Body,
) -> Result<Produced> {
    if query.key.is_some() || query.timestamp.is_some() {
        return Err(Problem::invalid("key and timestamp are said in each line"));
    }
    let key: Key = (topic, query.producer.clone());
    // Whether name and sequence fit each other is said before anything is stored.
    numbered(Vec::new(), &key, query.sequence)?;
    let producer = app.producers.get(&key).await?;
    let mut progress = Progress::default();
    let done = lines(app, &producer, &key, &query, &mut body, &mut progress).await;
    let finished = progress.settle(0).await.map_err(|error| {
        may_renew(app, &key, &producer, &error);
        Problem::from(error)
    });
    match done.and(finished) {
        Ok(()) => {
            let records = progress.last.into_values().map(Stored::from).collect();
            let produced = Produced { count: progress.stored, records };
            told(app, &key, &produced);
            Ok(produced)
        }
        // Lines are stored one by one: those before the fault are.
        Err(problem) => {
            let Progress { lines, stored, .. } = progress;
            let before = format!("after {stored} stored records, at or before line {lines}");
            Err(problem.context(&before))
        }
    }
}

async fn lines(
    app: &App,
    producer: &InUse,
    key: &Key,
    query: &ProduceQuery,
    body: &mut Body,
    progress: &mut Progress,
) -> Result<()> {
    let limits = &app.config.limits;
    let mut begun = BytesMut::new();
    let mut _room = None;
    loop {
        let Some(next) = timeout(limits.read_timeout, body::next(body)).await else {
            return Err(body::too_slow(app));
        };
        let data = next?;
        let end = data.is_none();
        let mut searched = begun.len();
        begun.extend_from_slice(data.as_deref().unwrap_or(b"\n"));
        _room = match begun.len() > UNCOUNTED {
            true => Some(body::room(app, begun.len())?),
            false => None,
        };
        while let Some(length) = memchr::memchr(b'\n', &begun[searched..]) {
            let line = begun.split_to(searched + length + 1);
            searched = 0;
            progress.lines += u64::from(!end || line.len() > 1);
            if line.trim_ascii().is_empty() {
                continue;
            }
            let record = record(&line, query, key, progress.lines)?;
            check_places(producer, key, std::slice::from_ref(&record))?;
            let room = progress.room(app, line.len()).await?;
            progress.tickets.push_back((producer.enqueue(record).await?, room));
            progress.settle(UNDER_WAY).await?;
        }
        if begun.len() > limits.body_bytes {
            return Err(Problem::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "body_too_large",
                format!("a line has more than {} bytes", limits.body_bytes),
            ));
        }
        if end {
            return Ok(());
        }
    }
}

fn record(
    line: &[u8],
    query: &ProduceQuery,
    key: &Key,
    number: u64,
) -> Result<kaffic_core::Record> {
    let parsed: RecordIn = body::parse(line)?;
    let partition = parsed.partition.or(query.partition);
    let record = RecordIn { partition, ..parsed }.into_record();
    // A line's sequence is its place, so that a stream that is sent again is known again.
    let sequence = query.sequence.map(|first| first.saturating_add(number as i64 - 1));
    let mut records = numbered(vec![record], key, sequence)?;
    records.pop().ok_or_else(|| Problem::invalid("a line without a record"))
}

impl Progress {
    /// Waits until no more than `most` records are under way.
    async fn settle(&mut self, most: usize) -> Result<(), kaffic_core::Error> {
        let mut first = Ok(());
        while self.tickets.len() > most {
            let Some((ticket, room)) = self.tickets.pop_front() else { break };
            match ticket.await {
                Ok(ack) => {
                    self.stored += 1;
                    self.last.insert(ack.partition, ack);
                }
                Err(error) => first = first.and(Err(error)),
            }
            drop(room);
        }
        first
    }

    /// Room for a record. Whoever waits for it holds none, or all could wait for each other.
    async fn room(&mut self, app: &App, bytes: usize) -> Result<OwnedSemaphorePermit> {
        let bytes = bytes.min(app.config.limits.bodies_bytes);
        if let Ok(room) = body::room(app, bytes) {
            return Ok(room);
        }
        self.settle(0).await?;
        let patience = app.config.limits.read_timeout;
        let room = Arc::clone(&app.bodies).acquire_many_owned(bytes as u32);
        match timeout(patience, room).await {
            Some(Ok(room)) => Ok(room),
            _ => Err(Problem::busy("too many bodies are being read; try again later")),
        }
    }
}
