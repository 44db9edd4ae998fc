//! ICMPv4 (RFC 792): one record per message.

use std::net::Ipv4Addr;

use weir_contract::{WeirdReason, record};

use super::{
    Key, Layer, Next, Transport, Walk,
    icmp_error::{Original, push_extensions, split},
};
use crate::{
    checksum,
    cursor::{Cursor, Malformed},
    flow::{icmpv4_ports, protocol},
    limits::LIST_MAX,
    names::ip_protocol_name,
    output::{Draft, push_address},
};

pub(crate) struct Icmpv4;

const HEADER_BYTES: usize = 8;

/// Types (IANA ICMP parameters).
mod message {
    pub(super) const ECHO_REPLY: u8 = 0;
    pub(super) const UNREACHABLE: u8 = 3;
    pub(super) const SOURCE_QUENCH: u8 = 4;
    pub(super) const REDIRECT: u8 = 5;
    pub(super) const ECHO: u8 = 8;
    pub(super) const ROUTER_ADVERTISEMENT: u8 = 9;
    pub(super) const TIME_EXCEEDED: u8 = 11;
    pub(super) const PARAMETER_PROBLEM: u8 = 12;
    pub(super) const TIMESTAMP: u8 = 13;
    pub(super) const TIMESTAMP_REPLY: u8 = 14;
    pub(super) const INFORMATION: u8 = 15;
    pub(super) const INFORMATION_REPLY: u8 = 16;
    pub(super) const ADDRESS_MASK: u8 = 17;
    pub(super) const ADDRESS_MASK_REPLY: u8 = 18;
    pub(super) const EXTENDED_ECHO: u8 = 42;
    pub(super) const EXTENDED_ECHO_REPLY: u8 = 43;
}

/// Code of an unreachable destination that tells an MTU (RFC 1191 §4).
const FRAGMENTATION_NEEDED: u8 = 4;

impl Layer for Icmpv4 {
    const NAME: &'static str = "icmpv4";
    const KEYS: &'static [Key] = &[Key::IpProtocol(protocol::ICMP)];

    fn parse<'a>(mut input: Cursor<'a>, walk: &mut Walk<'_>) -> Result<Next<'a>, Malformed> {
        let bytes = input.peek();
        let message_type = input.u8()?;
        let code = input.u8()?;
        let rest = Rest::read(&mut input);
        let identifier = rest.as_ref().map_or(0, Rest::identifier);
        let payload_bytes = walk.ip.payload_bytes(bytes.len()).saturating_sub(HEADER_BYTES);
        walk.count(&Transport {
            protocol: protocol::ICMP,
            ports: icmpv4_ports(message_type, code, identifier),
            header_bytes: HEADER_BYTES,
            payload_bytes: u32::try_from(payload_bytes).unwrap_or(u32::MAX),
            payload: bytes.get(HEADER_BYTES..).unwrap_or_default(),
            ..Transport::default()
        });
        let rest = rest?;
        if !walk.out().selects::<record::Icmpv4>() {
            return Ok(Next::End);
        }
        let checksum_ok = walk.ip.is_complete.then(|| checksum::is_right(checksum::sum(bytes)));
        let Some(mut icmp) = walk.record::<record::Icmpv4>() else { return Ok(Next::End) };
        icmp.r#type = message_type.into();
        icmp.type_name.push_str(type_name(message_type));
        icmp.code = code.into();
        icmp.code_name.push_str(code_name(message_type, code));
        icmp.checksum = rest.checksum.into();
        icmp.checksum_ok = checksum_ok;
        icmp.payload_bytes = input.remaining_u32();
        fill(&mut icmp, message_type, code, &rest, input)?;
        Ok(Next::End)
    }
}

/// What follows type and code.
struct Rest {
    checksum: u16,
    /// Octets 4 to 7, whose meaning the type decides.
    word: [u8; 4],
}

impl Rest {
    fn read(input: &mut Cursor<'_>) -> Result<Self, Malformed> {
        let mut rest = input.message_of(HEADER_BYTES - 2)?;
        Ok(Self { checksum: rest.u16()?, word: rest.array()? })
    }

    fn identifier(&self) -> u16 {
        u16::from_be_bytes([self.word[0], self.word[1]])
    }

    fn low_half(&self) -> u16 {
        u16::from_be_bytes([self.word[2], self.word[3]])
    }
}

fn fill(
    icmp: &mut Draft<'_, record::Icmpv4>,
    message_type: u8,
    code: u8,
    rest: &Rest,
    mut body: Cursor<'_>,
) -> Result<(), Malformed> {
    use message::*;
    match message_type {
        ECHO | ECHO_REPLY | TIMESTAMP | TIMESTAMP_REPLY | INFORMATION | INFORMATION_REPLY | ADDRESS_MASK
        | ADDRESS_MASK_REPLY => {
            icmp.identifier = Some(rest.identifier().into());
            icmp.sequence = Some(rest.low_half().into());
        }
        EXTENDED_ECHO | EXTENDED_ECHO_REPLY => {
            icmp.identifier = Some(rest.identifier().into());
            icmp.sequence = Some(rest.word[2].into());
        }
        _ => {}
    }
    match message_type {
        TIMESTAMP | TIMESTAMP_REPLY => {
            icmp.originate_timestamp = Some(body.u32()?.into());
            icmp.receive_timestamp = Some(body.u32()?.into());
            icmp.transmit_timestamp = Some(body.u32()?.into());
        }
        ADDRESS_MASK | ADDRESS_MASK_REPLY => {
            push_address(&mut icmp.address_mask, Ipv4Addr::from(body.array::<4>()?).into());
        }
        ROUTER_ADVERTISEMENT => fill_routers(icmp, rest, body)?,
        REDIRECT => {
            push_address(&mut icmp.gateway, Ipv4Addr::from(rest.word).into());
            fill_original(icmp, body);
        }
        SOURCE_QUENCH => fill_original(icmp, body),
        UNREACHABLE | TIME_EXCEEDED | PARAMETER_PROBLEM => {
            if message_type == UNREACHABLE && code == FRAGMENTATION_NEEDED {
                icmp.mtu_bytes = Some(rest.low_half().into());
            }
            if message_type == PARAMETER_PROBLEM {
                icmp.pointer = Some(rest.word[0].into());
            }
            // The quote's length, in words of 4 bytes (RFC 4884 §3).
            let (quoted, extensions) = split(body, usize::from(rest.word[1]) * 4);
            fill_original(icmp, quoted);
            if let Some(extensions) = extensions {
                let (record, spares) = icmp.parts();
                push_extensions(&mut record.extensions, spares, extensions)?;
            }
        }
        _ => {}
    }
    Ok(())
}

fn fill_original(icmp: &mut record::Icmpv4, quoted: Cursor<'_>) {
    let Some(original) = Original::read(quoted) else { return };
    push_address(&mut icmp.original_src_ip, original.src);
    push_address(&mut icmp.original_dst_ip, original.dst);
    icmp.original_protocol = Some(original.protocol.into());
    icmp.original_protocol_name.push_str(ip_protocol_name(original.protocol));
    icmp.original_src_port = original.ports.map(|(src, _)| src.into());
    icmp.original_dst_port = original.ports.map(|(_, dst)| dst.into());
}

/// RFC 1256 §3: number of entries, words in each, lifetime in seconds; then the entries.
fn fill_routers(icmp: &mut Draft<'_, record::Icmpv4>, rest: &Rest, mut body: Cursor<'_>) -> Result<(), Malformed> {
    let [count, words, ..] = rest.word;
    icmp.router_lifetime_ns = Some(i64::from(rest.low_half()) * 1_000_000_000);
    let entry_bytes = usize::from(words) * 4;
    if entry_bytes < 8 {
        return Err(body.malformed(WeirdReason::BadLength, "router entries are shorter than 8 bytes"));
    }
    for _ in 0..count {
        if icmp.routers.len() == LIST_MAX {
            return Err(body.malformed(WeirdReason::Limit, "more than 100 routers"));
        }
        let mut entry = body.message_of(entry_bytes)?;
        let address = Ipv4Addr::from(entry.array::<4>()?);
        let mut router: record::IcmpRouter = icmp.spare();
        push_address(&mut router.address, address.into());
        router.preference = entry.u32()?.cast_signed().into();
        icmp.routers.push(router);
    }
    Ok(())
}

fn type_name(message_type: u8) -> &'static str {
    use message::*;
    match message_type {
        ECHO_REPLY => "echo-reply",
        UNREACHABLE => "destination-unreachable",
        SOURCE_QUENCH => "source-quench",
        REDIRECT => "redirect",
        6 => "alternate-host-address",
        ECHO => "echo",
        ROUTER_ADVERTISEMENT => "router-advertisement",
        10 => "router-solicitation",
        TIME_EXCEEDED => "time-exceeded",
        PARAMETER_PROBLEM => "parameter-problem",
        TIMESTAMP => "timestamp",
        TIMESTAMP_REPLY => "timestamp-reply",
        INFORMATION => "information-request",
        INFORMATION_REPLY => "information-reply",
        ADDRESS_MASK => "address-mask-request",
        ADDRESS_MASK_REPLY => "address-mask-reply",
        30 => "traceroute",
        31 => "datagram-conversion-error",
        32 => "mobile-host-redirect",
        37 => "domain-name-request",
        38 => "domain-name-reply",
        40 => "photuris",
        EXTENDED_ECHO => "extended-echo-request",
        EXTENDED_ECHO_REPLY => "extended-echo-reply",
        _ => "",
    }
}

fn code_name(message_type: u8, code: u8) -> &'static str {
    use message::*;
    match (message_type, code) {
        (UNREACHABLE, 0) => "net-unreachable",
        (UNREACHABLE, 1) => "host-unreachable",
        (UNREACHABLE, 2) => "protocol-unreachable",
        (UNREACHABLE, 3) => "port-unreachable",
        (UNREACHABLE, FRAGMENTATION_NEEDED) => "fragmentation-needed",
        (UNREACHABLE, 5) => "source-route-failed",
        (UNREACHABLE, 6) => "net-unknown",
        (UNREACHABLE, 7) => "host-unknown",
        (UNREACHABLE, 8) => "source-host-isolated",
        (UNREACHABLE, 9) => "net-prohibited",
        (UNREACHABLE, 10) => "host-prohibited",
        (UNREACHABLE, 11) => "net-unreachable-for-tos",
        (UNREACHABLE, 12) => "host-unreachable-for-tos",
        (UNREACHABLE, 13) => "administratively-prohibited",
        (UNREACHABLE, 14) => "host-precedence-violation",
        (UNREACHABLE, 15) => "precedence-cutoff",
        (REDIRECT, 0) => "redirect-net",
        (REDIRECT, 1) => "redirect-host",
        (REDIRECT, 2) => "redirect-net-for-tos",
        (REDIRECT, 3) => "redirect-host-for-tos",
        (ROUTER_ADVERTISEMENT, 0) => "normal",
        (ROUTER_ADVERTISEMENT, 16) => "no-common-traffic",
        (TIME_EXCEEDED, 0) => "ttl-exceeded",
        (TIME_EXCEEDED, 1) => "reassembly-time-exceeded",
        (PARAMETER_PROBLEM, 0) => "pointer-indicates-error",
        (PARAMETER_PROBLEM, 1) => "missing-option",
        (PARAMETER_PROBLEM, 2) => "bad-length",
        (EXTENDED_ECHO_REPLY, 0) => "no-error",
        (EXTENDED_ECHO_REPLY, 1) => "malformed-query",
        (EXTENDED_ECHO_REPLY, 2) => "no-such-interface",
        (EXTENDED_ECHO_REPLY, 3) => "no-such-table-entry",
        (EXTENDED_ECHO_REPLY, 4) => "several-interfaces",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use weir_contract::record;

    use crate::testing;

    fn decode(messages: &[&[u8]]) -> testing::Records {
        let frames: Vec<_> = messages.iter().map(|message| testing::ipv4(1, message)).collect();
        testing::decode(testing::ETHERNET, &frames)
    }

    /// An IPv4 header and the ports of UDP, from 10.0.0.2:5 to 10.0.0.1:53.
    fn quote() -> Vec<u8> {
        let mut quote = vec![0x45, 0, 0, 40, 0, 1, 0, 0, 63, 17, 0, 0, 10, 0, 0, 2, 10, 0, 0, 1];
        quote.extend([0, 5, 0, 53, 0, 20, 0, 0]);
        quote
    }

    #[test]
    fn echo_and_reply_are_one_connection_and_another_identifier_is_another() {
        // Echo, identifier 7, sequence 1; the checksum of the first is right.
        let request = testing::ipv4(1, &[8, 0, 0xf7, 0xf7, 0, 7, 0, 1]);
        let other = testing::ipv4(1, &[8, 0, 0, 0, 0, 8, 0, 1]);
        let mut reply = testing::ipv4(1, &[0, 0, 0, 0, 0, 7, 0, 1]);
        reply[26..34].copy_from_slice(&[10, 0, 0, 2, 10, 0, 0, 1]);
        let records = testing::decode(testing::ETHERNET, &[request, reply, other]);
        let echo = &records.of::<record::Icmpv4>()[0];
        assert_eq!((echo.type_name.as_str(), echo.identifier, echo.sequence), ("echo", Some(7), Some(1)));
        assert_eq!((echo.checksum, echo.checksum_ok), (0xf7f7, Some(true)));
        assert_eq!(records.of::<record::Icmpv4>()[1].checksum_ok, Some(false));
        let connections = records.of::<record::Connection>();
        let packets: Vec<_> = connections.iter().map(|flow| (flow.orig_packets, flow.resp_packets)).collect();
        assert_eq!(packets, [(1, 1), (1, 0)]);
        let meta = connections[0].meta.as_ref().unwrap();
        assert_eq!((meta.src_ip.as_str(), meta.src_port, meta.dst_port), ("10.0.0.1", 8, 0));
    }

    #[test]
    fn an_error_names_the_packet_it_quotes() {
        let message = [&[3, 4, 0, 0, 0, 0, 5, 0xdc][..], &quote()].concat();
        let records = decode(&[&message]);
        let error = &records.of::<record::Icmpv4>()[0];
        assert_eq!(
            (error.type_name.as_str(), error.code_name.as_str()),
            ("destination-unreachable", "fragmentation-needed")
        );
        assert_eq!((error.mtu_bytes, error.original_protocol), (Some(1500), Some(17)));
        assert_eq!((error.original_src_ip.as_str(), error.original_src_port), ("10.0.0.2", Some(5)));
        assert_eq!((error.original_dst_ip.as_str(), error.original_dst_port), ("10.0.0.1", Some(53)));
        assert!(records.of::<record::Udp>().is_empty(), "a quoted packet was not sent");
        let meta = error.meta.as_ref().unwrap();
        assert_eq!((meta.src_port, meta.dst_port), (3, 4));
    }

    #[test]
    fn a_quote_cut_anywhere_is_no_error() {
        for length in 0..quote().len() {
            let message = [&[11, 0, 0, 0, 0, 0, 0, 0][..], &quote()[..length]].concat();
            let records = decode(&[&message]);
            let error = &records.of::<record::Icmpv4>()[0];
            assert_eq!(
                (error.original_protocol.is_some(), error.original_dst_port.is_some()),
                (length >= 20, length >= 24)
            );
            assert_eq!(records.weirds(), Vec::<String>::new());
        }
    }

    #[test]
    fn extensions_behind_a_quote_are_listed() {
        // Version 2, checksum right; an MPLS stack of labels 16 and 17.
        let structure = [0x20, 0, 0xcd, 0xee, 0, 12, 1, 1, 0, 1, 0, 1, 0, 1, 0x11, 1];
        let mut padded = quote();
        padded.resize(128, 0);
        for quoted_words in [32, 0] {
            let message = [&[11, 0, 0, 0, 0, quoted_words, 0, 0][..], &padded, &structure].concat();
            let records = decode(&[&message]);
            let error = &records.of::<record::Icmpv4>()[0];
            assert_eq!(error.extensions[0].class_name, "mpls-label-stack");
            assert_eq!(error.extensions[0].mpls_labels, [16, 17]);
        }
    }

    #[test]
    fn redirects_and_problems_name_gateway_and_pointer() {
        let redirect = [&[5, 1, 0, 0, 10, 0, 0, 254][..], &quote()].concat();
        let problem = [&[12, 0, 0, 0, 20, 0, 0, 0][..], &quote()].concat();
        let records = decode(&[&redirect, &problem]);
        let [redirect, problem] = &records.of::<record::Icmpv4>()[..] else { panic!("two messages") };
        assert_eq!((redirect.gateway.as_str(), redirect.original_dst_port), ("10.0.0.254", Some(53)));
        assert_eq!((problem.pointer, problem.original_dst_port), (Some(20), Some(53)));
    }

    #[test]
    fn timestamps_masks_and_routers_are_read() {
        let timestamp = [14, 0, 0, 0, 0, 1, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2, 0x80, 0, 0, 3];
        let mask = [18, 0, 0, 0, 0, 1, 0, 2, 255, 255, 255, 0];
        // Two entries of two words, 1800 s; the second is never a default router.
        let routers = [9, 0, 0, 0, 2, 2, 7, 8, 10, 0, 0, 1, 0, 0, 0, 5, 10, 0, 0, 2, 0x80, 0, 0, 0];
        let records = decode(&[&timestamp, &mask, &routers]);
        let [timestamp, mask, routers] = &records.of::<record::Icmpv4>()[..] else { panic!("three messages") };
        assert_eq!((timestamp.originate_timestamp, timestamp.transmit_timestamp), (Some(1), Some(0x8000_0003)));
        assert_eq!(mask.address_mask, "255.255.255.0");
        assert_eq!(routers.router_lifetime_ns, Some(1_800_000_000_000));
        let entries: Vec<_> =
            routers.routers.iter().map(|router| (router.address.as_str(), router.preference)).collect();
        assert_eq!(entries, [("10.0.0.1", 5), ("10.0.0.2", i64::from(i32::MIN))]);
    }

    #[test]
    fn router_lists_that_lie_give_what_is_there() {
        let routers = [9, 0, 0, 0, 200, 2, 7, 8, 10, 0, 0, 1, 0, 0, 0, 5, 10, 0];
        let records = decode(&[&routers, &[9, 0, 0, 0, 1, 0, 7, 8]]);
        assert_eq!(records.of::<record::Icmpv4>()[0].routers.len(), 1);
        let weirds = [
            "icmpv4 Truncated: ends before its fields do",
            "icmpv4 BadLength: router entries are shorter than 8 bytes",
        ];
        assert_eq!(records.weirds(), weirds);
    }

    #[test]
    fn a_message_cut_short_has_no_record_but_a_connection() {
        for length in 2..8 {
            let records = decode(&[&[8, 0, 0, 0, 0, 7, 0, 1][..length]]);
            assert!(records.of::<record::Icmpv4>().is_empty());
            assert_eq!(records.weirds(), ["icmpv4 Truncated: ends before its fields do"]);
            assert_eq!(records.of::<record::Connection>().len(), 1);
        }
    }
}
