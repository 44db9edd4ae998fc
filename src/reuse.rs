//! Records that keep their buffers from one use to the next.

use crate::proto::*;
use crate::{Encode, RecordType};

/// A message that is written as a record.
pub trait Record: Recycle + Encode + prost::Message + Default {
    /// Its row in the registry.
    const TYPE: RecordType;

    /// The record of this type that is filled over and over.
    fn draft(drafts: &mut Drafts) -> &mut Self;
}

/// A message that occurs inside records.
pub trait Nested: Recycle + prost::Message + Default {
    /// Where cleared messages of this type wait for their next use.
    fn pool(spares: &mut Spares) -> &mut Vec<Self>;
}

/// Clearing that keeps what was allocated.
pub trait Recycle {
    /// Clears all fields; what is nested goes to `spares`.
    fn recycle(&mut self, spares: &mut Spares);
}

/// How many spares of a kind are kept. Lists in records hold at most 100 items, so that a record
/// with two full lists still finds all it needs.
const POOL_MAX: usize = 256;

/// Buffers that grew past this are freed instead of kept. Strings in records hold at most 4 KiB.
const CAPACITY_MAX: usize = 4096 * 4;

impl Spares {
    /// A cleared message: a used one if there is one.
    pub fn take<T: Nested>(&mut self) -> T {
        T::pool(self).pop().unwrap_or_default()
    }

    /// An empty string that may have capacity.
    pub fn take_string(&mut self) -> String {
        self.strings.pop().unwrap_or_default()
    }

    /// An empty blob that may have capacity.
    pub fn take_blob(&mut self) -> Vec<u8> {
        self.blobs.pop().unwrap_or_default()
    }

    fn keep<T: Nested>(&mut self, mut item: T) {
        item.recycle(self);
        let pool = T::pool(self);
        if pool.len() < POOL_MAX {
            pool.push(item);
        }
    }

    /// Keeps what a list holds. The items are moved at once: a third of the time of one by one.
    fn keep_all<T: Nested>(&mut self, items: &mut Vec<T>) {
        for item in items.iter_mut() {
            item.recycle(self);
        }
        let pool = T::pool(self);
        items.truncate(POOL_MAX.saturating_sub(pool.len()));
        pool.append(items);
    }

    fn keep_string(&mut self, mut item: String) {
        if self.strings.len() < POOL_MAX && item.capacity() <= CAPACITY_MAX {
            item.clear();
            self.strings.push(item);
        }
    }

    #[allow(dead_code, reason = "the generated code calls it where a message has such a field")]
    fn keep_blob(&mut self, mut item: Vec<u8>) {
        if self.blobs.len() < POOL_MAX && item.capacity() <= CAPACITY_MAX {
            item.clear();
            self.blobs.push(item);
        }
    }
}

include!(concat!(env!("OUT_DIR"), "/drafts.rs"));
