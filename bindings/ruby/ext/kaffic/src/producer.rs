//! Producers, and the handles of records that are under way.

use crate::convert;
use crate::error::{Raises, raise};
use crate::lock::at_once;
use crate::wait::wait;
use kaffic_bindings::Failure;
use kaffic_bindings::process::{Belonging, Owned, limited};
use kaffic_core::{Ack, Record, Ticket};
use magnus::prelude::*;
use magnus::{Error, RArray, RModule, Ruby, Value, method, typed_data::Obj};
use std::pin::pin;
use std::sync::Arc;
use tokio::sync::Mutex;

/// Kaffic::Producer.
#[magnus::wrap(class = "Kaffic::Producer", free_immediately, size)]
pub(crate) struct Producer(Owned<kaffic_core::Producer>);

type This = Obj<Producer>;

/// Kaffic::Handle: a record that is under way, and what became of it. Shared with whoever waits.
#[magnus::wrap(class = "Kaffic::Handle", free_immediately, size)]
struct Handle(Owned<Arc<Mutex<Progress>>>);

enum Progress {
    UnderWay(Ticket),
    Ended(Result<Ack, Failure>),
}

impl Producer {
    pub(crate) fn new(producer: kaffic_core::Producer) -> Self {
        Self(Belonging::here().own(producer))
    }
}

fn core(ruby: &Ruby, this: This) -> Result<kaffic_core::Producer, Error> {
    Ok(this.0.get().raises(ruby)?.clone())
}

/// Puts a record into the buffer, waiting for room.
fn enter(ruby: &Ruby, this: This, record: Record) -> Result<Ticket, Error> {
    let producer = this.0.get().raises(ruby)?;
    // Most find room at once, and what is left then is a copy of nothing but references.
    if let Some(entered) = at_once(this, pin!(producer.enqueue(record.clone()))).raises(ruby)? {
        return entered.raises(ruby);
    }
    let producer = producer.clone();
    wait(ruby, this, async move { Ok(producer.enqueue(record).await?) })
}

fn handle(progress: Progress) -> Handle {
    Handle(Belonging::here().own(Arc::new(Mutex::new(progress))))
}

fn produce(ruby: &Ruby, this: This, given: Value) -> Result<Handle, Error> {
    let record = convert::record(ruby, given)?;
    Ok(handle(Progress::UnderWay(enter(ruby, this, record)?)))
}

/// Gives the handles of the records; a record that is refused has a handle that says why.
fn produce_batch(ruby: &Ruby, this: This, given: RArray) -> Result<RArray, Error> {
    let records = given.into_iter().map(|record| convert::record(ruby, record));
    let records: Vec<Record> = records.collect::<Result<_, _>>()?;
    let handles = ruby.ary_new_capa(records.len());
    for record in records {
        let producer = core(ruby, this)?;
        let entered = at_once(this, pin!(producer.enqueue(record.clone()))).raises(ruby)?;
        let entered = match entered {
            Some(entered) => entered.map_err(Failure::from),
            None => wait(ruby, this, async move { Ok(producer.enqueue(record).await) })?
                .map_err(Failure::from),
        };
        handles.push(handle(match entered {
            Ok(ticket) => Progress::UnderWay(ticket),
            Err(failure) => Progress::Ended(Err(failure)),
        }))?;
    }
    Ok(handles)
}

fn append(
    ruby: &Ruby,
    this: This,
    partition: u32,
    given: RArray,
    expected: Option<i64>,
) -> Result<Value, Error> {
    let records = given.into_iter().map(|record| convert::record(ruby, record));
    let records = records.collect::<Result<Vec<_>, _>>()?;
    let producer = core(ruby, this)?;
    let appends = async move { Ok(producer.append(partition, records, expected).await?) };
    convert::ack(ruby, wait(ruby, this, appends)?)
}

fn flush(ruby: &Ruby, this: This, timeout: Option<f64>) -> Result<(), Error> {
    let (producer, limit) = (core(ruby, this)?, convert::seconds(ruby, timeout)?);
    let flushes = async move { Ok(producer.flush().await?) };
    wait(ruby, this, limited(limit, "a flush", flushes))
}

fn close(ruby: &Ruby, this: This, timeout: Option<f64>) -> Result<(), Error> {
    let (producer, limit) = (core(ruby, this)?, convert::seconds(ruby, timeout)?);
    let closes = async move { Ok(producer.close().await?) };
    wait(ruby, this, limited(limit, "closing the producer", closes))
}

fn partitions(ruby: &Ruby, this: This) -> Result<u32, Error> {
    Ok(core(ruby, this)?.partitions())
}

fn epoch(ruby: &Ruby, this: This) -> Result<Option<u32>, Error> {
    Ok(core(ruby, this)?.epoch())
}

fn last_sequence(ruby: &Ruby, this: This, partition: u32) -> Result<Option<i64>, Error> {
    let producer = core(ruby, this)?;
    wait(ruby, this, async move { Ok(producer.last_sequence(partition).await?) })
}

fn fence_all(ruby: &Ruby, this: This) -> Result<(), Error> {
    let producer = core(ruby, this)?;
    wait(ruby, this, async move { Ok(producer.fence_all().await?) })
}

async fn end(progress: Arc<Mutex<Progress>>) -> Result<Ack, Failure> {
    let mut progress = progress.lock().await;
    match &mut *progress {
        Progress::Ended(ended) => ended.clone(),
        Progress::UnderWay(ticket) => {
            let ended = ticket.await.map_err(Failure::from);
            *progress = Progress::Ended(ended.clone());
            ended
        }
    }
}

fn wait_for(ruby: &Ruby, this: Obj<Handle>, timeout: Option<f64>) -> Result<Value, Error> {
    let progress = Arc::clone(this.0.get().raises(ruby)?);
    let limit = convert::seconds(ruby, timeout)?;
    if let Some(ended) = at_once(this, pin!(end(Arc::clone(&progress)))).raises(ruby)? {
        return convert::ack(ruby, ended.raises(ruby)?);
    }
    let ended = wait(ruby, this, limited(limit, "a record's way into the log", end(progress)))?;
    convert::ack(ruby, ended)
}

fn is_done(ruby: &Ruby, this: Obj<Handle>) -> Result<bool, Error> {
    let progress = Arc::clone(this.0.get().raises(ruby)?);
    Ok(at_once(this, pin!(end(progress))).map_err(|failure| raise(ruby, failure))?.is_some())
}

pub(crate) fn define(ruby: &Ruby, kaffic: RModule) -> Result<(), Error> {
    let class = kaffic.define_class("Producer", ruby.class_object())?;
    class.undef_default_alloc_func();
    class.define_private_method("native_produce", method!(produce, 1))?;
    class.define_private_method("native_produce_batch", method!(produce_batch, 1))?;
    class.define_private_method("native_append", method!(append, 3))?;
    class.define_private_method("native_flush", method!(flush, 1))?;
    class.define_private_method("native_close", method!(close, 1))?;
    class.define_private_method("native_partitions", method!(partitions, 0))?;
    class.define_private_method("native_epoch", method!(epoch, 0))?;
    class.define_private_method("native_last_sequence", method!(last_sequence, 1))?;
    class.define_private_method("native_fence_all", method!(fence_all, 0))?;
    let class = kaffic.define_class("Handle", ruby.class_object())?;
    class.undef_default_alloc_func();
    class.define_private_method("native_wait", method!(wait_for, 1))?;
    class.define_method("done?", method!(is_done, 0))
}
