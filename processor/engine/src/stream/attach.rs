//! How conversations hang on flows: where they begin, end, and are given up.

use super::{Conversation, Desk, Detected, Direction, Reader, Readers, Segment, detect, readers::stream_scope};
use crate::{
    datagram::Dispatch,
    flow::{Detail, Found, protocol},
    layers::{State, Walk},
    sensors::Sensors,
};

/// Segments that are probed of a connection whose beginning was not captured.
const MIDSTREAM_PROBES_MAX: u8 = 8;

impl Walk<'_> {
    /// Hands a segment to the parser of its connection, if it has one or may yet find one.
    pub(crate) fn stream(&mut self, found: Found, segment: &Segment<'_>) {
        let Some(flow) = self.state.flows.get(found.flow) else { return };
        let Dispatch::Undecided(tries) = flow.service() else { return };
        let direction = if found.from_responder { Direction::Responder } else { Direction::Originator };
        let index = match flow.parser() {
            Some(index) => index,
            None if segment.payload.is_empty() => return,
            None => match self.begin_conversation(found, tries, segment) {
                Some(index) => index,
                None => return,
            },
        };
        let Readers { conversations, held_bytes, .. } = &mut self.state.readers;
        if let Some(conversation) = conversations.get_mut(index)
            && conversation.acknowledge(direction, segment)
        {
            return conversation.recount(held_bytes);
        }
        let ts_ns = self.arrival.packet.ts_ns;
        let sensor_hash = self.arrival.sensor_hash;
        let State { flows, readers, out, parsing, .. } = &mut *self.state;
        let Some((flow, detail)) = flows.with_detail(found.flow) else { return };
        let Some(conversation) = readers.conversations.get_mut(index) else { return };
        if !segment.payload.is_empty() {
            // What came before the first segment of this direction is no hole: nobody waits for it.
            conversation.begin(direction, begin_of_stream(segment.sequence, detail, found.from_responder));
            // But what the other one says first is waited for: the first answer may be lost.
            let other = if found.from_responder { &detail.orig } else { &detail.resp };
            if let Some(next) = other.sequence.next() {
                conversation.begin(direction.other(), next);
            }
        }
        let scope = stream_scope(flow, detail, sensor_hash, out);
        *parsing = Some(found.flow);
        let taken = conversation.take(direction, segment, &mut Desk { out, detail, scope, ts_ns });
        *parsing = None;
        let name = conversation.name();
        if taken.is_break() {
            readers.take(flow);
            flows.set_parser(found.flow, None);
            flows.set_service(found.flow, Dispatch::Never);
        } else {
            conversation.recount(&mut readers.held_bytes);
        }
        if let Some(name) = name.filter(|_| !segment.payload.is_empty()) {
            self.keep_path(name);
        }
    }

    /// Begins a conversation with the first segment that says something, unless it is nobody's.
    fn begin_conversation(&mut self, found: Found, tries: u8, segment: &Segment<'_>) -> Option<u32> {
        let (_, detail) = self.state.flows.with_detail(found.flow)?;
        let begin = begin_of_stream(segment.sequence, detail, found.from_responder);
        let is_in_order = begin == segment.sequence;
        let heads: [&[u8]; 2] = if found.from_responder { [&[], segment.payload] } else { [segment.payload, &[]] };
        if is_in_order && detect(self.scope.ports, heads) == Detected::Nothing {
            let may_follow = detail.partial && tries < MIDSTREAM_PROBES_MAX;
            let service = if may_follow { Dispatch::Undecided(tries + 1) } else { Dispatch::Never };
            self.state.flows.set_service(found.flow, service);
            return None;
        }
        let index = self.state.readers.insert(Reader::Conversation(Conversation::default()));
        self.state.flows.set_parser(found.flow, Some(index));
        Some(index)
    }
}

/// Where a direction begins of which this is the first segment with a payload: at what the flow table expected
/// before it, which has counted it already.
fn begin_of_stream(sequence: u32, detail: &Detail, from_responder: bool) -> u32 {
    let side = if from_responder { &detail.resp } else { &detail.orig };
    match side.sequence.next() {
        Some(next) if next.wrapping_sub(sequence).cast_signed() < 0 => next,
        _ => sequence,
    }
}

impl State {
    /// Reads what is left of a flow that is about to end.
    pub(crate) fn finish_stream(&mut self, index: u32, sensors: &Sensors) {
        let State { out, flows, readers, .. } = self;
        // Most flows of one packet have no detail, and need none here.
        let Some(of) =
            flows.get(index).filter(|flow| readers.writes_at_end(flow)).and_then(|flow| sensors.get(flow.sensor()))
        else {
            return;
        };
        let Some((flow, detail)) = flows.with_detail(index) else { return };
        let is_stream = flow.key().protocol() == protocol::TCP;
        if !readers.finish(flow, detail, of, out) {
            flows.fail_parser(index);
        } else if is_stream {
            flows.set_parser(index, None);
        }
    }

    /// Gives up what readers hold, of the flows that were silent longest, until there is room again; how many
    /// it were.
    pub(crate) fn evict_streams(&mut self, stream_bytes_max: usize, sensors: &Sensors) -> u64 {
        let State { flows, readers, .. } = &*self;
        let holder = |(index, flow)| Some((readers.touched_ns(flow, flows.last_ts_ns(flow))?, index));
        let mut holders: Vec<(i64, u32)> = flows.iter().filter_map(holder).collect();
        holders.sort_unstable();
        // An eighth at once, so that the search is worth it.
        let room = stream_bytes_max - stream_bytes_max / 8;
        let mut evicted = 0;
        for (_, index) in holders {
            if self.readers.held_bytes <= room {
                break;
            }
            self.evict_stream(index, sensors);
            evicted += 1;
        }
        evicted
    }

    fn evict_stream(&mut self, index: u32, sensors: &Sensors) {
        let Some(name) = self.flows.get(index).map(|flow| flow.service().name()) else { return };
        let Some(reader) = self.take_reader(index) else { return };
        let is_stream = matches!(reader, Reader::Conversation(_));
        let State { out, flows, .. } = self;
        let Some((flow, detail)) = flows.with_detail(index) else { return };
        let Some(of) = sensors.get(flow.sensor()) else { return };
        out.begin_afterwards(&of.prefix, detail.last_number, detail.last_ts_ns);
        reader.evict(name, &mut Desk::of(out, flow, detail, of));
        out.end_packet();
        if is_stream {
            flows.set_service(index, Dispatch::Never);
        }
    }

    /// Takes a flow's reader away.
    pub(crate) fn take_reader(&mut self, index: u32) -> Option<Reader> {
        let reader = self.readers.take(self.flows.get(index)?);
        self.flows.set_parser(index, None);
        reader
    }
}
