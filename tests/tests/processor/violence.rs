//! Processors that are killed, paused, doubled and moved about while traffic flows.

use std::{thread, time::Duration};

use weir_tests::{process::Process, random::Random};

use crate::cluster::{Cluster, Traffic};

const LIMIT: Duration = Duration::from_secs(180);

/// Sends traffic slowly while `violence` goes on; when both are over all records are there, once.
fn withstands(name: &str, partitions: u32, violence: impl FnOnce(&Cluster) -> Vec<Process>) -> Cluster {
    let cluster = Cluster::new(name, partitions);
    let traffic = cluster.traffic(3);
    let processors = thread::scope(|scope| {
        scope.spawn(|| cluster.send(&traffic, Duration::from_millis(60)));
        violence(&cluster)
    });
    finish(&cluster, &traffic, processors);
    cluster
}

fn finish(cluster: &Cluster, traffic: &Traffic, processors: Vec<Process>) {
    cluster.wait_for(traffic, LIMIT);
    for mut processor in processors {
        processor.stop_within(Duration::from_secs(30));
    }
    cluster.assert_exact(traffic);
}

fn pause(random: &mut Random, least_ms: u64, most_ms: u64) {
    thread::sleep(Duration::from_millis(least_ms + random.below(most_ms - least_ms)));
}

#[test]
fn killed_and_started_again() {
    withstands("killed", 3, |cluster| {
        let mut random = Random::new(1);
        let mut processor = cluster.processor("p0", &["--workers", "2"]);
        for _ in 0..6 {
            pause(&mut random, 300, 3000);
            processor.kill();
            processor = cluster.processor("p0", &["--workers", "2"]);
        }
        vec![processor]
    });
}

/// Pauses one of two processors with these time-outs, in seconds; for some time, then for some more.
fn paused(name: &str, session: u64, transaction: u64, pauses: [u64; 2]) {
    let [session, transaction] = [session, transaction].map(|seconds| (1000 * seconds).to_string());
    let more = ["--session-timeout-ms", session.as_str(), "--transaction-timeout-ms", transaction.as_str()];
    let cluster = withstands(name, 2, |cluster| {
        let mut first = cluster.processor("p0", &more);
        let second = cluster.processor("p1", &more);
        thread::sleep(Duration::from_secs(3));
        for seconds in pauses {
            first.pause();
            thread::sleep(Duration::from_secs(seconds));
            first.resume();
            thread::sleep(Duration::from_secs(4));
        }
        vec![first, second]
    });
    let logs = cluster.logs();
    assert!(logs.contains("all begins anew") || logs.contains("lost to others"), "nothing happened\n{logs}");
}

#[test]
fn paused_past_its_session_then_past_its_transaction_too_while_another_takes_over() {
    paused("zombie", 6, 8, [7, 12]);
}

#[test]
fn paused_past_its_transaction_then_past_its_session_too() {
    paused("zombie-transaction", 12, 3, [5, 14]);
}

#[test]
fn scaled_out_and_in() {
    withstands("scaled", 6, |cluster| {
        let first = cluster.processor("p0", &[]);
        thread::sleep(Duration::from_secs(2));
        let second = cluster.processor("p1", &[]);
        let mut third = cluster.processor("p2", &["--workers", "2"]);
        thread::sleep(Duration::from_secs(4));
        third.stop_within(Duration::from_secs(20));
        vec![first, second]
    });
}

#[test]
fn two_processes_with_the_same_name() {
    withstands("twins", 2, |cluster| {
        let mut first = cluster.processor("p0", &[]);
        thread::sleep(Duration::from_secs(2));
        let second = cluster.processor("p0", &[]);
        thread::sleep(Duration::from_secs(6));
        assert!(cluster.logs().contains("another process with the instance name"), "{}", cluster.logs());
        first.kill();
        vec![second]
    });
}
