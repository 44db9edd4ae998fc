//! A broker with records in its topics, the lake that a sink made of them, and what `weir decode` says of the same packets.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use parquet::file::reader::{FileReader as _, SerializedFileReader};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use weir_tests::kafka::Kafka;
use weir_tests::process::{Process, Scratch, binary, wait_while_it_moves};

use crate::answers::Answers;

/// For what takes as long as the machine is busy, and for what stands still.
const LIMIT: Duration = Duration::from_secs(120);

/// As many partitions as show that a reader reads them all.
const PARTITIONS: &str = "4";

const RECORDS: &str = "default";

pub struct Site {
    pub kafka: Kafka,
    pub expected: Answers,
    folder: Scratch,
}

/// The site that all tests here share.
pub fn site() -> &'static Site {
    static SITE: OnceLock<Site> = OnceLock::new();
    SITE.get_or_init(Site::start)
}

impl Site {
    fn start() -> Self {
        let (kafka, folder) = (Kafka::start(), Scratch::new("readers"));
        let decoded = folder.path().join("decoded");
        let mut decode = Command::new(binary("weir"));
        decode.args(["decode", "--sensor", "lab", "--partitions", PARTITIONS, "--records", RECORDS]);
        decode.args(["--format", "json", "--out"]).arg(&decoded).args(captures());
        let output = decode.output().unwrap();
        // 1: some captures are damaged, which is said.
        assert!(matches!(output.status.code(), Some(0 | 1)), "{}", String::from_utf8_lossy(&output.stderr));
        let site = Self { kafka, expected: Answers::of_decoded(&decoded), folder };
        site.fill(lines(&decoded));
        site
    }

    /// Puts records into topics and lake, and stops what did so.
    fn fill(&self, records: usize) {
        let mut create = self.command("weir", &["topics", "create", "--replication", "1", "--partitions", PARTITIONS]);
        let output = create.args(["--records", RECORDS]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        // What a processor leaves where it ended a transaction that Kafka had forgotten: no record, and no harm.
        let mut client = ClientConfig::new();
        let producer: BaseProducer = client.set("bootstrap.servers", self.kafka.bootstrap()).create().unwrap();
        for topic in ["weir-dns", "weir-connection"] {
            producer.send(BaseRecord::<(), ()>::to(topic)).unwrap();
        }
        producer.flush(LIMIT).unwrap();
        let processor = ["processor", "--instance", "p0", "--workers", "1", "--records", RECORDS];
        let _processor = self.start_program("weir", &processor);
        let sink = ["sink", "--records", RECORDS, "--small-file-seconds", "1", "--file-seconds", "1", "--lake"];
        let lake = self.lake().display().to_string();
        let mut sink = self.start_program("weir", &[&sink[..], &[&lake]].concat());
        let captures: Vec<String> = captures().iter().map(|path| path.display().to_string()).collect();
        let replay = ["replay", "--sensor", "lab", "--speed", "full"].into_iter();
        let replay: Vec<&str> = replay.chain(captures.iter().map(String::as_str)).collect();
        let mut agent = self.start_program("weir-agent", &replay);
        let ended = agent.end_within(LIMIT);
        assert!(matches!(ended.code(), Some(0 | 1)), "{ended}\n{}", agent.log());
        let whole = wait_while_it_moves(LIMIT, || records.saturating_sub(rows(&self.lake())));
        assert!(whole, "{} of {records} records are in the lake\n{}", rows(&self.lake()), sink.log());
        assert!(sink.stop_within(LIMIT).success(), "{}", sink.log());
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary(program));
        command.args(arguments).args(["--brokers", &self.kafka.bootstrap()]);
        command
    }

    fn start_program(&self, program: &str, arguments: &[&str]) -> Process {
        let mut command = self.command(program, arguments);
        command.args(["--listen", "127.0.0.1:0"]);
        Process::start(command, &self.folder.path().join(format!("{program}-{}.log", arguments[0])))
    }

    /// The folder with the lake.
    pub fn lake(&self) -> PathBuf {
        self.folder.path().join("lake")
    }
}

/// The project's own captures, all of them.
fn captures() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures");
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut captures: Vec<PathBuf> = paths.filter(|path| path.display().to_string().contains(".pcap")).collect();
    captures.sort();
    captures
}

fn lines(folder: &Path) -> usize {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.map(|path| std::fs::read_to_string(path).unwrap().lines().count()).sum()
}

/// Rows of all files of a lake that are whole.
fn rows(folder: &Path) -> usize {
    let paths = std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
    let of_path = |path: PathBuf| {
        if path.is_dir() {
            return rows(&path);
        }
        let reader = File::open(&path).ok().and_then(|file| SerializedFileReader::new(file).ok());
        reader.map_or(0, |reader| usize::try_from(reader.metadata().file_metadata().num_rows()).unwrap())
    };
    paths.map(of_path).sum()
}
