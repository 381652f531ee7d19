//! What becomes of the records of a producer: waited for in the order in which they were sent to each
//! partition, and told to the queue in arrays, or kept as the failure that the next flush tells.

use crate::queue::{Queue, kaffic_delivery_t, kaffic_event_t};
use futures_util::FutureExt;
use kaffic_bindings::Failure;
use kaffic_bindings::failure::Result;
use kaffic_bindings::process::Work;
use kaffic_core::{Ack, Ticket};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::runtime::Runtime;
use tokio::sync::Notify;

/// Deliveries that are told together, at most.
const TOGETHER: usize = 1024;

/// A record under way.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) tag: u64,
    pub(crate) ticket: Ticket,
    pub(crate) partition: i32,
    pub(crate) timestamp_ms: i64,
}

/// The records under way of one producer. Those of one partition are waited for by one task.
#[derive(Debug)]
pub(crate) struct Deliveries {
    lanes: Box<[Mutex<Lane>]>,
    told: Arc<Told>,
}

/// Where deliveries go.
#[derive(Debug)]
struct Told {
    queue: Option<Arc<Queue>>,
    failed: Mutex<Option<Failure>>,
    progress: Notify,
}

#[derive(Debug, Default)]
struct Lane {
    waiting: VecDeque<Sent>,
    running: bool,
    sent: u64,
    told: u64,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Deliveries {
    pub(crate) fn new(partitions: u32, queue: Option<Arc<Queue>>) -> Arc<Self> {
        let lanes = (0..partitions).map(|_| Mutex::default()).collect();
        let told = Told { queue, failed: Mutex::default(), progress: Notify::new() };
        Arc::new(Self { lanes, told: Arc::new(told) })
    }

    pub(crate) fn queue(&self) -> Option<&Queue> {
        self.told.queue.as_deref()
    }

    /// Takes in a record under way. Whoever comes first in a partition starts the task that waits.
    pub(crate) fn add(self: &Arc<Self>, runtime: &Runtime, partition: u32, sent: Sent) {
        let Some(lane) = self.lanes.get(partition as usize) else { return };
        let mut lane = locked(lane);
        lane.waiting.push_back(sent);
        lane.sent += 1;
        if !std::mem::replace(&mut lane.running, true) {
            drop(lane);
            let all = Arc::clone(self);
            // It goes on when the producer was freed, and the library's end waits for it.
            let under_way = Work::under_way();
            runtime.spawn(async move {
                all.wait_for(partition).await;
                drop(under_way);
            });
        }
    }

    /// Waits for what is under way in a partition, until nothing is.
    async fn wait_for(&self, partition: u32) {
        let Some(lane) = self.lanes.get(partition as usize) else { return };
        let mut event = kaffic_event_t::deliveries();
        let mut told = 0;
        // Two that take turns, so that neither has to grow again and again.
        let mut waiting = VecDeque::new();
        loop {
            {
                let mut lane = locked(lane);
                if lane.waiting.is_empty() {
                    lane.running = false;
                    return;
                }
                std::mem::swap(&mut waiting, &mut lane.waiting);
            }
            while let Some(mut sent) = waiting.pop_front() {
                let came = match (&mut sent.ticket).now_or_never() {
                    Some(came) => came,
                    None => {
                        // What is known is told before there is a wait.
                        self.tell(lane, &mut event, &mut told);
                        (&mut sent.ticket).await
                    }
                };
                self.note(&mut event, &sent, came.map_err(Failure::from));
                told += 1;
                if told == TOGETHER as u64 {
                    self.tell(lane, &mut event, &mut told);
                }
            }
            self.tell(lane, &mut event, &mut told);
        }
    }

    fn note(&self, event: &mut kaffic_event_t, sent: &Sent, came: Result<Ack>) {
        if self.told.queue.is_some() {
            let known = (sent.partition, sent.timestamp_ms);
            let delivery = kaffic_delivery_t::of(sent.tag, &came, known);
            event.add(delivery, came.as_ref().err().cloned());
        }
        if let Err(failure) = came {
            locked(&self.told.failed).get_or_insert(failure);
        }
    }

    fn tell(&self, lane: &Mutex<Lane>, event: &mut kaffic_event_t, told: &mut u64) {
        if *told == 0 {
            return;
        }
        if let Some(queue) = &self.told.queue
            && !event.is_empty()
        {
            queue.push(std::mem::replace(event, kaffic_event_t::deliveries()));
        }
        locked(lane).told += std::mem::take(told);
        self.told.progress.notify_waiters();
    }

    /// Waits until everything sent so far was told, and takes the first failure since the last time.
    pub(crate) async fn all_told(&self) -> Result<()> {
        let sent: Vec<u64> = self.lanes.iter().map(|lane| locked(lane).sent).collect();
        loop {
            let progress = self.told.progress.notified();
            let mut progress = std::pin::pin!(progress);
            progress.as_mut().enable();
            let done = |(lane, sent): (&Mutex<Lane>, &u64)| locked(lane).told >= *sent;
            if self.lanes.iter().zip(&sent).all(done) {
                break;
            }
            progress.await;
        }
        locked(&self.told.failed).take().map_or(Ok(()), Err)
    }
}
