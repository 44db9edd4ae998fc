//! Certificates (RFC 5280): DER read by structure, without recursion, so that nothing nests deeper than the
//! standard has it.
//!
//! Own code on [`crate::ber`] and not the crate x509-parser: that gives a certificate whole or not at all, and
//! ours are cut by captures and bounds.

mod extensions;
mod names;
mod objects;
#[cfg(test)]
pub(crate) mod tests;
mod times;

use sha1::{Digest as _, Sha1};
use sha2::Sha256;
use weir_contract::{WeirdReason, record};

use self::{
    names::push_name,
    objects::{attribute_name, curve, key_algorithm_name, push_object, signature_algorithm_name},
    times::read_time,
};
use crate::{
    ber::{Element, tag},
    cursor::{Cursor, Malformed},
    digits::push_hex,
    output::{Draft, Output},
    tls::Transport,
};

/// Where a certificate comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin {
    pub(crate) transport: Transport,
    /// Place in the chain, from 0.
    pub(crate) chain_index: u32,
    pub(crate) from_client: bool,
    /// Its status was announced.
    pub(crate) ocsp_stapled: bool,
    /// When it was sent, ns.
    pub(crate) ts_ns: i64,
    /// Bytes that it is said to have.
    pub(crate) certificate_bytes: u32,
}

const BIT_STRING: u8 = 0x03;
const VERSION: u8 = 0xa0;
const ISSUER_UNIQUE_ID: u8 = 0x81;
const SUBJECT_UNIQUE_ID: u8 = 0x82;
const EXTENSIONS: u8 = 0xa3;

/// Writes the record of a certificate, which ends where the cursor does.
pub(crate) fn certificate(der: Cursor<'_>, origin: &Origin, out: &mut Output) {
    let Some(mut x509) = out.record::<record::X509>() else { return };
    x509.ts_ns = origin.ts_ns;
    x509.transport.push_str(origin.transport.name());
    x509.chain_index = origin.chain_index;
    x509.leaf = origin.chain_index == 0;
    x509.from_client = origin.from_client;
    x509.ocsp_stapled = origin.ocsp_stapled;
    x509.certificate_bytes = origin.certificate_bytes;
    if origin.certificate_bytes == der.remaining_u32() {
        push_hex(&mut x509.fingerprint_sha1, &Sha1::digest(der.peek()));
        push_hex(&mut x509.fingerprint_sha256, &Sha256::digest(der.peek()));
    }
    let read = read_certificate(der, origin, &mut x509);
    keep(&mut x509, read);
}

/// Takes note of what could not be read, and lets what stands behind it be read.
fn keep(x509: &mut Draft<'_, record::X509>, read: Result<(), Malformed>) {
    if let Err(malformed) = read {
        x509.truncated |= malformed.reason != WeirdReason::Limit;
        x509.note(malformed);
    }
}

fn read_certificate(mut der: Cursor<'_>, origin: &Origin, x509: &mut Draft<'_, record::X509>) -> Result<(), Malformed> {
    let certificate = Element::expect(&mut der, tag::SEQUENCE, "certificate that is no sequence")?;
    let mut parts = certificate.content;
    let signed = Element::expect(&mut parts, tag::SEQUENCE, "certificate without its signed part")?;
    read_signed(signed.content, origin, x509)?;
    signed.whole()?;
    let algorithm = Element::expect(&mut parts, tag::SEQUENCE, "certificate without an algorithm of its signature")?;
    let object = Element::expect(&mut { algorithm.content }, tag::OBJECT_IDENTIFIER, "algorithm that is no object")?;
    push_object(&mut x509.signature_algorithm, &object, signature_algorithm_name)?;
    Element::expect(&mut parts, BIT_STRING, "certificate without a signature")?.whole()?;
    certificate.whole()?;
    if !der.is_empty() {
        return Err(der.malformed(WeirdReason::TrailingBytes, "bytes behind the certificate"));
    }
    Ok(())
}

/// TBSCertificate (RFC 5280 §4.1).
fn read_signed(mut fields: Cursor<'_>, origin: &Origin, x509: &mut Draft<'_, record::X509>) -> Result<(), Malformed> {
    x509.version = 1;
    if fields.peek().first() == Some(&VERSION) {
        let mut version = Element::read(&mut fields)?.content;
        let number = Element::expect(&mut version, tag::INTEGER, "version that is no number")?.unsigned()?;
        x509.version = u32::try_from(number.saturating_add(1)).unwrap_or(u32::MAX);
    }
    let serial = Element::expect(&mut fields, tag::INTEGER, "serial number that is none")?.bytes()?;
    push_hex(&mut x509.serial_number, serial.get(..SERIAL_BYTES_MAX).unwrap_or(serial));
    if serial.len() > SERIAL_BYTES_MAX {
        let malformed = fields.malformed(WeirdReason::Limit, "serial number of more than 1024 bytes");
        keep(x509, Err(malformed));
    }
    Element::expect(&mut fields, tag::SEQUENCE, "signed part without an algorithm")?.whole()?;
    let issuer = Element::expect(&mut fields, tag::SEQUENCE, "issuer that is no name")?;
    let read = read_issuer(&issuer, x509);
    keep(x509, read);
    let validity = Element::expect(&mut fields, tag::SEQUENCE, "validity that is no sequence")?;
    let read = read_validity(validity.content, origin.ts_ns, x509);
    keep(x509, read);
    let subject = Element::expect(&mut fields, tag::SEQUENCE, "subject that is no name")?;
    let read = read_subject(&subject, x509);
    keep(x509, read);
    x509.self_signed = subject.bytes()? == issuer.bytes()?;
    let whole_key = fields.peek();
    let key = Element::expect(&mut fields, tag::SEQUENCE, "certificate without a key")?;
    key.whole()?;
    let key_bytes = whole_key.len() - fields.remaining();
    push_hex(&mut x509.key_sha256, &Sha256::digest(whole_key.get(..key_bytes).unwrap_or_default()));
    let read = read_key(key.content, x509);
    keep(x509, read);
    while !fields.is_empty() {
        let element = Element::read(&mut fields)?;
        match element.tag {
            EXTENSIONS => extensions::read(element.content, x509)?,
            ISSUER_UNIQUE_ID | SUBJECT_UNIQUE_ID => {}
            _ => return Err(fields.malformed(WeirdReason::BadValue, "unknown field behind the key")),
        }
        element.whole()?;
    }
    Ok(())
}

/// RFC 5280 §4.1.2.2 allows 20.
const SERIAL_BYTES_MAX: usize = 1024;

fn read_issuer(name: &Element<'_>, x509: &mut record::X509) -> Result<(), Malformed> {
    let record::X509 { issuer, issuer_common_name, issuer_organization, issuer_country, .. } = x509;
    push_name(issuer, name, |attribute, value| {
        let field = match attribute_name(attribute) {
            Some("CN") => &mut *issuer_common_name,
            Some("O") => &mut *issuer_organization,
            Some("C") => &mut *issuer_country,
            _ => return,
        };
        if field.is_empty() {
            field.push_str(value);
        }
    })
}

fn read_subject(name: &Element<'_>, x509: &mut record::X509) -> Result<(), Malformed> {
    let record::X509 {
        subject,
        subject_common_name,
        subject_organization,
        subject_organizational_unit,
        subject_country,
        subject_province,
        subject_locality,
        ..
    } = x509;
    push_name(subject, name, |attribute, value| {
        let field = match attribute_name(attribute) {
            Some("CN") => &mut *subject_common_name,
            Some("O") => &mut *subject_organization,
            Some("OU") => &mut *subject_organizational_unit,
            Some("C") => &mut *subject_country,
            Some("ST") => &mut *subject_province,
            Some("L") => &mut *subject_locality,
            _ => return,
        };
        if field.is_empty() {
            field.push_str(value);
        }
    })
}

fn read_validity(mut times: Cursor<'_>, now_ns: i64, x509: &mut record::X509) -> Result<(), Malformed> {
    x509.not_before_ns = read_time(&Element::read(&mut times)?, &mut x509.not_before)?;
    x509.not_yet_valid = x509.not_before_ns.is_some_and(|begin| now_ns < begin);
    x509.not_after_ns = read_time(&Element::read(&mut times)?, &mut x509.not_after)?;
    x509.expired = x509.not_after_ns.is_some_and(|end| now_ns > end);
    Ok(())
}

/// SubjectPublicKeyInfo (RFC 5280 §4.1.2.7).
fn read_key(mut parts: Cursor<'_>, x509: &mut record::X509) -> Result<(), Malformed> {
    let mut algorithm = Element::expect(&mut parts, tag::SEQUENCE, "key without an algorithm")?.content;
    let object = Element::expect(&mut algorithm, tag::OBJECT_IDENTIFIER, "algorithm that is no object")?;
    push_object(&mut x509.key_algorithm, &object, key_algorithm_name)?;
    let mut key = Element::expect(&mut parts, BIT_STRING, "key that is no bit string")?.content;
    match x509.key_algorithm.as_str() {
        "rsa" | "rsa_pss" => {
            key.skip(1)?;
            let mut numbers = Element::expect(&mut key, tag::SEQUENCE, "RSA key that is no sequence")?.content;
            x509.key_bits = Some(bits(&Element::expect(&mut numbers, tag::INTEGER, "modulus that is no number")?)?);
        }
        "dsa" if !algorithm.is_empty() => {
            let mut numbers = Element::expect(&mut algorithm, tag::SEQUENCE, "DSA without its numbers")?.content;
            x509.key_bits = Some(bits(&Element::expect(&mut numbers, tag::INTEGER, "prime that is no number")?)?);
        }
        "ec" => {
            // A curve may be described in place of being named, as no certificate should (RFC 5480 §2.1.1).
            let object = Element::expect(&mut algorithm, tag::OBJECT_IDENTIFIER, "curve without a name")?;
            push_object(&mut x509.key_curve, &object, |object| curve(object).map(|(name, _)| name))?;
            x509.key_bits = curve(object.bytes()?).map(|(_, bits)| bits);
        }
        _ => {}
    }
    Ok(())
}

/// Bits of a positive number.
fn bits(number: &Element<'_>) -> Result<u32, Malformed> {
    let bytes = number.bytes()?;
    let first = bytes.iter().position(|&byte| byte != 0);
    let digits = first.and_then(|first| bytes.get(first..)).unwrap_or_default();
    let leading_zeros = digits.first().map_or(0, |byte| byte.leading_zeros());
    Ok(u32::try_from(digits.len()).unwrap_or(u32::MAX).saturating_mul(8) - leading_zeros)
}
