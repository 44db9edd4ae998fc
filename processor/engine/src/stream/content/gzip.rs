//! The header of a gzip member (RFC 1952 §2.3), byte by byte.

use serde::{Deserialize, Serialize};

/// Bytes behind the compressed data: CRC-32 and length.
pub(super) const TRAILER_BYTES: u8 = 8;

/// Bytes of a header. Names of files are shorter.
const HEADER_BYTES_MAX: u16 = 8 << 10;

const HEADER_CRC: u8 = 1 << 1;
const EXTRA: u8 = 1 << 2;
const NAME: u8 = 1 << 3;
const COMMENT: u8 = 1 << 4;

/// A header as far as it was read.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Header {
    read_bytes: u16,
    /// What of it follows: a part is taken out as it begins.
    flags: u8,
    part: Part,
}

/// What the next byte belongs to.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
enum Part {
    #[default]
    Fixed,
    ExtraLength(Option<u8>),
    /// So many bytes more, then the next part.
    Passed(u16),
    /// Text up to a NUL.
    Text,
}

/// What a byte did.
pub(super) enum Read {
    GoOn,
    Ended,
    /// This is no such header.
    Malformed,
}

impl Header {
    pub(super) fn push(&mut self, byte: u8) -> Read {
        if self.read_bytes == HEADER_BYTES_MAX {
            return Read::Malformed;
        }
        let place = self.read_bytes;
        self.read_bytes += 1;
        match &mut self.part {
            Part::Fixed => match (place, byte) {
                (0, 0x1f) | (1, 0x8b) | (2, 8) | (4..9, _) => Read::GoOn,
                (3, flags) => {
                    self.flags = flags;
                    if flags >> 5 == 0 { Read::GoOn } else { Read::Malformed }
                }
                (9, _) => self.next_part(),
                _ => Read::Malformed,
            },
            Part::ExtraLength(low @ None) => {
                *low = Some(byte);
                Read::GoOn
            }
            Part::ExtraLength(Some(low)) => match u16::from_le_bytes([*low, byte]) {
                0 => self.next_part(),
                length => {
                    self.part = Part::Passed(length);
                    Read::GoOn
                }
            },
            Part::Passed(left) => {
                *left -= 1;
                if *left == 0 { self.next_part() } else { Read::GoOn }
            }
            Part::Text if byte == 0 => self.next_part(),
            Part::Text => Read::GoOn,
        }
    }

    /// The parts that there are come in the order of RFC 1952 §2.3.
    fn next_part(&mut self) -> Read {
        let parts = [
            (EXTRA, Part::ExtraLength(None)),
            (NAME, Part::Text),
            (COMMENT, Part::Text),
            (HEADER_CRC, Part::Passed(2)),
        ];
        let Some((flag, part)) = parts.into_iter().find(|(flag, _)| self.flags & flag != 0) else { return Read::Ended };
        self.flags &= !flag;
        self.part = part;
        Read::GoOn
    }
}
