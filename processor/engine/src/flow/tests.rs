//! What connections become of packets.

use etherparse::PacketBuilder;
use weir_contract::{EndReason, Selection, record::Connection};

use crate::{
    Engine, Limits,
    testing::{self, ETHERNET, Records},
};

const SECOND: i64 = 1_000_000_000;
const CLIENT: [u8; 4] = [10, 0, 0, 1];
const SERVER: [u8; 4] = [10, 0, 0, 2];

/// A segment: flags as letters of `SAFRP`, sequence and acknowledgement number, payload.
#[derive(Clone, Copy)]
struct Segment(&'static str, u32, u32, &'static [u8]);

fn segment(from: [u8; 4], Segment(flags, sequence, acknowledgement, payload): Segment) -> Vec<u8> {
    let (to, ports) = if from == CLIENT { (SERVER, (40000, 80)) } else { (CLIENT, (80, 40000)) };
    let mut builder = PacketBuilder::ethernet2([2, 0, 0, 0, 0, from[3]], [2, 0, 0, 0, 0, to[3]])
        .ipv4(from, to, 64)
        .tcp(ports.0, ports.1, sequence, 1000);
    for flag in flags.chars() {
        builder = match flag {
            'S' => builder.syn(),
            'A' => builder.ack(acknowledgement),
            'F' => builder.fin(),
            'R' => builder.rst(),
            _ => builder.psh(),
        };
    }
    let mut frame = Vec::new();
    builder.write(&mut frame, payload).unwrap();
    frame
}

fn client(flags: &'static str, sequence: u32, acknowledgement: u32, payload: &'static [u8]) -> Vec<u8> {
    segment(CLIENT, Segment(flags, sequence, acknowledgement, payload))
}

fn server(flags: &'static str, sequence: u32, acknowledgement: u32, payload: &'static [u8]) -> Vec<u8> {
    segment(SERVER, Segment(flags, sequence, acknowledgement, payload))
}

/// SYN, SYN-ACK, ACK with initial sequence numbers 100 and 500.
fn handshake() -> Vec<Vec<u8>> {
    vec![client("S", 100, 0, b""), server("SA", 500, 101, b""), client("A", 101, 501, b"")]
}

fn after_handshake(frames: impl IntoIterator<Item = Vec<u8>>) -> Vec<Vec<u8>> {
    handshake().into_iter().chain(frames).collect()
}

fn connections(frames: &[Vec<u8>]) -> Vec<Connection> {
    testing::decode(ETHERNET, frames).of()
}

fn connection(frames: &[Vec<u8>]) -> Connection {
    let mut connections = connections(frames);
    assert_eq!(connections.len(), 1);
    connections.remove(0)
}

/// Zeek's table of connection states.
#[test]
fn states_are_those_of_zeek() {
    let cases: &[(&str, &str, EndReason, Vec<Vec<u8>>)] = &[
        ("S0", "S", EndReason::EndOfCapture, vec![client("S", 100, 0, b"")]),
        ("S1", "ShA", EndReason::EndOfCapture, handshake()),
        (
            "SF",
            "ShADadfF",
            EndReason::Fin,
            after_handshake([
                client("PA", 101, 501, b"GET"),
                server("A", 501, 104, b""),
                server("PA", 501, 104, b"200"),
                server("FA", 504, 104, b""),
                client("FA", 104, 505, b""),
                server("A", 505, 105, b""),
            ]),
        ),
        ("REJ", "Sr", EndReason::Rst, vec![client("S", 100, 0, b""), server("RA", 0, 101, b"")]),
        (
            "S2",
            "ShAFa",
            EndReason::EndOfCapture,
            after_handshake([client("FA", 101, 501, b""), server("A", 501, 102, b"")]),
        ),
        ("S3", "ShAf", EndReason::EndOfCapture, after_handshake([server("FA", 501, 101, b"")])),
        ("RSTO", "ShAR", EndReason::Rst, after_handshake([client("R", 101, 0, b"")])),
        ("RSTR", "ShAr", EndReason::Rst, after_handshake([server("R", 501, 0, b"")])),
        ("RSTOS0", "SR", EndReason::Rst, vec![client("S", 100, 0, b""), client("R", 101, 0, b"")]),
        ("RSTRH", "^hr", EndReason::Rst, vec![server("SA", 500, 101, b""), server("R", 501, 0, b"")]),
        ("SH", "SF", EndReason::EndOfCapture, vec![client("S", 100, 0, b""), client("F", 101, 0, b"")]),
        ("SHR", "^hf", EndReason::EndOfCapture, vec![server("SA", 500, 101, b""), server("FA", 501, 101, b"")]),
        ("OTH", "DA", EndReason::EndOfCapture, vec![client("PA", 7, 9, b"mid"), client("A", 10, 9, b"")]),
    ];
    for (state, history, reason, frames) in cases {
        let connection = connection(frames);
        assert_eq!(
            (connection.conn_state.as_str(), connection.history.as_str(), connection.end_reason()),
            (*state, *history, *reason)
        );
    }
}

#[test]
fn both_sides_are_counted_apart() {
    let connection = connection(&after_handshake([
        client("PA", 101, 501, b"12345"),
        server("PA", 501, 106, b"123"),
        client("A", 106, 504, b""),
    ]));
    assert_eq!((connection.orig_packets, connection.resp_packets), (4, 2));
    assert_eq!((connection.orig_payload_bytes, connection.resp_payload_bytes), (5, 3));
    assert_eq!((connection.orig_ip_bytes, connection.resp_ip_bytes), (4 * 40 + 5, 2 * 40 + 3));
    assert_eq!((connection.orig_syn_packets, connection.orig_ack_packets, connection.orig_psh_packets), (1, 3, 1));
    assert_eq!((connection.syn_rtt_ns, connection.ack_rtt_ns), (Some(1_000_000), Some(1_000_000)));
    assert_eq!(connection.duration_ns, 5_000_000);
    assert_eq!(
        (connection.orig_mac.as_str(), connection.resp_mac.as_str()),
        ("02:00:00:00:00:01", "02:00:00:00:00:02")
    );
    let meta = connection.meta.unwrap();
    assert_eq!(
        (meta.src_ip.as_str(), meta.src_port, meta.dst_ip.as_str(), meta.dst_port),
        ("10.0.0.1", 40000, "10.0.0.2", 80)
    );
    assert_eq!((meta.ts_ns, meta.packet_number), (SECOND, 6));
}

#[test]
fn a_syn_ack_that_comes_first_was_sent_by_the_responder() {
    let connection = connection(&handshake()[1..]);
    let meta = connection.meta.as_ref().unwrap();
    assert_eq!((meta.src_ip.as_str(), meta.dst_ip.as_str()), ("10.0.0.1", "10.0.0.2"));
    assert_eq!(
        (connection.history.as_str(), connection.resp_packets, connection.orig_mac.as_str()),
        ("^hA", 1, "02:00:00:00:00:01")
    );
}

#[test]
fn repeated_data_is_told_from_new_data() {
    let data = client("PA", 101, 501, b"12345");
    let connection = connection(&after_handshake([data.clone(), data, client("PA", 103, 501, b"34567")]));
    assert_eq!((connection.orig_retransmitted_packets, connection.orig_retransmitted_bytes), (2, 8));
    assert_eq!(connection.history, "ShADT");
}

#[test]
fn data_that_was_never_captured_is_a_gap() {
    let connection = connection(&after_handshake([
        client("PA", 101, 501, b"12345"),
        client("PA", 116, 501, b"67890"),
        server("A", 501, 121, b""),
    ]));
    assert_eq!((connection.orig_gaps, connection.orig_gap_bytes, connection.orig_out_of_order_packets), (1, 10, 1));
    assert_eq!(connection.history, "ShADGa");
}

#[test]
fn a_new_syn_between_the_same_ports_is_a_new_connection() {
    let mut frames =
        after_handshake([client("FA", 101, 501, b""), server("FA", 501, 102, b""), client("A", 102, 502, b"")]);
    frames.push(client("S", 9000, 0, b""));
    let closed = connections(&frames);
    assert_eq!(closed.iter().map(|c| c.conn_state.as_str()).collect::<Vec<_>>(), ["SF", "S0"]);
    assert_eq!(closed[0].end_reason(), EndReason::Fin);
    assert_ne!(closed[0].meta.as_ref().unwrap().uid, closed[1].meta.as_ref().unwrap().uid);

    let open = connections(&after_handshake([client("S", 9000, 0, b"")]));
    assert_eq!(
        open.iter().map(Connection::end_reason).collect::<Vec<_>>(),
        [EndReason::TcpReuse, EndReason::EndOfCapture]
    );
    assert_eq!(connections(&[client("S", 100, 0, b""), client("S", 100, 0, b"")]).len(), 1, "a repeated SYN");
}

#[test]
fn silence_ends_a_connection_by_its_own_clock() {
    let datagram = testing::udp(5000, 6000, b"x");
    let gap = |seconds: i64| {
        let frames = [(SECOND, datagram.clone()), (SECOND + seconds * SECOND, datagram.clone())];
        testing::decode_batch(&testing::batch_at(ETHERNET, &frames)).of::<Connection>()
    };
    assert_eq!(gap(60).len(), 1);
    let two = gap(61);
    assert_eq!(two.iter().map(Connection::end_reason).collect::<Vec<_>>(), [EndReason::Idle, EndReason::EndOfCapture]);
}

#[test]
fn stragglers_join_a_closed_connection_for_five_seconds() {
    let closed = after_handshake([client("FA", 101, 501, b""), server("FA", 501, 102, b"")]);
    let with_straggler = |seconds: i64| {
        let mut frames: Vec<_> = (0..).map(|at| SECOND + at).zip(closed.iter().cloned()).collect();
        frames.push((SECOND + seconds * SECOND, client("A", 102, 502, b"")));
        testing::decode_batch(&testing::batch_at(ETHERNET, &frames)).of::<Connection>().len()
    };
    assert_eq!((with_straggler(5), with_straggler(6)), (1, 2));
}

#[test]
fn a_full_table_writes_the_flow_that_would_be_idle_next() {
    let mut engine = Engine::new(0, Limits { flows: 3, ..Limits::per_partition(1) }, Selection::default());
    let mut records = Records::default();
    let port = |port: u16| testing::udp(port, 7, b"x");
    // 1 is seen again after 2 and 3, so 2 is the least active when 4 comes.
    let frames = [port(1), port(2), port(3), port(1), port(4)].map(|frame| frame);
    let times = [1, 2, 3, 4, 5].map(|second| second * SECOND);
    let batch = testing::batch_at(ETHERNET, &times.into_iter().zip(frames).collect::<Vec<_>>());
    engine.push(&weir_contract::PacketBatch { end_of_capture: false, ..batch }, &mut records).unwrap();
    let evicted: Vec<Connection> = records.of();
    assert_eq!(evicted.len(), 1);
    assert_eq!((evicted[0].meta.as_ref().unwrap().src_port, evicted[0].end_reason()), (2, EndReason::Evicted));
    assert_eq!((engine.counters().evicted_flows, engine.flow_count()), (1, 3));
}

#[test]
fn a_packet_ends_none_of_its_own_flows_to_make_room() {
    let mut frame = testing::udp(1, 2, b"x");
    // From the inside: the flow between the first two is that between the last two.
    for key in [1, 1, 2, 1] {
        let header = [0x20, 0, 8, 0, 0, 0, 0, key];
        frame = testing::ipv4(47, &[&header, testing::packet_of(&frame)].concat());
    }
    for flows in 1..=6 {
        let mut engine = Engine::new(0, Limits { flows, ..Limits::per_partition(1) }, Selection::all());
        let mut records = Records::default();
        engine
            .push(&testing::batch_at(ETHERNET, &[(SECOND, frame.clone()), (SECOND, frame.clone())]), &mut records)
            .unwrap();
        let mut uids: Vec<String> = records.of::<Connection>().into_iter().map(|c| c.meta.unwrap().uid).collect();
        let connections = uids.len();
        uids.sort_unstable();
        uids.dedup();
        assert_eq!(uids.len(), connections, "at most {flows} flows");
    }
}

#[test]
fn a_flow_is_written_when_the_watermark_has_passed_its_timeout_and_the_grace() {
    let written_at = |seconds: i64| {
        let mut engine = Engine::new(0, Limits::per_partition(1), Selection::default());
        let mut records = Records::default();
        let batch = testing::batch_at(ETHERNET, &[(0, testing::udp(1, 2, b"x"))]);
        let watermark_ns = seconds * SECOND;
        let batch = weir_contract::PacketBatch { end_of_capture: false, watermark_ns, ..batch };
        engine.push(&batch, &mut records).unwrap();
        records.of::<Connection>().len()
    };
    assert_eq!((written_at(69), written_at(70)), (0, 1));
}

#[test]
fn a_packet_that_is_far_behind_begins_a_late_connection() {
    let mut engine = Engine::new(0, Limits::per_partition(1), Selection::default());
    let mut records = Records::default();
    let mut push = |sequence: i64, ts_ns: i64, port: u16, end_of_capture: bool| {
        let batch = testing::batch_at(ETHERNET, &[(ts_ns, testing::udp(port, 2, b"x"))]);
        engine.push(&weir_contract::PacketBatch { sequence, end_of_capture, ..batch }, &mut records).unwrap();
    };
    push(1, 100 * SECOND, 1, false);
    push(2, 90 * SECOND, 2, false);
    push(3, 89 * SECOND, 3, true);
    let late: Vec<_> = records.of::<Connection>().iter().map(|c| (c.meta.as_ref().unwrap().src_port, c.late)).collect();
    assert_eq!(late, [(3, true), (2, false), (1, false)]);
    assert_eq!(engine.counters().late_flows, 1);
}

/// Vectors of the Community ID specification: `baseline/baseline_deflt.json`.
#[test]
fn community_ids_are_those_of_the_specification() {
    let frame = |from: [u8; 4], to: [u8; 4], ports: (u16, u16), tcp: bool| {
        let builder = PacketBuilder::ethernet2([0; 6], [0; 6]).ipv4(from, to, 64);
        let mut frame = Vec::new();
        if tcp {
            builder.tcp(ports.0, ports.1, 0, 0).write(&mut frame, b"").unwrap();
        } else {
            builder.udp(ports.0, ports.1).write(&mut frame, b"").unwrap();
        }
        frame
    };
    let id = |frame: Vec<u8>| connection(&[frame]).meta.unwrap().community_id;
    let (a, b) = ([128, 232, 110, 120], [66, 35, 250, 204]);
    assert_eq!(id(frame(a, b, (34855, 80), true)), "1:LQU9qZlK+B5F3KDmev6m5PMibrg=");
    assert_eq!(id(frame(b, a, (80, 34855), true)), "1:LQU9qZlK+B5F3KDmev6m5PMibrg=");
    let (a, b) = ([192, 168, 1, 52], [8, 8, 8, 8]);
    assert_eq!(id(frame(a, b, (54585, 53), false)), "1:d/FP5EW3wiY1vCndhwleRRKHowQ=");
}
