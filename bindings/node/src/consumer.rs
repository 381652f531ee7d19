//! A consumer: what a poll returned crosses as one packed buffer, everything else as JSON.

use crate::packed::Batch;
use crate::promise::{ended, promise, thrown};
use futures_util::future::{Either, select};
use kaffic_bindings::process::{Belonging, Owned};
use kaffic_bindings::reader::{Polled, Reader, Wanted};
use kaffic_bindings::settings::start;
use kaffic_bindings::{Failure, Settings, process};
use kaffic_core::{CommittedOffset, Kaffic, OffsetCommit, PartitionPosition, RebalanceListener};
use napi::bindgen_prelude::{FnArgs, Function, Object, Uint8Array};
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi::{Env, Status};
use napi_derive::napi;
use serde_json::{Value, json};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{oneshot, watch};

/// The most records of one poll: JavaScript hands them out in about a millisecond.
const MOST_RECORDS: usize = 1000;
/// The bytes that a poll should return, as far as the size of records can be told from those before.
const POLL_BYTES: usize = 1 << 20;
/// What fits into one buffer at all.
const MOST_BYTES: usize = 2 << 30;

/// Calls JavaScript with what happened and the partitions, and takes commits from it, all as JSON.
type Listen = ThreadsafeFunction<
    FnArgs<(String, String)>,
    String,
    FnArgs<(String, String)>,
    Status,
    false,
    true,
>;

struct Listener {
    listen: Listen,
    ended: watch::Receiver<bool>,
}

impl Listener {
    /// Waits for the answer. JavaScript never waits for this thread, so it comes; when JavaScript
    /// ends meanwhile, there is none.
    fn tell(&self, what: &str, partitions: &[PartitionPosition]) -> Option<String> {
        let args = (what.to_owned(), positions(partitions).to_string()).into();
        let (answer, answered) = oneshot::channel();
        let called = self.listen.call_with_return_value(
            args,
            ThreadsafeFunctionCallMode::NonBlocking,
            move |returned, _| {
                answer.send(returned.unwrap_or_default()).ok();
                Ok(())
            },
        );
        if called != Status::Ok {
            return None;
        }
        // A call that JavaScript has no more time for is kept, and never answered.
        let mut ended = self.ended.clone();
        let said = async move {
            match select(answered, pin!(ended.wait_for(|ended| *ended))).await {
                Either::Left((answer, _)) => answer.ok(),
                Either::Right(_) => None,
            }
        };
        let runtime = process::runtime().ok()?;
        tokio::task::block_in_place(|| runtime.block_on(said))
    }
}

impl RebalanceListener for Listener {
    fn assigned(&self, partitions: &[PartitionPosition]) {
        self.tell("assigned", partitions);
    }

    fn revoked(&self, partitions: &[PartitionPosition]) -> Vec<OffsetCommit> {
        // What is not a list of commits was refused where it was made, in lib/consumer.js.
        let said = self.tell("revoked", partitions);
        said.and_then(|said| commits(&said).ok()).unwrap_or_default()
    }

    fn lost(&self, partitions: &[PartitionPosition]) {
        self.tell("lost", partitions);
    }
}

/// A consumer as JavaScript holds it.
#[napi]
pub struct NativeConsumer {
    reader: Owned<Arc<Reader>>,
    /// How many records the next poll may return.
    most: Arc<AtomicUsize>,
}

impl NativeConsumer {
    pub(crate) fn new(
        env: &Env,
        client: &Kaffic,
        settings: Settings,
        listen: Option<Function<'_, FnArgs<(String, String)>, String>>,
    ) -> napi::Result<Self> {
        let listener = match listen {
            None => None,
            Some(listen) => {
                let listen = listen
                    .build_threadsafe_function::<FnArgs<(String, String)>>()
                    .weak::<true>()
                    .callee_handled::<false>()
                    .build()?;
                let ended = ended(env)?;
                Some(Arc::new(Listener { listen, ended }) as Arc<dyn RebalanceListener>)
            }
        };
        let reader = Reader::new(client, settings, listener).map_err(thrown)?;
        let reader = Belonging::here().own(Arc::new(reader));
        Ok(Self { reader, most: Arc::new(AtomicUsize::new(16)) })
    }

    fn reader(&self) -> napi::Result<Arc<Reader>> {
        self.reader.get().map(Arc::clone).map_err(thrown)
    }

    fn asks<'env, F>(
        &self,
        env: &'env Env,
        what: impl FnOnce(Arc<Reader>) -> F + Send + 'static,
    ) -> napi::Result<Object<'env>>
    where
        F: Future<Output = Result<Value, Failure>> + Send + 'static,
    {
        let reader = self.reader()?;
        promise(env, async move { Ok(what(reader).await?.to_string()) })
    }
}

#[napi]
impl NativeConsumer {
    /// Says what is read: `{"topics": […]}`, `{"pattern": "…"}` or `{"partitions": [[topic, partition,
    /// offset or null]…]}`.
    #[napi(catch_unwind, ts_return_type = "Promise<string>")]
    pub fn read<'env>(&self, env: &'env Env, wanted: String) -> napi::Result<Object<'env>> {
        let wanted = read_wanted(&wanted).map_err(thrown)?;
        self.asks(env, |reader| async move { reader.read(wanted).await.map(|()| Value::Null) })
    }

    /// A packed batch of at most `max` records; waits for the first for so many milliseconds, or for
    /// as long as it takes.
    #[napi(catch_unwind, ts_return_type = "Promise<Buffer>")]
    pub fn poll<'env>(
        &self,
        env: &'env Env,
        max: u32,
        wait_ms: Option<f64>,
    ) -> napi::Result<Object<'env>> {
        let (reader, most) = (self.reader()?, Arc::clone(&self.most));
        let limit = most.load(Ordering::Relaxed);
        let wait = wait_ms.and_then(|ms| Duration::try_from_secs_f64(ms.max(0.0) / 1000.0).ok());
        promise(env, async move {
            let mut batch = Batch::default();
            match reader.poll(limit.min(max as usize), wait).await? {
                Polled::Woken => batch.woken = true,
                Polled::Records(records) => {
                    batch.finished = records.is_empty() && reader.is_finished().await;
                    batch.records = records;
                }
            }
            let bytes = batch.content_len();
            if bytes > MOST_BYTES {
                return Err(Failure::invalid(format!(
                    "a poll came to {bytes} bytes, more than a Buffer holds: lower fetch_ahead_bytes, \
                     and seek back to read these records again"
                )));
            }
            if let Some(each) = bytes.checked_div(batch.records.len()) {
                let next = (POLL_BYTES / each.max(1)).min(limit * 4).clamp(1, MOST_RECORDS);
                most.store(next, Ordering::Relaxed);
            }
            Ok(Uint8Array::from(batch.pack()))
        })
    }

    /// Ends the poll that waits, or the next.
    #[napi(catch_unwind)]
    pub fn wake(&self) -> napi::Result<()> {
        self.reader()?.wake();
        Ok(())
    }

    /// Goes on elsewhere.
    #[napi(catch_unwind, ts_return_type = "Promise<string>")]
    pub fn seek<'env>(
        &self,
        env: &'env Env,
        topic: String,
        partition: u32,
        to: String,
    ) -> napi::Result<Object<'env>> {
        self.asks(env, move |reader| async move {
            let to =
                start(&to).map_err(|wrong| Failure::invalid(format!("seek to {to}: {wrong}")))?;
            reader.seek(&topic, partition, to).await.map(|()| Value::Null)
        })
    }

    /// Stops delivering a partition, or goes on.
    #[napi(catch_unwind, ts_return_type = "Promise<string>")]
    pub fn pause<'env>(
        &self,
        env: &'env Env,
        topic: String,
        partition: u32,
        paused: bool,
    ) -> napi::Result<Object<'env>> {
        self.asks(env, move |reader| async move {
            reader.pause(&topic, partition, paused).await.map(|()| Value::Null)
        })
    }

    /// The offsets of the next records to be returned by a poll.
    #[napi(catch_unwind, ts_return_type = "Promise<string>")]
    pub fn positions<'env>(&self, env: &'env Env) -> napi::Result<Object<'env>> {
        self.asks(env, |reader| async move { Ok(positions(&reader.positions().await?)) })
    }

    /// The tails.
    #[napi(catch_unwind, ts_return_type = "Promise<string>")]
    pub fn end_offsets<'env>(&self, env: &'env Env) -> napi::Result<Object<'env>> {
        self.asks(env, |reader| async move { Ok(positions(&reader.end_offsets().await?)) })
    }

    /// How far behind the tails the polls are.
    #[napi(catch_unwind, ts_return_type = "Promise<string>")]
    pub fn lag<'env>(&self, env: &'env Env) -> napi::Result<Object<'env>> {
        self.asks(env, |reader| async move { Ok(positions(&reader.lag().await?)) })
    }

    /// What is committed.
    #[napi(catch_unwind, ts_return_type = "Promise<string>")]
    pub fn committed<'env>(&self, env: &'env Env) -> napi::Result<Object<'env>> {
        self.asks(env, |reader| async move { Ok(committed(&reader.committed().await?)) })
    }

    /// Commits these offsets, or everything that polls have returned.
    #[napi(catch_unwind, ts_return_type = "Promise<string>")]
    pub fn commit<'env>(
        &self,
        env: &'env Env,
        offsets: Option<String>,
    ) -> napi::Result<Object<'env>> {
        let offsets = offsets.as_deref().map(commits).transpose().map_err(thrown)?;
        self.asks(env, |reader| async move { reader.commit(offsets).await.map(|()| Value::Null) })
    }

    /// Its name in its group.
    #[napi(catch_unwind, ts_return_type = "Promise<string>")]
    pub fn member_name<'env>(&self, env: &'env Env) -> napi::Result<Object<'env>> {
        self.asks(env, |reader| async move { Ok(json!(reader.member_name().await?)) })
    }

    /// Whether everything that was asked for has been delivered.
    #[napi(catch_unwind, ts_return_type = "Promise<string>")]
    pub fn is_finished<'env>(&self, env: &'env Env) -> napi::Result<Object<'env>> {
        self.asks(env, |reader| async move { Ok(json!(reader.is_finished().await)) })
    }

    /// Ends it. Of the partitions that are named, only what lies before these offsets was handed out.
    #[napi(catch_unwind, ts_return_type = "Promise<string>")]
    pub fn close<'env>(&self, env: &'env Env, waiting: String) -> napi::Result<Object<'env>> {
        let position = |commit: OffsetCommit| PartitionPosition {
            topic: commit.topic.into(),
            partition: commit.partition,
            offset: commit.offset,
        };
        let processed = commits(&waiting).map_err(thrown)?.into_iter().map(position).collect();
        self.asks(
            env,
            |reader| async move { reader.close_at(processed).await.map(|()| Value::Null) },
        )
    }
}

fn read_wanted(text: &str) -> Result<Wanted, Failure> {
    let wanted: Value = serde_json::from_str(text).map_err(unreadable)?;
    if let Some(pattern) = wanted["pattern"].as_str() {
        return Ok(Wanted::Pattern(pattern.to_owned()));
    }
    if let Some(topics) = wanted["topics"].as_array() {
        let name = |topic: &Value| topic.as_str().map(str::to_owned);
        let topics: Option<_> = topics.iter().map(name).collect();
        return topics.map(Wanted::Topics).ok_or_else(|| unreadable("topics"));
    }
    let partitions = wanted["partitions"].as_array().ok_or_else(|| unreadable("partitions"))?;
    let partition = |at: &Value| {
        Some((at[0].as_str()?.to_owned(), number(&at[1])?, offset(&at[2]).transpose().ok()?))
    };
    let partitions: Option<_> = partitions.iter().map(partition).collect();
    partitions.map(Wanted::Partitions).ok_or_else(|| unreadable("partitions"))
}

fn number(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|number| u32::try_from(number).ok())
}

/// An offset, which crosses as text; `None` where there is none.
fn offset(value: &Value) -> Option<Result<i64, Failure>> {
    let text = value.as_str()?;
    Some(text.parse().map_err(|_| Failure::invalid(format!("{text} is no offset of 64 bits"))))
}

/// `[[topic, partition, offset, metadata or null]…]`.
pub(crate) fn commits(text: &str) -> Result<Vec<OffsetCommit>, Failure> {
    let value: Value = serde_json::from_str(text).map_err(unreadable)?;
    let items = value.as_array().ok_or_else(|| unreadable("commits"))?;
    let commit = |at: &Value| {
        let wrong = || unreadable("a commit");
        let topic = at[0].as_str().ok_or_else(wrong)?;
        let partition = number(&at[1]).ok_or_else(wrong)?;
        let commit = OffsetCommit::new(topic, partition, offset(&at[2]).ok_or_else(wrong)??);
        Ok(match at[3].as_str() {
            Some(metadata) => commit.metadata(metadata),
            None => commit,
        })
    };
    items.iter().map(commit).collect()
}

/// JSON that `lib/` should not have made.
pub(crate) fn unreadable(what: impl std::fmt::Display) -> Failure {
    Failure::new(kaffic_bindings::Status::Internal, format!("arguments that can't be read: {what}"))
}

fn positions(positions: &[PartitionPosition]) -> Value {
    let at = |at: &PartitionPosition| json!([&*at.topic, at.partition, at.offset.to_string()]);
    positions.iter().map(at).collect()
}

pub(crate) fn committed(offsets: &[CommittedOffset]) -> Value {
    let at =
        |at: &CommittedOffset| json!([at.topic, at.partition, at.offset.to_string(), at.metadata]);
    offsets.iter().map(at).collect()
}
