//! EDNS (RFC 6891): the OPT record, whose class and TTL hold other things, and its options.

use weir_contract::{WeirdReason, record};

use super::{
    name,
    numbers::{self, rr_type},
    text::{cut, push_hex, push_number},
};
use crate::{
    cursor::{Cursor, Malformed},
    limits::LIST_MAX,
    output::{Draft, push_address},
};

/// Whether a record begins as OPT does: the root's name and the type (RFC 6891 §6.1.2).
pub(super) fn begins_record(bytes: &[u8]) -> bool {
    matches!(*bytes, [0, high, low, ..] if [high, low] == rr_type::OPT.to_be_bytes())
}

/// Reads an OPT record.
pub(super) fn parse(input: &mut Cursor<'_>, dns: &mut Draft<'_, record::Dns>) -> Result<(), Malformed> {
    input.skip(3)?;
    let (class, ttl, length) = (input.u16()?, input.u32()?, input.u16()?);
    take_header(dns, class, ttl);
    let complete = { *input }.skip(length.into());
    let options = parse_options(&mut input.window_up_to(length.into()), dns);
    complete?;
    if let Err(malformed) = options {
        dns.note(malformed);
    }
    Ok(())
}

/// Takes what class and TTL hold (RFC 6891 §6.1.3).
fn take_header(dns: &mut Draft<'_, record::Dns>, class: u16, ttl: u32) {
    let [extended_rcode, version, flags @ ..] = ttl.to_be_bytes();
    let flags = u16::from_be_bytes(flags);
    dns.edns_udp_bytes = Some(class.into());
    dns.edns_version = Some(version.into());
    dns.edns_dnssec_ok = flags >> 15 == 1;
    dns.edns_z = (flags & 0x7fff).into();
    if extended_rcode != 0 {
        dns.rcode = Some(u32::from(extended_rcode) << 4 | dns.rcode.unwrap_or_default());
    }
}

/// Reads the options, which fill the data.
fn parse_options(data: &mut Cursor<'_>, dns: &mut Draft<'_, record::Dns>) -> Result<(), Malformed> {
    while !data.is_empty() {
        let code = data.u16()?;
        let length = data.u16()?;
        let complete = { *data }.skip(length.into());
        let mut value = data.message_up_to(length.into());
        if dns.edns_options.len() >= LIST_MAX {
            return Err(data.malformed(WeirdReason::Limit, "more than 100 options of EDNS"));
        }
        let mut option: record::DnsEdnsOption = dns.spare();
        option.code = code.into();
        option.name.push_str(numbers::option_name(code));
        option.length_bytes = length.into();
        let bytes = value.peek();
        if let Err(malformed) = push_value(&mut value, code, &mut option.data) {
            if complete.is_ok() {
                dns.note(malformed);
            }
            option.data.clear();
            push_hex(&mut option.data, bytes);
        }
        if cut(&mut option.data) {
            dns.note(data.malformed(WeirdReason::Limit, "option of EDNS cut at 4096 characters"));
        }
        dns.edns_options.push(option);
        complete?;
    }
    Ok(())
}

fn push_value(value: &mut Cursor<'_>, code: u16, out: &mut String) -> Result<(), Malformed> {
    match numbers::option_name(code) {
        // RFC 5001 leaves the form to operators, who nearly all take host names.
        "nsid" => weir_contract::text::push_escaped(out, value.rest().message()),
        "dau" | "dhu" | "n3u" => push_list(value, out, |value| value.u8().map(u16::from))?,
        "key-tag" => push_list(value, out, |value| value.u16())?,
        "client-subnet" => push_client_subnet(value, out)?,
        "expire" if !value.is_empty() => push_number(out, value.u32()?),
        "tcp-keepalive" if !value.is_empty() => {
            let tenths = value.u16()?;
            push_number(out, tenths / 10);
            out.push('.');
            push_number(out, tenths % 10);
        }
        "padding" => {
            value.rest();
        }
        "chain" | "report-channel" => {
            if let Some(flaw) = name::read(value, out)? {
                return Err(flaw);
            }
        }
        "extended-error" => push_extended_error(value, out)?,
        _ => push_hex(out, value.rest().message()),
    }
    if value.is_empty() {
        return Ok(());
    }
    Err(value.malformed(WeirdReason::TrailingBytes, "bytes behind the value of an option of EDNS"))
}

fn push_list(
    value: &mut Cursor<'_>,
    out: &mut String,
    next: impl Fn(&mut Cursor<'_>) -> Result<u16, Malformed>,
) -> Result<(), Malformed> {
    while !value.is_empty() {
        if !out.is_empty() {
            out.push(' ');
        }
        push_number(out, next(value)?);
    }
    Ok(())
}

/// RFC 7871 §6: the address is cut to the bytes that the prefix needs.
fn push_client_subnet(value: &mut Cursor<'_>, out: &mut String) -> Result<(), Malformed> {
    const IPV4: u16 = 1;
    const IPV6: u16 = 2;
    let family = value.u16()?;
    let source_prefix = value.u8()?;
    let scope_prefix = value.u8()?;
    let address = value.rest();
    let bytes = address.message();
    let mut octets = [0; 16];
    let longest = if family == IPV4 { 4 } else { 16 };
    let known = octets.get_mut(..bytes.len()).filter(|_| bytes.len() <= longest);
    match (family, known) {
        (IPV4 | IPV6, Some(known)) => known.copy_from_slice(bytes),
        (IPV4 | IPV6, None) => {
            return Err(address.malformed(WeirdReason::BadLength, "client subnet longer than its address family"));
        }
        // The draft had a family 0 for clients that want none sent: nothing but prefixes.
        (0, _) if bytes.is_empty() => {}
        _ => return Err(address.malformed(WeirdReason::BadValue, "client subnet of an unknown address family")),
    }
    match family {
        IPV4 => push_address(out, octets.first_chunk::<4>().copied().unwrap_or_default().into()),
        IPV6 => push_address(out, octets.into()),
        _ => out.push('0'),
    }
    for prefix in [source_prefix, scope_prefix] {
        out.push('/');
        push_number(out, prefix);
    }
    Ok(())
}

/// RFC 8914 §2.
fn push_extended_error(value: &mut Cursor<'_>, out: &mut String) -> Result<(), Malformed> {
    let code = value.u16()?;
    push_number(out, code);
    let name = numbers::extended_error_name(code);
    if !name.is_empty() {
        out.push(' ');
        out.push_str(name);
    }
    // Some senders end the text with a zero byte, which the RFC allows for.
    let text = value.rest().message();
    let text = text.strip_suffix(b"\0").unwrap_or(text);
    if !text.is_empty() {
        out.push_str(": ");
        weir_contract::text::push_escaped(out, text);
    }
    Ok(())
}
