//! Consumers. Records are handed out one at a time, or in arrays that were asked for, so a commit never
//! counts one that the program has not got.

use crate::convert;
use crate::error::Raises;
use crate::lock::at_once;
use crate::rebalance::Callbacks;
use crate::wait::{wait_anew, wait_in_turn};
use kaffic_bindings::process::{Belonging, Owned};
use kaffic_bindings::reader::{Polled, Reader, Wanted};
use kaffic_bindings::{Failure, Settings, Status};
use kaffic_core::{ConsumerRecord, Kaffic};
use magnus::prelude::*;
use magnus::{Error, RArray, RHash, RModule, Ruby, Value, method, typed_data::Obj};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

/// Kaffic::Consumer.
#[magnus::wrap(class = "Kaffic::Consumer", free_immediately, size)]
pub(crate) struct Consumer(Owned<Arc<Reader>>);

type This = Obj<Consumer>;

impl Consumer {
    pub(crate) fn new(client: &Kaffic, settings: Settings) -> Result<Self, Failure> {
        let reader = Reader::new(client, settings, Some(Arc::new(Callbacks)))?;
        Ok(Self(Belonging::here().own(Arc::new(reader))))
    }
}

fn reader(ruby: &Ruby, this: This) -> Result<Arc<Reader>, Error> {
    Ok(Arc::clone(this.0.get().raises(ruby)?))
}

/// Calls the reader, and waits for it.
fn call<T: Send + 'static, F>(
    ruby: &Ruby,
    this: This,
    call: impl FnOnce(Arc<Reader>) -> F,
) -> Result<T, Error>
where
    F: Future<Output = Result<T, Failure>> + Send + 'static,
{
    wait_in_turn(ruby, this, call(reader(ruby, this)?))
}

/// The same for what need not wait but for the turn.
fn look<T: Send + 'static, F>(
    ruby: &Ruby,
    this: This,
    look: impl Fn(Arc<Reader>) -> F,
) -> Result<T, Error>
where
    F: Future<Output = Result<T, Failure>> + Send + 'static,
{
    match at_once(this, pin!(look(reader(ruby, this)?))).raises(ruby)? {
        Some(seen) => seen.raises(ruby),
        None => call(ruby, this, look),
    }
}

fn read_topics(ruby: &Ruby, this: This, topics: Vec<String>) -> Result<(), Error> {
    call(ruby, this, |reader| async move { reader.read(Wanted::Topics(topics)).await })
}

fn read_pattern(ruby: &Ruby, this: This, pattern: String) -> Result<(), Error> {
    call(ruby, this, |reader| async move { reader.read(Wanted::Pattern(pattern)).await })
}

type Places = Vec<(String, u32, Option<i64>)>;

fn read_partitions(ruby: &Ruby, this: This, places: Places) -> Result<(), Error> {
    call(ruby, this, |reader| async move { reader.read(Wanted::Partitions(places)).await })
}

/// What a wait for records came to.
enum Came {
    Records(Vec<ConsumerRecord>),
    /// A callback raised, so there is that to tell first.
    Nothing,
    Woken,
    Closed,
}

fn came(polled: Result<Polled, Failure>) -> Result<Came, Failure> {
    match polled {
        Ok(Polled::Records(records)) if records.is_empty() => Ok(Came::Nothing),
        Ok(Polled::Records(records)) => Ok(Came::Records(records)),
        Ok(Polled::Woken) => Ok(Came::Woken),
        Err(failure) if failure.status == Status::Closed => Ok(Came::Closed),
        Err(failure) => Err(failure),
    }
}

/// Up to `max` records: those that are there, without giving Ruby's lock back, or those that come.
fn poll(
    ruby: &Ruby,
    this: This,
    reader: &Arc<Reader>,
    max: usize,
    limit: Option<Duration>,
) -> Result<Came, Error> {
    let now = at_once(this, pin!(reader.poll(max, Some(Duration::ZERO)))).raises(ruby)?;
    if let Some(now) = now {
        let now = came(now).raises(ruby)?;
        if !matches!(now, Came::Nothing) || limit == Some(Duration::ZERO) {
            return Ok(now);
        }
    }
    let reader = Arc::clone(reader);
    wait_anew(ruby, this, limit, move |left| {
        let reader = Arc::clone(&reader);
        async move { came(reader.poll(max, left).await) }
    })
}

/// The exception of a callback, if one waits to be raised.
fn check_callbacks(this: This) -> Result<(), Error> {
    this.funcall::<_, _, Value>("raise_of_callbacks", ()).map(drop)
}

fn closed() -> Failure {
    Failure::new(Status::Closed, "the consumer was closed")
}

fn poll_batch(ruby: &Ruby, this: This, max: usize, timeout: Option<f64>) -> Result<RArray, Error> {
    let (reader, limit) = (reader(ruby, this)?, convert::seconds(ruby, timeout)?);
    check_callbacks(this)?;
    match poll(ruby, this, &reader, max, limit)? {
        Came::Records(records) => {
            let array = ruby.ary_new_capa(records.len());
            for record in &records {
                array.push(convert::consumed(ruby, record)?)?;
            }
            Ok(array)
        }
        Came::Closed => Err(closed()).raises(ruby),
        Came::Nothing | Came::Woken => {
            check_callbacks(this)?;
            Ok(ruby.ary_new())
        }
    }
}

/// Yields each record until the consumer is finished, was woken or closed, or none came for so long.
/// Nothing can interrupt between a record's coming and the block.
fn each(ruby: &Ruby, this: This, idle: Option<f64>) -> Result<(), Error> {
    let (reader, limit) = (reader(ruby, this)?, convert::seconds(ruby, idle)?);
    if reader.is_closed() {
        return Err(closed()).raises(ruby);
    }
    check_callbacks(this)?;
    loop {
        match poll(ruby, this, &reader, 1, limit)? {
            Came::Records(records) => {
                for record in &records {
                    let _: Value = ruby.yield_value(convert::consumed(ruby, record)?)?;
                }
            }
            Came::Nothing => {
                check_callbacks(this)?;
                return Ok(());
            }
            Came::Woken | Came::Closed => return Ok(()),
        }
    }
}

fn seek(ruby: &Ruby, this: This, topic: String, partition: u32, to: String) -> Result<(), Error> {
    let to = convert::start(ruby, &to)?;
    call(ruby, this, |reader| async move { reader.seek(&topic, partition, to).await })
}

fn pause(
    ruby: &Ruby,
    this: This,
    topic: String,
    partition: u32,
    paused: bool,
) -> Result<(), Error> {
    call(ruby, this, |reader| async move { reader.pause(&topic, partition, paused).await })
}

fn positions(ruby: &Ruby, this: This) -> Result<Value, Error> {
    let at = look(ruby, this, |reader| async move { reader.positions().await })?;
    convert::positions(ruby, &at)
}

fn end_offsets(ruby: &Ruby, this: This) -> Result<Value, Error> {
    let at = call(ruby, this, |reader| async move { reader.end_offsets().await })?;
    convert::positions(ruby, &at)
}

fn lag(ruby: &Ruby, this: This) -> Result<Value, Error> {
    let lag = call(ruby, this, |reader| async move { reader.lag().await })?;
    convert::positions(ruby, &lag)
}

fn committed(ruby: &Ruby, this: This) -> Result<Value, Error> {
    let offsets = call(ruby, this, |reader| async move { reader.committed().await })?;
    convert::committed(ruby, &offsets)
}

fn commit(ruby: &Ruby, this: This, offsets: Option<RHash>) -> Result<(), Error> {
    let offsets = offsets.map(convert::commits).transpose()?;
    call(ruby, this, |reader| async move { reader.commit(offsets).await })
}

fn commit_async(ruby: &Ruby, this: This) -> Result<(), Error> {
    call(ruby, this, |reader| async move { reader.commit_async().await })
}

fn member_name(ruby: &Ruby, this: This) -> Result<Option<String>, Error> {
    look(ruby, this, |reader| async move { reader.member_name().await })
}

fn is_finished(ruby: &Ruby, this: This) -> Result<bool, Error> {
    look(ruby, this, |reader| async move { Ok(reader.is_finished().await) })
}

fn wakeup(ruby: &Ruby, this: This) -> Result<(), Error> {
    reader(ruby, this)?.wake();
    Ok(())
}

fn close(ruby: &Ruby, this: This) -> Result<(), Error> {
    call(ruby, this, |reader| async move { reader.close().await })?;
    check_callbacks(this)
}

pub(crate) fn define(ruby: &Ruby, kaffic: RModule) -> Result<(), Error> {
    let class = kaffic.define_class("Consumer", ruby.class_object())?;
    class.undef_default_alloc_func();
    class.define_private_method("native_topics", method!(read_topics, 1))?;
    class.define_private_method("native_pattern", method!(read_pattern, 1))?;
    class.define_private_method("native_partitions", method!(read_partitions, 1))?;
    class.define_private_method("native_poll_batch", method!(poll_batch, 2))?;
    class.define_private_method("native_each", method!(each, 1))?;
    class.define_private_method("native_seek", method!(seek, 3))?;
    class.define_private_method("native_pause", method!(pause, 3))?;
    class.define_private_method("native_positions", method!(positions, 0))?;
    class.define_private_method("native_end_offsets", method!(end_offsets, 0))?;
    class.define_private_method("native_lag", method!(lag, 0))?;
    class.define_private_method("native_committed", method!(committed, 0))?;
    class.define_private_method("native_commit", method!(commit, 1))?;
    class.define_private_method("native_commit_async", method!(commit_async, 0))?;
    class.define_private_method("native_member_name", method!(member_name, 0))?;
    class.define_private_method("native_finished?", method!(is_finished, 0))?;
    class.define_private_method("native_wakeup", method!(wakeup, 0))?;
    class.define_private_method("native_close", method!(close, 0))
}
