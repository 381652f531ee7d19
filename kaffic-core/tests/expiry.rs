//! Messages that a lifecycle rule has deleted behind the library's back: what remains is read, what
//! is gone is said as the policy wants it, and no offset is ever used again.
#![expect(clippy::unwrap_used, reason = "helpers fail a test as its own lines do")]

mod support;

use kaffic_core::{ErrorKind, Kaffic, Outcome, Record, ResetPolicy, Start, TopicConfig, Until};
use support::format::{block_dir, block_key, slot_key};
use support::lab::{Fault, HOUR, Lab, Request, SECOND, within};
use support::{numbered, offsets, read_all, read_on, values};

/// One record a slot, five slots a block: 0 to 4, 5 to 9 and so on.
const SLOTS: u32 = 5;

/// A log of so many records. Closed: every block has an end. Not closed: its writer has crashed.
async fn log_of(records: i64, closed: bool) -> (Lab, Kaffic) {
    let lab = Lab::new();
    let client = lab.client().await;
    client.topics().create("t", TopicConfig::new().slots_per_block(SLOTS)).await.unwrap();
    let producer = client.producer("t").build().await.unwrap();
    for (n, record) in numbered(0..records).into_iter().enumerate() {
        producer.send(record.timestamp(1000 * n as i64)).await.unwrap();
    }
    if closed {
        producer.close().await.unwrap();
    } else {
        lab.store.always(Fault::Deny, |_| true);
        drop(producer);
        within(settle()).await;
        lab.store.no_rule();
    }
    // What is deleted from now on is older than a day.
    lab.clock.jump(25 * HOUR);
    (lab, client)
}

/// Lets tasks that were let go of come to their end.
async fn settle() {
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
}

fn expire_slots(lab: &Lab, block: u64, slots: impl IntoIterator<Item = u32>) {
    for slot in slots {
        assert_eq!(lab.store.expire(&slot_key("t", block, slot)), 1);
    }
}

fn expire_block(lab: &Lab, block: u64) {
    assert!(lab.store.expire(&format!("{}/", block_dir("t", block))) > 0);
}

async fn read_from(client: &Kaffic, start: Start) -> Vec<i64> {
    let builder = client.consumer().topic("t").start(start).until(Until::Latest);
    let mut consumer = builder.build().await.unwrap();
    let (records, error) = read_on(&mut consumer).await;
    assert!(error.is_none(), "{start:?}: {error:?}");
    for record in &records {
        assert_eq!(record.value.as_deref(), Some(record.offset.to_string().as_bytes()));
    }
    offsets(&records)
}

#[tokio::test(start_paused = true)]
async fn every_start_finds_what_remains() {
    for closed in [false, true] {
        let (lab, client) = log_of(23, closed).await;
        // A whole block, the beginning of the next, and a hole.
        expire_block(&lab, 0);
        expire_slots(&lab, 1, [0, 1]);
        expire_slots(&lab, 2, [1, 2]);
        let remaining: Vec<i64> = [7, 8, 9, 10, 13].into_iter().chain(14..23).collect();
        let from = |offset: i64| -> Vec<i64> {
            remaining.iter().copied().filter(|there| *there >= offset).collect()
        };
        assert_eq!(client.offsets("t").earliest(0).await.unwrap(), 7);
        assert_eq!(client.offsets("t").latest(0).await.unwrap(), 23);
        assert_eq!(read_from(&client, Start::Earliest).await, remaining);
        assert!(read_from(&client, Start::Latest).await.is_empty());
        for offset in 0..=23 {
            assert_eq!(read_from(&client, Start::Offset(offset)).await, from(offset), "{offset}");
            let last = Start::Last((23 - offset) as u64);
            assert_eq!(read_from(&client, last).await, from(offset), "{last:?}");
            for early in [0, 1, 999] {
                let ms = 1000 * offset - early;
                assert_eq!(read_from(&client, Start::Timestamp(ms)).await, from(offset), "{ms}");
                let at = client.offsets("t").at(0, ms).await.unwrap();
                assert_eq!(at, from(offset).first().copied().unwrap_or(23), "{ms}");
            }
        }
        let report = client.verify("t", |_| {}).await.unwrap();
        assert_eq!((report.issues.as_slice(), report.records), (&[][..], remaining.len() as u64));
        assert_eq!(report.gaps, 9);
    }
}

#[tokio::test(start_paused = true)]
async fn the_policy_says_what_a_start_at_an_expired_offset_does() {
    for closed in [false, true] {
        let (lab, client) = log_of(23, closed).await;
        expire_block(&lab, 0);
        expire_slots(&lab, 2, [1, 2]);
        for (wanted, next) in [(0, 5), (4, 5), (11, 13), (12, 13)] {
            let builder = || client.consumer().topic("t").start(Start::Offset(wanted));
            let at =
                async |policy| builder().reset(policy).build().await.unwrap().positions()[0].offset;
            assert_eq!(at(ResetPolicy::Earliest).await, next);
            assert_eq!(at(ResetPolicy::Latest).await, 23);
            let error = builder().reset(ResetPolicy::Error).build().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::OffsetOutOfRange);
            assert_eq!((error.offset_range(), error.tail()), (Some((next, 23)), Some(23)));
            assert!(error.to_string().contains(&format!("offset {wanted}")), "{error}");
            // The same by a seek, and the error says where one can go.
            let mut consumer = client
                .consumer()
                .topic("t")
                .start(Start::Latest)
                .reset(ResetPolicy::Error)
                .until(Until::Latest)
                .build()
                .await
                .unwrap();
            let error = consumer.seek("t", 0, Start::Offset(wanted)).await.unwrap_err();
            let (first, _) = error.offset_range().unwrap();
            consumer.seek("t", 0, Start::Offset(first)).await.unwrap();
            assert_eq!(within(consumer.next()).await.unwrap().unwrap().offset, next);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_is_overtaken_goes_by_its_policy() {
    for (closed, policy) in [false, true].into_iter().flat_map(|closed| {
        [ResetPolicy::Earliest, ResetPolicy::Latest, ResetPolicy::Error].map(|p| (closed, p))
    }) {
        // It stands in the middle of a block when slots, or blocks, before and behind it go.
        for whole_blocks in [false, true] {
            let (lab, client) = log_of(23, closed).await;
            let mut consumer = client
                .consumer()
                .topic("t")
                .reset(policy)
                // Nothing is fetched ahead of what is polled but one batch.
                .fetch_ahead_bytes(1)
                .build()
                .await
                .unwrap();
            let mut seen = Vec::new();
            while seen.len() < 2 {
                seen.extend(within(consumer.poll(1, SECOND)).await.unwrap());
            }
            consumer.pause("t", 0).unwrap();
            let next = if whole_blocks {
                expire_block(&lab, 0);
                expire_block(&lab, 1);
                10
            } else {
                expire_slots(&lab, 0, [0, 1, 2, 3]);
                4
            };
            consumer.resume("t", 0).unwrap();
            let case = format!("{policy:?}, closed {closed}, whole blocks {whole_blocks}");
            let mut error = None;
            loop {
                match within(consumer.poll(100, 100 * SECOND)).await {
                    Ok(records) if records.is_empty() => break,
                    Ok(records) => seen.extend(records),
                    Err(stopped) => {
                        error = Some(stopped);
                        break;
                    }
                }
            }
            let seen = offsets(&seen);
            match policy {
                ResetPolicy::Earliest => {
                    assert!(error.is_none(), "{case}: {error:?}");
                    assert_eq!(
                        seen,
                        [0, 1].into_iter().chain(next..23).collect::<Vec<_>>(),
                        "{case}"
                    );
                }
                ResetPolicy::Latest => {
                    assert!(error.is_none(), "{case}: {error:?}");
                    assert_eq!(seen, [0, 1], "{case}");
                    assert_eq!(
                        consumer.positions()[0].offset,
                        2,
                        "nothing was delivered behind it"
                    );
                    let producer = client.producer("t").build().await.unwrap();
                    let ack = producer.send(Record::value("new")).await.unwrap();
                    let records = within(consumer.poll(1, 100 * SECOND)).await.unwrap();
                    assert_eq!(offsets(&records), [ack.offset], "{case}");
                }
                ResetPolicy::Error => {
                    let error = error.unwrap_or_else(|| panic!("{case}: {seen:?}"));
                    assert_eq!(error.kind(), ErrorKind::OffsetOutOfRange, "{case}: {error}");
                    assert_eq!(error.offset_range(), Some((next, 23)), "{case}");
                    assert_eq!(seen, [0, 1], "{case}");
                    assert_eq!(consumer.positions()[0].offset, 2, "{case}");
                    consumer.seek("t", 0, Start::Earliest).await.unwrap();
                    let records = within(consumer.poll(1, SECOND)).await.unwrap();
                    assert_eq!(offsets(&records), [next], "{case}");
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn when_everything_has_gone_the_tail_is_where_it_was() {
    for records in [1, 4, 5, 6, 10, 12] {
        let (lab, client) = log_of(records, true).await;
        assert!(lab.store.expire("data/") > 0);
        assert_eq!(client.offsets("t").latest(0).await.unwrap(), records);
        assert_eq!(client.offsets("t").earliest(0).await.unwrap(), records);
        assert_eq!(client.offsets("t").at(0, 0).await.unwrap(), records);
        for start in [Start::Earliest, Start::Offset(0), Start::Timestamp(0), Start::Last(3)] {
            assert!(read_from(&client, start).await.is_empty());
        }
        let mut following = client.consumer().topic("t").build().await.unwrap();
        let builder =
            client.consumer().topic("t").start(Start::Offset(0)).reset(ResetPolicy::Error);
        let error = builder.build().await.unwrap_err();
        assert_eq!(error.offset_range(), Some((records, records)));
        assert_eq!(client.verify("t", |_| {}).await.unwrap().issues, []);

        let producer = lab.client().await.producer("t").build().await.unwrap();
        for n in records..records + 7 {
            let ack = producer.send(Record::value(n.to_string())).await.unwrap();
            assert_eq!(ack.offset, n);
        }
        let fresh: Vec<i64> = (records..records + 7).collect();
        assert_eq!(read_from(&client, Start::Earliest).await, fresh);
        assert_eq!(read_from(&client, Start::Offset(0)).await, fresh);
        assert_eq!(offsets(&within(following.poll(7, 10 * SECOND)).await.unwrap())[0], records);
        assert_eq!(client.verify("t", |_| {}).await.unwrap().issues, []);
    }
}

/// The writer crashed, so nobody has ended the newest block, and then some or all of its slots
/// expired: how far it was written can't be known any more.
#[tokio::test(start_paused = true)]
async fn offsets_of_a_block_that_nobody_ended_are_never_used_again() {
    for records in [1, 4, 7, 9] {
        for gone in [true, false] {
            let (lab, client) = log_of(records, false).await;
            let block = ((records - 1) / 5) as u64;
            if gone {
                lab.store.expire("data/");
            } else {
                // A rule does not go by order: the newest may go first.
                expire_slots(&lab, block, [((records - 1) % 5) as u32]);
            }
            let case = format!("{records} records, all gone {gone}");
            let mut following =
                client.consumer().topic("t").start(Start::Latest).build().await.unwrap();
            assert!(following.poll(1, 100 * SECOND).await.unwrap().is_empty());
            let producer = lab.client().await.producer("t").build().await.unwrap();
            let first = within(producer.send(Record::value("first"))).await.unwrap().offset;
            assert!(first >= records, "{case}: offset {first} is used again");
            let second = producer.send(Record::value("second")).await.unwrap().offset;
            assert_eq!(second, first + 1, "{case}");
            assert_eq!(client.offsets("t").latest(0).await.unwrap(), second + 1);
            // Who followed sees both, whatever its policy, for it has missed nothing.
            let mut followed = Vec::new();
            while followed.len() < 2 {
                let polled = within(following.poll(2, 100 * SECOND)).await.unwrap();
                assert!(!polled.is_empty(), "{case}: followed {followed:?}");
                followed.extend(polled);
            }
            assert_eq!(values(&followed), ["first", "second"], "{case}");
            let all = read_all(&client, "t").await;
            let remaining = if gone { 0 } else { records as usize - 1 };
            assert_eq!(values(&all[remaining..]), ["first", "second"], "{case}");
            assert!(offsets(&all).is_sorted_by(|a, b| a < b), "{case}");
            assert_eq!(client.verify("t", |_| {}).await.unwrap().issues, [], "{case}");
        }
    }
}

/// The same, when no record had been expected to expire yet: the verdict is exact and nothing jumps.
#[tokio::test(start_paused = true)]
async fn a_block_that_nobody_ended_goes_on_without_a_gap_while_nothing_can_have_expired() {
    for hours in [0, 5, 10, 12, 15, 20, 21] {
        let lab = Lab::new();
        let client = lab.client().await;
        client.topics().create("t", TopicConfig::new()).await.unwrap();
        let crashed = client.producer("t").build().await.unwrap();
        for record in numbered(0..3) {
            crashed.send(record).await.unwrap();
        }
        lab.clock.jump(hours * HOUR);
        let producer = lab.client().await.producer("t").build().await.unwrap();
        let ack = within(producer.send(Record::value("3"))).await.unwrap();
        assert_eq!(ack.offset, 3, "{hours} h");
        // And the one that only slept goes on behind it.
        assert_eq!(within(crashed.send(Record::value("4"))).await.unwrap().offset, 4, "{hours} h");
        assert_eq!(read_from(&client, Start::Earliest).await, [0, 1, 2, 3, 4]);
        assert_eq!(client.verify("t", |_| {}).await.unwrap().issues, []);
    }
}

/// A put that was stuck for a day and then is done, into a slot that expiry has made free.
#[tokio::test(start_paused = true)]
async fn a_put_that_comes_a_day_late_is_void() {
    for (closed, everything) in [(false, false), (false, true), (true, false), (true, true)] {
        let lab = Lab::new();
        let client = lab.client().await;
        client.topics().create("t", TopicConfig::new().slots_per_block(SLOTS)).await.unwrap();
        let timeout = 60 * SECOND;
        let stuck = client.producer("t").delivery_timeout(timeout).build().await.unwrap();
        stuck.send(Record::value("0")).await.unwrap();
        lab.store.always(Fault::Stall, Request::puts_slot);
        let error = within(stuck.send(Record::value("late"))).await.unwrap_err();
        assert_eq!(error.outcome(), Outcome::Unknown);
        lab.store.no_rule();
        let other = lab.client().await.producer("t").build().await.unwrap();
        for n in 1..4 {
            assert_eq!(other.send(Record::value(n.to_string())).await.unwrap().offset, n);
        }
        if closed {
            other.close().await.unwrap();
        }
        lab.clock.jump(25 * HOUR);
        if everything {
            lab.store.expire("data/");
        } else {
            expire_slots(&lab, 0, [1]);
        }
        assert!(lab.store.apply_stalled() > 0);
        let case = format!("closed {closed}, everything gone {everything}");
        let there: &[&str] = if everything { &[] } else { &["0", "2", "3"] };
        assert_eq!(values(&read_all(&client, "t").await), there, "{case}");
        let tail = client.offsets("t").latest(0).await.unwrap();
        let next = lab.client().await.producer("t").build().await.unwrap();
        let offset = within(next.send(Record::value("next"))).await.unwrap().offset;
        assert!(offset >= 4 && offset >= tail, "{case}: {offset}");
        let expected: Vec<&str> = there.iter().copied().chain(["next"]).collect();
        assert_eq!(values(&read_all(&client, "t").await), expected, "{case}");
        assert_eq!(client.verify("t", |_| {}).await.unwrap().issues, [], "{case}");
    }
}

/// A copied or restored store: stamps are those of the copy, and ended blocks read the same.
#[tokio::test(start_paused = true)]
async fn ended_blocks_read_the_same_whatever_their_stamps_are() {
    for by in [-100 * 24 * 3_600_000, 100 * 24 * 3_600_000] {
        let (lab, client) = log_of(12, true).await;
        for key in lab.store.keys("") {
            lab.store.set_stamp_ms(&key, lab.clock.now_ms() + by);
        }
        assert_eq!(read_from(&client, Start::Earliest).await, (0..12).collect::<Vec<_>>());
        for offset in 0..12 {
            let read = read_from(&client, Start::Offset(offset)).await;
            assert_eq!(read, (offset..12).collect::<Vec<_>>());
            assert_eq!(client.offsets("t").at(0, 1000 * offset).await.unwrap(), offset);
        }
        let producer = client.producer("t").build().await.unwrap();
        assert_eq!(within(producer.send(Record::value("12"))).await.unwrap().offset, 12);
        assert_eq!(client.verify("t", |_| {}).await.unwrap().issues, []);
    }
}

#[tokio::test(start_paused = true)]
async fn what_must_never_expire_is_named_when_it_has() {
    let (lab, client) = log_of(12, true).await;
    lab.store.expire(&block_key("t", 1, "open"));
    let mut consumer = client
        .consumer()
        .topic("t")
        .start(Start::Earliest)
        .until(Until::Latest)
        .build()
        .await
        .unwrap();
    let mut seen = Vec::new();
    let error = loop {
        match within(consumer.poll(100, 100 * SECOND)).await {
            Ok(records) if records.is_empty() => panic!("it waits for ever behind {seen:?}"),
            Ok(records) => seen.extend(offsets(&records)),
            Err(error) => break error,
        }
    };
    assert_eq!(seen, (0..5).collect::<Vec<_>>());
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert!(error.to_string().contains("open"), "{error}");
    assert!(!client.verify("t", |_| {}).await.unwrap().issues.is_empty());
}
