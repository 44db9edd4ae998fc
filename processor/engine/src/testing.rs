//! Frames for the tests of decoders, and what becomes of them.

use etherparse::PacketBuilder;
use weir_contract::{BatchBuilder, Interface, Packet, PacketBatch, Partition, Record, RecordType, Selection, record};

use crate::{Engine, Limits, RecordSink};

/// Ethernet.
pub(crate) const ETHERNET: u16 = 1;

/// A frame with a UDP datagram from 10.0.0.1 to 10.0.0.2.
pub(crate) fn udp(src_port: u16, dst_port: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2])
        .ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
        .udp(src_port, dst_port)
        .write(&mut frame, payload)
        .unwrap();
    frame
}

/// The answer to [`udp`]: a frame from 10.0.0.2 to 10.0.0.1.
pub(crate) fn udp_back(src_port: u16, dst_port: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    PacketBuilder::ethernet2([2, 0, 0, 0, 0, 2], [2, 0, 0, 0, 0, 1])
        .ipv4([10, 0, 0, 2], [10, 0, 0, 1], 64)
        .udp(src_port, dst_port)
        .write(&mut frame, payload)
        .unwrap();
    frame
}

/// A frame with a TCP segment between a client, 10.0.0.1 port 40000, and a server, 10.0.0.2. `flags` has the
/// bits of the header.
pub(crate) fn tcp(from_client: bool, server_port: u16, flags: u16, numbers: (u32, u32), payload: &[u8]) -> Vec<u8> {
    let (sequence, acknowledgement) = numbers;
    let ports = if from_client { [40_000, server_port] } else { [server_port, 40_000] };
    let mut segment: Vec<u8> = ports.into_iter().flat_map(u16::to_be_bytes).collect();
    segment.extend(sequence.to_be_bytes());
    segment.extend(acknowledgement.to_be_bytes());
    segment.extend((5 << 12 | flags).to_be_bytes());
    segment.extend([0xff, 0xff, 0, 0, 0, 0]);
    segment.extend(payload);
    let mut frame = Vec::new();
    let ends = if from_client { [[10, 0, 0, 1], [10, 0, 0, 2]] } else { [[10, 0, 0, 2], [10, 0, 0, 1]] };
    PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2])
        .ipv4(ends[0], ends[1], 64)
        .write(&mut frame, etherparse::IpNumber::TCP, &segment)
        .unwrap();
    frame
}

/// Frames of a whole TCP connection: handshake, what each side says in turn (true for the client) in segments
/// of at most `segment_bytes`, each acknowledged, and both FINs.
pub(crate) fn tcp_connection(server_port: u16, turns: &[(bool, &[u8])], segment_bytes: usize) -> Vec<Vec<u8>> {
    const FIN: u16 = 1;
    const SYN: u16 = 2;
    const ACK: u16 = 16;
    // The server's numbers wrap around.
    let mut next = [u32::MAX - 5, 1000];
    let mut frames = Vec::new();
    let mut send = |from_client: bool, flags: u16, payload: &[u8]| {
        let (own, other) = (usize::from(from_client), usize::from(!from_client));
        frames.push(tcp(from_client, server_port, flags, (next[own], next[other]), payload));
        let virtual_bytes = u32::from(flags & (SYN | FIN) != 0);
        next[own] = next[own].wrapping_add(u32::try_from(payload.len()).unwrap() + virtual_bytes);
    };
    send(true, SYN, b"");
    send(false, SYN | ACK, b"");
    send(true, ACK, b"");
    for (from_client, said) in turns {
        for segment in said.chunks(segment_bytes) {
            send(*from_client, ACK, segment);
            send(!*from_client, ACK, b"");
        }
    }
    send(true, FIN | ACK, b"");
    send(false, FIN | ACK, b"");
    send(true, ACK, b"");
    frames
}

/// A frame with an IPv4 packet of any protocol from 10.0.0.1 to 10.0.0.2.
pub(crate) fn ipv4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2])
        .ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
        .write(&mut frame, etherparse::IpNumber(protocol), payload)
        .unwrap();
    frame
}

/// A frame with an IPv6 packet of any next header from fe80::1 to fe80::2.
pub(crate) fn ipv6(next_header: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = [[2, 0, 0, 0, 0, 2], [2, 0, 0, 0, 0, 1]].concat();
    frame.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
    frame.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
    frame.extend([next_header, 64]);
    for last in [1, 2] {
        frame.extend([0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
    }
    frame.extend(payload);
    frame
}

/// An element of DER: its tag, and its content in parts.
pub(crate) fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let [.., a, b, c] = content.len().to_be_bytes();
    let header = match content.len() {
        0..=0x7f => vec![tag, c],
        0x80..=0xff => vec![tag, 0x81, c],
        0x100..=0xffff => vec![tag, 0x82, b, c],
        _ => vec![tag, 0x83, a, b, c],
    };
    [header, content].concat()
}

/// The packet in a frame of these builders, without its Ethernet header.
pub(crate) fn packet_of(frame: &[u8]) -> &[u8] {
    &frame[14..]
}

/// What becomes of a frame cut at each length, the shortest first.
pub(crate) fn decode_cut_everywhere(frame: &[u8]) -> Vec<Records> {
    (0..frame.len()).map(|length| decode(ETHERNET, &[frame[..length].to_vec()])).collect()
}

/// Everything an engine makes of frames a millisecond apart, all types selected.
#[derive(Default)]
pub(crate) struct Records(pub(crate) Vec<(RecordType, Vec<u8>)>);

impl RecordSink for Records {
    fn record(&mut self, record_type: RecordType, bytes: &[u8]) {
        self.0.push((record_type, bytes.to_vec()));
    }
}

impl Records {
    /// The records of one type, in their order.
    pub(crate) fn of<R: Record>(&self) -> Vec<R> {
        let bytes = self.0.iter().filter(|(record_type, _)| *record_type == R::TYPE);
        bytes.map(|(_, bytes)| R::decode(&bytes[..]).unwrap()).collect()
    }

    /// Layer, reason and detail of all Weirds.
    pub(crate) fn weirds(&self) -> Vec<String> {
        let weirds = self.of::<record::Weird>();
        weirds.iter().map(|weird| format!("{} {:?}: {}", weird.layer, weird.reason(), weird.detail)).collect()
    }
}

/// Frames a millisecond apart, as one batch that ends the capture.
pub(crate) fn batch(link_type: u16, frames: &[Vec<u8>]) -> PacketBatch {
    batch_at(link_type, &a_millisecond_apart(frames))
}

fn a_millisecond_apart(frames: &[Vec<u8>]) -> Vec<(i64, Vec<u8>)> {
    (1_000_000_000..).step_by(1_000_000).zip(frames.iter().cloned()).collect()
}

/// Frames with their times in ns, as one batch that ends the capture.
pub(crate) fn batch_at(link_type: u16, frames: &[(i64, Vec<u8>)]) -> PacketBatch {
    let packets = (1..).zip(frames).map(|(number, (ts_ns, frame))| {
        let original_length = u32::try_from(frame.len()).unwrap();
        Packet { number, ts_ns: *ts_ns, data: frame, original_length, link_type, interface: 0 }
    });
    PacketBatch { end_of_capture: true, ..batch_of(link_type, &packets.collect::<Vec<_>>()) }
}

/// Packets as one batch that ends nothing.
pub(crate) fn batch_of(link_type: u16, packets: &[Packet<'_>]) -> PacketBatch {
    let interface = Interface { name: String::new(), link_type: link_type.into() };
    let mut builder = BatchBuilder::new("test", 1, Partition { number: 0, count: 1 });
    for packet in packets {
        builder.push(packet, &interface).unwrap();
    }
    let watermark_ns = packets.iter().map(|packet| packet.ts_ns).max().unwrap_or_default();
    builder.finish(watermark_ns, PacketBatch::default())
}

/// What becomes of Ethernet frames a millisecond apart by an engine that is saved and restored behind each.
pub(crate) fn decode_with_snapshots(frames: &[Vec<u8>]) -> Records {
    decode_one_by_one(&a_millisecond_apart(frames), true)
}

/// What becomes of Ethernet frames with their times in ns, each in a batch of its own.
pub(crate) fn decode_one_by_one(frames: &[(i64, Vec<u8>)], has_snapshots: bool) -> Records {
    let limits = Limits::per_partition(1);
    let mut engine = Engine::new(0, limits, Selection::all());
    let mut records = Records::default();
    for (number, frame) in (1..).zip(frames) {
        let batch = PacketBatch {
            sequence: number,
            first_packet_number: number,
            packets_before: number - 1,
            end_of_capture: false,
            watermark_ns: 0,
            ..batch_at(ETHERNET, std::slice::from_ref(frame))
        };
        engine.push(&batch, &mut records).unwrap();
        if has_snapshots {
            let snapshot = engine.snapshot();
            engine = Engine::restore(&snapshot, limits, Selection::all()).unwrap();
            assert_eq!(engine.snapshot(), snapshot);
        }
    }
    engine.finish("test", 1, &mut records);
    records
}

/// What becomes of frames.
pub(crate) fn decode(link_type: u16, frames: &[Vec<u8>]) -> Records {
    decode_batch(&batch(link_type, frames))
}

/// What becomes of frames where only some records are asked for.
pub(crate) fn decode_selected(link_type: u16, frames: &[Vec<u8>], selection: Selection) -> Records {
    push(&batch(link_type, frames), selection)
}

/// What becomes of a batch.
pub(crate) fn decode_batch(batch: &PacketBatch) -> Records {
    push(batch, Selection::all())
}

fn push(batch: &PacketBatch, selection: Selection) -> Records {
    let mut engine = Engine::new(0, Limits::per_partition(1), selection);
    let mut records = Records::default();
    engine.push(batch, &mut records).unwrap();
    records
}
