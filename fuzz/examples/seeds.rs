//! Writes the first inputs of all targets to `fuzz/corpus`, out of the project's own captures:
//!
//! ```text
//! cargo run --manifest-path fuzz/Cargo.toml --example seeds
//! ```

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    fs,
    path::{Path, PathBuf},
};

use etherparse::{LaxNetSlice, LaxSlicedPacket, TransportSlice};
use prost::Message;
use weir_agent::{CaptureFile, Source, Step};
use weir_contract::{BatchBuilder, Interface, Packet, PacketBatch, Partition, RecordType, Selection};
use weir_engine::{Engine, Limits, RecordSink, protocols};
use weir_fuzz::{SENSOR, Way, ways};

/// Longer inputs teach the fuzzer little and slow it down.
const SEED_BYTES_MAX: usize = 700;

/// Inputs a target begins with at most.
const SEEDS_MAX: usize = 24;

/// Packets of a capture that become one input of the target `engine`, or one batch.
const GROUP: usize = 4;

/// Control byte of a packet a millisecond after the one before, and the same behind which the batch
/// ends; see `Control`.
const NEXT: u8 = 1 << 5;
const NEXT_AND_CUT: u8 = NEXT | 4;

/// What the target `privacy` looks for in texts.
const ADDRESSES: [&str; 5] = [
    "from 192.0.2.1:53 to [2001:db8::1%eth0]:443",
    "00:00:5e:00:53:01 33-33-ff-00-53-01",
    "1.2.0.192.in-addr.arpa",
    "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa",
    "\\x0a::ffff:192.0.2.1/128",
];

#[derive(Default)]
struct Seeds(BTreeMap<&'static str, BTreeSet<Vec<u8>>>);

impl Seeds {
    fn add(&mut self, target: &'static str, seed: Vec<u8>) {
        let seeds = self.0.entry(target).or_default();
        if seed.len() <= SEED_BYTES_MAX && seeds.len() < SEEDS_MAX {
            seeds.insert(seed);
        }
    }
}

struct OwnedPacket {
    link_type: u16,
    ts_ns: i64,
    data: Vec<u8>,
}

#[derive(Default)]
struct Records(Vec<(RecordType, Vec<u8>)>);

impl RecordSink for Records {
    fn record(&mut self, record_type: RecordType, bytes: &[u8]) {
        self.0.push((record_type, bytes.to_vec()));
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut captures: Vec<PathBuf> = fs::read_dir(folder.join("../tests/captures"))?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_, std::io::Error>>()?;
    captures.sort();
    let mut seeds = Seeds::default();
    for (field, text) in (0_u16..).zip(ADDRESSES) {
        seeds.add("privacy", [&[1], &field.to_be_bytes()[..], text.as_bytes()].concat());
    }
    let mut seen_records = BTreeMap::new();
    for path in captures.iter().filter(|path| path.is_file()) {
        let bytes = fs::read(path)?;
        if bytes.len() <= 2500 && path.to_string_lossy().contains(".pcap") {
            // Captures are the one kind of input that can't be shortened without losing its point.
            seeds.0.entry("capture_file").or_default().insert(bytes);
        }
        let packets = read(path);
        for group in packets.chunks(GROUP) {
            add_group(&mut seeds, group, &mut seen_records);
        }
        for packet in &packets {
            seeds.add("partition_key", [&packet.link_type.to_be_bytes()[..], &packet.data].concat());
        }
        add_messages(&mut seeds, &packets);
    }
    for (target, seeds) in seeds.0 {
        let corpus = folder.join("corpus").join(target);
        fs::create_dir_all(&corpus)?;
        for (number, seed) in seeds.iter().enumerate() {
            fs::write(corpus.join(format!("seed-{number:02}")), seed)?;
        }
    }
    Ok(())
}

fn read(path: &Path) -> Vec<OwnedPacket> {
    let Ok(mut file) = CaptureFile::open(path) else { return Vec::new() };
    let mut packets = Vec::new();
    while file.advance() == Step::Packet && packets.len() < 200 {
        let info = file.info();
        let link_type = file.interfaces()[info.interface as usize].link_type;
        packets.push(OwnedPacket {
            link_type: u16::try_from(link_type).unwrap_or_default(),
            ts_ns: info.ts_ns,
            data: file.data().to_vec(),
        });
    }
    packets
}

/// Neighbouring packets as input of the whole engine, as a batch, as the state behind it, and as
/// records: of each type the first few.
fn add_group(seeds: &mut Seeds, packets: &[OwnedPacket], seen: &mut BTreeMap<RecordType, usize>) {
    let mut builder = BatchBuilder::new(SENSOR, 1, Partition { number: 0, count: 1 });
    let mut input = Vec::new();
    for (at, packet) in (0..).zip(packets) {
        let OwnedPacket { link_type, ts_ns, data } = packet;
        input.push(if at % 2 == 0 { NEXT } else { NEXT_AND_CUT });
        input.extend(link_type.to_be_bytes());
        input.extend(message(data));
        let interface = Interface { name: "eth0".to_owned(), link_type: (*link_type).into() };
        let original_length = u32::try_from(data.len()).unwrap_or(u32::MAX);
        let packet =
            Packet { number: at + 1, ts_ns: *ts_ns, data, original_length, link_type: *link_type, interface: 0 };
        builder.push(&packet, &interface).expect("a few packets fit");
    }
    let batch = builder.finish(packets[0].ts_ns, PacketBatch::default());
    let mut engine = Engine::new(0, Limits::per_partition(1), Selection::all());
    let mut records = Records::default();
    engine.push(&batch, &mut records).expect("the columns agree");
    // What is new about a group is that it has a type of record that was rare so far.
    let is_new = records.0.iter().any(|(record_type, _)| *seen.entry(*record_type).or_default() < 2);
    if is_new {
        seeds.add("privacy", [&[2], &input[..]].concat());
        seeds.0.entry("engine").or_default().insert(input);
        seeds.0.entry("packet_batch").or_default().insert(batch.encode_to_vec());
        seeds.0.entry("snapshot").or_default().insert(engine.snapshot());
    }
    for (record_type, bytes) in records.0 {
        let times = seen.entry(record_type).or_default();
        *times += 1;
        if *times <= 2 {
            let id = u16::try_from(record_type.info().id).expect("numbers of types are small");
            let input = [&id.to_be_bytes()[..], &bytes].concat();
            seeds.add("privacy", [&[0], &input[..]].concat());
            seeds.0.entry("columns").or_default().insert(input);
        }
    }
}

/// The messages in packets as inputs of the protocols that they are of.
fn add_messages(seeds: &mut Seeds, packets: &[OwnedPacket]) {
    for protocol in protocols() {
        for (at, way) in (0..).zip(ways(&protocol)) {
            let messages: Vec<_> = packets.iter().filter_map(|packet| find(packet, way)).collect();
            for pair in messages.chunks(2) {
                let mut input: Vec<u8> = vec![at];
                for (number, found) in (0..).zip(pair) {
                    input.push(NEXT | number);
                    input.extend(message(found));
                }
                seeds.add(protocol.name, input);
            }
        }
    }
}

/// What of a packet lies behind the header that a way stands for.
fn find(packet: &OwnedPacket, way: Way) -> Option<Vec<u8>> {
    let OwnedPacket { link_type, data, .. } = packet;
    match way {
        Way::LinkType(wanted) => return (*link_type == wanted).then(|| data.clone()),
        Way::Llc if *link_type == 1 && data.get(12)? < &6 => return Some(data.get(14..)?.to_vec()),
        Way::LlcSap(sap) if *link_type == 1 && data.get(12)? < &6 && *data.get(14)? == sap => {
            return Some(data.get(17..)?.to_vec());
        }
        Way::EtherType(wanted) if *link_type == 1 => {
            let tag = wanted.to_be_bytes();
            let at = (12..data.len().min(30)).step_by(2).find(|&at| data.get(at..at + 2) == Some(&tag))?;
            return Some(data.get(at + 2..)?.to_vec());
        }
        _ => {}
    }
    let sliced = match link_type {
        1 => LaxSlicedPacket::from_ethernet(data).ok()?,
        _ => LaxSlicedPacket::from_ip(data).ok()?,
    };
    match (way, sliced.net?) {
        (Way::Ipv4(wanted), LaxNetSlice::Ipv4(ip)) if ip.header().protocol().0 == wanted => {
            Some(data.get(header_end(data, ip.header().slice())..)?.to_vec())
        }
        (Way::Ipv6(wanted), LaxNetSlice::Ipv6(ip)) if ip.header().next_header().0 == wanted => {
            Some(data.get(header_end(data, ip.header().slice())..)?.to_vec())
        }
        (Way::Icmpv6(wanted), LaxNetSlice::Ipv6(ip)) => {
            let message = ip.payload().payload;
            (ip.payload().ip_number.0 == 58 && message.first() == Some(&wanted)).then(|| message.to_vec())
        }
        (Way::Tcp(port), _) => match sliced.transport? {
            TransportSlice::Tcp(tcp) => {
                let is_known_by = tcp.destination_port() == port || tcp.source_port() == port;
                (is_known_by && !tcp.payload().is_empty()).then(|| tcp.payload().to_vec())
            }
            _ => None,
        },
        (Way::Udp(_, port), _) => match sliced.transport? {
            TransportSlice::Udp(udp) => {
                let is_known_by = udp.destination_port() == port || udp.source_port() == port;
                is_known_by.then(|| udp.payload().to_vec())
            }
            _ => None,
        },
        _ => None,
    }
}

/// Where a slice of a packet ends in it.
fn header_end(packet: &[u8], header: &[u8]) -> usize {
    packet.windows(header.len()).position(|window| window == header).map_or(packet.len(), |at| at + header.len())
}

/// A message behind its length.
fn message(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    [&length.to_be_bytes()[..], bytes].concat()
}
