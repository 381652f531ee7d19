//! Consumer groups while everything goes wrong: members join, stand still for a while, die and come
//! back, and requests are lost, late and doubled. What must hold:
//!
//! * Of a partition's owners only one at a time commits: after the next claim nothing of an earlier
//!   one is in the offsets, and every commit that was acknowledged is.
//! * A committed offset never goes back by itself.
//! * When all is quiet every partition has one owner, members have as many of each topic as others or
//!   one more, every record was delivered, and all is committed.

use crate::config::{Config, Setting};
use crate::executor::Executor;
use crate::faults::FaultCounts;
use crate::process::{Process, Program};
use crate::report::in_threads;
use crate::world::{EPOCH_MS, Role, State, World};
use kaffic_core::{
    Consumer, ErrorKind, MinExpiry, OffsetCommit, PartitionPosition, RangeAssignor, Record,
    TopicConfig,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The topics and their partitions. All fit the members' pattern; the second comes late, so that for a
/// while some members know of it and others do not.
const TOPICS: [(&str, u32); 2] = [("g", 4), ("g-late", 3)];
/// In which round the second topic comes.
const LATE: i64 = 4;
/// How many records each partition gets.
const RECORDS: i64 = 12;
const SESSION: Duration = Duration::from_secs(12);
const HEARTBEAT: Duration = Duration::from_secs(2);
/// How long there are faults, at most.
const STORMY_MS: i64 = 10 * 60_000;
const MOST_STEPS: u64 = 60_000;
/// How long a group may take to agree when there are no more.
const QUIET_MS: i64 = 10 * 60_000;

/// What a run of a group came to.
#[derive(Debug, Clone, Default)]
pub struct GroupRun {
    /// Runs.
    pub runs: u64,
    /// Runs in which something did not hold.
    pub failed: u64,
    /// Claims of partitions.
    pub claims: u64,
    /// Commits, those of releases among them.
    pub commits: u64,
    /// Commits that met another's claim.
    pub fenced: u64,
    /// Records delivered, each as often as it was.
    pub deliveries: u64,
    /// Changes to the group.
    pub generations: i64,
    /// Faults by kind.
    pub faults: FaultCounts,
    /// The first thing that did not hold.
    pub violation: Option<String>,
}

impl fmt::Display for GroupRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { runs, claims, commits, fenced, deliveries, generations, .. } = self;
        write!(
            f,
            "{runs} schedules of groups, {generations} generations, {claims} claims, {commits} commits, {fenced} fenced, \
             {deliveries} deliveries"
        )
    }
}

/// A partition: of which topic, and which.
type Part = (&'static str, u32);

fn part(topic: &str, partition: u32) -> Part {
    let (name, _) = TOPICS.into_iter().find(|(name, _)| *name == topic).unwrap_or(("?", 0));
    (name, partition)
}

fn parts() -> impl Iterator<Item = Part> {
    TOPICS
        .into_iter()
        .flat_map(|(topic, count)| (0..count).map(move |partition| (topic, partition)))
}

/// What members tell.
#[derive(Debug, Default)]
struct Heard {
    written: u32,
    delivered: BTreeMap<(Part, i64), u64>,
    /// Commits that were acknowledged.
    acked: Vec<(Part, i64)>,
    /// What every member that runs has, by process.
    owned: BTreeMap<u32, BTreeSet<Part>>,
    fenced: u64,
    strange: Option<String>,
}

type Ear = Arc<Mutex<Heard>>;

fn heard(ear: &Ear) -> MutexGuard<'_, Heard> {
    ear.lock().unwrap_or_else(PoisonError::into_inner)
}

impl GroupRun {
    fn merge(&mut self, other: Self) {
        self.runs += other.runs;
        self.failed += other.failed;
        self.claims += other.claims;
        self.commits += other.commits;
        self.fenced += other.fenced;
        self.deliveries += other.deliveries;
        self.generations += other.generations;
        self.faults.merge(&other.faults);
        if self.violation.is_none() {
            self.violation = other.violation;
        }
    }
}

/// Runs seeds in `threads` threads, and sums up. Stops early after the first violation if `stop` says so.
pub fn groups(seeds: &[u64], config: &Config, threads: usize, stop: bool) -> GroupRun {
    let mut sum = GroupRun::default();
    for run in in_threads(seeds, threads, stop, |seed| group(seed, config), |run| run.failed > 0) {
        sum.merge(run);
    }
    sum
}

/// Runs a seed.
pub fn group(seed: u64, config: &Config) -> GroupRun {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let drawn = Setting::draw(config, &mut rng);
    let setting = Setting {
        min_expiry: MinExpiry::Never,
        expiry: 0.0,
        wild_clock: 0.0,
        pause: drawn.pause / 4.0,
        put_fault: drawn.put_fault / 2.0,
        leap: drawn.leap / 20.0,
        pauses: &[500, 5_000, 15_000, 60_000],
        ..drawn
    };
    let members = rng.random_range(2..=4);
    let world = World::with_setting(rng, setting, config);
    let mut executor = Executor::new(world.clone());
    let ear = Ear::default();
    let ran = catch_unwind(AssertUnwindSafe(|| tell(&mut executor, members, &ear)));
    let state = world.lock();
    let mut run = GroupRun { runs: 1, faults: state.counts, ..GroupRun::default() };
    let told = heard(&ear);
    run.fenced = told.fenced;
    run.deliveries = told.delivered.values().sum();
    let judged = judge(&state, &told, &mut run);
    let violation = match (ran, told.strange.clone()) {
        (Err(_), _) => Some("a panic".to_owned()),
        (Ok(_), Some(strange)) => Some(strange),
        (Ok(None), None) => judged.err(),
        (Ok(Some(stuck)), None) => Some(judged.err().unwrap_or(stuck)),
    };
    run.failed = u64::from(violation.is_some());
    run.violation = violation.map(|what| format!("seed {seed}: {what}"));
    run
}

/// The story; says what was not as it should be at its end.
fn tell(executor: &mut Executor, members: u32, ear: &Ear) -> Option<String> {
    let world = executor.world.clone();
    world.lock().launch_in(0, Role::Steady, feeder(ear));
    for number in 0..members {
        let delay = world.lock().one_of(&[0, 100, 5_000, 30_000]);
        world.lock().launch_in(3_000 + delay, Role::Reader, member(number, ear));
    }
    let steps = executor.steps;
    let mut count = 0;
    executor.run_until(EPOCH_MS + STORMY_MS, |_| {
        count += 1;
        steps + count > MOST_STEPS
    });
    let mut state = world.lock();
    state.become_quiet();
    state.start_readers_only();
    let paused: Vec<u32> =
        (0..state.actors.len() as u32).filter(|actor| state.is_paused(*actor)).collect();
    let limit = state.now + QUIET_MS;
    drop(state);
    paused.into_iter().for_each(|actor| executor.resume(actor));
    let ear = Arc::clone(ear);
    if executor.run_until(limit, |state| has_converged(state, &heard(&ear))) {
        return None;
    }
    let told = heard(&ear);
    let missing: Vec<_> = all_records().filter(|at| !told.delivered.contains_key(at)).collect();
    Some(format!(
        "when all was quiet the group did not converge: {:?}; {} written; not delivered: \
         {missing:?}; committed {:?}",
        told.owned,
        told.written,
        committed(&world.lock())
    ))
}

fn all_records() -> impl Iterator<Item = (Part, i64)> {
    parts().flat_map(|part| (0..RECORDS).map(move |offset| (part, offset)))
}

fn has_converged(state: &State, told: &Heard) -> bool {
    let alive = |actor: u32| state.actors[actor as usize].alive;
    let owned: Vec<&BTreeSet<Part>> =
        told.owned.iter().filter(|(actor, _)| alive(**actor)).map(|(_, owned)| owned).collect();
    let all: BTreeSet<Part> = owned.iter().copied().flatten().copied().collect();
    let sizes = || owned.iter().map(|owned| owned.len());
    let members = state.actors.iter().filter(|a| a.alive && a.role == Role::Reader).count();
    members == owned.len()
        && all.len() == parts().count()
        && sizes().sum::<usize>() == all.len()
        && sizes().max().unwrap_or(0) - sizes().min().unwrap_or(0) <= TOPICS.len()
        && i64::from(told.written) == all_records().count() as i64
        && all_records().all(|at| told.delivered.contains_key(&at))
        && parts().all(|part| committed(state).get(&part) == Some(&RECORDS))
}

/// Makes the topics and writes to them, a little at a time.
fn feeder(ear: &Ear) -> Program {
    let ear = Arc::clone(ear);
    Program::new("feeder", move |process: Process| {
        let ear = Arc::clone(&ear);
        async move {
            if let Err(error) = feed(&process, &ear).await {
                heard(&ear).strange.get_or_insert(format!("feeding: {error}"));
            }
        }
    })
}

async fn feed(process: &Process, ear: &Ear) -> kaffic_core::Result<()> {
    let client = process.connect().await?;
    let mut producers = Vec::new();
    for round in 0..RECORDS + LATE {
        for (number, (topic, partitions)) in TOPICS.into_iter().enumerate() {
            let since = round - LATE * number as i64;
            if since == 0 {
                let config = TopicConfig::new().partitions(partitions);
                client.topics().create(topic, config.min_expiry(MinExpiry::Never)).await?;
                // Nothing is sent twice, so offsets are known.
                let patience = Duration::from_secs(1_000_000);
                let producer = client.producer(topic).compaction(false).delivery_timeout(patience);
                producers.push(producer.build().await?);
            }
            for partition in (0..partitions).filter(|_| (0..RECORDS).contains(&since)) {
                producers[number].send(Record::value("record").partition(partition)).await?;
                heard(ear).written += 1;
            }
        }
        process.pause(process.one_of(&[0, 1_000, 20_000])).await;
    }
    Ok(())
}

/// A member that polls, and commits or has that done, until it has enough and leaves or just stops.
fn member(number: u32, ear: &Ear) -> Program {
    let ear = Arc::clone(ear);
    Program::new("member", move |process: Process| {
        let ear = Arc::clone(&ear);
        async move { live(&process, number, &ear).await }
    })
}

async fn live(process: &Process, number: u32, ear: &Ear) {
    loop {
        let mut consumer = match join(process, number).await {
            Ok(consumer) => consumer,
            Err(error) if is_explained(&error) => {
                process.pause(1_000).await;
                continue;
            }
            Err(error) => {
                heard(ear).strange.get_or_insert(format!("joining: {error}"));
                return;
            }
        };
        let mut turns = 20 + process.below(200);
        // In the quiet end it stays.
        let mut fenced = 0;
        while turns > 0 || process.world().quiet {
            turns = turns.saturating_sub(1);
            let error = turn(process, &mut consumer, ear).await.err();
            let was_fenced = error.as_ref().is_some_and(|e| e.kind() == ErrorKind::Fenced);
            fenced = if was_fenced { fenced + 1 } else { 0 };
            if let Some(error) = error {
                match error.kind() {
                    ErrorKind::Fenced if fenced > 100 => {
                        heard(ear).strange.get_or_insert(format!("again and again: {error}"));
                        return;
                    }
                    ErrorKind::Fenced => heard(ear).fenced += 1,
                    _ if is_explained(&error) => {}
                    _ => {
                        heard(ear).strange.get_or_insert(format!("a member: {error}"));
                        return;
                    }
                }
            }
            let has = consumer.positions().iter().map(|at| part(&at.topic, at.partition)).collect();
            heard(ear).owned.insert(process.actor, has);
        }
        heard(ear).owned.remove(&process.actor);
        if process.below(2) == 0 {
            consumer.close().await.ok();
        }
        process.pause(process.one_of(&[0, 1_000, 20_000])).await;
    }
}

fn is_explained(error: &kaffic_core::Error) -> bool {
    // The topic may not be there yet.
    error.is_retriable() || matches!(error.kind(), ErrorKind::TopicNotFound)
}

async fn join(process: &Process, number: u32) -> kaffic_core::Result<Consumer> {
    let client = process.connect().await?;
    let builder = client
        .consumer()
        .group("group")
        .subscribe_pattern("g.*")
        .session_timeout(SESSION)
        .heartbeat_interval(HEARTBEAT)
        .max_poll_interval(Duration::from_secs(30))
        .topics_interval(Duration::from_secs(10 + 10 * u64::from(number)));
    let builder = match number % 2 {
        0 => builder,
        _ => builder.assignor(RangeAssignor),
    };
    let builder = match process.below(2) {
        0 => builder.auto_commit(Some(Duration::from_secs(2))),
        _ => builder,
    };
    // A name of its own is that of one process at a time.
    let builder = match number {
        2 => builder.member_name("static"),
        _ => builder,
    };
    builder.build().await
}

async fn turn(process: &Process, consumer: &mut Consumer, ear: &Ear) -> kaffic_core::Result<()> {
    let max = 1 + process.below(4) as usize;
    let records = consumer.poll(max, Duration::from_millis(700)).await?;
    for record in &records {
        *heard(ear)
            .delivered
            .entry((part(&record.topic, record.partition), record.offset))
            .or_default() += 1;
    }
    if process.below(20) == 0 && !process.world().quiet {
        process.pause(process.one_of(&[100, 3_000, 40_000])).await;
    }
    match process.below(10) {
        0 => {
            consumer.commit().await?;
            let committed = consumer.committed().await?;
            let acked = committed.into_iter().map(|c| (part(&c.topic, c.partition), c.offset));
            heard(ear).acked.extend(acked);
        }
        1 => consumer.commit_async()?,
        2 => {
            let one: Option<PartitionPosition> = consumer.positions().pop();
            if let Some(at) = one {
                let commit = OffsetCommit::new(&*at.topic, at.partition, at.offset);
                consumer.commit_offsets([commit]).await?;
                heard(ear).acked.push((part(&at.topic, at.partition), at.offset));
            }
        }
        _ => {}
    }
    Ok(())
}

/// An entry of a partition's offsets, as far as it is of interest.
#[derive(Debug, Deserialize)]
struct Entry {
    owner: Option<EntryOwner>,
    offset: Option<i64>,
}

#[derive(Debug, Deserialize)]
struct EntryOwner {
    claim: String,
}

/// The entries of a partition's offsets, in order. No block of them ends in a run.
fn entries(state: &State, (topic, partition): Part) -> Vec<Entry> {
    let dir = format!("meta/groups/group/offsets/{topic}/0/{partition:05}/data");
    let mut found = state.disk.list_deep(&dir);
    found.sort_by(|a, b| a.key.cmp(&b.key));
    let parse = |key: &str| {
        let bytes = state.disk.get(key)?.bytes.clone();
        let begin = bytes.windows(10).position(|window| window == b"{\"format\":")?;
        let mut values = serde_json::Deserializer::from_slice(&bytes[begin..]).into_iter::<Entry>();
        values.next()?.ok()
    };
    found.iter().filter_map(|listed| parse(&listed.key)).collect()
}

fn committed(state: &State) -> BTreeMap<Part, i64> {
    let newest = |part| Some((part, entries(state, part).last()?.offset?));
    parts().filter_map(newest).collect()
}

/// Looks at what is in the store.
fn judge(state: &State, told: &Heard, run: &mut GroupRun) -> Result<(), String> {
    let generations = state.disk.list_deep("meta/groups/group/members/data").len();
    run.generations = generations as i64;
    for partition in parts() {
        let mut owner: Option<String> = None;
        let mut before: BTreeSet<String> = BTreeSet::new();
        let mut newest = -1;
        let mut all = BTreeSet::new();
        for entry in entries(state, partition) {
            let claim = entry.owner.map(|owner| owner.claim);
            if let Some(claim) = &claim {
                if before.contains(claim) {
                    return Err(format!("partition {partition:?}: {claim} commits after another"));
                }
                run.claims += u64::from(owner.as_ref() != Some(claim));
                run.commits += u64::from(owner.as_ref() == Some(claim));
            }
            if owner != claim {
                before.extend(owner.take());
            }
            owner = claim;
            let Some(offset) = entry.offset else { continue };
            if offset < newest {
                return Err(format!("partition {partition:?}: committed {newest}, then {offset}"));
            }
            newest = offset;
            all.insert(offset);
        }
        for (_, offset) in told.acked.iter().filter(|(p, _)| *p == partition) {
            if !all.contains(offset) {
                return Err(format!("partition {partition:?}: commit of {offset} is not there"));
            }
        }
        // What is committed was delivered.
        for offset in 0..newest.max(0) {
            if !told.delivered.contains_key(&(partition, offset)) {
                return Err(format!("partition {partition:?}: {offset} is committed unread"));
            }
        }
    }
    Ok(())
}
