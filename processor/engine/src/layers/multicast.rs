//! What IGMPv3 (RFC 3376 §4.2) and MLDv2 (RFC 3810 §5.2) share, but for the length of addresses.

use std::net::IpAddr;

use weir_contract::{Spares, WeirdReason, record};

use crate::{
    cursor::{Cursor, Malformed},
    limits::{LIST_MAX, TEXT_MAX},
    output::push_address,
};

/// Reads an address off the front.
pub(super) type ReadAddress = fn(&mut Cursor<'_>) -> Result<IpAddr, Malformed>;

/// Lists `count` addresses.
pub(super) fn push_sources(
    sources: &mut Vec<String>,
    spares: &mut Spares,
    input: &mut Cursor<'_>,
    count: u16,
    read_address: ReadAddress,
) -> Result<(), Malformed> {
    for _ in 0..count {
        if sources.len() == LIST_MAX {
            return Err(input.malformed(WeirdReason::Limit, "more than 100 sources"));
        }
        let address = read_address(input)?;
        let mut text = spares.take_string();
        push_address(&mut text, address);
        sources.push(text);
    }
    Ok(())
}

/// Lists `count` group records.
pub(super) fn push_records(
    records: &mut Vec<record::MulticastRecord>,
    spares: &mut Spares,
    input: &mut Cursor<'_>,
    count: u16,
    read_address: ReadAddress,
) -> Result<(), Malformed> {
    for _ in 0..count {
        if records.len() == LIST_MAX {
            return Err(input.malformed(WeirdReason::Limit, "more than 100 group records"));
        }
        let record_type = input.u8()?;
        let auxiliary_bytes = usize::from(input.u8()?) * 4;
        let source_count = input.u16()?;
        let group = read_address(input)?;
        let mut record: record::MulticastRecord = spares.take();
        record.r#type = record_type.into();
        record.type_name.push_str(record_name(record_type));
        push_address(&mut record.group, group);
        let mut read = push_sources(&mut record.sources, spares, input, source_count, read_address);
        if read.is_ok() {
            read = input.take(auxiliary_bytes).map(|data| {
                record.auxiliary_data.extend_from_slice(data.get(..TEXT_MAX).unwrap_or(data));
            });
        }
        records.push(record);
        read?;
    }
    Ok(())
}

/// RFC 3376 §4.2.12, RFC 3810 §5.2.12.
fn record_name(record_type: u8) -> &'static str {
    match record_type {
        1 => "mode-is-include",
        2 => "mode-is-exclude",
        3 => "change-to-include",
        4 => "change-to-exclude",
        5 => "allow-new-sources",
        6 => "block-old-sources",
        _ => "",
    }
}

/// Times of a querier in 8 bits: up to 127 as they are, above as 4 bits shifted (RFC 3376 §4.1.1).
pub(super) fn expand_code(code: u8) -> i64 {
    if code < 128 {
        return code.into();
    }
    i64::from(code & 0x0f | 0x10) << ((code >> 4 & 7) + 3)
}
