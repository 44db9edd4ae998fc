//! How a batch stands in a segment file: a header of 32 bytes, then the batch. Numbers are little-endian.
//!
//! | bytes | what |
//! |---|---|
//! | 0–7 | records put into the spool before this one |
//! | 8–15 | packets of those |
//! | 16–19 | packets of this one |
//! | 20–23 | bytes of the batch |
//! | 24–27 | CRC32C of the batch |
//! | 28–31 | CRC32C of bytes 0 to 27 |
//!
//! The header has a sum of its own, so that a damaged batch costs that batch alone, and its packets are
//! known. The two running counts tell how much is missing between any two records that can be read.

use super::Mark;

/// Bytes of a header.
pub const HEADER_BYTES: usize = 32;

/// The longest batch that is kept: above what Kafka takes, so none that could be sent is refused.
pub const MAX_BATCH_BYTES: usize = 1 << 20;

/// What stands before a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What was put into the spool before it.
    pub before: Mark,
    /// Packets in the batch.
    pub packets: u32,
    /// Bytes of the batch, at most [`MAX_BATCH_BYTES`].
    pub length: u32,
    checksum: u32,
}

impl Header {
    /// The header of a batch; `None` if it is too long.
    pub fn of(batch: &[u8], packets: u32, before: Mark) -> Option<Self> {
        let length = u32::try_from(batch.len()).ok().filter(|_| batch.len() <= MAX_BATCH_BYTES)?;
        Some(Self { before, packets, length, checksum: crc32c::crc32c(batch) })
    }

    /// As it stands in the file.
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        let (counted, sum) = bytes.split_at_mut(HEADER_BYTES - 4);
        let (before, own) = counted.split_at_mut(16);
        let (records, packets) = before.split_at_mut(8);
        records.copy_from_slice(&self.before.records.to_le_bytes());
        packets.copy_from_slice(&self.before.packets.to_le_bytes());
        for (place, value) in own.chunks_exact_mut(4).zip([self.packets, self.length, self.checksum]) {
            place.copy_from_slice(&value.to_le_bytes());
        }
        sum.copy_from_slice(&crc32c::crc32c(counted).to_le_bytes());
        bytes
    }

    /// What a header says; `None` if it is damaged.
    pub fn decode(bytes: &[u8; HEADER_BYTES]) -> Option<Self> {
        let (counted, sum) = bytes.split_at(HEADER_BYTES - 4);
        if crc32c::crc32c(counted) != u32::from_le_bytes(sum.try_into().ok()?) {
            return None;
        }
        let long = |at: usize| Some(u64::from_le_bytes(counted.get(at..at + 8)?.try_into().ok()?));
        let short = |at: usize| Some(u32::from_le_bytes(counted.get(at..at + 4)?.try_into().ok()?));
        let before = Mark { records: long(0)?, packets: long(8)? };
        let header = Self { before, packets: short(16)?, length: short(20)?, checksum: short(24)? };
        usize::try_from(header.length).is_ok_and(|length| length <= MAX_BATCH_BYTES).then_some(header)
    }

    /// Bytes of header and batch.
    pub fn record_bytes(&self) -> u64 {
        u64::from(self.length) + 32
    }

    /// What has been put into the spool once this record was.
    pub fn after(&self) -> Mark {
        self.before.plus(self.packets)
    }

    /// Whether these bytes are the batch.
    pub fn fits(&self, batch: &[u8]) -> bool {
        u64::try_from(batch.len()) == Ok(u64::from(self.length)) && crc32c::crc32c(batch) == self.checksum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: Mark = Mark { records: 7, packets: 900 };

    #[test]
    fn header_survives_encoding() {
        let header = Header::of(b"batch", 12, BEFORE).unwrap();
        assert_eq!(Header::decode(&header.encode()), Some(header));
        assert_eq!(header.after(), Mark { records: 8, packets: 912 });
        assert!(header.fits(b"batch") && !header.fits(b"bitch") && !header.fits(b"batches"));
    }

    #[test]
    fn header_with_any_bit_flipped_is_refused() {
        let bytes = Header::of(b"batch", 12, BEFORE).unwrap().encode();
        for bit in 0..8 * HEADER_BYTES {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Header::decode(&flipped), None, "bit {bit}");
        }
        assert_eq!(Header::decode(&[0; HEADER_BYTES]), None);
    }

    #[test]
    fn batch_that_is_too_long_has_no_header() {
        assert!(Header::of(&vec![0; MAX_BATCH_BYTES], 1, BEFORE).is_some());
        assert!(Header::of(&vec![0; MAX_BATCH_BYTES + 1], 1, BEFORE).is_none());
    }
}
