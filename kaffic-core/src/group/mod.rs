//! Consumer groups: who is in a group, who has which partitions, and what is committed. There is no
//! coordinator: a group is a log that its members write to on condition, and offsets are one such
//! log a partition.

mod admin;
mod assign;
mod journal;
mod liveness;
pub(crate) mod membership;
pub(crate) mod offsets;
pub(crate) mod state;

pub(crate) use admin::stand_alone;
pub use admin::{
    CommittedOffset, GroupDescription, GroupListing, GroupMember, GroupPartition, Groups,
    OffsetCommit, OffsetReset, ResetTo,
};
pub use assign::{
    Assignment, Assignor, AssignorInput, MemberPartitions, RangeAssignor, RoundRobinAssignor,
    StickyAssignor,
};

use crate::catalog::MAX_SLOTS;
use crate::context::Context;
use crate::env::Env;
use crate::keys::LogId;
use crate::log::{Log, LogSettings, MinExpiry};
use std::sync::Arc;

/// Nothing under `meta/` ever expires.
const SETTINGS: LogSettings = LogSettings { min_expiry: MinExpiry::Never, slots: MAX_SLOTS };

fn log_of_members(context: &Context, group: &Arc<str>) -> Arc<Log> {
    context.log(LogId::members(group), SETTINGS)
}

fn log_of_offsets(context: &Context, group: &Arc<str>, of: &LogId) -> Arc<Log> {
    context.log(of.offsets(group), SETTINGS)
}

/// Something that nobody else draws.
fn nonce(env: &dyn Env) -> String {
    format!("{:016x}", env.random())
}
