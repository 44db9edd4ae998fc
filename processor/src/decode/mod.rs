//! `weir decode`: captures in, records out, on one machine and without Kafka.

mod pipeline;
mod progress;
mod summary;
mod tally;

use std::{
    collections::HashMap,
    fmt,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use weir_agent::{
    Batcher, Filter, LOCAL_BATCH_BYTES, LiveError, LiveHandles, LiveOptions, Merge, Merged, Outcome,
    inputs::{self, Inputs},
    random_epoch,
};
use weir_contract::Selection;
use weir_engine::{Counters, Limits};
use weir_service::random::random;

use crate::{
    output::{Output, OutputError, Written},
    privacy::Privacy,
    terminal,
};
use pipeline::{Pipeline, Plan};
use progress::Progress;
use tally::Tally;

/// What to decode, and how.
#[derive(Debug)]
pub struct Settings {
    /// Where packets come from.
    pub input: Input,
    /// Where records go; `None` to count them only.
    pub output: Option<Output>,
    /// Which records.
    pub selection: Selection,
    /// What becomes of addresses in records, unless they are kept.
    pub privacy: Option<Privacy>,
    /// Which packets, as a BPF expression; all if empty.
    pub bpf: String,
    /// Name of the sensor in the records.
    pub sensor: String,
    /// Partitions that packets are divided among, as a cluster would.
    pub partitions: u32,
    /// Threads that decode, and as many that write.
    pub workers: usize,
    /// Bounds of all engines together.
    pub limits: Limits,
}

/// Where packets come from.
#[derive(Debug)]
pub enum Input {
    /// Capture files and folders, each a capture of its own.
    Files(Vec<PathBuf>),
    /// Capture files and folders, merged by time into one capture.
    Merged(Vec<PathBuf>),
    /// Interfaces, merged by time into one capture, until interrupted.
    Interfaces(Vec<String>),
}

/// What came of decoding.
pub struct Report {
    selection: Selection,
    tally: Tally,
    counters: Counters,
    /// Each input with what was wrong with it.
    outcomes: Vec<Outcome>,
    inputs: Inputs,
    /// Whether there was anything to decode.
    opened: bool,
    /// Whether an input was not decoded, or only in part, for a reason of its own.
    failed: bool,
    written: Vec<Written>,
    errors: Vec<OutputError>,
    dropped_packets: i64,
    filtered_packets: u64,
    elapsed: Duration,
    interrupted: bool,
}

/// Packets between looks at the clock, the progress bar and the stop flag.
const PACKETS_BETWEEN_LOOKS: u64 = 1024;

/// Decodes what `settings` names until its end, or until `stop` is set.
pub fn run(settings: &Settings, stop: &Arc<AtomicBool>) -> anyhow::Result<Report> {
    let begun = Instant::now();
    let (inputs, captures) = captures(&settings.input);
    let shares_terminal = settings.output.as_ref().is_some_and(Output::is_terminal);
    for error in &inputs.errors {
        terminal::tell(format_args!("error: {error}"));
    }
    for skipped in &inputs.skipped {
        terminal::tell(format_args!("note: {skipped}"));
    }
    let workers = settings.workers.clamp(1, usize::try_from(settings.partitions)?);
    let mut pipeline = Pipeline::start(&Plan {
        workers,
        limits: settings.limits,
        seed: random(),
        selection: settings.selection,
        privacy: settings.privacy.clone(),
        output: settings.output.clone(),
        prompt: matches!(settings.input, Input::Interfaces(_))
            && settings.output.as_ref().is_some_and(Output::is_stdout),
    });
    let mut reading = Reading {
        settings,
        stop,
        progress: if shares_terminal { Progress::hidden() } else { Progress::start(&settings.input, &inputs.files) },
        outcomes: Vec::new(),
        epochs: HashMap::new(),
        opened: false,
        failed: false,
        dropped_packets: 0,
        filtered_packets: 0,
        bytes_read: 0,
    };
    for capture in captures {
        reading.decode(&capture, &mut pipeline);
        if reading.is_stopped() || pipeline.has_failed() {
            break;
        }
    }
    let Reading { progress, outcomes, opened, failed, dropped_packets, filtered_packets, .. } = reading;
    let finished = pipeline.finish();
    progress.finish();
    Ok(Report {
        selection: settings.selection,
        tally: finished.tally,
        counters: finished.counters,
        outcomes,
        inputs,
        opened,
        failed,
        written: finished.written,
        errors: finished.errors,
        dropped_packets,
        filtered_packets,
        elapsed: begun.elapsed(),
        interrupted: stop.load(Ordering::Relaxed),
    })
}

/// One run of a sensor.
enum Capture {
    Files(Vec<PathBuf>),
    Interfaces(Vec<String>),
}

impl fmt::Display for Capture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Files(paths) => match paths.as_slice() {
                [path] => path.display().fmt(f),
                paths => write!(f, "{} merged files", paths.len()),
            },
            Self::Interfaces(names) => f.write_str(&names.join(", ")),
        }
    }
}

fn captures(input: &Input) -> (Inputs, Vec<Capture>) {
    match input {
        Input::Files(paths) => {
            let inputs = inputs::expand(paths);
            let captures = inputs.files.iter().map(|file| Capture::Files(vec![file.clone()])).collect();
            (inputs, captures)
        }
        Input::Merged(paths) => {
            let inputs = inputs::expand(paths);
            let captures = vec![Capture::Files(inputs.files.clone())];
            (inputs, captures)
        }
        Input::Interfaces(names) => (Inputs::default(), vec![Capture::Interfaces(names.clone())]),
    }
}

/// Reads captures and deals their packets to the pipeline.
struct Reading<'a> {
    settings: &'a Settings,
    stop: &'a Arc<AtomicBool>,
    progress: Progress,
    outcomes: Vec<Outcome>,
    /// The captures that were decoded, by their epoch.
    epochs: HashMap<i64, String>,
    opened: bool,
    failed: bool,
    dropped_packets: i64,
    filtered_packets: u64,
    bytes_read: u64,
}

/// A capture that was opened.
struct Opened {
    merge: Merge,
    epoch: i64,
    /// None where there is nothing to filter, or the kernel does it.
    filter: Option<Filter>,
}

impl Reading<'_> {
    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn open(&self, capture: &Capture) -> Result<Opened, LiveError> {
        let bpf = (!self.settings.bpf.is_empty()).then_some(&self.settings.bpf);
        Ok(match capture {
            Capture::Files(paths) => {
                let merge = Merge::files_until(paths, self.stop);
                let epoch = merge.epoch(&self.settings.bpf);
                Opened { merge, epoch, filter: bpf.map(|bpf| Filter::new(bpf)) }
            }
            Capture::Interfaces(names) => {
                let options = LiveOptions { filter: bpf.cloned(), ..LiveOptions::default() };
                let live = LiveHandles::open(names, &options)?.start("", self.stop)?;
                // Each run of a sensor is its own, so no two may share an epoch.
                Opened { merge: Merge::one(&capture.to_string(), live), epoch: random_epoch(), filter: None }
            }
        })
    }

    fn decode(&mut self, capture: &Capture, pipeline: &mut Pipeline) {
        let settings = self.settings;
        let Opened { mut merge, epoch, mut filter } = match self.open(capture) {
            Ok(opened) => opened,
            Err(error) => return self.fail(&error.to_string()),
        };
        if !merge.has_sources() {
            return self.close(merge.into_outcomes());
        }
        if let Some(same) = self.epochs.get(&epoch) {
            // Its records would have the identities of those that are there.
            return self.progress.note(&format!("{capture}: skipped, it is the same capture as {same}"));
        }
        self.epochs.insert(epoch, capture.to_string());
        self.opened = true;
        let mut batcher = Batcher::new(&settings.sensor, epoch, settings.partitions, LOCAL_BATCH_BYTES);
        let begun = Instant::now();
        let mut packets = 0u64;
        while let Some(merged) = merge.next_packet() {
            let idle = match merged {
                Merged::Packet(packet, interface) => {
                    packets += 1;
                    let keeps = filter.as_mut().map_or(Ok(true), |filter| filter.keeps(&packet));
                    let keeps = keeps.unwrap_or_else(|error| {
                        self.fail(&format!("{capture}: {error}; its packets of that type are left out"));
                        false
                    });
                    if !keeps {
                        self.filtered_packets += 1;
                    } else if let Some(batch) = batcher.push(&packet, interface) {
                        pipeline.push(batch).into_iter().for_each(|spare| batcher.recycle(spare));
                    }
                    false
                }
                Merged::Idle => true,
            };
            if !idle && !packets.is_multiple_of(PACKETS_BETWEEN_LOOKS) {
                continue;
            }
            self.progress.set(packets, self.bytes_read + merge.file_bytes_read());
            if pipeline.has_failed() {
                break;
            }
            match capture {
                Capture::Files(_) if self.is_stopped() => break,
                Capture::Files(_) => {}
                // A stopped interface ends by itself, once it has handed out what the kernel has.
                Capture::Interfaces(_) => {
                    if let Some(quiet_ns) = merge.quiet_until_ns() {
                        batcher.quiet_until(quiet_ns);
                    }
                    for batch in batcher.due(begun.elapsed()) {
                        pipeline.push(batch).into_iter().for_each(|spare| batcher.recycle(spare));
                    }
                }
            }
        }
        self.bytes_read += merge.file_bytes_read();
        let kernel = merge.kernel_counters();
        let outcomes = merge.into_outcomes();
        let counters = batcher.counters();
        counters.source = outcomes.iter().map(|outcome| outcome.name.as_str()).collect::<Vec<_>>().join(", ");
        counters.damaged_packets = outcomes.iter().map(|outcome| outcome.damage.packets).sum();
        if matches!(capture, Capture::Interfaces(_)) {
            kernel.enter(counters);
        }
        self.dropped_packets += kernel.dropped + kernel.interface_dropped + kernel.queue_dropped;
        for batch in batcher.finish() {
            pipeline.push(batch);
        }
        self.close(outcomes);
    }

    /// Says what was wrong with the sources of a capture, and keeps it for the table.
    fn close(&mut self, outcomes: Vec<Outcome>) {
        self.progress.report(&outcomes);
        self.outcomes.extend(outcomes);
    }

    /// Says why an input was not decoded, or only in part.
    fn fail(&mut self, why: &str) {
        self.progress.error(why);
        self.failed = true;
    }
}
