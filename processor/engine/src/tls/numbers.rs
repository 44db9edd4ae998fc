//! Lists of numbers in records, with the names beside them.

use std::fmt::Write as _;

use weir_contract::{Spares, WeirdReason};

use super::{
    cipher_suites,
    names::{self, is_grease},
};
use crate::{
    cursor::{Cursor, Malformed},
    limits::{LIST_MAX, TEXT_MAX},
};

/// Of a list in a record.
const FIRST_TOO_MANY: u32 = 101;

/// Appends the name of a number, or the number itself in hex.
fn push_name(out: &mut String, number: u32, name: Option<&'static str>) {
    match name {
        Some(name) => out.push_str(name),
        None if u16::try_from(number).is_ok_and(is_grease) => out.push_str("GREASE"),
        None => {
            let _ = write!(out, "0x{number:04x}");
        }
    }
}

pub(crate) fn push_cipher_suite_name(out: &mut String, number: u32) {
    push_name(out, number, cipher_suites::cipher_suite_name(number));
}

pub(crate) fn push_version_name(out: &mut String, number: u16) {
    push_name(out, number.into(), names::version_name(number));
}

fn push_extension_name(out: &mut String, number: u16) {
    push_name(out, number.into(), names::extension_name(number));
}

pub(crate) fn push_group_name(out: &mut String, number: u16) {
    push_name(out, number.into(), names::group_name(number));
}

pub(super) fn push_signature_algorithm_name(out: &mut String, number: u16) {
    push_name(out, number.into(), names::signature_algorithm_name(number));
}

/// Appends numbers as far as the list has room.
///
/// # Errors
///
/// Where that is not all.
pub(super) fn push_numbers<N: Into<u32>>(
    list: &mut Vec<u32>,
    numbers: impl IntoIterator<Item = N>,
    source: &Cursor<'_>,
) -> Result<(), Malformed> {
    for number in numbers {
        if list.len() >= LIST_MAX {
            return Err(source.malformed(WeirdReason::Limit, "list of more than 100 numbers"));
        }
        list.push(number.into());
    }
    Ok(())
}

/// As [`push_numbers`], and appends their names to a second list.
pub(super) fn push_named<N: Into<u32> + Copy>(
    (list, names): (&mut Vec<u32>, &mut Vec<String>),
    numbers: impl IntoIterator<Item = N>,
    push_name: fn(&mut String, N),
    (source, spares): (&Cursor<'_>, &mut Spares),
) -> Result<(), Malformed> {
    for number in numbers {
        push_numbers(list, [number], source)?;
        let mut name = spares.take_string();
        push_name(&mut name, number);
        names.push(name);
    }
    Ok(())
}

/// Appends the number of an extension, the `count`th of its hello, and its name.
///
/// # Errors
///
/// Where the list is full; for the first one that has no place only.
pub(super) fn push_extension(
    (list, names): (&mut Vec<u32>, &mut Vec<String>),
    (number, count): (u16, &mut u32),
    (body, spares): (&Cursor<'_>, &mut Spares),
) -> Result<(), Malformed> {
    *count += 1;
    if *count > FIRST_TOO_MANY {
        return Ok(());
    }
    push_named((list, names), [number], push_extension_name, (body, spares))
}

/// Puts bytes into a field, of more than 4096 only the first ones.
///
/// # Errors
///
/// Where that is not all.
pub(crate) fn set_bytes(out: &mut Vec<u8>, bytes: &Cursor<'_>) -> Result<(), Malformed> {
    let all = bytes.peek();
    out.clear();
    out.extend_from_slice(all.get(..TEXT_MAX).unwrap_or(all));
    if all.len() > TEXT_MAX {
        return Err(bytes.malformed(WeirdReason::Limit, "more than 4096 bytes"));
    }
    Ok(())
}

/// Appends the first 4096 characters of a text of ASCII.
pub(super) fn push_start(out: &mut String, text: &str) {
    out.push_str(text.get(..TEXT_MAX).unwrap_or(text));
}
