//! Bytes that were never captured: what of a conversation can still be told behind them.
//!
//! A record with another request's response is worse than none. So a connection is read on where the lost bytes
//! can be counted as a body's; or where a message begins right behind them and the client waits for each response
//! before its next request, with a mark on what follows.

use super::{AfterGap, Http, Next, Phase, Side, body::Body, message::Failure, more, start};
use crate::{
    cursor::Cursor,
    datagram::Probe,
    output::Output,
    stream::{Moment, Progress},
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
        // A client that waits for each response may have sent one more request behind that whose response was lost.
        let may_follow = !self.pipelined && (side == Side::Client || self.open.len() <= 2);
        self.lose(side, out);
        if may_follow {
            return AfterGap::Continue;
        }
        self.broken = Some(Failure::Gap);
        AfterGap::Stop
    }

    /// What the lost bytes may have belonged to is not waited for.
    fn lose(&mut self, side: Side, out: &mut Output) {
        self.cut(side);
        let lane = self.lane(side);
        lane.phase = Phase::Lost;
        lane.may_switch = false;
        self.write_where(Some(Failure::Gap), out, |open| match side {
            Side::Client => open.is_over() || open.waits(),
            Side::Server => !open.is_asked(),
        });
    }

    /// Goes on behind a gap where a message begins; nowhere else.
    pub(super) fn find_message(&mut self, side: Side, input: &Cursor<'_>) -> Next {
        let probed = match side {
            Side::Client => start::probe_request(input.peek()),
            Side::Server => start::probe_response(input.peek()),
        };
        match probed {
            Probe::Yes => {
                let lane = self.lane(side);
                (lane.phase, lane.was_lost) = (Phase::Between, true);
                Next::GoOn
            }
            Probe::Unsure => more(input, input.remaining() + 1),
            Probe::No => {
                self.broken = Some(Failure::Gap);
                Next::Return(Progress::Stop)
            }
        }
    }
}
