//! Storage requests: each takes effect at one moment and is answered at another, and what a fault
//! makes of it is decided when it is sent.

use crate::config::{A_MS, R_MS, SPANS};
use crate::disk::Listed;
use crate::faults::{Fate, Fault, Told};
use crate::payload;
use crate::trace::Event;
use crate::world::{ActorId, Role, State, What};
use bytes::Bytes;
use rand::RngExt;
use std::task::Waker;

/// What is asked of the store.
#[derive(Debug, Clone)]
pub(crate) enum Request {
    Put {
        key: String,
        bytes: Bytes,
    },
    /// A put in place of what is there.
    Overwrite {
        key: String,
        bytes: Bytes,
    },
    Get {
        key: String,
    },
    List {
        dir: String,
    },
    ListDeep {
        dir: String,
    },
    Delete {
        key: String,
    },
}

/// What the store says.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    Created,
    Exists,
    Object {
        bytes: Bytes,
        stamp_ms: i64,
        tag: u64,
    },
    NotFound,
    Listing {
        objects: Vec<Listed>,
        dirs: Vec<String>,
    },
    Deleted,
    /// An error that says nothing about what happened.
    Failed,
}

/// A request and what became of it.
#[derive(Debug)]
pub(crate) struct Op {
    actor: ActorId,
    request: Request,
    /// Moments at which it is still to take effect.
    pending: u32,
    told: Told,
    reply: Option<Reply>,
    pub(crate) answered: bool,
    will_answer: bool,
    /// Who waits for the answer; `None` when nobody does any more.
    pub(crate) waker: Option<Waker>,
}

impl Op {
    /// Whether it will have no more effect.
    pub(crate) fn is_done(&self) -> bool {
        self.pending == 0
    }

    /// The answer, for whoever asked.
    pub(crate) fn take_reply(&mut self) -> Reply {
        self.reply.take().unwrap_or(Reply::Failed)
    }
}

impl Request {
    fn words(&self) -> (&'static str, &str) {
        match self {
            Self::Put { key, .. } => ("put", key),
            Self::Overwrite { key, .. } => ("overwrite", key),
            Self::Get { key } => ("get", key),
            Self::List { dir } => ("list", dir),
            Self::ListDeep { dir } => ("list deep", dir),
            Self::Delete { key } => ("delete", key),
        }
    }
}

impl State {
    /// Sends a request.
    pub(crate) fn send(&mut self, actor: ActorId, request: Request, waker: Waker) -> u32 {
        let op = self.ops.len() as u32;
        let put = matches!(request, Request::Put { .. } | Request::Overwrite { .. });
        let latency = self.setting.latency;
        let chance = if put { self.setting.put_fault } else { self.setting.read_fault };
        let spared = self.actors[actor as usize].role == Role::Steady;
        let mut fate = if !spared && self.chance(chance) {
            Fate::bad(put, &latency, SPANS, &mut self.rng)
        } else {
            Fate::good(put, &latency, &mut self.rng)
        };
        if let Some(ms) = self.maybe_pause(actor)
            && self.rng.random_bool(0.5)
        {
            // It stopped before this request had left.
            fate = fate.shifted(ms);
            self.counts.add(Fault::Stall);
        }
        if let Some(fault) = fate.fault {
            self.counts.add(fault);
        }
        let (what, key) = request.words();
        let plan = fate.fault.map_or("", Fault::text);
        self.log(&Event::Request { op, actor, what, key, plan });
        let pending = u32::from(fate.applied.is_some()) + u32::from(fate.again.is_some());
        for at in [fate.applied, fate.again].into_iter().flatten() {
            self.schedule(self.now + at, What::Apply(op));
        }
        if let Some(at) = fate.answered {
            self.schedule(self.now + at, What::Answer(op));
        }
        self.ops.push(Op {
            actor,
            request,
            pending,
            told: fate.told,
            reply: None,
            answered: false,
            will_answer: fate.answered.is_some(),
            waker: Some(waker),
        });
        op
    }

    /// A request takes effect.
    pub(crate) fn apply(&mut self, op: u32) {
        self.maybe_leap();
        self.maybe_expire();
        let number = op as usize;
        self.ops[number].pending -= 1;
        if self.ops[number].waker.is_none() && !self.ops[number].request.changes_anything() {
            return;
        }
        let request = self.ops[number].request.clone();
        let reply = self.carry_out(&request);
        let found = match &reply {
            Reply::Created => "created",
            Reply::Exists => "exists",
            Reply::Object { .. } => "object",
            Reply::NotFound => "nothing",
            Reply::Listing { .. } => "listing",
            Reply::Deleted => "deleted",
            Reply::Failed => "failed",
        };
        self.log(&Event::Apply { op, key: request.words().1, found });
        self.ops[number].reply.get_or_insert(reply);
    }

    fn carry_out(&mut self, request: &Request) -> Reply {
        match request {
            Request::Put { key, bytes } => {
                let lag = self.setting.jitter_ms;
                let lag = if lag > 0 && !self.quiet { self.rng.random_range(0..=lag) } else { 0 };
                if lag > 0 {
                    self.counts.add(Fault::Jitter);
                }
                let stamp = self.now - lag;
                if !self.disk.create(key, bytes.clone(), stamp) {
                    return Reply::Exists;
                }
                self.tell_oracle(key, bytes, stamp);
                Reply::Created
            }
            Request::Overwrite { key, bytes } => {
                self.disk.remove(key);
                self.disk.create(key, bytes.clone(), self.now);
                Reply::Created
            }
            Request::Get { key } => match self.disk.get(key) {
                Some(stored) => Reply::Object {
                    bytes: stored.bytes.clone(),
                    stamp_ms: stored.stamp_ms,
                    tag: stored.tag,
                },
                None => Reply::NotFound,
            },
            Request::List { dir } => {
                let (mut objects, mut dirs) = self.disk.list(dir);
                self.shuffle(&mut objects);
                self.shuffle(&mut dirs);
                Reply::Listing { objects, dirs }
            }
            Request::ListDeep { dir } => {
                let mut objects = self.disk.list_deep(dir);
                self.shuffle(&mut objects);
                Reply::Listing { objects, dirs: Vec::new() }
            }
            Request::Delete { key } => {
                let stamp = self.disk.get(key).map(|stored| stored.stamp_ms);
                if self.disk.remove(key) {
                    // What is as old as R might be gone as well.
                    let young = stamp.is_some_and(|stamp| stamp > self.now - R_MS);
                    for slot in self.needed_by(key) {
                        self.oracle.deleted(self.now, &slot, young);
                    }
                }
                Reply::Deleted
            }
        }
    }

    /// Another process puts what this one has under way to a slot, byte for byte, before it
    /// arrives. Says whether there was such a put.
    #[cfg(test)]
    pub(crate) fn apply_twin(&mut self, actor: ActorId) -> bool {
        let twin = self.ops.iter().rev().find_map(|op| match &op.request {
            put @ Request::Put { key, .. } if op.actor == actor && op.pending > 0 => {
                key.starts_with("data/").then(|| put.clone())
            }
            _ => None,
        });
        twin.is_some_and(|twin| matches!(self.carry_out(&twin), Reply::Created))
    }

    /// A request is answered: gives who waited for it.
    pub(crate) fn answer(&mut self, op: u32) -> Option<Waker> {
        let it = &mut self.ops[op as usize];
        let how = match it.told {
            Told::Truth => "truth",
            Told::Error => {
                it.reply = Some(Reply::Failed);
                "error"
            }
            Told::Exists => {
                it.reply = Some(Reply::Exists);
                "exists"
            }
        };
        it.answered = true;
        let (actor, waker) = (it.actor, it.waker.take());
        self.log(&Event::Answer { op, how });
        self.maybe_pause(actor);
        waker
    }

    /// What was sent arrives now: the world becomes quiet.
    pub(crate) fn become_quiet(&mut self) {
        self.quiet = true;
        for op in 0..self.ops.len() {
            while !self.ops[op].is_done() {
                self.apply(op as u32);
            }
            if self.ops[op].waker.is_some() && self.ops[op].will_answer {
                let soon = self.now + self.rng.random_range(0..20);
                self.schedule(soon, What::Answer(op as u32));
            }
        }
    }

    /// Tells the oracle what a stored message holds, and whether it counts.
    fn tell_oracle(&mut self, key: &str, bytes: &Bytes, stamp_ms: i64) {
        if let Some(block) = key.strip_suffix("/index") {
            return self.tell_of_index(block, bytes);
        }
        // A segment counts when an index names it.
        if !key.starts_with("data/") || key.contains('.') {
            return;
        }
        let Some(base) = payload::base_offset(bytes) else { return };
        let found = match self.aside_of(key, bytes) {
            Some(aside) => payload::find(&aside),
            None => payload::find(bytes),
        };
        let counts = self.counts_by_its_stamp(key, stamp_ms);
        self.trace.remark(format_args!(
            "{key} from offset {base}: {} {}",
            found.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
            if counts { "" } else { "VOID" }
        ));
        if counts {
            self.oracle.stored(key, (base..).zip(found).collect());
        }
    }

    /// The batch that a slot refers to. Without it the slot is nothing.
    fn aside_of(&mut self, key: &str, slot: &Bytes) -> Option<Bytes> {
        let name = payload::aside_name(slot)?;
        let aside = format!("{}/{name}", key.rsplit_once('/')?.0);
        let bytes = self.disk.get(&aside)?.bytes.clone();
        self.asides.entry(aside).or_default().push(key.to_owned());
        Some(bytes)
    }

    /// The slots that need this object, itself among them.
    fn needed_by(&self, key: &str) -> Vec<String> {
        let mut slots = self.asides.get(key).cloned().unwrap_or_default();
        slots.push(key.to_owned());
        slots
    }

    /// From now on the segments that an index names are what readers go by.
    fn tell_of_index(&mut self, block: &str, index: &Bytes) {
        let Some((group, _)) = block.rsplit_once('/') else { return };
        let group = group.replacen("meta/logs/", "data/", 1);
        for name in payload::segment_names(index) {
            let key = format!("{group}/{name}");
            if let Some(segment) = self.disk.get(&key) {
                let places = payload::places(&segment.bytes);
                self.trace.remark(format_args!("{key} counts, with {} records", places.len()));
                self.oracle.stored(&key, places);
            }
        }
    }

    /// The rule of the lease, from the objects themselves.
    fn counts_by_its_stamp(&self, key: &str, stamp_ms: i64) -> bool {
        let Some((block, _)) = key.rsplit_once('/') else { return false };
        let open = format!("{}/open", block.replacen("data/", "meta/logs/", 1));
        let Some(open) = self.disk.get(&open) else { return false };
        let lease = payload::lease_ms(&open.bytes).unwrap_or(A_MS);
        let age = stamp_ms.div_euclid(1000) - open.stamp_ms.div_euclid(1000);
        age * 1000 < lease
    }

    /// A lifecycle rule deletes some of what is old enough.
    fn maybe_expire(&mut self) {
        if !self.chance(self.setting.expiry) {
            return;
        }
        let mut old = self.disk.messages_before(self.now - R_MS);
        if old.is_empty() {
            return;
        }
        let most = old.len();
        let count = self.one_of(&[1, 1, 2, most]).min(most);
        self.shuffle(&mut old);
        for key in old.into_iter().take(count) {
            self.disk.remove(&key);
            self.counts.add(Fault::Expiry);
            for slot in self.needed_by(&key) {
                self.oracle.gone(self.now, &slot);
            }
            self.log(&Event::Expire { key: &key });
        }
    }

    fn shuffle<T>(&mut self, of: &mut [T]) {
        for last in (1..of.len()).rev() {
            of.swap(last, self.rng.random_range(0..=last));
        }
    }
}

impl Request {
    fn changes_anything(&self) -> bool {
        matches!(self, Self::Put { .. } | Self::Overwrite { .. } | Self::Delete { .. })
    }
}
