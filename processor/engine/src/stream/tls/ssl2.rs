//! The hellos of SSL 2.0 (RFC 6101 appendix E): a ClientHello in that form may be answered by a later version,
//! and what follows is then as usual.

use weir_contract::WeirdReason;

use crate::{
    cursor::{Cursor, Malformed},
    datagram::Probe,
    output::Output,
    tls::{Place, Session, Transport, Wrapping},
};

const HEADER_BYTES: usize = 2;
const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 4;

/// How far a hello was read.
pub(super) enum Read {
    Whole,
    /// SSL 2.0 is what both speak: nothing more is to be read.
    Last,
    /// So many bytes have to be there.
    Needs(usize),
}

/// Whether a direction begins with a hello of SSL 2.0: the lengths of its parts must add up.
pub(super) fn probe(bytes: &[u8]) -> Probe {
    let Some(([high, low], message)) = bytes.split_first_chunk() else { return Probe::Unsure };
    let length = u16::from_be_bytes([high & 0x7f, *low]);
    let sum = |parts: [[u8; 2]; 3]| parts.iter().map(|&part| u32::from(u16::from_be_bytes(part))).sum::<u32>();
    let is_right = match *message {
        [] => return Probe::Unsure,
        [CLIENT_HELLO, 3, 0..=4, a, b, c, d, e, f, ..] | [CLIENT_HELLO, 0, 2, a, b, c, d, e, f, ..] => {
            let suites = u16::from_be_bytes([a, b]);
            suites > 0 && suites % 3 == 0 && u32::from(length) == 9 + sum([[a, b], [c, d], [e, f]])
        }
        [SERVER_HELLO, _, _, 0, 2, a, b, c, d, e, f, ..] => u32::from(length) == 11 + sum([[a, b], [c, d], [e, f]]),
        [CLIENT_HELLO, ..] if message.len() < 9 => return Probe::Unsure,
        [SERVER_HELLO, ..] if message.len() < 11 => return Probe::Unsure,
        _ => false,
    };
    if is_right { Probe::Yes } else { Probe::No }
}

/// Reads the hello at the front of a direction that [`probe`] does not refuse.
pub(super) fn read(
    input: &mut Cursor<'_>,
    session: &mut Session,
    place: Place,
    out: &mut Output,
) -> Result<Read, Malformed> {
    let mut ahead = *input;
    let Ok(header) = ahead.u16() else { return Ok(Read::Needs(HEADER_BYTES)) };
    let length = usize::from(header & 0x7fff);
    let Ok(mut message) = ahead.message_of(length) else { return Ok(Read::Needs(HEADER_BYTES + length)) };
    *input = ahead;
    let wrapping = Wrapping {
        transport: Transport::Tls,
        record_version: None,
        handshake_bytes: u32::try_from(length.saturating_sub(1)).unwrap_or(u32::MAX),
        began_ns: place.ts_ns,
    };
    match message.u8()? {
        CLIENT_HELLO => session.ssl2_client_hello(message, &wrapping, place, out).map(|()| Read::Whole),
        SERVER_HELLO => session.ssl2_server_hello(message, &wrapping, place, out).map(|()| Read::Last),
        _ => Err(message.malformed(WeirdReason::BadValue, "neither hello of SSL 2.0")),
    }
}
