//! The chain of a producer's name: each instance takes the next epoch, so the newest is known, and
//! an older one that looks there stops.

use crate::chain;
use crate::env::Env;
use crate::error::{Error, ErrorKind, Result};
use crate::keys::{chain_link, check_producer_name, producer_dir};
use crate::store::Store;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

const FORMAT: u32 = 1;

/// A link of the chain; its number is the epoch.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Stored {
    format: u32,
    /// Drawn by the first instance, and the same for all.
    producer_id: i64,
    created_ms: i64,
    nonce: String,
}

/// A name that this instance has taken.
#[derive(Debug, Clone)]
pub(crate) struct Claim {
    pub(crate) name: Arc<str>,
    pub(crate) producer_id: i64,
    pub(crate) epoch: u32,
}

impl Claim {
    /// Takes the next epoch of a name.
    pub(crate) async fn take(store: &Store, env: &dyn Env, name: &str) -> Result<Self> {
        check_producer_name(name)?;
        let dir = producer_dir(name);
        loop {
            let newest = chain::newest::<Stored>(store, &dir).await?;
            if let Some(link) = newest.as_ref().filter(|link| link.value.format != FORMAT) {
                let key = chain_link(&dir, link.version);
                let what = format!(
                    "{key} is in format {}; this version reads {FORMAT}",
                    link.value.format
                );
                return Err(Error::new(ErrorKind::Unsupported, what));
            }
            // Kafka's ids are not negative.
            let drawn = (env.random() >> 1) as i64;
            let stored = Stored {
                format: FORMAT,
                producer_id: newest.as_ref().map_or(drawn, |link| link.value.producer_id),
                created_ms: env.now_ms(),
                nonce: format!("{:016x}", env.random()),
            };
            let after = newest.map(|link| link.version);
            if let Some(version) = chain::append(store, &dir, after, &stored).await? {
                let epoch = u32::try_from(version).map_err(|_| {
                    Error::corrupt(&chain_link(&dir, version), "its number can't be")
                })?;
                return Ok(Self { name: name.into(), producer_id: stored.producer_id, epoch });
            }
        }
    }

    /// Fails if a newer instance has taken the name.
    pub(crate) async fn check(&self, store: &Store) -> Result<()> {
        let next = chain_link(&producer_dir(&self.name), u64::from(self.epoch) + 1);
        match store.get(&next).await? {
            None => Ok(()),
            Some(_) => Err(self.fenced()),
        }
    }

    pub(crate) fn fenced(&self) -> Error {
        let Self { name, epoch, .. } = self;
        Error::new(
            ErrorKind::Fenced,
            format!(
                "producer {name} (epoch {epoch}) was taken over by a newer instance of that name; \
                 this one writes no more"
            ),
        )
    }
}
