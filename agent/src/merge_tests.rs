#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;
use crate::source::PacketInfo;
use proptest::prelude::*;
use std::fs;

/// A source of packets whose data is a mark, on interfaces as given.
struct Listed {
    packets: Vec<(i64, u8, u32)>,
    at: usize,
    interfaces: Vec<Interface>,
}

impl Source for Listed {
    fn advance(&mut self) -> Step {
        self.at += 1;
        match self.at <= self.packets.len() {
            true => Step::Packet,
            false => Step::End,
        }
    }

    fn info(&self) -> PacketInfo {
        let packet = self.at.checked_sub(1).and_then(|at| self.packets.get(at));
        packet.map_or_else(PacketInfo::default, |&(ts_ns, _, interface)| PacketInfo {
            ts_ns,
            original_length: 1,
            interface,
        })
    }

    fn data(&self) -> &[u8] {
        let packet = self.at.checked_sub(1).and_then(|at| self.packets.get(at));
        packet.map_or(&[], |packet| std::slice::from_ref(&packet.1))
    }

    fn interfaces(&self) -> &[Interface] {
        &self.interfaces
    }

    fn take_damage(&mut self) -> Damage {
        Damage::default()
    }
}

fn interface(name: &str) -> Interface {
    Interface { name: name.to_owned(), link_type: 1 }
}

fn merged(sources: Vec<Listed>) -> Merge {
    let mut merge = Merge::empty();
    for source in sources {
        let index = merge.inputs.len();
        merge.inputs.push(Input {
            state: State::Open(Box::new(source)),
            interfaces: Vec::new(),
            outcome: Outcome::default(),
        });
        merge.step(index);
    }
    merge
}

/// Number, time, mark and interface name of all packets.
fn drain(mut merge: Merge) -> Vec<(i64, i64, u8, String)> {
    let mut packets = Vec::new();
    while let Some(Merged::Packet(packet, interface)) = merge.next_packet() {
        packets.push((packet.number, packet.ts_ns, packet.data[0], interface.name.clone()));
    }
    assert!(merge.next_packet().is_none());
    packets
}

fn listed(times: &[i64], mark: u8) -> Listed {
    let packets = times.iter().map(|ts_ns| (*ts_ns, mark, 0)).collect();
    Listed { packets, at: 0, interfaces: vec![interface("a")] }
}

#[test]
fn ties_go_by_source_and_a_source_keeps_its_order() {
    let packets = drain(merged(vec![listed(&[1, 5, 2, 5], 1), listed(&[1, 3, 5], 2), listed(&[], 3)]));
    let expected = [(1, 1, 1), (2, 1, 2), (3, 3, 2), (4, 5, 1), (5, 2, 1), (6, 5, 1), (7, 5, 2)];
    assert_eq!(packets.iter().map(|p| (p.0, p.1, p.2)).collect::<Vec<_>>(), expected);
}

#[test]
fn interfaces_of_the_same_name_and_link_type_are_one() {
    let first = Listed { packets: vec![(1, 0, 0), (2, 0, 1)], at: 0, interfaces: vec![interface("a"), interface("b")] };
    let second =
        Listed { packets: vec![(3, 0, 1), (4, 0, 0)], at: 0, interfaces: vec![interface("c"), interface("b")] };
    let mut merge = merged(vec![first, second]);
    let mut seen = Vec::new();
    while let Some(Merged::Packet(packet, interface)) = merge.next_packet() {
        seen.push((packet.interface, interface.name.clone()));
    }
    let expected = [(0, "a"), (1, "b"), (1, "b"), (2, "c")];
    assert_eq!(seen, expected.map(|(index, name)| (index, name.to_owned())));
}

#[test]
fn too_many_interfaces_end_their_source_and_no_other() {
    let names = (0..40_000).map(|number| interface(&format!("x{number}")));
    let many = |offset| Listed {
        packets: vec![(offset, 1, 0)],
        at: 0,
        interfaces: names.clone().map(|i| Interface { link_type: u32::try_from(offset).unwrap(), ..i }).collect(),
    };
    let mut merge = merged(vec![many(1), many(2), listed(&[3], 3)]);
    let mut marks = Vec::new();
    while let Some(Merged::Packet(packet, _)) = merge.next_packet() {
        marks.push(packet.ts_ns);
    }
    assert_eq!(marks, [1]);
    let problems: Vec<_> = merge.outcomes().map(|outcome| outcome.damage.problems.len()).collect();
    assert_eq!(problems, [0, 1, 1]);
}

proptest! {
    #[test]
    fn merged_stream_is_all_packets_in_order(sources in proptest::collection::vec(proptest::collection::vec(0..50_i64, 0..40), 0..6)) {
        let mut sorted = sources.clone();
        sorted.iter_mut().for_each(|source| source.sort());
        let listed: Vec<_> = (0..).zip(&sorted).map(|(mark, times)| listed(times, mark)).collect();
        let mut expected: Vec<_> = (0_u8..).zip(&sorted).flat_map(|(mark, times)| times.iter().map(move |ts| (*ts, mark))).collect();
        expected.sort();
        let found = drain(merged(listed));
        prop_assert!(found.iter().map(|p| p.0).eq(1..=i64::try_from(expected.len()).unwrap()));
        prop_assert_eq!(found.iter().map(|p| (p.1, p.2)).collect::<Vec<_>>(), expected);
    }
}

/// A pcap file of packets of 1 byte at these seconds, the byte being `mark`.
fn pcap(seconds: &[u32], mark: u8) -> Vec<u8> {
    let mut bytes = vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0];
    for second in seconds {
        bytes.extend([*second, 0, 1, 1].map(u32::to_le_bytes).concat());
        bytes.push(mark);
    }
    bytes
}

#[test]
fn files_are_opened_when_they_are_due_and_bad_ones_do_not_stop_the_others() {
    let folder = std::env::temp_dir().join(format!("weir-merge-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let contents =
        [pcap(&[10, 20], 1), pcap(&[5, 15], 2), b"text".to_vec(), pcap(&[], 4), pcap(&[1], 5)[..30].to_vec()];
    let mut paths: Vec<_> = (0..)
        .zip(contents)
        .map(|(number, bytes)| {
            let path = folder.join(format!("{number}.pcap"));
            fs::write(&path, bytes).unwrap();
            path
        })
        .collect();
    paths.push(folder.join("missing.pcap"));
    let mut merge = Merge::files(&paths);
    assert!(merge.inputs.iter().all(|input| !matches!(input.state, State::Open(_))));
    assert!(merge.file_bytes_read() < 100, "only the files that have ended were read");
    let mut seen = Vec::new();
    while let Some(Merged::Packet(packet, _)) = merge.next_packet() {
        seen.push((packet.ts_ns / 1_000_000_000, packet.data[0]));
    }
    let sizes = paths.iter().take(2).chain(&paths[3..5]).map(|path| fs::metadata(path).unwrap().len());
    assert_eq!(merge.file_bytes_read(), sizes.sum::<u64>());
    fs::remove_dir_all(&folder).unwrap();
    assert_eq!(seen, [(5, 2), (10, 1), (15, 2), (20, 1)]);
    let outcomes: Vec<_> = merge.outcomes().map(|o| (o.packets, o.damage.packets, o.damage.problems.len())).collect();
    assert_eq!(outcomes, [(2, 0, 0), (2, 0, 0), (0, 0, 1), (0, 0, 0), (0, 1, 1), (0, 0, 1)]);
}

#[test]
fn epoch_is_that_of_the_files_in_their_order_with_the_options() {
    let folder = std::env::temp_dir().join(format!("weir-merge-epoch-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let [a, b] = [1, 2].map(|mark| {
        let path = folder.join(format!("{mark}.pcap"));
        fs::write(&path, pcap(&[7], mark)).unwrap();
        path
    });
    let epoch = |paths: &[&PathBuf], options| {
        Merge::files(&paths.iter().map(|path| path.to_path_buf()).collect::<Vec<_>>()).epoch(options)
    };
    assert_eq!(epoch(&[&a, &b], ""), epoch(&[&a, &b], ""));
    assert_ne!(epoch(&[&a, &b], ""), epoch(&[&b, &a], ""));
    assert_ne!(epoch(&[&a, &b], ""), epoch(&[&a], ""));
    assert_ne!(epoch(&[&a], ""), epoch(&[&a], "x"));
    fs::remove_dir_all(&folder).unwrap();
}
