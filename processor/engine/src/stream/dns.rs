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
