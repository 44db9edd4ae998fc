//! Values of both sides in one form: decimal numbers, `1` and `0` for truth, canonical addresses,
//! lists joined by commas.

use std::net::IpAddr;

use prost_reflect::{DynamicMessage, ReflectMessage, Value};

/// tshark's value of a field: `0x0800` → `2048`, `True` → `1`.
pub fn of_tshark(shown: &str) -> String {
    if let Some(number) = shown.strip_prefix("0x").and_then(|digits| u64::from_str_radix(digits, 16).ok()) {
        return number.to_string();
    }
    match shown {
        "True" => "1".to_owned(),
        "False" => "0".to_owned(),
        _ => shown.parse::<IpAddr>().map_or_else(|_| shown.to_owned(), |address| address.to_string()),
    }
}

/// Our value of the field at `path`: names joined by dots; inside a list, that field of each of its
/// messages. `None` where the field is absent.
///
/// `bits a b c` is the number whose bits, lowest first, are those fields; `first a b` is the first of
/// them that is not empty.
pub fn of_record(record: &DynamicMessage, path: &str) -> Option<String> {
    if let Some(names) = path.strip_prefix("bits ") {
        let bits = names.split(' ').enumerate();
        let bit = |(place, name)| u64::from(of_record(record, name).as_deref() == Some("1")) << place;
        return Some(bits.map(bit).sum::<u64>().to_string());
    }
    if let Some(paths) = path.strip_prefix("first ") {
        let mut values = paths.split(' ').filter_map(|path| of_record(record, path));
        return values.find(|value| !value.is_empty());
    }
    let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
    let field = record
        .descriptor()
        .get_field_by_name(name)
        .unwrap_or_else(|| panic!("{} has no field {name}", record.descriptor().name()));
    if field.supports_presence() && !record.has_field(&field) {
        return None;
    }
    text(&record.get_field(&field), rest)
}

fn text(value: &Value, rest: Option<&str>) -> Option<String> {
    Some(match value {
        Value::Bool(truth) => u8::from(*truth).to_string(),
        Value::I32(number) | Value::EnumNumber(number) => number.to_string(),
        Value::I64(number) => number.to_string(),
        Value::U32(number) => number.to_string(),
        Value::F64(number) => number.to_string(),
        Value::String(text) => text.clone(),
        Value::Bytes(bytes) => hex(bytes),
        Value::List(items) => {
            let texts = items.iter().filter_map(|item| text(item, rest)).filter(|text| !text.is_empty());
            texts.collect::<Vec<_>>().join(",")
        }
        Value::Message(message) => return of_record(message, rest?),
        _ => panic!("the contract has no such values: {value:?}"),
    })
}

/// Sender and receiver of what a record tells, each an address and a port.
pub fn ends(record: &DynamicMessage) -> (String, String) {
    let of = |name: &str| of_record(record, &format!("meta.{name}")).unwrap_or_default();
    let originator = format!("{} {}", of("src_ip"), of("src_port"));
    let responder = format!("{} {}", of("dst_ip"), of("dst_port"));
    if of("from_responder") == "1" { (responder, originator) } else { (originator, responder) }
}

/// `de:ad` or bytes → `dead`.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
