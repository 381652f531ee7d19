//! What a stream is made of: the records of some partitions of a topic, as they come, and the
//! position behind each, from which another stream goes on.

use crate::app::App;
use crate::data::Show;
use crate::problem::{Problem, Result};
use crate::reader::{Most, Reader, Source};
use crate::runtime::now;
use crate::start::start;
use axum::http::HeaderMap;
use futures_util::future::{BoxFuture, try_join_all};
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use kaffic_core::{ConsumerRecord, ResetPolicy, Start};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use utoipa::IntoParams;

/// The partitions of one stream, whose positions go with every record.
const MOST_PARTITIONS: usize = 100;
/// What one partition gives before another has its turn, and what a slow client keeps in memory.
const TURN: Most = Most { records: 256, bytes: 64 << 10 };
/// A reader that has waited for so long waits again.
const WAIT: Duration = Duration::from_secs(3600);

/// What to stream.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct StreamQuery {
    /// `latest` (the default), `earliest`, `offset:N`, `last:N` or `time:RFC3339` (in UTC; or Unix
    /// milliseconds): in each partition.
    #[param(
        pattern = "^(earliest|latest|(offset|last):[0-9]{1,15}|time:([0-9]{1,14}|[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])))$"
    )]
    from: Option<String>,
    /// Only these partitions: `0,3,7`. All by default, up to 100.
    #[param(pattern = "^[0-9]{1,4}(,[0-9]{1,4}){0,99}$")]
    partitions: Option<String>,
    /// Where an earlier stream ended: the `id` of its last event. It goes before `from`.
    #[param(pattern = "^[0-9]{1,4}:[0-9]{1,15}(,[0-9]{1,4}:[0-9]{1,15}){0,99}$")]
    position: Option<String>,
    /// How bytes are shown.
    #[serde(default)]
    #[param(inline)]
    pub(crate) show: Show,
}

/// The offset that comes next, of each partition: `0:12,1:7`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Position(BTreeMap<u32, i64>);

impl Position {
    fn parse(text: &str) -> Result<Self> {
        let one = |text: &str| {
            let (partition, offset) = text.trim().split_once(':')?;
            let offset: i64 = offset.parse().ok()?;
            (offset >= 0).then_some((partition.parse().ok()?, offset))
        };
        let all: Option<BTreeMap<u32, i64>> = text.split(',').map(one).collect();
        all.map(Self).ok_or_else(|| {
            Problem::invalid(format!("position {text:?}: write PARTITION:OFFSET,PARTITION:OFFSET"))
        })
    }

    /// The position behind a record.
    pub(crate) fn pass(&mut self, record: &ConsumerRecord) {
        self.0.insert(record.partition, record.offset + 1);
    }
}

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (number, (partition, offset)) in self.0.iter().enumerate() {
            let comma = if number > 0 { "," } else { "" };
            write!(f, "{comma}{partition}:{offset}")?;
        }
        Ok(())
    }
}

/// A reader that waits for news, and whether there is any.
type Waiting = BoxFuture<'static, (Reader, Result<bool>)>;
/// A reader that reads.
type Reading = BoxFuture<'static, (Reader, Result<Vec<ConsumerRecord>>)>;

/// The records of some partitions, as they come. Many wait at once, and one reads: whoever takes its
/// records slowly is not in the way of others meanwhile.
pub(crate) struct Feed {
    app: Arc<App>,
    waiting: FuturesUnordered<Waiting>,
    reading: Option<Reading>,
    /// What the last record left behind.
    pub(crate) position: Position,
}

impl Feed {
    /// Finds where to begin in each partition.
    pub(crate) async fn open(
        app: &Arc<App>,
        topic: &str,
        query: &StreamQuery,
        headers: &HeaderMap,
    ) -> Result<Self> {
        // Finding the places is work like any other request's; the stream itself has its own place.
        let _work = app.request_place()?;
        let last = headers.get("last-event-id").and_then(|value| value.to_str().ok());
        let given = last.filter(|last| !last.is_empty()).or(query.position.as_deref());
        let begun = given.map(Position::parse).transpose()?.unwrap_or_default();
        let default = start(query.from.as_deref().unwrap_or("latest"))?;
        let partitions = partitions(app, topic, query).await?;
        let open = partitions.into_iter().map(|partition| {
            let start = begun.0.get(&partition).map_or(default, |offset| Start::Offset(*offset));
            let source =
                Source { topic: topic.to_owned(), partition, reset: ResetPolicy::Earliest };
            async move {
                if let Start::Offset(offset) = start
                    && let Some(reader) = Reader::at_tail(app, &source, offset)
                {
                    return Ok((partition, reader));
                }
                Ok::<_, Problem>((partition, Reader::open(app, source, start).await?))
            }
        });
        let readers = try_join_all(open).await?;
        let position = readers.iter().map(|(partition, reader)| (*partition, reader.next_offset()));
        let position = Position(position.collect());
        let app = Arc::clone(app);
        let waiting = readers.into_iter().map(|(_, reader)| wait(Arc::clone(&app), reader));
        Ok(Self { waiting: waiting.collect(), reading: None, position, app })
    }

    /// The next records, of one partition; none when the server stops. Whoever does not stay for them
    /// gets them the next time.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<ConsumerRecord>>> {
        loop {
            if let Some(reading) = &mut self.reading {
                let (reader, read) = reading.await;
                self.reading = None;
                let records = read?;
                self.waiting.push(wait(Arc::clone(&self.app), reader));
                if !records.is_empty() {
                    self.app.metrics.fetched(&records);
                    return Ok(Some(records));
                }
            }
            let Some((reader, news)) = self.waiting.next().await else { return Ok(None) };
            if self.app.is_stopping() {
                return Ok(None);
            }
            match news? {
                true => self.reading = Some(look(Arc::clone(&self.app), reader)),
                false => self.waiting.push(wait(Arc::clone(&self.app), reader)),
            }
        }
    }
}

fn wait(app: Arc<App>, mut reader: Reader) -> Waiting {
    async move {
        let news = reader.news(&app, now() + WAIT).await;
        (reader, news)
    }
    .boxed()
}

fn look(app: Arc<App>, mut reader: Reader) -> Reading {
    async move {
        let read = reader.look(&app, TURN).await;
        (reader, read)
    }
    .boxed()
}

/// The partitions that are asked for, all of which are there.
async fn partitions(app: &App, topic: &str, query: &StreamQuery) -> Result<BTreeSet<u32>> {
    let described = app.client.topics().describe(topic).await?;
    let all = described.partitions;
    let wanted: BTreeSet<u32> = match &query.partitions {
        None => (0..all).collect(),
        Some(list) => {
            let numbers: Result<_, _> = list.split(',').map(|one| one.trim().parse()).collect();
            numbers.map_err(|_| Problem::invalid(format!("partitions {list:?}: write 0,3,7")))?
        }
    };
    if let Some(beyond) = wanted.iter().find(|partition| **partition >= all) {
        return Err(Problem::invalid(format!(
            "topic {topic} has {all} partitions, 0 to {}; there is no partition {beyond}",
            all - 1
        )));
    }
    if wanted.len() > MOST_PARTITIONS {
        return Err(Problem::invalid(format!(
            "{} partitions in one stream; it has {MOST_PARTITIONS} at most: name some by partitions=",
            wanted.len()
        )));
    }
    Ok(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_written_and_read() {
        let position = Position::parse("0:12, 3:7").unwrap();
        assert_eq!(position.to_string(), "0:12,3:7");
        for bad in ["", "0", "0:", "0:-1", "a:1", "0:1,"] {
            Position::parse(bad).unwrap_err();
        }
    }
}
