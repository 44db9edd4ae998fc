//! The feature vector of a flow, packet by packet.

use super::{Anatomy, sums::Sums};
use crate::{
    entropy::BYTES_MAX,
    flow::{FlowPacket, flag},
};

const SECOND: u64 = 1_000_000_000;

/// Longer gaps part subflows.
const SUBFLOW_GAP_NS: u64 = SECOND;

/// Longer gaps part active periods, and are idle periods themselves.
const ACTIVE_GAP_NS: u64 = 5 * SECOND;

/// Longer gaps part runs of packets with payload, of which those of at least so many packets are bulks.
const BULK_GAP_NS: u64 = SECOND;
const BULK_PACKETS_MIN: u64 = 4;

/// Packets whose sizes, directions and gaps are kept one by one.
pub(super) const FIRST_PACKETS: usize = 20;

/// Bins of the histograms of sizes and of times.
pub(super) const BINS: usize = 8;

/// What is learnt of a flow.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Vector {
    /// Packets went by before anything was counted.
    pub(super) incomplete: bool,
    pub(super) packets: u64,
    /// The flow's clock: the greatest time so far. It never runs backwards.
    pub(super) now_ns: i64,
    pub(super) backward_packets: u64,
    pub(super) iat: Sums,
    pub(super) iat_histogram: [u32; BINS],
    /// Gaps that part subflows.
    pub(super) breaks: u64,
    /// When the current active period began.
    pub(super) active_begin_ns: i64,
    pub(super) active: Sums,
    pub(super) idle: Sums,
    pub(super) run: Run,
    pub(super) first: FirstPackets,
    pub(super) orig: Half,
    pub(super) resp: Half,
}

/// What one side sent.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Half {
    /// The flow's clock at its last packet.
    pub(super) now_ns: i64,
    pub(super) lengths: Sums,
    pub(super) length_histogram: [u32; BINS],
    pub(super) payloads: Sums,
    pub(super) payload_packets: u64,
    pub(super) iat: Sums,
    pub(super) iat_histogram: [u32; BINS],
    pub(super) windows: Sums,
    pub(super) ip_header_bytes: u64,
    pub(super) transport_header_bytes: u64,
    pub(super) transport_header_min: u32,
    pub(super) bulks: Bulks,
    pub(super) head: Head,
}

/// The first bytes of a side's payload.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    bytes: [u8; BYTES_MAX],
    length: u16,
}

impl Default for Head {
    fn default() -> Self {
        Self { bytes: [0; BYTES_MAX], length: 0 }
    }
}

impl Head {
    /// Takes as many bytes as there is room for.
    pub(super) fn push(&mut self, payload: &[u8]) {
        let Some(room) = self.bytes.get_mut(usize::from(self.length)..) else { return };
        let wanted = payload.len().min(room.len());
        if let (Some(room), Some(payload)) = (room.get_mut(..wanted), payload.get(..wanted)) {
            room.copy_from_slice(payload);
            self.length += u16::try_from(wanted).unwrap_or_default();
        }
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or_default()
    }
}

/// Packets with payload of one side that nothing interrupted so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) from_originator: bool,
    pub(super) packets: u64,
    pub(super) bytes: u64,
    pub(super) begin_ns: i64,
    pub(super) now_ns: i64,
}

/// Runs that were long enough.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Bulks {
    pub(super) count: u64,
    pub(super) packets: u64,
    pub(super) bytes: u64,
    pub(super) duration_ns: u64,
}

/// The flow's beginning, packet by packet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct FirstPackets {
    pub(super) count: u8,
    pub(super) packets: [FirstPacket; FIRST_PACKETS],
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct FirstPacket {
    pub(super) gap_ns: u64,
    pub(super) ip_bytes: u32,
    pub(super) payload_bytes: u32,
    /// Flags of TCP.
    pub(super) flags: u16,
    pub(super) from_originator: bool,
}

impl Vector {
    pub(in crate::flow) fn count(&mut self, packet: &FlowPacket, anatomy: Anatomy<'_>, from_originator: bool) {
        let gap_ns = self.pass_time(packet.ts_ns);
        self.first.push(FirstPacket {
            gap_ns,
            ip_bytes: packet.rest.ip_bytes,
            payload_bytes: packet.rest.payload_bytes,
            flags: packet.rest.flags & flag::OF_TCP,
            from_originator,
        });
        self.prolong_run(packet.rest.payload_bytes, from_originator);
        let now_ns = self.now_ns;
        self.half(from_originator).count(packet, anatomy, now_ns);
    }

    fn half(&mut self, from_originator: bool) -> &mut Half {
        if from_originator { &mut self.orig } else { &mut self.resp }
    }

    /// Moves the clock on to a packet; returns how long after the one before that is.
    fn pass_time(&mut self, ts_ns: i64) -> u64 {
        self.packets = self.packets.saturating_add(1);
        if self.packets == 1 {
            self.now_ns = ts_ns;
            self.active_begin_ns = ts_ns;
            return 0;
        }
        self.backward_packets += u64::from(ts_ns < self.now_ns);
        let gap_ns = elapsed(self.now_ns, ts_ns);
        self.iat.add(gap_ns);
        count_time(&mut self.iat_histogram, gap_ns);
        self.breaks += u64::from(gap_ns > SUBFLOW_GAP_NS);
        if gap_ns > ACTIVE_GAP_NS {
            self.active.add(elapsed(self.active_begin_ns, self.now_ns));
            self.idle.add(gap_ns);
            self.active_begin_ns = ts_ns;
        }
        self.now_ns = self.now_ns.max(ts_ns);
        gap_ns
    }

    fn prolong_run(&mut self, payload_bytes: u32, from_originator: bool) {
        if payload_bytes == 0 {
            return;
        }
        let run = &self.run;
        let goes_on = run.from_originator == from_originator
            && elapsed(run.now_ns, self.now_ns) <= BULK_GAP_NS
            && run.packets > 0;
        if !goes_on {
            self.end_run();
            self.run = Run { from_originator, begin_ns: self.now_ns, ..Run::default() };
        }
        self.run.packets += 1;
        self.run.bytes += u64::from(payload_bytes);
        self.run.now_ns = self.now_ns;
    }

    fn end_run(&mut self) {
        let run = std::mem::take(&mut self.run);
        if run.packets >= BULK_PACKETS_MIN {
            let bulks = &mut self.half(run.from_originator).bulks;
            bulks.count += 1;
            bulks.packets += run.packets;
            bulks.bytes += run.bytes;
            bulks.duration_ns = bulks.duration_ns.saturating_add(elapsed(run.begin_ns, run.now_ns));
        }
    }

    /// Ends what lasted as long as the flow.
    pub(super) fn finish(&mut self) {
        self.active.add(elapsed(self.active_begin_ns, self.now_ns));
        self.end_run();
    }
}

impl Half {
    fn count(&mut self, packet: &FlowPacket, anatomy: Anatomy<'_>, now_ns: i64) {
        if self.lengths.count > 0 {
            let gap_ns = elapsed(self.now_ns, now_ns);
            self.iat.add(gap_ns);
            count_time(&mut self.iat_histogram, gap_ns);
        } else {
            self.transport_header_min = anatomy.transport_header_bytes;
        }
        self.now_ns = now_ns;
        let rest = &packet.rest;
        self.lengths.add(rest.ip_bytes.into());
        count_length(&mut self.length_histogram, rest.ip_bytes);
        self.payloads.add(rest.payload_bytes.into());
        self.payload_packets += u64::from(rest.payload_bytes > 0);
        self.ip_header_bytes += u64::from(anatomy.ip_header_bytes);
        self.transport_header_bytes += u64::from(anatomy.transport_header_bytes);
        self.transport_header_min = self.transport_header_min.min(anatomy.transport_header_bytes);
        if packet.has(flag::TCP) {
            self.windows.add(rest.window.into());
        }
        self.head.push(anatomy.payload);
    }
}

impl FirstPackets {
    pub(super) fn push(&mut self, packet: FirstPacket) {
        if let Some(slot) = self.packets.get_mut(usize::from(self.count)) {
            *slot = packet;
            self.count += 1;
        }
    }

    pub(super) fn as_slice(&self) -> &[FirstPacket] {
        self.packets.get(..usize::from(self.count)).unwrap_or_default()
    }
}

/// Time from one point to a later one; 0 if it is none.
fn elapsed(from_ns: i64, to_ns: i64) -> u64 {
    to_ns.saturating_sub(from_ns).max(0).unsigned_abs()
}

/// Bins by powers of ten: below 1 µs, …, below 1 s, and the rest.
fn count_time(histogram: &mut [u32; BINS], gap_ns: u64) {
    const ENDS: [u64; BINS - 1] = [1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000];
    let bin = ENDS.iter().filter(|&&end| gap_ns >= end).count();
    if let Some(count) = histogram.get_mut(bin) {
        *count = count.saturating_add(1);
    }
}

/// Bins by powers of two: below 64 bytes, …, below 4096, and the rest.
fn count_length(histogram: &mut [u32; BINS], bytes: u32) {
    let bits = u32::BITS - bytes.leading_zeros();
    let bin = usize::try_from(bits.saturating_sub(6)).unwrap_or(BINS).min(BINS - 1);
    if let Some(count) = histogram.get_mut(bin) {
        *count = count.saturating_add(1);
    }
}
