//! The local filesystem as an object store that keeps kaffic's contract through a crash.
//!
//! `object_store` reads and lists; its put is replaced here for three reasons. An object has to be
//! durable before anybody can see it, and so do its name and every directory made for it. Its
//! stamp (the time of the last write to it) must not be much older than its appearance, or a slot
//! could count that came too late: a put whose staging took longer than the caller's limit is
//! given up. And what a killed process leaves behind has to be found and removed.

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult,
    Result,
};
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path as FsPath, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

/// How long a put may take from stamp to appearance; travels in the options of a put.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StagingLimit(pub(crate) Duration);

/// Where objects are before they are complete, under the root. Nothing ever lists it but the sweep.
const STAGING_DIR: &str = ".staging";
/// A staging file older than this belongs to a process that was killed.
const LEFTOVER_AGE: Duration = Duration::from_secs(3600);

/// A directory as an object store.
#[derive(Debug)]
pub(crate) struct FileStore {
    inner: LocalFileSystem,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    root: PathBuf,
    /// Names staging files: one prefix a store, one number a put.
    prefix: String,
    next: AtomicU64,
    /// After a failed fsync nobody knows what is durable, so nothing is said any more.
    broken: AtomicBool,
}

/// What a read found. No bytes: more than is read in one go.
struct FileRead {
    bytes: Option<Bytes>,
    meta: fs::Metadata,
    range: std::ops::Range<u64>,
}

impl std::fmt::Display for FileStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "file://{}", self.shared.root.display())
    }
}

impl FileStore {
    /// Opens a directory, making it if it is not there.
    pub(crate) fn open(root: &FsPath) -> crate::Result<Self> {
        let failed = |what: &str, error: io::Error| {
            let kind = match error.kind() {
                ErrorKind::PermissionDenied => crate::ErrorKind::Denied,
                ErrorKind::NotADirectory | ErrorKind::AlreadyExists => {
                    crate::ErrorKind::InvalidArgument
                }
                _ => crate::ErrorKind::Unavailable,
            };
            crate::Error::new(kind, format!("{what} {}: {error}", root.display()))
                .with_source(error)
        };
        make_dirs(root).map_err(|error| failed("can't make the store's directory", error))?;
        let root = root.canonicalize().map_err(|error| failed("can't open the store", error))?;
        let inner = LocalFileSystem::new_with_prefix(&root)
            .map_err(|error| {
                crate::Error::new(
                    crate::ErrorKind::Unavailable,
                    format!("can't open the store: {error}"),
                )
            })?
            .with_fsync(true);
        let prefix = staging_prefix();
        let shared =
            Shared { root, prefix, next: AtomicU64::new(0), broken: AtomicBool::new(false) };
        shared.sweep();
        Ok(Self { inner, shared: Arc::new(shared) })
    }
}

/// A name that no other store instance of this machine has.
#[expect(clippy::disallowed_methods, reason = "names a staging file, nothing of the protocol")]
fn staging_prefix() -> String {
    let random = getrandom::u64().unwrap_or_default();
    format!("{}-{random:016x}", std::process::id())
}

impl Shared {
    fn check(&self) -> io::Result<()> {
        if self.broken.load(Ordering::Acquire) {
            return Err(io::Error::other(
                "an earlier fsync failed, so what is on the disk is not known; \
                 check the disk and start the program again",
            ));
        }
        Ok(())
    }

    fn file_path(&self, location: &Path) -> PathBuf {
        self.root.join(location.as_ref())
    }

    /// Flushes a file or directory, and remembers for ever if that failed.
    fn fsync(&self, file: &File) -> io::Result<()> {
        file.sync_all().inspect_err(|_| self.broken.store(true, Ordering::Release))
    }

    fn fsync_dir(&self, dir: &FsPath) -> io::Result<()> {
        self.fsync(&File::open(dir)?)
    }

    /// Makes an object appear whole and durable, or fails with [`ErrorKind::AlreadyExists`].
    fn create(
        &self,
        target: &FsPath,
        payload: &PutPayload,
        limit: Option<Duration>,
    ) -> io::Result<()> {
        self.check()?;
        let staging = self.root.join(STAGING_DIR);
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let staged = staging.join(format!("{}-{number}", self.prefix));
        let mut file = match OpenOptions::new().write(true).create_new(true).open(&staged) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                make_dirs(&staging)?;
                OpenOptions::new().write(true).create_new(true).open(&staged)?
            }
            other => other?,
        };
        let result = self.publish(&mut file, &staged, target, payload, limit);
        drop(file);
        // Its name in the staging directory is no longer of use, whatever happened.
        fs::remove_file(&staged).ok();
        result
    }

    #[expect(clippy::disallowed_methods, reason = "how long the disk took, compared with nothing")]
    fn publish(
        &self,
        file: &mut File,
        staged: &FsPath,
        target: &FsPath,
        payload: &PutPayload,
        limit: Option<Duration>,
    ) -> io::Result<()> {
        for part in payload.iter() {
            file.write_all(part)?;
        }
        // The last write gave the file its stamp; from here the time runs.
        let stamped = std::time::Instant::now();
        self.fsync(file)?;
        let parent = target.parent().unwrap_or(&self.root);
        if !parent.is_dir() {
            make_dirs(parent)?;
        }
        if limit.is_some_and(|limit| stamped.elapsed() > limit) {
            return Err(io::Error::other("the disk took longer to take the object than is safe"));
        }
        match fs::hard_link(staged, target) {
            // Whoever is told of another's object may build on it: it has to be durable too.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                self.fsync_dir(parent)?;
                Err(error)
            }
            Err(error)
                if error.kind() == ErrorKind::Unsupported || error.raw_os_error() == Some(1) =>
            {
                Err(io::Error::new(ErrorKind::Unsupported, "this filesystem has no hard links"))
            }
            Err(error) => Err(error),
            Ok(()) => self.fsync_dir(parent),
        }
    }

    /// Reads a file or a range of it in one go; `None` where there is none.
    fn read(&self, file: &FsPath, options: &GetOptions) -> io::Result<Option<FileRead>> {
        self.check()?;
        let mut file = match File::open(file) {
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
            {
                return Ok(None);
            }
            other => other?,
        };
        let meta = file.metadata()?;
        if meta.is_dir() {
            return Ok(None);
        }
        let size = meta.len();
        let range = match &options.range {
            Some(range) => range.as_range(size).map_err(io::Error::other)?,
            None => 0..size,
        };
        if range.end - range.start > super::MAX_OBJECT_BYTES {
            return Ok(Some(FileRead { bytes: None, meta, range }));
        }
        if range.start > 0 {
            file.seek(SeekFrom::Start(range.start))?;
        }
        let len = range.end - range.start;
        let mut bytes = Vec::with_capacity(usize::try_from(len).map_err(io::Error::other)?);
        file.take(len).read_to_end(&mut bytes)?;
        Ok(Some(FileRead { bytes: Some(bytes.into()), meta, range }))
    }

    /// Removes staging files that a killed process left.
    fn sweep(&self) {
        let Ok(entries) = fs::read_dir(self.root.join(STAGING_DIR)) else { return };
        for entry in entries.flatten() {
            let age = entry.metadata().and_then(|meta| meta.modified()).ok().and_then(age_of);
            if age.is_some_and(|age| age > LEFTOVER_AGE) {
                fs::remove_file(entry.path()).ok();
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the age of leftovers; no part of the protocol")]
fn age_of(modified: SystemTime) -> Option<Duration> {
    SystemTime::now().duration_since(modified).ok()
}

/// Makes a directory and those above it, and makes their names durable.
fn make_dirs(dir: &FsPath) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(parent) = parent {
        make_dirs(parent)?;
    }
    match fs::create_dir(dir) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists && dir.is_dir() => {}
        other => other?,
    }
    match parent {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

fn generic(error: io::Error) -> Error {
    Error::Generic { store: "file", source: Box::new(error) }
}

/// Whether the operating system refused.
pub(crate) fn is_permission_denied(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<io::Error>()
            && matches!(io.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem)
        {
            return true;
        }
        cause = error.source();
    }
    false
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    Ok(tokio::task::spawn_blocking(work).await?)
}

#[async_trait]
impl ObjectStore for FileStore {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        if options.mode != PutMode::Create {
            return self.inner.put_opts(location, payload, options).await;
        }
        let shared = Arc::clone(&self.shared);
        let target = shared.file_path(location);
        let limit = options.extensions.get::<StagingLimit>().map(|limit| limit.0);
        let done = blocking(move || shared.create(&target, &payload, limit)).await?;
        match done {
            Ok(()) => Ok(PutResult { e_tag: None, version: None, extensions: Default::default() }),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                Err(Error::AlreadyExists { path: location.to_string(), source: Box::new(error) })
            }
            Err(error) if error.kind() == ErrorKind::Unsupported => {
                Err(Error::NotSupported { source: Box::new(error) })
            }
            Err(error) => Err(generic(error)),
        }
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let shared = Arc::clone(&self.shared);
        let file = shared.file_path(location);
        let got = blocking({
            let options = options.clone();
            move || shared.read(&file, &options)
        })
        .await?;
        let Some(FileRead { bytes, meta, range }) = got.map_err(generic)? else {
            return Err(Error::NotFound {
                path: location.to_string(),
                source: io::Error::from(ErrorKind::NotFound).into(),
            });
        };
        // Something larger than any of our objects is not read into memory.
        let Some(bytes) = bytes else { return self.inner.get_opts(location, options).await };
        let meta = ObjectMeta {
            location: location.clone(),
            last_modified: meta.modified().map_err(generic)?.into(),
            size: meta.len(),
            e_tag: None,
            version: None,
        };
        options.check_preconditions(&meta)?;
        Ok(GetResult {
            payload: GetResultPayload::Stream(Box::pin(stream::once(async move { Ok(bytes) }))),
            meta,
            range,
            attributes: Default::default(),
            extensions: Default::default(),
        })
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
