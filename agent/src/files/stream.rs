//! The standard input and pipes: they may have nothing to read for long, and still can be told to end.

use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// How soon a quiet stream notices that it is to end.
const PATIENCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// A stream that fails with [`Stopped`] once `stop` is set.
pub(super) struct Stream {
    file: File,
    stop: Arc<AtomicBool>,
}

/// Why a stream ended that has no end.
#[derive(Debug, thiserror::Error)]
#[error("reading was stopped")]
pub(crate) struct Stopped;

impl Stream {
    pub(super) fn new(file: File, stop: &Arc<AtomicBool>) -> Self {
        Self { file, stop: Arc::clone(stop) }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while !self.stop.load(Ordering::Relaxed) {
            // A failed poll is left to reading, which says what is wrong; or it was a signal.
            match poll(&mut [PollFd::new(&self.file, PollFlags::IN)], Some(&PATIENCE)) {
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                _ => return self.file.read(buffer),
            }
        }
        Err(io::Error::other(Stopped))
    }
}

/// Whether a stream was told to end, also where a decompressor hands its error on.
pub(crate) fn was_stopped(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<Stopped>())
}
