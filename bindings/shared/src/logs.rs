//! Where log lines go: to one sink that a language sets, which may be changed while lines come. The
//! core tells what happens by `tracing`; this takes its events and leaves its spans.

use std::fmt::Write;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// How much a line matters. The numbers are syslog's, as far as there are such.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something failed for good.
    Error = 3,
    /// Something is not as it should be; kaffic goes on.
    Warning = 4,
    /// What one might like to know.
    Info = 6,
    /// What a developer might.
    Debug = 7,
    /// Everything.
    Trace = 8,
}

impl Level {
    /// The level with this number.
    ///
    /// ```
    /// use kaffic_bindings::logs::Level;
    /// assert_eq!(Level::from_number(4), Some(Level::Warning));
    /// assert_eq!(Level::from_number(5), None);
    /// ```
    pub fn from_number(number: i32) -> Option<Self> {
        let all = [Self::Error, Self::Warning, Self::Info, Self::Debug, Self::Trace];
        all.into_iter().find(|level| *level as i32 == number)
    }
}

impl From<tracing::Level> for Level {
    fn from(level: tracing::Level) -> Self {
        match level {
            tracing::Level::ERROR => Self::Error,
            tracing::Level::WARN => Self::Warning,
            tracing::Level::INFO => Self::Info,
            tracing::Level::DEBUG => Self::Debug,
            tracing::Level::TRACE => Self::Trace,
        }
    }
}

/// Takes log lines: how much each matters, the module it comes from, and the line. It is called on
/// any thread, and must not wait.
pub type Sink = Arc<dyn Fn(Level, &str, &str) + Send + Sync>;

/// The least level that is told; 0 while there is no sink, so that lines cost next to nothing then.
static LEAST: AtomicU8 = AtomicU8::new(0);
/// The sink, in a box. Only atomics here, as a lock that another thread held at a fork would be held in
/// the child for ever.
static SINK: AtomicPtr<Sink> = AtomicPtr::new(ptr::null_mut());
/// How many threads look into the box that is, or was, behind [`SINK`].
static LOOKING: AtomicUsize = AtomicUsize::new(0);
static INSTALLED: OnceLock<bool> = OnceLock::new();

/// Sets the sink, or takes it away. Lines above `least` in number are left out. Returns whether lines
/// come here: not if the program has a `tracing` subscriber of its own.
///
/// ```
/// use kaffic_bindings::logs::{Level, set_sink};
/// set_sink(Level::Warning, Some(std::sync::Arc::new(|level, target, line| {
///     eprintln!("{level:?} {target}: {line}");
/// })));
/// set_sink(Level::Warning, None);
/// ```
pub fn set_sink(least: Level, sink: Option<Sink>) -> bool {
    crate::process::hook();
    let installed = *INSTALLED.get_or_init(|| {
        let dispatch = tracing::Dispatch::new(ToSink);
        tracing::dispatcher::set_global_default(dispatch).is_ok()
    });
    LEAST.store(if sink.is_some() { least as u8 } else { 0 }, Ordering::Relaxed);
    let sink = sink.map_or(ptr::null_mut(), |sink| Box::into_raw(Box::new(sink)));
    let before = SINK.swap(sink, Ordering::SeqCst);
    if before.is_null() {
        return installed;
    }
    // Looking takes a moment only.
    while LOOKING.load(Ordering::SeqCst) > 0 {
        std::thread::yield_now();
    }
    // SAFETY: it came from a box and was taken out here alone. Whoever looked into it has ended: from
    // before the pointer is read until the sink is cloned, they count as looking.
    drop(unsafe { Box::from_raw(before) });
    installed
}

/// The sink of the moment.
fn sink() -> Option<Sink> {
    LOOKING.fetch_add(1, Ordering::SeqCst);
    // SAFETY: null, or a box that is not dropped before this counts as looking no more.
    let sink = unsafe { SINK.load(Ordering::SeqCst).as_ref() }.cloned();
    LOOKING.fetch_sub(1, Ordering::SeqCst);
    sink
}

/// In a child of a fork: the threads that looked are not here.
pub(crate) fn in_the_child() {
    LOOKING.store(0, Ordering::SeqCst);
}

struct ToSink;

impl Subscriber for ToSink {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let ours = metadata.target().starts_with("kaffic");
        metadata.is_event() && ours && wanted(Level::from(*metadata.level()))
    }

    fn register_callsite(&self, _: &'static Metadata<'static>) -> tracing::subscriber::Interest {
        // The level may change.
        tracing::subscriber::Interest::sometimes()
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        // It may set another.
        let Some(sink) = sink() else { return };
        let mut line = Line::default();
        event.record(&mut line);
        let metadata = event.metadata();
        sink(Level::from(*metadata.level()), metadata.target(), &line.whole());
    }
}

fn wanted(level: Level) -> bool {
    level as u8 <= LEAST.load(Ordering::Relaxed)
}

/// An event's message, and its fields behind it.
#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Line {
    fn whole(mut self) -> String {
        self.message.push_str(&self.fields);
        self.message
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        // Writing to a string can't fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[test]
    fn lines_go_to_the_sink_of_the_moment() {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&lines);
        let sink: Sink = Arc::new(move |level, target, line| {
            into.lock().unwrap().push((level, target.to_owned(), line.to_owned()));
        });
        assert!(set_sink(Level::Info, Some(sink)));
        tracing::info!(target: "kaffic_core::x", topic = %"orders", n = 3, "it happened");
        tracing::debug!(target: "kaffic_core::x", "not told");
        tracing::warn!(target: "hyper", "not ours");
        set_sink(Level::Info, None);
        tracing::error!(target: "kaffic_core::x", "nobody listens");
        let line = "it happened topic=orders n=3".to_owned();
        assert_eq!(*lines.lock().unwrap(), [(Level::Info, "kaffic_core::x".to_owned(), line)]);
    }
}
