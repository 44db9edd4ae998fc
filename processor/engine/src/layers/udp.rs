//! UDP (RFC 768): one record per header.

use weir_contract::{WeirdReason, record};

use super::{Key, Layer, Next, Transport, Walk};
use crate::{
    checksum,
    cursor::{Cursor, Malformed},
    flow::{Compact, NO_WINDOW_SCALE, Ports, protocol},
};

pub(crate) struct Udp;

const HEADER_BYTES: usize = 8;

impl Layer for Udp {
    const NAME: &'static str = "udp";
    const KEYS: &'static [Key] = &[Key::IpProtocol(protocol::UDP)];

    fn parse<'a>(input: Cursor<'a>, walk: &mut Walk<'_>) -> Result<Next<'a>, Malformed> {
        parse(input, walk, protocol::UDP)
    }
}

/// Reads a header of either protocol, which differ in one field.
pub(super) fn parse<'a>(mut input: Cursor<'a>, walk: &mut Walk<'_>, ip_protocol: u8) -> Result<Next<'a>, Malformed> {
    let datagram = input.peek();
    let [s0, s1, d0, d1, l0, l1, c0, c1] = input.header(&[2, 2, 2, 2])?;
    let [src, dst, length, checksum] = [[s0, s1], [d0, d1], [l0, l1], [c0, c1]].map(u16::from_be_bytes);
    // UDP-Lite has the checksum's coverage in the place of the length; and 0 is a jumbogram's (RFC 2675 §4).
    let counts_payload = ip_protocol == protocol::UDP && length != 0;
    let announced = usize::from(length).checked_sub(HEADER_BYTES);
    let payload = match announced {
        Some(announced) if counts_payload => input.message_up_to(announced),
        _ => input.rest(),
    };
    // No more than the IP header leaves room for, which in a cut packet is more than was captured.
    let payload_bytes = match announced {
        Some(announced) if counts_payload => {
            announced.min(walk.ip.payload_bytes(datagram.len()).saturating_sub(HEADER_BYTES))
        }
        _ => payload.remaining(),
    };
    let payload_bytes = u32::try_from(payload_bytes).unwrap_or(u32::MAX);
    let found = walk.count(&Transport {
        protocol: ip_protocol,
        ports: Ports { src, dst, ..Ports::default() },
        header_bytes: HEADER_BYTES,
        payload_bytes,
        payload: payload.peek(),
        tcp: Compact { window_scale: NO_WINDOW_SCALE, ..Compact::default() },
        ..Transport::default()
    });
    let Some(found) = found else { return Ok(Next::End) };

    if walk.out().selects::<record::Udp>() {
        walk.set_packet_scope(found);
        let checksum_ok = checksum_ok(walk, datagram, ip_protocol, length, checksum);
        if let Some(mut udp) = walk.out().record::<record::Udp>() {
            if ip_protocol == protocol::UDP {
                udp.length_bytes = length.into();
            } else {
                udp.checksum_coverage_bytes = Some(length.into());
            }
            udp.checksum = checksum.into();
            udp.checksum_ok = checksum_ok;
            udp.payload_bytes = payload_bytes;
        }
    }
    if counts_payload && announced.is_none() {
        return Err(payload.malformed(WeirdReason::BadLength, "length is less than the header's 8 bytes"));
    }
    if counts_payload && walk.ip.is_complete && payload.remaining() < usize::from(length) - HEADER_BYTES {
        walk.weird(Udp::NAME, payload.malformed(WeirdReason::BadLength, "length is more than the datagram has"));
    }
    if let Some(key) = walk.tunnel_behind_udp((src, dst), payload.peek()) {
        return Ok(Next::Layer(key, payload));
    }
    walk.datagram(found, (src, dst), payload);
    Ok(Next::End)
}

/// Whether the checksum matches; `None` where there is none or the datagram was cut.
fn checksum_ok(walk: &Walk<'_>, datagram: &[u8], ip_protocol: u8, length: u16, checksum: u16) -> Option<bool> {
    let (src, dst) = walk.checksum_addresses()?;
    if checksum == 0 || !walk.ip.is_complete {
        return None;
    }
    let length = if length == 0 { datagram.len() } else { usize::from(length) };
    let covered = datagram.get(..length)?;
    let counted = if ip_protocol == protocol::UDP { covered.len() } else { datagram.len() };
    let pseudo_header = checksum::pseudo_header(src, dst, ip_protocol, counted as u64);
    Some(checksum::is_right(pseudo_header + checksum::sum(covered)))
}
