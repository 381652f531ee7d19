//! Where a read starts, written as the command does: `earliest`, `latest`, `offset:42`,
//! `time:2026-01-31T12:00:00Z` (or Unix milliseconds), `last:10`.

use crate::problem::{Problem, Result};
use chrono::DateTime;
use kaffic_core::{ResetTo, Start};

/// The parameter `from`.
pub(crate) fn start(text: &str) -> Result<Start> {
    let wrong = || {
        Problem::invalid(format!(
            "from={text}: write earliest, latest, offset:N, last:N or time:RFC3339 (in UTC)"
        ))
    };
    match text.split_once(':') {
        None if text == "earliest" => Ok(Start::Earliest),
        None if text == "latest" => Ok(Start::Latest),
        Some(("offset", offset)) => natural(offset).map(Start::Offset).ok_or_else(wrong),
        Some(("time", at)) => time(at).map(Start::Timestamp).ok_or_else(wrong),
        Some(("last", count)) => count.parse().map(Start::Last).map_err(|_| wrong()),
        _ => Err(wrong()),
    }
}

/// Where a group's offsets are set to.
pub(crate) fn reset(text: &str) -> Result<ResetTo> {
    let wrong = || {
        Problem::invalid(format!(
            "to {text:?}: write earliest, latest, offset:N, shift:N or time:RFC3339 (in UTC)"
        ))
    };
    if let Some(by) = text.strip_prefix("shift:") {
        return by.parse().map(ResetTo::Shift).map_err(|_| wrong());
    }
    match start(text).map_err(|_| wrong())? {
        Start::Earliest => Ok(ResetTo::Earliest),
        Start::Latest => Ok(ResetTo::Latest),
        Start::Offset(offset) => Ok(ResetTo::Offset(offset)),
        Start::Timestamp(at) => Ok(ResetTo::Timestamp(at)),
        Start::Last(_) => Err(wrong()),
    }
}

/// RFC 3339 or Unix milliseconds, as the first Unix millisecond that is not before it.
pub(crate) fn time(text: &str) -> Option<i64> {
    if let Ok(unix_ms) = text.parse() {
        return Some(unix_ms);
    }
    let time = DateTime::parse_from_rfc3339(text).ok()?;
    let cut = i64::from(time.timestamp_subsec_nanos() % 1_000_000 != 0);
    Some(time.timestamp_millis() + cut)
}

fn natural(text: &str) -> Option<i64> {
    text.parse().ok().filter(|number| *number >= 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_are_read() {
        assert_eq!(start("earliest").unwrap(), Start::Earliest);
        assert_eq!(start("offset:42").unwrap(), Start::Offset(42));
        assert_eq!(start("last:3").unwrap(), Start::Last(3));
        assert_eq!(start("time:1000").unwrap(), Start::Timestamp(1000));
        assert_eq!(start("time:1970-01-01T00:00:01.0001Z").unwrap(), Start::Timestamp(1001));
        for bad in ["", "offset:-1", "offset:", "last:-1", "time:x", "shift:1", "Earliest"] {
            start(bad).unwrap_err();
        }
        assert_eq!(reset("shift:-5").unwrap(), ResetTo::Shift(-5));
        reset("last:1").unwrap_err();
    }
}
