//! Tries on a user's own store what kaffic rests on, in a scratch directory, and measures what to
//! expect of it. It goes through the same `Store` as the log, so what it finds is what the log gets.

use crate::env::Env;
use crate::error::{Error, ErrorKind, Result};
use crate::keys;
use crate::store::{Object, Put, Store};
use bytes::Bytes;
use futures_util::future::join_all;
use std::time::Duration;

mod report;

pub use report::{Check, CheckResult, DoctorReport, Load};

const RACES: usize = 20;
const RACERS: usize = 16;
const SAMPLES: usize = 20;
const SMALL: usize = 4 << 10;
const LARGE: usize = 1 << 20;
const STAGING: Duration = Duration::from_secs(60);
/// How far a clock may be off with the default `min_expiry`: K/2.
const CLOCK_ALLOWED: i64 = 30 * 60;

/// Examines a store.
pub(crate) async fn examine(store: &Store, env: &dyn Env) -> Result<DoctorReport> {
    let dir = keys::probe(env.random());
    let mut examination = Examination { store, env, dir, next: 0, report: DoctorReport::default() };
    let examined = examination.run().await;
    let cleaned = examination.clean_up().await;
    examination.note("clean up", "delete on meta/", cleaned.map(|()| String::new()));
    if let Err(error) = examined {
        let what = "the checks after this one were not made";
        let check =
            Check { name: "more", result: CheckResult::Failed, detail: format!("{what}: {error}") };
        examination.report.checks.push(check);
    }
    Ok(examination.report)
}

struct Examination<'a> {
    store: &'a Store,
    env: &'a dyn Env,
    dir: String,
    next: u64,
    report: DoctorReport,
}

impl Examination<'_> {
    fn key(&mut self) -> String {
        self.next += 1;
        format!("{}/{:06}", self.dir, self.next)
    }

    /// Enters what a check came to. A refusal is told together with what the permission is for.
    fn note(&mut self, name: &'static str, needs: &str, result: Result<String>) -> bool {
        let (result, detail) = match result {
            Ok(detail) => (CheckResult::Passed, detail),
            Err(error) if error.kind() == ErrorKind::Denied => {
                (CheckResult::Failed, format!("{error}; kaffic needs {needs}"))
            }
            Err(error) => (CheckResult::Failed, error.to_string()),
        };
        self.report.checks.push(Check { name, result, detail });
        result == CheckResult::Passed
    }

    async fn run(&mut self) -> Result<()> {
        let put = self.conditional_put().await;
        if !self.note("conditional put", "put on data/ and meta/ to produce", put) {
            return Err(Error::new(ErrorKind::UnsafeStore, "nothing can be put safely"));
        }
        let races = self.races().await;
        self.note("races", "put", races);
        let reads = self.reads().await;
        self.note("read after write, ranges", "get on data/ and meta/", reads);
        let lists = self.lists().await;
        self.note("list", "list on data/ and meta/", lists);
        let deletes = self.deletes().await;
        self.note("delete", "delete on data/ to delete topics", deletes);
        let clock = self.clock().await;
        self.note("clock", "get", clock);
        self.measure().await
    }

    async fn put(&self, key: &str, bytes: &Bytes) -> Result<bool> {
        match self.store.create(key, bytes.clone().into(), STAGING).await? {
            Put::Created => Ok(true),
            Put::Exists => Ok(false),
            Put::Unclear(error) => Err(error),
        }
    }

    async fn there(&self, key: &str) -> Result<Object> {
        self.store
            .get(key)
            .await?
            .ok_or_else(|| unsafe_store(format!("{key} was put and is not there")))
    }

    async fn conditional_put(&mut self) -> Result<String> {
        let key = self.key();
        let (first, second) = (Bytes::from_static(b"first"), Bytes::from_static(b"second"));
        if !self.put(&key, &first).await? {
            return Err(unsafe_store(format!("{key} is new, and the store says that it exists")));
        }
        if self.put(&key, &second).await? || self.there(&key).await?.bytes != first {
            return Err(unsafe_store(
                "the condition of a put-if-absent was ignored: writers would overwrite each other",
            ));
        }
        Ok("a second put of a key fails and leaves the first as it was".into())
    }

    async fn races(&mut self) -> Result<String> {
        for _ in 0..RACES {
            let key = self.key();
            let bytes: Vec<Bytes> =
                (0..RACERS).map(|n| Bytes::from(format!("racer {n}"))).collect();
            let won = join_all(bytes.iter().map(|bytes| self.put(&key, bytes))).await;
            let won: Vec<bool> = won.into_iter().collect::<Result<_>>()?;
            let winners: Vec<usize> = (0..RACERS).filter(|n| won[*n]).collect();
            if winners.len() > 1 {
                let what = format!("{} of {RACERS} racing puts of {key} won", winners.len());
                return Err(unsafe_store(format!("{what}: its conditional put is not atomic")));
            }
            // None: the winner's put was repeated below us and met itself.
            let object = self.there(&key).await?;
            let right = match winners.first() {
                Some(winner) => object.bytes == bytes[*winner],
                None => bytes.contains(&object.bytes),
            };
            if !right {
                return Err(unsafe_store(format!("{key} is not what the winner of a race put")));
            }
        }
        Ok(format!("{RACES} races of {RACERS}: one winner each"))
    }

    async fn reads(&mut self) -> Result<String> {
        for _ in 0..SAMPLES {
            let key = self.key();
            if self.store.get(&key).await?.is_some() {
                return Err(unsafe_store(format!("{key} is there before it was put")));
            }
            let bytes = Bytes::from(vec![7u8; SMALL]);
            self.put(&key, &bytes).await?;
            if self.there(&key).await?.bytes != bytes {
                return Err(unsafe_store(format!("{key} is not what was put")));
            }
            let start = self.store.get_start(&key, 100).await?;
            if start.is_none_or(|start| start.bytes != bytes[..100]) {
                return Err(unsafe_store(format!(
                    "the first 100 bytes of {key} are not what was put"
                )));
            }
        }
        Ok(format!("{SAMPLES} objects, each looked for before it was put"))
    }

    async fn lists(&self) -> Result<String> {
        let above = format!("{}/list", self.dir);
        let (dir, count) = (format!("{above}/d"), 50u64);
        for number in 0..count {
            self.put(&format!("{dir}/{number:03}"), &Bytes::from_static(b"x")).await?;
        }
        let listing = self.store.list(&dir).await?;
        let mut numbers: Vec<u64> = listing.numbered.iter().map(|entry| entry.number).collect();
        numbers.sort_unstable();
        if numbers != (0..count).collect::<Vec<_>>() {
            return Err(unsafe_store(format!(
                "{} of {count} objects just put are listed",
                numbers.len()
            )));
        }
        if self.store.list(&above).await?.dirs != ["d"] {
            return Err(unsafe_store("a list with a delimiter does not show the directory below"));
        }
        let got = self.there(&format!("{dir}/000")).await?.stamp;
        let listed =
            listing.numbered.iter().find(|entry| entry.number == 0).map(|entry| entry.stamp);
        if listed != Some(got) {
            return Err(unsafe_store("get and list disagree on when an object was put"));
        }
        for number in 0..count {
            self.store.delete(&format!("{dir}/{number:03}")).await.ok();
        }
        Ok(format!("{count} objects just put are all listed, with the stamps that get gives"))
    }

    async fn deletes(&mut self) -> Result<String> {
        let key = self.key();
        self.put(&key, &Bytes::from_static(b"x")).await?;
        self.store.delete(&key).await?;
        if self.store.get(&key).await?.is_some() {
            return Err(unsafe_store(format!("{key} was deleted and is there")));
        }
        Ok(String::new())
    }

    async fn clock(&mut self) -> Result<String> {
        let key = self.key();
        let before = self.env.now_ms() / 1000;
        self.put(&key, &Bytes::from_static(b"x")).await?;
        let stamp = self.there(&key).await?.stamp;
        let after = self.env.now_ms() / 1000;
        let off = if stamp < before { stamp - before } else { (stamp - after).max(0) };
        self.report.clock_off_seconds = off;
        if off.abs() > CLOCK_ALLOWED {
            return Err(Error::new(
                ErrorKind::ClockSkew,
                format!(
                    "the storage's clock and this machine's are {} s apart; set the clock (NTP)",
                    off.abs()
                ),
            ));
        }
        Ok(format!("the storage's clock is {off} s from this machine's"))
    }

    async fn measure(&mut self) -> Result<()> {
        let (small, large) = (Bytes::from(vec![7u8; SMALL]), Bytes::from(vec![7u8; LARGE]));
        let (mut put_small, mut put_large) = (Vec::new(), Vec::new());
        let (mut get_small, mut get_large) = (Vec::new(), Vec::new());
        for _ in 0..SAMPLES {
            for (bytes, puts, gets) in
                [(&small, &mut put_small, &mut get_small), (&large, &mut put_large, &mut get_large)]
            {
                let key = self.key();
                let start = self.env.monotonic();
                self.put(&key, bytes).await?;
                let put = self.env.monotonic();
                self.there(&key).await?;
                puts.push(put - start);
                gets.push(self.env.monotonic() - put);
            }
        }
        let report = &mut self.report;
        report.put_small = median(&mut put_small);
        report.put_large = median(&mut put_large);
        report.get_small = median(&mut get_small);
        report.get_large = median(&mut get_large);
        Ok(())
    }

    async fn clean_up(&self) -> Result<()> {
        let mut failed = Ok(());
        for number in 1..=self.next {
            let deleted = self.store.delete(&format!("{}/{number:06}", self.dir)).await;
            if deleted.as_ref().is_err_and(|error| error.kind() == ErrorKind::Denied) {
                return deleted;
            }
            failed = failed.and(deleted);
        }
        failed
    }
}

fn median(samples: &mut [Duration]) -> Duration {
    samples.sort_unstable();
    samples.get(samples.len() / 2).copied().unwrap_or_default()
}

fn unsafe_store(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::UnsafeStore, what)
}
