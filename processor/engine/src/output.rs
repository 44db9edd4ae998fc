//! Where decoders write: records leave as protobuf bytes, behind the encoded Meta of their scope.

use std::{
    collections::VecDeque,
    net::IpAddr,
    ops::{Deref, DerefMut},
};

use prost::Message as _;
use weir_contract::{
    Drafts, Meta, Nested, Packet, Record, RecordType, Selection, Spares, WeirdReason, record, text::push_escaped, wire,
};

use crate::{
    address::AddressText,
    cursor::{Cursor, Malformed},
    digits::HEX,
    flow::Identity,
    limits::TEXT_MAX,
};

/// Takes finished records.
pub trait RecordSink {
    /// One record: its type and its protobuf encoding.
    fn record(&mut self, record_type: RecordType, bytes: &[u8]);

    /// Whether it throws records away: then none is encoded. What they tell the engine itself stays as it is.
    fn is_silent(&self) -> bool {
        false
    }

    /// A packet whose decoder panicked, and what the panic said. Its records so far are taken back.
    fn failed(&mut self, _packet: &Packet<'_>, _message: &str) {}

    /// A run of a sensor goes on after batches of another run of it. An agent ends one run before it begins the next, so
    /// two agents have the sensor's name.
    fn shared_name(&mut self, _sensor: &str) {}
}

/// What records of one layer or connection have in common.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Scope {
    pub(crate) addresses: Option<(IpAddr, IpAddr)>,
    pub(crate) ports: (u16, u16),
    pub(crate) identity: Option<Identity>,
    pub(crate) vlans: Vlans,
    pub(crate) tunnel_depth: u8,
}

/// VLAN identifiers, outermost first. Those past the fourth are left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Vlans {
    ids: [u16; 4],
    len: u8,
}

impl Vlans {
    pub(crate) fn push(&mut self, id: u16) {
        if let Some(slot) = self.ids.get_mut(usize::from(self.len)) {
            *slot = id;
            self.len += 1;
        }
    }

    pub(crate) fn as_slice(&self) -> &[u16] {
        self.ids.get(..usize::from(self.len)).unwrap_or_default()
    }
}

/// First ordinal of what turns out after a packet. More than a packet causes at once.
pub(crate) const AFTERWARDS: u32 = 1 << 16;

/// At most so many complaints of one packet are kept.
const NOTES_MAX: usize = 16;

/// Packets are numbered from 1.
const NO_PACKET: i64 = 0;

/// Where decoders write.
pub struct Output {
    selection: Selection,
    drafts: Box<Drafts>,
    spares: Box<Spares>,
    writer: Writer,
}

impl Output {
    pub(crate) fn new(selection: Selection) -> Self {
        Self { selection, drafts: Box::default(), spares: Box::default(), writer: Writer::default() }
    }

    /// A cleared record to fill, which is written when it goes out of scope. `None` where the type is
    /// not selected.
    #[inline]
    pub fn record<R: Record>(&mut self) -> Option<Draft<'_, R>> {
        if !self.selection.contains(R::TYPE) {
            return None;
        }
        let ts_ns = self.writer.ts_ns;
        let packet_number = self.writer.packet_number;
        Some(Draft {
            ts_ns,
            packet_number,
            from_responder: self.writer.from_responder,
            record: R::draft(&mut self.drafts),
            spares: &mut self.spares,
            writer: &mut self.writer,
        })
    }

    /// Whether records of the type are written.
    pub fn selects<R: Record>(&self) -> bool {
        self.selection.contains(R::TYPE)
    }

    /// Whether nobody takes what is written, so that what only records tell need not be known.
    pub(crate) fn is_silent(&self) -> bool {
        self.writer.is_silent
    }

    /// Takes note of who will take what is written.
    pub(crate) fn write_to(&mut self, sink: &impl RecordSink) {
        self.writer.is_silent = sink.is_silent();
    }

    /// Complains about something that does not end the decoding.
    pub fn note(&mut self, malformed: Malformed) {
        self.writer.note(malformed);
    }

    /// Whether records of one of the types are written.
    pub(crate) fn selects_any(&self, types: &[RecordType]) -> bool {
        types.iter().any(|&of| self.selection.contains(of))
    }

    pub(crate) fn begin_packet(&mut self, sensor_prefix: &[u8], packet_number: i64, ts_ns: i64) {
        let writer = &mut self.writer;
        writer.ts_ns = ts_ns;
        writer.packet_number = packet_number;
        writer.from_responder = false;
        writer.ordinals.clear();
        writer.first_ordinal = 0;
        writer.notes.clear();
        writer.scope = Scope::default();
        writer.prefix.clear();
        writer.prefix.extend_from_slice(sensor_prefix);
        writer.sensor_prefix_length = sensor_prefix.len();
        writer.prefix_is_current = true;
    }

    /// Says that the records to come are of packets that are over: time caused them.
    pub(crate) fn end_packet(&mut self) {
        self.writer.packet_number = NO_PACKET;
    }

    /// As [`Self::begin_packet`] of a packet that is over. `first` says from which ordinal on there are no
    /// records of that type yet.
    pub(crate) fn return_to_packet(
        &mut self,
        sensor_prefix: &[u8],
        packet_number: i64,
        ts_ns: i64,
        first: (RecordType, u32),
    ) {
        self.begin_packet(sensor_prefix, packet_number, ts_ns);
        self.writer.ordinals.push(first);
    }

    /// As [`Self::begin_packet`] of a packet that is over, for what a wait for more packets caused.
    pub(crate) fn begin_afterwards(&mut self, sensor_prefix: &[u8], packet_number: i64, ts_ns: i64) {
        self.begin_packet(sensor_prefix, packet_number, ts_ns);
        self.writer.first_ordinal = AFTERWARDS;
    }

    /// Changes the sensor of the records to come.
    pub(crate) fn use_sensor(&mut self, sensor_prefix: &[u8]) {
        let writer = &mut self.writer;
        writer.prefix.clear();
        writer.prefix.extend_from_slice(sensor_prefix);
        writer.sensor_prefix_length = sensor_prefix.len();
        writer.prefix_is_current = false;
    }

    /// Writes a Weird of the current scope.
    pub(crate) fn weird(&mut self, layer: &str, malformed: Malformed) {
        if self.is_silent() {
            return;
        }
        let Some(mut weird) = self.record::<record::Weird>() else { return };
        weird.layer.push_str(layer);
        weird.set_reason(malformed.reason);
        weird.detail.push_str(malformed.detail);
        weird.offset_bytes = malformed.offset;
        weird.needed_bytes = malformed.shortage.map(|(needed, _)| needed);
        weird.available_bytes = malformed.shortage.map(|(_, available)| available);
    }

    /// Says to what the records to come belong.
    pub(crate) fn set_scope(&mut self, scope: Scope, from_responder: bool) {
        self.writer.scope = scope;
        self.writer.from_responder = from_responder;
        self.writer.prefix_is_current = false;
    }

    pub(crate) fn scope(&self) -> Scope {
        self.writer.scope
    }

    /// The complaint that was noted first, which is forgotten here.
    #[inline]
    pub(crate) fn next_note(&mut self) -> Option<Malformed> {
        self.writer.notes.pop_front()
    }

    /// Length of what has been written so far, to come back to by [`Self::truncate`].
    pub(crate) fn mark(&self) -> usize {
        self.writer.ends.len()
    }

    /// Forgets the records written since the mark.
    pub(crate) fn truncate(&mut self, mark: usize) {
        self.writer.ends.truncate(mark);
        self.writer.bytes.truncate(self.writer.ends.last().map_or(0, |&(_, end)| end));
    }

    pub(crate) fn drain_to(&mut self, sink: &mut impl RecordSink) {
        let mut start = 0;
        for &(record_type, end) in &self.writer.ends {
            sink.record(record_type, self.writer.bytes.get(start..end).unwrap_or_default());
            start = end;
        }
        self.writer.ends.clear();
        self.writer.bytes.clear();
    }

    /// Bytes that wait to be drained.
    pub(crate) fn pending_bytes(&self) -> usize {
        self.writer.bytes.len()
    }
}

/// A record being filled. It is written when it goes out of scope.
pub struct Draft<'o, R: Record> {
    /// Overrides the time of the packet, for what began earlier.
    pub(crate) ts_ns: i64,
    /// Overrides the number of the packet, for what ended earlier.
    pub(crate) packet_number: i64,
    pub(crate) from_responder: bool,
    record: &'o mut R,
    spares: &'o mut Spares,
    writer: &'o mut Writer,
}

impl<R: Record> Draft<'_, R> {
    /// A cleared nested message with the buffers of an earlier one.
    pub fn spare<T: Nested>(&mut self) -> T {
        self.spares.take()
    }

    /// An empty string with the buffer of an earlier one.
    pub fn spare_string(&mut self) -> String {
        self.spares.take_string()
    }

    /// The record, and the spares for what is nested in it.
    pub fn parts(&mut self) -> (&mut R, &mut Spares) {
        (self.record, self.spares)
    }

    /// Complains about something that does not end the decoding.
    pub fn note(&mut self, malformed: Malformed) {
        self.writer.note(malformed);
    }
}

impl<R: Record> Deref for Draft<'_, R> {
    type Target = R;

    fn deref(&self) -> &R {
        self.record
    }
}

impl<R: Record> DerefMut for Draft<'_, R> {
    fn deref_mut(&mut self) -> &mut R {
        self.record
    }
}

impl<R: Record> Drop for Draft<'_, R> {
    fn drop(&mut self) {
        if !self.writer.is_silent {
            self.writer.write(self.record, self.ts_ns, self.packet_number, self.from_responder);
        }
        self.record.recycle(self.spares);
    }
}

/// The encoder: Meta's constant part is encoded once a scope and copied into each record.
#[derive(Default)]
struct Writer {
    bytes: Vec<u8>,
    ends: Vec<(RecordType, usize)>,
    ts_ns: i64,
    packet_number: i64,
    from_responder: bool,
    scope: Scope,
    prefix: Vec<u8>,
    sensor_prefix_length: usize,
    prefix_is_current: bool,
    /// Encoded end of the record's Meta.
    own: Vec<u8>,
    /// Types that the packet has caused records of without a connection, and how many.
    ordinals: Vec<(RecordType, u32)>,
    /// Ordinal of the first of each type.
    first_ordinal: u32,
    notes: VecDeque<Malformed>,
    is_silent: bool,
}

impl Writer {
    fn note(&mut self, malformed: Malformed) {
        if self.notes.len() < NOTES_MAX {
            self.notes.push_back(malformed);
        }
    }

    fn write<R: Record>(&mut self, record: &R, ts_ns: i64, packet_number: i64, from_responder: bool) {
        if !self.prefix_is_current {
            self.prefix.truncate(self.sensor_prefix_length);
            encode_scope(&self.scope, &mut self.prefix);
            self.prefix_is_current = true;
        }
        let record_index = self.ordinal(R::TYPE, packet_number);
        self.own.clear();
        encode_own(&mut self.own, ts_ns, packet_number, record_index, from_responder);
        let bytes = &mut self.bytes;
        bytes.push(META_KEY);
        wire::varint(bytes, (self.prefix.len() + self.own.len()) as u64);
        bytes.extend_from_slice(&self.prefix);
        bytes.extend_from_slice(&self.own);
        record.encode_to(bytes);
        self.ends.push((R::TYPE, bytes.len()));
    }

    /// Ordinal of a record among those of its type that the current packet caused. A connection, which
    /// time or another packet ends, is the only one with its uid.
    fn ordinal(&mut self, record_type: RecordType, packet_number: i64) -> u32 {
        if packet_number != self.packet_number {
            return 0;
        }
        match self.ordinals.iter_mut().find(|(seen, _)| *seen == record_type) {
            Some((_, next)) => {
                *next += 1;
                *next - 1
            }
            None => {
                self.ordinals.push((record_type, self.first_ordinal + 1));
                self.first_ordinal
            }
        }
    }
}

const META_KEY: u8 = 1 << 3 | 2;

/// The part of Meta that a sensor's records share, encoded.
pub(crate) fn encode_sensor(sensor: &str, epoch: i64) -> Vec<u8> {
    Meta { sensor: sensor.to_owned(), epoch, ..Meta::default() }.encode_to_vec()
}

/// The fields from `uid` to `tunnel_depth`, in the order of their numbers.
fn encode_scope(scope: &Scope, out: &mut Vec<u8>) {
    if let Some(identity) = &scope.identity {
        wire::bytes(out, &[3 << 3 | 2], &identity.uid());
        wire::bytes(out, &[4 << 3 | 2], &identity.community_id());
    }
    if let Some((src, dst)) = scope.addresses {
        wire::bytes(out, &[5 << 3 | 2], AddressText::new(src).as_bytes());
        push_number(out, 6, scope.ports.0.into());
        wire::bytes(out, &[7 << 3 | 2], AddressText::new(dst).as_bytes());
        push_number(out, 8, scope.ports.1.into());
    }
    let vlans = scope.vlans.as_slice();
    if !vlans.is_empty() {
        wire::message(out, &[9 << 3 | 2], |out| vlans.iter().for_each(|&id| wire::varint(out, id.into())));
    }
    push_number(out, 10, scope.tunnel_depth.into());
}

/// The fields that differ from record to record: `from_responder` to `record_index`.
fn encode_own(out: &mut Vec<u8>, ts_ns: i64, packet_number: i64, record_index: u32, from_responder: bool) {
    push_number(out, 11, from_responder.into());
    push_number(out, 12, ts_ns.cast_unsigned());
    push_number(out, 13, packet_number.cast_unsigned());
    push_number(out, 14, record_index.into());
}

fn push_number(out: &mut Vec<u8>, field: u8, value: u64) {
    if value != 0 {
        out.push(field << 3);
        wire::varint(out, value);
    }
}

/// Appends text from the wire, of more than 4096 bytes only the first ones.
///
/// # Errors
///
/// Where that is not all, for the caller to note.
pub(crate) fn push_wire_text(out: &mut String, text: &Cursor<'_>) -> Result<(), Malformed> {
    let bytes = text.peek();
    push_escaped(out, bytes.get(..TEXT_MAX).unwrap_or(bytes));
    if bytes.len() > TEXT_MAX {
        return Err(text.malformed(WeirdReason::Limit, "text of more than 4096 bytes"));
    }
    Ok(())
}

/// Appends an address as text: dotted IPv4, RFC 5952 IPv6.
pub(crate) fn push_address(out: &mut String, address: IpAddr) {
    out.push_str(AddressText::new(address).as_str());
}

/// Appends a link-layer address as lower-case hex with colons.
pub(crate) fn push_mac(out: &mut String, address: &[u8]) {
    const CHUNK: usize = 8;
    let mut text = [b':'; 3 * CHUNK];
    for (at, chunk) in address.chunks(CHUNK).enumerate() {
        for (&octet, [high, low, _]) in chunk.iter().zip(text.as_chunks_mut().0) {
            [*high, *low] = HEX[usize::from(octet)];
        }
        if at > 0 {
            out.push(':');
        }
        let text = text.get(..3 * chunk.len() - 1).unwrap_or_default();
        out.push_str(std::str::from_utf8(text).unwrap_or_default());
    }
}
