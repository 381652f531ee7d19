//! Where a read starts and where it ends, as written on the command line.

use crate::units;
use kaffic_core::{ResetTo, Start, Until};

/// The argument of `--from`.
pub(crate) fn start(text: &str) -> Result<Start, String> {
    match text.split_once(':') {
        None if text == "earliest" => Ok(Start::Earliest),
        None if text == "latest" => Ok(Start::Latest),
        Some(("offset", offset)) => parse_offset(offset).map(Start::Offset),
        Some(("time", time)) => units::rfc3339(time).map(Start::Timestamp),
        Some(("last", count)) => count
            .parse()
            .map(Start::Last)
            .map_err(|_| format!("{count:?} is not a number of records")),
        _ => Err("write earliest, latest, offset:N, time:RFC3339 or last:N".to_owned()),
    }
}

/// The argument of `--until`.
pub(crate) fn until(text: &str) -> Result<Until, String> {
    match text.split_once(':') {
        None if text == "latest" => Ok(Until::Latest),
        Some(("offset", offset)) => parse_offset(offset).map(Until::Offset),
        Some(("time", time)) => units::rfc3339(time).map(Until::Timestamp),
        _ => Err("write latest, offset:N or time:RFC3339".to_owned()),
    }
}

/// The argument of `--to`.
pub(crate) fn reset(text: &str) -> Result<ResetTo, String> {
    match text.split_once(':') {
        None if text == "earliest" => Ok(ResetTo::Earliest),
        None if text == "latest" => Ok(ResetTo::Latest),
        Some(("offset", offset)) => parse_offset(offset).map(ResetTo::Offset),
        Some(("time", time)) => units::rfc3339(time).map(ResetTo::Timestamp),
        Some(("shift", by)) => {
            by.parse().map(ResetTo::Shift).map_err(|_| format!("{by:?} is not a number of offsets"))
        }
        _ => Err("write earliest, latest, offset:N, time:RFC3339 or shift:N".to_owned()),
    }
}

fn parse_offset(text: &str) -> Result<i64, String> {
    match text.parse() {
        Ok(offset) if offset >= 0 => Ok(offset),
        _ => Err(format!("{text:?} is not an offset")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts() {
        assert_eq!(start("earliest"), Ok(Start::Earliest));
        assert_eq!(start("latest"), Ok(Start::Latest));
        assert_eq!(start("offset:42"), Ok(Start::Offset(42)));
        assert_eq!(start("last:10"), Ok(Start::Last(10)));
        assert_eq!(start("time:1970-01-01T00:00:01Z"), Ok(Start::Timestamp(1000)));
        for bad in ["", "first", "offset", "offset:-1", "offset:x", "last:-1", "time:noon"] {
            assert!(start(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn resets() {
        assert_eq!(reset("latest"), Ok(ResetTo::Latest));
        assert_eq!(reset("shift:-100"), Ok(ResetTo::Shift(-100)));
        assert_eq!(reset("offset:42"), Ok(ResetTo::Offset(42)));
        assert_eq!(reset("time:1970-01-01T00:00:01Z"), Ok(ResetTo::Timestamp(1000)));
        for bad in ["", "first", "last:10", "offset:-1", "shift:x"] {
            assert!(reset(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn ends() {
        assert_eq!(until("latest"), Ok(Until::Latest));
        assert_eq!(until("offset:42"), Ok(Until::Offset(42)));
        assert_eq!(until("time:1970-01-01T00:00:01Z"), Ok(Until::Timestamp(1000)));
        for bad in ["", "earliest", "last:1", "offset:-1"] {
            assert!(until(bad).is_err(), "{bad}");
        }
    }
}
