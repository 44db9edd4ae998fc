//! What reads the flows of an engine: how it ends, and the memory it takes.

use std::panic::{AssertUnwindSafe, catch_unwind};

use weir_contract::WeirdReason;

use super::{Conversation, Desk, Direction};
use crate::{
    cursor::Malformed,
    datagram::Running,
    flow::{Detail, Flow, Identity, SensorHash, connection_scope, protocol},
    output::{Output, Scope},
    sensors::Sensor,
    slab::Slab,
};

/// The readers of all flows, by the index that a flow keeps: conversations of TCP, decoders of all else.
#[derive(Default)]
pub(crate) struct Readers {
    pub(crate) conversations: Slab<Conversation>,
    pub(crate) decoders: Slab<Running>,
    /// Bytes that they hold, as they were counted last.
    pub(crate) held_bytes: usize,
}

/// One flow's.
#[expect(clippy::large_enum_variant, reason = "it is handed on, and kept nowhere")]
pub(crate) enum Reader {
    Conversation(Conversation),
    Decoder(Running),
}

impl Readers {
    pub(crate) fn insert(&mut self, reader: Reader) -> u32 {
        match reader {
            Reader::Conversation(mut conversation) => {
                conversation.recount(&mut self.held_bytes);
                self.conversations.insert(conversation)
            }
            Reader::Decoder(mut running) => {
                running.recount(&mut self.held_bytes);
                self.decoders.insert(running)
            }
        }
    }

    /// Takes a flow's reader away. The caller tells the flow.
    pub(crate) fn take(&mut self, flow: &Flow) -> Option<Reader> {
        let parser = flow.parser()?;
        if flow.key().protocol() == protocol::TCP {
            let conversation = self.conversations.take(parser)?;
            self.held_bytes -= conversation.counted_bytes;
            return Some(Reader::Conversation(conversation));
        }
        let running = self.decoders.take(parser)?;
        self.held_bytes -= running.counted_bytes;
        Some(Reader::Decoder(running))
    }

    /// Time of what a flow's reader read last, `last_ts_ns` being the flow's last packet's. `None` where it holds
    /// nothing.
    pub(crate) fn touched_ns(&self, flow: &Flow, last_ts_ns: i64) -> Option<i64> {
        let parser = flow.parser()?;
        if flow.key().protocol() == protocol::TCP {
            return Some(self.conversations.get(parser)?.touched_ns());
        }
        (self.decoders.get(parser)?.counted_bytes > 0).then_some(last_ts_ns)
    }

    /// Whether a flow's reader may have something to write at the end of the flow.
    pub(crate) fn writes_at_end(&self, flow: &Flow) -> bool {
        flow.parser().is_some_and(|parser| match flow.key().protocol() {
            protocol::TCP => true,
            _ => self.decoders.get(parser).is_some_and(|running| running.state.writes_at_end()),
        })
    }

    /// Lets the reader of a flow that is about to end write what it waits with: a conversation is taken away, a
    /// decoder stays for its identity. False where it failed.
    pub(crate) fn finish(&mut self, flow: &Flow, detail: &mut Detail, of: &Sensor, out: &mut Output) -> bool {
        if !self.writes_at_end(flow) {
            return true;
        }
        out.begin_afterwards(&of.prefix, detail.last_number, detail.last_ts_ns);
        let mut desk = Desk::of(out, flow, detail, of);
        let finished = if flow.key().protocol() == protocol::TCP {
            match self.take(flow) {
                Some(Reader::Conversation(mut conversation)) => {
                    close(&mut conversation, &mut desk, Conversation::finish)
                }
                _ => true,
            }
        } else {
            if let Some(running) = flow.parser().and_then(|parser| self.decoders.get_mut(parser)) {
                finish_decoder(running, &mut desk);
            }
            true
        };
        out.end_packet();
        finished
    }
}

impl Reader {
    /// Gives it up, as the cap on memory asks for.
    pub(crate) fn evict(self, name: &str, desk: &mut Desk<'_>) {
        match self {
            Self::Conversation(mut conversation) => {
                close(&mut conversation, desk, Conversation::evict);
            }
            Self::Decoder(_) => desk.evicted(name),
        }
    }
}

impl<'e> Desk<'e> {
    /// For what a flow's last packet left.
    pub(super) fn of(out: &'e mut Output, flow: &Flow, detail: &'e mut Detail, of: &Sensor) -> Self {
        let scope = stream_scope(flow, detail, &of.hash, out);
        let ts_ns = detail.last_ts_ns;
        Self { out, detail, scope, ts_ns }
    }
}

/// Of records of the flow; with its identity, unless nobody takes them.
pub(super) fn stream_scope(flow: &Flow, detail: &mut Detail, sensor: &SensorHash, out: &Output) -> Scope {
    let mut identity =
        || *detail.identity.get_or_insert_with(|| Identity::new(sensor, flow.key(), flow.first_number()));
    let identity = (!out.is_silent()).then(&mut identity);
    connection_scope(flow, detail, identity)
}

/// Tells the decoder of a flow of datagrams that this is over. One that panics costs its own records only.
fn finish_decoder(running: &mut Running, desk: &mut Desk<'_>) {
    desk.out.set_scope(desk.scope, false);
    let mark = desk.out.mark();
    if catch_unwind(AssertUnwindSafe(|| running.state.finish(desk.out))).is_err() {
        desk.out.truncate(mark);
    }
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
