//! Kafka's side of `weir topics`.

use std::{collections::BTreeMap, time::Instant};

use anyhow::{Context as _, anyhow, bail};
use prost::Message as _;
use rdkafka::{
    admin::{AdminClient, AdminOptions, AlterConfig, ConfigSource, NewTopic, ResourceSpecifier, TopicReplication},
    consumer::{BaseConsumer, Consumer as _},
    error::{KafkaError, RDKafkaErrorCode},
    producer::{BaseProducer, BaseRecord, Producer as _},
};
use tokio::runtime::{Builder, Runtime};
use weir_contract::record::TopicIncarnation;
use weir_service::kafka::{KafkaConfig, Reporter, why};

use super::{
    PATIENCE, Report,
    plan::{Existing, Topic},
};

pub struct Admin {
    kafka: KafkaConfig,
    client: AdminClient<Reporter>,
    consumer: BaseConsumer<Reporter>,
    runtime: Runtime,
}

impl Admin {
    pub fn new(kafka: &KafkaConfig) -> anyhow::Result<Self> {
        Ok(Self {
            kafka: kafka.clone(),
            client: kafka.admin("topics")?,
            consumer: kafka.onlooker("topics")?,
            runtime: Builder::new_current_thread().enable_all().build()?,
        })
    }

    /// What went wrong, with the client's own reason where it has one.
    fn explain(&self, what: &str, error: &KafkaError) -> anyhow::Error {
        let reason = self.client.inner().context().reason().unwrap_or_else(|| why(&self.consumer, error));
        anyhow!("{what}: {reason}")
    }

    /// All topics of the cluster, with the settings of those that begin with our prefix.
    pub fn topics(&self) -> anyhow::Result<BTreeMap<String, Existing>> {
        let metadata = self.consumer.fetch_metadata(None, PATIENCE);
        let metadata = metadata.map_err(|error| self.explain("the brokers can't be asked for their topics", &error))?;
        let prefix = format!("{}-", self.kafka.topic_prefix());
        let ours =
            metadata.topics().iter().filter(|topic| topic.name().starts_with(&prefix) && topic.error().is_none());
        let mut topics: BTreeMap<String, Existing> = ours
            .map(|topic| {
                let replicas = topic.partitions().first().map_or(0, |partition| partition.replicas().len());
                let existing = Existing {
                    partitions: u32::try_from(topic.partitions().len()).unwrap_or(u32::MAX),
                    replicas: u32::try_from(replicas).unwrap_or(u32::MAX),
                    ..Existing::default()
                };
                (topic.name().to_owned(), existing)
            })
            .collect();
        let names: Vec<_> = topics.keys().cloned().collect();
        if names.is_empty() {
            return Ok(topics);
        }
        let specifiers: Vec<_> = names.iter().map(|name| ResourceSpecifier::Topic(name)).collect();
        let described = self.runtime.block_on(self.client.describe_configs(&specifiers, &options()));
        let described = described.map_err(|error| self.explain("the topics' settings can't be read", &error))?;
        for (name, resource) in names.iter().zip(described) {
            let resource = resource.map_err(|code| anyhow!("{name}: its settings can't be read: {code}"))?;
            // rdkafka leaves out why there are none.
            if resource.entries.is_empty() {
                bail!("{name}: its settings may not be read: an ACL must allow DescribeConfigs");
            }
            let Some(topic) = topics.get_mut(name) else { continue };
            for entry in resource.entries {
                if entry.source == ConfigSource::DynamicTopic {
                    topic.own.push(entry.name.clone());
                }
                topic.settings.insert(entry.name, entry.value.unwrap_or_default());
            }
        }
        Ok(topics)
    }

    /// Makes topics, and waits until the brokers know them.
    pub fn create(&self, topics: &[&Topic], report: &mut Report) -> anyhow::Result<()> {
        if topics.is_empty() {
            return Ok(());
        }
        let new = topics.iter().map(|topic| {
            let replicas = TopicReplication::Fixed(i32::try_from(topic.replicas).unwrap_or(i32::MAX));
            let partitions = i32::try_from(topic.partitions).unwrap_or(i32::MAX);
            let new = NewTopic::new(&topic.name, partitions, replicas);
            topic.settings.iter().fold(new, |new, (key, value)| new.set(key, value))
        });
        let new: Vec<_> = new.collect();
        let results = self.runtime.block_on(self.client.create_topics(&new, &options()));
        for result in results.map_err(|error| self.explain("the topics can't be made", &error))? {
            match result {
                Ok(name) => report.created.push(name),
                // Another one was faster.
                Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((name, RDKafkaErrorCode::InvalidReplicationFactor)) => report.wrong.push(format!(
                    "{name}: there are fewer brokers than copies asked for: lower replication, or add brokers"
                )),
                Err((name, code)) => report.wrong.push(format!("{name}: {code}")),
            }
        }
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            let known = self.topics()?;
            if report.created.iter().all(|name| known.get(name).is_some_and(|topic| topic.partitions > 0)) {
                return Ok(());
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        bail!("the brokers have made the topics, but don't show them after {PATIENCE:?}: look at their controller")
    }

    /// Changes settings of a topic. Its other own settings are named again, since those that are not would be
    /// reset.
    pub fn set(&self, topic: &str, existing: &Existing, settings: &BTreeMap<String, String>) -> anyhow::Result<()> {
        let own = existing.own.iter().filter_map(|key| Some((key.as_str(), existing.settings.get(key)?.as_str())));
        let mut all: BTreeMap<&str, &str> = own.collect();
        all.extend(settings.iter().map(|(key, value)| (key.as_str(), value.as_str())));
        let change = AlterConfig::new(ResourceSpecifier::Topic(topic));
        let change = all.iter().fold(change, |change, (key, value)| change.set(key, value));
        let results = self.runtime.block_on(self.client.alter_configs([&change], &options()));
        for result in results.map_err(|error| self.explain("the topics' settings can't be changed", &error))? {
            result.map_err(|(_, code)| anyhow!("{topic}: its settings can't be changed: {code}"))?;
        }
        Ok(())
    }

    /// Offsets between the ends of all partitions: at least as many as there are messages.
    pub fn offsets(&self, topic: &str, partitions: u32) -> anyhow::Result<i64> {
        let mut offsets = 0;
        for partition in 0..i32::try_from(partitions).unwrap_or(i32::MAX) {
            let (low, high) = self
                .consumer
                .fetch_watermarks(topic, partition, PATIENCE)
                .map_err(|error| self.explain(&format!("{topic}: its offsets can't be read"), &error))?;
            offsets += high - low;
        }
        Ok(offsets)
    }

    pub fn write_incarnations(&self, topic: &str, made: &BTreeMap<String, TopicIncarnation>) -> anyhow::Result<()> {
        if made.is_empty() {
            return Ok(());
        }
        let mut client = self.kafka.client("topics")?;
        client.set("enable.idempotence", "true").set("message.timeout.ms", "30000");
        let producer: BaseProducer<Reporter> = client.create_with_context(Reporter::new(&self.kafka))?;
        for (name, incarnation) in made {
            let value = incarnation.encode_to_vec();
            let record = BaseRecord::to(topic).key(name.as_str()).payload(&value);
            producer.send(record).map_err(|(error, _)| anyhow!("{topic}: can't be written: {error}"))?;
        }
        producer.flush(PATIENCE).with_context(|| format!("{topic}: can't be written"))
    }
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(PATIENCE)).operation_timeout(Some(PATIENCE))
}
