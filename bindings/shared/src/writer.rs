//! A producer for languages whose calls return at once: records enter the buffer in the order of the
//! calls, also those that have to wait for room.

use crate::failure::{Failure, Result, Status};
use kaffic_core::{Ack, Producer, Record, Ticket};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::{Mutex, MutexGuard, OwnedMutexGuard};

/// The bytes of records that may wait for room, beyond those that are in the buffer.
const MOST_WAITING: usize = 64 << 20;

/// Sends in the order of its calls. Cheap to clone.
///
/// ```
/// # kaffic_bindings::process::runtime().unwrap().block_on(async {
/// use kaffic_bindings::writer::Writer;
/// use kaffic_core::{Kaffic, Record};
/// let client = Kaffic::connect("memory://").await.unwrap();
/// client.topics().create("t", Default::default()).await.unwrap();
/// let writer = Writer::new(client.producer("t").build().await.unwrap());
/// let first = writer.send(Record::value("a"));
/// let second = writer.send(Record::value("b"));
/// assert_eq!(second.await.unwrap().offset, 1);
/// assert_eq!(first.await.unwrap().offset, 0);
/// # });
/// ```
#[derive(Debug, Clone)]
pub struct Writer {
    producer: Producer,
    /// Held by whoever waits for room; it is fair, so the others come after in their order.
    gate: Arc<Mutex<()>>,
    waiting: Arc<AtomicUsize>,
}

/// A record's way into the buffer.
enum Entry {
    In(Ticket),
    Refused(Failure),
    Waits(Waiting),
}

/// A record that waits its turn, and counts as waiting for as long.
struct Waiting {
    turn: std::pin::Pin<Box<dyn Future<Output = OwnedMutexGuard<()>> + Send>>,
    record: Record,
    counted: Counted,
}

struct Counted {
    waiting: Arc<AtomicUsize>,
    bytes: usize,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.waiting.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Writer {
    /// Of a producer.
    pub fn new(producer: Producer) -> Self {
        Self { producer, gate: Arc::default(), waiting: Arc::default() }
    }

    /// The producer.
    pub fn producer(&self) -> &Producer {
        &self.producer
    }

    /// Gives a record its place in the order, and returns a future of its acknowledgement. Called
    /// within the runtime; the future has to be polled for a record that waits.
    ///
    /// # Errors
    /// `QueueFull` when more than 64 MiB wait for room already; otherwise as
    /// [`Producer::send`].
    pub fn send(&self, record: Record) -> impl Future<Output = Result<Ack>> + Send + 'static {
        let entry = self.enter(record);
        let producer = self.producer.clone();
        async move {
            let ticket = match entry {
                Entry::In(ticket) => ticket,
                Entry::Refused(failure) => return Err(failure),
                Entry::Waits(Waiting { turn, record, counted }) => {
                    let turn = turn.await;
                    let ticket = producer.enqueue(record).await?;
                    drop((turn, counted));
                    ticket
                }
            };
            Ok(ticket.await?)
        }
    }

    /// Waits until what was sent before has entered the buffer. What is sent from then on comes after
    /// whatever is done before the turn is dropped.
    async fn turn(&self) -> MutexGuard<'_, ()> {
        self.gate.lock().await
    }

    /// Waits until everything sent so far is acknowledged or has failed, also what waits for room.
    ///
    /// # Errors
    /// As [`Producer::flush`].
    pub async fn flush(&self) -> Result<()> {
        drop(self.turn().await);
        Ok(self.producer.flush().await?)
    }

    /// Appends a batch, behind what was sent so far.
    ///
    /// # Errors
    /// As [`Producer::append`].
    pub async fn append(
        &self,
        partition: u32,
        records: Vec<Record>,
        expected_offset: Option<i64>,
    ) -> Result<Ack> {
        drop(self.turn().await);
        Ok(self.producer.append(partition, records, expected_offset).await?)
    }

    /// Closes the producer, once what was sent so far has entered the buffer; records that come after are
    /// refused.
    ///
    /// # Errors
    /// As [`Producer::close`].
    pub async fn close(&self) -> Result<()> {
        let _turn = self.turn().await;
        Ok(self.producer.close().await?)
    }

    fn enter(&self, record: Record) -> Entry {
        if let Ok(_turn) = self.gate.try_lock() {
            // Most records find room at once, and then this is ready at once.
            let mut entering = Box::pin(self.producer.enqueue(record.clone()));
            match futures_util::FutureExt::now_or_never(&mut entering) {
                Some(Ok(ticket)) => return Entry::In(ticket),
                Some(Err(error)) => return Entry::Refused(error.into()),
                // It is taken back, and waits below.
                None => {}
            }
        }
        let bytes = record.content_len();
        if self.waiting.fetch_add(bytes, Ordering::Relaxed) + bytes > MOST_WAITING {
            self.waiting.fetch_sub(bytes, Ordering::Relaxed);
            let message = format!(
                "more than {MOST_WAITING} bytes of records wait for room in the producer's buffer; \
                 wait for sends to end before sending more"
            );
            return Entry::Refused(Failure::new(Status::QueueFull, message));
        }
        let counted = Counted { waiting: Arc::clone(&self.waiting), bytes };
        let mut turn = Box::pin(Arc::clone(&self.gate).lock_owned());
        // Polled once, it has its place in the queue.
        match futures_util::FutureExt::now_or_never(&mut turn) {
            Some(ours) => {
                let turn = Box::pin(std::future::ready(ours));
                Entry::Waits(Waiting { turn, record, counted })
            }
            None => Entry::Waits(Waiting { turn, record, counted }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kaffic_core::Kaffic;

    async fn writer(in_flight: usize) -> Writer {
        let client = Kaffic::connect("memory://").await.unwrap();
        client.topics().create("t", Default::default()).await.unwrap();
        let producer = client.producer("t").max_in_flight_bytes(in_flight).build().await.unwrap();
        Writer::new(producer)
    }

    #[tokio::test]
    async fn records_that_wait_for_room_keep_their_order() {
        // Room for two or three at a time.
        let writer = writer(4096).await;
        let sends: Vec<_> =
            (0..200).map(|n| writer.send(Record::value(vec![n as u8; 1500]))).collect();
        let acks = futures_util::future::join_all(sends).await;
        for (n, ack) in (0..).zip(acks) {
            assert_eq!(ack.unwrap().offset, n);
        }
        assert_eq!(writer.waiting.load(Ordering::Relaxed), 0);
    }

    /// Begins sends that the buffer has no room for, as an event loop does: each in a task of its own.
    #[expect(clippy::disallowed_methods, reason = "tests have no environment")]
    fn begin(writer: &Writer, count: u8) -> Vec<tokio::task::JoinHandle<Result<Ack>>> {
        (0..count).map(|n| tokio::spawn(writer.send(Record::value(vec![n; 1500])))).collect()
    }

    async fn all(sends: Vec<tokio::task::JoinHandle<Result<Ack>>>) -> Vec<i64> {
        let acks = futures_util::future::join_all(sends).await;
        acks.into_iter().map(|ack| ack.unwrap().unwrap().offset).collect()
    }

    #[tokio::test]
    async fn a_flush_covers_what_waits_for_room() {
        let writer = writer(4096).await;
        let sends = begin(&writer, 50);
        assert!(writer.waiting.load(Ordering::Relaxed) > 0);
        writer.flush().await.unwrap();
        assert_eq!(writer.waiting.load(Ordering::Relaxed), 0);
        // All are durable: an append to this partition comes behind them.
        assert_eq!(writer.append(0, vec![Record::value("a")], Some(50)).await.unwrap().offset, 50);
        assert_eq!(all(sends).await, Vec::from_iter(0..50));
    }

    #[tokio::test]
    async fn an_append_does_not_overtake_what_waits_for_room() {
        let writer = writer(4096).await;
        let sends = begin(&writer, 50);
        let ack = writer.append(0, vec![Record::value("a")], None).await.unwrap();
        assert_eq!(ack.offset, 50);
        assert_eq!(all(sends).await, Vec::from_iter(0..50));
    }

    #[tokio::test]
    async fn closing_sends_what_waits_for_room_and_refuses_what_comes_after() {
        let writer = writer(4096).await;
        let sends = begin(&writer, 50);
        writer.close().await.unwrap();
        let failure = writer.send(Record::value("late")).await.unwrap_err();
        assert_eq!(failure.status, Status::Closed);
        assert_eq!(all(sends).await, Vec::from_iter(0..50));
        writer.close().await.unwrap();
    }

    #[tokio::test]
    async fn what_waits_is_bounded_and_a_dropped_wait_counts_no_more() {
        let writer = writer(10 << 20).await;
        let mut sends: Vec<_> =
            (0..8).map(|_| writer.send(Record::value(vec![1; 9 << 20]))).collect();
        // One is in, seven wait; the eighth that would wait is too much.
        let failure = writer.send(Record::value(vec![1; 9 << 20])).await.unwrap_err();
        assert_eq!(failure.status, Status::QueueFull);
        drop(sends.pop());
        sends.push(writer.send(Record::value(vec![1; 9 << 20])));
        for (n, send) in (0..).zip(sends) {
            assert_eq!(send.await.unwrap().offset, n);
        }
    }
}
