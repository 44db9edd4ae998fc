//! Decoding asks the allocator for nothing once buffers, drafts and state have grown to what the traffic needs.
//! Its own test binary, since the allocator of this one counts.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{fs, path::Path};

use allocation_counter::{AllocationInfo, measure};
use weir_agent::{CaptureFile, Source as _, Step};
use weir_contract::{BatchBuilder, Interface, Packet, PacketBatch, Partition, RecordType, Selection};
use weir_engine::{Engine, Limits, RecordSink};

/// Passes over a capture until all buffers have grown. The spare strings of records are handed on as they come,
/// so that it takes a few until each is as long as the longest text.
const WARM_UP: usize = 30;

/// Allocations per packet in captures of what takes memory by its nature: fragments are kept until their datagram
/// is whole, a connection that reuses the ports of another is a new one, and the addresses of a source route are
/// gathered before the last is known.
const EXCEPTIONS: [(&str, u64); 10] = [
    ("dns-odd.pcap", 1),
    ("fragments.pcap", 4),
    ("interfaces.pcapng", 2),
    ("ipv6-extensions.pcap", 1),
    ("office.pcapng", 1),
    ("ping.pcap", 3),
    ("syslog.pcap", 1),
    ("tcp-port-reuse.pcap", 1),
    ("tcp-simultaneous-open.pcap", 1),
    ("udp.pcap", 2),
];

struct Count(usize);

impl RecordSink for Count {
    fn record(&mut self, _: RecordType, bytes: &[u8]) {
        self.0 += bytes.len();
    }
}

/// The packets of a capture as one batch that ends nothing.
fn batch(path: &Path) -> Option<PacketBatch> {
    let mut file = CaptureFile::open(path).ok()?;
    let mut builder = BatchBuilder::new("lab", 1, Partition { number: 0, count: 1 });
    let mut number = 0;
    while file.advance() == Step::Packet {
        let info = file.info();
        let interface = file.interfaces().get(info.interface as usize)?;
        let link_type = u16::try_from(interface.link_type).ok()?;
        number += 1;
        let packet = Packet {
            number,
            ts_ns: info.ts_ns,
            data: file.data(),
            original_length: info.original_length,
            link_type,
            interface: info.interface,
        };
        let interface = Interface { name: String::new(), link_type: link_type.into() };
        if builder.push(&packet, &interface).is_err() {
            break;
        }
    }
    (number > 0).then(|| builder.finish(i64::MIN, PacketBatch::default()))
}

#[test]
fn packets_of_known_flows_take_no_memory() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures");
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let mut captures = 0;
    for path in paths {
        let Some(batch) = batch(&path) else { continue };
        captures += 1;
        let name = path.file_name().unwrap().to_str().unwrap();
        let mut engine = Engine::new(1, Limits::per_partition(1), Selection::all());
        let mut sink = Count(0);
        for _ in 0..WARM_UP {
            engine.push(&batch, &mut sink).unwrap();
        }
        let AllocationInfo { count_total, .. } = measure(|| engine.push(&batch, &mut sink).unwrap());
        let exception = EXCEPTIONS.iter().find(|(of, _)| *of == name).map_or(0, |(_, per_packet)| *per_packet);
        let packets = u64::try_from(batch.packet_count()).unwrap();
        assert!(count_total <= exception * packets, "{name}: {count_total} allocations for {packets} packets");
    }
    assert!(captures > 50, "only {captures} captures");
}
