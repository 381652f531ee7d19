//! Every key in the store, to and from text. No other module builds or takes apart a key.
//!
//! `data/` and `meta/` are apart so that a bucket's lifecycle rule on `data/<topic>/` expires
//! messages and nothing else. Numbers are zero-padded so that a person's listing sorts; nothing in
//! the library relies on listings being sorted.

use crate::error::{Error, Result};
use std::fmt;
use std::sync::Arc;

/// Blocks in a group, so that no directory holds more than about a thousand entries.
pub(crate) const BLOCKS_PER_GROUP: u64 = 1000;

/// What the names of batches that were put aside end in.
const ASIDE: &str = ".batch";

/// One partition of one incarnation of a topic: what a log belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct LogId {
    pub(crate) topic: Arc<str>,
    pub(crate) incarnation: u32,
    pub(crate) partition: u32,
    /// What the log is of that.
    pub(crate) part: LogPart,
}

/// What a log keeps.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum LogPart {
    /// The partition's records.
    Records,
    /// The offsets that a group has committed in the partition.
    Offsets { group: Arc<str> },
    /// The members of a group. Topic, incarnation and partition mean nothing.
    Members { group: Arc<str> },
}

impl fmt::Display for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.part {
            LogPart::Records => write!(f, "topic {} partition {}", self.topic, self.partition),
            LogPart::Offsets { group } => write!(
                f,
                "the offsets of group {group} in topic {} partition {}",
                self.topic, self.partition
            ),
            LogPart::Members { group } => write!(f, "the members of group {group}"),
        }
    }
}

/// The objects of `meta/logs/…` that belong to a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BlockObject {
    Open,
    End,
    Index,
}

impl LogId {
    /// The log of a group's members.
    pub(crate) fn members(group: &Arc<str>) -> Self {
        let part = LogPart::Members { group: Arc::clone(group) };
        Self { topic: "".into(), incarnation: 0, partition: 0, part }
    }

    /// The log of a group's offsets in this log of records.
    pub(crate) fn offsets(&self, group: &Arc<str>) -> Self {
        let part = LogPart::Offsets { group: Arc::clone(group) };
        Self { part, ..self.clone() }
    }

    fn path(&self) -> String {
        format!("{}/{}/{:05}", self.topic, self.incarnation, self.partition)
    }

    /// Where a group's log is.
    fn group_log_dir(&self) -> Option<String> {
        match &self.part {
            LogPart::Records => None,
            LogPart::Offsets { group } => {
                Some(format!("{}/{}", group_offsets_dir(group), self.path()))
            }
            LogPart::Members { group } => Some(format!("{GROUPS_DIR}/{group}/members")),
        }
    }

    /// Where the log's groups of blocks with messages are.
    pub(crate) fn data_dir(&self) -> String {
        match self.group_log_dir() {
            None => format!("data/{}", self.path()),
            Some(dir) => format!("{dir}/data"),
        }
    }

    /// Where the log's groups of blocks with their descriptions are.
    pub(crate) fn meta_dir(&self) -> String {
        match self.group_log_dir() {
            None => format!("meta/logs/{}", self.path()),
            Some(dir) => format!("{dir}/log"),
        }
    }

    /// The directory of the slots of a block.
    pub(crate) fn block_data_dir(&self, block: u64) -> String {
        format!("{}/{}", self.data_dir(), block_path(block))
    }

    /// One slot of a block.
    pub(crate) fn slot(&self, block: u64, slot: u32) -> String {
        format!("{}/{slot:03}", self.block_data_dir(block))
    }

    /// A batch of a block that was put aside.
    pub(crate) fn aside(&self, block: u64, nonce: u64) -> String {
        format!("{}/{}", self.block_data_dir(block), aside_name(nonce))
    }

    /// An object directly in a block's directory of slots, by its name.
    pub(crate) fn block_data(&self, block: u64, name: &str) -> String {
        format!("{}/{name}", self.block_data_dir(block))
    }

    /// The directory of a group of blocks with messages: it has their segments too.
    pub(crate) fn group_data_dir(&self, group: u64) -> String {
        format!("{}/{}", self.data_dir(), group_name(group))
    }

    /// One segment of a block, by its name.
    pub(crate) fn segment(&self, block: u64, name: &str) -> String {
        format!("{}/{name}", self.group_data_dir(block / BLOCKS_PER_GROUP))
    }

    /// A block's `open`, `end` or `index`.
    pub(crate) fn block_object(&self, block: u64, object: BlockObject) -> String {
        let name = match object {
            BlockObject::Open => "open",
            BlockObject::End => "end",
            BlockObject::Index => "index",
        };
        format!("{}/{}/{name}", self.meta_dir(), block_path(block))
    }
}

fn block_path(block: u64) -> String {
    format!("{}/{:03}", group_name(block / BLOCKS_PER_GROUP), block % BLOCKS_PER_GROUP)
}

/// The directory name of a group of blocks.
pub(crate) fn group_name(group: u64) -> String {
    format!("{group:09}")
}

/// The name of a block's segment: the block in its group, a nonce of the compactor's, a number.
pub(crate) fn segment_name(block: u64, nonce: u64, number: usize) -> String {
    format!("{:03}.{nonce:016x}-{number}", block % BLOCKS_PER_GROUP)
}

/// The name of a batch that was put aside.
fn aside_name(nonce: u64) -> String {
    format!("{nonce:016x}{ASIDE}")
}

/// Whether a name is that of a batch that was put aside.
pub(crate) fn is_aside(name: &str) -> bool {
    name.strip_suffix(ASIDE).is_some_and(is_nonce)
}

fn is_nonce(text: &str) -> bool {
    let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    text.len() == 16 && text.bytes().all(hex)
}

/// The block in its group that a segment's name says; `None` for names that are not ours.
pub(crate) fn parse_segment(name: &str) -> Option<u64> {
    let (block, rest) = name.split_once('.')?;
    let (nonce, number) = rest.split_once('-')?;
    let sane = block.len() == 3 && is_nonce(nonce);
    parse_number(number).filter(|_| sane)?;
    parse_number(block)
}

/// A number as a directory or object name; `None` for names that are not ours.
pub(crate) fn parse_number(name: &str) -> Option<u64> {
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_digit()) {
        None
    } else {
        name.parse().ok()
    }
}

/// Where topics are described.
pub(crate) const TOPICS_DIR: &str = "meta/topics";

/// Where a topic's chain of descriptions is.
pub(crate) fn topic_dir(topic: &str) -> String {
    format!("{TOPICS_DIR}/{topic}")
}

/// Where groups are.
pub(crate) const GROUPS_DIR: &str = "meta/groups";

/// Where the offsets of a group are: directories of topics, incarnations and partitions.
pub(crate) fn group_offsets_dir(group: &str) -> String {
    format!("{GROUPS_DIR}/{group}/offsets")
}

/// A group member's sign of life.
pub(crate) fn heartbeat(group: &str, member: &str) -> String {
    format!("{GROUPS_DIR}/{group}/heartbeats/{member}")
}

/// One version in a chain.
pub(crate) fn chain_link(dir: &str, version: u64) -> String {
    format!("{dir}/{version:09}")
}

/// Where the chain of a producer's name is.
pub(crate) fn producer_dir(name: &str) -> String {
    format!("meta/producers/{name}")
}

/// Where all data and logs of one incarnation of a topic are.
pub(crate) fn incarnation_data_dir(topic: &str, incarnation: u32) -> String {
    format!("data/{topic}/{incarnation}")
}

/// An object that only tries whether the store keeps its contract.
pub(crate) fn probe(nonce: u64) -> String {
    format!("meta/probe/{nonce:016x}")
}

/// Checks a topic's name: Kafka's rule.
pub(crate) fn check_topic_name(name: &str) -> Result<()> {
    check_name("topic", name)
}

/// Checks a producer's name: as a topic's.
pub(crate) fn check_producer_name(name: &str) -> Result<()> {
    check_name("producer", name)
}

/// Checks a name that becomes part of keys: Kafka's rule. `what` says of what it is the name.
pub(crate) fn check_name(what: &str, name: &str) -> Result<()> {
    let bad = |why: &str| {
        Err(Error::invalid(format!(
            "{what} name {name:?} {why}; names are 1 to 249 of a-z A-Z 0-9 . _ -, and not . or .."
        )))
    };
    match name {
        "" => bad("is empty"),
        "." | ".." => bad("is not allowed"),
        _ if name.len() > 249 => bad("is too long"),
        _ if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_".contains(&b)) => {
            bad("has a character that is not allowed")
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_as_the_format_says() {
        let log =
            LogId { topic: "orders".into(), incarnation: 2, partition: 7, part: LogPart::Records };
        assert_eq!(log.slot(12_345, 42), "data/orders/2/00007/000000012/345/042");
        assert_eq!(
            log.block_object(0, BlockObject::Open),
            "meta/logs/orders/2/00007/000000000/000/open"
        );
        assert_eq!(chain_link(&topic_dir("orders"), 3), "meta/topics/orders/000000003");
    }

    #[test]
    fn a_groups_logs_are_under_its_name() {
        let group = "billing".into();
        let log =
            LogId { topic: "orders".into(), incarnation: 2, partition: 7, part: LogPart::Records };
        let offsets = log.offsets(&group);
        assert_eq!(
            offsets.slot(1, 2),
            "meta/groups/billing/offsets/orders/2/00007/data/000000000/001/002"
        );
        assert_eq!(
            LogId::members(&group).block_object(0, BlockObject::End),
            "meta/groups/billing/members/log/000000000/000/end"
        );
        assert_eq!(heartbeat(&group, "m"), "meta/groups/billing/heartbeats/m");
    }

    #[test]
    fn segments_stand_beside_their_blocks_directory() {
        let log =
            LogId { topic: "orders".into(), incarnation: 2, partition: 7, part: LogPart::Records };
        let name = segment_name(12_345, 0xab, 3);
        assert_eq!(
            log.segment(12_345, &name),
            "data/orders/2/00007/000000012/345.00000000000000ab-3"
        );
        assert_eq!(parse_segment(&name), Some(345));
        for foreign in ["345", "345.ab-3", "345.00000000000000ab", "345.00000000000000ab-", "x"] {
            assert_eq!(parse_segment(foreign), None, "{foreign}");
        }
        assert_eq!(parse_segment("345.00000000000000AB-3"), None);
    }

    #[test]
    fn asides_stand_among_the_slots_of_their_block() {
        let log =
            LogId { topic: "orders".into(), incarnation: 2, partition: 7, part: LogPart::Records };
        let key = log.aside(12_345, 0xab);
        assert_eq!(key, "data/orders/2/00007/000000012/345/00000000000000ab.batch");
        assert!(is_aside("00000000000000ab.batch"));
        for foreign in ["001", "ab.batch", "00000000000000AB.batch", "00000000000000ab"] {
            assert!(!is_aside(foreign), "{foreign}");
        }
    }

    #[test]
    fn names_follow_kafkas_rule() {
        for good in ["a", "A-1_b.c", "...", &"x".repeat(249)] {
            assert!(check_topic_name(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "a/b", "ü", "a b", "a#1", &"x".repeat(250)] {
            assert!(check_topic_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_digits_are_numbers() {
        assert_eq!(parse_number("042"), Some(42));
        for foreign in ["", "+1", "1.seg", "x", "99999999999999999999999"] {
            assert_eq!(parse_number(foreign), None, "{foreign}");
        }
    }
}
