//! The agent's replay, without processors: what is in `weir-packets` decodes to the records of `weir decode`.

use std::time::Duration;

use weir_tests::captures;
use weir_tests::process::wait_until;
use weir_tests::random::Random;

use crate::deployment::{Deployment, LIMIT, Settings, cluster, decoded};
use crate::records::Records;

const RECORDS: &str = "all";

fn settings(name: &str) -> Settings {
    Settings::new(name, 4, RECORDS)
}

#[test]
fn replay_sends_each_packet_once() {
    let cluster = cluster();
    let deployment = Deployment::new(&cluster, settings("replay"));
    let mut agent = deployment.start_replay("sensor", &captures::own(), "full");
    let ended = agent.end_within(LIMIT);
    assert!(matches!(ended.code(), Some(0 | 1)), "{}", agent.log());
    let expected = decoded("sensor", &captures::own(), &deployment.settings);
    let differences = Records::of_packets(&cluster.kafka, "replay", RECORDS).differences(&expected);
    assert!(differences.none(), "{differences}");
    deployment.remove(&cluster);
}

/// A replay at other than full speed is another run, with an epoch of its own: so an undisturbed one says
/// what should be.
#[test]
fn replay_that_is_killed_and_frozen_repeats_itself_and_loses_nothing() {
    let mut cluster = cluster();
    let undisturbed = Deployment::new(&cluster, settings("replay-undisturbed"));
    let mut agent = undisturbed.start_replay("sensor", &captures::own(), "50x");
    assert!(matches!(agent.end_within(LIMIT).code(), Some(0 | 1)), "{}", agent.log());
    let expected = Records::of_packets(&cluster.kafka, "replay-undisturbed", RECORDS);

    let deployment = Deployment::new(&cluster, settings("replay-disturbed"));
    let mut random = Random::new(1);
    for round in 0..6 {
        let mut agent = deployment.start_replay("sensor", &captures::own(), "50x");
        wait_until(Duration::from_millis(300 + random.below(2500)), || agent.status().is_some());
        match round {
            0 | 1 => {}
            2 => {
                agent.pause();
                std::thread::sleep(Duration::from_secs(2));
                agent.resume();
            }
            3 => cluster.kafka.restart(),
            _ => {
                cluster.kafka.kill();
                cluster.kafka.start_again();
            }
        }
        agent.kill();
    }
    let mut agent = deployment.start_replay("sensor", &captures::own(), "50x");
    cluster.kafka.restart();
    assert!(matches!(agent.end_within(LIMIT).code(), Some(0 | 1)), "{}", agent.log());
    let differences = Records::of_packets(&cluster.kafka, "replay-disturbed", RECORDS).differences(&expected);
    assert!(differences.none(), "{differences}");
    undisturbed.remove(&cluster);
    deployment.remove(&cluster);
}
