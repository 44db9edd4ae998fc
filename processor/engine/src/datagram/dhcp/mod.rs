//! What DHCP for IPv4 and for IPv6 share.

mod architecture;
mod duid;

use std::fmt::Write as _;

use weir_contract::{Spares, WeirdReason, record, text::push_escaped};

pub(super) use architecture::architecture_name;
pub(super) use duid::read_duid;

use super::dns;
use crate::{
    cursor::{Cursor, Malformed},
    limits::{LIST_MAX, TEXT_MAX},
    output::push_address,
};

/// Seconds as ns.
pub(super) fn seconds_to_ns(seconds: u32) -> i64 {
    i64::from(seconds) * 1_000_000_000
}

/// Appends a text without the NULs at its end, which a receiver must take away (RFC 2132 §2).
pub(super) fn push_text(out: &mut String, input: &Cursor<'_>) {
    let bytes = input.peek();
    let end = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    push_escaped(out, bytes.get(..end.min(TEXT_MAX)).unwrap_or_default());
}

/// Appends bytes that are opaque, but as often as not a text.
pub(super) fn push_opaque(out: &mut String, input: &Cursor<'_>) {
    let bytes = input.peek();
    push_escaped(out, bytes.get(..TEXT_MAX).unwrap_or(bytes));
}

/// Appends a UUID (RFC 9562 §4), its octets in the order they are sent in.
pub(super) fn push_uuid(out: &mut String, octets: [u8; 16]) {
    for (at, octet) in octets.into_iter().enumerate() {
        let hyphen = if matches!(at, 4 | 6 | 8 | 10) { "-" } else { "" };
        let _ = write!(out, "{hyphen}{octet:02x}");
    }
}

/// The numbers as text, `1,3,6`.
pub(super) fn push_fingerprint(out: &mut String, codes: &[u32]) {
    for (at, code) in codes.iter().enumerate() {
        let comma = if at > 0 { "," } else { "" };
        let _ = write!(out, "{comma}{code}");
    }
}

/// Reads addresses of `N` bytes to the end.
pub(super) fn push_addresses<const N: usize>(
    mut input: Cursor<'_>,
    list: &mut Vec<String>,
    spares: &mut Spares,
) -> Result<(), Malformed>
where
    [u8; N]: Into<std::net::IpAddr>,
{
    while !input.is_empty() {
        let address = input.array::<N>()?.into();
        push_item(&input, list, spares, |text| push_address(text, address))?;
    }
    Ok(())
}

/// Reads domain names to the end. They may point to earlier ones of the same input.
pub(super) fn push_domains(
    mut input: Cursor<'_>,
    list: &mut Vec<String>,
    spares: &mut Spares,
) -> Result<(), Malformed> {
    while !input.is_empty() {
        let mut name = spares.take_string();
        let read = dns::read_name(&mut input, &mut name);
        if !name.is_empty() {
            push_item(&input, list, spares, |text| std::mem::swap(text, &mut name))?;
        }
        if let Some(malformed) = read? {
            return Err(malformed);
        }
    }
    Ok(())
}

/// Reads a domain name as DNS has it; one that is not fully qualified lacks the root (RFC 4702 §3.1,
/// RFC 4704 §4.2).
pub(super) fn push_partial_domain(input: &Cursor<'_>, out: &mut String) -> Result<(), Malformed> {
    if input.is_empty() {
        return Ok(());
    }
    match dns::read_name(&mut { *input }, out) {
        Ok(None) => Ok(()),
        Err(malformed) if malformed.reason == WeirdReason::Truncated && !out.is_empty() => Ok(()),
        Ok(Some(malformed)) | Err(malformed) => Err(malformed),
    }
}

/// Reads opaque texts that have their lengths before them, to the end.
pub(super) fn push_opaque_texts(
    mut input: Cursor<'_>,
    list: &mut Vec<String>,
    spares: &mut Spares,
) -> Result<(), Malformed> {
    while !input.is_empty() {
        let length = input.u16()?;
        let text = input.message_of(length.into())?;
        push_item(&input, list, spares, |item| push_opaque(item, &text))?;
    }
    Ok(())
}

/// Reads two-byte architectures of booting clients to the end, with their names.
pub(super) fn push_architectures(
    mut input: Cursor<'_>,
    numbers: &mut Vec<u32>,
    names: &mut Vec<String>,
    spares: &mut Spares,
) -> Result<(), Malformed> {
    while !input.is_empty() {
        let number = input.u16()?;
        push_item(&input, names, spares, |name| name.push_str(architecture_name(number)))?;
        numbers.push(number.into());
    }
    Ok(())
}

/// Appends to a list that is bounded.
pub(super) fn push_item(
    input: &Cursor<'_>,
    list: &mut Vec<String>,
    spares: &mut Spares,
    fill: impl FnOnce(&mut String),
) -> Result<(), Malformed> {
    if list.len() >= LIST_MAX {
        return Err(input.malformed(WeirdReason::Limit, "more than 100 items"));
    }
    let mut item = spares.take_string();
    fill(&mut item);
    list.push(item);
    Ok(())
}

/// An option, its data up to what a record holds.
pub(super) fn option(code: u16, name: &str, data: &[u8], spares: &mut Spares) -> record::DhcpOption {
    let mut option: record::DhcpOption = spares.take();
    option.code = code.into();
    option.name.push_str(name);
    option.data.extend_from_slice(data.get(..TEXT_MAX).unwrap_or(data));
    option
}
