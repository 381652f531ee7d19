//! What kaffic's tests need and its users do not: an HTTP proxy before a real object store that
//! makes requests fail in every way that a network and a service can, and counts them.

#![allow(clippy::disallowed_methods, reason = "the proxy runs in real time, never simulated")]

mod access;
mod exchange;
mod fault;
mod proxy;

pub use access::{Access, Counts, Operation};
pub use fault::{Fault, Rates};
pub use proxy::{Config, FaultProxy};
