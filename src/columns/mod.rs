//! Records as Arrow columns: protobuf bytes in, record batches out, with no struct in between
//! (a third of the time that decoding to structs first takes).

mod csv;
mod export;
mod json;
mod kinds;
mod schema;
#[cfg(test)]
mod tests;
mod wire;

use std::{fmt, sync::Arc};

use arrow::array::{ArrayRef, AsArray, RecordBatch, TimestampMicrosecondArray};
use arrow::datatypes::{Int64Type, SchemaRef};
use arrow::error::ArrowError;

use crate::{FieldInfo, RecordInfo, RecordType};
pub use csv::{write_csv, write_csv_header};
pub use export::{arrow_schema_json, json_schema};
pub use json::write_json_lines;
use kinds::Table;
pub use schema::{COMMENT, RECORD_TYPE, arrow_schema, fingerprint};
use wire::Input;
pub use wire::Reason;

/// One type for each message, which says which field goes to which column.
#[allow(unused_imports, reason = "which kinds of columns are needed depends on `proto/`")]
mod generated {
    use super::kinds::{
        Blobs, Bools, Column, Enums, Lists, Message, Messages, Numbers, Optional, Scalars, Table, Texts,
    };
    use super::wire::{Key, Reader, Text};
    use crate::RecordType;

    include!(concat!(env!("OUT_DIR"), "/columns.rs"));
}

/// Wire bytes a batch takes at most, a byte a record included. Offsets into columns are of 31 bits;
/// the bound keeps all of them far below.
pub const BATCH_BYTES_MAX: usize = 64 << 20;

/// The columns of one record type, filled record by record.
///
/// ```
/// use prost::Message;
/// use weir_contract::{Meta, RecordType, columns::RecordColumns, record::Udp};
///
/// let mut columns = RecordColumns::new(RecordType::Udp);
/// let meta = Meta { ts_ns: 1_700_000_000_000_000_000, src_port: 53, ..Meta::default() };
/// columns.push_wire(&Udp { meta: Some(meta), payload_bytes: 12, ..Udp::default() }.encode_to_vec())?;
/// let batch = columns.finish()?;
/// assert_eq!(batch.num_rows(), 1);
/// assert_eq!(batch.schema().field(0).name(), "ts");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct RecordColumns {
    info: &'static RecordInfo,
    schema: SchemaRef,
    table: Box<dyn Table>,
    rows: usize,
    wire_bytes: usize,
    row_bytes: usize,
    unknown_fields: u64,
    known_only: bool,
}

impl RecordColumns {
    /// No record yet.
    pub fn new(record_type: RecordType) -> Self {
        let info = record_type.info();
        Self {
            info,
            schema: arrow_schema(record_type),
            table: generated::table(record_type),
            rows: 0,
            wire_bytes: 0,
            row_bytes: schema::fixed_bytes(info.fields),
            unknown_fields: 0,
            known_only: false,
        }
    }

    /// Takes a record with a field that the contract does not know for malformed: see [`Reason::UnknownField`].
    #[must_use]
    pub fn known_only(mut self) -> Self {
        self.known_only = true;
        self
    }

    /// Appends one record as it stands on the wire: undelimited protobuf. Repeated occurrences of a
    /// field merge as protobuf asks; unknown fields are skipped and counted.
    ///
    /// # Errors
    ///
    /// Bytes that are no record of this type leave no trace.
    pub fn push_wire(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        let wire_bytes = self.wire_bytes.saturating_add(bytes.len()).saturating_add(1);
        let input = Input::new(bytes, self.known_only);
        if wire_bytes <= BATCH_BYTES_MAX && self.table.push_record(&input).is_some() {
            self.rows += 1;
            self.wire_bytes = wire_bytes;
            self.unknown_fields += input.unknown_fields.get();
            return Ok(());
        }
        self.roll_back();
        let fault = input.fault.take();
        let (reason, offset) = fault.as_ref().map_or((Reason::TooLarge, 0), |fault| (fault.reason, fault.offset));
        let field = fault.map(|fault| field_path(self.info, &fault.path)).unwrap_or_default();
        Err(Malformed { record_type: self.info.record_type, field, offset, reason })
    }

    /// Records since the last batch.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether no record came since the last batch.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// About how many bytes the records are.
    pub fn bytes(&self) -> usize {
        self.wire_bytes + self.rows * self.row_bytes
    }

    /// Bytes of memory that the columns have, with room for records to come: up to twice what the records are, or
    /// more. It takes a look at every column.
    pub fn allocated(&self) -> usize {
        self.table.all_allocated()
    }

    /// Fields that the contract does not know, in all records ever accepted. A count that grows means that the
    /// sender's contract is newer than ours, and that what it says there is lost.
    pub fn unknown_fields(&self) -> u64 {
        self.unknown_fields
    }

    /// The records as a batch of [`arrow_schema`]; the columns are empty again.
    ///
    /// # Errors
    ///
    /// Arrow refuses the columns, which would be a mistake of ours.
    pub fn finish(&mut self) -> Result<RecordBatch, ArrowError> {
        self.rows = 0;
        self.wire_bytes = 0;
        let arrays = kinds::finish_all(self.table.all_columns(), self.info.fields)?;
        let ts = timestamps(self.info.fields, &arrays)?;
        RecordBatch::try_new(self.schema.clone(), std::iter::once(ts).chain(arrays).collect())
    }

    #[cold]
    fn roll_back(&mut self) {
        for column in self.table.all_columns() {
            column.truncate(self.rows);
        }
    }
}

/// The column `ts`, from `ts_ns`.
fn timestamps(infos: &[FieldInfo], arrays: &[ArrayRef]) -> Result<ArrayRef, ArrowError> {
    let at = infos.iter().position(|info| info.name == "ts_ns");
    let ns = at.and_then(|at| arrays.get(at)).and_then(|array| array.as_primitive_opt::<Int64Type>());
    let ns = ns.ok_or_else(|| ArrowError::SchemaError("Meta has no `ts_ns`".to_owned()))?;
    let us: TimestampMicrosecondArray = ns.unary(|ns| ns.div_euclid(1000));
    Ok(Arc::new(us.with_timezone("UTC")))
}

/// The names of the fields that an error lies in, given their numbers, innermost first.
fn field_path(info: &RecordInfo, blamed: &[u32]) -> String {
    let (meta, mut infos) = info.meta_and_own();
    let mut path = String::new();
    for (depth, &number) in blamed.iter().rev().enumerate() {
        let info = infos.iter().find(|info| info.number == number);
        if depth > 0 {
            path.push('.');
        }
        match info {
            Some(info) => path.push_str(info.name),
            None if depth == 0 && number == 1 => path.push_str("meta"),
            None => path.push_str(&number.to_string()),
        }
        infos = match info {
            Some(info) => info.fields,
            None if depth == 0 && number == 1 => meta,
            None => &[],
        };
    }
    path
}

/// Bytes that are no record of their type.
#[derive(Debug, PartialEq, Eq)]
pub struct Malformed {
    /// The type that the record was taken for.
    pub record_type: RecordType,
    /// Path of the field that could not be read, as in `answers.name`; a number stands for a field
    /// without a name. Empty where not even a key could be read.
    pub field: String,
    /// Where reading stopped: bytes from the beginning of the record.
    pub offset: usize,
    /// What is wrong there.
    pub reason: Reason,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no valid `{}` record: ", self.record_type.name())?;
        if !self.field.is_empty() {
            write!(f, "field `{}`, ", self.field)?;
        }
        write!(f, "byte {}: {}", self.offset, self.reason)
    }
}

impl std::error::Error for Malformed {}
