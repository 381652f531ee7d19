//! A producer: packed records come in, and enter the core's buffer in the order of the calls, on a
//! task of their own; what became of them goes back packed.

use crate::packed::{Unpacked, pack_acks};
use crate::promise::{promise, thrown};
use futures_util::FutureExt;
use futures_util::future::{Either, select};
use futures_util::stream::{FuturesUnordered, StreamExt};
use kaffic_bindings::process::{Belonging, Owned};
use kaffic_bindings::{Failure, Status, process};
use kaffic_core::{Ack, Bytes, Producer, Ticket};
use napi::Env;
use napi::bindgen_prelude::{BufferSlice, Object, Uint8Array};
use napi_derive::napi;
use std::collections::VecDeque;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, oneshot};

/// The bytes that may wait to enter the producer's buffer.
const MOST_WAITING: usize = 64 << 20;

/// The acknowledgements that go back at once: so few that JavaScript is soon done with them, and with
/// what the program does then.
const MOST_ACKS: usize = 512;

type Came = (u32, Result<Ack, Failure>);

/// What waits for the task that enters records, in the order of the calls.
enum Item {
    /// Packed records, with the number of the first.
    Records(u32, Bytes),
    /// Told when everything before it has entered.
    Mark(oneshot::Sender<()>),
}

#[derive(Default)]
struct Intake {
    items: VecDeque<Item>,
    bytes: usize,
    ended: bool,
}

struct Lane {
    producer: Producer,
    intake: Mutex<Intake>,
    arrived: Notify,
    acks: Mutex<VecDeque<Came>>,
    acked: Notify,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Lane {
    fn put(&self, item: Item) {
        locked(&self.intake).items.push_back(item);
        self.arrived.notify_one();
    }

    /// The next item; `None` once the producer's handle is gone and everything was taken.
    async fn next(&self) -> Option<Item> {
        loop {
            {
                let mut intake = locked(&self.intake);
                if let Some(item) = intake.items.pop_front() {
                    return Some(item);
                }
                if intake.ended {
                    return None;
                }
            }
            self.arrived.notified().await;
        }
    }

    fn done(&self, came: impl IntoIterator<Item = Came>) {
        locked(&self.acks).extend(came);
        self.acked.notify_one();
    }

    /// Waits until everything that was sent before has entered the buffer.
    async fn entered(&self) {
        let (told, all) = oneshot::channel();
        self.put(Item::Mark(told));
        // The task ends only after the handle, which waits here.
        all.await.ok();
    }
}

/// Sends under way.
struct UnderWay(FuturesUnordered<futures_util::future::Map<Ticket, Numbered>>);

type Numbered = Box<dyn FnOnce(kaffic_core::Result<Ack>) -> Came + Send>;

impl UnderWay {
    fn push(&mut self, id: u32, ticket: Ticket) {
        let numbered: Numbered = Box::new(move |came| (id, came.map_err(Failure::from)));
        self.0.push(ticket.map(numbered));
    }

    /// Waits for the next to end, and takes all that have; for ever if none is under way.
    async fn some(&mut self) -> Vec<Came> {
        let Some(first) = self.0.next().await else { return std::future::pending().await };
        let mut came = vec![first];
        while came.len() < MOST_ACKS {
            let Some(Some(next)) = self.0.next().now_or_never() else { break };
            came.push(next);
        }
        came
    }
}

async fn enter_all(lane: Arc<Lane>) {
    let mut under_way = UnderWay(FuturesUnordered::new());
    loop {
        let item = match select(pin!(lane.next()), pin!(under_way.some())).await {
            Either::Left((item, _)) => item,
            Either::Right((came, _)) => {
                lane.done(came);
                continue;
            }
        };
        match item {
            None => break,
            Some(Item::Mark(told)) => drop(told.send(())),
            Some(Item::Records(first, packed)) => {
                let bytes = packed.len();
                enter(&lane, first, packed, &mut under_way).await;
                locked(&lane.intake).bytes -= bytes;
            }
        }
    }
    // Nobody asks for the rest of the acknowledgements; the core sends what is in its buffer.
}

async fn enter(lane: &Lane, first: u32, packed: Bytes, under_way: &mut UnderWay) {
    for (at, record) in Unpacked::new(packed).enumerate() {
        let id = first.wrapping_add(at as u32);
        let record = match record {
            Ok(record) => record,
            Err(failure) => {
                lane.done([(id, Err(failure))]);
                continue;
            }
        };
        let mut entering = pin!(lane.producer.enqueue(record));
        // While it waits for room, others go on.
        let entered = loop {
            match select(entering.as_mut(), pin!(under_way.some())).await {
                Either::Left((entered, _)) => break entered,
                Either::Right((came, _)) => lane.done(came),
            }
        };
        match entered {
            Ok(ticket) => under_way.push(id, ticket),
            Err(error) => lane.done([(id, Err(error.into()))]),
        }
    }
}

/// A producer as JavaScript holds it.
#[napi]
pub struct NativeProducer {
    lane: Owned<Arc<Lane>>,
}

impl NativeProducer {
    pub(crate) fn new(producer: Producer) -> Result<Self, Failure> {
        let lane = Arc::new(Lane {
            producer,
            intake: Mutex::default(),
            arrived: Notify::new(),
            acks: Mutex::default(),
            acked: Notify::new(),
        });
        process::runtime()?.spawn(enter_all(Arc::clone(&lane)));
        Ok(Self { lane: Belonging::here().own(lane) })
    }

    fn lane(&self) -> napi::Result<Arc<Lane>> {
        self.lane.get().map(Arc::clone).map_err(thrown)
    }
}

impl Drop for NativeProducer {
    fn drop(&mut self) {
        let Ok(lane) = self.lane.get() else { return };
        locked(&lane.intake).ended = true;
        lane.arrived.notify_one();
    }
}

#[napi]
impl NativeProducer {
    /// Takes packed records, of which the first has this number. They are copied.
    #[napi(catch_unwind)]
    pub fn send(&self, first: u32, packed: BufferSlice<'_>, len: u32) -> napi::Result<()> {
        let lane = self.lane()?;
        let packed = packed.get(..len as usize).unwrap_or_default();
        {
            let mut intake = locked(&lane.intake);
            // One that is larger is let in alone.
            if intake.bytes > 0 && intake.bytes + packed.len() > MOST_WAITING {
                let message = format!(
                    "more than {MOST_WAITING} bytes of records wait for room in the producer's \
                     buffer; wait for sends to end before sending more"
                );
                return Err(thrown(Failure::new(Status::QueueFull, message)));
            }
            intake.bytes += packed.len();
        }
        lane.put(Item::Records(first, Bytes::copy_from_slice(packed)));
        Ok(())
    }

    /// What became of sends, as soon as that is known of some.
    #[napi(catch_unwind, ts_return_type = "Promise<Buffer>")]
    pub fn acks<'env>(&self, env: &'env Env) -> napi::Result<Object<'env>> {
        let lane = self.lane()?;
        promise(env, async move {
            loop {
                let some: Vec<Came> = {
                    let mut acks = locked(&lane.acks);
                    let count = acks.len().min(MOST_ACKS);
                    acks.drain(..count).collect()
                };
                if !some.is_empty() {
                    return Ok(Uint8Array::from(pack_acks(&some)));
                }
                lane.acked.notified().await;
            }
        })
    }

    /// Appends packed records as one batch.
    #[napi(catch_unwind, ts_return_type = "Promise<Buffer>")]
    pub fn append<'env>(
        &self,
        env: &'env Env,
        partition: u32,
        packed: BufferSlice<'_>,
        expected: Option<String>,
    ) -> napi::Result<Object<'env>> {
        let lane = self.lane()?;
        let packed = Bytes::copy_from_slice(&packed);
        promise(env, async move {
            let expected = expected.map(|text| text.parse()).transpose();
            let expected =
                expected.map_err(|_| Failure::invalid("an offset of more than 64 bits"))?;
            let records = Unpacked::new(packed).collect::<Result<Vec<_>, _>>()?;
            lane.entered().await;
            let ack = lane.producer.append(partition, records, expected).await?;
            Ok(Uint8Array::from(pack_acks(&[(0, Ok(ack))])))
        })
    }

    /// Waits until everything that was sent so far is acknowledged or has failed.
    #[napi(catch_unwind, ts_return_type = "Promise<void>")]
    pub fn flush<'env>(&self, env: &'env Env) -> napi::Result<Object<'env>> {
        let lane = self.lane()?;
        promise(env, async move {
            lane.entered().await;
            Ok(lane.producer.flush().await?)
        })
    }

    /// Sends the rest, and refuses records from then on.
    #[napi(catch_unwind, ts_return_type = "Promise<void>")]
    pub fn close<'env>(&self, env: &'env Env) -> napi::Result<Object<'env>> {
        let lane = self.lane()?;
        promise(env, async move {
            lane.entered().await;
            Ok(lane.producer.close().await?)
        })
    }

    /// Fences older instances of the producer's name off.
    #[napi(catch_unwind, ts_return_type = "Promise<void>")]
    pub fn fence<'env>(&self, env: &'env Env) -> napi::Result<Object<'env>> {
        let lane = self.lane()?;
        promise(env, async move { Ok(lane.producer.fence_all().await?) })
    }

    /// The last sequence that the producer's name has written to a partition, as text.
    #[napi(catch_unwind, ts_return_type = "Promise<string | null>")]
    pub fn last_sequence<'env>(
        &self,
        env: &'env Env,
        partition: u32,
    ) -> napi::Result<Object<'env>> {
        let lane = self.lane()?;
        promise(env, async move {
            let last = lane.producer.last_sequence(partition).await?;
            Ok(last.map(|last| last.to_string()))
        })
    }

    /// The topic's number of partitions.
    #[napi(catch_unwind)]
    pub fn partitions(&self) -> napi::Result<u32> {
        Ok(self.lane()?.producer.partitions())
    }

    /// The epoch of the producer's name.
    #[napi(catch_unwind)]
    pub fn epoch(&self) -> napi::Result<Option<u32>> {
        Ok(self.lane()?.producer.epoch())
    }
}
