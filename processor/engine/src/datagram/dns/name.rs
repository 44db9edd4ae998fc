//! Names (RFC 1035 §3.1, compressed §4.1.4): labels up to a root or a pointer to earlier ones.

use weir_contract::{WeirdReason, text::push_escaped};

use crate::cursor::{Cursor, Malformed};

/// Bytes of a name on the wire with its root (RFC 1035 §2.3.4).
const NAME_MAX: usize = 255;

/// A name has at most 127 labels, so that an honest one needs no more pointers.
const POINTERS_MAX: u8 = 127;

/// The labels of a name, through pointers. Each pointer must lead to before the labels that led to it,
/// so that the walk ends.
pub(super) struct Labels<'a> {
    message: &'a [u8],
    position: usize,
    /// Where the labels being read begin.
    segment: usize,
    pointers: u8,
    name_bytes: usize,
    /// Where the fields behind the name begin, once that is known.
    end: Option<usize>,
}

/// What is wrong with a name.
type Flaw = (WeirdReason, &'static str);

impl<'a> Labels<'a> {
    pub(super) fn of(input: &Cursor<'a>) -> Self {
        let position = input.position();
        Self { message: input.message(), position, segment: position, pointers: 0, name_bytes: 0, end: None }
    }

    /// The next label; `None` at the root.
    pub(super) fn next(&mut self) -> Result<Option<&'a [u8]>, Flaw> {
        const CUT: Flaw = (WeirdReason::Truncated, "ends within a name");
        loop {
            let first = *self.message.get(self.position).ok_or(CUT)?;
            match first >> 6 {
                0 if first == 0 => {
                    self.end.get_or_insert(self.position + 1);
                    return Ok(None);
                }
                0 => {
                    let start = self.position + 1;
                    self.position = start + usize::from(first);
                    self.name_bytes += 1 + usize::from(first);
                    if self.name_bytes >= NAME_MAX {
                        return Err((WeirdReason::BadLength, "name longer than 255 bytes"));
                    }
                    return self.message.get(start..self.position).ok_or(CUT).map(Some);
                }
                3 => {
                    let second = *self.message.get(self.position + 1).ok_or(CUT)?;
                    self.end.get_or_insert(self.position + 2);
                    let target = usize::from(first & 0x3f) << 8 | usize::from(second);
                    if target >= self.segment {
                        return Err((WeirdReason::Loop, "pointer that does not lead backwards"));
                    }
                    if self.pointers == POINTERS_MAX {
                        return Err((WeirdReason::Loop, "more than 127 pointers in a name"));
                    }
                    self.pointers += 1;
                    self.segment = target;
                    self.position = target;
                }
                _ => return Err((WeirdReason::BadValue, "label of an unknown kind")),
            }
        }
    }

    /// Moves the cursor behind the name. A flaw is an error where its end is not known, else returned.
    pub(super) fn finish(&self, input: &mut Cursor<'a>, flaw: Option<Flaw>) -> Result<Option<Malformed>, Malformed> {
        let malformed = flaw.map(|(reason, detail)| input.malformed(reason, detail));
        match (self.end, malformed) {
            (Some(end), malformed) => {
                *input = input.at(end);
                Ok(malformed)
            }
            (None, Some(malformed)) => Err(malformed),
            (None, None) => Ok(None),
        }
    }
}

/// Reads past a name.
pub(super) fn skip(input: &mut Cursor<'_>) -> Result<(), Malformed> {
    let mut labels = Labels::of(input);
    loop {
        let step = labels.next();
        if labels.end.is_some() || step.is_err() {
            return labels.finish(input, step.err()).map(|_| ());
        }
    }
}

/// Appends a name as text: lower-case, without the final dot, `.` for the root. Of a name that goes wrong
/// behind a pointer, what was readable is appended and what is wrong is returned.
pub(in crate::datagram) fn read(input: &mut Cursor<'_>, out: &mut String) -> Result<Option<Malformed>, Malformed> {
    let mut labels = Labels::of(input);
    let mut bytes = [0; NAME_MAX];
    let mut length = 0;
    let mut dots = 0;
    let flaw = loop {
        match labels.next() {
            Ok(Some(label)) => {
                if length > 0 {
                    dots += 1;
                    length += copy(b".", &mut bytes, length);
                }
                length += copy(label, &mut bytes, length);
            }
            Ok(None) => break None,
            Err(flaw) => break Some(flaw),
        }
    };
    let name = bytes.get_mut(..length).unwrap_or_default();
    // Nearly all names are letters, digits, hyphens and underscores: one pass over all labels.
    let is_printable = name.iter().fold(true, |all, byte| all & (0x20..0x7f).contains(byte) & (*byte != b'\\'));
    let found_dots = name.iter().fold(0, |dots, &byte| dots + usize::from(byte == b'.'));
    name.make_ascii_lowercase();
    match std::str::from_utf8(name) {
        Ok("") if flaw.is_none() => out.push('.'),
        Ok(text) if is_printable && found_dots == dots => out.push_str(text),
        _ => push_labels(Labels::of(input), out),
    }
    labels.finish(input, flaw)
}

fn copy(from: &[u8], to: &mut [u8], at: usize) -> usize {
    let Some(to) = to.get_mut(at..at + from.len()) else { return 0 };
    to.copy_from_slice(from);
    from.len()
}

/// Appends the labels of a name with whatever needs it escaped, up to its end or flaw.
fn push_labels(mut labels: Labels<'_>, out: &mut String) {
    let start = out.len();
    let mut separator = "";
    while let Ok(Some(label)) = labels.next() {
        out.push_str(separator);
        separator = ".";
        push_label(out, label);
    }
    if let Some(name) = out.get_mut(start..) {
        name.make_ascii_lowercase();
    }
}

/// Appends a label as text. A dot in it is escaped, since dots stand between labels.
pub(super) fn push_label(out: &mut String, label: &[u8]) {
    for (at, part) in label.split(|&byte| byte == b'.').enumerate() {
        if at > 0 {
            out.push_str("\\x2e");
        }
        push_escaped(out, part);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// The name at `position`, what is wrong with it, and where it ends.
    fn name_at(message: &[u8], position: usize) -> Result<(String, Option<&'static str>, usize), &'static str> {
        let mut input = Cursor::new(message).at(position);
        let mut text = String::new();
        let flaw = read(&mut input, &mut text).map_err(|error| error.detail)?;
        let mut skipped = Cursor::new(message).at(position);
        assert_eq!(skip(&mut skipped), Ok(()));
        assert_eq!(skipped.position(), input.position(), "reading and skipping agree");
        Ok((text, flaw.map(|flaw| flaw.detail), input.position()))
    }

    fn whole(text: &str, end: usize) -> Result<(String, Option<&'static str>, usize), &'static str> {
        Ok((text.to_owned(), None, end))
    }

    #[test]
    fn pointers_share_suffixes() {
        // RFC 1035 §4.1.4: F.ISI.ARPA, FOO.F.ISI.ARPA, ARPA, the root.
        let mut message = vec![0; 20];
        message.extend(b"\x01F\x03ISI\x04ARPA\0");
        message.resize(40, 0);
        message.extend(b"\x03FOO\xc0\x14");
        message.resize(64, 0);
        message.extend(b"\xc0\x1a");
        message.resize(92, 0);
        message.push(0);
        assert_eq!(name_at(&message, 20), whole("f.isi.arpa", 32));
        assert_eq!(name_at(&message, 40), whole("foo.f.isi.arpa", 46));
        assert_eq!(name_at(&message, 64), whole("arpa", 66));
        assert_eq!(name_at(&message, 92), whole(".", 93));
    }

    #[test]
    fn labels_are_escaped_where_they_must_be() {
        assert_eq!(name_at(b"\x04a.b\\\x03c\nD\x02\xc3\xa9\0", 0), whole("a\\x2eb\\x5c.c\\x0ad.é", 13));
    }

    #[test]
    fn pointers_lead_backwards_or_nowhere() {
        let not_backwards = Some("pointer that does not lead backwards");
        assert_eq!(name_at(b"\xc0\x00", 0), Ok((String::new(), not_backwards, 2)));
        assert_eq!(name_at(b"\x03www\xc0\x00", 0), Ok(("www".to_owned(), not_backwards, 6)));
        assert_eq!(name_at(b"\x03www\xc0\x06\x00", 0), Ok(("www".to_owned(), not_backwards, 6)));
        // Two that lead to each other.
        assert_eq!(name_at(b"\xc0\x02\x01a\xc0\x00", 2), Ok(("a".to_owned(), not_backwards, 6)));
    }

    #[test]
    fn chains_of_pointers_are_bounded() {
        let mut message = vec![0, 0];
        for at in (0u16..400).step_by(2) {
            message.extend((0xc000 | at).to_be_bytes());
        }
        assert_eq!(name_at(&message, 2 * 127), whole(".", 2 * 127 + 2));
        let (_, flaw, _) = name_at(&message, 2 * 128).unwrap();
        assert_eq!(flaw, Some("more than 127 pointers in a name"));
    }

    #[test]
    fn lengths_are_bounded() {
        let name = |labels: &[usize]| {
            let mut message = Vec::new();
            for &length in labels {
                message.push(u8::try_from(length).unwrap());
                message.resize(message.len() + length, b'x');
            }
            message.push(0);
            message
        };
        let longest = name(&[63, 63, 63, 61]);
        assert_eq!(longest.len(), NAME_MAX);
        assert_eq!(name_at(&longest, 0).unwrap().0.len(), NAME_MAX - 2);
        assert_eq!(name_at(&name(&[63, 63, 63, 62]), 0), Err("name longer than 255 bytes"));
        assert_eq!(name_at(&[64; 70], 0), Err("label of an unknown kind"));
    }

    #[test]
    fn a_name_cut_short_is_an_error() {
        let message = b"\x03www\x07example\xc0";
        for length in 0..=message.len() {
            assert_eq!(name_at(&message[..length], 0), Err("ends within a name"), "{length} bytes");
        }
    }
}
