//! Transactions over hundreds of partitions: every record type there is, live.

use std::path::Path;
use std::time::Duration;

use weir_contract::Selection;

use crate::lab::{Lab, Stopwatch};

/// Partitions of the topic of packets. That makes some 800 for records, as a hundred types would with eight.
const PARTITIONS: u32 = 32;

/// Workers of the processor: each has a transaction of its own.
const WORKERS: &str = "2";

/// How much faster than it was the capture is replayed: of the large mix 6,000 packets a second, which are some ten
/// times as many records.
const SPEED: &str = "100x";

/// Before it is looked at, and while.
const TIMES: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(60));

pub fn measure(capture: &Path) {
    let lab = Lab::start();
    let topics = lab.topics("types", PARTITIONS, "all");
    let records: Vec<_> = Selection::parse("all").unwrap().types().map(|of| of.topic("types")).collect();
    let sizes = lab.kafka.topics().into_iter().filter(|(name, _)| records.contains(name)).map(|(_, size)| size);
    let mut processor = topics.start_processor(&["--workers", WORKERS]);
    processor.wait_for("weir_processor_partitions", PARTITIONS.into());
    let mut agent = topics.start_agent(&[capture], &["--loop", "--now", "--speed", SPEED]);
    std::thread::sleep(TIMES.0);
    let (watch, cpu, before) = (Stopwatch::start(&lab), processor.process.cpu_time(), processor.metrics());
    std::thread::sleep(TIMES.1);
    let (after, (time, broker)) = (processor.metrics(), watch.read());
    let cpu = processor.process.cpu_time().saturating_sub(cpu);
    agent.process.kill();
    processor.process.kill();
    let name = "weir_processor_transaction_seconds";
    // The first transactions, to which each partition is new, are left out.
    let more = after.since(&before);
    let a_second = |count: f64| count / time.as_secs_f64();
    let with_records = after.of("weir_processor_records_total").filter(|(_, count)| *count > 0.0).count();
    println!(
        "{} record topics with {} partitions, {with_records} of them written to; {PARTITIONS} partitions of packets, {WORKERS} \
         workers: {:.0} packets/s, {:.0} records/s in {:.2} transactions/s",
        records.len(),
        sizes.sum::<i32>(),
        a_second(more.sum("weir_processor_packets_total")),
        a_second(more.sum("weir_processor_records_total")),
        a_second(more.sum(&format!("{name}_count"))),
    );
    println!(
        "a transaction takes {:.3} s; half within {} s, 99 % within {} s; CPU: processor {:.2}, broker {:.2}",
        more.sum(&format!("{name}_sum")) / more.sum(&format!("{name}_count")),
        more.quantile(name, 0.5),
        more.quantile(name, 0.99),
        a_second(cpu.as_secs_f64()),
        a_second(broker.as_secs_f64()),
    );
    topics.remove();
}
