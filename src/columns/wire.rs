//! The protobuf wire format, read the way prost reads it: what one accepts the other does, but for
//! groups, which no message of the contract has and which are refused here.

use std::cell::{Cell, RefCell};

/// The bytes of one record, and what is worth telling of them beside the fields.
pub(super) struct Input<'a> {
    bytes: &'a [u8],
    /// Fields that the contract does not know are a fault.
    known_only: bool,
    /// Fields met that the contract does not know.
    pub unknown_fields: Cell<u64>,
    /// Where and why reading stopped.
    pub fault: RefCell<Option<Fault>>,
}

/// Where and why bytes are no record.
pub(super) struct Fault {
    pub reason: Reason,
    /// Offset at which reading stopped.
    pub offset: usize,
    /// Numbers of the fields that the fault lies in, innermost first.
    pub path: Vec<u32>,
}

/// A position in a record. Whatever reads gives `None` once it has noted a [`Fault`].
///
/// It is two words, and a call that is not inlined takes it by value and gives back an offset: so it
/// stays in registers throughout.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    input: &'a Input<'a>,
    at: usize,
}

/// What stands before each field.
#[derive(Clone, Copy)]
pub(super) struct Key {
    pub number: u32,
    /// Not checked yet: whoever reads the value compares it with the type it expects.
    pub wire_type: u32,
}

const VARINT: u32 = 0;
const FIXED64: u32 = 1;
pub(super) const LENGTH: u32 = 2;
const GROUP_START: u32 = 3;
const GROUP_END: u32 = 4;
const FIXED32: u32 = 5;

/// Why bytes are no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// The bytes end before the field does.
    #[error("the bytes end before the field does")]
    Truncated,
    /// A varint takes more than ten bytes, or exceeds 64 bits.
    #[error("the varint exceeds 64 bits")]
    Varint,
    /// A key that protobuf does not allow: field number 0 or above 2²⁹ − 1, or a wire type of 6 or 7.
    #[error("no field has such a key")]
    Key,
    /// A wire type that is not that of the field's type.
    #[error("the wire type does not fit the field's type")]
    WireType,
    /// A group, which proto3 does not have.
    #[error("groups are not allowed")]
    Group,
    /// A field reaches past the end of the message it lies in.
    #[error("the field reaches past the end of its message")]
    Overrun,
    /// Text that is not UTF-8.
    #[error("the text is not UTF-8")]
    Utf8,
    /// A field that the contract does not know, where such a record is not wanted.
    #[error("the contract has no field of this number")]
    UnknownField,
    /// The record does not fit into what is left of the batch, see [`BATCH_BYTES_MAX`](super::BATCH_BYTES_MAX).
    #[error("the record exceeds what a batch holds")]
    TooLarge,
}

impl<'a> Input<'a> {
    pub fn new(bytes: &'a [u8], known_only: bool) -> Self {
        Self { bytes, known_only, unknown_fields: Cell::new(0), fault: RefCell::new(None) }
    }

    /// A reader at the first byte.
    pub fn reader(&'a self) -> Reader<'a> {
        Reader { input: self, at: 0 }
    }

    /// Offset behind the last byte.
    pub fn end(&self) -> usize {
        self.bytes.len()
    }
}

impl<'a> Reader<'a> {
    /// Offset of the next byte.
    #[inline(always)]
    pub fn at(self) -> usize {
        self.at
    }

    /// Goes on at an offset that a copy of this reader has read to.
    #[inline(always)]
    pub fn resume(&mut self, at: usize) {
        self.at = at;
    }

    #[inline(always)]
    pub fn key(&mut self) -> Option<Key> {
        let key = self.varint()?;
        match u32::try_from(key) {
            Ok(key) => Some(Key { number: key >> 3, wire_type: key & 7 }),
            Err(_) => self.fail(Reason::Key),
        }
    }

    #[inline(always)]
    pub fn scalar<T: Scalar<'a>>(&mut self, key: Key) -> Option<T> {
        if key.wire_type != T::WIRE_TYPE {
            return self.refuse(key);
        }
        T::decode(self)
    }

    /// Reads a length, and gives the offset at which what it delimits ends.
    #[inline(always)]
    pub fn enter(&mut self, key: Key) -> Option<usize> {
        if key.wire_type != LENGTH {
            return self.refuse(key);
        }
        let length = self.varint()?;
        match usize::try_from(length).ok().and_then(|length| self.at.checked_add(length)) {
            Some(end) if end <= self.input.bytes.len() => Some(end),
            _ => self.fail(Reason::Truncated),
        }
    }

    /// Checks that what ends at `end` was read to its end and no further, and gives it back.
    #[inline(always)]
    pub fn leave(self, end: usize) -> Option<usize> {
        if self.at == end { Some(end) } else { self.fail(Reason::Overrun) }
    }

    /// Skips a field that the contract does not know, and gives the offset behind it.
    #[cold]
    pub fn skip(mut self, key: Key) -> Option<usize> {
        self.input.unknown_fields.update(|count| count + 1);
        match key {
            Key { number: 0, .. } => self.fail(Reason::Key),
            Key { wire_type: VARINT | FIXED64 | FIXED32 | LENGTH, .. } if self.input.known_only => {
                self.fail(Reason::UnknownField)
            }
            Key { wire_type: VARINT, .. } => self.varint().map(|_| self.at),
            Key { wire_type: FIXED64, .. } => self.fixed::<8>().map(|_| self.at),
            Key { wire_type: FIXED32, .. } => self.fixed::<4>().map(|_| self.at),
            Key { wire_type: LENGTH, .. } => self.enter(key),
            _ => self.refuse(key),
        }
    }

    /// Notes that the fault lies in a field.
    #[cold]
    pub fn blame<T>(self, key: Key) -> Option<T> {
        if let Some(fault) = self.input.fault.borrow_mut().as_mut() {
            fault.path.push(key.number);
        }
        None
    }

    #[cold]
    fn refuse<T>(self, key: Key) -> Option<T> {
        self.fail(match key.wire_type {
            GROUP_START | GROUP_END => Reason::Group,
            VARINT | FIXED64 | LENGTH | FIXED32 => Reason::WireType,
            _ => Reason::Key,
        })
    }

    #[cold]
    fn fail<T>(self, reason: Reason) -> Option<T> {
        *self.input.fault.borrow_mut() = Some(Fault { reason, offset: self.at, path: Vec::new() });
        None
    }

    #[inline(always)]
    fn rest(self) -> &'a [u8] {
        self.input.bytes.get(self.at..).unwrap_or_default()
    }

    #[inline(always)]
    fn varint(&mut self) -> Option<u64> {
        if let Some(&byte @ ..0x80) = self.input.bytes.get(self.at) {
            self.at += 1;
            return Some(byte.into());
        }
        let (value, length) = long_varint(self.rest());
        match length {
            0 => self.fail(Reason::Truncated),
            1..=10 => {
                self.at += length;
                Some(value)
            }
            _ => self.fail(Reason::Varint),
        }
    }

    #[inline(always)]
    fn fixed<const N: usize>(&mut self) -> Option<[u8; N]> {
        let Some(bytes) = self.rest().first_chunk() else { return self.fail(Reason::Truncated) };
        self.at += N;
        Some(*bytes)
    }

    #[inline(always)]
    fn delimited(&mut self) -> Option<&'a [u8]> {
        let length = self.varint()?;
        let bytes = usize::try_from(length).ok().and_then(|length| self.rest().get(..length));
        let Some(bytes) = bytes else { return self.fail(Reason::Truncated) };
        self.at += bytes.len();
        Some(bytes)
    }
}

/// A varint of more than one byte, and its length: 0 if the bytes end before it, 11 if it is too
/// long. (A pair is returned in registers, a `Result` of one is not.)
///
/// Reads eight bytes as one word, since times and hashes are of nine or ten: a loop over the bytes
/// took a fifth of the time a record takes.
#[inline(never)]
fn long_varint(bytes: &[u8]) -> (u64, usize) {
    if let [low, high @ ..0x80, ..] = bytes {
        return (u64::from(low & 0x7f) | u64::from(*high) << 7, 2);
    }
    let Some((&first, rest)) = bytes.split_first_chunk::<8>() else { return last_varint(bytes) };
    let word = u64::from_le_bytes(first);
    let ends = !word & 0x8080_8080_8080_8080;
    if ends != 0 {
        return (compact(word & (ends ^ (ends - 1))), (ends.trailing_zeros() / 8 + 1) as usize);
    }
    let low = compact(word);
    match rest {
        [ninth @ ..0x80, ..] => (low | u64::from(*ninth) << 56, 9),
        // The tenth byte has room for the 64th bit only.
        [ninth, tenth @ (0 | 1), ..] => (low | u64::from(ninth & 0x7f) << 56 | u64::from(*tenth) << 63, 10),
        [] | [_] => (0, 0),
        _ => (0, 11),
    }
}

/// A varint that begins less than eight bytes before the end.
fn last_varint(bytes: &[u8]) -> (u64, usize) {
    let mut value = 0;
    for (index, &byte) in bytes.iter().enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            return (value, index + 1);
        }
    }
    (0, 0)
}

/// Eight groups of seven bits as one number; the eighth bits are dropped.
#[inline]
fn compact(word: u64) -> u64 {
    let pairs = (word & 0x007f_007f_007f_007f) | (word & 0x7f00_7f00_7f00_7f00) >> 1;
    let quads = (pairs & 0x0000_3fff_0000_3fff) | (pairs & 0x3fff_0000_3fff_0000) >> 2;
    (quads & 0x0fff_ffff) | (quads & 0x0fff_ffff_0000_0000) >> 4
}

/// A value of one field.
pub(super) trait Scalar<'a>: Sized {
    const WIRE_TYPE: u32;
    fn decode(reader: &mut Reader<'a>) -> Option<Self>;
}

impl Scalar<'_> for i64 {
    const WIRE_TYPE: u32 = VARINT;
    #[inline(always)]
    fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        reader.varint().map(u64::cast_signed)
    }
}

impl Scalar<'_> for u32 {
    const WIRE_TYPE: u32 = VARINT;
    /// The upper half of a longer number is dropped, as protobuf asks.
    #[inline(always)]
    fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        let [a, b, c, d, ..] = reader.varint()?.to_le_bytes();
        Some(Self::from_le_bytes([a, b, c, d]))
    }
}

impl Scalar<'_> for i32 {
    const WIRE_TYPE: u32 = VARINT;
    #[inline(always)]
    fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        u32::decode(reader).map(u32::cast_signed)
    }
}

impl Scalar<'_> for bool {
    const WIRE_TYPE: u32 = VARINT;
    #[inline(always)]
    fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        reader.varint().map(|value| value != 0)
    }
}

impl Scalar<'_> for f64 {
    const WIRE_TYPE: u32 = FIXED64;
    #[inline(always)]
    fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        reader.fixed().map(Self::from_le_bytes)
    }
}

impl<'a> Scalar<'a> for &'a [u8] {
    const WIRE_TYPE: u32 = LENGTH;
    #[inline(always)]
    fn decode(reader: &mut Reader<'a>) -> Option<Self> {
        reader.delimited()
    }
}

/// Bytes that were checked to be UTF-8. No `str`, since only the standard library's own check gives
/// one, and that goes byte by byte through what is shorter than 16.
#[derive(Clone, Copy, Default)]
pub(super) struct Text<'a>(pub &'a [u8]);

impl<'a> Scalar<'a> for Text<'a> {
    const WIRE_TYPE: u32 = LENGTH;
    #[inline(always)]
    fn decode(reader: &mut Reader<'a>) -> Option<Self> {
        let bytes = reader.delimited()?;
        if is_utf8(bytes) { Some(Self(bytes)) } else { reader.fail(Reason::Utf8) }
    }
}

fn is_utf8(bytes: &[u8]) -> bool {
    is_ascii(bytes) || str::from_utf8(bytes).is_ok()
}

#[inline]
fn is_ascii(bytes: &[u8]) -> bool {
    let Some(last) = bytes.last_chunk() else {
        return bytes.iter().fold(0, |bits, byte| bits | byte) < 0x80;
    };
    // The last word overlaps the one before it.
    let last = u64::from_le_bytes(*last);
    let words = bytes.as_chunks().0.iter().fold(last, |bits, word| bits | u64::from_le_bytes(*word));
    words & 0x8080_8080_8080_8080 == 0
}
