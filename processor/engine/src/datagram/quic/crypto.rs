//! The TLS messages in CRYPTO frames, put together: frames come in any order, more than once, and overlap.

use serde::{Deserialize, Serialize};
use weir_contract::WeirdReason;

use crate::limits::LIST_MAX;

/// Bytes that may wait for those before them, in all messages of a flow together.
pub(super) const HELD_MAX: usize = 16 << 10;

/// Hellos of one side: there is a second one where the server asks for it (RFC 8446 §4.1.4).
const MESSAGES_MAX: u8 = 2;

/// What one piece costs beside its bytes.
const PIECE_BYTES: usize = size_of::<Piece>();

/// What one side says in its CRYPTO frames.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct CryptoStream {
    /// Bytes of the messages that were taken already.
    taken: u64,
    /// What waits, in its order, with gaps between all pieces.
    pieces: Vec<Piece>,
    /// When the first of the pieces came, ns.
    began_ns: i64,
    /// Messages that were taken.
    messages: u8,
    /// There is nothing more to read: what came was no message.
    is_over: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct Piece {
    offset: u64,
    bytes: Vec<u8>,
}

/// Whether frames that overlap say the same.
#[derive(PartialEq)]
enum Overlap {
    Agrees,
    Differs,
}

/// A handshake message of TLS (RFC 8446 §4).
pub(super) struct Message {
    pub(super) kind: u8,
    /// With its header of four bytes.
    bytes: Vec<u8>,
    /// When its first piece came, ns.
    pub(super) began_ns: i64,
}

impl Message {
    /// What is behind the header.
    pub(super) fn body(&self) -> &[u8] {
        self.bytes.get(4..).unwrap_or_default()
    }
}

impl Piece {
    fn end(&self) -> u64 {
        self.offset.saturating_add(self.bytes.len() as u64)
    }
}

/// Why something was left out, for a Weird.
pub(super) type Complaint = (WeirdReason, &'static str);

impl CryptoStream {
    /// Adds the bytes of a frame, of which up to `room` may be kept. Of bytes that differ the first ones count.
    pub(super) fn add(&mut self, ts_ns: i64, offset: u64, bytes: &[u8], room: usize) -> Result<(), Complaint> {
        if self.is_over {
            return Ok(());
        }
        if self.pieces.is_empty() {
            self.began_ns = ts_ns;
        }
        let filled = self.fill_gaps(offset, bytes, room);
        self.pieces.dedup_by(|piece, before| {
            let follows = before.end() == piece.offset;
            if follows {
                before.bytes.append(&mut piece.bytes);
            }
            follows
        });
        if filled? == Overlap::Differs {
            return Err((WeirdReason::OverlapConflict, "CRYPTO frames with different bytes for the same offset"));
        }
        Ok(())
    }

    /// Keeps what is not known yet.
    fn fill_gaps(&mut self, mut offset: u64, mut bytes: &[u8], mut room: usize) -> Result<Overlap, Complaint> {
        let mut overlap = Overlap::Agrees;
        let taken = self.taken.saturating_sub(offset);
        advance(&mut offset, &mut bytes, taken);
        let mut at = self.pieces.partition_point(|piece| piece.end() <= offset);
        while !bytes.is_empty() {
            match self.pieces.get(at) {
                Some(piece) if piece.offset <= offset => {
                    let known = tail(&piece.bytes, offset - piece.offset);
                    if known.iter().zip(bytes).any(|(known, new)| known != new) {
                        overlap = Overlap::Differs;
                    }
                    advance(&mut offset, &mut bytes, known.len() as u64);
                }
                next => {
                    let gap = next.map_or(u64::MAX, |piece| piece.offset - offset);
                    let new = usize::try_from(gap).ok().and_then(|gap| bytes.get(..gap)).unwrap_or(bytes);
                    self.keep(at, offset, new, &mut room)?;
                    advance(&mut offset, &mut bytes, gap);
                }
            }
            at += 1;
        }
        Ok(overlap)
    }

    fn keep(&mut self, at: usize, offset: u64, bytes: &[u8], room: &mut usize) -> Result<(), Complaint> {
        let Some(left) = room.checked_sub(bytes.len() + PIECE_BYTES) else {
            return Err((WeirdReason::Limit, "more than 16 KiB of CRYPTO frames wait for others"));
        };
        if self.pieces.len() >= LIST_MAX {
            return Err((WeirdReason::Limit, "CRYPTO frames with more than 100 gaps"));
        }
        *room = left;
        self.pieces.insert(at, Piece { offset, bytes: bytes.to_vec() });
        Ok(())
    }

    /// The next message that is whole.
    pub(super) fn take_message(&mut self, ts_ns: i64) -> Result<Option<Message>, Complaint> {
        let first = self.pieces.first_mut().filter(|piece| piece.offset == self.taken);
        let Some(first) = first else { return Ok(None) };
        let [kind, high, middle, low, ..] = *first.bytes else { return Ok(None) };
        let length = 4 + (usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low));
        if self.messages == MESSAGES_MAX {
            self.give_up();
            return Err((WeirdReason::Unexpected, "third handshake message in Initial packets"));
        }
        if length > HELD_MAX {
            self.give_up();
            return Err((WeirdReason::Limit, "handshake message of more than 16 KiB"));
        }
        if first.bytes.len() < length {
            return Ok(None);
        }
        let rest = first.bytes.split_off(length);
        let bytes = std::mem::replace(&mut first.bytes, rest);
        first.offset += length as u64;
        self.taken = first.offset;
        self.messages += 1;
        if first.bytes.is_empty() {
            self.pieces.remove(0);
        }
        let began_ns = std::mem::replace(&mut self.began_ns, ts_ns);
        Ok(Some(Message { kind, bytes, began_ns }))
    }

    /// Reads nothing more.
    pub(super) fn give_up(&mut self) {
        self.pieces = Vec::new();
        self.is_over = true;
    }

    /// Bytes that wait, and what it takes to keep them.
    pub(super) fn held_bytes(&self) -> usize {
        self.pieces.iter().map(|piece| piece.bytes.len() + PIECE_BYTES).sum()
    }
}

/// Goes past the first `count` bytes.
fn advance(offset: &mut u64, bytes: &mut &[u8], count: u64) {
    let count = count.min(bytes.len() as u64);
    *offset += count;
    *bytes = tail(bytes, count);
}

fn tail(bytes: &[u8], from: u64) -> &[u8] {
    usize::try_from(from).ok().and_then(|from| bytes.get(from..)).unwrap_or_default()
}
