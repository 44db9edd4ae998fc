use super::*;
use crate::spool::simulated::{Random, SimulatedDisk};
use crate::spool::{Limits, Spool, WhenFull};
use prost::Message as _;
use std::collections::VecDeque;
use weir_contract::PacketBatch;

/// A producer with a queue of so many batches, and the topic behind it.
struct SimulatedProducer {
    room: usize,
    queue: VecDeque<(u64, Vec<u8>)>,
    /// Every batch that reached the topic, in that order.
    topic: Vec<Vec<u8>>,
    too_large_bytes: usize,
    broken: bool,
}

impl Default for SimulatedProducer {
    fn default() -> Self {
        Self { room: 3, queue: VecDeque::new(), topic: Vec::new(), too_large_bytes: usize::MAX, broken: false }
    }
}

impl Producer for SimulatedProducer {
    fn send(&mut self, ticket: u64, _partition: u32, batch: &[u8]) -> Result<(), NotTaken> {
        if self.broken {
            return Err(NotTaken::Broken);
        }
        if batch.len() > self.too_large_bytes {
            return Err(NotTaken::TooLarge);
        }
        if self.queue.len() == self.room {
            return Err(NotTaken::Full);
        }
        self.queue.push_back((ticket, batch.to_owned()));
        Ok(())
    }
}

impl SimulatedProducer {
    /// Publishes the first batch; its report.
    fn publish(&mut self) -> Option<Report> {
        let (ticket, batch) = self.queue.pop_front()?;
        self.topic.push(batch);
        Some(Report { ticket, outcome: Outcome::Published })
    }

    /// Gives back all it has, of which the first may have been published without anyone's knowing.
    fn close(&mut self, published_unknown: usize) -> Vec<Report> {
        self.broken = false;
        let queue = std::mem::take(&mut self.queue);
        self.topic.extend(queue.iter().take(published_unknown).map(|(_, batch)| batch.clone()));
        queue.into_iter().map(|(ticket, batch)| Report { ticket, outcome: Outcome::Returned(batch) }).collect()
    }
}

const LIMITS: Limits = Limits { max_bytes: 1 << 30, when_full: WhenFull::DropNewest };

fn store(disks: &[SimulatedDisk; 2], limits: Limits, saved: Extents) -> Store<SimulatedDisk> {
    let open = |disk: &SimulatedDisk, limits, extent| Spool::open(disk.clone(), limits, Some(extent)).unwrap();
    Store { unsent: open(&disks[0], LIMITS, saved.unsent), overflow: open(&disks[1], limits, saved.overflow) }
}

fn disks(seed: u64) -> [SimulatedDisk; 2] {
    [SimulatedDisk::new(seed), SimulatedDisk::new(!seed)]
}

fn batch(epoch: i64, partition: u32, sequence: i64, packets: u32) -> (Head, Vec<u8>) {
    let batch = PacketBatch { epoch, partition, sequence, ..PacketBatch::default() };
    (Head { epoch, partition, sequence, packets }, batch.encode_to_vec())
}

/// Pushes batches of one partition, of 10 packets each.
fn push(
    delivery: &mut Delivery<SimulatedDisk>,
    producer: Option<&mut SimulatedProducer>,
    sequences: std::ops::Range<i64>,
) {
    let mut producer = producer;
    for sequence in sequences {
        let (head, bytes) = batch(1, 0, sequence, 10);
        delivery.push(head, &bytes, producer.as_deref_mut());
    }
}

fn sequences(topic: &[Vec<u8>]) -> Vec<i64> {
    topic.iter().map(|batch| decode_head(batch, 0).unwrap().sequence).collect()
}

/// Publishes until all is done.
fn settle(delivery: &mut Delivery<SimulatedDisk>, producer: &mut SimulatedProducer) {
    while !delivery.is_done() {
        delivery.feed(producer);
        let report = producer.publish().expect("something to publish");
        delivery.report(report);
    }
}

#[test]
fn batches_go_straight_to_kafka_while_it_takes_them() {
    let (mut delivery, mut producer) =
        (Delivery::new(Some(store(&disks(1), LIMITS, Extents::default()))), SimulatedProducer::default());
    push(&mut delivery, Some(&mut producer), 1..4);
    assert_eq!((producer.queue.len(), delivery.accounts().in_flight), (3, 30));
    settle(&mut delivery, &mut producer);
    assert_eq!(delivery.store().unwrap().bytes(), 0);
    assert_eq!((sequences(&producer.topic), delivery.accounts().published), (vec![1, 2, 3], 30));
}

#[test]
fn once_spooling_everything_spools_until_drained() {
    let (mut delivery, mut producer) =
        (Delivery::new(Some(store(&disks(1), LIMITS, Extents::default()))), SimulatedProducer::default());
    push(&mut delivery, Some(&mut producer), 1..6);
    assert_eq!((delivery.accounts().in_flight, delivery.accounts().in_spool), (30, 20));
    let report = producer.publish().unwrap();
    delivery.report(report);
    push(&mut delivery, Some(&mut producer), 6..7);
    assert_eq!((producer.queue.len(), delivery.accounts().in_spool), (2, 30), "there is room, but others were first");
    settle(&mut delivery, &mut producer);
    push(&mut delivery, Some(&mut producer), 7..8);
    assert_eq!(delivery.accounts().in_flight, 10);
    settle(&mut delivery, &mut producer);
    assert_eq!(sequences(&producer.topic), [1, 2, 3, 4, 5, 6, 7]);
}

#[test]
fn without_kafka_everything_spools() {
    let mut delivery = Delivery::new(Some(store(&disks(1), LIMITS, Extents::default())));
    push(&mut delivery, None, 1..6);
    assert_eq!((delivery.accounts().in_flight, delivery.accounts().in_spool), (0, 50));
    let mut producer = SimulatedProducer::default();
    settle(&mut delivery, &mut producer);
    assert_eq!(sequences(&producer.topic), [1, 2, 3, 4, 5]);
}

#[test]
fn without_a_spool_one_batch_waits_and_the_others_stay_out() {
    let (mut delivery, mut producer) = (Delivery::new(None), SimulatedProducer::default());
    push(&mut delivery, Some(&mut producer), 1..4);
    assert!(delivery.has_room());
    push(&mut delivery, Some(&mut producer), 4..5);
    assert!(!delivery.has_room());
    settle(&mut delivery, &mut producer);
    assert!(delivery.has_room());
    assert_eq!(sequences(&producer.topic), [1, 2, 3, 4]);
}

#[test]
fn batch_too_large_for_kafka_is_lost_alone_and_counted() {
    let (mut delivery, mut producer) = (Delivery::new(None), SimulatedProducer::default());
    push(&mut delivery, Some(&mut producer), 1..2);
    producer.too_large_bytes = 0;
    push(&mut delivery, Some(&mut producer), 2..3);
    producer.too_large_bytes = usize::MAX;
    push(&mut delivery, Some(&mut producer), 3..4);
    producer.queue.pop_back();
    delivery.report(Report { ticket: 3, outcome: Outcome::TooLarge }); // said by the broker, not the client
    settle(&mut delivery, &mut producer);
    let accounts = delivery.accounts();
    assert_eq!((accounts.published, accounts.dropped.of(Dropped::TooLarge), accounts.balance()), (10, 20, true));
}

#[test]
fn what_a_failed_producer_gives_back_is_sent_again_in_order() {
    let (mut delivery, mut producer) = (Delivery::new(None), SimulatedProducer::default());
    push(&mut delivery, Some(&mut producer), 1..4);
    let reports = producer.close(0);
    reports.into_iter().rev().for_each(|report| delivery.report(report));
    assert!(delivery.is_broken());
    delivery.feed(&mut producer);
    assert!(producer.queue.is_empty(), "not before there is another producer");
    delivery.renew();
    settle(&mut delivery, &mut producer);
    assert_eq!(sequences(&producer.topic), [1, 2, 3]);
}

#[test]
fn what_a_later_batch_has_overtaken_is_lost_and_counted() {
    let (mut delivery, mut producer) = (Delivery::new(None), SimulatedProducer::default());
    push(&mut delivery, Some(&mut producer), 1..3);
    let (ticket, first) = producer.queue.pop_front().unwrap();
    let second = producer.publish().unwrap();
    delivery.report(Report { ticket, outcome: Outcome::Returned(first) });
    delivery.report(second);
    delivery.renew();
    delivery.feed(&mut producer);
    let accounts = delivery.accounts();
    assert!(delivery.is_done() && accounts.balance());
    assert_eq!((sequences(&producer.topic), accounts.dropped.of(Dropped::Overtaken)), (vec![2], 10));
}

#[test]
fn next_run_sends_first_what_this_one_had_not() {
    let disks = disks(1);
    let (mut delivery, mut producer) =
        (Delivery::new(Some(store(&disks, LIMITS, Extents::default()))), SimulatedProducer::default());
    push(&mut delivery, Some(&mut producer), 1..7); // three in the producer, three spooled
    let report = producer.publish().unwrap();
    delivery.report(report);
    delivery.feed(&mut producer); // one of the spool
    producer.close(0).into_iter().for_each(|report| delivery.report(report));
    delivery.keep();
    let accounts = delivery.accounts();
    assert_eq!((accounts.in_flight, accounts.in_spool, accounts.balance()), (0, 50, true));
    for rounds in 0..2 {
        // The second time nothing is sent in between: what was kept is kept again.
        let extents = delivery.extents();
        delivery = Delivery::new(Some(store(&disks, LIMITS, extents)));
        assert_eq!(delivery.accounts().found_in_spool, 50);
        let (head, bytes) = batch(2, 0, 1, 10);
        if rounds == 1 {
            delivery.push(head, &bytes, Some(&mut producer));
            settle(&mut delivery, &mut producer);
        } else {
            delivery.feed(&mut producer);
            producer.close(0).into_iter().for_each(|report| delivery.report(report));
            delivery.keep();
        }
    }
    assert_eq!(sequences(&producer.topic), [1, 2, 3, 4, 5, 6, 1]);
}

/// A sensor over many runs, and all that happens to it.
struct World {
    random: Random,
    disks: [SimulatedDisk; 2],
    limits: Limits,
    delivery: Delivery<SimulatedDisk>,
    producer: SimulatedProducer,
    connected: bool,
    saved: Extents,
    epoch: i64,
    sequences: [i64; 2],
    /// Packets of each batch made, in the order of making.
    made: Vec<(Head, u32)>,
    /// Packets that were only in memory when the agent was killed, at most.
    killed_packets: u64,
    dropped_packets: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let disks = disks(seed);
        let limits = Limits { max_bytes: 400 + u64::try_from(random.below(4000)).unwrap(), ..LIMITS };
        let delivery = Delivery::new(Some(store(&disks, limits, Extents::default())));
        let producer = SimulatedProducer { room: 1 + random.below(6), ..SimulatedProducer::default() };
        Self {
            random,
            disks,
            limits,
            delivery,
            producer,
            connected: true,
            saved: Extents::default(),
            epoch: 1,
            sequences: [0; 2],
            made: Vec::new(),
            killed_packets: 0,
            dropped_packets: 0,
        }
    }

    fn step(&mut self) {
        match self.random.below(100) {
            0..40 => self.push(),
            40..60 if self.connected => self.delivery.feed(&mut self.producer),
            60..85 if self.connected => {
                if let Some(report) = self.producer.publish() {
                    self.delivery.report(report);
                }
            }
            85..88 => self.connected = !self.connected,
            88..90 => self.fail(),
            90..94 => self.save(),
            94 => self.stop(),
            95 => self.kill(),
            96 => {
                let free = self.random.below(500);
                self.disks[1].set_free_bytes(free);
            }
            97..100 => self.disks[1].set_free_bytes(usize::MAX),
            _ => {}
        }
        assert!(self.delivery.accounts().balance(), "{}", self.delivery.accounts());
    }

    fn push(&mut self) {
        let partition = self.random.below(2);
        self.sequences[partition] += 1;
        let packets = 1 + u32::try_from(self.random.below(20)).unwrap();
        let (head, bytes) = batch(self.epoch, u32::try_from(partition).unwrap(), self.sequences[partition], packets);
        self.made.push((head, packets));
        let connected = self.connected;
        self.delivery.push(head, &bytes, Some(&mut self.producer).filter(|_| connected));
    }

    /// The producer fails, with some batches published and not acknowledged.
    fn fail(&mut self) {
        let unknown = self.random.below(4);
        self.producer.close(unknown).into_iter().for_each(|report| self.delivery.report(report));
        self.delivery.renew();
    }

    fn save(&mut self) {
        let store = self.delivery.store().unwrap();
        store.sync();
        self.saved = self.delivery.extents();
        self.delivery.store().unwrap().release(&self.saved);
    }

    /// SIGTERM, and a start.
    fn stop(&mut self) {
        self.fail();
        self.delivery.keep();
        let accounts = self.delivery.accounts();
        assert!(accounts.balance() && accounts.in_flight == 0, "{accounts}");
        self.save();
        self.start();
    }

    /// SIGKILL, and a start.
    fn kill(&mut self) {
        let unknown = self.random.below(4);
        self.producer.close(unknown);
        self.saved = self.delivery.extents(); // the page cache survives
        let returned = self.delivery.returned.values().map(|(sent, _)| sent);
        let in_memory = self.delivery.in_flight.values().chain(returned).filter(|sent| sent.place.is_none());
        self.killed_packets += in_memory.map(|sent| u64::from(sent.head.packets)).sum::<u64>();
        self.start();
    }

    fn start(&mut self) {
        self.dropped_packets += self.delivery.accounts().dropped.total();
        self.delivery = Delivery::new(Some(store(&self.disks, self.limits, self.saved)));
        self.epoch += 1;
        self.sequences = [0; 2];
    }

    fn finish(&mut self) {
        self.disks[1].set_free_bytes(usize::MAX);
        settle(&mut self.delivery, &mut self.producer);
        self.dropped_packets += self.delivery.accounts().dropped.total();
    }

    /// Checks the topic as a processor reads it; packets that are missing in it.
    fn missing_packets(&self) -> u64 {
        let mut missing = 0;
        for partition in 0..2 {
            let of_partition = |head: &Head| head.partition == partition;
            let mut last = (0, 0);
            let mut seen = Vec::new();
            for head in self.producer.topic.iter().map(|batch| decode_head(batch, 0).unwrap()).filter(of_partition) {
                let place = (head.epoch, head.sequence);
                if place > last {
                    seen.push(place);
                    last = place;
                } else {
                    assert!(seen.contains(&place), "{place:?} is there for the first time after {last:?}");
                }
            }
            let made = self.made.iter().filter(|(head, _)| of_partition(head));
            missing += made
                .filter(|(head, _)| !seen.contains(&(head.epoch, head.sequence)))
                .map(|(_, packets)| u64::from(*packets))
                .sum::<u64>();
        }
        missing
    }
}

#[test]
fn every_batch_is_published_in_sequence_or_counted() {
    for seed in 0..400 {
        let mut world = World::new(seed);
        (0..400).for_each(|_| world.step());
        world.finish();
        let (missing, dropped, killed) = (world.missing_packets(), world.dropped_packets, world.killed_packets);
        assert!(missing <= dropped + killed, "seed {seed}: {missing} missing, {dropped} dropped, {killed} killed");
        assert!(missing >= dropped, "seed {seed}: {missing} missing, {dropped} dropped");
    }
}
