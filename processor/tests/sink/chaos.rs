//! Sinks that are killed, frozen and joined by others while the store misbehaves: by seeds, so that a run can be
//! repeated.

use std::time::Duration;

use weir_tests::fault_proxy::Fault;
use weir_tests::process::Process;
use weir_tests::random::Random;

use crate::kit::{LIMIT, Lab, Writer, assert_exact};

const PARTITIONS: i32 = 4;

#[test]
fn nothing_is_lost_or_doubled_whatever_happens_to_sinks_and_store() {
    let variable = |name: &str, default| std::env::var(name).map_or(default, |value| value.parse().unwrap());
    let (first, seeds) = (variable("FIRST_SEED", 0), variable("SEEDS", 3));
    for seed in first..first + seeds {
        run(seed);
    }
}

fn run(seed: u64) {
    let mut random = Random::new(seed);
    let mut lab = Lab::start(PARTITIONS);
    let mut writer = Writer::new(&lab, PARTITIONS);
    let mut sinks = vec![lab.sink(&[])];
    let mut frozen: Vec<Process> = Vec::new();
    let faults: Vec<_> = Fault::ALL.into_iter().filter(|fault| *fault != Fault::Hang).collect();
    let (mut written, mut kills, mut freezes) = (0, 0, 0);
    for _ in 0..12 {
        let percent = random.below(70);
        lab.proxy.disturb(random.number(), percent, &faults);
        if random.happens(20) {
            lab.proxy.fail_next("PUT", Fault::Hang);
        }
        if random.happens(10) {
            lab.proxy.fail_all_for(Duration::from_secs(2));
        }
        let count = 50 + i64::try_from(random.below(400)).unwrap();
        writer.write(count);
        written += count;
        std::thread::sleep(Duration::from_millis(random.below(3000)));
        match random.below(4) {
            0 if !sinks.is_empty() => {
                let chosen = random.below(sinks.len() as u64);
                sinks.swap_remove(usize::try_from(chosen).unwrap()).kill();
                kills += 1;
            }
            1 if !sinks.is_empty() => {
                // Longer than the session lasts, so that others take over what it still believes to own.
                let chosen = random.below(sinks.len() as u64);
                let mut sink = sinks.swap_remove(usize::try_from(chosen).unwrap());
                sink.pause();
                frozen.push(sink);
                freezes += 1;
            }
            2 if !frozen.is_empty() => {
                let mut sink = frozen.swap_remove(0);
                sink.resume();
                sinks.push(sink);
            }
            _ => {}
        }
        if sinks.len() < 2 {
            sinks.push(lab.sink(&[]));
        }
    }
    for mut sink in frozen {
        sink.resume();
        sinks.push(sink);
    }
    lab.proxy.heal();
    lab.wait_for(usize::try_from(written).unwrap(), &sinks.iter().collect::<Vec<_>>());
    for mut sink in sinks {
        sink.stop_within(LIMIT);
    }
    let faults: u64 = lab.proxy.counts().values().sum();
    println!(
        "seed {seed}: {written} records, {kills} kills, {freezes} freezes, {faults} faults, {} files",
        lab.files().len()
    );
    assert_exact(&lab, written);
}
