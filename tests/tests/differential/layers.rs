//! In which packets a layer was found, by us and by tshark.

use std::collections::{BTreeMap, BTreeSet};

use crate::decoded::Decoded;
use crate::expected::Expected;
use crate::explained::Difference;
use crate::value;

/// A layer: what tshark calls it, and the record type of which each packet that holds it has one;
/// with `type flavour` of that flavour.
pub struct Layer {
    pub name: &'static str,
    pub protocols: &'static [&'static str],
    pub record: &'static str,
}

/// The layers that are counted.
pub const LAYERS: &[Layer] = &[
    Layer { name: "eth", protocols: &["eth"], record: "ethernet" },
    Layer { name: "vlan", protocols: &["vlan", "ieee8021ad"], record: "vlan" },
    Layer { name: "macsec", protocols: &["macsec"], record: "mac_sec" },
    Layer { name: "sll", protocols: &["sll"], record: "linux_sll" },
    Layer { name: "null", protocols: &["null"], record: "loopback" },
    Layer { name: "llc", protocols: &["llc"], record: "llc" },
    Layer { name: "mpls", protocols: &["mpls"], record: "mpls" },
    Layer { name: "arp", protocols: &["arp"], record: "arp" },
    Layer { name: "ip", protocols: &["ip"], record: "ipv4" },
    Layer { name: "ipv6", protocols: &["ipv6"], record: "ipv6" },
    Layer { name: "hop_by_hop", protocols: &["ipv6.hopopts"], record: "ipv6_hop_by_hop" },
    Layer {
        name: "extension",
        protocols: &["ipv6.dstopts", "ipv6.routing", "mipv6", "hip", "shim6"],
        record: "ipv6_extension",
    },
    Layer { name: "fragment", protocols: &["ipv6.fraghdr"], record: "ipv6_fragment" },
    Layer { name: "icmp", protocols: &["icmp"], record: "icmpv4" },
    Layer { name: "icmpv6", protocols: &["icmpv6"], record: "icmpv6" },
    Layer { name: "igmp", protocols: &["igmp"], record: "igmp" },
    Layer { name: "tcp", protocols: &["tcp"], record: "tcp" },
    Layer { name: "udp", protocols: &["udp"], record: "udp" },
    Layer { name: "sctp", protocols: &["sctp"], record: "sctp" },
    Layer { name: "gre", protocols: &["gre"], record: "gre" },
    Layer { name: "vxlan", protocols: &["vxlan"], record: "vxlan" },
    Layer { name: "geneve", protocols: &["geneve"], record: "geneve" },
    Layer { name: "gtp", protocols: &["gtp"], record: "gtp_u" },
    Layer { name: "dns", protocols: &["dns"], record: "dns dns" },
    Layer { name: "mdns", protocols: &["mdns"], record: "dns mdns" },
    Layer { name: "llmnr", protocols: &["llmnr"], record: "dns llmnr" },
    Layer { name: "nbns", protocols: &["nbns"], record: "dns nbns" },
    Layer { name: "ntp", protocols: &["ntp"], record: "ntp" },
    Layer { name: "dhcp", protocols: &["dhcp"], record: "dhcpv4" },
    Layer { name: "dhcpv6", protocols: &["dhcpv6"], record: "dhcpv6" },
    Layer { name: "snmp", protocols: &["snmp"], record: "snmp" },
    Layer { name: "syslog", protocols: &["syslog"], record: "syslog" },
    Layer { name: "tftp", protocols: &["tftp"], record: "tftp" },
];

/// Layers that one packet may hold several times: where both found them, they found as many, in the file
/// in all. tshark names other layers twice where it reads them by two dissectors.
const NESTED: &[&str] =
    &["eth", "vlan", "ip", "ipv6", "extension", "fragment", "tcp", "udp", "gre", "vxlan", "geneve", "gtp"];

/// Frames shown of those that only one side found the layer in.
const EXAMPLES: usize = 40;

/// Layers found in other packets than tshark found them in, each with packets that show it. Where not
/// even the packets are the same, only their numbers are compared.
pub fn differences(file: &str, expected: &Expected, decoded: &Decoded) -> Vec<(Difference, String)> {
    let mut found = Vec::new();
    let same_frames = decoded.packets == expected.packets;
    if !same_frames {
        found.push((counts(file, "packets", decoded.packets, expected.packets), expected.note.clone()));
    }
    for layer in LAYERS {
        let ours = decoded.occurrences(layer.record);
        let theirs = expected.occurrences(layer.protocols);
        let show = |frames: &mut dyn Iterator<Item = &u64>| {
            let few = frames.take(EXAMPLES).map(|&frame| example(frame, expected, decoded));
            few.collect::<Vec<_>>().join(", ")
        };
        let frames = |side: &BTreeMap<u64, usize>| side.keys().copied().collect::<BTreeSet<_>>();
        if ours.len() != theirs.len() || same_frames && frames(&ours) != frames(&theirs) {
            let missing = show(&mut theirs.keys().filter(|frame| !ours.contains_key(frame)));
            let extra = show(&mut ours.keys().filter(|frame| !theirs.contains_key(frame)));
            let counts = counts(file, layer.name, ours.len(), theirs.len());
            found.push((counts, format!("only tshark: {missing}; only ours: {extra}")));
        }
        if !same_frames || !NESTED.contains(&layer.name) {
            continue;
        }
        let common = || ours.iter().filter_map(|(frame, ours)| Some((frame, ours, theirs.get(frame)?)));
        let unlike = show(&mut common().filter(|(_, ours, theirs)| ours != theirs).map(|(frame, ..)| frame));
        if !unlike.is_empty() {
            let nested = format!("{} in all", layer.name);
            let (ours, theirs) = (common().map(|(_, ours, _)| ours).sum(), common().map(|(_, _, theirs)| theirs).sum());
            found.push((counts::<usize>(file, &nested, ours, theirs), format!("unlike: {unlike}")));
        }
    }
    found
}

fn counts<N: ToString>(file: &str, layer: &str, ours: N, tsharks: N) -> Difference {
    Difference::new(file, layer, &ours.to_string(), &tsharks.to_string())
}

/// What tshark makes of a frame, and what we complain about.
fn example(frame: u64, expected: &Expected, decoded: &Decoded) -> String {
    let mut text = format!("{frame} {}", expected.path_of(frame));
    for weird in decoded.records_of("weird", frame) {
        let of = |field| value::of_record(&weird, field).unwrap_or_default();
        text += &format!(" ({}: {} at {})", of("layer"), of("detail"), of("offset_bytes"));
    }
    text
}
