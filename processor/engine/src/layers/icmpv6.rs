//! ICMPv6 (RFC 4443): one record per message. Neighbour discovery and multicast listener discovery
//! are layers above it.

use weir_contract::record;

use super::{
    Key, Layer, Next, Transport, Walk,
    icmp_error::{Original, push_extensions, split},
};
use crate::{
    checksum,
    cursor::{Cursor, Malformed},
    flow::{icmpv6_ports, protocol},
    names::ip_protocol_name,
    output::{Draft, push_address},
};

pub(crate) struct Icmpv6;

const HEADER_BYTES: usize = 8;

/// Types (IANA ICMPv6 parameters).
pub(super) mod message {
    pub(super) const UNREACHABLE: u8 = 1;
    pub(super) const PACKET_TOO_BIG: u8 = 2;
    pub(super) const TIME_EXCEEDED: u8 = 3;
    pub(super) const PARAMETER_PROBLEM: u8 = 4;
    pub(super) const ECHO: u8 = 128;
    pub(super) const ECHO_REPLY: u8 = 129;
    pub(in crate::layers) const LISTENER_QUERY: u8 = 130;
    pub(in crate::layers) const LISTENER_REPORT: u8 = 131;
    pub(in crate::layers) const LISTENER_DONE: u8 = 132;
    pub(in crate::layers) const ROUTER_SOLICITATION: u8 = 133;
    pub(in crate::layers) const ROUTER_ADVERTISEMENT: u8 = 134;
    pub(in crate::layers) const NEIGHBOR_SOLICITATION: u8 = 135;
    pub(in crate::layers) const NEIGHBOR_ADVERTISEMENT: u8 = 136;
    pub(in crate::layers) const REDIRECT: u8 = 137;
    pub(in crate::layers) const LISTENER_REPORT_2: u8 = 143;
    pub(super) const HOME_AGENT_DISCOVERY: u8 = 144;
    pub(super) const HOME_AGENT_DISCOVERY_REPLY: u8 = 145;
    pub(super) const EXTENDED_ECHO: u8 = 160;
    pub(super) const EXTENDED_ECHO_REPLY: u8 = 161;
}

impl Layer for Icmpv6 {
    const NAME: &'static str = "icmpv6";
    const KEYS: &'static [Key] = &[Key::IpProtocol(protocol::ICMPV6)];

    fn parse<'a>(mut input: Cursor<'a>, walk: &mut Walk<'_>) -> Result<Next<'a>, Malformed> {
        let start = input;
        let message_type = input.u8()?;
        let code = input.u8()?;
        let rest = Rest::read(&mut input);
        let identifier = rest.as_ref().map_or(0, Rest::identifier);
        let payload_bytes = walk.ip.payload_bytes(start.remaining()).saturating_sub(HEADER_BYTES);
        walk.count(&Transport {
            protocol: protocol::ICMPV6,
            ports: icmpv6_ports(message_type, code, identifier),
            header_bytes: HEADER_BYTES,
            payload_bytes: u32::try_from(payload_bytes).unwrap_or(u32::MAX),
            payload: start.peek().get(HEADER_BYTES..).unwrap_or_default(),
            ..Transport::default()
        });
        write_record(walk, start.peek(), (message_type, code), &rest?, input)?;
        match message_type {
            message::LISTENER_QUERY..=message::REDIRECT | message::LISTENER_REPORT_2 => {
                Ok(Next::Layer(Key::Icmpv6Type(message_type), start))
            }
            _ => Ok(Next::End),
        }
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
}

fn write_record(
    walk: &mut Walk<'_>,
    bytes: &[u8],
    (message_type, code): (u8, u8),
    rest: &Rest,
    body: Cursor<'_>,
) -> Result<(), Malformed> {
    if !walk.out().selects::<record::Icmpv6>() {
        return Ok(());
    }
    let checksum_ok = checksum_ok(walk, bytes);
    let Some(mut icmp) = walk.record::<record::Icmpv6>() else { return Ok(()) };
    icmp.r#type = message_type.into();
    icmp.type_name.push_str(type_name(message_type));
    icmp.code = code.into();
    icmp.code_name.push_str(code_name(message_type, code));
    icmp.checksum = rest.checksum.into();
    icmp.checksum_ok = checksum_ok;
    icmp.payload_bytes = body.remaining_u32();
    fill(&mut icmp, message_type, rest, body)
}

fn checksum_ok(walk: &Walk<'_>, bytes: &[u8]) -> Option<bool> {
    let (src, dst) = walk.checksum_addresses()?;
    if !walk.ip.is_complete {
        return None;
    }
    let pseudo_header = checksum::pseudo_header(src, dst, protocol::ICMPV6, bytes.len() as u64);
    Some(checksum::is_right(pseudo_header + checksum::sum(bytes)))
}

fn fill(
    icmp: &mut Draft<'_, record::Icmpv6>,
    message_type: u8,
    rest: &Rest,
    body: Cursor<'_>,
) -> Result<(), Malformed> {
    use message::*;
    let word = u32::from_be_bytes(rest.word);
    // The quote's length, in words of 8 bytes (RFC 4884 §3).
    let mut quoted_bytes = 0;
    match message_type {
        ECHO | ECHO_REPLY => {
            icmp.identifier = Some(rest.identifier().into());
            icmp.sequence = Some(word & 0xffff);
        }
        EXTENDED_ECHO | EXTENDED_ECHO_REPLY => {
            icmp.identifier = Some(rest.identifier().into());
            icmp.sequence = Some(rest.word[2].into());
        }
        HOME_AGENT_DISCOVERY | HOME_AGENT_DISCOVERY_REPLY => icmp.identifier = Some(rest.identifier().into()),
        PACKET_TOO_BIG => icmp.mtu_bytes = Some(word.into()),
        PARAMETER_PROBLEM => icmp.pointer = Some(word.into()),
        UNREACHABLE | TIME_EXCEEDED => quoted_bytes = usize::from(rest.word[0]) * 8,
        _ => {}
    }
    match message_type {
        PACKET_TOO_BIG | PARAMETER_PROBLEM => fill_original(icmp, body),
        UNREACHABLE | TIME_EXCEEDED => {
            let (quoted, extensions) = split(body, quoted_bytes);
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

fn fill_original(icmp: &mut record::Icmpv6, quoted: Cursor<'_>) {
    let Some(original) = Original::read(quoted) else { return };
    push_address(&mut icmp.original_src_ip, original.src);
    push_address(&mut icmp.original_dst_ip, original.dst);
    icmp.original_protocol = Some(original.protocol.into());
    icmp.original_protocol_name.push_str(ip_protocol_name(original.protocol));
    icmp.original_src_port = original.ports.map(|(src, _)| src.into());
    icmp.original_dst_port = original.ports.map(|(_, dst)| dst.into());
}

pub(super) fn type_name(message_type: u8) -> &'static str {
    use message::*;
    match message_type {
        UNREACHABLE => "destination-unreachable",
        PACKET_TOO_BIG => "packet-too-big",
        TIME_EXCEEDED => "time-exceeded",
        PARAMETER_PROBLEM => "parameter-problem",
        ECHO => "echo-request",
        ECHO_REPLY => "echo-reply",
        LISTENER_QUERY => "multicast-listener-query",
        LISTENER_REPORT => "multicast-listener-report",
        LISTENER_DONE => "multicast-listener-done",
        ROUTER_SOLICITATION => "router-solicitation",
        ROUTER_ADVERTISEMENT => "router-advertisement",
        NEIGHBOR_SOLICITATION => "neighbor-solicitation",
        NEIGHBOR_ADVERTISEMENT => "neighbor-advertisement",
        REDIRECT => "redirect",
        138 => "router-renumbering",
        139 => "node-information-query",
        140 => "node-information-response",
        141 => "inverse-neighbor-discovery-solicitation",
        142 => "inverse-neighbor-discovery-advertisement",
        LISTENER_REPORT_2 => "multicast-listener-report-v2",
        HOME_AGENT_DISCOVERY => "home-agent-address-discovery-request",
        HOME_AGENT_DISCOVERY_REPLY => "home-agent-address-discovery-reply",
        146 => "mobile-prefix-solicitation",
        147 => "mobile-prefix-advertisement",
        148 => "certification-path-solicitation",
        149 => "certification-path-advertisement",
        151 => "multicast-router-advertisement",
        152 => "multicast-router-solicitation",
        153 => "multicast-router-termination",
        154 => "fmipv6",
        155 => "rpl-control",
        156 => "ilnpv6-locator-update",
        157 => "duplicate-address-request",
        158 => "duplicate-address-confirmation",
        159 => "mpl-control",
        EXTENDED_ECHO => "extended-echo-request",
        EXTENDED_ECHO_REPLY => "extended-echo-reply",
        _ => "",
    }
}

fn code_name(message_type: u8, code: u8) -> &'static str {
    use message::*;
    match (message_type, code) {
        (UNREACHABLE, 0) => "no-route",
        (UNREACHABLE, 1) => "administratively-prohibited",
        (UNREACHABLE, 2) => "beyond-scope",
        (UNREACHABLE, 3) => "address-unreachable",
        (UNREACHABLE, 4) => "port-unreachable",
        (UNREACHABLE, 5) => "source-address-failed-policy",
        (UNREACHABLE, 6) => "reject-route",
        (UNREACHABLE, 7) => "source-routing-header-error",
        (UNREACHABLE, 8) => "headers-too-long",
        (TIME_EXCEEDED, 0) => "hop-limit-exceeded",
        (TIME_EXCEEDED, 1) => "reassembly-time-exceeded",
        (PARAMETER_PROBLEM, 0) => "erroneous-header-field",
        (PARAMETER_PROBLEM, 1) => "unrecognized-next-header",
        (PARAMETER_PROBLEM, 2) => "unrecognized-option",
        (PARAMETER_PROBLEM, 3) => "incomplete-header-chain",
        (PARAMETER_PROBLEM, 4) => "upper-layer-header-error",
        (PARAMETER_PROBLEM, 5) => "unrecognized-next-header-by-intermediate-node",
        (PARAMETER_PROBLEM, 6) => "extension-header-too-big",
        (PARAMETER_PROBLEM, 7) => "extension-header-chain-too-long",
        (PARAMETER_PROBLEM, 8) => "too-many-extension-headers",
        (PARAMETER_PROBLEM, 9) => "too-many-options",
        (PARAMETER_PROBLEM, 10) => "option-too-big",
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

    /// An error with a quoted packet from fe80::2 to fe80::1: IPv6 of this next header, and this.
    fn error(head: [u8; 8], next_header: u8, payload: &[u8]) -> Vec<u8> {
        let mut quote = testing::ipv6(next_header, payload).split_off(14);
        (quote[23], quote[39]) = (2, 1);
        testing::ipv6(58, &[&head[..], &quote].concat())
    }

    #[test]
    fn an_echo_has_identifier_and_sequence_and_a_checked_checksum() {
        // The sum over fe80::1, fe80::2, length 8, protocol 58 and the message is ffff.
        let records = testing::decode(testing::ETHERNET, &[testing::ipv6(58, &[128, 0, 0x82, 0xb0, 0, 7, 0, 1])]);
        let echo = &records.of::<record::Icmpv6>()[0];
        assert_eq!((echo.type_name.as_str(), echo.identifier, echo.sequence), ("echo-request", Some(7), Some(1)));
        assert_eq!(echo.checksum_ok, Some(true));
        let meta = echo.meta.as_ref().unwrap();
        assert_eq!((meta.src_port, meta.dst_port), (128, 129));
    }

    #[test]
    fn an_error_names_the_packet_it_quotes_behind_its_extensions() {
        // Destination options of padding, then UDP from port 5 to port 53.
        let payload = [17, 0, 1, 4, 0, 0, 0, 0, 0, 5, 0, 53, 0, 8, 0, 0];
        let records = testing::decode(testing::ETHERNET, &[error([1, 4, 0, 0, 0, 0, 0, 0], 60, &payload)]);
        let error = &records.of::<record::Icmpv6>()[0];
        assert_eq!((error.code_name.as_str(), error.original_protocol_name.as_str()), ("port-unreachable", "udp"));
        assert_eq!((error.original_src_ip.as_str(), error.original_src_port), ("fe80::2", Some(5)));
        assert_eq!((error.original_dst_ip.as_str(), error.original_dst_port), ("fe80::1", Some(53)));
    }

    #[test]
    fn a_quoted_later_fragment_has_no_ports() {
        let payload = [17, 0, 0, 9, 0, 0, 0, 7, 0, 5, 0, 53];
        let records = testing::decode(testing::ETHERNET, &[error([2, 0, 0, 0, 0, 0, 5, 0], 44, &payload)]);
        let error = &records.of::<record::Icmpv6>()[0];
        assert_eq!((error.mtu_bytes, error.original_protocol, error.original_src_port), (Some(1280), Some(17), None));
    }

    #[test]
    fn a_parameter_problem_has_a_pointer() {
        let records = testing::decode(testing::ETHERNET, &[error([4, 1, 0, 0, 0, 0, 0, 40], 253, &[])]);
        let error = &records.of::<record::Icmpv6>()[0];
        assert_eq!((error.pointer, error.code_name.as_str()), (Some(40), "unrecognized-next-header"));
    }

    #[test]
    fn every_cut_is_survived() {
        let payload = [17, 0, 1, 4, 0, 0, 0, 0, 0, 5, 0, 53];
        let whole = error([1, 4, 0, 0, 0, 0, 0, 0], 60, &payload);
        for length in 54..whole.len() {
            let records = testing::decode(testing::ETHERNET, &[whole[..length].to_vec()]);
            assert_eq!(records.of::<record::Icmpv6>().len(), usize::from(length >= 54 + 8));
            assert_eq!(records.of::<record::Connection>().len(), usize::from(length >= 54 + 2));
        }
    }
}
