//! In which packets a layer was found, by us and by tshark.

use std::collections::BTreeSet;

use crate::decoded::Decoded;
use crate::expected::Expected;
use crate::explained::Difference;
use crate::value;

/// A layer: what tshark calls it, and the record types of which each packet that holds it has one;
/// with `type flavour` of that flavour.
pub struct Layer {
    pub name: &'static str,
    pub protocols: &'static [&'static str],
    pub records: &'static [&'static str],
}

/// The layers that are counted.
pub const LAYERS: &[Layer] = &[
    Layer { name: "eth", protocols: &["eth"], records: &["ethernet"] },
    Layer { name: "vlan", protocols: &["vlan", "ieee8021ad"], records: &["vlan"] },
    Layer { name: "macsec", protocols: &["macsec"], records: &["mac_sec"] },
    Layer { name: "sll", protocols: &["sll"], records: &["linux_sll"] },
    Layer { name: "null", protocols: &["null"], records: &["loopback"] },
    Layer { name: "llc", protocols: &["llc"], records: &["llc"] },
    Layer { name: "mpls", protocols: &["mpls"], records: &["mpls"] },
    Layer { name: "arp", protocols: &["arp"], records: &["arp"] },
    Layer { name: "ip", protocols: &["ip"], records: &["ipv4"] },
    Layer { name: "ipv6", protocols: &["ipv6"], records: &["ipv6"] },
    Layer { name: "hop_by_hop", protocols: &["ipv6.hopopts"], records: &["ipv6_hop_by_hop"] },
    Layer {
        name: "extension",
        protocols: &["ipv6.dstopts", "ipv6.routing", "mipv6", "hip", "shim6"],
        records: &["ipv6_extension"],
    },
    Layer { name: "fragment", protocols: &["ipv6.fraghdr"], records: &["ipv6_fragment"] },
    Layer { name: "icmp", protocols: &["icmp"], records: &["icmpv4"] },
    Layer { name: "icmpv6", protocols: &["icmpv6"], records: &["icmpv6"] },
    Layer { name: "igmp", protocols: &["igmp"], records: &["igmp"] },
    Layer { name: "tcp", protocols: &["tcp"], records: &["tcp"] },
    Layer { name: "udp", protocols: &["udp"], records: &["udp"] },
    Layer { name: "sctp", protocols: &["sctp"], records: &["sctp"] },
    Layer { name: "gre", protocols: &["gre"], records: &["gre"] },
    Layer { name: "vxlan", protocols: &["vxlan"], records: &["vxlan"] },
    Layer { name: "geneve", protocols: &["geneve"], records: &["geneve"] },
    Layer { name: "gtp", protocols: &["gtp"], records: &["gtp_u"] },
    Layer { name: "dns", protocols: &["dns"], records: &["dns dns"] },
    Layer { name: "mdns", protocols: &["mdns"], records: &["dns mdns"] },
    Layer { name: "llmnr", protocols: &["llmnr"], records: &["dns llmnr"] },
    Layer { name: "nbns", protocols: &["nbns"], records: &["dns nbns"] },
    Layer { name: "ntp", protocols: &["ntp"], records: &["ntp"] },
    Layer { name: "dhcp", protocols: &["dhcp"], records: &["dhcpv4"] },
    Layer { name: "dhcpv6", protocols: &["dhcpv6"], records: &["dhcpv6"] },
    Layer { name: "snmp", protocols: &["snmp"], records: &["snmp"] },
    Layer { name: "syslog", protocols: &["syslog"], records: &["syslog"] },
    Layer { name: "tftp", protocols: &["tftp"], records: &["tftp"] },
];

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
        let ours: BTreeSet<u64> = decoded.frames(layer.records);
        let theirs: BTreeSet<u64> = expected.frames(layer.protocols).into_iter().collect();
        if ours == theirs || (!same_frames && ours.len() == theirs.len()) {
            continue;
        }
        let show = |frames: Vec<&u64>| {
            let few = frames.iter().take(EXAMPLES).map(|&&frame| example(frame, expected, decoded));
            few.collect::<Vec<_>>().join(", ")
        };
        let missing = show(theirs.difference(&ours).collect());
        let extra = show(ours.difference(&theirs).collect());
        let counts = counts(file, layer.name, ours.len(), theirs.len());
        found.push((counts, format!("only tshark: {missing}; only ours: {extra}")));
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
