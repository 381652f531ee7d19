use super::*;
use crate::batch::{BatchBuilder, Compression, EncodedBatch};
use crate::record::Record;
use proptest::prelude::*;

fn header(batch: &EncodedBatch) -> SlotHeader {
    SlotHeader {
        kind: SlotKind::Data,
        last: false,
        base_offset: 4_711,
        record_count: batch.count(),
        batch_len: batch.len() as u32,
        max_timestamp: 1_700_000_000_123,
        append_time: 1_700_000_000_456,
        nonce: 0x0123_4567_89ab_cdef,
        producer_id: 99,
        producer_epoch: 2,
        lease_ms: 43_200_000,
        sequence: (1 << 31) + 5,
        app_sequence: -1,
        opened: 1_700_000_000,
        crc: 0,
    }
}

fn object(compression: Compression) -> (SlotHeader, Bytes) {
    let mut builder = BatchBuilder::new(0);
    builder.push(&Record::value("first").key("k"), 1_700_000_000_000);
    builder.push(&Record::tombstone("k").header("h", "v"), 1_700_000_000_123);
    let batch = builder.finish(compression).unwrap();
    let mut slot = header(&batch);
    let batch_header = batch.header(slot.base_offset, slot.producer_id, 2, slot.base_sequence());
    let bytes = [&slot.encode(&batch_header)[..], &batch_header, batch.body()].concat();
    (slot, Bytes::from(bytes))
}

fn seal() -> (SlotHeader, Bytes) {
    let (mut slot, _) = object(Compression::None);
    slot.kind = SlotKind::Seal;
    (slot.record_count, slot.batch_len) = (0, 0);
    let bytes = Bytes::copy_from_slice(&slot.encode(&[]));
    (slot, bytes)
}

/// Gives the header the checksum of what it holds, so that what lies behind it is reached.
fn reseal(mut object: Vec<u8>) -> Bytes {
    let prefix = object.get(SLOT_HEADER_LEN..PROBE_LEN).unwrap_or_default();
    let crc = checksum(&object[..CRC_AT], prefix);
    object[CRC_AT..SLOT_HEADER_LEN].copy_from_slice(&crc.to_be_bytes());
    Bytes::from(object)
}

#[test]
fn a_slot_comes_back_as_it_was() {
    for compression in [Compression::None, Compression::Lz4] {
        let (header, object) = object(compression);
        assert_eq!(SlotHeader::decode(&object[..PROBE_LEN]).unwrap(), header);
        let slot = Slot::decode(&object).unwrap();
        assert_eq!(slot.header, header);
        assert_eq!(slot.header.next_offset(), 4_713);
        assert_eq!(slot.batch.unwrap().header.count, header.record_count);
    }
    let (header, object) = seal();
    let slot = Slot::decode(&object).unwrap();
    assert_eq!(slot.header, header);
    assert!(slot.batch.is_none());
}

/// The format as it is stored. What changes here can't be read by what was there before.
#[test]
fn the_bytes_are_these() {
    let (_, object) = object(Compression::None);
    let golden = [
        ("magic", "4b414643"),
        ("version, kind, flags", "01000000"),
        ("base offset", "0000000000001267"),
        ("record count", "00000002"),
        ("batch length", "00000057"),
        ("maximum timestamp", "0000018bcfe5687b"),
        ("append time", "0000018bcfe569c8"),
        ("nonce", "0123456789abcdef"),
        ("producer id", "0000000000000063"),
        ("producer epoch", "00000002"),
        ("lease", "02932e00"),
        ("sequence", "0000000080000005"),
        ("application sequence", "ffffffffffffffff"),
        ("opened", "000000006553f100"),
        ("", "00000000"),
        ("checksum", "2ac43fa3"),
        ("batch: base offset", "0000000000001267"),
        ("length", "0000004b"),
        ("leader epoch", "00000000"),
        ("magic", "02"),
        ("checksum", "06e22bfc"),
        ("attributes", "0000"),
        ("last offset delta", "00000001"),
        ("base timestamp", "0000018bcfe56800"),
        ("maximum timestamp", "0000018bcfe5687b"),
        ("producer id", "0000000000000063"),
        ("producer epoch", "0002"),
        ("base sequence", "00000005"),
        ("record count", "00000002"),
        ("first record", "18000000026b0a666972737400"),
        ("second record", "1800f60102026b010202680276"),
    ];
    let hex: String = object.iter().map(|b| format!("{b:02x}")).collect();
    let mut rest = &hex[..];
    for (field, bytes) in golden {
        let stored = rest.get(..bytes.len()).unwrap_or(rest);
        assert_eq!(stored, bytes, "{field}");
        rest = &rest[stored.len()..];
    }
    assert_eq!(rest, "");
}

#[test]
fn every_flipped_bit_is_noticed() {
    for (_, object) in [object(Compression::None), object(Compression::Zstd), seal()] {
        for bit in 0..object.len() * 8 {
            let mut damaged = object.to_vec();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(Slot::decode(&Bytes::from(damaged)).is_err(), "bit {bit}");
        }
    }
}

#[test]
fn every_truncation_and_addition_is_noticed() {
    for (_, object) in [object(Compression::None), seal()] {
        for len in 0..object.len() {
            assert!(Slot::decode(&object.slice(..len)).is_err(), "{len} bytes");
        }
        let longer = [&object[..], b"\0"].concat();
        assert!(Slot::decode(&Bytes::from(longer)).is_err());
    }
}

#[test]
fn what_is_wrong_is_told_apart() {
    let (_, object) = object(Compression::None);
    let changed = |at: usize, byte: u8| {
        let mut bytes = object.to_vec();
        bytes[at] = byte;
        bytes
    };
    let error = |bytes: Bytes| Slot::decode(&bytes).unwrap_err();
    assert_eq!(error(Bytes::new()), SlotError::Empty);
    assert_eq!(error("PAR1 and more".into()), SlotError::NotKaffic);
    assert_eq!(error("KA".into()), SlotError::Truncated { has: 2, needs: SLOT_HEADER_LEN });
    assert_eq!(error(changed(4, 2).into()), SlotError::Version(2));
    assert!(matches!(error(changed(10, 1).into()), SlotError::BadCrc { .. }));
    for kind in [4, 5, 255] {
        assert_eq!(error(reseal(changed(5, kind))), SlotError::Unsupported("kind of slot"));
    }
    for (at, byte) in [(6, 2), (7, 1), (91, 1)] {
        assert_eq!(error(reseal(changed(at, byte))), SlotError::Unsupported("flag"));
    }
    let last = object.len() - 1;
    assert!(matches!(
        error(changed(last, 0xff).into()),
        SlotError::Batch(BatchError::BadCrc { .. })
    ));
}

#[test]
fn contradictions_are_noticed() {
    let (_, data) = object(Compression::None);
    let (_, seal) = seal();
    // Bytes of the header that are set, to what, and in which object.
    let cases: [(&Bytes, usize, &[u8]); 12] = [
        (&data, 8, &[0x80]),    // A negative offset.
        (&data, 8, &[0x7f; 8]), // Another than the batch's.
        (&data, 8, &[0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        (&data, 16, &[0, 0, 0, 0]), // No records.
        (&data, 16, &[0, 0, 0, 3]), // More than the batch has.
        (&data, 16, &[0xff; 4]),
        (&data, 20, &[0, 0, 0, 1]), // Too short for a batch.
        (&data, 20, &[0x7f; 4]),    // Too long for one.
        (&data, 24, &[0; 8]),       // An earlier maximum than the batch's.
        (&data, 48, &[0; 8]),       // Another producer.
        (&data, 64, &[0xff; 8]),    // A negative sequence.
        (&seal, 16, &[0, 0, 0, 1]),
    ];
    for (object, at, bytes) in cases {
        let mut changed = object.to_vec();
        changed[at..at + bytes.len()].copy_from_slice(bytes);
        let error = Slot::decode(&reseal(changed)).unwrap_err();
        assert!(matches!(error, SlotError::Inconsistent(_)), "{at} {bytes:?}: {error}");
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(SlotHeader::decode(&bytes).is_err());
        prop_assert!(Slot::decode(&Bytes::from(bytes)).is_err());
    }

    /// Behind a right checksum too.
    #[test]
    fn arbitrary_headers_never_panic(
        mut bytes in proptest::collection::vec(any::<u8>(), SLOT_HEADER_LEN..300),
        kind in 0..5u8,
    ) {
        bytes[..8].copy_from_slice(&[b'K', b'A', b'F', b'C', VERSION, kind, 0, 0]);
        let bytes = reseal(bytes);
        let _ = SlotHeader::decode(&bytes);
        prop_assert!(Slot::decode(&bytes).is_err());
    }

    #[test]
    fn any_header_comes_back(
        base_offset in 0..i64::MAX - 10,
        times in any::<[i64; 4]>(),
        nonce in any::<u64>(),
        small in any::<[u32; 2]>(),
        sequence in 0..i64::MAX - 10,
        app_sequence in -1..i64::MAX,
        last in any::<bool>(),
    ) {
        let (mut header, _) = object(Compression::None);
        header.last = last;
        header.base_offset = base_offset;
        [header.max_timestamp, header.append_time, header.opened, header.producer_id] = times;
        header.nonce = nonce;
        [header.producer_epoch, header.lease_ms] = small;
        (header.sequence, header.app_sequence) = (sequence, app_sequence);
        let prefix = [7; BATCH_PREFIX_LEN];
        let probe = [&header.encode(&prefix)[..], &prefix].concat();
        prop_assert_eq!(SlotHeader::decode(&probe).unwrap(), header);
    }
}
