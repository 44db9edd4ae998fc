use super::*;
use crate::{
    limits::LIST_MAX,
    testing::{self, Records, udp, udp_back},
};

/// An element of the parts.
fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let mut bytes = vec![tag, 0x82];
    bytes.extend(u16::try_from(content.len()).unwrap().to_be_bytes());
    bytes.extend(content);
    bytes
}

fn number(value: u8) -> [u8; 3] {
    [2, 1, value]
}

/// 1.3.6.1.2.1.1.3.0
const UPTIME: &[u8] = &[6, 8, 0x2b, 6, 1, 2, 1, 1, 3, 0];
/// 1.3.6.1.6.3.1.1.4.1.0
const TRAP_OID: &[u8] = &[6, 10, 0x2b, 6, 1, 6, 3, 1, 1, 4, 1, 0];
const NULL: &[u8] = &[5, 0];

fn variable(name: &[u8], value: &[u8]) -> Vec<u8> {
    element(0x30, &[name, value])
}

fn pdu_of(tag: u8, request_id: u8, second: u8, third: u8, variables: &[Vec<u8>]) -> Vec<u8> {
    let variables = element(0x30, &[&variables.concat()]);
    element(tag, &[&number(request_id), &number(second), &number(third), &variables])
}

fn v2c(pdu: &[u8]) -> Vec<u8> {
    element(0x30, &[&number(1), b"\x04\x06public", pdu])
}

fn decode_one(message: &[u8]) -> (record::Snmp, Vec<String>) {
    let records = testing::decode(testing::ETHERNET, &[udp(40000, 161, message)]);
    let mut messages = records.of::<record::Snmp>();
    assert_eq!(messages.len(), 1);
    (messages.remove(0), records.weirds())
}

/// Name, type and value of each variable.
fn variables(snmp: &record::Snmp) -> Vec<(&str, &str, &str)> {
    snmp.variables.iter().map(|each| (each.oid.as_str(), each.type_name.as_str(), each.value.as_str())).collect()
}

fn exchange() -> [Vec<u8>; 2] {
    let request = v2c(&pdu_of(pdu::GET, 7, 0, 0, &[variable(UPTIME, NULL)]));
    let response = v2c(&pdu_of(pdu::RESPONSE, 7, 0, 0, &[variable(UPTIME, &[0x43, 2, 1, 0])]));
    [request, response]
}

#[test]
fn a_response_knows_its_request() {
    let [request, response] = exchange();
    let frames = [udp(40000, 161, &request), udp_back(161, 40000, &response)];
    let records = testing::decode(testing::ETHERNET, &frames);
    let [request, response] = &records.of::<record::Snmp>()[..] else { panic!("two messages") };
    assert_eq!((request.version, request.version_name.as_str(), request.community.as_str()), (1, "v2c", "public"));
    assert_eq!(
        (request.pdu_type, request.pdu_type_name.as_str(), request.request_id),
        (Some(0), "get_request", Some(7))
    );
    assert_eq!(variables(request), [("1.3.6.1.2.1.1.3.0", "null", "")]);
    assert_eq!((request.response, request.uptime_ns), (false, None));
    assert_eq!((response.request_seen, response.response_time_ns), (true, Some(1_000_000)));
    assert_eq!((response.error_status, response.error_status_name.as_str()), (Some(0), "noError"));
    assert_eq!(variables(response), [("1.3.6.1.2.1.1.3.0", "time_ticks", "256")]);
    assert_eq!(response.uptime_ns, Some(2_560_000_000));
    assert_eq!(records.weirds(), Vec::<String>::new());
}

#[test]
fn values_of_all_types() {
    let values: [&[u8]; 10] = [
        &[2, 1, 0xfe],
        b"\x04\x03a\\\xff",
        &[6, 2, 0x2b, 6],
        &[0x40, 4, 10, 0, 0, 1],
        &[0x41, 5, 0, 0xff, 0xff, 0xff, 0xff],
        &[0x42, 1, 9],
        &[0x46, 8, 0xff, 0, 0, 0, 0, 0, 0, 1],
        &[0x44, 1, b'x'],
        &[0x80, 0],
        &[0x82, 0],
    ];
    let message = v2c(&pdu_of(pdu::RESPONSE, 1, 0, 0, &values.map(|value| variable(UPTIME, value))));
    let (snmp, weirds) = decode_one(&message);
    let read: Vec<_> = variables(&snmp).into_iter().map(|(_, type_name, value)| (type_name, value)).collect();
    assert_eq!(
        read,
        [
            ("integer", "-2"),
            ("octet_string", "a\\x5c\\xff"),
            ("object_identifier", "1.3.6"),
            ("ip_address", "10.0.0.1"),
            ("counter32", "4294967295"),
            ("unsigned32", "9"),
            ("counter64", "18374686479671623681"),
            ("opaque", "x"),
            ("no_such_object", ""),
            ("end_of_mib_view", ""),
        ]
    );
    assert_eq!((snmp.variable_count, weirds), (10, vec![]));
}

#[test]
fn a_bulk_request_has_no_error() {
    let (snmp, _) = decode_one(&v2c(&pdu_of(pdu::GET_BULK, 1, 2, 30, &[])));
    assert_eq!((snmp.non_repeaters, snmp.max_repetitions, snmp.error_status), (Some(2), Some(30), None));
}

#[test]
fn traps_of_both_versions() {
    let trap = [variable(UPTIME, &[0x43, 1, 5]), variable(TRAP_OID, &[6, 9, 0x2b, 6, 1, 6, 3, 1, 1, 5, 3])];
    let (snmp, _) = decode_one(&v2c(&pdu_of(0xa7, 1, 0, 0, &trap)));
    assert_eq!((snmp.pdu_type_name.as_str(), snmp.trap_oid.as_str()), ("trap_v2", "1.3.6.1.6.3.1.1.5.3"));
    assert_eq!(snmp.uptime_ns, Some(50_000_000));

    let list = element(0x30, &[&variable(UPTIME, NULL)]);
    let fields: [&[u8]; 6] =
        [&[6, 3, 0x2b, 6, 1], &[0x40, 4, 10, 0, 0, 9], &number(6), &number(17), &[0x43, 1, 100], &list];
    let message = element(0x30, &[&number(0), b"\x04\x06public", &element(pdu::TRAP_V1, &fields)]);
    let (snmp, weirds) = decode_one(&message);
    assert_eq!((snmp.version_name.as_str(), snmp.pdu_type_name.as_str(), snmp.request_id), ("v1", "trap_v1", None));
    assert_eq!((snmp.enterprise.as_str(), snmp.agent_ip.as_str()), ("1.3.6.1", "10.0.0.9"));
    assert_eq!((snmp.generic_trap_name.as_str(), snmp.specific_trap), ("enterpriseSpecific", Some(17)));
    assert_eq!((snmp.uptime_ns, snmp.variables.len(), weirds), (Some(1_000_000_000), 1, vec![]));
}

/// Enterprise 8072, a MAC.
const ENGINE: &[u8] = &[4, 11, 0x80, 0, 0x1f, 0x88, 3, 2, 0, 0, 0, 0, 1];

fn v3(message_id: u8, flags: u8, data: &[u8]) -> Vec<u8> {
    let header = element(0x30, &[&number(message_id), &[2, 3, 0, 0xff, 0xff], &[4, 1, flags], &number(3)]);
    let parameters: [&[u8]; 6] = [ENGINE, &number(0xdd), &number(90), b"\x04\x05admin", b"\x04\x02mc", b"\x04\x02sl"];
    let parameters = element(4, &[&element(0x30, &parameters)]);
    element(0x30, &[&number(3), &header, &parameters, data])
}

#[test]
fn a_plain_message_of_v3_has_user_engine_and_context() {
    let data = element(0x30, &[ENGINE, b"\x04\x03ctx", &pdu_of(pdu::GET, 5, 0, 0, &[])]);
    let (snmp, weirds) = decode_one(&v3(9, AUTHENTICATED | REPORTABLE, &data));
    assert_eq!((snmp.version_name.as_str(), snmp.message_id, snmp.max_message_bytes), ("v3", Some(9), Some(65535)));
    assert_eq!((snmp.authenticated, snmp.encrypted, snmp.reportable), (true, false, true));
    assert_eq!((snmp.security_model_name.as_str(), snmp.user_name.as_str()), ("user_based", "admin"));
    assert_eq!((snmp.engine_boots, snmp.engine_time_ns), (Some(0xdd), Some(90_000_000_000)));
    let engine = snmp.engine.unwrap();
    assert_eq!((engine.enterprise_number, engine.format), (Some(8072), Some(3)));
    assert_eq!((engine.text.as_str(), &engine.engine_id[..]), ("02:00:00:00:00:01", &ENGINE[2..]));
    assert_eq!((snmp.context_name.as_str(), snmp.request_id), ("ctx", Some(5)));
    assert_eq!((&snmp.authentication_parameters[..], &snmp.privacy_parameters[..]), (&b"mc"[..], &b"sl"[..]));
    assert_eq!(weirds, Vec::<String>::new());
}

#[test]
fn encrypted_messages_are_matched_by_their_identifier() {
    let secret = element(4, &[b"\xde\xad\xbe\xef"]);
    let request = v3(9, AUTHENTICATED | ENCRYPTED | REPORTABLE, &secret);
    let response = v3(9, AUTHENTICATED | ENCRYPTED, &secret);
    let frames = [udp(40000, 161, &request), udp_back(161, 40000, &response)];
    let records = testing::decode(testing::ETHERNET, &frames);
    let [request, response] = &records.of::<record::Snmp>()[..] else { panic!("two messages") };
    assert_eq!((request.encrypted, request.encrypted_bytes, request.pdu_type), (true, Some(4), None));
    assert_eq!((request.response, response.response), (false, true));
    assert_eq!((response.request_seen, response.response_time_ns), (true, Some(1_000_000)));
}

#[test]
fn a_wrong_value_costs_that_value_only() {
    let pairs = [variable(UPTIME, &[2, 0]), variable(UPTIME, &[0x40, 3, 1, 2, 3]), variable(UPTIME, &[2, 1, 5])];
    let (snmp, weirds) = decode_one(&v2c(&pdu_of(pdu::RESPONSE, 1, 0, 0, &pairs)));
    let values: Vec<_> = variables(&snmp).into_iter().map(|(_, _, value)| value).collect();
    assert_eq!((values, snmp.truncated), (vec!["", "", "5"], false));
    assert_eq!(
        weirds,
        ["snmp BadLength: number of no or more than eight octets", "snmp BadLength: address that has not four octets",]
    );
}

#[test]
fn a_message_cut_anywhere_keeps_what_was_read() {
    let data = element(0x30, &[ENGINE, b"\x04\x03ctx", &pdu_of(pdu::GET, 5, 0, 0, &[variable(UPTIME, NULL)])]);
    for message in [v3(9, REPORTABLE, &data), exchange()[0].clone()] {
        for length in 12..message.len() {
            let records = testing::decode(testing::ETHERNET, &[udp(40000, 161, &message[..length])]);
            let [snmp] = &records.of::<record::Snmp>()[..] else { panic!("one message of {length} bytes") };
            assert!(snmp.truncated, "{length} bytes");
            assert_eq!(records.weirds().len(), 1);
        }
        let cut = &message[..message.len() - 2];
        let (snmp, _) = decode_one(cut);
        assert_eq!(snmp.variables[0].oid, "1.3.6.1.2.1.1.3.0");
    }
}

#[test]
fn variables_are_bounded_and_counted() {
    let pairs = vec![variable(UPTIME, NULL); LIST_MAX + 20];
    let (snmp, weirds) = decode_one(&v2c(&pdu_of(pdu::RESPONSE, 1, 0, 0, &pairs)));
    assert_eq!((snmp.variables.len(), snmp.variable_count), (LIST_MAX, 120));
    assert_eq!(weirds, ["snmp Limit: more than 100 variables"]);
}

#[test]
fn bytes_behind_the_message_are_weird() {
    let mut message = exchange()[0].clone();
    message.push(0);
    let (snmp, weirds) = decode_one(&message);
    assert!(!snmp.truncated);
    assert_eq!(weirds, ["snmp TrailingBytes: bytes behind the message"]);
}

#[test]
fn elsewhere_than_on_its_ports_a_whole_message_is_needed() {
    let [request, _] = exchange();
    assert_eq!(Snmp::probe(&request), Probe::Yes);
    assert_eq!(Snmp::probe(&v3(9, 0, &element(4, &[b"x"]))), Probe::Yes);
    assert_eq!(Snmp::probe(&request[..20]), Probe::Unsure);
    // A search of LDAP over UDP: a sequence, an identifier, and what is no community.
    assert_eq!(Snmp::probe(&[0x30, 5, 2, 1, 1, 0x63, 0]), Probe::No);
    assert_eq!(Snmp::probe(&element(0x30, &[&number(1), b"\x04\x06public", b"\x04\0"])), Probe::No);
}

/// Every byte of a message replaced: nothing panics, and records stay bounded.
#[test]
fn bent_messages_are_read_without_fear() {
    let data = element(0x30, &[ENGINE, b"\x04\x03ctx", &pdu_of(pdu::GET, 5, 0, 0, &[variable(UPTIME, NULL)])]);
    let message = v3(9, REPORTABLE, &data);
    for at in 0..message.len() {
        for value in [0, 0x7f, 0x80, 0x84, 0xff] {
            let mut bent = message.clone();
            bent[at] = value;
            let records: Records = testing::decode(testing::ETHERNET, &[udp(40000, 161, &bent)]);
            assert!(records.of::<record::Snmp>().len() <= 1);
        }
    }
}
