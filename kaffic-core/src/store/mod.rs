//! The store as the rest of the library sees it: four operations (put-if-absent, get, list,
//! delete), each bounded in time, counted, and with errors that name the object.
//!
//! Reads, lists and deletes are repeated here when they fail in passing. A put never is: whether
//! an unclear put happened is for the protocol to find out, by reading.

mod cloud;
mod contract;
mod failure;
mod filesystem;
mod options;
mod pace;
mod property;
mod url;

use crate::env::{Env, timeout};
use crate::error::{Error, ErrorKind, Result};
use crate::keys::parse_number;
use crate::metrics::{Meter, Request, observed};
use bytes::Bytes;
use filesystem::StagingLimit;
use futures_util::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    GetOptions, GetRange, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload,
};
use pace::Pace;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

pub use options::StoreOptions;
pub(crate) use url::{check_local, open_url};

/// The longest that one request may take, unless an option says otherwise.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// How often a read, list or delete is tried.
const TRIES: u32 = 8;
/// The largest object that is read into memory; anything larger is not ours.
const MAX_OBJECT_BYTES: u64 = 65 << 20;

/// What a put-if-absent came to.
#[derive(Debug)]
pub(crate) enum Put {
    /// The object is there and ours.
    Created,
    /// Some object was there; it may even be ours, if the client library tried twice.
    Exists,
    /// It may have been written, or may be yet.
    Unclear(Error),
}

/// An object, or the first part of one, and its stamp from the same response.
#[derive(Debug, Clone)]
pub(crate) struct Object {
    pub(crate) bytes: Bytes,
    /// `LastModified` in whole Unix seconds: the precision in which stamps are compared.
    pub(crate) stamp: i64,
}

/// An entry of a directory: an object whose name is a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) number: u64,
    pub(crate) size: u64,
    pub(crate) stamp: i64,
}

/// An entry of a directory: an object with any other name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NamedEntry {
    pub(crate) name: String,
    pub(crate) size: u64,
    pub(crate) stamp: i64,
}

/// What stands directly under a directory.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    /// Directories by name.
    pub(crate) dirs: Vec<String>,
    /// Objects with numbers for names.
    pub(crate) numbered: Vec<Entry>,
    /// All other objects. Most are not ours.
    pub(crate) named: Vec<NamedEntry>,
}

impl Listing {
    /// The directories whose names are numbers.
    pub(crate) fn numbered_dirs(&self) -> impl Iterator<Item = u64> + '_ {
        self.dirs.iter().filter_map(|name| parse_number(name))
    }
}

/// A store and the prefix in it under which everything of kaffic's is.
#[derive(Clone)]
pub(crate) struct Store {
    inner: Arc<dyn ObjectStore>,
    root: Path,
    env: Arc<dyn Env>,
    meter: Arc<Meter>,
    contract: Arc<tokio::sync::OnceCell<()>>,
    request_timeout: Duration,
    pace: Arc<Pace>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Store({} {})", self.inner, self.root)
    }
}

impl Store {
    pub(crate) fn new(
        inner: Arc<dyn ObjectStore>,
        prefix: &str,
        env: Arc<dyn Env>,
    ) -> Result<Self> {
        let root = Path::parse(prefix).map_err(|error| {
            Error::invalid(format!("store prefix {prefix:?} is not a path")).with_source(error)
        })?;
        Ok(Self {
            inner,
            root,
            env,
            meter: Arc::new(Meter::new()),
            contract: Arc::default(),
            request_timeout: REQUEST_TIMEOUT,
            pace: Arc::default(),
        })
    }

    /// The same store with those options that are about requests of any kind of store.
    pub(crate) fn with_options(mut self, options: &StoreOptions) -> Result<Self> {
        self.request_timeout = options.request_timeout()?.unwrap_or(REQUEST_TIMEOUT);
        Ok(self)
    }

    /// The store itself, and the path in it under which all keys are.
    pub(crate) fn beneath(&self) -> (Arc<dyn ObjectStore>, Path) {
        (Arc::clone(&self.inner), self.root.clone())
    }

    fn path(&self, key: &str) -> Result<Path> {
        let text = if self.root.as_ref().is_empty() {
            key.to_owned()
        } else {
            format!("{}/{key}", self.root)
        };
        Path::parse(&text)
            .map_err(|error| Error::internal(format!("key {key:?} is no path")).with_source(error))
    }

    /// Put-if-absent. `staging` bounds the time a filesystem may take between stamping the object
    /// and showing it. An error means that nothing was written.
    pub(crate) async fn create(
        &self,
        key: &str,
        payload: PutPayload,
        staging: Duration,
    ) -> Result<Put> {
        let path = self.path(key)?;
        self.meter.request_begun(Request::Put, payload.content_length());
        let mut options = PutOptions::from(PutMode::Create);
        options.extensions.insert(StagingLimit(staging));
        let put = self.inner.put_opts(&path, payload, options);
        let put = self.attempt(Request::Put, key, async {
            match put.await {
                Ok(_) => Ok(Put::Created),
                Err(
                    object_store::Error::AlreadyExists { .. }
                    | object_store::Error::Precondition { .. },
                ) => Ok(Put::Exists),
                Err(error) => Err(error),
            }
        });
        match put.await {
            Err(error) if error.kind() == ErrorKind::Unavailable => Ok(Put::Unclear(error)),
            other => other,
        }
    }

    /// Puts an object in place of what is there: for heartbeats alone. Nobody reads more from one
    /// than that it has changed, so which of several puts came last does not matter.
    pub(crate) async fn overwrite(&self, key: &str, bytes: Bytes) -> Result<()> {
        let path = self.path(key)?;
        self.meter.request_begun(Request::Put, bytes.len());
        let put = self.inner.put_opts(&path, bytes.into(), PutMode::Overwrite.into());
        self.attempt(Request::Put, key, put).await.map(|_| ())
    }

    /// The whole object, or `None` where there is none.
    pub(crate) async fn get(&self, key: &str) -> Result<Option<Object>> {
        self.read(key, None).await
    }

    /// The first `len` bytes of an object (fewer where it is shorter).
    pub(crate) async fn get_start(&self, key: &str, len: usize) -> Result<Option<Object>> {
        self.read(key, Some(0..len as u64)).await
    }

    /// A part of an object; less than that where the object is shorter.
    pub(crate) async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Option<Object>> {
        self.read(key, Some(range)).await
    }

    async fn read(&self, key: &str, mut range: Option<Range<u64>>) -> Result<Option<Object>> {
        let path = self.path(key)?;
        let mut tries = 0;
        loop {
            tries += 1;
            self.meter.request_begun(Request::Get, 0);
            let request = self.read_once(&path, range.clone());
            let error = match self.attempt(Request::Get, key, request).await {
                Ok(object) => {
                    if let Some(object) = &object {
                        self.meter.request_moved(Request::Get, object.bytes.len());
                    }
                    return Ok(object);
                }
                Err(error) => error,
            };
            // A range of an empty object is an error to some stores: the whole tells.
            range = range.filter(|range| range.start > 0);
            self.again_or(error, tries).await?;
        }
    }

    async fn read_once(
        &self,
        path: &Path,
        range: Option<Range<u64>>,
    ) -> object_store::Result<Option<Object>> {
        let from = range.as_ref().map_or(0, |range| range.start);
        let options = GetOptions { range: range.map(GetRange::Bounded), ..GetOptions::default() };
        let result = match self.inner.get_opts(path, options).await {
            Ok(result) => result,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            // A range behind the end is an error: the size tells.
            Err(error) if from > 0 => match self.inner.head(path).await {
                Ok(meta) if meta.size <= from => {
                    let stamp = meta.last_modified.timestamp();
                    return Ok(Some(Object { bytes: Bytes::new(), stamp }));
                }
                _ => return Err(error),
            },
            Err(error) => return Err(error),
        };
        let stamp = result.meta.last_modified.timestamp();
        let size = result.range.end - result.range.start;
        let bytes = if size > MAX_OBJECT_BYTES {
            // Too large to be ours. Its decoder will say so; memory stays bounded.
            Bytes::new()
        } else {
            result.bytes().await?
        };
        Ok(Some(Object { bytes, stamp }))
    }

    /// What stands directly under a directory, in no particular order.
    pub(crate) async fn list(&self, dir: &str) -> Result<Listing> {
        let path = self.path(dir)?;
        let mut tries = 0;
        loop {
            tries += 1;
            self.meter.request_begun(Request::List, 0);
            let request = self.inner.list_with_delimiter(Some(&path));
            match self.attempt(Request::List, dir, request).await {
                Ok(result) => return Ok(listing(&path, &result)),
                Err(error) => self.again_or(error, tries).await?,
            }
        }
    }

    /// Deletes an object; that there is none is as good.
    pub(crate) async fn delete(&self, key: &str) -> Result<()> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.delete_once(key).await {
                Ok(()) => return Ok(()),
                Err(error) => self.again_or(error, tries).await?,
            }
        }
    }

    /// Deletes an object without a second try, where it is not worth a wait.
    async fn delete_once(&self, key: &str) -> Result<()> {
        let path = self.path(key)?;
        self.meter.request_begun(Request::Delete, 0);
        let request = async {
            match self.inner.delete(&path).await {
                Err(object_store::Error::NotFound { .. }) => Ok(()),
                other => other,
            }
        };
        self.attempt(Request::Delete, key, request).await
    }

    /// Deletes many objects, several at a time.
    pub(crate) async fn delete_all(&self, keys: Vec<String>) -> Result<()> {
        futures_util::stream::iter(keys)
            .map(|key| async move { self.delete(&key).await })
            .buffer_unordered(16)
            .try_collect()
            .await
    }

    /// Creates an object, or reads the one that is there: whoever loses adopts the winner's.
    /// `None` where this very call made it.
    pub(crate) async fn create_or_read(
        &self,
        key: &str,
        bytes: Bytes,
        staging: Duration,
    ) -> Result<Option<Object>> {
        let mut tries = 0;
        loop {
            tries += 1;
            let error = match self.create(key, bytes.clone().into(), staging).await? {
                Put::Created => return Ok(None),
                Put::Unclear(error) => error,
                Put::Exists => Error::new(
                    ErrorKind::Unavailable,
                    format!("{key}: put said that it exists and get said that it does not"),
                ),
            };
            if let Some(object) = self.get(key).await? {
                return Ok(Some(object));
            }
            self.again_or(error, tries).await?;
        }
    }

    /// Where everything is counted that this store and its clones do, and whoever uses them.
    pub(crate) fn meter(&self) -> &Arc<Meter> {
        &self.meter
    }

    /// One request, measured, and a span of its own for whoever traces.
    async fn attempt<T>(
        &self,
        request: Request,
        key: &str,
        work: impl Future<Output = object_store::Result<T>> + Send,
    ) -> Result<T> {
        let span = tracing::trace_span!(
            "storage",
            otel.name = request.name(),
            otel.kind = "client",
            kaffic.storage.operation = request.name(),
            kaffic.storage.key = key,
            error.type = tracing::field::Empty,
        );
        let work = self.try_once(request.name(), key, work);
        let (answer, took) = observed(&*self.env, &span, work).await;
        self.meter.request_ended(request, took, answer.as_ref().err());
        answer
    }

    /// One request, bounded in time, with an error that names it.
    async fn try_once<T>(
        &self,
        op: &str,
        key: &str,
        work: impl Future<Output = object_store::Result<T>> + Send,
    ) -> Result<T> {
        let limit = self.request_timeout;
        let error = match timeout(&*self.env, limit, work).await {
            Some(Ok(answer)) => {
                self.pace.answered();
                return Ok(answer);
            }
            Some(Err(error)) => error,
            None => {
                let what = format!("{op} {key}: no answer from {} within {limit:?}", self.inner);
                return Err(Error::new(ErrorKind::Unavailable, what));
            }
        };
        if failure::is_throttle(&error) {
            self.pace.throttled();
            self.meter.throttled();
        }
        let (kind, advice) = failure::classify(&error);
        let cause = failure::root_cause(&error);
        let message = format!("{op} {key} on {}: {cause}{advice}", self.inner);
        Err(Error::new(kind, message).with_source(error))
    }

    /// Waits before another try, or gives the error up.
    async fn again_or(&self, error: Error, tries: u32) -> Result<()> {
        if error.kind() != ErrorKind::Unavailable {
            return Err(error);
        }
        if tries >= TRIES {
            let message = format!("{error} (tried {tries} times)");
            return Err(Error::new(error.kind(), message).with_source(error));
        }
        tracing::debug!(%error, tries, "storage request is tried again");
        self.back_off(tries).await;
        Ok(())
    }

    /// Waits longer after every try, and longer still while the storage asks for fewer requests.
    pub(crate) async fn back_off(&self, tries: u32) {
        self.env.sleep(self.pace.wait(tries, self.env.random())).await;
    }
}

fn listing(dir: &Path, result: &object_store::ListResult) -> Listing {
    let dirs = result
        .common_prefixes
        .iter()
        .filter_map(|path| path.parts().next_back().map(|part| part.as_ref().to_owned()))
        .collect();
    let (mut numbered, mut named) = (Vec::new(), Vec::new());
    for meta in &result.objects {
        // Some stores list an empty directory as an object in itself.
        if meta.location == *dir {
            continue;
        }
        let Some(name) = meta.location.filename() else { continue };
        let (size, stamp) = (meta.size, meta.last_modified.timestamp());
        match parse_number(name) {
            Some(number) => numbered.push(Entry { number, size, stamp }),
            None => named.push(NamedEntry { name: name.to_owned(), size, stamp }),
        }
    }
    Listing { dirs, numbered, named }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_is_listed_as_an_object_in_itself_is_no_slot() {
        let meta = |location: &str| object_store::ObjectMeta {
            location: Path::from(location),
            last_modified: Default::default(),
            size: 0,
            e_tag: None,
            version: None,
        };
        let result = object_store::ListResult {
            common_prefixes: vec![Path::from("data/t/000/005")],
            objects: vec![meta("data/t/000/004"), meta("data/t/000/004/007")],
            extensions: Default::default(),
        };
        let found = listing(&Path::from("data/t/000/004"), &result);
        assert_eq!(found.numbered, [Entry { number: 7, stamp: 0, size: 0 }]);
        assert_eq!(found.numbered_dirs().collect::<Vec<_>>(), [5]);
    }
}
