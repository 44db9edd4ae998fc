//! What makes packets belong together.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// IP protocol numbers that the flow table treats in their own way (IANA protocol numbers).
pub(crate) mod protocol {
    pub(crate) const ICMP: u8 = 1;
    pub(crate) const TCP: u8 = 6;
    pub(crate) const UDP: u8 = 17;
    pub(crate) const ICMPV6: u8 = 58;
    pub(crate) const SCTP: u8 = 132;
    pub(crate) const UDP_LITE: u8 = 136;
    pub(crate) const DCCP: u8 = 33;
}

/// Encapsulation whose identifier tells apart flows of equal addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Encapsulation {
    pub(crate) kind: EncapsulationKind,
    /// VNI, VSID, key or label.
    pub(crate) id: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub(crate) enum EncapsulationKind {
    #[default]
    None = 0,
    Mpls = 1,
    Vxlan = 2,
    Geneve = 3,
    Gre = 4,
    Nvgre = 5,
    Erspan = 6,
}

impl EncapsulationKind {
    const ALL: [(Self, &'static str); 7] = [
        (Self::None, ""),
        (Self::Mpls, "mpls"),
        (Self::Vxlan, "vxlan"),
        (Self::Geneve, "geneve"),
        (Self::Gre, "gre"),
        (Self::Nvgre, "nvgre"),
        (Self::Erspan, "erspan"),
    ];
}

/// Ports of a packet, or what stands for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Ports {
    pub(crate) src: u16,
    pub(crate) dst: u16,
    /// Identifier of an ICMP echo, by which echoes between two hosts are told apart.
    pub(crate) icmp_identifier: u16,
    /// ICMP that expects no answer: its two directions are two flows, as in Community ID.
    pub(crate) one_way: bool,
}

/// Identity of a flow: partition key, protocol, unordered endpoints, encapsulation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FlowKey {
    /// The partition key in two halves, so that a key takes 52 bytes and not 56.
    partition_key: [u32; 2],
    low: [u8; 16],
    high: [u8; 16],
    encapsulation_id: u32,
    low_port: u16,
    high_port: u16,
    icmp_identifier: u16,
    protocol: u8,
    /// Bit 0 IPv6, bit 1 one-way, bits 4 to 7 kind of encapsulation.
    bits: u8,
}

/// A key as bytes, in whole words.
pub(crate) const KEY_BYTES: usize = 56;

const IPV6: u8 = 1;
const ONE_WAY: u8 = 2;

impl FlowKey {
    /// The key of a packet, and whether its source is the key's higher endpoint.
    #[inline]
    pub(crate) fn new(
        partition_key: u64,
        protocol: u8,
        (src, dst): (IpAddr, IpAddr),
        ports: Ports,
        encapsulation: Encapsulation,
    ) -> (Self, bool) {
        let (src_end, dst_end) = ((number(src), ports.src), (number(dst), ports.dst));
        let reversed = !ports.one_way && src_end > dst_end;
        let ((low, low_port), (high, high_port)) = if reversed { (dst_end, src_end) } else { (src_end, dst_end) };
        let (low, high) = (low.to_be_bytes(), high.to_be_bytes());
        let mut bits = (encapsulation.kind as u8) << 4;
        if src.is_ipv6() {
            bits |= IPV6;
        }
        if ports.one_way {
            bits |= ONE_WAY;
        }
        let partition_key = [(partition_key >> 32) as u32, (partition_key & 0xffff_ffff) as u32];
        let encapsulation_id = encapsulation.id;
        let icmp_identifier = ports.icmp_identifier;
        let key =
            Self { partition_key, low, high, encapsulation_id, low_port, high_port, icmp_identifier, protocol, bits };
        (key, reversed)
    }

    /// All of the key and four zeros, for hashing: written by the words that hashing reads, since a processor
    /// waits where it reads what was written in smaller pieces a moment ago.
    #[inline]
    pub(crate) fn to_bytes(self) -> [u8; KEY_BYTES] {
        let [a, b] = self.partition_key.map(u64::from);
        let [low_port, high_port, icmp_identifier] =
            [self.low_port, self.high_port, self.icmp_identifier].map(u64::from);
        let ports = u64::from(self.encapsulation_id) << 32 | low_port << 16 | high_port;
        let rest = icmp_identifier << 16 | u64::from(self.protocol) << 8 | u64::from(self.bits);
        let mut out = [0; KEY_BYTES];
        out[0..8].copy_from_slice(&(a << 32 | b).to_be_bytes());
        out[8..24].copy_from_slice(&self.low);
        out[24..40].copy_from_slice(&self.high);
        out[40..48].copy_from_slice(&ports.to_be_bytes());
        out[48..56].copy_from_slice(&(rest << 32).to_be_bytes());
        out
    }

    /// The key whose [`Self::to_bytes`] these are.
    pub(crate) fn from_bytes(bytes: &[u8; KEY_BYTES]) -> Self {
        let [a, b, c, d] = [0, 4, 40, 44].map(|at| u32::from_be_bytes([0, 1, 2, 3].map(|next| bytes[at + next])));
        let halves = |word: u32| ((word >> 16) as u16, (word & 0xffff) as u16);
        let (low_port, high_port) = halves(d);
        let mut key = Self {
            partition_key: [a, b],
            low: [0; 16],
            high: [0; 16],
            encapsulation_id: c,
            low_port,
            high_port,
            icmp_identifier: u16::from_be_bytes([bytes[48], bytes[49]]),
            protocol: bytes[50],
            bits: bytes[51],
        };
        key.low.copy_from_slice(&bytes[8..24]);
        key.high.copy_from_slice(&bytes[24..40]);
        key
    }

    pub(crate) fn protocol(&self) -> u8 {
        self.protocol
    }

    /// The lower and the higher address.
    pub(crate) fn addresses(&self) -> (IpAddr, IpAddr) {
        let v6 = self.bits & IPV6 != 0;
        (address(self.low, v6), address(self.high, v6))
    }

    /// Ports of the lower and the higher endpoint.
    pub(crate) fn ports(&self) -> (u16, u16) {
        (self.low_port, self.high_port)
    }

    /// The ports that Community ID hashes: none for protocols without.
    pub(crate) fn community_id_ports(&self) -> Option<(u16, u16)> {
        use protocol::{ICMP, ICMPV6, SCTP, TCP, UDP};
        matches!(self.protocol, ICMP | TCP | UDP | ICMPV6 | SCTP).then(|| self.ports())
    }

    /// Name and identifier of the encapsulation.
    pub(crate) fn encapsulation(&self) -> Option<(&'static str, u32)> {
        let kind = self.bits >> 4;
        let (_, name) = EncapsulationKind::ALL.iter().find(|(of, _)| *of as u8 == kind && kind != 0)?;
        Some((name, self.encapsulation_id))
    }
}

/// An address as a number; IPv4 in the upper bits.
fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(u32::from(address)) << 96,
        IpAddr::V6(address) => address.into(),
    }
}

fn address(octets: [u8; 16], v6: bool) -> IpAddr {
    if v6 {
        return Ipv6Addr::from(octets).into();
    }
    let [a, b, c, d, ..] = octets;
    Ipv4Addr::new(a, b, c, d).into()
}
