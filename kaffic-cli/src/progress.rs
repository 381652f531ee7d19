//! A line on standard error that shows a person that work goes on; nothing at all in a pipe.

use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use std::fmt::Write;
use std::io::IsTerminal;
use std::time::Duration;

/// How far long work has come. Vanishes when dropped.
#[derive(Debug)]
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// Shows a count of `what` if someone watches standard error and `quiet` is not set.
    pub(crate) fn count(what: &str, quiet: bool) -> Self {
        if quiet || !std::io::stderr().is_terminal() {
            return Self(ProgressBar::hidden());
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        let template = format!("{{spinner}} {{human_pos}} {what}, {{rate}}/s, {{elapsed}} {{msg}}");
        if let Ok(style) = ProgressStyle::with_template(&template) {
            bar.set_style(style.with_key("rate", |state: &ProgressState, out: &mut dyn Write| {
                let _ = write!(out, "{}", HumanCount(state.per_sec() as u64));
            }));
        }
        bar.enable_steady_tick(Duration::from_millis(100));
        Self(bar)
    }

    /// The count so far.
    pub(crate) fn set(&self, count: u64) {
        self.0.set_position(count);
    }

    /// What is being done now.
    pub(crate) fn stage(&self, name: impl Into<std::borrow::Cow<'static, str>>) {
        self.0.set_message(name);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
