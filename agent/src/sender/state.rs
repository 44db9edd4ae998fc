//! The folder of spool and ledger.

use crate::delivery::{Extents, Store};
use crate::ledger::{Entry, Ledger, LedgerError, Position};
use crate::spool::{Folder, Limits, Spool, WhenFull};
use std::path::{Path, PathBuf};
use std::{fs, io};

/// What the producer's queue can have, and more: what is unsent at the end is never refused.
const UNSENT: Limits = Limits { max_bytes: u64::MAX, when_full: WhenFull::DropNewest };

/// The folder of a sensor, opened.
#[derive(Debug)]
pub struct StateFolder {
    saver: Saver,
    store: Store<Folder>,
}

/// Why a folder can't be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Of the ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The disk gives an error.
    #[error("{}: {error}; check that the agent may read and write there", .path.display())]
    Io {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// It has packets for another topic.
    #[error(
        "{}: the spool has {packets} packets for the topic {topic}, but the agent is to write to {other}: let it send \
         them first with the old topic prefix, or take another folder", .path.display()
    )]
    OtherTopic {
        /// The folder.
        path: PathBuf,
        /// Packets in the spool.
        packets: u64,
        /// Their topic.
        topic: String,
        /// The topic to write to.
        other: String,
    },
}

impl StateFolder {
    /// Opens a sensor's folder, made if need be, for writing to a topic.
    ///
    /// # Errors
    /// Another agent has it, it has packets for another topic, or the disk gives an error.
    pub fn open(path: &Path, topic: &str, limits: Limits) -> Result<Self, StateError> {
        let (ledger, found) = Ledger::open(path)?;
        let known = found.as_ref().map(Entry::extents);
        let open = |name: &str, limits, known| {
            let path = path.join(name);
            let opened = fs::create_dir_all(&path).and_then(|()| Spool::open(Folder::new(&path), limits, known));
            opened.map_err(|error| StateError::Io { path, error })
        };
        let unsent = open("unsent", UNSENT, known.map(|known| known.unsent))?;
        let overflow = open("overflow", limits, known.map(|known| known.overflow))?;
        let store = Store { unsent, overflow };
        let mut entry = found.unwrap_or_default();
        if entry.topic != topic {
            if !store.is_drained() && !entry.topic.is_empty() {
                return Err(StateError::OtherTopic {
                    path: path.to_owned(),
                    packets: store.packets(),
                    topic: entry.topic,
                    other: topic.to_owned(),
                });
            }
            // Another generation: its partitions are others.
            entry = Entry::new(topic, 0, Vec::new(), Extents::default());
        }
        Ok(Self { saver: Saver { ledger, entry, saved: Saved::No, has_failed: false }, store })
    }

    /// The number of the topic's partitions, if an earlier run knew it.
    pub fn partition_count(&self) -> Option<u32> {
        Some(self.saver.entry.partition_count).filter(|count| *count > 0)
    }

    /// Packets that earlier runs have left.
    pub fn packets(&self) -> u64 {
        self.store.packets()
    }

    pub(super) fn into_parts(self) -> (Saver, Store<Folder>) {
        (self.saver, self.store)
    }
}

/// Writes the ledger.
#[derive(Debug)]
pub struct Saver {
    ledger: Ledger,
    entry: Entry,
    /// How safe what `entry` says is.
    saved: Saved,
    has_failed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Saved {
    No,
    /// It survives the agent.
    Written,
    /// It survives a power failure.
    Synced,
}

impl Saver {
    /// Where the last run ended in each partition.
    pub fn previous(&self) -> &[Position] {
        &self.entry.positions
    }

    /// Writes down how far everything has come, if that has changed.
    pub fn write(&mut self, partition_count: u32, positions: Vec<Position>, extents: Extents) {
        let entry = Entry::new(&self.entry.topic, partition_count, positions, extents);
        if self.saved != Saved::No && entry == self.entry {
            return;
        }
        self.entry = entry;
        let written = self.ledger.write(&self.entry);
        self.saved = if self.is_well(written) { Saved::Written } else { Saved::No };
    }

    /// Makes what was written last survive a power failure; whether it does.
    pub fn sync(&mut self) -> bool {
        if self.saved == Saved::Written {
            let synced = self.ledger.sync();
            if self.is_well(synced) {
                self.saved = Saved::Synced;
            }
        }
        self.saved == Saved::Synced
    }

    /// Whether the disk did what it should; said once if not.
    fn is_well(&mut self, result: io::Result<()>) -> bool {
        if let Err(error) = &result
            && !self.has_failed
        {
            self.has_failed = true;
            tracing::error!("writing the ledger failed: {error}; if the agent is killed now, losses go untold");
        }
        result.is_ok()
    }
}
