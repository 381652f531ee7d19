//! Many real processes on one topic: nothing acknowledged is lost or doubled, keys stay in order,
//! readers agree, also when writers are killed at any moment.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use serde::Deserialize;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use support::{Store, signal, start};

const PRODUCERS: u64 = 4;
const KEYS: u64 = 100;

/// A line of a report.
#[derive(Debug, Deserialize)]
struct Reported {
    line: usize,
    partition: u32,
    offset: i64,
}

/// A record as read back.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Read {
    partition: u32,
    offset: i64,
    key: String,
    value: String,
}

/// An acknowledged record.
#[derive(Debug)]
struct Acked {
    producer: u64,
    seq: u64,
    value: String,
    partition: u32,
    offset: i64,
}

/// Chance that can be had again.
struct Chance(u64);

impl Chance {
    /// A number from 1 to `most`.
    fn up_to(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        1 + (self.0 >> 11) % most.max(1)
    }
}

/// The line of a record: `p<producer>-k<key>|<value>`.
fn line(producer: u64, seq: u64, value: &str) -> String {
    format!("p{producer}-k{}|{value}\n", seq % KEYS)
}

fn producer_process(store: &Store) -> Child {
    start(&mut store.command(&["produce", "t", "--report", "--key-separator", "|"]))
}

/// Reads a report to its end, counting what it has `seen`. A line that a kill cut short does not
/// count.
fn read_report(mut report: impl BufRead, seen: &AtomicUsize) -> Vec<Reported> {
    let mut found = Vec::new();
    let mut line = String::new();
    loop {
        line.clear();
        report.read_line(&mut line).unwrap();
        if !line.ends_with('\n') {
            return found;
        }
        found.push(serde_json::from_str(&line).unwrap());
        seen.store(found.len(), Ordering::Release);
    }
}

/// Sends all of `lines`, then closes or keeps standard input.
fn feed(mut stdin: ChildStdin, lines: &[String], keep: bool) -> Option<ChildStdin> {
    for some in lines.chunks(1000) {
        if stdin.write_all(some.concat().as_bytes()).is_err() {
            // It was killed.
            return None;
        }
    }
    keep.then_some(stdin)
}

/// A process that follows the topic; what it prints can be awaited.
struct Follower {
    child: Child,
    printed: mpsc::Receiver<Read>,
}

impl Follower {
    fn start<'scope>(store: &Store, scope: &'scope std::thread::Scope<'scope, '_>) -> Self {
        let mut child =
            start(&mut store.command(&["consume", "t", "--follow", "--format", "json"]));
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (sender, printed) = mpsc::channel();
        scope.spawn(move || {
            for line in lines {
                let _ = sender.send(serde_json::from_str(&line.unwrap()).unwrap());
            }
        });
        Self { child, printed }
    }

    /// Waits for `count` records, ends the process, and gives all that it printed.
    fn finish(mut self, count: usize) -> Vec<Read> {
        let mut found: Vec<Read> = self.printed.iter().take(count).collect();
        signal(&self.child, "INT");
        found.extend(self.printed.iter());
        assert_eq!(self.child.wait().unwrap().code(), Some(130));
        found
    }
}

/// A failed test must not wait for it.
impl Drop for Follower {
    fn drop(&mut self) {
        let _ = self.child.kill();
    }
}

fn read_all(store: &Store) -> Vec<Read> {
    let text = store.ok(&["consume", "t", "--format", "json"], b"");
    serde_json::Deserializer::from_slice(&text).into_iter().map(|read| read.unwrap()).collect()
}

fn by_partition(read: &[Read]) -> BTreeMap<u32, Vec<&Read>> {
    let mut partitions: BTreeMap<u32, Vec<&Read>> = BTreeMap::new();
    for record in read {
        partitions.entry(record.partition).or_default().push(record);
    }
    partitions
}

/// What must hold whatever happened to the producers.
fn check(store: &Store, acked: &[Acked], read: &[Read], followed: &[Read]) {
    let partitions = by_partition(read);
    for (partition, records) in &partitions {
        let dense = records.iter().enumerate().all(|(i, record)| record.offset == i as i64);
        assert!(dense, "offsets of partition {partition} are not 0, 1, 2 and so on");
    }
    assert!(partitions == by_partition(followed), "the follower saw something else");

    let mut places = HashMap::new();
    for record in read {
        let place = (record.partition, record.offset);
        if let Some(other) = places.insert(record.value.as_str(), place) {
            panic!("{} is at {other:?} and at {place:?}", record.value);
        }
    }
    for Acked { value, partition, offset, .. } in acked {
        let place = Some((*partition, *offset));
        assert_eq!(places.get(value.as_str()).copied(), place, "{value} was acknowledged");
    }

    let mut last: HashMap<(u64, u64), (u64, u32, i64)> = HashMap::new();
    let mut in_order: Vec<&Acked> = acked.iter().collect();
    in_order.sort_by_key(|acked| (acked.producer, acked.seq));
    for Acked { producer, seq, partition, offset, .. } in in_order {
        let before = last.insert((*producer, seq % KEYS), (*seq, *partition, *offset));
        if let Some((before, at_partition, at_offset)) = before {
            assert_eq!(at_partition, *partition, "a key of producer {producer} moved");
            assert!(at_offset < *offset, "producer {producer}: {seq} came before {before}");
        }
    }
    store.ok(&["verify", "t"], b"");
}

/// Sends `count` records from one process and gives what it acknowledged.
fn produce_all(store: &Store, producer: u64, count: u64) -> Vec<Acked> {
    let value = |seq: u64| format!("p{producer}-{seq}");
    let lines: Vec<String> = (0..count).map(|seq| line(producer, seq, &value(seq))).collect();
    let mut child = producer_process(store);
    let stdin = child.stdin.take().unwrap();
    let report = BufReader::new(child.stdout.take().unwrap());
    let reported = std::thread::scope(|scope| {
        scope.spawn(|| feed(stdin, &lines, false));
        read_report(report, &AtomicUsize::new(0))
    });
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(reported.len() as u64, count);
    reported
        .into_iter()
        .enumerate()
        .map(|(i, Reported { line, partition, offset })| {
            assert_eq!(line, i + 1);
            let seq = i as u64;
            Acked { producer, seq, value: value(seq), partition, offset }
        })
        .collect()
}

#[test]
fn four_producers_and_a_follower() {
    let count = 100_000;
    let store = Store::with_topic("t", 3);
    std::thread::scope(|scope| {
        let follower = Follower::start(&store, scope);
        let producers: Vec<_> = (0..PRODUCERS)
            .map(|producer| {
                scope.spawn({
                    let store = &store;
                    move || produce_all(store, producer, count)
                })
            })
            .collect();
        let acked: Vec<Acked> =
            producers.into_iter().flat_map(|producer| producer.join().unwrap()).collect();
        let read = read_all(&store);
        assert_eq!(read.len() as u64, PRODUCERS * count);
        let followed = follower.finish(read.len());
        check(&store, &acked, &read, &followed);
    });
}

/// When a process is killed: at the latest when all that it was given is acknowledged.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// So many lines of its report were seen.
    Reported(usize),
    /// It was seen to write the file of so many puts, so it is most likely amid the last of them.
    Putting(usize),
    /// It was looked at so many times, from its start on.
    Looks(usize),
}

impl Moment {
    fn by(chance: &mut Chance, lines: usize) -> Self {
        match chance.up_to(4) {
            1 => Self::Reported(chance.up_to(lines as u64 / 2) as usize),
            2 | 3 => Self::Putting(chance.up_to(12) as usize),
            _ => Self::Looks(1 << chance.up_to(10)),
        }
    }

    /// Looks until it has come.
    fn wait(self, store: &Store, pid: u32, seen: &AtomicUsize, lines: usize) {
        let mut puts = HashSet::new();
        let mut looks = 0;
        loop {
            looks += 1;
            puts.extend(being_put(store, pid));
            let seen = seen.load(Ordering::Acquire);
            let come = match self {
                Self::Reported(count) => seen >= count,
                Self::Putting(count) => puts.len() >= count,
                Self::Looks(count) => looks >= count,
            };
            if come || seen == lines {
                return;
            }
            std::thread::yield_now();
        }
    }
}

/// The files that a process writes for its puts, or has left so when it was killed.
fn being_put(store: &Store, pid: u32) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(store.path().join(".staging")) else { return vec![] };
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with(&format!("{pid}-"))).collect()
}

/// A kill that fell.
#[derive(Debug)]
struct Kill {
    moment: Moment,
    /// Lines that the process had reported.
    acked: usize,
    /// Puts that it was amid.
    puts: usize,
}

/// A producer whose process is killed again and again, and started again with what it had not
/// heard of.
struct Stubborn<'a> {
    store: &'a Store,
    producer: u64,
    chance: Chance,
    /// Records to be sent, by sequence number, and the next number.
    left: Vec<u64>,
    next: u64,
    attempt: u64,
    acked: Vec<Acked>,
    kills: Vec<Kill>,
}

impl<'a> Stubborn<'a> {
    fn new(store: &'a Store, producer: u64, seed: u64) -> Self {
        let chance = Chance(seed ^ (producer + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let (left, acked, kills) = (vec![], vec![], vec![]);
        Self { store, producer, chance, left, next: 0, attempt: 0, acked, kills }
    }

    fn run(mut self, kills: usize) -> (Vec<Acked>, Vec<Kill>) {
        for _ in 0..kills {
            // There is always enough to be interrupted in.
            let more = 10_000_u64.saturating_sub(self.left.len() as u64);
            self.left.extend(self.next..self.next + more);
            self.next += more;
            let moment = Moment::by(&mut self.chance, self.left.len());
            self.attempt(Some(moment));
        }
        assert_eq!(self.kills.len(), kills);
        self.attempt(None);
        assert!(self.left.is_empty(), "the last process was not killed");
        (self.acked, self.kills)
    }

    /// One process's life: killed at a moment, or brought to its end.
    fn attempt(&mut self, killed_at: Option<Moment>) {
        let attempt = self.attempt;
        self.attempt += 1;
        let (store, producer) = (self.store, self.producer);
        // Distinct sends are distinct records, and large enough to make many batches.
        let value = |seq: u64| format!("p{producer}-{seq}-a{attempt}-{}", "x".repeat(300));
        let lines: Vec<String> =
            self.left.iter().map(|&seq| line(producer, seq, &value(seq))).collect();
        let mut child = producer_process(store);
        let pid = child.id();
        let stdin = child.stdin.take().unwrap();
        let report = BufReader::new(child.stdout.take().unwrap());
        let seen = AtomicUsize::new(0);
        let reported = std::thread::scope(|scope| {
            let reading = scope.spawn(|| read_report(report, &seen));
            // Standard input stays open, so that a process to be killed is there to be killed.
            let feeding = scope.spawn(|| feed(stdin, &lines, killed_at.is_some()));
            if let Some(moment) = killed_at {
                moment.wait(store, pid, &seen, lines.len());
                child.kill().unwrap();
            }
            let reported = reading.join().unwrap();
            let _stdin = feeding.join().unwrap();
            let output = child.wait_with_output().unwrap();
            let by_itself = output.status.code().is_some();
            assert_eq!(by_itself, killed_at.is_none(), "{killed_at:?}: {output:?}");
            reported
        });
        if let Some(moment) = killed_at {
            let puts = being_put(store, pid).len();
            self.kills.push(Kill { moment, acked: reported.len(), puts });
        }
        for (i, Reported { line, partition, offset }) in reported.iter().enumerate() {
            assert_eq!(*line, i + 1);
            let (seq, partition, offset) = (self.left[i], *partition, *offset);
            self.acked.push(Acked { producer, seq, value: value(seq), partition, offset });
        }
        self.left.drain(..reported.len());
    }
}

#[test]
fn fifty_kills() {
    let seed = match std::env::var("KAFFIC_SEED") {
        Ok(seed) => seed.parse().unwrap(),
        Err(_) => 20_260_131,
    };
    println!("KAFFIC_SEED={seed}");
    let store = Store::with_topic("t", 3);
    std::thread::scope(|scope| {
        let follower = Follower::start(&store, scope);
        let producers: Vec<_> = [13, 13, 12, 12]
            .into_iter()
            .enumerate()
            .map(|(producer, kills)| {
                let stubborn = Stubborn::new(&store, producer as u64, seed);
                scope.spawn(move || stubborn.run(kills))
            })
            .collect();
        let (mut acked, mut kills) = (Vec::new(), Vec::new());
        for producer in producers {
            let (its_acked, its_kills) = producer.join().unwrap();
            acked.extend(its_acked);
            kills.extend(its_kills);
        }
        for Kill { moment, acked, puts } in &kills {
            println!("killed at {moment:?} with {acked} lines acknowledged, amid {puts} puts");
        }
        println!(
            "{} kills, {} before any acknowledgement, {} amid puts",
            kills.len(),
            kills.iter().filter(|kill| kill.acked == 0).count(),
            kills.iter().filter(|kill| kill.puts > 0).count(),
        );
        let read = read_all(&store);
        assert!(read.len() >= acked.len());
        let followed = follower.finish(read.len());
        check(&store, &acked, &read, &followed);
    });
}
