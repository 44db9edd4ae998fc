//! A broker and a store, and the programs that are measured with them.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use weir_contract::topics;
use weir_tests::kafka::Kafka;
use weir_tests::process::{Process, Scratch, binary, free_port, wait_until};
use weir_tests::s3::{ACCESS_KEY, BUCKET, REGION, S3, SECRET_KEY};

/// For anything, on a machine that is busy with other things.
pub const LIMIT: Duration = Duration::from_secs(600);

/// A broker and a store.
pub struct Lab {
    pub kafka: Kafka,
    s3: S3,
    home: Scratch,
    started: Cell<u32>,
}

/// Topics of their own, and how large they are.
pub struct Topics<'a> {
    lab: &'a Lab,
    pub prefix: String,
    pub partitions: u32,
    pub records: String,
}

/// One of ours that runs, and where it tells its metrics.
pub struct Program {
    pub process: Process,
    port: u16,
}

impl Lab {
    pub fn start() -> Self {
        Self { kafka: Kafka::start_to_measure(), s3: S3::start(), home: Scratch::new("costs"), started: Cell::new(0) }
    }

    /// Makes topics.
    pub fn topics(&self, prefix: &str, partitions: u32, records: &str) -> Topics<'_> {
        let mut create = Command::new(binary("weir"));
        create.args(["topics", "create", "--replication", "1", "--partitions", &partitions.to_string()]);
        create.args(["--brokers", &self.kafka.bootstrap(), "--topic-prefix", prefix, "--records", records]);
        let output = create.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Topics { lab: self, prefix: prefix.to_owned(), partitions, records: records.to_owned() }
    }

    /// Removes the topics whose names begin so.
    pub fn remove_topics(&self, prefix: &str) {
        let names = self.kafka.topics();
        let ours = format!("{prefix}-");
        let names: Vec<_> =
            names.iter().map(|(name, _)| name.as_str()).filter(|name| name.starts_with(&ours)).collect();
        self.kafka.delete_topics(&names);
    }

    /// CPU time that the broker has used.
    pub fn broker_cpu(&self) -> Duration {
        self.kafka.process().cpu_time()
    }
}

impl Topics<'_> {
    fn start(&self, program: &str, arguments: &[&str]) -> Program {
        let number = self.lab.started.replace(self.lab.started.get() + 1);
        let port = free_port();
        let mut command = Command::new(binary(program));
        command.args(arguments).args(["--brokers", &self.lab.kafka.bootstrap(), "--topic-prefix", &self.prefix]);
        command.args(["--listen", &format!("127.0.0.1:{port}")]);
        command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
        let log = self.lab.home.path().join(format!("{}-{number}.log", self.prefix));
        Program { process: Process::start(command, &log), port }
    }

    pub fn start_agent(&self, captures: &[&Path], arguments: &[&str]) -> Program {
        let captures: Vec<_> = captures.iter().map(|path| path.to_str().unwrap()).collect();
        self.start("weir-agent", &[&["replay", "--sensor", "bench"], arguments, &captures].concat())
    }

    pub fn start_processor(&self, arguments: &[&str]) -> Program {
        let group = self.group();
        let common = ["processor", "--instance", "bench", "--group", &group, "--records", &self.records];
        self.start("weir", &[&common, arguments].concat())
    }

    pub fn start_sink(&self, arguments: &[&str]) -> Program {
        let (lake, endpoint) = (format!("s3://{BUCKET}/{}", self.prefix), self.lab.s3.endpoint());
        let group = format!("{}-sink", self.prefix);
        let common = ["sink", "--group", &group, "--records", &self.records, "--lake", &lake];
        let store = ["--s3-endpoint", &endpoint, "--s3-region", REGION];
        self.start("weir", &[&common, &store[..], arguments].concat())
    }

    fn group(&self) -> String {
        format!("{}-processor", self.prefix)
    }

    /// Waits until all that is in the topic of packets is decoded and committed.
    pub fn wait_until_decoded(&self, processor: &mut Program) {
        let consumer: BaseConsumer = self.lab.kafka.client().set("group.id", self.group()).create().unwrap();
        let mut partitions = TopicPartitionList::new();
        let topic = topics::packets(&self.prefix);
        for number in 0..i32::try_from(self.partitions).unwrap() {
            partitions.add_partition(&topic, number);
        }
        let is_decoded = || {
            let committed = consumer.committed_offsets(partitions.clone(), LIMIT).unwrap();
            committed.elements().iter().all(|element| {
                let (_, end) = consumer.fetch_watermarks(&topic, element.partition(), LIMIT).unwrap();
                end == 0 || element.offset().to_raw() == Some(end)
            })
        };
        let done = wait_until(LIMIT, || processor.process.status().is_some() || is_decoded());
        assert!(done && processor.process.status().is_none(), "{}", processor.process.log());
    }

    /// Bytes of the lake's files.
    pub fn lake_bytes(&self) -> u64 {
        let folder = self.lab.s3.bucket();
        let keys = self.lab.s3.keys();
        let ours = keys.iter().filter(|key| key.starts_with(&format!("{}/", self.prefix)));
        ours.map(|key| std::fs::metadata(folder.join(key)).unwrap().len()).sum()
    }

    /// Removes what it takes on the disk.
    pub fn remove(self) {
        self.lab.remove_topics(&self.prefix);
        let _ = std::fs::remove_dir_all(self.lab.s3.bucket().join(&self.prefix));
    }
}

/// A page of metrics: values by name and labels.
pub struct Page(BTreeMap<String, f64>);

impl Program {
    /// Its metrics; an empty page where it does not answer.
    pub fn metrics(&self) -> Page {
        let mut text = String::new();
        if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) {
            let _ = stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
            let _ = stream.read_to_string(&mut text);
        }
        let line = |line: &str| {
            let (name, value) = line.rsplit_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        };
        Page(text.lines().filter(|text| text.starts_with("weir_")).filter_map(line).collect())
    }

    /// Waits until a metric is as large as this; its values of all labels together.
    pub fn wait_for(&mut self, name: &str, value: f64) {
        let done = wait_until(LIMIT, || {
            std::thread::sleep(Duration::from_millis(50));
            self.process.status().is_some() || self.metrics().sum(name) >= value
        });
        assert!(done && self.process.status().is_none(), "{name} is no {value}:\n{}", self.process.log());
    }

    /// Stops it in good order; CPU time of its whole life.
    pub fn stop(&mut self) -> Duration {
        let status = self.process.stop_within(LIMIT);
        assert!(status.success(), "{status}:\n{}", self.process.log());
        self.process.cpu_time()
    }

    /// Waits for its end; CPU time of its whole life.
    pub fn end(&mut self) -> Duration {
        let status = self.process.end_within(LIMIT);
        assert!(status.success(), "{status}:\n{}", self.process.log());
        self.process.cpu_time()
    }
}

impl Page {
    /// The values of a metric for all labels together.
    pub fn sum(&self, name: &str) -> f64 {
        self.of(name).map(|(_, value)| value).sum()
    }

    /// The values of a metric by its labels, as they are written.
    pub fn of(&self, name: &str) -> impl Iterator<Item = (&str, f64)> {
        let name = name.to_owned();
        self.0.iter().filter_map(move |(series, value)| {
            let labels = series.strip_prefix(&name)?;
            (labels.is_empty() || labels.starts_with('{')).then_some((labels, *value))
        })
    }

    /// What has been added to each value since an earlier page.
    pub fn since(&self, before: &Self) -> Self {
        let added = |(series, value): (&String, &f64)| (series.clone(), value - before.0.get(series).unwrap_or(&0.0));
        Self(self.0.iter().map(added).collect())
    }

    /// The least bound of a histogram's buckets below which this share of its values is.
    pub fn quantile(&self, name: &str, share: f64) -> f64 {
        let count = self.sum(&format!("{name}_count"));
        let bucket = format!("{name}_bucket");
        let bound = |labels: &str| labels.split("le=\"").nth(1)?.split('"').next()?.parse::<f64>().ok();
        let enough = self.of(&bucket).filter(|(_, below)| *below >= share * count);
        enough.filter_map(|(labels, _)| bound(labels)).fold(f64::INFINITY, f64::min)
    }
}

/// Time that passes, and CPU time that the broker uses meanwhile.
pub struct Stopwatch<'a> {
    lab: &'a Lab,
    begun: Instant,
    broker: Duration,
}

impl<'a> Stopwatch<'a> {
    pub fn start(lab: &'a Lab) -> Self {
        Self { lab, begun: Instant::now(), broker: lab.broker_cpu() }
    }

    /// What has passed, and what the broker used.
    pub fn read(&self) -> (Duration, Duration) {
        (self.begun.elapsed(), self.lab.broker_cpu().saturating_sub(self.broker))
    }
}
