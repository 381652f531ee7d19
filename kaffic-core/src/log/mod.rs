//! The log of one partition: what its objects are and how they are looked at. [`append`] writes,
//! [`read`] reads, [`tail`] finds the end and [`seek`] finds an offset or a time; the rules that
//! all of them share (what counts as a slot, who decides an end) are here.

mod adopt;
pub(crate) mod append;
pub(crate) mod aside;
mod block;
pub(crate) mod budget;
pub(crate) mod compact;
mod delete;
pub(crate) mod identity;
pub(crate) mod index;
pub(crate) mod read;
pub(crate) mod seek;
mod segments;
pub(crate) mod tail;
mod trim;

pub use adopt::{AdoptReport, AdoptedBlock};
pub use block::MinExpiry;
pub(crate) use block::{End, MAX_BATCH_RECORDS, Open, Sequences, Verdict};
pub use delete::Deletion;
pub(crate) use trim::TrimPoint;
pub use trim::TrimReport;

use crate::env::{Env, Rule};
use crate::error::{Error, ErrorKind, Result};
use crate::keys::{BLOCKS_PER_GROUP, BlockObject, LogId, group_name, parse_segment};
use crate::slot::{PROBE_LEN, SlotHeader};
use crate::store::{Entry, Listing, NamedEntry, Object, Store};
pub(crate) use block::Lease;
use compact::Compactor;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// What the topic's description says of its logs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LogSettings {
    pub(crate) min_expiry: MinExpiry,
    pub(crate) slots: u32,
}

/// One partition's log in a store.
#[derive(Debug)]
pub(crate) struct Log {
    pub(crate) id: LogId,
    pub(crate) store: Store,
    pub(crate) env: Arc<dyn Env>,
    pub(crate) settings: LogSettings,
    /// Compacts the blocks that are ended here, if anybody does.
    pub(crate) compactor: Option<Arc<Compactor>>,
}

/// What is at a slot.
#[derive(Debug)]
pub(crate) enum Look<T> {
    /// Nothing, or nothing any more.
    Absent,
    /// Something that does not count, for anybody, for ever.
    Void {
        /// When it was put, in storage time.
        stamp: i64,
    },
    /// A slot of the log.
    Valid {
        slot: T,
        /// When it was put, in storage time.
        stamp: i64,
    },
}

impl Log {
    /// A block's beginning, if it has one.
    pub(crate) async fn open(&self, block: u64) -> Result<Option<Open>> {
        let key = self.id.block_object(block, BlockObject::Open);
        match self.store.get(&key).await? {
            Some(object) => Open::decode(&key, block, &object).map(Some),
            None => Ok(None),
        }
    }

    /// A block's end, if it has one.
    pub(crate) async fn end(&self, block: u64) -> Result<Option<End>> {
        let key = self.id.block_object(block, BlockObject::End);
        match self.store.get(&key).await? {
            Some(object) => End::decode(&key, &object).map(Some),
            None => Ok(None),
        }
    }

    /// The last application sequences of producers before a block.
    pub(crate) async fn sequences_before(&self, block: u64) -> Result<Sequences> {
        let Some(before) = block.checked_sub(1) else { return Ok(Sequences::default()) };
        Ok(self.end(before).await?.map(|end| end.producers).unwrap_or_default())
    }

    /// Opens a block, or reads how another opened it. Says whether this call surely did it.
    async fn create_open(&self, block: u64, base: i64, max_timestamp: i64) -> Result<(Open, bool)> {
        let key = self.id.block_object(block, BlockObject::Open);
        let bytes =
            Open::encode(base, max_timestamp, self.settings.min_expiry, self.settings.slots)?;
        let winner = self.store.create_or_read(&key, bytes, self.staging_limit()).await?;
        let ours = winner.is_none();
        let object = match winner {
            Some(object) => object,
            // Our own is read back for its stamp, from which the lease runs.
            None => self.store.get(&key).await?.ok_or_else(|| {
                Error::new(ErrorKind::Unavailable, format!("{key} is not there after a put"))
            })?,
        };
        let open = Open::decode(&key, block, &object)?;
        if open.base_offset != base {
            let what =
                format!("its base offset is {}, the end before says {base}", open.base_offset);
            return Err(Error::corrupt(&key, what));
        }
        Ok((open, ours))
    }

    /// Ends a block, or reads how another ended it: the winner's word holds. Who ended it has it
    /// compacted.
    async fn conclude(self: &Arc<Self>, block: u64, end: &End) -> Result<End> {
        let key = self.id.block_object(block, BlockObject::End);
        let bytes = end.encode()?;
        let winner = self.store.create_or_read(&key, bytes, self.staging_limit()).await?;
        if let (None, Some(compactor)) = (&winner, &self.compactor) {
            compactor.begin(self, block);
        }
        match winner {
            Some(winner) => End::decode(&key, &winner),
            None => Ok(end.clone()),
        }
    }

    /// The slots that are listed in a block, in no order, void ones among them.
    pub(crate) async fn slots(&self, block: u64) -> Result<Vec<Entry>> {
        Ok(self.store.list(&self.id.block_data_dir(block)).await?.numbered)
    }

    /// What is under `data/`, block by block in order.
    pub(crate) async fn data_blocks(&self) -> Result<Vec<DataBlock>> {
        let mut groups: Vec<u64> =
            self.store.list(&self.id.data_dir()).await?.numbered_dirs().collect();
        groups.sort_unstable();
        let mut blocks = Vec::new();
        for group in groups {
            let listing = self.group(group).await?;
            let found = blocks_of(&listing).into_iter().map(|(number, names)| {
                let of_block = |entry: &&NamedEntry| names.contains(&entry.name.as_str());
                let segments = listing.named.iter().filter(of_block).cloned().collect();
                DataBlock { block: group * BLOCKS_PER_GROUP + number, segments }
            });
            blocks.extend(found);
        }
        Ok(blocks)
    }

    /// The objects of a block under `data/`, and their bytes.
    pub(crate) async fn data_objects(&self, of: &DataBlock) -> Result<Vec<(String, u64)>> {
        let (mut slots, asides) = self.slots_and_asides(of.block).await?;
        slots.sort_unstable_by_key(|entry| entry.number);
        let slots =
            slots.iter().map(|entry| (self.id.slot(of.block, entry.number as u32), entry.size));
        let segments =
            of.segments.iter().map(|entry| (self.id.segment(of.block, &entry.name), entry.size));
        Ok(slots.chain(asides).chain(segments).collect())
    }

    /// The newest block that has a directory.
    async fn newest_block(&self) -> Result<Option<u64>> {
        let dir = self.id.meta_dir();
        let Some(group) = self.store.list(&dir).await?.numbered_dirs().max() else {
            return Ok(None);
        };
        let blocks = self.store.list(&format!("{dir}/{}", group_name(group))).await?;
        let newest = blocks.numbered_dirs().max().unwrap_or_default();
        Ok(Some(group * BLOCKS_PER_GROUP + newest))
    }

    /// The header at a slot of a block that has no end as far as the caller knows.
    pub(crate) async fn look(&self, open: &Open, slot: u32) -> Result<Look<SlotHeader>> {
        let key = self.id.slot(open.block, slot);
        match self.store.get_start(&key, PROBE_LEN).await? {
            Some(object) => self.judge(&key, open, &object),
            None => Ok(Look::Absent),
        }
    }

    /// Whether a slot with this stamp counts.
    pub(crate) fn counts(&self, open: &Open, stamp: i64) -> bool {
        self.lease(open).holds(stamp) || !self.env.keeps(Rule::LateSlotsAreVoid)
    }

    /// The lease of a block.
    fn lease(&self, open: &Open) -> Lease {
        let mut lease = open.lease;
        if !self.env.keeps(Rule::LeaseComesFromOpen) {
            lease.length_ms = Lease::length_for(self.settings.min_expiry);
        }
        lease
    }

    /// Decides by its stamp whether an object is a slot of a block that has no end.
    pub(crate) fn judge(
        &self,
        key: &str,
        open: &Open,
        object: &Object,
    ) -> Result<Look<SlotHeader>> {
        let stamp = object.stamp;
        if !self.counts(open, stamp) {
            return Ok(Look::Void { stamp });
        }
        let header = decode_header(key, object)?;
        let same = header.opened == open.lease.opened
            && i64::from(header.lease_ms) == open.lease.length_ms;
        if !same && self.env.keeps(Rule::LateSlotsAreVoid) {
            return Err(Error::corrupt(
                key,
                "its block was opened at another time than the slot says: the store was copied or \
                 altered while it was written to; see docs/operations.md",
            ));
        }
        Ok(Look::Valid { slot: header, stamp })
    }

    /// Decides by the block's end whether an object is a slot of it: stamps are not consulted, so
    /// copied and restored stores read well.
    pub(crate) fn judge_ended(
        &self,
        key: &str,
        open: &Open,
        end: &End,
        slot: u32,
        object: &Object,
    ) -> Result<Look<SlotHeader>> {
        let stamp = object.stamp;
        match end.verdict {
            Verdict::Unknown => self.judge(key, open, object),
            Verdict::Slots(slots) if slot >= slots => Ok(Look::Void { stamp }),
            Verdict::Slots(_) => match end.checksums.get(slot as usize).copied().flatten() {
                // Expired before the block was ended, so this is something that came late.
                None => Ok(Look::Void { stamp }),
                Some(checksum) => match decode_header(key, object) {
                    Ok(header) if header.crc == checksum => Ok(Look::Valid { slot: header, stamp }),
                    // Put late into a slot that had expired.
                    Ok(_) | Err(_) if !open.lease.holds(stamp) => Ok(Look::Void { stamp }),
                    Ok(_) => Err(Error::corrupt(
                        key,
                        "its checksum is not the one its block's end names",
                    )),
                    Err(error) => Err(error),
                },
            },
        }
    }

    /// How long a filesystem may take from stamping an object to showing it: K.
    pub(crate) fn staging_limit(&self) -> Duration {
        let lease = Lease { opened: 0, length_ms: 0, expiry_ms: self.settings.min_expiry.as_ms() };
        lease.staging_limit()
    }

    fn deleted(&self) -> Error {
        Error::new(ErrorKind::TopicNotFound, format!("topic {} was deleted", self.id.topic))
    }
}

/// A block that has anything under `data/`.
#[derive(Debug)]
pub(crate) struct DataBlock {
    pub(crate) block: u64,
    segments: Vec<NamedEntry>,
}

/// The blocks of a group that have anything under `data/`, by number in the group, and the names
/// of their segments.
pub(crate) fn blocks_of(group: &Listing) -> BTreeMap<u64, Vec<&str>> {
    let mut blocks: BTreeMap<u64, Vec<&str>> =
        group.numbered_dirs().map(|number| (number, Vec::new())).collect();
    for entry in &group.named {
        if let Some(number) = parse_segment(&entry.name) {
            blocks.entry(number).or_default().push(&entry.name);
        }
    }
    blocks
}

fn decode_header(key: &str, object: &Object) -> Result<SlotHeader> {
    SlotHeader::decode(&object.bytes).map_err(|error| error.at(key))
}
