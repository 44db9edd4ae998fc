//! Goes through the fields of a record's bytes, by the registry.

use prost::encoding::{WireType, decode_key, decode_varint};
use weir_contract::{FieldInfo, FieldKind, RecordType};

/// A value of a field.
#[derive(Debug, Clone, Copy)]
pub enum Value<'a> {
    /// Of a string.
    Text(&'a [u8]),
    /// Of bytes.
    Bytes(&'a [u8]),
    /// Of any other kind, as it is on the wire; a packed list of them as its bytes.
    #[allow(dead_code, reason = "it is compared as it is printed")]
    Number(&'a [u8]),
}

/// Calls `each` with the path, the description and the value of each field that is there.
pub fn visit<'a>(record_type: RecordType, record: &'a [u8], each: &mut impl FnMut(&str, &FieldInfo, Value<'a>)) {
    let (meta, own) = record_type.info().meta_and_own();
    let mut rest = record;
    let begin = message_of(&mut rest, 1).expect("a record begins with its Meta");
    fields(meta, begin, "", each);
    fields(own, rest, "", each);
}

/// The message in the next field, which must be of that number.
fn message_of<'a>(rest: &mut &'a [u8], number: u32) -> Option<&'a [u8]> {
    let (found, wire_type) = decode_key(rest).unwrap();
    (found == number && wire_type == WireType::LengthDelimited).then(|| take_delimited(rest))
}

fn take_delimited<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let length = usize::try_from(decode_varint(rest).unwrap()).unwrap();
    let (value, behind) = rest.split_at(length);
    *rest = behind;
    value
}

fn fields<'a>(
    infos: &[FieldInfo],
    message: &'a [u8],
    parent: &str,
    each: &mut impl FnMut(&str, &FieldInfo, Value<'a>),
) {
    let mut rest = message;
    while !rest.is_empty() {
        let (number, wire_type) = decode_key(&mut rest).unwrap();
        let field = infos.iter().find(|field| field.number == number).expect("a field of the registry");
        let path = format!("{parent}{}", field.name);
        let value = match wire_type {
            WireType::LengthDelimited => take_delimited(&mut rest),
            WireType::Varint => {
                let before = rest;
                decode_varint(&mut rest).unwrap();
                &before[..before.len() - rest.len()]
            }
            WireType::SixtyFourBit => {
                let (value, behind) = rest.split_at(8);
                rest = behind;
                value
            }
            other => panic!("{other:?} is in no record"),
        };
        match field.kind {
            FieldKind::Message(_) => fields(field.fields, value, &format!("{path}."), each),
            FieldKind::String => each(&path, field, Value::Text(value)),
            FieldKind::Bytes => each(&path, field, Value::Bytes(value)),
            _ => each(&path, field, Value::Number(value)),
        }
    }
}
