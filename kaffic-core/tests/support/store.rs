//! The stores that tests run on: memory and a directory, or, where KAFFIC_TEST_URL (with
//! KAFFIC_TEST_OPTIONS: `key=value,key=value`) names a server's, just that one. Each has a second
//! client that is not kaffic's, by which a test looks at objects, damages and deletes them. Every
//! store is empty at first: on a server it is a prefix of its own, and its objects stay there.

use bytes::Bytes;
use futures_util::{FutureExt, TryStreamExt};
use kaffic_core::env::{Env, SystemEnv};
use kaffic_core::object_store::local::LocalFileSystem;
use kaffic_core::object_store::memory::InMemory;
use kaffic_core::object_store::path::Path;
use kaffic_core::object_store::prefix::PrefixStore;
use kaffic_core::object_store::{
    ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutOptions, parse_url_opts,
};
use kaffic_core::{Kaffic, StoreOptions};
use std::sync::Arc;

/// A store to test on. A directory goes with this value.
pub(crate) struct TestStore {
    kind: Kind,
    objects: Arc<dyn ObjectStore>,
}

enum Kind {
    Memory,
    File(tempfile::TempDir),
    Server(Server),
}

/// A bucket, or a prefix in one, by URL and options.
#[derive(Clone)]
struct Server {
    base: String,
    url: String,
    options: String,
}

/// One store of every kind, or the one that the environment names.
pub(crate) fn stores() -> Vec<TestStore> {
    match std::env::var("KAFFIC_TEST_URL") {
        Ok(url) => {
            let options = std::env::var("KAFFIC_TEST_OPTIONS").unwrap_or_default();
            vec![TestStore::server(&url, &options)]
        }
        Err(_) => vec![TestStore::memory(), TestStore::file()],
    }
}

/// Every case on a store of every kind, each on its own.
pub(crate) fn stores_for<T: Clone>(cases: impl IntoIterator<Item = T>) -> Vec<(TestStore, T)> {
    let with = |case: T| stores().into_iter().map(move |store| (store, case.clone()));
    cases.into_iter().flat_map(with).collect()
}

impl TestStore {
    pub(crate) fn memory() -> Self {
        Self { kind: Kind::Memory, objects: Arc::new(InMemory::new()) }
    }

    /// A directory.
    pub(crate) fn file() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let objects = LocalFileSystem::new_with_prefix(dir.path()).expect("a directory");
        Self { kind: Kind::File(dir), objects: Arc::new(objects) }
    }

    /// A prefix that nothing was ever put to, of a store by URL.
    pub(crate) fn server(base: &str, options: &str) -> Self {
        let base = base.trim_end_matches('/').to_owned();
        let url = format!("{base}/test-{:016x}", SystemEnv::new().random());
        let server = Server { base, url, options: options.to_owned() };
        // It also settles whose cryptography the other client takes for TLS.
        let connected = server.connect().now_or_never();
        drop(connected.expect("to connect asks nothing of a store"));
        let objects = server.objects();
        Self { kind: Kind::Server(server), objects }
    }

    /// Another empty store of the same kind.
    pub(crate) fn fresh(&self) -> Self {
        match &self.kind {
            Kind::Memory => Self::memory(),
            Kind::File(_) => Self::file(),
            Kind::Server(server) => Self::server(&server.base, &server.options),
        }
    }

    /// Whether requests cost time.
    pub(crate) fn is_server(&self) -> bool {
        matches!(self.kind, Kind::Server(_))
    }

    /// For people.
    pub(crate) fn name(&self) -> String {
        match &self.kind {
            Kind::Memory => "memory://".to_owned(),
            Kind::File(dir) => format!("file://{}", dir.path().display()),
            Kind::Server(server) => server.url.clone(),
        }
    }

    /// A new client of it.
    pub(crate) async fn connect(&self) -> Kaffic {
        println!("on {}", self.name());
        match &self.kind {
            Kind::Memory => {
                let builder = Kaffic::builder().store(Arc::clone(&self.objects), "");
                builder.connect().await.expect("connects")
            }
            Kind::File(_) => Kaffic::connect(&self.name()).await.expect("connects"),
            Kind::Server(server) => server.connect().await,
        }
    }

    /// Everything under a directory (`""`: all), sorted by key.
    pub(crate) async fn list(&self, dir: &str) -> Vec<ObjectMeta> {
        let path = Path::from(dir);
        let listed = self.objects.list((!dir.is_empty()).then_some(&path));
        let mut listed: Vec<ObjectMeta> = listed.try_collect().await.expect("lists");
        // Where the filesystem prepares objects.
        listed.retain(|meta| !meta.location.as_ref().starts_with(".staging/"));
        listed.sort_by(|a, b| a.location.cmp(&b.location));
        listed
    }

    /// The keys of everything under a directory (`""`: all), sorted.
    pub(crate) async fn keys(&self, dir: &str) -> Vec<String> {
        self.list(dir).await.into_iter().map(|meta| meta.location.to_string()).collect()
    }

    /// An object's bytes.
    pub(crate) async fn object(&self, key: &str) -> Bytes {
        let got = self.objects.get(&Path::from(key)).await;
        let got = got.unwrap_or_else(|error| panic!("{key}: {error}"));
        got.bytes().await.expect("its bytes")
    }

    /// When the storage says that an object was put, in Unix seconds.
    pub(crate) async fn stamp(&self, key: &str) -> i64 {
        let head = self.objects.head(&Path::from(key)).await;
        head.unwrap_or_else(|error| panic!("{key}: {error}")).last_modified.timestamp()
    }

    /// Puts an object in place of what is there. Its stamp is new.
    pub(crate) async fn replace(&self, key: &str, bytes: impl Into<Bytes>) {
        let bytes: Bytes = bytes.into();
        let put = self.objects.put(&Path::from(key), bytes.into()).await;
        put.unwrap_or_else(|error| panic!("{key}: {error}"));
    }

    pub(crate) async fn remove(&self, key: &str) {
        let removed = self.objects.delete(&Path::from(key)).await;
        removed.unwrap_or_else(|error| panic!("{key}: {error}"));
    }

    /// The storage's own time in Unix seconds, by an object that is put for it.
    pub(crate) async fn now(&self) -> i64 {
        let key = format!("clock/{:016x}", SystemEnv::new().random());
        let options = PutOptions::from(PutMode::Create);
        let put = self.objects.put_opts(&Path::from(key.as_str()), "now".into(), options).await;
        put.unwrap_or_else(|error| panic!("{key}: {error}"));
        let stamp = self.stamp(&key).await;
        self.remove(&key).await;
        stamp
    }
}

impl Server {
    fn options(&self) -> StoreOptions {
        self.options.parse().expect("KAFFIC_TEST_OPTIONS is key=value,key=value")
    }

    async fn connect(&self) -> Kaffic {
        let builder = Kaffic::builder().url(&self.url).options(self.options());
        builder.connect().await.expect("connects")
    }

    fn objects(&self) -> Arc<dyn ObjectStore> {
        let pairs = self.options.split(',').filter_map(|pair| pair.split_once('='));
        let options = pairs.map(|(key, value)| match key {
            // The one name that is kaffic's own.
            "path_style" => ("virtual_hosted_style_request", (value != "true").to_string()),
            key => (key, value.to_owned()),
        });
        let url = self.url.parse().expect("a URL");
        let (store, path) = parse_url_opts(&url, options).expect("a store by URL");
        Arc::new(PrefixStore::new(store, path))
    }
}
