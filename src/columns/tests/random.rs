//! Records at random, built as wire bytes from what the registry says of their fields.

use crate::{FieldInfo, FieldKind, RecordType};

/// A small generator of numbers (splitmix64), since shrinking wire bytes would tell nothing.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub fn one_in(&mut self, odds: u64) -> bool {
        self.below(odds) == 0
    }
}

/// A record as an encoder writes it: each field once, in order, with values of usual size.
pub fn typical(record_type: RecordType, random: &mut Random) -> Vec<u8> {
    let (meta, fields) = record_type.info().meta_and_own();
    let mut out = Vec::new();
    delimited(&mut out, 1, &typical_fields(meta, random));
    out.extend(typical_fields(fields, random));
    out
}

fn typical_fields(fields: &[FieldInfo], random: &mut Random) -> Vec<u8> {
    let mut out = Vec::new();
    for info in fields {
        let occurrences = if info.repeated { 1 + info.number % 2 } else { 1 };
        for _ in 0..occurrences {
            match info.kind {
                FieldKind::Int64 if info.name.ends_with("ts_ns") => {
                    varint_field(&mut out, info, 1_700_000_000_000_000_000 + random.below(1 << 50));
                }
                FieldKind::Int64 => varint_field(&mut out, info, random.below(100_000)),
                FieldKind::Uint32 => varint_field(&mut out, info, random.below(1000)),
                FieldKind::Bool => varint_field(&mut out, info, 1),
                FieldKind::Enum(_, names) => {
                    varint_field(&mut out, info, u64::try_from(names[names.len() / 2].0).unwrap());
                }
                FieldKind::Double => fixed_field(&mut out, info, 0.5),
                FieldKind::String => delimited(&mut out, info.number, b"www.example.org"),
                FieldKind::Bytes => delimited(&mut out, info.number, &[192, 0, 2, 1]),
                FieldKind::Message(_) => delimited(&mut out, info.number, &typical_fields(info.fields, random)),
            }
        }
    }
    out
}

/// A record that is valid but strange: fields many times or never, in any order, packed and not,
/// extreme values, varints longer than they need be, fields that the contract does not know.
pub fn wild(record_type: RecordType, random: &mut Random) -> Vec<u8> {
    let (meta, fields) = record_type.info().meta_and_own();
    let mut out = Vec::new();
    for _ in 0..random.below(3) {
        wild_fields(&mut out, fields, random, 1);
        let mut part = Vec::new();
        wild_fields(&mut part, meta, random, 1);
        delimited(&mut out, 1, &part);
    }
    wild_fields(&mut out, fields, random, 1);
    out
}

fn wild_fields(out: &mut Vec<u8>, fields: &[FieldInfo], random: &mut Random, depth: u64) {
    let count = random.below(2 * u64::try_from(fields.len()).unwrap() / depth + 2);
    for _ in 0..count {
        let index = random.below(fields.len().try_into().unwrap());
        wild_field(out, &fields[usize::try_from(index).unwrap()], random, depth);
        if random.one_in(20) {
            unknown_field(out, random);
        }
    }
}

fn wild_field(out: &mut Vec<u8>, info: &FieldInfo, random: &mut Random, depth: u64) {
    match info.kind {
        FieldKind::String => {
            let text: String = (0..random.below(12)).map(|_| wild_letter(random)).collect();
            delimited(out, info.number, text.as_bytes());
        }
        FieldKind::Bytes => {
            let bytes: Vec<u8> = (0..random.below(12)).map(|_| random.next().to_le_bytes()[0]).collect();
            delimited(out, info.number, &bytes);
        }
        FieldKind::Message(_) => {
            let mut inner = Vec::new();
            wild_fields(&mut inner, info.fields, random, depth + 1);
            delimited(out, info.number, &inner);
        }
        _ if info.repeated && random.one_in(2) => {
            let mut packed = Vec::new();
            for _ in 0..random.below(5) {
                wild_number(&mut packed, info, random);
            }
            delimited(out, info.number, &packed);
        }
        FieldKind::Double => {
            key(out, info.number, 1);
            wild_number(out, info, random);
        }
        _ => {
            key(out, info.number, 0);
            wild_number(out, info, random);
        }
    }
}

fn wild_letter(random: &mut Random) -> char {
    let letters = ['a', 'Z', '"', '\\', ',', '\n', '\r', '\0', '\u{7f}', 'é', '☃', '😀'];
    letters[usize::try_from(random.below(12)).unwrap()]
}

fn wild_number(out: &mut Vec<u8>, info: &FieldInfo, random: &mut Random) {
    if info.kind == FieldKind::Double {
        // Finite, since JSON has no others: those become null.
        let value = random.below(1 << 53).cast_signed() - (1 << 52);
        return out.extend((f64::from(i32::try_from(value >> 22).unwrap()) / 64.0).to_le_bytes());
    }
    let value = match (info.kind, random.below(4)) {
        (FieldKind::Enum(_, names), 0..3) => {
            let at = random.below(names.len().try_into().unwrap());
            i64::from(names[usize::try_from(at).unwrap()].0).cast_unsigned()
        }
        (_, 0) => random.below(300),
        (_, 1) => u64::MAX - random.below(3),
        _ => random.next() >> random.below(64),
    };
    varint(out, value);
    if random.one_in(8) && out.last().is_some_and(|&last| last < 0x80) && value < 1 << 40 {
        *out.last_mut().unwrap() |= 0x80;
        out.extend([0x80, 0]);
    }
}

fn unknown_field(out: &mut Vec<u8>, random: &mut Random) {
    let number = 10_000 + u32::try_from(random.below(10_000)).unwrap();
    match random.below(4) {
        0 => {
            key(out, number, 0);
            varint(out, random.next());
        }
        1 => {
            key(out, number, 1);
            out.extend([7; 8]);
        }
        2 => {
            key(out, number, 5);
            out.extend([7; 4]);
        }
        _ => delimited(out, number, b"unknown"),
    }
}

fn varint_field(out: &mut Vec<u8>, info: &FieldInfo, value: u64) {
    key(out, info.number, 0);
    varint(out, value);
}

fn fixed_field(out: &mut Vec<u8>, info: &FieldInfo, value: f64) {
    key(out, info.number, 1);
    out.extend(value.to_le_bytes());
}

pub fn delimited(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    key(out, number, 2);
    varint(out, bytes.len().try_into().unwrap());
    out.extend(bytes);
}

pub fn key(out: &mut Vec<u8>, number: u32, wire_type: u32) {
    varint(out, u64::from(number << 3 | wire_type));
}

pub fn varint(out: &mut Vec<u8>, value: u64) {
    prost::encoding::encode_varint(value, out);
}
