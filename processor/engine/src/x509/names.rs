//! Distinguished names (RFC 5280 §4.1.2.4) as text (RFC 4514).

use smallvec::SmallVec;
use weir_contract::{WeirdReason, text::push_escaped};

use super::objects::{attribute_name, push_object};
use crate::{
    ber::{Element, tag},
    cursor::Malformed,
    limits::{LIST_MAX, TEXT_MAX},
};

const SET: u8 = 0x31;
const BMP_STRING: u8 = 0x1e;
const UNIVERSAL_STRING: u8 = 0x1c;

/// Appends a name, its last and most specific part first, and tells each attribute's object and value.
///
/// # Errors
///
/// The parts that were readable are appended also where others make no sense, or are too many.
pub(super) fn push_name(
    out: &mut String,
    name: &Element<'_>,
    mut each: impl FnMut(&[u8], &str),
) -> Result<(), Malformed> {
    let mut parts: SmallVec<[Element<'_>; 8]> = SmallVec::new();
    let mut input = name.content;
    let mut read = name.whole();
    while !input.is_empty() && parts.len() < LIST_MAX {
        match Element::expect(&mut input, SET, "part of a name that is no set") {
            Ok(part) => parts.push(part),
            Err(malformed) => {
                read = Err(malformed);
                break;
            }
        }
    }
    if parts.len() == LIST_MAX && !input.is_empty() {
        read = read.and(Err(input.malformed(WeirdReason::Limit, "name of more than 100 parts")));
    }
    for (at, part) in parts.iter().rev().enumerate() {
        if at > 0 {
            out.push(',');
        }
        // What is wrong with one part does not hide the others.
        read = read.and(push_part(out, part, &mut each));
    }
    read
}

/// One or more attributes of equal rank.
fn push_part(out: &mut String, part: &Element<'_>, each: &mut impl FnMut(&[u8], &str)) -> Result<(), Malformed> {
    let mut attributes = part.content;
    let mut is_first = true;
    while !attributes.is_empty() {
        if out.len() > TEXT_MAX {
            return Err(attributes.malformed(WeirdReason::Limit, "name of more than 4096 characters"));
        }
        if !std::mem::take(&mut is_first) {
            out.push('+');
        }
        let mut pair = Element::expect(&mut attributes, tag::SEQUENCE, "attribute that is no sequence")?.content;
        let object = Element::expect(&mut pair, tag::OBJECT_IDENTIFIER, "attribute without a type")?;
        push_object(out, &object, attribute_name)?;
        out.push('=');
        let begin = out.len();
        push_value(out, &Element::read(&mut pair)?)?;
        each(object.bytes()?, out.get(begin..).unwrap_or_default());
    }
    part.whole()
}

/// Any type of string.
fn push_value(out: &mut String, value: &Element<'_>) -> Result<(), Malformed> {
    let bytes = value.bytes()?;
    let room = TEXT_MAX.saturating_sub(out.len());
    let start = bytes.get(..room).unwrap_or(bytes);
    match value.tag {
        BMP_STRING => {
            let units = start.as_chunks().0.iter().map(|&unit| u16::from_be_bytes(unit));
            let text = char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER));
            push_separated(out, text.collect::<String>().as_bytes());
        }
        UNIVERSAL_STRING => {
            let units = start.as_chunks().0.iter().map(|&unit| u32::from_be_bytes(unit));
            let text = units.map(|unit| char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER));
            push_separated(out, text.collect::<String>().as_bytes());
        }
        _ => push_separated(out, start),
    }
    if bytes.len() > room {
        return Err(value.content.malformed(WeirdReason::Limit, "name of more than 4096 characters"));
    }
    Ok(())
}

/// Escapes also what separates parts and attributes.
fn push_separated(out: &mut String, text: &[u8]) {
    for piece in text.split_inclusive(|byte| matches!(byte, b',' | b'+')) {
        match piece.split_last() {
            Some((b',', before)) => {
                push_escaped(out, before);
                out.push_str("\\x2c");
            }
            Some((b'+', before)) => {
                push_escaped(out, before);
                out.push_str("\\x2b");
            }
            _ => push_escaped(out, piece),
        }
    }
}
