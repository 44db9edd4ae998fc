//! Times of validity (RFC 5280 §4.1.2.5).

use weir_contract::WeirdReason;

use crate::{
    ber::Element,
    civil::Civil,
    cursor::{Cursor, Malformed},
    output::push_wire_text,
};

const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// Appends a time as it was sent, and gives it as ns since 1970-01-01 UTC; `None` beyond the years 1678 to
/// 2261.
///
/// # Errors
///
/// Where it is no time. Seconds may be missing, and the zone may be any, as in old certificates.
pub(super) fn read_time(element: &Element<'_>, out: &mut String) -> Result<Option<i64>, Malformed> {
    let mut text = Cursor::new(element.bytes()?);
    push_wire_text(out, &text)?;
    let is_none = element.content.malformed(WeirdReason::BadValue, "time that is none");
    read_digits(&mut text, element.tag).ok_or(is_none)
}

fn read_digits(text: &mut Cursor<'_>, tag: u8) -> Option<Option<i64>> {
    let year = match tag {
        // 1950 to 2049.
        UTC_TIME => match pair(text)? {
            year @ 50.. => 1900 + year,
            year => 2000 + year,
        },
        GENERALIZED_TIME => pair(text)? * 100 + pair(text)?,
        _ => return None,
    };
    let [month, day, hour, minute] = [pair(text)?, pair(text)?, pair(text)?, pair(text)?];
    let second = if text.peek().first().is_some_and(u8::is_ascii_digit) { pair(text)? } else { 0 };
    if text.peek().first() == Some(&b'.') {
        let fraction = text.peek().iter().skip(1).take_while(|byte| byte.is_ascii_digit()).count();
        text.skip(1 + fraction).ok()?;
    }
    const MINUTE_NS: i64 = 60_000_000_000;
    let zone_ns = match text.u8().ok()? {
        b'Z' => 0,
        sign @ (b'+' | b'-') => {
            let minutes = i64::from(pair(text)?) * 60 + i64::from(pair(text)?);
            if sign == b'+' { minutes * MINUTE_NS } else { -minutes * MINUTE_NS }
        }
        _ => return None,
    };
    let is_date = (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second < 60;
    if !is_date || !text.is_empty() {
        return None;
    }
    let civil = Civil { year: year.into(), month, day, hour, minute, second, nanosecond: 0 };
    Some(civil.to_ns().and_then(|ns| ns.checked_sub(zone_ns)))
}

/// A number of two digits.
fn pair(text: &mut Cursor<'_>) -> Option<u32> {
    let [tens, ones] = text.array().ok()?;
    let digit = |byte: u8| char::from(byte).to_digit(10);
    Some(digit(tens)? * 10 + digit(ones)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(tag: u8, text: &str) -> Option<Option<i64>> {
        read_digits(&mut Cursor::new(text.as_bytes()), tag).map(|ns| ns.map(|ns| ns / 1_000_000_000))
    }

    #[test]
    fn times_of_both_kinds() {
        assert_eq!(read(UTC_TIME, "700101000001Z"), Some(Some(1)));
        assert_eq!(read(UTC_TIME, "491231235959Z"), Some(Some(2_524_607_999)));
        assert_eq!(read(UTC_TIME, "500101000000Z"), Some(Some(-631_152_000)));
        assert_eq!(read(GENERALIZED_TIME, "20500101000000Z"), Some(Some(2_524_608_000)));
        assert_eq!(read(GENERALIZED_TIME, "99991231235959Z"), Some(None));
        assert_eq!(read(UTC_TIME, "7001010100+0100"), Some(Some(0)));
        assert_eq!(read(GENERALIZED_TIME, "19700101000000.5Z"), Some(Some(0)));
    }

    #[test]
    fn what_is_no_time() {
        for text in ["", "7001", "700101000000", "701301000000Z", "70010100000xZ", "700101000000ZZ", "700101246000Z"] {
            assert_eq!(read(UTC_TIME, text), None, "{text}");
        }
        assert_eq!(read(0x0c, "700101000000Z"), None);
    }
}
