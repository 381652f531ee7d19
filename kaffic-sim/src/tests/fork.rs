//! A process that forks with a producer open. The child is the same memory under another process
//! id, so the id changes here while the producer goes on, and what the other half would do to the
//! store is done by hand.

use crate::config::{Config, Setting};
use crate::executor::Executor;
use crate::faults::Latency;
use crate::payload::Rec;
use crate::process::{Process, Program};
use crate::scenario::{TOPIC, create_topic};
use crate::world::{EPOCH_MS, Role, World};
use futures_util::future::join;
use kaffic_core::{Ack, ErrorKind, Outcome, Producer, Result, Start};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeSet;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const SEEDS: u64 = 100;
const CHILD: u32 = 9;

fn setting() -> Setting {
    Setting::calm(Latency { put: (5, 30), other: (1, 15), tail: 0.0 })
}

/// Runs one process in a world of its own; gives the world as it is then.
fn alone<F>(
    seed: u64,
    setting: Setting,
    main: impl Fn(Process) -> F + Send + Sync + 'static,
) -> World
where
    F: Future<Output = ()> + Send + 'static,
{
    let rng = ChaCha8Rng::seed_from_u64(seed);
    let world = World::with_setting(rng, setting, &Config::default());
    let mut executor = Executor::new(world.clone());
    create_topic(&mut executor);
    executor.world.lock().launch_in(0, Role::Writer, Program::new("forking", main));
    let ended = executor.run_until(EPOCH_MS + 3_600_000, |state| !state.any(Role::Writer));
    let violation = world.lock().oracle.violation().cloned();
    assert!(ended && violation.is_none(), "seed {seed}: {violation:?}");
    world
}

async fn producer(process: &Process) -> Producer {
    process.connect().await.unwrap().producer(TOPIC).build().await.unwrap()
}

/// Sends a record and tells the oracle what became of it.
async fn send(process: &Process, producer: &Producer, writer: u32) -> (Rec, Result<Ack>) {
    let rec = {
        let mut world = process.world();
        let now = world.now;
        world.oracle.sending(now, writer, 1, false)[0]
    };
    let result = producer.send(rec.record()).await;
    let mut world = process.world();
    match &result {
        Ok(ack) => world.oracle.acked(rec, ack.offset),
        Err(error) => world.oracle.failed(rec, error.outcome()),
    }
    (rec, result)
}

/// Reads everything there is; the oracle compares it with what was acknowledged.
async fn read_all(process: &Process) -> Vec<Rec> {
    let client = process.connect().await.unwrap();
    let builder = client.consumer().assign(TOPIC, [0]).start(Start::Earliest);
    let mut consumer = builder.build().await.unwrap();
    let number = process.world().oracle.new_reader(0, false);
    let mut found = Vec::new();
    loop {
        let records = consumer.poll(100, Duration::from_secs(2)).await.unwrap();
        if records.is_empty() {
            return found;
        }
        let mut world = process.world();
        for record in &records {
            let (rec, now) = (Rec::read(record).unwrap(), world.now);
            world.oracle.delivered(now, number, rec, record.offset);
            found.push(rec);
        }
    }
}

/// The producer ids in the slots that hold these records.
fn ids(world: &World, wanted: impl Fn(Rec) -> bool) -> BTreeSet<i64> {
    let state = world.lock();
    let slots = state.disk.list_deep("data");
    let objects = slots.iter().filter_map(|slot| state.disk.get(&slot.key));
    let of_wanted =
        objects.filter(|object| crate::payload::find(&object.bytes).into_iter().any(&wanted));
    of_wanted.filter_map(|object| crate::payload::producer_id(&object.bytes)).collect()
}

#[test]
fn a_fork_between_sends_gives_the_child_an_id_of_its_own() {
    for seed in 0..SEEDS {
        let world = alone(seed, setting(), |process| async move {
            let (producer, writer) =
                (producer(&process).await, process.world().oracle.new_writer(0));
            for number in 0..6 {
                if number == 3 {
                    process.set_pid(CHILD);
                }
                send(&process, &producer, writer).await.1.unwrap();
            }
            assert_eq!(read_all(&process).await.len(), 6);
        });
        let (before, after) = (ids(&world, |rec| rec.seq < 3), ids(&world, |rec| rec.seq >= 3));
        assert_eq!((before.len(), after.len()), (1, 1), "seed {seed}");
        assert!(before.is_disjoint(&after), "seed {seed}");
    }
}

/// The process forks at any moment of a send, with answers that get lost.
#[test]
fn a_fork_during_a_put_never_makes_an_acknowledgement_that_is_not_true() {
    let (acked, unknown) = (Arc::new(Mutex::new(0)), Arc::new(Mutex::new(0)));
    for seed in 0..SEEDS * 3 {
        let setting = Setting { put_fault: [0.0, 0.5, 1.0][seed as usize % 3], ..setting() };
        let (acks, unknowns) = (Arc::clone(&acked), Arc::clone(&unknown));
        let world = alone(seed, setting, move |process| {
            let (acked, unknown) = (Arc::clone(&acks), Arc::clone(&unknowns));
            async move {
                let writer = process.world().oracle.new_writer(0);
                process.world().quiet = true;
                let producer = producer(&process).await;
                let (_, first) = send(&process, &producer, writer).await;
                first.unwrap();
                process.world().quiet = false;
                let fork = async {
                    process.pause(i64::from(process.below(120))).await;
                    process.set_pid(CHILD);
                };
                let ((_, result), ()) = join(send(&process, &producer, writer), fork).await;
                match result {
                    Ok(_) => *acked.lock().unwrap() += 1,
                    Err(error) if error.kind() == ErrorKind::Closed => {
                        assert_eq!(error.outcome(), Outcome::Unknown);
                        *unknown.lock().unwrap() += 1;
                    }
                    Err(error) => assert!(error.is_retriable(), "{error}"),
                }
                process.world().quiet = true;
                let (last, result) = send(&process, &producer, writer).await;
                result.unwrap();
                assert_eq!(read_all(&process).await.last(), Some(&last));
            }
        });
        let (before, after) = (ids(&world, |rec| rec.seq == 0), ids(&world, |rec| rec.seq == 2));
        assert!(before.is_disjoint(&after) && after.len() == 1, "seed {seed}");
    }
    let (acked, unknown) = (*acked.lock().unwrap(), *unknown.lock().unwrap());
    assert!(acked > 20 && unknown > 20, "{acked} acknowledged, {unknown} unknown");
}

/// The other half of the fork puts the very bytes that this half is putting, and first.
#[test]
fn what_the_other_half_of_a_fork_put_is_not_taken_for_its_own() {
    for seed in 0..SEEDS {
        let world = alone(seed, setting(), |process| async move {
            let (producer, writer) =
                (producer(&process).await, process.world().oracle.new_writer(0));
            send(&process, &producer, writer).await.1.unwrap();
            let fork = async {
                while !process.world().apply_twin(process.actor) {
                    process.pause(1).await;
                }
                process.set_pid(CHILD);
            };
            let ((_, result), ()) = join(send(&process, &producer, writer), fork).await;
            let error = result.unwrap_err();
            assert_eq!((error.kind(), error.outcome()), (ErrorKind::Closed, Outcome::Unknown));
            let (last, result) = send(&process, &producer, writer).await;
            assert_eq!(result.unwrap().offset, 2);
            assert_eq!(read_all(&process).await.last(), Some(&last));
        });
        assert_eq!(ids(&world, |_| true).len(), 2, "seed {seed}");
    }
}
