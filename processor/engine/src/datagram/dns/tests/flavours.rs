//! Multicast DNS, LLMNR and the NetBIOS Name Service.

use weir_contract::record;

use super::{decode_to, message, name, question, rr};
use crate::testing;

fn decode(port: u16, message: &[u8]) -> record::Dns {
    let records = decode_to(port, message);
    assert_eq!(records.weirds(), Vec::<String>::new());
    let [dns] = &records.of::<record::Dns>()[..] else { panic!("one record of {message:?}") };
    dns.clone()
}

#[test]
fn multicast_dns_has_a_bit_above_the_class() {
    let mut asked = question("_http._tcp.local", 12);
    let class = asked.len() - 2;
    asked[class] = 0x80;
    let mut unique = rr(&name("Host’s Mac.local"), 1, &[10, 0, 0, 9]);
    let class = name("Host’s Mac.local").len() + 2;
    unique[class] = 0x80;
    let dns = decode(5353, &message(0x8400, [&[asked], &[unique], &[], &[]]));
    assert_eq!((dns.flavour.as_str(), dns.query_class, dns.questions[0].unicast_response), ("mdns", 1, true));
    let answer = &dns.answers[0];
    assert_eq!((answer.name.as_str(), answer.class, answer.cache_flush), ("host’s mac.local", 1, true));
}

#[test]
fn llmnr_has_flags_of_its_own() {
    let dns = decode(5355, &message(0x8500, [&[question("fileserver", 1)], &[], &[], &[]]));
    assert_eq!((dns.flavour.as_str(), dns.conflict, dns.tentative, dns.z), ("llmnr", true, true, 0));
    assert!(!dns.authoritative && !dns.recursion_desired);
}

/// A NetBIOS name, filled up and encoded (RFC 1001 §14.1).
fn netbios(text: &[u8], suffix: u8) -> Vec<u8> {
    let padding = if text == b"*" { 0 } else { b' ' };
    let mut padded = text.to_vec();
    padded.resize(15, padding);
    padded.push(suffix);
    let mut out = vec![32];
    out.extend(padded.iter().flat_map(|byte| [b'A' + (byte >> 4), b'A' + (byte & 15)]));
    out.push(0);
    out
}

#[test]
fn netbios_names_are_decoded() {
    let workgroup = netbios(b"WORKGROUP", 0x1b);
    let asked = [&workgroup[..], &[0, 0x20, 0, 1]].concat();
    let query = message(0x0110, [std::slice::from_ref(&asked), &[], &[], &[]]);
    // Two owners: a group's member that is a b-node, a unique h-node.
    let owners = [0x80, 0, 10, 0, 0, 2, 0x60, 0, 10, 0, 0, 3];
    let response = message(0x8580, [&[], &[rr(&workgroup, 0x20, &owners)], &[], &[]]);
    let frames = [testing::udp(137, 137, &query), testing::udp_back(137, 137, &response)];
    let records = testing::decode(testing::ETHERNET, &frames);
    assert_eq!(records.weirds(), Vec::<String>::new());
    let [query, response] = &records.of::<record::Dns>()[..] else { panic!("two messages") };

    assert_eq!((query.flavour.as_str(), query.broadcast, query.query.as_str()), ("nbns", true, "WORKGROUP"));
    assert_eq!((query.query_type_name.as_str(), query.query_netbios_suffix), ("NB", Some(0x1b)));
    let answer = &response.answers[0];
    assert_eq!(answer.data, "10.0.0.2 group b-node, 10.0.0.3 unique h-node");
    assert_eq!((answer.address.as_str(), answer.netbios_flags), ("10.0.0.2", Some(0x8000)));
    assert_eq!((answer.name.as_str(), answer.netbios_suffix), ("WORKGROUP", Some(0x1b)));
    assert_eq!(response.response_time_ns, Some(1_000_000));
}

#[test]
fn a_scope_stands_beside_the_netbios_name() {
    let mut scoped = netbios(b"FRED.X", 0x20);
    scoped.pop();
    scoped.extend(name("NETBIOS.COM"));
    let asked = [&scoped[..], &[0, 0x20, 0, 1]].concat();
    let dns = decode(137, &message(0x2910, [&[asked], &[], &[], &[]]));
    assert_eq!((dns.query.as_str(), dns.opcode_name.as_str()), ("FRED.X", "REGISTRATION"));
    assert_eq!(dns.questions[0].netbios_scope, "NETBIOS.COM");
}

#[test]
fn a_node_tells_its_names_and_hardware_address() {
    let mut status = vec![2];
    status.extend(b"DESKTOP        \x00\x04\x00");
    status.extend(b"\x01\x02__MSBROWSE__\x02\x01\x84\x00");
    status.extend([0, 0x0c, 0x29, 1, 2, 3]);
    status.extend([0; 40]);
    let answer = rr(&netbios(b"*", 0), 0x21, &status);
    let dns = decode(137, &message(0x8400, [&[], &[answer], &[], &[]]));
    assert_eq!((dns.answers[0].name.as_str(), dns.answers[0].type_name.as_str()), ("*", "NBSTAT"));
    let names = "DESKTOP<00> unique active, \\x01\\x02__MSBROWSE__\\x02<01> group active";
    assert_eq!(dns.answers[0].data, format!("{names}, unit 00:0c:29:01:02:03"));
}

#[test]
fn names_without_the_encoding_of_netbios_are_weird() {
    let response = message(0x8580, [&[], &[rr(&netbios(b"A", 0), 0x20, &[]), rr(&name("plain"), 0x20, &[])], &[], &[]]);
    let records = decode_to(137, &response);
    assert_eq!(records.of::<record::Dns>()[0].answers[1].name, "plain");
    assert_eq!(records.weirds(), ["nbns BadEncoding: name is not encoded as NetBIOS names are"]);
}

#[test]
fn flavours_are_services() {
    let asked = message(0, [&[question("host.local", 1)], &[], &[], &[]]);
    for (port, service) in [(53, "dns"), (5353, "mdns"), (5355, "llmnr")] {
        let connections = decode_to(port, &asked).of::<record::Connection>();
        assert_eq!(connections[0].service, service);
    }
}
