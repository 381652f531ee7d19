//! Failures as Ruby's exceptions, which lib/kaffic/errors.rb makes from a status and what is known.

use kaffic_bindings::Failure;
use magnus::prelude::*;
use magnus::{Error, Exception, RClass, RModule, Ruby, Value};

/// Kaffic::Error.
fn error_class(ruby: &Ruby) -> Result<RClass, Error> {
    ruby.class_object().const_get::<_, RModule>("Kaffic")?.const_get("Error")
}

/// The exception of a failure.
pub(crate) fn raise(ruby: &Ruby, failure: Failure) -> Error {
    let name = failure.status.name();
    let Failure { message, retriable, outcome_unknown, earliest, tail, .. } = failure;
    let known = (name, message, retriable, outcome_unknown, earliest, tail);
    let made = error_class(ruby).and_then(|class| class.funcall::<_, _, Exception>("of", known));
    made.map_or_else(|error| error, Error::from)
}

/// An ArgumentError.
pub(crate) fn argument(ruby: &Ruby, message: impl Into<String>) -> Error {
    Error::new(ruby.exception_arg_error(), message.into())
}

/// Results as Ruby has them.
pub(crate) trait Raises<T> {
    /// The value, or the exception to be raised.
    fn raises(self, ruby: &Ruby) -> Result<T, Error>;
}

impl<T, E: Into<Failure>> Raises<T> for Result<T, E> {
    fn raises(self, ruby: &Ruby) -> Result<T, Error> {
        self.map_err(|failure| raise(ruby, failure.into()))
    }
}

/// Every status: its name, number, meaning, and whether the same call may succeed later.
pub(crate) fn statuses(ruby: &Ruby) -> Result<Value, Error> {
    let all = kaffic_bindings::Status::ALL.iter();
    let told = all.map(|s| (s.name(), s.code(), s.meaning(), s.is_retriable()));
    Ok(ruby.ary_from_iter(told).as_value())
}
