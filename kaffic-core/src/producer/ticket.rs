//! A record under way: the future of its acknowledgement. All records of a batch share one
//! completion, so a ticket costs no allocation of its own.

use crate::error::{Error, ErrorKind, Result};
use futures_util::FutureExt;
use futures_util::future::Shared;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::oneshot;

/// Where a record went.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let client = kaffic_core::Kaffic::connect("memory://").await.unwrap();
/// # client.topics().create("t", Default::default()).await.unwrap();
/// # let producer = client.producer("t").build().await.unwrap();
/// let ack = producer.send(kaffic_core::Record::value("v").timestamp(17)).await.unwrap();
/// assert_eq!((ack.partition, ack.offset, ack.timestamp), (0, 0, 17));
/// # });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ack {
    /// The partition.
    pub partition: u32,
    /// The offset; of the first record, where several were appended at once. −1 for a duplicate.
    pub offset: i64,
    /// The record's timestamp in Unix milliseconds.
    pub timestamp: i64,
    /// The producer's name had written this sequence, or one above it, to the partition before: the
    /// record was not written again. Only for records with a [`sequence`](crate::Record::sequence).
    pub duplicate: bool,
}

/// What became of a batch that did not fail.
#[derive(Debug, Clone, Copy)]
pub(super) struct Written {
    /// So many of its first records had been written before.
    pub(super) duplicates: u32,
    /// The offset of the first record after these.
    pub(super) base: i64,
    /// The bytes that were stored.
    pub(super) bytes: usize,
}

/// What became of a batch.
pub(super) type Outcome = Result<Written>;

/// The completion of a batch, shared by its records.
pub(super) type Completion = Shared<oneshot::Receiver<Outcome>>;

/// A batch's completion, and what completes it.
pub(super) fn completion() -> (oneshot::Sender<Outcome>, Completion) {
    let (sender, receiver) = oneshot::channel();
    (sender, receiver.shared())
}

/// The outcome of a completion; that nobody completed it is an outcome too.
pub(super) fn outcome(received: Result<Outcome, oneshot::error::RecvError>) -> Outcome {
    received.unwrap_or_else(|_| {
        let message = "the producer's task was ended with its runtime before the batch was written";
        Err(Error::new(ErrorKind::Closed, message).with_unknown_outcome())
    })
}

/// A record under way: a future of its [`Ack`]. Dropping it does not take the record back.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let client = kaffic_core::Kaffic::connect("memory://").await.unwrap();
/// # client.topics().create("t", Default::default()).await.unwrap();
/// # let producer = client.producer("t").build().await.unwrap();
/// let ticket = producer.enqueue(kaffic_core::Record::value("v")).await.unwrap(); // in the buffer
/// let ack = ticket.await.unwrap(); // in the log
/// assert_eq!(ack.offset, 0);
/// # });
/// ```
#[derive(Debug)]
#[must_use = "a ticket tells whether the record was written; flush() waits for all"]
pub struct Ticket {
    pub(super) completion: Completion,
    pub(super) index: u32,
    pub(super) partition: u32,
    pub(super) timestamp: i64,
}

impl Ticket {
    /// The partition that the record goes to.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let client = kaffic_core::Kaffic::connect("memory://").await.unwrap();
    /// # client.topics().create("t", Default::default()).await.unwrap();
    /// # let producer = client.producer("t").build().await.unwrap();
    /// let record = kaffic_core::Record::value("v").timestamp(17);
    /// let ticket = producer.enqueue(record).await.unwrap();
    /// assert_eq!((ticket.partition(), ticket.timestamp()), (0, 17));
    /// # });
    /// ```
    pub fn partition(&self) -> u32 {
        self.partition
    }

    /// The record's timestamp in Unix milliseconds.
    pub fn timestamp(&self) -> i64 {
        self.timestamp
    }
}

impl Future for Ticket {
    type Output = Result<Ack>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.completion.poll_unpin(context).map(|received| {
            let Written { duplicates, base, .. } = outcome(received)?;
            let (partition, timestamp) = (self.partition, self.timestamp);
            let after = self.index.checked_sub(duplicates);
            let offset = after.map_or(-1, |index| base + i64::from(index));
            Ok(Ack { partition, offset, timestamp, duplicate: after.is_none() })
        })
    }
}
