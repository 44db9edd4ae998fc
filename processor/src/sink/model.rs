//! The chain as a model: one partition, many writers on one store, of which each crashes, sleeps, loses answers and
//! forgets its group's offset at random, while messages are appended and retention deletes what some group
//! offset has passed. At the end the lake must hold each message that was read once.
//!
//! The decisions are those of [`Chain`]; the requests those of [`Store`]. Only what stands between them and Kafka is
//! simulated. Steps of different writers alternate at random, so that anything can happen between any two.

use std::collections::BTreeSet;
use std::sync::Arc;

use weir_contract::RecordType;
use weir_tests::fault_proxy::{Fault, FaultProxy};
use weir_tests::random::Random;
use weir_tests::s3::S3 as Server;

use super::chain::{Chain, Offer, Open, Put, Step};
use super::encode::tests::{log, offsets, record};
use super::encode::{self, File};
use super::link::{Hour, Link, Source, key};
use super::store::memory::Memory;
use super::store::tests::bucket;
use super::store::{Folder, Patience, Patient, Store, tail};

/// Offsets of the log.
const OFFSETS: i64 = 400;

/// How often some writers come at once, if all is not read before.
const ROUNDS: u32 = 60;

/// What a writer does wrong on purpose.
#[derive(Clone, Copy, PartialEq)]
enum Mistake {
    None,
    /// Out of the log's range, it goes on at the log's start.
    GoOnAtStart,
    /// It goes on at the log's start where that is greater than what resuming gave.
    ClampAfterListing,
}

/// The partition, and its consumer group.
struct Kafka {
    /// Offset and hour, with the holes that transactions leave.
    log: Vec<(i64, i64)>,
    start: i64,
    group: i64,
}

impl Kafka {
    fn new(random: &mut Random) -> Self {
        let mut log = Vec::new();
        let mut hour = 473_000;
        for offset in 0..OFFSETS {
            if random.happens(3) {
                hour += [1, 1, 2, 5][usize::try_from(below(random, 4)).unwrap()];
            }
            if !random.happens(10) {
                log.push((offset, hour * Hour::MS + offset));
            }
        }
        let first = log[0].0;
        Self { log, start: first, group: first }
    }

    fn end(&self) -> i64 {
        self.log.last().unwrap().0 + 1
    }

    /// The first message at this offset or behind it; an error if that is out of the log's range.
    fn read(&self, offset: i64) -> Result<Option<(i64, i64)>, ()> {
        if offset < self.start || offset > self.end() {
            return Err(());
        }
        Ok(self.log.iter().find(|(of, _)| *of >= offset).copied())
    }
}

/// One run of one sink.
struct Writer {
    chain: Chain<BTreeSet<i64>>,
    todo: Todo,
    /// Messages that its next file takes.
    appetite: i64,
    is_zombie: bool,
    hint: Hint,
    /// Turns that it sleeps.
    asleep: i64,
    /// Nothing happens to it.
    is_lucky: bool,
}

enum Todo {
    Locate,
    /// Read one message from this offset.
    Read(i64),
    List(Hour),
    /// Read from here, or from the log's start if that is greater: a mistake.
    Clamp(i64),
    Put,
    Commit(i64, Step),
    Over,
}

#[derive(Clone, Copy)]
enum Hint {
    Lost,
    Lagging(i64),
    Group,
}

struct Run {
    kafka: Kafka,
    store: Patient,
    get: Get,
    form: Form,
    source: Source,
    mistake: Mistake,
    random: Random,
    counts: Counts,
}

/// Gives a file's bytes, past the store.
type Get = Box<dyn Fn(&str) -> Vec<u8>>;

/// The offsets of a file's messages.
type Messages = BTreeSet<i64>;

/// How a file's offsets are written.
struct Form {
    write: fn(Open<Messages>) -> (Vec<u8>, Link),
    read: fn(Vec<u8>) -> Vec<i64>,
}

/// As they stand in memory, which is quick.
const PLAIN: Form = Form {
    write: |open| {
        let Open { from, first, last, crc, file, .. } = open;
        let link = Link { log: log(), from, first, last, rows: file.len() as u64, fingerprint: "f".into(), crc };
        (file.iter().flat_map(|offset| offset.to_le_bytes()).collect(), link)
    },
    read: |body| body.chunks(8).map(|offset| i64::from_le_bytes(offset.try_into().unwrap())).collect(),
};

/// As records in Parquet.
const PARQUET: Form = Form {
    write: |open| {
        let Open { hour, from, first, last, crc, file: messages } = open;
        let mut file = File::new(RecordType::Ntp, false);
        messages.iter().for_each(|offset| file.push(&record(*offset)).unwrap());
        encode::finish(Open { hour, from, first, last, crc, file }, &log()).unwrap()
    },
    read: offsets,
};

#[derive(Default, Debug)]
struct Counts {
    puts: u32,
    taken: u32,
    crashes: u32,
    lost_answers: u32,
    out_of_range: u32,
    retained: u32,
    lost_hints: u32,
}

impl Counts {
    fn add(&mut self, other: &Self) {
        self.puts += other.puts;
        self.taken += other.taken;
        self.crashes += other.crashes;
        self.lost_answers += other.lost_answers;
        self.out_of_range += other.out_of_range;
        self.retained += other.retained;
        self.lost_hints += other.lost_hints;
    }
}

impl Run {
    fn writer(&mut self, is_zombie: bool) -> Writer {
        let hint = match below(&mut self.random, 100) {
            0..15 => Hint::Lost,
            15..50 => Hint::Lagging(below(&mut self.random, 60)),
            _ => Hint::Group,
        };
        self.counts.lost_hints += u32::from(matches!(hint, Hint::Lost));
        let appetite = 5 + below(&mut self.random, 55);
        let chain = Chain::new(log());
        Writer { chain, todo: Todo::Locate, appetite, is_zombie, hint, asleep: 0, is_lucky: false }
    }

    /// Lets writers come and go until all is read, then those that are left end, then one to whom nothing happens.
    /// Gives what the lake holds.
    fn run(&mut self) -> Vec<i64> {
        let mut writers: Vec<Writer> = Vec::new();
        let mut rounds = 0;
        while !writers.is_empty() || (self.kafka.group < self.kafka.end() && rounds < ROUNDS) {
            if writers.is_empty() {
                rounds += 1;
                let others = below(&mut self.random, 3);
                writers.push(self.writer(false));
                writers.extend((0..others).map(|_| self.writer(true)));
            }
            let chosen = usize::try_from(below(&mut self.random, i64::try_from(writers.len()).unwrap())).unwrap();
            let writer = &mut writers[chosen];
            if writer.asleep > 0 {
                writer.asleep -= 1;
                continue;
            }
            self.step(writer);
            if writer.is_zombie && matches!(writer.todo, Todo::Put) && self.random.happens(50) {
                writer.asleep = below(&mut self.random, 200);
            }
            if matches!(writer.todo, Todo::Over) {
                writers.remove(chosen);
            }
        }
        let mut last = Writer { hint: Hint::Group, is_lucky: true, ..self.writer(false) };
        while !matches!(last.todo, Todo::Over) {
            self.step(&mut last);
        }
        let mut held = Vec::new();
        self.lake(&mut held);
        held
    }

    fn lake(&self, held: &mut Vec<i64>) {
        let (mut after, mut more) = (String::new(), true);
        while more {
            let keys;
            (keys, more) = self.store.list("ntp/", &after).unwrap();
            for key in keys {
                held.extend((self.form.read)((self.get)(&key)));
                after = key;
            }
        }
        held.sort_unstable();
    }

    /// Does one thing of a writer.
    fn step(&mut self, writer: &mut Writer) {
        writer.todo = match std::mem::replace(&mut writer.todo, Todo::Over) {
            Todo::Locate => {
                let group = match writer.hint {
                    Hint::Lost => None,
                    Hint::Lagging(by) => Some((self.kafka.group - by).max(self.kafka.log[0].0)),
                    Hint::Group => Some(self.kafka.group),
                };
                self.follow(writer, |kafka, chain| chain.located(group, kafka.start, kafka.end()))
            }
            Todo::Read(offset) => match self.kafka.read(offset) {
                Err(()) => self.out_of_range(writer),
                // All is read: what is open is put, and that was it.
                Ok(None) if writer.chain.is_idle() => Todo::Over,
                Ok(None) => {
                    writer.chain.end();
                    Todo::Put
                }
                Ok(Some((offset, append_ms))) => match writer.chain.offer(offset, append_ms) {
                    Offer::Ignore => panic!("message {offset} is ignored"),
                    Offer::List(hour) => Todo::List(hour),
                    Offer::End => self.end(writer),
                    Offer::Take => {
                        let crc = || crc32fast::hash(&record(offset));
                        let mut held = 0;
                        let push = |file: &mut BTreeSet<i64>| {
                            file.insert(offset);
                            held = i64::try_from(file.len()).unwrap();
                            Ok::<_, ()>(())
                        };
                        writer.chain.take(offset, append_ms, crc, BTreeSet::new, push).unwrap();
                        let full = held >= writer.appetite;
                        if full { self.end(writer) } else { Todo::Read(offset + 1) }
                    }
                },
            },
            Todo::List(hour) => {
                let tail = tail(&self.store, &self.source, hour).unwrap();
                let clamp = self.mistake == Mistake::ClampAfterListing;
                match writer.chain.listed(tail, self.kafka.end()) {
                    Step::Read(next) if clamp => Todo::Clamp(next),
                    Step::Read(next) => Todo::Commit(next, Step::Read(next)),
                    step => self.follow(writer, |_, _| step),
                }
            }
            Todo::Clamp(next) => {
                let next = next.max(self.kafka.start);
                writer.chain.go_on_at(next);
                Todo::Read(next)
            }
            Todo::Put => self.put(writer),
            Todo::Commit(offset, step) => {
                if !writer.is_zombie {
                    self.kafka.group = self.kafka.group.max(offset);
                } else if self.random.happens(20) {
                    self.kafka.group = offset;
                }
                if self.random.happens(10) {
                    let start = self.kafka.group - 1 - below(&mut self.random, 40);
                    if start > self.kafka.start {
                        self.kafka.start = start;
                        self.counts.retained += 1;
                    }
                }
                self.follow(writer, |_, _| step)
            }
            Todo::Over => Todo::Over,
        };
    }

    fn end(&mut self, writer: &mut Writer) -> Todo {
        writer.chain.end();
        writer.appetite = 5 + below(&mut self.random, 55);
        // Some go on reading while files wait to be put.
        if self.random.happens(30) { self.go_on(writer) } else { Todo::Put }
    }

    fn put(&mut self, writer: &mut Writer) -> Todo {
        if !writer.is_lucky && self.random.happens(6) {
            self.counts.crashes += 1;
            return Todo::Over;
        }
        let Some(open) = writer.chain.next_put() else { return self.go_on(writer) };
        let key = key(&self.source, open.hour, open.first);
        let (body, link) = (self.form.write)(open);
        let mut put = self.store.put(&key, &body, &link).unwrap();
        self.counts.puts += 1;
        if self.random.happens(15) {
            // The answer is lost, and the request repeated.
            self.counts.lost_answers += 1;
            put = self.store.put(&key, &body, &link).unwrap();
        }
        self.counts.taken += u32::from(matches!(put, Put::Taken(_)));
        if !writer.is_lucky && self.random.happens(6) {
            self.counts.crashes += 1;
            return Todo::Over;
        }
        match writer.chain.put(put) {
            (Some(offset), step) => Todo::Commit(offset, step),
            (None, step) => self.follow(writer, |_, _| step),
        }
    }

    fn out_of_range(&mut self, writer: &mut Writer) -> Todo {
        self.counts.out_of_range += 1;
        if self.mistake == Mistake::GoOnAtStart && writer.chain.is_idle() {
            writer.chain.go_on_at(self.kafka.start);
            return Todo::Read(self.kafka.start);
        }
        self.follow(writer, |_, chain| chain.out_of_range())
    }

    fn follow(&mut self, writer: &mut Writer, act: impl FnOnce(&Kafka, &mut Chain<BTreeSet<i64>>) -> Step) -> Todo {
        match act(&self.kafka, &mut writer.chain) {
            Step::Locate => Todo::Locate,
            Step::Read(offset) => Todo::Read(offset),
            Step::Stop => panic!("stopped: {}", writer.chain.trouble().unwrap()),
            Step::GoOn => self.go_on(writer),
        }
    }

    fn go_on(&mut self, writer: &mut Writer) -> Todo {
        match writer.chain.position() {
            Some(offset) => Todo::Read(offset),
            None => Todo::Put,
        }
    }
}

/// A run over this store: the messages lost, and those that the lake holds too often.
fn outcome(seed: u64, store: Box<dyn Store>, get: Get, form: Form, mistake: Mistake) -> (usize, usize, Counts) {
    let mut random = Random::new(seed);
    let kafka = Kafka::new(&mut random);
    let store = Patient::new(Arc::from(store), Patience::Endless, Arc::default()).hasty();
    let source = Source { record_type: RecordType::Ntp, topic: "weir-ntp".into(), partition: 3 };
    let mut run = Run { kafka, store, get, form, source, mistake, random, counts: Counts::default() };
    let held = run.run();
    let distinct: BTreeSet<_> = held.iter().copied().collect();
    let lost = run.kafka.log.iter().filter(|(offset, _)| !distinct.contains(offset)).count();
    (lost, held.len() - distinct.len(), run.counts)
}

/// A number below a bound.
fn below(random: &mut Random, bound: i64) -> i64 {
    i64::try_from(random.below(u64::try_from(bound).unwrap())).unwrap()
}

fn in_memory(seed: u64, overwrites: bool, mistake: Mistake) -> (usize, usize, Counts) {
    let memory = Arc::new(Memory { overwrites, ..Memory::default() });
    let files = memory.clone();
    let get = Box::new(move |key: &str| files.files.lock().unwrap()[key].0.clone());
    outcome(seed, Box::new(memory), get, PLAIN, mistake)
}

/// How many of 400 seeds go wrong, and how many messages are lost and doubled in them.
fn wrong(overwrites: bool, mistake: Mistake) -> (usize, usize, usize) {
    let outcomes = (0..400).map(|seed| in_memory(seed, overwrites, mistake));
    outcomes.fold((0, 0, 0), |(seeds, lost, doubled), (more_lost, more_doubled, _)| {
        (seeds + usize::from(more_lost + more_doubled > 0), lost + more_lost, doubled + more_doubled)
    })
}

#[test]
fn nothing_is_lost_or_doubled_whatever_happens_to_writers() {
    let mut all = Counts::default();
    for seed in 0..400 {
        let (lost, doubled, counts) = in_memory(seed, false, Mistake::None);
        assert_eq!((lost, doubled), (0, 0), "seed {seed}: {counts:?}");
        all.add(&counts);
    }
    let Counts { puts, taken, crashes, lost_answers, out_of_range, retained, lost_hints } = all;
    let happened = [puts, taken, crashes, lost_answers, out_of_range, retained, lost_hints];
    assert!(happened.iter().all(|count| *count > 100), "{happened:?}");
}

#[test]
fn the_model_notices_who_goes_on_at_the_logs_start_when_out_of_range() {
    let (seeds, _, doubled) = wrong(false, Mistake::GoOnAtStart);
    assert!(seeds > 0 && doubled > 0);
}

#[test]
fn the_model_notices_who_clamps_to_the_logs_start_after_the_listing() {
    let (seeds, _, doubled) = wrong(false, Mistake::ClampAfterListing);
    assert!(seeds > 0 && doubled > 0);
}

#[test]
fn the_model_notices_a_store_that_overwrites() {
    let (seeds, lost, doubled) = wrong(true, Mistake::None);
    assert!(seeds > 100 && lost > 0 && doubled > 0);
}

#[test]
fn a_folder_keeps_the_chain_as_well() {
    for seed in 0..6 {
        let home = tempfile::tempdir().unwrap();
        let root = home.path().to_owned();
        let get = Box::new(move |key: &str| std::fs::read(root.join(key)).unwrap());
        let folder = Folder::new(home.path().to_owned());
        let (lost, doubled, counts) = outcome(seed, Box::new(folder), get, PARQUET, Mistake::None);
        assert_eq!((lost, doubled), (0, 0), "seed {seed}: {counts:?}");
    }
}

#[test]
fn a_real_s3_server_keeps_the_chain_as_well() {
    let server = Server::start();
    for seed in 0..4 {
        let root = server.bucket().join(format!("{seed}"));
        let get = Box::new(move |key: &str| std::fs::read(root.join(key)).unwrap());
        let store = bucket(&server.endpoint(), &format!("{seed}/"));
        let (lost, doubled, counts) = outcome(seed, store, get, PARQUET, Mistake::None);
        assert_eq!((lost, doubled), (0, 0), "seed {seed}: {counts:?}");
    }
}

#[test]
fn a_disturbed_s3_server_keeps_the_chain_as_well() {
    let server = Server::start();
    let proxy = FaultProxy::start(server.port());
    let quick: Vec<_> = Fault::ALL.into_iter().filter(|fault| *fault != Fault::Hang).collect();
    for seed in 0..4 {
        proxy.disturb(seed, 20, &quick);
        let root = server.bucket().join(format!("{seed}"));
        let get = Box::new(move |key: &str| std::fs::read(root.join(key)).unwrap());
        let store = bucket(&proxy.endpoint(), &format!("{seed}/"));
        let (lost, doubled, counts) = outcome(seed, store, get, PARQUET, Mistake::None);
        assert_eq!((lost, doubled), (0, 0), "seed {seed}: {counts:?}");
    }
    let happened = proxy.counts();
    assert!(quick.iter().all(|fault| happened.contains_key(fault)), "{happened:?}");
}
