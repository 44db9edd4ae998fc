//! A partition in the hands of a worker: from messages to the chain's files.

use std::collections::BTreeMap;
use std::time::Instant;

use metrics::Counter;
use rdkafka::message::{BorrowedMessage, Message as _, Timestamp};
use weir_contract::RecordType;

use super::chain::{Chain, Offer, Step, Trouble};
use super::encode::{File, Refusal};
use super::link::{Hour, Log, Source};
use super::worker::Shared;

/// A topic, and the partitions of it that the group gave this worker.
pub struct Topic {
    pub record_type: RecordType,
    pub partitions: BTreeMap<i32, Partition>,
    /// Counts messages.
    pub read: Counter,
}

/// A partition that the group gave this worker.
pub struct Partition {
    pub chain: Chain<File>,
    pub generation: u64,
    pub must_locate: bool,
    /// Some of the messages since the last file that was put are dead letters.
    pub has_dead_letters: bool,
    pub opened: Instant,
    /// When a message was read, to a tick.
    pub read: Instant,
    pub has_read: bool,
}

impl Partition {
    /// A partition just assigned.
    pub fn new(log: Log, generation: u64) -> Self {
        let now = Instant::now();
        Self {
            chain: Chain::new(log),
            generation,
            must_locate: true,
            has_dead_letters: false,
            opened: now,
            read: now,
            has_read: false,
        }
    }
}

impl Topic {
    /// A partition of it.
    pub fn source(&self, topic: &str, partition: i32) -> Source {
        Source { record_type: self.record_type, topic: topic.to_owned(), partition }
    }
}

/// What a message leads to.
#[derive(PartialEq)]
pub enum Next {
    GoOn,
    /// A file is ended.
    Put,
    /// See [`Offer::List`].
    List(Hour),
    Step(Step),
}

impl Partition {
    /// Takes a message into the open file, or does what else the chain says.
    ///
    /// # Errors
    ///
    /// There is a mistake of ours.
    pub fn take(
        &mut self,
        message: &BorrowedMessage<'_>,
        record_type: RecordType,
        shared: &Shared,
    ) -> anyhow::Result<Next> {
        let offset = message.offset();
        let append_ms = match message.timestamp() {
            Timestamp::LogAppendTime(ms) => ms,
            _ if self.chain.is_reading() => {
                return Ok(Next::Step(self.chain.stop(Trouble::TimestampType { offset })));
            }
            _ => return Ok(Next::GoOn),
        };
        let mut next = Next::GoOn;
        match self.chain.offer(offset, append_ms) {
            Offer::Ignore => return Ok(Next::GoOn),
            Offer::List(hour) => return Ok(Next::List(hour)),
            Offer::Take => {}
            Offer::End => {
                self.chain.end();
                next = Next::Put;
            }
        }
        self.has_read = true;
        let payload = message.payload();
        let crc = || crc32fast::hash(payload.unwrap_or_default());
        let mut begun = false;
        let begin = || {
            begun = true;
            File::new(record_type, shared.drop_unknown_fields)
        };
        let mut dead = None;
        let push = |file: &mut File| match payload.map(|payload| file.push(payload)) {
            Some(Ok(())) => Ok(()),
            Some(Err(Refusal::Malformed(error))) => {
                dead = Some(error.to_string());
                Ok(())
            }
            Some(Err(refusal)) => Err(refusal),
            // No record: it ended a transaction that Kafka had forgotten.
            None => Ok(()),
        };
        let taken = self.chain.take(offset, append_ms, crc, begin, push);
        if begun {
            self.opened = Instant::now();
        }
        if let Some(reason) = dead {
            self.has_dead_letters = true;
            let source = Source { record_type, topic: message.topic().to_owned(), partition: message.partition() };
            shared.dead_letters.add(&source, offset, payload.unwrap_or_default(), &reason);
        }
        match taken {
            Ok(()) => {}
            Err(Refusal::Unknown(what) | Refusal::Malformed(what)) => {
                let trouble = Trouble::UnknownField { offset, what: what.to_string() };
                return Ok(Next::Step(self.chain.stop(trouble)));
            }
            Err(Refusal::Encoding(error)) => {
                anyhow::bail!("records of {} can't be encoded: {error}; please report this", message.topic())
            }
        }
        Ok(next)
    }
}
