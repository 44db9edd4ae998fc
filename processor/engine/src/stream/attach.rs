//! How conversations hang on flows: where they begin, end, and are given up.

use std::panic::{AssertUnwindSafe, catch_unwind};

use weir_contract::WeirdReason;

use super::{Conversation, Desk, Detected, Direction, Segment, detect};
use crate::{
    cursor::Malformed,
    datagram::{Dispatch, Running},
    flow::{Detail, Flow, Found, Identity, connection_scope, protocol},
    layers::{State, Walk},
    output::Output,
    sensors::{Sensor, Sensors},
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
        if let Some(conversation) = self.state.conversations.get_mut(index)
            && conversation.acknowledge(direction, segment)
        {
            return conversation.recount(&mut self.state.held_bytes);
        }
        let ts_ns = self.arrival.packet.ts_ns;
        let sensor_hash = self.arrival.sensor_hash;
        let State { flows, conversations, out, parsing, held_bytes, .. } = &mut *self.state;
        let Some((flow, detail)) = flows.with_detail(found.flow) else { return };
        let Some(conversation) = conversations.get_mut(index) else { return };
        if !segment.payload.is_empty() {
            // What came before the first segment of this direction is no hole: nobody waits for it.
            conversation.begin(direction, begin_of_stream(segment.sequence, detail, found.from_responder));
            // But what the other one says first is waited for: the first answer may be lost.
            let other = if found.from_responder { &detail.orig } else { &detail.resp };
            if let Some(next) = other.sequence.next() {
                conversation.begin(direction.other(), next);
            }
        }
        let identity =
            *detail.identity.get_or_insert_with(|| Identity::new(sensor_hash, flow.key(), flow.first_number()));
        let scope = connection_scope(flow, detail, identity);
        *parsing = Some(found.flow);
        let taken = conversation.take(direction, segment, &mut Desk { out, detail, scope, ts_ns });
        *parsing = None;
        let name = conversation.name();
        if taken.is_break() {
            *held_bytes -= conversation.counted_bytes;
            conversations.remove(index);
            flows.set_parser(found.flow, None);
            flows.set_service(found.flow, Dispatch::Never);
        } else {
            conversation.recount(held_bytes);
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
        let index = self.state.conversations.insert(Conversation::default());
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
        let Some(flow) = self.flows.get(index) else { return };
        let (Some(parser), Some(of)) = (flow.parser(), sensors.get(flow.sensor())) else { return };
        if flow.key().protocol() != protocol::TCP {
            let State { out, flows, parsers, .. } = self;
            let Some(running) = parsers.get_mut(parser).filter(|running| running.state.writes_at_end()) else { return };
            let Some((flow, detail)) = flows.with_detail(index) else { return };
            return finish_datagrams(running, flow, detail, of, out);
        }
        let Some(mut conversation) = self.take_conversation(parser) else { return };
        self.flows.set_parser(index, None);
        let Some((flow, detail)) = self.flows.with_detail(index) else { return };
        self.out.begin_afterwards(&of.prefix, detail.last_number, detail.last_ts_ns);
        if !close(&mut conversation, &mut desk(&mut self.out, flow, detail, of), Conversation::finish) {
            self.flows.fail_parser(index);
        }
        self.out.end_packet();
    }

    /// As [`Self::finish_stream`], of a flow that is in the table no more.
    pub(crate) fn finish_detached(&mut self, flow: &Flow, detail: &mut Detail, sensors: &Sensors) {
        let (Some(parser), Some(of)) = (flow.parser(), sensors.get(flow.sensor())) else { return };
        if flow.key().protocol() != protocol::TCP {
            let State { out, parsers, .. } = self;
            let Some(running) = parsers.get_mut(parser).filter(|running| running.state.writes_at_end()) else { return };
            return finish_datagrams(running, flow, detail, of, out);
        }
        let Some(mut conversation) = self.take_conversation(parser) else { return };
        self.out.begin_afterwards(&of.prefix, detail.last_number, detail.last_ts_ns);
        close(&mut conversation, &mut desk(&mut self.out, flow, detail, of), Conversation::finish);
        self.out.end_packet();
    }

    /// Gives up what parsers hold, of the flows that were silent longest, until there is room again; how many
    /// it were.
    pub(crate) fn evict_streams(&mut self, stream_bytes_max: usize, sensors: &Sensors) -> u64 {
        let mut holders: Vec<(i64, u32)> = self
            .flows
            .iter()
            .filter_map(|(index, flow)| {
                let parser = flow.parser()?;
                if flow.key().protocol() == protocol::TCP {
                    return Some((self.conversations.get(parser)?.touched_ns(), index));
                }
                let holds = self.parsers.get(parser)?.counted_bytes > 0;
                holds.then(|| (self.flows.last_ts_ns(flow), index))
            })
            .collect();
        holders.sort_unstable();
        // An eighth at once, so that the search is worth it.
        let room = stream_bytes_max - stream_bytes_max / 8;
        let mut evicted = 0;
        for (_, index) in holders {
            if self.held_bytes <= room {
                break;
            }
            self.evict_stream(index, sensors);
            evicted += 1;
        }
        evicted
    }

    fn evict_stream(&mut self, index: u32, sensors: &Sensors) {
        let Some(flow) = self.flows.get(index) else { return };
        let (Some(parser), Some(of)) = (flow.parser(), sensors.get(flow.sensor())) else { return };
        let conversation = match flow.key().protocol() {
            protocol::TCP => self.take_conversation(parser),
            _ => None,
        };
        let layer = self.drop_parser(index);
        let Some((flow, detail)) = self.flows.with_detail(index) else { return };
        self.out.begin_afterwards(&of.prefix, detail.last_number, detail.last_ts_ns);
        let mut desk = desk(&mut self.out, flow, detail, of);
        match conversation {
            Some(mut conversation) => {
                close(&mut conversation, &mut desk, Conversation::evict);
                self.flows.set_service(index, Dispatch::Never);
            }
            None => desk.evicted(layer),
        }
        self.out.end_packet();
    }

    /// Takes a flow's parser away, whichever it has; its name.
    pub(crate) fn drop_parser(&mut self, index: u32) -> &'static str {
        let Some(flow) = self.flows.get(index) else { return "" };
        let mut name = flow.service().name();
        if let Some(parser) = flow.parser() {
            if flow.key().protocol() == protocol::TCP {
                let conversation = self.take_conversation(parser);
                name = conversation.and_then(|conversation| conversation.name()).unwrap_or("tcp");
            } else if let Some(running) = self.parsers.take(parser) {
                self.held_bytes -= running.counted_bytes;
            }
        }
        self.flows.set_parser(index, None);
        name
    }

    /// Takes a conversation out of the memory that is counted.
    pub(crate) fn take_conversation(&mut self, index: u32) -> Option<Conversation> {
        let conversation = self.conversations.take(index)?;
        self.held_bytes -= conversation.counted_bytes;
        Some(conversation)
    }
}

/// Tells the decoder of a flow of datagrams that this is over. One that panics costs its own records only.
fn finish_datagrams(running: &mut Running, flow: &Flow, detail: &mut Detail, of: &Sensor, out: &mut Output) {
    out.begin_afterwards(&of.prefix, detail.last_number, detail.last_ts_ns);
    let desk = desk(out, flow, detail, of);
    desk.out.set_scope(desk.scope, false);
    let mark = desk.out.mark();
    if catch_unwind(AssertUnwindSafe(|| running.state.finish(desk.out))).is_err() {
        desk.out.truncate(mark);
    }
    out.end_packet();
}

fn desk<'e>(out: &'e mut Output, flow: &Flow, detail: &'e mut Detail, of: &Sensor) -> Desk<'e> {
    let identity = *detail.identity.get_or_insert_with(|| Identity::new(&of.hash, flow.key(), flow.first_number()));
    let scope = connection_scope(flow, detail, identity);
    let ts_ns = detail.last_ts_ns;
    Desk { out, detail, scope, ts_ns }
}

/// Ends a conversation outside of the loop over packets, where a parser that panics costs its own records
/// only. Whether it did not.
fn close(conversation: &mut Conversation, desk: &mut Desk<'_>, how: fn(&mut Conversation, &mut Desk<'_>)) -> bool {
    let mark = desk.out.mark();
    let layer = conversation.name().unwrap_or("tcp");
    let closed = catch_unwind(AssertUnwindSafe(|| how(conversation, desk))).is_ok();
    if !closed {
        desk.out.truncate(mark);
        desk.enter(Direction::Originator);
        let detail = "the decoder failed";
        desk.weird(layer, Malformed { reason: WeirdReason::DecoderError, detail, offset: 0, shortage: None });
    }
    closed
}
