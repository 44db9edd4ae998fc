//! What a day takes of memory: a capture is replayed in a loop, many times faster than it was, from an agent to the lake.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::lab::{Lab, Program};

/// Partitions of the topic of packets.
const PARTITIONS: u32 = 8;

/// How much faster than it was the capture is replayed: of the large mix 12,000 packets a second.
const SPEED: u32 = 200;

/// Hours of the capture's time.
const HOURS: u32 = 24;

/// Between two looks, of the capture's time.
const STEP: Duration = Duration::from_secs(1800);

/// Letters of the longest bar.
const WIDTH: f64 = 40.0;

pub fn measure(capture: &Path) {
    let lab = Lab::start();
    let topics = lab.topics("day", PARTITIONS, "default");
    // An hour of the capture's time, so that the first hour has all that a day has.
    let age = (3600 / SPEED).to_string();
    let processor = topics.start_processor(&["--workers", "2", "--snapshot-age-ms", &format!("{age}000")]);
    let sink = topics.start_sink(&["--file-seconds", &age, "--small-file-seconds", &age]);
    let agent = topics.start_agent(&[capture], &["--loop", "--now", "--speed", &format!("{SPEED}x")]);
    let mut programs = [("agent", agent), ("processor", processor), ("sink", sink)];
    println!("MiB resident, beside what the processor and the sink say that they hold");
    println!(
        "{:>5} {:>7} {:>9} {:>7} {:>12} {:>9} {:>9}",
        "hours", "agent", "processor", "sink", "packets", "flows", "sink MiB"
    );
    let begun = Instant::now();
    let mut seen: Vec<(f64, [f64; 3])> = Vec::new();
    for step in 1..=(HOURS * 3600 / u32::try_from(STEP.as_secs()).unwrap()) {
        std::thread::sleep((STEP * step / SPEED).saturating_sub(begun.elapsed()));
        for (name, program) in &mut programs {
            assert!(program.process.status().is_none(), "{name} has ended:\n{}", program.process.log());
        }
        let hours = begun.elapsed().as_secs_f64() * f64::from(SPEED) / 3600.0;
        let memory = [&programs[0].1, &programs[1].1, &programs[2].1].map(resident);
        let (processor, sink) = (programs[1].1.metrics(), programs[2].1.metrics());
        println!(
            "{hours:5.1} {:7.0} {:9.0} {:7.0} {:12.0} {:9.0} {:9.0}",
            memory[0],
            memory[1],
            memory[2],
            processor.sum("weir_processor_packets_total"),
            processor.sum("weir_processor_flows"),
            sink.sum("weir_sink_memory_bytes") / f64::from(1 << 20)
        );
        seen.push((hours, memory));
    }
    for (place, (name, _)) in programs.iter().enumerate() {
        plot(name, seen.iter().map(|(hours, memory)| (*hours, memory[place])));
    }
    for (_, program) in &mut programs {
        program.process.kill();
    }
    topics.remove();
}

/// MiB.
fn resident(program: &Program) -> f64 {
    let kib = u32::try_from(program.process.memory_bytes() >> 10).unwrap();
    f64::from(kib) / 1024.0
}

/// Memory over time, and how it goes on from the second hour.
fn plot(name: &str, of_hours: impl Iterator<Item = (f64, f64)> + Clone) {
    let most = of_hours.clone().map(|(_, memory)| memory).fold(0.0, f64::max);
    println!("\n{name}, MiB");
    for (hours, memory) in of_hours.clone() {
        println!("{hours:5.1} {memory:7.0} {:#<1$}", "", bar(memory, most));
    }
    let mean = |from: f64, until: f64| {
        let within: Vec<f64> =
            of_hours.clone().filter(|(hours, _)| (from..until).contains(hours)).map(|(_, memory)| memory).collect();
        within.iter().sum::<f64>() / f64::from(u32::try_from(within.len()).unwrap())
    };
    let (first, last) = (mean(1.0, 7.0), mean(f64::from(HOURS) - 6.0, f64::INFINITY));
    println!(
        "hours 1 to 7: {first:.0} MiB on average; the last 6: {last:.0} MiB, {:+.1} %",
        (last / first - 1.0) * 100.0
    );
}

fn bar(memory: f64, most: f64) -> usize {
    (0_u32..).take_while(|letters| f64::from(*letters) < WIDTH * memory / most).count()
}
