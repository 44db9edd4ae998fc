//! What Kafka's client takes alone for the same messages: the limit that no program of ours can pass.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::{Message as _, Offset, TopicPartitionList};
use weir_tests::kafka::Kafka;

use crate::lab::LIMIT;

/// Reads all committed messages of topics, and does this with each value.
pub fn consume(kafka: &Kafka, names: &[String], mut each: impl FnMut(&str, i32, &[u8])) {
    let mut client = kafka.client();
    client.set("group.id", "limit").set("isolation.level", "read_committed").set("enable.auto.commit", "false");
    client.set("enable.partition.eof", "true").set("queued.min.messages", "20000");
    client.set("queued.max.messages.kbytes", "32768");
    let consumer: BaseConsumer = client.create().unwrap();
    let mut from = TopicPartitionList::new();
    let mut unread = 0;
    for (topic, partitions) in kafka.topics().into_iter().filter(|(topic, _)| names.contains(topic)) {
        for partition in 0..partitions {
            let (start, end) = consumer.fetch_watermarks(&topic, partition, LIMIT).unwrap();
            if start < end {
                from.add_partition_offset(&topic, partition, Offset::Beginning).unwrap();
                unread += 1;
            }
        }
    }
    consumer.assign(&from).unwrap();
    while unread > 0 {
        match consumer.poll(Duration::from_secs(1)) {
            None => {}
            Some(Ok(message)) => each(message.topic(), message.partition(), message.payload().unwrap_or_default()),
            Some(Err(KafkaError::PartitionEOF(_))) => unread -= 1,
            Some(Err(error)) => panic!("{error}"),
        }
    }
}

/// Values by topic and partition, one behind another.
#[derive(Default)]
pub struct Values {
    bytes: Vec<u8>,
    ends: Vec<(usize, u32, i32)>,
    topics: Vec<String>,
}

impl Values {
    /// All values of topics.
    pub fn of(kafka: &Kafka, names: &[String]) -> Self {
        let mut values = Self { topics: names.to_vec(), ..Self::default() };
        let Self { bytes, ends, topics } = &mut values;
        consume(kafka, names, |topic, partition, value| {
            bytes.extend_from_slice(value);
            let topic = topics.iter().position(|name| name == topic).unwrap();
            ends.push((bytes.len(), u32::try_from(topic).unwrap(), partition));
        });
        values
    }

    /// Writes them to topics of these names with `limit` before, in a producer set as those of processor and agent are
    /// but without transactions.
    pub fn produce(&self, kafka: &Kafka) {
        let mut client = kafka.client();
        client.set("linger.ms", "20").set("compression.type", "lz4").set("enable.idempotence", "true");
        client.set("batch.size", "1000000").set("batch.num.messages", "100000");
        client.set("queue.buffering.max.messages", "200000").set("queue.buffering.max.kbytes", "131072");
        client.set("delivery.report.only.error", "true");
        let producer: BaseProducer = client.create().unwrap();
        let names: Vec<String> = self.topics.iter().map(|name| limit_topic(name)).collect();
        let mut begin = 0;
        for (number, (end, topic, partition)) in self.ends.iter().enumerate() {
            let value = &self.bytes[begin..*end];
            begin = *end;
            if number % 4096 == 0 {
                producer.poll(Duration::ZERO);
            }
            let topic = &names[usize::try_from(*topic).unwrap()];
            let record = || BaseRecord::<(), [u8]>::to(topic).payload(value).partition(*partition);
            while producer.send(record()).is_err() {
                producer.poll(Duration::from_millis(2));
            }
        }
        producer.flush(LIMIT).unwrap();
    }
}

/// Makes the topics that [`Values::produce`] writes to.
pub fn create_limit_topics(kafka: &Kafka, names: &[String]) {
    for (topic, partitions) in kafka.topics().into_iter().filter(|(topic, _)| names.contains(topic)) {
        kafka.create_topic(&limit_topic(&topic), partitions, &[("message.timestamp.type", "LogAppendTime")]);
    }
}

fn limit_topic(name: &str) -> String {
    format!("limit-{name}")
}

/// CPU time of this process while something is done.
pub fn own_cpu(what: impl FnOnce()) -> Duration {
    let before = weir_tests::process::own_cpu_time();
    what();
    weir_tests::process::own_cpu_time().saturating_sub(before)
}
