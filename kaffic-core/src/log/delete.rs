//! Deleting a log: first nothing can be appended any more, then its data goes, block by block, as
//! soon as no late put can bring a slot back.

use super::Log;
use super::append::Appender;
use crate::env::timeout;
use crate::error::{Error, ErrorKind, Result};
use std::sync::Arc;
use std::time::Duration;

/// How long ending a log may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a deletion did.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let client = kaffic_core::Kaffic::connect("memory://").await.unwrap();
/// # client.topics().create("t", Default::default()).await.unwrap();
/// # let producer = client.producer("t").build().await.unwrap();
/// # producer.send(kaffic_core::Record::value("v")).await.unwrap();
/// let deletion = client.topics().delete("t").await.unwrap();
/// assert_eq!(deletion.removed, 0);
/// // The slots have to stay until no late put could bring one back.
/// assert!(deletion.remaining > 0 && deletion.removable_at_ms.is_some());
/// # });
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Deletion {
    /// Objects removed now.
    pub removed: u64,
    /// Objects that have to stay until no late put can bring a slot back.
    pub remaining: u64,
    /// When (Unix milliseconds) deleting again removes all that remains.
    pub removable_at_ms: Option<i64>,
}

impl Log {
    /// Ends the log for ever. Its descriptions under `meta/` stay, as a tombstone.
    pub(crate) async fn close_for_ever(self: &Arc<Self>) -> Result<()> {
        let mut appender = Appender::new(Arc::clone(self), None);
        match timeout(&*self.env, PATIENCE, appender.close_for_ever()).await {
            // It was closed before.
            Some(Err(error)) if error.kind() == ErrorKind::TopicNotFound => Ok(()),
            Some(done) => done,
            None => Err(Error::new(
                ErrorKind::Timeout,
                format!("{} was not ended within {PATIENCE:?}; delete the topic again", self.id),
            )),
        }
    }

    /// Removes the slots and segments of every block whose time has come by `now`, a stamp of the
    /// storage's, and counts the rest. A local clock would not do: a slot that goes too early could
    /// be put again.
    pub(crate) async fn remove_data(&self, now: i64, deletion: &mut Deletion) -> Result<()> {
        self.remove_blocks(u64::MAX, now, deletion).await
    }

    /// The same for the blocks before one, in a log of which only the newest record matters.
    pub(crate) async fn remove_blocks(
        &self,
        before: u64,
        now: i64,
        deletion: &mut Deletion,
    ) -> Result<()> {
        for block in self.data_blocks().await? {
            if block.block >= before {
                return Ok(());
            }
            let objects = self.data_objects(&block).await?;
            let count = objects.len() as u64;
            let removable = self.open(block.block).await?.map(|open| open.lease.removable_at());
            match removable {
                Some(at) if at > now => {
                    deletion.remaining += count;
                    deletion.removable_at_ms = deletion.removable_at_ms.max(Some(at * 1000));
                }
                _ => {
                    self.store
                        .delete_all(objects.into_iter().map(|(key, _)| key).collect())
                        .await?;
                    deletion.removed += count;
                }
            }
        }
        Ok(())
    }
}
