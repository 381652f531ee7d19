//! One simulated process as its program sees it: an environment and a store of its own.

use crate::store::SimStore;
use crate::trace::Event;
use crate::world::{ActorId, State, World};
use futures_util::future::BoxFuture;
use kaffic_core::Kaffic;
use kaffic_core::env::{Env, Rule};
use kaffic_core::object_store::ObjectStore;
use rand::{Rng, RngExt};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, MutexGuard};
use std::task::{Context, Poll};
use std::time::Duration;

/// What a process does from its start on. A process that is started again does it anew.
#[derive(Clone)]
pub(crate) struct Program {
    pub(crate) name: &'static str,
    main: Arc<dyn Fn(Process) -> BoxFuture<'static, ()> + Send + Sync>,
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Program {
    pub(crate) fn new<F: Future<Output = ()> + Send + 'static>(
        name: &'static str,
        main: impl Fn(Process) -> F + Send + Sync + 'static,
    ) -> Self {
        Self { name, main: Arc::new(move |process| Box::pin(main(process))) }
    }

    pub(crate) fn start(&self, process: Process) -> BoxFuture<'static, ()> {
        let (world, actor) = (process.world.clone(), process.actor);
        let main = (self.main)(process);
        Box::pin(async move {
            main.await;
            let mut world = world.lock();
            world.log(&Event::Exit { actor });
            world.end(actor);
        })
    }
}

/// A process, as its program sees it.
#[derive(Clone)]
pub(crate) struct Process {
    pub(crate) world: World,
    pub(crate) actor: ActorId,
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Process({})", self.actor)
    }
}

impl Process {
    pub(crate) fn world(&self) -> MutexGuard<'_, State> {
        self.world.lock()
    }

    pub(crate) fn store(&self) -> Arc<dyn ObjectStore> {
        Arc::new(SimStore { world: self.world.clone(), actor: self.actor })
    }

    /// The library, in this process.
    pub(crate) async fn connect(&self) -> kaffic_core::Result<Kaffic> {
        let segment_bytes = self.world().setting.segment_bytes;
        let builder = Kaffic::builder().store(self.store(), "").env(Arc::new(self.clone()));
        builder.segment_bytes(segment_bytes).connect().await
    }

    pub(crate) async fn pause(&self, ms: i64) {
        self.sleep(Duration::from_millis(ms as u64)).await;
    }

    /// A number below `below`.
    pub(crate) fn below(&self, below: u32) -> u32 {
        self.world().rng.random_range(0..below)
    }

    pub(crate) fn one_of<T: Copy>(&self, from: &[T]) -> T {
        self.world().one_of(from)
    }

    /// Acts as another process from now on, as the child of a fork does.
    #[cfg(test)]
    pub(crate) fn set_pid(&self, pid: u32) {
        self.world().actors[self.actor as usize].pid = pid;
    }
}

impl Env for Process {
    fn now_ms(&self) -> i64 {
        let world = self.world();
        world.now + world.actors[self.actor as usize].skew_ms
    }

    fn monotonic(&self) -> Duration {
        // Never negative: an actor begins with its clock behind, by up to ten seconds.
        Duration::from_millis((self.world().monotonic(self.actor) + 10_000) as u64)
    }

    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()> {
        let ms = time.as_micros().div_ceil(1000).min(i64::MAX as u128 / 4) as i64;
        let deadline = self.world().monotonic(self.actor) + ms;
        Box::pin(Sleep { process: self.clone(), deadline, timer: None })
    }

    fn random(&self) -> u64 {
        self.world().rng.next_u64()
    }

    fn process_id(&self) -> u32 {
        self.world().actors[self.actor as usize].pid
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        let mut world = self.world();
        if world.actors[self.actor as usize].alive {
            world.spawned.push((self.actor, task));
        }
    }

    fn keeps(&self, rule: Rule) -> bool {
        self.world().config.without != Some(rule)
    }
}

struct Sleep {
    process: Process,
    deadline: i64,
    timer: Option<u32>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let (actor, deadline, timer) = (self.process.actor, self.deadline, self.timer);
        let mut world = self.process.world();
        if world.monotonic(actor) >= deadline {
            return Poll::Ready(());
        }
        let waker = cx.waker().clone();
        match timer {
            Some(timer) => world.set_timer_waker(timer, Some(waker)),
            None => {
                let timer = world.start_timer(actor, deadline, waker);
                drop(world);
                self.timer = Some(timer);
            }
        }
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(timer) = self.timer {
            self.process.world().set_timer_waker(timer, None);
        }
    }
}
