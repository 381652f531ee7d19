//! The task that awaits the tickets, in the order of the lines.

use crate::output::Output;
use crate::progress::Progress;
use crate::signals::Flag;
use crate::stop::Stop;
use kaffic_core::{Ack, Error, Outcome, Ticket};
use serde_json::json;
use std::future::Future;
use std::io::Write;
use std::pin::pin;
use std::task::Poll;
use tokio::sync::mpsc;

/// Tickets taken from the channel at a time.
const AT_A_TIME: usize = 1024;

/// A line whose record is under way.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) line: u64,
    pub(super) ticket: Ticket,
}

/// What became of the lines.
#[derive(Debug)]
pub(super) struct Tally {
    pub(super) acknowledged: u64,
    /// The first thing that went wrong.
    pub(super) failed: Option<Stop>,
}

/// An error that names the line it befell.
pub(super) fn failed_line(line: u64, error: Error) -> Stop {
    Stop::Core { context: Some(format!("line {line}")), error }
}

/// A line of the report.
pub(super) fn acknowledged(line: u64, ack: &Ack) -> String {
    let Ack { partition, offset, duplicate, .. } = ack;
    match duplicate {
        true => format!("{{\"line\":{line},\"partition\":{partition},\"duplicate\":true}}"),
        false => format!("{{\"line\":{line},\"partition\":{partition},\"offset\":{offset}}}"),
    }
}

/// Follows the acknowledgements.
#[derive(Debug)]
pub(super) struct Acks {
    report: Option<Output>,
    progress: Progress,
    stop: Flag,
    tally: Tally,
}

impl Acks {
    /// `stop` is set when the rest of the input is not worth reading any more.
    pub(super) fn new(report: bool, progress: Progress, stop: Flag) -> Self {
        let tally = Tally { acknowledged: 0, failed: None };
        Self { report: report.then(Output::stdout), progress, stop, tally }
    }

    /// Awaits every ticket. A failure or a closed output does not end it: what is under way may
    /// be stored still, and is counted.
    pub(super) async fn follow(mut self, mut pending: mpsc::Receiver<Pending>) -> Tally {
        let mut some = Vec::with_capacity(AT_A_TIME);
        loop {
            if pending.is_empty() {
                self.flush();
            }
            if pending.recv_many(&mut some, AT_A_TIME).await == 0 {
                break;
            }
            for Pending { line, ticket } in some.drain(..) {
                let mut ticket = pin!(ticket);
                let outcome = match futures_util::poll!(&mut ticket) {
                    Poll::Ready(outcome) => outcome,
                    Poll::Pending => {
                        self.flush();
                        ticket.await
                    }
                };
                self.take(line, outcome);
            }
            self.progress.set(self.tally.acknowledged);
        }
        self.flush();
        self.tally
    }

    fn take(&mut self, line: u64, outcome: Result<Ack, Error>) {
        let ack = match outcome {
            Ok(ack) => ack,
            Err(error) => {
                self.report_failure(line, &error);
                return self.fail(failed_line(line, error));
            }
        };
        self.tally.acknowledged += 1;
        let Some(report) = &mut self.report else { return };
        let _ = writeln!(report.buffer(), "{}", acknowledged(line, &ack));
        self.spill();
    }

    fn report_failure(&mut self, line: u64, error: &Error) {
        let Some(report) = &mut self.report else { return };
        let outcome = match error.outcome() {
            Outcome::Unknown => "unknown",
            Outcome::NotWritten => "not_written",
        };
        let failure = json!({ "line": line, "outcome": outcome, "error": error.to_string() });
        let _ = writeln!(report.buffer(), "{failure}");
        self.spill();
    }

    fn spill(&mut self) {
        if let Some(Err(stop)) = self.report.as_mut().map(Output::spill) {
            self.fail(stop);
            self.report = None;
        }
    }

    fn flush(&mut self) {
        if let Some(Err(stop)) = self.report.as_mut().map(Output::flush) {
            self.fail(stop);
            self.report = None;
        }
    }

    fn fail(&mut self, stop: Stop) {
        self.tally.failed.get_or_insert(stop);
        self.stop.set();
    }
}

/// The compiler's word that a ticket may wait in a channel between tasks.
const _: fn() = || {
    fn sendable<T: Future + Send + 'static>() {}
    sendable::<Ticket>();
};
