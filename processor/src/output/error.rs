//! What can go wrong while records are written.

use std::{fmt, io, path::PathBuf};

use arrow::error::ArrowError;
use parquet::errors::ParquetError;
use weir_contract::columns::Malformed;

/// Records could not be written.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// The folder could not be made.
    #[error("{}: the folder cannot be made: {error}; {}", path.display(), hint(error))]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        error: io::Error,
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
    /// A terminal would be shown bytes.
    #[error("{format} is no text for a terminal: pipe it, write JSON or CSV, or write to a folder with --out")]
    Terminal {
        /// The format.
        format: &'static str,
    },
    /// Writing to a file failed.
    #[error("{}: writing failed after {bytes} bytes: {error}; {kept_rows} records are kept; {}", path.display(), hint(error))]
    File {
        /// The file.
        path: PathBuf,
        /// Bytes written before.
        bytes: u64,
        /// Records that can be read from the file all the same.
        kept_rows: u64,
        /// Why.
        error: io::Error,
    },
    /// Writing to the standard output failed.
    #[error("standard output: writing failed: {0}; look at where it goes, or write to a folder with --out")]
    Stdout(io::Error),
    /// A record that the decoder made is malformed.
    #[error("{place}: left out a record: {error}; please report this, with the capture if you can share it")]
    Record {
        /// The file.
        place: Place,
        /// Why.
        error: Malformed,
    },
}

impl OutputError {
    /// Whether the reader of a pipe went away, as `head` does, which is no mistake of anybody's.
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Stdout(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// Records of this type that can be read from the file all the same.
    pub fn kept_rows(&self) -> u64 {
        if let Self::File { kept_rows, .. } = self { *kept_rows } else { 0 }
    }

    /// Whether this is about the standard output, which all types share.
    pub fn is_of_stdout(&self) -> bool {
        matches!(self, Self::Stdout(_))
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

impl Place {
    /// What to say when writing there failed.
    pub(super) fn write_error(&self, bytes: u64, kept_rows: u64, error: io::Error) -> OutputError {
        match self {
            Self::File(path) => OutputError::File { path: path.clone(), bytes, kept_rows, error },
            Self::Stdout => OutputError::Stdout(error),
        }
    }
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
        AlreadyExists, FileTooLarge, NotADirectory, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull,
    };
    match error.kind() {
        StorageFull | QuotaExceeded | FileTooLarge => "free some space, or choose another folder with --out",
        PermissionDenied | ReadOnlyFilesystem => "choose a folder with --out that you may write to",
        NotADirectory | AlreadyExists => "a file stands where a folder should: choose another folder with --out",
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
