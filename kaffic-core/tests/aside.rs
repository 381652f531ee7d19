//! Big batches that lost a race: they are uploaded once, and what the log holds is the same as ever.
#![expect(clippy::unwrap_used, reason = "helpers fail a test as its own lines do")]

mod support;

use futures_util::future::join;
use kaffic_core::{ErrorKind, Kaffic, Producer, Record, ResetPolicy, Start, TopicConfig, Until};
use std::sync::Arc;
use support::format::{block_dir, slot_key};
use support::lab::{BEGIN_MS, Fault, HOUR, Lab, Op, SECOND, pause, within};
use support::{assert_log, offsets, read_on, values};

const BIG: usize = 300 << 10;

fn big(letter: char) -> String {
    letter.to_string().repeat(BIG)
}

async fn producer(client: &Kaffic) -> Producer {
    client.producer("t").compaction(false).build().await.unwrap()
}

/// A log in which every other batch is big and was put aside: "a", big, "b", big, "c", big …
async fn written(lab: &Lab, slots: u32, rounds: usize) -> Vec<String> {
    let client = lab.client().await;
    client.topics().create("t", TopicConfig::new().slots_per_block(slots)).await.unwrap();
    let (one, two) = (producer(&client).await, producer(&lab.client().await).await);
    two.send(Record::value("first").timestamp(BEGIN_MS)).await.unwrap();
    let mut expected = vec!["first".to_owned()];
    for round in 0..rounds {
        let letter = char::from(b'a' + round as u8);
        let at = BEGIN_MS + 10 * round as i64;
        // The second has not seen it, and loses.
        one.send(Record::value(letter.to_string()).timestamp(at + 5)).await.unwrap();
        two.send(Record::value(big(letter)).timestamp(at + 10)).await.unwrap();
        expected.extend([letter.to_string(), big(letter)]);
    }
    one.close().await.unwrap();
    two.close().await.unwrap();
    expected
}

/// Two writers of which the second has not seen the newest slot, and loses its next race.
async fn a_race_to_be_lost(lab: &Lab) -> (Producer, Producer) {
    let client = lab.client().await;
    client.topics().create("t", TopicConfig::new()).await.unwrap();
    let (one, two) = (producer(&client).await, producer(&lab.client().await).await);
    two.send(Record::value("0")).await.unwrap();
    one.send(Record::value("1")).await.unwrap();
    (one, two)
}

fn asides(lab: &Lab) -> Vec<String> {
    lab.store.keys("data/").into_iter().filter(|key| key.ends_with(".batch")).collect()
}

#[tokio::test(start_paused = true)]
async fn a_big_batch_that_lost_is_raced_for_by_a_small_slot() {
    let lab = Lab::new();
    let (one, two) = a_race_to_be_lost(&lab).await;
    lab.store.take_requests();
    two.send(Record::value(big('x'))).await.unwrap();
    let puts: Vec<String> =
        lab.store.take_requests().into_iter().filter(|r| r.op == Op::Put).map(|r| r.key).collect();
    let aside = asides(&lab).pop().unwrap();
    assert_eq!(puts, [slot_key("t", 0, 1), aside.clone(), slot_key("t", 0, 2)]);
    assert_eq!(lab.store.object(&slot_key("t", 0, 2)).len(), 125);
    assert!(lab.store.object(&aside).len() > BIG);
    // One that was not lost, and one that is small, go as ever.
    two.send(Record::value(big('y'))).await.unwrap();
    one.send(Record::value("z")).await.unwrap();
    assert_eq!(asides(&lab).len(), 1);
    assert_log(&lab, &["0", "1", &big('x'), &big('y'), "z"]).await;
}

/// However often it loses in a block, it is uploaded aside once, and once more in the next block.
#[tokio::test(start_paused = true)]
async fn a_batch_is_put_aside_once_a_block() {
    for (slots, expected) in [(1000, 1), (10, 2)] {
        let lab = Lab::new();
        let client = lab.client().await;
        client.topics().create("t", TopicConfig::new().slots_per_block(slots)).await.unwrap();
        let slow = producer(&client).await;
        slow.send(Record::value("0")).await.unwrap();
        let other = Arc::new(producer(&lab.client().await).await);
        other.send(Record::value("1")).await.unwrap();
        // Each put of a slot by the slow one comes after one of the other's.
        let racing = {
            let other = Arc::clone(&other);
            async move {
                for number in 0..12 {
                    other.send(Record::value(format!("{number}"))).await.unwrap();
                }
            }
        };
        let mut delayed = 0;
        lab.store.rule(move |request| {
            let is_slot = request.puts_slot() && !request.key.ends_with(".batch");
            delayed += u32::from(is_slot);
            // Some arrive late, whoever's they are.
            match is_slot && delayed % 2 == 1 {
                true => Fault::Delay(SECOND / 10),
                false => Fault::None,
            }
        });
        let (_, sent) = within(join(racing, slow.send(Record::value(big('x'))))).await;
        sent.unwrap();
        lab.store.no_rule();
        assert!((1..=expected).contains(&asides(&lab).len()), "{:?}", asides(&lab));
        let read = support::read_all(&client, "t").await;
        assert_eq!(read.len(), 15);
        assert_eq!(read.iter().filter(|r| r.value.as_ref().unwrap().len() == BIG).count(), 1);
        assert_eq!(client.verify("t", |_| {}).await.unwrap().issues, []);
    }
}

/// It loses the last slot of a block, too: what the next block refers to has to be of that block,
/// since it stays as long as the slots do.
#[tokio::test(start_paused = true)]
async fn in_the_next_block_it_is_put_aside_anew() {
    let lab = Lab::new();
    let client = lab.client().await;
    client.topics().create("t", TopicConfig::new().slots_per_block(3)).await.unwrap();
    let (one, two) = (producer(&client).await, producer(&lab.client().await).await);
    two.send(Record::value("0")).await.unwrap();
    one.send(Record::value("1")).await.unwrap();
    let last = slot_key("t", 0, 2);
    lab.store.once(Fault::Delay(SECOND), move |request| request.puts_slot() && request.key == last);
    let faster = async {
        // When the slow one's put of the last slot is under way.
        pause(SECOND / 2).await;
        one.send(Record::value("2")).await.unwrap();
    };
    let (sent, ()) = join(within(two.send(Record::value(big('x')))), faster).await;
    sent.unwrap();
    let blocks: Vec<String> =
        asides(&lab).iter().map(|key| key.rsplit_once('/').unwrap().0.to_owned()).collect();
    assert_eq!(blocks, [0, 1].map(|block| block_dir("t", block)));
    assert_log(&lab, &["0", "1", "2", &big('x')]).await;
}

#[tokio::test(start_paused = true)]
async fn it_is_found_by_offset_and_time() {
    let lab = Lab::new();
    let expected = written(&lab, 7, 10).await;
    assert!(asides(&lab).len() >= 8, "not where a block begins");
    assert_log(&lab, &expected).await;
    let client = lab.client().await;
    for n in 0..expected.len() as i64 {
        for start in [Start::Offset(n), Start::Timestamp(BEGIN_MS + 5 * n)] {
            let builder = client.consumer().topic("t").start(start).until(Until::Latest);
            let (records, error) = read_on(&mut builder.build().await.unwrap()).await;
            assert!(error.is_none(), "{error:?}");
            assert_eq!(offsets(&records), (n..expected.len() as i64).collect::<Vec<_>>());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn compaction_joins_them_and_sweeps_what_was_aside() {
    let lab = Lab::new();
    let mut expected = written(&lab, 50, 4).await;
    // Small on average, or the block would stay as it is.
    let client = lab.client().await;
    let small = producer(&client).await;
    for number in 0..30 {
        small.send(Record::value(number.to_string())).await.unwrap();
        expected.push(number.to_string());
    }
    small.close().await.unwrap();
    lab.clock.jump(15 * HOUR);
    let report = client.compact("t", |_| {}).await.unwrap();
    assert_eq!((report.compacted, report.remaining), (2, 0), "{report:?}");
    assert_log(&lab, &expected).await;
    assert_eq!(asides(&lab), [""; 0]);

    // Batches that are large on average stay where they are, and so does what they refer to.
    let lab = Lab::new();
    let client = lab.client().await;
    client.topics().create("t", TopicConfig::new()).await.unwrap();
    let (one, two) = (producer(&client).await, producer(&lab.client().await).await);
    for letter in ['a', 'b', 'c'] {
        one.send(Record::value(big(letter))).await.unwrap();
        two.send(Record::value(big(letter))).await.unwrap();
    }
    two.close().await.unwrap();
    let before = asides(&lab);
    assert!(before.len() >= 2, "{before:?}");
    lab.clock.jump(15 * HOUR);
    assert_eq!(client.compact("t", |_| {}).await.unwrap().segments, 0);
    assert_eq!(asides(&lab), before);
    assert_log(&lab, &['a', 'a', 'b', 'b', 'c', 'c'].map(big)).await;

    let lab = Lab::new();
    let client = lab.client().await;
    client.topics().create("t", TopicConfig::new().slots_per_block(40)).await.unwrap();
    let (one, two) = (producer(&client).await, producer(&lab.client().await).await);
    let mut expected = Vec::new();
    for number in 0..30 {
        one.send(Record::value(number.to_string())).await.unwrap();
        expected.push(number.to_string());
    }
    two.send(Record::value("two")).await.unwrap();
    one.send(Record::value("one")).await.unwrap();
    two.send(Record::value(big('x'))).await.unwrap();
    expected.extend(["two".to_owned(), "one".to_owned(), big('x')]);
    two.close().await.unwrap();
    assert_eq!(asides(&lab).len(), 1);
    lab.clock.jump(15 * HOUR);
    client.compact("t", |_| {}).await.unwrap();
    assert_eq!(lab.store.keys("data/").len(), 1, "one segment is left");
    assert_log(&lab, &expected).await;
}

#[tokio::test(start_paused = true)]
async fn deleting_and_trimming_remove_them_too() {
    let lab = Lab::new();
    written(&lab, 7, 10).await;
    let client = lab.client().await;
    lab.clock.jump(48 * HOUR);
    client.trim("t", kaffic_core::Trim::keep_bytes(0)).await.unwrap();
    assert_eq!(lab.store.keys("data/"), [""; 0]);
    let lab = Lab::new();
    written(&lab, 7, 10).await;
    lab.clock.jump(48 * HOUR);
    lab.client().await.topics().delete("t").await.unwrap();
    assert_eq!(asides(&lab), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn one_that_has_expired_is_a_loss_and_one_that_is_damaged_an_error() {
    let lab = Lab::new();
    let expected = written(&lab, 1000, 3).await;
    let client = lab.client().await;
    let aside = asides(&lab)[0].clone();
    let whole = lab.store.object(&aside);
    let read = |reset| {
        let builder = client.consumer().topic("t").until(Until::Latest).reset(reset);
        async move { read_on(&mut builder.build().await.unwrap()).await }
    };
    let mut damaged = whole.to_vec();
    damaged[BIG / 2] ^= 1;
    for bytes in [damaged, whole[..BIG / 2].to_vec(), b"foreign".to_vec(), Vec::new()] {
        lab.store.replace(&aside, bytes);
        let (records, error) = read(ResetPolicy::Earliest).await;
        let error = error.unwrap();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        assert!(error.to_string().contains("data/t/0/00000/000000000/000/00"), "{error}");
        assert!(records.len() < expected.len());
        assert_eq!(client.verify("t", |_| {}).await.unwrap().issues.len(), 1);
    }
    lab.clock.jump(48 * HOUR);
    lab.store.expire(&aside);
    let (records, error) = read(ResetPolicy::Earliest).await;
    assert!(error.is_none(), "{error:?}");
    let gone =
        expected.iter().position(|value| value.len() == BIG && !values(&records).contains(value));
    let mut left = expected.clone();
    left.remove(gone.unwrap());
    assert_eq!(values(&records), left);
    let (_, error) = read(ResetPolicy::Error).await;
    assert_eq!(error.unwrap().kind(), ErrorKind::OffsetOutOfRange);
    assert_eq!(client.verify("t", |_| {}).await.unwrap().issues, []);
}

/// Whatever single request fails, it is in the log once.
#[tokio::test(start_paused = true)]
async fn whatever_fails_it_is_there_once() {
    for fault in
        [Fault::Fail, Fault::LoseResponse, Fault::Exists, Fault::Stall, Fault::StallApplied]
    {
        for failing in 0..8 {
            let lab = Lab::new();
            let (_one, two) = a_race_to_be_lost(&lab).await;
            let mut number = 0;
            lab.store.rule(move |_| {
                number += 1;
                if number - 1 == failing { fault } else { Fault::None }
            });
            let sent = within(two.send(Record::value(big('x')))).await;
            lab.store.no_rule();
            lab.store.apply_stalled();
            sent.unwrap();
            assert_log(&lab, &["0", "1", &big('x')]).await;
        }
    }
}
