//! Bytes of a capture on their way in: one buffer, refilled as asked, and the place in the stream.

use std::io::{self, Read};
use std::ops::Range;

/// Stays in a core's second-level cache. From 64 KiB
/// to 1 MiB the size makes no difference that can be measured.
const INITIAL_BYTES: usize = 128 << 10;

/// A buffered stream that hands out what it is asked for, or what is left.
pub(super) struct Input {
    reader: Box<dyn Read + Send>,
    buffer: Vec<u8>,
    /// The bytes in `buffer` that are not consumed.
    unread: Range<usize>,
    /// Bytes consumed of the whole stream.
    offset: u64,
    end: Option<End>,
}

/// Why no more bytes come.
enum End {
    OfStream,
    Failed(io::Error),
}

impl Input {
    pub(super) fn new(reader: Box<dyn Read + Send>) -> Self {
        Self { reader, buffer: vec![0; INITIAL_BYTES], unread: 0..0, offset: 0, end: None }
    }

    /// Bytes consumed of the stream so far.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// The next `wanted` bytes, without consuming them; fewer at the end of the stream. The buffer
    /// grows to `wanted` only as bytes arrive, so a length that lies costs nothing.
    #[inline]
    pub(super) fn peek(&mut self, wanted: usize) -> &[u8] {
        if self.unread.len() < wanted {
            self.fill(wanted);
        }
        let available = self.unread.len().min(wanted);
        self.bytes(0..available)
    }

    /// Bytes not consumed yet, counted from the first of them, as far as they are in the buffer.
    #[inline]
    pub(super) fn bytes(&self, range: Range<usize>) -> &[u8] {
        let unread = self.buffer.get(self.unread.clone()).unwrap_or_default();
        unread.get(range).unwrap_or_default()
    }

    /// Moves on by `count` bytes that were peeked at.
    #[inline]
    pub(super) fn consume(&mut self, count: usize) {
        let count = count.min(self.unread.len());
        self.unread.start += count;
        // A buffer's length fits u64 on every machine there is.
        self.offset = self.offset.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
    }

    /// The error that ended the stream, if one did. It is handed out once.
    pub(super) fn take_error(&mut self) -> Option<io::Error> {
        match self.end.replace(End::OfStream)? {
            End::Failed(error) => Some(error),
            End::OfStream => None,
        }
    }

    #[cold]
    fn fill(&mut self, wanted: usize) {
        self.buffer.copy_within(self.unread.clone(), 0);
        self.unread = 0..self.unread.len();
        while self.unread.len() < wanted && self.end.is_none() {
            if self.unread.end == self.buffer.len() {
                self.buffer.resize((self.buffer.len() * 2).min(wanted.max(INITIAL_BYTES)), 0);
            }
            let space = self.buffer.get_mut(self.unread.end..).unwrap_or_default();
            match self.reader.read(space) {
                Ok(0) => self.end = Some(End::OfStream),
                Ok(count) => self.unread.end += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => self.end = Some(End::Failed(error)),
            }
        }
    }
}
