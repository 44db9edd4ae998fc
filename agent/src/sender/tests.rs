//! The whole way from batches to a real Kafka, through outages, kills and full disks.

use super::*;
use crate::outbox::Captured;
use crate::spool::{Limits, WhenFull};
use std::collections::HashMap;
use std::path::Path;
use std::process::Command;
use weir_agent::Batcher;
use weir_contract::{Interface, MAX_BATCH_BYTES, Packet, topics};
use weir_tests::kafka::Kafka;
use weir_tests::messages::Isolation;
use weir_tests::process::{Process, Scratch, free_port, wait_until};

const LIMIT: Duration = Duration::from_secs(120);
const PARTITIONS: u32 = 4;

const ROOMY: Limits = Limits { max_bytes: 1 << 30, when_full: WhenFull::DropNewest };

/// A sensor that makes up its packets.
struct Sensor {
    sender: Sender,
    batcher: Batcher,
    stop: Arc<AtomicBool>,
    health: Health,
    captured: Captured,
    sent_bytes: u64,
    begun: Instant,
}

impl Sensor {
    fn start(brokers: &str, folder: &Path, epoch: i64, limits: Limits) -> Self {
        Self::start_with(brokers, folder, epoch, limits, LIMIT)
    }

    fn start_with(brokers: &str, folder: &Path, epoch: i64, limits: Limits, stop_limit: Duration) -> Self {
        let kafka = KafkaConfig { brokers: Some(brokers.to_owned()), ..KafkaConfig::default() };
        let (stop, health) = (Arc::new(AtomicBool::new(false)), Health::default());
        let state = StateFolder::open(folder, &topics::packets(kafka.topic_prefix()), limits).unwrap();
        let sender = Sender::start(Settings {
            kafka,
            state: Some(state),
            stop_limit,
            stop: Arc::clone(&stop),
            health: health.clone(),
        })
        .unwrap();
        assert!(wait_until(LIMIT, || sender.partition_count().is_some()));
        let batcher = Batcher::new("lab", epoch, sender.partition_count().unwrap(), MAX_BATCH_BYTES);
        Self { sender, batcher, stop, health, captured: Captured::default(), sent_bytes: 0, begun: Instant::now() }
    }

    /// Captures so many packets of 1,000 bytes, and hands out all of them.
    fn capture(&mut self, packets: u64) {
        let interface = Interface { name: "eth0".into(), link_type: 1 };
        for _ in 0..packets {
            self.captured.packets += 1;
            let number = self.captured.packets;
            let mut data = [0; 1000];
            // Ethernet and IPv4, with addresses by which they go to all partitions.
            data[12..15].copy_from_slice(&[8, 0, 0x45]);
            data[33] = u8::try_from(number % 251).unwrap();
            data[100..108].copy_from_slice(&number.to_le_bytes());
            let number = i64::try_from(number).unwrap();
            let packet =
                Packet { number, ts_ns: number, data: &data, original_length: 1000, link_type: 1, interface: 0 };
            if let Some(batch) = self.batcher.push(&packet, &interface) {
                self.hand_out([batch]);
            }
        }
        // Twice, since a batch's age counts from the first look at it.
        let now = self.begun.elapsed();
        let due = [self.batcher.due(now), self.batcher.due(now + Duration::from_secs(1))];
        self.hand_out(due.into_iter().flatten());
    }

    fn hand_out(&mut self, batches: impl IntoIterator<Item = PacketBatch>) {
        self.sender.outbox().note(self.captured);
        for batch in batches {
            self.sent_bytes += u64::try_from(batch.encoded_len()).unwrap();
            // As a test can't wait for what a network does not.
            assert!(self.sender.outbox().push(batch, || false));
        }
    }

    /// Waits until all is sent, and ends.
    fn finish(self) -> Accounts {
        let accounts = self.sender.finish().unwrap();
        assert!(accounts.balance() && accounts.queued == 0 && accounts.in_flight == 0, "{accounts}");
        accounts
    }

    /// Ends as SIGTERM would have it.
    fn stop(self) -> Accounts {
        self.stop.store(true, Ordering::Relaxed);
        self.finish()
    }
}

fn broker() -> Kafka {
    let kafka = Kafka::start();
    kafka.create_topic(&topics::packets("weir"), PARTITIONS.try_into().unwrap(), &[]);
    kafka
}

fn files(folder: &Path) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}

/// All batches as a processor takes them, in each partition's order: without repetitions.
fn batches(kafka: &Kafka) -> Vec<PacketBatch> {
    let messages = kafka.messages(&[&topics::packets("weir")], Isolation::Committed);
    let mut batches: Vec<_> =
        messages.iter().map(|message| PacketBatch::decode(message.value.as_deref().unwrap()).unwrap()).collect();
    batches.sort_by_key(|batch| batch.partition);
    let mut last = HashMap::new();
    batches.retain(|batch| {
        let last = last.entry((batch.epoch, batch.partition)).or_insert(0);
        let is_next = batch.sequence > *last;
        *last = batch.sequence.max(*last);
        is_next
    });
    batches
}

/// Packets of an epoch, and those that are missing among them by the batches' own counts.
fn found_and_missing(batches: &[PacketBatch], epoch: i64) -> (u64, u64) {
    let (mut found, mut missing) = (0, 0);
    for partition in 0..PARTITIONS {
        let mut before = 0;
        for batch in batches.iter().filter(|batch| batch.epoch == epoch && batch.partition == partition) {
            let packets = i64::try_from(batch.packet_count()).unwrap();
            missing += batch.packets_before - before;
            found += packets;
            before = batch.packets_before + packets;
        }
    }
    (u64::try_from(found).unwrap(), u64::try_from(missing).unwrap())
}

#[test]
fn outage_is_spooled_and_then_delivered_in_sequence() {
    let mut kafka = broker();
    let folder = Scratch::new("outage");
    let mut sensor = Sensor::start(&kafka.bootstrap(), folder.path(), 7, ROOMY);
    sensor.capture(5_000);
    kafka.stop();
    for _ in 0..100 {
        sensor.capture(1_000); // more than the producer's queue takes
    }
    let overflow = folder.path().join("overflow");
    assert!(files(&overflow) > 0, "something is spooled");
    assert!(wait_until(LIMIT, || sensor.health.unready().is_none()), "what is spooled is safe");
    kafka.start_again();
    sensor.capture(5_000);
    let accounts = sensor.finish();
    assert_eq!((accounts.received, accounts.published), (110_000, 110_000));
    assert_eq!(found_and_missing(&batches(&kafka), 7), (110_000, 0));
    assert_eq!(files(&overflow), 0, "what was delivered is removed");
}

#[test]
fn stopped_agent_leaves_to_the_next_run_what_kafka_had_not() {
    let mut kafka = broker();
    let folder = Scratch::new("stopped");
    let impatient = Duration::from_secs(5);
    let mut sensor = Sensor::start_with(&kafka.bootstrap(), folder.path(), 7, ROOMY, impatient);
    sensor.capture(3_000);
    assert!(wait_until(LIMIT, || sensor.health.unready().is_none()));
    kafka.stop();
    sensor.capture(60_000);
    let first = sensor.stop();
    assert_eq!((first.received, first.published + first.in_spool), (63_000, 63_000), "{first}");
    // Still no Kafka: the partitions are known from before, and nothing is lost.
    let mut sensor = Sensor::start(&kafka.bootstrap(), folder.path(), 8, ROOMY);
    sensor.capture(2_000);
    let second = sensor.stop();
    assert_eq!((second.found_in_spool, second.in_spool), (first.in_spool, first.in_spool + 2_000), "{second}");
    kafka.start_again();
    let mut sensor = Sensor::start(&kafka.bootstrap(), folder.path(), 9, ROOMY);
    sensor.capture(1_000);
    let third = sensor.finish();
    assert_eq!((third.found_in_spool, third.published), (second.in_spool, second.in_spool + 1_000));
    let batches = batches(&kafka);
    for (epoch, packets) in [(7, 63_000), (8, 2_000), (9, 1_000)] {
        assert_eq!(found_and_missing(&batches, epoch), (packets, 0));
    }
    // Each run's first batch of a partition tells where the one before ended.
    for batch in batches.iter().filter(|batch| batch.epoch > 7 && batch.sequence == 1) {
        let before = batch.previous_run.as_ref().unwrap();
        let of_before = batches.iter().filter(|of| of.epoch == before.epoch && of.partition == batch.partition);
        let packets: usize = of_before.clone().map(PacketBatch::packet_count).sum();
        assert_eq!((before.epoch, before.packets), (batch.epoch - 1, i64::try_from(packets).unwrap()));
        assert_eq!(of_before.map(|of| of.sequence).max(), Some(before.last_sequence));
    }
}

/// Set in the environment of the agent that is to be killed: its folder.
const FOLDER: &str = "TEST_FOLDER";

#[test]
fn killed_agent_loses_what_was_in_memory_and_the_next_run_tells_how_much() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        let nowhere = format!("127.0.0.1:{}", free_port());
        let mut sensor = Sensor::start(&nowhere, Path::new(&folder), 7, ROOMY);
        loop {
            sensor.capture(500);
        }
    }
    let mut kafka = broker();
    let folder = Scratch::new("killed");
    // A first run, from which the number of partitions is known.
    Sensor::start(&kafka.bootstrap(), folder.path(), 6, ROOMY).finish();
    kafka.pause();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "sender::tests::killed_agent_loses_what_was_in_memory_and_the_next_run_tells_how_much"]);
    command.env(FOLDER, folder.path());
    let mut agent = Process::start(command, &folder.path().join("log"));
    let spooled = || {
        std::fs::read_dir(folder.path().join("overflow")).is_ok_and(|entries| {
            entries.filter_map(|entry| entry.ok()?.metadata().ok()).map(|metadata| metadata.len()).sum::<u64>()
                > 20 << 20
        })
    };
    assert!(wait_until(LIMIT, spooled), "{}", agent.log());
    agent.kill();
    kafka.resume();
    let mut sensor = Sensor::start(&kafka.bootstrap(), folder.path(), 8, ROOMY);
    sensor.capture(1_000);
    let accounts = sensor.finish();
    let batches = batches(&kafka);
    let (found, missing) = found_and_missing(&batches, 7);
    assert_eq!((accounts.published, missing), (found + 1_000, 0));
    assert!(found > 10_000);
    for batch in batches.iter().filter(|batch| batch.epoch == 8 && batch.sequence == 1) {
        let before = batch.previous_run.as_ref().unwrap();
        let of_before = batches.iter().filter(|of| of.epoch == 7 && of.partition == batch.partition);
        let packets: usize = of_before.map(PacketBatch::packet_count).sum();
        let lost = before.packets - i64::try_from(packets).unwrap();
        assert!(before.epoch == 7 && (0..=20_000).contains(&lost), "no more than the queue: {lost}");
    }
}

#[test]
#[allow(clippy::print_stderr)]
fn full_disk_costs_what_it_can_not_take_and_no_more() {
    let folder = Scratch::new("full");
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=24m", "none"]).arg(folder.path()).status();
    if !mounted.is_ok_and(|status| status.success()) {
        eprintln!("skipped: only root can mount the small disk that this test fills");
        return;
    }
    let mut kafka = broker();
    let mut sensor = Sensor::start(&kafka.bootstrap(), folder.path(), 7, ROOMY);
    sensor.capture(1_000);
    kafka.stop();
    sensor.capture(100_000);
    kafka.start_again();
    assert!(wait_until(LIMIT, || files(&folder.path().join("overflow")) == 0), "all that was spooled is delivered");
    sensor.capture(1_000);
    let accounts = sensor.finish();
    let lost = accounts.dropped.of(Dropped::SpoolError);
    assert!(lost > 0 && accounts.published == accounts.received - lost, "{accounts}");
    assert_eq!(found_and_missing(&batches(&kafka), 7), (accounts.published, lost));
    assert!(Command::new("umount").arg(folder.path()).status().unwrap().success());
}

#[test]
fn folder_with_packets_for_another_topic_is_refused() {
    let folder = Scratch::new("other");
    let kafka = broker();
    let impatient = Duration::from_secs(1);
    let mut sensor = Sensor::start_with(&kafka.bootstrap(), folder.path(), 7, ROOMY, impatient);
    drop(kafka);
    sensor.capture(40_000);
    let kept = sensor.stop().in_spool;
    let error = StateFolder::open(folder.path(), "other-packets", ROOMY).unwrap_err().to_string();
    assert!(error.contains(&format!("{kept} packets for the topic weir-packets")), "{error}");
}

#[test]
fn many_small_batches_are_acknowledged_as_fast_as_they_are_sent() {
    let kafka = broker();
    let folder = Scratch::new("small");
    let mut sensor = Sensor::start(&kafka.bootstrap(), folder.path(), 7, ROOMY);
    for _ in 0..100 {
        sensor.capture(40); // ten packets for each partition
        std::thread::sleep(Duration::from_millis(10));
    }
    // One report every 20 ms would take 8 s.
    let sent = sensor.sent_bytes;
    let acknowledged = || sensor.sender.totals().published_bytes == sent;
    assert!(wait_until(Duration::from_secs(5), acknowledged), "{:?} of {sent}", sensor.sender.totals());
    let accounts = sensor.finish();
    assert_eq!((accounts.published, batches(&kafka).len()), (4_000, 400));
}
