//! Bytes that were never captured or can't be read: what of a conversation can still be told behind them.
//!
//! A record with another request's response is worse than none. So a connection is read on where lost bytes can be
//! counted as a body's; and else only of a client that waits for each response before its next request, with a mark
//! on what follows: where a message begins right behind the lost bytes, or what is behind its next request.

use weir_contract::WeirdReason;

use super::{AfterGap, Http, Next, Phase, Side, body::Body, message::Failure, more, start};
use crate::{
    cursor::{Cursor, Malformed},
    datagram::Probe,
    output::Output,
    stream::{Direction, Moment, Progress},
};

impl Http {
    /// Takes note of lost bytes of a direction.
    pub(super) fn miss(&mut self, length: u64, moment: &Moment, out: &mut Output) -> AfterGap {
        let Some(side) = self.side(moment.direction) else { return AfterGap::Stop };
        let lane = self.lane(side);
        lane.scanned = 0;
        let behind = match &mut lane.phase {
            Phase::Body(body) => body.gap(length, &mut lane.message),
            Phase::Decision => Some(0),
            _ => None,
        };
        if matches!(lane.phase, Phase::Body(Body::Length(0))) {
            self.end_message(side, moment, out);
        }
        if behind == Some(0) {
            return AfterGap::Continue;
        }
        if self.lose(side, Failure::Gap, out) { AfterGap::Continue } else { AfterGap::Stop }
    }

    /// Passes over what contradicts the protocol, if the connection can be read on behind it.
    pub(super) fn pass_over(
        &mut self,
        direction: Direction,
        malformed: Malformed,
        out: &mut Output,
    ) -> Result<(), Malformed> {
        let is_limit = malformed.reason == WeirdReason::Limit;
        self.broken = Some(if is_limit { Failure::Limit } else { Failure::Malformed });
        let Some(side) = self.side(direction).filter(|_| !is_limit && !self.pipelined) else { return Err(malformed) };
        match side {
            // The server will have its own mind of the request, and answers it.
            Side::Client => self.cut(side, out),
            Side::Server if !self.lose(side, Failure::Malformed, out) => return Err(malformed),
            Side::Server => {}
        }
        self.broken = None;
        let lane = self.lane(side);
        (lane.phase, lane.scanned, lane.may_switch) = (Phase::Skipped, 0, false);
        out.note(malformed);
        Ok(())
    }

    /// What the lost bytes may have belonged to is not waited for. Whether the direction can be read on.
    fn lose(&mut self, side: Side, why: Failure, out: &mut Output) -> bool {
        // A client that waits for each response may have sent one more request behind that whose response was lost.
        let may_follow = !self.pipelined && (side == Side::Client || self.open.len() <= 2);
        self.cut(side, out);
        let lane = self.lane(side);
        lane.phase = Phase::Lost;
        lane.may_switch = false;
        self.write_where(Some(why), out, |open| match side {
            Side::Client => open.is_over() || open.waits(),
            Side::Server => !open.is_asked(),
        });
        if !may_follow {
            self.broken = Some(why);
        }
        may_follow
    }

    /// A request begins, or a response has ended: the other side speaks next, and begins a message.
    pub(super) fn expect_message(&mut self, side: Side) {
        let lane = self.lane(side);
        if matches!(lane.phase, Phase::Skipped) {
            lane.phase = Phase::Expected;
        }
    }

    /// Goes on where a message begins. Right behind a gap none has to; then all is passed over until one is expected.
    pub(super) fn find_message(&mut self, side: Side, input: &Cursor<'_>) -> Next {
        let probed = match side {
            Side::Client => start::probe_request(input.peek()),
            Side::Server => start::probe_response(input.peek()),
        };
        let lane = self.lane(side);
        match (probed, lane.phase) {
            (Probe::Yes, _) => {
                (lane.phase, lane.was_lost) = (Phase::Between, true);
                Next::GoOn
            }
            (Probe::Unsure, _) => more(input, input.remaining() + 1),
            (Probe::No, Phase::Lost) => {
                lane.phase = Phase::Skipped;
                Next::GoOn
            }
            (Probe::No, _) => {
                self.broken = Some(Failure::Gap);
                Next::Return(Progress::Stop)
            }
        }
    }
}
