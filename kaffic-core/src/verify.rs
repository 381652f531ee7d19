//! Reads a whole topic and says what is wrong with it: for an operator who wants to know, and for
//! tests, which end with it. It looks at every object of the logs itself and shares no shortcut
//! with the consumer.

use crate::context::Context;
use crate::error::{Error, ErrorKind, Result};
use crate::keys::{BLOCKS_PER_GROUP, BlockObject};
use crate::log::index::Index;
use crate::log::{End, Log, Look, Open, Verdict};
use crate::slot::{Slot, SlotHeader};
use crate::topic::TopicDescription;
use futures_util::StreamExt;

/// How many slots are read at once.
const AT_ONCE: usize = 4;
/// How much of a segment is read at once.
const PART_BYTES: u64 = 8 << 20;

/// Something wrong in a topic. See [`crate::Kaffic::verify`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifyIssue {
    /// The partition.
    pub partition: u32,
    /// The object, as its key under the store's root.
    pub object: String,
    /// What is wrong with it.
    pub problem: String,
}

/// What a verification found. See [`crate::Kaffic::verify`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifyReport {
    /// Records read and checked.
    pub records: u64,
    /// Batches read and checked.
    pub batches: u64,
    /// Bytes of keys, values and headers.
    pub bytes: u64,
    /// What is wrong. Empty when all is well.
    pub issues: Vec<VerifyIssue>,
    /// Offsets without a record because it has expired, or because a block's end could not be
    /// known and the next begins beyond it: not wrong.
    pub gaps: u64,
}

pub(crate) async fn verify(
    context: &Context,
    topic: &TopicDescription,
    mut progress: impl FnMut(u64) + Send,
) -> Result<VerifyReport> {
    let mut report = VerifyReport::default();
    for partition in 0..topic.partitions {
        let log = topic.log(context, partition);
        let mut check = PartitionCheck {
            log: &log,
            report: &mut report,
            offset: 0,
            astray: false,
            newest: i64::MIN,
        };
        check.run(&mut progress).await?;
    }
    Ok(report)
}

fn is_of_stored_bytes(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Unsupported)
}

struct PartitionCheck<'a> {
    log: &'a Log,
    report: &'a mut VerifyReport,
    /// The next offset.
    offset: i64,
    /// The block before could not be read.
    astray: bool,
    /// The largest timestamp so far.
    newest: i64,
}

impl PartitionCheck<'_> {
    fn key(&self, block: u64, object: BlockObject) -> String {
        self.log.id.block_object(block, object)
    }

    fn issue(&mut self, object: String, problem: impl Into<String>) {
        let partition = self.log.id.partition;
        self.report.issues.push(VerifyIssue { partition, object, problem: problem.into() });
    }

    /// Turns an error about stored bytes into an issue; others end the verification.
    fn noted<T>(&mut self, object: String, result: Result<T>) -> Result<Option<T>> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(error) if is_of_stored_bytes(&error) => {
                self.issue(object, error.to_string());
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    async fn run(&mut self, progress: &mut (impl FnMut(u64) + Send)) -> Result<()> {
        let newest = match self.log.find_tail().await {
            Ok(tail) => tail.map(|tail| tail.open.block),
            Err(error) if is_of_stored_bytes(&error) => None,
            Err(error) => return Err(error),
        };
        let mut block = 0;
        loop {
            let key = self.key(block, BlockObject::Open);
            let open = self.log.open(block).await;
            let open = match self.noted(key.clone(), open)? {
                Some(None) if newest.is_none_or(|newest| block > newest) => return Ok(()),
                Some(Some(open)) => open,
                other => {
                    if other.is_some() {
                        self.issue(key, "is missing; only data/ may expire, never meta/");
                    }
                    // What is in the block is not known; the next says where it begins.
                    (self.astray, block) = (true, block + 1);
                    continue;
                }
            };
            let end = self.log.end(block).await;
            let end = self.noted(self.key(block, BlockObject::End), end)?.flatten();
            self.enter(&open);
            let index = self.index(&open, end.as_ref()).await?;
            self.block(&open, end.as_ref(), index.as_ref(), progress).await?;
            let Some(end) = end else { return self.nothing_after(block).await };
            self.leave(block, &end);
            block += 1;
        }
    }

    fn enter(&mut self, open: &Open) {
        if std::mem::take(&mut self.astray) {
            self.offset = open.base_offset;
        } else if open.base_offset != self.offset {
            let problem = format!("begins at offset {}, not {}", open.base_offset, self.offset);
            self.issue(self.key(open.block, BlockObject::Open), problem);
            self.offset = open.base_offset;
        }
        self.newest = self.newest.max(open.max_timestamp);
    }

    fn leave(&mut self, block: u64, end: &End) {
        let jump = end.next_offset - self.offset;
        match end.verdict {
            _ if jump < 0 => {
                let problem =
                    format!("ends at offset {}, and {} is there", end.next_offset, self.offset);
                self.issue(self.key(block, BlockObject::End), problem);
            }
            // What lies between has expired, or the verdict says that it can't be known.
            _ => self.report.gaps += jump as u64,
        }
        self.offset = end.next_offset;
    }

    async fn nothing_after(&mut self, block: u64) -> Result<()> {
        if self.log.open(block + 1).await?.is_some() {
            self.issue(
                self.key(block, BlockObject::End),
                "is missing, and there is a block after it",
            );
        }
        Ok(())
    }

    /// The block's index, if it has one that says what the block's other objects say.
    async fn index(&mut self, open: &Open, end: Option<&End>) -> Result<Option<Index>> {
        let key = self.key(open.block, BlockObject::Index);
        let index = self.log.index(open.block).await;
        let Some(index) = self.noted(key.clone(), index)?.flatten() else { return Ok(None) };
        let mut its_open = index.open.clone();
        // A copy has another stamp.
        its_open.lease.opened = open.lease.opened;
        if its_open != *open {
            self.issue(key.clone(), "contradicts its block's open");
        }
        if end.is_none_or(|end| *end != index.end) {
            self.issue(key, "contradicts its block's end");
        }
        Ok(Some(index))
    }

    /// Reads a block's slots from its segments.
    async fn segments(
        &mut self,
        index: &Index,
        progress: &mut (impl FnMut(u64) + Send),
    ) -> Result<()> {
        let (log, block) = (self.log, index.open.block);
        let group = log.group(block / BLOCKS_PER_GROUP).await?;
        let may_have_expired = index.open.lease.may_have_expired(log.env.now_ms());
        let mut sizes = Vec::new();
        for segment in &index.segments {
            let entry = group.named.iter().find(|entry| entry.name == segment.name);
            let size = entry.map(|entry| entry.size);
            let key = log.id.segment(block, &segment.name);
            match size {
                None if !may_have_expired => self.issue(key, "is missing"),
                Some(size) if size != segment.bytes => {
                    self.issue(key, format!("has {size} bytes, not {}", segment.bytes));
                }
                _ => {}
            }
            sizes.push(size);
        }
        let (mut slot, mut after_gap) = (0, false);
        while let Some(part) = index.part(slot, PART_BYTES) {
            slot = part.slots.end;
            let key = log.id.segment(block, &index.segments[part.segment].name);
            let there = sizes[part.segment].is_some();
            let object = match there {
                true => log.store.get_range(&key, part.bytes.clone()).await?,
                false => None,
            };
            let Some(object) = object else {
                after_gap = true;
                continue;
            };
            for number in part.slots.clone() {
                let header = &index.headers()[number as usize];
                let joined = index.slot(&key, &part, &object.bytes, number);
                self.slot(&key, header, joined, std::mem::take(&mut after_gap));
            }
            progress(self.report.records);
        }
        Ok(())
    }

    async fn block(
        &mut self,
        open: &Open,
        end: Option<&End>,
        index: Option<&Index>,
        progress: &mut (impl FnMut(u64) + Send),
    ) -> Result<()> {
        if let Some(index) = index.filter(|index| !index.segments.is_empty()) {
            return self.segments(index, progress).await;
        }
        let log = self.log;
        let mut listed: Vec<u32> =
            log.slots(open.block).await?.iter().map(|entry| entry.number as u32).collect();
        listed.sort_unstable();
        let mut objects = futures_util::stream::iter(listed)
            .map(|number| async move {
                let key = log.id.slot(open.block, number);
                (number, log.get_slot(open.block, &key).await, key)
            })
            .buffered(AT_ONCE);
        let mut expected = 0;
        let mut last_seen = false;
        while let Some((number, object, key)) = objects.next().await {
            let Some(object) = object? else { continue };
            let look = match end {
                Some(end) => log.judge_ended(&key, open, end, number, &object),
                None => log.judge(&key, open, &object),
            };
            let Some(look) = self.noted(key.clone(), look)? else {
                expected = number + 1;
                continue;
            };
            let Look::Valid { slot: header, .. } = look else { continue };
            if last_seen {
                self.issue(key.clone(), "comes after the slot that says it is its block's last");
            }
            let skipped = number - expected;
            if skipped > 0 && !open.lease.may_have_expired(log.env.now_ms()) {
                self.issue(key.clone(), format!("{skipped} slots before it are missing"));
            }
            let slot = Slot::decode(&object.bytes).map_err(|error| error.at(&key));
            self.slot(&key, &header, slot, skipped > 0);
            (expected, last_seen) = (number + 1, header.last);
            progress(self.report.records);
        }
        if let Some(End { verdict: Verdict::Slots(slots), .. }) = end
            && *slots > expected
            && !open.lease.may_have_expired(log.env.now_ms())
        {
            let key = log.id.slot(open.block, expected);
            self.issue(key, format!("{} slots from it on are missing", slots - expected));
        }
        Ok(())
    }

    fn slot(&mut self, key: &str, header: &SlotHeader, slot: Result<Slot>, after_gap: bool) {
        let jump = header.base_offset - self.offset;
        if jump > 0 && after_gap {
            self.report.gaps += jump as u64;
        } else if jump != 0 {
            self.issue(
                key.to_owned(),
                format!("has offset {}, not {}", header.base_offset, self.offset),
            );
        }
        self.offset = header.next_offset();
        if let Err(error) = slot.and_then(|slot| self.records(key, slot)) {
            self.issue(key.to_owned(), error.to_string());
        }
    }

    fn records(&mut self, key: &str, slot: Slot) -> Result<()> {
        let Slot { header, batch: Some(batch) } = slot else { return Ok(()) };
        let mut records = batch.records().map_err(|error| Error::corrupt(key, error))?;
        let mut expected = header.base_offset;
        while let Some(record) = records.next() {
            let (_, record) = record.map_err(|error| Error::corrupt(key, error))?;
            if record.offset != expected {
                let what = format!("record {} has offset {}", expected, record.offset);
                return Err(Error::corrupt(key, what));
            }
            self.newest = self.newest.max(record.timestamp);
            self.report.records += 1;
            self.report.bytes += record.content_len();
            expected += 1;
        }
        self.report.batches += 1;
        if header.max_timestamp < self.newest {
            let what = format!(
                "its running maximum timestamp is {}, and there was {}",
                header.max_timestamp, self.newest
            );
            return Err(Error::corrupt(key, what));
        }
        Ok(())
    }
}
