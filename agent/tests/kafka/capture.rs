//! What a capture sends: on interfaces of a network namespace in which a Kafka runs too.

use super::agent::*;
use pcap::Capture;
use prost::Message as _;
use std::collections::HashMap;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};
use weir_contract::PacketBatch;
use weir_tests::http;
use weir_tests::kafka::Kafka;
use weir_tests::messages::Isolation;
use weir_tests::namespace::{in_namespace, ip};
use weir_tests::process::{Process, Scratch, free_port, wait_until};

/// A Kafka in the test's network namespace. Its client asks the system for addresses of a kind that the host has besides
/// loopback's: without one, it finds none.
fn kafka() -> Kafka {
    assert!(ip("link set lo up") && ip("addr add 192.0.2.1/24 dev wb"));
    Kafka::start()
}

/// Starts capturing, and waits until it does.
fn capture_on(interfaces: &[&str], kafka: &Kafka, prefix: &str, home: &Scratch, more: &[&str]) -> Process {
    let mut command = capture_command(interfaces, kafka, prefix, home);
    command.args(more);
    let log = home.path().join("agent.log");
    let captures = || std::fs::read_to_string(&log).unwrap_or_default().matches("capturing on").count();
    let before = captures();
    let agent = start(command, home);
    assert!(wait_until(LIMIT, || captures() > before), "{}", agent.log());
    agent
}

fn capture_command(interfaces: &[&str], kafka: &Kafka, prefix: &str, home: &Scratch) -> Command {
    let mut command = command(prefix, &["capture", "--sensor", "tap", "--brokers", &kafka.bootstrap()]);
    command.arg("--spool-folder").arg(home.path().join("spool"));
    interfaces.iter().for_each(|interface| {
        command.args(["--interface", interface]);
    });
    command
}

/// Frames of a test EtherType from one address, each with its number.
fn send(numbers: std::ops::Range<u32>) {
    let mut sender = Capture::from_device("wb").unwrap().open().unwrap();
    for number in numbers {
        let mut frame = [&[2; 12][..], &[0x88, 0xb5], &number.to_be_bytes()].concat();
        frame.resize(300, 0);
        sender.sendpacket(frame).unwrap();
    }
}

/// Numbers of our frames in batches.
fn numbers(batches: &[PacketBatch]) -> Vec<u32> {
    let packets = batches.iter().flat_map(|batch| batch.packets().unwrap());
    let ours = packets.filter(|packet| packet.data.get(12..14) == Some(&[0x88, 0xb5]));
    ours.map(|packet| u32::from_be_bytes(packet.data[14..18].try_into().unwrap())).collect()
}

/// What the agent has counted in the end, by the words of its last line.
fn accounts(log: &str) -> (u64, u64, u64) {
    let line = log.lines().find(|line| line.contains("packets received +")).unwrap_or_else(|| panic!("{log}"));
    let before = |word: &str| -> u64 {
        let words = line.split_once(word).unwrap().0.trim_end();
        words.rsplit([' ', '"']).next().unwrap().parse().unwrap()
    };
    (before(" packets received"), before(" published"), before(" dropped"))
}

#[test]
fn every_captured_packet_is_sent_and_stopping_an_idle_interface_takes_no_time() {
    in_namespace("capture::every_captured_packet_is_sent_and_stopping_an_idle_interface_takes_no_time", || {
        let kafka = kafka();
        let home = Scratch::new("capture");
        kafka.create_topic("live-packets", 4, &[]);
        let mut agent =
            capture_on(&["wa", "wb"], &kafka, "live", &home, &["--rings", "2", "--bpf", "ether proto 0x88b5"]);
        assert!(agent.log().contains("no privilege is left"), "{}", agent.log());
        let status = std::fs::read_to_string(format!("/proc/{}/status", agent.id())).unwrap();
        for nothing in ["CapEff:\t0000000000000000", "CapPrm:\t0000000000000000", "NoNewPrivs:\t1"] {
            assert!(status.contains(nothing), "{status}");
        }
        send(0..10_000);
        // Idle for long enough to have sent all, and heartbeats.
        thread::sleep(Duration::from_secs(7));
        let stopped = Instant::now();
        let done = agent.stop_within(LIMIT);
        assert!(stopped.elapsed() < Duration::from_secs(1), "stopping took {:?}", stopped.elapsed());
        assert!(done.success(), "{}", agent.log());
        assert_eq!(accounts(&agent.log()), (20_000, 20_000, 0), "{}", agent.log());

        let sent = without_repetitions(batches(&kafka, "live"));
        let mut numbers = numbers(&sent);
        numbers.sort_unstable();
        assert!(numbers.iter().copied().eq((0..10_000).flat_map(|number| [number; 2])), "each left and arrived");
        for partition in 0..4 {
            let of: Vec<_> = sent.iter().filter(|batch| batch.partition == partition).collect();
            assert!(of.iter().any(|batch| batch.heartbeat), "partition {partition} had no heartbeat");
            assert!(of.last().is_some_and(|last| last.end_of_capture), "partition {partition} has no end");
        }
        let told = sent.iter().rev().find_map(|batch| batch.counters.as_ref()).unwrap();
        assert_eq!((told.packets, told.received_packets, told.source.as_str()), (20_000, 20_000, "wa, wb"));
    });
}

#[test]
fn own_traffic_on_the_captured_interface_does_not_feed_back() {
    in_namespace("capture::own_traffic_on_the_captured_interface_does_not_feed_back", || {
        let kafka = kafka();
        let home = Scratch::new("echo");
        kafka.create_topic("echo-packets", 2, &[]);

        let mut refused = start(capture_command(&["lo"], &kafka, "echo", &home), &home);
        assert_eq!(refused.end_within(LIMIT).code(), Some(2), "{}", refused.log());
        assert!(refused.log().contains("interface lo: the agent reaches Kafka (127.0.0.1:"), "{}", refused.log());

        let mut agent = capture_on(&["lo"], &kafka, "echo", &home, &["--allow-egress"]);
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        for _ in 0..1000 {
            socket.send_to(&[7; 1000], "127.0.0.1:9").unwrap();
            thread::sleep(Duration::from_millis(10));
        }
        assert!(agent.stop_within(LIMIT).success(), "{}", agent.log());
        assert!(agent.log().contains("left out, as the agent's own: (tcp port "), "{}", agent.log());
        let sent = without_repetitions(batches(&kafka, "echo"));
        let (mut others, mut own) = (0, 0);
        let port = kafka.bootstrap().rsplit(':').next().unwrap().parse::<u16>().unwrap().to_be_bytes();
        for packet in sent.iter().flat_map(|batch| batch.packets().unwrap()) {
            let is_own = packet.data.get(23) == Some(&6)
                && (packet.data.get(34..36) == Some(&port) || packet.data.get(36..38) == Some(&port));
            if is_own { own += 1 } else { others += 1 }
        }
        // Loopback shows each datagram once, and the refusal of its port.
        assert!(others >= 1000, "{others} packets of others");
        assert!(own < 200, "{own} packets of the agent's own, {others} of others");
    });
}

#[test]
fn what_is_lost_while_the_agent_is_frozen_is_counted_to_the_packet() {
    in_namespace("capture::what_is_lost_while_the_agent_is_frozen_is_counted_to_the_packet", || {
        let kafka = kafka();
        let home = Scratch::new("frozen");
        kafka.create_topic("frozen-packets", 4, &[]);
        let mut agent =
            capture_on(&["wa"], &kafka, "frozen", &home, &["--ring-mib", "2", "--bpf", "ether proto 0x88b5"]);
        send(0..1000);
        agent.pause();
        send(1000..60_000);
        thread::sleep(Duration::from_secs(2));
        agent.resume();
        thread::sleep(Duration::from_secs(1));
        send(60_000..61_000);
        thread::sleep(Duration::from_millis(500));
        assert_eq!(agent.stop_within(LIMIT).code(), Some(1), "packets were lost: {}", agent.log());
        let (received, published, dropped) = accounts(&agent.log());
        assert_eq!((received, published + dropped), (61_000, 61_000), "{}", agent.log());
        assert!(dropped > 10_000, "{}", agent.log());
        let sent = without_repetitions(batches(&kafka, "frozen"));
        assert_eq!(u64::try_from(packets(&sent)), Ok(published));
        let told = sent.iter().rev().find_map(|batch| batch.counters.as_ref()).unwrap();
        assert_eq!((told.received_packets, told.packets + told.dropped_kernel_packets), (61_000, 61_000));
    });
}

#[test]
fn killed_agent_loses_no_more_than_its_next_run_tells() {
    in_namespace("capture::killed_agent_loses_no_more_than_its_next_run_tells", || {
        let kafka = kafka();
        let home = Scratch::new("killed");
        kafka.create_topic("killed-packets", 1, &[]);
        let filter = ["--bpf", "ether proto 0x88b5"];
        let mut agent = capture_on(&["wa"], &kafka, "killed", &home, &filter);
        send(0..5000);
        // Long enough to be read, too short for a batch of so few bytes to be due.
        thread::sleep(Duration::from_millis(600));
        agent.kill();
        let mut agent = capture_on(&["wa"], &kafka, "killed", &home, &filter);
        send(5000..6000);
        thread::sleep(Duration::from_secs(1));
        assert!(agent.stop_within(LIMIT).success(), "{}", agent.log());
        let sent = batches(&kafka, "killed");
        let previous = sent.iter().find_map(|batch| batch.previous_run).unwrap();
        let of_previous = |batch: &&PacketBatch| batch.epoch == previous.epoch;
        let arrived: usize = sent.iter().filter(of_previous).map(PacketBatch::packet_count).sum();
        assert_eq!(previous.packets, 5000, "all were noted");
        assert!(arrived <= 5000);
        assert_eq!(numbers(&sent.iter().filter(|batch| !of_previous(batch)).cloned().collect::<Vec<_>>()).len(), 1000);
    });
}

#[test]
fn interface_that_vanishes_ends_its_capture_and_the_agent_with_the_last() {
    in_namespace("capture::interface_that_vanishes_ends_its_capture_and_the_agent_with_the_last", || {
        assert!(ip("link add wc type veth peer name wc2") && ip("link set wc up") && ip("link set wc2 up"));
        let kafka = kafka();
        let home = Scratch::new("vanishing");
        kafka.create_topic("vanishing-packets", 2, &[]);
        let mut agent = capture_on(&["wc", "wa"], &kafka, "vanishing", &home, &["--bpf", "ether proto 0x88b5"]);
        assert!(ip("link del wc"));
        agent.write_within(LIMIT, "interface wc: capturing on it has ended");
        send(0..100);
        thread::sleep(Duration::from_millis(500));
        assert!(ip("link del wa"));
        assert_eq!(agent.end_within(LIMIT).code(), Some(1), "{}", agent.log());
        assert!(agent.log().contains("wa: capturing ended"), "{}", agent.log());
        assert_eq!(numbers(&without_repetitions(batches(&kafka, "vanishing"))).len(), 100);
    });
}

#[test]
fn interfaces_that_are_absent_down_or_forbidden_are_told_apart() {
    in_namespace("capture::interfaces_that_are_absent_down_or_forbidden_are_told_apart", || {
        let home = Scratch::new("refused");
        let told = |command: &mut Command| {
            let output = command.output().unwrap();
            assert_eq!(output.status.code(), Some(2), "{output:?}");
            String::from_utf8(output.stderr).unwrap()
        };
        let on = |interface: &str| command("none", &["capture", "-i", interface, "--brokers", "192.0.2.1:9092"]);
        let text = told(&mut on("wnone"));
        assert!(text.contains("interface wnone: there is none of that name; there are"), "{text}");
        let text = told(&mut on("wdown"));
        assert!(text.contains("interface wdown: it is down; `ip link set wdown up` brings it up"), "{text}");
        let text = told(on("wa").args(["--bpf", "prt 53"]));
        assert!(text.contains("filter `prt 53` does not compile"), "{text}");
        let mut forbidden = Command::new("setpriv");
        forbidden.args(["--bounding-set=-all", "--inh-caps=-all", "--"]).arg(env!("CARGO_BIN_EXE_weir-agent"));
        let text = told(forbidden.args(["capture", "-i", "wa", "--brokers", "192.0.2.1:9092"]));
        assert!(text.contains("capturing needs CAP_NET_RAW: run as root or `setcap cap_net_raw+ep /"), "{text}");

        let output = Command::new(env!("CARGO_BIN_EXE_weir-agent")).arg("interfaces").output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let line = |name: &str| text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{text}"));
        assert!(line("wa ").contains("up") && line("wa ").contains("ETHERNET") && line("wa ").ends_with("yes"));
        assert!(line("wdown ").contains("down") && line("wdown ").contains("no: it is down"), "{text}");
        assert!(line("any ").contains("LINUX_SLL"), "{text}");
        drop(home);
    });
}

#[test]
fn one_capability_and_no_user_of_ones_own_are_enough() {
    in_namespace("capture::one_capability_and_no_user_of_ones_own_are_enough", || {
        let kafka = kafka();
        let home = Scratch::new("nobody");
        kafka.create_topic("nobody-packets", 2, &[]);
        // Where another user may run it, and write.
        let program = std::env::temp_dir().join(format!("weir-agent-{}", std::process::id()));
        std::fs::copy(env!("CARGO_BIN_EXE_weir-agent"), &program).unwrap();
        let spool = std::env::temp_dir().join(format!("weir-spool-{}", std::process::id()));
        std::fs::create_dir(&spool).unwrap();
        std::os::unix::fs::chown(&spool, Some(65534), Some(65534)).unwrap();
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all,+net_raw"])
            .args(["--inh-caps=-all,+net_raw", "--ambient-caps=-all,+net_raw", "--"])
            .arg(&program)
            .args(["capture", "-i", "wa", "--bpf", "ether proto 0x88b5", "--brokers", &kafka.bootstrap()])
            .args(["--topic-prefix", "nobody", "--listen", "127.0.0.1:0", "--spool-folder"])
            .arg(&spool);
        let mut agent = start(command, &home);
        agent.write_within(LIMIT, "capturing on");
        send(0..1000);
        thread::sleep(Duration::from_millis(500));
        assert!(agent.stop_within(LIMIT).success(), "{}", agent.log());
        assert_eq!(numbers(&batches(&kafka, "nobody")).len(), 1000);
        std::fs::remove_file(&program).unwrap();
        std::fs::remove_dir_all(&spool).unwrap();
    });
}

/// Sends a capture by tcpreplay; how many packets it says to have sent, and in how many seconds. None where there is no
/// such program.
fn tcpreplay(file: &Path, arguments: &[&str]) -> Option<(u64, f64)> {
    let run = Command::new("tcpreplay").args(["--intf1=wb", "--preload-pcap"]).args(arguments).arg(file).output();
    let Ok(output) = run else {
        eprintln!("skipped: tcpreplay can't be run");
        return None;
    };
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find(|line| line.starts_with("Actual: ")).unwrap_or_else(|| panic!("{output:?}"));
    let words: Vec<_> = line.split_whitespace().collect();
    Some((words[1].parse().unwrap(), words[words.len() - 2].parse().unwrap()))
}

#[test]
fn replayed_traffic_is_captured_without_a_loss() {
    in_namespace("capture::replayed_traffic_is_captured_without_a_loss", || {
        let kafka = kafka();
        let home = Scratch::new("tcpreplay");
        kafka.create_topic("replayed-packets", 4, &[]);
        let mut agent = capture_on(&["wa"], &kafka, "replayed", &home, &["--bpf", "inbound"]);
        // What a machine of two cores carries, with Kafka and other tests on it.
        let Some((sent, _)) = tcpreplay(&capture("office.pcapng"), &["--pps=10000", "--loop=20"]) else { return };
        thread::sleep(Duration::from_millis(500));
        assert!(agent.stop_within(LIMIT).success(), "{}", agent.log());
        let (received, published, dropped) = accounts(&agent.log());
        assert_eq!((published, dropped), (received, 0), "{}", agent.log());
        // The system itself sends a few packets, to find neighbours.
        assert!((sent..sent + 100).contains(&received), "{sent} sent, {}", agent.log());
        assert_eq!(u64::try_from(packets(&without_repetitions(batches(&kafka, "replayed")))), Ok(published));
    });
}

/// What the environment may say instead of what is for every day.
fn or_variable(name: &str, otherwise: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| otherwise.to_owned())
}

/// `OUTAGE_SECONDS=600 OUTAGE_RATE=50000 OUTAGE_CAPTURE=dns-types.pcap` makes it what a site may see.
#[test]
fn outage_of_kafka_costs_no_captured_packet() {
    in_namespace("capture::outage_of_kafka_costs_no_captured_packet", || {
        let seconds: u64 = or_variable("OUTAGE_SECONDS", "6").parse().unwrap();
        let rate = or_variable("OUTAGE_RATE", "10000");
        let mut kafka = kafka();
        let home = Scratch::new("outage");
        kafka.create_topic("outage-packets", 4, &[]);
        let port = free_port();
        let listen = format!("127.0.0.1:{port}");
        let more = ["--bpf", "inbound", "--spool-bytes", "17179869184", "--listen", &listen];
        let mut agent = capture_on(&["wa"], &kafka, "outage", &home, &more);
        let file = capture(&or_variable("OUTAGE_CAPTURE", "office.pcapng"));
        let (pps, duration) = (format!("--pps={rate}"), format!("--duration={}", seconds + 5));
        let replaying = thread::spawn(move || tcpreplay(&file, &[&pps, &duration, "--loop=0"]));
        let published = || http::metric(port, "weir_agent_published_packets_total", "").unwrap_or_default();
        assert!(wait_until(LIMIT, || published() > 0.0), "{}", agent.log());
        kafka.stop();
        thread::sleep(Duration::from_secs(seconds));
        let spool_bytes = http::metric(port, "weir_agent_spool_bytes", "").unwrap();
        kafka.start_again();
        let Some((sent, _)) = replaying.join().unwrap() else { return };
        let back = Instant::now();
        let waiting = |place: &str| http::metric(port, &format!("weir_agent_{place}_packets"), "").unwrap();
        let drained = || ["queued", "spool", "in_flight"].map(waiting).iter().sum::<f64>() == 0.0;
        assert!(wait_until(LIMIT + Duration::from_secs(seconds), drained), "{}", agent.log());
        println!(
            "outage of {seconds} s at {rate} packets/s: {sent} sent, {spool_bytes} bytes in the spool, drained in {:?}",
            back.elapsed()
        );
        assert!(spool_bytes > 0.0, "the spool was needed");
        assert!(agent.stop_within(LIMIT).success(), "{}", agent.log());
        assert!(agent.log().contains("Kafka can't be reached") || agent.log().contains("Connection refused"));
        let (received, published, dropped) = accounts(&agent.log());
        assert_eq!((published, dropped), (received, 0), "{}", agent.log());
        assert!((sent..sent + 100).contains(&received), "{sent} sent, {}", agent.log());
        let (mut last, mut arrived) = (HashMap::new(), 0);
        kafka.each_message(&["outage-packets"], Isolation::Committed, |message| {
            let batch = PacketBatch::decode(message.value.unwrap().as_slice()).unwrap();
            let before = last.insert(batch.partition, batch.sequence).unwrap_or(0);
            assert_eq!(batch.sequence, before + 1, "once, and in sequence");
            arrived += batch.packet_count();
        });
        assert_eq!(u64::try_from(arrived), Ok(published));
    });
}

/// Run by `make bench`, with the capture and the packets a second to replay in the environment.
#[test]
#[ignore = "measures"]
fn what_a_busy_link_costs() {
    in_namespace("capture::what_a_busy_link_costs", || {
        let file = std::env::var_os("BENCH_CAPTURE").map(PathBuf::from).unwrap();
        let rate = std::env::var("BENCH_RATE").unwrap_or_else(|_| "300000".into());
        let kafka = kafka();
        // Some packets of the project's captures are as long as those of an interface that puts segments together.
        assert!(ip("link set wa mtu 65535") && ip("link set wb mtu 65535"));
        let home = Scratch::new("busy");
        kafka.create_topic("busy-packets", 8, &[("retention.bytes", "100000000")]);
        let mut agent = capture_on(&["wa"], &kafka, "busy", &home, &["--bpf", "inbound"]);
        let cpu = agent.cpu_time();
        let Some((sent, seconds)) = tcpreplay(&file, &[&format!("--pps={rate}")]) else { return };
        thread::sleep(Duration::from_secs(2));
        let (cpu, memory) = (agent.cpu_time().saturating_sub(cpu), agent.memory_bytes());
        agent.stop_within(LIMIT);
        let (received, published, dropped) = accounts(&agent.log());
        assert_eq!(received, published + dropped, "{}", agent.log());
        #[allow(clippy::cast_precision_loss, reason = "for people")]
        let (rate, cost) = (sent as f64 / seconds, cpu.as_secs_f64() * 1e6 / received as f64);
        println!(
            "capture: {sent} packets sent in {seconds:.1} s ({rate:.0}/s), {received} received, {dropped} dropped"
        );
        println!("capture: {cost:.2} µs of CPU a packet, {} MB of memory, rings included", memory / 1_000_000);
    });
}

/// Copies what goes to and comes from a port of loopback to another interface, as a switch does that mirrors a port,
/// but in two VLANs: so the agent can't tell its own traffic by its addresses.
fn mirror(port: u16) {
    let mut source = Capture::from_device("lo").unwrap().immediate_mode(true).snaplen(65_535).open().unwrap();
    source.filter(&format!("tcp port {port}"), true).unwrap();
    let mut copy = Capture::from_device("wb").unwrap().open().unwrap();
    loop {
        let Ok(packet) = source.next_packet() else { continue };
        let (addresses, rest) = packet.data.split_at(12);
        let tagged = [addresses, &[0x88, 0xa8, 0, 5, 0x81, 0, 0, 6], rest].concat();
        let _ = copy.sendpacket(tagged);
    }
}

#[test]
fn an_echo_in_a_tunnel_is_paused() {
    in_namespace("capture::an_echo_in_a_tunnel_is_paused", || {
        let kafka = kafka();
        assert!(ip("link set lo mtu 16000") && ip("link set wa mtu 65535") && ip("link set wb mtu 65535"));
        let home = Scratch::new("tunnel");
        kafka.create_topic("tunnel-packets", 2, &[]);
        let port = kafka.bootstrap().rsplit(':').next().unwrap().parse().unwrap();
        thread::spawn(move || mirror(port));
        let mut agent = capture_on(&["wa"], &kafka, "tunnel", &home, &[]);
        let others = thread::spawn(|| {
            let mut sender = Capture::from_device("wb").unwrap().open().unwrap();
            let mut noise = 1u64;
            for _ in 0..12_000 {
                let mut frame = [&[2; 12][..], &[0x88, 0xb5]].concat();
                frame.extend((0..1000).map(|_| {
                    noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    noise.to_be_bytes()[0]
                }));
                sender.sendpacket(frame).unwrap();
                thread::sleep(Duration::from_millis(5));
            }
        });
        agent.write_within(LIMIT, "interface wa: what is captured follows what is published");
        agent.write_within(LIMIT, "interface wa: capturing goes on");
        agent.stop_within(LIMIT);
        let (received, published, dropped) = accounts(&agent.log());
        assert_eq!(received, published + dropped, "{}", agent.log());
        drop(others);
    });
}
