//! The test's own view of what is in a broker's topics.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::{ClientConfig, Message as _, Offset, TopicPartitionList};

use crate::kafka::Kafka;

/// For answers of a broker on a machine that is busy with other tests.
const LIMIT: Duration = Duration::from_secs(60);

/// A message as it is in its topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The topic's name.
    pub topic: String,
    /// The partition's number.
    pub partition: i32,
    /// Its number in the partition.
    pub offset: i64,
    /// When the broker appended it, or its producer's time where the topic is set so: ms since the epoch.
    pub timestamp_ms: Option<i64>,
    /// Its key, if it has one.
    pub key: Option<Vec<u8>>,
    /// Its value; a tombstone has none.
    pub value: Option<Vec<u8>>,
}

/// Which messages to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// Those of committed transactions, and those of none.
    Committed,
    /// All, those of aborted and open transactions too.
    Uncommitted,
}

impl Kafka {
    /// Settings of a client at the open listener.
    pub fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.bootstrap());
        config
    }

    /// Makes a topic, with settings such as `message.timestamp.type`.
    ///
    /// # Panics
    ///
    /// Where the broker refuses.
    pub fn create_topic(&self, name: &str, partitions: i32, settings: &[(&str, &str)]) {
        let admin: AdminClient<DefaultClientContext> = self.client().create().unwrap();
        let mut topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
        topic.config = settings.to_vec();
        let made = wait_for(admin.create_topics([&topic], &AdminOptions::new().operation_timeout(Some(LIMIT))));
        for result in made.unwrap() {
            result.unwrap();
        }
    }

    /// Deletes a topic, and waits until it is gone.
    ///
    /// # Panics
    ///
    /// Where the broker refuses.
    pub fn delete_topic(&self, name: &str) {
        self.delete_topics(&[name]);
    }

    /// Deletes topics, and waits until they are gone.
    ///
    /// # Panics
    ///
    /// Where the broker refuses.
    pub fn delete_topics(&self, names: &[&str]) {
        let admin: AdminClient<DefaultClientContext> = self.client().create().unwrap();
        let deleted = wait_for(admin.delete_topics(names, &AdminOptions::new().operation_timeout(Some(LIMIT))));
        for result in deleted.unwrap() {
            result.unwrap();
        }
        let gone = || self.topics().iter().all(|(topic, _)| !names.contains(&topic.as_str()));
        assert!(crate::process::wait_until(LIMIT, gone), "some of {names:?} are still there");
    }

    /// Deletes the messages of a partition before an offset.
    ///
    /// # Panics
    ///
    /// Where the broker refuses.
    pub fn delete_messages(&self, topic: &str, partition: i32, before: i64) {
        let admin: AdminClient<DefaultClientContext> = self.client().create().unwrap();
        let mut offsets = TopicPartitionList::new();
        offsets.add_partition_offset(topic, partition, Offset::Offset(before)).unwrap();
        wait_for(admin.delete_records(&offsets, &AdminOptions::new().operation_timeout(Some(LIMIT)))).unwrap();
    }

    /// The topics there are but Kafka's own, with their counts of partitions, by name.
    ///
    /// # Panics
    ///
    /// Where the broker doesn't answer.
    pub fn topics(&self) -> Vec<(String, i32)> {
        let consumer: BaseConsumer = self.client().create().unwrap();
        let metadata = consumer.fetch_metadata(None, LIMIT).unwrap();
        let topics = metadata.topics().iter().filter(|topic| !topic.name().starts_with("__"));
        let mut topics: Vec<_> =
            topics.map(|topic| (topic.name().to_owned(), i32::try_from(topic.partitions().len()).unwrap())).collect();
        topics.sort_unstable();
        topics
    }

    /// All messages of some topics, in each partition's order, up to where they end now.
    ///
    /// Committed ones end where the first transaction begins that is still open.
    ///
    /// # Panics
    ///
    /// Where a topic doesn't exist, or the broker doesn't answer.
    pub fn messages(&self, topics: &[&str], isolation: Isolation) -> Vec<Message> {
        let mut messages = Vec::new();
        self.each_message(topics, isolation, |message| messages.push(message));
        messages
    }

    /// The same one by one, for more than memory holds.
    ///
    /// # Panics
    ///
    /// Where a topic doesn't exist, or the broker doesn't answer.
    pub fn each_message(&self, topics: &[&str], isolation: Isolation, mut take: impl FnMut(Message)) {
        let level = match isolation {
            Isolation::Committed => "read_committed",
            Isolation::Uncommitted => "read_uncommitted",
        };
        let consumer: BaseConsumer = self
            .client()
            .set("group.id", "tests")
            .set("isolation.level", level)
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("fetch.wait.max.ms", "10")
            .create()
            .unwrap();
        let existing = self.topics();
        // One by one: a partition's end is told without its topic's name.
        for topic in topics {
            let Some((_, partitions)) = existing.iter().find(|(name, _)| name == topic) else {
                panic!("there is no topic {topic}");
            };
            read_topic(&consumer, topic, *partitions, &mut take);
        }
    }
}

/// Hands on the messages of a topic, up to where its partitions end now.
fn read_topic(consumer: &BaseConsumer, topic: &str, partitions: i32, take: &mut impl FnMut(Message)) {
    let mut from = TopicPartitionList::new();
    for partition in 0..partitions {
        let (start, end) = consumer.fetch_watermarks(topic, partition, LIMIT).unwrap();
        // Of a hundred topics most are empty in most tests.
        if start < end {
            from.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
        }
    }
    let mut reading: BTreeSet<i32> = from.elements().iter().map(|element| element.partition()).collect();
    consumer.assign(&from).unwrap();
    let mut deadline = Instant::now() + LIMIT;
    while !reading.is_empty() {
        assert!(Instant::now() < deadline, "partitions {reading:?} of {topic} don't end");
        match consumer.poll(Duration::from_millis(100)) {
            None => {}
            Some(Ok(message)) => {
                deadline = Instant::now() + LIMIT;
                take(Message {
                    topic: topic.to_owned(),
                    partition: message.partition(),
                    offset: message.offset(),
                    timestamp_ms: message.timestamp().to_millis(),
                    key: message.key().map(<[u8]>::to_vec),
                    value: message.payload().map(<[u8]>::to_vec),
                });
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                reading.remove(&partition);
            }
            Some(Err(error)) => panic!("can't read {topic}: {error}"),
        }
    }
}

/// Waits for an answer of the admin client, which has threads of its own.
fn wait_for<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(answer) => return answer,
            Poll::Pending => std::thread::park(),
        }
    }
}
