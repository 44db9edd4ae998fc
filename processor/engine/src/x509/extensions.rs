//! Extensions of certificates (RFC 5280 §4.2).

use std::net::IpAddr;

use weir_contract::{Spares, WeirdReason, record};

use super::{
    keep,
    objects::{KEY_USAGES, purpose_name, push_object},
};
use crate::{
    ber::{Element, tag},
    cursor::{Cursor, Malformed},
    limits::{LIST_MAX, TEXT_MAX},
    output::{Draft, push_address, push_wire_text},
};

const BOOLEAN: u8 = 0x01;
const BIT_STRING: u8 = 0x03;

/// Kinds of GeneralName (RFC 5280 §4.2.1.6), as their tags.
const EMAIL: u8 = 0x81;
const DNS_NAME: u8 = 0x82;
const URI: u8 = 0x86;
const IP_ADDRESS: u8 = 0x87;

/// Reads the extensions one by one; what is wrong with one does not hide the next.
pub(super) fn read(mut input: Cursor<'_>, x509: &mut Draft<'_, record::X509>) -> Result<(), Malformed> {
    let mut list = Element::expect(&mut input, tag::SEQUENCE, "extensions that are no sequence")?.content;
    while !list.is_empty() {
        if x509.extensions.len() >= LIST_MAX {
            return Err(list.malformed(WeirdReason::Limit, "more than 100 extensions"));
        }
        let mut parts = Element::expect(&mut list, tag::SEQUENCE, "extension that is no sequence")?.content;
        let object = Element::expect(&mut parts, tag::OBJECT_IDENTIFIER, "extension without a type")?;
        let (fields, spares) = x509.parts();
        let mut text = spares.take_string();
        let pushed = object.push_object_identifier(&mut text);
        fields.extensions.push(text);
        keep(x509, pushed);
        let mut value = Element::read(&mut parts)?;
        if value.tag == BOOLEAN {
            value = Element::read(&mut parts)?;
        }
        if value.tag != tag::OCTET_STRING {
            return Err(parts.malformed(WeirdReason::BadValue, "extension that holds no bytes"));
        }
        let (fields, spares) = x509.parts();
        let read = object.bytes().and_then(|object| read_value(object, value.content, fields, spares));
        keep(x509, read.and_then(|()| value.whole()));
    }
    Ok(())
}

fn read_value(
    object: &[u8],
    mut value: Cursor<'_>,
    x509: &mut record::X509,
    spares: &mut Spares,
) -> Result<(), Malformed> {
    match object {
        [0x55, 0x1d, 14] => {
            let id = Element::expect(&mut value, tag::OCTET_STRING, "key identifier that is none")?;
            set_bytes(&mut x509.subject_key_id, &id)
        }
        [0x55, 0x1d, 15] => read_key_usage(&mut value, x509, spares),
        [0x55, 0x1d, 17] => read_alternative_names(&mut value, x509, spares),
        [0x55, 0x1d, 19] => read_basic_constraints(&mut value, x509),
        [0x55, 0x1d, 31] => read_distribution_points(&mut value, x509, spares),
        [0x55, 0x1d, 32] => read_policies(&mut value, x509, spares),
        [0x55, 0x1d, 35] => read_authority_key_id(&mut value, x509),
        [0x55, 0x1d, 37] => read_purposes(&mut value, x509, spares),
        [0x2b, 6, 1, 5, 5, 7, 1, 1] => read_authority_access(&mut value, x509, spares),
        [0x2b, 6, 1, 4, 1, 0xd6, 0x79, 2, 4, 2] => {
            x509.embedded_scts = true;
            Ok(())
        }
        _ => Ok(()),
    }
}

fn set_bytes(out: &mut Vec<u8>, element: &Element<'_>) -> Result<(), Malformed> {
    let bytes = element.bytes()?;
    if bytes.len() > TEXT_MAX {
        return Err(element.content.malformed(WeirdReason::Limit, "more than 4096 bytes"));
    }
    out.clear();
    out.extend_from_slice(bytes);
    Ok(())
}

fn push_text(list: &mut Vec<String>, element: &Element<'_>, spares: &mut Spares) -> Result<(), Malformed> {
    if list.len() >= LIST_MAX {
        return Err(element.content.malformed(WeirdReason::Limit, "list of more than 100 texts"));
    }
    element.whole()?;
    let mut text = spares.take_string();
    let pushed = push_wire_text(&mut text, &element.content);
    list.push(text);
    pushed
}

fn sequence<'a>(input: &mut Cursor<'a>) -> Result<Cursor<'a>, Malformed> {
    Ok(Element::expect(input, tag::SEQUENCE, "extension that holds no sequence")?.content)
}

fn read_key_usage(value: &mut Cursor<'_>, x509: &mut record::X509, spares: &mut Spares) -> Result<(), Malformed> {
    let bits = Element::expect(value, BIT_STRING, "key usage that is no bit string")?.bytes()?;
    let bits = bits.get(1..).unwrap_or_default();
    x509.key_usage.clear();
    for (at, name) in KEY_USAGES.iter().enumerate() {
        if bits.get(at / 8).is_some_and(|byte| byte << (at % 8) & 0x80 != 0) {
            let mut usage = spares.take_string();
            usage.push_str(name);
            x509.key_usage.push(usage);
        }
    }
    Ok(())
}

fn read_alternative_names(
    value: &mut Cursor<'_>,
    x509: &mut record::X509,
    spares: &mut Spares,
) -> Result<(), Malformed> {
    let mut names = sequence(value)?;
    // The first bound that was reached; all names are counted.
    let mut result = Ok(());
    while !names.is_empty() {
        let name = Element::read(&mut names)?;
        x509.san_count += 1;
        let pushed = match name.tag {
            EMAIL => push_text(&mut x509.san_emails, &name, spares),
            DNS_NAME => {
                let before = x509.san_dns.len();
                let pushed = push_text(&mut x509.san_dns, &name, spares);
                x509.san_dns.iter_mut().skip(before).for_each(|name| name.make_ascii_lowercase());
                pushed
            }
            URI => push_text(&mut x509.san_uris, &name, spares),
            IP_ADDRESS => push_ip(&mut x509.san_ips, &name, spares),
            _ => Ok(()),
        };
        result = result.and(pushed);
    }
    result
}

fn push_ip(list: &mut Vec<String>, name: &Element<'_>, spares: &mut Spares) -> Result<(), Malformed> {
    let bytes = name.bytes()?;
    let address = match (<[u8; 4]>::try_from(bytes), <[u8; 16]>::try_from(bytes)) {
        (Ok(v4), _) => IpAddr::from(v4),
        (_, Ok(v6)) => IpAddr::from(v6),
        _ => return Err(name.content.malformed(WeirdReason::BadLength, "IP address of neither 4 nor 16 bytes")),
    };
    if list.len() >= LIST_MAX {
        return Err(name.content.malformed(WeirdReason::Limit, "list of more than 100 texts"));
    }
    let mut text = spares.take_string();
    push_address(&mut text, address);
    list.push(text);
    Ok(())
}

fn read_basic_constraints(value: &mut Cursor<'_>, x509: &mut record::X509) -> Result<(), Malformed> {
    let mut constraints = sequence(value)?;
    x509.ca = Some(false);
    if constraints.peek().first() == Some(&BOOLEAN) {
        x509.ca = Some(Element::read(&mut constraints)?.bytes()?.iter().any(|&byte| byte != 0));
    }
    if !constraints.is_empty() {
        let length = Element::expect(&mut constraints, tag::INTEGER, "path length that is no number")?.unsigned()?;
        x509.path_length = u32::try_from(length).ok();
    }
    Ok(())
}

fn read_purposes(value: &mut Cursor<'_>, x509: &mut record::X509, spares: &mut Spares) -> Result<(), Malformed> {
    let mut purposes = sequence(value)?;
    while !purposes.is_empty() {
        let object = Element::expect(&mut purposes, tag::OBJECT_IDENTIFIER, "purpose that is no object")?;
        if x509.extended_key_usage.len() >= LIST_MAX {
            return Err(purposes.malformed(WeirdReason::Limit, "more than 100 purposes"));
        }
        let mut purpose = spares.take_string();
        let pushed = push_object(&mut purpose, &object, purpose_name);
        x509.extended_key_usage.push(purpose);
        pushed?;
    }
    Ok(())
}

fn read_policies(value: &mut Cursor<'_>, x509: &mut record::X509, spares: &mut Spares) -> Result<(), Malformed> {
    let mut policies = sequence(value)?;
    while !policies.is_empty() {
        let mut policy = sequence(&mut policies)?;
        let object = Element::expect(&mut policy, tag::OBJECT_IDENTIFIER, "policy that is no object")?;
        if x509.policies.len() >= LIST_MAX {
            return Err(policies.malformed(WeirdReason::Limit, "more than 100 policies"));
        }
        let mut text = spares.take_string();
        let pushed = object.push_object_identifier(&mut text);
        x509.policies.push(text);
        pushed?;
    }
    Ok(())
}

fn read_authority_key_id(value: &mut Cursor<'_>, x509: &mut record::X509) -> Result<(), Malformed> {
    const KEY_IDENTIFIER: u8 = 0x80;
    let mut parts = sequence(value)?;
    while !parts.is_empty() {
        let part = Element::read(&mut parts)?;
        if part.tag == KEY_IDENTIFIER {
            set_bytes(&mut x509.authority_key_id, &part)?;
        }
    }
    Ok(())
}

/// RFC 5280 §4.2.2.1.
fn read_authority_access(
    value: &mut Cursor<'_>,
    x509: &mut record::X509,
    spares: &mut Spares,
) -> Result<(), Malformed> {
    let mut ways = sequence(value)?;
    while !ways.is_empty() {
        let mut way = sequence(&mut ways)?;
        let method = Element::expect(&mut way, tag::OBJECT_IDENTIFIER, "way of access that is no object")?.bytes()?;
        let place = Element::read(&mut way)?;
        match (method, place.tag) {
            ([0x2b, 6, 1, 5, 5, 7, 48, 1], URI) => push_text(&mut x509.ocsp_urls, &place, spares)?,
            ([0x2b, 6, 1, 5, 5, 7, 48, 2], URI) => push_text(&mut x509.issuer_urls, &place, spares)?,
            _ => {}
        }
    }
    Ok(())
}

/// RFC 5280 §4.2.1.13: each point may have a name, which may be a list of places.
fn read_distribution_points(
    value: &mut Cursor<'_>,
    x509: &mut record::X509,
    spares: &mut Spares,
) -> Result<(), Malformed> {
    const NAME: u8 = 0xa0;
    const FULL_NAME: u8 = 0xa0;
    let mut points = sequence(value)?;
    while !points.is_empty() {
        let mut point = sequence(&mut points)?;
        if point.peek().first() != Some(&NAME) {
            continue;
        }
        let mut name = Element::read(&mut point)?.content;
        if name.peek().first() != Some(&FULL_NAME) {
            continue;
        }
        let mut places = Element::read(&mut name)?.content;
        while !places.is_empty() {
            let place = Element::read(&mut places)?;
            if place.tag == URI {
                push_text(&mut x509.crl_urls, &place, spares)?;
            }
        }
    }
    Ok(())
}
