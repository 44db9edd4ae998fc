//! Bodies (RFC 9112 §6, §7): passed over, but for the first bytes and those that are asked for.

use serde::{Deserialize, Serialize};
use weir_contract::WeirdReason;

use super::{
    framing::{Framing, chunk_length},
    lines::next_line,
    message::Message,
};
use crate::{
    cursor::{Cursor, Malformed},
    output::Output,
};

/// Where in a body a direction is.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) enum Body {
    /// So many bytes are left, more than none.
    Length(u64),
    /// All that comes.
    UntilClose,
    /// The line in front of a chunk.
    ChunkLength,
    /// So many bytes of a chunk are left, more than none.
    Chunk(u64),
    /// The end of line behind a chunk.
    ChunkEnd,
    /// The fields behind the last chunk.
    Trailer,
}

/// How far the reading of a body came.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// To its end.
    Ended,
    /// To the end of the input.
    Wants,
    /// To bytes that need not be seen.
    Skip(u64),
}

impl Body {
    /// The beginning of a body, if there is one.
    pub(super) fn of(framing: Framing) -> Option<Self> {
        match framing {
            Framing::Nothing => None,
            Framing::Length(length) => Some(Self::Length(length)),
            Framing::Chunked => Some(Self::ChunkLength),
            Framing::UntilClose => Some(Self::UntilClose),
        }
    }

    /// Reads on.
    pub(super) fn read(
        &mut self,
        message: &mut Message,
        scanned: &mut usize,
        input: &mut Cursor<'_>,
        out: &mut Output,
    ) -> Result<Step, Malformed> {
        loop {
            match self {
                Self::Length(left) => {
                    pass(left, message, input, out);
                    return Ok(match *left {
                        0 => Step::Ended,
                        1 => Step::Wants,
                        _ if message.is_read_on() => Step::Wants,
                        skipped => {
                            // The last byte is waited for, since it shows when the body is over.
                            *left = 1;
                            message.body_bytes += skipped - 1;
                            Step::Skip(skipped - 1)
                        }
                    });
                }
                Self::UntilClose => {
                    let mut left = u64::MAX;
                    pass(&mut left, message, input, out);
                    return Ok(Step::Wants);
                }
                Self::ChunkLength => {
                    let Some(line) = next_line(input, scanned)? else { return Ok(Step::Wants) };
                    *self = match chunk_length(line.text) {
                        Some(0) => Self::Trailer,
                        Some(length) => Self::Chunk(length),
                        None => return Err(input.malformed(WeirdReason::BadLength, "chunk without a length")),
                    };
                }
                Self::Chunk(left) => {
                    pass(left, message, input, out);
                    let skipped = *left;
                    if skipped > 0 && message.is_read_on() {
                        return Ok(Step::Wants);
                    }
                    *self = Self::ChunkEnd;
                    if skipped > 0 {
                        message.body_bytes = message.body_bytes.saturating_add(skipped);
                        return Ok(Step::Skip(skipped));
                    }
                }
                Self::ChunkEnd => match input.peek() {
                    [b'\r', b'\n', ..] => {
                        input.skip(2)?;
                        *self = Self::ChunkLength;
                    }
                    [b'\n', ..] => {
                        out.note(input.malformed(WeirdReason::BadEncoding, "chunk that ends with LF alone"));
                        input.skip(1)?;
                        *self = Self::ChunkLength;
                    }
                    [] | [b'\r'] => return Ok(Step::Wants),
                    _ => return Err(input.malformed(WeirdReason::BadLength, "chunk that goes on behind its length")),
                },
                Self::Trailer => {
                    let Some(line) = next_line(input, scanned)? else { return Ok(Step::Wants) };
                    if line.text.is_empty() {
                        return Ok(Step::Ended);
                    }
                    message.trailer.push(line, input, out)?;
                }
            }
        }
    }

    /// Takes note of bytes that were never captured; how many of them are behind the body. `None` where
    /// nobody can tell how it goes on.
    pub(super) fn gap(&mut self, length: u64, message: &mut Message) -> Option<u64> {
        let mut all = u64::MAX;
        let left = match self {
            Self::Length(left) | Self::Chunk(left) => left,
            Self::UntilClose => &mut all,
            Self::ChunkLength | Self::ChunkEnd | Self::Trailer => return None,
        };
        let passed = length.min(*left);
        *left -= passed;
        message.miss(passed);
        Some(length - passed)
    }
}

/// Takes what is there of `left` bytes.
fn pass(left: &mut u64, message: &mut Message, input: &mut Cursor<'_>, out: &mut Output) {
    let here = usize::try_from(*left).unwrap_or(usize::MAX);
    let bytes = input.message_up_to(here).peek();
    if let Err(fault) = message.take(bytes) {
        out.note(input.malformed(fault.reason, fault.detail));
    }
    *left -= bytes.len() as u64;
}
