//! What the command promises to those who type it and to those who put it in a pipe.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod adopt;
mod bench;
mod compact;
mod consume;
mod general;
mod group;
mod produce;
mod serve;
#[path = "../support/mod.rs"]
mod support;
mod topic;
mod trim;
mod verify;
