//! Values in and out: settings, records, offsets, and answers with many parts. What goes in is copied;
//! what comes out is frozen, and its bytes are binary.

use crate::error::{Raises, argument, raise};
use kaffic_bindings::{Failure, Settings, Status};
use kaffic_core::{
    Ack, Bytes, CommittedOffset, ConsumerRecord, Header, OffsetCommit, PartitionPosition, Record,
};
use magnus::prelude::*;
use magnus::r_hash::ForEach;
use magnus::value::Lazy;
use magnus::{Error, RArray, RClass, RHash, RModule, RString, Ruby, Symbol, TryConvert, Value};
use serde_json::Value as Json;
use std::time::Duration;

fn class(ruby: &Ruby, name: &str) -> RClass {
    let found =
        ruby.class_object().const_get::<_, RModule>("Kaffic").and_then(|k| k.const_get(name));
    found.unwrap_or_else(|_| ruby.class_object())
}

static RECORD: Lazy<RClass> = Lazy::new(|ruby| class(ruby, "Record"));
static ACK: Lazy<RClass> = Lazy::new(|ruby| class(ruby, "Ack"));
static NO_HEADERS: Lazy<RArray> = Lazy::new(|ruby| {
    let none = ruby.ary_new();
    none.freeze();
    none
});

/// Seconds as Ruby gives them; nil is no limit.
pub(crate) fn seconds(ruby: &Ruby, given: Option<f64>) -> Result<Option<Duration>, Error> {
    let duration = |seconds: f64| {
        Duration::try_from_secs_f64(seconds)
            .map_err(|_| argument(ruby, format!("a timeout of {seconds} seconds")))
    };
    given.map(duration).transpose()
}

/// Settings, of which names and values are text already.
pub(crate) fn settings(pairs: RHash) -> Result<Settings, Error> {
    Ok(pairs.to_vec::<String, String>()?.into_iter().collect())
}

/// A string's bytes; nil is null.
fn bytes(value: Value) -> Result<Option<Bytes>, Error> {
    if value.is_nil() {
        return Ok(None);
    }
    let string = RString::try_convert(value)?;
    // SAFETY: copied before Ruby gets to do anything.
    Ok(Some(Bytes::copy_from_slice(unsafe { string.as_slice() })))
}

fn header(ruby: &Ruby, name: Value, value: Value) -> Result<Header, Error> {
    let name = match Symbol::from_value(name) {
        Some(symbol) => symbol.name()?.into_owned(),
        None => {
            let name = RString::try_convert(name)?;
            // SAFETY: copied before Ruby gets to do anything.
            let copied = unsafe { name.as_slice() }.to_vec();
            let wrong = |_| Failure::new(Status::InvalidUtf8, "a header's name is not UTF-8");
            String::from_utf8(copied).map_err(wrong).raises(ruby)?
        }
    };
    Ok(Header::new(name, bytes(value)?))
}

/// Headers from a hash, where an array stands for several values, or from an array of pairs.
fn headers(ruby: &Ruby, given: Value) -> Result<Vec<Header>, Error> {
    let mut headers = Vec::new();
    if given.is_nil() {
        return Ok(headers);
    }
    if let Some(hash) = RHash::from_value(given) {
        hash.foreach(|name: Value, value: Value| {
            match RArray::from_value(value) {
                Some(values) => {
                    for value in values {
                        headers.push(header(ruby, name, value)?);
                    }
                }
                None => headers.push(header(ruby, name, value)?),
            }
            Ok(ForEach::Continue)
        })?;
        return Ok(headers);
    }
    for pair in RArray::try_convert(given)? {
        let (name, value) = <(Value, Value)>::try_convert(pair)?;
        headers.push(header(ruby, name, value)?);
    }
    Ok(headers)
}

/// A record to be produced: its value alone, or the array
/// `[value, key, headers, timestamp, partition, sequence]`.
pub(crate) fn record(ruby: &Ruby, given: Value) -> Result<Record, Error> {
    let Some(parts) = RArray::from_value(given) else {
        return Ok(Record { value: bytes(given)?, ..Record::default() });
    };
    let [value, key, heads, timestamp, partition, sequence] = parts.to_value_array::<6>()?;
    Ok(Record {
        key: bytes(key)?,
        value: bytes(value)?,
        headers: headers(ruby, heads)?,
        timestamp: TryConvert::try_convert(timestamp)?,
        partition: TryConvert::try_convert(partition)?,
        sequence: TryConvert::try_convert(sequence)?,
    })
}

fn binary(ruby: &Ruby, bytes: Option<&Bytes>) -> Value {
    let Some(bytes) = bytes else { return ruby.qnil().as_value() };
    let string = ruby.str_from_slice(bytes);
    string.freeze();
    string.as_value()
}

/// A record that was read.
pub(crate) fn consumed(ruby: &Ruby, record: &ConsumerRecord) -> Result<Value, Error> {
    let heads = if record.headers.is_empty() {
        ruby.get_inner(&NO_HEADERS)
    } else {
        let heads = ruby.ary_new_capa(record.headers.len());
        for header in &record.headers {
            let name = ruby.str_new(&header.name);
            name.freeze();
            let pair = ruby.ary_new_capa(2);
            pair.push(name)?;
            pair.push(binary(ruby, header.value.as_ref()))?;
            pair.freeze();
            heads.push(pair)?;
        }
        heads.freeze();
        heads
    };
    let made: Value = ruby.get_inner(&RECORD).new_instance((
        ruby.str_new(&record.topic).to_interned_str(),
        record.partition,
        record.offset,
        record.timestamp,
        binary(ruby, record.key.as_ref()),
        binary(ruby, record.value.as_ref()),
        heads,
    ))?;
    made.freeze();
    Ok(made)
}

/// An acknowledgement.
pub(crate) fn ack(ruby: &Ruby, ack: Ack) -> Result<Value, Error> {
    let Ack { partition, offset, timestamp, duplicate } = ack;
    let made: Value =
        ruby.get_inner(&ACK).new_instance((partition, offset, timestamp, duplicate))?;
    made.freeze();
    Ok(made)
}

/// `{["topic", 0] => offset}`.
fn by_partition<'a>(
    ruby: &Ruby,
    offsets: impl Iterator<Item = (&'a str, u32, i64)>,
) -> Result<Value, Error> {
    let hash = ruby.hash_new();
    for (topic, partition, offset) in offsets {
        let key = ruby.ary_new_capa(2);
        key.push(ruby.str_new(topic).to_interned_str())?;
        key.push(partition)?;
        key.freeze();
        hash.aset(key, offset)?;
    }
    hash.freeze();
    Ok(hash.as_value())
}

/// Positions, by partition.
pub(crate) fn positions(ruby: &Ruby, positions: &[PartitionPosition]) -> Result<Value, Error> {
    by_partition(ruby, positions.iter().map(|at| (&*at.topic, at.partition, at.offset)))
}

/// What is committed, by partition.
pub(crate) fn committed(ruby: &Ruby, offsets: &[CommittedOffset]) -> Result<Value, Error> {
    by_partition(ruby, offsets.iter().map(|at| (&*at.topic, at.partition, at.offset)))
}

/// Offsets to be committed, from `{["topic", 0] => offset}` or `{["topic", 0] => [offset, metadata]}`.
pub(crate) fn commits(given: RHash) -> Result<Vec<OffsetCommit>, Error> {
    let mut commits = Vec::new();
    given.foreach(|(topic, partition): (String, u32), offset: Value| {
        commits.push(match RArray::from_value(offset) {
            Some(pair) => {
                let (offset, metadata) = <(i64, String)>::try_convert(pair.as_value())?;
                OffsetCommit::new(topic, partition, offset).metadata(metadata)
            }
            None => OffsetCommit::new(topic, partition, i64::try_convert(offset)?),
        });
        Ok(ForEach::Continue)
    })?;
    Ok(commits)
}

/// An answer with many parts: hashes have symbols as keys.
pub(crate) fn answer(ruby: &Ruby, json: Json) -> Result<Value, Error> {
    Ok(match json {
        Json::Null => ruby.qnil().as_value(),
        Json::Bool(yes) => ruby.into_value(yes),
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => ruby.into_value(number),
            (None, Some(number)) => ruby.into_value(number),
            (None, None) => ruby.into_value(number.as_f64()),
        },
        Json::String(text) => {
            let text = ruby.str_new(&text);
            text.freeze();
            text.as_value()
        }
        Json::Array(items) => {
            let array = ruby.ary_new_capa(items.len());
            for item in items {
                array.push(answer(ruby, item)?)?;
            }
            array.freeze();
            array.as_value()
        }
        Json::Object(fields) => {
            let hash = ruby.hash_new();
            for (name, value) in fields {
                hash.aset(ruby.to_symbol(name), answer(ruby, value)?)?;
            }
            hash.freeze();
            hash.as_value()
        }
    })
}

/// A text that says where in a partition: as the setting `start` does.
pub(crate) fn start(ruby: &Ruby, text: &str) -> Result<kaffic_core::Start, Error> {
    kaffic_bindings::settings::start(text).map_err(|wrong| raise(ruby, Failure::invalid(wrong)))
}
