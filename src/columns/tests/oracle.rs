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
