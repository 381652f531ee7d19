//! A log of any length that nobody wrote: objects are made up as they are asked for.

use super::format::{BatchHead, BatchRecord, HEADER_LEN, Header, batch};
use super::lab::{BEGIN_MS, answer_get, time};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use kaffic_core::object_store::path::Path;
use kaffic_core::object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use std::time::Duration;

/// A log of any length, made up as it is asked for: every slot has two records of a second each.
#[derive(Debug)]
pub(crate) struct Endless {
    slots: u64,
    /// Every block but the newest has an index and one segment, and no slots.
    compacted: bool,
    /// What each request takes.
    latency: Duration,
}

/// The records of a slot.
pub(crate) const TWO: u64 = 2;
const TOPIC: &str = r#"{"format":1,"incarnation":0,"deleted":false,"partitions":1,
    "min_expiry_ms":null,"slots":1000,"created_ms":0,"nonce":"0000000000000001"}"#;

impl Endless {
    pub(crate) fn new(slots: u64) -> Self {
        Self { slots, compacted: false, latency: Duration::ZERO }
    }

    pub(crate) fn compacted(self) -> Self {
        Self { compacted: true, ..self }
    }

    pub(crate) fn latency(self, latency: Duration) -> Self {
        Self { latency, ..self }
    }

    #[expect(clippy::disallowed_methods, reason = "a store's latency, in the test's time")]
    async fn wait(&self) {
        tokio::time::sleep(self.latency).await;
    }

    fn is_compacted(&self, block: u64) -> bool {
        self.compacted && block != self.newest_block()
    }

    fn segment_name(block: u64) -> String {
        format!("{:03}.00000000000000ab-0", block % 1000)
    }

    fn segment(&self, block: u64) -> Bytes {
        let batches = (0..1000).map(|slot| self.slot(block, slot).slice(HEADER_LEN..));
        Bytes::from(batches.collect::<Vec<_>>().concat())
    }

    fn index(&self, block: u64) -> Option<Bytes> {
        let mut end = self.end(block).filter(|_| self.is_compacted(block))?.to_vec();
        let checksums = end.windows(12).position(|window| window == b"\"checksums\":")?;
        let closed = end.windows(9).position(|window| window == b"\"closed\":")?;
        end.drain(checksums..closed);
        let json = format!(
            r#"{{"format":1,"opened":{},"open":{},"end":{},
                "segments":[{{"name":"{}","bytes":{},"first_slot":0}}]}}"#,
            self.opened(block),
            String::from_utf8_lossy(&self.open(block)),
            String::from_utf8_lossy(&end),
            Self::segment_name(block),
            self.segment(block).len(),
        );
        let mut out = json.replace('\n', "").into_bytes();
        out.push(b'\n');
        for slot in 0..1000 {
            out.extend_from_slice(&self.slot(block, slot)[..HEADER_LEN]);
        }
        let checksum = crc32c::crc32c(&out);
        out.extend_from_slice(&checksum.to_be_bytes());
        Some(Bytes::from(out))
    }

    fn newest_block(&self) -> u64 {
        (self.slots - 1) / 1000
    }

    /// Ten blocks an hour.
    fn opened(&self, block: u64) -> i64 {
        let age = (self.newest_block() - block) as i64 * 360;
        BEGIN_MS / 1000 - age
    }

    fn slots_of(&self, block: u64) -> u64 {
        (self.slots - block * 1000).min(1000)
    }

    fn timestamp(offset: u64) -> i64 {
        offset as i64 * 1000
    }

    fn slot(&self, block: u64, slot: u64) -> Bytes {
        let number = block * 1000 + slot;
        let base = number * TWO;
        let records: Vec<BatchRecord> = (base..base + TWO)
            .map(|offset| BatchRecord {
                timestamp: Self::timestamp(offset),
                offset: offset as i64,
                value: Some(format!("{offset}").into()),
                ..BatchRecord::default()
            })
            .collect();
        let head = BatchHead {
            base_offset: base as i64,
            base_timestamp: Self::timestamp(base),
            max_timestamp: Self::timestamp(base + 1),
            producer_id: 7,
            base_sequence: (base & 0x7fff_ffff) as i32,
            ..BatchHead::default()
        };
        let batch = batch(&head, &records);
        let header = Header {
            base_offset: base as i64,
            record_count: TWO as u32,
            batch_len: batch.len() as u32,
            max_timestamp: Self::timestamp(base + 1),
            nonce: number,
            producer_id: 7,
            lease_ms: 43_200_000,
            sequence: base as i64,
            app_sequence: -1,
            opened: self.opened(block),
            flags: u8::from(slot == 999),
            ..Header::default()
        };
        header.object(&batch)
    }

    fn open(&self, block: u64) -> Bytes {
        let base = block * 1000 * TWO;
        let max_timestamp = match base {
            0 => "null".to_owned(),
            _ => Self::timestamp(base - 1).to_string(),
        };
        Bytes::from(format!(
            r#"{{"format":1,"base_offset":{base},"max_timestamp":{max_timestamp},
                "lease_ms":43200000,"min_expiry_ms":null,"slots":1000,"max_records":100000}}"#,
        ))
    }

    fn end(&self, block: u64) -> Option<Bytes> {
        if block == self.newest_block() {
            return None;
        }
        let checksums: Vec<String> =
            (0..1000).map(|slot| Header::checksum(&self.slot(block, slot)).to_string()).collect();
        let next = (block + 1) * 1000 * TWO;
        Some(Bytes::from(format!(
            r#"{{"format":1,"verdict":{{"slots":1000}},"next_offset":{next},"max_timestamp":{},
                "opened":{},"checksums":[{}],"closed":false}}"#,
            Self::timestamp(next - 1),
            self.opened(block),
            checksums.join(","),
        )))
    }

    /// The block that the last two parts of a directory name.
    fn block(&self, group: &str, block: &str) -> Option<u64> {
        let block = group.parse::<u64>().ok()? * 1000 + block.parse::<u64>().ok()?;
        (block <= self.newest_block()).then_some(block)
    }

    fn object(&self, key: &str) -> Option<(Bytes, i64)> {
        let parts: Vec<&str> = key.split('/').collect();
        match parts[..] {
            ["meta", "topics", "t", "000000000"] => Some((Bytes::from(TOPIC), 0)),
            ["meta", "logs", "t", "0", "00000", group, block, name] => {
                let block = self.block(group, block)?;
                let bytes = match name {
                    "open" => Some(self.open(block)),
                    "end" => self.end(block),
                    _ => self.index(block),
                };
                Some((bytes?, self.opened(block)))
            }
            ["data", "t", "0", "00000", group, segment] => {
                let block = self.block(group, segment.split_once('.')?.0)?;
                Some((self.segment(block), self.opened(block)))
            }
            ["data", "t", "0", "00000", group, block, slot] => {
                let (block, slot) = (self.block(group, block)?, slot.parse().ok()?);
                let there = slot < self.slots_of(block) && !self.is_compacted(block);
                there.then(|| (self.slot(block, slot), self.opened(block)))
            }
            _ => None,
        }
    }

    /// Directories and objects directly under a directory.
    fn listing(&self, dir: &str) -> (Vec<String>, Vec<String>) {
        let parts: Vec<&str> = dir.split('/').collect();
        let newest = self.newest_block();
        match parts[..] {
            ["meta", "topics", "t"] => (vec![], vec!["000000000".into()]),
            ["meta", "logs", "t", "0", "00000"] | ["data", "t", "0", "00000"] => {
                ((0..=newest / 1000).map(|group| format!("{group:09}")).collect(), vec![])
            }
            [root, .., "t", "0", "00000", group] => {
                let first = group.parse::<u64>().expect("a group") * 1000;
                let blocks = first..=newest.min(first + 999);
                let (segments, dirs): (Vec<u64>, Vec<u64>) =
                    blocks.partition(|block| root == "data" && self.is_compacted(*block));
                (
                    dirs.into_iter().map(|block| format!("{:03}", block % 1000)).collect(),
                    segments.into_iter().map(Self::segment_name).collect(),
                )
            }
            ["data", "t", "0", "00000", group, block] => {
                let block = self.block(group, block).filter(|block| !self.is_compacted(*block));
                let slots = block.map_or(0, |block| self.slots_of(block));
                (vec![], (0..slots).map(|slot| format!("{slot:03}")).collect())
            }
            _ => panic!("nobody has to list {dir}"),
        }
    }

    fn meta(&self, key: &str, bytes: &Bytes, stamp: i64) -> ObjectMeta {
        ObjectMeta {
            location: Path::from(key),
            last_modified: time(stamp * 1000),
            size: bytes.len() as u64,
            e_tag: None,
            version: None,
        }
    }
}

impl std::fmt::Display for Endless {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "endless://{}", self.slots)
    }
}

#[async_trait]
impl ObjectStore for Endless {
    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.wait().await;
        let key = location.as_ref();
        let Some((bytes, stamp)) = self.object(key) else {
            return Err(Error::NotFound { path: key.to_owned(), source: "not there".into() });
        };
        answer_get(self.meta(key, &bytes, stamp), bytes, &options)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.wait().await;
        let dir = prefix.expect("a directory").to_string();
        let (dirs, objects) = self.listing(&dir);
        let objects = objects.iter().map(|name| {
            let key = format!("{dir}/{name}");
            let stamp = match key.rsplit('/').collect::<Vec<_>>()[..] {
                [_, block, group, ..] if dir.starts_with("data") && block.len() == 3 => {
                    self.opened(self.block(group, block).expect("a block"))
                }
                _ => 0,
            };
            self.meta(&key, &Bytes::new(), stamp)
        });
        Ok(ListResult {
            objects: objects.collect(),
            common_prefixes: dirs.iter().map(|name| Path::from(format!("{dir}/{name}"))).collect(),
            extensions: Default::default(),
        })
    }

    async fn put_opts(&self, _: &Path, _: PutPayload, _: PutOptions) -> Result<PutResult> {
        unimplemented!("readers put nothing")
    }

    async fn put_multipart_opts(
        &self,
        _: &Path,
        _: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        unimplemented!("readers put nothing")
    }

    fn delete_stream(
        &self,
        _: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        unimplemented!("readers delete nothing")
    }

    fn list(&self, _: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        unimplemented!("readers never list a whole tree")
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        unimplemented!("kaffic never copies")
    }
}
