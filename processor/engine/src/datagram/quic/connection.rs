//! What a flow remembers of its QUIC connections: one by one mostly, but a client may use a port for several at once.

use serde::{Deserialize, Serialize};

use super::{
    crypto::{self, CryptoStream},
    header::{ConnectionId, Header, Protected},
    keys::{InitialKeys, InitialSecret, Opened, PacketKeys},
    version::Version,
};
use crate::datagram::Requests;

/// Connections of a flow that are remembered; the oldest is forgotten for one more.
const CONNECTIONS_MAX: usize = 4;

/// Initial packets in a row for which new keys may be tried in vain: what is behind them is of connections whose
/// beginning was not seen, or noise.
const FAILURES_MAX: u8 = 16;

/// State of a flow.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Flow {
    connections: Vec<Connection>,
    pub(super) packets: Packets,
    failures: u8,
    /// The record of a packet that could not be read was written.
    pub(super) complained: bool,
}

/// Packets with long headers of a flow.
#[derive(Debug, Default, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Packets {
    pub(super) initial: u32,
    pub(super) zero_rtt: u32,
    pub(super) handshake: u32,
    pub(super) retry: u32,
    pub(super) negotiation: u32,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Connection {
    /// Version of the last Initial packet that was read.
    version: u32,
    /// The responder of the flow is the client of the connection.
    client_is_responder: bool,
    /// Destination of the client's first packet.
    pub(super) original: ConnectionId,
    /// Destination that the keys are made from: another one after a Retry.
    key_source: ConnectionId,
    pub(super) client: ConnectionId,
    pub(super) server: Option<ConnectionId>,
    /// The identifier that a Retry told the client to use.
    retry: Option<ConnectionId>,
    keys: InitialKeys,
    client_side: Side,
    server_side: Side,
    /// Bytes of the token in the client's last Initial packet.
    pub(super) token_bytes: u32,
    /// The client hello that waits for its answer.
    pub(super) hello: Requests<()>,
}

/// What one side of a connection has sent in Initial packets.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Side {
    pub(super) crypto: CryptoStream,
    largest: Option<u64>,
}

/// An Initial packet without its protection, and whose it is.
pub(super) struct Found {
    /// Index of the connection.
    pub(super) connection: usize,
    pub(super) sender: Sender,
    pub(super) packet: Opened,
}

/// Who sent a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sender {
    Client,
    Server,
}

/// Why an Initial packet could not be read.
pub(super) enum Unreadable {
    /// It is of a connection that others were read of.
    Known,
    /// It is of none that is known.
    Stranger,
}

impl Flow {
    /// Removes the protection of an Initial packet.
    pub(super) fn open(
        &mut self,
        header: &Header<'_>,
        version: &Version,
        protected: &Protected<'_>,
        from_responder: bool,
    ) -> Result<Found, Unreadable> {
        let known = self.find(header, from_responder);
        if let Some((index, sender)) = known
            && let Some(connection) = self.connections.get_mut(index)
            && !connection.is_begun_again_by(header, sender)
        {
            if let Some(packet) = connection.open(header, version, protected, sender) {
                self.failures = 0;
                return Ok(Found { connection: index, sender, packet });
            }
            if sender == Sender::Server || connection.owns(header.destination) {
                return Err(Unreadable::Known);
            }
        }
        self.begin(header, version, protected, from_responder).ok_or(Unreadable::Stranger)
    }

    /// The connection of a packet by its identifiers, the latest of several.
    pub(super) fn find(&self, header: &Header<'_>, from_responder: bool) -> Option<(usize, Sender)> {
        let sender = |connection: &Connection| {
            let is_clients = connection.client_is_responder == from_responder;
            let (own, sender) = match is_clients {
                true => (header.source, Sender::Client),
                false => (header.destination, Sender::Server),
            };
            (connection.client.as_slice() == own).then_some(sender)
        };
        self.connections
            .iter()
            .enumerate()
            .rev()
            .find_map(|(index, connection)| sender(connection).map(|sender| (index, sender)))
    }

    pub(super) fn connection(&self, index: usize) -> Option<&Connection> {
        self.connections.get(index)
    }

    pub(super) fn connection_mut(&mut self, index: usize) -> Option<&mut Connection> {
        self.connections.get_mut(index)
    }

    /// Begins a connection with what may be its client's first packet.
    fn begin(
        &mut self,
        header: &Header<'_>,
        version: &Version,
        protected: &Protected<'_>,
        from_responder: bool,
    ) -> Option<Found> {
        if self.failures >= FAILURES_MAX {
            return None;
        }
        let opened = InitialSecret::candidates(version, header.destination).find_map(|secret| {
            let client = secret.client()?;
            let packet = client.open(protected.packet.message(), protected.number_at, None)?;
            Some((InitialKeys { client, server: secret.server()? }, packet))
        });
        let Some((keys, packet)) = opened else {
            self.failures += 1;
            return None;
        };
        self.failures = 0;
        let key_source = ConnectionId::new(header.destination)?;
        let client = ConnectionId::new(header.source)?;
        let earlier = self.connections.iter().position(|connection| {
            let same_client = connection.client == client;
            same_client && (connection.retry == Some(key_source) || connection.key_source == key_source)
        });
        let original = earlier.map_or(key_source, |index| self.connections.remove(index).original);
        if self.connections.len() >= CONNECTIONS_MAX {
            self.connections.remove(0);
        }
        self.connections.push(Connection {
            version: header.version,
            client_is_responder: from_responder,
            original,
            key_source,
            client,
            server: None,
            retry: None,
            keys,
            client_side: Side { largest: Some(packet.number), ..Side::default() },
            server_side: Side::default(),
            token_bytes: 0,
            hello: Requests::default(),
        });
        Some(Found { connection: self.connections.len() - 1, sender: Sender::Client, packet })
    }

    /// Bytes of the connections, and of messages that wait for the rest of them.
    pub(super) fn held_bytes(&self) -> usize {
        self.connections.len() * size_of::<Connection>() + self.waiting_bytes()
    }

    /// How many more bytes may wait.
    pub(super) fn room(&self) -> usize {
        crypto::HELD_MAX.saturating_sub(self.waiting_bytes())
    }

    fn waiting_bytes(&self) -> usize {
        let sides = self.connections.iter().flat_map(|connection| [&connection.client_side, &connection.server_side]);
        sides.map(|side| side.crypto.held_bytes()).sum()
    }
}

impl Connection {
    /// What a side sends.
    pub(super) fn side_mut(&mut self, sender: Sender) -> &mut Side {
        match sender {
            Sender::Client => &mut self.client_side,
            Sender::Server => &mut self.server_side,
        }
    }

    /// Takes note of a Retry packet.
    pub(super) fn retry(&mut self, header: &Header<'_>) {
        self.retry = ConnectionId::new(header.source);
    }

    /// Destination that a Retry packet's tag covers.
    pub(super) fn key_source(&self) -> &[u8] {
        self.key_source.as_slice()
    }

    /// Whether the client begins again with other keys: after a Retry, or in another version after Version Negotiation.
    fn is_begun_again_by(&self, header: &Header<'_>, sender: Sender) -> bool {
        let is_retried = self.retry.is_some_and(|retry| retry.as_slice() == header.destination);
        let is_renegotiated = self.server.is_none() && header.version != self.version;
        sender == Sender::Client && (is_retried || is_renegotiated)
    }

    /// Whether the client sends to that destination, and with no other keys.
    fn owns(&self, destination: &[u8]) -> bool {
        self.key_source.as_slice() == destination || self.server.is_some_and(|server| server.as_slice() == destination)
    }

    fn open(
        &mut self,
        header: &Header<'_>,
        version: &Version,
        protected: &Protected<'_>,
        sender: Sender,
    ) -> Option<Opened> {
        let largest = self.side_mut(sender).largest;
        let bytes = protected.packet.message();
        let open = |keys: &InitialKeys| side_keys(keys, sender).open(bytes, protected.number_at, largest);
        let packet = if header.version == self.version {
            open(&self.keys)?
        } else {
            // The server may answer in another version that the client offered (RFC 9368 §4).
            let candidates = InitialSecret::candidates(version, self.key_source.as_slice());
            let mut keys = candidates.filter_map(|secret| secret.keys());
            let (keys, packet) = keys.find_map(|keys| open(&keys).map(|packet| (keys, packet)))?;
            self.keys = keys;
            self.version = header.version;
            packet
        };
        let side = self.side_mut(sender);
        side.largest = side.largest.max(Some(packet.number));
        if sender == Sender::Server {
            self.server = ConnectionId::new(header.source);
        }
        Some(packet)
    }
}

fn side_keys(keys: &InitialKeys, sender: Sender) -> &PacketKeys {
    match sender {
        Sender::Client => &keys.client,
        Sender::Server => &keys.server,
    }
}
