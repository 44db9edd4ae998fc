//! Data of DNSSEC records (RFC 4034, RFC 5155), of their relatives, and of types without a form of
//! their own.

use weir_contract::{WeirdReason, record};

use super::{
    Flavour,
    numbers::push_type,
    rdata::{Header, push_blob, push_target},
    text::{push_base32, push_base64, push_generic, push_hex, push_numbers, push_time},
};
use crate::{
    cursor::{Cursor, Malformed},
    limits::TEXT_MAX,
    output::Draft,
};

const SIG: u16 = 24;
const KEY: u16 = 25;
const DS: u16 = 43;
const RRSIG: u16 = 46;
const NSEC: u16 = 47;
const DNSKEY: u16 = 48;
const NSEC3: u16 = 50;
const NSEC3PARAM: u16 = 51;
const CDS: u16 = 59;
const CDNSKEY: u16 = 60;
const CSYNC: u16 = 62;
const ZONEMD: u16 = 63;
const TA: u16 = 32768;
const DLV: u16 = 32769;

pub(super) fn parse(
    data: &mut Cursor<'_>,
    header: Header,
    rr: &mut record::DnsResourceRecord,
    dns: &mut Draft<'_, record::Dns>,
) -> Result<(), Malformed> {
    match header.rr_type {
        DS | CDS | TA | DLV => {
            let (key_tag, algorithm, digest_type) = (data.u16()?, data.u8()?, data.u8()?);
            rr.key_tag = Some(key_tag.into());
            rr.algorithm = Some(algorithm.into());
            push_numbers(&mut rr.data, &[key_tag.into(), algorithm.into(), digest_type.into()]);
            push_blob(data, &mut rr.data, push_hex);
        }
        RRSIG | SIG => push_signature(data, rr, dns)?,
        DNSKEY | CDNSKEY | KEY => {
            let (flags, protocol, algorithm) = (data.u16()?, data.u8()?, data.u8()?);
            rr.algorithm = Some(algorithm.into());
            push_numbers(&mut rr.data, &[flags.into(), protocol.into(), algorithm.into()]);
            push_blob(data, &mut rr.data, push_base64);
        }
        NSEC => {
            push_target(data, rr, dns)?;
            push_types(data, &mut rr.data)?;
        }
        NSEC3 => {
            push_hash_parameters(data, rr)?;
            rr.data.push(' ');
            let length = data.u8()?;
            push_base32(&mut rr.data, data.take(length.into())?);
            push_types(data, &mut rr.data)?;
        }
        NSEC3PARAM => push_hash_parameters(data, rr)?,
        CSYNC => {
            let (serial, flags) = (data.u32()?, data.u16()?);
            rr.serial = Some(serial.into());
            push_numbers(&mut rr.data, &[serial.into(), flags.into()]);
            rr.data.pop();
            push_types(data, &mut rr.data)?;
        }
        ZONEMD => {
            let serial = data.u32()?;
            rr.serial = Some(serial.into());
            push_numbers(&mut rr.data, &[serial.into(), data.u8()?.into(), data.u8()?.into()]);
            push_blob(data, &mut rr.data, push_hex);
        }
        _ => {
            push_generic(&mut rr.data, header.data_bytes, data.rest().message());
        }
    }
    Ok(())
}

/// RFC 4034 §3.1.
fn push_signature(
    data: &mut Cursor<'_>,
    rr: &mut record::DnsResourceRecord,
    dns: &mut Draft<'_, record::Dns>,
) -> Result<(), Malformed> {
    let (covered, algorithm) = (data.u16()?, data.u8()?);
    rr.algorithm = Some(algorithm.into());
    let (labels, original_ttl, expiration, inception) = (data.u8()?, data.u32()?, data.u32()?, data.u32()?);
    let key_tag = data.u16()?;
    rr.key_tag = Some(key_tag.into());
    push_type(&mut rr.data, Flavour::Dns, covered);
    rr.data.push(' ');
    push_numbers(&mut rr.data, &[algorithm.into(), labels.into(), original_ttl.into()]);
    push_time(&mut rr.data, expiration.into());
    rr.data.push(' ');
    push_time(&mut rr.data, inception.into());
    rr.data.push(' ');
    push_numbers(&mut rr.data, &[key_tag.into()]);
    push_target(data, rr, dns)?;
    rr.data.push(' ');
    push_blob(data, &mut rr.data, push_base64);
    Ok(())
}

/// RFC 5155 §4.2: hash algorithm, flags, iterations, salt.
fn push_hash_parameters(data: &mut Cursor<'_>, rr: &mut record::DnsResourceRecord) -> Result<(), Malformed> {
    let (algorithm, flags, iterations) = (data.u8()?, data.u8()?, data.u16()?);
    rr.algorithm = Some(algorithm.into());
    push_numbers(&mut rr.data, &[algorithm.into(), flags.into(), iterations.into()]);
    let length = data.u8()?;
    match data.take(length.into())? {
        [] => rr.data.push('-'),
        salt => push_hex(&mut rr.data, salt),
    }
    Ok(())
}

/// Types whose bits are set (RFC 4034 §4.1.2): windows of 256, each with a space before it.
fn push_types(data: &mut Cursor<'_>, out: &mut String) -> Result<(), Malformed> {
    while !data.is_empty() {
        let window = data.u8()?;
        let length = data.u8()?;
        if !(1..=32).contains(&length) {
            return Err(data.malformed(WeirdReason::BadLength, "bitmap of types of 0 or more than 32 bytes"));
        }
        for (place, &bits) in (0u16..).zip(data.take(length.into())?) {
            for bit in 0..8 {
                if bits >> (7 - bit) & 1 == 1 && out.len() <= TEXT_MAX {
                    out.push(' ');
                    push_type(out, Flavour::Dns, u16::from(window) << 8 | place << 3 | bit);
                }
            }
        }
    }
    Ok(())
}
