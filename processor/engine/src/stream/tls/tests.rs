//! Sessions as they come in segments, and ones that lie.

use proptest::prelude::*;
use weir_contract::{Meta, Record, record};

use super::Tls;
use crate::{
    datagram::Probe,
    stream::{Direction, Stream as _},
    testing::{self, ETHERNET, Records, tcp_connection},
    tls::tests::{RFC_8448_CLIENT_HELLO, RFC_8448_SERVER_HELLO, bytes, extension, hello, list},
    x509::tests::example as certificate,
};

const CHANGE_CIPHER_SPEC: &[u8] = &[20, 3, 3, 0, 1, 1];
/// What a Finished looks like once it is encrypted.
const FINISHED: &[u8] = &[22, 3, 3, 0, 16, 0, 0, 0, 0, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9];
const DATA: &[u8] = &[23, 3, 3, 0, 4, 1, 2, 3, 4];

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let [.., high, middle, low] = body.len().to_be_bytes();
    [&[kind, high, middle, low], body].concat()
}

/// Messages in records of at most so many bytes.
fn records_of(fragment_bytes: usize, messages: &[Vec<u8>]) -> Vec<u8> {
    let all = messages.concat();
    all.chunks(fragment_bytes).flat_map(|fragment| [&[22, 3, 3][..], &list(fragment)].concat()).collect()
}

fn certificates(chain: &[&[u8]]) -> Vec<u8> {
    let with_length = |bytes: &[u8]| message(0, bytes)[1..].to_vec();
    let list: Vec<u8> = chain.iter().flat_map(|der| with_length(der)).collect();
    message(11, &with_length(&list))
}

fn server_hello(extensions: &[Vec<u8>]) -> Vec<u8> {
    let mut body = [&[3, 3][..], &[8; 32], &[0, 0xc0, 0x2f, 0]].concat();
    body.extend(list(&extensions.concat()));
    message(2, &body)
}

/// A session of TLS 1.2 with a chain of two certificates: who says what in turn.
pub(in crate::stream) fn session_1_2(fragment_bytes: usize) -> Vec<(bool, Vec<u8>)> {
    let name = extension(0, &list(&[&[0][..], &list(b"www.example.org")].concat()));
    let client_hello = message(1, &hello(0x0303, &[0xc02f, 0x002f], &[name, extension(35, &[])]));
    let answer = server_hello(&[extension(5, &[]), extension(35, &[]), extension(16, &list(b"\x02h2"))]);
    let chain = certificates(&[&certificate(), &certificate()]);
    let key = message(12, &[&[3, 0, 29, 32][..], &[7; 32]].concat());
    let rest = [message(22, &[1, 0, 0, 1, 9]), key, message(14, &[])];
    let key = records_of(fragment_bytes, &[message(16, &[5; 33])]);
    let ticket = records_of(fragment_bytes, &[message(4, &[0; 9])]);
    vec![
        (true, records_of(fragment_bytes, &[client_hello])),
        (false, records_of(fragment_bytes, &[vec![answer, chain], rest.to_vec()].concat())),
        (true, [&key, CHANGE_CIPHER_SPEC, FINISHED].concat()),
        (false, [&ticket, CHANGE_CIPHER_SPEC, FINISHED, DATA].concat()),
        (true, DATA.repeat(3)),
    ]
}

fn decode(turns: &[(bool, Vec<u8>)], segment_bytes: usize) -> Records {
    testing::decode(ETHERNET, &frames(turns, segment_bytes))
}

fn frames(turns: &[(bool, Vec<u8>)], segment_bytes: usize) -> Vec<Vec<u8>> {
    let turns: Vec<(bool, &[u8])> = turns.iter().map(|(from_client, said)| (*from_client, &said[..])).collect();
    tcp_connection(443, &turns, segment_bytes)
}

/// A record as text, without what depends on how it came.
fn text<R: Record + std::fmt::Debug>(mut record: R, meta: impl Fn(&mut R) -> &mut Option<Meta>) -> String {
    let from_responder = meta(&mut record).take().unwrap().from_responder;
    format!("{from_responder} {record:?}")
}

/// All that a session's records say.
fn facts(records: &Records) -> Vec<String> {
    let mut facts: Vec<String> =
        records.of().into_iter().map(|hello| text::<record::TlsClientHello>(hello, |hello| &mut hello.meta)).collect();
    facts.extend(records.of().into_iter().map(|hello| text::<record::TlsServerHello>(hello, |hello| &mut hello.meta)));
    facts.extend(records.of().into_iter().map(|x509| text::<record::X509>(x509, |x509| &mut x509.meta)));
    facts.extend(records.of().into_iter().map(|tls: record::Tls| {
        let times = (tls.server_hello_time_ns.map(|_| 0), tls.handshake_time_ns.map(|_| 0));
        let tls = record::Tls { duration_ns: 0, server_hello_time_ns: times.0, handshake_time_ns: times.1, ..tls };
        text(tls, |tls| &mut tls.meta)
    }));
    facts.extend(records.weirds());
    facts
}

fn summary(records: &Records) -> record::Tls {
    let mut all = records.of();
    assert_eq!(all.len(), 1, "one summary");
    all.remove(0)
}

#[test]
fn a_session_of_tls_1_2() {
    let records = decode(&session_1_2(16_000), 1400);
    assert_eq!(records.weirds(), [""; 0]);
    let tls = summary(&records);
    assert_eq!((tls.version_name.as_str(), tls.group_name.as_str()), ("TLS 1.2", "x25519"));
    assert_eq!(tls.cipher_suite_name, "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256");
    assert_eq!((tls.server_name.as_str(), tls.alpn_protocol.as_str()), ("www.example.org", "h2"));
    assert!(tls.established && !tls.resumed && tls.ocsp_stapled && tls.session_ticket_issued && !tls.truncated);
    assert_eq!((tls.client_certificate_count, tls.server_certificate_count), (0, 2));
    assert_eq!(tls.ja3, records.of::<record::TlsClientHello>()[0].ja3);
    assert_eq!((tls.ja3s.len(), tls.ja4.len()), (32, 36));
    assert!(tls.duration_ns > 0 && tls.handshake_time_ns == Some(tls.duration_ns));
    let meta = tls.meta.unwrap();
    assert_eq!(
        (meta.from_responder, meta.ts_ns),
        (false, records.of::<record::TlsClientHello>()[0].meta.as_ref().unwrap().ts_ns)
    );
    let [leaf, other] = &records.of::<record::X509>()[..] else { panic!("two certificates") };
    assert_eq!((leaf.leaf, leaf.ocsp_stapled, leaf.from_client), (true, true, false));
    assert_eq!((other.chain_index, other.ocsp_stapled), (1, false));
    assert!(leaf.meta.as_ref().unwrap().from_responder);
    let services: Vec<_> = records.of::<record::Connection>().into_iter().map(|one| one.service).collect();
    assert_eq!(services, ["tls"]);
}

#[test]
fn the_same_session_however_it_is_cut() {
    let turns = session_1_2(16_000);
    let expected = facts(&decode(&turns, 16_000));
    let longest = turns.iter().map(|(_, said)| said.len()).max().unwrap();
    for segment_bytes in (1..64).chain((64..longest).step_by(61)) {
        assert_eq!(facts(&decode(&turns, segment_bytes)), expected, "in segments of {segment_bytes} bytes");
    }
    // What the server says in two segments, cut at each byte.
    for at in 1..turns[1].1.len() {
        let mut cut = turns.clone();
        let rest = cut[1].1.split_off(at);
        cut.insert(2, (false, rest));
        assert_eq!(facts(&decode(&cut, 16_000)), expected, "cut at {at}");
    }
}

#[test]
fn the_same_session_in_records_of_any_length() {
    let expected = facts(&decode(&session_1_2(16_000), 1400));
    for fragment_bytes in [1, 2, 3, 4, 5, 6, 7, 50, 700] {
        assert_eq!(facts(&decode(&session_1_2(fragment_bytes), 1400)), expected, "records of {fragment_bytes} bytes");
    }
}

#[test]
fn a_snapshot_after_any_packet_changes_nothing() {
    let frames = frames(&session_1_2(200), 90);
    let at_once = testing::decode(ETHERNET, &frames);
    let records = testing::decode_with_snapshots(&frames);
    assert_eq!(facts(&records), facts(&at_once));
}

#[test]
fn a_session_of_tls_1_3() {
    let client_hello = message(1, &bytes(RFC_8448_CLIENT_HELLO));
    let answer = message(2, &bytes(RFC_8448_SERVER_HELLO));
    let turns = [
        (true, records_of(16_000, &[client_hello])),
        (false, [&records_of(16_000, &[answer])[..], CHANGE_CIPHER_SPEC, DATA, DATA].concat()),
        (true, [CHANGE_CIPHER_SPEC, DATA].concat()),
    ];
    let records = decode(&turns, 1400);
    assert_eq!(records.weirds(), [""; 0]);
    let tls = summary(&records);
    assert_eq!((tls.version_name.as_str(), tls.server_name.as_str()), ("TLS 1.3", "server"));
    assert_eq!((tls.group_name.as_str(), tls.established, tls.resumed), ("x25519", true, false));
    assert_eq!((tls.server_certificate_count, tls.ja3s.as_str()), (0, "eb1d94daa7e0344597e756a1fb6e7054"));
}

#[test]
fn a_client_that_is_asked_to_offer_again() {
    let first = message(1, &bytes(RFC_8448_CLIENT_HELLO));
    let mut retry = bytes(RFC_8448_SERVER_HELLO);
    retry[2..34].copy_from_slice(&bytes("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c"));
    let turns = [
        // With data that the server can't take yet.
        (true, [&records_of(16_000, std::slice::from_ref(&first))[..], CHANGE_CIPHER_SPEC, DATA].concat()),
        (false, [&records_of(16_000, &[message(2, &retry)])[..], CHANGE_CIPHER_SPEC].concat()),
        (true, records_of(16_000, &[first])),
        (false, [&records_of(16_000, &[message(2, &bytes(RFC_8448_SERVER_HELLO))])[..], DATA].concat()),
        (true, DATA.to_vec()),
    ];
    for segment_bytes in [1, 7, 1400] {
        let records = decode(&turns, segment_bytes);
        assert_eq!(records.weirds(), [""; 0]);
        let hellos = (records.of::<record::TlsClientHello>().len(), records.of::<record::TlsServerHello>().len());
        assert_eq!(hellos, (2, 2));
        assert!(summary(&records).retried && summary(&records).established);
    }
}

#[test]
fn a_session_that_is_resumed_by_its_identifier() {
    let mut client_hello = hello(0x0303, &[0xc02f], &[]);
    client_hello.splice(34..35, [2, 7, 7]);
    let answer = [&[3, 3][..], &[8; 32], &[2, 7, 7, 0xc0, 0x2f, 0]].concat();
    let turns = [
        (true, records_of(16_000, &[message(1, &client_hello)])),
        (false, [&records_of(16_000, &[message(2, &answer)])[..], CHANGE_CIPHER_SPEC, FINISHED].concat()),
        (true, [CHANGE_CIPHER_SPEC, FINISHED].concat()),
    ];
    assert!(summary(&decode(&turns, 1400)).resumed);
}

#[test]
fn a_refusal_is_an_alert() {
    let turns = [
        (true, records_of(16_000, &[message(1, &hello(0x0303, &[0xc02f], &[]))])),
        (false, vec![21, 3, 3, 0, 2, 2, 40]),
    ];
    for segment_bytes in [1, 1400] {
        let tls = summary(&decode(&turns, segment_bytes));
        assert_eq!((tls.established, tls.server_hello_seen, tls.version), (false, false, None));
        assert_eq!(
            (tls.alerts[0].description_name.as_str(), tls.alerts[0].from_responder),
            ("handshake_failure", true)
        );
    }
}

#[test]
fn heartbleed_is_told() {
    let heartbeat =
        |length: u8| vec![24, 3, 3, 0, 22, 1, 0, length, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let client_hello = records_of(16_000, &[message(1, &hello(0x0303, &[0xc02f], &[]))]);
    let honest = decode(&[(true, [client_hello.clone(), heartbeat(3)].concat())], 1400);
    assert_eq!((honest.weirds(), summary(&honest).heartbeat_count), (vec![], 1));
    let greedy = decode(&[(true, [client_hello, heartbeat(4)].concat())], 1400);
    assert_eq!(greedy.weirds(), ["tls BadLength: heartbeat that claims more bytes than it has (CVE-2014-0160)"]);
}

#[test]
fn what_is_cut_is_kept_as_far_as_it_goes() {
    let turns = session_1_2(16_000);
    let (client, server) = (&turns[0].1, &turns[1].1);
    for length in 12..client.len() {
        let records = decode(&[(true, client[..length].to_vec())], 1400);
        let [hello] = &records.of::<record::TlsClientHello>()[..] else { panic!("{length} bytes") };
        assert!(!records.weirds().is_empty() && summary(&records).truncated, "{length} bytes");
        assert!(hello.truncated || length == 5 + 4 + 2 + 32 + 1 + 2 + 4 + 2, "{length} bytes");
    }
    let mut seen = (0, 0);
    for length in 0..server.len() {
        let records = decode(&[turns[0].clone(), (false, server[..length].to_vec())], 1400);
        let now = (records.of::<record::TlsServerHello>().len(), records.of::<record::X509>().len());
        assert!(now.0 >= seen.0 && now.1 >= seen.1, "{length} bytes");
        assert!(!summary(&records).established, "{length} bytes");
        seen = now;
    }
    assert_eq!(seen, (1, 2));
}

#[test]
fn a_gap_inside_a_message_costs_that_message_only() {
    let turns = session_1_2(16_000);
    let mut frames = frames(&turns, 200);
    // Of the server's chain: its third segment.
    let lost = frames.iter().position(|frame| frame.len() > 200 && frame[14 + 15] == 2).unwrap() + 4;
    assert!(frames[lost].len() > 200);
    frames.remove(lost);
    let records = testing::decode(ETHERNET, &frames);
    let tls = summary(&records);
    assert!(tls.established && tls.truncated);
    assert_eq!(tls.group_name, "x25519", "the message behind it");
    assert_eq!(records.of::<record::X509>()[0].subject_common_name, "wüw");
}

#[test]
fn a_message_without_end_is_read_to_its_bound() {
    let chain: Vec<Vec<u8>> = (0..400).map(|_| certificate()).collect();
    let chain: Vec<&[u8]> = chain.iter().map(Vec::as_slice).collect();
    let mut turns = session_1_2(16_000);
    turns[1].1 = records_of(16_000, &[server_hello(&[]), certificates(&chain), message(14, &[])]);
    let records = decode(&turns, 1400);
    assert!(records.weirds().contains(&"tls Limit: handshake message of more than 64 KiB".to_owned()));
    let known = records.of::<record::X509>();
    assert!((40..=100).contains(&known.len()), "{}", known.len());
    assert!(summary(&records).established);
    let endless = [&[22, 3, 3, 0x40, 0, 11, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff][..], &[0xff; 0x3ff9]].concat();
    turns[1].1 = [records_of(16_000, &[server_hello(&[])]), endless.clone(), endless.repeat(9)].concat();
    assert_eq!(summary(&decode(&turns, 1400)).server_certificate_count, 1);
}

#[test]
fn hellos_of_ssl_2_and_what_follows_them() {
    let suites = [0, 0xc0, 0x2f, 1, 0, 0x80, 7, 0, 0xc0];
    let client = |version: u8, minor: u8| {
        let body = [&[1, version, minor, 0, 9, 0, 0, 0, 16][..], &suites, &[6; 16]].concat();
        [&[0x80, u8::try_from(body.len()).unwrap()], &body[..]].concat()
    };
    let later = session_1_2(16_000);
    let mut turns = later.clone();
    turns[0].1 = client(3, 1);
    for segment_bytes in [1, 1400] {
        let records = decode(&turns, segment_bytes);
        assert_eq!(records.weirds(), [""; 0]);
        let hello = &records.of::<record::TlsClientHello>()[0];
        assert_eq!(
            (hello.version_name.as_str(), &hello.cipher_suites),
            ("TLS 1.0", &vec![0xc02f, 0x01_0080, 0x07_00c0])
        );
        assert_eq!(hello.cipher_suite_names[1], "SSL_CK_RC4_128_WITH_MD5");
        assert_eq!(summary(&records).version_name, "TLS 1.2");
    }
    let der = certificate();
    let lengths = [list(&der)[..2].to_vec(), vec![0, 3, 0, 16]].concat();
    let answer = [&[4, 0, 1, 0, 2][..], &lengths, &der, &[1, 0, 0x80], &[5; 16]].concat();
    let [_, _, .., high, low] = answer.len().to_be_bytes();
    let answer = [&[high | 0x80, low], &answer[..]].concat();
    assert_eq!(Tls::probe(Direction::Responder, &answer), Probe::Yes);
    let records = decode(&[(true, client(0, 2)), (false, answer)], 1400);
    assert_eq!((summary(&records).version_name.as_str(), records.of::<record::X509>().len()), ("SSL 2.0", 1));
    assert_eq!(records.weirds(), [""; 0]);
}

#[test]
fn what_is_not_tls_is_not_taken_for_it() {
    let probe = |bytes: &[u8]| Tls::probe(Direction::Originator, bytes);
    let hello = records_of(16_000, &[message(1, &hello(0x0301, &[0xc02f], &[]))]);
    for length in 0..hello.len() {
        let expected = match length {
            0 => Probe::No,
            1..11 => Probe::Unsure,
            _ => Probe::Yes,
        };
        assert_eq!(probe(&hello[..length]), expected, "{length} bytes");
    }
    for other in [
        &b"GET / HTTP/1.1\r\n"[..],
        b"SSH-2.0-x",
        &[22, 3, 9, 0, 9, 1],
        &[22, 3, 1, 0, 0],
        &[22, 3, 1, 0x60, 0, 1],
        &[22, 3, 1, 0, 90, 9, 0, 0, 1],
        &[22, 3, 1, 0, 90, 1, 0, 0, 86, 9, 9],
        &[0x80, 46, 1, 3, 1, 0, 9, 0, 0, 0, 17],
        &[23, 3, 3, 0, 4],
    ] {
        assert_eq!(probe(other), Probe::No, "{other:x?}");
    }
}

#[test]
fn garbage_behind_a_hello_ends_the_reading_and_says_so() {
    let mut turns = session_1_2(16_000);
    turns[1].1 = b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec();
    let records = decode(&turns, 1400);
    assert_eq!(records.weirds(), ["tls BadVersion: record of an unknown version"]);
    assert!(summary(&records).truncated && !summary(&records).established);
}

proptest! {
    /// Whatever the bytes are, segments do not show in what is made of them.
    #[test]
    fn a_session_with_wrong_bytes_says_the_same_however_it_is_cut(
        fragment_bytes in prop::sample::select(&[3usize, 40, 500, 16_000]),
        edits in prop::collection::vec((0..4usize, 0..2000usize, prop::sample::select(&[0u8, 1, 2, 3, 20, 22, 23, 0x80, 0xff])), 1..8),
        segment_bytes in 1..600usize,
    ) {
        let mut turns = session_1_2(fragment_bytes);
        for (turn, at, value) in edits {
            let said = &mut turns[turn].1;
            let at = at % said.len();
            said[at] = value;
        }
        prop_assert_eq!(facts(&decode(&turns, segment_bytes)), facts(&decode(&turns, 16_000)));
    }
}
