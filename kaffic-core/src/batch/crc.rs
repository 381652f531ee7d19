//! The checksum of two pieces from the checksums of each, so that a header is stamped anew
//! without its body being read. Here because the crc32c crate's own takes 40 µs, in which the
//! checksum of half a megabyte is computed; this takes less than one.
//!
//! A checksum is a polynomial over bits, modulo CRC32C's, the highest power in the lowest bit. To
//! put n bytes after it is to multiply it by x to the power of 8n.

const POLYNOMIAL: u32 = 0x82f6_3b78;
const ONE: u32 = 1 << 31;
const X: u32 = 1 << 30;

/// x to the power of 2^i.
const SQUARES: [u32; 32] = {
    let mut squares = [X; 32];
    let mut i = 1;
    while i < squares.len() {
        squares[i] = multiply(squares[i - 1], squares[i - 1]);
        i += 1;
    }
    squares
};

/// The checksum of two pieces in a row, the second of them `second_len` bytes long.
pub(super) fn combine(first: u32, second: u32, second_len: usize) -> u32 {
    let bits = 8 * second_len as u64;
    debug_assert!(bits >> SQUARES.len() == 0, "no batch is as long as that");
    let mut shift = ONE;
    for (i, &square) in SQUARES.iter().enumerate() {
        if bits >> i & 1 == 1 {
            shift = multiply(shift, square);
        }
    }
    multiply(shift, first) ^ second
}

const fn multiply(mut a: u32, mut b: u32) -> u32 {
    let mut product = 0;
    while a != 0 {
        if a & ONE != 0 {
            product ^= b;
        }
        a <<= 1;
        b = if b & 1 == 0 { b >> 1 } else { b >> 1 ^ POLYNOMIAL };
    }
    product
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn combined_is_the_checksum_of_both() {
        let bytes: Vec<u8> = (0..70_000u32).map(|i| (i ^ i >> 7) as u8).collect();
        for (first, second) in [(40, 0), (0, 40), (40, 1), (40, 65_536), (1, 69_999)] {
            let (a, rest) = bytes.split_at(first);
            let b = &rest[..second];
            let combined = combine(crc32c::crc32c(a), crc32c::crc32c(b), b.len());
            assert_eq!(combined, crc32c::crc32c(&bytes[..first + second]), "{first} {second}");
        }
    }

    #[test]
    fn agrees_with_the_crate_at_any_length() {
        for len in [1, 62, 1 << 20, (64 << 20) - 1] {
            let expected = crc32c::crc32c_combine(0x1234_5678, 0x9abc_def0, len);
            assert_eq!(combine(0x1234_5678, 0x9abc_def0, len), expected, "{len}");
        }
    }
}
