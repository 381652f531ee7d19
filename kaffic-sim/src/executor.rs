//! Runs the tasks of all processes of a world, one at a time, in an order that chance decides.

use crate::process::Process;
use crate::trace::Event;
use crate::world::{ActorId, State, TaskId, What, World};
use futures_util::future::BoxFuture;
use rand::RngExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Wake, Waker};

/// Tasks that can go on. Apart from the world's state, so that a waker never has to wait for it.
#[derive(Debug, Default)]
struct Ready(Mutex<Vec<TaskId>>);

impl Ready {
    fn push(&self, task: TaskId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(task);
    }
}

#[derive(Debug)]
struct Signal {
    task: TaskId,
    queued: AtomicBool,
    ready: Arc<Ready>,
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::Relaxed) {
            self.ready.push(self.task);
        }
    }
}

struct Task {
    actor: ActorId,
    future: BoxFuture<'static, ()>,
    signal: Arc<Signal>,
    waker: Waker,
}

/// The one scheduler of a world.
pub(crate) struct Executor {
    pub(crate) world: World,
    tasks: Vec<Option<Task>>,
    ready: Arc<Ready>,
    pub(crate) steps: u64,
}

impl Executor {
    pub(crate) fn new(world: World) -> Self {
        Self { world, tasks: Vec::new(), ready: Arc::default(), steps: 0 }
    }

    /// Goes on until `done`, until there is nothing left to do, or until `limit` (in world time).
    /// Says whether it was `done`.
    pub(crate) fn run_until(&mut self, limit: i64, mut done: impl FnMut(&State) -> bool) -> bool {
        loop {
            {
                let world = self.world.lock();
                if world.oracle.violation().is_some() || world.now >= limit {
                    return false;
                }
                if done(&world) {
                    return true;
                }
            }
            if !self.step() {
                return false;
            }
        }
    }

    /// Polls one task that is ready, or lets the next event happen.
    fn step(&mut self) -> bool {
        self.steps += 1;
        let next = self.pick();
        match next {
            Some(task) => self.poll(task),
            None => {
                let Some(what) = self.world.lock().next_event() else { return false };
                self.happen(what);
            }
        }
        self.settle();
        true
    }

    /// One of the ready tasks, by chance. Those of a paused process wait with it.
    fn pick(&mut self) -> Option<TaskId> {
        loop {
            let mut ready = self.ready.0.lock().unwrap_or_else(PoisonError::into_inner);
            if ready.is_empty() {
                return None;
            }
            let mut world = self.world.lock();
            let chosen = if ready.len() == 1 { 0 } else { world.rng.random_range(0..ready.len()) };
            let task = ready.swap_remove(chosen);
            let Some(Task { actor, .. }) = &self.tasks[task as usize] else { continue };
            if world.is_paused(*actor) {
                world.actors[*actor as usize].parked.push(task);
                continue;
            }
            world.log(&Event::Poll { task });
            return Some(task);
        }
    }

    fn poll(&mut self, number: TaskId) {
        let Some(mut task) = self.tasks[number as usize].take() else { return };
        task.signal.queued.store(false, Ordering::Relaxed);
        let finished = task.future.as_mut().poll(&mut Context::from_waker(&task.waker)).is_ready();
        if !finished {
            self.tasks[number as usize] = Some(task);
        }
    }

    fn happen(&mut self, what: What) {
        let mut world = self.world.lock();
        let waker = match what {
            What::Timer(timer) => world.fire(timer),
            What::Apply(op) => {
                world.apply(op);
                None
            }
            What::Answer(op) => world.answer(op),
            What::Resume(actor) => {
                drop(world);
                return self.resume(actor);
            }
            What::Start(number) => {
                let Some((actor, program)) = world.start(number) else { return };
                drop(world);
                let process = Process { world: self.world.clone(), actor };
                self.spawn(actor, program.start(process));
                return;
            }
        };
        drop(world);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Ends a pause.
    pub(crate) fn resume(&mut self, actor: ActorId) {
        let parked = self.world.lock().resume(actor);
        parked.into_iter().for_each(|task| self.ready.push(task));
    }

    fn spawn(&mut self, actor: ActorId, future: BoxFuture<'static, ()>) {
        let task = self.tasks.len() as TaskId;
        let signal = Arc::new(Signal {
            task,
            queued: AtomicBool::new(true),
            ready: Arc::clone(&self.ready),
        });
        let waker = Waker::from(Arc::clone(&signal));
        self.tasks.push(Some(Task { actor, future, signal, waker }));
        self.ready.push(task);
    }

    /// Takes up new tasks and drops those of processes that have ended.
    fn settle(&mut self) {
        loop {
            let (spawned, ended) = {
                let mut world = self.world.lock();
                (std::mem::take(&mut world.spawned), std::mem::take(&mut world.ended))
            };
            if spawned.is_empty() && ended.is_empty() {
                return;
            }
            for (actor, future) in spawned {
                if self.world.lock().actors[actor as usize].alive {
                    self.spawn(actor, future);
                }
            }
            for task in &mut self.tasks {
                if task.as_ref().is_some_and(|task| ended.contains(&task.actor)) {
                    *task = None;
                }
            }
        }
    }
}
