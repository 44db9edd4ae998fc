//! A producer that looks each topic up once.
//!
//! rdkafka names the topic with every message: a C string is made of it, and looked for in a list under a lock that the
//! client's other threads need too. Its flush gives up and begins anew all the time, so that brokers' threads seldom
//! see it and wait out `linger.ms`, and it sleeps for 100 ms between two looks. Both are mended here, by librdkafka's own
//! functions.

use std::{
    ffi::CString,
    ptr::{self, NonNull},
    time::{Duration, Instant},
};

use rdkafka::{
    bindings::{
        RD_KAFKA_MSG_F_COPY, rd_kafka_flush, rd_kafka_last_error, rd_kafka_produce, rd_kafka_resp_err_t,
        rd_kafka_topic_destroy, rd_kafka_topic_new, rd_kafka_topic_t,
    },
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
    producer::{BaseProducer, Producer as _, ProducerContext},
};

/// How long a flush waits at once: what was not delivered is told between two waits, and counts until then.
const FLUSH_SLICE: Duration = Duration::from_millis(50);

/// A producer and the topics that it has looked up.
pub struct TopicProducer<C: ProducerContext<DeliveryOpaque = ()> + 'static> {
    // Before the producer, which has to outlive them.
    topics: Vec<Topic>,
    producer: BaseProducer<C>,
}

/// A topic of one [`TopicProducer`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TopicNumber(usize);

impl<C: ProducerContext<DeliveryOpaque = ()> + 'static> TopicProducer<C> {
    /// A producer that knows no topic yet.
    pub fn new(producer: BaseProducer<C>) -> Self {
        Self { topics: Vec::new(), producer }
    }

    /// The producer itself.
    pub fn producer(&self) -> &BaseProducer<C> {
        &self.producer
    }

    /// Looks a topic up, once for each.
    ///
    /// # Errors
    ///
    /// A name that no topic can have.
    #[allow(unsafe_code)]
    pub fn open(&mut self, name: &str) -> KafkaResult<TopicNumber> {
        let text = CString::new(name)?;
        let producer = self.producer.client().native_ptr();
        // SAFETY: the producer lives, the text ends with 0 and is copied, and without settings it gets the producer's.
        let topic = unsafe { rd_kafka_topic_new(producer, text.as_ptr(), ptr::null_mut()) };
        let topic = NonNull::new(topic).ok_or_else(last_error)?;
        self.topics.push(Topic(topic));
        Ok(TopicNumber(self.topics.len() - 1))
    }

    /// Adds a message without a key to those that wait to be sent. Never waits.
    ///
    /// # Errors
    ///
    /// As those of [`BaseProducer::send`].
    #[allow(unsafe_code)]
    pub fn send(&self, topic: TopicNumber, partition: i32, value: &[u8]) -> KafkaResult<()> {
        let unknown = KafkaError::MessageProduction(RDKafkaErrorCode::UnknownTopic);
        let Topic(topic) = self.topics.get(topic.0).ok_or(unknown)?;
        // SAFETY: the topic is this producer's, which lives; the value is copied, not written to; and what is handed back
        // with a report is the null pointer that `()` stands for.
        let done = unsafe {
            rd_kafka_produce(
                topic.as_ptr(),
                partition,
                RD_KAFKA_MSG_F_COPY,
                value.as_ptr().cast_mut().cast(),
                value.len(),
                ptr::null(),
                0,
                ptr::null_mut(),
            )
        };
        if done == 0 { Ok(()) } else { Err(last_error()) }
    }

    /// Sends all that waits, and waits until it is delivered or given up.
    ///
    /// # Errors
    ///
    /// It takes longer than that.
    #[allow(unsafe_code)]
    pub fn flush(&self, limit: Duration) -> KafkaResult<()> {
        let until = Instant::now() + limit;
        let producer = self.producer.client().native_ptr();
        loop {
            let wait = until.saturating_duration_since(Instant::now()).min(FLUSH_SLICE);
            // SAFETY: the producer lives.
            let done = unsafe { rd_kafka_flush(producer, i32::try_from(wait.as_millis()).unwrap_or(i32::MAX)) };
            self.producer.poll(Duration::ZERO);
            match done {
                rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR => return Ok(()),
                rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__TIMED_OUT if Instant::now() < until => {}
                error => return Err(KafkaError::Flush(error.into())),
            }
        }
    }
}

/// A topic as librdkafka has it.
struct Topic(NonNull<rd_kafka_topic_t>);

// SAFETY: librdkafka's topics may be used by any thread, and have locks of their own.
#[allow(unsafe_code)]
unsafe impl Send for Topic {}

impl Drop for Topic {
    #[allow(unsafe_code)]
    fn drop(&mut self) {
        // SAFETY: it was made for this, and nobody has it any more.
        unsafe { rd_kafka_topic_destroy(self.0.as_ptr()) }
    }
}

/// Why the call before failed, on this thread.
#[allow(unsafe_code)]
fn last_error() -> KafkaError {
    // SAFETY: it reads a number of this thread's.
    KafkaError::MessageProduction(unsafe { rd_kafka_last_error() }.into())
}
