//! The bounded queue between the thread that reads packets and the one that delivers them.

use crate::ledger::Position;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use weir_contract::PacketBatch;

/// What the reading thread has counted since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Captured {
    /// Packets read, those of unfinished batches too.
    pub packets: u64,
    /// Packets that the kernel lost in its ring.
    pub dropped_kernel: u64,
    /// Packets that the interface or its driver lost.
    pub dropped_interface: u64,
    /// Packets that were dropped behind the kernel's rings, because the reading thread was behind.
    pub dropped_behind_rings: u64,
}

/// What of the reading thread's packets never came out of the queue, and how far it has come.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// What was read.
    pub captured: Captured,
    /// Packets in batches that were put in or refused.
    pub batched: u64,
    /// Packets in the queue.
    pub queued: u64,
    /// Packets refused because it was full.
    pub dropped: u64,
    /// How far each partition has come; those that no batch was made for yet may be missing.
    pub positions: Vec<Position>,
}

/// A queue of batches, bounded by their bytes. Clones are handles on the same one.
#[derive(Clone, Debug)]
pub struct Outbox(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    max_bytes: usize,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<PacketBatch>,
    bytes: usize,
    closed: bool,
    /// Batches that were delivered, whose memory can be filled again.
    spares: Vec<PacketBatch>,
    progress: Progress,
}

/// Spares that are kept, as many as the queue has of the largest and more: what is freed here, and made anew by the
/// reading thread, takes more memory in the end (102 MB against 91 in a replay).
const MAX_SPARES: usize = 32;

impl Outbox {
    /// A queue of so many bytes; the largest batch always fits into an empty one.
    pub fn new(max_bytes: usize) -> Self {
        Self(Arc::new(Shared { state: Mutex::default(), changed: Condvar::new(), max_bytes }))
    }

    /// Puts a batch in, or drops and counts it where there is no room. Never waits.
    pub fn offer(&self, batch: PacketBatch) {
        let mut state = self.lock();
        state.take_note(&batch);
        if state.has_room(&batch, self.0.max_bytes) {
            state.push(batch);
        } else {
            state.progress.dropped += packets(&batch);
            state.recycle(batch);
        }
        drop(state);
        self.0.changed.notify_all();
    }

    /// Puts a batch in as soon as there is room. Gives up, with nothing counted, once `stopped` says so.
    pub fn push(&self, batch: PacketBatch, stopped: impl Fn() -> bool) -> bool {
        let mut state = self.lock();
        while !state.has_room(&batch, self.0.max_bytes) {
            if stopped() {
                return false;
            }
            state = self.wait(state, Duration::from_millis(100));
        }
        state.take_note(&batch);
        state.push(batch);
        drop(state);
        self.0.changed.notify_all();
        true
    }

    /// Takes note of what was read so far.
    pub fn note(&self, captured: Captured) {
        self.lock().progress.captured = captured;
    }

    /// Takes note of the packets that went to each partition in this run, those of unfinished batches too.
    pub fn note_positions(&self, epoch: i64, packets: impl Iterator<Item = (u32, i64)>) {
        let mut state = self.lock();
        for (partition, packets) in packets {
            state.advance(partition, |position| {
                let last_sequence = if position.epoch == epoch { position.last_sequence } else { 0 };
                *position = Position { epoch, last_sequence, packets };
            });
        }
    }

    /// Says that no more will be put in.
    pub fn close(&self) {
        self.lock().closed = true;
        self.0.changed.notify_all();
    }

    /// Takes the batch that was put in first; waits for one for some time.
    pub fn pop(&self, patience: Duration) -> Option<PacketBatch> {
        let mut state = self.lock();
        if state.queue.is_empty() && !state.closed {
            state = self.wait(state, patience);
        }
        let batch = state.queue.pop_front()?;
        state.bytes = state.bytes.saturating_sub(bytes(&batch));
        state.progress.queued -= packets(&batch);
        drop(state);
        self.0.changed.notify_all();
        Some(batch)
    }

    /// Whether nothing is in it and nothing will come.
    pub fn is_over(&self) -> bool {
        let state = self.lock();
        state.closed && state.queue.is_empty()
    }

    /// Gives back a batch that nobody needs any more.
    pub fn recycle(&self, batch: PacketBatch) {
        self.lock().recycle(batch);
    }

    /// A batch that was given back.
    pub fn spare(&self) -> Option<PacketBatch> {
        self.lock().spares.pop()
    }

    /// How far the reading thread has come.
    pub fn progress(&self) -> Progress {
        self.lock().progress.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>, patience: Duration) -> MutexGuard<'a, State> {
        self.0.changed.wait_timeout(state, patience).unwrap_or_else(PoisonError::into_inner).0
    }
}

impl State {
    fn has_room(&self, batch: &PacketBatch, max_bytes: usize) -> bool {
        self.queue.is_empty() || self.bytes + bytes(batch) <= max_bytes
    }

    fn take_note(&mut self, batch: &PacketBatch) {
        self.progress.batched += packets(batch);
        let made = batch.packets_before.saturating_add_unsigned(packets(batch));
        self.advance(batch.partition, |position| {
            let noted = if position.epoch == batch.epoch { position.packets } else { 0 };
            let (epoch, last_sequence) = (batch.epoch, batch.sequence);
            *position = Position { epoch, last_sequence, packets: made.max(noted) };
        });
    }

    fn push(&mut self, batch: PacketBatch) {
        self.bytes += bytes(&batch);
        self.progress.queued += packets(&batch);
        self.queue.push_back(batch);
    }

    fn recycle(&mut self, batch: PacketBatch) {
        if self.spares.len() < MAX_SPARES {
            self.spares.push(batch);
        }
    }

    /// Changes how far a partition has come.
    fn advance(&mut self, partition: u32, change: impl FnOnce(&mut Position)) {
        let Ok(index) = usize::try_from(partition) else { return };
        let positions = &mut self.progress.positions;
        if positions.len() <= index {
            positions.resize(index + 1, Position::default()); // as many as the topic has partitions
        }
        if let Some(position) = positions.get_mut(index) {
            change(position);
        }
    }
}

fn packets(batch: &PacketBatch) -> u64 {
    u64::try_from(batch.packet_count()).unwrap_or(u64::MAX)
}

/// Bytes that a batch takes in memory, about: the columns take 4 to 8 a packet each.
fn bytes(batch: &PacketBatch) -> usize {
    batch.data.len() + 24 * batch.packet_count()
}
