//! What the topics should be, and what it takes to get there. Pure: what is there is an argument.

use std::collections::BTreeMap;

use weir_contract::{RecordType, Selection, Volume, topics};

use super::{TopicsConfig, overrides};

/// Greatest message that Weir writes, 900,000 bytes, and room for what a client adds: Kafka's own default.
const MESSAGE_BYTES: u32 = 1_048_588;

/// Segments of a compacted topic: small, since only closed ones are compacted.
const COMPACTED_SEGMENT_BYTES: u32 = 64 << 20;

/// How long messages that could not be read are kept.
const DEAD_LETTER_HOURS: u32 = 30 * 24;

/// A topic as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// Its partitions.
    pub partitions: u32,
    /// Brokers that keep each message.
    pub replicas: u32,
    /// Its settings, by Kafka's names.
    pub settings: BTreeMap<String, String>,
    /// Whether one life of it is told from the next.
    pub has_incarnation: bool,
}

/// A topic as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Existing {
    /// Its partitions.
    pub partitions: u32,
    /// Brokers that keep each message of its first partition.
    pub replicas: u32,
    /// Its settings, its own and the cluster's defaults.
    pub settings: BTreeMap<String, String>,
    /// Names of the settings that are its own.
    pub own: Vec<String>,
}

/// What is to be done about a topic.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// It is missing.
    Create(Topic),
    /// It has other settings than it should, which can be changed at any time.
    Set {
        /// Its name.
        topic: String,
        /// The settings.
        settings: BTreeMap<String, String>,
    },
    /// It can't be changed into what it should be without danger for what it holds.
    Refuse {
        /// Its name.
        topic: String,
        /// Why, and what to do.
        why: String,
    },
}

impl Step {
    pub(super) fn to_create(&self) -> Option<&Topic> {
        match self {
            Self::Create(topic) => Some(topic),
            Self::Set { .. } | Self::Refuse { .. } => None,
        }
    }
}

pub(super) fn wanted(prefix: &str, config: &TopicsConfig, selection: Selection) -> anyhow::Result<Vec<Topic>> {
    let all = config.partitions.unwrap_or(1);
    let topic = |name: String, partitions: u32, own: &[(&str, String)]| {
        let shared = [
            ("message.timestamp.type", "LogAppendTime".to_owned()),
            ("max.message.bytes", MESSAGE_BYTES.to_string()),
            ("min.insync.replicas", config.min_insync().to_string()),
        ];
        let settings = shared.iter().chain(own).map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        Topic { name, partitions, replicas: config.replication.unwrap_or(1), settings, has_incarnation: true }
    };
    let kept = |hours: u32| {
        let ms = i64::from(hours) * 3_600_000;
        [("cleanup.policy", "delete".to_owned()), ("retention.ms", ms.to_string())]
    };
    let compacted = [
        ("cleanup.policy", "compact".to_owned()),
        ("segment.bytes", COMPACTED_SEGMENT_BYTES.to_string()),
        ("min.cleanable.dirty.ratio", "0.1".to_owned()),
    ];
    let record_hours = config.record_hours.unwrap_or(1);
    let mut wanted = vec![
        Topic { has_incarnation: false, ..topic(topics::incarnations(prefix), 1, &compacted) },
        topic(topics::packets(prefix), all, &kept(config.packet_hours.unwrap_or(1))),
        Topic { has_incarnation: false, ..topic(topics::state(prefix), all, &compacted) },
        topic(topics::dead_letter(prefix), 1, &kept(DEAD_LETTER_HOURS)),
    ];
    for of in selection.types() {
        wanted.push(topic(of.topic(prefix), partitions(of, all), &kept(record_hours)));
    }
    for (name, settings) in overrides(prefix, config.set.as_deref().unwrap_or_default())? {
        let Some(topic) = wanted.iter_mut().find(|topic| topic.name == name) else {
            anyhow::bail!("set names the topic {name}, which is none of those selected");
        };
        for (key, value) in settings {
            if ["message.timestamp.type", "cleanup.policy"].contains(&key.as_str()) {
                anyhow::bail!("set would change {key} of {name}, which everything else relies on");
            }
            topic.settings.insert(key, value);
        }
    }
    Ok(wanted)
}

/// Partitions of a record type's topic, where packets have `all`: a quarter or one where records are few.
fn partitions(of: RecordType, all: u32) -> u32 {
    match of.info().volume {
        Volume::High => all,
        Volume::Medium => all.div_ceil(4),
        Volume::Low => 1,
    }
}

pub(super) fn steps(wanted: &[Topic], existing: &BTreeMap<String, Existing>) -> Vec<Step> {
    wanted.iter().filter_map(|topic| step(topic, existing.get(&topic.name))).collect()
}

fn step(wanted: &Topic, existing: Option<&Existing>) -> Option<Step> {
    let Some(existing) = existing else { return Some(Step::Create(wanted.clone())) };
    let refuse = |why: String| Some(Step::Refuse { topic: wanted.name.clone(), why });
    if existing.partitions != wanted.partitions {
        return refuse(format!(
            "has {} partitions, but should have {}. Their number decides which packets meet and can't change under \
             running sensors: ask for {0}, or begin a new generation under another topic prefix",
            existing.partitions, wanted.partitions
        ));
    }
    let is = |key: &str| existing.settings.get(key).map(String::as_str).unwrap_or_default();
    let should = |key: &str| wanted.settings.get(key).map(String::as_str).unwrap_or_default();
    for key in ["message.timestamp.type", "cleanup.policy"] {
        if is(key) != should(key) {
            return refuse(format!(
                "{key} is {}, but must be {}. The messages that are there were written under the other one: delete \
                 the topic once nobody needs them, and run `weir topics create`",
                is(key),
                should(key)
            ));
        }
    }
    let number = |text: &str| text.parse::<i64>().unwrap_or_default();
    if number(is("max.message.bytes")) < i64::from(MESSAGE_BYTES)
        && number(should("max.message.bytes")) < number(is("max.message.bytes"))
    {
        return refuse(format!("max.message.bytes is {}, which is less than Weir writes", is("max.message.bytes")));
    }
    let settings: BTreeMap<_, _> = wanted
        .settings
        .iter()
        .filter(|(key, value)| is(key) != value.as_str())
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    // More room for messages than Weir needs is somebody's wish.
    let settings: BTreeMap<_, _> = settings
        .into_iter()
        .filter(|(key, value)| key != "max.message.bytes" || number(is(key)) < number(value))
        .collect();
    (!settings.is_empty()).then(|| Step::Set { topic: wanted.name.clone(), settings })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> TopicsConfig {
        TopicsConfig { replication: Some(1), ..TopicsConfig::defaults() }
    }

    fn all_wanted(config: &TopicsConfig) -> Vec<Topic> {
        wanted("weir", config, Selection::all()).unwrap()
    }

    fn as_it_should_be(topic: &Topic) -> Existing {
        Existing {
            partitions: topic.partitions,
            replicas: topic.replicas,
            settings: topic.settings.clone(),
            own: Vec::new(),
        }
    }

    fn packets() -> (Topic, Existing) {
        let topic = all_wanted(&config()).into_iter().find(|topic| topic.name == "weir-packets").unwrap();
        let existing = as_it_should_be(&topic);
        (topic, existing)
    }

    #[test]
    fn volume_decides_the_partitions_of_records() {
        let wanted = all_wanted(&config());
        let of = |name: &str| wanted.iter().find(|topic| topic.name == name).unwrap().partitions;
        assert_eq!((of("weir-packets"), of("weir-state"), of("weir-tcp")), (16, 16, 16));
        assert_eq!((of("weir-dns"), of("weir-capture-stats"), of("weir-dead-letter")), (4, 1, 1));
    }

    #[test]
    fn what_is_missing_is_made_and_what_is_right_is_left() {
        let wanted = all_wanted(&config());
        let mut existing: BTreeMap<_, _> =
            wanted.iter().map(|topic| (topic.name.clone(), as_it_should_be(topic))).collect();
        assert_eq!(steps(&wanted, &existing), []);
        existing.remove("weir-dns");
        let steps = steps(&wanted, &existing);
        assert!(matches!(steps.as_slice(), [Step::Create(topic)] if topic.name == "weir-dns"), "{steps:?}");
    }

    #[test]
    fn dangerous_changes_are_refused_with_what_to_do() {
        let (topic, existing) = packets();
        let grown = Existing { partitions: 32, ..existing.clone() };
        let Some(Step::Refuse { why, .. }) = step(&topic, Some(&grown)) else { panic!("not refused") };
        assert!(why.starts_with("has 32 partitions, but should have 16"), "{why}");
        for (key, value) in [("message.timestamp.type", "CreateTime"), ("cleanup.policy", "compact")] {
            let mut other = existing.clone();
            other.settings.insert(key.into(), value.into());
            assert!(matches!(step(&topic, Some(&other)), Some(Step::Refuse { .. })), "{key}");
        }
    }

    #[test]
    fn harmless_changes_are_made() {
        let (topic, mut existing) = packets();
        existing.settings.insert("retention.ms".into(), "1000".into());
        existing.settings.insert("max.message.bytes".into(), "8000000".into());
        let settings = BTreeMap::from([("retention.ms".to_owned(), "86400000".to_owned())]);
        assert_eq!(step(&topic, Some(&existing)), Some(Step::Set { topic: "weir-packets".into(), settings }));
        existing.settings.insert("max.message.bytes".into(), "1000".into());
        let Some(Step::Set { settings, .. }) = step(&topic, Some(&existing)) else { panic!("not changed") };
        assert_eq!(settings.get("max.message.bytes").map(String::as_str), Some("1048588"));
    }

    #[test]
    fn single_topics_have_settings_of_their_own() {
        let set = |word: &str| TopicsConfig { set: Some(vec![word.into()]), ..config() };
        let wanted = all_wanted(&set("dns:retention.ms=5"));
        let dns = wanted.iter().find(|topic| topic.name == "weir-dns").unwrap();
        assert_eq!(dns.settings.get("retention.ms").map(String::as_str), Some("5"));
        let refused = |word: &str| super::wanted("weir", &set(word), Selection::all()).unwrap_err().to_string();
        assert!(refused("dns").contains("TOPIC:KEY=VALUE"));
        assert!(refused("dnss:retention.ms=5").contains("weir-dnss"));
        assert!(refused("weir-packets:cleanup.policy=compact").contains("relies on"));
    }

    #[test]
    fn copies_that_must_be_there_fit_the_copies_there_are() {
        let three = TopicsConfig::defaults();
        assert_eq!((three.min_insync(), config().min_insync()), (2, 1));
        assert!(TopicsConfig { min_insync: Some(2), ..config() }.check().is_err());
        assert!(TopicsConfig { partitions: Some(0), ..config() }.check().is_err());
    }
}
