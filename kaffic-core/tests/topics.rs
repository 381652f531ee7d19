//! The life of topics: created once however many try, deleted under those who use them, and created
//! again without anything of what was there before.

mod support;

use futures_util::future::join_all;
use kaffic_core::{ErrorKind, MinExpiry, Outcome, Record, Start, TopicConfig, Until};
use std::time::Duration;
use support::lab::{Fault, HOUR, Lab, Op, SECOND, within};
use support::{numbered, offsets, read_all, read_on, stores, stores_for, values};

#[tokio::test(flavor = "multi_thread")]
async fn topics_are_created_listed_described_and_deleted() {
    for store in stores() {
        let client = store.connect().await;
        let topics = client.topics();
        assert!(topics.list().await.unwrap().is_empty());
        let week = MinExpiry::After(Duration::from_secs(7 * 24 * 3600));
        let config = TopicConfig::new().partitions(3).min_expiry(week);
        let orders = topics.create("orders", config.clone()).await.unwrap();
        assert_eq!((&*orders.name, orders.incarnation, orders.partitions), ("orders", 0, 3));
        assert_eq!(orders.min_expiry, week);
        let audit = TopicConfig::new().min_expiry(MinExpiry::Never);
        let audit = topics.create("audit", audit).await.unwrap();
        assert_eq!(topics.list().await.unwrap(), [audit.clone(), orders.clone()]);
        assert_eq!(topics.describe("orders").await.unwrap(), orders);
        assert_eq!(topics.ensure("orders", TopicConfig::new()).await.unwrap(), orders);

        let error = topics.create("orders", config).await.unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::TopicExists, Outcome::NotWritten));
        assert!(error.to_string().contains("orders"), "{error}");
        topics.delete("orders").await.unwrap();
        assert_eq!(topics.list().await.unwrap(), [audit]);
        let none = client.clone();
        for error in [
            topics.describe("orders").await.unwrap_err(),
            topics.delete("nothing").await.unwrap_err(),
            none.producer("orders").build().await.unwrap_err(),
            none.consumer().topic("orders").build().await.unwrap_err(),
            none.offsets("orders").latest(0).await.unwrap_err(),
            none.verify("orders", |_| {}).await.unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::TopicNotFound, "{error}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn racing_creators_and_deleters_agree_on_every_store() {
    for store in stores() {
        let creators = (1..=4).map(async |partitions| {
            let config = TopicConfig::new().partitions(partitions);
            store.connect().await.topics().create("t", config).await
        });
        let created = join_all(creators).await;
        let (won, lost): (Vec<_>, Vec<_>) = created.into_iter().partition(Result::is_ok);
        let [Ok(winner)] = &won[..] else { panic!("{won:?}") };
        for error in lost {
            assert_eq!(error.unwrap_err().kind(), ErrorKind::TopicExists);
        }
        assert_eq!(store.connect().await.topics().describe("t").await.unwrap(), *winner);
        assert_eq!(store.keys("meta/topics").await.len(), 1);

        let deletions = (0..3).map(async |_| store.connect().await.topics().delete("t").await);
        for deleted in join_all(deletions).await {
            deleted.unwrap();
        }
        let topics = store.connect().await.topics();
        assert!(topics.list().await.unwrap().is_empty());
        // However many deleted it, one topic was deleted.
        assert_eq!(topics.create("t", TopicConfig::new()).await.unwrap().incarnation, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn of_racing_creators_one_wins() {
    for seed in 0..100 {
        let lab = Lab::seeded(seed);
        let creators = (1..=5).map(async |partitions| {
            let config = TopicConfig::new().partitions(partitions);
            lab.client().await.topics().create("t", config).await
        });
        let created = within(join_all(creators)).await;
        let (won, lost): (Vec<_>, Vec<_>) = created.into_iter().partition(Result::is_ok);
        let [Ok(winner)] = &won[..] else { panic!("seed {seed}: {won:?}") };
        for error in lost {
            assert_eq!(error.unwrap_err().kind(), ErrorKind::TopicExists, "seed {seed}");
        }
        assert_eq!(lab.client().await.topics().describe("t").await.unwrap(), *winner);
        assert_eq!(lab.store.keys("meta/topics/").len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn racing_producers_that_create_the_topic_all_find_the_same() {
    for seed in 0..50 {
        let lab = Lab::seeded(seed);
        let producers = (1..=4u32).map(async |partitions| {
            let config = TopicConfig::new().partitions(partitions).slots_per_block(3);
            let client = lab.client().await;
            let producer = client.producer("t").create_topic(config).build().await.unwrap();
            for n in 0..5 {
                let record = Record::value(format!("{partitions}-{n}")).partition(0);
                producer.send(record).await.unwrap();
            }
            producer.partitions()
        });
        let partitions = within(join_all(producers)).await;
        assert!(partitions.iter().all(|count| *count == partitions[0]), "seed {seed}");
        let client = lab.client().await;
        assert_eq!(client.topics().describe("t").await.unwrap().partitions, partitions[0]);
        assert_eq!(offsets(&read_all(&client, "t").await), (0..20).collect::<Vec<_>>());
    }
}

#[tokio::test(start_paused = true)]
async fn of_racing_deleters_and_creators_each_sees_a_whole_topic_or_none() {
    for seed in 0..50 {
        let lab = Lab::seeded(seed);
        lab.client().await.topics().create("t", TopicConfig::new()).await.unwrap();
        let actors = (0..4).map(async |actor| {
            let topics = lab.client().await.topics();
            for _ in 0..4 {
                let done = match actor % 2 {
                    0 => topics.delete("t").await.map(drop),
                    _ => topics.create("t", TopicConfig::new()).await.map(drop),
                };
                if let Err(error) = done {
                    assert_eq!(error.kind(), ErrorKind::TopicExists, "seed {seed}: {error}");
                }
            }
        });
        within(join_all(actors)).await;
        let client = lab.client().await;
        let topic = client.topics().ensure("t", TopicConfig::new()).await.unwrap();
        // Whatever was deleted had an incarnation of its own.
        let deleted = lab
            .store
            .keys("meta/topics/t/")
            .iter()
            .filter(|key| lab.store.object(key).windows(14).any(|w| w == b"\"deleted\":true"))
            .count();
        assert_eq!(topic.incarnation as usize, deleted, "seed {seed}");
        let producer = client.producer("t").build().await.unwrap();
        assert_eq!(within(producer.send(Record::value("v"))).await.unwrap().offset, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_deleted_never_appears_again() {
    for store in stores() {
        let client = store.connect().await;
        for incarnation in 0..4 {
            let config = TopicConfig::new().partitions(incarnation + 1).slots_per_block(3);
            let topic = client.topics().create("t", config).await.unwrap();
            assert_eq!(topic.incarnation, incarnation);
            assert_eq!(client.offsets("t").latest(0).await.unwrap(), 0);
            assert!(read_all(&client, "t").await.is_empty());
            let producer = client.producer("t").build().await.unwrap();
            for n in 0..5 {
                let value = format!("{incarnation}-{n}");
                let ack = producer.send(Record::value(value).partition(0)).await.unwrap();
                assert_eq!(ack.offset, n);
            }
            let expected: Vec<String> = (0..5).map(|n| format!("{incarnation}-{n}")).collect();
            assert_eq!(values(&read_all(&client, "t").await), expected);
            client.topics().delete("t").await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_producer_of_a_deleted_topic_writes_nothing_more() {
    // A block of three: the producer may stand within one, at its end, or nowhere yet.
    let cases = (0..5).flat_map(|sent| [(sent, false), (sent, true)]);
    for (store, (sent, again)) in stores_for(cases) {
        let client = store.connect().await;
        let config = TopicConfig::new().slots_per_block(3);
        client.topics().create("t", config.clone()).await.unwrap();
        let producer = client.producer("t").build().await.unwrap();
        for record in numbered(0..sent) {
            producer.send(record).await.unwrap();
        }
        let other = store.connect().await;
        other.topics().delete("t").await.unwrap();
        if again {
            other.topics().create("t", config).await.unwrap();
        }
        for _ in 0..2 {
            let error = producer.send(Record::value("late")).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::TopicNotFound, "after {sent}: {error}");
            assert_eq!(error.outcome(), Outcome::NotWritten, "after {sent}: {error}");
            assert!(error.to_string().contains("topic t"), "{error}");
        }
        producer.close().await.unwrap();
        if again {
            assert!(read_all(&other, "t").await.is_empty());
        }
        let slots = store.list("data/t/0").await;
        assert_eq!(slots.iter().filter(|meta| meta.size > 96).count(), sent as usize);
    }
}

#[tokio::test(start_paused = true)]
async fn a_consumer_of_a_deleted_topic_reads_what_is_there_and_is_then_told() {
    for sent in 0..8 {
        for caught_up in [false, true] {
            let lab = Lab::new();
            let client = lab.client().await;
            let config = TopicConfig::new().slots_per_block(3);
            client.topics().create("t", config).await.unwrap();
            let producer = client.producer("t").build().await.unwrap();
            for record in numbered(0..sent) {
                producer.send(record).await.unwrap();
            }
            let mut consumer = client.consumer().topic("t").build().await.unwrap();
            let mut seen = Vec::new();
            while caught_up && seen.len() < sent as usize {
                seen.extend(within(consumer.poll(1, SECOND)).await.unwrap());
            }
            if caught_up {
                assert!(consumer.poll(1, 5 * SECOND).await.unwrap().is_empty());
            }
            lab.client().await.topics().delete("t").await.unwrap();
            let case = format!("{sent} records, caught up {caught_up}");
            let error = loop {
                // Nothing is left to come, so it should not take longer than a look at the end.
                match within(consumer.poll(10, 60 * SECOND)).await {
                    Ok(records) if records.is_empty() => panic!("{case}: nobody says anything"),
                    Ok(records) => seen.extend(records),
                    Err(error) => break error,
                }
            };
            assert_eq!(error.kind(), ErrorKind::TopicNotFound, "{case}: {error}");
            assert_eq!(offsets(&seen), (0..sent).collect::<Vec<_>>(), "{case}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_deletion_counts_what_went_and_what_stays_and_says_until_when() {
    let lab = Lab::new();
    let client = lab.client().await;
    let topics = client.topics();
    // A = 30 minutes and K = 150 seconds.
    let config =
        TopicConfig::new().partitions(4).min_expiry(MinExpiry::After(HOUR)).slots_per_block(10);
    topics.create("t", config).await.unwrap();
    let producer = client.producer("t").build().await.unwrap();
    for n in 0..24 {
        producer.send(Record::value("v").partition(n % 2)).await.unwrap();
    }
    let opened = lab.clock.now_ms();
    let first = topics.delete("t").await.unwrap();
    let slots = lab.store.keys("data/").len() as u64;
    assert!(slots >= 24);
    assert_eq!((first.removed, first.remaining), (0, slots));
    let at = first.removable_at_ms.unwrap();
    assert!((opened + 30 * 60_000..opened + 40 * 60_000).contains(&at), "{}", at - opened);
    // Again, too early.
    assert_eq!(topics.delete("t").await.unwrap(), first);
    lab.clock.jump(Duration::from_millis((at - lab.clock.now_ms()) as u64 + 1));
    let second = topics.delete("t").await.unwrap();
    assert_eq!((second.removed, second.remaining), (slots, 0));
    assert_eq!(second.removable_at_ms, None);
    assert!(lab.store.keys("data/").is_empty());
    let third = topics.delete("t").await.unwrap();
    assert_eq!((third.removed, third.remaining, third.removable_at_ms), (0, 0, None));
    assert_eq!(topics.create("t", TopicConfig::new()).await.unwrap().incarnation, 1);
}

#[tokio::test(start_paused = true)]
async fn deleting_again_removes_what_earlier_incarnations_left() {
    let lab = Lab::new();
    let client = lab.client().await;
    let topics = client.topics();
    for _ in 0..3 {
        topics.create("t", TopicConfig::new()).await.unwrap();
        let producer = client.producer("t").build().await.unwrap();
        producer.send(Record::value("v")).await.unwrap();
        topics.delete("t").await.unwrap();
    }
    lab.clock.jump(48 * HOUR);
    let deletion = topics.delete("t").await.unwrap();
    assert_eq!((deletion.removed, deletion.remaining), (6, 0));
    assert!(lab.store.keys("data/").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_deletion_gets_through_a_failing_store() {
    let whole = async |lab: &Lab| {
        let client = lab.client().await;
        let config = TopicConfig::new().partitions(2).slots_per_block(2);
        client.topics().create("t", config).await.unwrap();
        let producer = client.producer("t").build().await.unwrap();
        for record in numbered(0..3) {
            producer.send(record.partition(0)).await.unwrap();
        }
        lab.clock.jump(48 * HOUR);
        lab.store.take_requests();
        client
    };
    let lab = Lab::new();
    whole(&lab).await.topics().delete("t").await.unwrap();
    let requests = lab.store.take_requests();
    for fault in [Fault::Fail, Fault::LoseResponse, Fault::Stall, Fault::StallApplied] {
        for (failing, request) in requests.iter().enumerate() {
            let lab = Lab::new();
            let client = whole(&lab).await;
            let mut number = 0;
            lab.store.rule(move |_| {
                number += 1;
                if number - 1 == failing { fault } else { Fault::None }
            });
            let deleted = within(client.topics().delete("t")).await;
            lab.store.no_rule();
            if let Err(error) = deleted {
                panic!("{fault:?} of {request:?}: {error:?}");
            }
            lab.clock.jump(48 * HOUR);
            client.topics().delete("t").await.unwrap();
            assert!(lab.store.keys("data/").is_empty(), "{fault:?} of {request:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn partitions_that_are_not_used_cost_nothing() {
    let lab = Lab::new();
    let client = lab.client().await;
    let config = TopicConfig::new().partitions(10_000);
    client.topics().create("t", config).await.unwrap();
    assert_eq!(lab.store.keys("").len(), 1);
    assert_eq!(client.topics().describe("t").await.unwrap().partitions, 10_000);
    let producer = client.producer("t").build().await.unwrap();
    for partition in [0, 4711, 9999] {
        let record = Record::value("v").partition(partition);
        assert_eq!(producer.send(record).await.unwrap().partition, partition);
    }
    // The topic, and an `open` and a slot for each.
    assert_eq!(lab.store.keys("").len(), 1 + 2 * 3);
    producer.close().await.unwrap();
    assert_eq!(lab.store.keys("").len(), 1 + 4 * 3);
    assert_eq!(client.offsets("t").latest(4711).await.unwrap(), 1);
    let mut consumer =
        client.consumer().assign("t", [9999, 5]).until(Until::Latest).build().await.unwrap();
    assert_eq!(read_on(&mut consumer).await.0.len(), 1);
    let mut consumer = client.consumer().topic("t").until(Until::Latest).build().await.unwrap();
    assert_eq!(read_on(&mut consumer).await.0.len(), 3);
    assert_eq!(consumer.positions().len(), 10_000);
}

#[tokio::test(start_paused = true)]
async fn a_writer_that_never_wrote_leaves_nothing_and_hides_nothing() {
    let lab = Lab::new();
    let client = lab.client().await;
    client.topics().create("t", TopicConfig::new()).await.unwrap();
    let idle = client.producer("t").build().await.unwrap();
    idle.flush().await.unwrap();
    idle.close().await.unwrap();
    assert_eq!(lab.store.keys("").len(), 1);
    // One that was stopped after it had opened the block and before it put anything.
    lab.store.always(Fault::Deny, |r| r.op == Op::Put && r.key.starts_with("data/"));
    let stopped = lab.client().await.producer("t").build().await.unwrap();
    stopped.send(Record::value("never")).await.unwrap_err();
    lab.store.no_rule();
    assert_eq!(lab.store.keys("").len(), 2);
    let offsets_of = client.offsets("t");
    assert_eq!(offsets_of.earliest(0).await.unwrap(), 0);
    assert_eq!(offsets_of.latest(0).await.unwrap(), 0);
    assert_eq!(offsets_of.at(0, 0).await.unwrap(), 0);
    assert!(read_all(&client, "t").await.is_empty());
    let mut following = client.consumer().topic("t").start(Start::Latest).build().await.unwrap();
    assert!(following.poll(1, SECOND).await.unwrap().is_empty());
    stopped.close().await.unwrap();
    let producer = client.producer("t").build().await.unwrap();
    assert_eq!(producer.send(Record::value("0")).await.unwrap().offset, 0);
    assert_eq!(values(&within(following.poll(1, SECOND)).await.unwrap()), ["0"]);
    assert_eq!(client.verify("t", |_| {}).await.unwrap().issues, []);
}
