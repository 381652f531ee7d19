//! A client, and everything that is asked of it as JSON: topics, groups, offsets, upkeep.

use crate::consumer::{NativeConsumer, commits, committed, unreadable};
use crate::producer::NativeProducer;
use crate::promise::{promise, thrown};
use kaffic_bindings::logs::{self, Level};
use kaffic_bindings::process::{Belonging, Owned};
use kaffic_bindings::{Failure, Settings, describe, settings};
use kaffic_core::{Kaffic, OffsetReset, Start};
use napi::Env;
use napi::bindgen_prelude::{FnArgs, Function, Object};
use napi::threadsafe_function::ThreadsafeFunctionCallMode;
use napi_derive::napi;
use serde_json::{Value, json};
use std::sync::Arc;

type Pairs = Vec<(String, String)>;

/// A log line: its level, where it comes from, and what it says.
type Line = FnArgs<(i32, String, String)>;

/// A client as JavaScript holds it.
#[napi]
pub struct NativeClient {
    client: Owned<Kaffic>,
}

/// Connects to a store.
#[napi(catch_unwind, ts_return_type = "Promise<NativeClient>")]
pub fn connect(env: &Env, url: String, options: Pairs) -> napi::Result<Object<'_>> {
    promise(env, async move {
        let options: Settings = options.into_iter().collect();
        let client = options.connect(&url).connect().await?;
        Ok(NativeClient { client: Belonging::here().own(client) })
    })
}

/// The version of this library.
#[napi(catch_unwind)]
pub fn version() -> String {
    env!("CARGO_PKG_VERSION").to_owned()
}

/// Says who gets log lines, with their level by its number. Lines that JavaScript has no time for are
/// left out.
#[napi(catch_unwind)]
pub fn set_logger(least: i32, tell: Option<Function<'_, Line, ()>>) -> napi::Result<bool> {
    let least =
        Level::from_number(least).ok_or_else(|| thrown(Failure::invalid("no such level")))?;
    let Some(tell) = tell else { return Ok(logs::set_sink(least, None)) };
    let tell = tell
        .build_threadsafe_function::<Line>()
        .weak::<true>()
        .callee_handled::<false>()
        .max_queue_size::<1024>()
        .build()?;
    let sink: logs::Sink = Arc::new(move |level, target, line| {
        let args = (level as i32, target.to_owned(), line.to_owned()).into();
        tell.call(args, ThreadsafeFunctionCallMode::NonBlocking);
    });
    Ok(logs::set_sink(least, Some(sink)))
}

#[napi]
impl NativeClient {
    fn kaffic(&self) -> napi::Result<Kaffic> {
        self.client.get().cloned().map_err(thrown)
    }

    /// Makes a producer.
    #[napi(catch_unwind, ts_return_type = "Promise<NativeProducer>")]
    pub fn producer<'env>(
        &self,
        env: &'env Env,
        topic: String,
        given: Pairs,
    ) -> napi::Result<Object<'env>> {
        let client = self.kaffic()?;
        promise(env, async move {
            let given: Settings = given.into_iter().collect();
            NativeProducer::new(given.producer(client.producer(&topic))?.build().await?)
        })
    }

    /// Makes a consumer.
    #[napi(catch_unwind)]
    pub fn consumer(
        &self,
        env: &Env,
        given: Pairs,
        listen: Option<Function<'_, FnArgs<(String, String)>, String>>,
    ) -> napi::Result<NativeConsumer> {
        NativeConsumer::new(env, &self.kaffic()?, given.into_iter().collect(), listen)
    }

    /// Does what the words say, and answers in JSON. The numbers of 64 bits are text.
    #[napi(catch_unwind, ts_return_type = "Promise<string>")]
    pub fn ask<'env>(
        &self,
        env: &'env Env,
        what: String,
        words: Vec<String>,
        given: Pairs,
    ) -> napi::Result<Object<'env>> {
        let client = self.kaffic()?;
        promise(env, async move {
            let given: Settings = given.into_iter().collect();
            Ok(exact(answer(&client, &what, &words, given).await?).to_string())
        })
    }

    /// What was asked of the store so far, as JSON.
    #[napi(catch_unwind)]
    pub fn metrics(&self) -> napi::Result<String> {
        Ok(exact(describe::metrics(&self.kaffic()?.metrics())).to_string())
    }
}

async fn answer(
    client: &Kaffic,
    what: &str,
    words: &[String],
    given: Settings,
) -> Result<Value, Failure> {
    let (topics, groups) = (client.topics(), client.groups());
    let word = |at: usize| words.get(at).map(String::as_str).unwrap_or_default();
    let name = word(0);
    Ok(match what {
        "topics.create" => describe::topic(&topics.create(name, given.topic_config()?).await?),
        "topics.ensure" => describe::topic(&topics.ensure(name, given.topic_config()?).await?),
        "topics.alter" => describe::topic(&topics.alter(name, given.topic_change()?).await?),
        "topics.list" => describe::topics(&topics.list().await?),
        "topics.describe" => describe::topic(&topics.describe(name).await?),
        "topics.delete" => describe::deletion(&topics.delete(name).await?),
        "groups.list" => describe::groups(&groups.list().await?),
        "groups.describe" => describe::group(&groups.describe(name).await?),
        "groups.committed" => committed(&groups.committed(name).await?),
        "groups.commit" => {
            groups.commit(name, commits(word(1))?).await?;
            Value::Null
        }
        "groups.reset" => committed(&groups.reset(name, reset(words)?).await?),
        "groups.delete" => {
            groups.delete(name).await?;
            Value::Null
        }
        "offset" => json!(offset(client, name, word(1), word(2)).await?.to_string()),
        "verify" => describe::verification(&client.verify(name, |_| {}).await?),
        "compact" => describe::compaction(&client.compact(name, |_| {}).await?),
        "trim" => describe::trim(&client.trim(name, given.trim()?).await?),
        "adopt" => describe::adoption(&client.adopt(name, word(1) == "true").await?),
        "examine" => describe::examination(&client.examine().await?),
        other => return Err(unreadable(other)),
    })
}

/// Group, topic, where to, whether it is only tried, and partitions if not all.
fn reset(words: &[String]) -> Result<OffsetReset, Failure> {
    let [_, topic, to, dry_run, partitions @ ..] = words else { return Err(unreadable("a reset")) };
    let wrong = |wrong| Failure::invalid(format!("reset to {to}: {wrong}"));
    let reset = OffsetReset::new(topic, settings::reset(to).map_err(wrong)?);
    let reset = reset.dry_run(dry_run == "true");
    if partitions.is_empty() {
        return Ok(reset);
    }
    let partitions: Result<Vec<u32>, _> = partitions.iter().map(|number| number.parse()).collect();
    Ok(reset.partitions(partitions.map_err(unreadable)?))
}

async fn offset(client: &Kaffic, topic: &str, partition: &str, at: &str) -> Result<i64, Failure> {
    let of = client.offsets(topic);
    let partition = partition.parse().map_err(unreadable)?;
    let wrong = |wrong: &str| Failure::invalid(format!("an offset at {at}: {wrong}"));
    Ok(match settings::start(at).map_err(|why| wrong(&why))? {
        Start::Earliest => of.earliest(partition).await?,
        Start::Latest => of.latest(partition).await?,
        Start::Timestamp(ms) => of.at(partition, ms).await?,
        _ => return Err(wrong("write earliest, latest, timestamp:MS or time:RFC3339")),
    })
}

/// The fields with offsets, as text.
fn exact(mut value: Value) -> Value {
    match &mut value {
        Value::Array(items) => items.iter_mut().for_each(|item| *item = exact(item.take())),
        Value::Object(fields) => {
            for (name, field) in fields {
                let is_offset =
                    ["offset", "committed", "end", "lag", "next_offset"].contains(&name.as_str());
                *field = match field.take() {
                    Value::Number(number) if is_offset => json!(number.to_string()),
                    other => exact(other),
                };
            }
        }
        _ => {}
    }
    value
}
