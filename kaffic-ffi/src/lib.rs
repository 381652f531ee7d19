//! libkaffic: the C library. One module a noun, each with its handle and its functions; the header
//! include/kaffic.h is made of them, and begins with `header.txt`, which has the rules.
//!
//! A function here turns arguments into Rust's, calls the core through `kaffic_bindings`, and turns
//! what comes back into C's. [`boundary`] is the only way in: it catches panics, and its helpers are
//! the only ones that look behind a pointer.

mod boundary;

pub mod version;

pub mod error;

pub mod config;

pub mod client;

pub mod topics;

pub mod partitions;

pub mod groups;

pub mod queue;

pub mod producer;

mod deliveries;

pub mod records;

pub mod consumer;

pub mod log;
