//! The life of one partition, without Kafka: restored from what `weir-state` holds, replayed in silence up to
//! the committed offset, then live.
//!
//! Whatever happens in between, a crash, an aborted transaction or another owner, the records that were
//! committed are those of a life without it: records, offset and state are committed together or not at
//! all, and what is not committed is forgotten with its [`Partition`].

mod commit;
mod restore;

use std::{sync::Arc, time::Duration};

use prost::Message as _;
use weir_contract::{
    PacketBatch, Selection,
    record::{CaptureLossReason, Fingerprint, Progress, Skipped},
};
use weir_engine::{Counters, Engine, Limits, PushError};
use xxhash_rust::xxh3::xxh3_64;

use super::sink::{Nowhere, Outbox, Place, Sink};
pub use commit::{Commit, Purpose};

/// Deaths while a message was decoded alone after which it is not tried again.
pub const TRIES_MAX: u32 = 3;

/// Bytes at the beginning of a message that tell it from others: sensor, epoch and sequence are there.
const HEAD_BYTES: usize = 1024;

/// What all partitions of a process share.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Name of `weir-packets`.
    pub topic: String,
    /// Its number of partitions.
    pub partition_count: u32,
    /// Bounds of one engine.
    pub limits: Limits,
    /// The record types to write.
    pub selection: Selection,
    /// Key of hash tables.
    pub seed: u64,
    /// Build and settings.
    pub fingerprint: Fingerprint,
    /// Instance and worker, and what tells this process from the one before.
    pub owner: String,
    /// A snapshot is due when the last one is so old.
    pub snapshot_age: Duration,
    /// As [`TRIES_MAX`].
    pub tries_max: u32,
}

/// A message of `weir-packets`.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// Its offset.
    pub offset: i64,
    /// When it was appended, ms since 1970-01-01 UTC.
    pub appended_ms: i64,
    /// Its value, if it has one.
    pub value: Option<&'a [u8]>,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It was known.
    Discarded,
    /// It brought the state on, and nothing else.
    Replayed,
    /// It gave records.
    Decoded,
    /// It can't be taken before a commit: to be given again after it.
    CommitFirst,
}

/// Why a partition can't go on.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Failure {
    /// Its engine panicked: it is to be restored with this left out.
    #[error("partition {partition}: {}; it is skipped from now on", .skipped.reason)]
    Panicked {
        /// The partition.
        partition: u32,
        /// What to leave out.
        skipped: Skipped,
    },
    /// The log is not the one that the progress is about.
    #[error(
        "{topic} partition {partition} is not the log that was read before: {what}. If it was created anew on purpose, \
         delete the state topic too, or use another topic prefix"
    )]
    Foreign {
        /// The topic.
        topic: String,
        /// The partition.
        partition: u32,
        /// How that shows.
        what: String,
    },
    /// The progress record can't be read.
    #[error(
        "partition {partition}: the progress record in the state topic can't be read: {error}; was it written by another program?"
    )]
    Progress {
        /// The partition.
        partition: u32,
        /// What is wrong with it.
        error: String,
    },
}

/// What an operator should know of a restored partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// The engine goes on without its flows.
    Partial(String),
    /// Offsets that were deleted before they were read, first and last.
    Lost(i64, i64),
    /// Replay goes over messages that another build or other settings decoded.
    OtherSettings,
    /// Owners died at this offset, so messages are decoded one at a time for a while.
    Careful,
}

/// One partition in the hands of its owner.
pub struct Partition {
    number: u32,
    rules: Arc<Rules>,
    engine: Engine,
    /// As it was committed last.
    progress: Progress,
    /// Offset of the first message that the engine has not taken.
    next: i64,
    /// Head of the last message that it took.
    last_message: Option<u64>,
    /// The progress says that this owner has it.
    claimed: bool,
    /// Offsets to be reported as lost.
    lost: Option<(i64, i64)>,
    /// The next commit is to say that decoding the message at `next` has begun.
    begins: bool,
    /// A commit has said so.
    begun: bool,
    /// What is not to be decoded, as of the next commit.
    skipped: Vec<Skipped>,
    /// When packets of the last message were captured at the latest, ns.
    captured_ns: Option<i64>,
    /// Bytes of messages since the last snapshot, and its own.
    input_bytes: u64,
    snapshot_bytes: u64,
    snapshot_at: Duration,
}

impl Partition {
    /// Its number.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Where reading has to begin, given where the log does: one message earlier than what is needed, to see
    /// that the log is the same.
    pub fn fetch_from(&self, log_start: i64) -> i64 {
        self.next.min(self.progress.offset - 1).max(log_start)
    }

    /// Offset of the message that is awaited.
    pub fn next(&self) -> i64 {
        self.next
    }

    /// Offset of the first message whose records were not committed, as far as this owner knows.
    pub fn committed_offset(&self) -> i64 {
        self.progress.offset
    }

    /// Whether what comes next gives records.
    pub fn is_live(&self) -> bool {
        self.claimed && self.next >= self.progress.offset
    }

    /// What its engine has counted.
    pub fn counters(&self) -> &Counters {
        self.engine.counters()
    }

    /// Flows that are alive.
    pub fn flow_count(&self) -> usize {
        self.engine.flow_count()
    }

    /// How far its sensor's time had come when the last message was made, ns; `None` where it brought no packets.
    pub fn captured_ns(&self) -> Option<i64> {
        self.captured_ns
    }

    /// Takes a message. Only a live partition writes to the outbox. `batch` is memory to read the message into.
    ///
    /// # Errors
    ///
    /// The partition is to be dropped, with what it wrote since the last commit.
    pub fn take(
        &mut self,
        message: &Message<'_>,
        batch: &mut PacketBatch,
        outbox: &mut impl Outbox,
    ) -> Result<Taken, Failure> {
        let is_last = message.offset + 1 == self.progress.offset && self.next <= self.progress.offset;
        if is_last && self.progress.last_message.is_some_and(|last| last != head(message)) {
            let what = format!("the message at offset {} is another one", message.offset);
            return Err(Failure::Foreign { topic: self.rules.topic.clone(), partition: self.number, what });
        }
        if message.offset < self.next {
            return Ok(Taken::Discarded);
        }
        if message.offset < self.progress.offset {
            self.decode(message, batch, None::<&mut Nowhere>)?;
            return Ok(Taken::Replayed);
        }
        if !self.claimed {
            return Ok(Taken::CommitFirst);
        }
        if self.progress.careful_until > message.offset && !self.may_try(message) {
            return Ok(Taken::CommitFirst);
        }
        self.decode(message, batch, Some(outbox))?;
        Ok(Taken::Decoded)
    }

    /// Whether a message that could be deadly may be decoded: alone, and not too often.
    fn may_try(&mut self, message: &Message<'_>) -> bool {
        if !self.begun {
            self.begins = true;
            return false;
        }
        self.begun = false;
        let tries_max = self.rules.tries_max;
        if self.progress.tries > tries_max {
            let reason = format!("{tries_max} processes died while they decoded it");
            self.skipped.push(Skipped { offset: message.offset, packet_number: None, reason });
        }
        true
    }

    /// Brings the engine on by a message.
    fn decode<O: Outbox>(
        &mut self,
        message: &Message<'_>,
        batch: &mut PacketBatch,
        outbox: Option<&mut O>,
    ) -> Result<(), Failure> {
        let place = Place { topic: &self.rules.topic, partition: self.number, offset: message.offset };
        let mut sink = Sink { outbox, place };
        self.engine.append(message.appended_ms, &mut sink);
        let skipped = || self.skipped.iter().filter(|skipped| skipped.offset == message.offset);
        let whole = skipped().find(|skipped| skipped.packet_number.is_none()).map(|whole| Err(whole.reason.clone()));
        let batch = whole.unwrap_or_else(|| read(message, self.number, self.rules.partition_count, batch));
        let left_out: Vec<i64> = skipped().filter_map(|skipped| skipped.packet_number).collect();
        self.captured_ns = batch.as_ref().ok().filter(|batch| batch.packet_count() > 0).map(|batch| batch.watermark_ns);
        let done = match batch {
            Ok(batch) => match self.engine.push_without(batch, &left_out, &mut sink) {
                Ok(()) => {
                    for skipped in skipped() {
                        sink.letter_of_skipped(batch, skipped);
                    }
                    Ok(())
                }
                Err(PushError::Batch(error)) => Err(error.to_string()),
                Err(PushError::Panicked { packet_number, message: reason }) => {
                    let skipped = Skipped { offset: message.offset, packet_number, reason };
                    return Err(Failure::Panicked { partition: self.number, skipped });
                }
            },
            Err(reason) => Err(reason),
        };
        if let Err(reason) = done {
            sink.letter(None, reason, message.value.unwrap_or_default());
            self.engine.miss(CaptureLossReason::DeadLetter, (message.offset, message.offset));
        }
        self.next = message.offset + 1;
        self.last_message = Some(head(message));
        self.input_bytes += message.value.map_or(0, <[u8]>::len) as u64;
        Ok(())
    }
}

/// Tells a message from others.
fn head(message: &Message<'_>) -> u64 {
    let value = message.value.unwrap_or_default();
    xxh3_64(value.get(..HEAD_BYTES).unwrap_or(value)) ^ value.len() as u64
}

/// The batch in a message, if it belongs where it is.
fn read<'b>(
    message: &Message<'_>,
    partition: u32,
    partition_count: u32,
    batch: &'b mut PacketBatch,
) -> Result<&'b PacketBatch, String> {
    let value = message.value.ok_or("the message has no value")?;
    batch.clear();
    batch.merge(value).map_err(|error| format!("no packet batch: {error}"))?;
    if (batch.partition, batch.partition_count) != (partition, partition_count) {
        return Err(format!(
            "a batch for partition {} of {} in partition {partition} of {partition_count}; was the topic enlarged while \
             sensors ran?",
            batch.partition, batch.partition_count
        ));
    }
    Ok(batch)
}

#[cfg(test)]
mod tests;
