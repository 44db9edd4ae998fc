//! What `weir topics create` writes of each topic it makes, read back.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{anyhow, bail};
use prost::Message as _;
use rdkafka::{
    Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::{KafkaError, RDKafkaErrorCode},
};
use weir_contract::{record::TopicIncarnation, topics};
use weir_service::kafka::{KafkaConfig, Reporter, why};

use super::PATIENCE;

/// What is known of each topic. Empty where `weir topics create` made none.
///
/// # Errors
///
/// Kafka can't be reached, or refuses.
pub fn incarnations(kafka: &KafkaConfig) -> anyhow::Result<BTreeMap<String, TopicIncarnation>> {
    let topic = topics::incarnations(kafka.topic_prefix());
    let consumer = kafka.onlooker("topics")?;
    let failed = |error: &KafkaError| anyhow!("{topic}: can't be read: {}", why(&consumer, error));
    let metadata = consumer.fetch_metadata(None, PATIENCE).map_err(|error| failed(&error))?;
    if !metadata.topics().iter().any(|found| found.name() == topic && found.error().is_none()) {
        return Ok(BTreeMap::new());
    }
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&topic, 0, Offset::Beginning)?;
    consumer.assign(&list)?;
    read(&consumer, &topic)
}

fn read(consumer: &BaseConsumer<Reporter>, topic: &str) -> anyhow::Result<BTreeMap<String, TopicIncarnation>> {
    let mut known = BTreeMap::new();
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        match consumer.poll(Duration::from_millis(500)) {
            None => {}
            Some(Err(KafkaError::PartitionEOF(_))) => return Ok(known),
            // Of the group, which nobody joins.
            Some(Err(error)) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::GroupAuthorizationFailed) => {}
            Some(Err(error)) => bail!("{topic}: can't be read: {error}"),
            Some(Ok(message)) => {
                let name = message.key().map(|key| String::from_utf8_lossy(key).into_owned()).unwrap_or_default();
                match message.payload().map(TopicIncarnation::decode) {
                    Some(Ok(incarnation)) => {
                        known.insert(name, incarnation);
                    }
                    Some(Err(error)) => bail!("{topic}: what is said of {name} can't be read: {error}"),
                    None => {
                        known.remove(&name);
                    }
                }
            }
        }
    }
    bail!("{topic}: can't be read within {PATIENCE:?}")
}
