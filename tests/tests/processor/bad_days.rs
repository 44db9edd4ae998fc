//! What can be wrong with topics and with what is in them.

use std::{collections::BTreeSet, time::Duration};

use prost::Message as _;
use rdkafka::producer::Producer as _;
use weir_contract::{
    RecordType,
    record::{CaptureLoss, CaptureLossReason},
};
use weir_tests::process::wait_until;

use crate::cluster::{Cluster, Traffic, kafka};

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn messages_that_are_no_batches_are_put_aside_and_batches_that_never_came_are_told() {
    let cluster = Cluster::new("garbage", 1);
    let mut batches = cluster.traffic(1).batches;
    // The same batch twice, and one missing in the middle of a run.
    let long = batches.iter().position(|batch| batch.sequence == 3 && !batch.end_of_capture).unwrap();
    let lost = batches.remove(long - 1);
    batches.insert(long, batches[long - 1].clone());
    let traffic = Traffic::new(batches, 1);
    let mut processor = cluster.processor("p0", &[]);
    let producer = cluster.producer();
    let garbage = [&b"\xff\xff\xff"[..], b""];
    for (number, batch) in traffic.batches.iter().enumerate() {
        if number < garbage.len() {
            cluster.send_bytes(&producer, 0, garbage[number]);
        }
        cluster.send_bytes(&producer, 0, &batch.encode_to_vec());
    }
    producer.flush(LIMIT).unwrap();
    cluster.wait_for(&traffic, LIMIT);
    processor.stop_within(Duration::from_secs(20));
    // Runs that are first heard of behind a gap in the log are told so where batches of theirs are missing; here
    // all are whole but one.
    let losses: Vec<_> = cluster
        .records()
        .into_iter()
        .filter(|(of, _)| *of == RecordType::CaptureLoss)
        .map(|(_, bytes)| CaptureLoss::decode(&bytes[..]).unwrap())
        .collect();
    assert_eq!(losses.len(), 1);
    assert_eq!(losses[0].packets, Some(i64::try_from(lost.packet_count()).unwrap()));
    assert_ne!(losses[0].reason(), CaptureLossReason::Unspecified);
    let letters = cluster.dead_letters();
    let offsets: BTreeSet<_> = letters.iter().map(|letter| letter.offset).collect();
    assert_eq!((letters.len(), offsets), (2, BTreeSet::from([0, 2])));
    assert!(letters.iter().any(|letter| letter.reason.contains("no packet batch")), "{letters:?}");
}

#[test]
fn topics_that_cannot_serve_are_refused_by_name() {
    let cluster = Cluster::new("unfit", 2);
    let refused = |what: &str| {
        let mut processor = cluster.processor("p0", &[]);
        let status = processor.end_within(LIMIT);
        assert_eq!(status.code(), Some(2));
        assert!(processor.log().contains(what), "no `{what}` in\n{}", processor.log());
    };
    kafka().delete_topic("unfit-dns");
    refused("unfit-dns does not exist");
    kafka().create_topic("unfit-dns", 1, &[]);
    refused("unfit-dns has message.timestamp.type=CreateTime");
    kafka().delete_topic("unfit-dns");
    kafka().create_topic("unfit-dns", 1, &[("message.timestamp.type", "LogAppendTime"), ("max.message.bytes", "5000")]);
    refused("unfit-dns has max.message.bytes=5000");
    kafka().delete_topic("unfit-state");
    kafka().create_topic("unfit-state", 3, &[("message.timestamp.type", "LogAppendTime")]);
    refused("unfit-state has 3 partitions where unfit-packets has 2");
}

#[test]
fn topic_that_was_created_anew_is_refused() {
    let cluster = Cluster::new("anew", 1);
    let traffic = cluster.traffic(1);
    cluster.send(&traffic, Duration::ZERO);
    let mut processor = cluster.processor("p0", &[]);
    cluster.wait_for(&traffic, LIMIT);
    processor.stop_within(Duration::from_secs(20));
    let before = cluster.records().len();
    kafka().delete_topic("anew-packets");
    kafka().create_topic("anew-packets", 1, &[("message.timestamp.type", "LogAppendTime")]);
    for _ in 0..2 {
        // First it is shorter than what was read, then longer.
        let mut processor = cluster.processor("p0", &[]);
        assert_eq!(processor.end_within(LIMIT).code(), Some(2), "{}", processor.log());
        assert!(processor.log().contains("is not the log that was read before"), "{}", processor.log());
        let mut batches = cluster.traffic(1).batches;
        batches.rotate_left(7);
        cluster.send(&Traffic::new(batches, 1), Duration::ZERO);
        let others = cluster.traffic(2);
        cluster.send(&others, Duration::ZERO);
    }
    assert_eq!(cluster.records().len(), before);
}

#[test]
fn messages_that_were_deleted_unread_are_told() {
    let cluster = Cluster::new("retention", 1);
    let traffic = cluster.traffic(1);
    let (early, late) = traffic.batches.split_at(traffic.batches.len() / 2);
    let (early, late) = (Traffic::new(early.to_vec(), 1), Traffic::new(late.to_vec(), 1));
    cluster.send(&early, Duration::ZERO);
    let mut processor = cluster.processor("p0", &[]);
    cluster.wait_for(&early, LIMIT);
    processor.stop_within(Duration::from_secs(20));
    cluster.send(&late, Duration::ZERO);
    cluster.delete_until(0, i64::try_from(early.batches.len() + 5).unwrap());
    let mut processor = cluster.processor("p0", &[]);
    let is_told = || {
        let records = cluster.records();
        let losses = records.iter().filter(|(of, _)| *of == RecordType::CaptureLoss);
        losses.map(|(_, bytes)| CaptureLoss::decode(&bytes[..]).unwrap()).any(|loss| {
            loss.reason() == CaptureLossReason::Retention
                && loss.first_offset == Some(i64::try_from(early.batches.len()).unwrap())
        })
    };
    assert!(wait_until(LIMIT, is_told), "{}", cluster.logs());
    assert!(cluster.logs().contains("Kafka deleted messages before they were read"));
    processor.stop_within(Duration::from_secs(20));
}

#[test]
fn kafka_that_comes_later_is_waited_for() {
    let port = weir_tests::process::free_port();
    let cluster = Cluster::new("nobody", 1);
    let mut processor = cluster.processor("p0", &["--brokers", &format!("127.0.0.1:{port}")]);
    processor.write_within(LIMIT, "Kafka does not answer");
    assert!(processor.status().is_none());
    processor.stop_within(Duration::from_secs(15));
}

#[test]
fn state_that_was_deleted_is_not_taken_for_a_beginning() {
    let cluster = Cluster::new("forgotten", 1);
    let traffic = cluster.traffic(1);
    cluster.send(&traffic, Duration::ZERO);
    let mut processor = cluster.processor("p0", &[]);
    cluster.wait_for(&traffic, LIMIT);
    processor.stop_within(Duration::from_secs(20));
    kafka().delete_topic("forgotten-state");
    let compact = [("message.timestamp.type", "LogAppendTime"), ("cleanup.policy", "compact")];
    kafka().create_topic("forgotten-state", 1, &compact);
    let mut processor = cluster.processor("p0", &[]);
    processor.write_within(LIMIT, "delete the group too");
    processor.stop_within(Duration::from_secs(20));
    cluster.assert_exact(&traffic);
}
