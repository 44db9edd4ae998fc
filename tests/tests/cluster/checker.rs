//! What the comparison is worth: one record too many and one too few are found, in topics and in the lake.

use std::path::{Path, PathBuf};

use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use weir_contract::RecordType;
use weir_tests::captures;
use weir_tests::messages::Isolation;
use weir_tests::process::wait_while_it_moves;

use crate::deployment::{Deployment, LIMIT, Settings, cluster, decoded};

#[test]
fn one_record_doubled_and_one_lost_are_found() {
    let cluster = cluster();
    let office: Vec<_> = captures::own().into_iter().filter(|path| path.ends_with("office.pcapng")).collect();
    let expected = decoded("checked", &office, &Settings::new("checked", 1, "dns,capture_loss"));
    let deployment = Deployment::new(&cluster, Settings::new("checked", 1, "dns,capture_loss"));
    let (_processor, mut sink) = (deployment.start_processor("p0"), deployment.start_sink("s0"));
    let replayed = deployment.start_replay("checked", &office, "full").end_within(LIMIT);
    assert!(replayed.success(), "{replayed}\n{}", deployment.last_words());
    let mut rows = deployment.rows(&cluster);
    wait_while_it_moves(LIMIT, || expected.count().saturating_sub(rows.count()));
    for (place, differences) in deployment.differences(&cluster, &expected) {
        assert!(differences.none(), "{place}: {differences}\n{}", deployment.last_words());
    }

    // As a processor would have it that does not drop what it had sent before.
    let topic = RecordType::Dns.topic("checked");
    let records = cluster.kafka.messages(&[&topic], Isolation::Committed);
    let producer: BaseProducer = cluster.kafka.client().create().unwrap();
    let again = records[1].value.as_deref().unwrap();
    producer.send(BaseRecord::<(), _>::to(&topic).partition(records[1].partition).payload(again)).unwrap();
    producer.flush(LIMIT).unwrap();
    wait_while_it_moves(LIMIT, || (expected.count() + 1).saturating_sub(rows.count()));
    assert!(sink.stop_within(LIMIT).success(), "{}", deployment.last_words());
    for (place, differences) in deployment.differences(&cluster, &expected) {
        assert_eq!((differences.lost, differences.duplicated), (0, 1), "{place}: {differences}");
    }

    // The first record of the topic, and the lake's first file.
    cluster.kafka.delete_messages(&topic, records[0].partition, records[0].offset + 1);
    let mut files = files_of(&deployment.lake(&cluster).join("dns"));
    files.sort();
    let all = rows.count();
    std::fs::remove_file(&files[0]).unwrap();
    let left = deployment.rows(&cluster).count();
    let [(_, in_topics), (_, in_lake)] = deployment.differences(&cluster, &expected);
    assert_eq!((in_topics.lost, in_topics.duplicated), (1, 1), "{in_topics}");
    // The row that is there twice may be among those that are gone.
    assert!(left < all && in_lake.lost + 1 >= all - left, "{in_lake}");
    deployment.remove(&cluster);
}

fn files_of(folder: &Path) -> Vec<PathBuf> {
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { files_of(&path) } else { vec![path] }).collect()
}
