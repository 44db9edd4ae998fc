//! What a worker's consumer tells while it is polled.

use std::sync::{Mutex, MutexGuard, PoisonError};

use metrics::gauge;
use rdkafka::{
    ClientContext, Statistics, TopicPartitionList,
    client::OAuthToken,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, ConsumerContext},
    error::KafkaError,
    types::RDKafkaRespErr,
};
use weir_service::kafka::Reporter;

use super::{Shared, Trouble, stranded, work::Work};

/// Listens to a worker's consumer: assignments come while it is polled, on the worker's own thread.
pub(super) struct Listener {
    reporter: Reporter,
    packets: String,
    work: Mutex<Work>,
}

impl Listener {
    pub(super) fn new(shared: &Shared, work: Work) -> Self {
        let packets = shared.topics.packets.clone();
        Self { reporter: Reporter::new(&shared.settings.kafka), packets, work: Mutex::new(work) }
    }

    /// Why the consumer can't go on, if it can't.
    pub(super) fn check(&self) -> Result<(), Trouble> {
        if self.reporter.is_stranded() { Err(stranded("consumer")) } else { Ok(()) }
    }

    /// The worker's work. Never to be held while the consumer is polled or dropped.
    pub(super) fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Listener {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = Reporter::ENABLE_REFRESH_OAUTH_TOKEN;

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
        let Some(topic) = statistics.topics.get(&self.packets) else { return };
        for partition in topic.partitions.values().filter(|partition| partition.desired && partition.hi_offset >= 0) {
            let behind = partition.hi_offset.saturating_sub(partition.app_offset.max(0));
            let lag = f64::from(i32::try_from(behind).unwrap_or(i32::MAX));
            gauge!("weir_processor_lag_messages", "partition" => partition.partition.to_string()).set(lag);
        }
    }
}

impl ConsumerContext for Listener {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, event: RDKafkaRespErr, partitions: &mut TopicPartitionList) {
        let mut work = self.work();
        if event == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            work.assigned(consumer, partitions);
        } else {
            work.revoked(consumer);
        }
    }
}
