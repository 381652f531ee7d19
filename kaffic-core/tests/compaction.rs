//! Compaction: whatever it does and wherever it stops, a reader gets the same records as before.

mod support;

use bytes::{Buf, Bytes};
use futures_util::future::join;
use kaffic_core::{ErrorKind, Kaffic, MinExpiry, Record, ResetPolicy, Start, TopicConfig, Until};
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use support::format::{HEADER_LEN, Header, block_key, parse_batch, slot_key};
use support::lab::{BEGIN_MS, Counts, Fault, HOUR, Lab, Op, SECOND, within};
use support::{numbered, offsets, read_all, read_on, stores, values};

/// Longer than the lease and its margin.
const LEASE_IS_OVER: Duration = Duration::from_secs(14 * 3600);

/// A topic of blocks of seven slots, with batches of one to three records, that was closed.
async fn written(client: &Kaffic, batches: i64) -> i64 {
    client
        .topics()
        .create("t", TopicConfig::new().slots_per_block(7))
        .await
        .expect("a compacted block");
    let producer = client.producer("t").compaction(false).build().await.expect("a compacted block");
    let mut next = 0;
    for batch in 0..batches {
        let numbers = next..next + 1 + batch % 3;
        next = numbers.end;
        let records = numbers.map(|n| {
            Record::value(format!("{n}{}", ".".repeat((n % 50) as usize)))
                .key(n.to_string())
                .timestamp(BEGIN_MS + n * 10)
        });
        producer.append(0, records.collect(), None).await.expect("a compacted block");
    }
    producer.close().await.expect("a compacted block");
    next
}

async fn read_from(client: &Kaffic, start: Start) -> Vec<(i64, i64, Option<Bytes>, Option<Bytes>)> {
    let builder = client.consumer().topic("t").start(start).until(Until::Latest);
    let (records, error) = read_on(&mut builder.build().await.expect("a compacted block")).await;
    assert!(error.is_none(), "{start:?}: {error:?}");
    records.into_iter().map(|r| (r.offset, r.timestamp, r.key, r.value)).collect()
}

fn starts(records: i64) -> Vec<Start> {
    let mut starts = vec![Start::Earliest, Start::Latest];
    for n in 0..=records {
        starts.push(Start::Offset(n));
        starts.push(Start::Last(n as u64));
        starts.extend([-1, 0, 1].map(|ms| Start::Timestamp(BEGIN_MS + n * 10 + ms)));
    }
    starts
}

fn index(lab: &Lab, block: u64) -> Value {
    let bytes = lab.store.object(&block_key("t", block, "index"));
    let line = bytes.iter().position(|byte| *byte == b'\n').expect("a compacted block");
    serde_json::from_slice(&bytes[..line]).expect("a compacted block")
}

/// The keys of the segments that a block's index names.
fn segments(lab: &Lab, block: u64) -> Vec<String> {
    let index = index(lab, block);
    let names = index["segments"].as_array().expect("a compacted block").iter();
    names
        .map(|s| {
            format!("data/t/0/00000/000000000/{}", s["name"].as_str().expect("a compacted block"))
        })
        .collect()
}

fn is_segment(key: &str) -> bool {
    key.starts_with("data/") && key.contains('.')
}

#[tokio::test]
async fn readers_get_the_same_from_every_start_on_every_store() {
    for store in stores() {
        let client = store.connect().await;
        let records = written(&client, 30).await;
        let mut before = Vec::new();
        for start in starts(records) {
            before.push(read_from(&client, start).await);
        }
        let report = client.compact("t", |_| {}).await.unwrap();
        assert_eq!((report.compacted, report.already, report.left), (5, 0, 0), "{report:?}");
        assert_eq!((report.segments, report.removed, report.remaining), (5, 0, 31));
        for (start, before) in starts(records).into_iter().zip(before) {
            assert_eq!(read_from(&client, start).await, before, "{start:?}");
        }
        let checked = client.verify("t", |_| {}).await.unwrap();
        assert_eq!((checked.records, checked.issues, checked.gaps), (records as u64, vec![], 0));
        let again = client.compact("t", |_| {}).await.unwrap();
        assert_eq!((again.compacted, again.already, again.segments), (0, 5, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn readers_get_the_same_from_every_start_when_the_slots_are_gone() {
    for segment_bytes in [1, 400, 64 << 20] {
        let lab = Lab::new();
        let client = lab.client().await;
        let records = written(&client, 30).await;
        let mut before = Vec::new();
        for start in starts(records) {
            before.push(read_from(&client, start).await);
        }
        lab.clock.jump(LEASE_IS_OVER);
        let client = Kaffic::builder()
            .store(Arc::new(lab.store.clone()), "")
            .env(lab.env())
            .segment_bytes(segment_bytes)
            .connect()
            .await
            .unwrap();
        let report = client.compact("t", |_| {}).await.unwrap();
        assert_eq!((report.compacted, report.removed, report.remaining), (5, 31, 0));
        assert!(lab.store.keys("data/").iter().all(|key| is_segment(key)));
        for (start, before) in starts(records).into_iter().zip(before) {
            assert_eq!(read_from(&client, start).await, before, "{start:?} {segment_bytes}");
        }
        let checked = client.verify("t", |_| {}).await.unwrap();
        assert_eq!((checked.records, checked.issues, checked.gaps), (records as u64, vec![], 0));
        // And writing goes on behind it.
        let producer = client.producer("t").build().await.unwrap();
        assert_eq!(producer.send(Record::value("more")).await.unwrap().offset, records);
    }
}

#[tokio::test(start_paused = true)]
async fn an_index_and_its_segments_are_what_the_format_says() {
    let lab = Lab::new();
    let client = lab.client().await;
    written(&client, 10).await;
    let slots: Vec<Bytes> = (0..7).map(|slot| lab.store.object(&slot_key("t", 0, slot))).collect();
    client.compact("t", |_| {}).await.unwrap();

    let bytes = lab.store.object(&block_key("t", 0, "index"));
    let line = bytes.iter().position(|byte| *byte == b'\n').unwrap();
    let (content, mut checksum) = bytes.split_at(bytes.len() - 4);
    assert_eq!(checksum.get_u32(), crc32c::crc32c(content));
    let headers: Vec<u8> = slots.iter().flat_map(|slot| slot[..HEADER_LEN].to_vec()).collect();
    assert_eq!(content[line + 1..], headers);

    let json = |name: &str| -> Value {
        serde_json::from_slice(&lab.store.object(&block_key("t", 0, name))).unwrap()
    };
    let index = index(&lab, 0);
    let mut end = json("end");
    end.as_object_mut().unwrap().remove("checksums");
    assert_eq!((&index["open"], &index["end"]), (&json("open"), &end));
    assert_eq!((&index["format"], &index["opened"]), (&1.into(), &(BEGIN_MS / 1000).into()));

    let segment = &segments(&lab, 0)[0];
    let joined: Vec<u8> = slots.iter().flat_map(|slot| slot[HEADER_LEN..].to_vec()).collect();
    assert_eq!(lab.store.object(segment), joined);
    assert_eq!(index["segments"][0]["bytes"], joined.len());
    assert_eq!(index["segments"][0]["first_slot"], 0);

    // A Kafka log segment: batches one after another, each with its length in bytes 8 to 11.
    let (mut rest, mut offset) = (&joined[..], 0);
    while !rest.is_empty() {
        let len = 12 + (&rest[8..]).get_u32() as usize;
        let (head, records) = parse_batch(&rest[..len]);
        assert_eq!(head.base_offset, offset);
        offset += records.len() as i64;
        rest = &rest[len..];
    }
    assert_eq!(offset, 13);
}

/// A compactor dies at each of its requests, before it is done or after. Another does its work.
#[tokio::test(start_paused = true)]
async fn a_compactor_may_stop_at_any_request() {
    for fault in [Fault::Stall, Fault::StallApplied] {
        for at in 0.. {
            let lab = Lab::seeded(at as u64);
            let client = lab.client().await;
            let records = written(&client, 10).await;
            lab.clock.jump(LEASE_IS_OVER);
            let counter = Arc::new(AtomicUsize::new(0));
            let met = Arc::clone(&counter);
            lab.store.rule(move |_| match met.fetch_add(1, Ordering::Relaxed) {
                n if n == at => fault,
                n if n > at => Fault::Stall,
                _ => Fault::None,
            });
            let died = lab.client().await;
            let done = {
                let work = died.compact("t", |_| {});
                let stop = kaffic_core::env::Env::sleep(&*lab.env(), SECOND);
                futures_util::future::select(Box::pin(work), stop).await
            };
            let done = matches!(done, futures_util::future::Either::Left(_));
            lab.store.no_rule();
            let client = lab.client().await;
            let expected: Vec<i64> = (0..records).collect();
            assert_eq!(offsets(&read_all(&client, "t").await), expected, "{fault:?} at {at}");
            assert_eq!(client.verify("t", |_| {}).await.unwrap().issues, [], "{fault:?} at {at}");

            lab.clock.jump(LEASE_IS_OVER);
            client.compact("t", |_| {}).await.unwrap();
            // What was under way arrives at last.
            lab.store.apply_stalled();
            assert_eq!(offsets(&read_all(&client, "t").await), expected, "{fault:?} at {at}");
            lab.clock.jump(LEASE_IS_OVER);
            client.compact("t", |_| {}).await.unwrap();
            let mut named = [segments(&lab, 0), segments(&lab, 1)].concat();
            named.sort_unstable();
            assert_eq!(lab.store.keys("data/"), named, "{fault:?} at {at}");
            assert_eq!(offsets(&read_all(&client, "t").await), expected, "{fault:?} at {at}");
            if done {
                assert!(at > 30, "{at} requests");
                break;
            }
        }
    }
}

/// Every request of a compactor fails once, in every way: nothing is lost, and it comes to an end.
#[tokio::test(start_paused = true)]
async fn requests_that_fail_lose_nothing() {
    for fault in [Fault::Fail, Fault::LoseResponse, Fault::Exists, Fault::Deny] {
        for at in 0..60 {
            let lab = Lab::seeded(at as u64);
            let client = lab.client().await;
            let records = written(&client, 10).await;
            lab.clock.jump(LEASE_IS_OVER);
            let counter = AtomicUsize::new(0);
            lab.store.rule(move |_| match counter.fetch_add(1, Ordering::Relaxed) {
                n if n == at => fault,
                _ => Fault::None,
            });
            let result = within(client.compact("t", |_| {})).await;
            assert!(result.is_ok() || fault != Fault::Fail, "{fault:?} at {at}: {result:?}");
            lab.store.no_rule();
            let expected: Vec<i64> = (0..records).collect();
            assert_eq!(offsets(&read_all(&client, "t").await), expected, "{fault:?} at {at}");
            assert_eq!(client.verify("t", |_| {}).await.unwrap().issues, [], "{fault:?} at {at}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn of_two_compactors_at_once_one_wins_and_the_other_cleans_up() {
    let mut both = 0;
    for seed in 0..50 {
        let lab = Lab::seeded(seed);
        let client = lab.client().await;
        let records = written(&client, 30).await;
        let (one, two) = (lab.client().await, lab.client().await);
        let (one, two) = join(one.compact("t", |_| {}), two.compact("t", |_| {})).await;
        let (one, two) = (one.unwrap(), two.unwrap());
        assert_eq!(one.compacted + two.compacted, 5, "seed {seed}");
        assert_eq!(one.already + two.already, 5, "seed {seed}");
        both += u32::from(one.compacted > 0 && two.compacted > 0);
        let mut named: Vec<String> = (0..5).flat_map(|block| segments(&lab, block)).collect();
        named.sort_unstable();
        let there: Vec<String> =
            lab.store.keys("data/").into_iter().filter(|key| is_segment(key)).collect();
        assert_eq!(there, named, "seed {seed}");
        assert_eq!(offsets(&read_all(&client, "t").await), (0..records).collect::<Vec<_>>());
    }
    assert!(both > 5, "{both}");
}

#[tokio::test(start_paused = true)]
async fn a_reader_in_the_middle_of_a_block_goes_on_in_its_segments() {
    for (polled, reset) in [(1, ResetPolicy::Error), (8, ResetPolicy::Earliest)] {
        let lab = Lab::new();
        let client = lab.client().await;
        let records = written(&client, 20).await;
        // It fetches one record at a time, so that most of the block is still to come.
        let mut consumer = client
            .consumer()
            .topic("t")
            .until(Until::Latest)
            .fetch_ahead_bytes(1 << 10)
            .reset(reset)
            .build()
            .await
            .unwrap();
        let first = consumer.poll(polled, SECOND).await.unwrap();
        lab.clock.jump(LEASE_IS_OVER);
        let report = lab.client().await.compact("t", |_| {}).await.unwrap();
        assert!(report.removed > 20);
        let (rest, error) = read_on(&mut consumer).await;
        assert!(error.is_none(), "{error:?}");
        let got = [offsets(&first), offsets(&rest)].concat();
        assert_eq!(got, (0..records).collect::<Vec<_>>());
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_swept_before_its_time_or_without_whole_segments() {
    let lab = Lab::new();
    let client = lab.client().await;
    written(&client, 10).await;
    let slots = lab.store.keys("data/");
    let report = client.compact("t", |_| {}).await.unwrap();
    let at = BEGIN_MS + 13 * 3_600_000 + 1000;
    assert_eq!((report.remaining, report.removable_at_ms), (11, Some(at)));
    lab.clock.jump(12 * HOUR);
    // A process whose clock is ahead sweeps no earlier.
    let env = lab.env();
    env.set_offset_ms(7 * 24 * 3_600_000);
    let report = lab.client_in(&env).await.compact("t", |_| {}).await.unwrap();
    assert_eq!((report.removed, report.remaining), (0, 11));
    assert!(slots.iter().all(|slot| lab.store.keys("data/").contains(slot)));

    lab.clock.jump(2 * HOUR);
    let segment = &segments(&lab, 0)[0];
    let bytes = lab.store.object(segment);
    lab.store.replace(segment, bytes.slice(..bytes.len() - 1));
    let report = client.compact("t", |_| {}).await.unwrap();
    assert_eq!((report.removed, report.remaining), (4, 7));
    lab.store.replace(segment, bytes);
    let report = client.compact("t", |_| {}).await.unwrap();
    assert_eq!((report.removed, report.remaining), (7, 0));
}

#[tokio::test(start_paused = true)]
async fn damage_is_an_error_that_names_the_object() {
    let lab = Lab::new();
    let client = lab.client().await;
    let records = written(&client, 20).await;
    lab.clock.jump(LEASE_IS_OVER);
    client.compact("t", |_| {}).await.unwrap();
    let index = block_key("t", 1, "index");
    let segment = segments(&lab, 1)[0].clone();
    for key in [&index, &segment] {
        let whole = lab.store.object(key);
        let mut flipped = whole.to_vec();
        flipped[whole.len() / 2] ^= 1;
        for damaged in [Bytes::from(flipped), whole.slice(..whole.len() / 2), Bytes::new()] {
            lab.store.replace(key, damaged);
            let mut consumer =
                client.consumer().topic("t").until(Until::Latest).build().await.unwrap();
            let (before, error) = read_on(&mut consumer).await;
            let error = error.unwrap();
            assert_eq!(error.kind(), ErrorKind::Corrupt);
            assert!(error.to_string().contains(key), "{error}");
            assert!(before.len() >= 13, "{}", before.len());
            let checked = client.verify("t", |_| {}).await.unwrap();
            assert!(checked.issues.iter().any(|issue| &issue.object == key), "{checked:?}");
            // Another try goes on when it is mended, with nothing lost or twice.
            lab.store.replace(key, whole.clone());
            let (after, error) = read_on(&mut consumer).await;
            assert!(error.is_none(), "{error:?}");
            let got = [offsets(&before), offsets(&after)].concat();
            assert_eq!(got, (0..records).collect::<Vec<_>>());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn verifying_compares_an_index_with_its_block() {
    let lab = Lab::new();
    let client = lab.client().await;
    written(&client, 20).await;
    client.compact("t", |_| {}).await.unwrap();
    let end = block_key("t", 1, "end");
    let text = String::from_utf8(lab.store.object(&end).to_vec()).unwrap();
    let checksum = Header::checksum(&lab.store.object(&slot_key("t", 1, 3)));
    lab.store.replace(&end, text.replace(&checksum.to_string(), "1"));
    lab.store.expire(&segments(&lab, 2)[0]);
    let checked = client.verify("t", |_| {}).await.unwrap();
    let issues: Vec<_> = checked.issues.iter().map(|i| (&*i.object, &*i.problem)).collect();
    assert!(issues.contains(&(&block_key("t", 1, "index"), "contradicts its block's end")));
    assert!(issues.contains(&(&segments(&lab, 2)[0], "is missing")), "{issues:?}");
}

#[tokio::test(start_paused = true)]
async fn an_expired_segment_is_told_by_the_reset_policy() {
    for swept in [false, true] {
        let lab = Lab::new();
        let client = lab.client().await;
        let records = written(&client, 20).await;
        if swept {
            lab.clock.jump(LEASE_IS_OVER);
        }
        client.compact("t", |_| {}).await.unwrap();
        lab.clock.jump(25 * HOUR);
        for block in 0..2 {
            lab.store.expire(&segments(&lab, block)[0]);
        }
        let read = |start, reset| {
            let builder = client.consumer().topic("t").start(start).until(Until::Latest);
            builder.reset(reset).build()
        };
        let first = if swept { 27 } else { 0 };
        let mut consumer = read(Start::Earliest, ResetPolicy::Error).await.unwrap();
        let (got, error) = read_on(&mut consumer).await;
        assert!(error.is_none(), "{error:?}");
        assert_eq!(offsets(&got), (first..records).collect::<Vec<_>>());
        let found = read(Start::Offset(5), ResetPolicy::Error).await;
        match swept {
            true => {
                let error = found.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::OffsetOutOfRange);
                assert_eq!(error.offset_range(), Some((27, records)));
            }
            // What was in the segment is in slots yet.
            false => {
                let (got, error) = read_on(&mut found.unwrap()).await;
                assert!(error.is_none(), "{error:?}");
                assert_eq!(offsets(&got), (5..records).collect::<Vec<_>>());
            }
        }
        let checked = client.verify("t", |_| {}).await.unwrap();
        assert_eq!(checked.issues, []);
    }
}

/// Segments of one block may expire in any order.
#[tokio::test(start_paused = true)]
async fn a_seek_goes_neither_back_nor_too_far_where_one_of_the_segments_has_expired() {
    let lab = Lab::new();
    let store = Arc::new(lab.store.clone());
    let builder = Kaffic::builder().store(store, "").env(lab.env()).segment_bytes(200);
    let client = builder.connect().await.unwrap();
    let records = written(&client, 20).await;
    lab.clock.jump(LEASE_IS_OVER);
    client.compact("t", |_| {}).await.unwrap();
    let block = index(&lab, 1);
    let of_block: Vec<_> = block["segments"].as_array().unwrap().clone();
    assert!(of_block.len() > 2, "{of_block:?}");
    let base = block["open"]["base_offset"].as_i64().unwrap();
    let before = read_from(&client, Start::Earliest).await;
    lab.store.expire(&segments(&lab, 1)[1]);
    let left: Vec<i64> = read_from(&client, Start::Earliest).await.iter().map(|r| r.0).collect();
    let gone: Vec<i64> = before.iter().map(|r| r.0).filter(|n| !left.contains(n)).collect();
    assert!(gone[0] > base && gone.last().unwrap() + 1 < records, "{gone:?}");
    let next = gone.last().unwrap() + 1;
    for n in gone {
        for start in [Start::Offset(n), Start::Timestamp(BEGIN_MS + n * 10)] {
            let got = read_from(&client, start).await;
            assert_eq!(got[0].0, next, "{start:?}");
        }
    }
}

/// The reader is told in the middle, when a segment goes that it was about to read.
#[tokio::test(start_paused = true)]
async fn a_segment_that_goes_under_a_reader_is_a_loss_up_to_the_next_block() {
    let lab = Lab::new();
    let client = lab.client().await;
    let records = written(&client, 20).await;
    lab.clock.jump(LEASE_IS_OVER);
    client.compact("t", |_| {}).await.unwrap();
    let gone = segments(&lab, 1)[0].clone();
    for reset in [ResetPolicy::Earliest, ResetPolicy::Latest, ResetPolicy::Error] {
        let builder = client.consumer().topic("t").until(Until::Latest).reset(reset);
        let mut consumer = builder.build().await.unwrap();
        let whole = lab.store.object(&gone);
        lab.store.expire(&gone);
        let (got, error) = read_on(&mut consumer).await;
        lab.store.replace(&gone, whole);
        let mut expected: Vec<i64> = (0..13).collect();
        match reset {
            ResetPolicy::Earliest => expected.extend(27..records),
            ResetPolicy::Latest => {}
            ResetPolicy::Error => {
                let range = error.as_ref().and_then(|error| error.offset_range());
                assert_eq!(range, Some((27, records)), "{error:?}");
            }
        }
        assert_eq!(offsets(&got), expected, "{reset:?}: {error:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_block_with_slots_missing_stays_as_it_is() {
    let lab = Lab::new();
    let client = lab.client().await;
    written(&client, 20).await;
    lab.store.expire(&slot_key("t", 1, 3));
    let damaged = slot_key("t", 2, 2);
    let mut bytes = lab.store.object(&damaged).to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    lab.store.replace(&damaged, bytes);
    let report = client.compact("t", |_| {}).await.unwrap();
    assert_eq!((report.compacted, report.left, report.segments), (1, 2, 1));
    assert_eq!(lab.store.keys("data/").iter().filter(|key| is_segment(key)).count(), 1);
    assert!(lab.store.keys("meta/logs/").iter().filter(|key| key.ends_with("index")).count() == 1);
}

#[tokio::test(start_paused = true)]
async fn large_batches_stay_where_they_are() {
    let lab = Lab::new();
    let client = lab.client().await;
    client.topics().create("t", TopicConfig::new().slots_per_block(3)).await.unwrap();
    let producer = client.producer("t").compaction(false).build().await.unwrap();
    for _ in 0..4 {
        producer.send(Record::value(vec![7; 300 << 10])).await.unwrap();
    }
    producer.close().await.unwrap();
    lab.clock.jump(LEASE_IS_OVER);
    let report = client.compact("t", |_| {}).await.unwrap();
    assert_eq!((report.compacted, report.segments, report.removed), (2, 0, 0));
    assert_eq!(index(&lab, 0)["segments"], Value::Array(vec![]));
    let mut consumer = client.consumer().topic("t").until(Until::Latest).build().await.unwrap();
    lab.store.take_requests();
    assert_eq!(read_on(&mut consumer).await.0.len(), 4);
    let requests = lab.store.take_requests();
    let of = |name: &str| requests.iter().filter(|r| r.key == block_key("t", 0, name)).count();
    assert_eq!((of("index"), of("open"), of("end")), (1, 0, 0));
    assert_eq!(client.verify("t", |_| {}).await.unwrap().issues, []);
}

#[tokio::test(start_paused = true)]
async fn who_ends_a_block_compacts_it_in_the_background_and_sweeps_earlier_ones() {
    let lab = Lab::new();
    let client = lab.client().await;
    let config = TopicConfig::new().slots_per_block(3).min_expiry(MinExpiry::After(24 * HOUR));
    client.topics().create("t", config).await.unwrap();
    let producer = client.producer("t").build().await.unwrap();
    let indexes =
        || lab.store.keys("meta/logs/").into_iter().filter(|key| key.ends_with("index")).count();
    let mut sent = 0;
    for record in numbered(0..7) {
        producer.send(record).await.unwrap();
        sent += 1;
    }
    idle(60 * SECOND).await;
    assert_eq!(indexes(), 2);
    assert_eq!(lab.store.keys("data/").len(), 7 + 2);
    idle(LEASE_IS_OVER).await;
    for record in numbered(7..14) {
        producer.send(record).await.unwrap();
        sent += 1;
    }
    idle(60 * SECOND).await;
    let left: Vec<_> = lab.store.keys("data/t/0/00000/000000000/000");
    assert!(left.iter().all(|key| is_segment(key)) && left.len() == 1, "{left:?}");
    assert_eq!(read_all(&client, "t").await.len(), sent);
    producer.close().await.unwrap();
    idle(60 * SECOND).await;
    let blocks = lab.store.keys("meta/logs/").iter().filter(|key| key.ends_with("end")).count();
    assert_eq!(indexes(), blocks);

    let other = client.producer("t").compaction(false).build().await.unwrap();
    other.send(Record::value("v")).await.unwrap();
    other.close().await.unwrap();
    idle(60 * SECOND).await;
    assert_eq!(indexes(), blocks);
}

/// A store on which nothing of a compaction works: appends don't notice.
#[tokio::test(start_paused = true)]
async fn compaction_that_fails_disturbs_nobody() {
    let lab = Lab::new();
    let client = lab.client().await;
    client.topics().create("t", TopicConfig::new().slots_per_block(3)).await.unwrap();
    let producer = client.producer("t").build().await.unwrap();
    producer.send(Record::value("first")).await.unwrap();
    lab.store.always(Fault::Stall, |request| {
        is_segment(&request.key) || request.key.ends_with("index") || request.op == Op::List
    });
    for (n, record) in (1..).zip(numbered(1..20)) {
        assert_eq!(within(producer.send(record)).await.unwrap().offset, n);
        idle(7 * SECOND).await;
    }
    within(producer.close()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_hundred_small_blocks_are_two_requests_each_and_few_round_trips() {
    let lab = Lab::new();
    let client = lab.client().await;
    client.topics().create("t", TopicConfig::new().slots_per_block(10)).await.unwrap();
    let producer = client.producer("t").compaction(false).build().await.unwrap();
    for record in numbered(0..1000) {
        producer.send(record).await.unwrap();
    }
    producer.close().await.unwrap();
    lab.clock.jump(LEASE_IS_OVER);
    client.compact("t", |_| {}).await.unwrap();
    let mut consumer = client.consumer().topic("t").until(Until::Latest).build().await.unwrap();
    lab.store.take_requests();
    let latency = Duration::from_millis(100);
    lab.store.always(Fault::Delay(latency), |_| true);
    let before = lab.clock.now_ms();
    let (records, error) = read_on(&mut consumer).await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!(offsets(&records), (0..1000).collect::<Vec<_>>());
    let rounds = (lab.clock.now_ms() - before) / latency.as_millis() as i64;
    assert_eq!(lab.store.take_counts(), Counts { gets: 200, ..Counts::default() });
    assert!(rounds <= 30, "{rounds} round trips");
}

#[tokio::test(start_paused = true)]
async fn deleting_the_topic_removes_segments_too() {
    let lab = Lab::new();
    let client = lab.client().await;
    written(&client, 20).await;
    client.compact("t", |_| {}).await.unwrap();
    let deletion = client.topics().delete("t").await.unwrap();
    assert_eq!((deletion.removed, deletion.remaining > 20), (0, true));
    lab.clock.jump(2 * LEASE_IS_OVER);
    let deletion = client.topics().delete("t").await.unwrap();
    assert!(deletion.removed > 20 && deletion.remaining == 0, "{deletion:?}");
    assert_eq!(lab.store.keys("data/"), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_small_budget_reads_all_that_is_mixed() {
    // Blocks that are compacted, that are not, and batches larger than the budget.
    let lab = Lab::new();
    let client = lab.client().await;
    client.topics().create("t", TopicConfig::new().slots_per_block(4)).await.unwrap();
    let producer = client.producer("t").compaction(false).build().await.unwrap();
    let mut sent = Vec::new();
    for n in 0..41u32 {
        let value = format!("{n}{}", "x".repeat(((n * 7919) % 5000) as usize));
        sent.push(value.clone());
        producer.send(Record::value(value)).await.unwrap();
        if n % 13 == 12 {
            lab.clock.jump(Duration::from_secs(1));
            client.compact("t", |_| {}).await.unwrap();
            lab.store.expire(&block_key("t", u64::from(n / 8), "index"));
        }
    }
    producer.close().await.unwrap();
    for bytes in [1 << 10, 4 << 10, 1 << 20] {
        let builder = client.consumer().topic("t").until(Until::Latest).fetch_ahead_bytes(bytes);
        let (records, error) = read_on(&mut builder.build().await.unwrap()).await;
        assert!(error.is_none(), "{error:?}");
        assert_eq!(values(&records), sent, "{bytes}");
    }
}

/// A reader that has come to the end of a compacted block keeps no room from others.
#[tokio::test(start_paused = true)]
async fn partitions_that_are_read_up_leave_their_room_to_others() {
    let lab = Lab::new();
    let client = lab.client().await;
    let topic = TopicConfig::new().partitions(5).slots_per_block(4);
    client.topics().create("t", topic).await.unwrap();
    let producer = client.producer("t").compaction(false).build().await.unwrap();
    for n in 0..40 {
        producer.send(Record::value("v").partition(n % 5)).await.unwrap();
    }
    producer.close().await.unwrap();
    client.compact("t", |_| {}).await.unwrap();
    for bytes in [1, 1 << 10] {
        let mut consumer =
            client.consumer().topic("t").fetch_ahead_bytes(bytes).build().await.unwrap();
        let mut read = 0;
        while read < 40 {
            let polled = consumer.poll(100, Duration::from_secs(60)).await.unwrap().len();
            assert!(polled > 0, "{read} of 40 records were read, with {bytes} bytes of room");
            read += polled;
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "time that passes while the background works")]
async fn idle(time: Duration) {
    tokio::time::sleep(time).await;
}
