//! A flow of more than one packet: both sides, their history, and what was weird.

use weir_contract::{EndReason, WeirdReason};

use super::{
    identity::Identity,
    key::protocol,
    packet::{FlowPacket, flag},
    side::Side,
    tcp::{self, Endpoint, History},
};
use crate::{
    limits::{IdleClass, WEIRDS_MAX},
    output::Vlans,
    stream::Services,
};

/// What is known of a flow.
#[derive(Debug, Clone, Default)]
pub(crate) struct Detail {
    pub(crate) first_ts_ns: i64,
    pub(crate) last_ts_ns: i64,
    pub(crate) last_number: i64,
    pub(crate) orig: Side,
    pub(crate) resp: Side,
    pub(crate) history: History,
    pub(super) syn_ts_ns: Option<i64>,
    pub(super) syn_ack_ts_ns: Option<i64>,
    pub(crate) syn_rtt_ns: Option<i64>,
    pub(crate) ack_rtt_ns: Option<i64>,
    pub(crate) truncated_packets: u64,
    /// The first segment was no SYN.
    pub(crate) partial: bool,
    /// Sequence number of the originator's first SYN.
    pub(crate) initial_sequence: Option<u32>,
    pub(crate) orig_mac: Option<[u8; 6]>,
    pub(crate) resp_mac: Option<[u8; 6]>,
    pub(crate) vlans: Vlans,
    pub(crate) tunnel_depth: u8,
    pub(crate) weird_count: u64,
    /// Computed when it is first needed.
    pub(crate) identity: Option<Identity>,
    pub(super) weirds: Vec<WeirdBudget>,
    /// Protocols of its streams.
    pub(crate) services: Services,
}

/// How many weirds of a layer and reason were written.
#[derive(Debug, Clone)]
pub(super) struct WeirdBudget {
    pub(super) layer: String,
    pub(super) reason: i32,
    pub(super) written: u8,
}

/// Pairs of layer and reason that a flow tells apart; further ones are only counted.
const WEIRD_KINDS_MAX: usize = 32;

impl Detail {
    /// The detail of a flow whose first packet this is. A SYN-ACK that comes first answers a SYN that
    /// was missed, so its sender is the responder.
    pub(crate) fn new(packet: &FlowPacket, ip_protocol: u8) -> Self {
        let mut detail = Self::default();
        detail.begin(packet, ip_protocol);
        detail
    }

    /// Makes a fresh detail what [`Self::new`] gives, in its place: it has 600 bytes to copy.
    pub(super) fn begin(&mut self, packet: &FlowPacket, ip_protocol: u8) {
        let (src_mac, dst_mac) = (told_mac(packet, packet.rest.src_mac), told_mac(packet, packet.rest.dst_mac));
        let reversed = begins_reversed(packet);
        (self.orig_mac, self.resp_mac) = if reversed { (dst_mac, src_mac) } else { (src_mac, dst_mac) };
        self.first_ts_ns = packet.ts_ns;
        self.last_ts_ns = packet.ts_ns;
        self.vlans = packet.vlans;
        self.tunnel_depth = packet.tunnel_depth;
        self.partial = packet.has(flag::TCP) && !packet.has(flag::SYN);
        if reversed {
            self.history.reversed();
        }
        self.count(packet, ip_protocol, !reversed);
    }

    /// Counts a packet of the flow.
    pub(crate) fn count(&mut self, packet: &FlowPacket, ip_protocol: u8, from_originator: bool) {
        self.first_ts_ns = self.first_ts_ns.min(packet.ts_ns);
        self.last_ts_ns = self.last_ts_ns.max(packet.ts_ns);
        self.last_number = packet.number;
        self.truncated_packets += u64::from(packet.has(flag::TRUNCATED));
        let sender_mac = if from_originator { &mut self.orig_mac } else { &mut self.resp_mac };
        *sender_mac = sender_mac.or(told_mac(packet, packet.rest.src_mac));
        let (sender, receiver) =
            if from_originator { (&mut self.orig, &mut self.resp) } else { (&mut self.resp, &mut self.orig) };
        sender.count(packet);
        if packet.has(flag::TCP) {
            let seen = sender.count_segment(packet);
            if seen.repeated_bytes > 0 && packet.rest.payload_bytes > 0 {
                self.history.at_powers_of_ten(b't', from_originator, sender.retransmitted_packets.into());
            }
            if packet.rest.window == 0 && !packet.has(flag::RST) {
                self.history.at_powers_of_ten(b'w', from_originator, sender.zero_window_packets.into());
            }
            if seen.gap.runs > 0 {
                self.history.at_powers_of_ten(b'g', from_originator, sender.gaps.into());
            }
            if packet.has(flag::ACK) && !packet.has(flag::RST) {
                let gap = receiver.sequence.acknowledged(packet.acknowledgement);
                receiver.count_gap(gap);
                if gap.runs > 0 {
                    self.history.at_powers_of_ten(b'g', !from_originator, receiver.gaps.into());
                }
            }
            tcp::remember(&mut self.history, packet, from_originator);
            tcp::advance(&mut sender.endpoint, &mut receiver.endpoint, packet);
            self.time_handshake(packet, from_originator);
        } else if packet.rest.payload_bytes > 0 && ip_protocol == protocol::UDP {
            self.history.once(b'd', from_originator);
        }
    }

    /// Measures the handshake where no segment of it was repeated, since a repeated one leaves open
    /// which of the two was answered (RFC 6298 §3).
    fn time_handshake(&mut self, packet: &FlowPacket, from_originator: bool) {
        let (syn, ack) = (packet.has(flag::SYN), packet.has(flag::ACK));
        let [orig_syns, resp_syns] = [self.orig.flag_packets[1], self.resp.flag_packets[1]];
        if syn && !ack && from_originator {
            self.initial_sequence.get_or_insert(packet.rest.sequence);
            self.syn_ts_ns = (orig_syns == 1).then_some(packet.ts_ns);
        } else if syn && ack && !from_originator {
            self.syn_ack_ts_ns = (resp_syns == 1).then_some(packet.ts_ns);
            self.syn_rtt_ns = elapsed(self.syn_ts_ns, self.syn_ack_ts_ns);
        } else if ack && !syn && from_originator && self.orig.packets == u64::from(orig_syns) + 1 {
            self.ack_rtt_ns = elapsed(self.syn_ack_ts_ns, Some(packet.ts_ns));
        }
    }

    /// Which idle timeout holds for the flow.
    pub(crate) fn idle_class(&self) -> IdleClass {
        tcp::idle_class(self.orig.endpoint, self.resp.endpoint)
    }

    /// Whether a segment begins a new connection between the same ports: a SYN after the end, or one
    /// with another initial sequence number.
    pub(crate) fn is_reused_by(&self, packet: &FlowPacket, from_originator: bool) -> bool {
        let is_syn = packet.rest.flags & (flag::SYN | flag::ACK | flag::RST | flag::FIN) == flag::SYN;
        if !is_syn {
            return false;
        }
        if !from_originator {
            // Both sides may open at once (RFC 9293 §3.5); after the end it is a new connection.
            return self.idle_class() == IdleClass::TcpClosed;
        }
        self.initial_sequence.is_none_or(|initial| initial != packet.rest.sequence)
            && self.orig.endpoint != Endpoint::SynSent
    }

    /// Takes note of a weird; says whether it is to be written.
    pub(crate) fn admit_weird(&mut self, layer: &str, reason: WeirdReason) -> bool {
        self.weird_count += 1;
        let reason = reason as i32;
        if let Some(seen) = self.weirds.iter_mut().find(|seen| seen.layer == layer && seen.reason == reason) {
            let admitted = seen.written < WEIRDS_MAX;
            seen.written += u8::from(admitted);
            return admitted;
        }
        let admitted = self.weirds.len() < WEIRD_KINDS_MAX;
        if admitted {
            self.weirds.push(WeirdBudget { layer: layer.to_owned(), reason, written: 1 });
        }
        admitted
    }

    /// Gives up the holes that are left.
    pub(crate) fn finish(&mut self) {
        for (side, from_originator) in [(&mut self.orig, true), (&mut self.resp, false)] {
            let gap = side.sequence.finish();
            side.count_gap(gap);
            if gap.runs > 0 {
                self.history.at_powers_of_ten(b'g', from_originator, side.gaps.into());
            }
        }
    }

    /// How the connection ended, if it did so by itself.
    pub(crate) fn end_reason(&self) -> Option<EndReason> {
        match (self.orig.endpoint, self.resp.endpoint) {
            (Endpoint::Reset, _) | (_, Endpoint::Reset) => Some(EndReason::Rst),
            (Endpoint::Closed, Endpoint::Closed) => Some(EndReason::Fin),
            _ => None,
        }
    }

    /// The connection's state in Zeek's letters.
    pub(crate) fn conn_state(&self) -> &'static str {
        let (orig, resp) = (self.orig.endpoint, self.resp.endpoint);
        if orig == Endpoint::Inactive && resp == Endpoint::Inactive {
            return tcp::conn_state_of_datagrams(self.orig.packets > 0, self.resp.packets > 0);
        }
        tcp::conn_state(orig, resp, self.orig.payload_bytes + self.resp.payload_bytes, self.history.as_str())
    }
}

/// Which idle timeout holds for a flow whose only packet this is.
pub(crate) fn first_idle_class(packet: &FlowPacket) -> IdleClass {
    let (mut sender, mut receiver) = Default::default();
    if packet.has(flag::TCP) {
        tcp::advance(&mut sender, &mut receiver, packet);
    }
    // The sides count alike.
    tcp::idle_class(sender, receiver)
}

/// Whether the first packet of a flow was sent by its responder.
pub(crate) fn begins_reversed(packet: &FlowPacket) -> bool {
    packet.rest.flags & (flag::SYN | flag::ACK) == flag::SYN | flag::ACK
}

/// A link-layer address of a packet. Link types that tell the sender's only have zeros for the other.
fn told_mac(packet: &FlowPacket, mac: [u8; 6]) -> Option<[u8; 6]> {
    (packet.has(flag::MACS) && mac != [0; 6]).then_some(mac)
}

fn elapsed(from: Option<i64>, to: Option<i64>) -> Option<i64> {
    Some(to?.saturating_sub(from?).max(0))
}
