//! How data are written in zone files: numbers, hex, base64, base32, quoted strings, times.

use std::fmt::Write as _;

use weir_contract::text::push_escaped;

pub(super) use crate::digits::{push_base64, push_hex, push_number};
use crate::limits::TEXT_MAX;

/// Appends numbers with a space behind each.
pub(super) fn push_numbers(out: &mut String, numbers: &[u64]) {
    for &number in numbers {
        push_number(out, number);
        out.push(' ');
    }
}

/// Appends bytes as lower-case base32 with the extended hex alphabet, without padding (RFC 5155 §3.3),
/// as many as a text may hold.
pub(super) fn push_base32(out: &mut String, bytes: &[u8]) {
    const ALPHABET: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";
    let (mut bits, mut held) = (0u32, 0);
    let mut push = |digit: u32| out.push(char::from(ALPHABET.get((digit & 31) as usize).copied().unwrap_or_default()));
    for &byte in bytes.get(..TEXT_MAX).unwrap_or(bytes) {
        bits = bits << 8 | u32::from(byte);
        held += 8;
        while held >= 5 {
            held -= 5;
            push(bits >> held);
        }
    }
    if held > 0 {
        push(bits << (5 - held));
    }
}

/// Appends a character string in quotes; a quote in it is escaped.
pub(super) fn push_quoted(out: &mut String, string: &[u8]) {
    out.push('"');
    for (at, part) in string.split(|&byte| byte == b'"').enumerate() {
        if at > 0 {
            out.push_str("\\x22");
        }
        push_escaped(out, part);
    }
    out.push('"');
}

/// Appends what data without a form of their own look like (RFC 3597 §5).
pub(super) fn push_generic(out: &mut String, announced: u16, data: &[u8]) {
    out.push_str("\\# ");
    push_number(out, announced);
    if !data.is_empty() {
        out.push(' ');
        push_hex(out, data);
    }
}

/// Appends seconds since 1970 as `YYYYMMDDHHmmSS` (RFC 4034 §3.2).
pub(super) fn push_time(out: &mut String, seconds: u64) {
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // The Gregorian calendar repeats every 400 years of 146,097 days; years are counted from March,
    // so that the leap day is the last one.
    let since_march_of_year_0 = days + 719_468;
    let (era, day) = (since_march_of_year_0 / 146_097, since_march_of_year_0 % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (year, month) = if month < 10 { (year, month + 3) } else { (year + 1, month - 9) };
    let year = year + era * 400;
    let _ = write!(out, "{year:04}{month:02}{day:02}{:02}{:02}{:02}", second / 3_600, second / 60 % 60, second % 60);
}

/// Cuts a text to what a record may hold; false if there was nothing to cut.
pub(super) fn cut(text: &mut String) -> bool {
    let too_long = text.len() > TEXT_MAX;
    if too_long {
        text.truncate(text.floor_char_boundary(TEXT_MAX));
    }
    too_long
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(push: impl Fn(&mut String)) -> String {
        let mut out = String::new();
        push(&mut out);
        out
    }

    #[test]
    fn base64_as_in_rfc_4648() {
        let vectors = [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")];
        for (bytes, text) in vectors {
            assert_eq!(written(|out| push_base64(out, bytes.as_bytes())), text);
        }
    }

    #[test]
    fn base32_as_in_rfc_4648() {
        let vectors = [("", ""), ("f", "co"), ("fo", "cpng"), ("foo", "cpnmu"), ("fooba", "cpnmuoj1")];
        for (bytes, text) in vectors {
            assert_eq!(written(|out| push_base32(out, bytes.as_bytes())), text);
        }
    }

    #[test]
    fn times_as_dates() {
        assert_eq!(written(|out| push_time(out, 0)), "19700101000000");
        assert_eq!(written(|out| push_time(out, 951_827_696)), "20000229123456");
        assert_eq!(written(|out| push_time(out, 1_079_029_863)), "20040311183103");
        assert_eq!(written(|out| push_time(out, u64::from(u32::MAX))), "21060207062815");
    }

    #[test]
    fn quotes_inside_strings_are_escaped() {
        assert_eq!(written(|out| push_quoted(out, b"a\"b\\")), "\"a\\x22b\\x5c\"");
    }
}
