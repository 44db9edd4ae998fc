//! Each part with the rights that `weir topics acl` prints, and no others.

use std::process::Command;
use std::thread;

use weir_tests::http;
use weir_tests::process::{Process, free_port, wait_until};
use weir_tests::s3::{ACCESS_KEY, BUCKET, S3, SECRET_KEY};

use crate::site::{LIMIT, Login, RECORDS, Site, kafka, secured, text};

const AGENT: Login<'_> = Login::Certificate("agent");
const PROCESSOR: Login<'_> = Login::Password("processor");
const SINK: Login<'_> = Login::Password("sink");
const TAIL: Login<'_> = Login::Certificate("analyst");

/// Makes topics, and gives the rights that are printed for them.
fn prepare(site: &Site) {
    let mut create = site.command("weir topics create --replication 1 --partitions 2", Login::Password("admin"));
    let created = create.args(["--records", RECORDS]).output().unwrap();
    assert!(created.status.success(), "{}", text(&created));
    let mut acl = site.command("weir topics acl", Login::Password("admin"));
    acl.args(["--agent", "User:agent", "--processor", "User:processor", "--sink", "User:sink"]);
    let printed = acl.args(["--tail", "User:analyst", "--records", RECORDS]).output().unwrap();
    assert!(printed.status.success(), "{}", text(&printed));
    let script = String::from_utf8(printed.stdout).unwrap();
    thread::scope(|scope| {
        for line in script.lines() {
            let arguments = line.strip_prefix("kafka-acls --bootstrap-server ").unwrap();
            // The brokers, which the tool is told already.
            let arguments: Vec<_> = arguments.split(' ').skip(1).collect();
            scope.spawn(move || {
                let output = kafka().tool("org.apache.kafka.tools.AclCommand", &arguments);
                assert!(output.status.success(), "{line}\n{}", text(&output));
            });
        }
    });
}

#[test]
fn each_part_does_its_work_with_the_rights_that_are_printed_for_it_and_tells_no_secret() {
    let site = Site::new("rights");
    prepare(&site);
    let s3 = S3::start();
    let [agent_port, processor_port, sink_port] = [(); 3].map(|()| free_port());
    let sink = |login, port| {
        let mut sink = site.sink(login, port);
        sink.env("WEIR_LAKE", format!("s3://{BUCKET}")).env("WEIR_S3_ENDPOINT", s3.endpoint());
        sink.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
        sink
    };
    let mut processor = site.start(site.processor(PROCESSOR, processor_port), "processor");
    let mut sink_process = site.start(sink(SINK, sink_port), "sink");
    let mut looped = site.agent(AGENT, agent_port);
    let mut agent = site.start(
        {
            looped.args(["--loop", "--speed", "original"]);
            looped
        },
        "agent",
    );
    let mut tail = site.command("weir tail dns connection -n 20 --from-beginning --format json", TAIL);
    let mut tail = site.start(
        {
            tail.env("RUST_LOG", "info");
            tail
        },
        "tail",
    );
    let rows = || http::metric(sink_port, "weir_sink_rows_total", "").unwrap_or_default();
    let done = wait_until(LIMIT, || rows() >= 20.0 && tail.status().is_some());
    assert!(done, "{}\n{}\n{}\n{}", agent.log(), processor.log(), sink_process.log(), tail.log());
    assert_eq!(tail.log().lines().filter(|line| line.starts_with("{\"record\":")).count(), 20, "{}", tail.log());

    // Where a secret must not be.
    let mut told = vec![agent.log(), processor.log(), sink_process.log(), tail.log()];
    for process in [&agent, &processor, &sink_process] {
        let arguments = std::fs::read(format!("/proc/{}/cmdline", process.id())).unwrap();
        told.push(String::from_utf8(arguments).unwrap());
    }
    told.extend([agent_port, processor_port, sink_port].map(|port| http::get(port, "/metrics").unwrap()));
    for mut command in [site.agent(AGENT, 0), site.processor(PROCESSOR, 0), sink(SINK, 0)] {
        let output = command.arg("--print-config").env("WEIR_KAFKA_SASL_PASSWORD", "by-the-environment").output();
        let output = output.unwrap();
        assert!(output.status.success(), "{}", text(&output));
        told.push(text(&output));
    }
    let key = std::fs::read_to_string(secured().authority().identity("agent")).unwrap();
    let key = key.lines().nth(1).unwrap();
    for secret in ["processor-secret", "sink-secret", "by-the-environment", SECRET_KEY, key] {
        for text in &told {
            assert!(!text.contains(secret), "{secret} is in\n{text}");
        }
    }

    for part in [&agent, &processor, &sink_process] {
        assert!(!part.log().contains("uthorization") && !part.log().contains("ACL"), "{}", part.log());
    }
    assert_eq!(agent.stop_within(LIMIT).code(), Some(130), "{}", agent.log());
    assert!(processor.stop_within(LIMIT).success(), "{}", processor.log());
    assert!(sink_process.stop_within(LIMIT).success(), "{}", sink_process.log());
    each_part_is_refused_what_is_not_its_own(&site, &sink);
}

/// Part of the test above, which has the topics and the rights.
fn each_part_is_refused_what_is_not_its_own(site: &Site, sink: &dyn Fn(Login<'static>, u16) -> Command) {
    let tail = |login| site.command("weir tail dns --from-beginning -n 1", login);
    let create = |login| {
        let mut create = site.command("weir topics create --replication 1 --partitions 2", login);
        create.args(["--records", "dns,ntp"]);
        create
    };
    let group = |mut command: Command| {
        command.args(["--group", "others"]);
        command
    };
    // Who, what, and the words that tell it.
    let forbidden: Vec<(&str, Command, &str)> = vec![
        ("agent runs processor", site.processor(AGENT, 0), "rights-state does not exist, or may not be described"),
        ("agent runs sink", sink(AGENT, 0), "do not exist or may not be read, such as rights-"),
        ("agent runs tail", tail(AGENT), "rights-dns: there is no such topic, or it may not be seen"),
        ("agent makes topics", create(AGENT), "rights-packets: its settings may not be read"),
        ("processor runs agent", site.agent(PROCESSOR, 0), "an ACL must allow to write to rights-packets"),
        ("processor runs sink", sink(PROCESSOR, 0), "GroupAuthorizationFailed"),
        ("processor runs tail", tail(PROCESSOR), "`weir topics acl` shows what rights it takes"),
        ("processor in a group of others", group(site.processor(PROCESSOR, 0)), "`weir topics acl` lists"),
        ("sink runs agent", site.agent(SINK, 0), "may not see the topic rights-packets: an ACL must allow"),
        ("sink runs processor", site.processor(SINK, 0), "rights-packets does not exist, or may not be described"),
        ("sink in a group of others", group(sink(SINK, 0)), "GroupAuthorizationFailed"),
        ("analyst runs agent", site.agent(TAIL, 0), "an ACL must allow to write to rights-packets"),
        ("analyst runs processor", site.processor(TAIL, 0), "rights-packets does not exist, or may not be described"),
        ("analyst runs sink", sink(TAIL, 0), "rights-dead-letter"),
    ];
    let mut running: Vec<(&str, Process, &str)> = forbidden
        .into_iter()
        .map(|(name, command, words)| (name, site.start(command, &name.replace(' ', "-")), words))
        .collect();
    for (name, process, words) in &mut running {
        let told = wait_until(LIMIT, || process.log().contains(*words) || process.status().is_some());
        assert!(told && process.log().contains(*words), "{name}: no `{words}` in\n{}", process.log());
        assert!(process.status().is_none_or(|status| !status.success()), "{name}: {:?}", process.status());
    }
}
