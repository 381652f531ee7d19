//! Consumer groups through the public API: who gets what, what is committed, and what happens when
//! members come, go, die and come back.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use kaffic_core::{
    Consumer, ConsumerBuilder, ErrorKind, Kaffic, OffsetCommit, OffsetReset, PartitionPosition,
    RangeAssignor, RebalanceListener, Record, ResetTo, Start, TopicConfig, Until,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::lab::{Fault, HOUR, Lab, Op, Request, SECOND, pause, within};

const SESSION: Duration = Duration::from_secs(10);
const HEARTBEAT: Duration = Duration::from_secs(1);

fn member(client: &Kaffic) -> ConsumerBuilder {
    client
        .consumer()
        .group("g")
        .session_timeout(SESSION)
        .heartbeat_interval(HEARTBEAT)
        .fetch_max_wait(Duration::from_secs(1))
}

async fn topic(client: &Kaffic, name: &str, partitions: u32) {
    client.topics().create(name, TopicConfig::new().partitions(partitions)).await.unwrap();
}

async fn fill(client: &Kaffic, topic: &str, partitions: u32, each: i64) {
    let producer = client.producer(topic).compaction(false).build().await.unwrap();
    for partition in 0..partitions {
        for n in 0..each {
            let record = Record::value(n.to_string()).partition(partition);
            producer.send(record).await.unwrap();
        }
    }
    producer.close().await.unwrap();
}

/// Polls everybody in turn for a while; says what each was given.
async fn poll_all(consumers: &mut [Consumer], time: Duration) -> Vec<Vec<(u32, i64)>> {
    let mut out = vec![Vec::new(); consumers.len()];
    let until = tokio_now() + time;
    while tokio_now() < until {
        for (consumer, out) in consumers.iter_mut().zip(&mut out) {
            let wait = Duration::from_millis(20);
            for record in within(consumer.poll(100, wait)).await.unwrap() {
                out.push((record.partition, record.offset));
            }
        }
    }
    out
}

/// So many records, and no poll more; says their offsets.
async fn poll_once(consumer: &mut Consumer, count: usize) -> Vec<i64> {
    let mut offsets = Vec::new();
    while offsets.len() < count {
        let left = count - offsets.len();
        let records = within(consumer.poll(left, 10 * SECOND)).await.unwrap();
        offsets.extend(records.iter().map(|record| record.offset));
    }
    offsets
}

#[expect(clippy::disallowed_methods, reason = "the test's own, paused clock")]
fn tokio_now() -> tokio::time::Instant {
    tokio::time::Instant::now()
}

fn partitions(consumer: &Consumer) -> BTreeSet<u32> {
    consumer.positions().iter().map(|position| position.partition).collect()
}

fn spread(consumers: &[Consumer]) -> Vec<usize> {
    consumers.iter().map(|consumer| consumer.positions().len()).collect()
}

/// Every partition has one owner, and nobody has two more than another.
fn assert_even(consumers: &[Consumer], partitions_in_all: usize) {
    let spread = spread(consumers);
    let all: BTreeSet<u32> = consumers.iter().flat_map(partitions).collect();
    assert_eq!(spread.iter().sum::<usize>(), partitions_in_all, "{spread:?}");
    assert_eq!(all.len(), partitions_in_all, "{spread:?}");
    assert!(spread.iter().max().unwrap() - spread.iter().min().unwrap() <= 1, "{spread:?}");
}

#[tokio::test(start_paused = true)]
async fn one_member_reads_everything_commits_and_goes_on_where_it_was() {
    let lab = Lab::new();
    let client = lab.client().await;
    topic(&client, "t", 3).await;
    fill(&client, "t", 3, 5).await;
    let mut consumer = member(&client).subscribe(["t"]).build().await.unwrap();
    let mut seen = Vec::new();
    while seen.len() < 15 {
        let record = within(consumer.next()).await.unwrap().unwrap();
        seen.push((record.partition, record.offset));
    }
    seen.sort_unstable();
    let expected: Vec<_> = (0..3).flat_map(|p| (0..5).map(move |o| (p, o))).collect();
    assert_eq!(seen, expected);
    consumer.commit().await.unwrap();
    let committed = consumer.committed().await.unwrap();
    assert!(committed.iter().all(|c| c.offset == 5) && committed.len() == 3, "{committed:?}");
    consumer.close().await.unwrap();
    fill(&client, "t", 3, 1).await;
    let mut consumer = member(&client).subscribe(["t"]).build().await.unwrap();
    let mut again = Vec::new();
    while again.len() < 3 {
        again.push(within(consumer.next()).await.unwrap().unwrap().offset);
    }
    assert_eq!(again, [5, 5, 5]);
}

#[tokio::test(start_paused = true)]
async fn members_share_partitions_and_those_who_leave_give_theirs_up() {
    let lab = Lab::new();
    let client = lab.client().await;
    topic(&client, "t", 7).await;
    fill(&client, "t", 7, 3).await;
    let mut consumers = Vec::new();
    let mut seen = BTreeMap::new();
    for n in 1..=4 {
        consumers.push(member(&lab.client().await).subscribe(["t"]).build().await.unwrap());
        for record in poll_all(&mut consumers, 8 * SECOND).await.concat() {
            *seen.entry(record).or_insert(0) += 1;
        }
        assert_eq!(consumers.len(), n);
        assert_even(&consumers, 7);
    }
    // Nothing was skipped, and since all was polled and committed before it was given up, nothing
    // came twice.
    assert_eq!(seen.len(), 21);
    assert!(seen.values().all(|times| *times == 1), "{seen:?}");
    while consumers.len() > 1 {
        consumers.remove(0).close().await.unwrap();
        assert!(poll_all(&mut consumers, 4 * SECOND).await.concat().is_empty());
        assert_even(&consumers, 7);
    }
    let group = client.groups().describe("g").await.unwrap();
    assert_eq!(group.members.len(), 1);
    assert!(group.partitions.iter().all(|p| p.lag == Some(0)), "{group:?}");
}

#[tokio::test(start_paused = true)]
async fn a_crashed_members_partitions_are_taken_over_after_its_session() {
    // Whoever looked only at its heartbeats would be almost one too late.
    let session = SESSION + Duration::from_millis(100);
    // At whatever point of the others' heartbeats it crashes.
    for (count, phase) in [0, 170, 390, 610, 830].into_iter().flat_map(|p| [(2, p), (3, p)]) {
        let lab = Lab::new();
        let client = lab.client().await;
        topic(&client, "t", 6).await;
        let mut consumers = Vec::new();
        for _ in 0..count {
            let builder = member(&lab.client().await).subscribe(["t"]).session_timeout(session);
            consumers.push(builder.build().await.unwrap());
            poll_all(&mut consumers, Duration::from_millis(phase)).await;
        }
        poll_all(&mut consumers, 10 * SECOND).await;
        assert_even(&consumers, 6);
        drop(consumers.remove(1));
        let crashed = tokio_now();
        // It was seen to live a heartbeat later, and others hear of its end another one later.
        let most = session + (count - 1) * HEARTBEAT + Duration::from_millis(100);
        while spread(&consumers).iter().sum::<usize>() < 6 {
            poll_all(&mut consumers, Duration::from_millis(20)).await;
            assert!(crashed.elapsed() <= most, "{count}, {phase}: {:?}", spread(&consumers));
        }
        assert!(crashed.elapsed() >= session - HEARTBEAT, "{phase}: {:?}", crashed.elapsed());
        poll_all(&mut consumers, 3 * SECOND).await;
        assert_even(&consumers, 6);
    }
}

#[tokio::test(start_paused = true)]
async fn a_leaving_members_partitions_are_taken_over_within_two_polls() {
    let lab = Lab::new();
    let client = lab.client().await;
    topic(&client, "t", 6).await;
    let mut consumers = Vec::new();
    for _ in 0..3 {
        consumers.push(member(&lab.client().await).subscribe(["t"]).build().await.unwrap());
    }
    poll_all(&mut consumers, 10 * SECOND).await;
    assert_even(&consumers, 6);
    consumers.remove(1).close().await.unwrap();
    // Members look at their group's log once a heartbeat.
    poll_all(&mut consumers, 2 * HEARTBEAT).await;
    assert_even(&consumers, 6);
}

#[tokio::test(start_paused = true)]
async fn three_neighbours_who_die_at_once_are_replaced_as_fast_as_one() {
    let lab = Lab::new();
    let client = lab.client().await;
    topic(&client, "t", 12).await;
    let mut consumers = Vec::new();
    for _ in 0..6 {
        consumers.push(member(&lab.client().await).subscribe(["t"]).build().await.unwrap());
    }
    poll_all(&mut consumers, 20 * SECOND).await;
    assert_even(&consumers, 12);
    consumers.sort_by_key(|consumer| consumer.member_name().unwrap().to_owned());
    consumers.drain(1..4);
    poll_all(&mut consumers, SESSION + 3 * HEARTBEAT).await;
    assert_eq!(client.groups().describe("g").await.unwrap().members.len(), 3);
    assert_even(&consumers, 12);
}

/// A process that stands still for longer than its session: its commit fails, it hears what it lost,
/// and it goes on as a new member.
#[tokio::test(start_paused = true)]
async fn a_zombies_commit_is_fenced_and_it_comes_back() {
    let lab = Lab::new();
    let client = lab.client().await;
    topic(&client, "t", 2).await;
    fill(&client, "t", 2, 10).await;
    let heard = Heard::default();
    let zombie = lab.client().await;
    let builder = member(&zombie).subscribe(["t"]).auto_commit(None);
    let mut zombie = builder.rebalance_listener(heard.clone()).build().await.unwrap();
    let mut got = 0;
    while got < 20 {
        got += within(zombie.poll(100, SECOND)).await.unwrap().len();
    }
    // Its heartbeats do not arrive, and it hears of nothing.
    let name = zombie.member_name().unwrap().to_owned();
    let key = format!("heartbeats/{name}");
    lab.store.always(Fault::Fail, move |r| r.op == Op::Put && r.key.ends_with(&key));
    let mut other = [member(&client).subscribe(["t"]).build().await.unwrap()];
    let records = poll_all(&mut other, SESSION + 5 * SECOND).await.concat();
    assert_eq!(records.len(), 20, "what was not committed is delivered again");
    let error = zombie.commit().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Fenced, "{error}");
    assert!(!error.is_retriable());
    lab.store.no_rule();
    other[0].commit().await.unwrap();
    let mut both = [zombie, other.into_iter().next().unwrap()];
    assert!(poll_all(&mut both, 5 * SECOND).await.concat().is_empty());
    assert_even(&both, 2);
    let heard = heard.0.lock().unwrap().clone();
    assert!(heard.contains(&"lost 2".to_owned()), "{heard:?}");
    for committed in client.groups().committed("g").await.unwrap() {
        assert_eq!(committed.offset, 10);
    }
}

/// It need not have tried to commit to hear of it, and begins where the group has committed.
#[tokio::test(start_paused = true)]
async fn who_was_put_out_and_came_back_begins_anew() {
    let lab = Lab::new();
    let client = lab.client().await;
    topic(&client, "t", 1).await;
    fill(&client, "t", 1, 5).await;
    let heard = Heard::default();
    let builder = member(&client).subscribe(["t"]).auto_commit(None);
    let mut zombie = builder.rebalance_listener(heard.clone()).build().await.unwrap();
    assert_eq!(poll_once(&mut zombie, 5).await.len(), 5);
    let mut other = [member(&lab.client().await).subscribe(["t"]).build().await.unwrap()];
    let key = format!("heartbeats/{}", zombie.member_name().unwrap());
    lab.store.always(Fault::Fail, move |r| r.op == Op::Put && r.key.ends_with(&key));
    poll_all(&mut other, SESSION + 5 * SECOND).await;
    // It joined again at once, and was given nothing or all by now.
    lab.store.no_rule();
    let [other] = other;
    other.close().await.unwrap();
    fill(&client, "t", 1, 1).await;
    let offsets = poll_once(&mut zombie, 1).await;
    assert_eq!(offsets, [5], "{:?}", heard.0.lock().unwrap());
    assert!(heard.0.lock().unwrap().contains(&"lost 1".to_owned()), "{heard:?}");
}

#[derive(Debug, Clone, Default)]
struct Heard(Arc<Mutex<Vec<String>>>);

impl Heard {
    fn hear(&self, what: &str, partitions: &[PartitionPosition]) {
        self.0.lock().unwrap().push(format!("{what} {}", partitions.len()));
    }
}

impl RebalanceListener for Heard {
    fn assigned(&self, partitions: &[PartitionPosition]) {
        self.hear("assigned", partitions);
    }

    fn revoked(&self, partitions: &[PartitionPosition]) -> Vec<OffsetCommit> {
        self.hear("revoked", partitions);
        let commit = |p: &PartitionPosition| {
            OffsetCommit::new(&*p.topic, p.partition, p.offset).metadata("by the listener")
        };
        partitions.iter().map(commit).collect()
    }

    fn lost(&self, partitions: &[PartitionPosition]) {
        self.hear("lost", partitions);
    }
}

#[tokio::test(start_paused = true)]
async fn a_listener_hears_of_partitions_and_commits_what_it_gives_up() {
    let lab = Lab::new();
    let client = lab.client().await;
    topic(&client, "t", 2).await;
    fill(&client, "t", 2, 4).await;
    let heard = Heard::default();
    let builder = member(&client).subscribe(["t"]).auto_commit(None);
    let mut consumers = vec![builder.rebalance_listener(heard.clone()).build().await.unwrap()];
    assert_eq!(poll_all(&mut consumers, 5 * SECOND).await.concat().len(), 8);
    consumers.push(member(&lab.client().await).subscribe(["t"]).build().await.unwrap());
    let after = poll_all(&mut consumers, 5 * SECOND).await;
    assert!(after.concat().is_empty(), "{after:?}");
    let heard = heard.0.lock().unwrap().clone();
    assert_eq!(heard.last().map(String::as_str), Some("revoked 1"), "{heard:?}");
    let committed = client.groups().committed("g").await.unwrap();
    assert_eq!(committed.len(), 1);
    assert_eq!(
        (committed[0].offset, committed[0].metadata.as_deref()),
        (4, Some("by the listener"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_static_member_keeps_its_partitions_when_it_returns() {
    let lab = Lab::new();
    let client = lab.client().await;
    topic(&client, "t", 4).await;
    let build = |client: Kaffic, name: &'static str| async move {
        member(&client).subscribe(["t"]).member_name(name).build().await.unwrap()
    };
    let mut consumers =
        vec![build(lab.client().await, "a").await, build(lab.client().await, "b").await];
    poll_all(&mut consumers, 5 * SECOND).await;
    assert_even(&consumers, 4);
    let had = partitions(&consumers[0]);
    consumers.remove(0).close().await.unwrap();
    poll_all(&mut consumers, 5 * SECOND).await;
    assert_eq!(spread(&consumers), [2], "its partitions wait for it");
    consumers.insert(0, build(lab.client().await, "a").await);
    poll_all(&mut consumers, 3 * SECOND).await;
    assert_eq!(partitions(&consumers[0]), had);
    // A second one of that name takes its place.
    let mut twin = [build(lab.client().await, "a").await];
    poll_all(&mut twin, 3 * SECOND).await;
    assert_eq!(partitions(&twin[0]), had);
    let error = within(consumers[0].poll(1, 5 * SECOND)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Fenced, "{error}");
    // One that does not return is given up after its session.
    let [twin] = twin;
    twin.close().await.unwrap();
    consumers.remove(0);
    poll_all(&mut consumers, SESSION + 5 * SECOND).await;
    assert_even(&consumers, 4);
}

#[tokio::test(start_paused = true)]
async fn who_does_not_poll_loses_its_partitions_and_gets_some_again_when_it_does() {
    let lab = Lab::new();
    let client = lab.client().await;
    topic(&client, "t", 4).await;
    let builder = member(&lab.client().await).subscribe(["t"]);
    let slow = builder.max_poll_interval(20 * SECOND).build().await.unwrap();
    let mut consumers =
        vec![slow, member(&lab.client().await).subscribe(["t"]).build().await.unwrap()];
    poll_all(&mut consumers, 5 * SECOND).await;
    assert_even(&consumers, 4);
    poll_all(&mut consumers[1..], 30 * SECOND).await;
    assert_eq!(partitions(&consumers[1]).len(), 4);
    poll_all(&mut consumers, 10 * SECOND).await;
    assert_even(&consumers, 4);
    // A poll that takes its time is a poll.
    let mut waiting = consumers.remove(0);
    assert!(within(waiting.poll(1, 100 * SECOND)).await.unwrap().is_empty());
    let group = client.groups().describe("g").await.unwrap();
    assert!(group.members.iter().any(|m| Some(m.name.as_str()) == waiting.member_name()));
}

#[tokio::test(start_paused = true)]
async fn positions_are_committed_by_themselves() {
    let lab = Lab::new();
    let client = lab.client().await;
    topic(&client, "t", 1).await;
    fill(&client, "t", 1, 3).await;
    let mut consumers = [member(&client).subscribe(["t"]).build().await.unwrap()];
    poll_all(&mut consumers, 10 * SECOND).await;
    assert_eq!(client.groups().committed("g").await.unwrap()[0].offset, 3);
    // In one long poll too.
    fill(&client, "t", 1, 2).await;
    assert_eq!(poll_once(&mut consumers[0], 2).await, [3, 4]);
    assert!(within(consumers[0].poll(10, 10 * SECOND)).await.unwrap().is_empty());
    assert_eq!(client.groups().committed("g").await.unwrap()[0].offset, 5);
    // And when it is closed.
    fill(&client, "t", 1, 2).await;
    assert_eq!(poll_once(&mut consumers[0], 2).await, [5, 6]);
    let [consumer] = consumers;
    consumer.close().await.unwrap();
    assert_eq!(client.groups().committed("g").await.unwrap()[0].offset, 7);
}

#[tokio::test(start_paused = true)]
async fn a_new_topic_that_fits_the_pattern_is_read_and_a_deleted_one_is_not_missed() {
    let lab = Lab::new();
    let client = lab.client().await;
    topic(&client, "orders.eu", 2).await;
    topic(&client, "old-orders.eu", 1).await;
    let builder = member(&client).subscribe_pattern("orders\\..*").topics_interval(5 * SECOND);
    let mut consumers = [builder.build().await.unwrap()];
    poll_all(&mut consumers, 5 * SECOND).await;
    assert_eq!(spread(&consumers), [2]);
    topic(&client, "orders.us", 3).await;
    fill(&client, "orders.us", 3, 2).await;
    assert_eq!(poll_all(&mut consumers, 15 * SECOND).await[0].len(), 6);
    assert_eq!(spread(&consumers), [5]);
    client.topics().delete("orders.eu").await.unwrap();
    poll_all(&mut consumers, 15 * SECOND).await;
    assert_eq!(spread(&consumers), [3]);
    // Created again it is another topic, with offsets of its own.
    topic(&client, "orders.eu", 1).await;
    poll_all(&mut consumers, 15 * SECOND).await;
    assert_eq!(spread(&consumers), [4]);
}

#[tokio::test(start_paused = true)]
async fn members_with_different_assignors_obey_what_is_written() {
    let lab = Lab::new();
    let client = lab.client().await;
    topic(&client, "t", 5).await;
    topic(&client, "u", 5).await;
    let mut consumers = Vec::new();
    for n in 0..4 {
        let builder = member(&lab.client().await).subscribe(["t", "u"]);
        let builder = if n % 2 == 0 { builder.assignor(RangeAssignor) } else { builder };
        consumers.push(builder.build().await.unwrap());
        poll_all(&mut consumers, 6 * SECOND).await;
    }
    let mut all = BTreeSet::new();
    for consumer in &consumers {
        for at in consumer.positions() {
            assert!(all.insert((at.topic.to_string(), at.partition)), "{at:?} has two owners");
        }
    }
    assert_eq!(all.len(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_consumer_that_assigns_its_partitions_keeps_its_offsets_in_a_group() {
    let lab = Lab::new();
    let client = lab.client().await;
    topic(&client, "t", 2).await;
    fill(&client, "t", 2, 5).await;
    let alone = |client: &Kaffic| client.consumer().group("g").assign("t", [1]);
    let mut consumer = alone(&client).until(Until::Latest).build().await.unwrap();
    while within(consumer.next()).await.unwrap().is_some() {}
    consumer.commit_offsets([OffsetCommit::new("t", 1, 3).metadata("three")]).await.unwrap();
    let error = consumer.commit_offsets([OffsetCommit::new("t", 0, 3)]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Fenced);
    let mut newer = alone(&client).build().await.unwrap();
    assert_eq!(within(newer.next()).await.unwrap().unwrap().offset, 3);
    let error = consumer.commit_offsets([OffsetCommit::new("t", 1, 4)]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Fenced, "{error}");
    newer.commit().await.unwrap();
    assert_eq!(newer.committed().await.unwrap()[0].offset, 4);
    // A member's partitions are its own.
    let mut members = [member(&client).subscribe(["t"]).build().await.unwrap()];
    poll_all(&mut members, 3 * SECOND).await;
    let error = alone(&client).build().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::GroupNotEmpty, "{error}");
}

#[tokio::test(start_paused = true)]
async fn offsets_are_reset_and_groups_deleted_only_without_members() {
    let lab = Lab::new();
    let client = lab.client().await;
    topic(&client, "t", 2).await;
    fill(&client, "t", 2, 10).await;
    let groups = client.groups();
    let error = groups.describe("g").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::GroupNotFound);
    let mut consumers = vec![member(&lab.client().await).subscribe(["t"]).build().await.unwrap()];
    poll_all(&mut consumers, 8 * SECOND).await;
    let to = |to| OffsetReset::new("t", to);
    for error in [
        groups.reset("g", to(ResetTo::Earliest)).await.unwrap_err(),
        groups.delete("g").await.unwrap_err(),
        groups.commit("g", [OffsetCommit::new("t", 0, 1)]).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::GroupNotEmpty, "{error}");
    }
    // One that was killed is in the way only as long as its session.
    consumers.clear();
    pause(SESSION + 2 * SECOND).await;
    for (reset, expected) in [
        (ResetTo::Earliest, 0),
        (ResetTo::Offset(4), 4),
        (ResetTo::Shift(3), 7),
        (ResetTo::Shift(-100), 0),
        (ResetTo::Latest, 10),
        (ResetTo::Offset(5), 5),
    ] {
        let dry = groups.reset("g", to(reset).dry_run(true)).await.unwrap();
        let done = groups.reset("g", to(reset).partitions([1])).await.unwrap();
        assert_eq!(dry[1..], done[..]);
        assert_eq!(done[0].offset, expected, "{reset:?}");
    }
    let committed = groups.committed("g").await.unwrap();
    assert_eq!(committed.iter().map(|c| c.offset).collect::<Vec<_>>(), [10, 5]);
    let mut consumers = [member(&lab.client().await).subscribe(["t"]).build().await.unwrap()];
    let records = poll_all(&mut consumers, 5 * SECOND).await.concat();
    assert_eq!(records, (5..10).map(|offset| (1, offset)).collect::<Vec<_>>());
    let [consumer] = consumers;
    consumer.close().await.unwrap();
    groups.delete("g").await.unwrap();
    assert!(groups.list().await.unwrap().is_empty());
    assert_eq!(groups.delete("g").await.unwrap_err().kind(), ErrorKind::GroupNotFound);
    let mut consumers = [member(&lab.client().await).subscribe(["t"]).build().await.unwrap()];
    assert_eq!(poll_all(&mut consumers, 5 * SECOND).await.concat().len(), 20, "begins anew");
}

/// Somebody joins while offsets are set from outside.
#[tokio::test(start_paused = true)]
async fn a_member_is_not_overtaken_by_a_commit_from_outside() {
    let lab = Lab::new();
    let client = lab.client().await;
    topic(&client, "t", 1).await;
    fill(&client, "t", 1, 5).await;
    let groups = client.groups();
    groups.commit("g", [OffsetCommit::new("t", 0, 1)]).await.unwrap();
    // It has seen no member, and is slow to look at the offsets.
    let mut first = true;
    lab.store.rule(move |r| match r.op == Op::List && r.key.ends_with("offsets/t/0/00000/log") {
        true if std::mem::take(&mut first) => Fault::AnswerLate(5 * SECOND),
        _ => Fault::None,
    });
    let client = lab.client().await;
    let join = async {
        pause(SECOND).await;
        let mut consumer = member(&client).subscribe(["t"]).build().await.unwrap();
        assert_eq!(poll_once(&mut consumer, 4).await, [1, 2, 3, 4]);
        consumer
    };
    let outside = groups.commit("g", [OffsetCommit::new("t", 0, 0)]);
    let (refused, mut consumer) = futures_util::future::join(outside, join).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::GroupNotEmpty);
    consumer.commit().await.unwrap();
    assert_eq!(groups.committed("g").await.unwrap()[0].offset, 5);
}

/// Between the start at the tail and the first commit there may be a crash.
#[tokio::test(start_paused = true)]
async fn a_start_at_the_tail_is_committed_at_once() {
    let lab = Lab::new();
    let client = lab.client().await;
    topic(&client, "t", 1).await;
    fill(&client, "t", 1, 3).await;
    let latest = |client: &Kaffic| member(client).subscribe(["t"]).start(Start::Latest);
    let mut consumers = vec![latest(&lab.client().await).build().await.unwrap()];
    poll_all(&mut consumers, SECOND).await;
    fill(&client, "t", 1, 2).await;
    consumers.clear();
    consumers.push(latest(&lab.client().await).build().await.unwrap());
    let records = poll_all(&mut consumers, SESSION + 5 * SECOND).await.concat();
    assert_eq!(records, [(0, 3), (0, 4)]);
}

#[tokio::test(start_paused = true)]
async fn bad_settings_are_refused() {
    let lab = Lab::new();
    let client = lab.client().await;
    topic(&client, "t", 1).await;
    let group = || client.consumer().group("g");
    for (builder, what) in [
        (client.consumer().group("a/b").topic("t"), "group name"),
        (group(), "needs a topic"),
        (group().subscribe(["t"]).member_name("a b"), "member name"),
        (group().subscribe(["t"]).assign("t", [0]), "either"),
        (group().subscribe(["t"]).heartbeat_interval(Duration::from_millis(10)), "heartbeat"),
        (group().subscribe(["t"]).session_timeout(5 * SECOND), "heartbeat"),
        (group().subscribe(["t"]).max_poll_interval(SECOND), "max_poll_interval"),
        (group().subscribe_pattern("("), "pattern"),
        (client.consumer().topic("t").member_name("a"), "needs a group"),
    ] {
        let error = builder.build().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
        assert!(error.to_string().contains(what), "{error}");
    }
    let error = group().subscribe(["nothing"]).build().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TopicNotFound);
    let mut alone = client.consumer().topic("t").build().await.unwrap();
    assert_eq!(alone.commit().await.unwrap_err().kind(), ErrorKind::InvalidArgument);
}

/// What a member costs while nothing happens: a put and five gets a heartbeat at most, and that of
/// them which are for its own fetches come on top.
#[tokio::test(start_paused = true)]
async fn at_rest_a_member_costs_a_put_and_four_gets_a_heartbeat() {
    let lab = Lab::new();
    let client = lab.client().await;
    topic(&client, "t", 5).await;
    let mut consumers = Vec::new();
    for _ in 0..5 {
        let builder = member(&lab.client().await).subscribe(["t"]).topics_interval(3600 * SECOND);
        consumers.push(builder.build().await.unwrap());
    }
    poll_all(&mut consumers, 60 * SECOND).await;
    assert_even(&consumers, 5);
    lab.store.take_requests();
    let beats = 300;
    poll_all(&mut consumers, beats * HEARTBEAT).await;
    let requests = lab.store.take_requests();
    let of_group: Vec<_> = requests.iter().filter(|r| r.key.contains("meta/groups/")).collect();
    let count =
        |op, what: &str| of_group.iter().filter(|r| r.op == op && r.key.contains(what)).count();
    let puts = count(Op::Put, "heartbeats/");
    assert!(puts.abs_diff(5 * beats as usize) <= 5, "{puts}");
    assert_eq!(count(Op::Get, "heartbeats/"), 3 * puts);
    assert_eq!(count(Op::Get, "members/data/"), puts);
    // Whether the block has ended is asked every 30 s.
    let ends = count(Op::Get, "members/log/");
    assert!(ends <= 5 * beats as usize / 30 + 5, "{ends}");
    // And nothing else.
    assert_eq!(of_group.len(), 5 * puts + ends);
}

#[tokio::test(start_paused = true)]
async fn a_hundred_members_share_a_thousand_partitions() {
    let lab = Lab::new();
    let client = lab.client().await;
    topic(&client, "t", 1000).await;
    let clients = futures_util::future::join_all((0..100).map(|_| lab.client())).await;
    let builders = clients
        .iter()
        .map(|client| member(client).subscribe(["t"]).fetch_max_wait(60 * SECOND).build());
    let built = futures_util::future::join_all(builders).await;
    let mut consumers: Vec<Consumer> = built.into_iter().map(Result::unwrap).collect();
    for _ in 0..300 {
        let polls = consumers.iter_mut().map(|consumer| consumer.poll(1, SECOND));
        for polled in futures_util::future::join_all(polls).await {
            polled.unwrap();
        }
        if spread(&consumers).iter().all(|has| *has == 10) {
            break;
        }
    }
    assert_even(&consumers, 1000);
    let counts = lab.store.take_counts();
    println!("100 members, 1,000 partitions, all at once: {counts:?}, {:?}", lab.clock.now_ms());
}

/// Nobody else has the name of a member that could neither leave nor come back while the storage was out
/// of reach.
#[tokio::test(start_paused = true)]
async fn a_member_that_could_not_leave_and_not_join_is_not_taken_for_another() {
    let lab = Lab::new();
    let client = lab.client().await;
    topic(&client, "t", 2).await;
    fill(&client, "t", 2, 3).await;
    let builder = member(&client).subscribe(["t"]).member_name("a");
    let mut consumers = [builder.max_poll_interval(20 * SECOND).build().await.unwrap()];
    assert_eq!(poll_all(&mut consumers, 8 * SECOND).await.concat().len(), 6);
    lab.store.always(Fault::Fail, |r| r.op == Op::Put && r.key.contains("/members/"));
    // It does not poll, so it leaves, which fails.
    pause(100 * SECOND).await;
    // It joins anew, which fails too.
    poll_all(&mut consumers, 30 * SECOND).await;
    pause(100 * SECOND).await;
    lab.store.no_rule();
    fill(&client, "t", 2, 1).await;
    let records = poll_all(&mut consumers, 10 * SECOND).await.concat();
    assert!(records.contains(&(0, 3)) && records.contains(&(1, 3)), "{records:?}");
    assert_even(&consumers, 2);
}

/// The next commit is written, and neither that nor anything else of the offsets is answered any more.
fn lose_a_commits_answer(lab: &Lab) {
    let mut first = true;
    lab.store.rule(move |r| match (r.key.contains("/offsets/"), r.op) {
        (true, Op::Put) if std::mem::take(&mut first) => Fault::LoseResponse,
        (true, _) => Fault::Fail,
        _ => Fault::None,
    });
}

/// A commit in the background that comes to the storage after a later one, of which nobody knows whether
/// it was written, is not written any more: the committed offset would go back.
#[tokio::test(start_paused = true)]
async fn a_commit_does_not_come_after_a_later_one_of_unknown_outcome() {
    let lab = Lab::new();
    let client = lab.client().await;
    topic(&client, "t", 1).await;
    fill(&client, "t", 1, 10).await;
    let builder = client.consumer().group("g").assign("t", [0]).auto_commit(None);
    let mut consumer = builder.build().await.unwrap();
    assert_eq!(poll_once(&mut consumer, 4).await, [0, 1, 2, 3]);
    // Begun, but its task has not run when the next one goes to the storage.
    consumer.commit_async().unwrap();
    lose_a_commits_answer(&lab);
    let error = consumer.commit_offsets([OffsetCommit::new("t", 0, 9)]).await.unwrap_err();
    assert_eq!(error.outcome(), kaffic_core::Outcome::Unknown, "{error}");
    lab.store.no_rule();
    pause(100 * SECOND).await;
    assert_eq!(client.groups().committed("g").await.unwrap()[0].offset, 9);
    // And what was not written is not taken for committed.
    assert_eq!(poll_once(&mut consumer, 6).await.len(), 6);
    consumer.commit().await.unwrap();
    assert_eq!(client.groups().committed("g").await.unwrap()[0].offset, 10);
}

/// What a later commit, of the application's own, overtook is committed when the consumer is closed.
#[tokio::test(start_paused = true)]
async fn what_was_overtaken_is_not_taken_for_committed() {
    let lab = Lab::new();
    let client = lab.client().await;
    topic(&client, "t", 1).await;
    fill(&client, "t", 1, 10).await;
    let start = || client.consumer().group("g").assign("t", [0]);
    let mut consumer = start().auto_commit(Some(3600 * SECOND)).build().await.unwrap();
    assert_eq!(poll_once(&mut consumer, 4).await, [0, 1, 2, 3]);
    // Begun, but its task has not run when the next one goes to the storage.
    consumer.commit_async().unwrap();
    consumer.commit_offsets([OffsetCommit::new("t", 0, 2)]).await.unwrap();
    assert!(within(consumer.poll(0, SECOND)).await.unwrap().is_empty());
    pause(SECOND).await;
    assert!(within(consumer.poll(0, SECOND)).await.unwrap().is_empty());
    consumer.close().await.unwrap();
    assert_eq!(client.groups().committed("g").await.unwrap()[0].offset, 4);
}

/// Commits in the background don't pile up while the storage is slow: the newest is written, at the
/// latest when the consumer is closed.
#[tokio::test(start_paused = true)]
async fn of_commits_in_the_background_the_newest_is_written() {
    let lab = Lab::new();
    let client = lab.client().await;
    topic(&client, "t", 1).await;
    fill(&client, "t", 1, 100).await;
    let builder = || client.consumer().group("g").assign("t", [0]).auto_commit(None);
    let slow = || lab.store.always(Fault::Delay(SECOND), |r| r.key.contains("/offsets/"));
    let puts = || {
        let requests = lab.store.take_requests().into_iter();
        requests.filter(|r| r.key.contains("/offsets/") && r.op == Op::Put).count()
    };
    let mut consumer = builder().build().await.unwrap();
    slow();
    puts();
    for n in 0..50 {
        assert_eq!(poll_once(&mut consumer, 1).await, [n]);
        consumer.commit_async().unwrap();
        pause(SECOND / 100).await;
    }
    pause(100 * SECOND).await;
    assert_eq!(client.groups().committed("g").await.unwrap()[0].offset, 50);
    // One was under way while the others came.
    assert_eq!(puts(), 2);
    // The first is under way, and the second not begun, when it is closed.
    for _ in 0..2 {
        poll_once(&mut consumer, 10).await;
        consumer.commit_async().unwrap();
        pause(SECOND / 100).await;
    }
    consumer.close().await.unwrap();
    assert_eq!(client.groups().committed("g").await.unwrap()[0].offset, 70);
    // What was committed in the background and then set back by the application stays so.
    let mut consumer = builder().build().await.unwrap();
    for _ in 0..2 {
        poll_once(&mut consumer, 5).await;
        consumer.commit_async().unwrap();
        pause(SECOND / 100).await;
    }
    consumer.commit_offsets([OffsetCommit::new("t", 0, 71)]).await.unwrap();
    consumer.close().await.unwrap();
    assert_eq!(client.groups().committed("g").await.unwrap()[0].offset, 71);
    // Also where the program gave up waiting for that.
    let mut consumer = builder().build().await.unwrap();
    poll_once(&mut consumer, 5).await;
    consumer.commit_async().unwrap();
    drop(futures_util::poll!(std::pin::pin!(
        consumer.commit_offsets([OffsetCommit::new("t", 0, 72)])
    )));
    consumer.close().await.unwrap();
    let offset = client.groups().committed("g").await.unwrap()[0].offset;
    assert!([71, 72].contains(&offset), "{offset}");
}

/// A commit in the background that was written before a later one tells nothing of that.
#[tokio::test(start_paused = true)]
async fn what_an_earlier_commit_came_to_is_not_taken_for_the_present() {
    let lab = Lab::new();
    let client = lab.client().await;
    topic(&client, "t", 1).await;
    fill(&client, "t", 1, 10).await;
    let builder = client.consumer().group("g").assign("t", [0]).auto_commit(None);
    let mut consumer = builder.build().await.unwrap();
    let committed = async || client.groups().committed("g").await.unwrap()[0].offset;
    assert_eq!(poll_once(&mut consumer, 7).await.len(), 7);
    consumer.commit_async().unwrap();
    pause(SECOND).await;
    consumer.commit_offsets([OffsetCommit::new("t", 0, 6)]).await.unwrap();
    assert!(within(consumer.poll(0, SECOND)).await.unwrap().is_empty());
    consumer.commit().await.unwrap();
    assert_eq!(committed().await, 7);
    // Of one that failed nobody knows whether it was written.
    lose_a_commits_answer(&lab);
    consumer.commit_offsets([OffsetCommit::new("t", 0, 5)]).await.unwrap_err();
    lab.store.no_rule();
    consumer.commit().await.unwrap();
    assert_eq!(committed().await, 7);
}

/// A consumer that always has something to commit in the background hears that it has lost a partition.
#[tokio::test(start_paused = true)]
async fn commits_in_the_background_that_fail_are_told_of_while_others_go_on() {
    let lab = Lab::new();
    let client = lab.client().await;
    topic(&client, "t", 2).await;
    fill(&client, "t", 2, 500).await;
    let assign = |partitions: &[u32]| {
        let builder = client.consumer().group("g").assign("t", partitions.iter().copied());
        builder.auto_commit(None).build()
    };
    let mut consumer = assign(&[0, 1]).await.unwrap();
    let _other = assign(&[1]).await.unwrap();
    lab.store.always(Fault::Delay(SECOND), |r| r.key.contains("/offsets/"));
    for _ in 0..900 {
        if let Err(error) = within(consumer.poll(1, SECOND)).await {
            assert_eq!(error.kind(), ErrorKind::Fenced, "{error}");
            return;
        }
        consumer.commit_async().unwrap();
        pause(SECOND / 50).await;
    }
    panic!("it was never told");
}

/// Partitions that go to another with commits in the background that have not been begun.
#[tokio::test(start_paused = true)]
async fn what_is_to_be_committed_in_the_background_is_committed_when_a_partition_goes() {
    let lab = Lab::new();
    let client = lab.client().await;
    topic(&client, "t", 64).await;
    fill(&client, "t", 64, 1).await;
    let builder = || member(&client).subscribe(["t"]).auto_commit(None);
    let mut consumers = vec![builder().build().await.unwrap()];
    while partitions(&consumers[0]).len() < 64 {
        poll_all(&mut consumers, SECOND).await;
    }
    let positions =
        |consumer: &Consumer| -> i64 { consumer.positions().iter().map(|p| p.offset).sum() };
    while positions(&consumers[0]) < 64 {
        poll_all(&mut consumers, SECOND).await;
    }
    // The first sixteen are under way for longer than it takes until others' partitions have to go.
    let of_offsets = |r: &Request| r.key.contains("/offsets/") && r.op == Op::Put;
    lab.store.always(Fault::Delay(6 * SECOND), of_offsets);
    consumers[0].commit_async().unwrap();
    consumers.push(builder().build().await.unwrap());
    poll_all(&mut consumers, 60 * SECOND).await;
    assert_even(&consumers, 64);
    let committed = client.groups().committed("g").await.unwrap();
    assert_eq!(committed.iter().filter(|at| at.offset == 1).count(), 64);
}

/// A program that stops amid what it was given says what it has not processed.
#[tokio::test(start_paused = true)]
async fn closing_amid_what_was_given_commits_what_lies_before() {
    let lab = Lab::new();
    let client = lab.client().await;
    topic(&client, "t", 2).await;
    fill(&client, "t", 2, 10).await;
    let at = |partition, offset| PartitionPosition { topic: "t".into(), partition, offset };
    let consumer = async || {
        let builder = client.consumer().group("g").assign("t", [0, 1]);
        builder.auto_commit(Some(3600 * SECOND)).build().await.unwrap()
    };
    let committed = async || -> Vec<i64> {
        let committed = client.groups().committed("g").await.unwrap();
        committed.iter().map(|at| at.offset).collect()
    };
    let mut first = consumer().await;
    poll_once(&mut first, 20).await;
    // Nothing is asked of the log for that, whatever has become of its records.
    lab.store.take_requests();
    first.close_at(vec![at(0, 4), at(7, 0)]).await.unwrap();
    assert!(lab.store.take_requests().iter().all(|r| r.key.contains("/offsets/")));
    assert_eq!(committed().await, [4, 10]);
    let mut second = consumer().await;
    assert_eq!(poll_once(&mut second, 6).await, [4, 5, 6, 7, 8, 9]);
    // It does not go forward by that.
    second.close_at(vec![at(0, 99), at(1, 99)]).await.unwrap();
    assert_eq!(committed().await, [10, 10]);
}

/// Commits fill block after block; those before the present one go when nothing late can come to them.
#[tokio::test(start_paused = true)]
async fn old_commits_are_removed() {
    let lab = Lab::new();
    let client = lab.client().await;
    topic(&client, "t", 1).await;
    fill(&client, "t", 1, 1).await;
    let builder = client.consumer().group("g").assign("t", [0]).auto_commit(None);
    let mut consumer = builder.build().await.unwrap();
    let slots = || lab.store.keys("meta/groups/g/offsets/t/0/00000/data/").len();
    for n in 0..1_500 {
        consumer.commit_offsets([OffsetCommit::new("t", 0, n % 2)]).await.unwrap();
    }
    // The claim, and no start, since that was the earliest.
    assert_eq!(slots(), 1_501);
    pause(14 * HOUR).await;
    for n in 0..10 {
        consumer.commit_offsets([OffsetCommit::new("t", 0, n % 2)]).await.unwrap();
        pause(SECOND).await;
    }
    // The first block is gone, and the second, and a seal ended it.
    assert_eq!(slots(), 10);
    drop(consumer);
    let mut consumer = client.consumer().group("g").assign("t", [0]).build().await.unwrap();
    assert_eq!(consumer.committed().await.unwrap()[0].offset, 1);
    consumer.commit_offsets([OffsetCommit::new("t", 0, 1)]).await.unwrap();
}

/// A commit says where its offset is in the log, whatever has become of that place since.
#[tokio::test(start_paused = true)]
async fn whoever_goes_on_reading_does_not_search_the_log() {
    let lab = Lab::new();
    let client = lab.client().await;
    client.topics().create("t", TopicConfig::new().slots_per_block(5)).await.unwrap();
    let producer = client.producer("t").compaction(false).build().await.unwrap();
    for n in 0..12 {
        producer.append(0, vec![Record::value(format!("{n}"))], None).await.unwrap();
    }
    let start = || client.consumer().group("g").assign("t", [0]).auto_commit(None);
    let mut consumer = start().build().await.unwrap();
    assert_eq!(poll_once(&mut consumer, 7).await.last(), Some(&6));
    consumer.commit().await.unwrap();
    let go_on = async || {
        lab.store.take_requests();
        let mut consumer = start().build().await.unwrap();
        let records = poll_once(&mut consumer, 5).await;
        let requests = lab.store.take_requests();
        let searches =
            |r: &&_| matches!(r, Request { op: Op::List, key } if key.contains("logs/t/"));
        assert_eq!(requests.iter().find(searches), None);
        records
    };
    assert_eq!(go_on().await, [7, 8, 9, 10, 11]);
    producer.close().await.unwrap();
    lab.clock.jump(14 * HOUR);
    let report = client.compact("t", |_| {}).await.unwrap();
    assert!(report.compacted == 3 && report.removed > 0, "{report:?}");
    assert_eq!(go_on().await, [7, 8, 9, 10, 11]);
    // All but the last block expire.
    for block in ["000", "001"] {
        assert!(lab.store.expire(&format!("data/t/0/00000/000000000/{block}")) > 0);
    }
    let mut consumer = start().build().await.unwrap();
    assert_eq!(poll_once(&mut consumer, 2).await, [10, 11]);
    let strict = start().reset(kaffic_core::ResetPolicy::Error);
    let mut consumer = strict.build().await.unwrap();
    let error = within(consumer.poll(1, SECOND)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OffsetOutOfRange, "{error}");
}

/// A watcher whose last look took long evicts nobody who has come back meanwhile.
#[tokio::test(start_paused = true)]
async fn who_beats_again_just_in_time_is_not_evicted() {
    let (lab, mut members) = static_pair().await;
    let generation = generation(&lab).await;
    let silent_from = tokio_now();
    let released = Arc::new(Mutex::new(false));
    let answered_late = Arc::clone(&released);
    lab.store.rule(move |r| {
        let mut released = released.lock().unwrap();
        let late = silent_from.elapsed() >= SESSION - HEARTBEAT;
        match (r.key.ends_with("heartbeats/a"), r.op) {
            (true, Op::Put) if !*released => Fault::Fail,
            (true, Op::Get) if late && !*released => {
                *released = silent_from.elapsed() > SESSION;
                Fault::AnswerLate(2 * HEARTBEAT)
            }
            _ => Fault::None,
        }
    });
    poll_all(&mut members, SESSION + 5 * HEARTBEAT).await;
    assert!(*answered_late.lock().unwrap());
    assert_eq!(self::generation(&lab).await, generation);
}

/// An eviction is of one incarnation: who has come back under its name has nothing to do with it.
#[tokio::test(start_paused = true)]
async fn who_joined_anew_just_in_time_is_not_evicted() {
    let (lab, mut members) = static_pair().await;
    drop(members.remove(0));
    let silent_from = tokio_now();
    // The look that finds it silent, and the one more before the eviction, take their time.
    lab.store.always(Fault::AnswerLate(2 * HEARTBEAT), move |r| {
        let is_late = silent_from.elapsed() > SESSION - HEARTBEAT;
        is_late && r.op == Op::Get && r.key.ends_with("heartbeats/a")
    });
    let join = async {
        pause(SESSION + HEARTBEAT).await;
        static_member(&lab, "a").await
    };
    let polls = poll_all(&mut members, SESSION + 2 * HEARTBEAT);
    let (a, _) = futures_util::future::join(join, polls).await;
    lab.store.no_rule();
    members.insert(0, a);
    let generation = generation(&lab).await;
    poll_all(&mut members, 5 * HEARTBEAT).await;
    assert_eq!(self::generation(&lab).await, generation);
    assert_even(&members, 4);
}

async fn static_member(lab: &Lab, name: &str) -> Consumer {
    let client = lab.client().await;
    member(&client).subscribe(["t"]).member_name(name).build().await.unwrap()
}

/// Members a and b with two partitions each.
async fn static_pair() -> (Lab, Vec<Consumer>) {
    let lab = Lab::new();
    topic(&lab.client().await, "t", 4).await;
    let mut members = vec![static_member(&lab, "a").await, static_member(&lab, "b").await];
    poll_all(&mut members, 5 * SECOND).await;
    assert_even(&members, 4);
    (lab, members)
}

/// The number of the group's newest change.
async fn generation(lab: &Lab) -> i64 {
    lab.client().await.groups().describe("g").await.unwrap().generation
}
