//! Options (RFC 8415 §21 and those that came later).

use std::net::{IpAddr, Ipv6Addr};

use weir_contract::{Spares, WeirdReason, record};

use super::{
    association,
    dhcp::{
        self, push_addresses, push_architectures, push_domains, push_fingerprint, push_item, push_opaque,
        push_opaque_texts, push_partial_domain, push_text, read_duid, seconds_to_ns,
    },
    names,
};
use crate::{
    cursor::{Cursor, Malformed},
    limits::{LIST_MAX, TEXT_MAX},
    output::{Draft, push_address, push_mac},
};

/// Option codes that are read here.
mod code {
    pub(super) const CLIENT_ID: u16 = 1;
    pub(super) const SERVER_ID: u16 = 2;
    pub(super) const IA_NA: u16 = 3;
    pub(super) const IA_TA: u16 = 4;
    pub(super) const OPTION_REQUEST: u16 = 6;
    pub(super) const PREFERENCE: u16 = 7;
    pub(super) const ELAPSED_TIME: u16 = 8;
    pub(super) const RELAY_MESSAGE: u16 = 9;
    pub(super) const UNICAST: u16 = 12;
    pub(super) const STATUS_CODE: u16 = 13;
    pub(super) const RAPID_COMMIT: u16 = 14;
    pub(super) const USER_CLASS: u16 = 15;
    pub(super) const VENDOR_CLASS: u16 = 16;
    pub(super) const VENDOR_OPTIONS: u16 = 17;
    pub(super) const INTERFACE_ID: u16 = 18;
    pub(super) const RECONFIGURE_MESSAGE: u16 = 19;
    pub(super) const RECONFIGURE_ACCEPT: u16 = 20;
    pub(super) const DNS_SERVERS: u16 = 23;
    pub(super) const DOMAIN_LIST: u16 = 24;
    pub(super) const IA_PD: u16 = 25;
    pub(super) const SNTP_SERVERS: u16 = 31;
    pub(super) const INFORMATION_REFRESH_TIME: u16 = 32;
    pub(super) const REMOTE_ID: u16 = 37;
    pub(super) const SUBSCRIBER_ID: u16 = 38;
    pub(super) const CLIENT_FQDN: u16 = 39;
    pub(super) const NTP_SERVER: u16 = 56;
    pub(super) const BOOT_FILE_URL: u16 = 59;
    pub(super) const CLIENT_ARCHITECTURE: u16 = 61;
    pub(super) const AFTR_NAME: u16 = 64;
    pub(super) const CLIENT_LINK_LAYER_ADDRESS: u16 = 79;
    pub(super) const CAPTIVE_PORTAL: u16 = 103;
    pub(super) const MUD_URL: u16 = 112;
}

/// An honest link-layer address is 20 bytes at most (RFC 4391 §4).
const ADDRESS_MAX: usize = 32;

/// Reads the options of a message to its end. One that is wrong in itself costs its own field only.
pub(super) fn parse(input: &mut Cursor<'_>, dhcp: &mut Draft<'_, record::Dhcpv6>) -> Result<(), Malformed> {
    while !input.is_empty() {
        let (code, data, whole) = next_or_part(input)?;
        let (record, spares) = dhcp.parts();
        push_option(code, &data, &mut record.options, spares)?;
        whole?;
        let parsed = parse_option(code, data, dhcp);
        note(parsed, dhcp);
    }
    Ok(())
}

/// Reads the options of a relay message to its end; gives the message that it carries, of one that
/// is cut as much as there is.
pub(super) fn parse_of_relay<'a>(
    input: &mut Cursor<'a>,
    relay: &mut record::Dhcpv6Relay,
    dhcp: &mut Draft<'_, record::Dhcpv6>,
) -> Result<Option<Cursor<'a>>, Malformed> {
    let mut relayed = None;
    while !input.is_empty() {
        let (code, data, whole) = next_or_part(input)?;
        if code == code::RELAY_MESSAGE {
            relayed = Some(data);
            if let Err(malformed) = whole {
                dhcp.truncated = true;
                dhcp.note(malformed);
            }
            continue;
        }
        push_option(code, &data, &mut relay.options, dhcp.parts().1)?;
        whole?;
        let parsed = parse_option_of_relay(code, data, relay, dhcp);
        note(parsed, dhcp);
    }
    Ok(relayed)
}

fn parse_option_of_relay(
    code: u16,
    mut data: Cursor<'_>,
    relay: &mut record::Dhcpv6Relay,
    dhcp: &mut Draft<'_, record::Dhcpv6>,
) -> Result<(), Malformed> {
    match code {
        code::INTERFACE_ID => push_opaque(&mut relay.interface_id, &data),
        code::SUBSCRIBER_ID => push_opaque(&mut relay.subscriber_id, &data),
        code::REMOTE_ID => {
            relay.remote_id_enterprise_number = Some(data.u32()?.into());
            push_opaque(&mut relay.remote_id, &data);
        }
        code::CLIENT_LINK_LAYER_ADDRESS => parse_link_layer_address(data, dhcp)?,
        _ => {}
    }
    Ok(())
}

/// The next option of a message: its code, its data as far as they are there, and whether they are.
fn next_or_part<'a>(input: &mut Cursor<'a>) -> Result<(u16, Cursor<'a>, Result<(), Malformed>), Malformed> {
    let code = input.u16()?;
    let length = usize::from(input.u16()?);
    let whole = { *input }.skip(length);
    Ok((code, input.message_up_to(length), whole))
}

/// The next option in an option: its code and data.
pub(super) fn next<'a>(input: &mut Cursor<'a>) -> Result<(u16, Cursor<'a>), Malformed> {
    let code = input.u16()?;
    let length = input.u16()?;
    Ok((code, input.message_of(length.into())?))
}

fn push_option(
    code: u16,
    data: &Cursor<'_>,
    list: &mut Vec<record::DhcpOption>,
    spares: &mut Spares,
) -> Result<(), Malformed> {
    if list.len() >= LIST_MAX {
        return Err(data.malformed(WeirdReason::Limit, "more than 100 options"));
    }
    list.push(dhcp::option(code, names::option(code), data.peek(), spares));
    Ok(())
}

fn note(parsed: Result<(), Malformed>, dhcp: &mut Draft<'_, record::Dhcpv6>) {
    if let Err(malformed) = parsed {
        dhcp.note(malformed);
    }
}

fn parse_option(code: u16, mut data: Cursor<'_>, dhcp: &mut Draft<'_, record::Dhcpv6>) -> Result<(), Malformed> {
    let (record, spares) = dhcp.parts();
    if data.remaining() > TEXT_MAX {
        return Err(data.malformed(WeirdReason::Limit, "option of more than 4096 bytes"));
    }
    match code {
        code::CLIENT_ID => return parse_duid(data, &mut record.client_duid, spares),
        code::SERVER_ID => return parse_duid(data, &mut record.server_duid, spares),
        code::IA_NA | code::IA_TA | code::IA_PD => return association::parse(code, data, dhcp),
        code::OPTION_REQUEST => return parse_option_request(data, record),
        code::PREFERENCE => record.preference = Some(data.u8()?.into()),
        code::ELAPSED_TIME => record.elapsed_ns = Some(i64::from(data.u16()?) * 10_000_000),
        code::UNICAST => {
            record.server_unicast_ip.clear();
            push_address(&mut record.server_unicast_ip, Ipv6Addr::from(data.array::<16>()?).into());
        }
        code::STATUS_CODE => {
            let status = data.u16()?;
            record.status_code = Some(status.into());
            set_name(&mut record.status_name, names::status(status));
            set_text(&mut record.status_message, &data);
        }
        code::RAPID_COMMIT => record.rapid_commit = true,
        code::USER_CLASS => return push_opaque_texts(data, &mut record.user_classes, spares),
        code::VENDOR_CLASS => return parse_vendor_class(data, record, spares),
        code::VENDOR_OPTIONS => return parse_vendor_options(data, record, spares),
        code::RECONFIGURE_MESSAGE => record.reconfigure_message_type = Some(data.u8()?.into()),
        code::RECONFIGURE_ACCEPT => record.reconfigure_accept = true,
        code::DNS_SERVERS => return push_addresses::<16>(data, &mut record.dns_servers, spares),
        code::DOMAIN_LIST => return push_domains(data, &mut record.domain_search, spares),
        code::SNTP_SERVERS => return push_addresses::<16>(data, &mut record.sntp_servers, spares),
        code::INFORMATION_REFRESH_TIME => record.information_refresh_time_ns = Some(seconds_to_ns(data.u32()?)),
        code::CLIENT_FQDN => {
            record.fqdn_flags = Some(data.u8()?.into());
            record.fqdn.clear();
            push_partial_domain(&data, &mut record.fqdn)?;
        }
        code::NTP_SERVER => return parse_ntp_servers(data, &mut record.ntp_servers, spares),
        code::BOOT_FILE_URL => set_text(&mut record.boot_file_url, &data),
        code::CLIENT_ARCHITECTURE => {
            let names = &mut record.client_architecture_names;
            return push_architectures(data, &mut record.client_architectures, names, spares);
        }
        code::AFTR_NAME => {
            record.aftr_name.clear();
            push_partial_domain(&data, &mut record.aftr_name)?;
        }
        code::CLIENT_LINK_LAYER_ADDRESS => return parse_link_layer_address(data, dhcp),
        code::CAPTIVE_PORTAL => set_text(&mut record.captive_portal_url, &data),
        code::MUD_URL => set_text(&mut record.mud_url, &data),
        _ => {}
    }
    Ok(())
}

/// Options that may stand once only: of several the last one counts.
pub(super) fn set_text(out: &mut String, data: &Cursor<'_>) {
    out.clear();
    push_text(out, data);
}

pub(super) fn set_name(out: &mut String, name: &str) {
    out.clear();
    out.push_str(name);
}

fn parse_duid(data: Cursor<'_>, place: &mut Option<record::DhcpDuid>, spares: &mut Spares) -> Result<(), Malformed> {
    let (duid, read) = read_duid(data, spares);
    *place = Some(duid);
    read
}

fn parse_option_request(mut data: Cursor<'_>, record: &mut record::Dhcpv6) -> Result<(), Malformed> {
    record.option_request_list.clear();
    record.fingerprint.clear();
    let mut read = Ok(());
    while !data.is_empty() && read.is_ok() {
        if record.option_request_list.len() >= LIST_MAX {
            read = Err(data.malformed(WeirdReason::Limit, "more than 100 requested options"));
            break;
        }
        read = data.u16().map(|code| record.option_request_list.push(code.into()));
    }
    push_fingerprint(&mut record.fingerprint, &record.option_request_list);
    read
}

/// RFC 8415 §21.16.
fn parse_vendor_class(mut data: Cursor<'_>, record: &mut record::Dhcpv6, spares: &mut Spares) -> Result<(), Malformed> {
    let mut class: record::DhcpVendorClass = spares.take();
    class.enterprise_number = data.u32()?.into();
    let read = push_opaque_texts(data, &mut class.classes, spares);
    record.vendor_classes.push(class);
    read
}

/// RFC 8415 §21.17.
fn parse_vendor_options(
    mut data: Cursor<'_>,
    record: &mut record::Dhcpv6,
    spares: &mut Spares,
) -> Result<(), Malformed> {
    let mut vendor: record::DhcpVendorOptions = spares.take();
    vendor.enterprise_number = data.u32()?.into();
    let mut read = Ok(());
    while !data.is_empty() && read.is_ok() {
        read = next(&mut data).and_then(|(code, option)| {
            if vendor.options.len() >= LIST_MAX {
                return Err(option.malformed(WeirdReason::Limit, "more than 100 vendor options"));
            }
            vendor.options.push(dhcp::option(code, "", option.peek(), spares));
            Ok(())
        });
    }
    record.vendor_options.push(vendor);
    read
}

/// RFC 5908 §4: an address, a multicast address or a name each.
fn parse_ntp_servers(mut data: Cursor<'_>, list: &mut Vec<String>, spares: &mut Spares) -> Result<(), Malformed> {
    const ADDRESS: u16 = 1;
    const MULTICAST_ADDRESS: u16 = 2;
    const NAME: u16 = 3;
    while !data.is_empty() {
        let (code, mut server) = next(&mut data)?;
        match code {
            ADDRESS | MULTICAST_ADDRESS => {
                let address: IpAddr = server.array::<16>()?.into();
                push_item(&data, list, spares, |text| push_address(text, address))?;
            }
            NAME => push_domains(server, list, spares)?,
            _ => {}
        }
    }
    Ok(())
}

/// RFC 6939 §4.
fn parse_link_layer_address(mut data: Cursor<'_>, dhcp: &mut Draft<'_, record::Dhcpv6>) -> Result<(), Malformed> {
    data.skip(2)?;
    dhcp.client_mac.clear();
    push_mac(&mut dhcp.client_mac, data.message_up_to(ADDRESS_MAX).peek());
    Ok(())
}
