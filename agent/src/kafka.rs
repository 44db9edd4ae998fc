//! The producer, and whether Kafka has the topic that it writes to.

use crate::delivery::{NotTaken, Outcome, Producer, Report};
use crate::metrics;
use anyhow::Context as _;
use rdkafka::client::OAuthToken;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::Message as _;
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer as _, ProducerContext, PurgeConfig};
use rdkafka::{ClientConfig, ClientContext, Statistics, Timestamp};
use std::collections::BTreeMap;
use std::error::Error;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use weir_service::kafka::{KafkaConfig, Reporter, STATISTICS_MS};

/// KiB of the producer's queue: a sixth of a second at 150 MB/s, beyond which the spool begins.
const QUEUE_KIB: &str = "24576";

/// How long Kafka may take to say what it knows of the topic.
const METADATA_PATIENCE: Duration = Duration::from_secs(5);

/// How often the topic is looked for, and looked at once it was found.
const LOOK_FOR: Duration = Duration::from_millis(500);
const LOOK_AT: Duration = Duration::from_secs(15);

/// After a failure the producer rests so long, twice as long after the next one, and so on.
const FIRST_REST: Duration = Duration::from_secs(1);
const LONGEST_REST: Duration = Duration::from_secs(30);

/// How long a closed producer may take to give back what it has.
const CLOSING: Duration = Duration::from_secs(5);

/// What a producer tells: errors to the reporter, reports to whoever takes them.
struct Context {
    reporter: Reporter,
    reports: Mutex<Vec<Report>>,
    failure: Mutex<Option<KafkaError>>,
    begun: Mutex<Begun>,
}

/// In which partitions a broker knows a producer.
///
/// A broker that does not takes whatever batch comes first, whatever its number. So the first one may be lost when a
/// partition changes its leader, the second one taken, and librdkafka (2.12) concludes from that success that
/// the first one was taken too: in two of seven runs in which a broker was frozen and restarted. The first batch to each
/// partition therefore goes alone; from then on the broker refuses one that is out of order.
#[derive(Default)]
struct Begun {
    /// Whether the first batch to a partition was taken; it is on its way otherwise.
    partitions: BTreeMap<i32, bool>,
}

impl Begun {
    /// Whether a batch may be sent to the partition.
    fn may_send(&self, partition: i32) -> bool {
        self.partitions.get(&partition).is_none_or(|taken| *taken)
    }

    /// A batch was sent.
    fn sent(&mut self, partition: i32) {
        self.partitions.entry(partition).or_insert(false);
    }

    /// What became of one.
    fn reported(&mut self, partition: i32, taken: bool) {
        if taken {
            self.partitions.insert(partition, true);
        } else if self.partitions.get(&partition) == Some(&false) {
            self.partitions.remove(&partition);
        }
    }
}

impl ClientContext for Context {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = Reporter::ENABLE_REFRESH_OAUTH_TOKEN;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.reporter.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.reporter.error(error, reason);
    }

    fn stats(&self, statistics: Statistics) {
        self.reporter.see(&statistics);
    }

    fn generate_oauth_token(&self, config: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
        self.reporter.generate_oauth_token(config)
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, ticket: usize) {
        let partition = result.as_ref().map_or_else(|(_, message)| message.partition(), |message| message.partition());
        lock(&self.begun).reported(partition, result.is_ok());
        let outcome = match result {
            Ok(message) => {
                if let Timestamp::LogAppendTime(appended_ms) = message.timestamp() {
                    metrics::compare_clocks(appended_ms);
                }
                Outcome::Published
            }
            Err((error, message)) => match error.rdkafka_error_code() {
                Some(Code::MessageSizeTooLarge) => Outcome::TooLarge,
                code => {
                    if !matches!(code, Some(Code::PurgeQueue | Code::PurgeInflight)) {
                        lock(&self.failure).get_or_insert_with(|| error.clone());
                    }
                    Outcome::Returned(message.payload().unwrap_or_default().to_owned())
                }
            },
        };
        let ticket = u64::try_from(ticket).unwrap_or(u64::MAX);
        lock(&self.reports).push(Report { ticket, outcome });
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

type Client = BaseProducer<Context>;

/// A producer for one topic, made anew whenever it fails.
pub struct Link {
    kafka: KafkaConfig,
    topic: String,
    /// The topic's number of partitions, which never changes.
    partition_count: Arc<OnceLock<u32>>,
    client: Option<Arc<Client>>,
    watched: Arc<Watched>,
    state: State,
    rest: Duration,
}

/// Whether batches can be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// The producer is there; nobody has said anything of the topic yet.
    Connecting,
    /// Something is in the way.
    Trouble(String),
    /// The topic is there as it should be.
    Up,
    /// No producer, until then.
    Resting(Instant, String),
}

impl Link {
    /// A link to the packets' topic. `partition_count` is set once it is known.
    ///
    /// # Errors
    /// Settings that no client can be made with.
    pub fn new(kafka: &KafkaConfig, partition_count: Arc<OnceLock<u32>>) -> anyhow::Result<Self> {
        let topic = weir_contract::topics::packets(kafka.topic_prefix());
        let watched = Arc::new(Watched::default());
        let (of_thread, topic_of_thread) = (Arc::clone(&watched), topic.clone());
        thread::Builder::new()
            .name("topic".into())
            .spawn(move || of_thread.watch(&topic_of_thread))
            .context("starting a thread failed")?;
        let mut link = Self {
            kafka: kafka.clone(),
            topic,
            partition_count,
            client: None,
            watched,
            state: State::Connecting,
            rest: FIRST_REST,
        };
        link.connect()?;
        Ok(link)
    }

    fn connect(&mut self) -> anyhow::Result<()> {
        let mut config: ClientConfig = self.kafka.client("agent")?;
        config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("compression.type", "lz4")
            .set("message.timeout.ms", "0")
            .set("queue.buffering.max.kbytes", QUEUE_KIB)
            // Batches are large enough, and one that is too large takes no other one with it.
            .set("batch.num.messages", "1")
            .set("allow.auto.create.topics", "false")
            .set("statistics.interval.ms", STATISTICS_MS);
        let context = Context {
            reporter: Reporter::new(&self.kafka),
            reports: Mutex::default(),
            failure: Mutex::default(),
            begun: Mutex::default(),
        };
        let client = config.create_with_context(context).context("a Kafka client can't be made")?;
        self.client = Some(self.watched.begin(Arc::new(client)));
        self.state = State::Connecting;
        Ok(())
    }

    /// Takes note of what has come to be known. To be called often.
    pub fn look(&mut self, now: Instant) {
        if let State::Resting(until, _) = self.state {
            if now >= until
                && let Err(error) = self.connect()
            {
                self.state = State::Resting(now + LONGEST_REST, format!("{error:#}"));
            }
            return;
        }
        let Some(seen) = self.watched.take() else { return };
        self.state = match seen {
            Ok(count) => {
                let pinned = *self.partition_count.get_or_init(|| count);
                if pinned == count {
                    State::Up
                } else {
                    State::Trouble(format!(
                        "the topic {} has {count} partitions, but this sensor divides its packets among {pinned}: \
                         the number must never change. Nothing is sent; make a topic with another prefix",
                        self.topic
                    ))
                }
            }
            // A link that is up stays so: what can't be sent now waits in the producer.
            Err(Wrong::Unreachable) if self.state == State::Up => State::Up,
            Err(Wrong::Unreachable) => {
                let reason = self.client.as_ref().and_then(|client| client.context().reporter.reason());
                State::Trouble(format!("Kafka can't be reached: {}", reason.as_deref().unwrap_or("no broker answers")))
            }
            Err(Wrong::Topic(reason)) => State::Trouble(reason),
        };
    }

    /// The producer, while batches can be sent.
    pub fn producer(&self) -> Option<Sending<'_>> {
        let client = self.client.as_deref().filter(|_| self.state == State::Up)?;
        Some(Sending { client, topic: &self.topic })
    }

    /// Why batches can't be sent, if they can't.
    pub fn trouble(&self) -> Option<String> {
        match &self.state {
            State::Up => None,
            State::Connecting => Some("connecting to Kafka".into()),
            State::Trouble(reason) => Some(reason.clone()),
            State::Resting(_, reason) => Some(format!("{reason}; trying again soon")),
        }
    }

    /// What became of batches; waits up to `patience` for it.
    pub fn reports(&mut self, patience: Duration) -> Vec<Report> {
        let Some(client) = &self.client else {
            thread::sleep(patience);
            return Vec::new();
        };
        client.poll(patience);
        // A poll without patience takes in one report: all of them, or they fall behind what is sent.
        let count = || lock(&client.context().reports).len();
        let mut before = 0;
        while count() > before {
            before = count();
            client.poll(Duration::ZERO);
        }
        let reports = std::mem::take(&mut *lock(&client.context().reports));
        if reports.iter().any(|report| report.outcome == Outcome::Published) {
            self.rest = FIRST_REST;
        }
        reports
    }

    /// Whether the client can't go on.
    pub fn has_failed(&self) -> bool {
        let has_failed =
            |client: &Arc<Client>| client.client().fatal_error().is_some() || client.context().reporter.is_stranded();
        self.client.as_ref().is_some_and(has_failed)
    }

    /// Gives up the producer, with all that it still has, and rests before the next one.
    pub fn fail(&mut self, now: Instant) -> Vec<Report> {
        let failure = self.client.as_ref().and_then(|client| lock(&client.context().failure).take());
        let fatal = self.client.as_ref().and_then(|client| client.client().fatal_error());
        let is_stranded = self.client.as_ref().is_some_and(|client| client.context().reporter.is_stranded());
        let failure = failure.map(|error| (error.rdkafka_error_code().unwrap_or(Code::Unknown), error.to_string()));
        let reason = match fatal.or(failure) {
            Some((Code::ClusterAuthorizationFailed | Code::TopicAuthorizationFailed, reason)) => {
                format!("{reason}: an ACL must allow to write to {}", self.topic)
            }
            Some((_, reason)) => reason,
            None if is_stranded => "the producer has forgotten all brokers".into(),
            None => "the producer failed".into(),
        };
        tracing::error!(rest_s = self.rest.as_secs(), "Kafka takes no batches: {reason}; they are kept and sent again");
        let reports = self.close();
        self.state = State::Resting(now + self.rest, reason);
        self.rest = (2 * self.rest).min(LONGEST_REST);
        reports
    }

    /// Gives up the producer, with all that it still has.
    pub fn close(&mut self) -> Vec<Report> {
        self.watched.end();
        let Some(client) = self.client.take() else { return Vec::new() };
        client.purge(PurgeConfig::default().queue().inflight());
        let deadline = Instant::now() + CLOSING;
        while client.in_flight_count() > 0 && Instant::now() < deadline {
            client.poll(Duration::from_millis(10));
        }
        client.poll(Duration::ZERO);
        std::mem::take(&mut *lock(&client.context().reports))
    }
}

/// A producer that can be given batches.
pub struct Sending<'a> {
    client: &'a Client,
    topic: &'a str,
}

impl Producer for Sending<'_> {
    fn send(&mut self, ticket: u64, partition: u32, batch: &[u8]) -> Result<(), NotTaken> {
        let (Ok(ticket), Ok(partition)) = (usize::try_from(ticket), i32::try_from(partition)) else {
            return Err(NotTaken::Broken);
        };
        let context = self.client.context();
        if !lock(&context.begun).may_send(partition) {
            return Err(NotTaken::Full);
        }
        let record: BaseRecord<'_, (), [u8], usize> = BaseRecord::with_opaque_to(self.topic, ticket);
        self.client.send(record.partition(partition).payload(batch)).map_err(|(error, _)| {
            match error.rdkafka_error_code() {
                Some(Code::QueueFull) => NotTaken::Full,
                Some(Code::MessageSizeTooLarge) => NotTaken::TooLarge,
                _ => {
                    lock(&context.failure).get_or_insert(error);
                    NotTaken::Broken
                }
            }
        })?;
        lock(&context.begun).sent(partition);
        Ok(())
    }
}

/// A client whose topic a thread of its own looks at: asking takes seconds when Kafka is away.
#[derive(Default)]
struct Watched {
    state: Mutex<WatchedState>,
    changed: Condvar,
}

#[derive(Default)]
struct WatchedState {
    client: Option<Arc<Client>>,
    seen: Option<Result<u32, Wrong>>,
}

impl Watched {
    fn begin(&self, client: Arc<Client>) -> Arc<Client> {
        *lock(&self.state) = WatchedState { client: Some(Arc::clone(&client)), seen: None };
        self.changed.notify_all();
        client
    }

    fn end(&self) {
        *lock(&self.state) = WatchedState::default();
    }

    fn take(&self) -> Option<Result<u32, Wrong>> {
        lock(&self.state).seen.take()
    }

    /// Looks at the topic again and again, until the process ends.
    fn watch(&self, topic: &str) {
        let mut patience = Duration::ZERO;
        loop {
            let state = lock(&self.state);
            let state = self.changed.wait_timeout(state, patience).unwrap_or_else(PoisonError::into_inner).0;
            let client = state.client.clone();
            drop(state);
            let Some(client) = client else {
                patience = LOOK_FOR;
                continue;
            };
            let seen = count_partitions(&client, topic);
            patience = if seen.is_ok() { LOOK_AT } else { LOOK_FOR };
            let mut state = lock(&self.state);
            // Unless it was given up meanwhile.
            if state.client.as_ref().is_some_and(|current| Arc::ptr_eq(current, &client)) {
                state.seen = Some(seen);
            }
        }
    }
}

/// Why a topic's number of partitions is not known.
#[derive(Debug)]
enum Wrong {
    /// Nobody says anything.
    Unreachable,
    /// Kafka says what is wrong with the topic, or why it does not tell.
    Topic(String),
}

fn count_partitions(client: &Client, topic: &str) -> Result<u32, Wrong> {
    let metadata = client.client().fetch_metadata(Some(topic), METADATA_PATIENCE);
    let metadata = metadata.map_err(|error| match error.rdkafka_error_code() {
        Some(Code::BrokerTransportFailure | Code::OperationTimedOut | Code::AllBrokersDown) | None => {
            Wrong::Unreachable
        }
        Some(code) => Wrong::Topic(format!("Kafka does not tell what topics there are ({code})")),
    })?;
    let found = metadata.topics().iter().find(|found| found.name() == topic);
    let found = found.ok_or_else(|| Wrong::Topic(format!("Kafka says nothing of the topic {topic}")))?;
    let Some(code) = found.error().map(Code::from) else {
        return u32::try_from(found.partitions().len()).map_err(|error| Wrong::Topic(error.to_string()));
    };
    Err(Wrong::Topic(match code {
        Code::UnknownTopic | Code::UnknownTopicOrPartition => {
            format!("there is no topic {topic}: make it with `weir topics create`")
        }
        Code::TopicAuthorizationFailed => {
            format!("this user may not see the topic {topic}: an ACL must allow to write to it")
        }
        code => format!("the topic {topic} is not in order ({code})"),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_batch_to_a_partition_goes_alone() {
        let mut begun = Begun::default();
        assert!(begun.may_send(0) && begun.may_send(1));
        begun.sent(0);
        assert!(!begun.may_send(0) && begun.may_send(1));
        // One that was not taken is the first one still.
        begun.reported(0, false);
        assert!(begun.may_send(0));
        begun.sent(0);
        begun.reported(0, true);
        begun.sent(0);
        begun.reported(0, false);
        assert!(begun.may_send(0));
    }
}
