//! A store that can be made to stand still, or to refuse everything.

use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt, stream, stream::BoxStream};
use kaffic_core::Kaffic;
use kaffic_core::object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, path::Path,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::watch;

/// How a store answers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum State {
    Open,
    /// Nothing is answered before it is open again.
    Shut,
    Refusing,
}

/// A store in memory behind a gate.
#[derive(Debug, Clone)]
pub(crate) struct Gate {
    inner: Arc<dyn ObjectStore>,
    state: Arc<watch::Sender<State>>,
    asked: Arc<AtomicUsize>,
}

impl Gate {
    /// A gate that is open, and a client behind it.
    pub(crate) async fn new() -> (Self, Kaffic) {
        let (inner, _) = Kaffic::connect("memory://").await.unwrap().object_store();
        let state = Arc::new(watch::Sender::new(State::Open));
        let gate = Self { inner, state, asked: Arc::default() };
        let client = Kaffic::builder().store(Arc::new(gate.clone()), "").connect().await.unwrap();
        (gate, client)
    }

    pub(crate) fn set(&self, state: State) {
        self.state.send_replace(state);
    }

    /// How often it was asked for something.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    async fn pass(&self) -> Result<()> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let mut state = self.state.subscribe();
        let state = *state.wait_for(|state| *state != State::Shut).await.unwrap();
        match state {
            State::Refusing => {
                Err(Error::PermissionDenied { path: String::new(), source: "refused".into() })
            }
            _ => Ok(()),
        }
    }
}

impl std::fmt::Display for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a gate")
    }
}

#[async_trait]
impl ObjectStore for Gate {
    async fn put_opts(&self, at: &Path, what: PutPayload, how: PutOptions) -> Result<PutResult> {
        self.pass().await?;
        self.inner.put_opts(at, what, how).await
    }

    async fn put_multipart_opts(
        &self,
        _: &Path,
        _: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        unimplemented!("kaffic puts whole objects")
    }

    async fn get_opts(&self, at: &Path, how: GetOptions) -> Result<GetResult> {
        self.pass().await?;
        self.inner.get_opts(at, how).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let gate = self.clone();
        let passed = stream::once(async move { gate.pass().await });
        let inner = Arc::clone(&self.inner);
        let locations = std::sync::Mutex::new(Some(locations));
        passed
            .map_ok(move |()| {
                let locations = locations.lock().unwrap().take();
                inner.delete_stream(locations.unwrap_or_else(|| stream::empty().boxed()))
            })
            .try_flatten()
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (gate, prefix) = (self.clone(), prefix.cloned());
        stream::once(async move {
            gate.pass().await?;
            Ok::<_, Error>(gate.inner.list(prefix.as_ref()))
        })
        .try_flatten()
        .boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.pass().await?;
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        unimplemented!("kaffic never copies")
    }
}
