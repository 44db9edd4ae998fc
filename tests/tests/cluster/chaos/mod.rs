//! Whatever is killed, frozen and cut off: records in topics and lake are those of an undisturbed run.
//!
//! `make chaos SEEDS=200 FIRST_SEED=1` runs so many seeds; a run that went wrong is repeated by its seed.

mod plan;
mod programs;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use weir_contract::PacketBatch;
use weir_tests::captures;
use weir_tests::fault_proxy::Fault;
use weir_tests::kafka::Kafka;

use crate::deployment::{Cluster, Deployment, LIMIT, Settings, kept};
use crate::log;
use crate::records::Records;
use plan::{Act, Plan, VIOLENCE};
use programs::Programs;

/// Partitions of `weir-packets`.
const PARTITIONS: u32 = 4;
/// A dozen types, so that topics are quickly made.
const RECORDS: &str = "connection,flow,dns,dhcpv4,ntp,snmp,syslog,tftp,udp,tcp,capture_stats,capture_loss,weird";
/// Sensors whose packets the test itself writes, over all the time.
const SENSORS: [&str; 2] = ["first", "second"];
/// The sensor that an agent replays.
const AGENT: &str = "agent";
/// Of the replay: it takes a few seconds.
const SPEED: &str = "30x";

/// Seeds that run at the same time, each with a broker and a store of its own: most of a run is waiting.
const AT_ONCE: u64 = 2;

#[test]
fn nothing_is_lost_and_nothing_doubled() {
    let number = |name: &str, default| std::env::var(name).map_or(default, |text| text.parse().expect(name));
    let (first, seeds): (u64, u64) = (number("FIRST_SEED", 1), number("SEEDS", 10));
    let traffic = Traffic::new(&Cluster::start());
    let (next, wrong) = (AtomicU64::new(first), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE.min(seeds) {
            scope.spawn(|| {
                let mut cluster = Cluster::start();
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + seeds {
                        return;
                    }
                    if !is_right(&mut cluster, seed, &traffic) {
                        wrong.lock().unwrap().push(seed);
                        cluster = Cluster::start();
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "wrong: seeds {wrong:?}");
    println!("{seeds} seeds from {first}: none wrong");
}

/// Runs a seed, and says what came of it.
fn is_right(cluster: &mut Cluster, seed: u64, traffic: &Traffic) -> bool {
    let plan = Plan::new(seed);
    let begun = Instant::now();
    let outcome = catch_unwind(AssertUnwindSafe(|| run(cluster, &plan, traffic)));
    // One piece: runs don't mix their lines.
    match &outcome {
        Ok(Outcome { is_right: true, text }) => println!("seed {seed}: {:.1} s, {text}", begun.elapsed().as_secs_f64()),
        Ok(Outcome { text, .. }) => println!("WRONG: {plan}\n{text}\n{}", again(seed)),
        // What it panicked with is printed already.
        Err(_) => println!("WRONG: {plan}\n{}", again(seed)),
    }
    let is_right = outcome.is_ok_and(|outcome| outcome.is_right);
    if !is_right {
        cluster.kafka.keep(&kept(&name(seed)));
    }
    is_right
}

/// What the topics of a run are named by, and its logs.
fn name(seed: u64) -> String {
    format!("chaos-{seed}")
}

/// How to repeat a run.
fn again(seed: u64) -> String {
    format!("again with: make chaos FIRST_SEED={seed} SEEDS=1; logs, the broker's too, are in target/tmp/chaos-{seed}")
}

/// What all runs do: the packets, and the records that undisturbed engines make of them.
struct Traffic {
    batches: Vec<PacketBatch>,
    expected: Records,
}

impl Traffic {
    fn new(cluster: &Cluster) -> Self {
        let office: Vec<_> = captures::own().into_iter().filter(|path| path.ends_with("office.pcapng")).collect();
        let batches = log::woven(SENSORS.map(|sensor| log::batches(sensor, &office, PARTITIONS)).into());
        let mut expected = replayed(cluster);
        expected.add(Records::of_batches(batches.iter().cloned(), PARTITIONS, RECORDS));
        Self { batches, expected }
    }
}

/// The records of an agent's replay that nothing disturbs. (At other than full speed a replay is a run of its own,
/// so that `weir decode` gives other epochs.)
fn replayed(cluster: &Cluster) -> Records {
    let deployment = Deployment::new(cluster, Settings::new("undisturbed", PARTITIONS, RECORDS));
    let mut agent = deployment.start_replay(AGENT, &captures::own(), SPEED);
    assert!(matches!(agent.end_within(LIMIT).code(), Some(0 | 1)), "{}", agent.log());
    let records = Records::of_packets(&cluster.kafka, "undisturbed", RECORDS);
    deployment.remove(cluster);
    records
}

/// What came of a run.
struct Outcome {
    is_right: bool,
    text: String,
}

fn run(cluster: &mut Cluster, plan: &Plan, traffic: &Traffic) -> Outcome {
    let settings = Settings {
        session: plan.session,
        transaction: plan.transaction,
        ..Settings::new(&name(plan.seed), PARTITIONS, RECORDS)
    };
    let deployment = Deployment::new(cluster, settings);
    deployment.proxy.disturb(plan.seed, plan.store_faults_percent, &Fault::ALL);
    let mut programs = Programs::start(&deployment, plan);
    let client = cluster.kafka.client();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| log::write(client, &deployment.settings.name, &traffic.batches, VIOLENCE));
        let broker = scope.spawn(|| wreak_broker(&mut cluster.kafka, plan));
        wreak(&deployment, &mut programs, plan);
        broker.join().unwrap();
        writer.join().unwrap();
    });
    deployment.proxy.heal();
    programs.calm_down();
    let decoding = deployment.decoding(&cluster.kafka);
    let (records, mut rows) = (traffic.expected.count(), deployment.rows(cluster));
    // What doesn't come within the time is what the differences tell.
    let _ = programs.wait_until(LIMIT, Programs::are_calm)
        && programs.wait_until(LIMIT, Programs::has_sent)
        && programs.wait_while_it_moves(LIMIT, || decoding.left())
        && programs.wait_while_it_moves(LIMIT, || records.saturating_sub(rows.count()));
    let ends = programs.stop(LIMIT);

    let differences = deployment.differences(cluster, &traffic.expected);
    let faults = deployment.faults(cluster);
    let is_right = differences.iter().all(|(_, differences)| differences.none()) && faults.is_empty();
    let places = differences.map(|(place, differences)| format!("{place}: {differences}")).join("; ");
    let text = format!(
        "{records} records; {places}; {} acts; {} transactions hung, {} of them committed; {} starts; store faults {:?}; {ends} {}",
        plan.acts.len(),
        deployment.lines_with("in case that Kafka forgot it"),
        deployment.lines_with("committed, as it was elsewhere"),
        programs.starts(),
        deployment.proxy.counts(),
        faults.join("\n"),
    );
    if is_right {
        deployment.remove(cluster);
    } else {
        deployment.keep_logs();
    }
    Outcome { is_right, text }
}

/// Does to programs and store what the plan says, when it says so; and starts again what ends by itself, as
/// whoever runs the programs does.
fn wreak(deployment: &Deployment, programs: &mut Programs<'_>, plan: &Plan) {
    let begun = Instant::now();
    let mut acts = plan.acts.iter().filter(|(_, act)| !act.is_of_broker()).peekable();
    while begun.elapsed() < VIOLENCE {
        while let Some((_, act)) = acts.next_if(|(when, _)| *when <= begun.elapsed()) {
            match *act {
                Act::StoreOutage(time) => deployment.proxy.fail_all_for(time),
                act => programs.suffer(act),
            }
        }
        programs.look_after();
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Does to the broker what the plan says, meanwhile: it takes some seconds to start.
fn wreak_broker(kafka: &mut Kafka, plan: &Plan) {
    let begun = Instant::now();
    for (when, act) in plan.acts.iter().filter(|(_, act)| act.is_of_broker()) {
        std::thread::sleep(when.saturating_sub(begun.elapsed()));
        match *act {
            Act::RestartBroker => kafka.restart(),
            Act::KillBroker(time) => {
                kafka.kill();
                std::thread::sleep(time);
                kafka.start_again();
            }
            Act::FreezeBroker(time) => {
                kafka.pause();
                std::thread::sleep(time);
                kafka.resume();
            }
            _ => {}
        }
    }
}
