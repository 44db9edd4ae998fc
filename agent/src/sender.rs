//! The thread that delivers batches, with what it keeps on disk.

mod announce;
mod state;

use crate::delivery::{Accounts, Delivery, Dropped, Head};
use crate::kafka::Link;
use crate::metrics;
use crate::outbox::{Outbox, Progress};
use crate::spool::Folder;
use announce::Announcements;
use anyhow::Context as _;
use prost::Message as _;
pub use state::StateFolder;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use weir_contract::PacketBatch;
use weir_service::health::Health;
use weir_service::kafka::KafkaConfig;

/// Bytes of the queue before this thread: a tenth of a second at 150 MB/s, in which it may wait for a disk.
const QUEUE_BYTES: usize = 16 << 20;

/// The longest wait for anything, and so the age of what the ledger says.
const TICK: Duration = Duration::from_millis(20);

/// Batches that are taken in before reports are looked at again.
const BATCHES_BETWEEN_REPORTS: usize = 16;

/// How often the disk is made to keep what it was given, and metrics are brought up to date.
const UPKEEP: Duration = Duration::from_secs(1);

/// A trouble that lasts is logged again after so long.
const REPEAT: Duration = Duration::from_secs(30);

/// How batches are delivered.
pub struct Settings {
    /// How to reach Kafka.
    pub kafka: KafkaConfig,
    /// The folder of spool and ledger; without one batches wait in memory.
    pub state: Option<StateFolder>,
    /// How long sending may go on once the agent was asked to stop.
    pub stop_limit: Duration,
    /// Set when it is asked to stop.
    pub stop: Arc<AtomicBool>,
    /// Where it is told whether batches can be delivered.
    pub health: Health,
}

/// The running thread, and the way to it.
pub struct Sender {
    outbox: Outbox,
    partition_count: Arc<OnceLock<u32>>,
    totals: Arc<Mutex<Totals>>,
    thread: JoinHandle<Accounts>,
}

/// What the delivering thread tells of its work once a second.
#[derive(Clone, Copy, Debug, Default)]
pub struct Totals {
    /// Packets lost at the queue before it, or behind the kernel's rings.
    pub dropped_queue: u64,
    /// Packets lost in its own hands: at the spool, or at Kafka.
    pub dropped_later: u64,
    /// Bytes that Kafka has acknowledged.
    pub published_bytes: u64,
}

impl Sender {
    /// Starts delivering.
    ///
    /// # Errors
    /// Settings that no client of Kafka can be made with.
    pub fn start(settings: Settings) -> anyhow::Result<Self> {
        let partition_count = Arc::new(OnceLock::new());
        if let Some(count) = settings.state.as_ref().and_then(StateFolder::partition_count) {
            let _ = partition_count.set(count);
        }
        let link = Link::new(&settings.kafka, Arc::clone(&partition_count))?;
        let outbox = Outbox::new(QUEUE_BYTES);
        let (state, store) = settings.state.map(StateFolder::into_parts).unzip();
        let totals = Arc::new(Mutex::default());
        let announcements = Announcements::new(state.as_ref().map_or(&[], state::Saver::previous));
        let work = Work {
            link,
            outbox: outbox.clone(),
            delivery: Delivery::new(store),
            state,
            announcements,
            partition_count: Arc::clone(&partition_count),
            totals: Arc::clone(&totals),
            stop: settings.stop,
            stop_limit: settings.stop_limit,
            health: settings.health,
            told: Some((String::new(), Instant::now())),
            dropped_packets: 0,
            buffer: Vec::new(),
        };
        let thread = thread::Builder::new().name("sender".into()).spawn(move || work.run());
        Ok(Self { outbox, partition_count, totals, thread: thread.context("starting a thread failed")? })
    }

    /// Where batches are put in.
    pub fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// The number of the topic's partitions, once it is known: from Kafka, or from an earlier run.
    pub fn partition_count(&self) -> Option<u32> {
        self.partition_count.get().copied()
    }

    /// What came of the work so far, a second ago at most.
    pub fn totals(&self) -> Totals {
        *self.totals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes no more batches, and waits until those there are have been delivered, or kept, or the time to stop is
    /// up. What became of all packets.
    ///
    /// # Errors
    /// The thread panicked.
    pub fn finish(self) -> anyhow::Result<Accounts> {
        self.outbox.close();
        self.thread.join().map_err(|_| anyhow::anyhow!("the thread that delivers has failed: this is a bug of Weir"))
    }
}

/// What the thread has at hand.
struct Work {
    link: Link,
    outbox: Outbox,
    delivery: Delivery<Folder>,
    state: Option<state::Saver>,
    announcements: Announcements,
    partition_count: Arc<OnceLock<u32>>,
    totals: Arc<Mutex<Totals>>,
    stop: Arc<AtomicBool>,
    stop_limit: Duration,
    health: Health,
    /// The trouble that was logged last, and when.
    told: Option<(String, Instant)>,
    /// Packets that were lost when the health was told last.
    dropped_packets: u64,
    buffer: Vec<u8>,
}

impl Work {
    fn run(mut self) -> Accounts {
        let mut deadline = None;
        let mut kept_up = Instant::now();
        loop {
            self.deliver();
            let now = Instant::now();
            let over = self.outbox.is_over();
            let stopped = self.stop.load(Ordering::Relaxed);
            // What a spool can keep is not waited for without end.
            if (stopped || (over && self.state.is_some())) && deadline.is_none() {
                deadline = Some(now + self.stop_limit);
            }
            // Whoever stops the agent while there is no Kafka has nothing to wait for.
            let hopeless = stopped && self.link.trouble().is_some();
            let late = hopeless || deadline.is_some_and(|deadline| now >= deadline);
            if over && (late || self.delivery.is_done()) {
                return self.end();
            }
            self.save();
            if now.duration_since(kept_up) >= UPKEEP {
                kept_up = now;
                self.keep_up(now);
            }
        }
    }

    /// Moves batches on, as far as they go without waiting for more than a tick.
    fn deliver(&mut self) {
        self.link.look(Instant::now());
        let waiting = !self.delivery.has_room() || self.outbox.is_over();
        let reports = self.link.reports(if waiting { TICK } else { Duration::ZERO });
        reports.into_iter().for_each(|report| self.delivery.report(report));
        if self.delivery.is_broken() || self.link.has_failed() {
            let reports = self.link.fail(Instant::now());
            reports.into_iter().for_each(|report| self.delivery.report(report));
            self.delivery.renew();
            metrics::producer_failed();
        }
        if let Some(mut producer) = self.link.producer() {
            self.delivery.feed(&mut producer);
        }
        let mut patience = TICK;
        for _ in 0..BATCHES_BETWEEN_REPORTS {
            if !self.delivery.has_room() {
                break;
            }
            let Some(batch) = self.outbox.pop(patience) else { break };
            self.push(batch);
            patience = Duration::ZERO;
        }
    }

    fn push(&mut self, mut batch: PacketBatch) {
        // Before anyone can have the batch: or the next run would say that the sensor never came so far.
        self.save();
        let head = Head {
            epoch: batch.epoch,
            partition: batch.partition,
            sequence: batch.sequence,
            packets: u32::try_from(batch.packet_count()).unwrap_or(u32::MAX),
        };
        batch.previous_run = self.announcements.due(head);
        self.buffer.clear();
        // Memory is all that encoding can lack, and a vector takes it.
        let _ = batch.encode(&mut self.buffer);
        let mut producer = self.link.producer();
        let pushed = self.delivery.push(head, &self.buffer, producer.as_mut());
        self.announcements.made(head, pushed);
        self.outbox.recycle(batch);
    }

    /// Writes down how far everything has come, should the agent be killed.
    fn save(&mut self) {
        let (Some(state), Some(count)) = (&mut self.state, self.partition_count.get()) else { return };
        let delivery = &self.delivery;
        let progress = self.outbox.progress();
        let positions = self
            .announcements
            .positions(&progress.positions, |partition, epoch| delivery.has_published(partition, epoch));
        state.write(*count, positions, delivery.extents());
    }

    /// Makes the disk keep what it was given, and removes what was delivered.
    fn sync(&mut self) {
        if let Some(store) = self.delivery.store() {
            store.sync();
        }
        self.save();
        let extents = self.delivery.extents();
        if let (Some(state), Some(store)) = (&mut self.state, self.delivery.store())
            && state.sync()
        {
            store.release(&extents);
        }
    }

    /// What is due once a second.
    fn keep_up(&mut self, now: Instant) {
        self.sync();
        let accounts = self.accounts(&self.outbox.progress());
        let loses = accounts.dropped.total() > self.dropped_packets;
        self.dropped_packets = accounts.dropped.total();
        self.tell(now, loses);
        metrics::record(&accounts, &mut self.delivery);
        let dropped_queue = accounts.dropped.of(Dropped::Queue);
        let before = dropped_queue + accounts.dropped.of(Dropped::Kernel) + accounts.dropped.of(Dropped::Interface);
        *self.totals.lock().unwrap_or_else(PoisonError::into_inner) = Totals {
            dropped_queue,
            dropped_later: accounts.dropped.total() - before,
            published_bytes: self.delivery.traffic().published_bytes,
        };
    }

    /// Says what is in the way, to the log and to whoever asks for the agent's health: it is ready while its packets
    /// are safe.
    fn tell(&mut self, now: Instant, loses: bool) {
        match self.link.trouble() {
            None => {
                if self.told.take().is_some() {
                    tracing::info!("Kafka takes batches");
                }
                self.health.set_ready();
            }
            Some(trouble) => {
                let told = self.told.as_ref();
                if told.is_none_or(|(last, at)| *last != trouble || now.duration_since(*at) >= REPEAT) {
                    let what = if self.state.is_some() { "batches go to the spool" } else { "batches wait" };
                    tracing::warn!("{trouble}; until then {what}");
                    self.told = Some((trouble.clone(), now));
                }
                if self.state.is_some() && !loses {
                    self.health.set_ready();
                } else {
                    self.health.set_unready(trouble);
                }
            }
        }
    }

    /// Keeps what could not be sent, and settles the accounts.
    fn end(mut self) -> Accounts {
        let reports = self.link.close();
        reports.into_iter().for_each(|report| self.delivery.report(report));
        self.delivery.keep();
        if self.state.is_some() {
            while let Some(batch) = self.outbox.pop(Duration::ZERO) {
                self.push(batch);
            }
        }
        self.sync();
        let accounts = self.accounts(&self.outbox.progress());
        metrics::record(&accounts, &mut self.delivery);
        accounts
    }

    fn accounts(&self, progress: &Progress) -> Accounts {
        let mut accounts = self.delivery.accounts();
        let captured = &progress.captured;
        accounts.received += progress.queued + progress.dropped;
        // Packets of batches that are not finished yet are noted now and then.
        let unfinished = captured.packets.saturating_sub(progress.batched);
        accounts.received += unfinished + captured.dropped_kernel + captured.dropped_interface;
        accounts.received += captured.dropped_behind_rings;
        accounts.queued = progress.queued + unfinished;
        accounts.dropped.add(progress.dropped + captured.dropped_behind_rings, Dropped::Queue);
        accounts.dropped.add(captured.dropped_kernel, Dropped::Kernel);
        accounts.dropped.add(captured.dropped_interface, Dropped::Interface);
        accounts
    }
}

#[cfg(test)]
mod tests;
