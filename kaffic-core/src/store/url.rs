//! From a URL and options to a store.

use super::cloud;
use super::filesystem::FileStore;
use super::options::StoreOptions;
use super::property::Kind;
use crate::error::{Error, Result};
use object_store::memory::InMemory;
use object_store::{ObjectStore, ObjectStoreScheme};
use std::sync::Arc;
use url::Url;

const KNOWN: &str = "kaffic knows file:///path, memory://, s3://bucket/prefix, gs://bucket/prefix \
                     and az://container/prefix";

/// Opens the store that a URL names; with it comes the prefix under which kaffic's keys go.
pub(crate) fn open_url(
    text: &str,
    options: &StoreOptions,
) -> Result<(Arc<dyn ObjectStore>, String)> {
    let url = Url::parse(text).map_err(|error| {
        Error::invalid(format!("store URL {text:?} is not a URL ({error}); {KNOWN}"))
    })?;
    match url.scheme() {
        "memory" => {
            check_local(options)?;
            if url.host_str().is_some() || !matches!(url.path(), "" | "/") {
                let message = format!("store URL {text:?}: nothing may follow memory://");
                return Err(Error::invalid(message));
            }
            Ok((Arc::new(InMemory::new()), String::new()))
        }
        "file" => {
            check_local(options)?;
            let path = url.to_file_path().ok().filter(|path| path.parent().is_some());
            let path = path.ok_or_else(|| {
                Error::invalid(format!(
                    "store URL {text:?} names no directory; write file:///the/path"
                ))
            })?;
            Ok((Arc::new(FileStore::open(&path)?), String::new()))
        }
        _ => open_cloud(&url, options),
    }
}

/// Options for a store without a URL.
pub(crate) fn check_local(options: &StoreOptions) -> Result<()> {
    options.check(Kind::Local, |_| false)
}

fn open_cloud(url: &Url, options: &StoreOptions) -> Result<(Arc<dyn ObjectStore>, String)> {
    let bad = |what: String| Error::invalid(format!("store URL {}: {what}", shown(url)));
    if url.password().is_some() {
        return Err(bad("credentials go into options or the environment, not the URL".into()));
    }
    let (scheme, path) =
        ObjectStoreScheme::parse(url).map_err(|error| bad(format!("{error}; {KNOWN}")))?;
    let kind = match scheme {
        ObjectStoreScheme::AmazonS3 => Kind::S3,
        ObjectStoreScheme::GoogleCloudStorage => Kind::Gcs,
        ObjectStoreScheme::MicrosoftAzure => Kind::Azure,
        ObjectStoreScheme::Http => {
            return Err(bad(format!(
                "not the address of a cloud. For a service that speaks S3 write s3://bucket/prefix \
                 and the option endpoint={}",
                url.origin().ascii_serialization()
            )));
        }
        _ => return Err(bad(format!("scheme {:?}; {KNOWN}", url.scheme()))),
    };
    if url.port().is_some() {
        return Err(bad("a port goes into the option endpoint=http://host:port".into()));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(bad("nothing may follow the path; options are given apart".into()));
    }
    let bucket_in_path = url.scheme() == "https"
        && (kind == Kind::Azure
            || url.host_str().is_some_and(|host| {
                host.starts_with("s3.") || host.ends_with(".r2.cloudflarestorage.com")
            }));
    if bucket_in_path && url.path().trim_matches('/').is_empty() {
        return Err(bad("no bucket or container is named".into()));
    }
    let store = cloud::open(kind, url, options).map_err(|error| {
        Error::new(error.kind(), format!("store {}: {error}", shown(url))).with_source(error)
    })?;
    Ok((store, path.as_ref().to_owned()))
}

/// The URL without a password, should there be one.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    if url.password().is_some() && url.set_password(Some("...")).is_err() {
        return url.scheme().to_owned();
    }
    format!("{:?}", url.as_str())
}
