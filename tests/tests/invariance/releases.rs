//! A snapshot of an earlier build restores in this one, and what is still to come says the same: `tests/snapshots` holds
//! some, each named by what is in it and the commit that made it.
//!
//! The ignored test writes those of the build at hand to the folder that `SNAPSHOTS` names, under the name in `COMMIT`. An
//! earlier build reads those of a later one by this file too, copied to where it was then, with `SNAPSHOTS` naming the
//! folder. Until the first release a parser's section may change: those that it is in are written anew then.

use std::collections::BTreeSet;
use std::path::PathBuf;

use weir_agent::{Batcher, Merge, Merged};
use weir_contract::{PacketBatch, RecordType, Selection};
use weir_engine::{Engine, Limits, RecordSink};

use crate::decoding::text;

/// Something of all that an engine keeps: a name, captures that are cut in the midst of it, and record types.
const SETS: [(&str, &[&str], &str); 2] = [
    (
        "datagrams",
        &[
            "dhcpv4.pcap",
            "dns-types.pcap",
            "fragments.pcap",
            "ntp.pcap",
            "snmp.pcap",
            "tcp-close.pcap",
            "tcp-keepalive.pcap",
            "tftp.pcap",
        ],
        "connection,dns,dhcpv4,ntp,snmp,tftp,weird,capture_stats,capture_loss",
    ),
    (
        "streams",
        &["http.pcap", "quic.pcap", "ssh.pcap", "tcp-out-of-order.pcap", "tls.pcap"],
        "connection,flow,flow_features,dns,http,quic,ssh,tls,tls_client_hello,tls_server_hello,x509,weird",
    ),
];

/// Records, each once, with all that they say.
#[derive(Default)]
struct Written(BTreeSet<(RecordType, Vec<u8>)>);

impl RecordSink for Written {
    fn record(&mut self, of: RecordType, bytes: &[u8]) {
        assert!(self.0.insert((of, bytes.to_vec())), "a record of {} is there twice", of.name());
    }
}

/// The first halves of captures, and the second ones; each capture is a run of its own.
fn halves(captures: &[&str]) -> [Vec<PacketBatch>; 2] {
    let mut halves = [Vec::new(), Vec::new()];
    for (epoch, name) in (1..).zip(captures) {
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

fn snapshots() -> PathBuf {
    let own = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("snapshots");
    std::env::var_os("SNAPSHOTS").map_or_else(own, PathBuf::from)
}

fn push(engine: &mut Engine, batches: &[PacketBatch]) -> BTreeSet<(RecordType, Vec<u8>)> {
    let mut records = Written::default();
    for batch in batches {
        engine.push(batch, &mut records).unwrap();
    }
    records.0
}

#[test]
fn snapshots_of_earlier_builds_restore_and_give_the_records_that_are_still_to_come() {
    for (set, captures, records) in SETS {
        let (limits, selection) = (Limits::per_partition(1), Selection::parse(records).unwrap());
        let [first, second] = halves(captures);
        let mut undisturbed = Engine::new(0, limits, selection);
        push(&mut undisturbed, &first);
        let expected = push(&mut undisturbed, &second);
        let entries = std::fs::read_dir(snapshots()).unwrap().map(|entry| entry.unwrap());
        let of_set = |name: &str| name.strip_prefix(set).is_some_and(|rest| rest.starts_with('-'));
        let files: Vec<_> = entries.filter(|entry| of_set(&entry.file_name().to_string_lossy())).collect();
        assert!(!files.is_empty(), "{} holds snapshots of {set}", snapshots().display());
        for file in files {
            let (file, snapshot) = (file.path(), std::fs::read(file.path()).unwrap());
            let mut restored = Engine::restore(&snapshot, limits, selection).unwrap();
            let flows = restored.flow_count();
            assert!(flows > 0);
            let records = push(&mut restored, &second);
            println!("{}: {} bytes, {flows} flows, {} records", file.display(), snapshot.len(), records.len());
            let differences: Vec<_> = records.symmetric_difference(&expected).map(text).collect();
            assert!(differences.is_empty(), "{}:\n{}", file.display(), differences.join("\n"));
        }
    }
}

#[test]
#[ignore = "writes the snapshots of this build"]
fn write_snapshots() {
    for (set, captures, records) in SETS {
        let mut engine = Engine::new(0, Limits::per_partition(1), Selection::parse(records).unwrap());
        push(&mut engine, &halves(captures)[0]);
        let name = format!("{set}-{}", std::env::var("COMMIT").unwrap());
        std::fs::write(snapshots().join(name), engine.snapshot()).unwrap();
    }
}
