//! Where the engine of a partition writes: into a transaction while the partition is live, nowhere while it is not.

use prost::Message as _;
use weir_contract::{
    DeadLetter, Packet, PacketBatch, RecordType,
    record::{Meta, Skipped},
};
use weir_engine::RecordSink;

/// Bytes of a dead letter's payload.
const LETTER_MAX: usize = 900_000;

/// A record that no topic takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLarge;

/// Where a live partition writes: into the transaction.
pub trait Outbox {
    /// A record that packets of the partition gave.
    ///
    /// # Errors
    ///
    /// It is larger than a message may be.
    fn record(&mut self, partition: u32, record_type: RecordType, bytes: &[u8]) -> Result<(), TooLarge>;
    /// What could not be decoded.
    fn dead_letter(&mut self, letter: DeadLetter);
    /// Two agents have this sensor's name.
    fn shared_name(&mut self, sensor: &str);
}

/// Where a message is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) topic: &'a str,
    pub(super) partition: u32,
    pub(super) offset: i64,
}

/// Hands on what an engine writes, or keeps silent.
pub(super) struct Sink<'a, O> {
    pub(super) outbox: Option<&'a mut O>,
    pub(super) place: Place<'a>,
}

impl<O: Outbox> Sink<'_, O> {
    pub(super) fn letter(&mut self, packet_number: Option<i64>, reason: String, payload: &[u8]) {
        let Some(outbox) = &mut self.outbox else { return };
        outbox.dead_letter(DeadLetter {
            topic: self.place.topic.to_owned(),
            partition: self.place.partition,
            offset: self.place.offset,
            packet_number,
            component: "processor".to_owned(),
            reason,
            payload: payload.get(..LETTER_MAX).unwrap_or(payload).to_vec(),
            payload_bytes: i64::try_from(payload.len()).unwrap_or(i64::MAX),
        });
    }

    pub(super) fn letter_of_skipped(&mut self, batch: &PacketBatch, skipped: &Skipped) {
        let packet = batch
            .packets()
            .ok()
            .and_then(|mut packets| packets.find(|packet| Some(packet.number) == skipped.packet_number));
        if let Some(packet) = packet {
            self.letter(Some(packet.number), skipped.reason.clone(), packet.data);
        }
    }
}

impl<O: Outbox> RecordSink for Sink<'_, O> {
    fn record(&mut self, record_type: RecordType, bytes: &[u8]) {
        let Some(outbox) = &mut self.outbox else { return };
        if outbox.record(self.place.partition, record_type, bytes).is_err() {
            // Every record begins with its Meta.
            let meta = bytes.get(1..).and_then(|meta| Meta::decode_length_delimited(meta).ok());
            let name = record_type.name();
            let reason = format!("a {name} record of {} bytes is larger than a message may be", bytes.len());
            self.letter(meta.map(|meta| meta.packet_number), reason, bytes);
        }
    }

    fn is_silent(&self) -> bool {
        self.outbox.is_none()
    }

    fn failed(&mut self, packet: &Packet<'_>, message: &str) {
        self.letter(Some(packet.number), format!("a decoder panicked: {message}"), packet.data);
    }

    fn shared_name(&mut self, sensor: &str) {
        if let Some(outbox) = &mut self.outbox {
            outbox.shared_name(sensor);
        }
    }
}

/// The outbox of a partition that is silent.
pub(super) enum Nowhere {}

impl Outbox for Nowhere {
    fn record(&mut self, _partition: u32, _record_type: RecordType, _bytes: &[u8]) -> Result<(), TooLarge> {
        Ok(())
    }

    fn dead_letter(&mut self, _letter: DeadLetter) {}

    fn shared_name(&mut self, _sensor: &str) {}
}
