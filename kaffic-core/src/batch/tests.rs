//! Round trips, damage and lies. The codecs' own tests are beside them.

mod oracle;

use super::*;
use crate::record::{ConsumerRecord, Header, Record};
use bytes::Bytes;
use proptest::prelude::*;

fn encode(records: &[Record], compression: Compression) -> EncodedBatch {
    let mut builder = BatchBuilder::new(64);
    for record in records {
        builder.push(record, record.timestamp.unwrap_or(0));
    }
    builder.finish(compression).unwrap()
}

fn bytes_of(batch: &EncodedBatch, base_offset: i64) -> Bytes {
    let mut bytes = batch.header(base_offset, 7, 3, 11).to_vec();
    bytes.extend_from_slice(batch.body());
    Bytes::from(bytes)
}

/// What comes back, as it went in.
fn decoded(batch: &Bytes) -> Vec<Record> {
    let to_record = |r: ConsumerRecord| Record {
        sequence: None,
        key: r.key,
        value: r.value,
        headers: r.headers,
        timestamp: Some(r.timestamp),
        partition: None,
    };
    decode(batch).unwrap().map(|r| to_record(r.unwrap())).collect()
}

/// Gives the batch the checksum of what it holds, so that what lies behind it is reached.
fn reseal(mut batch: Vec<u8>) -> Bytes {
    let crc = crc32c::crc32c(&batch[BATCH_PREFIX_LEN..]);
    batch[BATCH_PREFIX_LEN - 4..BATCH_PREFIX_LEN].copy_from_slice(&crc.to_be_bytes());
    Bytes::from(batch)
}

/// A batch around these bytes as its records.
fn batch_around(body: &[u8], compression: Compression, count: i32) -> Bytes {
    let batch = encode(&[Record::value("v").timestamp(0)], compression);
    let mut bytes = batch.header(0, 7, 3, 11).to_vec();
    bytes[8..12]
        .copy_from_slice(&((BATCH_HEADER_LEN - LENGTH_END + body.len()) as i32).to_be_bytes());
    bytes[23..27].copy_from_slice(&(count - 1).to_be_bytes());
    bytes[57..61].copy_from_slice(&count.to_be_bytes());
    bytes.extend_from_slice(body);
    reseal(bytes)
}

fn samples() -> Vec<Record> {
    vec![
        Record { timestamp: Some(1_700_000_000_000), ..Record::default() },
        Record::value("").key("").timestamp(-5),
        Record::tombstone("κλειδί").timestamp(i64::MIN),
        Record {
            headers: vec![
                Header::new("", None),
                Header::new("name", Some(Bytes::new())),
                Header::new("name", Some("again".into())),
                Header::new("имя", Some(Bytes::from_static(b"\xff\x00"))),
            ],
            ..Record::value("värde").timestamp(i64::MAX)
        },
        Record::value(vec![b'x'; 100_000]).key("k").timestamp(3),
    ]
}

#[test]
fn every_codec_gives_back_what_went_in() {
    for compression in Compression::ALL {
        let records = samples();
        let batch = encode(&records, compression);
        let bytes = bytes_of(&batch, 1_000);
        assert_eq!(bytes.len(), batch.len());
        assert_eq!(decoded(&bytes), records, "{compression}");

        let header = check(&bytes).unwrap();
        assert_eq!((header.base_offset, header.count), (1_000, 5));
        assert_eq!((header.producer_id, header.producer_epoch, header.base_sequence), (7, 3, 11));
        assert_eq!(header.compression, compression);
        assert_eq!(header.max_timestamp, i64::MAX);
        let offsets: Vec<_> = decode(&bytes).unwrap().map(|r| r.unwrap().offset).collect();
        assert_eq!(offsets, [1_000, 1_001, 1_002, 1_003, 1_004]);
    }
}

#[test]
fn large_values_and_many_records() {
    for compression in Compression::ALL {
        let noise: Vec<u8> =
            (0..5u32 << 20).map(|i| (i.wrapping_mul(0x9e37_79b9) >> 13) as u8).collect();
        let records = [Record::value(noise).timestamp(0), Record::value("end").timestamp(0)];
        assert_eq!(decoded(&bytes_of(&encode(&records, compression), 0)), records);

        let many = vec![Record::value("same").timestamp(9); 50_000];
        assert_eq!(decoded(&bytes_of(&encode(&many, compression), 0)), many);
    }
}

#[test]
fn a_builder_counts_what_it_holds() {
    let mut builder = BatchBuilder::new(0);
    for timestamp in [5, 9, 2] {
        builder.push(&Record::value("v"), timestamp);
    }
    assert_eq!(builder.count(), 3);
    let len = builder.len();
    let batch = builder.finish(Compression::None).unwrap();
    assert_eq!(batch.len(), BATCH_HEADER_LEN + len);
    assert_eq!((batch.count(), batch.max_timestamp()), (3, 9));
}

#[test]
fn an_empty_batch_is_refused() {
    assert!(BatchBuilder::new(0).finish(Compression::None).is_err());
    let mut none = bytes_of(&encode(&samples(), Compression::None), 0).to_vec();
    none[57..61].fill(0);
    assert_eq!(check(&reseal(none)), Err(BatchError::BadHeader("it has no records")));
}

#[test]
fn a_batch_above_the_limit_is_refused_on_both_sides() {
    let mut builder = BatchBuilder::new(0);
    builder.push(&Record::value(vec![0; MAX_BATCH_BYTES]), 0);
    let error = builder.finish(Compression::None).unwrap_err();
    assert_eq!(error.kind(), crate::ErrorKind::RecordTooLarge);

    let mut claims = bytes_of(&encode(&samples(), Compression::None), 0).to_vec();
    claims[8..12].copy_from_slice(&i32::MAX.to_be_bytes());
    assert!(matches!(check(&Bytes::from(claims)), Err(BatchError::TooLarge { .. })));
}

#[test]
fn headers_in_another_place_keep_the_body() {
    let batch = encode(&samples(), Compression::Zstd);
    for base_offset in [0, 1, 1 << 40] {
        let bytes = bytes_of(&batch, base_offset);
        assert_eq!(check(&bytes).unwrap().base_offset, base_offset);
        assert_eq!(&bytes[BATCH_HEADER_LEN..], batch.body());
    }
}

#[test]
fn records_share_the_memory_of_the_batch() {
    let batch = bytes_of(&encode(&[Record::value("value").timestamp(0)], Compression::None), 0);
    let record = decode(&batch).unwrap().next().unwrap().unwrap();
    assert!(batch.as_ptr_range().contains(&record.value.unwrap().as_ptr()));
}

#[test]
fn log_append_time_is_the_time_of_every_record() {
    let records = [Record::value("a").timestamp(1), Record::value("b").timestamp(2)];
    let mut batch = bytes_of(&encode(&records, Compression::None), 0).to_vec();
    batch[22] |= LOG_APPEND_TIME as u8;
    let times: Vec<_> = decode(&reseal(batch)).unwrap().map(|r| r.unwrap().timestamp).collect();
    assert_eq!(times, [2, 2]);
}

#[test]
fn wrong_records_are_named() {
    let first = b"\x0e\0\0\0\x01\x02v\0"; // Offset delta 0, null key, value "v".
    let bad = |body: &[u8], count| -> BatchError {
        let batch = batch_around(body, Compression::None, count);
        let mut records = decode(&batch).unwrap();
        records.find_map(Result::err).unwrap()
    };
    let second = [&first[..], first].concat();
    assert_eq!(
        bad(&second, 2),
        BatchError::BadRecord { index: 1, what: "its offset is out of order" }
    );
    assert_eq!(bad(&second, 1), BatchError::TrailingRecords(8));
    assert_eq!(bad(first, 2), BatchError::BadRecord { index: 1, what: "its length is missing" });
    assert_eq!(
        bad(b"\x10\0\0\0\x01\x02v\0\0", 1),
        BatchError::BadRecord { index: 0, what: "bytes follow its last field" }
    );
    assert_eq!(
        bad(b"\x0e\0\0\0\x01\x03v\0", 1),
        BatchError::BadRecord { index: 0, what: "a length is negative" }
    );
    assert_eq!(bad(b"\x12\0\0\0\x01\x01\x02\x02\xff\x01", 1), BatchError::InvalidUtf8 { index: 0 });
}

#[test]
fn an_iterator_ends_after_its_error() {
    let batch = batch_around(b"\x01", Compression::None, 1_000_000);
    let mut records = decode(&batch).unwrap();
    assert!(records.next().unwrap().is_err());
    assert!(records.next().is_none());
}

#[test]
fn unknown_codecs_and_formats_are_refused() {
    let batch = bytes_of(&encode(&samples(), Compression::None), 0).to_vec();
    let mut codec = batch.clone();
    codec[22] = 5;
    assert_eq!(check(&reseal(codec)), Err(BatchError::UnknownCodec(5)));
    let mut magic = batch.clone();
    magic[16] = 1;
    assert_eq!(check(&Bytes::from(magic)), Err(BatchError::BadMagic(1)));
    assert_eq!(
        check(&Bytes::copy_from_slice(&batch[..30])),
        Err(BatchError::Truncated { has: 30, needs: BATCH_HEADER_LEN })
    );
}

fn record() -> impl Strategy<Value = Record> {
    let bytes = || proptest::option::of(proptest::collection::vec(any::<u8>(), 0..40));
    let header = (".{0,8}", bytes()).prop_map(|(n, v)| Header::new(n, v.map(Bytes::from)));
    (bytes(), bytes(), proptest::collection::vec(header, 0..4), any::<i64>()).prop_map(
        |(key, value, headers, timestamp)| Record {
            sequence: None,
            key: key.map(Bytes::from),
            value: value.map(Bytes::from),
            headers,
            timestamp: Some(timestamp),
            partition: None,
        },
    )
}

fn codec() -> impl Strategy<Value = Compression> {
    proptest::sample::select(Compression::ALL.to_vec())
}

proptest! {
    #[test]
    fn any_records_come_back(
        records in proptest::collection::vec(record(), 1..30),
        compression in codec(),
        base_offset in 0..i64::MAX - 100,
    ) {
        let batch = bytes_of(&encode(&records, compression), base_offset);
        prop_assert_eq!(decoded(&batch), records);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let bytes = Bytes::from(bytes);
        prop_assert!(check(&bytes).is_err());
        prop_assert!(decode(&bytes).is_err());
    }

    /// Behind a right checksum too, and in every codec.
    #[test]
    fn arbitrary_records_never_panic(
        body in proptest::collection::vec(any::<u8>(), 1..300),
        compression in codec(),
        count in 1..i32::MAX,
    ) {
        if let Ok(records) = decode(&batch_around(&body, compression, count)) {
            prop_assert!(records.count() <= body.len() + 1);
        }
    }

    #[test]
    fn damaged_records_never_panic(
        records in proptest::collection::vec(record(), 1..10),
        compression in codec(),
        at in any::<proptest::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut bytes = bytes_of(&encode(&records, compression), 0).to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(records) = decode(&reseal(bytes)) {
            for _ in records {}
        }
    }
}
