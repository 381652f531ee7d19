use super::*;
use proptest::prelude::*;

const LIMIT: usize = 1 << 20;

fn text(len: usize) -> Vec<u8> {
    b"some text that repeats, ".iter().copied().cycle().take(len).collect()
}

fn xerial(versions: [u8; 8], blocks: &[&[u8]]) -> Vec<u8> {
    let mut out = [&XERIAL_HEADER[..XERIAL_MAGIC_LEN], &versions].concat();
    for block in blocks {
        out.extend_from_slice(&(block.len() as u32).to_be_bytes());
        out.extend_from_slice(block);
    }
    out
}

#[test]
fn the_limit_is_kept_to_the_byte() {
    for codec in Compression::ALL.into_iter().filter(|&c| c != Compression::None) {
        for len in [1, XERIAL_BLOCK, XERIAL_BLOCK + 1, 300_000] {
            let compressed = compress(codec, text(len)).unwrap();
            assert_eq!(decompress(codec, &compressed, len).unwrap(), text(len), "{codec} {len}");
            assert_eq!(decompress(codec, &compressed, len - 1), Err(too_large(len - 1)), "{codec}");
        }
    }
}

#[test]
fn what_does_not_shrink_is_compressed_all_the_same() {
    let noise: Vec<u8> =
        (0..100_000u32).map(|i| (i.wrapping_mul(0x9e37_79b9) >> 13) as u8).collect();
    for codec in Compression::ALL {
        let compressed = compress(codec, noise.clone()).unwrap();
        assert_eq!(decompress(codec, &compressed, LIMIT).unwrap(), noise, "{codec}");
    }
}

#[test]
fn snappy_is_read_bare_and_framed() {
    let block = |data: &[u8]| snap::raw::Encoder::new().compress_vec(data).unwrap();
    let read = |bytes: &[u8]| decompress(Compression::Snappy, bytes, LIMIT);
    assert_eq!(read(&block(&text(200_000))).unwrap(), text(200_000));

    let (one, two) = (block(&text(70_000)), block(b"end"));
    let both = [text(70_000), b"end".to_vec()].concat();
    for versions in [[0, 0, 0, 1, 0, 0, 0, 1], [1, 0, 0, 0, 1, 0, 0, 0]] {
        assert_eq!(read(&xerial(versions, &[&one, &two])).unwrap(), both);
    }
    let whole = xerial([0; 8], &[&two]);
    for len in XERIAL_MAGIC_LEN..whole.len() {
        let cut = read(&whole[..len]);
        assert!(if len == 16 { cut == Ok(vec![]) } else { cut.is_err() }, "{len}");
    }
}

#[test]
fn snappy_that_lies_about_its_size_is_refused_before_room_is_made() {
    // 4 GiB - 1, and then a single literal.
    let lie = b"\xff\xff\xff\xff\x0f\x00a";
    let what = snappy_error("a block claims more than it can hold");
    assert_eq!(decompress(Compression::Snappy, lie, usize::MAX), Err(what.clone()));
    let framed = xerial([0; 8], &[lie]);
    assert_eq!(decompress(Compression::Snappy, &framed, usize::MAX), Err(what));
    // The densest there is stays within the ratio.
    let zeros = snap::raw::Encoder::new().compress_vec(&vec![0; LIMIT]).unwrap();
    assert_eq!(decompress(Compression::Snappy, &zeros, LIMIT).unwrap().len(), LIMIT);
}

#[test]
fn every_kind_of_lz4_frame_is_read() {
    for mode in [BlockMode::Independent, BlockMode::Linked] {
        for size in [BlockSize::Max64KB, BlockSize::Max1MB, BlockSize::Max4MB] {
            for sums in [false, true] {
                let info = FrameInfo::new()
                    .block_mode(mode)
                    .block_size(size)
                    .block_checksums(sums)
                    .content_checksum(sums)
                    .content_size(sums.then_some(300_000));
                let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
                encoder.write_all(&text(300_000)).unwrap();
                let frame = encoder.finish().unwrap();
                assert_eq!(decompress(Compression::Lz4, &frame, LIMIT).unwrap(), text(300_000));
                let two = [&frame[..], &frame].concat();
                assert!(decompress(Compression::Lz4, &two, LIMIT).is_err());
            }
        }
    }
}

#[test]
fn zstd_is_read_without_a_content_size_and_in_several_frames() {
    let frame = zstd::stream::encode_all(&text(300_000)[..], 3).unwrap();
    let read = |bytes: &[u8]| decompress(Compression::Zstd, bytes, LIMIT);
    assert_eq!(read(&frame).unwrap(), text(300_000));
    assert_eq!(read(&[&frame[..], &frame].concat()).unwrap(), text(300_000).repeat(2));
    assert!(read(&frame[..frame.len() - 1]).is_err());
}

#[test]
fn a_zstd_window_above_the_limit_is_refused() {
    // Magic, a frame header with a window of 2^31 bytes and no content size, one empty block.
    let frame = b"\x28\xb5\x2f\xfd\x00\xa8\x01\x00\x00";
    let error = decompress(Compression::Zstd, frame, LIMIT).unwrap_err();
    assert!(error.to_string().contains("memory"), "{error}");
}

#[test]
fn gzip_may_have_several_members() {
    let member = compress(Compression::Gzip, text(1_000)).unwrap();
    let two = [&member[..], &member].concat();
    assert_eq!(decompress(Compression::Gzip, &two, LIMIT).unwrap(), text(1_000).repeat(2));
    assert!(decompress(Compression::Gzip, &two[..two.len() - 1], LIMIT).is_err());
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        codec in 0..Compression::ALL.len(),
    ) {
        let codec = Compression::ALL[codec];
        if let Ok(out) = decompress(codec, &bytes, LIMIT) {
            prop_assert!(out.len() <= LIMIT);
        }
    }

    /// Behind a beginning that each codec takes for its own.
    #[test]
    fn damaged_streams_never_panic(
        len in 1..100_000usize,
        damage in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<proptest::sample::Index>(),
        codec in 0..Compression::ALL.len(),
    ) {
        let codec = Compression::ALL[codec];
        let mut bytes = compress(codec, text(len)).unwrap();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(out) = decompress(codec, &bytes, LIMIT) {
            prop_assert!(out.len() <= LIMIT);
        }
        let _ = decompress(codec, &bytes[..cut.index(bytes.len())], LIMIT);
    }
}
