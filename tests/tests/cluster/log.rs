//! `weir-packets` written by the test itself, in small batches and at its own pace: so that there is always
//! something on its way when a program dies.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use prost::Message as _;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};
use rdkafka::{ClientConfig, ClientContext};
use weir_agent::{Batcher, Merge, Merged};
use weir_contract::{PacketBatch, topics};

use crate::deployment::kept;

/// How long all may take to be delivered: on a machine that is busy each start of a broker takes a minute.
const DELIVERED_WITHIN: Duration = Duration::from_secs(600);

/// Bytes of a batch: some packets.
const BATCH_BYTES: usize = 4000;

/// The batches of captures, each a run of its own of the sensor, in the order in which an agent sends them.
pub fn batches(sensor: &str, captures: &[PathBuf], partitions: u32) -> Vec<PacketBatch> {
    let mut batches = Vec::new();
    for capture in captures {
        let mut merge = Merge::files(std::slice::from_ref(capture));
        let mut batcher = Batcher::new(sensor, merge.epoch(""), partitions, BATCH_BYTES);
        while let Some(Merged::Packet(packet, interface)) = merge.next_packet() {
            batches.extend(batcher.push(&packet, interface));
        }
        batches.extend(batcher.finish());
    }
    batches
}

/// The batches of sensors that send at the same time.
pub fn woven(of_sensors: Vec<Vec<PacketBatch>>) -> Vec<PacketBatch> {
    let mut of_sensors: Vec<_> = of_sensors.into_iter().map(Vec::into_iter).collect();
    let mut woven = Vec::new();
    loop {
        let before = woven.len();
        woven.extend(of_sensors.iter_mut().filter_map(Iterator::next));
        if woven.len() == before {
            return woven;
        }
    }
}

/// Keeps what the producer's library says.
#[derive(Default)]
struct Words(Mutex<Vec<String>>);

impl ClientContext for Words {
    fn log(&self, _: RDKafkaLogLevel, facility: &str, message: &str) {
        self.0.lock().unwrap().push(format!("{facility}: {message}"));
    }
}

impl ProducerContext for Words {
    type DeliveryOpaque = ();

    fn delivery(&self, _: &DeliveryResult<'_>, (): ()) {}
}

/// Writes batches evenly over a time, whatever becomes of the broker meanwhile.
pub fn write(mut client: ClientConfig, prefix: &str, batches: &[PacketBatch], time: Duration) {
    let producer: ThreadedProducer<Words> = client
        .set("enable.idempotence", "true")
        .set("message.timeout.ms", "0")
        .set("debug", "eos,topic,broker")
        .create_with_context(Words::default())
        .unwrap();
    let topic = topics::packets(prefix);
    let (begun, mut begun_in) = (Instant::now(), BTreeSet::new());
    let share = time / u32::try_from(batches.len().max(1)).unwrap();
    for (number, batch) in (0..).zip(batches) {
        std::thread::sleep((share * number).saturating_sub(begun.elapsed()));
        let value = batch.encode_to_vec();
        let partition = i32::try_from(batch.partition).unwrap();
        producer
            .send(BaseRecord::<(), Vec<u8>>::to(&topic).partition(partition).payload(&value))
            .map_err(|e| e.0)
            .unwrap();
        if begun_in.insert(partition) {
            // As agents do: a broker takes any batch for the first one.
            producer.flush(DELIVERED_WITHIN).unwrap();
        }
    }
    let flushed = producer.flush(DELIVERED_WITHIN);
    if flushed.is_err() {
        std::fs::create_dir_all(kept(prefix)).unwrap();
        std::fs::write(kept(prefix).join("writer.log"), producer.context().0.lock().unwrap().join("\n")).unwrap();
    }
    flushed.unwrap();
}
