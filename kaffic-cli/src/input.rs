//! Lines from standard input or a file, read by a thread of their own.
//!
//! A line is any bytes up to a newline, which is not part of it (a carriage return is); what
//! follows the last newline is a line too. The thread hands over chunks of whole lines as it gets
//! them: a few bytes from a slow pipe, a quarter of a mebibyte from a file. Lines share their
//! chunk's memory, and few chunks wait: of long lines there is one in use and one that is read.

use crate::stop::Stop;
use bytes::Bytes;
use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::path::Path;
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

const READ_BYTES: usize = 256 << 10;
/// The bytes of chunks that are handed over and not yet done with; a longer chunk goes alone.
const AHEAD_BYTES: usize = 4 * READ_BYTES;
/// Chunks that wait, however small.
const CHUNKS_AHEAD: usize = 64;
/// A line longer than this is taken for a mistake: no record may be as large.
const MAX_LINE_BYTES: usize = 1 << 30;

/// A chunk and the room that it takes.
type Taken = (Bytes, OwnedSemaphorePermit);

/// The chunks that the reading thread hands over.
#[derive(Debug)]
pub(crate) struct Input {
    chunks: mpsc::Receiver<Result<Taken, Stop>>,
    /// Of the chunk that was given last.
    in_use: Option<OwnedSemaphorePermit>,
}

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
        let (sender, chunks) = mpsc::channel(CHUNKS_AHEAD);
        let room = Arc::new(Semaphore::new(AHEAD_BYTES));
        let runtime = Handle::current();
        tokio::task::spawn_blocking(move || {
            let read = read_chunks(source, |chunk| {
                let bytes = chunk.len().min(AHEAD_BYTES) as u32;
                let room = runtime.block_on(room.clone().acquire_many_owned(bytes));
                room.is_ok_and(|room| sender.blocking_send(Ok((chunk, room))).is_ok())
            });
            if let Err(message) = read {
                let _ = sender.blocking_send(Err(Stop::failed(format!("{name}: {message}"))));
            }
        });
        Self { chunks, in_use: None }
    }

    /// The next chunk of whole lines; `None` at the end. The one before is done with. May be
    /// cancelled.
    pub(crate) async fn next(&mut self) -> Option<Result<Bytes, Stop>> {
        self.in_use = None;
        match self.chunks.recv().await? {
            Ok((chunk, room)) => {
                self.in_use = Some(room);
                Some(Ok(chunk))
            }
            Err(stop) => Some(Err(stop)),
        }
    }

    /// Reads no further; what was read already can still be taken.
    pub(crate) fn close(&mut self) {
        self.chunks.close();
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
fn read_chunks(source: impl Read, mut taken: impl FnMut(Bytes) -> bool) -> Result<(), String> {
    let mut source = BufReader::with_capacity(READ_BYTES, source);
    // The beginning of a line whose end was not read yet.
    let mut begun = Vec::new();
    loop {
        let read = match source.fill_buf() {
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error.to_string()),
        };
        if read.is_empty() {
            if !begun.is_empty() {
                taken(begun.into());
            }
            return Ok(());
        }
        let whole = memchr::memrchr(b'\n', read).map_or(0, |newline| newline + 1);
        if whole > 0 {
            begun.extend_from_slice(&read[..whole]);
            if !taken(std::mem::take(&mut begun).into()) {
                return Ok(());
            }
        }
        begun.extend_from_slice(&read[whole..]);
        let count = read.len();
        source.consume(count);
        if begun.len() > MAX_LINE_BYTES {
            return Err(format!("a line is longer than {} GiB", MAX_LINE_BYTES >> 30));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

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

    /// Gives lines without end, and counts the bytes.
    struct Endless(Arc<AtomicUsize>, usize);

    impl Read for Endless {
        fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
            let at = self.0.load(Ordering::Relaxed);
            let count = into.len().min(self.1 - at % self.1);
            into[..count].fill(b'x');
            if (at + count).is_multiple_of(self.1) {
                into[count - 1] = b'\n';
            }
            self.0.fetch_add(count, Ordering::Relaxed);
            Ok(count)
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn little_is_read_ahead() {
        for (line, lines) in [(100, 200_000), (READ_BYTES, 50), (9 << 20, 10)] {
            let count = Arc::new(AtomicUsize::new(0));
            let mut input = Input::start("x".to_owned(), Box::new(Endless(count.clone(), line)));
            let mut taken = 0;
            while taken < line * lines {
                taken += input.next().await.unwrap().unwrap().len();
                let ahead = count.load(Ordering::Relaxed) - taken;
                assert!(ahead <= line + AHEAD_BYTES + 2 * READ_BYTES, "{ahead} of lines of {line}");
            }
        }
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
