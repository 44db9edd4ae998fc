//! Fields of link, network and transport headers, ours and tshark's.

use std::collections::BTreeMap;

use prost_reflect::DynamicMessage;

use crate::decoded::Decoded;
use crate::expected::{Expected, Fields};
use crate::explained::Difference;
use crate::value;

/// A protocol of tshark's, our record type, and which of its fields is which of ours.
struct Header {
    protocol: &'static str,
    record: &'static str,
    fields: &'static [(&'static str, &'static str)],
}

const HEADERS: &[Header] = &[
    Header {
        protocol: "eth",
        record: "ethernet",
        fields: &[("src", "src_mac"), ("dst", "dst_mac"), ("type", "ether_type"), ("len", "length_bytes")],
    },
    Header {
        protocol: "vlan",
        record: "vlan",
        fields: &[
            ("id", "vlan_id"),
            ("priority", "priority"),
            ("dei", "drop_eligible"),
            ("etype", "ether_type"),
            ("len", "length_bytes"),
        ],
    },
    Header {
        protocol: "arp",
        record: "arp",
        fields: &[
            ("hw.type", "hardware_type"),
            ("proto.type", "protocol_type"),
            ("opcode", "operation"),
            ("src.hw_mac", "sender_hardware_address"),
            ("src.proto_ipv4", "sender_protocol_address"),
            ("dst.hw_mac", "target_hardware_address"),
            ("dst.proto_ipv4", "target_protocol_address"),
        ],
    },
    Header {
        protocol: "ip",
        record: "ipv4",
        fields: &[
            ("version", "version"),
            ("hdr_len", "header_bytes"),
            ("dsfield.dscp", "dscp"),
            ("dsfield.ecn", "ecn"),
            ("len", "total_bytes"),
            ("id", "identification"),
            ("flags.df", "dont_fragment"),
            ("flags.mf", "more_fragments"),
            ("frag_offset", "fragment_offset_bytes"),
            ("ttl", "ttl"),
            ("proto", "protocol"),
            ("checksum", "checksum"),
            ("src", "meta.src_ip"),
            ("dst", "meta.dst_ip"),
        ],
    },
    Header {
        protocol: "ipv6",
        record: "ipv6",
        fields: &[
            ("tclass", "dscp"),
            ("tclass", "ecn"),
            ("flow", "flow_label"),
            ("plen", "payload_length_bytes"),
            ("nxt", "next_header"),
            ("hlim", "hop_limit"),
            ("src", "meta.src_ip"),
            ("dst", "meta.dst_ip"),
        ],
    },
    Header {
        protocol: "icmp",
        record: "icmpv4",
        fields: &[
            ("type", "type"),
            ("code", "code"),
            ("checksum", "checksum"),
            ("ident", "identifier"),
            ("seq", "sequence"),
        ],
    },
    Header {
        protocol: "icmpv6",
        record: "icmpv6",
        fields: &[
            ("type", "type"),
            ("code", "code"),
            ("checksum", "checksum"),
            ("echo.identifier", "identifier"),
            ("echo.sequence_number", "sequence"),
        ],
    },
    Header {
        protocol: "igmp",
        record: "igmp",
        fields: &[("version", "version"), ("type", "type"), ("maddr", "first group group_records.group")],
    },
    Header {
        protocol: "tcp",
        record: "tcp",
        fields: &[
            ("srcport", "meta.src_port"),
            ("dstport", "meta.dst_port"),
            ("seq_raw", "sequence"),
            ("ack_raw", "acknowledgement"),
            ("hdr_len", "header_bytes"),
            ("flags", "bits fin syn rst psh ack urg ece cwr ae"),
            ("window_size_value", "window"),
            ("checksum", "checksum"),
            ("urgent_pointer", "urgent_pointer"),
            ("len", "payload_bytes"),
            ("option_kind", "option_kinds"),
            ("options.mss_val", "mss_bytes"),
            ("options.wscale.shift", "window_scale"),
            ("options.timestamp.tsval", "timestamp_value"),
            ("options.timestamp.tsecr", "timestamp_echo"),
        ],
    },
    Header {
        protocol: "udp",
        record: "udp",
        fields: &[
            ("srcport", "meta.src_port"),
            ("dstport", "meta.dst_port"),
            ("length", "length_bytes"),
            ("checksum", "checksum"),
        ],
    },
    Header {
        protocol: "sctp",
        record: "sctp",
        fields: &[
            ("srcport", "meta.src_port"),
            ("dstport", "meta.dst_port"),
            ("verification_tag", "verification_tag"),
            ("checksum", "checksum"),
            ("chunk_type", "chunks.type"),
            ("chunk_length", "chunks.length_bytes"),
        ],
    },
    Header {
        protocol: "mpls",
        record: "mpls",
        fields: &[
            ("label", "entries.label"),
            ("exp", "entries.traffic_class"),
            ("bottom", "entries.bottom"),
            ("ttl", "entries.ttl"),
        ],
    },
    Header {
        protocol: "gre",
        record: "gre",
        fields: &[("proto", "protocol"), ("key", "key"), ("sequence_number", "sequence")],
    },
    Header { protocol: "vxlan", record: "vxlan", fields: &[("vni", "vni")] },
    Header {
        protocol: "geneve",
        record: "geneve",
        fields: &[("version", "version"), ("proto_type", "protocol"), ("vni", "vni")],
    },
    Header {
        protocol: "gtp",
        record: "gtp_u",
        fields: &[("message", "message_type"), ("length", "length_bytes"), ("teid", "teid")],
    },
];

/// Fields of headers that we and tshark read differently. Headers that only one side found are a matter
/// of [`crate::layers`].
pub fn differences(file: &str, expected: &Expected, decoded: &Decoded) -> Vec<(Difference, String)> {
    let mut found = Vec::new();
    for header in HEADERS {
        let mut theirs: BTreeMap<u64, Vec<Fields>> = BTreeMap::new();
        for (frame, _, fields) in expected.headers.iter().filter(|(_, protocol, _)| protocol == header.protocol) {
            theirs.entry(*frame).or_default().push(fields.clone());
        }
        for (&frame, headers) in &mut theirs {
            // tshark has a header for each label of a stack, we have one record.
            if header.protocol == "mpls" {
                *headers = vec![headers.concat()];
            }
            let records = decoded.records_of(header.record, frame);
            // Of several such headers in a frame, the n-th is our n-th record, if both found them all.
            if records.len() != headers.len() {
                continue;
            }
            for (record, fields) in records.iter().zip(headers.iter()) {
                for (name, ours, tsharks) in unequal(header, record, fields) {
                    let layer = format!("{} {frame} {name}", header.protocol);
                    found.push((Difference::new(file, &layer, &ours, &tsharks), expected.path_of(frame)));
                }
            }
        }
    }
    found
}

/// Fields that tshark shows, and that we have another value of: their names and both values.
fn unequal(header: &Header, record: &DynamicMessage, fields: &Fields) -> Vec<(&'static str, String, String)> {
    let both = header.fields.iter().filter_map(|&(name, path)| {
        let shown = fields.iter().filter(|(field, _)| field == name).map(|(_, shown)| value::of_tshark(shown));
        let tsharks = in_our_terms(name, path, shown.collect())?;
        let ours = value::of_record(record, path).unwrap_or_default();
        Some((name, as_shown(name, ours), tsharks))
    });
    both.filter(|(_, ours, tsharks)| ours != tsharks).collect()
}

/// What we have of a field, without what tshark never shows: the kind of Multipath TCP's options.
fn as_shown(name: &str, ours: String) -> String {
    const MULTIPATH: &str = "30";
    if name != "option_kind" {
        return ours;
    }
    ours.split(',').filter(|kind| *kind != MULTIPATH).collect::<Vec<_>>().join(",")
}

/// What tshark shows of a field, said as we say it; `None` if it shows none.
fn in_our_terms(name: &str, path: &str, mut shown: Vec<String>) -> Option<String> {
    let number = shown.first()?.parse::<u64>().unwrap_or_default();
    Some(match name {
        "tclass" if path == "dscp" => (number >> 2).to_string(),
        "tclass" => (number & 3).to_string(),
        // In units of 8 bytes.
        "frag_offset" => (number * 8).to_string(),
        // With the three reserved bits.
        "flags" => (number & 0x1ff).to_string(),
        // With the padding behind the end of the options.
        "option_kind" => {
            let end = shown.iter().position(|kind| kind == "0");
            shown.truncate(end.map_or(shown.len(), |end| end + 1));
            shown.join(",")
        }
        _ => shown.join(","),
    })
}
