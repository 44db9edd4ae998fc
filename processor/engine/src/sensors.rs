//! The runs of sensors that an engine hears: how far each has come, and what is missing of it.

use std::collections::BTreeMap;

use weir_contract::{PacketBatch, SensorKey, record::CaptureLossReason};

use crate::{flow::SensorHash, output::encode_sensor};

/// Runs that an engine knows at once, over or not: what is over is remembered so that its batches, should
/// they be sent again, are known. A restarted replay sends those of all its files.
const RUNS_MAX: usize = 4096;

/// A run is over when nothing of it was appended for so long, ms. Agents send a heartbeat each 5 s.
const SILENCE_MAX_MS: i64 = 600_000;

/// How often append time is asked who is silent, ms.
const SILENCE_CHECK_MS: i64 = 10_000;

/// One run of a sensor.
pub(crate) struct Sensor {
    pub(crate) name: String,
    pub(crate) epoch: i64,
    pub(crate) watermark_ns: i64,
    pub(crate) key: SensorKey,
    /// Encoded beginning of its records' Meta.
    pub(crate) prefix: Vec<u8>,
    /// SHA-256 that has taken in name and epoch.
    pub(crate) hash: SensorHash,
    pub(crate) finished: bool,
    pub(crate) heard: Heard,
}

/// What was heard of a run in the engine's partition.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Heard {
    /// Sequence of the last batch; `None` in the state of a release that took no note of it.
    pub(crate) sequence: Option<i64>,
    /// Packets in the batches up to that one, the lost ones too.
    pub(crate) packets: i64,
    /// The last packet of it.
    pub(crate) packet_number: i64,
    /// Ordinal of its last batch among those of all runs.
    pub(crate) ordinal: u64,
    /// When that was appended, ms; 0 where nobody said.
    pub(crate) appended_ms: i64,
    /// Packet number of its last `CaptureStats`, and how many had the same.
    pub(crate) stats: (i64, u32),
    /// Losses it was told of.
    pub(crate) losses: u32,
    /// Gaps in the log that were there when it was last heard.
    pub(crate) gaps: u64,
}

/// Offsets of the log that could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gap {
    pub(crate) reason: CaptureLossReason,
    pub(crate) first_offset: i64,
    pub(crate) last_offset: i64,
}

/// Packets that never came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Loss {
    pub(crate) reason: CaptureLossReason,
    pub(crate) packets: i64,
    pub(crate) first_sequence: i64,
    pub(crate) last_sequence: i64,
    pub(crate) offsets: Option<(i64, i64)>,
}

/// What a batch is to its run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// It was there before.
    Repeated,
    /// It is the next one, and so much is missing before it.
    Next(Option<Loss>),
}

impl Sensor {
    pub(crate) fn new(name: &str, epoch: i64) -> Self {
        Self {
            name: name.to_owned(),
            epoch,
            watermark_ns: i64::MIN,
            key: SensorKey::new(name),
            prefix: encode_sensor(name, epoch),
            hash: SensorHash::new(name, epoch),
            finished: false,
            heard: Heard { sequence: Some(0), ..Heard::default() },
        }
    }

    /// Compares what was heard with a number of batches that were sent, and takes it for heard.
    fn catch_up(&mut self, sequence: i64, packets: i64) -> Option<Loss> {
        let before = self.heard.sequence.replace(sequence);
        let missing = packets.saturating_sub(self.heard.packets).max(0);
        self.heard.packets = self.heard.packets.max(packets);
        let first_sequence = before?.saturating_add(1);
        (first_sequence <= sequence).then_some(Loss {
            reason: CaptureLossReason::Sequence,
            packets: missing,
            first_sequence,
            last_sequence: sequence,
            offsets: None,
        })
    }

    /// How far its time has come, ns; 0 where that is unknown.
    pub(crate) fn time_ns(&self) -> i64 {
        if self.watermark_ns == i64::MIN { 0 } else { self.watermark_ns }
    }

    /// Ordinal of a `CaptureStats` of the packet number among those that have it.
    pub(crate) fn next_stats(&mut self, packet_number: i64) -> u32 {
        let (number, count) = self.heard.stats;
        let ordinal = if number == packet_number { count } else { 0 };
        self.heard.stats = (packet_number, ordinal.saturating_add(1));
        ordinal
    }

    /// Ordinal of a `CaptureLoss` among those of the run in all partitions.
    pub(crate) fn next_loss(&mut self, partition: u32, partition_count: u32) -> u32 {
        let ordinal = self.heard.losses;
        self.heard.losses = ordinal.saturating_add(1);
        ordinal.saturating_mul(partition_count.max(1)).saturating_add(partition)
    }
}

/// All runs of an engine, at indexes that stay.
#[derive(Default)]
pub(crate) struct Sensors {
    runs: Vec<Sensor>,
    /// Indexes by epoch, which nearly always tells runs apart.
    by_epoch: BTreeMap<i64, Vec<u16>>,
    /// Batches that were heard.
    pub(crate) batches: u64,
    /// How far append time has come, ms; 0 where nobody said.
    pub(crate) appended_ms: i64,
    /// Gaps in the log so far, and the last of them.
    pub(crate) gaps: u64,
    pub(crate) gap: Option<Gap>,
}

impl Sensors {
    pub(crate) fn get(&self, index: u16) -> Option<&Sensor> {
        self.runs.get(usize::from(index))
    }

    pub(crate) fn get_mut(&mut self, index: u16) -> Option<&mut Sensor> {
        self.runs.get_mut(usize::from(index))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Sensor> {
        self.runs.iter()
    }

    pub(crate) fn find(&self, name: &str, epoch: i64) -> Option<u16> {
        let same_epoch = self.by_epoch.get(&epoch)?;
        same_epoch.iter().copied().find(|&index| self.get(index).is_some_and(|run| run.name == name))
    }

    /// The run that must go before there is room for one more: of those that are over, or else of all, the one
    /// that was heard longest ago.
    pub(crate) fn to_give_up(&self) -> Option<u16> {
        if self.runs.len() < RUNS_MAX {
            return None;
        }
        let indexed = (0..).zip(&self.runs);
        indexed.min_by_key(|(_, run)| (!run.finished, run.heard.ordinal)).map(|(index, _)| index)
    }

    /// Adds a run, in the place of the one that is to be given up.
    pub(crate) fn insert(&mut self, run: Sensor) -> u16 {
        let epoch = run.epoch;
        let index = match self.to_give_up() {
            Some(index) => {
                if let Some(place) = self.runs.get_mut(usize::from(index)) {
                    let before = std::mem::replace(place, run);
                    if let Some(same_epoch) = self.by_epoch.get_mut(&before.epoch) {
                        same_epoch.retain(|&other| other != index);
                        if same_epoch.is_empty() {
                            self.by_epoch.remove(&before.epoch);
                        }
                    }
                }
                index
            }
            None => {
                self.runs.push(run);
                // There are at most RUNS_MAX.
                u16::try_from(self.runs.len() - 1).unwrap_or(u16::MAX)
            }
        };
        self.by_epoch.entry(epoch).or_default().push(index);
        index
    }

    /// Takes note of a batch of the run.
    pub(crate) fn hear(&mut self, index: u16, batch: &PacketBatch) -> Arrival {
        let (ordinal, appended_ms, gaps, gap) = (self.batches.saturating_add(1), self.appended_ms, self.gaps, self.gap);
        let Some(run) = self.get_mut(index) else { return Arrival::Repeated };
        if run.heard.sequence.is_some_and(|last| batch.sequence <= last) {
            // It lives, whatever it says.
            run.heard.appended_ms = appended_ms;
            return Arrival::Repeated;
        }
        let mut loss = run.catch_up(batch.sequence.saturating_sub(1), batch.packets_before);
        if let (Some(loss), Some(gap)) = (&mut loss, gap.filter(|_| run.heard.gaps < gaps)) {
            loss.reason = gap.reason;
            loss.offsets = Some((gap.first_offset, gap.last_offset));
        }
        let packets = i64::try_from(batch.packet_count()).unwrap_or(i64::MAX);
        let heard = &mut run.heard;
        heard.sequence = Some(batch.sequence);
        heard.packets = heard.packets.saturating_add(packets);
        heard.ordinal = ordinal;
        heard.appended_ms = appended_ms;
        heard.gaps = gaps;
        run.finished = false;
        self.batches = ordinal;
        Arrival::Next(loss)
    }

    /// Whether another run of the same sensor was heard since this one was.
    pub(crate) fn is_interrupted(&self, index: u16) -> bool {
        let Some(run) = self.get(index) else { return false };
        let last = run.heard.ordinal;
        let was_heard = last > 0 && last < self.batches;
        was_heard && self.runs.iter().any(|other| other.heard.ordinal > last && other.name == run.name)
    }

    /// What is missing of a run that is over, by the word of the one that followed.
    pub(crate) fn hear_end(&mut self, index: u16, sequence: i64, packets: i64) -> Option<Loss> {
        let run = self.get_mut(index)?;
        if run.heard.sequence.is_some_and(|last| sequence <= last) {
            return None;
        }
        let loss = run.catch_up(sequence, packets)?;
        Some(Loss { reason: CaptureLossReason::Restart, ..loss })
    }

    /// Moves append time on; says who has been silent for too long.
    pub(crate) fn append(&mut self, appended_ms: i64) -> Vec<u16> {
        let before_ms = self.appended_ms;
        self.appended_ms = before_ms.max(appended_ms);
        if self.appended_ms / SILENCE_CHECK_MS == before_ms / SILENCE_CHECK_MS {
            return Vec::new();
        }
        let limit_ms = self.appended_ms.saturating_sub(SILENCE_MAX_MS);
        let is_silent = |run: &Sensor| !run.finished && run.heard.appended_ms != 0 && run.heard.appended_ms < limit_ms;
        (0..).zip(&self.runs).filter(|(_, run)| is_silent(run)).map(|(index, _)| index).collect()
    }

    /// Says that offsets of the log are missing: what runs lack from now on, they lack for it.
    pub(crate) fn miss(&mut self, gap: Gap) {
        self.gaps = self.gaps.saturating_add(1);
        self.gap = Some(gap);
    }
}

#[cfg(test)]
#[path = "sensors_tests.rs"]
mod tests;
