use super::*;
use crate::batch::{BatchBuilder, Compression};
use crate::log::block::Lease;
use crate::record::Record;
use crate::slot::SlotKind;
use proptest::prelude::*;

const KEY: &str = "meta/logs/t/0/00000/000000000/007/index";

/// A block of batches with so many records each; 0 is a seal.
fn block(
    counts: &[u32],
    per_segment: usize,
) -> (Open, End, Vec<Segment>, Vec<[u8; 96]>, Vec<Bytes>) {
    let lease = Lease { opened: 1_700_000_000, length_ms: 1000, expiry_ms: None };
    let open = Open {
        block: 7,
        base_offset: 5,
        max_timestamp: i64::MIN,
        lease,
        slots: 1000,
        max_records: 100,
    };
    let (mut offset, mut newest, mut headers, mut batches) = (5, i64::MIN, vec![], vec![]);
    for (number, count) in (0i64..).zip(counts) {
        let mut builder = BatchBuilder::new(0);
        for _ in 0..*count {
            builder.push(&Record::value("v".repeat(number as usize % 40)), number);
        }
        let batch = (*count > 0).then(|| builder.finish(Compression::None).unwrap());
        newest = batch.as_ref().map_or(newest, |_| newest.max(number));
        let mut header = SlotHeader {
            kind: if *count > 0 { SlotKind::Data } else { SlotKind::Seal },
            last: false,
            base_offset: offset,
            record_count: *count,
            batch_len: batch.as_ref().map_or(0, |batch| batch.len() as u32),
            max_timestamp: newest,
            append_time: 3,
            nonce: number as u64,
            producer_id: 9,
            producer_epoch: 0,
            lease_ms: 1000,
            sequence: offset,
            app_sequence: -1,
            opened: lease.opened,
            crc: 0,
        };
        let bytes = batch.map_or(Bytes::new(), |batch| {
            let front = batch.header(offset, 9, 0, header.base_sequence());
            Bytes::from([&front[..], &batch.body()[..]].concat())
        });
        headers.push(header.encode(&bytes));
        batches.push(bytes);
        offset += i64::from(*count);
    }
    let checksums =
        headers.iter().map(|header| Some(SlotHeader::decode_apart(header).unwrap().crc)).collect();
    let end = End::new(
        Verdict::Slots(counts.len() as u32),
        offset,
        newest,
        lease.opened,
        checksums,
        false,
    );
    let mut segments = Vec::new();
    for (number, first) in (0..counts.len()).step_by(per_segment.max(1)).enumerate() {
        let last = (first + per_segment).min(counts.len());
        let bytes = batches[first..last].iter().map(|batch| batch.len() as u64).sum();
        let name = format!("007.00000000000000ab-{number}");
        segments.push(Segment { name, bytes, first_slot: first as u32 });
    }
    // A segment of seals alone is not written.
    if segments.len() > 1 && segments.last().is_some_and(|segment| segment.bytes == 0) {
        segments.pop();
    }
    if segments.iter().any(|segment| segment.bytes == 0) {
        segments.clear();
    }
    (open, end, segments, headers, batches)
}

fn object(bytes: impl Into<Bytes>) -> Object {
    Object { bytes: bytes.into(), stamp: 0 }
}

#[test]
fn an_index_says_all_that_open_end_and_slots_say() {
    let (open, end, segments, headers, batches) = block(&[1, 3, 2, 1, 0], 2);
    let bytes = Index::encode(&open, &end, &segments, &headers).unwrap();
    let index = Index::decode(KEY, 7, &object(bytes)).unwrap();
    assert_eq!((&index.open, &index.end, &index.segments), (&open, &end, &segments));
    assert_eq!((index.slots(), segments.len()), (5, 2));
    assert_eq!(
        [4, 5, 6, 8, 9, 11, 12].map(|offset| index.slot_at(offset)),
        [None, Some(0), Some(1), Some(1), Some(2), Some(3), None]
    );
    for limit in [0, 1, 1 << 20] {
        let mut slot = 0;
        while let Some(part) = index.part(slot, limit) {
            let from = segments[part.segment].first_slot as usize;
            let whole = batches[from..].concat();
            let piece = &whole[part.bytes.start as usize..part.bytes.end as usize];
            let piece = Bytes::copy_from_slice(piece);
            for number in part.slots.clone() {
                let read = index.slot("s", &part, &piece, number).unwrap();
                assert_eq!(&read.header, &index.headers()[number as usize]);
                assert_eq!(read.batch.is_some(), !batches[number as usize].is_empty());
            }
            if !piece.is_empty() {
                let cut = piece.slice(..piece.len() - 1);
                let last = part.slots.clone().rev().find(|n| !batches[*n as usize].is_empty());
                let error = index.slot("s", &part, &cut, last.unwrap()).unwrap_err();
                assert!(error.to_string().starts_with("s: the segment is cut short"), "{error}");
            }
            slot = part.slots.end;
        }
        assert_eq!(slot, 5);
    }
}

proptest! {
    #[test]
    fn any_block_comes_back_and_any_damage_is_an_error(
        counts in prop::collection::vec(0u32..4, 0..30),
        per_segment in 1usize..9,
        at in any::<prop::sample::Index>(),
        change in 1u8..,
        cut in any::<prop::sample::Index>(),
    ) {
        let (open, end, segments, headers, _) = block(&counts, per_segment);
        let bytes = Index::encode(&open, &end, &segments, &headers).unwrap();
        let index = Index::decode(KEY, 7, &object(bytes.clone())).unwrap();
        prop_assert_eq!(&index.end, &end);
        prop_assert_eq!(&index.segments, &segments);
        let mut damaged = bytes.to_vec();
        damaged[at.index(bytes.len())] ^= change;
        for damaged in [damaged, bytes[..cut.index(bytes.len())].to_vec()] {
            let error = Index::decode(KEY, 7, &object(damaged)).unwrap_err();
            prop_assert!(error.to_string().starts_with(KEY), "{}", error);
        }
    }

    /// What has the right checksum and is nonsense is an error too, never a panic.
    #[test]
    fn nonsense_is_an_error(
        json in "\\PC{0,200}",
        rest in prop::collection::vec(any::<u8>(), 0..400),
    ) {
        let mut bytes = Vec::from(json);
        bytes.push(b'\n');
        bytes.extend(rest);
        let checksum = crc32c::crc32c(&bytes);
        bytes.put_u32(checksum);
        prop_assert!(Index::decode(KEY, 7, &object(bytes)).is_err());
    }

    /// The same for an index whose numbers are not those of its slots.
    #[test]
    fn segments_that_are_not_the_slots_are_an_error(
        counts in prop::collection::vec(1u32..4, 2..20),
        which in any::<prop::sample::Index>(),
        bytes in -3i64..3,
        first in -3i64..3,
    ) {
        let (open, end, mut segments, headers, _) = block(&counts, 3);
        let segment = &mut segments[which.index(counts.len().div_ceil(3))];
        segment.bytes = segment.bytes.wrapping_add_signed(bytes);
        segment.first_slot = segment.first_slot.wrapping_add_signed(first as i32);
        let encoded = Index::encode(&open, &end, &segments, &headers).unwrap();
        let decoded = Index::decode(KEY, 7, &object(encoded));
        prop_assert_eq!(decoded.is_ok(), bytes == 0 && first == 0);
    }
}

#[test]
fn another_format_another_block_and_foreign_names_are_refused() {
    let (open, end, segments, headers, _) = block(&[1, 1], 2);
    let bytes = Index::encode(&open, &end, &segments, &headers).unwrap();
    let with = |from: &str, to: &str| {
        let at = bytes.len() - 4;
        let line = bytes.iter().position(|byte| *byte == b'\n').unwrap();
        let json = String::from_utf8(bytes[..line].to_vec()).unwrap().replacen(from, to, 1);
        let mut changed = [json.as_bytes(), &bytes[line..at]].concat();
        let checksum = crc32c::crc32c(&changed);
        changed.put_u32(checksum);
        Index::decode(KEY, 7, &object(changed)).unwrap_err().to_string()
    };
    assert!(with("\"format\":1", "\"format\":2").contains("format 2"));
    assert!(with("007.", "008.").contains("not of its block"));
    assert!(with("007.", "../").contains("not of its block"));
    assert!(with("\"next_offset\":7", "\"next_offset\":8").contains("does not follow"));
    let ours = Index::decode(KEY, 8, &object(bytes.clone())).unwrap_err();
    assert!(ours.to_string().contains("not of its block"), "{ours}");
}
