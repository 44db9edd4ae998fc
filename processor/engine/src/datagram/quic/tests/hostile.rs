//! What nobody sends who means well.

use proptest::prelude::*;
use weir_contract::{
    Selection,
    record::{self, QuicEvent},
};

use super::{super::Quic, *};
use crate::{
    Cursor,
    datagram::{Context, Datagram, Probe},
    output::Output,
};

fn whole_datagram() -> Vec<u8> {
    let mut payload = crypto(0, &hex(CLIENT_HELLO));
    payload.resize(600, 0);
    FIRST.seal(&payload)
}

/// Frames of the kinds that are read, most of them as they should be.
fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let hello = hex(CLIENT_HELLO);
    let length = hello.len();
    let piece =
        (0..length, 0..120usize).prop_map(move |(from, bytes)| crypto(from, &hello[from..(from + bytes).min(length)]));
    let bytes = prop::collection::vec(any::<u8>(), 0..40);
    prop_oneof![
        8 => piece,
        1 => Just(vec![0; 30]),
        1 => Just(hex("02 05 01 01 00 00 00")),
        1 => Just(hex("1c 0a 06 02 6e6f")),
        2 => (0..20_000usize, bytes.clone()).prop_map(|(offset, bytes)| crypto(offset.min(0x3fff), &bytes)),
        1 => (prop::sample::select(vec![0x02u8, 0x03, 0x06, 0x1c]), bytes.clone())
            .prop_map(|(kind, bytes)| [&[kind][..], &bytes].concat()),
        1 => bytes,
    ]
}

proptest! {
    /// A fuzzer does not get past the tags: here the frames are its own.
    #[test]
    fn any_frames_keep_to_the_bounds(
        packets in prop::collection::vec((any::<bool>(), prop::collection::vec(any_frame(), 1..12)), 1..8),
    ) {
        let datagrams: Vec<_> = (0..)
            .zip(packets)
            .map(|(number, (is_servers, frames))| {
                let (sender, packet) = if is_servers { (Sender::Server, ANSWER) } else { (Sender::Client, FIRST) };
                let mut payload = frames.concat();
                payload.resize(payload.len().max(4), 0);
                (sender, Initial { number, ..packet }.seal(&payload))
            })
            .collect();
        let records = exchange(&datagrams);
        let of = |event| records.of::<record::Quic>().iter().filter(|quic| quic.event() == event).count();
        prop_assert!(of(QuicEvent::ClientHello) <= 2 && of(QuicEvent::ServerHello) <= 2);
        prop_assert!(of(QuicEvent::Close) <= datagrams.len() && of(QuicEvent::Unreadable) <= 1);
    }

    /// What is put together is what was cut, whatever else is there.
    #[test]
    fn hello_in_random_pieces_is_whole(cuts in prop::collection::vec((0..241usize, 1..60usize), 0..30)) {
        let hello = hex(CLIENT_HELLO);
        let pieces = cuts.into_iter().map(|(from, bytes)| (from, (from + bytes).min(hello.len())));
        let frames: Vec<u8> = pieces.flat_map(|(from, to)| crypto(from, &hello[from..to])).collect();
        let rest = crypto(0, &hello);
        let records = from_client(&[FIRST.seal(&[frames, rest].concat())]);
        prop_assert_eq!(hellos(&records), 1);
        prop_assert_eq!(&records.of::<record::Quic>()[0].server_name, "example.com");
    }
}

fn hellos(records: &Records) -> usize {
    records.of::<record::Quic>().iter().filter(|quic| quic.event() == QuicEvent::ClientHello).count()
}

#[test]
fn cut_packets_are_unreadable() {
    let datagram = whole_datagram();
    for length in 0..datagram.len() {
        let records = from_client(&[datagram[..length].to_vec()]);
        assert_eq!((hellos(&records), records.of::<record::TlsClientHello>().len()), (0, 0), "{length} bytes");
        let quic = records.of::<record::Quic>();
        assert!(quic.iter().all(|quic| quic.event() == QuicEvent::Unreadable && quic.truncated && !quic.decrypted));
        let length_is_known = 18;
        assert_eq!(quic.len(), usize::from(length >= length_is_known), "{length} bytes");
    }
}

#[test]
fn flipped_bits_give_no_hello() {
    let datagram = whole_datagram();
    for at in 0..datagram.len() {
        for bit in 0..8 {
            let mut flipped = datagram.clone();
            flipped[at] ^= 1 << bit;
            assert_eq!(hellos(&from_client(&[flipped])), 0, "bit {bit} of byte {at}");
        }
    }
}

#[test]
fn changed_packet_of_a_known_connection_is_told() {
    let mut changed = Initial { number: 1, ..FIRST }.seal(&[0; 40]);
    *changed.last_mut().unwrap() ^= 1;
    let records = from_client(&[whole_datagram(), changed]);
    assert_eq!(records.weirds(), ["quic BadChecksum: Initial packet whose tag is wrong"]);
}

#[test]
fn payloads_of_hostile_numbers_end() {
    let endless = "ffffffffffffffff";
    for (payload, weird) in [
        (format!("06 {endless} {endless}"), "quic Truncated: ends before its fields do"),
        (format!("06 00 {endless} 01"), "quic Truncated: ends before its fields do"),
        (format!("02 00 00 {endless} 00"), "quic Truncated: ends before its fields do"),
        (format!("1c 00 00 {endless}"), "quic Truncated: ends before its fields do"),
        ("06".to_owned(), "quic Truncated: ends before its fields do"),
        (endless.to_owned(), "quic BadValue: frame that Initial packets may not hold"),
        ("08 00".to_owned(), "quic BadValue: frame that Initial packets may not hold"),
    ] {
        let mut payload = hex(&payload);
        // As short as a packet may be; behind the frame there is nothing that could be read.
        let padding = 4usize.saturating_sub(payload.len());
        payload.splice(0..0, vec![0; padding]);
        let records = from_client(&[FIRST.seal(&payload)]);
        assert_eq!(records.weirds(), [weird], "{payload:02x?}");
    }
}

#[test]
fn crypto_frames_at_the_end_of_the_number_space_are_kept_and_harm_nobody() {
    let frame = [&hex("06 ffffffffffffffff 04")[..], &[1; 4]].concat();
    let records = from_client(&[FIRST.seal(&[frame, crypto(0, &hex(CLIENT_HELLO))].concat())]);
    assert_eq!((hellos(&records), records.weirds().len()), (1, 0));
}

#[test]
fn no_more_than_16_kib_wait() {
    let packet = |number: u32| {
        let offset = 1000 * usize::try_from(number).unwrap() + 10;
        Initial { number, ..FIRST }.seal(&crypto(offset, &[1; 1000]))
    };
    let packets: Vec<_> = (0..16).map(packet).collect();
    let records = from_client(&packets[..15]);
    assert_eq!(records.weirds(), [""; 0]);
    let over = from_client(&(0..20).map(packet).collect::<Vec<_>>());
    let weird = "quic Limit: more than 16 KiB of CRYPTO frames wait for others";
    assert!(over.weirds().iter().all(|found| found == weird) && !over.weirds().is_empty());
}

#[test]
fn state_is_bounded_and_counted() {
    let mut flow = Default::default();
    let mut out = Output::new(Selection::all());
    let mut largest = 0;
    // Of each of four connections the first byte of the hello never comes.
    for number in 0..60u32 {
        let destination = [u8::try_from(number % 4).unwrap(); 8];
        let packet =
            Initial { number, key_source: &destination, destination: &destination, source: &destination, ..FIRST };
        let offset = 1 + 1000 * usize::try_from(number / 4).unwrap();
        let datagram = packet.seal(&crypto(offset, &[1; 1000]));
        let mut context =
            Context { ts_ns: 0, from_responder: false, expected_since_ns: None, expects_answer_elsewhere: false };
        let _ = Quic::parse(Cursor::new(&datagram), &mut context, &mut flow, &mut out);
        largest = largest.max(Quic::held_bytes(&flow));
    }
    assert!((15_000..20_000).contains(&largest), "{largest} bytes");
}

#[test]
fn no_more_than_100_gaps_are_kept() {
    let frames: Vec<u8> = (0..101).flat_map(|piece| crypto(2 * piece + 1, &[1])).collect();
    let records = from_client(&[FIRST.seal(&frames)]);
    assert_eq!(records.weirds(), ["quic Limit: CRYPTO frames with more than 100 gaps"]);
}

#[test]
fn handshake_messages_that_lie_about_their_length_end_the_stream() {
    let hello = hex(CLIENT_HELLO);
    let frames = [crypto(0, &[1, 0xff, 0xff, 0xff]), crypto(4, &hello)].concat();
    let records = from_client(&[FIRST.seal(&frames)]);
    assert_eq!(records.weirds(), ["quic Limit: handshake message of more than 16 KiB"]);
    assert_eq!(hellos(&records), 0);
}

#[test]
fn third_hello_of_a_side_is_not_read() {
    // Headers of four bytes, without bodies: 300 of them fill a datagram.
    let frames = crypto(0, &[1, 0, 0, 0].repeat(250));
    let records = from_client(&[FIRST.seal(&frames)]);
    assert_eq!(records.of::<record::Quic>().len(), 2);
    let weird = "quic Unexpected: third handshake message in Initial packets".to_owned();
    assert!(records.weirds().contains(&weird));
}

#[test]
fn closes_of_one_packet_are_one() {
    let records = from_client(&[FIRST.seal(&[0x1c, 0, 0, 0].repeat(200))]);
    assert_eq!(records.of::<record::Quic>().len(), 1);
}

#[test]
fn sixteen_packets_of_a_datagram_are_read() {
    let packet = FIRST.seal(&[0; 4]);
    let records = from_client(&[packet.repeat(16)]);
    assert_eq!(records.weirds(), [""; 0]);
    let records = from_client(&[packet.repeat(40)]);
    assert_eq!(records.weirds(), ["quic Limit: more than 16 packets in one datagram"]);
}

#[test]
fn short_packets_are_passed_over() {
    let mut datagrams = vec![whole_datagram()];
    datagrams.extend((0..10).map(|number| vec![0x40, number, 0, 0]));
    let records = from_client(&datagrams);
    assert_eq!((records.of::<record::Quic>().len(), records.weirds().len()), (1, 0));
}

/// RFC 9443: the first bytes tell them apart.
#[test]
fn rtp_on_the_same_ports_is_passed_over() {
    let rtp = [&hex("90 65 6444 64cdf6ac 0ea53582 bede0001")[..], &[0x51; 100]].concat();
    let records = from_client(&[whole_datagram(), rtp]);
    assert_eq!((records.of::<record::Quic>().len(), records.weirds().len()), (1, 0));
}

#[test]
fn probe_is_sure_of_whole_packets_of_known_versions_only() {
    let datagram = whole_datagram();
    assert_eq!(Quic::probe(&datagram), Probe::Yes);
    assert_eq!(Quic::probe(&ANSWER.seal(&[0; 100])), Probe::Yes);
    assert_eq!(Quic::probe(&datagram[..200]), Probe::Unsure);
    let changed = |at: usize, byte: u8| {
        let mut datagram = datagram.clone();
        datagram[at] = byte;
        Quic::probe(&datagram)
    };
    let short_header = 0x40;
    let without_fixed_bit = 0x80;
    assert_eq!([changed(0, short_header), changed(0, without_fixed_bit)], [Probe::No; 2]);
    let (unknown_version, long_identifier) = (changed(1, 0x77), changed(5, 21));
    assert_eq!([unknown_version, long_identifier], [Probe::No; 2]);
}

#[test]
fn reserved_versions_and_negotiation_need_more_proof_than_a_number() {
    let reserved = |destination: &str| hex(&format!("c0 1a2a3a4a 08 {destination} 00 00 15 {}", "00".repeat(21)));
    assert_eq!(Quic::probe(&reserved("8394c8f03e515708")), Probe::Unsure);
    let opens = Initial { version: 0x1a2a_3a4a, ..FIRST }.seal(&[0; 20]);
    assert_eq!(Quic::probe(&opens), Probe::Yes);

    let negotiation = |source: &str, version: &str| Quic::probe(&hex(&format!("80 00000000 00 {source} {version}")));
    let probes = [negotiation("08 8394c8f03e515708", "00000001"), negotiation("01 83", "00000001")];
    assert_eq!(probes, [Probe::Yes, Probe::Unsure]);
    let probes = [negotiation("08 8394c8f03e515708", "00000007"), negotiation("00", "00000001 00")];
    assert_eq!(probes, [Probe::No; 2]);
}
