//! Packets on their way from a ring's thread to the merge, many at a time.

use crate::source::PacketInfo;
use std::ops::Range;
use std::time::Instant;

/// Bytes at which a chunk is full: a block of the ring.
pub(super) const CHUNK_BYTES: usize = 256 << 10;

/// What a packet takes besides its bytes, so that chunks of tiny packets are bounded too.
const ENTRY_BYTES: usize = size_of::<Entry>();

/// A run of packets of one ring, in the order in which it handed them out. Its memory is kept when it is cleared.
pub(super) struct Chunk {
    data: Vec<u8>,
    entries: Vec<Entry>,
    /// The packet that is next.
    at: usize,
    /// When it left the ring's thread.
    pub(super) arrived: Instant,
}

#[derive(Clone, Copy)]
struct Entry {
    ts_ns: i64,
    original_length: u32,
    /// Where its bytes end in `data`.
    end: u32,
}

impl Chunk {
    pub(super) fn new() -> Self {
        Self { data: Vec::new(), entries: Vec::new(), at: 0, arrived: Instant::now() }
    }

    /// Adds a packet. A chunk that isn't full takes any.
    pub(super) fn push(&mut self, info: PacketInfo, data: &[u8]) {
        self.data.extend_from_slice(data);
        let end = u32::try_from(self.data.len()).unwrap_or(u32::MAX); // at most a chunk and a packet: 512 KiB
        self.entries.push(Entry { ts_ns: info.ts_ns, original_length: info.original_length, end });
    }

    pub(super) fn is_full(&self) -> bool {
        self.data.len() + self.entries.len() * ENTRY_BYTES >= CHUNK_BYTES
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn packets(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn data_bytes(&self) -> usize {
        self.data.len()
    }

    pub(super) fn clear(&mut self) {
        self.data.clear();
        self.entries.clear();
        self.at = 0;
    }

    /// Time of the packet that is next; `None` behind the last.
    pub(super) fn next_ts_ns(&self) -> Option<i64> {
        self.entries.get(self.at).map(|entry| entry.ts_ns)
    }

    /// What is said of the packet that is next, and where its bytes are.
    pub(super) fn take(&mut self, interface: u32) -> Option<(PacketInfo, Range<usize>)> {
        let entry = self.entries.get(self.at)?;
        let start = self.at.checked_sub(1).and_then(|before| self.entries.get(before)).map_or(0, |before| before.end);
        let range = usize::try_from(start).ok()?..usize::try_from(entry.end).ok()?;
        self.at += 1;
        Some((PacketInfo { ts_ns: entry.ts_ns, original_length: entry.original_length, interface }, range))
    }

    pub(super) fn bytes(&self, range: Range<usize>) -> &[u8] {
        self.data.get(range).unwrap_or_default()
    }
}
