#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;
use etherparse::{LaxNetSlice, LaxSlicedPacket, PacketBuilder};
use proptest::prelude::*;

const MACS: [u8; 12] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];

fn sensor() -> SensorKey {
    SensorKey::new("lab")
}

/// IPv4 header of 20 bytes, 10.0.0.1 to 10.0.0.2, UDP.
const IPV4: [u8; 20] = [0x45, 0, 0, 20, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];

fn ipv4_key() -> u64 {
    sensor().hash(&[10, 0, 0, 1, 10, 0, 0, 2])
}

/// IPv6 header, 2001:db8::2 to 2001:db8::1.
fn ipv6() -> Vec<u8> {
    let mut header = vec![0x60, 0, 0, 0, 0, 0, 59, 64];
    for last in [2, 1] {
        header.extend([0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
    }
    header
}

fn ipv6_key() -> u64 {
    let header = ipv6();
    sensor().hash(&[&header[24..40], &header[8..24]].concat())
}

fn mac_key() -> u64 {
    sensor().hash(&MACS)
}

fn sensor_key() -> u64 {
    sensor().hash(&[])
}

fn key(link_type: u16, parts: &[&[u8]]) -> u64 {
    partition_key(&sensor(), link_type, &parts.concat())
}

#[test]
fn every_encapsulation_leads_to_the_ip_header() {
    let snap = [0xaa, 0xaa, 3, 0, 0, 0, 8, 0];
    let sll = [&[0; 14][..], &[8, 0]].concat();
    let sll2 = [&[8, 0][..], &[0; 18]].concat();
    let nflog_first = [8, 0, 1, 0, 8, 0, 3, 0];
    let cases: [(&str, u16, Vec<&[u8]>); 30] = [
        ("ethernet", 1, vec![&MACS, &[8, 0]]),
        ("vlan", 1, vec![&MACS, &[0x81, 0, 0, 5, 8, 0]]),
        ("q-in-q", 1, vec![&MACS, &[0x88, 0xa8, 0, 5, 0x81, 0, 0, 6, 8, 0]]),
        ("old q-in-q", 1, vec![&MACS, &[0x91, 0, 0, 5, 0x81, 0, 0, 6, 8, 0]]),
        ("vlan, then length and snap", 1, vec![&MACS, &[0x81, 0, 0, 5, 0, 28], &snap]),
        ("mpls", 1, vec![&MACS, &[0x88, 0x47, 0, 0, 0x10, 64, 0, 0, 0x11, 64]]),
        ("mpls multicast", 1, vec![&MACS, &[0x88, 0x48, 0, 0, 0x11, 64]]),
        ("pseudowire", 1, vec![&MACS, &[0x88, 0x47, 0, 0, 0x11, 64, 0, 0, 0, 0], &[9; 12], &[8, 0]]),
        ("pppoe", 1, vec![&MACS, &[0x88, 0x64, 0x11, 0, 0, 1, 0, 22, 0, 0x21]]),
        ("pppoe, short protocol", 1, vec![&MACS, &[0x88, 0x64, 0x11, 0, 0, 1, 0, 21, 0x21]]),
        ("pppoe with mpls", 1, vec![&MACS, &[0x88, 0x64, 0x11, 0, 0, 1, 0, 22, 2, 0x81, 0, 0, 0x11, 64]]),
        ("802.3 and snap", 1, vec![&MACS, &[0, 28], &snap]),
        ("802.3 and llc", 1, vec![&MACS, &[0, 23], &[6, 6, 3]]),
        ("sll", 113, vec![&sll]),
        ("sll with llc", 113, vec![&[0; 14], &[0, 4], &snap]),
        ("sll2", 276, vec![&sll2]),
        ("null, little-endian", 0, vec![&[2, 0, 0, 0]]),
        ("null, big-endian", 0, vec![&[0, 0, 0, 2]]),
        ("loop", 108, vec![&[0, 0, 0, 2]]),
        ("raw 12", 12, vec![]),
        ("raw 14", 14, vec![]),
        ("raw", 101, vec![]),
        ("ipv4", 228, vec![]),
        ("ipv6", 229, vec![]),
        ("ppp", 9, vec![&[0, 0x21]]),
        ("ppp in hdlc-like framing", 50, vec![&[0xff, 3, 0, 0x21]]),
        ("pppoe without ethernet", 51, vec![&[0x11, 0, 0, 1, 0, 22, 0, 0x21]]),
        ("cisco hdlc", 104, vec![&[0x0f, 0, 8, 0]]),
        ("nflog", 239, vec![&[2, 0, 0, 0], &nflog_first, &[24, 0, 9, 0]]),
        ("nflog, big-endian", 239, vec![&[2, 0, 0, 0], &[0, 6, 0, 1, 0, 0, 0, 0], &[0, 24, 0, 9]]),
    ];
    for (name, link_type, head) in cases {
        let packet = |ip: &[u8]| [&head.concat(), ip].concat();
        assert_eq!(partition_key(&sensor(), link_type, &packet(&IPV4)), ipv4_key(), "{name}");
        if name.starts_with("nflog") {
            continue; // the attribute has the length of IPv4
        }
        assert_eq!(partition_key(&sensor(), link_type, &packet(&ipv6())), ipv6_key(), "{name} with IPv6");
    }
}

#[test]
fn header_cut_after_its_addresses_counts_and_one_byte_less_does_not() {
    let frame = [&MACS[..], &[8, 0], &IPV4].concat();
    assert_eq!(partition_key(&sensor(), 1, &frame[..34]), ipv4_key());
    assert_eq!(partition_key(&sensor(), 1, &frame[..33]), mac_key());
    let frame = [&MACS[..], &[0x86, 0xdd], &ipv6()].concat();
    assert_eq!(partition_key(&sensor(), 1, &frame[..54]), ipv6_key());
    assert_eq!(partition_key(&sensor(), 1, &frame[..53]), mac_key());
}

#[test]
fn without_ip_the_outermost_mac_pair_counts_then_the_sensor() {
    assert_eq!(key(1, &[&MACS, &[8, 6], &[0; 28]]), mac_key());
    assert_eq!(key(1, &[&MACS]), mac_key());
    assert_eq!(key(1, &[&MACS, &[0x88, 0x47, 0, 0, 0x11, 64, 0, 0, 0, 0], &[9; 12], &[8, 6]]), mac_key());
    assert_eq!(key(1, &[&MACS[..11]]), sensor_key());
    assert_eq!(key(105, &[&MACS, &[8, 0], &IPV4]), sensor_key());
    assert_eq!(key(1, &[]), sensor_key());
}

#[test]
fn search_ends_after_sixteen_headers() {
    let vlans = |count: usize| [[0x81, 0, 0, 5].repeat(count), vec![8, 0]].concat();
    assert_eq!(key(1, &[&MACS, &vlans(14), &IPV4]), ipv4_key());
    assert_eq!(key(1, &[&MACS, &vlans(15), &IPV4]), mac_key());
}

#[test]
fn ports_and_fragments_do_not_matter() {
    let mut first = [&MACS[..], &[8, 0], &IPV4, &[0x30, 0x39, 0, 53, 0, 8, 0, 0]].concat();
    let whole = partition_key(&sensor(), 1, &first);
    first[20] = 0x20; // more fragments
    assert_eq!(partition_key(&sensor(), 1, &first), whole);
    first[21] = 0xb9; // offset
    first.truncate(38);
    assert_eq!(partition_key(&sensor(), 1, &first), whole);
}

#[test]
fn sensors_and_address_families_are_kept_apart() {
    assert_ne!(partition_key(&SensorKey::new("other"), 228, &IPV4), ipv4_key());
    let zeros = |first: u8, length: usize| [vec![first], vec![0; length - 1]].concat();
    assert_ne!(key(101, &[&zeros(0x40, 20)]), key(101, &[&zeros(0x60, 40)]));
}

#[test]
fn partitions_are_spread_and_in_range() {
    assert_eq!(partition(u64::MAX, 16), 15);
    assert_eq!(partition(u64::MAX, u32::MAX), u32::MAX - 1);
    assert_eq!((partition(7, 0), partition(u64::MAX, 1)), (0, 0));
    let mut counts = [0u32; 16];
    for host in 0..=0xffffu16 {
        let [high, low] = host.to_be_bytes();
        let mut ip = IPV4;
        ip[14..16].copy_from_slice(&[high, low]);
        counts[usize::try_from(partition(key(228, &[&ip]), 16)).unwrap()] += 1;
    }
    assert!(counts.iter().all(|&count| (3900..4300).contains(&count)), "{counts:?}");
    assert_eq!(home_partition(&sensor(), 16), partition(sensor_key(), 16));
}

/// Columns: name, sensor, link type, packet, key (both in hexadecimal), partition of 16.
const VECTORS: &str = include_str!("partition_key_vectors.tsv");

#[test]
fn test_vectors_hold() {
    let rows: Vec<_> = VECTORS.lines().skip(1).collect();
    assert!(rows.len() >= 10);
    for row in rows {
        let [name, sensor, link_type, packet, expected_key, expected_partition] =
            row.split('\t').collect::<Vec<_>>().try_into().expect("six columns");
        let packet: Vec<u8> =
            (0..packet.len()).step_by(2).map(|at| u8::from_str_radix(&packet[at..at + 2], 16).unwrap()).collect();
        let key = partition_key(&SensorKey::new(sensor), link_type.parse().unwrap(), &packet);
        assert_eq!(format!("{key:016x}"), expected_key, "{name}");
        assert_eq!(partition(key, 16).to_string(), expected_partition, "{name}");
    }
}

/// The key as etherparse's reading of the packet would have it.
fn expected_by_etherparse(packet: &[u8]) -> Option<u64> {
    let sliced = LaxSlicedPacket::from_ethernet(packet).ok()?;
    let (mut a, mut b) = match sliced.net? {
        LaxNetSlice::Ipv4(ip) => (ip.header().source().to_vec(), ip.header().destination().to_vec()),
        LaxNetSlice::Ipv6(ip) => (ip.header().source().to_vec(), ip.header().destination().to_vec()),
        LaxNetSlice::Arp(_) => (packet[..6].to_vec(), packet[6..12].to_vec()),
    };
    if a > b {
        (a, b) = (b, a);
    }
    Some(sensor().hash(&[a, b].concat()))
}

/// Bytes that often are a frame: the types this module knows, at the places where they count.
fn frames() -> impl Strategy<Value = Vec<u8>> {
    let kind = proptest::sample::select(vec![
        0x0800u16, 0x86dd, 0x8100, 0x88a8, 0x9100, 0x8847, 0x8864, 0x0806, 0x0021, 0x0281, 28, 0,
    ]);
    let piece = prop_oneof![
        kind.prop_map(|kind| kind.to_be_bytes().to_vec()),
        proptest::collection::vec(any::<u8>(), 0..7),
        Just(IPV4.to_vec()),
        Just(ipv6()),
        Just(vec![0xaa, 0xaa, 3, 0, 0, 0]),
    ];
    (any::<[u8; 12]>(), proptest::collection::vec(piece, 0..12))
        .prop_map(|(macs, pieces)| [macs.to_vec(), pieces.concat()].concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn both_directions_meet(
        source in any::<[u8; 4]>(), destination in any::<[u8; 4]>(), ports in any::<(u16, u16)>(),
        source6 in any::<[u8; 16]>(), destination6 in any::<[u8; 16]>(), vlan in 0..4096u16,
    ) {
        let vlan = etherparse::VlanId::try_new(vlan).unwrap();
        let frame = |macs: [[u8; 6]; 2], ip: [[u8; 4]; 2], ports: (u16, u16)| {
            let mut frame = Vec::new();
            PacketBuilder::ethernet2(macs[0], macs[1]).single_vlan(vlan).ipv4(ip[0], ip[1], 64).udp(ports.0, ports.1)
                .write(&mut frame, b"payload").unwrap();
            frame
        };
        let there = frame([[1; 6], [2; 6]], [source, destination], ports);
        let back = frame([[2; 6], [1; 6]], [destination, source], (ports.1, ports.0));
        prop_assert_eq!(partition_key(&sensor(), 1, &there), partition_key(&sensor(), 1, &back));
        prop_assert_eq!(Some(partition_key(&sensor(), 1, &there)), expected_by_etherparse(&there));

        let frame = |macs: [[u8; 6]; 2], ip: [[u8; 16]; 2]| {
            let mut frame = Vec::new();
            PacketBuilder::ethernet2(macs[0], macs[1]).ipv6(ip[0], ip[1], 64).tcp(ports.0, ports.1, 1, 1)
                .write(&mut frame, b"").unwrap();
            frame
        };
        let there = frame([[1; 6], [2; 6]], [source6, destination6]);
        let back = frame([[2; 6], [1; 6]], [destination6, source6]);
        prop_assert_eq!(partition_key(&sensor(), 1, &there), partition_key(&sensor(), 1, &back));
        prop_assert_eq!(Some(partition_key(&sensor(), 1, &there)), expected_by_etherparse(&there));
    }

    #[test]
    fn swapped_mac_pairs_meet(macs in any::<[[u8; 6]; 2]>()) {
        let arp = [8, 6, 0, 1];
        prop_assert_eq!(key(1, &[&macs[0], &macs[1], &arp]), key(1, &[&macs[1], &macs[0], &arp]));
    }

    #[test]
    fn where_etherparse_finds_addresses_the_key_is_theirs(frame in frames()) {
        if let Some(expected) = expected_by_etherparse(&frame) {
            prop_assert_eq!(partition_key(&sensor(), 1, &frame), expected);
        }
    }

    #[test]
    fn any_bytes_give_a_key(link_type in prop_oneof![0..300u16, any::<u16>()], frame in frames(), cut in 0..120usize) {
        partition_key(&sensor(), link_type, &frame[cut.min(frame.len())..]);
        partition_key(&sensor(), link_type, &frame[..cut.min(frame.len())]);
    }
}
