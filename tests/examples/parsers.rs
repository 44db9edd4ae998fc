//! What each parser costs a byte, beside a copy of the same bytes.
//!
//! Usage: `parsers CAPTURE…`: a row for each capture, which is best of one protocol.
//!
//! A capture is decoded from memory twice: as it is, and with every byte above TCP and UDP replaced by one that
//! is the beginning of no protocol. The difference is what recognising, reading and writing records takes. Each
//! is repeated, and the least time counts.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    hint::black_box,
    path::Path,
    time::{Duration, Instant},
};

use etherparse::{LaxSlicedPacket, TransportSlice};
use weir_agent::{Batcher, LOCAL_BATCH_BYTES, Merge, Merged};
use weir_contract::{Packet, PacketBatch, RecordType, Selection};
use weir_engine::{Engine, Limits, RecordSink};

/// A capture is decoded so many times in one go, so that what is measured is longer than the clock's grain.
const TIMES: i64 = 50;

const ROUNDS: usize = 9;

/// No protocol begins with it.
const NOBODYS: u8 = 0xaa;

struct Nothing;

impl RecordSink for Nothing {
    fn record(&mut self, _record_type: RecordType, bytes: &[u8]) {
        black_box(bytes);
    }
}

fn main() {
    println!("{:24} {:>12} {:>12} {:>12} {:>9}", "", "bytes above", "parser ns/B", "copy ns/B", "× copy");
    for capture in std::env::args().skip(1) {
        let (batches, payload_bytes) = batches(Path::new(&capture), false);
        let (blank, _) = self::batches(Path::new(&capture), true);
        let payload = vec![NOBODYS; payload_bytes];
        let mut copied = vec![0; payload_bytes];
        let parsed = least(|| decode(&batches));
        let unparsed = least(|| decode(&blank));
        let copy = least(|| (0..TIMES).for_each(|_| black_box(&mut copied[..]).copy_from_slice(black_box(&payload))));
        let per_byte = |time: Duration| time.as_secs_f64() * 1e9 / payload_bytes as f64 / TIMES as f64;
        let (parser, copy) = (per_byte(parsed.saturating_sub(unparsed)), per_byte(copy));
        let name = Path::new(&capture).file_name().unwrap().to_string_lossy().into_owned();
        println!("{name:24} {payload_bytes:>12} {parser:>12.2} {copy:>12.3} {:>9.0}", parser / copy);
    }
}

fn least(mut run: impl FnMut()) -> Duration {
    let times = (0..ROUNDS).map(|_| {
        let start = Instant::now();
        run();
        start.elapsed()
    });
    times.min().unwrap()
}

/// Decodes the capture again and again, each time as another run of its sensor.
fn decode(batches: &[PacketBatch]) {
    for epoch in 1..=TIMES {
        let mut engine = Engine::new(0, Limits::per_partition(1), Selection::default());
        for batch in batches {
            engine.push(&PacketBatch { epoch, ..batch.clone() }, &mut Nothing).unwrap();
        }
        engine.finish("bench", epoch, &mut Nothing);
    }
}

/// The capture's packets in one partition, and how many bytes are above TCP and UDP.
fn batches(capture: &Path, is_blank: bool) -> (Vec<PacketBatch>, usize) {
    let mut merge = Merge::files(&[capture.to_owned()]);
    let mut batcher = Batcher::new("bench", 1, 1, LOCAL_BATCH_BYTES);
    let mut batches = Vec::new();
    let mut payload_bytes = 0;
    while let Some(merged) = merge.next_packet() {
        let Merged::Packet(packet, interface) = merged else { continue };
        let mut data = packet.data.to_vec();
        let length = payload_length(&data);
        payload_bytes += length;
        if is_blank {
            let begin = data.len() - length;
            data[begin..].fill(NOBODYS);
        }
        batches.extend(batcher.push(&Packet { data: &data, ..packet }, interface));
    }
    batches.extend(batcher.finish());
    (batches, payload_bytes)
}

/// Bytes of a packet above TCP or UDP.
fn payload_length(packet: &[u8]) -> usize {
    let Ok(sliced) = LaxSlicedPacket::from_ethernet(packet) else { return 0 };
    match sliced.transport {
        Some(TransportSlice::Tcp(tcp)) => tcp.payload().len(),
        Some(TransportSlice::Udp(udp)) => udp.payload().len(),
        _ => 0,
    }
}
