//! What is on disk: the overflow, and what was under way when the last run ended.

use crate::spool::{Disk, Extent, Mark, Refused, Spool, Stored};

/// Two spools. What is unsent is older than the overflow, and read before it.
#[derive(Debug)]
pub struct Store<D> {
    /// What the producer of an earlier run had been given, and Kafka had not acknowledged, at its end.
    pub unsent: Spool<D>,
    /// What did not fit into the producer's queue.
    pub overflow: Spool<D>,
}

/// Where a batch stands in the store. Those that are read later are greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// Among what was unsent.
    Unsent(Mark),
    /// In the overflow.
    Overflow(Mark),
}

/// What of the store is still to be delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extents {
    /// Of what was unsent.
    pub unsent: Extent,
    /// Of the overflow.
    pub overflow: Extent,
}

impl<D: Disk> Store<D> {
    /// Reads the next batch.
    pub fn read(&mut self, batch: &mut Vec<u8>) -> Option<(Place, Stored)> {
        if let Some(stored) = self.unsent.read(batch) {
            return Some((Place::Unsent(stored.place), stored));
        }
        self.overflow.read(batch).map(|stored| (Place::Overflow(stored.place), stored))
    }

    /// Whether all was read.
    pub fn is_drained(&self) -> bool {
        self.unsent.is_drained() && self.overflow.is_drained()
    }

    /// Packets that were not read yet.
    pub fn packets(&self) -> u64 {
        let unread = |spool: &Spool<D>| spool.end().since(spool.next()).packets;
        unread(&self.unsent) + unread(&self.overflow)
    }

    /// What is still to be delivered, where these places were read and not delivered yet.
    pub fn extents(&self, in_flight: impl Iterator<Item = Place> + Clone) -> Extents {
        let unsent = in_flight.clone().filter_map(|place| match place {
            Place::Unsent(mark) => Some(mark),
            Place::Overflow(_) => None,
        });
        let overflow = in_flight.filter_map(|place| match place {
            Place::Overflow(mark) => Some(mark),
            Place::Unsent(_) => None,
        });
        let extent = |first: Option<Mark>, spool: &Spool<D>| Extent {
            start: first.unwrap_or(spool.next()).min(spool.next()),
            end: spool.end(),
        };
        Extents { unsent: extent(unsent.min(), &self.unsent), overflow: extent(overflow.min(), &self.overflow) }
    }

    /// Keeps batches for the next run to send before all else: those that came back from the producer, in their
    /// order. Gives the packets of those that could not be kept.
    ///
    /// While there is something unsent that was not read, these all come from there, where they still are.
    pub fn keep<'a>(&mut self, batches: impl Iterator<Item = (&'a [u8], u32)>) -> u64 {
        let refused =
            |(batch, packets): (&[u8], u32)| self.unsent.append(batch, packets).err().map(|_| u64::from(packets));
        batches.filter_map(refused).sum()
    }

    /// Puts a batch at the end.
    ///
    /// # Errors
    /// It was not put in.
    pub fn append(&mut self, batch: &[u8], packets: u32) -> Result<(), Refused> {
        self.overflow.append(batch, packets)
    }

    /// Makes all that was put in survive a power failure.
    pub fn sync(&mut self) {
        self.unsent.sync();
        self.overflow.sync();
    }

    /// Removes what was delivered.
    pub fn release(&mut self, extents: &Extents) {
        self.unsent.release(extents.unsent.start);
        self.overflow.release(extents.overflow.start);
    }

    /// Bytes on disk.
    pub fn bytes(&self) -> u64 {
        self.unsent.bytes() + self.overflow.bytes()
    }

    /// Errors that the disk gave.
    pub fn errors(&self) -> u64 {
        self.unsent.errors() + self.overflow.errors()
    }
}
