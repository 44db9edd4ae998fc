//! The broker is a real one: transactions, refusals, restarts.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use weir_tests::kafka::Kafka;
use weir_tests::messages::Isolation;

const LIMIT: Duration = Duration::from_secs(30);

fn produce(config: &mut ClientConfig, topic: &str, values: &[&str]) -> Result<(), String> {
    let producer: ThreadedProducer<DefaultProducerContext> =
        config.set("message.timeout.ms", "10000").create().map_err(|error| error.to_string())?;
    for value in values {
        producer
            .send(BaseRecord::<(), str>::to(topic).payload(value).partition(0))
            .map_err(|(error, _)| error.to_string())?;
    }
    producer.flush(LIMIT).map_err(|error| error.to_string())
}

fn values(kafka: &Kafka, topic: &str, isolation: Isolation) -> Vec<String> {
    let messages = kafka.messages(&[topic], isolation);
    messages.into_iter().map(|message| String::from_utf8(message.value.unwrap()).unwrap()).collect()
}

#[test]
fn open_broker_keeps_what_was_acknowledged_and_hides_what_was_not_committed() {
    let mut kafka = Kafka::start();
    kafka.create_topic("kept", 3, &[("message.timestamp.type", "LogAppendTime")]);
    produce(&mut kafka.client(), "kept", &["a", "b"]).unwrap();
    kafka.restart();
    produce(&mut kafka.client(), "kept", &["c"]).unwrap();
    kafka.kill();
    kafka.start_again();
    assert_eq!(values(&kafka, "kept", Isolation::Committed), ["a", "b", "c"]);

    let producer: BaseProducer = kafka.client().set("transactional.id", "t").create().unwrap();
    producer.init_transactions(LIMIT).unwrap();
    for (value, commit) in [("aborted", false), ("committed", true)] {
        producer.begin_transaction().unwrap();
        producer.send(BaseRecord::<(), str>::to("kept").payload(value).partition(0)).unwrap();
        producer.flush(LIMIT).unwrap();
        if commit {
            producer.commit_transaction(LIMIT).unwrap();
        } else {
            producer.abort_transaction(LIMIT).unwrap();
        }
    }
    assert_eq!(values(&kafka, "kept", Isolation::Committed), ["a", "b", "c", "committed"]);
    assert_eq!(values(&kafka, "kept", Isolation::Uncommitted), ["a", "b", "c", "aborted", "committed"]);

    assert_eq!(kafka.topics(), [("kept".to_owned(), 3)]);
    kafka.delete_topic("kept");
    assert_eq!(kafka.topics(), []);
}

#[test]
fn secured_broker_refuses_whom_it_should() {
    let kafka = Kafka::start_secured();
    let secured = kafka.secured();
    kafka.create_topic("guarded", 1, &[]);
    kafka.allow("agent", &["--producer", "--topic", "guarded"]);
    for mechanism in ["SCRAM-SHA-512", "PLAIN"] {
        produce(&mut secured.sasl_client(mechanism, "agent", "agent-secret"), "guarded", &[mechanism]).unwrap();
        let wrong: BaseConsumer = secured.sasl_client(mechanism, "agent", "wrong").create().unwrap();
        assert!(wrong.fetch_metadata(None, Duration::from_secs(1)).is_err(), "a wrong password");
    }
    produce(&mut secured.mtls_client("agent"), "guarded", &["mTLS"]).unwrap();
    for config in [secured.sasl_client("PLAIN", "sink", "sink-secret"), secured.mtls_client("sink")] {
        let client: BaseConsumer = config.create().unwrap();
        let metadata = client.fetch_metadata(None, LIMIT).unwrap();
        assert!(metadata.topics().is_empty(), "who may do nothing sees nothing");
    }
    assert_eq!(values(&kafka, "guarded", Isolation::Committed), ["SCRAM-SHA-512", "PLAIN", "mTLS"]);
}
