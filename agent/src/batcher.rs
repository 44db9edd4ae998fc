//! One stream of packets, divided among partitions and cut into batches.

use crate::clock::Clock;
use std::time::Duration;
use weir_contract::{
    BatchBuilder, CaptureCounters, Full, Interface, Packet, PacketBatch, Partition, SensorKey, home_partition,
    partition, partition_key,
};

/// Size of batches that stay within a process: those of all partitions fit a core's second-level
/// cache together. Against the largest batches this takes a third off reading and batching.
pub const LOCAL_BATCH_BYTES: usize = 64_000;

/// A batch with this much closes after [`LARGE_AGE`].
const LARGE_BYTES: usize = 64 << 10;

/// The age at which a large batch closes in a live capture.
const LARGE_AGE: Duration = Duration::from_millis(200);

/// The age at which any batch closes in a live capture.
const SMALL_AGE: Duration = Duration::from_secs(1);

/// Every partition hears from a live capture this often.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// Divides a sensor's packets among its partitions and fills their batches.
///
/// Batches close by bytes alone as long as [`Batcher::due`] isn't called, so that replaying a file
/// gives the same batches each time.
#[derive(Debug)]
pub struct Batcher {
    sensor: SensorKey,
    slots: Vec<Slot>,
    clock: Clock,
    counters: CaptureCounters,
    spares: Vec<PacketBatch>,
}

/// A partition: its batch under construction, and when `due` saw it begin and closed one last.
#[derive(Debug)]
struct Slot {
    builder: BatchBuilder,
    begun: Option<Duration>,
    closed: Duration,
}

impl Batcher {
    /// A batcher for one run of a sensor, with at least one partition. Batches take up to
    /// `batch_bytes` encoded: [`weir_contract::MAX_BATCH_BYTES`] or [`LOCAL_BATCH_BYTES`].
    pub fn new(sensor: &str, epoch: i64, partition_count: u32, batch_bytes: usize) -> Self {
        let count = partition_count.max(1);
        let slot = |number| Slot {
            builder: BatchBuilder::new(sensor, epoch, Partition { number, count }).with_max_bytes(batch_bytes),
            begun: None,
            closed: Duration::ZERO,
        };
        Self {
            sensor: SensorKey::new(sensor),
            slots: (0..count).map(slot).collect(),
            clock: Clock::default(),
            counters: CaptureCounters::default(),
            spares: Vec::new(),
        }
    }

    /// Adds a packet, with its interface; `packet.interface` tells interfaces apart. Gives the
    /// batch that was full, if that one was.
    #[inline]
    pub fn push(&mut self, packet: &Packet<'_>, interface: &Interface) -> Option<PacketBatch> {
        let key = partition_key(&self.sensor, packet.link_type, packet.data);
        let number = partition(key, self.partition_count());
        let slot = self.slots.get_mut(usize::try_from(number).ok()?)?;
        let full = slot.builder.push(packet, interface).err().map(|Full| {
            let batch = slot.builder.finish(self.clock.watermark_ns(), self.spares.pop().unwrap_or_default());
            slot.begun = None;
            // An empty batch takes any packet.
            let _ = slot.builder.push(packet, interface);
            batch
        });
        if packet.ts_ns < self.clock.watermark_ns() {
            self.counters.late_packets += 1;
        }
        self.clock.observe(packet.ts_ns);
        self.counters.packets += 1;
        self.counters.received_packets += 1;
        self.counters.captured_bytes += i64::try_from(packet.data.len()).unwrap_or(i64::MAX);
        self.counters.original_bytes += i64::from(packet.original_length);
        self.counters.last_packet_ts_ns = packet.ts_ns;
        full
    }

    /// Takes note that no packet to come is older than this: so time goes on where none come. Heartbeats tell it.
    pub fn quiet_until(&mut self, ts_ns: i64) {
        self.clock.observe(ts_ns);
    }

    /// The batches of a live capture that are to go out now, `now` being the time since it began:
    /// those of 64 KiB after 200 ms, smaller ones after 1 s, and a heartbeat for each partition that
    /// was silent for 5 s. To be called every 100 ms or so; a batch's age counts from the first call
    /// that finds packets in it.
    pub fn due(&mut self, now: Duration) -> Vec<PacketBatch> {
        let watermark_ns = self.clock.watermark_ns();
        let home = usize::try_from(home_partition(&self.sensor, self.partition_count()));
        let mut batches = Vec::new();
        for (number, slot) in self.slots.iter_mut().enumerate() {
            let heartbeat = slot.builder.is_empty();
            let due = if heartbeat {
                now.saturating_sub(slot.closed) >= HEARTBEAT
            } else {
                let large = slot.builder.encoded_bytes() >= LARGE_BYTES;
                let age = now.saturating_sub(*slot.begun.get_or_insert(now));
                age >= if large { LARGE_AGE } else { SMALL_AGE }
            };
            if !due {
                continue;
            }
            slot.begun = None;
            slot.closed = now;
            let mut batch = slot.builder.finish(watermark_ns, self.spares.pop().unwrap_or_default());
            batch.heartbeat = heartbeat;
            batch.counters = (heartbeat && home == Ok(number)).then(|| self.counters.clone());
            batches.push(batch);
        }
        batches
    }

    /// The last batch of each partition, which says so. That of the home partition has the counters.
    pub fn finish(mut self) -> impl Iterator<Item = PacketBatch> {
        let home = usize::try_from(home_partition(&self.sensor, self.partition_count()));
        let watermark_ns = self.clock.watermark_ns();
        let mut counters = Some(self.counters);
        self.slots.into_iter().enumerate().map(move |(number, mut slot)| {
            let mut batch = slot.builder.finish(watermark_ns, self.spares.pop().unwrap_or_default());
            batch.end_of_capture = true;
            batch.counters = if home == Ok(number) { counters.take() } else { None };
            batch
        })
    }

    /// What was counted so far. What the batcher can't see is to be entered here before the
    /// counters go out: packets that a kernel received and dropped, those damaged, and the name of
    /// the source.
    pub fn counters(&mut self) -> &mut CaptureCounters {
        &mut self.counters
    }

    /// The packets that each partition was given so far, those of unfinished batches too.
    pub fn partition_packets(&self) -> impl Iterator<Item = (u32, i64)> {
        (0..).zip(self.slots.iter().map(|slot| slot.builder.packets()))
    }

    /// Takes back a batch that nobody needs any more, to fill its memory again.
    pub fn recycle(&mut self, batch: PacketBatch) {
        if self.spares.len() < self.slots.len() {
            self.spares.push(batch);
        }
    }

    fn partition_count(&self) -> u32 {
        u32::try_from(self.slots.len()).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
#[path = "batcher_tests.rs"]
mod tests;
