//! Service bindings: SVCB and HTTPS records (RFC 9460 §2.2).

use weir_contract::{WeirdReason, record, text::push_escaped};

use super::{
    numbers::push_service_key,
    rdata::push_target,
    text::{cut, push_base64, push_number},
};
use crate::{
    cursor::{Cursor, Malformed},
    limits::{LIST_MAX, TEXT_MAX},
    output::{Draft, push_address},
};

pub(super) fn parse(
    data: &mut Cursor<'_>,
    rr: &mut record::DnsResourceRecord,
    dns: &mut Draft<'_, record::Dns>,
) -> Result<(), Malformed> {
    let priority = data.u16()?;
    rr.priority = Some(priority.into());
    push_number(&mut rr.data, priority);
    rr.data.push(' ');
    push_target(data, rr, dns)?;
    let mut last_key = None;
    let mut flaw = Ok(());
    while !data.is_empty() {
        let key = data.u16()?;
        if last_key.is_some_and(|last| last >= key) {
            return Err(data.malformed(WeirdReason::BadValue, "parameters of a service binding out of order"));
        }
        last_key = Some(key);
        let length = data.u16()?;
        let mut value = data.message_up_to(length.into());
        if value.remaining() < length.into() {
            return Err(data.malformed(WeirdReason::BadLength, "parameter of a service binding longer than its record"));
        }
        if rr.parameters.len() >= LIST_MAX {
            return Err(data.malformed(WeirdReason::Limit, "more than 100 parameters of a service binding"));
        }
        let mut parameter: record::DnsServiceParameter = dns.spare();
        parameter.key = key.into();
        push_service_key(&mut parameter.name, key);
        if PORT == key {
            rr.port = { value }.u16().ok().map(u32::from);
        }
        let whole = push_value(&mut value, key, &mut parameter.value);
        if cut(&mut parameter.value) {
            dns.note(data.malformed(WeirdReason::Limit, "parameter of a service binding cut at 4096 characters"));
        }
        push_parameter(&mut rr.data, key, &parameter);
        rr.parameters.push(parameter);
        // The parameters behind one that makes no sense are still readable.
        flaw = flaw.and(whole);
    }
    flaw
}

const MANDATORY: u16 = 0;
const ALPN: u16 = 1;
const NO_DEFAULT_ALPN: u16 = 2;
const PORT: u16 = 3;
const IPV4_HINT: u16 = 4;
const ECH: u16 = 5;
const IPV6_HINT: u16 = 6;
const OHTTP: u16 = 8;
const TLS_SUPPORTED_GROUPS: u16 = 9;

/// Appends a value as in a zone file (RFC 9460 §7, RFC 9461 §5, RFC 9540 §4), without quotes.
fn push_value(value: &mut Cursor<'_>, key: u16, out: &mut String) -> Result<(), Malformed> {
    let empty = value.is_empty();
    match key {
        MANDATORY => {
            push_list(value, out, empty, |value, out| {
                push_service_key(out, value.u16()?);
                Ok(())
            })?;
        }
        ALPN => {
            push_list(value, out, empty, |value, out| {
                let length = value.u8()?;
                push_protocol(out, value.take(length.into())?);
                Ok(())
            })?;
        }
        NO_DEFAULT_ALPN | OHTTP => {}
        PORT => push_number(out, value.u16()?),
        IPV4_HINT => {
            push_list(value, out, empty, |value, out| {
                push_address(out, value.array::<4>()?.into());
                Ok(())
            })?;
        }
        IPV6_HINT => {
            push_list(value, out, empty, |value, out| {
                push_address(out, value.array::<16>()?.into());
                Ok(())
            })?;
        }
        TLS_SUPPORTED_GROUPS => {
            push_list(value, out, empty, |value, out| {
                push_number(out, value.u16()?);
                Ok(())
            })?;
        }
        ECH => push_base64(out, value.rest().message()),
        _ => push_escaped(out, value.rest().message()),
    }
    if value.is_empty() {
        return Ok(());
    }
    Err(value.malformed(WeirdReason::BadLength, "parameter of a service binding longer than its value"))
}

fn push_list(
    value: &mut Cursor<'_>,
    out: &mut String,
    empty: bool,
    push_next: impl Fn(&mut Cursor<'_>, &mut String) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    if empty {
        return Err(value.malformed(WeirdReason::BadLength, "parameter of a service binding without a value"));
    }
    loop {
        push_next(value, out)?;
        if value.is_empty() || out.len() > TEXT_MAX {
            value.rest();
            return Ok(());
        }
        out.push(',');
    }
}

/// A comma inside a protocol's name is escaped, since commas stand between names.
fn push_protocol(out: &mut String, name: &[u8]) {
    for (at, part) in name.split(|&byte| byte == b',').enumerate() {
        if at > 0 {
            out.push_str("\\x2c");
        }
        push_escaped(out, part);
    }
}

/// Appends ` key=value`; values of free text in quotes.
fn push_parameter(out: &mut String, key: u16, parameter: &record::DnsServiceParameter) {
    out.push(' ');
    out.push_str(&parameter.name);
    if parameter.value.is_empty() {
        return;
    }
    let is_free_text = key == ALPN || key == 7 || key > TLS_SUPPORTED_GROUPS;
    let quote = if is_free_text { "\"" } else { "" };
    for part in ["=", quote, &parameter.value, quote] {
        out.push_str(part);
    }
}
