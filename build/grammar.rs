//! The rules that every record type of the contract keeps; a breach ends the build.

use std::{collections::HashMap, error::Error};

use prost_reflect::{Cardinality, FieldDescriptor, Kind, MessageDescriptor};

use crate::model::{Model, snake_case};

/// Columns that come to the fields of a record. Engines replace a column of the names of the lake's partitions silently
/// by the partition's value.
const RESERVED: &[&str] = &["ts", "landed_at", "landed_date", "landed_hour"];
/// Where the classes are that protoc makes of the messages for Java.
const JAVA_PACKAGE: &str = "weir.v1";

/// Text fields whose names end so hold addresses.
const ADDRESSES: &[&str] = &["_ip", "_ips", "_mac", "address", "addresses", "_mask"];

pub fn check(model: &Model) -> Result<(), Box<dyn Error>> {
    let mut breaches = Vec::new();
    let mut ids = HashMap::new();
    for record in &model.records {
        let name = record.message.name();
        if record.id == 0 {
            breaches.push(format!("{name}: the record option has no id"));
        }
        if let Some(other) = ids.insert(record.id, name.to_owned()) {
            breaches.push(format!("{name}: id {} belongs to {other}", record.id));
        }
        let meta = record.message.get_field(1);
        let is_meta = |kind: Kind| matches!(kind, Kind::Message(message) if message.name() == "Meta");
        if !meta.is_some_and(|field| field.name() == "meta" && is_meta(field.kind())) {
            breaches.push(format!("{name}: must begin with `Meta meta = 1`"));
        }
        check_message(model, &record.message, &mut breaches);
        check_java_package(&record.message, &mut breaches);
        for field in record.message.fields() {
            check_collision(model, &record.message, &field, &mut breaches);
        }
    }
    for message in &model.nested {
        check_message(model, message, &mut breaches);
        check_java_package(message, &mut breaches);
        check_recursion(message, &mut vec![message.clone()], &mut breaches);
    }
    if breaches.is_empty() {
        Ok(())
    } else {
        Err(format!("proto/ breaks the contract's grammar:\n  {}", breaches.join("\n  ")).into())
    }
}

fn check_message(model: &Model, message: &MessageDescriptor, breaches: &mut Vec<String>) {
    if model.message_comment(message).is_empty() {
        breaches.push(format!("{}: lacks a comment", message.name()));
    }
    if message.oneofs().any(|oneof| !oneof.is_synthetic()) {
        breaches.push(format!("{}: oneof is not allowed", message.name()));
    }
    for field in message.fields() {
        let at = format!("{}.{}", message.name(), field.name());
        let is_meta = field.number() == 1 && field.name() == "meta";
        if model.field_comment(&field).is_empty() && !is_meta {
            breaches.push(format!("{at}: lacks a comment with meaning, unit and source"));
        }
        if field.is_map() || field.is_group() || field.cardinality() == Cardinality::Required {
            breaches.push(format!("{at}: maps, groups and required fields are not allowed"));
        }
        let name = field.name();
        // Both would be read by `getNameBytes()` in Java.
        let is_text = |field: &FieldDescriptor| field.kind() == Kind::String;
        if name
            .strip_suffix("_bytes")
            .and_then(|text| message.get_field_by_name(text))
            .is_some_and(|text| is_text(&text))
        {
            breaches.push(format!("{at}: protoc gives it the name of the text without `_bytes` in Java; rename one"));
        }
        if name != snake_case(name) || name.ends_with("_ms") || name.ends_with("_us") || name.ends_with("_secs") {
            breaches.push(format!("{at}: names are snake_case and times are `_ns`"));
        }
        let is_text = matches!(field.kind(), Kind::String);
        if is_text && ADDRESSES.iter().any(|word| name.ends_with(word)) && model.holds(&field) == 0 {
            breaches.push(format!("{at}: holds addresses by its name, and must say so: `[(holds) = HOLDS_IP]`"));
        }
        if model.holds(&field) != 0 && !is_text && !matches!(field.kind(), Kind::Bytes) {
            breaches.push(format!("{at}: only strings and bytes say what they hold"));
        }
        match field.kind() {
            Kind::Int64 | Kind::Uint32 | Kind::Bool | Kind::String | Kind::Bytes | Kind::Double => {}
            Kind::Enum(of) if of.package_name() == "weir.v1" => {}
            Kind::Message(of) if of.package_name() == "weir.v1" => {}
            kind => breaches.push(format!("{at}: {kind:?} is not allowed; use int64, uint32, bool, string, bytes, double, an enum or a message of ours")),
        }
    }
}

fn check_java_package(message: &MessageDescriptor, breaches: &mut Vec<String>) {
    let file = message.parent_file();
    let options = file.file_descriptor_proto().options.clone().unwrap_or_default();
    if options.java_package() != JAVA_PACKAGE || !options.java_multiple_files() {
        let file = file.name();
        breaches.push(format!("{file}: lacks java_package = \"{JAVA_PACKAGE}\" or java_multiple_files = true"));
    }
}

/// Meta is flattened into the record's columns, so that their names share one space.
fn check_collision(model: &Model, message: &MessageDescriptor, field: &FieldDescriptor, breaches: &mut Vec<String>) {
    let meta = model.nested.iter().find(|nested| nested.name() == "Meta");
    let in_meta = meta.is_some_and(|meta| meta.get_field_by_name(field.name()).is_some());
    if in_meta || RESERVED.contains(&field.name()) {
        breaches.push(format!("{}.{}: the name is a column of Meta or reserved", message.name(), field.name()));
    }
}

fn check_recursion(message: &MessageDescriptor, path: &mut Vec<MessageDescriptor>, breaches: &mut Vec<String>) {
    for field in message.fields() {
        let Kind::Message(inner) = field.kind() else { continue };
        if path.contains(&inner) {
            breaches.push(format!("{}.{}: messages must not contain themselves", message.name(), field.name()));
            continue;
        }
        path.push(inner.clone());
        check_recursion(&inner, path, breaches);
        path.pop();
    }
}
