//! What happened, as a hash that is always kept and as lines when they are asked for. Two runs of
//! a seed are the same run exactly when their traces are.

use std::fmt::{self, Write};
use std::hash::{Hash, Hasher};

/// One thing that happened in the world.
#[derive(Debug, Hash)]
pub(crate) enum Event<'a> {
    Start { actor: u32, name: &'a str, skew_ms: i64 },
    Exit { actor: u32 },
    Crash { actor: u32 },
    Pause { actor: u32, ms: i64, suspended: bool },
    Resume { actor: u32 },
    Poll { task: u32 },
    Leap { ms: i64 },
    Request { op: u32, actor: u32, what: &'a str, key: &'a str, plan: &'a str },
    Apply { op: u32, key: &'a str, found: &'a str },
    Answer { op: u32, how: &'a str },
    Expire { key: &'a str },
    Send { writer: u32, first: u32, count: u32 },
    Ack { writer: u32, seq: u32, offset: i64 },
    Fail { writer: u32, seq: u32, what: &'a str },
    Deliver { reader: u32, writer: u32, seq: u32, offset: i64 },
    Told { reader: u32, earliest: i64 },
    Position { reader: u32, offset: i64 },
    Note { what: &'a str },
}

/// The trace of one run.
#[derive(Debug)]
pub(crate) struct Trace {
    hash: Fnv,
    pub(crate) events: u64,
    pub(crate) lines: Option<Vec<String>>,
}

impl Trace {
    pub(crate) fn new(keep_lines: bool) -> Self {
        Self { hash: Fnv(0xcbf2_9ce4_8422_2325), events: 0, lines: keep_lines.then(Vec::new) }
    }

    /// Adds an event at `ms` after the beginning.
    pub(crate) fn add(&mut self, ms: i64, event: &Event<'_>) {
        self.events += 1;
        (ms, event).hash(&mut self.hash);
        if let Some(lines) = &mut self.lines {
            let mut line = String::new();
            write!(line, "{:>10}.{:03} {event:?}", ms / 1000, ms % 1000).ok();
            lines.push(line);
        }
    }

    /// A line for whoever reads the trace; it is no event.
    pub(crate) fn remark(&mut self, what: fmt::Arguments<'_>) {
        if let Some(lines) = &mut self.lines {
            lines.push(format!("               # {what}"));
        }
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hash.0
    }
}

/// A hash that is the same in every process.
#[derive(Debug, Clone)]
struct Fnv(u64);

impl Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.0 = (self.0 ^ u64::from_le_bytes(word)).wrapping_mul(0x0000_0100_0000_01b3);
            self.0 ^= self.0 >> 29;
        }
    }
}
