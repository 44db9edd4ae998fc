//! The same bytes give the same records however they were cut into segments, in whatever order those came,
//! and wherever the engine went through a snapshot.

use proptest::prelude::*;
use prost::Message as _;
use weir_contract::{Meta, RecordType};

use super::{dns, http, ssh, tls};
use crate::testing::{self, Records, tcp};

const SYN: u16 = 2;
const ACK: u16 = 16;
const FIN: u16 = 1;

/// What the two sides say in turn, true for the client.
type Turns = Vec<(bool, Vec<u8>)>;

/// A conversation for each parser, with its port.
fn conversations() -> Vec<(u16, Turns)> {
    vec![
        (53, dns::tests::conversation()),
        (22, ssh::tests::handshake().to_vec()),
        (80, http::tests::cuts::TURNS.iter().map(|(from_client, said)| (*from_client, said.to_vec())).collect()),
        (80, http::tests::files::TURNS.iter().map(|(from_client, said)| (*from_client, said.to_vec())).collect()),
        (443, tls::tests::session_1_2(1000)),
    ]
}

/// How one turn is cut and shuffled.
#[derive(Debug, Clone)]
struct Cuts {
    /// Lengths of segments, used again and again.
    lengths: Vec<usize>,
    /// Which of those not sent yet comes next.
    order: Vec<usize>,
    /// One of them comes twice.
    repeated: usize,
}

fn cuts() -> impl Strategy<Value = Vec<Cuts>> {
    let one = (prop::collection::vec(1usize..60, 1..8), prop::collection::vec(0usize..20, 1..40), any::<usize>());
    prop::collection::vec(one.prop_map(|(lengths, order, repeated)| Cuts { lengths, order, repeated }), 1..6)
}

/// Frames of the conversation. A turn is acknowledged when all of it is there.
fn frames(port: u16, turns: &[(bool, Vec<u8>)], cuts: &[Cuts]) -> Vec<Vec<u8>> {
    let mut next = [u32::MAX - 40, 70_000];
    let mut frames = vec![
        tcp(true, port, SYN, (next[1].wrapping_sub(1), 0), b""),
        tcp(false, port, SYN | ACK, (next[0].wrapping_sub(1), next[1]), b""),
    ];
    for ((from_client, said), cuts) in turns.iter().zip(cuts.iter().cycle()) {
        let (own, other) = (usize::from(*from_client), usize::from(!*from_client));
        let mut segments = Vec::new();
        let mut rest = &said[..];
        for &length in cuts.lengths.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (segment, behind) = rest.split_at(length.min(rest.len()));
            segments.push(tcp(*from_client, port, ACK, (next[own], next[other]), segment));
            next[own] = next[own].wrapping_add(u32::try_from(segment.len()).unwrap());
            rest = behind;
        }
        if !segments.is_empty() {
            segments.push(segments[cuts.repeated % segments.len()].clone());
        }
        for choice in cuts.order.iter().cycle() {
            if segments.is_empty() {
                break;
            }
            frames.push(segments.remove(choice % segments.len().min(20)));
        }
        frames.push(tcp(!*from_client, port, ACK, (next[other], next[own]), b""));
    }
    frames.push(tcp(true, port, ACK | FIN, (next[1], next[0]), b""));
    frames.push(tcp(false, port, ACK | FIN, (next[0], next[1] + 1), b""));
    frames
}

/// The first difference, if there is one: the type of record, and both as text as far as they are.
fn difference(said: &[Said], expected: &[Said]) -> Option<String> {
    if said.len() != expected.len() {
        let names =
            |said: &[Said]| said.iter().map(|(record_type, ..)| record_type.name()).collect::<Vec<_>>().join(" ");
        return Some(format!("{} instead of {}", names(said), names(expected)));
    }
    let (said, expected) = said.iter().zip(expected).find(|(said, expected)| said != expected)?;
    let text = |(record_type, meta, rest): &Said| format!("{} {meta:?} {}", record_type.name(), rest.escape_ascii());
    Some(format!("{}\ninstead of\n{}", text(said), text(expected)))
}

/// A record's type, what it shares with others, and all else.
type Said = (RecordType, Meta, Vec<u8>);

/// What does not depend on which packet brought it. All packets have the same time.
fn what_was_said(records: &Records) -> Vec<Said> {
    let of_streams = records.0.iter().filter(|(record_type, _)| {
        !matches!(record_type.name(), "ethernet" | "ipv4" | "tcp" | "packet" | "connection" | "flow" | "flow_features")
    });
    let mut said: Vec<_> = of_streams
        .map(|(record_type, bytes)| {
            let mut rest = &bytes[1..];
            let meta = Meta::decode_length_delimited(&mut rest).unwrap();
            let meta = Meta { packet_number: 0, record_index: 0, ..meta };
            (*record_type, meta, rest.to_vec())
        })
        .collect();
    said.sort_by_key(|(record_type, meta, rest)| (record_type.name(), meta.encode_to_vec(), rest.clone()));
    said
}

fn decode(frames: &[Vec<u8>], has_snapshots: bool) -> Records {
    let at_once: Vec<_> = frames.iter().map(|frame| (1_000_000_000, frame.clone())).collect();
    testing::decode_one_by_one(&at_once, has_snapshots)
}

#[test]
fn a_stream_in_segments_of_any_length_says_the_same() {
    for (port, turns) in conversations() {
        let of = |length: usize, has_snapshots: bool| {
            let cuts = Cuts { lengths: vec![length], order: vec![0], repeated: 0 };
            what_was_said(&decode(&frames(port, &turns, &[cuts]), has_snapshots))
        };
        let whole = of(100_000, false);
        assert!(!whole.is_empty());
        for length in 1..200 {
            let difference = difference(&of(length, length < 4), &whole);
            assert_eq!(difference, None, "port {port}, in segments of {length} bytes");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(32) })]

    #[test]
    fn segments_cut_and_shuffled_at_random_say_the_same(cuts in cuts(), has_snapshots: bool) {
        for (port, turns) in conversations() {
            let whole = Cuts { lengths: vec![100_000], order: cuts[0].order.clone(), repeated: cuts[0].repeated };
            let expected = what_was_said(&decode(&frames(port, &turns, &[whole]), false));
            let said = what_was_said(&decode(&frames(port, &turns, &cuts), has_snapshots));
            prop_assert_eq!(difference(&said, &expected), None, "port {}", port);
        }
    }
}
