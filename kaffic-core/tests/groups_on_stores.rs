//! Consumer groups on every backend, in real time: members share, leave, die, and go on where others
//! committed.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use futures_util::future::join_all;
use kaffic_core::{Consumer, ErrorKind, OffsetReset, Record, ResetTo, TopicConfig};
use std::collections::BTreeSet;
use std::time::Duration;
use support::{TestStore, stores};

const PARTITIONS: u32 = 4;
const PATIENCE: Duration = Duration::from_secs(120);

type Seen = BTreeSet<(u32, i64)>;

async fn member(store: &TestStore) -> Consumer {
    let client = store.connect().await;
    let builder = client.consumer().group("billing").subscribe(["t"]);
    let builder = builder.heartbeat_interval(Duration::from_secs(1));
    builder.session_timeout(Duration::from_secs(3)).build().await.unwrap()
}

/// Sends so many records to each partition.
async fn send(store: &TestStore, each: usize) {
    let producer = store.connect().await.producer("t").build().await.unwrap();
    for partition in 0..PARTITIONS {
        let records = (0..each).map(|n| Record::value(n.to_string())).collect();
        producer.append(partition, records, None).await.unwrap();
    }
    producer.close().await.unwrap();
}

/// Polls all until it is as it should be.
#[expect(clippy::disallowed_methods, reason = "a test that hangs fails")]
async fn poll_until(
    members: &mut [Consumer],
    seen: &mut Seen,
    done: impl Fn(&[Consumer], &Seen) -> bool,
) {
    let polling = async {
        while !done(members, seen) {
            let polls = members.iter_mut().map(|m| m.poll(100, Duration::from_millis(200)));
            for records in join_all(polls).await {
                seen.extend(records.unwrap().iter().map(|r| (r.partition, r.offset)));
            }
        }
    };
    assert!(tokio::time::timeout(PATIENCE, polling).await.is_ok(), "{seen:?}");
}

fn have(members: &[Consumer], each: usize) -> bool {
    members.iter().all(|member| member.positions().len() == each)
}

#[tokio::test(flavor = "multi_thread")]
async fn members_share_leave_and_die_and_nothing_is_skipped() {
    for store in stores() {
        let client = store.connect().await;
        let config = TopicConfig::new().partitions(PARTITIONS);
        client.topics().create("t", config).await.unwrap();
        send(&store, 10).await;
        let mut members = vec![member(&store).await, member(&store).await];
        let mut seen = Seen::new();
        poll_until(&mut members, &mut seen, |m, seen| have(m, 2) && seen.len() == 40).await;

        // One leaves: what it was given is committed.
        members.remove(0).close().await.unwrap();
        let mut again = Seen::new();
        poll_until(&mut members, &mut again, |m, _| have(m, 4)).await;
        send(&store, 5).await;
        poll_until(&mut members, &mut again, |_, again| again.len() >= 20).await;
        assert!(again.iter().all(|(_, offset)| *offset >= 10), "{again:?}");
        members[0].commit().await.unwrap();

        // One dies: what it did not commit comes again.
        send(&store, 2).await;
        let mut uncommitted = Seen::new();
        poll_until(&mut members, &mut uncommitted, |_, seen| seen.len() == 8).await;
        members.clear();
        members.push(member(&store).await);
        let mut after = Seen::new();
        poll_until(&mut members, &mut after, |m, seen| have(m, 4) && seen.len() >= 8).await;
        assert_eq!(after, uncommitted);

        // The group, from outside.
        let groups = client.groups();
        let group = groups.describe("billing").await.unwrap();
        assert_eq!((group.members.len(), group.partitions.len()), (1, 4));
        assert!(group.partitions.iter().all(|p| p.end == 17 && p.owner.is_some()), "{group:?}");
        let error = groups.delete("billing").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::GroupNotEmpty);
        members.remove(0).close().await.unwrap();
        let committed = groups.committed("billing").await.unwrap();
        assert!(committed.len() == 4 && committed.iter().all(|c| c.offset == 17), "{committed:?}");
        let reset = OffsetReset::new("t", ResetTo::Earliest).partitions([2]);
        assert_eq!(groups.reset("billing", reset).await.unwrap()[0].offset, 0);
        members.push(member(&store).await);
        let mut third = Seen::new();
        poll_until(&mut members, &mut third, |m, seen| have(m, 4) && seen.len() >= 17).await;
        assert_eq!(third, (0..17).map(|offset| (2, offset)).collect());
        members.remove(0).close().await.unwrap();
        groups.delete("billing").await.unwrap();
        assert!(groups.list().await.unwrap().is_empty());
    }
}
