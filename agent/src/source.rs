//! What every source of packets has in common.

use crate::error::FileError;
use weir_contract::Interface;

/// Problems of one source that are kept to be told; more are only counted.
const MAX_PROBLEMS: usize = 8;

/// A packet as its source hands it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourcePacket<'a> {
    /// When it was captured, nanoseconds since 1970-01-01 UTC; saturates at both ends.
    pub ts_ns: i64,
    /// What was captured of it.
    pub data: &'a [u8],
    /// Bytes it had on the wire, as the capture says: a capture that lies says less than it holds.
    pub original_length: u32,
    /// Index into [`Source::interfaces`].
    pub interface: u32,
}

/// A stream of packets: a capture file, or an interface.
///
/// The packet stays in the source until the next one is asked for, so that sources can be
/// compared by their next packet without copying it.
pub trait Source {
    /// Goes to the next packet; false at the end, and from then on.
    ///
    /// Problems don't stop here but end up in [`Source::damage`]: what was read before is kept.
    fn advance(&mut self) -> bool;

    /// The packet last advanced to; an empty one at time 0 before the first and after the last.
    fn packet(&self) -> SourcePacket<'_>;

    /// The interfaces seen so far. They are only ever added to.
    fn interfaces(&self) -> &[Interface];

    /// What was wrong so far.
    fn damage(&self) -> &Damage;
}

/// What was wrong with a source, so far.
#[derive(Debug, Default)]
pub struct Damage {
    /// Packets of which only a part, or nothing, can be read, or whose lengths cannot be.
    pub packets: i64,
    /// The first few problems, in the order they were met.
    pub problems: Vec<FileError>,
}

impl Damage {
    pub(crate) fn add(&mut self, problem: FileError) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(problem);
        }
    }
}
