use weir_contract::record::{Connection, Ethernet, Gre, Ipv4, Tunnel, Unknown};

use crate::testing::{self, Records};

fn decode(header: &[u8], payload: &[u8]) -> Records {
    testing::decode(testing::ETHERNET, &[testing::ipv4(47, &[header, payload].concat())])
}

fn inner_frame() -> Vec<u8> {
    testing::udp(1000, 2000, b"payload")
}

fn inner_packet() -> Vec<u8> {
    testing::packet_of(&inner_frame()).to_vec()
}

fn gre(records: &Records) -> Gre {
    let [gre] = &records.of::<Gre>()[..] else { panic!("one header") };
    gre.clone()
}

fn tunnel(records: &Records) -> (String, Option<i64>, String) {
    let [tunnel] = &records.of::<Tunnel>()[..] else { panic!("one tunnel") };
    (tunnel.kind.clone(), tunnel.identifier, tunnel.inner_protocol.clone())
}

fn names(kind: &str, identifier: Option<i64>, inner: &str) -> (String, Option<i64>, String) {
    (kind.to_owned(), identifier, inner.to_owned())
}

#[test]
fn a_plain_header_names_its_payload() {
    let records = decode(&[0, 0, 8, 0], &inner_packet());
    let gre = gre(&records);
    assert_eq!((gre.version, gre.protocol, gre.protocol_name.as_str()), (0, 0x0800, "ipv4"));
    assert_eq!((gre.checksum, gre.key, gre.sequence, gre.payload_bytes), (None, None, None, 35));
    assert_eq!(tunnel(&records), names("gre", None, "ipv4"));
    assert_eq!(records.of::<Ipv4>().len(), 2);
}

#[test]
fn checksum_key_and_sequence() {
    // RFC 2890 §2: checksum and reserved, key, sequence number. The words of the header but the
    // checksum sum to b000 + 0800 + 0001 + 0002 + 0003 = b806, the payload to 4142.
    let header = [0xb0, 0, 8, 0, 0x06, 0xb7, 0, 0, 0, 1, 0, 2, 0, 0, 0, 3];
    let gre_record = gre(&decode(&header, b"AB"));
    assert_eq!((gre_record.key, gre_record.sequence), (Some(0x0001_0002), Some(3)));
    assert_eq!((gre_record.checksum, gre_record.checksum_ok), (Some(0x06b7), Some(true)));
    assert_eq!(gre(&decode(&header, b"AC")).checksum_ok, Some(false));
}

#[test]
fn source_routes_end_with_an_empty_entry() {
    // RFC 1701: an IPv4 entry with two addresses, the second one active.
    let entry = [8, 0, 4, 8, 10, 0, 0, 1, 10, 0, 0, 2];
    let header = [&[0x48, 0, 8, 0, 0, 0, 0, 8][..], &entry, &[0, 0, 0, 0]].concat();
    let records = decode(&header, &inner_packet());
    let gre = gre(&records);
    assert!(gre.strict_source_route);
    assert_eq!((gre.checksum, gre.route_offset_bytes), (None, Some(8)));
    let [route] = &gre.routes[..] else { panic!("one entry") };
    assert_eq!((route.address_family, route.offset_bytes, &route.data[..]), (0x0800, 4, &entry[4..]));
    assert_eq!(records.of::<Ipv4>().len(), 2);
}

#[test]
fn source_routes_without_end_are_bounded() {
    let entries = [0, 1, 0, 0].repeat(200);
    let header = [&[0x40, 0, 8, 0, 0, 0, 0, 0][..], &entries, &[0, 0, 0, 0]].concat();
    let records = decode(&header, &inner_packet());
    assert_eq!(gre(&records).routes.len(), 100);
    assert_eq!(records.weirds(), ["gre Limit: too many source route entries"]);
}

#[test]
fn a_key_of_a_virtual_subnet_is_nvgre() {
    // RFC 7637 §3.2: subnet 6001, flow 7f.
    let records = decode(&[0x20, 0, 0x65, 0x58, 0, 0x60, 0x01, 0x7f], &inner_frame());
    let header = gre(&records);
    assert_eq!((header.virtual_subnet_id, header.nvgre_flow_id), (Some(0x6001), Some(0x7f)));
    assert_eq!(tunnel(&records), names("nvgre", Some(0x6001), "ethernet"));
    assert_eq!(records.of::<Ethernet>().len(), 2);
    // The identifiers up to 4095 are reserved: this is bridged Ethernet with a key.
    let records = decode(&[0x20, 0, 0x65, 0x58, 0, 0, 1, 0x7f], &inner_frame());
    assert_eq!(gre(&records).virtual_subnet_id, None);
    assert_eq!(tunnel(&records), names("gre", Some(0x17f), "ethernet"));
}

#[test]
fn flows_are_told_apart_by_key() {
    let with_key = |key| testing::ipv4(47, &[&[0x20, 0, 8, 0, 0, 0, 0, key][..], &inner_packet()].concat());
    let records = testing::decode(testing::ETHERNET, &[with_key(1), with_key(2), with_key(1)]);
    let inner = records.of::<Connection>().into_iter().filter(|connection| connection.encapsulation == "gre");
    assert_eq!(
        inner.map(|inner| (inner.encapsulation_id, inner.orig_packets)).collect::<Vec<_>>(),
        [(Some(2), 1), (Some(1), 2)]
    );
}

#[test]
fn pptp_counts_its_payload() {
    // RFC 2637 §4.1: key, sequence and acknowledgement; 39 bytes of PPP for call 1234, then padding.
    let ppp = [&[0xff, 3, 0, 0x21][..], &inner_packet()].concat();
    let header = [0x30, 0x81, 0x88, 0x0b, 0, 39, 0x12, 0x34, 0, 0, 0, 5, 0, 0, 0, 6];
    let records = decode(&header, &[&ppp[..], &[0; 8]].concat());
    let header = gre(&records);
    assert_eq!((header.version, header.payload_length_bytes, header.call_id), (1, Some(39), Some(0x1234)));
    assert_eq!((header.sequence, header.acknowledgement, header.key), (Some(5), Some(6), None));
    assert_eq!((header.flags, header.payload_bytes), (0, 39));
    assert_eq!(tunnel(&records), names("pptp", Some(0x1234), "ppp"));
    assert_eq!(records.of::<Ipv4>().len(), 2);
    // An acknowledgement alone.
    let records = decode(&[0x20, 0x81, 0x88, 0x0b, 0, 0, 0x12, 0x34, 0, 0, 0, 6], &[]);
    assert_eq!((gre(&records).sequence, gre(&records).acknowledgement), (None, Some(6)));
    assert_eq!(records.weirds(), Vec::<String>::new());
}

#[test]
fn erspan_of_all_types() {
    let records = decode(&[0, 0, 0x88, 0xbe], &inner_frame());
    assert_eq!(gre(&records).erspan_type, Some(1));
    assert_eq!(tunnel(&records), names("erspan", None, "ethernet"));

    // Version 1, VLAN 100, class 5, encapsulation 3, truncated, session 7, index 66.
    let shim = [0x10, 0x64, 0xbc, 7, 0, 0, 0, 0x42];
    let records = decode(&[&[0x10, 0, 0x88, 0xbe, 0, 0, 0, 9][..], &shim].concat(), &inner_frame());
    let header = gre(&records);
    assert_eq!((header.erspan_type, header.erspan_version, header.erspan_vlan), (Some(2), Some(1), Some(100)));
    assert_eq!((header.erspan_class_of_service, header.erspan_encapsulation), (Some(5), Some(3)));
    assert_eq!((header.erspan_frame_truncated, header.erspan_session), (Some(true), Some(7)));
    assert_eq!((header.erspan_index, header.sequence), (Some(66), Some(9)));
    assert_eq!(tunnel(&records), names("erspan", Some(7), "ethernet"));
    assert_eq!(records.of::<Ethernet>().len(), 2);

    // Version 2, session 8, timestamp 5; group tag 2, frame, type Ethernet, hardware 3, egress,
    // granularity 2, and the optional header of platform 1.
    let shim = [0x20, 0x64, 0, 8, 0, 0, 0, 5, 0, 2, 0x80, 0x3d, 4, 0, 0, 0, 0, 0, 0, 6];
    let records = decode(&[&[0x10, 0, 0x22, 0xeb, 0, 0, 0, 9][..], &shim].concat(), &inner_frame());
    let header = gre(&records);
    assert_eq!((header.erspan_type, header.erspan_version, header.erspan_session), (Some(3), Some(2), Some(8)));
    assert_eq!((header.erspan_timestamp, header.erspan_security_group_tag), (Some(5), Some(2)));
    assert_eq!((header.erspan_is_frame, header.erspan_frame_type), (Some(true), Some(0)));
    assert_eq!((header.erspan_hardware_id, header.erspan_is_egress), (Some(3), Some(true)));
    assert_eq!((header.erspan_granularity, header.erspan_platform_id), (Some(2), Some(1)));
    assert_eq!(header.erspan_platform_info, Some(6));
    assert_eq!(records.of::<Ethernet>().len(), 2);
}

#[test]
fn wccp_redirects_with_and_without_a_header() {
    let records = decode(&[0, 0, 0x88, 0x3e, 0x80, 5, 1, 2], &inner_packet());
    assert_eq!(gre(&records).wccp_redirect, Some(0x8005_0102));
    assert_eq!(records.of::<Ipv4>().len(), 2);
    let records = decode(&[0, 0, 0x88, 0x3e], &inner_packet());
    assert_eq!(gre(&records).wccp_redirect, None);
    assert_eq!(records.of::<Ipv4>().len(), 2);
}

#[test]
fn other_payloads_are_unknown_and_no_tunnel() {
    let records = decode(&[0, 0, 0x20, 1], b"next hop resolution");
    let unknown = &records.of::<Unknown>()[0];
    assert_eq!((unknown.key.as_str(), unknown.value, unknown.layer.as_str()), ("ether_type", 0x2001, "gre"));
    assert_eq!(unknown.meta.as_ref().unwrap().uid, records.of::<Connection>()[0].meta.as_ref().unwrap().uid);
    assert!(records.of::<Tunnel>().is_empty());
    // A keepalive has no payload.
    assert!(decode(&[0, 0, 0, 0], &[]).of::<Unknown>().is_empty());
}

#[test]
fn gre_in_udp_has_few_forms() {
    let in_udp = |header: &[u8]| {
        let frame = testing::udp(50000, 4754, &[header, &inner_packet()].concat());
        testing::decode(testing::ETHERNET, &[frame]).of::<Gre>().len()
    };
    assert_eq!(in_udp(&[0x20, 0, 8, 0, 0, 0, 0, 1]), 1);
    assert_eq!(in_udp(&[0x40, 0, 8, 0, 0, 0, 0, 1]), 0);
    assert_eq!(in_udp(&[0, 0, 0x12, 0x34]), 0);
}

#[test]
fn versions_beyond_1_are_weird() {
    let records = decode(&[0, 2, 8, 0], &inner_packet());
    assert!(records.of::<Gre>().is_empty());
    assert_eq!(records.weirds(), ["gre BadVersion: version is neither 0 nor 1"]);
}

#[test]
fn a_header_is_read_whole_or_not_at_all() {
    let headers: [&[u8]; 4] = [
        &[0xb0, 0, 8, 0, 0, 0, 0, 0, 0, 1, 0, 2, 0, 0, 0, 3],
        &[0x30, 0x81, 0x88, 0x0b, 0, 39, 0x12, 0x34, 0, 0, 0, 5, 0, 0, 0, 6],
        &[0x40, 0, 8, 0, 0, 0, 0, 0, 8, 0, 0, 4, 1, 2, 3, 4, 0, 0, 0, 0],
        &[0, 0, 0x88, 0x3e],
    ];
    for header in headers {
        let frame = testing::ipv4(47, &[header, &inner_packet()].concat());
        for (length, records) in testing::decode_cut_everywhere(&frame).iter().enumerate() {
            assert_eq!(records.of::<Gre>().len(), usize::from(length >= 34 + header.len()), "{length} bytes");
        }
    }
}
