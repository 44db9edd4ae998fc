//! libpcap as oracle: on every capture that it reads, ours has the same packets.
//!
//! Takes the captures from the folder in `SHARED_CAPTURES`, by default `../shared/captures`
//! beside the checkout. Where the two differ, `libpcap_differences.tsv` beside this file names the
//! capture and the reason; the reasons are explained, and checked, in [`explained`].

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use pcap::{Capture, Precision};
use std::collections::BTreeMap;
use std::path::Path;
use weir_agent::{CaptureFile, PacketInfo, Source, Step, inputs};

const DIFFERENCES: &str = include_str!("libpcap_differences.tsv");

#[derive(Clone, Debug, PartialEq, Eq)]
struct Packet {
    ts_ns: i64,
    data: Vec<u8>,
    original_length: u32,
}

/// What one of the two makes of a file: its packets and what it ended with, or why it has none.
type Read = Result<(Vec<Packet>, Option<String>), String>;

fn by_libpcap(path: &Path) -> Read {
    let mut capture = Capture::from_file_with_precision(path, Precision::Nano).map_err(|error| error.to_string())?;
    let mut packets = Vec::new();
    loop {
        match capture.next_packet() {
            Ok(packet) => {
                let ts = packet.header.ts;
                let ts_ns = ts.tv_sec.saturating_mul(1_000_000_000).saturating_add(ts.tv_usec);
                packets.push(Packet { ts_ns, data: packet.data.to_vec(), original_length: packet.header.len });
            }
            Err(pcap::Error::NoMorePackets) => return Ok((packets, None)),
            Err(error) => return Ok((packets, Some(error.to_string()))),
        }
    }
}

fn by_weir(path: &Path) -> Read {
    let mut file = CaptureFile::open(path).map_err(|error| error.to_string())?;
    let mut packets = Vec::new();
    while file.advance() == Step::Packet {
        let PacketInfo { ts_ns, original_length, .. } = file.info();
        packets.push(Packet { ts_ns, data: file.data().to_vec(), original_length });
    }
    Ok((packets, file.take_damage().problems.last().map(ToString::to_string)))
}

/// Whether the two readings differ for this reason and no other.
fn explained(reason: &str, ours: &Read, theirs: &Read) -> bool {
    let Ok((ours, _)) = ours else { return false };
    let all = |same: fn(&Packet, &Packet) -> bool| match theirs {
        Ok((theirs, None)) => ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(a, b)| same(a, b)),
        _ => false,
    };
    let refused = |message: &str| matches!(theirs, Err(error) if error.contains(message));
    match reason {
        // libpcap takes the seconds and the fraction of a pcap file for signed, we for unsigned:
        // they differ by a multiple of 2^32 s, µs or ns.
        "signed_time" => all(|a, b| {
            let apart = i128::from(a.ts_ns) - i128::from(b.ts_ns);
            let fractions = [0, 1, 1000].map(|unit_ns| unit_ns << 32);
            fractions.contains(&(apart % (1_000_000_000_i128 << 32)))
                && (&a.data, a.original_length) == (&b.data, b.original_length)
        }),
        // A packet longer than the file's snapshot length: libpcap cuts it, we keep it whole, as
        // Wireshark does.
        "snap_length" => all(|a, b| a.data.starts_with(&b.data) && a.original_length == b.original_length),
        // Simple Packet Blocks have no time: libpcap says 0, we the time of the packet before.
        "no_time" => all(|a, b| {
            (a.ts_ns == b.ts_ns || b.ts_ns == 0) && (&a.data, a.original_length) == (&b.data, b.original_length)
        }),
        // libpcap gives up at a second link type or snapshot length.
        "one_interface_kind" => match theirs {
            Ok((theirs, Some(error))) => error.contains("an interface has a") && ours.starts_with(theirs),
            _ => false,
        },
        // libpcap reads nothing compressed, though some of these have the suffix of a plain file.
        "compressed" => refused("unknown file format") && !ours.is_empty(),
        // A pcapng file without interfaces has no packets, but nothing is wrong with it.
        "no_interface" => refused("no Interface Description Blocks") && ours.is_empty(),
        // Newer minor versions: the format's promise is that they can be read.
        "version" => refused("unsupported") && !ours.is_empty(),
        _ => panic!("libpcap_differences.tsv has the unknown reason {reason}"),
    }
}

fn differ(ours: &Read, theirs: &Read) -> bool {
    match (ours, theirs) {
        (Ok((ours, _)), Ok((theirs, _))) => ours != theirs,
        (Err(_), Err(_)) => false,
        _ => true,
    }
}

#[test]
fn packets_are_libpcaps_but_for_listed_reasons() {
    let Some(folder) = weir_tests::captures::shared_folder() else { return };
    let mut listed: BTreeMap<_, _> = DIFFERENCES.lines().skip(1).map(|row| row.split_once('\t').unwrap()).collect();
    let inputs = inputs::expand(std::slice::from_ref(&folder));
    let mut wrong = Vec::new();
    let mut packets = 0;
    for path in &inputs.files {
        let name = path.strip_prefix(&folder).unwrap().to_str().unwrap();
        let (ours, theirs) = (by_weir(path), by_libpcap(path));
        packets += ours.as_ref().map_or(0, |(packets, _)| packets.len());
        let reason = listed.remove(name);
        let fine = match reason {
            None => !differ(&ours, &theirs),
            Some(reason) => differ(&ours, &theirs) && explained(reason, &ours, &theirs),
        };
        if !fine {
            let short = |read: &Read| read.clone().map(|(packets, end)| (packets.len(), end));
            wrong.push(format!(
                "{name}: listed as {reason:?}, ours {:?}, libpcap's {:?}",
                short(&ours),
                short(&theirs)
            ));
        }
    }
    for skipped in &inputs.skipped {
        if by_libpcap(&skipped.path).is_ok() {
            wrong.push(format!("{skipped}, but libpcap reads it"));
        }
    }
    assert!(wrong.is_empty(), "{} of {} files:\n{}", wrong.len(), inputs.files.len(), wrong.join("\n"));
    assert!(listed.is_empty(), "listed, but not there: {listed:?}");
    println!("{} files, {packets} packets", inputs.files.len());
}
