//! Many real processes on a real S3 server: through a proxy that makes requests fail in every way,
//! and with a server that is killed again and again. Without a server nothing is tested, which is
//! said; `scripts/servers/faults` has one.

#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(clippy::disallowed_methods, reason = "how long it took is printed")]

mod support;

use kaffic_testkit::{Config, Fault, FaultProxy, Rates, Server};
use std::time::Instant;
use support::Store;
use support::load::{
    Closing, Follower, PRODUCERS, Progress, Read, by_partition, check, produce_from_all, read_all,
    seed,
};

/// Records of each producer.
const EACH: u64 = 20_000;
const ALL: usize = (PRODUCERS * EACH) as usize;
/// Records of a producer that may be under way, so that there are many batches.
const WINDOW: usize = 1000;
const PARTITIONS: &str = "3";
const KILLS: usize = 10;

/// A twentieth of the requests fails in each way: are slow to be answered, lose their connection,
/// are refused, have their body cut or slowed down, or are never answered.
fn twentieth_each() -> Rates {
    let ways: [&[Fault]; 6] = [
        &[Fault::Delay],
        &[Fault::ResetBefore, Fault::ResetAfter],
        &[
            Fault::Status500Before,
            Fault::Status500After,
            Fault::Status503Before,
            Fault::Status503After,
            Fault::Status429,
        ],
        &[Fault::Truncated],
        &[Fault::SlowBody],
        &[Fault::HalfOpenBefore, Fault::HalfOpenAfter],
    ];
    ways.into_iter().fold(Rates::none(), |rates, way| {
        let rate = 0.05 / way.len() as f64;
        way.iter().fold(rates, |rates, &fault| rates.with(fault, rate))
    })
}

#[test]
fn requests_that_fail_in_every_way_lose_and_double_nothing() {
    let Some(server) = Server::of("faults") else { return };
    let seed = seed();
    let url = server.fresh_url("faults");
    let direct = Store::at(&url, server.options(&[]));
    direct.ok(&["topic", "create", "t", "--partitions", PARTITIONS], b"");

    let config = Config::new(server.endpoint()).seed(seed).rates(twentieth_each());
    let proxy = FaultProxy::start(config).unwrap();
    let endpoint = proxy.endpoint();
    let changed = [("endpoint", endpoint.as_str()), ("request_timeout", "1s")];
    let faulty = Store::at(&url, server.options(&changed));
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let follower = Follower::start(&faulty, scope);
        let acked = produce_from_all(&faulty, EACH, WINDOW, &Progress::default());
        println!("produced after {:.1?}: {}", begun.elapsed(), proxy.counts());
        let followed = follower.finish(ALL);
        println!("followed after {:.1?}: {}", begun.elapsed(), proxy.counts());
        let read = read_all(&direct);
        assert_eq!((acked.len(), read.len()), (ALL, ALL));
        check(&direct, &acked, &read, &followed);
    });
    let counts = proxy.counts();
    for fault in Fault::ALL {
        assert!(counts.faults(fault) > 0, "no {fault} came (KAFFIC_SEED={seed}): {counts}");
    }
}

/// What one follower after another printed, until one has printed all: when the server is away, a
/// follower ends with an error and is started again.
fn follow_to_the_end<'scope>(
    store: &Store,
    scope: &'scope std::thread::Scope<'scope, '_>,
) -> Vec<Vec<Read>> {
    let mut lives = Vec::new();
    loop {
        let (read, status, errors) = Follower::start(store, scope).finish_or_fail(ALL);
        let complete = read.len() >= ALL;
        lives.push(read);
        if complete {
            assert_eq!(status.code(), Some(130), "{errors}");
            return lives;
        }
        assert_eq!(status.code(), Some(1), "{errors}");
        assert!(errors.contains("out of reach"), "{errors}");
    }
}

#[test]
fn a_server_that_is_killed_under_load_loses_and_doubles_nothing() {
    let Some(server) = Server::of("kills") else { return };
    let store = Store::at(&server.fresh_url("kills"), server.options(&[("request_timeout", "2s")]));
    store.ok(&["topic", "create", "t", "--partitions", PARTITIONS], b"");
    let total = Progress::default();
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let closing = Closing(&total);
        let following = scope.spawn(|| follow_to_the_end(&store, scope));
        let killing = scope.spawn(|| {
            // As many parts of the work as there are kills, and one more.
            for kill in 1..=KILLS {
                let at = kill * ALL / (KILLS + 1);
                if !total.reaches(at) {
                    return kill - 1;
                }
                server.kill();
                println!("killed after {:.1?} with {} acknowledged", begun.elapsed(), total.get());
                server.start();
            }
            KILLS
        });
        let acked = produce_from_all(&store, EACH, WINDOW, &total);
        println!("produced after {:.1?}", begun.elapsed());
        drop(closing);
        assert_eq!(killing.join().unwrap(), KILLS);
        let lives = following.join().unwrap();
        println!("followed after {:.1?}, in {} lives", begun.elapsed(), lives.len());
        let read = read_all(&store);
        assert_eq!((acked.len(), read.len()), (ALL, ALL));
        let (last, before) = lives.split_last().unwrap();
        check(&store, &acked, &read, last);
        let whole = by_partition(&read);
        for life in before {
            for (partition, records) in by_partition(life) {
                assert!(whole[&partition].starts_with(&records), "a follower saw something else");
            }
        }
    });
}
