//! The slices of a connection add up to it.

use std::collections::BTreeMap;

use prost_reflect::{DescriptorPool, DynamicMessage, Kind, ReflectMessage as _, Value};
use weir_contract::{DESCRIPTORS, RecordType};

use crate::{
    captures,
    decoding::{Plan, Records},
};

/// Counters of one connection, or the sums of its slices' counters.
type Counters = BTreeMap<String, i64>;

fn is_counter(name: &str) -> bool {
    let is_time = name.ends_with("_ts_ns");
    let is_side = name.starts_with("orig_") || name.starts_with("resp_");
    (is_side && !is_time) || name == "weird_count" || name == "truncated_packets"
}

/// Sums of all counters by uid, and how many records there were.
fn sums(records: &Records, of: RecordType) -> BTreeMap<String, (usize, Counters)> {
    let pool = DescriptorPool::decode(DESCRIPTORS).unwrap();
    let descriptor = pool.get_message_by_name(&format!("weir.v1.{}", of.info().message)).unwrap();
    let mut sums: BTreeMap<String, (usize, Counters)> = BTreeMap::new();
    for (_, bytes) in records.in_order.iter().filter(|(record_type, _)| *record_type == of) {
        let message = DynamicMessage::decode(descriptor.clone(), &bytes[..]).unwrap();
        let meta = message.get_field_by_name("meta").unwrap();
        let uid = meta.as_message().unwrap().get_field_by_name("uid").unwrap().as_str().unwrap().to_owned();
        let (count, counters) = sums.entry(uid).or_default();
        *count += 1;
        for field in message.descriptor().fields().filter(|field| is_counter(field.name())) {
            if let (Kind::Int64, Value::I64(value)) = (field.kind(), message.get_field(&field).as_ref()) {
                *counters.entry(field.name().to_owned()).or_default() += value;
            }
        }
    }
    sums
}

#[test]
fn slices_add_up_to_their_connection() {
    let mut most = 0;
    for slower in [1, 30, 100, 300, 1000, 3000, 10_000] {
        for capture in captures() {
            let records = capture.decode(&Plan { slower, ..Plan::default() });
            let connections = sums(&records, RecordType::Connection);
            let slices = sums(&records, RecordType::Flow);
            most = slices.values().map(|(count, _)| *count).max().unwrap_or(0).max(most);
            let without_count = |sums: BTreeMap<String, (usize, Counters)>| -> BTreeMap<String, Counters> {
                sums.into_iter().map(|(uid, (_, counters))| (uid, counters)).collect()
            };
            assert_eq!(without_count(slices), without_count(connections), "{} {slower} times slower", capture.name);
        }
    }
    assert!(most >= 2, "a connection of several slices is among them");
}
