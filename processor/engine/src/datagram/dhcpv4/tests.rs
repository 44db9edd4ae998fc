use super::*;
use crate::{
    limits::LIST_MAX,
    testing::{self, udp, udp_back},
};

const MESSAGE_TYPE: u8 = 53;

fn option(code: u8, data: &[u8]) -> Vec<u8> {
    [&[code, u8::try_from(data.len()).unwrap()][..], data].concat()
}

/// A message with the options, `sname` and `file`.
fn message_with(operation: u8, options: &[Vec<u8>], sname: &[u8], file: &[u8]) -> Vec<u8> {
    let mut bytes = vec![operation, 1, 6, 0, 0x11, 0x22, 0x33, 0x44, 0, 3, 0x80, 0];
    bytes.extend([0; 4]);
    bytes.extend(if operation == REPLY { [10, 0, 0, 7] } else { [0; 4] });
    bytes.extend([0; 8]);
    bytes.extend([2, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    for (field, length) in [(sname, SERVER_NAME_BYTES), (file, BOOT_FILE_BYTES)] {
        let end = bytes.len() + length;
        bytes.extend(field);
        bytes.resize(end, 0);
    }
    bytes.extend(MAGIC_COOKIE);
    bytes.extend(options.concat());
    bytes.push(255);
    bytes
}

fn message(operation: u8, options: &[Vec<u8>]) -> Vec<u8> {
    message_with(operation, options, b"", b"")
}

fn decode_one(message: &[u8]) -> (record::Dhcpv4, Vec<String>) {
    let records = testing::decode(testing::ETHERNET, &[udp(68, 67, message)]);
    let mut messages = records.of::<record::Dhcpv4>();
    assert_eq!(messages.len(), 1);
    (messages.remove(0), records.weirds())
}

/// The one record of options that are well-formed.
fn read(options: &[Vec<u8>]) -> record::Dhcpv4 {
    let (dhcp, weirds) = decode_one(&message(REPLY, options));
    assert_eq!(weirds, Vec::<String>::new());
    dhcp
}

fn request() -> Vec<u8> {
    message(
        REQUEST,
        &[
            option(MESSAGE_TYPE, &[3]),
            option(61, &[1, 2, 0, 0, 0, 0, 1]),
            option(50, &[10, 0, 0, 7]),
            option(12, b"laptop\0"),
            option(81, b"\0\0\0Laptop.Example"),
            option(60, b"MSFT 5.0"),
            option(55, &[1, 3, 6, 15, 119]),
            option(57, &[5, 0xdc]),
        ],
    )
}

#[test]
fn a_request_tells_who_asks_for_what() {
    let (dhcp, weirds) = decode_one(&request());
    assert_eq!((dhcp.operation_name.as_str(), dhcp.hardware_type_name.as_str()), ("bootrequest", "ethernet"));
    assert_eq!((dhcp.client_mac.as_str(), dhcp.transaction_id), ("02:00:00:00:00:01", 0x1122_3344));
    assert_eq!((dhcp.elapsed_ns, dhcp.broadcast, dhcp.client_ip.as_str()), (3_000_000_000, true, ""));
    assert_eq!((dhcp.message_type, dhcp.message_type_name.as_str()), (Some(3), "request"));
    assert_eq!((dhcp.requested_ip.as_str(), dhcp.host_name.as_str()), ("10.0.0.7", "laptop"));
    assert_eq!((dhcp.fqdn.as_str(), dhcp.fqdn_flags), ("laptop.example", Some(0)));
    assert_eq!(
        (&dhcp.parameter_request_list[..], dhcp.fingerprint.as_str()),
        (&[1, 3, 6, 15, 119][..], "1,3,6,15,119")
    );
    assert_eq!((dhcp.client_id_type, &dhcp.client_id[..]), (Some(1), &[1, 2, 0, 0, 0, 0, 1][..]));
    assert_eq!((dhcp.vendor_class.as_str(), dhcp.max_message_bytes), ("MSFT 5.0", Some(1500)));
    let options: Vec<_> = dhcp.options.iter().map(|each| (each.code, each.name.as_str(), each.data.len())).collect();
    assert_eq!(options[..3], [(53, "message_type", 1), (61, "client_id", 7), (50, "requested_address", 4)]);
    assert_eq!((dhcp.options.len(), dhcp.response, dhcp.truncated, weirds), (8, false, false, vec![]));
}

#[test]
fn an_ack_gives_a_lease_and_knows_its_request() {
    let ack = message(
        REPLY,
        &[
            option(MESSAGE_TYPE, &[5]),
            option(54, &[10, 0, 0, 1]),
            option(51, &[0, 0, 0x0e, 0x10]),
            option(58, &[0, 0, 0x07, 0x08]),
            option(59, &[0xff, 0xff, 0xff, 0xff]),
            option(1, &[255, 255, 255, 0]),
            option(3, &[10, 0, 0, 1, 10, 0, 0, 2]),
            // RFC 3397 §2: "eng.apple.com", and "marketing" with a pointer to "apple.com".
            option(119, b"\x03eng\x05apple\x03com\0\x09marketing\xc0\x04"),
            // RFC 3442: 10.17.0.0/16 by 10.0.0.3, and a default route.
            option(121, &[16, 10, 17, 10, 0, 0, 3, 0, 10, 0, 0, 1]),
            option(33, &[192, 0, 2, 0, 10, 0, 0, 4]),
        ],
    );
    let frames = [udp(68, 67, &request()), udp_back(67, 68, &ack)];
    let records = testing::decode(testing::ETHERNET, &frames);
    let dhcp = records.of::<record::Dhcpv4>().remove(1);
    assert_eq!(
        (dhcp.message_type_name.as_str(), dhcp.your_ip.as_str(), dhcp.server_id.as_str()),
        ("ack", "10.0.0.7", "10.0.0.1")
    );
    assert_eq!((dhcp.lease_time_ns, dhcp.renewal_time_ns), (Some(3_600_000_000_000), Some(1_800_000_000_000)));
    assert_eq!(dhcp.rebinding_time_ns, Some(4_294_967_295_000_000_000));
    assert_eq!(
        (dhcp.subnet_mask.as_str(), dhcp.routers),
        ("255.255.255.0", vec!["10.0.0.1".to_owned(), "10.0.0.2".to_owned()])
    );
    assert_eq!(dhcp.domain_search, ["eng.apple.com", "marketing.apple.com"]);
    let routes: Vec<_> = dhcp.routes.iter().map(|route| (route.prefix.as_str(), route.router.as_str())).collect();
    assert_eq!(routes, [("10.17.0.0/16", "10.0.0.3"), ("0.0.0.0/0", "10.0.0.1"), ("192.0.2.0/24", "10.0.0.4")]);
    assert_eq!((dhcp.response, dhcp.request_seen, dhcp.response_time_ns), (true, true, Some(1_000_000)));
    assert_eq!(records.weirds(), Vec::<String>::new());
}

#[test]
fn an_offer_answers_a_discover_and_not_a_request() {
    let discover = message(REQUEST, &[option(MESSAGE_TYPE, &[1])]);
    let offer = message(REPLY, &[option(MESSAGE_TYPE, &[2])]);
    let frames = [udp(68, 67, &request()), udp_back(67, 68, &offer), udp(68, 67, &discover), udp_back(67, 68, &offer)];
    let records = testing::decode(testing::ETHERNET, &frames);
    let seen: Vec<_> = records.of::<record::Dhcpv4>().into_iter().map(|dhcp| dhcp.request_seen).collect();
    assert_eq!(seen, [false, false, false, true]);
}

/// RFC 2131 §4.1; the parts of an option are joined in the order of RFC 3396 §5.
#[test]
fn options_may_lie_in_the_fields_for_names() {
    let options = [option(52, &[3]), option(56, b"one ")];
    let sname = [option(56, b"three"), vec![255]].concat();
    let file = [option(56, b"two "), option(66, b"boot.example")].concat();
    let (dhcp, weirds) = decode_one(&message_with(REPLY, &options, &sname, &file));
    assert_eq!((dhcp.option_overload, dhcp.message.as_str()), (Some(3), "one two three"));
    assert_eq!((dhcp.server_name.as_str(), dhcp.boot_file.as_str()), ("boot.example", ""));
    assert_eq!((dhcp.options.len(), weirds), (3, vec![]));
}

#[test]
fn names_stand_in_their_fields_or_in_options() {
    let options = [option(66, b"other"), option(67, b"file\0")];
    let (dhcp, _) = decode_one(&message_with(REPLY, &options, b"server\0junk", b""));
    assert_eq!((dhcp.server_name.as_str(), dhcp.boot_file.as_str()), ("server", "file"));
}

/// RFC 3396: an option of more than 255 bytes comes in parts.
#[test]
fn the_parts_of_a_long_option_are_joined() {
    let first = [&[3; 4][..], &[7; 200]].concat();
    let dhcp = read(&[option(6, &first), option(1, &[255, 0, 0, 0]), option(6, &[9; 196])]);
    assert_eq!((dhcp.options.len(), dhcp.options[0].data.len()), (2, 400));
    assert_eq!((dhcp.dns_servers[0].as_str(), dhcp.dns_servers[99].as_str()), ("3.3.3.3", "9.9.9.9"));
}

#[test]
fn a_client_identifier_may_have_a_duid() {
    let dhcp = read(&[option(61, &[255, 0, 0, 0, 5, 0, 3, 0, 1, 2, 0, 0, 0, 0, 1])]);
    assert_eq!((dhcp.client_id_type, dhcp.client_iaid), (Some(255), Some(5)));
    assert_eq!(dhcp.client_duid.unwrap().mac, "02:00:00:00:00:01");
}

#[test]
fn a_relay_agent_tells_the_circuit() {
    let sub_options =
        [option(1, b"eth 1/2"), option(2, &[2, 0]), option(5, &[10, 1, 0, 0]), option(6, b"sub")].concat();
    let agent = read(&[option(82, &sub_options)]).relay_agent.unwrap();
    assert_eq!((agent.circuit_id.as_str(), agent.remote_id.as_str()), ("eth 1/2", "\\x02\\x00"));
    assert_eq!((agent.link_selection_ip.as_str(), agent.subscriber_id.as_str()), ("10.1.0.0", "sub"));
    assert_eq!((agent.sub_options.len(), agent.sub_options[0].name.as_str()), (4, "circuit_id"));
}

/// RFC 4578.
#[test]
fn a_booting_client_tells_its_machine() {
    let guid = [&[0][..], &[0x0a; 16]].concat();
    let dhcp = read(&[option(93, &[0, 7, 0, 0]), option(94, &[1, 3, 16]), option(97, &guid)]);
    assert_eq!(
        (dhcp.client_architectures, dhcp.client_architecture_names),
        (vec![7, 0], vec!["x64_uefi".to_owned(), "x86_bios".to_owned()])
    );
    assert_eq!(dhcp.network_interface_version, "3.16");
    assert_eq!(dhcp.machine_id, "0a0a0a0a-0a0a-0a0a-0a0a-0a0a0a0a0a0a");
}

#[test]
fn classes_are_lists_or_bare_texts() {
    assert_eq!(read(&[option(77, b"\x03abc\x02de")]).user_classes, ["abc", "de"]);
    assert_eq!(read(&[option(77, b"RRAS.Microsoft")]).user_classes, ["RRAS.Microsoft"]);
    let dhcp = read(&[option(124, b"\0\0\0\x09\x05phone"), option(125, b"\0\0\x0d\xe9\x06\x04\x04oui1")]);
    assert_eq!(
        (dhcp.vendor_classes[0].enterprise_number, &dhcp.vendor_classes[0].classes[..]),
        (9, &["phone".to_owned()][..])
    );
    let vendor = &dhcp.vendor_options[0];
    assert_eq!(
        (vendor.enterprise_number, vendor.options[0].code, &vendor.options[0].data[..]),
        (3561, 4, &b"oui1"[..])
    );
}

#[test]
fn a_name_may_be_encoded_as_in_dns_with_or_without_root() {
    assert_eq!(read(&[option(81, b"\x05\0\0\x06Laptop\x03net\0")]).fqdn, "laptop.net");
    assert_eq!(read(&[option(81, b"\x05\0\0\x06Laptop")]).fqdn, "laptop");
}

#[test]
fn bootp_has_no_message_type() {
    let mut bytes = message(REQUEST, &[]);
    bytes.truncate(HEADER_BYTES + SERVER_NAME_BYTES + BOOT_FILE_BYTES);
    bytes.resize(300, 0);
    let (dhcp, weirds) = decode_one(&bytes);
    assert_eq!((dhcp.message_type, dhcp.options.len(), dhcp.truncated, weirds), (None, 0, false, vec![]));
}

#[test]
fn a_wrong_option_costs_its_own_field_only() {
    let (dhcp, weirds) = decode_one(&message(REPLY, &[option(51, &[1, 2]), option(54, &[10, 0, 0, 1])]));
    assert_eq!((dhcp.lease_time_ns, dhcp.server_id.as_str(), dhcp.options.len()), (None, "10.0.0.1", 2));
    assert_eq!((dhcp.truncated, weirds), (false, vec!["dhcpv4 Truncated: ends before its fields do".to_owned()]));
}

#[test]
fn a_wrong_option_is_found_by_its_offset() {
    let records = testing::decode(testing::ETHERNET, &[udp(68, 67, &message(REPLY, &[option(51, &[1, 2])]))]);
    let data_offset = 14 + 20 + 8 + 240 + 2;
    assert_eq!(records.of::<record::Weird>()[0].offset_bytes, data_offset);
}

#[test]
fn a_message_cut_anywhere_keeps_what_was_read() {
    let whole = request();
    for length in HEADER_BYTES..whole.len() {
        let (dhcp, weirds) = decode_one(&whole[..length]);
        assert_eq!(dhcp.client_mac, "02:00:00:00:00:01");
        assert_eq!(dhcp.truncated, !weirds.is_empty(), "{length} bytes");
    }
    let behind_vendor_class = whole.len() - (1 + 4 + 7);
    let (dhcp, _) = decode_one(&whole[..behind_vendor_class - 4]);
    assert_eq!((&dhcp.options[5].data[..], dhcp.vendor_class.as_str()), (&b"MSFT"[..], ""));
    let cut = testing::decode(testing::ETHERNET, &[udp(68, 67, &whole[..HEADER_BYTES - 1])]);
    assert!(cut.of::<record::Dhcpv4>().is_empty());
}

#[test]
fn options_are_bounded() {
    let options: Vec<_> = (1..=120).map(|code| option(code, &[])).collect();
    let (dhcp, weirds) = decode_one(&message(REPLY, &options));
    assert_eq!((dhcp.options.len(), dhcp.truncated), (LIST_MAX, true));
    assert!(weirds.contains(&"dhcpv4 Limit: more than 100 options".to_owned()));
    let (dhcp, weirds) = decode_one(&message(REPLY, &vec![option(43, &[1; 255]); 20]));
    assert_eq!((dhcp.options.len(), dhcp.options[0].data.len()), (1, 255 * 16));
    assert_eq!(weirds, ["dhcpv4 Limit: option of more than 4096 bytes"]);
}

#[test]
fn the_cookie_leaves_no_doubt() {
    assert_eq!(Dhcpv4::probe(&request()), Probe::Yes);
    assert_eq!(Dhcpv4::probe(&request()[..100]), Probe::Unsure);
    assert_eq!(Dhcpv4::probe(&[3; 300]), Probe::No);
    assert_eq!(Dhcpv4::probe(&[1; 30]), Probe::No);
}
