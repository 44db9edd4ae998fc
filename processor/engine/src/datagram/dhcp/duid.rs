//! DHCP unique identifiers (RFC 8415 §11, UUID RFC 6355).

use weir_contract::{Spares, record};

use super::{push_uuid, seconds_to_ns};
use crate::{
    cursor::{Cursor, Malformed},
    limits::TEXT_MAX,
    output::push_mac,
};

const LINK_LAYER_AND_TIME: u16 = 1;
const ENTERPRISE: u16 = 2;
const LINK_LAYER: u16 = 3;
const UUID: u16 = 4;

/// 2000-01-01 UTC, from which the time in an identifier counts, s since 1970.
const EPOCH_2000: i64 = 946_684_800;

/// An honest link-layer address is 20 bytes at most (RFC 4391 §4), an identifier 130 (RFC 8415 §11.1).
const ADDRESS_MAX: usize = 128;

/// Reads an identifier that takes the whole input; with an error what was readable of it.
pub(in super::super) fn read_duid(input: Cursor<'_>, spares: &mut Spares) -> (record::DhcpDuid, Result<(), Malformed>) {
    let mut duid: record::DhcpDuid = spares.take();
    let bytes = input.peek();
    duid.duid.extend_from_slice(bytes.get(..TEXT_MAX).unwrap_or(bytes));
    let read = read_fields(input, &mut duid);
    (duid, read)
}

fn read_fields(mut input: Cursor<'_>, duid: &mut record::DhcpDuid) -> Result<(), Malformed> {
    let duid_type = input.u16()?;
    duid.r#type = duid_type.into();
    duid.type_name.push_str(type_name(duid_type));
    match duid_type {
        LINK_LAYER_AND_TIME => {
            duid.hardware_type = Some(input.u16()?.into());
            duid.created_ts_ns = Some(EPOCH_2000 * 1_000_000_000 + seconds_to_ns(input.u32()?));
            push_mac(&mut duid.mac, input.message_up_to(ADDRESS_MAX).peek());
        }
        ENTERPRISE => duid.enterprise_number = Some(input.u32()?.into()),
        LINK_LAYER => {
            duid.hardware_type = Some(input.u16()?.into());
            push_mac(&mut duid.mac, input.message_up_to(ADDRESS_MAX).peek());
        }
        UUID => push_uuid(&mut duid.uuid, input.array()?),
        _ => {}
    }
    Ok(())
}

fn type_name(duid_type: u16) -> &'static str {
    match duid_type {
        LINK_LAYER_AND_TIME => "llt",
        ENTERPRISE => "en",
        LINK_LAYER => "ll",
        UUID => "uuid",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> record::DhcpDuid {
        read_duid(Cursor::new(bytes), &mut Spares::default()).0
    }

    #[test]
    fn identifiers_of_all_types() {
        let llt = read(&[0, 1, 0, 1, 0, 0, 0, 10, 2, 0, 0, 0, 0, 1]);
        assert_eq!(
            (llt.type_name.as_str(), llt.hardware_type, llt.mac.as_str()),
            ("llt", Some(1), "02:00:00:00:00:01")
        );
        assert_eq!(llt.created_ts_ns, Some(946_684_810_000_000_000));
        let enterprise = read(&[0, 2, 0, 0, 0, 9, 0x0c, 0xc0]);
        assert_eq!((enterprise.type_name.as_str(), enterprise.enterprise_number), ("en", Some(9)));
        let link_layer = read(&[0, 3, 0, 1, 2, 0, 0, 0, 0, 1]);
        assert_eq!((link_layer.type_name.as_str(), link_layer.mac.as_str()), ("ll", "02:00:00:00:00:01"));
        let uuid = read(&[0, 4, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
        assert_eq!((uuid.type_name.as_str(), uuid.uuid.as_str()), ("uuid", "00010203-0405-0607-0809-0a0b0c0d0e0f"));
    }

    #[test]
    fn a_cut_identifier_keeps_its_bytes() {
        let (duid, read) = read_duid(Cursor::new(&[0, 1, 0, 1, 7]), &mut Spares::default());
        assert_eq!((duid.duid, duid.r#type, duid.created_ts_ns), (vec![0, 1, 0, 1, 7], 1, None));
        assert!(read.is_err());
    }
}
