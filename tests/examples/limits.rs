//! What this machine can do at best with a capture: the steps that no decoder can do without, each as a
//! program of its own. `scripts/bench.sh` sets Weir beside them.
//!
//! Usage: `limits read|slice|flows|engine CAPTURE`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{fs::File, io::Read as _, net::Ipv4Addr, path::Path};

use etherparse::{LaxNetSlice, LaxSlicedPacket, TransportSlice};
use hashbrown::HashMap;
use weir_agent::{Batcher, CaptureFile, LOCAL_BATCH_BYTES, Merge, Merged, Source as _, Step};
use weir_contract::{PacketBatch, RecordType, Selection};
use weir_engine::{Engine, Limits, RecordSink};

const PARTITIONS: u32 = 16;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [step, capture] = &arguments[..] else { panic!("usage: limits read|slice|flows|engine CAPTURE") };
    let capture = Path::new(capture);
    let done = match step.as_str() {
        "read" => read(capture),
        "slice" => slice(capture),
        "flows" => flows(capture),
        "engine" => engine(capture),
        other => panic!("no step `{other}`"),
    };
    println!("{done}");
}

/// Takes the file's bytes from the kernel; counts them.
fn read(capture: &Path) -> usize {
    let mut file = File::open(capture).unwrap();
    let mut buffer = vec![0; 1 << 20];
    let mut bytes = 0;
    loop {
        match file.read(&mut buffer).unwrap() {
            0 => return bytes,
            read => bytes += read,
        }
    }
}

fn each_packet(capture: &Path, mut see: impl FnMut(i64, &[u8])) {
    let mut file = CaptureFile::open(capture).unwrap();
    while file.advance() == Step::Packet {
        see(file.info().ts_ns, file.data());
    }
}

/// Finds the headers of each packet; counts transport headers.
fn slice(capture: &Path) -> usize {
    let mut transports = 0;
    each_packet(capture, |_, packet| {
        let sliced = LaxSlicedPacket::from_ethernet(packet);
        transports += usize::from(sliced.is_ok_and(|sliced| sliced.transport.is_some()));
    });
    transports
}

#[derive(PartialEq, Eq, Hash)]
struct Key {
    low: ([u8; 16], u16),
    high: ([u8; 16], u16),
    protocol: u8,
}

#[derive(Default)]
struct Flow {
    first_ts_ns: i64,
    last_ts_ns: i64,
    packets: [u64; 2],
    bytes: [u64; 2],
}

/// Finds the headers, and counts packets and bytes of each flow; counts flows.
fn flows(capture: &Path) -> usize {
    let mut flows: HashMap<Key, Flow> = HashMap::new();
    each_packet(capture, |ts_ns, packet| {
        let Some((key, from_high)) = key(packet) else { return };
        let flow = flows.entry(key).or_insert_with(|| Flow { first_ts_ns: ts_ns, ..Flow::default() });
        flow.last_ts_ns = ts_ns;
        flow.packets[usize::from(from_high)] += 1;
        flow.bytes[usize::from(from_high)] += packet.len() as u64;
    });
    flows.values().filter(|flow| flow.last_ts_ns >= flow.first_ts_ns && flow.bytes > [0, 0]).count()
}

/// Endpoints and protocol, and whether the packet is from the higher endpoint.
fn key(packet: &[u8]) -> Option<(Key, bool)> {
    let sliced = LaxSlicedPacket::from_ethernet(packet).ok()?;
    let mapped = |address: [u8; 4]| Ipv4Addr::from(address).to_ipv6_mapped().octets();
    let (src, dst, protocol) = match sliced.net? {
        LaxNetSlice::Ipv4(ip) => {
            let header = ip.header();
            (mapped(header.source()), mapped(header.destination()), header.protocol())
        }
        LaxNetSlice::Ipv6(ip) => {
            let header = ip.header();
            (header.source(), header.destination(), header.next_header())
        }
        LaxNetSlice::Arp(_) => return None,
    };
    let (src_port, dst_port) = match sliced.transport {
        Some(TransportSlice::Tcp(tcp)) => (tcp.source_port(), tcp.destination_port()),
        Some(TransportSlice::Udp(udp)) => (udp.source_port(), udp.destination_port()),
        _ => (0, 0),
    };
    let (src, dst) = ((src, src_port), (dst, dst_port));
    let from_high = src > dst;
    let (low, high) = if from_high { (dst, src) } else { (src, dst) };
    Some((Key { low, high, protocol: protocol.0 }, from_high))
}

struct Nothing;

impl RecordSink for Nothing {
    fn record(&mut self, _record_type: RecordType, _bytes: &[u8]) {}
}

/// Weir's own walk through the layers, its flow table and decoders, writing no record; counts packets.
fn engine(capture: &Path) -> usize {
    let mut merge = Merge::files(&[capture.to_owned()]);
    let mut batcher = Batcher::new("bench", 0, PARTITIONS, LOCAL_BATCH_BYTES);
    let selection = Selection::parse("capture_stats").unwrap();
    let new_engine = || Engine::new(0, Limits::per_partition(PARTITIONS), selection);
    let mut engines: Vec<Engine> = (0..PARTITIONS).map(|_| new_engine()).collect();
    let mut decode = |batch: &PacketBatch| {
        engines[batch.partition as usize].push(batch, &mut Nothing).unwrap();
    };
    let mut packets = 0;
    while let Some(merged) = merge.next_packet() {
        let Merged::Packet(packet, interface) = merged else { continue };
        packets += 1;
        if let Some(full) = batcher.push(&packet, interface) {
            decode(&full);
            batcher.recycle(full);
        }
    }
    batcher.finish().for_each(|last| decode(&last));
    packets
}
