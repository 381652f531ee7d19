//! The native part of kaffic's Ruby library: classes whose methods lib/kaffic wraps in Ruby's manner.
//! No value of Ruby's is kept outside the stack, so there is nothing to mark.

mod client;
mod consumer;
mod convert;
mod error;
mod fiber;
mod lock;
mod log;
mod producer;
mod rebalance;
mod wait;

use magnus::{Error, Ruby, function, prelude::*};

/// Defines the classes. Called by Ruby when the library is loaded.
#[magnus::init(name = "kaffic_ruby")]
fn init(ruby: &Ruby) -> Result<(), Error> {
    let kaffic = ruby.define_module("Kaffic")?;
    let native = kaffic.define_module("Native")?;
    native.define_module_function("statuses", function!(error::statuses, 0))?;
    client::define(ruby, kaffic)?;
    log::define(ruby, kaffic)?;
    producer::define(ruby, kaffic)?;
    consumer::define(ruby, kaffic)
}
