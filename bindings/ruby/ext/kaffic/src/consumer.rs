//! Consumers. Records are handed out one at a time, or in arrays that were asked for, so a commit never
//! counts one that the program has not got.

use crate::convert;
use crate::error::Raises;
use crate::lock::at_once;
use crate::rebalance::Callbacks;
use crate::wait::{deadline, wait_anew, wait_in_turn};
use futures_util::future::{Either, select};
use kaffic_bindings::process::{Belonging, Owned};
use kaffic_bindings::reader::{Reader, Wanted};
use kaffic_bindings::{Failure, Settings, Status};
use kaffic_core::{ConsumerRecord, Kaffic};
use magnus::prelude::*;
use magnus::{Error, RArray, RHash, RModule, Ruby, Value, method, typed_data::Obj};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// Kaffic::Consumer.
#[magnus::wrap(class = "Kaffic::Consumer", free_immediately, size)]
pub(crate) struct Consumer {
    reader: Owned<Arc<Reader>>,
    raised: Arc<Raised>,
}

/// Whether a callback has raised what is not told yet, and what ends a wait for records then.
#[derive(Default)]
struct Raised {
    untold: AtomicBool,
    now: Notify,
}

type This = Obj<Consumer>;

impl Consumer {
    pub(crate) fn new(client: &Kaffic, settings: Settings) -> Result<Self, Failure> {
        let reader = Reader::new(client, settings, Some(Arc::new(Callbacks)))?;
        Ok(Self { reader: Belonging::here().own(Arc::new(reader)), raised: Arc::default() })
    }
}

fn reader(ruby: &Ruby, this: This) -> Result<Arc<Reader>, Error> {
    Ok(Arc::clone(this.reader.get().raises(ruby)?))
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
    // Its place in the queue for the turn has to be gone before the call takes another.
    let seen = at_once(this, pin!(look(reader(ruby, this)?))).raises(ruby)?;
    match seen {
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
    /// None came in time, or none will.
    Nothing,
    Woken,
    Closed,
}

/// Up to `max` records: those that are there, without giving Ruby's lock back, or those that come. They are
/// left to the reader until this thread, and in it this fiber, takes them: what ends its wait loses none.
fn poll(
    ruby: &Ruby,
    this: This,
    reader: &Arc<Reader>,
    max: usize,
    limit: Option<Duration>,
) -> Result<Came, Error> {
    let deadline = deadline(limit);
    loop {
        tell_raised(this)?;
        let now = at_once(this, pin!(reader.ready(Some(Duration::ZERO)))).raises(ruby)?;
        let ready = match now {
            None | Some(Ok(Some(false))) if limit != Some(Duration::ZERO) => {
                wait_until_ready(ruby, this, reader, deadline)?
            }
            None => return Ok(Came::Nothing),
            Some(now) => now.map(Some),
        };
        tell_raised(this)?;
        let taken = match ready {
            Ok(Some(Some(true))) => at_once(this, pin!(async { reader.take(max) })).raises(ruby)?,
            Ok(Some(Some(false))) => return Ok(Came::Nothing),
            Ok(Some(None)) => return Ok(Came::Woken),
            // Another thread has told what was raised.
            Ok(None) => None,
            Err(failure) => Some(Err(failure)),
        };
        match taken {
            // Another was first.
            Some(Ok(records)) if records.is_empty() && max > 0 => {}
            Some(Ok(records)) => return Ok(Came::Records(records)),
            Some(Err(failure)) if failure.status == Status::Closed => return Ok(Came::Closed),
            Some(Err(failure)) => return Err(failure).raises(ruby),
            None => {}
        }
    }
}

/// What `Reader::ready` says; `None` if a callback has raised.
fn wait_until_ready(
    ruby: &Ruby,
    this: This,
    reader: &Arc<Reader>,
    deadline: Option<Instant>,
) -> Result<Result<Option<Option<bool>>, Failure>, Error> {
    let (reader, raised) = (Arc::clone(reader), Arc::clone(&this.raised));
    wait_anew(ruby, this, deadline, move |left| {
        let (reader, raised) = (Arc::clone(&reader), Arc::clone(&raised));
        async move {
            let ready = pin!(reader.ready(left));
            Ok(match select(ready, pin!(raised.now.notified())).await {
                Either::Left((ready, _)) => ready.map(Some),
                Either::Right(_) => Ok(None),
            })
        }
    })
}

/// Raises what a callback has raised.
fn tell_raised(this: This) -> Result<(), Error> {
    if this.raised.untold.swap(false, Ordering::AcqRel) {
        this.funcall::<_, _, Value>("raise_of_callbacks", ())?;
    }
    Ok(())
}

/// A callback has raised.
fn raised(this: This) {
    this.raised.untold.store(true, Ordering::Release);
    this.raised.now.notify_one();
}

fn closed() -> Failure {
    Failure::new(Status::Closed, "the consumer was closed")
}

fn poll_batch(ruby: &Ruby, this: This, max: usize, timeout: Option<f64>) -> Result<RArray, Error> {
    let (reader, limit) = (reader(ruby, this)?, convert::seconds(ruby, timeout)?);
    match poll(ruby, this, &reader, max, limit)? {
        Came::Records(records) => {
            let array = ruby.ary_new_capa(records.len());
            for record in &records {
                array.push(convert::consumed(ruby, record)?)?;
            }
            Ok(array)
        }
        Came::Closed => Err(closed()).raises(ruby),
        Came::Nothing | Came::Woken => Ok(ruby.ary_new()),
    }
}

/// Yields each record until the consumer is finished, was woken or closed, or none came for so long.
/// Nothing can interrupt between a record's coming and the block.
fn each(ruby: &Ruby, this: This, idle: Option<f64>) -> Result<(), Error> {
    let (reader, limit) = (reader(ruby, this)?, convert::seconds(ruby, idle)?);
    if reader.is_closed() {
        return Err(closed()).raises(ruby);
    }
    while let Came::Records(records) = poll(ruby, this, &reader, 1, limit)? {
        for record in &records {
            let _: Value = ruby.yield_value(convert::consumed(ruby, record)?)?;
        }
    }
    Ok(())
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
    call(ruby, this, |reader| async move { reader.close().await })
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
    class.define_private_method("native_raised", method!(raised, 0))?;
    class.define_private_method("native_close", method!(close, 0))
}
