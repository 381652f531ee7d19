//! The kinds of faults, how often each happened, and the fate of one storage request.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

macro_rules! faults {
    ($($name:ident $text:literal,)*) => {
        /// A kind of fault.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        #[expect(missing_docs, reason = "the texts below say what each is")]
        pub enum Fault { $($name,)* }

        impl Fault {
            /// All kinds.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The kind in words.
            pub fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

faults! {
    LostRequest "put lost on its way, error",
    LostAnswer "put applied, its answer lost",
    Retried "put applied, retried inside the client, reported as already there",
    Delayed "put applied after the client was told of an error",
    Duplicated "put applied and acknowledged, and applied once more much later",
    Slow "request or answer under way for long",
    FailedRead "get, list or delete that fails",
    Unanswered "request that nobody ever answers",
    Pause "process stopped for a while",
    Suspend "process stopped together with its monotonic clock",
    Stall "process stopped between deciding and sending",
    Crash "process killed",
    Restart "process started again",
    Skew "clock off by up to half of K",
    WildClock "clock off by minutes or hours",
    Jitter "stamps that lag",
    Expiry "message deleted by age",
    Leap "nothing happens anywhere for a while",
}

/// How often each kind of fault happened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FaultCounts([u64; Fault::ALL.len()]);

impl FaultCounts {
    /// How often a kind happened.
    pub fn of(&self, fault: Fault) -> u64 {
        self.0[fault as usize]
    }

    pub(crate) fn add(&mut self, fault: Fault) {
        self.0[fault as usize] += 1;
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (sum, more) in self.0.iter_mut().zip(other.0) {
            *sum += more;
        }
    }
}

/// How long requests take, in milliseconds: first the way there, then the way back.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Latency {
    pub(crate) put: (i64, i64),
    pub(crate) other: (i64, i64),
    /// How often a request takes up to fifty times as long.
    pub(crate) tail: f64,
}

impl Latency {
    /// Quick, with a few that are slow.
    pub(crate) const USUAL: Self = Self { put: (1, 30), other: (1, 15), tail: 0.03 };

    fn draw(&self, put: bool, rng: &mut ChaCha8Rng) -> i64 {
        let (from, to) = if put { self.put } else { self.other };
        let ms = rng.random_range(from..=to);
        if self.tail > 0.0 && rng.random_bool(self.tail) {
            ms * rng.random_range(2..50)
        } else {
            ms
        }
    }
}

/// What the client is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    Truth,
    /// An error that says nothing about what happened.
    Error,
    /// That something was there, though this very request put it there.
    Exists,
}

/// The fate of one request, in milliseconds from now.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fate {
    /// When it takes effect, if it does.
    pub(crate) applied: Option<i64>,
    /// When it takes effect a second time.
    pub(crate) again: Option<i64>,
    /// When it is answered, if it is.
    pub(crate) answered: Option<i64>,
    pub(crate) told: Told,
    pub(crate) fault: Option<Fault>,
}

impl Fate {
    /// What happens to a request when all is well.
    pub(crate) fn good(put: bool, latency: &Latency, rng: &mut ChaCha8Rng) -> Self {
        let there = latency.draw(put, rng);
        let back = latency.draw(put, rng);
        Self {
            applied: Some(there),
            again: None,
            answered: Some(there + back),
            told: Told::Truth,
            fault: None,
        }
    }

    /// What happens to a request that a fault has struck. `spans` are times that matter to the
    /// protocol.
    pub(crate) fn bad(put: bool, latency: &Latency, spans: &[i64], rng: &mut ChaCha8Rng) -> Self {
        let good = Self::good(put, latency, rng);
        let span = spans[rng.random_range(0..spans.len())];
        let late = good.answered.map(|at| at + rng.random_range(1..=span));
        // Half of what is not answered well is an error at once, half silence.
        let silent = rng.random_bool(0.5);
        let bad = |fate: Self| if silent { Self { answered: None, ..fate } } else { fate };
        if !put {
            return match rng.random_range(0..4) {
                0 => Self { answered: late, fault: Some(Fault::Slow), ..good },
                1 => Self { answered: None, fault: Some(Fault::Unanswered), ..good },
                _ => Self { told: Told::Error, fault: Some(Fault::FailedRead), ..good },
            };
        }
        let error = Self { told: Told::Error, ..good };
        match rng.random_range(0..9) {
            0 | 1 => bad(Self { applied: None, fault: Some(Fault::LostRequest), ..error }),
            2 | 3 => bad(Self { fault: Some(Fault::LostAnswer), ..error }),
            4 => Self { told: Told::Exists, fault: Some(Fault::Retried), ..good },
            5 | 6 => bad(Self { applied: late, fault: Some(Fault::Delayed), ..error }),
            7 => Self { again: late, fault: Some(Fault::Duplicated), ..good },
            _ if rng.random_bool(0.5) => {
                let answered = late.map(|at| at + 1);
                Self { applied: late, answered, fault: Some(Fault::Slow), ..good }
            }
            _ => Self { answered: late, fault: Some(Fault::Slow), ..good },
        }
    }

    /// Begins later.
    pub(crate) fn shifted(self, ms: i64) -> Self {
        let shift = |at: Option<i64>| at.map(|at| at + ms);
        Self {
            applied: shift(self.applied),
            again: shift(self.again),
            answered: shift(self.answered),
            ..self
        }
    }
}
