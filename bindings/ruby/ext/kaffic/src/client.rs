//! Connecting, what makes producers and consumers, and what is asked of topics and groups.

use crate::consumer::Consumer;
use crate::convert::{self, answer};
use crate::error::{Raises, raise};
use crate::producer::Producer;
use crate::wait::wait;
use kaffic_bindings::process::{Belonging, Owned};
use kaffic_bindings::{Failure, describe, settings};
use kaffic_core::{Kaffic, OffsetReset, Start};
use magnus::prelude::*;
use magnus::{Error, RHash, RModule, Ruby, Value, method, typed_data::Obj};
use serde_json::Value as Json;
use std::future::Future;

/// Kaffic::Client.
#[magnus::wrap(class = "Kaffic::Client", free_immediately, size)]
pub(crate) struct Client(Owned<Kaffic>);

type This = Obj<Client>;

/// Kaffic::Native.connect.
fn connect(ruby: &Ruby, native: Value, url: String, options: RHash) -> Result<Client, Error> {
    let options = convert::settings(options)?;
    let connects = async move { Ok(options.connect(&url).connect().await?) };
    let client = wait(ruby, native, connects)?;
    Ok(Client(Belonging::here().own(client)))
}

fn core(ruby: &Ruby, this: This) -> Result<Kaffic, Error> {
    Ok(this.0.get().raises(ruby)?.clone())
}

/// Asks the core, and gives its answer.
fn ask<F>(ruby: &Ruby, this: This, ask: impl FnOnce(Kaffic) -> F) -> Result<Value, Error>
where
    F: Future<Output = Result<Json, Failure>> + Send + 'static,
{
    let asked = ask(core(ruby, this)?);
    answer(ruby, wait(ruby, this, asked)?)
}

fn producer(ruby: &Ruby, this: This, topic: String, given: RHash) -> Result<Producer, Error> {
    let (core, given) = (core(ruby, this)?, convert::settings(given)?);
    let builder = given.producer(core.producer(&topic)).raises(ruby)?;
    let built = wait(ruby, this, async move { Ok(builder.build().await?) })?;
    Ok(Producer::new(built))
}

fn consumer(ruby: &Ruby, this: This, given: RHash) -> Result<Consumer, Error> {
    Consumer::new(&core(ruby, this)?, convert::settings(given)?).raises(ruby)
}

fn topics(ruby: &Ruby, this: This) -> Result<Value, Error> {
    ask(ruby, this, |core| async move { Ok(describe::topics(&core.topics().list().await?)) })
}

fn topic(ruby: &Ruby, this: This, name: String) -> Result<Value, Error> {
    ask(
        ruby,
        this,
        |core| async move { Ok(describe::topic(&core.topics().describe(&name).await?)) },
    )
}

fn create_topic(ruby: &Ruby, this: This, name: String, given: RHash) -> Result<Value, Error> {
    let config = convert::settings(given)?.topic_config().raises(ruby)?;
    ask(ruby, this, |core| async move {
        Ok(describe::topic(&core.topics().create(&name, config).await?))
    })
}

fn ensure_topic(ruby: &Ruby, this: This, name: String, given: RHash) -> Result<Value, Error> {
    let config = convert::settings(given)?.topic_config().raises(ruby)?;
    ask(ruby, this, |core| async move {
        Ok(describe::topic(&core.topics().ensure(&name, config).await?))
    })
}

fn alter_topic(ruby: &Ruby, this: This, name: String, given: RHash) -> Result<Value, Error> {
    let change = convert::settings(given)?.topic_change().raises(ruby)?;
    ask(ruby, this, |core| async move {
        Ok(describe::topic(&core.topics().alter(&name, change).await?))
    })
}

fn delete_topic(ruby: &Ruby, this: This, name: String) -> Result<Value, Error> {
    ask(
        ruby,
        this,
        |core| async move { Ok(describe::deletion(&core.topics().delete(&name).await?)) },
    )
}

fn offset(
    ruby: &Ruby,
    this: This,
    topic: String,
    partition: u32,
    at: String,
) -> Result<i64, Error> {
    let (core, at) = (core(ruby, this)?, convert::start(ruby, &at)?);
    let asked = async move {
        let offsets = core.offsets(&topic);
        Ok(match at {
            Start::Earliest => offsets.earliest(partition).await?,
            Start::Latest => offsets.latest(partition).await?,
            Start::Timestamp(ms) => offsets.at(partition, ms).await?,
            _ => {
                return Err(Failure::invalid(
                    "an offset is asked for by earliest, latest or a time",
                ));
            }
        })
    };
    wait(ruby, this, asked)
}

fn verify(ruby: &Ruby, this: This, topic: String) -> Result<Value, Error> {
    ask(ruby, this, |core| async move {
        Ok(describe::verification(&core.verify(&topic, |_| {}).await?))
    })
}

fn compact(ruby: &Ruby, this: This, topic: String) -> Result<Value, Error> {
    ask(
        ruby,
        this,
        |core| async move { Ok(describe::compaction(&core.compact(&topic, |_| {}).await?)) },
    )
}

fn trim(ruby: &Ruby, this: This, topic: String, given: RHash) -> Result<Value, Error> {
    let trim = convert::settings(given)?.trim().raises(ruby)?;
    ask(ruby, this, |core| async move { Ok(describe::trim(&core.trim(&topic, trim).await?)) })
}

fn adopt(ruby: &Ruby, this: This, topic: String, dry_run: bool) -> Result<Value, Error> {
    ask(
        ruby,
        this,
        |core| async move { Ok(describe::adoption(&core.adopt(&topic, dry_run).await?)) },
    )
}

fn examine(ruby: &Ruby, this: This) -> Result<Value, Error> {
    ask(ruby, this, |core| async move { Ok(describe::examination(&core.examine().await?)) })
}

fn metrics(ruby: &Ruby, this: This) -> Result<Value, Error> {
    answer(ruby, describe::metrics(&core(ruby, this)?.metrics()))
}

fn groups(ruby: &Ruby, this: This) -> Result<Value, Error> {
    ask(ruby, this, |core| async move { Ok(describe::groups(&core.groups().list().await?)) })
}

fn group(ruby: &Ruby, this: This, name: String) -> Result<Value, Error> {
    ask(
        ruby,
        this,
        |core| async move { Ok(describe::group(&core.groups().describe(&name).await?)) },
    )
}

fn group_committed(ruby: &Ruby, this: This, name: String) -> Result<Value, Error> {
    let core = core(ruby, this)?;
    let asked = async move { Ok(core.groups().committed(&name).await?) };
    convert::committed(ruby, &wait(ruby, this, asked)?)
}

fn commit_group(ruby: &Ruby, this: This, name: String, offsets: RHash) -> Result<(), Error> {
    let (core, commits) = (core(ruby, this)?, convert::commits(offsets)?);
    wait(ruby, this, async move { Ok(core.groups().commit(&name, commits).await.map(drop)?) })
}

fn reset_group(ruby: &Ruby, this: This, args: &[Value]) -> Result<Value, Error> {
    type Given = (String, String, String, Option<Vec<u32>>, bool);
    let given = ruby.ary_new_from_values(args);
    let (name, topic, to, partitions, dry_run): Given =
        magnus::TryConvert::try_convert(given.as_value())?;
    let to = settings::reset(&to).map_err(|wrong| raise(ruby, Failure::invalid(wrong)))?;
    let mut reset = OffsetReset::new(topic, to).dry_run(dry_run);
    if let Some(partitions) = partitions {
        reset = reset.partitions(partitions);
    }
    let core = core(ruby, this)?;
    let asked = async move { Ok(core.groups().reset(&name, reset).await?) };
    convert::committed(ruby, &wait(ruby, this, asked)?)
}

fn delete_group(ruby: &Ruby, this: This, name: String) -> Result<(), Error> {
    let core = core(ruby, this)?;
    wait(ruby, this, async move { Ok(core.groups().delete(&name).await?) })
}

/// Whether the client was made in this process, and not before a fork.
fn is_here(this: This) -> bool {
    this.0.get().is_ok()
}

pub(crate) fn define(ruby: &Ruby, kaffic: RModule) -> Result<(), Error> {
    let native: RModule = kaffic.const_get("Native")?;
    native.define_singleton_method("connect", method!(connect, 2))?;
    let class = kaffic.define_class("Client", ruby.class_object())?;
    class.undef_default_alloc_func();
    class.define_private_method("native_producer", method!(producer, 2))?;
    class.define_private_method("native_consumer", method!(consumer, 1))?;
    class.define_private_method("native_topics", method!(topics, 0))?;
    class.define_private_method("native_topic", method!(topic, 1))?;
    class.define_private_method("native_create_topic", method!(create_topic, 2))?;
    class.define_private_method("native_ensure_topic", method!(ensure_topic, 2))?;
    class.define_private_method("native_alter_topic", method!(alter_topic, 2))?;
    class.define_private_method("native_delete_topic", method!(delete_topic, 1))?;
    class.define_private_method("native_offset", method!(offset, 3))?;
    class.define_private_method("native_verify", method!(verify, 1))?;
    class.define_private_method("native_compact", method!(compact, 1))?;
    class.define_private_method("native_trim", method!(trim, 2))?;
    class.define_private_method("native_adopt", method!(adopt, 2))?;
    class.define_private_method("native_examine", method!(examine, 0))?;
    class.define_private_method("native_metrics", method!(metrics, 0))?;
    class.define_private_method("native_groups", method!(groups, 0))?;
    class.define_private_method("native_group", method!(group, 1))?;
    class.define_private_method("native_group_committed", method!(group_committed, 1))?;
    class.define_private_method("native_commit_group", method!(commit_group, 2))?;
    class.define_private_method("native_reset_group", method!(reset_group, -1))?;
    class.define_private_method("native_delete_group", method!(delete_group, 1))?;
    class.define_private_method("native_here?", method!(is_here, 0))
}
