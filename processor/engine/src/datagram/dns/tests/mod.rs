//! Messages made by hand, and what becomes of them.

#![allow(clippy::unwrap_used, clippy::panic)]

mod bounds;
mod edns;
mod flavours;
mod oracle;
mod rdata;
mod svcb;

use weir_contract::record;

use crate::testing::{self, Records};

/// A name without compression.
fn name(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for label in text.split('.').filter(|label| !label.is_empty()) {
        out.push(u8::try_from(label.len()).unwrap());
        out.extend(label.as_bytes());
    }
    out.push(0);
    out
}

fn question(owner: &str, rr_type: u16) -> Vec<u8> {
    [&name(owner)[..], &rr_type.to_be_bytes(), &[0, 1]].concat()
}

/// A record of the Internet class that lives for an hour.
fn rr(owner: &[u8], rr_type: u16, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).unwrap();
    [owner, &rr_type.to_be_bytes(), &[0, 1, 0, 0, 14, 16], &length.to_be_bytes(), data].concat()
}

/// A message with identifier 7 and sections given as their entries.
fn message(flags: u16, sections: [&[Vec<u8>]; 4]) -> Vec<u8> {
    let mut out = vec![0, 7];
    out.extend(flags.to_be_bytes());
    for entries in sections {
        out.extend(u16::try_from(entries.len()).unwrap().to_be_bytes());
    }
    out.extend(sections.concat().concat());
    out
}

const QUERY: u16 = 0x0100;
const RESPONSE: u16 = 0x8180;

/// A response with one answer about `example.com`.
fn answer(rr_type: u16, data: &[u8]) -> Vec<u8> {
    let owner = b"\xc0\x0c";
    message(RESPONSE, [&[question("Example.com", rr_type)], &[rr(owner, rr_type, data)], &[], &[]])
}

/// What becomes of one message to a port.
fn decode_to(port: u16, message: &[u8]) -> Records {
    testing::decode(testing::ETHERNET, &[testing::udp(40000, port, message)])
}

/// The only record of a message to port 53, and the Weirds.
fn decode(message: &[u8]) -> (record::Dns, Vec<String>) {
    let records = decode_to(53, message);
    let [dns] = &records.of::<record::Dns>()[..] else { panic!("one record of {message:?}") };
    (dns.clone(), records.weirds())
}

/// The only record of a message that is in order.
fn decode_whole(message: &[u8]) -> record::Dns {
    let (dns, weirds) = decode(message);
    assert_eq!((weirds, dns.truncated), (Vec::new(), false));
    dns
}

#[test]
fn a_response_shows_its_header_question_and_answers() {
    let aliases = [
        rr(b"\xc0\x0c", 5, &name("Edge.CDN.example")),
        rr(&name("edge.cdn.example"), 1, &[192, 0, 2, 7]),
        rr(&name("edge.cdn.example"), 28, &[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9]),
    ];
    let dns = decode_whole(&message(RESPONSE | 0x0400, [&[question("WWW.Example.com", 1)], &aliases, &[], &[]]));

    assert_eq!((dns.flavour.as_str(), dns.id, dns.response), ("dns", 7, true));
    assert_eq!((dns.opcode, dns.opcode_name.as_str()), (0, "QUERY"));
    assert_eq!((dns.authoritative, dns.recursion_desired, dns.recursion_available), (true, true, true));
    assert_eq!((dns.rcode, dns.rcode_name.as_str()), (Some(0), "NOERROR"));
    assert_eq!((dns.query.as_str(), dns.query_type_name.as_str(), dns.query_class), ("www.example.com", "A", 1));
    assert_eq!((dns.query_labels, dns.query_tld.as_str(), dns.query_class_name.as_str()), (3, "com", "IN"));
    assert_eq!((dns.question_count, dns.answer_count, dns.authority_count, dns.additional_count), (1, 3, 0, 0));
    assert_eq!(dns.answer_data, ["edge.cdn.example", "192.0.2.7", "2001:db8::9"]);
    assert_eq!(dns.answer_ttls, [3600; 3]);
    let [alias, ipv4, ipv6] = &dns.answers[..] else { panic!("three answers") };
    assert_eq!((alias.name.as_str(), alias.target.as_str()), ("www.example.com", "edge.cdn.example"));
    assert_eq!((ipv4.address.as_str(), ipv4.length_bytes), ("192.0.2.7", 4));
    assert_eq!((ipv6.address.as_str(), ipv6.type_name.as_str()), ("2001:db8::9", "AAAA"));
}

#[test]
fn a_response_knows_its_query() {
    let query = message(QUERY, [&[question("example.com", 1)], &[], &[], &[]]);
    let other = message(QUERY, [&[question("example.com", 28)], &[], &[], &[]]);
    let response = message(RESPONSE, [&[question("EXAMPLE.com", 1)], &[], &[], &[]]);
    let frames = [
        testing::udp(40000, 53, &query),
        testing::udp(40000, 53, &query),
        testing::udp(40000, 53, &other),
        testing::udp_back(53, 40000, &response),
        testing::udp_back(53, 40000, &response),
    ];
    let records = testing::decode(testing::ETHERNET, &frames).of::<record::Dns>();
    let seen: Vec<_> = records.iter().map(|dns| (dns.retransmission, dns.request_seen, dns.response_time_ns)).collect();
    let unseen = (false, false, None);
    assert_eq!(seen, [unseen, (true, false, None), unseen, (false, true, Some(3_000_000)), unseen]);
}

#[test]
fn an_update_names_types_without_data() {
    let mut exists = rr(&name("a.example"), 1, &[]);
    exists[11 + 3] = 255;
    let zone = question("example", 6);
    let update = message(5 << 11, [&[zone], &[exists], &[rr(&name("a.example"), 1, &[10, 0, 0, 9])], &[]]);
    let dns = decode_whole(&update);
    assert_eq!(
        (dns.opcode_name.as_str(), dns.query.as_str(), dns.query_type_name.as_str()),
        ("UPDATE", "example", "SOA")
    );
    assert_eq!((dns.answers[0].class, dns.answers[0].data.as_str()), (255, ""));
    assert_eq!(dns.authorities[0].data, "10.0.0.9");
}

#[test]
fn the_root_is_a_dot() {
    let dns = decode_whole(&message(QUERY, [&[question("", 2)], &[], &[], &[]]));
    assert_eq!((dns.query.as_str(), dns.query_labels, dns.query_tld.as_str()), (".", 0, ""));
}

#[test]
fn a_plain_query_is_known_on_any_port() {
    let query = message(QUERY, [&[question("example.com", 1)], &[], &[], &[]]);
    let services = |message: &[u8]| {
        let records = decode_to(9953, message);
        records.of::<record::Connection>().into_iter().map(|connection| connection.service).collect::<Vec<_>>()
    };
    assert_eq!(services(&query), ["dns"]);
    let dnscrypt = message(QUERY, [&[question("2.dnscrypt-cert.example", 16)], &[], &[], &[rr(b"\0", 0, &[0; 64])]]);
    assert_eq!(services(&dnscrypt), ["dns"]);
    let mut longer = query.clone();
    longer.push(0);
    assert_eq!(services(&longer), [""]);
    assert_eq!(services(&answer(1, &[10, 0, 0, 1])), [""]);
}

#[test]
fn what_is_no_message_is_none_on_port_53_either() {
    let text = b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n";
    let encrypted: Vec<u8> = (0..200u8).map(|at| at.wrapping_mul(167) ^ 0x5a).collect();
    for bytes in [&[0; 40][..], text, &encrypted] {
        assert!(decode_to(53, bytes).of::<record::Dns>().is_empty(), "{bytes:?}");
    }
}

#[test]
fn a_message_with_one_thing_wrong_is_one_on_port_53() {
    let bad_label = message(QUERY, [&[vec![0x7f; 30]], &[], &[], &[]]);
    let unknown_opcode = message(15 << 11, [&[question("example.com", 1)], &[], &[], &[]]);
    let mut lying = message(QUERY, [&[question("example.com", 1)], &[], &[], &[]]);
    lying[4..12].fill(0xff);
    for bytes in [bad_label, unknown_opcode, lying] {
        assert_eq!(decode_to(53, &bytes).of::<record::Dns>().len(), 1, "{bytes:?}");
    }
}
