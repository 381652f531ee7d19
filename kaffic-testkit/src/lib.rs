//! What kaffic's tests need and its users do not: an HTTP proxy before a real object store that
//! makes requests fail in every way that a network and a service can, and counts them; and the
//! server itself, which tests kill, start again, and ask for its access log.

#![allow(clippy::disallowed_methods, reason = "the proxy runs in real time, never simulated")]

mod access;
mod exchange;
mod fault;
mod proxy;
mod server;

pub use access::{Access, Counts, Operation};
pub use fault::{Fault, Rates};
pub use proxy::{Config, FaultProxy};
pub use server::{AccessLog, Logged, Server};
