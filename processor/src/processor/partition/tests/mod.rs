mod log;

use std::collections::BTreeMap;

use log::{Step, build};
use proptest::prelude::*;
use weir_contract::{DeadLetter, RecordType, record::CaptureLoss};

use super::*;
use crate::processor::{sink::TooLarge, state::Kept};

/// What Kafka holds of one partition, and what a transaction does to it.
#[derive(Default)]
struct World {
    log: Vec<Vec<u8>>,
    log_start: i64,
    state: BTreeMap<Vec<u8>, Vec<u8>>,
    records: Vec<(RecordType, Vec<u8>)>,
    letters: Vec<DeadLetter>,
    offset: i64,
    /// Whose commits are accepted.
    generation: u64,
    processes: u64,
    tries_max: u32,
}

/// What a transaction has gathered.
#[derive(Default)]
struct Gathered {
    records: Vec<(RecordType, Vec<u8>)>,
    letters: Vec<DeadLetter>,
    /// Bytes at which the engine that writes them panics.
    poison: Option<&'static [u8]>,
    /// The largest record that is taken.
    record_max: Option<usize>,
}

impl Outbox for Gathered {
    fn record(&mut self, _partition: u32, record_type: RecordType, bytes: &[u8]) -> Result<(), TooLarge> {
        let is_poison = |poison: &[u8]| bytes.windows(poison.len()).any(|window| window == poison);
        assert!(!self.poison.is_some_and(is_poison), "poison");
        if self.record_max.is_some_and(|most| bytes.len() > most) {
            return Err(TooLarge);
        }
        self.records.push((record_type, bytes.to_vec()));
        Ok(())
    }

    fn dead_letter(&mut self, letter: DeadLetter) {
        self.letters.push(letter);
    }

    fn shared_name(&mut self, _sensor: &str) {}
}

struct Owner {
    partition: Partition,
    gathered: Gathered,
    generation: u64,
    fetched: i64,
}

fn rules(owner: &str, tries_max: u32) -> Arc<Rules> {
    Arc::new(Rules {
        topic: "weir-packets".to_owned(),
        partition_count: 1,
        limits: Limits::per_partition(1),
        selection: Selection::default(),
        seed: 1,
        fingerprint: Fingerprint { version: "1".to_owned(), settings: "all".to_owned() },
        owner: owner.to_owned(),
        snapshot_age: Duration::from_secs(60),
        tries_max,
    })
}

impl World {
    fn new(log: Vec<Vec<u8>>) -> Self {
        Self { log, tries_max: TRIES_MAX, ..Self::default() }
    }

    /// Another owner takes over; `None` if this very process begins anew.
    fn own_as(&mut self, process: u64, skips: Vec<Skipped>) -> Result<(Owner, Vec<Note>), Failure> {
        self.generation += 1;
        let mut kept = Kept::default();
        self.state.iter().for_each(|(key, value)| kept.read(key, Some(value)));
        let end = i64::try_from(self.log.len()).unwrap();
        let rules = rules(&format!("process {process}"), self.tries_max);
        let log = (self.log_start, end);
        let (partition, notes) = Partition::restore(0, &rules, &kept, log, skips, Duration::ZERO)?;
        let fetched = partition.fetch_from(self.log_start);
        Ok((Owner { partition, gathered: Gathered::default(), generation: self.generation, fetched }, notes))
    }

    fn own(&mut self) -> Owner {
        self.processes += 1;
        self.own_as(self.processes, Vec::new()).unwrap().0
    }

    fn message(&self, offset: i64) -> Option<Message<'_>> {
        let value = self.log.get(usize::try_from(offset).unwrap())?;
        Some(Message { offset, appended_ms: 1_700_000_000_000 + 1000 * offset, value: Some(value) })
    }

    /// Gives the owner its next message; commits where it asks for that.
    fn deliver(&mut self, owner: &mut Owner) -> Result<Option<Taken>, Failure> {
        for _ in 0..3 {
            let Some(message) = self.message(owner.fetched) else { return Ok(None) };
            let taken = owner.partition.take(&message, &mut PacketBatch::default(), &mut owner.gathered)?;
            if taken != Taken::CommitFirst {
                owner.fetched += 1;
                return Ok(Some(taken));
            }
            if !self.commit(owner, Purpose::Continue, true) {
                return Ok(Some(taken));
            }
        }
        panic!("it asks for commits for ever");
    }

    /// Whether the transaction came to pass. The owner may not learn of it.
    fn commit(&mut self, owner: &mut Owner, purpose: Purpose, learns: bool) -> bool {
        if owner.generation != self.generation {
            return false;
        }
        let Some(commit) = owner.partition.commit(purpose, 0, &mut owner.gathered) else { return true };
        for entry in &commit.entries {
            match &entry.value {
                Some(value) => self.state.insert(entry.key.clone(), value.clone()),
                None => self.state.remove(&entry.key),
            };
        }
        assert!(commit.offset >= self.offset, "offsets never go back");
        self.offset = commit.offset;
        self.records.append(&mut owner.gathered.records);
        self.letters.append(&mut owner.gathered.letters);
        if learns {
            owner.partition.confirm(commit, Duration::ZERO);
        }
        true
    }

    fn finish(&mut self, owner: &mut Owner) {
        while self.deliver(owner).unwrap().is_some() {}
        assert!(self.commit(owner, Purpose::Release, true));
    }

    fn undisturbed(log: &[Vec<u8>]) -> Self {
        let mut world = Self::new(log.to_vec());
        let mut owner = world.own();
        world.finish(&mut owner);
        world
    }
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (any::<bool>(), prop::collection::vec(0u8..4, 0..4), 0i64..40)
            .prop_map(|(sensor, hosts, seconds)| Step::Batch { sensor, hosts, seconds }),
        1 => (any::<bool>(), 0u8..4).prop_map(|(sensor, packets)| Step::Lost { sensor, packets }),
        1 => Just(Step::Repeat),
        1 => Just(Step::Garbage),
        1 => any::<bool>().prop_map(|sensor| Step::Restart { sensor }),
    ]
}

/// What happens to the owner.
#[derive(Debug, Clone)]
enum Event {
    Deliver(u8),
    Commit,
    Snapshot,
    /// Killed with what was not committed.
    Crash,
    /// Killed between the commit and its answer.
    CommitAndCrash(bool),
    /// The transaction fails, and the process begins anew.
    Abort,
    /// Somebody else takes over, and the owner does not know.
    Zombie,
    /// The zombie wants to commit.
    ZombieCommits(bool),
    HandOver,
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        8 => (1u8..6).prop_map(Event::Deliver),
        4 => Just(Event::Commit),
        1 => Just(Event::Snapshot),
        2 => Just(Event::Crash),
        1 => any::<bool>().prop_map(Event::CommitAndCrash),
        1 => Just(Event::Abort),
        1 => Just(Event::Zombie),
        1 => any::<bool>().prop_map(Event::ZombieCommits),
        1 => Just(Event::HandOver),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_records_are_those_of_an_undisturbed_life(
        steps in prop::collection::vec(any_step(), 1..40),
        events in prop::collection::vec(any_event(), 1..60),
    ) {
        let log = build(&steps);
        let undisturbed = World::undisturbed(&log);
        // Processes die here for no fault of a message.
        let mut world = World { tries_max: u32::MAX, ..World::new(log) };
        let mut owner = world.own();
        let mut zombie = None;
        for event in &events {
            let purpose = |snapshot: bool| if snapshot { Purpose::Snapshot } else { Purpose::Continue };
            match event {
                Event::Deliver(count) => {
                    for _ in 0..*count {
                        world.deliver(&mut owner).unwrap();
                    }
                }
                Event::Commit => prop_assert!(world.commit(&mut owner, Purpose::Continue, true)),
                Event::Snapshot => prop_assert!(world.commit(&mut owner, Purpose::Snapshot, true)),
                Event::Crash => owner = world.own(),
                Event::CommitAndCrash(snapshot) => {
                    prop_assert!(world.commit(&mut owner, purpose(*snapshot), false));
                    owner = world.own();
                }
                Event::Abort => {
                    let process = world.processes;
                    owner = world.own_as(process, Vec::new()).unwrap().0;
                }
                Event::Zombie => zombie = Some(std::mem::replace(&mut owner, world.own())),
                Event::ZombieCommits(snapshot) => {
                    if let Some(zombie) = &mut zombie {
                        world.deliver(zombie).unwrap();
                        prop_assert!(!world.commit(zombie, purpose(*snapshot), true));
                    }
                }
                Event::HandOver => {
                    prop_assert!(world.commit(&mut owner, Purpose::Release, true));
                    owner = world.own();
                }
            }
        }
        world.finish(&mut owner);
        let differs = world.records.iter().zip(&undisturbed.records).position(|(ours, theirs)| ours != theirs);
        prop_assert!(
            world.records == undisturbed.records,
            "{} records, not {}; differs: {:?}",
            world.records.len(),
            undisturbed.records.len(),
            differs.map(|at| (at, &world.records[at].0, &undisturbed.records[at].0))
        );
        prop_assert_eq!(&world.letters, &undisturbed.letters);
        prop_assert_eq!(world.offset, undisturbed.offset);
    }
}

/// A log of single packets, ten seconds apart.
fn steady(messages: usize) -> Vec<Vec<u8>> {
    build(&vec![Step::Batch { sensor: false, hosts: vec![1], seconds: 10 }; messages])
}

fn count(world: &World, record_type: RecordType) -> usize {
    world.records.iter().filter(|(of, _)| *of == record_type).count()
}

#[test]
fn a_replay_is_silent_and_begins_at_the_snapshot() {
    let mut world = World::new(steady(10));
    let mut owner = world.own();
    for _ in 0..4 {
        world.deliver(&mut owner).unwrap();
    }
    world.commit(&mut owner, Purpose::Snapshot, true);
    for _ in 0..3 {
        world.deliver(&mut owner).unwrap();
    }
    world.commit(&mut owner, Purpose::Continue, true);
    let mut owner = world.own();
    assert_eq!((owner.partition.next(), owner.fetched, owner.partition.is_live()), (4, 4, false));
    assert!(world.commit(&mut owner, Purpose::Continue, true) && world.offset == 7);
    assert!(owner.partition.commit(Purpose::Continue, 0, &mut owner.gathered).is_none());
    for _ in 0..3 {
        assert_eq!(world.deliver(&mut owner).unwrap(), Some(Taken::Replayed));
    }
    assert!(owner.gathered.records.is_empty() && owner.partition.is_live());
    assert_eq!(world.deliver(&mut owner).unwrap(), Some(Taken::Decoded));
    assert!(!owner.gathered.records.is_empty());
}

#[test]
fn a_damaged_snapshot_costs_flows_but_no_sequence() {
    let mut world = World::new(steady(10));
    let mut owner = world.own();
    for _ in 0..5 {
        world.deliver(&mut owner).unwrap();
    }
    world.commit(&mut owner, Purpose::Release, true);
    world.state.remove(&b"snapshot-0"[..]);
    let (mut owner, notes) = world.own_as(9, Vec::new()).unwrap();
    assert!(matches!(&notes[..], [Note::Partial(why)] if why.contains("chunk 0")), "{notes:?}");
    world.finish(&mut owner);
    assert_eq!((world.offset, count(&world, RecordType::CaptureLoss)), (10, 0));
}

#[test]
fn what_retention_deleted_unread_is_reported_and_the_rest_goes_on() {
    let mut world = World::new(steady(10));
    let mut owner = world.own();
    for _ in 0..3 {
        world.deliver(&mut owner).unwrap();
    }
    world.commit(&mut owner, Purpose::Snapshot, true);
    world.log_start = 6;
    let (mut owner, notes) = world.own_as(9, Vec::new()).unwrap();
    assert_eq!(notes[0], Note::Lost(3, 5));
    world.finish(&mut owner);
    let losses = world.records.iter().filter(|(of, _)| *of == RecordType::CaptureLoss);
    let losses: Vec<_> = losses.map(|(_, bytes)| CaptureLoss::decode(&bytes[..]).unwrap()).collect();
    let seen: Vec<_> = losses.iter().map(|loss| (loss.reason(), loss.packets, loss.first_offset)).collect();
    use CaptureLossReason::Retention;
    assert_eq!(seen, [(Retention, None, Some(3)), (Retention, Some(3), Some(3))]);
    assert_eq!(world.offset, 10);
}

#[test]
fn a_log_that_is_another_one_is_refused() {
    let mut world = World::new(steady(10));
    let mut owner = world.own();
    for _ in 0..5 {
        world.deliver(&mut owner).unwrap();
    }
    world.commit(&mut owner, Purpose::Release, true);
    // Shorter than what was read.
    let before = std::mem::replace(&mut world.log, steady(3));
    assert!(matches!(world.own_as(9, Vec::new()), Err(Failure::Foreign { .. })));
    // Longer, with other messages.
    world.log = build(&vec![Step::Batch { sensor: true, hosts: vec![2], seconds: 1 }; 20]);
    let (mut owner, _) = world.own_as(9, Vec::new()).unwrap();
    assert!(matches!(world.deliver(&mut owner), Err(Failure::Foreign { .. })));
    assert!(owner.gathered.records.is_empty());
    world.log = before;
    let (mut owner, _) = world.own_as(9, Vec::new()).unwrap();
    assert_eq!(world.deliver(&mut owner).unwrap(), Some(Taken::Discarded));
}

#[test]
fn what_the_engine_panics_at_is_left_out_and_kept_as_a_letter() {
    let log = build(&[
        Step::Batch { sensor: false, hosts: vec![1, 2], seconds: 1 },
        Step::Batch { sensor: false, hosts: vec![3], seconds: 1 },
        Step::Batch { sensor: false, hosts: vec![1, 1], seconds: 1 },
    ]);
    let mut world = World::new(log);
    let mut owner = world.own();
    // The query of host 3 alone asks for `d`.
    owner.gathered.poison = Some(b"\x01d");
    world.deliver(&mut owner).unwrap();
    let failure = world.deliver(&mut owner).unwrap_err();
    let Failure::Panicked { partition: 0, skipped } = failure else { panic!("{failure:?}") };
    assert_eq!((skipped.offset, skipped.reason.as_str()), (1, "poison"));
    let (mut owner, _) = world.own_as(1, vec![skipped]).unwrap();
    owner.gathered.poison = Some(b"\x01d");
    for _ in 0..2 {
        world.deliver(&mut owner).unwrap();
    }
    world.commit(&mut owner, Purpose::Continue, true);
    // A later owner knows, and is silent about it.
    let mut owner = world.own();
    world.finish(&mut owner);
    assert_eq!(world.letters.iter().map(|letter| letter.offset).collect::<Vec<_>>(), [1]);
    assert_eq!((count(&world, RecordType::Dns), count(&world, RecordType::CaptureLoss)), (4, 1));
}

#[test]
fn a_record_that_no_topic_takes_becomes_a_letter_that_says_of_which_packet() {
    let log = build(&[Step::Batch { sensor: false, hosts: vec![1, 2, 3], seconds: 1 }]);
    let mut world = World::new(log);
    let mut owner = world.own();
    owner.gathered.record_max = Some(0);
    world.finish(&mut owner);
    let letters: Vec<_> = world.letters.iter().map(|letter| (letter.offset, letter.packet_number)).collect();
    assert_eq!(letters, [(0, Some(1)), (0, Some(2)), (0, Some(3))]);
    assert!(world.letters[0].reason.contains("a dns record") && world.records.is_empty());
}

#[test]
fn a_message_that_three_processes_died_of_is_left_out() {
    let mut world = World::new(steady(8));
    let deadly = 5;
    let mut deaths = 0;
    let mut owner = world.own();
    loop {
        let offset = owner.fetched;
        if world.deliver(&mut owner).unwrap().is_none() {
            break;
        }
        let survives = !owner.gathered.letters.is_empty();
        if offset == deadly && owner.partition.next() == deadly + 1 && !survives && world.letters.is_empty() {
            deaths += 1;
            assert!(deaths < 10, "it is tried for ever");
            owner = world.own();
        }
    }
    assert!(world.commit(&mut owner, Purpose::Release, true));
    // Two before it was clear that one message is deadly, three with that message alone.
    assert_eq!((deaths, world.letters.len(), world.letters[0].offset), (5, 1, deadly));
    assert_eq!(count(&world, RecordType::Dns), 7);
}

#[test]
fn deaths_of_owners_with_nothing_to_do_condemn_no_message() {
    let mut world = World::new(steady(8));
    for _ in 0..20 {
        let mut owner = world.own();
        assert!(world.commit(&mut owner, Purpose::Continue, true));
    }
    let mut owner = world.own();
    world.finish(&mut owner);
    assert!(world.letters.is_empty());
    assert_eq!(world.records, World::undisturbed(&world.log).records);
    assert_eq!(count(&world, RecordType::Connection), 0);
}
