//! Retention as users have it: something that is not kaffic deletes objects that are older than the
//! topic's least age by the storage's own stamps, some and in any order, while programs write and
//! read. The least age is the shortest that there is, a minute, and it is real time: these tests
//! wait for it, on every kind of store at once.
#![expect(clippy::unwrap_used, reason = "helpers fail a test as its own lines do")]

mod support;

use futures_util::future::{join, join_all};
use kaffic_core::env::{Env, SystemEnv};
use kaffic_core::{
    Consumer, ConsumerRecord, Error, ErrorKind, Kaffic, MinExpiry, Outcome, Producer, Record,
    ResetPolicy, Start, TopicConfig, Until,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::format::Header;
use support::lab::{Chance, SECOND};
use support::{TestStore, offsets, read_on, stores};

/// The least age of messages, in seconds: the shortest that a topic can have.
const LEAST_AGE: i64 = 60;
/// How long anything is waited for that must come, in seconds.
const PATIENCE: usize = 240;

fn config(partitions: u32, slots: u32) -> TopicConfig {
    let age = MinExpiry::After(Duration::from_secs(LEAST_AGE as u64));
    TopicConfig::new().partitions(partitions).slots_per_block(slots).min_expiry(age)
}

/// A seed, told so that a failure can be tried again with it.
fn chance() -> Chance {
    let seed = std::env::var("KAFFIC_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| SystemEnv::new().random());
    println!("KAFFIC_TEST_SEED={seed}");
    Chance::new(seed)
}

async fn a_second() {
    SystemEnv::new().sleep(SECOND).await;
}

/// Deletes as a lifecycle rule does, and keeps the offsets that went, by partition.
struct Expiry<'a> {
    store: &'a TestStore,
    chance: &'a Chance,
    gone: BTreeMap<u32, BTreeSet<i64>>,
    objects: usize,
}

impl<'a> Expiry<'a> {
    fn new(store: &'a TestStore, chance: &'a Chance) -> Self {
        Self { store, chance, gone: BTreeMap::new(), objects: 0 }
    }

    /// Looks at every object once, in any order, and deletes those that are old enough and for which
    /// `percent` of a partition says so. Says how many it deleted, and how many are too young.
    async fn pass(&mut self, percent: impl Fn(u32) -> u64) -> (usize, usize) {
        let now = self.store.now().await;
        let mut found = self.store.list("data/t").await;
        for n in (1..found.len()).rev() {
            found.swap(n, self.chance.below(n as u64 + 1) as usize);
        }
        let (mut deleted, mut young) = (0, 0);
        for meta in found {
            // Both are cut to whole seconds.
            if now - meta.last_modified.timestamp() <= LEAST_AGE {
                young += 1;
                continue;
            }
            let key = meta.location.to_string();
            let partition = key.split('/').nth(3).unwrap().parse().unwrap();
            if self.chance.below(100) < percent(partition) {
                let header = Header::parse(&self.store.object(&key).await);
                let last = header.base_offset + i64::from(header.record_count);
                self.gone.entry(partition).or_default().extend(header.base_offset..last);
                self.store.remove(&key).await;
                deleted += 1;
            }
        }
        self.objects += deleted;
        (deleted, young)
    }

    fn is_gone(&self, partition: u32, offset: i64) -> bool {
        self.gone.get(&partition).is_some_and(|gone| gone.contains(&offset))
    }
}

/// What anybody ever learned of a record, by an acknowledgement or by reading it.
#[derive(Default)]
struct Ledger {
    values: BTreeMap<(u32, i64), String>,
    acknowledged: BTreeSet<(u32, i64)>,
    not_written: BTreeSet<String>,
}

impl Ledger {
    fn learn(&mut self, partition: u32, offset: i64, value: &str) {
        let known = self.values.entry((partition, offset)).or_insert_with(|| value.to_owned());
        assert_eq!(known, value, "two records at offset {offset} of partition {partition}");
    }

    fn acknowledge(&mut self, partition: u32, offset: i64, value: &str) {
        self.learn(partition, offset, value);
        let new = self.acknowledged.insert((partition, offset));
        assert!(new, "offset {offset} of partition {partition} was given twice");
    }

    fn read(&mut self, records: &[ConsumerRecord]) {
        for record in records {
            let value = std::str::from_utf8(record.value.as_deref().unwrap()).unwrap();
            self.learn(record.partition, record.offset, value);
        }
    }
}

/// Sends as long as it is told to, a few records a second. Every value is sent once.
async fn write(store: &TestStore, writer: u32, ledger: &Mutex<Ledger>, on: &AtomicBool) {
    let build = async || {
        let linger = Duration::from_millis(200);
        store.connect().await.producer("t").linger(linger).compaction(false).build().await.unwrap()
    };
    let mut producer: Producer = build().await;
    for n in 0.. {
        if !on.load(Ordering::Relaxed) {
            break;
        }
        let value = format!("{writer}-{n}");
        match producer.send(Record::value(value.clone()).partition(n % 2)).await {
            Ok(ack) => ledger.lock().unwrap().acknowledge(ack.partition, ack.offset, &value),
            Err(error) => {
                println!("writer {writer}: {error:?}");
                if error.outcome() == Outcome::NotWritten {
                    ledger.lock().unwrap().not_written.insert(value);
                }
                producer = build().await;
            }
        }
    }
    producer.close().await.unwrap();
}

/// Follows both partitions until it is told that they end, and has read up to there.
async fn follow(mut consumer: Consumer, ledger: &Mutex<Ledger>, on: &AtomicBool) -> Seen {
    let mut seen = Seen::default();
    while on.load(Ordering::Relaxed) {
        let records = consumer.poll(1000, SECOND).await.unwrap();
        ledger.lock().unwrap().read(&records);
        seen.add(&records);
    }
    for _ in 0..PATIENCE {
        if consumer.lag().await.unwrap().iter().all(|partition| partition.offset == 0) {
            return seen;
        }
        let records = consumer.poll(1000, SECOND).await.unwrap();
        ledger.lock().unwrap().read(&records);
        seen.add(&records);
    }
    panic!("it does not come to the end: {:?}", consumer.positions());
}

/// The offsets that a consumer was given, in order.
#[derive(Default)]
struct Seen(BTreeMap<u32, Vec<i64>>);

impl Seen {
    fn add(&mut self, records: &[ConsumerRecord]) {
        for record in records {
            let seen = self.0.entry(record.partition).or_default();
            assert!(seen.last().is_none_or(|last| *last < record.offset), "out of order");
            seen.push(record.offset);
        }
    }

    fn has(&self, partition: u32, offset: i64) -> bool {
        self.0.get(&partition).is_some_and(|seen| seen.binary_search(&offset).is_ok())
    }
}

/// Reads from anywhere, again and again, while things are written and deleted.
async fn read_about(store: &TestStore, chance: &Chance, ledger: &Mutex<Ledger>, on: &AtomicBool) {
    let client = store.connect().await;
    while on.load(Ordering::Relaxed) {
        let tail = client.offsets("t").latest(0).await.unwrap();
        let start = Start::Offset(chance.below(tail as u64 + 1) as i64);
        let consumer = client.consumer().assign("t", [0]).start(start).until(Until::Latest);
        let mut consumer = consumer.max_records(100).build().await.unwrap();
        let (records, error) = read_on(&mut consumer).await;
        assert!(error.is_none(), "{start:?}: {error:?}");
        Seen::default().add(&records);
        ledger.lock().unwrap().read(&records);
        a_second().await;
    }
}

/// A consumer of one partition that has read its first record and then does something else.
async fn left_behind(client: &Kaffic, partition: u32, policy: ResetPolicy) -> Consumer {
    let builder = client.consumer().assign("t", [partition]).reset(policy);
    let mut consumer = builder.fetch_ahead_bytes(1).build().await.unwrap();
    let first = consumer.poll(1, Duration::from_secs(PATIENCE as u64)).await.unwrap();
    assert_eq!(first.len(), 1);
    // It stands before the second, and nothing that was fetched already hides what is gone.
    consumer.pause("t", partition).unwrap();
    consumer.seek("t", partition, Start::Offset(first[0].offset + 1)).await.unwrap();
    consumer
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes some 80 s of waiting: scripts/servers/suite runs it"]
async fn a_log_that_expires_at_random_while_it_is_used() {
    join_all(stores().iter().map(expire_while_used)).await;
}

async fn expire_while_used(store: &TestStore) {
    let chance = chance();
    let client = store.connect().await;
    client.topics().create("t", config(2, 50)).await.unwrap();
    let (ledger, on, following) = (Mutex::default(), AtomicBool::new(true), AtomicBool::new(true));
    let follower = client.consumer().topic("t").build().await.unwrap();
    let mut expiry = Expiry::new(store, &chance);

    let work = async {
        let mut passes = 0;
        let mut laggard = None;
        for _ in 0..PATIENCE {
            if laggard.is_none() && client.offsets("t").latest(1).await.unwrap() > 0 {
                laggard = Some(left_behind(&client, 1, ResetPolicy::Error).await);
            }
            let (deleted, _) = expiry.pass(|_| 30).await;
            passes += usize::from(deleted > 0);
            if passes == 12 {
                on.store(false, Ordering::Relaxed);
                return laggard.unwrap();
            }
            a_second().await;
        }
        panic!("nothing expires");
    };
    let writers = async {
        join_all((0..3).map(|writer| write(store, writer, &ledger, &on))).await;
        following.store(false, Ordering::Relaxed);
    };
    let reading =
        join(follow(follower, &ledger, &following), read_about(store, &chance, &ledger, &on));
    let ((mut laggard, ()), (followed, ())) = join(join(work, writers), reading).await;

    // Nobody writes or deletes any more.
    let ledger = ledger.into_inner().unwrap();
    let gone: usize = expiry.gone.values().map(BTreeSet::len).sum();
    println!(
        "{}: {} acknowledged, {} not written, {} objects with {gone} records deleted",
        store.name(),
        ledger.acknowledged.len(),
        ledger.not_written.len(),
        expiry.objects
    );
    for value in ledger.values.values() {
        assert!(!ledger.not_written.contains(value), "{value} was said not to be written");
    }
    let client = store.connect().await;
    let mut tails = Vec::new();
    for partition in [0, 1] {
        let acknowledged: Vec<i64> =
            ledger.acknowledged.iter().filter(|(p, _)| *p == partition).map(|(_, o)| *o).collect();
        let remaining: Vec<i64> =
            acknowledged.iter().copied().filter(|o| !expiry.is_gone(partition, *o)).collect();
        assert!(remaining.len() < acknowledged.len(), "nothing was deleted of {partition}");
        // Who follows sees a record before it can expire; who comes later sees all that remain.
        for offset in &acknowledged {
            assert!(followed.has(partition, *offset), "{offset} of {partition} was not followed");
        }
        let records = read_from(&client, partition, Start::Earliest).await;
        let known = |record: &ConsumerRecord| {
            let value = ledger.values.get(&(partition, record.offset));
            value.is_some_and(|value| Some(value.as_bytes()) == record.value.as_deref())
        };
        // Records that are read and were not acknowledged are of writers that got no clear answer.
        assert!(records.iter().all(known), "a record that nobody knows");
        let read: BTreeSet<i64> = offsets(&records).into_iter().collect();
        for offset in &remaining {
            assert!(read.contains(offset), "{offset} of {partition} is neither gone nor read");
        }
        for offset in &read {
            assert!(!expiry.is_gone(partition, *offset), "{offset} of {partition} is gone");
        }
        let tail = client.offsets("t").latest(partition).await.unwrap();
        assert!(tail > *acknowledged.last().unwrap());
        let earliest = client.offsets("t").earliest(partition).await.unwrap();
        assert_eq!(Some(&earliest), read.first());
        let lost: Vec<i64> = expiry.gone[&partition].iter().copied().collect();
        for _ in 0..10 {
            let offset = lost[chance.below(lost.len() as u64) as usize];
            let next = read.range(offset..).next().copied().unwrap_or(tail);
            assert_policies(&client, partition, offset, (next, tail)).await;
        }
        tails.push((tail, read));
    }
    // What the laggard stood before may be there still; then it goes on to where something is gone.
    laggard.resume("t", 1).unwrap();
    let error = loop {
        match laggard.poll(1000, SECOND).await {
            Ok(records) => assert!(!records.is_empty(), "nobody tells it that something is gone"),
            Err(error) => break error,
        }
    };
    let (tail, read) = &tails[1];
    let next = read.range(laggard.positions()[0].offset..).next().copied().unwrap_or(*tail);
    assert_out_of_range(&error, (next, *tail));

    let producer = client.producer("t").compaction(false).build().await.unwrap();
    for partition in [0, 1] {
        let ack = producer.send(Record::value("new").partition(partition)).await.unwrap();
        assert_eq!(ack.offset, tails[partition as usize].0);
    }
    producer.close().await.unwrap();
    assert_eq!(client.verify("t", |_| {}).await.unwrap().issues, []);
}

/// Everything from a start to the present end; gaps are passed over.
async fn read_from(client: &Kaffic, partition: u32, start: Start) -> Vec<ConsumerRecord> {
    let consumer = client.consumer().assign("t", [partition]).start(start);
    let mut consumer = consumer.until(Until::Latest).build().await.unwrap();
    let (records, error) = read_on(&mut consumer).await;
    assert!(error.is_none(), "{start:?}: {error:?}");
    Seen::default().add(&records);
    records
}

fn assert_out_of_range(error: &Error, range: (i64, i64)) {
    assert_eq!(error.kind(), ErrorKind::OffsetOutOfRange, "{error}");
    assert_eq!(error.offset_range(), Some(range), "{error}");
}

/// Where a consumer begins that starts at an offset that is gone.
async fn assert_policies(client: &Kaffic, partition: u32, gone: i64, remaining: (i64, i64)) {
    let at = async |policy| {
        let builder = client.consumer().assign("t", [partition]).start(Start::Offset(gone));
        builder.reset(policy).build().await.map(|consumer| consumer.positions()[0].offset)
    };
    assert_eq!(at(ResetPolicy::Earliest).await.unwrap(), remaining.0, "from {gone}");
    assert_eq!(at(ResetPolicy::Latest).await.unwrap(), remaining.1, "from {gone}");
    assert_out_of_range(&at(ResetPolicy::Error).await.unwrap_err(), remaining);
}

/// Partition 0 was closed by its writer and 1 was not, and all of both expires; so with 2 and 3, of
/// which some remains.
const PARTITIONS: u32 = 4;
const RECORDS: i64 = 23;

fn was_closed(partition: u32) -> bool {
    partition.is_multiple_of(2)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes some 100 s of waiting: scripts/servers/suite runs it"]
async fn a_log_that_expired_while_nobody_wrote_goes_on() {
    join_all(stores().into_iter().map(|store| expire_and_go_on(Arc::new(store)))).await;
}

async fn expire_and_go_on(store: Arc<TestStore>) {
    let chance = chance();
    let client = store.connect().await;
    client.topics().create("t", config(PARTITIONS, 5)).await.unwrap();
    for partition in 0..PARTITIONS {
        write_and_leave(&store, partition).await;
    }
    let mut behind = Vec::new();
    for partition in 0..PARTITIONS {
        for policy in [ResetPolicy::Earliest, ResetPolicy::Latest, ResetPolicy::Error] {
            behind.push((partition, policy, left_behind(&client, partition, policy).await));
        }
    }

    let mut expiry = Expiry::new(&store, &chance);
    let mut patience = 0..PATIENCE;
    while expiry.pass(|_| 0).await.1 > 0 {
        assert!(patience.next().is_some(), "it does not become old");
        a_second().await;
    }
    expiry.pass(|partition| if partition < 2 { 100 } else { 50 }).await;
    let remaining = |partition, from: i64| -> Vec<i64> {
        (from..RECORDS).filter(|offset| !expiry.is_gone(partition, *offset)).collect()
    };

    let mut tails = Vec::new();
    for partition in 0..PARTITIONS {
        let records = read_from(&client, partition, Start::Earliest).await;
        assert_eq!(offsets(&records), remaining(partition, 0), "{partition}");
        let tail = client.offsets("t").latest(partition).await.unwrap();
        if was_closed(partition) {
            assert_eq!(tail, RECORDS);
            for gone in expiry.gone.get(&partition).into_iter().flatten() {
                let next = remaining(partition, *gone).first().copied().unwrap_or(tail);
                assert_policies(&client, partition, *gone, (next, tail)).await;
            }
        }
        tails.push(tail);
    }
    for (partition, policy, consumer) in &mut behind {
        consumer.resume("t", *partition).unwrap();
        if *policy == ResetPolicy::Error {
            assert_told(
                consumer,
                *partition,
                &remaining(*partition, 1),
                tails[*partition as usize],
            )
            .await;
        }
    }

    // Who writes next goes on behind everything that there ever was, and who reads goes on to that.
    let producer = store.connect().await.producer("t").compaction(false).build().await.unwrap();
    let first = async |partition| {
        let ack = producer.send(Record::value("new").partition(partition)).await.unwrap();
        assert!(ack.offset >= RECORDS, "offset {} of {partition} is given again", ack.offset);
        assert!(!was_closed(partition) || ack.offset == RECORDS);
        ack.offset
    };
    let first = join_all((0..PARTITIONS).map(first)).await;
    for (partition, policy, consumer) in &mut behind {
        let (partition, old) = (*partition, remaining(*partition, 1));
        // To one that wants the latest, all behind the first gap is past.
        let run = (1..).zip(&old).take_while(|(n, offset)| n == *offset).count();
        let expected = match policy {
            ResetPolicy::Earliest => old,
            ResetPolicy::Latest => old[..run].to_vec(),
            ResetPolicy::Error => continue,
        };
        let new = first[partition as usize];
        let seen = read_to_new(consumer, &producer, partition).await;
        let (before, after): (Vec<i64>, Vec<i64>) = seen.iter().partition(|o| **o < RECORDS);
        assert_eq!(before, expected, "{policy:?} of {partition}");
        assert!(after[0] >= new, "{policy:?} of {partition}: {seen:?}");
        assert!(*policy != ResetPolicy::Earliest || after[0] == new, "{partition}: {seen:?}");
    }
    producer.close().await.unwrap();
    for partition in 0..PARTITIONS {
        let records = read_from(&client, partition, Start::Offset(0)).await;
        let (old, new): (Vec<i64>, Vec<i64>) =
            offsets(&records).into_iter().partition(|offset| *offset < RECORDS);
        assert_eq!(old, remaining(partition, 0), "{partition}");
        assert_eq!(new[0], first[partition as usize], "{partition}");
    }
    assert_eq!(client.verify("t", |_| {}).await.unwrap().issues, []);
}

/// Writes to a partition, an object a record, with the offset for the value. Where the writer does
/// not close it, the writer is gone with its runtime, as if it had been killed.
async fn write_and_leave(store: &Arc<TestStore>, partition: u32) {
    let store = Arc::clone(store);
    let written = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let producer =
                store.connect().await.producer("t").compaction(false).build().await.unwrap();
            for n in 0..RECORDS {
                let record = Record::value(n.to_string()).partition(partition);
                assert_eq!(producer.send(record).await.unwrap().offset, n);
            }
            match was_closed(partition) {
                true => producer.close().await.unwrap(),
                // It must not notice that it is let go of.
                false => std::mem::forget(producer),
            }
        });
        runtime.shutdown_background();
    });
    written.await.unwrap();
}

/// Reads what is there up to the first gap, of which it has to be told with what remains behind it.
async fn assert_told(consumer: &mut Consumer, partition: u32, remaining: &[i64], tail: i64) {
    let mut at = 1;
    let error = loop {
        match consumer.poll(1, Duration::from_secs(PATIENCE as u64)).await {
            Ok(records) => {
                assert_eq!(offsets(&records), [at], "{partition}");
                at += 1;
            }
            Err(error) => break error,
        }
    };
    assert_eq!(consumer.positions()[0].offset, at);
    assert!(!remaining.contains(&at), "{partition}: {at} is there");
    let next = remaining.iter().copied().find(|offset| *offset >= at).unwrap_or(tail);
    if was_closed(partition) {
        assert_out_of_range(&error, (next, tail));
    } else {
        assert_eq!(error.kind(), ErrorKind::OffsetOutOfRange, "{error}");
        assert_eq!(error.offset_range().map(|range| range.0), Some(next), "{partition}: {error}");
    }
}

/// Reads on until a record comes that is new, while more of them are written.
async fn read_to_new(consumer: &mut Consumer, producer: &Producer, partition: u32) -> Vec<i64> {
    let mut seen = Vec::new();
    for _ in 0..PATIENCE {
        seen.extend(offsets(&consumer.poll(1, SECOND).await.unwrap()));
        if seen.last().is_some_and(|last| *last >= RECORDS) {
            return seen;
        }
        producer.send(Record::value("more").partition(partition)).await.unwrap();
    }
    panic!("nothing new comes to partition {partition}, only {seen:?}");
}
