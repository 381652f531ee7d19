//! Many processes on one topic `t`, and the check of what they said against what is there.

use super::{Store, signal, start};
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader, Read as _, Write};
use std::process::{Child, ChildStdin, ExitStatus};
use std::sync::{Condvar, Mutex, mpsc};
use std::time::Duration;

pub(crate) const PRODUCERS: u64 = 4;
pub(crate) const KEYS: u64 = 100;
/// A follower that prints nothing for so long never will.
const SILENCE: Duration = Duration::from_secs(60);

/// A line of a report.
#[derive(Debug, Deserialize)]
pub(crate) struct Reported {
    pub(crate) line: usize,
    pub(crate) partition: u32,
    pub(crate) offset: i64,
}

/// A record as read back.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Read {
    pub(crate) partition: u32,
    pub(crate) offset: i64,
    pub(crate) key: String,
    pub(crate) value: String,
}

/// An acknowledged record.
#[derive(Debug, Clone)]
pub(crate) struct Acked {
    pub(crate) producer: u64,
    pub(crate) seq: u64,
    pub(crate) value: String,
    pub(crate) partition: u32,
    pub(crate) offset: i64,
}

/// A number that grows and can be waited for.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    state: Mutex<(usize, bool)>,
    changed: Condvar,
}

impl Progress {
    pub(crate) fn add(&self, count: usize) {
        self.state.lock().unwrap().0 += count;
        self.changed.notify_all();
    }

    pub(crate) fn get(&self) -> usize {
        self.state.lock().unwrap().0
    }

    /// It will not grow any more.
    pub(crate) fn close(&self) {
        self.state.lock().unwrap().1 = true;
        self.changed.notify_all();
    }

    /// Waits until it is `count` at least; false if it never will be.
    pub(crate) fn reaches(&self, count: usize) -> bool {
        let state = self.state.lock().unwrap();
        let state = self.changed.wait_while(state, |(now, closed)| *now < count && !*closed);
        state.unwrap().0 >= count
    }
}

/// Closes a [`Progress`] also when the test fails, so that nobody waits for it.
pub(crate) struct Closing<'a>(pub(crate) &'a Progress);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// The line of a record: `p<producer>-k<key>|<value>`.
pub(crate) fn line(producer: u64, seq: u64, value: &str) -> String {
    format!("p{producer}-k{}|{value}\n", seq % KEYS)
}

pub(crate) fn producer_process(store: &Store) -> Child {
    start(&mut store.command(&["produce", "t", "--report", "--key-separator", "|"]))
}

/// Reads a report to its end, counting what is `seen`. A line that a kill cut short does not count.
pub(crate) fn read_report(mut report: impl BufRead, seen: &[&Progress]) -> Vec<Reported> {
    let mut found = Vec::new();
    let mut line = String::new();
    loop {
        line.clear();
        report.read_line(&mut line).unwrap();
        if !line.ends_with('\n') {
            return found;
        }
        found.push(serde_json::from_str(&line).unwrap());
        seen.iter().for_each(|seen| seen.add(1));
    }
}

/// Sends all of `lines`, then closes or keeps standard input.
pub(crate) fn feed(mut stdin: ChildStdin, lines: &[String], keep: bool) -> Option<ChildStdin> {
    for some in lines.chunks(1000) {
        if stdin.write_all(some.concat().as_bytes()).is_err() {
            // It was killed.
            return None;
        }
    }
    keep.then_some(stdin)
}

/// Sends `lines` so that no more than `window` are without an acknowledgement: small batches, and
/// many.
fn feed_slowly(mut stdin: ChildStdin, lines: &[String], window: usize, seen: &Progress) {
    let mut sent = 0;
    for some in lines.chunks(window.div_ceil(2)) {
        sent += some.len();
        if !seen.reaches(sent.saturating_sub(window))
            || stdin.write_all(some.concat().as_bytes()).is_err()
        {
            // It has ended, and the report says so.
            return;
        }
    }
}

/// A process that follows the topic; what it prints can be awaited.
pub(crate) struct Follower {
    child: Child,
    printed: mpsc::Receiver<Read>,
}

impl Follower {
    pub(crate) fn start<'scope>(
        store: &Store,
        scope: &'scope std::thread::Scope<'scope, '_>,
    ) -> Self {
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
    pub(crate) fn finish(self, count: usize) -> Vec<Read> {
        let (found, status, errors) = self.finish_or_fail(count);
        assert_eq!(status.code(), Some(130), "after {} of {count} records: {errors}", found.len());
        found
    }

    /// The same where the process may end by itself: with how it ended and its complaint.
    pub(crate) fn finish_or_fail(mut self, count: usize) -> (Vec<Read>, ExitStatus, String) {
        let mut found = Vec::new();
        while found.len() < count {
            match self.printed.recv_timeout(SILENCE) {
                Ok(read) => found.push(read),
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    panic!("the follower is silent after {} of {count} records", found.len())
                }
            }
        }
        if found.len() == count {
            signal(&self.child, "INT");
        }
        found.extend(self.printed.iter());
        let mut errors = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
        (found, self.child.wait().unwrap(), errors)
    }
}

/// A failed test must not wait for it.
impl Drop for Follower {
    fn drop(&mut self) {
        let _ = self.child.kill();
    }
}

pub(crate) fn read_all(store: &Store) -> Vec<Read> {
    let text = store.ok(&["consume", "t", "--format", "json"], b"");
    serde_json::Deserializer::from_slice(&text).into_iter().map(|read| read.unwrap()).collect()
}

pub(crate) fn by_partition(read: &[Read]) -> BTreeMap<u32, Vec<&Read>> {
    let mut partitions: BTreeMap<u32, Vec<&Read>> = BTreeMap::new();
    for record in read {
        partitions.entry(record.partition).or_default().push(record);
    }
    partitions
}

/// What must hold whatever happened to the producers.
pub(crate) fn check(store: &Store, acked: &[Acked], read: &[Read], followed: &[Read]) {
    check_records(acked, read, followed);
    store.ok(&["verify", "t"], b"");
}

/// The part of it that is about what was said and what was read.
pub(crate) fn check_records(acked: &[Acked], read: &[Read], followed: &[Read]) {
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
}

/// Sends `count` records from one process and gives what it acknowledged, which is all. No more than
/// `window` are under way; `total` counts the acknowledged of all producers.
pub(crate) fn produce_all(
    store: &Store,
    producer: u64,
    count: u64,
    window: usize,
    total: &Progress,
) -> Vec<Acked> {
    let value = |seq: u64| format!("p{producer}-{seq}");
    let lines: Vec<String> = (0..count).map(|seq| line(producer, seq, &value(seq))).collect();
    let mut child = producer_process(store);
    let stdin = child.stdin.take().unwrap();
    let report = BufReader::new(child.stdout.take().unwrap());
    let seen = Progress::default();
    let reported = std::thread::scope(|scope| {
        scope.spawn(|| feed_slowly(stdin, &lines, window, &seen));
        let _closing = Closing(&seen);
        read_report(report, &[&seen, total])
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

/// Sends `each` records from each of [`PRODUCERS`] processes at once.
pub(crate) fn produce_from_all(
    store: &Store,
    each: u64,
    window: usize,
    total: &Progress,
) -> Vec<Acked> {
    std::thread::scope(|scope| {
        let start =
            |producer| scope.spawn(move || produce_all(store, producer, each, window, total));
        let producers: Vec<_> = (0..PRODUCERS).map(start).collect();
        producers.into_iter().flat_map(|producer| producer.join().unwrap()).collect()
    })
}

/// What decides over the course of a test, so that it can be had again.
pub(crate) fn seed() -> u64 {
    let seed = match std::env::var("KAFFIC_SEED") {
        Ok(seed) => seed.parse().unwrap(),
        Err(_) => 20_260_131,
    };
    println!("KAFFIC_SEED={seed}");
    seed
}

/// Chance that can be had again.
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    /// A number from 1 to `most`.
    pub(crate) fn up_to(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        1 + (self.0 >> 11) % most.max(1)
    }
}
