//! One direction of a TCP connection, put in order (RFC 9293 §3.4).
//!
//! Bytes in order pass through without a copy. What came before its turn waits, bounded; a hole in front of it
//! is given up once the peer has acknowledged past it, once too much waits, or at the end. Where segments
//! overlap the first one wins, and a later one that says something else is told.

use serde::{Deserialize, Serialize};

/// Runs of bytes that wait behind holes; with more, the first hole is given up.
const PIECES_MAX: usize = 192;

/// Runs that touch become one up to this length: so short segments make few of them, and those of full length, of
/// which there are most, stay where they were put.
const PIECE_BYTES_MAX: usize = 2 << 10;

/// Bytes that wait behind holes; with more, the first hole is given up.
const WAITING_BYTES_MAX: usize = 256 << 10;

/// What a waiting run costs beside its bytes.
const PIECE_BYTES: usize = 64;

/// Delivered bytes that are kept until the peer has acknowledged them, to compare retransmissions with.
const RECENT_BYTES_MAX: usize = 4 << 10;

/// Segments further from what is expected than any window allows (RFC 7323 §2.3) are no part of the stream.
const DISTANCE_MAX: u32 = 1 << 30;

/// A segment, as far as streams are concerned.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Segment<'a> {
    /// Sequence number of the first payload byte: the one behind a SYN's own.
    pub(crate) sequence: u32,
    /// Payload, as far as it was captured.
    pub(crate) payload: &'a [u8],
    /// Length of the payload as sent.
    pub(crate) length: u32,
    pub(crate) fin: bool,
    pub(crate) rst: bool,
    /// What the sender has of the other direction.
    pub(crate) acknowledgement: Option<u32>,
}

/// What a segment made of its direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Taken<'a> {
    /// Bytes whose turn it is. What waited behind them is to be had by [`Reassembly::pop`].
    pub(crate) ready: &'a [u8],
    /// It contradicts bytes that came before.
    pub(crate) conflict: bool,
    /// It has bytes behind the end that a FIN announced.
    pub(crate) behind_end: bool,
}

/// What comes next in a direction.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Bytes that had waited.
    Bytes(Vec<u8>),
    /// So many bytes were never captured.
    Gap(u64),
}

/// The state of one direction.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reassembly {
    /// Sequence number of the first byte that was not delivered; `None` before the first segment.
    next_sequence: Option<u32>,
    /// Offset of that byte in the stream.
    next: u64,
    /// The peer has all bytes before this offset.
    acknowledged: u64,
    /// Offset at which a FIN said the stream ends.
    end: Option<u64>,
    /// Bytes whose turn has not come: ascending, not overlapping.
    waiting: Vec<Piece>,
    /// The last bytes that were delivered, as far as the peer has not acknowledged them.
    recent: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Piece {
    offset: u64,
    bytes: Vec<u8>,
}

impl Piece {
    fn end(&self) -> u64 {
        self.offset + self.bytes.len() as u64
    }
}

impl Reassembly {
    /// Begins the stream at a sequence number, if it has not begun.
    pub(crate) fn begin(&mut self, sequence: u32) {
        self.next_sequence.get_or_insert(sequence);
    }

    /// Whether the parts of a saved state agree, so that no sum of theirs overflows.
    pub(crate) fn is_sound(&self) -> bool {
        const FAR: u64 = 1 << 62;
        let near = [self.next, self.acknowledged, self.end.unwrap_or_default()].into_iter().all(|at| at < FAR);
        let mut from = self.next;
        let in_order = self.waiting.iter().all(|piece| {
            let is_next = from <= piece.offset && piece.offset < FAR && !piece.bytes.is_empty();
            from = piece.offset.saturating_add(piece.bytes.len() as u64);
            is_next
        });
        near && in_order
    }

    /// Whether everything up to the FIN was delivered.
    pub(crate) fn is_over(&self) -> bool {
        self.end.is_some_and(|end| end <= self.next)
    }

    /// Bytes it holds, about.
    pub(crate) fn held_bytes(&self) -> usize {
        self.waiting_bytes() + self.waiting.len() * PIECE_BYTES + self.recent.len()
    }

    fn waiting_bytes(&self) -> usize {
        self.waiting.iter().map(|piece| piece.bytes.len()).sum()
    }

    /// Takes the payload that begins at a sequence number.
    pub(crate) fn take<'a>(&mut self, sequence: u32, payload: &'a [u8]) -> Taken<'a> {
        let nothing = Taken::default();
        let Some(distance) = self.distance(sequence) else { return nothing };
        let is_keep_alive = distance == -1 && payload.len() <= 1;
        if is_keep_alive {
            return nothing;
        }
        let (old, new) = split(payload, usize::try_from(-distance).unwrap_or_default());
        let conflict = self.contradicts_recent(usize::try_from(-distance).unwrap_or_default(), old);
        let ahead = u64::try_from(distance).unwrap_or_default();
        let (new, behind) = match self.end {
            None => (new, Default::default()),
            Some(end) => split(new, usize::try_from(end.saturating_sub(self.next + ahead)).unwrap_or(usize::MAX)),
        };
        let mut taken = Taken { conflict, behind_end: !behind.is_empty(), ..nothing };
        let mut later = (self.next + ahead, new);
        if ahead == 0 {
            let room = self.waiting.first().map_or(u64::MAX, |piece| piece.offset - self.next);
            let (ready, rest) = split(new, usize::try_from(room).unwrap_or(usize::MAX));
            taken.ready = ready;
            self.advance(ready.len() as u64);
            later = (self.next, rest);
        }
        taken.conflict |= self.keep(later.0, later.1);
        taken
    }

    /// Takes note that a FIN stands at a sequence number.
    pub(crate) fn end_at(&mut self, sequence: u32) {
        let Some(distance) = self.distance(sequence).and_then(|distance| u64::try_from(distance).ok()) else { return };
        let end = *self.end.get_or_insert(self.next + distance);
        self.waiting.retain(|piece| piece.offset < end);
        if let Some(last) = self.waiting.last_mut() {
            last.bytes.truncate(usize::try_from(end - last.offset).unwrap_or(usize::MAX));
        }
    }

    /// Takes note that the peer has everything before a sequence number. Holes before it are not given up
    /// while nothing waits behind them: captures of two interfaces may have the answer first.
    pub(crate) fn acknowledge(&mut self, sequence: u32) {
        let Some(distance) = self.distance(sequence) else { return };
        self.acknowledged = self.acknowledged.max(self.next.saturating_add_signed(distance));
        let unacknowledged = usize::try_from(self.next.saturating_sub(self.acknowledged)).unwrap_or(usize::MAX);
        if unacknowledged == 0 {
            self.recent = Vec::new();
        } else if let Some(old) = self.recent.len().checked_sub(unacknowledged) {
            self.recent.drain(..old);
        }
    }

    /// Whether nothing waits for its turn.
    pub(crate) fn is_in_order(&self) -> bool {
        self.waiting.is_empty()
    }

    /// What comes next of all that waits; `None` where a hole is in front of it that may yet be filled. With
    /// `is_last` no hole will be.
    pub(crate) fn pop(&mut self, is_last: bool) -> Option<Next> {
        let first = self.waiting.first()?;
        let hole = first.offset - self.next;
        if hole == 0 {
            let piece = self.waiting.remove(0);
            self.advance(piece.bytes.len() as u64);
            return Some(Next::Bytes(piece.bytes));
        }
        let is_full = self.waiting.len() > PIECES_MAX || self.waiting_bytes() > WAITING_BYTES_MAX;
        if is_last || is_full || self.acknowledged >= first.offset {
            self.recent.clear();
            self.advance(hole);
            return Some(Next::Gap(hole));
        }
        None
    }

    /// Keeps bytes that were delivered, to compare retransmissions with.
    pub(crate) fn remember(&mut self, bytes: &[u8]) {
        if self.acknowledged >= self.next {
            return;
        }
        let (_, bytes) = bytes.split_at(bytes.len().saturating_sub(RECENT_BYTES_MAX));
        let surplus = (self.recent.len() + bytes.len()).saturating_sub(RECENT_BYTES_MAX);
        self.recent.drain(..surplus.min(self.recent.len()));
        self.recent.extend_from_slice(bytes);
    }

    /// Lets go of the bytes that were kept to compare: what was delivered last is not behind them.
    pub(crate) fn forget(&mut self) {
        self.recent.clear();
    }

    /// How far a sequence number is ahead of what is expected; `None` where it is no part of the stream.
    fn distance(&self, sequence: u32) -> Option<i64> {
        let distance = sequence.wrapping_sub(self.next_sequence?).cast_signed();
        (distance.unsigned_abs() <= DISTANCE_MAX).then_some(distance.into())
    }

    fn advance(&mut self, length: u64) {
        self.next += length;
        // Sequence numbers are counted modulo 2³².
        let length = (length & 0xffff_ffff) as u32;
        self.next_sequence = self.next_sequence.map(|next| next.wrapping_add(length));
    }

    /// Whether bytes that begin `back` bytes before what is expected differ from those delivered.
    fn contradicts_recent(&self, back: usize, old: &[u8]) -> bool {
        let skipped = back.saturating_sub(self.recent.len());
        let from = self.recent.len().saturating_sub(back);
        let recent = self.recent.get(from..).unwrap_or_default();
        let old = old.get(skipped..).unwrap_or_default();
        recent.iter().zip(old).any(|(recent, old)| recent != old)
    }

    /// Lets bytes wait that came before their turn, as far as there are none there yet; whether they
    /// contradict those.
    fn keep(&mut self, offset: u64, bytes: &[u8]) -> bool {
        let mut conflict = false;
        let mut rest = (offset, bytes);
        let first = self.waiting.partition_point(|piece| piece.end() < offset);
        let mut at = first;
        while !rest.1.is_empty() {
            let next = self.waiting.get(at + 1).map_or(u64::MAX, |next| next.offset);
            let Some(piece) = self.waiting.get_mut(at) else {
                self.waiting.push(Piece { offset: rest.0, bytes: rest.1.to_vec() });
                break;
            };
            if rest.0 < piece.offset {
                let (before, behind) = split(rest.1, usize::try_from(piece.offset - rest.0).unwrap_or(usize::MAX));
                self.waiting.insert(at, Piece { offset: rest.0, bytes: before.to_vec() });
                rest = (rest.0 + before.len() as u64, behind);
            } else if rest.0 < piece.end() {
                let from = usize::try_from(rest.0 - piece.offset).unwrap_or(usize::MAX);
                let there = piece.bytes.get(from..).unwrap_or_default();
                let (same, behind) = split(rest.1, there.len());
                conflict |= there.get(..same.len()) != Some(same);
                rest = (rest.0 + same.len() as u64, behind);
            } else if rest.0 == piece.end() {
                let (own, behind) = split(rest.1, usize::try_from(next - rest.0).unwrap_or(usize::MAX));
                at += 1;
                if piece.bytes.len() + own.len() <= PIECE_BYTES_MAX {
                    piece.bytes.extend_from_slice(own);
                } else if !own.is_empty() {
                    self.waiting.insert(at, Piece { offset: rest.0, bytes: own.to_vec() });
                    at += 1;
                }
                rest = (rest.0 + own.len() as u64, behind);
                continue;
            }
            if self.waiting.get(at).is_some_and(|piece| piece.end() < rest.0) {
                at += 1;
            }
        }
        self.join(first.saturating_sub(1), at + 1);
        conflict
    }

    /// Joins short runs that touch, of those at some places.
    fn join(&mut self, mut at: usize, mut last: usize) {
        while at < last {
            let Some([left, right]) = self.waiting.get_mut(at..at + 2) else { return };
            if left.end() == right.offset && left.bytes.len() + right.bytes.len() <= PIECE_BYTES_MAX {
                left.bytes.append(&mut right.bytes);
                self.waiting.remove(at + 1);
                last -= 1;
            } else {
                at += 1;
            }
        }
    }

    /// Whether a reset is where one can be: at what is expected, or in the window behind it (RFC 9293 §3.10.7.4).
    pub(crate) fn admits_reset(&self, sequence: u32) -> bool {
        /// The largest window without scaling; with it a reset still stands near what was sent.
        const WINDOW: i64 = 1 << 20;
        self.distance(sequence).is_none_or(|distance| (-1..=WINDOW).contains(&distance))
    }
}

/// The first `length` bytes, or all if there are fewer, and the rest.
fn split(bytes: &[u8], length: usize) -> (&[u8], &[u8]) {
    bytes.split_at(length.min(bytes.len()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn begun_at(sequence: u32) -> Reassembly {
        let mut reassembly = Reassembly::default();
        reassembly.begin(sequence);
        reassembly
    }

    /// Takes a segment and whatever it makes readable; a gap as that many dots.
    fn read(reassembly: &mut Reassembly, sequence: u32, payload: &[u8]) -> String {
        let taken = reassembly.take(sequence, payload);
        let mut text = String::from_utf8(taken.ready.to_vec()).unwrap();
        reassembly.remember(taken.ready);
        text.push_str(&rest(reassembly, false));
        if taken.conflict {
            text.push('!');
        }
        text
    }

    fn rest(reassembly: &mut Reassembly, is_last: bool) -> String {
        let mut text = String::new();
        while let Some(next) = reassembly.pop(is_last) {
            match next {
                Next::Bytes(bytes) => {
                    reassembly.remember(&bytes);
                    text.push_str(std::str::from_utf8(&bytes).unwrap());
                }
                Next::Gap(length) => text.push_str(&".".repeat(usize::try_from(length).unwrap())),
            }
        }
        text
    }

    #[test]
    fn segments_in_any_order_are_read_in_theirs() {
        let mut reassembly = begun_at(u32::MAX - 2);
        assert_eq!(read(&mut reassembly, 4, b"hij"), "");
        assert_eq!(read(&mut reassembly, u32::MAX - 2, b"abc"), "abc");
        assert_eq!(read(&mut reassembly, 0, b"defg"), "defghij");
    }

    #[test]
    fn the_first_of_two_that_overlap_wins_and_the_other_is_told() {
        let mut reassembly = begun_at(100);
        assert_eq!(read(&mut reassembly, 102, b"cd"), "");
        assert_eq!(read(&mut reassembly, 101, b"bXde"), "!");
        assert_eq!(read(&mut reassembly, 100, b"abcd"), "abcde");
        assert_eq!(read(&mut reassembly, 100, b"abcde"), "", "a retransmission");
        assert_eq!(read(&mut reassembly, 102, b"XYef"), "f!", "of other bytes than were read");
    }

    #[test]
    fn equal_overlaps_are_no_conflict() {
        let mut reassembly = begun_at(0);
        for (sequence, payload) in [(4, &b"ef"[..]), (8, b"ij"), (3, b"defghijk"), (5, b"fgh")] {
            assert_eq!(read(&mut reassembly, sequence, payload), "");
        }
        assert_eq!(read(&mut reassembly, 0, b"abcdefghijkl"), "abcdefghijkl");
    }

    #[test]
    fn what_the_peer_acknowledged_is_not_waited_for() {
        let mut reassembly = begun_at(0);
        assert_eq!(read(&mut reassembly, 3, b"def"), "");
        reassembly.acknowledge(2);
        assert_eq!(rest(&mut reassembly, false), "", "the peer lacks a byte itself");
        reassembly.acknowledge(6);
        assert_eq!(rest(&mut reassembly, false), "...def");
        reassembly.acknowledge(9);
        assert_eq!(read(&mut reassembly, 6, b"ghi"), "ghi", "an acknowledgement that was captured early");
    }

    #[test]
    fn holes_past_the_bounds_and_at_the_end_are_gaps() {
        let mut reassembly = begun_at(0);
        let pieces = u32::try_from(PIECES_MAX).unwrap();
        for at in 0..pieces {
            assert_eq!(read(&mut reassembly, 2 * at + 1, b"x"), "");
        }
        assert_eq!(read(&mut reassembly, 2 * pieces + 1, b"x"), ".x");
        assert_eq!(rest(&mut reassembly, true), ".x".repeat(PIECES_MAX));

        let mut reassembly = begun_at(0);
        let segment = vec![b'x'; WAITING_BYTES_MAX];
        assert_eq!(read(&mut reassembly, 1, &segment), "");
        assert_eq!(read(&mut reassembly, 1 + u32::try_from(segment.len()).unwrap(), b"y").len(), segment.len() + 2);
    }

    #[test]
    fn bytes_behind_a_fin_are_none_of_the_stream() {
        let mut reassembly = begun_at(0);
        assert_eq!(read(&mut reassembly, 2, b"cdef"), "");
        reassembly.end_at(4);
        assert!(reassembly.take(4, b"e").behind_end);
        assert_eq!(read(&mut reassembly, 0, b"ab"), "abcd");
        assert!(reassembly.is_over());
    }

    #[test]
    fn keep_alives_are_no_data() {
        let mut reassembly = begun_at(0);
        assert_eq!(read(&mut reassembly, 0, b"abc"), "abc");
        assert_eq!(read(&mut reassembly, 2, b"\0"), "");
        assert_eq!(read(&mut reassembly, (1 << 30) + 4, b"x"), "", "from nowhere");
        assert_eq!(reassembly.held_bytes(), 3);
    }

    #[test]
    fn runs_that_touch_are_few_and_short() {
        let mut reassembly = begun_at(0);
        for at in (1..20_000u32).rev() {
            assert_eq!(read(&mut reassembly, at, b"x"), "");
            assert!(reassembly.waiting.len() < 12);
        }
        assert_eq!(read(&mut reassembly, 0, b"x").len(), 20_000);
    }

    proptest! {
        #[test]
        fn however_a_stream_is_cut_and_shuffled_it_is_read_whole(
            sequence: u32,
            mut segments in prop::collection::vec((0usize..200, 1usize..60), 1..40),
        ) {
            let stream: Vec<u8> = (0..200u8).map(|at| b'a' + at % 26).collect();
            segments.extend((0..10).map(|at| (at * 20, 20)));
            let mut reassembly = begun_at(sequence);
            let mut text = String::new();
            for (from, length) in segments {
                let payload = &stream[from..(from + length).min(stream.len())];
                text.push_str(&read(&mut reassembly, sequence.wrapping_add(u32::try_from(from).unwrap()), payload));
                prop_assert!(reassembly.is_sound());
            }
            prop_assert_eq!(text.as_bytes(), &stream[..]);
            prop_assert_eq!(reassembly.waiting.len(), 0);
        }
    }
}
