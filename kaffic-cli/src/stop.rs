//! Why a command ended before its time: the message on standard error, the hint of what to do
//! about it, and the exit code.

use kaffic_core::{Error, ErrorKind};
use std::io::Write;
use std::process::ExitCode;

/// The reason a command did not end well (or, for [`Stop::OutputClosed`], ended early).
#[derive(Debug)]
pub(crate) enum Stop {
    /// The library said no; with what was being done, where the message alone would not say it.
    Core { context: Option<String>, error: Error },
    /// Something else failed.
    Failed(String),
    /// The call was wrong in a way that the argument parser could not see.
    Usage(String),
    /// SIGINT or SIGTERM; with what had been done by then.
    Interrupted(Option<String>),
    /// Nobody reads the output any more, as after `| head`. Not a failure.
    OutputClosed,
}

impl Stop {
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::Failed(message.into())
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::Usage(message.into())
    }

    /// Says on standard error what happened and returns the exit code.
    pub(crate) fn report(self) -> ExitCode {
        match self {
            Self::Core { context, error } => {
                let usage = error.kind() == ErrorKind::InvalidArgument;
                let context = context.map(|context| context + ": ").unwrap_or_default();
                say(&format!("{context}{error}"));
                if let Some(hint) = hint(&error) {
                    tell(&format!("  hint: {hint}"));
                }
                ExitCode::from(if usage { 2 } else { 1 })
            }
            Self::Failed(message) => {
                say(&message);
                ExitCode::from(1)
            }
            Self::Usage(message) => {
                say(&message);
                tell("  hint: `kaffic help` and `kaffic help COMMAND` show how to call it");
                ExitCode::from(2)
            }
            Self::Interrupted(message) => {
                if let Some(message) = message {
                    say(&message);
                }
                ExitCode::from(130)
            }
            Self::OutputClosed => ExitCode::SUCCESS,
        }
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Core { context: None, error }
    }
}

/// A message of the command's own on standard error, in the manner of all its messages.
pub(crate) fn say(message: &str) {
    tell(&format!("kaffic: {message}"));
}

/// A line on standard error; a closed one is no reason to fail.
fn tell(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// What the user can do, where the kind of error says it.
fn hint(error: &Error) -> Option<String> {
    let hint = match error.kind() {
        ErrorKind::TopicNotFound => {
            "`kaffic topic list` shows what is there, `kaffic topic create NAME` makes a topic \
             (or `kaffic produce NAME --create-partitions N`)"
        }
        ErrorKind::TopicExists => "use it as it is, or `kaffic topic delete NAME` first",
        ErrorKind::OffsetOutOfRange => {
            let range = match error.offset_range() {
                Some((earliest, tail)) => format!("offsets {earliest} to {tail} remain: "),
                None => String::new(),
            };
            return Some(format!("{range}use --from earliest, or --on-expired earliest"));
        }
        ErrorKind::Fenced => "a newer producer of that name is at work; this one must stay stopped",
        ErrorKind::Timeout | ErrorKind::Unavailable => {
            "the storage is slow or out of reach; try again, and check the URL and the network"
        }
        ErrorKind::RecordTooLarge => "split the line, or keep the payload elsewhere",
        ErrorKind::Denied => "check the credentials and the access rules of the store",
        ErrorKind::UnsafeStore => "use a store that honours conditional puts",
        ErrorKind::ClockSkew => "set this machine's clock (NTP) and try again",
        ErrorKind::Corrupt => "`kaffic verify TOPIC` reads everything and lists what is damaged",
        ErrorKind::Unsupported => "upgrade kaffic: newer writers use this store",
        ErrorKind::Internal => "this is a defect in kaffic; please report it with this message",
        _ => return None,
    };
    Some(hint.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_that_can_be_mended_have_a_hint() {
        let hint = hint(&Error::new(ErrorKind::TopicNotFound, "no topic x")).unwrap();
        assert!(hint.contains("topic create"), "{hint}");
        assert_eq!(super::hint(&Error::invalid("bad")), None);
    }

    #[test]
    fn exit_codes_are_as_documented() {
        let code = |stop: Stop| format!("{:?}", stop.report());
        assert_eq!(code(Error::invalid("x").into()), format!("{:?}", ExitCode::from(2)));
        assert_eq!(
            code(Error::new(ErrorKind::Corrupt, "x").into()),
            format!("{:?}", ExitCode::from(1))
        );
        assert_eq!(code(Stop::usage("x")), format!("{:?}", ExitCode::from(2)));
        assert_eq!(code(Stop::Interrupted(None)), format!("{:?}", ExitCode::from(130)));
        assert_eq!(code(Stop::OutputClosed), format!("{:?}", ExitCode::SUCCESS));
    }
}
