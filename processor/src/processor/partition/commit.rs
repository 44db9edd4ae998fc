//! What a transaction says for a partition.

use std::time::Duration;

use weir_contract::{
    Encode as _, RecordType,
    record::{CaptureLoss, CaptureLossReason, Meta, Progress, SnapshotPointer},
};

use super::Partition;
use crate::processor::{
    sink::Outbox,
    state::{Entry, progress_entry, snapshot_entries},
};

/// A state smaller than this is snapshot after 4 times as much input, bytes.
const SNAPSHOT_INPUT_MIN: u64 = 4 << 20;

/// Deaths of owners at one offset after which messages are decoded one at a time.
const DEATHS_BEFORE_CARE: u32 = 2;

/// So many messages are decoded with care, at two transactions each: some seconds. A deadly message beyond them is
/// met again, by the owners after, at an offset that has come closer.
const CAREFUL_MESSAGES: i64 = 32;

/// One transaction's part for a partition.
#[derive(Debug, Clone)]
pub struct Commit {
    /// Offset to commit for the group.
    pub offset: i64,
    /// Messages for the partition of `weir-state`.
    pub entries: Vec<Entry>,
    /// Bytes of the snapshot that is among them.
    pub snapshot_bytes: Option<u64>,
    progress: Progress,
}

/// What a commit is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To go on.
    Continue,
    /// To go on, with a snapshot.
    Snapshot,
    /// To let go.
    Release,
}

impl Partition {
    /// Whether it is time for a snapshot.
    pub fn is_snapshot_due(&self, now: Duration) -> bool {
        let input_max = (4 * self.snapshot_bytes).max(SNAPSHOT_INPUT_MIN);
        let is_old = now.saturating_sub(self.snapshot_at) >= self.rules.snapshot_age;
        self.is_live() && self.input_bytes > 0 && (is_old || self.input_bytes >= input_max)
    }

    /// Whether there is anything to commit.
    pub fn is_dirty(&self) -> bool {
        !self.claimed || self.begins || self.next > self.progress.offset
    }

    /// The first words of this owner.
    pub(super) fn claim(&self) -> Progress {
        let before = &self.progress;
        // It was this process itself that began anew: so nobody died.
        let is_alive = before.owner == self.rules.owner;
        let deaths = match before {
            _ if before.released => 0,
            _ if is_alive => before.deaths,
            _ => before.deaths.saturating_add(1),
        };
        let offset = before.offset.max(if self.lost.is_some() { self.next } else { before.offset });
        let careful_until = if deaths >= DEATHS_BEFORE_CARE { offset + CAREFUL_MESSAGES } else { 0 };
        Progress {
            offset,
            deaths,
            careful_until: careful_until.max(before.careful_until),
            tries: if offset == before.offset && !is_alive { before.tries } else { 0 },
            released: false,
            ..before.clone()
        }
    }

    /// What the next transaction has to say for the partition, if anything. A commit that comes to pass is to be
    /// confirmed; after one that does not, the partition is to be dropped. `transaction` is what tells it from others.
    pub fn commit(&mut self, purpose: Purpose, transaction: u64, outbox: &mut impl Outbox) -> Option<Commit> {
        if purpose == Purpose::Continue && !self.is_dirty() {
            return None;
        }
        let mut progress = if self.claimed { self.progress.clone() } else { self.claim() };
        if let Some(lost) = self.lost {
            // It is a hundred bytes: every topic takes it.
            let _ = outbox.record(self.number, RecordType::CaptureLoss, &self.lost_record(lost));
        }
        if self.next > progress.offset {
            progress.offset = self.next;
            progress.deaths = 0;
            progress.tries = 0;
        }
        let is_live = self.next == progress.offset;
        if is_live {
            progress.runs = Some(self.engine.runs());
            progress.last_message = self.last_message;
        }
        if self.begins {
            progress.tries = progress.tries.saturating_add(1);
        }
        progress.ordinal += 1;
        progress.transaction = transaction;
        progress.owner.clone_from(&self.rules.owner);
        progress.fingerprint = Some(self.rules.fingerprint.clone());
        progress.released = purpose == Purpose::Release;
        let mut entries = Vec::new();
        let mut snapshot_bytes = None;
        let is_snapshot_new = progress.snapshot.as_ref().is_none_or(|pointer| pointer.offset < progress.offset);
        if is_live && purpose != Purpose::Continue && is_snapshot_new {
            let state = self.engine.snapshot();
            snapshot_bytes = Some(state.len() as u64);
            let before = progress.snapshot.take();
            let (chunks, pointer) = snapshot_entries(&state, progress.ordinal, progress.offset, before.as_ref());
            entries = chunks;
            progress.snapshot = Some(SnapshotPointer { fingerprint: Some(self.rules.fingerprint.clone()), ..pointer });
        }
        let replay_from = progress.snapshot.as_ref().map_or(progress.begin_offset, |pointer| pointer.offset);
        progress.skipped = self.skipped.iter().filter(|skipped| skipped.offset >= replay_from).cloned().collect();
        entries.push(progress_entry(&progress));
        Some(Commit { offset: progress.offset, entries, snapshot_bytes, progress })
    }

    /// Takes note that a commit has come to pass. `now` is the clock of [`Self::restore`].
    pub fn confirm(&mut self, commit: Commit, now: Duration) {
        self.claimed = true;
        self.lost = None;
        self.begun = self.begins;
        self.begins = false;
        if let Some(bytes) = commit.snapshot_bytes {
            self.snapshot_bytes = bytes;
            self.snapshot_at = now;
            self.input_bytes = 0;
        }
        self.skipped.clone_from(&commit.progress.skipped);
        self.progress = commit.progress;
    }

    /// What is known of messages that were deleted unread: neither sensor nor number of packets. Offsets take
    /// the place of the packet number in its identity.
    fn lost_record(&self, (first, last): (i64, i64)) -> Vec<u8> {
        let mut loss = CaptureLoss {
            meta: Some(Meta { packet_number: first, record_index: self.number, ..Meta::default() }),
            partition: self.number,
            first_offset: Some(first),
            last_offset: Some(last),
            ..CaptureLoss::default()
        };
        loss.set_reason(CaptureLossReason::Retention);
        let mut bytes = Vec::new();
        loss.encode_to(&mut bytes);
        bytes
    }
}
