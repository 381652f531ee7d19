//! What things cost: the number of storage requests, exactly. Users pay by the request, so a change
//! here is a change of prices.

mod support;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use kaffic_core::object_store::path::Path;
use kaffic_core::object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use kaffic_core::{Kaffic, Record, RequestCounts, Start, TopicConfig, Until};
use std::sync::Arc;
use std::time::Duration;
use support::format::{BatchHead, BatchRecord, Header, batch, block_key, slot_key};
use support::lab::{BEGIN_MS, Counts, Lab, Op, SECOND, answer_get, pause, time, within};
use support::{numbered, offsets, read_on, stores};

/// The same on every store, and each request is paid for: puts, gets, lists and deletes.
#[tokio::test(flavor = "multi_thread")]
async fn every_store_is_asked_as_often_for_the_same() {
    for store in stores() {
        let client = store.connect().await;
        let mut counted = client.request_counts();
        let mut assert_cost = |what: &str, expected: [u64; 4]| {
            let now = client.request_counts();
            let c = now.since(std::mem::replace(&mut counted, now));
            assert_eq!([c.puts, c.gets, c.lists, c.deletes], expected, "{what}");
        };
        let config = TopicConfig::new().slots_per_block(10);
        client.topics().create("t", config.clone()).await.unwrap();
        assert_cost("create, and the look at what the store is", [3, 1, 1, 1]);
        client.topics().create("u", config.clone()).await.unwrap();
        assert_cost("create", [1, 0, 1, 0]);
        client.topics().ensure("t", config).await.unwrap();
        assert_cost("ensure", [0, 1, 1, 0]);
        client.topics().list().await.unwrap();
        assert_cost("list", [0, 2, 3, 0]);
        let producer = client.producer("t").compaction(false).build().await.unwrap();
        assert_cost("a producer", [0, 1, 1, 0]);
        producer.send(Record::value("0")).await.unwrap();
        assert_cost("the first append", [2, 2, 2, 0]);
        for n in 1..25 {
            producer.send(Record::value(n.to_string())).await.unwrap();
            match n % 10 {
                // The end of a block, the beginning of the next, and when that was.
                0 => assert_cost("an append to a new block", [3, 1, 0, 0]),
                _ => assert_cost("an append", [1, 0, 0, 0]),
            }
        }
        producer.append(0, numbered(25..1025), None).await.unwrap();
        assert_cost("a thousand records at once", [1, 0, 0, 0]);
        producer.close().await.unwrap();
        assert_cost("close: a seal, a look whether that was in time, and an end", [2, 1, 0, 0]);
        let offsets = client.offsets("t");
        assert_eq!(offsets.latest(0).await.unwrap(), 1025);
        assert_cost("the tail", [0, 3, 4, 0]);
        offsets.earliest(0).await.unwrap();
        assert_cost("the beginning", [0, 7, 7, 0]);
        client.verify("t", |_| {}).await.unwrap();
        assert_cost("verify", [0, 37, 7, 0]);
        client.topics().delete("t").await.unwrap();
        assert_cost("delete", [5, 10, 11, 1]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_costs_as_much_on_every_store() {
    for store in stores() {
        for (slots, appends) in [(1000, 3), (7, 1), (7, 28), (7, 33)] {
            for closed in [false, true] {
                let store = store.fresh();
                let client = store.connect().await;
                let config = TopicConfig::new().slots_per_block(slots);
                client.topics().create("t", config).await.unwrap();
                let builder = client.producer("t").compaction(false);
                let producer = builder.build().await.unwrap();
                for record in numbered(0..appends) {
                    producer.send(record).await.unwrap();
                }
                if closed {
                    producer.close().await.unwrap();
                }
                let consumer = client.consumer().topic("t").until(Until::Latest);
                let mut consumer = consumer.build().await.unwrap();
                let before = client.request_counts();
                let (records, error) = read_on(&mut consumer).await;
                assert!(error.is_none(), "{error:?}");
                assert_eq!(records.len(), appends as usize);
                let (gets, lists) = requests(&client.request_counts().since(before));
                let slots_written = store.keys("data").await.len() as u64;
                let opened = store.keys("meta/logs").await;
                let blocks = opened.iter().filter(|key| key.ends_with("/open")).count() as u64;
                let case = format!("{appends} appends, {slots} slots, closed {closed}: {gets}");
                assert_eq!(lists, 0, "{case}");
                assert!((appends as u64..=slots_written + 3 * blocks).contains(&gets), "{case}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_append_is_one_put_and_a_finished_block_three_small_requests_more() {
    let lab = Lab::new();
    let client = lab.client().await;
    client.topics().create("t", TopicConfig::new()).await.unwrap();
    let producer = client.producer("t").build().await.unwrap();
    producer.send(Record::value("first")).await.unwrap();
    lab.store.take_requests();
    for n in 1..2500u64 {
        producer.send(Record::value(n.to_string())).await.unwrap();
        let requests = lab.store.take_requests();
        let mut expected = Vec::new();
        if n % 1000 == 0 {
            expected.push((Op::Put, block_key("t", n / 1000 - 1, "end")));
            expected.push((Op::Put, block_key("t", n / 1000, "open")));
            expected.push((Op::Get, block_key("t", n / 1000, "open")));
        }
        expected.push((Op::Put, slot_key("t", n / 1000, (n % 1000) as u32)));
        let requests: Vec<_> = requests.into_iter().map(|r| (r.op, r.key)).collect();
        assert_eq!(requests, expected, "append {n}");
    }
}

#[tokio::test(start_paused = true)]
async fn many_records_at_once_are_few_puts() {
    let lab = Lab::new();
    let client = lab.client().await;
    client.topics().create("t", TopicConfig::new()).await.unwrap();
    let producer = client.producer("t").linger(SECOND).build().await.unwrap();
    producer.send(Record::value("first")).await.unwrap();
    lab.store.take_requests();
    let mut tickets = Vec::new();
    for n in 0..10_000 {
        tickets.push(producer.enqueue(Record::value(n.to_string())).await.unwrap());
    }
    for ticket in tickets {
        ticket.await.unwrap();
    }
    assert_eq!(lab.store.take_counts(), Counts { puts: 1, ..Counts::default() });
}

#[tokio::test(start_paused = true)]
async fn reading_is_a_get_a_slot_and_three_a_block_at_most() {
    for (slots, appends) in [(1000, 3), (1000, 1000), (1000, 2345), (7, 1), (7, 70), (7, 75)] {
        for closed in [false, true] {
            let lab = Lab::new();
            let client = lab.client().await;
            let config = TopicConfig::new().slots_per_block(slots);
            client.topics().create("t", config).await.unwrap();
            let producer = client.producer("t").build().await.unwrap();
            for n in 0..appends {
                producer.send(Record::value(n.to_string())).await.unwrap();
            }
            if closed {
                producer.close().await.unwrap();
            }
            let mut consumer =
                client.consumer().topic("t").until(Until::Latest).build().await.unwrap();
            lab.store.take_requests();
            let (records, error) = read_on(&mut consumer).await;
            assert!(error.is_none(), "{error:?}");
            assert_eq!(records.len(), appends as usize);
            let counts = lab.store.take_counts();
            let case = format!("{appends} appends, {slots} slots, closed {closed}: {counts:?}");
            assert_eq!((counts.puts, counts.lists, counts.deletes), (0, 0, 0), "{case}");
            let slots_written = lab.store.keys("data/").len();
            let blocks =
                lab.store.keys("meta/logs/").iter().filter(|k| k.ends_with("open")).count();
            assert!(counts.gets >= appends as usize, "{case}");
            assert!(counts.gets <= slots_written + 3 * blocks, "{case}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_only_open_asks_for_nothing() {
    let lab = Lab::new();
    let client = lab.client().await;
    client.topics().create("t", TopicConfig::new().partitions(3)).await.unwrap();
    lab.store.take_requests();
    let builder = client.producer("t");
    let consumer = client.consumer().topic("t");
    drop((builder, consumer, client.clone()));
    assert_eq!(lab.store.take_counts(), Counts::default());

    let producer = client.producer("t").build().await.unwrap();
    assert_eq!(lab.store.take_counts(), Counts { gets: 1, lists: 1, ..Counts::default() });
    producer.send(Record::value("v")).await.unwrap();
    lab.store.take_requests();
    idle(Duration::from_secs(3 * 24 * 3600)).await;
    assert_eq!(lab.store.take_counts(), Counts::default());

    // Nothing was written to two of the partitions, so nothing is ended there.
    producer.close().await.unwrap();
    assert!(lab.store.take_counts().puts <= 3);
    let consumer = client.consumer().topic("t").build().await.unwrap();
    lab.store.take_requests();
    idle(SECOND).await;
    drop(consumer);
    assert_eq!(lab.store.take_counts(), Counts::default());
}

#[tokio::test(start_paused = true)]
async fn a_waiting_consumer_asks_for_the_one_next_slot() {
    let lab = Lab::new();
    let client = lab.client().await;
    client.topics().create("t", TopicConfig::new()).await.unwrap();
    let producer = client.producer("t").build().await.unwrap();
    producer.send(Record::value("v")).await.unwrap();
    let mut consumer =
        client.consumer().topic("t").fetch_max_wait(10 * SECOND).build().await.unwrap();
    assert_eq!(consumer.poll(10, SECOND).await.unwrap().len(), 1);
    consumer.poll(10, 100 * SECOND).await.unwrap();
    lab.store.take_requests();
    consumer.poll(10, 600 * SECOND).await.unwrap();
    let requests = lab.store.take_requests();
    // One get of the slot every ten seconds, and one of the block's end every thirty.
    let slot = slot_key("t", 0, 1);
    let end = block_key("t", 0, "end");
    let of = |key: &str| requests.iter().filter(|request| request.key == key).count();
    assert!(requests.iter().all(|request| request.op == Op::Get), "{requests:?}");
    assert!((59..=61).contains(&of(&slot)), "{requests:?}");
    assert!((19..=21).contains(&of(&end)), "{requests:?}");
    assert_eq!(of(&slot) + of(&end), requests.len());
}

#[expect(clippy::disallowed_methods, reason = "time that passes while the library does nothing")]
async fn idle(time: Duration) {
    tokio::time::sleep(time).await;
}

/// A log of any length, made up as it is asked for: every slot has two records of a second each.
#[derive(Debug)]
struct Endless {
    slots: u64,
}

const TWO: u64 = 2;
const TOPIC: &str = r#"{"format":1,"incarnation":0,"deleted":false,"partitions":1,
    "min_expiry_ms":null,"slots":1000,"created_ms":0,"nonce":"0000000000000001"}"#;

impl Endless {
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
                    "open" => self.open(block),
                    "end" => self.end(block)?,
                    // Nobody has compacted it.
                    _ => return None,
                };
                Some((bytes, self.opened(block)))
            }
            ["data", "t", "0", "00000", group, block, slot] => {
                let (block, slot) = (self.block(group, block)?, slot.parse().ok()?);
                (slot < self.slots_of(block)).then(|| (self.slot(block, slot), self.opened(block)))
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
            ["meta", "logs", "t", "0", "00000", group] | ["data", "t", "0", "00000", group] => {
                let first = group.parse::<u64>().expect("a group") * 1000;
                let last = newest.min(first + 999);
                ((first..=last).map(|block| format!("{:03}", block % 1000)).collect(), vec![])
            }
            ["data", "t", "0", "00000", group, block] => {
                let slots = self.block(group, block).map_or(0, |block| self.slots_of(block));
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

/// Every answer takes a second, so seconds are round trips that wait for one another.
#[async_trait]
impl ObjectStore for Endless {
    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        pause(SECOND).await;
        let key = location.as_ref();
        let Some((bytes, stamp)) = self.object(key) else {
            return Err(Error::NotFound { path: key.to_owned(), source: "not there".into() });
        };
        answer_get(self.meta(key, &bytes, stamp), bytes, &options)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        pause(SECOND).await;
        let dir = prefix.expect("a directory").to_string();
        let (dirs, objects) = self.listing(&dir);
        let objects = objects.iter().map(|name| {
            let key = format!("{dir}/{name}");
            let stamp = match key.rsplit('/').collect::<Vec<_>>()[..] {
                [_, block, group, ..] if dir.starts_with("data") => {
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

/// The lengths of logs, in slots: from one block to a million of them.
const LENGTHS: [u64; 5] = [10, 1000, 123_456, 10_000_000, 999_999_999];

#[tokio::test(start_paused = true)]
async fn the_tail_is_found_as_cheaply_in_a_long_log_as_in_a_short_one() {
    for slots in LENGTHS {
        let (_lab, client) = endless(slots).await;
        let before = client.request_counts();
        assert_eq!(client.offsets("t").latest(0).await.unwrap(), (slots * TWO) as i64);
        let counts = client.request_counts().since(before);
        // The topic: a list and a get. The tail: three lists, open, end and a header.
        assert_eq!(requests(&counts), (4, 4), "{slots} slots: {counts:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn any_place_of_a_long_log_is_found_in_few_requests() {
    for slots in LENGTHS {
        let tail = (slots * TWO) as i64;
        let (lab, client) = endless(slots).await;
        for offset in [0, 1, tail / 3, tail / 2 + 1, tail - 1] {
            let last = (offset + 3).min(tail);
            for start in [Start::Offset(offset), Start::Timestamp(offset * 1000 - 999)] {
                let before = client.request_counts();
                let mut consumer = client
                    .consumer()
                    .topic("t")
                    .start(start)
                    .until(Until::Offset(last))
                    .build()
                    .await
                    .unwrap();
                let counts = client.request_counts().since(before);
                let (gets, lists) = requests(&counts);
                // 31 probes a round, and 32 to the power of 4 is a million blocks.
                assert!(gets <= 31 * 6 + 10 && lists <= 5, "{slots} slots, {start:?}: {counts:?}");
                let begun = lab.clock.now_ms();
                consumer.seek("t", 0, start).await.unwrap();
                let rounds = (lab.clock.now_ms() - begun) / 1000;
                assert!(rounds <= 12, "{slots} slots, {start:?}: {rounds} round trips");
                let (records, error) = read_on(&mut consumer).await;
                assert!(error.is_none(), "{error:?}");
                assert_eq!(offsets(&records), (offset..last).collect::<Vec<_>>(), "{start:?}");
                for record in records {
                    assert_eq!(record.value.unwrap(), record.offset.to_string());
                    assert_eq!(record.timestamp, record.offset * 1000);
                }
            }
        }
        let before = client.request_counts();
        assert_eq!(client.offsets("t").earliest(0).await.unwrap(), 0);
        let counts = client.request_counts().since(before);
        assert!(counts.gets + counts.lists <= 20, "{slots} slots: {counts:?}");
    }
}

fn requests(counts: &RequestCounts) -> (u64, u64) {
    assert_eq!((counts.puts, counts.deletes), (0, 0));
    (counts.gets, counts.lists)
}

async fn endless(slots: u64) -> (Lab, Kaffic) {
    let lab = Lab::new();
    let builder = Kaffic::builder().store(Arc::new(Endless { slots }), "").env(lab.env());
    let client = within(builder.connect()).await.expect("connects");
    (lab, client)
}
