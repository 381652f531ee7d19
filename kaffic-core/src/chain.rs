//! A chain: numbered objects, each put-if-absent, of which the highest is the present. Everything
//! mutable outside the logs is one, so whoever writes has read what was there before.

use crate::error::{Error, Result};
use crate::keys::chain_link;
use crate::store::Store;
use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;

const STAGING: Duration = Duration::from_secs(3600);

/// The present of a chain and its number.
#[derive(Debug, Clone)]
pub(crate) struct Link<T> {
    pub(crate) version: u64,
    pub(crate) value: T,
}

/// Reads the newest link; `None` where the chain is empty.
pub(crate) async fn newest<T: DeserializeOwned>(
    store: &Store,
    dir: &str,
) -> Result<Option<Link<T>>> {
    let listing = store.list(dir).await?;
    let Some(version) = listing.numbered.iter().map(|entry| entry.number).max() else {
        return Ok(None);
    };
    let key = chain_link(dir, version);
    let object = store
        .get(&key)
        .await?
        .ok_or_else(|| Error::corrupt(&key, "it is listed, and a get says that it is not there"))?;
    Ok(Some(Link { version, value: from_json(&key, &object.bytes)? }))
}

/// Appends a link after version `after` (`None`: the first). `Ok(None)` when another was first:
/// read anew and decide anew. Values have to differ from one another (by a nonce, say), since an
/// unclear put is decided by comparing.
pub(crate) async fn append<T: Serialize>(
    store: &Store,
    dir: &str,
    after: Option<u64>,
    value: &T,
) -> Result<Option<u64>> {
    let version = after.map_or(0, |version| version + 1);
    let bytes = to_json(value)?;
    let key = chain_link(dir, version);
    let winner = store.create_or_read(&key, bytes.clone(), STAGING).await?;
    Ok(winner.is_none_or(|winner| winner.bytes == bytes).then_some(version))
}

/// A small object's JSON.
pub(crate) fn to_json(value: &impl Serialize) -> Result<Bytes> {
    serde_json::to_vec(value)
        .map(Bytes::from)
        .map_err(|error| Error::internal("a value has no JSON").with_source(error))
}

/// The value of a small object's JSON.
pub(crate) fn from_json<T: DeserializeOwned>(key: &str, bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|error| {
        Error::corrupt(key, format_args!("it is damaged or not of kaffic's ({error})"))
            .with_source(error)
    })
}
