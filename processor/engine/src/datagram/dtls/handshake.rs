//! Handshake messages out of fragments that come in any order, and again (RFC 6347 §4.2).

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use weir_contract::WeirdReason;

use crate::{
    cursor::{Cursor, Malformed},
    output::Output,
    tls::{Place, Session, Transport, Wrapping, message},
};

/// Messages of a side that wait for fragments; the oldest is given up for one more.
const WAITING_MAX: usize = 4;

/// Fragments of one message that are kept.
const FRAGMENTS_MAX: usize = 64;

/// One side's messages.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Handshake {
    waiting: SmallVec<[Waiting; 1]>,
    /// Those of the first 64 messages that were read, as bits: they may come again.
    read: u64,
    /// Random of the last ClientHello, which tells one that comes again from a new association's.
    client_random: Vec<u8>,
}

/// A message that is not whole.
#[derive(Debug, Serialize, Deserialize)]
struct Waiting {
    header: Header,
    /// Time of the packet in which it began, ns.
    began_ns: i64,
    /// Offsets and bytes, in the order of the offsets.
    fragments: Vec<(u32, Vec<u8>)>,
}

/// What all fragments of a message share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Header {
    kind: u8,
    length: u32,
    number: u16,
}

impl Handshake {
    /// Takes the next fragment of a record. Whether it is a ClientHello that begins a new association.
    pub(super) fn fragment(
        &mut self,
        content: &mut Cursor<'_>,
        record_version: u16,
        session: &mut Session,
        place: Place,
        out: &mut Output,
    ) -> Result<bool, Malformed> {
        let kind = content.u8()?;
        let length = content.u24()?;
        let number = content.u16()?;
        let offset = content.u24()?;
        let bytes = content.u24()?;
        let fragment = content.message_of(usize::try_from(bytes).unwrap_or(usize::MAX))?;
        if !message::is_known(kind) {
            return Err(fragment.malformed(WeirdReason::BadValue, "handshake message of an unknown type"));
        }
        if offset.saturating_add(bytes) > length {
            return Err(fragment.malformed(WeirdReason::BadLength, "fragment beyond the end of its message"));
        }
        let header = Header { kind, length, number };
        if self.was_read(number) && kind != message::CLIENT_HELLO {
            return Ok(false);
        }
        let mut wrapping = Wrapping {
            transport: Transport::Dtls,
            record_version: Some(record_version),
            handshake_bytes: length,
            began_ns: place.ts_ns,
        };
        let kept = message::kept_bytes(kind, length);
        if offset == 0 && bytes >= kept {
            let body = { fragment }.message_up_to(usize::try_from(kept).unwrap_or(usize::MAX));
            return Ok(self.take(header, body, &wrapping, session, place, out));
        }
        let Some((began_ns, body)) = self.gather(header, offset, fragment, place, out) else { return Ok(false) };
        wrapping.began_ns = began_ns;
        Ok(self.take(header, Cursor::new(&body), &wrapping, session, place, out))
    }

    /// Adds a fragment to those of its message, which is given when it is whole.
    fn gather(
        &mut self,
        header: Header,
        offset: u32,
        fragment: Cursor<'_>,
        place: Place,
        out: &mut Output,
    ) -> Option<(i64, Vec<u8>)> {
        let at = self.waiting.iter().position(|waiting| waiting.header == header).unwrap_or_else(|| {
            if self.waiting.len() >= WAITING_MAX {
                self.waiting.remove(0);
                out.note(fragment.malformed(WeirdReason::Limit, "more than 4 messages in fragments at once"));
            }
            self.waiting.push(Waiting { header, began_ns: place.ts_ns, fragments: Vec::new() });
            self.waiting.len() - 1
        });
        let waiting = self.waiting.get_mut(at)?;
        if waiting.fragments.len() >= FRAGMENTS_MAX {
            out.note(fragment.malformed(WeirdReason::Limit, "message in more than 64 fragments"));
            self.waiting.remove(at);
            return None;
        }
        waiting.add(offset, fragment.message());
        let body = waiting.whole()?;
        Some((self.waiting.remove(at).began_ns, body))
    }

    fn was_read(&self, number: u16) -> bool {
        number < 64 && self.read >> number & 1 != 0
    }

    /// Reads a message. Whether it is a ClientHello that begins a new association.
    fn take(
        &mut self,
        header: Header,
        body: Cursor<'_>,
        wrapping: &Wrapping,
        session: &mut Session,
        place: Place,
        out: &mut Output,
    ) -> bool {
        let mut restarted = false;
        if header.kind == message::CLIENT_HELLO {
            const RANDOM: std::ops::Range<usize> = 2..34;
            let random = body.peek().get(RANDOM).unwrap_or_default();
            if self.was_read(header.number) {
                if random == self.client_random {
                    return false;
                }
                session.write(Transport::Dtls, out);
                *session = Session::default();
                *self = Self::default();
                restarted = true;
            }
            self.client_random = random.to_vec();
        }
        if header.number < 64 {
            self.read |= 1 << header.number;
        }
        if body.remaining_u32() < header.length && message::is_read_whole(header.kind) {
            out.note(body.malformed(WeirdReason::Limit, "handshake message of more than 64 KiB"));
        }
        if let Err(malformed) = session.message(header.kind, body, wrapping, place, out) {
            out.note(malformed);
        }
        restarted
    }

    /// Bytes on the heap, about.
    pub(super) fn held_bytes(&self) -> usize {
        let fragments = self.waiting.iter().flat_map(|waiting| &waiting.fragments);
        let of_fragments: usize = fragments.map(|(_, bytes)| bytes.len() + size_of::<(u32, Vec<u8>)>()).sum();
        of_fragments + self.client_random.len() + self.waiting.len().saturating_sub(1) * size_of::<Waiting>()
    }
}

impl Waiting {
    /// Of two fragments with the same beginning the longer one is kept.
    fn add(&mut self, offset: u32, bytes: &[u8]) {
        let kept = message::kept_bytes(self.header.kind, self.header.length);
        let room = usize::try_from(kept.saturating_sub(offset)).unwrap_or(usize::MAX);
        let bytes = bytes.get(..room).unwrap_or(bytes);
        match self.fragments.binary_search_by_key(&offset, |&(offset, _)| offset) {
            Ok(at) => {
                if let Some((_, known)) = self.fragments.get_mut(at).filter(|(_, known)| known.len() < bytes.len()) {
                    *known = bytes.to_vec();
                }
            }
            Err(at) => self.fragments.insert(at, (offset, bytes.to_vec())),
        }
    }

    /// The body as far as it is kept, once no byte of it is missing. Where fragments overlap the first ones win.
    fn whole(&self) -> Option<Vec<u8>> {
        let kept = usize::try_from(message::kept_bytes(self.header.kind, self.header.length)).ok()?;
        let mut end = 0;
        for (offset, bytes) in &self.fragments {
            let offset = usize::try_from(*offset).ok()?;
            if offset > end {
                return None;
            }
            end = end.max(offset + bytes.len());
        }
        if end < kept {
            return None;
        }
        let mut body: Vec<u8> = Vec::new();
        for (offset, bytes) in &self.fragments {
            let known = body.len().checked_sub(usize::try_from(*offset).ok()?)?;
            body.extend_from_slice(bytes.get(known..).unwrap_or_default());
        }
        Some(body)
    }
}
