//! Lines of a header or trailer (RFC 9112 §2.2, §5), read as they arrive and kept as they came.

use memchr::memchr;
use serde::{Deserialize, Serialize};
use weir_contract::WeirdReason;

use crate::{
    cursor::{Cursor, Malformed},
    output::Output,
};

/// Bytes of a line. It has to fit into what a parser is offered at once.
const LINE_BYTES_MAX: usize = 64 << 10;

/// Bytes of all lines of a header or trailer. Servers take a few dozen KiB.
const HEAD_BYTES_MAX: u64 = 256 << 10;

/// Room for the header of a usual message from its first line on.
const HEAD_BYTES: usize = 512;

/// A line without its end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line<'a> {
    pub(super) text: &'a [u8],
    /// It ends with LF alone.
    bare: bool,
}

/// Takes the next line off the input; `None` where it has not ended yet.
///
/// `scanned` remembers from one call to the next how much of the line is known to hold no end: so a line that
/// drips in byte by byte is looked at once.
pub(super) fn next_line<'a>(input: &mut Cursor<'a>, scanned: &mut usize) -> Result<Option<Line<'a>>, Malformed> {
    let unread = input.peek();
    let fresh = unread.get(*scanned..).unwrap_or_default();
    let end = memchr(b'\n', fresh).map(|at| *scanned + at);
    if end.unwrap_or(unread.len()) > LINE_BYTES_MAX {
        return Err(input.malformed(WeirdReason::Limit, "line of more than 64 KiB"));
    }
    let Some(end) = end else {
        *scanned = unread.len();
        return Ok(None);
    };
    *scanned = 0;
    let text = input.take(end)?;
    input.skip(1)?;
    Ok(Some(match text {
        [text @ .., b'\r'] => Line { text, bare: false },
        text => Line { text, bare: true },
    }))
}

impl Line<'_> {
    /// Bytes of the line with its end.
    fn wire_bytes(&self) -> u64 {
        self.text.len() as u64 + if self.bare { 1 } else { 2 }
    }
}

/// The lines of one header or trailer.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Lines {
    /// Each without its end, and behind each a LF.
    kept: Vec<u8>,
    /// Bytes on the wire.
    pub(super) wire_bytes: u64,
    /// Lines that hold a field.
    pub(super) fields: u32,
    /// Not all lines are kept.
    pub(super) truncated: bool,
    noted: Noted,
}

/// What was complained about: once for each message.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Noted {
    bare: bool,
    nul: bool,
    folded: bool,
}

impl Lines {
    /// Takes the first line of a message in the form in which it is kept.
    pub(super) fn push_first(&mut self, line: Line<'_>, kept: &[&[u8]], input: &Cursor<'_>, out: &mut Output) {
        self.count(line, input, out);
        self.kept.reserve(HEAD_BYTES);
        for part in kept {
            self.kept.extend_from_slice(part);
        }
        self.kept.push(b'\n');
    }

    /// Takes a line with a field, or its continuation (RFC 9112 §5.2).
    pub(super) fn push(&mut self, line: Line<'_>, input: &Cursor<'_>, out: &mut Output) -> Result<(), Malformed> {
        self.count(line, input, out);
        if self.wire_bytes > HEAD_BYTES_MAX {
            return Err(input.malformed(WeirdReason::Limit, "header of more than 256 KiB"));
        }
        if !matches!(line.text.first(), Some(b' ' | b'\t')) {
            self.fields += 1;
            self.kept.extend_from_slice(line.text);
            self.kept.push(b'\n');
            return Ok(());
        }
        if !std::mem::replace(&mut self.noted.folded, true) {
            out.note(input.malformed(WeirdReason::BadEncoding, "field that goes on in the next line"));
        }
        // What would continue the first line is left out, as RFC 9112 §2.2 allows.
        if self.fields > 0 && self.kept.pop().is_some() {
            self.kept.push(b' ');
            self.kept.extend_from_slice(line.text.trim_ascii());
            self.kept.push(b'\n');
        }
        Ok(())
    }

    /// Takes the empty line at the end.
    pub(super) fn push_last(&mut self, line: Line<'_>, input: &Cursor<'_>, out: &mut Output) {
        self.count(line, input, out);
    }

    fn count(&mut self, line: Line<'_>, input: &Cursor<'_>, out: &mut Output) {
        self.wire_bytes += line.wire_bytes();
        if line.bare && !std::mem::replace(&mut self.noted.bare, true) {
            out.note(input.malformed(WeirdReason::BadEncoding, "line that ends with LF alone"));
        }
        if line.text.contains(&0) && !std::mem::replace(&mut self.noted.nul, true) {
            out.note(input.malformed(WeirdReason::BadValue, "NUL in a header"));
        }
    }

    /// Forgets the lines behind the first `bytes`, but never the first line.
    pub(super) fn keep(&mut self, bytes: usize) {
        let first = self.kept.iter().position(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        if self.kept.len() > bytes.max(first) {
            let kept = self.kept.get(..bytes).unwrap_or_default();
            let end = kept.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
            self.kept.truncate(end.max(first));
            self.truncated = true;
        }
        self.kept.shrink_to_fit();
    }

    /// The first line.
    pub(super) fn first(&self) -> &[u8] {
        self.kept.split(|&byte| byte == b'\n').next().unwrap_or_default()
    }

    /// The fields behind the first line, in their order.
    pub(super) fn fields_behind_first(&self) -> impl Iterator<Item = Field<'_>> {
        self.all().skip(1).map(Field::of)
    }

    /// The fields, in their order, where no other line is in front of them.
    pub(super) fn fields(&self) -> impl Iterator<Item = Field<'_>> {
        self.all().map(Field::of)
    }

    fn all(&self) -> impl Iterator<Item = &[u8]> {
        let lines = self.kept.strip_suffix(b"\n").map(|lines| lines.split(|&byte| byte == b'\n'));
        lines.into_iter().flatten()
    }

    pub(super) fn held_bytes(&self) -> usize {
        self.kept.len()
    }
}

/// A field of a header, without the space around its parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Field<'a> {
    /// Empty where the line has no colon.
    pub(super) name: &'a [u8],
    pub(super) value: &'a [u8],
    /// There is space between name and colon, which some take for a part of the name (RFC 9112 §5.1).
    pub(super) is_spaced: bool,
}

impl<'a> Field<'a> {
    fn of(line: &'a [u8]) -> Self {
        let Some(colon) = line.iter().position(|&byte| byte == b':') else {
            return Self { name: &[], value: line.trim_ascii(), is_spaced: false };
        };
        let (name, value) = line.split_at(colon);
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        Self { name: name.trim_ascii(), value, is_spaced: name.trim_ascii().len() < name.len() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dripping_line_is_scanned_once() {
        let line = b"Host: a\r\nrest";
        let mut scanned = 0;
        for length in 0..8 {
            assert!(next_line(&mut Cursor::new(&line[..length]), &mut scanned).unwrap().is_none());
            assert_eq!(scanned, length);
        }
        let mut input = Cursor::new(line);
        assert_eq!(next_line(&mut input, &mut scanned).unwrap().unwrap().text, b"Host: a");
        assert_eq!((input.peek(), scanned), (&b"rest"[..], 0));
    }

    #[test]
    fn a_line_too_long_is_refused_whether_its_end_is_there_or_not() {
        let mut line = vec![b'a'; LINE_BYTES_MAX];
        assert!(next_line(&mut Cursor::new(&line), &mut 0).unwrap().is_none());
        line.push(b'\n');
        assert!(next_line(&mut Cursor::new(&line), &mut 0).unwrap().is_some());
        line.insert(0, b'a');
        for length in [line.len() - 1, line.len()] {
            let refused = next_line(&mut Cursor::new(&line[..length]), &mut 0).unwrap_err();
            assert_eq!(refused.reason, WeirdReason::Limit);
        }
    }

    #[test]
    fn fields_are_split_at_their_first_colon() {
        let field = |name, value, is_spaced| Field { name, value, is_spaced };
        assert_eq!(Field::of(b"Host:  a:80 \t"), field(b"Host", b"a:80", false));
        assert_eq!(Field::of(b"Host :a"), field(b"Host", b"a", true));
        assert_eq!(Field::of(b"nonsense"), field(b"", b"nonsense", false));
    }

    #[test]
    fn lines_that_are_not_kept_are_whole_lines() {
        let mut lines = Lines { kept: b"GET / HTTP/1.1\nA: 1\nB: 2\n".to_vec(), ..Lines::default() };
        lines.keep(22);
        assert_eq!((lines.kept.as_slice(), lines.truncated), (&b"GET / HTTP/1.1\nA: 1\n"[..], true));
        lines.keep(1);
        assert_eq!(lines.kept, b"GET / HTTP/1.1\n");
        assert_eq!(lines.fields_behind_first().count(), 0);
    }
}
