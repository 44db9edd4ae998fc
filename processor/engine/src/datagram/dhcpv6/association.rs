//! Identity associations (RFC 8415 §21.4, §21.5, §21.21) with their leases (§21.6, §21.22).

use std::net::Ipv6Addr;

use weir_contract::{WeirdReason, record};

use super::{
    dhcp::seconds_to_ns,
    names,
    options::{next, set_name, set_text},
};
use crate::{
    cursor::{Cursor, Malformed},
    limits::LIST_MAX,
    output::{Draft, push_address},
};

const IA_NA: u16 = 3;
const IA_TA: u16 = 4;
const IA_PD: u16 = 25;
const IA_ADDRESS: u16 = 5;
const STATUS_CODE: u16 = 13;
const IA_PREFIX: u16 = 26;

/// Reads an association; one that goes wrong keeps what was readable.
pub(super) fn parse(code: u16, mut data: Cursor<'_>, dhcp: &mut Draft<'_, record::Dhcpv6>) -> Result<(), Malformed> {
    if dhcp.associations.len() >= LIST_MAX {
        return Err(data.malformed(WeirdReason::Limit, "more than 100 identity associations"));
    }
    let mut association: record::Dhcpv6Association = dhcp.spare();
    let parsed = parse_fields(code, &mut data, &mut association, dhcp);
    dhcp.associations.push(association);
    parsed
}

fn parse_fields(
    code: u16,
    data: &mut Cursor<'_>,
    association: &mut record::Dhcpv6Association,
    dhcp: &mut Draft<'_, record::Dhcpv6>,
) -> Result<(), Malformed> {
    association.r#type = code.into();
    association.type_name.push_str(type_name(code));
    association.iaid = data.u32()?.into();
    if code != IA_TA {
        association.renewal_time_ns = Some(seconds_to_ns(data.u32()?));
        association.rebinding_time_ns = Some(seconds_to_ns(data.u32()?));
    }
    while !data.is_empty() {
        let (code, mut option) = next(data)?;
        match code {
            IA_ADDRESS | IA_PREFIX => {
                if association.leases.len() >= LIST_MAX {
                    return Err(data.malformed(WeirdReason::Limit, "more than 100 leases"));
                }
                let mut lease: record::Dhcpv6Lease = dhcp.spare();
                let parsed = parse_lease(code, &mut option, &mut lease);
                association.leases.push(lease);
                parsed?;
            }
            STATUS_CODE => {
                let status = option.u16()?;
                association.status_code = Some(status.into());
                set_name(&mut association.status_name, names::status(status));
                set_text(&mut association.status_message, &option);
            }
            _ => {}
        }
    }
    Ok(())
}

fn parse_lease(code: u16, data: &mut Cursor<'_>, lease: &mut record::Dhcpv6Lease) -> Result<(), Malformed> {
    if code == IA_ADDRESS {
        push_address(&mut lease.ip, Ipv6Addr::from(data.array::<16>()?).into());
    }
    lease.preferred_lifetime_ns = seconds_to_ns(data.u32()?);
    lease.valid_lifetime_ns = seconds_to_ns(data.u32()?);
    if code == IA_PREFIX {
        lease.prefix_bits = Some(data.u8()?.into());
        push_address(&mut lease.ip, Ipv6Addr::from(data.array::<16>()?).into());
    }
    while !data.is_empty() {
        let (code, mut option) = next(data)?;
        if code == STATUS_CODE {
            let status = option.u16()?;
            lease.status_code = Some(status.into());
            set_name(&mut lease.status_name, names::status(status));
            set_text(&mut lease.status_message, &option);
        }
    }
    Ok(())
}

fn type_name(code: u16) -> &'static str {
    match code {
        IA_NA => "ia_na",
        IA_TA => "ia_ta",
        IA_PD => "ia_pd",
        _ => "",
    }
}
