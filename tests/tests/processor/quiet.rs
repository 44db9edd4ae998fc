//! A link that falls silent: its last connections are written all the same, since heartbeats carry the time on.

use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use weir_contract::RecordType;
use weir_tests::{
    namespace::{in_namespace, ip},
    process::{Process, binary, wait_until},
};

use crate::cluster::Cluster;

const LIMIT: Duration = Duration::from_secs(60);

/// The longest that a connection may be awaited behind its time-out: ten seconds of grace, a heartbeat, a commit.
const DELAY_MAX: Duration = Duration::from_secs(30);

/// `QUIET_CAPTURE=ntp.pcap QUIET_SECONDS=60` measures another time-out than that of a refused connection.
#[test]
fn last_connections_of_a_quiet_link_are_written_soon_after_their_timeout() {
    in_namespace("quiet::last_connections_of_a_quiet_link_are_written_soon_after_their_timeout", || {
        assert!(ip("link set lo up") && ip("addr add 192.0.2.1/24 dev wb"));
        let or_variable = |name, otherwise: &str| std::env::var(name).unwrap_or_else(|_| otherwise.to_owned());
        let timeout = Duration::from_secs(or_variable("QUIET_SECONDS", "5").parse().unwrap());
        let capture = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures");
        let capture = capture.join(or_variable("QUIET_CAPTURE", "tcp-refused.pcap"));
        let cluster = Cluster::new("quiet", 4);
        let mut processor = cluster.processor("p0", &[]);
        let mut agent = Command::new(binary("weir-agent"));
        agent.args(["capture", "--interface", "wa", "--sensor", "tap", "--bpf", "tcp or udp port 123"]);
        agent.args(["--brokers", &cluster.bootstrap, "--topic-prefix", "quiet", "--listen", "127.0.0.1:0"]);
        agent.arg("--spool-folder").arg(cluster.scratch.path().join("spool"));
        let mut agent = Process::start(agent, &cluster.scratch.path().join("agent.log"));
        agent.write_within(LIMIT, "capturing on");
        let played = Command::new("tcpreplay").args(["--intf1=wb", "--topspeed"]).arg(capture).output();
        let Ok(played) = played else { return println!("skipped: tcpreplay can't be run") };
        assert!(played.status.success(), "{played:?}");
        let silent = Instant::now();
        let written = || cluster.records().iter().any(|(of, _)| *of == RecordType::Connection);
        let is_written = wait_until(timeout + LIMIT, || {
            std::thread::sleep(Duration::from_millis(300));
            written()
        });
        assert!(is_written, "{}\n{}", agent.log(), processor.log());
        let delay = silent.elapsed().saturating_sub(timeout);
        println!("the connection was written {:.1} s behind its time-out of {timeout:?}", delay.as_secs_f64());
        assert!(delay <= DELAY_MAX, "{delay:?}");
        assert!(agent.stop_within(LIMIT).success(), "{}", agent.log());
        processor.stop_within(Duration::from_secs(20));
    });
}
