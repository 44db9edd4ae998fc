//! Tunnels: packets inside packets, and how to tell them by their bytes where nothing names them.

use weir_contract::{WeirdReason, record};

use super::{Key, Next, Walk};
use crate::{
    checksum,
    cursor::{Cursor, Malformed},
    flow::{Encapsulation, Found},
    limits::TUNNELS_MAX,
    output::Scope,
};

/// A tunnel that a layer found.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tunnel {
    /// As in `Tunnel.kind`.
    pub(crate) kind: &'static str,
    /// VNI, VSID, key, TEID, session, call or label.
    pub(crate) identifier: Option<u32>,
    /// What tells flows inside it apart from those of equal addresses in another.
    pub(crate) encapsulation: Encapsulation,
}

impl Walk<'_> {
    /// Goes one tunnel deeper, to the packet that the key names; where it names none, on without a
    /// tunnel. What was known of the layers around is the outer packet's; the flow that carries the
    /// tunnel is told of once.
    pub(crate) fn enter_tunnel<'a>(
        &mut self,
        tunnel: Tunnel,
        key: Key,
        input: Cursor<'a>,
    ) -> Result<Next<'a>, Malformed> {
        let Some(inner) = packet_name(key) else { return Ok(Next::Layer(key, input)) };
        if self.scope.tunnel_depth >= TUNNELS_MAX {
            return Err(input.malformed(WeirdReason::TunnelDepth, "more than 4 tunnels"));
        }
        if let Some(found) = self.flow {
            if self.state.flows.mark_tunnel(found.flow) {
                self.write_tunnel(found, &tunnel, inner);
            }
            self.carrier = Some((found, self.scope));
        }
        self.flow = None;
        self.macs = None;
        self.encapsulation = tunnel.encapsulation;
        self.scope = Scope { tunnel_depth: self.scope.tunnel_depth + 1, ..Scope::default() };
        self.state.out.set_scope(self.scope, false);
        Ok(Next::Layer(key, input))
    }

    fn write_tunnel(&mut self, found: Found, tunnel: &Tunnel, inner: &str) {
        self.set_flow_scope(found);
        let Some(mut draft) = self.state.out.record::<record::Tunnel>() else { return };
        draft.kind.push_str(tunnel.kind);
        draft.identifier = tunnel.identifier.map(i64::from);
        draft.inner_protocol.push_str(inner);
    }
}

pub(super) const IPV4: Key = Key::EtherType(0x0800);
pub(super) const IPV6: Key = Key::EtherType(0x86dd);
/// Transparent Ethernet bridging (RFC 1701).
pub(super) const ETHERNET: Key = Key::EtherType(0x6558);
pub(super) const MPLS: Key = Key::EtherType(0x8847);
/// Network service header (RFC 8300), which has no decoder yet.
pub(super) const NSH: Key = Key::EtherType(0x894f);

/// Name of a protocol whose packets make what carries them a tunnel, as in `Tunnel.inner_protocol`.
fn packet_name(key: Key) -> Option<&'static str> {
    match key {
        IPV4 => Some("ipv4"),
        IPV6 => Some("ipv6"),
        ETHERNET => Some("ethernet"),
        Key::EtherType(0x8847 | 0x8848) => Some("mpls"),
        Key::EtherType(0x8100 | 0x88a8 | 0x9100) => Some("vlan"),
        Key::EtherType(0x0806) => Some("arp"),
        Key::EtherType(0x880b) => Some("ppp"),
        _ => None,
    }
}

/// Names of EtherTypes that tunnels carry (IANA IEEE 802 numbers); empty for others.
pub(super) fn ether_type_name(number: u16) -> &'static str {
    match number {
        0x2001 => "nhrp",
        0x883e => "wccp",
        0x88be => "erspan",
        0x22eb => "erspan_iii",
        0x894f => "nsh",
        0x00fe => "osi",
        _ => packet_name(Key::EtherType(number)).unwrap_or_default(),
    }
}

/// IPv4 or IPv6, by the version in the first nibble; `None` for other nibbles and without bytes.
pub(super) fn ip_version(bytes: &[u8]) -> Option<Key> {
    match bytes.first()? >> 4 {
        4 => Some(IPV4),
        6 => Some(IPV6),
        _ => None,
    }
}

/// IPv4 or IPv6 whose header fits its own checksum and the length of `bytes` so well that they can
/// be nothing else.
pub(super) fn proven_ip(bytes: &[u8]) -> Option<Key> {
    let mut header = Cursor::new(bytes);
    let key = ip_version(bytes)?;
    let (length, right) = if key == IPV4 {
        let header_bytes = usize::from(bytes.first()? & 15) * 4;
        header.skip(2).ok()?;
        let length = usize::from(header.u16().ok()?);
        let header = bytes.get(..header_bytes)?;
        (length, header_bytes >= 20 && checksum::is_right(checksum::sum(header)))
    } else {
        header.skip(4).ok()?;
        (40 + usize::from(header.u16().ok()?), true)
    };
    (length == bytes.len() && right).then_some(key)
}

/// Bytes behind the header of the shortest frame, with its checksum (IEEE 802.3 §3.2.8).
const PADDED_BYTES: usize = 46 + 4;

/// Whether bytes look like an Ethernet frame: an EtherType that is known to be in use and that the
/// next bytes agree with, or the length of what follows, which short frames are padded beyond.
pub(super) fn looks_like_ethernet(bytes: &[u8]) -> bool {
    let mut frame = Cursor::new(bytes);
    let Ok(ether_type) = frame.skip(12).and_then(|()| frame.u16()) else { return false };
    let payload = frame.peek();
    match ether_type {
        0..1536 => {
            let length = usize::from(ether_type);
            let is_padded = length < payload.len() && payload.len() <= PADDED_BYTES;
            length >= 3 && (length == payload.len() || is_padded)
        }
        0x0800 => ip_version(payload) == Some(IPV4),
        0x86dd => ip_version(payload) == Some(IPV6),
        0x0806 => payload.starts_with(&[0, 1, 8, 0]),
        0x8035 | 0x8100 | 0x88a8 | 0x9100 | 0x8847 | 0x8848 | 0x8863 | 0x8864 | 0x8809 | 0x888e | 0x88cc | 0x8902 => {
            true
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use weir_contract::record::{Connection, Ethernet, Ipv4, Meta, Packet, Tunnel, Udp, Weird};

    use super::*;
    use crate::testing;

    fn in_ip(packet: &[u8]) -> Vec<u8> {
        testing::ipv4(4, packet)
    }

    /// A VXLAN header and a frame behind it, in UDP.
    fn in_vxlan(vni: u8, frame: &[u8]) -> Vec<u8> {
        testing::udp(50000, 4789, &[&[8, 0, 0, 0, 0, 0, vni, 0], frame].concat())
    }

    fn meta(meta: &Option<Meta>) -> &Meta {
        meta.as_ref().unwrap()
    }

    #[test]
    fn four_tunnels_are_read_and_a_fifth_is_weird() {
        let mut frame = testing::udp(1000, 2000, b"payload");
        for _ in 0..4 {
            frame = in_ip(testing::packet_of(&frame));
        }
        let records = testing::decode(testing::ETHERNET, &[frame.clone()]);
        let depths: Vec<u32> = records.of::<Ipv4>().iter().map(|ipv4| meta(&ipv4.meta).tunnel_depth).collect();
        assert_eq!(depths, [0, 1, 2, 3, 4]);
        assert_eq!(meta(&records.of::<Udp>()[0].meta).tunnel_depth, 4);
        assert_eq!(records.weirds(), Vec::<String>::new());

        let records = testing::decode(testing::ETHERNET, &[in_ip(testing::packet_of(&frame))]);
        assert_eq!(records.of::<Ipv4>().len(), 5);
        assert_eq!(records.weirds(), ["ipip TunnelDepth: more than 4 tunnels"]);
    }

    #[test]
    fn sixteen_layers_are_read_and_a_seventeenth_is_weird() {
        let mut frame = testing::udp(1000, 2000, b"payload");
        for vni in 0..8 {
            frame = in_vxlan(vni, &frame);
        }
        let records = testing::decode(testing::ETHERNET, &[frame]);
        assert_eq!((records.of::<Ethernet>().len(), records.of::<Udp>().len()), (4, 4));
        assert_eq!(records.weirds(), ["ethernet TooManyLayers: more than 16 layers"]);
    }

    #[test]
    fn a_tunnel_and_what_is_in_it_are_connections_of_their_own() {
        let inner = testing::udp(1000, 2000, b"payload");
        let records = testing::decode(testing::ETHERNET, &[in_vxlan(7, &inner), in_vxlan(7, &inner)]);
        let [tunnel] = &records.of::<Tunnel>()[..] else { panic!("one tunnel, reported once") };
        assert_eq!((tunnel.kind.as_str(), tunnel.identifier), ("vxlan", Some(7)));
        assert_eq!(tunnel.inner_protocol, "ethernet");
        let mut connections = records.of::<Connection>();
        connections.sort_by_key(|connection| meta(&connection.meta).tunnel_depth);
        let [outer, inner] = &connections[..] else { panic!("two connections") };
        assert_eq!(meta(&tunnel.meta).uid, meta(&outer.meta).uid);
        assert_eq!((outer.orig_packets, outer.encapsulation.as_str()), (2, ""));
        assert_eq!((inner.orig_packets, inner.encapsulation.as_str(), inner.encapsulation_id), (2, "vxlan", Some(7)));
        let (outer, inner) = (meta(&outer.meta), meta(&inner.meta));
        assert_eq!((outer.dst_port, inner.dst_port), (4789, 2000));
        assert_ne!((&outer.uid, &outer.community_id), (&inner.uid, &inner.community_id));
    }

    #[test]
    fn a_tunnel_without_frames_in_it_has_no_link_addresses_inside() {
        let records =
            testing::decode(testing::ETHERNET, &[in_ip(testing::packet_of(&testing::udp(1000, 2000, b"payload")))]);
        let mut connections = records.of::<Connection>();
        connections.sort_by_key(|connection| meta(&connection.meta).tunnel_depth);
        assert_eq!(connections[0].orig_mac, "02:00:00:00:00:01");
        assert_eq!((connections[1].orig_mac.as_str(), connections[1].resp_mac.as_str()), ("", ""));
    }

    #[test]
    fn frames_in_a_tunnel_have_their_own_vlans() {
        let with_vlan = |id: u8, frame: Vec<u8>| [&frame[..12], &[0x81, 0, 0, id], &frame[12..]].concat();
        let inner = with_vlan(20, testing::udp(1000, 2000, b"payload"));
        let records = testing::decode(testing::ETHERNET, &[with_vlan(10, in_vxlan(1, &inner))]);
        let vlans = records.of::<Udp>().into_iter().map(|udp| udp.meta.unwrap().vlan);
        assert_eq!(vlans.collect::<Vec<_>>(), [[10], [20]]);
        assert_eq!(meta(&records.of::<Packet>()[0].meta).vlan, [10]);
    }

    #[test]
    fn equal_addresses_in_two_virtual_networks_are_two_connections() {
        let inner = testing::udp(1000, 2000, b"payload");
        let records = testing::decode(testing::ETHERNET, &[in_vxlan(1, &inner), in_vxlan(2, &inner)]);
        let inner =
            records.of::<Connection>().into_iter().filter(|connection| meta(&connection.meta).tunnel_depth == 1);
        assert_eq!(inner.filter_map(|connection| connection.encapsulation_id).collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn what_is_weird_before_an_inner_address_belongs_to_the_flow_around() {
        let records = testing::decode(testing::ETHERNET, &[in_vxlan(1, &[0; 5])]);
        let [weird] = &records.of::<Weird>()[..] else { panic!("one weird") };
        let [connection] = &records.of::<Connection>()[..] else { panic!("one connection") };
        assert_eq!(weird.layer, "ethernet");
        assert_eq!(meta(&weird.meta).uid, meta(&connection.meta).uid);
        assert_eq!((meta(&weird.meta).dst_port, connection.weird_count), (4789, 1));
    }

    #[test]
    fn inner_frames_carry_neither_address_nor_identity_of_the_flow_around() {
        let records = testing::decode(testing::ETHERNET, &[in_vxlan(1, &testing::udp(1000, 2000, b"payload"))]);
        let [_, inner] = &records.of::<Ethernet>()[..] else { panic!("two frames") };
        let expected = Meta { tunnel_depth: 1, record_index: 1, ..meta(&records.of::<Ethernet>()[0].meta).clone() };
        assert_eq!(meta(&inner.meta), &expected);
    }

    #[test]
    fn a_proven_packet_fits_its_length_and_checksum() {
        let frame = testing::udp(1000, 2000, b"payload");
        let packet = testing::packet_of(&frame);
        assert_eq!(proven_ip(packet), Some(IPV4));
        assert_eq!(proven_ip(&packet[..packet.len() - 1]), None);
        let mut wrong = packet.to_vec();
        wrong[8] ^= 1;
        assert_eq!(proven_ip(&wrong), None);
        assert_eq!(proven_ip(&[]), None);
    }

    #[test]
    fn frames_are_known_by_what_their_type_promises() {
        let frame = testing::udp(1000, 2000, b"payload");
        assert!(looks_like_ethernet(&frame));
        assert!(!looks_like_ethernet(testing::packet_of(&frame)));
        assert!(!looks_like_ethernet(&frame[..14]), "an IPv4 frame without IPv4");
        let mut llc = vec![1, 0x80, 0xc2, 0, 0, 0, 2, 0, 0, 0, 0, 1, 0, 4];
        assert!(!looks_like_ethernet(&llc), "a length beyond the end");
        llc.extend([0x42, 0x42, 3, 0]);
        assert!(looks_like_ethernet(&llc));
        llc.resize(14 + PADDED_BYTES, 0);
        assert!(looks_like_ethernet(&llc), "padding");
        llc.push(0);
        assert!(!looks_like_ethernet(&llc), "more than padding");
    }
}
