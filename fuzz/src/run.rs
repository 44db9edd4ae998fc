//! An engine that is fed packets, and what must hold whatever they are.

use std::collections::HashSet;

use weir_contract::{
    PacketBatch, RecordType, Selection,
    columns::{RecordColumns, write_json_lines},
};
use weir_engine::{Counters, Engine, Limits, RecordSink};

use crate::{
    START_NS,
    bytes::{Bytes, Control},
    canonical::{self, Checked},
};

/// Name of the sensor all packets come from.
pub const SENSOR: &str = "fuzz";

/// A packet, and whether the batch ends behind it.
pub struct OwnedPacket {
    /// Link type.
    pub link_type: u16,
    /// What was captured.
    pub data: Vec<u8>,
    control: Control,
}

impl OwnedPacket {
    /// The packets of an input: a control byte each, then what `read` makes of the rest.
    pub fn read_all(mut input: Bytes<'_>, read: impl Fn(&mut Bytes<'_>, bool) -> (u16, Vec<u8>)) -> Vec<Self> {
        let mut packets = Vec::new();
        while !input.is_empty() {
            let control = Control(input.u8());
            let (link_type, data) = read(&mut input, control.is_answer());
            packets.push(Self { link_type, data, control });
        }
        packets
    }
}

/// What an engine made of packets.
#[derive(Default)]
pub struct Run {
    /// Its records, in their order.
    pub records: Vec<(RecordType, Vec<u8>)>,
    /// What it counted.
    pub counters: Counters,
}

impl RecordSink for Run {
    fn record(&mut self, record_type: RecordType, bytes: &[u8]) {
        self.records.push((record_type, bytes.to_vec()));
    }
}

impl Run {
    /// Decodes all packets as one batch.
    pub fn whole(packets: &[OwnedPacket], limits: Limits) -> Self {
        Self::of(packets, limits, |_| false)
    }

    /// Decodes them as several batches, with a snapshot between each two.
    pub fn in_parts(packets: &[OwnedPacket], limits: Limits) -> Self {
        Self::of(packets, limits, |packet| packet.control.ends_batch())
    }

    fn of(packets: &[OwnedPacket], limits: Limits, ends_batch: impl Fn(&OwnedPacket) -> bool) -> Self {
        let mut run = Self::default();
        let mut engine = Engine::new(0, limits, Selection::all());
        let mut batch = empty_batch(1, 1);
        let mut ts_ns = START_NS;
        for (number, packet) in (1..).zip(packets) {
            ts_ns = ts_ns.saturating_add(packet.control.step_ns());
            append(&mut batch, packet, ts_ns);
            if ends_batch(packet) {
                engine.push(&batch, &mut run).expect("the columns agree");
                check_bounds(&engine, limits);
                let snapshot = engine.snapshot();
                engine = Engine::restore(&snapshot, limits, Selection::all()).expect("an engine reads its own state");
                assert!(engine.snapshot() == snapshot, "a restored engine has the state it was restored from");
                batch = empty_batch(batch.sequence + 1, number + 1);
            }
        }
        batch.end_of_capture = true;
        engine.push(&batch, &mut run).expect("the columns agree");
        check_bounds(&engine, limits);
        assert_eq!(engine.flow_count(), 0, "the end of a capture ends its flows");
        run.counters = *engine.counters();
        run
    }
}

/// A batch whose watermark stays where nothing is late and nothing ends: so the cuts between batches
/// can't show in the records.
fn empty_batch(sequence: i64, first_packet_number: i64) -> PacketBatch {
    let interfaces = Vec::new();
    PacketBatch {
        sensor: SENSOR.to_owned(),
        partition_count: 1,
        sequence,
        first_packet_number,
        packets_before: first_packet_number - 1,
        interfaces,
        watermark_ns: i64::MIN,
        ..PacketBatch::default()
    }
}

fn append(batch: &mut PacketBatch, packet: &OwnedPacket, ts_ns: i64) {
    let link_type = packet.link_type.into();
    let known = batch.interfaces.iter().position(|interface| interface.link_type == link_type);
    let interface = known.unwrap_or_else(|| {
        batch.interfaces.push(weir_contract::Interface { name: String::new(), link_type });
        batch.interfaces.len() - 1
    });
    let before_ns = batch.first_ts_ns + batch.ts_delta_ns.iter().sum::<i64>();
    if batch.captured_length.is_empty() {
        batch.first_ts_ns = ts_ns;
        batch.packet_number_delta.push(0);
        batch.ts_delta_ns.push(0);
    } else {
        batch.packet_number_delta.push(1);
        batch.ts_delta_ns.push(ts_ns - before_ns);
    }
    let length = u32::try_from(packet.data.len()).expect("the fuzzer's inputs are short");
    batch.captured_length.push(length);
    batch.original_length.push(if packet.control.is_cut() { length + 40 } else { length });
    batch.interface_index.push(u32::try_from(interface).expect("few"));
    batch.data = [&batch.data[..], &packet.data].concat().into();
}

fn check_bounds(engine: &Engine, limits: Limits) {
    /// Flows of one packet: its own, and one in each tunnel.
    const FLOWS_OF_A_PACKET: usize = 5;
    assert!(engine.flow_count() <= limits.flows.max(FLOWS_OF_A_PACKET), "more flows than the limit");
    assert_eq!(engine.counters().failed_packets, 0, "a decoder panicked");
}

/// The same records in the same order, and the same counts.
pub fn assert_same(one: &Run, other: &Run) {
    let text = |record: Option<&(RecordType, Vec<u8>)>| record.map(|(of, bytes)| text(*of, bytes)).unwrap_or_default();
    for at in 0..one.records.len().max(other.records.len()) {
        let (ours, theirs) = (one.records.get(at), other.records.get(at));
        assert!(ours == theirs, "record {at}:\n  {}  {}", text(ours), text(theirs));
    }
    assert_eq!(one.counters, other.counters);
}

/// What [`check_forms`] does; and no two records have one identity, and what is truncated comes with a Weird, or
/// after so many that no more are written.
pub fn check_records(records: &[(RecordType, Vec<u8>)]) {
    let mut identities = HashSet::new();
    let (mut first_truncated, mut first_weird) = (None, None);
    for (record_type, bytes) in records {
        let Checked { meta, is_truncated } = check_form(*record_type, bytes);
        let earliest = match record_type {
            RecordType::Weird => Some(&mut first_weird),
            RecordType::Packet => None,
            _ => is_truncated.then_some(&mut first_truncated),
        };
        if let Some(earliest) = earliest {
            *earliest = Some(earliest.map_or(meta.packet_number, |number: i64| number.min(meta.packet_number)));
        }
        let is_new = identities.insert((*record_type, meta.packet_number, meta.uid, meta.record_index));
        assert!(is_new, "a record with the identity of another:\n  {}", text(*record_type, bytes));
    }
    if let Some(number) = first_truncated {
        let is_explained = first_weird.is_some_and(|weird| weird <= number);
        assert!(is_explained, "packet {number} has a record cut short without a Weird");
    }
}

/// Records are canonical protobuf, and keep the bounds on lists and texts.
pub fn check_forms(records: &[(RecordType, Vec<u8>)]) {
    for (record_type, bytes) in records {
        check_form(*record_type, bytes);
    }
}

fn check_form(record_type: RecordType, bytes: &[u8]) -> Checked {
    match canonical::check(record_type, bytes) {
        Ok(checked) => checked,
        Err(fault) => panic!("{fault}: {bytes:x?}\n  {}", text(record_type, bytes)),
    }
}

/// A record for people.
fn text(record_type: RecordType, bytes: &[u8]) -> String {
    let mut columns = RecordColumns::new(record_type);
    let mut text = Vec::new();
    if let Err(malformed) = columns.push_wire(bytes) {
        return malformed.to_string();
    }
    let batch = columns.finish().expect("columns of equal length");
    write_json_lines(&batch, Some(record_type.name()), &mut text).expect("memory takes everything");
    String::from_utf8_lossy(&text).into_owned()
}
