//! Durations, sizes, rates and times as people write them, and back.

use chrono::{DateTime, SecondsFormat, Utc};
use kaffic_core::env::{Env, SystemEnv};
use kaffic_core::{Compression, MinExpiry};
use std::time::Duration;

/// The library's time for a delivery, lingering included.
const MAX_LINGER: Duration = Duration::from_secs(120);

/// `24h`, `90s`, `500ms`, `1h 30m`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .map_err(|error| format!("{error}; write it like 24h, 90s or 500ms"))
}

/// A duration, or `never`.
pub(crate) fn min_expiry(text: &str) -> Result<MinExpiry, String> {
    if text == "never" {
        return Ok(MinExpiry::Never);
    }
    duration(text).map(MinExpiry::After)
}

/// `4096`, `64KiB`, `1.5MiB`, `10MB`: units of 1024 with an i, of 1000 without.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let (number, unit) = split_unit(text);
    let factor = byte_factor(unit)
        .ok_or_else(|| format!("unknown unit {unit:?}; write it like 4096, 64KiB or 1MiB"))?;
    scaled(number, factor).ok_or_else(|| format!("{number:?} is not a number of bytes"))
}

/// A value, or the word `default` for none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OrDefault<T>(pub(crate) Option<T>);

/// Takes `default` beside what `parse` takes.
pub(crate) fn or_default<T>(
    parse: impl Fn(&str) -> Result<T, String> + Clone,
) -> impl Fn(&str) -> Result<OrDefault<T>, String> + Clone {
    move |text| match text {
        "default" => Ok(OrDefault(None)),
        text => parse(text).map(|value| OrDefault(Some(value))),
    }
}

/// A codec by name.
pub(crate) fn codec(text: &str) -> Result<Compression, String> {
    text.parse().map_err(|error: kaffic_core::Error| error.to_string())
}

/// The size of a batch; the library has the same bounds.
pub(crate) fn batch_bytes(text: &str) -> Result<usize, String> {
    match size(text)? {
        bytes @ 0x400..=0x200_0000 => Ok(bytes as usize),
        _ => Err("a batch has 1KiB to 32MiB".to_owned()),
    }
}

/// A count or an index: digits.
pub(crate) fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| "write a number from 0 on".to_owned())
}

/// How long a batch lingers: less than its delivery may take.
pub(crate) fn linger(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        linger if linger <= MAX_LINGER => Ok(linger),
        _ => Err(format!("{} s at most", MAX_LINGER.as_secs())),
    }
}

/// How fast a load runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Rate {
    /// Records a second.
    Records(f64),
    /// Bytes of values a second.
    Bytes(f64),
}

impl Rate {
    /// `5000/s` is records, `10MiB/s` is bytes; the `/s` may be left out.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (number, unit) = split_unit(text.strip_suffix("/s").unwrap_or(text));
        let value: f64 = number.parse().map_err(|_| format!("{number:?} is not a number"))?;
        if !value.is_finite() || value <= 0.0 {
            return Err("the rate must be greater than 0".to_owned());
        }
        match unit {
            "" | "records" => Ok(Self::Records(value)),
            _ => byte_factor(unit)
                .map(|factor| Self::Bytes(value * factor as f64))
                .ok_or_else(|| format!("unknown unit {unit:?}; write it like 5000/s or 10MiB/s")),
        }
    }

    /// Records a second, where each has `size` bytes.
    pub(crate) fn records_per_second(self, size: u64) -> f64 {
        match self {
            Self::Records(rate) => rate,
            Self::Bytes(rate) => rate / size as f64,
        }
    }
}

/// An RFC 3339 time as the first Unix millisecond that is not before it.
pub(crate) fn rfc3339(text: &str) -> Result<i64, String> {
    let time = DateTime::parse_from_rfc3339(text)
        .map_err(|error| format!("{error}; write it like 2026-01-31T12:00:00Z"))?;
    let cut = i64::from(time.timestamp_subsec_nanos() % 1_000_000 != 0);
    Ok(time.timestamp_millis() + cut)
}

/// An RFC 3339 time, or that long ago, as a Unix millisecond.
pub(crate) fn time_or_age(text: &str) -> Result<i64, String> {
    match (rfc3339(text), duration(text)) {
        (Ok(time), _) => Ok(time),
        (_, Ok(age)) => {
            let now = SystemEnv::new().now_ms();
            Ok(now.saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX)))
        }
        _ => Err("write it like 2026-01-31T12:00:00Z, or 30d for that long ago".to_owned()),
    }
}

/// A Unix millisecond as an RFC 3339 time; the bare number where no calendar reaches.
pub(crate) fn show_time(unix_ms: i64) -> String {
    match DateTime::<Utc>::from_timestamp_millis(unix_ms) {
        Some(time) => time.to_rfc3339_opts(SecondsFormat::Millis, true),
        None => unix_ms.to_string(),
    }
}

/// A min-expiry in the unit it was most likely given in.
pub(crate) fn show_min_expiry(min_expiry: MinExpiry) -> String {
    let MinExpiry::After(age) = min_expiry else { return "never".to_owned() };
    let ms = age.as_millis();
    match ms {
        _ if ms % 3_600_000 == 0 => format!("{}h", ms / 3_600_000),
        _ if ms % 60_000 == 0 => format!("{}m", ms / 60_000),
        _ if ms % 1000 == 0 => format!("{}s", ms / 1000),
        _ => format!("{ms}ms"),
    }
}

fn split_unit(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    (&text[..end], text[end..].trim_start())
}

fn byte_factor(unit: &str) -> Option<u64> {
    Some(match unit {
        "" | "B" => 1,
        "kB" | "KB" => 1000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    })
}

fn scaled(number: &str, factor: u64) -> Option<u64> {
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(factor);
    }
    let bytes = number.parse::<f64>().ok()? * factor as f64;
    (bytes < u64::MAX as f64).then_some(bytes.round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        assert_eq!(duration("24h"), Ok(Duration::from_secs(86400)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("0"), Ok(Duration::ZERO));
        assert!(duration("24").unwrap_err().contains("24h"));
        assert_eq!(min_expiry("never"), Ok(MinExpiry::Never));
        assert_eq!(min_expiry("90s"), Ok(MinExpiry::After(Duration::from_secs(90))));
        assert!(min_expiry("soon").is_err());
        assert_eq!(linger("2m"), Ok(MAX_LINGER));
        assert_eq!(linger("121s"), Err("120 s at most".to_owned()));
    }

    #[test]
    fn numbers() {
        assert_eq!(number("7"), Ok(7_u32));
        for bad in ["", "-1", "x", "1.5", "4294967296"] {
            assert!(number::<u32>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes() {
        assert_eq!(size("0"), Ok(0));
        assert_eq!(size("4096"), Ok(4096));
        assert_eq!(size("64KiB"), Ok(65536));
        assert_eq!(size("1 MiB"), Ok(1 << 20));
        assert_eq!(size("1.5MiB"), Ok(3 << 19));
        assert_eq!(size("10MB"), Ok(10_000_000));
        assert_eq!(size("100B"), Ok(100));
        for bad in ["", "x", "-1", "1 XB", "1.2.3", "99999999999GiB"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn rates() {
        assert_eq!(Rate::parse("5000/s"), Ok(Rate::Records(5000.0)));
        assert_eq!(Rate::parse("5000"), Ok(Rate::Records(5000.0)));
        assert_eq!(Rate::parse("1MiB/s"), Ok(Rate::Bytes(1048576.0)));
        assert_eq!(Rate::parse("1MiB/s").unwrap().records_per_second(1024), 1024.0);
        for bad in ["", "0/s", "fast", "1 furlong/s"] {
            assert!(Rate::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn times() {
        assert_eq!(rfc3339("1970-01-01T00:00:01Z"), Ok(1000));
        assert_eq!(rfc3339("1970-01-01T01:00:01.5+01:00"), Ok(1500));
        // A record of millisecond 1500 is before this time, one of 1501 is not.
        assert_eq!(rfc3339("1970-01-01T00:00:01.5004Z"), Ok(1501));
        assert!(rfc3339("yesterday").is_err());
        assert_eq!(show_time(1500), "1970-01-01T00:00:01.500Z");
        assert_eq!(show_time(i64::MAX), i64::MAX.to_string());
    }

    #[test]
    fn min_expiries_are_shown_as_given() {
        for text in ["24h", "90m", "90s", "1500ms", "never"] {
            assert_eq!(show_min_expiry(min_expiry(text).unwrap()), text);
        }
    }
}
