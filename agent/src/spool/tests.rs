use super::record::MAX_BATCH_BYTES;
use super::simulated::{Random, SimulatedDisk};
use super::*;
use std::collections::BTreeMap;

const ROOMY: Limits = Limits { max_bytes: 1 << 40, when_full: WhenFull::DropNewest };

/// A batch that says which it is.
fn batch(id: u32, length: usize) -> Vec<u8> {
    let mut bytes = vec![0xa5; length.max(4)];
    bytes[..4].copy_from_slice(&id.to_le_bytes());
    bytes
}

fn id(batch: &[u8]) -> u32 {
    u32::from_le_bytes(batch[..4].try_into().unwrap())
}

fn filled(disk: &SimulatedDisk, limits: Limits, count: u32) -> Spool<SimulatedDisk> {
    let mut spool = Spool::open(disk.clone(), limits, None).unwrap();
    (0..count).for_each(|number| spool.append(&batch(number, 100), 10).unwrap());
    spool
}

fn drain(spool: &mut Spool<SimulatedDisk>) -> Vec<u32> {
    let mut bytes = Vec::new();
    std::iter::from_fn(|| spool.read(&mut bytes).map(|_| id(&bytes))).collect()
}

#[test]
fn batches_come_out_as_they_went_in() {
    let mut spool = filled(&SimulatedDisk::new(1), ROOMY, 5);
    assert_eq!(drain(&mut spool), [0, 1, 2, 3, 4]);
    assert!(spool.is_drained() && spool.losses() == Losses::default());
    spool.append(&batch(5, 100), 10).unwrap();
    assert_eq!(drain(&mut spool), [5]);
}

#[test]
fn what_was_released_is_removed_from_disk_and_not_read_again() {
    let disk = SimulatedDisk::new(1);
    let mut spool = filled(&disk, Limits { max_bytes: 8 * 264, ..ROOMY }, 5);
    let mut bytes = Vec::new();
    (0..3).for_each(|_| _ = spool.read(&mut bytes).unwrap());
    let start = spool.next();
    spool.release(start);
    assert_eq!(disk.bytes(), 3 * 132, "two batches a segment");
    let known = Extent { start, end: spool.end() };
    let mut spool = Spool::open(disk.clone(), ROOMY, Some(known)).unwrap();
    assert_eq!(drain(&mut spool), [3, 4]);
    spool.release(spool.next());
    assert_eq!((disk.bytes(), spool.bytes(), spool.losses()), (0, 0, Losses::default()));
}

#[test]
fn full_spool_refuses_the_newest() {
    let mut spool = filled(&SimulatedDisk::new(1), Limits { max_bytes: 1000, ..ROOMY }, 7);
    assert!(matches!(spool.append(&batch(7, 100), 10), Err(Refused::Full)));
    assert_eq!(drain(&mut spool), [0, 1, 2, 3, 4, 5, 6]);
    assert_eq!(spool.losses(), Losses::default());
}

#[test]
fn full_spool_drops_the_oldest_segments_and_counts_them() {
    let limits = Limits { max_bytes: 8 * 264, when_full: WhenFull::DropOldest };
    let mut spool = filled(&SimulatedDisk::new(1), limits, 20);
    assert_eq!(drain(&mut spool), (4..20).collect::<Vec<_>>());
    assert_eq!(spool.losses().oldest, Mark { records: 4, packets: 40 });
    // What was read isn't lost.
    (20..25).for_each(|number| spool.append(&batch(number, 100), 10).unwrap());
    assert_eq!(spool.losses().oldest, Mark { records: 4, packets: 40 });
}

#[test]
fn batch_that_is_too_long_is_refused_and_the_rest_goes_on() {
    let mut spool = filled(&SimulatedDisk::new(1), ROOMY, 1);
    assert!(matches!(spool.append(&vec![0; MAX_BATCH_BYTES + 1], 10), Err(Refused::TooLong(_))));
    spool.append(&batch(1, MAX_BATCH_BYTES), 10).unwrap();
    assert_eq!(drain(&mut spool), [0, 1]);
}

#[test]
fn full_disk_is_survived() {
    let disk = SimulatedDisk::new(1);
    let mut spool = filled(&disk, ROOMY, 3);
    disk.set_free_bytes(50);
    assert!(matches!(spool.append(&batch(3, 100), 10), Err(Refused::Disk(_))));
    disk.set_free_bytes(10_000);
    spool.append(&batch(4, 100), 10).unwrap();
    assert_eq!((drain(&mut spool), spool.errors()), (vec![0, 1, 2, 4], 1));
}

#[test]
fn torn_end_is_cut_off_and_counted() {
    let disk = SimulatedDisk::new(1);
    let spool = filled(&disk, ROOMY, 5);
    let known = Extent { end: spool.end(), ..Extent::default() };
    let (name, size) = disk.clone().segments().unwrap()[0];
    disk.clone().truncate(name, size - 10).unwrap();
    let mut spool = Spool::open(disk.clone(), ROOMY, Some(known)).unwrap();
    assert_eq!(disk.bytes(), 4 * 132);
    spool.append(&batch(5, 100), 10).unwrap();
    assert_eq!(drain(&mut spool), [0, 1, 2, 3, 5]);
    assert_eq!(spool.losses().damaged, Mark { records: 1, packets: 10 });
}

#[test]
fn each_flipped_bit_costs_what_it_damages_and_is_counted() {
    for seed in 0..200 {
        let disk = SimulatedDisk::new(seed);
        let spool = filled(&disk, Limits { max_bytes: 8 * 264, ..ROOMY }, 10);
        let known = Extent { end: spool.end(), ..Extent::default() };
        assert!(disk.flip_bit());
        let mut spool = Spool::open(disk, ROOMY, Some(known)).unwrap();
        let read = drain(&mut spool);
        let lost = spool.losses().damaged;
        assert!((1..=2).contains(&lost.records), "at most the rest of a segment");
        assert_eq!(read.len() + usize::try_from(lost.records).unwrap(), 10);
        assert_eq!(lost.packets, lost.records * 10);
        assert!(read.is_sorted());
    }
}

/// What a test knows of the spool under it, over all its runs.
struct Model {
    disk: SimulatedDisk,
    random: Random,
    spool: Spool<SimulatedDisk>,
    limits: Limits,
    /// The extent as the file system has it, and as the disk has it; with the losses before its start, as
    /// those within it will be met again.
    saved: (Extent, Losses),
    synced: (Extent, Losses),
    next_id: u32,
    /// Packets of each batch that was taken and not yet delivered, and whether a power failure may take it.
    taken: BTreeMap<u32, (u64, bool)>,
    delivered: BTreeMap<u32, u64>,
    /// Batches that may be there or not: refused, or not yet synced when the power failed.
    doubtful: BTreeMap<u32, u64>,
    in_flight: Vec<(u32, Mark, Losses)>,
    /// Losses of the runs before this one.
    lost: Mark,
    last_read: Option<u32>,
    machine_failed: bool,
    crashes: usize,
}

impl Model {
    fn new(seed: u64) -> Self {
        let disk = SimulatedDisk::new(seed);
        let mut random = Random::new(!seed);
        let when_full = if random.one_in(2) { WhenFull::DropNewest } else { WhenFull::DropOldest };
        let limits = Limits { max_bytes: 2000 + u64::try_from(random.below(20_000)).unwrap(), when_full };
        let spool = Spool::open(disk.clone(), limits, None).unwrap();
        let saved = (Extent::default(), Losses::default());
        Self {
            disk,
            random,
            spool,
            limits,
            saved,
            synced: saved,
            next_id: 0,
            taken: BTreeMap::new(),
            delivered: BTreeMap::new(),
            doubtful: BTreeMap::new(),
            in_flight: Vec::new(),
            lost: Mark::default(),
            last_read: None,
            machine_failed: false,
            crashes: 0,
        }
    }

    fn append(&mut self) {
        let (number, length) = (self.next_id, self.random.below(300));
        let packets = u32::try_from(1 + self.random.below(50)).unwrap();
        self.next_id += 1;
        match self.spool.append(&batch(number, length), packets) {
            Ok(()) => _ = self.taken.insert(number, (packets.into(), true)),
            Err(_) => _ = self.doubtful.insert(number, packets.into()),
        }
        self.save();
    }

    fn read(&mut self) {
        let mut bytes = Vec::new();
        if let Some(stored) = self.spool.read(&mut bytes) {
            let number = id(&bytes);
            assert!(self.last_read.is_none_or(|last| last < number), "batch {number} out of order");
            self.last_read = Some(number);
            self.in_flight.push((number, stored.place, self.spool.losses()));
        }
        self.save();
    }

    fn deliver(&mut self) {
        if self.in_flight.is_empty() {
            return;
        }
        let (number, ..) = self.in_flight.remove(0);
        let taken = self.taken.remove(&number).map(|(packets, _)| packets);
        let packets = taken.or_else(|| self.doubtful.remove(&number));
        let twice = packets.is_none() && self.delivered.contains_key(&number);
        // A machine that fails forgets what was delivered since the last sync.
        assert!(!twice || self.machine_failed, "batch {number} is delivered twice");
        assert!(twice || packets.is_some(), "batch {number} was never put in");
        self.delivered.extend(packets.map(|packets| (number, packets)));
        self.save();
    }

    fn save(&mut self) {
        let first = self.in_flight.first().map(|(_, place, losses)| (*place, *losses));
        let (start, losses) = first.unwrap_or((self.spool.next(), self.spool.losses()));
        self.saved = (Extent { start, end: self.spool.end() }, losses);
    }

    fn sync(&mut self) {
        let errors = self.spool.errors();
        self.spool.sync();
        self.synced = self.saved;
        if self.spool.errors() == errors {
            self.taken.values_mut().for_each(|(_, at_risk)| *at_risk = false);
        }
        self.spool.release(self.synced.0.start);
    }

    /// Kills the process, and with `power_failure` the machine.
    fn crash(&mut self, power_failure: bool) {
        self.crashes += 1;
        self.disk.fail_one_in(0);
        self.in_flight.clear();
        self.last_read = None;
        if power_failure {
            self.disk.power_failure();
            self.saved = self.synced;
            self.machine_failed = true;
            let at_risk = self.taken.extract_if(.., |_, (_, at_risk)| *at_risk);
            self.doubtful.extend(at_risk.map(|(number, (packets, _))| (number, packets)));
        }
        let (extent, losses) = self.saved;
        self.lose(losses);
        self.spool = Spool::open(self.disk.clone(), self.limits, Some(extent)).unwrap();
        self.save();
    }

    fn lose(&mut self, losses: Losses) {
        self.lost.add(losses.damaged);
        self.lost.add(losses.oldest);
    }

    fn finish(&mut self) -> Mark {
        self.disk.fail_one_in(0);
        self.disk.set_free_bytes(usize::MAX);
        while !(self.spool.is_drained() && self.in_flight.is_empty()) {
            self.read();
            self.deliver();
        }
        self.lose(self.spool.losses());
        self.lost
    }

    fn step(&mut self) {
        match self.random.below(12) {
            0..=4 => self.append(),
            5..=7 => self.read(),
            8..=9 => self.deliver(),
            _ => self.sync(),
        }
    }
}

/// Crash points of each property: 10,000 together.
const CRASHES_A_SEED: usize = 10;

/// Killed processes, full and damaged disks: what was taken is delivered once, in order, or counted as lost,
/// to the packet.
#[test]
fn killed_agents_lose_nothing_that_is_not_counted() {
    for seed in 0..500 {
        let mut model = Model::new(seed);
        while model.crashes < CRASHES_A_SEED {
            model.step();
            match model.random.below(40) {
                0 => model.crash(false),
                1 => _ = model.disk.flip_bit(),
                2 => {
                    let free = model.random.below(2000);
                    model.disk.set_free_bytes(free);
                }
                3 => model.disk.set_free_bytes(usize::MAX),
                _ => {}
            }
        }
        let lost = model.finish();
        let missing = model.taken.values().map(|(packets, _)| packets).sum::<u64>();
        assert_eq!((lost.packets, lost.records), (missing, model.taken.len().try_into().unwrap()), "seed {seed}");
    }
}

/// Power failures and a disk that fails at random: what was taken and synced is delivered or counted as lost.
#[test]
fn failed_machines_lose_nothing_synced_that_is_not_counted() {
    for seed in 0..500 {
        let mut model = Model::new(seed);
        while model.crashes < CRASHES_A_SEED {
            model.step();
            match model.random.below(40) {
                0 => model.crash(true),
                1 => _ = model.disk.flip_bit(),
                2 => model.disk.fail_one_in(1 + model.random.below(20)),
                3 => model.disk.fail_one_in(0),
                _ => {}
            }
        }
        let lost = model.finish();
        let synced = model.taken.values().filter(|(_, at_risk)| !at_risk);
        let missing = synced.map(|(packets, _)| packets).sum::<u64>();
        assert!(missing <= lost.packets, "seed {seed}: {missing} packets are missing, {} are counted", lost.packets);
    }
}
