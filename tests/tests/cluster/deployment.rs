//! Agents, processors and sinks with topics and a lake of their own, in a broker and an S3 server that all tests
//! of this binary share.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use parquet::file::reader::{FileReader as _, SerializedFileReader};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, Producer as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use weir_contract::topics;
use weir_tests::fault_proxy::FaultProxy;
use weir_tests::kafka::Kafka;
use weir_tests::messages::Isolation;
use weir_tests::process::{Process, Scratch, binary};
use weir_tests::s3::{ACCESS_KEY, BUCKET, REGION, S3, SECRET_KEY};

use crate::records::{Differences, Records};

/// For what takes as long as the machine is busy, and for what stands still.
pub const LIMIT: Duration = Duration::from_secs(120);

/// A broker and a store.
pub struct Cluster {
    pub kafka: Kafka,
    pub s3: S3,
}

impl Cluster {
    pub fn start() -> Self {
        Self { kafka: Kafka::start(), s3: S3::start() }
    }
}

/// The cluster that tests share, for this one alone until it drops it.
pub fn cluster() -> MutexGuard<'static, Cluster> {
    static CLUSTER: OnceLock<Mutex<Cluster>> = OnceLock::new();
    let cluster = CLUSTER.get_or_init(|| Mutex::new(Cluster::start()));
    // A test that failed leaves topics, and nothing else.
    cluster.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a deployment is like.
pub struct Settings {
    /// What topics, groups and the lake are named by.
    pub name: String,
    /// Partitions of `weir-packets`.
    pub partitions: u32,
    /// Selection of record types.
    pub records: String,
    /// Session time-out of processors.
    pub session: Duration,
    /// Transaction time-out of processors.
    pub transaction: Duration,
    /// File with the key for pseudonyms of addresses; none to keep them.
    pub address_key: Option<PathBuf>,
}

impl Settings {
    /// With the time-outs that programs have by themselves.
    pub fn new(name: &str, partitions: u32, records: &str) -> Self {
        Self {
            name: name.to_owned(),
            partitions,
            records: records.to_owned(),
            session: Duration::from_secs(10),
            transaction: Duration::from_secs(15),
            address_key: None,
        }
    }
}

/// Topics and a lake, and how programs find them.
pub struct Deployment {
    pub settings: Settings,
    pub proxy: FaultProxy,
    folder: Scratch,
    brokers: String,
}

impl Deployment {
    /// Makes the topics.
    pub fn new(cluster: &Cluster, settings: Settings) -> Self {
        let folder = Scratch::new(&settings.name);
        let proxy = FaultProxy::start(cluster.s3.port());
        let deployment = Self { settings, proxy, folder, brokers: cluster.kafka.bootstrap() };
        let mut create = deployment.command("weir", &["topics", "create", "--replication", "1"]);
        create.args(["--partitions", &deployment.settings.partitions.to_string()]);
        create.args(["--records", &deployment.settings.records]);
        let output = create.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        deployment
    }

    /// A command of ours that knows where Kafka is.
    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary(program));
        command.args(arguments).args(["--brokers", &self.brokers, "--topic-prefix", &self.settings.name]);
        command
    }

    /// Starts a program; what it writes is added to a log by that name.
    fn start(&self, mut command: Command, log: &str) -> Process {
        command.args(["--listen", "127.0.0.1:0"]);
        Process::start(command, &self.folder.path().join(format!("{log}.log")))
    }

    pub fn start_processor(&self, instance: &str) -> Process {
        let Settings { records, session, transaction, .. } = &self.settings;
        let mut command = self.command("weir", &["processor", "--instance", instance, "--workers", "1"]);
        command.args(["--group", &self.processors(), "--records", records]);
        command.args(["--session-timeout-ms", &session.as_millis().to_string()]);
        command.args(["--transaction-timeout-ms", &transaction.as_millis().to_string()]);
        command.args(["--commit-interval-ms", "200", "--commit-interval-max-ms", "500", "--snapshot-age-ms", "1000"]);
        command.args(privacy(self.settings.address_key.as_deref()));
        self.start(command, instance)
    }

    pub fn start_sink(&self, instance: &str) -> Process {
        let mut command = self.command("weir", &["sink", "--small-file-seconds", "1", "--file-seconds", "1"]);
        command.args(["--group", &format!("{}-sinks", self.settings.name), "--records", &self.settings.records]);
        self.add_lake(&mut command);
        self.start(command, instance)
    }

    /// Lets a command know where the lake is.
    fn add_lake(&self, command: &mut Command) {
        command
            .args(["--lake", &format!("s3://{BUCKET}/{}", self.settings.name), "--s3-timeout-seconds", "3"])
            .args(["--s3-endpoint", &self.proxy.endpoint(), "--s3-region", REGION])
            .env("AWS_ACCESS_KEY_ID", ACCESS_KEY)
            .env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
    }

    /// Starts to replay captures: at `full` speed, or so many times faster than they were, such as `10x`.
    pub fn start_replay(&self, sensor: &str, captures: &[PathBuf], speed: &str) -> Process {
        let mut command = self.command("weir-agent", &["replay", "--sensor", sensor, "--speed", speed]);
        command.args(captures);
        self.start(command, sensor)
    }

    /// Has the transaction aborted that a processor has open, if any, as a second process of that name does. Brokers
    /// that don't answer at once are not waited for.
    pub fn abort_transaction(&self, instance: &str) {
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", &self.brokers)
            .set("transactional.id", format!("{}-{instance}-0", self.processors()))
            .create()
            .unwrap();
        let _ = producer.init_transactions(Duration::from_secs(1));
    }

    /// The processors' consumer group.
    fn processors(&self) -> String {
        format!("{}-processors", self.settings.name)
    }

    /// How to tell how much of what is in `weir-packets` is decoded and committed.
    pub fn decoding(&self, kafka: &Kafka) -> Decoding {
        let consumer: BaseConsumer = kafka.client().set("group.id", self.processors()).create().unwrap();
        let topic = topics::packets(&self.settings.name);
        let mut partitions = TopicPartitionList::new();
        for partition in 0..i32::try_from(self.settings.partitions).unwrap() {
            partitions.add_partition(&topic, partition);
        }
        Decoding { consumer, partitions }
    }

    /// How to tell how many rows there are in the lake.
    pub fn rows(&self, cluster: &Cluster) -> Rows {
        Rows { lake: self.lake(cluster), of_files: BTreeMap::new() }
    }

    /// The folder of the S3 server in which the lake's objects are files.
    pub fn lake(&self, cluster: &Cluster) -> PathBuf {
        cluster.s3.bucket().join(&self.settings.name)
    }

    /// How topics and lake differ from what should be.
    pub fn differences(&self, cluster: &Cluster, expected: &Records) -> [(&'static str, Differences); 2] {
        let in_topics = Records::of_topics(&cluster.kafka, &self.settings.name);
        let in_lake = Records::of_lake(&self.lake(cluster));
        [("topics", in_topics.differences(expected)), ("lake", in_lake.differences(expected))]
    }

    /// Removes topics and lake.
    pub fn remove(self, cluster: &Cluster) {
        let prefix = format!("{}-", self.settings.name);
        let topics = cluster.kafka.topics();
        let ours: Vec<&str> =
            topics.iter().map(|(name, _)| name.as_str()).filter(|name| name.starts_with(&prefix)).collect();
        cluster.kafka.delete_topics(&ours);
        let _ = std::fs::remove_dir_all(self.lake(cluster));
    }

    /// What is wrong besides, even if all records are right: programs that panicked, dead letters, and what
    /// `weir lake verify` finds.
    pub fn faults(&self, cluster: &Cluster) -> Vec<String> {
        let mut faults = Vec::new();
        for (name, log) in self.logs() {
            faults
                .extend(log.lines().filter(|line| line.contains("panicked at")).map(|line| format!("{name}: {line}")));
        }
        let letters = cluster.kafka.messages(&[&topics::dead_letter(&self.settings.name)], Isolation::Committed);
        let letters = letters.iter().filter(|letter| letter.value.is_some()).count();
        if letters > 0 {
            faults.push(format!("{letters} dead letters"));
        }
        let mut verify = Command::new(binary("weir"));
        self.add_lake(verify.args(["lake", "verify"]));
        let output = verify.output().unwrap();
        if !output.status.success() {
            faults.push(format!(
                "{}{}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            ));
        }
        faults
    }

    /// How many lines of all logs have these words.
    pub fn lines_with(&self, words: &str) -> usize {
        self.logs().iter().map(|(_, log)| log.lines().filter(|line| line.contains(words)).count()).sum()
    }

    /// Copies the logs to where they stay.
    pub fn keep_logs(&self) {
        let kept = kept(&self.settings.name);
        std::fs::create_dir_all(&kept).unwrap();
        for (name, log) in self.logs() {
            std::fs::write(kept.join(name), log).unwrap();
        }
        std::fs::write(kept.join("store.log"), self.proxy.log().join("\n")).unwrap();
    }

    /// What each program wrote, by the name of its log.
    fn logs(&self) -> Vec<(String, String)> {
        let files = std::fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap().path());
        let logs = files.filter(|path| path.extension().is_some_and(|extension| extension == "log"));
        let read = |path: PathBuf| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned())
        };
        logs.map(read).collect()
    }

    /// The ends of all logs.
    pub fn last_words(&self) -> String {
        let mut words = String::new();
        for (name, log) in self.logs() {
            let lines: Vec<&str> = log.lines().collect();
            let last = lines.get(lines.len().saturating_sub(15)..).unwrap_or_default();
            words += &format!("-- {name}\n{}\n", last.join("\n"));
        }
        words
    }
}

impl Drop for Deployment {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.keep_logs();
        }
    }
}

/// The folder of what stays of a deployment that went wrong.
pub fn kept(deployment: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(deployment)
}

/// Asks how far the processors are.
pub struct Decoding {
    consumer: BaseConsumer,
    partitions: TopicPartitionList,
}

impl Decoding {
    /// Messages that are decoded and committed, as far as the brokers say; 0 where they don't.
    pub fn decoded(&self) -> i64 {
        let committed = self.consumer.committed_offsets(self.partitions.clone(), Duration::from_secs(5));
        let offsets = |list: &TopicPartitionList| {
            list.elements().iter().filter_map(|element| element.offset().to_raw().filter(|offset| *offset > 0)).sum()
        };
        committed.as_ref().map_or(0, offsets)
    }

    /// How many messages the group has not committed yet.
    pub fn left(&self) -> usize {
        let Ok(committed) = self.consumer.committed_offsets(self.partitions.clone(), LIMIT) else { return usize::MAX };
        let elements = committed.elements();
        let left = elements.iter().map(|element| {
            let (_, end) = self.consumer.fetch_watermarks(element.topic(), element.partition(), LIMIT).ok()?;
            let offset = if let Offset::Offset(offset) = element.offset() { offset } else { 0 };
            usize::try_from(end - offset).ok()
        });
        left.sum::<Option<usize>>().unwrap_or(usize::MAX)
    }
}

/// Counts the rows of a lake.
pub struct Rows {
    lake: PathBuf,
    /// Of each file that was whole: it stays as it is.
    of_files: BTreeMap<PathBuf, usize>,
}

impl Rows {
    pub fn count(&mut self) -> usize {
        let mut folders = vec![self.lake.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if !self.of_files.contains_key(&path) {
                    // One that is being written has no end yet, or another name soon.
                    let reader = std::fs::File::open(&path).ok().and_then(|file| SerializedFileReader::new(file).ok());
                    let rows = reader.map(|reader| reader.metadata().file_metadata().num_rows());
                    self.of_files.extend(rows.map(|rows| (path, usize::try_from(rows).unwrap())));
                }
            }
        }
        self.of_files.values().sum()
    }
}

/// Arguments by which addresses get pseudonyms.
fn privacy(address_key: Option<&Path>) -> Vec<&OsStr> {
    let Some(key) = address_key else { return Vec::new() };
    let mut arguments: Vec<_> = ["--addresses", "pseudonymise", "--address-key-file"].map(OsStr::new).into();
    arguments.push(key.as_os_str());
    arguments
}

/// What `weir decode` makes of captures, each a capture of its own.
pub fn decoded(sensor: &str, captures: &[PathBuf], settings: &Settings) -> Records {
    let Settings { partitions, records, address_key, .. } = settings;
    let folder = Scratch::new("decoded");
    let mut decode = Command::new(binary("weir"));
    decode
        .args(["decode", "--sensor", sensor, "--partitions", &partitions.to_string(), "--records", records])
        .args(privacy(address_key.as_deref()))
        .args(["--format", "proto", "--out"])
        .arg(folder.path().join("records"))
        .args(captures);
    let output = decode.output().unwrap();
    // 1: some captures are damaged, which is said.
    assert!(matches!(output.status.code(), Some(0 | 1)), "{}", String::from_utf8_lossy(&output.stderr));
    Records::of_folder(&folder.path().join("records"))
}
