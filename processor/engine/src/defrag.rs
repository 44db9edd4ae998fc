//! Reassembly of IP fragments (RFC 791 §3.2, RFC 8200 §4.5, RFC 5722), bounded in bytes and time.
//!
//! Where fragments overlap the first bytes that came are taken; IPv6 datagrams whose fragments overlap
//! are given up, as RFC 5722 §3 asks.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use serde::{Deserialize, Serialize};
use weir_contract::WeirdReason;

/// A datagram's fragments come within this time of its first, ns (RFC 8200 §4.5).
const WAIT_MAX_NS: i64 = 60_000_000_000;

/// Given up so long after that, as flows are written.
const GRACE_NS: i64 = crate::limits::GRACE_NS;

/// The longest payload of a datagram, bytes.
const DATAGRAM_MAX: usize = 65_535;

/// What a datagram and each of its pieces count beside their bytes.
const DATAGRAM_COST: usize = 192;
const PIECE_COST: usize = 32;

/// What the fragments of a datagram share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct FragmentKey {
    pub(crate) partition_key: u64,
    pub(crate) src: IpAddr,
    pub(crate) dst: IpAddr,
    pub(crate) identification: u32,
    /// Protocol of the payload; IPv6 leaves it to the first fragment, so 0 there.
    pub(crate) protocol: u8,
    /// Identifier of the tunnel around it.
    pub(crate) encapsulation_id: u32,
}

/// One fragment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fragment<'a> {
    pub(crate) key: FragmentKey,
    pub(crate) protocol: u8,
    pub(crate) offset: u32,
    pub(crate) more: bool,
    pub(crate) payload: &'a [u8],
    /// Header and payload, bytes.
    pub(crate) ip_bytes: u32,
    pub(crate) ts_ns: i64,
    pub(crate) packet_number: i64,
    pub(crate) sensor: u16,
}

/// A datagram that is whole.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Datagram {
    pub(crate) protocol: u8,
    pub(crate) payload: Vec<u8>,
    pub(crate) fragments: u32,
    pub(crate) ip_bytes: u32,
}

/// A datagram that will not be whole.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Incomplete {
    pub(crate) key: FragmentKey,
    pub(crate) first_ts_ns: i64,
    pub(crate) last_packet_number: i64,
    pub(crate) reason: WeirdReason,
}

/// What a fragment did.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) datagram: Option<Datagram>,
    /// What was odd about it.
    pub(crate) weird: Option<(WeirdReason, &'static str)>,
    /// Datagrams given up for it.
    pub(crate) given_up: Vec<Incomplete>,
}

/// Datagrams of an engine that are not whole yet.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Fragments {
    pending: BTreeMap<FragmentKey, Pending>,
    /// The same datagrams by age.
    #[serde(skip)]
    ages: BTreeSet<(i64, FragmentKey)>,
    #[serde(skip)]
    bytes: usize,
    #[serde(skip)]
    bytes_max: usize,
}

#[derive(Debug, Serialize, Deserialize)]
struct Pending {
    protocol: u8,
    /// Pieces by their offset: ascending, apart from each other.
    pieces: BTreeMap<u32, Vec<u8>>,
    /// Bytes in them.
    #[serde(skip)]
    held: usize,
    total: Option<u32>,
    fragments: u32,
    ip_bytes: u32,
    first_ts_ns: i64,
    last_packet_number: i64,
    sensor: u16,
    /// Overlapped in IPv6: what comes of it is thrown away.
    poisoned: bool,
}

impl Fragments {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { pending: BTreeMap::new(), ages: BTreeSet::new(), bytes: 0, bytes_max }
    }

    /// What a snapshot held, with what is not saved because it follows from the rest. `None` where the
    /// pieces of a datagram lie over each other, or past its end.
    pub(crate) fn restored(mut self, bytes_max: usize) -> Option<Self> {
        self.bytes_max = bytes_max;
        for (key, pending) in &mut self.pending {
            pending.held = held_by(&pending.pieces)?;
            self.ages.insert((pending.first_ts_ns, *key));
            self.bytes += pending.cost() + DATAGRAM_COST;
        }
        Some(self)
    }

    /// Adds a fragment to its datagram.
    pub(crate) fn add(&mut self, fragment: &Fragment<'_>) -> Outcome {
        let mut outcome = Outcome::default();
        if let Some(complaint) = check(fragment) {
            outcome.weird = Some(complaint);
            return outcome;
        }
        let is_stale = |pending: &Pending| fragment.ts_ns.saturating_sub(pending.first_ts_ns) > WAIT_MAX_NS;
        if self.pending.get(&fragment.key).is_some_and(is_stale) {
            outcome.given_up.extend(self.give_up(&fragment.key, WeirdReason::FragmentTimeout));
        }
        let pending = self.pending.entry(fragment.key).or_insert_with(|| {
            self.bytes += DATAGRAM_COST;
            self.ages.insert((fragment.ts_ns, fragment.key));
            Pending::new(fragment)
        });
        let before = pending.cost();
        outcome.weird = pending.add(fragment);
        self.bytes = self.bytes + pending.cost() - before;
        if pending.is_whole() {
            let whole = self.remove(&fragment.key);
            outcome.datagram = whole.map(Pending::into_datagram);
            return outcome;
        }
        while self.bytes > self.bytes_max {
            let Some(&(_, oldest)) = self.ages.first() else { break };
            outcome.given_up.extend(self.give_up(&oldest, WeirdReason::Evicted));
        }
        outcome
    }

    /// Gives up what the sensor's watermark says will not be whole any more.
    pub(crate) fn expire(&mut self, sensor: u16, watermark_ns: i64) -> Vec<Incomplete> {
        let limit = watermark_ns.saturating_sub(WAIT_MAX_NS + GRACE_NS);
        self.give_up_if(|pending| pending.sensor == sensor && pending.first_ts_ns < limit)
    }

    /// Gives up all of a sensor's: its capture is over.
    pub(crate) fn finish(&mut self, sensor: u16) -> Vec<Incomplete> {
        self.give_up_if(|pending| pending.sensor == sensor)
    }

    fn give_up_if(&mut self, is_over: impl Fn(&Pending) -> bool) -> Vec<Incomplete> {
        let over: Vec<_> = self.pending.iter().filter(|(_, pending)| is_over(pending)).map(|(key, _)| *key).collect();
        over.iter().filter_map(|key| self.give_up(key, WeirdReason::FragmentTimeout)).collect()
    }

    fn give_up(&mut self, key: &FragmentKey, reason: WeirdReason) -> Option<Incomplete> {
        let Pending { first_ts_ns, last_packet_number, .. } = self.remove(key)?;
        Some(Incomplete { key: *key, first_ts_ns, last_packet_number, reason })
    }

    fn remove(&mut self, key: &FragmentKey) -> Option<Pending> {
        let pending = self.pending.remove(key)?;
        self.ages.remove(&(pending.first_ts_ns, *key));
        self.bytes -= pending.cost() + DATAGRAM_COST;
        Some(pending)
    }
}

/// What makes a fragment unusable.
fn check(fragment: &Fragment<'_>) -> Option<(WeirdReason, &'static str)> {
    let end = usize::try_from(fragment.offset).unwrap_or(usize::MAX).saturating_add(fragment.payload.len());
    if end > DATAGRAM_MAX {
        return Some((WeirdReason::Oversize, "fragment ends behind 65,535 bytes"));
    }
    if fragment.payload.is_empty() {
        return Some((WeirdReason::BadFragment, "fragment without payload"));
    }
    None
}

impl Pending {
    fn new(fragment: &Fragment<'_>) -> Self {
        Self {
            protocol: fragment.protocol,
            pieces: BTreeMap::new(),
            held: 0,
            total: None,
            fragments: 0,
            ip_bytes: 0,
            first_ts_ns: fragment.ts_ns,
            last_packet_number: fragment.packet_number,
            sensor: fragment.sensor,
            poisoned: false,
        }
    }

    fn cost(&self) -> usize {
        self.held + self.pieces.len() * PIECE_COST
    }

    fn add(&mut self, fragment: &Fragment<'_>) -> Option<(WeirdReason, &'static str)> {
        self.fragments = self.fragments.saturating_add(1);
        self.ip_bytes = self.ip_bytes.saturating_add(fragment.ip_bytes);
        self.last_packet_number = fragment.packet_number;
        if self.poisoned {
            return None;
        }
        if fragment.offset == 0 {
            self.protocol = fragment.protocol;
        }
        let mut complaint = None;
        let end = fragment.offset + length(fragment.payload);
        if !fragment.more {
            match self.total {
                Some(total) if total != end => {
                    complaint = Some((WeirdReason::BadFragment, "two last fragments that end apart"));
                }
                _ => self.total = Some(end),
            }
        } else if !fragment.payload.len().is_multiple_of(8) {
            complaint = Some((WeirdReason::BadFragment, "fragment of no whole number of 8 bytes"));
        }
        match self.insert(fragment.offset, fragment.payload) {
            Overlap::None | Overlap::Duplicate => complaint,
            overlap => {
                if fragment.key.src.is_ipv6() {
                    self.poisoned = true;
                    self.pieces.clear();
                    self.held = 0;
                }
                Some(match overlap {
                    Overlap::Conflict => (WeirdReason::OverlapConflict, "fragments overlap with different bytes"),
                    _ => (WeirdReason::Overlap, "fragments overlap"),
                })
            }
        }
    }

    /// Adds what is new of some bytes.
    fn insert(&mut self, begin: u32, bytes: &[u8]) -> Overlap {
        let end = begin + length(bytes);
        if self.pieces.get(&begin).is_some_and(|piece| piece == bytes) {
            return Overlap::Duplicate;
        }
        let mut overlap = Overlap::None;
        let mut new = Vec::new();
        let mut from = begin;
        let before = self.pieces.range(..=begin).next_back().map_or(begin, |(&at, _)| at);
        for (&at, piece) in self.pieces.range(before..end) {
            let piece_end = at + length(piece);
            if piece_end <= begin {
                continue;
            }
            let shared = at.max(begin)..piece_end.min(end);
            let ours = slice(bytes, begin, shared.clone());
            let theirs = slice(piece, at, shared);
            overlap = if ours == theirs && overlap != Overlap::Conflict { Overlap::Equal } else { Overlap::Conflict };
            if from < at {
                new.push((from, slice(bytes, begin, from..at).to_vec()));
            }
            from = from.max(piece_end);
        }
        if from < end {
            new.push((from, slice(bytes, begin, from..end).to_vec()));
        }
        self.held += new.iter().map(|(_, piece)| piece.len()).sum::<usize>();
        self.pieces.extend(new);
        overlap
    }

    fn is_whole(&self) -> bool {
        let Some(total) = self.total else { return false };
        if self.held < usize::try_from(total).unwrap_or(usize::MAX) {
            return false;
        }
        let mut end = 0;
        for (&at, piece) in &self.pieces {
            if at > end {
                return false;
            }
            end = at + length(piece);
        }
        end >= total
    }

    fn into_datagram(self) -> Datagram {
        let mut payload = Vec::new();
        for piece in self.pieces.into_values() {
            payload.extend_from_slice(&piece);
        }
        payload.truncate(usize::try_from(self.total.unwrap_or_default()).unwrap_or(usize::MAX));
        Datagram { protocol: self.protocol, payload, fragments: self.fragments, ip_bytes: self.ip_bytes }
    }
}

/// Bytes in pieces that lie apart from each other in one datagram.
fn held_by(pieces: &BTreeMap<u32, Vec<u8>>) -> Option<usize> {
    let (mut end, mut held) = (0, 0);
    for (&at, piece) in pieces {
        let begin = usize::try_from(at).ok()?;
        if begin < end || piece.is_empty() {
            return None;
        }
        end = begin.checked_add(piece.len())?;
        held += piece.len();
    }
    (end <= DATAGRAM_MAX).then_some(held)
}

/// How new bytes lie over those that were there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Overlap {
    None,
    /// The same fragment again.
    Duplicate,
    Equal,
    Conflict,
}

/// A fragment is far shorter than 2³² bytes.
fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}

/// The bytes of a range of the datagram, of a piece that begins at `begin`.
fn slice(bytes: &[u8], begin: u32, range: std::ops::Range<u32>) -> &[u8] {
    let index = |at: u32| usize::try_from(at.saturating_sub(begin)).unwrap_or(usize::MAX);
    bytes.get(index(range.start)..index(range.end)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, Ipv6Addr};

    fn key(v6: bool) -> FragmentKey {
        let address: IpAddr = if v6 { Ipv6Addr::LOCALHOST.into() } else { Ipv4Addr::LOCALHOST.into() };
        FragmentKey {
            partition_key: 1,
            src: address,
            dst: address,
            identification: 7,
            protocol: 17,
            encapsulation_id: 0,
        }
    }

    fn fragment(offset: u32, more: bool, payload: &[u8]) -> Fragment<'_> {
        Fragment {
            key: key(false),
            protocol: 17,
            offset,
            more,
            payload,
            ip_bytes: 20 + length(payload),
            ts_ns: i64::from(offset),
            packet_number: 1,
            sensor: 0,
        }
    }

    #[test]
    fn fragments_in_any_order_make_the_datagram() {
        let mut fragments = Fragments::new(1 << 20);
        assert!(fragments.add(&fragment(16, false, b"tail")).datagram.is_none());
        assert!(fragments.add(&fragment(0, true, b"01234567")).datagram.is_none());
        let datagram = fragments.add(&fragment(8, true, b"89abcdef")).datagram.unwrap();
        assert_eq!(datagram.payload, b"0123456789abcdeftail");
        assert_eq!((datagram.fragments, datagram.ip_bytes, fragments.bytes), (3, 80, 0));
    }

    #[test]
    fn the_first_bytes_win_and_a_difference_is_weird() {
        let mut fragments = Fragments::new(1 << 20);
        fragments.add(&fragment(0, true, b"01234567"));
        let outcome = fragments.add(&fragment(0, true, b"XXXXXXXX89abcdef"));
        assert_eq!(outcome.weird.map(|(reason, _)| reason), Some(WeirdReason::OverlapConflict));
        let datagram = fragments.add(&fragment(16, false, b"tail")).datagram.unwrap();
        assert_eq!(datagram.payload, b"0123456789abcdeftail");
    }

    #[test]
    fn a_repeated_fragment_is_not_weird() {
        let mut fragments = Fragments::new(1 << 20);
        fragments.add(&fragment(0, true, b"01234567"));
        assert_eq!(fragments.add(&fragment(0, true, b"01234567")).weird, None);
    }

    #[test]
    fn overlapping_ipv6_is_given_up() {
        let mut fragments = Fragments::new(1 << 20);
        let v6 = |offset, more, payload| Fragment { key: key(true), ..fragment(offset, more, payload) };
        fragments.add(&v6(0, true, b"01234567"));
        assert!(fragments.add(&v6(0, true, b"01234567XX")).weird.is_some());
        assert!(fragments.add(&v6(8, false, b"tail")).datagram.is_none());
        assert_eq!(fragments.finish(0).len(), 1);
    }

    #[test]
    fn memory_is_bounded_by_giving_up_the_oldest() {
        let mut fragments = Fragments::new(1000);
        let mut given_up = 0;
        for identification in 0..10 {
            let mut piece = fragment(0, true, &[0; 200]);
            piece.key.identification = identification;
            piece.ts_ns = identification.into();
            given_up += fragments.add(&piece).given_up.len();
        }
        assert!(fragments.bytes <= 1000 && given_up == 10 - fragments.pending.len() && given_up > 0);
    }

    #[test]
    fn what_never_becomes_whole_is_reported() {
        let mut fragments = Fragments::new(1 << 20);
        fragments.add(&fragment(0, true, b"01234567"));
        assert!(fragments.expire(0, WAIT_MAX_NS).is_empty());
        let incomplete = fragments.expire(0, WAIT_MAX_NS + GRACE_NS + 1);
        assert_eq!(incomplete.len(), 1);
        assert_eq!((incomplete[0].reason, fragments.bytes), (WeirdReason::FragmentTimeout, 0));
    }

    #[test]
    fn saved_pieces_that_overlap_are_refused() {
        let mut fragments = Fragments::new(1 << 20);
        fragments.add(&fragment(8, true, b"89abcdef"));
        let pending = fragments.pending.get_mut(&key(false)).unwrap();
        pending.pieces.insert(15, b"f".to_vec());
        assert!(fragments.restored(1 << 20).is_none());
    }

    #[test]
    fn a_datagram_ends_at_65535_bytes() {
        let mut fragments = Fragments::new(1 << 20);
        let outcome = fragments.add(&fragment(65_528, true, b"01234567"));
        assert_eq!(outcome.weird.map(|(reason, _)| reason), Some(WeirdReason::Oversize));
    }
}
