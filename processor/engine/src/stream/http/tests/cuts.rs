//! The same records however the stream was cut, and what gaps leave of it.

use proptest::prelude::*;
use weir_contract::{TransactionState, record};

use super::{CLIENT, SERVER, services};
use crate::testing::{self, ETHERNET, Records, tcp_connection};

/// Every kind of body and turn.
pub(in crate::stream) const TURNS: &[(bool, &[u8])] = &[
    (CLIENT, b"POST /1 HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n"),
    (SERVER, b"HTTP/1.1 100 Continue\r\n\r\n"),
    (CLIENT, b"4\r\nabcd\r\n2\r\nef\r\n0\r\nSum: 1\r\n\r\n"),
    (SERVER, b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n<html>\n"),
    (CLIENT, b"\r\nHEAD /2 HTTP/1.1\r\nX: b\r\n c\r\n\r\nGET /3 HTTP/1.1\r\nCookie: a=b\r\n\r\n"),
    (SERVER, b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n"),
    (SERVER, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n%PD\r\n5\r\nF-1.4\r\n0\r\n\r\n"),
    (CLIENT, b"GET /4 HTTP/1.0\r\nUpgrade: a\r\n\r\n"),
    (SERVER, b"HTTP/1.0 404 Not Found\nServer: a\n\nuntil the end"),
];

/// What does not depend on when the bytes came.
fn plain(records: &Records) -> Vec<record::Http> {
    let mut all: Vec<record::Http> = records.of();
    for http in &mut all {
        let from_responder = http.meta.take().unwrap_or_default().from_responder;
        http.meta = Some(weir_contract::Meta { from_responder, ..Default::default() });
        http.response_time_ns = http.response_time_ns.map(|_| 0);
        http.response_duration_ns = http.response_duration_ns.map(|_| 0);
        http.duration_ns = 0;
    }
    all
}

/// The turns, each cut behind those of its bytes at which `is_cut`.
fn cut(is_cut: impl Fn(usize) -> bool) -> Vec<(bool, &'static [u8])> {
    let mut at = 0;
    let mut parts = Vec::new();
    for (side, turn) in TURNS {
        let mut start = 0;
        for end in 1..=turn.len() {
            at += 1;
            if end == turn.len() || is_cut(at) {
                parts.push((*side, &turn[start..end]));
                start = end;
            }
        }
    }
    parts
}

fn decode(turns: &[(bool, &[u8])]) -> Records {
    testing::decode(ETHERNET, &tcp_connection(80, turns, 1400))
}

#[test]
fn a_stream_cut_at_any_byte_gives_the_same_records() {
    let whole = decode(TURNS);
    let expected = plain(&whole);
    let told: Vec<_> = expected.iter().map(|each| (&*each.uri, each.status_code, each.response_body_bytes)).collect();
    assert_eq!(
        told,
        [
            ("/1", Some(200), Some(7)),
            ("/2", Some(200), Some(0)),
            ("/3", Some(200), Some(8)),
            ("/4", Some(404), Some(13))
        ]
    );
    assert!(expected.iter().all(|each| each.state() == TransactionState::Complete));
    let media_types: Vec<_> = expected.iter().map(|each| &*each.response_media_type).collect();
    assert_eq!(media_types, ["text/html", "", "application/pdf", "text/plain"]);
    for byte in 1..TURNS.iter().map(|(_, turn)| turn.len()).sum() {
        let records = decode(&cut(|at| at == byte));
        assert_eq!(plain(&records), expected, "cut behind byte {byte}");
        assert_eq!(records.weirds(), whole.weirds(), "cut behind byte {byte}");
    }
    assert_eq!(plain(&decode(&cut(|_| true))), expected, "cut everywhere");
}

#[test]
fn a_snapshot_after_any_byte_changes_nothing() {
    let frames = tcp_connection(80, &cut(|_| true), 1);
    let records = testing::decode_with_snapshots(&frames);
    let at_once = testing::decode(ETHERNET, &frames);
    assert_eq!(records.of::<record::Http>(), at_once.of::<record::Http>());
    assert_eq!(plain(&records), plain(&decode(TURNS)));
    assert_eq!(services(&records), ["http"]);
}

proptest! {
    #[test]
    fn a_stream_cut_at_many_bytes_gives_the_same_records(cuts in prop::collection::btree_set(1usize..700, 0..40)) {
        prop_assert_eq!(plain(&decode(&cut(|at| cuts.contains(&at)))), plain(&decode(TURNS)));
    }

    #[test]
    fn a_changed_byte_never_panics_and_what_it_makes_does_not_depend_on_cuts(
        at in 0usize..600,
        byte: u8,
        cuts in prop::collection::btree_set(1usize..700, 0..10),
    ) {
        let mut streams = cut(|at| cuts.contains(&at)).into_iter().map(|(side, part)| (side, part.to_vec())).collect::<Vec<_>>();
        let mut turns = TURNS.iter().map(|(side, turn)| (*side, turn.to_vec())).collect::<Vec<_>>();
        for parts in [&mut streams, &mut turns] {
            if let Some(place) = parts.iter_mut().flat_map(|(_, part)| part).nth(at) {
                *place = byte;
            }
        }
        fn view(parts: &[(bool, Vec<u8>)]) -> Vec<(bool, &[u8])> {
            parts.iter().map(|(side, part)| (*side, &part[..])).collect()
        }
        prop_assert_eq!(plain(&decode(&view(&streams))), plain(&decode(&view(&turns))));
    }
}

/// What becomes of turns in one segment each, without the one at `lost`.
fn without(turns: &[(bool, &[u8])], lost: usize) -> (Vec<record::Http>, Vec<String>) {
    let mut frames = tcp_connection(80, turns, 1400);
    frames.remove(3 + 2 * lost);
    let records = testing::decode(ETHERNET, &frames);
    (records.of(), records.weirds())
}

const FIRST: &[u8] = b"GET /1 HTTP/1.1\r\n\r\n";
const SECOND: &[u8] = b"GET /2 HTTP/1.1\r\n\r\n";
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

#[test]
fn a_gap_in_a_body_of_known_length_marks_the_record() {
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab";
    let turns = [(CLIENT, FIRST), (SERVER, head), (SERVER, b"cdef"), (SERVER, b"ghi"), (CLIENT, SECOND), (SERVER, OK)];
    let (http, weirds) = without(&turns, 2);
    assert_eq!(
        (http[0].gap, http[0].state(), http[0].response_body_bytes),
        (true, TransactionState::Complete, Some(9))
    );
    assert_eq!((http[1].gap, &*http[1].uri, http[1].status_code), (false, "/2", Some(200)));
    assert_eq!(weirds, ["http Gap: bytes of the stream were never captured"]);
}

#[test]
fn a_lost_response_is_of_no_other_request() {
    let turns = [(CLIENT, FIRST), (SERVER, OK), (CLIENT, SECOND), (SERVER, OK), (CLIENT, FIRST), (SERVER, OK)];
    let (http, _) = without(&turns, 1);
    let told: Vec<_> = http.iter().map(|each| (&*each.uri, each.state(), each.status_code, each.gap)).collect();
    assert_eq!(
        told,
        [
            ("/1", TransactionState::Gap, None, false),
            ("/2", TransactionState::Gap, None, false),
            ("", TransactionState::Complete, Some(200), true),
            ("/1", TransactionState::Complete, Some(200), false),
        ]
    );
}

#[test]
fn a_lost_request_takes_no_other_ones_response() {
    let turns = [(CLIENT, FIRST), (SERVER, OK), (CLIENT, SECOND), (SERVER, OK), (CLIENT, FIRST), (SERVER, OK)];
    let (http, _) = without(&turns, 2);
    let told: Vec<_> = http.iter().map(|each| (&*each.uri, each.request_seen, each.status_code, each.gap)).collect();
    assert_eq!(told, [("/1", true, Some(200), false), ("", false, Some(200), false), ("/1", true, Some(200), true)]);
}

#[test]
fn a_gap_among_pipelined_requests_ends_the_reading() {
    let turns = [(CLIENT, FIRST), (CLIENT, SECOND), (CLIENT, SECOND), (SERVER, OK), (SERVER, OK), (SERVER, OK)];
    for (lost, answered) in [(3, 0), (4, 1)] {
        let (http, _) = without(&turns, lost);
        assert_eq!(http.len(), 3);
        for (at, each) in http.iter().enumerate() {
            let state = if at < answered { TransactionState::Complete } else { TransactionState::Gap };
            assert_eq!((each.state(), each.request_seen), (state, true), "transaction {at}");
        }
    }
}

#[test]
fn behind_a_gap_within_a_response_the_next_request_begins_anew() {
    let turns = [(CLIENT, FIRST), (SERVER, &OK[..10]), (SERVER, &OK[10..]), (CLIENT, SECOND), (SERVER, OK)];
    for lost in [1, 2] {
        let (http, _) = without(&turns, lost);
        let told: Vec<_> = http.iter().map(|each| (&*each.uri, each.state(), each.status_code, each.gap)).collect();
        let first = ("/1", TransactionState::Gap, None, false);
        if lost == 1 {
            assert_eq!(told, [first, ("/2", TransactionState::Complete, Some(200), true)]);
        } else {
            // It is known to be lost only when the next response comes.
            let second = ("/2", TransactionState::Gap, None, false);
            assert_eq!(told, [first, second, ("", TransactionState::Complete, Some(200), true)]);
        }
    }
}
