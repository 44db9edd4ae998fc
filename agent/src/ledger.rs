//! What a sensor's next run must know of this one, in a small file beside the spool.
//!
//! The file has two slots, each with a sum over its content. One is written over and over, into the page
//! cache, so that a killed agent leaves what it knew last; a sync, once a second, makes it survive a power
//! failure, and then it is the other one's turn. So there is a whole one at any time. Room for both is taken
//! when the file is made: a full disk does not stop the ledger.
//!
//! The file also holds the lock by which no two agents share a folder.

use crate::delivery::Extents;
use crate::spool::{Extent, Mark};
use prost::Message as _;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

/// Bytes of a slot: 4,096 partitions fit.
const SLOT_BYTES: u64 = 256 << 10;

/// Length, generation and sum stand before a slot's content.
const HEADER_BYTES: usize = 16;

/// What the ledger says.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Entry {
    /// Topic of the packet batches, with its prefix.
    #[prost(string, tag = "1")]
    pub topic: String,
    /// Partitions of that topic, which never change.
    #[prost(uint32, tag = "2")]
    pub partition_count: u32,
    /// How far each partition has come.
    #[prost(message, repeated, tag = "3")]
    pub positions: Vec<Position>,
    /// What is still to be delivered of the spool's two parts.
    #[prost(message, required, tag = "4")]
    unsent: SavedExtent,
    #[prost(message, required, tag = "5")]
    overflow: SavedExtent,
}

#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
struct SavedExtent {
    #[prost(uint64, tag = "1")]
    start_records: u64,
    #[prost(uint64, tag = "2")]
    start_packets: u64,
    #[prost(uint64, tag = "3")]
    end_records: u64,
    #[prost(uint64, tag = "4")]
    end_packets: u64,
}

impl From<Extent> for SavedExtent {
    fn from(Extent { start, end }: Extent) -> Self {
        Self {
            start_records: start.records,
            start_packets: start.packets,
            end_records: end.records,
            end_packets: end.packets,
        }
    }
}

impl From<SavedExtent> for Extent {
    fn from(saved: SavedExtent) -> Self {
        let SavedExtent { start_records, start_packets, end_records, end_packets } = saved;
        Self {
            start: Mark { records: start_records, packets: start_packets },
            end: Mark { records: end_records, packets: end_packets },
        }
    }
}

/// How far a partition has come in a run.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Position {
    /// Epoch of the run.
    #[prost(int64, tag = "1")]
    pub epoch: i64,
    /// Sequence of the last batch that was made; 0 if none was.
    #[prost(int64, tag = "2")]
    pub last_sequence: i64,
    /// Packets that went to the partition, those of a batch that is not finished yet too.
    #[prost(int64, tag = "3")]
    pub packets: i64,
}

impl Entry {
    /// What is so of a topic with so many partitions.
    pub fn new(topic: &str, partition_count: u32, positions: Vec<Position>, extents: Extents) -> Self {
        let (unsent, overflow) = (extents.unsent.into(), extents.overflow.into());
        Self { topic: topic.to_owned(), partition_count, positions, unsent, overflow }
    }

    /// What is in the spool.
    pub fn extents(&self) -> Extents {
        Extents { unsent: self.unsent.into(), overflow: self.overflow.into() }
    }
}

/// Why a folder can't be used.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// Another agent uses it.
    #[error("{}: another agent uses this folder: each sensor needs one of its own", .0.display())]
    InUse(PathBuf),
    /// The disk gives an error.
    #[error("{}: {error}; check that the agent may write there, and that the disk has room", .path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
}

/// The open ledger of a folder that is this agent's alone.
#[derive(Debug)]
pub struct Ledger {
    file: File,
    /// Generation of the slot that is written at present; its parity says which one that is.
    generation: u64,
    buffer: Vec<u8>,
}

impl Ledger {
    /// Opens the ledger in a folder, both made if need be, with what it says.
    ///
    /// # Errors
    /// The folder is another agent's, or can't be written to.
    pub fn open(folder: &Path) -> Result<(Self, Option<Entry>), LedgerError> {
        let path = folder.join("ledger");
        let failed = |error| LedgerError::Io { path: path.clone(), error };
        fs::create_dir_all(folder).map_err(|error| LedgerError::Io { path: folder.to_owned(), error })?;
        let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let file = options.map_err(failed)?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => return Err(LedgerError::InUse(folder.to_owned())),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
            Ok(()) => {}
        }
        if file.metadata().map_err(failed)?.len() < 2 * SLOT_BYTES {
            file.write_all_at(&vec![0; 2 << 18], 0).and_then(|()| file.sync_all()).map_err(failed)?;
        }
        file.sync_data().map_err(failed)?; // or a slot might be written anew while the other is not on disk yet
        let slots = [read_slot(&file, 0).map_err(failed)?, read_slot(&file, 1).map_err(failed)?];
        let newest = slots.into_iter().flatten().max_by_key(|(generation, _)| *generation);
        let (generation, entry) = newest.map_or((0, None), |(generation, entry)| (generation, Some(entry)));
        Ok((Self { file, generation: generation + 1, buffer: Vec::new() }, entry))
    }

    /// Writes down what is so now. It survives the agent, but not the machine until [`Ledger::sync`].
    ///
    /// # Errors
    /// The disk gives an error.
    pub fn write(&mut self, entry: &Entry) -> io::Result<()> {
        self.buffer.clear();
        self.buffer.resize(HEADER_BYTES, 0);
        entry.encode(&mut self.buffer).map_err(io::Error::other)?;
        let content = self.buffer.get(HEADER_BYTES..).unwrap_or_default();
        let length = u32::try_from(content.len()).map_err(io::Error::other)?;
        let header = header(length, self.generation, content);
        if let Some(place) = self.buffer.first_chunk_mut() {
            *place = header;
        }
        if u64::try_from(self.buffer.len()).map_err(io::Error::other)? > SLOT_BYTES {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.file.write_all_at(&self.buffer, offset(self.generation))
    }

    /// Makes what was written last survive a power failure.
    ///
    /// # Errors
    /// The disk gives an error.
    pub fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()?;
        self.generation += 1;
        Ok(())
    }
}

fn offset(generation: u64) -> u64 {
    (generation & 1) * SLOT_BYTES
}

/// Length, generation, and a sum over both and the content.
fn header(length: u32, generation: u64, content: &[u8]) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    let (counted, sum) = header.split_at_mut(12);
    for (place, byte) in counted.iter_mut().zip(length.to_le_bytes().into_iter().chain(generation.to_le_bytes())) {
        *place = byte;
    }
    sum.copy_from_slice(&crc32c::crc32c_append(crc32c::crc32c(counted), content).to_le_bytes());
    header
}

/// What a slot says; `None` if it was never written, or not to its end.
fn read_slot(file: &File, slot: u64) -> io::Result<Option<(u64, Entry)>> {
    let mut found = [0; HEADER_BYTES];
    file.read_exact_at(&mut found, offset(slot))?;
    let (Some(length), Some(generation)) = (found.first_chunk::<4>(), found.get(4..12)) else { return Ok(None) };
    let length = u32::from_le_bytes(*length);
    let Ok(generation) = generation.try_into().map(u64::from_le_bytes) else { return Ok(None) };
    if u64::from(length) > SLOT_BYTES - 16 {
        return Ok(None);
    }
    let mut content = vec![0; usize::try_from(length).unwrap_or_default()]; // at most a slot
    file.read_exact_at(&mut content, offset(slot) + 16)?;
    if header(length, generation, &content) != found {
        return Ok(None);
    }
    Ok(Entry::decode(content.as_slice()).ok().map(|entry| (generation, entry)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use weir_tests::process::{Scratch, wait_until};

    fn entry(epoch: i64) -> Entry {
        let positions = vec![Position { epoch, last_sequence: 3, packets: 40 }; 16];
        let overflow = Extent { end: Mark { records: 1, packets: 2 }, ..Extent::default() };
        Entry::new("weir-packets", 16, positions, Extents { overflow, ..Extents::default() })
    }

    /// Opens it once it is free: for a moment, a program that another test starts has this one's files.
    fn open(folder: &Path) -> (Ledger, Option<Entry>) {
        let mut opened = None;
        let free = || {
            opened = Ledger::open(folder).ok();
            opened.is_some()
        };
        assert!(wait_until(Duration::from_secs(10), free));
        opened.unwrap()
    }

    #[test]
    fn next_run_reads_what_was_written_last() {
        let folder = Scratch::new("ledger");
        let (mut ledger, found) = open(folder.path());
        assert_eq!(found, None);
        for epoch in 1..20 {
            ledger.write(&entry(epoch)).unwrap();
            if epoch % 3 == 0 {
                ledger.sync().unwrap();
            }
            if epoch % 5 == 0 {
                drop(ledger);
                let found;
                (ledger, found) = open(folder.path());
                assert_eq!(found, Some(entry(epoch)));
            }
        }
    }

    #[test]
    fn torn_slot_leaves_the_one_that_was_synced() {
        let folder = Scratch::new("ledger");
        let (mut ledger, _) = open(folder.path());
        ledger.write(&entry(1)).unwrap();
        ledger.sync().unwrap();
        ledger.write(&entry(2)).unwrap();
        let torn = offset(ledger.generation) + 20;
        ledger.file.write_all_at(&[0xff; 3], torn).unwrap();
        drop(ledger);
        let (ledger, found) = open(folder.path());
        assert_eq!(found, Some(entry(1)));
        assert_eq!(ledger.generation, 2, "written where the torn one is");
    }

    #[test]
    fn folder_has_one_agent() {
        let folder = Scratch::new("ledger");
        let (first, _) = open(folder.path());
        let error = Ledger::open(folder.path()).unwrap_err();
        assert!(error.to_string().contains("another agent uses this folder"), "{error}");
        drop(first);
        open(folder.path());
    }

    #[test]
    fn four_thousand_partitions_fit() {
        let folder = Scratch::new("ledger");
        let (mut ledger, _) = open(folder.path());
        let positions = vec![Position { epoch: i64::MAX, last_sequence: i64::MAX, packets: i64::MAX }; 4096];
        let large = Entry { positions, ..entry(1) };
        ledger.write(&large).unwrap();
        drop(ledger);
        assert_eq!(open(folder.path()).1, Some(large));
    }
}
