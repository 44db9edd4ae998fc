//! Frames that lead to a protocol: whatever the layers below need, then the fuzzer's bytes.

use weir_engine::Protocol;

/// Port of the side that no protocol is known by.
const CLIENT_PORT: u16 = 40_000;

/// Lengths in IP and UDP headers are of 16 bits.
const PAYLOAD_MAX: usize = 60_000;

/// How a packet leads to a protocol.
#[derive(Clone, Copy, Debug)]
pub enum Way {
    /// The packet itself, of that link type.
    LinkType(u16),
    /// Behind an Ethernet header.
    EtherType(u16),
    /// Behind an IPv4 header.
    Ipv4(u8),
    /// Behind an IPv6 header.
    Ipv6(u8),
    /// Behind a UDP header with these ports.
    Udp(u16, u16),
    /// Behind a TCP header of that server's port, as the next bytes of its sender.
    Tcp(u16),
    /// Behind an IPv6 header, as an ICMPv6 message of that type.
    Icmpv6(u8),
    /// Behind an Ethernet header with a length.
    Llc,
    /// Behind an LLC header with both access points.
    LlcSap(u8),
}

/// All ways to a protocol.
pub fn ways(protocol: &Protocol) -> Vec<Way> {
    let mut ways = Vec::new();
    for &(kind, value) in &protocol.keys {
        let long = u16::try_from(value).unwrap_or_default();
        let short = u8::try_from(value).unwrap_or_default();
        match kind {
            "link_type" => ways.push(Way::LinkType(long)),
            "ether_type" => ways.push(Way::EtherType(long)),
            "ip_protocol" => ways.extend([Way::Ipv4(short), Way::Ipv6(short)]),
            "udp_port" => ways.extend([Way::Udp(CLIENT_PORT, long), Way::Udp(long, long)]),
            "tcp_port" => ways.push(Way::Tcp(long)),
            "icmpv6_type" => ways.push(Way::Icmpv6(short)),
            "llc" => ways.push(Way::Llc),
            "llc_sap" => ways.push(Way::LlcSap(short)),
            kind => panic!("fuzz/src/frame.rs knows no way to `{}` by its {kind}", protocol.name),
        }
    }
    ways
}

impl Way {
    /// Link type and bytes of a packet with a message, from the originator or back. `sent` counts the bytes of
    /// the messages before it, of originator and responder.
    pub fn packet(self, message: &[u8], is_answer: bool, sent: [u32; 2]) -> (u16, Vec<u8>) {
        const ETHERNET: u16 = 1;
        let message = &message[..message.len().min(PAYLOAD_MAX)];
        let mut packet = message.to_vec();
        match self {
            Self::LinkType(link_type) => return (link_type, packet),
            Self::EtherType(ether_type) => packet = ethernet(ether_type, message, is_answer),
            Self::Ipv4(protocol) => packet = ipv4(protocol, message, is_answer),
            Self::Ipv6(next_header) => packet = ipv6(next_header, message, is_answer),
            Self::Udp(src, dst) => {
                let (src, dst) = if is_answer { (dst, src) } else { (src, dst) };
                let length = short(message.len() + 8);
                let header = [src.to_be_bytes(), dst.to_be_bytes(), length.to_be_bytes(), [0; 2]].concat();
                packet = ipv4(17, &[&header, message].concat(), is_answer);
            }
            Self::Tcp(port) => {
                let (mut ports, mut sent) = ([u32::from(CLIENT_PORT), u32::from(port)], sent);
                if is_answer {
                    ports.reverse();
                    sent.reverse();
                }
                let mut segment = (ports[0] << 16 | ports[1]).to_be_bytes().to_vec();
                sent.into_iter().for_each(|number| segment.extend(number.to_be_bytes()));
                segment.extend([0x50, 0x10, 0xff, 0xff, 0, 0, 0, 0]);
                segment.extend(message);
                packet = ipv4(6, &segment, is_answer);
            }
            Self::Icmpv6(message_type) => {
                if let Some(first) = packet.first_mut() {
                    *first = message_type;
                }
                packet = ipv6(58, &packet, is_answer);
            }
            Self::Llc => packet = ethernet(short(message.len()).min(1500), message, is_answer),
            Self::LlcSap(sap) => {
                let header = [sap, sap, 3];
                packet = ethernet(short(message.len() + 3).min(1500), &[&header, message].concat(), is_answer);
            }
        }
        (ETHERNET, packet)
    }
}

fn ethernet(ether_type: u16, payload: &[u8], is_answer: bool) -> Vec<u8> {
    let (src, dst) = ends(is_answer);
    let mut frame = vec![2, 0, 0, 0, 0, dst, 2, 0, 0, 0, 0, src];
    frame.extend(ether_type.to_be_bytes());
    frame.extend(payload);
    frame
}

fn ipv4(protocol: u8, payload: &[u8], is_answer: bool) -> Vec<u8> {
    let (src, dst) = ends(is_answer);
    let [high, low] = short(payload.len() + 20).to_be_bytes();
    let header = [0x45, 0, high, low, 0, 0, 0, 0, 64, protocol, 0, 0, 10, 0, 0, src, 10, 0, 0, dst];
    ethernet(0x0800, &[&header, payload].concat(), is_answer)
}

fn ipv6(next_header: u8, payload: &[u8], is_answer: bool) -> Vec<u8> {
    let (src, dst) = ends(is_answer);
    let [high, low] = short(payload.len()).to_be_bytes();
    let mut packet = vec![0x60, 0, 0, 0, high, low, next_header, 255];
    for end in [src, dst] {
        packet.extend([0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, end]);
    }
    packet.extend(payload);
    ethernet(0x86dd, &packet, is_answer)
}

/// Last bytes of the addresses of source and destination.
fn ends(is_answer: bool) -> (u8, u8) {
    if is_answer { (2, 1) } else { (1, 2) }
}

fn short(length: usize) -> u16 {
    u16::try_from(length).unwrap_or(u16::MAX)
}
