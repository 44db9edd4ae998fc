//! The same records by the slowest way: decoded by descriptor, field by field, to JSON.

use prost_reflect::{DescriptorPool, DynamicMessage, FieldDescriptor, Kind, ReflectMessage, Value as Reflected};
use serde_json::{Map, Value};

use crate::RecordType;

pub fn json(record_type: RecordType, record: &[u8]) -> Value {
    thread_local!(static POOL: DescriptorPool = DescriptorPool::decode(crate::DESCRIPTORS).unwrap());
    let name = format!("weir.v1.{}", record_type.info().message);
    let descriptor = POOL.with(|pool| pool.get_message_by_name(&name).unwrap());
    let record = DynamicMessage::decode(descriptor, record).unwrap();
    let mut object = fields(&record);
    // An absent Meta is a Meta of defaults.
    object.remove("meta");
    let meta = record.get_field_by_name("meta").unwrap();
    object.extend(fields(meta.as_message().unwrap()));
    let ts_us = object["ts_ns"].as_i64().unwrap().div_euclid(1000);
    let ts = chrono::DateTime::from_timestamp_micros(ts_us).unwrap();
    object.insert("ts".to_owned(), ts.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string().into());
    Value::Object(object)
}

fn fields(message: &DynamicMessage) -> Map<String, Value> {
    let mut object = Map::new();
    for field in message.descriptor().fields() {
        let shown = match message.get_field(&field).as_ref() {
            Reflected::List(items) => items.iter().map(|item| value(&field, item)).collect(),
            _ if field.supports_presence() && !message.has_field(&field) => Value::Null,
            single => value(&field, single),
        };
        object.insert(field.name().to_owned(), shown);
    }
    object
}

fn value(field: &FieldDescriptor, value: &Reflected) -> Value {
    match (value, field.kind()) {
        (Reflected::I64(number), _) => (*number).into(),
        (Reflected::U32(number), _) => (*number).into(),
        (Reflected::F64(number), _) => (*number).into(),
        (Reflected::Bool(truth), _) => (*truth).into(),
        (Reflected::String(text), _) => text.as_str().into(),
        (Reflected::Bytes(bytes), _) => bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into(),
        (Reflected::Message(message), _) => Value::Object(fields(message)),
        (Reflected::EnumNumber(number), Kind::Enum(of)) => match of.get_value(*number) {
            // `WeirdReason`, `WEIRD_REASON_BAD_LENGTH` → `bad_length`
            Some(known) => {
                let words = of.name().chars().filter(char::is_ascii_uppercase).count();
                known.name().splitn(words + 1, '_').last().unwrap().to_ascii_lowercase().into()
            }
            None => number.to_string().into(),
        },
        other => panic!("{other:?}"),
    }
}

/// Compares the cells of a CSV file with a header with what JSON shows.
pub fn check_csv(csv: &[u8], expected: &[Value]) {
    let mut reader = csv::Reader::from_reader(csv);
    let names = reader.headers().unwrap().clone();
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), expected.len());
    for (row, expected) in rows.iter().zip(expected) {
        assert_eq!(row.len(), expected.as_object().unwrap().len());
        for (name, cell) in names.iter().zip(row) {
            match &expected[name] {
                Value::Null => assert_eq!(cell, "", "{name}"),
                Value::String(text) => assert_eq!(cell, text, "{name}"),
                other => assert_eq!(&serde_json::from_str::<Value>(cell).unwrap(), other, "{name}"),
            }
        }
    }
}

/// Whether a value is what a JSON Schema asks for, as far as our schemas go.
pub fn conforms(schema: &Value, value: &Value) -> bool {
    schema.as_object().unwrap().iter().all(|(keyword, asked)| match keyword.as_str() {
        "type" => match asked {
            Value::String(name) => is_a(name, value),
            names => names.as_array().unwrap().iter().any(|name| is_a(name.as_str().unwrap(), value)),
        },
        "const" => value == asked,
        "enum" => asked.as_array().unwrap().contains(value),
        "anyOf" => asked.as_array().unwrap().iter().any(|schema| conforms(schema, value)),
        // Keywords that concern one type of value say nothing of the others.
        "minimum" => value.as_i64().is_none_or(|number| number >= asked.as_i64().unwrap()),
        "maximum" => value.as_i64().is_none_or(|number| number <= asked.as_i64().unwrap()),
        "pattern" => value.as_str().is_none_or(|text| match asked.as_str().unwrap() {
            "^-?[0-9]+$" => text.parse::<i64>().is_ok(),
            _ => text.bytes().all(|byte| byte.is_ascii_hexdigit()),
        }),
        "items" => value.as_array().is_none_or(|items| items.iter().all(|item| conforms(asked, item))),
        "required" => value.as_object().is_none_or(|object| {
            asked.as_array().unwrap().iter().all(|name| object.contains_key(name.as_str().unwrap()))
        }),
        "properties" => {
            value.as_object().is_none_or(|object| object.iter().all(|(name, value)| conforms(&asked[name], value)))
        }
        "additionalProperties" => value.as_object().is_none_or(|object| {
            let known = schema["properties"].as_object().unwrap();
            object.keys().all(|name| known.contains_key(name))
        }),
        "description" => !asked.as_str().unwrap().is_empty(),
        "format" => chrono::DateTime::parse_from_rfc3339(value.as_str().unwrap()).is_ok(),
        "$schema" | "title" => true,
        other => panic!("{other}"),
    })
}

fn is_a(name: &str, value: &Value) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "integer" => value.is_i64() || value.is_u64(),
        _ => value.is_number(),
    }
}
