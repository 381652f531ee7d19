//! A store, clocks and processes that a test commands: every request is noted and can be made to
//! fail, time is what the test says, and processes have the ids that it gives them.

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt, StreamExt};
use kaffic_core::Kaffic;
use kaffic_core::env::Env;
use kaffic_core::object_store::path::Path;
use kaffic_core::object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult,
    Result,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// When the laboratory's time begins, in Unix milliseconds.
pub(crate) const BEGIN_MS: i64 = 1_800_000_000_000;

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// Waits for what must come: a test that hangs fails instead. With tokio's paused clock it fails as
/// soon as nothing is left to do.
#[expect(clippy::disallowed_methods, reason = "a test's safety net, outside the library's time")]
pub(crate) async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(10_000 * HOUR, work).await.expect("it comes to an end")
}

/// Numbers by chance, the same for the same seed.
#[derive(Debug)]
pub(crate) struct Chance(AtomicU64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
    }

    /// SplitMix64.
    pub(crate) fn next(&self) -> u64 {
        let step = 0x9e37_79b9_7f4a_7c15;
        let mut z = self.0.fetch_add(step, Ordering::Relaxed).wrapping_add(step);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// The storage's time: tokio's (which a test pauses), and what was jumped over.
#[derive(Debug)]
pub(crate) struct Clock {
    start: tokio::time::Instant,
    jumped_ms: AtomicI64,
}

impl Clock {
    fn elapsed(&self) -> Duration {
        self.start.elapsed() + Duration::from_millis(self.jumped_ms.load(Ordering::Relaxed) as u64)
    }

    pub(crate) fn now_ms(&self) -> i64 {
        BEGIN_MS + self.elapsed().as_millis() as i64
    }

    /// Moves on without a timer noticing, as when every process slept.
    pub(crate) fn jump(&self, by: Duration) {
        self.jumped_ms.fetch_add(by.as_millis() as i64, Ordering::Relaxed);
    }
}

/// One process: its clock can be off, and its id can change.
#[derive(Debug)]
pub(crate) struct LabEnv {
    clock: Arc<Clock>,
    chance: Chance,
    offset_ms: AtomicI64,
    process: AtomicU32,
}

impl LabEnv {
    /// Sets how far this process's clock is ahead of the storage's.
    pub(crate) fn set_offset_ms(&self, offset: i64) {
        self.offset_ms.store(offset, Ordering::Relaxed);
    }

    /// What a process sees of a fork that makes it the child.
    pub(crate) fn fork(&self) {
        self.process.fetch_add(1, Ordering::Relaxed);
    }
}

impl Env for LabEnv {
    fn now_ms(&self) -> i64 {
        self.clock.now_ms() + self.offset_ms.load(Ordering::Relaxed)
    }

    fn monotonic(&self) -> Duration {
        self.clock.elapsed()
    }

    #[expect(clippy::disallowed_methods, reason = "an environment is where time comes from")]
    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()> {
        tokio::time::sleep(time).boxed()
    }

    fn random(&self) -> u64 {
        self.chance.next()
    }

    fn process_id(&self) -> u32 {
        self.process.load(Ordering::Relaxed)
    }

    #[expect(clippy::disallowed_methods, reason = "an environment is where tasks are run")]
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        tokio::spawn(task);
    }
}

/// The kinds of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op {
    Put,
    Get,
    List,
    Delete,
}

/// A request that came to the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) op: Op,
    pub(crate) key: String,
}

impl Request {
    /// Whether it puts a slot.
    pub(crate) fn puts_slot(&self) -> bool {
        self.op == Op::Put && self.key.starts_with("data/")
    }
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// Nothing is done, and an error is answered.
    Fail,
    /// Nothing is done, and there are too many requests.
    Throttle,
    /// Nothing is done, and permission is denied.
    Deny,
    /// It is done, and an error is answered.
    LoseResponse,
    /// It is done, and "exists" is answered: the client library has tried twice.
    Exists,
    /// A put is done whatever is there.
    IgnoreCondition,
    /// Nothing is answered, ever. A put may be done later: [`LabStore::apply_stalled`].
    Stall,
    /// It is done, and nothing is answered, ever.
    StallApplied,
    /// It is done after this time.
    Delay(Duration),
    /// It is done, and answered after this time.
    AnswerLate(Duration),
}

/// How many requests of each kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) puts: usize,
    pub(crate) gets: usize,
    pub(crate) lists: usize,
    pub(crate) deletes: usize,
}

#[derive(Debug, Clone)]
struct Stored {
    bytes: Bytes,
    stamp_ms: i64,
}

type Rule = Box<dyn FnMut(&Request) -> Fault + Send>;

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Stored>,
    requests: Vec<Request>,
    stalled: Vec<(String, Bytes)>,
    rule: Option<Rule>,
}

/// The store.
#[derive(Clone)]
pub(crate) struct LabStore {
    clock: Arc<Clock>,
    chance: Arc<Chance>,
    state: Arc<Mutex<State>>,
}

impl fmt::Debug for LabStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LabStore")
    }
}

impl fmt::Display for LabStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("lab://")
    }
}

/// A store, its clock, and processes that use it.
pub(crate) struct Lab {
    pub(crate) store: LabStore,
    pub(crate) clock: Arc<Clock>,
    processes: AtomicU32,
    seed: u64,
}

impl Lab {
    pub(crate) fn new() -> Self {
        Self::seeded(0)
    }

    /// Requests take turns by chance: another seed is another order.
    #[expect(clippy::disallowed_methods, reason = "the laboratory is where time comes from")]
    pub(crate) fn seeded(seed: u64) -> Self {
        let start = tokio::time::Instant::now();
        let clock = Arc::new(Clock { start, jumped_ms: AtomicI64::new(0) });
        let store = LabStore {
            clock: Arc::clone(&clock),
            chance: Arc::new(Chance::new(seed)),
            state: Arc::default(),
        };
        Self { store, clock, processes: AtomicU32::new(0), seed }
    }

    /// A new process.
    pub(crate) fn env(&self) -> Arc<LabEnv> {
        let number = self.processes.fetch_add(1, Ordering::Relaxed);
        Arc::new(LabEnv {
            clock: Arc::clone(&self.clock),
            chance: Chance::new(self.seed ^ u64::from(number + 1) << 32),
            offset_ms: AtomicI64::new(0),
            process: AtomicU32::new(1000 * (number + 1)),
        })
    }

    /// A client of the store in this process.
    pub(crate) async fn client_in(&self, env: &Arc<LabEnv>) -> Kaffic {
        let store = Arc::new(self.store.clone());
        let builder = Kaffic::builder().store(store, "").env(Arc::clone(env) as Arc<dyn Env>);
        builder.connect().await.expect("connects")
    }

    /// A client of the store in a process of its own.
    pub(crate) async fn client(&self) -> Kaffic {
        self.client_in(&self.env()).await
    }
}

impl LabStore {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test panicked here")
    }

    /// What becomes of requests from now on.
    pub(crate) fn rule(&self, rule: impl FnMut(&Request) -> Fault + Send + 'static) {
        self.state().rule = Some(Box::new(rule));
    }

    /// The next request for which this is true meets the fault; all others are done.
    pub(crate) fn once(
        &self,
        fault: Fault,
        mut which: impl FnMut(&Request) -> bool + Send + 'static,
    ) {
        let mut done = false;
        self.rule(move |request| {
            if done || !which(request) {
                return Fault::None;
            }
            done = true;
            fault
        });
    }

    /// Every request for which this is true meets the fault.
    pub(crate) fn always(
        &self,
        fault: Fault,
        mut which: impl FnMut(&Request) -> bool + Send + 'static,
    ) {
        self.rule(move |request| if which(request) { fault } else { Fault::None });
    }

    pub(crate) fn no_rule(&self) {
        self.state().rule = None;
    }

    /// Does the puts that were stalled, as a network may that comes back.
    pub(crate) fn apply_stalled(&self) -> usize {
        let stalled = std::mem::take(&mut self.state().stalled);
        let mut applied = 0;
        for (key, bytes) in stalled {
            applied += usize::from(self.create(&key, bytes));
        }
        applied
    }

    /// The requests since this was last called.
    pub(crate) fn take_requests(&self) -> Vec<Request> {
        std::mem::take(&mut self.state().requests)
    }

    /// How many requests there were since they were last taken or counted.
    pub(crate) fn take_counts(&self) -> Counts {
        let mut counts = Counts::default();
        for request in self.take_requests() {
            *match request.op {
                Op::Put => &mut counts.puts,
                Op::Get => &mut counts.gets,
                Op::List => &mut counts.lists,
                Op::Delete => &mut counts.deletes,
            } += 1;
        }
        counts
    }

    /// All keys under a directory (`""`: all), sorted.
    pub(crate) fn keys(&self, prefix: &str) -> Vec<String> {
        self.state().objects.keys().filter(|key| key.starts_with(prefix)).cloned().collect()
    }

    /// An object's bytes.
    pub(crate) fn object(&self, key: &str) -> Bytes {
        let state = self.state();
        state.objects.get(key).unwrap_or_else(|| panic!("{key} is not there")).bytes.clone()
    }

    /// Replaces an object's bytes; its stamp stays.
    pub(crate) fn replace(&self, key: &str, bytes: impl Into<Bytes>) {
        let now = self.clock.now_ms();
        let mut state = self.state();
        let stamp_ms = state.objects.get(key).map_or(now, |stored| stored.stamp_ms);
        state.objects.insert(key.to_owned(), Stored { bytes: bytes.into(), stamp_ms });
    }

    pub(crate) fn set_stamp_ms(&self, key: &str, stamp_ms: i64) {
        let mut state = self.state();
        state.objects.get_mut(key).unwrap_or_else(|| panic!("{key} is not there")).stamp_ms =
            stamp_ms;
    }

    /// Removes what has this beginning, as a lifecycle rule does; says how much.
    pub(crate) fn expire(&self, prefix: &str) -> usize {
        let mut state = self.state();
        let before = state.objects.len();
        state.objects.retain(|key, _| !key.starts_with(prefix));
        before - state.objects.len()
    }

    fn create(&self, key: &str, bytes: Bytes) -> bool {
        let stamp_ms = self.clock.now_ms();
        let mut state = self.state();
        if state.objects.contains_key(key) {
            return false;
        }
        state.objects.insert(key.to_owned(), Stored { bytes, stamp_ms });
        true
    }

    /// Notes a request, lets others go first by chance, and says what becomes of it.
    async fn begin(&self, op: Op, path: &Path) -> Result<(String, Fault)> {
        let request = Request { op, key: path.to_string() };
        let fault = {
            let mut state = self.state();
            state.requests.push(request.clone());
            match &mut state.rule {
                Some(rule) => rule(&request),
                None => Fault::None,
            }
        };
        for _ in 0..self.chance.below(4) {
            tokio::task::yield_now().await;
        }
        match fault {
            Fault::Fail => return Err(failure()),
            Fault::Throttle => {
                let text = "Server returned non-2xx status code: 503 Service Unavailable: ";
                return Err(Error::Generic { store: "lab", source: text.into() });
            }
            Fault::Deny => {
                let source = "denied".into();
                return Err(Error::PermissionDenied { path: request.key, source });
            }
            Fault::Delay(time) => pause(time).await,
            Fault::Stall if op != Op::Put => std::future::pending().await,
            _ => {}
        }
        Ok((request.key, fault))
    }

    /// Answers, or does not.
    async fn answer<T>(&self, fault: Fault, answer: Result<T>) -> Result<T> {
        for _ in 0..self.chance.below(4) {
            tokio::task::yield_now().await;
        }
        match fault {
            Fault::LoseResponse => Err(failure()),
            Fault::StallApplied => std::future::pending().await,
            Fault::AnswerLate(time) => {
                pause(time).await;
                answer
            }
            _ => answer,
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a slow store, in the laboratory's time")]
pub(crate) async fn pause(time: Duration) {
    tokio::time::sleep(time).await;
}

fn failure() -> Error {
    Error::Generic { store: "lab", source: "connection reset".into() }
}

fn meta(key: &str, stored: &Stored) -> ObjectMeta {
    ObjectMeta {
        location: Path::from(key),
        last_modified: time(stored.stamp_ms),
        size: stored.bytes.len() as u64,
        e_tag: None,
        version: None,
    }
}

/// A stamp as `object_store` has it.
pub(crate) fn time(unix_ms: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(unix_ms).expect("a time")
}

/// A whole object, or the part of it that was asked for.
pub(crate) fn answer_get(
    meta: ObjectMeta,
    bytes: Bytes,
    options: &GetOptions,
) -> Result<GetResult> {
    let range = match &options.range {
        None => 0..bytes.len() as u64,
        Some(range) => range
            .as_range(bytes.len() as u64)
            .map_err(|error| Error::Generic { store: "lab", source: error.into() })?,
    };
    let part = bytes.slice(range.start as usize..range.end as usize);
    Ok(GetResult {
        payload: GetResultPayload::Stream(stream::iter([Ok(part)]).boxed()),
        meta,
        range,
        attributes: Default::default(),
        extensions: Default::default(),
    })
}

#[async_trait]
impl ObjectStore for LabStore {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        let (key, fault) = self.begin(Op::Put, location).await?;
        let bytes = Bytes::from(payload);
        if fault == Fault::Stall {
            self.state().stalled.push((key, bytes));
            return std::future::pending().await;
        }
        if key.contains("/heartbeats/") {
            assert_eq!(options.mode, PutMode::Overwrite, "heartbeats are overwritten");
            let stamp_ms = self.clock.now_ms();
            self.state().objects.insert(key, Stored { bytes, stamp_ms });
            let done = PutResult { e_tag: None, version: None, extensions: Default::default() };
            return self.answer(fault, Ok(done)).await;
        }
        assert_eq!(options.mode, PutMode::Create, "every other put is conditional");
        let created = if fault == Fault::IgnoreCondition {
            self.replace(&key, bytes);
            true
        } else {
            self.create(&key, bytes)
        };
        let exists = || Error::AlreadyExists { path: key.clone(), source: "exists".into() };
        let done = Ok(PutResult { e_tag: None, version: None, extensions: Default::default() });
        let answer = if created && fault != Fault::Exists { done } else { Err(exists()) };
        self.answer(fault, answer).await
    }

    async fn put_multipart_opts(
        &self,
        _: &Path,
        _: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        unimplemented!("kaffic puts whole objects")
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let (key, fault) = self.begin(Op::Get, location).await?;
        let stored = self.state().objects.get(&key).cloned();
        let answer = match stored {
            Some(stored) => answer_get(meta(&key, &stored), stored.bytes, &options),
            None => Err(Error::NotFound { path: key, source: "not there".into() }),
        };
        self.answer(fault, answer).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let store = self.clone();
        locations
            .then(move |path| {
                let store = store.clone();
                async move {
                    let path = path?;
                    let (key, fault) = store.begin(Op::Delete, &path).await?;
                    store.state().objects.remove(&key);
                    store.answer(fault, Ok(path)).await
                }
            })
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (store, prefix) = (self.clone(), prefix.cloned().unwrap_or_default());
        stream::once(async move {
            let (dir, fault) = store.begin(Op::List, &prefix).await?;
            let found: Vec<Result<ObjectMeta>> = store
                .state()
                .objects
                .iter()
                .rev()
                .filter(|(key, _)| below(key, &dir).is_some())
                .map(|(key, stored)| Ok(meta(key, stored)))
                .collect();
            store.answer(fault, Ok(stream::iter(found))).await
        })
        .flat_map(|found| match found {
            Ok(found) => found.boxed(),
            Err(error) => stream::iter([Err(error)]).boxed(),
        })
        .boxed()
    }

    /// In reverse order: nothing may rest on listings being sorted.
    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let (dir, fault) = self.begin(Op::List, &prefix.cloned().unwrap_or_default()).await?;
        let (mut objects, mut dirs) = (Vec::new(), BTreeSet::new());
        for (key, stored) in self.state().objects.iter().rev() {
            match below(key, &dir).map(|rest| rest.split_once('/')) {
                Some(Some((name, _))) => drop(dirs.insert(format!("{dir}/{name}"))),
                Some(None) => objects.push(meta(key, stored)),
                None => {}
            }
        }
        let common_prefixes = dirs.iter().rev().map(|dir| Path::from(dir.as_str())).collect();
        let result = ListResult { common_prefixes, objects, extensions: Default::default() };
        self.answer(fault, Ok(result)).await
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        unimplemented!("kaffic never copies")
    }
}

/// The rest of a key that is in a directory.
fn below<'a>(key: &'a str, dir: &str) -> Option<&'a str> {
    if dir.is_empty() { Some(key) } else { key.strip_prefix(dir)?.strip_prefix('/') }
}
