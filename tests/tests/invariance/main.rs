//! The same packets give the same records, however they reach the engine.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod decoding;
mod releases;
mod slices;

use std::path::PathBuf;

use decoding::{Capture, Cuts, Plan};
use proptest::prelude::*;
use weir_contract::RecordType;

/// The project's own captures that are plain or compressed capture files.
fn captures() -> Vec<Capture> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("captures");
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let captures: Vec<_> = paths.iter().filter_map(|path| Capture::read(path)).collect();
    assert!(!captures.is_empty(), "tests/captures holds the project's captures");
    captures
}

#[test]
fn twice_is_the_same_in_the_same_order() {
    for capture in captures() {
        let plan = Plan::default();
        assert!(capture.decode(&plan).in_order == capture.decode(&plan).in_order, "{}", capture.name);
    }
}

#[test]
fn records_do_not_depend_on_the_number_of_partitions() {
    for capture in captures() {
        let one = capture.decode(&Plan::default());
        one.assert_identified(&capture.name);
        for partitions in [7, 16, 64] {
            let many = capture.decode(&Plan { partitions, ..Plan::default() });
            many.assert_same(&one, &format!("{} in {partitions} partitions", capture.name));
        }
    }
}

#[test]
fn records_do_not_depend_on_where_batches_are_cut() {
    for capture in captures() {
        let whole = capture.decode(&Plan::default());
        for cuts in [Cuts::Every(1), Cuts::Every(2), Cuts::Every(7)] {
            let cut = capture.decode(&Plan { cuts: cuts.clone(), ..Plan::default() });
            cut.assert_same(&whole, &format!("{} cut {cuts:?}", capture.name));
        }
    }
}

#[test]
fn records_do_not_depend_on_the_seed() {
    for capture in captures() {
        let one = capture.decode(&Plan::default());
        let other = capture.decode(&Plan { seed: 0x5eed, ..Plan::default() });
        assert!(one.in_order == other.in_order, "{}", capture.name);
    }
}

#[test]
fn snapshot_and_restore_after_any_packet_change_nothing() {
    for capture in captures() {
        let undisturbed = capture.decode(&Plan { cuts: Cuts::Every(1), ..Plan::default() });
        // After every packet of the first hundred, then at growing distances.
        let mut at = 1;
        while at < capture.packets.len() {
            let plan = Plan { cuts: Cuts::Every(1), restore_after: vec![at], ..Plan::default() };
            let restored = capture.decode(&plan);
            assert!(undisturbed.in_order == restored.in_order, "{} restored after packet {at}", capture.name);
            at += 1 + at / 8;
        }
    }
}

#[test]
fn an_engine_restored_after_each_packet_in_turn_goes_on_as_before() {
    for capture in captures().into_iter().filter(|capture| capture.packets.len() <= 1000) {
        let undisturbed = capture.decode(&Plan { cuts: Cuts::Every(1), ..Plan::default() });
        let restore_after = (1..capture.packets.len()).collect();
        let restored = capture.decode(&Plan { cuts: Cuts::Every(1), restore_after, ..Plan::default() });
        assert!(undisturbed.in_order == restored.in_order, "{}", capture.name);
    }
}

#[test]
fn what_is_replayed_in_silence_leaves_the_same_state() {
    for capture in captures() {
        for fourths in 1..=3 {
            let [(silent_state, silent), (state, heard)] = capture.replay(fourths);
            assert!(silent_state == state, "{}: the state after {fourths} fourths", capture.name);
            assert!(silent.in_order == heard.in_order, "{}: what comes after {fourths} fourths", capture.name);
        }
    }
}

#[test]
fn both_directions_may_come_from_two_interfaces() {
    for capture in captures() {
        let one = capture.decode(&Plan::default());
        let two = capture.decode(&Plan { split_directions: true, ..Plan::default() });
        // Which interface a packet came from is a fact about it that does change.
        two.assert_same_but(&one, &[RecordType::Packet], &format!("{} from two interfaces", capture.name));
    }
}

#[test]
fn one_packet_dated_2106_changes_only_its_own_flow() {
    for capture in captures() {
        let sane = capture.decode(&Plan::default());
        let Some((packet, flows)) = sane.flows_of_middle_packet(capture.packets.len()) else { continue };
        let future = capture.decode(&Plan { dated_2106: Some(packet), ..Plan::default() });
        let number = i64::try_from(packet + 1).unwrap();
        let (future, sane) = (future.without(number, &flows), sane.without(number, &flows));
        future.assert_same(&sane, &format!("{} with packet {number} in 2106", capture.name));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn any_cuts_partitions_and_restores_give_the_same_records(
        which in any::<prop::sample::Index>(),
        partitions in 1u32..20,
        cuts in prop::collection::vec(1usize..50, 1..20),
        restores in prop::collection::vec(1usize..2000, 0..6),
        slower in prop::sample::select(vec![1, 100, 3000]),
    ) {
        let captures = captures();
        let capture = which.get(&captures);
        let plan = Plan { partitions, cuts: Cuts::Cycle(cuts), restore_after: restores, slower, ..Plan::default() };
        capture.decode(&plan).assert_same(&capture.decode(&Plan { slower, ..Plan::default() }), &capture.name);
    }
}
