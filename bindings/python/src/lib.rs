//! The native half of kaffic for Python: what waits, and what handles bytes. What programs see of it is
//! in `python/kaffic`, where it is documented and typed; nothing here is called directly.
//!
//! Whatever may wait takes a [`bridge::Bridge`] or none: with one it returns a future of the bridge's
//! event loop, without one it waits on the calling thread, with the interpreter free for others.

mod bridge;
mod client;
mod consumer;
mod convert;
mod delivery;
mod end;
mod failure;
mod handed;
mod listener;
mod mailbox;
mod producer;
mod promises;
mod record;
mod wait;

use pyo3::prelude::*;

// Nobody has tried it on the free-threaded build: there the interpreter keeps its lock.
#[pymodule(gil_used = true)]
mod _kaffic {
    #[pymodule_export]
    use super::bridge::{Bridge, Errands};
    #[pymodule_export]
    use super::client::{Client, connect};
    #[pymodule_export]
    use super::consumer::Consumer;
    #[pymodule_export]
    use super::delivery::{Ack, Deliveries, Delivery};
    #[pymodule_export]
    use super::end::{close_gate, open_gate};
    #[pymodule_export]
    use super::mailbox::{Mailbox, Pending, log_to};
    #[pymodule_export]
    use super::producer::Producer;
    #[pymodule_export]
    use super::record::{ConsumerRecord, Record, View};
}
