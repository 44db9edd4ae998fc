//! What the flow table keeps of a packet.

use crate::output::Vlans;

/// Bits of [`FlowPacket::flags`]; the lower nine are TCP's own (RFC 9293 §3.1, RFC 9768).
pub(crate) mod flag {
    pub(crate) const FIN: u16 = 1;
    pub(crate) const SYN: u16 = 2;
    pub(crate) const RST: u16 = 4;
    pub(crate) const PSH: u16 = 8;
    pub(crate) const ACK: u16 = 16;
    pub(crate) const URG: u16 = 32;
    pub(crate) const ECE: u16 = 64;
    pub(crate) const CWR: u16 = 128;
    pub(crate) const AE: u16 = 256;
    /// All of TCP's own.
    pub(crate) const OF_TCP: u16 = 0x1ff;
    /// A SYN that permits selective acknowledgement.
    pub(crate) const SACK_PERMITTED: u16 = 1 << 12;
    /// Captured in part.
    pub(crate) const TRUNCATED: u16 = 1 << 13;
    /// A transport header of TCP was read.
    pub(crate) const TCP: u16 = 1 << 14;
    /// Link-layer addresses are known.
    pub(crate) const MACS: u16 = 1 << 15;
}

/// Absence of a window scale, which is 14 at most (RFC 7323 §2.2).
pub(crate) const NO_WINDOW_SCALE: u8 = u8::MAX;

/// One packet of a flow, or one datagram of several fragments.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct FlowPacket {
    pub(crate) ts_ns: i64,
    pub(crate) number: i64,
    /// Fragments it came in; 1 for a whole packet.
    pub(crate) packets: u32,
    pub(crate) acknowledgement: u32,
    pub(crate) vlans: Vlans,
    pub(crate) tunnel_depth: u8,
    pub(crate) rest: Compact,
}

/// The part of a packet that a flow of one packet keeps as it is.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Compact {
    pub(crate) link_bytes: u32,
    pub(crate) ip_bytes: u32,
    pub(crate) payload_bytes: u32,
    pub(crate) sequence: u32,
    pub(crate) src_mac: [u8; 6],
    pub(crate) dst_mac: [u8; 6],
    /// The two outermost VLANs, [`NO_VLAN`] where there is none.
    pub(crate) vlans: [u16; 2],
    pub(crate) window: u16,
    /// Maximum segment size; 0 for none.
    pub(crate) mss: u16,
    pub(crate) flags: u16,
    pub(crate) ttl: u8,
    pub(crate) window_scale: u8,
}

/// No identifier of 12 bits is so large.
pub(crate) const NO_VLAN: u16 = u16::MAX;

impl FlowPacket {
    pub(crate) fn has(&self, flag: u16) -> bool {
        self.rest.flags & flag != 0
    }

    /// Whether the compact part tells all there is to know.
    pub(crate) fn is_compact(&self) -> bool {
        self.packets == 1 && self.vlans.as_slice().len() <= 2
    }

    /// The packet with its VLANs in the compact part.
    pub(crate) fn compact(&self) -> Compact {
        let vlan = |at: usize| self.vlans.as_slice().get(at).copied().unwrap_or(NO_VLAN);
        Compact { vlans: [vlan(0), vlan(1)], ..self.rest }
    }

    /// The packet again. What was not kept played no part in a flow's first packet.
    pub(crate) fn expand(rest: Compact, ts_ns: i64, number: i64, tunnel_depth: u8) -> Self {
        let mut vlans = Vlans::default();
        for id in rest.vlans.into_iter().filter(|&id| id != NO_VLAN) {
            vlans.push(id);
        }
        Self { ts_ns, number, packets: 1, acknowledgement: 0, vlans, tunnel_depth, rest }
    }
}
