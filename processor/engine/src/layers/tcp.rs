//! TCP (RFC 9293 §3.1): one record per header.

use weir_contract::{WeirdReason, record};

use super::{Key, Layer, Next, Transport, Walk};
use crate::{
    checksum,
    cursor::{Cursor, Malformed},
    flow::{Compact, NO_WINDOW_SCALE, Ports, flag, protocol},
    limits::LIST_MAX,
    output::Draft,
    stream::Segment,
};

pub(crate) struct Tcp;

const HEADER_BYTES: usize = 20;

impl Layer for Tcp {
    const NAME: &'static str = "tcp";
    const KEYS: &'static [Key] = &[Key::IpProtocol(protocol::TCP)];

    fn parse<'a>(mut input: Cursor<'a>, walk: &mut Walk<'_>) -> Result<Next<'a>, Malformed> {
        let segment = input.peek();
        let src = input.u16()?;
        let dst = input.u16()?;
        let ports = Ports { src, dst, ..Ports::default() };
        let read = Header::read(&mut input);
        let Ok(header) = read else {
            // The ports alone make the flow; without flags it is none of TCP's states.
            walk.count(&Transport { protocol: protocol::TCP, ports, ..Transport::default() });
            return read.map(|_| Next::End);
        };
        // What the IP header counts, not what was captured: a cut packet sent no less.
        let payload_bytes = walk.ip.payload_bytes(segment.len()).saturating_sub(header.header_bytes);
        let payload = segment.get(header.header_bytes..).unwrap_or_default();
        let options = input.message_up_to(header.header_bytes.saturating_sub(HEADER_BYTES));
        let payload_bytes = u32::try_from(payload_bytes).unwrap_or(u32::MAX);
        let found = walk.count(&Transport {
            protocol: protocol::TCP,
            ports,
            header_bytes: header.header_bytes,
            payload_bytes,
            payload,
            acknowledgement: header.acknowledgement,
            tcp: compact(&header, options),
        });
        let Some(found) = found else { return Ok(Next::End) };
        if walk.out().selects::<record::Tcp>() {
            walk.set_packet_scope(found);
            let checksum_ok = checksum_ok(walk, segment);
            if let Some(mut tcp) = walk.out().record::<record::Tcp>() {
                fill(&mut tcp, &header, payload_bytes);
                tcp.checksum_ok = checksum_ok;
                read_options(&mut tcp, options);
            }
        }
        if header.header_bytes < HEADER_BYTES {
            return Err(input.malformed(WeirdReason::BadLength, "data offset is less than 5 words"));
        }
        if header.flags & (flag::SYN | flag::FIN) == flag::SYN | flag::FIN
            || header.flags & (flag::SYN | flag::RST) == flag::SYN | flag::RST
        {
            return Err(input.malformed(WeirdReason::BadFlags, "SYN together with FIN or RST"));
        }
        if options.remaining() + HEADER_BYTES < header.header_bytes && walk.ip.is_complete {
            return Err(input.malformed(WeirdReason::BadLength, "header is longer than the segment"));
        }
        let has = |flag: u16| header.flags & flag != 0;
        let segment = Segment {
            sequence: header.sequence.wrapping_add(has(flag::SYN).into()),
            payload: input.peek(),
            length: payload_bytes,
            fin: has(flag::FIN),
            rst: has(flag::RST),
            acknowledgement: has(flag::ACK).then_some(header.acknowledgement),
        };
        walk.stream(found, &segment);
        Ok(Next::End)
    }
}

struct Header {
    sequence: u32,
    acknowledgement: u32,
    header_bytes: usize,
    flags: u16,
    window: u16,
    checksum: u16,
    urgent_pointer: u16,
}

impl Header {
    /// Reads what follows the ports.
    fn read(input: &mut Cursor<'_>) -> Result<Self, Malformed> {
        let mut rest = Cursor::new(input.take(HEADER_BYTES - 4)?);
        let sequence = rest.u32()?;
        let acknowledgement = rest.u32()?;
        let offset_and_flags = rest.u16()?;
        Ok(Self {
            sequence,
            acknowledgement,
            header_bytes: usize::from(offset_and_flags >> 12) * 4,
            flags: offset_and_flags & flag::OF_TCP,
            window: rest.u16()?,
            checksum: rest.u16()?,
            urgent_pointer: rest.u16()?,
        })
    }
}

/// Option kinds (IANA).
mod kind {
    pub(super) const END: u8 = 0;
    pub(super) const NO_OPERATION: u8 = 1;
    pub(super) const MAXIMUM_SEGMENT_SIZE: u8 = 2;
    pub(super) const WINDOW_SCALE: u8 = 3;
    pub(super) const SACK_PERMITTED: u8 = 4;
    pub(super) const SACK: u8 = 5;
    pub(super) const TIMESTAMPS: u8 = 8;
}

/// What the flow table wants to know. Only a SYN's options change what it keeps.
fn compact(header: &Header, mut options: Cursor<'_>) -> Compact {
    let mut compact = Compact {
        sequence: header.sequence,
        window: header.window,
        flags: header.flags | flag::TCP,
        window_scale: NO_WINDOW_SCALE,
        ..Compact::default()
    };
    if header.flags & flag::SYN == 0 {
        return compact;
    }
    while let Ok(Some((kind, mut data))) = next_option(&mut options) {
        match kind {
            kind::MAXIMUM_SEGMENT_SIZE => compact.mss = data.u16().unwrap_or_default(),
            kind::WINDOW_SCALE => compact.window_scale = data.u8().unwrap_or(NO_WINDOW_SCALE),
            kind::SACK_PERMITTED => compact.flags |= flag::SACK_PERMITTED,
            _ => {}
        }
    }
    compact
}

/// The next option's kind and data (RFC 9293 §3.1); `None` behind the last.
fn next_option<'a>(options: &mut Cursor<'a>) -> Result<Option<(u8, Cursor<'a>)>, Malformed> {
    if options.is_empty() {
        return Ok(None);
    }
    let kind = options.u8()?;
    if matches!(kind, kind::END | kind::NO_OPERATION) {
        return Ok(Some((kind, Cursor::new(&[]))));
    }
    let length = usize::from(options.u8()?);
    let Some(length) = length.checked_sub(2) else {
        return Err(options.malformed(WeirdReason::BadLength, "option length is less than 2"));
    };
    Ok(Some((kind, options.message_of(length)?)))
}

fn fill(tcp: &mut record::Tcp, header: &Header, payload_bytes: u32) {
    let has = |flag: u16| header.flags & flag != 0;
    tcp.sequence = header.sequence;
    tcp.acknowledgement = header.acknowledgement;
    tcp.header_bytes = u32::try_from(header.header_bytes).unwrap_or_default();
    tcp.fin = has(flag::FIN);
    tcp.syn = has(flag::SYN);
    tcp.rst = has(flag::RST);
    tcp.psh = has(flag::PSH);
    tcp.ack = has(flag::ACK);
    tcp.urg = has(flag::URG);
    tcp.ece = has(flag::ECE);
    tcp.cwr = has(flag::CWR);
    tcp.ae = has(flag::AE);
    tcp.window = header.window.into();
    tcp.checksum = header.checksum.into();
    tcp.urgent_pointer = header.urgent_pointer.into();
    tcp.payload_bytes = payload_bytes;
}

fn read_options(tcp: &mut Draft<'_, record::Tcp>, mut options: Cursor<'_>) {
    while tcp.option_kinds.len() < LIST_MAX {
        match next_option(&mut options) {
            Ok(Some((kind, data))) => {
                tcp.option_kinds.push(kind.into());
                if kind == kind::END {
                    return;
                }
                if kind != kind::NO_OPERATION && fill_option(tcp, kind, data).is_err() {
                    push_option(tcp, kind, data);
                }
            }
            Ok(None) => return,
            Err(malformed) => return tcp.note(malformed),
        }
    }
}

/// Fills the field of an option that has one; an error where it has none, or another length.
fn fill_option(tcp: &mut Draft<'_, record::Tcp>, kind: u8, mut data: Cursor<'_>) -> Result<(), ()> {
    match (kind, data.remaining()) {
        (kind::MAXIMUM_SEGMENT_SIZE, 2) => tcp.mss_bytes = data.u16().ok().map(u32::from),
        (kind::WINDOW_SCALE, 1) => tcp.window_scale = data.u8().ok().map(u32::from),
        (kind::SACK_PERMITTED, 0) => tcp.sack_permitted = true,
        (kind::SACK, 8 | 16 | 24 | 32) => {
            while let Ok(edge) = data.u32() {
                tcp.sack_edges.push(edge);
            }
        }
        (kind::TIMESTAMPS, 8) => {
            tcp.timestamp_value = data.u32().ok();
            tcp.timestamp_echo = data.u32().ok();
        }
        _ => return Err(()),
    }
    Ok(())
}

fn push_option(tcp: &mut Draft<'_, record::Tcp>, kind: u8, data: Cursor<'_>) {
    let mut option: record::TcpOption = tcp.spare();
    option.kind = kind.into();
    option.name.push_str(option_name(kind));
    option.data.extend_from_slice(data.peek());
    tcp.options.push(option);
}

/// IANA registry of TCP option kinds.
fn option_name(kind: u8) -> &'static str {
    match kind {
        kind::MAXIMUM_SEGMENT_SIZE => "mss",
        kind::WINDOW_SCALE => "window-scale",
        kind::SACK_PERMITTED => "sack-permitted",
        kind::SACK => "sack",
        kind::TIMESTAMPS => "timestamps",
        14 => "alternate-checksum",
        19 => "md5",
        28 => "user-timeout",
        29 => "authentication",
        30 => "mptcp",
        34 => "fast-open",
        69 => "encryption",
        172 | 174 => "accurate-ecn",
        253 | 254 => "experiment",
        _ => "",
    }
}

/// Whether the checksum matches; `None` where the segment was cut.
fn checksum_ok(walk: &Walk<'_>, segment: &[u8]) -> Option<bool> {
    let (src, dst) = walk.checksum_addresses()?;
    if !walk.ip.is_complete {
        return None;
    }
    let pseudo_header = checksum::pseudo_header(src, dst, protocol::TCP, segment.len() as u64);
    Some(checksum::is_right(pseudo_header + checksum::sum(segment)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{self, ETHERNET};

    /// A SYN with the options of a present-day Linux host.
    const SYN: [u8; 40] = [
        0x9c, 0x40, 0x00, 0x50, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0xa0, 0x02, 0xfa, 0xf0, 0x00, 0x00,
        0x00, 0x00, // header
        2, 4, 0x05, 0xb4, // maximum segment size 1460
        4, 2, // selective acknowledgement permitted
        8, 10, 0, 0, 0, 9, 0, 0, 0, 0, // timestamps
        1, // no operation
        3, 3, 7, // window scale
    ];

    #[test]
    fn options_of_a_syn_have_their_fields() {
        let records = testing::decode(ETHERNET, &[testing::ipv4(6, &SYN)]);
        let [tcp] = &records.of::<record::Tcp>()[..] else { panic!("one segment") };
        assert!(tcp.syn && !tcp.ack && tcp.sack_permitted && tcp.checksum_ok == Some(false));
        assert_eq!((tcp.mss_bytes, tcp.window_scale, tcp.timestamp_value), (Some(1460), Some(7), Some(9)));
        assert_eq!(tcp.option_kinds, [2, 4, 8, 1, 3]);
        let [connection] = &records.of::<record::Connection>()[..] else { panic!("one connection") };
        assert_eq!((connection.conn_state.as_str(), connection.history.as_str()), ("S0", "S"));
        assert_eq!((connection.orig_mss_bytes, connection.orig_window_scale), (Some(1460), Some(7)));
    }

    #[test]
    fn lengths_that_lie_are_weird_and_never_fatal() {
        for offset in 0..16 {
            for length in 0..SYN.len() {
                let mut segment = SYN[..length].to_vec();
                if let Some(byte) = segment.get_mut(12) {
                    *byte = offset << 4;
                }
                testing::decode(ETHERNET, &[testing::ipv4(6, &segment)]);
            }
        }
        let mut short = SYN;
        short[12] = 4 << 4;
        let records = testing::decode(ETHERNET, &[testing::ipv4(6, &short)]);
        assert_eq!(records.weirds(), ["tcp BadLength: data offset is less than 5 words"]);
        let mut option = SYN;
        option[21] = 1;
        let records = testing::decode(ETHERNET, &[testing::ipv4(6, &option)]);
        assert_eq!(records.weirds(), ["tcp BadLength: option length is less than 2"]);
    }
}
