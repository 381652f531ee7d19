//! Log lines on their way to a logger. They come on threads that are none of Ruby's, so they go through
//! a queue, from which a thread of Ruby's takes them (lib/kaffic/log.rb). It is bounded: lines that find
//! no room are dropped, and counted.

use crate::error::argument;
use crate::wait::wait;
use kaffic_bindings::logs::{Level, set_sink};
use magnus::prelude::*;
use magnus::{Error, RArray, RModule, Ruby, Value, function, method, typed_data::Obj};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{Mutex, mpsc};

/// Lines that may wait to be taken.
const ROOM: usize = 1024;

/// Level, module and line.
type Line = (Level, String, String);

/// Where a logger's thread takes lines from.
#[magnus::wrap(class = "Kaffic::Native::Lines", free_immediately, size)]
struct Lines {
    lines: Arc<Mutex<mpsc::Receiver<Line>>>,
    dropped: Arc<AtomicU64>,
}

/// Sets out to take lines of a level and above, by its number in Ruby's Logger; nil takes none.
fn start(ruby: &Ruby, severity: Option<i32>) -> Result<Option<Lines>, Error> {
    let level = match severity {
        Some(0) => Level::Debug,
        Some(1) => Level::Info,
        Some(2) => Level::Warning,
        Some(3 | 4) => Level::Error,
        Some(other) => return Err(argument(ruby, format!("{other} is no severity of a Logger"))),
        None => {
            set_sink(Level::Error, None);
            return Ok(None);
        }
    };
    let (sender, receiver) = mpsc::channel(ROOM);
    let dropped = Arc::new(AtomicU64::new(0));
    let counts = Arc::clone(&dropped);
    let sink = move |level, target: &str, line: &str| {
        if sender.try_send((level, target.to_owned(), line.to_owned())).is_err() {
            counts.fetch_add(1, Ordering::Relaxed);
        }
    };
    set_sink(level, Some(Arc::new(sink)));
    Ok(Some(Lines { lines: Arc::new(Mutex::new(receiver)), dropped }))
}

/// The number of a level in Ruby's Logger.
fn severity(level: Level) -> i32 {
    match level {
        Level::Error => 3,
        Level::Warning => 2,
        Level::Info => 1,
        Level::Debug | Level::Trace => 0,
    }
}

/// The lines that are there, as severity, module and line; waits for the first. Nil when another logger
/// was set.
fn take(ruby: &Ruby, this: Obj<Lines>) -> Result<Option<RArray>, Error> {
    let lines = Arc::clone(&this.lines);
    let takes = async move {
        let mut taken = Vec::new();
        lines.lock().await.recv_many(&mut taken, ROOM).await;
        Ok(taken)
    };
    let taken = wait(ruby, this, takes)?;
    if taken.is_empty() {
        return Ok(None);
    }
    let told = taken.into_iter().map(|(level, target, line)| (severity(level), target, line));
    Ok(Some(ruby.ary_from_iter(told)))
}

/// How many lines were dropped since this was asked last.
fn dropped(this: Obj<Lines>) -> u64 {
    this.dropped.swap(0, Ordering::Relaxed)
}

pub(crate) fn define(ruby: &Ruby, kaffic: RModule) -> Result<(), Error> {
    let native: RModule = kaffic.const_get("Native")?;
    native.define_singleton_method("log", function!(start, 1))?;
    let class = native.define_class("Lines", ruby.class_object())?;
    class.undef_default_alloc_func();
    class.define_method("take", method!(take, 0))?;
    class.define_method("dropped", method!(dropped, 0))?;
    let _: Value = native.funcall("private_constant", ("Lines",))?;
    Ok(())
}
