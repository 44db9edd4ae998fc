//! What every source of packets has in common.

use crate::error::SourceError;
use weir_contract::{CaptureCounters, Interface};

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

    /// A time that no packet to come is older than, nanoseconds since 1970-01-01 UTC: while there is no packet, time goes on
    /// all the same. Only interfaces that are quiet say so, by the clock of the host that captures.
    fn quiet_until_ns(&self) -> Option<i64> {
        None
    }

    /// What was counted before packets were handed out, since the capture began. Only interfaces have that.
    fn kernel_counters(&mut self) -> KernelCounters {
        KernelCounters::default()
    }
}

/// What was counted of an interface's packets before they were handed out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KernelCounters {
    /// Packets the kernel received that passed the filter: at the end those handed out, `dropped`,
    /// `queue_dropped` and `sampled_out`.
    pub received: i64,
    /// Packets lost because the kernel's ring was full.
    pub dropped: i64,
    /// Packets lost by the interface or its driver, which the kernel did not receive.
    pub interface_dropped: i64,
    /// Packets dropped between the ring's thread and the reader, which was behind.
    pub queue_dropped: i64,
    /// Packets left out by sampling.
    pub sampled_out: i64,
}

impl KernelCounters {
    /// Enters what was counted into what a sensor tells of itself.
    pub fn enter(&self, counters: &mut CaptureCounters) {
        counters.received_packets = self.received;
        counters.dropped_kernel_packets = self.dropped;
        counters.dropped_interface_packets = self.interface_dropped;
        counters.dropped_queue_packets = self.queue_dropped;
        counters.unsampled_packets = self.sampled_out;
    }
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
