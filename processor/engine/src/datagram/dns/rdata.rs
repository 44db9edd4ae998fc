//! Data of resource records, by type: text as in zone files, and what people filter by as fields.

use weir_contract::{WeirdReason, record};

use super::{
    Flavour, dnssec, name, netbios,
    numbers::{class, push_signature_error, rr_type},
    svcb,
    text::{cut, push_base64, push_generic, push_hex, push_number, push_numbers, push_quoted, push_time},
};
use crate::{
    cursor::{Cursor, Malformed},
    limits::TEXT_MAX,
    output::{Draft, push_address},
};

/// Keys, certificates and tokens longer than this are given by their length.
const BLOB_MAX: usize = 1024;

/// Header of the record whose data are read.
#[derive(Clone, Copy)]
pub(super) struct Header {
    pub(super) rr_type: u16,
    pub(super) class: u16,
    pub(super) data_bytes: u16,
}

/// Reads the data, which `data` ends with. What contradicts the type is noted, unless the data were
/// cut short anyway.
pub(super) fn parse(
    mut data: Cursor<'_>,
    header: Header,
    flavour: Flavour,
    rr: &mut record::DnsResourceRecord,
    dns: &mut Draft<'_, record::Dns>,
) {
    let bytes = data.peek();
    let parsed = parse_type(&mut data, header, flavour, rr, dns);
    let trailing = data.malformed(WeirdReason::TrailingBytes, "bytes behind the data of their type");
    let parsed = parsed.and(if data.is_empty() { Ok(()) } else { Err(trailing) });
    if let Err(malformed) = parsed {
        if bytes.len() == usize::from(header.data_bytes) {
            dns.note(malformed);
        }
        rr.data.clear();
        push_generic(&mut rr.data, header.data_bytes, bytes);
    }
    if cut(&mut rr.data) {
        dns.note(data.malformed(WeirdReason::Limit, "data of a record cut at 4096 characters"));
    }
}

fn parse_type(
    data: &mut Cursor<'_>,
    header: Header,
    flavour: Flavour,
    rr: &mut record::DnsResourceRecord,
    dns: &mut Draft<'_, record::Dns>,
) -> Result<(), Malformed> {
    match header.rr_type {
        // Updates and their prerequisites name types without data (RFC 2136 §2.4, §2.5).
        _ if header.data_bytes == 0 && matches!(header.class, class::ANY | class::NONE) => {}
        rr_type::NB if flavour == Flavour::Nbns => {
            if let Some((flags, address)) = netbios::push_owners(data, &mut rr.data)? {
                rr.netbios_flags = Some(flags.into());
                push_address(&mut rr.address, address.into());
            }
        }
        rr_type::NBSTAT if flavour == Flavour::Nbns => netbios::push_status(data, &mut rr.data)?,
        NULL if flavour == Flavour::Nbns && data.remaining() == 2 => netbios::push_wait(data, &mut rr.data)?,
        // Chaosnet's addresses are others (RFC 1035 §3.3).
        rr_type::A if header.class != class::CH => {
            push_address(&mut rr.address, data.array::<4>()?.into());
            rr.data.push_str(&rr.address);
        }
        rr_type::AAAA => {
            push_address(&mut rr.address, data.array::<16>()?.into());
            rr.data.push_str(&rr.address);
        }
        rr_type::NS | MD | MF | rr_type::CNAME | MB | MG | MR | rr_type::PTR | NSAP_PTR | DNAME => {
            push_target(data, rr, dns)?;
        }
        rr_type::SOA => push_soa(data, rr, dns)?,
        WKS => push_services(data, &mut rr.data)?,
        rr_type::TXT | HINFO | X25 | ISDN | GPOS | NINFO | SPF | AVC | RESINFO | WALLET => {
            push_strings(data, &mut rr.data)?;
        }
        MINFO | RP => {
            push_name(data, &mut rr.mailbox, dns)?;
            rr.data.push_str(&rr.mailbox);
            rr.data.push(' ');
            push_target(data, rr, dns)?;
        }
        rr_type::MX | AFSDB | RT | KX | LP => {
            push_priority(data, rr)?;
            push_target(data, rr, dns)?;
        }
        rr_type::SRV => {
            push_priority(data, rr)?;
            push_weight(data, rr)?;
            let port = data.u16()?;
            rr.port = Some(port.into());
            push_numbers(&mut rr.data, &[port.into()]);
            push_target(data, rr, dns)?;
        }
        LOC => push_location(data, &mut rr.data)?,
        NAPTR => {
            push_priority(data, rr)?;
            push_weight(data, rr)?;
            for _ in ["flags", "services", "regexp"] {
                push_string(data, &mut rr.data)?;
                rr.data.push(' ');
            }
            push_target(data, rr, dns)?;
        }
        URI => {
            push_priority(data, rr)?;
            push_weight(data, rr)?;
            push_quoted(&mut rr.data, data.rest().message());
        }
        CAA => {
            push_numbers(&mut rr.data, &[data.u8()?.into()]);
            let length = data.u8()?;
            weir_contract::text::push_escaped(&mut rr.data, data.take(length.into())?);
            rr.data.push(' ');
            push_quoted(&mut rr.data, data.rest().message());
        }
        SSHFP => {
            let algorithm = data.u8()?;
            rr.algorithm = Some(algorithm.into());
            push_numbers(&mut rr.data, &[algorithm.into(), data.u8()?.into()]);
            push_blob(data, &mut rr.data, push_hex);
        }
        TLSA | SMIMEA => {
            push_numbers(&mut rr.data, &[data.u8()?.into(), data.u8()?.into(), data.u8()?.into()]);
            push_blob(data, &mut rr.data, push_hex);
        }
        CERT => {
            push_numbers(&mut rr.data, &[data.u16()?.into(), data.u16()?.into(), data.u8()?.into()]);
            push_blob(data, &mut rr.data, push_base64);
        }
        DHCID | OPENPGPKEY => push_blob(data, &mut rr.data, push_base64),
        EUI48 | EUI64 => push_eui(data, header.rr_type, &mut rr.data)?,
        SVCB | rr_type::HTTPS => svcb::parse(data, rr, dns)?,
        TKEY => push_key_exchange(data, rr, dns)?,
        TSIG => push_signature(data, rr, dns)?,
        _ => return dnssec::parse(data, header, rr, dns),
    }
    Ok(())
}

const MD: u16 = 3;
const MF: u16 = 4;
const MB: u16 = 7;
const MG: u16 = 8;
const MR: u16 = 9;
const NULL: u16 = 10;
const WKS: u16 = 11;
const HINFO: u16 = 13;
const MINFO: u16 = 14;
const RP: u16 = 17;
const AFSDB: u16 = 18;
const X25: u16 = 19;
const ISDN: u16 = 20;
const RT: u16 = 21;
const NSAP_PTR: u16 = 23;
const GPOS: u16 = 27;
const LOC: u16 = 29;
const NAPTR: u16 = 35;
const KX: u16 = 36;
const CERT: u16 = 37;
const DNAME: u16 = 39;
const SSHFP: u16 = 44;
const DHCID: u16 = 49;
const TLSA: u16 = 52;
const SMIMEA: u16 = 53;
const NINFO: u16 = 56;
const OPENPGPKEY: u16 = 61;
const SVCB: u16 = 64;
const SPF: u16 = 99;
const LP: u16 = 107;
const EUI48: u16 = 108;
const EUI64: u16 = 109;
const TKEY: u16 = 249;
const TSIG: u16 = 250;
const URI: u16 = 256;
const CAA: u16 = 257;
const AVC: u16 = 258;
const RESINFO: u16 = 261;
const WALLET: u16 = 262;

/// Appends a name. What is wrong behind a pointer in it is noted.
pub(super) fn push_name(
    data: &mut Cursor<'_>,
    out: &mut String,
    dns: &mut Draft<'_, record::Dns>,
) -> Result<(), Malformed> {
    if let Some(flaw) = name::read(data, out)? {
        dns.note(flaw);
    }
    Ok(())
}

/// Reads the name that the data point at.
pub(super) fn push_target(
    data: &mut Cursor<'_>,
    rr: &mut record::DnsResourceRecord,
    dns: &mut Draft<'_, record::Dns>,
) -> Result<(), Malformed> {
    push_name(data, &mut rr.target, dns)?;
    rr.data.push_str(&rr.target);
    Ok(())
}

fn push_priority(data: &mut Cursor<'_>, rr: &mut record::DnsResourceRecord) -> Result<(), Malformed> {
    let priority = data.u16()?;
    rr.priority = Some(priority.into());
    push_numbers(&mut rr.data, &[priority.into()]);
    Ok(())
}

fn push_weight(data: &mut Cursor<'_>, rr: &mut record::DnsResourceRecord) -> Result<(), Malformed> {
    let weight = data.u16()?;
    rr.weight = Some(weight.into());
    push_numbers(&mut rr.data, &[weight.into()]);
    Ok(())
}

/// Appends the rest of the data, by its length if it is long.
pub(super) fn push_blob(data: &mut Cursor<'_>, out: &mut String, push: fn(&mut String, &[u8])) {
    let blob = data.rest();
    if blob.remaining() <= BLOB_MAX {
        push(out, blob.message());
        return;
    }
    push_number(out, u64::try_from(blob.remaining()).unwrap_or(u64::MAX));
    out.push_str(" bytes");
}

/// RFC 1035 §3.3.13.
fn push_soa(
    data: &mut Cursor<'_>,
    rr: &mut record::DnsResourceRecord,
    dns: &mut Draft<'_, record::Dns>,
) -> Result<(), Malformed> {
    push_target(data, rr, dns)?;
    push_name(data, &mut rr.mailbox, dns)?;
    let serial = data.u32()?;
    rr.serial = Some(serial.into());
    rr.data.push(' ');
    rr.data.push_str(&rr.mailbox);
    rr.data.push(' ');
    push_number(&mut rr.data, serial);
    for _ in ["refresh", "retry", "expire", "minimum"] {
        rr.data.push(' ');
        push_number(&mut rr.data, data.u32()?);
    }
    Ok(())
}

/// Well-known services (RFC 1035 §3.4.2): address, protocol, and the ports whose bits are set.
fn push_services(data: &mut Cursor<'_>, out: &mut String) -> Result<(), Malformed> {
    push_address(out, data.array::<4>()?.into());
    out.push(' ');
    push_number(out, data.u8()?);
    for (place, &bits) in (0u32..).zip(data.rest().message()) {
        for bit in 0..8 {
            if bits >> (7 - bit) & 1 == 1 && out.len() <= TEXT_MAX {
                out.push(' ');
                push_number(out, place * 8 + bit);
            }
        }
    }
    Ok(())
}

fn push_strings(data: &mut Cursor<'_>, out: &mut String) -> Result<(), Malformed> {
    push_string(data, out)?;
    while !data.is_empty() {
        if out.len() > TEXT_MAX {
            data.rest();
            return Ok(());
        }
        out.push(' ');
        push_string(data, out)?;
    }
    Ok(())
}

/// A character string (RFC 1035 §3.3).
fn push_string(data: &mut Cursor<'_>, out: &mut String) -> Result<(), Malformed> {
    let length = data.u8()?;
    push_quoted(out, data.take(length.into())?);
    Ok(())
}

/// RFC 1876 §2: sizes as a digit and a power of ten, angles in thousandths of a second of arc.
fn push_location(data: &mut Cursor<'_>, out: &mut String) -> Result<(), Malformed> {
    use std::fmt::Write as _;
    const EQUATOR: i64 = 1 << 31;
    const SEA_LEVEL_CM: i64 = 10_000_000;
    if data.u8()? != 0 {
        return Err(data.malformed(WeirdReason::BadVersion, "version of a location is not 0"));
    }
    let sizes = data.array::<3>()?;
    for hemispheres in [['N', 'S'], ['E', 'W']] {
        let angle = i64::from(data.u32()?) - EQUATOR;
        let [positive, negative] = hemispheres;
        let hemisphere = if angle < 0 { negative } else { positive };
        let angle = angle.abs();
        let (degrees, minutes) = (angle / 3_600_000, angle / 60_000 % 60);
        let _ = write!(out, "{degrees} {minutes} {}.{:03} {hemisphere} ", angle / 1_000 % 60, angle % 1_000);
    }
    let altitude = i64::from(data.u32()?) - SEA_LEVEL_CM;
    let sign = if altitude < 0 { "-" } else { "" };
    let _ = write!(out, "{sign}{}.{:02}m", altitude.abs() / 100, altitude.abs() % 100);
    for size in sizes {
        let (digit, power) = (size >> 4, size & 15);
        if digit > 9 || power > 9 {
            return Err(data.malformed(WeirdReason::BadValue, "size in a location is no digit and power of ten"));
        }
        let cm = u64::from(digit) * 10u64.pow(power.into());
        let _ = write!(out, " {}.{:02}m", cm / 100, cm % 100);
    }
    Ok(())
}

/// RFC 7043 §3.2, §4.2.
fn push_eui(data: &mut Cursor<'_>, rr_type: u16, out: &mut String) -> Result<(), Malformed> {
    let bytes = data.take(if rr_type == EUI48 { 6 } else { 8 })?;
    for (at, &byte) in bytes.iter().enumerate() {
        if at > 0 {
            out.push('-');
        }
        push_hex(out, &[byte]);
    }
    Ok(())
}

/// TKEY (RFC 2930 §2): algorithm, inception, expiration, mode, error, lengths of key and other data.
fn push_key_exchange(
    data: &mut Cursor<'_>,
    rr: &mut record::DnsResourceRecord,
    dns: &mut Draft<'_, record::Dns>,
) -> Result<(), Malformed> {
    push_name(data, &mut rr.data, dns)?;
    for _ in ["inception", "expiration"] {
        rr.data.push(' ');
        push_time(&mut rr.data, data.u32()?.into());
    }
    rr.data.push(' ');
    push_numbers(&mut rr.data, &[data.u16()?.into()]);
    push_signature_error(&mut rr.data, data.u16()?);
    for _ in ["key", "other data"] {
        let length = data.u16()?;
        data.skip(length.into())?;
        rr.data.push(' ');
        push_number(&mut rr.data, length);
    }
    Ok(())
}

/// TSIG (RFC 8945 §4.2): algorithm, time signed, fudge, length of the code, the code, original
/// identifier, error, length of other data.
fn push_signature(
    data: &mut Cursor<'_>,
    rr: &mut record::DnsResourceRecord,
    dns: &mut Draft<'_, record::Dns>,
) -> Result<(), Malformed> {
    push_name(data, &mut rr.data, dns)?;
    rr.data.push(' ');
    let signed = u64::from(data.u16()?) << 32 | u64::from(data.u32()?);
    let fudge = data.u16()?;
    let length = data.u16()?;
    push_numbers(&mut rr.data, &[signed, fudge.into(), length.into()]);
    let mut code = data.message_of(length.into())?;
    if length > 0 {
        push_blob(&mut code, &mut rr.data, push_base64);
        rr.data.push(' ');
    }
    push_numbers(&mut rr.data, &[data.u16()?.into()]);
    push_signature_error(&mut rr.data, data.u16()?);
    let other = data.u16()?;
    data.skip(other.into())?;
    rr.data.push(' ');
    push_number(&mut rr.data, other);
    Ok(())
}
