//! TLS on TCP: the record layer (RFC 8446 §5, RFC 5246 §6.2, RFC 6101 §5.2), up to where both sides encrypt.
//!
//! A direction encrypts from its first record of application data on; or, after a change of cipher, from the
//! first record that holds no hello: TLS 1.3 sends that change between hellos, where it means nothing.

mod handshake;
mod ssl2;
#[cfg(test)]
pub(super) mod tests;

use serde::{Deserialize, Serialize};
use weir_contract::WeirdReason;

use self::handshake::Handshake;
use super::{AfterGap, Direction, Moment, Progress, Stream};
use crate::{
    cursor::{Cursor, Malformed},
    datagram::Probe,
    output::Output,
    tls::{Place, Session, Transport},
};

/// One connection of TLS.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Tls {
    originator: Side,
    responder: Side,
    session: Session,
}

/// What one side has said.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Side {
    /// The record of handshake messages that is being read.
    open: Option<OpenRecord>,
    handshake: Handshake,
    has_begun: bool,
    has_changed_cipher: bool,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct OpenRecord {
    version: u16,
    /// Bytes of it that are still to come.
    left: u16,
}

/// Content types (IANA TLS ContentType).
const CHANGE_CIPHER_SPEC: u8 = 20;
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;
const HEARTBEAT: u8 = 24;

/// Of a heartbeat without its payload: type, length and padding (RFC 6520 §4).
const HEARTBEAT_BYTES: u16 = 3 + 16;

const HEADER_BYTES: usize = 5;

/// Of one fragment, with what encryption may add to it (RFC 5246 §6.2.3).
const LENGTH_MAX: u16 = (1 << 14) + 2048;

/// Header of a handshake message, and the version in a hello.
const HELLO_START_BYTES: usize = 6;

impl Stream for Tls {
    const NAME: &'static str = "tls";
    const PORTS: &'static [u16] = &[443, 465, 563, 636, 853, 989, 990, 992, 993, 994, 995, 5061, 5223, 8443];

    fn probe(_direction: Direction, bytes: &[u8]) -> Probe {
        match bytes {
            [HANDSHAKE, rest @ ..] => probe_handshake(rest),
            // The answer to a hello may be an alert.
            [ALERT] | [ALERT, 3] | [ALERT, 3, 0..=4, ..] => Probe::Unsure,
            [first, ..] if first & 0x80 != 0 => ssl2::probe(bytes),
            _ => Probe::No,
        }
    }

    fn push(&mut self, mut input: Cursor<'_>, moment: &Moment, out: &mut Output) -> Result<Progress, Malformed> {
        let read = self.read(&mut input, moment, out);
        if read.is_err() {
            self.session.cut();
        }
        read
    }

    fn gap(&mut self, length: u64, moment: &Moment, out: &mut Output) -> AfterGap {
        let (side, session) = self.parts(moment.direction);
        let record_version = side.open.map(|open| open.version);
        session.cut();
        let is_inside = side.handshake.lose(length, session, place_of(moment), record_version, out);
        match (&mut side.open, u16::try_from(length)) {
            (Some(open), Ok(length)) if is_inside && open.left >= length => {
                open.left -= length;
                AfterGap::Continue
            }
            _ => AfterGap::Stop,
        }
    }

    fn end(&mut self, moment: &Moment, out: &mut Output) {
        let (side, session) = self.parts(moment.direction);
        let record_version = side.open.map(|open| open.version);
        side.handshake.flush(session, place_of(moment), record_version, out);
    }

    fn finish(&mut self, out: &mut Output) {
        for direction in [Direction::Originator, Direction::Responder] {
            let (side, session) = self.parts(direction);
            let place = Place { from_responder: direction == Direction::Responder, ts_ns: session.last_ns() };
            out.set_scope(out.scope(), place.from_responder);
            side.handshake.flush(session, place, side.open.map(|open| open.version), out);
        }
        out.set_scope(out.scope(), false);
        self.session.write(Transport::Tls, out);
    }

    fn held_bytes(&self) -> usize {
        self.originator.handshake.held_bytes() + self.responder.handshake.held_bytes() + self.session.held_bytes()
    }
}

/// Says Yes to the begin of a hello; and to records so short that it is spread over several.
fn probe_handshake(rest: &[u8]) -> Probe {
    let may_be = |at: usize, allowed: &dyn Fn(u8) -> bool| rest.get(at).is_none_or(|&byte| allowed(byte));
    if !may_be(0, &|major| major == 3) || !may_be(1, &|minor| minor <= 4) {
        return Probe::No;
    }
    let Some(&[high, low]) = rest.get(2..4).and_then(|length| length.first_chunk()) else { return Probe::Unsure };
    let length = u16::from_be_bytes([high, low]);
    let Some(fragment) = rest.get(4..) else { return Probe::Unsure };
    match fragment.first() {
        _ if length == 0 || length > LENGTH_MAX => Probe::No,
        None => Probe::Unsure,
        Some(1 | 2) if usize::from(length) < HELLO_START_BYTES => {
            let next = fragment.get(usize::from(length)..).unwrap_or_default();
            match next {
                [HANDSHAKE, 3, ..] => Probe::Yes,
                [] | [HANDSHAKE] => Probe::Unsure,
                _ => Probe::No,
            }
        }
        Some(1 | 2) if fragment.len() < HELLO_START_BYTES => Probe::Unsure,
        Some(1 | 2) if is_hello(fragment) => Probe::Yes,
        // A server may ask for a hello.
        Some(0) if length == 4 => Probe::Unsure,
        Some(_) => Probe::No,
    }
}

/// Whether a fragment begins with a hello of a known version.
fn is_hello(fragment: &[u8]) -> bool {
    matches!(fragment, [1 | 2, 0 | 1, _, _, 3, 0..=4, ..] | [1 | 2, 0 | 1, _, _, 0x7f, _, ..])
}

impl Tls {
    fn parts(&mut self, direction: Direction) -> (&mut Side, &mut Session) {
        match direction {
            Direction::Originator => (&mut self.originator, &mut self.session),
            Direction::Responder => (&mut self.responder, &mut self.session),
        }
    }

    fn read(&mut self, input: &mut Cursor<'_>, moment: &Moment, out: &mut Output) -> Result<Progress, Malformed> {
        let place = place_of(moment);
        let (side, session) = self.parts(moment.direction);
        loop {
            if let Some(open) = &mut side.open {
                let fragment = input.message_up_to(open.left.into());
                open.left = open.left.saturating_sub(u16::try_from(fragment.remaining()).unwrap_or(u16::MAX));
                side.handshake.push(fragment, session, place, Some(open.version), out)?;
                if open.left > 0 {
                    return Ok(Progress::More { consumed: input.position(), need: 1 });
                }
                side.open = None;
            }
            if !side.has_begun && input.peek().first().is_some_and(|first| first & 0x80 != 0) {
                match ssl2::read(input, session, place, out)? {
                    ssl2::Read::Whole => side.has_begun = true,
                    ssl2::Read::Last => return Ok(Progress::Stop),
                    ssl2::Read::Needs(need) => return Ok(Progress::More { consumed: input.position(), need }),
                }
            }
            match side.begin_record(input, session, place, out)? {
                Begun::Taken => {}
                Begun::Needs(need) => return Ok(Progress::More { consumed: input.position(), need }),
                Begun::Passed(_) if session.is_established() => return Ok(Progress::Stop),
                Begun::Passed(length) => {
                    return Ok(Progress::Skip { consumed: input.position(), length: length.into() });
                }
            }
        }
    }
}

/// What became of a record's header.
enum Begun {
    /// Its messages are to be read, or it is read.
    Taken,
    /// The next so many bytes are nothing to read.
    Passed(u16),
    /// So many bytes have to be there to tell.
    Needs(usize),
}

impl Side {
    fn begin_record(
        &mut self,
        input: &mut Cursor<'_>,
        session: &mut Session,
        place: Place,
        out: &mut Output,
    ) -> Result<Begun, Malformed> {
        let mut ahead = *input;
        let Ok([content_type, major, minor, high, low]) = ahead.array::<HEADER_BYTES>() else {
            return Ok(Begun::Needs(HEADER_BYTES));
        };
        let length = u16::from_be_bytes([high, low]);
        if major != 3 || minor > 4 {
            return Err(input.malformed(WeirdReason::BadVersion, "record of an unknown version"));
        }
        if length > LENGTH_MAX {
            return Err(input.malformed(WeirdReason::BadLength, "record of more than 2^14 + 2048 bytes"));
        }
        // What has to be seen of the content to tell what it is.
        let start_bytes = match content_type {
            CHANGE_CIPHER_SPEC | ALERT => usize::from(length).min(2),
            HANDSHAKE if self.has_changed_cipher => usize::from(length).min(HELLO_START_BYTES),
            HEARTBEAT => usize::from(length).min(3),
            _ => 0,
        };
        if ahead.remaining() < start_bytes {
            return Ok(Begun::Needs(HEADER_BYTES + start_bytes));
        }
        self.has_begun = true;
        *input = ahead;
        let start = input.peek().get(..start_bytes).unwrap_or_default();
        match (content_type, start) {
            (CHANGE_CIPHER_SPEC, _) => {
                if length != 1 {
                    out.note(input.malformed(WeirdReason::BadLength, "change of cipher of other than 1 byte"));
                }
                self.has_changed_cipher = true;
                Ok(Begun::Passed(length))
            }
            (ALERT, &[level, description]) if length == 2 => {
                if !matches!(level, 1 | 2) {
                    out.note(input.malformed(WeirdReason::BadValue, "alert of an unknown level"));
                }
                if let Err(limit) = session.alert(level, description, place) {
                    out.note(limit);
                }
                Ok(Begun::Passed(length))
            }
            (HANDSHAKE, start) if self.is_readable(start) => {
                self.open = Some(OpenRecord { version: u16::from_be_bytes([major, minor]), left: length });
                Ok(Begun::Taken)
            }
            (HEARTBEAT, &[_, payload_high, payload_low]) if !self.has_changed_cipher => {
                session.heartbeat(place);
                let payload = u16::from_be_bytes([payload_high, payload_low]);
                if payload.saturating_add(HEARTBEAT_BYTES) > length {
                    let detail = "heartbeat that claims more bytes than it has (CVE-2014-0160)";
                    out.note(input.malformed(WeirdReason::BadLength, detail));
                }
                Ok(Begun::Passed(length))
            }
            (ALERT..=HEARTBEAT, _) => {
                if content_type != APPLICATION_DATA && !self.has_changed_cipher {
                    let detail = "record that makes no sense before the change of cipher";
                    out.note(input.malformed(WeirdReason::Unexpected, detail));
                }
                session.encrypts(place);
                Ok(Begun::Passed(length))
            }
            _ => Err(input.malformed(WeirdReason::BadValue, "record of an unknown type")),
        }
    }

    /// Whether a record of handshake messages that starts so is not encrypted.
    fn is_readable(&self, start: &[u8]) -> bool {
        !self.has_changed_cipher || self.handshake.is_within_message() || is_hello(start)
    }
}

fn place_of(moment: &Moment) -> Place {
    Place { from_responder: moment.direction == Direction::Responder, ts_ns: moment.ts_ns }
}
