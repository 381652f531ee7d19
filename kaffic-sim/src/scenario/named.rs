//! Instances of one producer name that come, crash, sleep and come back, each of which goes on after
//! the last sequence of those before it. The record of a sequence is the same for all of them.

use super::{TOPIC, passing};
use crate::config::{A_MS, R_MS};
use crate::payload::Rec;
use crate::process::{Process, Program};
use crate::trace::Event;
use kaffic_core::{Ack, ErrorKind, Outcome, Producer, Result};
use std::time::Duration;

/// An instance of the name, whose records are those of `writer`.
pub(crate) fn named(writer: u32) -> Program {
    Program::new("named", move |process| async move {
        let Some(producer) = producer(&process).await else { return };
        let Some(epoch) = producer.epoch() else { return };
        let Some(mut next) = first_sequence(&process, &producer, writer, epoch).await else {
            return;
        };
        for _ in 0..1 + process.below(6) {
            if !send(&process, &producer, Rec { writer, seq: next }, epoch).await {
                return;
            }
            next += 1;
            let waits = &[0, 0, 10, 1_000, 15_000, A_MS, R_MS, 2 * R_MS];
            let few = if process.world().setting.hurry { 4 } else { waits.len() };
            process.pause(process.one_of(&waits[..few])).await;
        }
        if process.below(2) == 0
            && let Err(error) = producer.close().await
        {
            passing(&process, "closing", &error);
        }
    })
}

async fn producer(process: &Process) -> Option<Producer> {
    let timeout = process.one_of(&[20_000, 120_000, 3 * R_MS]);
    loop {
        let client = process.connect().await.ok()?;
        let builder = client.producer(TOPIC).name("n");
        let builder = builder.delivery_timeout(Duration::from_millis(timeout as u64));
        let builder = builder.aside_bytes(process.one_of(&[1, 256 << 10]));
        match builder.compaction(process.below(2) == 0).build().await {
            Ok(producer) => return Some(producer),
            Err(error) if passing(process, "taking a name", &error) => process.pause(500).await,
            Err(_) => return None,
        }
    }
}

/// Where this instance goes on; it has fenced all others off then.
async fn first_sequence(
    process: &Process,
    producer: &Producer,
    writer: u32,
    epoch: u32,
) -> Option<u32> {
    loop {
        match producer.last_sequence(0).await {
            Ok(last) => {
                return Some(fenced(process, writer, epoch, last));
            }
            Err(error) if error.kind() == ErrorKind::Fenced => return None,
            Err(error) if passing(process, "asking for the last sequence", &error) => {
                process.pause(500).await;
            }
            Err(_) => return None,
        }
    }
}

/// This instance has fenced all others off, and heard of the last sequence. Gives the next. Where
/// all that a crashed instance wrote may have expired, the last sequence may be forgotten, and none
/// is sent again.
fn fenced(process: &Process, writer: u32, epoch: u32, last: Option<i64>) -> u32 {
    let mut world = process.world();
    let now = world.now;
    let nothing_expires = world.setting.expiry == 0.0;
    world.log(&Event::Note { what: "fenced the others off" });
    world.oracle.fenced(epoch, now);
    if !nothing_expires {
        return world.oracle.fresh_sequence(writer);
    }
    world.oracle.knows_sequence(writer, epoch, last);
    last.map_or(0, |last| last as u32 + 1)
}

/// Sends a record until it is there. Says whether to go on.
async fn send(process: &Process, producer: &Producer, rec: Rec, epoch: u32) -> bool {
    let (writer, seq) = (rec.writer, rec.seq);
    let sent_at = {
        let mut world = process.world();
        let now = world.now;
        world.log(&Event::Send { writer, first: seq, count: 1 });
        world.oracle.sending_again(now, rec);
        now
    };
    loop {
        let result = producer.send(rec.record().sequence(i64::from(seq))).await;
        match outcome(process, rec, epoch, sent_at, &result) {
            Some(go_on) => return go_on,
            None => process.pause(500).await,
        }
    }
}

/// Tells the oracle what became of a record. Says whether to go on with the next; `None`: the same
/// again.
fn outcome(
    process: &Process,
    rec: Rec,
    epoch: u32,
    sent_at: i64,
    result: &Result<Ack>,
) -> Option<bool> {
    let (writer, seq) = (rec.writer, rec.seq);
    let mut world = process.world();
    match result {
        Ok(ack) if ack.duplicate => world.oracle.duplicate(rec),
        Ok(ack) => {
            world.log(&Event::Ack { writer, seq, offset: ack.offset });
            world.oracle.acked_by(epoch, sent_at, rec);
            world.oracle.acked(rec, ack.offset);
        }
        Err(error) => {
            let what = format!("{:?} {:?}: {error}", error.kind(), error.outcome());
            world.log(&Event::Fail { writer, seq, what: &what });
            // Where it may have expired, nobody can say whether it was there.
            let lost = world.setting.expiry > 0.0 && error.outcome() == Outcome::Unknown;
            drop(world);
            let again = !lost && error.kind() != ErrorKind::Fenced;
            let again = again && passing(process, "writing with a sequence", error);
            return if again { None } else { Some(false) };
        }
    }
    Some(true)
}
