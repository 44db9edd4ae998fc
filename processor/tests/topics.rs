//! `weir topics` and `weir tail` on a real broker.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::process::{Command, Output};

use prost::Message as _;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use weir_contract::{Meta, record::Udp};
use weir_tests::kafka::Kafka;

fn weir(arguments: &str, brokers: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    command.args(arguments.split(' ')).args(["--brokers", brokers]).output().unwrap()
}

#[track_caller]
fn assert_says(output: &Output, status: i32, parts: &[&str]) -> String {
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(status), "{text}");
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
    text
}

#[test]
fn topics_are_made_watched_and_never_endangered() {
    let kafka = Kafka::start();
    let run = |arguments: &str| weir(arguments, &kafka.bootstrap());

    let missing = run("topics verify --replication 1 --partitions 4 -r dns,udp");
    assert_says(&missing, 1, &["weir-packets: missing; `weir topics create` makes it"]);
    let few = run("topics create --replication 3 --topic-prefix other -r dns");
    assert_says(&few, 1, &["other-packets: there are fewer brokers than copies asked for"]);

    let create = "topics create --replication 1 --partitions 4 -r dns,udp --set dns:retention.ms=3600000";
    let made = run(create);
    assert_says(&made, 0, &["made weir-packets", "made weir-state", "made weir-dead-letter", "made weir-dns"]);
    let again = assert_says(&run(create), 0, &["the topics are as they should be"]);
    assert!(!again.contains("made"), "{again}");
    let listed = assert_says(&run("topics list"), 0, &["weir-udp", "1 days", "last of each key"]);
    let dns = listed.lines().find(|line| line.starts_with("weir-dns ")).unwrap();
    assert_eq!(dns.split_whitespace().collect::<Vec<_>>(), ["weir-dns", "1", "1", "0", "1", "hours"]);

    // What the brokers have is what was asked for.
    let describe = ["--describe", "--topic", "weir-packets"];
    let described = kafka.tool("org.apache.kafka.tools.TopicCommand", &describe);
    assert_says(
        &described,
        0,
        &[
            "PartitionCount: 4",
            "message.timestamp.type=LogAppendTime",
            "min.insync.replicas=1",
            "retention.ms=86400000",
        ],
    );

    // Somebody's hand: what is harmless is put right, what isn't is refused.
    let alter = |topic: &str, setting: &str| {
        let arguments = ["--alter", "--topic", topic, "--add-config", setting];
        let output = kafka.tool("kafka.admin.ConfigCommand", &arguments);
        assert!(output.status.success(), "{output:?}");
    };
    alter("weir-udp", "retention.ms=1000,segment.ms=700000");
    assert_says(
        &run("topics verify --replication 1 --partitions 4 -r udp"),
        1,
        &["retention.ms is 1000, but should be"],
    );
    assert_says(&run("topics create --replication 1 --partitions 4 -r udp"), 0, &["changed weir-udp: retention.ms="]);
    let kept = kafka.tool("org.apache.kafka.tools.TopicCommand", &["--describe", "--topic", "weir-udp"]);
    assert_says(&kept, 0, &["retention.ms=604800000", "segment.ms=700000"]);
    alter("weir-udp", "message.timestamp.type=CreateTime");
    let refused = run("topics create --replication 1 --partitions 4 -r udp,dns");
    let text = assert_says(&refused, 1, &["weir-udp: message.timestamp.type is CreateTime, but must be LogAppendTime"]);
    assert!(!text.contains("changed"), "{text}");
    assert_says(&run("topics create --replication 1 --partitions 8 -r dns"), 1, &["weir-packets: has 4 partitions"]);

    tail_shows_what_is_asked_for(&kafka);
}

/// Part of the test above, which has the broker.
fn tail_shows_what_is_asked_for(kafka: &Kafka) {
    let producer: BaseProducer = kafka.client().create().unwrap();
    for port in [53, 5353] {
        let meta = Meta { sensor: "lab".into(), src_port: port, ..Meta::default() };
        let record = Udp { meta: Some(meta), payload_bytes: 9, ..Udp::default() }.encode_to_vec();
        producer.send(BaseRecord::<(), _>::to("weir-udp").partition(0).payload(&record)).unwrap();
    }
    producer.send(BaseRecord::<(), _>::to("weir-udp").partition(0).payload(&[0xff_u8])).unwrap();
    producer.flush(std::time::Duration::from_secs(10)).unwrap();
    let run = |arguments: &str| weir(arguments, &kafka.bootstrap());

    let one = run("tail udp --from-beginning -n 1 --where src_port=5353");
    let text = assert_says(&one, 0, &["\"record\":\"udp\""]);
    let record: serde_json::Value = serde_json::from_str(text.trim()).unwrap();
    assert_eq!((&record["src_port"], &record["sensor"]), (&5353.into(), &"lab".into()));
    let table = run("tail udp --from-beginning -n 2 --format table");
    assert_says(&table, 0, &[" udp ", " lab ", ":5353 ", " payload_bytes=9"]);
    assert_says(&run("tail ntp"), 2, &["weir-ntp: there is no such topic, or it may not be seen"]);
    assert_says(&run("tail udp --where port=1"), 2, &["none of the record types has a field `port`"]);
}

#[test]
fn kafka_that_is_not_there_is_told_with_the_reason() {
    let output = weir("topics verify", "127.0.0.1:1");
    assert_says(&output, 2, &["the brokers can't be asked for their topics", "Connection refused"]);
}
