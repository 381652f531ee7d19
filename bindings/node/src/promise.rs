//! Work on the process's runtime as a promise, and failures as errors that `lib/errors.js` reads.

use futures_util::FutureExt;
use futures_util::future::{Either, select};
use kaffic_bindings::{Failure, process};
use napi::bindgen_prelude::{Object, ToNapiValue};
use napi::{Env, Status};
use serde_json::json;
use std::cell::RefCell;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use tokio::sync::watch;

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

thread_local! {
    /// Becomes true when the thread's JavaScript ends: with its worker, or with the process.
    static ENDED: RefCell<Option<watch::Receiver<bool>>> = const { RefCell::new(None) };
}

/// Becomes true when the JavaScript of this thread ends.
pub(crate) fn ended(env: &Env) -> napi::Result<watch::Receiver<bool>> {
    if let Some(there) = ENDED.with_borrow(Option::clone) {
        return Ok(there);
    }
    let (end, ended) = watch::channel(false);
    env.add_env_cleanup_hook(end, |end| {
        end.send_replace(true);
    })?;
    ENDED.with_borrow_mut(|there| *there = Some(ended.clone()));
    Ok(ended)
}

/// A promise of what comes of `work`, which runs on kaffic's own threads: until JavaScript ends, also
/// if nobody holds the promise any more.
pub(crate) fn promise<'env, T, F>(env: &'env Env, work: F) -> napi::Result<Object<'env>>
where
    T: ToNapiValue + Send + 'static,
    F: Future<Output = Result<T, Failure>> + Send + 'static,
{
    let runtime = process::runtime().map_err(thrown)?;
    let (deferred, promise) = env.create_deferred()?;
    let mut ended = ended(env)?;
    runtime.spawn(async move {
        let ended = pin!(ended.wait_for(|ended| *ended));
        let work = pin!(AssertUnwindSafe(work).catch_unwind());
        let Either::Right((came, _)) = select(ended, work).await else { return };
        let came = came.unwrap_or_else(|panic| Err(Failure::of_panic(&*panic)));
        deferred.resolve(move |_| came.map_err(thrown));
    });
    Ok(promise)
}
