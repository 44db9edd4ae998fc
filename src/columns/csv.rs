//! Record batches as CSV, quoted as RFC 4180 §2 says.
//!
//! Cells look as in JSON, but for text, which stands for itself. Lists and messages are JSON text.
//! An empty cell is what is absent; empty text is `""`.

use std::io::{self, Write};

use arrow::array::{Array, AsArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Schema};
use arrow::json::writer::NullableEncoder;

use super::json::{FLUSH_BYTES, encoders, options};

/// Writes the header: the names of the columns.
///
/// # Errors
///
/// Those of `out`.
pub fn write_csv_header(schema: &Schema, out: &mut dyn Write) -> io::Result<()> {
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    writeln!(out, "{}", names.join(","))
}

/// Writes each row as a line.
///
/// # Errors
///
/// Those of `out`.
pub fn write_csv(batch: &RecordBatch, out: &mut dyn Write) -> io::Result<()> {
    let options = options();
    let encoders = encoders(batch, &options)?;
    let mut columns: Vec<Column> =
        batch.columns().iter().zip(encoders).map(|(array, encoder)| Column::new(array, encoder)).collect();
    let mut text = Vec::with_capacity(2 * FLUSH_BYTES);
    let mut json = Vec::new();
    for row in 0..batch.num_rows() {
        for (index, column) in columns.iter_mut().enumerate() {
            if index > 0 {
                text.push(b',');
            }
            column.push_cell(row, &mut json, &mut text);
        }
        text.push(b'\n');
        if text.len() >= FLUSH_BYTES {
            out.write_all(&text)?;
            text.clear();
        }
    }
    out.write_all(&text)
}

enum Column<'a> {
    Text(&'a StringArray),
    /// JSON text.
    Nested(NullableEncoder<'a>),
    /// Numbers, truth values, hex and timestamps: JSON without its quotes.
    Plain(NullableEncoder<'a>),
}

impl<'a> Column<'a> {
    fn new(array: &'a dyn Array, encoder: NullableEncoder<'a>) -> Self {
        match array.data_type() {
            DataType::Utf8 => Self::Text(array.as_string()),
            DataType::List(_) | DataType::Struct(_) => Self::Nested(encoder),
            _ => Self::Plain(encoder),
        }
    }

    fn push_cell(&mut self, row: usize, json: &mut Vec<u8>, text: &mut Vec<u8>) {
        json.clear();
        match self {
            Self::Text(array) if array.is_valid(row) => push_quoted(array.value(row).as_bytes(), text),
            Self::Nested(encoder) if !encoder.is_null(row) => {
                encoder.encode(row, json);
                push_quoted(json, text);
            }
            Self::Plain(encoder) if !encoder.is_null(row) => {
                encoder.encode(row, json);
                let inner = json.strip_prefix(b"\"").and_then(|json| json.strip_suffix(b"\""));
                text.extend_from_slice(inner.unwrap_or(json));
            }
            _ => {}
        }
    }
}

fn push_quoted(cell: &[u8], text: &mut Vec<u8>) {
    if !cell.is_empty() && !cell.iter().any(|byte| matches!(byte, b',' | b'"' | b'\n' | b'\r')) {
        return text.extend_from_slice(cell);
    }
    text.push(b'"');
    for &byte in cell {
        if byte == b'"' {
            text.push(b'"');
        }
        text.push(byte);
    }
    text.push(b'"');
}
