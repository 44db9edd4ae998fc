//! A broker that goes and comes back while processors are in the midst of their work.

use std::time::Duration;

use weir_tests::captures;
use weir_tests::process::wait_until;

use crate::deployment::{Deployment, LIMIT, Settings, cluster};
use crate::log;
use crate::records::Records;

const PARTITIONS: u32 = 4;
const RECORDS: &str = "connection,dns,tcp,capture_stats,capture_loss,weird";

#[test]
fn processors_go_on_behind_a_broker_that_is_stopped_or_killed() {
    let mut cluster = cluster();
    let deployment = Deployment::new(&cluster, Settings::new("restarts", PARTITIONS, RECORDS));
    let office: Vec<_> = captures::own().into_iter().filter(|path| path.ends_with("office.pcapng")).collect();
    let batches = log::batches("sensor", &office, PARTITIONS);
    let processors = ["p0", "p1"].map(|instance| deployment.start_processor(instance));
    let client = cluster.kafka.client();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| log::write(client, "restarts", &batches, Duration::from_secs(15)));
        let decoding = deployment.decoding(&cluster.kafka);
        for was_killed in [false, true] {
            // Whatever the machine does meanwhile: it happens in the midst of work, and work goes on behind it.
            let before = decoding.decoded();
            let moved = wait_until(LIMIT, || decoding.decoded() > before);
            assert!(moved, "nothing is decoded\n{}", deployment.last_words());
            if was_killed {
                cluster.kafka.kill()
            } else {
                cluster.kafka.stop()
            }
            cluster.kafka.start_again();
        }
        writer.join().unwrap();
    });
    let decoding = deployment.decoding(&cluster.kafka);
    assert!(wait_until(LIMIT, || decoding.left() == 0), "not all is decoded\n{}", deployment.last_words());
    for mut processor in processors {
        assert!(processor.stop_within(LIMIT).success(), "{}", deployment.last_words());
    }
    let expected = Records::of_batches(batches, PARTITIONS, RECORDS);
    let differences = Records::of_topics(&cluster.kafka, "restarts").differences(&expected);
    assert!(differences.none(), "{differences}\n{}", deployment.last_words());
    deployment.remove(&cluster);
}
