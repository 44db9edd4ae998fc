//! `weir processor` against a real Kafka: whatever is done to it, the record topics hold what an undisturbed
//! engine makes of the same packet batches, each record once.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod bad_days;
mod cluster;
mod quiet;
mod violence;

use std::{thread, time::Duration};

use cluster::Cluster;

#[test]
fn records_are_those_of_the_engine() {
    let cluster = Cluster::new("plain", 4);
    let traffic = cluster.traffic(1);
    let mut processor = cluster.processor("p0", &["--workers", "2"]);
    cluster.send(&traffic, Duration::ZERO);
    cluster.wait_for(&traffic, Duration::from_secs(120));
    processor.stop_within(Duration::from_secs(20));
    cluster.assert_exact(&traffic);
}

#[test]
fn what_was_there_before_the_first_processor_is_decoded_too() {
    let cluster = Cluster::new("late", 3);
    let traffic = cluster.traffic(1);
    cluster.send(&traffic, Duration::ZERO);
    let _processors = ["a", "b"].map(|instance| cluster.processor(instance, &[]));
    cluster.wait_for(&traffic, Duration::from_secs(120));
    thread::sleep(Duration::from_secs(2));
    cluster.assert_exact(&traffic);
}
