//! The task that fetches for one partition: reads ahead, waits at the tail, and goes by the reset
//! policy where records have expired.

use super::assigned::out_of_range;
use super::config::{Config, ResetPolicy};
use crate::error::Result;
use crate::log::Log;
use crate::log::read::{Batch, Event, LogReader, Moment, Place};
use crate::log::seek::tail_place;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

const SHORTEST_WAIT: Duration = Duration::from_millis(10);

/// What a fetch says to its consumer.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) index: usize,
    pub(super) generation: u64,
    pub(super) news: Result<News>,
}

#[derive(Debug)]
pub(super) enum News {
    /// A batch, where it was, and where the next is.
    Batch { batch: Box<Batch>, at: Place, next: Place },
    /// Nothing before the end is left.
    Done,
}

/// Where a fetch ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct End {
    pub(super) offset: i64,
    /// A place at which the end is reached in any case.
    pub(super) place: Option<Place>,
}

impl End {
    fn is_reached(&self, place: Place) -> bool {
        let beyond = |end: Place| (place.block, place.slot) >= (end.block, end.slot);
        place.offset >= self.offset || self.place.is_some_and(beyond)
    }
}

/// Fetches until the end, an error, or until nobody listens.
pub(super) async fn fetch(
    log: Arc<Log>,
    mut reader: LogReader,
    config: Config,
    end: Option<End>,
    index: usize,
    generation: u64,
    messages: mpsc::Sender<Message>,
) {
    let mut wait = SHORTEST_WAIT;
    let say = |news| messages.send(Message { index, generation, news });
    loop {
        if end.is_some_and(|end| end.is_reached(reader.place())) {
            say(Ok(News::Done)).await.ok();
            return;
        }
        let from = reader.place();
        match reader.next().await {
            Ok(Event::Batch(batch)) => {
                wait = SHORTEST_WAIT;
                let (at, next) = (reader.last_place(), reader.place());
                let at = Place { offset: from.offset.max(batch.header.base_offset), ..at };
                if say(Ok(News::Batch { batch, at, next })).await.is_err() {
                    return;
                }
            }
            Ok(Event::CaughtUp) => {
                log.env.sleep(wait).await;
                wait = (wait * 2).min(config.fetch_max_wait);
            }
            Ok(Event::Lost) => {
                tracing::warn!(log = %log.id, offset = from.offset, "records have expired unread");
                if let Err(error) = reset(&log, &mut reader, config.reset, from.offset).await {
                    say(Err(error)).await.ok();
                    return;
                }
            }
            Err(error) => {
                say(Err(error)).await.ok();
                return;
            }
        }
    }
}

/// Does what the policy says about records that have expired.
async fn reset(log: &Log, reader: &mut LogReader, policy: ResetPolicy, wanted: i64) -> Result<()> {
    match policy {
        // The reader stands at the next that may be there.
        ResetPolicy::Earliest => Ok(()),
        ResetPolicy::Latest => {
            let asked_at = Moment::now(&*log.env);
            let tail = log.find_tail().await?;
            reader.move_to_tail(tail_place(tail.as_ref()), asked_at);
            Ok(())
        }
        ResetPolicy::Error => {
            let tail = log.find_tail().await?;
            let end = tail_place(tail.as_ref());
            let from = reader.place();
            let next = log.first_from(from.block, from.slot, tail.as_ref()).await?;
            Err(out_of_range(log, wanted, next.unwrap_or(end), end))
        }
    }
}
