//! SCTP (RFC 9260 §3): one record per packet, with its chunks.

mod chunk;
mod crc32c;

use weir_contract::record;

use super::{Key, Layer, Next, Transport, Walk};
use crate::{
    cursor::{Cursor, Malformed},
    flow::{Compact, NO_WINDOW_SCALE, Ports, protocol},
};

pub(crate) struct Sctp;

const HEADER_BYTES: usize = 12;

impl Layer for Sctp {
    const NAME: &'static str = "sctp";
    const KEYS: &'static [Key] = &[Key::IpProtocol(protocol::SCTP)];

    fn parse<'a>(mut input: Cursor<'a>, walk: &mut Walk<'_>) -> Result<Next<'a>, Malformed> {
        let packet = input.peek();
        let mut header = Cursor::new(input.take(HEADER_BYTES)?);
        let src = header.u16()?;
        let dst = header.u16()?;
        let verification_tag = header.u32()?;
        let checksum = header.u32()?;
        let payload_bytes = walk.ip.payload_bytes(packet.len()).saturating_sub(HEADER_BYTES);
        let found = walk.count(&Transport {
            protocol: protocol::SCTP,
            ports: Ports { src, dst, ..Ports::default() },
            header_bytes: HEADER_BYTES,
            payload_bytes: u32::try_from(payload_bytes).unwrap_or(u32::MAX),
            payload: input.peek(),
            tcp: Compact { window_scale: NO_WINDOW_SCALE, ..Compact::default() },
            ..Transport::default()
        });
        let Some(found) = found else { return Ok(Next::End) };
        if !walk.out().selects::<record::Sctp>() {
            return Ok(Next::End);
        }
        walk.set_packet_scope(found);
        let checksum_ok = walk.ip.is_complete.then(|| crc32c::is_right(packet));
        let Some(mut sctp) = walk.out().record::<record::Sctp>() else { return Ok(Next::End) };
        sctp.verification_tag = verification_tag.into();
        sctp.checksum = checksum.into();
        sctp.checksum_ok = checksum_ok;
        let read = chunk::read_all(&mut input, &mut sctp);
        sctp.truncated = read.is_err();
        read.map(|()| Next::End)
    }
}

#[cfg(test)]
mod tests;
