//! Agents that tests run, and what they have sent.

use prost::Message as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;
use weir_agent::{Batcher, Merge, Merged};
use weir_contract::{MAX_BATCH_BYTES, PacketBatch, topics};
use weir_tests::kafka::Kafka;
use weir_tests::messages::Isolation;
use weir_tests::process::{Process, Scratch};

/// How long anything may take on a busy machine.
pub const LIMIT: Duration = Duration::from_secs(60);

/// One broker for all tests that do nothing to it, each with topics of its own.
pub fn kafka() -> &'static Kafka {
    static KAFKA: OnceLock<Kafka> = OnceLock::new();
    KAFKA.get_or_init(Kafka::start)
}

/// The same for those that log in.
pub fn secured_kafka() -> &'static Kafka {
    static KAFKA: OnceLock<Kafka> = OnceLock::new();
    KAFKA.get_or_init(Kafka::start_secured)
}

/// A capture of the project's own.
pub fn capture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/captures").join(name)
}

/// A command of the agent's for topics with a prefix, without the brokers.
pub fn command(prefix: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir-agent"));
    command.args(arguments).args(["--topic-prefix", prefix]);
    // By the environment, which arguments of the test count more than.
    command.env("WEIR_LISTEN", "127.0.0.1:0");
    command
}

/// Starts an agent.
pub fn start(command: Command, home: &Scratch) -> Process {
    Process::start(command, &home.path().join("agent.log"))
}

/// Starts replaying a capture to the open listener.
pub fn replay(kafka: &Kafka, prefix: &str, file: &Path, home: &Scratch, more: &[&str]) -> Process {
    let mut command = command(prefix, &["replay", file.to_str().unwrap(), "--brokers", &kafka.bootstrap()]);
    command.args(more);
    start(command, home)
}

/// All batches in the topic of a prefix, in each partition's order.
pub fn batches(kafka: &Kafka, prefix: &str) -> Vec<PacketBatch> {
    let topic = topics::packets(prefix);
    let messages = kafka.messages(&[&topic], Isolation::Committed);
    let decode = |message: &weir_tests::messages::Message| {
        assert!(message.key.is_none());
        let batch = PacketBatch::decode(message.value.as_deref().unwrap()).unwrap();
        assert_eq!(i64::from(message.partition), i64::from(batch.partition));
        batch
    };
    let mut batches: Vec<_> = messages.iter().map(decode).collect();
    batches.sort_by_key(|batch| batch.partition);
    batches
}

/// What a processor takes of them: those whose sequence is the next. None may be missing.
pub fn without_repetitions(batches: Vec<PacketBatch>) -> Vec<PacketBatch> {
    let mut last = std::collections::HashMap::new();
    let mut kept = Vec::new();
    for batch in batches {
        let sequence = last.entry((batch.epoch, batch.partition)).or_insert(0);
        if batch.sequence > *sequence {
            assert_eq!(batch.sequence, *sequence + 1, "a batch of partition {} is missing", batch.partition);
            *sequence = batch.sequence;
            kept.push(batch);
        }
    }
    kept
}

/// The batches that a replay of a file is to give, in each partition's order.
pub fn expected(file: &Path, partitions: u32) -> Vec<PacketBatch> {
    let mut merge = Merge::files(&[file.to_owned()]);
    let mut batcher = Batcher::new("local", merge.epoch(""), partitions, MAX_BATCH_BYTES);
    let mut batches = Vec::new();
    while let Some(Merged::Packet(packet, interface)) = merge.next_packet() {
        batches.extend(batcher.push(&packet, interface));
    }
    batcher.counters().source = file.display().to_string();
    batches.extend(batcher.finish());
    batches.sort_by_key(|batch| (batch.partition, batch.sequence));
    batches
}

/// Packets of batches.
pub fn packets(batches: &[PacketBatch]) -> usize {
    batches.iter().map(PacketBatch::packet_count).sum()
}
