//! The Rust side of `scripts/oracle`, which compares this format with a Kafka client's. With
//! `KAFFIC_ORACLE_DIR` set, batches are written there for that client to read, and what it has
//! written is read; otherwise there is nothing to do.

use super::{ConsumerRecord, samples};
use crate::batch::{Compression, check, decode};
use crate::producer::partition_for_key;
use crate::record::{Header, Record};
use crate::slot::{SlotHeader, SlotKind};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::Path;

/// What a case's batch should hold; bytes are in hex.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Case {
    producer_id: i64,
    producer_epoch: i16,
    base_sequence: i32,
    records: Vec<CaseRecord>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct CaseRecord {
    offset: i64,
    timestamp: i64,
    key: Option<String>,
    value: Option<String>,
    headers: Vec<(String, Option<String>)>,
}

#[derive(Deserialize)]
struct KeyCase {
    key: String,
    partitions: u32,
    partition: u32,
}

#[test]
fn a_kafka_client_agrees() {
    let Some(dir) = std::env::var_os("KAFFIC_ORACLE_DIR") else { return };
    let dir = Path::new(&dir);
    let many = (0..2_000).map(|i| Record::value(format!("value {i}")).timestamp(i % 7)).collect();
    let large = vec![Record::value(vec![b'x'; 5 << 20]).key("large").timestamp(1)];
    for (name, records) in [("samples", samples()), ("many", many), ("large", large)] {
        for compression in Compression::ALL {
            write_slot(dir, &format!("{name}-{compression}"), &records, compression);
        }
    }
    read_batches(dir);
    check_partitions(dir);
}

fn write_slot(dir: &Path, name: &str, records: &[Record], compression: Compression) {
    let batch = super::encode(records, compression);
    let mut slot = SlotHeader {
        kind: SlotKind::Data,
        last: false,
        base_offset: 1 << 33,
        record_count: batch.count(),
        batch_len: batch.len() as u32,
        max_timestamp: batch.max_timestamp(),
        append_time: 1_700_000_000_456,
        nonce: 5,
        producer_id: 1 << 40,
        producer_epoch: 4,
        lease_ms: 43_200_000,
        sequence: 17,
        app_sequence: -1,
        opened: 1_700_000_000,
        crc: 0,
    };
    let header = batch.header(slot.base_offset, slot.producer_id, 4, slot.base_sequence());
    let object = [&slot.encode(&header)[..], &header, batch.body()].concat();
    let case = Case {
        producer_id: slot.producer_id,
        producer_epoch: 4,
        base_sequence: slot.base_sequence(),
        records: records.iter().zip(slot.base_offset..).map(CaseRecord::from).collect(),
    };
    fs::write(dir.join(name).with_extension("slot"), object).unwrap();
    let json = serde_json::to_vec(&case).unwrap();
    fs::write(dir.join(name).with_extension("json"), json).unwrap();
}

fn read_batches(dir: &Path) {
    let mut read = 0;
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "batch") {
            continue;
        }
        let batch = Bytes::from(fs::read(&path).unwrap());
        let header = check(&batch).unwrap();
        let records = decode(&batch).unwrap().map(|r| CaseRecord::from(r.unwrap())).collect();
        let found = Case {
            producer_id: header.producer_id,
            producer_epoch: header.producer_epoch,
            base_sequence: header.base_sequence,
            records,
        };
        let expected = fs::read(path.with_extension("json")).unwrap();
        let expected: Case = serde_json::from_slice(&expected).unwrap();
        assert!(found == expected, "{}", path.display());
        read += 1;
    }
    assert!(read >= Compression::ALL.len(), "the other side wrote {read} batches");
}

fn check_partitions(dir: &Path) {
    let cases = fs::read(dir.join("partitions.json")).unwrap();
    let cases: Vec<KeyCase> = serde_json::from_slice(&cases).unwrap();
    assert!(cases.len() >= 10_000);
    for case in cases {
        let key = from_hex(&case.key);
        assert_eq!(partition_for_key(&key, case.partitions), case.partition, "{}", case.key);
    }
}

impl From<(&Record, i64)> for CaseRecord {
    fn from((record, offset): (&Record, i64)) -> Self {
        Self {
            offset,
            timestamp: record.timestamp.unwrap_or(0),
            key: record.key.as_deref().map(to_hex),
            value: record.value.as_deref().map(to_hex),
            headers: record.headers.iter().map(header_case).collect(),
        }
    }
}

impl From<ConsumerRecord> for CaseRecord {
    fn from(record: ConsumerRecord) -> Self {
        Self {
            offset: record.offset,
            timestamp: record.timestamp,
            key: record.key.as_deref().map(to_hex),
            value: record.value.as_deref().map(to_hex),
            headers: record.headers.iter().map(header_case).collect(),
        }
    }
}

fn header_case(header: &Header) -> (String, Option<String>) {
    (header.name.to_string(), header.value.as_deref().map(to_hex))
}

fn to_hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits =
        bytes.iter().flat_map(|b| [DIGITS[usize::from(b >> 4)], DIGITS[usize::from(b & 15)]]);
    digits.map(char::from).collect()
}

fn from_hex(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
}
