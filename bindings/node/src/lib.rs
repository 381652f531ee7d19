//! The native half of kaffic's library for Node. It is private to the JavaScript in `lib/`, which is
//! what programs see: records cross in packed batches ([`packed`]), everything else as JSON, waits are
//! promises ([`promise`]), and failures are errors whose message is JSON.

#![cfg_attr(test, allow(dead_code, reason = "nothing is registered with Node there"))]
#![expect(unreachable_pub, reason = "what is public here is so for JavaScript")]

mod client;
mod consumer;
mod packed;
mod producer;
mod promise;
