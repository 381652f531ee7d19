//! Toy processes directly on the store: it keeps the contract that the library rests on, and the
//! faults do what they are called.

use crate::config::{Config, Setting};
use crate::executor::Executor;
use crate::process::{Process, Program};
use crate::world::{EPOCH_MS, Role, World};
use bytes::Bytes;
use kaffic_core::object_store::path::Path;
use kaffic_core::object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, PutPayload, Result};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::sync::{Arc, Mutex};

const HOUR_MS: i64 = 3_600_000;
const RACERS: u8 = 5;

/// A racer, what its put was told, and what it read then.
type Outcome = (u8, Result<()>, Option<Bytes>);
type Told = Arc<Mutex<Vec<Outcome>>>;

fn world(seed: u64, change: impl FnOnce(&mut Setting)) -> Executor {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut setting = Setting::draw(&Config::default(), &mut rng);
    (setting.pause, setting.put_fault, setting.read_fault) = (0.0, 0.0, 0.0);
    setting.expiry = 0.0;
    change(&mut setting);
    Executor::new(World::with_setting(rng, setting, &Config::default()))
}

async fn create(store: &Arc<dyn ObjectStore>, key: &Path, value: u8) -> Result<()> {
    let payload = PutPayload::from(vec![value]);
    store.put_opts(key, payload, PutMode::Create.into()).await.map(|_| ())
}

async fn read(store: &Arc<dyn ObjectStore>, key: &Path) -> Option<Bytes> {
    for _ in 0..100 {
        match store.get(key).await {
            Ok(found) => return found.bytes().await.ok(),
            Err(Error::NotFound { .. }) => return None,
            Err(_) => {}
        }
    }
    None
}

fn racer(number: u8, told: &Told) -> Program {
    let told = Arc::clone(told);
    Program::new("racer", move |process: Process| {
        let told = Arc::clone(&told);
        async move {
            let (store, key) = (process.store(), Path::from("data/race"));
            let put = create(&store, &key, number).await;
            let found = read(&store, &key).await;
            told.lock().unwrap().push((number, put, found));
        }
    })
}

fn race(mut executor: Executor) -> Vec<Outcome> {
    let told = Told::default();
    for number in 0..RACERS {
        executor.world.lock().launch_in(0, Role::Writer, racer(number, &told));
    }
    executor.run_until(EPOCH_MS + HOUR_MS, |world| !world.any(Role::Writer));
    std::mem::take(&mut *told.lock().unwrap())
}

#[test]
fn of_racing_creators_exactly_one_wins_and_all_read_it() {
    for seed in 0..200 {
        let told = race(world(seed, |_| {}));
        assert_eq!(told.len(), usize::from(RACERS));
        let winners: Vec<u8> =
            told.iter().filter(|(_, put, _)| put.is_ok()).map(|(number, ..)| *number).collect();
        assert_eq!(winners.len(), 1, "seed {seed}: {told:?}");
        for (_, put, found) in &told {
            assert!(matches!(put, Ok(()) | Err(Error::AlreadyExists { .. })), "{put:?}");
            assert_eq!(found.as_deref(), Some(&winners[..]), "seed {seed}");
        }
    }
}

#[test]
fn faults_make_outcomes_unclear_but_never_two_winners() {
    let (mut liars, mut hidden_wins) = (0, 0);
    for seed in 0..400 {
        let told = race(world(seed, |setting| setting.put_fault = 0.7));
        let winners: Vec<u8> =
            told.iter().filter(|(_, put, _)| put.is_ok()).map(|(number, ..)| *number).collect();
        assert!(winners.len() <= 1, "seed {seed}: {told:?}");
        for (number, put, found) in &told {
            let own = found.as_deref() == Some(&[*number]);
            liars += u32::from(own && matches!(put, Err(Error::AlreadyExists { .. })));
            hidden_wins += u32::from(own && matches!(put, Err(Error::Generic { .. })));
        }
        // Somebody told that it won is what everybody reads from then on.
        if let Some(winner) = winners.first() {
            let last = told.last().and_then(|(_, _, found)| found.clone());
            assert_eq!(last.as_deref(), Some(&[*winner][..]), "seed {seed}");
        }
    }
    assert!(liars > 10, "puts that won and were told that they lost: {liars}");
    assert!(hidden_wins > 10, "puts that won and were told of an error: {hidden_wins}");
}

#[test]
fn a_put_can_arrive_long_after_its_client_gave_up() {
    let late = Arc::new(Mutex::new(0));
    for seed in 0..300 {
        let mut executor = world(seed, |setting| setting.put_fault = 1.0);
        let late = Arc::clone(&late);
        let program = Program::new("patient", move |process: Process| {
            let late = Arc::clone(&late);
            async move {
                let (store, key) = (process.store(), Path::from("data/late"));
                let put = create(&store, &key, 1).await;
                let before = read(&store, &key).await;
                process.pause(40 * HOUR_MS).await;
                let after = read(&store, &key).await;
                *late.lock().unwrap() +=
                    u32::from(put.is_err() && before.is_none() && after.is_some());
            }
        });
        executor.world.lock().launch_in(0, Role::Writer, program);
        executor.run_until(EPOCH_MS + 50 * HOUR_MS, |world| !world.any(Role::Writer));
    }
    assert!(*late.lock().unwrap() > 10);
}
