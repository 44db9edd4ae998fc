//! `weir processor`: packet batches from Kafka to records in Kafka, each exactly once.
//!
//! [`partition`] decides, without Kafka; `work` does what it says in one transaction after another; a
//! `worker` is a thread that polls, and begins anew whenever anything is in doubt.

mod evidence;
mod hanging;
mod listener;
pub mod metrics;
mod outgoing;
pub mod partition;
mod partitions;
#[cfg(test)]
mod poison_tests;
mod restore;
mod settings;
pub mod sink;
pub mod state;
mod topics;
mod transaction;
mod work;
mod worker;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::anyhow;
use rdkafka::{
    ClientConfig,
    error::{KafkaError, RDKafkaErrorCode},
};
use weir_contract::{Selection, record::Fingerprint};
use weir_engine::Limits;
use weir_service::{health::Health, kafka::KafkaConfig, random::random};

use crate::privacy::Privacy;
pub use settings::ProcessorConfig;
use topics::Topics;

/// How a processor works.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How to reach Kafka.
    pub kafka: KafkaConfig,
    /// The consumer group: all processors of one set of topics.
    pub group: String,
    /// Name of this process among those of the group: the same after a restart, and nobody else's.
    pub instance: String,
    /// Threads, each with partitions of its own.
    pub workers: u32,
    /// Which records.
    pub selection: Selection,
    /// What becomes of addresses in records, unless they are kept.
    pub privacy: Option<Privacy>,
    /// Bounds of all engines that all partitions need together.
    pub limits: Limits,
    /// Shortest time between two transactions, and longest.
    pub commit_interval: (Duration, Duration),
    /// After so long without a heartbeat a member's partitions go to others.
    pub session_timeout: Duration,
    /// After so long a transaction that nobody ends is aborted.
    pub transaction_timeout: Duration,
    /// Age at which a partition's snapshot is taken anew.
    pub snapshot_age: Duration,
}

/// What the workers of a process share.
struct Shared {
    settings: Settings,
    client: ClientConfig,
    topics: Topics,
    stop: Arc<AtomicBool>,
    health: Health,
    /// Why the process has to end.
    fatal: Mutex<Option<String>>,
    /// Workers that are not live, each with what it waits for.
    waiting: Mutex<Vec<Option<String>>>,
    begun: Instant,
    /// Tells this process from the one before of the same name.
    process: u64,
    seed: u64,
}

/// Why a worker can't go on as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Trouble {
    /// It begins anew: all it has is in Kafka.
    Restart {
        /// One of [`metrics::RESTARTS`].
        why: &'static str,
        /// What happened.
        what: String,
    },
    /// Only an operator can help.
    Fatal(String),
    /// The process is to stop.
    Stopped,
}

impl Trouble {
    fn restart(why: &'static str, what: impl ToString) -> Self {
        Self::Restart { why, what: what.to_string() }
    }

    /// What an error of a producer means.
    fn of(error: &KafkaError) -> Self {
        let (is_fatal, code) = match error {
            KafkaError::Transaction(error) => (error.is_fatal(), Some(error.code())),
            error => (false, error.rdkafka_error_code()),
        };
        use RDKafkaErrorCode as Code;
        let why = match code {
            Some(
                Code::Fenced
                | Code::ProducerFenced
                | Code::InvalidProducerEpoch
                | Code::FencedInstanceId
                | Code::IllegalGeneration
                | Code::UnknownMemberId,
            ) => "fenced",
            _ if is_fatal => "fenced",
            _ => "aborted",
        };
        if let Some(
            Code::TransactionalIdAuthorizationFailed | Code::TopicAuthorizationFailed | Code::GroupAuthorizationFailed,
        ) = code
        {
            return Self::Fatal(format!(
                "Kafka refused a transaction: {error}; `weir topics acl` lists what a processor must be allowed"
            ));
        }
        Self::restart(why, error)
    }
}

/// That a client is of no more use: see [`Reporter::is_stranded`](weir_service::kafka::Reporter::is_stranded).
fn stranded(why: &'static str) -> Trouble {
    Trouble::restart(why, "the client has forgotten all brokers")
}

impl Shared {
    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// What tells a worker's transactions from those of all others.
    fn transactional_id(&self, worker: &str) -> String {
        format!("{}-{worker}", self.settings.group)
    }

    /// A clock that goes on.
    fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    fn fail(&self, why: String) {
        let mut fatal = self.fatal.lock().unwrap_or_else(PoisonError::into_inner);
        fatal.get_or_insert(why);
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Says what a worker waits for; `None` when all its partitions are live.
    fn tell(&self, worker: u32, waits_for: Option<String>) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = usize::try_from(worker).ok().and_then(|worker| waiting.get_mut(worker)) {
            *place = waits_for;
        }
        let reasons: Vec<_> = (0..)
            .zip(waiting.iter())
            .filter_map(|(at, why): (u32, _)| Some(format!("worker {at}: {}", why.as_ref()?)))
            .collect();
        if reasons.is_empty() {
            self.health.set_ready();
        } else {
            self.health.set_unready(reasons.join("; "));
        }
    }
}

/// Works until `stop` is set.
///
/// # Errors
///
/// What only an operator can help with: a topic that is missing or unfit, a log that was created anew. Waits for
/// brokers that can't be reached.
pub fn run(settings: Settings, stop: &Arc<AtomicBool>, health: &Health) -> anyhow::Result<()> {
    let client = settings.kafka.client("processor")?;
    let Some(topics) = topics::check(&settings, stop, health)? else { return Ok(()) };
    let workers = settings.workers.min(topics.partition_count);
    if workers < settings.workers {
        tracing::warn!(workers, "{} has {workers} partitions, so more workers would be idle", topics.packets);
    }
    let shared = Arc::new(Shared {
        client,
        topics,
        stop: Arc::clone(stop),
        health: health.clone(),
        fatal: Mutex::default(),
        waiting: Mutex::new((0..workers).map(|_| Some("starting".to_owned())).collect()),
        begun: Instant::now(),
        process: random(),
        seed: random(),
        settings,
    });
    let threads = (0..workers).map(|worker| {
        let shared = Arc::clone(&shared);
        let name = format!("worker-{worker}");
        thread::Builder::new().name(name).spawn(move || {
            if catch_unwind(AssertUnwindSafe(|| worker::run(&shared, worker))).is_err() {
                // The others are to stop in good order too, and whoever started the process to start it again.
                shared.fail(format!("worker {worker} panicked; this is a bug: the log has its words"));
            }
        })
    });
    for thread in threads.collect::<Result<Vec<_>, _>>()? {
        // It can't panic any more.
        let _ = thread.join();
    }
    let fatal = shared.fatal.lock().unwrap_or_else(PoisonError::into_inner).take();
    fatal.map_or(Ok(()), |why| Err(anyhow!(why)))
}

/// What decides which records packets give.
fn fingerprint(settings: &Settings) -> Fingerprint {
    let types: Vec<_> = settings.selection.types().map(|of| of.name()).collect();
    let Limits { flows, fragment_bytes, stream_bytes } = settings.limits;
    Fingerprint {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        settings: format!(
            "flows={flows} fragment-bytes={fragment_bytes} stream-bytes={stream_bytes} records={}",
            types.join(",")
        ),
    }
}
