//! Producing a stream of lines: however long it is, only some of it is held at once.

use crate::app::App;
use crate::body;
use crate::data::RecordIn;
use crate::problem::{Problem, Result};
use crate::produce::{
    ProduceQuery, Produced, Stored, check_places, may_renew, numbered, problem, told,
};
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
    /// Those of them that were not there before.
    written: u64,
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
    let done = tokio::select! {
        biased;
        () = app.stopped() => Err(Problem::stopping()),
        done = lines(app, &producer, &key, &query, &mut body, &mut progress) => done,
    };
    let finished = progress.settle(0).await.map_err(|error| {
        may_renew(app, &key, &producer, &error);
        problem(&error)
    });
    told(app, &key, progress.written, &progress.last);
    match done.and(finished) {
        Ok(()) => {
            let records = progress.last.into_values().map(Stored::from).collect();
            Ok(Produced { count: progress.stored, records })
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
    // Of the line that has begun.
    let mut held: Option<OwnedSemaphorePermit> = None;
    loop {
        let Some(next) = timeout(limits.read_timeout, body::next(body)).await else {
            return Err(body::too_slow(app));
        };
        let data = next?;
        let end = data.is_none();
        let mut searched = begun.len();
        begun.extend_from_slice(data.as_deref().unwrap_or(b"\n"));
        while let Some(length) = memchr::memchr(b'\n', &begun[searched..]) {
            let line = begun.split_to(searched + length + 1);
            searched = 0;
            progress.lines += u64::from(!end || line.len() > 1);
            if line.trim_ascii().is_empty() {
                continue;
            }
            let record = record(&line, query, key, progress.lines)?;
            check_places(producer, key, std::slice::from_ref(&record))?;
            let room = progress.room(app, held.take(), line.len()).await?;
            let ticket = producer.enqueue(record).await.map_err(|error| problem(&error))?;
            progress.tickets.push_back((ticket, room));
            progress.settle(UNDER_WAY).await.map_err(|error| problem(&error))?;
        }
        if begun.len() > UNCOUNTED {
            held = Some(progress.room(app, held, begun.len()).await?);
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
    /// Waits until no more than `most` records are under way. Whoever does not stay for that loses
    /// none of them.
    async fn settle(&mut self, most: usize) -> Result<(), kaffic_core::Error> {
        let mut first = Ok(());
        while self.tickets.len() > most {
            let Some((ticket, _)) = self.tickets.front_mut() else { break };
            let ended = ticket.await;
            self.tickets.pop_front();
            match ended {
                Ok(ack) => {
                    self.stored += 1;
                    self.written += u64::from(!ack.duplicate);
                    self.last.insert(ack.partition, ack);
                }
                Err(error) => first = first.and(Err(error)),
            }
        }
        first
    }

    /// Room for a line, of which some may be held already. Whoever waits for it holds no more than
    /// that, and not for ever, or all could wait for each other.
    async fn room(
        &mut self,
        app: &App,
        held: Option<OwnedSemaphorePermit>,
        bytes: usize,
    ) -> Result<OwnedSemaphorePermit> {
        let bytes = bytes.min(app.config.limits.bodies_bytes);
        let more = bytes.saturating_sub(held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits));
        let more = match body::room(app, more) {
            Ok(room) => room,
            Err(busy) => {
                self.settle(0).await.map_err(|error| problem(&error))?;
                let room = Arc::clone(&app.bodies).acquire_many_owned(more as u32);
                match timeout(app.config.limits.read_timeout, room).await {
                    Some(Ok(room)) => room,
                    _ => return Err(busy),
                }
            }
        };
        Ok(match held {
            Some(mut held) => {
                held.merge(more);
                held
            }
            None => more,
        })
    }
}
