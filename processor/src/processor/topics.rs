//! The topics a processor needs, looked at before anything is read or written.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use anyhow::bail;
use rdkafka::{
    admin::{AdminClient, AdminOptions, ConfigResource, OwnedResourceSpecifier, ResourceSpecifier},
    consumer::{BaseConsumer, Consumer as _},
    error::{KafkaError, KafkaResult, RDKafkaErrorCode as Code},
    metadata::Metadata,
};
use tokio::runtime::Runtime;
use weir_contract::{RecordType, topics};
use weir_service::{
    health::Health,
    kafka::{Reporter, why},
};

use super::{Settings, outgoing::MESSAGE_MAX, restore::ASK};

/// How long until brokers that did not answer are asked again.
const AGAIN: Duration = Duration::from_secs(1);

/// One that a processor writes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Topic {
    /// `weir-state`.
    State,
    /// `weir-dead-letter`.
    DeadLetters,
    /// A record type's.
    Records(RecordType),
}

/// Names and sizes of the topics, which stay as they are while the process lives.
#[derive(Debug, Clone)]
pub(super) struct Topics {
    pub(super) packets: String,
    pub(super) partition_count: u32,
    pub(super) state: String,
    dead_letter: String,
    dead_letter_count: u32,
    /// Name and partitions of each selected record type's topic.
    records: Vec<Option<(String, u32)>>,
}

impl Topics {
    /// Name and number of partitions of a topic; `None` of record types that are not selected.
    pub(super) fn of(&self, topic: Topic) -> Option<(&str, u32)> {
        match topic {
            Topic::State => Some((&self.state, self.partition_count)),
            Topic::DeadLetters => Some((&self.dead_letter, self.dead_letter_count)),
            Topic::Records(record_type) => {
                let (name, count) = self.records.get(record_type.index())?.as_ref()?;
                Some((name, *count))
            }
        }
    }

    /// All that a processor writes to.
    pub(super) fn all() -> impl Iterator<Item = Topic> {
        let records = RecordType::all().iter().map(|info| Topic::Records(info.record_type));
        [Topic::State, Topic::DeadLetters].into_iter().chain(records)
    }

    /// All partitions that a processor writes to.
    pub(super) fn written(&self) -> impl Iterator<Item = (&str, u32)> {
        Self::all()
            .filter_map(|topic| self.of(topic))
            .flat_map(|(name, count)| (0..count).map(move |number| (name, number)))
    }
}

/// Finds the topics; waits for brokers that don't answer. `None` where `stop` was set meanwhile.
///
/// # Errors
///
/// Names each topic that is missing or can't serve, and what to do about it.
pub(super) fn check(settings: &Settings, stop: &AtomicBool, health: &Health) -> anyhow::Result<Option<Topics>> {
    let consumer = settings.kafka.onlooker("processor")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    while !stop.load(Ordering::Relaxed) {
        // Made anew each time: it keeps the token it begins with.
        let admin = settings.kafka.admin("processor")?;
        let error = match look(settings, &consumer, &admin, &runtime) {
            Ok(Ok(topics)) => return Ok(Some(topics)),
            Ok(Err(faults)) => {
                let faults = faults.join("\n");
                bail!("{faults}\n`weir topics create` makes the topics, `weir topics verify` looks at them")
            }
            Err(error) => error,
        };
        if let Some(Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed) = error.rdkafka_error_code() {
            bail!(
                "Kafka does not tell the settings of topics: {error}; `weir topics acl` lists what a processor must \
                 be allowed"
            );
        }
        let reason = why(&consumer, &error);
        health.set_unready(format!("Kafka does not answer: {reason}"));
        tracing::warn!("Kafka does not answer, and is asked again: {reason}");
        thread::sleep(AGAIN);
    }
    Ok(None)
}

/// The topics, or what is wrong with them.
fn look(
    settings: &Settings,
    consumer: &BaseConsumer<Reporter>,
    admin: &AdminClient<Reporter>,
    runtime: &Runtime,
) -> KafkaResult<Result<Topics, Vec<String>>> {
    let metadata = consumer.fetch_metadata(None, ASK)?;
    let prefix = settings.kafka.topic_prefix();
    let mut faults = Vec::new();
    let mut find = |name: String| {
        let count = partitions(&metadata, &name);
        if count == 0 {
            faults.push(format!("{name} does not exist, or may not be described"));
        }
        (name, count)
    };
    let (packets, partition_count) = find(topics::packets(prefix));
    let (state, state_count) = find(topics::state(prefix));
    let (dead_letter, dead_letter_count) = find(topics::dead_letter(prefix));
    let records: Vec<_> = RecordType::all()
        .iter()
        .map(|info| settings.selection.contains(info.record_type).then(|| find(info.record_type.topic(prefix))))
        .collect();
    if partition_count != state_count && partition_count > 0 && state_count > 0 {
        faults.push(format!(
            "{state} has {state_count} partitions where {packets} has {partition_count}: a topic's number of partitions \
             must not be changed; use another topic prefix for another number"
        ));
    }
    if faults.is_empty() {
        let names: Vec<&str> = [&packets, &state, &dead_letter]
            .into_iter()
            .chain(records.iter().flatten().map(|(name, _)| name))
            .map(String::as_str)
            .collect();
        faults = unfit(admin, runtime, &names, &state)?;
    }
    if !faults.is_empty() {
        return Ok(Err(faults));
    }
    Ok(Ok(Topics { packets, partition_count, state, dead_letter, dead_letter_count, records }))
}

/// Number of a topic's partitions; 0 where there is no such topic.
fn partitions(metadata: &Metadata, name: &str) -> u32 {
    let topic = metadata.topics().iter().find(|topic| topic.name() == name && topic.error().is_none());
    topic.and_then(|topic| u32::try_from(topic.partitions().len()).ok()).unwrap_or_default()
}

/// What settings of topics can't be left as they are.
fn unfit(admin: &AdminClient<Reporter>, runtime: &Runtime, names: &[&str], state: &str) -> KafkaResult<Vec<String>> {
    let resources: Vec<_> = names.iter().map(|name| ResourceSpecifier::Topic(name)).collect();
    let options = AdminOptions::new().request_timeout(Some(Duration::from_secs(30)));
    let answers: Vec<KafkaResult<ConfigResource>> = runtime
        .block_on(admin.describe_configs(&resources, &options).into_future())?
        .into_iter()
        .map(|answer| answer.map_err(KafkaError::AdminOp))
        .collect();
    let mut faults = Vec::new();
    for answer in answers {
        let topic = answer?;
        let OwnedResourceSpecifier::Topic(name) = &topic.specifier else { continue };
        // rdkafka leaves out why there are none.
        if topic.entries.is_empty() {
            faults.push(format!("{name} may not be asked for its settings: an ACL must allow DescribeConfigs"));
            continue;
        }
        let value = |key: &str| topic.get(key).and_then(|entry| entry.value.clone()).unwrap_or_default();
        let timestamps = value("message.timestamp.type");
        if timestamps != "LogAppendTime" {
            faults.push(format!("{name} has message.timestamp.type={timestamps}, but must have LogAppendTime"));
        }
        let size = value("max.message.bytes");
        if size.parse().is_ok_and(|size: usize| size < MESSAGE_MAX) {
            faults.push(format!("{name} has max.message.bytes={size}, but must take messages of {MESSAGE_MAX} bytes"));
        }
        let cleanup = value("cleanup.policy");
        if name == state && cleanup != "compact" {
            faults.push(format!("{name} has cleanup.policy={cleanup}, but must have compact: it would forget states"));
        }
        if name != state && cleanup.contains("compact") {
            faults.push(format!("{name} has cleanup.policy={cleanup}, but its messages have no keys: set delete"));
        }
    }
    Ok(faults)
}
