//! A block's beginning (`open`) and end: small JSON objects under `meta/`, and the lease in
//! storage time that they stand for. Pure: nothing here touches the store.
//!
//! T is the stamp of `open`. A slot counts only if its own stamp is earlier than T + A. R is the
//! least age at which the storage may delete a slot. K and M are margins for clocks and for
//! expiry. Stamps are compared in whole seconds.

use crate::catalog::MAX_SLOTS;
use crate::chain::{from_json, to_json};
use crate::error::{Error, ErrorKind, Result};
use crate::slot::SlotHeader;
use crate::store::Object;
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

const FORMAT: u32 = 1;
/// The field of `end` that an index leaves out.
const CHECKSUMS: &str = "checksums";
const HOUR_MS: i64 = 3_600_000;

/// The most records that a batch has; an offset jump is this many times the slots of a block.
pub(crate) const MAX_BATCH_RECORDS: u32 = 100_000;

/// The least age at which the storage may delete a topic's messages (by a lifecycle rule, say).
/// The log's leases are made from it, so a rule must never delete earlier.
///
/// ```
/// use kaffic_core::{MinExpiry, TopicConfig};
/// let kept = TopicConfig::new().min_expiry(MinExpiry::Never);
/// assert_ne!(kept, TopicConfig::new()); // the default is 24 hours
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MinExpiry {
    /// Nothing is deleted before this age: 24 hours by default, 1 minute at least.
    After(Duration),
    /// Nothing is ever deleted by age.
    Never,
}

impl MinExpiry {
    pub(crate) fn as_ms(self) -> Option<i64> {
        match self {
            Self::After(age) => Some(age.as_millis() as i64),
            Self::Never => None,
        }
    }

    pub(crate) fn from_ms(ms: Option<i64>) -> Self {
        ms.map_or(Self::Never, |ms| Self::After(Duration::from_millis(ms.max(0) as u64)))
    }
}

/// The time for which a block may be written to, in storage time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lease {
    /// T, in Unix seconds.
    pub(crate) opened: i64,
    /// A, in milliseconds.
    pub(crate) length_ms: i64,
    /// R, in milliseconds; `None` is never.
    pub(crate) expiry_ms: Option<i64>,
}

impl Lease {
    /// A for a given R: half of it, 12 hours at most.
    pub(crate) fn length_for(min_expiry: MinExpiry) -> i64 {
        min_expiry.as_ms().map_or(12 * HOUR_MS, |r| (r / 2).min(12 * HOUR_MS))
    }

    /// K: the margin for clocks.
    pub(crate) fn clock_margin_ms(&self) -> i64 {
        self.expiry_ms.map_or(HOUR_MS, |r| (r / 24).min(HOUR_MS))
    }

    /// How long a filesystem may take from stamping a slot to showing it: K.
    pub(crate) fn staging_limit(&self) -> Duration {
        Duration::from_millis(self.clock_margin_ms() as u64)
    }

    /// M: the margin before things may expire.
    fn expiry_margin_ms(&self) -> i64 {
        self.expiry_ms.map_or(2 * HOUR_MS, |r| (r / 12).min(2 * HOUR_MS))
    }

    /// Whether a slot with this stamp counts. It does or does not for ever.
    pub(crate) fn holds(&self, stamp: i64) -> bool {
        (stamp - self.opened).saturating_mul(1000) < self.length_ms
    }

    /// Whether, at the time of this stamp, no slot of the block can have expired yet.
    pub(crate) fn nothing_expired_at(&self, stamp: i64) -> bool {
        let age = (stamp - self.opened).saturating_mul(1000);
        self.expiry_ms.is_none_or(|r| age < r - self.expiry_margin_ms())
    }

    /// How long anything is there at least, whatever its stamp lags: R − M. `None` is for ever.
    pub(crate) fn least_age(&self) -> Option<Duration> {
        let ms = self.expiry_ms? - self.expiry_margin_ms();
        Some(Duration::from_millis(ms.max(0) as u64))
    }

    fn age_ms(&self, now_ms: i64) -> i64 {
        now_ms - self.opened.saturating_mul(1000)
    }

    /// Whether, by this clock, a put made now is surely in time.
    pub(crate) fn is_writable(&self, now_ms: i64) -> bool {
        self.age_ms(now_ms) < self.length_ms - self.clock_margin_ms()
    }

    /// Whether a batch put now should be the block's last, so that a busy log moves on early.
    pub(crate) fn is_past_half(&self, now_ms: i64) -> bool {
        self.age_ms(now_ms) > self.length_ms / 2
    }

    /// Whether, by this clock, slots of the block may have expired: a reason to look, no verdict.
    pub(crate) fn may_have_expired(&self, now_ms: i64) -> bool {
        self.expiry_ms.is_some_and(|r| self.age_ms(now_ms) >= r - self.expiry_margin_ms())
    }

    /// The stamp from which on whoever goes by the topic's promise may delete the block's slots;
    /// `None` is never.
    pub(crate) fn expired_at(&self) -> Option<i64> {
        let expiry = self.expiry_ms?.div_euclid(1000) + 1;
        Some(self.removable_at().max(self.opened.saturating_add(expiry)))
    }

    /// Whether what was put at `stamp` is older than A + K: no work on it goes on any more.
    pub(crate) fn is_over(&self, stamp: i64, now: i64) -> bool {
        (now - stamp).saturating_mul(1000) > self.length_ms + self.clock_margin_ms()
    }

    /// The stamp from which on the block's slots may be deleted: nothing put late counts.
    pub(crate) fn removable_at(&self) -> i64 {
        self.opened + (self.length_ms + self.clock_margin_ms()).div_euclid(1000) + 1
    }
}

/// A block's beginning. The winner's `open` is the only source of these numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Open {
    pub(crate) block: u64,
    pub(crate) base_offset: i64,
    /// The largest timestamp of all batches before the block; `i64::MIN` where there is none.
    pub(crate) max_timestamp: i64,
    pub(crate) lease: Lease,
    pub(crate) slots: u32,
    pub(crate) max_records: u32,
}

/// As JSON. Fields that may be null have to be there all the same, lest damage pass for null.
#[derive(Debug, Serialize, Deserialize)]
struct StoredOpen {
    format: u32,
    base_offset: i64,
    #[serde(deserialize_with = "Option::deserialize")]
    max_timestamp: Option<i64>,
    lease_ms: i64,
    #[serde(deserialize_with = "Option::deserialize")]
    min_expiry_ms: Option<i64>,
    slots: u32,
    max_records: u32,
}

impl Open {
    /// The bytes of an `open` with these settings.
    pub(crate) fn encode(
        base_offset: i64,
        max_timestamp: i64,
        min_expiry: MinExpiry,
        slots: u32,
    ) -> Result<Bytes> {
        to_json(&StoredOpen {
            format: FORMAT,
            base_offset,
            max_timestamp: some_timestamp(max_timestamp),
            lease_ms: Lease::length_for(min_expiry),
            min_expiry_ms: min_expiry.as_ms(),
            slots,
            max_records: MAX_BATCH_RECORDS,
        })
    }

    pub(crate) fn decode(key: &str, block: u64, object: &Object) -> Result<Self> {
        Self::check(key, block, object.stamp, from_json(key, &object.bytes)?)
    }

    /// Its JSON, for the block's index.
    pub(super) fn to_value(&self) -> Result<Value> {
        to_value(&StoredOpen {
            format: FORMAT,
            base_offset: self.base_offset,
            max_timestamp: some_timestamp(self.max_timestamp),
            lease_ms: self.lease.length_ms,
            min_expiry_ms: self.lease.expiry_ms,
            slots: self.slots,
            max_records: self.max_records,
        })
    }

    /// From the block's index, with T as it stands there.
    pub(super) fn from_value(key: &str, block: u64, opened: i64, value: Value) -> Result<Self> {
        Self::check(key, block, opened, from_value(key, value)?)
    }

    fn check(key: &str, block: u64, opened: i64, stored: StoredOpen) -> Result<Self> {
        check_format(key, stored.format)?;
        let sane = stored.base_offset >= 0
            && (1..=12 * HOUR_MS).contains(&stored.lease_ms)
            && stored.min_expiry_ms.is_none_or(|r| r >= stored.lease_ms)
            && (1..=MAX_SLOTS).contains(&stored.slots)
            && stored.max_records >= 1;
        if !sane {
            return Err(Error::corrupt(key, "its numbers can't be"));
        }
        Ok(Self {
            block,
            base_offset: stored.base_offset,
            max_timestamp: stored.max_timestamp.unwrap_or(i64::MIN),
            lease: Lease { opened, length_ms: stored.lease_ms, expiry_ms: stored.min_expiry_ms },
            slots: stored.slots,
            max_records: stored.max_records,
        })
    }

    /// A base offset beyond everything that can be in the block.
    pub(crate) fn offset_beyond(&self) -> i64 {
        self.base_offset + i64::from(self.slots) * i64::from(self.max_records)
    }
}

/// Where a block ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    /// Just these first slots belong to the block.
    Slots(u32),
    /// Slots may have expired unseen: which belong to it is not known, those that are seen do.
    Unknown,
}

/// A block's end: the verdict and what the next block starts from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct End {
    format: u32,
    pub(crate) verdict: Verdict,
    pub(crate) next_offset: i64,
    #[serde(with = "timestamp")]
    pub(crate) max_timestamp: i64,
    /// T, as whoever ended the block read it.
    pub(crate) opened: i64,
    /// The header checksum of each slot; null for one that had expired.
    pub(crate) checksums: Vec<Option<u32>>,
    /// The topic was deleted: there is no next block.
    pub(crate) closed: bool,
    /// The last application sequence of each producer that has given such, from the log's beginning
    /// on: by producer id.
    #[serde(default, skip_serializing_if = "Sequences::is_empty")]
    pub(crate) producers: Sequences,
}

/// The last application sequences of producers, by producer id.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Sequences(BTreeMap<i64, i64>);

impl Sequences {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Counts a slot in.
    pub(crate) fn note(&mut self, header: &SlotHeader) {
        if header.app_sequence >= 0 {
            self.raise(header.producer_id, header.app_sequence);
        }
    }

    /// Counts in what others say.
    pub(crate) fn merge(&mut self, others: &Self) {
        others.0.iter().for_each(|(producer, sequence)| self.raise(*producer, *sequence));
    }

    fn raise(&mut self, producer: i64, sequence: i64) {
        let last = self.0.entry(producer).or_insert(sequence);
        *last = sequence.max(*last);
    }

    pub(crate) fn last(&self, producer: i64) -> Option<i64> {
        self.0.get(&producer).copied()
    }
}

impl End {
    pub(crate) fn new(
        verdict: Verdict,
        next_offset: i64,
        max_timestamp: i64,
        opened: i64,
        checksums: Vec<Option<u32>>,
        closed: bool,
    ) -> Self {
        let producers = Sequences::default();
        Self {
            format: FORMAT,
            verdict,
            next_offset,
            max_timestamp,
            opened,
            checksums,
            closed,
            producers,
        }
    }

    /// With the last sequences of producers.
    pub(crate) fn with_producers(self, producers: Sequences) -> Self {
        Self { producers, ..self }
    }

    pub(crate) fn decode(key: &str, object: &Object) -> Result<Self> {
        Self::check(key, from_json(key, &object.bytes)?)
    }

    /// Its JSON without the checksums, for the block's index: the headers there have them.
    pub(super) fn to_value(&self) -> Result<Value> {
        let mut value = to_value(self)?;
        if let Some(fields) = value.as_object_mut() {
            fields.remove(CHECKSUMS);
        }
        Ok(value)
    }

    /// From the block's index, with the checksums of its headers.
    pub(super) fn from_value(key: &str, mut value: Value, checksums: Vec<u32>) -> Result<Self> {
        if let Some(fields) = value.as_object_mut() {
            fields.insert(CHECKSUMS.to_owned(), checksums.into());
        }
        Self::check(key, from_value(key, value)?)
    }

    fn check(key: &str, end: Self) -> Result<Self> {
        check_format(key, end.format)?;
        let sane = match end.verdict {
            Verdict::Slots(slots) => slots <= MAX_SLOTS && end.checksums.len() == slots as usize,
            Verdict::Unknown => end.checksums.is_empty(),
        };
        if !sane || end.next_offset < 0 {
            return Err(Error::corrupt(key, "its numbers can't be"));
        }
        Ok(end)
    }

    pub(crate) fn encode(&self) -> Result<Bytes> {
        to_json(self)
    }

    /// Whether the verdict says that the slot belongs to the block.
    pub(crate) fn covers(&self, slot: u32) -> bool {
        matches!(self.verdict, Verdict::Slots(slots) if slot < slots)
    }

    /// Whether the verdict says that the slot does not belong to the block.
    pub(crate) fn excludes(&self, slot: u32) -> bool {
        matches!(self.verdict, Verdict::Slots(slots) if slot >= slots)
    }
}

fn some_timestamp(ms: i64) -> Option<i64> {
    (ms != i64::MIN).then_some(ms)
}

/// The largest timestamp so far: null where there is none.
mod timestamp {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(ms: &i64, serializer: S) -> Result<S::Ok, S::Error> {
        super::some_timestamp(*ms).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<i64, D::Error> {
        Ok(Option::deserialize(from)?.unwrap_or(i64::MIN))
    }
}

fn to_value(stored: &impl Serialize) -> Result<Value> {
    serde_json::to_value(stored)
        .map_err(|error| Error::internal("a value has no JSON").with_source(error))
}

fn from_value<T: DeserializeOwned>(key: &str, value: Value) -> Result<T> {
    serde_json::from_value(value).map_err(|error| {
        Error::corrupt(key, format_args!("it is damaged or not of kaffic's ({error})"))
            .with_source(error)
    })
}

pub(super) fn check_format(key: &str, format: u32) -> Result<()> {
    if format == FORMAT {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Unsupported,
        format!("{key} is in format {format}; this version reads {FORMAT}"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(r_seconds: u64) -> Lease {
        let min_expiry = MinExpiry::After(Duration::from_secs(r_seconds));
        Lease {
            opened: 1000,
            length_ms: Lease::length_for(min_expiry),
            expiry_ms: min_expiry.as_ms(),
        }
    }

    #[test]
    fn margins_are_fractions_of_r_with_upper_bounds() {
        let day = lease(24 * 3600);
        assert_eq!(
            (day.length_ms, day.clock_margin_ms(), day.expiry_margin_ms()),
            (12 * HOUR_MS, HOUR_MS, 2 * HOUR_MS)
        );
        let year = lease(365 * 24 * 3600);
        assert_eq!((year.length_ms, year.clock_margin_ms()), (12 * HOUR_MS, HOUR_MS));
        let short = lease(120);
        assert_eq!(
            (short.length_ms, short.clock_margin_ms(), short.expiry_margin_ms()),
            (60_000, 5_000, 10_000)
        );
    }

    #[test]
    fn the_lease_ends_at_the_second() {
        let lease = lease(120);
        assert!(lease.holds(1059) && !lease.holds(1060));
        assert!(lease.nothing_expired_at(1109) && !lease.nothing_expired_at(1110));
        assert!(lease.is_writable(1_054_999) && !lease.is_writable(1_055_000));
        assert!(Lease { expiry_ms: None, ..lease }.nothing_expired_at(i64::MAX));
    }

    #[test]
    fn open_and_end_come_back_and_damage_is_seen() {
        let bytes = Open::encode(7, i64::MIN, MinExpiry::Never, 1000).expect("encodes");
        let open = Open::decode("k", 3, &Object { bytes, stamp: 9 }).expect("decodes");
        assert_eq!((open.base_offset, open.block, open.lease.opened), (7, 3, 9));
        assert_eq!(open.offset_beyond(), 7 + 1000 * i64::from(MAX_BATCH_RECORDS));
        let end = End::new(Verdict::Slots(2), 9, 5, 9, vec![Some(1), None], false);
        let bytes = end.encode().expect("encodes");
        assert_eq!(End::decode("k", &Object { bytes, stamp: 0 }).expect("decodes"), end);
        let whole = r#"{"format":1,"base_offset":0,"max_timestamp":null,"lease_ms":1,"min_expiry_ms":null,"slots":1,"max_records":1}"#;
        let object = |text: String| Object { bytes: text.into(), stamp: 0 };
        assert!(Open::decode("k", 0, &object(whole.to_owned())).is_ok());
        for field in ["base_offset", "max_timestamp", "min_expiry_ms", "slots"] {
            let damaged = whole.replace(field, "other");
            assert!(Open::decode("k", 0, &object(damaged)).is_err(), "{field}");
        }
        for bad in [&b""[..], b"{}", b"null", br#"{"format":2}"#] {
            let object = Object { bytes: Bytes::from_static(bad), stamp: 0 };
            assert!(Open::decode("k", 0, &object).is_err() && End::decode("k", &object).is_err());
        }
    }
}
