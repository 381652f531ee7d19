//! The ways in which a request fails, and how often each.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::fmt;
use std::str::FromStr;

/// What is done to a request. `Before` is before the server was asked, so nothing has happened
/// there; `After` is when it has done what was asked and its answer is thrown away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Fault {
    /// It takes longer.
    Delay,
    /// The connection is reset.
    ResetBefore,
    /// The connection is reset.
    ResetAfter,
    /// 500 `InternalError`.
    Status500Before,
    /// 500 `InternalError`.
    Status500After,
    /// 503 `SlowDown`.
    Status503Before,
    /// 503 `SlowDown`.
    Status503After,
    /// 429 `TooManyRequests`.
    Status429,
    /// Half of the promised body, and the end of the connection. Only for GET.
    Truncated,
    /// The body comes in pieces, with pauses. Only for GET.
    SlowBody,
    /// No answer until the client gives up.
    HalfOpenBefore,
    /// No answer until the client gives up.
    HalfOpenAfter,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Delay,
        Self::ResetBefore,
        Self::ResetAfter,
        Self::Status500Before,
        Self::Status500After,
        Self::Status503Before,
        Self::Status503After,
        Self::Status429,
        Self::Truncated,
        Self::SlowBody,
        Self::HalfOpenBefore,
        Self::HalfOpenAfter,
    ];

    /// Its name on the command line and in the log.
    pub fn name(self) -> &'static str {
        match self {
            Self::Delay => "delay",
            Self::ResetBefore => "reset-before",
            Self::ResetAfter => "reset-after",
            Self::Status500Before => "500-before",
            Self::Status500After => "500-after",
            Self::Status503Before => "503-before",
            Self::Status503After => "503-after",
            Self::Status429 => "429",
            Self::Truncated => "truncated",
            Self::SlowBody => "slow-body",
            Self::HalfOpenBefore => "half-open-before",
            Self::HalfOpenAfter => "half-open-after",
        }
    }

    /// Whether the server never hears of the request.
    pub(crate) fn is_before(self) -> bool {
        matches!(
            self,
            Self::ResetBefore
                | Self::Status500Before
                | Self::Status503Before
                | Self::Status429
                | Self::HalfOpenBefore
        )
    }

    fn only_reads(self) -> bool {
        matches!(self, Self::Truncated | Self::SlowBody)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|fault| fault.name() == text);
        found.ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|fault| fault.name()).collect();
            format!("there is no fault {text}; there are {}", names.join(", "))
        })
    }
}

/// How often each fault comes, as a part of all requests that it can befall.
///
/// ```
/// use kaffic_testkit::{Fault, Rates};
/// let rates = Rates::none().with(Fault::ResetAfter, 0.05).with(Fault::Delay, 0.1);
/// assert_eq!(rates.of(Fault::Delay), 0.1);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Rates([f64; Fault::ALL.len()]);

impl Rates {
    /// Nothing fails.
    pub fn none() -> Self {
        Self::default()
    }

    /// The same with another rate for `fault`.
    ///
    /// # Panics
    /// If all rates together are more than 1, since a request has one fault at most.
    #[must_use]
    pub fn with(mut self, fault: Fault, rate: f64) -> Self {
        self.0[fault as usize] = rate;
        let all: f64 = self.0.iter().sum();
        assert!(rate >= 0.0 && all <= 1.0 + 1e-9, "{fault}={rate}: rates together are {all}");
        self
    }

    /// The rate of `fault`.
    pub fn of(&self, fault: Fault) -> f64 {
        self.0[fault as usize]
    }

    /// The fault that a number from 0 to 1 stands for.
    fn pick(&self, mut number: f64, read: bool) -> Option<Fault> {
        for fault in Fault::ALL {
            let rate = self.of(fault);
            if number < rate {
                return (read || !fault.only_reads()).then_some(fault);
            }
            number -= rate;
        }
        None
    }
}

/// Decides what befalls each request, by a seed.
#[derive(Debug)]
pub(crate) struct Dice {
    rng: ChaCha8Rng,
    pub(crate) rates: Rates,
}

impl Dice {
    pub(crate) fn new(seed: u64, rates: Rates) -> Self {
        Self { rng: ChaCha8Rng::seed_from_u64(seed), rates }
    }

    pub(crate) fn roll(&mut self, read: bool) -> Option<Fault> {
        let number = self.rng.random();
        self.rates.pick(number, read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_comes_as_often_as_asked() {
        let rates =
            Fault::ALL.into_iter().fold(Rates::none(), |rates, fault| rates.with(fault, 0.05));
        let mut dice = Dice::new(1, rates);
        for read in [false, true] {
            let mut counts = [0; Fault::ALL.len()];
            for fault in (0..100_000).filter_map(|_| dice.roll(read)) {
                counts[fault as usize] += 1;
            }
            for fault in Fault::ALL {
                let possible = read || !fault.only_reads();
                let expected = if possible { 4_500..5_500 } else { 0..1 };
                assert!(expected.contains(&counts[fault as usize]), "{fault}: {counts:?}");
            }
        }
    }

    #[test]
    fn a_seed_gives_the_same_again() {
        let rolls = |seed| {
            let mut dice = Dice::new(seed, Rates::none().with(Fault::Delay, 0.5));
            (0..64).map(|_| dice.roll(false)).collect::<Vec<_>>()
        };
        assert_eq!(rolls(7), rolls(7));
        assert_ne!(rolls(7), rolls(8));
    }

    #[test]
    fn names_are_read_back() {
        for fault in Fault::ALL {
            assert_eq!(fault.name().parse(), Ok(fault));
        }
        assert!("reset".parse::<Fault>().unwrap_err().contains("reset-after"));
    }

    #[test]
    #[should_panic(expected = "together")]
    fn rates_are_parts_of_a_whole() {
        let _ = Rates::none().with(Fault::Delay, 0.6).with(Fault::ResetAfter, 0.6);
    }
}
