//! QUIC as far as anyone on the path can read it (RFC 8999, RFC 9000, RFC 9001, RFC 9369): long headers, and
//! Initial packets without their protection, which hold the hellos of TLS.
//!
//! ```text
//! datagram   = long packet*  [short packet]              coalesced (RFC 9000 §12.2)
//! long       = first(1) version(4) dcid_length(1) dcid scid_length(1) scid, then by type
//! Initial    = token_length(i) token length(i) number(1..4) payload tag(16)
//! 0-RTT, Handshake = length(i) number payload tag        not readable
//! Retry      = token tag(16)
//! Negotiation (version 0) = version(4)*
//! ```
//!
//! Short packets, which is nearly all of a connection, are not looked at.

mod connection;
mod crypto;
mod frames;
mod header;
mod keys;
mod parameters;
mod record;
#[cfg(test)]
mod tests;
mod version;

use weir_contract::{WeirdReason, record as contract};

use self::{
    connection::{Flow, Found, Sender, Unreadable},
    crypto::{Complaint, Message},
    frames::Frame,
    header::{Header, Protected, Rest},
    keys::InitialSecret,
    version::{Version, is_reserved},
};
use super::{Context, Datagram, Probe};
use crate::{
    cursor::{Cursor, Malformed},
    output::Output,
};

pub(crate) struct Quic;

/// Packets of one datagram that are read: coalesced ones are of different kinds, of which there are four.
const PACKETS_MAX: u8 = 16;

/// Types of handshake messages (RFC 8446 §4).
const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 2;

impl Datagram for Quic {
    const NAME: &'static str = "quic";
    /// HTTP/3 and DNS over QUIC (RFC 9250).
    const PORTS: &'static [u16] = &[443, 853];
    type State = Flow;

    fn probe(bytes: &[u8]) -> Probe {
        let mut input = Cursor::new(bytes);
        let start = input;
        let Ok(header) = header::read(&mut input) else { return Probe::No };
        if !header::is_long(bytes) || header.destination.len().max(header.source.len()) > 20 {
            return Probe::No;
        }
        match header.read_rest(start, &mut input) {
            Ok(Rest::Negotiation(list)) => probe_negotiation(&header, list),
            _ if !header.has_fixed_bit() => Probe::No,
            Ok(Rest::Retry { token_bytes }) if token_bytes > 0 => Probe::Unsure,
            Ok(Rest::Initial { protected, .. } | Rest::ZeroRtt(protected) | Rest::Handshake(protected)) => {
                probe_protected(&header, &protected)
            }
            _ => Probe::No,
        }
    }

    fn held_bytes(flow: &Flow) -> usize {
        flow.held_bytes()
    }

    fn parse(input: Cursor<'_>, context: &mut Context, flow: &mut Flow, out: &mut Output) -> Result<(), Malformed> {
        if !header::is_long(input.peek()) || !writes_records(out) {
            return Ok(());
        }
        count_packets(input, flow);
        Reader { flow, context, out }.read(input)
    }
}

fn writes_records(out: &Output) -> bool {
    out.selects::<contract::Quic>()
        || out.selects::<contract::TlsClientHello>()
        || out.selects::<contract::TlsServerHello>()
}

/// A server repeats what the client sent to, which is of 8 bytes at least (RFC 9000 §7.2), and offers a version that
/// we know.
fn probe_negotiation(header: &Header<'_>, list: Cursor<'_>) -> Probe {
    let (versions, rest) = list.peek().as_chunks();
    let is_known = |version: &[u8; 4]| Version::of(u32::from_be_bytes(*version)).is_some();
    match versions.iter().any(is_known) && rest.is_empty() {
        true if header.source.len() >= 8 => Probe::Yes,
        true => Probe::Unsure,
        false => Probe::No,
    }
}

/// Many numbers are reserved versions: only a tag proves one.
fn probe_protected(header: &Header<'_>, protected: &Protected<'_>) -> Probe {
    let opens = |version: &Version| {
        let mut keys = InitialSecret::candidates(version, header.destination).filter_map(|secret| secret.client());
        keys.any(|keys| keys.open(protected.packet.message(), protected.number_at, None).is_some())
    };
    match Version::of(header.version) {
        // Captured in part, if anything.
        Some(_) if protected.is_cut => Probe::Unsure,
        Some(version) if protected.is_plausible() && (!is_reserved(header.version) || opens(version)) => Probe::Yes,
        Some(_) if is_reserved(header.version) => Probe::Unsure,
        _ => Probe::No,
    }
}

/// Counts the packets of a datagram before any is read, so that records say what came with their message.
fn count_packets(mut input: Cursor<'_>, flow: &mut Flow) {
    for _ in 0..PACKETS_MAX {
        let start = input;
        if !header::is_long(input.peek()) {
            return;
        }
        let Ok(header) = header::read(&mut input) else { return };
        let Ok(rest) = header.read_rest(start, &mut input) else { return };
        let packets = &mut flow.packets;
        let counter = match rest {
            Rest::Initial { .. } => &mut packets.initial,
            Rest::ZeroRtt(_) => &mut packets.zero_rtt,
            Rest::Handshake(_) => &mut packets.handshake,
            Rest::Retry { .. } => &mut packets.retry,
            Rest::Negotiation(_) => &mut packets.negotiation,
            Rest::Unknown => return,
        };
        *counter = counter.saturating_add(1);
    }
}

/// Reads one datagram.
struct Reader<'r> {
    flow: &'r mut Flow,
    context: &'r Context,
    out: &'r mut Output,
}

impl Reader<'_> {
    fn read(&mut self, mut input: Cursor<'_>) -> Result<(), Malformed> {
        for _ in 0..PACKETS_MAX {
            // Behind the last packet there may be zeros, which make datagrams larger.
            if !header::is_long(input.peek()) {
                return Ok(());
            }
            let start = input;
            let header = header::read(&mut input)?;
            match header.read_rest(start, &mut input)? {
                Rest::Initial { token_bytes, protected } => self.initial(&header, token_bytes, &protected)?,
                Rest::Retry { token_bytes } => self.retry(&header, token_bytes, start.peek()),
                Rest::Negotiation(versions) => record::negotiation(self.flow, &header, versions, self.out)?,
                Rest::Unknown => self.unreadable(&header, 0, false),
                Rest::ZeroRtt(protected) | Rest::Handshake(protected) if protected.is_cut => return Err(cut(&start)),
                Rest::ZeroRtt(_) | Rest::Handshake(_) => {}
            }
        }
        match header::is_long(input.peek()) {
            true => Err(input.malformed(WeirdReason::Limit, "more than 16 packets in one datagram")),
            false => Ok(()),
        }
    }

    fn initial(&mut self, header: &Header<'_>, token_bytes: usize, protected: &Protected<'_>) -> Result<(), Malformed> {
        let Some(version) = Version::of(header.version) else { return Ok(()) };
        if protected.is_cut {
            self.unreadable(header, token_bytes, true);
            return Err(cut(&protected.packet));
        }
        match self.flow.open(header, version, protected, self.context.from_responder) {
            Ok(found) => self.opened(header, token_bytes, protected, &found),
            Err(Unreadable::Known) => {
                let detail = "Initial packet whose tag is wrong";
                Err(protected.packet.malformed(WeirdReason::BadChecksum, detail))
            }
            Err(Unreadable::Stranger) => {
                self.unreadable(header, token_bytes, false);
                Ok(())
            }
        }
    }

    /// Reads the frames of a packet, and writes what they complete.
    fn opened(
        &mut self,
        header: &Header<'_>,
        token_bytes: usize,
        protected: &Protected<'_>,
        found: &Found,
    ) -> Result<(), Malformed> {
        if found.sender == Sender::Client
            && let Some(connection) = self.flow.connection_mut(found.connection)
        {
            connection.token_bytes = u32::try_from(token_bytes).unwrap_or(u32::MAX);
        }
        let mut place = protected.packet;
        place.skip(found.packet.payload_at())?;
        let mut payload = place.in_place(found.packet.payload());
        let mut is_closed = false;
        loop {
            let at = payload;
            let read = match frames::next(&mut payload)? {
                None => return Ok(()),
                Some(Frame::Close(_)) if is_closed => Ok(()),
                Some(Frame::Close(close)) => {
                    is_closed = true;
                    record::close(self.flow, header, found, &close, self.out);
                    Ok(())
                }
                Some(Frame::Crypto { offset, data }) => self.crypto(header, found, offset, data),
            };
            if let Err((reason, detail)) = read {
                self.out.note(at.malformed(reason, detail));
            }
        }
    }

    /// Adds the bytes of a frame, and writes the messages that they complete.
    fn crypto(&mut self, header: &Header<'_>, found: &Found, offset: u64, data: Cursor<'_>) -> Result<(), Complaint> {
        let ts_ns = self.context.ts_ns;
        let room = self.flow.room();
        let Some(connection) = self.flow.connection_mut(found.connection) else { return Ok(()) };
        let added = connection.side_mut(found.sender).crypto.add(ts_ns, offset, data.peek(), room);
        while let Some(connection) = self.flow.connection_mut(found.connection)
            && let Some(message) = connection.side_mut(found.sender).crypto.take_message(ts_ns)?
        {
            self.message(header, found, &message, data)?;
        }
        added
    }

    fn message(
        &mut self,
        header: &Header<'_>,
        found: &Found,
        message: &Message,
        place: Cursor<'_>,
    ) -> Result<(), Complaint> {
        let Some(connection) = self.flow.connection_mut(found.connection) else { return Ok(()) };
        let ts_ns = self.context.ts_ns;
        let body = place.in_place(message.body());
        match (found.sender, message.kind) {
            (Sender::Client, CLIENT_HELLO) => {
                connection.hello.request((), ts_ns);
                record::client_hello(self.flow, header, found, message, body, self.out);
                Ok(())
            }
            (Sender::Server, SERVER_HELLO) => {
                let response_time_ns = connection.hello.response(&(), ts_ns);
                record::server_hello(self.flow, header, found, message, body, response_time_ns, self.out);
                Ok(())
            }
            _ => {
                connection.side_mut(found.sender).crypto.give_up();
                Err((WeirdReason::Unexpected, "handshake message that Initial packets don't hold"))
            }
        }
    }

    fn retry(&mut self, header: &Header<'_>, token_bytes: usize, packet: &[u8]) {
        let known = self.flow.find(header, self.context.from_responder);
        let connection = known.filter(|(_, sender)| *sender == Sender::Server).map(|(index, _)| index);
        let key = Version::of(header.version).and_then(|version| version.retry);
        let genuine = connection
            .and_then(|index| self.flow.connection(index))
            .zip(key)
            .map(|(connection, key)| keys::retry_is_genuine(key, connection.key_source(), packet));
        let accepted = connection.filter(|_| genuine != Some(false));
        let response_time_ns = accepted.and_then(|index| self.flow.connection_mut(index)).and_then(|connection| {
            connection.retry(header);
            connection.hello.response(&(), self.context.ts_ns)
        });
        record::retry(self.flow, header, connection, token_bytes, genuine, response_time_ns, self.out);
    }

    /// Writes the one record of a flow's packets that can't be read.
    fn unreadable(&mut self, header: &Header<'_>, token_bytes: usize, truncated: bool) {
        if !self.flow.complained {
            self.flow.complained = true;
            record::unreadable(self.flow, header, token_bytes, truncated, self.out);
        }
    }
}

fn cut(packet: &Cursor<'_>) -> Malformed {
    packet.malformed(WeirdReason::Truncated, "packet that is longer than its datagram")
}
