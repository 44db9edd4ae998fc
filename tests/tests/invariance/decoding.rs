//! Decoding a capture in many ways.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage};
use weir_agent::{CaptureFile, Source, Step};
use weir_contract::{
    BatchBuilder, CaptureCounters, DESCRIPTORS, Interface, Meta, Packet, PacketBatch, Partition, RecordType, Selection,
    SensorKey, home_partition, partition, partition_key,
};
use weir_engine::{Engine, Limits, RecordSink};

/// A capture in memory.
pub struct Capture {
    pub name: String,
    pub packets: Vec<OwnedPacket>,
}

pub struct OwnedPacket {
    ts_ns: i64,
    data: Vec<u8>,
    original_length: u32,
    link_type: u16,
}

/// How packets reach the engines.
#[derive(Clone)]
pub struct Plan {
    pub partitions: u32,
    pub cuts: Cuts,
    pub seed: u64,
    /// Packets after which every engine is replaced by one restored from its snapshot.
    pub restore_after: Vec<usize>,
    /// Packets from the lower to the higher address come from one interface, the others from another.
    pub split_directions: bool,
    /// The packet whose time is changed to 2106.
    pub dated_2106: Option<usize>,
    /// How many times longer everything lasts.
    pub slower: i64,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            partitions: 1,
            cuts: Cuts::Every(100_000),
            seed: 1,
            restore_after: Vec::new(),
            split_directions: false,
            dated_2106: None,
            slower: 1,
        }
    }
}

/// How many packets of the capture go by between cuts.
#[derive(Clone, Debug)]
pub enum Cuts {
    Every(usize),
    Cycle(Vec<usize>),
}

/// What came out: records with their types.
pub struct Records {
    pub in_order: Vec<(RecordType, Vec<u8>)>,
}

impl Records {
    fn sorted(&self, without: &[RecordType]) -> Vec<&(RecordType, Vec<u8>)> {
        let mut sorted: Vec<_> = self.in_order.iter().filter(|(of, _)| !without.contains(of)).collect();
        sorted.sort();
        sorted
    }

    pub fn assert_same(&self, other: &Self, what: &str) {
        self.assert_same_but(other, &[], what);
    }

    pub fn assert_same_but(&self, other: &Self, without: &[RecordType], what: &str) {
        let (ours, theirs) = (self.sorted(without), other.sorted(without));
        if ours == theirs {
            return;
        }
        let (ours, theirs): (BTreeSet<_>, BTreeSet<_>) = (ours.into_iter().collect(), theirs.into_iter().collect());
        let only = |mut records: std::collections::btree_set::Difference<'_, &(RecordType, Vec<u8>)>| {
            records.next().map_or_else(|| "nothing".to_owned(), |record| text(record))
        };
        panic!(
            "{what}: only here:\n  {}\nonly there:\n  {}",
            only(ours.difference(&theirs)),
            only(theirs.difference(&ours))
        );
    }

    /// Of the packets with UDP the one nearest to the middle, and the address pairs of all flows it
    /// belongs to, outer and inner.
    pub fn flows_of_middle_packet(&self, packets: usize) -> Option<(usize, BTreeSet<[String; 2]>)> {
        let numbers =
            self.in_order.iter().filter(|(of, _)| *of == RecordType::Udp).map(|record| meta(record).packet_number);
        let middle = i64::try_from(packets / 2).unwrap();
        let number = numbers.min_by_key(|number| number.abs_diff(middle))?;
        let metas = self.in_order.iter().map(meta).filter(|meta| meta.packet_number == number);
        Some((usize::try_from(number).unwrap() - 1, metas.map(|meta| pair(&meta)).collect()))
    }

    /// The records that neither come from the packet nor are of these flows.
    pub fn without(self, packet_number: i64, flows: &BTreeSet<[String; 2]>) -> Self {
        let is_other = |record: &(RecordType, Vec<u8>)| {
            let meta = meta(record);
            record.0 != RecordType::CaptureStats && meta.packet_number != packet_number && !flows.contains(&pair(&meta))
        };
        Self { in_order: self.in_order.into_iter().filter(is_other).collect() }
    }

    /// No two records have one identity.
    pub fn assert_identified(&self, what: &str) {
        let mut seen = BTreeMap::new();
        for record in &self.in_order {
            let meta = meta(record);
            let identity = (record.0, meta.packet_number, meta.uid, meta.record_index);
            if let Some(other) = seen.insert(identity, record) {
                panic!("{what}: one identity for\n  {}\nand\n  {}", text(other), text(record));
            }
        }
    }
}

/// Every record begins with its Meta.
fn meta((_, bytes): &(RecordType, Vec<u8>)) -> Meta {
    Meta::decode_length_delimited(&bytes[1..]).expect("records begin with Meta")
}

fn pair(meta: &Meta) -> [String; 2] {
    let mut pair = [meta.src_ip.clone(), meta.dst_ip.clone()];
    pair.sort();
    pair
}

/// A record for people.
pub fn text((record_type, bytes): &(RecordType, Vec<u8>)) -> String {
    let pool = DescriptorPool::decode(DESCRIPTORS).unwrap();
    let descriptor = pool.get_message_by_name(&format!("weir.v1.{}", record_type.info().message)).unwrap();
    format!("{} {}", record_type.name(), DynamicMessage::decode(descriptor, &bytes[..]).unwrap())
}

/// Takes nothing, and says so.
struct Silence;

impl RecordSink for Silence {
    fn record(&mut self, record_type: RecordType, _bytes: &[u8]) {
        panic!("a record of {} where nobody takes it", record_type.name());
    }

    fn is_silent(&self) -> bool {
        true
    }
}

struct Keep<'a>(&'a mut Vec<(RecordType, Vec<u8>)>);

impl RecordSink for Keep<'_> {
    fn record(&mut self, record_type: RecordType, bytes: &[u8]) {
        self.0.push((record_type, bytes.to_vec()));
    }
}

const SENSOR: &str = "lab";
const EPOCH: i64 = 7;

/// 2106-02-07, the last second that 32 bits hold.
const YEAR_2106_NS: i64 = 4_294_967_295_000_000_000;

impl Capture {
    pub fn read(path: &Path) -> Option<Self> {
        let is_capture = [".pcap", ".pcapng", ".pcap.gz", ".pcap.zst", ".pcap.lz4", ".pcapng.gz", ".pcapng.zst"];
        let name = path.file_name()?.to_str()?.to_owned();
        if !is_capture.iter().any(|ending| name.ends_with(ending)) {
            return None;
        }
        let mut file = CaptureFile::open(path).unwrap();
        let mut packets = Vec::new();
        while file.advance() == Step::Packet {
            let info = file.info();
            let interface = &file.interfaces()[info.interface as usize];
            packets.push(OwnedPacket {
                ts_ns: info.ts_ns,
                data: file.data().to_vec(),
                original_length: info.original_length,
                link_type: u16::try_from(interface.link_type).unwrap(),
            });
        }
        // As a merge of interfaces gives them: in time order.
        packets.sort_by_key(|packet| packet.ts_ns);
        Some(Self { name, packets })
    }

    /// Replays this share of the packets, in fourths, in silence; what comes then, and the state before it, beside those
    /// of an engine that was heard all the time.
    pub fn replay(&self, fourths: usize) -> [(Vec<u8>, Records); 2] {
        let limits = Limits::per_partition(1);
        let silent_until = self.packets.len() * fourths / 4;
        [true, false].map(|is_silent| {
            let mut engine = Engine::new(0, limits, Selection::all());
            let (mut before, mut after) = (Vec::new(), Vec::new());
            let mut builder = BatchBuilder::new(SENSOR, EPOCH, Partition { number: 0, count: 1 });
            let mut watermark_ns = i64::MIN;
            let mut state = Vec::new();
            for (at, packet) in self.packets.iter().enumerate() {
                if at == silent_until {
                    state = engine.snapshot();
                }
                watermark_ns = watermark_ns.max(packet.ts_ns);
                let interface = Interface { name: "eth0".to_owned(), link_type: packet.link_type.into() };
                let packet = Packet {
                    number: i64::try_from(at + 1).unwrap(),
                    ts_ns: packet.ts_ns,
                    data: &packet.data,
                    original_length: packet.original_length,
                    link_type: packet.link_type,
                    interface: u32::from(packet.link_type),
                };
                builder.push(&packet, &interface).unwrap();
                let mut batch = builder.finish(watermark_ns, PacketBatch::default());
                batch.end_of_capture = at + 1 == self.packets.len();
                match (at < silent_until, is_silent) {
                    (true, true) => engine.push(&batch, &mut Silence).unwrap(),
                    (true, false) => engine.push(&batch, &mut Keep(&mut before)).unwrap(),
                    (false, _) => engine.push(&batch, &mut Keep(&mut after)).unwrap(),
                }
            }
            (state, Records { in_order: after })
        })
    }

    pub fn decode(&self, plan: &Plan) -> Records {
        let mut records = Vec::new();
        let mut sink = Keep(&mut records);
        let count = plan.partitions;
        let limits = Limits::per_partition(count);
        let mut engines: Vec<_> = (0..count).map(|_| Engine::new(plan.seed, limits, Selection::all())).collect();
        let mut builders: Vec<_> =
            (0..count).map(|number| BatchBuilder::new(SENSOR, EPOCH, Partition { number, count })).collect();
        let key = SensorKey::new(SENSOR);
        let mut watermark_ns = i64::MIN;
        let mut until_cut = plan.cuts.clone().into_iter();
        let mut left = until_cut.next().unwrap();
        let begin_ns = self.packets.first().map_or(0, |packet| packet.ts_ns);

        for (at, packet) in self.packets.iter().enumerate() {
            let dated = plan.dated_2106 == Some(at);
            let ts_ns = begin_ns + (packet.ts_ns - begin_ns) * plan.slower;
            let ts_ns = if dated { YEAR_2106_NS } else { ts_ns };
            if !dated {
                watermark_ns = watermark_ns.max(ts_ns);
            }
            let partition_key = partition_key(&key, packet.link_type, &packet.data);
            let of = partition(partition_key, count) as usize;
            let side = u32::from(plan.split_directions && packet.data.get(6..12) < packet.data.get(0..6));
            let interface = Interface { name: format!("eth{side}"), link_type: packet.link_type.into() };
            let packet = Packet {
                number: i64::try_from(at + 1).unwrap(),
                ts_ns,
                data: &packet.data,
                original_length: packet.original_length,
                link_type: packet.link_type,
                // Of one interface all packets have one link type.
                interface: side + 2 * u32::from(packet.link_type),
            };
            if builders[of].push(&packet, &interface).is_err() {
                let batch = builders[of].finish(watermark_ns, PacketBatch::default());
                engines[of].push(&batch, &mut sink).unwrap();
                builders[of].push(&packet, &interface).unwrap();
            }
            left -= 1;
            let restores = plan.restore_after.contains(&(at + 1));
            if left == 0 || restores {
                left = if left == 0 { until_cut.next().unwrap() } else { left };
                for (engine, builder) in engines.iter_mut().zip(&mut builders) {
                    let batch = builder.finish(watermark_ns, PacketBatch::default());
                    engine.push(&batch, &mut sink).unwrap();
                }
            }
            if restores {
                for engine in &mut engines {
                    *engine = Engine::restore(&engine.snapshot(), limits, Selection::all()).unwrap();
                }
            }
        }
        let home = home_partition(&key, count);
        for (at, (engine, builder)) in engines.iter_mut().zip(&mut builders).enumerate() {
            let mut batch = builder.finish(watermark_ns, PacketBatch::default());
            batch.end_of_capture = true;
            if at == home as usize {
                let packets = i64::try_from(self.packets.len()).unwrap();
                batch.counters = Some(CaptureCounters { packets, ..CaptureCounters::default() });
            }
            engine.push(&batch, &mut sink).unwrap();
        }
        let counters = engines.iter().map(Engine::counters);
        let lost = counters.map(|counters| counters.late_flows + counters.evicted_flows + counters.evicted_datagrams);
        assert_eq!(lost.sum::<u64>(), 0, "{}: nothing is late or evicted", self.name);
        Records { in_order: records }
    }
}

impl IntoIterator for Cuts {
    type Item = usize;
    type IntoIter = Box<dyn Iterator<Item = usize>>;

    fn into_iter(self) -> Self::IntoIter {
        match self {
            Self::Every(packets) => Box::new(std::iter::repeat(packets)),
            Self::Cycle(packets) => Box::new(packets.into_iter().cycle()),
        }
    }
}
