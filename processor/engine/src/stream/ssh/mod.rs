//! SSH up to where it is encrypted (RFC 4253): one record per connection.

mod algorithms;
mod record;
#[cfg(test)]
pub(super) mod tests;

use serde::{Deserialize, Serialize};
use weir_contract::WeirdReason;

use super::{AfterGap, Direction, Moment, Progress, Stream};
use crate::{
    cursor::{Cursor, Malformed},
    datagram::Probe,
    output::Output,
};

/// One connection.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Ssh {
    originator: Side,
    responder: Side,
    /// Who was seen to do what only a client does, or the other of who did what only a server does.
    client: Option<Direction>,
    /// Time of the first bytes, ns.
    since_ns: Option<i64>,
    /// Something is missing.
    truncated: bool,
    written: bool,
}

/// What one side has said.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Side {
    /// Its identification line, without the end.
    banner: Option<Vec<u8>>,
    /// Lines before it, which only a server may send.
    lines: u8,
    /// Its KEXINIT, behind the message's number.
    kexinit: Vec<u8>,
    /// Blob of the host key it presented.
    host_key: Vec<u8>,
    new_keys: bool,
}

/// The longest identification line, with its end (RFC 4253 §4.2).
const BANNER_BYTES_MAX: usize = 255;

/// Lines before it; with more this is no SSH.
const LINES_MAX: u8 = 64;

/// The longest packet that has to be understood (RFC 4253 §6.1).
const PACKET_BYTES_MAX: usize = 35_000;

/// Numbers of messages (RFC 4250 §4.1.2, RFC 4419 §5, RFC 5656 §7.1).
mod message {
    pub(super) const KEXINIT: u8 = 20;
    pub(super) const NEWKEYS: u8 = 21;
    pub(super) const KEX_INIT: u8 = 30;
    pub(super) const KEX_REPLY_OR_GROUP: u8 = 31;
    pub(super) const GROUP_EXCHANGE_INIT: u8 = 32;
    pub(super) const GROUP_EXCHANGE_REPLY: u8 = 33;
    pub(super) const GROUP_EXCHANGE_REQUEST: u8 = 34;
}

impl Stream for Ssh {
    const NAME: &'static str = "ssh";
    const PORTS: &'static [u16] = &[22];

    fn probe(_direction: Direction, bytes: &[u8]) -> Probe {
        const MAGIC: &[u8] = b"SSH-";
        match bytes.get(..MAGIC.len()) {
            Some(MAGIC) => match bytes.get(MAGIC.len()) {
                Some(b'1' | b'2') => Probe::Yes,
                Some(_) => Probe::No,
                None => Probe::Unsure,
            },
            None if MAGIC.starts_with(bytes) => Probe::Unsure,
            _ => Probe::No,
        }
    }

    fn push(&mut self, mut input: Cursor<'_>, moment: &Moment, out: &mut Output) -> Result<Progress, Malformed> {
        self.since_ns.get_or_insert(moment.ts_ns);
        let is_first_banner = self.side(moment.direction).banner.is_none();
        if is_first_banner && !self.read_banner(&mut input)?.is_some_and(|banner| self.keep_banner(moment, banner)) {
            return Ok(Progress::More { consumed: input.position(), need: 0 });
        }
        if self.speaks_version_1(moment.direction) {
            let both = self.originator.banner.is_some() && self.responder.banner.is_some();
            if both {
                self.write(out);
                return Ok(Progress::Stop);
            }
            return Ok(Progress::Skip { consumed: input.position(), length: u64::MAX });
        }
        self.read_packets(&mut input, moment, out)
    }

    fn gap(&mut self, _length: u64, _moment: &Moment, _out: &mut Output) -> AfterGap {
        self.truncated = true;
        AfterGap::Stop
    }

    fn finish(&mut self, out: &mut Output) {
        self.write(out);
    }

    fn held_bytes(&self) -> usize {
        let held = |side: &Side| side.kexinit.len() + side.host_key.len() + side.banner.as_ref().map_or(0, Vec::len);
        held(&self.originator) + held(&self.responder)
    }
}

impl Ssh {
    fn side(&mut self, direction: Direction) -> &mut Side {
        match direction {
            Direction::Originator => &mut self.originator,
            Direction::Responder => &mut self.responder,
        }
    }

    /// The next line, without its end; `None` where that has not come yet.
    fn read_banner<'a>(&mut self, input: &mut Cursor<'a>) -> Result<Option<&'a [u8]>, Malformed> {
        let bytes = input.peek();
        let Some(length) = bytes.iter().take(BANNER_BYTES_MAX).position(|&byte| byte == b'\n') else {
            if bytes.len() >= BANNER_BYTES_MAX {
                self.truncated = true;
                return Err(input.malformed(WeirdReason::BadLength, "an identification line of more than 255 bytes"));
            }
            return Ok(None);
        };
        let line = input.take(length)?;
        input.skip(1)?;
        Ok(Some(line.strip_suffix(b"\r").unwrap_or(line)))
    }

    /// Keeps a line if it is the identification; false where that is yet to come.
    fn keep_banner(&mut self, moment: &Moment, line: &[u8]) -> bool {
        let side = self.side(moment.direction);
        if line.starts_with(b"SSH-") || side.lines == LINES_MAX {
            side.banner = Some(line.to_vec());
            return true;
        }
        side.lines += 1;
        false
    }

    /// Whether a side speaks version 1 only, whose packets are others.
    fn speaks_version_1(&mut self, direction: Direction) -> bool {
        let banner = self.side(direction).banner.as_deref().unwrap_or_default();
        banner.starts_with(b"SSH-1.") && !banner.starts_with(b"SSH-1.99")
    }

    fn read_packets(
        &mut self,
        input: &mut Cursor<'_>,
        moment: &Moment,
        out: &mut Output,
    ) -> Result<Progress, Malformed> {
        loop {
            let consumed = input.position();
            let Ok(length) = input.u32() else { return Ok(Progress::More { consumed, need: 4 }) };
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            if !(2..=PACKET_BYTES_MAX).contains(&length) {
                self.truncated = true;
                return Err(input.malformed(WeirdReason::BadLength, "a packet of less than 2 or more than 35000 bytes"));
            }
            let Ok(mut packet) = input.message_of(length) else {
                return Ok(Progress::More { consumed, need: 4 + length });
            };
            let padding = usize::from(packet.u8()?);
            let Some(payload_bytes) = packet.remaining().checked_sub(padding) else {
                self.truncated = true;
                return Err(packet.malformed(WeirdReason::BadLength, "padding longer than its packet"));
            };
            let mut payload = packet.message_of(payload_bytes)?;
            if payload.is_empty() {
                continue;
            }
            let number = payload.u8()?;
            self.read_message(number, payload, moment.direction);
            if number == message::NEWKEYS {
                if self.originator.new_keys && self.responder.new_keys {
                    self.write(out);
                    return Ok(Progress::Stop);
                }
                return Ok(Progress::Skip { consumed: input.position(), length: u64::MAX });
            }
        }
    }

    fn read_message(&mut self, number: u8, mut payload: Cursor<'_>, direction: Direction) {
        match number {
            message::KEXINIT => self.side(direction).kexinit = payload.peek().to_vec(),
            message::NEWKEYS => self.side(direction).new_keys = true,
            message::KEX_INIT | message::GROUP_EXCHANGE_INIT | message::GROUP_EXCHANGE_REQUEST => {
                self.client = Some(direction);
            }
            message::KEX_REPLY_OR_GROUP | message::GROUP_EXCHANGE_REPLY => {
                self.client = Some(direction.other());
                let is_group = number == message::KEX_REPLY_OR_GROUP && self.exchanges_groups();
                if let Some(host_key) = (!is_group).then(|| string(&mut payload).ok()).flatten() {
                    self.side(direction).host_key = host_key.peek().to_vec();
                }
            }
            _ => {}
        }
    }

    /// Whether the key exchange agreed on asks for a group first, so that message 31 has no host key.
    fn exchanges_groups(&mut self) -> bool {
        let (client, server) = self.client_and_server();
        algorithms::agreed(&client.kexinit, &server.kexinit, 0)
            .is_some_and(|name| name.starts_with(b"diffie-hellman-group-exchange"))
    }

    fn client_and_server(&self) -> (&Side, &Side) {
        match self.client.unwrap_or_default() {
            Direction::Originator => (&self.originator, &self.responder),
            Direction::Responder => (&self.responder, &self.originator),
        }
    }
}

/// Bytes behind their length (RFC 4251 §5).
fn string<'a>(input: &mut Cursor<'a>) -> Result<Cursor<'a>, Malformed> {
    let length = usize::try_from(input.u32()?).unwrap_or(usize::MAX);
    input.message_of(length)
}
