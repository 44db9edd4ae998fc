//! What the tests share: a broker, a bucket, sinks, and what the lake holds in the end.

use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use arrow::array::AsArray as _;
use arrow::datatypes::Int64Type;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use prost::Message as _;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use weir_contract::{Meta, record::Ntp};
use weir_tests::fault_proxy::FaultProxy;
use weir_tests::kafka::Kafka;
use weir_tests::process::{Process, Scratch, binary, wait_until};
use weir_tests::s3::{ACCESS_KEY, BUCKET, REGION, S3, SECRET_KEY};

/// How long anything may take on a machine that is busy with other tests.
pub const LIMIT: Duration = Duration::from_secs(120);

/// The time of messages is the broker's.
pub const APPEND_TIME: (&str, &str) = ("message.timestamp.type", "LogAppendTime");

/// One broker for all tests of this binary, each with topics of its own.
pub fn kafka() -> &'static Kafka {
    static KAFKA: OnceLock<Kafka> = OnceLock::new();
    KAFKA.get_or_init(Kafka::start)
}

/// A test's own topics, group and bucket.
pub struct Lab {
    pub prefix: String,
    pub s3: S3,
    pub proxy: FaultProxy,
    pub home: Scratch,
    /// Variables for all commands, which count more than the usual ones.
    pub environment: Vec<(&'static str, String)>,
    started: u32,
}

impl Lab {
    /// With the topic of NTP messages, of so many partitions, and that of dead letters.
    pub fn start(partitions: i32) -> Self {
        Self::with_store(S3::start(), partitions)
    }

    /// The same with a store of the test's own.
    pub fn with_store(s3: S3, partitions: i32) -> Self {
        static LABS: AtomicU32 = AtomicU32::new(0);
        let prefix = format!("lab{}", LABS.fetch_add(1, Ordering::Relaxed));
        kafka().create_topic(&format!("{prefix}-ntp"), partitions, &[APPEND_TIME]);
        kafka().create_topic(&format!("{prefix}-dead-letter"), 1, &[APPEND_TIME]);
        let proxy = FaultProxy::start(s3.port());
        Self { prefix, s3, proxy, home: Scratch::new("sink"), environment: Vec::new(), started: 0 }
    }

    pub fn topic(&self) -> String {
        format!("{}-ntp", self.prefix)
    }

    /// A sink that ends files after a second, with these arguments besides.
    pub fn sink(&mut self, arguments: &[&str]) -> Process {
        self.started += 1;
        let log = self.home.path().join(format!("sink-{}.log", self.started));
        let mut command = self.weir("sink");
        command.env("WEIR_KAFKA_BROKERS", kafka().bootstrap()).env("WEIR_KAFKA_TOPIC_PREFIX", &self.prefix);
        command.env("WEIR_GROUP", &self.prefix).env("WEIR_RECORDS", "ntp").env("WEIR_LISTEN", "127.0.0.1:0");
        command.env("WEIR_SMALL_FILE_SECONDS", "1").env("WEIR_S3_TIMEOUT_SECONDS", "3").args(arguments);
        Process::start(command, &log)
    }

    /// A command of `weir` that knows the lake.
    pub fn weir(&self, name: &str) -> Command {
        let mut command = Command::new(binary("weir"));
        command.args(name.split(' '));
        // By the environment, which arguments of the test count more than.
        command.env("WEIR_LAKE", format!("s3://{BUCKET}/lake")).env("WEIR_S3_REGION", REGION);
        command.env("WEIR_S3_ENDPOINT", self.proxy.endpoint());
        command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Keys of the lake's files.
    pub fn files(&self) -> Vec<String> {
        let mut keys = self.s3.keys();
        keys.retain(|key| key.ends_with(".parquet"));
        keys
    }

    /// The numbers of all records in the lake, sorted.
    pub fn held(&self) -> Vec<i64> {
        let mut held: Vec<_> = self.files().iter().flat_map(|key| numbers(self.s3.read(key))).collect();
        held.sort_unstable();
        held
    }

    /// Waits until the lake holds so many records.
    pub fn wait_for(&self, records: usize, sinks: &[&Process]) {
        let done = wait_until(LIMIT, || {
            std::thread::sleep(Duration::from_millis(200));
            self.held().len() >= records
        });
        if !done {
            let logs: Vec<_> = sinks.iter().map(|sink| sink.log()).collect();
            panic!("the lake holds {} of {records} records\n{}", self.held().len(), logs.join("\n---\n"));
        }
    }

    /// What `weir lake verify` says, and its exit status.
    pub fn verify(&self) -> (String, Option<i32>) {
        self.proxy.heal();
        let output = self.weir("lake verify").output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
        (text, output.status.code())
    }

    /// The group's committed offset of each partition of the topic.
    pub fn committed(&self, partitions: i32) -> Vec<Option<i64>> {
        use rdkafka::consumer::{BaseConsumer, Consumer as _};
        let consumer: BaseConsumer = kafka().client().set("group.id", &self.prefix).create().unwrap();
        let mut list = rdkafka::TopicPartitionList::new();
        for partition in 0..partitions {
            list.add_partition(&self.topic(), partition);
        }
        let committed = consumer.committed_offsets(list, LIMIT).unwrap();
        committed.elements().iter().map(|element| element.offset().to_raw().filter(|offset| *offset >= 0)).collect()
    }
}

/// The numbers that the records of a file tell.
pub fn numbers(body: Vec<u8>) -> Vec<i64> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(body)).unwrap().build().unwrap();
    let number = |batch: arrow::array::RecordBatch| {
        batch.column_by_name("packet_number").unwrap().as_primitive::<Int64Type>().values().to_vec()
    };
    reader.map(Result::unwrap).flat_map(number).collect()
}

/// A record that tells its number.
pub fn record(number: i64) -> Vec<u8> {
    let meta = Meta { packet_number: number, sensor: "lab".into(), ..Meta::default() };
    Ntp { meta: Some(meta), version: 4, ..Ntp::default() }.encode_to_vec()
}

/// Writes records as a processor does: in transactions, of which some are given up.
pub struct Writer {
    producer: BaseProducer,
    topic: String,
    partitions: i32,
    next: i64,
    transactions: u32,
}

impl Writer {
    pub fn new(lab: &Lab, partitions: i32) -> Self {
        let mut config = kafka().client();
        config.set("transactional.id", lab.topic());
        let producer: BaseProducer = config.create().unwrap();
        producer.init_transactions(LIMIT).unwrap();
        Self { producer, topic: lab.topic(), partitions, next: 0, transactions: 0 }
    }

    /// Writes so many records over all partitions, in transactions of 50. Every fifth transaction is done twice: given
    /// up first, which leaves a hole in the offsets.
    pub fn write(&mut self, count: i64) {
        let mut left = count;
        while left > 0 {
            let size = left.min(50);
            self.transactions += 1;
            if self.transactions.is_multiple_of(5) {
                self.transact(size);
                self.producer.abort_transaction(LIMIT).unwrap();
            }
            self.transact(size);
            self.producer.commit_transaction(LIMIT).unwrap();
            self.next += size;
            left -= size;
        }
    }

    fn transact(&self, size: i64) {
        self.producer.begin_transaction().unwrap();
        for number in self.next..self.next + size {
            let partition = i32::try_from(number % i64::from(self.partitions)).unwrap();
            self.send(partition, Some(&record(number)));
        }
        // What is given up stands in the log as well.
        self.producer.flush(LIMIT).unwrap();
    }

    /// Writes one message in a transaction of its own.
    pub fn write_message(&self, partition: i32, message: &[u8]) {
        self.write_any(partition, Some(message));
    }

    /// Writes a message to a partition, with a value or without one.
    pub fn write_any(&self, partition: i32, message: Option<&[u8]>) {
        self.producer.begin_transaction().unwrap();
        self.send(partition, message);
        self.producer.flush(LIMIT).unwrap();
        self.producer.commit_transaction(LIMIT).unwrap();
    }

    fn send(&self, partition: i32, message: Option<&[u8]>) {
        let mut record = BaseRecord::<(), [u8]>::to(&self.topic).partition(partition);
        record.payload = message;
        self.producer.send(record).map_err(|(error, _)| error).unwrap();
    }
}

/// That the lake holds the numbers up to this one, each once, in chains without fault.
pub fn assert_exact(lab: &Lab, count: i64) {
    let held = lab.held();
    let distinct: std::collections::BTreeSet<_> = held.iter().copied().collect();
    let lost: Vec<_> = (0..count).filter(|number| !distinct.contains(number)).take(10).collect();
    let doubled = held.len() - distinct.len();
    assert!(lost.is_empty() && doubled == 0, "lost {lost:?} and others, doubled {doubled}");
    assert_eq!(held.len(), usize::try_from(count).unwrap());
    let (text, status) = lab.verify();
    assert_eq!(status, Some(0), "{text}");
}
