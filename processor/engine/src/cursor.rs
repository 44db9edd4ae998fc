//! The one way to read bytes from the wire: big-endian unless said otherwise, never past the end.

use weir_contract::WeirdReason;

/// Why bytes could not be read as what they claim to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed {
    /// What kind of contradiction it is.
    pub reason: WeirdReason,
    /// What exactly, as a fixed text.
    pub detail: &'static str,
    /// Offset in bytes from the beginning of the packet, or of the stream.
    pub offset: u32,
    /// Bytes that were needed at the offset and bytes that were there, where too few were.
    pub shortage: Option<(u32, u32)>,
}

/// Reads fields off the front of a message.
///
/// ```
/// # use weir_engine::Cursor;
/// let mut input = Cursor::new(&[0x12, 0x34, 0x56]);
/// assert_eq!(input.u16().unwrap(), 0x1234);
/// let end = input.u16().unwrap_err();
/// assert_eq!((end.offset, end.shortage), (2, Some((2, 1))));
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Cursor<'a> {
    message: &'a [u8],
    position: usize,
    /// Offset of `message` in the packet.
    base: u32,
}

impl<'a> Cursor<'a> {
    /// Reads `message`, which begins the packet.
    pub fn new(message: &'a [u8]) -> Self {
        Self { message, position: 0, base: 0 }
    }

    /// Reads `message`, which stands at an offset in a stream; offsets count from the stream's beginning.
    pub fn in_stream(message: &'a [u8], offset: u64) -> Self {
        Self { message, position: 0, base: u32::try_from(offset).unwrap_or(u32::MAX) }
    }

    /// Offset of the next byte in the packet.
    pub fn offset(&self) -> u32 {
        self.base.saturating_add(u32::try_from(self.position).unwrap_or(u32::MAX))
    }

    /// Bytes not read yet.
    pub fn remaining(&self) -> usize {
        self.message.len() - self.position
    }

    /// Bytes not read yet, as records count them.
    pub fn remaining_u32(&self) -> u32 {
        u32::try_from(self.remaining()).unwrap_or(u32::MAX)
    }

    /// Whether all bytes are read.
    pub fn is_empty(&self) -> bool {
        self.remaining() == 0
    }

    /// The bytes not read yet, which stay unread.
    pub fn peek(&self) -> &'a [u8] {
        self.message.get(self.position..).unwrap_or_default()
    }

    /// The whole message, read or not: what offsets inside it count from.
    pub fn message(&self) -> &'a [u8] {
        self.message
    }

    /// The same message, read from `position` on; from its end if that is past it.
    pub fn at(&self, position: usize) -> Self {
        Self { position: position.min(self.message.len()), ..*self }
    }

    /// Reads `message` as if it lay here in the packet: what was made of the bytes here, as by decryption.
    pub fn in_place<'b>(&self, message: &'b [u8]) -> Cursor<'b> {
        Cursor { message, position: 0, base: self.offset() }
    }

    /// How much of the message has been read, in bytes.
    pub fn position(&self) -> usize {
        self.position
    }

    /// Takes the bytes not read yet as a message of their own.
    pub fn rest(&mut self) -> Cursor<'a> {
        let rest = Cursor { message: self.peek(), position: 0, base: self.offset() };
        self.position = self.message.len();
        rest
    }

    /// Takes the next `length` bytes as a message of their own.
    pub fn message_of(&mut self, length: usize) -> Result<Cursor<'a>, Malformed> {
        let base = self.offset();
        Ok(Cursor { message: self.take(length)?, position: 0, base })
    }

    /// Takes the next `length` bytes as a message of their own, or fewer if fewer are left.
    pub fn message_up_to(&mut self, length: usize) -> Cursor<'a> {
        let base = self.offset();
        let length = length.min(self.remaining());
        let message = self.peek().get(..length).unwrap_or_default();
        self.position += length;
        Cursor { message, position: 0, base }
    }

    /// Takes the next `length` bytes, or fewer if fewer are left, as the same message cut behind them:
    /// what is before them can still be pointed at.
    pub fn window_up_to(&mut self, length: usize) -> Self {
        let end = self.position + length.min(self.remaining());
        let window = Cursor { message: self.message.get(..end).unwrap_or_default(), ..*self };
        self.position = end;
        window
    }

    /// Takes the next `length` bytes.
    #[inline]
    pub fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        match self.peek().get(..length) {
            Some(bytes) => {
                self.position += length;
                Ok(bytes)
            }
            None => Err(self.shortage(length)),
        }
    }

    /// Takes the next `N` bytes.
    #[inline]
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        match self.peek().first_chunk() {
            Some(bytes) => {
                self.position += N;
                Ok(*bytes)
            }
            None => Err(self.shortage(N)),
        }
    }

    /// Takes a header of `N` bytes in one piece. Of one that is cut, the first of its fields that is not all there is
    /// what is missing: `fields` has their lengths.
    #[inline]
    pub(crate) fn header<const N: usize>(&mut self, fields: &[usize]) -> Result<[u8; N], Malformed> {
        match self.peek().first_chunk() {
            Some(header) => {
                self.position += N;
                Ok(*header)
            }
            None => Err(self.first_missing(N, fields)),
        }
    }

    #[cold]
    fn first_missing(&self, length: usize, fields: &[usize]) -> Malformed {
        let mut rest = *self;
        let missing = fields.iter().find_map(|&field| rest.take(field).err());
        missing.unwrap_or_else(|| self.shortage(length))
    }

    /// Reads past the next `length` bytes.
    pub fn skip(&mut self, length: usize) -> Result<(), Malformed> {
        self.take(length).map(|_| ())
    }

    /// Reads one byte.
    #[inline]
    pub fn u8(&mut self) -> Result<u8, Malformed> {
        self.array().map(|[byte]| byte)
    }

    /// Reads two bytes.
    #[inline]
    pub fn u16(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_be_bytes)
    }

    /// Reads three bytes.
    #[inline]
    pub fn u24(&mut self) -> Result<u32, Malformed> {
        self.array().map(|[a, b, c]| u32::from_be_bytes([0, a, b, c]))
    }

    /// Reads four bytes.
    #[inline]
    pub fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_be_bytes)
    }

    /// Reads eight bytes.
    #[inline]
    pub fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_be_bytes)
    }

    /// Reads two bytes, the least significant first.
    #[inline]
    pub fn u16_le(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_le_bytes)
    }

    /// Reads four bytes, the least significant first.
    #[inline]
    pub fn u32_le(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_le_bytes)
    }

    /// A complaint about the bytes just read, or about to be read.
    pub fn malformed(&self, reason: WeirdReason, detail: &'static str) -> Malformed {
        Malformed { reason, detail, offset: self.offset(), shortage: None }
    }

    #[cold]
    fn shortage(&self, needed: usize) -> Malformed {
        let count = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
        Malformed {
            shortage: Some((count(needed), count(self.remaining()))),
            ..self.malformed(WeirdReason::Truncated, "ends before its fields do")
        }
    }
}
