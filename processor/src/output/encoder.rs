//! The formats, each over one handle.

use std::io::{self, BufWriter, Write};

use arrow::array::RecordBatch;
use arrow::ipc::writer::{FileWriter, StreamWriter};
use weir_contract::RecordType;
use weir_contract::columns::{Malformed, RecordColumns, arrow_schema, write_csv, write_csv_header, write_json_lines};

use super::error::as_io;
use super::file::{Handle, TempFile};
use super::parquet::ParquetFile;

/// Bytes in memory at which a batch is written even if it has fewer rows. Every record type has a
/// batch of its own, so that this bounds memory.
const BATCH_BYTES: usize = 8 << 20;

/// Length-delimited records are written in blocks of about this size.
const BLOCK_BYTES: usize = 256 << 10;

/// Up to where a file is whole.
#[derive(Clone, Copy, Default)]
pub struct Whole {
    pub bytes: u64,
    pub rows: u64,
}

/// Begins one format over one handle.
pub type Begin = fn(RecordType, Handle) -> io::Result<Encoder>;

/// Gathers records and writes them in one format.
pub enum Encoder {
    /// Length-delimited as they are.
    Delimited { block: Vec<u8>, rows: u64, handle: Handle },
    /// As columns.
    Columns { columns: Box<RecordColumns>, writer: BatchWriter },
}

/// Formats over record batches.
pub enum BatchWriter {
    Parquet(Box<ParquetFile<Handle>>),
    Csv(Handle),
    /// With the label that tells types on one stream apart.
    Json(Handle, Option<&'static str>),
    ArrowFile(Box<FileWriter<BufWriter<Handle>>>),
    ArrowStream(Box<StreamWriter<BufWriter<Handle>>>),
}

impl Encoder {
    pub fn proto(_: RecordType, handle: Handle) -> io::Result<Self> {
        Ok(Self::Delimited { block: Vec::new(), rows: 0, handle })
    }

    pub fn parquet(record_type: RecordType, handle: Handle) -> io::Result<Self> {
        Ok(Self::columns(record_type, BatchWriter::Parquet(Box::new(ParquetFile::new(record_type, handle)?))))
    }

    pub fn csv(record_type: RecordType, mut handle: Handle) -> io::Result<Self> {
        write_csv_header(&arrow_schema(record_type), &mut handle)?;
        Ok(Self::columns(record_type, BatchWriter::Csv(handle)))
    }

    pub fn json(record_type: RecordType, handle: Handle) -> io::Result<Self> {
        let label = handle.is_stdout().then(|| record_type.name());
        Ok(Self::columns(record_type, BatchWriter::Json(handle, label)))
    }

    pub fn arrow(record_type: RecordType, handle: Handle) -> io::Result<Self> {
        let schema = arrow_schema(record_type);
        let writer = if handle.is_stdout() {
            BatchWriter::ArrowStream(Box::new(StreamWriter::try_new_buffered(handle, &schema).map_err(as_io)?))
        } else {
            BatchWriter::ArrowFile(Box::new(FileWriter::try_new_buffered(handle, &schema).map_err(as_io)?))
        };
        Ok(Self::columns(record_type, writer))
    }

    fn columns(record_type: RecordType, writer: BatchWriter) -> Self {
        Self::Columns { columns: Box::new(RecordColumns::new(record_type)), writer }
    }

    /// Takes a record. Says whether there are now enough for [`write`](Self::write).
    pub fn push(&mut self, record: &[u8]) -> Result<bool, Malformed> {
        match self {
            Self::Delimited { block, rows, .. } => {
                // A slice is never longer than 2⁶³ bytes.
                prost::encoding::encode_varint(record.len() as u64, block);
                block.extend_from_slice(record);
                *rows += 1;
                Ok(block.len() >= BLOCK_BYTES)
            }
            Self::Columns { columns, writer } => {
                columns.push_wire(record)?;
                Ok(columns.len() >= writer.batch_rows() || columns.bytes() >= BATCH_BYTES)
            }
        }
    }

    /// Writes the records taken, and says how many they are.
    pub fn write(&mut self) -> io::Result<u64> {
        match self {
            Self::Delimited { block, rows, handle } => {
                handle.write_all(block)?;
                block.clear();
                Ok(std::mem::take(rows))
            }
            Self::Columns { columns, .. } if columns.is_empty() => Ok(0),
            Self::Columns { columns, writer } => {
                let batch = columns.finish().map_err(as_io)?;
                writer.write(&batch)?;
                Ok(batch.num_rows() as u64)
            }
        }
    }

    /// Writes what the format has at its end.
    pub fn finish(&mut self) -> io::Result<()> {
        match self {
            Self::Delimited { handle, .. } => handle.flush(),
            Self::Columns { writer, .. } => match writer {
                BatchWriter::Parquet(file) => file.finish(),
                BatchWriter::Csv(handle) | BatchWriter::Json(handle, _) => handle.flush(),
                BatchWriter::ArrowFile(writer) => writer.finish().map_err(as_io),
                BatchWriter::ArrowStream(writer) => writer.finish().map_err(as_io),
            },
        }
    }

    /// After an error: ends the file after what was whole, and says how many rows that is.
    pub fn salvage(self, file: &mut TempFile, whole: Whole) -> io::Result<u64> {
        match self {
            Self::Columns { writer: BatchWriter::Parquet(parquet), .. } => parquet.salvage(file),
            Self::Columns { writer: BatchWriter::ArrowFile(mut writer), .. } => {
                file.cut(whole.bytes)?;
                // Bytes that the disk did not take must not be written again.
                drop(std::mem::replace(writer.get_mut(), BufWriter::new(file.handle()?)).into_parts());
                writer.finish().map_err(as_io)?;
                Ok(whole.rows)
            }
            _ => {
                file.cut(whole.bytes)?;
                Ok(whole.rows)
            }
        }
    }
}

impl BatchWriter {
    /// Rows of a batch at most. When the disk is full, the batch that no longer fits is lost.
    fn batch_rows(&self) -> usize {
        match self {
            Self::Parquet(_) => 65_536,
            Self::ArrowFile(_) | Self::ArrowStream(_) => 16_384,
            Self::Csv(_) | Self::Json(..) => 4096,
        }
    }

    fn write(&mut self, batch: &RecordBatch) -> io::Result<()> {
        match self {
            Self::Parquet(file) => file.write(batch),
            Self::Csv(handle) => write_csv(batch, handle),
            Self::Json(handle, label) => write_json_lines(batch, *label, handle),
            // Flushed, so that the file's position is where the batch ends.
            Self::ArrowFile(writer) => writer.write(batch).and_then(|()| writer.flush()).map_err(as_io),
            Self::ArrowStream(writer) => writer.write(batch).and_then(|()| writer.flush()).map_err(as_io),
        }
    }
}
