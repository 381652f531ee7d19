//! A writer: a few records, one at a time, in bursts, or appended at an expected offset, with
//! waits in between that are short, or long enough for a block to grow old or expire.

use super::{TOPIC, passing};
use crate::config::{A_MS, R_MS, after};
use crate::oracle::Invariant;
use crate::payload::Rec;
use crate::process::{Process, Program};
use crate::trace::Event;
use kaffic_core::{Ack, ErrorKind, Producer, Result};
use std::time::Duration;

/// A writer to an incarnation of the topic.
pub(crate) fn writer(log: usize) -> Program {
    Program::new("writer", move |process| async move {
        let writer = process.world().oracle.new_writer(log);
        let Some(producer) = producer(&process).await else { return };
        if process.world().oracle.current_log() != Some(log) {
            // It may be of either incarnation.
            return;
        }
        let mut known_end = 0;
        for _ in 0..1 + process.below(4) {
            let stop = match process.below(8) {
                0 | 1 => burst(&process, &producer, writer).await,
                2 => append(&process, &producer, writer, None).await.1,
                3 | 4 => {
                    let expected = next_offset(&process, known_end).await;
                    let (end, stop) = append(&process, &producer, writer, Some(expected)).await;
                    known_end = end.unwrap_or(known_end);
                    stop
                }
                _ => single(&process, &producer, writer).await,
            };
            if stop {
                break;
            }
            let waits = &[0, 0, 10, 1_000, 15_000, A_MS, R_MS, 2 * R_MS];
            let few = if process.world().setting.hurry { 4 } else { waits.len() };
            process.pause(process.one_of(&waits[..few])).await;
        }
        match process.below(4) {
            0 => {
                if let Err(error) = producer.close().await {
                    passing(&process, "closing", &error);
                }
            }
            1 => {
                drop(producer);
                process.pause(5_000).await;
            }
            _ => {}
        }
    })
}

async fn producer(process: &Process) -> Option<Producer> {
    let timeout = if process.world().quiet {
        600_000
    } else {
        process.one_of(&[2_000, 20_000, 120_000, 3 * R_MS])
    };
    let linger = process.one_of(&[0, 0, 20]);
    let compaction = process.world().setting.compactors > 0 && process.below(2) > 0;
    let aside_bytes = process.one_of(&[1, 1, 256 << 10]);
    let other = {
        let mut world = process.world();
        let chance = world.setting.other_min_expiry;
        world.chance(chance)
    };
    loop {
        let client = process.connect().await.ok()?;
        let mut builder = client
            .producer(TOPIC)
            .delivery_timeout(Duration::from_millis(timeout as u64))
            .linger(Duration::from_millis(linger))
            .compaction(compaction)
            .aside_bytes(aside_bytes);
        if other {
            builder = builder.min_expiry_override(after(R_MS / 2));
        }
        match builder.build().await {
            Ok(producer) => return Some(producer),
            Err(error) if passing(process, "building a writer", &error) => process.pause(500).await,
            Err(_) => return None,
        }
    }
}

/// The writer's idea of the next offset: what it knows, or what it asks.
async fn next_offset(process: &Process, known: i64) -> i64 {
    if process.below(2) == 0 {
        return known;
    }
    let Ok(client) = process.connect().await else { return known };
    client.offsets(TOPIC).latest(0).await.unwrap_or(known)
}

fn sending(process: &Process, writer: u32, count: u32, batch: bool) -> Vec<Rec> {
    let mut world = process.world();
    let now = world.now;
    let records = world.oracle.sending(now, writer, count, batch);
    world.log(&Event::Send { writer, first: records[0].seq, count });
    records
}

/// Tells the oracle what became of a record. Says whether the writer stops.
fn outcome(process: &Process, rec: Rec, result: &Result<Ack>) -> bool {
    let (writer, seq) = (rec.writer, rec.seq);
    let mut world = process.world();
    match result {
        Ok(ack) => {
            world.log(&Event::Ack { writer, seq, offset: ack.offset });
            world.oracle.acked(rec, ack.offset);
            false
        }
        Err(error) => {
            let what = format!("{:?} {:?}: {error}", error.kind(), error.outcome());
            world.log(&Event::Fail { writer, seq, what: &what });
            world.oracle.failed(rec, error.outcome());
            drop(world);
            let expected = error.kind() == ErrorKind::ConditionFailed;
            !expected && !passing(process, "writing", error)
        }
    }
}

async fn single(process: &Process, producer: &Producer, writer: u32) -> bool {
    let rec = sending(process, writer, 1, false)[0];
    let result = producer.send(rec.record()).await;
    outcome(process, rec, &result)
}

async fn burst(process: &Process, producer: &Producer, writer: u32) -> bool {
    let records = sending(process, writer, 2 + process.below(3), false);
    let mut tickets = Vec::new();
    let mut stop = false;
    for rec in records {
        match producer.enqueue(rec.record()).await {
            Ok(ticket) => tickets.push((rec, ticket)),
            Err(error) => stop |= outcome(process, rec, &Err(error)),
        }
        if process.below(3) == 0 {
            process.pause(20).await;
        }
    }
    for (rec, ticket) in tickets {
        let result = ticket.await;
        stop |= outcome(process, rec, &result);
    }
    stop
}

/// Appends a batch. Gives the offset after it, where it was appended, and whether to stop.
async fn append(
    process: &Process,
    producer: &Producer,
    writer: u32,
    expected: Option<i64>,
) -> (Option<i64>, bool) {
    let records = sending(process, writer, 1 + process.below(3), true);
    let batch = records.iter().map(|rec| rec.record()).collect();
    let result = producer.append(0, batch, expected).await;
    check_expected(process, expected, &result);
    let mut stop = false;
    for (index, rec) in (0..).zip(&records) {
        let result = result.clone().map(|ack| Ack { offset: ack.offset + index, ..ack });
        stop |= outcome(process, *rec, &result);
    }
    let end = match &result {
        Ok(ack) => Some(ack.offset + records.len() as i64),
        Err(error) => error.tail(),
    };
    (end, stop)
}

fn check_expected(process: &Process, expected: Option<i64>, result: &Result<Ack>) {
    let wrong = match result {
        Ok(ack) => expected.is_some_and(|expected| expected != ack.offset),
        Err(error) if error.kind() == ErrorKind::ConditionFailed => {
            expected.is_none() || error.tail() == expected
        }
        Err(_) => false,
    };
    if wrong {
        let what = format!("an append that expected {expected:?} came to {result:?}");
        process.world().oracle.violated(Invariant::ExpectedOffset, what);
    }
}

/// A writer of one record, when there are no faults any more.
pub(crate) fn last_writer(rec: Rec) -> Program {
    Program::new("last writer", move |process| async move {
        let Some(producer) = producer(&process).await else { return };
        let now = process.world().now;
        process.world().oracle.sending(now, rec.writer, 1, false);
        let result = producer.send(rec.record()).await;
        outcome(&process, rec, &result);
    })
}
