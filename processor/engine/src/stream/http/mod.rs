//! HTTP/1.0 and 1.1 (RFC 9110, 9112): one record per request with its response.
//!
//! Heads are kept as lines until their transaction is written, so that a field is looked at once. Bodies are
//! passed over, unless records of files are asked for. HTTP/0.9, which has neither version nor header, is not read.

mod authorization;
mod body;
mod cookie;
mod file;
mod framing;
mod gap;
mod lines;
mod message;
mod record;
mod start;

#[cfg(test)]
pub(super) mod tests;

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use weir_contract::WeirdReason;

use self::{
    body::{Body, Step},
    framing::{Facts, Framing},
    lines::next_line,
    message::{Failure, Message, Method, Part, Transaction},
    start::{
        RESPONSE_START, RequestLine, StatusLine, is_informational, kept, may_begin, no_message, note_version,
        skip_empty_lines,
    },
};
use super::{AfterGap, Direction, Moment, Progress, Stream};
use crate::{
    cursor::{Cursor, Malformed},
    datagram::Probe,
    output::Output,
};

/// Requests that wait for their responses at once.
const OPEN_MAX: usize = 256;

/// Bytes of a header that are kept until its record is written.
const HEAD_KEPT_MAX: usize = 64 << 10;

/// Bytes of all headers of a connection that are kept, but for so many of each.
const HELD_MAX: usize = 512 << 10;
const HEAD_KEPT_MIN: usize = 4 << 10;

/// One connection.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Http {
    /// Who asks. `None` until a first message began.
    client: Option<Direction>,
    requests: Lane,
    responses: Lane,
    /// Transactions that are not over, in the order of their requests.
    open: VecDeque<Transaction>,
    /// Transactions so far.
    depth: u32,
    /// Several requests were waiting when a response came: the client does not wait for one before the next.
    pipelined: bool,
    /// Why the stream is not read on.
    broken: Option<Failure>,
}

/// Who sends what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Client,
    Server,
}

/// One direction.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Lane {
    phase: Phase,
    /// Bytes behind those consumed that hold no end of line.
    scanned: usize,
    /// The transaction of the message that is read, by its depth.
    transaction: u32,
    /// What is kept of that message.
    message: Message,
    /// Behind the message may begin another protocol, as the response will tell.
    may_switch: bool,
    /// The message to come is the first behind a gap.
    was_lost: bool,
}

/// Where in a direction the next byte stands.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
enum Phase {
    /// Between messages.
    #[default]
    Between,
    /// In front of the first line of a message, some of which may have been seen.
    FirstLine,
    Header,
    Body(Body),
    /// Behind a request after which another protocol may begin.
    Decision,
    /// Behind bytes that were never captured.
    Lost,
    /// In what can't be read.
    Skipped,
    /// Behind it, where a message has to begin.
    Expected,
}

/// What to do after a step.
enum Next {
    GoOn,
    Return(Progress),
}

/// What is behind the header of a response.
enum Follows {
    Body(Framing),
    /// Another message: the response is only an informational one.
    Message,
    /// Another protocol.
    Protocol,
}

impl Stream for Http {
    const NAME: &'static str = "http";
    const PORTS: &'static [u16] = &[80, 3128, 8000, 8080];

    fn probe(_direction: Direction, bytes: &[u8]) -> Probe {
        start::probe(bytes)
    }

    fn push(&mut self, mut input: Cursor<'_>, moment: &Moment, out: &mut Output) -> Result<Progress, Malformed> {
        loop {
            match self.step(&mut input, moment, out) {
                Ok(Next::GoOn) => {}
                Ok(Next::Return(progress)) => return Ok(progress),
                Err(malformed) => self.pass_over(moment.direction, malformed, out)?,
            }
        }
    }

    fn gap(&mut self, length: u64, moment: &Moment, out: &mut Output) -> AfterGap {
        self.miss(length, moment, out)
    }

    fn end(&mut self, moment: &Moment, out: &mut Output) {
        let Some(side) = self.side(moment.direction) else { return };
        let lane = self.lane(side);
        if matches!(lane.phase, Phase::Body(Body::UntilClose)) {
            let last = Moment { ts_ns: lane.message.last_ns, ..*moment };
            self.end_message(side, &last, out);
        }
        self.cut(side, out);
        match side {
            Side::Client => self.write_over(out),
            // No more responses will come.
            Side::Server => self.write_where(None, out, |open| !open.is_asked()),
        }
    }

    fn finish(&mut self, out: &mut Output) {
        self.write_all(out);
    }

    fn held_bytes(&self) -> usize {
        let open: usize = self.open.iter().map(Transaction::held_bytes).sum();
        open + self.requests.message.held_bytes() + self.responses.message.held_bytes()
    }
}

impl Http {
    fn step(&mut self, input: &mut Cursor<'_>, moment: &Moment, out: &mut Output) -> Result<Next, Malformed> {
        if self.client.is_none() && !self.find_client(input, moment.direction) {
            return Ok(more(input, RESPONSE_START.len()));
        }
        let Some(side) = self.side(moment.direction) else { return Ok(more(input, 0)) };
        match self.lane(side).phase {
            Phase::Between => Ok(self.begin_message(side, input, moment)),
            Phase::FirstLine => self.read_first_line(side, input, moment, out),
            Phase::Header => self.read_header(side, input, moment, out),
            Phase::Body(_) => self.read_body(side, input, moment, out),
            Phase::Decision => Ok(self.await_decision(input)),
            Phase::Lost | Phase::Expected => Ok(self.find_message(side, input)),
            Phase::Skipped => {
                input.rest();
                Ok(more(input, 0))
            }
        }
    }

    /// Tells by the first bytes who asks; false as long as they are too few.
    fn find_client(&mut self, input: &mut Cursor<'_>, direction: Direction) -> bool {
        skip_empty_lines(input);
        let start = input.peek();
        if start.starts_with(RESPONSE_START) {
            self.client = Some(direction.other());
        } else if !RESPONSE_START.starts_with(start) {
            self.client = Some(direction);
        }
        self.client.is_some()
    }

    fn side(&self, direction: Direction) -> Option<Side> {
        self.client.map(|client| if client == direction { Side::Client } else { Side::Server })
    }

    fn lane(&mut self, side: Side) -> &mut Lane {
        match side {
            Side::Client => &mut self.requests,
            Side::Server => &mut self.responses,
        }
    }

    fn begin_message(&mut self, side: Side, input: &mut Cursor<'_>, moment: &Moment) -> Next {
        skip_empty_lines(input);
        if input.is_empty() {
            return more(input, 0);
        }
        let lane = self.lane(side);
        // What is behind a gap may belong to something else than it seems.
        let gap = std::mem::take(&mut lane.was_lost);
        lane.message = Message { first_ns: moment.ts_ns, gap, ..Message::default() };
        lane.phase = Phase::FirstLine;
        Next::GoOn
    }

    fn read_first_line(
        &mut self,
        side: Side,
        input: &mut Cursor<'_>,
        moment: &Moment,
        out: &mut Output,
    ) -> Result<Next, Malformed> {
        if side == Side::Server && input.remaining() < RESPONSE_START.len() {
            return Ok(more(input, RESPONSE_START.len()));
        }
        if !may_begin(side, input) {
            return Err(no_message(side, input));
        }
        let lane = self.lane(side);
        lane.message.last_ns = moment.ts_ns;
        let Some(line) = next_line(input, &mut lane.scanned)? else { return Ok(more(input, 0)) };
        match side {
            Side::Client => {
                let Some(request) = RequestLine::of(line.text) else {
                    return Err(no_message(side, input));
                };
                note_version(request.version, input, out);
                let parts = [request.method, b" ", kept(request.target), b" HTTP/", request.version];
                lane.message.head.push_first(line, &parts, input, out);
                self.begin_request(Method::of(request.method), input)?;
            }
            Side::Server => {
                let Some(status) = StatusLine::of(line.text) else {
                    return Err(no_message(side, input));
                };
                note_version(status.version, input, out);
                let code = status.code.to_string();
                let parts = [b"HTTP/", status.version, b" ", code.as_bytes(), b" ", kept(status.reason)];
                lane.message.head.push_first(line, &parts, input, out);
                self.begin_response(&status, input)?;
            }
        }
        self.lane(side).phase = Phase::Header;
        Ok(Next::GoOn)
    }

    fn begin_request(&mut self, method: Method, input: &Cursor<'_>) -> Result<(), Malformed> {
        let transaction = self.open_transaction(input)?;
        transaction.method = method;
        transaction.request = Part::Reading;
        self.requests.transaction = self.depth;
        self.expect_message(Side::Server);
        Ok(())
    }

    /// A response belongs to the first request that has none; informational ones come before it.
    fn begin_response(&mut self, status: &StatusLine<'_>, input: &Cursor<'_>) -> Result<(), Malformed> {
        let mut waiting = self.open.iter().filter(|open| open.waits());
        let depth = waiting.next().map(|open| open.depth);
        self.pipelined |= waiting.next().is_some();
        self.responses.transaction = depth.unwrap_or_default();
        if is_informational(status.code) {
            return Ok(());
        }
        if depth.is_none() {
            self.responses.transaction = self.open_transaction(input)?.depth;
        }
        if let Some(transaction) = self.transaction(self.responses.transaction) {
            transaction.response = Part::Reading;
        }
        Ok(())
    }

    fn open_transaction(&mut self, input: &Cursor<'_>) -> Result<&mut Transaction, Malformed> {
        if self.open.len() >= OPEN_MAX {
            return Err(input.malformed(WeirdReason::Limit, "more than 256 requests without a response"));
        }
        self.depth = self.depth.saturating_add(1);
        Ok(self.open.push_back_mut(Transaction { depth: self.depth, ..Transaction::default() }))
    }

    fn read_header(
        &mut self,
        side: Side,
        input: &mut Cursor<'_>,
        moment: &Moment,
        out: &mut Output,
    ) -> Result<Next, Malformed> {
        let lane = self.lane(side);
        lane.message.last_ns = moment.ts_ns;
        let Some(line) = next_line(input, &mut lane.scanned)? else { return Ok(more(input, 0)) };
        if !line.text.is_empty() {
            lane.message.head.push(line, input, out)?;
            return Ok(Next::GoOn);
        }
        lane.message.head.push_last(line, input, out);
        let facts = Facts::of(&lane.message.head, input, out);
        lane.message.content_length = facts.content_length;
        let kept = HELD_MAX.saturating_sub(self.held_bytes()).clamp(HEAD_KEPT_MIN, HEAD_KEPT_MAX);
        self.lane(side).message.head.keep(kept);
        let framing = match side {
            Side::Client => {
                let is_connect = |open: &mut Transaction| open.method == Method::Connect;
                let connects = self.transaction(self.requests.transaction).is_some_and(is_connect);
                self.requests.may_switch = facts.upgrade || connects;
                facts.of_request(input)?
            }
            Side::Server => match self.decide_response(&facts, input, moment, out)? {
                Follows::Body(framing) => framing,
                Follows::Message => return Ok(Next::GoOn),
                Follows::Protocol => return Ok(Next::Return(Progress::Switch { consumed: input.position() })),
            },
        };
        match Body::of(framing) {
            Some(body) => {
                let lane = self.lane(side);
                lane.message.content = file::begin(&lane.message.head, out);
                lane.phase = Phase::Body(body);
            }
            None => self.end_message(side, moment, out),
        }
        Ok(Next::GoOn)
    }

    /// Reads what a response means for the connection.
    fn decide_response(
        &mut self,
        facts: &Facts,
        input: &Cursor<'_>,
        moment: &Moment,
        out: &mut Output,
    ) -> Result<Follows, Malformed> {
        let code = StatusLine::of(self.responses.message.head.first()).map_or(0, |status| status.code);
        let depth = self.responses.transaction;
        if is_informational(code) {
            if let Some(transaction) = self.transaction(depth) {
                transaction.informational = (transaction.informational.0.saturating_add(1), code);
            }
            (self.responses.phase, self.responses.transaction) = (Phase::Between, 0);
            return Ok(Follows::Message);
        }
        let Some(transaction) = self.transaction(depth) else { return facts.of_response(input).map(Follows::Body) };
        let method = transaction.method;
        if code == 101 || method == Method::Connect && (200..300).contains(&code) {
            transaction.switched = true;
            self.end_message(Side::Server, moment, out);
            return Ok(Follows::Protocol);
        }
        if method == Method::Head || code == 204 || code == 304 {
            return Ok(Follows::Body(Framing::Nothing));
        }
        facts.of_response(input).map(Follows::Body)
    }

    fn read_body(
        &mut self,
        side: Side,
        input: &mut Cursor<'_>,
        moment: &Moment,
        out: &mut Output,
    ) -> Result<Next, Malformed> {
        let lane = self.lane(side);
        let Phase::Body(body) = &mut lane.phase else { return Ok(Next::GoOn) };
        lane.message.last_ns = moment.ts_ns;
        Ok(match body.read(&mut lane.message, &mut lane.scanned, input, out)? {
            Step::Ended => {
                self.end_message(side, moment, out);
                Next::GoOn
            }
            Step::Wants => more(input, 0),
            Step::Skip(length) => Next::Return(Progress::Skip { consumed: input.position(), length }),
        })
    }

    /// A message was read to its end.
    fn end_message(&mut self, side: Side, moment: &Moment, out: &mut Output) {
        let lane = self.lane(side);
        let mut message = std::mem::take(&mut lane.message);
        message.last_ns = moment.ts_ns;
        let depth = std::mem::take(&mut lane.transaction);
        let decides = std::mem::take(&mut lane.may_switch);
        lane.phase = if decides { Phase::Decision } else { Phase::Between };
        file::write(&mut message, depth, true, self.is_from_responder(side), out);
        self.put(side, depth, Part::Whole(message));
        self.write_over(out);
        if side == Side::Server {
            self.expect_message(Side::Client);
        }
    }

    /// What is read of a message, if one is, is all that will be.
    fn cut(&mut self, side: Side, out: &mut Output) {
        let lane = self.lane(side);
        let mut message = std::mem::take(&mut lane.message);
        let depth = std::mem::take(&mut lane.transaction);
        file::write(&mut message, depth, false, self.is_from_responder(side), out);
        self.put(side, depth, Part::Cut(message));
    }

    fn put(&mut self, side: Side, depth: u32, part: Part) {
        let Some(transaction) = self.transaction(depth) else { return };
        let place = match side {
            Side::Client => &mut transaction.request,
            Side::Server => &mut transaction.response,
        };
        // An informational response has no place in the record.
        if matches!(place, Part::Reading) {
            *place = part;
        }
    }

    fn transaction(&mut self, depth: u32) -> Option<&mut Transaction> {
        let at = self.open.binary_search_by_key(&depth, |open| open.depth).ok()?;
        self.open.get_mut(at)
    }

    /// Behind a request that may end in another protocol, the response has the word.
    fn await_decision(&mut self, input: &Cursor<'_>) -> Next {
        let is_answered = !self.open.iter().any(Transaction::waits);
        if !is_answered || matches!(self.responses.phase, Phase::FirstLine | Phase::Header) {
            return Next::Return(Progress::Wait { consumed: input.position() });
        }
        self.requests.phase = Phase::Between;
        Next::GoOn
    }

    /// Writes the transactions that are over.
    fn write_over(&mut self, out: &mut Output) {
        self.write_where(None, out, Transaction::is_over);
    }

    /// Writes some transactions; `otherwise` is the state of those that did not end well.
    fn write_where(&mut self, otherwise: Option<Failure>, out: &mut Output, is_written: impl Fn(&Transaction) -> bool) {
        let is_reversed = self.is_reversed();
        self.open.retain(|open| {
            let is_written = is_written(open);
            if is_written {
                record::write(open, open.state(otherwise), is_reversed, out);
            }
            !is_written
        });
    }

    /// Writes all transactions: nothing more will belong to them.
    fn write_all(&mut self, out: &mut Output) {
        self.cut(Side::Client, out);
        self.cut(Side::Server, out);
        self.write_where(self.broken, out, |_| true);
    }

    fn is_from_responder(&self, side: Side) -> bool {
        (side == Side::Server) != self.is_reversed()
    }

    /// Whether the responder asks.
    fn is_reversed(&self) -> bool {
        self.client == Some(Direction::Responder)
    }
}

/// Asks for more; `need` bytes where fewer tell nothing.
fn more(input: &Cursor<'_>, need: usize) -> Next {
    Next::Return(Progress::More { consumed: input.position(), need })
}
