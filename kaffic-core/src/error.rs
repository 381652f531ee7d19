//! The one error type of the library: what happened, to which object or topic, whether trying
//! again can help, and whether anything may have been written.

use std::fmt;

/// The result of every fallible call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What a failed call means for the caller. Each kind says what to do about it.
///
/// ```
/// use kaffic_core::ErrorKind;
/// assert!(ErrorKind::Unavailable.is_retriable());
/// assert!(!ErrorKind::InvalidArgument.is_retriable());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A name, number, URL or setting is not acceptable. Correct the call.
    InvalidArgument,
    /// The topic does not exist, or was deleted. Create it, or correct its name.
    TopicNotFound,
    /// A topic of that name exists already. Use it, or delete it first.
    TopicExists,
    /// The asked-for offset has expired or does not exist yet; [`Error::offset_range`] has what
    /// remains. Seek into that range.
    OffsetOutOfRange,
    /// An append with an expected offset met another tail; [`Error::tail`] has it. Read up to it
    /// and decide anew.
    ConditionFailed,
    /// Another has taken over: a newer instance of the same named producer, or the present owner of
    /// a group's partition. Stop writing for it; a group's consumer goes on with what it has.
    Fenced,
    /// The group does not exist, or was deleted. Correct its name, or join it.
    GroupNotFound,
    /// The group has members, and only they may change its offsets. Stop them first.
    GroupNotEmpty,
    /// The client, producer or consumer was closed. Make a new one.
    Closed,
    /// The time allowed for the call has run out. [`Error::outcome`] says what is known.
    Timeout,
    /// The producer's buffer is full and it was told not to wait. Try again later.
    QueueFull,
    /// A record is larger than the limit. Make it smaller or raise the limit.
    RecordTooLarge,
    /// The storage did not answer, or not usefully. Trying again can help.
    Unavailable,
    /// The storage refused: credentials or permissions. Mend them.
    Denied,
    /// The storage does not keep the contract that kaffic rests on (it ignored a conditional
    /// put, say), so it must not be used.
    UnsafeStore,
    /// This machine's clock and the storage's stamps disagree too far. Set the clock.
    ClockSkew,
    /// Stored bytes are damaged, foreign or altered; the message names the object.
    Corrupt,
    /// Stored data was written by a newer version in a way that this one can't read. Upgrade.
    Unsupported,
    /// A defect in kaffic. Please report it with the message.
    Internal,
}

impl ErrorKind {
    /// Whether the same call may succeed later without anything being changed.
    pub fn is_retriable(self) -> bool {
        matches!(self, Self::Timeout | Self::QueueFull | Self::Unavailable)
    }
}

/// What is known of a failed write.
///
/// ```
/// let error = kaffic_core::Error::invalid("topic name is empty");
/// assert_eq!(error.outcome(), kaffic_core::Outcome::NotWritten);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Nothing of the call was written, and nothing of it will appear later.
    NotWritten,
    /// It can't be known: the records may be in the log, once, or appear in it later, or not.
    Unknown,
}

/// An error: its kind, a message that names the object or topic, and what is known of the write.
///
/// Cheap to clone, so one failed batch can tell every record that was in it.
///
/// ```
/// use kaffic_core::{Error, ErrorKind};
/// let error = Error::invalid("partition 7 of topic orders does not exist: it has 3");
/// assert_eq!(error.kind(), ErrorKind::InvalidArgument);
/// assert!(!error.is_retriable());
/// assert!(error.to_string().contains("orders"));
/// ```
#[derive(Clone)]
pub struct Error(std::sync::Arc<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    outcome: Outcome,
    message: String,
    range: Option<(i64, i64)>,
    source: Option<std::sync::Arc<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of `kind` with a message that says what happened and to what.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(std::sync::Arc::new(Inner {
            kind,
            outcome: Outcome::NotWritten,
            message: message.into(),
            range: None,
            source: None,
        }))
    }

    /// An [`ErrorKind::InvalidArgument`].
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidArgument, message)
    }

    pub(crate) fn corrupt(object: &str, what: impl fmt::Display) -> Self {
        Self::new(ErrorKind::Corrupt, format!("{object}: {what}"))
    }

    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    fn with(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        change(std::sync::Arc::make_mut(&mut self.0));
        self
    }

    pub(crate) fn with_unknown_outcome(self) -> Self {
        self.with(|inner| inner.outcome = Outcome::Unknown)
    }

    pub(crate) fn with_range(self, first: i64, tail: i64) -> Self {
        self.with(|inner| inner.range = Some((first, tail)))
    }

    pub(crate) fn with_source(
        self,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> Self {
        self.with(|inner| inner.source = Some(std::sync::Arc::new(source)))
    }

    /// What the error means for the caller.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What is known of the write that failed; [`Outcome::NotWritten`] for everything else.
    pub fn outcome(&self) -> Outcome {
        self.0.outcome
    }

    /// Whether the same call may succeed later without anything being changed.
    pub fn is_retriable(&self) -> bool {
        self.kind().is_retriable()
    }

    /// For [`ErrorKind::OffsetOutOfRange`]: the first offset that is there behind the wanted one
    /// (the earliest of all, for one beyond the tail), and the tail.
    pub fn offset_range(&self) -> Option<(i64, i64)> {
        match self.kind() {
            ErrorKind::OffsetOutOfRange => self.0.range,
            _ => None,
        }
    }

    /// For [`ErrorKind::ConditionFailed`] and [`ErrorKind::OffsetOutOfRange`]: the offset that
    /// the next record will get.
    pub fn tail(&self) -> Option<i64> {
        self.0.range.map(|(_, tail)| tail)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        if self.0.outcome == Outcome::Unknown {
            f.write_str(" (whether it was written is unknown)")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("outcome", &self.0.outcome)
            .field("message", &self.0.message)
            .field("source", &self.0.source)
            .finish()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}
