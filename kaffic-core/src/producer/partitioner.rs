//! The partition of a key: the choice that Kafka's own clients make, so that programs that move
//! over, or share a topic's keys with Kafka, find every key where it was.

const SEED: u32 = 0x9747_b28c;
const M: u32 = 0x5bd1_e995;
const R: u32 = 24;

/// The partition that Kafka's own clients choose for `key` among `partitions`.
///
/// ```
/// use kaffic_core::partition_for_key;
/// assert_eq!(partition_for_key(b"customer-7", 1), 0);
/// let partition = partition_for_key(b"customer-7", 12);
/// assert!(partition < 12);
/// assert_eq!(partition, partition_for_key(b"customer-7", 12));
/// ```
pub fn partition_for_key(key: &[u8], partitions: u32) -> u32 {
    // A topic has one partition at least; 0 is answered as 1 would be.
    (murmur2(key) & 0x7fff_ffff) % partitions.max(1)
}

/// The 32-bit MurmurHash2 with Kafka's seed.
fn murmur2(data: &[u8]) -> u32 {
    let mut hash = SEED ^ data.len() as u32;
    let (words, tail) = data.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> R;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    if !tail.is_empty() {
        let last = tail.iter().rev().fold(0, |word, &byte| word << 8 | u32::from(byte));
        hash = (hash ^ last).wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ hash >> 15
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors of Kafka's own tests.
    #[test]
    fn hashes_as_kafka_does() {
        let vectors: [(&[u8], i32); 6] = [
            (b"21", -973_932_308),
            (b"foobar", -790_332_482),
            (b"a-little-bit-long-string", -985_981_536),
            (b"a-little-bit-longer-string", -1_486_304_829),
            (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            (b"abc", 479_470_107),
        ];
        for (key, hash) in vectors {
            assert_eq!(murmur2(key) as i32, hash, "{key:?}");
        }
    }

    #[test]
    fn keeps_within_the_partitions() {
        for i in 0..1_000u32 {
            assert!(partition_for_key(&i.to_le_bytes(), 7) < 7);
            assert_eq!(partition_for_key(&i.to_le_bytes(), 1), 0);
        }
    }
}
