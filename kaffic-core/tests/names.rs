//! Named producers: of all instances of a name only the newest writes, and what the name has written
//! before is not written again, whatever happened in between.
#![expect(clippy::unwrap_used, reason = "helpers fail a test as its own lines do")]

mod support;

use futures_util::future::{join, join_all};
use kaffic_core::{ErrorKind, Kaffic, MinExpiry, Outcome, Producer, Record, TopicConfig};
use std::time::Duration;
use support::lab::{Chance, Counts, Fault, HOUR, Lab, Op, Request, SECOND, within};
use support::{assert_log, numbered, read_all, values};

async fn topic(lab: &Lab, config: TopicConfig) -> Kaffic {
    let client = lab.client().await;
    client.topics().create("t", config).await.unwrap();
    client
}

/// An instance of the name `n`, in a process of its own.
async fn instance(lab: &Lab) -> Producer {
    let builder = lab.client().await.producer("t").name("n").compaction(false);
    builder.build().await.unwrap()
}

fn given(sequence: i64) -> Record {
    Record::value(sequence.to_string()).sequence(sequence)
}

async fn assert_fenced(producer: &Producer) {
    for _ in 0..2 {
        let error = within(producer.send(Record::value("of the old one"))).await.unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Fenced, Outcome::NotWritten));
        assert!(error.to_string().contains("producer n (epoch 0)"), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_older_instance_is_fenced_where_the_newer_has_written() {
    let lab = Lab::new();
    topic(&lab, TopicConfig::new().partitions(2)).await;
    let old = instance(&lab).await;
    old.send(Record::value("a").partition(0)).await.unwrap();
    let new = instance(&lab).await;
    assert_eq!((old.epoch(), new.epoch()), (Some(0), Some(1)));
    // Nothing has happened in the log yet.
    old.send(Record::value("b").partition(0)).await.unwrap();
    new.send(Record::value("c").partition(0)).await.unwrap();
    let error = old.send(Record::value("d").partition(0)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Fenced);
    // One that comes to a partition finds the newer epoch without a fence.
    let error = old.send(Record::value("e").partition(1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Fenced);
    new.send(Record::value("f").partition(0)).await.unwrap();
    old.close().await.unwrap();
    let client = lab.client().await;
    assert_eq!(values(&read_all(&client, "t").await), ["a", "b", "c", "f"]);
}

#[tokio::test(start_paused = true)]
async fn a_fence_that_is_skipped_or_has_gone_holds_all_the_same() {
    for (slots, others, expires) in [
        // Walked over; skipped by a search of the tail; by an end that says more; gone.
        (1000, 0, false),
        (1000, 100, false),
        (7, 100, false),
        (5, 3, false),
        (1000, 0, true),
        (1000, 30, true),
        (5, 30, true),
    ] {
        let lab = Lab::new();
        let client = topic(&lab, TopicConfig::new().slots_per_block(slots)).await;
        let old = instance(&lab).await;
        old.send(Record::value("first")).await.unwrap();
        let new = instance(&lab).await;
        new.fence_all().await.unwrap();
        let other = client.producer("t").compaction(false).build().await.unwrap();
        for record in numbered(0..others) {
            other.send(record).await.unwrap();
        }
        if expires {
            lab.clock.jump(30 * HOUR);
            lab.store.expire("data/");
        }
        assert_fenced(&old).await;
    }
}

/// An older instance that learns of newer sequences by the end of its block, and is cut off before it
/// has found its next position, acknowledges none of them.
#[tokio::test(start_paused = true)]
async fn a_fenced_instance_that_was_cut_off_between_two_blocks_knows_no_duplicates() {
    let lab = Lab::new();
    let client = topic(&lab, TopicConfig::new()).await;
    let builder = lab.client().await.producer("t").name("n").compaction(false);
    let old = builder.delivery_timeout(20 * SECOND).build().await.unwrap();
    old.send(given(0)).await.unwrap();
    let new = instance(&lab).await;
    for sequence in 1..9 {
        new.send(given(sequence)).await.unwrap();
    }
    new.close().await.unwrap();
    // The fence is nowhere but in the block's index and segments.
    lab.clock.jump(15 * HOUR);
    client.compact("t", |_| {}).await.unwrap();
    lab.store.always(Fault::Stall, |request| request.key.ends_with("/001/open"));
    let error = within(old.send(given(1))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    lab.store.no_rule();
    let error = within(old.send(given(1))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Fenced);
}

#[tokio::test(start_paused = true)]
async fn all_partitions_are_fenced_at_once() {
    let lab = Lab::new();
    topic(&lab, TopicConfig::new().partitions(40)).await;
    let old = instance(&lab).await;
    for partition in 0..40 {
        old.send(Record::value("a").partition(partition)).await.unwrap();
    }
    let new = instance(&lab).await;
    new.fence_all().await.unwrap();
    for partition in 0..40 {
        let error = old.send(Record::value("b").partition(partition)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Fenced);
    }
    assert_eq!(read_all(&lab.client().await, "t").await.len(), 40);
}

#[tokio::test(start_paused = true)]
async fn what_was_written_before_is_a_duplicate() {
    let lab = Lab::new();
    topic(&lab, TopicConfig::new()).await;
    let producer = instance(&lab).await;
    assert_eq!(producer.last_sequence(0).await.unwrap(), None);
    for sequence in [3, 5, 9] {
        let ack = producer.send(given(sequence)).await.unwrap();
        assert!(!ack.duplicate && ack.offset >= 0);
    }
    for sequence in [0, 3, 4, 9] {
        let ack = producer.send(given(sequence)).await.unwrap();
        assert!(ack.duplicate && ack.offset == -1, "{sequence}");
    }
    assert_eq!(producer.last_sequence(0).await.unwrap(), Some(9));
    // In one batch some are and some are not.
    let tickets = [7, 9, 10, 12].map(|sequence| producer.enqueue(given(sequence)));
    let mut acks = Vec::new();
    for ticket in tickets {
        acks.push(ticket.await.unwrap());
    }
    let mut got = Vec::new();
    for ack in acks {
        let ack = ack.await.unwrap();
        got.push((ack.duplicate, ack.offset));
    }
    assert_eq!(got, [(true, -1), (true, -1), (false, 3), (false, 4)]);
    let batch = (11..15).map(given).collect();
    let ack = producer.append(0, batch, None).await.unwrap();
    assert_eq!((ack.duplicate, ack.offset), (true, -1));
    // Records without a sequence are in between, and those in any order are batches of their own.
    producer.enqueue(Record::value("none")).await.unwrap().await.unwrap();
    let tickets = [given(16), given(15), Record::value("no"), given(17)];
    for record in tickets {
        producer.enqueue(record).await.unwrap().await.unwrap();
    }
    let expected = ["3", "5", "9", "10", "12", "13", "14", "none", "16", "no", "17"];
    assert_log(&lab, &expected).await;
}

/// The last sequence is known after any number of blocks, seals, other writers and compactions.
#[tokio::test(start_paused = true)]
async fn the_last_sequence_outlives_blocks_and_records() {
    for (others, close, later) in [
        (0, true, "at once"),
        (0, false, "at once"),
        (3, false, "at once"),
        (100, true, "at once"),
        (100, false, "compacted"),
        (0, true, "compacted"),
        (100, false, "expired"),
        (0, true, "expired"),
    ] {
        let lab = Lab::new();
        let client = topic(&lab, TopicConfig::new().slots_per_block(7)).await;
        let old = instance(&lab).await;
        for sequence in 0..20 {
            old.send(given(sequence)).await.unwrap();
        }
        if close {
            old.close().await.unwrap();
        }
        let other = client.producer("t").compaction(false).build().await.unwrap();
        for record in numbered(0..others) {
            other.send(record).await.unwrap();
        }
        match later {
            "compacted" => {
                lab.clock.jump(15 * HOUR);
                client.compact("t", |_| {}).await.unwrap();
            }
            "expired" => {
                lab.clock.jump(48 * HOUR);
                lab.store.expire("data/");
            }
            _ => {}
        }
        let case = (others, close, later);
        let new = instance(&lab).await;
        assert_eq!(new.last_sequence(0).await.unwrap(), Some(19), "{case:?}");
        assert!(new.send(given(19)).await.unwrap().duplicate, "{case:?}");
        assert!(!new.send(given(20)).await.unwrap().duplicate, "{case:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_whose_fate_was_unknown_is_written_once() {
    for (fault, late) in [
        (Fault::Stall, true),
        (Fault::Stall, false),
        (Fault::StallApplied, false),
        (Fault::LoseResponse, false),
    ] {
        for number in 0..6 {
            let lab = Lab::new();
            topic(&lab, TopicConfig::new().slots_per_block(3)).await;
            let builder = lab.client().await.producer("t").name("n").compaction(false);
            let producer = builder.delivery_timeout(90 * SECOND).build().await.unwrap();
            for sequence in 0..number {
                producer.send(given(sequence)).await.unwrap();
            }
            // As long as the first try of it lasts.
            lab.store.always(fault, Request::puts_slot);
            let first = producer.send(given(number)).await;
            lab.store.no_rule();
            if late {
                lab.store.apply_stalled();
            }
            if let Err(error) = first {
                assert_eq!(error.kind(), ErrorKind::Timeout);
                // Not a later one, lest this one be taken for a duplicate.
                let error = producer.send(given(number + 1)).await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::InvalidArgument);
                producer.send(given(number)).await.unwrap();
            }
            producer.send(given(number + 1)).await.unwrap();
            let expected: Vec<String> = (0..number + 2).map(|n| n.to_string()).collect();
            assert_log(&lab, &expected).await;
        }
    }
}

/// Its block was ended with an unknown verdict while it was under way, and others have written since.
#[tokio::test(start_paused = true)]
async fn a_batch_that_was_late_is_found_behind_a_tail_that_was_searched() {
    let lab = Lab::new();
    topic(&lab, TopicConfig::new()).await;
    let builder = lab.client().await.producer("t").name("n").compaction(false);
    let producer = builder.delivery_timeout(48 * HOUR).build().await.unwrap();
    for sequence in 0..5 {
        producer.send(given(sequence)).await.unwrap();
    }
    lab.store.once(Fault::StallApplied, Request::puts_slot);
    let others = async {
        lab_sleep(Duration::from_millis(1)).await;
        lab.clock.jump(23 * HOUR);
        let other = lab.client().await.producer("t").compaction(false).build().await.unwrap();
        other.send(Record::value("other")).await.unwrap();
        other
    };
    // The other one stays, and its block is not ended.
    let (sent, _other) = join(within(producer.send(given(5))), others).await;
    assert_eq!(sent.unwrap_err().outcome(), Outcome::Unknown);
    assert!(producer.send(given(5)).await.unwrap().duplicate);
    let records = read_all(&lab.client().await, "t").await;
    assert_eq!(values(&records), ["0", "1", "2", "3", "4", "5", "other"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_behind_a_sequence_that_failed_fails_too() {
    let lab = Lab::new();
    topic(&lab, TopicConfig::new()).await;
    let builder = lab.client().await.producer("t").name("n").batch_bytes(1024);
    let producer = builder.delivery_timeout(60 * SECOND).build().await.unwrap();
    producer.send(given(0)).await.unwrap();
    lab.store.always(Fault::Fail, Request::puts_slot);
    let mut tickets = Vec::new();
    for sequence in 1..100 {
        let record = Record::value(vec![b'x'; 200]).sequence(sequence);
        tickets.push(producer.enqueue(record).await.unwrap());
    }
    for ticket in tickets {
        within(ticket).await.unwrap_err();
    }
    lab.store.no_rule();
    assert_eq!(producer.last_sequence(0).await.unwrap(), Some(0));
    producer.send(given(2)).await.unwrap_err();
    // One that was acknowledged does not stand for the one that failed.
    assert!(producer.send(given(0)).await.unwrap().duplicate);
    producer.send(given(2)).await.unwrap_err();
    producer.send(given(1)).await.unwrap();
    producer.send(given(2)).await.unwrap();
    assert_log(&lab, &["0", "1", "2"]).await;
}

/// Whatever single request fails, and however, a program that sends until it hears that its record
/// is there gets each into the log once.
#[tokio::test(start_paused = true)]
async fn whatever_fails_each_sequence_is_there_once() {
    for fault in
        [Fault::Fail, Fault::LoseResponse, Fault::Exists, Fault::Stall, Fault::StallApplied]
    {
        for failing in 0..60 {
            let lab = Lab::new();
            topic(&lab, TopicConfig::new().slots_per_block(3)).await;
            let mut number = 0;
            lab.store.rule(move |_| {
                number += 1;
                if number - 1 == failing { fault } else { Fault::None }
            });
            for instance in 0..3 {
                copy(&lab, instance).await;
            }
            lab.store.apply_stalled();
            assert_log(&lab, &["0", "1", "2", "3", "4", "5"]).await;
        }
    }
}

/// An instance that goes on where the one before it stopped, and stops in the middle.
async fn copy(lab: &Lab, instance: i64) {
    let client = lab.client().await;
    let builder = || client.producer("t").name("n").delivery_timeout(60 * SECOND);
    let Some(producer) = tries(|| async { builder().build().await.ok() }).await else { return };
    let last = tries(|| async { producer.last_sequence(0).await.ok() }).await;
    let next = last.flatten().map_or(0, |last| last + 1);
    for sequence in next..(instance + 1) * 2 {
        tries(|| async { producer.send(given(sequence)).await.ok() }).await;
    }
}

async fn tries<T, F: Future<Output = Option<T>>>(mut what: impl FnMut() -> F) -> Option<T> {
    for _ in 0..5 {
        let done = within(what()).await;
        if done.is_some() {
            return done;
        }
    }
    None
}

#[tokio::test(start_paused = true)]
async fn two_instances_at_once_write_no_sequence_twice() {
    for seed in 0..50 {
        let lab = Lab::seeded(seed);
        topic(&lab, TopicConfig::new().slots_per_block(3)).await;
        let chance = Chance::new(seed);
        let mut tasks = Vec::new();
        for _ in 0..3 {
            let client = lab.client().await;
            let pause = Duration::from_millis(chance.below(40));
            tasks.push(async move {
                lab_sleep(pause).await;
                let producer = client.producer("t").name("n").build().await.unwrap();
                let Ok(last) = producer.last_sequence(0).await else { return };
                for sequence in last.map_or(0, |last| last + 1)..20 {
                    lab_sleep(Duration::from_millis(2)).await;
                    match producer.send(given(sequence)).await {
                        Ok(ack) => assert!(!ack.duplicate),
                        Err(error) => {
                            assert_eq!(error.kind(), ErrorKind::Fenced);
                            return;
                        }
                    }
                }
            });
        }
        within(join_all(tasks)).await;
        let records = read_all(&lab.client().await, "t").await;
        let expected: Vec<String> = (0..20).map(|n| n.to_string()).collect();
        assert_eq!(values(&records), expected, "seed {seed}");
    }
}

#[expect(clippy::disallowed_methods, reason = "the laboratory's own time")]
async fn lab_sleep(time: Duration) {
    tokio::time::sleep(time).await;
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_is_adopted_knows_the_sequences() {
    let lab = Lab::new();
    let client = topic(&lab, TopicConfig::new().slots_per_block(5)).await;
    let producer = instance(&lab).await;
    for sequence in 0..13 {
        producer.send(given(sequence)).await.unwrap();
    }
    // Copied: all stamps are another time's.
    lab.clock.jump(2 * HOUR);
    for key in lab.store.keys("") {
        lab.store.set_stamp_ms(&key, lab.clock.now_ms());
    }
    assert_eq!(client.adopt("t", false).await.unwrap().ended.len(), 1);
    assert_eq!(instance(&lab).await.last_sequence(0).await.unwrap(), Some(12));
}

#[tokio::test(start_paused = true)]
async fn a_name_costs_few_requests() {
    let lab = Lab::new();
    topic(&lab, TopicConfig::new()).await;
    let plain = lab.client().await.producer("t").build().await.unwrap();
    plain.send(Record::value("0")).await.unwrap();
    let client = lab.client().await;
    client.producer("t").build().await.unwrap();
    lab.store.take_requests();
    let producer = client.producer("t").name("n").build().await.unwrap();
    // The topic: a list and a get. The name: a list and a put.
    assert_eq!(lab.store.take_counts(), Counts { lists: 2, gets: 1, puts: 1, deletes: 0 });
    producer.send(given(0)).await.unwrap();
    let counts = lab.store.take_counts();
    // The tail: three lists, three gets. The epoch: a get. The fence: a put and a get. The block's
    // one header that was not read is the fence's and the tail's, so the sequence costs nothing.
    assert_eq!((counts.lists, counts.gets, counts.puts), (3, 5, 2));
    for sequence in 1..900 {
        producer.send(given(sequence)).await.unwrap();
    }
    assert_eq!(lab.store.take_counts(), Counts { puts: 899, ..Counts::default() });
}

#[tokio::test(start_paused = true)]
async fn a_child_of_a_fork_may_not_use_the_name() {
    let lab = Lab::new();
    topic(&lab, TopicConfig::new()).await;
    let env = lab.env();
    let client = lab.client_in(&env).await;
    let producer = client.producer("t").name("n").build().await.unwrap();
    producer.send(Record::value("a")).await.unwrap();
    env.fork();
    let error = producer.send(Record::value("b")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
    assert!(error.to_string().contains("forked"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn bad_names_and_sequences_are_errors() {
    let lab = Lab::new();
    let config = TopicConfig::new().min_expiry(MinExpiry::Never);
    let client = topic(&lab, config).await;
    for name in ["", ".", "a/b", "ü", &"x".repeat(250)] {
        let error = client.producer("t").name(name).build().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{name}");
        assert!(error.to_string().contains("producer name"), "{error}");
    }
    let plain = client.producer("t").build().await.unwrap();
    for error in [
        plain.send(given(1)).await.unwrap_err(),
        plain.last_sequence(0).await.unwrap_err(),
        plain.fence_all().await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.to_string().contains("name"), "{error}");
    }
    let named = instance(&lab).await;
    for error in [
        named.send(given(-1)).await.unwrap_err(),
        named.last_sequence(1).await.unwrap_err(),
        named.append(0, vec![given(2), given(1)], None).await.unwrap_err(),
        named.append(0, vec![given(2), Record::value("x")], None).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
    }
    lab.store.take_requests();
    lab.store.always(Fault::Fail, |request| request.op == Op::Put);
    named.close().await.unwrap();
    assert_eq!(named.fence_all().await.unwrap_err().kind(), ErrorKind::Closed);
}
