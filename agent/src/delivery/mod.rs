//! Gets packet batches to Kafka, strictly in sequence, whatever fails on the way: what goes where next, and
//! what became of each packet.
//!
//! Pure: Kafka and the disk are behind interfaces, time isn't known here. Batches take one way:
//!
//! ```text
//! queue ─▶ the producer's queue ─▶ Kafka
//!    └──▶ spool ──▶┘
//! ```
//!
//! While the producer's queue has room, batches go into it. Once it is full they go to the spool, and as long as
//! anything is in the spool all new ones do: what the producer takes next comes from there. Without a spool they
//! wait in the queue.

mod accounts;
mod store;
#[cfg(test)]
mod tests;

pub use accounts::{Accounts, Dropped};
pub use store::{Extents, Store};

use crate::spool::{Disk, Refused};
use std::collections::{BTreeMap, HashMap};
use store::Place;

/// Which batch it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Epoch of the sensor.
    pub epoch: i64,
    /// Partition of the topic.
    pub partition: u32,
    /// Ordinal in its (sensor, epoch, partition).
    pub sequence: i64,
    /// Packets in it.
    pub packets: u32,
}

/// A producer: what it takes reaches Kafka in that order within a partition.
pub trait Producer {
    /// Takes a batch. `ticket` comes back in its report.
    ///
    /// # Errors
    /// It was not taken.
    fn send(&mut self, ticket: u64, partition: u32, batch: &[u8]) -> Result<(), NotTaken>;
}

/// Why a producer did not take a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotTaken {
    /// Its queue is full: once reports have come, there may be room.
    Full,
    /// It will never take this one.
    TooLarge,
    /// It takes nothing any more: another producer is needed.
    Broken,
}

/// What became of a batch that a producer took.
#[derive(Debug, PartialEq, Eq)]
pub struct Report {
    /// Which one.
    pub ticket: u64,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of a batch.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Kafka has it.
    Published,
    /// Kafka will never take it.
    TooLarge,
    /// It was not sent, or nobody knows: here it is again.
    Returned(Vec<u8>),
}

/// Where a new batch went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// To the producer, at once or as soon as it has room.
    ToProducer,
    /// To the spool.
    ToSpool,
    /// It is lost, and counted.
    Lost,
}

/// What Kafka has acknowledged and what the producer has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Batches that Kafka has acknowledged.
    pub published_batches: u64,
    /// Bytes of those.
    pub published_bytes: u64,
    /// Bytes of the batches in flight.
    pub in_flight_bytes: u64,
}

/// A batch that was given to the producer, or came back from it.
#[derive(Clone, Copy, Debug)]
struct Sent {
    head: Head,
    bytes: u64,
    /// Where it stands in the spool, if it came from there.
    place: Option<Place>,
}

/// Where all batches are.
#[derive(Debug)]
pub struct Delivery<D> {
    store: Option<Store<D>>,
    /// What the producer has, by ticket. Tickets rise.
    in_flight: BTreeMap<u64, Sent>,
    /// What came back, or was not taken: to be sent before all else.
    returned: BTreeMap<u64, (Sent, Vec<u8>)>,
    next_ticket: u64,
    /// Whether the producer's queue was full when it was asked last.
    full: bool,
    /// Whether the producer has failed, and another is needed.
    broken: bool,
    /// Epoch and sequence of the batch that Kafka has acknowledged last, by partition.
    published: HashMap<u32, (i64, i64)>,
    /// Packets that came back and are still where they came from, at the end.
    kept_packets: u64,
    kept_from: Option<Place>,
    traffic: Traffic,
    accounts: Accounts,
    buffer: Vec<u8>,
}

impl<D: Disk> Delivery<D> {
    /// Begins with what is in the spool, if there is one.
    pub fn new(store: Option<Store<D>>) -> Self {
        let found_in_spool = store.as_ref().map_or(0, Store::packets);
        Self {
            store,
            in_flight: BTreeMap::new(),
            returned: BTreeMap::new(),
            next_ticket: 0,
            full: false,
            broken: false,
            published: HashMap::new(),
            kept_packets: 0,
            kept_from: None,
            traffic: Traffic::default(),
            accounts: Accounts { found_in_spool, ..Accounts::default() },
            buffer: Vec::new(),
        }
    }

    /// Whether a batch can be given to [`Delivery::push`]. Without a spool that is so once what was pushed
    /// before has been taken by the producer.
    pub fn has_room(&self) -> bool {
        self.store.is_some() || self.returned.is_empty()
    }

    /// Takes a new batch, in the order of their making. It goes to the producer if there is one with room and
    /// nothing waits before it, else to the spool.
    pub fn push(&mut self, head: Head, batch: &[u8], producer: Option<&mut impl Producer>) -> Pushed {
        self.accounts.received += u64::from(head.packets);
        let is_next = self.returned.is_empty() && self.store.as_ref().is_none_or(Store::is_drained);
        let sent = Sent { head, bytes: u64::try_from(batch.len()).unwrap_or(u64::MAX), place: None };
        if let Some(producer) = producer.filter(|_| is_next && !self.full && !self.broken) {
            let ticket = self.ticket();
            if self.send(ticket, sent, batch, producer) {
                return if self.in_flight.contains_key(&ticket) { Pushed::ToProducer } else { Pushed::Lost };
            }
        }
        let Some(store) = &mut self.store else {
            let ticket = self.ticket();
            self.returned.insert(ticket, (sent, batch.to_owned()));
            return Pushed::ToProducer;
        };
        match store.append(batch, head.packets) {
            Ok(()) => return Pushed::ToSpool,
            Err(Refused::Full) => self.drop(head.packets, Dropped::SpoolFull),
            Err(Refused::TooLong(_)) => self.drop(head.packets, Dropped::TooLarge),
            Err(Refused::Disk(_)) => self.drop(head.packets, Dropped::SpoolError),
        }
        Pushed::Lost
    }

    /// Gives the producer what waits, oldest first, until it takes no more.
    pub fn feed(&mut self, producer: &mut impl Producer) {
        while !self.full && !self.broken {
            if let Some((ticket, (sent, batch))) = self.returned.pop_first() {
                let last = self.published.get(&sent.head.partition);
                if last.is_some_and(|(epoch, last)| *epoch == sent.head.epoch && *last > sent.head.sequence) {
                    // Processors take a jump of the sequence for final: it would come too late.
                    self.drop(sent.head.packets, Dropped::Overtaken);
                } else if !self.send(ticket, sent, &batch, producer) {
                    self.returned.insert(ticket, (sent, batch));
                }
            } else if !self.feed_from_spool(producer) {
                return;
            }
        }
    }

    fn feed_from_spool(&mut self, producer: &mut impl Producer) -> bool {
        let mut batch = std::mem::take(&mut self.buffer);
        let read = self.store.as_mut().and_then(|store| store.read(&mut batch));
        if let Some((place, stored)) = read {
            if let Some(head) = decode_head(&batch, stored.packets) {
                let sent = Sent { head, bytes: u64::try_from(batch.len()).unwrap_or(u64::MAX), place: Some(place) };
                let ticket = self.ticket();
                if !self.send(ticket, sent, &batch, producer) {
                    self.returned.insert(ticket, (sent, batch.clone()));
                }
            } else {
                self.drop(stored.packets, Dropped::SpoolDamaged);
            }
        }
        self.buffer = batch;
        read.is_some()
    }

    /// Whether the producer took the batch, or it is lost and counted.
    fn send(&mut self, ticket: u64, sent: Sent, batch: &[u8], producer: &mut impl Producer) -> bool {
        match producer.send(ticket, sent.head.partition, batch) {
            Ok(()) => _ = self.in_flight.insert(ticket, sent),
            Err(NotTaken::TooLarge) => self.drop(sent.head.packets, Dropped::TooLarge),
            Err(NotTaken::Full) => self.full = true,
            Err(NotTaken::Broken) => self.broken = true,
        }
        !self.full && !self.broken
    }

    /// Takes note of what became of a batch.
    pub fn report(&mut self, report: Report) {
        let Some(sent) = self.in_flight.remove(&report.ticket) else { return };
        self.full = false;
        match report.outcome {
            Outcome::Published => {
                self.accounts.published += u64::from(sent.head.packets);
                self.traffic.published_batches += 1;
                self.traffic.published_bytes += sent.bytes;
                self.published.insert(sent.head.partition, (sent.head.epoch, sent.head.sequence));
            }
            Outcome::TooLarge => self.drop(sent.head.packets, Dropped::TooLarge),
            Outcome::Returned(batch) => {
                self.broken = true;
                self.returned.insert(report.ticket, (sent, batch));
            }
        }
    }

    /// Whether the producer has failed: it is to be closed, its last reports given, and another one made.
    pub fn is_broken(&self) -> bool {
        self.broken
    }

    /// Begins with a new producer, when the reports of the last one were all given.
    pub fn renew(&mut self) {
        self.broken = false;
        self.full = false;
    }

    /// Keeps what came back for the next run, if there is a spool. To be called at the end, when the producer is
    /// closed and its reports were all given; [`Delivery::extents`] then says what is to be saved.
    pub fn keep(&mut self) {
        let Some(store) = &mut self.store else { return };
        let returned = std::mem::take(&mut self.returned);
        let packets = returned.values().map(|(sent, _)| u64::from(sent.head.packets)).sum();
        if !store.unsent.is_drained() {
            // All of these come from what was unsent before, and they still are there.
            self.kept_packets = packets;
            self.kept_from = returned.values().find_map(|(sent, _)| sent.place);
            return;
        }
        let lost = store.keep(returned.values().map(|(sent, batch)| (batch.as_slice(), sent.head.packets)));
        self.accounts.dropped.add(lost, Dropped::SpoolError);
    }

    /// What of the spool is still to be delivered.
    pub fn extents(&self) -> Extents {
        let Some(store) = &self.store else { return Extents::default() };
        let in_flight = self.in_flight.values().filter_map(|sent| sent.place);
        let returned = self.returned.values().filter_map(|(sent, _)| sent.place);
        store.extents(in_flight.chain(returned).chain(self.kept_from))
    }

    /// The spool, if there is one.
    pub fn store(&mut self) -> Option<&mut Store<D>> {
        self.store.as_mut()
    }

    /// Whether all that was pushed, and all that was in the spool, has been published or is lost.
    pub fn is_done(&self) -> bool {
        self.in_flight.is_empty() && self.returned.is_empty() && self.store.as_ref().is_none_or(Store::is_drained)
    }

    /// Whether Kafka has acknowledged a batch of this epoch in the partition.
    pub fn has_published(&self, partition: u32, epoch: i64) -> bool {
        self.published.get(&partition).is_some_and(|(of, _)| *of == epoch)
    }

    /// What Kafka has acknowledged and what the producer has.
    pub fn traffic(&self) -> Traffic {
        let returned = self.returned.values().map(|(sent, _)| sent.bytes);
        let in_flight_bytes = self.in_flight.values().map(|sent| sent.bytes).chain(returned).sum();
        Traffic { in_flight_bytes, ..self.traffic }
    }

    /// What became of all packets that were pushed so far.
    pub fn accounts(&self) -> Accounts {
        let mut accounts = self.accounts;
        let in_flight = self.in_flight.values().map(|sent| sent.head.packets);
        let returned = self.returned.values().map(|(sent, _)| sent.head.packets);
        accounts.in_flight = in_flight.chain(returned).map(u64::from).sum();
        if let Some(store) = &self.store {
            for losses in [store.unsent.losses(), store.overflow.losses()] {
                accounts.dropped.add(losses.damaged.packets, Dropped::SpoolDamaged);
                accounts.dropped.add(losses.oldest.packets, Dropped::SpoolOldest);
            }
            accounts.in_spool = store.packets() + self.kept_packets;
        }
        accounts
    }

    fn drop(&mut self, packets: u32, place: Dropped) {
        self.accounts.dropped.add(packets.into(), place);
    }

    fn ticket(&mut self) -> u64 {
        self.next_ticket += 1;
        self.next_ticket
    }
}

/// What a batch says of itself, without reading its packets.
fn decode_head(batch: &[u8], packets: u32) -> Option<Head> {
    /// The fields of a `PacketBatch` that tell one from another; the others are passed over.
    #[derive(prost::Message)]
    struct Fields {
        #[prost(int64, tag = "2")]
        epoch: i64,
        #[prost(uint32, tag = "3")]
        partition: u32,
        #[prost(int64, tag = "5")]
        sequence: i64,
    }
    let fields = <Fields as prost::Message>::decode(batch).ok()?;
    Some(Head { epoch: fields.epoch, partition: fields.partition, sequence: fields.sequence, packets })
}
