//! What a record costs, and what many open files take: `cargo test --release -p weir --test sink speed -- --ignored
//! --nocapture`.

use std::time::{Duration, Instant};

use prost::Message as _;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use weir_contract::{Meta, RecordType, record};
use weir_tests::process::wait_until;

use crate::kit::{APPEND_TIME, LIMIT, Lab, kafka};

/// Fills a topic without transactions, as fast as it goes.
fn fill(topic: &str, partitions: i32, count: u32, record: impl Fn(u32) -> Vec<u8>) {
    let mut config = kafka().client();
    config.set("linger.ms", "20").set("compression.type", "lz4").set("queue.buffering.max.messages", "500000");
    let producer: BaseProducer = config.create().unwrap();
    for number in 0..count {
        let value = record(number);
        let partition = i32::try_from(number).unwrap() % partitions;
        while producer.send(BaseRecord::<(), [u8]>::to(topic).payload(&value).partition(partition)).is_err() {
            producer.poll(Duration::from_millis(1));
        }
    }
    producer.flush(LIMIT).unwrap();
}

fn meta(number: u32) -> Meta {
    Meta {
        ts_ns: 1_700_000_000_000_000_000 + i64::from(number) * 1_000_003,
        sensor: "tap-1".into(),
        epoch: 7_077_077,
        packet_number: number.into(),
        uid: format!("C{:016x}", u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15)),
        community_id: format!("1:{:027x}=", number.wrapping_mul(0x85eb_ca6b)),
        src_ip: format!("10.0.{}.{}", number % 40, number % 251),
        src_port: 1024 + number % 60_000,
        dst_ip: format!("192.0.2.{}", number % 53),
        dst_port: 53,
        ..Meta::default()
    }
}

#[test]
#[ignore = "measures, for minutes"]
fn what_a_record_costs() {
    const COUNT: u32 = 2_000_000;
    let mut lab = Lab::start(8);
    kafka().create_topic(&format!("{}-udp", lab.prefix), 8, &[APPEND_TIME]);
    fill(&lab.topic(), 8, COUNT, |number| {
        record::Ntp { meta: Some(meta(number)), version: 4, mode: 3, ..record::Ntp::default() }.encode_to_vec()
    });
    fill(&format!("{}-udp", lab.prefix), 8, COUNT, |number| {
        record::Udp { meta: Some(meta(number)), payload_bytes: number % 1400, ..record::Udp::default() }.encode_to_vec()
    });
    for record_type in [RecordType::Ntp, RecordType::Udp] {
        let name = record_type.name();
        let begun = Instant::now();
        let folder = lab.home.path().join(name);
        let group = format!("{}-{name}", lab.prefix);
        let mut sink = lab.sink(&[
            "--records",
            name,
            "--group",
            &group,
            "--lake",
            folder.to_str().unwrap(),
            "--small-file-seconds",
            "4",
            "--file-seconds",
            "4",
        ]);
        sink.write_within(LIMIT, "\"reading\"");
        let first = sink.cpu_time();
        let held = || {
            let output = lab.weir("lake verify").arg("--lake").arg(&folder).output().unwrap();
            String::from_utf8(output.stdout).unwrap()
        };
        assert!(wait_until(LIMIT, || held().contains(&format!(" {COUNT} "))), "{}", held());
        let cpu = (sink.cpu_time() - first).as_secs_f64();
        let columns = 1 + record_type.info().fields.len();
        let each = cpu * 1e6 / f64::from(COUNT);
        println!(
            "{name}: {columns} columns, {each:.3} µs CPU a record of {:.3} µs allowed; {:.1} s in all, {} MB resident\n{}",
            0.5 + 0.03 * f64::from(u32::try_from(columns).unwrap()),
            begun.elapsed().as_secs_f64(),
            sink.memory_bytes() >> 20,
            held()
        );
        sink.stop_within(LIMIT);
    }
}

#[test]
#[ignore = "measures, for minutes"]
fn what_1200_open_files_take() {
    const PARTITIONS: i32 = 1200;
    const COUNT: u32 = 3_000_000;
    let mut lab = Lab::start(PARTITIONS);
    fill(&lab.topic(), PARTITIONS, COUNT, |number| {
        record::Ntp { meta: Some(meta(number)), version: 4, ..record::Ntp::default() }.encode_to_vec()
    });
    let mut sink = lab.sink(&["--small-file-seconds", "3600", "--file-seconds", "3600", "--listen", "127.0.0.1:19577"]);
    let page = || {
        use std::io::{Read as _, Write as _};
        let mut text = String::new();
        if let Ok(mut stream) = std::net::TcpStream::connect("127.0.0.1:19577") {
            let _ = stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
            let _ = stream.read_to_string(&mut text);
        }
        text
    };
    let value = |name: &str| -> f64 {
        let page = page();
        let line = page.lines().find(|line| line.starts_with(name)).and_then(|line| line.rsplit(' ').next());
        line.and_then(|value| value.parse().ok()).unwrap_or(0.0)
    };
    let mut peak = 0;
    let mut open = 0.0_f64;
    let all_read = wait_until(5 * LIMIT, || {
        peak = peak.max(sink.memory_bytes());
        open = open.max(value("weir_sink_open_files"));
        value("weir_sink_records_read_total") >= f64::from(COUNT) + f64::from(PARTITIONS)
            || value("weir_sink_records_read_total") >= f64::from(COUNT) && open >= f64::from(PARTITIONS)
    });
    std::thread::sleep(Duration::from_secs(2));
    println!(
        "read {} records into {open} open files at most; {:.0} MB of records counted, {} MB resident at most, {:.1} s CPU",
        value("weir_sink_records_read_total"),
        value("weir_sink_memory_bytes") / 1e6,
        peak >> 20,
        sink.cpu_time().as_secs_f64()
    );
    assert!(all_read, "{}", sink.log());
    let begun = Instant::now();
    sink.stop_within(LIMIT);
    println!("stopped in {:.1} s with {} files", begun.elapsed().as_secs_f64(), lab.files().len());
}
