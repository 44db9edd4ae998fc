//! Counters of one direction of a flow.

use super::{
    packet::{FlowPacket, NO_WINDOW_SCALE, flag},
    sequence::{Gap, Seen, Sequence},
    tcp::Endpoint,
};

/// What one side of a flow has sent.
#[derive(Debug, Clone, Default)]
pub(crate) struct Side {
    pub(crate) packets: u64,
    pub(crate) link_bytes: u64,
    pub(crate) ip_bytes: u64,
    pub(crate) payload_bytes: u64,
    pub(crate) first_ts_ns: i64,
    pub(crate) last_ts_ns: i64,
    pub(crate) retransmitted_bytes: u64,
    pub(crate) gap_bytes: u64,
    /// Packets with each of TCP's flags, from FIN to CWR.
    pub(crate) flag_packets: [u32; 8],
    pub(crate) retransmitted_packets: u32,
    pub(crate) out_of_order_packets: u32,
    pub(crate) zero_window_packets: u32,
    pub(crate) gaps: u32,
    pub(crate) sequence: Sequence,
    pub(crate) window_first: Option<u16>,
    pub(crate) mss: Option<u16>,
    pub(crate) window_scale: Option<u8>,
    pub(crate) sack_permitted: bool,
    pub(crate) ttl_min: u8,
    pub(crate) ttl_max: u8,
    pub(crate) endpoint: Endpoint,
}

impl Side {
    /// Counts a packet that the side sent.
    pub(crate) fn count(&mut self, packet: &FlowPacket) {
        let rest = &packet.rest;
        if self.packets == 0 {
            self.first_ts_ns = packet.ts_ns;
            self.last_ts_ns = packet.ts_ns;
            self.ttl_min = rest.ttl;
            self.ttl_max = rest.ttl;
        }
        // Clocks run backwards: first and last are the least and the greatest.
        self.first_ts_ns = self.first_ts_ns.min(packet.ts_ns);
        self.last_ts_ns = self.last_ts_ns.max(packet.ts_ns);
        self.ttl_min = self.ttl_min.min(rest.ttl);
        self.ttl_max = self.ttl_max.max(rest.ttl);
        self.packets += u64::from(packet.packets);
        self.link_bytes += u64::from(rest.link_bytes);
        self.ip_bytes += u64::from(rest.ip_bytes);
        self.payload_bytes += u64::from(rest.payload_bytes);
    }

    /// Counts what is particular to a TCP segment that the side sent.
    pub(crate) fn count_segment(&mut self, packet: &FlowPacket) -> Seen {
        let rest = &packet.rest;
        for (bit, count) in self.flag_packets.iter_mut().enumerate() {
            *count = count.saturating_add(u32::from(rest.flags >> bit & 1));
        }
        self.window_first.get_or_insert(rest.window);
        if rest.window == 0 && !packet.has(flag::RST) {
            self.zero_window_packets = self.zero_window_packets.saturating_add(1);
        }
        if packet.has(flag::SYN) && self.mss.is_none() {
            self.mss = (rest.mss > 0).then_some(rest.mss);
            self.window_scale = (rest.window_scale != NO_WINDOW_SCALE).then_some(rest.window_scale);
            self.sack_permitted = packet.has(flag::SACK_PERMITTED);
        }
        if packet.has(flag::RST) {
            // A reset need not carry a number of the stream, nor its text data of it.
            return Seen::default();
        }
        let virtual_bytes = u32::from(packet.has(flag::SYN)) + u32::from(packet.has(flag::FIN));
        let seen = self.sequence.segment(rest.sequence, rest.payload_bytes.saturating_add(virtual_bytes));
        if seen.repeated_bytes > 0 && rest.payload_bytes > 0 {
            self.retransmitted_packets = self.retransmitted_packets.saturating_add(1);
            self.retransmitted_bytes += u64::from(seen.repeated_bytes.min(rest.payload_bytes));
        }
        self.out_of_order_packets = self.out_of_order_packets.saturating_add(seen.out_of_order.into());
        self.count_gap(seen.gap);
        seen
    }

    pub(crate) fn count_gap(&mut self, gap: Gap) {
        self.gap_bytes += u64::from(gap.bytes);
        self.gaps = self.gaps.saturating_add(gap.runs);
    }
}
