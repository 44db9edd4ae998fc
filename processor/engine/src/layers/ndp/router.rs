//! Router solicitations and advertisements (RFC 4861 §4.1, §4.2), with the options that configure
//! hosts (RFC 4191, RFC 8106).

use std::net::Ipv6Addr;

use weir_contract::{WeirdReason, record, text::push_escaped};

use super::{next_option, option, push_link_layer_address, push_options};
use crate::{
    cursor::{Cursor, Malformed},
    layers::Walk,
    limits::{LIST_MAX, TEXT_MAX},
    output::{Draft, push_address},
};

const SECOND_NS: i64 = 1_000_000_000;
const MILLISECOND_NS: i64 = 1_000_000;

pub(super) fn solicitation(mut input: Cursor<'_>, walk: &mut Walk<'_>) -> Result<(), Malformed> {
    input.skip(4)?;
    let Some(mut draft) = walk.record::<record::Icmpv6RouterSolicitation>() else { return Ok(()) };
    let (record, spares) = draft.parts();
    push_link_layer_address(&mut record.link_layer_address, option::SOURCE_LINK_LAYER_ADDRESS, input);
    push_options(&mut record.options, spares, input)
}

pub(super) fn advertisement(mut input: Cursor<'_>, walk: &mut Walk<'_>) -> Result<(), Malformed> {
    let mut header = input.message_of(12)?;
    let Some(mut draft) = walk.record::<record::Icmpv6RouterAdvertisement>() else { return Ok(()) };
    draft.hop_limit = header.u8()?.into();
    let flags = header.u8()?;
    draft.managed = flags & 0x80 != 0;
    draft.other_configuration = flags & 0x40 != 0;
    draft.home_agent = flags & 0x20 != 0;
    draft.preference.push_str(preference_name(flags));
    draft.proxy = flags & 0x04 != 0;
    draft.router_lifetime_ns = i64::from(header.u16()?) * SECOND_NS;
    draft.reachable_time_ns = i64::from(header.u32()?) * MILLISECOND_NS;
    draft.retransmit_timer_ns = i64::from(header.u32()?) * MILLISECOND_NS;
    let (record, spares) = draft.parts();
    push_link_layer_address(&mut record.link_layer_address, option::SOURCE_LINK_LAYER_ADDRESS, input);
    let listed = push_options(&mut record.options, spares, input);
    while let Ok(Some((option_type, data))) = next_option(&mut input) {
        if let Err(malformed) = fill_option(&mut draft, option_type, data) {
            draft.note(malformed);
        }
    }
    listed
}

type Advertisement<'o> = Draft<'o, record::Icmpv6RouterAdvertisement>;

fn fill_option(draft: &mut Advertisement<'_>, option_type: u8, mut data: Cursor<'_>) -> Result<(), Malformed> {
    match option_type {
        option::MTU => {
            data.skip(2)?;
            draft.mtu_bytes = Some(data.u32()?.into());
            Ok(())
        }
        option::PREFIX_INFORMATION => push_prefix(draft, data),
        option::ROUTE_INFORMATION => push_route(draft, data),
        option::DNS_SERVERS => push_servers(draft, data),
        option::DNS_SEARCH_LIST => push_domains(draft, data),
        _ => Ok(()),
    }
}

/// RFC 4861 §4.6.2.
fn push_prefix(draft: &mut Advertisement<'_>, mut data: Cursor<'_>) -> Result<(), Malformed> {
    check_room(draft.prefixes.len(), &data)?;
    let mut prefix: record::NdpPrefix = draft.spare();
    prefix.prefix_bits = data.u8()?.into();
    let flags = data.u8()?;
    prefix.on_link = flags & 0x80 != 0;
    prefix.autonomous = flags & 0x40 != 0;
    prefix.valid_lifetime_ns = lifetime_ns(data.u32()?);
    prefix.preferred_lifetime_ns = lifetime_ns(data.u32()?);
    data.skip(4)?;
    push_address(&mut prefix.prefix, Ipv6Addr::from(data.array::<16>()?).into());
    draft.prefixes.push(prefix);
    Ok(())
}

/// RFC 4191 §2.3: the prefix has 0, 8 or 16 bytes.
fn push_route(draft: &mut Advertisement<'_>, mut data: Cursor<'_>) -> Result<(), Malformed> {
    check_room(draft.routes.len(), &data)?;
    let mut route: record::NdpRoute = draft.spare();
    route.prefix_bits = data.u8()?.into();
    route.preference.push_str(preference_name(data.u8()?));
    route.lifetime_ns = lifetime_ns(data.u32()?);
    let mut prefix = [0; 16];
    for (octet, &own) in prefix.iter_mut().zip(data.peek()) {
        *octet = own;
    }
    push_address(&mut route.prefix, Ipv6Addr::from(prefix).into());
    draft.routes.push(route);
    Ok(())
}

/// RFC 8106 §5.1.
fn push_servers(draft: &mut Advertisement<'_>, mut data: Cursor<'_>) -> Result<(), Malformed> {
    data.skip(2)?;
    draft.dns_servers_lifetime_ns = lifetime_ns(data.u32()?);
    while !data.is_empty() {
        check_room(draft.dns_servers.len(), &data)?;
        let address = Ipv6Addr::from(data.array::<16>()?);
        let mut text = draft.spare_string();
        push_address(&mut text, address.into());
        draft.dns_servers.push(text);
    }
    Ok(())
}

/// RFC 8106 §5.2: names without compression, and zeros behind them.
fn push_domains(draft: &mut Advertisement<'_>, mut data: Cursor<'_>) -> Result<(), Malformed> {
    data.skip(2)?;
    draft.search_domains_lifetime_ns = lifetime_ns(data.u32()?);
    while data.peek().iter().any(|&byte| byte != 0) {
        check_room(draft.search_domains.len(), &data)?;
        let mut name = draft.spare_string();
        let read = push_name(&mut name, &mut data);
        name.make_ascii_lowercase();
        draft.search_domains.push(name);
        read?;
    }
    Ok(())
}

/// Labels up to the empty one (RFC 1035 §3.1).
fn push_name(name: &mut String, data: &mut Cursor<'_>) -> Result<(), Malformed> {
    loop {
        let length = data.u8()?;
        if length == 0 {
            return Ok(());
        }
        if length > 63 {
            return Err(data.malformed(WeirdReason::BadLength, "label is longer than 63 bytes"));
        }
        let label = data.take(length.into())?;
        if name.len() + label.len() > TEXT_MAX {
            return Err(data.malformed(WeirdReason::Limit, "name is longer than 4096 bytes"));
        }
        if !name.is_empty() {
            name.push('.');
        }
        push_escaped(name, label);
    }
}

fn check_room(length: usize, at: &Cursor<'_>) -> Result<(), Malformed> {
    if length < LIST_MAX {
        return Ok(());
    }
    Err(at.malformed(WeirdReason::Limit, "more than 100 of a kind"))
}

/// Seconds; all ones is for ever.
fn lifetime_ns(seconds: u32) -> Option<i64> {
    (seconds != u32::MAX).then(|| i64::from(seconds) * SECOND_NS)
}

/// Bits 3 and 4 of an octet of flags (RFC 4191 §2.1).
fn preference_name(flags: u8) -> &'static str {
    match flags >> 3 & 3 {
        0 => "medium",
        1 => "high",
        3 => "low",
        _ => "reserved",
    }
}
