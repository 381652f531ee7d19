//! Going to any place of a log of a thousand million slots takes few round trips, one after another.

mod support;

use kaffic_core::{Kaffic, Start, Until};
use std::sync::Arc;
use std::time::Duration;
use support::endless::{Endless, TWO};
use support::lab::{Lab, SECOND};
use support::{offsets, read_on};

/// A thousand million slots in a million blocks.
const SLOTS: u64 = 1_000_000_000 - 1;
const LATENCY: Duration = Duration::from_millis(100);
/// The tail: four. The block: four. The place in it: four at most.
const MOST_ROUNDS: u32 = 12;

#[tokio::test(start_paused = true)]
async fn a_seek_in_a_huge_log_takes_at_most_twelve_round_trips() {
    for compacted in [false, true] {
        let lab = Lab::new();
        let store = Endless::new(SLOTS).latency(LATENCY);
        let store = if compacted { store.compacted() } else { store };
        let builder = Kaffic::builder().store(Arc::new(store), "").env(lab.env());
        let client = builder.connect().await.unwrap();
        let builder = client.consumer().topic("t").start(Start::Latest).until(Until::Forever);
        let mut consumer = builder.build().await.unwrap();
        let tail = (SLOTS * TWO) as i64;
        let mut most = 0;
        // The first and the last of the log and of a block, and some anywhere.
        let anywhere = (1..40).map(|n| tail / 40 * n + n * 7919);
        let edges = [0, 1, 1999, 2000, 2001, tail / 2, tail - 2001, tail - 2, tail - 1];
        for offset in edges.into_iter().chain(anywhere) {
            for start in [
                Start::Offset(offset),
                Start::Timestamp(offset * 1000),
                Start::Timestamp(offset * 1000 - 999),
            ] {
                let before = lab.clock.now_ms();
                consumer.seek("t", 0, start).await.unwrap();
                let took = (lab.clock.now_ms() - before) as u32;
                let rounds = took.div_ceil(LATENCY.as_millis() as u32);
                assert_eq!(consumer.positions()[0].offset, offset, "{start:?}");
                assert!(rounds <= MOST_ROUNDS, "{start:?}, {compacted}: {rounds} round trips");
                most = most.max(rounds);
            }
        }
        println!("compacted: {compacted}, {most} round trips at most");
        consumer.seek("t", 0, Start::Offset(tail / 3)).await.unwrap();
        let next = consumer.poll(1, 100 * SECOND).await.unwrap();
        assert_eq!(offsets(&next), [tail / 3]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_compacted_log_reads_from_anywhere() {
    let lab = Lab::new();
    let store = Arc::new(Endless::new(123_456).compacted());
    let client = Kaffic::builder().store(store, "").env(lab.env()).connect().await.unwrap();
    for offset in [0, 1, 1999, 2000, 99_999, 245_990] {
        let last = (offset + 4_005).min(123_456 * TWO as i64);
        let builder = client.consumer().topic("t").start(Start::Offset(offset));
        let mut consumer = builder.until(Until::Offset(last)).build().await.unwrap();
        let (records, error) = read_on(&mut consumer).await;
        assert!(error.is_none(), "{error:?}");
        assert_eq!(offsets(&records), (offset..last).collect::<Vec<_>>());
    }
}
