//! Lines from standard input or a file, read by a thread of their own.
//!
//! A line is any bytes up to a newline, which is not part of it (a carriage return is); what
//! follows the last newline is a line too. The thread hands over chunks of whole lines as it gets
//! them: a few bytes from a slow pipe, a quarter of a mebibyte from a file. Lines share their
//! chunk's memory.

use crate::stop::Stop;
use bytes::{Bytes, BytesMut};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use tokio::sync::mpsc;

const READ_BYTES: usize = 256 << 10;
const CHUNKS_AHEAD: usize = 4;
/// A line longer than this is taken for a mistake: no record may be as large.
const MAX_LINE_BYTES: usize = 1 << 30;

/// The chunks that the reading thread hands over.
#[derive(Debug)]
pub(crate) struct Input(mpsc::Receiver<Result<Bytes, Stop>>);

impl Input {
    /// Starts to read `file`, or standard input.
    pub(crate) fn open(file: Option<&Path>) -> Result<Self, Stop> {
        let (name, source): (String, Box<dyn Read + Send>) = match file {
            None => ("standard input".to_owned(), Box::new(std::io::stdin())),
            Some(path) => {
                let name = path.display().to_string();
                let file = File::open(path)
                    .map_err(|error| Stop::failed(format!("cannot open {name}: {error}")))?;
                (name, Box::new(file))
            }
        };
        Ok(Self::start(name, source))
    }

    fn start(name: String, source: Box<dyn Read + Send>) -> Self {
        let (sender, receiver) = mpsc::channel(CHUNKS_AHEAD);
        tokio::task::spawn_blocking(move || {
            if let Err(message) =
                read_chunks(source, |chunk| sender.blocking_send(Ok(chunk)).is_ok())
            {
                let _ = sender.blocking_send(Err(Stop::failed(format!("{name}: {message}"))));
            }
        });
        Self(receiver)
    }

    /// The next chunk of whole lines; `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<Result<Bytes, Stop>> {
        self.0.recv().await
    }

    /// Reads no further; what was read already can still be taken.
    pub(crate) fn close(&mut self) {
        self.0.close();
    }
}

/// The lines of a chunk.
pub(crate) fn lines(chunk: &Bytes) -> impl Iterator<Item = Bytes> {
    let mut at = 0;
    std::iter::from_fn(move || {
        if at == chunk.len() {
            return None;
        }
        let end = memchr::memchr(b'\n', &chunk[at..]).map_or(chunk.len(), |length| at + length);
        let line = chunk.slice(at..end);
        at = chunk.len().min(end + 1);
        Some(line)
    })
}

/// Reads to the end, handing over whole lines, as long as they are `taken`.
fn read_chunks(mut source: impl Read, mut taken: impl FnMut(Bytes) -> bool) -> Result<(), String> {
    // Bytes up to `filled` were read; those up to `searched` hold no newline.
    let mut buffer = BytesMut::new();
    let mut filled = 0;
    let mut searched = 0;
    loop {
        if buffer.len() < filled + READ_BYTES {
            buffer.resize((filled + READ_BYTES).max(2 * filled), 0);
        }
        let count = match source.read(&mut buffer[filled..]) {
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error.to_string()),
        };
        if count == 0 {
            buffer.truncate(filled);
            if filled > 0 {
                taken(buffer.freeze());
            }
            return Ok(());
        }
        filled += count;
        match memchr::memrchr(b'\n', &buffer[searched..filled]) {
            Some(newline) => {
                let lines = buffer.split_to(searched + newline + 1).freeze();
                filled -= lines.len();
                searched = filled;
                // A few bytes from a slow pipe must not each hold on to a whole read buffer.
                let lines = if lines.len() < READ_BYTES / 8 {
                    Bytes::copy_from_slice(&lines)
                } else {
                    lines
                };
                if !taken(lines) {
                    return Ok(());
                }
            }
            None => searched = filled,
        }
        if filled > MAX_LINE_BYTES {
            return Err(format!("a line is longer than {} GiB", MAX_LINE_BYTES >> 30));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives its bytes in reads of the sizes given, over and over.
    struct Dribble<'a>(&'a [u8], Vec<usize>, usize);

    impl Read for Dribble<'_> {
        fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
            let count = self.1[self.2 % self.1.len()].min(self.0.len()).min(into.len());
            self.2 += 1;
            into[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    fn read(text: &[u8], sizes: &[usize]) -> Vec<Bytes> {
        let mut found = Vec::new();
        read_chunks(Dribble(text, sizes.to_vec(), 0), |chunk| {
            found.extend(lines(&chunk));
            true
        })
        .unwrap();
        found
    }

    #[test]
    fn lines_are_the_same_however_they_arrive() {
        let text = b"one\n\ntwo\r\n\xff\x00three\nlast";
        let expected: [&[u8]; 5] = [b"one", b"", b"two\r", b"\xff\x00three", b"last"];
        for sizes in [vec![1], vec![2, 3], vec![7], vec![100]] {
            assert_eq!(read(text, &sizes), expected, "{sizes:?}");
        }
        assert_eq!(read(b"", &[1]), Vec::<Bytes>::new());
        assert_eq!(read(b"\n", &[1]), [""]);
        assert_eq!(read(b"a\n", &[5]), ["a"]);
    }

    #[test]
    fn long_lines_and_many_lines() {
        let long = vec![b'x'; 3 * READ_BYTES + 5];
        let mut text = long.clone();
        text.push(b'\n');
        for i in 0..100_000 {
            text.extend_from_slice(format!("line {i}\n").as_bytes());
        }
        let found = read(&text, &[usize::MAX]);
        assert_eq!(found.len(), 100_001);
        assert_eq!(found[0], long);
        assert_eq!(found[100_000], "line 99999");
    }

    #[test]
    fn reading_ends_when_nobody_takes() {
        let mut calls = 0;
        let text = b"a\n".repeat(READ_BYTES);
        read_chunks(&text[..], |_| {
            calls += 1;
            false
        })
        .unwrap();
        assert_eq!(calls, 1);
    }
}
