//! kaffic over HTTP: for programs that can't link the library, or must not hold the credentials of
//! the store.
//!
//! A server keeps nothing that is not in the store, but for the members of groups that it hosts. Any
//! number of servers may run beside each other, behind any load balancer.
//!
//! ```
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! use kaffic_serve::{Config, Server};
//! let client = kaffic_core::Kaffic::connect("memory://").await.unwrap();
//! let config = Config { listen: "127.0.0.1:0".parse().unwrap(), ..Config::default() };
//! let server = Server::bind(client, config).await.unwrap();
//! assert_ne!(server.local_addr().port(), 0);
//! server.run(async {}).await; // until the future given is done: at once, here
//! # });
//! ```

mod answer;
mod app;
mod body;
mod client_metrics;
mod config;
mod console;
mod data;
mod extract;
mod feed;
mod fetch;
mod groups;
mod health;
mod lag;
mod lines;
mod members;
mod membership;
mod metrics;
mod name;
mod object;
mod openapi;
mod parked;
mod problem;
mod produce;
mod producers;
mod reader;
mod router;
mod runtime;
mod server;
mod sizes;
mod socket;
mod start;
mod stream;
mod tail;
mod timed;
mod tls;
mod topics;

pub use config::{Config, Limits};
pub use server::{Server, ServerError};
