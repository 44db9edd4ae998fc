//! What one worker has in hand: its partitions, and the transaction they write into.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use metrics::{counter, gauge, histogram};
use rdkafka::{
    Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _, ConsumerGroupMetadata},
    message::BorrowedMessage,
};
use weir_contract::{PacketBatch, record::Skipped};
use weir_engine::Counters;

use super::{
    Shared, Trouble, fingerprint,
    hanging::{self, Watch},
    listener::Listener,
    outgoing::{Outgoing, Sent},
    partition::{Commit, Failure, Message, Note, Partition, Purpose, Rules, TRIES_MAX, Taken},
    restore::{Reader, watermarks},
    topics::Topic,
};

/// How often a message may ask for a commit before it is taken: to be claimed, and to be begun.
const COMMITS_BEFORE: usize = 3;

/// Until the first commit of partitions that were taken over: who waits for their records has waited long enough.
const FIRST_COMMIT: Duration = Duration::from_millis(100);

/// A partition, and what metrics know of it.
struct Held {
    partition: Partition,
    /// What of its counters has been told.
    told: Counters,
    since: Instant,
    was_live: bool,
}

/// What a worker's life has learnt that is in no topic, for the next one.
#[derive(Default)]
pub(super) struct Lessons {
    /// What engines of this process panicked at.
    skips: Vec<(u32, Skipped)>,
    /// Offsets of messages, by partition, before which others were missing.
    gaps: BTreeSet<(u32, i64)>,
    /// Offsets of a transaction that is committed, whose end has not been seen in all partitions.
    committed: Option<TopicPartitionList>,
}

/// What a worker has in hand.
pub(super) struct Work {
    shared: Arc<Shared>,
    number: u32,
    rules: Arc<Rules>,
    outgoing: Outgoing,
    reader: Reader,
    partitions: BTreeMap<u32, Held>,
    /// Memory for the message at hand.
    batch: PacketBatch,
    /// Who we were in the group when the partitions were assigned. Asked later it could tell what it has become
    /// since, and a commit in that name would not be refused.
    group: Option<ConsumerGroupMetadata>,
    /// What went wrong where nobody could be told.
    trouble: Option<Trouble>,
    lessons: Lessons,
    /// What others had open when partitions were taken over.
    watch: Option<Watch>,
    is_closing: bool,
    committed_at: Duration,
    interval: Duration,
    /// The partition whose snapshot was taken last.
    snapshot_of: u32,
    /// Capture time of the earliest packets in the transaction, ns.
    captured_ns: Option<i64>,
}

impl Work {
    pub(super) fn new(shared: &Arc<Shared>, number: u32, outgoing: Outgoing, reader: Reader, lessons: Lessons) -> Self {
        let settings = &shared.settings;
        let partition_count = shared.topics.partition_count;
        let share = |all: usize| (all / usize::try_from(partition_count).unwrap_or(1).max(1)).max(1);
        let limits = weir_engine::Limits {
            flows: share(settings.limits.flows),
            fragment_bytes: share(settings.limits.fragment_bytes),
            stream_bytes: share(settings.limits.stream_bytes),
        };
        let rules = Rules {
            topic: shared.topics.packets.clone(),
            partition_count,
            limits,
            selection: settings.selection,
            seed: shared.seed,
            fingerprint: fingerprint(settings),
            owner: format!("{}-{number} {:016x}", settings.instance, shared.process),
            snapshot_age: settings.snapshot_age,
            tries_max: TRIES_MAX,
        };
        Self {
            shared: Arc::clone(shared),
            number,
            rules: Arc::new(rules),
            outgoing,
            reader,
            partitions: BTreeMap::new(),
            batch: PacketBatch::default(),
            group: None,
            trouble: None,
            lessons,
            watch: None,
            is_closing: false,
            committed_at: shared.now(),
            interval: settings.commit_interval.0,
            snapshot_of: 0,
            captured_ns: None,
        }
    }

    /// What went wrong in a callback.
    pub(super) fn check(&mut self) -> Result<(), Trouble> {
        self.trouble.take().map_or(Ok(()), Err)
    }

    /// Waits until all is over that was begun before.
    pub(super) fn settle(&mut self) -> Result<(), Trouble> {
        let committed = self.lessons.committed.as_ref();
        hanging::settle(&self.shared, self.number, &mut self.outgoing, &self.reader, committed)?;
        self.lessons.committed = None;
        Ok(())
    }

    pub(super) fn assigned(&mut self, consumer: &BaseConsumer<Listener>, partitions: &TopicPartitionList) {
        let done = if self.is_closing { Ok(None) } else { self.take_over(consumer, partitions) };
        let assigned = match done {
            Ok(Some(from)) => consumer.assign(&from).map_err(|error| Trouble::restart("consumer", error)),
            Ok(None) => consumer.unassign().map_err(|error| Trouble::restart("consumer", error)),
            Err(trouble) => {
                // The group has to be answered, whatever it is.
                let _ = consumer.unassign();
                Err(trouble)
            }
        };
        // Now that everything is restored, say so: who dies of it is known then.
        if let Err(trouble) = assigned.and_then(|()| self.commit(false)) {
            self.forget();
            self.trouble.get_or_insert(trouble);
        }
        self.interval = FIRST_COMMIT;
        self.tell();
    }

    /// Restores the partitions; where to read them from, or nothing if they are lost already.
    fn take_over(
        &mut self,
        consumer: &BaseConsumer<Listener>,
        partitions: &TopicPartitionList,
    ) -> Result<Option<TopicPartitionList>, Trouble> {
        let begun = Instant::now();
        self.forget();
        let group = consumer.group_metadata();
        // In this order: a member that was expelled before it was asked for its name has lost its partitions.
        if consumer.assignment_lost() {
            return Ok(None);
        }
        let mut numbers = Vec::new();
        for element in partitions.elements() {
            let number = u32::try_from(element.partition()).unwrap_or(u32::MAX);
            if number >= self.rules.partition_count {
                return Err(Trouble::Fatal(format!(
                    "{} has grown beyond {} partitions: a topic's number of partitions must not be changed, since the \
                     packets of a connection would be divided; use another topic prefix for another number",
                    self.rules.topic, self.rules.partition_count
                )));
            }
            numbers.push(number);
        }
        let kept = self.reader.read(&numbers)?;
        let mut from = TopicPartitionList::new();
        for (number, kept) in kept {
            let (start, end) = self.reader.ask(|| watermarks(consumer, &self.rules.topic, number))?;
            let skips = self.lessons.skips.iter().filter(|(of, _)| *of == number).map(|(_, skipped)| skipped.clone());
            let restored =
                Partition::restore(number, &self.rules, &kept, (start, end), skips.collect(), self.shared.now());
            let (partition, notes) = restored.map_err(|failure| Trouble::Fatal(failure.to_string()))?;
            self.reader.check_group(number, partition.committed_offset())?;
            notes.iter().for_each(|note| tell_note(number, note));
            let offset = Offset::Offset(partition.fetch_from(start));
            let place = i32::try_from(number).unwrap_or(i32::MAX);
            from.add_partition_offset(&self.rules.topic, place, offset)
                .map_err(|error| Trouble::restart("restore", error))?;
            let told = *partition.counters();
            self.partitions.insert(number, Held { partition, told, since: begun, was_live: false });
        }
        self.watch = Some(Watch::begin(&self.shared, &self.reader)?);
        self.group = group;
        counter!("weir_processor_rebalances_total").increment(1);
        histogram!("weir_processor_restore_seconds").record(begun.elapsed());
        tracing::info!(worker = self.number, partitions = ?numbers, seconds = begun.elapsed().as_secs_f64(), "assigned");
        Ok(Some(from))
    }

    pub(super) fn revoked(&mut self, consumer: &BaseConsumer<Listener>) {
        let is_lost = consumer.assignment_lost();
        if is_lost && !self.partitions.is_empty() {
            tracing::warn!(worker = self.number, "partitions were lost to others: what was not committed is dropped");
        } else if !self.partitions.is_empty() {
            // What follows can't be told whoever takes over: it finds the state of the last commit.
            if let Err(trouble) = self.release() {
                self.trouble.get_or_insert(trouble);
            }
            tracing::info!(worker = self.number, "partitions were revoked");
        }
        if is_lost && self.outgoing.is_open() {
            self.trouble.get_or_insert(Trouble::restart("fenced", "the session in the group expired"));
        }
        self.forget();
        if let Err(error) = consumer.unassign() {
            self.trouble.get_or_insert(Trouble::restart("consumer", error));
        }
        self.tell();
    }

    /// Commits for the last time: with a snapshot of every partition at the committed offset.
    pub(super) fn release(&mut self) -> Result<(), Trouble> {
        self.commit(true)
    }

    /// Drops what is in hand. What follows is for the broker and for whoever comes next.
    pub(super) fn close(&mut self) -> Lessons {
        self.is_closing = true;
        self.forget();
        self.outgoing.abort();
        std::mem::take(&mut self.lessons)
    }

    fn forget(&mut self) {
        for number in self.partitions.keys() {
            let number = number.to_string();
            gauge!("weir_processor_lag_messages", "partition" => number.clone()).set(0.0);
            gauge!("weir_processor_flows", "partition" => number).set(0.0);
        }
        self.partitions.clear();
        self.group = None;
    }

    /// Takes a message of `weir-packets`.
    pub(super) fn take(&mut self, message: &BorrowedMessage<'_>) -> Result<(), Trouble> {
        let Ok(number) = u32::try_from(message.partition()) else { return Ok(()) };
        let view = Message {
            offset: message.offset(),
            appended_ms: message.timestamp().to_millis().unwrap_or_default(),
            value: message.payload(),
        };
        for _ in 0..COMMITS_BEFORE {
            let Some(held) = self.partitions.get_mut(&number) else { return Ok(()) };
            // Agents write no transactions, so offsets follow one another. What the client passed over is asked for
            // again once, by another client; if it is missing for that one too, it isn't there.
            let (next, offset) = (held.partition.next(), view.offset);
            if offset > next && self.lessons.gaps.insert((number, offset)) {
                let what =
                    format!("partition {number}: offset {offset} came where {next} was awaited; it is read again");
                return Err(Trouble::restart("gap", what));
            }
            let begun = Instant::now();
            match held.partition.take(&view, &mut self.batch, &mut self.outgoing) {
                Ok(Taken::CommitFirst) => self.commit(false)?,
                Ok(taken) => {
                    match taken {
                        Taken::Decoded => {
                            counter!("weir_processor_messages_total").increment(1);
                            counter!("weir_processor_message_bytes_total").increment(message.payload_len() as u64);
                            histogram!("weir_processor_decode_seconds").record(begun.elapsed());
                            let captured_ns = held.partition.captured_ns();
                            self.captured_ns = self.captured_ns.or(captured_ns);
                        }
                        Taken::Replayed => {
                            counter!("weir_processor_replayed_messages_total").increment(1);
                            held.told = *held.partition.counters();
                        }
                        Taken::Discarded | Taken::CommitFirst => {}
                    }
                    if !held.was_live && held.partition.is_live() {
                        held.was_live = true;
                        histogram!("weir_processor_replay_seconds").record(held.since.elapsed());
                        self.tell();
                    }
                    return self.outgoing.check();
                }
                Err(Failure::Panicked { partition, skipped }) => {
                    let what = format!(
                        "partition {partition} offset {}, packet {:?}: the engine panicked: {}; it is left out from now on",
                        skipped.offset, skipped.packet_number, skipped.reason
                    );
                    self.lessons.skips.push((partition, skipped));
                    return Err(Trouble::restart("panic", what));
                }
                Err(failure) => return Err(Trouble::Fatal(failure.to_string())),
            }
        }
        Err(Trouble::restart("aborted", "commits did not let a message be begun"))
    }

    /// How long until the next commit is due.
    pub(super) fn until_commit(&self) -> Duration {
        (self.committed_at + self.interval).saturating_sub(self.shared.now())
    }

    /// Commits if it is time.
    pub(super) fn tick(&mut self) -> Result<(), Trouble> {
        self.outgoing.serve();
        self.reader.serve();
        if let Some(watch) = &mut self.watch
            && watch.is_over(&self.shared, self.number, &self.reader)?
        {
            self.watch = None;
        }
        if self.until_commit().is_zero() { self.commit(false) } else { Ok(()) }
    }

    fn commit(&mut self, releases: bool) -> Result<(), Trouble> {
        let Some(group) = &self.group else { return Ok(()) };
        let now = self.shared.now();
        self.committed_at = now;
        let snapshot_of = self.next_snapshot(now);
        let transaction = self.outgoing.transaction();
        let mut commits: Vec<(u32, Commit)> = Vec::new();
        let mut offsets = TopicPartitionList::new();
        for (&number, held) in &mut self.partitions {
            let purpose = match (releases, snapshot_of == Some(number)) {
                (true, _) => Purpose::Release,
                (false, true) => Purpose::Snapshot,
                (false, false) => Purpose::Continue,
            };
            let Some(commit) = held.partition.commit(purpose, transaction, &mut self.outgoing) else { continue };
            for entry in &commit.entries {
                let sent = self.outgoing.send(Topic::State, number, Some(&entry.key), entry.value.as_deref());
                if sent == Sent::TooLarge {
                    let state = &self.shared.topics.state;
                    return Err(Trouble::Fatal(format!(
                        "partition {number}: what {state} has to keep does not fit into a message; are there thousands of sensors?"
                    )));
                }
            }
            let place = i32::try_from(number).unwrap_or(i32::MAX);
            offsets
                .add_partition_offset(&self.rules.topic, place, Offset::Offset(commit.offset))
                .map_err(|error| Trouble::restart("aborted", error))?;
            commits.push((number, commit));
        }
        if commits.is_empty() {
            return Ok(());
        }
        let begun = Instant::now();
        let written = self.outgoing.written();
        self.outgoing.commit(&offsets, group)?;
        self.lessons.committed = Some(offsets);
        hanging::wait_for_markers(&self.shared, &self.reader, &written)?;
        self.lessons.committed = None;
        let latency = begun.elapsed();
        histogram!("weir_processor_transaction_seconds").record(latency);
        self.interval = interval(latency, self.shared.settings.commit_interval);
        self.snapshot_of = snapshot_of.unwrap_or(self.snapshot_of);
        if let Some(captured_ns) = self.captured_ns.take() {
            histogram!("weir_processor_latency_seconds").record(seconds_since(captured_ns));
        }
        for (number, commit) in commits {
            if let Some(bytes) = commit.snapshot_bytes {
                counter!("weir_processor_snapshots_total").increment(1);
                histogram!("weir_processor_snapshot_bytes").record(f64::from(u32::try_from(bytes).unwrap_or(u32::MAX)));
            }
            if let Some(held) = self.partitions.get_mut(&number) {
                held.partition.confirm(commit, now);
                tell_counters(&held.told, held.partition.counters());
                held.told = *held.partition.counters();
                let flows = f64::from(u32::try_from(held.partition.flow_count()).unwrap_or(u32::MAX));
                gauge!("weir_processor_flows", "partition" => number.to_string()).set(flows);
            }
        }
        self.tell();
        Ok(())
    }

    /// Whose turn it is to have its snapshot taken: one engine a commit.
    fn next_snapshot(&self, now: Duration) -> Option<u32> {
        let due = || self.partitions.iter().filter(|(_, held)| held.partition.is_snapshot_due(now)).map(|(&of, _)| of);
        due().find(|&number| number > self.snapshot_of).or_else(|| due().next())
    }

    /// Says how far the worker is.
    fn tell(&self) {
        let replaying = self.partitions.values().filter(|held| !held.partition.is_live()).count();
        let worker = self.number.to_string();
        let count = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
        gauge!("weir_processor_partitions", "worker" => worker.clone()).set(count(self.partitions.len()));
        gauge!("weir_processor_replaying_partitions", "worker" => worker).set(count(replaying));
        let waits_for = match (&self.group, replaying) {
            (None, _) => Some("waiting for partitions".to_owned()),
            (Some(_), 0) => None,
            (Some(_), replaying) => Some(format!("replaying {replaying} partitions")),
        };
        self.shared.tell(self.number, waits_for);
    }
}

/// Time between commits: ten times what one takes, within bounds.
fn interval(latency: Duration, (shortest, longest): (Duration, Duration)) -> Duration {
    (10 * latency).clamp(shortest, longest.max(shortest))
}

fn seconds_since(time_ns: i64) -> f64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let time = Duration::from_nanos(u64::try_from(time_ns).unwrap_or_default());
    since_epoch.saturating_sub(time).as_secs_f64()
}

fn tell_note(partition: u32, note: &Note) {
    match note {
        Note::Partial(why) => {
            counter!("weir_processor_partial_states_total").increment(1);
            tracing::error!(partition, "the state is not whole, connections may be cut in two: {why}");
        }
        Note::Lost(first, last) => {
            counter!("weir_processor_lost_messages_total").increment((last - first).unsigned_abs() + 1);
            tracing::error!(
                partition,
                first,
                last,
                "Kafka deleted messages before they were read: give it more retention"
            );
        }
        Note::OtherSettings => {
            counter!("weir_processor_changed_replays_total").increment(1);
            tracing::warn!(partition, "what is replayed was decoded by another build or with other settings");
        }
        Note::Careful => {
            tracing::warn!(partition, "processes died at this offset: messages are decoded one at a time for a while");
        }
    }
}

fn tell_counters(before: &Counters, now: &Counters) {
    let since = |of: fn(&Counters) -> u64| of(now).saturating_sub(of(before));
    counter!("weir_processor_packets_total").increment(since(|counters| counters.packets));
    counter!("weir_processor_late_flows_total").increment(since(|counters| counters.late_flows));
    counter!("weir_processor_evicted_flows_total").increment(since(|counters| counters.evicted_flows));
    counter!("weir_processor_evicted_datagrams_total").increment(since(|counters| counters.evicted_datagrams));
    counter!("weir_processor_evicted_streams_total").increment(since(|counters| counters.evicted_streams));
    counter!("weir_processor_failed_packets_total").increment(since(|counters| counters.failed_packets));
    counter!("weir_processor_repeated_batches_total").increment(since(|counters| counters.repeated_batches));
    counter!("weir_processor_lost_packets_total").increment(since(|counters| counters.lost_packets));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commits_are_as_far_apart_as_they_are_slow() {
        let bounds = (Duration::from_secs(1), Duration::from_secs(5));
        let after = |ms: u64| interval(Duration::from_millis(ms), bounds).as_millis();
        assert_eq!((after(10), after(200), after(3000)), (1000, 2000, 5000));
    }
}
