//! Big batches that lost a race: put aside once, and then raced for by slots of a hundred bytes that
//! say where they are. So a writer of big batches does not upload the same bytes again and again
//! while others win.

use super::Log;
use crate::batch::{BATCH_HEADER_LEN, EncodedBatch};
use crate::error::Result;
use crate::keys::is_aside;
use crate::slot::{aside_of, with_aside};
use crate::store::{Entry, Listing, NamedEntry, Object, Put};
use bytes::Bytes;
use object_store::PutPayload;

/// Batches above this are put aside when they have lost once.
pub(crate) const WORTH_ASIDE: usize = 256 << 10;

/// A batch that was put aside, for a block: it stays as long as the block's slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Aside {
    pub(crate) block: u64,
    pub(crate) nonce: u64,
}

impl Log {
    /// A slot's object of a block, as if it had not been put aside. `None` where the batch has gone.
    pub(crate) async fn get_slot(&self, block: u64, key: &str) -> Result<Option<Object>> {
        let Some(object) = self.store.get(key).await? else { return Ok(None) };
        let Some(nonce) = aside_of(&object.bytes) else { return Ok(Some(object)) };
        let aside = self.store.get(&self.id.aside(block, nonce)).await?;
        let with = |aside: Object| with_aside(&object.bytes, &aside.bytes);
        Ok(aside.map(|aside| Object { bytes: with(aside), stamp: object.stamp }))
    }

    /// Puts a batch aside. `head` is its header, with whatever base offset.
    pub(crate) async fn put_aside(
        &self,
        block: u64,
        head: &[u8; BATCH_HEADER_LEN],
        batch: &EncodedBatch,
    ) -> Result<Aside> {
        let nonce = self.env.random();
        let parts = [Bytes::copy_from_slice(head), batch.body().clone()];
        let payload: PutPayload = parts.into_iter().collect();
        match self.store.create(&self.id.aside(block, nonce), payload, self.staging_limit()).await?
        {
            // Nobody else has this name.
            Put::Created | Put::Exists => Ok(Aside { block, nonce }),
            // Another name next time: this one may yet come, and nobody will say that it is there.
            Put::Unclear(error) => Err(error),
        }
    }

    /// The slots that are listed in a block, in no order, void ones among them, and the batches that
    /// were put aside: their keys and sizes.
    pub(crate) async fn slots_and_asides(
        &self,
        block: u64,
    ) -> Result<(Vec<Entry>, Vec<(String, u64)>)> {
        let Listing { numbered, named, .. } =
            self.store.list(&self.id.block_data_dir(block)).await?;
        let asides = named.iter().filter(|entry| is_aside(&entry.name));
        let of = |entry: &NamedEntry| (self.id.block_data(block, &entry.name), entry.size);
        Ok((numbered, asides.map(of).collect()))
    }
}
