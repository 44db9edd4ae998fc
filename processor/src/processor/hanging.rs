//! Transactions that hang: over for their coordinator, and open for ever in some partition.
//!
//! A transaction ends by a marker in each partition that it wrote to. Kafka 4.3.1 takes a partition without a leader for
//! one that was deleted, and writes it no marker (KAFKA-20734). With a single broker that is what a SIGKILL and a start
//! within the broker's session come to, for a second or two. What lies in such a partition shares the fate of the next
//! transaction of the same producer there: aborted records become visible with the next commit, committed ones are lost
//! with the next abort. Of 13 runs of chaos in which the broker was killed twice, 5 had doubled records by that.
//!
//! So no worker writes before all that was written in its name is over:
//!
//! - After a commit it waits for the markers in `weir-state`, where nobody else writes: 6 ms. One that doesn't come ends
//!   the worker's life.
//! - At the begin of a life ([`settle`]) it waits until nothing is open any more of what was in any topic then. What
//!   stays open it ends itself, by a transaction of the same producer that writes to those partitions and is aborted.
//!   A transactional id of its own for each life would not do: nobody would be left to end the transaction, and readers
//!   would wait for it for ever. Nor would it do to write to `weir-state` before all else in each transaction: whoever
//!   restores a partition would wait instead of going on, at the price of a round trip, but nothing would end.
//!
//! That abort is right whatever the transaction was meant to become: nobody has seen anything of it, its progress
//! neither, so all of it is decoded again. One case remains: a commit that got its markers in some partitions, that of
//! its progress among them, and never in others. It takes several brokers, and partitions that have no replica left
//! at that moment; what it wrote there would be lost.

use std::{
    collections::BTreeSet,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use metrics::counter;
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::KafkaResult,
};
use weir_service::kafka::Reporter;

use super::{
    Shared, Trouble,
    outgoing::Outgoing,
    restore::{ASK, Reader},
};

/// How long until partitions are asked again how far they are: a marker takes some milliseconds.
const AGAIN: Duration = Duration::from_millis(5);

/// The same where transactions of others may be open, which end with their commits.
const AGAIN_LATER: Duration = Duration::from_millis(50);

/// Partitions in one question: librdkafka takes time by the square of it to look for the answers.
const ASKED_AT_ONCE: usize = 256;

/// Brokers look for transactions past their time-out every 10 s, unless they are told otherwise.
const LOOKED_FOR: Duration = Duration::from_secs(15);

/// How long a transaction may be open that nobody has left open.
pub(super) fn longest(shared: &Shared) -> Duration {
    shared.settings.transaction_timeout + LOOKED_FOR
}

/// Waits until a commit to these partitions of `weir-state` has come to pass.
pub(super) fn wait_for_markers(
    shared: &Shared,
    reader: &Reader,
    numbers: impl Iterator<Item = u32>,
) -> Result<(), Trouble> {
    let state = list(numbers.map(|number| (shared.topics.state.as_str(), number)));
    let mut open = reader.ask(|| ends(&reader.any, &state))?;
    let begun = Instant::now();
    loop {
        open = reader.ask(|| still_open(&reader.committed, &open))?;
        if open.count() == 0 {
            return Ok(());
        }
        if begun.elapsed() > shared.settings.transaction_timeout {
            return Err(Trouble::restart("hanging", format!("Kafka did not end a commit in {}", name_of(&open))));
        }
        thread::sleep(AGAIN);
    }
}

/// Waits until nothing is open any more of what processors had written to any topic, and ends what hangs: in the name of
/// the worker, and if that is not it, of others who may not come back.
pub(super) fn settle(
    shared: &Arc<Shared>,
    worker: u32,
    outgoing: &mut Outgoing,
    reader: &Reader,
) -> Result<(), Trouble> {
    let written = list(shared.topics.written());
    let mut open = reader.ask(|| ends(&reader.any, &written))?;
    let begun = Instant::now();
    // What others have open meanwhile ends with their commits.
    let mut own_at = Some(2 * shared.settings.commit_interval.0);
    let mut others_at = Some(longest(shared));
    loop {
        open = reader.ask(|| still_open(&reader.committed, &open))?;
        if open.count() == 0 {
            return Ok(());
        }
        shared.tell(worker, Some(format!("waiting for transactions to end in {}", name_of(&open))));
        if own_at.take_if(|at| begun.elapsed() > *at).is_some() {
            tell_end(worker, "this worker", &open);
            outgoing.end_in(&open, reader)?;
        }
        if others_at.take_if(|at| begun.elapsed() > *at).is_some() {
            for owner in owners(shared, reader, &open)? {
                tell_end(worker, &owner, &open);
                Outgoing::start(shared, &owner)?.end_in(&open, reader)?;
            }
        }
        if begun.elapsed() > 2 * longest(shared) {
            let what = format!(
                "a transaction does not end in {}; `kafka-transactions find-hanging` tells whose, and `abort` ends it",
                name_of(&open)
            );
            return Err(Trouble::restart("hanging", what));
        }
        if shared.is_stopped() {
            return Err(Trouble::Stopped);
        }
        thread::sleep(AGAIN_LATER);
    }
}

fn tell_end(worker: u32, of: &str, open: &TopicPartitionList) {
    counter!("weir_processor_hanging_transactions_total").increment(1);
    tracing::warn!(
        worker,
        of,
        "a transaction is open for long in {}: in case that Kafka forgot it, it is ended",
        name_of(open)
    );
}

/// Whose transactions hang in `weir-state`, by their transactional ids: what is not committed there names its owner.
fn owners(shared: &Arc<Shared>, reader: &Reader, open: &TopicPartitionList) -> Result<BTreeSet<String>, Trouble> {
    let state = open.elements_for_topic(&shared.topics.state);
    let state = list(state.iter().filter_map(|of| Some((of.topic(), u32::try_from(of.partition()).ok()?))));
    if state.count() == 0 {
        return Ok(BTreeSet::new());
    }
    // The first of them begins where what is committed ends.
    let from = reader.ask(|| ends(&reader.committed, &state))?;
    let kept = reader.read_from(&reader.any, &from)?;
    let owners = kept.values().filter_map(|kept| kept.progress().ok()?).map(|progress| progress.owner);
    Ok(owners.filter_map(|owner| Some(shared.transactional_id(owner.split_once(' ')?.0))).collect())
}

fn list<'a>(partitions: impl Iterator<Item = (&'a str, u32)>) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for (topic, number) in partitions {
        list.add_partition(topic, i32::try_from(number).unwrap_or(i32::MAX));
    }
    list
}

/// Where partitions end, as the consumer's isolation has it: behind the last message, or where the first transaction
/// begins that is open. It takes a request to each broker for some hundred partitions.
fn ends(consumer: &BaseConsumer<Reporter>, of: &TopicPartitionList) -> KafkaResult<TopicPartitionList> {
    let mut ends = TopicPartitionList::new();
    for some in of.elements().chunks(ASKED_AT_ONCE) {
        let mut asked = TopicPartitionList::new();
        for of in some {
            asked.add_partition_offset(of.topic(), of.partition(), Offset::End)?;
        }
        for end in consumer.offsets_for_times(asked, ASK)?.elements() {
            end.error()?;
            ends.add_partition_offset(end.topic(), end.partition(), end.offset())?;
        }
    }
    Ok(ends)
}

/// Those of the partitions that have something open before the offsets beside them.
fn still_open(committed: &BaseConsumer<Reporter>, before: &TopicPartitionList) -> KafkaResult<TopicPartitionList> {
    let stable = ends(committed, before)?;
    let mut open = TopicPartitionList::new();
    for (before, stable) in before.elements().iter().zip(stable.elements()) {
        if stable.offset().to_raw() < before.offset().to_raw() {
            open.add_partition_offset(before.topic(), before.partition(), before.offset())?;
        }
    }
    Ok(open)
}

/// Names partitions, for people: the first and how many there are.
pub(super) fn name_of(partitions: &TopicPartitionList) -> String {
    let elements = partitions.elements();
    let Some(first) = elements.first() else { return "no partition".to_owned() };
    let first = format!("{} partition {}", first.topic(), first.partition());
    if elements.len() == 1 { first } else { format!("{first} and {} more", elements.len() - 1) }
}
