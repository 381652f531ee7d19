//! A simulation of kaffic: the real library, its producers, consumers and all their background
//! tasks, on a faulty store, in virtual time, in one thread.
//!
//! A run is a function of its seed. The library takes time, chance, process ids and tasks from
//! [`kaffic_core::env::Env`] and storage from [`kaffic_core::object_store::ObjectStore`]; both are the world's
//! here ([`world`]). Every storage request is two events, taking effect and being answered, and
//! between them anything may happen ([`requests`], [`faults`]). Processes stop, die and start
//! again, clocks are off, messages expire in any order. What must hold is in [`oracle`]; what the
//! processes do is in [`scenario`].
//!
//! ```
//! let outcome = kaffic_sim::run(7, &kaffic_sim::Config::default());
//! assert!(outcome.violation.is_none());
//! assert_eq!(outcome.trace_hash, kaffic_sim::run(7, &kaffic_sim::Config::default()).trace_hash);
//! ```

mod config;
mod disk;
mod executor;
mod fairness;
mod faults;
mod groups;
mod oracle;
mod payload;
mod process;
mod regressions;
mod report;
mod requests;
mod run;
mod scenario;
mod store;
#[cfg(test)]
mod tests;
mod trace;
mod world;

pub use config::{Config, RULES};
pub use fairness::{Shares, share};
pub use faults::{Fault, FaultCounts};
pub use groups::{GroupRun, group, groups};
pub use regressions::REGRESSIONS;
pub use report::{Report, run_many};
pub use run::{Outcome, Violation, run};
