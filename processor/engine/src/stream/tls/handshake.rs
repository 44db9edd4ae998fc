//! Handshake messages out of records: several in one, or one over several (RFC 8446 §5.1).

use serde::{Deserialize, Serialize};
use weir_contract::WeirdReason;

use crate::{
    cursor::{Cursor, Malformed},
    output::Output,
    tls::{Place, Session, Transport, Wrapping, message},
};

const HEADER_BYTES: usize = 4;

/// One side's messages.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Handshake {
    /// Header and body of a message that is not whole, as far as it is kept.
    buffer: Vec<u8>,
    /// Time of the packet in which it began, ns.
    began_ns: i64,
    /// Bytes up to the next message.
    skip: u32,
}

/// Of one message.
#[derive(Debug, Clone, Copy)]
struct Header {
    kind: u8,
    length: u32,
}

impl Header {
    fn read([kind, high, middle, low]: [u8; HEADER_BYTES]) -> Self {
        Self { kind, length: u32::from_be_bytes([0, high, middle, low]) }
    }

    /// Bytes of the body that are kept.
    fn kept(self) -> u32 {
        message::kept_bytes(self.kind, self.length)
    }
}

impl Handshake {
    /// Takes the next bytes of the messages.
    ///
    /// # Errors
    ///
    /// Where they are none: all behind them is then unreadable.
    pub(super) fn push(
        &mut self,
        mut fragment: Cursor<'_>,
        session: &mut Session,
        place: Place,
        record_version: Option<u16>,
        out: &mut Output,
    ) -> Result<(), Malformed> {
        loop {
            let passed = fragment.message_up_to(usize::try_from(self.skip).unwrap_or(usize::MAX));
            self.skip -= passed.remaining_u32();
            if fragment.is_empty() {
                return Ok(());
            }
            if self.buffer.is_empty() {
                self.began_ns = place.ts_ns;
                if let Some((header, body)) = whole_message(&mut fragment) {
                    self.take(header, body, session, place, record_version, out)?;
                    continue;
                }
            }
            let missing = self.wanted() - self.buffer.len();
            self.buffer.extend_from_slice(fragment.message_up_to(missing).message());
            if self.buffer.len() == self.wanted() {
                let message = std::mem::take(&mut self.buffer);
                let mut body = Cursor::new(&message);
                let header = Header::read(body.array()?);
                self.take(header, body.rest(), session, place, record_version, out)?;
            }
        }
    }

    /// Whether a message has begun and is not over.
    pub(super) fn is_within_message(&self) -> bool {
        !self.buffer.is_empty() || self.skip > 0
    }

    /// Passes over bytes that were never captured; what was kept of their message is read. Whether it is known
    /// where the next message begins.
    pub(super) fn lose(
        &mut self,
        length: u64,
        session: &mut Session,
        place: Place,
        record_version: Option<u16>,
        out: &mut Output,
    ) -> bool {
        let header = self.buffer.first_chunk().copied().map(Header::read);
        let kept = u32::try_from(self.buffer.len().saturating_sub(HEADER_BYTES)).unwrap_or(u32::MAX);
        self.flush(session, place, record_version, out);
        if let Some(header) = header {
            self.skip = header.length.saturating_sub(kept);
        }
        match u32::try_from(length).ok().and_then(|length| self.skip.checked_sub(length)) {
            Some(skip) => {
                self.skip = skip;
                true
            }
            None => false,
        }
    }

    /// Reads what is there of a message whose rest will not come.
    pub(super) fn flush(&mut self, session: &mut Session, place: Place, record_version: Option<u16>, out: &mut Output) {
        let message = std::mem::take(&mut self.buffer);
        if message.is_empty() {
            return;
        }
        session.cut();
        let mut body = Cursor::new(&message);
        out.note(body.malformed(WeirdReason::Truncated, "handshake message that does not end"));
        let Ok(header) = body.array().map(Header::read) else { return };
        // That it is cut was said.
        let _: Result<(), Malformed> = self.take(header, body.rest(), session, place, record_version, out);
    }

    pub(super) fn held_bytes(&self) -> usize {
        self.buffer.len()
    }

    /// Bytes to be kept of the message that has begun.
    fn wanted(&self) -> usize {
        let body = self.buffer.first_chunk().map_or(0, |&header| Header::read(header).kept());
        HEADER_BYTES + usize::try_from(body).unwrap_or(usize::MAX)
    }

    /// Reads a message, or the part of it that is kept.
    fn take(
        &mut self,
        header: Header,
        body: Cursor<'_>,
        session: &mut Session,
        place: Place,
        record_version: Option<u16>,
        out: &mut Output,
    ) -> Result<(), Malformed> {
        if !message::is_known(header.kind) {
            return Err(body.malformed(WeirdReason::BadValue, "handshake message of an unknown type"));
        }
        if header.kept() < header.length && message::is_read_whole(header.kind) {
            out.note(body.malformed(WeirdReason::Limit, "handshake message of more than 64 KiB"));
        }
        self.skip = header.length - header.kept();
        let wrapping = Wrapping {
            transport: Transport::Tls,
            record_version,
            handshake_bytes: header.length,
            began_ns: self.began_ns,
        };
        if let Err(malformed) = session.message(header.kind, body, &wrapping, place, out) {
            out.note(malformed);
        }
        Ok(())
    }
}

/// Takes a message from the front of a fragment that holds all that is kept of it.
fn whole_message<'a>(fragment: &mut Cursor<'a>) -> Option<(Header, Cursor<'a>)> {
    let mut ahead = *fragment;
    let header = Header::read(ahead.array().ok()?);
    let body = ahead.message_of(usize::try_from(header.kept()).ok()?).ok()?;
    *fragment = ahead;
    Some((header, body))
}
