//! What stands for ports in ICMP: types and their counterparts, as in Community ID version 1
//! (<https://github.com/corelight/community-id-spec>).

use super::key::Ports;

/// Types of ICMPv4 whose second word holds an identifier (RFC 792, RFC 950).
const IDENTIFIED: [u8; 8] = [0, 8, 13, 14, 15, 16, 17, 18];

/// Echo request and reply of ICMPv6 (RFC 4443 §4).
const IDENTIFIED_V6: [u8; 2] = [128, 129];

/// Ports of an ICMPv4 message whose octets 4 and 5 are `identifier`.
pub(crate) fn icmpv4_ports(message_type: u8, code: u8, identifier: u16) -> Ports {
    let counterpart = match message_type {
        // Echo.
        0 => Some(8),
        8 => Some(0),
        // Router advertisement and solicitation.
        9 => Some(10),
        10 => Some(9),
        // Timestamp.
        13 => Some(14),
        14 => Some(13),
        // Information.
        15 => Some(16),
        16 => Some(15),
        // Address mask.
        17 => Some(18),
        18 => Some(17),
        _ => None,
    };
    ports(message_type, code, counterpart, if IDENTIFIED.contains(&message_type) { identifier } else { 0 })
}

/// Ports of an ICMPv6 message whose octets 4 and 5 are `identifier`.
pub(crate) fn icmpv6_ports(message_type: u8, code: u8, identifier: u16) -> Ports {
    let counterpart = match message_type {
        // Echo.
        128 => Some(129),
        129 => Some(128),
        // Multicast listener query and report.
        130 => Some(131),
        131 => Some(130),
        // Router solicitation and advertisement.
        133 => Some(134),
        134 => Some(133),
        // Neighbour solicitation and advertisement.
        135 => Some(136),
        136 => Some(135),
        // Node information.
        139 => Some(140),
        140 => Some(139),
        // Home agent address discovery.
        144 => Some(145),
        145 => Some(144),
        _ => None,
    };
    ports(message_type, code, counterpart, if IDENTIFIED_V6.contains(&message_type) { identifier } else { 0 })
}

fn ports(message_type: u8, code: u8, counterpart: Option<u8>, icmp_identifier: u16) -> Ports {
    Ports {
        src: message_type.into(),
        dst: counterpart.unwrap_or(code).into(),
        icmp_identifier,
        one_way: counterpart.is_none(),
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::flow::{Encapsulation, FlowKey, Identity, SensorHash, protocol};

    fn community_id(protocol: u8, addresses: (IpAddr, IpAddr), ports: Ports) -> String {
        let (key, _) = FlowKey::new(1, protocol, addresses, ports, Encapsulation::default());
        String::from_utf8(Identity::new(&SensorHash::new("", 0), &key, 1).community_id().to_vec()).unwrap()
    }

    #[test]
    fn community_ids_equal_the_specifications_baseline() {
        let baseline = [
            ("fe80::200:86ff:fe05:80da", "fe80::260:97ff:fe07:69ea", 135, 0, "1:dGHyGvjMfljg6Bppwm3bg0LO8TY="),
            ("fe80::260:97ff:fe07:69ea", "fe80::200:86ff:fe05:80da", 136, 0, "1:dGHyGvjMfljg6Bppwm3bg0LO8TY="),
            ("fe80::260:97ff:fe07:69ea", "fe80::200:86ff:fe05:80da", 135, 0, "1:zavyT/cezQr1fmImYCwYnMXbgck="),
            ("3ffe:501:1800:2345::2", "3ffe:507:0:1:200:86ff:fe05:80da", 3, 0, "1:2ObVBgIn28oZvibYZhZMBgh7WdQ="),
            (
                "3ffe:501:410:0:2c0:dfff:fe47:33e",
                "3ffe:507:0:1:200:86ff:fe05:80da",
                1,
                4,
                "1:hLZd0XGWojozrvxqE0dWB1iM6R0=",
            ),
            ("3ffe:507:0:1:200:86ff:fe05:80da", "3ffe:501:0:1001::2", 128, 0, "1:+TW+HtLHvV1xnGhV1lv7XoJrqQg="),
            ("3ffe:501:0:1001::2", "3ffe:507:0:1:200:86ff:fe05:80da", 129, 0, "1:+TW+HtLHvV1xnGhV1lv7XoJrqQg="),
            ("fe80::200:86ff:fe05:80da", "ff02::2", 133, 0, "1:hO+sN4H+MG5MY/8hIrXPqc4ZQz0="),
            ("fe80::260:97ff:fe07:69ea", "ff02::1", 134, 0, "1:pkvHqCL88/tg1k4cPigmZXUtL00="),
            ("192.168.0.89", "192.168.0.1", 8, 0, "1:X0snYXpgwiv9TZtqg64sgzUn6Dk="),
            ("192.168.0.1", "192.168.0.89", 0, 0, "1:X0snYXpgwiv9TZtqg64sgzUn6Dk="),
            ("10.0.0.1", "10.0.0.2", 11, 0, "1:YHxtAirCG//0OzkcVAukqKQN9xM="),
        ];
        for (src, dst, message_type, code, expected) in baseline {
            let addresses: (IpAddr, IpAddr) = (src.parse().unwrap(), dst.parse().unwrap());
            let (protocol, ports) = if addresses.0.is_ipv4() {
                (protocol::ICMP, icmpv4_ports(message_type, code, 7))
            } else {
                (protocol::ICMPV6, icmpv6_ports(message_type, code, 7))
            };
            assert_eq!(community_id(protocol, addresses, ports), expected, "{src} {dst} {message_type}");
        }
    }

    #[test]
    fn community_ids_of_all_types_equal_another_implementations() {
        let v4: [IpAddr; 2] = [[10, 0, 0, 9].into(), [10, 0, 0, 2].into()];
        let v6: [IpAddr; 2] = ["fe80::9".parse().unwrap(), "fe80::2".parse().unwrap()];
        for message_type in 0..=u8::MAX {
            for (protocol, [src, dst]) in [(protocol::ICMP, v4), (protocol::ICMPV6, v6)] {
                let ports = match protocol {
                    protocol::ICMP => icmpv4_ports(message_type, 3, 7),
                    _ => icmpv6_ports(message_type, 3, 7),
                };
                let theirs = community_id::calculate_community_id(
                    0,
                    src,
                    dst,
                    Some(message_type.into()),
                    Some(3),
                    protocol,
                    Default::default(),
                );
                assert_eq!(community_id(protocol, (src, dst), ports), theirs.unwrap(), "{protocol} {message_type}");
            }
        }
    }

    #[test]
    fn every_counterpart_has_the_type_as_its_own() {
        for ports_of in [icmpv4_ports, icmpv6_ports] {
            for message_type in 0..=u8::MAX {
                let ports = ports_of(message_type, 0, 0);
                if !ports.one_way {
                    let back = ports_of(u8::try_from(ports.dst).unwrap(), 0, 0);
                    assert_eq!((back.dst, back.one_way), (message_type.into(), false));
                }
            }
        }
    }

    #[test]
    fn only_echoes_and_their_like_are_told_apart_by_identifier() {
        assert_eq!(icmpv4_ports(8, 0, 7).icmp_identifier, 7);
        assert_eq!(icmpv4_ports(3, 1, 7).icmp_identifier, 0);
        assert_eq!(icmpv6_ports(129, 0, 7).icmp_identifier, 7);
        assert_eq!(icmpv6_ports(135, 0, 7).icmp_identifier, 0);
    }
}
