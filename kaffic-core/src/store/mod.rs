//! store (signatures).
/// Storage requests by kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequestCounts {
    /// Puts, conditional ones included.
    pub puts: u64,
    /// Gets of whole objects and ranges.
    pub gets: u64,
    /// Lists.
    pub lists: u64,
    /// Deletes.
    pub deletes: u64,
    /// Bytes put.
    pub put_bytes: u64,
    /// Bytes got.
    pub get_bytes: u64,
}
