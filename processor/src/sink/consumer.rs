//! The Kafka client of one worker: a member of the sinks' group that decides itself where to read.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use metrics::{counter, gauge};
use rdkafka::client::OAuthToken;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientConfig, ClientContext, Offset, Statistics, TopicPartitionList};
use weir_contract::RecordType;
use weir_service::kafka::{Reporter, STATISTICS_MS};

use super::metrics as name;

/// How long a question to the brokers may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A topic's name and a partition.
pub type Place = (String, i32);

/// What the group decided.
#[derive(Debug)]
pub enum Change {
    Assigned(Vec<Place>),
    Revoked(Vec<Place>),
}

/// A consumer that reads a partition only once it was told where, and only as long as that is wanted.
///
/// A partition that the group assigns is not given to the client at first: it would begin to read at the group's
/// offset, which is but a hint. To begin elsewhere a partition is taken from the client and given back with the
/// offset. That discards all that was fetched before, whatever state the partition is in; a seek fails in some.
pub struct GroupConsumer {
    client: BaseConsumer<Context>,
    /// Partitions that the client reads.
    reading: HashSet<Place>,
    held_back: bool,
}

/// Where the group's decisions and the client's complaints go.
struct Context {
    reporter: Reporter,
    topics: Vec<(String, RecordType)>,
    worker: String,
    changes: Mutex<Vec<Change>>,
}

impl ClientContext for Context {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.reporter.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.reporter.error(error, reason);
    }

    fn generate_oauth_token(&self, config: Option<&str>) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        self.reporter.generate_oauth_token(config)
    }

    fn stats(&self, statistics: Statistics) {
        self.reporter.see(&statistics);
        for (topic, record_type) in &self.topics {
            let Some(topic) = statistics.topics.get(topic) else { continue };
            let lags = topic.partitions.values().map(|partition| partition.consumer_lag).filter(|lag| *lag > 0);
            // A double holds any number of messages that a topic can have.
            #[allow(clippy::cast_precision_loss)]
            gauge!(name::LAG, "type" => record_type.name(), "worker" => self.worker.clone())
                .set(lags.sum::<i64>() as f64);
        }
    }
}

impl ConsumerContext for Context {
    fn rebalance(&self, client: &BaseConsumer<Self>, what: RDKafkaRespErr, partitions: &mut TopicPartitionList) {
        let places: Vec<Place> =
            partitions.elements().iter().map(|element| (element.topic().to_owned(), element.partition())).collect();
        let assigned = what == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        let told = if assigned {
            client.incremental_assign(&TopicPartitionList::new())
        } else {
            client.assignment().and_then(|reading| {
                let mut gone = TopicPartitionList::new();
                for (topic, partition) in &places {
                    if reading.find_partition(topic, *partition).is_some() {
                        gone.add_partition(topic, *partition);
                    }
                }
                client.incremental_unassign(&gone)
            })
        };
        if let Err(error) = told {
            tracing::error!("the group's decision can't be followed: {error}");
        }
        let change = if assigned { Change::Assigned(places) } else { Change::Revoked(places) };
        self.changes.lock().unwrap_or_else(PoisonError::into_inner).push(change);
    }

    fn commit_callback(&self, result: KafkaResult<()>, _: &TopicPartitionList) {
        if let Err(error) = result {
            counter!(name::COMMIT_ERRORS).increment(1);
            tracing::warn!("the group's offsets can't be committed: {error}; nothing is lost, they are hints");
        }
    }
}

impl GroupConsumer {
    /// Joins the group for these topics.
    ///
    /// # Errors
    ///
    /// The client can't be made.
    pub fn join(
        mut client: ClientConfig,
        reporter: Reporter,
        group: &str,
        topics: Vec<(String, RecordType)>,
        worker: String,
    ) -> anyhow::Result<Self> {
        client
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            // A position out of the log's range has to be noticed.
            .set("auto.offset.reset", "error")
            .set("isolation.level", "read_committed")
            // What does not move goes on undisturbed when members come and go.
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("session.timeout.ms", "10000")
            .set("heartbeat.interval.ms", "2000")
            .set("queued.max.messages.kbytes", "32768")
            .set("queued.min.messages", "20000")
            .set("fetch.wait.max.ms", "200")
            .set("statistics.interval.ms", STATISTICS_MS);
        let names: Vec<_> = topics.iter().map(|(name, _)| name.clone()).collect();
        let context = Context { reporter, topics, worker, changes: Mutex::default() };
        let client: BaseConsumer<Context> = client.create_with_context(context)?;
        client.subscribe(&names.iter().map(String::as_str).collect::<Vec<_>>())?;
        Ok(Self { client, reading: HashSet::new(), held_back: false })
    }

    /// Whether the client is of no more use: see [`Reporter::is_stranded`].
    pub fn is_stranded(&self) -> bool {
        self.client.context().reporter.is_stranded()
    }

    /// The next message, if there is one within this time.
    pub fn poll(&self, wait: Duration) -> Option<KafkaResult<rdkafka::message::BorrowedMessage<'_>>> {
        self.client.poll(wait)
    }

    /// What the group decided since the last call.
    pub fn changes(&mut self) -> Vec<Change> {
        let changes =
            std::mem::take(&mut *self.client.context().changes.lock().unwrap_or_else(PoisonError::into_inner));
        for change in &changes {
            if let Change::Revoked(places) = change {
                self.reading.retain(|place| !places.contains(place));
            }
        }
        changes
    }

    /// Reads from these offsets on.
    ///
    /// # Errors
    ///
    /// The client refuses, which it does not unless it is closing.
    pub fn read(&mut self, starts: &[(Place, i64)]) -> KafkaResult<()> {
        if starts.is_empty() {
            return Ok(());
        }
        let places: Vec<_> = starts.iter().map(|(place, _)| place.clone()).collect();
        self.leave(&places)?;
        let mut list = TopicPartitionList::new();
        for ((topic, partition), offset) in starts {
            list.add_partition_offset(topic, *partition, Offset::Offset(*offset))?;
        }
        self.client.incremental_assign(&list)?;
        self.reading.extend(places);
        // A pause outlives being taken and given back.
        if self.held_back { self.client.pause(&list) } else { self.client.resume(&list) }
    }

    /// Reads these no more.
    ///
    /// # Errors
    ///
    /// The client refuses, which it does not unless it is closing.
    pub fn leave(&mut self, places: &[Place]) -> KafkaResult<()> {
        let mut list = TopicPartitionList::new();
        for (topic, partition) in places {
            if self.reading.remove(&(topic.clone(), *partition)) {
                list.add_partition(topic, *partition);
            }
        }
        if list.count() == 0 { Ok(()) } else { self.client.incremental_unassign(&list) }
    }

    /// Stops fetching, or goes on.
    ///
    /// # Errors
    ///
    /// The client refuses, which it does not unless it is closing.
    pub fn hold_back(&mut self, hold: bool) -> KafkaResult<()> {
        self.held_back = hold;
        let mut list = TopicPartitionList::new();
        for (topic, partition) in &self.reading {
            list.add_partition(topic, *partition);
        }
        if hold { self.client.pause(&list) } else { self.client.resume(&list) }
    }

    /// The group's offsets of these, in their order; none where none is committed.
    ///
    /// # Errors
    ///
    /// The brokers can't be asked.
    pub fn committed(&self, places: &[Place]) -> KafkaResult<Vec<Option<i64>>> {
        let mut list = TopicPartitionList::new();
        for (topic, partition) in places {
            list.add_partition(topic, *partition);
        }
        let committed = self.client.committed_offsets(list, TIMEOUT)?;
        let offset = |(topic, partition): &Place| {
            let element = committed.find_partition(topic, *partition);
            element.map(|element| element.error().map(|()| element.offset().to_raw().filter(|offset| *offset >= 0)))
        };
        places.iter().map(|place| offset(place).unwrap_or(Ok(None))).collect()
    }

    /// Where the log begins and ends now.
    ///
    /// # Errors
    ///
    /// The brokers can't be asked.
    pub fn bounds(&self, (topic, partition): &Place) -> KafkaResult<(i64, i64)> {
        self.client.fetch_watermarks(topic, *partition, TIMEOUT)
    }

    /// Tells the group how far the lake is, without waiting; at the end, with waiting.
    ///
    /// # Errors
    ///
    /// The brokers can't be asked.
    pub fn commit(&self, offsets: &[(Place, i64)], mode: CommitMode) -> KafkaResult<()> {
        if offsets.is_empty() {
            return Ok(());
        }
        let mut list = TopicPartitionList::new();
        for ((topic, partition), offset) in offsets {
            list.add_partition_offset(topic, *partition, Offset::Offset(*offset))?;
        }
        self.client.commit(&list, mode)
    }

    /// Tells an error that came instead of a message: the log, once in a while, and a metric.
    pub fn complain(&self, error: &KafkaError) {
        self.client.context().reporter.error(error.clone(), &error.to_string());
    }

    /// What the client complained of last: the reason behind an error.
    pub fn reason(&self) -> String {
        self.client.context().reporter.reason().unwrap_or_default()
    }
}
