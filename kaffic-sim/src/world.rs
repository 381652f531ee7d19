//! The simulated world: time, processes and chance. Everything that happens is an event in one
//! queue, ordered by time and then by a random number; nothing else decides what comes next. One
//! world is one seed, and it lives in one thread.

use crate::config::{Config, SPANS, Setting};
use crate::disk::Disk;
use crate::faults::{Fault, FaultCounts};
use crate::oracle::Oracle;
use crate::process::Program;
use crate::requests::Op;
use crate::trace::{Event, Trace};
use futures_util::future::BoxFuture;
use kaffic_core::CompactionReport;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

/// When the world begins, in milliseconds since the Unix epoch.
pub(crate) const EPOCH_MS: i64 = 1_750_000_000_000;

pub(crate) type ActorId = u32;
pub(crate) type TaskId = u32;

/// A world, shared by everything in it.
#[derive(Clone)]
pub(crate) struct World(Arc<Mutex<State>>);

/// What kind of process an actor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Writer,
    Reader,
    /// Neither paused nor killed.
    Steady,
}

/// One process: from its start to its end or its death.
#[derive(Debug)]
pub(crate) struct Actor {
    pub(crate) role: Role,
    pub(crate) alive: bool,
    pub(crate) pid: u32,
    /// What its wall clock is ahead.
    pub(crate) skew_ms: i64,
    /// What its monotonic clock is behind: it stands still while the machine sleeps.
    suspended_ms: i64,
    paused: Option<Paused>,
    /// Its tasks that would run if it were not paused.
    pub(crate) parked: Vec<TaskId>,
    program: Program,
    restarts: u32,
}

#[derive(Debug, Clone, Copy)]
struct Paused {
    since: i64,
    until: i64,
    suspended: bool,
}

#[derive(Debug)]
struct Timer {
    actor: ActorId,
    /// On the actor's monotonic clock.
    deadline: i64,
    waker: Option<Waker>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum What {
    Timer(u32),
    Apply(u32),
    Answer(u32),
    Resume(ActorId),
    Start(u32),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Scheduled {
    at: i64,
    tie: u32,
    number: u64,
    what: What,
}

/// A process that is to be started.
#[derive(Debug, Clone)]
pub(crate) struct Launch {
    pub(crate) role: Role,
    pub(crate) program: Program,
    restarts: u32,
}

/// Everything in a world.
pub(crate) struct State {
    pub(crate) now: i64,
    pub(crate) rng: ChaCha8Rng,
    pub(crate) config: Config,
    pub(crate) setting: Setting,
    pub(crate) disk: Disk,
    pub(crate) ops: Vec<Op>,
    pub(crate) actors: Vec<Actor>,
    pub(crate) oracle: Oracle,
    pub(crate) trace: Trace,
    pub(crate) counts: FaultCounts,
    /// Batches that were put aside, and the slots that refer to them.
    pub(crate) asides: BTreeMap<String, Vec<String>>,
    /// Blocks that were compacted, by calls that said so.
    pub(crate) compacted: u64,
    /// Objects that these removed.
    pub(crate) swept: u64,
    /// No more faults: what is under way arrives, and everybody must come to an agreement.
    pub(crate) quiet: bool,
    pub(crate) spawned: Vec<(ActorId, BoxFuture<'static, ()>)>,
    /// Actors whose tasks are to be dropped.
    pub(crate) ended: Vec<ActorId>,
    /// Processes that are still to be started.
    launches: Vec<Option<Launch>>,
    events: BinaryHeap<Reverse<Scheduled>>,
    timers: Vec<Timer>,
    numbers: u64,
}

impl World {
    pub(crate) fn new(seed: u64, config: &Config) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let setting = Setting::draw(config, &mut rng);
        Self::with_setting(rng, setting, config)
    }

    pub(crate) fn with_setting(rng: ChaCha8Rng, setting: Setting, config: &Config) -> Self {
        let mut trace = Trace::new(config.trace);
        trace.remark(format_args!("{setting:?}"));
        Self(Arc::new(Mutex::new(State {
            now: EPOCH_MS,
            rng,
            config: config.clone(),
            setting,
            disk: Disk::default(),
            ops: Vec::new(),
            actors: Vec::new(),
            oracle: Oracle::default(),
            trace,
            counts: FaultCounts::default(),
            asides: BTreeMap::new(),
            compacted: 0,
            swept: 0,
            quiet: false,
            spawned: Vec::new(),
            ended: Vec::new(),
            launches: Vec::new(),
            events: BinaryHeap::new(),
            timers: Vec::new(),
            numbers: 0,
        })))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Counts what a compaction did.
    pub(crate) fn counts_of_compaction(&mut self, report: &CompactionReport) {
        self.compacted += report.compacted;
        self.swept += report.removed;
    }

    /// Milliseconds since the world began.
    pub(crate) fn elapsed(&self) -> i64 {
        self.now - EPOCH_MS
    }

    pub(crate) fn log(&mut self, event: &Event<'_>) {
        let at = self.elapsed();
        self.trace.add(at, event);
    }

    pub(crate) fn chance(&mut self, chance: f64) -> bool {
        !self.quiet && chance > 0.0 && self.rng.random_bool(chance)
    }

    pub(crate) fn one_of<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.rng.random_range(0..from.len())]
    }

    pub(crate) fn schedule(&mut self, at: i64, what: What) {
        self.numbers += 1;
        let (tie, number) = (self.rng.next_u32(), self.numbers);
        self.events.push(Reverse(Scheduled { at, tie, number, what }));
    }

    /// The next event that still matters, with time gone on to it.
    pub(crate) fn next_event(&mut self) -> Option<What> {
        loop {
            let Reverse(Scheduled { at, what, .. }) = self.events.pop()?;
            let matters = match what {
                What::Timer(timer) => self.timers[timer as usize].waker.is_some(),
                What::Apply(op) => !self.ops[op as usize].is_done(),
                What::Answer(op) => self.ops[op as usize].waker.is_some(),
                What::Resume(_) | What::Start(_) => true,
            };
            if matters {
                self.now = self.now.max(at);
                return Some(what);
            }
        }
    }

    /// Nothing happens anywhere for a while, and then everything that was due.
    pub(crate) fn maybe_leap(&mut self) {
        if self.chance(self.setting.leap) {
            let ms = self.one_of(&SPANS[1..SPANS.len() - 2]);
            self.now += ms;
            self.counts.add(Fault::Leap);
            self.log(&Event::Leap { ms });
        }
    }

    // Timers

    pub(crate) fn monotonic(&self, actor: ActorId) -> i64 {
        let actor = &self.actors[actor as usize];
        let now = match actor.paused {
            Some(Paused { since, suspended: true, .. }) => since,
            _ => self.now,
        };
        now - EPOCH_MS - actor.suspended_ms
    }

    pub(crate) fn start_timer(&mut self, actor: ActorId, deadline: i64, waker: Waker) -> u32 {
        let timer = self.timers.len() as u32;
        self.timers.push(Timer { actor, deadline, waker: Some(waker) });
        let left = (deadline - self.monotonic(actor)).max(0);
        self.schedule(self.now + left, What::Timer(timer));
        timer
    }

    pub(crate) fn set_timer_waker(&mut self, timer: u32, waker: Option<Waker>) {
        self.timers[timer as usize].waker = waker;
    }

    /// A timer is due by the world's time; by its actor's it may not be.
    pub(crate) fn fire(&mut self, timer: u32) -> Option<Waker> {
        let Timer { actor, deadline, .. } = self.timers[timer as usize];
        let left = deadline - self.monotonic(actor);
        if left > 0 {
            let at = match self.actors[actor as usize].paused {
                Some(paused) => paused.until + left,
                None => self.now + left,
            };
            self.schedule(at, What::Timer(timer));
            return None;
        }
        self.timers[timer as usize].waker.take()
    }

    // Processes

    /// Starts a process after `delay` milliseconds.
    pub(crate) fn launch_in(&mut self, delay: i64, role: Role, program: Program) {
        self.relaunch_in(delay, Launch { role, program, restarts: 0 });
    }

    fn relaunch_in(&mut self, delay: i64, launch: Launch) {
        let number = self.launches.len() as u32;
        self.launches.push(Some(launch));
        self.schedule(self.now + delay, What::Start(number));
    }

    /// Starts a process, unless that was called off: makes the actor, and gives its program.
    pub(crate) fn start(&mut self, launch: u32) -> Option<(ActorId, Program)> {
        let Launch { role, program, restarts } = self.launches[launch as usize].take()?;
        let skew_ms = self.draw_skew(role);
        let actor = self.actors.len() as ActorId;
        self.log(&Event::Start { actor, name: program.name, skew_ms });
        self.actors.push(Actor {
            role,
            alive: true,
            pid: 1000 + actor,
            skew_ms,
            suspended_ms: self.rng.random_range(0..10_000),
            paused: None,
            parked: Vec::new(),
            program: program.clone(),
            restarts,
        });
        Some((actor, program))
    }

    /// Readers that are still to be started are at once, and others never.
    pub(crate) fn start_readers_only(&mut self) {
        for number in 0..self.launches.len() {
            match self.launches[number].take() {
                Some(launch) if launch.role == Role::Reader => self.relaunch_in(0, launch),
                _ => {}
            }
        }
    }

    fn draw_skew(&mut self, role: Role) -> i64 {
        let (skew, wild) = (self.setting.skew_ms, self.setting.wild_clock);
        if role == Role::Steady || self.quiet {
            return 0;
        }
        if role == Role::Writer && self.chance(wild) {
            self.counts.add(Fault::WildClock);
            let off = self.one_of(&SPANS[2..]);
            return if self.rng.random_bool(0.7) { off } else { -off };
        }
        if skew == 0 {
            return 0;
        }
        self.counts.add(Fault::Skew);
        self.rng.random_range(-skew..=skew)
    }

    pub(crate) fn is_paused(&self, actor: ActorId) -> bool {
        self.actors[actor as usize].paused.is_some()
    }

    /// Pauses or kills an actor, by chance. Gives the length of the pause.
    pub(crate) fn maybe_pause(&mut self, actor: ActorId) -> Option<i64> {
        let Actor { role, alive, paused, restarts, .. } = self.actors[actor as usize];
        let spared = role == Role::Steady || !alive || paused.is_some();
        if spared || !self.chance(self.setting.pause) {
            return None;
        }
        if restarts < 3 && self.rng.random_ratio(1, 6) {
            self.crash(actor);
            return None;
        }
        let span = self.one_of(self.setting.pauses);
        let ms = self.rng.random_range(span / 2..=span);
        let suspended = self.rng.random_bool(self.setting.suspend);
        self.counts.add(if suspended { Fault::Suspend } else { Fault::Pause });
        self.log(&Event::Pause { actor, ms, suspended });
        let until = self.now + ms;
        self.actors[actor as usize].paused = Some(Paused { since: self.now, until, suspended });
        self.schedule(until, What::Resume(actor));
        Some(ms)
    }

    /// Ends a pause; gives the tasks that run now.
    pub(crate) fn resume(&mut self, actor: ActorId) -> Vec<TaskId> {
        let now = self.now;
        let it = &mut self.actors[actor as usize];
        let Some(paused) = it.paused.take() else { return Vec::new() };
        if paused.suspended {
            it.suspended_ms += now - paused.since;
        }
        let parked = std::mem::take(&mut it.parked);
        self.log(&Event::Resume { actor });
        if now < paused.until {
            self.reschedule_timers(actor);
        }
        parked
    }

    /// Timers that were put off to the end of a pause that has ended early.
    fn reschedule_timers(&mut self, actor: ActorId) {
        let monotonic = self.monotonic(actor);
        for number in 0..self.timers.len() {
            let timer = &self.timers[number];
            if timer.actor == actor && timer.waker.is_some() {
                let left = (timer.deadline - monotonic).max(0);
                self.schedule(self.now + left, What::Timer(number as u32));
            }
        }
    }

    /// Kills a process. It may be started again.
    pub(crate) fn crash(&mut self, actor: ActorId) {
        self.counts.add(Fault::Crash);
        self.log(&Event::Crash { actor });
        self.end(actor);
        let reads = self.actors[actor as usize].role == Role::Reader;
        if reads || self.rng.random_bool(0.7) {
            self.counts.add(Fault::Restart);
            let Actor { role, program, restarts, .. } = &self.actors[actor as usize];
            let launch = Launch { role: *role, program: program.clone(), restarts: *restarts + 1 };
            let span = self.one_of(SPANS);
            let delay = self.rng.random_range(0..=span);
            self.relaunch_in(delay, launch);
        }
    }

    /// Ends a process: nothing of it runs any more. What it sent is still under way.
    pub(crate) fn end(&mut self, actor: ActorId) {
        let it = &mut self.actors[actor as usize];
        if it.alive {
            it.alive = false;
            it.paused = None;
            it.parked.clear();
            self.ended.push(actor);
        }
    }

    /// Whether a process of this role runs or will.
    pub(crate) fn any(&self, role: Role) -> bool {
        self.actors.iter().any(|actor| actor.alive && actor.role == role)
            || self.launches.iter().flatten().any(|launch| launch.role == role)
    }
}
