//! What every language's library shares, so that each of them is thin and all behave alike: settings
//! by name ([`settings`]), statuses and failures ([`failure`]), the process's one runtime and what
//! becomes of it after a fork ([`process`]) and at signals, a consumer that many threads may call ([`reader`]), a
//! producer that keeps the order of calls ([`writer`]), answers as JSON ([`describe`]), and where log
//! lines go ([`logs`]).
//!
//! It knows no language, and it holds no policy: what it decides nothing about is the core's.

pub mod describe;
pub mod failure;
pub mod logs;
pub mod process;
pub mod reader;
pub mod settings;
mod signals;
pub mod writer;

pub use failure::{Failure, Status};
pub use settings::Settings;
