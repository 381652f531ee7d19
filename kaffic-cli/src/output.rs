//! Standard output in large pieces. A reader that has gone away is an end, not an error.

use crate::stop::Stop;
use std::io::{ErrorKind, Write};

/// Beyond this the buffer is written out without being asked.
const FULL_BYTES: usize = 256 << 10;

/// A buffer in front of standard output.
#[derive(Debug)]
pub(crate) struct Output {
    buffer: Vec<u8>,
}

impl Output {
    pub(crate) fn stdout() -> Self {
        Self { buffer: Vec::new() }
    }

    /// What is not written yet; to be added to.
    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    pub(crate) fn line(&mut self, line: &str) {
        self.buffer.extend_from_slice(line.as_bytes());
        self.buffer.push(b'\n');
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// Writes when enough has gathered.
    pub(crate) fn spill(&mut self) -> Result<(), Stop> {
        if self.buffer.len() < FULL_BYTES { Ok(()) } else { self.flush() }
    }

    /// Writes everything. A slow reader of the pipe holds up this task, not the runtime's thread.
    pub(crate) fn flush(&mut self) -> Result<(), Stop> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let written = tokio::task::block_in_place(|| {
            let mut stdout = std::io::stdout().lock();
            stdout.write_all(&self.buffer).and_then(|()| stdout.flush())
        });
        self.buffer.clear();
        written.map_err(|error| match error.kind() {
            ErrorKind::BrokenPipe => Stop::OutputClosed,
            _ => Stop::failed(format!("cannot write to standard output: {error}")),
        })
    }
}

/// `value` as JSON over several lines.
pub(crate) fn json(value: &impl serde::Serialize) -> Result<String, Stop> {
    serde_json::to_string_pretty(value)
        .map_err(|error| Stop::failed(format!("cannot write JSON: {error}")))
}
