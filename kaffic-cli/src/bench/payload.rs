//! The values that are sent: when they were sent, then hex digits.

use bytes::{BufMut, Bytes, BytesMut};
use std::time::Duration;

const STAMP_BYTES: usize = 8;
const POOL_BYTES: usize = 1 << 20;

/// Makes values of one size.
#[derive(Debug)]
pub(super) struct Payload {
    digits: Vec<u8>,
    size: usize,
    state: u64,
}

impl Payload {
    pub(super) fn new(size: u64, seed: u64) -> Self {
        let size = usize::try_from(size).unwrap_or(STAMP_BYTES).max(STAMP_BYTES);
        let mut payload = Self { digits: Vec::new(), size, state: seed | 1 };
        let length = POOL_BYTES + size;
        let mut digits = Vec::with_capacity(length + 16);
        while digits.len() < length {
            digits.extend_from_slice(format!("{:016x}", payload.next()).as_bytes());
        }
        payload.digits = digits;
        payload
    }

    /// A value that bears `sent`.
    pub(super) fn value(&mut self, sent: Duration) -> Bytes {
        let from = (self.next() >> 32) as usize % POOL_BYTES;
        let mut value = BytesMut::with_capacity(self.size);
        value.put_u64(sent.as_nanos() as u64);
        value.put_slice(&self.digits[from..from + self.size - STAMP_BYTES]);
        value.freeze()
    }

    /// Xorshift: a chance as cheap as the copying beside it.
    fn next(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state
    }
}

/// When a value was sent.
pub(super) fn sent(value: &[u8]) -> Option<Duration> {
    value.first_chunk().map(|stamp| Duration::from_nanos(u64::from_be_bytes(*stamp)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_their_size_and_their_time() {
        for size in [8, 9, 1000, 3 << 20] {
            let mut payload = Payload::new(size, 7);
            let value = payload.value(Duration::from_nanos(123_456_789));
            assert_eq!(value.len() as u64, size);
            assert_eq!(sent(&value), Some(Duration::from_nanos(123_456_789)));
            assert!(value[8..].iter().all(u8::is_ascii_hexdigit));
        }
        assert_eq!(sent(b"short"), None);
    }
}
