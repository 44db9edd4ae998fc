//! What every source of packets has in common.

use crate::error::SourceError;
use weir_contract::Interface;

/// Problems of one source that are kept to be told; more are only counted.
const MAX_PROBLEMS: usize = 8;

/// What a source says about a packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PacketInfo {
    /// When it was captured, nanoseconds since 1970-01-01 UTC; saturates at both ends.
    pub ts_ns: i64,
    /// Bytes it had on the wire, as the capture says: a capture that lies says less than it holds.
    pub original_length: u32,
    /// Index into [`Source::interfaces`].
    pub interface: u32,
}

/// What came of asking a source for its next packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// There is one.
    Packet,
    /// There is none yet; ask again. Only interfaces say so, every 100 ms.
    Idle,
    /// There are no more, now and ever.
    End,
}

/// A stream of packets: a capture file, or an interface.
///
/// The packet stays in the source until the next one is asked for, so that sources can be
/// compared by their next packet without copying it.
pub trait Source: Send {
    /// Goes to the next packet.
    ///
    /// Problems don't stop here but end up in [`Source::take_damage`]: what was read before is kept.
    fn advance(&mut self) -> Step;

    /// What is said about the packet last advanced to; nothing where there is none. Apart from the
    /// bytes, so that both travel in registers: one struct for both makes merging and batching a
    /// sixth slower.
    fn info(&self) -> PacketInfo;

    /// The bytes captured of the packet last advanced to; none where there is none.
    fn data(&self) -> &[u8];

    /// The interfaces seen so far. They are only ever added to.
    fn interfaces(&self) -> &[Interface];

    /// What was wrong since this was last asked.
    fn take_damage(&mut self) -> Damage;

    /// Bytes read of the file so far, as it is on disk; nothing for other sources.
    fn file_bytes_read(&self) -> u64 {
        0
    }

    /// What the kernel counted since the source was opened. Only interfaces have that.
    fn kernel_counters(&mut self) -> KernelCounters {
        KernelCounters::default()
    }
}

/// What the kernel counted of an interface's packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KernelCounters {
    /// Packets it received that passed the filter: those handed out, and `dropped`.
    pub received: i64,
    /// Packets lost because its ring was full.
    pub dropped: i64,
    /// Packets lost by the interface or its driver.
    pub interface_dropped: i64,
}

/// What was wrong with a source.
#[derive(Debug, Default)]
pub struct Damage {
    /// Packets of which only a part, or nothing, can be read, or whose lengths cannot be.
    pub packets: i64,
    /// The first few problems, in the order they were met.
    pub problems: Vec<SourceError>,
}

impl Damage {
    pub(crate) fn add(&mut self, problem: SourceError) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(problem);
        }
    }

    pub(crate) fn extend(&mut self, more: Damage) {
        self.packets += more.packets;
        more.problems.into_iter().for_each(|problem| self.add(problem));
    }
}
