//! Kafka's record batch, format 2: what a slot carries, byte for byte, so that tools for Kafka's
//! log files read what kaffic wrote. Pure: bytes in, bytes out, no storage and no clock.
//!
//! Nothing that is read here is trusted. A stored count or length is compared with the bytes that
//! are there before anything is allocated or sliced by it, and damaged or hostile bytes give a
//! [`BatchError`], never a panic.

mod compress;
mod crc;
mod decode;
mod encode;
mod varint;

#[cfg(test)]
mod tests;

pub(crate) use decode::{BatchHeader, CheckedBatch, Records};
#[cfg(test)]
use decode::{check, decode};
pub(crate) use encode::{BatchBuilder, EncodedBatch};

use crate::error::Error;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The header, up to and including the count of records.
pub(crate) const BATCH_HEADER_LEN: usize = 61;

/// The part of the header that the batch's own checksum does not cover, and that checksum.
pub(crate) const BATCH_PREFIX_LEN: usize = 21;

/// The largest batch that is written or read, as stored.
pub(crate) const MAX_BATCH_BYTES: usize = 64 << 20;

/// The most that the records of one batch may decompress to.
pub(crate) const MAX_RECORDS_BYTES: usize = 256 << 20;

/// Before the attributes, that is before what the batch's length counts: base offset and length.
const LENGTH_END: usize = 12;

const MAGIC: i8 = 2;
const CODEC_MASK: i16 = 0x07;
const LOG_APPEND_TIME: i16 = 0x08;
const TRANSACTIONAL: i16 = 0x10;
const CONTROL: i16 = 0x20;

/// The codec of a batch. Whatever is chosen, readers read every one of them.
///
/// ```
/// use kaffic_core::Compression;
/// assert_eq!("zstd".parse::<Compression>().unwrap(), Compression::Zstd);
/// assert_eq!(Compression::Lz4.to_string(), "lz4");
/// assert!("rar".parse::<Compression>().unwrap_err().to_string().contains("none, gzip, snappy"));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Compression {
    /// Not compressed.
    #[default]
    None,
    /// gzip.
    Gzip,
    /// Snappy.
    Snappy,
    /// LZ4 frames.
    Lz4,
    /// Zstandard.
    Zstd,
}

impl Compression {
    const ALL: [Self; 5] = [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    /// Kafka's number for the codec, as it stands in a batch's attributes.
    fn id(self) -> i16 {
        match self {
            Self::None => 0,
            Self::Gzip => 1,
            Self::Snappy => 2,
            Self::Lz4 => 3,
            Self::Zstd => 4,
        }
    }

    fn from_attributes(attributes: i16) -> Result<Self, BatchError> {
        let id = attributes & CODEC_MASK;
        Self::ALL.into_iter().find(|c| c.id() == id).ok_or(BatchError::UnknownCodec(id as u8))
    }

    fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Compression {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|c| c.name() == name).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            Error::invalid(format!("compression {name:?} is not known: it is one of {names}"))
        })
    }
}

/// What is wrong with the bytes of a batch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BatchError {
    #[error("the batch is cut short: {has} bytes of {needs}")]
    Truncated { has: usize, needs: usize },
    #[error("{0} bytes follow the batch")]
    Trailing(usize),
    #[error("the batch is of format {0}, not 2")]
    BadMagic(i8),
    #[error("the batch's checksum is {computed:08x} but {stored:08x} is stored")]
    BadCrc { stored: u32, computed: u32 },
    #[error("{what} exceeds the limit of {limit} bytes")]
    TooLarge { what: &'static str, limit: usize },
    #[error("the batch's codec {0} is not known")]
    UnknownCodec(u8),
    #[error("the batch's header is wrong: {0}")]
    BadHeader(&'static str),
    #[error("the batch's records can't be decompressed ({codec}): {what}")]
    Decompress { codec: Compression, what: String },
    #[error("record {index} of the batch is wrong: {what}")]
    BadRecord { index: u32, what: &'static str },
    #[error("record {index} of the batch has a header name that is not UTF-8")]
    InvalidUtf8 { index: u32 },
    #[error("{0} bytes follow the last record of the batch")]
    TrailingRecords(usize),
}
