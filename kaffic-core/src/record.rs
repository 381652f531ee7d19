//! Records as they go in ([`Record`]) and as they come out ([`ConsumerRecord`]).

use bytes::Bytes;
use std::sync::Arc;

/// A header: a name and a value that travel with a record. The value may be null.
///
/// ```
/// let header = kaffic_core::Header::new("trace", Some("17".into()));
/// assert_eq!(header.value.as_deref(), Some(&b"17"[..]));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The header's name. Names may repeat within a record; their order is kept.
    pub name: Arc<str>,
    /// The header's value; `None` is null, which is not the same as empty.
    pub value: Option<Bytes>,
}

impl Header {
    /// A header from a name and a value.
    pub fn new(name: impl Into<Arc<str>>, value: Option<Bytes>) -> Self {
        Self { name: name.into(), value }
    }
}

/// A record where it was read into, before anything is made of it. See [`RecordSink`].
///
/// Its key, value and header values lie in the memory that comes with it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecordView<'a> {
    /// Its position in the partition.
    pub offset: i64,
    /// Milliseconds since the Unix epoch, as its producer gave it.
    pub timestamp: i64,
    /// The key, or `None` where it is null.
    pub key: Option<&'a [u8]>,
    /// The value, or `None` where it is null.
    pub value: Option<&'a [u8]>,
    /// The headers' names and values, in order.
    pub headers: Vec<(&'a str, Option<&'a [u8]>)>,
}

impl RecordView<'_> {
    /// The bytes of key, value and headers.
    pub(crate) fn content_len(&self) -> u64 {
        let len = |bytes: Option<&[u8]>| bytes.map_or(0, |bytes| bytes.len() as u64);
        let headers = self.headers.iter().map(|(name, value)| name.len() as u64 + len(*value));
        len(self.key) + len(self.value) + headers.sum::<u64>()
    }

    /// Key, value and headers, sharing the memory in which they lie.
    pub(crate) fn shared(self, memory: &Bytes) -> (Option<Bytes>, Option<Bytes>, Vec<Header>) {
        let slice = |bytes: &[u8]| memory.slice_ref(bytes);
        let header = |(name, value): (&str, Option<&[u8]>)| Header::new(name, value.map(slice));
        let headers = self.headers.into_iter().map(header).collect();
        (self.key.map(slice), self.value.map(slice), headers)
    }
}

/// Takes records as a consumer hands them out. For libraries that make something of their own of each
/// record: with a `Vec<ConsumerRecord>` as the sink it is what [`Consumer::poll`](crate::Consumer::poll)
/// does.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let client = kaffic_core::Kaffic::connect("memory://").await.unwrap();
/// # client.topics().create("t", Default::default()).await.unwrap();
/// # let producer = client.producer("t").build().await.unwrap();
/// # producer.send(kaffic_core::Record::value("value").key("k")).await.unwrap();
/// use kaffic_core::{Bytes, RecordSink, RecordView};
/// /// The sum of all sizes.
/// struct Sizes(usize);
/// impl RecordSink for Sizes {
///     fn take(&mut self, _: &std::sync::Arc<str>, _: u32, _: &Bytes, record: RecordView<'_>) {
///         self.0 += record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len);
///     }
/// }
/// let mut consumer = client.consumer().topic("t").build().await.unwrap();
/// let mut sizes = Sizes(0);
/// let count = consumer.poll_into(10, std::time::Duration::from_secs(5), &mut sizes).await.unwrap();
/// assert_eq!((count, sizes.0), (1, 6));
/// # });
/// ```
pub trait RecordSink {
    /// Takes the next record, of this topic and partition. `memory` is where its bytes lie: a clone of it
    /// keeps them.
    fn take(&mut self, topic: &Arc<str>, partition: u32, memory: &Bytes, record: RecordView<'_>);
}

impl RecordSink for Vec<ConsumerRecord> {
    fn take(&mut self, topic: &Arc<str>, partition: u32, memory: &Bytes, record: RecordView<'_>) {
        let (offset, timestamp) = (record.offset, record.timestamp);
        let (key, value, headers) = record.shared(memory);
        let topic = Arc::clone(topic);
        self.push(ConsumerRecord { topic, partition, offset, timestamp, key, value, headers });
    }
}

/// A record to be produced. Everything is optional; a record may even be empty.
///
/// ```
/// use kaffic_core::Record;
/// let record = Record::value("paid").key("customer-7").header("source", "shop").partition(2);
/// assert_eq!(record.key.as_deref(), Some(&b"customer-7"[..]));
/// assert_eq!(Record::tombstone("customer-7").value, None);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    /// Decides the partition (unless one is named) and so the order: FIFO per key.
    pub key: Option<Bytes>,
    /// The payload; `None` is null, which is not the same as empty.
    pub value: Option<Bytes>,
    /// Headers in order.
    pub headers: Vec<Header>,
    /// Milliseconds since the Unix epoch; `None` takes the time of sending.
    pub timestamp: Option<i64>,
    /// The partition; `None` lets the key decide, or the producer where there is no key.
    pub partition: Option<u32>,
    /// A number that grows with each record that the application gives to a named producer: the
    /// offset in its source, say. A record whose number is not above the last one that the name
    /// has written to the partition is acknowledged as a duplicate, and not written again.
    pub sequence: Option<i64>,
}

impl Record {
    /// A record with a value.
    pub fn value(value: impl Into<Bytes>) -> Self {
        Self { value: Some(value.into()), ..Self::default() }
    }

    /// A record with a key and a null value.
    pub fn tombstone(key: impl Into<Bytes>) -> Self {
        Self { key: Some(key.into()), ..Self::default() }
    }

    /// Sets the key.
    pub fn key(mut self, key: impl Into<Bytes>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Adds a header.
    pub fn header(mut self, name: impl Into<Arc<str>>, value: impl Into<Bytes>) -> Self {
        self.headers.push(Header::new(name, Some(value.into())));
        self
    }

    /// Sets the timestamp, in milliseconds since the Unix epoch.
    pub fn timestamp(mut self, unix_ms: i64) -> Self {
        self.timestamp = Some(unix_ms);
        self
    }

    /// Names the partition.
    pub fn partition(mut self, partition: u32) -> Self {
        self.partition = Some(partition);
        self
    }

    /// Sets the sequence, by which a named producer knows what it has written before; 0 or more.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// use kaffic_core::{Kaffic, Record};
    /// let client = Kaffic::connect("memory://").await.unwrap();
    /// client.topics().create("t", Default::default()).await.unwrap();
    /// let producer = client.producer("t").name("copier").build().await.unwrap();
    /// assert!(!producer.send(Record::value("a").sequence(7)).await.unwrap().duplicate);
    /// assert!(producer.send(Record::value("a").sequence(7)).await.unwrap().duplicate);
    /// # });
    /// ```
    pub fn sequence(mut self, sequence: i64) -> Self {
        self.sequence = Some(sequence);
        self
    }

    /// The bytes of the record's own content, which is what limits and buffers count.
    pub fn content_len(&self) -> usize {
        let headers: usize = self
            .headers
            .iter()
            .map(|h| h.name.len() + h.value.as_ref().map_or(0, Bytes::len))
            .sum();
        self.key.as_ref().map_or(0, Bytes::len)
            + self.value.as_ref().map_or(0, Bytes::len)
            + headers
    }
}

/// A record as a consumer gets it. Key, value and headers share the fetched batch's memory.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let client = kaffic_core::Kaffic::connect("memory://").await.unwrap();
/// # client.topics().create("t", Default::default()).await.unwrap();
/// # let producer = client.producer("t").build().await.unwrap();
/// # producer.send(kaffic_core::Record::value("v")).await.unwrap();
/// let mut consumer = client.consumer().topic("t").build().await.unwrap();
/// let records = consumer.poll(10, std::time::Duration::from_secs(5)).await.unwrap();
/// assert_eq!(records[0].offset, 0);
/// assert_eq!(records[0].value.as_deref(), Some(&b"v"[..]));
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerRecord {
    /// The topic it was read from.
    pub topic: Arc<str>,
    /// The partition it was read from.
    pub partition: u32,
    /// Its position in the partition: offsets grow, may have gaps, and never repeat.
    pub offset: i64,
    /// Milliseconds since the Unix epoch, as its producer gave it.
    pub timestamp: i64,
    /// The key, or `None` where it is null.
    pub key: Option<Bytes>,
    /// The value, or `None` where it is null.
    pub value: Option<Bytes>,
    /// The headers in order.
    pub headers: Vec<Header>,
}
