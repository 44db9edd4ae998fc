//! A batch that the engine panics at, and a real Kafka: it costs itself.
//!
//! No packet is known at which the engine's core panics, and the program has nothing to make one. So the worker is run in
//! the test's own process, where the transaction panics when it is given a certain record: in the midst of the engine's
//! work, when it hands out what the batch gave. Which packet that was from it does not know then.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};
use std::thread;
use std::time::Duration;

use prost::Message as _;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer};
use weir_agent::{Batcher, Merge, Merged};
use weir_contract::{
    DeadLetter, PacketBatch, RecordType, Selection,
    record::{CaptureLoss, CaptureLossReason},
};
use weir_engine::{Engine, Limits, RecordSink};
use weir_service::{health::Health, kafka::KafkaConfig};
use weir_tests::{kafka::Kafka, messages::Isolation, process::wait_until};

use super::Settings;

const LIMIT: Duration = Duration::from_secs(60);
const RECORDS: &str = "connection,dns,capture_loss";
const LOSSES: &str = "poison-capture-loss";
const TOPICS: [&str; 3] = ["poison-connection", "poison-dns", LOSSES];

/// Bytes of the record at which the engine panics, and how often it did.
static POISON: Mutex<(Option<Vec<u8>>, u32)> = Mutex::new((None, 0));

/// Called by the transaction for each record.
pub(super) fn panic_at(bytes: &[u8]) {
    let mut poison = POISON.lock().unwrap();
    if poison.0.as_deref() == Some(bytes) {
        poison.1 += 1;
        drop(poison);
        panic!("poison");
    }
}

fn batches() -> Vec<PacketBatch> {
    let mut merge = Merge::files(&[concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/captures/dns-types.pcap").into()]);
    let mut batcher = Batcher::new("lab", 1, 1, 4000);
    let mut batches = Vec::new();
    while let Some(Merged::Packet(packet, interface)) = merge.next_packet() {
        batches.extend(batcher.push(&packet, interface));
    }
    batches.extend(batcher.finish());
    batches
}

/// What an engine makes of each batch.
fn records<'a>(batches: impl IntoIterator<Item = &'a PacketBatch>) -> Vec<Vec<(RecordType, Vec<u8>)>> {
    struct Keep(Vec<(RecordType, Vec<u8>)>);
    impl RecordSink for Keep {
        fn record(&mut self, of: RecordType, bytes: &[u8]) {
            self.0.push((of, bytes.to_vec()));
        }
    }
    let mut engine = Engine::new(0, Limits::per_partition(1), Selection::parse(RECORDS).unwrap());
    let of_batch = |batch: &PacketBatch| {
        let mut kept = Keep(Vec::new());
        engine.push(batch, &mut kept).unwrap();
        kept.0
    };
    batches.into_iter().map(of_batch).collect()
}

fn settings(kafka: &Kafka) -> Settings {
    Settings {
        kafka: KafkaConfig {
            brokers: Some(kafka.bootstrap()),
            topic_prefix: Some("poison".into()),
            ..KafkaConfig::default()
        },
        group: "poison-processor".into(),
        instance: "p0".into(),
        workers: 1,
        selection: Selection::parse(RECORDS).unwrap(),
        privacy: None,
        limits: Limits::per_partition(1),
        commit_interval: (Duration::from_millis(100), Duration::from_secs(1)),
        session_timeout: Duration::from_secs(6),
        transaction_timeout: Duration::from_secs(8),
        snapshot_age: Duration::from_secs(60),
    }
}

/// Runs a processor until there are so many records, then stops it. Gives those of packets, sorted.
fn run(kafka: &Kafka, count: usize) -> Vec<Vec<u8>> {
    let stop = Arc::new(AtomicBool::new(false));
    let (settings, flag) = (settings(kafka), Arc::clone(&stop));
    let processor = thread::spawn(move || super::run(settings, &flag, &Health::default()));
    let read = || kafka.messages(&TOPICS, Isolation::Committed);
    let done = wait_until(LIMIT, || {
        thread::sleep(Duration::from_millis(200));
        read().len() >= count
    });
    stop.store(true, Ordering::Relaxed);
    processor.join().unwrap().unwrap();
    assert!(done, "{} of {count} records", read().len());
    let of_packets = read().into_iter().filter(|message| message.topic != LOSSES);
    let mut records: Vec<_> = of_packets.map(|message| message.value.unwrap()).collect();
    records.sort();
    records
}

#[test]
fn batch_at_which_the_engine_panics_is_put_aside_alone_and_for_ever() {
    let kafka = Kafka::start();
    let append_time = ("message.timestamp.type", "LogAppendTime");
    kafka.create_topic("poison-state", 1, &[append_time, ("cleanup.policy", "compact")]);
    for topic in TOPICS.iter().copied().chain(["poison-packets", "poison-dead-letter"]) {
        kafka.create_topic(topic, 1, &[append_time]);
    }
    let batches = batches();
    // There is something before and behind it.
    let deadly = batches.len() / 2;
    let (_, poison) = records(&batches)[deadly].first().cloned().unwrap();
    *POISON.lock().unwrap() = (Some(poison), 0);
    let others = (0..).zip(&batches).filter(|(place, _)| *place != deadly).map(|(_, batch)| batch);
    let others = records(others).into_iter().flatten().filter(|(of, _)| *of != RecordType::CaptureLoss);
    let mut expected: Vec<_> = others.map(|(_, bytes)| bytes).collect();
    expected.sort();

    let producer: ThreadedProducer<DefaultProducerContext> = kafka.client().create().unwrap();
    for batch in &batches {
        let bytes = batch.encode_to_vec();
        producer.send(BaseRecord::<(), _>::to("poison-packets").partition(0).payload(&bytes)).map_err(|e| e.0).unwrap();
    }
    producer.flush(LIMIT).unwrap();
    // And the record of what is lost.
    let count = expected.len() + 1;
    assert!(run(&kafka, count) == expected, "the records of all other batches");
    let letters = kafka.messages(&["poison-dead-letter"], Isolation::Committed);
    assert_eq!(letters.len(), 1);
    let letter = DeadLetter::decode(letters[0].value.as_deref().unwrap()).unwrap();
    assert_eq!((letter.offset, letter.reason.as_str()), (i64::try_from(deadly).unwrap(), "poison"));
    let losses = kafka.messages(&[LOSSES], Isolation::Committed);
    let loss = CaptureLoss::decode(losses[0].value.as_deref().unwrap()).unwrap();
    assert_eq!((losses.len(), loss.reason()), (1, CaptureLossReason::DeadLetter));
    assert_eq!(loss.packets, Some(i64::try_from(batches[deadly].packet_count()).unwrap()));
    assert_eq!(POISON.lock().unwrap().1, 1, "once was enough");

    // Whoever comes next does not try it again.
    assert!(run(&kafka, count) == expected);
    assert_eq!(POISON.lock().unwrap().1, 1);
}
