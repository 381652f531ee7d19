//! Values as people write them: times, sizes, switches, places in a log.

use chrono::DateTime;
use kaffic_core::{Compression, MinExpiry, ResetTo, Start, Until};
use std::str::FromStr;
use std::time::Duration;

type Read<T> = Result<T, String>;

/// A setting that is in the table and that nothing applies. A test sees to it that there is none.
pub(super) fn named(name: &str) -> String {
    format!("{name} is in the table of settings, and nothing applies it")
}

/// `5ms`, `1h 30m`, `0`.
pub(super) fn time(text: &str) -> Read<Duration> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let wrong = |error| format!("{error}; write it like 5ms, 30s or 2h");
    humantime::parse_duration(text).map_err(wrong)
}

pub(super) fn never_or_time(text: &str) -> Read<Option<Duration>> {
    match text {
        "never" => Ok(None),
        _ => time(text).map(Some).map_err(|wrong| format!("{wrong}, or never")),
    }
}

pub(super) fn min_expiry(text: &str) -> Read<MinExpiry> {
    match never_or_time(text)? {
        None => Ok(MinExpiry::Never),
        Some(Duration::ZERO) => Err("it is a minute at least, or never".to_owned()),
        Some(age) => Ok(MinExpiry::After(age)),
    }
}

/// `4096`, `64KiB`, `10MB`: units of 1024 with an i, of 1000 without.
pub(super) fn size<T: TryFrom<u64>>(text: &str) -> Read<T> {
    let wrong = || format!("{text:?} is no size; write it like 4096, 64KiB or 1MiB");
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.trim() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        "KB" | "kB" => 1000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        _ => return Err(wrong()),
    };
    let bytes = number.parse().ok().and_then(|number: u64| number.checked_mul(factor));
    bytes.and_then(|bytes| T::try_from(bytes).ok()).ok_or_else(wrong)
}

pub(super) fn count<T: FromStr>(text: &str) -> Read<T> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits
        .then(|| text.parse().ok())
        .flatten()
        .ok_or_else(|| format!("{text:?} is no number that fits"))
}

pub(super) fn switch(text: &str) -> Read<bool> {
    choice(text, &[("true", true), ("false", false)])
}

pub(super) fn choice<T: Clone>(text: &str, known: &[(&str, T)]) -> Read<T> {
    known.iter().find(|(name, _)| *name == text).map(|(_, value)| value.clone()).ok_or_else(|| {
        let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
        format!("it is {}", names.join(" or "))
    })
}

pub(super) fn codec(text: &str) -> Read<Compression> {
    text.parse().map_err(|error: kaffic_core::Error| error.to_string())
}

/// A value, or `default` to take back what was set.
pub(super) fn or_default<T>(text: &str, read: impl Fn(&str) -> Read<T>) -> Read<Option<T>> {
    match text {
        "default" => Ok(None),
        _ => read(text).map(Some).map_err(|wrong| format!("{wrong}, or default")),
    }
}

/// Unix milliseconds, or an RFC 3339 time as the first millisecond that is not before it.
pub(super) fn moment(text: &str) -> Read<i64> {
    text.parse().or_else(|_| rfc3339(text))
}

fn rfc3339(text: &str) -> Read<i64> {
    let time = DateTime::parse_from_rfc3339(text)
        .map_err(|error| format!("{error}; write it like 2026-01-31T12:00:00Z"))?;
    let cut = i64::from(time.timestamp_subsec_nanos() % 1_000_000 != 0);
    Ok(time.timestamp_millis() + cut)
}

/// A word, and what is behind its colon.
fn parts(text: &str) -> (&str, Option<&str>) {
    text.split_once(':').map_or((text, None), |(word, rest)| (word, Some(rest)))
}

/// Where to start or to seek: `earliest`, `latest`, `offset:N`, `timestamp:MS`, `time:RFC3339`,
/// `last:N`.
///
/// # Errors
/// What it could be, in words.
///
/// ```
/// use kaffic_bindings::settings::start;
/// assert_eq!(start("offset:42"), Ok(kaffic_core::Start::Offset(42)));
/// ```
pub fn start(text: &str) -> Read<Start> {
    let wrong = "write earliest, latest, offset:N, timestamp:MS, time:RFC3339 or last:N";
    match parts(text) {
        ("earliest", None) => Ok(Start::Earliest),
        ("latest", None) => Ok(Start::Latest),
        ("offset", Some(offset)) => count(offset).map(Start::Offset),
        ("timestamp", Some(ms)) => ms.parse().map(Start::Timestamp).map_err(|_| String::new()),
        ("time", Some(time)) => rfc3339(time).map(Start::Timestamp),
        ("last", Some(count_)) => count(count_).map(Start::Last),
        _ => Err(String::new()),
    }
    .map_err(|why| joined(&why, wrong))
}

/// Where to end: `forever`, `latest`, `offset:N`, `timestamp:MS`, `time:RFC3339`.
///
/// # Errors
/// What it could be, in words.
///
/// ```
/// use kaffic_bindings::settings::until;
/// assert_eq!(until("latest"), Ok(kaffic_core::Until::Latest));
/// ```
pub fn until(text: &str) -> Read<Until> {
    let wrong = "write forever, latest, offset:N, timestamp:MS or time:RFC3339";
    match parts(text) {
        ("forever", None) => Ok(Until::Forever),
        ("latest", None) => Ok(Until::Latest),
        ("offset", Some(offset)) => count(offset).map(Until::Offset),
        ("timestamp", Some(ms)) => ms.parse().map(Until::Timestamp).map_err(|_| String::new()),
        ("time", Some(time)) => rfc3339(time).map(Until::Timestamp),
        _ => Err(String::new()),
    }
    .map_err(|why| joined(&why, wrong))
}

/// Where to reset a group to: `earliest`, `latest`, `offset:N`, `timestamp:MS`, `time:RFC3339`,
/// `shift:N` (so many offsets on, or back).
///
/// # Errors
/// What it could be, in words.
///
/// ```
/// use kaffic_bindings::settings::reset;
/// assert_eq!(reset("shift:-3"), Ok(kaffic_core::ResetTo::Shift(-3)));
/// ```
pub fn reset(text: &str) -> Read<ResetTo> {
    let wrong = "write earliest, latest, offset:N, timestamp:MS, time:RFC3339 or shift:N";
    match parts(text) {
        ("earliest", None) => Ok(ResetTo::Earliest),
        ("latest", None) => Ok(ResetTo::Latest),
        ("offset", Some(offset)) => count(offset).map(ResetTo::Offset),
        ("timestamp", Some(ms)) => ms.parse().map(ResetTo::Timestamp).map_err(|_| String::new()),
        ("time", Some(time)) => rfc3339(time).map(ResetTo::Timestamp),
        ("shift", Some(by)) => by.parse().map(ResetTo::Shift).map_err(|_| String::new()),
        _ => Err(String::new()),
    }
    .map_err(|why| joined(&why, wrong))
}

fn joined(why: &str, wrong: &str) -> String {
    if why.is_empty() { wrong.to_owned() } else { format!("{why}; {wrong}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(size::<u64>("64KiB"), Ok(65536));
        assert_eq!(size::<u64>("2 MB"), Ok(2_000_000));
        assert_eq!(size::<u64>("0"), Ok(0));
        for wrong in ["", "KiB", "-1", "1.5MiB", "20000000TiB", "5 ms"] {
            assert!(size::<u64>(wrong).is_err(), "{wrong}");
        }
        assert!(size::<u32>("4GiB").is_err());
    }

    #[test]
    fn places() {
        assert_eq!(start("timestamp:-5"), Ok(Start::Timestamp(-5)));
        assert_eq!(start("time:1970-01-01T00:00:01Z"), Ok(Start::Timestamp(1000)));
        assert_eq!(until("time:1970-01-01T00:00:00.0001Z"), Ok(Until::Timestamp(1)));
        assert_eq!(start("last:10"), Ok(Start::Last(10)));
        assert_eq!(reset("offset:0"), Ok(ResetTo::Offset(0)));
        for wrong in ["", "earliest:1", "offset:", "offset:-1", "timestamp:x", "last:-1", "forever"]
        {
            assert!(start(wrong).is_err(), "{wrong}");
        }
    }
}
