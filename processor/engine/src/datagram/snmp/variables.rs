//! Variables and their values (RFC 3416 §3, types RFC 2578 §7.1).

use std::{fmt::Write as _, net::Ipv4Addr};

use weir_contract::{WeirdReason, record};

use super::push_octets;
use crate::{
    ber::{Element, tag},
    cursor::{Cursor, Malformed},
    limits::LIST_MAX,
    output::{Draft, push_address},
};

/// Tags of the types that SNMP adds to those of ASN.1 (RFC 2578, RFC 3416 §3).
pub(super) const IP_ADDRESS: u8 = 0x40;
const COUNTER_32: u8 = 0x41;
const UNSIGNED_32: u8 = 0x42;
pub(super) const TIME_TICKS: u8 = 0x43;
const OPAQUE: u8 = 0x44;
const COUNTER_64: u8 = 0x46;
const U_INTEGER_32: u8 = 0x47;
const NO_SUCH_OBJECT: u8 = 0x80;
const NO_SUCH_INSTANCE: u8 = 0x81;
const END_OF_MIB_VIEW: u8 = 0x82;

/// sysUpTime.0 and snmpTrapOID.0, the first two variables of a trap (RFC 3416 §4.2.6).
const UPTIME: &str = "1.3.6.1.2.1.1.3.0";
const TRAP_OID: &str = "1.3.6.1.6.3.1.1.4.1.0";

/// Reads all variables; a value that is wrong in itself costs that value only.
pub(super) fn parse(mut input: Cursor<'_>, snmp: &mut Draft<'_, record::Snmp>) -> Result<(), Malformed> {
    while !input.is_empty() {
        let pair = Element::expect(&mut input, tag::SEQUENCE, "variable that is no sequence")?;
        let mut fields = pair.content;
        let name = Element::expect(&mut fields, tag::OBJECT_IDENTIFIER, "variable without an object identifier")?;
        snmp.variable_count += 1;
        if snmp.variables.len() >= LIST_MAX {
            if snmp.variables.len() + 1 == usize::try_from(snmp.variable_count).unwrap_or(usize::MAX) {
                snmp.note(name.content.malformed(WeirdReason::Limit, "more than 100 variables"));
            }
            continue;
        }
        let mut variable: record::SnmpVariable = snmp.spare();
        let parsed = parse_pair(&name, &mut fields, &mut variable, snmp);
        snmp.variables.push(variable);
        pair.whole()?;
        if let Err(malformed) = parsed {
            snmp.note(malformed);
        }
    }
    Ok(())
}

fn parse_pair(
    name: &Element<'_>,
    fields: &mut Cursor<'_>,
    variable: &mut record::SnmpVariable,
    snmp: &mut Draft<'_, record::Snmp>,
) -> Result<(), Malformed> {
    let named = name.push_object_identifier(&mut variable.oid);
    let value = Element::read(fields)?;
    variable.r#type = value.tag.into();
    variable.type_name.push_str(type_name(value.tag));
    push_value(&value, &mut variable.value)?;
    if variable.oid == UPTIME && value.tag == TIME_TICKS {
        snmp.uptime_ns = ticks_to_ns(value.unsigned()?);
    }
    if variable.oid == TRAP_OID && value.tag == tag::OBJECT_IDENTIFIER {
        snmp.trap_oid.clear();
        snmp.trap_oid.push_str(&variable.value);
    }
    named
}

fn push_value(value: &Element<'_>, out: &mut String) -> Result<(), Malformed> {
    match value.tag {
        tag::INTEGER => {
            let _ = write!(out, "{}", value.integer()?);
        }
        COUNTER_32 | UNSIGNED_32 | TIME_TICKS | COUNTER_64 | U_INTEGER_32 => {
            let _ = write!(out, "{}", value.unsigned()?);
        }
        tag::OBJECT_IDENTIFIER => value.push_object_identifier(out)?,
        IP_ADDRESS => push_ip_address(value, out)?,
        tag::NULL | NO_SUCH_OBJECT | NO_SUCH_INSTANCE | END_OF_MIB_VIEW => {}
        _ => push_octets(out, value)?,
    }
    Ok(())
}

/// Appends four octets as an address.
pub(super) fn push_ip_address(element: &Element<'_>, out: &mut String) -> Result<(), Malformed> {
    let Ok(octets) = <[u8; 4]>::try_from(element.bytes()?) else {
        return Err(element.content.malformed(WeirdReason::BadLength, "address that has not four octets"));
    };
    push_address(out, Ipv4Addr::from(octets).into());
    Ok(())
}

/// Hundredths of a second as ns.
pub(super) fn ticks_to_ns(ticks: u64) -> Option<i64> {
    i64::try_from(ticks).ok()?.checked_mul(10_000_000)
}

fn type_name(value_tag: u8) -> &'static str {
    match value_tag {
        tag::INTEGER => "integer",
        tag::OCTET_STRING => "octet_string",
        tag::NULL => "null",
        tag::OBJECT_IDENTIFIER => "object_identifier",
        IP_ADDRESS => "ip_address",
        COUNTER_32 => "counter32",
        UNSIGNED_32 => "unsigned32",
        TIME_TICKS => "time_ticks",
        OPAQUE => "opaque",
        COUNTER_64 => "counter64",
        U_INTEGER_32 => "uinteger32",
        NO_SUCH_OBJECT => "no_such_object",
        NO_SUCH_INSTANCE => "no_such_instance",
        END_OF_MIB_VIEW => "end_of_mib_view",
        _ => "",
    }
}
