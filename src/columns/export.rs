//! Schemas of record types for other tools: as JSON Schema, and as Arrow's schema in JSON.

use arrow::datatypes::{DataType, Field, Schema};
use serde_json::{Map, Value, json};

use super::schema::{COMMENT, RECORD_TYPE, TS_COMMENT, arrow_schema};
use crate::{FieldInfo, FieldKind, RecordType};

/// What a line of JSON of this type holds, as JSON Schema of draft 2020-12.
///
/// ```
/// let schema = weir_contract::columns::json_schema(weir_contract::RecordType::Udp);
/// assert_eq!(schema["properties"]["src_port"]["type"], "integer");
/// ```
pub fn json_schema(record_type: RecordType) -> Value {
    let info = record_type.info();
    let mut schema = object(info.fields);
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
    schema["title"] = info.name.into();
    schema["description"] = info.doc.into();
    schema["properties"]["ts"] = json!({ "type": "string", "format": "date-time", "description": TS_COMMENT });
    if let Some(required) = schema["required"].as_array_mut() {
        required.push("ts".into());
    }
    // Several types on one stream are told apart by this key, which files lack.
    schema["properties"]["record"] = json!({ "const": info.name, "description": "The record type." });
    schema
}

fn object(infos: &[FieldInfo]) -> Value {
    let properties: Map<String, Value> = infos.iter().map(|info| (info.name.to_owned(), property(info))).collect();
    let required: Vec<&str> = infos.iter().map(|info| info.name).collect();
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
}

fn property(info: &FieldInfo) -> Value {
    let value = match info.kind {
        FieldKind::Int64 => json!({ "type": "integer", "minimum": i64::MIN, "maximum": i64::MAX }),
        FieldKind::Uint32 => json!({ "type": "integer", "minimum": 0, "maximum": u32::MAX }),
        FieldKind::Bool => json!({ "type": "boolean" }),
        // JSON has no NaN and no infinities: they are null.
        FieldKind::Double => json!({ "type": ["number", "null"] }),
        FieldKind::String => json!({ "type": "string" }),
        FieldKind::Bytes => json!({ "type": "string", "pattern": "^([0-9a-f]{2})*$" }),
        FieldKind::Enum(_, names) => {
            let names: Vec<&str> = names.iter().map(|(_, name)| *name).collect();
            // A newer sender's value is shown as its number.
            json!({ "type": "string", "anyOf": [{ "enum": names }, { "pattern": "^-?[0-9]+$" }] })
        }
        FieldKind::Message(_) => object(info.fields),
    };
    let mut property = if info.repeated {
        json!({ "type": "array", "items": value })
    } else if info.optional {
        json!({ "anyOf": [value, { "type": "null" }] })
    } else {
        value
    };
    property["description"] = info.doc.into();
    property
}

/// The columns of this type, as an Arrow schema in the JSON that Arrow's integration tests use
/// (`arrow/format/Schema.fbs` field by field).
pub fn arrow_schema_json(record_type: RecordType) -> Value {
    let schema: &Schema = &arrow_schema(record_type);
    let fields: Vec<Value> = schema.fields().iter().map(|field| arrow_field(field)).collect();
    json!({ "fields": fields, "metadata": [{ "key": RECORD_TYPE, "value": record_type.name() }] })
}

fn arrow_field(field: &Field) -> Value {
    let (kind, children) = match field.data_type() {
        DataType::Int64 => (json!({ "name": "int", "bitWidth": 64, "isSigned": true }), Vec::new()),
        DataType::UInt32 => (json!({ "name": "int", "bitWidth": 32, "isSigned": false }), Vec::new()),
        DataType::Boolean => (json!({ "name": "bool" }), Vec::new()),
        DataType::Float64 => (json!({ "name": "floatingpoint", "precision": "DOUBLE" }), Vec::new()),
        DataType::Binary => (json!({ "name": "binary" }), Vec::new()),
        DataType::Timestamp(..) => {
            (json!({ "name": "timestamp", "unit": "MICROSECOND", "timezone": "UTC" }), Vec::new())
        }
        DataType::List(element) => (json!({ "name": "list" }), vec![arrow_field(element)]),
        DataType::Struct(fields) => {
            (json!({ "name": "struct" }), fields.iter().map(|field| arrow_field(field)).collect())
        }
        _ => (json!({ "name": "utf8" }), Vec::new()),
    };
    let mut out = json!({ "name": field.name(), "nullable": field.is_nullable(), "type": kind, "children": children });
    if let Some(comment) = field.metadata().get(COMMENT) {
        out["metadata"] = json!([{ "key": COMMENT, "value": comment }]);
    }
    out
}
