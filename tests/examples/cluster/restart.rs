//! What a processor that was killed takes to go on: until it is back at work, and until its first new record.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::lab::{LIMIT, Lab, Page, Program};

/// Partitions of the topic of packets.
const PARTITIONS: u32 = 8;

/// Workers of the processor.
const WORKERS: &str = "2";

/// How much faster than it was the capture is replayed: of the large mix 18,000 packets a second.
const SPEED: &str = "300x";

/// Times it is killed.
const KILLS: u32 = 5;

/// Between two kills: snapshots are taken, and grow old.
const LIFE: Duration = Duration::from_secs(8);

pub fn measure(capture: &Path) {
    let lab = Lab::start();
    let topics = lab.topics("restart", PARTITIONS, "default");
    let mut agent = topics.start_agent(&[capture], &["--loop", "--now", "--speed", SPEED]);
    let start = || topics.start_processor(&["--workers", WORKERS]);
    let mut processor = start();
    processor.wait_for("weir_processor_packets_total", 1.0);
    println!("{PARTITIONS} partitions, {WORKERS} workers, replay at {SPEED}");
    println!(
        "{:>12} {:>14} {:>12} {:>16} {:>16} {:>8}",
        "s to replay", "s to all live", "s to record", "packets replayed", "of them a second", "× live"
    );
    for _ in 0..KILLS {
        let (live, per_message) = speed(&processor);
        processor.process.kill();
        let begun = Instant::now();
        processor = start();
        let (mut assigned, mut all_live, mut record) = (None, None, None);
        while all_live.is_none() || record.is_none() {
            assert!(begun.elapsed() < LIMIT && processor.process.status().is_none(), "{}", processor.process.log());
            std::thread::sleep(Duration::from_millis(10));
            let page = processor.metrics();
            // They are counted when they are committed.
            if page.sum("weir_processor_records_total") > 0.0 {
                record.get_or_insert(begun.elapsed());
            }
            if page.sum("weir_processor_partitions") >= f64::from(PARTITIONS) {
                assigned.get_or_insert(begun.elapsed());
                if page.sum("weir_processor_replaying_partitions") == 0.0 {
                    all_live.get_or_insert(begun.elapsed());
                }
            }
        }
        let replayed = processor.metrics().sum("weir_processor_replayed_messages_total") * per_message;
        let seconds = |time: Option<Duration>| time.unwrap_or_default().as_secs_f64();
        let a_second = replayed / (seconds(all_live) - seconds(assigned)).max(0.001);
        println!(
            "{:12.2} {:14.2} {:12.2} {replayed:16.0} {a_second:16.0} {:8.1}",
            seconds(assigned),
            seconds(all_live),
            seconds(record),
            a_second / live
        );
        std::thread::sleep(LIFE);
    }
    agent.process.kill();
    topics.remove();
}

/// Packets that it decodes in a second, and how many a message has.
fn speed(processor: &Program) -> (f64, f64) {
    let packets = |page: &Page| page.sum("weir_processor_packets_total");
    let begun = Instant::now();
    let before = processor.metrics();
    std::thread::sleep(LIFE);
    let after = processor.metrics();
    let per_message = packets(&after) / after.sum("weir_processor_messages_total");
    ((packets(&after) - packets(&before)) / begun.elapsed().as_secs_f64(), per_message)
}
