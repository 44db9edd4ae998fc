//! Messages that are no records, kept in the topic of dead letters.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use metrics::counter;
use prost::Message as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};
use rdkafka::{ClientConfig, ClientContext, Message as _};
use weir_contract::DeadLetter;
use weir_service::kafka::Reporter;

use super::link::Source;
use super::metrics::DEAD_LETTERS;
use super::store::Stopped;

/// Bytes of a message that are kept: below what a broker takes.
const PAYLOAD_MAX: usize = 900_000;

/// How long one attempt waits for the broker.
const FLUSH: Duration = Duration::from_secs(1);

/// The producer of dead letters.
pub struct DeadLetters {
    producer: ThreadedProducer<Context>,
    topic: String,
    stop: Arc<AtomicBool>,
}

/// Keeps what the broker did not take, to be sent again.
struct Context {
    reporter: Reporter,
    refused: Mutex<Vec<Vec<u8>>>,
}

impl ClientContext for Context {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: rdkafka::config::RDKafkaLogLevel, facility: &str, message: &str) {
        self.reporter.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.reporter.error(error, reason);
    }

    fn generate_oauth_token(
        &self,
        config: Option<&str>,
    ) -> Result<rdkafka::client::OAuthToken, Box<dyn std::error::Error>> {
        self.reporter.generate_oauth_token(config)
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, message)) = result {
            tracing::error!("a dead letter can't be written to {}: {error}; trying again", message.topic());
            self.refused().extend(message.payload().map(<[u8]>::to_vec));
        }
    }
}

impl Context {
    fn refused(&self) -> std::sync::MutexGuard<'_, Vec<Vec<u8>>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl DeadLetters {
    /// Writes to this topic, until `stop` is set.
    ///
    /// # Errors
    ///
    /// The client can't be made.
    pub fn new(
        mut client: ClientConfig,
        reporter: Reporter,
        topic: String,
        stop: Arc<AtomicBool>,
    ) -> anyhow::Result<Self> {
        client.set("enable.idempotence", "true").set("message.timeout.ms", "0").set("compression.type", "lz4");
        let producer = client.create_with_context(Context { reporter, refused: Mutex::default() })?;
        Ok(Self { producer, topic, stop })
    }

    /// Keeps a message. It is written for sure once [`settle`](Self::settle) returns.
    pub fn add(&self, source: &Source, offset: i64, message: &[u8], reason: &str) {
        counter!(DEAD_LETTERS, "type" => source.record_type.name()).increment(1);
        tracing::warn!(topic = source.topic, partition = source.partition, offset, "left out a message: {reason}");
        let letter = DeadLetter {
            topic: source.topic.clone(),
            partition: u32::try_from(source.partition).unwrap_or_default(),
            offset,
            packet_number: None,
            component: "sink".into(),
            reason: reason.to_owned(),
            payload: message.get(..PAYLOAD_MAX).unwrap_or(message).to_vec(),
            payload_bytes: i64::try_from(message.len()).unwrap_or(i64::MAX),
        };
        self.producer.context().refused().push(letter.encode_to_vec());
        self.send();
    }

    /// Returns when all that was added is written.
    ///
    /// # Errors
    ///
    /// Asked to stop.
    pub fn settle(&self) -> Result<(), Stopped> {
        loop {
            self.send();
            // A time-out leaves messages in flight, which the next turn sees.
            let _ = self.producer.flush(FLUSH);
            if self.producer.in_flight_count() == 0 && self.producer.context().refused().is_empty() {
                return Ok(());
            }
            if self.stop.load(Ordering::Relaxed) {
                return Err(Stopped::Asked);
            }
            std::thread::sleep(FLUSH / 10);
        }
    }

    fn send(&self) {
        let letters = std::mem::take(&mut *self.producer.context().refused());
        for letter in letters {
            match self.producer.send(BaseRecord::<(), Vec<u8>>::to(&self.topic).payload(&letter)) {
                Ok(()) => {}
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge), _)) => {
                    tracing::error!("a dead letter of {} bytes is too large for the broker, and lost", letter.len());
                }
                Err(_) => self.producer.context().refused().push(letter),
            }
        }
    }
}
