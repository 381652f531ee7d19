//! Many real processes on one topic: nothing acknowledged is lost or doubled, keys stay in order,
//! readers agree, also when writers are killed at any moment.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::collections::HashSet;
use std::io::BufReader;
use support::Store;
use support::load::{
    Acked, Chance, Follower, PRODUCERS, Progress, Read, Reported, check, check_records, feed, line,
    produce_from_all, producer_process, read_all, read_report, seed,
};

#[test]
fn four_producers_and_a_follower() {
    let count = 100_000;
    let store = Store::with_topic("t", 3);
    std::thread::scope(|scope| {
        let follower = Follower::start(&store, scope);
        let acked = produce_from_all(&store, count, usize::MAX, &Progress::default());
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
    fn wait(self, store: &Store, pid: u32, seen: &Progress, lines: usize) {
        let mut puts = HashSet::new();
        let mut looks = 0;
        loop {
            looks += 1;
            puts.extend(being_put(store, pid));
            let seen = seen.get();
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
        let seen = Progress::default();
        let reported = std::thread::scope(|scope| {
            let reading = scope.spawn(|| read_report(report, &[&seen]));
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
    let seed = seed();
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

/// Four records of two producers, as they are when all is well.
fn sound() -> (Vec<Acked>, Vec<Read>) {
    let places = [(0, 0, 0, 0), (0, 100, 0, 2), (1, 0, 0, 1), (1, 1, 1, 0)];
    let acked: Vec<Acked> = places
        .into_iter()
        .map(|(producer, seq, partition, offset)| Acked {
            producer,
            seq,
            value: format!("p{producer}-{seq}"),
            partition,
            offset,
        })
        .collect();
    let mut read: Vec<Read> = acked
        .iter()
        .map(|Acked { value, partition, offset, .. }| {
            let (partition, offset) = (*partition, *offset);
            Read { partition, offset, key: "k".into(), value: value.clone() }
        })
        .collect();
    read.sort_by_key(|record| (record.partition, record.offset));
    (acked, read)
}

/// A way to spoil what was acknowledged and read (and followed, which is the same), and what is said
/// of it.
type Spoilt = (fn(&mut [Acked], &mut Vec<Read>), &'static str);

#[test]
fn the_check_notices_what_is_lost_doubled_or_out_of_order() {
    let (acked, read) = sound();
    check_records(&acked, &read, &read);
    let lose_the_last: fn(&mut [Acked], &mut Vec<Read>) = |_, read| drop(read.pop());
    let spoilt: [Spoilt; 4] = [
        (lose_the_last, "was acknowledged"),
        (|_, read| drop(read.remove(0)), "are not 0, 1, 2"),
        (
            |_, read| read.push(Read { partition: 1, offset: 1, ..read[0].clone() }),
            "is at (0, 0) and at (1, 1)",
        ),
        (
            |acked, read| {
                (acked[0].offset, acked[1].offset) = (2, 0);
                (read[0].offset, read[2].offset) = (2, 0);
                read.swap(0, 2);
            },
            "100 came before 0",
        ),
    ];
    for (spoil, said) in spoilt {
        let (mut acked, mut read) = sound();
        spoil(&mut acked, &mut read);
        assert_refused(&acked, &read, &read, said);
    }
    let mut followed = read.clone();
    followed.swap(0, 1);
    assert_refused(&acked, &read, &followed, "the follower saw");
    assert_refused(&acked, &read, &read[1..], "the follower saw");
}

fn assert_refused(acked: &[Acked], read: &[Read], followed: &[Read], said: &str) {
    let refused = std::panic::catch_unwind(|| check_records(acked, read, followed));
    let panic = refused.expect_err(said);
    let message = panic.downcast_ref::<String>().map(String::as_str);
    let message = message.or_else(|| panic.downcast_ref::<&str>().copied());
    assert!(message.is_some_and(|text| text.contains(said)), "{said}: {message:?}");
}
