//! Whether bytes are a record as protobuf's canonical form has it: what decoding and encoding again by
//! prost would leave as it is, told at a tenth of the price. Lists and texts keep the engine's bounds.

use prost::Message as _;
use weir_contract::{FieldInfo, FieldKind, Meta, RecordType};

/// Items that a list in a record has at most.
const LIST_MAX: usize = 100;

/// Bytes of a text in a record: 4096 from the wire, each of which may become `\xHH`.
const TEXT_MAX: usize = 4 * 4096;

const VARINT: u64 = 0;
const FIXED_64: u64 = 1;
const LENGTH_DELIMITED: u64 = 2;

/// What a record says of itself.
pub struct Checked {
    pub meta: Meta,
    /// Its list of fields has `truncated`, and that is set.
    pub is_truncated: bool,
}

/// Reads a record, or says what is wrong with it.
pub fn check(record_type: RecordType, bytes: &[u8]) -> Result<Checked, String> {
    let (meta, own) = record_type.info().meta_and_own();
    let mut input = bytes;
    if varint(&mut input)? != 1 << 3 | LENGTH_DELIMITED {
        return Err("a record begins with Meta".to_owned());
    }
    let meta_bytes = delimited(&mut input)?;
    check_fields(meta, meta_bytes).map_err(|fault| format!("meta: {fault}"))?;
    let is_truncated = check_fields(own, input).map_err(|fault| format!("{}: {fault}", record_type.name()))?;
    let meta = Meta::decode(meta_bytes).map_err(|error| error.to_string())?;
    Ok(Checked { meta, is_truncated })
}

/// Whether one of them is `truncated`: were it false, it would not be written.
fn check_fields(infos: &[FieldInfo], mut input: &[u8]) -> Result<bool, String> {
    let (mut last, mut items) = (0, 0);
    let mut is_truncated = false;
    while !input.is_empty() {
        let key = varint(&mut input)?;
        let info = infos.iter().find(|info| u64::from(info.number) == key >> 3);
        let info = info.ok_or_else(|| format!("no field {}", key >> 3))?;
        items = if info.number == last && info.repeated { items + 1 } else { 1 };
        if info.number < last || info.number == last && items == 1 {
            return Err(format!("{} comes again or too late", info.name));
        }
        last = info.number;
        check_field(info, key & 7, items, &mut input).map_err(|fault| format!("{}: {fault}", info.name))?;
        is_truncated |= info.name == "truncated";
    }
    Ok(is_truncated)
}

fn check_field(info: &FieldInfo, wire_type: u64, items: usize, input: &mut &[u8]) -> Result<(), String> {
    let is_scalar = !matches!(info.kind, FieldKind::String | FieldKind::Bytes | FieldKind::Message(_));
    if info.repeated && is_scalar {
        return expect(wire_type, LENGTH_DELIMITED).and_then(|()| check_packed(info, delimited(input)?));
    }
    if items > LIST_MAX {
        return Err("too many items".to_owned());
    }
    if is_scalar {
        let value = scalar(info, wire_type, input)?;
        return if value == 0 && !info.optional { Err("a default is written".to_owned()) } else { Ok(()) };
    }
    expect(wire_type, LENGTH_DELIMITED)?;
    let bytes = delimited(input)?;
    match info.kind {
        FieldKind::Message(_) => return check_fields(info.fields, bytes).map(|_| ()),
        FieldKind::String if str::from_utf8(bytes).is_err() => return Err("no UTF-8".to_owned()),
        _ => {}
    }
    if bytes.len() > TEXT_MAX {
        return Err(format!("{} bytes", bytes.len()));
    }
    if bytes.is_empty() && !info.optional && !info.repeated {
        return Err("a default is written".to_owned());
    }
    Ok(())
}

fn check_packed(info: &FieldInfo, mut values: &[u8]) -> Result<(), String> {
    let wire_type = if info.kind == FieldKind::Double { FIXED_64 } else { VARINT };
    let mut items = 0;
    while !values.is_empty() {
        scalar(info, wire_type, &mut values)?;
        items += 1;
    }
    if (1..=LIST_MAX).contains(&items) { Ok(()) } else { Err(format!("{items} items")) }
}

fn scalar(info: &FieldInfo, wire_type: u64, input: &mut &[u8]) -> Result<u64, String> {
    if info.kind == FieldKind::Double {
        expect(wire_type, FIXED_64)?;
        let (bytes, rest) = input.split_first_chunk().ok_or("cut")?;
        *input = rest;
        return Ok(u64::from_le_bytes(*bytes));
    }
    expect(wire_type, VARINT)?;
    let value = varint(input)?;
    let is_right = match info.kind {
        FieldKind::Uint32 => u32::try_from(value).is_ok(),
        FieldKind::Bool => value <= 1,
        FieldKind::Enum(_, names) => names.iter().any(|&(number, _)| i64::from(number) == value.cast_signed()),
        _ => true,
    };
    if is_right { Ok(value) } else { Err(format!("it can't be {value}")) }
}

fn expect(wire_type: u64, expected: u64) -> Result<(), String> {
    if wire_type == expected { Ok(()) } else { Err(format!("wire type {wire_type}")) }
}

fn delimited<'a>(input: &mut &'a [u8]) -> Result<&'a [u8], String> {
    let length = usize::try_from(varint(input)?).map_err(|error| error.to_string())?;
    let (bytes, rest) = input.split_at_checked(length).ok_or("cut")?;
    *input = rest;
    Ok(bytes)
}

/// A varint in as few bytes as it needs.
fn varint(input: &mut &[u8]) -> Result<u64, String> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = input.split_first().ok_or("cut")?;
        *input = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return if byte == 0 && shift > 0 { Err("a varint with zeros behind it".to_owned()) } else { Ok(value) };
        }
    }
    Err("a varint of more than 10 bytes".to_owned())
}
