//! The whole line, from capture files to the lake: each part alone, then all at once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use weir_contract::columns::arrow_schema;
use weir_contract::{RecordType, Selection, topics};
use weir_tests::process::{Process, Scratch, binary};

use crate::client::{Values, consume, create_limit_topics, own_cpu};
use crate::lab::{LIMIT, Lab, Program, Stopwatch, Topics};

/// Partitions of the topic of packets.
const PARTITIONS: u32 = 8;

/// So often is each part measured; the least CPU time counts, since what else the machine does only adds.
const ROUNDS: u32 = 3;

pub fn measure(captures: &[PathBuf]) {
    let lab = Lab::start();
    for capture in captures {
        let name = capture.file_stem().unwrap().to_str().unwrap().to_owned();
        let mut alone = Costs::default();
        for round in 0..ROUNDS {
            alone.least(each_alone(&lab, capture, &format!("{name}{round}"), round == 0));
        }
        alone.show(&name);
        all_at_once(&lab, capture, &format!("{name}-line"), &alone);
    }
}

/// CPU time of each part, and of the broker for it.
#[derive(Default)]
struct Costs {
    packets: f64,
    records: f64,
    /// Records by type.
    of_type: BTreeMap<String, f64>,
    seconds: BTreeMap<&'static str, f64>,
}

impl Costs {
    fn set(&mut self, what: &'static str, time: Duration) {
        self.seconds.insert(what, time.as_secs_f64());
    }

    fn least(&mut self, other: Self) {
        for (what, seconds) in &other.seconds {
            self.seconds.entry(what).and_modify(|least| *least = least.min(*seconds)).or_insert(*seconds);
        }
        (self.packets, self.records) = (other.packets, other.records);
        self.of_type = other.of_type;
    }

    fn of(&self, what: &str) -> f64 {
        self.seconds.get(what).copied().unwrap_or(f64::NAN)
    }

    fn show(&self, name: &str) {
        let Self { packets, records, .. } = self;
        println!(
            "\n{name}: {packets} packets, {records} records of {} types, {PARTITIONS} partitions; each part alone, least \
             of {ROUNDS}",
            self.of_type.len()
        );
        println!("{:44} {:>7} {:>10} {:>10} {:>7} {:>8}", "", "CPU s", "µs/packet", "µs/record", "goal", "× limit");
        let row = |what: &str, seconds: f64, goal: String, limit: Option<&str>| {
            let (packet, record) = (seconds * 1e6 / packets, seconds * 1e6 / records);
            let limit = limit.map_or(String::new(), |limit| format!("{:.1}", seconds / self.of(limit)));
            println!("{what:44} {seconds:7.2} {packet:10.2} {record:10.2} {goal:>7} {limit:>8}");
        };
        for (what, goal, limit) in [
            (DECODE, String::new(), None),
            (PRODUCE_BATCHES, String::new(), None),
            (AGENT, format!("{:.2}", packets * 1e-6), Some(PRODUCE_BATCHES)),
            (AGENT_BROKER, String::new(), None),
            (CONSUME_BATCHES, String::new(), None),
            (PRODUCE_RECORDS, String::new(), None),
            (PROCESSOR, format!("{:.2}", self.of(DECODE) + records * 1.2e-6), None),
        ] {
            row(what, self.of(what), goal, limit);
        }
        let over = self.of(PROCESSOR) - self.of(DECODE);
        let limit = (over / (self.of(CONSUME_BATCHES) + self.of(PRODUCE_RECORDS))).to_string();
        row("  over weir decode", over, format!("{:.2}", records * 1.2e-6), None);
        println!("{:44} {:>46}", "  × its limits together", limit.get(..4).unwrap_or(&limit));
        for (what, goal, limit) in [
            (PROCESSOR_BROKER, String::new(), None),
            (CONSUME_RECORDS, String::new(), None),
            (SINK, format!("{:.2}", self.allowed_to_sink()), Some(CONSUME_RECORDS)),
            (SINK_BROKER, String::new(), None),
        ] {
            row(what, self.of(what), goal, limit);
        }
    }

    /// Half a microsecond for each record and 30 ns for each of its columns.
    fn allowed_to_sink(&self) -> f64 {
        let allowed = |name: &str| {
            let columns = arrow_schema(RecordType::from_name(name).unwrap()).fields().len();
            0.5e-6 + 30e-9 * f64::from(u32::try_from(columns).unwrap())
        };
        self.of_type.iter().map(|(name, count)| count * allowed(name)).sum()
    }
}

const DECODE: &str = "weir decode --workers 1 --format null";
const PRODUCE_BATCHES: &str = "limit: Kafka's client writes the batches";
const AGENT: &str = "weir-agent replay";
const AGENT_BROKER: &str = "  broker";
const CONSUME_BATCHES: &str = "limit: Kafka's client reads the batches";
const PRODUCE_RECORDS: &str = "limit: Kafka's client writes the records";
const PROCESSOR: &str = "weir processor";
const PROCESSOR_BROKER: &str = "  broker ";
const CONSUME_RECORDS: &str = "limit: Kafka's client reads the records";
const SINK: &str = "weir sink";
const SINK_BROKER: &str = "  broker  ";

fn each_alone(lab: &Lab, capture: &Path, prefix: &str, with_limits: bool) -> Costs {
    let mut costs = Costs::default();
    costs.set(DECODE, decode(capture));
    let topics = lab.topics(prefix, PARTITIONS, "default");

    let watch = Stopwatch::start(lab);
    let mut agent = topics.start_agent(&[capture], &[]);
    costs.set(AGENT, agent.end());
    costs.set(AGENT_BROKER, watch.read().1);

    let watch = Stopwatch::start(lab);
    let mut processor = topics.start_processor(&[]);
    topics.wait_until_decoded(&mut processor);
    let page = processor.metrics();
    costs.set(PROCESSOR, processor.stop());
    costs.set(PROCESSOR_BROKER, watch.read().1);
    costs.packets = page.sum("weir_processor_packets_total");
    costs.records = page.sum("weir_processor_records_total");
    let name = |labels: &str| labels.split('"').nth(1).unwrap().to_owned();
    costs.of_type = page.of("weir_processor_records_total").map(|(labels, count)| (name(labels), count)).collect();

    let watch = Stopwatch::start(lab);
    let mut sink = topics.start_sink(&[]);
    sink.wait_for("weir_sink_records_read_total", costs.records);
    costs.set(SINK, sink.stop());
    costs.set(SINK_BROKER, watch.read().1);

    if with_limits {
        measure_limits(lab, &topics, &mut costs);
    }
    topics.remove();
    costs
}

fn measure_limits(lab: &Lab, topics: &Topics<'_>, costs: &mut Costs) {
    let batches = vec![topics::packets(&topics.prefix)];
    let records: Vec<_> = Selection::default().types().map(|of| of.topic(&topics.prefix)).collect();
    for (names, reading, writing) in
        [(batches, CONSUME_BATCHES, PRODUCE_BATCHES), (records, CONSUME_RECORDS, PRODUCE_RECORDS)]
    {
        create_limit_topics(&lab.kafka, &names);
        costs.set(reading, own_cpu(|| consume(&lab.kafka, &names, |_, _, _| {})));
        let values = Values::of(&lab.kafka, &names);
        costs.set(writing, own_cpu(|| values.produce(&lab.kafka)));
    }
    lab.remove_topics("limit");
}

/// CPU time of `weir decode`, with one worker, which is what one partition's engine has.
fn decode(capture: &Path) -> Duration {
    let home = Scratch::new("decode");
    let mut command = Command::new(binary("weir"));
    command.arg("decode").arg(capture).args(["--format", "null", "--workers", "1"]);
    command.args(["--partitions", &PARTITIONS.to_string()]);
    let mut decode = Process::start(command, &home.path().join("log"));
    assert!(decode.end_within(LIMIT).success(), "{}", decode.log());
    decode.cpu_time()
}

fn all_at_once(lab: &Lab, capture: &Path, prefix: &str, alone: &Costs) {
    let topics = lab.topics(prefix, PARTITIONS, "default");
    let mut processor = topics.start_processor(&["--workers", "2"]);
    let mut sink = topics.start_sink(&[]);
    // What they do before there is anything to do is not looked at.
    processor.wait_for("weir_processor_partitions", PARTITIONS.into());
    std::thread::sleep(Duration::from_secs(2));
    let watch = Stopwatch::start(lab);
    let before = [processor.process.cpu_time(), sink.process.cpu_time()];
    let mut agent = topics.start_agent(&[capture], &[]);
    let begun = Instant::now();
    let agent_cpu = agent.end();
    let published = begun.elapsed();
    topics.wait_until_decoded(&mut processor);
    let decoded = begun.elapsed();
    sink.wait_for("weir_sink_records_read_total", alone.records);
    let read = begun.elapsed();
    let memory = [&processor, &sink].map(|program: &Program| program.process.memory_peak_bytes() >> 20);
    let latency = processor.metrics().quantile("weir_processor_transaction_seconds", 0.99);
    let sink_cpu = sink.stop();
    let stored = begun.elapsed();
    let broker_cpu = watch.read().1;
    let processor_cpu = processor.stop();
    let bytes = topics.lake_bytes();
    println!(
        "all at once, 2 workers: published in {:.1} s, decoded in {:.1}, read by the sink in {:.1}, in the lake in {:.1}: \
         {:.0} packets/s and {:.0} records/s end to end; {} MB in the lake",
        published.as_secs_f64(),
        decoded.as_secs_f64(),
        read.as_secs_f64(),
        stored.as_secs_f64(),
        alone.packets / stored.as_secs_f64(),
        alone.records / stored.as_secs_f64(),
        bytes >> 20,
    );
    println!(
        "  memory at most: processor {} MB, sink {} MB; 99 % of transactions within {latency} s",
        memory[0], memory[1]
    );
    println!("  {:12} {:>7} {:>19} {:>19}", "", "CPU s", "CPU s/M packets", "CPU s/M records");
    let used = [
        ("agent", agent_cpu),
        ("processor", processor_cpu.saturating_sub(before[0])),
        ("sink", sink_cpu.saturating_sub(before[1])),
        ("broker", broker_cpu),
    ];
    for (name, time) in used.into_iter().chain([("all", used.iter().map(|(_, time)| *time).sum())]) {
        let seconds = time.as_secs_f64();
        let (packets, records) = (seconds * 1e6 / alone.packets, seconds * 1e6 / alone.records);
        println!("  {name:12} {seconds:7.2} {packets:19.2} {records:19.2}");
    }
    topics.remove();
}
