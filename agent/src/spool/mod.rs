//! Packet batches on disk while Kafka does not take them: a queue in segment files.
//!
//! Batches are put in at the end and read from the start, in order; what has been delivered is released,
//! and segments of which all is released are removed. Only the batch in hand is ever in memory. Nothing
//! is lost in silence: a damaged place is skipped, and the counts that stand before each batch say how
//! much was in it ([`Losses`]).
//!
//! What is where between two runs ([`Extent`]) is kept by the caller, who saves it after [`Spool::sync`].

mod disk;
mod record;
#[cfg(test)]
pub(crate) mod simulated;
#[cfg(test)]
mod tests;

pub use disk::{Disk, Folder};

use record::{HEADER_BYTES, Header};
use std::collections::VecDeque;
use std::io;

/// A segment closes at this size, or at an eighth of the spool's if that is less.
const SEGMENT_BYTES: u64 = 64 << 20;

/// Bytes that are appended between two syncs, at most: the wait for them is about 40 ms on a common disk.
const SYNC_BYTES: u64 = 8 << 20;

/// A number of records, and of packets in them: a place in the spool, as what was put in before it, or
/// an amount.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    /// Records.
    pub records: u64,
    /// Packets in them.
    pub packets: u64,
}

impl Mark {
    /// After one more record.
    fn plus(self, packets: u32) -> Self {
        Self { records: self.records.saturating_add(1), packets: self.packets.saturating_add(packets.into()) }
    }

    fn add(&mut self, amount: Self) {
        self.records = self.records.saturating_add(amount.records);
        self.packets = self.packets.saturating_add(amount.packets);
    }

    /// What was put in from `start` to here.
    pub fn since(self, start: Self) -> Self {
        Self {
            records: self.records.saturating_sub(start.records),
            packets: self.packets.saturating_sub(start.packets),
        }
    }
}

/// The part of the spool that is still to be delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// Where it begins: all before was delivered, or is lost and counted.
    pub start: Mark,
    /// Where the next batch goes.
    pub end: Mark,
}

/// How large the spool may grow, and what gives way then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of all segments.
    pub max_bytes: u64,
    /// What gives way.
    pub when_full: WhenFull,
}

/// What gives way to a batch for which there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// The batch: what is there remains a whole.
    DropNewest,
    /// The oldest segments.
    DropOldest,
}

/// Why a batch was not put in.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// There is no room.
    #[error("the spool is full")]
    Full,
    /// No batch is that long.
    #[error("a batch of {0} bytes is longer than any may be")]
    TooLong(usize),
    /// The disk gave an error, such as that it is full.
    #[error("writing to the spool failed: {0}")]
    Disk(#[from] io::Error),
}

/// What is lost of what was in the spool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// Damaged on disk, or never written to it by a machine that failed.
    pub damaged: Mark,
    /// Removed for newer ones.
    pub oldest: Mark,
}

/// A batch that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its place.
    pub place: Mark,
    /// Packets in it.
    pub packets: u32,
}

/// A queue of batches on disk.
#[derive(Debug)]
pub struct Spool<D> {
    disk: D,
    limits: Limits,
    /// In order. Where `appending`, the last one takes more.
    segments: VecDeque<Segment>,
    appending: bool,
    /// Where the next batch goes.
    end: Mark,
    /// The batch that is read next, and the segment and offset it should stand at.
    next: Mark,
    place: Option<(u64, u64)>,
    unsynced_bytes: u64,
    losses: Losses,
    errors: u64,
}

#[derive(Clone, Copy, Debug)]
struct Segment {
    first: Mark,
    /// What comes after its last record; of a segment that was found, where the next one begins.
    end: Mark,
    bytes: u64,
}

impl Segment {
    /// The name of its file.
    fn name(&self) -> u64 {
        self.first.records
    }
}

impl<D: Disk> Spool<D> {
    /// Opens the spool on a disk, whatever state it is in: segments that can't be read or were delivered
    /// are removed, and so is the torn end of the last one. `known` is what was saved last.
    ///
    /// # Errors
    /// The disk gives an error.
    pub fn open(disk: D, limits: Limits, known: Option<Extent>) -> io::Result<Self> {
        let start = known.map(|known| known.start);
        let mut spool = Self {
            disk,
            limits,
            segments: VecDeque::new(),
            appending: false,
            end: known.map_or(Mark::default(), |known| known.end),
            next: Mark::default(),
            place: None,
            unsynced_bytes: 0,
            losses: Losses::default(),
            errors: 0,
        };
        spool.find_segments()?;
        spool.next = start.or_else(|| Some(spool.segments.front()?.first)).unwrap_or(spool.end);
        if let Some(last) = spool.segments.back() {
            spool.end = spool.end.max(last.end);
        }
        spool.end = spool.end.max(spool.next);
        spool.release(spool.next);
        Ok(spool)
    }

    fn find_segments(&mut self) -> io::Result<()> {
        let mut found = self.disk.segments()?;
        found.sort_unstable();
        for (name, bytes) in found {
            match self.header(name, 0, bytes)? {
                Some(header) if header.before.records == name => {
                    if let Some(last) = self.segments.back_mut() {
                        last.end = header.before;
                    }
                    self.segments.push_back(Segment { first: header.before, end: header.after(), bytes });
                }
                // What was in it shows as missing between its neighbours.
                _ => self.disk.remove(name)?,
            }
        }
        let Some(mut last) = self.segments.pop_back() else { return Ok(()) };
        let size = last.bytes;
        (last.end, last.bytes) = self.scan(&last)?;
        if last.bytes < size {
            self.disk.truncate(last.name(), last.bytes)?;
        }
        self.segments.push_back(last);
        Ok(())
    }

    /// How far a segment's records follow one another, and where they end in the file.
    fn scan(&mut self, segment: &Segment) -> io::Result<(Mark, u64)> {
        let (mut mark, mut offset) = (segment.first, 0);
        while let Some(header) = self.header(segment.name(), offset, segment.bytes)? {
            if header.before != mark {
                break;
            }
            mark = header.after();
            offset += header.record_bytes();
        }
        Ok((mark, offset))
    }

    /// The header at a place in a segment of this size, if there is one and its batch is whole in length.
    fn header(&mut self, segment: u64, offset: u64, size_bytes: u64) -> io::Result<Option<Header>> {
        if offset.saturating_add(32) > size_bytes {
            return Ok(None);
        }
        let mut bytes = [0; HEADER_BYTES];
        self.disk.read(segment, offset, &mut bytes)?;
        let whole = |header: &Header| offset.saturating_add(header.record_bytes()) <= size_bytes;
        Ok(Header::decode(&bytes).filter(whole))
    }

    /// Puts a batch at the end.
    ///
    /// # Errors
    /// It was not put in, for the reason given; the spool is as it was.
    pub fn append(&mut self, batch: &[u8], packets: u32) -> Result<(), Refused> {
        let header = Header::of(batch, packets, self.end).ok_or(Refused::TooLong(batch.len()))?;
        self.make_room(header.record_bytes())?;
        self.begin_segment_for(header.record_bytes())?;
        let Some(segment) = self.segments.back_mut() else { return Err(Refused::Full) };
        let written =
            self.disk.append(segment.name(), &header.encode()).and_then(|()| self.disk.append(segment.name(), batch));
        if let Err(error) = written {
            self.errors += 1;
            let (name, bytes) = (segment.name(), segment.bytes);
            if bytes == 0 || self.disk.truncate(name, bytes).is_err() {
                self.sync();
                self.close_segment();
            }
            return Err(error.into());
        }
        segment.bytes += header.record_bytes();
        segment.end = header.after();
        self.end = segment.end;
        self.unsynced_bytes += header.record_bytes();
        if self.unsynced_bytes >= SYNC_BYTES {
            self.sync();
        }
        Ok(())
    }

    fn make_room(&mut self, needed_bytes: u64) -> Result<(), Refused> {
        while self.bytes().saturating_add(needed_bytes) > self.limits.max_bytes {
            if self.limits.when_full == WhenFull::DropNewest {
                return Err(Refused::Full);
            }
            let oldest = *self.segments.front().ok_or(Refused::Full)?;
            self.disk.remove(oldest.name()).inspect_err(|_| self.errors += 1)?;
            self.segments.pop_front();
            self.appending &= !self.segments.is_empty();
            if oldest.end > self.next {
                self.losses.oldest.add(oldest.end.since(self.next));
                self.next = oldest.end;
            }
        }
        Ok(())
    }

    fn begin_segment_for(&mut self, needed_bytes: u64) -> io::Result<()> {
        let limit = SEGMENT_BYTES.min(self.limits.max_bytes / 8);
        let full = |last: &Segment| last.bytes > 0 && last.bytes + needed_bytes > limit;
        if self.appending && !self.segments.back().is_none_or(full) {
            return Ok(());
        }
        self.sync();
        self.close_segment();
        self.disk.create(self.end.records).inspect_err(|_| self.errors += 1)?;
        self.segments.push_back(Segment { first: self.end, end: self.end, bytes: 0 });
        self.appending = true;
        Ok(())
    }

    /// Takes no more into the last segment; one without records is no segment.
    fn close_segment(&mut self) {
        self.appending = false;
        if let Some(empty) = self.segments.pop_back_if(|last| last.bytes == 0) {
            let _ = self.disk.remove(empty.name()); // else it is found empty, and removed, by the next run
        }
    }

    /// Reads the next batch into `batch`; `None` where all was read. It stays in the spool until it is
    /// released.
    pub fn read(&mut self, batch: &mut Vec<u8>) -> Option<Stored> {
        while self.next < self.end {
            let next = self.next;
            let Some(segment) = self.segments.iter().find(|segment| segment.end > next).copied() else {
                self.lose_until(self.end);
                return None;
            };
            if segment.first > next {
                self.lose_until(segment.first);
                continue;
            }
            let Some((header, offset)) = self.find_record(&segment) else {
                self.lose_until(segment.end);
                continue;
            };
            self.lose_until(header.before);
            self.place = Some((segment.name(), offset.saturating_add(header.record_bytes())));
            if self.read_batch(&segment, offset, &header, batch) {
                self.next = header.after();
                return Some(Stored { place: header.before, packets: header.packets });
            }
            self.lose_until(header.after());
        }
        None
    }

    /// The first record from `next` on, in the segment that it should be in; `None` if there is none that
    /// can be found.
    fn find_record(&mut self, segment: &Segment) -> Option<(Header, u64)> {
        let mut offset = match self.place {
            Some((name, offset)) if name == segment.name() => offset,
            _ => 0,
        };
        loop {
            let header = self.header(segment.name(), offset, segment.bytes);
            let header = header.inspect_err(|_| self.errors += 1).ok().flatten()?;
            if header.before >= segment.end {
                return None; // of a batch that was refused when it stood there already
            }
            if header.before >= self.next {
                return Some((header, offset));
            }
            offset = offset.saturating_add(header.record_bytes()); // delivered by the last run
        }
    }

    fn read_batch(&mut self, segment: &Segment, offset: u64, header: &Header, batch: &mut Vec<u8>) -> bool {
        let Ok(length) = usize::try_from(header.length) else { return false };
        batch.clear();
        batch.resize(length, 0); // at most MAX_BATCH_BYTES
        let read = self.disk.read(segment.name(), offset.saturating_add(32), batch);
        read.inspect_err(|_| self.errors += 1).is_ok() && header.fits(batch)
    }

    fn lose_until(&mut self, mark: Mark) {
        self.losses.damaged.add(mark.since(self.next));
        self.next = mark;
    }

    /// Removes the segments of which all lies before `done`.
    pub fn release(&mut self, done: Mark) {
        while let Some(first) = self.segments.front().copied().filter(|first| first.end <= done) {
            // Read before all: what is before `done` was.
            if self.disk.remove(first.name()).is_err() {
                self.errors += 1;
                return;
            }
            self.segments.pop_front();
            self.appending &= !self.segments.is_empty();
        }
    }

    /// Returns once all that was put in would survive a power failure, or the disk has failed, which is
    /// counted: the segment is then left as it is.
    pub fn sync(&mut self) {
        if self.unsynced_bytes == 0 {
            return;
        }
        self.unsynced_bytes = 0;
        let name = self.segments.back().filter(|_| self.appending).map(Segment::name);
        if name.is_some_and(|name| self.disk.sync(name).is_err()) {
            // What the system does with pages that it failed to write differs: no more into that file.
            self.errors += 1;
            self.appending = false;
        }
    }

    /// Whether all was read.
    pub fn is_drained(&self) -> bool {
        self.next >= self.end
    }

    /// Where the next batch goes.
    pub fn end(&self) -> Mark {
        self.end
    }

    /// Where the batch that is read next stands.
    pub fn next(&self) -> Mark {
        self.next
    }

    /// Bytes on disk.
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    /// What was lost since the spool was opened.
    pub fn losses(&self) -> Losses {
        self.losses
    }

    /// Errors that the disk gave since the spool was opened.
    pub fn errors(&self) -> u64 {
        self.errors
    }
}
