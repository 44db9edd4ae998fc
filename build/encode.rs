//! Encoders that append to a `Vec<u8>` in one pass.
//!
//! prost's own walks a message twice, for lengths and for bytes, and writes through a trait: for
//! records of many small numbers, which is what records are, that takes twice the time.

use std::fmt::Write as _;

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};

use crate::model::{Model, is_option, rust_name};

pub fn generate(model: &Model) -> String {
    let mut code = String::new();
    for message in model.records.iter().map(|record| &record.message).chain(&model.nested) {
        encoder(&mut code, message);
    }
    code
}

fn encoder(code: &mut String, message: &MessageDescriptor) {
    let mut fields: Vec<_> = message.fields().collect();
    fields.sort_by_key(FieldDescriptor::number);
    let _ = writeln!(code, "impl Encode for {} {{\n    fn encode_to(&self, out: &mut Vec<u8>) {{", message.name());
    for field in &fields {
        let _ = writeln!(code, "        {}", push(field));
    }
    code.push_str("    }\n}\n");
}

fn push(field: &FieldDescriptor) -> String {
    let name = format!("self.{}", rust_name(field));
    let key = key(field);
    let packed = matches!(field.kind(), Kind::Int64 | Kind::Uint32 | Kind::Bool | Kind::Double | Kind::Enum(_));
    match (field.is_list(), is_option(field)) {
        (true, _) if packed => {
            let value = value(field, "*item");
            format!("if !{name}.is_empty() {{ wire::message(out, {key}, |out| for item in &{name} {{ {value} }}); }}")
        }
        (true, _) => format!("for item in &{name} {{ {} }}", one(field, "item", &key)),
        (false, true) => format!("if let Some(item) = &{name} {{ {} }}", one(field, "item", &key)),
        (false, false) => {
            let is_set = match field.kind() {
                Kind::String | Kind::Bytes => format!("!{name}.is_empty()"),
                Kind::Bool => name.clone(),
                Kind::Double => format!("{name} != 0.0"),
                _ => format!("{name} != 0"),
            };
            format!("if {is_set} {{ {} }}", one(field, &format!("&{name}"), &key))
        }
    }
}

/// One value with its key.
fn one(field: &FieldDescriptor, item: &str, key: &str) -> String {
    match field.kind() {
        Kind::String => format!("wire::bytes(out, {key}, {item}.as_bytes());"),
        Kind::Bytes => format!("wire::bytes(out, {key}, {item});"),
        Kind::Message(_) => {
            format!("wire::message(out, {key}, |out| {item}.encode_to(out));")
        }
        _ => format!("out.extend_from_slice({key}); {}", value(field, &format!("*({item})"))),
    }
}

/// A value without its key.
fn value(field: &FieldDescriptor, item: &str) -> String {
    match field.kind() {
        Kind::Bool => format!("out.push(u8::from({item}));"),
        Kind::Double => format!("out.extend_from_slice(&({item}).to_le_bytes());"),
        Kind::Uint32 => format!("wire::varint(out, u64::from({item}));"),
        Kind::Enum(_) => format!("wire::varint(out, i64::from({item}).cast_unsigned());"),
        _ => format!("wire::varint(out, ({item}).cast_unsigned());"),
    }
}

/// The field's key as a byte string literal.
fn key(field: &FieldDescriptor) -> String {
    let wire_type = match field.kind() {
        Kind::String | Kind::Bytes | Kind::Message(_) => 2,
        _ if field.is_list() => 2,
        Kind::Double => 1,
        _ => 0,
    };
    let mut key = field.number() << 3 | wire_type;
    let mut literal = String::from("b\"");
    while key >= 0x80 {
        let _ = write!(literal, "\\x{:02x}", key & 0x7f | 0x80);
        key >>= 7;
    }
    let _ = write!(literal, "\\x{key:02x}\"");
    literal
}
