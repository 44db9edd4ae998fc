//! The thread of one ring: takes packets out of it before it is full, whatever happens behind.

use super::LiveError;
use super::chunk::Chunk;
use super::control::Shared;
use super::handle::Handle;
use crate::filter::libpcap_reason;
use crate::source::KernelCounters;
use std::mem;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError};
use std::time::{Duration, Instant};
use weir_contract::{SensorKey, partition_key};

/// How often the kernel is asked for its counters.
const COUNTERS_EVERY: Duration = Duration::from_secs(1);

/// A stopped capture without a packet for so long is taken to be drained, whatever the kernel has counted.
const DRAINED_AFTER: Duration = Duration::from_millis(500);

/// What a ring's thread works with.
pub(super) struct Ring {
    pub(super) handle: Handle,
    pub(super) shared: Arc<Shared>,
    pub(super) sampling: Option<Sampling>,
    /// Once set, what the kernel has received by then is handed out, and then the thread ends.
    pub(super) stop: Arc<AtomicBool>,
    /// Set when nobody takes packets any more.
    pub(super) abandoned: Arc<AtomicBool>,
    pub(super) chunks: SyncSender<Chunk>,
    /// When the ring was last found empty, with nothing left to send.
    pub(super) found_empty: Arc<Moment>,
    /// Tells whoever takes chunks that there may be one. It holds one ring of the bell.
    pub(super) bell: SyncSender<()>,
    /// Chunks that were read and can be filled again.
    pub(super) spares: Receiver<Chunk>,
    pub(super) progress: Progress,
}

/// A time that one thread sets and another reads.
pub(super) struct Moment {
    base: Instant,
    since_base_ns: AtomicU64,
}

impl Moment {
    pub(super) fn now() -> Self {
        Self { base: Instant::now(), since_base_ns: AtomicU64::new(0) }
    }

    fn set(&self, at: Instant) {
        let since = at.saturating_duration_since(self.base).as_nanos();
        self.since_base_ns.store(u64::try_from(since).unwrap_or(u64::MAX), Ordering::Release);
    }

    pub(super) fn get(&self) -> Instant {
        self.base + Duration::from_nanos(self.since_base_ns.load(Ordering::Acquire))
    }
}

/// How far the thread of a ring has come.
pub(super) struct Progress {
    chunk: Chunk,
    version: u64,
    kernel: KernelCounters,
    counted: Instant,
    /// Packets taken out of the ring.
    taken: i64,
    received_at_stop: Option<i64>,
    /// When there was a packet last, or the capture was stopped.
    stirred: Instant,
}

impl Default for Progress {
    fn default() -> Self {
        Self {
            chunk: Chunk::new(),
            version: 0,
            kernel: KernelCounters::default(),
            counted: Instant::now(),
            taken: 0,
            received_at_stop: None,
            stirred: Instant::now(),
        }
    }
}

impl Ring {
    /// Captures until stopped; or says why it ended before.
    pub(super) fn run(mut self) -> Result<(), String> {
        let result = self.capture();
        self.count();
        if !self.progress.chunk.is_empty() {
            self.send_last();
        }
        self.shared.close_ring();
        result
    }

    fn capture(&mut self) -> Result<(), String> {
        while !self.is_over() {
            self.obey().map_err(reason)?;
            if self.progress.counted.elapsed() >= COUNTERS_EVERY {
                self.count();
            }
            let looked = Instant::now();
            if self.fill().map_err(|error| libpcap_reason(&error))? {
                self.progress.stirred = looked;
            } else {
                if self.progress.chunk.is_empty() {
                    self.found_empty.set(looked);
                }
                self.handle.wait();
            }
        }
        Ok(())
    }

    /// Takes packets until there are none, or the chunk is full, and sends it. Says whether there were any.
    fn fill(&mut self) -> Result<bool, pcap::Error> {
        let Self { handle, progress, sampling, .. } = self;
        let link_type = handle.link_type();
        let before = progress.taken;
        let mut sampled_out = 0;
        while !progress.chunk.is_full() {
            let Some((info, data)) = handle.next_packet()? else { break };
            progress.taken += 1;
            match sampling {
                Some(sampling) if !sampling.keeps(link_type, data) => sampled_out += 1,
                _ => progress.chunk.push(info, data),
            }
        }
        self.shared.add_sampled_out(sampled_out);
        let any = self.progress.taken > before;
        if !self.progress.chunk.is_empty() {
            self.send();
        }
        Ok(any)
    }

    /// Sends the chunk. Where the queue is full, the chunk goes on filling until it is full too; then its
    /// packets are dropped.
    fn send(&mut self) {
        let (packets, bytes) = (self.progress.chunk.packets(), self.progress.chunk.data_bytes());
        self.progress.chunk.arrived = Instant::now();
        match self.chunks.try_send(mem::replace(&mut self.progress.chunk, Chunk::new())) {
            Ok(()) => {
                self.shared.add_captured(packets, bytes);
                if let Ok(spare) = self.spares.try_recv() {
                    self.progress.chunk = spare;
                }
            }
            Err(TrySendError::Full(chunk) | TrySendError::Disconnected(chunk)) => {
                self.progress.chunk = chunk;
                if self.progress.chunk.is_full() {
                    self.shared.add_queue_dropped(packets);
                    self.progress.chunk.clear();
                }
            }
        }
        // It is rung already where this fails.
        let _ = self.bell.try_send(());
    }

    /// Sends the last chunk, which may wait: nothing is captured any more.
    fn send_last(&mut self) {
        let (packets, bytes) = (self.progress.chunk.packets(), self.progress.chunk.data_bytes());
        self.progress.chunk.arrived = Instant::now();
        match self.chunks.send(mem::replace(&mut self.progress.chunk, Chunk::new())) {
            Ok(()) => self.shared.add_captured(packets, bytes),
            Err(_) => self.shared.add_queue_dropped(packets),
        }
        let _ = self.bell.try_send(());
    }

    /// Whether the capture was abandoned; or stopped, and all that came before is handed out.
    fn is_over(&mut self) -> bool {
        if self.abandoned.load(Ordering::Relaxed) {
            return true;
        }
        if !self.stop.load(Ordering::Relaxed) {
            return false;
        }
        let until = match self.progress.received_at_stop {
            Some(until) => until,
            None => {
                self.count();
                let until = self.progress.kernel.received;
                self.progress.received_at_stop = Some(until);
                self.progress.stirred = Instant::now();
                until
            }
        };
        let all = self.progress.taken + self.progress.kernel.dropped >= until;
        all || self.progress.stirred.elapsed() >= DRAINED_AFTER
    }

    /// Excludes what is to be excluded by now, pauses or goes on.
    fn obey(&mut self) -> Result<(), LiveError> {
        let version = self.shared.version();
        if version == self.progress.version {
            return Ok(());
        }
        self.progress.version = version;
        if self.shared.is_paused() { self.handle.pause() } else { self.handle.resume(&self.shared.excluded()) }
    }

    fn count(&mut self) {
        let now = self.handle.kernel_counters();
        self.shared.add_kernel(self.progress.kernel, now);
        self.progress.kernel = now;
        self.progress.counted = Instant::now();
    }
}

fn reason(error: LiveError) -> String {
    error.to_string()
}

/// Keeps the packets of one in so many address pairs, so that those it keeps are whole conversations. Which
/// pairs these are is the same on every sensor and in every run.
#[derive(Clone, Debug)]
pub(super) struct Sampling {
    one_in: NonZeroU32,
    key: SensorKey,
}

impl Sampling {
    pub(super) fn new(one_in: NonZeroU32) -> Option<Self> {
        (one_in.get() > 1).then(|| Self { one_in, key: SensorKey::new("") })
    }

    /// The partition key without its sensor: the same for both directions and all fragments of a
    /// conversation. What has no addresses at all is kept or left out as one.
    fn keeps(&self, link_type: u16, data: &[u8]) -> bool {
        partition_key(&self.key, link_type, data).is_multiple_of(self.one_in.get().into())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const RAW_IP: u16 = 101;

    fn packet(from: u32, to: u32, source_port: u16) -> Vec<u8> {
        let header = [0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0];
        [&header[..], &from.to_be_bytes(), &to.to_be_bytes(), &source_port.to_be_bytes(), &[0, 53, 0, 8, 0, 0]].concat()
    }

    #[test]
    fn sampling_keeps_whole_conversations_and_about_one_in_so_many() {
        let sampling = Sampling::new(NonZeroU32::new(10).unwrap()).unwrap();
        let mut kept = 0;
        for client in 0..10_000 {
            let keeps = sampling.keeps(RAW_IP, &packet(client, 9, 1000));
            assert_eq!(sampling.keeps(RAW_IP, &packet(9, client, 53)), keeps);
            assert_eq!(sampling.keeps(RAW_IP, &packet(client, 9, 2000)), keeps);
            kept += u32::from(keeps);
        }
        assert!((900..1100).contains(&kept), "{kept}");
    }

    #[test]
    fn one_in_one_is_no_sampling() {
        assert!(Sampling::new(NonZeroU32::MIN).is_none());
    }
}
