//! The simulated storage as the library sees it: an [`ObjectStore`] whose every request goes
//! through the world.

use crate::requests::{Reply, Request};
use crate::world::{ActorId, World};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};
use kaffic_core::object_store;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult,
    Result,
};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

const NAME: &str = "sim";

/// The storage, as one process reaches it.
#[derive(Clone)]
pub(crate) struct SimStore {
    pub(crate) world: World,
    pub(crate) actor: ActorId,
}

impl fmt::Debug for SimStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NAME)
    }
}

impl fmt::Display for SimStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NAME)
    }
}

/// A request under way. Dropping it is giving up the wait, not the request.
struct UnderWay {
    store: SimStore,
    request: Option<Request>,
    op: Option<u32>,
}

impl Future for UnderWay {
    type Output = Reply;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Reply> {
        let this = &mut *self;
        let mut world = this.store.world.lock();
        let waker = cx.waker().clone();
        match (this.op, this.request.take()) {
            (None, Some(request)) => this.op = Some(world.send(this.store.actor, request, waker)),
            (Some(op), _) => {
                let op = &mut world.ops[op as usize];
                if op.answered {
                    return Poll::Ready(op.take_reply());
                }
                op.waker = Some(waker);
            }
            (None, None) => {}
        }
        Poll::Pending
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if let Some(op) = self.op {
            self.store.world.lock().ops[op as usize].waker = None;
        }
    }
}

impl SimStore {
    fn ask(&self, request: Request) -> UnderWay {
        UnderWay { store: self.clone(), request: Some(request), op: None }
    }
}

fn failed() -> Error {
    Error::Generic { store: NAME, source: "connection reset (simulated)".into() }
}

fn unsupported(operation: &str) -> Error {
    Error::NotImplemented { operation: operation.to_owned(), implementer: NAME.to_owned() }
}

fn time(ms: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(ms).unwrap_or_default()
}

fn dir_of(prefix: Option<&Path>) -> String {
    prefix.map_or_else(String::new, |path| path.as_ref().to_owned())
}

fn metas(objects: Vec<crate::disk::Listed>) -> Result<Vec<ObjectMeta>> {
    let meta = |listed: crate::disk::Listed| {
        Ok(ObjectMeta {
            location: Path::parse(&listed.key)?,
            // A list says milliseconds where a get says seconds.
            last_modified: time(listed.stamp_ms),
            size: listed.size,
            e_tag: Some(listed.tag.to_string()),
            version: None,
        })
    };
    objects.into_iter().map(meta).collect()
}

fn found(
    location: &Path,
    options: &GetOptions,
    bytes: &Bytes,
    stamp_ms: i64,
    tag: u64,
) -> Result<GetResult> {
    let size = bytes.len() as u64;
    let range = match &options.range {
        Some(range) => range
            .as_range(size)
            .map_err(|error| Error::Generic { store: NAME, source: Box::new(error) })?,
        None => 0..size,
    };
    let part = bytes.slice(range.start as usize..range.end as usize);
    Ok(GetResult {
        payload: GetResultPayload::Stream(stream::iter([Ok(part)]).boxed()),
        meta: ObjectMeta {
            location: location.clone(),
            last_modified: time(stamp_ms.div_euclid(1000) * 1000),
            size,
            e_tag: Some(tag.to_string()),
            version: None,
        },
        range,
        attributes: Default::default(),
        extensions: Default::default(),
    })
}

#[async_trait::async_trait]
impl ObjectStore for SimStore {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        let (key, bytes) = (location.as_ref().to_owned(), payload.into());
        let request = match options.mode {
            PutMode::Create => Request::Put { key, bytes },
            PutMode::Overwrite if key.contains("/heartbeats/") => Request::Overwrite { key, bytes },
            _ => return Err(unsupported("a put that is not put-if-absent")),
        };
        match self.ask(request).await {
            Reply::Created => {
                Ok(PutResult { e_tag: None, version: None, extensions: Default::default() })
            }
            Reply::Exists => Err(Error::AlreadyExists {
                path: location.to_string(),
                source: "precondition failed".into(),
            }),
            _ => Err(failed()),
        }
    }

    async fn put_multipart_opts(
        &self,
        _: &Path,
        _: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        Err(unsupported("multipart upload"))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        match self.ask(Request::Get { key: location.as_ref().to_owned() }).await {
            Reply::Object { bytes, stamp_ms, tag } => {
                found(location, &options, &bytes, stamp_ms, tag)
            }
            Reply::NotFound => {
                Err(Error::NotFound { path: location.to_string(), source: "no such key".into() })
            }
            _ => Err(failed()),
        }
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let store = self.clone();
        locations
            .and_then(move |location| {
                let store = store.clone();
                async move {
                    let key = location.as_ref().to_owned();
                    match store.ask(Request::Delete { key }).await {
                        Reply::Deleted => Ok(location),
                        _ => Err(failed()),
                    }
                }
            })
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let request = self.ask(Request::ListDeep { dir: dir_of(prefix) });
        let listing = async move {
            match request.await {
                Reply::Listing { objects, .. } => metas(objects),
                _ => Err(failed()),
            }
        };
        stream::once(listing)
            .map_ok(|objects| stream::iter(objects.into_iter().map(Ok)))
            .try_flatten()
            .boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        match self.ask(Request::List { dir: dir_of(prefix) }).await {
            Reply::Listing { objects, dirs } => Ok(ListResult {
                common_prefixes: dirs.iter().map(Path::parse).collect::<Result<_, _>>()?,
                objects: metas(objects)?,
                extensions: Default::default(),
            }),
            _ => Err(failed()),
        }
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        Err(unsupported("copy"))
    }
}
