//! A store that fails in every way it may, clocks that are wrong, processes that fork, and futures
//! that are dropped: whatever happens, what was acknowledged is in the log once and in order, and
//! what failed says what is known of it.
#![expect(clippy::unwrap_used, reason = "helpers fail a test as its own lines do")]

mod support;

use futures_util::FutureExt;
use kaffic_core::{ErrorKind, Kaffic, Outcome, Producer, Record, TopicConfig, Until, WhenFull};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use support::format::{Header, slot_key};
use support::lab::{Chance, Fault, HOUR, Lab, Op, Request, SECOND, within};
use support::{assert_log, numbered, offsets, read_all, read_on, values};

const EVERY_FAULT: [Fault; 6] = [
    Fault::Fail,
    Fault::LoseResponse,
    Fault::Exists,
    Fault::Stall,
    Fault::StallApplied,
    Fault::Delay(Duration::from_secs(40)),
];

async fn topic(lab: &Lab, slots: u32) -> Kaffic {
    let client = lab.client().await;
    client.topics().create("t", TopicConfig::new().slots_per_block(slots)).await.unwrap();
    client
}

fn texts(numbers: std::ops::Range<i64>) -> Vec<String> {
    numbers.map(|n| n.to_string()).collect()
}

/// Everything a program does with a topic, until all is read again.
async fn whole_life(lab: &Lab) -> kaffic_core::Result<()> {
    let client = lab.client().await;
    client.topics().create("t", TopicConfig::new().slots_per_block(3)).await?;
    let producer = client.producer("t").build().await?;
    for (n, record) in numbered(0..5).into_iter().enumerate() {
        assert_eq!(producer.send(record).await?.offset, n as i64);
    }
    producer.close().await?;
    let producer = client.producer("t").build().await?;
    for (n, record) in numbered(5..8).into_iter().enumerate() {
        assert_eq!(producer.send(record).await?.offset, 5 + n as i64);
    }
    let mut consumer = client.consumer().topic("t").until(Until::Latest).build().await?;
    let (records, error) = read_on(&mut consumer).await;
    assert_eq!(values(&records), texts(0..8));
    match error {
        None => Ok(()),
        Some(error) => Err(error),
    }
}

#[tokio::test(start_paused = true)]
async fn any_one_request_may_fail_in_any_way() {
    let lab = Lab::new();
    whole_life(&lab).await.unwrap();
    let requests = lab.store.take_requests().len();
    for fault in EVERY_FAULT {
        for failing in 0..requests {
            let lab = Lab::new();
            let mut number = 0;
            lab.store.rule(move |_| {
                number += 1;
                if number - 1 == failing { fault } else { Fault::None }
            });
            let lived = within(whole_life(&lab)).await;
            let which = lab.store.take_requests().into_iter().nth(failing);
            lived.unwrap_or_else(|error| panic!("{fault:?} of {which:?}: {error:?}"));
            lab.store.apply_stalled();
            assert_log(&lab, &texts(0..8)).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn many_requests_may_fail_in_any_way() {
    for seed in 0..300 {
        let lab = Lab::seeded(seed);
        let chance = Chance::new(seed);
        lab.store.rule(move |_| match chance.below(5) {
            0 => EVERY_FAULT[chance.below(5) as usize],
            _ => Fault::None,
        });
        within(whole_life(&lab)).await.unwrap_or_else(|error| panic!("seed {seed}: {error:?}"));
        lab.store.apply_stalled();
        assert_log(&lab, &texts(0..8)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn writers_that_share_a_failing_store_lose_and_double_nothing() {
    for seed in 0..50 {
        let lab = Lab::seeded(seed);
        topic(&lab, 4).await;
        let chance = Chance::new(seed);
        lab.store.rule(move |request| match chance.below(6) {
            0 if request.op == Op::Put => EVERY_FAULT[chance.below(5) as usize],
            _ => Fault::None,
        });
        let writers = (0..3).map(async |writer| {
            let client = lab.client().await;
            let producer = client.producer("t").delivery_timeout(HOUR).build().await.unwrap();
            let mut acked = Vec::new();
            for n in 0..8 {
                let value = format!("{writer}-{n}");
                acked.push((
                    producer.send(Record::value(value.clone())).await.unwrap().offset,
                    value,
                ));
            }
            acked
        });
        let mut acked: Vec<_> =
            within(futures_util::future::join_all(writers)).await.into_iter().flatten().collect();
        acked.sort();
        lab.store.apply_stalled();
        assert!(acked.iter().map(|(offset, _)| *offset).eq(0..24), "seed {seed}: {acked:?}");
        let expected: Vec<String> = acked.into_iter().map(|(_, value)| value).collect();
        assert_log(&lab, &expected).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_put_is_said_at_once_and_the_producer_works_on() {
    let lab = Lab::new();
    let client = topic(&lab, 3).await;
    let producer = client.producer("t").build().await.unwrap();
    for n in 0..8i64 {
        lab.store.always(Fault::Deny, Request::puts_slot);
        let error = within(producer.send(Record::value("denied"))).await.unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Denied, Outcome::NotWritten));
        assert!(error.to_string().contains("data/t/"), "{error}");
        lab.store.no_rule();
        assert_eq!(producer.send(Record::value(n.to_string())).await.unwrap().offset, n);
    }
    assert_log(&lab, &texts(0..8)).await;
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_down_gives_an_error_that_says_so() {
    for (fault, puts) in
        [(Fault::Fail, true), (Fault::Fail, false), (Fault::Stall, true), (Fault::Stall, false)]
    {
        let lab = Lab::new();
        let client = topic(&lab, 3).await;
        let timeout = 300 * SECOND;
        let producer = client.producer("t").delivery_timeout(timeout).build().await.unwrap();
        // Puts alone, or everything.
        lab.store.always(fault, move |request| !puts || request.op == Op::Put);
        let began = lab.clock.now_ms();
        let error = within(producer.send(Record::value("lost"))).await.unwrap_err();
        assert_eq!(lab.clock.now_ms() - began, 300_000);
        assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
        // Not even the block could be opened, so nothing was put.
        assert_eq!(error.outcome(), Outcome::NotWritten, "{error}");
        let says = if fault == Fault::Fail { "connection reset" } else { "no answer" };
        assert!(error.to_string().contains(says), "{error}");
        lab.store.no_rule();
        assert_eq!(producer.send(Record::value("0")).await.unwrap().offset, 0);
        lab.store.apply_stalled();
        assert_log(&lab, &texts(0..1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_put_that_stays_unanswered_is_unknown_and_whatever_becomes_of_it_no_offset_is_used_twice()
{
    // When what was stalled comes to be done: before the next record, after it, or never.
    for (fault, when) in [
        (Fault::Stall, "before"),
        (Fault::Stall, "after"),
        (Fault::Stall, "never"),
        (Fault::StallApplied, "done"),
    ] {
        for at in [0, 1, 2, 3] {
            let lab = Lab::new();
            let client = topic(&lab, 3).await;
            let timeout = 70 * SECOND;
            let producer = client.producer("t").delivery_timeout(timeout).build().await.unwrap();
            let mut expected = texts(0..at);
            for record in numbered(0..at) {
                producer.send(record).await.unwrap();
            }
            // Gets of slots are not answered either, so that it can't be found out.
            lab.store.always(fault, |request| {
                request.key.starts_with("data/") && matches!(request.op, Op::Put | Op::Get)
            });
            let error = within(producer.send(Record::value("stalled"))).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
            assert_eq!(error.outcome(), Outcome::Unknown, "{error}");
            assert!(error.is_retriable());
            lab.store.no_rule();
            if when == "before" {
                assert!(lab.store.apply_stalled() > 0);
            }
            let is_in = when == "before" || when == "done";
            if is_in {
                expected.push("stalled".to_owned());
            }
            let next = within(producer.send(Record::value("next"))).await.unwrap();
            assert_eq!(next.offset, at + i64::from(is_in), "{when} at {at}");
            expected.push("next".to_owned());
            if when == "after" {
                assert_eq!(lab.store.apply_stalled(), 0, "its slot is taken");
            }
            within(producer.close()).await.unwrap();
            assert_log(&lab, &expected).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stalled_store_fills_the_buffer_and_no_more() {
    for when_full in [WhenFull::Fail, WhenFull::Wait] {
        let lab = Lab::new();
        let client = topic(&lab, 1000).await;
        let producer = client
            .producer("t")
            .max_in_flight_bytes(100_000)
            .when_full(when_full)
            .delivery_timeout(60 * SECOND)
            .build()
            .await
            .unwrap();
        // Room that was waited for and given back is counted as well as any other.
        let many = (0..300).map(|_| producer.send(Record::value(vec![6; 1000])));
        let done = within(futures_util::future::join_all(many)).await;
        let full = |error: &kaffic_core::Error| error.kind() == ErrorKind::QueueFull;
        assert!(done.iter().all(|done| done.as_ref().err().is_none_or(full)));
        let before = done.iter().filter(|done| done.is_ok()).count() as i64;
        assert_eq!(before < 300, when_full == WhenFull::Fail);
        lab.store.always(Fault::Stall, Request::puts_slot);
        let (mut tickets, mut accepted) = (Vec::new(), 0);
        let began = lab.clock.now_ms();
        let error = loop {
            match within(producer.enqueue(Record::value(vec![7; 1000]))).await {
                Ok(ticket) => {
                    accepted += 1;
                    tickets.push(ticket);
                    assert!(accepted <= 100, "more than max_in_flight_bytes");
                }
                Err(error) => break error,
            }
        };
        let waited = lab.clock.now_ms() - began;
        assert!(accepted >= 90, "{accepted} records");
        assert_eq!(error.outcome(), Outcome::NotWritten);
        assert!(error.to_string().contains("max_in_flight_bytes"), "{error}");
        match when_full {
            WhenFull::Fail => assert_eq!((error.kind(), waited), (ErrorKind::QueueFull, 0)),
            WhenFull::Wait => assert_eq!((error.kind(), waited), (ErrorKind::Timeout, 60_000)),
        }
        // A small record finds no room either, and then everything in the buffer runs out of time.
        for ticket in tickets {
            let error = within(ticket).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
        }
        // The room came back, all of it.
        lab.store.no_rule();
        let ack = within(producer.send(Record::value(vec![8; 99_000]))).await.unwrap();
        assert_eq!(ack.offset, before);
        lab.store.apply_stalled();
        let records = read_all(&client, "t").await;
        assert_eq!(offsets(&records), (0..=before).collect::<Vec<_>>());
        assert_eq!(records[before as usize].value.as_ref().unwrap().len(), 99_000);
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_never_comes_holds_up_what_is_behind_it_and_loses_nothing() {
    let lab = Lab::new();
    let client = topic(&lab, 5).await;
    let producer = client
        .producer("t")
        .delivery_timeout(100 * SECOND)
        .batch_bytes(1024)
        .build()
        .await
        .unwrap();
    producer.send(Record::value("first")).await.unwrap();
    // It is done, and nobody hears of it: the slot has to be read.
    lab.store.once(Fault::StallApplied, Request::puts_slot);
    let records: Vec<Record> =
        (0..20).map(|n| Record::value(format!("{n}")).key(vec![0; 500])).collect();
    let mut tickets = Vec::new();
    for record in records {
        tickets.push(producer.enqueue(record).await.unwrap());
    }
    let mut acked = Vec::new();
    for ticket in tickets {
        acked.push(within(ticket).await.unwrap().offset);
    }
    assert_eq!(acked, (1..21).collect::<Vec<_>>());
    let mut expected = vec!["first".to_owned()];
    expected.extend(texts(0..20));
    assert_log(&lab, &expected).await;
}

/// Polls a future a few times and then drops it.
async fn drop_after(polls: u64, future: impl Future) {
    let mut future = Box::pin(future);
    for _ in 0..polls {
        if future.as_mut().now_or_never().is_some() {
            return;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn dropped_futures_of_a_producer_lose_and_double_nothing() {
    for seed in 0..200 {
        let lab = Lab::seeded(seed);
        let client = topic(&lab, 4).await;
        let producer = client.producer("t").max_in_flight_bytes(1024).build().await.unwrap();
        let chance = Chance::new(seed);
        let mut certain = Vec::new();
        for n in 0..60 {
            let record = Record::value(format!("{n:03}"));
            match chance.below(5) {
                0 => {
                    producer.send(record).await.unwrap();
                    certain.push(format!("{n:03}"));
                }
                1 => {
                    drop(producer.enqueue(record).await.unwrap());
                    certain.push(format!("{n:03}"));
                }
                2 => drop_after(chance.below(9), producer.send(record)).await,
                3 => drop_after(chance.below(3), producer.enqueue(record)).await,
                _ => drop_after(chance.below(9), producer.append(0, vec![record], None)).await,
            }
            if chance.below(8) == 0 {
                drop_after(chance.below(9), producer.flush()).await;
            }
        }
        within(producer.flush()).await.unwrap();
        drop_after(chance.below(9), producer.close()).await;
        within(producer.close()).await.unwrap();
        // All room has come back, and nothing hangs.
        let second = client.producer("t").build().await.unwrap();
        within(second.send(Record::value("end"))).await.unwrap();
        let written = values(&within(read_all(&client, "t")).await);
        assert!(written.is_sorted(), "seed {seed}: out of order or doubled: {written:?}");
        let set: BTreeSet<&String> = written.iter().collect();
        assert_eq!(set.len(), written.len(), "seed {seed}: doubled");
        assert!(certain.iter().all(|value| set.contains(value)), "seed {seed}: lost");
        assert_eq!(client.verify("t", |_| {}).await.unwrap().issues, []);
    }
}

#[tokio::test(start_paused = true)]
async fn dropped_futures_of_a_consumer_lose_and_double_nothing() {
    for seed in 0..200 {
        let lab = Lab::seeded(seed);
        let client = lab.client().await;
        let config = TopicConfig::new().partitions(2).slots_per_block(4);
        client.topics().create("t", config).await.unwrap();
        let producer = client.producer("t").build().await.unwrap();
        for n in 0..30 {
            let batch = numbered(3 * n..3 * n + 3);
            producer.append((n % 2) as u32, batch, None).await.unwrap();
        }
        let chance = Chance::new(seed);
        let budget = 1 << (10 + chance.below(14));
        let mut consumer = client
            .consumer()
            .topic("t")
            .fetch_ahead_bytes(budget)
            .until(Until::Latest)
            .build()
            .await
            .unwrap();
        let mut seen = Vec::new();
        while !consumer.is_finished() {
            match chance.below(6) {
                0 => {
                    let max = 1 + chance.below(7) as usize;
                    seen.extend(within(consumer.poll(max, SECOND)).await.unwrap());
                }
                1 => seen.extend(within(consumer.next()).await.unwrap()),
                // What a future that was dropped has taken would be missing.
                2 => {
                    let mut poll = Box::pin(consumer.poll(5, SECOND));
                    if let Some(records) = poll.as_mut().now_or_never() {
                        seen.extend(records.unwrap());
                    }
                }
                3 => {
                    let mut next = Box::pin(consumer.next());
                    for _ in 0..chance.below(5) {
                        if let Some(record) = next.as_mut().now_or_never() {
                            seen.extend(record.unwrap());
                            break;
                        }
                        tokio::task::yield_now().await;
                    }
                }
                4 => {
                    let partition = chance.below(2) as u32;
                    consumer.pause("t", partition).unwrap();
                    seen.extend(consumer.poll(1, Duration::ZERO).await.unwrap());
                    consumer.resume("t", partition).unwrap();
                }
                _ => drop_after(chance.below(4), consumer.lag()).await,
            }
        }
        for partition in 0..2 {
            let of: Vec<_> = seen.iter().filter(|r| r.partition == partition).collect();
            let offsets: Vec<i64> = of.iter().map(|record| record.offset).collect();
            assert_eq!(offsets, (0..45).collect::<Vec<_>>(), "seed {seed}, {partition}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_off_stops_the_producer_after_its_first_batch() {
    for off in [2 * HOUR, HOUR, 35 * 60 * SECOND] {
        for ahead in [1, -1] {
            let lab = Lab::new();
            topic(&lab, 1000).await;
            let env = lab.env();
            env.set_offset_ms(ahead * off.as_millis() as i64);
            let client = lab.client_in(&env).await;
            let producer = client.producer("t").build().await.unwrap();
            let mut expected = Vec::new();
            match within(producer.send(Record::value("0"))).await {
                Ok(ack) => {
                    assert_eq!(ack.offset, 0);
                    expected.push("0".to_owned());
                }
                Err(error) => assert_eq!(error.kind(), ErrorKind::ClockSkew, "{error}"),
            }
            for _ in 0..3 {
                let error = within(producer.send(Record::value("refused"))).await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::ClockSkew, "{error}");
                assert_eq!(error.outcome(), Outcome::NotWritten);
                assert!(error.to_string().contains("set the clock"), "{error}");
            }
            within(producer.close()).await.unwrap();
            // Everyone else goes on.
            let other = lab.client().await.producer("t").build().await.unwrap();
            within(other.send(Record::value("other"))).await.unwrap();
            expected.push("other".to_owned());
            assert_log(&lab, &expected).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_goes_wrong_later_is_noticed_and_nothing_is_doubled() {
    let lab = Lab::new();
    topic(&lab, 1000).await;
    let env = lab.env();
    let producer = lab.client_in(&env).await.producer("t").build().await.unwrap();
    let mut acked = 0;
    let mut stopped = None;
    for n in 0..100i64 {
        if n == 10 {
            env.set_offset_ms(-2 * 3_600_000);
        }
        // Five minutes between records: it is looked at every half hour.
        lab.clock.jump(300 * SECOND);
        match within(producer.send(Record::value(n.to_string()))).await {
            Ok(ack) => {
                assert!(stopped.is_none());
                assert_eq!(ack.offset, n);
                acked += 1;
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::ClockSkew, "{error}");
                stopped.get_or_insert(n);
            }
        }
    }
    assert!(stopped.is_some_and(|n| n <= 10 + 8), "{stopped:?}");
    assert_log(&lab, &texts(0..acked)).await;
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_half_a_day_off_does_not_fill_the_store() {
    for hours in [-240, -13, 10, 12, 13, 24, 240] {
        let lab = Lab::new();
        topic(&lab, 1000).await;
        let env = lab.env();
        env.set_offset_ms(hours * 3_600_000);
        let producer = lab.client_in(&env).await.producer("t").build().await.unwrap();
        // A loop that never waits would not let time pass either.
        let puts = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&puts);
        lab.store.always(Fault::Deny, move |request| {
            request.op == Op::Put && counter.fetch_add(1, Ordering::Relaxed) > 50
        });
        let first = within(producer.send(Record::value("0"))).await;
        let puts = puts.load(Ordering::Relaxed);
        assert!(puts <= 10, "{hours} h: {puts} puts for one record; then {first:?}");
        let error = within(producer.send(Record::value("1"))).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ClockSkew, "{hours} h: {error}");
        let expected: Vec<String> = first.iter().map(|_| "0".to_owned()).collect();
        assert_log(&lab, &expected).await;
    }
}

/// The producer ids of the slots with records, in order.
fn producer_ids(lab: &Lab) -> Vec<i64> {
    let headers =
        lab.store.keys("data/").into_iter().map(|key| Header::parse(&lab.store.object(&key)));
    headers.filter(|header| header.kind == 0).map(|header| header.producer_id).collect()
}

#[tokio::test(start_paused = true)]
async fn a_fork_between_records_gives_another_identity() {
    let lab = Lab::new();
    topic(&lab, 100).await;
    let env = lab.env();
    let producer = lab.client_in(&env).await.producer("t").build().await.unwrap();
    for n in 0..6 {
        if n % 2 == 0 {
            env.fork();
        }
        producer.send(Record::value(n.to_string())).await.unwrap();
    }
    let ids = producer_ids(&lab);
    assert_eq!((ids[0], ids[2], ids[4]), (ids[1], ids[3], ids[5]));
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 3);
    let sequences: Vec<i64> =
        (0..6).map(|n| Header::parse(&lab.store.object(&slot_key("t", 0, n))).sequence).collect();
    assert_eq!(sequences, [0, 1, 0, 1, 0, 1]);
    assert_log(&lab, &texts(0..6)).await;
}

/// A record of a producer whose process forks at a request, which meets a fault.
async fn fork_at(fault: Fault, at: fn(&Request) -> bool) -> (Lab, Producer, Result<i64, Outcome>) {
    let lab = Lab::new();
    topic(&lab, 100).await;
    let env = lab.env();
    let producer = lab.client_in(&env).await.producer("t").build().await.unwrap();
    producer.send(Record::value("0")).await.unwrap();
    let (mut forked, mut faulty) = (false, true);
    lab.store.rule(move |request| {
        if !forked && at(request) {
            forked = true;
            env.fork();
        }
        if faulty && request.puts_slot() {
            faulty = false;
            return fault;
        }
        Fault::None
    });
    let sent = within(producer.send(Record::value("forked"))).await;
    lab.store.no_rule();
    (lab, producer, sent.map(|ack| ack.offset).map_err(|error| error.outcome()))
}

#[tokio::test(start_paused = true)]
async fn a_fork_while_a_put_is_under_way_never_takes_another_s_batch_for_its_own() {
    let a_put = Request { op: Op::Put, key: "data/".to_owned() };
    let put: fn(&Request) -> bool = Request::puts_slot;
    let get: fn(&Request) -> bool = |r| r.op == Op::Get && r.key.starts_with("data/");
    let faults =
        [Fault::None, Fault::LoseResponse, Fault::Exists, Fault::Fail, Fault::StallApplied];
    for (fault, at) in faults.into_iter().flat_map(|fault| [(fault, put), (fault, get)]) {
        let (lab, producer, sent) = fork_at(fault, at).await;
        let values = values(&read_all(&lab.client().await, "t").await);
        let times = values.iter().filter(|value| *value == "forked").count();
        match sent {
            Ok(offset) => assert_eq!((offset, times), (1, 1), "{fault:?}"),
            Err(Outcome::NotWritten) => assert_eq!(times, 0, "{fault:?}"),
            Err(Outcome::Unknown) => assert!(times <= 1, "{fault:?}"),
        }
        // It goes on, under another identity.
        let next = within(producer.send(Record::value("next"))).await.unwrap();
        assert_eq!(next.offset, 1 + times as i64, "{fault:?}");
        let ids = producer_ids(&lab);
        // Where nothing was unclear nothing was read, so there was no such moment.
        let forked = fault != Fault::None || at(&a_put);
        assert_eq!(ids.first() != ids.last(), forked, "{fault:?}");
        assert_eq!(lab.client().await.verify("t", |_| {}).await.unwrap().issues, []);
    }
}

#[tokio::test(start_paused = true)]
async fn a_delivery_does_not_wait_for_a_look_at_others_slots_that_is_not_answered() {
    let lab = Lab::new();
    let client = topic(&lab, 100).await;
    let short = client.producer("t").delivery_timeout(SECOND).build().await.unwrap();
    let other = lab.client().await.producer("t").build().await.unwrap();
    lab.store.always(Fault::Delay(SECOND / 25), Request::puts_slot);
    for _ in 0..3 {
        short.send(Record::value("a")).await.unwrap();
        other.send(Record::value("b")).await.unwrap();
    }
    short.send(Record::value("a")).await.unwrap();
    // It has just won and seen another writer, so it looks at what that one writes before its own
    // next put.
    lab.store.always(Fault::Stall, |request| request.op == Op::Get);
    let begun = lab.clock.now_ms();
    within(short.send(Record::value("late"))).await.unwrap();
    let took = lab.clock.now_ms() - begun;
    assert!(took <= 1000, "{took} ms");
}

#[tokio::test(start_paused = true)]
async fn a_record_whose_time_is_over_before_its_turn_is_not_put() {
    let lab = Lab::new();
    let client = topic(&lab, 100).await;
    let builder = client.producer("t").delivery_timeout(SECOND).batch_bytes(1024);
    let producer = builder.build().await.unwrap();
    producer.send(Record::value("first")).await.unwrap();
    lab.store.take_requests();
    lab.store.always(Fault::Stall, Request::puts_slot);
    let mut tickets = Vec::new();
    for _ in 0..3 {
        tickets.push(producer.enqueue(Record::value(vec![0; 2000])).await.unwrap());
    }
    let mut outcomes = Vec::new();
    for ticket in tickets {
        outcomes.push(within(ticket).await.unwrap_err().outcome());
    }
    assert_eq!(outcomes, [Outcome::Unknown, Outcome::NotWritten, Outcome::NotWritten]);
    assert_eq!(lab.store.take_requests().iter().filter(|r| r.puts_slot()).count(), 1);
}

/// A block is ended also where the storage is out of reach for longer than one request is tried.
#[tokio::test(start_paused = true)]
async fn closing_waits_for_a_store_that_comes_back() {
    let lab = Lab::new();
    let client = topic(&lab, 1000).await;
    let producer = client.producer("t").compaction(false).build().await.unwrap();
    producer.send(Record::value("0")).await.unwrap();
    let mut failing = 25;
    lab.store.rule(move |_| {
        failing -= 1;
        if failing > 0 { Fault::Fail } else { Fault::None }
    });
    within(producer.close()).await.unwrap();
    assert!(!lab.store.keys("meta/logs/t/0/00000/000000000/000/end").is_empty());
    assert_log(&lab, &["0"]).await;
}

/// What lingers in a full buffer goes when somebody waits for room, or everybody would wait for as long.
#[tokio::test(start_paused = true)]
async fn nothing_lingers_in_a_full_buffer() {
    let lab = Lab::new();
    let client = lab.client().await;
    client.topics().create("t", TopicConfig::new().partitions(3)).await.unwrap();
    let builder = client.producer("t").linger(HOUR).delivery_timeout(2 * HOUR);
    let producer = builder.max_in_flight_bytes(5000).build().await.unwrap();
    let begun = lab.clock.now_ms();
    let mut tickets = Vec::new();
    for n in 0..30 {
        let record = Record::value(vec![b'v'; 1500]).partition(n % 3);
        tickets.push(within(producer.enqueue(record)).await.unwrap());
    }
    producer.flush().await.unwrap();
    for ticket in tickets {
        ticket.await.unwrap();
    }
    let took = lab.clock.now_ms() - begun;
    assert!(took < HOUR.as_millis() as i64, "{took} ms");
}

/// A producer whose runtime ends, as a program's may before its last thread, leaves nobody waiting.
#[test]
fn a_producer_that_outlives_its_runtime_says_so() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (producer, ticket) = runtime.block_on(async {
        let client = kaffic_core::Kaffic::connect("memory://").await.unwrap();
        client.topics().create("t", TopicConfig::new()).await.unwrap();
        let builder = client.producer("t").linger(HOUR).delivery_timeout(2 * HOUR);
        let producer = builder.build().await.unwrap();
        let ticket = producer.enqueue(Record::value("v")).await.unwrap();
        (producer, ticket)
    });
    runtime.shutdown_timeout(Duration::from_secs(60));
    let after = async {
        let closed = |result: kaffic_core::Result<()>| {
            assert_eq!(result.unwrap_err().kind(), ErrorKind::Closed);
        };
        closed(ticket.await.map(drop));
        closed(producer.enqueue(Record::value("w")).await.map(drop));
        producer.flush().await.unwrap();
        producer.close().await.unwrap();
    };
    tokio::runtime::Runtime::new().unwrap().block_on(within_real_time(after));
}

#[expect(clippy::disallowed_methods, reason = "no simulated time passes here")]
async fn within_real_time<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), work).await.expect("an end")
}
