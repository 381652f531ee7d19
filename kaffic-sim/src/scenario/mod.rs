//! The story of a run: a topic, writers and readers that know nothing of each other while
//! everything goes wrong, and then a quiet end at which all have to agree.

mod compactor;
mod deletion;
mod named;
mod reader;
mod writer;

use crate::config::{A_MS, R_MS};
use crate::executor::Executor;
use crate::oracle::Invariant;
use crate::payload::Rec;
use crate::process::{Process, Program};
use crate::world::{EPOCH_MS, Role, World};
use kaffic_core::{Error, ErrorKind, TopicConfig};
use std::sync::{Arc, Mutex, PoisonError};

pub(crate) use reader::reader;
pub(crate) use writer::writer;

pub(crate) const TOPIC: &str = "t";

/// A run that takes longer than this, in the world's time, goes on to its quiet end.
const LONGEST_MS: i64 = 6 * 3_600_000;
/// Steps after which a run goes on to its quiet end.
const MOST_STEPS: u64 = 20_000;
/// How long all may take to agree when there are no faults any more.
const QUIET_MS: i64 = 20 * 60_000;

/// Runs a world to its end.
pub(crate) fn run(executor: &mut Executor) {
    let world = executor.world.clone();
    create_topic(executor);
    begin(&world);
    let steps = executor.steps;
    let mut count = 0;
    executor.run_until(EPOCH_MS + LONGEST_MS, |state| {
        count += 1;
        !state.any(Role::Writer) || steps + count > MOST_STEPS
    });
    finish(executor);
}

pub(crate) fn create_topic(executor: &mut Executor) {
    let (setting, limit) = {
        let world = executor.world.lock();
        (world.setting.clone(), world.now + 600_000)
    };
    let done = Arc::new(Mutex::new(false));
    let created = Arc::clone(&done);
    let program = Program::new("topic", move |process: Process| {
        let config =
            TopicConfig::new().min_expiry(setting.min_expiry).slots_per_block(setting.slots);
        let created = Arc::clone(&created);
        async move {
            match make_topic(&process, config).await {
                Ok(()) => *created.lock().unwrap_or_else(PoisonError::into_inner) = true,
                Err(error) => strange(&process, "creating the topic", &error),
            }
        }
    });
    executor.world.lock().launch_in(0, Role::Steady, program);
    executor.run_until(limit, |_| *done.lock().unwrap_or_else(PoisonError::into_inner));
}

async fn make_topic(process: &Process, config: TopicConfig) -> kaffic_core::Result<()> {
    let client = process.connect().await?;
    client.topics().create(TOPIC, config).await?;
    Ok(())
}

/// Lets the writers and readers come, each in its time.
fn begin(world: &World) {
    let mut world = world.lock();
    for _ in 0..world.setting.writers {
        let delays = &[0, 0, 100, 15_000, A_MS, R_MS, 2 * R_MS];
        let few = if world.setting.hurry { 3 } else { delays.len() };
        let delay = world.one_of(&delays[..few]);
        world.launch_in(delay, Role::Writer, writer(0));
    }
    if world.setting.named > 0 {
        let writer = world.oracle.new_name(0);
        for _ in 0..world.setting.named {
            let delays = &[0, 100, 2_000, 15_000, A_MS, R_MS, 2 * R_MS];
            let few = if world.setting.hurry { 3 } else { delays.len() };
            let delay = world.one_of(&delays[..few]);
            world.launch_in(delay, Role::Writer, named::named(writer));
        }
    }
    let second = world.one_of(&[0, A_MS, R_MS, 2 * R_MS]);
    for (delay, tell) in [(0, true), (second, false)] {
        let number = world.oracle.new_reader(0, tell);
        world.launch_in(delay, Role::Reader, reader(number, tell));
    }
    for _ in 0..world.setting.compactors {
        let delay = world.one_of(&[0, 5_000, 20_000, A_MS, R_MS]);
        let delay = if world.setting.hurry { delay / 20 } else { delay };
        world.launch_in(delay, Role::Writer, compactor::compactor());
    }
    if world.setting.deletion {
        let delay = world.one_of(&[1_000, 20_000, A_MS, R_MS, 3 * R_MS]);
        world.launch_in(delay, Role::Writer, deletion::deleter());
    }
}

/// No more faults: what is under way arrives, a last writer and a last reader come, and everybody
/// has to get that writer's record.
fn finish(executor: &mut Executor) {
    let world = executor.world.clone();
    let mut state = world.lock();
    if state.oracle.violation().is_some() {
        return;
    }
    state.become_quiet();
    state.start_readers_only();
    state.trace.remark(format_args!("all is quiet from here on"));
    for actor in 0..state.actors.len() as u32 {
        if state.actors[actor as usize].role == Role::Writer {
            state.end(actor);
        }
    }
    let Some(log) = state.oracle.current_log() else {
        // The topic is gone, or it may be.
        state.oracle.conclude();
        return;
    };
    let paused: Vec<u32> =
        (0..state.actors.len() as u32).filter(|actor| state.is_paused(*actor)).collect();
    let last = Rec { writer: state.oracle.new_writer(log), seq: 0 };
    let number = state.oracle.new_reader(log, true);
    let delay = state.now;
    state.launch_in(0, Role::Steady, writer::last_writer(last));
    state.launch_in(0, Role::Steady, reader(number, true));
    drop(state);
    paused.into_iter().for_each(|actor| executor.resume(actor));
    let limit = delay + QUIET_MS;
    executor.run_until(limit, |state| state.oracle.is_acked(last) && state.oracle.all_have(last));
    let mut state = world.lock();
    if !state.oracle.is_acked(last) {
        state.oracle.violated(Invariant::Progress, "the last writer was not acknowledged");
    }
    state.oracle.conclude();
    if !state.oracle.all_have(last) {
        state.oracle.violated(Invariant::NobodyStuck, "not every reader got the last record");
    }
}

/// Whether a call may be tried again after this error; a strange one is a violation.
fn passing(process: &Process, doing: &str, error: &Error) -> bool {
    if error.is_retriable() {
        return true;
    }
    let world = process.world();
    let explained = match error.kind() {
        ErrorKind::TopicNotFound => world.setting.deletion,
        // The skew of a usual clock and the lag of stamps stay within the bounds.
        ErrorKind::ClockSkew => world.setting.wild_clock > 0.0,
        _ => false,
    };
    drop(world);
    if !explained {
        strange(process, doing, error);
    }
    false
}

pub(crate) fn strange(process: &Process, doing: &str, error: &Error) {
    let what = format!("{doing}: {:?}: {error}", error.kind());
    process.world().oracle.violated(Invariant::NoStrangeError, what);
}
