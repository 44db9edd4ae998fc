//! Times as text: RFC 3339 as in RFC 5424 §6.2.3, and the forms that went before.

use crate::civil::Civil;

/// A time at the beginning of some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Timestamp {
    /// Its bytes.
    pub(super) length: usize,
    /// The time, where year and zone are known; ns since 1970-01-01 UTC.
    pub(super) ts_ns: Option<i64>,
}

/// What the older format has for a time: RFC 3339, or one that begins with a month or a year.
pub(super) fn legacy(bytes: &[u8]) -> Option<Timestamp> {
    rfc3339(bytes).or_else(|| bsd(bytes))
}

/// `2003-10-11T22:14:15.003Z`; the zone may lack, and a space may stand for the `T`.
pub(super) fn rfc3339(bytes: &[u8]) -> Option<Timestamp> {
    let mut scan = Scan { rest: bytes };
    let year = scan.number(4, 4)?;
    scan.byte(b"-")?;
    let month = scan.number(2, 2)?;
    scan.byte(b"-")?;
    let day = scan.number(2, 2)?;
    scan.byte(b"Tt ")?;
    let time = scan.time_of_day(".")?;
    let offset = scan.zone_offset();
    let ts_ns = offset.and_then(|minutes| time.on(year, month, day)?.checked_sub(minutes * 60_000_000_000));
    Some(Timestamp { length: bytes.len() - scan.rest.len(), ts_ns })
}

/// `Oct 11 22:14:15`, with a year before or behind the date, or behind the zone, with fractions of
/// the second, and with a zone's name.
fn bsd(bytes: &[u8]) -> Option<Timestamp> {
    let mut scan = Scan { rest: bytes };
    let mut year = scan.year_and_space();
    let month = scan.month()?;
    scan.byte(b" ")?;
    // Days below 10 follow a second space.
    let _ = scan.byte(b" ");
    let day = scan.number(1, 2)?;
    scan.byte(b" ")?;
    year = year.or_else(|| scan.year_and_space());
    let time = scan.time_of_day(".,")?;
    let zone = scan.zone_name();
    if year.is_none() && zone.is_some() {
        year = scan.space_and_year();
    }
    let is_utc = matches!(zone, Some(b"UTC" | b"GMT" | b"Z"));
    let ts_ns = if is_utc { year.and_then(|year| time.on(year, month, day)) } else { None };
    Some(Timestamp { length: bytes.len() - scan.rest.len(), ts_ns })
}

/// A time of day: hour, minute, second, nanosecond.
#[derive(Clone, Copy)]
struct TimeOfDay(u32, u32, u32, u32);

impl TimeOfDay {
    /// That time on a day, as if it were UTC.
    fn on(self, year: u32, month: u32, day: u32) -> Option<i64> {
        let Self(hour, minute, second, nanosecond) = self;
        Civil { year: year.into(), month, day, hour, minute, second, nanosecond }.to_ns()
    }
}

/// Reads fields off the front; after `None` nothing was read of that field.
#[derive(Clone, Copy)]
struct Scan<'a> {
    rest: &'a [u8],
}

impl<'a> Scan<'a> {
    /// One of some bytes.
    fn byte(&mut self, any: &[u8]) -> Option<u8> {
        let (&first, rest) = self.rest.split_first()?;
        if !any.contains(&first) {
            return None;
        }
        self.rest = rest;
        Some(first)
    }

    /// A number of `least` to `most` digits that no further digit follows.
    fn number(&mut self, least: usize, most: usize) -> Option<u32> {
        let digits = self.rest.iter().take(most + 1).take_while(|byte| byte.is_ascii_digit()).count();
        if !(least..=most).contains(&digits) {
            return None;
        }
        let (number, rest) = self.rest.split_at_checked(digits)?;
        self.rest = rest;
        Some(number.iter().fold(0, |number, digit| number * 10 + u32::from(digit - b'0')))
    }

    /// `Jan` to `Dec`.
    fn month(&mut self) -> Option<u32> {
        const MONTHS: &[u8; 36] = b"JanFebMarAprMayJunJulAugSepOctNovDec";
        let (name, rest) = self.rest.split_at_checked(3)?;
        let at = MONTHS.chunks(3).position(|month| month.eq_ignore_ascii_case(name))?;
        self.rest = rest;
        u32::try_from(at + 1).ok()
    }

    /// Four digits and a space.
    fn year_and_space(&mut self) -> Option<u32> {
        let mut ahead = *self;
        let year = ahead.number(4, 4)?;
        ahead.byte(b" ")?;
        *self = ahead;
        Some(year)
    }

    /// A space and four digits.
    fn space_and_year(&mut self) -> Option<u32> {
        let mut ahead = *self;
        ahead.byte(b" ")?;
        let year = ahead.number(4, 4)?;
        *self = ahead;
        Some(year)
    }

    /// `22:14:15`, with a fraction behind one of the marks.
    fn time_of_day(&mut self, marks: &str) -> Option<TimeOfDay> {
        let hour = self.number(2, 2)?;
        self.byte(b":")?;
        let minute = self.number(2, 2)?;
        self.byte(b":")?;
        let second = self.number(2, 2)?;
        Some(TimeOfDay(hour, minute, second, self.fraction(marks).unwrap_or(0)))
    }

    /// A mark and digits, as ns; those past the ninth count for nothing.
    fn fraction(&mut self, marks: &str) -> Option<u32> {
        let mut ahead = *self;
        ahead.byte(marks.as_bytes())?;
        let digits = ahead.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (fraction, rest) = ahead.rest.split_at_checked(digits).filter(|_| digits > 0)?;
        self.rest = rest;
        let digit_at = |at: usize| fraction.get(at).map_or(0, |digit| u32::from(digit - b'0'));
        Some((0..9).fold(0, |number, at| number * 10 + digit_at(at)))
    }

    /// `Z`, `+02:00`, `+0200` or `+02`, as minutes east of Greenwich.
    fn zone_offset(&mut self) -> Option<i64> {
        let mut ahead = *self;
        let sign = match ahead.byte(b"Zz+-")? {
            b'+' => 1,
            b'-' => -1,
            _ => {
                *self = ahead;
                return Some(0);
            }
        };
        let minutes = match ahead.number(4, 4) {
            Some(both) => both / 100 * 60 + both % 100,
            None => {
                let hours = ahead.number(2, 2)?;
                let minutes = ahead.byte(b":").and_then(|_| ahead.number(2, 2));
                hours * 60 + minutes.unwrap_or(0)
            }
        };
        *self = ahead;
        Some(sign * i64::from(minutes))
    }

    /// A space and a zone's name in capitals. What no colon or year follows may as well be a host.
    fn zone_name(&mut self) -> Option<&'a [u8]> {
        let mut ahead = *self;
        ahead.byte(b" ")?;
        let letters = ahead.rest.iter().take(6).take_while(|byte| byte.is_ascii_uppercase()).count();
        if !(1..=5).contains(&letters) {
            return None;
        }
        let (name, rest) = ahead.rest.split_at_checked(letters)?;
        let has_year = Self { rest }.space_and_year().is_some();
        if !has_year && rest.first() != Some(&b':') {
            return None;
        }
        self.rest = rest;
        Some(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<(usize, Option<i64>)> {
        legacy(text.as_bytes()).map(|found| (found.length, found.ts_ns))
    }

    const T_2003: i64 = 1_065_910_455_000_000_000;

    #[test]
    fn the_examples_of_rfc_5424() {
        assert_eq!(read("1985-04-12T23:20:50.52Z"), Some((23, Some(482_196_050_520_000_000))));
        assert_eq!(read("1985-04-12T19:20:50.52-04:00"), Some((28, Some(482_196_050_520_000_000))));
        assert_eq!(read("2003-10-11T22:14:15.003Z"), Some((24, Some(T_2003 + 3_000_000))));
        assert_eq!(read("2003-08-24T05:14:15.000003-07:00"), Some((32, Some(1_061_727_255_000_003_000))));
    }

    #[test]
    fn without_year_or_zone_there_is_no_time() {
        assert_eq!(read("Oct 11 22:14:15 host"), Some((15, None)));
        assert_eq!(read("Oct  1 22:14:15 host"), Some((15, None)));
        assert_eq!(read("Oct 11 2003 22:14:15: text"), Some((20, None)));
        assert_eq!(read("2003-10-11T22:14:15 host"), Some((19, None)));
        assert_eq!(read("Oct 11 22:14:15 UTC: text"), Some((19, None)));
    }

    #[test]
    fn a_year_and_greenwich_make_a_time() {
        assert_eq!(read("Oct 11 2003 22:14:15.5 UTC: text"), Some((26, Some(T_2003 + 500_000_000))));
        assert_eq!(read("2003 Oct 11 22:14:15 GMT: text"), Some((24, Some(T_2003))));
        assert_eq!(read("Aug 24 05:34:00 CST 1987 mymachine"), Some((24, None)));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        assert_eq!(read("October 11 22:14:15"), None);
        assert_eq!(read("Oct 11 22:14"), None);
        assert_eq!(read("08/20/2013-19:05:23"), None);
        assert_eq!(read("20031-10-11T22:14:15Z"), None);
        assert_eq!(read("2003-13-11T22:14:15Z"), Some((20, None)), "the form is right, the month is none");
    }
}
