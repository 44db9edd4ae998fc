//! What can be wrong with a source of packets, in words that say what to do.

use std::io;

/// Something wrong with one source: a capture file, the standard input, or an interface.
///
/// It reads as one line: the source, what is wrong, where, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[error("{name}: {problem}{}", at(*.offset))]
pub struct SourceError {
    /// The file or interface, as the user named it.
    pub name: String,
    /// Bytes from the start of the capture (once decompressed) to what is wrong, if that is a place.
    pub offset: Option<u64>,
    /// What is wrong.
    pub problem: SourceProblem,
}

impl SourceError {
    /// Whether the capture itself is damaged: its packets up to there were read, and there is
    /// nothing to be done but to look at how it was written.
    pub fn is_damage(&self) -> bool {
        use SourceProblem as P;
        matches!(
            self.problem,
            P::Cut { .. }
                | P::Compression { .. }
                | P::PacketTooLong { .. }
                | P::LongerThanOriginal { .. }
                | P::Block { .. }
                | P::UnknownInterface { .. }
                | P::TooManyInterfaces { .. }
        )
    }
}

fn at(offset: Option<u64>) -> String {
    offset.map(|offset| format!(" (at byte {offset} of the capture)")).unwrap_or_default()
}

/// The kinds of things that can be wrong with a source.
#[derive(Debug, thiserror::Error)]
pub enum SourceProblem {
    /// There is no such file.
    #[error("no such file: check the path")]
    Missing,
    /// The user may not read it.
    #[error("permission denied: run as a user who may read it, or change its mode")]
    Forbidden,
    /// It is a folder.
    #[error("is a folder, not a capture file: name the files in it")]
    Folder,
    /// Opening or reading failed otherwise.
    #[error("reading failed: {0}; what was read before is kept")]
    Io(io::Error),
    /// A stream was told to end before it had ended.
    #[error("reading was stopped; what was read before is kept")]
    Stopped,
    /// It has no bytes.
    #[error("is empty: even a capture without packets has a header; was it written to the end?")]
    Empty,
    /// It starts with none of the magic numbers.
    #[error(
        "is no capture file, it starts with the bytes {0}: pcap and pcapng are read, plain or \
         compressed with gzip, zstd or lz4"
    )]
    NotACapture(String),
    /// It is compressed more than once.
    #[error("is compressed inside a compressed file: decompress it once by hand")]
    NestedCompression,
    /// It ends within its own header.
    #[error(
        "ends within its file header, after {had} of {needed} bytes: there is nothing to read, \
         capture it again"
    )]
    HeaderCut {
        /// Bytes there are.
        had: usize,
        /// Bytes of the header.
        needed: usize,
    },
    /// A version of the format that nobody reads.
    #[error("has version {major}.{minor} of {format}, which is unknown: convert it with the program that wrote it")]
    Version {
        /// pcap or pcapng.
        format: &'static str,
        /// Major version.
        major: u16,
        /// Minor version.
        minor: u16,
    },
    /// The capture ends within a packet or block.
    #[error(
        "ends within a {part}, after {had} of {needed} bytes: the capture was cut off; what is \
         before is read"
    )]
    Cut {
        /// What the end is within.
        part: &'static str,
        /// Bytes there are.
        had: usize,
        /// Bytes it says to have.
        needed: usize,
    },
    /// The compressed stream is damaged or cut off.
    #[error("its {format} stream is damaged or cut off ({reason}); what is before is read")]
    Compression {
        /// gzip, zstd or lz4.
        format: &'static str,
        /// What the decompressor says.
        reason: String,
    },
    /// A packet that says to be longer than any can be.
    #[error(
        "a packet says to have {length} bytes, more than the {limit} that any has: the file is \
         damaged from there on; what is before is read"
    )]
    PacketTooLong {
        /// Length it says to have.
        length: u32,
        /// The greatest there can be.
        limit: usize,
    },
    /// A packet of which more was captured than it had on the wire.
    #[error("a packet says that {captured} of its {original} bytes were captured; all are kept")]
    LongerThanOriginal {
        /// Captured length.
        captured: u32,
        /// Original length.
        original: u32,
    },
    /// A block of a pcapng file that cannot be.
    #[error("a pcapng block of type {kind:#x} {reason}")]
    Block {
        /// Type of the block.
        kind: u32,
        /// What is wrong with it.
        reason: BlockReason,
    },
    /// A packet of an interface that the file doesn't describe.
    #[error("a packet is of interface {id}, but the section describes {known}: it is left out")]
    UnknownInterface {
        /// Number of the interface.
        id: u32,
        /// Interfaces described so far.
        known: usize,
    },
    /// Capturing on an interface came to an end by itself.
    #[error("capturing ended ({0}): is the interface still there, and up? What came before is kept")]
    Capture(String),
    /// More interfaces than anyone has.
    #[error("has more than {limit} interfaces: reading ends there; what is before is read")]
    TooManyInterfaces {
        /// How many are read.
        limit: usize,
    },
}

/// What is wrong with a pcapng block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockReason {
    /// Its length is below the least, or no multiple of 4.
    #[error("says to have {0} bytes, which no block can: the file is damaged from there on; what is before is read")]
    Length(u32),
    /// Its length is above what is read.
    #[error(
        "says to have {length} bytes, more than the {limit} that are read: the file is damaged from there on; what is before is read"
    )]
    TooLong {
        /// Length it says to have.
        length: u32,
        /// The greatest that is read.
        limit: usize,
    },
    /// The length at its end is another than at its start.
    #[error(
        "has the length {start} at its start and {end} at its end: the file is damaged from there on; what is before is read"
    )]
    Trailer {
        /// Length at the start.
        start: u32,
        /// Length at the end.
        end: u32,
    },
    /// Its content doesn't fit into its length.
    #[error("has content that does not fit into it")]
    Content,
    /// A section whose byte order can't be told.
    #[error(
        "has the byte-order magic {0:#010x}, which is none: the file is damaged from there on; what is before is read"
    )]
    ByteOrder(u32),
}
