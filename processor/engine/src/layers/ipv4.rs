//! IPv4 (RFC 791 §3.1): one record per header, fragments put together.

use std::net::{IpAddr, Ipv4Addr};

use weir_contract::{WeirdReason, record};

use super::{IpHeader, Key, Layer, Next, Walk};
use crate::{
    checksum,
    cursor::{Cursor, Malformed},
    defrag::{Fragment, FragmentKey},
    limits::LIST_MAX,
    names::ip_protocol_name,
};

pub(crate) struct Ipv4;

const HEADER_BYTES: usize = 20;

impl Layer for Ipv4 {
    const NAME: &'static str = "ipv4";
    const KEYS: &'static [Key] = &[Key::LinkType(228), Key::EtherType(0x0800)];

    fn parse<'a>(mut input: Cursor<'a>, walk: &mut Walk<'_>) -> Result<Next<'a>, Malformed> {
        let bytes = input.peek();
        let header = Header::read(&mut input)?;
        walk.set_addresses(header.src.into(), header.dst.into());
        if header.version != 4 {
            return Err(input.at(0).malformed(WeirdReason::BadVersion, "version is not 4"));
        }
        if header.header_bytes < HEADER_BYTES {
            return Err(input.at(0).malformed(WeirdReason::BadLength, "header length is less than 20 bytes"));
        }
        let options = input.message_of(header.header_bytes - HEADER_BYTES)?;
        write_record(walk, &header, bytes, options);

        let payload = payload(&mut input, &header, walk);
        let is_complete = payload.remaining() == header.payload_bytes();
        // A packet that was captured in full has no more than there is, whatever it says.
        let payload_bytes = if walk.is_truncated() { header.payload_bytes() } else { payload.remaining() };
        let total_bytes = header.header_bytes + payload_bytes;
        walk.ip = IpHeader {
            total_bytes: u32::try_from(total_bytes).unwrap_or(u32::MAX),
            ttl: header.ttl,
            fragments: 1,
            payload_bytes,
            is_complete,
            last_destination: last_destination(options),
            ..IpHeader::default()
        };
        if header.more_fragments() || header.fragment_offset() > 0 {
            return Ok(reassemble(walk, &header, payload));
        }
        Ok(Next::Layer(Key::IpProtocol(header.protocol), payload))
    }
}

struct Header {
    version: u8,
    header_bytes: usize,
    tos: u8,
    /// Total length; what was captured where the field is 0, since the network card fills it in.
    total_bytes: u32,
    total_field: u16,
    identification: u16,
    flags_and_offset: u16,
    ttl: u8,
    protocol: u8,
    checksum: u16,
    src: Ipv4Addr,
    dst: Ipv4Addr,
}

impl Header {
    fn read(input: &mut Cursor<'_>) -> Result<Self, Malformed> {
        let available = input.remaining_u32();
        let [v, tos, t0, t1, i0, i1, f0, f1, ttl, protocol, c0, c1, s0, s1, s2, s3, d0, d1, d2, d3] =
            input.header(&[1, 1, 2, 2, 2, 1, 1, 2, 4, 4])?;
        let total_field = u16::from_be_bytes([t0, t1]);
        Ok(Self {
            version: v >> 4,
            header_bytes: usize::from(v & 15) * 4,
            tos,
            total_bytes: if total_field == 0 { available } else { total_field.into() },
            total_field,
            identification: u16::from_be_bytes([i0, i1]),
            flags_and_offset: u16::from_be_bytes([f0, f1]),
            ttl,
            protocol,
            checksum: u16::from_be_bytes([c0, c1]),
            src: [s0, s1, s2, s3].into(),
            dst: [d0, d1, d2, d3].into(),
        })
    }

    fn payload_bytes(&self) -> usize {
        usize::try_from(self.total_bytes).unwrap_or(usize::MAX).saturating_sub(self.header_bytes)
    }

    fn more_fragments(&self) -> bool {
        self.flags_and_offset & 0x2000 != 0
    }

    fn fragment_offset(&self) -> u32 {
        u32::from(self.flags_and_offset & 0x1fff) * 8
    }
}

/// The last address of a source route that the packet has not come to the end of (RFC 791 §3.1).
fn last_destination(mut options: Cursor<'_>) -> Option<IpAddr> {
    while !options.is_empty() {
        let option_type = options.u8().ok()?;
        if option_type == NO_OPERATION {
            continue;
        }
        if option_type == END_OF_OPTIONS {
            return None;
        }
        let length = usize::from(options.u8().ok()?);
        let data = options.take(length.checked_sub(2)?).ok()?;
        if matches!(option_type, LOOSE_SOURCE_ROUTE | STRICT_SOURCE_ROUTE) {
            let (&pointer, route) = data.split_first()?;
            let last = Ipv4Addr::from(*route.last_chunk::<4>()?);
            return (usize::from(pointer) <= length).then_some(last.into());
        }
    }
    None
}

/// The bytes that the header counts as payload, as far as they were captured. What is behind them is
/// padding of the link layer.
fn payload<'a>(input: &mut Cursor<'a>, header: &Header, walk: &mut Walk<'_>) -> Cursor<'a> {
    let total = usize::try_from(header.total_bytes).unwrap_or(usize::MAX);
    if total < header.header_bytes {
        walk.weird(Ipv4::NAME, input.malformed(WeirdReason::BadLength, "total length is less than the header's"));
    } else if header.payload_bytes() > input.remaining() && !walk.is_truncated() {
        walk.weird(Ipv4::NAME, input.malformed(WeirdReason::BadLength, "total length is more than the packet has"));
    }
    input.message_up_to(header.payload_bytes())
}

fn reassemble<'a>(walk: &mut Walk<'_>, header: &Header, payload: Cursor<'a>) -> Next<'a> {
    let key = FragmentKey {
        partition_key: walk.arrival.partition_key,
        src: IpAddr::V4(header.src),
        dst: IpAddr::V4(header.dst),
        identification: header.identification.into(),
        protocol: header.protocol,
        encapsulation_id: walk.encapsulation.id,
    };
    let fragment = Fragment {
        key,
        protocol: header.protocol,
        offset: header.fragment_offset(),
        more: header.more_fragments(),
        payload: payload.peek(),
        ip_bytes: walk.ip.total_bytes,
        ts_ns: walk.arrival.packet.ts_ns,
        packet_number: walk.arrival.packet.number,
        sensor: walk.arrival.seen.sensor,
    };
    walk.fragment(Ipv4::NAME, &fragment, payload)
}

fn write_record(walk: &mut Walk<'_>, header: &Header, bytes: &[u8], mut options: Cursor<'_>) {
    let Some(mut ipv4) = walk.out().record::<record::Ipv4>() else { return };
    ipv4.version = header.version.into();
    ipv4.header_bytes = u32::try_from(header.header_bytes).unwrap_or_default();
    ipv4.dscp = (header.tos >> 2).into();
    ipv4.ecn = (header.tos & 3).into();
    ipv4.total_bytes = header.total_field.into();
    ipv4.identification = header.identification.into();
    ipv4.reserved_flag = header.flags_and_offset & 0x8000 != 0;
    ipv4.dont_fragment = header.flags_and_offset & 0x4000 != 0;
    ipv4.more_fragments = header.more_fragments();
    ipv4.fragment_offset_bytes = header.fragment_offset();
    ipv4.ttl = header.ttl.into();
    ipv4.protocol = header.protocol.into();
    ipv4.protocol_name.push_str(ip_protocol_name(header.protocol));
    ipv4.checksum = header.checksum.into();
    ipv4.checksum_ok = bytes.get(..header.header_bytes).map(|header| checksum::is_right(checksum::sum(header)));
    ipv4.payload_bytes = u32::try_from(header.payload_bytes()).unwrap_or(u32::MAX);
    while ipv4.options.len() < LIST_MAX {
        let Ok(option_type) = options.u8() else { return };
        let mut option: record::IpOption = ipv4.spare();
        option.r#type = option_type.into();
        option.name.push_str(option_name(option_type));
        let read = read_option(&mut options, option_type, &mut option.data);
        ipv4.options.push(option);
        match read {
            Ok(()) if option_type == END_OF_OPTIONS => return,
            Ok(()) => {}
            Err(malformed) => return ipv4.note(malformed),
        }
    }
}

const END_OF_OPTIONS: u8 = 0;
const NO_OPERATION: u8 = 1;
const LOOSE_SOURCE_ROUTE: u8 = 131;
const STRICT_SOURCE_ROUTE: u8 = 137;

/// RFC 791 §3.1: end and no-operation are one octet, all others have a length that counts itself.
fn read_option(options: &mut Cursor<'_>, option_type: u8, data: &mut Vec<u8>) -> Result<(), Malformed> {
    if matches!(option_type, END_OF_OPTIONS | NO_OPERATION) {
        return Ok(());
    }
    let length = usize::from(options.u8()?);
    let Some(length) = length.checked_sub(2) else {
        return Err(options.malformed(WeirdReason::BadLength, "option length is less than 2"));
    };
    data.extend_from_slice(options.take(length)?);
    Ok(())
}

/// IANA registry of IP option numbers.
fn option_name(option_type: u8) -> &'static str {
    match option_type {
        END_OF_OPTIONS => "end",
        NO_OPERATION => "no-operation",
        7 => "record-route",
        68 => "timestamp",
        82 => "traceroute",
        130 => "security",
        LOOSE_SOURCE_ROUTE => "loose-source-route",
        136 => "stream-id",
        STRICT_SOURCE_ROUTE => "strict-source-route",
        148 => "router-alert",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use weir_contract::record;

    use crate::testing::{ETHERNET, batch, decode, decode_batch, ipv4, udp};

    /// A datagram of 12 bytes of payload whose IP and UDP headers claim some 1,000.
    fn lying_lengths() -> Vec<u8> {
        let mut frame = udp(1, 2, b"twelve bytes");
        frame[16..18].copy_from_slice(&1_048_u16.to_be_bytes());
        frame[38..40].copy_from_slice(&1_028_u16.to_be_bytes());
        frame
    }

    #[test]
    fn a_packet_captured_in_full_counts_no_more_than_it_has() {
        let records = decode(ETHERNET, &[lying_lengths()]);
        assert_eq!(records.weirds(), ["ipv4 BadLength: total length is more than the packet has"]);
        assert_eq!(records.of::<record::Ipv4>()[0].total_bytes, 1_048);
        assert_eq!(records.of::<record::Udp>()[0].payload_bytes, 12);
        let connection = &records.of::<record::Connection>()[0];
        assert_eq!((connection.orig_ip_bytes, connection.orig_payload_bytes), (40, 12));
    }

    #[test]
    fn a_checksum_covers_the_end_of_a_source_route() {
        let frame = |pointer: u8, checksum: u16| {
            // Loose source route of 7 bytes to 10.0.0.9, end of options; UDP from port 1 to port 2 without payload.
            let options = [131, 7, pointer, 10, 0, 0, 9, 0];
            let [high, low] = checksum.to_be_bytes();
            let mut frame = ipv4(17, &[&options[..], &[0, 1, 0, 2, 0, 8, high, low]].concat());
            frame[14] = 0x47;
            frame
        };
        // Over 10.0.0.1, the destination, protocol, length, header and length again.
        let checksum = |last: u16| !(0x0a00 + 1 + 0x0a00 + last + 17 + 8 + 1 + 2 + 8);
        let is_right = |frame| decode(ETHERNET, &[frame]).of::<record::Udp>()[0].checksum_ok;
        assert_eq!(is_right(frame(4, checksum(9))), Some(true));
        assert_eq!(is_right(frame(4, checksum(2))), Some(false));
        // The pointer is behind the route: the packet has come to its end.
        assert_eq!(is_right(frame(8, checksum(2))), Some(true));
    }

    #[test]
    fn a_packet_captured_in_part_counts_what_it_had() {
        let mut batch = batch(ETHERNET, &[lying_lengths()]);
        batch.original_length[0] = 14 + 1_048;
        let records = decode_batch(&batch);
        assert_eq!(records.weirds(), Vec::<String>::new());
        let connection = &records.of::<record::Connection>()[0];
        assert_eq!((connection.orig_ip_bytes, connection.orig_payload_bytes), (1_048, 1_020));
    }
}
