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
//!   stays open it ends itself, by a transaction of the same producer that writes to those partitions.
//!   A transactional id of its own for each life would not do: nobody would be left to end the transaction, and readers
//!   would wait for it for ever. Nor would it do to write to `weir-state` before all else in each transaction: whoever
//!   restores a partition would wait instead of going on, at the price of a round trip, but nothing would end.
//!
//! How it ends them is not ours to choose: the coordinator decided once, and some partitions may have been told. Two
//! things tell of a commit. The worker itself has heard of it, and knows it in its next life, unless the process died.
//! Or the markers are there in the group's offsets, or in another partition of `weir-state`, beside progress that hangs
//! ([`is_committed`]). Then what hangs is committed too, for which each partition has to be given a message: one without
//! a value, which is no record. Else it is aborted, which is right for all that nobody has seen.
//!
//! What remains takes a broker that dies within the millisecond in which it writes the markers of one transaction, and
//! the death of the process as well: if it had written some in record topics only, those records are doubled; if all of
//! the progress and not all of the records', those others are lost with the abort of the transaction that comes next.

use std::{
    collections::BTreeMap,
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
use weir_contract::record::Progress;
use weir_service::kafka::Reporter;

use super::{
    Shared, Trouble,
    outgoing::{Ending, Outgoing},
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
/// the worker, and if that is not it, of others who may not come back. `committed` are the offsets of the worker's last
/// transaction, if it is known to be committed and may hang.
pub(super) fn settle(
    shared: &Arc<Shared>,
    worker: u32,
    outgoing: &mut Outgoing,
    reader: &Reader,
    committed: Option<&TopicPartitionList>,
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
            let own = format!("{}-{worker}", shared.settings.instance);
            let ending = match committed {
                Some(offsets) => Ending::Commit(offsets.clone()),
                None => ending(shared, reader, hanging(shared, reader, &open)?.get(&own))?,
            };
            tell_end(worker, "this worker", &ending, &open);
            outgoing.end_in(&open, &ending, reader)?;
        }
        if others_at.take_if(|at| begun.elapsed() > *at).is_some() {
            for (owner, of_owner) in hanging(shared, reader, &open)? {
                let ending = ending(shared, reader, Some(&of_owner))?;
                tell_end(worker, &owner, &ending, &open);
                Outgoing::start(shared, &shared.transactional_id(&owner))?.end_in(&open, &ending, reader)?;
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

fn tell_end(worker: u32, of: &str, ending: &Ending, open: &TopicPartitionList) {
    counter!("weir_processor_hanging_transactions_total").increment(1);
    tracing::warn!(
        worker,
        of,
        "a transaction is open for long in {}: in case that Kafka forgot it, it is {}",
        name_of(open),
        match ending {
            Ending::Abort => "aborted",
            Ending::Commit(_) => "committed, as it was elsewhere",
        }
    );
}

/// Progress by partitions.
type Progresses = BTreeMap<u32, Progress>;

/// What hangs in `weir-state`, by the names of the workers that wrote it.
fn hanging(
    shared: &Shared,
    reader: &Reader,
    open: &TopicPartitionList,
) -> Result<BTreeMap<String, Progresses>, Trouble> {
    let mut by_owner: BTreeMap<String, Progresses> = BTreeMap::new();
    let state = open.elements_for_topic(&shared.topics.state);
    let state = list(state.iter().filter_map(|of| Some((of.topic(), u32::try_from(of.partition()).ok()?))));
    if state.count() == 0 {
        return Ok(by_owner);
    }
    // The first of them begins where what is committed ends.
    let from = reader.ask(|| ends(&reader.committed, &state))?;
    for (number, kept) in reader.read_from(&reader.any, &from)? {
        let Ok(Some(progress)) = kept.progress() else { continue };
        if let Some((owner, _)) = progress.owner.split_once(' ') {
            by_owner.entry(owner.to_owned()).or_default().insert(number, progress);
        }
    }
    Ok(by_owner)
}

/// How what hangs is to end, as far as the log tells.
fn ending(shared: &Shared, reader: &Reader, hanging: Option<&Progresses>) -> Result<Ending, Trouble> {
    let Some(hanging) = hanging else { return Ok(Ending::Abort) };
    let mut committed = Progresses::new();
    for number in 0..shared.topics.partition_count {
        // One after the other: their snapshots are with them, which may be large.
        let kept = reader.read_from(&reader.committed, &from_beginning(&shared.topics.state, number)?)?;
        committed.extend(kept.get(&number).and_then(|kept| Some((number, kept.progress().ok()??))));
    }
    let mut offsets = TopicPartitionList::new();
    let mut group = BTreeMap::new();
    for (&number, progress) in hanging {
        group.extend(reader.group_offset(number)?.map(|offset| (number, offset)));
        add(&mut offsets, &shared.topics.packets, number, Offset::Offset(progress.offset))?;
    }
    Ok(if is_committed(hanging, &committed, &group) { Ending::Commit(offsets) } else { Ending::Abort })
}

/// Whether a transaction that hangs in some partitions of `weir-state` was committed: it is in others, or it is in the
/// offsets of the group. An offset says so only where the transaction brought it on, as each does that has records.
fn is_committed(hanging: &Progresses, committed: &Progresses, group: &BTreeMap<u32, i64>) -> bool {
    let in_state = |progress: &Progress| {
        progress.transaction != 0 && committed.values().any(|other| other.transaction == progress.transaction)
    };
    hanging.iter().any(|(number, progress)| {
        let before = committed.get(number).map_or(progress.begin_offset, |before| before.offset);
        let in_group = progress.offset > before && group.get(number) == Some(&progress.offset);
        in_group || in_state(progress)
    })
}

fn from_beginning(topic: &str, number: u32) -> Result<TopicPartitionList, Trouble> {
    let mut from = TopicPartitionList::new();
    add(&mut from, topic, number, Offset::Beginning)?;
    Ok(from)
}

fn add(list: &mut TopicPartitionList, topic: &str, number: u32, offset: Offset) -> Result<(), Trouble> {
    list.add_partition_offset(topic, i32::try_from(number).unwrap_or(i32::MAX), offset)
        .map_err(|error| Trouble::restart("hanging", error))
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

#[cfg(test)]
mod tests {
    use super::*;

    const TRANSACTION: u64 = 7;

    fn progress(offset: i64, transaction: u64) -> Progress {
        Progress { offset, transaction, ..Progress::default() }
    }

    /// Partition 0 had come to 5 and partition 1 to 6, when a transaction brought them to 10 and 12; whose markers got to
    /// these partitions of the state, and to the group's offsets or not.
    fn is_found_committed(marked: &[u32], is_group_marked: bool) -> bool {
        let (before, after) =
            ([progress(5, 3), progress(6, 4)], [progress(10, TRANSACTION), progress(12, TRANSACTION)]);
        let (mut hanging, mut committed) = (Progresses::new(), Progresses::new());
        for (number, (before, after)) in (0..).zip(before.iter().zip(&after)) {
            if marked.contains(&number) {
                committed.insert(number, after.clone());
            } else {
                committed.insert(number, before.clone());
                hanging.insert(number, after.clone());
            }
        }
        let in_group = if is_group_marked { &after } else { &before };
        let group = (0..).zip(in_group).map(|(number, progress)| (number, progress.offset)).collect();
        is_committed(&hanging, &committed, &group)
    }

    #[test]
    fn any_marker_of_a_commit_in_state_or_group_commits_the_rest() {
        assert!(is_found_committed(&[0], false) && is_found_committed(&[1], false));
        assert!(is_found_committed(&[], true) && is_found_committed(&[0], true) && is_found_committed(&[1], true));
    }

    #[test]
    fn what_nobody_has_seen_is_no_commit() {
        assert!(!is_found_committed(&[], false));
        assert!(!is_committed(&Progresses::new(), &Progresses::from([(0, progress(5, 7))]), &BTreeMap::from([(0, 5)])));
    }

    #[test]
    fn an_offset_that_the_transaction_left_where_it_was_says_nothing() {
        // It only said who owns the partition.
        let (hanging, committed) = (progress(5, TRANSACTION), progress(5, 3));
        let of = |progress: Progress| Progresses::from([(0, progress)]);
        assert!(!is_committed(&of(hanging.clone()), &of(committed), &BTreeMap::from([(0, 5)])));
        // The first that ever was, of a partition whose log begins at 5.
        let first = Progress { begin_offset: 5, ..hanging };
        assert!(!is_committed(&of(first.clone()), &Progresses::new(), &BTreeMap::new()));
        let first = Progress { offset: 9, ..first };
        assert!(is_committed(&of(first), &Progresses::new(), &BTreeMap::from([(0, 9)])));
    }

    #[test]
    fn releases_before_transactions_had_names_are_not_taken_for_one_another() {
        let of = |number, progress| Progresses::from([(number, progress)]);
        assert!(!is_committed(&of(0, progress(10, 0)), &of(1, progress(12, 0)), &BTreeMap::new()));
    }
}
