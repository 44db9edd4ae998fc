//! Record topics to the lake: Parquet files in a bucket or a folder, each record once.
//!
//! [`chain`] decides, [`worker`] reads and does what it says, [`pool`] encodes files and puts them, [`store`] keeps
//! them. `model.rs` is the proof: the decisions under crashes, zombies, lost answers and retention.

mod chain;
pub mod config;
mod consumer;
mod dead_letter;
mod encode;
mod link;
mod metrics;
#[cfg(test)]
mod model;
mod partition;
mod pool;
mod roll;
mod store;
pub mod verify;
mod worker;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use weir_contract::{RecordType, Selection, topics};
use weir_service::health::Health;
use weir_service::kafka::{KafkaConfig, Reporter};

pub use metrics::METRICS;

use config::{LakeConfig, SinkConfig, patient};
use consumer::GroupConsumer;
use dead_letter::DeadLetters;
use pool::Pool;
use store::{Patience, Patient, Stopped, Store};
use worker::{Shared, Worker};

/// Pause between two looks at how the work goes.
const LOOK: Duration = Duration::from_millis(200);

/// How often it is looked whether a topic was created anew.
const COMPARE: Duration = Duration::from_secs(60);

/// How long an answer of the brokers may take at the start, before it is asked for again.
const TIMEOUT: Duration = Duration::from_secs(5);

/// What a sink works with.
pub struct Settings {
    pub kafka: KafkaConfig,
    pub lake: LakeConfig,
    pub sink: SinkConfig,
    pub selection: Selection,
}

/// Works until `stop` is set; then what is open is put, and it says whether all could be.
///
/// # Errors
///
/// The store refuses at the start, topics are missing, Kafka's client failed for good.
pub fn run(settings: &Settings, stop: &Arc<AtomicBool>, health: &Health) -> anyhow::Result<bool> {
    health.set_unready("the lake does not answer yet");
    let store = settings.lake.open()?;
    if !check_store(&store, settings, stop)? {
        return Ok(true);
    }
    health.set_unready("Kafka does not answer yet");
    let selected = |record_type: RecordType| (record_type.topic(settings.kafka.topic_prefix()), record_type);
    let topics: Vec<_> = settings.selection.types().map(selected).collect();
    let letters = topics::dead_letter(settings.kafka.topic_prefix());
    let needed: Vec<_> = topics.iter().map(|(name, _)| name.as_str()).chain([letters.as_str()]).collect();
    let Some(cluster) = check_topics(&settings.kafka, &needed, stop)? else { return Ok(true) };
    let Some(incarnations) = await_incarnations(&settings.kafka, stop) else { return Ok(true) };

    // Set once all is done, so that nobody waits for a store any more.
    let abandon = Arc::new(AtomicBool::new(false));
    let store = Arc::new(patient(&store, Patience::Endless, &abandon));
    let client = settings.kafka.client("sink")?;
    let dead_letters =
        Arc::new(DeadLetters::new(client.clone(), Reporter::new(&settings.kafka), letters, abandon.clone())?);
    let uploads = usize::try_from(settings.sink.uploads.unwrap_or(4)).unwrap_or(4);
    let shared = Arc::new(Shared {
        cluster,
        incarnations: incarnations.clone(),
        rolling: settings.sink.rolling(),
        drop_unknown_fields: settings.sink.drop_unknown_fields == Some(true),
        pool: Pool::start(uploads, &store, &dead_letters).context("threads can't be started")?,
        dead_letters,
        stop: stop.clone(),
    });
    let workers = (0..settings.sink.workers.unwrap_or(1)).map(|number| {
        let (number, group) = (number.to_string(), settings.sink.group.as_deref().unwrap_or_default());
        let reporter = Reporter::new(&settings.kafka);
        let consumer = GroupConsumer::join(client.clone(), reporter, group, topics.clone(), number.clone())?;
        let name = format!("worker-{number}");
        let worker = Worker::new(number, shared.clone(), consumer, &topics, settings.sink.memory());
        Ok(thread::Builder::new().name(name).spawn(move || worker.run())?)
    });
    let workers = workers.collect::<anyhow::Result<Vec<_>>>()?;
    let same_topics = || {
        let changed = incarnations_changed(&incarnations, &self::incarnations(&settings.kafka).unwrap_or_default());
        changed.map_or(Ok(()), |topic| {
            bail!("{topic} was created anew while its messages were read: its offsets have begun anew too, so a start decides")
        })
    };
    let done = watch(workers, &store, stop, health, same_topics);
    abandon.store(true, Ordering::Relaxed);
    done
}

/// Whether the store can hold chains; `false` if the process is told to stop before it answers.
fn check_store(store: &Arc<dyn Store>, settings: &Settings, stop: &Arc<AtomicBool>) -> anyhow::Result<bool> {
    let asked = patient(store, Patience::UntilRefused, stop).honours_conditions();
    match asked {
        Ok(true) => Ok(true),
        Ok(false) if settings.lake.at_least_once == Some(true) => Ok(true),
        Ok(false) => bail!(
            "the store overwrites files although it is asked not to (If-None-Match): records could be lost or doubled; \
             use another store, or accept doubled records with --at-least-once"
        ),
        Err(Stopped::Asked) => Ok(false),
        Err(Stopped::Failed(what)) => bail!("the lake can't be written: {what}"),
    }
}

/// The id of the cluster, once it answers and has all topics; none if the process is told to stop before.
fn check_topics(kafka: &KafkaConfig, topics: &[&str], stop: &AtomicBool) -> anyhow::Result<Option<String>> {
    let client: ClientConfig = kafka.client("sink")?;
    let client: BaseConsumer<Reporter> = client.create_with_context(Reporter::new(kafka))?;
    while !stop.load(Ordering::Relaxed) {
        // Errors of the connection come with this.
        drop(client.poll(Duration::ZERO));
        let metadata = match client.fetch_metadata(None, TIMEOUT) {
            Ok(metadata) => metadata,
            Err(error) => {
                let reason = client.context().reason().unwrap_or_default();
                tracing::warn!("Kafka does not answer: {error} {reason}; trying again");
                thread::sleep(LOOK);
                continue;
            }
        };
        let exists = |name: &str| metadata.topics().iter().any(|topic| topic.name() == name && topic.error().is_none());
        let missing: Vec<_> = topics.iter().copied().filter(|name| !exists(name)).collect();
        if !missing.is_empty() {
            let some = missing.get(..5).unwrap_or(&missing).join(", ");
            bail!(
                "{} of {} topics do not exist or may not be read, such as {some}: `weir topics create` makes them, --records \
                 selects others",
                missing.len(),
                topics.len()
            );
        }
        if let Some(cluster) = client.client().fetch_cluster_id(TIMEOUT) {
            return Ok(Some(cluster));
        }
    }
    Ok(None)
}

/// What each topic got when `weir topics create` made it.
fn incarnations(kafka: &KafkaConfig) -> anyhow::Result<BTreeMap<String, String>> {
    Ok(crate::topics::incarnations(kafka)?.into_iter().map(|(topic, incarnation)| (topic, incarnation.id)).collect())
}

/// The same once Kafka answers; none if the process is told to stop before.
fn await_incarnations(kafka: &KafkaConfig, stop: &AtomicBool) -> Option<BTreeMap<String, String>> {
    while !stop.load(Ordering::Relaxed) {
        match incarnations(kafka) {
            Ok(incarnations) => return Some(incarnations),
            Err(error) => tracing::warn!("Kafka does not tell of its topics, and is asked again: {error:#}"),
        }
        thread::sleep(LOOK);
    }
    None
}

/// A topic that is another now.
fn incarnations_changed<'a>(before: &'a BTreeMap<String, String>, now: &BTreeMap<String, String>) -> Option<&'a str> {
    before.iter().find(|(topic, id)| now.get(*topic).is_some_and(|now| now != *id)).map(|(topic, _)| topic.as_str())
}

/// Waits for the workers, and says whether all that they read is in the lake; when one fails, all stop.
fn watch(
    workers: Vec<thread::JoinHandle<anyhow::Result<bool>>>,
    store: &Patient,
    stop: &AtomicBool,
    health: &Health,
    same_topics: impl Fn() -> anyhow::Result<()>,
) -> anyhow::Result<bool> {
    let mut done = Ok(true);
    let mut workers = workers;
    let mut compared = Instant::now();
    while !workers.is_empty() {
        if compared.elapsed() >= COMPARE && !stop.load(Ordering::Relaxed) {
            compared = Instant::now();
            if let Err(error) = same_topics() {
                tracing::error!("{error:#}");
                health.set_dead(format!("{error:#}"));
                stop.store(true, Ordering::Relaxed);
                done = Err(error);
            }
        }
        if store.is_refused() {
            health.set_unready("the store refuses requests: the log says why");
        } else {
            health.set_ready();
        }
        thread::sleep(LOOK);
        let (ended, going): (Vec<_>, Vec<_>) = workers.into_iter().partition(thread::JoinHandle::is_finished);
        workers = going;
        for worker in ended {
            let result =
                worker.join().unwrap_or_else(|_| Err(anyhow::anyhow!("a worker panicked; please report this")));
            match result {
                Ok(all) => done = done.map(|others| others && all),
                Err(error) => {
                    tracing::error!("a worker failed: {error:#}");
                    health.set_dead(format!("a worker failed: {error:#}"));
                    stop.store(true, Ordering::Relaxed);
                    done = Err(error);
                }
            }
        }
    }
    done
}
