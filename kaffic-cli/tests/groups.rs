//! Many real processes in one group, of which any may be killed, stopped for longer than its session
//! and continued, or asked to end: nothing is skipped, no committed offset goes back, and in the end
//! every partition has one owner.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::process::Child;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use support::{Store, signal, start};

const MEMBERS: usize = 10;
const PARTITIONS: u64 = 30;
/// Records that are sent in each round.
const RECORDS: u64 = 300;

type Delivered = Arc<Mutex<BTreeSet<(u64, i64)>>>;

/// A consumer's process, and the thread that reads what it prints.
struct Member {
    process: Child,
    reader: JoinHandle<()>,
}

impl Member {
    fn start(store: &Store, delivered: &Delivered) -> Self {
        let args =
            ["consume", "t", "--group", "g", "-f", "--format", "json", "--session-timeout", "4s"];
        let mut process = start(&mut store.command(&args));
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let delivered = Arc::clone(delivered);
        let reader = thread(move || {
            for line in lines.map_while(Result::ok) {
                // A kill may cut the last one short.
                let Ok(record) = serde_json::from_str::<Value>(&line) else { return };
                let at = (record["partition"].as_u64(), record["offset"].as_i64());
                delivered.lock().unwrap().insert((at.0.unwrap(), at.1.unwrap()));
            }
        });
        Self { process, reader }
    }

    fn end(mut self, how: &str) {
        signal(&self.process, how);
        let status = self.process.wait().unwrap();
        if how == "TERM" {
            assert_eq!(status.code(), Some(130));
        }
        self.reader.join().unwrap();
    }
}

#[expect(clippy::disallowed_methods, reason = "a test's own thread, which outlives its function")]
fn thread(work: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    std::thread::spawn(work)
}

/// What is committed, which never goes back.
#[derive(Default)]
struct Watcher(BTreeMap<u64, i64>);

impl Watcher {
    fn look(&mut self, store: &Store) -> Value {
        let group = store.json(&["group", "describe", "g", "--json"]);
        for partition in group["partitions"].as_array().unwrap() {
            let number = partition["partition"].as_u64().unwrap();
            let Some(committed) = partition["committed"].as_i64() else { continue };
            let before = self.0.insert(number, committed).unwrap_or(0);
            assert!(before <= committed, "partition {number}: {before}, then {committed}");
        }
        group
    }

    /// Looks until the group is as it should be.
    fn wait(&mut self, store: &Store, what: &str, done: impl Fn(&Value) -> bool) {
        let mut last = Value::Null;
        for _ in 0..600 {
            last = self.look(store);
            if done(&last) {
                return;
            }
        }
        panic!("{what}: {last:#}");
    }
}

fn members(group: &Value) -> usize {
    group["members"].as_array().unwrap().len()
}

fn is_even(group: &Value) -> bool {
    let mut owned: BTreeMap<&str, usize> = BTreeMap::new();
    for partition in group["partitions"].as_array().unwrap() {
        let Some(owner) = partition["owner"].as_str() else { return false };
        *owned.entry(owner).or_default() += 1;
    }
    let each = PARTITIONS as usize / MEMBERS;
    owned.len() == MEMBERS && owned.values().all(|has| *has == each)
}

#[test]
fn members_are_killed_and_stopped() {
    let rounds: usize =
        std::env::var("KAFFIC_GROUP_ROUNDS").map_or(3, |rounds| rounds.parse().unwrap());
    let store = Store::with_topic("t", PARTITIONS as u32);
    let mut producer = start(&mut store.command(&["produce", "t", "--key-separator", ":"]));
    let mut lines = producer.stdin.take().unwrap();
    let delivered = Delivered::default();
    let mut all: Vec<Member> = (0..MEMBERS).map(|_| Member::start(&store, &delivered)).collect();
    let mut watcher = Watcher::default();
    let mut sent = 0;
    // Before the first has joined there is no group.
    while !store.run(&["group", "describe", "g"], b"").status.success() {}
    for round in 0..rounds {
        for _ in 0..RECORDS {
            writeln!(lines, "key-{sent}:{sent}").unwrap();
            sent += 1;
        }
        watcher.wait(&store, "all have joined", |group| members(group) == MEMBERS);
        // Two die, two stand still, and one is asked to go.
        all.rotate_left(3 * round % MEMBERS);
        for _ in 0..2 {
            all.remove(0).end("KILL");
        }
        let stopped: Vec<Member> = all.drain(..2).collect();
        stopped.iter().for_each(|member| signal(&member.process, "STOP"));
        all.remove(0).end("TERM");
        watcher.wait(&store, "the dead are missed", |group| members(group) == MEMBERS - 5);
        stopped.iter().for_each(|member| signal(&member.process, "CONT"));
        all.extend(stopped);
        all.extend((0..3).map(|_| Member::start(&store, &delivered)));
    }
    drop(lines);
    assert!(producer.wait().unwrap().success());
    let done = |group: &Value| {
        let partitions = group["partitions"].as_array().unwrap();
        let end: i64 = partitions.iter().map(|p| p["end"].as_i64().unwrap()).sum();
        // Where nothing is nothing is committed.
        let read = |p: &Value| p["lag"] == 0 || p["end"] == 0;
        members(group) == MEMBERS && is_even(group) && end == sent && partitions.iter().all(read)
    };
    watcher.wait(&store, "the group is at rest", done);
    all.into_iter().for_each(|member| member.end("TERM"));
    let group = watcher.look(&store);
    assert_eq!(members(&group), 0);
    let delivered = delivered.lock().unwrap();
    for partition in group["partitions"].as_array().unwrap() {
        let number = partition["partition"].as_u64().unwrap();
        for offset in 0..partition["end"].as_i64().unwrap() {
            assert!(delivered.contains(&(number, offset)), "{number}/{offset} was skipped");
        }
    }
}
