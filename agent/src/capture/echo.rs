//! Packets of the agent's own connections inside others: in VLANs, in tunnels that don't encrypt, in copies that a
//! switch makes. No filter of the kernel's looks for them there.

use super::own_traffic::Connection;
use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;

/// One packet in so many is looked into: it takes a microsecond.
const ONE_IN: u64 = 256;

/// Bytes of a packet that are looked into: room for a tunnel in a tunnel.
const DEPTH: usize = 256;

/// Bytes of own packets that were captured, by interface, as far as a sample tells.
#[derive(Debug, Default)]
pub struct Echo {
    packets: u64,
    /// Source and destination of own packets, as they stand in their headers, and the port at the other end.
    pairs_v4: HashSet<([u8; 8], u16)>,
    pairs_v6: HashSet<([u8; 32], u16)>,
    bytes: BTreeMap<String, u64>,
}

impl Echo {
    /// Looks for packets of these connections from now on.
    pub fn expect<'a>(&mut self, connections: impl Iterator<Item = &'a Connection>) {
        self.pairs_v4.clear();
        self.pairs_v6.clear();
        for Connection { local, peer } in connections {
            match (local, peer.ip()) {
                (IpAddr::V4(local), IpAddr::V4(of_peer)) => {
                    let (local, of_peer) = (local.octets(), of_peer.octets());
                    self.pairs_v4.extend([(pair(local, of_peer), peer.port()), (pair(of_peer, local), peer.port())]);
                }
                (IpAddr::V6(local), IpAddr::V6(of_peer)) => {
                    let (local, of_peer) = (local.octets(), of_peer.octets());
                    self.pairs_v6.extend([(pair(local, of_peer), peer.port()), (pair(of_peer, local), peer.port())]);
                }
                _ => {}
            }
        }
    }

    /// Looks into a packet, if it is its turn.
    #[inline]
    pub fn look(&mut self, interface: &str, data: &[u8], original_length: u32) {
        self.packets += 1;
        if self.packets.is_multiple_of(ONE_IN) && self.is_own(data) {
            *self.bytes.entry(interface.to_owned()).or_default() += ONE_IN * u64::from(original_length);
        }
    }

    /// Bytes of own packets that were captured on an interface.
    pub fn bytes(&self, interface: &str) -> u64 {
        self.bytes.get(interface).copied().unwrap_or_default()
    }

    fn is_own(&self, data: &[u8]) -> bool {
        let data = data.get(..DEPTH).unwrap_or(data);
        has_pair(data, &self.pairs_v4) || has_pair(data, &self.pairs_v6)
    }
}

/// Whether two addresses stand somewhere with a port of their connection's right behind, on either side.
fn has_pair<const BYTES: usize>(data: &[u8], pairs: &HashSet<([u8; BYTES], u16)>) -> bool {
    const PORTS: usize = 4;
    if pairs.is_empty() {
        return false;
    }
    data.windows(BYTES + PORTS).any(|window| {
        let Some((addresses, [a, b, c, d])) = window.split_first_chunk::<BYTES>() else { return false };
        [[*a, *b], [*c, *d]].into_iter().any(|port| pairs.contains(&(*addresses, u16::from_be_bytes(port))))
    })
}

fn pair<const ONE: usize, const BOTH: usize>(source: [u8; ONE], destination: [u8; ONE]) -> [u8; BOTH] {
    let mut both = [0; BOTH];
    source.into_iter().chain(destination).zip(&mut both).for_each(|(byte, place)| *place = byte);
    both
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn connection(local: &str, peer: &str) -> Connection {
        Connection { local: local.parse().unwrap(), peer: peer.parse().unwrap() }
    }

    /// An IPv4 and TCP header behind so many bytes of others.
    fn tunnelled(depth: usize, source: [u8; 4], destination: [u8; 4], ports: [u16; 2]) -> Vec<u8> {
        let ports = ports.map(u16::to_be_bytes).concat();
        let before = vec![0x11; depth];
        [&before, &[0x45, 0, 5, 0xdc, 0, 0, 0, 0, 64, 6, 0, 0][..], &source, &destination, &ports, &[0; 1000]].concat()
    }

    fn bytes_of(connections: &[Connection], packet: &[u8]) -> u64 {
        let mut echo = Echo::default();
        echo.expect(connections.iter());
        (0..2 * ONE_IN).for_each(|_| echo.look("eth0", packet, 1500));
        assert_eq!(echo.bytes("eth1"), 0);
        echo.bytes("eth0")
    }

    #[test]
    fn own_packets_are_found_in_tunnels_in_both_directions() {
        let own = [connection("10.0.0.1", "10.0.0.2:9092")];
        let (local, peer) = ([10, 0, 0, 1], [10, 0, 0, 2]);
        for depth in [14, 22, 50, 64, 128] {
            assert_eq!(bytes_of(&own, &tunnelled(depth, local, peer, [40_000, 9092])), 512 * 1500);
            assert_eq!(bytes_of(&own, &tunnelled(depth, peer, local, [9092, 40_000])), 512 * 1500);
        }
    }

    #[test]
    fn packets_of_others_are_not_own() {
        let own = [connection("10.0.0.1", "10.0.0.2:9092"), connection("2001:db8::1", "[2001:db8::2]:9092")];
        for (source, destination, ports) in [
            ([10, 0, 0, 3], [10, 0, 0, 2], [40_000, 9092]),
            ([10, 0, 0, 1], [10, 0, 0, 2], [40_000, 9093]),
            ([10, 0, 0, 1], [10, 0, 0, 3], [40_000, 9092]),
        ] {
            assert_eq!(bytes_of(&own, &tunnelled(14, source, destination, ports)), 0);
        }
        assert_eq!(bytes_of(&own, &[]), 0);
        assert_eq!(bytes_of(&[], &tunnelled(14, [10, 0, 0, 1], [10, 0, 0, 2], [40_000, 9092])), 0);
    }

    #[test]
    fn own_packets_over_ipv6_are_found() {
        let own = [connection("2001:db8::1", "[2001:db8::2]:9092")];
        let addresses = ["2001:db8::2", "2001:db8::1"].map(|text| text.parse::<std::net::Ipv6Addr>().unwrap().octets());
        let packet = [&[0x22; 70], &addresses.concat()[..], &9092u16.to_be_bytes(), &[0x9c, 0x40], &[0; 20]].concat();
        assert_eq!(bytes_of(&own, &packet), 512 * 1500);
    }
}
