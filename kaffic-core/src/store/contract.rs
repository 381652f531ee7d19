//! Refuses a store that does not keep the condition of a put, before anything is risked on it.

use super::{Put, Store};
use crate::error::{Error, ErrorKind, Result};
use crate::keys;
use bytes::Bytes;
use std::time::Duration;

const STAGING: Duration = Duration::from_secs(60);

impl Store {
    /// Once per client, before its first write: two puts of one scratch object, of which the
    /// second has to fail and leave the first as it was.
    pub(crate) async fn check_contract(&self) -> Result<()> {
        self.contract.get_or_try_init(|| self.try_contract()).await.map(|_| ())
    }

    /// The storage's own time in whole Unix seconds: the stamp of a scratch object.
    pub(crate) async fn now(&self) -> Result<i64> {
        let mut tries = 0;
        loop {
            tries += 1;
            let key = keys::probe(self.env.random());
            self.create(&key, Bytes::from_static(b"now").into(), STAGING).await?;
            let object = self.get(&key).await?;
            self.delete_once(&key).await.ok();
            match object {
                Some(object) => return Ok(object.stamp),
                None => {
                    let what = format!("{key} is not there after a put");
                    self.again_or(Error::new(ErrorKind::Unavailable, what), tries).await?;
                }
            }
        }
    }

    async fn try_contract(&self) -> Result<()> {
        let mut tries = 0;
        loop {
            tries += 1;
            // A new key each time: the leftover of an unclear put proves nothing.
            let key = keys::probe(self.env.random());
            let kept = self.condition_is_kept(&key).await;
            self.delete_once(&key).await.ok();
            match kept {
                Ok(true) => return Ok(()),
                Ok(false) => {
                    return Err(Error::new(
                        ErrorKind::UnsafeStore,
                        format!(
                            "{self:?} ignored the condition of a put-if-absent (tried on {key}), so \
                             writers would overwrite each other; kaffic can't be used there"
                        ),
                    ));
                }
                Err(error) => self.again_or(error, tries).await?,
            }
        }
    }

    async fn condition_is_kept(&self, key: &str) -> Result<bool> {
        let (first, second) = (Bytes::from_static(b"first"), Bytes::from_static(b"second"));
        match self.create(key, first.clone().into(), STAGING).await? {
            Put::Created => {}
            Put::Unclear(error) => return Err(error),
            // The client library may have tried twice: what is there tells.
            Put::Exists => return Err(Error::new(ErrorKind::Unavailable, format!("{key} exists"))),
        }
        match self.create(key, second.into(), STAGING).await? {
            Put::Created => return Ok(false),
            Put::Exists => {}
            Put::Unclear(error) => return Err(error),
        }
        match self.get(key).await? {
            Some(object) => Ok(object.bytes == first),
            None => {
                Err(Error::new(ErrorKind::Unavailable, format!("{key} is not there after a put")))
            }
        }
    }
}
