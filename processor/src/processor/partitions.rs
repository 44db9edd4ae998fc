//! Lists of partitions, and how far they are.

use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::KafkaResult,
};
use weir_service::kafka::Reporter;

use super::{Trouble, restore::ASK};

/// Partitions in one question: librdkafka takes time by the square of it to look for the answers.
const ASKED_AT_ONCE: usize = 256;

pub(super) fn list<'a>(partitions: impl Iterator<Item = (&'a str, u32)>) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for (topic, number) in partitions {
        list.add_partition(topic, i32::try_from(number).unwrap_or(i32::MAX));
    }
    list
}

pub(super) fn add(list: &mut TopicPartitionList, topic: &str, number: u32, offset: Offset) -> Result<(), Trouble> {
    list.add_partition_offset(topic, i32::try_from(number).unwrap_or(i32::MAX), offset)
        .map_err(|error| Trouble::restart("hanging", error))
}

/// Where partitions end, as the consumer's isolation has it: behind the last message, or where the first transaction
/// begins that is open. It takes a request to each broker for some hundred partitions.
pub(super) fn ends(consumer: &BaseConsumer<Reporter>, of: &TopicPartitionList) -> KafkaResult<TopicPartitionList> {
    offsets_at(consumer, of, Offset::End)
}

/// The first offsets at or behind a time, ms since 1970-01-01 UTC, by the clock of brokers or producers as the topic has
/// it; the ends where there is none.
pub(super) fn since(
    consumer: &BaseConsumer<Reporter>,
    of: &TopicPartitionList,
    time_ms: i64,
) -> KafkaResult<TopicPartitionList> {
    offsets_at(consumer, of, Offset::Offset(time_ms))
}

fn offsets_at(
    consumer: &BaseConsumer<Reporter>,
    of: &TopicPartitionList,
    at: Offset,
) -> KafkaResult<TopicPartitionList> {
    let mut offsets = TopicPartitionList::new();
    for some in of.elements().chunks(ASKED_AT_ONCE) {
        let mut asked = TopicPartitionList::new();
        for of in some {
            asked.add_partition_offset(of.topic(), of.partition(), at)?;
        }
        for answer in consumer.offsets_for_times(asked, ASK)?.elements() {
            answer.error()?;
            offsets.add_partition_offset(answer.topic(), answer.partition(), answer.offset())?;
        }
    }
    Ok(offsets)
}

/// Those of the partitions that have something open before the offsets beside them.
pub(super) fn still_open(
    committed: &BaseConsumer<Reporter>,
    before: &TopicPartitionList,
) -> KafkaResult<TopicPartitionList> {
    let stable = ends(committed, before)?;
    let mut open = TopicPartitionList::new();
    for (before, stable) in before.elements().iter().zip(stable.elements()) {
        if stable.offset().to_raw() < before.offset().to_raw() {
            open.add_partition_offset(before.topic(), before.partition(), before.offset())?;
        }
    }
    Ok(open)
}

/// Names partitions, for people: the first and how many there are.
pub(super) fn name_of(partitions: &TopicPartitionList) -> String {
    let elements = partitions.elements();
    let Some(first) = elements.first() else { return "no partition".to_owned() };
    let first = format!("{} partition {}", first.topic(), first.partition());
    if elements.len() == 1 { first } else { format!("{first} and {} more", elements.len() - 1) }
}
