//! A wrong password: every part says so by its name, waits, and tells nobody the password.

use weir_tests::http;
use weir_tests::process::{Process, free_port, wait_until};

use crate::site::{LIMIT, Login, Site};

#[test]
fn a_wrong_password_is_told_by_its_name_and_waited_for() {
    let site = Site::new("passwords");
    let [agent_port, processor_port, sink_port] = [(); 3].map(|()| free_port());
    let [agent, processor, sink] = ["agent", "processor", "sink"].map(Login::WrongPassword);
    let parts = [
        ("agent", site.agent(agent, agent_port), agent_port),
        ("processor", site.processor(processor, processor_port), processor_port),
        ("sink", site.sink(sink, sink_port), sink_port),
    ];
    let mut parts: Vec<(&str, Process, u16)> =
        parts.into_iter().map(|(name, command, port)| (name, site.start(command, name), port)).collect();
    for (name, process, port) in &mut parts {
        // The broker's words, by the client.
        let is_told =
            |process: &Process| process.log().contains("invalid credentials with SASL mechanism SCRAM-SHA-512");
        assert!(wait_until(LIMIT, || is_told(process)), "{name}: {}", process.log());
        let refused =
            || http::metric(*port, "weir_kafka_client_errors_total", "kind=\"authentication\"").unwrap_or_default();
        assert!(wait_until(LIMIT, || refused() > 0.0), "{name}: {}", process.log());
        assert_eq!(process.status(), None, "{name} must wait for the password to be right: {}", process.log());
        let answer = http::get(*port, "/readyz").unwrap();
        assert!(!answer.contains("not-the-secret") && !process.log().contains("not-the-secret"), "{name} tells it");
        process.stop_within(LIMIT);
    }
    // Those that only ask say it and go.
    let tail = site.command("weir tail dns -n 1", Login::WrongPassword("processor"));
    let create = site.command("weir topics create --replication 1 --partitions 2", Login::WrongPassword("admin"));
    for (name, command) in [("tail", tail), ("topics", create)] {
        let mut process = site.start(command, name);
        assert!(!process.end_within(LIMIT).success(), "{name}: {}", process.log());
        assert!(process.log().contains("invalid credentials"), "{name}: {}", process.log());
    }
}
