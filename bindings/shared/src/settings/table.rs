//! The table of settings.

use std::fmt::Write;

/// What a setting is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A producer.
    Producer,
    /// A consumer.
    Consumer,
    /// A topic that is created.
    Topic,
    /// A topic that is altered.
    Change,
    /// Old records that are trimmed.
    Trim,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Producer, Self::Consumer, Self::Topic, Self::Change, Self::Trim];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Producer => "producer",
            Self::Consumer => "consumer",
            Self::Topic => "topic",
            Self::Change => "topic (when altered)",
            Self::Trim => "trim",
        }
    }
}

/// One setting.
#[derive(Debug)]
pub struct Setting {
    /// Its name, in every language.
    pub name: &'static str,
    /// What it is of.
    pub roles: &'static [Role],
    /// A value as one would write it.
    pub example: &'static str,
    /// What holds without it.
    pub default: &'static str,
    /// What it does.
    pub meaning: &'static str,
}

/// What docs/configuration.md says before its tables.
const INTRODUCTION: &str = "\
# Configuration

Settings have the same names in every language, and values are text as people write it:

- times: `5ms`, `30s`, `2h`, `1h 30m`; `0` is none
- sizes: `4096`, `64KiB`, `1MiB` (units of 1024), `10MB` (of 1000)
- switches: `true`, `false`
- times of day: `2026-01-31T12:00:00Z` (RFC 3339) or Unix milliseconds, as said

A name that does not exist is an error that says which one may have been meant; so is a value that is not acceptable.
Rust has a method for each, of the same name and with typed values; the command has flags. The options of a store
(endpoint, credentials and so on) are in [stores.md](stores.md), and are given when connecting.

This page is made from the code: `cargo run -p kaffic-bindings --example configuration >docs/configuration.md`.
";

const P: &[Role] = &[Role::Producer];
const C: &[Role] = &[Role::Consumer];
const T: &[Role] = &[Role::Topic, Role::Change];
const R: &[Role] = &[Role::Trim];

const fn row(
    name: &'static str,
    roles: &'static [Role],
    example: &'static str,
    default: &'static str,
    meaning: &'static str,
) -> Setting {
    Setting { name, roles, example, default, meaning }
}

/// Every setting.
#[rustfmt::skip]
pub const SETTINGS: &[Setting] = &[
    row("linger", P, "5ms", "as fast as the store takes them",
        "how long a batch waits for more records; 0 is never to wait"),
    row("batch_bytes", P, "256KiB", "1MiB, up to 8MiB on a distant store",
        "the size at which a batch is full, before compression: 1KiB to 32MiB"),
    row("max_in_flight_bytes", P, "16MiB", "64MiB", "the bytes of records that may be under way at once"),
    row("max_record_bytes", &[Role::Producer, Role::Topic, Role::Change], "1MiB", "16MiB",
        "the largest record, key and headers included: 32MiB at most; of the producer's and the topic's the lesser holds"),
    row("when_full", P, "fail", "wait",
        "what a send does while `max_in_flight_bytes` are under way: wait, or fail with QUEUE_FULL"),
    row("compression", &[Role::Producer, Role::Topic, Role::Change], "zstd", "a producer's: the topic's; a topic's: none",
        "the codec of batches: none, gzip, snappy, lz4 or zstd"),
    row("delivery_timeout", P, "30s", "2m", "how long a record may take from the call to its acknowledgement"),
    row("compaction", P, "false", "true", "whether blocks that the producer ends are compacted in the background"),
    row("name", P, "billing", "none",
        "a name of which only the newest producer may write; records may have sequences then"),
    row("create_topic", P, "3", "the topic has to exist", "creates the topic with so many partitions if it does not exist"),

    row("group", C, "billing", "none", "the consumer group"),
    row("member_name", C, "worker-1", "one that is made up",
        "makes the consumer a static member: it does not leave when it closes, and keeps its partitions if it comes back in time"),
    row("start", C, "earliest", "earliest",
        "where to start where nothing is committed: earliest, latest, offset:N, timestamp:MS, time:RFC3339 or last:N"),
    row("until", C, "latest", "forever",
        "where to end: forever, latest, offset:N, timestamp:MS or time:RFC3339"),
    row("max_records", C, "1000", "no limit", "ends after so many records"),
    row("max_bytes", C, "10MiB", "no limit", "ends before the record that would bring more than so many bytes"),
    row("max_poll_bytes", C, "16MiB", "64MiB", "the most bytes that one poll gives; one record it gives always"),
    row("reset", C, "latest", "earliest",
        "what happens when the offset has expired or never was: earliest, latest or error"),
    row("fetch_ahead_bytes", C, "8MiB", "64MiB", "what may be fetched ahead of the polls, over all partitions"),
    row("fetch_max_wait", C, "200ms", "1s", "the longest wait between two looks at the tail"),
    row("auto_commit", C, "never", "5s", "how often positions are committed by themselves; never leaves it to the program"),
    row("session_timeout", C, "10s", "45s", "after how long a silence a member is taken for dead"),
    row("heartbeat_interval", C, "2s", "3s", "how often a member shows that it lives: every second at most, a third of `session_timeout` at least"),
    row("max_poll_interval", C, "10m", "5m", "after how long without a poll a member leaves its group; it joins again when it polls"),
    row("topics_interval", C, "1m", "5m", "how often topics are looked at, for those that came, went or were created anew"),
    row("assignor", C, "range", "sticky", "who decides which member has what: sticky, range or round_robin"),

    row("partitions", &[Role::Topic], "12", "1", "1 to 10,000"),
    row("min_expiry", T, "7d", "24h",
        "the least age at which the storage may delete records: a minute to a thousand years, or never"),
    row("retention", T, "30d", "as long as the storage keeps them", "how long `trim` keeps records; default takes it back"),
    row("retention_bytes", T, "10GiB", "no limit", "how much of a partition `trim` keeps; default takes it back"),

    row("before_offset", R, "1000", "the topic's retention", "removes records before this offset"),
    row("before_timestamp", R, "2026-01-31T00:00:00Z", "the topic's retention", "removes records before this time: RFC 3339, or Unix milliseconds"),
    row("keep_bytes", R, "1GiB", "the topic's retention", "removes the oldest records beyond so many bytes of a partition"),
    row("partition", R, "3", "all", "only this partition"),
];

pub(super) fn has(role: Role, name: &str) -> bool {
    SETTINGS.iter().any(|setting| setting.name == name && setting.roles.contains(&role))
}

/// What to say of a name that a role does not have.
pub(super) fn unknown(role: Role, name: &str) -> String {
    let of_role = || SETTINGS.iter().filter(|setting| setting.roles.contains(&role));
    if let Some(elsewhere) = SETTINGS.iter().find(|setting| setting.name == name) {
        let roles: Vec<&str> = elsewhere.roles.iter().map(|role| role.name()).collect();
        return format!("{name} is no {} setting, but one of: {}", role.name(), roles.join(", "));
    }
    let nearest = of_role()
        .map(|setting| (strsim::levenshtein(name, setting.name), setting.name))
        .min()
        .filter(|(distance, name)| *distance <= 1 + name.len() / 4);
    let advice = match nearest {
        Some((_, nearest)) => format!("is {nearest} meant?"),
        None => {
            let names: Vec<&str> = of_role().map(|setting| setting.name).collect();
            format!("there are {}", names.join(", "))
        }
    };
    format!("there is no {} setting {name:?}; {advice}", role.name())
}

/// The whole of docs/configuration.md.
///
/// ```
/// assert!(kaffic_bindings::settings::page().starts_with("# Configuration"));
/// ```
pub fn page() -> String {
    let mut text = String::from(INTRODUCTION);
    for (role, heading) in [
        (Role::Producer, "Producers"),
        (Role::Consumer, "Consumers"),
        (Role::Topic, "Topics, when they are created"),
        (Role::Change, "Topics, when they are altered"),
        (Role::Trim, "Trimming"),
    ] {
        write!(text, "\n## {heading}\n\n{}", markdown(role)).ok();
    }
    text
}

/// A role's rows as docs/configuration.md has them.
///
/// ```
/// use kaffic_bindings::settings::{Role, markdown};
/// assert!(markdown(Role::Trim).contains("| `keep_bytes` |"));
/// ```
pub fn markdown(role: Role) -> String {
    let mut text = String::from("| name | example | default | meaning |\n|---|---|---|---|\n");
    for Setting { name, example, default, meaning, .. } in
        SETTINGS.iter().filter(|setting| setting.roles.contains(&role))
    {
        // Writing to a string can't fail.
        writeln!(text, "| `{name}` | `{example}` | {default} | {meaning} |").ok();
    }
    text
}
