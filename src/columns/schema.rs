//! Arrow types of the columns, derived from the registry.

use std::{collections::HashMap, fmt::Write as _, sync::Arc};

use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef, TimeUnit};

use xxhash_rust::xxh3::xxh3_128;

use crate::{FieldInfo, FieldKind, RecordType};

/// Key of a field's metadata under which its meaning, unit and source stand.
pub const COMMENT: &str = "comment";

/// Key of a schema's metadata under which the record type's name stands.
pub const RECORD_TYPE: &str = "weir.record_type";

/// Name of the column that holds the record's time as a timestamp.
pub(super) const TS: &str = "ts";

pub(super) const TS_COMMENT: &str = "`ts_ns` as a timestamp, rounded down to microseconds.";

/// The columns of a record type: `ts`, Meta's, and the record's own. All are nullable, so that a
/// lake whose older files lack a column can still be read under one schema.
pub fn arrow_schema(record_type: RecordType) -> SchemaRef {
    let info = record_type.info();
    let timestamp = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let ts = commented(Field::new(TS, timestamp, true), TS_COMMENT);
    let fields: Fields = std::iter::once(Arc::new(ts)).chain(info.fields.iter().map(field)).collect();
    let metadata = HashMap::from([(RECORD_TYPE.to_owned(), info.name.to_owned())]);
    Arc::new(Schema::new_with_metadata(fields, metadata))
}

/// What the columns of a record type hold, in 32 hex digits: a hash of names, numbers and types. Comments
/// do not count. Files of equal fingerprint can be read as one.
pub fn fingerprint(record_type: RecordType) -> String {
    let mut text = String::new();
    describe(record_type.info().fields, &mut text);
    format!("{:032x}", xxh3_128(text.as_bytes()))
}

fn describe(infos: &[FieldInfo], text: &mut String) {
    for FieldInfo { name, number, kind, repeated, optional, holds: _, doc: _, fields } in infos {
        // Writing to a `String` does not fail.
        let _ = write!(text, "{name} {number} {kind:?} {repeated} {optional} {{");
        describe(fields, text);
        text.push('}');
    }
}

pub(super) fn fields(infos: &[FieldInfo]) -> Fields {
    infos.iter().map(field).collect()
}

fn field(info: &FieldInfo) -> FieldRef {
    let data_type = if info.repeated { DataType::List(element(info)) } else { value_type(info) };
    Arc::new(commented(Field::new(info.name, data_type, true), info.doc))
}

/// The items of a list. Parquet's own name for them (LogicalTypes.md, Lists), not Arrow's `item`.
pub(super) fn element(info: &FieldInfo) -> FieldRef {
    Arc::new(Field::new("element", value_type(info), true))
}

fn value_type(info: &FieldInfo) -> DataType {
    match info.kind {
        FieldKind::Int64 => DataType::Int64,
        FieldKind::Uint32 => DataType::UInt32,
        FieldKind::Bool => DataType::Boolean,
        FieldKind::Double => DataType::Float64,
        FieldKind::String | FieldKind::Enum(..) => DataType::Utf8,
        FieldKind::Bytes => DataType::Binary,
        FieldKind::Message(_) => DataType::Struct(fields(info.fields)),
    }
}

fn commented(field: Field, comment: &str) -> Field {
    field.with_metadata(HashMap::from([(COMMENT.to_owned(), comment.to_owned())]))
}

/// Bytes that a row takes in columns of fixed width, and in the offsets of others.
pub(super) fn fixed_bytes(infos: &[FieldInfo]) -> usize {
    infos
        .iter()
        .map(|info| match info.kind {
            _ if info.repeated => size_of::<i32>(),
            FieldKind::Int64 | FieldKind::Double => size_of::<i64>(),
            FieldKind::Uint32 | FieldKind::Enum(..) | FieldKind::String | FieldKind::Bytes => size_of::<u32>(),
            FieldKind::Bool => 1,
            FieldKind::Message(_) => fixed_bytes(info.fields),
        })
        .sum()
}
