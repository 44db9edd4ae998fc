//! Errors that were found in CICFlowMeter and the data sets made with it (Engelen, Rimmer and Joosen 2021; Rosay and
//! others 2021; Lanvin and others 2022; Liu and others 2022), each as the claim that it isn't made here.

use super::*;

fn handshake() -> Vec<Segment> {
    vec![out("S", b""), back("SA", b""), out("A", b"")]
}

#[test]
fn e1_packets_that_close_a_connection_are_part_of_it_and_make_none_of_their_own() {
    let mut segments = handshake();
    segments.extend([out("FA", b""), back("A", b""), back("FA", b""), out("A", b""), back("R", b""), out("R", b"")]);
    let features = features_of(&segments);
    assert_eq!((features.packets, features.orig_packets, features.resp_packets), (9, 5, 4));
    assert_eq!((features.orig_fin_packets, features.resp_fin_packets), (1, 1));
}

#[test]
fn e2_a_flow_ends_when_it_is_idle_and_not_so_long_after_it_began() {
    let every_50_s: Vec<_> = (0..30).map(|at| (at * 50_000, at % 2 == 1, 1)).collect();
    let features = only(features_of_datagrams(&every_50_s));
    assert_eq!((features.packets, features.duration_ns), (30, 29 * 50 * SECOND));
    let idle: Vec<_> = features_of_datagrams(&[(0, false, 1), (10, true, 1), (60_011, true, 1)]);
    assert_eq!(
        idle.iter().map(|of| (of.packets, of.end_reason())).collect::<Vec<_>>(),
        [(2, EndReason::Idle), (1, EndReason::EndOfCapture)]
    );
}

#[test]
fn e3_the_first_packet_counts_once_in_lengths() {
    let features = only(features_of_datagrams(&[(0, false, 100), (1, true, 200), (2, false, 600)]));
    assert_eq!((features.packets, features.payload_bytes, features.payload_mean_bytes), (3, 900, Some(300.0)));
    // (200² + 100² + 300²) / 2.
    assert_eq!(features.payload_std_bytes, Some(70_000f64.sqrt()));
}

#[test]
fn e4_psh_and_urg_are_counted_in_all_packets_of_both_sides() {
    let mut segments = handshake();
    segments.extend([out("PA", b"1"), out("PUA", b"2"), back("PA", b"3"), back("PUA", b"4"), back("PA", b"5")]);
    let features = features_of(&segments);
    assert_eq!((features.orig_psh_packets, features.resp_psh_packets), (2, 3));
    assert_eq!((features.orig_urg_packets, features.resp_urg_packets), (1, 1));
}

#[test]
fn e5_the_first_window_is_not_the_last() {
    let window = |window, segment: Segment| Segment { window, ..segment };
    let features = features_of(&[
        window(64_240, out("S", b"")),
        window(28_960, back("SA", b"")),
        window(502, out("A", b"")),
        window(227, back("A", b"")),
    ]);
    assert_eq!((features.orig_window_first, features.resp_window_first), (Some(64_240), Some(28_960)));
    assert_eq!((features.resp_window_min, features.resp_window_max), (Some(227), Some(28_960)));
    assert_eq!(features.orig_window_mean, Some(32_371.0));
}

#[test]
fn e6_bulks_of_the_originator_are_counted_as_the_responders_are() {
    let run = |begin: i64, back: bool| (begin..begin + 5).map(move |at| (at, back, 100));
    let datagrams: Vec<_> = run(0, false).chain(run(10, true)).collect();
    let features = only(features_of_datagrams(&datagrams));
    for bulk in [
        (features.orig_bulks, features.orig_bulk_packets, features.orig_bulk_bytes, features.orig_bulk_duration_ns),
        (features.resp_bulks, features.resp_bulk_packets, features.resp_bulk_bytes, features.resp_bulk_duration_ns),
    ] {
        assert_eq!(bulk, (1, 5, 500, 4 * MILLISECOND));
    }
    assert_eq!(features.orig_bulk_bytes_per_second, Some(125_000.0));
    assert_eq!(only(features_of_datagrams(&datagrams[..3])).orig_bulks, 0, "three packets are no bulk");
}

#[test]
fn e7_ratios_are_no_integers() {
    let features =
        only(features_of_datagrams(&[(0, false, 2), (1, true, 1), (2, false, 2), (3, true, 2), (4, true, 3)]));
    assert_eq!((features.resp_orig_packets_ratio, features.resp_orig_payload_ratio), (Some(1.5), Some(1.5)));
}

#[test]
fn e8_subflows_are_one_more_than_the_gaps_between_them() {
    let features = only(features_of_datagrams(&[(0, false, 10), (1001, false, 10), (2001, false, 10)]));
    assert_eq!((features.subflows, features.orig_subflow_mean_packets), (2, 1.5));
    assert_eq!(features.orig_subflow_mean_payload_bytes, 15.0);
    assert_eq!(only(features_of_datagrams(&[(0, false, 1)])).subflows, 1);
}

#[test]
fn e9_the_last_active_period_counts_and_idle_times_have_a_threshold_of_their_own() {
    // Active for 4 s, idle for 6 s, active for 3 s in two subflows.
    let features =
        only(features_of_datagrams(&[(0, false, 1), (4000, false, 1), (10_000, false, 1), (13_000, false, 1)]));
    assert_eq!((features.active_count, features.active_sum_ns), (2, 7 * SECOND));
    assert_eq!((features.active_min_ns, features.active_max_ns), (Some(3 * SECOND), Some(4 * SECOND)));
    assert_eq!((features.idle_count, features.idle_min_ns, features.idle_mean_ns), (1, Some(6 * SECOND), Some(6e9)));
    assert_eq!(features.subflows, 4);
    let never_idle = only(features_of_datagrams(&[(0, false, 1), (5000, false, 1)]));
    assert_eq!((never_idle.idle_count, never_idle.idle_min_ns), (0, None), "no idle time is not one of 0");
}

#[test]
fn e10_headers_of_ip_and_of_transport_are_counted_apart() {
    let mut frame = Vec::new();
    PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2])
        .ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
        .tcp(40_000, 80, 1, 1000)
        .options(&[etherparse::TcpOptionElement::MaximumSegmentSize(1460)])
        .unwrap()
        .write(&mut frame, b"12345")
        .unwrap();
    let tcp = only(testing::decode(ETHERNET, &[frame, frames(&[out("A", b"")]).remove(0)]).of::<FlowFeatures>());
    assert_eq!((tcp.orig_ip_header_bytes, tcp.orig_transport_header_bytes), (40, 44));
    assert_eq!((tcp.orig_transport_header_min_bytes, tcp.orig_payload_bytes), (Some(20), 5));
    let udp = only(features_of_datagrams(&[(0, false, 7), (1, true, 0)]));
    assert_eq!((udp.orig_ip_header_bytes, udp.orig_transport_header_bytes), (20, 8));
    assert_eq!((udp.resp_ip_header_bytes, udp.resp_transport_header_min_bytes), (20, Some(8)));
}

#[test]
fn e11_the_padding_of_short_frames_is_no_payload() {
    let mut padded = frames(&[out("S", b"")]).remove(0);
    assert!(padded.len() < 60);
    padded.resize(60, 0xff);
    let features = only(testing::decode(ETHERNET, &[padded]).of::<FlowFeatures>());
    assert_eq!((features.orig_payload_bytes, features.orig_payload_packets, features.orig_head_bytes), (0, 0, 0));
    assert_eq!((features.orig_ip_bytes, features.orig_ip_header_bytes), (40, 20));
}

#[test]
fn e12_protocols_are_those_of_the_ip_header_fragments_are_joined_and_vlans_kept() {
    let unknown = only(testing::decode(ETHERNET, &[testing::ipv4(200, &[7; 30])]).of::<FlowFeatures>());
    assert_eq!((unknown.ip_protocol, unknown.orig_payload_bytes, unknown.orig_head_bytes), (200, 30, 30));
    assert_eq!((unknown.orig_ip_header_bytes, unknown.orig_transport_header_bytes), (20, 0));

    let whole = testing::udp(5000, 6000, &[1; 100]);
    let fragment = |range: std::ops::Range<usize>, more: bool| {
        let mut frame = whole[..34].to_vec();
        frame[16..18].copy_from_slice(&u16::try_from(20 + range.len()).unwrap().to_be_bytes());
        let offset = u16::try_from(range.start / 8).unwrap() | if more { 0x2000 } else { 0 };
        frame[20..22].copy_from_slice(&offset.to_be_bytes());
        frame.extend(&whole[34..][range]);
        frame
    };
    let joined =
        only(testing::decode(ETHERNET, &[fragment(0..64, true), fragment(64..108, false)]).of::<FlowFeatures>());
    assert_eq!((joined.packets, joined.payload_bytes, joined.orig_head_bytes), (1, 100, 100));
    assert_eq!((joined.orig_ip_bytes, joined.orig_ip_header_bytes), (148, 40));

    let mut tagged = whole.clone();
    tagged.splice(12..12, [0x81, 0x00, 0x00, 0x2a]);
    let tagged = only(testing::decode(ETHERNET, &[tagged]).of::<FlowFeatures>());
    assert_eq!((tagged.meta.unwrap().vlan, tagged.payload_bytes), (vec![42], 100));
}

#[test]
fn e13_every_flag_is_counted_by_side_and_under_its_name() {
    let mut segments = handshake();
    segments.extend([out("CA", b"1"), out("A", b"2"), back("EA", b""), back("EA", b""), out("R", b"")]);
    let features = features_of(&segments);
    assert_eq!((features.orig_cwr_packets, features.resp_cwr_packets), (1, 0));
    assert_eq!((features.orig_ece_packets, features.resp_ece_packets), (0, 2));
    assert_eq!((features.orig_rst_packets, features.resp_rst_packets), (1, 0));
    assert_eq!((features.orig_syn_packets, features.resp_syn_packets), (1, 1));
    assert_eq!((features.orig_ack_packets, features.resp_ack_packets), (3, 3));
    assert_eq!((features.orig_fin_packets, features.resp_fin_packets), (0, 0));
}

#[test]
fn e14_there_is_no_rate_of_a_zero_duration() {
    let features = only(features_of_datagrams(&[(0, false, 1), (0, true, 1)]));
    assert_eq!((features.packets_per_second, features.ip_bytes_per_second), (None, None));
    assert_eq!((features.orig_packets_per_second, features.orig_bulk_bytes_per_second), (None, None));
    let features = only(features_of_datagrams(&[(0, false, 1), (500, true, 1)]));
    assert_eq!((features.packets_per_second, features.ip_bytes_per_second), (Some(4.0), Some(116.0)));
}

#[test]
fn e15_disordered_times_give_no_negative_gaps_and_duplicates_are_told() {
    let features = only(features_of_datagrams(&[(0, false, 1), (10, false, 1), (4, true, 1), (11, false, 1)]));
    assert_eq!(
        (features.backward_packets, features.iat_min_ns, features.iat_max_ns),
        (1, Some(0), Some(10 * MILLISECOND))
    );
    assert_eq!((features.iat_sum_ns, features.duration_ns), (11 * MILLISECOND, 11 * MILLISECOND));

    let mut frames = frames(&[out("S", b""), back("SA", b""), out("PA", b"data")]);
    frames.push(frames[2].clone());
    let connection = only(testing::decode(ETHERNET, &frames).of::<Connection>());
    assert_eq!((connection.orig_retransmitted_packets, connection.orig_retransmitted_bytes), (1, 4));
}

#[test]
fn e16_an_attempt_that_came_to_nothing_can_be_told_from_an_attack() {
    let refused = features_of(&[out("S", b""), back("RA", b"")]);
    assert_eq!((refused.payload_packets, refused.payload_bytes, refused.end_reason()), (0, 0, EndReason::Rst));
    let mut segments = handshake();
    segments.extend([out("PA", b"exploit"), back("PA", b"done")]);
    let served = features_of(&segments);
    assert_eq!((served.orig_payload_packets, served.resp_payload_packets), (1, 1));
}
