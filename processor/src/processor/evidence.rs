//! What hangs, and what the log tells of how it ended.

use std::collections::{BTreeMap, BTreeSet};

use rdkafka::{
    Message as _, Offset, TopicPartitionList,
    message::{BorrowedMessage, Headers as _},
};
use weir_contract::record::Progress;

use super::{
    Shared, Trouble,
    outgoing::Ending,
    partitions::{add, ends, list, since},
    restore::{Reader, Wanted},
    transaction::{HEADER, Name},
};

/// A transaction that is open in some partitions.
pub(super) struct Hung {
    /// `None` of a release that did not write names.
    name: Option<Name>,
    /// Where it is open.
    pub(super) partitions: TopicPartitionList,
    /// What it says in those of `weir-state` among them.
    progress: Progresses,
    /// When brokers got the first of what it wrote there, ms since 1970-01-01 UTC.
    begun_ms: i64,
}

/// Progress by partitions.
type Progresses = BTreeMap<u32, Progress>;

impl Hung {
    fn new(name: Option<Name>) -> Self {
        Self { name, partitions: TopicPartitionList::new(), progress: Progresses::new(), begun_ms: i64::MAX }
    }

    /// The worker whose transaction it is.
    pub(super) fn owner(&self) -> Option<&str> {
        self.name.as_ref().map(|name| name.owner.as_str())
    }
}

/// The transactions that are open in these partitions: of each partition the first.
pub(super) fn find(shared: &Shared, reader: &Reader, open: &TopicPartitionList) -> Result<Vec<Hung>, Trouble> {
    // What follows what is committed is the first that such a transaction wrote.
    let from = reader.ask(|| ends(&reader.committed, open))?;
    let mut progresses = Progresses::new();
    let state = from.elements_for_topic(&shared.topics.state);
    if !state.is_empty() {
        let mut state_from = TopicPartitionList::new();
        for of in state {
            add(&mut state_from, of.topic(), u32::try_from(of.partition()).unwrap_or(u32::MAX), of.offset())?;
        }
        let kept = reader.read_from(&reader.any, &state_from)?;
        progresses.extend(kept.iter().filter_map(|(&number, kept)| Some((number, kept.progress().ok()??))));
    }
    let mut found: BTreeMap<Option<Name>, Hung> = BTreeMap::new();
    let mut failure = Ok(());
    reader.for_each(&reader.any, &from, |message| {
        let number = u32::try_from(message.partition()).unwrap_or(u32::MAX);
        let progress = progresses.get(&number).filter(|_| message.topic() == shared.topics.state);
        let name = name_in(message).or_else(|| progress.and_then(name_of_progress));
        let hung = found.entry(name.clone()).or_insert_with(|| Hung::new(name));
        let progress = progress.filter(|progress| hung.name == name_of_progress(progress));
        hung.progress.extend(progress.map(|progress| (number, progress.clone())));
        hung.begun_ms = hung.begun_ms.min(message.timestamp().to_millis().unwrap_or(i64::MAX));
        if let Err(trouble) = add(&mut hung.partitions, message.topic(), number, Offset::Invalid) {
            failure = Err(trouble);
        }
        Wanted::NoMore
    })?;
    failure.map(|()| found.into_values().collect())
}

fn name_in(message: &BorrowedMessage<'_>) -> Option<Name> {
    let header = message.headers()?.iter().find(|header| header.key == HEADER)?;
    Name::from_header(header.value?)
}

fn name_of_progress(progress: &Progress) -> Option<Name> {
    let (owner, _) = progress.owner.split_once(' ')?;
    Some(Name { owner: owner.to_owned(), number: progress.transaction })
}

/// How a transaction that hangs is to end: as a commit if it is one in any partition.
pub(super) fn ending(shared: &Shared, reader: &Reader, hung: &Hung) -> Result<Ending, Trouble> {
    let Some(name) = &hung.name else { return Ok(Ending::Abort) };
    let mut committed = Committed::default();
    for number in 0..shared.topics.partition_count {
        // One after the other: their snapshots are with them, which may be large.
        let mut from = TopicPartitionList::new();
        add(&mut from, &shared.topics.state, number, Offset::Beginning)?;
        for (number, kept) in reader.read_from(&reader.committed, &from)? {
            committed.progress.extend(kept.progress().ok().flatten().map(|progress| (number, progress)));
            committed.transactions.extend(kept.transactions);
        }
    }
    for &number in hung.progress.keys() {
        committed.group.extend(reader.group_offset(number)?.map(|offset| (number, offset)));
    }
    if !committed.tells_of(name, &hung.progress) && !is_in_records(shared, reader, name, hung)? {
        return Ok(Ending::Abort);
    }
    let mut offsets = TopicPartitionList::new();
    let in_state = committed.progress.iter().filter(|(_, progress)| progress.transaction == name.number);
    for (&number, progress) in in_state.chain(&hung.progress) {
        add(&mut offsets, &shared.topics.packets, number, Offset::Offset(progress.offset))?;
    }
    Ok(Ending::Commit(offsets))
}

/// What is known to be committed.
#[derive(Default)]
struct Committed {
    /// The last in each partition of `weir-state`.
    progress: Progresses,
    /// The transactions that wrote progress.
    transactions: BTreeSet<u64>,
    /// Offsets of the group, by partition.
    group: BTreeMap<u32, i64>,
}

impl Committed {
    /// Whether a transaction that hangs with `hanging` in `weir-state` is among it: in other partitions of that topic, or in
    /// the offsets of the group. An offset says so only where the transaction brought it on, as each does that has records.
    fn tells_of(&self, name: &Name, hanging: &Progresses) -> bool {
        let in_group = hanging.iter().any(|(number, progress)| {
            let before = self.progress.get(number).map_or(progress.begin_offset, |before| before.offset);
            progress.offset > before && self.group.get(number) == Some(&progress.offset)
        });
        in_group || (name.number != 0 && self.transactions.contains(&name.number))
    }
}

/// Whether a transaction is committed in another partition than where it hangs. It had at most its time-out, before and
/// after what it wrote there.
fn is_in_records(shared: &Shared, reader: &Reader, name: &Name, hung: &Hung) -> Result<bool, Trouble> {
    let timeout_ms = i64::try_from(shared.settings.transaction_timeout.as_millis()).unwrap_or(i64::MAX);
    let first_ms = hung.begun_ms.saturating_sub(timeout_ms).max(0);
    let last_ms = hung.begun_ms.saturating_add(timeout_ms);
    let hangs_in = |topic: &str, number| {
        let number = i32::try_from(number).unwrap_or(i32::MAX);
        hung.partitions.find_partition(topic, number).is_some()
    };
    let others = list(shared.topics.written().filter(|&(topic, number)| !hangs_in(topic, number)));
    let from = reader.ask(|| since(&reader.committed, &others, first_ms))?;
    let mut is_found = false;
    reader.for_each(&reader.committed, &from, |message| {
        is_found |= name_in(message).as_ref() == Some(name);
        let is_late = message.timestamp().to_millis().is_some_and(|at_ms| at_ms > last_ms);
        if is_found || is_late { Wanted::NoMore } else { Wanted::More }
    })?;
    Ok(is_found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRANSACTION: u64 = 7;

    fn progress(offset: i64, transaction: u64) -> Progress {
        Progress { offset, transaction, ..Progress::default() }
    }

    fn is_committed(hanging: &Progresses, committed: &Progresses, group: &BTreeMap<u32, i64>) -> bool {
        let transactions = committed.values().map(|progress| progress.transaction).collect();
        let committed = Committed { progress: committed.clone(), transactions, group: group.clone() };
        let name = |number| Name { owner: "p0-0".to_owned(), number };
        let number = hanging.values().next().map_or(TRANSACTION, |progress| progress.transaction);
        committed.tells_of(&name(number), hanging)
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
    fn a_commit_is_known_that_hangs_in_no_state() {
        assert!(is_committed(&Progresses::new(), &Progresses::from([(0, progress(5, TRANSACTION))]), &BTreeMap::new()));
    }

    #[test]
    fn what_nobody_has_seen_is_no_commit() {
        assert!(!is_found_committed(&[], false));
        assert!(!is_committed(&Progresses::new(), &Progresses::from([(0, progress(5, 3))]), &BTreeMap::from([(0, 5)])));
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
