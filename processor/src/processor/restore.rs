//! Reading what `weir-state` holds.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use rdkafka::{
    Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _, ConsumerContext},
    error::{KafkaError, KafkaResult},
};
use weir_service::kafka::Reporter;

use super::{Shared, Trouble, state::Kept, topics::Topics};

/// How long one question to brokers may take.
pub(super) const ASK: Duration = Duration::from_secs(5);

/// Reads partitions of `weir-state`.
pub(super) struct Reader {
    shared: Arc<Shared>,
    consumer: BaseConsumer<Reporter>,
}

impl Reader {
    pub(super) fn start(shared: &Arc<Shared>) -> Result<Self, Trouble> {
        let mut client = shared.client.clone();
        client
            // It joins nothing and commits nothing, but has to have one.
            .set("group.id", &shared.settings.group)
            .set("isolation.level", "read_committed")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("auto.offset.reset", "error")
            .set("queued.max.messages.kbytes", "16384");
        let consumer = client
            .create_with_context(Reporter::new(&shared.settings.kafka))
            .map_err(|error| Trouble::Fatal(format!("a consumer can't be made: {error}")))?;
        Ok(Self { shared: Arc::clone(shared), consumer })
    }

    /// Everything that is committed in these partitions. `any` is a consumer that sees what is not committed:
    /// all that was begun when this is called is waited for, so that no owner before can still add to it.
    pub(super) fn read<C: ConsumerContext>(
        &self,
        any: &BaseConsumer<C>,
        partitions: &[u32],
    ) -> Result<BTreeMap<u32, Kept>, Trouble> {
        let topic = &self.shared.topics.state;
        let mut kept: BTreeMap<u32, Kept> = partitions.iter().map(|&number| (number, Kept::default())).collect();
        let mut from = TopicPartitionList::new();
        let mut unread = BTreeSet::new();
        for &number in partitions {
            let (_, end) = self.ask(|| watermarks(any, topic, number))?;
            let start = self.wait_for(number, end)?;
            let partition = i32::try_from(number).map_err(|error| Trouble::Fatal(error.to_string()))?;
            from.add_partition_offset(topic, partition, Offset::Offset(start)).map_err(failed)?;
            unread.insert(partition);
        }
        self.consumer.assign(&from).map_err(failed)?;
        let mut heard = Instant::now();
        while !unread.is_empty() {
            match self.consumer.poll(Duration::from_millis(100)) {
                Some(Ok(message)) => {
                    heard = Instant::now();
                    let of = u32::try_from(message.partition()).ok().and_then(|number| kept.get_mut(&number));
                    if let Some(of) = of {
                        of.read(message.key().unwrap_or_default(), message.payload());
                    }
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    unread.remove(&partition);
                }
                Some(Err(error)) => return Err(failed(error)),
                None if self.shared.is_stopped() => return Err(Trouble::Stopped),
                None if heard.elapsed() > self.patience() => {
                    return Err(Trouble::restart("restore", format!("{topic} can't be read to its end")));
                }
                None => {}
            }
        }
        self.consumer.unassign().map_err(failed)?;
        Ok(kept)
    }

    /// Waits until all is committed or aborted that was there before `end`; where the partition begins.
    fn wait_for(&self, number: u32, end: i64) -> Result<i64, Trouble> {
        let begun = Instant::now();
        loop {
            let topic = &self.shared.topics.state;
            let (start, stable) = self.ask(|| watermarks(&self.consumer, topic, number))?;
            if stable >= end {
                return Ok(start);
            }
            if begun.elapsed() > self.patience() {
                let what = format!(
                    "{topic} partition {number} has a transaction that does not end; `kafka-transactions find-hanging` \
                     tells whose, and `abort` ends it"
                );
                return Err(Trouble::restart("restore", what));
            }
            if self.shared.is_stopped() {
                return Err(Trouble::Stopped);
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Compares what the state says of a partition with the offset of the group. Both are committed together, so a
    /// state that is behind is not all that was committed: to go on from it would double records.
    pub(super) fn check_group(&self, number: u32, offset: i64) -> Result<(), Trouble> {
        let Topics { packets, state, .. } = &self.shared.topics;
        let partition = i32::try_from(number).unwrap_or(i32::MAX);
        let mut asked = TopicPartitionList::new();
        asked.add_partition(packets, partition);
        let answer = self.ask(|| self.consumer.committed_offsets(asked.clone(), ASK))?;
        match answer.find_partition(packets, partition).map(|of| of.offset()) {
            Some(Offset::Offset(group)) if group > offset => Err(Trouble::restart(
                "restore",
                format!(
                    "{state} says that partition {number} has come to offset {offset}, but the group {} has committed {group}: \
                     if {state} was deleted on purpose, delete the group too",
                    self.shared.settings.group
                ),
            )),
            _ => Ok(()),
        }
    }

    /// A transaction lasts no longer than its time-out, and the broker looks for those only now and then.
    fn patience(&self) -> Duration {
        2 * self.shared.settings.transaction_timeout + Duration::from_secs(30)
    }

    /// Asks brokers until they answer.
    pub(super) fn ask<T>(&self, question: impl Fn() -> KafkaResult<T>) -> Result<T, Trouble> {
        let begun = Instant::now();
        loop {
            match question() {
                Ok(answer) => return Ok(answer),
                Err(_) if self.shared.is_stopped() => return Err(Trouble::Stopped),
                Err(error) if begun.elapsed() > self.patience() => return Err(failed(error)),
                Err(_) => thread::sleep(Duration::from_millis(100)),
            }
        }
    }
}

/// First offset of a partition, and the one behind its last.
pub(super) fn watermarks<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
    number: u32,
) -> KafkaResult<(i64, i64)> {
    consumer.fetch_watermarks(topic, i32::try_from(number).unwrap_or(i32::MAX), ASK)
}

fn failed(error: KafkaError) -> Trouble {
    Trouble::restart("restore", error)
}
