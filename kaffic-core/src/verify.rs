//! Verify (signatures).

/// Something wrong in a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifyIssue {
    /// The partition.
    pub partition: u32,
    /// The object.
    pub object: String,
    /// What is wrong with it.
    pub problem: String,
}

/// What a verification found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifyReport {
    /// Records read and checked.
    pub records: u64,
    /// Batches read and checked.
    pub batches: u64,
    /// Bytes of records, keys and headers.
    pub bytes: u64,
    /// What is wrong. Empty when all is well.
    pub issues: Vec<VerifyIssue>,
    /// Offsets missing because their records have expired or an unknown verdict jumped: not wrong.
    pub gaps: u64,
}
