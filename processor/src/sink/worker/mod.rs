//! One worker: a consumer, the chains of the partitions that the group gives it, and the memory they take.

mod position;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use metrics::{counter, gauge};
use rdkafka::consumer::CommitMode;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message as _;
use weir_contract::RecordType;

use super::chain::{Put, Step};
use super::consumer::{Change, GroupConsumer, Place};
use super::dead_letter::DeadLetters;
use super::link::{Log, Source};
use super::metrics as name;
use super::partition::{Next, Partition, Topic};
use super::pool::{Answer, Job, Outcome, Owner, Pool, What};
use super::roll::{Progress, Rolling};

/// How often files, memory and the group are looked after.
const TICK: Duration = Duration::from_millis(100);

/// The same in bytes of messages.
const TICK_BYTES: usize = 8 << 20;

/// Pause after a question that the brokers did not answer.
const RETRY: Duration = Duration::from_secs(1);

/// How long the last files may take to be put when the process is to stop.
const STOP_WITHIN: Duration = Duration::from_secs(25);

/// What all workers of a process have in common.
pub struct Shared {
    pub cluster: String,
    /// What each topic got when it was created, as far as that is known.
    pub incarnations: BTreeMap<String, String>,
    pub rolling: Rolling,
    pub drop_unknown_fields: bool,
    pub pool: Pool,
    pub dead_letters: Arc<DeadLetters>,
    pub stop: Arc<AtomicBool>,
}

/// A worker. All it has is its own.
pub struct Worker {
    number: String,
    shared: Arc<Shared>,
    consumer: GroupConsumer,
    topics: HashMap<String, Topic>,
    /// Bytes of records that may be in memory.
    memory: usize,
    /// Bytes that are with the pool.
    putting: usize,
    generation: u64,
    answers: (Sender<Answer>, Receiver<Answer>),
    commits: BTreeMap<Place, i64>,
    read_since_tick: usize,
    ticked: Instant,
    held_back: Option<Instant>,
    /// Positions may be out of the log's range.
    doubts_range: bool,
    ask_again: Instant,
    /// Answers that wait for the brokers.
    later: Vec<(Owner, Outcome)>,
}

impl Worker {
    /// A worker with this consumer, which may keep so many bytes of records.
    pub fn new(
        number: String,
        shared: Arc<Shared>,
        consumer: GroupConsumer,
        topics: &[(String, RecordType)],
        memory: usize,
    ) -> Self {
        let topic = |record_type: RecordType| {
            let read = counter!(name::RECORDS, "type" => record_type.name());
            // There from the start: an increase from nothing is none that a query sees.
            let _ = counter!(name::DEAD_LETTERS, "type" => record_type.name());
            Topic { record_type, partitions: BTreeMap::new(), read }
        };
        gauge!(name::MEMORY_LIMIT, "worker" => number.clone()).set(name::as_number(memory));
        Self {
            number,
            shared,
            consumer,
            topics: topics.iter().map(|(name, record_type)| (name.clone(), topic(*record_type))).collect(),
            memory,
            putting: 0,
            generation: 0,
            answers: channel(),
            commits: BTreeMap::new(),
            read_since_tick: 0,
            ticked: Instant::now(),
            held_back: None,
            doubts_range: false,
            ask_again: Instant::now(),
            later: Vec::new(),
        }
    }

    /// Works until the process is to stop, or has to; then what is open is put, and it says whether all could be.
    ///
    /// # Errors
    ///
    /// The client failed for good, or there is a mistake of ours.
    pub fn run(mut self) -> anyhow::Result<bool> {
        while !self.shared.stop.load(Ordering::Relaxed) {
            self.turn()?;
            if self.consumer.is_stranded() {
                tracing::error!("Kafka's client has forgotten all brokers: the sink ends, to be started again");
                self.shared.stop.store(true, Ordering::Relaxed);
                return Ok(false);
            }
        }
        let until = Instant::now() + STOP_WITHIN;
        self.consumer.hold_back(true)?;
        self.held_back = Some(Instant::now());
        self.each(|_, partition| partition.chain.end());
        while !self.is_idle() && Instant::now() < until {
            self.turn()?;
        }
        let unput = self.unput();
        if let Some(one) = unput.first() {
            tracing::error!(
                "what was read of {} partitions, such as {one}, is not in the lake: the store took no more within {} s. Nothing is \
                 lost while Kafka keeps it: the next sink of the group reads it again",
                unput.len(),
                STOP_WITHIN.as_secs()
            );
        }
        let commits: Vec<_> = std::mem::take(&mut self.commits).into_iter().collect();
        if let Err(error) = self.consumer.commit(&commits, CommitMode::Sync) {
            tracing::warn!("the group's offsets can't be committed: {error}; nothing is lost, they are hints");
        }
        Ok(unput.is_empty())
    }

    fn is_idle(&self) -> bool {
        self.topics.values().flat_map(|topic| topic.partitions.values()).all(|partition| partition.chain.is_idle())
    }

    /// Partitions of which something was read that is not in the lake.
    fn unput(&self) -> Vec<Source> {
        let partitions = self.topics.iter().flat_map(|(name, topic)| {
            let unput = topic.partitions.iter().filter(|(_, partition)| !partition.chain.is_idle());
            unput.map(|(number, _)| topic.source(name, *number))
        });
        partitions.collect()
    }

    /// Reads for a while, then looks after all else.
    fn turn(&mut self) -> anyhow::Result<()> {
        while self.ticked.elapsed() < TICK && self.read_since_tick < TICK_BYTES {
            if !self.read()? {
                break;
            }
        }
        self.follow_group();
        self.take_answers()?;
        if self.ticked.elapsed() >= TICK || self.read_since_tick >= TICK_BYTES {
            (self.ticked, self.read_since_tick) = (Instant::now(), 0);
            self.tick()?;
        }
        Ok(())
    }

    /// Waits for a message until the next tick, and reads those behind it that are at hand; says whether there are more.
    fn read(&mut self) -> anyhow::Result<bool> {
        let mut wait = TICK.saturating_sub(self.ticked.elapsed());
        // Asking for the time costs as much as reading a message.
        for _ in 0..256 {
            let Self { consumer, topics, shared, read_since_tick, .. } = self;
            let message = match consumer.poll(std::mem::take(&mut wait)) {
                None => return Ok(false),
                Some(Err(error)) => {
                    self.complain(&error)?;
                    return Ok(false);
                }
                Some(Ok(message)) => message,
            };
            *read_since_tick += 1 + message.payload_len();
            let place = (message.topic(), message.partition());
            let Some(topic) = topics.get_mut(place.0) else { continue };
            let Some(partition) = topic.partitions.get_mut(&place.1) else { continue };
            topic.read.increment(1);
            let next = partition.take(&message, topic.record_type, shared)?;
            if next != Next::GoOn {
                let source = topic.source(place.0, place.1);
                drop(message);
                // It may have been revoked when the message was fetched.
                self.follow_group();
                self.proceed(source, next)?;
            }
        }
        Ok(true)
    }

    fn proceed(&mut self, source: Source, next: Next) -> anyhow::Result<()> {
        let place = (source.topic.clone(), source.partition);
        if self.partition(&place).is_none() {
            return Ok(());
        }
        match next {
            Next::GoOn => {}
            Next::Put => self.put(&source),
            Next::List(hour) => {
                self.consumer.leave(&[place])?;
                self.give(source, 0, What::List(hour));
            }
            Next::Step(Step::GoOn) => {}
            Next::Step(Step::Locate) => {
                if let Some(partition) = self.partition(&place) {
                    partition.must_locate = true;
                }
                self.consumer.leave(&[place])?;
            }
            Next::Step(Step::Read(offset)) => self.consumer.read(&[(place, offset)])?,
            Next::Step(Step::Stop) => {
                self.consumer.leave(std::slice::from_ref(&place))?;
                if let Some(trouble) = self.partition(&place).and_then(|partition| partition.chain.trouble().cloned()) {
                    gauge!(name::STOPPED, "reason" => trouble.name()).increment(1.0);
                    tracing::error!(topic = place.0, partition = place.1, "stopped: {trouble}");
                }
                self.put(&source);
            }
        }
        Ok(())
    }

    fn partition(&mut self, (topic, partition): &Place) -> Option<&mut Partition> {
        self.topics.get_mut(topic)?.partitions.get_mut(partition)
    }

    /// Calls for each partition.
    fn each(&mut self, mut what: impl FnMut(&Place, &mut Partition)) {
        for (name, topic) in &mut self.topics {
            for (number, partition) in &mut topic.partitions {
                what(&(name.clone(), *number), partition);
            }
        }
    }

    fn source(&self, place: &Place) -> Option<Source> {
        self.topics.get(&place.0).map(|topic| topic.source(&place.0, place.1))
    }

    fn give(&mut self, source: Source, bytes: usize, what: What) {
        let place = (source.topic.clone(), source.partition);
        let Some(generation) = self.partition(&place).map(|partition| partition.generation) else { return };
        self.putting += bytes;
        let job = Job { owner: (source, generation), bytes, what, answer: self.answers.0.clone() };
        self.shared.pool.give(job);
    }

    /// Gives the chain's next ended file to the pool, unless one is there.
    fn put(&mut self, source: &Source) {
        let log = self.log(&source.topic);
        let Some(partition) = self.partition(&(source.topic.clone(), source.partition)) else { return };
        let Some(open) = partition.chain.next_put() else { return };
        let has_dead_letters = std::mem::take(&mut partition.has_dead_letters);
        // The body is in memory twice while it is sent.
        let bytes = 2 * open.file.memory();
        self.give(source.clone(), bytes, What::Put { open: Box::new(open), log, has_dead_letters });
    }

    fn log(&self, topic: &str) -> Log {
        let incarnation = self.shared.incarnations.get(topic).cloned().unwrap_or_default();
        Log { cluster: self.shared.cluster.clone(), incarnation }
    }

    /// Takes partitions up and drops them, as the group says. What was read of one that is revoked is dropped: its new
    /// owner reads it again.
    fn follow_group(&mut self) {
        for change in self.consumer.changes() {
            match change {
                Change::Assigned(places) => {
                    tracing::info!(partitions = places.len(), "the group assigned partitions");
                    for (topic, number) in places {
                        self.generation += 1;
                        let (generation, log) = (self.generation, self.log(&topic));
                        let Some(topic) = self.topics.get_mut(&topic) else { continue };
                        counter!(name::RESUMED, "reason" => "assigned").increment(1);
                        let partition = Partition::new(log, generation);
                        topic.partitions.insert(number, partition);
                    }
                }
                Change::Revoked(places) => {
                    tracing::info!(partitions = places.len(), "the group revoked partitions");
                    for place in places {
                        let gone = self.topics.get_mut(&place.0).and_then(|topic| topic.partitions.remove(&place.1));
                        if let Some(trouble) = gone.as_ref().and_then(|partition| partition.chain.trouble()) {
                            gauge!(name::STOPPED, "reason" => trouble.name()).decrement(1.0);
                        }
                        self.commits.remove(&place);
                    }
                }
            }
        }
    }

    fn take_answers(&mut self) -> anyhow::Result<()> {
        while let Ok(Answer { owner, bytes, what }) = self.answers.1.try_recv() {
            self.putting -= bytes;
            self.take_answer(owner, what)?;
        }
        Ok(())
    }

    fn take_answer(&mut self, (source, generation): Owner, what: Outcome) -> anyhow::Result<()> {
        let place = (source.topic.clone(), source.partition);
        if self.partition(&place).is_none_or(|partition| partition.generation != generation) {
            return Ok(());
        }
        match what {
            Outcome::Stopped => {}
            Outcome::Failed(error) => anyhow::bail!("a file of {source} can't be encoded: {error}; please report this"),
            Outcome::Listed(tail) => {
                // As late as possible: it may have grown since.
                let end = match self.consumer.bounds(&place) {
                    Ok((_, end)) => end,
                    Err(error) => {
                        tracing::warn!("the end of {source} can't be asked for: {error} {}", self.consumer.reason());
                        self.ask_again = Instant::now() + RETRY;
                        self.later.push(((source, generation), Outcome::Listed(tail)));
                        return Ok(());
                    }
                };
                let Some(partition) = self.partition(&place) else { return Ok(()) };
                let step = partition.chain.listed(tail, end);
                if let Step::Read(offset) = step {
                    tracing::info!(topic = place.0, partition = place.1, offset, "reading");
                    self.commits.insert(place, offset);
                }
                self.proceed(source, Next::Step(step))?;
            }
            Outcome::Put(put) => {
                if matches!(put, Put::Stored) {
                    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                    gauge!(name::LAST_COMMIT, "type" => source.record_type.name()).set(now.as_secs_f64());
                }
                let Some(partition) = self.partition(&place) else { return Ok(()) };
                let (commit, step) = partition.chain.put(put);
                if matches!(step, Step::Read(_)) {
                    counter!(name::RESUMED, "reason" => "taken").increment(1);
                }
                if let Some(offset) = commit {
                    self.commits.insert(place, offset);
                }
                self.proceed(source.clone(), Next::Step(step))?;
                self.put(&source);
            }
        }
        Ok(())
    }

    fn tick(&mut self) -> anyhow::Result<()> {
        if self.ask_again <= Instant::now() {
            for (owner, what) in std::mem::take(&mut self.later) {
                self.take_answer(owner, what)?;
            }
            self.locate()?;
            self.check_range()?;
        }
        self.roll()?;
        let commits: Vec<_> = std::mem::take(&mut self.commits).into_iter().collect();
        if let Err(error) = self.consumer.commit(&commits, CommitMode::Async) {
            counter!(name::COMMIT_ERRORS).increment(1);
            tracing::warn!("the group's offsets can't be committed: {error}; nothing is lost, they are hints");
        }
        Ok(())
    }

    /// Ends the files that are due, or that memory has no room for, and stops reading while that does not help.
    fn roll(&mut self) -> anyhow::Result<()> {
        let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let now_ms = i64::try_from(now_ms).unwrap_or(i64::MAX);
        let rolling = self.shared.rolling;
        let (mut open_bytes, mut ended_bytes) = (0, 0);
        let mut open = Vec::new();
        let mut ended = Vec::new();
        let mut assigned = 0_u32;
        self.each(|place, partition| {
            assigned += 1;
            if std::mem::take(&mut partition.has_read) {
                partition.read = Instant::now();
            }
            if let Some(file) = partition.chain.open() {
                let (age, silence) = (partition.opened.elapsed(), partition.read.elapsed());
                let progress = Progress { hour: file.hour, size: file.file.size(), age, silence };
                if rolling.is_due(progress, now_ms) {
                    partition.chain.end();
                } else {
                    open_bytes += file.file.memory();
                    open.push((file.file.memory(), place.clone()));
                }
            }
            let waiting: usize = partition.chain.ended().map(|file| 2 * file.file.memory()).sum();
            ended_bytes += waiting;
            if partition.chain.ended().next().is_some() {
                ended.push(place.clone());
            }
        });
        open.sort_unstable();
        let files = open.len();
        // Half of the memory is for open files, the other half for those that are being put.
        while open_bytes > self.memory / 2
            && let Some((bytes, place)) = open.pop()
        {
            open_bytes -= bytes;
            ended_bytes += 2 * bytes;
            if let Some(partition) = self.partition(&place) {
                partition.chain.end();
            }
            ended.push(place);
        }
        for place in ended {
            if let Some(source) = self.source(&place) {
                self.put(&source);
            }
        }
        let used = open_bytes + ended_bytes + self.putting;
        gauge!(name::MEMORY, "worker" => self.number.clone()).set(name::as_number(used));
        gauge!(name::OPEN, "worker" => self.number.clone()).set(name::as_number(files));
        gauge!(name::PARTITIONS, "worker" => self.number.clone()).set(f64::from(assigned));
        if !self.shared.stop.load(Ordering::Relaxed) {
            self.hold_back(used > self.memory)?;
        }
        Ok(())
    }

    fn hold_back(&mut self, hold: bool) -> anyhow::Result<()> {
        if hold == self.held_back.is_some() {
            return Ok(());
        }
        if let Some(since) = self.held_back.take() {
            let seconds = since.elapsed().as_secs().max(1);
            counter!(name::HELD_BACK, "worker" => self.number.clone()).increment(seconds);
            tracing::info!(seconds, "reading again");
        }
        if hold {
            tracing::warn!("memory is full of files that are being put: nothing is read until some are");
            self.held_back = Some(Instant::now());
        }
        Ok(self.consumer.hold_back(hold)?)
    }

    fn complain(&mut self, error: &KafkaError) -> anyhow::Result<()> {
        match error {
            KafkaError::MessageConsumptionFatal(_) => {
                return Err(anyhow::anyhow!("{error} {}", self.consumer.reason())).context("Kafka's client failed");
            }
            KafkaError::MessageConsumption(
                RDKafkaErrorCode::AutoOffsetReset
                | RDKafkaErrorCode::OffsetOutOfRange
                | RDKafkaErrorCode::LogTruncation,
            ) => self.doubts_range = true,
            error => self.consumer.complain(error),
        }
        Ok(())
    }
}
