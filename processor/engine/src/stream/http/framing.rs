//! Where a message's body ends (RFC 9112 §6.3), and what else its header decides.

use weir_contract::WeirdReason;

use super::lines::Lines;
use crate::cursor::{Cursor, Malformed};
use crate::output::Output;

/// How the end of a body is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// There is none.
    Nothing,
    /// After so many bytes, more than none.
    Length(u64),
    /// By chunks.
    Chunked,
    /// Where the connection ends.
    UntilClose,
}

/// What the fields of a header say that decides how the stream is read on.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Facts {
    /// All values of Content-Length, if they are one number.
    pub(super) content_length: Option<u64>,
    /// Why Content-Length is none.
    bad_length: Option<&'static str>,
    encoding: Option<Encoding>,
    /// Field Upgrade is there.
    pub(super) upgrade: bool,
}

/// What Transfer-Encoding ends with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Chunked,
    Other,
}

impl Facts {
    /// Reads the header of a message, and complains about what does not belong there.
    pub(super) fn of(head: &Lines, input: &Cursor<'_>, out: &mut Output) -> Self {
        let mut facts = Self::default();
        let (mut hosts, mut spaced, mut nameless) = (0u32, false, false);
        for field in head.fields_behind_first() {
            spaced |= field.is_spaced;
            nameless |= field.name.is_empty();
            match field.name.len() {
                4 if field.name.eq_ignore_ascii_case(b"Host") => hosts += 1,
                7 if field.name.eq_ignore_ascii_case(b"Upgrade") => facts.upgrade = true,
                14 if field.name.eq_ignore_ascii_case(b"Content-Length") => facts.add_length(field.value),
                17 if field.name.eq_ignore_ascii_case(b"Transfer-Encoding") => facts.add_encoding(field.value),
                _ => {}
            }
        }
        let mut note = |is_so: bool, reason, detail| {
            if is_so {
                out.note(input.malformed(reason, detail));
            }
        };
        note(hosts > 1, WeirdReason::BadValue, "more than one Host");
        note(spaced, WeirdReason::BadEncoding, "space before a colon");
        note(nameless, WeirdReason::BadValue, "line of a header without a name");
        if facts.encoding.is_some() {
            // What smuggles requests past proxies that read the other of the two.
            let has_length = facts.content_length.is_some() || facts.bad_length.is_some();
            note(has_length, WeirdReason::BadLength, "Content-Length beside Transfer-Encoding");
        }
        facts
    }

    /// RFC 9110 §8.6: equal values count as one.
    fn add_length(&mut self, value: &[u8]) {
        for item in value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
            match (decimal(item), self.content_length) {
                (None, _) => self.bad_length = Some("Content-Length that is no number"),
                (length, Some(_)) if length != self.content_length => {
                    self.bad_length = Some("Content-Length of different values");
                }
                (length, _) => self.content_length = length,
            }
        }
    }

    fn add_encoding(&mut self, value: &[u8]) {
        for item in value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).filter(|item| !item.is_empty()) {
            if item.eq_ignore_ascii_case(b"chunked") {
                self.encoding = Some(Encoding::Chunked);
            } else if !item.eq_ignore_ascii_case(b"identity") {
                // `identity` was the absence of any encoding (RFC 2616 §3.6) and is no more.
                self.encoding = Some(Encoding::Other);
            }
        }
    }

    /// The body of a request.
    pub(super) fn of_request(&self, input: &Cursor<'_>) -> Result<Framing, Malformed> {
        match self.encoding {
            Some(Encoding::Chunked) => Ok(Framing::Chunked),
            Some(Encoding::Other) => {
                Err(input.malformed(WeirdReason::BadEncoding, "request in an encoding that does not tell its end"))
            }
            None => Ok(self.length(input)?.unwrap_or(Framing::Nothing)),
        }
    }

    /// The body of a response with that status; not that of one which can't have any.
    pub(super) fn of_response(&self, input: &Cursor<'_>) -> Result<Framing, Malformed> {
        match self.encoding {
            Some(Encoding::Chunked) => Ok(Framing::Chunked),
            Some(Encoding::Other) => Ok(Framing::UntilClose),
            None => Ok(self.length(input)?.unwrap_or(Framing::UntilClose)),
        }
    }

    fn length(&self, input: &Cursor<'_>) -> Result<Option<Framing>, Malformed> {
        if let Some(detail) = self.bad_length {
            return Err(input.malformed(WeirdReason::BadLength, detail));
        }
        Ok(self.content_length.map(|length| if length == 0 { Framing::Nothing } else { Framing::Length(length) }))
    }
}

/// A number of digits and nothing else that a record can hold.
fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number: i64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    u64::try_from(number).ok()
}

/// The length at the front of a chunk; extensions behind it are passed over (RFC 9112 §7.1).
pub(super) fn chunk_length(line: &[u8]) -> Option<u64> {
    let size = line.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
    if size.is_empty() || !size.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let length = i64::from_str_radix(std::str::from_utf8(size).ok()?, 16).ok()?;
    u64::try_from(length).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(fields: &[(&str, &str)]) -> Facts {
        let mut facts = Facts::default();
        for (name, value) in fields {
            match *name {
                "length" => facts.add_length(value.as_bytes()),
                _ => facts.add_encoding(value.as_bytes()),
            }
        }
        facts
    }

    fn of_request(fields: &[(&str, &str)]) -> Option<Framing> {
        facts(fields).of_request(&Cursor::new(&[])).ok()
    }

    fn of_response(fields: &[(&str, &str)]) -> Option<Framing> {
        facts(fields).of_response(&Cursor::new(&[])).ok()
    }

    #[test]
    fn lengths_that_agree_are_one() {
        assert_eq!(of_request(&[("length", "42")]), Some(Framing::Length(42)));
        assert_eq!(of_request(&[("length", "42, 42"), ("length", "42")]), Some(Framing::Length(42)));
        assert_eq!(of_request(&[("length", "0")]), Some(Framing::Nothing));
        for bad in ["42, 43", "+42", "-1", "0x10", "", "4 2", "99999999999999999999"] {
            assert_eq!((of_request(&[("length", bad)]), of_response(&[("length", bad)])), (None, None), "{bad}");
        }
    }

    #[test]
    fn encodings_win_over_lengths() {
        let both = [("length", "4"), ("encoding", "chunked")];
        assert_eq!((of_request(&both), of_response(&both)), (Some(Framing::Chunked), Some(Framing::Chunked)));
        let bad = [("length", "x"), ("encoding", "gzip, Chunked")];
        assert_eq!(of_request(&bad), Some(Framing::Chunked));
    }

    #[test]
    fn an_encoding_without_chunks_ends_with_the_connection() {
        for other in ["gzip", "chunked, gzip"] {
            let fields = [("encoding", other), ("length", "4")];
            assert_eq!((of_request(&fields), of_response(&fields)), (None, Some(Framing::UntilClose)));
        }
        let two = [("encoding", "gzip"), ("encoding", "chunked")];
        assert_eq!(of_request(&two), Some(Framing::Chunked));
    }

    #[test]
    fn without_either_a_request_has_no_body_and_a_response_ends_with_the_connection() {
        assert_eq!((of_request(&[]), of_response(&[])), (Some(Framing::Nothing), Some(Framing::UntilClose)));
        let identity = [("encoding", "identity"), ("length", "4")];
        assert_eq!(of_response(&identity), Some(Framing::Length(4)));
    }

    #[test]
    fn chunk_lengths() {
        assert_eq!(chunk_length(b"1aF"), Some(0x1af));
        assert_eq!(chunk_length(b"0010 ; name=\"a;b\""), Some(16));
        for bad in [&b""[..], b";a", b"-1", b"0x1", b"1 2", b"8000000000000000", b"fffffffffffffffff"] {
            assert_eq!(chunk_length(bad), None, "{}", bad.escape_ascii());
        }
    }
}
