//! Bad days.

use super::agent::*;
use std::process::Command;
use std::time::Duration;
use weir_tests::kafka::Kafka;
use weir_tests::process::{Scratch, wait_until};

/// A replay to the secured listener, as a user with a password.
fn secured(kafka: &Kafka, prefix: &str, user: &str, password: &str, home: &Scratch) -> Command {
    let file = capture("office.pcapng");
    let secret = home.path().join("secret");
    std::fs::write(&secret, password).unwrap();
    let mut command = command(prefix, &["replay", file.to_str().unwrap(), "--tls"]);
    command
        .args(["--brokers", &kafka.secured().sasl_bootstrap()])
        .args(["--tls-ca", kafka.secured().authority().certificate().to_str().unwrap()])
        .args(["--sasl-mechanism", "scram-sha-512", "--sasl-username", user])
        .args(["--sasl-password-file", secret.to_str().unwrap()]);
    command
}

#[test]
fn wrong_password_missing_acl_and_missing_topic_are_told_and_waited_for() {
    let kafka = secured_kafka();
    let home = Scratch::new("secured");

    let mut wrong = start(secured(kafka, "secret", "agent", "wrong", &home), &home);
    wrong.write_within(LIMIT, "Authentication failed");
    wrong.stop_within(LIMIT);

    let right = || secured(kafka, "secret", "agent", "agent-secret", &home);
    let mut agent = start(right(), &home);
    agent.write_within(LIMIT, "this user may not see the topic secret-packets: an ACL must allow to write to it");
    kafka.allow("agent", &["--producer", "--topic", "secret-packets"]);
    agent.write_within(LIMIT, "there is no topic secret-packets: make it with `weir topics create`");
    kafka.create_topic("secret-packets", 2, &[]);
    assert!(agent.end_within(LIMIT).success(), "{}", agent.log());
    assert!(batches(kafka, "secret") == expected(&capture("office.pcapng"), 2));
}

#[test]
fn acl_that_is_taken_away_stops_nothing_but_the_sending() {
    let kafka = secured_kafka();
    let home = Scratch::new("acl");
    kafka.create_topic("acl-packets", 2, &[]);
    kafka.allow("agent", &["--operation", "Describe", "--topic", "acl-packets"]);
    let mut agent = start(secured(kafka, "acl", "agent", "agent-secret", &home), &home);
    agent.write_within(LIMIT, "Kafka takes no batches");
    assert!(agent.log().contains("uthorization failed"), "{}", agent.log());
    kafka.allow("agent", &["--producer", "--topic", "acl-packets"]);
    assert!(agent.end_within(LIMIT).success(), "{}", agent.log());
    assert!(without_repetitions(batches(kafka, "acl")) == expected(&capture("office.pcapng"), 2));
}

#[test]
fn kafka_that_is_away_or_silent_is_waited_for() {
    let mut kafka = Kafka::start();
    let home = Scratch::new("away");
    let file = capture("office.pcapng");
    kafka.create_topic("away-packets", 2, &[]);
    kafka.stop();
    let mut agent = replay(&kafka, "away", &file, &home, &[]);
    agent.write_within(LIMIT, "Kafka can't be reached");
    agent.write_within(LIMIT, "Connection refused");
    kafka.start_again();
    assert!(agent.end_within(LIMIT).success(), "{}", agent.log());
    assert!(batches(&kafka, "away") == expected(&file, 2));
}

#[test]
fn kafka_that_falls_silent_or_dies_gets_every_batch_in_sequence() {
    let mut kafka = Kafka::start();
    let home = Scratch::new("silent");
    kafka.create_topic("silent-packets", 2, &[]);
    let mut agent = replay(&kafka, "silent", &capture("office.pcapng"), &home, &["--loop", "--speed", "200x"]);
    agent.write_within(LIMIT, "Kafka takes batches");
    let wait = || std::thread::sleep(Duration::from_secs(2));
    wait();
    kafka.pause();
    wait();
    kafka.resume();
    wait();
    kafka.kill();
    wait();
    kafka.start_again();
    let before = batches(&kafka, "silent").len();
    assert!(wait_until(LIMIT, || batches(&kafka, "silent").len() > before), "it goes on");
    assert_eq!(agent.stop_within(LIMIT).code(), Some(130), "{}", agent.log());
    let sent = without_repetitions(batches(&kafka, "silent"));
    let published = format!(" = {} published", packets(&sent));
    assert!(agent.log().contains(&published), "{published}: {}", agent.log());
}

#[test]
fn message_too_large_is_lost_alone_and_counted() {
    let kafka = kafka();
    let home = Scratch::new("large");
    let file = capture("office.pcapng");
    kafka.create_topic("large-packets", 2, &[("max.message.bytes", "200000")]);
    let mut agent = replay(kafka, "large", &file, &home, &[]);
    assert_eq!(agent.end_within(LIMIT).code(), Some(1), "{}", agent.log());
    let (sent, all) = (batches(kafka, "large"), expected(&file, 2));
    assert!(!sent.is_empty() && sent.iter().all(|batch| all.contains(batch)));
    let lost = packets(&all) - packets(&sent);
    assert!(lost > 0 && agent.log().contains(&format!("{lost} dropped (too_large {lost})")), "{}", agent.log());
}

#[test]
fn grown_topic_is_refused_loudly() {
    let kafka = kafka();
    let home = Scratch::new("grown");
    kafka.create_topic("grown-packets", 2, &[]);
    let mut agent = replay(kafka, "grown", &capture("office.pcapng"), &home, &["--loop", "--speed", "original"]);
    agent.write_within(LIMIT, "Kafka takes batches");
    let grow = ["--alter", "--topic", "grown-packets", "--partitions", "3"];
    assert!(kafka.tool("org.apache.kafka.tools.TopicCommand", &grow).status.success());
    agent.write_within(LIMIT, "has 3 partitions, but this sensor divides its packets among 2");
    agent.stop_within(LIMIT);
}

#[test]
fn topic_that_is_deleted_is_missed_and_gets_what_comes_once_it_is_back() {
    let kafka = kafka();
    let home = Scratch::new("deleted");
    kafka.create_topic("deleted-packets", 2, &[]);
    let mut agent = replay(kafka, "deleted", &capture("office.pcapng"), &home, &["--loop", "--speed", "original"]);
    agent.write_within(LIMIT, "Kafka takes batches");
    kafka.delete_topic("deleted-packets");
    agent.write_within(LIMIT, "there is no topic deleted-packets: make it with `weir topics create`");
    kafka.create_topic("deleted-packets", 2, &[]);
    assert!(wait_until(LIMIT, || !batches(kafka, "deleted").is_empty()), "{}", agent.log());
    agent.stop_within(LIMIT);
    assert!(agent.log().contains("+ 0 dropped"), "{}", agent.log());
}
