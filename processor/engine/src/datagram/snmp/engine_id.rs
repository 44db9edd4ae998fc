//! Identifiers of SNMP engines (RFC 3411 §5, SnmpEngineID).

use std::net::{Ipv4Addr, Ipv6Addr};

use weir_contract::{record, text::push_escaped};

use crate::{
    ber::Element,
    cursor::Malformed,
    limits::TEXT_MAX,
    output::{Draft, push_address, push_mac},
};

/// Reads an identifier; an empty one asks for the peer's, and is none.
pub(super) fn read(
    element: &Element<'_>,
    snmp: &mut Draft<'_, record::Snmp>,
) -> Result<Option<record::SnmpEngineId>, Malformed> {
    let bytes = element.bytes()?;
    if bytes.is_empty() {
        return Ok(None);
    }
    let mut engine: record::SnmpEngineId = snmp.spare();
    engine.engine_id.extend_from_slice(bytes.get(..TEXT_MAX).unwrap_or(bytes));
    if let Some((enterprise, rest)) = bytes.split_first_chunk() {
        let enterprise = u32::from_be_bytes(*enterprise);
        engine.enterprise_number = Some((enterprise & 0x7fff_ffff).into());
        // Without the top bit, it is of before v3: twelve octets as the enterprise defines.
        if enterprise >> 31 == 1
            && let Some((&format, identifier)) = rest.split_first()
        {
            engine.format = Some(format.into());
            push_identifier(&mut engine.text, format, identifier);
        }
    }
    Ok(Some(engine))
}

fn push_identifier(out: &mut String, format: u8, identifier: &[u8]) {
    match format {
        1 => {
            if let Ok(octets) = <[u8; 4]>::try_from(identifier) {
                push_address(out, Ipv4Addr::from(octets).into());
            }
        }
        2 => {
            if let Ok(octets) = <[u8; 16]>::try_from(identifier) {
                push_address(out, Ipv6Addr::from(octets).into());
            }
        }
        3 => push_mac(out, identifier.get(..6).unwrap_or(identifier)),
        4 => push_escaped(out, identifier.get(..TEXT_MAX).unwrap_or(identifier)),
        _ => {}
    }
}
