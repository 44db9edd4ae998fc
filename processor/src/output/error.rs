//! What can go wrong while records are written.

use std::{fmt, io, path::PathBuf};

use arrow::error::ArrowError;
use parquet::errors::ParquetError;
use weir_contract::columns::Malformed;

/// Records could not be written.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// The folder could not be made.
    #[error("{}: the folder cannot be made: {source}; {}", path.display(), hint(source))]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Standard output can't hold several record types in this format.
    #[error(
        "standard output takes one record type as {format}, but {selected} are selected: choose one with --records, \
         write JSON, or write to a folder with --out"
    )]
    SeveralTypes {
        /// The format.
        format: &'static str,
        /// How many types are selected.
        selected: usize,
    },
    /// Writing failed.
    #[error("{place}: writing failed after {bytes} bytes: {source}; {kept_rows} records are kept; {}", hint(source))]
    Write {
        /// The file.
        place: Place,
        /// Bytes written before.
        bytes: u64,
        /// Records that can be read from the file all the same.
        kept_rows: u64,
        /// Why.
        source: io::Error,
    },
    /// A record that the decoder made is malformed.
    #[error("{place}: left out a record: {source}; please report this, with the capture if you can share it")]
    Record {
        /// The file.
        place: Place,
        /// Why.
        source: Malformed,
    },
}

impl OutputError {
    /// Whether the reader of a pipe went away, as `head` does, which is no mistake of anybody's.
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Write { source, .. } if source.kind() == io::ErrorKind::BrokenPipe)
    }
}

/// Where records are written to.
#[derive(Clone, Debug)]
pub enum Place {
    /// This file.
    File(PathBuf),
    /// Standard output.
    Stdout,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Stdout => f.write_str("standard output"),
        }
    }
}

fn hint(error: &io::Error) -> &'static str {
    use io::ErrorKind::{
        BrokenPipe, FileTooLarge, NotADirectory, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull,
    };
    match error.kind() {
        StorageFull | QuotaExceeded | FileTooLarge => "free some space, or choose another folder with --out",
        PermissionDenied | ReadOnlyFilesystem => "choose a folder with --out that you may write to",
        NotADirectory => "a file stands where a folder should: choose another folder with --out",
        BrokenPipe => "the reader of the pipe went away",
        _ => "check the folder that --out names",
    }
}

/// The error of the file below Arrow, if that is what it is.
pub(super) fn as_io(error: ArrowError) -> io::Error {
    match error {
        ArrowError::IoError(_, source) => source,
        other => io::Error::other(other),
    }
}

/// The error of the file below Parquet, if that is what it is.
pub(super) fn parquet_as_io(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(source) => match source.downcast::<io::Error>() {
            Ok(source) => *source,
            Err(other) => io::Error::other(other),
        },
        other => io::Error::other(other),
    }
}
