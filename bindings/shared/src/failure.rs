//! Failures as languages tell them: a status with a number and a name, and what is known besides.

use kaffic_core::{Error, ErrorKind, Outcome};
use std::fmt;

/// The result of calls.
pub type Result<T, E = Failure> = std::result::Result<T, E>;

macro_rules! statuses {
    ($($(#[doc = $doc:literal])* $variant:ident = $code:literal, $name:literal;)*) => {
        /// What came of a call. The numbers are part of the C interface: none is ever used again for
        /// something else.
        ///
        /// ```
        /// use kaffic_bindings::Status;
        /// assert_eq!(Status::Fenced.code(), 44);
        /// assert_eq!(Status::from_code(44), Some(Status::Fenced));
        /// assert_eq!(Status::Fenced.name(), "FENCED");
        /// ```
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Status {
            $($(#[doc = $doc])* $variant = $code,)*
        }

        impl Status {
            /// All of them, in the order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Its name.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// What it means, in a sentence or two.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),*),)* }
            }
        }
    };
}

statuses! {
    /// Done.
    Ok = 0, "OK";
    /// An argument is null that must not be.
    NullArgument = 1, "NULL_ARGUMENT";
    /// A text is not UTF-8.
    InvalidUtf8 = 2, "INVALID_UTF8";
    /// A name, number, URL or value is not acceptable. Correct the call.
    InvalidArgument = 3, "INVALID_ARGUMENT";
    /// There is no setting of that name. Correct the name.
    UnknownSetting = 4, "UNKNOWN_SETTING";
    /// The client, producer or consumer was closed. Make a new one.
    Closed = 5, "CLOSED";
    /// The process was forked since the handle was made. Make a new one in the child.
    Forked = 6, "FORKED";
    /// The call would wait, and was made from within a callback. Make it after the callback.
    InCallback = 7, "IN_CALLBACK";
    /// The time allowed for the call has run out. It may be tried again.
    TimedOut = 20, "TIMED_OUT";
    /// The producer's buffer is full, or too many deliveries wait to be polled. Try again later.
    QueueFull = 21, "QUEUE_FULL";
    /// The wait was ended by a wake-up from elsewhere.
    Interrupted = 22, "INTERRUPTED";
    /// The topic does not exist, or was deleted. Create it, or correct its name.
    TopicNotFound = 40, "TOPIC_NOT_FOUND";
    /// A topic of that name exists already. Use it, or delete it first.
    TopicExists = 41, "TOPIC_EXISTS";
    /// The offset has expired or does not exist yet; the failure has what remains. Seek into that.
    OffsetOutOfRange = 42, "OFFSET_OUT_OF_RANGE";
    /// An append with an expected offset met another tail; the failure has it. Decide anew.
    ConditionFailed = 43, "CONDITION_FAILED";
    /// Another has taken over: a newer producer of the name, or the partition's present owner.
    Fenced = 44, "FENCED";
    /// The group does not exist, or was deleted. Correct its name, or join it.
    GroupNotFound = 45, "GROUP_NOT_FOUND";
    /// The group has members, and only they may change its offsets. Stop them first.
    GroupNotEmpty = 46, "GROUP_NOT_EMPTY";
    /// The storage did not answer, or not usefully. Trying again can help.
    Unavailable = 60, "UNAVAILABLE";
    /// The storage refused: credentials or permissions. Mend them.
    Denied = 61, "DENIED";
    /// The storage does not keep the contract that kaffic rests on, so it must not be used.
    UnsafeStore = 62, "UNSAFE_STORE";
    /// This machine's clock and the storage's stamps disagree too far. Set the clock.
    ClockSkew = 63, "CLOCK_SKEW";
    /// Stored bytes are damaged, foreign or altered; the message names the object.
    Corrupt = 80, "CORRUPT";
    /// Stored data was written by a newer version in a way that this one can't read. Upgrade.
    Unsupported = 81, "UNSUPPORTED";
    /// A record is larger than the limit. Make it smaller or raise the limit.
    RecordTooLarge = 82, "RECORD_TOO_LARGE";
    /// A defect in kaffic. Please report it with the message.
    Internal = 90, "INTERNAL";
    /// A defect in kaffic, caught at the border. Please report it with the message.
    Panic = 91, "PANIC";
}

impl Status {
    /// Its number.
    pub const fn code(self) -> i32 {
        self as i32
    }

    /// The status with this number.
    pub fn from_code(code: i32) -> Option<Self> {
        Self::ALL.iter().copied().find(|status| status.code() == code)
    }

    /// Whether the same call may succeed later without anything being changed.
    pub const fn is_retriable(self) -> bool {
        matches!(self, Self::TimedOut | Self::QueueFull | Self::Interrupted | Self::Unavailable)
    }
}

impl From<ErrorKind> for Status {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::InvalidArgument => Self::InvalidArgument,
            ErrorKind::TopicNotFound => Self::TopicNotFound,
            ErrorKind::TopicExists => Self::TopicExists,
            ErrorKind::OffsetOutOfRange => Self::OffsetOutOfRange,
            ErrorKind::ConditionFailed => Self::ConditionFailed,
            ErrorKind::Fenced => Self::Fenced,
            ErrorKind::GroupNotFound => Self::GroupNotFound,
            ErrorKind::GroupNotEmpty => Self::GroupNotEmpty,
            ErrorKind::Closed => Self::Closed,
            ErrorKind::Timeout => Self::TimedOut,
            ErrorKind::QueueFull => Self::QueueFull,
            ErrorKind::RecordTooLarge => Self::RecordTooLarge,
            ErrorKind::Unavailable => Self::Unavailable,
            ErrorKind::Denied => Self::Denied,
            ErrorKind::UnsafeStore => Self::UnsafeStore,
            ErrorKind::ClockSkew => Self::ClockSkew,
            ErrorKind::Corrupt => Self::Corrupt,
            ErrorKind::Unsupported => Self::Unsupported,
            _ => Self::Internal,
        }
    }
}

/// A failed call: a status, a message that names what it is about, and what is known besides.
///
/// ```
/// use kaffic_bindings::{Failure, Status};
/// let failure = Failure::from(kaffic_core::Error::invalid("a name is empty"));
/// assert_eq!((failure.status, failure.retriable), (Status::InvalidArgument, false));
/// assert_eq!(failure.to_string(), "a name is empty");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What kind of failure it is.
    pub status: Status,
    /// What happened, to which topic or object, and what to do.
    pub message: String,
    /// The same call may succeed later without anything being changed.
    pub retriable: bool,
    /// It can't be known whether the records were written. Without this they were not.
    pub outcome_unknown: bool,
    /// For `OffsetOutOfRange`: the first offset that is there behind the wanted one.
    pub earliest: Option<i64>,
    /// For `OffsetOutOfRange` and `ConditionFailed`: the offset that the next record will get.
    pub tail: Option<i64>,
}

impl Failure {
    /// A failure that is no error of the core's.
    pub fn new(status: Status, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            retriable: status.is_retriable(),
            outcome_unknown: false,
            earliest: None,
            tail: None,
        }
    }

    /// A [`Status::InvalidArgument`].
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Status::InvalidArgument, message)
    }

    /// The same, of an outcome that can't be known.
    #[must_use]
    pub fn with_unknown_outcome(mut self) -> Self {
        self.outcome_unknown = true;
        self
    }

    /// The failure of which a panic is the cause.
    pub fn of_panic(panic: &(dyn std::any::Any + Send)) -> Self {
        let said = panic
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("no message");
        Self::new(Status::Panic, format!("a defect in kaffic: it panicked: {said}"))
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self {
            status: error.kind().into(),
            message: error.to_string(),
            retriable: error.is_retriable(),
            outcome_unknown: error.outcome() == Outcome::Unknown,
            earliest: error.offset_range().map(|(first, _)| first),
            tail: error.tail(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn numbers_and_names_are_each_used_once() {
        let codes: HashSet<i32> = Status::ALL.iter().map(|status| status.code()).collect();
        let names: HashSet<&str> = Status::ALL.iter().map(|status| status.name()).collect();
        assert_eq!((codes.len(), names.len()), (Status::ALL.len(), Status::ALL.len()));
        assert!(Status::ALL.is_sorted_by_key(|status| status.code()));
        assert_eq!(Status::from_code(-1), None);
    }

    #[test]
    fn every_kind_of_the_core_has_a_status_of_its_own() {
        use ErrorKind::*;
        let kinds = [
            InvalidArgument,
            TopicNotFound,
            TopicExists,
            OffsetOutOfRange,
            ConditionFailed,
            Fenced,
            GroupNotFound,
            GroupNotEmpty,
            Closed,
            Timeout,
            QueueFull,
            RecordTooLarge,
            Unavailable,
            Denied,
            UnsafeStore,
            ClockSkew,
            Corrupt,
            Unsupported,
            Internal,
        ];
        let statuses: HashSet<Status> = kinds.into_iter().map(Status::from).collect();
        assert_eq!(statuses.len(), kinds.len());
        for kind in kinds {
            assert_eq!(Status::from(kind).is_retriable(), kind.is_retriable(), "{kind:?}");
        }
    }

    #[test]
    fn a_panic_is_told_with_its_message() {
        let panic = std::panic::catch_unwind(|| panic!("number {}", 7)).unwrap_err();
        let failure = Failure::of_panic(&*panic);
        assert_eq!(failure.status, Status::Panic);
        assert!(failure.message.contains("number 7"), "{failure}");
    }
}
