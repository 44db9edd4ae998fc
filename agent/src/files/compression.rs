//! Compressed captures: told by their first bytes, decompressed as they are read.

use lz4_flex::frame::FrameDecoder;
use std::io::{self, Read};

/// How a file is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    /// RFC 1952; several members end to end read as one, as `gzip` reads them.
    Gzip,
    /// RFC 8878; several frames end to end read as one.
    Zstd,
    /// LZ4 frame format 1.6; several frames end to end read as one.
    Lz4,
}

impl Compression {
    pub(super) fn of(head: &[u8]) -> Self {
        match head {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            [0x04, 0x22, 0x4d, 0x18, ..] => Self::Lz4,
            _ => Self::None,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::None => "plain",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Lz4 => "lz4",
        }
    }

    /// The decompressed bytes of `reader`. Memory is bounded by the formats' windows: 32 KiB for
    /// gzip, 128 MiB for zstd (its library refuses larger ones), 4 MiB for lz4.
    pub(super) fn decoder<R: Read + Send + 'static>(self, reader: R) -> io::Result<Box<dyn Read + Send>> {
        Ok(match self {
            Self::None => Box::new(reader),
            Self::Gzip => Box::new(flate2::read::MultiGzDecoder::new(reader)),
            Self::Zstd => Box::new(zstd::stream::read::Decoder::new(reader)?),
            Self::Lz4 => Box::new(Lz4Frames::new(reader)),
        })
    }
}

/// LZ4 frames one after another. The decoder says "no more bytes" at the end of each frame as well
/// as where the file is cut between two blocks; only the reader below it knows which it is.
struct Lz4Frames<R: Read> {
    decoder: FrameDecoder<EndSeen<R>>,
    within_frame: bool,
}

impl<R: Read> Lz4Frames<R> {
    fn new(reader: R) -> Self {
        let reader = EndSeen { reader, end_seen: false };
        Self { decoder: FrameDecoder::new(reader), within_frame: false }
    }
}

impl<R: Read> Read for Lz4Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.decoder.read(buffer)?;
            if count > 0 {
                self.within_frame = true;
                return Ok(count);
            }
            if buffer.is_empty() {
                return Ok(0);
            }
            if self.decoder.get_ref().end_seen {
                return match self.within_frame {
                    true => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "incomplete frame")),
                    false => Ok(0),
                };
            }
            self.within_frame = false;
        }
    }
}

/// A reader that remembers having come to its end.
struct EndSeen<R> {
    reader: R,
    end_seen: bool,
}

impl<R: Read> Read for EndSeen<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.end_seen |= count == 0 && !buffer.is_empty();
        Ok(count)
    }
}
