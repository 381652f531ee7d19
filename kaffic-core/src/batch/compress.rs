//! The five codecs, in the framings that Kafka's clients write and read.
//!
//! Decompression stops at a limit while it runs: what the compressed bytes say of their own size
//! is never allocated on their word.

#[cfg(test)]
mod tests;

use super::{BatchError, Compression};
use lz4_flex::frame::{BlockMode, BlockSize, FrameDecoder, FrameEncoder, FrameInfo};
use std::io::{self, Read, Write};

/// Marker, name, version 1, oldest version that can read it 1.
const XERIAL_HEADER: [u8; 16] = *b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01";

/// What is looked at to tell the framing from a bare block; the versions after it may change.
const XERIAL_MAGIC_LEN: usize = 8;

/// What snappy-java puts into a block.
const XERIAL_BLOCK: usize = 32 << 10;

/// The densest element of Snappy makes 64 bytes of 3.
const SNAPPY_MAX_RATIO: usize = 22;

const ZSTD_LEVEL: i32 = 3;

/// The largest window of zstd's ordinary levels, 128 MiB; a frame may not claim more memory.
const ZSTD_MAX_WINDOW_LOG: u32 = 27;

pub(super) fn compress(codec: Compression, records: Vec<u8>) -> io::Result<Vec<u8>> {
    match codec {
        Compression::None => Ok(records),
        Compression::Gzip => {
            let out = Vec::with_capacity(records.len() / 2);
            let mut encoder = flate2::write::GzEncoder::new(out, flate2::Compression::default());
            encoder.write_all(&records)?;
            encoder.finish()
        }
        Compression::Snappy => compress_snappy(&records),
        Compression::Lz4 => {
            // Kafka's Java reader takes independent blocks only, and itself writes this size.
            let info =
                FrameInfo::new().block_mode(BlockMode::Independent).block_size(BlockSize::Max64KB);
            let mut encoder =
                FrameEncoder::with_frame_info(info, Vec::with_capacity(records.len() / 2));
            encoder.write_all(&records)?;
            encoder.finish().map_err(io::Error::other)
        }
        Compression::Zstd => zstd::bulk::compress(&records, ZSTD_LEVEL),
    }
}

/// Decompresses to at most `limit` bytes.
pub(super) fn decompress(
    codec: Compression,
    compressed: &[u8],
    limit: usize,
) -> Result<Vec<u8>, BatchError> {
    let failed = |what: io::Error| BatchError::Decompress { codec, what: what.to_string() };
    match codec {
        Compression::None => Ok(compressed.to_vec()),
        Compression::Gzip => {
            let decoder = flate2::bufread::MultiGzDecoder::new(compressed);
            read_limited(decoder, compressed.len(), limit, failed)
        }
        Compression::Snappy => decompress_snappy(compressed, limit),
        Compression::Lz4 => decompress_lz4(compressed, limit, failed),
        Compression::Zstd => {
            let mut decoder =
                zstd::stream::read::Decoder::with_buffer(compressed).map_err(failed)?;
            decoder.window_log_max(ZSTD_MAX_WINDOW_LOG).map_err(failed)?;
            read_limited(decoder, compressed.len(), limit, failed)
        }
    }
}

fn too_large(limit: usize) -> BatchError {
    BatchError::TooLarge { what: "the batch's records, decompressed,", limit }
}

fn read_limited(
    decoder: impl Read,
    compressed_len: usize,
    limit: usize,
    failed: impl Fn(io::Error) -> BatchError,
) -> Result<Vec<u8>, BatchError> {
    let guess = compressed_len.saturating_mul(4).min(limit);
    let mut out = Vec::with_capacity(guess);
    // One byte more than allowed, to tell the largest from the too large.
    decoder.take(limit as u64 + 1).read_to_end(&mut out).map_err(failed)?;
    if out.len() > limit { Err(too_large(limit)) } else { Ok(out) }
}

/// One frame, as Kafka's clients write: they read no more than that either.
fn decompress_lz4(
    compressed: &[u8],
    limit: usize,
    failed: impl Fn(io::Error) -> BatchError,
) -> Result<Vec<u8>, BatchError> {
    let mut rest = compressed;
    let out = read_limited(FrameDecoder::new(&mut rest), compressed.len(), limit, &failed)?;
    if rest.is_empty() { Ok(out) } else { Err(failed(io::Error::other("bytes follow the frame"))) }
}

/// Writes the framing of snappy-java, which Kafka's Java client writes: Java, librdkafka and
/// aiokafka read both it and a bare block, but some smaller clients know only this one.
fn compress_snappy(records: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = snap::raw::Encoder::new();
    let mut block = vec![0; snap::raw::max_compress_len(XERIAL_BLOCK)];
    let mut out = Vec::with_capacity(records.len() / 2);
    out.extend_from_slice(&XERIAL_HEADER);
    for chunk in records.chunks(XERIAL_BLOCK) {
        let len = encoder.compress(chunk, &mut block).map_err(io::Error::other)?;
        out.extend_from_slice(&(len as u32).to_be_bytes());
        out.extend_from_slice(block.get(..len).unwrap_or_default());
    }
    Ok(out)
}

fn decompress_snappy(compressed: &[u8], limit: usize) -> Result<Vec<u8>, BatchError> {
    let (magic, _) = XERIAL_HEADER.split_at(XERIAL_MAGIC_LEN);
    let mut out = Vec::new();
    if !compressed.starts_with(magic) {
        append_snappy_block(&mut out, compressed, limit)?;
        return Ok(out);
    }
    let cut_short = || snappy_error("a block is cut short");
    let mut rest = compressed.get(XERIAL_HEADER.len()..).ok_or_else(cut_short)?;
    while !rest.is_empty() {
        let (len, blocks) = rest.split_first_chunk().ok_or_else(cut_short)?;
        let len = u32::from_be_bytes(*len) as usize;
        let (block, after) = blocks.split_at_checked(len).ok_or_else(cut_short)?;
        append_snappy_block(&mut out, block, limit)?;
        rest = after;
    }
    Ok(out)
}

fn append_snappy_block(out: &mut Vec<u8>, block: &[u8], limit: usize) -> Result<(), BatchError> {
    let len = snap::raw::decompress_len(block).map_err(snappy_error)?;
    if len > block.len().saturating_mul(SNAPPY_MAX_RATIO) {
        return Err(snappy_error("a block claims more than it can hold"));
    }
    let start = out.len();
    let end = start.saturating_add(len);
    if end > limit {
        return Err(too_large(limit));
    }
    out.resize(end, 0);
    let room = out.get_mut(start..).unwrap_or_default();
    let written = snap::raw::Decoder::new().decompress(block, room).map_err(snappy_error)?;
    out.truncate(start + written);
    Ok(())
}

fn snappy_error(what: impl ToString) -> BatchError {
    BatchError::Decompress { codec: Compression::Snappy, what: what.to_string() }
}
