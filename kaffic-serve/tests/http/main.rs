//! A server in this process, asked over real HTTP.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]
#![expect(clippy::disallowed_methods, reason = "tests are not simulated")]

mod errors;
mod gate;
mod groups;
mod limits;
mod records;
mod shutdown;
mod streams;
mod stuck;
mod support;
mod tls;
mod topics;
