//! BER (ITU-T X.690 §8) as protocols use it: tags, definite lengths, and the few types they share.
//!
//! An element that claims more bytes than there are is read as far as they go, so that a cut message
//! still gives what it holds: [`Element::whole`] and all that needs the whole content complain.
//! Nothing here recurses; who descends bounds how far.

use weir_contract::WeirdReason;

use crate::{
    cursor::{Cursor, Malformed},
    digits::push_number,
    limits::TEXT_MAX,
};

/// Identifier octets of the universal types that protocols share (X.680 §8.4).
pub(crate) mod tag {
    pub(crate) const INTEGER: u8 = 0x02;
    pub(crate) const OCTET_STRING: u8 = 0x04;
    pub(crate) const NULL: u8 = 0x05;
    pub(crate) const OBJECT_IDENTIFIER: u8 = 0x06;
    pub(crate) const SEQUENCE: u8 = 0x30;
}

/// One element: a tag, and its content as far as it is there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Element<'a> {
    /// Class, form, and a number below 31; the numbers above take further octets.
    pub(crate) tag: u8,
    /// The content.
    pub(crate) content: Cursor<'a>,
    /// Bytes of content that are claimed, but not there.
    missing: usize,
}

impl<'a> Element<'a> {
    /// Reads the next element.
    ///
    /// # Errors
    ///
    /// Where tag or length are cut, the tag's number is above 30, or the length is indefinite or
    /// has more than eight octets.
    pub(crate) fn read(input: &mut Cursor<'a>) -> Result<Self, Malformed> {
        let tag = input.u8()?;
        if tag & 0x1f == 0x1f {
            return Err(input.malformed(WeirdReason::BadValue, "tag with a number above 30"));
        }
        let length = read_length(input)?;
        let content = input.message_up_to(length);
        Ok(Self { tag, content, missing: length - content.remaining() })
    }

    /// Reads the next element, which must have a certain tag; `detail` says what is wrong otherwise.
    pub(crate) fn expect(input: &mut Cursor<'a>, tag: u8, detail: &'static str) -> Result<Self, Malformed> {
        let begin = *input;
        let element = Self::read(input)?;
        if element.tag == tag { Ok(element) } else { Err(begin.malformed(WeirdReason::BadValue, detail)) }
    }

    /// Complains if content is missing.
    pub(crate) fn whole(&self) -> Result<(), Malformed> {
        if self.missing == 0 {
            return Ok(());
        }
        let count = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
        let (needed, had) = (self.content.message().len().saturating_add(self.missing), self.content.message().len());
        let malformed = self.content.at(0).malformed(WeirdReason::Truncated, "ends before its length says");
        Err(Malformed { shortage: Some((count(needed), count(had))), ..malformed })
    }

    /// The whole content.
    pub(crate) fn bytes(&self) -> Result<&'a [u8], Malformed> {
        self.whole()?;
        Ok(self.content.message())
    }

    /// The content as a signed number of up to eight octets.
    pub(crate) fn integer(&self) -> Result<i64, Malformed> {
        let bytes = self.bytes()?;
        let Some(first) = bytes.first().filter(|_| bytes.len() <= 8) else {
            return Err(self.content.malformed(WeirdReason::BadLength, "number of no or more than eight octets"));
        };
        let sign = if first & 0x80 == 0 { 0 } else { -1 };
        Ok(bytes.iter().fold(sign, |number, &byte| number << 8 | i64::from(byte)))
    }

    /// The content as an unsigned number; a leading zero octet, which some leave out, says nothing.
    pub(crate) fn unsigned(&self) -> Result<u64, Malformed> {
        let bytes = self.bytes()?;
        let digits = bytes.strip_prefix(&[0]).unwrap_or(bytes);
        if bytes.is_empty() || digits.len() > 8 {
            return Err(self.content.malformed(WeirdReason::BadLength, "number of no or more than eight octets"));
        }
        Ok(digits.iter().fold(0, |number, &byte| number << 8 | u64::from(byte)))
    }

    /// Appends the content as an object identifier, dotted (X.690 §8.19).
    ///
    /// # Errors
    ///
    /// What was readable is appended also where it is cut, has a number above 2⁶⁴ or one that is padded,
    /// or is longer than a text may be.
    pub(crate) fn push_object_identifier(&self, out: &mut String) -> Result<(), Malformed> {
        let mut input = self.content;
        if input.is_empty() {
            self.whole()?;
            return Err(input.malformed(WeirdReason::BadLength, "object identifier without numbers"));
        }
        let begin = out.len();
        let (first, mut is_padded) = read_subidentifier(&mut input)?;
        // The first two numbers share one: the first is 0, 1 or 2, and only below 2 is the second limited.
        let root = (first / 40).min(2);
        push_number(out, root);
        out.push('.');
        push_number(out, first - root * 40);
        while !input.is_empty() {
            let (number, number_is_padded) = read_subidentifier(&mut input)?;
            is_padded |= number_is_padded;
            if out.len() - begin > TEXT_MAX {
                return Err(input.malformed(WeirdReason::Limit, "object identifier of more than 4096 characters"));
            }
            out.push('.');
            push_number(out, number);
        }
        self.whole()?;
        if is_padded {
            return Err(self.content.malformed(WeirdReason::BadEncoding, "object identifier with padded numbers"));
        }
        Ok(())
    }
}

/// X.690 §8.1.3, without the indefinite form, which DER and all protocols on BER here rule out.
fn read_length(input: &mut Cursor<'_>) -> Result<usize, Malformed> {
    let first = input.u8()?;
    if first < 0x80 {
        return Ok(usize::from(first));
    }
    let octets = usize::from(first & 0x7f);
    if !(1..=8).contains(&octets) {
        return Err(input.malformed(WeirdReason::BadEncoding, "length that is indefinite or of more than eight octets"));
    }
    let length = input.take(octets)?.iter().fold(0, |length: u64, &byte| length << 8 | u64::from(byte));
    Ok(usize::try_from(length).unwrap_or(usize::MAX))
}

/// Seven bits an octet, the last without the top bit. Says also whether the number has more octets than
/// it needs, which X.690 §8.19.2 forbids.
fn read_subidentifier(input: &mut Cursor<'_>) -> Result<(u64, bool), Malformed> {
    let is_padded = input.peek().first() == Some(&0x80);
    let mut number: u64 = 0;
    loop {
        let octet = input.u8()?;
        if number >> 57 != 0 {
            return Err(input.malformed(WeirdReason::BadValue, "object identifier with a number above 64 bits"));
        }
        number = number << 7 | u64::from(octet & 0x7f);
        if octet & 0x80 == 0 {
            return Ok((number, is_padded));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Element<'_>, Malformed> {
        Element::read(&mut Cursor::new(bytes))
    }

    fn object_identifier(bytes: &[u8]) -> (String, Option<WeirdReason>) {
        let mut text = String::new();
        let pushed = read(bytes).unwrap().push_object_identifier(&mut text);
        (text, pushed.err().map(|malformed| malformed.reason))
    }

    #[test]
    fn lengths_in_both_forms() {
        assert_eq!(read(&[4, 2, b'a', b'b', b'c']).unwrap().bytes(), Ok(&b"ab"[..]));
        assert_eq!(read(&[4, 0x82, 0, 2, b'a', b'b']).unwrap().bytes(), Ok(&b"ab"[..]));
        assert_eq!(read(&[4, 0x80, 0, 0]).unwrap_err().reason, WeirdReason::BadEncoding);
        assert_eq!(read(&[4, 0x89, 0, 0, 0, 0, 0, 0, 0, 0, 1]).unwrap_err().reason, WeirdReason::BadEncoding);
        assert_eq!(read(&[4, 0x82, 0]).unwrap_err().reason, WeirdReason::Truncated);
        assert_eq!(read(&[0x1f, 0x2a, 0]).unwrap_err().reason, WeirdReason::BadValue);
    }

    #[test]
    fn what_is_there_of_a_cut_element_can_be_read() {
        let element = read(&[0x30, 0x88, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 1, 5]).unwrap();
        assert_eq!(Element::read(&mut { element.content }).unwrap().integer(), Ok(5));
        let complaint = element.whole().unwrap_err();
        assert_eq!((complaint.reason, complaint.shortage), (WeirdReason::Truncated, Some((u32::MAX, 3))));
    }

    #[test]
    fn numbers_are_signed_or_not() {
        assert_eq!(read(&[2, 1, 0xff]).unwrap().integer(), Ok(-1));
        assert_eq!(read(&[2, 2, 0x00, 0xff]).unwrap().integer(), Ok(255));
        assert_eq!(read(&[2, 8, 0x80, 0, 0, 0, 0, 0, 0, 0]).unwrap().integer(), Ok(i64::MIN));
        assert_eq!(read(&[0x41, 1, 0xff]).unwrap().unsigned(), Ok(255));
        assert_eq!(read(&[0x46, 9, 0, 0xff, 0, 0, 0, 0, 0, 0, 0]).unwrap().unsigned(), Ok(0xff << 56));
        assert_eq!(read(&[2, 1, 0]).unwrap().unsigned(), Ok(0));
        for bytes in [&[2, 0][..], &[2, 9, 1, 0, 0, 0, 0, 0, 0, 0, 0]] {
            assert_eq!(read(bytes).unwrap().integer().unwrap_err().reason, WeirdReason::BadLength);
            assert_eq!(read(bytes).unwrap().unsigned().unwrap_err().reason, WeirdReason::BadLength);
        }
    }

    /// X.690 §8.19.5 has {2 999 3}.
    #[test]
    fn object_identifiers_are_dotted() {
        assert_eq!(object_identifier(&[6, 3, 0x88, 0x37, 3]), ("2.999.3".to_owned(), None));
        assert_eq!(object_identifier(&[6, 4, 0x2b, 6, 1, 0x81]), ("1.3.6.1".to_owned(), Some(WeirdReason::Truncated)));
        assert_eq!(object_identifier(&[6, 3, 0x2b, 6]), ("1.3.6".to_owned(), Some(WeirdReason::Truncated)));
        assert_eq!(object_identifier(&[6, 1, 0]), ("0.0".to_owned(), None));
        let padded = object_identifier(&[6, 6, 0x2b, 0x80, 0x80, 0x80, 0x80, 5]);
        assert_eq!(padded, ("1.3.5".to_owned(), Some(WeirdReason::BadEncoding)));
        assert_eq!(object_identifier(&[6, 0]), (String::new(), Some(WeirdReason::BadLength)));
    }

    #[test]
    fn the_numbers_of_an_object_identifier_end_at_64_bits() {
        let greatest = [6, 11, 0x2b, 0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
        assert_eq!(object_identifier(&greatest), (format!("1.3.{}", u64::MAX), None));
        let mut too_great = greatest;
        too_great[3] = 0x82;
        assert_eq!(object_identifier(&too_great), ("1.3".to_owned(), Some(WeirdReason::BadValue)));
    }

    #[test]
    fn an_object_identifier_is_a_text_of_bounded_length() {
        let mut bytes = vec![6, 0x82, 0x20, 0];
        bytes.resize(4 + 0x2000, 1);
        let (text, reason) = object_identifier(&bytes);
        assert!(text.len() <= TEXT_MAX + 21);
        assert_eq!(reason, Some(WeirdReason::Limit));
    }
}
