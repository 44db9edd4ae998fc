//! Parquet as Spark, DuckDB, Polars and pandas read it without options.

use std::fs::File;
use std::io::{self, Write};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use parquet::arrow::arrow_writer::{ArrowRowGroupWriterFactory, ArrowWriterOptions, compute_leaves};
use parquet::arrow::{ArrowSchemaConverter, ArrowWriter};
use parquet::basic::{Compression, Type, ZstdLevel};
use parquet::file::metadata::{
    FileMetaData, KeyValue, ParquetMetaData, ParquetMetaDataReader, ParquetMetaDataWriter, RowGroupMetaData,
};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::SchemaDescriptor;
use weir_contract::RecordType;
use weir_contract::columns::{RECORD_TYPE, arrow_schema, fingerprint};

use super::error::parquet_as_io;
use super::file::{Handle, TempFile};

/// Rows of a row group at most.
const ROW_GROUP_ROWS: usize = 1 << 20;

/// A row group is held in memory, encoded, until it is written; it ends at this size.
const ROW_GROUP_BYTES: usize = 64 << 20;

/// Columns of text whose values are mostly all different: a dictionary of them is larger than they are.
const UNIQUE_TEXT: [&str; 2] = ["uid", "community_id"];

/// Columns of text with least and greatest values: what people look for. To compare each value of all the others took
/// a fifth of the time that a record takes, and says little of values that come in no order.
const TEXT_WITH_STATISTICS: [&str; 2] = ["src_ip", "dst_ip"];

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
        let schema = arrow_schema(record_type);
        let properties = properties(record_type, &parquet_schema(&schema)?)?;
        // Arrow's own schema would add some kilobytes to each file, and says nothing that Parquet's
        // types do not say to all readers.
        let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
        let writer = ArrowWriter::try_new_with_options(out, schema, options);
        Ok(Self { record_type, writer: writer.map_err(parquet_as_io)? })
    }

    pub fn write(&mut self, batch: &RecordBatch) -> io::Result<()> {
        self.writer.write(batch).map_err(parquet_as_io)
    }

    pub fn finish(&mut self) -> io::Result<()> {
        self.writer.finish().map_err(parquet_as_io).map(drop)
    }

    /// Ends the row group early.
    #[cfg(test)]
    pub fn end_row_group(&mut self) -> io::Result<()> {
        self.writer.flush().map_err(parquet_as_io)
    }
}

/// A Parquet file in memory, under construction by whole row groups.
///
/// [`ParquetFile`] keeps an encoder for each column from batch to batch. With its compressor that takes some 200 KB,
/// most of it in no count, and a type may have over a hundred columns. Here one column is encoded after the other, so
/// that there is one encoder at a time.
pub struct ParquetGroups {
    writer: SerializedFileWriter<Vec<u8>>,
    columns: ArrowRowGroupWriterFactory,
    groups: usize,
}

impl ParquetGroups {
    pub fn new(record_type: RecordType) -> io::Result<Self> {
        let schema = arrow_schema(record_type);
        let described = parquet_schema(&schema)?;
        let properties = Arc::new(properties(record_type, &described)?);
        let writer = SerializedFileWriter::new(Vec::new(), described.root_schema_ptr(), properties);
        let writer = writer.map_err(parquet_as_io)?;
        let columns = ArrowRowGroupWriterFactory::new(&writer, schema);
        Ok(Self { writer, columns, groups: 0 })
    }

    /// Writes a row group, and frees each column once it is written.
    pub fn write(&mut self, batch: RecordBatch) -> io::Result<()> {
        let writers = self.columns.create_column_writers(self.groups).map_err(parquet_as_io)?;
        let mut writers = writers.into_iter();
        let mut group = self.writer.next_row_group().map_err(parquet_as_io)?;
        let (schema, columns, _) = batch.into_parts();
        for (field, column) in schema.fields().iter().zip(columns) {
            let leaves = compute_leaves(field, &column).map_err(parquet_as_io)?;
            for (leaf, mut writer) in leaves.into_iter().zip(&mut writers) {
                writer.write(&leaf).map_err(parquet_as_io)?;
                let chunk = writer.close().map_err(parquet_as_io)?;
                chunk.append_to_row_group(&mut group).map_err(parquet_as_io)?;
            }
        }
        group.close().map_err(parquet_as_io)?;
        self.groups += 1;
        Ok(())
    }

    /// Bytes that are written.
    pub fn bytes(&self) -> usize {
        self.writer.bytes_written()
    }

    /// Ends the file with this in its footer.
    pub fn finish(mut self, about: impl IntoIterator<Item = (String, String)>) -> io::Result<Vec<u8>> {
        for (key, value) in about {
            self.writer.append_key_value_metadata(KeyValue::new(key, value));
        }
        self.writer.into_inner().map_err(parquet_as_io)
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

fn parquet_schema(schema: &SchemaRef) -> io::Result<SchemaDescriptor> {
    ArrowSchemaConverter::new().convert(schema).map_err(parquet_as_io)
}

/// How columns are encoded: so that any reader understands it, and that it is quick and small for what records hold.
fn properties(record_type: RecordType, schema: &SchemaDescriptor) -> io::Result<WriterProperties> {
    let level = ZstdLevel::try_new(1).map_err(parquet_as_io)?;
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(level))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_max_row_group_bytes(Some(ROW_GROUP_BYTES))
        .set_created_by(CREATED_BY.to_owned())
        .set_key_value_metadata(Some(metadata(record_type)));
    for column in schema.columns() {
        let path = column.path();
        let is_text = column.physical_type() == Type::BYTE_ARRAY;
        let is_one_of = |names: &[&str]| matches!(path.parts(), [name] if names.contains(&name.as_str()));
        // Files were a sixth larger with dictionaries of numbers: zstd finds as much in the numbers themselves.
        if !is_text || is_one_of(&UNIQUE_TEXT) {
            properties = properties.set_column_dictionary_enabled(path.clone(), false);
        }
        if is_text && !is_one_of(&TEXT_WITH_STATISTICS) {
            properties = properties.set_column_statistics_enabled(path.clone(), EnabledStatistics::None);
        }
    }
    Ok(properties.build())
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
