//! Capture files as packet batches, at any speed.

use crate::outbox::Captured;
use crate::pace::{Pace, Speed};
use crate::sender::Sender;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use weir_agent::{Batcher, Merge, Merged, Outcome, inputs};
use weir_contract::{MAX_BATCH_BYTES, Packet, PacketBatch};

/// What to replay, and how.
pub struct Plan {
    /// Capture files, and folders of them.
    pub files: Vec<PathBuf>,
    /// Name of the sensor.
    pub sensor: String,
    /// Whether all files are one capture.
    pub merge: bool,
    /// How fast.
    pub speed: Speed,
    /// Whether to begin again at the end.
    pub repeat: bool,
    /// Whether captures begin now.
    pub now: bool,
}

/// At other speeds than the full one batches also close by age, in the capture's own time, looked at this often: so
/// they are the same whenever the file is replayed at that speed.
const TICK: Duration = Duration::from_millis(100);

/// The longest sleep, after which it is seen whether to stop.
const SLEEP: Duration = Duration::from_millis(50);

/// Packets between looks at whether to stop.
const PACKETS_BETWEEN_LOOKS: u64 = 1024;

/// A replay.
pub struct Replay<'a> {
    plan: &'a Plan,
    sender: &'a Sender,
    stop: &'a Arc<AtomicBool>,
    partition_count: u32,
    captured: Captured,
    complete: bool,
}

impl<'a> Replay<'a> {
    /// A replay by these means.
    pub fn new(plan: &'a Plan, sender: &'a Sender, stop: &'a Arc<AtomicBool>) -> Self {
        Self { plan, sender, stop, partition_count: 0, captured: Captured::default(), complete: true }
    }

    /// Puts all packets into the outbox, or those until it is stopped; whether all could be read.
    pub fn run(mut self) -> bool {
        let inputs = inputs::expand(&self.plan.files);
        for error in &inputs.errors {
            tracing::error!("{error}");
            self.complete = false;
        }
        for skipped in &inputs.skipped {
            tracing::info!("{skipped}");
        }
        let captures: Vec<_> = if self.plan.merge {
            vec![inputs.files]
        } else {
            inputs.files.into_iter().map(|file| vec![file]).collect()
        };
        let Some(count) = self.wait_for_topic() else { return self.complete };
        self.partition_count = count;
        for pass in 1.. {
            let mut seen = HashMap::new();
            for capture in &captures {
                self.replay(capture, pass, &mut seen);
                if self.is_stopped() {
                    return self.complete;
                }
            }
            // Without a packet it would go round and round in no time.
            if !self.plan.repeat || self.captured.packets == 0 {
                break;
            }
        }
        self.complete
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn wait_for_topic(&self) -> Option<u32> {
        while !self.is_stopped() {
            if let Some(count) = self.sender.partition_count() {
                return Some(count);
            }
            thread::sleep(SLEEP);
        }
        None
    }

    /// Replays one capture, unless it is the same as one that was.
    fn replay(&mut self, files: &[PathBuf], pass: u64, seen: &mut HashMap<i64, String>) {
        let mut merge = Merge::files_until(files, self.stop);
        if !merge.has_sources() {
            return self.close(merge.into_outcomes());
        }
        let begun = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let epoch = merge.epoch(&self.options(pass, begun));
        let name = || files.first().map(|file| file.display().to_string()).unwrap_or_default();
        if let Some(same) = seen.insert(epoch, name()) {
            return tracing::info!("{}: skipped, it is the same capture as {same}", name());
        }
        let mut stream = Stream {
            batcher: Batcher::new(&self.plan.sensor, epoch, self.partition_count, MAX_BATCH_BYTES),
            pace: Pace::default(),
            speed: self.plan.speed,
            begun: Instant::now(),
            next_tick: TICK,
            begin_at_ns: self.plan.now.then(|| i64::try_from(begun.as_nanos()).unwrap_or(i64::MAX)),
            shift_ns: None,
        };
        let mut packets = 0u64;
        while let Some(merged) = merge.next_packet() {
            // Files are never idle.
            let Merged::Packet(packet, interface) = merged else { continue };
            let packet = stream.moved(packet);
            if !self.wait(&mut stream, packet.ts_ns) {
                break;
            }
            packets += 1;
            self.captured.packets += 1;
            if let Some(batch) = stream.batcher.push(&packet, interface)
                && !self.send(&mut stream.batcher, batch)
            {
                break;
            }
            if packets.is_multiple_of(PACKETS_BETWEEN_LOOKS) && self.is_stopped() {
                break;
            }
        }
        let outcomes = merge.into_outcomes();
        if self.is_stopped() {
            // It is not at its end: the packets of its unfinished batches are sent when it is replayed again.
            self.sender.outbox().note(self.captured);
            return self.close(outcomes);
        }
        let counters = stream.batcher.counters();
        counters.source = outcomes.iter().map(|outcome| outcome.name.as_str()).collect::<Vec<_>>().join(", ");
        counters.damaged_packets = outcomes.iter().map(|outcome| outcome.damage.packets).sum();
        for batch in stream.batcher.finish() {
            self.push(batch);
        }
        self.close(outcomes);
    }

    /// What makes a replay's batches others than those of the same file at full speed: it is another run then.
    fn options(&self, pass: u64, begun: Duration) -> String {
        let mut options = String::new();
        if self.plan.speed != Speed::Full {
            options += "paced";
        }
        if self.plan.now {
            options += &format!(" now {}", begun.as_nanos());
        } else if pass > 1 {
            options += &format!(" pass {pass}");
        }
        options
    }

    /// Waits until it is time for a packet, and sends what is due before it. False if the replay is to stop.
    fn wait(&mut self, stream: &mut Stream, ts_ns: i64) -> bool {
        let Speed::Times(factor) = stream.speed else { return true };
        let elapsed = stream.pace.advance(ts_ns);
        while stream.next_tick <= elapsed {
            let tick = stream.next_tick;
            stream.next_tick += TICK;
            if !self.sleep_until(stream.begun + tick.div_f64(factor)) {
                return false;
            }
            for batch in stream.batcher.due(tick) {
                if !self.send(&mut stream.batcher, batch) {
                    return false;
                }
            }
        }
        self.sleep_until(stream.begun + elapsed.div_f64(factor))
    }

    fn sleep_until(&self, then: Instant) -> bool {
        loop {
            let left = then.saturating_duration_since(Instant::now());
            // A sleep shorter than a timer's step makes the replay late rather than even.
            if left < Duration::from_micros(500) {
                return true;
            }
            if self.is_stopped() {
                return false;
            }
            thread::sleep(left.min(SLEEP));
        }
    }

    /// Puts a batch into the outbox, and takes memory back for the next one.
    fn send(&self, batcher: &mut Batcher, batch: PacketBatch) -> bool {
        let sent = self.push(batch);
        while let Some(spare) = self.sender.outbox().spare() {
            batcher.recycle(spare);
        }
        sent
    }

    fn push(&self, batch: PacketBatch) -> bool {
        let outbox = self.sender.outbox();
        outbox.note(self.captured);
        outbox.push(batch, || self.is_stopped())
    }

    /// Says what was wrong with the files of a capture.
    fn close(&mut self, outcomes: Vec<Outcome>) {
        for outcome in outcomes {
            let stopped = |error: &weir_agent::SourceError| matches!(error.problem, weir_agent::SourceProblem::Stopped);
            for error in outcome.damage.problems.iter().filter(|error| !stopped(error)) {
                tracing::error!("{error}");
                self.complete &= error.is_damage();
            }
            tracing::info!("{}: {} packets read", outcome.name, outcome.packets);
        }
    }
}

/// A capture as it is replayed.
struct Stream {
    batcher: Batcher,
    pace: Pace,
    speed: Speed,
    begun: Instant,
    /// When batches are looked at next, in the capture's time.
    next_tick: Duration,
    /// When the capture is to begin, if its times are to be moved.
    begin_at_ns: Option<i64>,
    /// How far its times are moved, once its first packet is known.
    shift_ns: Option<i64>,
}

impl Stream {
    /// The packet at the time it is to have.
    fn moved<'p>(&mut self, packet: Packet<'p>) -> Packet<'p> {
        let Some(begin_at_ns) = self.begin_at_ns else { return packet };
        let shift_ns = *self.shift_ns.get_or_insert(begin_at_ns.saturating_sub(packet.ts_ns));
        Packet { ts_ns: packet.ts_ns.saturating_add(shift_ns), ..packet }
    }
}
