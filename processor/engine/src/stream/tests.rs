//! What conversations make of segments, by the example of DNS over TCP.

use weir_contract::{Selection, record};

use super::dns::tests::{ANSWER, QUERY};
use crate::{
    Engine, Limits,
    testing::{self, ETHERNET, Records, tcp, tcp_connection},
};

const SYN: u16 = 2;
const RST: u16 = 4;
const ACK: u16 = 16;

/// What does not depend on how the messages came.
fn messages(records: &Records) -> Vec<record::Dns> {
    let mut messages: Vec<record::Dns> = records.of();
    for message in &mut messages {
        message.meta = Some(weir_contract::Meta {
            uid: message.meta.clone().unwrap_or_default().uid,
            from_responder: message.meta.clone().unwrap_or_default().from_responder,
            ..Default::default()
        });
        message.response_time_ns = message.response_time_ns.map(|_| 0);
    }
    messages
}

fn services(records: &Records) -> Vec<String> {
    records.of::<record::Connection>().into_iter().map(|connection| connection.service).collect()
}

#[test]
fn messages_are_read_from_a_stream_however_it_was_cut() {
    let turns = [(true, QUERY), (false, ANSWER), (true, QUERY), (false, ANSWER)];
    let whole = testing::decode(ETHERNET, &tcp_connection(53, &turns, 1000));
    let expected = messages(&whole);
    assert_eq!(expected.len(), 4);
    assert!(expected.iter().all(|message| message.query == "example.com"));
    assert!(expected[1].response && expected[1].request_seen && expected[1].meta.as_ref().unwrap().from_responder);
    assert_eq!(services(&whole), ["dns"]);
    assert_eq!(whole.weirds(), [""; 0]);
    for segment_bytes in 1..QUERY.len() + 2 {
        let records = testing::decode(ETHERNET, &tcp_connection(5353, &turns, segment_bytes));
        assert_eq!(messages(&records).len(), expected.len(), "in segments of {segment_bytes} bytes");
        assert_eq!(services(&records), ["dns"]);
    }
}

#[test]
fn a_snapshot_after_any_packet_changes_nothing() {
    let frames = tcp_connection(53, &[(true, QUERY), (false, ANSWER), (true, QUERY), (false, ANSWER)], 3);
    let at_once = testing::decode(ETHERNET, &frames);
    let records = testing::decode_with_snapshots(&frames);
    assert_eq!(messages(&records), messages(&at_once));
    assert_eq!(services(&records), ["dns"]);
    assert_eq!(records.of::<record::CaptureLoss>(), []);
}

#[test]
fn segments_in_any_order_are_one_stream() {
    let mut frames = tcp_connection(53, &[(true, QUERY), (true, QUERY), (true, QUERY)], 7);
    let end = frames.split_off(frames.len() - 3);
    // Acknowledgements say that nothing more is to be waited for.
    let mut data: Vec<_> = frames.split_off(3).into_iter().step_by(2).collect();
    data.reverse();
    let records = testing::decode(ETHERNET, &[frames, data, end].concat());
    assert_eq!(messages(&records).len(), 3);
}

#[test]
fn a_segment_that_never_came_is_told_and_ends_the_reading() {
    let mut frames = tcp_connection(53, &[(true, QUERY), (false, ANSWER), (true, QUERY), (false, ANSWER)], 8);
    let of_second_query = 3 + 2 * (QUERY.len().div_ceil(8) + ANSWER.len().div_ceil(8)) + 2;
    frames.remove(of_second_query);
    let records = testing::decode(ETHERNET, &frames);
    assert_eq!(messages(&records).len(), 2);
    assert_eq!(records.weirds(), ["dns Gap: bytes of the stream were never captured"]);
}

#[test]
fn overlaps_that_differ_are_told_and_the_first_wins() {
    let mut frames = tcp_connection(53, &[(true, QUERY), (false, ANSWER)], 16);
    let changed = tcp(true, 53, ACK, (1001, 0), &[0; 4]);
    frames.insert(5, changed);
    let records = testing::decode(ETHERNET, &frames);
    assert_eq!(messages(&records).len(), 2);
    assert_eq!(records.weirds(), [""; 0], "what is acknowledged is not looked at again");

    let frames = [
        tcp(true, 53, SYN, (1000, 0), b""),
        tcp(true, 53, ACK, (1001, 1), &QUERY[..20]),
        tcp(true, 53, ACK, (1003, 1), b"\xff\xff"),
        tcp(true, 53, ACK, (1021, 1), &QUERY[20..]),
    ];
    let records = testing::decode(ETHERNET, &frames);
    assert_eq!(messages(&records).len(), 1);
    assert_eq!(records.weirds(), ["tcp OverlapConflict: segments overlap with different bytes"]);
}

#[test]
fn a_reset_from_nowhere_is_told_and_stops_nothing() {
    let mut frames = tcp_connection(53, &[(true, QUERY), (false, ANSWER)], 100);
    frames.insert(4, tcp(true, 53, RST, (1 << 28, 0), b""));
    let records = testing::decode(ETHERNET, &frames);
    assert_eq!(messages(&records).len(), 2);
    assert_eq!(records.weirds(), ["tcp Unexpected: a reset outside of the window"]);
}

#[test]
fn a_connection_that_was_not_seen_from_its_beginning_is_picked_up() {
    let frames = tcp_connection(53, &[(true, b"the end of something"), (true, QUERY), (false, ANSWER)], 100);
    let records = testing::decode(ETHERNET, &frames[3..]);
    assert_eq!(messages(&records).len(), 2);
    assert_eq!(services(&records), ["dns"]);
}

#[test]
fn what_is_nobodys_is_not_kept() {
    let mut engine = Engine::new(0, Limits::per_partition(1), Selection::all());
    let mut batch = testing::batch(ETHERNET, &tcp_connection(9999, &[(true, &[0x55; 3000])], 1000));
    batch.end_of_capture = false;
    engine.push(&batch, &mut Records::default()).unwrap();
    assert_eq!(engine.state.readers.held_bytes, 0);
}

#[test]
fn streams_that_hold_too_much_give_way_to_later_ones() {
    let limits = Limits { stream_bytes: 16 << 10, ..Limits::per_partition(1) };
    let mut engine = Engine::new(0, limits, Selection::all());
    let mut records = Records::default();
    let holes: Vec<Vec<u8>> = (0..100u16)
        .flat_map(|port| {
            let segment = |flags, sequence, payload: &[u8]| tcp(true, port + 1000, flags, (sequence, 1), payload);
            [segment(SYN, 0, b""), segment(ACK, 1, &QUERY[..20]), segment(ACK, 30, &[0; 1000])]
        })
        .collect();
    let mut batch = testing::batch(ETHERNET, &holes);
    batch.end_of_capture = false;
    engine.push(&batch, &mut records).unwrap();
    assert!(engine.state.readers.held_bytes <= limits.stream_bytes);
    assert!(engine.counters().evicted_streams > 80);
    let told = records.weirds().iter().filter(|weird| weird.contains("Evicted")).count();
    assert_eq!(u64::try_from(told).unwrap(), engine.counters().evicted_streams);
    engine.finish("test", 1, &mut records);
    assert_eq!(engine.state.readers.held_bytes, 0);
    assert_eq!(records.of::<record::Connection>().len(), 100);
}
