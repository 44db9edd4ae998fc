//! Weir's topics in Kafka: what they should be, what they are, and making the one into the other.

pub mod acl;
mod admin;
mod config;
mod incarnations;
mod plan;

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, bail};
use weir_contract::{Selection, record::TopicIncarnation, topics};
use weir_service::{kafka::KafkaConfig, random::random};

pub use config::TopicsConfig;
pub use incarnations::incarnations;
pub use plan::{Step, Topic};

use admin::Admin;

/// How long a broker may take for an answer.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// What became of each topic.
#[derive(Debug, Default)]
pub struct Report {
    /// Topics that were made.
    pub created: Vec<String>,
    /// Settings that were changed, in words.
    pub changed: Vec<String>,
    /// What is not as it should be, in words.
    pub wrong: Vec<String>,
    /// What is worth to be known, in words.
    pub notes: Vec<String>,
}

/// The topics that a cluster of Weir should have.
pub fn wanted(kafka: &KafkaConfig, config: &TopicsConfig, selection: Selection) -> anyhow::Result<Vec<Topic>> {
    plan::wanted(kafka.topic_prefix(), config, selection)
}

/// Makes the topics that are missing, and gives those that are there the settings they should have. Nothing is
/// changed if anything can't be without danger for what the topics hold.
///
/// # Errors
///
/// Kafka can't be reached, or refuses.
pub fn create(kafka: &KafkaConfig, wanted: &[Topic]) -> anyhow::Result<Report> {
    let admin = Admin::new(kafka)?;
    let existing = admin.topics()?;
    let steps = plan::steps(wanted, &existing);
    let mut report = Report::default();
    for step in &steps {
        if let Step::Refuse { topic, why } = step {
            report.wrong.push(format!("{topic}: {why}"));
        }
    }
    if !report.wrong.is_empty() {
        return Ok(report);
    }
    let missing: Vec<&Topic> = steps.iter().filter_map(Step::to_create).collect();
    admin.create(&missing, &mut report)?;
    let prefix = kafka.topic_prefix();
    let made = missing.iter().filter(|topic| report.created.contains(&topic.name));
    let made: BTreeMap<_, _> = made.map(|topic| (topic.name.clone(), incarnation(topic.partitions))).collect();
    admin.write_incarnations(&topics::incarnations(prefix), &made)?;
    for step in &steps {
        if let Step::Set { topic, settings } = step {
            let current = existing.get(topic).context("a topic that is there is not there")?;
            admin.set(topic, current, settings)?;
            let settings = settings.iter().map(|(key, value)| format!("{key}={value}"));
            report.changed.push(format!("{topic}: {}", settings.collect::<Vec<_>>().join(", ")));
        }
    }
    Ok(report)
}

/// Says what `create` would do or refuse.
///
/// # Errors
///
/// Kafka can't be reached, or refuses.
pub fn verify(kafka: &KafkaConfig, wanted: &[Topic]) -> anyhow::Result<Report> {
    let admin = Admin::new(kafka)?;
    let existing = admin.topics()?;
    let mut report = Report::default();
    for step in plan::steps(wanted, &existing) {
        match step {
            Step::Create(topic) => report.wrong.push(format!("{}: missing; `weir topics create` makes it", topic.name)),
            Step::Refuse { topic, why } => report.wrong.push(format!("{topic}: {why}")),
            Step::Set { topic, settings } => {
                for (key, value) in settings {
                    let is = existing.get(&topic).and_then(|topic| topic.settings.get(&key)).map(String::as_str);
                    let is = is.unwrap_or("not set");
                    report.wrong.push(format!(
                        "{topic}: {key} is {is}, but should be {value}; `weir topics create` changes it"
                    ));
                }
            }
        }
    }
    if report.wrong.is_empty() {
        let known = incarnations(kafka)?;
        for topic in wanted.iter().filter(|topic| topic.has_incarnation && !known.contains_key(&topic.name)) {
            report.notes.push(format!(
                "{}: not made by `weir topics create`, so that it can't be told from one of the same name that is made anew",
                topic.name
            ));
        }
    }
    Ok(report)
}

/// A table of the topics that begin with the prefix.
///
/// # Errors
///
/// Kafka can't be reached, or refuses.
pub fn list(kafka: &KafkaConfig) -> anyhow::Result<String> {
    let admin = Admin::new(kafka)?;
    let prefix = format!("{}-", kafka.topic_prefix());
    let mut table = format!("{:<40} {:>10} {:>9} {:>15}  {}\n", "topic", "partitions", "replicas", "offsets", "kept");
    for (name, topic) in admin.topics()?.iter().filter(|(name, _)| name.starts_with(&prefix)) {
        let offsets = admin.offsets(name, topic.partitions)?;
        let kept = match topic.settings.get("cleanup.policy").map(String::as_str) {
            Some("compact") => "last of each key".to_owned(),
            _ => retention(topic.settings.get("retention.ms").map(String::as_str)),
        };
        let _ = writeln!(table, "{name:<40} {:>10} {:>9} {offsets:>15}  {kept}", topic.partitions, topic.replicas);
    }
    Ok(table)
}

/// How long messages are kept, in words.
fn retention(ms: Option<&str>) -> String {
    let Some(ms) = ms.and_then(|ms| ms.parse::<i64>().ok()) else { return "unknown".to_owned() };
    match ms {
        ..0 => "for ever".to_owned(),
        ms if ms % 86_400_000 == 0 => format!("{} days", ms / 86_400_000),
        ms => format!("{} hours", ms / 3_600_000),
    }
}

fn incarnation(partitions: u32) -> TopicIncarnation {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    TopicIncarnation {
        id: format!("{:016x}{:016x}", random(), random()),
        partitions,
        created_ns: i64::try_from(now.as_nanos()).unwrap_or(i64::MAX),
    }
}

/// Refuses settings that nobody can mean, and reads those for single topics.
pub(crate) fn overrides(prefix: &str, words: &[String]) -> anyhow::Result<BTreeMap<String, BTreeMap<String, String>>> {
    let mut overrides: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for word in words {
        let parts = word.split_once(':').and_then(|(topic, setting)| Some((topic, setting.split_once('=')?)));
        let Some((topic, (key, value))) = parts else {
            bail!("set has {word:?}, but each must be TOPIC:KEY=VALUE, as in dns:retention.ms=3600000");
        };
        let name = if topic.starts_with(&format!("{prefix}-")) {
            topic.to_owned()
        } else {
            format!("{prefix}-{}", topic.replace('_', "-"))
        };
        overrides.entry(name).or_default().insert(key.to_owned(), value.to_owned());
    }
    Ok(overrides)
}
