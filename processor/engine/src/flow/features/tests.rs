//! What vectors hold, and what they cost.

use etherparse::PacketBuilder;
use proptest::prelude::*;
use weir_contract::{
    EndReason, PacketBatch, Selection,
    record::{Connection, FlowFeatures},
};

use crate::{
    Engine, Limits,
    testing::{self, ETHERNET, Records},
};

mod cicflowmeter;

const SECOND: i64 = 1_000_000_000;
const MILLISECOND: i64 = 1_000_000;

/// A segment to port 80 of 10.0.0.2, or back; flags as letters of `SAFRPUEC`.
struct Segment {
    back: bool,
    flags: &'static str,
    window: u16,
    payload: Vec<u8>,
}

fn out(flags: &'static str, payload: &[u8]) -> Segment {
    Segment { back: false, flags, window: 1000, payload: payload.to_vec() }
}

fn back(flags: &'static str, payload: &[u8]) -> Segment {
    Segment { back: true, ..out(flags, payload) }
}

/// Frames of segments in sequence.
fn frames(segments: &[Segment]) -> Vec<Vec<u8>> {
    let mut next = [100u32, 500];
    let frame = |segment: &Segment| {
        let [ours, theirs] = if segment.back { [1, 0] } else { [0, 1] };
        let ends = [([10, 0, 0, 1], 40_000), ([10, 0, 0, 2], 80)];
        let mut builder = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2])
            .ipv4(ends[ours].0, ends[theirs].0, 64)
            .tcp(ends[ours].1, ends[theirs].1, next[ours], segment.window);
        for flag in segment.flags.chars() {
            builder = match flag {
                'S' => builder.syn(),
                'A' => builder.ack(next[theirs]),
                'F' => builder.fin(),
                'R' => builder.rst(),
                'U' => builder.urg(1),
                'E' => builder.ece(),
                'C' => builder.cwr(),
                _ => builder.psh(),
            };
        }
        let mut frame = Vec::new();
        builder.write(&mut frame, &segment.payload).unwrap();
        let virtual_bytes = segment.flags.chars().filter(|flag| matches!(flag, 'S' | 'F')).count();
        next[ours] += u32::try_from(segment.payload.len() + virtual_bytes).unwrap();
        frame
    };
    segments.iter().map(frame).collect()
}

/// Segments a millisecond apart.
fn features_of(segments: &[Segment]) -> FlowFeatures {
    only(testing::decode(ETHERNET, &frames(segments)).of())
}

fn only<T>(mut all: Vec<T>) -> T {
    assert_eq!(all.len(), 1);
    all.remove(0)
}

/// Features of datagrams from 10.0.0.1, or back, at these milliseconds and with so much payload.
fn features_of_datagrams(datagrams: &[(i64, bool, usize)]) -> Vec<FlowFeatures> {
    testing::decode_batch(&batch_of(datagrams)).of()
}

fn batch_of(datagrams: &[(i64, bool, usize)]) -> PacketBatch {
    let frames = datagrams.iter().map(|&(at_ms, back, payload)| {
        let payload = vec![0xab; payload];
        let frame = if back { testing::udp_back(6000, 5000, &payload) } else { testing::udp(5000, 6000, &payload) };
        (SECOND + at_ms * MILLISECOND, frame)
    });
    testing::batch_at(ETHERNET, &frames.collect::<Vec<_>>())
}

fn engine(limits: Limits, selection: &str) -> Engine {
    Engine::new(0, limits, Selection::parse(selection).unwrap())
}

fn push(engine: &mut Engine, sequence: i64, frames: &[Vec<u8>]) -> Records {
    let mut records = Records::default();
    let batch = PacketBatch { sequence, end_of_capture: false, ..testing::batch(ETHERNET, frames) };
    engine.push(&batch, &mut records).unwrap();
    records
}

#[test]
fn a_flow_of_one_packet_gives_a_record_without_deviations() {
    let features = only(features_of_datagrams(&[(0, false, 10)]));
    assert_eq!((features.packets, features.orig_packets, features.resp_packets), (1, 1, 0));
    assert_eq!((features.ip_bytes, features.ip_mean_bytes, features.ip_std_bytes), (38, Some(38.0), None));
    assert_eq!((features.iat_min_ns, features.resp_ip_min_bytes), (None, None));
    assert_eq!((features.subflows, features.active_count, features.idle_count), (1, 1, 0));
    assert_eq!((features.orig_head_bytes, features.orig_head_entropy), (10, Some(0.0)));
    assert_eq!((features.orig_ip_header_bytes, features.orig_transport_header_bytes), (20, 8));
    assert_eq!(features.end_reason(), EndReason::EndOfCapture);
}

#[test]
fn the_second_packet_brings_the_vector_and_the_end_takes_it_away() {
    let mut engine = engine(Limits::per_partition(1), "+features");
    let weight = |engine: &Engine| engine.state.flows.extras.weight();
    push(&mut engine, 1, &[testing::udp(1, 2, b"x"), testing::udp(3, 4, b"x")]);
    assert_eq!(weight(&engine), 0);
    push(&mut engine, 2, &[testing::udp(1, 2, b"y")]);
    assert_eq!(weight(&engine), super::VECTOR_WEIGHT);
    let restored = Engine::restore(&engine.snapshot(), Limits::per_partition(1), Selection::all()).unwrap();
    assert_eq!(weight(&restored), super::VECTOR_WEIGHT);
    engine.finish("test", 1, &mut Records::default());
    assert_eq!(weight(&engine), 0);
}

#[test]
fn nothing_is_kept_unless_it_is_selected() {
    let mut engine = engine(Limits::per_partition(1), "default");
    push(&mut engine, 1, &[testing::udp(1, 2, b"x"), testing::udp(1, 2, b"x")]);
    let extras = &engine.state.flows.extras;
    assert!(extras.features.is_none() && extras.slices.is_none());
}

#[test]
fn flows_with_vectors_count_as_the_flows_that_their_memory_would_hold() {
    let limits = Limits { flows: 8, ..Limits::per_partition(1) };
    let packet = |port| testing::udp(port, 7, b"x");
    let twice = |ports: std::ops::Range<u16>| ports.flat_map(|port| [packet(port), packet(port)]).collect::<Vec<_>>();
    let mut with = engine(limits, "+features");
    // Two of weight 4; the third's first packet needs room.
    push(&mut with, 1, &twice(0..2));
    assert_eq!((with.flow_count(), with.counters().evicted_flows), (2, 0));
    let evicted: Vec<FlowFeatures> = push(&mut with, 2, &twice(2..3)).of();
    assert_eq!(evicted.iter().map(|of| (of.packets, of.end_reason())).collect::<Vec<_>>(), [(2, EndReason::Evicted)]);
    // 4 + 4 + 1, and room is made before each further packet.
    push(&mut with, 3, &twice(3..100));
    assert!(with.flow_count() <= 3);
    let mut without = engine(limits, "default");
    push(&mut without, 1, &twice(0..8));
    assert_eq!((without.flow_count(), without.counters().evicted_flows), (8, 0));
}

#[test]
fn a_single_flow_is_kept_however_low_the_limit() {
    let mut engine = engine(Limits { flows: 1, ..Limits::per_partition(1) }, "+features");
    for sequence in 1..9 {
        push(&mut engine, sequence, &[testing::udp(1, 2, b"x")]);
    }
    assert_eq!((engine.flow_count(), engine.counters().evicted_flows), (1, 0));
}

#[test]
fn what_came_before_the_type_was_selected_is_said_to_be_missing() {
    let mut engine = engine(Limits::per_partition(1), "default");
    push(&mut engine, 1, &[testing::udp(1, 2, b"x"), testing::udp(3, 4, b"x")]);
    let mut engine = Engine::restore(&engine.snapshot(), Limits::per_partition(1), Selection::all()).unwrap();
    push(&mut engine, 2, &[testing::udp(1, 2, b"xyz")]);
    let mut records = Records::default();
    engine.finish("test", 1, &mut records);
    let features = only(records.of::<FlowFeatures>());
    assert_eq!((features.incomplete, features.packets, features.payload_bytes), (true, 1, 3));
    assert_eq!(features.packets_per_second, None);
    assert_eq!(records.of::<Connection>().len(), 2);
}

#[test]
fn the_first_twenty_packets_are_told_one_by_one() {
    let datagrams: Vec<_> = (0..25).map(|at| (at * at, at % 3 == 1, usize::try_from(at).unwrap())).collect();
    let features = only(features_of_datagrams(&datagrams));
    assert_eq!(features.first_payload_bytes, (0..20).collect::<Vec<_>>());
    assert_eq!(features.first_ip_bytes, (28..48).collect::<Vec<_>>());
    assert_eq!(features.first_from_responder, (0..20).map(|at| at % 3 == 1).collect::<Vec<_>>());
    let gaps: Vec<i64> = (0..20).map(|at| if at == 0 { 0 } else { (2 * at - 1) * MILLISECOND }).collect();
    assert_eq!(features.first_iat_ns, gaps);
    assert_eq!(features_of(&[out("S", b""), back("SA", b"")]).first_tcp_flags, [0x02, 0x12]);
}

#[test]
fn heads_are_the_first_256_bytes_of_each_side() {
    let bytes: Vec<u8> = (0..=255).collect();
    let features = features_of(&[
        out("S", b""),
        back("SA", b""),
        out("PA", &bytes[..100]),
        back("PA", b"aabb"),
        out("PA", &bytes[100..]),
        out("PA", b"more"),
    ]);
    assert_eq!((features.orig_head_bytes, features.orig_head_entropy), (256, Some(8.0)));
    assert_eq!(features.orig_head_histogram, [16; 16]);
    assert_eq!((features.resp_head_bytes, features.resp_head_entropy), (4, Some(1.0)));
    assert_eq!(features.resp_head_histogram[6], 4);
}

#[test]
fn histograms_have_a_bin_for_every_length_and_time() {
    let lengths = [0usize, 35, 36, 99, 100, 228, 484, 996];
    let datagrams: Vec<_> = lengths.iter().map(|&payload| (0, false, payload)).collect();
    let features = only(features_of_datagrams(&datagrams));
    // 28, 63 | 64, 127 | 128 | 256 | 512 | 1024.
    assert_eq!(features.orig_ip_histogram, [2, 2, 1, 1, 1, 1, 0, 0]);
    assert!(features.resp_ip_histogram.is_empty());
    let gaps_ns =
        [0, 999, 1_000, 10_000, 100_000, MILLISECOND, 10 * MILLISECOND, 100 * MILLISECOND, SECOND, 9 * SECOND];
    let mut now_ns = SECOND;
    let mut frames = vec![(now_ns, testing::udp(1, 2, b""))];
    for gap_ns in gaps_ns {
        now_ns += gap_ns;
        frames.push((now_ns, testing::udp(1, 2, b"")));
    }
    let features: FlowFeatures = only(testing::decode_batch(&testing::batch_at(ETHERNET, &frames)).of());
    assert_eq!(features.iat_histogram, [2, 1, 1, 1, 1, 1, 1, 2]);
    assert_eq!(features.orig_iat_histogram, features.iat_histogram);
}

/// What a straightforward reading of the field's comments gives.
fn bulks(datagrams: &[(i64, bool, usize)], back: bool) -> (i64, i64, i64, i64) {
    let with_payload: Vec<_> = datagrams.iter().filter(|(_, _, payload)| *payload > 0).collect();
    let together = |a: &&(i64, bool, usize), b: &&(i64, bool, usize)| a.1 == b.1 && b.0 - a.0 <= 1000;
    let runs = with_payload.chunk_by(together).filter(|run| run.len() >= 4 && run[0].1 == back);
    runs.fold((0, 0, 0, 0), |(count, packets, bytes, duration), run| {
        let run_bytes: usize = run.iter().map(|(_, _, payload)| payload).sum();
        let run_duration = (run[run.len() - 1].0 - run[0].0) * MILLISECOND;
        let run_packets = i64::try_from(run.len()).unwrap();
        (count + 1, packets + run_packets, bytes + i64::try_from(run_bytes).unwrap(), duration + run_duration)
    })
}

proptest! {
    #[test]
    fn vectors_are_what_their_packets_give(
        steps in prop::collection::vec(
            (prop_oneof![8 => 0i64..400, 2 => 900i64..1100, 1 => 4900i64..5100, 1 => 5000i64..50_000], any::<bool>(),
             prop_oneof![1 => Just(0usize), 3 => 1usize..1400]),
            1..60,
        ),
    ) {
        let mut at_ms = 0;
        let mut datagrams: Vec<(i64, bool, usize)> = Vec::new();
        for (gap_ms, back, payload) in steps {
            let is_first = datagrams.is_empty();
            at_ms += if is_first { 0 } else { gap_ms };
            datagrams.push((at_ms, back && !is_first, payload));
        }
        let features = only(features_of_datagrams(&datagrams));
        let gaps: Vec<i64> = datagrams.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
        let count = |of: usize| i64::try_from(of).unwrap();
        prop_assert_eq!(features.packets, count(datagrams.len()));
        prop_assert_eq!(features.subflows, 1 + count(gaps.iter().filter(|&&gap| gap > 1000).count()));
        prop_assert_eq!(features.idle_count, count(gaps.iter().filter(|&&gap| gap > 5000).count()));
        prop_assert_eq!(features.active_count, features.idle_count + 1);
        prop_assert_eq!(features.active_sum_ns + features.idle_sum_ns, features.duration_ns);
        prop_assert_eq!(features.iat_sum_ns, features.duration_ns);
        prop_assert_eq!(features.iat_histogram.iter().sum::<i64>(), count(gaps.len()));
        for (back, packets, payload, ip, iat, got) in [
            (false, features.orig_packets, features.orig_payload_bytes, features.orig_ip_bytes, features.orig_iat_sum_ns,
             (features.orig_bulks, features.orig_bulk_packets, features.orig_bulk_bytes, features.orig_bulk_duration_ns)),
            (true, features.resp_packets, features.resp_payload_bytes, features.resp_ip_bytes, features.resp_iat_sum_ns,
             (features.resp_bulks, features.resp_bulk_packets, features.resp_bulk_bytes, features.resp_bulk_duration_ns)),
        ] {
            let own: Vec<_> = datagrams.iter().filter(|datagram| datagram.1 == back).collect();
            prop_assert_eq!(packets, count(own.len()));
            prop_assert_eq!(payload, own.iter().map(|datagram| count(datagram.2)).sum::<i64>());
            prop_assert_eq!(ip, payload + 28 * packets);
            let duration_ms = own.last().map_or(0, |last| last.0) - own.first().map_or(0, |first| first.0);
            prop_assert_eq!(iat, duration_ms * MILLISECOND);
            prop_assert_eq!(got, bulks(&datagrams, back));
        }
    }
}
