//! A snapshot of an earlier build restores in this one: `tests/snapshots` holds some, each named by the commit that made it.
//!
//! The ignored test writes the snapshot of the build at hand to the file that `SNAPSHOT` names. An earlier build reads that of a
//! later one by this file too, copied to where it was then, with `SNAPSHOTS` naming the folder.

use std::collections::BTreeSet;
use std::path::PathBuf;

use prost::Message as _;
use weir_agent::{Batcher, Merge, Merged};
use weir_contract::{Meta, PacketBatch, RecordType, Selection};
use weir_engine::{Engine, Limits, RecordSink};

/// Datagrams, fragments, and connections that last: something of all that an engine keeps.
const CAPTURES: [&str; 8] = [
    "dhcpv4.pcap",
    "dns-types.pcap",
    "fragments.pcap",
    "ntp.pcap",
    "snmp.pcap",
    "tcp-close.pcap",
    "tcp-keepalive.pcap",
    "tftp.pcap",
];

/// What tells a record from all others.
type Identity = (&'static str, i64, i64, String, u32);

/// Records by what tells them from others: what they say may change from release to release.
#[derive(Default)]
struct Identities(BTreeSet<Identity>);

impl RecordSink for Identities {
    fn record(&mut self, of: RecordType, bytes: &[u8]) {
        #[derive(Clone, PartialEq, prost::Message)]
        struct AnyRecord {
            #[prost(message, optional, tag = "1")]
            meta: Option<Meta>,
        }
        let meta = AnyRecord::decode(bytes).unwrap().meta.unwrap();
        self.0.insert((of.name(), meta.epoch, meta.packet_number, meta.uid, meta.record_index));
    }
}

/// The first halves of all captures, and the second ones; each capture is a run of its own.
fn halves() -> [Vec<PacketBatch>; 2] {
    let mut halves = [Vec::new(), Vec::new()];
    for (epoch, name) in (1..).zip(CAPTURES) {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("captures").join(name);
        let mut merge = Merge::files(&[path]);
        let mut batcher = Batcher::new("lab", epoch, 1, 400);
        let mut batches = Vec::new();
        while let Some(Merged::Packet(packet, interface)) = merge.next_packet() {
            batches.extend(batcher.push(&packet, interface));
        }
        batches.extend(batcher.finish());
        let second = batches.split_off(batches.len() / 2);
        halves[0].extend(batches);
        halves[1].extend(second);
    }
    halves
}

fn engine() -> Engine {
    Engine::new(0, Limits::per_partition(1), selection())
}

fn selection() -> Selection {
    Selection::parse("connection,dns,dhcpv4,ntp,snmp,tftp,weird,capture_stats,capture_loss").unwrap()
}

fn push(engine: &mut Engine, batches: &[PacketBatch]) -> BTreeSet<Identity> {
    let mut records = Identities::default();
    for batch in batches {
        engine.push(batch, &mut records).unwrap();
    }
    records.0
}

#[test]
fn snapshots_of_earlier_builds_restore_and_give_the_records_that_are_still_to_come() {
    let folder = std::env::var_os("SNAPSHOTS")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("snapshots"), PathBuf::from);
    let [first, second] = halves();
    let mut undisturbed = engine();
    push(&mut undisturbed, &first);
    let expected = push(&mut undisturbed, &second);
    let files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(!files.is_empty(), "{} holds snapshots", folder.display());
    for file in files {
        let snapshot = std::fs::read(&file).unwrap();
        let mut restored = Engine::restore(&snapshot, Limits::per_partition(1), selection()).unwrap();
        let flows = restored.flow_count();
        assert!(flows > 0);
        let records = push(&mut restored, &second);
        println!("{}: {} bytes, {flows} flows, {} records", file.display(), snapshot.len(), records.len());
        assert!(records == expected, "{}: {:?}", file.display(), records.symmetric_difference(&expected));
    }
}

#[test]
#[ignore = "writes the snapshot of this build"]
fn write_a_snapshot() {
    let mut engine = engine();
    push(&mut engine, &halves()[0]);
    std::fs::write(std::env::var_os("SNAPSHOT").unwrap(), engine.snapshot()).unwrap();
}
