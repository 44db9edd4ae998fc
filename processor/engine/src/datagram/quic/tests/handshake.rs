//! Handshakes that take more than one packet a side.

use weir_contract::record::{self, QuicEvent};

use super::*;
use crate::testing;

const OTHER: [u8; 8] = *b"another1";

/// Name, event and all of the records that don't depend on how many packets there were.
fn hellos(records: &Records) -> Vec<(QuicEvent, String, String, Vec<String>)> {
    let quic = records.of::<record::Quic>().into_iter();
    quic.map(|quic| (quic.event(), quic.server_name.clone(), quic.ja4.clone(), quic.alpn_protocols.clone())).collect()
}

fn events(records: &Records) -> Vec<QuicEvent> {
    records.of::<record::Quic>().iter().map(record::Quic::event).collect()
}

#[test]
fn hello_may_come_in_any_pieces_and_order() {
    let hello = hex(CLIENT_HELLO);
    let whole = hellos(&from_client(&[FIRST.seal(&crypto(0, &hello))]));
    for cut in 1..hello.len() {
        let (front, back) = (crypto(0, &hello[..cut]), crypto(cut, &hello[cut..]));
        let second = Initial { number: 1, ..FIRST };
        // In one packet; in two datagrams; in one datagram of two packets; each the wrong way round, too.
        let ways = [
            vec![FIRST.seal(&[&front[..], &[0, 1, 0], &back].concat())],
            vec![FIRST.seal(&[back.clone(), front.clone()].concat())],
            vec![FIRST.seal(&front), second.seal(&back)],
            vec![FIRST.seal(&back), second.seal(&front)],
            vec![[FIRST.seal(&back), second.seal(&front)].concat()],
        ];
        for datagrams in ways {
            let records = from_client(&datagrams);
            assert_eq!(hellos(&records), whole);
            assert_eq!(records.weirds(), [""; 0]);
        }
    }
}

#[test]
fn repeated_and_overlapping_frames_change_nothing() {
    let hello = hex(CLIENT_HELLO);
    let whole = hellos(&from_client(&[FIRST.seal(&crypto(0, &hello))]));
    let frames = [crypto(10, &hello[10..50]), crypto(40, &hello[40..]), crypto(0, &hello[..60]), crypto(0, &hello)];
    let records = from_client(&[FIRST.seal(&frames.concat()), FIRST.seal(&frames.concat())]);
    assert_eq!(hellos(&records), whole);
    assert_eq!(records.weirds(), [""; 0]);
}

#[test]
fn first_of_differing_bytes_counts() {
    let hello = hex(CLIENT_HELLO);
    let whole = hellos(&from_client(&[FIRST.seal(&crypto(0, &hello))]));
    let frames = [crypto(4, &hello[4..100]), crypto(50, &[0xff; 10]), crypto(0, &hello)];
    let records = from_client(&[FIRST.seal(&frames.concat())]);
    assert_eq!(hellos(&records), whole);
    let weird = "quic OverlapConflict: CRYPTO frames with different bytes for the same offset";
    assert_eq!(records.weirds(), [weird]);
}

#[test]
fn record_begins_with_the_first_piece() {
    let hello = hex(CLIENT_HELLO);
    let records = from_client(&[
        FIRST.seal(&crypto(100, &hello[100..])),
        Initial { number: 1, ..FIRST }.seal(&crypto(0, &hello)),
    ]);
    let quic = &records.of::<record::Quic>()[0];
    let meta = quic.meta.as_ref().unwrap();
    assert_eq!((meta.ts_ns, meta.packet_number), (1_000_000_000, 2));
    assert_eq!(quic.initial_packets, 2);
}

#[test]
fn client_changes_its_destination_and_keeps_its_keys() {
    let hello = hex(CLIENT_HELLO);
    let second = Initial { destination: &SERVER, number: 1, ..FIRST };
    let records = from_client(&[FIRST.seal(&crypto(0, &hello[..100])), second.seal(&crypto(100, &hello[100..]))]);
    assert_eq!(events(&records), [QuicEvent::ClientHello]);
    assert_eq!(records.weirds(), [""; 0]);
}

#[test]
fn client_begins_again_after_a_retry() {
    let hello = crypto(0, &hex(CLIENT_HELLO));
    let retry = hex("ff000000010008f067a5502a4262b5746f6b656e04a265ba2eff4d829058fb3f0f2496ba");
    let again = Initial { key_source: &SERVER, destination: &SERVER, token: b"token", number: 1, ..FIRST };
    let answer = Initial { key_source: &SERVER, source: &OTHER, ..ANSWER };
    let records = exchange(&[
        (Sender::Client, FIRST.seal(&hello)),
        (Sender::Server, retry),
        (Sender::Client, again.seal(&hello)),
        (Sender::Server, answer.seal(&crypto(0, &hex(SERVER_HELLO)))),
    ]);
    let expected = [QuicEvent::ClientHello, QuicEvent::Retry, QuicEvent::ClientHello, QuicEvent::ServerHello];
    assert_eq!(events(&records), expected);
    let quic = records.of::<record::Quic>();
    assert_eq!([quic[0].token_bytes, quic[2].token_bytes], [0, 5]);
    assert_eq!((quic[2].retry_packets, quic[2].initial_packets), (1, 2));
    assert!(quic.iter().all(|quic| quic.original_destination_connection_id.as_deref() == Some(&DESTINATION[..])));
    assert_eq!(quic[3].server_connection_id.as_deref(), Some(&OTHER[..]));
    assert_eq!((quic[1].response_time_ns, quic[3].response_time_ns), (Some(1_000_000), Some(1_000_000)));
    assert_eq!(records.weirds(), [""; 0]);
}

#[test]
fn forged_retry_is_told_and_not_followed() {
    let mut retry = hex("ff000000010008f067a5502a4262b5746f6b656e04a265ba2eff4d829058fb3f0f2496ba");
    *retry.last_mut().unwrap() ^= 1;
    let hello = crypto(0, &hex(CLIENT_HELLO));
    let server = crypto(0, &hex(SERVER_HELLO));
    let records = exchange(&[
        (Sender::Client, FIRST.seal(&hello)),
        (Sender::Server, retry),
        (Sender::Server, ANSWER.seal(&server)),
    ]);
    let quic = records.of::<record::Quic>();
    assert_eq!((quic[1].event(), quic[1].retry_integrity_ok), (QuicEvent::Retry, Some(false)));
    assert_eq!((quic[2].event(), quic[2].request_seen), (QuicEvent::ServerHello, true));
}

#[test]
fn server_asks_for_another_hello() {
    let hello = hex(CLIENT_HELLO);
    let mut retry = hex(SERVER_HELLO);
    retry[6..38].copy_from_slice(&hex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c"));
    let records = exchange(&[
        (Sender::Client, FIRST.seal(&crypto(0, &hello))),
        (Sender::Server, ANSWER.seal(&crypto(0, &retry))),
        (Sender::Client, Initial { number: 1, ..FIRST }.seal(&crypto(hello.len(), &hello))),
        (Sender::Server, Initial { number: 1, ..ANSWER }.seal(&crypto(retry.len(), &hex(SERVER_HELLO)))),
    ]);
    let quic = records.of::<record::Quic>();
    let asked: Vec<_> = quic.iter().map(|quic| (quic.event(), quic.hello_retry_request)).collect();
    let (client, server) = (QuicEvent::ClientHello, QuicEvent::ServerHello);
    assert_eq!(asked, [(client, false), (server, true), (client, false), (server, false)]);
}

#[test]
fn handshake_goes_on_in_another_engine_after_any_packet() {
    let hello = hex(CLIENT_HELLO);
    let server = hex(SERVER_HELLO);
    let retry = hex("ff000000010008f067a5502a4262b5746f6b656e04a265ba2eff4d829058fb3f0f2496ba");
    let again = |number| Initial { key_source: &SERVER, destination: &SERVER, token: b"token", number, ..FIRST };
    let answer = |number| Initial { key_source: &SERVER, source: &OTHER, number, ..ANSWER };
    let datagrams = [
        (Sender::Client, FIRST.seal(&crypto(0, &hello))),
        (Sender::Server, retry),
        (Sender::Client, again(1).seal(&crypto(90, &hello[90..]))),
        (Sender::Client, again(2).seal(&crypto(0, &hello[..100]))),
        (Sender::Server, answer(0).seal(&crypto(20, &server[20..]))),
        (Sender::Server, answer(1).seal(&crypto(0, &server[..20]))),
    ];
    let frames: Vec<_> = datagrams.iter().map(frame).collect();
    let records = testing::decode_with_snapshots(&frames);
    assert_eq!(records.of::<record::Quic>(), exchange(&datagrams).of::<record::Quic>());
    assert_eq!(records.of::<record::Quic>().len(), 4);
}

/// RFC 9368 §2.3: an answer in a version that the client's hello offers.
#[test]
fn server_answers_in_another_version() {
    let hello = crypto(0, &hex(CLIENT_HELLO));
    let answer = Initial { version: VERSION_2, ..ANSWER };
    let records = exchange(&[
        (Sender::Client, FIRST.seal(&hello)),
        (Sender::Server, answer.seal(&crypto(0, &hex(SERVER_HELLO)))),
        (
            Sender::Client,
            Initial { version: VERSION_2, destination: &SERVER, number: 1, ..FIRST }.seal(&[2, 0, 0, 0, 0]),
        ),
    ]);
    let versions: Vec<_> = records.of::<record::Quic>().iter().map(|quic| quic.version_name.clone()).collect();
    assert_eq!(versions, ["1", "2"]);
    assert_eq!(records.weirds(), [""; 0]);
}

#[test]
fn version_negotiation_leads_to_another_version() {
    let hello = crypto(0, &hex(CLIENT_HELLO));
    let reserved = Initial { version: 0x1a2a_3a4a, ..FIRST }.seal(&hello);
    // Offers version 1 and one that is reserved.
    let negotiation = hex("80 00000000 00 08 8394c8f03e515708 00000001 0a0a0a0a");
    let records = exchange(&[
        (Sender::Client, reserved),
        (Sender::Server, negotiation),
        (Sender::Client, Initial { number: 1, ..FIRST }.seal(&hello)),
    ]);
    let expected = [QuicEvent::ClientHello, QuicEvent::VersionNegotiation, QuicEvent::ClientHello];
    assert_eq!(events(&records), expected);
    let quic = records.of::<record::Quic>();
    assert_eq!((quic[0].version_name.as_str(), quic[2].version_name.as_str()), ("reserved", "1"));
    assert_eq!((quic[1].version, quic[1].version_name.as_str()), (0, "negotiation"));
    assert_eq!(quic[1].offered_versions, [1, 0x0a0a_0a0a]);
    assert_eq!(quic[2].version_negotiation_packets, 1);
}

#[test]
fn packets_behind_the_hello_in_its_datagram_count() {
    let zero_rtt =
        hex("d0 00000001 08 8394c8f03e515708 00 4020 0000000000000000000000000000000000000000000000000000000000000000");
    let handshake = hex("e0 00000001 08 8394c8f03e515708 00 14 0000000000000000000000000000000000000000");
    let short = hex("40 8394c8f03e515708 00000000");
    let datagram = [FIRST.seal(&crypto(0, &hex(CLIENT_HELLO))), zero_rtt.clone(), zero_rtt, handshake, short].concat();
    let quic = &from_client(&[datagram]).of::<record::Quic>()[0];
    assert_eq!((quic.initial_packets, quic.zero_rtt_packets, quic.handshake_packets), (1, 2, 1));
}

#[test]
fn server_refuses_with_a_reason() {
    // CONNECTION_CLOSE: CRYPTO_ERROR with TLS alert 120, frame type 6, reason.
    let close = [&hex("1c 4178 06 07")[..], b"no\x00alpn"].concat();
    let records = exchange(&[
        (Sender::Client, FIRST.seal(&crypto(0, &hex(CLIENT_HELLO)))),
        (Sender::Server, ANSWER.seal(&[&[2, 0, 0, 0, 0][..], &close].concat())),
    ]);
    let quic = &records.of::<record::Quic>()[1];
    assert_eq!((quic.event(), quic.error_code), (QuicEvent::Close, Some(0x178)));
    assert_eq!((quic.error_name.as_str(), quic.error_frame_type), ("CRYPTO_ERROR", Some(6)));
    assert_eq!(quic.error_reason, "no\\x00alpn");
}

#[test]
fn one_port_of_a_client_has_several_connections() {
    let hello = hex(CLIENT_HELLO);
    let other = Initial { key_source: &OTHER, destination: &OTHER, source: &[7], ..FIRST };
    let records = from_client(&[
        FIRST.seal(&crypto(0, &hello[..50])),
        other.seal(&crypto(0, &hello[..50])),
        Initial { number: 1, ..FIRST }.seal(&crypto(50, &hello[50..])),
        Initial { number: 1, ..other.clone() }.seal(&crypto(50, &hello[50..])),
    ]);
    let ids: Vec<_> = records.of::<record::Quic>().into_iter().map(|quic| quic.client_connection_id).collect();
    assert_eq!(ids, [Some(vec![]), Some(vec![7])]);
    assert_eq!(records.weirds(), [""; 0]);
}

/// RFC 9287: a server may clear the bit in any packet once the client has agreed.
#[test]
fn server_leaves_the_fixed_bit_to_chance() {
    let mut answer = ANSWER.seal_without_fixed_bit(&crypto(0, &hex(SERVER_HELLO)));
    let records =
        exchange(&[(Sender::Client, FIRST.seal(&crypto(0, &hex(CLIENT_HELLO)))), (Sender::Server, answer.clone())]);
    assert_eq!(events(&records), [QuicEvent::ClientHello, QuicEvent::ServerHello]);
    answer[0] |= 0x40;
    let records = exchange(&[(Sender::Client, FIRST.seal(&crypto(0, &hex(CLIENT_HELLO)))), (Sender::Server, answer)]);
    assert_eq!(events(&records), [QuicEvent::ClientHello]);
}

#[test]
fn answers_alone_are_unreadable_once() {
    let server = ANSWER.seal(&crypto(0, &hex(SERVER_HELLO)));
    let records = exchange(&[(Sender::Server, server.clone()), (Sender::Server, server)]);
    assert_eq!(events(&records), [QuicEvent::Unreadable]);
    assert_eq!(records.of::<record::Quic>()[0].source_connection_id, SERVER);
}

#[test]
fn transport_parameters_of_google_and_of_later_standards_are_read() {
    // Extension 57 is the last one of the hello: the lengths of all that hold it grow with it.
    let mut hello = hex(CLIENT_HELLO);
    let more = hex("7129 06 436872304d65 0b 01 19 0c 00 20 04 80010000 6ab2 00 11 08 00000001 6b3343cf 0a 01 03");
    let grown = |at: usize, hello: &[u8]| {
        let length = usize::from(u16::from_be_bytes([hello[at], hello[at + 1]])) + more.len();
        u16::try_from(length).unwrap().to_be_bytes()
    };
    let extension = hello.len() - 0x32 - 2;
    let extensions = 4 + 2 + 32 + 1 + 2 + 4 + 2;
    for at in [2, extensions, extension] {
        let length = grown(at, &hello);
        hello[at..at + 2].copy_from_slice(&length);
    }
    hello.extend(&more);
    let records = from_client(&[FIRST.seal(&crypto(0, &hello))]);
    let quic = &records.of::<record::Quic>()[0];
    assert_eq!(quic.user_agent, "Chr0Me");
    assert_eq!((quic.max_ack_delay_ns, quic.ack_delay_exponent), (Some(25_000_000), Some(3)));
    assert_eq!((quic.active_migration_disabled, quic.grease_quic_bit), (true, true));
    assert_eq!(quic.max_datagram_frame_bytes, Some(0x10000));
    assert_eq!((quic.chosen_version, &quic.available_versions[..]), (Some(1), &[i64::from(VERSION_2)][..]));
    assert_eq!(records.weirds(), [""; 0]);
}
