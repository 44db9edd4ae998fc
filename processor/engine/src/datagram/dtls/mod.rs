//! DTLS: the record layer of 1.0 and 1.2 (RFC 6347 §4.1) and the readable part of 1.3's (RFC 9147 §4).
//!
//! Everything past epoch 0 is encrypted.

mod handshake;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use weir_contract::WeirdReason;

use self::handshake::Handshake;
use super::{Context, Datagram, Probe};
use crate::{
    cursor::{Cursor, Malformed},
    output::Output,
    tls::{Place, Session, Transport},
};

pub(crate) struct Dtls;

/// One association.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Association {
    originator: Handshake,
    responder: Handshake,
    session: Session,
}

/// Content types (IANA TLS ContentType).
const CHANGE_CIPHER_SPEC: u8 = 20;
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const HEARTBEAT: u8 = 24;
/// Its header holds an identifier whose length only the receiver knows (RFC 9146 §4).
const TLS12_CID: u8 = 25;
const ACK: u8 = 26;

/// Of a record with its epoch and number in full.
struct Header {
    content_type: u8,
    version: u16,
    epoch: u16,
    length: u16,
}

impl Header {
    fn read(input: &mut Cursor<'_>) -> Result<Self, Malformed> {
        const SEQUENCE_NUMBER_BYTES: usize = 6;
        let begin = *input;
        let content_type = input.u8()?;
        let version = input.u16()?;
        let epoch = input.u16()?;
        input.skip(SEQUENCE_NUMBER_BYTES)?;
        let length = input.u16()?;
        if !(CHANGE_CIPHER_SPEC..=ACK).contains(&content_type) {
            return Err(begin.malformed(WeirdReason::BadValue, "record of an unknown type"));
        }
        if !matches!(version, 0xfeff | 0xfefd | 0x0100) {
            return Err(begin.malformed(WeirdReason::BadVersion, "record of an unknown version"));
        }
        Ok(Self { content_type, version, epoch, length })
    }
}

impl Datagram for Dtls {
    const NAME: &'static str = "dtls";
    const PORTS: &'static [u16] = &[5349, 5684, 6514, 10161];
    const WRITES_AT_END: bool = true;
    type State = Box<Association>;

    /// Records must fill the datagram, up to one whose length can't be known.
    fn probe(bytes: &[u8]) -> Probe {
        let mut input = Cursor::new(bytes);
        let mut is_first = true;
        while !input.is_empty() {
            if !is_first && is_unified_header(input.peek()) {
                return Probe::Yes;
            }
            let Ok(header) = Header::read(&mut input) else { return Probe::No };
            let Ok(content) = input.message_of(header.length.into()) else { return Probe::No };
            let is_hello = matches!(content.peek(), [1..=3, 0, _, _, ..]);
            if is_first && header.epoch == 0 && header.content_type == HANDSHAKE && !is_hello {
                return Probe::No;
            }
            is_first = false;
        }
        if is_first { Probe::No } else { Probe::Yes }
    }

    fn held_bytes(association: &Self::State) -> usize {
        let Association { originator, responder, session } = &**association;
        size_of::<Association>() + originator.held_bytes() + responder.held_bytes() + session.held_bytes()
    }

    fn parse(
        mut input: Cursor<'_>,
        context: &mut Context,
        association: &mut Self::State,
        out: &mut Output,
    ) -> Result<(), Malformed> {
        // STUN, TURN and RTP may share the ports (RFC 7983 §7).
        const OWN_FIRST_BYTES: std::ops::RangeInclusive<u8> = 20..=63;
        if !input.peek().first().is_some_and(|first| OWN_FIRST_BYTES.contains(first)) {
            return Ok(());
        }
        let place = Place { from_responder: context.from_responder, ts_ns: context.ts_ns };
        while !input.is_empty() {
            if is_unified_header(input.peek()) || input.peek().first() == Some(&TLS12_CID) {
                association.encrypts(place);
                return Ok(());
            }
            let header = Header::read(&mut input)?;
            let content = input.message_of(header.length.into())?;
            association.record(&header, content, place, out)?;
        }
        Ok(())
    }

    fn finish(association: &mut Self::State, out: &mut Output) {
        association.session.write(Transport::Dtls, out);
    }
}

/// Whether a record has the short header of encrypted records of DTLS 1.3 (RFC 9147 §4).
fn is_unified_header(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(|first| first >> 5 == 1)
}

impl Association {
    fn record(
        &mut self,
        header: &Header,
        content: Cursor<'_>,
        place: Place,
        out: &mut Output,
    ) -> Result<(), Malformed> {
        if header.epoch > 0 {
            self.encrypts(place);
            return Ok(());
        }
        match (header.content_type, content.peek()) {
            (HANDSHAKE, _) => self.handshake(header.version, content, place, out),
            (ALERT, &[level, description]) => self.session.alert(level, description, place),
            (HEARTBEAT, _) => {
                self.session.heartbeat(place);
                Ok(())
            }
            (CHANGE_CIPHER_SPEC | ACK, _) => Ok(()),
            _ => Err(content.malformed(WeirdReason::Unexpected, "record that makes no sense before any key")),
        }
    }

    /// The messages, or fragments of them, in a record.
    fn handshake(
        &mut self,
        version: u16,
        mut content: Cursor<'_>,
        place: Place,
        out: &mut Output,
    ) -> Result<(), Malformed> {
        while !content.is_empty() {
            let side = if place.from_responder { &mut self.responder } else { &mut self.originator };
            let restarted = side.fragment(&mut content, version, &mut self.session, place, out)?;
            if restarted {
                // The messages of both sides are numbered anew; the hello that says so is read already.
                let other = if place.from_responder { &mut self.originator } else { &mut self.responder };
                *other = Handshake::default();
            }
        }
        Ok(())
    }

    fn encrypts(&mut self, place: Place) {
        self.session.encrypts(place);
    }
}
