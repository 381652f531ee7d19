//! What a run is made of: the choices of the caller, and those that a seed makes from them.

use crate::faults::Latency;
use kaffic_core::MinExpiry;
use kaffic_core::env::Rule;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use std::time::Duration;

/// R of the simulated topic: the least age at which messages expire.
pub(crate) const R_MS: i64 = 120_000;
/// A: how long a block may be written to.
pub(crate) const A_MS: i64 = R_MS / 2;
/// K: the margin for clocks.
pub(crate) const K_MS: i64 = R_MS / 24;
/// M: the margin before things may expire.
pub(crate) const M_MS: i64 = R_MS / 12;

/// Times that matter to the protocol: how long pauses, delays and leaps are.
pub(crate) const SPANS: &[i64] = &[
    500,
    5_000,
    20_000,
    A_MS / 2,
    A_MS - K_MS,
    A_MS,
    R_MS - M_MS,
    R_MS,
    R_MS + 10_000,
    2 * R_MS,
    3 * R_MS,
    40 * R_MS,
];

/// What the caller of a run chooses. A run is a function of this and the seed.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// A rule of the protocol to be left out, to see that this is noticed.
    pub without: Option<Rule>,
    /// Keep the trace's lines, not only its hash.
    pub trace: bool,
    /// More of what makes a certain rule matter.
    pub bias: Option<Rule>,
}

impl Config {
    /// The config in which leaving out `rule` is noticed soon.
    pub fn without(rule: Rule) -> Self {
        Self { without: Some(rule), bias: Some(rule), trace: false }
    }
}

/// What a seed makes of a config.
#[derive(Debug, Clone)]
pub(crate) struct Setting {
    /// The chance of a fault, for each put.
    pub(crate) put_fault: f64,
    /// The chance of a fault, for each other request.
    pub(crate) read_fault: f64,
    /// The chance of a pause or a crash, for each request and each answer.
    pub(crate) pause: f64,
    /// How many of the pauses stop the monotonic clock too.
    pub(crate) suspend: f64,
    /// How long pauses are, at most.
    pub(crate) pauses: &'static [i64],
    /// Writers come at once and write without long waits.
    pub(crate) hurry: bool,
    /// The chance of a leap of time, for each request that takes effect.
    pub(crate) leap: f64,
    /// The chance that messages expire, for each request that takes effect.
    pub(crate) expiry: f64,
    /// How far clocks are off, at most.
    pub(crate) skew_ms: i64,
    /// How far stamps lag, at most.
    pub(crate) jitter_ms: i64,
    /// The chance that a writer's clock is off by minutes or hours.
    pub(crate) wild_clock: f64,
    pub(crate) latency: Latency,
    pub(crate) min_expiry: MinExpiry,
    /// The chance that a writer takes another `min_expiry` than the topic's.
    pub(crate) other_min_expiry: f64,
    pub(crate) slots: u32,
    pub(crate) writers: u32,
    /// The topic is deleted, and made anew, while it is written to.
    pub(crate) deletion: bool,
    /// How many processes compact the topic; writers do too where there are any.
    pub(crate) compactors: u32,
    /// The size up to which they join batches.
    pub(crate) segment_bytes: u64,
    /// How many instances of one producer name come.
    pub(crate) named: u32,
}

impl Setting {
    pub(crate) fn draw(config: &Config, rng: &mut ChaCha8Rng) -> Self {
        let mut one_of = |from: &[f64]| from[rng.random_range(0..from.len())];
        let (put_fault, read_fault) = (one_of(&[0.0, 0.05, 0.25]), one_of(&[0.0, 0.01, 0.05]));
        let pause = one_of(&[0.0, 0.004, 0.02]);
        let (leap, expiry) = (one_of(&[0.0, 0.003, 0.01]), one_of(&[0.0, 0.05, 0.2, 0.5]));
        let never = rng.random_ratio(1, 10);
        let other = rng.random_ratio(1, 3);
        // Skew and lag stay within K/2 together, of the smaller K where writers have two.
        let (jitter_ms, most) = if other {
            ([0, 300, 600][rng.random_range(0..3)], K_MS / 4 - 100)
        } else {
            ([0, 1_000, 2_000][rng.random_range(0..3)], K_MS / 2 - 100)
        };
        let setting = Self {
            put_fault,
            read_fault,
            pause,
            suspend: 0.25,
            pauses: SPANS,
            hurry: false,
            leap,
            // Nothing expires that is said never to.
            expiry: if never { 0.0 } else { expiry },
            skew_ms: if rng.random_ratio(2, 3) { most - jitter_ms } else { 0 },
            jitter_ms,
            wild_clock: if rng.random_ratio(1, 12) { 0.4 } else { 0.0 },
            latency: Latency::USUAL,
            min_expiry: if never { MinExpiry::Never } else { after(R_MS) },
            other_min_expiry: if other { 0.5 } else { 0.0 },
            slots: rng.random_range(2..=4),
            writers: [1, 2, 2, 3][rng.random_range(0..4)],
            deletion: rng.random_ratio(1, 12),
            compactors: [0, 1, 1, 2][rng.random_range(0..4)],
            segment_bytes: [1, 200, 64 << 20][rng.random_range(0..3)],
            named: [0, 0, 0, 1, 2, 3][rng.random_range(0..6)],
        };
        // A name's sequences are of one incarnation.
        let setting = Self { named: if setting.deletion { 0 } else { setting.named }, ..setting };
        match config.bias {
            Some(rule) => setting.biased(rule),
            None => setting,
        }
    }

    /// No faults at all.
    pub(crate) fn calm(latency: Latency) -> Self {
        Self {
            put_fault: 0.0,
            read_fault: 0.0,
            pause: 0.0,
            suspend: 0.0,
            pauses: SPANS,
            hurry: true,
            leap: 0.0,
            expiry: 0.0,
            skew_ms: 0,
            jitter_ms: 0,
            wild_clock: 0.0,
            latency,
            min_expiry: MinExpiry::After(Duration::from_secs(24 * 3600)),
            other_min_expiry: 0.0,
            slots: 1000,
            writers: 1,
            deletion: false,
            compactors: 0,
            segment_bytes: 64 << 20,
            named: 0,
        }
    }

    /// Turns up what makes a rule matter.
    fn biased(self, rule: Rule) -> Self {
        let hot = Self {
            put_fault: 0.25,
            read_fault: 0.02,
            pause: 0.02,
            leap: 0.01,
            expiry: 0.5,
            min_expiry: after(R_MS),
            other_min_expiry: 0.0,
            writers: self.writers.max(2),
            deletion: false,
            wild_clock: 0.0,
            ..self
        };
        match rule {
            Rule::LeaseComesFromOpen => {
                // A writer looks at its clock again after any delay but one of all its clocks.
                let (slots, pauses) = (12, &[A_MS / 2, A_MS][..]);
                let hot = Self { put_fault: 0.0, pause: 0.05, suspend: 1.0, pauses, ..hot };
                let hot = Self { slots, writers: 3, hurry: true, leap: 0.0, ..hot };
                Self { other_min_expiry: 0.5, skew_ms: 0, jitter_ms: 500, ..hot }
            }
            // Any other delay makes the writer look at its clock again.
            Rule::SlowPutsAreChecked => Self { pause: 0.05, suspend: 0.9, ..hot },
            Rule::VerdictsComeFromStamps => Self { wild_clock: 0.4, ..hot },
            // Writers that put late into what was swept.
            Rule::SweepsWaitForTheLease => {
                Self { compactors: 2, hurry: true, leap: 0.0, expiry: 0.0, ..hot }
            }
            // A put whose answer was lost, and whose slot was swept when its writer looks again.
            Rule::WritersAskForTheIndex => Self {
                compactors: 3,
                writers: 3,
                slots: 2,
                pause: 0.01,
                pauses: &[R_MS - M_MS],
                read_fault: 0.0,
                leap: 0.0,
                expiry: 0.0,
                ..hot
            },
            // Instances that sleep while others write past a fence.
            Rule::NamesAskForTheEpoch => Self {
                named: 3,
                slots: 2,
                pause: 0.02,
                pauses: &[5_000, 20_000, A_MS, R_MS],
                put_fault: 0.0,
                ..hot
            },
            Rule::LosersReadTheIndex | Rule::ReaderAsksForTheIndex => {
                Self { compactors: 2, expiry: 0.0, ..hot }
            }
            _ => hot,
        }
    }
}

pub(crate) fn after(ms: i64) -> MinExpiry {
    MinExpiry::After(Duration::from_millis(ms as u64))
}

/// The rules that can be left out.
pub const RULES: &[Rule] = &[
    Rule::LateSlotsAreVoid,
    Rule::AmbiguousPutsAreRead,
    Rule::SlowPutsAreChecked,
    Rule::LeaseComesFromOpen,
    Rule::VerdictsComeFromStamps,
    Rule::ReaderLooksTwice,
    Rule::ReaderMovesOn,
    Rule::ReaderAsksForTheIndex,
    Rule::WritersAskForTheIndex,
    Rule::SweepsWaitForTheLease,
    Rule::LosersReadTheIndex,
    Rule::NamesAskForTheEpoch,
];
