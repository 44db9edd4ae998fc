//! Records to files, or to standard output.
//!
//! One file a record type, `<folder>/<type>.<extension>`. It has a hidden name until it is whole, and
//! appears under its own when it is finished; a type without records leaves none. When writing fails,
//! say because the disk is full, what was whole before is kept and closed properly where the format
//! allows it.

mod encoder;
mod error;
mod file;
mod parquet;
#[cfg(test)]
mod tests;

use std::{
    fs,
    io::{self, IsTerminal as _},
    path::PathBuf,
    str::FromStr,
};

use weir_contract::{RecordType, Selection};

use encoder::{Begin, Encoder, Whole};
pub use error::{OutputError, Place};
use file::{Handle, TempFile};
pub(crate) use parquet::{ParquetGroups, footer};

/// How records are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Format {
    /// Apache Parquet.
    Parquet,
    /// Comma-separated values with a header line.
    Csv,
    /// JSON Lines.
    Json,
    /// Length-delimited protobuf.
    Proto,
    /// Arrow IPC: the file format in files, the stream format on standard output.
    Arrow,
    /// Nothing is written.
    Null,
}

impl Format {
    /// Every format, the default first.
    pub const ALL: [Self; 6] = [Self::Parquet, Self::Csv, Self::Json, Self::Proto, Self::Arrow, Self::Null];

    /// Name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Parquet => "parquet",
            Self::Csv => "csv",
            Self::Json => "json",
            Self::Proto => "proto",
            Self::Arrow => "arrow",
            Self::Null => "null",
        }
    }

    fn is_text(self) -> bool {
        matches!(self, Self::Csv | Self::Json)
    }

    /// The extension of its files, and how to begin one.
    fn begin(self) -> Option<(&'static str, Begin)> {
        match self {
            Self::Parquet => Some(("parquet", Encoder::parquet)),
            Self::Csv => Some(("csv", Encoder::csv)),
            Self::Json => Some(("jsonl", Encoder::json)),
            Self::Proto => Some(("pb", Encoder::proto)),
            Self::Arrow => Some(("arrow", Encoder::arrow)),
            Self::Null => None,
        }
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let names = || Self::ALL.iter().map(|format| format.name().to_owned());
        Self::ALL.into_iter().find(|format| format.name() == name).ok_or_else(|| {
            let nearest = weir_contract::text::nearest(name, names()).unwrap_or_default();
            format!(
                "no format is called `{name}`; did you mean `{nearest}`? There are {}",
                names().collect::<Vec<_>>().join(", ")
            )
        })
    }
}

/// Where records are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Files in this folder.
    Folder(PathBuf),
    /// Standard output.
    Stdout,
}

/// How and where records are written.
#[derive(Clone, Debug)]
pub struct Output {
    format: Format,
    target: Target,
    extension: &'static str,
    begin: Begin,
}

impl Output {
    /// An output for the selected record types; none for [`Format::Null`].
    ///
    /// # Errors
    ///
    /// Standard output is to take several record types in a format that does not tell them apart.
    pub fn new(format: Format, target: Target, selection: &Selection) -> Result<Option<Self>, OutputError> {
        let Some((extension, begin)) = format.begin() else { return Ok(None) };
        let selected = selection.types().count();
        if target == Target::Stdout && format != Format::Json && selected != 1 {
            return Err(OutputError::SeveralTypes { format: format.name(), selected });
        }
        Ok(Some(Self { format, target, extension, begin }))
    }

    /// Makes the folder if it does not exist.
    ///
    /// # Errors
    ///
    /// It can't be made; or a terminal would be shown what is no text.
    pub fn prepare(&self) -> Result<(), OutputError> {
        match &self.target {
            Target::Folder(path) => {
                fs::create_dir_all(path).map_err(|error| OutputError::Folder { path: path.clone(), error })
            }
            Target::Stdout if self.is_terminal() && !self.format.is_text() => {
                Err(OutputError::Terminal { format: self.format.name() })
            }
            Target::Stdout => Ok(()),
        }
    }

    /// Whether records go to the standard output.
    pub fn is_stdout(&self) -> bool {
        self.target == Target::Stdout
    }

    /// Whether records are shown on a terminal.
    pub fn is_terminal(&self) -> bool {
        self.is_stdout() && io::stdout().is_terminal()
    }

    /// A writer for one record type.
    ///
    /// # Errors
    ///
    /// The file can't be made, or its first bytes can't be written.
    pub fn create(&self, record_type: RecordType) -> Result<TypeWriter, OutputError> {
        let (place, file) = match &self.target {
            Target::Stdout => (Place::Stdout, None),
            Target::Folder(folder) => {
                let path = folder.join(format!("{}.{}", record_type.name(), self.extension));
                (Place::File(path.clone()), Some(TempFile::create(path)))
            }
        };
        let failed = |error| place.write_error(0, 0, error);
        let file = file.transpose().map_err(failed)?;
        let handle = file.as_ref().map_or_else(|| Ok(Handle::stdout()), TempFile::handle);
        let encoder = handle.and_then(|handle| (self.begin)(record_type, handle)).map_err(failed)?;
        Ok(TypeWriter { record_type, encoder: Some(encoder), file, place, whole: Whole::default() })
    }
}

/// What was written of one record type.
#[derive(Debug)]
pub struct Written {
    /// The record type.
    pub record_type: RecordType,
    /// The file; none for standard output, and none if there are no records.
    pub path: Option<PathBuf>,
    /// Records.
    pub rows: u64,
    /// Size of the file; 0 if there is none.
    pub bytes: u64,
}

/// Writes the records of one type.
pub struct TypeWriter {
    record_type: RecordType,
    /// None after an error.
    encoder: Option<Encoder>,
    /// None for standard output.
    file: Option<TempFile>,
    place: Place,
    whole: Whole,
}

impl TypeWriter {
    /// Writes one record: undelimited protobuf.
    ///
    /// # Errors
    ///
    /// The record is malformed and was left out. Or writing failed: then what was whole is kept, and
    /// nothing more is written.
    pub fn push(&mut self, record: &[u8]) -> Result<(), OutputError> {
        let Some(encoder) = &mut self.encoder else { return Ok(()) };
        match encoder.push(record) {
            Ok(true) => self.write(),
            Ok(false) => Ok(()),
            Err(error) => Err(OutputError::Record { place: self.place.clone(), error }),
        }
    }

    /// Writes what is left, and gives the file its name.
    ///
    /// # Errors
    ///
    /// Writing failed; what was whole before is kept.
    pub fn finish(mut self) -> Result<Written, OutputError> {
        self.write()?;
        if let Some(encoder) = &mut self.encoder
            && (self.whole.rows > 0 || self.file.is_none())
            && let Err(error) = encoder.finish()
        {
            return Err(self.fail(error));
        }
        let mut written = Written { record_type: self.record_type, path: None, rows: self.whole.rows, bytes: 0 };
        if let Some(file) = self.file.take()
            && written.rows > 0
        {
            match file.keep() {
                Ok((path, bytes)) => (written.path, written.bytes) = (Some(path), bytes),
                Err(error) => return Err(self.place.write_error(self.whole.bytes, 0, error)),
            }
        }
        Ok(written)
    }

    /// Writes the records that wait for others to be written with.
    ///
    /// # Errors
    ///
    /// Writing failed; what was whole before is kept.
    pub fn write(&mut self) -> Result<(), OutputError> {
        let Some(encoder) = &mut self.encoder else { return Ok(()) };
        match encoder.write() {
            Ok(rows) => {
                self.whole.rows += rows;
                self.whole.bytes = self.file.as_ref().map_or(0, TempFile::position);
                Ok(())
            }
            Err(error) => Err(self.fail(error)),
        }
    }

    /// Ends the file after its last whole part, gives it its name, and says what happened.
    fn fail(&mut self, error: io::Error) -> OutputError {
        let bytes = self.file.as_ref().map_or(0, TempFile::position);
        let mut kept_rows = 0;
        if let (Some(encoder), Some(mut file)) = (self.encoder.take(), self.file.take())
            && let Ok(rows) = encoder.salvage(&mut file, self.whole)
            && rows > 0
            && file.keep().is_ok()
        {
            kept_rows = rows;
        }
        self.whole.rows = 0;
        self.place.write_error(bytes, kept_rows, error)
    }
}
