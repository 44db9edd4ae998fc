//! `gzip` (RFC 1952) and `deflate` (RFC 1950, and RFC 1951 where a sender forgets the former), as they come in.

use std::fmt;

use miniz_oxide::inflate::{
    TINFLStatus,
    core::{
        DecompressorOxide, decompress,
        inflate_flags::{TINFL_FLAG_COMPUTE_ADLER32, TINFL_FLAG_HAS_MORE_INPUT, TINFL_FLAG_PARSE_ZLIB_HEADER},
    },
};
use serde::{Deserialize, Serialize};
use weir_contract::WeirdReason;

use super::{
    Fault,
    gzip::{Header, Read, TRAILER_BYTES},
};

/// How far back a repetition may reach (RFC 1951 §2), and so what has to be kept of the output.
const WINDOW_BYTES: usize = 32 << 10;

/// Most that a byte may become on average. Text becomes some 10, DEFLATE can do 1,032.
const RATIO_MAX: u64 = 200;

/// What may come of anything, whatever its length.
const FREE_BYTES: u64 = 1 << 20;

/// What may come of anything at most.
const BYTES_MAX: u64 = 1 << 30;

/// Undoes a compression.
#[derive(Serialize, Deserialize)]
pub(super) struct Inflate {
    stage: Stage,
    /// zlib's header and checksum are around the compressed data.
    is_zlib: bool,
    decompressor: DecompressorOxide,
    /// The last of the output, as a ring.
    window: Vec<u8>,
    /// Where in the ring the next byte belongs.
    position: usize,
    read_bytes: u64,
    written_bytes: u64,
}

/// What the next byte belongs to.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Stage {
    Gzip(Header),
    /// The first byte of `deflate`, by which its two forms are told.
    Deflate,
    Compressed {
        trailer_bytes: u8,
    },
    Trailer(u8),
    Ended,
}

impl Stage {
    /// How content in an encoding begins, of those that can be undone.
    pub(super) fn first(encoding: &[u8]) -> Option<Self> {
        // RFC 9110 §8.4.1.3.
        if encoding.eq_ignore_ascii_case(b"gzip") || encoding.eq_ignore_ascii_case(b"x-gzip") {
            return Some(Self::Gzip(Header::default()));
        }
        encoding.eq_ignore_ascii_case(b"deflate").then_some(Self::Deflate)
    }
}

impl Inflate {
    /// What undoes an encoding, of those that can be undone.
    pub(super) fn of(encoding: &[u8]) -> Option<Self> {
        Some(Self {
            stage: Stage::first(encoding)?,
            is_zlib: false,
            decompressor: DecompressorOxide::new(),
            window: vec![0; WINDOW_BYTES],
            position: 0,
            read_bytes: 0,
            written_bytes: 0,
        })
    }

    /// Takes the next bytes, and gives what comes of them.
    pub(super) fn push(&mut self, mut input: &[u8], mut take: impl FnMut(&[u8])) -> Result<(), Fault> {
        self.read_bytes += input.len() as u64;
        while let Some((&first, rest)) = input.split_first() {
            match &mut self.stage {
                Stage::Gzip(header) => {
                    match header.push(first) {
                        Read::GoOn => {}
                        Read::Ended => self.stage = Stage::Compressed { trailer_bytes: TRAILER_BYTES },
                        Read::Malformed => return Err(malformed("content that is not the gzip it is said to be")),
                    }
                    input = rest;
                }
                Stage::Deflate => {
                    // RFC 1950 §2.2: method 8, with a window of at most 32 KiB.
                    self.is_zlib = first & 0x0f == 8 && first >> 4 <= 7;
                    self.stage = Stage::Compressed { trailer_bytes: 0 };
                }
                Stage::Compressed { trailer_bytes } => {
                    let trailer_bytes = *trailer_bytes;
                    let (read, has_ended) = self.decompress(input, &mut take)?;
                    input = input.get(read..).unwrap_or_default();
                    if has_ended {
                        self.stage = if trailer_bytes == 0 { Stage::Ended } else { Stage::Trailer(trailer_bytes) };
                    }
                }
                Stage::Trailer(left) => {
                    *left -= 1;
                    if *left == 0 {
                        self.stage = Stage::Ended;
                    }
                    input = rest;
                }
                Stage::Ended => return Err(malformed("bytes behind the end of compressed content")),
            }
        }
        Ok(())
    }

    /// Decompresses until the input, or the compressed data, ends. Bytes read, and whether it was the latter.
    fn decompress(&mut self, input: &[u8], take: &mut impl FnMut(&[u8])) -> Result<(usize, bool), Fault> {
        let of_zlib = if self.is_zlib { TINFL_FLAG_PARSE_ZLIB_HEADER | TINFL_FLAG_COMPUTE_ADLER32 } else { 0 };
        let flags = of_zlib | TINFL_FLAG_HAS_MORE_INPUT;
        let mut read = 0;
        loop {
            let unread = input.get(read..).unwrap_or_default();
            let (status, taken, written) =
                decompress(&mut self.decompressor, unread, &mut self.window, self.position, flags);
            read += taken;
            let end = self.position + written;
            take(self.window.get(self.position..end).unwrap_or_default());
            self.position = end % WINDOW_BYTES;
            self.written_bytes += written as u64;
            self.check_bounds()?;
            match status {
                TINFLStatus::Done => return Ok((read, true)),
                TINFLStatus::HasMoreOutput => {}
                TINFLStatus::NeedsMoreInput => return Ok((input.len(), false)),
                _ => return Err(malformed("content that is not compressed as it is said to be")),
            }
        }
    }

    fn check_bounds(&self) -> Result<(), Fault> {
        let limit = |detail| Err(Fault { reason: WeirdReason::Limit, detail });
        if self.written_bytes > FREE_BYTES.max(self.read_bytes.saturating_mul(RATIO_MAX)) {
            return limit("content that becomes more than 200 times itself");
        }
        if self.written_bytes > BYTES_MAX {
            return limit("content that becomes more than 1 GiB");
        }
        Ok(())
    }

    /// Whether what was pushed is all that belongs to it.
    pub(super) fn has_ended(&self) -> bool {
        matches!(self.stage, Stage::Ended)
    }

    pub(super) fn held_bytes(&self) -> usize {
        size_of::<Self>() + self.window.len()
    }
}

impl fmt::Debug for Inflate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Inflate").field("stage", &self.stage).finish_non_exhaustive()
    }
}

fn malformed(detail: &'static str) -> Fault {
    Fault { reason: WeirdReason::BadEncoding, detail }
}
