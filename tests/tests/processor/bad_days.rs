//! What can be wrong with topics and with what is in them.

use std::{collections::BTreeSet, path::Path, process::Command, time::Duration};

use prost::Message as _;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use weir_contract::{
    PacketBatch, RecordType,
    record::{CaptureLoss, CaptureLossReason},
};
use weir_tests::process::{Scratch, wait_until};

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
fn dead_letters_go_without_what_they_are_about_where_addresses_are_not_kept() {
    let cluster = Cluster::new("veiled", 1);
    let folder = Scratch::new("veiled");
    let key = folder.path().join("key");
    std::fs::write(&key, "00112233445566778899aabbccddeeffffeeddccbbaa99887766554433221100").unwrap();
    let mut processor = cluster.processor("p0", &["--addresses", "drop", "--address-key-file", key.to_str().unwrap()]);
    let producer = cluster.producer();
    cluster.send_bytes(&producer, 0, b"\xff\xc0\x00\x02\x01");
    producer.flush(LIMIT).unwrap();
    assert!(wait_until(LIMIT, || !cluster.dead_letters().is_empty()), "{}", processor.log());
    processor.stop_within(Duration::from_secs(20));
    let letters = cluster.dead_letters();
    let [letter] = letters.as_slice() else { panic!("{letters:?}") };
    assert_eq!((letter.offset, letter.payload_bytes, letter.payload.as_slice()), (0, 5, &b""[..]));
}

/// A gap as it would be if the client passed over messages: markers of a transaction are where they would have been.
#[test]
fn offsets_that_are_missing_are_asked_for_again_once() {
    let cluster = Cluster::new("gap", 1);
    let traffic = cluster.traffic(1);
    let producer: BaseProducer = kafka().client().set("transactional.id", "gap").create().unwrap();
    producer.init_transactions(LIMIT).unwrap();
    for half in traffic.batches.chunks(traffic.batches.len().div_ceil(2)) {
        producer.begin_transaction().unwrap();
        for batch in half {
            let value = batch.encode_to_vec();
            let topic = cluster.topic("packets");
            producer.send(BaseRecord::<(), _>::to(&topic).partition(0).payload(&value)).map_err(|(e, _)| e).unwrap();
        }
        producer.commit_transaction(LIMIT).unwrap();
    }
    let mut processor = cluster.processor("p0", &[]);
    cluster.wait_for(&traffic, LIMIT);
    processor.stop_within(Duration::from_secs(20));
    cluster.assert_exact(&traffic);
    assert_eq!(processor.log().matches("was awaited; it is read again").count(), 1, "{}", processor.log());
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

/// What one packet of all captures has in it.
const DEADLY: &str = "UOM@&";

#[test]
fn packet_that_kills_every_process_that_decodes_it_is_put_aside_with_its_batch() {
    let cluster = Cluster::new("deadly", 1);
    let library = cluster.scratch.path().join("deadly.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("harness/deadly.c");
    let built = Command::new("cc").args(["-shared", "-fPIC", "-fno-builtin", "-o"]).arg(&library).arg(source).output();
    assert!(built.as_ref().is_ok_and(|output| output.status.success()), "{built:?}");

    let mut batches = cluster.traffic(1).batches;
    let has_name = |batch: &PacketBatch| batch.data.windows(DEADLY.len()).any(|window| window == DEADLY.as_bytes());
    let place = batches.iter().position(has_name).unwrap();
    assert_eq!(batches.iter().filter(|batch| has_name(batch)).count(), 1);
    let all = Traffic::new(batches.clone(), 1);
    let deadly = batches.remove(place);
    let survivors = Traffic::new(batches, 1);
    let bytes = deadly.data.len().to_string();
    let environment = [("LD_PRELOAD", library.to_str().unwrap()), ("DEADLY", DEADLY), ("DEADLY_BYTES", &bytes)];

    cluster.send(&all, Duration::ZERO);
    let mut deaths = 0;
    let mut processor = loop {
        let mut processor = cluster.processor_in(&environment, "p0", &[]);
        let done = || cluster.records().len() >= survivors.expected.len();
        assert!(wait_until(LIMIT, || processor.status().is_some() || done()), "{}", cluster.logs());
        if processor.status().is_none() {
            break processor;
        }
        deaths += 1;
        assert!(deaths <= 8, "{}", cluster.logs());
    };
    processor.stop_within(Duration::from_secs(20));
    println!("{deaths} deaths");
    assert!((3..=8).contains(&deaths));
    let letters = cluster.dead_letters();
    assert_eq!(letters.len(), 1);
    assert_eq!((letters[0].offset, letters[0].packet_number), (i64::try_from(place).unwrap(), None));
    assert!(letters[0].reason.contains("processes died while they decoded it"), "{}", letters[0].reason);
    let loss = |records: &[(RecordType, Vec<u8>)]| {
        let losses = records.iter().filter(|(of, _)| *of == RecordType::CaptureLoss);
        losses.map(|(_, bytes)| CaptureLoss::decode(&bytes[..]).unwrap()).collect::<Vec<_>>()
    };
    let (told, records) = (loss(&cluster.records()), cluster.records());
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].packets, Some(i64::try_from(deadly.packet_count()).unwrap()));
    assert_eq!(told[0].reason(), CaptureLossReason::DeadLetter);
    let others = |records: &[(RecordType, Vec<u8>)]| {
        records.iter().filter(|(of, _)| *of != RecordType::CaptureLoss).cloned().collect::<Vec<_>>()
    };
    assert!(others(&records) == others(&survivors.expected), "other records than without that batch");
}

#[test]
fn two_agents_of_one_name_are_told() {
    let cluster = Cluster::new("namesakes", 1);
    let [one, other] = [1, 2].map(|epoch| {
        let runs = cluster.traffic(1).batches.into_iter().filter(|batch| batch.epoch == 0);
        runs.map(|batch| PacketBatch { epoch, ..batch }).collect::<Vec<_>>()
    });
    let woven: Vec<_> = one.into_iter().zip(other).flat_map(|(one, other)| [one, other]).collect();
    assert!(woven.len() >= 4);
    let traffic = Traffic::new(woven, 1);
    cluster.send(&traffic, Duration::ZERO);
    let port = weir_tests::process::free_port();
    let mut processor = cluster.processor("p0", &["--listen", &format!("127.0.0.1:{port}")]);
    cluster.wait_for(&traffic, LIMIT);
    assert!(processor.log().contains("two agents send at once under this sensor's name"), "{}", processor.log());
    let told = weir_tests::http::metric(port, "weir_processor_shared_sensor_names_total", "").unwrap();
    assert!(told > 0.0);
    processor.stop_within(Duration::from_secs(20));
    cluster.assert_exact(&traffic);
}
