//! Retention by hand: what of a topic may go, said by a caller or by the topic's settings.

use crate::context::Context;
use crate::error::{Error, Result};
use crate::log::{MinExpiry, TrimPoint, TrimReport};
use crate::topic::TopicDescription;

/// What [`crate::Kaffic::trim`] removes. What several of them cover goes if one of them covers it.
///
/// ```
/// use kaffic_core::Trim;
/// let trim = Trim::before_timestamp(1_800_000_000_000).and_keep_bytes(10 << 30).partition(3);
/// # let _ = trim;
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use = "it is used by trim()"]
pub struct Trim {
    point: TrimPoint,
    partition: Option<u32>,
}

impl Trim {
    /// What the topic's retention settings say.
    pub fn retention() -> Self {
        Self::default()
    }

    /// Records before an offset.
    pub fn before_offset(offset: i64) -> Self {
        Self::default().and_before_offset(offset)
    }

    /// Records with a timestamp before this, in milliseconds since the Unix epoch; up to the first
    /// block that has a later one.
    pub fn before_timestamp(unix_ms: i64) -> Self {
        Self::default().and_before_timestamp(unix_ms)
    }

    /// All but the last so many bytes of each partition, as they are stored.
    pub fn keep_bytes(bytes: u64) -> Self {
        Self::default().and_keep_bytes(bytes)
    }

    /// Records before an offset, too.
    pub fn and_before_offset(mut self, offset: i64) -> Self {
        self.point.offset = Some(offset);
        self
    }

    /// Records with a timestamp before this, too.
    pub fn and_before_timestamp(mut self, unix_ms: i64) -> Self {
        self.point.before_ms = Some(unix_ms);
        self
    }

    /// All but the last so many bytes, too.
    pub fn and_keep_bytes(mut self, bytes: u64) -> Self {
        self.point.keep_bytes = Some(bytes);
        self
    }

    /// Only in one partition.
    pub fn partition(mut self, partition: u32) -> Self {
        self.partition = Some(partition);
        self
    }
}

pub(crate) async fn trim(
    context: &Context,
    topic: &TopicDescription,
    trim: &Trim,
) -> Result<TrimReport> {
    if topic.min_expiry == MinExpiry::Never {
        return Err(Error::invalid(format!(
            "topic {}: its min-expiry is never, which promises that nothing goes; alter that first",
            topic.name
        )));
    }
    let now = context.store.now().await?;
    let mut point = trim.point;
    if point == TrimPoint::default() {
        let retention_ms = topic.retention.map(|retention| retention.as_millis() as i64);
        point.before_ms = retention_ms.map(|ms| now * 1000 - ms);
        point.keep_bytes = topic.retention_bytes;
    }
    if point == TrimPoint::default() {
        return Err(Error::invalid(format!(
            "topic {} has no retention, so what may go has to be said",
            topic.name
        )));
    }
    let partitions = match trim.partition {
        Some(partition) => {
            topic.check_partition(partition)?;
            partition..partition + 1
        }
        None => 0..topic.partitions,
    };
    let mut report = TrimReport::default();
    for partition in partitions {
        topic.log(context, partition).trim(&point, now, &mut report).await?;
    }
    Ok(report)
}
