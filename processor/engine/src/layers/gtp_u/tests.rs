use weir_contract::record::{Connection, GtpU, Ipv4, Ipv6, Tunnel};

use crate::testing::{self, Records};

fn inner_packet() -> Vec<u8> {
    testing::packet_of(&testing::udp(1000, 2000, b"payload")).to_vec()
}

/// A message: flags, type, what follows the TEID 1234.
fn frame(flags: u8, message_type: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    let header = [flags, message_type, length[0], length[1], 0, 0, 0x12, 0x34];
    testing::udp(2152, 2152, &[&header[..], rest].concat())
}

fn decode(flags: u8, message_type: u8, rest: &[u8]) -> Records {
    testing::decode(testing::ETHERNET, &[frame(flags, message_type, rest)])
}

#[test]
fn a_packet_of_a_user() {
    let records = decode(0x30, 255, &inner_packet());
    let [gtp] = &records.of::<GtpU>()[..] else { panic!("one message") };
    assert_eq!((gtp.message_type, gtp.message_name.as_str(), gtp.length_bytes), (255, "g_pdu", 35));
    assert_eq!((gtp.teid, gtp.sequence, gtp.npdu_number, gtp.payload_bytes), (0x1234, None, None, 35));
    assert_eq!(records.of::<Ipv4>().len(), 2);
    let tunnel = &records.of::<Tunnel>()[0];
    assert_eq!(
        (tunnel.kind.as_str(), tunnel.identifier, tunnel.inner_protocol.as_str()),
        ("gtp_u", Some(0x1234), "ipv4")
    );
}

#[test]
fn a_packet_of_ipv6() {
    let records = decode(0x30, 255, testing::packet_of(&testing::ipv6(59, &[])));
    assert_eq!(records.of::<Tunnel>()[0].inner_protocol, "ipv6");
    assert_eq!(records.of::<Ipv6>()[0].meta.as_ref().unwrap().tunnel_depth, 1);
}

#[test]
fn both_directions_of_a_connection_meet_whatever_their_endpoints() {
    let mut answer = testing::packet_of(&testing::udp_back(2000, 1000, b"answer")).to_vec();
    let mut frames = vec![frame(0x30, 255, &inner_packet())];
    let length = u8::try_from(answer.len()).unwrap();
    let mut message = vec![0x30, 255, 0, length, 0, 0, 0x56, 0x78];
    message.append(&mut answer);
    frames.push(testing::udp_back(2152, 2152, &message));
    let connections = testing::decode(testing::ETHERNET, &frames).of::<Connection>();
    let packets: Vec<_> =
        connections.iter().map(|connection| (connection.orig_packets, connection.resp_packets)).collect();
    assert_eq!(packets, [(1, 1), (1, 1)]);
}

#[test]
fn extension_headers_come_before_the_packet() {
    // A PDU session container of an uplink packet of QoS flow 9, then a UDP port.
    let rest = [&[0, 7, 0, 0x85, 1, 0x10, 9, 0x40, 1, 0x12, 0x34, 0][..], &inner_packet()].concat();
    let records = decode(0x36, 255, &rest);
    let gtp = &records.of::<GtpU>()[0];
    assert_eq!((gtp.sequence, gtp.npdu_number, gtp.pdu_type, gtp.qos_flow_id), (Some(7), None, Some(1), Some(9)));
    let extensions: Vec<_> =
        gtp.extension_headers.iter().map(|extension| (extension.name.as_str(), &extension.data[..])).collect();
    assert_eq!(extensions, [("pdu_session_container", &[0x10, 9][..]), ("udp_port", &[0x12, 0x34])]);
    assert_eq!(records.of::<Ipv4>().len(), 2);
}

#[test]
fn endless_extension_headers_are_bounded() {
    let rest = [&[0, 0, 0, 0x40][..], &[1, 0, 0, 0x40].repeat(50)].concat();
    let mut header = vec![0x34, 255, 0, 204, 0, 0, 0, 1];
    header.extend(&rest);
    let records = testing::decode(testing::ETHERNET, &[testing::udp(2152, 2152, &header)]);
    assert_eq!(records.of::<GtpU>()[0].extension_headers.len(), 16);
    assert_eq!(records.weirds(), ["gtp_u Limit: too many extension headers"]);

    let records = decode(0x34, 255, &[0, 0, 0, 0x40, 0, 0, 0, 0]);
    assert_eq!(records.weirds(), ["gtp_u BadLength: extension header of no length"]);
    assert!(records.of::<GtpU>()[0].truncated);
}

#[test]
fn messages_about_the_path_have_elements() {
    let echo = decode(0x32, 2, &[0, 1, 0, 0, 14, 5]).of::<GtpU>();
    assert_eq!((echo[0].message_name.as_str(), echo[0].sequence), ("echo_response", Some(1)));
    let elements: Vec<_> = echo[0].elements.iter().map(|element| (element.name.as_str(), &element.data[..])).collect();
    assert_eq!(elements, [("recovery", &[5][..])]);

    let error = decode(0x32, 26, &[0, 0, 0, 0, 16, 0, 0, 0x12, 0x34, 133, 0, 4, 10, 0, 0, 2]).of::<GtpU>();
    let names: Vec<_> = error[0].elements.iter().map(|element| element.name.as_str()).collect();
    assert_eq!(names, ["teid_data", "peer_address"]);
}

#[test]
fn elements_that_lie_are_weird() {
    let records = decode(0x32, 26, &[0, 0, 0, 0, 133, 0, 9, 10]);
    assert_eq!(records.weirds(), ["gtp_u Truncated: ends in an information element"]);
    assert!(records.of::<GtpU>()[0].truncated);
    let records = decode(0x32, 26, &[0, 0, 0, 0, 99, 0]);
    assert_eq!(records.weirds(), ["gtp_u BadValue: information element of unknown length"]);
    let records = decode(0x30, 1, &[14, 1].repeat(150));
    assert_eq!(records.of::<GtpU>()[0].elements.len(), 100);
    assert_eq!(records.weirds(), ["gtp_u Limit: too many information elements"]);
}

#[test]
fn a_session_need_not_carry_ip() {
    let records = decode(0x30, 255, &[0, 1, 2, 3]);
    assert_eq!(records.of::<GtpU>()[0].payload_bytes, 4);
    assert!(records.of::<Tunnel>().is_empty());
    assert_eq!(records.weirds(), Vec::<String>::new());
}

#[test]
fn a_port_proves_nothing() {
    let packet = inner_packet();
    for flags in [0x50, 0x20, 0x38] {
        assert!(decode(flags, 255, &packet).of::<GtpU>().is_empty(), "flags {flags:x}");
    }
    assert!(decode(0x30, 99, &packet).of::<GtpU>().is_empty(), "a message of the control plane");
    let mut lying = frame(0x30, 1, &[]);
    lying[45] = 9;
    assert!(testing::decode(testing::ETHERNET, &[lying]).of::<GtpU>().is_empty(), "a length that does not fit");
}

#[test]
fn a_message_cut_anywhere_is_read_as_far_as_it_goes() {
    let rest = [&[0, 7, 0, 0x85, 1, 0x10, 9, 0][..], &inner_packet()].concat();
    for (length, records) in testing::decode_cut_everywhere(&frame(0x36, 255, &rest)).iter().enumerate() {
        // The packet's first nibble shows what the length no longer does.
        assert_eq!(records.of::<GtpU>().len(), usize::from(length > 42 + 8 + 8), "{length} bytes");
    }
}
