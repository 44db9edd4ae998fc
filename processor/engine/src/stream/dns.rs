//! DNS over TCP (RFC 7766): messages with their length in front.

use serde::{Deserialize, Serialize};
use weir_contract::WeirdReason;

use super::{Direction, Moment, Progress, Stream};
use crate::{
    cursor::{Cursor, Malformed},
    datagram::{
        Probe, Requests,
        dns::{Flavour, RequestKey, is_message, may_begin, parse},
    },
    output::Output,
};

/// One connection's queries.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct DnsOverTcp {
    requests: Requests<RequestKey>,
}

const LENGTH_BYTES: usize = 2;
const HEADER_BYTES: usize = 12;

impl Stream for DnsOverTcp {
    const NAME: &'static str = "dns";
    const PORTS: &'static [u16] = &[53];

    fn probe(_direction: Direction, bytes: &[u8]) -> Probe {
        let Some((length, rest)) = bytes.split_first_chunk::<LENGTH_BYTES>() else { return Probe::Unsure };
        let length = usize::from(u16::from_be_bytes(*length));
        if length < HEADER_BYTES || !may_begin(rest, length) {
            return Probe::No;
        }
        match rest.get(..length) {
            Some(message) if is_message(message) => Probe::Yes,
            _ => Probe::Unsure,
        }
    }

    fn push(&mut self, mut input: Cursor<'_>, moment: &Moment, out: &mut Output) -> Result<Progress, Malformed> {
        loop {
            let consumed = input.position();
            let Ok(length) = input.u16() else {
                return Ok(Progress::More { consumed, need: LENGTH_BYTES });
            };
            let length = usize::from(length);
            if length < HEADER_BYTES {
                return Err(input.malformed(WeirdReason::BadLength, "length of less than a header"));
            }
            let Ok(message) = input.message_of(length) else {
                return Ok(Progress::More { consumed, need: LENGTH_BYTES + length });
            };
            if let Err(malformed) = parse(message, Flavour::Dns, moment.ts_ns, Some(&mut self.requests), out) {
                // The length says where the next one begins.
                out.note(malformed);
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A query for `example.com`, with its length in front.
    pub(in crate::stream) const QUERY: &[u8] =
        b"\0\x1d\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x07example\x03com\0\0\x01\0\x01";

    /// Its answer: 192.0.2.1.
    pub(in crate::stream) const ANSWER: &[u8] =
        b"\0\x2d\x12\x34\x81\x80\0\x01\0\x01\0\0\0\0\x07example\x03com\0\0\x01\0\x01\
        \xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\xc0\0\x02\x01";

    /// Two queries at once and their answers, and one more.
    pub(in crate::stream) fn conversation() -> Vec<(bool, Vec<u8>)> {
        let (queries, answers) = ([QUERY, QUERY].concat(), [ANSWER, ANSWER].concat());
        vec![(true, queries), (false, answers), (true, QUERY.to_vec()), (false, ANSWER.to_vec())]
    }

    #[test]
    fn it_is_known_by_length_and_question() {
        assert_eq!(DnsOverTcp::probe(Direction::Originator, QUERY), Probe::Yes);
        assert_eq!(DnsOverTcp::probe(Direction::Responder, ANSWER), Probe::Yes);
        for length in 0..QUERY.len() {
            assert_eq!(DnsOverTcp::probe(Direction::Originator, &QUERY[..length]), Probe::Unsure);
        }
        let others: [&[u8]; 4] = [
            b"GET / HTTP/1.1\r\n",
            b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03\x11\x22\x33",
            b"SSH-2.0-x\r\n....",
            &[0; 20],
        ];
        for other in others {
            assert_eq!(DnsOverTcp::probe(Direction::Originator, other), Probe::No);
        }
    }
}
