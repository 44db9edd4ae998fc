//! What the engine makes of a capture file: source, batches and engine in this process, without files.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage};
use weir_agent::{Batcher, LOCAL_BATCH_BYTES, Merge, Merged};
use weir_contract::{PacketBatch, RecordType, Selection};
use weir_engine::{Engine, Limits, RecordSink};

use crate::value;

static POOL: LazyLock<DescriptorPool> =
    LazyLock::new(|| DescriptorPool::decode(weir_contract::DESCRIPTORS).expect("the contract's descriptors"));

/// The records of a capture file.
#[derive(Default)]
pub struct Decoded {
    /// Packets read from it.
    pub packets: u64,
    /// Encoded, by the name of their type and the number of the packet.
    records: BTreeMap<&'static str, BTreeMap<u64, Vec<Vec<u8>>>>,
}

/// Of any record, what all have.
#[derive(Clone, PartialEq, Message)]
struct AnyRecord {
    #[prost(message, optional, tag = "1")]
    meta: Option<weir_contract::Meta>,
}

impl Decoded {
    /// Decodes a file with all record types selected. One that is no capture has no packets.
    pub fn read(path: &Path) -> Self {
        let mut decoded = Self::default();
        let mut merge = Merge::files(&[path.to_owned()]);
        let mut engine = Engine::new(0, Limits::per_partition(1), Selection::all());
        let mut batcher = Batcher::new("test", 1, 1, LOCAL_BATCH_BYTES);
        while let Some(Merged::Packet(packet, interface)) = merge.next_packet() {
            decoded.packets += 1;
            if let Some(full) = batcher.push(&packet, interface) {
                decoded.push(&mut engine, &full);
                batcher.recycle(full);
            }
        }
        for last in batcher.finish() {
            decoded.push(&mut engine, &last);
        }
        assert_eq!(engine.counters().failed_packets, 0, "{}: a decoder panicked", path.display());
        decoded
    }

    fn push(&mut self, engine: &mut Engine, batch: &PacketBatch) {
        engine.push(batch, self).expect("a batch of the builder's");
    }

    /// Packets that caused records of a type, and how many; of `type flavour` only those of that flavour.
    pub fn occurrences(&self, name: &str) -> BTreeMap<u64, usize> {
        let (name, flavour) = name.split_once(' ').map_or((name, None), |(name, flavour)| (name, Some(flavour)));
        let Some(records) = self.records.get(name) else { return BTreeMap::new() };
        let of_flavour = |frame: u64| {
            let of_frame = self.records_of(name, frame).into_iter();
            of_frame.filter(|record| value::of_record(record, "flavour").as_deref() == flavour).count()
        };
        let count = |(&frame, all): (&u64, &Vec<_>)| (frame, flavour.map_or(all.len(), |_| of_flavour(frame)));
        records.iter().map(count).filter(|(_, count)| *count > 0).collect()
    }

    /// The records of a type that a packet caused, in their order.
    pub fn records_of(&self, name: &str, frame: u64) -> Vec<DynamicMessage> {
        let Some(records) = self.records.get(name).and_then(|frames| frames.get(&frame)) else { return Vec::new() };
        let info = RecordType::from_name(name).expect("a record type").info();
        let descriptor = POOL.get_message_by_name(&format!("weir.v1.{}", info.message)).expect("a declared message");
        let decode = |bytes: &Vec<u8>| DynamicMessage::decode(descriptor.clone(), bytes.as_slice()).expect("a record");
        records.iter().map(decode).collect()
    }
}

impl RecordSink for Decoded {
    fn record(&mut self, record_type: RecordType, bytes: &[u8]) {
        let meta = AnyRecord::decode(bytes).expect("a record").meta.expect("every record has Meta");
        let frame = u64::try_from(meta.packet_number).expect("packets are numbered from 1");
        self.records.entry(record_type.name()).or_default().entry(frame).or_default().push(bytes.to_vec());
    }
}
