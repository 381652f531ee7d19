//! From a URL to a store.

use super::filesystem::FileStore;
use crate::error::{Error, Result};
use object_store::ObjectStore;
use object_store::memory::InMemory;
use std::sync::Arc;

const KNOWN: &str = "kaffic knows file:///path and memory://";

/// Opens the store that a URL names.
pub(crate) fn open_url(text: &str) -> Result<Arc<dyn ObjectStore>> {
    let url = url::Url::parse(text).map_err(|error| {
        Error::invalid(format!("store URL {text:?} is not a URL ({error}); {KNOWN}"))
    })?;
    match url.scheme() {
        "memory" if url.host_str().is_none() && matches!(url.path(), "" | "/") => {
            Ok(Arc::new(InMemory::new()))
        }
        "memory" => {
            Err(Error::invalid(format!("store URL {text:?}: nothing may follow memory://")))
        }
        "file" => {
            let path = url.to_file_path().ok().filter(|path| path.parent().is_some());
            let path = path.ok_or_else(|| {
                Error::invalid(format!(
                    "store URL {text:?} names no directory; write file:///the/path"
                ))
            })?;
            Ok(Arc::new(FileStore::open(&path)?))
        }
        other => Err(Error::invalid(format!("store URL {text:?}: scheme {other:?}; {KNOWN}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn bad_urls_are_named() {
        for bad in [
            "",
            "/tmp/x",
            "file://",
            "file:///",
            "file://host/x",
            "memory://name",
            "ftp://x/y",
            "s3",
        ] {
            let error = open_url(bad).map(|_| ()).expect_err(bad);
            assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{bad}");
            assert!(error.to_string().contains(bad), "{error}");
        }
    }
}
