//! Topics of their own for each test, traffic for them, and what it should give.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Mutex, MutexGuard, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use prost::Message as _;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer};
use weir_agent::{Batcher, Merge, Merged};
use weir_contract::{PacketBatch, RecordType, Selection};
use weir_engine::{Engine, Limits, RecordSink};
use weir_tests::{
    kafka::Kafka,
    messages::Isolation,
    process::{Process, Scratch, binary},
};

/// Types that the tests read back: of a connection, of a datagram, and those about the capture.
const RECORDS: &str = "connection,dns,dhcpv4,ntp,weird,capture_stats,capture_loss";

const LOG_APPEND_TIME: (&str, &str) = ("message.timestamp.type", "LogAppendTime");

/// The broker of all tests here, which ends with the process.
pub fn kafka() -> MutexGuard<'static, Kafka> {
    static KAFKA: OnceLock<Mutex<Kafka>> = OnceLock::new();
    KAFKA.get_or_init(|| Mutex::new(Kafka::start())).lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

pub type Records = Vec<(RecordType, Vec<u8>)>;

/// Topics with a prefix of their own.
pub struct Cluster {
    pub prefix: String,
    pub partitions: u32,
    pub bootstrap: String,
    pub scratch: Scratch,
    started: AtomicU32,
}

/// Batches in the order in which they are sent.
pub struct Traffic {
    pub batches: Vec<PacketBatch>,
    pub expected: Records,
}

impl Cluster {
    pub fn new(name: &str, partitions: u32) -> Self {
        let kafka = kafka();
        let cluster = Self {
            prefix: name.to_owned(),
            partitions,
            bootstrap: kafka.bootstrap(),
            scratch: Scratch::new(name),
            started: AtomicU32::new(0),
        };
        let all = i32::try_from(partitions).unwrap();
        kafka.create_topic(&cluster.topic("packets"), all, &[LOG_APPEND_TIME]);
        kafka.create_topic(&cluster.topic("state"), all, &[LOG_APPEND_TIME, ("cleanup.policy", "compact")]);
        kafka.create_topic(&cluster.topic("dead-letter"), 1, &[LOG_APPEND_TIME]);
        for (number, topic) in (0..).zip(cluster.record_topics()) {
            kafka.create_topic(&topic, if number % 2 == 0 { all } else { 1 }, &[LOG_APPEND_TIME]);
        }
        cluster
    }

    pub fn topic(&self, name: &str) -> String {
        format!("{}-{name}", self.prefix)
    }

    fn record_topics(&self) -> Vec<String> {
        selection().types().map(|of| of.topic(&self.prefix)).collect()
    }

    /// The project's captures, so many times, cut into small batches.
    pub fn traffic(&self, rounds: i64) -> Traffic {
        let mut batches = Vec::new();
        for round in 0..rounds {
            for (number, path) in (0..).zip(captures()) {
                batches.extend(self.batches(&path, 1000 * round + number));
            }
        }
        Traffic::new(batches, self.partitions)
    }

    fn batches(&self, path: &Path, epoch: i64) -> Vec<PacketBatch> {
        let mut merge = Merge::files(&[path.to_owned()]);
        let mut batcher = Batcher::new("lab", epoch, self.partitions, 4_000);
        let mut batches = Vec::new();
        while let Some(merged) = merge.next_packet() {
            if let Merged::Packet(packet, interface) = merged {
                batches.extend(batcher.push(&packet, interface));
            }
        }
        batches.extend(batcher.finish());
        batches
    }

    /// Sends all batches, with a pause after each ten.
    pub fn send(&self, traffic: &Traffic, pause: Duration) {
        let producer = self.producer();
        for (number, batch) in traffic.batches.iter().enumerate() {
            self.send_bytes(&producer, batch.partition, &batch.encode_to_vec());
            if number % 10 == 9 && !pause.is_zero() {
                thread::sleep(pause);
            }
        }
        producer.flush(Duration::from_secs(60)).unwrap();
    }

    pub fn producer(&self) -> ThreadedProducer<DefaultProducerContext> {
        let mut client = rdkafka::ClientConfig::new();
        client.set("bootstrap.servers", &self.bootstrap).set("enable.idempotence", "true").set("linger.ms", "5");
        client.create().unwrap()
    }

    pub fn send_bytes(&self, producer: &ThreadedProducer<DefaultProducerContext>, partition: u32, bytes: &[u8]) {
        let topic = self.topic("packets");
        let record = BaseRecord::<(), [u8]>::to(&topic).payload(bytes).partition(i32::try_from(partition).unwrap());
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }

    /// Starts a processor with time-outs fit for tests.
    pub fn processor(&self, instance: &str, more: &[&str]) -> Process {
        self.processor_in(&[], instance, more)
    }

    /// Starts one with variables of the environment.
    pub fn processor_in(&self, environment: &[(&str, &str)], instance: &str, more: &[&str]) -> Process {
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        let settings = [
            ("--brokers", self.bootstrap.as_str()),
            ("--topic-prefix", &self.prefix),
            ("--group", &self.prefix),
            ("--instance", instance),
            ("--records", RECORDS),
            ("--listen", "127.0.0.1:0"),
            ("--commit-interval-ms", "200"),
            ("--commit-interval-max-ms", "1000"),
            ("--session-timeout-ms", "6000"),
            ("--transaction-timeout-ms", "8000"),
            ("--snapshot-age-ms", "1500"),
        ];
        let mut command = Command::new(binary("weir"));
        command.arg("processor").args(more).envs(environment.iter().copied());
        for (flag, value) in settings.into_iter().filter(|(flag, _)| !more.contains(flag)) {
            command.args([flag, value]);
        }
        Process::start(command, &self.scratch.path().join(format!("{number}-{instance}.log")))
    }

    /// What all processors so far wrote to their logs.
    pub fn logs(&self) -> String {
        let mut paths: Vec<_> = std::fs::read_dir(self.scratch.path()).unwrap().map(|e| e.unwrap().path()).collect();
        paths.sort();
        let log = |path: &PathBuf| format!("--- {}\n{}", path.display(), std::fs::read_to_string(path).unwrap());
        paths.iter().map(log).collect()
    }

    /// The committed records, sorted.
    pub fn records(&self) -> Records {
        let topics = self.record_topics();
        let names: Vec<_> = topics.iter().map(String::as_str).collect();
        let types: BTreeMap<_, _> = topics.iter().cloned().zip(selection().types()).collect();
        let messages = kafka().messages(&names, Isolation::Committed);
        let mut records: Vec<_> =
            messages.into_iter().map(|message| (types[&message.topic], message.value.unwrap())).collect();
        records.sort();
        records
    }

    pub fn dead_letters(&self) -> Vec<weir_contract::DeadLetter> {
        let messages = kafka().messages(&[&self.topic("dead-letter")], Isolation::Committed);
        messages.into_iter().map(|of| weir_contract::DeadLetter::decode(&of.value.unwrap()[..]).unwrap()).collect()
    }

    /// Waits until as many records are there as there should be.
    pub fn wait_for(&self, traffic: &Traffic, limit: Duration) {
        let begun = Instant::now();
        loop {
            let count = self.records().len();
            if count >= traffic.expected.len() {
                return;
            }
            if begun.elapsed() > limit {
                panic!("{count} of {} records after {limit:?}\n{}", traffic.expected.len(), self.logs());
            }
            thread::sleep(Duration::from_millis(300));
        }
    }

    pub fn assert_exact(&self, traffic: &Traffic) {
        let records = self.records();
        if records == traffic.expected {
            return;
        }
        let mut balance: BTreeMap<&(RecordType, Vec<u8>), i32> = BTreeMap::new();
        records.iter().for_each(|record| *balance.entry(record).or_default() += 1);
        traffic.expected.iter().for_each(|record| *balance.entry(record).or_default() -= 1);
        let (lost, doubled): (Vec<_>, Vec<_>) =
            balance.into_iter().filter(|(_, count)| *count != 0).partition(|(_, count)| *count < 0);
        let types = |some: &[(&(RecordType, Vec<u8>), i32)]| {
            some.iter().take(10).map(|((of, _), count)| format!("{} {count}", of.name())).collect::<Vec<_>>()
        };
        panic!(
            "{} records lost {:?}, {} too many {:?}\n{}",
            lost.len(),
            types(&lost),
            doubled.len(),
            types(&doubled),
            self.logs()
        );
    }
}

impl Traffic {
    pub fn new(batches: Vec<PacketBatch>, partitions: u32) -> Self {
        struct Keep<'a>(&'a mut Records);
        impl RecordSink for Keep<'_> {
            fn record(&mut self, record_type: RecordType, bytes: &[u8]) {
                self.0.push((record_type, bytes.to_vec()));
            }
        }
        let limits = Limits::per_partition(partitions);
        let mut engines: Vec<_> = (0..partitions).map(|_| Engine::new(1, limits, selection())).collect();
        let mut expected = Vec::new();
        for batch in &batches {
            engines[batch.partition as usize].push(batch, &mut Keep(&mut expected)).unwrap();
        }
        expected.sort();
        Self { batches, expected }
    }
}

fn selection() -> Selection {
    Selection::parse(RECORDS).unwrap()
}

fn captures() -> Vec<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("captures");
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "pcap" || ending == "pcapng"));
    paths.sort();
    paths
}

impl Cluster {
    /// Deletes what is before an offset, as retention does.
    pub fn delete_until(&self, partition: i32, offset: i64) {
        let file = self.scratch.path().join("delete.json");
        let topic = self.topic("packets");
        let json = format!(
            r#"{{"partitions":[{{"topic":"{topic}","partition":{partition},"offset":{offset}}}],"version":1}}"#
        );
        std::fs::write(&file, json).unwrap();
        let done = kafka()
            .tool("org.apache.kafka.tools.DeleteRecordsCommand", &["--offset-json-file", file.to_str().unwrap()]);
        assert!(done.status.success(), "{done:?}");
    }
}
