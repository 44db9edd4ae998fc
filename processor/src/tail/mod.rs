//! `weir tail`: records from Kafka as they come.

mod show;

use std::{
    collections::BTreeMap,
    io::{self, Write as _},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{anyhow, bail};
use rdkafka::{
    Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::{KafkaError, RDKafkaErrorCode},
};
use weir_contract::{RecordType, Selection, columns::RecordColumns};
use weir_service::kafka::{KafkaConfig, Reporter, why};

use crate::{terminal, topics::PATIENCE};

pub use show::{Condition, Format, Show};

/// How long to wait for a record before looking whether to stop.
const POLL: Duration = Duration::from_millis(100);

/// What to show.
#[derive(Debug)]
pub struct Settings {
    /// How to reach Kafka.
    pub kafka: KafkaConfig,
    /// Which records.
    pub selection: Selection,
    /// How, and which of them.
    pub show: Show,
    /// Begin with the oldest records there are, instead of those to come.
    pub from_beginning: bool,
    /// End after so many.
    pub count: Option<u64>,
}

/// Writes records to the standard output until there were enough, nobody reads on, or `stop` is set. What can't
/// be read is told and left out; gives how many messages that were.
///
/// # Errors
///
/// Kafka can't be reached or refuses; a topic is missing.
pub fn run(settings: &Settings, stop: &Arc<AtomicBool>) -> anyhow::Result<u64> {
    let consumer = settings.kafka.onlooker("tail")?;
    let types = assign(&consumer, settings)?;
    let mut columns: BTreeMap<RecordType, RecordColumns> = BTreeMap::new();
    let (mut shown, mut unreadable) = (0, 0);
    let mut out = io::stdout().lock();
    while !stop.load(Ordering::Relaxed) && settings.count.is_none_or(|count| shown < count) {
        let message = match consumer.poll(POLL) {
            None => continue,
            Some(Err(error)) => {
                complain(&consumer, &error)?;
                continue;
            }
            Some(Ok(message)) => message,
        };
        let Some(&of) = types.get(message.topic()) else { continue };
        // One without a value is no record: it ended a transaction that Kafka had forgotten.
        let Some(record) = message.payload() else { continue };
        let columns = columns.entry(of).or_insert_with(|| RecordColumns::new(of));
        let text = match columns.push_wire(record) {
            Ok(()) => settings.show.text(of, &columns.finish()?)?,
            Err(malformed) => {
                unreadable += 1;
                let (topic, partition, offset) = (message.topic(), message.partition(), message.offset());
                terminal::tell(format_args!("error: {topic}, partition {partition}, offset {offset}: {malformed}"));
                None
            }
        };
        let Some(text) = text else { continue };
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            Ok(()) => shown += 1,
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => break,
            Err(error) => bail!("standard output: writing failed: {error}; look at where it goes"),
        }
    }
    Ok(unreadable)
}

/// Takes all partitions of the selected topics, and tells which topic has which records.
fn assign(consumer: &BaseConsumer<Reporter>, settings: &Settings) -> anyhow::Result<BTreeMap<String, RecordType>> {
    let metadata = consumer.fetch_metadata(None, PATIENCE);
    let metadata =
        metadata.map_err(|error| anyhow!("the brokers can't be asked for their topics: {}", why(consumer, &error)))?;
    let begin = if settings.from_beginning { Offset::Beginning } else { Offset::End };
    let mut list = TopicPartitionList::new();
    let mut types = BTreeMap::new();
    for of in settings.selection.types() {
        let name = of.topic(settings.kafka.topic_prefix());
        let topic = metadata.topics().iter().find(|topic| topic.name() == name && topic.error().is_none());
        let Some(topic) = topic else {
            bail!("{name}: there is no such topic, or it may not be seen; `weir topics list` shows those there are");
        };
        for partition in topic.partitions() {
            list.add_partition_offset(&name, partition.id(), begin)?;
        }
        types.insert(name, of);
    }
    consumer.assign(&list)?;
    Ok(types)
}

/// Ends at what won't pass; all else the reporter has told.
fn complain(consumer: &BaseConsumer<Reporter>, error: &KafkaError) -> anyhow::Result<()> {
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::TopicAuthorizationFailed) => {
            bail!("the records may not be read: {error}; `weir topics acl` shows what rights it takes")
        }
        Some(RDKafkaErrorCode::SaslAuthenticationFailed | RDKafkaErrorCode::Authentication) => {
            let reason = consumer.context().reason().unwrap_or_else(|| error.to_string());
            bail!("logging in failed: {reason}")
        }
        _ => Ok(()),
    }
}
