//! Many real processes in one group, of which any may be killed, stopped for longer than its session
//! and continued, or asked to end: nothing is skipped, no committed offset goes back, and in the end
//! every partition has one owner.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use kaffic_core::{ErrorKind, Kaffic};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use support::load::{Chance, seed};
use support::{Store, signal, start};

const MEMBERS: usize = 10;
const PARTITIONS: usize = 30;
const SESSION: Duration = Duration::from_secs(4);
/// How long members come and go; KAFFIC_GROUP_SECONDS sets it.
const STORMY_S: u64 = 20;
/// Records a second.
const RATE: u64 = 200;

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
        let mut command = store.command(&args);
        let mut process = start(command.stderr(Stdio::null()));
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
fn thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    std::thread::spawn(work)
}

#[expect(clippy::disallowed_methods, reason = "it sets a pace")]
fn pause(time: Duration) {
    std::thread::sleep(time);
}

#[expect(clippy::disallowed_methods, reason = "it stops after so much real time")]
fn now() -> Instant {
    Instant::now()
}

/// A process that writes all the time, until it is told to end; then how many records it wrote.
struct Producing {
    end: Arc<AtomicBool>,
    writer: JoinHandle<i64>,
}

impl Producing {
    fn start(store: &Store) -> Self {
        let mut process = start(&mut store.command(&["produce", "t", "--key-separator", ":"]));
        let end = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&end);
        let writer = thread(move || {
            let mut lines = process.stdin.take().unwrap();
            let mut sent = 0;
            while !ended.load(Ordering::Relaxed) {
                for _ in 0..RATE / 20 {
                    writeln!(lines, "key-{sent}:{sent}").unwrap();
                    sent += 1;
                }
                pause(Duration::from_millis(50));
            }
            drop(lines);
            assert!(process.wait().unwrap().success());
            sent
        });
        Self { end, writer }
    }

    fn end(self) -> i64 {
        self.end.store(true, Ordering::Relaxed);
        self.writer.join().unwrap()
    }
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
    fn wait(&mut self, store: &Store, what: &str, done: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        for _ in 0..600 {
            last = self.look(store);
            if done(&last) {
                return last;
            }
        }
        panic!("{what}: {last:#}");
    }
}

/// Waits for the first member: before, there is no group.
fn wait_for_group(store: &Store) {
    while !store.run(&["group", "describe", "g"], b"").status.success() {}
}

fn members(group: &Value) -> usize {
    group["members"].as_array().unwrap().len()
}

/// How many partitions each owner has; `None` while there is one without.
fn owned(group: &Value) -> Option<BTreeMap<&str, usize>> {
    let mut owned = BTreeMap::new();
    for partition in group["partitions"].as_array().unwrap() {
        *owned.entry(partition["owner"].as_str()?).or_default() += 1;
    }
    Some(owned)
}

fn is_even(group: &Value, among: usize) -> bool {
    let partitions = group["partitions"].as_array().unwrap().len();
    let each = partitions / among..=partitions.div_ceil(among);
    members(group) == among
        && owned(group)
            .is_some_and(|owned| owned.len() == among && owned.values().all(|n| each.contains(n)))
}

/// Members that are stopped, and when that was.
type Stopped = Vec<(Instant, Member)>;

/// Something happens to one of the group, or one comes.
fn happen(
    chance: &mut Chance,
    running: &mut Vec<Member>,
    stopped: &mut Stopped,
    new: impl Fn() -> Member,
) {
    let longer_than_a_session = SESSION + SESSION / 2;
    if let Some(n) = stopped.iter().position(|(at, _)| at.elapsed() > longer_than_a_session) {
        let (_, member) = stopped.remove(n);
        signal(&member.process, "CONT");
        running.push(member);
    }
    let which = chance.up_to(running.len() as u64) as usize - 1;
    match chance.up_to(10) {
        1..=2 if running.len() > 3 => running.remove(which).end("KILL"),
        3..=4 if running.len() > 3 => running.remove(which).end("TERM"),
        5..=7 if running.len() > 3 => {
            let member = running.remove(which);
            signal(&member.process, "STOP");
            stopped.push((now(), member));
        }
        _ if running.len() + stopped.len() < MEMBERS => running.push(new()),
        _ => {}
    }
}

#[test]
fn members_come_go_die_and_stand_still_and_nothing_is_skipped() {
    let stormy = std::env::var("KAFFIC_GROUP_SECONDS").map_or(STORMY_S, |s| s.parse().unwrap());
    let mut chance = Chance(seed());
    let store = Store::with_topic("t", PARTITIONS as u32);
    let producing = Producing::start(&store);
    let delivered = Delivered::default();
    let new = || Member::start(&store, &delivered);
    let mut running: Vec<Member> = (0..MEMBERS).map(|_| new()).collect();
    let mut stopped = Stopped::new();
    let mut watcher = Watcher::default();
    wait_for_group(&store);
    let until = now() + Duration::from_secs(stormy);
    let mut events = 0;
    while now() < until {
        happen(&mut chance, &mut running, &mut stopped, new);
        events += 1;
        watcher.look(&store);
        pause(Duration::from_millis(chance.up_to(800)));
    }
    for (_, member) in stopped {
        signal(&member.process, "CONT");
        running.push(member);
    }
    while running.len() < MEMBERS {
        running.push(new());
    }
    let sent = producing.end();
    let done = |group: &Value| {
        let partitions = group["partitions"].as_array().unwrap();
        let end: i64 = partitions.iter().map(|p| p["end"].as_i64().unwrap()).sum();
        // Where nothing is nothing is committed.
        let read = |p: &Value| p["lag"] == 0 || p["end"] == 0;
        is_even(group, MEMBERS) && end == sent && partitions.iter().all(read)
    };
    let group = watcher.wait(&store, "the group is at rest", done);
    println!("{events} events, {sent} records, {} generations", group["generation"]);
    running.into_iter().for_each(|member| member.end("TERM"));
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

/// How often each member has beaten.
fn beats(store: &Store) -> Vec<u64> {
    let files = store.files("meta/groups/g/heartbeats");
    let beat = |path: &_| -> Option<u64> {
        serde_json::from_slice::<Value>(&std::fs::read(path).ok()?).ok()?["beat"].as_u64()
    };
    files.iter().filter_map(beat).collect()
}

/// To each of them the others seem to be silent for longer than a session when it goes on.
#[test]
fn members_that_all_stood_still_do_not_put_each_other_out() {
    let store = Store::with_topic("t", 6);
    let delivered = Delivered::default();
    let all: Vec<Member> = (0..3).map(|_| Member::start(&store, &delivered)).collect();
    let mut watcher = Watcher::default();
    wait_for_group(&store);
    let before = watcher.wait(&store, "all have joined", |group| is_even(group, 3));
    // Each has seen the others.
    while beats(&store).len() < 3 || beats(&store).iter().any(|beat| *beat < 4) {}
    all.iter().for_each(|member| signal(&member.process, "STOP"));
    let stood = beats(&store);
    pause(2 * SESSION);
    assert_eq!(beats(&store), stood);
    all.iter().for_each(|member| signal(&member.process, "CONT"));
    // For longer than a session more.
    let on = |now: &[u64]| now.iter().zip(&stood).all(|(now, stood)| *now >= stood + 5);
    while !on(&beats(&store)) {}
    let after = watcher.look(&store);
    assert_eq!(after["generation"], before["generation"], "{after:#}");
    all.into_iter().for_each(|member| member.end("TERM"));
}

/// A member of its own process, for the next test: it says what its commit comes to.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a process of another test"]
async fn the_zombie() {
    let client = Kaffic::connect(&std::env::var("KAFFIC_STORE").unwrap()).await.unwrap();
    let builder = client.consumer().group("g").subscribe(["t"]).session_timeout(SESSION);
    let builder = builder.heartbeat_interval(Duration::from_secs(1)).auto_commit(None);
    let mut consumer = builder.build().await.unwrap();
    assert!(consumer.next().await.unwrap().is_some());
    println!("has records");
    let line = tokio::task::spawn_blocking(|| std::io::stdin().lines().next());
    line.await.unwrap().unwrap().unwrap();
    let error = consumer.commit().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Fenced, "{error}");
    println!("fenced");
    // It is a member again, and has something to read.
    assert!(consumer.next().await.unwrap().is_some());
    println!("is back");
    consumer.close().await.unwrap();
}

#[test]
fn a_commit_of_one_that_stood_still_is_fenced() {
    let store = Store::with_topic("t", 4);
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "the_zombie", "--nocapture"]);
    let mut zombie = start(command.env("KAFFIC_STORE", store.url()));
    let mut lines = BufReader::new(zombie.stdout.take().unwrap()).lines();
    let mut hear = |what: &str| {
        let mut heard = Vec::new();
        while !heard.last().is_some_and(|line: &String| line.contains(what)) {
            let line = lines.next().and_then(Result::ok);
            heard.push(line.unwrap_or_else(|| panic!("{what} is not in {heard:#?}")));
        }
    };
    let producing = Producing::start(&store);
    hear("has records");
    let delivered = Delivered::default();
    let other = Member::start(&store, &delivered);
    let mut watcher = Watcher::default();
    watcher.wait(&store, "both have joined", |group| is_even(group, 2));
    signal(&zombie, "STOP");
    watcher.wait(&store, "the other has all", |group| {
        is_even(group, 1)
            && group["partitions"].as_array().unwrap().iter().all(|p| p["committed"].is_i64())
    });
    signal(&zombie, "CONT");
    writeln!(zombie.stdin.take().unwrap(), "commit").unwrap();
    hear("fenced");
    hear("is back");
    assert!(zombie.wait().unwrap().success());
    producing.end();
    other.end("TERM");
}
