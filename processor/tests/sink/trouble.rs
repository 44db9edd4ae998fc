//! Bad days, one by one.

use std::time::Duration;

use prost::Message as _;
use weir_contract::DeadLetter;
use weir_tests::fault_proxy::Fault;
use weir_tests::http;
use weir_tests::kafka::Kafka;
use weir_tests::messages::Isolation;
use weir_tests::process::{binary, free_port, wait_until};

use crate::kit::{APPEND_TIME, LIMIT, Lab, Writer, assert_exact, kafka, record};

#[test]
fn a_message_that_is_no_record_becomes_a_dead_letter() {
    let mut lab = Lab::start(1);
    let mut writer = Writer::new(&lab, 1);
    writer.write(10);
    writer.write_message(0, b"\x0a\xffno record");
    // This one is none either, but nobody meant it to be.
    writer.write_any(0, None);
    writer.write(10);
    let mut sink = lab.sink(&[]);
    lab.wait_for(20, &[&sink]);
    assert_exact(&lab, 20);
    let letters = kafka().messages(&[&format!("{}-dead-letter", lab.prefix)], Isolation::Committed);
    assert_eq!(letters.len(), 1);
    let letter = DeadLetter::decode(letters[0].value.as_deref().unwrap()).unwrap();
    assert_eq!((letter.topic, letter.partition, letter.offset), (lab.topic(), 0, 11));
    assert_eq!((letter.component.as_str(), letter.payload.as_slice()), ("sink", b"\x0a\xffno record".as_slice()));
    sink.stop_within(LIMIT);
}

#[test]
fn a_record_newer_than_the_sink_stops_its_partition_until_told_otherwise() {
    let mut lab = Lab::start(2);
    let mut writer = Writer::new(&lab, 2);
    writer.write(10);
    let newer = [record(10), vec![0xf8, 0xff, 0x01, 1]].concat();
    writer.write_message(0, &newer);
    writer.write_message(1, &record(11));
    let mut sink = lab.sink(&[]);
    sink.write_within(LIMIT, "unknown_field");
    lab.wait_for(11, &[&sink]);
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(lab.held(), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11]);
    assert!(sink.log().contains("--drop-unknown-fields"));
    sink.stop_within(LIMIT);
    let mut tolerant = lab.sink(&["--drop-unknown-fields"]);
    lab.wait_for(12, &[&tolerant]);
    tolerant.stop_within(LIMIT);
    assert_exact(&lab, 12);
}

#[test]
fn a_store_that_refuses_stops_all_until_it_does_not_and_nothing_is_committed() {
    let mut lab = Lab::start(1);
    let mut writer = Writer::new(&lab, 1);
    let port = free_port();
    let mut sink = lab.sink(&["--listen", &format!("127.0.0.1:{port}")]);
    writer.write(50);
    lab.wait_for(50, &[&sink]);
    assert!(http::get(port, "/readyz").unwrap().starts_with("HTTP/1.1 200"));
    lab.proxy.disturb(1, 100, &[Fault::Forbidden]);
    writer.write(50);
    sink.write_within(LIMIT, "403 AccessDenied");
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(lab.held().len(), 50);
    assert!(http::get(port, "/readyz").unwrap().starts_with("HTTP/1.1 503"));
    assert_eq!(http::metric(port, "weir_sink_store_refused", ""), Some(1.0));
    let committed = lab.committed(1)[0].unwrap();
    assert!(committed <= 52, "{committed} is committed");
    lab.proxy.heal();
    lab.wait_for(100, &[&sink]);
    assert!(sink.log().contains("the store answers again"));
    sink.stop_within(LIMIT);
    assert_exact(&lab, 100);
}

#[test]
fn an_outage_of_the_store_loses_nothing() {
    let mut lab = Lab::start(2);
    let mut writer = Writer::new(&lab, 2);
    let mut sink = lab.sink(&[]);
    writer.write(100);
    lab.wait_for(100, &[&sink]);
    lab.s3.process().kill();
    writer.write(100);
    sink.write_within(LIMIT, "trying again");
    lab.s3.start_again();
    lab.wait_for(200, &[&sink]);
    sink.stop_within(LIMIT);
    assert_exact(&lab, 200);
}

#[test]
fn a_sink_that_is_stopped_while_the_store_is_down_says_what_is_not_in_the_lake() {
    let mut lab = Lab::start(2);
    let mut writer = Writer::new(&lab, 2);
    let mut sink = lab.sink(&[]);
    writer.write(100);
    lab.wait_for(100, &[&sink]);
    lab.s3.process().kill();
    writer.write(100);
    sink.write_within(LIMIT, "trying again");
    assert_eq!(sink.stop_within(Duration::from_secs(40)).code(), Some(1), "{}", sink.log());
    assert!(sink.log().contains("what was read of 2 partitions, such as "), "{}", sink.log());
    lab.s3.start_again();
    let mut sink = lab.sink(&[]);
    lab.wait_for(200, &[&sink]);
    assert!(sink.stop_within(LIMIT).success(), "{}", sink.log());
    assert_exact(&lab, 200);
}

#[test]
fn a_wrong_bucket_is_named_at_the_start() {
    let mut lab = Lab::start(1);
    let mut sink = lab.sink(&["--lake", "s3://no-such-bucket/lake"]);
    assert_eq!(sink.end_within(LIMIT).code(), Some(1));
    assert!(sink.log().contains("there is no bucket `no-such-bucket`"), "{}", sink.log());
}

#[test]
fn a_missing_topic_is_named_at_the_start() {
    let mut lab = Lab::start(1);
    let mut sink = lab.sink(&["--records", "ntp,dns"]);
    assert_eq!(sink.end_within(LIMIT).code(), Some(1));
    assert!(sink.log().contains(&format!("{}-dns", lab.prefix)), "{}", sink.log());
    assert!(sink.log().contains("weir topics create"));
}

#[test]
fn a_sink_without_kafka_waits_for_it_and_stops_when_told() {
    let mut lab = Lab::start(1);
    let mut sink = lab.sink(&["--brokers", "127.0.0.1:9"]);
    sink.write_within(LIMIT, "Kafka does not answer");
    assert_eq!(sink.stop_within(Duration::from_secs(20)).code(), Some(0));
}

#[test]
fn a_sink_without_permission_is_told_so_and_waits() {
    let kafka = Kafka::start_secured();
    for topic in ["acl-ntp", "acl-dead-letter"] {
        kafka.create_topic(topic, 1, &[APPEND_TIME]);
        kafka.allow("sink", &["--operation", "Read", "--operation", "Describe", "--topic", topic]);
    }
    let mut lab = Lab::start(1);
    let password = lab.home.path().join("password");
    std::fs::write(&password, "sink-secret").unwrap();
    let (brokers, password) = (kafka.secured().sasl_bootstrap(), password.display().to_string());
    let authority = kafka.secured().authority().certificate().display().to_string();
    let mut arguments = vec!["--brokers", &brokers, "--topic-prefix", "acl", "--tls", "--tls-ca", &authority];
    arguments.extend([
        "--sasl-mechanism",
        "scram-sha-512",
        "--sasl-username",
        "sink",
        "--sasl-password-file",
        &password,
    ]);
    let mut sink = lab.sink(&arguments);
    sink.write_within(LIMIT, "GroupAuthorizationFailed");
    assert!(!sink.log().contains("sink-secret"));
    assert_eq!(sink.stop_within(LIMIT).code(), Some(0));
}

#[test]
fn a_topic_with_its_producers_times_is_not_read() {
    let mut lab = Lab::start(1);
    kafka().delete_topic(&lab.topic());
    kafka().create_topic(&lab.topic(), 1, &[]);
    Writer::new(&lab, 1).write(10);
    let mut sink = lab.sink(&[]);
    sink.write_within(LIMIT, "LogAppendTime");
    sink.stop_within(LIMIT);
    assert_eq!(lab.files(), Vec::<String>::new());
}

#[test]
fn a_topic_created_anew_stops_its_partition() {
    let mut lab = Lab::start(1);
    Writer::new(&lab, 1).write(100);
    let mut sink = lab.sink(&[]);
    lab.wait_for(100, &[&sink]);
    sink.stop_within(LIMIT);
    kafka().delete_topic(&lab.topic());
    kafka().create_topic(&lab.topic(), 1, &[APPEND_TIME]);
    Writer::new(&lab, 1).write(10);
    let mut sink = lab.sink(&[]);
    let told = wait_until(LIMIT, || sink.log().contains("ahead_of_log") || sink.log().contains("chain_foreign"));
    assert!(told, "{}", sink.log());
    sink.stop_within(LIMIT);
    assert_exact(&lab, 100);
}

/// Makes the topics of a prefix as users do, which writes down that they are new.
fn create_topics(prefix: &str) {
    let mut command = std::process::Command::new(binary("weir"));
    command.args(["topics", "create", "--records", "ntp", "--partitions", "1", "--replication", "1"]);
    let output = command.args(["--brokers", &kafka().bootstrap(), "--topic-prefix", prefix]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn a_topic_created_anew_that_has_grown_past_the_old_one_stops_its_partition() {
    let mut lab = Lab::start(1);
    kafka().delete_topic(&lab.topic());
    create_topics(&lab.prefix);
    Writer::new(&lab, 1).write(100);
    let mut sink = lab.sink(&[]);
    lab.wait_for(100, &[&sink]);
    sink.stop_within(LIMIT);
    kafka().delete_topic(&lab.topic());
    create_topics(&lab.prefix);
    Writer::new(&lab, 1).write(500);
    let mut sink = lab.sink(&[]);
    sink.write_within(LIMIT, "chain_foreign");
    sink.stop_within(LIMIT);
    assert_exact(&lab, 100);
}

#[test]
fn a_missing_topic_of_dead_letters_is_named_at_the_start() {
    let mut lab = Lab::start(1);
    let letters = format!("{}-dead-letter", lab.prefix);
    kafka().delete_topic(&letters);
    let mut sink = lab.sink(&[]);
    assert_eq!(sink.end_within(LIMIT).code(), Some(1));
    assert!(sink.log().contains(&letters), "{}", sink.log());
}

#[test]
fn messages_that_retention_took_leave_a_hole_that_verify_tells() {
    let mut lab = Lab::start(1);
    let mut writer = Writer::new(&lab, 1);
    writer.write(100);
    let mut sink = lab.sink(&[]);
    lab.wait_for(100, &[&sink]);
    sink.stop_within(LIMIT);
    writer.write(200);
    let file = lab.home.path().join("offsets.json");
    let topic = lab.topic();
    let offsets = format!(r#"{{"partitions":[{{"topic":"{topic}","partition":0,"offset":150}}],"version":1}}"#);
    std::fs::write(&file, offsets).unwrap();
    let output =
        kafka().tool("org.apache.kafka.tools.DeleteRecordsCommand", &["--offset-json-file", file.to_str().unwrap()]);
    assert!(output.status.success(), "{output:?}");
    let mut sink = lab.sink(&[]);
    let done = wait_until(LIMIT, || lab.held().last() == Some(&299));
    assert!(done, "{}", sink.log());
    sink.stop_within(LIMIT);
    let held = lab.held();
    assert!(held[..100].iter().copied().eq(0..100) && held[100] > 100 && held.windows(2).all(|pair| pair[0] < pair[1]));
    let (text, status) = lab.verify();
    assert!(status == Some(1) && text.contains("hole:") && text.contains("to 149 are in no file"), "{text}");
}
