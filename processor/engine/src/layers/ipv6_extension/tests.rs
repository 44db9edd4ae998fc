use weir_contract::record;

use crate::testing;

/// UDP from port 1 to port 2.
const UDP: [u8; 8] = [0, 1, 0, 2, 0, 8, 0, 0];

fn address(last: u8) -> [u8; 16] {
    [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]
}

fn decode(header_type: u8, payload: &[u8]) -> testing::Records {
    testing::decode(testing::ETHERNET, &[testing::ipv6(header_type, payload)])
}

fn the_record(records: &testing::Records) -> record::Ipv6Extension {
    records.of().remove(0)
}

#[test]
fn destination_options_are_listed() {
    // UDP next, 24 bytes: padding, home address.
    let payload = [&[17, 2, 1, 2, 0, 0, 0xc9, 16][..], &address(9), &UDP].concat();
    let records = decode(60, &payload);
    let header = the_record(&records);
    assert_eq!((header.header_type_name.as_str(), header.header_bytes, header.next_header), ("ipv6-opts", 24, 17));
    let names: Vec<_> = header.options.iter().map(|option| option.name.as_str()).collect();
    assert_eq!(names, ["padn", "home-address"]);
    assert_eq!(records.of::<record::Udp>().len(), 1);
    assert_eq!(records.weirds(), Vec::<String>::new());
}

#[test]
fn a_source_route_lists_addresses() {
    // UDP next, 2 addresses, type 0, 1 segment left.
    let payload = [&[17, 4, 0, 1, 0, 0, 0, 0][..], &address(1), &address(2), &UDP].concat();
    let header = the_record(&decode(43, &payload));
    assert_eq!((header.routing_type, header.routing_type_name.as_str()), (Some(0), "source-route"));
    assert_eq!(
        (header.segments_left, &header.addresses[..]),
        (Some(1), &["2001:db8::1", "2001:db8::2"].map(str::to_owned)[..])
    );
}

#[test]
fn a_checksum_behind_a_routing_header_covers_the_last_destination() {
    // Segment routing to 2001:db8::2 by way of 2001:db8::1: the last segment comes first.
    let udp = |checksum: u16| {
        let [high, low] = checksum.to_be_bytes();
        [&[17, 4, 4, 1, 1, 0, 0, 0][..], &address(2), &address(1), &[0, 1, 0, 2, 0, 8, high, low]].concat()
    };
    // Over fe80::1, 2001:db8::2, length 8, protocol 17 and the header.
    let words: u32 = 0xfe80 + 1 + 0x2001 + 0xdb8 + 2 + 8 + 17 + 1 + 2 + 8;
    let checksum = !u16::try_from((words & 0xffff) + (words >> 16)).unwrap();
    let records = decode(43, &udp(checksum));
    assert_eq!(records.of::<record::Udp>()[0].checksum_ok, Some(true));
    assert_eq!(the_record(&records).routing_type_name, "segment-routing");
    assert_eq!(decode(43, &udp(checksum ^ 1)).of::<record::Udp>()[0].checksum_ok, Some(false));
}

#[test]
fn a_checksum_behind_a_home_address_covers_it() {
    let udp = |checksum: u16| {
        let [high, low] = checksum.to_be_bytes();
        [&[17, 2, 1, 2, 0, 0, 0xc9, 16][..], &address(9), &[0, 1, 0, 2, 0, 8, high, low]].concat()
    };
    // Over 2001:db8::9, fe80::2, length 8, protocol 17 and the header.
    let words: u32 = 0x2001 + 0xdb8 + 9 + 0xfe80 + 2 + 8 + 17 + 1 + 2 + 8;
    let checksum = !u16::try_from((words & 0xffff) + (words >> 16)).unwrap();
    assert_eq!(decode(60, &udp(checksum)).of::<record::Udp>()[0].checksum_ok, Some(true));
    assert_eq!(decode(60, &udp(checksum ^ 1)).of::<record::Udp>()[0].checksum_ok, Some(false));
}

#[test]
fn a_segment_routing_header_has_its_fields_and_tlvs() {
    // UDP next, one segment, last entry 0, flags 8, tag 0x1234; padding of 6 bytes.
    let payload = [&[17, 3, 4, 0, 0, 8, 0x12, 0x34][..], &address(1), &[4, 6, 0, 0, 0, 0, 0, 0], &UDP].concat();
    let header = the_record(&decode(43, &payload));
    assert_eq!((header.last_entry, header.segment_flags, header.segment_tag), (Some(0), Some(8), Some(0x1234)));
    assert_eq!((header.addresses.len(), header.options[0].name.as_str()), (1, "padn"));
}

#[test]
fn compressed_addresses_are_completed_from_the_destination() {
    // RPL: 15 octets left out of all, padding of 6: two addresses in two bytes.
    let payload = [&[17, 1, 3, 2, 0xff, 0x60, 0, 0][..], &[7, 8, 0, 0, 0, 0, 0, 0], &UDP].concat();
    let header = the_record(&decode(43, &payload));
    assert_eq!(header.addresses, ["fe80::7", "fe80::8"]);
}

#[test]
fn mobility_ends_the_packet_and_is_a_flow_of_its_own() {
    // No next header, binding update, checksum 0x1234.
    let records = decode(135, &[59, 1, 5, 0, 0x12, 0x34, 0, 1, 0, 0, 0, 4, 1, 2, 0, 0]);
    let header = the_record(&records);
    assert_eq!((header.message_type, header.message_type_name.as_str()), (Some(5), "binding-update"));
    assert_eq!(header.checksum, Some(0x1234));
    assert_eq!(records.of::<record::Connection>()[0].ip_protocol, 135);
    assert_eq!(records.weirds(), Vec::<String>::new());
    let records = decode(135, &[17, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(records.weirds(), ["ipv6_extension Unexpected: a header follows that may not"]);
}

#[test]
fn host_identities_are_read_over_both_versions_of_ip() {
    // No next header, 40 bytes, I1, version 2.
    let payload = [&[59, 4, 1, 0x21, 0, 0, 0, 0][..], &address(1), &address(2)].concat();
    let frames = [testing::ipv6(139, &payload), testing::ipv4(139, &payload)];
    let records = testing::decode(testing::ETHERNET, &frames);
    for header in records.of::<record::Ipv6Extension>() {
        assert_eq!((header.header_type_name.as_str(), header.message_type_name.as_str()), ("hip", "i1"));
        assert_eq!(header.sender_host_identity, "2001:db8::1");
        assert_eq!(header.receiver_host_identity, "2001:db8::2");
    }
    assert_eq!(records.of::<record::Connection>().len(), 2);
    assert_eq!(records.weirds(), Vec::<String>::new());
}

#[test]
fn shim6_tells_payload_from_control() {
    let records = decode(140, &[&[17, 0, 0x80, 0, 0, 0, 1, 2][..], &UDP].concat());
    assert_eq!(the_record(&records).context_tag, Some(0x102));
    assert_eq!(records.of::<record::Connection>()[0].ip_protocol, 17);
    let header = the_record(&decode(140, &[59, 0, 1, 0, 0x12, 0x34, 0, 0]));
    assert_eq!((header.message_type_name.as_str(), header.checksum, header.context_tag), ("i1", Some(0x1234), None));
}

#[test]
fn lists_end_at_100() {
    let mut payload = vec![17, 255, 0, 0, 0, 0, 0, 0];
    payload.resize(2048, 1);
    let records = decode(43, &payload);
    assert_eq!(the_record(&records).addresses.len(), 100);
    assert_eq!(records.weirds()[0], "ipv6_extension Limit: more than 100 addresses");
}

#[test]
fn every_cut_of_every_header_is_survived() {
    let source_route = [&[17, 2, 0, 1, 0, 0, 0, 0][..], &address(1)].concat();
    let segments = [&[17, 2, 4, 1, 0, 0, 0, 0][..], &address(1)].concat();
    let rpl = [17, 1, 3, 2, 0xff, 0x60, 0, 0, 7, 8, 0, 0, 0, 0, 0, 0].to_vec();
    let hip = [&[59, 4, 1, 0x21, 0, 0, 0, 0][..], &address(1), &address(2)].concat();
    let headers = [(43, source_route), (43, segments), (43, rpl), (139, hip), (140, vec![17, 0, 0x80, 0, 0, 0, 1, 2])];
    for (header_type, header) in headers {
        for length in 0..header.len() {
            let records = decode(header_type, &header[..length]);
            let weirds = records.weirds();
            assert!(weirds.iter().all(|weird| weird == "ipv6_extension Truncated: ends before its fields do"));
            assert_eq!(weirds.len(), 1, "{header_type} {length}");
        }
    }
}
