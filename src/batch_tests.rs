#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;
use proptest::prelude::*;
use prost::Message;

const ONE: Partition = Partition { number: 0, count: 1 };

fn packet(number: i64, ts_ns: i64, data: &[u8]) -> Packet<'_> {
    let original_length = u32::try_from(data.len()).unwrap();
    Packet { number, ts_ns, data, original_length, link_type: 1, interface: 0 }
}

fn ethernet() -> Interface {
    Interface { name: "eth0".to_owned(), link_type: 1 }
}

/// A valid batch of three packets on two interfaces.
fn three_packets() -> PacketBatch {
    let mut builder = BatchBuilder::new("s", 1, ONE);
    let raw = Interface { name: String::new(), link_type: 101 };
    builder.push(&packet(4, 100, b"abc"), &ethernet()).unwrap();
    builder.push(&Packet { link_type: 101, interface: 9, ..packet(6, 90, b"") }, &raw).unwrap();
    builder.push(&packet(7, 95, b"de"), &ethernet()).unwrap();
    builder.finish(100, PacketBatch::default())
}

#[test]
fn columns_hold_what_was_pushed() {
    let batch = three_packets();
    assert_eq!(batch.packet_number_delta, [0, 2, 1]);
    assert_eq!(batch.ts_delta_ns, [0, -10, 5]);
    assert_eq!(batch.interface_index, [0, 1, 0]);
    assert_eq!(batch.interfaces.len(), 2);
    let packets: Vec<_> = batch.packets().unwrap().collect();
    assert_eq!(packets[1], Packet { link_type: 101, interface: 1, ..packet(6, 90, b"") });
    assert_eq!(packets[2], packet(7, 95, b"de"));
}

#[test]
fn interface_index_is_omitted_for_one_interface_and_its_table_holds_only_that() {
    let mut builder = BatchBuilder::new("s", 1, ONE);
    builder.push(&Packet { interface: 5, ..packet(1, 0, b"a") }, &ethernet()).unwrap();
    let batch = builder.finish(0, PacketBatch::default());
    assert!(batch.interface_index.is_empty());
    assert_eq!(batch.interfaces, [ethernet()]);
}

#[test]
fn empty_batch_reads_as_no_packets() {
    let batch = BatchBuilder::new("s", 1, ONE).finish(7, PacketBatch::default());
    assert_eq!((batch.sequence, batch.watermark_ns, batch.first_packet_number), (1, 7, 0));
    assert_eq!(batch.packets().unwrap().count(), 0);
}

#[test]
fn disagreeing_columns_are_named() {
    type Damage = fn(&mut PacketBatch);
    let cases: [(&str, Damage); 12] = [
        ("`packet_number_delta` has 2 entries", |b| _ = b.packet_number_delta.pop()),
        ("`ts_delta_ns` has 2 entries", |b| _ = b.ts_delta_ns.pop()),
        ("`original_length` has 4 entries", |b| b.original_length.push(0)),
        ("`interface_index` has 1 entries", |b| b.interface_index.truncate(1)),
        ("adds up to 5 bytes where `data` has 4", |b| b.data = b.data.slice(..4)),
        ("adds up to 4294967297 bytes where", |b| b.captured_length = vec![u32::MAX, 2, 0]),
        ("`first_packet_number` has 0", |b| b.first_packet_number = 0),
        ("`ts_delta_ns` has 3 for packet 0", |b| b.ts_delta_ns[0] = 3),
        ("`packet_number_delta` has 3 for packet 0", |b| b.packet_number_delta[0] = 3),
        ("`packet_number_delta` has 0 for packet 2", |b| b.packet_number_delta[2] = 0),
        ("`interface_index` has 2 for packet 1", |b| b.interface_index[1] = 2),
        ("`interfaces.link_type` has 65536 for packet 1", |b| b.interfaces[1].link_type = 65536),
    ];
    assert_eq!(three_packets().packets().unwrap().count(), 3);
    for (message, damage) in cases {
        let mut batch = three_packets();
        damage(&mut batch);
        let error = batch.packets().unwrap_err().to_string();
        assert!(error.contains(message), "{error:?} lacks {message:?}");
    }
}

#[test]
fn missing_interface_table_is_an_error() {
    let mut batch = three_packets();
    batch.interface_index.clear();
    batch.interfaces.clear();
    let error = batch.packets().unwrap_err().to_string();
    assert!(error.contains("`interface_index` has 0 for packet 0"), "{error}");
}

#[test]
fn time_and_number_saturate() {
    let mut batch = three_packets();
    batch.first_ts_ns = i64::MAX - 1;
    batch.ts_delta_ns = vec![0, 5, i64::MAX];
    batch.first_packet_number = i64::MAX;
    let last = batch.packets().unwrap().last().unwrap();
    assert_eq!((last.ts_ns, last.number), (i64::MAX, i64::MAX));
}

#[test]
fn batch_closes_at_its_limit_and_never_beyond() {
    let data = vec![7; 1400];
    let mut builder = BatchBuilder::new("sensor", 1, ONE);
    let number = (1..).find(|&n| builder.push(&packet(n, n * 1_000_000, &data), &ethernet()).is_err()).unwrap();
    let estimate = builder.encoded_bytes();
    let encoded = builder.finish(0, PacketBatch::default()).encoded_len();
    assert!(encoded <= estimate && estimate <= MAX_BATCH_BYTES, "{encoded} {estimate}");
    assert!(encoded > MAX_BATCH_BYTES - 4000, "{encoded} is far from the limit");
    builder.push(&packet(number, 0, &data), &ethernet()).expect("the next batch takes it");
}

#[test]
fn limit_may_be_lower_but_not_higher() {
    let data = vec![7; 1400];
    for (max_bytes, least, most) in [(20_000, 18_000, 20_000), (usize::MAX, 890_000, MAX_BATCH_BYTES)] {
        let mut builder = BatchBuilder::new("s", 1, ONE).with_max_bytes(max_bytes);
        let packets = (1..).take_while(|&n| builder.push(&packet(n, 0, &data), &ethernet()).is_ok()).count();
        let encoded = builder.finish(0, PacketBatch::default()).encoded_len();
        assert!((least..=most).contains(&encoded), "{encoded} of {packets} packets");
    }
}

#[test]
fn steps_that_no_column_holds_close_the_batch() {
    let mut builder = BatchBuilder::new("s", 1, ONE);
    builder.push(&packet(1, i64::MIN, b""), &ethernet()).unwrap();
    assert_eq!(builder.push(&packet(2, i64::MAX, b""), &ethernet()), Err(Full));
    assert_eq!(builder.push(&packet(1, 0, b""), &ethernet()), Err(Full));
    assert_eq!(builder.push(&packet(1 << 33, i64::MIN, b""), &ethernet()), Err(Full));
    builder.finish(0, PacketBatch::default());
    builder.push(&packet(2, i64::MAX, b""), &ethernet()).unwrap();
    assert_eq!(builder.finish(0, PacketBatch::default()).sequence, 2);
}

#[test]
fn memory_of_a_spare_batch_is_used_and_nothing_of_it_seen() {
    let spare = three_packets();
    let places = (spare.data.as_ptr(), spare.captured_length.as_ptr());
    let mut builder = BatchBuilder::new("s", 1, ONE);
    builder.finish(0, spare);
    builder.push(&packet(1, 0, b"a"), &ethernet()).unwrap();
    let batch = builder.finish(0, PacketBatch::default());
    assert_eq!((batch.data.as_ptr(), batch.captured_length.as_ptr()), places);
    let mut fresh = BatchBuilder::new("s", 1, ONE);
    fresh.push(&packet(1, 0, b"a"), &ethernet()).unwrap();
    assert_eq!(batch, PacketBatch { sequence: 2, ..fresh.finish(0, PacketBatch::default()) });
}

type Owned = (u32, i64, Vec<u8>, u32, u32);

fn packets() -> impl Strategy<Value = Vec<Owned>> {
    let ts = prop_oneof![any::<i64>(), -1000..1000i64];
    let one = (1..5u32, ts, proptest::collection::vec(any::<u8>(), 0..2000), any::<u32>(), 0..4u32);
    proptest::collection::vec(one, 0..300)
}

proptest! {
    #[test]
    fn batches_give_back_what_was_pushed(input in packets()) {
        let table: Vec<_> = (0..4).map(|n| Interface { name: format!("i{n}"), link_type: n * 7 }).collect();
        let mut builder = BatchBuilder::new("s", 1, ONE);
        let mut batches = Vec::new();
        let mut number = 0;
        let mut expected = Vec::new();
        for (step, ts_ns, data, original_length, interface) in &input {
            number += i64::from(*step);
            let of_capture = &table[usize::try_from(*interface).unwrap()];
            let link_type = u16::try_from(of_capture.link_type).unwrap();
            let packet = Packet { number, ts_ns: *ts_ns, data, original_length: *original_length, link_type, interface: *interface };
            if builder.push(&packet, of_capture).is_err() {
                batches.push(builder.finish(0, PacketBatch::default()));
                builder.push(&packet, of_capture).unwrap();
            }
            expected.push((number, *ts_ns, data.clone(), *original_length, of_capture.clone()));
        }
        batches.push(builder.finish(0, PacketBatch::default()));
        let mut found = Vec::new();
        for (sequence, batch) in (1..).zip(batches) {
            let batch = PacketBatch::decode(batch.encode_to_vec().as_slice()).unwrap();
            prop_assert!(batch.encoded_len() <= MAX_BATCH_BYTES);
            prop_assert_eq!(batch.sequence, sequence);
            found.extend(batch.packets().unwrap().map(|p| {
                let interface = batch.interfaces[usize::try_from(p.interface).unwrap()].clone();
                assert_eq!(u32::from(p.link_type), interface.link_type);
                (p.number, p.ts_ns, p.data.to_vec(), p.original_length, interface)
            }));
        }
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn arbitrary_columns_never_panic(
        lengths in proptest::collection::vec(any::<u32>(), 0..4),
        deltas in proptest::collection::vec(any::<i64>(), 0..4),
        data in proptest::collection::vec(any::<u8>(), 0..9),
    ) {
        let batch = PacketBatch {
            first_packet_number: 1,
            packet_number_delta: lengths.clone(),
            ts_delta_ns: deltas,
            captured_length: lengths.clone(),
            original_length: lengths,
            interfaces: vec![ethernet()],
            data: data.into(),
            ..PacketBatch::default()
        };
        if let Ok(packets) = batch.packets() {
            packets.count();
        }
    }
}
