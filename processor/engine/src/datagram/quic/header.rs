//! Long headers (RFC 8999 §5.1, RFC 9000 §17.2), and where the packets of a datagram end.

use serde::{Deserialize, Serialize};
use weir_contract::WeirdReason;

use super::{
    frames::length,
    keys::TAG_BYTES,
    version::{NEGOTIATION, PacketType, Version, is_reserved},
};
use crate::cursor::{Cursor, Malformed};

const LONG: u8 = 0x80;

/// Set in all packets but those of Version Negotiation, and of those who agreed to leave it to chance (RFC 9287).
const FIXED: u8 = 0x40;

/// What all versions have in common.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header<'a> {
    pub(super) first: u8,
    pub(super) version: u32,
    pub(super) destination: &'a [u8],
    pub(super) source: &'a [u8],
}

/// A connection identifier of a version that is known: up to 20 bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ConnectionId {
    length: u8,
    bytes: [u8; 20],
}

impl ConnectionId {
    /// `None` of more than 20 bytes.
    pub(super) fn new(id: &[u8]) -> Option<Self> {
        let mut bytes = [0; 20];
        bytes.get_mut(..id.len())?.copy_from_slice(id);
        Some(Self { length: u8::try_from(id.len()).ok()?, bytes })
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or_default()
    }
}

/// What follows the common header. It ends with the datagram where nothing says otherwise.
pub(super) enum Rest<'a> {
    /// Versions that the server offers.
    Negotiation(Cursor<'a>),
    Retry {
        token_bytes: usize,
    },
    Initial {
        token_bytes: usize,
        protected: Protected<'a>,
    },
    ZeroRtt(Protected<'a>),
    Handshake(Protected<'a>),
    /// Of a version that is not known.
    Unknown,
}

/// A packet whose payload is protected.
pub(super) struct Protected<'a> {
    /// From its first byte on.
    pub(super) packet: Cursor<'a>,
    /// Where in it the packet number begins.
    pub(super) number_at: usize,
    /// It is shorter than it says.
    pub(super) is_cut: bool,
}

impl Protected<'_> {
    /// Whether there is as much of it as any packet has: number, a byte of payload and its tag.
    pub(super) fn is_plausible(&self) -> bool {
        !self.is_cut && self.packet.remaining() >= self.number_at + 4 + TAG_BYTES
    }
}

/// Whether a packet has a long header. Without the fixed bit only a version that is known tells it from RTP on the same
/// ports (RFC 9443).
pub(super) fn is_long(bytes: &[u8]) -> bool {
    let [first, a, b, c, d, ..] = *bytes else { return false };
    let version = u32::from_be_bytes([a, b, c, d]);
    let is_spoken = || version == NEGOTIATION || Version::of(version).is_some() && !is_reserved(version);
    first & LONG != 0 && (first & FIXED != 0 || is_spoken())
}

/// Reads the header that all versions share.
pub(super) fn read<'a>(input: &mut Cursor<'a>) -> Result<Header<'a>, Malformed> {
    let first = input.u8()?;
    let version = input.u32()?;
    let destination = read_id(input)?;
    let source = read_id(input)?;
    Ok(Header { first, version, destination, source })
}

fn read_id<'a>(input: &mut Cursor<'a>) -> Result<&'a [u8], Malformed> {
    let length = input.u8()?;
    input.take(length.into())
}

impl Header<'_> {
    /// Whether the bit is set that tells QUIC from other protocols.
    pub(super) fn has_fixed_bit(&self) -> bool {
        self.first & FIXED != 0
    }

    /// Reads what follows: all of the packet, which began where `start` stands.
    pub(super) fn read_rest<'a>(&self, start: Cursor<'a>, input: &mut Cursor<'a>) -> Result<Rest<'a>, Malformed> {
        if self.version == NEGOTIATION {
            return Ok(Rest::Negotiation(input.rest()));
        }
        let Some(version) = Version::of(self.version) else {
            input.rest();
            return Ok(Rest::Unknown);
        };
        if ConnectionId::new(self.destination).is_none() || ConnectionId::new(self.source).is_none() {
            return Err(start.malformed(WeirdReason::BadLength, "connection identifier of more than 20 bytes"));
        }
        match version.packet_type(self.first) {
            PacketType::Retry if version.retry.is_none() => {
                // Drafts before 25: the client's destination in place of a tag.
                read_id(input)?;
                Ok(Rest::Retry { token_bytes: input.rest().remaining() })
            }
            PacketType::Retry => {
                let token_bytes = input.rest().remaining().saturating_sub(TAG_BYTES);
                Ok(Rest::Retry { token_bytes })
            }
            PacketType::Initial => {
                let token_bytes = length(input)?;
                input.skip(token_bytes)?;
                Ok(Rest::Initial { token_bytes, protected: read_protected(start, input)? })
            }
            PacketType::ZeroRtt => Ok(Rest::ZeroRtt(read_protected(start, input)?)),
            PacketType::Handshake => Ok(Rest::Handshake(read_protected(start, input)?)),
        }
    }
}

/// Length, packet number and payload.
fn read_protected<'a>(mut start: Cursor<'a>, input: &mut Cursor<'a>) -> Result<Protected<'a>, Malformed> {
    let length = length(input)?;
    let number_at = input.position() - start.position();
    let is_cut = input.message_up_to(length).remaining() < length;
    let packet = start.message_up_to(number_at.saturating_add(length));
    Ok(Protected { packet, number_at, is_cut })
}
