//! A reader: from the earliest record on, for as long as the world lasts.

use super::{TOPIC, passing};
use crate::oracle::Invariant;
use crate::payload::Rec;
use crate::process::{Process, Program};
use crate::trace::Event;
use kaffic_core::{Consumer, ConsumerRecord, Error, ErrorKind, ResetPolicy, Start};
use std::time::Duration;

/// A reader with its number at the oracle; `tell`: it wants to be told of losses. Started again it
/// goes on where it was.
pub(crate) fn reader(number: u32, tell: bool) -> Program {
    Program::new("reader", move |process| async move {
        let reset = if tell { ResetPolicy::Error } else { ResetPolicy::Earliest };
        let Some(mut consumer) = build(&process, number, reset).await else { return };
        let max = process.one_of(&[1, 3, 100]);
        let timeout = Duration::from_millis(process.one_of(&[50, 5_000, 60_000]));
        loop {
            match consumer.poll(max, timeout).await {
                Ok(records) => {
                    records.iter().for_each(|record| deliver(&process, number, record));
                    pass(&process, number, &consumer);
                    if records.is_empty() {
                        process.pause(1_000).await;
                    }
                }
                Err(error) if error.kind() == ErrorKind::OffsetOutOfRange => {
                    let reset = told(&process, number, &error);
                    consumer = match build(&process, number, reset).await {
                        Some(consumer) => consumer,
                        None => return,
                    };
                }
                Err(error) if passing(&process, "reading", &error) => process.pause(500).await,
                Err(_) => {
                    process.world().oracle.finished(number);
                    return;
                }
            }
        }
    })
}

/// A consumer from the reader's position on.
async fn build(process: &Process, number: u32, reset: ResetPolicy) -> Option<Consumer> {
    let wait = Duration::from_millis(process.one_of(&[200, 1_000, 10_000]));
    let mut reset = reset;
    loop {
        let position = process.world().oracle.position(number);
        let start = if position == 0 { Start::Earliest } else { Start::Offset(position) };
        let client = process.connect().await.ok()?;
        let builder = client.consumer().assign(TOPIC, [0]).start(start).fetch_max_wait(wait);
        match builder.reset(reset).build().await {
            Ok(_) if process.world().oracle.may_be_another(number) => {
                process.world().oracle.finished(number);
                return None;
            }
            Ok(consumer) => return Some(consumer),
            Err(error) if error.kind() == ErrorKind::OffsetOutOfRange => {
                reset = told(process, number, &error);
            }
            Err(error) if passing(process, "building a reader", &error) => {
                process.pause(500).await;
            }
            Err(_) => {
                process.world().oracle.finished(number);
                return None;
            }
        }
    }
}

/// The reader is told of a loss: the policy with which it goes on.
fn told(process: &Process, number: u32, error: &Error) -> ResetPolicy {
    let mut world = process.world();
    let (now, earliest) = (world.now, error.offset_range().map(|(earliest, _)| earliest));
    world.log(&Event::Told { reader: number, earliest: earliest.unwrap_or(-1) });
    if world.oracle.told(now, number, earliest) {
        ResetPolicy::Error
    } else {
        ResetPolicy::Earliest
    }
}

fn deliver(process: &Process, number: u32, record: &ConsumerRecord) {
    let mut world = process.world();
    let now = world.now;
    match Rec::read(record) {
        Ok(rec) => {
            let (writer, seq, offset) = (rec.writer, rec.seq, record.offset);
            world.log(&Event::Deliver { reader: number, writer, seq, offset });
            world.oracle.delivered(now, number, rec, offset);
        }
        Err(what) => world.oracle.violated(Invariant::Contents, what),
    }
}

fn pass(process: &Process, number: u32, consumer: &Consumer) {
    let position = consumer.positions().first().map_or(0, |position| position.offset);
    let mut world = process.world();
    let now = world.now;
    if position > world.oracle.position(number) {
        world.log(&Event::Position { reader: number, offset: position });
        world.oracle.passes(now, number, position);
    }
}
