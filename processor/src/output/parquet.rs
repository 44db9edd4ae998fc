//! Parquet as Spark, DuckDB, Polars and pandas read it without options.

use std::fs::File;
use std::io::{self, Write};

use arrow::array::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::{
    FileMetaData, KeyValue, ParquetMetaData, ParquetMetaDataReader, ParquetMetaDataWriter, RowGroupMetaData,
};
use parquet::file::properties::WriterProperties;
use weir_contract::RecordType;
use weir_contract::columns::{RECORD_TYPE, arrow_schema, fingerprint};

use super::error::parquet_as_io;
use super::file::{Handle, TempFile};

/// Rows of a row group at most.
const ROW_GROUP_ROWS: usize = 1 << 20;

/// A row group is held in memory, encoded, until it is written; it ends at this size.
const ROW_GROUP_BYTES: usize = 64 << 20;

/// Key of the file's metadata under which the schema's fingerprint stands.
const FINGERPRINT: &str = "weir.schema_fingerprint";

/// Spark uses the statistics of text columns only of writers whose name has this form.
const CREATED_BY: &str = concat!("weir version ", env!("CARGO_PKG_VERSION"));

/// A Parquet file under construction.
pub struct ParquetFile<W: Write + Send> {
    record_type: RecordType,
    writer: ArrowWriter<W>,
}

impl<W: Write + Send> ParquetFile<W> {
    pub fn new(record_type: RecordType, out: W) -> io::Result<Self> {
        let level = ZstdLevel::try_new(1).map_err(parquet_as_io)?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(level))
            .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
            .set_max_row_group_bytes(Some(ROW_GROUP_BYTES))
            .set_created_by(CREATED_BY.to_owned())
            .set_key_value_metadata(Some(metadata(record_type)))
            .build();
        // Arrow's own schema would add some kilobytes to each file, and says nothing that Parquet's
        // types do not say to all readers.
        let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
        let writer = ArrowWriter::try_new_with_options(out, arrow_schema(record_type), options);
        Ok(Self { record_type, writer: writer.map_err(parquet_as_io)? })
    }

    pub fn write(&mut self, batch: &RecordBatch) -> io::Result<()> {
        self.writer.write(batch).map_err(parquet_as_io)
    }

    pub fn finish(&mut self) -> io::Result<()> {
        self.writer.finish().map_err(parquet_as_io).map(drop)
    }

    /// Ends the file with this in its footer, and gives back where it was written to.
    pub fn finish_with(mut self, about: impl IntoIterator<Item = (String, String)>) -> io::Result<W> {
        for (key, value) in about {
            self.writer.append_key_value_metadata(KeyValue::new(key, value));
        }
        self.writer.into_inner().map_err(parquet_as_io)
    }

    /// About how large the file would be if it ended now.
    pub fn bytes(&self) -> usize {
        self.writer.bytes_written() + self.writer.in_progress_size()
    }

    /// Bytes in memory besides what was written.
    pub fn memory(&self) -> usize {
        self.writer.memory_size()
    }

    /// Ends the row group early.
    #[cfg(test)]
    pub fn end_row_group(&mut self) -> io::Result<()> {
        self.writer.flush().map_err(parquet_as_io)
    }
}

impl ParquetFile<Handle> {
    /// Writes a footer behind the row groups that are whole on disk, and says how many rows they have.
    pub fn salvage(self, file: &mut TempFile) -> io::Result<u64> {
        let groups = self.writer.flushed_row_groups().to_vec();
        // It may hold the last bytes of a group, and writes them now if it can.
        drop(self.writer);
        let length = file.length()?;
        let groups: Vec<_> = groups.into_iter().take_while(|group| end(group) <= length).collect();
        let Some(last) = groups.last() else { return Ok(0) };
        let rows = groups.iter().map(RowGroupMetaData::num_rows).sum();
        let (schema, metadata) = (last.schema_descr_ptr(), metadata(self.record_type));
        let about = FileMetaData::new(1, rows, Some(CREATED_BY.to_owned()), Some(metadata), schema, None);
        let out = file.cut(end(last))?;
        let whole = ParquetMetaData::new(about, groups);
        ParquetMetaDataWriter::new(out, &whole).finish().map_err(parquet_as_io)?;
        Ok(u64::try_from(rows).unwrap_or_default())
    }
}

/// The keys and values in the footer of a Parquet file.
///
/// # Errors
///
/// It can't be read, or is no Parquet file.
pub fn footer(file: &File) -> io::Result<Vec<(String, String)>> {
    let metadata = ParquetMetaDataReader::new().parse_and_finish(file).map_err(parquet_as_io)?;
    let pairs = metadata.file_metadata().key_value_metadata().cloned().unwrap_or_default();
    Ok(pairs.into_iter().filter_map(|pair| Some((pair.key, pair.value?))).collect())
}

fn metadata(record_type: RecordType) -> Vec<KeyValue> {
    vec![
        KeyValue::new(RECORD_TYPE.to_owned(), record_type.name().to_owned()),
        KeyValue::new(FINGERPRINT.to_owned(), fingerprint(record_type)),
    ]
}

/// Offset behind the last byte of a row group.
fn end(group: &RowGroupMetaData) -> u64 {
    let ends = group.columns().iter().map(|column| column.byte_range()).map(|(start, length)| start + length);
    ends.max().unwrap_or_default()
}
