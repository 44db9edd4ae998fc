//! Each record reaches the lake once.

use weir_tests::process::wait_until;

use crate::kit::{LIMIT, Lab, Writer, assert_exact, kafka};

#[test]
fn records_reach_the_lake_once_without_those_of_transactions_given_up() {
    let mut lab = Lab::start(3);
    let mut writer = Writer::new(&lab, 3);
    writer.write(1000);
    let mut sink = lab.sink(&[]);
    lab.wait_for(1000, &[&sink]);
    writer.write(500);
    lab.wait_for(1500, &[&sink]);
    assert_eq!(sink.stop_within(LIMIT).code(), Some(0), "{}", sink.log());
    assert_exact(&lab, 1500);
    let (text, _) = lab.verify();
    assert!(text.contains("no holes, no overlaps"), "{text}");
    // What is in the lake is committed.
    let ends: Vec<_> = (0..3).map(|partition| end(&lab, partition)).collect();
    assert!(lab.committed(3).iter().zip(ends).all(|(at, end)| at.is_some_and(|at| at <= end && at > end - 3)));
}

/// Where a partition ends.
fn end(lab: &Lab, partition: i32) -> i64 {
    use rdkafka::consumer::{BaseConsumer, Consumer as _};
    let consumer: BaseConsumer = kafka().client().create().unwrap();
    consumer.fetch_watermarks(&lab.topic(), partition, LIMIT).unwrap().1
}

#[test]
fn what_is_open_is_put_when_a_sink_is_stopped() {
    let mut lab = Lab::start(2);
    Writer::new(&lab, 2).write(300);
    let mut sink = lab.sink(&["--small-file-seconds", "3600"]);
    sink.write_within(LIMIT, "reading");
    let read = wait_until(LIMIT, || sink.log().matches("\"reading\"").count() >= 2);
    assert!(read, "{}", sink.log());
    std::thread::sleep(std::time::Duration::from_secs(2));
    assert_eq!(lab.files(), Vec::<String>::new());
    assert_eq!(sink.stop_within(LIMIT).code(), Some(0), "{}", sink.log());
    assert_exact(&lab, 300);
}

#[test]
fn sinks_that_come_and_go_share_the_partitions() {
    let mut lab = Lab::start(6);
    let mut writer = Writer::new(&lab, 6);
    let mut first = lab.sink(&[]);
    writer.write(600);
    let (mut second, mut third) = (lab.sink(&[]), lab.sink(&["--workers", "2"]));
    writer.write(600);
    lab.wait_for(1200, &[&first, &second, &third]);
    let joined = wait_until(LIMIT, || second.log().contains("assigned") && third.log().contains("assigned"));
    assert!(joined, "{}\n---\n{}", second.log(), third.log());
    writer.write(600);
    first.stop_within(LIMIT);
    writer.write(600);
    third.stop_within(LIMIT);
    writer.write(600);
    lab.wait_for(3000, &[&second]);
    second.stop_within(LIMIT);
    assert_exact(&lab, 3000);
}

#[test]
fn a_lake_may_be_a_folder() {
    let mut lab = Lab::start(2);
    Writer::new(&lab, 2).write(300);
    let folder = lab.home.path().join("lake");
    let mut sink = lab.sink(&["--lake", folder.to_str().unwrap()]);
    let verify = |lab: &Lab| lab.weir("lake verify").arg("--lake").arg(&folder).output().unwrap();
    let whole = wait_until(LIMIT, || String::from_utf8_lossy(&verify(&lab).stdout).contains(" 300 "));
    assert!(whole, "{}", sink.log());
    assert_eq!(verify(&lab).status.code(), Some(0));
    sink.stop_within(LIMIT);
}
