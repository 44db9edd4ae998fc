//! Options (RFC 2132 and those that came later): gathered from up to three fields, then read.

use std::net::Ipv4Addr;

use weir_contract::{Spares, WeirdReason, record};

use super::{
    dhcp::{
        self, push_addresses, push_architectures, push_domains, push_fingerprint, push_item, push_opaque,
        push_partial_domain, push_text, push_uuid, read_duid, seconds_to_ns,
    },
    names, relay_agent, routes,
};
use crate::{
    cursor::{Cursor, Malformed},
    limits::{LIST_MAX, TEXT_MAX},
    output::{Draft, push_address},
};

const PAD: u8 = 0;
const OVERLOAD: u8 = 52;
const END: u8 = 255;

/// Values of option 52: which fields hold options too.
pub(super) const IN_BOOT_FILE: u32 = 1;
pub(super) const IN_SERVER_NAME: u32 = 2;

/// Reads all options. Those in the fields for boot file and server name come behind the others, in
/// this order (RFC 3396 §5).
pub(super) fn parse(
    options: Cursor<'_>,
    boot_file: Cursor<'_>,
    server_name: Cursor<'_>,
    dhcp: &mut Draft<'_, record::Dhcpv4>,
) -> Result<(), Malformed> {
    let mut gathered = Gathered::default();
    let mut parsed = gathered.gather(options, dhcp);
    if let Some(&overload) = gathered.data(OVERLOAD, &dhcp.options).and_then(<[u8]>::first) {
        dhcp.option_overload = Some(overload.into());
        if u32::from(overload) & IN_BOOT_FILE != 0 {
            parsed = parsed.and(gathered.gather(boot_file, dhcp));
        }
        if u32::from(overload) & IN_SERVER_NAME != 0 {
            parsed = parsed.and(gathered.gather(server_name, dhcp));
        }
    }
    let list = std::mem::take(&mut dhcp.options);
    for (option, Place { offset, is_cut }) in list.iter().zip(gathered.options) {
        if is_cut {
            continue;
        }
        let (record, spares) = dhcp.parts();
        if let Err(malformed) = read_option(option, record, spares) {
            // Offsets count from the option's data.
            dhcp.note(Malformed { offset: offset.saturating_add(malformed.offset), ..malformed });
        }
    }
    dhcp.options = list;
    parsed
}

/// Where in the record's list each option is, and in the packet. Those that occur more than once are joined (RFC 3396 §7).
struct Gathered {
    /// Index in the list by code; [`NOWHERE`] for none.
    indexes: [u8; 256],
    /// What else is known of the list's options.
    options: [Place; LIST_MAX],
}

const NOWHERE: u8 = u8::MAX;

#[derive(Clone, Copy, Default)]
struct Place {
    /// Offset of the data in the packet.
    offset: u32,
    /// The data are not all there: they are kept, but not read.
    is_cut: bool,
}

impl Default for Gathered {
    fn default() -> Self {
        Self { indexes: [NOWHERE; 256], options: [Place::default(); LIST_MAX] }
    }
}

impl Gathered {
    /// Takes the options of one field into the record's list, up to the end of the field or its mark.
    fn gather(&mut self, mut input: Cursor<'_>, dhcp: &mut Draft<'_, record::Dhcpv4>) -> Result<(), Malformed> {
        while !input.is_empty() {
            let code = input.u8()?;
            match code {
                PAD => continue,
                END => return Ok(()),
                _ => {}
            }
            let length = usize::from(input.u8()?);
            let whole = { input }.skip(length);
            let data = input.message_up_to(length);
            let (record, spares) = dhcp.parts();
            let place = self.add(code, &data, &mut record.options, spares)?;
            place.is_cut |= whole.is_err();
            whole?;
        }
        Ok(())
    }

    fn add(
        &mut self,
        code: u8,
        data: &Cursor<'_>,
        list: &mut Vec<record::DhcpOption>,
        spares: &mut Spares,
    ) -> Result<&mut Place, Malformed> {
        let too_many = data.malformed(WeirdReason::Limit, "more than 100 options");
        let index = self.indexes.get_mut(usize::from(code)).ok_or(too_many)?;
        if let Some(option) = list.get_mut(usize::from(*index)) {
            if option.data.len() + data.remaining() > TEXT_MAX {
                return Err(data.malformed(WeirdReason::Limit, "option of more than 4096 bytes"));
            }
            option.data.extend_from_slice(data.peek());
            return self.options.get_mut(usize::from(*index)).ok_or(too_many);
        }
        let place = self.options.get_mut(list.len()).ok_or(too_many)?;
        place.offset = data.offset();
        *index = u8::try_from(list.len()).unwrap_or(NOWHERE);
        list.push(dhcp::option(code.into(), names::option(code), data.peek(), spares));
        Ok(place)
    }

    fn data<'l>(&self, code: u8, list: &'l [record::DhcpOption]) -> Option<&'l [u8]> {
        let index = *self.indexes.get(usize::from(code))?;
        list.get(usize::from(index)).map(|option| option.data.as_slice())
    }
}

fn read_option(option: &record::DhcpOption, record: &mut record::Dhcpv4, spares: &mut Spares) -> Result<(), Malformed> {
    let mut data = Cursor::new(&option.data);
    match option.code {
        1 => push_ipv4(&mut record.subnet_mask, &mut data)?,
        3 => return push_addresses::<4>(data, &mut record.routers, spares),
        6 => return push_addresses::<4>(data, &mut record.dns_servers, spares),
        12 => push_text(&mut record.host_name, &data),
        15 => push_text(&mut record.domain_name, &data),
        26 => record.mtu_bytes = Some(data.u16()?.into()),
        28 => push_ipv4(&mut record.broadcast_ip, &mut data)?,
        33 => return routes::parse_classful(data, &mut record.routes, spares),
        42 => return push_addresses::<4>(data, &mut record.ntp_servers, spares),
        44 => return push_addresses::<4>(data, &mut record.netbios_name_servers, spares),
        50 => push_ipv4(&mut record.requested_ip, &mut data)?,
        51 => record.lease_time_ns = Some(seconds_to_ns(data.u32()?)),
        53 => {
            let message_type = data.u8()?;
            record.message_type = Some(message_type.into());
            record.message_type_name.push_str(names::message_type(message_type));
        }
        54 => push_ipv4(&mut record.server_id, &mut data)?,
        55 => return parse_parameter_request_list(data, record),
        56 => push_text(&mut record.message, &data),
        57 => record.max_message_bytes = Some(data.u16()?.into()),
        58 => record.renewal_time_ns = Some(seconds_to_ns(data.u32()?)),
        59 => record.rebinding_time_ns = Some(seconds_to_ns(data.u32()?)),
        60 => push_text(&mut record.vendor_class, &data),
        61 => return parse_client_id(data, record, spares),
        66 => push_text(&mut record.server_name, &data),
        67 => push_text(&mut record.boot_file, &data),
        77 => return parse_user_classes(data, &mut record.user_classes, spares),
        80 => record.rapid_commit = true,
        81 => return parse_fqdn(data, record),
        82 => {
            let (relay_agent, parsed) = relay_agent::parse(data, spares);
            record.relay_agent = Some(relay_agent);
            return parsed;
        }
        93 => {
            let names = &mut record.client_architecture_names;
            return push_architectures(data, &mut record.client_architectures, names, spares);
        }
        94 => {
            use std::fmt::Write as _;
            let [_kind, major, minor] = data.array()?;
            let _ = write!(record.network_interface_version, "{major}.{minor}");
        }
        97 => {
            data.skip(1)?;
            push_uuid(&mut record.machine_id, data.array()?);
        }
        114 => push_text(&mut record.captive_portal_url, &data),
        119 => return push_domains(data, &mut record.domain_search, spares),
        121 | 249 => return routes::parse_classless(data, &mut record.routes, spares),
        124 => return parse_vendor_classes(data, &mut record.vendor_classes, spares),
        125 => return parse_vendor_options(data, &mut record.vendor_options, spares),
        150 => return push_addresses::<4>(data, &mut record.tftp_servers, spares),
        252 => push_text(&mut record.proxy_config_url, &data),
        _ => {}
    }
    Ok(())
}

fn push_ipv4(out: &mut String, data: &mut Cursor<'_>) -> Result<(), Malformed> {
    push_address(out, Ipv4Addr::from(data.array::<4>()?).into());
    Ok(())
}

fn parse_parameter_request_list(data: Cursor<'_>, record: &mut record::Dhcpv4) -> Result<(), Malformed> {
    let codes = data.peek();
    record.parameter_request_list.extend(codes.iter().take(LIST_MAX).map(|&code| u32::from(code)));
    push_fingerprint(&mut record.fingerprint, &record.parameter_request_list);
    if codes.len() > LIST_MAX {
        return Err(data.malformed(WeirdReason::Limit, "more than 100 requested parameters"));
    }
    Ok(())
}

/// RFC 2132 §9.14; type 255 RFC 4361 §6.1.
fn parse_client_id(mut data: Cursor<'_>, record: &mut record::Dhcpv4, spares: &mut Spares) -> Result<(), Malformed> {
    const IAID_AND_DUID: u8 = 255;
    record.client_id.extend_from_slice(data.peek());
    let client_id_type = data.u8()?;
    record.client_id_type = Some(client_id_type.into());
    if client_id_type != IAID_AND_DUID {
        return Ok(());
    }
    record.client_iaid = Some(data.u32()?.into());
    let (duid, read) = read_duid(data, spares);
    record.client_duid = Some(duid);
    read
}

/// A list of texts with their lengths (RFC 3004 §4); Microsoft's clients send one bare text.
fn parse_user_classes(data: Cursor<'_>, list: &mut Vec<String>, spares: &mut Spares) -> Result<(), Malformed> {
    let mut ahead = data;
    while let Ok(length) = ahead.u8() {
        if length == 0 || ahead.skip(length.into()).is_err() {
            return push_item(&data, list, spares, |class| push_opaque(class, &data));
        }
    }
    let mut data = data;
    while !data.is_empty() {
        let length = data.u8()?;
        let class = data.message_of(length.into())?;
        push_item(&data, list, spares, |item| push_opaque(item, &class))?;
    }
    Ok(())
}

/// RFC 4702 §2.
fn parse_fqdn(mut data: Cursor<'_>, record: &mut record::Dhcpv4) -> Result<(), Malformed> {
    const ENCODED: u8 = 4;
    let flags = data.u8()?;
    record.fqdn_flags = Some(flags.into());
    // Two result codes that say nothing any more.
    data.skip(2)?;
    let name = data.rest();
    if flags & ENCODED != 0 {
        return push_partial_domain(&name, &mut record.fqdn);
    }
    push_text(&mut record.fqdn, &name);
    record.fqdn.make_ascii_lowercase();
    Ok(())
}

/// RFC 3925 §3.
fn parse_vendor_classes(
    mut data: Cursor<'_>,
    list: &mut Vec<record::DhcpVendorClass>,
    spares: &mut Spares,
) -> Result<(), Malformed> {
    while !data.is_empty() {
        let enterprise = data.u32()?;
        let length = data.u8()?;
        let text = data.message_of(length.into())?;
        if list.len() >= LIST_MAX {
            return Err(data.malformed(WeirdReason::Limit, "more than 100 vendor classes"));
        }
        let mut class: record::DhcpVendorClass = spares.take();
        class.enterprise_number = enterprise.into();
        push_item(&data, &mut class.classes, spares, |item| push_opaque(item, &text))?;
        list.push(class);
    }
    Ok(())
}

/// RFC 3925 §4.
fn parse_vendor_options(
    mut data: Cursor<'_>,
    list: &mut Vec<record::DhcpVendorOptions>,
    spares: &mut Spares,
) -> Result<(), Malformed> {
    while !data.is_empty() {
        let enterprise = data.u32()?;
        let length = data.u8()?;
        let options = data.message_of(length.into())?;
        if list.len() >= LIST_MAX {
            return Err(data.malformed(WeirdReason::Limit, "more than 100 enterprises"));
        }
        let mut vendor: record::DhcpVendorOptions = spares.take();
        vendor.enterprise_number = enterprise.into();
        let read = parse_sub_options(options, &mut vendor.options, spares, |_| "");
        list.push(vendor);
        read?;
    }
    Ok(())
}

/// Options in an option: code, length and data each.
pub(super) fn parse_sub_options(
    mut data: Cursor<'_>,
    list: &mut Vec<record::DhcpOption>,
    spares: &mut Spares,
    name: fn(u8) -> &'static str,
) -> Result<(), Malformed> {
    while !data.is_empty() {
        let code = data.u8()?;
        let length = data.u8()?;
        let option = data.message_of(length.into())?;
        if list.len() >= LIST_MAX {
            return Err(data.malformed(WeirdReason::Limit, "more than 100 sub-options"));
        }
        list.push(dhcp::option(code.into(), name(code), option.peek(), spares));
    }
    Ok(())
}
