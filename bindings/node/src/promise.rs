//! Work on the process's runtime as a promise, and failures as errors that `lib/errors.js` reads.

use futures_util::FutureExt;
use kaffic_bindings::{Failure, process};
use napi::bindgen_prelude::{Object, ToNapiValue};
use napi::{Env, Status};
use serde_json::json;
use std::future::Future;
use std::panic::AssertUnwindSafe;

/// A failure as it is thrown: its message is all that is known of it, as JSON.
pub(crate) fn thrown(failure: impl Into<Failure>) -> napi::Error {
    let failure = failure.into();
    let known = json!({
        "status": failure.status.name(),
        "message": failure.message,
        "retriable": failure.retriable,
        "outcomeUnknown": failure.outcome_unknown,
        // As text: numbers of 64 bits do not fit into JavaScript's.
        "earliest": failure.earliest.map(|offset| offset.to_string()),
        "tail": failure.tail.map(|offset| offset.to_string()),
    });
    napi::Error::new(Status::GenericFailure, known.to_string())
}

/// A promise of what comes of `work`, which runs on kaffic's own threads. A promise that nobody holds
/// any more does not stop it.
pub(crate) fn promise<'env, T, F>(env: &'env Env, work: F) -> napi::Result<Object<'env>>
where
    T: ToNapiValue + Send + 'static,
    F: Future<Output = Result<T, Failure>> + Send + 'static,
{
    let runtime = process::runtime().map_err(thrown)?;
    let (deferred, promise) = env.create_deferred()?;
    runtime.spawn(async move {
        let came = AssertUnwindSafe(work).catch_unwind().await;
        let came = came.unwrap_or_else(|panic| Err(Failure::of_panic(&*panic)));
        deferred.resolve(move |_| came.map_err(thrown));
    });
    Ok(promise)
}
