//! IPv6 extension headers (RFC 8200 §4): destination options, routing, mobility (RFC 6275 §6.1), HIP
//! (RFC 7401 §5.1) and Shim6 (RFC 5533 §5). One record per header.

use std::net::{IpAddr, Ipv6Addr};

use weir_contract::{Spares, WeirdReason, record};

use super::{Key, Layer, Next, Walk, ipv6::NO_NEXT_HEADER};
use crate::{
    cursor::{Cursor, Malformed},
    limits::LIST_MAX,
    names::ip_protocol_name,
    output::{Draft, push_address},
};

mod routing;

use routing::Routing;

pub(crate) struct Ipv6Extension;

const ROUTING: u8 = 43;
const DESTINATION_OPTIONS: u8 = 60;
const MOBILITY: u8 = 135;
const HIP: u8 = 139;
const SHIM6: u8 = 140;

impl Layer for Ipv6Extension {
    const NAME: &'static str = "ipv6_extension";
    const KEYS: &'static [Key] = &[
        Key::IpProtocol(ROUTING),
        Key::IpProtocol(DESTINATION_OPTIONS),
        Key::IpProtocol(MOBILITY),
        Key::IpProtocol(HIP),
        Key::IpProtocol(SHIM6),
    ];

    fn parse<'a>(mut input: Cursor<'a>, walk: &mut Walk<'_>) -> Result<Next<'a>, Malformed> {
        let Key::IpProtocol(header_type) = walk.key else { return Ok(Next::End) };
        let start = input;
        // HIP goes over IPv4 too.
        let header = match header_type {
            HIP => ExtensionHeader::read_behind_ip(&mut input)?,
            _ => ExtensionHeader::read(&mut input, walk)?,
        };
        let written = write_record(walk, header_type, &header);
        header.whole?;
        written?;
        walk.ip.pass_extension(header.bytes);
        if matches!(header_type, MOBILITY | HIP) {
            // Nothing may follow yet (RFC 6275 §6.1.1, RFC 7401 §5.1).
            if header.next_header != NO_NEXT_HEADER {
                return Err(start.malformed(WeirdReason::Unexpected, "a header follows that may not"));
            }
            return Ok(Next::End);
        }
        Ok(Next::Layer(Key::IpProtocol(header.next_header), input.rest()))
    }
}

/// What all extension headers but the fragment header begin with (RFC 6564 §4).
pub(super) struct ExtensionHeader<'a> {
    pub(super) next_header: u8,
    /// Length of the header.
    pub(super) bytes: usize,
    /// What follows the length, as far as it is there.
    pub(super) body: Cursor<'a>,
    /// Whether all of it is.
    pub(super) whole: Result<(), Malformed>,
}

impl<'a> ExtensionHeader<'a> {
    pub(super) fn read(input: &mut Cursor<'a>, walk: &Walk<'_>) -> Result<Self, Malformed> {
        require_ipv6(walk, input)?;
        Self::read_behind_ip(input)
    }

    fn read_behind_ip(input: &mut Cursor<'a>) -> Result<Self, Malformed> {
        let next_header = input.u8()?;
        let bytes = (usize::from(input.u8()?) + 1) * 8;
        let mut whole = *input;
        let whole = whole.skip(bytes - 2);
        Ok(Self { next_header, bytes, body: input.message_up_to(bytes - 2), whole })
    }
}

/// The numbers of extension headers mean nothing behind IPv4.
pub(super) fn require_ipv6(walk: &Walk<'_>, input: &Cursor<'_>) -> Result<(), Malformed> {
    match walk.scope.addresses {
        Some((IpAddr::V6(_), _)) => Ok(()),
        _ => Err(input.malformed(WeirdReason::Unexpected, "IPv6 extension header behind IPv4")),
    }
}

const PAD1: u8 = 0;
const HOME_ADDRESS: u8 = 0xc9;

/// The next option's type and data (RFC 8200 §4.2); `None` behind the last.
pub(super) fn next_option<'a>(options: &mut Cursor<'a>) -> Result<Option<(u8, Cursor<'a>)>, Malformed> {
    if options.is_empty() {
        return Ok(None);
    }
    let option_type = options.u8()?;
    if option_type == PAD1 {
        return Ok(Some((option_type, Cursor::new(&[]))));
    }
    let length = usize::from(options.u8()?);
    Ok(Some((option_type, options.message_of(length)?)))
}

/// Lists options.
pub(super) fn push_options(
    list: &mut Vec<record::IpOption>,
    spares: &mut Spares,
    options: Cursor<'_>,
) -> Result<(), Malformed> {
    push_options_named(list, spares, options, option_name)
}

fn push_options_named(
    list: &mut Vec<record::IpOption>,
    spares: &mut Spares,
    mut options: Cursor<'_>,
    name: fn(u8) -> &'static str,
) -> Result<(), Malformed> {
    while let Some((option_type, data)) = next_option(&mut options)? {
        if list.len() == LIST_MAX {
            return Err(options.malformed(WeirdReason::Limit, "more than 100 options"));
        }
        let mut option: record::IpOption = spares.take();
        option.r#type = option_type.into();
        option.name.push_str(name(option_type));
        option.data.extend_from_slice(data.peek());
        list.push(option);
    }
    Ok(())
}

/// IANA destination options and hop-by-hop options.
fn option_name(option_type: u8) -> &'static str {
    match option_type {
        PAD1 => "pad1",
        1 => "padn",
        0x04 => "tunnel-encapsulation-limit",
        0x05 => "router-alert",
        0x07 => "calipso",
        0x08 => "smf-dpd",
        0x0f => "pdm",
        0x11 | 0x31 => "ioam",
        0x12 => "alternate-marking",
        0x23 | 0x63 => "rpl",
        0x26 => "quick-start",
        0x30 => "minimum-path-mtu",
        0x6d => "mpl",
        0x8a => "endpoint-identification",
        0x8b => "ilnp-nonce",
        0x8c => "line-identification",
        0xc2 => "jumbo-payload",
        HOME_ADDRESS => "home-address",
        0xee => "ip-dff",
        _ => "",
    }
}

/// IANA segment routing header TLVs.
fn segment_tlv_name(tlv_type: u8) -> &'static str {
    match tlv_type {
        PAD1 => "pad1",
        4 => "padn",
        5 => "hmac",
        _ => "",
    }
}

fn write_record(walk: &mut Walk<'_>, header_type: u8, header: &ExtensionHeader<'_>) -> Result<(), Malformed> {
    // Home address and last destination count for checksums even where no record is written.
    if header_type == DESTINATION_OPTIONS {
        walk.ip.home_address = home_address(header.body);
    }
    let routing = match (header_type, walk.scope.addresses) {
        (ROUTING, Some((_, IpAddr::V6(dst)))) => Some(Routing::read(header.body, dst)?),
        _ => None,
    };
    if let Some(routing) = &routing {
        walk.ip.last_destination = routing.last_destination().map(IpAddr::V6);
    }
    let Some(mut extension) = walk.record::<record::Ipv6Extension>() else { return Ok(()) };
    extension.header_type = header_type.into();
    extension.header_type_name.push_str(ip_protocol_name(header_type));
    extension.next_header = header.next_header.into();
    extension.next_header_name.push_str(ip_protocol_name(header.next_header));
    extension.header_bytes = u32::try_from(header.bytes).unwrap_or_default();
    let mut body = header.body;
    match header_type {
        DESTINATION_OPTIONS => {
            let (record, spares) = extension.parts();
            push_options(&mut record.options, spares, body)
        }
        MOBILITY => fill_message(&mut extension, &mut body, mobility_name),
        HIP => fill_hip(&mut extension, &mut body),
        SHIM6 => fill_shim6(&mut extension, &mut body),
        _ => routing.map_or(Ok(()), |routing| fill_routing(&mut extension, &routing)),
    }
}

/// RFC 6275 §6.3.
fn home_address(mut options: Cursor<'_>) -> Option<IpAddr> {
    while let Ok(Some((option_type, mut data))) = next_option(&mut options) {
        if option_type == HOME_ADDRESS {
            return data.array::<16>().ok().map(|address| Ipv6Addr::from(address).into());
        }
    }
    None
}

fn fill_routing(extension: &mut Draft<'_, record::Ipv6Extension>, routing: &Routing<'_>) -> Result<(), Malformed> {
    extension.routing_type = Some(routing.routing_type.into());
    extension.routing_type_name.push_str(routing.name());
    extension.segments_left = Some(routing.segments_left.into());
    for &address in routing.addresses.iter().take(LIST_MAX) {
        let mut text = extension.spare_string();
        push_address(&mut text, address.into());
        extension.addresses.push(text);
    }
    if let Some((last_entry, flags, tag)) = routing.segments {
        extension.last_entry = Some(last_entry.into());
        extension.segment_flags = Some(flags.into());
        extension.segment_tag = Some(tag.into());
        let (record, spares) = extension.parts();
        push_options_named(&mut record.options, spares, routing.rest, segment_tlv_name)?;
    }
    if routing.addresses.len() > LIST_MAX {
        return Err(routing.rest.malformed(WeirdReason::Limit, "more than 100 addresses"));
    }
    routing.whole
}

/// Type, another octet, and checksum.
fn fill_message(
    extension: &mut Draft<'_, record::Ipv6Extension>,
    body: &mut Cursor<'_>,
    name: fn(u8) -> &'static str,
) -> Result<(), Malformed> {
    let message_type = body.u8()? & 0x7f;
    extension.message_type = Some(message_type.into());
    extension.message_type_name.push_str(name(message_type));
    body.skip(1)?;
    extension.checksum = Some(body.u16()?.into());
    Ok(())
}

fn fill_hip(extension: &mut Draft<'_, record::Ipv6Extension>, body: &mut Cursor<'_>) -> Result<(), Malformed> {
    fill_message(extension, body, hip_name)?;
    body.skip(2)?;
    let sender: Ipv6Addr = body.array::<16>()?.into();
    let receiver: Ipv6Addr = body.array::<16>()?.into();
    push_address(&mut extension.sender_host_identity, sender.into());
    push_address(&mut extension.receiver_host_identity, receiver.into());
    Ok(())
}

/// The first bit tells a payload header, which names its context, from a control message.
fn fill_shim6(extension: &mut Draft<'_, record::Ipv6Extension>, body: &mut Cursor<'_>) -> Result<(), Malformed> {
    let mut context = *body;
    if context.peek().first().is_none_or(|first| first & 0x80 == 0) {
        return fill_message(extension, body, shim6_name);
    }
    let high = u64::from(context.u16()? & 0x7fff);
    let tag = high << 32 | u64::from(context.u32()?);
    extension.context_tag = i64::try_from(tag).ok();
    Ok(())
}

/// IANA mobility header types.
fn mobility_name(message_type: u8) -> &'static str {
    match message_type {
        0 => "binding-refresh-request",
        1 => "home-test-init",
        2 => "care-of-test-init",
        3 => "home-test",
        4 => "care-of-test",
        5 => "binding-update",
        6 => "binding-acknowledgement",
        7 => "binding-error",
        8 => "fast-binding-update",
        9 => "fast-binding-acknowledgement",
        10 => "fast-neighbor-advertisement",
        12 => "home-agent-switch",
        13 => "heartbeat",
        14 => "handover-initiate",
        15 => "handover-acknowledge",
        16 => "binding-revocation",
        17 => "localized-routing-initiation",
        18 => "localized-routing-acknowledgement",
        _ => "",
    }
}

/// IANA HIP packet types.
fn hip_name(packet_type: u8) -> &'static str {
    match packet_type {
        1 => "i1",
        2 => "r1",
        3 => "i2",
        4 => "r2",
        16 => "update",
        17 => "notify",
        18 => "close",
        19 => "close-ack",
        32 => "hip-data",
        _ => "",
    }
}

/// RFC 5533 §5.3 and RFC 5534 §5.
fn shim6_name(message_type: u8) -> &'static str {
    match message_type {
        1 => "i1",
        2 => "r1",
        3 => "i2",
        4 => "r2",
        5 => "r1bis",
        6 => "i2bis",
        64 => "update-request",
        65 => "update-acknowledgement",
        66 => "keepalive",
        67 => "probe",
        68 => "error",
        _ => "",
    }
}

#[cfg(test)]
mod tests;
