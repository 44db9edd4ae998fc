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
    message::BorrowedMessage,
};
use weir_service::kafka::Reporter;

use super::{Shared, Trouble, hanging, partitions::name_of, state::Kept};

/// How long one question to brokers may take.
pub(super) const ASK: Duration = Duration::from_secs(5);

/// What else of a partition is to be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// The next message.
    More,
    /// Nothing.
    NoMore,
}

/// Reads partitions of `weir-state`, and asks how far any partition is. The answer to a question waits for a fetch on
/// the same connection, half a second where nothing comes: so the worker's own consumer is not asked.
pub(super) struct Reader {
    shared: Arc<Shared>,
    /// Sees what is committed, up to where the first transaction begins that is open.
    pub(super) committed: BaseConsumer<Reporter>,
    /// Sees everything.
    pub(super) any: BaseConsumer<Reporter>,
}

impl Reader {
    pub(super) fn start(shared: &Arc<Shared>) -> Result<Self, Trouble> {
        let mut client = shared.client.clone();
        client
            // It joins nothing and commits nothing, but has to have one.
            .set("group.id", &shared.settings.group)
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            // A partition is read to its end, which a broker tells when it has waited so long for more.
            .set("fetch.wait.max.ms", "10")
            .set("auto.offset.reset", "error")
            .set("queued.max.messages.kbytes", "16384");
        let mut consumer = |isolation: &str| {
            client
                .set("isolation.level", isolation)
                .create_with_context(Reporter::new(&shared.settings.kafka))
                .map_err(|error| Trouble::Fatal(format!("a consumer can't be made: {error}")))
        };
        let (committed, any) = (consumer("read_committed")?, consumer("read_uncommitted")?);
        Ok(Self { shared: Arc::clone(shared), committed, any })
    }

    /// Lets the consumers tell their errors, and ask for new tokens before those they have expire. To be called often, and only
    /// while they read nothing: messages would be lost.
    pub(super) fn serve(&self) {
        for consumer in [&self.committed, &self.any] {
            let _ = consumer.poll(Duration::ZERO);
        }
    }

    /// Everything that is committed in these partitions. All that was begun when this is called is waited for, so that
    /// no owner before can still add to it.
    pub(super) fn read(&self, partitions: &[u32]) -> Result<BTreeMap<u32, Kept>, Trouble> {
        let topic = &self.shared.topics.state;
        let mut from = TopicPartitionList::new();
        for &number in partitions {
            let (_, end) = self.ask(|| watermarks(&self.any, topic, number))?;
            let start = self.wait_for(number, end)?;
            let partition = i32::try_from(number).map_err(|error| Trouble::Fatal(error.to_string()))?;
            from.add_partition_offset(topic, partition, Offset::Offset(start)).map_err(failed)?;
        }
        self.read_from(&self.committed, &from)
    }

    /// Reads partitions of `weir-state` to their ends, as one of the consumers sees them.
    pub(super) fn read_from(
        &self,
        consumer: &BaseConsumer<Reporter>,
        from: &TopicPartitionList,
    ) -> Result<BTreeMap<u32, Kept>, Trouble> {
        let numbers = from.elements().into_iter().filter_map(|of| u32::try_from(of.partition()).ok());
        let mut kept: BTreeMap<u32, Kept> = numbers.map(|number| (number, Kept::default())).collect();
        self.for_each(consumer, from, |message| {
            let of = u32::try_from(message.partition()).ok().and_then(|number| kept.get_mut(&number));
            if let Some(of) = of {
                of.read(message.key().unwrap_or_default(), message.payload());
            }
            Wanted::More
        })?;
        Ok(kept)
    }

    /// Shows the messages of partitions, as one of the consumers sees them, to their ends or as far as they are wanted.
    pub(super) fn for_each(
        &self,
        consumer: &BaseConsumer<Reporter>,
        from: &TopicPartitionList,
        mut see: impl FnMut(&BorrowedMessage<'_>) -> Wanted,
    ) -> Result<(), Trouble> {
        let topics: BTreeSet<String> = from.elements().iter().map(|of| of.topic().to_owned()).collect();
        for topic in topics {
            // One topic after the other: rdkafka does not tell which one's partition is at its end.
            let mut from_here = TopicPartitionList::new();
            for of in from.elements_for_topic(&topic) {
                from_here.add_partition_offset(&topic, of.partition(), of.offset()).map_err(failed)?;
            }
            self.for_each_of_topic(consumer, &from_here, &mut see)?;
        }
        Ok(())
    }

    fn for_each_of_topic(
        &self,
        consumer: &BaseConsumer<Reporter>,
        from: &TopicPartitionList,
        mut see: impl FnMut(&BorrowedMessage<'_>) -> Wanted,
    ) -> Result<(), Trouble> {
        let mut unread: BTreeSet<i32> = from.elements().iter().map(|of| of.partition()).collect();
        consumer.assign(from).map_err(failed)?;
        let mut heard = Instant::now();
        while !unread.is_empty() {
            match consumer.poll(Duration::from_millis(100)) {
                Some(Ok(message)) => {
                    heard = Instant::now();
                    if unread.contains(&message.partition()) && see(&message) == Wanted::NoMore {
                        unread.remove(&message.partition());
                    }
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    unread.remove(&partition);
                }
                Some(Err(error)) => return Err(failed(error)),
                None if self.shared.is_stopped() => return Err(Trouble::Stopped),
                None if heard.elapsed() > self.patience() => {
                    let what = format!("{} can't be read to its end", name_of(from));
                    return Err(Trouble::restart("restore", what));
                }
                None => {}
            }
        }
        consumer.unassign().map_err(failed)
    }

    /// Waits until all is committed or aborted that was there before `end`; where the partition begins.
    fn wait_for(&self, number: u32, end: i64) -> Result<i64, Trouble> {
        let begun = Instant::now();
        loop {
            let topic = &self.shared.topics.state;
            let (start, stable) = self.ask(|| watermarks(&self.committed, topic, number))?;
            if stable >= end {
                return Ok(start);
            }
            if begun.elapsed() > hanging::longest(&self.shared) {
                // The next life ends it.
                let what = format!("a transaction does not end in {topic} partition {number}");
                return Err(Trouble::restart("hanging", what));
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
        let state = &self.shared.topics.state;
        match self.group_offset(number)? {
            Some(group) if group > offset => Err(Trouble::restart(
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

    /// The offset that the group has committed of a partition of `weir-packets`, whatever is open.
    pub(super) fn group_offset(&self, number: u32) -> Result<Option<i64>, Trouble> {
        let packets = &self.shared.topics.packets;
        let partition = i32::try_from(number).unwrap_or(i32::MAX);
        let mut asked = TopicPartitionList::new();
        asked.add_partition(packets, partition);
        // Of this one: the other's answer waits for transactions that are open.
        let answer = self.ask(|| self.any.committed_offsets(asked.clone(), ASK))?;
        match answer.find_partition(packets, partition).map(|of| of.offset()) {
            Some(Offset::Offset(offset)) => Ok(Some(offset)),
            _ => Ok(None),
        }
    }

    /// How long brokers are asked that don't answer.
    fn patience(&self) -> Duration {
        2 * self.shared.settings.transaction_timeout + Duration::from_secs(30)
    }

    /// Asks brokers until they answer.
    pub(super) fn ask<T>(&self, question: impl Fn() -> KafkaResult<T>) -> Result<T, Trouble> {
        let begun = Instant::now();
        loop {
            self.serve();
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
