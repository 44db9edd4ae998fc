#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;
use proptest::prelude::*;
use weir_contract::MAX_BATCH_BYTES;

const SECOND: i64 = 1_000_000_000;

fn interface() -> Interface {
    Interface { name: "a".to_owned(), link_type: 228 }
}

/// An IPv4 header between two hosts, and then so many bytes.
fn ipv4(hosts: [u8; 2], payload: usize) -> Vec<u8> {
    let mut bytes = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, hosts[0], 10, 0, 0, hosts[1]];
    bytes.resize(20 + payload, 7);
    bytes
}

fn packet(number: i64, ts_ns: i64, data: &[u8]) -> Packet<'_> {
    Packet { number, ts_ns, data, original_length: 9000, link_type: 228, interface: 0 }
}

/// The batches of these packets, by number from 1.
fn batches(partitions: u32, packets: &[(i64, Vec<u8>)]) -> Vec<PacketBatch> {
    let mut batcher = Batcher::new("lab", 5, partitions, MAX_BATCH_BYTES);
    let mut batches = Vec::new();
    for (number, (ts_ns, data)) in (1..).zip(packets) {
        batches.extend(batcher.push(&packet(number, *ts_ns, data), &interface()));
    }
    batches.extend(batcher.finish());
    batches
}

fn inputs() -> impl Strategy<Value = Vec<(i64, Vec<u8>)>> {
    let data =
        (any::<[u8; 2]>(), 0..30_000_usize).prop_map(|(hosts, payload)| ipv4(hosts.map(|host| host % 8), payload));
    let data = prop_oneof![4 => data, 1 => proptest::collection::vec(any::<u8>(), 0..50)];
    proptest::collection::vec((0..5_000 * SECOND, data), 0..200)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn batches_of_any_partition_count_are_the_input(input in inputs(), partitions in prop_oneof![Just(1), 2..70_u32]) {
        let batches = batches(partitions, &input);
        let sensor = SensorKey::new("lab");
        let mut sequences = vec![0; usize::try_from(partitions).unwrap()];
        let mut found = Vec::new();
        for batch in &batches {
            let sequence = &mut sequences[usize::try_from(batch.partition).unwrap()];
            *sequence += 1;
            prop_assert_eq!((batch.sequence, batch.partition_count, batch.epoch), (*sequence, partitions, 5));
            prop_assert!(prost::Message::encoded_len(batch) <= MAX_BATCH_BYTES);
            let mut last = 0;
            for packet in batch.packets().unwrap() {
                prop_assert!(packet.number > last);
                last = packet.number;
                prop_assert_eq!(partition(partition_key(&sensor, 228, packet.data), partitions), batch.partition);
                found.push((packet.number, packet.ts_ns, packet.data.to_vec()));
            }
        }
        found.sort();
        let expected: Vec<_> = (1..).zip(input).map(|(number, (ts_ns, data))| (number, ts_ns, data)).collect();
        prop_assert_eq!(found, expected);
    }
}

#[test]
fn every_partition_ends_once_and_the_home_partition_has_the_counters() {
    let input: Vec<_> = (0..20).map(|host| (SECOND, ipv4([host, 200], 10))).collect();
    let batches = batches(16, &input);
    let ends: Vec<_> = batches.iter().filter(|batch| batch.end_of_capture).map(|batch| batch.partition).collect();
    assert_eq!(ends, (0..16).collect::<Vec<_>>());
    let mut with_counters = batches.iter().filter(|batch| batch.counters.is_some());
    let home = with_counters.next().unwrap();
    assert_eq!(home.partition, home_partition(&SensorKey::new("lab"), 16));
    assert!(with_counters.next().is_none());
    let counters = home.counters.as_ref().unwrap();
    assert_eq!((counters.received_packets, counters.last_packet_ts_ns), (20, SECOND));
    assert_eq!((counters.packets, counters.captured_bytes, counters.original_bytes), (20, 600, 180_000));
}

#[test]
fn batches_carry_the_watermark_of_the_whole_stream_before_them() {
    let mut batcher = Batcher::new("lab", 5, 16, MAX_BATCH_BYTES);
    for number in 1..=200 {
        batcher.push(&packet(number, number * SECOND, &ipv4([1, 2], 0)), &interface());
    }
    assert!(batcher.finish().all(|batch| batch.watermark_ns == 200 * SECOND));
}

#[test]
fn packets_behind_the_watermark_are_counted_as_late() {
    let mut batcher = Batcher::new("lab", 5, 4, MAX_BATCH_BYTES);
    for (number, second) in (1..).zip((1..=200).chain([150, 200, 201])) {
        batcher.push(&packet(number, second * SECOND, &ipv4([1, 2], 0)), &interface());
    }
    assert_eq!(batcher.counters().late_packets, 1);
}

#[test]
fn full_batch_is_handed_out_and_its_memory_used_again() {
    let data = ipv4([1, 2], 60_000);
    let mut batcher = Batcher::new("lab", 5, 16, MAX_BATCH_BYTES);
    let push = |batcher: &mut Batcher, from: i64| {
        (from..from + 100).find_map(|number| batcher.push(&packet(number, 0, &data), &interface())).unwrap()
    };
    let first = push(&mut batcher, 1);
    let place = first.data.as_ptr();
    batcher.recycle(first);
    push(&mut batcher, 100);
    assert_eq!(push(&mut batcher, 200).data.as_ptr(), place);
}

#[test]
fn live_batches_go_out_by_age_and_silent_partitions_send_heartbeats() {
    let millis = Duration::from_millis;
    let mut batcher = Batcher::new("lab", 5, 4, MAX_BATCH_BYTES);
    let sizes =
        |batcher: &mut Batcher, now| -> Vec<usize> { batcher.due(now).iter().map(PacketBatch::packet_count).collect() };
    batcher.push(&packet(1, 0, &ipv4([1, 2], 0)), &interface());
    assert_eq!(sizes(&mut batcher, millis(100)), Vec::<usize>::new());
    assert_eq!(sizes(&mut batcher, millis(1099)), Vec::<usize>::new());
    assert_eq!(sizes(&mut batcher, millis(1100)), vec![1]);
    batcher.push(&packet(2, 0, &ipv4([1, 2], 60_000)), &interface());
    assert_eq!(sizes(&mut batcher, millis(1200)), Vec::<usize>::new());
    assert_eq!(sizes(&mut batcher, millis(1400)), Vec::<usize>::new());
    batcher.push(&packet(3, 0, &ipv4([1, 2], 60_000)), &interface());
    assert_eq!(sizes(&mut batcher, millis(1401)), vec![2]);
    let heartbeats = batcher.due(millis(5000));
    assert_eq!(heartbeats.len(), 3, "one partition was heard of at 1401");
    assert!(heartbeats.iter().all(|batch| batch.heartbeat && batch.packet_count() == 0));
    assert_eq!(sizes(&mut batcher, millis(9000)), vec![0]);
    assert_eq!(batcher.finish().filter(|batch| batch.end_of_capture).count(), 4);
}

#[test]
fn time_goes_on_where_no_packets_come() {
    let mut batcher = Batcher::new("lab", 5, 2, MAX_BATCH_BYTES);
    let data = ipv4([1, 2], 10);
    for number in 1..=200 {
        batcher.push(&packet(number, 1000 * SECOND + number, &data), &interface());
    }
    batcher.due(Duration::from_secs(1));
    batcher.due(Duration::from_secs(3));
    batcher.quiet_until(1060 * SECOND);
    let heartbeats = batcher.due(Duration::from_secs(10));
    assert_eq!(heartbeats.len(), 2);
    assert!(heartbeats.iter().all(|batch| batch.heartbeat && batch.watermark_ns == 1060 * SECOND));
    // It never goes back.
    batcher.quiet_until(1000 * SECOND);
    assert!(batcher.due(Duration::from_secs(20)).iter().all(|batch| batch.watermark_ns == 1060 * SECOND));
}
