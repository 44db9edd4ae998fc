//! Cookies (RFC 6265), and the parameters of queries, which look alike.

use crate::civil::Civil;

/// Name and value of `a=b`; all is the name where there is no `=`.
pub(super) fn pair(text: &[u8]) -> (&[u8], &[u8]) {
    match text.iter().position(|&byte| byte == b'=') {
        Some(at) => (text.get(..at).unwrap_or_default(), text.get(at + 1..).unwrap_or_default()),
        None => (text, &[]),
    }
}

/// The cookies of a field Cookie.
pub(super) fn cookies(value: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let pairs = value.split(|&byte| byte == b';').map(<[u8]>::trim_ascii).filter(|pair| !pair.is_empty());
    pairs.map(pair).map(|(name, value)| (name.trim_ascii(), value.trim_ascii()))
}

/// The parameters in a target's query, not decoded.
pub(super) fn parameters(target: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let target = target.split(|&byte| byte == b'#').next().unwrap_or_default();
    let query = target.iter().position(|&byte| byte == b'?').and_then(|at| target.get(at + 1..)).unwrap_or_default();
    query.split(|&byte| byte == b'&').filter(|pair| !pair.is_empty()).map(pair)
}

/// Decodes `%41`; `plus` is what `+` stands for: a space in forms (WHATWG URL, application/x-www-form-urlencoded).
pub(super) fn decode_percent(out: &mut Vec<u8>, mut text: &[u8], plus: u8) {
    while let Some((&byte, rest)) = text.split_first() {
        text = rest;
        let digit = |at: usize| rest.get(at).and_then(|&digit| char::from(digit).to_digit(16));
        match (byte, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                out.extend(u8::try_from(high << 4 | low));
                text = rest.get(2..).unwrap_or_default();
            }
            (b'+', ..) => out.push(plus),
            _ => out.push(byte),
        }
    }
}

/// A date as cookies have it, in whatever order its parts are (RFC 6265 §5.1.1): ns since 1970-01-01 UTC.
pub(super) fn date_ns(text: &[u8]) -> Option<i64> {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b':';
    let (mut time, mut day, mut month, mut year) = (None, None, None, None);
    for part in text.split(|byte| !is_part(byte)).filter(|part| !part.is_empty()) {
        if time.is_none()
            && let Some(found) = time_of(part)
        {
            time = Some(found);
        } else if day.is_none() && part.len() <= 2 && number(part).is_some() {
            day = number(part);
        } else if month.is_none() && month_of(part).is_some() {
            month = month_of(part);
        } else if year.is_none() {
            year = number(part).filter(|_| part.len() == 2 || part.len() == 4);
        }
    }
    let (hour, minute, second) = time?;
    let year = match i64::from(year?) {
        year @ 70..=99 => year + 1900,
        year @ 0..=69 => year + 2000,
        year => year,
    };
    Civil { year, month: month?, day: day?, hour, minute, second, nanosecond: 0 }.to_ns()
}

fn time_of(part: &[u8]) -> Option<(u32, u32, u32)> {
    let mut numbers = part.split(|&byte| byte == b':');
    let time = (number(numbers.next()?)?, number(numbers.next()?)?, number(numbers.next()?)?);
    numbers.next().is_none().then_some(time)
}

fn month_of(part: &[u8]) -> Option<u32> {
    const MONTHS: &[u8; 36] = b"janfebmaraprmayjunjulaugsepoctnovdec";
    let name = part.get(..3)?;
    let index = MONTHS.chunks(3).position(|month| month.eq_ignore_ascii_case(name))?;
    u32::try_from(index + 1).ok()
}

fn number(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_of_a_request() {
        let found: Vec<_> = cookies(b"a=1;b=\"2=3\" ; c;;").collect();
        assert_eq!(found, [(&b"a"[..], &b"1"[..]), (b"b", b"\"2=3\""), (b"c", b"")]);
    }

    #[test]
    fn parameters_of_a_query() {
        let found: Vec<_> = parameters(b"/a?x=1&&y#&z=2").collect();
        assert_eq!(found, [(&b"x"[..], &b"1"[..]), (b"y", b"")]);
        assert_eq!(parameters(b"/a").count(), 0);
        let mut decoded = Vec::new();
        decode_percent(&mut decoded, b"a+b%20%c3%A9%4%zz%", b' ');
        assert_eq!(decoded, "a b \u{e9}%4%zz%".as_bytes());
    }

    #[test]
    fn dates_in_all_their_forms() {
        let expected = Some(784_111_777_000_000_000);
        for date in ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"] {
            assert_eq!(date_ns(date.as_bytes()), expected, "{date}");
        }
        for none in ["", "0", "-1", "Sun, 31 Feb 1994 08:49:37 GMT", "06 Nov 1994"] {
            assert_eq!(date_ns(none.as_bytes()), None, "{none}");
        }
    }
}
