//! One TCP connection as its parser sees it: two directions, and who reads them.

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};
use weir_contract::{WeirdReason, record::Section};

use super::{
    AfterGap, Detected, Direction, Moment, ParserState, Progress, Segment, detect,
    reassembly::{Next, Reassembly},
};
use crate::{
    cursor::{Cursor, Malformed},
    flow::Detail,
    output::{Output, Scope},
    section,
};

/// Number of the directions' layout in snapshots.
const LAYOUT: u32 = 1;

/// Bytes of a direction that wait for more: the longest message of DNS over TCP or record of TLS fits.
const TAIL_BYTES_MAX: usize = 66 << 10;

/// Bytes of a direction that are probed.
const PROBE_BYTES_MAX: usize = 2 << 10;

/// Changes of protocol in one connection.
const SWITCHES_MAX: u8 = 4;

/// Both directions of a connection, and their parser.
#[derive(Debug, Default)]
pub(crate) struct Conversation {
    lanes: Lanes,
    /// `None` until it is known whose protocol this is.
    parser: Option<ParserState>,
    /// [`Self::held_bytes`] as it was last counted for the cap.
    pub(crate) counted_bytes: usize,
}

/// The part of a conversation that does not depend on its protocol.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Lanes {
    originator: Lane,
    responder: Lane,
    /// Who spoke first.
    first: Option<Direction>,
    switches: u8,
    /// Time of the last packet with something to read, ns.
    touched_ns: i64,
}

/// One direction: what of it was read and what not.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Lane {
    reassembly: Reassembly,
    /// Bytes in order that were not consumed.
    tail: Vec<u8>,
    /// Offset in the stream of the first byte that was not consumed.
    offset: u64,
    /// Bytes that the parser asked for.
    need: usize,
    /// Bytes that the parser does not want.
    skip: u64,
    /// The parser wants to hear the other direction first.
    waits: bool,
    /// The tail was not offered as it is now.
    fresh: bool,
    /// The parser knows of its end.
    ended: bool,
}

/// What a conversation writes to.
pub(crate) struct Desk<'e> {
    pub(crate) out: &'e mut Output,
    pub(crate) detail: &'e mut Detail,
    /// Of the flow: originator to responder.
    pub(crate) scope: Scope,
    /// Time of the packet, ns.
    pub(crate) ts_ns: i64,
}

impl Desk<'_> {
    /// The records to come are of this direction.
    pub(super) fn enter(&mut self, direction: Direction) -> Moment {
        self.out.set_scope(self.scope, direction == Direction::Responder);
        Moment { direction, ts_ns: self.ts_ns }
    }

    pub(crate) fn weird(&mut self, layer: &str, malformed: Malformed) {
        if self.detail.admit_weird(layer, malformed.reason) {
            self.out.weird(layer, malformed);
        }
    }

    /// Says that a decoder's state was given up.
    pub(super) fn evicted(&mut self, layer: &str) {
        self.enter(Direction::Originator);
        self.weird(layer, complaint(WeirdReason::Evicted, "parsers of all connections together hold too much"));
    }

    fn write_notes(&mut self, layer: &str) {
        while let Some(note) = self.out.next_note() {
            self.weird(layer, note);
        }
    }
}

/// Whether a conversation goes on; it breaks where there is nothing more to read in it.
pub(crate) type Flow<T = ()> = ControlFlow<(), T>;

impl Conversation {
    /// Begins a direction at a sequence number, if it has not begun.
    pub(crate) fn begin(&mut self, direction: Direction, sequence: u32) {
        self.lanes.of(direction).reassembly.begin(sequence);
    }

    /// Name of the protocol, once it is known.
    pub(crate) fn name(&self) -> Option<&'static str> {
        self.parser.as_ref().map(ParserState::name)
    }

    /// Time of the last packet with something to read, ns.
    pub(crate) fn touched_ns(&self) -> i64 {
        self.lanes.touched_ns
    }

    /// Bytes it holds, about.
    fn held_bytes(&self) -> usize {
        let Lanes { originator, responder, .. } = &self.lanes;
        let parser = self.parser.as_ref().map_or(0, ParserState::held_bytes);
        size_of::<Self>() + originator.held_bytes() + responder.held_bytes() + parser
    }

    /// Counts what it holds anew in the sum of all.
    pub(crate) fn recount(&mut self, sum: &mut usize) {
        let held = self.held_bytes();
        *sum = *sum - self.counted_bytes + held;
        self.counted_bytes = held;
    }

    /// Takes a segment that says nothing but how far its sender has come; false where that has consequences, so
    /// that [`Self::take`] is to be called. Half of all segments are of this kind, and need no desk.
    pub(crate) fn acknowledge(&mut self, direction: Direction, segment: &Segment<'_>) -> bool {
        let Lanes { originator, responder, .. } = &mut self.lanes;
        let (own, other) = match direction {
            Direction::Originator => (originator, responder),
            Direction::Responder => (responder, originator),
        };
        let is_bare = segment.payload.is_empty() && !segment.fin && !segment.rst;
        let is_quiet = own.reassembly.is_in_order() && other.reassembly.is_in_order();
        let is_over = own.reassembly.is_over() && !own.ended;
        if !is_bare || !is_quiet || is_over {
            return false;
        }
        if let Some(acknowledgement) = segment.acknowledgement {
            other.reassembly.acknowledge(acknowledgement);
        }
        true
    }

    /// Takes a segment of a direction.
    pub(crate) fn take(&mut self, direction: Direction, segment: &Segment<'_>, desk: &mut Desk<'_>) -> Flow {
        if let Some(acknowledgement) = segment.acknowledgement {
            self.lanes.of(direction.other()).reassembly.acknowledge(acknowledgement);
            self.read_waiting(direction.other(), false, desk)?;
        }
        let reassembly = &mut self.lanes.of(direction).reassembly;
        if segment.rst && !reassembly.admits_reset(segment.sequence) {
            desk.enter(direction);
            desk.weird("tcp", complaint(WeirdReason::Unexpected, "a reset outside of the window"));
        }
        let taken = reassembly.take(segment.sequence, segment.payload);
        if segment.fin {
            reassembly.end_at(segment.sequence.wrapping_add(segment.length));
        }
        if !segment.payload.is_empty() {
            self.lanes.touched_ns = desk.ts_ns;
            self.lanes.first.get_or_insert(direction);
        }
        if taken.conflict {
            desk.enter(direction);
            desk.weird("tcp", complaint(WeirdReason::OverlapConflict, "segments overlap with different bytes"));
        }
        if taken.behind_end {
            desk.enter(direction);
            desk.weird("tcp", complaint(WeirdReason::Unexpected, "data behind the FIN"));
        }
        if !taken.ready.is_empty() {
            self.deliver(direction, taken.ready, desk)?;
        }
        self.read_waiting(direction, false, desk)?;
        self.end_if_over(direction, desk)
    }

    /// Reads what is left, holes or not: the connection is over.
    pub(crate) fn finish(&mut self, desk: &mut Desk<'_>) {
        let first = self.lanes.first();
        for direction in [first, first.other()] {
            let read = self.read_waiting(direction, true, desk).is_continue();
            if !read || self.end_if_over(direction, desk).is_break() {
                return;
            }
        }
        let _: Flow = self.stop(desk);
    }

    /// Gives it up, as a cap on memory asks for.
    pub(crate) fn evict(&mut self, desk: &mut Desk<'_>) {
        desk.evicted(self.name().unwrap_or("tcp"));
        let _: Flow = self.stop(desk);
    }

    /// Reads what waited, as far as its turn has come.
    fn read_waiting(&mut self, direction: Direction, is_last: bool, desk: &mut Desk<'_>) -> Flow {
        while let Some(next) = self.lanes.of(direction).reassembly.pop(is_last) {
            match next {
                Next::Bytes(bytes) => self.deliver(direction, &bytes, desk)?,
                Next::Gap(length) => self.miss(direction, length, desk)?,
            }
        }
        Flow::Continue(())
    }

    /// Takes bytes whose turn it is.
    fn deliver(&mut self, direction: Direction, bytes: &[u8], desk: &mut Desk<'_>) -> Flow {
        let lane = self.lanes.of(direction);
        let bytes = lane.pass_over(bytes);
        if bytes.is_empty() {
            return Flow::Continue(());
        }
        lane.reassembly.remember(bytes);
        let is_offered_whole = lane.tail.is_empty() && !lane.waits && lane.need <= bytes.len();
        let mut consumed = 0;
        if is_offered_whole && self.parser.is_some() {
            consumed = self.read(direction, bytes, desk)?;
        } else {
            lane.fresh = true;
        }
        let rest = bytes.get(consumed..).unwrap_or_default();
        let lane = self.lanes.of(direction);
        if lane.tail.len() + rest.len() > TAIL_BYTES_MAX {
            return self.give_up(direction, "a message of more than 66 KiB", desk);
        }
        lane.tail.extend_from_slice(rest);
        self.offer_tails(desk)
    }

    /// Offers what was not consumed for as long as that changes anything.
    fn offer_tails(&mut self, desk: &mut Desk<'_>) -> Flow {
        loop {
            if self.parser.is_none() && !self.find_parser(desk)? {
                return Flow::Continue(());
            }
            let first = self.lanes.first();
            let Some(direction) = [first, first.other()].into_iter().find(|&lane| self.lanes.of(lane).is_offerable())
            else {
                return Flow::Continue(());
            };
            let mut tail = std::mem::take(&mut self.lanes.of(direction).tail);
            let consumed = self.read(direction, &tail, desk)?;
            tail.drain(..consumed.min(tail.len()));
            self.lanes.of(direction).tail = if tail.is_empty() { Vec::new() } else { tail };
        }
    }

    /// Finds who reads the conversation; whether someone does now.
    fn find_parser(&mut self, desk: &mut Desk<'_>) -> Flow<bool> {
        let Lanes { originator, responder, .. } = &self.lanes;
        let heads = [originator, responder].map(|lane| lane.tail.get(..PROBE_BYTES_MAX).unwrap_or(&lane.tail));
        if heads.iter().all(|head| head.is_empty()) {
            return Flow::Continue(false);
        }
        let is_enough = heads.iter().any(|head| head.len() >= PROBE_BYTES_MAX);
        match detect(desk.scope.ports, heads) {
            Detected::Parser(index) => {
                self.parser = ParserState::at(index);
                desk.detail.services.push(index);
                self.lanes.originator.fresh = true;
                self.lanes.responder.fresh = true;
                Flow::Continue(true)
            }
            Detected::Undecided if !is_enough => Flow::Continue(false),
            Detected::Undecided | Detected::Nothing => Flow::Break(()),
        }
    }

    /// Lets the parser read bytes of a direction; how many of them are done with.
    fn read(&mut self, direction: Direction, bytes: &[u8], desk: &mut Desk<'_>) -> Flow<usize> {
        let mut at = 0;
        self.lanes.of(direction).fresh = false;
        loop {
            let rest = bytes.get(at..).unwrap_or_default();
            let Some(parser) = self.parser.as_mut().filter(|_| !rest.is_empty()) else {
                return Flow::Continue(at);
            };
            let moment = desk.enter(direction);
            let lane = self.lanes.of(direction);
            let progress = parser.push(Cursor::in_stream(rest, lane.offset), &moment, desk.out);
            desk.write_notes(parser.name());
            match progress {
                Ok(Progress::More { consumed, need }) => {
                    if need > TAIL_BYTES_MAX {
                        self.give_up(direction, "a message of more than 66 KiB", desk)?;
                    }
                    self.lanes.of(direction).need = need;
                    return Flow::Continue(at + self.consume(direction, consumed.min(rest.len())));
                }
                Ok(Progress::Wait { consumed }) => {
                    let lane = self.lanes.of(direction);
                    (lane.waits, lane.need) = (true, 0);
                    return Flow::Continue(at + self.consume(direction, consumed.min(rest.len())));
                }
                Ok(Progress::Skip { consumed, length }) => {
                    let consumed = self.consume(direction, consumed.min(rest.len()));
                    let lane = self.lanes.of(direction);
                    (lane.skip, lane.need) = (length, 0);
                    let left = lane.pass_over(rest.get(consumed..).unwrap_or_default());
                    let passed = rest.len() - left.len();
                    if passed == 0 {
                        return Flow::Continue(at);
                    }
                    at += passed;
                }
                Ok(Progress::Switch { consumed }) => {
                    let consumed = self.consume(direction, consumed.min(rest.len()));
                    self.switch(direction, desk)?;
                    return Flow::Continue(at + consumed);
                }
                Ok(Progress::Stop) => return self.stop(desk),
                Err(malformed) => {
                    let name = parser.name();
                    desk.weird(name, malformed);
                    return self.stop(desk);
                }
            }
        }
    }

    /// Bytes of a direction are done with: the other one may go on.
    fn consume(&mut self, direction: Direction, consumed: usize) -> usize {
        let lane = self.lanes.of(direction);
        lane.offset += consumed as u64;
        let other = self.lanes.of(direction.other());
        if consumed > 0 && other.waits {
            other.waits = false;
            other.fresh = true;
        }
        consumed
    }

    /// Another protocol begins.
    fn switch(&mut self, direction: Direction, desk: &mut Desk<'_>) -> Flow {
        if let Some(mut parser) = self.parser.take() {
            parser.finish(desk.out);
            desk.write_notes(parser.name());
        }
        self.lanes.switches += 1;
        if self.lanes.switches > SWITCHES_MAX {
            return self.give_up(direction, "more than 4 protocols in one connection", desk);
        }
        for lane in [&mut self.lanes.originator, &mut self.lanes.responder] {
            (lane.need, lane.skip, lane.waits, lane.fresh) = (0, 0, false, true);
        }
        Flow::Continue(())
    }

    /// Bytes of a direction were never captured.
    fn miss(&mut self, direction: Direction, length: u64, desk: &mut Desk<'_>) -> Flow {
        let lane = self.lanes.of(direction);
        let passed = lane.skip.min(length);
        lane.pass(passed);
        let missing = length - passed;
        if missing == 0 {
            return Flow::Continue(());
        }
        lane.offset += lane.tail.len() as u64 + missing;
        lane.tail = Vec::new();
        (lane.need, lane.waits) = (0, false);
        // Who has not begun to read begins behind it.
        let Some(parser) = &mut self.parser else { return Flow::Continue(()) };
        let moment = desk.enter(direction);
        desk.weird(parser.name(), complaint(WeirdReason::Gap, "bytes of the stream were never captured"));
        let after = parser.gap(missing, &moment, desk.out);
        desk.write_notes(parser.name());
        match after {
            AfterGap::Continue => Flow::Continue(()),
            AfterGap::Stop => self.stop(desk),
        }
    }

    /// Tells the parser that a direction is over, once.
    fn end_if_over(&mut self, direction: Direction, desk: &mut Desk<'_>) -> Flow {
        let lane = self.lanes.of(direction);
        if lane.ended || !lane.reassembly.is_over() {
            return Flow::Continue(());
        }
        lane.ended = true;
        if let Some(parser) = &mut self.parser {
            let moment = desk.enter(direction);
            parser.end(&moment, desk.out);
            desk.write_notes(parser.name());
        }
        if self.lanes.originator.ended && self.lanes.responder.ended { self.stop(desk) } else { Flow::Continue(()) }
    }

    /// Gives the conversation up because of a bound.
    fn give_up(&mut self, direction: Direction, detail: &'static str, desk: &mut Desk<'_>) -> Flow {
        desk.enter(direction);
        desk.weird(self.name().unwrap_or("tcp"), complaint(WeirdReason::Limit, detail));
        self.stop(desk)
    }

    /// Ends the reading; what waits for more is written.
    fn stop<T>(&mut self, desk: &mut Desk<'_>) -> Flow<T> {
        if let Some(mut parser) = self.parser.take() {
            desk.enter(Direction::Originator);
            parser.finish(desk.out);
            desk.write_notes(parser.name());
        }
        Flow::Break(())
    }

    /// The directions as bytes, and the parser's state.
    pub(crate) fn save(&self) -> (Option<Section>, Option<Section>) {
        (section::save("stream", LAYOUT, &self.lanes), self.parser.as_ref().and_then(ParserState::save))
    }

    /// What [`Self::save`] gave; `None` where its parser is gone, or reads it no more.
    pub(crate) fn load(lanes: &Section, parser: Option<&Section>) -> Option<Self> {
        let lanes: Lanes = section::load(lanes, LAYOUT)?;
        let is_sound = |lane: &Lane| lane.reassembly.is_sound() && lane.offset < 1 << 62;
        let is_sound = is_sound(&lanes.originator) && is_sound(&lanes.responder);
        let parser = match parser {
            None => None,
            Some(saved) => Some(ParserState::load(saved)?),
        };
        is_sound.then_some(Self { lanes, parser, counted_bytes: 0 })
    }
}

/// How directions are laid out in snapshots.
#[cfg(test)]
pub(crate) fn layout() -> section::Layout {
    section::Layout::of::<Lanes>("stream", LAYOUT)
}

impl Lanes {
    fn of(&mut self, direction: Direction) -> &mut Lane {
        match direction {
            Direction::Originator => &mut self.originator,
            Direction::Responder => &mut self.responder,
        }
    }

    fn first(&self) -> Direction {
        self.first.unwrap_or_default()
    }
}

impl Lane {
    fn held_bytes(&self) -> usize {
        self.reassembly.held_bytes() + self.tail.len()
    }

    fn is_offerable(&self) -> bool {
        self.fresh && !self.waits && !self.tail.is_empty() && self.tail.len() >= self.need
    }

    /// Passes over what the parser does not want.
    fn pass_over<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let passed = self.skip.min(bytes.len() as u64);
        self.pass(passed);
        bytes.get(usize::try_from(passed).unwrap_or(usize::MAX)..).unwrap_or_default()
    }

    fn pass(&mut self, length: u64) {
        if length == 0 {
            return;
        }
        self.offset += length;
        self.reassembly.forget();
        // All that will ever come stays all that will ever come.
        if self.skip != u64::MAX {
            self.skip -= length;
        }
    }
}

fn complaint(reason: WeirdReason, detail: &'static str) -> Malformed {
    Malformed { reason, detail, offset: 0, shortage: None }
}
