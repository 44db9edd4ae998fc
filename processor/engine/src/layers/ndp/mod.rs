//! Neighbour discovery (RFC 4861 §4): a record of its own type per message, beside that of ICMPv6.

use std::net::Ipv6Addr;

use weir_contract::{Spares, WeirdReason, record};

use super::{Key, Layer, Next, Walk, icmpv6::message};
use crate::{
    cursor::{Cursor, Malformed},
    limits::LIST_MAX,
    output::{push_address, push_mac},
};

mod router;

pub(crate) struct Ndp;

/// Type, code and checksum.
const ICMP_BYTES: usize = 4;

/// Options (IANA IPv6 neighbour discovery option formats).
mod option {
    pub(super) const SOURCE_LINK_LAYER_ADDRESS: u8 = 1;
    pub(super) const TARGET_LINK_LAYER_ADDRESS: u8 = 2;
    pub(super) const PREFIX_INFORMATION: u8 = 3;
    pub(super) const MTU: u8 = 5;
    pub(super) const ROUTE_INFORMATION: u8 = 24;
    pub(super) const DNS_SERVERS: u8 = 25;
    pub(super) const DNS_SEARCH_LIST: u8 = 31;
}

impl Layer for Ndp {
    const NAME: &'static str = "ndp";
    const KEYS: &'static [Key] = &[
        Key::Icmpv6Type(message::ROUTER_SOLICITATION),
        Key::Icmpv6Type(message::ROUTER_ADVERTISEMENT),
        Key::Icmpv6Type(message::NEIGHBOR_SOLICITATION),
        Key::Icmpv6Type(message::NEIGHBOR_ADVERTISEMENT),
        Key::Icmpv6Type(message::REDIRECT),
    ];

    fn parse<'a>(mut input: Cursor<'a>, walk: &mut Walk<'_>) -> Result<Next<'a>, Malformed> {
        let Key::Icmpv6Type(message_type) = walk.key else { return Ok(Next::End) };
        input.skip(ICMP_BYTES)?;
        match message_type {
            message::ROUTER_SOLICITATION => router::solicitation(input, walk),
            message::ROUTER_ADVERTISEMENT => router::advertisement(input, walk),
            message::NEIGHBOR_SOLICITATION => neighbor_solicitation(input, walk),
            message::NEIGHBOR_ADVERTISEMENT => neighbor_advertisement(input, walk),
            _ => redirect(input, walk),
        }?;
        Ok(Next::End)
    }
}

/// RFC 4861 §4.3.
fn neighbor_solicitation(mut input: Cursor<'_>, walk: &mut Walk<'_>) -> Result<(), Malformed> {
    input.skip(4)?;
    let target = Ipv6Addr::from(input.array::<16>()?);
    let from_nobody = walk.scope.addresses.is_some_and(|(src, _)| src.is_unspecified());
    let Some(mut draft) = walk.record::<record::Icmpv6NeighborSolicitation>() else { return Ok(()) };
    let (record, spares) = draft.parts();
    push_address(&mut record.target, target.into());
    record.duplicate_detection = from_nobody;
    push_link_layer_address(&mut record.link_layer_address, option::SOURCE_LINK_LAYER_ADDRESS, input);
    push_options(&mut record.options, spares, input)
}

/// RFC 4861 §4.4.
fn neighbor_advertisement(mut input: Cursor<'_>, walk: &mut Walk<'_>) -> Result<(), Malformed> {
    let [flags, ..] = input.array::<4>()?;
    let target = Ipv6Addr::from(input.array::<16>()?);
    let Some(mut draft) = walk.record::<record::Icmpv6NeighborAdvertisement>() else { return Ok(()) };
    let (record, spares) = draft.parts();
    push_address(&mut record.target, target.into());
    record.router = flags & 0x80 != 0;
    record.solicited = flags & 0x40 != 0;
    record.r#override = flags & 0x20 != 0;
    push_link_layer_address(&mut record.link_layer_address, option::TARGET_LINK_LAYER_ADDRESS, input);
    push_options(&mut record.options, spares, input)
}

/// RFC 4861 §4.5.
fn redirect(mut input: Cursor<'_>, walk: &mut Walk<'_>) -> Result<(), Malformed> {
    input.skip(4)?;
    let target = Ipv6Addr::from(input.array::<16>()?);
    let destination = Ipv6Addr::from(input.array::<16>()?);
    let Some(mut draft) = walk.record::<record::Icmpv6Redirect>() else { return Ok(()) };
    let (record, spares) = draft.parts();
    push_address(&mut record.target, target.into());
    push_address(&mut record.destination, destination.into());
    push_link_layer_address(&mut record.link_layer_address, option::TARGET_LINK_LAYER_ADDRESS, input);
    push_options(&mut record.options, spares, input)
}

/// The next option's type and data (RFC 4861 §4.6); `None` behind the last.
fn next_option<'a>(options: &mut Cursor<'a>) -> Result<Option<(u8, Cursor<'a>)>, Malformed> {
    if options.is_empty() {
        return Ok(None);
    }
    let option_type = options.u8()?;
    let length = usize::from(options.u8()?) * 8;
    let Some(length) = length.checked_sub(2) else {
        return Err(options.malformed(WeirdReason::BadLength, "option length is 0"));
    };
    Ok(Some((option_type, options.message_of(length)?)))
}

fn push_link_layer_address(out: &mut String, wanted: u8, mut options: Cursor<'_>) {
    while let Ok(Some((option_type, data))) = next_option(&mut options) {
        if option_type == wanted {
            return push_mac(out, data.peek());
        }
    }
}

fn push_options(
    list: &mut Vec<record::NdpOption>,
    spares: &mut Spares,
    mut options: Cursor<'_>,
) -> Result<(), Malformed> {
    while let Some((option_type, data)) = next_option(&mut options)? {
        if list.len() == LIST_MAX {
            return Err(options.malformed(WeirdReason::Limit, "more than 100 options"));
        }
        let mut option: record::NdpOption = spares.take();
        option.r#type = option_type.into();
        option.name.push_str(option_name(option_type));
        option.data.extend_from_slice(data.peek());
        list.push(option);
    }
    Ok(())
}

fn option_name(option_type: u8) -> &'static str {
    match option_type {
        option::SOURCE_LINK_LAYER_ADDRESS => "source-link-layer-address",
        option::TARGET_LINK_LAYER_ADDRESS => "target-link-layer-address",
        option::PREFIX_INFORMATION => "prefix-information",
        4 => "redirected-header",
        option::MTU => "mtu",
        7 => "advertisement-interval",
        8 => "home-agent-information",
        9 => "source-address-list",
        10 => "target-address-list",
        11 => "cga",
        12 => "rsa-signature",
        13 => "timestamp",
        14 => "nonce",
        15 => "trust-anchor",
        16 => "certificate",
        17 => "ip-address",
        19 => "link-layer-address",
        option::ROUTE_INFORMATION => "route-information",
        option::DNS_SERVERS => "recursive-dns-server",
        26 => "ra-flags-extension",
        27 => "handover-key-request",
        28 => "handover-key-reply",
        option::DNS_SEARCH_LIST => "dns-search-list",
        32 => "proxy-signature",
        33 => "address-registration",
        34 => "6lowpan-context",
        35 => "authoritative-border-router",
        36 => "6lowpan-capability",
        37 => "captive-portal",
        38 => "pref64",
        _ => "",
    }
}

#[cfg(test)]
mod tests;
